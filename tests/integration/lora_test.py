"""`varalign train` with `train.lora`: an adapter in place of the model."""
import array
import json
import os
import pathlib
import signal
import struct
import subprocess
import unittest

import harness
from harness import WORLD

RANK, ALPHA = 4, 8
PREFIX = "base_model.model."
SCRIPT = harness.SOURCE / "tests" / "checkpoint" / "same_adapter.py"


def header_of(path):
    data = pathlib.Path(path).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8:8 + size]), data[8 + size:]


def tensors_of(path):
    """Name -> (shape, values) of a float32 safetensors file."""
    header, data = header_of(path)
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        assert entry["dtype"] == "F32", (name, entry["dtype"])
        begin, end = entry["data_offsets"]
        tensors[name] = (entry["shape"], array.array("f", data[begin:end]))
    return tensors


def merged(weight, a, b):
    """weight + alpha / rank * b a."""
    (rows, columns), values = weight
    (rank, _), a = a
    _, b = b
    result = list(values)
    for row in range(rows):
        for r in range(rank):
            factor = ALPHA / RANK * b[row * rank + r]
            for column in range(columns):
                result[row * columns + column] += factor * a[r * columns + column]
    return result


class LoraTest(harness.ServiceTest):
    def config(self, name="lora.yaml", lora=None, **train):
        adapter = {"rank": RANK, "alpha": ALPHA, **(lora or {})}
        return self.world_config(
            name=name, eval={"path": str(WORLD / "heldout")},
            train={"epochs": 4, "learning_rate": 1e-2, "lora": adapter,
                   **train})

    def train(self, config, out="run", *arguments):
        return harness.varalign("train", config, "--out",
                                self.directory / out, "--json", *arguments)

    def newest(self, out="run"):
        return sorted((self.directory / out / "checkpoints").glob("step-*"))[-1]

    def test_leaves_an_adapter_and_the_model_with_it(self):
        modules = ["q_proj", "v_proj", "down_proj"]
        harness.json_of(self.train(
            self.config(lora={"target_modules": modules}, epochs=12,
                        learning_rate=3e-3)))
        losses = [line["loss"] for _, line in sorted(
            harness.steps_of(self.directory / "run").items())]
        # The means of the first and the last epoch, of five steps each.
        self.assertLess(sum(losses[-5:]), sum(losses[:5]) - 0.05)
        checkpoint = self.newest()
        names = [file["name"] for file in json.loads(
            (checkpoint / "MANIFEST.json").read_text())["files"]]
        self.assertIn("adapter/adapter_config.json", names)
        self.assertIn("adapter/adapter_model.safetensors", names)
        config = json.loads(
            (checkpoint / "adapter" / "adapter_config.json").read_text())
        self.assertEqual(
            [config[key] for key in ("peft_type", "task_type", "r",
                                     "lora_alpha", "target_modules",
                                     "base_model_name_or_path")],
            ["LORA", "CAUSAL_LM", RANK, ALPHA, modules, str(WORLD / "policy")])

        start = tensors_of(WORLD / "policy" / "model.safetensors")
        model = tensors_of(checkpoint / "model" / "model.safetensors")
        adapter = tensors_of(
            checkpoint / "adapter" / "adapter_model.safetensors")
        self.assertEqual(start.keys(), model.keys())
        changed = {name for name in start if start[name] != model[name]}
        self.assertEqual(
            changed, {name for name in start
                      if name.split(".")[-2] in modules})
        self.assertEqual(
            adapter.keys(),
            {PREFIX + name.replace(".weight", f".lora_{part}.weight")
             for name in changed for part in "AB"})
        for name in changed:
            stem = PREFIX + name.removesuffix(".weight")
            expected = merged(start[name], adapter[stem + ".lora_A.weight"],
                              adapter[stem + ".lora_B.weight"])
            for ours, theirs in zip(model[name][1], expected):
                self.assertAlmostEqual(ours, theirs, delta=1e-5)
        # What is trained and kept of the optimizer is the adapter's.
        elements = sum(len(values) for _, values in adapter.values())
        state = json.loads((checkpoint / "state.json").read_text())
        self.assertEqual(int(state["num_parameters"]), elements)
        self.assertEqual(len(state["base_xxh3_128"]), 32)
        ends = [int(header_of(path)[0]["__metadata__"]["end"])
                for path in checkpoint.glob("optimizer-*.safetensors")]
        self.assertEqual(max(ends), (elements + 255) // 256 * 256)

    def test_peft_loads_the_adapter(self):
        python = os.environ.get("VARALIGN_PYTHON", "/usr/bin/python3")
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        if subprocess.run([python, "-c", "import peft, transformers"],
                          capture_output=True, env=environment).returncode:
            raise unittest.SkipTest(
                f"no peft in {python}, set VARALIGN_PYTHON to one that has it")
        harness.json_of(self.train(self.config()))
        checkpoint = self.newest()
        process = subprocess.run(
            [python, SCRIPT, WORLD / "policy", checkpoint / "adapter",
             checkpoint / "model"], capture_output=True, text=True,
            env=environment)
        self.assertEqual(process.returncode, 0, process.stderr[-3000:])
        print(process.stdout.strip())

    def test_a_killed_run_goes_on_to_the_bits_of_an_uninterrupted_one(self):
        config = self.config(epochs=20)
        harness.json_of(self.train(config, "whole"))
        out = self.directory / "run"
        client = subprocess.Popen(
            [harness.BIN / "varalign", "train", config, "--out", out],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        harness.wait_until(
            lambda: len(list((out / "checkpoints").glob("step-*"))) >= 2, 120,
            "two checkpoints")
        client.send_signal(signal.SIGKILL)
        client.wait()
        harness.json_of(self.train(config, "run", "--resume"))
        for name in ("adapter/adapter_model.safetensors",
                     "model/model.safetensors",
                     "optimizer-00000-of-00002.safetensors",
                     "optimizer-00001-of-00002.safetensors"):
            self.assertEqual((self.newest("whole") / name).read_bytes(),
                             (self.newest("run") / name).read_bytes(), name)

    def test_a_run_goes_on_from_an_adapter(self):
        first = harness.json_of(self.train(self.config(epochs=20)))
        adapter = str(self.newest() / "adapter")
        again = self.config("again.yaml", lora={"adapter": adapter}, epochs=1,
                            learning_rate=1e-9)
        second = harness.json_of(self.train(again, "again"))
        self.assertAlmostEqual(second["metrics"]["before"]["kl_to_optimum"],
                               first["metrics"]["after"]["kl_to_optimum"],
                               places=6)
        other = self.config("other.yaml", lora={"adapter": adapter, "rank": 8})
        process = self.train(other, "other")
        self.assertEqual(process.returncode, 78, process.stderr)
        self.assertIn("train.lora.rank is not that of the adapter",
                      process.stderr)

    def test_what_an_adapter_cannot_have_is_refused_with_its_place(self):
        config = self.write(
            "bad.yaml", f"model: {{path: {WORLD / 'policy'}}}\n"
            f"data: {{path: {WORLD / 'data'}}}\n"
            "train:\n  lora:\n    rank: 8\n    dropout: 0.1\n"
            "    target_modules: [q_proj, lm_head]\n")
        process = harness.varalign("config", "validate", config)
        self.assertEqual(process.returncode, 78)
        self.assertIn("bad.yaml:6:14: error: train.lora.dropout: only 0",
                      process.stderr)
        self.assertIn("bad.yaml:7:21: error: train.lora.target_modules: no "
                      "projection has this name", process.stderr)


harness.main(__name__)
