//! What each ONNX operator becomes, by hand.

use crate::common::onnx::{check, load, one, outputs, text, whole};
use crate::encode::{Bytes, attribute_float as float, attribute_int, floats, node, tensor};
use crate::samples::{attribute_ints, ints};
use eigenlens::network::Ending;

#[test]
fn operators_with_weights() {
    let matrix = floats("", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    one(&[-1, 2], "MatMul", &[], std::slice::from_ref(&matrix), &[1.0, 10.0], &[41.0, 52.0, 63.0]);
    let bias = floats("", &[1, 2], &[0.5, -0.5]);
    let scaled = [attribute_int("transB", 1), float("alpha", 2.0), float("beta", 10.0)];
    one(&[-1, 3], "Gemm", &scaled, &[matrix, bias], &[1.0, 0.0, 1.0], &[13.0, 15.0]);
    // Two channels, a kernel of 2 with padding before, stride 2.
    let kernel = floats("", &[1, 2, 2], &[1.0, 2.0, 10.0, 20.0]);
    let moves = [attribute_ints("pads", &[1, 0]), attribute_ints("strides", &[2])];
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    one(&[-1, 2, 3], "Conv", &moves, &[kernel, floats("", &[1], &[0.5])], &x, &[82.5, 178.5]);
    let depthwise = floats("", &[2, 1, 1], &[2.0, 3.0]);
    one(&[-1, 2, 3], "Conv", &[attribute_int("group", 2)], &[depthwise], &x, &[2.0, 4.0, 6.0, 12.0, 15.0, 18.0]);
    let two = |a: f32, b: f32| floats("", &[2], &[a, b]);
    let constants = [two(1.0, 2.0), two(0.0, 1.0), two(1.0, 4.0), two(4.0, 1.0)];
    one(&[-1, 2, 1], "BatchNormalization", &[float("epsilon", 0.0)], &constants, &[3.0, 5.0], &[1.0, 3.0]);
}

#[test]
fn transposed_convolutions_and_resizes() {
    // Every element adds itself times (1, 10, 100), two places apart.
    let kernel = floats("", &[1, 1, 3], &[1.0, 10.0, 100.0]);
    let transposed = |attributes: &[Bytes], expected: &[f64]| {
        let moves = [attributes, &[attribute_ints("strides", &[2])]].concat();
        one(&[-1, 1, 2], "ConvTranspose", &moves, std::slice::from_ref(&kernel), &[1.0, 2.0], expected);
    };
    transposed(&[], &[1.0, 10.0, 102.0, 20.0, 200.0]);
    transposed(&[attribute_ints("pads", &[1, 1])], &[10.0, 102.0, 20.0]);
    transposed(&[attribute_ints("pads", &[1, 1]), attribute_ints("output_padding", &[1])], &[10.0, 102.0, 20.0, 200.0]);
    transposed(&[text("auto_pad", "SAME_UPPER")], &[1.0, 10.0, 102.0, 20.0]);
    transposed(&[text("auto_pad", "SAME_LOWER")], &[10.0, 102.0, 20.0, 200.0]);
    // What nothing reaches is the bias.
    transposed(&[attribute_ints("output_shape", &[7])], &[1.0, 10.0, 102.0, 20.0, 200.0, 0.0, 0.0]);
    let grouped = [attribute_int("group", 2)];
    let constants = [floats("", &[2, 1, 1], &[2.0, 3.0]), floats("", &[2], &[0.5, -0.5])];
    one(&[-1, 2, 2], "ConvTranspose", &grouped, &constants, &[1.0, 2.0, 3.0, 4.0], &[2.5, 4.5, 8.5, 11.5]);
    let scales = floats("", &[3], &[1.0, 1.0, 2.0]);
    let mode = [text("mode", "linear")];
    let x = [0.0, 10.0, 40.0];
    // The region and the scales come before the sizes.
    let [none, sizes] = [floats("", &[0], &[]), ints("", &[3], &[1, 1, 6])];
    let half_pixel = [0.0, 2.5, 7.5, 17.5, 32.5, 40.0];
    one(&[1, 1, 3], "Resize", &mode, &[none.clone(), scales.clone()], &x, &half_pixel);
    one(&[1, 1, 3], "Resize", &mode, &[none.clone(), none, sizes], &x, &half_pixel);
    // A policy's scale is what coordinates are measured with: 7/3 for both axes, of which the first gets 4.67 places, rounded.
    let [none, sizes] = [floats("", &[0], &[]), ints("", &[2], &[7, 7])];
    let policy =
        [text("mode", "linear"), text("keep_aspect_ratio_policy", "not_larger"), attribute_ints("axes", &[2, 3])];
    let rows = [0.0, 10.0 / 7.0, 40.0 / 7.0, 10.0, 10.0].map(|row| [row; 7]).concat();
    one(&[-1, 1, 2, 3], "Resize", &policy, &[none.clone(), none, sizes], &[0.0, 0.0, 0.0, 10.0, 10.0, 10.0], &rows);
    one(&[-1, 1, 3], "Upsample", &[], &[scales], &x, &[0.0, 0.0, 10.0, 10.0, 40.0, 40.0]);
}

/// The elements that ONNX Runtime and PyTorch take: places are computed in single precision, where 3 / 0.6 is 5.
#[test]
fn places_of_a_resize_are_those_of_single_precision() {
    let taken = |attributes: &[Bytes], width: usize, scale: f32, expected: &[f64]| {
        let x: Vec<f64> = (0..width).map(|i| i as f64).collect();
        let constants = [floats("", &[0], &[]), floats("", &[3], &[1.0, 1.0, scale])];
        one(&[-1, 1, width as i64], "Resize", attributes, &constants, &x, expected);
    };
    let places = |transformation: &str, nearest: &str| {
        [text("coordinate_transformation_mode", transformation), text("nearest_mode", nearest)]
    };
    taken(&places("asymmetric", "floor"), 9, 0.6, &[0.0, 1.0, 3.0, 5.0, 6.0]);
    taken(&places("asymmetric", "floor"), 11, 0.8, &[0.0, 1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 8.0]);
    taken(&places("asymmetric", "floor"), 7, 1.1, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    taken(&places("asymmetric", "floor"), 5, 2.2, &[0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]);
    taken(&places("half_pixel", "floor"), 9, 1.3, &[0.0, 0.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.0, 7.0]);
    taken(
        &places("half_pixel", "round_prefer_ceil"),
        10,
        1.3,
        &[0.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 6.0, 7.0, 8.0, 8.0, 9.0],
    );
    taken(&places("asymmetric", "floor"), 10, 0.7, &[0.0, 1.0, 2.0, 4.0, 5.0, 7.0, 8.0]);
}

#[test]
fn operators_that_move_and_sum() {
    let x: Vec<f64> = (0..12).map(f64::from).collect();
    let kernel = [attribute_ints("kernel_shape", &[2, 2])];
    one(&[-1, 1, 3, 4], "MaxPool", &kernel, &[], &x, &[5.0, 6.0, 7.0, 9.0, 10.0, 11.0]);
    let same = [kernel[0].clone(), text("auto_pad", "SAME_UPPER"), attribute_ints("strides", &[2, 2])];
    one(&[-1, 1, 3, 4], "AveragePool", &same, &[], &x, &[2.5, 4.5, 8.5, 10.5]);
    one(&[-1, 2, 2, 3], "GlobalAveragePool", &[], &[], &x, &[2.5, 8.5]);
    one(&[-1, 2, 2, 3], "GlobalMaxPool", &[], &[], &x, &[5.0, 11.0]);
    let axes = [attribute_ints("axes", &[-2, -1]), attribute_int("keepdims", 0)];
    one(&[-1, 2, 2, 3], "ReduceMean", &axes, &[], &x, &[2.5, 8.5]);
    let target = ints("", &[3], &[0, -1, 4]);
    one(&[-1, 12], "Reshape", &[], &[target], &x, &x);
    one(&[-1, 12], "Unsqueeze", &[], &[ints("", &[1], &[2])], &x, &x);
    one(&[-1, 12, 1], "Squeeze", &[], &[], &x, &x);
    let chained = [
        node("Relu", "a", &["x"], &["p"], &[]),
        node("Concat", "b", &["p", "x"], &["q"], &[attribute_int("axis", 1)]),
        node("Add", "c", &["q", "q"], &["y"], &[]),
    ];
    check(&[-1, 2], &chained, &[], &[-1.0, 2.0], &[0.0, 4.0, -2.0, 4.0]);
}

#[test]
fn constants_are_spread() {
    let x = [1.0, 2.0, 3.0, 4.0];
    let by_channel = floats("", &[2, 1], &[10.0, 20.0]);
    one(&[-1, 2, 2], "Add", &[], std::slice::from_ref(&by_channel), &x, &[11.0, 12.0, 23.0, 24.0]);
    one(&[-1, 2, 2], "Mul", &[], &[by_channel], &x, &[10.0, 20.0, 60.0, 80.0]);
    one(&[-1, 2, 2], "Sub", &[], &[floats("", &[2], &[1.0, 2.0])], &x, &[0.0, 0.0, 2.0, 2.0]);
    one(&[-1, 2, 2], "Div", &[], &[floats("", &[], &[2.0])], &x, &[0.5, 1.0, 1.5, 2.0]);
    let turned = [node("Sub", "n", &["a", "x"], &["y"], &[])];
    check(&[-1, 4], &turned, &[floats("a", &[1], &[1.0])], &x, &[0.0, -1.0, -2.0, -3.0]);
    // What follows a product without a bias is its bias.
    let added = [node("MatMul", "m", &["x", "a"], &["p"], &[]), node("Add", "n", &["b", "p"], &["y"], &[])];
    let constants = [floats("a", &[4, 1], &[1.0; 4]), floats("b", &[1], &[0.5])];
    check(&[-1, 4], &added, &constants, &x, &[10.5]);
    assert_eq!(load(&whole(&[-1, 4], &added, &constants)).unwrap().network.nodes.len(), 2);
}

#[test]
fn activations() {
    let x = [-2.0, 0.0, 1.5];
    type Function = fn(f64) -> f64;
    let cases: [(&str, Function); 9] = [
        ("Celu", |x| if x > 0.0 { x } else { x.exp() - 1.0 }),
        ("Swish", |x| x / (1.0 + (-x).exp())),
        ("ThresholdedRelu", |x| if x > 1.0 { x } else { 0.0 }),
        ("Sin", f64::sin),
        ("Relu", |x| x.max(0.0)),
        ("Tanh", f64::tanh),
        ("Elu", |x| if x > 0.0 { x } else { x.exp() - 1.0 }),
        ("LeakyRelu", |x| if x > 0.0 { x } else { 0.01 * x }),
        ("Gelu", |x| 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt()))),
    ];
    for (op, f) in cases {
        one(&[-1, 3], op, &[], &[], &x, &x.map(f));
    }
    let tanh = [text("approximate", "tanh")];
    let inner = |x: f64| (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    one(&[-1, 3], "Gelu", &tanh, &[], &x, &x.map(|x| 0.5 * x * (1.0 + inner(x).tanh())));
    one(&[-1, 1], "Log", &[], &[], &[2.0], &[2f64.ln()]);
    // A sigmoid at the end is taken off; another isn't.
    let nodes = [node("Sigmoid", "s", &["x"], &["p"], &[]), node("Softmax", "t", &["p"], &["y"], &[])];
    let found = load(&whole(&[-1, 3], &nodes, &[])).unwrap();
    assert_eq!(found.removed.as_ref().map(Ending::operator), Some("Softmax"));
    assert_eq!(found.network.output().name, "s");
}

#[test]
fn operators_that_normalise() {
    let x = [1.0, 3.0, 0.0, 4.0, 10.0, 30.0, -1.0, 1.0];
    let epsilon = [float("epsilon", 0.0)];
    let two = |a: f32, b: f32| floats("", &[2], &[a, b]);
    let pairs = [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0];
    one(&[-1, 2, 2, 2], "LayerNormalization", &epsilon, &[two(1.0, 1.0)], &x, &pairs);
    let scaled: Vec<f64> = pairs.iter().map(|y| if *y < 0.0 { 2.0 * y + 10.0 } else { 3.0 * y + 20.0 }).collect();
    one(&[-1, 4, 2], "LayerNormalization", &epsilon, &[two(2.0, 3.0), two(10.0, 20.0)], &x, &scaled);
    // Means 2 and 10, deviations √2.5 and √151.
    let [a, b] = [2.5f64.sqrt(), 150.5f64.sqrt()];
    let instance: Vec<f64> =
        (0..8).map(|i| if i < 4 { 2.0 * (x[i] - 2.0) / a + 0.5 } else { -(x[i] - 10.0) / b - 0.5 }).collect();
    one(&[-1, 2, 4], "InstanceNormalization", &epsilon, &[two(2.0, -1.0), two(0.5, -0.5)], &x, &instance);
    let grouped = [attribute_int("num_groups", 2), epsilon[0].clone()];
    one(&[-1, 2, 4], "GroupNormalization", &grouped, &[two(2.0, -1.0), two(0.5, -0.5)], &x, &instance);
    let four = |a: f32, b: f32| floats("", &[4], &[a, a, b, b]);
    one(&[-1, 4, 2], "GroupNormalization", &grouped, &[four(2.0, -1.0), four(0.5, -0.5)], &x, &instance);
    // Three neighbouring channels; outside there is none.
    let response = [attribute_int("size", 3), float("alpha", 3.0), float("beta", 0.5), float("bias", 0.0)];
    let y = [1.0 / 5f64.sqrt(), 2.0 / 14f64.sqrt(), 3.0 / 13f64.sqrt()];
    one(&[-1, 3, 1], "LRN", &response, &[], &[1.0, 2.0, 3.0], &y);
    let root = |a: f64, b: f64| ((a * a + b * b) / 2.0).sqrt();
    let mean_square: Vec<f64> = x
        .chunks(2)
        .flat_map(|pair| [2.0 * pair[0] / root(pair[0], pair[1]), 3.0 * pair[1] / root(pair[0], pair[1])])
        .collect();
    one(&[-1, 4, 2], "RMSNormalization", &epsilon, &[two(2.0, 3.0)], &x, &mean_square);
    // What isn't at the end stays: shares of 1 and 3, and of 4 and 1, along the first axis.
    let logs = [0.0, 4f64.ln(), 3f64.ln(), 0.0];
    let inside = |op: &str, axis: i64| {
        [node(op, "s", &["x"], &["p"], &[attribute_int("axis", axis)]), node("Neg", "n", &["p"], &["y"], &[])]
    };
    let shares = [0.25, 0.8, 0.75, 0.2];
    check(&[-1, 2, 2], &inside("Softmax", 1), &[], &logs, &shares.map(|p| -p));
    check(&[-1, 2, 2], &inside("LogSoftmax", -2), &[], &logs, &shares.map(|p: f64| -p.ln()));
}

#[test]
fn products_of_activations_as_matrices() {
    let x = [1.0, 2.0, 3.0, 4.0];
    let turned = [
        node("Transpose", "t", &["x"], &["z"], &[attribute_ints("perm", &[0, 2, 1])]),
        node("MatMul", "m", &["x", "z"], &["y"], &[]),
    ];
    check(&[-1, 2, 2], &turned, &[], &x, &[5.0, 11.0, 11.0, 25.0]);
    check(&[-1, 2, 2], &[node("MatMul", "m", &["x", "x"], &["y"], &[])], &[], &x, &[7.0, 10.0, 15.0, 22.0]);
    // One row of a for all heads of x.
    let spread =
        [node("Slice", "s", &["x", "b", "e", "i"], &["z"], &[]), node("MatMul", "m", &["x", "z"], &["y"], &[])];
    let bounds = [ints("b", &[1], &[0]), ints("e", &[1], &[1]), ints("i", &[1], &[1])];
    let heads = [1.0, 2.0, 3.0, 4.0, 1.0, 0.0, 0.0, 1.0];
    check(&[-1, 2, 2, 2], &spread, &bounds, &heads, &[7.0, 10.0, 15.0, 22.0, 1.0, 2.0, 3.0, 4.0]);
    let left = floats("a", &[1, 2], &[10.0, 1.0]);
    check(&[-1, 2, 2], &[node("MatMul", "m", &["a", "x"], &["y"], &[])], &[left], &x, &[13.0, 24.0]);
    let vector = floats("a", &[2], &[10.0, 1.0]);
    check(&[-1, 2, 2], &[node("MatMul", "m", &["x", "a"], &["y"], &[])], &[vector], &x, &[12.0, 34.0]);
}

/// As PyTorch writes attention: the batch goes to another axis, is joined with others, and comes back.
#[test]
fn the_batch_moves_and_comes_back() {
    // Two samples of three places with two features.
    let x: Vec<f64> = (0..12).map(f64::from).collect();
    let there = node("Transpose", "there", &["x"], &["a"], &[attribute_ints("perm", &[1, 0, 2])]);
    let flat = node("Reshape", "flat", &["a", "two"], &["b"], &[]);
    let gemm = node("Gemm", "gemm", &["b", "w", "bias"], &["c"], &[]);
    let wide = node("Reshape", "wide", &["c", "three"], &["d"], &[]);
    let softmax = node("Add", "add", &["d", "e"], &["f"], &[]);
    let back = node("Transpose", "back", &["f"], &["y"], &[attribute_ints("perm", &[1, 0, 2])]);
    let constants = |batch: i64| {
        [
            ints("two", &[2], &[-1, 2]),
            floats("w", &[2, 2], &[1.0, 10.0, 100.0, 1000.0]),
            floats("bias", &[2], &[0.5, 0.25]),
            ints("three", &[3], &[3, batch, 2]),
            floats("e", &[3, 1, 1], &[1e4, 2e4, 3e4]),
        ]
    };
    let expected: Vec<f64> = x
        .chunks(2)
        .enumerate()
        .flat_map(|(i, pair)| {
            let more = 1e4 * (i % 3 + 1) as f64;
            [pair[0] + 100.0 * pair[1] + 0.5 + more, 10.0 * pair[0] + 1000.0 * pair[1] + 0.25 + more]
        })
        .collect();
    let nodes = [there, flat, gemm, wide, softmax, back];
    check(&[-1, 3, 2], &nodes, &constants(-1), &x, &expected);
    // A file with a batch of 2 says so.
    check(&[2, 3, 2], &nodes, &constants(2), &x, &expected);
    // A constant of every sample in front, as a class token is.
    let token = [
        node("Shape", "shape", &["x"], &["s"], &[]),
        node("Gather", "batch", &["s", "zero"], &["n"], &[]),
        node("Concat", "target", &["n", "one", "one"], &["t"], &[attribute_int("axis", 0)]),
        node("Expand", "expand", &["token", "t"], &["u"], &[]),
        node("Concat", "all", &["u", "x"], &["y"], &[attribute_int("axis", 1)]),
    ];
    let constants = [ints("zero", &[1], &[0]), ints("one", &[1], &[1]), floats("token", &[1, 1, 2], &[7.0, 8.0])];
    check(&[-1, 1, 2], &token, &constants, &[1.0, 2.0, 3.0, 4.0], &[7.0, 8.0, 1.0, 2.0, 7.0, 8.0, 3.0, 4.0]);
    // Places counted over the whole batch, of every sample the same.
    let places = [
        node("Shape", "shape", &["x"], &["s"], &[attribute_int("end", 1)]),
        node("Squeeze", "count", &["s"], &["n"], &[]),
        node("Range", "range", &["none", "n", "step"], &["r"], &[]),
        node("Mul", "begin", &["r", "width"], &["m"], &[]),
        node("Unsqueeze", "axis", &["m", "one"], &["v"], &[]),
        node("Add", "places", &["v", "at"], &["i"], &[]),
        node("Reshape", "flat", &["x", "all"], &["f"], &[]),
        node("Gather", "gather", &["f", "i"], &["y"], &[]),
    ];
    let constants = |width: i64| {
        [
            ints("none", &[], &[0]),
            ints("step", &[], &[1]),
            ints("width", &[], &[width]),
            ints("one", &[1], &[1]),
            ints("at", &[1, 2], &[2, 0]),
            ints("all", &[1], &[-1]),
        ]
    };
    check(&[-1, 3], &places, &constants(3), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[3.0, 1.0, 6.0, 4.0]);
    let error = load(&whole(&[-1, 3], &places, &constants(2))).unwrap_err();
    assert!(error.contains("other samples"), "{error}");
    let turned = [node("Transpose", "t", &["x"], &["y"], &[])];
    let error = load(&whole(&[-1, 3], &turned, &[])).unwrap_err();
    assert!(error.contains("first axis of its output"), "{error}");
    let graph = [
        node("Transpose", "t", &["x"], &["z"], &[attribute_ints("perm", &[1, 0, 2])]),
        node("MaxPool", "p", &["z"], &["y"], &[attribute_ints("kernel_shape", &[1])]),
    ];
    let error = load(&whole(&[-1, 3, 2], &graph, &[])).unwrap_err();
    assert!(error.contains("the batch must be the first"), "{error}");
}

#[test]
fn operators_over_axes_and_over_several() {
    let x: Vec<f64> = vec![1.0, -5.0, 3.0, 4.0, 2.0, -6.0];
    let over = |op: &str, axis: i64, expected: &[f64]| {
        let axes = [attribute_ints("axes", &[axis]), attribute_int("keepdims", 0)];
        one(&[-1, 2, 3], op, &axes, &[], &x, expected);
    };
    over("ReduceMax", 1, &[4.0, 2.0, 3.0]);
    over("ReduceMin", 2, &[-5.0, -6.0]);
    over("ReduceMin", 1, &[1.0, -5.0, -6.0]);
    over("ReduceSum", 1, &[5.0, -3.0, -3.0]);
    over("ReduceL1", 2, &[9.0, 12.0]);
    over("ReduceSumSquare", 2, &[35.0, 56.0]);
    over("ReduceL2", 1, &[17f64.sqrt(), 29f64.sqrt(), 45f64.sqrt()]);
    let several = |op: &str, expected: &[f64]| {
        let nodes = [node("Neg", "minus", &["x"], &["z"], &[]), node(op, "n", &["x", "z", "a"], &["y"], &[])];
        check(&[-1, 3], &nodes, &[floats("a", &[], &[2.0])], &[1.0, -5.0, 3.0], expected);
    };
    several("Max", &[2.0, 5.0, 3.0]);
    several("Min", &[-1.0, -5.0, -3.0]);
    let power = |exponent: f32, expected: &[f64]| {
        one(&[-1, 3], "Pow", &[], &[floats("", &[], &[exponent])], &[1.0, -2.0, 3.0], expected);
    };
    power(1.0, &[1.0, -2.0, 3.0]);
    power(2.0, &[1.0, 4.0, 9.0]);
    power(3.0, &[1.0, -8.0, 27.0]);
    power(6.0, &[1.0, 64.0, 729.0]);
    one(&[-1, 2, 1], "Expand", &[], &[ints("", &[2], &[2, 3])], &[1.0, 2.0], &[1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    one(&[-1, 2], "Tile", &[], &[ints("", &[2], &[1, 2])], &[1.0, 2.0], &[1.0, 2.0, 1.0, 2.0]);
    let blocks: Vec<f64> = (0..4).map(f64::from).collect();
    one(&[-1, 4, 1, 1], "DepthToSpace", &[attribute_int("blocksize", 2)], &[], &blocks, &blocks);
    one(&[-1, 1, 2, 2], "SpaceToDepth", &[attribute_int("blocksize", 2)], &[], &blocks, &blocks);
    let places = ints("", &[2, 1], &[2, 0]);
    one(&[-1, 3], "Gather", &[attribute_int("axis", 1)], &[places], &[1.0, 2.0, 3.0], &[3.0, 1.0]);
    let padded = [ints("", &[4], &[0, 1, 0, 0]), floats("", &[], &[9.0])];
    one(&[-1, 2], "Pad", &[], &padded, &[1.0, 2.0], &[9.0, 1.0, 2.0]);
    // A network may be what it was given.
    let dropped = [node("Dropout", "d", &["x"], &["p"], &[]), node("Softmax", "s", &["p"], &["y"], &[])];
    check(&[-1, 2], &dropped, &[], &[1.0, 2.0], &[1.0, 2.0]);
}

#[test]
fn where_takes_elements_by_a_constant_condition() {
    let truth = |dims: &[i64], values: &[u8]| tensor("", 9, dims, values);
    let x = [1.0, 2.0, 3.0, 4.0];
    // x or a constant, each spread over the other.
    one_where(
        &[-1, 2, 2],
        truth(&[2], &[1, 0]),
        &["x", "b"],
        &[floats("b", &[], &[-5.0])],
        &x,
        &[1.0, -5.0, 3.0, -5.0],
    );
    one_where(
        &[-1, 2, 2],
        truth(&[1, 2, 1], &[1, 0]),
        &["b", "x"],
        &[floats("b", &[2], &[7.0, 8.0])],
        &x,
        &[7.0, 8.0, 3.0, 4.0],
    );
    one_where(
        &[-1, 1, 2],
        truth(&[2, 1], &[0, 1]),
        &["x", "b"],
        &[floats("b", &[], &[9.0])],
        &x[..2],
        &[9.0, 9.0, 1.0, 2.0],
    );
    // Two that depend on the input.
    let negative = node("Neg", "neg", &["x"], &["m"], &[]);
    let choose = node("Where", "n", &["c", "x", "m"], &["y"], &[]);
    check(&[-1, 4], &[negative, choose], &[truth(&[4], &[1, 0, 0, 1]).bytes(8, "c")], &x, &[1.0, -2.0, -3.0, 4.0]);
    // A mask before a softmax: what is left out has no share, and the sums stay numbers.
    let masked = node("Where", "n", &["c", "x", "b"], &["m"], &[]);
    let nodes = [masked, node("Softmax", "s", &["m"], &["t"], &[]), node("Neg", "end", &["t"], &["y"], &[])];
    let constants = [truth(&[4], &[0, 1, 0, 1]).bytes(8, "c"), floats("b", &[], &[f32::NEG_INFINITY])];
    let share = 1.0 / (1.0 + 2f64.exp());
    check(&[-1, 4], &nodes, &constants, &x, &[0.0, -share, 0.0, share - 1.0]);
    let refuse = |inputs: &[&str], constants: &[Bytes], told: &str| {
        let error = load(&whole(&[-1, 4], &[node("Where", "n", inputs, &["y"], &[])], constants)).unwrap_err();
        assert!(error.contains("node n, Where") && error.contains(told), "{error} doesn't tell {told}");
    };
    refuse(&["x", "x", "x"], &[], "what it takes depends on the network's input");
    refuse(&["c", "x", "x"], &[floats("c", &[], &[1.0])], "its condition is no truth values");
    refuse(&["c", "x", "b"], &[truth(&[], &[1]).bytes(8, "c"), floats("b", &[3], &[0.0; 3])], "[3]");
}

fn one_where(input: &[i64], condition: Bytes, values: &[&str; 2], constants: &[Bytes], x: &[f64], expected: &[f64]) {
    let constants = [&[condition.bytes(8, "c")], constants].concat();
    check(input, &[node("Where", "n", &["c", values[0], values[1]], &["y"], &[])], &constants, x, expected);
}

/// Attention as one operator beside its parts: two queries, three keys, two heads of two numbers.
#[test]
fn attention_as_one_operator() {
    let parts = |from: i64, to: i64, name: &str| {
        let [begin, end] = [format!("{name} from"), format!("{name} to")];
        let bounds = [ints(&begin, &[1], &[from]), ints(&end, &[1], &[to])];
        (node("Slice", name, &["x", &begin, &end, "places"], &[name], &[]), bounds)
    };
    let x: Vec<f64> = (0..32).map(|i| f64::from(i * 7 % 11) / 5.0 - 1.0).collect();
    let ((q, a), (k, b), (v, c)) = (parts(0, 2, "q"), parts(2, 5, "k"), parts(5, 8, "v"));
    let run = |attributes: &[Bytes], more: &[(&str, Bytes)]| {
        let names = [&["q", "k", "v"], &more.iter().map(|(name, _)| *name).collect::<Vec<_>>()[..]].concat();
        let nodes = [q.clone(), k.clone(), v.clone(), node("Attention", "att", &names, &["y"], attributes)];
        let mut constants = [&a[..], &b, &c, &[ints("places", &[1], &[1])]].concat();
        constants.extend(more.iter().map(|(name, tensor)| tensor.clone().bytes(8, name)));
        load(&whole(&[-1, 8, 4], &nodes, &constants)).map(|found| outputs(&found, &x))
    };
    let row = |place: usize, head: usize| &x[4 * place + 2 * head..][..2];
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    // `added[query][key]`.
    let expected = |scale: f64, cap: f64, shared: bool, added: [[f64; 3]; 2]| {
        let mut all = vec![0.0; 8];
        for (query, head) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let of = if shared { 0 } else { head };
            let score = |key: usize| {
                let s = scale * dot(row(query, head), row(2 + key, of));
                (if cap > 0.0 { cap * (s / cap).tanh() } else { s }) + added[query][key]
            };
            let powers = [0, 1, 2].map(|key| score(key).exp());
            for (key, power) in powers.iter().enumerate() {
                for d in 0..2 {
                    all[4 * query + 2 * head + d] += power / powers.iter().sum::<f64>() * row(5 + key, of)[d];
                }
            }
        }
        all
    };
    let close = |found: Result<Vec<f64>, String>, expected: &[f64]| {
        let found = found.unwrap();
        // The scale and the mask are f32.
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} is not {expected:?}");
    };
    let heads = [attribute_int("q_num_heads", 2), attribute_int("kv_num_heads", 2)];
    let (root, none, no) = (0.5f64.sqrt(), f64::NEG_INFINITY, [[0.0; 3]; 2]);
    close(run(&heads, &[]), &expected(root, 0.0, false, no));
    close(
        run(&[&heads[..], &[float("scale", 0.25), float("softcap", 0.5)]].concat(), &[]),
        &expected(0.25, 0.5, false, no),
    );
    let causal = [&heads[..], &[attribute_int("is_causal", 1)]].concat();
    close(run(&causal, &[]), &expected(root, 0.0, false, [[0.0, none, none], [0.0, 0.0, none]]));
    let mask = ("mask", tensor("", 9, &[2, 3], &[1, 0, 1, 0, 1, 1]));
    close(run(&heads, &[mask]), &expected(root, 0.0, false, [[0.0, none, 0.0], [none, 0.0, 0.0]]));
    let bias = ("mask", floats("", &[3], &[0.5, -1.0, f32::NEG_INFINITY]));
    close(run(&heads, &[bias]), &expected(root, 0.0, false, [[0.5, -1.0, none]; 2]));
    let refuse = |attributes: &[Bytes], more: &[(&str, Bytes)], told: &str| {
        let error = run(attributes, more).unwrap_err();
        assert!(error.contains("node att, Attention") && error.contains(told), "{error} doesn't tell {told}");
    };
    refuse(&[], &[], "its q_num_heads doesn't cut 4 elements into heads");
    refuse(&heads, &[("mask", tensor("", 9, &[2, 3], &[0, 0, 0, 1, 1, 1]))], "leaves a place nothing to look at");
    refuse(&heads, &[("mask", floats("", &[2, 2], &[0.0; 4]))], "its constant has the shape [2, 2]");
    refuse(
        &heads,
        &[("mask", floats("", &[], &[0.0])), ("past", floats("", &[], &[0.0]))],
        "keys and values of earlier calls",
    );
    refuse(&[&heads[..], &[attribute_int("left_window_size", 1)]].concat(), &[], "a window");
    // Two heads of the query share one of key and value, whose samples are half as wide.
    let narrow = |name: &str, wide: &str| {
        let bounds = [ints(&format!("{name} a"), &[1], &[0]), ints(&format!("{name} b"), &[1], &[2])];
        (node("Slice", name, &[wide, &format!("{name} a"), &format!("{name} b"), "last"], &[name], &[]), bounds)
    };
    let ((k1, d), (v1, e)) = (narrow("k1", "k"), narrow("v1", "v"));
    let shared = [attribute_int("q_num_heads", 2), attribute_int("kv_num_heads", 1)];
    let attention = node("Attention", "att", &["q", "k1", "v1"], &["y"], &shared);
    let constants = [&a[..], &b, &c, &d, &e, &[ints("places", &[1], &[1]), ints("last", &[1], &[2])]].concat();
    let bytes = whole(&[-1, 8, 4], &[q, k, v, k1, v1, attention], &constants);
    close(load(&bytes).map(|found| outputs(&found, &x)), &expected(root, 0.0, true, no));
}

/// scikit-learn's, of its own domain.
#[test]
fn columns_are_scaled() {
    let floats = |name: &str, values: &[f32]| {
        values.iter().fold(Bytes::default().bytes(1, name), |all, &value| all.float(7, value)).int(20, 6)
    };
    let graph = |attributes: &[Bytes]| {
        whole(&[-1, 2], &[node("Scaler", "n", &["x"], &["y"], attributes).bytes(7, "ai.onnx.ml")], &[])
    };
    for (attributes, expected) in [
        (vec![floats("offset", &[1.0, 2.0]), floats("scale", &[2.0, 0.5])], [4.0, 3.0]),
        (vec![floats("offset", &[1.0]), floats("scale", &[2.0])], [4.0, 14.0]),
        (vec![floats("scale", &[2.0, 0.5])], [6.0, 4.0]),
        (vec![], [3.0, 8.0]),
    ] {
        assert_eq!(outputs(&load(&graph(&attributes)).unwrap(), &[3.0, 8.0]), expected);
    }
    let refused = load(&graph(&[floats("scale", &[1.0; 3])])).unwrap_err();
    assert!(
        refused.contains("node n, Scaler") && refused.contains("its scale has 3 numbers, for 2 columns"),
        "{refused}"
    );
}

/// Products of two activations whose batch is joined with the heads in one axis, behind which the matrices stand.
#[test]
fn heads_that_stand_beside_each_other_in_the_batch() {
    let nodes = [
        node("Reshape", "r", &["x", "heads"], &["h"], &[]),
        node("Transpose", "t", &["h"], &["k"], &[attribute_ints("perm", &[0, 2, 1])]),
        node("MatMul", "m", &["h", "k"], &["p"], &[]),
        node("Reshape", "b", &["p", "back"], &["y"], &[]),
    ];
    // Two heads of two places with one number each: products of every two places of a head.
    let shapes = [ints("heads", &[3], &[-1, 2, 1]), ints("back", &[2], &[-1, 8])];
    let expected = [1.0, 2.0, 2.0, 4.0, 9.0, 12.0, 12.0, 16.0];
    check(&[-1, 4], &nodes, &shapes, &[1.0, 2.0, 3.0, 4.0], &expected);
}

/// Before operator set 7 an addition's sizes were fitted by attributes.
#[test]
fn older_and_unknown_operator_sets_are_refused() {
    let mut file = whole(&[-1, 3], &[node("Relu", "n", &["x"], &["y"], &[])], &[]);
    // The domain "", then the version.
    let set = file.windows(3).rposition(|bytes| bytes == [0x0a, 0x00, 0x10]).unwrap() + 3;
    assert!(load(&file).is_ok());
    file[set] = 6;
    let refused = load(&file).err().unwrap();
    assert!(refused.contains("operator set 6; 7 and later"), "{refused}");
    file[set] = 29;
    let refused = load(&file).err().unwrap();
    assert!(refused.contains("operator set 29; those up to 28"), "{refused}");
}

/// Samples that are single numbers, `[batch]` in the file, meet others of their kind alone: a longer sample's last axis would be the batch's.
#[test]
fn single_numbers_have_no_axis() {
    let vector = floats("v", &[2], &[1.0, 10.0]);
    let axis = ints("one", &[1], &[1]);
    let sum = || node("MatMul", "sum", &["x", "v"], &["s"], &[]);
    let lifted = || node("Unsqueeze", "lifted", &["s", "one"], &["t"], &[]);
    let constants = [vector, axis];
    let x = [1.0, 2.0, 3.0, 4.0];
    check(
        &[-1, 2],
        &[sum(), lifted(), node("Mul", "n", &["x", "t"], &["y"], &[])],
        &constants,
        &x,
        &[21.0, 42.0, 129.0, 172.0],
    );
    let last = node("Gather", "last", &["x", "place"], &["g"], &[attribute_int("axis", 1)]);
    let place = ints("place", &[], &[1]);
    let squared = [sum(), last, node("Mul", "n", &["s", "g"], &["y"], &[])];
    check(&[-1, 2], &squared, &[constants[0].clone(), place], &x, &[42.0, 172.0]);
    let back = ints("whole", &[2], &[-1, 1]);
    let reshaped = [sum(), node("Reshape", "r", &["s", "whole"], &["t"], &[])];
    let joined = [&reshaped[..], &[node("Concat", "n", &["x", "t"], &["y"], &[attribute_int("axis", 1)])]].concat();
    check(&[-1, 2], &joined, &[constants[0].clone(), back], &x, &[1.0, 2.0, 21.0, 3.0, 4.0, 43.0]);
    let refused = |nodes: &[Bytes]| load(&whole(&[-1, 2], nodes, &constants)).expect_err("it joins samples");
    for op in ["Mul", "Add", "Max"] {
        let error = refused(&[sum(), node(op, "n", &["x", "s"], &["y"], &[])]);
        assert!(error.contains(&format!("node n, {op}: it joins samples of the shapes [2] and []")), "{error}");
    }
    let softmax = |axis| node("Softmax", "n", &["s"], &["y"], &[attribute_int("axis", axis)]);
    for nodes in [vec![sum(), softmax(-1)], vec![sum(), softmax(0)]] {
        let error = refused(&nodes);
        assert!(error.contains("node n, Softmax: its axis is the batch"), "{error}");
    }
}

#[test]
fn what_onnx_forbids_of_pads_is_refused() {
    let weight = floats("w", &[1, 1, 2], &[1.0, 1.0]);
    let wide = |more| [attribute_ints("strides", &[2]), attribute_ints("output_padding", &[more])];
    let transposed = |more| node("ConvTranspose", "n", &["x", "w"], &["y"], &wide(more));
    check(&[-1, 1, 2], &[transposed(1)], std::slice::from_ref(&weight), &[1.0, 2.0], &[1.0, 1.0, 2.0, 2.0, 0.0]);
    let error = load(&whole(&[-1, 1, 2], &[transposed(2)], &[weight])).expect_err("as much as a stride");
    assert!(error.contains("its output_padding is [2]; less than its strides"), "{error}");
    for op in ["AveragePool", "MaxPool"] {
        let pool = |pad| {
            node(op, "n", &["x"], &["y"], &[attribute_ints("kernel_shape", &[2]), attribute_ints("pads", &[pad, 0])])
        };
        check(&[-1, 1, 2], &[pool(1)], &[], &[3.0, 3.0], &[3.0, 3.0]);
        let error = load(&whole(&[-1, 1, 2], &[pool(2)], &[])).expect_err("a window without elements");
        assert!(error.contains("its pads are [2, 0]; less than its kernel_shape [2] is supported"), "{error}");
    }
}
