"""A peer of bench/train_cpu: a hand-written PyTorch loop over transformers'
model on the same rows: weighted token loss, micro-batches padded to their
longest row and filled in the order of lengths, fused AdamW.

Prints one JSON object like train_cpu's. Reads the batches from a JSON file:
[[{"prompt": [...], "response": [...]}, ...] per step].
"""
import argparse
import json
import resource
import time

import torch
import transformers


def micro_batches(rows, budget):
    """Longest first; a micro-batch holds at most `budget` padded tokens."""
    rows = sorted(rows, key=lambda r: -len(r["prompt"]) - len(r["response"]))
    batch = []
    for row in rows:
        length = max(len(r["prompt"]) + len(r["response"]) for r in batch + [row])
        if batch and length * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(row)
    yield batch


def tensors(batch):
    length = max(len(r["prompt"]) + len(r["response"]) for r in batch)
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    mask = torch.zeros(len(batch), length, dtype=torch.long)
    weights = torch.zeros(len(batch), length)
    for i, row in enumerate(batch):
        sequence = torch.tensor(row["prompt"] + row["response"])
        ids[i, :len(sequence)] = sequence
        mask[i, :len(sequence)] = 1
        weights[i, len(row["prompt"]):len(sequence)] = row.get("weight", 1.0)
    return ids, mask, weights


def weighted_loss(logits, ids, weights):
    nll = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return torch.dot(nll, weights[:, 1:].flatten())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--batches", required=True)
    parser.add_argument("--micro-batch-tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        arguments.model, dtype=torch.float32, attn_implementation="sdpa")
    model.train()
    model.config.use_cache = False
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0,
                                  fused=True)
    result = {"version": 1, "threads": arguments.threads, "step_seconds": [],
              "step_tokens": [], "losses": [],
              "micro_batch_tokens": arguments.micro_batch_tokens}
    with open(arguments.batches) as file:
        steps = json.load(file)
    for rows in steps[:arguments.steps or len(steps)]:
        begin = time.monotonic()
        optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for batch in micro_batches(rows, arguments.micro_batch_tokens):
            ids, mask, weights = tensors(batch)
            logits = model(input_ids=ids, attention_mask=mask).logits
            loss = weighted_loss(logits, ids, weights) / len(rows)
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        result["step_seconds"].append(time.monotonic() - begin)
        result["step_tokens"].append(
            sum(len(r["prompt"]) + len(r["response"]) - 1 for r in rows))
        result["losses"].append(total)
    result["peak_resident_bytes"] = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
