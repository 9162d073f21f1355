#!/usr/bin/env bash
# Eigenlens against PyTorch on this machine: ours, theirs, ours, theirs; prints a table of ratios.
#
#   bash benches/peers/run.sh [--quick] [--runs N] [--device cpu|gpu] [--threads N] [--python PYTHON] [--keep DIR] [--out TABLE.md]
#
# --device gpu compares our GPU engine with torch on CUDA; --keep keeps the JSON files; --quick only shows that everything works.
# PyTorch comes from PYTHON (default: python3, or benches/peers/.venv once made), and is installed into benches/peers/.venv
# when that Python has none. PyPI's wheel for Linux is linked against the CUDA libraries and does not import without them, so there
# is nothing lighter on PyPI than the whole (5.4 GB on disk). PyTorch's own index has
# a far smaller CPU-only build: name that index in TORCH_INDEX_URL to use it (see pytorch.org, "Get started", compute platform CPU).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
runs=2 device=cpu python= out= keep= quick= threads=

while [ $# -gt 0 ]; do
    case $1 in
        --quick) quick=--quick runs=1 ;;
        --runs | --device | --threads | --python | --out | --keep)
            [ $# -ge 2 ] || { echo "run.sh: $1 needs a value" >&2; exit 2; }
            case $1 in
                --runs) runs=$2 ;; --device) device=$2 ;; --threads) threads=$2 ;;
                --python) python=$2 ;; --out) out=$2 ;; --keep) keep=$2 ;;
            esac
            shift ;;
        -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; exit 0 ;;
        *) echo "run.sh: unknown argument $1 (see --help)" >&2; exit 2 ;;
    esac
    shift
done

venv_python=$here/.venv/bin/python
if [ -z "$python" ]; then
    python=python3
    [ -x "$venv_python" ] && python=$venv_python
fi
if ! "$python" -c 'import torch, numpy' 2>/dev/null; then
    echo "run.sh: no PyTorch in $python; installing it into benches/peers/.venv" >&2
    [ -x "$venv_python" ] || "$python" -m venv "$here/.venv"
    python=$venv_python
    "$python" -m pip install --quiet numpy torch ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} >&2
fi

bench=${CARGO_TARGET_DIR:-$root/target}/release/eigenlens-bench
# Nothing to do when it is up to date.
(cd "$root" && cargo build --release --locked --bin eigenlens-bench) >&2

if [ -n "$keep" ]; then mkdir -p "$keep"; results=$keep; else
    results=$(mktemp -d)
    trap 'rm -rf "$results"' EXIT
fi
torch_device=cpu
[ "$device" = gpu ] && torch_device=cuda

ours=() theirs=()
for run in $(seq "$runs"); do
    echo "run.sh: round $run of $runs: eigenlens" >&2
    "$bench" --suite gemm,train,ensemble,jacobian,svd --device "$device" \
        ${threads:+--threads "$threads"} ${quick:+--samples 3} --json "$results/ours$run.json" >&2
    ours+=("$results/ours$run.json")
    echo "run.sh: round $run of $runs: PyTorch" >&2
    for suite in gemm train jacobian explain; do
        "$python" "$here/$suite.py" --device "$torch_device" ${threads:+--threads "$threads"} $quick --json "$results/$suite$run.json" >&2
        theirs+=("$results/$suite$run.json")
    done
done
"$python" "$here/table.py" --ours "${ours[@]}" --theirs "${theirs[@]}" ${out:+--out "$out"}
