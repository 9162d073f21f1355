#!/usr/bin/env python3
"""SqueezeNet 1.0 (random weights) at 227 x 227: forward pass, and the products of eight cotangents and eight tangents with the Jacobian at
fire9, beside eigenlens' `--suite convolution` on the same network as ONNX.

    python3 convolution.py --bench EIGENLENS_BENCH [--threads 2] [--runs 2]

PyTorch: torch.func.vmap over torch.func.vjp and jvp, the fastest public way that was found; ONNX Runtime: forward alone. Rounds alternate;
medians of 12 samples after 3.
"""

import argparse
import contextlib
import io
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time
import warnings

parser = argparse.ArgumentParser()
parser.add_argument("--bench", required=True)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--runs", type=int, default=2)
args = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(args.threads)
warnings.filterwarnings("ignore")

import numpy as np
import onnxruntime
import torch
import torchvision
from torch.func import jvp, vjp, vmap


def median(body):
    for _ in range(3):
        body()
    samples = []
    for _ in range(12):
        begin = time.perf_counter()
        body()
        samples.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(samples)


torch.set_num_threads(args.threads)
torch.manual_seed(0)
network = torchvision.models.squeezenet1_0().eval()
x = torch.randn(1, 3, 227, 227)
path = pathlib.Path(tempfile.mkdtemp()) / "squeezenet.onnx"
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    torch.onnx.export(network, x, str(path), dynamo=False, opset_version=17, input_names=["x"])
# The concatenation that ends fire9, by what reads it.
import onnx

nodes = onnx.load(str(path)).graph.node
split = [node.name or node.output[0] for node in nodes if node.op_type == "Concat"][-1]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = args.threads
session = onnxruntime.InferenceSession(str(path), options)
below = network.features[:13]
with torch.no_grad():
    z = below(x)
u, v = torch.randn(8, *z.shape), torch.randn(8, *x.shape)


def pull():
    _, product = vjp(below, x)
    return vmap(product)(u)


def push():
    return vmap(lambda t: jvp(below, (x,), (t,))[1])(v)


found = []
for _ in range(args.runs):
    out = path.with_suffix(".json")
    subprocess.run([args.bench, "--suite", "convolution", "--network", str(path), "--split", split, "--device", "cpu", "--threads",
                    str(args.threads), "--json", str(out)], check=True, stdout=subprocess.DEVNULL)
    ours = {r["variant"]: r["median_ms"] for r in json.loads(out.read_text())["results"]}
    with torch.no_grad():
        theirs = {"forward": median(lambda: network(x))}
        runtime = median(lambda: session.run(None, {"x": x.numpy()}))
    theirs["vjp of 8"], theirs["jvp of 8"] = median(pull), median(push)
    found.append((ours, theirs, runtime))

print(f"| SqueezeNet 1.0, fire9 ({z.numel():,} x {x.numel():,}), {args.threads} threads | eigenlens | PyTorch | ratio | ONNX Runtime |")
print("|---|---|---|---|---|")
for what in ["forward", "vjp of 8", "jvp of 8"]:
    ours, theirs = ([run[side][what] for run in found] for side in (0, 1))
    ratios = [b / a for a, b in zip(ours, theirs)]
    runtime = ", ".join(f"{run[2]:.1f}" for run in found) + " ms" if what == "forward" else ""
    numbers = lambda values: ", ".join(f"{value:.1f}" for value in values)
    print(f"| {what} | {numbers(ours)} ms | {numbers(theirs)} ms | {min(ratios):.2f}-{max(ratios):.2f} | {runtime} |")
