"""The onnx package's own node tests through eigenlens; see run.sh.

Every test is a small graph with inputs and outputs. One of its inputs becomes the network's, whose first axis is then the batch, and the
others become constants; where several inputs have the same first axis, they are also read together, cut out of one. Each output is
a network of its own. What comes out is *passed*, *refused* (with the sentence), or *differs*, which makes the script fail, as a
panic does."""

import argparse
import collections
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
from onnx import helper, numpy_helper

warnings.filterwarnings("ignore")
FLOATS = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 2e-5, np.dtype(np.float16): 4e-3}
# f32 beside float64 or float32 references: a few thousand roundings of sums, of numbers of order 1.


# Tests whose expected outputs are written down with four decimals.
ROUNDED = {"test_averagepool_2d_ceil_last_window_starts_on_pad": 1e-4}
# What is taken off a network's end is looked at inside one.
AT_THE_END = {"Softmax", "LogSoftmax", "Sigmoid"}
# Of single numbers: a list of them is as good as a batch of samples of one.
ELEMENTWISE = set("""Abs Add Celu Clip Cos Div Elu Erf Exp Gelu HardSigmoid HardSwish LeakyRelu Log Max Mean Min Mish Mul Neg Pow
Reciprocal Relu Selu Sigmoid Sin Softplus Softsign Sqrt Sub Sum Swish Tanh ThresholdedRelu""".split())


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    panicked = done.returncode not in (0, 1, 2) or "panicked" in done.stderr
    return done.returncode, done.stderr.strip(), panicked


def constant(name, array):
    if isinstance(array, onnx.TensorProto):
        array.name = name
        return array
    return numpy_helper.from_array(np.asarray(array), name)


def network(model, graph_inputs, initializers, nodes, output):
    """A copy of a test's model with other inputs and one output."""
    graph = helper.make_graph(nodes, "test", graph_inputs, [output], list(model.graph.initializer) + initializers)
    made = helper.make_model(graph, opset_imports=model.opset_import, functions=model.functions)
    made.ir_version = model.ir_version
    return made


def variants(model, inputs):
    """Models with one input, what it is fed with, and what they are called."""
    if not all(isinstance(x, (np.ndarray, np.generic, onnx.TensorProto)) for x in inputs):
        return
    values = [value for value in model.graph.input if value.name]
    pairs = list(zip(values, inputs))
    floats = [(v, np.asarray(x)) for v, x in pairs if isinstance(x, np.ndarray) and x.dtype in FLOATS and x.ndim and x.size]
    nodes = list(model.graph.node)
    for chosen, x in floats:
        rest = [constant(v.name, x) for v, x in pairs if v.name != chosen.name and x is not None]
        yield f"{chosen.name} is the input", [helper.make_tensor_value_info(chosen.name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)], rest, nodes, x
    rows = {x.shape[0] for _, x in floats}
    if len(floats) > 1 and len(rows) == 1 and all(x.ndim > 1 for _, x in floats):
        whole = np.concatenate([x.reshape(len(x), -1) for _, x in floats], 1).astype(np.float32)
        cut, constants, begin = [], [], 0
        for i, (v, x) in enumerate(floats):
            end = begin + x[0].size
            for name, n in [("from", [begin]), ("to", [end]), ("axis", [1]), ("shape", list(x.shape))]:
                constants.append(constant(f"all {name} {i}", np.array(n, np.int64)))
            cut.append(helper.make_node("Slice", ["all", f"all from {i}", f"all to {i}", f"all axis {i}"], [f"all {i}"]))
            cut.append(helper.make_node("Reshape", [f"all {i}", f"all shape {i}"], [v.name]))
            begin = end
        names = {v.name for v, _ in floats}
        rest = [constant(v.name, x) for v, x in pairs if v.name not in names and x is not None]
        if all(opset.version >= 10 for opset in model.opset_import if not opset.domain):
            yield "all from one input", [helper.make_tensor_value_info("all", 1, whole.shape)], rest + constants, cut + nodes, whole


def cases(model, inputs, outputs):
    for what, graph_inputs, initializers, nodes, x in variants(model, inputs):
        for value, expected in zip(model.graph.output, outputs):
            if isinstance(expected, np.ndarray) and expected.dtype in FLOATS:
                if nodes[-1].op_type in AT_THE_END:
                    last = helper.make_node("Neg", [value.name], ["negative"])
                    value, expected, nodes = helper.make_tensor_value_info("negative", 1, None), -expected, nodes + [last]
                made = network(model, graph_inputs, initializers, nodes, value)
                yield what if len(outputs) == 1 else f"{what}, output {value.name}", made, x, expected


def columns(test):
    """A test of an elementwise operator on lists, with each number as a sample."""
    kinds = {node.op_type for node in test.model.graph.node}
    for inputs, outputs in test.data_sets or []:
        arrays = [x for x in [*inputs, *outputs] if isinstance(x, np.ndarray) and x.ndim]
        if kinds <= ELEMENTWISE and arrays and all(x.ndim == 1 and len(x) == len(arrays[0]) for x in arrays):
            turned = onnx.ModelProto.FromString(test.model.SerializeToString())
            for value in turned.graph.output:
                value.type.tensor_type.ClearField("shape")
            column = lambda x: x[:, None] if isinstance(x, np.ndarray) and x.ndim else x
            yield turned, [column(x) for x in inputs], [column(x) for x in outputs]
        else:
            yield test.model, inputs, outputs


def outcome(binary, made, x, expected, work, tolerance):
    path, data, table = work / "net.onnx", work / "x.npz", work / "y.csv"
    path.write_bytes(made.SerializeToString())
    np.savez(data, X=x.astype(np.float32))
    table.unlink(missing_ok=True)
    _, said, panicked = run(binary, "predict", str(path), str(data), "--out", str(table), "--keep-softmax", "--device", "cpu")
    if panicked:
        return "panic", said
    if not table.exists():
        return "refused", said.split("; supported are")[0].replace(str(work), "").removeprefix("eigenlens: ")
    found = np.genfromtxt(table, delimiter=",", skip_header=1, ndmin=2)[:, 1:]
    if found.size != expected.size:
        return "differs", f"{found.shape} of {expected.shape}"
    expected = expected.astype(np.float64).reshape(found.shape)
    close = np.isclose(found, expected, rtol=tolerance, atol=tolerance * max(1, np.abs(expected[np.isfinite(expected)]).max(initial=0) * 0.1), equal_nan=True)
    return ("passed", "") if close.all() else ("differs", f"largest difference {np.nanmax(np.abs(found - expected)):.1e}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--only", help="a regular expression for the names of tests")
    parser.add_argument("--all", action="store_true", help="lists every refusal")
    args = parser.parse_args()
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        from onnx.backend.test.case.node import collect_testcases

        counts, refused, bad, inspected = collections.defaultdict(collections.Counter), collections.defaultdict(collections.Counter), [], 0
        for test in collect_testcases(None):
            if args.only and not re.search(args.only, test.name):
                continue
            path = work / "whole.onnx"
            path.write_bytes(test.model.SerializeToString())
            _, said, panicked = run(args.bin, "inspect", str(path))
            inspected += 1
            if panicked:
                bad.append((test.name, "inspect", "panic", said))
            kinds = [node.op_type for node in test.model.graph.node]
            kind = kinds[0] if len(kinds) == 1 else "graphs"
            for model, inputs, outputs in columns(test):
                dtypes = {np.asarray(x).dtype for x in [*inputs, *outputs] if isinstance(x, np.ndarray)}
                tolerance = max([FLOATS[t] for t in dtypes if t in FLOATS] + [ROUNDED.get(test.name, 0), 2e-5])
                for what, made, x, expected in cases(model, inputs, outputs):
                    result, why = outcome(args.bin, made, x, expected, work, tolerance)
                    counts[kind][result] += 1
                    if result == "refused":
                        refused[kind][re.sub(r"^.*?(node|graph)[^:]*?(, \w+)?: ", lambda m: (m[2] or ", ")[2:] + ": " if kind == "graphs" else "", why)] += 1
                    elif result != "passed":
                        bad.append((test.name, what, result, why))
    print("| operator | passed | refused | differs | refusals |\n|---|---|---|---|---|")
    for kind in sorted(counts):
        count, reasons = counts[kind], refused[kind].most_common(None if args.all else 2)
        if count["passed"] or args.all:
            print(f"| {kind} | {count['passed']} | {count['refused']} | {count['differs'] + count['panic']} | {'; '.join(f'{n} × {why}' for why, n in reasons)} |")
    total = sum(counts.values(), collections.Counter())
    print(f"\n{inspected} models inspected; {total['passed']} passed, {total['refused']} refused, {total['differs']} differ, {total['panic']} panics.")
    for name, what, result, why in bad:
        print(f"{result}: {name} ({what}): {why}")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
