"""Killed processes: what is lost, what goes on, what resumes, bit for bit."""
import os
import pathlib
import signal
import time

import harness
from harness import WORLD

STEPS = 20  # 40 examples / 8, 4 epochs


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
        return (pathlib.Path(run["directory"]) / "model" /
                "model.safetensors").read_bytes()

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


harness.main(__name__)
