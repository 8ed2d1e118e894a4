"""Killed processes: what is lost, what goes on, what resumes, bit for bit."""
import array
import json
import os
import pathlib
import shutil
import signal
import time
import urllib.request

import harness
from harness import WORLD

STEPS = 20  # 40 examples / 8, 4 epochs


def tensors_of(model):
    """Bytes of every tensor of a directory, by name."""
    return {name: data
            for path in pathlib.Path(model).glob("*.safetensors")
            for name, (_, _, data) in harness.safetensors_of(path)[0].items()}


def rounded_to_bfloat16(data):
    """float32 to bfloat16, to nearest, ties to even."""
    values = array.array("I", data)
    return array.array("H", [(v + 0x7fff + (v >> 16 & 1)) >> 16
                             for v in values]).tobytes()


class FaultTest(harness.ServiceTest):
    def setUp(self):
        super().setUp()
        self.config = self.world_config(
            train={"epochs": 4}, checkpoint={"interval_steps": 5})

    def start(self, workers=2):
        self.service.start_coordinator()
        self.service.start_reward_server(WORLD / "policy", WORLD / "reward")
        self.service.start_workers(workers)

    def model_bytes(self, run):
        """Of all shards, in their order."""
        files = (pathlib.Path(run["directory"]) / "model").glob("*.safetensors")
        return b"".join(file.read_bytes() for file in sorted(files))

    def kill_and_resume(self, run_id):
        """Kills a worker after step 7; the run as it is when all is done."""
        self.service.wait_for_step(run_id, 7)
        os.kill(self.service.trainer_pids(run_id)[1], signal.SIGKILL)
        self.assertEqual(self.service.wait_for(run_id)["state"], "FAILED")
        harness.json_of(harness.varalign(
            "submit", "--resume", run_id, "--coordinator",
            self.service.coordinator, "--json"))
        run = self.service.wait_for(run_id, timeout=120)
        self.assertEqual(run["state"], "SUCCEEDED", run["reason"])
        return run

    def uninterrupted(self):
        """Model bytes and losses of the same run when nothing happens."""
        run = self.service.wait_for(self.service.submit(self.config)["run_id"])
        self.assertEqual(run["state"], "SUCCEEDED", run["reason"])
        steps = harness.steps_of(run["directory"])
        return self.model_bytes(run), {s: steps[s]["loss"] for s in steps}

    def assert_same_run(self, run, model, losses):
        steps = harness.steps_of(run["directory"])
        self.assertEqual(sorted(steps), list(range(1, STEPS + 1)))
        self.assertEqual({s: steps[s]["loss"] for s in steps}, losses)
        self.assertEqual(self.model_bytes(run), model)

    def test_a_killed_worker_fails_the_run_by_name_and_resume_finishes_it(self):
        self.start()
        model, losses = self.uninterrupted()
        run_id = self.service.submit(self.config)["run_id"]
        self.service.wait_for_step(run_id, 7)
        killed = time.monotonic()
        os.kill(self.service.trainer_pids(run_id)[1], signal.SIGKILL)
        run = self.service.wait_for(run_id)
        self.assertLess(time.monotonic() - killed, 10)
        self.assertEqual(run["state"], "FAILED")
        self.assertIn("rank 1", run["reason"])
        self.assertIn("SIGKILL", run["reason"])

        resumed = harness.json_of(harness.varalign(
            "submit", "--resume", run_id, "--coordinator",
            self.service.coordinator, "--json"))
        self.assertEqual(resumed["run_id"], run_id)
        run = self.service.wait_for(run_id, timeout=120)
        self.assertEqual(run["state"], "SUCCEEDED", run["reason"])
        self.assertEqual(run["generation"], 2)
        self.assert_same_run(run, model, losses)

    def test_shards_of_half_precision_are_resumed_bit_for_bit(self):
        policy = self.directory / "policy"
        shutil.copytree(WORLD / "policy", policy)
        config = json.loads((policy / "config.json").read_text())
        for key in config.keys() & {"dtype", "torch_dtype"}:
            config[key] = "bfloat16"
        (policy / "config.json").write_text(json.dumps(config))
        self.config = self.world_config(
            model={"path": str(policy)},
            train={"epochs": 4, "freeze": "*embed_tokens*"},
            checkpoint={"interval_steps": 5, "max_shard_bytes": 20000})
        self.start()
        model, losses = self.uninterrupted()
        run = self.kill_and_resume(
            self.service.submit(self.config)["run_id"])
        self.assert_same_run(run, model, losses)

        written = pathlib.Path(run["directory"]) / "model"
        index = json.loads(
            (written / "model.safetensors.index.json").read_text())
        shards = {written / name for name in index["weight_map"].values()}
        self.assertGreater(len(shards), 1)
        self.assertEqual(shards, set(written.glob("*.safetensors")))
        self.assertNotIn(b'"F32"', model)
        before, after = tensors_of(policy), tensors_of(written)
        self.assertEqual(before.keys(), after.keys())
        kept = {name for name in before
                if rounded_to_bfloat16(before[name]) == after[name]}
        self.assertEqual(kept, {"model.embed_tokens.weight"})
        self.assertEqual(json.loads((written / "config.json").read_text()),
                         config)

    def test_a_killed_supervisor_takes_its_rank_along_and_is_named(self):
        self.start()
        run_id = self.service.submit(self.config)["run_id"]
        self.service.wait_for_step(run_id, 3)
        pids = self.service.trainer_pids(run_id)
        killed = time.monotonic()
        self.service.kill("worker-0")
        run = self.service.wait_for(run_id)
        self.assertLess(time.monotonic() - killed, 20)
        self.assertEqual(run["state"], "FAILED")
        self.assertIn("rank", run["reason"])
        for pid in pids.values():
            harness.wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(),
                               20, "trainers to be gone")

    def test_a_killed_coordinator_comes_back_and_the_run_goes_on(self):
        self.start()
        model, losses = self.uninterrupted()
        run_id = self.service.submit(self.config)["run_id"]
        self.service.wait_for_step(run_id, 4)
        pids = self.service.trainer_pids(run_id)
        self.service.kill("coordinator")
        self.service.start_coordinator(self.service.coordinator)
        run = self.service.wait_for(run_id, timeout=120)
        self.assertEqual(run["state"], "SUCCEEDED", run["reason"])
        self.assertEqual(run["generation"], 1)
        self.assertTrue(pids)
        self.assert_same_run(run, model, losses)

    def test_a_killed_reward_server_is_waited_for(self):
        self.start()
        model, losses = self.uninterrupted()
        config = self.world_config(
            name="ahead.yaml", train={"epochs": 4},
            checkpoint={"interval_steps": 5}, scoring={"mode": "ahead"})
        run_id = self.service.submit(config)["run_id"]
        self.service.wait_for_step(run_id, 3)
        address = self.service.reward_server
        self.service.kill("reward-server")
        (self.directory / "reward-server.address").unlink()
        self.service.spawn(
            "reward-server", harness.BIN / "varalign-reward-server",
            "--listen", address, "--policy", WORLD / "policy", "--reward",
            WORLD / "reward", "--address-file",
            self.directory / "reward-server.address")
        run = self.service.wait_for(run_id)
        self.assertEqual(run["state"], "SUCCEEDED", run["reason"])
        self.assert_same_run(run, model, losses)

    def metrics_of(self, name):
        address = (self.directory / f"{name}.metrics").read_text().strip()
        with urllib.request.urlopen(f"http://{address}/metrics") as page:
            lines = page.read().decode().splitlines()
        return {line.split()[0].split("{")[0]: float(line.split()[-1])
                for line in lines if not line.startswith("#")}

    def restart_reward_server(self, store):
        for name in ("address", "metrics"):
            (self.directory / f"reward-server.{name}").unlink(missing_ok=True)
        self.service.start_reward_server(WORLD / "policy", WORLD / "reward",
                                         "--store", store)

    def test_scores_outlive_a_reward_server_that_is_killed(self):
        store = self.directory / "scores.db"
        self.service.start_coordinator()
        losses = []
        for attempt in range(3):
            if attempt == 2:  # nothing of the file can be read
                for path in self.directory.glob("scores.db*"):
                    path.write_bytes(b"?" * path.stat().st_size)
            self.restart_reward_server(store)
            self.service.start_workers(2, first=2 * attempt)
            run = self.service.wait_for(
                self.service.submit(self.config)["run_id"])
            self.assertEqual(run["state"], "SUCCEEDED", run["reason"])
            steps = harness.steps_of(run["directory"])
            losses.append([steps[s]["loss"] for s in sorted(steps)])
            metrics = self.metrics_of("reward-server")
            computed = metrics["varalign_reward_store_misses_total"]
            recalled = metrics["varalign_reward_store_recalled_total"]
            if attempt == 1:
                self.assertEqual(computed, 0)
                self.assertGreater(recalled, 1000)
            else:
                self.assertGreater(computed, 1000)
                self.assertEqual(recalled, 0)
            for worker in (2 * attempt, 2 * attempt + 1):
                self.service.kill(f"worker-{worker}")
            self.service.kill("reward-server")
        self.assertEqual(losses[0], losses[1])
        self.assertEqual(losses[0], losses[2])
        self.assertTrue((self.directory / "scores.db.damaged").exists())


harness.main(__name__)
