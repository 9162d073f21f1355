#!/usr/bin/env python3
"""How good chosen features are: the field's protocol, as a table.

    evaluate.py [PEER.json ...] [--ours SET:SEED:selection.json[:SECONDS] ...] [--out TABLE.md] [--json FILE]
                [--data DIR] [--net-seeds 5] [--threads 2] [--no-trees] [--quick]
    evaluate.py --timing RUN.json ...       LassoNet's path beside ours, rounds alternating (run.sh --time)

For each list of features, on the rows of data.py's split of that seed (all of MNIST's, whatever the method was given):
    net67    one hidden layer of 67 ReLU units, Adam 1e-3, batches of 256 (64 below 5,000 rows), until neither accuracy nor loss on the
             12.5 % validation rows gets better any more; test accuracy of the epoch with the best validation accuracy (ties: the
             lowest loss), mean ± standard deviation over --net-seeds initialisations and all splits
    net67 bn the same with batch normalisation of the inputs, which the published code of Sequential Attention has (and a tuned
             rate, batch and number of epochs for each set, which we have not)
    trees    scikit-learn's ExtraTreesClassifier, 100 trees, on training and validation rows; the same seeds (one on MNIST)
    5-NN     5 nearest neighbours, Euclidean, standardised by the training part (sets below 5,000 rows)
    recall   MADELON: how many of the 20 relevant columns are among the features; for a selection.json, after a slash, among the 20
             columns with the highest stability (equal shares: chosen ones first, then the file's order)
    seconds  median over the seeds
PEER.json is one of peers.py's, or {set, seed, method, seconds, selection: path of a selection.json}, as run.sh writes it.
Features in a selection.json: column numbers from 0, the set's column names, or names such as x12 and r03c07.
"""

import argparse
import json
import os
import re
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

import data

UNITS, RATE = 67, 1e-3
# Keras' defaults for batch normalisation.
MOMENTUM, EPSILON = 0.99, 1e-3
# Test accuracies as published, by K. Sequential Attention and the group lasso beside it: T. Yasuda et al., "Sequential attention for
# feature selection", ICLR 2023; the authors' code (google-research/sequential_attention, experiments.py and
# data_loader.py) takes K = 50 of 77 for mice too, where a missing value is the mean over its class, the test rows' included; COIL-20 is
# resized to 20 x 20; batch normalisation of the inputs. LassoNet: I. Lemhadri et al., JMLR 22(127), 2021, own protocol (K = 10 for mice).
PUBLISHED = {
    "mnist": [("Sequential Attention", 50, 0.956), ("group lasso", 50, 0.937), ("LassoNet, own protocol", 50, 0.873)],
    "mice": [("Sequential Attention", 50, 0.993), ("group lasso", 50, 0.985), ("LassoNet, own protocol", 10, 0.958)],
    "coil20": [("Sequential Attention", 50, 0.997), ("group lasso", 50, 0.997), ("LassoNet, own protocol", 50, 0.991)],
}


def column(feature, names, set_name):
    """The column number of a feature as a selection.json names it."""
    text = str(feature)
    if text in names:
        return names.index(text)
    match = re.fullmatch(r"r(\d+)c(\d+)", text)
    if match:
        raise data.Problem(f"{text} is not a pixel of {set_name}")
    match = re.search(r"(\d+)$", text)
    if not match or int(match[1]) >= len(names):
        raise data.Problem(f"{set_name} has no column {text!r}: a column number from 0 to {len(names) - 1} or a name that ends in one is needed")
    return int(match[1])


def read(path):
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise data.Problem(f"{path} can't be read as JSON: {error}") from None


def read_selection(path, split):
    """Chosen columns, and the 20 most stable ones (None where the file has no stability)."""
    content = read(path)
    if not isinstance(content, dict) or not content.get("chosen"):
        raise data.Problem(f"{path} has no list `chosen`, or an empty one")
    chosen = [column(f, split.names, split.set) for f in content["chosen"]]
    stability = [(column(f, split.names, split.set), share) for f, share in (content.get("stability") or {}).items()]
    place = {c: i for i, c in enumerate(chosen)}
    stability.sort(key=lambda item: (-item[1], place.get(item[0], len(place))))
    return chosen, [c for c, _ in stability][:20] or None


def net67(split, columns, seeds, batch_norm=False, quick=False):
    """Test accuracies, one for each seed: the networks are trained side by side, each with its own start, batches and best epoch."""
    X, X_val, X_test = (torch.from_numpy(np.ascontiguousarray(x[:, columns])) for x in (split.X_train, split.X_val, split.X_test))
    y, y_val, y_test = (torch.from_numpy(y) for y in (split.y_train, split.y_val, split.y_test))
    n, k, classes, replicas = len(X), len(columns), split.classes, len(seeds)
    batch = min(64 if n < 5000 else 256, n)
    per_epoch = n // batch
    # The least of small sets' epochs is as many steps as the others get.
    patience = max(15, 1500 // per_epoch)
    epochs = 2 if quick else max(100, 20_000 // per_epoch)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def uniform(*shape, fan):  # torch.nn.Linear's start
        return torch.stack([(torch.rand(*shape, generator=g) * 2 - 1) * fan**-0.5 for g in generators]).requires_grad_()

    parameters = [uniform(k, UNITS, fan=k), uniform(1, UNITS, fan=k), uniform(UNITS, classes, fan=UNITS), uniform(1, classes, fan=UNITS)]
    if batch_norm:
        parameters += [torch.ones(replicas, 1, k, requires_grad=True), torch.zeros(replicas, 1, k, requires_grad=True)]
    optimiser = torch.optim.Adam(parameters, lr=RATE)
    state = parameters + ([torch.zeros(replicas, 1, k), torch.ones(replicas, 1, k)] if batch_norm else [])  # of the inputs: mean, variance

    def forward(x, p=state, training=False):
        if batch_norm:
            mean, variance = (x.mean(1, keepdim=True), x.var(1, correction=0, keepdim=True)) if training else p[6:]
            if training:
                for running, now in zip(p[6:], (mean, variance)):
                    running.lerp_(now, 1 - MOMENTUM)
            x = torch.addcmul(p[5], (x - mean) * (variance + EPSILON).rsqrt(), p[4])
        return torch.baddbmm(p[3], torch.relu(torch.baddbmm(p[1], x, p[0])), p[2])

    @torch.no_grad()
    def scores(x, labels, p=state):
        out = forward(x.expand(replicas, *x.shape), p)
        loss = torch.nn.functional.cross_entropy(out.flatten(0, 1), labels.repeat(replicas), reduction="none")
        return (out.argmax(2) == labels).double().mean(1).tolist(), loss.view(replicas, -1).mean(1).tolist()

    best, lowest, since = [(-1.0, 0.0)] * replicas, [float("inf")] * replicas, [0] * replicas
    kept = [p.detach().clone() for p in state]
    for _ in range(epochs):
        rows = torch.stack([torch.randperm(n, generator=g)[: per_epoch * batch] for g in generators]).view(replicas, per_epoch, batch)
        for step in range(per_epoch):
            r = rows[:, step]
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(forward(X[r], training=True).flatten(0, 1), y[r].flatten(), reduction="sum") / batch
            loss.backward()
            optimiser.step()
        for i, (accuracy, loss) in enumerate(zip(*scores(X_val, y_val))):
            if since[i] == patience:
                continue
            since[i] += 1
            if loss < lowest[i]:
                lowest[i], since[i] = loss, 0
            if (accuracy, -loss) > best[i]:
                best[i], since[i] = (accuracy, -loss), 0
                for keep, p in zip(kept, state):
                    keep[i] = p.detach()[i]
        if min(since) == patience:
            break
    return scores(X_test, y_test, kept)[0]


def trees(split, columns, seeds, threads, quick):
    from sklearn.ensemble import ExtraTreesClassifier

    X, y = split.X[:, columns], split.y
    if len(y) >= 5000:
        seeds = seeds[:1]
    models = (ExtraTreesClassifier(10 if quick else 100, n_jobs=threads, random_state=s).fit(X, y) for s in seeds)
    return [float((m.predict(split.X_test[:, columns]) == split.y_test).mean()) for m in models]


def neighbours(split, columns):
    from sklearn.neighbors import KNeighborsClassifier

    X, X_test = split.X[:, columns], split.X_test[:, columns]
    mean, std = X.mean(0), X.std(0)
    std = np.where(std > 0, std, 1)
    model = KNeighborsClassifier(5).fit((X - mean) / std, split.y)
    return float((model.predict((X_test - mean) / std) == split.y_test).mean())


def measure(run, split, args):
    """One result: the run's own numbers and those of its features."""
    stable = None
    if "selection" in run:
        columns, stable = read_selection(run["selection"], split)
    else:
        columns = [column(f, split.names, split.set) for f in run["features"]]
    if len(set(columns)) < len(columns):
        raise data.Problem(f"{run['set']}, seed {run['seed']}, {run['method']}: a feature is named twice")
    seeds = list(range(1 if args.quick else args.net_seeds))
    result = {"set": run["set"], "seed": run["seed"], "method": label(run, split), "features": columns, "k": len(columns)}
    result |= {"seconds": run.get("seconds"), "net67": net67(split, columns, seeds, False, args.quick)}
    result["net67_bn"] = net67(split, columns, seeds, True, args.quick)
    if not args.no_trees:
        result["trees"] = trees(split, columns, seeds, args.threads, args.quick)
    if len(split.y) < 5000:
        result["knn5"] = neighbours(split, columns)
    if run["set"] == "madelon":
        result["recall"] = len(set(columns) & set(data.MADELON_TRUE))
        if stable:
            result["recall_stability"] = len(set(stable) & set(data.MADELON_TRUE))
    return result


def label(run, split):
    rows = None if run["method"] in ("all", "true", "random") else run.get("rows")
    return run["method"] + (f" ({rows:,} rows)" if rows and rows < len(split.y) else "")


def percent(values):
    values = [v for v in values if v is not None]
    if not values:
        return "–"
    mean = f"{statistics.mean(values):.3f}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean


def table(results):
    groups = defaultdict(list)
    for r in results:
        groups[r["set"], r["method"]].append(r)
    lines = ["| set | method | splits | K | net67 | net67 bn | trees | 5-NN | recall | seconds |", "|---|---|--:|--:|---|---|---|---|---|--:|"]
    for name in [s for s in data.SETS if any(key[0] == s for key in groups)]:
        rows = [(key[1], g) for key, g in groups.items() if key[0] == name]
        rows.sort(key=lambda row: (row[0] in ("all", "true", "random"), not row[0].startswith("eigenlens")))
        for method, g in rows:
            ks = sorted({r["k"] for r in g})
            recall = ""
            if any("recall" in r for r in g):
                recall = f"{statistics.mean(r['recall'] for r in g):.1f}"
                stable = [r["recall_stability"] for r in g if "recall_stability" in r]
                recall += f" / {statistics.mean(stable):.1f}" if stable else ""
            seconds = [r["seconds"] for r in g if r["seconds"] is not None]
            cells = [
                name, f"**{method}**" if method.startswith("eigenlens") else method, len(g), f"{ks[0]}–{ks[-1]}" if len(ks) > 1 else ks[0],
                percent([v for r in g for v in r["net67"]]), percent([v for r in g for v in r["net67_bn"]]),
                percent([v for r in g for v in r.get("trees", [])]), percent([r.get("knn5") for r in g]), recall, f"{statistics.median(seconds):.1f}" if any(seconds) else "",
            ]  # fmt: skip
            lines.append("| " + " | ".join(str(c) for c in cells) + " |")
        for method, k, accuracy in PUBLISHED.get(name, []):
            # Under the column whose inputs are like theirs.
            own = f"*{accuracy:.3f}*"
            minmax, normalised = (own, "") if method.startswith("LassoNet") else ("", own)
            lines.append(f"| {name} | *{method} (published)* | | {k} | {minmax} | {normalised} | | | | |")
    lines += ["", "Test accuracy (bn: with batch normalisation of the inputs), mean ± standard deviation over initialisations and splits; recall: of MADELON's 20 relevant columns, chosen / most stable; seconds: the selection, median."]
    return "\n".join(lines) + "\n"


def timing(files):
    """Ratios of LassoNet's time to ours; the best round counts on both sides, as other tenants only ever slow a run down."""
    runs = defaultdict(lambda: defaultdict(list))
    for run in files:
        runs[run["set"]][run["method"]].append(run)
    lines = ["| set | method | seconds, best | all rounds | LassoNet's / its | recall |", "|---|---|--:|---|--:|---|"]
    for name, methods in runs.items():
        # Both sides got the same rows; the peers say how many.
        rows = max((r.get("rows") or 0 for g in methods.values() for r in g), default=0)
        name += f", {rows:,} rows" if rows else ""
        theirs = min((r["seconds"] for r in methods.get("lassonet", [])), default=None)
        for method, g in methods.items():
            best = min(g, key=lambda r: r["seconds"])
            recall = ""
            if best["set"] == "madelon":
                names = [f"x{i}" for i in range(500)]
                holder = argparse.Namespace(set="madelon", names=names)
                columns = read_selection(best["selection"], holder)[0] if "selection" in best else best["features"]
                recall = str(len(set(columns) & set(data.MADELON_TRUE)))
            steps = f" ({best['n_steps']} penalties)" if "n_steps" in best else ""
            ratio = f"{theirs / best['seconds']:.1f}" if theirs else "–"
            every = ", ".join(f"{r['seconds']:.1f}" for r in g)
            lines.append(f"| {name} | {method}{steps} | {best['seconds']:.2f} | {every} | {ratio} | {recall} |")
    lines += ["", "LassoNet: the fit alone; eigenlens: the whole command, from reading the file to the report."]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="PEER.json")
    parser.add_argument("--ours", action="append", default=[], metavar="SET:SEED:FILE[:SECONDS]")
    parser.add_argument("--timing", action="store_true", help="a table of times alone")
    parser.add_argument("--out", type=Path, metavar="TABLE.md", help="write the table here too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every result here")
    parser.add_argument("--net-seeds", type=int, default=5, help="initialisations of each network")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--no-trees", action="store_true")
    parser.add_argument("--quick", action="store_true", help="two epochs of one network: does it work?")
    data.common_arguments(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)

    runs = []
    for path in args.runs:
        run = read(path)
        missing = [key for key in ("set", "seed", "method") if key not in run] if isinstance(run, dict) else ["set"]
        if missing or not ("features" in run or "selection" in run):
            raise data.Problem(f"{path} is none of peers.py's files (a selection.json goes with --ours SET:SEED:FILE)")
        if "selection" in run:
            run["selection"] = Path(path).parent / run["selection"]
        runs.append(run)
    for text in args.ours:
        parts = text.split(":")
        if len(parts) not in (3, 4) or not parts[1].isdigit():
            raise data.Problem(f"--ours {text}: it is SET:SEED:FILE or SET:SEED:FILE:SECONDS")
        runs.append({"set": parts[0], "seed": int(parts[1]), "method": "eigenlens", "selection": Path(parts[2])})
        runs[-1]["seconds"] = float(parts[3]) if len(parts) == 4 else None
    if not runs:
        raise data.Problem("nothing to evaluate: give peers.py's JSON files, or --ours")

    if args.timing:
        text, results = timing(runs), runs
    else:
        results, split = [], None
        for run in sorted(runs, key=lambda r: (r["set"], r["seed"])):
            if split is None or (split.set, split.seed) != (run["set"], run["seed"]):
                split = data.load(run["set"], run["seed"], args.data, args.mnist)
            start = time.perf_counter()
            results.append(measure(run, split, args))
            r = results[-1]
            print(f"evaluate.py: {r['set']} {r['seed']} {r['method']}: net67 {percent(r['net67'])}, bn {percent(r['net67_bn'])} ({time.perf_counter() - start:.0f} s)", file=sys.stderr, flush=True)
        text = table(results)
    sys.stdout.write(text)
    if args.out:
        args.out.write_text(text)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1, default=str) + "\n")


if __name__ == "__main__":
    data.guarded(main)
