//! Flatten nodes: a sample's axes become one.

use serde::{Deserialize, Serialize};

use super::local::{Cotangent, Sweep};
use super::record::Recorder;
use super::{Layer, Node, NodeId, NodeType};
use crate::program::View;

/// The same numbers in one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlattenNode {}

impl From<FlattenNode> for Layer {
    fn from(layer: FlattenNode) -> Layer {
        Layer::Flatten(layer)
    }
}

impl NodeType for FlattenNode {
    fn kind(&self) -> &'static str {
        "flatten"
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        match inputs {
            [input] => Ok(vec![input.iter().product()]),
            _ => Err(format!("it reads one node, not {}", inputs.len())),
        }
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        record.alias(id, record.output(node.inputs[0]));
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(dy) = record.gradient(id) else { return };
        record.deliver_unchanged(node.inputs[0], dy);
    }

    fn vjp(&self, _: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        sweep.deliver(node.inputs[0], cotangent);
    }

    fn jvp(&self, _: NodeId, tangents: &[View], _: &mut Sweep<'_>) -> View {
        tangents[0]
    }
}
