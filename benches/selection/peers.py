#!/usr/bin/env python3
"""Other people's feature selection on the rows that data.py gives, timed: one JSON file for each method.

    peers.py --set madelon --seed 0 --out DIR [--methods NAMES] [--features K] [--rows N] [--data DIR]
             [--device cpu|cuda] [--threads 2] [--quick] [--reuse]

Methods (by comma; default: all but lassonet-minmax):
    lassonet     LassoNetClassifier(hidden_dims=(100,), M=10), its path as it comes (dense, then penalties growing by 2 % until
                 nothing is kept; full batches), early stopping on our validation rows; ranked by feature_importances_, the penalty
                 at which a feature leaves
    group-lasso  a plain MLP with 100 hidden units in PyTorch, group lasso on the columns of its first layer (below)
    mutual-info  sklearn.feature_selection.mutual_info_classif (at most 10,000 rows: its cost is one neighbour search a column)
    forest       sklearn's RandomForestClassifier, 500 trees, impurity importance
    random       K columns drawn at random        all    every column        true    MADELON's relevant columns
Inputs are min-max scaled as for everyone. The two networks then get them standardised (tables) or centred and divided by one
number (pictures); lassonet-minmax leaves LassoNet's as they are.

Out: DIR/SET_SEED_METHOD.json: {set, seed, method, features (best first, the K best), seconds, rows, n_steps?, ...}.
Seconds are those of the fit alone: no import, no file is in them.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np

import data

METHODS = ("all", "true", "random", "mutual-info", "forest", "group-lasso", "lassonet", "lassonet-minmax")
DEFAULT = METHODS[:-1]
MUTUAL_INFO_ROWS = 10_000


def order(importance):
    """Best first; ties by index."""
    return np.argsort(-np.asarray(importance, dtype=np.float64), kind="stable")


def network_inputs(split):
    """Training and validation rows as networks like them."""
    mean, std = split.X.mean(0), split.X.std(0)
    if split.picture:
        std = np.full_like(std, math.sqrt((std**2).mean()))
    std = np.where(std > 1e-6, std, 1).astype(np.float32)
    return [(x - mean) / std for x in (split.X_train, split.X_val)]


def mutual_info(split, args):
    from joblib.externals.loky import get_reusable_executor
    from sklearn.feature_selection import mutual_info_classif

    X, y = split.X, split.y
    if len(y) > MUTUAL_INFO_ROWS:
        rows = np.random.default_rng(split.seed).permutation(len(y))[:MUTUAL_INFO_ROWS]
        X, y = X[rows], y[rows]
    importance = mutual_info_classif(X, y, random_state=split.seed, n_jobs=args.threads)
    get_reusable_executor().shutdown()  # its processes would stay, with a copy of the data each
    return order(importance), {"rows": len(y)}


def forest(split, args):
    from sklearn.ensemble import RandomForestClassifier

    trees = RandomForestClassifier(20 if args.quick else 500, n_jobs=args.threads, random_state=split.seed)
    return order(trees.fit(split.X, split.y).feature_importances_), {}


def lassonet(split, args, scale=True):
    import lassonet as package
    import torch

    X_train, X_val = network_inputs(split) if scale else (split.X_train, split.X_val)
    quick = {"n_iters": (20, 2), "path_multiplier": 1.5} if args.quick else {}
    model = package.LassoNetClassifier(
        hidden_dims=(100,), M=10, device=torch.device(args.device), random_state=split.seed, torch_seed=split.seed, verbose=0, **quick
    )
    path = model.path(X_train, split.y_train, X_val=X_val, y_val=split.y_val)
    return order(model.feature_importances_.numpy()), {"n_steps": len(path) - 1, "epochs": sum(p.n_iters for p in path)}


def group_lasso(split, args):
    """min over W1, W2, b of cross-entropy + kappa Σ_i ‖W1[:, i]‖ + r ‖W2‖², for growing kappa, each from the one before.

    The term in r is needed: without it W1 / c with c · W2 is the same network at a smaller penalty.
    W1 takes proximal steps with momentum, in the form whose fixed point does not depend on the momentum,
        W ← prox_{η κ}(W − η ∇ + μ (W − W_before)),   prox: each column shortened by η κ, to no less than 0
    (a shrinkage after torch's SGD with momentum would act as κ (1 − μ)), with η = 2/L, L = ½ ‖W2‖² σ_max(X)²/n a (loose) bound on
    the curvature; the rest Adam. A feature's rank is the last penalty at which it was there, then the length of its column.
    """
    import torch
    import torch.nn.functional as F

    hidden, rate, r, momentum = 100, 1e-3, 5e-3, 0.9
    # The penalty grows fast until the first feature is gone, then slowly.
    growth, fine, steps, dense_steps, patience = 1.5, 1.05, 100, 4000, 15
    if args.quick:
        growth, fine, steps, dense_steps = 3, 1.5, 20, 100
    device = torch.device(args.device)
    torch.manual_seed(split.seed)
    X, X_val = (torch.from_numpy(x).to(device) for x in network_inputs(split))
    y, y_val = (torch.from_numpy(y).to(device) for y in (split.y_train, split.y_val))
    first, second = torch.nn.Linear(X.shape[1], hidden).to(device), torch.nn.Linear(hidden, split.classes).to(device)
    weight, rest = first.weight, [first.bias, *second.parameters()]
    batch = min(1024, len(X) // 2)  # small batches' noise keeps false features alive; the whole set at once gets stuck

    def forward(x):
        return second(F.relu(first(x)))

    def batches():
        while True:
            yield from (rows for rows in torch.randperm(len(X), device=device).split(batch) if len(rows) == batch)

    draw = batches()

    def gradients(optimiser):
        optimiser.zero_grad()
        weight.grad = None
        rows = next(draw)
        (F.cross_entropy(forward(X[rows]), y[rows]) + r * second.weight.square().sum()).backward()

    # Dense: Adam, the state with the lowest validation loss is kept.
    optimiser = torch.optim.Adam([weight, *rest], lr=rate)
    best, state, since, every = math.inf, None, 0, max(len(X) // batch, 20)
    for step in range(1, dense_steps + 1):
        gradients(optimiser)
        optimiser.step()
        if step % every == 0 or step == dense_steps:
            with torch.no_grad():
                loss = F.cross_entropy(forward(X_val), y_val).item()
            since += 1
            if loss < best:
                best, since, state = loss, 0, [p.detach().clone() for p in (weight, *rest)]
            if since == patience:
                break
    with torch.no_grad():
        for p, s in zip((weight, *rest), state):
            p.copy_(s)

    spread = torch.linalg.matrix_norm(X.T @ X / len(X), 2).item()
    optimiser = torch.optim.Adam(rest, lr=rate)
    left, length = np.zeros(X.shape[1], int), np.zeros(X.shape[1])
    kept, kappa, before = [], None, weight.detach().clone()
    while not kept or kept[-1] > 0 and len(kept) < 200:
        eta = 2 / (0.5 * torch.linalg.matrix_norm(second.weight.detach(), 2).item() ** 2 * spread)
        if kappa is None:  # unopposed, the first penalty would take a tenth off the median column
            kappa = 0.1 * weight.detach().norm(dim=0).median().item() * (1 - momentum) / (steps * eta)
        for _ in range(steps):
            gradients(optimiser)
            optimiser.step()
            with torch.no_grad():
                new = weight - eta * weight.grad + momentum * (weight - before)
                norms = new.norm(dim=0)
                new *= (1 - eta * kappa / norms.clamp_min(1e-30)).clamp_min_(0)
                before.copy_(weight)
                weight.copy_(new)
        norms = weight.detach().norm(dim=0).cpu().numpy()
        kept.append(int((norms > 0).sum()))
        left[norms > 0], length[norms > 0] = len(kept), norms[norms > 0]
        kappa *= growth if kept[-1] == kept[0] else fine
    ranking = np.lexsort((np.arange(len(left)), -length, -left))
    return ranking, {"n_steps": len(kept), "kept": kept, "dense_loss": best}


def run(method, split, k, args):
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None  # a busy machine's times are not to be compared
    n, start = split.X.shape[1], time.perf_counter()
    more = {}
    if method == "all":
        ranking, k = np.arange(n), n
    elif method == "true":
        ranking, k = np.array(data.MADELON_TRUE), len(data.MADELON_TRUE)
    elif method == "random":
        ranking = np.random.default_rng([split.seed, 99]).permutation(n)
    else:
        function = {"mutual-info": mutual_info, "forest": forest, "group-lasso": group_lasso, "lassonet": lassonet}.get(method)
        ranking, more = function(split, args) if function else lassonet(split, args, scale=False)
    seconds = 0.0 if method in ("all", "true", "random") else time.perf_counter() - start
    result = {"set": split.set, "seed": split.seed, "method": method, "features": [int(i) for i in ranking[:k]], "seconds": round(seconds, 3)}
    # Twice K, so that the cut can be looked at.
    return result | {"rows": len(split.y), "next": [int(i) for i in ranking[k : 2 * k]], "device": args.device, "threads": args.threads, "load": load} | more


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", required=True, choices=data.SETS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", default=",".join(DEFAULT), help="by comma")
    parser.add_argument("--features", type=int, metavar="K", help="default: the protocol's")
    parser.add_argument("--rows", type=int, help="select on so many rows only")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR")
    parser.add_argument("--device", default="cpu", help="of the networks: cpu or cuda")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true", help="far too little of everything: does it work?")
    parser.add_argument("--reuse", action="store_true", help="leave results that are there")
    data.common_arguments(parser)
    args = parser.parse_args()
    methods = args.methods.split(",")
    for method in methods:
        if method not in METHODS:
            raise data.Problem(f"there is no method {method!r}; the methods are {', '.join(METHODS)}")
    methods = [m for m in methods if m != "true" or args.set == "madelon"]

    split = data.load(args.set, args.seed, args.data, args.mnist, args.rows)
    k = args.features or data.FEATURES[args.set]
    if not 1 <= k <= split.X.shape[1]:
        raise data.Problem(f"--features {k}: {args.set} has {split.X.shape[1]} columns")
    args.out.mkdir(parents=True, exist_ok=True)
    if {"lassonet", "lassonet-minmax", "group-lasso"} & set(methods):
        import torch

        torch.set_num_threads(args.threads)
        torch.set_flush_denormal(True)
        if not args.device.startswith("cpu"):
            torch.zeros(1, device=args.device)  # the context is not the method's time
    for method in methods:
        file = args.out / f"{args.set}_{args.seed}_{method}.json"
        if args.reuse and file.exists():
            continue
        result = run(method, split, k, args)
        file.write_text(json.dumps(result) + "\n")
        note = f", {result['n_steps']} penalties" if "n_steps" in result else ""
        if args.set == "madelon" and method != "all":
            note += f", {len(set(result['features']) & set(data.MADELON_TRUE))} of the 20 true ones"
        print(f"peers.py: {args.set} {args.seed} {method}: {result['seconds']:.1f} s{note}", flush=True)


if __name__ == "__main__":
    data.guarded(main)
