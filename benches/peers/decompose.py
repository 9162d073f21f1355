#!/usr/bin/env python3
"""Singular values, contributions and maps of SqueezeNet 1.0 beside PyTorch in double precision.

    python3 decompose.py --eigenlens EIGENLENS --model squeezenet_v1.0_dc.onnx --images A.jpg B.jpg ... [--splits conv10/relu,fire3/concat]

Reads the weights of the ONNX file (Deep Compression's SqueezeNet 1.0, whose last convolution is padded) into torchvision's network, checks that
against ONNX Runtime, and compares what `eigenlens explain` finds in single precision at the same inputs: `--form top` (the eight largest singular
values) with Golub-Kahan bidiagonalisation with full reorthogonalisation to 1e-10, and `--form class-rows` with the SVD of the rows themselves.
Prints, for each split and form, the largest relative difference of sigma and of alpha, and the smallest cosine of the maps.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
import torchvision
from onnx import numpy_helper
from torch.func import jvp, vjp, vmap

warnings.filterwarnings("ignore")
parser = argparse.ArgumentParser()
parser.add_argument("--eigenlens", required=True)
parser.add_argument("--model", required=True)
parser.add_argument("--images", nargs="+", required=True)
parser.add_argument("--splits", default="conv10/relu,fire3/concat")
parser.add_argument("--k", type=int, default=8)
args = parser.parse_args()


def network():
    graph = onnx.load(args.model).graph
    weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    convolutions = [[weights[name] for name in node.input[1:3]] for node in graph.node if node.op_type == "Conv"]
    net = torchvision.models.squeezenet1_0().eval()
    theirs = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    theirs[-1].padding = (1, 1)
    # torchvision's fire modules: squeeze, expand 1x1, expand 3x3, as in the file.
    for layer, (w, b) in zip(theirs, convolutions, strict=True):
        assert layer.weight.shape == w.shape, (layer, w.shape)
        layer.weight.data, layer.bias.data = torch.tensor(w), torch.tensor(b)
    for module in net.modules():
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    return net.double().requires_grad_(False)


# Where a split stands in torchvision's list.
PLACES = {"fire2/concat": 4, "fire3/concat": 5, "fire4/concat": 6, "fire5/concat": 8, "fire8/concat": 11, "fire9/concat": 13}


def cut(net, split):
    """The network below and behind a split."""
    if split == "conv10/relu":
        return torch.nn.Sequential(net.features, net.classifier[:3]), lambda z: z.mean((2, 3))
    place = PLACES[split]
    behind = torch.nn.Sequential(net.features[place:], net.classifier[:3])
    return net.features[:place], lambda z: behind(z).mean((2, 3))


def golub_kahan(apply, transpose, m, n, k, tolerance=1e-10, most=300):
    """The k largest triplets: u, sigma, v."""
    generator = torch.Generator().manual_seed(1)
    v = torch.randn(n, generator=generator, dtype=torch.float64)
    vs, us, alphas, betas = [v / v.norm()], [], [], []
    for step in range(most):
        u = apply(vs[-1])
        if us:
            basis = torch.stack(us)
            for _ in range(2):
                u = u - basis.T @ (basis @ u)
        alphas.append(u.norm())
        us.append(u / alphas[-1])
        w = transpose(us[-1])
        basis = torch.stack(vs)
        for _ in range(2):
            w = w - basis.T @ (basis @ w)
        betas.append(w.norm())
        if step + 1 >= 2 * k and step % 4 == 3:
            b = torch.diag(torch.stack(alphas)) + torch.diag(torch.stack(betas[:-1]), 1)
            p, s, qt = torch.linalg.svd(b)
            if (betas[-1] * p[-1, :k].abs() <= tolerance * s[0]).all():
                return torch.stack(us).T @ p[:, :k], s[:k], (qt[:k] @ torch.stack(vs)).T
        vs.append(w / betas[-1])
    raise SystemExit(f"not found in {most} steps")


net = network()
session = onnxruntime.InferenceSession(args.model)
name = session.get_inputs()[0].name
print(f"| split | form | rows | components | sigma, largest relative difference | alpha | smallest cosine of maps | PyTorch |")
print("|---|---|---|---|---|---|---|---|")
for split in args.splits.split(","):
    forms = ["top", "class-rows"] if split == "conv10/relu" else ["top"]
    for form in forms:
        out = pathlib.Path(tempfile.mkdtemp())
        subprocess.run([args.eigenlens, "explain", args.model, *args.images, "--preprocess", "caffe", "--rows", "all", "--split", split, "--form",
                        form, "--components", str(args.k), "--memory", "4096", "--device", "cpu", "--out", str(out)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        entries, maps = json.loads((out / "explanations.json").read_text()), np.load(out / "maps.npz")
        sigma_off = alpha_off = seconds = 0.0
        cosine, rows, components = 1.0, [], []
        for i, entry in enumerate(entries):
            x = torch.tensor(maps["x"][i], dtype=torch.float64).reshape(1, 3, 227, 227)
            below, behind = cut(net, split)
            with torch.no_grad():
                z = below(x)
                y = behind(z).ravel()
            runtime = session.run(None, {name: x.numpy().astype(np.float32)})[0].ravel()
            assert abs(y.numpy() - runtime).max() < 1e-4 * abs(runtime).max(), "the weights are read wrongly"
            j = int(y.argmax())
            left = torch.autograd.functional.jacobian(lambda z: behind(z).ravel()[j], z).ravel()
            begin = time.perf_counter()
            _, pull = vjp(below, x)
            if form == "top":
                apply = lambda v: jvp(below, (x,), (v.reshape(x.shape),))[1].ravel()
                transpose = lambda u: pull(u.reshape(z.shape))[0].ravel()
                p, s, v = golub_kahan(apply, transpose, z.numel(), x.numel(), args.k)
            else:
                read = torch.nonzero((left != 0) & (z.ravel() != 0)).ravel()
                units = torch.zeros(len(read), z.numel(), dtype=torch.float64)
                units[torch.arange(len(read)), read] = 1
                r = torch.cat([vmap(pull)(some.reshape(-1, *z.shape))[0].flatten(1) for some in units.split(16)])
                inner, s, vt = torch.linalg.svd(r, full_matrices=False)
                p = torch.zeros(z.numel(), len(s), dtype=torch.float64)
                p[read] = inner
                v = vt.T
            seconds += time.perf_counter() - begin
            psi, c = left @ p, s * (v.T @ x.ravel())
            alpha = psi * c
            rows.append(entry["rank"])
            components.append(len(entry["contributions"]))
            found = {e["k"]: e for e in entry["contributions"]}
            for k in range(min(args.k, len(s))):
                sigma_off = max(sigma_off, abs(found[k]["sigma"] - float(s[k])) / float(s[k]))
                alpha_off = max(alpha_off, abs(found[k]["alpha"] - float(alpha[k])) / float(alpha.abs().max()))
            for place, k in enumerate(entry["maps"]):
                ours = maps[f"A_{split}"][i, place].astype(np.float64)
                theirs = (psi[k] * s[k] * v[:, k] * x.ravel()).detach().numpy()
                cosine = min(cosine, ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs))
        print(f"| {split} | {form} | {min(rows)}-{max(rows)} | {min(components)}-{max(components)} | {sigma_off:.1e} | {alpha_off:.1e} | {cosine:.8f} | "
              f"{seconds / len(entries):.0f} s a photo |", flush=True)
