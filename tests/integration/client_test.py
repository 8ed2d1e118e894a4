"""submit, watch, list and cancel against a long-lived coordinator."""
import json
import threading

import harness
from harness import WORLD


class ClientTest(harness.ServiceTest):
    def setUp(self):
        super().setUp()
        self.service.start_coordinator()
        self.service.start_reward_server(WORLD / "policy", WORLD / "reward")

    def client(self, verb, *arguments, **options):
        return harness.varalign(verb, *arguments, "--coordinator",
                                self.service.coordinator, "--json", **options)

    def test_watch_streams_every_step_and_ends_with_the_runs_code(self):
        self.service.start_workers(2)
        run_id = self.service.submit(
            self.world_config(train={"epochs": 1}))["run_id"]
        watched = self.client("watch", run_id)
        self.assertEqual(watched.returncode, 0, watched.stderr)
        lines = [json.loads(line) for line in watched.stdout.splitlines()]
        steps = [line["step"] for line in lines if line["event"] == "step"]
        self.assertEqual(steps, [1, 2, 3, 4, 5])
        self.assertTrue(all(
            key in line for line in lines if line["event"] == "step"
            for key in ("loss", "ess", "tokens_per_second")))
        numbers = [line["number"] for line in lines if line["number"]]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual(lines[-1]["to"], "SUCCEEDED")

    def test_runs_wait_their_turn_and_say_what_for(self):
        config = self.world_config(train={"epochs": 1})
        first = self.service.submit(config)["run_id"]
        second = self.service.submit(config)["run_id"]
        self.assertNotEqual(first, second)
        self.assertEqual(self.service.run(first)["state"], "QUEUED")
        self.service.start_workers(2)
        for run_id in (first, second):
            self.assertEqual(self.service.wait_for(run_id)["state"],
                             "SUCCEEDED")

    def test_fifty_sends_of_one_submit_make_one_run(self):
        config = self.world_config()
        ids = []

        def submit():
            ids.append(self.service.submit(config, "--request-id",
                                           "the-same")["run_id"])

        threads = [threading.Thread(target=submit) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(ids), 50)
        self.assertEqual(len(set(ids)), 1)
        other = self.client("submit", self.world_config(train={"epochs": 3}),
                            "--request-id", "the-same")
        self.assertEqual(other.returncode, 73, other.stderr)

    def test_a_queued_run_is_cancelled_at_once(self):
        run_id = self.service.submit(self.world_config())["run_id"]
        cancelled = self.client("cancel", run_id)
        self.assertEqual(harness.json_of(cancelled)["state"], "CANCELLED")
        self.assertNotIn("nothing to cancel", cancelled.stderr)
        again = self.client("cancel", run_id)
        self.assertEqual(harness.json_of(again)["state"], "CANCELLED")
        self.assertIn("nothing to cancel", again.stderr)

    def test_a_cancelled_run_keeps_a_checkpoint_and_resumes(self):
        self.service.start_workers(2)
        config = self.world_config(train={"epochs": 40},
                                   checkpoint={"interval_steps": 0})
        run_id = self.service.submit(config)["run_id"]
        self.service.wait_for_step(run_id, 3)
        harness.json_of(self.client("cancel", run_id))
        run = self.service.wait_for(run_id, timeout=60)
        self.assertEqual(run["state"], "CANCELLED", run["reason"])
        self.assertEqual(run["exit_code"], 93)
        self.assertTrue(run["checkpoint"])
        watched = self.client("watch", run_id)
        self.assertEqual(watched.returncode, 93)
        self.client("submit", "--resume", run_id)
        self.service.wait_for_step(run_id, run["step"] + 1)
        harness.json_of(self.client("cancel", run_id))
        self.service.wait_for(run_id, timeout=60)

    def test_submit_prints_the_id_alone(self):
        process = harness.varalign("submit", self.world_config(),
                                   "--coordinator", self.service.coordinator)
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertRegex(process.stdout, r"\Ar-[0-9a-f]+\n\Z")
        run_id = process.stdout.strip()
        self.assertIn(f"watch {run_id}", process.stderr)
        self.assertIn("no workers are registered", process.stderr)
        listed = harness.varalign("list", "--coordinator",
                                  self.service.coordinator)
        self.assertIn("no workers are registered", listed.stderr)
        again = self.client("submit", "--resume", run_id)
        self.assertEqual(again.returncode, 64, again.stderr)
        listed = harness.json_of(self.client("list", "--state", "queued"))
        self.assertEqual([run["run_id"] for run in listed["runs"]], [run_id])

    def test_other_models_than_the_servers_stop_the_run(self):
        self.service.start_workers(2)
        other = self.directory / "other"
        harness.shutil.copytree(WORLD / "reward", other)
        config = json.loads((other / "config.json").read_text())
        config["rms_norm_eps"] = 1e-4
        (other / "config.json").write_text(json.dumps(config))
        run_id = self.service.submit(self.world_config(
            reward={"path": str(other)}))["run_id"]
        run = self.service.wait_for(run_id)
        self.assertEqual((run["state"], run["exit_code"], run["step"]),
                         ("FAILED", 78, 0), run["reason"])
        self.assertIn(str(other), run["reason"])
        self.assertIn(self.service.reward_server, run["reason"])
        # What would fail again is not to be resumed.
        watched = harness.varalign("watch", run_id, "--coordinator",
                                   self.service.coordinator)
        self.assertEqual(watched.returncode, 78, watched.stderr)
        self.assertNotIn("--resume", watched.stdout)

    def test_a_run_without_a_reward_model_is_not_submitted(self):
        config = json.loads(self.world_config().read_text())
        del config["reward"]
        for verb in (("submit",), ("config", "validate")):
            process = harness.varalign(
                *verb, self.write("none.yaml", json.dumps(config)), "--json",
                *(("--coordinator", self.service.coordinator)
                  if verb == ("submit",) else ()))
            self.assertEqual(process.returncode, 78, process.stderr)
            self.assertIn("reward.path", process.stderr)
        errors = json.loads(process.stdout)
        self.assertFalse(errors["valid"])
        self.assertIn("reward.path", errors["errors"][0]["message"])

    def test_another_kind_of_server_is_named_as_such(self):
        process = harness.varalign("list", "--coordinator",
                                   self.service.reward_server)
        self.assertEqual(process.returncode, 69, process.stderr)
        self.assertIn("no coordinator listens there", process.stderr)
        worker = harness.subprocess.run(
            [harness.BIN / "varalign-worker", "--coordinator",
             self.service.reward_server],
            capture_output=True, text=True, timeout=60)
        self.assertEqual(worker.returncode, 69, worker.stderr)
        self.assertIn("no coordinator listens there", worker.stderr)

    def test_an_unknown_run_is_one_clear_line(self):
        for verb in ("watch", "cancel"):
            process = self.client(verb, "r-nowhere")
            self.assertEqual(process.returncode, 66, process.stderr)
            self.assertIn("r-nowhere", process.stderr)

    def test_list_shows_runs_newest_first_and_workers(self):
        first = self.service.submit(self.world_config())["run_id"]
        second = self.service.submit(self.world_config())["run_id"]
        self.service.start_workers(1)
        harness.wait_until(
            lambda: harness.json_of(self.client("list"))["workers"], 20,
            "the worker to register")
        listed = harness.json_of(self.client("list"))
        self.assertEqual([run["run_id"] for run in listed["runs"]],
                         [second, first])
        self.assertFalse(listed["more"])
        address = (self.directory / "worker-0.metrics").read_text().strip()
        self.assertEqual(listed["workers"][0]["metrics_address"], address)
        newest = harness.json_of(self.client("list", "--limit", "1"))
        self.assertEqual([run["run_id"] for run in newest["runs"]], [second])
        self.assertTrue(newest["more"])


class LauncherTest(harness.ServiceTest):
    def launch(self, backend):
        self.service.start_coordinator()
        self.service.start_reward_server(WORLD / "policy", WORLD / "reward")
        self.service.spawn(
            "mpirun", "mpirun", "-np", "2", "--allow-run-as-root",
            "--oversubscribe", "--bind-to", "none",
            harness.BIN / "varalign-worker", "--coordinator",
            self.service.coordinator, "--reward-server",
            self.service.reward_server,
            environment={"OMPI_MCA_btl_vader_single_copy_mechanism": "none"})
        run_id = self.service.submit(self.world_config(
            train={"epochs": 1}, collective={"backend": backend}))["run_id"]
        run = self.service.wait_for(run_id)
        self.assertEqual(run["state"], "SUCCEEDED", run["reason"])
        self.assertEqual(run["workers"], 2)
        return harness.steps_of(run["directory"])

    def test_mpirun_starts_the_pool_and_gloo_reduces(self):
        self.assertEqual(len(self.launch("gloo")), 5)

    def test_mpirun_starts_the_pool_and_mpi_reduces(self):
        self.assertEqual(len(self.launch("mpi")), 5)


harness.main(__name__)
