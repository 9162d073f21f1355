//! Dense layers, with a direct or a spectral weight.

use serde::{Deserialize, Serialize};

use super::layout::TensorSpec;
use super::local::{Affine, Cotangent, SlopeForm, Sweep};
use super::record::Recorder;
use super::weight::{BIAS, LAMBDA_IN, LAMBDA_OUT, PSI, WEIGHT, Weight};
use super::{Layer, Node, NodeId, NodeType};
use crate::kernels::{Form, Gemm, Pullback};
use crate::program::View;

/// `y = x·Wᵀ + b`; the input is flattened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dense {
    /// M.
    pub units: usize,
    pub weight: Weight,
    pub train_bias: bool,
}

impl From<Dense> for Layer {
    fn from(layer: Dense) -> Layer {
        Layer::Dense(layer)
    }
}

/// More units than any layer needs; keeps sizes from a hostile model file from overflowing.
pub(crate) const MOST_UNITS: usize = 1 << 24;

impl Dense {
    /// The name of the matrix that the products read.
    pub(crate) fn matrix(&self) -> &'static str {
        self.weight.matrix()
    }
}

impl NodeType for Dense {
    fn kind(&self) -> &'static str {
        "dense"
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        match inputs {
            [input] if input.iter().product::<usize>() == 0 => Err("its input is empty; give at least one".into()),
            [_] if self.units == 0 => Err("it has 0 units; every layer needs at least 1".into()),
            [_] if self.units > MOST_UNITS => {
                Err(format!("it has {} units; the most that is supported is {MOST_UNITS}", self.units))
            }
            [_] => Ok(vec![self.units]),
            _ => Err(format!("it reads one node, not {}", inputs.len())),
        }
    }

    fn tensors(&self, inputs: &[&[usize]]) -> Vec<TensorSpec> {
        let (m, n) = (self.units, inputs[0].iter().product());
        self.weight.tensors((m, n), (n, 1), self.train_bias)
    }

    fn multiply_adds(&self, inputs: &[&[usize]], _output: &[usize]) -> usize {
        self.units * inputs[0].iter().product::<usize>()
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let x = record.output(node.inputs[0]);
        let weight = record.parameter(id, self.matrix());
        let (out, pre, activation) = record.fused_output(id);
        record.op(Gemm {
            eigenvalues: self.weight.eigenvalues(|name| record.parameter(id, name)),
            bias: Some(record.parameter(id, BIAS)),
            pre,
            activation,
            ..Gemm::plain(Form::Nt, x, weight, out)
        });
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(dy) = record.gradient(id) else { return };
        let input = node.inputs[0];
        let x = record.output(input);
        let bias_gradient = record.parameter_gradient(id, BIAS);
        let product = |out| Gemm { bias_gradient, ..Gemm::plain(Form::Tn, dy, x, out) };
        match self.weight {
            Weight::Direct => {
                let out = record.parameter_gradient(id, WEIGHT).expect("a direct weight is trained");
                record.op(product(out));
            }
            Weight::Spectral(_) => {
                let g = record.scratch(id, "weight gradient", self.units, x.cols);
                record.op(product(g));
                record.op(Pullback {
                    g,
                    psi: record.parameter(id, PSI),
                    lambda_in: record.parameter(id, LAMBDA_IN),
                    lambda_out: record.parameter(id, LAMBDA_OUT),
                    d_psi: record.parameter_gradient(id, PSI),
                    d_lambda_in: record.parameter_gradient(id, LAMBDA_IN),
                    d_lambda_out: record.parameter_gradient(id, LAMBDA_OUT),
                    taps: 1,
                });
            }
        }
        let weight = record.parameter(id, self.matrix());
        let eigenvalues = self.weight.eigenvalues(|name| record.parameter(id, name));
        record.deliver(id, input, |out, slope| {
            Gemm { eigenvalues, slope, ..Gemm::plain(Form::Nn, dy, weight, out) }.into()
        });
    }

    fn linearise(&self, id: NodeId, _: &Node, record: &mut Recorder<'_>, _: SlopeForm) -> Affine {
        Affine { intercept: Some(record.parameter(id, BIAS)), ..Affine::default() }
    }

    fn vjp(&self, id: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        let eigenvalues = self.weight.eigenvalues(|name| sweep.parameter(id, name));
        sweep.product_vjp(id, node.inputs[0], cotangent, sweep.parameter(id, self.matrix()), eigenvalues);
    }

    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View {
        let eigenvalues = self.weight.eigenvalues(|name| sweep.parameter(id, name));
        sweep.product_jvp(id, tangents[0], sweep.parameter(id, self.matrix()), eigenvalues)
    }

    fn fuses_slope(&self) -> bool {
        true
    }
}
