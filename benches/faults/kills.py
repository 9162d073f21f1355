#!/usr/bin/env python3
"""Kills the program (-9) at random moments and looks at what is left: python3 benches/faults/kills.py EIGENLENS [COUNT [SEED]]

Every command is run whole once. Then it is killed COUNT times in all; after each kill its folder must hold results of one run, those of the
run before or its own, and nothing half. Commands that go on (train, select, reproduce, explain, similarity, curve) are then resumed, some of them killed once more on
the way, and must end with the bits of the run that was never stopped, but for times. Exit code 1 if anything differed.
"""
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.abspath(sys.argv[1])
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 200
RANDOM = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
ENGINE = ["--device", "cpu", "--threads", "2"]
OFTEN = ["--checkpoint", "0.0005"]
# What differs from run to run, and where a run computes.
TIMES = re.compile(rb'"(seconds|milliseconds_per_1000_rows|training_seconds|created)": ?[-0-9.e+]+')
PAGES = (".html", ".md")


def content(folder):
    """Each result of a folder as bytes, without its times; pages and a model's header tell times and engines."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*")):
        if path.is_dir() or path.suffix in PAGES or path.name.startswith("."):
            continue
        data = path.read_bytes()
        if path.suffix == ".safetensors":
            data = data[8 + int.from_bytes(data[:8], "little"):]
        found[path.name] = TIMES.sub(b"", data)
    return found


def run(arguments, check=True, **options):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr}")
    return done


def killed(arguments, after):
    """Whether the program was still running when it was killed."""
    child = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        child.wait(after)
        return False
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return True


def commands(place, model):
    quick = ["--hidden", "8", *ENGINE]
    return {
        "train": (["train", "correlated", "--epochs", "200", "--replicas", "2", "--report", "html,md", *quick, *OFTEN], True),
        "select": (["select", place / "table.csv", "--target", "y", "--seeds", "2", "--penalties", "3", "--pairs", "2", "--controls",
                    "1", "--epochs", "1000", *quick, *OFTEN], True),
        "reproduce": (["reproduce", "gaussian", "--data-sets", "2", "--replicas", "2", "--epochs", "60", "--rows", "20000", *ENGINE, *OFTEN],
                      True),
        "explain": (["explain", model, "correlated", "--rows", "test:2000", "--split", "all", "--components", "2", *ENGINE, *OFTEN], True),
        "similarity": (["similarity", model, "correlated", "--rows", "test:1000", *ENGINE, *OFTEN], True),
        "curve": (["curve", model, "correlated", "--controls", "20", "--retrain", *ENGINE, *OFTEN], True),
        "demo": (["demo", "--mnist", place / "digits", *ENGINE], False),
        "predict": (["predict", model, "correlated", *ENGINE], False),
        "export": (["export", model], False),
        "rank": (["rank", model], False),
        "inspect": (["inspect", model, "correlated", *ENGINE], False),
        "adapters": (["adapters"], False),
    }


def digits(folder):
    """Zeros and ones of noise, as MNIST's four files."""
    folder.mkdir()
    for part, rows in [("train", 300), ("t10k", 60)]:
        labels = [i % 2 for i in range(rows)]
        pixels = bytes(RANDOM.randrange(200) if RANDOM.random() < 0.1 + 0.1 * label else 0 for label in labels for _ in range(784))
        head = lambda kind, *sizes: bytes([0, 0, 8, kind]) + b"".join(size.to_bytes(4, "big") for size in sizes)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head(3, rows, 28, 28) + pixels)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(head(1, rows) + bytes(labels))


def out_of(name, folder):
    if name in ("rank", "inspect", "adapters"):
        return []
    return ["--out", str({"predict": folder / "p.csv", "export": folder / "m.onnx"}.get(name, folder))]


def main():
    place = pathlib.Path(tempfile.mkdtemp())
    rows = [[RANDOM.gauss(0, 1) for _ in range(6)] for _ in range(300)]
    lines = ["a,b,c,d,e,f,y"] + [",".join(f"{x:.4f}" for x in r) + f",{int(r[0] + r[1] > 0)}" for r in rows]
    (place / "table.csv").write_text("\n".join(lines) + "\n")
    digits(place / "digits")
    run(["train", "correlated", "--out", str(place / "model"), "--epochs", "1", "--hidden", "8", *ENGINE])
    model = str(place / "model/model.safetensors")
    whole, took = {}, {}
    for name, (arguments, _) in commands(place, model).items():
        folder = place / f"{name}-whole"
        folder.mkdir()
        clock = time.time()
        run([str(a) for a in arguments] + out_of(name, folder))
        took[name], whole[name] = time.time() - clock, content(folder)
    faults, cut, resumed = [], 0, 0
    for i in range(COUNT):
        name = RANDOM.choice([name for name in whole for _ in range(4 if commands(place, model)[name][1] else 1)])
        arguments, goes_on = commands(place, model)[name]
        arguments = [str(a) for a in arguments]
        folder = place / "cut"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "mine.txt").write_text("not ours")
        # Half of them over results of another seed: the old ones, or the new, and no mixture.
        before = {"mine.txt": b"not ours"}
        if name == "train" and RANDOM.random() < 0.5:
            run(arguments + out_of(name, folder) + ["--seed", "7"])
            before = content(folder)
        late = RANDOM.random() < 0.4
        after = took[name] * (RANDOM.uniform(0.85, 1.05) if late else RANDOM.uniform(0, 1))
        cut += killed(arguments + out_of(name, folder), after)
        # The next command that reads a model there finishes what was begun.
        if name in ("train", "select", "demo") and ((folder / "model.safetensors").exists() or (folder / "unfinished/.swap").exists()):
            run(["rank", str(folder / "model.safetensors")])
        now, new = content(folder), whole[name] | {"mine.txt": b"not ours"}
        halves = [path for path in folder.glob(".*.part")]
        if now not in (before, new) and not (folder / "unfinished/.swap").exists():
            faults.append(f"kill {i}: {name} after {after:.3f} s left {sorted(now)}, which is neither old nor new")
        if goes_on and (folder / f"unfinished/{name}/run.json").exists():
            resume = [name, "--resume", str(folder)]
            if RANDOM.random() < 0.3:
                killed(resume, took[name] * RANDOM.random() * 0.5)
            done = run(resume, check=False)
            resumed += 1
            if done.returncode != 0 or content(folder) != new:
                differ = [key for key in new if content(folder).get(key) != new[key]]
                faults.append(f"kill {i}: {name} after {after:.3f} s, resumed: {done.stderr.strip()} {differ}")
        else:
            run(arguments + out_of(name, folder))
            if content(folder) != new:
                faults.append(f"kill {i}: {name} after {after:.3f} s, run again: another result")
        if (folder / "unfinished").exists() or [path for path in halves if path.exists()]:
            faults.append(f"kill {i}: {name} left something behind")
    print(json.dumps({"kills": COUNT, "while running": cut, "resumed": resumed, "faults": faults}, indent=1))
    shutil.rmtree(place)
    sys.exit(1 if faults else 0)


main()
