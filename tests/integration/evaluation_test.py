"""`varalign eval`: a policy's responses, their rewards, and comparisons."""
import json
import math
import pathlib

import harness
from harness import WORLD


class EvalTest(harness.ServiceTest):
    def evaluate(self, *words, model=WORLD / "policy", out=None):
        command = ["eval", "--reward", WORLD / "reward", *words, "--json"]
        if model is not None:
            command += ["--model", model, "--data", WORLD / "heldout.jsonl"]
        if out is not None:
            command += ["--out", out]
        return harness.varalign(*command)

    def scored(self):
        """Every response of the held-out prompts with its exact scores."""
        out = self.directory / "scored.jsonl"
        process = harness.varalign(
            "score", "--policy", WORLD / "policy", "--reward",
            WORLD / "reward", "--in", WORLD / "heldout.jsonl", "--format",
            "groups", "--out", out)
        self.assertEqual(process.returncode, 0, process.stderr)
        return harness.json_lines(out)

    def test_draws_have_the_reward_of_the_policy_and_no_divergence(self):
        exact = 0
        rows = self.scored()
        for row in rows:
            weights = [math.exp(x) for x in row["logprob_sums"]]
            exact += sum(w * r for w, r in zip(weights, row["rewards"])) / \
                sum(weights) / len(rows)
        result = harness.json_of(self.evaluate(
            "--baseline", WORLD / "policy", "--num-responses", "128"))
        # 1,024 draws with a spread below 1: five standard errors.
        self.assertAlmostEqual(result["reward_mean"], exact, delta=0.16)
        self.assertAlmostEqual(result["kl"], 0, places=4)
        # The same seed draws the same responses: nobody wins.
        self.assertEqual(result["win_rate"], 0.5)
        self.assertEqual(result["comparison"]["ties"], 1024)
        low, high = result["reward_ci"]
        self.assertLess(low, result["reward_mean"])
        self.assertGreater(high, result["reward_mean"])

    def test_a_trained_policy_wins_at_a_distance_that_is_measured_twice(self):
        config = self.world_config(
            eval={"path": str(WORLD / "heldout")},
            train={"epochs": 20, "learning_rate": 1e-2})
        run = harness.json_of(harness.varalign(
            "train", config, "--out", self.directory / "run", "--json"))
        result = harness.json_of(self.evaluate(
            "--baseline", WORLD / "policy", "--num-responses", "256",
            model=self.directory / "run" / "model"))
        self.assertGreater(result["reward_mean"],
                           result["baseline"]["reward_mean"] + 0.05)
        self.assertGreater(result["win_rate"], 0.52)
        # Held-out evaluation sums over all responses; here are draws.
        exact = run["metrics"]["after"]
        self.assertAlmostEqual(result["kl"], exact["eval_kl"], delta=0.08)
        self.assertAlmostEqual(result["reward_mean"],
                               exact["eval_expected_reward"], delta=0.12)

    def test_what_is_there_is_not_done_again(self):
        out = self.directory / "out"
        first = harness.json_of(self.evaluate("--num-responses", "20", out=out))
        responses = out / "responses-model.jsonl"
        whole = responses.read_bytes()
        # As a kill leaves it: the last row is cut in two.
        responses.write_bytes(whole[:len(whole) // 2])
        (out / "rewards-model.jsonl").unlink()
        again = harness.json_of(self.evaluate("--num-responses", "20", out=out))
        self.assertEqual(first, again)
        self.assertEqual(responses.read_bytes(), whole)
        self.assertEqual(json.loads((out / "summary.json").read_text()), again)

    def test_responses_of_other_settings_are_not_taken(self):
        out = self.directory / "out"
        harness.json_of(self.evaluate(out=out))
        process = self.evaluate("--temperature", "0.5", out=out)
        self.assertNotEqual(process.returncode, 0)
        self.assertIn("temperature", process.stderr)

    def test_a_reward_model_is_measured_on_pairs(self):
        pairs, right = [], 0
        for i, row in enumerate(self.scored()):
            ranked = sorted(zip(row["rewards"], row["responses"]))
            worst, best = ranked[0][1], ranked[-1][1]
            right += i % 4 != 0
            chosen, rejected = (worst, best) if i % 4 == 0 else (best, worst)
            answer = lambda text: [{"role": "assistant", "content": text}]
            pairs.append({"prompt": row["messages"], "chosen": answer(chosen),
                          "rejected": answer(rejected)})
        path = self.write("pairs.jsonl", "\n".join(map(json.dumps, pairs)))
        result = harness.json_of(self.evaluate("--pairs", path, model=None))
        self.assertEqual(result["pairs"]["n"], len(pairs))
        self.assertEqual(result["pairs"]["correct"], right)
        self.assertEqual(result["pairs"]["accuracy"], right / len(pairs))

    def test_bad_input_is_one_clear_error(self):
        for words, code, message in (
                ((), 64, "--pairs FILE"),
                (("--model", WORLD / "policy"), 64, "--data FILE"),
                (("--model", WORLD / "reward", "--data",
                  WORLD / "heldout.jsonl"), 65, "needs a causal language model"),
                (("--model", WORLD / "policy", "--data", "/no/such"), 66,
                 "/no/such")):
            process = harness.varalign("eval", "--reward", WORLD / "reward",
                                       *words)
            self.assertEqual(process.returncode, code, process.stderr)
            self.assertIn(message, process.stderr)
            self.assertEqual(len(process.stderr.strip().splitlines()), 1,
                             process.stderr)


harness.main(__name__)
