"""`varalign train`: the main job, from a configuration to a model directory."""
import json
import math
import re
import signal
import subprocess

import harness
from harness import WORLD


class TrainTest(harness.ServiceTest):
    def train(self, *arguments, **sections):
        config = self.world_config(eval={"path": str(WORLD / "heldout")},
                                   **sections)
        return harness.varalign("train", config, "--out",
                                self.directory / "run", "--json", *arguments)

    def test_trains_towards_the_exact_optimum(self):
        result = harness.json_of(self.train(
            train={"epochs": 40, "warmup": "5%", "learning_rate": 1e-2}))
        self.assertEqual(result["version"], 1)
        self.assertEqual(result["state"], "SUCCEEDED")
        self.assertEqual(result["steps"], 200)  # 40 examples / 8, 40 epochs
        before, after = (result["metrics"][key] for key in ("before", "after"))
        # The reference starts at its own reward and no distance to itself.
        self.assertLess(before["eval_kl"], 1e-4)
        self.assertGreater(after["eval_expected_reward"],
                           before["eval_expected_reward"] + 0.1)
        self.assertLess(after["eval_kl_to_optimum"],
                        before["eval_kl_to_optimum"] / 2)
        # The optimum is a constant of the world.
        self.assertAlmostEqual(before["eval_optimum_expected_reward"],
                               after["eval_optimum_expected_reward"], places=6)

    def test_leaves_a_run_directory_that_tools_can_read(self):
        result = harness.json_of(self.train(train={"epochs": 1}))
        run = self.directory / "run"
        model = run / "model"
        config = json.loads((model / "config.json").read_text())
        self.assertEqual(config["architectures"], ["LlamaForCausalLM"])
        for name in ("model.safetensors", "tokenizer.json",
                     "tokenizer_config.json"):
            self.assertTrue((model / name).exists(), name)
        self.assertEqual(sorted(harness.steps_of(run)), [1, 2, 3, 4, 5])
        states = [event["to"] for event in
                  harness.json_lines(run / "events.jsonl")
                  if event.get("event") == "state"]
        self.assertEqual(states[-1], "SUCCEEDED")
        self.assertTrue((run / "config.yaml").exists())
        manifest = json.loads(
            (harness.pathlib.Path(result["checkpoint"]) / "MANIFEST.json")
            .read_text())
        self.assertGreaterEqual(len(manifest["files"]), 6)

    def test_the_resolved_configuration_repeats_the_run(self):
        first = harness.json_of(self.train(train={"epochs": 1}))
        again = harness.json_of(harness.varalign(
            "train", self.directory / "run" / "config.yaml", "--out",
            self.directory / "again", "--json"))
        self.assertEqual(first["metrics"]["loss"], again["metrics"]["loss"])

    def test_sft_needs_no_reward_server(self):
        result = harness.json_of(harness.varalign(
            "train", self.sft_config(), "--out", self.directory / "run",
            "--json"))
        self.assertEqual(result["state"], "SUCCEEDED")
        self.assertFalse(
            (self.directory / ".run.service" / "reward-server.log").exists())

    def graded(self):
        """The world's rows with a column and an answer to keep."""
        rows = []
        for line in (WORLD / "train.jsonl").read_text().splitlines():
            row = json.loads(line)
            row["grade"] = [i / 4 for i in range(len(row["responses"]))]
            row["answer"] = row["responses"][-1] + " "
            rows.append(row)
        source = self.write("graded.jsonl", "\n".join(map(json.dumps, rows)))
        prepared = harness.varalign(
            "prepare", "--model", WORLD / "policy", "--in", source, "--out",
            self.directory / "graded", "--keep-number", "grade", "--keep-text",
            "answer")
        self.assertEqual(prepared.returncode, 0, prepared.stderr)
        return rows

    def ruled_config(self, reward, **objective):
        return self.write("ruled.yaml", json.dumps({
            "name": "ruled",
            "model": {"path": str(WORLD / "policy")},
            "data": {"path": str(self.directory / "graded")},
            "reward": reward, "objective": objective,
            "train": {"epochs": 1, "global_batch": 8, "warmup": 0,
                      "learning_rate": 1e-3}}))

    def test_rules_give_rewards_without_any_server(self):
        rows = self.graded()
        config = self.ruled_config(
            {"column": {"name": "grade", "weight": 2},
             "pattern": {"regex": "^nap", "weight": -1},
             "length": {"weight": -0.5},
             "exact_match": {"column": "answer", "weight": 8}},
            preset="boltzmann", lambda_unit="raw")
        process = harness.varalign("train", config, "--out",
                                   self.directory / "run", "--json")
        result = harness.json_of(process)
        self.assertEqual(result["state"], "SUCCEEDED")
        service = self.directory / ".run.service"
        self.assertFalse((service / "reward-server.log").exists())
        # The epoch's mean reward is that of the rows: every row is in a step.
        steps = harness.steps_of(self.directory / "run").values()
        total = sum(step["reward_mean"] * step["num_rows"] for step in steps)
        rewards = [2 * grade - text.startswith("nap")
                   - 0.5 * (len(text.split()) + 1)
                   + 8 * (text == row["answer"].strip())
                   for row in rows
                   for grade, text in zip(row["grade"], row["responses"])]
        self.assertAlmostEqual(total / sum(step["num_rows"] for step in steps),
                               sum(rewards) / len(rewards), places=5)

    def test_a_rule_adds_to_the_reward_model_and_the_reference(self):
        self.graded()
        plain = {"path": str(WORLD / "reward")}
        means = {}
        for name, reward in (("plain", plain), ("ruled", {
                **plain, "weight": 0.5,
                "column": {"name": "grade", "weight": 1}}), ("rules", {
                "column": {"name": "grade", "weight": 1}})):
            result = harness.json_of(harness.varalign(
                "train", self.ruled_config(reward, lambda_unit="raw"), "--out",
                self.directory / name, "--json"))
            self.assertEqual(result["state"], "SUCCEEDED")
            steps = harness.steps_of(self.directory / name).values()
            means[name] = (sum(s["reward_mean"] * s["num_rows"] for s in steps)
                           / sum(s["num_rows"] for s in steps))
        self.assertAlmostEqual(means["ruled"],
                               means["plain"] / 2 + means["rules"], places=5)

    def test_mistaken_reward_sources_are_told_by_key(self):
        self.graded()
        cases = (
            ({"column": {"name": "grades"}}, "reward.column.name", "grade"),
            ({"exact_match": {"column": "grade"}},
             "reward.exact_match.column", "answer"),
            ({"pattern": {"regex": "(nap"}}, "reward.pattern.regex", "RE2"),
            ({"weight": 2, "column": {"name": "grade"}}, "reward.weight",
             "leave it out"),
        )
        for number, (reward, key, remedy) in enumerate(cases):
            process = harness.varalign(
                "train", self.ruled_config(reward, preset="boltzmann"),
                "--out", self.directory / f"run{number}")
            self.assertEqual(process.returncode, 78, process.stderr)
            self.assertIn(key, process.stderr)
            self.assertIn(remedy, process.stderr)

    def sft_config(self, key="preset"):
        return self.write("sft.yaml", json.dumps({
            "name": "sft",
            "model": {"path": str(WORLD / "policy")},
            "data": {"path": str(WORLD / "data")},
            "objective": {key: "sft"},
            "train": {"epochs": 1, "global_batch": 8, "learning_rate": 1e-3}}))

    def pairs(self):
        """A data set of the world's prompts: naps over tea."""
        answer = lambda text: [{"role": "assistant", "content": text}]
        rows = []
        for line in (WORLD / "train.jsonl").read_text().splitlines():
            rows.append({"prompt": json.loads(line)["messages"],
                         "chosen": answer("nap nap"),
                         "rejected": answer("tea")})
        source = self.write("pairs.jsonl", "\n".join(map(json.dumps, rows)))
        prepared = harness.varalign(
            "prepare", "--model", WORLD / "policy", "--in", source, "--out",
            self.directory / "pairs")
        self.assertEqual(prepared.returncode, 0, prepared.stderr)
        return self.directory / "pairs"

    def dpo_config(self, data, **objective):
        return self.write("dpo.yaml", json.dumps({
            "name": "dpo",
            "model": {"path": str(WORLD / "policy")},
            "data": {"path": str(data)},
            "objective": {"kind": "dpo", **objective},
            "train": {"workers": 2, "epochs": 10, "global_batch": 8,
                      "learning_rate": 3e-3, "threads": 1}}))

    def test_dpo_prefers_the_chosen_without_a_reward_model(self):
        process = harness.varalign(
            "train", self.dpo_config(self.pairs()), "--out",
            self.directory / "run", "--json")
        result = harness.json_of(process)
        self.assertEqual(result["state"], "SUCCEEDED")
        steps = harness.steps_of(self.directory / "run")
        first, last = steps[min(steps)], steps[max(steps)]
        # The policy starts as its own reference: no margin, log 2.
        self.assertAlmostEqual(first["loss"], math.log(2), places=4)
        self.assertAlmostEqual(first["preference_margin"], 0, places=4)
        self.assertGreater(last["preference_margin"], 0.2)
        self.assertGreater(last["preference_accuracy"], 0.9)
        self.assertLess(last["loss"], first["loss"] - 0.1)
        self.assertEqual(last["num_pairs"], 8)
        self.assertNotIn("weight_ess_ratio", last)

    def test_dpo_scored_ahead_is_the_same_run(self):
        data = self.pairs()
        losses = []
        for mode in ("before", "ahead"):
            result = harness.json_of(harness.varalign(
                "train", self.dpo_config(data), "--set",
                f"scoring.mode={mode}", "--set", "train.epochs=2", "--out",
                self.directory / mode, "--json"))
            losses.append(result["metrics"]["loss"])
        self.assertEqual(*losses)

    def test_dpo_without_pairs_is_refused(self):
        process = harness.varalign(
            "train", self.dpo_config(WORLD / "data"), "--out",
            self.directory / "run")
        self.assertNotEqual(process.returncode, 0)
        self.assertIn("needs prompts with a chosen and a rejected response",
                      process.stderr)

    def test_a_key_that_dpo_does_not_read_is_refused(self):
        process = harness.varalign(
            "train", self.dpo_config(WORLD / "data", **{"lambda": 0.5}),
            "--out", self.directory / "run")
        self.assertNotEqual(process.returncode, 0)
        self.assertIn("objective.lambda has no effect with objective.kind dpo",
                      process.stderr)

    def test_kind_sft_is_the_preset_and_needs_no_reward_server(self):
        losses = []
        for key in ("kind", "preset"):
            result = harness.json_of(harness.varalign(
                "train", self.sft_config(key), "--out", self.directory / key,
                "--json"))
            self.assertEqual(result["state"], "SUCCEEDED")
            self.assertFalse((self.directory / f".{key}.service" /
                              "reward-server.log").exists())
            losses.append(result["metrics"]["loss"])
        self.assertEqual(*losses)

    def a_lol(self, name, variant, *arguments):
        config = self.write("a_lol.yaml", json.dumps({
            "name": "a-lol",
            "model": {"path": str(WORLD / "policy")},
            "reward": {"path": str(WORLD / "reward")},
            "data": {"path": str(WORLD / "data")},
            "eval": {"path": str(WORLD / "heldout")},
            "objective": {"kind": "a_lol", "a_lol": {"variant": variant}},
            "train": {"workers": 2, "epochs": 10, "global_batch": 8,
                      "learning_rate": 1e-2, "threads": 1}}))
        return harness.json_of(harness.varalign(
            "train", config, "--out", self.directory / name, "--json",
            *arguments))

    def test_no_other_lambda_is_advised_where_there_is_none(self):
        for key, expected in (("kind", 0), ("lambda", 1)):
            config = self.write(f"{key}.yaml", json.dumps({
                "name": key,
                "model": {"path": str(WORLD / "policy")},
                "data": {"path": str(WORLD / "data")},
                "reward": {"length": {"weight": -1}},
                "objective": {"kind": "a_lol", "a_lol": {"variant": "ref_free"}}
                if key == "kind" else {"preset": "boltzmann", "lambda": 2},
                "train": {"workers": 1, "max_steps": 1, "global_batch": 8}}))
            process = harness.varalign("train", config, "--out",
                                       self.directory / key)
            self.assertEqual(process.returncode, 0, process.stderr)
            self.assertEqual(
                (process.stdout + process.stderr).count("objective.lambda="),
                expected)

    def test_a_lol_learns_from_rewards(self):
        result = self.a_lol("run", "sequence")
        self.assertEqual(result["state"], "SUCCEEDED")
        before, after = (result["metrics"][key] for key in ("before", "after"))
        self.assertGreater(after["eval_expected_reward"],
                           before["eval_expected_reward"] + 0.05)

    def test_a_lol_scored_ahead_is_the_same_run(self):
        losses = [self.a_lol(mode, "sequence", "--set", f"scoring.mode={mode}",
                             "--set", "train.epochs=1")["metrics"]["loss"]
                  for mode in ("before", "ahead")]
        self.assertEqual(*losses)

    def test_weights_keep_the_divergence_that_lambda_is_solved_for(self):
        # Without a reference in the weights their divergence is the rewards'.
        result = harness.json_of(self.train(
            "--set", "objective.ref_logp=none",
            "--set", "objective.target_kl=0.2", train={"epochs": 1}))
        self.assertEqual(result["state"], "SUCCEEDED")
        steps = harness.steps_of(self.directory / "run").values()
        mean = sum(step["weight_kl"] for step in steps) / len(steps)
        self.assertAlmostEqual(mean, 0.2, places=5)

    def test_an_existing_run_directory_is_not_overwritten(self):
        harness.json_of(self.train(train={"epochs": 1}))
        again = self.train(train={"epochs": 1})
        self.assertEqual(again.returncode, 73)
        self.assertIn("--resume", again.stderr)


class StopAndResumeTest(harness.ServiceTest):
    """A run of some hundred steps, interrupted in one way or another."""

    def setUp(self):
        super().setUp()
        self.out = self.directory / "run"
        self.config = self.world_config(train={"epochs": 60})

    def start(self):
        client = subprocess.Popen(
            [harness.BIN / "varalign", "train", self.config, "--out", self.out],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def stop():
            client.kill()
            client.communicate()

        self.addCleanup(stop)
        return client

    def await_step(self, step):
        metrics = self.out / "metrics.jsonl"
        harness.wait_until(
            lambda: metrics.exists()
            and metrics.read_text().count('"loss"') >= step,
            120, f"step {step}")

    def resume(self, *arguments, config=None):
        return harness.varalign("train", config or self.config, "--out",
                                self.out, "--resume", *arguments, timeout=240)

    def test_a_killed_client_is_resumed_at_once(self):
        client = self.start()
        self.await_step(4)
        client.kill()
        client.wait()
        # Far below the ten minutes of a first lease.
        resumed = self.resume()
        self.assertEqual(resumed.returncode, 0, resumed.stderr)
        at = int(re.search(r"resumed at step (\d+) of 300",
                           resumed.stderr).group(1))
        # What went before is no news.
        told = [int(step) for step in re.findall(r"^step (\d+) ",
                                                 resumed.stderr, re.M)]
        self.assertGreater(min(told), at)
        self.assertEqual(max(told), 300)
        self.assertNotIn("state FAILED", resumed.stderr)
        self.assertEqual(sorted(harness.steps_of(self.out)),
                         list(range(1, 301)))
        again = self.resume("--json")
        result = harness.json_of(again)
        self.assertEqual(result["state"], "SUCCEEDED")
        self.assertEqual(result["steps"], 300)
        self.assertIn("nothing to do", again.stderr)

    def test_a_closed_terminal_leaves_a_checkpoint(self):
        client = self.start()
        self.await_step(4)
        client.send_signal(signal.SIGHUP)
        _, stderr = client.communicate(timeout=120)
        self.assertEqual(client.returncode, 128 + signal.SIGHUP, stderr)
        self.assertIn("continue with --resume", stderr)
        self.assertTrue(list((self.out / "checkpoints").glob("step-*")))

    def test_a_second_interrupt_stops_at_once_and_says_so(self):
        client = self.start()
        self.await_step(4)
        client.send_signal(signal.SIGINT)
        harness.time.sleep(0.2)
        client.send_signal(signal.SIGINT)
        _, stderr = client.communicate(timeout=30)
        self.assertEqual(client.returncode, 128 + signal.SIGINT, stderr)
        self.assertIn("interrupted", stderr)
        self.assertNotIn("no answer", stderr)

    def test_one_client_at_a_time_and_one_configuration(self):
        client = self.start()
        self.await_step(1)
        second = self.resume()
        self.assertEqual(second.returncode, 69, second.stderr)
        self.assertIn(f"pid {client.pid}", second.stderr)
        self.assertEqual(len(second.stderr.strip().splitlines()), 1)
        client.kill()
        client.wait()
        other = self.resume("--set", "train.learning_rate=1e-5")
        self.assertEqual(other.returncode, 78, other.stderr)
        self.assertIn("train.learning_rate is 0.003, not 1e-05", other.stderr)


class LayoutTest(harness.ServiceTest):
    def losses(self, workers, micro_batch_tokens):
        out = self.directory / f"run-{workers}"
        config = self.world_config(
            train={"workers": workers, "epochs": 1,
                   "micro_batch_tokens": micro_batch_tokens})
        harness.json_of(harness.varalign("train", config, "--out", out,
                                         "--json"))
        return harness.steps_of(out)

    def test_the_split_of_the_work_changes_no_weight_and_hardly_the_loss(self):
        one = self.losses(workers=1, micro_batch_tokens=700)
        two = self.losses(workers=2, micro_batch_tokens=1400)
        four = self.losses(workers=4, micro_batch_tokens=4096)
        for step, line in one.items():
            for other in (two[step], four[step]):
                for key, value in line.items():
                    if key.startswith("weight_") and "wait" not in key:
                        self.assertAlmostEqual(value, other[key], places=12,
                                               msg=f"step {step} {key}")
                self.assertLess(abs(other["loss"] - line["loss"]),
                                1e-5 * abs(line["loss"]))
                self.assertLess(abs(other["grad_norm"] - line["grad_norm"]),
                                1e-4 * line["grad_norm"])


harness.main(__name__)
