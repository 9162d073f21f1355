#!/usr/bin/env python3
"""Whole explanations of 1,024 inputs of 784-100-100-50-10 (ReLU), split at the first activation: R = D W1, one decomposition
an input, sigma, c, psi, alpha of the predicted output and the first 16 maps.

svd:   torch.linalg.svd of R, batched.
gram:  torch.linalg.eigh of D (W1 W1^T) D in double precision, the product made once: the cleverest way for this network.
numpy: numpy.linalg.svd of R, batched.
"""

import argparse
import time

import numpy as np
import torch

from jacobian import INPUTS, forward, network
from train import common_arguments, prepare, summary, write_json

MAPS = 16
CHUNK = 128


def parts(weights, biases, x):
    """Masks of the first activation, the predicted output's gradient there, and the output."""
    a = torch.nn.functional.linear(x, weights[0], biases[0])
    mask = (a > 0).to(x.dtype)
    h = torch.relu(a).detach().requires_grad_()
    y = forward(weights[1:], biases[1:], h)
    best = y.max(1)
    left = torch.autograd.grad(best.values.sum(), h)[0]
    return mask, left, best.values.detach()


def finish(p, sigma, vt, left, x):
    """p: [B, m, r], vt: [B, r, N]. Signs such that c >= 0."""
    c = sigma * torch.einsum("brn,bn->br", vt, x)
    psi = torch.einsum("bm,bmr->br", left, p)
    sign = torch.where(c < 0, -1.0, 1.0)
    c, psi, vt = c * sign, psi * sign, vt[:, :MAPS] * sign[:, :MAPS, None]
    maps = (psi * sigma)[:, :MAPS, None] * vt * x[:, None]
    return psi * c, maps


def by_svd(weights, biases, x):
    mask, left, y = parts(weights, biases, x)
    p, sigma, vt = torch.linalg.svd(mask[:, :, None] * weights[0], full_matrices=False)
    return *finish(p, sigma, vt, left, x), y


def by_gram(weights, biases, x):
    mask, left, y = parts(weights, biases, x)
    w = weights[0].double()
    gram = (w @ w.T) * mask[:, :, None] * mask[:, None]
    squares, p = torch.linalg.eigh(gram)
    sigma, p = squares.flip(1).clamp_min(0).sqrt().float(), p.flip(2).float()
    r = mask[:, :, None] * weights[0]
    images = torch.einsum("bmk,bmn->bkn", p[:, :, :MAPS], r)
    c = torch.einsum("bmk,bm->bk", p, torch.einsum("bmn,bn->bm", r, x))
    psi = torch.einsum("bm,bmk->bk", left, p)
    return psi * c, psi[:, :MAPS, None] * images * x[:, None], y


def by_numpy(weights, biases, x):
    mask, left, y = parts(weights, biases, x)
    p, sigma, vt = np.linalg.svd((mask[:, :, None] * weights[0]).numpy(), full_matrices=False)
    return *finish(torch.from_numpy(p), torch.from_numpy(sigma), torch.from_numpy(vt), left, x), y


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common_arguments(parser)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one sample: does everything work?")
    args = parser.parse_args()
    device, sync = prepare(args)
    weights, biases, x = network(device)
    modes = {"gram": by_gram, "svd": by_svd}
    if device.type == "cpu":
        modes["numpy"] = by_numpy
    results = []
    for mode, run in modes.items():

        def timed():
            sync()
            start = time.perf_counter()
            for chunk in x.split(CHUNK):
                alpha, maps, y = run(weights, biases, chunk)
            sync()
            return (time.perf_counter() - start) * 1e3, alpha, maps, y, chunk

        _, alpha, maps, y, chunk = timed()
        # The biases are zero, so the contributions are the whole output.
        off = (alpha.sum(1) - y).abs().max().item()
        assert off < 1e-3, f"{mode}: the contributions are off by {off}"
        row = {"suite": "svd", "case": "784-100-100-50-10", "mode": mode, "batch": INPUTS, "threads": args.threads}
        row |= summary([timed()[0] for _ in range(1 if args.quick else args.samples)])
        results.append(row)
        print(f"svd {mode:10} {row['median_ms']:9.1f} ms  [{row['iqr_ms']:.1f}]", flush=True)
    write_json(args, device, results)


if __name__ == "__main__":
    main()
