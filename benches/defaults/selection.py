#!/usr/bin/env python3
"""What the bare `eigenlens select table.csv --target y` chooses, seed by seed; prints Markdown.

    selection.py --bin EIGENLENS [--sets wine,...] [--seeds N] [--draws N]

Tables of scikit-learn, each with several seeds (each another split): how many features are chosen, and the score on the test rows of the
chosen and of all. "Within 2 s.e.": the chosen are not worse than all by more than two standard errors of the difference: over the
networks of both, and over the test rows (a share of right answers is binomial; of absolute errors as of a normal distribution the
standard deviation is 0.756 of their mean). "Spread": the number chosen that is farthest from the median, relative to it. "Noise": the largest
share of the halves that chose a shuffled copy of a feature, over all seeds.

`genes`: draws of 200 rows of 5,000 normal columns, y = 2 g1 - 1.5 g2 + g3 + noise of standard deviation 1: how many of the three are
stable, and how many others.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets

TABLES = {
    "wine": datasets.load_wine,
    "breast cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
    "digits": datasets.load_digits,
}


def table(load):
    bunch = load(as_frame=True)
    frame, y = bunch.data.copy(), bunch.target
    if hasattr(bunch, "target_names") and len(set(y)) < 20:
        y = y.map(lambda label: f"class {bunch.target_names[label]}")
    frame["target"] = y
    return frame


def genes(draw, rows=200, columns=5000):
    random = np.random.default_rng(draw)
    x = random.normal(size=(rows, columns)).round(4)
    y = 2 * x[:, 0] - 1.5 * x[:, 1] + x[:, 2] + random.normal(size=rows)
    frame = pd.DataFrame(x, columns=[f"g{c + 1}" for c in range(columns)])
    frame["target"] = y.round(4)
    return frame


def select(binary, frame, seed, directory):
    path, out = Path(directory) / "table.csv", Path(directory) / "out"
    frame.to_csv(path, index=False)
    command = [binary, "select", str(path), "--target", "target", "--device", "cpu", "--seed", str(seed), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    return json.loads((out / "selection.json").read_text())


def standard_error(result, rows):
    """Of the difference between the chosen features' score and all features'."""
    score = result["all_features_score"]
    if result["metric"] == "mae":
        of_rows = 0.756 * score / rows**0.5
    else:
        p = (score * rows + 2) / (rows + 4)
        of_rows = (p * (1 - p) / rows) ** 0.5
    return (result["score_se"] ** 2 + result["all_features_score_se"] ** 2 + of_rows**2) ** 0.5


def noise(result):
    return max(result["resampling"]["copies"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--sets", default=",".join(TABLES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--draws", type=int, default=10)
    arguments = parser.parse_args()
    print("| table | chosen, seeds 0 … | spread | of the chosen | of all | within 2 s.e. | stable among the chosen | noise | seconds |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        for name in filter(None, arguments.sets.split(",")):
            frame = table(TABLES[name])
            results = [select(arguments.bin, frame, seed, directory) for seed in range(arguments.seeds)]
            numbers = [len(r["chosen"]) for r in results]
            median = statistics.median(numbers)
            spread = max(abs(n - median) for n in numbers) / median
            within = 0
            for r in results:
                error = standard_error(r, round(0.2 * len(frame)))
                worse = r["all_features_score"] - r["score"]
                within += (-worse if r["metric"] == "mae" else worse) <= 2 * error
            percent = lambda r, key: f"{r[key]:.1f}" if r["metric"] == "mae" else f"{100 * r[key]:.1f}"
            stable = [sum(f in r["resampling"]["stable"] for f in r["chosen"]) for r in results]
            print(
                f"| {name} | {' '.join(map(str, numbers))} | {100 * spread:.0f} % "
                f"| {' '.join(percent(r, 'score') for r in results)} | {' '.join(percent(r, 'all_features_score') for r in results)} "
                f"| {within} of {len(results)} | {' '.join(map(str, stable))} "
                f"| {100 * max(map(noise, results)):.0f} % | {statistics.median(r['seconds'] for r in results):.1f} ({max(r['seconds'] for r in results):.1f}) |",
                flush=True,
            )
        for draw in range(arguments.draws):
            r = select(arguments.bin, genes(draw), draw, directory)
            stable, true = r["resampling"]["stable"], ["g1", "g2", "g3"]
            shares = ", ".join(f"{r['stability'][g]:.2f}" for g in true)
            print(
                f"genes, draw {draw}: chosen {' '.join(r['chosen'][:8])}; stable: {sum(g in stable for g in true)} of 3 "
                f"({shares}) and {len(set(stable) - set(true))} others; "
                f"bound {r['resampling']['false_ones']:.2f}, noise {100 * noise(r):.0f} %; {r['seconds']:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
