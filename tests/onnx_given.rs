//! ONNX networks and what is given beside them: arrays of their shape or another, a final softmax over some axes, files to be written.

use std::fs;

use crate::common::onnx::{load, whole};
use crate::common::program::{Place, eigenlens, refused, stderr};
use crate::encode::{attribute_int, floats, node};
use npyz::WriterBuilder;

/// An `.npz` with X of a shape, its numbers in order.
fn array(place: &Place, name: &str, shape: &[u64], numbers: &[f32]) -> String {
    arrays(place, name, &[("X", shape, numbers)])
}

/// An `.npz` with arrays of these names, shapes and numbers.
fn arrays(place: &Place, name: &str, arrays: &[(&str, &[u64], &[f32])]) -> String {
    let path = place.path(name).display().to_string();
    let mut archive = crate::common::npz::NpzWriter::create(&path);
    for (name, shape, numbers) in arrays {
        let array = archive.array::<f32>(name);
        let mut writer = array.default_dtype().shape(shape).begin_nd().unwrap();
        writer.extend(numbers.iter().copied()).unwrap();
        writer.finish().unwrap();
    }
    drop(archive);
    path
}

fn predicted(place: &Place, net: &str, data: &str, more: &[&str]) -> Result<Vec<f64>, String> {
    let table = place.path("p.csv").display().to_string();
    let done = eigenlens(&[&["predict", net, data, "--out", &table, "--device", "cpu"], more].concat());
    if !done.status.success() {
        return Err(stderr(&done));
    }
    let text = fs::read_to_string(&table).unwrap();
    Ok(text.lines().skip(1).flat_map(|line| line.split(',').skip(1).map(|y| y.parse().unwrap())).collect())
}

/// Rows of a network's own shape, flat, or with the channels at the other end are read as what they are; others are refused, however many
/// numbers they have.
#[test]
fn rows_have_the_networks_shape() {
    let place = Place::new();
    let net = place.write("net.onnx", whole(&[-1, 4, 6], &[node("Relu", "r", &["x"], &["y"], &[])], &[]));
    let x: Vec<f32> = (0..48).map(|i| i as f32).collect();
    let truth: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    for shape in [&[2, 4, 6][..], &[2, 24]] {
        let data = array(&place, "x.npz", shape, &x);
        assert_eq!(predicted(&place, &net, &data, &[]).unwrap(), truth, "{shape:?}");
    }
    // [row, position, channel]
    let turned: Vec<f32> = (0..48).map(|i| x[i / 24 * 24 + i % 4 * 6 + i / 4 % 6]).collect();
    let data = array(&place, "t.npz", &[2, 6, 4], &turned);
    assert_eq!(predicted(&place, &net, &data, &[]).unwrap(), truth);
    for shape in [&[2, 3, 8][..], &[2, 8, 3], &[2, 2, 12], &[2, 4, 3, 2]] {
        let data = array(&place, "other.npz", shape, &x);
        let error = predicted(&place, &net, &data, &[]).unwrap_err();
        assert!(error.contains("where the model reads [4, 6] (channel, position)"), "{shape:?}: {error}");
    }
}

/// A softmax that was taken off is put back over its own axis.
#[test]
fn a_softmax_is_over_its_axis() {
    let place = Place::new();
    let x: Vec<f32> = (0..24).map(|i| (i * i % 11) as f32 / 4.0).collect();
    let data = array(&place, "x.npz", &[1, 4, 6], &x);
    for (axis, stride, of) in [(1, 6, 4), (2, 1, 6), (-1, 1, 6)] {
        let nodes = [
            node("Relu", "r", &["x"], &["a"], &[]),
            node("Softmax", "s", &["a"], &["y"], &[attribute_int("axis", axis)]),
        ];
        let net = place.write("net.onnx", whole(&[-1, 4, 6], &nodes, &[]));
        let found = predicted(&place, &net, &data, &["--keep-softmax"]).unwrap();
        for (i, p) in found.into_iter().enumerate() {
            let first = i / (stride * of) * stride * of + i % stride;
            let sum: f64 = (0..of).map(|k| f64::from(x[first + k * stride]).exp()).sum();
            let truth = f64::from(x[i]).exp() / sum;
            // Written in single precision.
            assert!((p - truth).abs() < 1e-6, "axis {axis}: {p} at {i}, not {truth}");
        }
    }
    for (axis, part) in [(0, "its axis is the batch"), (7, "no axis 7")] {
        let nodes = [
            node("Relu", "r", &["x"], &["a"], &[]),
            node("Softmax", "s", &["a"], &["y"], &[attribute_int("axis", axis)]),
        ];
        let error = load(&whole(&[-1, 4, 6], &nodes, &[])).unwrap_err();
        assert!(error.contains("node s, Softmax") && error.contains(part), "{error}");
    }
}

#[test]
fn a_nan_among_the_weights_is_named() {
    for (wrong, called) in [(f32::NAN, "a NaN"), (f32::NEG_INFINITY, "an infinite number")] {
        let weights = floats("", &[2, 3], &[1.0, 2.0, wrong, 4.0, 5.0, 6.0]).bytes(8, "w");
        let nodes = [node("MatMul", "here", &["x", "w"], &["y"], &[])];
        let error = load(&whole(&[-1, 2], &nodes, &[weights])).unwrap_err();
        assert!(error.contains("node here") && error.contains(called), "{error}");
    }
}

#[test]
fn what_is_read_is_not_replaced() {
    let place = Place::new();
    let net = place.write("net.onnx", whole(&[-1, 3], &[node("Relu", "r", &["x"], &["y"], &[])], &[]));
    let data = array(&place, "x.npz", &[1, 3], &[1.0, 2.0, 3.0]);
    for path in [&net, &data] {
        let before = fs::read(path).unwrap();
        refused(&eigenlens(&["predict", &net, &data, "--out", path]), 2, &["would replace what is read"]);
        assert_eq!(fs::read(path).unwrap(), before);
    }
    let other = place.path("model.safetensors").display().to_string();
    refused(&eigenlens(&["export", &net, "--out", &other]), 2, &["ends in .onnx"]);
}

/// An exported network knows that its outputs are numbers: the data that it was trained on, with two targets a row, can be given to it.
#[test]
fn an_exported_regression_reads_its_own_data() {
    let place = Place::new();
    let x: Vec<f32> = (0..120).map(|i| (i * 37 % 101) as f32 / 50.0).collect();
    let y: Vec<f32> = x.chunks(3).flat_map(|row| [row[0] - row[1], row[1] * row[2]]).collect();
    let data = arrays(&place, "two.npz", &[("X", &[40, 3], &x), ("y", &[40, 2], &y)]);
    let out = place.text("run");
    let done = eigenlens(&["train", &data, "--epochs", "3", "--hidden", "4", "--out", &out, "--device", "cpu"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let (model, net) = (format!("{out}/model.safetensors"), place.text("net.onnx"));
    assert!(eigenlens(&["export", &model, "--out", &net]).status.success());
    let [own, exported] = [&model, &net].map(|file| predicted(&place, file, &data, &[]).unwrap());
    assert_eq!(own.len(), 80);
    // Sums of products of four units in f32, scaled before or inside.
    assert!(own.iter().zip(&exported).all(|(a, b)| (a - b).abs() < 1e-5), "{own:?} is not {exported:?}");
}

/// Rows where the network computes no number, or has no slope, are named with what is wrong there: no option helps them.
#[test]
fn rows_without_numbers_or_slopes_are_named() {
    let place = Place::new();
    let (out, data) = (place.path("why").display().to_string(), array(&place, "x.npz", &[2, 2], &[1.0, 2.0, 0.0, 0.0]));
    let quarter = floats("e", &[], &[0.25]);
    let root = [node("Pow", "root", &["x", "e"], &["s"], &[]), node("Sin", "n", &["s"], &["y"], &[])];
    let cases = [
        (vec![node("Log", "log", &["x"], &["y"], &[])], "row 1: the network's output is no finite number there"),
        (
            vec![node("Reciprocal", "one over", &["x"], &["y"], &[])],
            "row 1: the network's output is no finite number there",
        ),
        (root.to_vec(), "row 1 split at"),
    ];
    for (nodes, expected) in cases {
        let net = place.write("net.onnx", whole(&[-1, 2], &nodes, std::slice::from_ref(&quarter)));
        let explain = |row| {
            let out = ["--out", &out, "--device", "cpu", "--output", "0"];
            eigenlens(&[&["explain", &net, &data, "--rows", row][..], &out].concat())
        };
        refused(&explain("1"), 1, &[expected, "leave that row out"]);
        let other = explain("0");
        assert!(other.status.success(), "{}", stderr(&other));
    }
}
