//! ONNX models by hand, and what they make of some numbers.

use std::fs;

use crate::encode::{Bytes, FLOAT, node, value};
use crate::samples::model;
use eigenlens::Device;
use eigenlens::model_file::onnx::{self, Imported};
use eigenlens::network::local::SlopeForm;
use eigenlens::specxai::LocalOperator;

pub fn text(name: &str, value: &str) -> Bytes {
    Bytes::default().bytes(1, name).bytes(4, value).int(20, 3)
}

/// A model with the input x and the output y.
pub fn whole(input: &[i64], nodes: &[Bytes], initializers: &[Bytes]) -> Vec<u8> {
    let graph = nodes.iter().fold(Bytes::default(), |graph, node| graph.message(1, node.clone())).bytes(2, "g");
    let graph = initializers.iter().fold(graph, |graph, tensor| graph.message(5, tensor.clone()));
    model(graph.message(11, value("x", FLOAT, input)).message(12, value("y", FLOAT, &[-1, 1]))).0
}

/// A graph as an attribute.
pub fn subgraph(name: &str, nodes: &[Bytes], initializers: &[Bytes], outputs: &[&str]) -> Bytes {
    let graph = nodes.iter().fold(Bytes::default(), |graph, node| graph.message(1, node.clone())).bytes(2, "inside");
    let graph = initializers.iter().fold(graph, |graph, tensor| graph.message(5, tensor.clone()));
    let graph = outputs.iter().fold(graph, |graph, name| graph.message(12, value(name, FLOAT, &[-1, 3])));
    Bytes::default().bytes(1, name).message(6, graph).int(20, 5)
}

pub fn load(bytes: &[u8]) -> Result<Imported, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    fs::write(&path, bytes).unwrap();
    onnx::load(&path).map_err(|error| error.to_string())
}

pub fn outputs(found: &Imported, x: &[f64]) -> Vec<f64> {
    let device = Device::CpuF64 { threads: 1 };
    let rows = x.len() / found.network.input_width();
    let mut operator =
        LocalOperator::new(&found.network, &found.parameters, &[], SlopeForm::Tangent, rows, &device).unwrap();
    operator.load(x).unwrap();
    operator.output().unwrap().into_packed()
}

/// What a model makes of `x`; `expected` is by hand.
pub fn check(input: &[i64], nodes: &[Bytes], initializers: &[Bytes], x: &[f64], expected: &[f64]) {
    let found = load(&whole(input, nodes, initializers)).unwrap();
    let y = outputs(&found, x);
    assert_eq!(y.len(), expected.len(), "{:?}", found.network);
    // Weights are f32.
    assert!(y.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6 * (1.0 + b.abs())), "{y:?} is not {expected:?}");
}

/// One node that reads x and constants a, b, c, d.
pub fn one(input: &[i64], op: &str, attributes: &[Bytes], constants: &[Bytes], x: &[f64], expected: &[f64]) {
    let names = &["x", "a", "b", "c", "d"][..=constants.len()];
    let constants: Vec<Bytes> = constants.iter().zip(&names[1..]).map(|(c, name)| c.clone().bytes(8, name)).collect();
    check(input, &[node(op, "n", names, &["y"], attributes)], &constants, x, expected);
}
