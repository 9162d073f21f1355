//! What every node type defines.

use super::layout::TensorSpec;
use super::local::{Affine, Cotangent, SlopeForm, Sweep};
use super::record::Recorder;
use super::{Node, NodeId};
use crate::program::View;

/// The one definition of a node type, from which training, evaluation and explanation are recorded.
pub(crate) trait NodeType {
    /// The stem of the names of such nodes, and of their parameters.
    fn kind(&self) -> &'static str;

    /// Shape of one output sample; the error says what doesn't fit, without the node's name.
    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String>;

    /// Parameters (and running statistics) of a node with these inputs and this output.
    fn tensors(&self, inputs: &[&[usize]]) -> Vec<TensorSpec> {
        let _ = inputs;
        Vec::new()
    }

    /// Multiply-adds of the products with weights, for one sample.
    fn multiply_adds(&self, inputs: &[&[usize]], output: &[usize]) -> usize {
        let _ = (inputs, output);
        0
    }

    /// Records `out = f(inputs)` and sets the node's output.
    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>);

    /// Records the gradients of the node's parameters and delivers those of its inputs, given that of its output.
    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>);

    /// Records the slopes and intercepts of the node's affine form at the inputs of a forward pass in `Mode::Explain`.
    fn linearise(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>, form: SlopeForm) -> Affine {
        let _ = (id, node, record, form);
        Affine::default()
    }

    /// Records the products of cotangents of the output with the slopes, and delivers them to the inputs.
    fn vjp(&self, id: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>);

    /// Records the products of the slopes with the inputs' tangents.
    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View;

    /// Whether the gradient that this node delivers can be multiplied by an activation's slope on the way.
    fn fuses_slope(&self) -> bool {
        false
    }
}
