#!/usr/bin/env python3
"""Encodes the texts `chosen` and `rejected` of JSON lines with the package `tokenizers`, on one thread.

  tokenizers_loop.py MODEL FILE

Prints how many tokens there are.
"""
import json
import os
import sys

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers

BATCH = 512


def main():
    model, path = sys.argv[1:]
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
    texts, count = [], 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            texts += [row["chosen"], row["rejected"]]
            if len(texts) >= BATCH:
                count += sum(len(e.ids) for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False))
                texts = []
    count += sum(len(e.ids) for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False)) if texts else 0
    print(count)


if __name__ == "__main__":
    main()
