//! Reshape and flatten nodes: the same numbers on other axes.

use serde::{Deserialize, Serialize};

use super::local::{Cotangent, Sweep};
use super::record::Recorder;
use super::{Layer, Node, NodeId, NodeType};
use crate::program::View;

/// A sample's numbers, in their order, with the axes `shape`; `None`: in one axis.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reshape {
    pub shape: Option<Vec<usize>>,
}

impl From<Reshape> for Layer {
    fn from(layer: Reshape) -> Layer {
        Layer::Reshape(layer)
    }
}

impl NodeType for Reshape {
    fn kind(&self) -> &'static str {
        if self.shape.is_some() { "reshape" } else { "flatten" }
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        let [input] = inputs else { return Err(format!("it reads one node, not {}", inputs.len())) };
        let width: usize = input.iter().product();
        let Some(shape) = &self.shape else { return Ok(vec![width]) };
        // Sizes in a hostile file may overflow.
        match shape.iter().try_fold(1usize, |all, &n| all.checked_mul(n)) {
            Some(n) if n == width && !shape.is_empty() => Ok(shape.clone()),
            _ => Err(format!("samples of the shape {input:?} can't have the shape {shape:?}")),
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
