#!/usr/bin/env python3
"""`varalign prepare` on preference rows against the Python package `tokenizers` on the same texts, in turn, in one call:

    bench/prepare.py --model DIR --in FILE... --peer-python PYTHON

PYTHON is an interpreter with tokenizers. The peer only encodes the texts `chosen` and `rejected` of every row, on one thread: it
checks, renders and writes nothing. Prints JSON: megabytes of input a second of CPU time (user and system, so per core; start and
loading of the tokenizer taken off, as a run on one row measures them) as medians over rounds, rows a second, the ratio to the
peer, and the peak memory of a run on --rows rows (the input again and again).
"""
import argparse
import gzip
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


def run(command):
    """CPU seconds and peak resident bytes of a command that succeeds; its standard output."""
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"failed: {' '.join(map(str, command))}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, output


class Bench:
    def __init__(self, arguments, directory):
        self.arguments, self.directory = arguments, directory

    def ours(self, rows):
        out = self.directory / "data"
        shutil.rmtree(out, ignore_errors=True)
        result = run([pathlib.Path(self.arguments.build) / "bin/varalign", "prepare", "--model", self.arguments.model, "--in", rows,
                      "--out", out, "--json", "--quiet", "--max-bad-fraction", "0.05", "--max-length", self.arguments.max_length])
        return (*result[:2], json.loads(result[2]))

    def peer(self, rows):
        return run([self.arguments.peer_python, ROOT / "bench/peers/tokenizers_loop.py", self.arguments.model, rows])


def read_lines(paths):
    lines = []
    for path in paths:
        opened = gzip.open(path, "rt", encoding="utf-8") if path.endswith(".gz") else open(path, encoding="utf-8")
        with opened as file:
            lines += [line for line in file if line.strip()]
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--in", dest="inputs", nargs="+", required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--build", default=ROOT / "build")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=100000)
    parser.add_argument("--max-length", type=int, default=8192)
    arguments = parser.parse_args()
    lines = read_lines(arguments.inputs)
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        bench = Bench(arguments, directory)
        one, all_rows, many = (directory / name for name in ("one.jsonl", "all.jsonl", "many.jsonl"))
        one.write_text(lines[0], encoding="utf-8")
        all_rows.write_text("".join(lines), encoding="utf-8")
        with open(many, "w", encoding="utf-8") as file:
            for i in range(arguments.rows):
                file.write(lines[i % len(lines)])
        megabytes = all_rows.stat().st_size / 1e6
        rounds = []
        for _ in range(arguments.rounds):
            ours = bench.ours(all_rows)[0] - bench.ours(one)[0]
            peer = bench.peer(all_rows)[0] - bench.peer(one)[0]
            rounds.append((megabytes / ours, megabytes / peer))
        many_seconds, many_bytes, many_result = bench.ours(many)
        print(json.dumps({
            "version": 1,
            "benchmark": "prepare",
            "rows": len(lines),
            "megabytes": round(megabytes, 2),
            "megabytes_per_cpu_second": statistics.median(a for a, _ in rounds),
            "peer_megabytes_per_cpu_second": statistics.median(b for _, b in rounds),
            "ratio_median": statistics.median(a / b for a, b in rounds),
            "ratios": [a / b for a, b in rounds],
            "rows_per_cpu_second": statistics.median(a for a, _ in rounds) / megabytes * len(lines),
            "many": {"rows": many_result["rows"], "tokens": many_result["tokens"], "megabytes": round(many.stat().st_size / 1e6, 2),
                     "cpu_seconds": many_seconds, "peak_resident_bytes": many_bytes},
        }, indent=2))


if __name__ == "__main__":
    main()
