"""same_model.py A B: exits 0 if transformers loads both directories to the same model, completely, with equal parameters and the same logits."""
import sys

import torch
import transformers


def load(path):
    name = transformers.AutoConfig.from_pretrained(path).architectures[0]
    model, report = getattr(transformers, name).from_pretrained(path, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not report[kind], f"{path}: {kind}: {report[kind]}"
    return model


def main():
    a, b = (load(path) for path in sys.argv[1:3])
    theirs = dict(b.named_parameters())
    for name, parameter in a.named_parameters():
        assert torch.equal(parameter, theirs[name]), name
    ids = torch.arange(1, 20).unsqueeze(0)
    with torch.no_grad():
        # Products of the same numbers at other addresses may differ in the last bit.
        torch.testing.assert_close(a(ids).logits, b(ids).logits, rtol=1e-6, atol=1e-6)


main()
