"""same_adapter.py BASE ADAPTER MERGED: exits 0 if PEFT loads ADAPTER on BASE completely and the logits are those of MERGED."""
import sys

import peft
import torch
import transformers
from safetensors.torch import load_file


def load(path):
    return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")


def main():
    base, adapter, merged = sys.argv[1:4]
    model = peft.PeftModel.from_pretrained(load(base), adapter)
    theirs = {name.replace(".default", ""): p for name, p in model.named_parameters() if "lora_" in name}
    ours = load_file(f"{adapter}/adapter_model.safetensors")
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    for name, parameter in theirs.items():
        assert torch.equal(parameter.data, ours[name].float()), name
    ids = torch.arange(min(model.config.vocab_size, 40)).unsqueeze(0)
    with torch.no_grad():
        expected, bare = model(ids).logits, load(base)(ids).logits
        distance = (load(merged)(ids).logits - expected).abs().max().item()
        part = (bare - expected).abs().max().item()
    assert distance < 1e-5 * max(expected.abs().max().item(), 1.0), (distance, part)
    assert part > 1e-3, part
    print(f"logits differ by {distance:.2e}; the adapter moves them by {part:.2e}")


main()
