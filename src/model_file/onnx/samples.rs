//! Models for the tests.

use super::encode::{Bytes, FLOAT, attribute_int, floats, node, tensor, value, whole};

impl Bytes {
    pub fn double(mut self, field: u64, value: f64) -> Self {
        self.varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn packed(self, field: u64, values: &[i64]) -> Self {
        let mut inner = Bytes::default();
        values.iter().for_each(|value| inner.varint(value.cast_unsigned()));
        self.bytes(field, inner.0)
    }
}

pub(super) fn attribute_ints(name: &str, values: &[i64]) -> Bytes {
    Bytes::default().bytes(1, name).ints(8, values).int(20, 7)
}

pub(super) fn attribute_tensor(name: &str, tensor: Bytes) -> Bytes {
    Bytes::default().bytes(1, name).message(5, tensor).int(20, 4)
}

pub(super) fn ints(name: &str, dims: &[i64], values: &[i64]) -> Bytes {
    tensor(name, 7, dims, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}

/// A ModelProto of operator set 17 around a graph.
pub(super) fn model(graph: Bytes) -> Bytes {
    whole("by hand", 17, graph, &[("author", "a test")])
}

/// A GraphProto.
pub(super) fn graph(nodes: &[Bytes], initializers: &[Bytes]) -> Bytes {
    let graph = nodes.iter().fold(Bytes::default(), |graph, node| graph.message(1, node.clone())).bytes(2, "g");
    let graph = initializers.iter().fold(graph, |graph, tensor| graph.message(5, tensor.clone()));
    graph.message(11, value("x", FLOAT, &[-1, 3])).message(12, value("y", FLOAT, &[-1, 2]))
}

/// A small whole model: a flatten by shape arithmetic and a dense layer.
pub(super) fn small_model() -> Vec<u8> {
    let nodes = [
        node("Shape", "shape", &["x"], &["s"], &[]),
        node("Constant", "zero", &[], &["i"], &[attribute_tensor("value", ints("", &[1], &[0]))]),
        node("Gather", "pick", &["s", "i"], &["n"], &[attribute_int("axis", 0)]),
        node("Concat", "target", &["n", "rest"], &["t"], &[attribute_int("axis", 0)]),
        node("Reshape", "flat", &["x", "t"], &["f"], &[]),
        node("Gemm", "fc", &["f", "w", "b"], &["y"], &[attribute_int("transB", 1)]),
    ];
    let initializers = [
        ints("rest", &[1], &[-1]),
        floats("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        Bytes::default().packed(1, &[2]).int(2, 1).float(4, 0.5).float(4, -0.5).bytes(8, "b"),
    ];
    model(graph(&nodes, &initializers)).0
}

/// Reproducible random numbers (xorshift).
pub(super) struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}
