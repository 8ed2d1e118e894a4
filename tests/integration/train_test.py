"""`varalign train`: the main job, from a configuration to a model directory."""
import json

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
        self.assertLess(before["kl"], 1e-4)
        self.assertGreater(after["expected_reward"],
                           before["expected_reward"] + 0.1)
        self.assertLess(after["kl_to_optimum"], before["kl_to_optimum"] / 2)
        # The optimum is a constant of the world.
        self.assertAlmostEqual(before["optimum_expected_reward"],
                               after["optimum_expected_reward"], places=6)

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

    def sft_config(self):
        return self.write("sft.yaml", json.dumps({
            "name": "sft",
            "model": {"path": str(WORLD / "policy")},
            "data": {"path": str(WORLD / "data")},
            "objective": {"preset": "sft"},
            "train": {"epochs": 1, "global_batch": 8, "learning_rate": 1e-3}}))

    def test_an_existing_run_directory_is_not_overwritten(self):
        harness.json_of(self.train(train={"epochs": 1}))
        again = self.train(train={"epochs": 1})
        self.assertEqual(again.returncode, 73)
        self.assertIn("--resume", again.stderr)


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
