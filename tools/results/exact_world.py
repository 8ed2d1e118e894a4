#!/usr/bin/env python3
"""Holds the estimators of Z against exact targets in the quickstart's world.

  tools/results/exact_world.py --varalign build/bin/varalign --out DIR

All responses of a prompt are listed there, so the reference's distribution, the
optimum pi* = pi_ref exp(r/lambda)/Z and what every estimator tends to are sums.
Each row of the table trains from the reference and compares mean reward and KL
to the reference with its target's. What is done already is not done again.
No packages needed.
"""
import argparse
import json
import math
import pathlib
import random
import subprocess

LAMBDAS = (0.5, 1.0, 2.0)
SIZE = 2  # responses of a sampled group: the bias of self-normalising is largest
KEYS = ("responses", "rewards", "logprob_sums", "num_tokens")

# name, rows to train on, keys of `objective:`, target
ARMS = [
    ("enumerated, summed log pi_ref", "listed",
     {"ref_logp": "sum", "normalization": "group",
      "response_source": "enumerated"}, "optimum"),
    ("samples, leave-one-out", "sampled",
     {"preset": "boltzmann", "normalization": "group",
      "estimator": "leave_one_out", "weight_clip": 0,
      "response_source": "reference_samples"}, "optimum"),
    ("samples, self-normalised", "sampled",
     {"preset": "boltzmann", "normalization": "group",
      "response_source": "reference_samples"}, "self_normalised"),
    ("samples, summed log pi_ref", "sampled",
     {"ref_logp": "sum", "normalization": "group",
      "response_source": "reference_samples"}, "counted_twice"),
]


def run(*command):
    subprocess.run([str(part) for part in command], check=True)


def normalised(logs):
    top = max(logs)
    total = sum(math.exp(x - top) for x in logs)
    return [math.exp(x - top) / total for x in logs]


def self_normalised(p, r, own, temperature):
    """The expected weight on each response over all samples of SIZE = 2;
    `own` is 1 where weights hold pi_ref, else 0."""
    target = [0.0] * len(p)
    for i, p_i in enumerate(p):
        for j, p_j in enumerate(p):
            gap = own * (math.log(p_j) - math.log(p_i)) + (r[j] - r[i]) / temperature
            target[i] += p_i * p_j / (1 + math.exp(gap))
            target[j] += p_i * p_j / (1 + math.exp(-gap))
    return target


def target_of(kind, p, r, temperature):
    if kind == "optimum":
        return normalised([math.log(x) + y / temperature for x, y in zip(p, r)])
    return self_normalised(p, r, 1 if kind == "counted_twice" else 0, temperature)


def reward_and_kl(groups, distributions):
    reward = kl = 0.0
    for (p, r), q in zip(groups, distributions):
        reward += sum(x * y for x, y in zip(q, r)) / len(groups)
        kl += sum(x * math.log(x / y) for x, y in zip(q, p) if x > 0) / len(groups)
    return reward, kl


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def sample(rows, groups, count, seed):
    """`count` groups of SIZE for each prompt, drawn from the reference."""
    draw = random.Random(seed)
    for row, (p, _) in zip(rows, groups):
        for _ in range(count):
            chosen = draw.choices(range(len(p)), weights=p, k=SIZE)
            yield {**row, **{key: [row[key][k] for k in chosen] for key in KEYS}}


def prepare(varalign, policy, rows, name, out):
    data = out / name
    if not data.exists():
        source = out / f"{name}.jsonl"
        write_lines(source, rows)
        run(varalign, "prepare", "--model", policy, "--in", source, "--out", data)
    return data


def train(varalign, out, name, data, world, objective, options):
    directory = out / name
    if not (directory / "model").exists():
        config = out / f"{name}.yaml"
        config.write_text(json.dumps({  # JSON is YAML
            "name": name, "model": {"path": str(world / "policy")},
            "data": {"path": str(data)}, "eval": {"path": str(out / "listed")},
            "objective": objective,
            "train": {"workers": 1, "threads": 1, "warmup": "2%", **options}}))
        run(varalign, "train", config, "--out", directory)
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines)
            if "eval_expected_reward" in line][-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--varalign", default="build/bin/varalign")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--groups", type=int, default=4000,
                        help="sampled groups for each prompt")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    varalign, out = pathlib.Path(arguments.varalign).resolve(), arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    world = out / "world"
    if not (world / "policy").exists():
        run(varalign, "world", "make", "--out", world)
    scored = out / "scored.jsonl"
    if not scored.exists():
        every = out / "every.jsonl"
        every.write_text((world / "train.jsonl").read_text() +
                         (world / "heldout.jsonl").read_text())
        run(varalign, "score", "--policy", world / "policy", "--reward",
            world / "reward", "--format", "groups", "--in", every, "--out", scored)
    rows = [json.loads(line) for line in scored.read_text().splitlines()]
    groups = [(normalised(row["logprob_sums"]), row["rewards"]) for row in rows]
    data = {"listed": prepare(varalign, world / "policy", rows, "listed", out),
            "sampled": prepare(varalign, world / "policy",
                               sample(rows, groups, arguments.groups, arguments.seed),
                               "sampled", out)}
    results = []
    for temperature in LAMBDAS:
        for name, source, keys, kind in ARMS:
            target = reward_and_kl(
                groups, [target_of(kind, p, r, temperature) for p, r in groups])
            epochs, batch, rate = (400, 48, 3e-3) if source == "listed" else (6, 480, 1e-2)
            report = train(varalign, out,
                           f"{name.replace(',', '').replace(' ', '-')}-{temperature}",
                           data[source], world,
                           {**keys, "lambda": temperature, "lambda_unit": "raw"},
                           {"epochs": epochs, "global_batch": batch, "learning_rate": rate})
            results.append({"lambda": temperature, "estimator": name, "target": kind,
                            "target_reward": target[0], "target_kl": target[1],
                            "reward": report["eval_expected_reward"],
                            "kl": report["eval_kl"]})
    start = reward_and_kl(groups, [p for p, _ in groups])[0]
    (out / "results.json").write_text(json.dumps(
        {"reference_reward": start, "results": results}, indent=1) + "\n")
    print("| lambda | responses and weights | target | E[r] target | reached | KL target | reached |")
    print("|---|---|---|---|---|---|---|")
    for row in results:
        print(f"| {row['lambda']} | {row['estimator']} | {row['target']} | "
              f"{row['target_reward']:.4f} | {row['reward']:.4f} | "
              f"{row['target_kl']:.4f} | {row['kl']:.4f} |")


if __name__ == "__main__":
    main()
