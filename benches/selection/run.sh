#!/usr/bin/env bash
# Eigenlens' feature selection beside other people's, on data with known answers or published numbers; prints a table.
#
#   bash benches/selection/run.sh [--sets madelon,coil20,mice,mnist] [--seeds N] [--quick] [--no-lassonet] [--time] [--data DIR]
#                                 [--keep DIR [--reuse]] [--bin EIGENLENS] [--no-ours] [--threads N] [--python PYTHON] [--out TABLE.md]
#
# --data names the folder of madelon.npz, COIL20.npz and Data_Cortex_Nuclear.csv (origins: data.py --help; default: benches/selection/data);
# MNIST comes with the repository. --seeds: splits 0 .. N-1 (default 5; MNIST has its own test set, so one), each with 5 networks.
# --sets takes mice-animal (the mice split by animal) and coil20-1024 (32 x 32 pixels for the protocol's 20 x 20) too. --quick only shows that everything works.
# --time compares times only: LassoNet's one path with 12 penalties x 1 and x 5 seeds of ours, three rounds alternating, on MADELON
# and 10,000 rows of MNIST. --keep keeps all JSON files and our reports; --reuse takes those that are there instead of running again.
# --no-ours leaves eigenlens out; --bin names a built one.
# The peers come from PYTHON (default: python3, or benches/peers/.venv once made), and are installed into benches/peers/.venv when
# that Python lacks them (PyTorch is 5.4 GB; see benches/peers/run.sh for TORCH_INDEX_URL).
set -euo pipefail

# What our program is told, besides FILE.npz, --out and --seed: one line a set.
common="--seeds 5 --device cpu"
declare -A ours=(
    [madelon]="--features 20 $common"
    [coil20]="--features 50 $common"
    [coil20-1024]="--features 50 $common"
    [mice]="--features 10 $common"
    [mice-animal]="--features 10 $common"
    [mnist]="--features 50 $common"
)
declare -A timed=([12x1]="--penalties 12 --seeds 1 --device cpu" [12x5]="--penalties 12 --seeds 5 --device cpu")
# LassoNet: on how many splits it runs, and on how many rows where all would take an hour.
declare -A lassonet_splits=([madelon]=5 [coil20]=1 [coil20-1024]=1 [mice]=1 [mice-animal]=1 [mnist]=1) lassonet_rows=([mnist]=10000)
timed_sets="madelon mnist" timed_rounds=3

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
sets=madelon,coil20,mice,mnist seeds=5 quick= lassonet=1 time= data= keep= reuse= bin= with_ours=1 threads= python= out=
say() { echo "run.sh: $*" >&2; }

while [ $# -gt 0 ]; do
    case $1 in
        --quick) quick=--quick seeds=1 timed_rounds=1 ;;
        --no-lassonet) lassonet= ;;
        --time) time=1 ;;
        --reuse) reuse=--reuse ;;
        --no-ours) with_ours= ;;
        --sets | --seeds | --data | --keep | --bin | --threads | --python | --out)
            [ $# -ge 2 ] || { say "$1 needs a value"; exit 2; }
            case $1 in
                --sets) sets=$2 ;; --seeds) seeds=$2 ;; --data) data=$2 ;; --keep) keep=$2 ;;
                --bin) bin=$2 ;; --threads) threads=$2 ;; --python) python=$2 ;; --out) out=$2 ;;
            esac
            shift ;;
        -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; exit 0 ;;
        *) say "unknown argument $1 (see --help)"; exit 2 ;;
    esac
    shift
done
case $seeds in '' | *[!0-9]* | 0) say "--seeds $seeds: a number of splits, at least 1, is needed"; exit 2 ;; esac
[ -z "$reuse" ] || [ -n "$keep" ] || { say "--reuse needs --keep DIR"; exit 2; }
[ -z "$time" ] || [ -n "$with_ours$lassonet" ] || { say "--time with --no-ours and --no-lassonet has nothing to time"; exit 2; }
read -ra list <<<"${sets//,/ }"
for set in "${list[@]}"; do
    [ -n "${ours[$set]-}" ] || { say "there is no data set $set; the sets are madelon, coil20, coil20-1024, mice, mice-animal, mnist"; exit 2; }
done

venv_python=$root/benches/peers/.venv/bin/python
if [ -z "$python" ]; then
    python=python3
    [ -x "$venv_python" ] && python=$venv_python
fi
needed="torch, numpy, sklearn${lassonet:+, lassonet}"
if ! "$python" -c "import $needed" 2>/dev/null; then
    say "$python lacks one of $needed; installing them into benches/peers/.venv"
    [ -x "$venv_python" ] || "$python" -m venv "$root/benches/peers/.venv"
    python=$venv_python
    "$python" -c 'import torch, numpy' 2>/dev/null || "$python" -m pip install --quiet numpy torch ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} >&2
    "$python" -m pip install --quiet scikit-learn ${lassonet:+lassonet} >&2
fi

[ -z "$bin" ] || [ -x "$bin" ] || { say "--bin $bin is no program"; exit 2; }

where=(${data:+--data "$data"})
speed=(${threads:+--threads "$threads"})
[ -z "$time" ] || sets=${timed_sets// /,}
"$python" "$here/data.py" check --sets "$sets" "${where[@]}"

if [ -n "$with_ours" ] && [ -z "$bin" ]; then
    (cd "$root" && cargo build --release --locked --bin eigenlens) >&2
    bin=${CARGO_TARGET_DIR:-$root/target}/release/eigenlens
fi
if [ -n "$keep" ]; then mkdir -p "$keep"; results=$(cd "$keep" && pwd); else results=$(mktemp -d); fi
npz=$(mktemp -d)
cleanup() { rm -rf "$npz"; if [ -z "$keep" ]; then rm -rf "$results"; fi; }
trap cleanup EXIT

# export SET SEED [ROWS]: the data file of our program, made once.
export_set() {
    file=$npz/$1_$2${3:+_$3}.npz
    [ -e "$file" ] || "$python" "$here/data.py" export --set "$1" --seed "$2" ${3:+--rows "$3"} --out "$file" "${where[@]}"
}

# select_ours SET SEED NAME ROWS ARGUMENTS...: NAME.json and the folder NAME with our program's files.
select_ours() {
    local set=$1 seed=$2 name=$3 rows=$4 method=$5 start end
    shift 5
    if [ -n "$reuse" ] && [ -e "$results/$name.json" ]; then return; fi
    rm -rf "${results:?}/$name" "$results/$name.json"
    start=$(date +%s.%N)
    "$bin" select "$file" --out "$results/$name" --seed "$seed" "$@" ${threads:+--threads "$threads"} >&2
    end=$(date +%s.%N)
    awk -v s="$start" -v e="$end" -v set="$set" -v seed="$seed" -v method="$method" -v name="$name" -v rows="$rows" 'BEGIN {
        printf "{\"set\": \"%s\", \"seed\": %d, \"method\": \"%s\", \"seconds\": %.3f, %s\"selection\": \"%s/selection.json\"}\n",
            set, seed, method, e - s, rows ? "\"rows\": " rows ", " : "", name
    }' >"$results/$name.json"
}

if [ -n "$time" ]; then
    # PyTorch's threads wait actively: with two other jobs on two cores it was seen to take ten times as long.
    if [ -r /proc/loadavg ] && awk '{ exit !($1 > 0.7) }' /proc/loadavg; then
        say "the load average is $(cut -d' ' -f1 /proc/loadavg) before anything started: such times can't be compared; wait for a quiet machine"
    fi
    files=()
    for round in $(seq "$timed_rounds"); do
        for set in $timed_sets; do
            rows=
            [ "$set" != mnist ] || rows=$([ -n "$quick" ] && echo 1000 || echo 10000)
            k=20
            [ "$set" = madelon ] || k=50
            export_set "$set" 0 "$rows"
            say "round $round of $timed_rounds: $set"
            if [ -n "$with_ours" ]; then
                for shape in 12x1 12x5; do
                    # shellcheck disable=SC2086  # the settings are several words
                    select_ours "$set" 0 "time${round}_${set}_$shape" "$rows" "eigenlens $shape" --features "$k" ${timed[$shape]}
                    files+=("$results/time${round}_${set}_$shape.json")
                done
            fi
            if [ -n "$lassonet" ]; then
                "$python" "$here/peers.py" --set "$set" --seed 0 --methods lassonet ${rows:+--rows "$rows"} --out "$results/time$round" \
                    $quick $reuse "${where[@]}" "${speed[@]}" >&2
                files+=("$results/time$round/${set}_0_lassonet.json")
            fi
        done
    done
    "$python" "$here/evaluate.py" --timing "${files[@]}" ${out:+--out "$out"} --json "$results/timing.json"
    exit
fi

files=()
for set in "${list[@]}"; do
    last=$((seeds - 1))
    [ "$set" != mnist ] || last=0
    for seed in $(seq 0 "$last"); do
        say "$set, split $seed"
        if [ -n "$with_ours" ]; then
            export_set "$set" "$seed"
            # shellcheck disable=SC2086
            select_ours "$set" "$seed" "ours_${set}_$seed" "" eigenlens ${ours[$set]}
            rm -f "$file"
            files+=("$results/ours_${set}_$seed.json")
        fi
        methods=(all random mutual-info forest group-lasso)
        [ "$set" != madelon ] || methods+=(true)
        peers() { "$python" "$here/peers.py" --set "$set" --seed "$seed" --out "$results" $quick $reuse "${where[@]}" "${speed[@]}" "$@" >&2; }
        peers --methods "$(IFS=,; echo "${methods[*]}")" ${quick:+--rows 1000}
        if [ -n "$lassonet" ] && [ "$seed" -lt "${lassonet_splits[$set]}" ]; then
            rows=${lassonet_rows[$set]-}
            [ -z "$quick" ] || rows=1000
            peers --methods lassonet ${rows:+--rows "$rows"}
            methods+=(lassonet)
        fi
        for method in "${methods[@]}"; do files+=("$results/${set}_${seed}_$method.json"); done
    done
done
"$python" "$here/evaluate.py" "${files[@]}" $quick "${where[@]}" "${speed[@]}" ${out:+--out "$out"} --json "$results/results.json"
