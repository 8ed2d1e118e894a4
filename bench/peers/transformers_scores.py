#!/usr/bin/env python3
"""A peer of bench/score_cpu: a hand-written PyTorch loop over transformers'
models on the same rows: log-probabilities of responses and rewards, in batches
padded to their longest row and filled in the order of lengths.

Prints one JSON object like score_cpu's. Reads the rows from a JSON file:
[[{"prompt": [...], "response": [...]}, ...] per call].
"""
import argparse
import json
import resource
import time

import torch
import transformers


def length(row):
    return len(row["prompt"]) + len(row["response"])


def batches(rows, budget):
    """Indices, longest row first; a batch holds at most `budget` padded tokens."""
    order = sorted(range(len(rows)), key=lambda i: -length(rows[i]))
    batch = []
    for i in order:
        if batch and length(rows[batch[0]]) * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(i)
    yield batch


def padded(rows):
    longest = max(map(length, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, :length(row)] = torch.tensor(row["prompt"] + row["response"])
        mask[i, :length(row)] = 1
    return ids, mask


def log_probs(policy, rows, ids, mask):
    """Logits of the rows that predict response tokens only."""
    hidden = policy.model(input_ids=ids, attention_mask=mask).last_hidden_state
    index = [(i, t) for i, row in enumerate(rows)
             for t in range(len(row["prompt"]) - 1, length(row) - 1)]
    sequence, position = (torch.tensor(list(part)) for part in zip(*index))
    logits = policy.lm_head(hidden[sequence, position])
    values = -torch.nn.functional.cross_entropy(
        logits, ids[sequence, position + 1], reduction="none")
    return torch.zeros(len(rows)).index_add_(0, sequence, values).tolist()


def rewards(judge, rows, ids, mask):
    hidden = judge.model(input_ids=ids, attention_mask=mask).last_hidden_state
    last = torch.tensor([length(row) - 1 for row in rows])
    return judge.score(hidden[torch.arange(len(rows)), last])[:, 0].tolist()


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--policy", required=True)
    parser.add_argument("--reward", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--calls", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    options = {"dtype": torch.float32, "attn_implementation": "sdpa"}
    policy = transformers.AutoModelForCausalLM.from_pretrained(
        arguments.policy, **options).eval()
    judge = transformers.AutoModelForSequenceClassification.from_pretrained(
        arguments.reward, **options).eval()
    policy.config.use_cache = judge.config.use_cache = False
    with open(arguments.rows) as file:
        calls = json.load(file)
    result = {"version": 1, "threads": arguments.threads,
              "batch_tokens": arguments.batch_tokens, "call_seconds": [],
              "log_probs": [], "rewards": []}
    for rows in calls[:arguments.calls or len(calls)]:
        begin = time.monotonic()
        scores, values = [0.0] * len(rows), [0.0] * len(rows)
        for batch in batches(rows, arguments.batch_tokens):
            part = [rows[i] for i in batch]
            ids, mask = padded(part)
            for i, score, value in zip(batch, log_probs(policy, part, ids, mask),
                                       rewards(judge, part, ids, mask)):
                scores[i], values[i] = score, value
        result["call_seconds"].append(time.monotonic() - begin)
        result["log_probs"] += scores
        result["rewards"] += values
    result["peak_resident_bytes"] = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
