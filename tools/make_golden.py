#!/usr/bin/env python3
"""Makes the reference numbers of tests/golden with transformers and PyTorch.

  make_golden.py [--out tests/golden] [--only-greedy | --only-lora]

Needs torch, transformers and safetensors, and peft for the adapters; the
committed files say in golden.json which versions made them. tests/golden/README.md describes the files.
"""
import argparse
import json
import os
import random

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers
from safetensors.torch import load_file, save_file

LEARNING_RATE, BETAS, EPSILON, DECAY, MAX_NORM = 1e-2, (0.9, 0.95), 1e-8, 0.1, 1.0
STEPS, LOSSES = 5, 20  # the first are described in full, of the others only the loss
SHAPE = dict(vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=8, max_position_embeddings=128, rms_norm_eps=1e-5, bos_token_id=1,
             eos_token_id=2, pad_token_id=0)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
ROPE = dict(rope_type="default")
# Family, head, and what differs from SHAPE. The seed of a model is its place; add new ones at the end.
PROMPTS, NEW_TOKENS = 34, 24
MODELS = {
    "llama-tied": ("Llama", "CausalLM", dict(tie_word_embeddings=True)),
    "llama-untied": ("Llama", "CausalLM", dict(tie_word_embeddings=False, rope_parameters=LLAMA3)),
    "llama-reward": ("Llama", "SequenceClassification", dict(num_labels=1)),
    "llama-bias": ("Llama", "CausalLM", dict(tie_word_embeddings=False, attention_bias=True)),
    "mistral": ("Mistral", "CausalLM", dict(tie_word_embeddings=False, sliding_window=None)),
    "qwen2": ("Qwen2", "CausalLM", dict(tie_word_embeddings=True, rope_parameters=dict(ROPE, rope_theta=1e6))),
    "qwen3": ("Qwen3", "CausalLM", dict(tie_word_embeddings=False, rope_parameters=dict(ROPE, rope_theta=1e6))),
    "qwen2-reward": ("Qwen2", "SequenceClassification", dict(num_labels=1)),
    "qwen3-reward": ("Qwen3", "SequenceClassification", dict(num_labels=1)),
}


# Adapters on models from above: r, alpha, target modules.
ADAPTERS = {
    "llama-untied": (4, 8, "all-linear"),
    "qwen2": (3, 4, ["q_proj", "v_proj"]),
    "qwen3": (2, 3, ["k_proj", "o_proj", "up_proj", "down_proj"]),
}


def make_model(family, head, extra, seed):
    """Parameters of a size that makes logits of standard deviation about 1."""
    torch.manual_seed(seed)
    config = getattr(transformers, family + "Config")(**SHAPE, **extra)
    model = getattr(transformers, f"{family}For{head}")(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(1.0 if "norm" in name else 0.0, 0.25)
    return model


def make_rows(seed):
    """Ragged rows with weights, as a worker would pack them."""
    rng = random.Random(seed)
    ids = lambda n: [rng.randrange(3, SHAPE["vocab_size"]) for _ in range(n)]
    lengths = [(1, 1), (5, 3), (3, 17), (23, 9), (24, 19), (50, 33), (2, 1)]
    return [dict(prompt=ids(p), response=ids(r - 1) + [2], weight=round(rng.uniform(0.1, 3.0), 3)) for p, r in lengths]


def row_logits(model, row):
    return model(torch.tensor([row["prompt"] + row["response"]]), use_cache=False).logits[0]


def row_log_probs(model, row):
    logits = row_logits(model, row)[len(row["prompt"]) - 1:-1]
    return logits.log_softmax(-1).gather(1, torch.tensor(row["response"]).unsqueeze(1)).squeeze(1)


def batch_loss(model, rows):
    """sum_i weight_i * nll_i / (number of rows)."""
    return sum(row["weight"] * -row_log_probs(model, row).sum() for row in rows) / len(rows)


def adamw(model, rows):
    """Losses, gradient norms and parameter norms of updates; matrices decay, norms and biases do not."""
    named = list(model.named_parameters())
    groups = [dict(params=[p for _, p in named if p.dim() > 1], weight_decay=DECAY),
              dict(params=[p for _, p in named if p.dim() == 1], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS, eps=EPSILON)
    steps = []
    for step in range(LOSSES):
        optimizer.zero_grad()
        loss = batch_loss(model, rows)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        steps.append(dict(loss=loss.item()))
        if step < STEPS:
            norms = {name: p.detach().norm().item() for name, p in named}
            steps[-1].update(gradient_norm=norm.item(), parameter_norms=norms)
    return steps


def causal_golden(model, rows, golden):
    golden["log_probs"] = [row_log_probs(model, row).tolist() for row in rows]
    loss = batch_loss(model, rows)
    loss.backward()
    golden["loss"] = loss.item()
    tensors = {"gradient." + name: p.grad for name, p in model.named_parameters()}
    with torch.no_grad():
        tensors["logits"] = torch.cat([row_logits(model, row) for row in rows])
    golden["adamw"] = dict(learning_rate=LEARNING_RATE, beta1=BETAS[0], beta2=BETAS[1], epsilon=EPSILON,
                           weight_decay=DECAY, max_norm=MAX_NORM, steps=adamw(model, rows))
    return tensors


def write(directory, family, head, extra, seed):
    os.makedirs(directory, exist_ok=True)
    make_model(family, head, extra, seed).save_pretrained(directory)
    path = os.path.join(directory, "model.safetensors")
    save_file(load_file(path), path, metadata={"format": "pt"})
    # float64, so that the reference's own rounding is no part of a tolerance.
    model = getattr(transformers, f"{family}For{head}").from_pretrained(
        directory, dtype=torch.float64, attn_implementation="eager")
    rows = make_rows(seed)
    golden = dict(made_with=dict(torch=torch.__version__, transformers=transformers.__version__), rows=rows)
    if head == "CausalLM":
        tensors = causal_golden(model, rows, golden)
        save_file({name: t.float().contiguous() for name, t in tensors.items()},
                  os.path.join(directory, "golden.safetensors"))
    else:
        with torch.no_grad():
            golden["rewards"] = [row_logits(model, row)[0].item() for row in rows]
    with open(os.path.join(directory, "golden.json"), "w", encoding="utf-8") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")
    for name in os.listdir(directory):
        os.chmod(os.path.join(directory, name), 0o644)


def greedy(model, prompt):
    """The greedy continuation with transformers' cache, and the least distance of a chosen logit to the next best."""
    out = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), do_sample=False,
                         max_new_tokens=NEW_TOKENS, eos_token_id=2, pad_token_id=0, output_logits=True,
                         return_dict_in_generate=True)
    best = torch.stack([logits[0] for logits in out.logits]).topk(2).values
    return out.sequences[0, len(prompt):].tolist(), (best[:, 0] - best[:, 1]).min().item()


def write_greedy(out):
    """generate.json: greedy continuations of PROMPTS random prompts a model; near ties, which rounding decides, are left out."""
    models = {}
    for seed, (name, (family, head, _)) in enumerate(MODELS.items(), start=1):
        if head != "CausalLM":
            continue
        model = getattr(transformers, f"{family}For{head}").from_pretrained(
            os.path.join(out, name), dtype=torch.float64, attn_implementation="eager")
        rng, cases = random.Random(1000 + seed), []
        while len(cases) < PROMPTS:
            prompt = [rng.randrange(3, SHAPE["vocab_size"]) for _ in range(rng.randrange(1, 40))]
            ids, distance = greedy(model, prompt)
            if distance > 1e-4:
                cases.append(dict(prompt=prompt, ids=ids))
        models[name] = cases
    golden = dict(made_with=dict(torch=torch.__version__, transformers=transformers.__version__), max_new_tokens=NEW_TOKENS,
                  models=models)
    with open(os.path.join(out, "generate.json"), "w", encoding="utf-8") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")


def adapted(directory, rank, alpha, modules, seed):
    """A model in float64 with an adapter by peft, whose values float32 holds."""
    import peft
    base = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float64, attn_implementation="eager")
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=modules, lora_dropout=0.0, task_type="CAUSAL_LM")
    model = peft.get_peft_model(base, config).double()
    torch.manual_seed(100 + seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.empty(parameter.shape).normal_(0.0, 0.25))
    return model


def write_lora(out):
    """lora/MODEL: an adapter as peft saves it, with logits, gradients and updates of A and B alone."""
    import peft
    for seed, (name, (rank, alpha, modules)) in enumerate(ADAPTERS.items(), start=1):
        directory = os.path.join(out, "lora", name)
        os.makedirs(directory, exist_ok=True)
        model, rows = adapted(os.path.join(out, name), rank, alpha, modules, seed), make_rows(seed)
        model.peft_config["default"].base_model_name_or_path = name
        model.save_pretrained(directory)
        path = os.path.join(directory, "adapter_model.safetensors")
        save_file({key: t.float() for key, t in load_file(path).items()}, path, metadata={"format": "pt"})
        named = {key.replace(".default", ""): p for key, p in model.named_parameters() if p.requires_grad}
        loss = batch_loss(model, rows)
        loss.backward()
        tensors = {"gradient." + key: p.grad.clone() for key, p in named.items()}
        with torch.no_grad():
            tensors["logits"] = torch.cat([row_logits(model, row) for row in rows])
        optimizer = torch.optim.AdamW(named.values(), lr=LEARNING_RATE, betas=BETAS, eps=EPSILON, weight_decay=DECAY)
        steps = []
        for _ in range(STEPS):
            optimizer.zero_grad()
            step_loss = batch_loss(model, rows)
            step_loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(named.values(), MAX_NORM)
            optimizer.step()
            steps.append(dict(loss=step_loss.item(), gradient_norm=norm.item(),
                              parameter_norms={key: p.detach().norm().item() for key, p in named.items()}))
        versions = dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__)
        golden = dict(made_with=versions, rows=rows, loss=loss.item(),
                      adamw=dict(learning_rate=LEARNING_RATE, beta1=BETAS[0], beta2=BETAS[1], epsilon=EPSILON,
                                 weight_decay=DECAY, max_norm=MAX_NORM, steps=steps))
        save_file({key: t.float().contiguous() for key, t in tensors.items()}, os.path.join(directory, "golden.safetensors"))
        with open(os.path.join(directory, "golden.json"), "w", encoding="utf-8") as file:
            json.dump(golden, file, separators=(",", ":"))
            file.write("\n")
        os.remove(os.path.join(directory, "README.md"))
        for file in os.listdir(directory):
            os.chmod(os.path.join(directory, file), 0o644)


def preference_loss(model, rows, reference, beta, label_smoothing, sft_mix):
    """TRL's sigmoid loss, its labels smoothed (conservative DPO), and sft_mix * nll/n of the chosen; rows alternate, chosen first."""
    pairs = [(i, i + 1) for i in range(0, len(rows), 2)]
    log_probs = [row_log_probs(model, row).sum() for row in rows]
    losses = []
    for chosen, rejected in pairs:
        logits = (log_probs[chosen] - log_probs[rejected]) - (reference[chosen] - reference[rejected])
        sigmoid = torch.nn.functional.logsigmoid
        losses.append(-sigmoid(beta * logits) * (1 - label_smoothing) - sigmoid(-beta * logits) * label_smoothing
                      - sft_mix * log_probs[chosen] / len(rows[chosen]["response"]))
    return torch.stack(losses).mean()


def advantage_loss(model, rows, reference, advantages, clip):
    """A-LoL, sequence: the mean over rows of A * clip(pi/pi_ref) * nll, the ratio detached."""
    losses = []
    for row, of_reference, advantage in zip(rows, reference, advantages):
        log_prob = row_log_probs(model, row).sum()
        ratio = torch.exp(log_prob - of_reference).clamp(1 - clip, 1 + clip).detach()
        losses.append(-advantage * ratio * log_prob)
    return torch.stack(losses).mean()


def write_over_responses(out, name, loss_of, offsets, **options):
    """name.json: updates of llama-untied by a loss over whole responses, its gradient by autograd. The reference's
    log-probabilities are the model's first ones and `offsets`."""
    model = transformers.LlamaForCausalLM.from_pretrained(os.path.join(out, "llama-untied"), dtype=torch.float64)
    rows = [row for row in make_rows(3) if len(row["response"]) > 1][:4]
    with torch.no_grad():
        reference = [row_log_probs(model, row).sum().item() + offset for row, offset in zip(rows, offsets)]
    named = list(model.named_parameters())
    groups = [dict(params=[p for _, p in named if p.dim() > 1], weight_decay=DECAY),
              dict(params=[p for _, p in named if p.dim() == 1], weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS, eps=EPSILON)
    steps = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(model, rows, reference, **options)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        steps.append(dict(loss=loss.item(), gradient_norm=norm.item(),
                          parameter_norms={name: p.detach().norm().item() for name, p in named}))
    golden = dict(made_with=dict(torch=torch.__version__, transformers=transformers.__version__),
                  rows=[dict(prompt=row["prompt"], response=row["response"]) for row in rows], reference=reference,
                  **options, adamw=dict(learning_rate=LEARNING_RATE, beta1=BETAS[0], beta2=BETAS[1], epsilon=EPSILON,
                                        weight_decay=DECAY, max_norm=MAX_NORM, steps=steps))
    with open(os.path.join(out, name), "w", encoding="utf-8") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")


def write_responses(out):
    write_over_responses(out, "dpo.json", preference_loss, (0.5, -1, 2, 1), beta=0.1, label_smoothing=0.1, sft_mix=0.25)
    # Ratios within the bounds and at both of them.
    write_over_responses(out, "a_lol.json", advantage_loss, (0.5, -1, 3, -0.1), advantages=[0.13, 0.4, 0.7, 0.25], clip=0.9)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "..", "tests", "golden"))
    parser.add_argument("--only-greedy", action="store_true", help="make generate.json from the models that are there")
    parser.add_argument("--only-lora", action="store_true", help="make lora/ from the models that are there")
    parser.add_argument("--only-responses", action="store_true", help="make dpo.json and a_lol.json from the models that are there")
    arguments = parser.parse_args()
    out = arguments.out
    torch.set_num_threads(1)
    if arguments.only_greedy:
        return write_greedy(out)
    if arguments.only_lora:
        return write_lora(out)
    if arguments.only_responses:
        return write_responses(out)
    for seed, (name, (family, head, extra)) in enumerate(MODELS.items(), start=1):
        write(os.path.join(out, name), family, head, extra, seed)
    write_greedy(out)
    write_responses(out)
    return write_lora(out)


if __name__ == "__main__":
    main()
