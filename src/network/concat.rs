//! Concatenation nodes: the inputs' channels one after the other.

use serde::{Deserialize, Serialize};

use super::local::{Cotangent, Sweep};
use super::record::Recorder;
use super::{Layer, Node, NodeId, NodeType};
use crate::kernels::{Concat, Slice};
use crate::program::View;

/// `y = a ‖ b ‖ …` along the first axis of the samples; where the other axes differ, of flattened samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConcatNode {}

impl From<ConcatNode> for Layer {
    fn from(layer: ConcatNode) -> Layer {
        Layer::Concat(layer)
    }
}

impl NodeType for ConcatNode {
    fn kind(&self) -> &'static str {
        "concat"
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        match inputs.len() {
            0 | 1 => Err(format!("it reads two nodes or more, not {}", inputs.len())),
            _ => {
                let alike = inputs.iter().all(|shape| shape.len() > 1 && shape[1..] == inputs[0][1..]);
                let rest = if alike { &inputs[0][1..] } else { &[] };
                let all: usize = inputs.iter().map(|shape| shape.iter().product::<usize>()).sum();
                Ok([&[all / rest.iter().product::<usize>().max(1)], rest].concat())
            }
        }
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let mut joined = record.output(node.inputs[0]);
        if joined.buffer == record.allocate(id).buffer {
            return; // written where they belong
        }
        for (i, &input) in node.inputs.iter().enumerate().skip(1) {
            let b = record.output(input);
            let out = if i + 1 == node.inputs.len() {
                record.allocate(id)
            } else {
                record.batched(id, &format!("first {i}"), joined.cols + b.cols)
            };
            record.op(Concat { a: joined, b, out, seeds: 1 });
            joined = out;
        }
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(dy) = record.gradient(id) else { return };
        let mut first = 0;
        for (place, &input) in node.inputs.iter().enumerate() {
            let width = record.output(input).cols;
            let out = record.batched(id, &format!("gradient of input {place}"), width);
            record.op(Slice { x: dy, first, out, seeds: 1 });
            record.deliver_unchanged(input, out);
            first += width;
        }
    }

    fn vjp(&self, id: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        let (x, seeds) = (sweep.matrix(id, cotangent), sweep.seeds);
        let mut first = 0;
        for (place, &input) in node.inputs.iter().enumerate() {
            let out = sweep.seeded(input, &format!("cotangent from {} {place}", node.name));
            sweep.op(Slice { x, first, out, seeds });
            sweep.deliver(input, Cotangent::Matrix(out));
            first += sweep.width(input);
        }
    }

    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View {
        let mut joined = tangents[0];
        for (i, &b) in tangents.iter().enumerate().skip(1) {
            let width = joined.cols + b.cols;
            let (out, seeds) = (sweep.seeded_width(id, &format!("tangent {i}"), width), sweep.seeds);
            sweep.op(Concat { a: joined, b, out, seeds });
            joined = out;
        }
        joined
    }
}
