//! Functions of one number, elementwise: other programs' activations.

use serde::{Deserialize, Serialize};

use super::local::{Affine, Cotangent, SlopeForm, Sweep};
use super::record::{Mode, Recorder};
use super::{Layer, Node, NodeId, NodeType};
use crate::kernels::{ActivateBackward, Apply, Function, Slope, SlopeRule};
use crate::program::View;

/// `y = f(x)` with the function's parameters a and b. Its slope is the tangent, in both forms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FunctionNode {
    pub function: Function,
    pub a: f32,
    pub b: f32,
}

impl From<FunctionNode> for Layer {
    fn from(layer: FunctionNode) -> Layer {
        Layer::Function(layer)
    }
}

impl NodeType for FunctionNode {
    fn kind(&self) -> &'static str {
        "function"
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        match inputs {
            [input] => Ok(input.to_vec()),
            _ => Err(format!("it reads one node, not {}", inputs.len())),
        }
    }

    /// The slope is written on the way, where a product follows.
    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let (x, y) = (record.output(node.inputs[0]), record.allocate(id));
        let (slope, intercept) = match record.mode() {
            Mode::Evaluate => (None, None),
            Mode::Train => (Some(record.batched(id, "slope", y.cols)), None),
            Mode::Explain => (Some(record.batched(id, "slope", y.cols)), Some(record.batched(id, "intercept", y.cols))),
        };
        let FunctionNode { function, a, b } = *self;
        record.op(Apply { function, a, b, x, y, slope, intercept });
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(dy) = record.gradient(id) else { return };
        let saved = record.batched(id, "slope", dy.cols);
        let slope = Slope { rule: SlopeRule::Given, saved, seeds: 1 };
        record.deliver(id, node.inputs[0], |dx, _| ActivateBackward { dy, dx, slope }.into());
    }

    fn linearise(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>, _: SlopeForm) -> Affine {
        let width = node.width();
        Affine {
            slope: Some(record.batched(id, "slope", width)),
            intercept: Some(record.batched(id, "intercept", width)),
            ..Affine::default()
        }
    }

    fn vjp(&self, id: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        sweep.diagonal_vjp(id, node.inputs[0], cotangent);
    }

    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View {
        sweep.diagonal_jvp(id, tangents[0])
    }
}
