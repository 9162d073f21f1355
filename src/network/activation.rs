//! Activation nodes.

use serde::{Deserialize, Serialize};

use super::local::{Affine, Cotangent, SlopeForm, Sweep};
use super::record::Recorder;
use super::{Layer, Node, NodeId, NodeType};
use crate::kernels::{Activate, ActivateBackward, Activation, Linearise};
use crate::program::View;

/// `y = σ(x)`, elementwise. Behind a dense layer that nothing else reads, it runs inside that layer's product.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ActivationNode {
    pub activation: Activation,
}

impl From<ActivationNode> for Layer {
    fn from(layer: ActivationNode) -> Layer {
        Layer::Activation(layer)
    }
}

impl NodeType for ActivationNode {
    fn kind(&self) -> &'static str {
        "activation"
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        match inputs {
            [input] => Ok(input.to_vec()),
            _ => Err(format!("it reads one node, not {}", inputs.len())),
        }
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        if record.has_output(id) {
            return; // fused into the product before it
        }
        let (x, y) = (record.output(node.inputs[0]), record.allocate(id));
        record.op(Activate { x, y, activation: self.activation });
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(dy) = record.gradient(id) else { return };
        let slope = record.slope(id, self.activation);
        record.deliver(id, node.inputs[0], |dx, _| ActivateBackward { dy, dx, slope }.into());
    }

    fn linearise(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>, form: SlopeForm) -> Affine {
        let (z, y) = (record.output(node.inputs[0]), record.output(id));
        let (slope, intercept) = (record.batched(id, "slope", y.cols), record.batched(id, "intercept", y.cols));
        let secant = form == SlopeForm::Secant;
        record.op(Linearise { activation: self.activation, secant, z, y, slope, intercept });
        Affine { slope: Some(slope), intercept: Some(intercept), ..Affine::default() }
    }

    fn vjp(&self, id: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        sweep.diagonal_vjp(id, node.inputs[0], cotangent);
    }

    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View {
        sweep.diagonal_jvp(id, tangents[0])
    }
}
