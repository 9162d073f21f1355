#!/usr/bin/env python3
"""A complete decomposition of AlexNet's last pooling (random weights, 224 x 224) in PyTorch, beside `eigenlens explain --form complete`.

    python3 complete.py --eigenlens EIGENLENS --image PHOTO.jpg [--threads 2]

PyTorch's side, the quickest that was found: the rows that are on by vmap over vjp in blocks of eight, held in single precision, their Gram
matrix by one product, torch.linalg.eigh in double precision. Both get the same network (as ONNX) and input; seconds and peak memory of each.
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
parser.add_argument("--image", required=True)
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(args.threads)
warnings.filterwarnings("ignore")

import numpy as np
import torch
import torchvision
from torch.func import vjp, vmap

torch.set_num_threads(args.threads)
torch.manual_seed(0)
network = torchvision.models.alexnet().eval().requires_grad_(False)
for module in network.modules():
    if isinstance(module, torch.nn.ReLU):
        module.inplace = False
folder = pathlib.Path(tempfile.mkdtemp())
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    torch.onnx.export(network, torch.randn(1, 3, 224, 224), str(folder / "net.onnx"), dynamo=False, opset_version=17, input_names=["x"])
split = "/features/features.12/MaxPool"
begin = time.perf_counter()
subprocess.run([args.eigenlens, "explain", str(folder / "net.onnx"), args.image, "--preprocess", "imagenet", "--form", "complete", "--memory", "2048",
                "--split", split, "--device", "cpu", "--threads", str(args.threads), "--out", str(folder / "why")], check=True,
               stdout=subprocess.DEVNULL)
ours = time.perf_counter() - begin
our_memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
entry = json.loads((folder / "why" / "explanations.json").read_text())[0]
x = torch.tensor(np.load(folder / "why" / "maps.npz")["x"][0]).reshape(1, 3, 224, 224)

begin = time.perf_counter()
z, pull = vjp(network.features, x)
on = torch.nonzero(z.ravel()).ravel()
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
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
off = max(abs(c["sigma"] - float(sigma[c["k"]])) / float(sigma[0]) for c in entry["contributions"][:100])
print(f"rows on: {len(on)}; largest difference of the first 100 sigma, relative to the first: {off:.1e}", file=sys.stderr)
print("| AlexNet's last pooling, complete | eigenlens | PyTorch | ratio |\n|---|---|---|---|")
print(f"| seconds ({len(on)} rows on) | {ours:.0f} | {theirs:.0f} (rows {formed:.0f}, Gram matrix {multiplied - formed:.0f}, eigh {theirs - multiplied:.0f}) | {theirs / ours:.2f} |")
print(f"| peak memory | {our_memory:.0f} MiB | {memory:.0f} MiB | |")
