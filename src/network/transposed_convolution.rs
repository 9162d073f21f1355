//! Transposed convolutions: a convolution's product with its transpose, as a layer.

use serde::{Deserialize, Serialize};

use super::dense::MOST_UNITS;
use super::layout::{Role, Start, TensorSpec};
use super::local::{Affine, Cotangent, SlopeForm, Sweep};
use super::record::Recorder;
use super::sliding::{Sliding, channels_and_space};
use super::weight::{BIAS, WEIGHT};
use super::{Layer, Node, NodeId, NodeType};
use crate::kernels::window::AXES;
use crate::kernels::{Add, Convolve, Form, Gemm, Window};
use crate::program::View;

/// `y[c, i] = Σ_{o, κ} W[o, c, κ]·x[o, p] + b[c]` over the p that see i at κ, on samples `[O, spatial…]`.
///
/// The window slides over the *output*, and its places are the input's elements: the layer does forward what a convolution that makes
/// x of y does backward. W is `[O, C/groups, kernel…]`, as in ONNX.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransposedConvolution {
    /// C, of all groups.
    pub channels: usize,
    /// The output's size along every spatial axis.
    pub output: Vec<usize>,
    /// Over the output.
    pub sliding: Sliding,
    /// Input and output channels are cut into so many groups, which don't see each other.
    pub groups: usize,
    pub train_bias: bool,
}

impl From<TransposedConvolution> for Layer {
    fn from(layer: TransposedConvolution) -> Layer {
        Layer::TransposedConvolution(layer)
    }
}

impl TransposedConvolution {
    /// The window on the output; its places are the input's elements alone, so that nothing falls on what is left of a larger output.
    fn window(&self, spatial: &[usize]) -> Result<Window, String> {
        if spatial.len() != self.output.len() {
            return Err(format!("its output has {} spatial axes and its input {}", self.output.len(), spatial.len()));
        }
        let mut window = self.sliding.window(&self.output)?;
        let first = AXES - spatial.len();
        if spatial.iter().zip(&window.output[first..]).any(|(&own, &places)| own == 0 || own > places) {
            return Err(format!("an output of {:?} has no room for an input of {spatial:?}", self.output));
        }
        window.output[first..].copy_from_slice(spatial);
        Ok(window)
    }

    fn convolve(&self, input: &[usize], product: Gemm) -> Convolve {
        let window = self.window(&input[1..]).expect("invariant: shapes were checked when the node was added");
        Convolve { product, window, groups: self.groups }
    }

    /// The bias at every output element.
    fn spread(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) -> View {
        let bias = record.parameter(id, BIAS);
        record.spread(id, "intercept", bias, node.width() / self.channels)
    }
}

impl NodeType for TransposedConvolution {
    fn kind(&self) -> &'static str {
        "transposed_convolution"
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        let (from, spatial) = channels_and_space(inputs)?;
        let (channels, groups) = (self.channels, self.groups);
        if channels == 0 || channels > MOST_UNITS {
            return Err(format!("it makes {channels} channels; it needs 1 at least, and {MOST_UNITS} at most"));
        }
        if groups == 0 || from % groups != 0 || channels % groups != 0 {
            return Err(format!("{from} channels read and {channels} made don't come in {groups} groups"));
        }
        self.window(spatial)?;
        Ok([&[channels], &self.output[..]].concat())
    }

    fn tensors(&self, inputs: &[&[usize]]) -> Vec<TensorSpec> {
        let taps: usize = self.sliding.kernel.iter().product();
        let (m, n) = (inputs[0][0], self.channels / self.groups * taps);
        vec![
            TensorSpec::new(WEIGHT, m, n, Role::Plain, true, Start::Random),
            TensorSpec::new(BIAS, 1, self.channels, Role::Plain, self.train_bias, Start::Zeros),
        ]
    }

    fn multiply_adds(&self, inputs: &[&[usize]], _output: &[usize]) -> usize {
        let taps: usize = self.sliding.kernel.iter().product();
        inputs[0].iter().product::<usize>() * (self.channels / self.groups * taps)
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let (x, out) = (record.output(node.inputs[0]), record.allocate(id));
        let weight = record.parameter(id, WEIGHT);
        let bias = self.spread(id, node, record);
        let unbiased = record.batched(id, "without bias", out.cols);
        record.op(self.convolve(record.shape(node.inputs[0]), Gemm::plain(Form::Nn, x, weight, unbiased)));
        record.op(Add { a: unbiased, b: bias, out, seeds: 1 });
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(dy) = record.gradient(id) else { return };
        let input = node.inputs[0];
        let (x, shape) = (record.output(input), record.shape(input));
        let weight_gradient = record.parameter_gradient(id, WEIGHT).expect("the weight is trained");
        record.op(self.convolve(shape, Gemm::plain(Form::Tn, x, dy, weight_gradient)));
        if let Some(bias_gradient) = record.parameter_gradient(id, BIAS) {
            // Its sums over places are those that the gradient of a pointwise weight, which isn't used, makes on the way.
            let (y, unused) = (record.output(id), record.scratch(id, "not used", self.channels, 1));
            let product = Gemm { bias_gradient: Some(bias_gradient), ..Gemm::plain(Form::Tn, dy, y, unused) };
            let window = Sliding::new(&vec![1; self.output.len()])
                .window(&self.output)
                .expect("invariant: shapes were checked when the node was added");
            record.op(Convolve { product, window, groups: self.channels });
        }
        let weight = record.parameter(id, WEIGHT);
        record.deliver(id, input, |out, _| self.convolve(shape, Gemm::plain(Form::Nt, dy, weight, out)).into());
    }

    fn linearise(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>, _: SlopeForm) -> Affine {
        Affine { intercept: Some(record.batched(id, "intercept", node.width())), ..Affine::default() }
    }

    fn vjp(&self, id: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        let (input, seeds, dy) = (node.inputs[0], sweep.seeds, sweep.matrix(id, cotangent));
        let weight = sweep.parameter(id, WEIGHT);
        let out = sweep.seeded(input, &format!("cotangent from {}", node.name));
        let product = Gemm { seeds, ..Gemm::plain(Form::Nt, dy, weight, out) };
        sweep.op(self.convolve(sweep.shape(input), product));
        sweep.deliver(input, Cotangent::Matrix(out));
    }

    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View {
        let (out, seeds) = (sweep.seeded(id, "tangent"), sweep.seeds);
        let weight = sweep.parameter(id, WEIGHT);
        let product = Gemm { seeds, ..Gemm::plain(Form::Nn, tangents[0], weight, out) };
        sweep.op(self.convolve(sweep.shape(sweep.input(id)), product));
        out
    }
}
