#!/usr/bin/env python3
"""Checks what `eigenlens explain` wrote against an independent explanation in double precision with numpy alone.

    reference.py MODEL.safetensors EXPLAIN_DIR [--rows N]

Reads the network from the model file, the inputs and maps from maps.npz, the rest from explanations.json. Every slope,
product and decomposition is computed anew, graph node by graph node. Needs dense (direct or spectral), relu, leaky-relu, tanh
and identity activations, batch norm, dropout, add, concat and flatten nodes, and tangents as slopes.
"""

import argparse
import json
import struct
import sys

import numpy as np


def load(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        body = f.read()
    tensors = {}
    for name, t in header.items():
        if name != "__metadata__":
            begin, end = t["data_offsets"]
            tensors[name] = np.frombuffer(body[begin:end], "<f4").reshape(t["shape"])[0].astype(np.float64)
    return json.loads(header["__metadata__"]["network"])["nodes"], tensors


# Of sigma_0: what is closer together counts as equal, in the crate and here.
CLUSTER_GAP = 1e-4

ACTIVATIONS = {
    "identity": (lambda z: z, lambda z: np.ones_like(z)),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "leaky-relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1, 0.01)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
}


def linearise(nodes, tensors, x):
    """For each node its output, and for each of its inputs the slope (a matrix, a diagonal as a vector, or 1) and q."""
    out, forms = [x], [None]
    for node in nodes[1:]:
        layer, name = node["layer"], node["name"]
        ins = [out[i] for i in node["inputs"]]
        kind = layer["type"]
        if kind == "dense":
            if f"{name}.psi" in tensors:
                w = (tensors[f"{name}.lambda_in"][0] - tensors[f"{name}.lambda_out"][0][:, None]) * tensors[f"{name}.psi"]
            else:
                w = tensors[f"{name}.weight"]
            slopes, q = [w], tensors[f"{name}.bias"][0]
            y = w @ ins[0] + q
        elif kind == "activation":
            value, slope = ACTIVATIONS[layer["activation"]]
            y, s = value(ins[0]), slope(ins[0])
            slopes, q = [s], y - s * ins[0]
        elif kind == "batch-norm":
            mean, var = tensors[f"{name}.running"]
            s = tensors[f"{name}.gamma"][0] / np.sqrt(var + np.float32(layer["epsilon"]))
            slopes, q = [s], tensors[f"{name}.beta"][0] - mean * s
            y = s * ins[0] + q
        elif kind in ("dropout", "flatten"):
            slopes, q, y = [1.0], None, ins[0]
        elif kind == "add":
            slopes, q, y = [1.0, 1.0], None, ins[0] + ins[1]
        elif kind == "concat":
            slopes, q, y = ["concat"] * len(ins), None, np.concatenate(ins)
        else:
            sys.exit(f"reference.py knows no {kind} nodes ({name})")
        out.append(y)
        forms.append((node["inputs"], slopes, q))
    return out, forms


def apply(slope, t):
    return slope @ t if np.ndim(slope) == 2 else (slope[:, None] if np.ndim(slope) == 1 else slope) * t


def jacobians(out, forms):
    """d out_n / d x of every node, by tangents."""
    js = [np.eye(len(out[0]))]
    for ins, slopes, _ in forms[1:]:
        if isinstance(slopes[0], str):
            js.append(np.concatenate([js[i] for i in ins]))
        else:
            js.append(sum(apply(s, js[i]) for i, s in zip(ins, slopes)))
    return js


def cotangents(out, forms, u, hold=None):
    """d (u y) / d out_n of every node, by cotangents; nothing passes through the node `hold`."""
    cot = [np.zeros(len(o)) for o in out]
    cot[-1] = u
    for n in range(len(out) - 1, 0, -1):
        if n == hold:
            continue
        ins, slopes, _ = forms[n]
        begin = 0
        for i, s in zip(ins, slopes):
            if isinstance(s, str):
                cot[i] = cot[i] + cot[n][begin : begin + len(out[i])]
                begin += len(out[i])
            else:
                cot[i] = cot[i] + (cot[n] @ s if np.ndim(s) == 2 else cot[n] * s)
    return cot


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("directory")
    parser.add_argument("--rows", type=int, default=20, help="at most so many rows are checked")
    args = parser.parse_args()
    nodes, tensors = load(args.model)
    arrays = np.load(f"{args.directory}/maps.npz")
    with open(f"{args.directory}/explanations.json") as f:
        explanations = json.load(f)
    place = {int(row): i for i, row in enumerate(arrays["rows"])}
    names = [node["name"] for node in nodes]
    worst = {"y": 0.0, "sigma": 0.0, "alpha": 0.0, "1 - |cos|": 0.0, "beta": 0.0, "remainder, bypass": 0.0, "maps": 0.0, "residual": 0.0}
    limits = {"y": 1e-5, "sigma": 1e-4, "alpha": 1e-4, "1 - |cos|": 1e-4, "beta": 1e-5, "remainder, bypass": 1e-4, "maps": 1e-5, "residual": 1e-5}
    ranks, checked, vectors, unseen, last = 0, 0, 0, 0.0, (None, None)

    def note(what, value):
        worst[what] = max(worst[what], float(value))

    for e in explanations:
        if place[e["row"]] >= args.rows:
            continue
        x = arrays["x"][place[e["row"]]].astype(np.float64)
        seen = x != 0
        unseen = max(unseen, np.mean(~seen))
        if last[0] != e["row"]:
            out, forms = linearise(nodes, tensors, x)
            last = e["row"], (out, forms, jacobians(out, forms))
        out, forms, js = last[1]
        u = np.zeros(len(out[-1]))
        if isinstance(e["output"], int):
            u[e["output"]] = 1
        else:
            a, b = map(int, e["output"].split("-"))
            u[a], u[b] = 1, -1
        split = names.index(e["split"])
        cot = cotangents(out, forms, u)
        r, left = js[split], cot[split]
        p, sigma, vt = np.linalg.svd(r, full_matrices=False)
        largest = sigma[0] if len(sigma) else 0.0
        rank = int((sigma > largest * max(r.shape) * np.finfo(np.float32).eps).sum())
        ranks += rank != e["rank"]
        alpha = (left @ p) * sigma * (vt @ x)
        size = np.abs(alpha).sum() + 1e-12
        y = u @ out[-1]
        note("y", abs(y - e["y"]) / max(1, abs(y)))
        listed = e["contributions"]
        distance = np.pad(-np.diff(sigma), 1, constant_values=np.inf)
        distance = np.minimum(distance[:-1], distance[1:]) / (largest or 1)
        # A perturbation E of R turns a vector by up to |E| / gap. R in f32 is off by |E| < 1e-6 sigma_0, so an angle below
        # 1e-2 (|cos| > 0.9999) can be asked wherever the gap is that of the crate's own clusters. An alpha takes up that angle
        # times its neighbour's alpha, of which there are many: 1e-4 of their sum.
        alone = distance >= CLUSTER_GAP
        kept = arrays[f"A_{e['split']}"][place[e["row"]]].astype(np.float64)
        for c in listed:
            k = c["k"]
            if sigma[k] > 1e-3 * largest:
                note("sigma", abs(c["sigma"] / sigma[k] - 1))
                if alone[k]:
                    note("alpha", abs(c["alpha"] - alpha[k]) / size)
                    if k < len(kept) and np.abs(c["alpha"]) > 1e-6 * size:
                        # The map is psi sigma v * x, so the vector shows wherever the input is not 0.
                        a, b = kept[k][seen] / x[seen], vt[k][seen]
                        note("1 - |cos|", 1 - abs(a @ b) / (np.linalg.norm(a) * np.linalg.norm(b)))
                        vectors += 1
        # Of the cluster as a whole, whatever its members are.
        for members in np.split(np.arange(len(sigma)), np.flatnonzero(-np.diff(sigma) >= CLUSTER_GAP * largest) + 1):
            if members[0] < len(listed):
                found = sum(c["alpha"] for c in listed if c["k"] in members)
                note("alpha", abs(found - alpha[members].sum()) / size)
        note("alpha", abs(sum(c["alpha"] for c in listed) + e["remainder"] - left @ (r @ x)) / size)
        around = cotangents(out, forms, u, hold=split)[0] @ x
        note("remainder, bypass", abs(around - e["bypass"]) / max(1, abs(y)))
        for term in e["intercepts"]:
            n = names.index(term["node"])
            note("beta", abs(cot[n] @ forms[n][2] - term["beta"]) / max(1, abs(y)))
        total = cot[0] * x
        rest = arrays[f"A_rest_{e['split']}"][place[e["row"]]]
        note("maps", np.abs(kept.sum(0) + rest - total).max() / (np.abs(total).max() + 1e-12))
        note("residual", e["residual"])
        checked += 1
    bad = [k for k in worst if worst[k] > limits[k]]
    for k in worst:
        print(f"{k:18} {worst[k]:.2e}  (at most {limits[k]:.0e}){'  FAILED' if k in bad else ''}")
    print(f"{checked} explanations, {ranks} with another rank; {vectors} vectors, up to {unseen:.0%} of whose entries can't be seen")
    sys.exit(1 if bad or ranks or not checked else 0)


if __name__ == "__main__":
    main()
