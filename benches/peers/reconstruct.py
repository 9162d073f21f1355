"""Which K inputs say what the others say: `eigenlens select --task autoencode` beside principal feature analysis.

The protocol of concrete autoencoders and LassoNet: K columns are chosen on training rows without any label; a linear regression from them to
all columns, fitted on the training rows, is scored by its mean squared error on test rows. Columns are scaled to [0, 1].

    python3 benches/peers/reconstruct.py --bin target/release/eigenlens [--rows 5000] [--k 50] [--draws 3]

Data: MNIST (examples/data/mnist). Needs numpy and scikit-learn. Principal feature analysis (Lu, Cohen, Zhou, Tian 2007): the rows of the leading
eigenvectors of the covariance are clustered into K groups, and the column nearest each centre is taken.
"""

import argparse
import gzip
import json
import os
import pathlib
import subprocess
import tempfile
import time

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression

ROOT = pathlib.Path(__file__).resolve().parents[2]


def mnist():
    def pixels(name):
        raw = gzip.open(ROOT / "examples/data/mnist" / name).read()
        return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784)

    return pixels("train-images-idx3-ubyte.gz"), pixels("t10k-images-idx3-ubyte.gz")


def error(train, test, columns):
    fitted = LinearRegression().fit(train[:, columns], train)
    return float(((fitted.predict(test[:, columns]) - test) ** 2).mean())


def principal_features(train, k, seed):
    covariance = np.cov(train.T)
    values, vectors = np.linalg.eigh(covariance)
    # As many directions as hold nine tenths of the variance, k at most.
    share = np.cumsum(values[::-1]) / values.sum()
    q = min(k, int(np.searchsorted(share, 0.9)) + 1)
    rows = np.abs(vectors[:, ::-1][:, :q])
    clusters = KMeans(k, n_init=4, random_state=seed).fit(rows)
    chosen = []
    for j, centre in enumerate(clusters.cluster_centers_):
        members = np.flatnonzero(clusters.labels_ == j)
        chosen.append(members[((rows[members] - centre) ** 2).sum(1).argmin()])
    return np.array(chosen)


def greedy(train, k):
    """Column by column that which lowers the error of the linear regression most: the choice that the score itself would make."""
    left = train - train.mean(0)
    chosen = []
    for _ in range(k):
        products = left.T @ left
        norms = np.diag(products).copy()
        gain = np.where(norms > 1e-9 * norms.max(), (products**2).sum(0) / np.maximum(norms, 1e-12), 0.0)
        gain[chosen] = 0
        best = int(gain.argmax())
        chosen.append(best)
        direction = left[:, best] / np.sqrt(norms[best])
        left = left - np.outer(direction, direction @ left)
    return np.array(chosen)


def eigenlens(arguments, train, k, seed, folder):
    data, out = f"{folder}/train.npz", f"{folder}/out"
    np.savez(data, X=train)
    command = [arguments.bin, "select", data, "--task", "autoencode", "--features", str(k), "--scale", "unit"]
    command += ["--seed", str(seed), "--test", "0", "--device", "cpu", "--out", out]
    subprocess.run(command + arguments.options.split(), check=True, capture_output=True)
    return np.array(json.load(open(f"{out}/selection.json"))["columns"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--k", type=int, default=50)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--options", default="", help="more options for eigenlens select, in one text")
    arguments = parser.parse_args()
    all_train, all_test = mnist()
    found, seconds = {}, {}
    for seed in range(arguments.draws):
        draw = np.random.default_rng(seed)
        bytes_ = all_train[draw.choice(len(all_train), arguments.rows, replace=False)]
        train, test = bytes_ / 255.0, all_test / 255.0
        with tempfile.TemporaryDirectory() as folder:
            ways = {
                "eigenlens": lambda: eigenlens(arguments, bytes_, arguments.k, seed, folder),
                "principal feature analysis": lambda: principal_features(train, arguments.k, seed),
                "random": lambda: draw.choice(np.flatnonzero(train.std(0) > 0), arguments.k, replace=False),
                "greedy by the regression's own error": lambda: greedy(train, arguments.k),
                "all": lambda: np.arange(784),
            }
            for name, way in ways.items():
                start = time.perf_counter()
                columns = way()
                seconds.setdefault(name, []).append(time.perf_counter() - start)
                found.setdefault(name, []).append(error(train, test, columns))
    for name, errors in found.items():
        print(f"{name:40} {np.mean(errors):.5f} ± {np.std(errors):.5f}  {np.median(seconds[name]):8.1f} s", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
