"""`varalign train` with `train.lora`: an adapter in place of the model."""
import array
import json
import os
import pathlib
import shutil
import signal
import subprocess
import unittest

import harness
from harness import WORLD

RANK, ALPHA = 4, 8
PREFIX = "base_model.model."
SCRIPT = harness.SOURCE / "tests" / "checkpoint" / "same_adapter.py"


def floats_of(path):
    """Name -> (shape, values) of a float32 safetensors file."""
    tensors, _ = harness.safetensors_of(path)
    for name, (dtype, _, _) in tensors.items():
        assert dtype == "F32", (name, dtype)
    return {name: (shape, array.array("f", data))
            for name, (_, shape, data) in tensors.items()}


def merged(weight, a, b, alpha):
    """weight + alpha / rank * b a, in double precision."""
    (rows, columns), values = weight
    (rank, _), a = a
    _, b = b
    result = list(values)
    for row in range(rows):
        for r in range(rank):
            factor = alpha / rank * b[row * rank + r]
            for column in range(columns):
                result[row * columns + column] += factor * a[r * columns + column]
    return result


def merged_tensors(checkpoint):
    """Name -> (shape, values) of the start model with the checkpoint's adapter added in, by the formula alone; the names that it changes."""
    tensors = floats_of(WORLD / "policy" / "model.safetensors")
    adapter = floats_of(checkpoint / "adapter" / "adapter_model.safetensors")
    alpha = json.loads((checkpoint / "adapter" / "adapter_config.json")
                       .read_text())["lora_alpha"]
    changed = set()
    for name, a in adapter.items():
        if not name.endswith(".lora_A.weight"):
            continue
        b = adapter[name.replace("lora_A", "lora_B")]
        target = name.removeprefix(PREFIX).replace(".lora_A", "")
        tensors[target] = (tensors[target][0], merged(tensors[target], a, b, alpha))
        changed.add(target)
    return tensors, changed


def write_model(target, tensors):
    """The start model's directory with other values."""
    shutil.copytree(WORLD / "policy", target)
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (shape, values) in tensors.items():
        part = array.array("f", values).tobytes()
        header[name] = {"dtype": "F32", "shape": shape,
                        "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (target / "model.safetensors").write_bytes(
        len(text).to_bytes(8, "little") + text + data)


def log_probs(model):
    """Of every token of the held-out responses."""
    process = harness.varalign("score", "--policy", model, "--per-token", "--in",
                               WORLD / "heldout.jsonl", "--out", "-")
    assert process.returncode == 0, process.stderr
    return [log_prob for line in process.stdout.splitlines()
            for log_prob in json.loads(line)["logprobs"]]


class LoraTest(harness.ServiceTest):
    def config(self, name="lora.yaml", lora=None, **train):
        adapter = {"rank": RANK, "alpha": ALPHA, **(lora or {})}
        return self.world_config(
            name=name, eval={"path": str(WORLD / "heldout")},
            train={"epochs": 4, "learning_rate": 1e-2, "lora": adapter,
                   **train})

    def train(self, config, out="run", *arguments, timeout=300):
        return harness.varalign("train", config, "--out",
                                self.directory / out, "--json", *arguments,
                                timeout=timeout)

    def newest(self, out="run"):
        return sorted((self.directory / out / "checkpoints").glob("step-*"))[-1]

    def test_an_adapter_alone_brings_the_policy_to_the_optimum(self):
        # Long: the way of each training leads past even chances first.
        result = harness.json_of(self.train(
            self.config(lora={"rank": 16, "alpha": 16}, epochs=150,
                        warmup="5%"), timeout=500))
        before, after = (result["metrics"][key] for key in ("before", "after"))
        # The policy starts as the reference and ends nearer to the optimum,
        # which is known: more reward than before, and no other policy.
        self.assertLess(before["eval_kl"], 1e-4)
        best = before["eval_optimum_expected_reward"]
        self.assertGreater(after["eval_expected_reward"],
                           before["eval_expected_reward"] + 0.1)
        self.assertLess(abs(best - after["eval_expected_reward"]),
                        (best - before["eval_expected_reward"]) / 2)
        self.assertLess(after["eval_kl_to_optimum"],
                        before["eval_kl_to_optimum"] / 2)
        # The model that is left is the one that was evaluated, and the start
        # model with the adapter added in.
        model = self.newest() / "model"
        tensors, _ = merged_tensors(self.newest())
        write_model(self.directory / "expected", tensors)
        ours, expected = log_probs(model), log_probs(self.directory / "expected")
        self.assertEqual(len(ours), len(expected))
        for one, other in zip(ours, expected):
            self.assertAlmostEqual(one, other, delta=1e-5)
        again = harness.json_of(self.train(self.world_config(
            name="again.yaml", model={"path": str(model)},
            eval={"path": str(WORLD / "heldout")},
            train={"max_steps": 1, "learning_rate": 1e-12}), "again"))
        self.assertAlmostEqual(
            again["metrics"]["before"]["eval_expected_reward"],
            after["eval_expected_reward"], places=5)

    def test_leaves_an_adapter_and_the_model_with_it(self):
        modules = ["q_proj", "v_proj", "down_proj"]
        harness.json_of(self.train(
            self.config(lora={"target_modules": modules})))
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

        start = floats_of(WORLD / "policy" / "model.safetensors")
        model = floats_of(checkpoint / "model" / "model.safetensors")
        adapter = floats_of(
            checkpoint / "adapter" / "adapter_model.safetensors")
        expected, changed = merged_tensors(checkpoint)
        self.assertEqual(start.keys(), model.keys())
        self.assertEqual(changed, {name for name in start
                                   if name.split(".")[-2] in modules})
        # All else has the bits it had.
        self.assertEqual(
            changed, {name for name in start if start[name] != model[name]})
        self.assertEqual(
            adapter.keys(),
            {PREFIX + name.replace(".weight", f".lora_{part}.weight")
             for name in changed for part in "AB"})
        for name in changed:
            for ours, theirs in zip(model[name][1], expected[name][1]):
                self.assertAlmostEqual(ours, theirs, delta=1e-6)
        # What is trained and kept of the optimizer is the adapter's.
        elements = sum(len(values) for _, values in adapter.values())
        state = json.loads((checkpoint / "state.json").read_text())
        self.assertEqual(int(state["num_parameters"]), elements)
        self.assertEqual(len(state["base_xxh3_128"]), 32)
        ranges = ",".join(
            harness.safetensors_of(path)[1]["ranges"]
            for path in checkpoint.glob("optimizer-*.safetensors"))
        self.assertEqual(max(int(part.split("-")[1])
                             for part in ranges.split(",")),
                         (elements + 255) // 256 * 256)

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
        self.assertAlmostEqual(second["metrics"]["before"]["eval_kl_to_optimum"],
                               first["metrics"]["after"]["eval_kl_to_optimum"],
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
