"""bench/train_gpu where there is no GPU: it trains the tiny shape and says what
it ran on; of published shapes it counts the arithmetic, or refuses."""
import json
import subprocess
import unittest

import harness

PROGRAM = harness.BUILD / "libexec" / "varalign" / "train_gpu"


class TrainGpuTest(unittest.TestCase):
    def run_bench(self, *arguments):
        return subprocess.run([PROGRAM, *map(str, arguments)],
                              capture_output=True, text=True, timeout=120)

    def result(self, *arguments):
        process = self.run_bench(*arguments)
        self.assertEqual(process.returncode, 0, process.stderr)
        return json.loads(process.stdout)

    def train(self, *arguments):
        return self.result("--model", "tiny", "--steps", 3, "--warm-up", 1,
                           "--micro-batches", 2, "--micro-batch-tokens", 2000,
                           *arguments)

    def test_the_tiny_shape_is_trained_on_the_cpu(self):
        result = self.train()
        self.assertEqual(result["device"], "cpu")
        self.assertIsNone(result["mfu"])
        self.assertEqual(len(result["step_seconds"]), 3)
        self.assertEqual(len(result["losses"]), 4)
        # Random weights over 512 ids: log 512.
        for loss in result["losses"]:
            self.assertAlmostEqual(loss, 6.24, delta=0.1)
        self.assertGreater(result["tokens_per_second"], 0)
        self.assertGreater(result["peak_memory_bytes"], 1 << 20)
        self.assertEqual(result["computed_tokens"], result["tokens"])
        self.assertLessEqual(result["tokens"], 3 * 2 * 2000)
        self.assertGreater(result["tokens"], 3 * 2 * 1000)

    def test_shared_prompts_are_computed_once(self):
        result = self.train("--shared")
        self.assertLess(result["computed_tokens"], 0.8 * result["tokens"])
        self.assertLess(result["computed_tokens_per_second"],
                        result["tokens_per_second"])

    def test_the_arithmetic_of_published_shapes_is_counted(self):
        for model, elements, attention in (
                ("1b", 973078528 + 262668288, 196608),
                ("3b", 2818572288 + 394002432, 516096),
                ("8b", 6979321856 + 525336576, 786432)):
            result = self.result("--model", model, "--dry-run", "--steps", 1)
            self.assertEqual(result["matrix_elements"], elements)
            self.assertAlmostEqual(
                result["flops_per_token_all_heads"],
                6 * elements + attention * result["mean_context"],
                delta=1e-9 * elements)
            self.assertNotIn("tokens_per_second", result)

    def test_lengths_are_those_of_dialogues(self):
        result = self.result("--model", "tiny", "--dry-run", "--steps", 8)
        # 284 in the rows that the quantiles are of.
        self.assertAlmostEqual(result["mean_context"], 284, delta=20)

    def test_a_published_shape_is_refused(self):
        process = self.run_bench("--model", "1b")
        self.assertIn(process.returncode, (69, 70))
        self.assertEqual(process.stdout, "")
        self.assertEqual(len(process.stderr.splitlines()), 1)
        self.assertIn("GPU", process.stderr)
        self.assertIn("--model tiny", process.stderr)

    def test_an_unknown_shape_is_usage(self):
        process = self.run_bench("--model", "2b")
        self.assertEqual(process.returncode, 64)
        self.assertIn("2b", process.stderr)


harness.main(__name__)
