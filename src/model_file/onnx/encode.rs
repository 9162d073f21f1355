//! Writes models: as much of Protocol Buffers as that takes.

/// A message under construction.
#[derive(Clone, Default)]
pub(super) struct Bytes(pub Vec<u8>);

impl Bytes {
    pub(super) fn varint(&mut self, mut value: u64) {
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
}

/// What elements are, as ONNX numbers it.
pub(super) const FLOAT: i64 = 1;
pub(super) const INT64: i64 = 7;
pub(super) const DOUBLE: i64 = 11;

/// A TensorProto with raw data.
pub(super) fn tensor(name: &str, code: i64, dims: &[i64], raw: &[u8]) -> Bytes {
    Bytes::default().ints(1, dims).int(2, code).bytes(8, name).bytes(9, raw)
}

pub(super) fn floats(name: &str, dims: &[i64], values: &[f32]) -> Bytes {
    tensor(name, FLOAT, dims, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
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

/// A list of integers as an attribute.
pub(super) fn attribute_ints(name: &str, values: &[i64]) -> Bytes {
    Bytes::default().bytes(1, name).ints(8, values).int(20, 7)
}

/// A ValueInfoProto: a length below 0 is one without a number, named `batch`.
pub(super) fn value(name: &str, code: i64, shape: &[i64]) -> Bytes {
    let shape = shape.iter().fold(Bytes::default(), |shape, &length| {
        let length = if length < 0 { Bytes::default().bytes(2, "batch") } else { Bytes::default().int(1, length) };
        shape.message(1, length)
    });
    let tensor = Bytes::default().int(1, code).message(2, shape);
    Bytes::default().bytes(1, name).message(2, Bytes::default().message(1, tensor))
}

/// A ModelProto of an operator set around a graph, with metadata.
pub(super) fn whole(producer: &str, opset: i64, graph: Bytes, metadata: &[(&str, &str)]) -> Bytes {
    let set = Bytes::default().bytes(1, "").int(2, opset);
    let model = Bytes::default().int(1, 8).bytes(2, producer).message(7, graph).message(8, set);
    metadata.iter().fold(model, |model, (key, value)| model.message(14, Bytes::default().bytes(1, key).bytes(2, value)))
}

/// A float attribute.
pub(super) fn attribute_float(name: &str, value: f32) -> Bytes {
    Bytes::default().bytes(1, name).float(2, value).int(20, 1)
}
