#!/usr/bin/env python3
"""Our scoring path against a peer, on the same rows, in turn, in one call:

    bench/score_cpu.py --policy DIR --reward DIR --data DATASET \\
        --sets own|cross --peer-python PYTHON

Z-sets: `own`, the responses of each prompt; `cross`, in blocks of --block
prompts, the first response of each against every prompt. PYTHON is an
interpreter with torch and transformers. A round runs the rate of matrix
products, ours with shared prompts, ours without, and the peer, which first
tries its batch sizes on two calls and keeps the fastest.

Prints one JSON object: medians over rounds of rows per second, ratios round by
round, the largest differences of scores, the speed-up that sharing gives and
what the counted operations of the decoder promise. On a shared machine only
ratios mean anything; `gemm_spread` says whether it was quiet.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

import score_rows

ROOT = pathlib.Path(__file__).resolve().parents[1]


def measure(command):
    output = subprocess.run([str(part) for part in command], check=True,
                            capture_output=True, text=True,
                            env={**os.environ, "HF_HUB_OFFLINE": "1"}).stdout
    return json.loads(output.strip().split("\n")[-1])


def seconds(result):
    """The first call warms up."""
    return sum(result["call_seconds"][1:])


def choose_batch(command, sizes):
    if len(sizes) == 1:
        return sizes[0]
    return min(sizes, key=lambda size: seconds(
        measure([*command, "--calls", 3, "--batch-tokens", size])))


def difference(what, ours, theirs):
    return max(abs(a - b) for a, b in zip(ours[what], theirs[what]))


def median_ratio(slower, faster):
    ratios = [seconds(a) / seconds(b) for a, b in zip(slower, faster)]
    return {"rounds": ratios, "median": statistics.median(ratios)}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--policy", required=True)
    parser.add_argument("--reward", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--sets", choices=("own", "cross"), required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--build", default=ROOT / "build")
    parser.add_argument("--block", type=int, default=16)
    parser.add_argument("--calls", type=int, default=5)
    parser.add_argument("--rows-per-call", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer-batch-tokens", type=int, nargs="+",
                        default=[1024, 2048, 4096, 8192])
    arguments = parser.parse_args()
    calls = score_rows.calls(arguments.data, arguments.sets, arguments.block,
                             arguments.calls, arguments.rows_per_call)
    rows = pathlib.Path(tempfile.mkdtemp()) / "rows.json"
    rows.write_text(json.dumps(calls))
    libexec = pathlib.Path(arguments.build) / "libexec/varalign"
    common = ["--policy", arguments.policy, "--reward", arguments.reward,
              "--rows", rows, "--threads", arguments.threads]
    ours = [libexec / "score_cpu", *common]
    peer = [arguments.peer_python, ROOT / "bench/peers/transformers_scores.py",
            *common]
    size = choose_batch(peer, arguments.peer_batch_tokens)
    runs = {"shared": [], "unshared": [], "peer": []}
    gemm = []
    for _ in range(arguments.rounds):
        gemm.append(measure([libexec / "train_cpu", "--gemm", "--threads",
                             arguments.threads])["gemm_flops_per_second"])
        runs["shared"].append(measure(ours))
        runs["unshared"].append(measure([*ours, "--unshared"]))
        runs["peer"].append(measure([*peer, "--batch-tokens", size]))
    timed = sum(len(call) for call in calls[1:])
    flops = score_rows.flops(calls[1:], arguments.policy, arguments.reward)
    print(json.dumps({
        "version": 1,
        "benchmark": "score_cpu",
        "sets": arguments.sets,
        "threads": arguments.threads,
        "rows": timed,
        "gemm_flops_per_second": statistics.median(gemm),
        "gemm_spread": max(gemm) / min(gemm) - 1,
        "rows_per_second": {
            name: statistics.median(timed / seconds(r) for r in results)
            for name, results in runs.items()},
        "over_peer": {mode: median_ratio(runs["peer"], runs[mode])
                      for mode in ("shared", "unshared")},
        "sharing": {
            **median_ratio(runs["unshared"], runs["shared"]),
            "promised": flops["unshared"] / flops["shared"]},
        "share_of_gemm_rate": {
            mode: statistics.median(
                flops[mode] / seconds(r) / g
                for r, g in zip(runs[mode], gemm))
            for mode in ("shared", "unshared")},
        "peer_batch_tokens": size,
        "largest_difference": {
            what: difference(what, runs["shared"][0], runs["peer"][0])
            for what in ("log_probs", "rewards")},
        "sharing_changes_no_bit": all(
            runs["shared"][0][what] == runs["unshared"][0][what]
            for what in ("log_probs", "rewards")),
        "peak_resident_bytes": {
            name: max(r["peak_resident_bytes"] for r in results)
            for name, results in runs.items()},
    }, indent=2))


if __name__ == "__main__":
    main()
