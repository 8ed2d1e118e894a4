"""A real Prometheus scrapes a short run: every series of docs/metrics.md is
there, and none else."""
import json
import re
import shutil
import socket
import subprocess
import unittest
import urllib.parse
import urllib.request

import harness
from harness import WORLD

# Made by Prometheus itself for every target.
OWN = {"up", "scrape_duration_seconds", "scrape_samples_scraped",
       "scrape_samples_post_metric_relabeling", "scrape_series_added"}


def documented_metrics():
    """Names in the first column of the tables of docs/metrics.md; a histogram
    stands for its three series."""
    names = set()
    for line in (harness.SOURCE / "docs" / "metrics.md").read_text().split("\n"):
        match = re.match(r"\| `(\w+)` \| (\w+) \|", line)
        if not match:
            continue
        name, kind = match.groups()
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        names |= {name + suffix for suffix in suffixes}
    return names


class PrometheusTest(harness.ServiceTest):
    def start_prometheus(self, targets):
        program = shutil.which("prometheus")
        if program is None:
            raise unittest.SkipTest("prometheus is not installed")
        listing = self.write("prometheus.yml", json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{
                "job_name": "varalign",
                "static_configs": [{"targets": targets}]}]}))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.service.spawn(
            "prometheus", program, f"--config.file={listing}",
            f"--storage.tsdb.path={self.directory / 'tsdb'}",
            f"--web.listen-address={self.address}")

    def query(self, path):
        with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}",
                                    timeout=5) as reply:
            return json.load(reply)["data"]

    def series(self):
        try:
            return set(self.query("label/__name__/values")) - OWN
        except OSError:
            return set()

    def test_scrapes_exactly_the_documented_series(self):
        self.service.start_coordinator()
        self.service.start_reward_server(WORLD / "policy", WORLD / "reward")
        self.service.spawn(
            "worker-0", *self.service.worker_command("worker-0"),
            "--trainer-metrics-address-file",
            self.directory / "trainer.metrics")
        run_id = self.service.submit(self.world_config(
            train={"workers": 1, "epochs": 2000},
            scoring={"mode": "ahead"}))["run_id"]
        files = [self.directory / f"{name}.metrics" for name in
                 ("coordinator", "reward-server", "worker-0", "trainer")]
        harness.wait_until(lambda: all(f.exists() for f in files), 30,
                           "metrics addresses")
        self.start_prometheus([f.read_text().strip() for f in files])
        self.service.wait_for_step(run_id, 3)  # a checkpoint is committed
        documented = documented_metrics()
        try:
            harness.wait_until(lambda: self.series() >= documented, 30, "series")
        except AssertionError:
            self.fail(f"not scraped: {sorted(documented - self.series())}")
        self.assertEqual(self.series() - documented, set())
        up = self.query("query?query=" + urllib.parse.quote("sum(up)"))
        self.assertEqual(up["result"][0]["value"][1], "4")


class AlertsTest(unittest.TestCase):
    DEPLOY = harness.SOURCE / "deploy" / "prometheus"

    def test_prometheus_takes_the_rules(self):
        promtool = shutil.which("promtool")
        if promtool is None:
            self.skipTest("promtool is not installed")
        subprocess.run([promtool, "check", "config",
                        self.DEPLOY / "prometheus.yml"], check=True)

    def test_alerts_ask_for_series_that_are_there_and_are_explained(self):
        rules = (self.DEPLOY / "alerts.yml").read_text()
        used = set(re.findall(r"varalign_\w+", rules))
        self.assertTrue(used)
        self.assertEqual(used - documented_metrics(), set())
        page = (harness.SOURCE / "docs" / "metrics.md").read_text()
        for alert in re.findall(r"alert: (\w+)", rules):
            self.assertIn(f"| `{alert}` |", page)

    def test_targets_have_the_roles_of_the_programs(self):
        config = (self.DEPLOY / "prometheus.yml").read_text()
        page = (harness.SOURCE / "docs" / "metrics.md").read_text()
        self.assertEqual(set(re.findall(r"role: (\w+)", config)),
                         set(re.findall(r"`role`: (\w+)", page)))


class HealthTest(harness.ServiceTest):
    def test_every_process_answers_healthz(self):
        self.service.start_coordinator()
        self.service.start_reward_server(WORLD / "policy", WORLD / "reward")
        self.service.start_workers(1)
        for name in ("coordinator", "reward-server", "worker-0"):
            file = self.directory / f"{name}.metrics"
            harness.wait_until(file.exists, 20, f"{name}'s address")
            url = f"http://{file.read_text().strip()}/healthz"
            with urllib.request.urlopen(url, timeout=5) as reply:
                self.assertEqual(reply.status, 200, name)


harness.main(__name__)
