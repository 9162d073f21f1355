#!/usr/bin/env python3
"""Selection on wide tables beside LassoNet and a random forest: which of the planted columns are found, how fast, in how much memory.

    wide.py --bin target/release/eigenlens [--sizes 200x20000,1000x5000] [--draws 5] [--features 10] [--threads 2]
            [--methods eigenlens,forest,lassonet] [--before OTHER_EIGENLENS] [--limit SECONDS] [--json FILE]

Each draw: rows x columns of independent standard normal numbers; y is the sum of five of the columns, times numbers between 1 and 2 of
either sign, with noise of 0.3 of that sum's standard deviation.
    eigenlens    the whole command, from reading the file to the page: select --features K --seeds 3 --penalties 6
    before       the same by another build of it
    forest       sklearn's RandomForestRegressor, 500 trees, a third of the columns at each cut, impurity importance
    lassonet     LassoNetRegressor(hidden_dims=(100,), M=10), its path as it comes, on standardised columns and target, a fifth of the rows
                 for its early stopping; ranked by feature_importances_, the penalty at which a column leaves
Recall is of the five among the K best. Every method runs in a process of its own, whose peak memory is told (with the interpreter and
its libraries for the peers); seconds of the peers are those of the fit alone, without import and reading. A method that takes
longer than --limit (default 1,800 s) is stopped and says so.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

TRUE = 5
NOISE = 0.3


def draw(rows, columns, number):
    """X, y, and the columns that y is made of."""
    random = np.random.default_rng([number, rows, columns])
    X = random.standard_normal((rows, columns)).astype(np.float32)
    true = np.sort(random.choice(columns, TRUE, replace=False))
    signal = X[:, true] @ (random.uniform(1, 2, TRUE) * random.choice([-1, 1], TRUE))
    return X, signal + NOISE * signal.std() * random.standard_normal(rows), [int(c) for c in true]


def forest(X, y, threads):
    from sklearn.ensemble import RandomForestRegressor

    trees = RandomForestRegressor(500, max_features=1 / 3, n_jobs=threads, random_state=0)
    return trees.fit(X, y).feature_importances_


def lassonet(X, y, threads):
    import lassonet as package
    import torch

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    X = (X - X.mean(0)) / X.std(0)
    y = ((y - y.mean()) / y.std()).astype(np.float32)[:, None]
    cut = len(y) - len(y) // 5
    model = package.LassoNetRegressor(hidden_dims=(100,), M=10, random_state=0, torch_seed=0, verbose=0)
    model.path(X[:cut], y[:cut], X_val=X[cut:], y_val=y[cut:])
    return model.feature_importances_.numpy()


def peer(method, file, k, threads):
    """In a process of its own: prints the k best columns and the seconds."""
    with np.load(file) as arrays:
        X, y = arrays["X"], arrays["y"]
    fit = {"forest": forest, "lassonet": lassonet}[method]
    __import__({"forest": "sklearn.ensemble", "lassonet": "lassonet"}[method])
    start = time.perf_counter()
    importance = fit(X, y, threads)
    seconds = time.perf_counter() - start
    best = np.argsort(-np.asarray(importance, dtype=np.float64), kind="stable")[:k]
    print(json.dumps({"columns": [int(c) for c in best], "seconds": seconds}))


def measured(command, limit):
    """Standard output, seconds and peak memory in MiB; no output where it was stopped."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    late = threading.Timer(limit, lambda: os.killpg(child.pid, signal.SIGKILL))
    late.start()
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    late.cancel()
    child.returncode = os.waitstatus_to_exitcode(status)
    return text if child.returncode == 0 else None, time.perf_counter() - start, usage.ru_maxrss / 1024


def run(method, file, args):
    """The best columns, seconds and memory of a method."""
    if method in ("eigenlens", "before"):
        program = args.bin if method == "eigenlens" else args.before
        with tempfile.TemporaryDirectory() as out:
            options = ["--features", args.features, "--seeds", 3, "--penalties", 6, "--device", "cpu", "--threads", args.threads]
            command = [program, "select", file, *options, "--json", "--out", out]
            text, seconds, memory = measured([str(part) for part in command], args.limit)
        return (json.loads(text)["columns"] if text else None), seconds, memory
    command = [sys.executable, __file__, "--peer", method, str(file), "--features", str(args.features), "--threads", str(args.threads)]
    text, seconds, memory = measured(command, args.limit)
    if text is None:
        return None, seconds, memory
    found = json.loads(text)
    return found["columns"], found["seconds"], memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=Path("target/release/eigenlens"))
    parser.add_argument("--before", type=Path)
    parser.add_argument("--sizes", default="200x20000,1000x5000")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--methods", default="eigenlens,forest,lassonet")
    parser.add_argument("--limit", type=float, default=1800)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return peer(*args.peer, args.features, args.threads)
    methods = args.methods.split(",") + (["before"] if args.before else [])
    results = []
    for size in args.sizes.split(","):
        rows, columns = map(int, size.split("x"))
        for number in range(args.draws):
            X, y, true = draw(rows, columns, number)
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "wide.npz"
                np.savez(file, X=X, y=y)
                # Alternating, so that a slow minute of the machine is everybody's.
                for method in methods:
                    found, seconds, memory = run(method, file, args)
                    recall = None if found is None else len(set(found) & set(true))
                    results.append({"size": size, "draw": number, "method": method, "recall": recall, "seconds": seconds, "MiB": memory})
                    said = "stopped" if recall is None else f"{recall} of {TRUE}"
                    print(f"{size} draw {number} {method}: {said}, {seconds:.1f} s, {memory:.0f} MiB", file=sys.stderr, flush=True)
    print("| table | method | recall by draw | seconds, median (largest) | peak MiB |\n|---|---|---|---|--:|")
    for size in args.sizes.split(","):
        for method in methods:
            of = [r for r in results if (r["size"], r["method"]) == (size, method)]
            recalls = " ".join("–" if r["recall"] is None else str(r["recall"]) for r in of)
            seconds, memory = [r["seconds"] for r in of], max(r["MiB"] for r in of)
            print(f"| {size} | {method} | {recalls} | {statistics.median(seconds):.1f} ({max(seconds):.1f}) | {memory:.0f} |")
    if args.json:
        args.json.write_text(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
