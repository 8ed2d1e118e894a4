#!/usr/bin/env python3
"""Seconds from the start of a process to the end of its first training step, ours and a peer's, in turn, in one call:

    bench/first_step.py --model DIR --data DATASET --peer-python PYTHON

Ours is `varalign train` (client, coordinator, one worker) on --batch examples, until the step is in the run's metrics. The peer is
bench/peers/transformers_loop.py on the same rows, until it exits. PYTHON is an interpreter with torch and transformers. Prints one
JSON object; the first round of each is a warm-up and is not counted.
"""
import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True}


def seconds_since(start, line):
    text = json.loads(line)["time"]
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() - start


class Bench:
    def __init__(self, arguments, directory):
        self.arguments, self.directory = arguments, directory
        self.batches = directory / "batches.json"
        self.config = directory / "run.json"  # JSON is YAML
        self.runs = 0

    def prepare(self):
        a = self.arguments
        subprocess.run([a.build / "libexec/varalign/train_cpu", "--model", a.model, "--data", a.data, "--steps", "1", "--batch",
                        str(a.batch), "--write-batches", self.batches], **QUIET)
        self.config.write_text(json.dumps({
            "model": {"path": str(a.model)}, "data": {"path": str(a.data)}, "objective": {"preset": "sft"},
            "train": {"workers": 1, "global_batch": a.batch, "max_steps": 1, "threads": a.threads}}))

    def ours(self):
        self.runs += 1
        out = self.directory / f"run{self.runs}"
        start = time.time()
        subprocess.run([self.arguments.build / "bin/varalign", "train", self.config, "--out", out], **QUIET)
        return seconds_since(start, (out / "metrics.jsonl").read_text().split("\n")[0])

    def peer(self):
        start = time.time()
        subprocess.run([self.arguments.peer_python, ROOT / "bench/peers/transformers_loop.py", "--model", self.arguments.model,
                        "--batches", self.batches, "--threads", str(self.arguments.threads), "--steps", "1"],
                       env={**os.environ, "HF_HUB_OFFLINE": "1"}, **QUIET)
        return time.time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(arguments, pathlib.Path(directory))
        bench.prepare()
        rounds = [(bench.ours(), bench.peer()) for _ in range(arguments.rounds + 1)][1:]
    ours, peer = zip(*rounds)
    print(json.dumps({"version": 1, "benchmark": "first_step", "examples": arguments.batch, "threads": arguments.threads,
                      "seconds": statistics.median(ours), "peer_seconds": statistics.median(peer),
                      "all_seconds": ours, "all_peer_seconds": peer}, indent=2))


if __name__ == "__main__":
    main()
