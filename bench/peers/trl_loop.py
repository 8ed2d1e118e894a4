#!/usr/bin/env python3
"""Peers of bench/train_cpu: TRL's trainers on the same rows, pre-tokenised, in
their faster settings on a CPU: no bf16 autocast, no gradient checkpointing.

--trainer sft_packed, sft_padding_free: SFTTrainer; dpo: DPOTrainer with its
reference model. Prints one JSON object like train_cpu's, without losses: which
rows make a step is TRL's choice.
"""
import argparse
import json
import resource
import tempfile
import time
import uuid

import datasets.fingerprint
import torch
import transformers
import trl
from datasets import Dataset


# Nothing is cached here, and hashing a function of this file pickles all that it
# sees, which not every pyarrow can.
datasets.fingerprint.Hasher.hash = classmethod(lambda *_: uuid.uuid4().hex)


class Stopwatch(transformers.TrainerCallback):
    """Seconds and tokens of each step; tokens are counted by the trainer."""

    def __init__(self):
        self.seconds, self.tokens, self.count = [], [], 0

    def on_step_begin(self, *_, **__):
        self.begin, self.count = time.monotonic(), 0

    def on_step_end(self, *_, **__):
        self.seconds.append(time.monotonic() - self.begin)
        self.tokens.append(self.count)


def counting(trainer_class, watch):
    class Counting(trainer_class):
        def training_step(self, model, inputs, *args, **kwargs):
            mask = inputs.get("attention_mask")
            watch.count += int(inputs["input_ids"].numel() if mask is None
                               else mask.sum())
            return super().training_step(model, inputs, *args, **kwargs)

        def _prepare_dataset(self, dataset, *args, **kwargs):
            if trainer_class is trl.DPOTrainer:  # has ids already
                return dataset
            return super()._prepare_dataset(dataset, *args, **kwargs)

    return Counting


def sft_rows(steps):
    return [{"input_ids": r["prompt"] + r["response"],
             "completion_mask": [0] * len(r["prompt"]) + [1] * len(r["response"])}
            for rows in steps for r in rows]


def dpo_pairs(steps):
    rows = [r for step in steps for r in step]
    return [{"prompt_ids": a["prompt"], "chosen_ids": a["response"],
             "rejected_ids": b["response"]} for a, b in zip(rows[::2], rows[1::2])
            if a["prompt"] == b["prompt"]]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trainer", required=True,
                        choices=["sft_packed", "sft_padding_free", "dpo"])
    parser.add_argument("--model", required=True)
    parser.add_argument("--batches", required=True)
    parser.add_argument("--micro-batch-tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with open(arguments.batches) as file:
        steps = json.load(file)
    rows = sum(len(step) for step in steps)
    tokens = sum(len(r["prompt"]) + len(r["response"])
                 for step in steps for r in step)
    per_batch = max(1, round(arguments.micro_batch_tokens * rows / tokens))
    is_dpo = arguments.trainer == "dpo"
    if is_dpo:
        per_batch = max(1, per_batch // 2)  # pairs
    packed = arguments.trainer == "sft_packed"
    if packed:
        per_batch = 1
    micro_batches = max(1, round(tokens / len(steps) /
                                 arguments.micro_batch_tokens))
    common = dict(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=per_batch,
        gradient_accumulation_steps=micro_batches, learning_rate=1e-5,
        max_steps=arguments.steps or len(steps), bf16=False, use_cpu=True,
        gradient_checkpointing=False, optim="adamw_torch_fused",
        report_to=[], save_strategy="no", logging_strategy="no",
        disable_tqdm=True, max_length=None)
    if packed:
        common["max_length"] = arguments.micro_batch_tokens
    model = transformers.AutoModelForCausalLM.from_pretrained(
        arguments.model, dtype=torch.float32, attn_implementation="sdpa")
    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    watch = Stopwatch()
    if is_dpo:
        trainer = counting(trl.DPOTrainer, watch)(
            model=model, args=trl.DPOConfig(**common), processing_class=tokenizer,
            train_dataset=Dataset.from_list(dpo_pairs(steps)), callbacks=[watch])
    else:
        config = trl.SFTConfig(
            **common, packing=packed, completion_only_loss=True,
            padding_free=arguments.trainer == "sft_padding_free")
        trainer = counting(trl.SFTTrainer, watch)(
            model=model, args=config, processing_class=tokenizer,
            train_dataset=Dataset.from_list(sft_rows(steps)), callbacks=[watch])
    trainer.train()
    print(json.dumps({
        "version": 1, "threads": arguments.threads,
        "trl": trl.__version__,
        "step_seconds": watch.seconds, "step_tokens": watch.tokens,
        "micro_batch_tokens": arguments.micro_batch_tokens,
        "peak_resident_bytes": resource.getrusage(
            resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
