//! Scale and shift: batch norm of a network that is trained already, and whatever else multiplies and adds constants.

use serde::{Deserialize, Serialize};

use super::layout::{Role, Start, TensorSpec};
use super::local::{Affine, Cotangent, SlopeForm, Sweep};
use super::record::Recorder;
use super::{Layer, Node, NodeId, NodeType};
use crate::kernels::{ActivateBackward, Add, Slope, SlopeRule};
use crate::program::View;

/// `y[c, …] = scale[c]·x[c, …] + shift[c]`: by channel (a sample's first axis), or by element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    pub by: By,
}

/// What has a scale and a shift of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    Channel,
    Element,
}

impl From<Scale> for Layer {
    fn from(layer: Scale) -> Layer {
        Layer::Scale(layer)
    }
}

pub(crate) const SCALE: &str = "scale";
pub(crate) const SHIFT: &str = "shift";

impl Scale {
    fn count(&self, input: &[usize]) -> usize {
        match self.by {
            By::Channel => input[0],
            By::Element => input.iter().product(),
        }
    }

    /// The slopes and the intercepts, `[batch, width]`.
    fn spread(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) -> (View, View) {
        let (scale, shift) = (record.parameter(id, SCALE), record.parameter(id, SHIFT));
        let times = node.width() / scale.cols;
        (record.spread(id, "slope", scale, times), record.spread(id, "intercept", shift, times))
    }
}

impl NodeType for Scale {
    fn kind(&self) -> &'static str {
        "scale"
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        match inputs {
            [input] if !input.is_empty() && input.iter().all(|&size| size > 0) => Ok(input.to_vec()),
            [input] => Err(format!("its input has the shape {input:?}; it needs at least one element")),
            _ => Err(format!("it reads one node, not {}", inputs.len())),
        }
    }

    /// Frozen: what trains is batch norm.
    fn tensors(&self, inputs: &[&[usize]]) -> Vec<TensorSpec> {
        let count = self.count(inputs[0]);
        vec![
            TensorSpec::new(SCALE, 1, count, Role::Plain, false, Start::Ones),
            TensorSpec::new(SHIFT, 1, count, Role::Plain, false, Start::Zeros),
        ]
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let (x, out) = (record.output(node.inputs[0]), record.allocate(id));
        let (saved, shift) = self.spread(id, node, record);
        let scaled = record.batched(id, "scaled", out.cols);
        let slope = Slope { rule: SlopeRule::Given, saved, seeds: 1 };
        record.op(ActivateBackward { dy: x, dx: scaled, slope });
        record.op(Add { a: scaled, b: shift, out, seeds: 1 });
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(dy) = record.gradient(id) else { return };
        let saved = record.batched(id, "slope", dy.cols);
        let slope = Slope { rule: SlopeRule::Given, saved, seeds: 1 };
        record.deliver(id, node.inputs[0], |dx, _| ActivateBackward { dy, dx, slope }.into());
    }

    fn linearise(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>, _: SlopeForm) -> Affine {
        let (slope, intercept) =
            (record.batched(id, "slope", node.width()), record.batched(id, "intercept", node.width()));
        Affine { slope: Some(slope), intercept: Some(intercept) }
    }

    fn vjp(&self, id: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        sweep.diagonal_vjp(id, node.inputs[0], cotangent);
    }

    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View {
        sweep.diagonal_jvp(id, tangents[0])
    }
}
