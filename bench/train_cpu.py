#!/usr/bin/env python3
"""Our training step against a plain transformers loop, on the same rows, in
turn, in one call:

    bench/train_cpu.py --model DIR --data DATASET --peer-python PYTHON

PYTHON is an interpreter with torch and transformers. Prints JSON: tokens per
second of both as medians over rounds (the first step of a round is a warm-up),
their ratio round by round, the largest difference of their losses, peak memory.
On a shared machine only the ratios mean anything.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


def measure(command):
    output = subprocess.run([str(part) for part in command], check=True,
                            capture_output=True, text=True,
                            env={**os.environ, "HF_HUB_OFFLINE": "1"}).stdout
    return json.loads(output.strip().split("\n")[-1])


def tokens_per_second(result):
    return sum(result["step_tokens"][1:]) / sum(result["step_seconds"][1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--build", default=ROOT / "build")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--micro-batch-tokens", type=int, default=2048)
    arguments = parser.parse_args()
    batches = pathlib.Path(tempfile.mkdtemp()) / "batches.json"
    common = ["--model", arguments.model, "--threads", arguments.threads,
              "--micro-batch-tokens", arguments.micro_batch_tokens]
    ours = [pathlib.Path(arguments.build) / "libexec/varalign/train_cpu",
            *common, "--data", arguments.data, "--steps", arguments.steps,
            "--batch", arguments.batch]
    peer = [arguments.peer_python, ROOT / "bench/peers/transformers_loop.py",
            *common, "--batches", batches]
    measure([*ours, "--write-batches", batches])
    rounds = [(measure(ours), measure(peer)) for _ in range(arguments.rounds)]
    ratios = [tokens_per_second(a) / tokens_per_second(b) for a, b in rounds]
    first_ours, first_peer = rounds[0]
    print(json.dumps({
        "version": 1,
        "benchmark": "train_cpu",
        "parameters": first_ours["parameters"],
        "threads": arguments.threads,
        "tokens_per_step": statistics.mean(first_ours["step_tokens"]),
        "ratio_median": statistics.median(ratios),
        "ratios": ratios,
        "tokens_per_second": statistics.median(
            tokens_per_second(a) for a, _ in rounds),
        "peer_tokens_per_second": statistics.median(
            tokens_per_second(b) for _, b in rounds),
        "largest_loss_difference": max(
            abs(a - b) / abs(b)
            for a, b in zip(first_ours["losses"], first_peer["losses"])),
        "peak_resident_bytes": max(a["peak_resident_bytes"] for a, _ in rounds),
        "peer_peak_resident_bytes": max(
            b["peak_resident_bytes"] for _, b in rounds),
    }, indent=2))


if __name__ == "__main__":
    main()
