"""What integration tests say: real binaries, real files, loopback only.

A test file is a unittest module whose last line is `harness.main(__name__)`;
it leaves build/test_reports/NAME.json, from which tools/test counts its cases.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = pathlib.Path(
    os.environ.get("VARALIGN_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
BUILD = pathlib.Path(os.environ.get("VARALIGN_BUILD_DIR", SOURCE / "build"))
BIN = BUILD / "bin"
WORLD = BUILD / "test_world"  # made by the fixture world_setup.py
TEST_DATA = pathlib.Path(
    os.environ.get("VARALIGN_TEST_DATA", SOURCE.parent / "shared" / "data"))

TERMINAL_STATES = ("SUCCEEDED", "FAILED", "CANCELLED")


def varalign(*arguments, timeout=300, text_input=None, cwd=None):
    """Runs the client to its end; returns the CompletedProcess."""
    return subprocess.run(
        [BIN / "varalign", *map(str, arguments)], capture_output=True,
        text=True, timeout=timeout, input=text_input, cwd=cwd)


def json_of(process):
    """The one JSON object that a successful process printed."""
    assert process.returncode == 0, (
        f"exit {process.returncode}\n{process.stdout}\n{process.stderr}")
    return json.loads(process.stdout)


def wait_until(condition, timeout=60, what="a condition"):
    """Polls until `condition()` is true and returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s for {what}")
        time.sleep(0.05)


def json_lines(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().split("\n")
            if line]


def safetensors_of(path):
    """Name -> (dtype, shape, bytes) of a file; its metadata."""
    data = pathlib.Path(path).read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        first, last = (begin + offset for offset in entry["data_offsets"])
        tensors[name] = (entry["dtype"], entry["shape"], data[first:last])
    return tensors, metadata


def steps_of(run_directory):
    """The live step lines of a run's metrics.jsonl by step: where a step was
    done again, the highest generation counts."""
    steps = {}
    for line in json_lines(pathlib.Path(run_directory) / "metrics.jsonl"):
        if "loss" not in line:
            continue
        known = steps.get(line["step"])
        if known is None or line["generation"] >= known["generation"]:
            steps[line["step"]] = line
    return steps


class Service:
    """A coordinator, reward servers and workers in a temporary directory."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.processes = {}
        self.coordinator = None
        self.reward_server = None

    def log(self, name):
        path = self.directory / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def spawn(self, name, *command, environment=None):
        log = open(self.directory / f"{name}.log", "ab")
        process = subprocess.Popen(
            [str(part) for part in command], stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, **(environment or {})})
        log.close()
        self.processes[name] = process
        return process

    def address(self, name, timeout=60):
        file = self.directory / f"{name}.address"

        def listening():
            if self.processes[name].poll() is not None:
                raise AssertionError(
                    f"{name} exited {self.processes[name].returncode}:\n"
                    + self.log(name))
            return file.exists() and file.read_text().strip()

        return wait_until(listening, timeout, f"the address of {name}")

    def start_coordinator(self, listen="127.0.0.1:0"):
        with contextlib.suppress(FileNotFoundError):
            (self.directory / "coordinator.address").unlink()
        self.spawn("coordinator", BIN / "varalign-coordinator", "--listen",
                   listen, "--state", self.directory / "state", "--runs",
                   self.directory / "runs", "--address-file",
                   self.directory / "coordinator.address",
                   "--metrics-address-file",
                   self.directory / "coordinator.metrics")
        self.coordinator = self.address("coordinator")

    def start_reward_server(self, policy, reward, *arguments):
        self.spawn("reward-server", BIN / "varalign-reward-server", *arguments,
                   "--policy", policy, "--reward", reward, "--address-file",
                   self.directory / "reward-server.address",
                   "--metrics-address-file",
                   self.directory / "reward-server.metrics")
        self.reward_server = self.address("reward-server")

    def worker_command(self, name):
        command = [BIN / "varalign-worker", "--coordinator", self.coordinator,
                   "--metrics-address-file", self.directory / f"{name}.metrics"]
        if self.reward_server:
            command += ["--reward-server", self.reward_server]
        return command

    def start_workers(self, count, first=0):
        for index in range(first, first + count):
            name = f"worker-{index}"
            self.spawn(name, *self.worker_command(name))

    def submit(self, config, *arguments):
        return json_of(varalign("submit", config, "--coordinator",
                                self.coordinator, "--json", *arguments))

    def run(self, run_id):
        runs = json_of(varalign("list", "--coordinator", self.coordinator,
                                "--json"))["runs"]
        return next(run for run in runs if run["run_id"] == run_id)

    def wait_for(self, run_id, states=TERMINAL_STATES, timeout=180):
        def reached():
            run = self.run(run_id)
            return run if run["state"] in states else None

        try:
            return wait_until(reached, timeout, f"{run_id} in {states}")
        except AssertionError as error:
            logs = "".join(f"\n--- {name}\n{self.log(name)[-3000:]}"
                           for name in self.processes)
            raise AssertionError(f"{error}{logs}") from None

    def wait_for_step(self, run_id, step, timeout=120):
        wait_until(lambda: self.run(run_id)["step"] >= step, timeout,
                   f"step {step} of {run_id}")

    def trainer_pids(self, run_id):
        """Pids of the training processes of a run by rank."""
        pids = {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                if not words[0].endswith("varalign-trainer"):
                    continue
                flags = dict(word.split("=", 1) for word in words if "=" in word)
                if flags["--run"] == run_id:
                    pids[int(flags["--rank"])] = int(entry.name)
        return pids

    def kill(self, name, number=signal.SIGKILL):
        self.processes[name].send_signal(number)
        self.processes[name].wait(timeout=30)

    def stop(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class ServiceTest(unittest.TestCase):
    """A test with a temporary directory and a service that is stopped."""

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="varalign-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.service = Service(self.directory)
        self.addCleanup(self.service.stop)

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path

    def world_config(self, name="world.yaml", **sections):
        """A short run on the test world; keyword arguments replace sections:
        world_config(train={"epochs": 1})."""
        config = {
            "name": "world",
            "model": {"path": str(WORLD / "policy")},
            "reward": {"path": str(WORLD / "reward")},
            "data": {"path": str(WORLD / "data")},
            "objective": {"ref_logp": "sum", "lambda": 1.0,
                          "lambda_unit": "raw",
                          "response_source": "enumerated"},
            "train": {"workers": 2, "epochs": 2, "global_batch": 8,
                      "learning_rate": 3e-3, "threads": 1},
            "checkpoint": {"interval_steps": 2},
        }
        for section, values in sections.items():
            if isinstance(values, dict):
                config.setdefault(section, {}).update(values)
            else:
                config[section] = values
        return self.write(name, json.dumps(config))  # JSON is YAML


class _Report(unittest.TextTestResult):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.cases = []

    def _add(self, test, result, failed=False):
        self.cases.append({"name": test.id(), "status": "RUN", "result": result,
                           **({"failures": [{}]} if failed else {})})

    def addSuccess(self, test):
        super().addSuccess(test)
        self._add(test, "COMPLETED")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._add(test, "COMPLETED", failed=True)

    def addError(self, test, error):
        super().addError(test, error)
        self._add(test, "COMPLETED", failed=True)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._add(test, "SKIPPED")


def main(module):
    if module != "__main__":
        return
    loader, tests = unittest.defaultTestLoader, sys.modules["__main__"]
    suite = (loader.loadTestsFromNames(sys.argv[1:], tests)
             if len(sys.argv) > 1 else loader.loadTestsFromModule(tests))
    result = unittest.TextTestRunner(resultclass=_Report, verbosity=2).run(suite)
    reports = BUILD / "test_reports"
    reports.mkdir(parents=True, exist_ok=True)
    name = pathlib.Path(sys.argv[0]).stem
    (reports / f"{name}.json").write_text(
        json.dumps({"testsuites": [{"testsuite": result.cases}]}))
    sys.exit(0 if result.wasSuccessful() else 1)
