#!/usr/bin/env python3
"""What a training step costs under each objective, on the same rows.

  bench/objective_steps.py --varalign build/bin/varalign --model MODEL --data DATA

DATA is prepared and has roles; the reward is a rule, the response's length.
Reference log-probabilities are scored before the first step; what a step waits
for them is taken off.
Objectives take turns, `--rounds` times, so that what else the machine does
falls on all of them. Prints JSON: the median step of each, and its ratio to
weights of 1 on the same rows.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

OBJECTIVES = {
    "weighted_sft": {"kind": "sft", "train_on": "all"},
    "var": {"preset": "boltzmann"},
    "dpo": {"kind": "dpo"},
    "a_lol": {"kind": "a_lol"},
}
NEED_NO_REWARD = ("weighted_sft", "dpo")
REWARD = {"reward": {"length": {"weight": -0.01}}}
SKIPPED = 2  # steps that warm up


def step_seconds(varalign, config, directory):
    subprocess.run([varalign, "train", config, "--out", directory], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    steps = [step for step in map(json.loads, lines) if "step_seconds" in step]
    return ([step["step_seconds"] - step["weight_wait_seconds"]
             for step in steps[SKIPPED:]],
            sum(step["num_rows"] for step in steps[SKIPPED:]))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--varalign", default="build/bin/varalign")
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--global-batch", type=int, default=8)
    arguments = parser.parse_args()
    varalign = str(pathlib.Path(arguments.varalign).resolve())
    seconds = {name: [] for name in OBJECTIVES}
    rows = {}
    with tempfile.TemporaryDirectory() as place:
        for turn in range(arguments.rounds):
            for name, objective in OBJECTIVES.items():
                config = pathlib.Path(place) / f"{name}-{turn}.yaml"
                config.write_text(json.dumps({  # JSON is YAML
                    "name": name, "objective": objective,
                    "model": {"path": str(arguments.model.resolve())},
                    "data": {"path": str(arguments.data.resolve())},
                    **({} if name in NEED_NO_REWARD else REWARD),
                    "train": {"workers": 1, "max_steps": arguments.steps,
                              "global_batch": arguments.global_batch,
                              "learning_rate": 1e-6}}))
                found, rows[name] = step_seconds(
                    varalign, config, pathlib.Path(place) / f"{name}-{turn}")
                seconds[name] += found
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    print(json.dumps({
        "steps_each": len(seconds["var"]), "rows_trained": rows,
        "median_step_seconds": medians,
        "ratio_to_weighted_sft": {
            name: medians[name] / medians["weighted_sft"] for name in medians}}))


if __name__ == "__main__":
    main()
