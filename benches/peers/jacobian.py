#!/usr/bin/env python3
"""Jacobians of 784-100-100-50-10 (ReLU), all 10 outputs at 1,024 inputs, in every way that PyTorch has. Forward pass included.

chain: W4 D3 W3 D2 W2 D1 W1 by hand, from the outputs down, with the masks multiplied in place and buffers reused.
"""

import argparse
import time

import torch
from torch.func import functional_call, jacrev, vmap

from train import common_arguments, prepare, summary, write_json

WIDTHS = [784, 100, 100, 50, 10]
INPUTS = 1024


def network(device):
    generator = torch.Generator().manual_seed(0)
    weights = []
    for n, m in zip(WIDTHS, WIDTHS[1:]):
        limit = (6 / (n + m)) ** 0.5
        weights.append(((torch.rand(m, n, generator=generator) * 2 - 1) * limit).to(device))
    inputs = torch.rand(INPUTS, 784, generator=generator)
    inputs = torch.where(torch.rand(INPUTS, 784, generator=generator) < 0.19, inputs, torch.zeros(()))
    return weights, [torch.zeros(m, device=device) for m in WIDTHS[1:]], inputs.to(device)


def forward(weights, biases, x):
    for w, b in zip(weights[:-1], biases[:-1]):
        x = torch.relu(torch.nn.functional.linear(x, w, b))
    return torch.nn.functional.linear(x, weights[-1], biases[-1])


class Chain:
    """The same products as ours, every buffer made once."""

    def __init__(self, weights, biases, device):
        self.weights, self.biases = weights, biases
        self.buffers = [torch.empty(INPUTS * 10, n, device=device) for n in WIDTHS[:-1]]

    def __call__(self, x):
        masks = []
        for w, b in zip(self.weights[:-1], self.biases[:-1]):
            x = torch.nn.functional.linear(x, w, b).relu_()
            masks.append((x > 0).to(x.dtype))
        rows = len(x)
        # The first product is a diagonal: W4 D3.
        torch.mul(self.weights[3][None], masks[2][:, None], out=self.buffers[3].view(rows, 10, 50))
        for layer in (2, 1, 0):
            torch.mm(self.buffers[layer + 1], self.weights[layer], out=self.buffers[layer])
            if layer > 0:
                self.buffers[layer].view(rows, 10, -1).mul_(masks[layer - 1][:, None])
        return self.buffers[0].view(rows, 10, 784)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common_arguments(parser)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="3 samples: does everything work?")
    args = parser.parse_args()
    device, sync = prepare(args)
    samples = 3 if args.quick else args.samples
    weights, biases, x = network(device)

    def one(x):
        return forward(weights, biases, x)

    def by_grad(x):
        x = x.detach().requires_grad_()
        y = forward(weights, biases, x)
        return torch.stack([torch.autograd.grad(y[:, j].sum(), x, retain_graph=True)[0] for j in range(10)], 1)

    def by_batched_grad(x):
        x = x.detach().requires_grad_()
        y = forward(weights, biases, x)
        seeds = torch.eye(10, device=device)[:, None].expand(10, len(x), 10)
        return torch.autograd.grad(y, x, seeds, is_grads_batched=True)[0].transpose(0, 1)

    chain = Chain(weights, biases, device)
    modes = {
        "vmap(jacrev)": vmap(jacrev(one)),
        "10 x autograd.grad": by_grad,
        "grad, batched": by_batched_grad,
        "chain": chain,
    }
    if not args.quick:
        modes["chain, compiled"] = torch.compile(Chain(weights, biases, device).__call__)
    truth = by_grad(x)
    results = []
    for mode, run in modes.items():
        try:
            off = (run(x) - truth).abs().max().item() / truth.abs().max().item()
        except Exception as e:  # torch.compile needs a C++ compiler
            print(f"jacobian {mode}: {type(e).__name__}", flush=True)
            continue
        assert off < 1e-5, f"{mode} is off by {off}"

        def timed():
            sync()
            start = time.perf_counter()
            run(x)
            sync()
            return (time.perf_counter() - start) * 1e3

        for _ in range(5):
            timed()
        row = {"suite": "jacobian", "case": "784-100-100-50-10", "mode": mode, "batch": INPUTS, "threads": args.threads}
        row |= summary([timed() for _ in range(samples)])
        results.append(row)
        print(f"jacobian {mode:20} {row['median_ms']:9.3f} ms  [{row['iqr_ms']:.3f}]", flush=True)
    write_json(args, device, results)


if __name__ == "__main__":
    main()
