//! Dropout nodes.

use serde::{Deserialize, Serialize};

use super::local::{Cotangent, Sweep};
use super::record::{Mode, Recorder};
use super::{Layer, Node, NodeId, NodeType};
use crate::kernels::Dropout;
use crate::program::View;

/// Inverted dropout in training, the identity in evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DropoutNode {
    /// Probability to drop, 0 ≤ p < 1.
    pub probability: f32,
}

impl From<DropoutNode> for Layer {
    fn from(layer: DropoutNode) -> Layer {
        Layer::Dropout(layer)
    }
}

impl NodeType for DropoutNode {
    fn kind(&self) -> &'static str {
        "dropout"
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        match inputs {
            _ if !(0.0..1.0).contains(&self.probability) => {
                Err(format!("its probability is {}; it must be at least 0 and below 1", self.probability))
            }
            [input] => Ok(input.to_vec()),
            _ => Err(format!("it reads one node, not {}", inputs.len())),
        }
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let x = record.output(node.inputs[0]);
        match record.mode() {
            Mode::Train => {
                let y = record.allocate(id);
                record.op(Dropout {
                    x,
                    y,
                    probability: self.probability,
                    node: id as u32,
                    settings: record.settings(),
                });
            }
            Mode::Evaluate | Mode::Explain => record.alias(id, x),
        }
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(dy) = record.gradient(id) else { return };
        let (probability, settings) = (self.probability, record.settings());
        record.deliver(id, node.inputs[0], |dx, _| {
            Dropout { x: dy, y: dx, probability, node: id as u32, settings }.into()
        });
    }

    fn vjp(&self, _: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        sweep.deliver(node.inputs[0], cotangent);
    }

    fn jvp(&self, _: NodeId, tangents: &[View], _: &mut Sweep<'_>) -> View {
        tangents[0]
    }
}
