#!/usr/bin/env python3
"""The data sets of the feature-selection benchmark, split and scaled the same way for every method.

    data.py export --set madelon|coil20|coil20-1024|mice|mice-animal|mnist --seed S --out FILE.npz [--rows N] [--data DIR] [--mnist DIR]
    data.py check [--sets madelon,mnist] [--data DIR] [--mnist DIR]      are the files there?

`export` writes X, y (training and validation rows), X_test, y_test: the very rows that the peers get.

DIR holds three files (nothing is downloaded here; MNIST comes with this repository, in examples/data/mnist):
    madelon.npz              X [2600, 500], y. I. Guyon, S. Gunn, A. Ben-Hur, G. Dror, "Result analysis of the NIPS 2003 feature
                             selection challenge", NIPS 2004; as distributed by scikit-feature (training and validation rows)
    COIL20.npz               X [1440, 1024], y. S. A. Nene, S. K. Nayar, H. Murase, "Columbia Object Image Library (COIL-20)",
                             CUCS-005-96, 1996; as distributed by scikit-feature
    Data_Cortex_Nuclear.csv  C. Higuera, K. J. Gardiner, K. J. Cios, "Self-organizing feature maps identify proteins critical to
                             learning in a mouse model of Down syndrome", PLoS ONE 10(6), 2015; UCI repository, data set 342
scikit-feature's .mat files become .npz with
    python -c "import numpy as n, scipy.io as s; m = s.loadmat('COIL20.mat'); n.savez('COIL20.npz', X=m['X'], y=m['Y'].ravel())"

COIL20 comes in two sizes. The field's protocol (concrete autoencoders, LassoNet, Sequential Attention: their code resizes every
picture to 20 x 20) has 400 pixels: `coil20`, here the area means of the 32 x 32 pictures. `coil20-1024` has the pixels as distributed.

Split: 20 % of the rows for the test, by class, seeded (MNIST: its own test set; mice-animal: all rows of a mouse on one side);
12.5 % of the others for validation. What is missing is the training part's mean. Min-max scaling, fitted on the training part
(validation included, as it would be for a user): each column of a table by itself; all pixels of a picture alike, since they
share a unit (a pixel at the edge that was lit once is not blown up). Test values may lie outside 0..1.
"""

import argparse
import csv
import gzip
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SETS = ("madelon", "coil20", "coil20-1024", "mice", "mice-animal", "mnist")
FEATURES = {"madelon": 20, "coil20": 50, "coil20-1024": 50, "mice": 10, "mice-animal": 10, "mnist": 50}  # K of the field's protocol
WIDTH = {"coil20": 20, "coil20-1024": 32, "mnist": 28}  # of the sets of pictures
TEST, VALIDATION = 0.2, 0.125

# The 20 relevant columns of MADELON, counted from 0: five that the labels are made of and fifteen linear combinations of them; the
# other 480 are noise ("probes"). I. Guyon, "Design of experiments for the NIPS 2003 variable selection benchmark", 2003;
# the numbers for scikit-feature's order of columns.
MADELON_TRUE = (28, 48, 64, 105, 128, 153, 241, 281, 318, 336, 338, 378, 433, 442, 451, 453, 455, 472, 475, 493)

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
MNIST = HERE.parents[1] / "examples" / "data" / "mnist" if len(HERE.parents) > 1 else HERE
FILES = {"madelon": "madelon.npz", "coil20": "COIL20.npz", "coil20-1024": "COIL20.npz", "mice": "Data_Cortex_Nuclear.csv", "mice-animal": "Data_Cortex_Nuclear.csv"}
MNIST_FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


class Problem(Exception):
    """Something the user can put right: one sentence, exit code 2."""


@dataclass
class Split:
    """One data set, split and scaled. X float32, y int64 from 0."""

    set: str
    seed: int
    names: list  # of the columns
    X_train: np.ndarray
    y_train: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    @property
    def X(self):
        """Training and validation rows: what a method may see."""
        return np.concatenate([self.X_train, self.X_val])

    @property
    def y(self):
        return np.concatenate([self.y_train, self.y_val])

    @property
    def classes(self):
        return int(self.y_train.max()) + 1

    @property
    def picture(self):
        return self.set in WIDTH


def paths(name, data, mnist):
    if name not in SETS:
        raise Problem(f"there is no data set {name!r}; the sets are {', '.join(SETS)}")
    files = [Path(mnist) / f for f in MNIST_FILES] if name == "mnist" else [Path(data) / FILES[name]]
    for file in files:
        if not file.is_file():
            where = "the folder of the four idx files with --mnist" if name == "mnist" else "its folder with --data (origins: data.py --help)"
            raise Problem(f"{name}: {file} is not there; give {where}")
    return files


def read_idx(path):
    with gzip.open(path) as f:
        content = f.read()
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise Problem(f"{path} is not an idx file of bytes")
    shape = np.frombuffer(content, ">u4", content[3], 4).astype(int)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)


def read_mice(path):
    with open(path, newline="") as f:
        table = list(csv.reader(f))
    header, rows = table[0], table[1:]
    first, label = header.index("MouseID"), header.index("class")
    proteins = [i for i, name in enumerate(header) if name.endswith("_N")]
    if len(proteins) != 77:
        raise Problem(f"{path}: {len(proteins)} columns end in _N, and there should be 77 proteins")
    X = np.array([[float(row[i]) if row[i] not in ("", "?", "NA") else np.nan for i in proteins] for row in rows], np.float32)
    animal = np.array([row[first].split("_")[0] for row in rows])
    return X, np.array([row[label] for row in rows]), animal, [header[i] for i in proteins]


def resized(X, width, to):
    """Square pictures [rows, width * width] as [rows, to * to]: each new pixel is the mean over its area of the old ones."""
    edges = np.arange(to + 1) * width / to
    old = np.arange(width)
    part_of = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    share = np.maximum(part_of, 0) * to / width
    return np.einsum("ai,nij,bj->nab", share, X.reshape(-1, width, width), share).reshape(len(X), -1).astype(np.float32)


def take(rows_by_class, share, rng):
    """A share of the rows of every class. The running total is rounded, so that small classes don't all round alike."""
    taken, rest, seen, n = [], [], 0, 0
    for rows in rows_by_class:
        rows = rng.permutation(rows)
        seen += len(rows)
        k = int(min(max(round(seen * share) - n, 0), len(rows) - 1))
        n += k
        taken.append(rows[:k])
        rest.append(rows[k:])
    return np.concatenate(taken), np.concatenate(rest)


def by_class(y, rows):
    return [rows[y[rows] == c] for c in np.unique(y[rows])]


def part(y, groups, rows, share, rng):
    """Splits rows in two, by class; groups (where given) stay whole and belong to one class each."""
    if groups is None:
        return take(by_class(y, rows), share, rng)
    animals, first = np.unique(groups[rows], return_index=True)
    taken, rest = take(by_class(y[rows][first], np.arange(len(animals))), share, rng)
    return rows[np.isin(groups[rows], animals[taken])], rows[np.isin(groups[rows], animals[rest])]


def load(name, seed, data=DATA, mnist=MNIST, rows=None):
    """The split `seed` of a set; with `rows` only so many rows of training and validation together."""
    files = paths(name, data, mnist)
    groups = names = None
    if name == "mnist":
        X, y, X_test, y_test = (read_idx(f) for f in files)
        X, X_test = (a.reshape(len(a), -1) for a in (X, X_test))
        own_test = len(X) + np.arange(len(X_test))
        X, y = np.concatenate([X, X_test]), np.concatenate([y, y_test])
    elif name.startswith("mice"):
        X, y, animals, names = read_mice(files[0])
        own_test, groups = None, animals if name == "mice-animal" else None
    else:
        with np.load(files[0]) as arrays:
            X, y = np.ascontiguousarray(arrays["X"], np.float32), arrays["y" if "y" in arrays else "Y"].ravel()
        own_test = None
        if name == "coil20":
            X = resized(X, 32, WIDTH[name])
    y = np.unique(y, return_inverse=True)[1].astype(np.int64)
    if names is None:
        width = WIDTH.get(name)
        names = [f"r{i // width:02}c{i % width:02}" if width else f"x{i}" for i in range(X.shape[1])]

    rng = np.random.default_rng([seed, 4711])
    if own_test is None:
        test, rest = part(y, groups, np.arange(len(X)), TEST, rng)
    else:
        test, rest = own_test, np.arange(len(X) - len(own_test))
    if rows and rows < len(rest):
        rest, _ = part(y, groups, rest, rows / len(rest), rng)
    validation, train = part(y, groups, rest, VALIDATION, rng)
    # Not one class after the other: some read rows in order.
    test, validation, train = np.sort(test), rng.permutation(validation), rng.permutation(train)

    parts = [X[r].astype(np.float32) for r in (train, validation, test)]
    fit = np.concatenate(parts[:2])
    mean = np.nanmean(fit, axis=0)
    for p in parts:
        np.copyto(p, mean, where=np.isnan(p))
    axis = None if name in WIDTH else 0
    low, high = np.nanmin(fit, axis=axis), np.nanmax(fit, axis=axis)
    scale = np.where(high > low, high - low, 1).astype(np.float32)
    parts = [(p - low) / scale for p in parts]
    return Split(name, seed, names, parts[0], y[train], parts[1], y[validation], parts[2], y[test])


def common_arguments(parser):
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help=f"folder of the three files (default: {DATA})")
    parser.add_argument("--mnist", type=Path, default=MNIST, metavar="DIR", help=f"folder of MNIST's idx files (default: {MNIST})")


def guarded(main):
    """Runs main; a Problem, or a file that can't be read or written, becomes one sentence and exit code 2."""
    try:
        sys.exit(main())
    except (Problem, OSError) as problem:
        print(f"{Path(sys.argv[0]).name}: {problem}", file=sys.stderr)
        sys.exit(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    export = commands.add_parser("export", help="write one split as .npz")
    export.add_argument("--set", required=True, choices=SETS)
    export.add_argument("--seed", type=int, default=0)
    export.add_argument("--rows", type=int, help="only so many rows besides the test's")
    export.add_argument("--out", required=True, type=Path, metavar="FILE.npz")
    check = commands.add_parser("check", help="are the files there?")
    check.add_argument("--sets", default=",".join(SETS), help="by comma")
    for command in (export, check):
        common_arguments(command)
    args = parser.parse_args()
    if args.command == "export" and args.seed < 0:
        raise Problem(f"--seed is {args.seed}; it must be 0 at least")
    if args.command == "check":
        for name in args.sets.split(","):
            paths(name, args.data, args.mnist)
        return
    s = load(args.set, args.seed, args.data, args.mnist, args.rows)
    with open(args.out, "wb") as f:  # a handle, since numpy would append .npz to another name
        np.savez(f, X=s.X, y=s.y, X_test=s.X_test, y_test=s.y_test)
    print(f"{args.out}: {s.set}, seed {s.seed}: {len(s.y)} rows and {len(s.y_test)} for the test, {s.X.shape[1]} columns, {s.classes} classes", file=sys.stderr)


if __name__ == "__main__":
    guarded(main)
