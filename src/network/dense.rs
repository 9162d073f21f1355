//! Dense layers, with a direct or a spectral weight.

use serde::{Deserialize, Serialize};

use super::layout::{Role, Start, TensorSpec};
use super::local::{Affine, Cotangent, SlopeForm, Sweep};
use super::record::Recorder;
use super::{Layer, Node, NodeId, NodeType};
use crate::kernels::{Eigenvalues, Form, Gemm, Pullback};
use crate::program::View;

/// How a weight `W: [M, N]` is parametrised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// W itself is trained.
    Direct,
    /// `W[j,i] = (λ_in[i] − λ_out[j])·ψ[j,i]` (Chicchi et al., eq. 1 with both eigenvalues).
    Spectral(Spectral),
}

/// Which parts of a spectral weight are trained; the others keep their start (λ_in = 1, λ_out = 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spectral {
    pub psi: bool,
    pub lambda_in: bool,
    pub lambda_out: bool,
}

impl Default for Spectral {
    /// The papers' experiments: ψ and λ_in trained, λ_out = 0 frozen.
    fn default() -> Self {
        Spectral { psi: true, lambda_in: true, lambda_out: false }
    }
}

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

/// Names of a dense layer's tensors.
pub(crate) const WEIGHT: &str = "weight";
pub(crate) const PSI: &str = "psi";
pub(crate) const LAMBDA_IN: &str = "lambda_in";
pub(crate) const LAMBDA_OUT: &str = "lambda_out";
pub(crate) const BIAS: &str = "bias";

impl Dense {
    /// The name of the matrix that the products read.
    pub(crate) fn matrix(&self) -> &'static str {
        if matches!(self.weight, Weight::Spectral(_)) { PSI } else { WEIGHT }
    }

    fn eigenvalues(&self, parameter: impl Fn(&str) -> View) -> Option<Eigenvalues> {
        matches!(self.weight, Weight::Spectral(_))
            .then(|| Eigenvalues { lambda_in: parameter(LAMBDA_IN), lambda_out: parameter(LAMBDA_OUT) })
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
        let mut tensors = match self.weight {
            Weight::Direct => vec![TensorSpec::new(WEIGHT, m, n, Role::Plain, true, Start::Random)],
            Weight::Spectral(train) => vec![
                TensorSpec::new(PSI, m, n, Role::Psi, train.psi, Start::Random),
                TensorSpec::new(LAMBDA_IN, 1, n, Role::Lambda, train.lambda_in, Start::Ones),
                TensorSpec::new(LAMBDA_OUT, 1, m, Role::Lambda, train.lambda_out, Start::Zeros),
            ],
        };
        tensors.push(TensorSpec::new(BIAS, 1, m, Role::Plain, self.train_bias, Start::Zeros));
        tensors
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let x = record.output(node.inputs[0]);
        let weight = record.parameter(id, self.matrix());
        let (out, pre, activation) = record.fused_output(id);
        record.op(Gemm {
            eigenvalues: self.eigenvalues(|name| record.parameter(id, name)),
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
        let eigenvalues = self.eigenvalues(|name| record.parameter(id, name));
        record.deliver(id, input, |out, slope| {
            Gemm { eigenvalues, slope, ..Gemm::plain(Form::Nn, dy, weight, out) }.into()
        });
    }

    fn linearise(&self, id: NodeId, _: &Node, record: &mut Recorder<'_>, _: SlopeForm) -> Affine {
        Affine { slope: None, intercept: Some(record.parameter(id, BIAS)) }
    }

    fn vjp(&self, id: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        let eigenvalues = self.eigenvalues(|name| sweep.parameter(id, name));
        sweep.product_vjp(id, node.inputs[0], cotangent, sweep.parameter(id, self.matrix()), eigenvalues);
    }

    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View {
        let eigenvalues = self.eigenvalues(|name| sweep.parameter(id, name));
        sweep.product_jvp(id, tangents[0], sweep.parameter(id, self.matrix()), eigenvalues)
    }

    fn fuses_slope(&self) -> bool {
        true
    }
}
