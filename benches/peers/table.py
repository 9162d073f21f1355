#!/usr/bin/env python3
"""Ratio table (Markdown) of eigenlens against its peers, from their JSON files.

    table.py --ours ours1.json ours2.json --theirs gemm1.json train1.json ... [--out TABLE.md]

Of repeated runs the one with the lowest median counts, on both sides: other tenants of the machine only ever slow a run down.
In brackets stand its interquartile range and, after a slash, how far the slowest run's median lay above it. A ratio is
peer time / our time: above 1 eigenlens is faster.
"""

import argparse
import json
import sys
from collections import defaultdict


def load(paths):
    """{(suite, case, variant, replicas): {mode: [result, ...]}}, and one line for each machine seen."""
    table, notes = defaultdict(lambda: defaultdict(list)), []
    for path in paths:
        with open(path) as f:
            content = json.load(f)
        for result in content["results"]:
            replicas = result.get("replicas", 1)
            key = result["suite"], result["case"], result.get("variant", ""), replicas
            table[key][result.get("mode", "")].append(result)
        note = ", ".join(f"{k} {v}" for part in ("adapter", "machine") for k, v in content.get(part, {}).items())
        if note not in notes:
            notes.append(note)
    return table, notes


def pool(results):
    """The best run's median, and the text that says so."""
    best = min(results, key=lambda r: r["median_ms"])
    spread = number(best.get("iqr_ms", 0.0))
    if len(results) > 1:
        spread += " / +" + number(max(r["median_ms"] for r in results) - best["median_ms"])
    flops = f" ({best['gflops']:.0f} GFLOP/s)" if best.get("gflops") else ""
    return best["median_ms"], f"{number(best['median_ms'])} [{spread}]{flops}"


def number(ms):
    return f"{ms:.4f}" if ms < 0.1 else f"{ms:.3f}" if ms < 10 else f"{ms:.1f}"


def order(key):
    return {"gemm": 0, "train": 1, "ensemble": 2, "jacobian": 3, "svd": 4}.get(key[0], 5), key


def rows(ours, theirs):
    for key in sorted(set(ours) | set(theirs), key=order):
        suite, case, variant, replicas = key
        name = " ".join(x for x in (suite, case, variant, f"x{replicas}" if replicas > 1 else "") if x)
        mine = [r for results in ours.get(key, {}).values() for r in results]
        mine_ms, mine_text = None, "–"
        if mine:
            mine_ms, mine_text = pool(mine)
        peers = sorted((*pool(results), mode) for mode, results in theirs.get(key, {}).items())
        if not peers:
            yield name, mine_text, "–", "–", ""
            continue
        ratio = (lambda ms: f"{ms / mine_ms:.2f}") if mine_ms else (lambda ms: f"{number(ms)} ms")
        best_ms, best_text, best = peers[0]
        best_text = f"{best}: {best_text}"
        others = ", ".join(f"{mode} {ratio(ms)}" for ms, _, mode in peers[1:])
        yield name, mine_text, best_text, f"**{ratio(best_ms)}**" if mine_ms else "–", others


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", nargs="*", default=[], metavar="FILE")
    parser.add_argument("--theirs", nargs="*", default=[], metavar="FILE")
    parser.add_argument("--out", metavar="FILE", help="write the table here too")
    args = parser.parse_args()
    ours, our_notes = load(args.ours)
    theirs, their_notes = load(args.theirs)
    lines = ["| case | eigenlens, ms | best peer, ms | ratio | other modes (ratio) |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows(ours, theirs)]
    lines += ["", "Median of the best run [its interquartile range / the slowest run's median above it]; ratio = peer's time / eigenlens' time, above 1 eigenlens is faster.", ""]
    lines += [f"- eigenlens: {note}" for note in our_notes] + [f"- peer: {note}" for note in their_notes]
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if args.out:
        with open(args.out, "w") as f:
            f.write(text)


if __name__ == "__main__":
    main()
