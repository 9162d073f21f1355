use std::collections::HashMap;
use std::path::Path;

use super::super::encode::{Bytes, attribute_int, floats, node, tensor};
use super::super::samples::{Random, attribute_ints, attribute_tensor, graph, ints, model, small_model};
use super::super::wire::{Model, read_model};
use super::*;

const N: Dim = Dim::Batch { times: 1 };

fn known<const N: usize>(values: [i64; N]) -> Vec<Dim> {
    values.map(Dim::Known).to_vec()
}

/// Folds a graph node by node, with `x` as an activation of the shape [batch, 3, 4, 6], and gives all that is known in
/// the end.
fn folded(model: &Model, batch: Dim) -> Result<HashMap<String, Value>, String> {
    let shape = [batch, Dim::Known(3), Dim::Known(4), Dim::Known(6)];
    let (mut values, budget) = (HashMap::new(), Budget::default());
    for stored in &model.graph.initializers {
        let tensor = Tensor::read(Path::new("m.onnx"), stored).map_err(|e| e.to_string())?;
        values.insert(stored.name.to_owned(), Value::Constant(tensor));
    }
    for node in &model.graph.nodes {
        // What isn't known depends on the model's input.
        let input = |name: &&str| match values.get(*name) {
            _ if name.is_empty() => None,
            Some(value) => Some(value.input()),
            None => Some(Input::Activation(&shape)),
        };
        let inputs: Vec<_> = node.inputs.iter().map(input).collect();
        if let Some(results) = fold(node, model.opset("").unwrap_or(1), &inputs, &budget)? {
            assert!(
                results.iter().all(|result| count(result.operand().dims()) == Ok(result.len())),
                "elements fit shapes"
            );
            values.extend(node.outputs.iter().map(|name| (*name).to_owned()).zip(results));
        }
    }
    Ok(values)
}

fn fold_nodes(nodes: &[Bytes], initializers: &[Bytes], batch: Dim) -> Result<HashMap<String, Value>, String> {
    let bytes = model(graph(nodes, initializers)).0;
    folded(&read_model(Path::new("m.onnx"), &bytes).map_err(|e| e.to_string())?, batch)
}

/// The result `y` of one node whose inputs are initialisers named a, b, c, ….
fn one(op: &str, attributes: &[Bytes], inputs: &[Bytes]) -> Result<Tensor, String> {
    let names = ["a", "b", "c", "d", "e"];
    let named: Vec<Bytes> = inputs.iter().zip(names).map(|(tensor, name)| tensor.clone().bytes(8, name)).collect();
    let mut values = fold_nodes(&[node(op, "", &names[..inputs.len()], &["y"], attributes)], &named, N)?;
    match values.remove("y") {
        Some(Value::Constant(tensor)) => Ok(tensor),
        other => Err(format!("{other:?}")),
    }
}

fn f(dims: &[i64], values: &[f32]) -> Bytes {
    floats("", dims, values)
}

fn i(dims: &[i64], values: &[i64]) -> Bytes {
    ints("", dims, values)
}

fn assert_ints(found: Result<Tensor, String>, dims: &[usize], values: &[i64]) {
    let found = found.unwrap();
    assert_eq!((&found.dims[..], &found.data), (dims, &Data::Int(values.to_vec())));
}

fn assert_floats(found: Result<Tensor, String>, dims: &[usize], values: &[f32]) {
    let found = found.unwrap();
    assert_eq!((&found.dims[..], &found.data), (dims, &Data::Float(values.to_vec())));
}

/// Nodes that compute `y` from the shape `s` of the input, with the vectors that they need.
fn chains() -> Vec<(Vec<Bytes>, Vec<Dim>)> {
    let n = |op: &str, inputs: &[&str], output: &str| node(op, "", inputs, &[output], &[]);
    let axis = |op: &str, inputs: &[&str], output: &str| node(op, "", inputs, &[output], &[attribute_int("axis", 0)]);
    let flatten = vec![n("Gather", &["s", "zero"], "n"), n("Unsqueeze", &["n", "first"], "v")];
    let times = |times| Dim::Batch { times };
    let with = |start: &[Bytes], more: Vec<Bytes>| [start, &more].concat();
    vec![
        (with(&flatten, vec![axis("Concat", &["v", "minus"], "y")]), vec![N, Dim::Known(-1)]),
        (with(&flatten, vec![n("Mul", &["v", "six"], "y")]), vec![times(6)]),
        (with(&flatten, vec![n("Mul", &["v", "six"], "w"), n("Div", &["w", "two"], "y")]), vec![times(3)]),
        (with(&flatten, vec![n("Mul", &["v", "six"], "w"), n("Div", &["w", "v"], "y")]), known([6])),
        (with(&flatten, vec![n("Add", &["v", "v"], "w"), n("Sub", &["w", "v"], "y")]), vec![N]),
        (with(&flatten, vec![n("Mul", &["v", "six"], "w"), n("Mod", &["w", "two"], "y")]), known([0])),
        (with(&flatten, vec![n("Max", &["v", "first", "v"], "y")]), vec![N]),
        (with(&flatten, vec![n("Neg", &["v"], "w"), n("Abs", &["w"], "y")]), vec![N]),
        // The size by two ways, and a part of the shape times the rest.
        (vec![n("Size", &["x"], "n"), n("Reshape", &["n", "minus"], "y")], vec![times(72)]),
        (vec![n("ReduceProd", &["s"], "y")], vec![times(72)]),
        (vec![n("Slice", &["s", "first", "two"], "h"), n("ReduceProd", &["h", "first"], "y")], vec![times(3)]),
        (vec![n("Slice", &["s", "two", "nine"], "h"), n("ReduceProd", &["h"], "y")], known([24])),
        (
            vec![node("Shape", "", &["x"], &["h"], &[attribute_int("start", 1)]), n("Identity", &["h"], "y")],
            known([3, 4, 6]),
        ),
        // Channels shuffled: [batch, 3, 4, 6] as [batch, 3, 2, 2, 6].
        (
            vec![
                node("Split", "", &["s", "parts"], &["head", "mid", "tail"], &[]),
                n("Div", &["mid", "two"], "half"),
                node("Cast", "", &["half"], &["cast"], &[attribute_int("to", 7)]),
                axis("Concat", &["head", "cast", "two", "tail"], "y"),
            ],
            [vec![N], known([3, 2, 2, 6])].concat(),
        ),
        // PyTorch's expand: -1 in the target keeps an axis.
        (
            vec![
                n("Shape", &["s"], "rank"),
                node("ConstantOfShape", "", &["rank"], &["ones"], &[attribute_tensor("value", i(&[1], &[1]))]),
                n("Mul", &["ones", "minus"], "keep"),
                n("Equal", &["s", "keep"], "same"),
                n("Where", &["same", "ones", "s"], "y"),
            ],
            [vec![N], known([3, 4, 6])].concat(),
        ),
        (vec![n("Tile", &["s", "two"], "y")], [vec![N], known([3, 4, 6]), vec![N], known([3, 4, 6])].concat()),
        (
            vec![n("Reshape", &["s", "square"], "m"), n("Transpose", &["m"], "t"), n("Reshape", &["t", "minus"], "y")],
            [vec![N], known([4, 3, 6])].concat(),
        ),
    ]
}

fn vectors() -> Vec<Bytes> {
    [
        ("zero", &[][..], &[0][..]),
        ("first", &[1], &[0]),
        ("minus", &[1], &[-1]),
        ("two", &[1], &[2]),
        ("six", &[1], &[6]),
        ("nine", &[1], &[9]),
        ("parts", &[3], &[2, 1, 1]),
        ("square", &[2], &[2, 2]),
    ]
    .map(|(name, dims, values)| ints(name, dims, values))
    .to_vec()
}

#[test]
fn shapes_are_followed_with_the_batch_size_as_a_symbol() {
    for (nodes, expected) in chains() {
        let nodes = [vec![node("Shape", "", &["x"], &["s"], &[])], nodes].concat();
        let symbolic = fold_nodes(&nodes, &vectors(), N).unwrap();
        assert_eq!(symbolic["y"].operand().symbols().unwrap(), expected);
        let settled = expected.iter().all(|dim| matches!(dim, Dim::Known(_)));
        assert_eq!(
            matches!(symbolic["y"], Value::Constant(_)),
            settled,
            "a constant where nothing depends on the batch size"
        );
        // What holds for the symbol holds for every batch.
        for batch in 1..6 {
            let numbers = fold_nodes(&nodes, &vectors(), Dim::Known(batch)).unwrap();
            let at = |dim: &Dim| match dim {
                Dim::Known(n) => *n,
                Dim::Batch { times } => times * batch,
            };
            let expected: Vec<i64> = expected.iter().map(at).collect();
            let Value::Constant(found) = &numbers["y"] else { panic!("a constant") };
            assert_eq!(found.as_ints(), Ok(&expected[..]), "batch of {batch}");
        }
    }
}

#[test]
fn what_cannot_be_followed_is_refused_in_a_sentence() {
    let refused = |op: &str, inputs: &[&str], attributes: &[Bytes], expected: &str| {
        let nodes = [node("Shape", "", &["x"], &["s"], &[]), node(op, "", inputs, &["y"], attributes)];
        let found = fold_nodes(&nodes, &vectors(), N).unwrap_err();
        assert!(found.contains(expected), "{op}: {found}");
    };
    refused("Add", &["s", "two"], &[], "batch + 2 is neither a number nor a multiple of the batch size");
    refused("Mul", &["s", "s"], &[], "batch · batch is neither");
    refused("Div", &["s", "two"], &[], "batch / 2 is neither");
    refused("Equal", &["s", "two"], &[], "whether batch equals 2 depends on the batch size");
    refused("Cast", &["s"], &[attribute_int("to", 1)], "the batch size can't be followed as a float");
    refused("Range", &["zero", "s", "two"], &[], "its input 1 (counted from 0) depends on the batch size");
    refused("Reshape", &["two", "s"], &[], "depends on the batch size");
    refused("Sqrt", &["s"], &[], "it can't be applied to the batch size");
}

#[test]
fn whose_size_depends_on_the_batch_is_left_to_others() {
    let shape = node("Shape", "", &["x"], &["s"], &[]);
    for (op, inputs) in [("Expand", &["two", "s"][..]), ("Tile", &["w", "s"]), ("Softmax", &["two"])] {
        let values = fold_nodes(&[shape.clone(), node(op, "", inputs, &["y"], &[])], &vectors(), N).unwrap();
        assert!(!values.contains_key("y"), "{op}");
    }
    let values = fold_nodes(&[node("Add", "", &["x", "two"], &["y"], &[])], &vectors(), N).unwrap();
    assert!(!values.contains_key("y"), "an activation");
}

#[test]
fn elements_are_moved() {
    let six = f(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let one_axis = |op, axis| move |inputs: &[Bytes]| one(op, &[attribute_int("axis", axis)], inputs);
    assert_floats(one("Transpose", &[], std::slice::from_ref(&six)), &[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    assert_floats(one_axis("Gather", 1)(&[six.clone(), i(&[2], &[-1, 0])]), &[2, 2], &[2.0, 0.0, 5.0, 3.0]);
    assert_floats(one_axis("Gather", 0)(&[six.clone(), i(&[], &[1])]), &[3], &[3.0, 4.0, 5.0]);
    assert_floats(one_axis("GatherElements", 1)(&[six.clone(), i(&[2, 1], &[2, 0])]), &[2, 1], &[2.0, 3.0]);
    assert_floats(
        one_axis("Concat", -1)(&[six.clone(), f(&[2, 1], &[8.0, 9.0])]),
        &[2, 4],
        &[0.0, 1.0, 2.0, 8.0, 3.0, 4.0, 5.0, 9.0],
    );
    let backwards = [six.clone(), i(&[1], &[i64::MAX]), i(&[1], &[i64::MIN]), i(&[1], &[1]), i(&[1], &[-2])];
    assert_floats(one("Slice", &[], &backwards), &[2, 2], &[2.0, 0.0, 5.0, 3.0]);
    let old = [attribute_ints("starts", &[-1]), attribute_ints("ends", &[9]), attribute_ints("axes", &[0])];
    assert_floats(one("Slice", &old, std::slice::from_ref(&six)), &[1, 3], &[3.0, 4.0, 5.0]);
    assert_floats(
        one("Tile", &[], &[f(&[1, 2], &[1.0, 2.0]), i(&[2], &[2, 2])]),
        &[2, 4],
        &[1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0],
    );
    assert_floats(one("Expand", &[], &[f(&[2, 1], &[1.0, 2.0]), i(&[1], &[2])]), &[2, 2], &[1.0, 1.0, 2.0, 2.0]);
    let pads = [six.clone(), i(&[4], &[-1, 1, 1, -2]), f(&[], &[9.0])];
    assert_floats(one("Pad", &[], &pads), &[2, 2], &[9.0, 3.0, 9.0, 9.0]);
    assert_floats(
        one("Reshape", &[], &[six.clone(), i(&[3], &[0, -1, 1])]),
        &[2, 3, 1],
        &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
    );
    assert_eq!(one_axis("Flatten", 2)(std::slice::from_ref(&six)).unwrap().dims, [6, 1]);
    assert_eq!(one("Squeeze", &[], &[f(&[1, 2, 1], &[1.0, 2.0])]).unwrap().dims, [2]);
    assert_eq!(
        one("Unsqueeze", &[attribute_ints("axes", &[-1, 0])], std::slice::from_ref(&six)).unwrap().dims,
        [1, 2, 3, 1]
    );
    let split = node("Split", "", &["w"], &["p", "q"], &[attribute_int("axis", 1)]);
    let parts = fold_nodes(&[split], &[six.bytes(8, "w")], N).unwrap();
    assert_eq!((parts["p"].operand().dims(), parts["q"].operand().dims()), (&[2, 2][..], &[2, 1][..]));
    let chosen = [tensor("", 9, &[2], &[1, 0]), f(&[1], &[1.0]), f(&[2, 1], &[2.0, 3.0])];
    assert_floats(one("Where", &[], &chosen), &[2, 2], &[1.0, 2.0, 1.0, 3.0]);
    // Of two matrices, from the main diagonal on and up to the one below it.
    let matrices = i(&[2, 2, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let upper = one("Trilu", &[], std::slice::from_ref(&matrices));
    assert_ints(upper, &[2, 2, 3], &[1, 2, 3, 0, 5, 6, 7, 8, 9, 0, 11, 12]);
    let lower = one("Trilu", &[attribute_int("upper", 0)], &[matrices, i(&[], &[-1])]);
    assert_ints(lower, &[2, 2, 3], &[0, 0, 0, 4, 0, 0, 0, 0, 0, 10, 0, 0]);
    assert!(one("Trilu", &[], &[i(&[3], &[1, 2, 3])]).unwrap_err().contains("no matrix"));
}

#[test]
fn numbers_are_computed() {
    assert_ints(one("Div", &[], &[i(&[3], &[-7, 7, 6]), i(&[], &[2])]), &[3], &[-3, 3, 3]);
    assert_ints(one("Mod", &[], &[i(&[3], &[-7, 7, 6]), i(&[], &[4])]), &[3], &[1, 3, 2]);
    assert_ints(one("Mod", &[attribute_int("fmod", 1)], &[i(&[2], &[-7, 7]), i(&[], &[4])]), &[2], &[-3, 3]);
    assert_ints(one("Pow", &[], &[i(&[3], &[2, -1, 0]), i(&[3], &[10, i64::MAX, 0])]), &[3], &[1024, -1, 1]);
    assert_floats(one("Round", &[], &[f(&[4], &[0.5, 1.5, -2.5, 2.6])]), &[4], &[0.0, 2.0, -2.0, 3.0]);
    assert_floats(one("Div", &[], &[f(&[2], &[1.0, 2.0]), f(&[], &[3.0])]), &[2], &[1.0 / 3.0, 2.0 / 3.0]);
    assert_floats(one("Max", &[], &[f(&[2], &[1.0, 5.0]), f(&[1], &[2.0]), f(&[], &[3.0])]), &[2], &[3.0, 5.0]);
    assert_ints(one("Cast", &[attribute_int("to", 3)], &[f(&[3], &[-1.9, 1.9, 200.0])]), &[3], &[-1, 1, -56]);
    assert_floats(
        one("Cast", &[attribute_int("to", 10)], &[f(&[2], &[0.1, 1e6])]),
        &[2],
        &[0.099_975_586, f32::INFINITY],
    );
    assert_ints(one("Range", &[], &[i(&[], &[5]), i(&[], &[-2]), i(&[], &[-3])]), &[3], &[5, 2, -1]);
    let less = one("Less", &[], &[f(&[2], &[1.0, f32::NAN]), f(&[], &[2.0])]).unwrap();
    assert_eq!(less.data, Data::Bool(vec![true, false]));
    let six = f(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_floats(one("ReduceMean", &[attribute_ints("axes", &[1])], std::slice::from_ref(&six)), &[2, 1], &[1.0, 4.0]);
    let flat = [attribute_ints("axes", &[0]), attribute_int("keepdims", 0)];
    assert_floats(one("ReduceMax", &flat, std::slice::from_ref(&six)), &[3], &[3.0, 4.0, 5.0]);
    assert_floats(one("MatMul", &[], &[six.clone(), f(&[3], &[1.0, 0.0, 2.0])]), &[2], &[4.0, 13.0]);
    let stacked = [f(&[2, 1, 2], &[1.0, 2.0, 3.0, 4.0]), f(&[2, 1], &[1.0, -1.0])];
    assert_floats(one("MatMul", &[], &stacked), &[2, 1, 1], &[-1.0, -1.0]);
    let scaled = [attribute_int("transB", 1), Bytes::default().bytes(1, "alpha").float(2, 2.0).int(20, 1)];
    let gemm = [f(&[1, 3], &[1.0, 0.0, 2.0]), six, f(&[2], &[0.5, 1.0])];
    assert_floats(one("Gemm", &scaled, &gemm), &[1, 2], &[8.5, 27.0]);
}

#[test]
fn quantised_numbers_are_read() {
    let levels = tensor("", 3, &[2, 2], &[1, 255, 3, 4]);
    let axis = [attribute_int("axis", 0)];
    let per_axis = [levels.clone(), f(&[2], &[0.5, 2.0]), tensor("", 3, &[2], &[1, 0])];
    assert_floats(one("DequantizeLinear", &axis, &per_axis), &[2, 2], &[0.0, -1.0, 6.0, 8.0]);
    assert_floats(one("DequantizeLinear", &[], &[levels, f(&[], &[0.5])]), &[2, 2], &[0.5, -0.5, 1.5, 2.0]);
    let quantised = one("QuantizeLinear", &[], &[f(&[4], &[0.25, 0.75, -1.0, 1e9]), f(&[], &[0.5])]).unwrap();
    assert_eq!((quantised.elem, quantised.data), (ElemType::U8, Data::Int(vec![0, 2, 0, 255])));
}

#[test]
fn a_small_file_cannot_ask_for_much() {
    let refused = |found: Result<Tensor, String>, expected: &str| {
        let found = found.unwrap_err();
        assert!(found.contains(expected), "{found}");
    };
    let (large, huge) = (1 << 25, 1 << 40);
    for n in [large, huge, i64::MAX] {
        refused(one("ConstantOfShape", &[], &[i(&[1], &[n])]), "elements");
        refused(one("ConstantOfShape", &[], &[i(&[2], &[0, n])]), "elements");
        refused(one("Expand", &[], &[f(&[1], &[1.0]), i(&[2], &[n, 1])]), "elements");
        refused(one("Expand", &[], &[f(&[0, 1], &[]), i(&[2], &[1, n])]), "elements");
        refused(one("Tile", &[], &[f(&[1], &[1.0]), i(&[1], &[n])]), "elements");
        refused(one("Range", &[], &[i(&[], &[0]), i(&[], &[n]), i(&[], &[1])]), "elements");
        refused(one("Pad", &[], &[f(&[1], &[1.0]), i(&[2], &[n, 0])]), "elements");
    }
    refused(one("Range", &[], &[f(&[], &[0.0]), f(&[], &[1.0]), f(&[], &[1e-30])]), "elements");
    refused(one("Range", &[], &[f(&[], &[0.0]), f(&[], &[1.0]), f(&[], &[0.0])]), "no end");
    refused(one("Range", &[], &[i(&[], &[i64::MIN]), i(&[], &[i64::MAX]), i(&[], &[1])]), "elements");
    let column = || f(&[6000, 1], &[1.0; 6000]);
    refused(one("Add", &[], &[column(), f(&[6000], &[1.0; 6000])]), "more than 16777216 elements");
    refused(one("MatMul", &[], &[column(), f(&[1, 6000], &[1.0; 6000])]), "more than 16777216 elements");
    refused(one("Gather", &[], &[column(), i(&[6000, 6000], &[])]), "needs 36000000");
    refused(one("Pad", &[], &[f(&[1], &[1.0]), i(&[2], &[i64::MIN, 3])]), "would be left");
    assert_floats(one("Pad", &[], &[f(&[1], &[1.0]), i(&[2], &[i64::MIN, i64::MAX])]), &[0], &[]);
    refused(one("Reshape", &[], &[f(&[0], &[]), i(&[2], &[0, huge])]), "elements");
    refused(one("Reshape", &[], &[f(&[1], &[1.0]), i(&[100], &[1; 100])]), "100 axes");
    refused(one("Div", &[], &[i(&[1], &[1]), i(&[1], &[0])]), "divided by 0");
    refused(one("Mul", &[], &[i(&[1], &[i64::MAX]), i(&[1], &[2])]), "overflows");
    refused(one("Neg", &[], &[i(&[1], &[i64::MIN])]), "overflows");
}

#[test]
fn what_all_nodes_make_is_limited_together() {
    let n = |op: &str, inputs: &[&str], output: &str| node(op, "", inputs, &[output], &[]);
    let joined = |inputs: &[&str], output: &str| node("Concat", "", inputs, &[output], &[attribute_int("axis", 0)]);
    let name = |i: usize| format!("t{i}");
    // Twice as many elements each time: 2^26 and eight for each of the file's are reached before any result is too large.
    let doubled: Vec<Bytes> = (0..40).map(|i| joined(&[&name(i), &name(i)], &name(i + 1))).collect();
    // As many again and again, from a shape; what keeps its elements counts too.
    let again = |op: &str| {
        let mut nodes = vec![n("Expand", &["k", "s"], "t0")];
        nodes.extend((0..200).map(|i| n(op, &[&name(i)], &name(i + 1))));
        nodes
    };
    // What is reduced has to be read.
    let mut reduced = vec![n("Expand", &["k", "s"], "t0")];
    reduced.extend((0..200).map(|i| n("ReduceSum", &["t0"], &format!("r{i}"))));
    let large = [floats("k", &[1], &[1.0]), ints("s", &[1], &[1 << 22])];
    for (nodes, initializers) in [
        (doubled, vec![floats("t0", &[4], &[1.0; 4])]),
        (again("Neg"), large.to_vec()),
        (again("Identity"), large.to_vec()),
        (reduced, large.to_vec()),
    ] {
        let refused = fold_nodes(&nodes, &initializers, N).unwrap_err();
        assert!(refused.contains("more elements than 67108864 and 8 for each that the file holds"), "{refused}");
    }
    // A causal mask of 512 places, made of shapes as exporters do.
    let mask = [
        n("ConstantOfShape", &["s"], "a"),
        n("Trilu", &["a"], "b"),
        node("Cast", "", &["b"], &["c"], &[attribute_int("to", 9)]),
    ];
    let made = fold_nodes(&mask, &[ints("s", &[2], &[512, 512])], N).unwrap();
    assert_eq!(made["c"].len(), 512 * 512);
}

#[test]
fn products_are_limited_together() {
    // 1024^3 multiplications are a quarter of what is allowed: a claim of five is refused before the fifth.
    let budget = Budget::default();
    (0..4).for_each(|_| budget.multiply(&[1024, 1024, 1024]).unwrap());
    assert!(!budget.is_spent());
    assert!(budget.multiply(&[1, 1]).unwrap_err().contains("4294967296 multiplications"));
    assert!(budget.is_spent());
}

/// A model that folds something of every kind.
fn rich_model() -> Vec<u8> {
    let mut nodes = vec![node("Shape", "", &["x"], &["s"], &[])];
    for (i, (chain, _)) in chains().into_iter().enumerate() {
        // The chains use the same names, and what comes later wins.
        nodes.extend(chain);
        nodes.push(node("Identity", "", &["y"], &[&format!("y{i}")], &[]));
    }
    let axis = || [attribute_int("axis", 1)];
    nodes.extend([
        node("Transpose", "", &["wt"], &["t"], &[attribute_ints("perm", &[1, 0])]),
        node("Gather", "", &["t", "first"], &["g"], &axis()),
        node("GatherElements", "", &["t", "at"], &["e"], &axis()),
        node("Pad", "", &["t", "pads"], &["p"], &[]),
        node("Slice", "", &["p", "first", "nine", "first", "two"], &["l"], &[]),
        node("MatMul", "", &["wt", "t"], &["mm"], &[]),
        node("Gemm", "", &["wt", "wt"], &["gg"], &[attribute_int("transB", 1)]),
        node("ReduceMean", "", &["p"], &["r"], &[attribute_ints("axes", &[0])]),
        node("QuantizeLinear", "", &["wt", "scale"], &["q"], &axis()),
        node("DequantizeLinear", "", &["q", "scale"], &["dq"], &axis()),
        node("Expand", "", &["g", "two"], &["ex"], &[]),
        node("Range", "", &["zero", "six", "two"], &["rg"], &[]),
        node("Pow", "", &["wt", "two"], &["pw"], &[]),
        node("Split", "", &["wt"], &["s1", "s2"], &axis()),
        node("Where", "", &["c", "wt", "dq"], &["wh"], &[]),
        node("Cast", "", &["wt"], &["ca"], &[attribute_int("to", 3)]),
    ]);
    let more = [
        floats("wt", &[2, 3], &[1.0, -2.0, 3.0, -4.0, 5.0, 6.0]),
        floats("scale", &[3], &[0.5, 1.0, 2.0]),
        ints("at", &[3, 1], &[1, 0, 1]),
        ints("pads", &[4], &[1, 0, 0, 2]),
        tensor("c", 9, &[3], &[1, 0, 1]),
    ];
    model(graph(&nodes, &[vectors(), more.to_vec()].concat())).0
}

/// Reads and folds whatever comes; nothing may panic, overflow or take long.
fn survive(bytes: &[u8]) -> Result<(), String> {
    let model = read_model(Path::new("m.onnx"), bytes).map_err(|e| e.to_string())?;
    folded(&model, N).map(|_| ())
}

#[test]
fn damaged_models_are_folded_or_refused() {
    let mut random = Random(2026);
    for (whole, rounds) in [(small_model(), 100_000), (rich_model(), 20_000)] {
        assert_eq!(survive(&whole), Ok(()));
        (0..whole.len()).for_each(|length| _ = survive(&whole[..length]));
        let mut survived = 0;
        for _ in 0..rounds {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] =
                    if random.below(2) == 0 { bytes[at] ^ 1 << random.below(8) } else { random.below(256) as u8 };
            }
            survived += usize::from(survive(&bytes).is_ok());
        }
        assert!(survived > rounds / 100, "{survived} of {rounds}: damage that is refused at once tests little");
    }
}
