#!/usr/bin/env python3
"""Training steps of small convolutional networks on MNIST's digits, beside PyTorch: alternating rounds in one run.

    python3 benches/peers/cnn.py --bench target/release/eigenlens-bench [--threads 2] [--rounds 5]

Nets (spectral first convolution, W = lambda_in * psi; 'same' padding; batch 500; ReLU; softmax cross-entropy):
    16:5,32:3   convolution 16 of 5 x 5, max-pool 2, convolution 32 of 3 x 3, max-pool 2, dense 100, dense 10
    16:5,32:5   the same with 5 x 5 twice
Loss: + 1e-2 lambda^2 + 1e-4 (psi^2 and the other layers' weights squared); Adam (eps 1e-7); resident bytes, gathered by a fresh
permutation each epoch and scaled by 1/255. PyTorch's modes: plain loop with Adam(fused=True), the penalties as its coupled weight decay
(the cheapest form), in both memory formats, and compiled. Its best mode counts. --check compares the first losses and gradients.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import torch
import torch.nn.functional as F
from torch import nn

BATCH, ROWS = 500, 60_000
NETS = {"16:5,32:3": ((16, 5), (32, 3)), "16:5,32:5": ((16, 5), (32, 5))}
R_LAMBDA, R_PSI = 1e-2, 1e-4


class Net(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        (a, ka), (b, kb) = blocks
        self.psi = nn.Parameter(torch.empty(a, 1, ka, ka))
        nn.init.xavier_uniform_(self.psi)
        self.lam = nn.Parameter(torch.ones(1, 1, 1, 1))
        self.bias = nn.Parameter(torch.zeros(a))
        self.second = nn.Conv2d(a, b, kb, padding="same")
        self.hidden = nn.Linear(b * 49, 100)
        self.last = nn.Linear(100, 10)

    def forward(self, x):
        x = F.relu(F.conv2d(x, self.lam * self.psi, self.bias, padding="same"))
        x = F.max_pool2d(x, 2)
        x = F.max_pool2d(F.relu(self.second(x)), 2)
        return self.last(F.relu(self.hidden(x.flatten(1))))


def timed(mode, blocks, data, labels, steps):
    """Milliseconds a step, of one sample; the first call compiles."""
    net = Net(blocks)
    if "channels-last" in mode:
        net = net.to(memory_format=torch.channels_last)
    plain = [p for name, p in net.named_parameters() if name.endswith("bias")]
    weights = [p for name, p in net.named_parameters() if name != "lam" and not name.endswith("bias")]
    groups = [
        {"params": [net.lam], "weight_decay": 2 * R_LAMBDA},
        {"params": weights, "weight_decay": 2 * R_PSI},
        {"params": plain},
    ]
    optimiser = torch.optim.Adam(groups, lr=1e-3, eps=1e-7, fused=True)
    forward = torch.compile(net) if "compile" in mode else net

    def run():
        order = torch.randperm(ROWS)
        for i in range(steps):
            rows = order[i * BATCH : (i + 1) * BATCH]
            x = data.index_select(0, rows).float().mul_(1 / 255)
            if "channels-last" in mode:
                x = x.contiguous(memory_format=torch.channels_last)
            optimiser.zero_grad(set_to_none=True)
            F.cross_entropy(forward(x), labels.index_select(0, rows)).backward()
            optimiser.step()

    run()
    while True:
        clock = time.perf_counter()
        run()
        yield (time.perf_counter() - clock) * 1e3 / steps


def ours(bench, threads, name):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [bench, "--suite", "cnn", "--threads", str(threads), "--device", "cpu", "--samples", "3", "--json", out.name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        results = json.load(open(out.name))["results"]
    return next(r["median_ms"] for r in results if r["case"] == name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--modes", default="eager,eager-channels-last,compile")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    data = torch.randint(256, (ROWS, 1, 28, 28), dtype=torch.uint8)
    labels = torch.randint(10, (ROWS,))
    results = {}
    for name, blocks in NETS.items():
        runs = {}
        for mode in args.modes.split(","):
            run = timed(mode, blocks, data, labels, args.steps)
            try:
                next(run)
                runs[mode] = run
            except Exception as error:  # a machine without a compiler
                print(f"{name} {mode}: {type(error).__name__}")
        samples = {mode: [] for mode in ["eigenlens", *runs]}
        for _ in range(args.rounds):
            samples["eigenlens"].append(ours(args.bench, args.threads, name))
            for mode, run in runs.items():
                samples[mode].append(next(run))
        medians = {mode: statistics.median(values) for mode, values in samples.items()}
        best = min(medians[mode] for mode in runs)
        for mode, values in samples.items():
            print(f"{name}  {mode:22} {medians[mode]:8.2f} ms a step  ({min(values):.2f} to {max(values):.2f})")
        print(f"{name}  PyTorch's best / eigenlens: {best / medians['eigenlens']:.2f}", flush=True)
        results[name] = samples
    if args.json:
        json.dump({"torch": torch.__version__, "threads": args.threads, "results": results}, open(args.json, "w"))


if __name__ == "__main__":
    main()
