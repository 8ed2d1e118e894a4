"""Long verbs that are killed and repeated: nothing lost, nothing twice."""
import json
import subprocess
import time
import unittest

import harness

MODEL = harness.TEST_DATA / "models" / "stories260k"


@unittest.skipUnless((MODEL / "config.json").exists(), "no test data")
class GenerateGroupsTest(harness.ServiceTest):
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
        partial = self.directory / "killed.jsonl.partial"
        kills = 0
        for parts in (1, 2):
            process = subprocess.Popen(
                [str(word) for word in (harness.BUILD / "bin" / "varalign",
                                        *self.generate(out))],
                stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                if partial.exists() and \
                        partial.read_bytes().count(b"\n") > parts:
                    process.kill()
                    break
                time.sleep(0.005)
            kills += process.wait() == -9
            self.assertFalse(kills and out.exists() and partial.exists())
        self.assertGreater(kills, 0)
        process = harness.varalign(*self.generate(out))
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertEqual(out.read_text(), undisturbed.read_text())
        self.assertFalse(partial.exists())
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
