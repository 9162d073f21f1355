#!/usr/bin/env bash
# Outputs of ONNX networks beside ONNX Runtime's: freshly exported ones of PyTorch (both exporters), scikit-learn and
# Keras, and any files; then the onnx package's own node tests.
#
#   bash benches/onnx/run.sh [--bin EIGENLENS] [--python PYTHON] [--only resnet18,mlp,nodes,…] [--work DIR] [FILE.onnx ARRAY.npz …]
#
# Prints a table: the largest difference as a share of the largest output, and the seconds of the whole command. Weights are random,
# since only the arithmetic counts. FILE and ARRAY come in pairs (X in the array as the network takes it).
# PyTorch, torchvision, onnxscript, onnxruntime, scikit-learn, skl2onnx and keras come from PYTHON (default: python3), or are installed into
# benches/onnx/.venv (6 GB).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
bin= python=python3 only= rest=()
say() { echo "run.sh: $*" >&2; }
while [ $# -gt 0 ]; do
    case $1 in
        --bin) bin=${2:?--bin needs a program} && shift ;;
        --python) python=${2:?--python needs a program} && shift ;;
        --only) only=${2:?--only needs names} && rest+=("$1" "$2") && shift ;;
        --work) rest+=("$1" "${2:?$1 needs a value}") && shift ;;
        -*) say "unknown argument $1" && exit 2 ;;
        *) rest+=("$1") ;;
    esac
    shift
done
needs='import os; os.environ["KERAS_BACKEND"] = "torch"; import keras, onnxruntime, onnxscript, skl2onnx, sklearn, torch, torchvision'
if ! "$python" -c "$needs" 2>/dev/null; then
    if ! "$here/.venv/bin/python" -c "$needs" 2>/dev/null; then
        say "installing PyTorch and the others into $here/.venv"
        "$python" -m venv "$here/.venv"
        "$here/.venv/bin/pip" install --quiet torch torchvision onnxscript onnxruntime scikit-learn skl2onnx keras
    fi
    python=$here/.venv/bin/python
fi
if [ -z "$bin" ]; then
    (cd "$root" && cargo build --quiet --release --locked --bin eigenlens)
    bin=$root/target/release/eigenlens
fi
"$python" "$here/fidelity.py" --bin "$bin" ${rest[@]+"${rest[@]}"}
case ,$only, in
    ,, | *,nodes,*) "$python" "$here/node_tests.py" --bin "$bin" ;;
esac
