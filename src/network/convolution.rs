//! Convolutions, with a direct or a spectral weight.

use serde::{Deserialize, Serialize};

use super::dense::MOST_UNITS;
use super::layout::TensorSpec;
use super::local::{Affine, Cotangent, SlopeForm, Sweep};
use super::record::Recorder;
use super::sliding::{Sliding, channels_and_space, shape_behind};
use super::weight::{BIAS, LAMBDA_IN, LAMBDA_OUT, PSI, WEIGHT, Weight};
use super::{Layer, Node, NodeId, NodeType};
use crate::kernels::{Convolve, Form, Gemm, Pullback, Window};
use crate::program::View;

/// `y[o, p] = Σ_{c, κ} W[o, c, κ]·x[c, seen(p, κ)] + b[o]` on samples `[C, spatial…]`.
///
/// A spectral weight is `W[o, c, κ] = (λ_in[c] − λ_out[o])·ψ[o, c, κ]` (Chicchi et al., eq. 1, for channels): the eigenvalues rank
/// input channels. It has one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Convolution {
    /// M.
    pub filters: usize,
    pub sliding: Sliding,
    /// Channels and filters are cut into so many groups, which don't see each other; as many as channels: depthwise.
    pub groups: usize,
    pub weight: Weight,
    pub train_bias: bool,
}

impl From<Convolution> for Layer {
    fn from(layer: Convolution) -> Layer {
        Layer::Convolution(layer)
    }
}

impl Convolution {
    fn window(&self, input: &[usize]) -> Window {
        self.sliding.window(&input[1..]).expect("invariant: shapes were checked when the node was added")
    }

    fn convolve(&self, input: &[usize], product: Gemm) -> Convolve {
        Convolve { product, window: self.window(input), groups: self.groups }
    }
}

impl NodeType for Convolution {
    fn kind(&self) -> &'static str {
        "convolution"
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        let (channels, spatial) = channels_and_space(inputs)?;
        let (filters, groups) = (self.filters, self.groups);
        if filters == 0 || filters > MOST_UNITS {
            return Err(format!("it has {filters} filters; it needs 1 at least, and {MOST_UNITS} at most"));
        }
        if groups == 0 || channels % groups != 0 || filters % groups != 0 {
            return Err(format!("{channels} channels and {filters} filters don't come in {groups} groups"));
        }
        if groups > 1 && matches!(self.weight, Weight::Spectral(_)) {
            return Err("its weight is spectral and it has groups; one of both is supported".into());
        }
        let window = self.sliding.window(spatial)?;
        Ok(shape_behind(filters, &window, spatial.len()))
    }

    fn tensors(&self, inputs: &[&[usize]]) -> Vec<TensorSpec> {
        let channels = inputs[0][0];
        let taps = self.window(inputs[0]).taps();
        let shape = (self.filters, channels / self.groups * taps);
        self.weight.tensors(shape, (channels, taps), self.train_bias)
    }

    fn multiply_adds(&self, inputs: &[&[usize]], output: &[usize]) -> usize {
        output.iter().product::<usize>() * (inputs[0][0] / self.groups * self.window(inputs[0]).taps())
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let x = record.output(node.inputs[0]);
        let weight = record.parameter(id, self.weight.matrix());
        let (out, pre, activation) = record.fused_output(id);
        let product = Gemm {
            eigenvalues: self.weight.eigenvalues(|name| record.parameter(id, name)),
            bias: Some(record.parameter(id, BIAS)),
            pre,
            activation,
            ..Gemm::plain(Form::Nt, x, weight, out)
        };
        record.op(self.convolve(record.shape(node.inputs[0]), product));
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(dy) = record.gradient(id) else { return };
        let input = node.inputs[0];
        let shape = record.shape(input);
        let x = record.output(input);
        let bias_gradient = record.parameter_gradient(id, BIAS);
        let product = |out| self.convolve(shape, Gemm { bias_gradient, ..Gemm::plain(Form::Tn, dy, x, out) });
        let weight = record.parameter(id, self.weight.matrix());
        match self.weight {
            Weight::Direct => {
                let out = record.parameter_gradient(id, WEIGHT).expect("a direct weight is trained");
                record.op(product(out));
            }
            Weight::Spectral(_) => {
                let g = record.scratch(id, "weight gradient", weight.rows, weight.cols);
                record.op(product(g));
                record.op(Pullback {
                    g,
                    psi: weight,
                    lambda_in: record.parameter(id, LAMBDA_IN),
                    lambda_out: record.parameter(id, LAMBDA_OUT),
                    d_psi: record.parameter_gradient(id, PSI),
                    d_lambda_in: record.parameter_gradient(id, LAMBDA_IN),
                    d_lambda_out: record.parameter_gradient(id, LAMBDA_OUT),
                    taps: self.window(shape).taps(),
                });
            }
        }
        let eigenvalues = self.weight.eigenvalues(|name| record.parameter(id, name));
        record.deliver(id, input, |out, slope| {
            self.convolve(shape, Gemm { eigenvalues, slope, ..Gemm::plain(Form::Nn, dy, weight, out) }).into()
        });
    }

    /// The bias, at every output element.
    fn linearise(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>, _: SlopeForm) -> Affine {
        let bias = record.parameter(id, BIAS);
        let spread = record.spread(id, "intercept", bias, node.width() / self.filters);
        Affine { intercept: Some(spread), ..Affine::default() }
    }

    fn vjp(&self, id: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        let (input, seeds) = (node.inputs[0], sweep.seeds);
        let dy = sweep.matrix(id, cotangent);
        let weight = sweep.parameter(id, self.weight.matrix());
        let eigenvalues = self.weight.eigenvalues(|name| sweep.parameter(id, name));
        let (target, slope, out) = sweep.below(id, input);
        let product = Gemm { eigenvalues, slope, seeds, ..Gemm::plain(Form::Nn, dy, weight, out) };
        sweep.op(self.convolve(sweep.shape(input), product));
        sweep.deliver(target, Cotangent::Matrix(out));
    }

    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View {
        let (out, seeds) = (sweep.seeded(id, "tangent"), sweep.seeds);
        let weight = sweep.parameter(id, self.weight.matrix());
        let eigenvalues = self.weight.eigenvalues(|name| sweep.parameter(id, name));
        let product = Gemm { eigenvalues, seeds, ..Gemm::plain(Form::Nt, tangents[0], weight, out) };
        sweep.op(self.convolve(sweep.shape(sweep.input(id)), product));
        out
    }

    fn fuses_slope(&self) -> bool {
        true
    }
}
