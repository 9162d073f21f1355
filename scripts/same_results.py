#!/usr/bin/env python3
"""Whether two builds of eigenlens give the same results: for changes that are to change no behaviour.

    python3 scripts/same_results.py OLD NEW [--devices cpu,gpu] [--work DIR]

Runs train, select, explain, curve, predict, similarity and reproduce with fixed seeds with both programs, and compares every
file they write: tables byte by byte, arrays by their members' bytes, JSON and the model's description without times and whatever
their keys' order, pages by the words and numbers that a reader sees and by the shapes of their plots. Exit code 1 and a line for
each difference where there are any. Run it in the repository's folder.
"""
import argparse
import html.parser
import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import zipfile

FLATS = "examples/data/flats/flats.csv"
MNIST = "idx:examples/data/mnist"
# What a run took is never the same.
TIMES = re.compile(r"seconds|milliseconds|_ms$|^ms_|speed|created")
CASES = {
    "flats": ["train", FLATS, "--target", "price_k", "--replicas", "3", "--out", "{out}"],
    "digits": ["train", MNIST, "--classes", "0,1", "--epochs", "3", "--residual", "--batch-norm", "first", "--activation",
               "tanh,relu,relu", "--dropout", "0.1@first", "--out", "{out}"],
    "gelu": ["train", "gaussian", "--epochs", "2", "--hidden", "30,12", "--activation", "gelu,leaky-relu", "--spectral", "all",
             "--train", "psi,lambda_in,lambda_out,bias", "--out", "{out}"],
    "few": ["select", FLATS, "--target", "price_k", "--seeds", "3", "--penalties", "5", "--epochs", "40", "--out", "{out}"],
    "exact": ["select", FLATS, "--target", "price_k", "--seeds", "2", "--penalties", "4", "--epochs", "30", "--exact", "--out",
              "{out}"],
    "curve": ["curve", "{flats}/model.safetensors", FLATS, "--retrain", "--out", "{out}"],
    "predict": ["predict", "{flats}/model.safetensors", FLATS, "--out", "{out}/predictions.csv"],
    "why-flats": ["explain", "{flats}/model.safetensors", FLATS, "--rows", "0..6", "--split", "all", "--out", "{out}"],
    "why-digits": ["explain", "{digits}/model.safetensors", MNIST, "--rows", "13000..13004", "--split", "activation2", "--out",
                   "{out}"],
    "why-free": ["explain", "{digits}/model.safetensors", MNIST, "--rows", "13000..13002", "--memory", "0", "--components", "4",
                 "--out", "{out}"],
    "why-gelu": ["explain", "{gelu}/model.safetensors", "gaussian", "--rows", "0..4", "--secant", "--split", "all", "--out",
                 "{out}"],
    "alike": ["similarity", "{gelu}/model.safetensors", "gaussian", "--rows", "0..8", "--split", "activation1", "--out", "{out}"],
    "gaussian": ["reproduce", "gaussian", "--rows", "2000", "--data-sets", "2", "--replicas", "2", "--epochs", "3", "--out",
                 "{out}"],
    "correlated": ["reproduce", "correlated", "--rows", "2000", "--data-sets", "1", "--replicas", "2", "--epochs", "2",
                   "--variant", "notebook", "--out", "{out}"],
    "squares": ["reproduce", "rotated-squares", "--rows", "300", "--seeds", "1", "--epochs", "3", "--hidden", "32", "--out",
                "{out}"],
    "mnist-01": ["reproduce", "mnist-01", "--replicas", "2", "--epochs", "2", "--controls", "2", "--out", "{out}"],
}
# On a software adapter these would take minutes.
CPU_ONLY = {"mnist-01", "squares", "exact"}


class Page(html.parser.HTMLParser):
    """The words of a page and the geometry of its plots."""

    def __init__(self):
        super().__init__()
        self.words, self.shapes, self.quiet = [], [], 0

    def handle_starttag(self, tag, attributes):
        self.quiet += tag in ("style", "title", "script")
        for name, value in attributes:
            if name in ("d", "points", "href", "title", "aria-label", "x", "y", "cx", "cy", "width", "height", "viewbox"):
                self.shapes.append(f"{name}={value}")

    def handle_endtag(self, tag):
        self.quiet -= tag in ("style", "title", "script")

    def handle_data(self, data):
        if not self.quiet:
            self.words += data.split()


def timeless(value):
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in sorted(value.items()) if not TIMES.search(key)}
    if isinstance(value, list):
        return [timeless(item) for item in value]
    # Descriptions inside a model are JSON in a string.
    if isinstance(value, str) and value[:1] in "{[":
        try:
            return timeless(json.loads(value))
        except ValueError:
            pass
    return value


def numbers_of(path, folder):
    """What must be equal in a result file, as a list of (part, content); `folder` holds all results of one program."""
    if path.suffix == ".json":
        return [("", json.dumps(timeless(json.loads(path.read_text())), indent=1).splitlines())]
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            return [(name, archive.read(name)) for name in sorted(archive.namelist())]
    if path.suffix == ".safetensors":
        data = path.read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + length])
        parts = [("description", json.dumps(timeless(header.pop("__metadata__")), indent=1).splitlines())]
        for name, tensor in sorted(header.items()):
            begin, end = (8 + length + offset for offset in tensor["data_offsets"])
            parts.append((name, (tensor["dtype"], tensor["shape"], data[begin:end])))
        return parts
    if path.suffix == ".html":
        page = Page()
        page.feed(path.read_text().replace(str(folder), ""))
        words = re.sub(r"\d[\d.,]* (ms|s)\b", "TIME", " ".join(page.words))
        return [("words", words.split()), ("shapes", sorted(page.shapes))]
    return [("", path.read_text().splitlines())]


def difference(name, old, new):
    if isinstance(old, list):
        pairs = [(i, a, b) for i, (a, b) in enumerate(zip(old, new)) if a != b]
        first = f"first at {pairs[0]}" if pairs else f"{len(old)} and {len(new)} items"
        return f"{name}: {len(pairs)} of {len(old)} differ, {first}"
    return f"{name}: the bytes differ"


def run(program, case, out, done):
    places = {"out": str(out), **{name: str(place) for name, place in done.items()}}
    out.mkdir(parents=True)
    command = [str(program)] + [part.format(**places) for part in CASES[case[0]]] + ["--device", case[1]]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"same_results.py: {' '.join(command)} failed: {result.stderr}")
    # Lines about time and place aside, a command says the same.
    said = [re.sub(r"\d[\d.,]* (ms|s)\b", "TIME", line) for line in result.stdout.splitlines() if str(out) not in line]
    (out / "stdout.txt").write_text("\n".join(said))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=pathlib.Path)
    parser.add_argument("new", type=pathlib.Path)
    parser.add_argument("--devices", default="cpu,gpu")
    parser.add_argument("--work", type=pathlib.Path, help="keeps what the programs write; old results there are used again")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--words", action="store_true", help="compare the words of pages alone, not the shapes of their plots")
    arguments = parser.parse_args()
    work = arguments.work or pathlib.Path(tempfile.mkdtemp())
    files = differing = 0
    for device in arguments.devices.split(","):
        done = {"old": {}, "new": {}}
        for name in arguments.cases.split(","):
            if device == "gpu" and name in CPU_ONLY:
                continue
            for which, program in (("old", arguments.old), ("new", arguments.new)):
                place = work / which / device / name
                done[which][name] = place
                if which == "new" or not place.is_dir():
                    subprocess.run(["rm", "-rf", str(place)], check=True)
                    run(program.resolve(), (name, device), place, done[which])
            old, new = (done[which][name] for which in ("old", "new"))
            for file in sorted({p.relative_to(r) for r in (old, new) for p in r.rglob("*") if p.is_file()}):
                files += 1
                where = f"{device}/{name}/{file}"
                missing = [str(place) for place in (old, new) if not (place / file).is_file()]
                if missing:
                    print(f"{where}: not in {missing[0]}")
                    differing += 1
                    continue
                parts = [dict(numbers_of(place / file, work / which)) for which, place in (("old", old), ("new", new))]
                if arguments.words:
                    [part.pop("shapes", None) for part in parts]
                lines = [difference(f"{where} {part}".rstrip(), parts[0].get(part), parts[1].get(part))
                         for part in sorted(set(parts[0]) | set(parts[1])) if parts[0].get(part) != parts[1].get(part)]
                differing += bool(lines)
                [print(line) for line in lines]
    print(f"{files} files compared, {differing} differ")
    sys.exit(1 if differing else 0)


main()
