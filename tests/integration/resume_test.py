"""Long verbs that are killed and repeated: nothing lost, nothing twice."""
import json
import subprocess
import time
import unittest

import harness

MODEL = harness.TEST_DATA / "models" / "stories260k"


class ResumeTest(harness.ServiceTest):
    def kill_and_repeat(self, command, out):
        """Kills the command after its first part and its second, then lets it
        end."""
        partial = out.with_name(out.name + ".partial")
        kills = 0
        for parts in (1, 2):
            process = subprocess.Popen(
                [str(word) for word in (harness.BUILD / "bin" / "varalign",
                                        *command)],
                stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                if partial.exists() and \
                        partial.read_bytes().count(b"\n") > parts:
                    process.kill()
                    break
                time.sleep(0.005)
            kills += process.wait() == -9
            self.assertFalse(out.exists() and partial.exists())
        self.assertGreater(kills, 0)
        process = harness.varalign(*command)
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertFalse(partial.exists())


class ScoreTest(ResumeTest):
    def score(self, out, *more):
        return ("score", "--policy", harness.WORLD / "policy", "--reward",
                harness.WORLD / "reward", "--pattern", "^nap", "--in",
                harness.WORLD / "train.jsonl", "--out", out, "--format",
                "groups", *more)

    def test_scored_columns_train_without_inference(self):
        out = self.directory / "scored.jsonl"
        process = harness.varalign(*self.score(out))
        self.assertEqual(process.returncode, 0, process.stderr)
        rows = harness.json_lines(out)
        for row in rows:
            self.assertEqual(
                [model + pattern for model, pattern in
                 zip(row["reward_model"], row["reward_pattern"])],
                row["rewards"])
        self.assertEqual(harness.varalign(
            "prepare", "--model", harness.WORLD / "policy", "--in", out,
            "--out", self.directory / "data").returncode, 0)
        config = self.write("run.yaml", json.dumps({
            "name": "scored",
            "model": {"path": str(harness.WORLD / "policy")},
            "data": {"path": str(self.directory / "data")},
            "train": {"epochs": 1, "global_batch": 8,
                      "learning_rate": 1e-3}}))
        result = harness.json_of(harness.varalign(
            "train", config, "--out", self.directory / "run", "--json"))
        self.assertEqual(result["state"], "SUCCEEDED")
        # Nobody was there to ask, and no step waited for anybody.
        self.assertFalse((self.directory / ".run.service" /
                          "reward-server.log").exists())
        for step in harness.steps_of(self.directory / "run").values():
            self.assertEqual(step["weight_wait_seconds"], 0)

    @unittest.skipUnless((MODEL / "config.json").exists(), "no test data")
    def test_a_killed_call_ends_in_the_file_of_an_undisturbed_one(self):
        rows = "".join(json.dumps({
            "prompt": "Once upon a time",
            "responses": [f" there was number {i}. " + "It was big. " * 25,
                          f" number {i} slept. " + "It was red. " * 30]}) +
            "\n" for i in range(240))
        source = self.write("rows.jsonl", rows)
        command = lambda out: ("score", "--policy", MODEL, "--in", source,
                               "--out", out, "--format", "groups")
        undisturbed = self.directory / "undisturbed.jsonl"
        process = harness.varalign(*command(undisturbed))
        self.assertEqual(process.returncode, 0, process.stderr)
        out = self.directory / "killed.jsonl"
        self.kill_and_repeat(command(out), out)
        self.assertEqual(out.read_text(), undisturbed.read_text())
        self.assertEqual(len(harness.json_lines(out)), 240)


@unittest.skipUnless((MODEL / "config.json").exists(), "no test data")
class GenerateGroupsTest(ResumeTest):
    def prompts(self, count):
        return self.write("prompts.jsonl", "".join(
            json.dumps({"prompt": f"Once upon a time, there was a {word}"}) +
            "\n" for word in ("dog cat boy girl bird fish bear tree car ball "
                              "king star").split()[:count]))

    def generate(self, out, *more):
        return ("generate", "--model", MODEL, "--prompts", self.prompts(12),
                "--num-responses", 16, "--max-new-tokens", 48,
                "--keep-truncated", "--seed", 3, "--into", "groups", "--out",
                out, *more)

    def test_a_killed_call_ends_in_the_file_of_an_undisturbed_one(self):
        undisturbed = self.directory / "undisturbed.jsonl"
        process = harness.varalign(*self.generate(undisturbed))
        self.assertEqual(process.returncode, 0, process.stderr)
        out = self.directory / "killed.jsonl"
        self.kill_and_repeat(self.generate(out), out)
        self.assertEqual(out.read_text(), undisturbed.read_text())
        prepared = harness.varalign(
            "prepare", "--model", MODEL, "--in", out, "--out",
            self.directory / "data", "--json")
        result = harness.json_of(prepared)
        self.assertEqual(result["rows"], 12)
        manifest = json.loads(
            (self.directory / "data" / "MANIFEST.json").read_text())
        self.assertTrue(manifest["has_logprobs"])

    def test_other_options_do_not_go_on(self):
        out = self.directory / "out.jsonl"
        (self.directory / "out.jsonl.partial").write_text('"other"\n')
        process = harness.varalign(*self.generate(out))
        self.assertEqual(process.returncode, 78, process.stderr)
        self.assertIn("remove the file", process.stderr)


harness.main(__name__)
