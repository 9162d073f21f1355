#!/usr/bin/env python3
"""The eight largest singular triplets in PyTorch beside `eigenlens explain --form top` (random weights, 224 x 224).

    python3 top.py --eigenlens EIGENLENS --image PHOTO.jpg [--bench EIGENLENS-BENCH] [--network squeezenet|alexnet] [--threads 2] [--runs 3]

squeezenet (1.0): at the concatenation of fire9; alexnet: at the last pooling. PyTorch's side, in single precision: of two methods that only use
vjp and jvp the quicker, both to the bound that ours meet (residuals 1e-4 of the largest sigma):
- block Lanczos on the rows' side with full reorthogonalisation, thickly restarted (ours, in torch): vmap over vjp, then over jvp, eight vectors a block;
- Golub-Kahan-Lanczos with full reorthogonalisation, one vjp and one jvp a step.
Both get the same network (as ONNX) and input. Seconds and peak memory of each, medians of the runs, alternating. Ours twice: of the whole command,
with starting it, reading the file and writing the pages; and, with --bench, in process, as a program calls the library that has network and input
(the forward pass, the decomposition, its maps), which is what PyTorch's are: without imports, export and reading. Memory is that of the command,
and PyTorch's with its imports.
"""

import argparse
import contextlib
import io
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

parser = argparse.ArgumentParser()
parser.add_argument("--eigenlens", required=True)
parser.add_argument("--bench", help="eigenlens-bench, for the time in process")
parser.add_argument("--image", required=True)
parser.add_argument("--network", default="squeezenet", choices=["squeezenet", "alexnet"])
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--runs", type=int, default=3)
args = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(args.threads)
warnings.filterwarnings("ignore")

import numpy as np
import torch
import torchvision
from torch.func import jvp, vjp, vmap

TOLERANCE, BLOCK, K = 1e-4, 8, 8
torch.set_num_threads(args.threads)
torch.manual_seed(0)
network = {"squeezenet": torchvision.models.squeezenet1_0, "alexnet": torchvision.models.alexnet}[args.network]().eval().requires_grad_(False)
for module in network.modules():
    if isinstance(module, torch.nn.ReLU):
        module.inplace = False
split, below = {"squeezenet": ("/features/features.12/Concat", network.features), "alexnet": ("/features/features.12/MaxPool", network.features)}[args.network]
folder = pathlib.Path(tempfile.mkdtemp())
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    torch.onnx.export(network, torch.randn(1, 3, 224, 224), str(folder / "net.onnx"), dynamo=False, opset_version=17, input_names=["x"])
common = ["--preprocess", "imagenet", "--device", "cpu", "--threads", str(args.threads)]


# Started by a small process, for a child's peak begins with its parent's; prints seconds and KiB.
SMALL = """import resource, subprocess, sys, time
begin = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""


def command(*arguments):
    told = subprocess.run([sys.executable, "-c", SMALL, args.eigenlens, *arguments, *common], check=True, stdout=subprocess.PIPE, text=True)
    seconds, kibibytes = told.stdout.split()
    return float(seconds), int(kibibytes) / 1024


def ours():
    return command("explain", str(folder / "net.onnx"), args.image, "--form", "top", "--components", str(K), "--split", split, "--out", str(folder / "why"))


def in_process(x):
    x.numpy().astype("<f4").tofile(folder / "x.f32")
    subprocess.run([args.bench, "--suite", "convolution", "--network", str(folder / "net.onnx"), "--split", split, "--input", str(folder / "x.f32"),
                    "--device", "cpu", "--threads", str(args.threads), "--samples", "3", "--json", str(folder / "bench.json")], check=True, stdout=subprocess.DEVNULL)
    results = json.loads((folder / "bench.json").read_text())["results"]
    return next(r["median_ms"] for r in results if r["variant"] == "top 8") / 1e3


def products(x):
    z, pull = vjp(below, x)
    down = lambda u: vmap(pull)(u.reshape(-1, *z.shape))[0].reshape(len(u), -1)
    up = lambda v: vmap(lambda t: jvp(below, (x,), (t.reshape(x.shape),))[1].ravel())(v)
    return z.numel(), up, down


def lanczos(x, k, most=400):
    """Block Lanczos on R R^T; the basis's rows are vectors."""
    m, up, down = products(x)
    generator = torch.Generator().manual_seed(1)
    basis, images = torch.empty(0, m), torch.empty(0, m)
    pending, capacity = torch.randn(BLOCK, m, generator=generator), 2 * k + 2 * BLOCK
    for _ in range(most):
        for _ in range(2):
            pending = pending - (pending @ basis.T) @ basis
            pending = torch.linalg.qr(pending.T).Q.T
        image = up(down(pending))
        basis, images, pending = torch.cat([basis, pending]), torch.cat([images, image]), image
        if len(basis) + BLOCK > capacity:
            projected = basis @ images.T
            values, vectors = torch.linalg.eigh((projected + projected.T) / 2)
            rotation = vectors.flip(1)[:, :k + BLOCK]
            values, basis, images = values.flip(0)[:k + BLOCK], rotation.T @ basis, rotation.T @ images
            residual = images - values[:, None] * basis
            if (residual[:k].norm(dim=1) <= TOLERANCE * (values[:k] * values[0]).sqrt()).all():
                return values[:k].sqrt(), basis[:k], down(basis[:k])
            pending = residual[:BLOCK]
    raise SystemExit(f"block Lanczos: not found in {most} blocks")


def golub_kahan(x, k, most=400):
    """Bidiagonalisation."""
    m, up, down = products(x)
    generator = torch.Generator().manual_seed(1)
    v = torch.randn(x.numel(), generator=generator)
    vs, us = torch.empty(most + 1, x.numel()), torch.empty(most, m)
    alphas, betas = [], []
    vs[0] = v / v.norm()
    for step in range(most):
        u = up(vs[step:step + 1])[0]
        for _ in range(2):
            u = u - us[:step].T @ (us[:step] @ u)
        alphas.append(u.norm())
        us[step] = u / alphas[-1]
        w = down(us[step:step + 1])[0]
        for _ in range(2):
            w = w - vs[:step + 1].T @ (vs[:step + 1] @ w)
        betas.append(w.norm())
        vs[step + 1] = w / betas[-1]
        if step + 1 >= 2 * k and step % 4 == 3:
            b = torch.diag(torch.stack(alphas)) + torch.diag(torch.stack(betas[:-1]), 1)
            p, s, qt = torch.linalg.svd(b)
            if (betas[-1] * p[-1, :k].abs() <= TOLERANCE * s[0]).all():
                return s[:k], p[:, :k].T @ us[:step + 1], s[:k, None] * (qt[:k] @ vs[:step + 1])
    raise SystemExit(f"Golub-Kahan: not found in {most} steps")


methods = {"block Lanczos": lanczos, "Golub-Kahan": golub_kahan}
seconds, theirs, inside = [], {name: [] for name in methods}, []
for run in range(args.runs):
    taken, our_memory = ours()
    seconds.append(taken)
    x = torch.tensor(np.load(folder / "why" / "maps.npz")["x"][0]).reshape(1, 3, 224, 224)
    if args.bench:
        inside.append(in_process(x))
    entry = json.loads((folder / "why" / "explanations.json").read_text())[0]
    for name, method in methods.items():
        begin = time.perf_counter()
        sigma, _, _ = method(x, K)
        theirs[name].append(time.perf_counter() - begin)
        off = max(abs(c["sigma"] - float(sigma[c["k"]])) / float(sigma[0]) for c in entry["contributions"][:K])
        print(f"run {run + 1}: {name} {theirs[name][-1]:.1f} s, sigma differ from ours by {off:.1e} of the first", file=sys.stderr)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
ours_all = statistics.median(seconds)
best = min(theirs, key=lambda name: statistics.median(theirs[name]))
quickest = statistics.median(theirs[best])
others = ", ".join(f"{name} {statistics.median(times):.1f}" for name, times in theirs.items())
print(f"| {args.network} at {split}, {K} largest | eigenlens | PyTorch | ratio |\n|---|---|---|---|")
print(f"| seconds, ours of the whole command | {ours_all:.2f} | {quickest:.2f} ({best}; {others}) | {quickest / ours_all:.2f} |")
if inside:
    print(f"| seconds, in process | {statistics.median(inside):.2f} | {quickest:.2f} | {quickest / statistics.median(inside):.2f} |")
print(f"| peak memory, of the command | {our_memory:.0f} MiB | {peak:.0f} MiB | |")
