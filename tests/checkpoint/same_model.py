"""same_model.py A B: exits 0 if transformers loads both directories to the same model, completely, with equal parameters and the same logits.

Where B is in shards, its index must say what the one that transformers writes of the model says.
"""
import json
import pathlib
import sys
import tempfile

import torch
import transformers


def load(path):
    name = transformers.AutoConfig.from_pretrained(path).architectures[0]
    model, report = getattr(transformers, name).from_pretrained(path, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not report[kind], f"{path}: {kind}: {report[kind]}"
    return model


def check_index(path, model):
    ours = json.loads(path.read_text())
    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(directory, max_shard_size=9000)
        theirs = json.loads((pathlib.Path(directory) / path.name).read_text())
    assert ours["metadata"] == theirs["metadata"], (ours["metadata"], theirs["metadata"])
    assert list(ours["weight_map"]) == list(theirs["weight_map"])


def main():
    a, b = (load(path) for path in sys.argv[1:3])
    index = pathlib.Path(sys.argv[2]) / "model.safetensors.index.json"
    if index.exists():
        check_index(index, a)
    theirs = dict(b.named_parameters())
    for name, parameter in a.named_parameters():
        assert torch.equal(parameter, theirs[name]), name
    ids = torch.arange(1, 20).unsqueeze(0)
    with torch.no_grad():
        # Products of the same numbers at other addresses may differ in the last bit.
        torch.testing.assert_close(a(ids).logits, b(ids).logits, rtol=1e-6, atol=1e-6)


main()
