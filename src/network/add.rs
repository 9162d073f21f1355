//! Addition nodes: residual connections.

use serde::{Deserialize, Serialize};

use super::local::{Cotangent, Sweep};
use super::record::Recorder;
use super::{Layer, Node, NodeId, NodeType};
use crate::kernels::Add;
use crate::program::View;

/// `y = a + b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddNode {}

impl From<AddNode> for Layer {
    fn from(layer: AddNode) -> Layer {
        Layer::Add(layer)
    }
}

impl NodeType for AddNode {
    fn kind(&self) -> &'static str {
        "add"
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        match inputs {
            [a, b] if a == b => Ok(a.to_vec()),
            [a, b] => Err(format!("it adds shapes {a:?} and {b:?}, which must be equal")),
            _ => Err(format!("it reads two nodes, not {}", inputs.len())),
        }
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let (a, b) = (record.output(node.inputs[0]), record.output(node.inputs[1]));
        let out = record.allocate(id);
        record.op(Add { a, b, out, seeds: 1 });
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(dy) = record.gradient(id) else { return };
        for &input in &node.inputs {
            record.deliver_unchanged(input, dy);
        }
    }

    fn vjp(&self, _: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        node.inputs.iter().for_each(|&input| sweep.deliver(input, cotangent));
    }

    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View {
        let (out, seeds) = (sweep.seeded(id, "tangent"), sweep.seeds);
        sweep.op(Add { a: tangents[0], b: tangents[1], out, seeds });
        out
    }
}
