//! Batch normalisation nodes.

use serde::{Deserialize, Serialize};

use super::layout::{Role, Start, TensorSpec};
use super::local::{Affine, Cotangent, SlopeForm, Sweep};
use super::record::{Mode, Recorder};
use super::{Layer, Node, NodeId, NodeType};
use crate::kernels::{BatchNormBackward, BatchNormForward, BatchNormInference, BatchNormLinearise};
use crate::program::View;

/// `y = (x − mean)/√(var + ε)·γ + β` over the batch in training, over the running statistics in evaluation: for each element, or
/// for each channel (a sample's first axis) over its places too.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchNorm {
    pub epsilon: f32,
    pub momentum: f32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_channel: bool,
}

impl Default for BatchNorm {
    /// Keras's defaults.
    fn default() -> Self {
        BatchNorm { epsilon: 1e-3, momentum: 0.99, by_channel: false }
    }
}

impl From<BatchNorm> for Layer {
    fn from(layer: BatchNorm) -> Layer {
        Layer::BatchNorm(layer)
    }
}

const GAMMA: &str = "gamma";
const BETA: &str = "beta";
pub(crate) const RUNNING: &str = "running";

impl NodeType for BatchNorm {
    fn kind(&self) -> &'static str {
        "batch_norm"
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        match inputs {
            [input] if self.by_channel && input.first().is_none_or(|&channels| channels == 0) => {
                Err(format!("its input has the shape {input:?}; it needs channels"))
            }
            [input] => Ok(input.to_vec()),
            _ => Err(format!("it reads one node, not {}", inputs.len())),
        }
    }

    fn tensors(&self, inputs: &[&[usize]]) -> Vec<TensorSpec> {
        let width = if self.by_channel { inputs[0][0] } else { inputs[0].iter().product() };
        vec![
            TensorSpec::new(GAMMA, 1, width, Role::Plain, true, Start::Ones),
            TensorSpec::new(BETA, 1, width, Role::Plain, true, Start::Zeros),
            // Row 0 the mean, row 1 the variance.
            TensorSpec::new(RUNNING, 2, width, Role::Statistic, false, Start::ZerosThenOnes),
        ]
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let (x, y) = (record.output(node.inputs[0]), record.allocate(id));
        let (gamma, beta) = (record.parameter(id, GAMMA), record.parameter(id, BETA));
        let running = record.parameter(id, RUNNING);
        match record.mode() {
            Mode::Train => {
                let saved = record.scratch(id, "batch statistics", 2, gamma.cols);
                let (momentum, epsilon) = (self.momentum, self.epsilon);
                record.op(BatchNormForward { x, y, gamma, beta, saved, running, momentum, epsilon });
            }
            Mode::Evaluate | Mode::Explain => {
                record.op(BatchNormInference { x, y, gamma, beta, running, epsilon: self.epsilon });
            }
        }
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(dy) = record.gradient(id) else { return };
        let x = record.output(node.inputs[0]);
        let gamma = record.parameter(id, GAMMA);
        let saved = record.scratch(id, "batch statistics", 2, gamma.cols);
        let d_gamma = record.parameter_gradient(id, GAMMA).expect("γ is trained");
        let d_beta = record.parameter_gradient(id, BETA).expect("β is trained");
        record.deliver(id, node.inputs[0], |dx, slope| {
            BatchNormBackward { dy, x, saved, gamma, dx, d_gamma, d_beta, slope }.into()
        });
    }

    fn fuses_slope(&self) -> bool {
        true
    }

    fn linearise(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>, _: SlopeForm) -> Affine {
        let (gamma, beta) = (record.parameter(id, GAMMA), record.parameter(id, BETA));
        let running = record.parameter(id, RUNNING);
        let width = node.width();
        let (slope, intercept) = (record.batched(id, "slope", width), record.batched(id, "intercept", width));
        record.op(BatchNormLinearise { gamma, beta, running, epsilon: self.epsilon, slope, intercept });
        Affine { slope: Some(slope), intercept: Some(intercept), ..Affine::default() }
    }

    fn vjp(&self, id: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        sweep.diagonal_vjp(id, node.inputs[0], cotangent);
    }

    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View {
        sweep.diagonal_jvp(id, tangents[0])
    }
}
