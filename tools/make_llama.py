#!/usr/bin/env python3
"""Makes a Llama model directory with random parameters, for benchmarks and trials.

  make_llama.py OUT --tokenizer DIR [--hidden 512] [--layers 8] ... [--reward]

Copies the tokenizer files of DIR and takes the vocabulary's size from them. Matrices are normal(0, 0.02), norms are one. Needs
nothing but Python; the same seed and sizes give the same bytes.
"""
import argparse
import array
import json
import math
import os
import random
import shutil
import struct
import sys

COPIED = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json",
          "vocab.json", "merges.txt", "chat_template.jinja", "generation_config.json")
DEVIATION = 0.02
BLOCK = 1 << 16


def shapes(a, vocabulary):
    """Tensor names and shapes in file order."""
    hidden, inner, head = a.hidden, a.intermediate, a.head_dim
    yield "model.embed_tokens.weight", (vocabulary, hidden)
    for i in range(a.layers):
        p = f"model.layers.{i}."
        yield p + "input_layernorm.weight", (hidden,)
        yield p + "self_attn.q_proj.weight", (a.heads * head, hidden)
        yield p + "self_attn.k_proj.weight", (a.kv_heads * head, hidden)
        yield p + "self_attn.v_proj.weight", (a.kv_heads * head, hidden)
        yield p + "self_attn.o_proj.weight", (hidden, a.heads * head)
        yield p + "post_attention_layernorm.weight", (hidden,)
        yield p + "mlp.gate_proj.weight", (inner, hidden)
        yield p + "mlp.up_proj.weight", (inner, hidden)
        yield p + "mlp.down_proj.weight", (hidden, inner)
    yield "model.norm.weight", (hidden,)
    if a.reward:
        yield "score.weight", (1, hidden)
    elif not a.tied:
        yield "lm_head.weight", (vocabulary, hidden)


def normals(rng, count):
    """Normal numbers by Box and Muller, two at a time."""
    values = array.array("f")
    while len(values) < count:
        radius = DEVIATION * math.sqrt(-2.0 * math.log(1.0 - rng.random()))
        angle = 2.0 * math.pi * rng.random()
        values.append(radius * math.cos(angle))
        values.append(radius * math.sin(angle))
    return values[:count]


def write_values(file, rng, shape):
    left = math.prod(shape)
    while left > 0:
        count = min(left, BLOCK)
        values = normals(rng, count) if len(shape) > 1 else array.array("f", [1.0]) * count
        if sys.byteorder == "big":
            values.byteswap()
        values.tofile(file)
        left -= count


def write_safetensors(path, tensors, rng):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        end = offset + 4 * math.prod(shape)
        header[name] = dict(dtype="F32", shape=list(shape), data_offsets=[offset, end])
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape in tensors:
            write_values(file, rng, shape)


def vocabulary_size(directory):
    """One more than the largest id of tokenizer.json."""
    with open(os.path.join(directory, "tokenizer.json"), encoding="utf-8") as file:
        tokenizer = json.load(file)
    vocabulary = tokenizer["model"]["vocab"]
    ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else list(range(len(vocabulary)))
    return 1 + max(ids + [token["id"] for token in tokenizer.get("added_tokens") or []])


def special_ids(directory):
    """bos, eos and pad ids of the source's config.json, if it has one."""
    path = os.path.join(directory, "config.json")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    return {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id") if config.get(key) is not None}


def make_config(a, vocabulary):
    config = dict(architectures=["LlamaForSequenceClassification" if a.reward else "LlamaForCausalLM"], model_type="llama",
                  attention_bias=False, mlp_bias=False, dtype="float32", torch_dtype="float32", head_dim=a.head_dim, hidden_act="silu",
                  hidden_size=a.hidden, initializer_range=DEVIATION, intermediate_size=a.intermediate,
                  max_position_embeddings=a.positions, num_attention_heads=a.heads, num_hidden_layers=a.layers,
                  num_key_value_heads=a.kv_heads, rms_norm_eps=1e-5, rope_theta=10000.0,
                  tie_word_embeddings=a.tied and not a.reward, vocab_size=vocabulary, **special_ids(a.tokenizer))
    if a.reward:
        config.update(id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0})
        config.setdefault("pad_token_id", config.get("eos_token_id", 0))
    return config


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", help="new directory")
    parser.add_argument("--tokenizer", required=True, help="directory whose tokenizer files are copied")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--intermediate", type=int, default=1408)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--kv-heads", type=int, default=4)
    parser.add_argument("--head-dim", type=int, help="hidden / heads unless given")
    parser.add_argument("--positions", type=int, default=1024)
    parser.add_argument("--untied", dest="tied", action="store_false", help="a head of its own")
    parser.add_argument("--reward", action="store_true", help="LlamaForSequenceClassification with one label")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    a.head_dim = a.head_dim or a.hidden // a.heads
    if a.heads % a.kv_heads or a.head_dim % 2:
        parser.error("--heads must be a multiple of --kv-heads, the head size even")
    return a


def main():
    a = parse()
    vocabulary = vocabulary_size(a.tokenizer)
    tensors = list(shapes(a, vocabulary))
    try:
        os.mkdir(a.out)
    except FileExistsError:
        sys.exit(f"make_llama.py: the directory exists, choose a new one: {a.out}")
    for name in COPIED:
        if os.path.exists(os.path.join(a.tokenizer, name)):
            shutil.copyfile(os.path.join(a.tokenizer, name), os.path.join(a.out, name))
    with open(os.path.join(a.out, "config.json"), "w", encoding="utf-8") as file:
        json.dump(make_config(a, vocabulary), file, indent=2)
        file.write("\n")
    write_safetensors(os.path.join(a.out, "model.safetensors"), tensors, random.Random(a.seed))
    print(f"{a.out}: {sum(math.prod(s) for _, s in tensors):,} parameters, vocabulary {vocabulary:,}")


if __name__ == "__main__":
    main()
