#!/usr/bin/env python3
"""Our training step against peers, on the same rows, in turn, in one call:

    bench/train_cpu.py --model DIR --data DATASET --peer-python PYTHON

PYTHON is an interpreter with torch and transformers, with --trl also TRL, whose
trainers are peers then. A round runs the rate of
matrix products, our step with shared prompts, our step without, and each peer.
Each peer first tries its micro-batch sizes for two steps and keeps the fastest.

Prints one JSON object: medians over rounds of tokens per second counted as if
nothing were shared (the first step of a run is a warm-up), ratios round by
round, model FLOP/s over the matrix-product rate measured beside it, largest
difference of losses, peak resident memory. On a shared machine only ratios
mean anything, and `gemm_spread` says whether it was quiet: rates that differ by
more than a tenth are no measurement.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
PEERS = ROOT / "bench/peers"


def measure(command):
    output = subprocess.run([str(part) for part in command], check=True,
                            capture_output=True, text=True,
                            env={**os.environ, "HF_HUB_OFFLINE": "1"}).stdout
    return json.loads(output.strip().split("\n")[-1])


def rate(result, what="step_tokens"):
    return sum(result[what][1:]) / sum(result["step_seconds"][1:])


def difference(ours, peer):
    """Of losses, relative; None for a peer with a loss of its own."""
    if "losses" not in peer:
        return None
    return max(abs(a - b) / abs(b)
               for a, b in zip(ours["losses"], peer["losses"]))


class Peer:
    def __init__(self, name, command, sizes):
        self.name, self.command, self.sizes = name, command, sizes
        self.size, self.runs = sizes[0], []

    def run(self, size, *extra):
        return measure([*self.command, "--micro-batch-tokens", size, *extra])

    def choose_size(self):
        if len(self.sizes) > 1:
            rates = {s: rate(self.run(s, "--steps", 3)) for s in self.sizes}
            self.size = max(rates, key=rates.get)

    def summary(self, ours):
        return {
            "micro_batch_tokens": self.size,
            "tokens_per_second": statistics.median(map(rate, self.runs)),
            "peak_resident_bytes": max(
                r["peak_resident_bytes"] for r in self.runs),
            "ratios": {
                mode: [rate(a) / rate(b) for a, b in zip(runs, self.runs)]
                for mode, runs in ours.items()},
            "ratio_median": {
                mode: statistics.median(
                    rate(a) / rate(b) for a, b in zip(runs, self.runs))
                for mode, runs in ours.items()},
            "largest_loss_difference": difference(
                ours["unshared"][0], self.runs[0]),
        }


def peers(arguments, batches):
    common = ["--model", arguments.model, "--threads", arguments.threads,
              "--batches", batches]
    programs = {"transformers_loop": ["transformers_loop.py"]}
    if arguments.trl:
        programs |= {f"trl_{trainer}": ["trl_loop.py", "--trainer", trainer]
                     for trainer in ("sft_packed", "sft_padding_free", "dpo")}
    return [Peer(name, [arguments.peer_python, PEERS / program, *flags, *common],
                 arguments.peer_micro_batch_tokens)
            for name, (program, *flags) in programs.items()]


def our_summary(runs, gemm_rates):
    shares = [rate(r, "step_model_flops") / g for r, g in zip(runs, gemm_rates)]
    return {
        "tokens_per_second": statistics.median(map(rate, runs)),
        "computed_share": (sum(runs[0]["step_computed_tokens"]) /
                           sum(runs[0]["step_tokens"])),
        "share_of_gemm_rate": statistics.median(shares),
        "peak_resident_bytes": max(r["peak_resident_bytes"] for r in runs),
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--trl", action="store_true")
    parser.add_argument("--build", default=ROOT / "build")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--micro-batch-tokens", type=int, default=2048)
    parser.add_argument("--peer-micro-batch-tokens", type=int, nargs="+",
                        default=[1024, 2048, 4096, 8192])
    parser.add_argument("--recompute", default="none")
    arguments = parser.parse_args()
    batches = pathlib.Path(tempfile.mkdtemp()) / "batches.json"
    program = pathlib.Path(arguments.build) / "libexec/varalign/train_cpu"
    ours = [program, "--model", arguments.model, "--data", arguments.data,
            "--threads", arguments.threads, "--steps", arguments.steps,
            "--batch", arguments.batch, "--recompute", arguments.recompute,
            "--micro-batch-tokens", arguments.micro_batch_tokens]
    modes = {"shared": [], "unshared": ["--unshared"]}
    measure([*ours, "--write-batches", batches])
    all_peers = peers(arguments, batches)
    for peer in all_peers:
        peer.choose_size()
    runs, gemm_rates = {mode: [] for mode in modes}, []
    for _ in range(arguments.rounds):
        gemm = measure([program, "--gemm", "--threads", arguments.threads])
        gemm_rates.append(gemm["gemm_flops_per_second"])
        for mode, flags in modes.items():
            runs[mode].append(measure([*ours, *flags]))
        for peer in all_peers:
            peer.runs.append(peer.run(peer.size))
    print(json.dumps({
        "version": 2,
        "benchmark": "train_cpu",
        "parameters": runs["shared"][0]["parameters"],
        "threads": arguments.threads,
        "micro_batch_tokens": arguments.micro_batch_tokens,
        "recompute": arguments.recompute,
        "tokens_per_step": statistics.mean(runs["shared"][0]["step_tokens"]),
        "gemm_flops_per_second": statistics.median(gemm_rates),
        "gemm_spread": max(gemm_rates) / min(gemm_rates) - 1,
        "ours": {mode: our_summary(r, gemm_rates) for mode, r in runs.items()},
        "peers": {peer.name: peer.summary(runs) for peer in all_peers},
    }, indent=2))


if __name__ == "__main__":
    main()
