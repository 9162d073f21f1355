#!/usr/bin/env python3
"""Jacobians of 784-100-100-50-10 (ReLU), all 10 outputs at 1,024 inputs, in every way that PyTorch has. Forward pass included.

    10 x autograd.grad  one backward pass an output
    grad, batched       autograd.grad(is_grads_batched=True): one backward pass with ten cotangents
    vmap(jacrev)        torch.func, also compiled
    chain               W4 D3 W3 D2 W2 D1 W1 by hand, from the outputs down: the first product is a diagonal, masks are multiplied
                        in place, every buffer is made once
    chain, oneDNN       CPU only: the same with each product by the oneDNN that PyTorch carries (an operator of its compiler's)
                        instead of its BLAS, which may well be the slower of the two
    chain, compiled     the same under torch.compile, weights frozen, products autotuned
    chain, graph        CUDA only: the chain captured in a CUDA graph

Forward mode (vmap(jacfwd): 784 tangents an input in the place of 10 cotangents) took 9.8 s where the others take 6 to 18 ms.
"""

import argparse
import sys
import time

from train import common_arguments, prepare, summary, write_json  # first: it sets what torch reads as it is imported

import torch
import torch.nn.functional as F
from torch.func import jacrev, vmap

WIDTHS = [784, 100, 100, 50, 10]
INPUTS, OUTPUTS = 1024, WIDTHS[-1]


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
        x = F.relu(F.linear(x, w, b))
    return F.linear(x, weights[-1], biases[-1])


class Chain:
    """Every buffer made once."""

    def __init__(self, weights, biases):
        self.weights, self.biases = weights, biases
        self.buffers = [w.new_empty(INPUTS * OUTPUTS, w.shape[1]) for w in weights]

    def hidden(self, x, layer):
        return F.linear(x, self.weights[layer], self.biases[layer]).relu_()

    def product(self, layer):
        return torch.mm(self.buffers[layer + 1], self.weights[layer], out=self.buffers[layer])

    def __call__(self, x):
        masks = []
        for layer in range(3):
            x = self.hidden(x, layer)
            masks.append((x > 0).to(x.dtype))
        first = self.buffers[3].view(len(x), OUTPUTS, -1)
        torch.mul(self.weights[3], masks[2][:, None], out=first)
        for layer in (2, 1, 0):
            j = self.product(layer).view(len(x), OUTPUTS, -1)
            if layer > 0:
                j.mul_(masks[layer - 1][:, None])
        return j


class OneDnnChain(Chain):
    def __init__(self, weights, biases):
        super().__init__(weights, biases)
        self.transposed = [w.t().contiguous() for w in weights]
        self.linear = torch.ops.mkldnn._linear_pointwise

    def hidden(self, x, layer):
        return self.linear(x, self.weights[layer], self.biases[layer], "relu", [], "")

    def product(self, layer):
        self.buffers[layer] = self.linear(self.buffers[layer + 1], self.transposed[layer], None, "none", [], "")
        return self.buffers[layer]


class GraphChain(Chain):
    def __init__(self, weights, biases, x):
        super().__init__(weights, biases)
        self.x = x.clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                super().__call__(self.x)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.j = super().__call__(self.x)

    def __call__(self, x):
        self.x.copy_(x)
        self.graph.replay()
        return self.j


def modes(weights, biases, x, compiled):
    """Name: (function, how it is made); made late, so that one that fails is left out alone."""
    device = x.device

    def one(x):
        return forward(weights, biases, x)

    def by_grad(x):
        x = x.detach().requires_grad_()
        y = one(x)
        return torch.stack([torch.autograd.grad(y[:, j].sum(), x, retain_graph=j + 1 < OUTPUTS)[0] for j in range(OUTPUTS)], 1)

    seeds = torch.eye(OUTPUTS, device=device)[:, None].expand(OUTPUTS, len(x), OUTPUTS)

    def by_batched_grad(x):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(one(x), x, seeds, is_grads_batched=True)[0].transpose(0, 1)

    def functional_chain(x):
        masks = []
        for w, b in zip(weights[:-1], biases[:-1]):
            x = F.relu(F.linear(x, w, b))
            masks.append((x > 0).to(x.dtype))
        j = weights[3]
        for layer in (2, 1, 0):
            j = (j * masks[layer][:, None]).flatten(0, 1) @ weights[layer]
            j = j.view(len(x), OUTPUTS, -1)
        return j

    # What the compiler's mode "max-autotune" sets, less its CUDA graphs, and weights as constants.
    tuned = {"max_autotune": True, "freezing": True}
    yield "10 x autograd.grad", lambda: by_grad
    yield "grad, batched", lambda: by_batched_grad
    yield "vmap(jacrev)", lambda: vmap(jacrev(one))
    yield "chain", lambda: Chain(weights, biases)
    if device.type == "cpu":
        yield "chain, oneDNN", lambda: OneDnnChain(weights, biases)
    else:
        yield "chain, graph", lambda: GraphChain(weights, biases, x)
    if compiled:
        yield "vmap(jacrev), compiled", lambda: torch.compile(vmap(jacrev(one)), options=tuned)
        yield "chain, compiled", lambda: torch.compile(functional_chain, options=tuned)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common_arguments(parser)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="3 samples, nothing compiled: does everything work?")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    args = parser.parse_args()
    device, sync = prepare(args)
    samples = 3 if args.quick else args.samples
    weights, biases, x = network(device)
    # In double precision, one input's Jacobian after the other's.
    exact = [w.double().cpu() for w in weights], [b.double().cpu() for b in biases]
    truth = torch.stack([torch.autograd.functional.jacobian(lambda x: forward(*exact, x), row) for row in x.double().cpu()])
    results = []
    for mode, make in modes(weights, biases, x, not (args.quick or args.no_compile)):

        def timed():
            sync()
            start = time.perf_counter()
            run(x)
            sync()
            return (time.perf_counter() - start) * 1e3

        torch.compiler.reset()
        try:
            # Nothing but the two ways through autograd's graph needs one, and freezing wants none.
            with torch.set_grad_enabled("grad" in mode):
                run = make()
                off = ((run(x).double().cpu() - truth).abs().max() / truth.abs().max()).item()
                for _ in range(5):
                    timed()
                times = [timed() for _ in range(samples)]
        except Exception as error:  # no C++ compiler, no Triton, a PyTorch without oneDNN, ...
            print(f"jacobian {mode:22} skipped: {str(error).strip().splitlines()[:1]}", file=sys.stderr)
            continue
        assert off < (1e-2 if args.tf32 else 1e-5), f"{mode} is off by {off}"
        row = {"suite": "jacobian", "case": "784-100-100-50-10", "mode": mode, "batch": INPUTS, "threads": args.threads}
        row |= summary(times)
        results.append(row)
        print(f"jacobian {mode:22} {row['median_ms']:9.3f} ms  [{row['iqr_ms']:.3f}]  n={row['n']}  off by {off:.0e}", flush=True)
        write_json(args, device, results)


if __name__ == "__main__":
    main()
