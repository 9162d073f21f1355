//! Writes models for the tests: as much of Protocol Buffers as that takes.

/// A message under construction.
#[derive(Clone, Default)]
pub(super) struct Bytes(pub Vec<u8>);

impl Bytes {
    fn varint(&mut self, mut value: u64) {
        while value >= 128 {
            self.0.push(value as u8 | 128);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value.cast_unsigned());
        self
    }

    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn double(mut self, field: u64, value: f64) -> Self {
        self.varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.as_ref().len() as u64);
        self.0.extend(value.as_ref());
        self
    }

    pub fn message(self, field: u64, message: Bytes) -> Self {
        self.bytes(field, message.0)
    }

    pub fn ints(self, field: u64, values: &[i64]) -> Self {
        values.iter().fold(self, |bytes, &value| bytes.int(field, value))
    }

    pub fn packed(self, field: u64, values: &[i64]) -> Self {
        let mut inner = Bytes::default();
        values.iter().for_each(|value| inner.varint(value.cast_unsigned()));
        self.bytes(field, inner.0)
    }
}

/// A TensorProto with raw data.
pub(super) fn tensor(name: &str, code: i64, dims: &[i64], raw: &[u8]) -> Bytes {
    Bytes::default().ints(1, dims).int(2, code).bytes(8, name).bytes(9, raw)
}

pub(super) fn floats(name: &str, dims: &[i64], values: &[f32]) -> Bytes {
    tensor(name, 1, dims, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}

pub(super) fn ints(name: &str, dims: &[i64], values: &[i64]) -> Bytes {
    tensor(name, 7, dims, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}

/// A NodeProto; `attributes` are AttributeProtos.
pub(super) fn node(op: &str, name: &str, inputs: &[&str], outputs: &[&str], attributes: &[Bytes]) -> Bytes {
    let node = inputs.iter().fold(Bytes::default(), |node, input| node.bytes(1, input));
    let node = outputs.iter().fold(node, |node, output| node.bytes(2, output)).bytes(3, name).bytes(4, op);
    attributes.iter().fold(node, |node, attribute| node.message(5, attribute.clone()))
}

pub(super) fn attribute_int(name: &str, value: i64) -> Bytes {
    Bytes::default().bytes(1, name).int(3, value).int(20, 2)
}

pub(super) fn attribute_ints(name: &str, values: &[i64]) -> Bytes {
    Bytes::default().bytes(1, name).ints(8, values).int(20, 7)
}

pub(super) fn attribute_tensor(name: &str, tensor: Bytes) -> Bytes {
    Bytes::default().bytes(1, name).message(5, tensor).int(20, 4)
}

/// A ValueInfoProto of 32-bit floats: a length below 0 is one without a number, named `batch`.
pub(super) fn value(name: &str, shape: &[i64]) -> Bytes {
    let shape = shape.iter().fold(Bytes::default(), |shape, &length| {
        let length = if length < 0 { Bytes::default().bytes(2, "batch") } else { Bytes::default().int(1, length) };
        shape.message(1, length)
    });
    let tensor = Bytes::default().int(1, 1).message(2, shape);
    Bytes::default().bytes(1, name).message(2, Bytes::default().message(1, tensor))
}

/// A ModelProto of operator set 17 around a graph.
pub(super) fn model(graph: Bytes) -> Bytes {
    let opset = Bytes::default().bytes(1, "").int(2, 17);
    let metadata = Bytes::default().bytes(1, "author").bytes(2, "a test");
    Bytes::default().int(1, 8).bytes(2, "by hand").message(7, graph).message(8, opset).message(14, metadata)
}

/// A GraphProto.
pub(super) fn graph(nodes: &[Bytes], initializers: &[Bytes]) -> Bytes {
    let graph = nodes.iter().fold(Bytes::default(), |graph, node| graph.message(1, node.clone())).bytes(2, "g");
    let graph = initializers.iter().fold(graph, |graph, tensor| graph.message(5, tensor.clone()));
    graph.message(11, value("x", &[-1, 3])).message(12, value("y", &[-1, 2]))
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
