#!/usr/bin/env python3
"""Prints the numbers of adamw_test.cc: five steps of torch.optim.AdamW in
float64 on 12 parameters, of which the first 7 decay. Needs the Python package torch; run by hand."""

import torch


def main():
    torch.manual_seed(1)
    start = torch.randn(12, dtype=torch.float64)
    gradients = [torch.randn(12, dtype=torch.float64) for _ in range(5)]
    decayed = torch.nn.Parameter(start[:7].clone())
    others = torch.nn.Parameter(start[7:].clone())
    optimizer = torch.optim.AdamW(
        [
            {"params": [decayed], "weight_decay": 0.1},
            {"params": [others], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.95),
        eps=1e-8,
    )
    for gradient, rate in zip(gradients, [1e-2, 2e-2, 1e-2, 5e-3, 1e-3]):
        for group in optimizer.param_groups:
            group["lr"] = rate
        decayed.grad, others.grad = gradient[:7].clone(), gradient[7:].clone()
        optimizer.step()
    print("start", start.tolist())
    for gradient in gradients:
        print("gradient", gradient.tolist())
    print("end", torch.cat([decayed, others]).tolist())


if __name__ == "__main__":
    main()
