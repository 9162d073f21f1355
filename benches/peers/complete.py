#!/usr/bin/env python3
"""A complete decomposition in PyTorch beside `eigenlens explain --form complete` (random weights, 224 x 224).

    python3 complete.py --eigenlens EIGENLENS --image PHOTO.jpg [--bench EIGENLENS-BENCH] [--network alexnet|vgg11_bn] [--memory MIB] [--threads 2]
                        [--rows M]

alexnet: at the last pooling; vgg11_bn: at its penultimate layer (4,096 rows). PyTorch's side, the quickest that was found: the rows that are on by
vmap over vjp in blocks of eight, held in single precision, their Gram matrix by one product, torch.linalg.eigh in double precision. Both get
the same network (as ONNX) and input. Seconds and peak memory of each; ours of the whole command (starting it, reading the file, writing the pages)
and, with --bench, in process, as a program calls the library that has network and input, which is what PyTorch's are: without imports, export and
reading. Memory is that of the command, and PyTorch's with its imports. --rows M: PyTorch makes only the first M rows, to see that the script works.
"""

import argparse
import contextlib
import io
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import warnings

parser = argparse.ArgumentParser()
parser.add_argument("--eigenlens", required=True)
parser.add_argument("--bench", help="eigenlens-bench, for the time in process")
parser.add_argument("--image", required=True)
parser.add_argument("--network", default="alexnet", choices=["alexnet", "vgg11_bn"])
parser.add_argument("--memory", type=int, help="MiB, of ours [default: 2048; 3072 for vgg11_bn, to hold its rows as PyTorch does]")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rows", type=int)
args = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(args.threads)
warnings.filterwarnings("ignore")

import numpy as np
import torch
import torchvision
from torch.func import vjp, vmap

torch.set_num_threads(args.threads)
torch.manual_seed(0)
network = getattr(torchvision.models, args.network)().eval().requires_grad_(False)
for module in network.modules():
    if isinstance(module, torch.nn.ReLU):
        module.inplace = False
# Where it is split: the node's name in the ONNX file, and the network below it.
split, below = {
    "alexnet": ("/features/features.12/MaxPool", network.features),
    "vgg11_bn": ("/classifier/classifier.4/Relu",
                 torch.nn.Sequential(network.features, network.avgpool, torch.nn.Flatten(1), *network.classifier[:5])),
}[args.network]
folder = pathlib.Path(tempfile.mkdtemp())
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    torch.onnx.export(network, torch.randn(1, 3, 224, 224), str(folder / "net.onnx"), dynamo=False, opset_version=17, input_names=["x"])
memory = args.memory or {"alexnet": 2048, "vgg11_bn": 3072}[args.network]
begin = time.perf_counter()
# Started by a small process, for a child's peak begins with its parent's.
small = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
told = subprocess.run([sys.executable, "-c", small, args.eigenlens, "explain", str(folder / "net.onnx"), args.image, "--preprocess", "imagenet", "--form", "complete", "--memory",
                str(memory), "--split", split, "--device", "cpu", "--threads", str(args.threads), "--out", str(folder / "why")], check=True,
                      stdout=subprocess.PIPE, text=True)
ours = time.perf_counter() - begin
our_memory = int(told.stdout) / 1024
entry = json.loads((folder / "why" / "explanations.json").read_text())[0]
x = torch.tensor(np.load(folder / "why" / "maps.npz")["x"][0]).reshape(1, 3, 224, 224)
inside = None
if args.bench:
    x.numpy().astype("<f4").tofile(folder / "x.f32")
    subprocess.run([args.bench, "--suite", "convolution", "--network", str(folder / "net.onnx"), "--split", split, "--input", str(folder / "x.f32"), "--complete",
                    "--memory", str(memory), "--device", "cpu", "--threads", str(args.threads), "--samples", "3", "--json", str(folder / "bench.json")],
                   check=True, stdout=subprocess.DEVNULL)
    results = json.loads((folder / "bench.json").read_text())["results"]
    inside = next(r["median_ms"] for r in results if r["variant"] == "complete") / 1e3

begin = time.perf_counter()
z, pull = vjp(below, x)
on = torch.nonzero(z.ravel()).ravel()[: args.rows]
rows = torch.empty(len(on), x.numel())
for first in range(0, len(on), 8):
    some = on[first:first + 8]
    units = torch.zeros(len(some), z.numel())
    units[torch.arange(len(some)), some] = 1
    rows[first:first + 8] = vmap(pull)(units.reshape(-1, *z.shape))[0].reshape(len(some), -1)
formed = time.perf_counter() - begin
gram = (rows @ rows.T).double()
multiplied = time.perf_counter() - begin
values, vectors = torch.linalg.eigh(gram)
theirs = time.perf_counter() - begin
sigma = values.flip(0).clamp(min=0).sqrt()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
off = max(abs(c["sigma"] - float(sigma[c["k"]])) / float(sigma[0]) for c in entry["contributions"][:100] if c["k"] < len(sigma))
print(f"rows on: {len(on)}; components: {entry['rank']}; largest difference of the first 100 sigma, relative to the first: {off:.1e}", file=sys.stderr)
print(f"| {args.network} at {split}, complete | eigenlens | PyTorch | ratio |\n|---|---|---|---|")
print(f"| seconds, ours of the whole command ({len(on)} rows on) | {ours:.0f} | {theirs:.0f} (rows {formed:.0f}, Gram matrix {multiplied - formed:.0f}, eigh {theirs - multiplied:.0f}) | {theirs / ours:.2f} |")
if inside:
    print(f"| seconds, in process | {inside:.0f} | {theirs:.0f} | {theirs / inside:.2f} |")
print(f"| peak memory, of the command | {our_memory:.0f} MiB | {peak:.0f} MiB | |")
