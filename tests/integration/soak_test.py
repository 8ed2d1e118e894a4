"""A pool that trains one short run after another: nothing of it may grow.

Ten minutes, or VARALIGN_SOAK_SECONDS. Memory and open files are read after each
run; the first third is warm-up, and the two thirds after it are compared.
"""
import os
import pathlib
import statistics
import time

import harness
from harness import WORLD

SECONDS = float(os.environ.get("VARALIGN_SOAK_SECONDS", "600"))
# What a median may rise by from the second third to the last.
MEMORY_SLACK = 4 << 20  # bytes, beside 5% of itself
FILE_SLACK = 4


def resident_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().split("\n"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError(f"no VmRSS of {pid}")


def open_files(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


class SoakTest(harness.ServiceTest):
    def setUp(self):
        super().setUp()
        self.memory = {}  # process name -> bytes, one for each run
        self.files = {}

    def sample(self):
        for name, process in self.service.processes.items():
            self.assertIsNone(process.poll(), f"{name}: {self.service.log(name)}")
            self.memory.setdefault(name, []).append(resident_bytes(process.pid))
            self.files.setdefault(name, []).append(open_files(process.pid))

    def train_once(self, config):
        run_id = self.service.submit(config)["run_id"]
        run = self.service.wait_for(run_id, timeout=120)
        self.assertEqual(run["state"], "SUCCEEDED", run["reason"])
        return run

    def assert_flat(self, name, samples, what, slack, share):
        third = len(samples) // 3
        before = statistics.median(samples[third:2 * third])
        after = statistics.median(samples[2 * third:])
        print(f"{name}: {what} {before:.0f} -> {after:.0f}", flush=True)
        self.assertLessEqual(after, before * (1 + share) + slack,
                             f"{what} of {name} grows: {samples}")

    def test_a_busy_pool_does_not_grow(self):
        config = self.world_config(checkpoint={"interval_steps": 5})
        self.service.start_coordinator()
        self.service.start_reward_server(WORLD / "policy", WORLD / "reward")
        self.service.start_workers(2)
        end = time.monotonic() + SECONDS
        models = set()
        runs = 0
        while time.monotonic() < end or runs < 6:
            run = self.train_once(config)
            runs += 1
            models.add((pathlib.Path(run["directory"]) / "model" /
                        "model.safetensors").read_bytes())
            self.sample()
        print(f"{runs} runs", flush=True)
        self.assertEqual(len(models), 1, "equal runs made different models")
        for name, samples in self.memory.items():
            self.assert_flat(name, samples, "bytes", MEMORY_SLACK, 0.05)
        for name, samples in self.files.items():
            self.assert_flat(name, samples, "open files", FILE_SLACK, 0)


harness.main(__name__)
