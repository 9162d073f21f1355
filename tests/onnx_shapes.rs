//! What is evaluated of an ONNX file before there is a network: constants, what an `If` takes, where the batch is, and what is spread over what.

use crate::common::onnx::{check, load, outputs, subgraph, whole};
use crate::encode::{Bytes, attribute_int, floats, node};
use crate::samples::{attribute_ints, attribute_tensor, ints};

/// Whether the axis 1 of x has three elements, as `cond`, by the arithmetic of shapes; and what that reads.
fn condition() -> (Vec<Bytes>, Vec<Bytes>) {
    let nodes = vec![
        node("Shape", "", &["x"], &["shape"], &[]),
        node("Gather", "", &["shape", "one"], &["width"], &[attribute_int("axis", 0)]),
        node("Equal", "", &["width", "three"], &["cond"], &[]),
    ];
    (nodes, vec![ints("one", &[], &[1]), ints("three", &[], &[3])])
}

fn constant(name: &str, values: &[f32]) -> Bytes {
    let tensor = floats("", &[values.len() as i64], values);
    node("Constant", "", &[], &[name], &[attribute_tensor("value", tensor)])
}

#[test]
fn the_branch_of_a_constant_condition_is_read() {
    // Both graphs and the next If have the same names inside; w stands around them.
    let branches = |factor: f32| {
        let then = [constant("c", &[factor]), node("Mul", "times", &["x", "c"], &["r"], &[])];
        let other = [constant("c", &[1.0]), node("Sub", "less", &["w", "c"], &["r"], &[])];
        [subgraph("then_branch", &then, &[], &["r"]), subgraph("else_branch", &other, &[], &["r"])]
    };
    let (mut nodes, mut constants) = condition();
    constants.push(floats("w", &[3], &[10.0, 20.0, 30.0]));
    nodes.extend([
        node("Not", "", &["cond"], &["not"], &[]),
        node("If", "a", &["cond"], &["p"], &branches(2.0)),
        node("If", "b", &["cond"], &["q"], &branches(3.0)),
        node("If", "c", &["not"], &["s"], &branches(0.0)),
        node("Add", "both", &["p", "q"], &["t"], &[]),
        node("Mul", "end", &["t", "s"], &["y"], &[]),
    ]);
    // (2x + 3x)·(w − 1).
    check(&[-1, 3], &nodes, &constants, &[1.0, 2.0, -1.0], &[45.0, 190.0, -145.0]);
    let found = load(&whole(&[-1, 3], &nodes, &constants)).unwrap();
    let names: Vec<&str> = found.network.nodes.iter().map(|node| node.name.as_str()).collect();
    assert!(names.contains(&"times") && names.contains(&"times (2)") && !names.contains(&"less"), "{names:?}");
}

#[test]
fn graphs_inside_graphs_see_all_around_them() {
    let (mut nodes, constants) = condition();
    nodes.push(node("Relu", "relu", &["x"], &["h"], &[]));
    // Two outputs in another order, one of them what is around; weights of the graph's own.
    let inner = [node("Add", "inner", &["h", "v"], &["deep"], &[])];
    let own = [floats("v", &[3], &[1.0, 1.0, 1.0])];
    let same = [node("Identity", "", &["h"], &["deep"], &[])];
    let inner_if = [subgraph("then_branch", &inner, &own, &["deep"]), subgraph("else_branch", &same, &[], &["deep"])];
    let then = [
        node("If", "if2", &["cond"], &["m"], &inner_if),
        node("Neg", "neg", &["m"], &["n"], &[]),
        node("Identity", "", &["x"], &["same"], &[]),
    ];
    let branches =
        [subgraph("then_branch", &then, &[], &["n", "same"]), subgraph("else_branch", &[], &[], &["h", "x"])];
    nodes.push(node("If", "if1", &["cond"], &["p", "q"], &branches));
    nodes.push(node("Sub", "out", &["p", "q"], &["y"], &[]));
    // −(relu(x) + 1) − x.
    check(&[-1, 3], &nodes, &constants, &[1.0, -2.0, 0.5], &[-3.0, 1.0, -2.0]);
}

/// As PyTorch's older exporter writes local response normalisation: an axis is squeezed if it is 1.
#[test]
fn an_if_at_the_end_of_the_graph() {
    let (mut nodes, constants) = condition();
    let squeeze = [node("Flatten", "flat", &["x"], &["f"], &[])];
    let same = [node("Identity", "same", &["x"], &["i"], &[])];
    let branches = [subgraph("then_branch", &same, &[], &["i"]), subgraph("else_branch", &squeeze, &[], &["f"])];
    nodes.push(node("If", "end", &["cond"], &["y"], &branches));
    let found = load(&whole(&[-1, 2, 2], &nodes, &constants)).unwrap();
    assert_eq!(found.network.output().shape, [4]);
    assert_eq!(outputs(&found, &[1.0, 2.0, 3.0, 4.0]), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn what_isn_t_supported_is_told() {
    let relu = |reads: &str, makes: &str| node("Relu", "inner", &[reads], &[makes], &[]);
    let refuse = |op: &str, condition_name: &str, attributes: &[Bytes], outputs: &[&str], told: &str| {
        let (mut nodes, mut constants) = condition();
        constants.push(floats("f", &[], &[1.0]));
        nodes.push(node(op, "branch", &[condition_name], outputs, attributes));
        let error = load(&whole(&[-1, 3], &nodes, &constants)).unwrap_err();
        assert!(error.contains(&format!("node branch, {op}")) && error.contains(told), "{error} doesn't tell {told}");
        assert!(!error.contains('\n'), "{error}");
    };
    let then = |nodes: &[Bytes], outputs: &[&str]| [subgraph("then_branch", nodes, &[], outputs)];
    let good = then(&[relu("x", "r")], &["r"]);
    refuse("If", "x", &good, &["y"], "its condition depends on the network's input; a constant one is supported");
    refuse("If", "f", &good, &["y"], "no single truth value");
    refuse("If", "", &good, &["y"], "its condition is missing");
    refuse("If", "cond", &[], &["y"], "its then_branch is missing");
    refuse("If", "cond", &[attribute_int("then_branch", 1)], &["y"], "its attribute then_branch is not a graph");
    refuse("If", "cond", &good, &["y", "z"], "in its then_branch 1 values are given, and it has 2 outputs");
    refuse("If", "cond", &then(&[relu("gone", "r")], &["r"]), &["y"], "node inner, Relu: it reads gone, which nothing");
    refuse("If", "cond", &then(&[relu("x", "r")], &["gone"]), &["y"], "nothing makes its output gone");
    // It can't read its own result, nor what comes after.
    refuse("If", "cond", &then(&[relu("y", "r")], &["r"]), &["y"], "it reads y, which nothing before it makes");
    let circle = [relu("q", "r"), relu("r", "q")];
    refuse("If", "cond", &then(&circle, &["r"]), &["y"], "it reads q, which nothing before it makes");
    refuse("If", "cond", &then(&[relu("x", "r"), relu("x", "r")], &["r"]), &["y"], "two nodes make the value r");
    let unknown = [node("Einsum", "inner", &["x"], &["r"], &[])];
    refuse("If", "cond", &then(&unknown, &["r"]), &["y"], "in its then_branch node inner, Einsum: this operator isn't");
    let body = [subgraph("body", &[relu("x", "r")], &[], &["r"])];
    refuse("Loop", "cond", &body, &["y"], "it has a graph of its own, which is read of If alone");
}

#[test]
fn graphs_nested_without_end_are_refused() {
    let nested = |depth: usize| {
        let mut branch = subgraph("then_branch", &[node("Relu", "r", &["x"], &["y0"], &[])], &[], &["y0"]);
        for level in 1..depth {
            let [made, inner] = [format!("y{level}"), format!("y{}", level - 1)];
            let both = [node("If", "if", &["cond"], &[&inner], &[branch])];
            branch = subgraph(
                "then_branch",
                &[&both[..], &[node("Neg", "n", &[&inner], &[&made], &[])]].concat(),
                &[],
                &[&made],
            );
        }
        let (mut nodes, constants) = condition();
        nodes.push(node("If", "if", &["cond"], &["y"], &[branch]));
        whole(&[-1, 3], &nodes, &constants)
    };
    // Each of 15 negates the ReLU of the innermost.
    assert_eq!(outputs(&load(&nested(16)).unwrap(), &[1.0, -1.0, 2.0]), [-1.0, 0.0, -2.0]);
    let error = load(&nested(17)).unwrap_err();
    assert!(error.contains("graphs stand inside each other more than 16 deep"), "{error}");
    // A thousand take no stack.
    assert!(load(&nested(1000)).unwrap_err().contains("16 deep"));
}

/// As scikit-learn's regressions of several targets end.
#[test]
fn outputs_of_a_sample_that_stand_below_each_other_are_its_own() {
    let below = [node("Reshape", "n", &["x", "one"], &["y"], &[])];
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    check(&[-1, 3], &below, &[ints("one", &[2], &[-1, 1])], &x, &x);
    let turned = [node("Transpose", "n", &["x"], &["y"], &[attribute_ints("perm", &[1, 0])])];
    let error = load(&whole(&[-1, 3], &turned, &[])).expect_err("the batch is its second axis");
    assert!(error.contains("the batch isn't the first axis of its output y"), "{error}");
}

/// What is made of weights alone is evaluated, rows of zeros for each sample with them.
#[test]
fn functions_of_constants_are_evaluated() {
    let c = floats("c", &[2], &[-3.0, 4.0]);
    let bounds = || [floats("lo", &[], &[-1.0]), floats("hi", &[], &[2.0])];
    let add = node("Add", "n", &["x", "d"], &["y"], &[]);
    let evaluated = |made: Bytes, more: &[Bytes], expected: &[f64]| {
        check(&[-1, 2], &[made, add.clone()], &[std::slice::from_ref(&c), more].concat(), &[0.0, 0.0], expected);
    };
    evaluated(node("Relu", "m", &["c"], &["d"], &[]), &[], &[0.0, 4.0]);
    evaluated(node("Sign", "m", &["c"], &["d"], &[]), &[], &[-1.0, 1.0]);
    evaluated(node("Clip", "m", &["c", "lo", "hi"], &["d"], &[]), &bounds(), &[-1.0, 2.0]);
    evaluated(node("Clip", "m", &["c", "", "hi"], &["d"], &[]), &bounds()[1..], &[-3.0, 2.0]);
    evaluated(node("ReduceL2", "m", &["c"], &["d"], &[]), &[], &[5.0, 5.0]);
    evaluated(node("ReduceL1", "m", &["c"], &["d"], &[]), &[], &[7.0, 7.0]);
    evaluated(node("ReduceSumSquare", "m", &["c"], &["d"], &[]), &[], &[25.0, 25.0]);
    let zeros = [
        node("Shape", "s", &["x"], &["size"], &[]),
        node("ConstantOfShape", "z", &["size"], &["h"], &[]),
        node("MatMul", "p", &["h", "w"], &["wh"], &[]),
        node("Add", "q", &["wh", "c"], &["b"], &[]),
        node("Tanh", "t", &["b"], &["d"], &[]),
        add.clone(),
    ];
    let weight = floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let (a, b) = ((-3f64).tanh(), 4f64.tanh());
    check(&[-1, 2], &zeros, &[c, weight], &[1.0, 2.0, 3.0, 4.0], &[1.0 + a, 2.0 + b, 3.0 + a, 4.0 + b]);
}

/// Attention as PyTorch exports it with one sample and no dynamic axis: the batch is one of the ones, and joined with the heads.
#[test]
fn a_file_for_one_sample_may_join_its_batch_with_anything() {
    let axes = |perm: &[i64]| [attribute_ints("perm", perm)];
    let two_heads = [
        node("Transpose", "t", &["x"], &["a"], &axes(&[1, 0, 2])),
        node("Reshape", "heads", &["a", "split"], &["b"], &[]),
        node("Transpose", "q", &["b"], &["q"], &axes(&[1, 0, 2])),
        node("Transpose", "k", &["b"], &["k"], &axes(&[1, 2, 0])),
        node("MatMul", "scores", &["q", "k"], &["s"], &[]),
        node("MatMul", "mixed", &["s", "q"], &["m"], &[]),
        node("Transpose", "back", &["m"], &["o"], &axes(&[1, 0, 2])),
        node("Reshape", "whole", &["o", "join"], &["w"], &[]),
        node("Transpose", "n", &["w"], &["y"], &axes(&[1, 0, 2])),
    ];
    let shapes = [ints("split", &[3], &[3, 2, 1]), ints("join", &[3], &[3, 1, 2])];
    // Of each head (a column of x) v: v (vᵀ v).
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let y: Vec<f64> = x.iter().enumerate().map(|(i, v)| v * if i % 2 == 0 { 35.0 } else { 56.0 }).collect();
    let both = |x: &[f64]| [x, &x.iter().map(|x| -x).collect::<Vec<f64>>()].concat();
    check(&[1, 3, 2], &two_heads, &shapes, &both(&x), &both(&y));
    let squeezed = [
        node("Squeeze", "s", &["x", "first"], &["a"], &[]),
        node("MatMul", "m", &["a", "w"], &["b"], &[]),
        node("Unsqueeze", "n", &["b", "first"], &["y"], &[]),
    ];
    let weights = [ints("first", &[1], &[0]), floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])];
    check(&[1, 1, 2], &squeezed, &weights, &[1.0, 1.0, 2.0, 0.0], &[4.0, 6.0, 2.0, 4.0]);
    assert!(load(&whole(&[2, 1, 2], &squeezed, &weights)).is_err(), "two samples have no axis to squeeze");
}

/// Of one sample an operator may work along any axis of the file, the batch's too: what it makes is that sample's.
#[test]
fn a_file_for_one_sample_may_work_along_its_batch() {
    let axis = |axis: i64| attribute_int("axis", axis);
    let vector = || node("Reshape", "v", &["x", "all"], &["v"], &[]);
    let all = || ints("all", &[1], &[-1]);
    let both = [1.0, -2.0, 3.0, 5.0, 2.0, 0.5, -1.0, 4.0];
    let two = |input: &[i64], nodes: &[Bytes], constants: &[Bytes], of: &dyn Fn(&[f64]) -> Vec<f64>| {
        check(input, nodes, constants, &both, &both.chunks(4).flat_map(of).collect::<Vec<_>>());
    };
    let taken = [vector(), node("Gather", "g", &["v", "places"], &["y"], &[])];
    two(&[1, 4], &taken, &[all(), ints("places", &[3], &[3, 0, -2])], &|x| vec![x[3], x[0], x[2]]);
    let one =
        [vector(), node("Gather", "g", &["v", "places"], &["a"], &[]), node("Mul", "m", &["a", "c"], &["y"], &[])];
    let grid = [all(), ints("places", &[2, 1], &[3, 0]), floats("c", &[2], &[1.0, 2.0])];
    two(&[1, 4], &one, &grid, &|x| vec![x[3], 2.0 * x[3], x[0], 2.0 * x[0]]);
    let turned = || node("Transpose", "t", &["x"], &["t"], &[attribute_ints("perm", &[1, 0, 2])]);
    let summed = [turned(), node("ReduceSum", "r", &["t", "zero"], &["y"], &[attribute_int("keepdims", 0)])];
    let zero = || ints("zero", &[1], &[0]);
    two(&[1, 2, 2], &summed, &[zero()], &|x| vec![x[0] + x[2], x[1] + x[3]]);
    let whole_mean = [turned(), node("ReduceMean", "r", &["t"], &["y"], &[])];
    two(&[1, 2, 2], &whole_mean, &[], &|x| vec![x.iter().sum::<f64>() / 4.0]);
    // Aligned at the last axes.
    let spread = [vector(), node("Add", "a", &["v", "c"], &["y"], &[])];
    let rows = floats("c", &[2, 4], &[0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
    two(&[1, 4], &spread, &[all(), rows], &|x| {
        x.iter().copied().chain(x.iter().zip(1..).map(|(x, i)| x + f64::from(i))).collect()
    });
    let product = [vector(), node("MatMul", "m", &["v", "w"], &["y"], &[])];
    let weight = floats("w", &[4, 2], &[1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 2.0]);
    two(&[1, 4], &product, &[all(), weight], &|x| vec![x[0] + x[1], x[2] + 2.0 * x[3]]);
    // The product has the matrix's third axis.
    let deeper = [
        node("Reshape", "v", &["x", "pairs"], &["v"], &[]),
        node("MatMul", "m", &["v", "w"], &["a"], &[]),
        node("Softmax", "s", &["a"], &["b"], &[axis(0)]),
        node("Mul", "p", &["b", "a"], &["y"], &[]),
    ];
    let swap = floats("w", &[1, 2, 2], &[0.0, 1.0, 1.0, 0.0]);
    let deeper_constants = [ints("pairs", &[2], &[-1, 2]), swap];
    two(&[1, 4], &deeper, &deeper_constants, &|x| vec![x[1], x[0], x[3], x[2]]);
    assert!(
        load(&whole(&[-1, 4], &deeper, &deeper_constants)).is_err(),
        "of any batch its first axis would be another"
    );
    let soft = [node("Transpose", "t", &["x"], &["t"], &[]), node("Softmax", "s", &["t"], &["a"], &[axis(0)])];
    let soft = [&soft[..], &[node("Mul", "m", &["a", "t"], &["y"], &[])]].concat();
    two(&[1, 4], &soft, &[], &|x| {
        let sum: f64 = x.iter().map(|x| x.exp()).sum();
        x.iter().map(|x| x.exp() / sum * x).collect()
    });
    let joined =
        [node("Concat", "c", &["x", "x"], &["a"], &[axis(0)]), node("Concat", "d", &["a", "k"], &["y"], &[axis(-2)])];
    let constant = floats("k", &[1, 4], &[7.0, 8.0, 9.0, 0.0]);
    two(&[1, 4], &joined, &[constant], &|x| [x, x, &[7.0, 8.0, 9.0, 0.0]].concat());
    let cut = [vector(), node("Slice", "s", &["v", "one", "three", "zero"], &["y"], &[])];
    let ends = [all(), ints("one", &[1], &[1]), ints("three", &[1], &[3]), zero()];
    two(&[1, 4], &cut, &ends, &|x| x[1..3].to_vec());
    let places = [all(), ints("places", &[3], &[3, 0, -2])];
    assert!(load(&whole(&[2, 4], &taken, &places)).is_err(), "two samples would be mixed");
}

/// Places counted over a fixed batch, as PyTorch's newer exporter writes `as_strided`.
#[test]
fn places_counted_over_a_fixed_batch_are_a_sample_s() {
    let taken = [node("Reshape", "v", &["x", "all"], &["v"], &[]), node("Gather", "g", &["v", "places"], &["y"], &[])];
    let places = |values: &[i64]| [ints("all", &[1], &[-1]), ints("places", &[2, 2], values)];
    check(&[2, 3], &taken, &places(&[2, 0, 5, 3]), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[3.0, 1.0, 6.0, 4.0]);
    for mixing in [[2, 0, 5, 4], [2, 0, 2, 0], [2, 3, 5, 6]] {
        assert!(load(&whole(&[2, 3], &taken, &places(&mixing))).is_err(), "{mixing:?} aren't each sample's own");
    }
}

/// What was found to be silently wrong once: a `squeeze()` of a file for one sample takes its batch with it.
#[test]
fn a_squeeze_without_axes_takes_the_one_sample_s_axis() {
    let nodes = [
        node("Squeeze", "s", &["x"], &["a"], &[]),
        node("ReduceMean", "m", &["a", "one"], &["y"], &[attribute_int("keepdims", 0)]),
    ];
    check(&[1, 2, 2], &nodes, &[ints("one", &[1], &[1])], &[1.0, 3.0, 10.0, 20.0], &[2.0, 15.0]);
    let single = [node("Squeeze", "s", &["x"], &["y"], &[])];
    check(&[1, 1, 1], &single, &[], &[3.0, 4.0], &[3.0, 4.0]);
    let further = [node("Squeeze", "s", &["x"], &["a"], &[]), node("Relu", "r", &["a"], &["y"], &[])];
    assert!(load(&whole(&[1, 1], &further, &[])).is_err(), "a number has no axes to count from");
}

/// A softmax at the end is over the file's axes, whatever samples those are of.
#[test]
fn a_softmax_at_the_end_is_over_the_axes_of_the_file() {
    let half = |input: &[i64], before: &[Bytes], constants: &[Bytes], axis: i64, expected: &[f64]| {
        let soft = node("Softmax", "soft", &["a"], &["y"], &[attribute_int("axis", axis)]);
        let found = load(&whole(input, &[before, &[soft]].concat(), constants)).unwrap();
        let made = found.removed.unwrap().apply(&[0.0, 0.0, 1.0, 1.0]);
        assert!(made.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{made:?} is not {expected:?}");
    };
    let rows = [node("Reshape", "r", &["x", "rows"], &["a"], &[])];
    let pairs = [ints("rows", &[2], &[-1, 2])];
    let (e, even) = (1f64.exp(), [0.5; 4]);
    let (low, high) = (1.0 / (1.0 + e), e / (1.0 + e));
    for input in [[-1, 2, 2], [1, 2, 2], [2, 2, 2]] {
        half(&input, &rows, &pairs, 1, &even);
        half(&input, &rows, &pairs, -1, &even);
    }
    let squeezed = [node("Squeeze", "s", &["x", "zero"], &["a"], &[])];
    let zero = [ints("zero", &[1], &[0])];
    half(&[1, 2, 2], &squeezed, &zero, 1, &even);
    half(&[1, 2, 2], &squeezed, &zero, 0, &[low, low, high, high]);
    half(&[1, 4], &squeezed, &zero, 0, &[low / 2.0, low / 2.0, high / 2.0, high / 2.0]);
    let over = [&rows[..], &[node("Softmax", "soft", &["a"], &["y"], &[attribute_int("axis", 0)])]].concat();
    assert!(load(&whole(&[-1, 2, 2], &over, &pairs)).is_err(), "over the batch");
}

/// Products of matrices that would sum over the batch, and weights that have its size.
#[test]
fn products_never_mix_samples() {
    let turned = node("Transpose", "t", &["x"], &["t"], &[]);
    let weight = floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let left = [turned.clone(), node("MatMul", "m", &["t", "w"], &["y"], &[])];
    assert!(load(&whole(&[2, 2], &left, std::slice::from_ref(&weight))).is_err(), "along the batch");
    let square = [turned, node("MatMul", "m", &["t", "t"], &["y"], &[])];
    assert!(load(&whole(&[2, 2], &square, &[])).is_err(), "batch times batch");
    let cut = [
        node("Transpose", "t", &["x"], &["t"], &[attribute_ints("perm", &[1, 0, 2])]),
        node("MatMul", "m", &["w", "t"], &["y"], &[]),
    ];
    assert!(
        load(&whole(&[2, 3, 2], &cut, std::slice::from_ref(&weight))).is_err(),
        "the batch is what a constant sums over"
    );
    // A matrix for every sample, the same for each.
    let size = [
        node("Shape", "s", &["x"], &["s"], &[]),
        node("Gather", "g", &["s", "zero"], &["n"], &[attribute_int("axis", 0)]),
        node("Concat", "c", &["n", "two"], &["size"], &[attribute_int("axis", 0)]),
        node("Expand", "e", &["w", "size"], &["all"], &[]),
    ];
    let constants = |dims: &[i64]| {
        [
            ints("zero", &[1], &[0]),
            ints("two", &[dims.len() as i64 - 1], &dims[1..]),
            floats("w", dims, &[1.0, 2.0, 3.0, 4.0]),
        ]
    };
    let product = [&size[..], &[node("MatMul", "m", &["x", "all"], &["y"], &[])]].concat();
    check(&[-1, 1, 2], &product, &constants(&[1, 2, 2]), &[1.0, 1.0, 2.0, 0.0], &[4.0, 6.0, 2.0, 4.0]);
    let gemm = [&size[..], &[node("Gemm", "m", &["x", "all"], &["y"], &[])]].concat();
    let error = load(&whole(&[-1, 1], &gemm, &constants(&[1, 4]))).expect_err("its rows are the batch's");
    assert!(error.contains("has the batch as an axis"), "{error}");
    // One more axis of size 1 changes nothing.
    let long = [node("MatMul", "m", &["w", "x"], &["y"], &[])];
    let wide = floats("w", &[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
    check(&[-1, 2, 1], &long, &[wide], &[1.0, 1.0, 2.0, 0.0], &[3.0, 7.0, 2.0, 6.0]);
    let bias = [node("Gemm", "m", &["x", "w", "c"], &["y"], &[])];
    let column = floats("c", &[2, 1], &[1.0, 2.0]);
    assert!(load(&whole(&[2, 2], &bias, &[weight, column])).is_err(), "a number for each sample");
}

#[test]
fn a_mean_with_a_constant_is_a_mean() {
    let mean = [node("Mean", "m", &["x", "c"], &["y"], &[])];
    check(&[-1, 3], &mean, &[floats("c", &[3], &[1.0, 2.0, 3.0])], &[1.0, 2.0, 4.0], &[1.0, 2.0, 3.5]);
    check(&[-1, 3], &mean, &[floats("c", &[1], &[3.0])], &[1.0, 2.0, 4.0], &[2.0, 2.5, 3.5]);
}

/// Between the axes of a fixed batch and those that are taken, averaged or cut.
#[test]
fn axes_beside_a_batch_that_was_turned() {
    let turned = || node("Transpose", "t", &["x"], &["t"], &[attribute_ints("perm", &[1, 0, 2])]);
    let x: Vec<f64> = (1..=12).map(f64::from).collect();
    let mean = [turned(), node("ReduceMean", "m", &["t", "zero"], &["y"], &[attribute_int("keepdims", 0)])];
    for batch in [-1, 1, 2] {
        check(&[batch, 3, 2], &mean, &[ints("zero", &[1], &[0])], &x, &[3.0, 4.0, 9.0, 10.0]);
    }
    let back = || node("Transpose", "b", &["g"], &["y"], &[attribute_ints("perm", &[1, 0, 2])]);
    let taken = [turned(), node("Gather", "g", &["t", "places"], &["g"], &[]), back()];
    let by_places = [turned(), node("GatherND", "g", &["t", "places"], &["g"], &[]), back()];
    for batch in [-1, 1, 2] {
        let expected = [1.0, 2.0, 5.0, 6.0, 7.0, 8.0, 11.0, 12.0];
        check(&[batch, 3, 2], &taken, &[ints("places", &[2], &[0, 2])], &x, &expected);
        check(&[batch, 3, 2], &by_places, &[ints("places", &[2, 1], &[0, -1])], &x, &expected);
    }
    let joined = [node("Reshape", "j", &["x", "rows"], &["a"], &[]), node("Reshape", "b", &["a", "two"], &["y"], &[])];
    check(&[2, 3, 2], &joined, &[ints("rows", &[2], &[-1, 2]), ints("two", &[2], &[2, -1])], &x, &x);
}

/// A token that an exporter of a fixed batch wrote once for every sample.
#[test]
fn a_constant_of_alike_rows_is_one_of_every_sample() {
    let joined = [node("Concat", "c", &["x", "k"], &["y"], &[attribute_int("axis", 1)])];
    let constant = |values: &[f32]| floats("k", &[2, 2], values);
    check(&[2, 1], &joined, &[constant(&[7.0, 8.0, 7.0, 8.0])], &[1.0, 2.0], &[1.0, 7.0, 8.0, 2.0, 7.0, 8.0]);
    let sum = [node("Add", "a", &["x", "k"], &["y"], &[])];
    check(&[2, 2], &sum, &[constant(&[7.0, 8.0, 7.0, 8.0])], &[1.0, 2.0], &[8.0, 10.0]);
    for nodes in [&joined, &sum] {
        assert!(load(&whole(&[2, 2], nodes, &[constant(&[7.0, 8.0, 7.0, 9.0])])).is_err(), "the samples differ");
        assert!(load(&whole(&[-1, 2], nodes, &[constant(&[7.0, 8.0, 7.0, 8.0])])).is_err(), "of a batch of two alone");
    }
}

#[test]
fn samples_are_spread_over_larger_constants() {
    let row = floats("c", &[3], &[1.0, 10.0, 100.0]);
    for (op, expected) in [
        ("Add", [3.0, 12.0, 102.0, 6.0, 15.0, 105.0]),
        ("Mul", [2.0, 20.0, 200.0, 5.0, 50.0, 500.0]),
        ("Max", [2.0, 10.0, 100.0, 5.0, 10.0, 100.0]),
    ] {
        check(&[-1, 1], &[node(op, "n", &["x", "c"], &["y"], &[])], std::slice::from_ref(&row), &[2.0, 5.0], &expected);
    }
    let quotient = [node("Div", "n", &["c", "x"], &["y"], &[])];
    check(&[-1, 1], &quotient, std::slice::from_ref(&row), &[2.0, 5.0], &[0.5, 5.0, 50.0, 0.2, 2.0, 20.0]);
    let grid = floats("c", &[1, 1, 2], &[1.0, 2.0]);
    let sum = [node("Add", "n", &["x", "c"], &["y"], &[])];
    check(&[-1, 2, 1], &sum, &[grid], &[1.0, 2.0], &[2.0, 3.0, 3.0, 4.0]);
    for dims in [&[2, 3][..], &[2, 1]] {
        let count = dims.iter().product::<i64>() as usize;
        let batch = floats("c", dims, &vec![1.0; count]);
        let error = load(&whole(&[-1, 1], &sum, &[batch])).expect_err("its first axis would be the batch");
        assert!(error.contains(&format!("its constant has the shape {dims:?}, which doesn't fit")), "{error}");
    }
}
