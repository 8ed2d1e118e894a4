"""`varalign plan`: what it says before a run, held against the run."""
import json
import pathlib
import random
import subprocess
import sys
import threading
import time

import harness
from harness import WORLD

WORDS = ["is", "mia", "noah", "ada", "happy", "tired", "cold", "curious"]

# A small model, of which libraries are the larger part, and a larger one.
SHAPES = {
    "2M": ("--hidden", "192", "--intermediate", "512", "--layers", "4",
           "--heads", "6", "--kv-heads", "2"),
    "25M": ("--hidden", "512", "--intermediate", "1376", "--layers", "8",
            "--heads", "8", "--kv-heads", "4"),
}


def peak_resident_bytes(done):
    """The largest peak of each training process of this build, by process,
    read until `done` is set."""
    peaks = {}
    while not done.is_set():
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                program = (entry / "cmdline").read_bytes().split(b"\0")[0]
                if not program.endswith(b"varalign-trainer"):
                    continue
                if not program.startswith(str(harness.BUILD).encode()):
                    continue
                for line in (entry / "status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        peaks[entry.name] = int(line.split()[1]) * 1024
            except OSError:
                continue
        time.sleep(0.02)
    return peaks


class PlanTest(harness.ServiceTest):
    def model(self, shape):
        model = self.directory / shape
        if not model.exists():
            subprocess.run(
                [sys.executable, harness.SOURCE / "tools" / "make_llama.py",
                 model, "--tokenizer", WORLD / "policy", "--positions", "1024",
                 *SHAPES[shape]], check=True)
        return model

    def data(self, model):
        """Pairs as long as those of conversations."""
        data = self.directory / "data"
        if data.exists():
            return data
        rng = random.Random(1)

        def text(count):
            return " ".join(rng.choice(WORDS) for _ in range(count))

        rows = self.directory / "pairs.jsonl"
        with open(rows, "w") as file:
            for _ in range(60):
                file.write(json.dumps({
                    "prompt": text(rng.randrange(40, 160)),
                    "chosen": text(rng.randrange(20, 80)),
                    "rejected": text(rng.randrange(20, 80))}) + "\n")
        process = harness.varalign("prepare", "--model", model, "--in", rows,
                                   "--out", data)
        self.assertEqual(process.returncode, 0, process.stderr)
        return data

    def config(self, shape, **train):
        model = self.model(shape)
        return self.write(f"{shape}.json", json.dumps({
            "name": "plan",
            "model": {"path": str(model)},
            "data": {"path": str(self.data(model))},
            "objective": {"preset": "sft", "train_on": "all"},
            "train": {"max_steps": 1, "threads": 1, "global_batch": 12,
                      **train}}))

    def plan(self, config, *arguments):
        return harness.varalign("plan", config, "--json", "--gemm-tflops",
                                "0.1", *arguments)

    def measure(self, config):
        done, peaks = threading.Event(), {}
        thread = threading.Thread(
            target=lambda: peaks.update(peak_resident_bytes(done)))
        thread.start()
        try:
            harness.json_of(harness.varalign(
                "train", config, "--out", self.directory / "run", "--json"))
        finally:
            done.set()
            thread.join()
        return peaks

    def check(self, shape, **train):
        config = self.config(shape, workers=train.pop("workers", 1), **train)
        plan = harness.json_of(self.plan(config))
        peaks = self.measure(config)
        self.assertEqual(len(peaks), plan["workers"])
        told = plan["memory"]["total_bytes"]
        for peak in peaks.values():
            self.assertLess(abs(told - peak), 0.1 * peak,
                            f"told {told}, measured {peak}: {plan}")
        steps = harness.steps_of(self.directory / "run").values()
        self.assertEqual(len(steps), plan["steps"])
        for key in ("tokens", "computed_tokens"):
            self.assertEqual(sum(step[f"num_{key}"] for step in steps) / len(steps),
                             plan[f"{key}_per_step"])

    def test_2m_on_one_worker(self):
        self.check("2M", micro_batch_tokens=8192)

    def test_25m_on_one_worker(self):
        self.check("25M", micro_batch_tokens=2048)

    def test_25m_on_two_workers(self):
        self.check("25M", workers=2, micro_batch_tokens=1024)

    def test_25m_without_shared_prompts(self):
        self.check("25M", prompt_sharing=False, micro_batch_tokens=2048)

    def test_25m_with_recomputed_layers(self):
        self.check("25M", activation_recompute="full", micro_batch_tokens=2048)

    def test_25m_with_recomputed_mlps(self):
        self.check("25M", activation_recompute="mlp", micro_batch_tokens=2048)

    def test_25m_with_recomputed_rows(self):
        self.check("25M", activation_recompute="elementwise",
                   micro_batch_tokens=2048)

    def test_25m_with_an_adapter(self):
        self.check("25M", micro_batch_tokens=2048, lora={"rank": 16})

    def test_25m_in_bfloat16(self):
        self.check("25M", micro_batch_tokens=2048, precision="bf16")

    def test_25m_with_frozen_layers(self):
        self.check("25M", micro_batch_tokens=2048, freeze=(
            "model.embed_tokens.*, " + ", ".join(
                f"model.layers.{i}.*" for i in range(6))))

    def test_a_run_that_does_not_fit_is_refused_with_a_remedy(self):
        config = self.config("25M", workers=1, micro_batch_tokens=2048)
        process = self.plan(config, "--device-memory", "0.8")
        self.assertEqual(process.returncode, 78)
        self.assertIn("train.micro_batch_tokens: ", process.stderr)
        self.assertFalse(json.loads(process.stdout)["fits"])
        self.assertEqual(process.stderr.count("\n"), 1)

    def test_measures_the_rate_of_the_machine_where_none_is_given(self):
        plan = harness.json_of(harness.varalign(
            "plan", self.config("2M", workers=1), "--json"))
        self.assertGreater(plan["gemm_tflops"], 0.001)
        self.assertGreater(plan["eta_seconds"], 0)
        self.assertEqual(plan["steps"], 1)
        self.assertEqual(plan["padding_share"], 0)

    def test_what_training_would_refuse_is_refused_here(self):
        config = self.config("2M", workers=1)
        for override, code in (("data.path=/nowhere", 66),
                               ("model.path=/nowhere", 66),
                               ("train.global_bath=3", 78),
                               ("objective.z.block=7", 78)):
            process = self.plan(config, "--set", override)
            self.assertEqual(process.returncode, code, process.stderr)
            self.assertEqual(process.stdout, "")


harness.main(__name__)
