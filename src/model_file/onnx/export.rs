//! A trained model as an ONNX file: the scaling in front, its replicas side by side with their mean behind, and the targets' units.

use super::encode::{
    Bytes, DOUBLE, FLOAT, INT64, attribute_float, attribute_int, attribute_ints, floats, node, tensor, value, whole,
};
use crate::data::{Scaling, TargetScaling, Task, is_far};
use crate::kernels::Activation;
use crate::kernels::Window;
use crate::model::Model;
use crate::network::{Convolution, Layer, Layout, Parameters, Sliding, Weight};
use crate::{Error, Result};

/// The version of the operator set that the file is written in: the first with GELU.
const OPSET: i64 = 20;

/// The parts of a graph as they come.
#[derive(Default)]
struct Graph {
    nodes: Vec<Bytes>,
    constants: Vec<Bytes>,
}

impl Graph {
    /// A constant, and its name.
    fn constant(&mut self, name: String, dims: &[i64], values: impl IntoIterator<Item = f64>) -> String {
        let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
        self.constants.push(floats(&name, dims, &values));
        name
    }

    /// The same in double precision.
    fn double(&mut self, name: &str, dims: &[i64], values: &[f64]) -> String {
        let raw: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.constants.push(tensor(name, DOUBLE, dims, &raw));
        name.to_owned()
    }

    fn cast(&mut self, name: &str, input: &str, to: i64) -> String {
        self.node("Cast", name.into(), &[input], &[attribute_int("to", to)])
    }

    /// The inputs as they enter the network, and what elements the file's own are. Columns that are counted from an origin need double
    /// precision for their digits; others that lie far from zero are given in single precision, and so is the shift in two parts.
    fn scaled(&mut self, scaling: &Scaling, shape: &[i64]) -> (String, i64) {
        let Scaling { shift, scale, .. } = scaling;
        if !scaling.origins.is_empty() {
            let shift = self.double("scaling.shift", shape, shift);
            let scale = self.double("scaling.scale", shape, scale);
            let centred = self.node("Sub", "centred".into(), &["x", &shift], &[]);
            let scaled = self.node("Mul", "scaled in double precision".into(), &[&centred, &scale], &[]);
            return (self.cast("scaled", &scaled, FLOAT), DOUBLE);
        }
        let first = self.constant("scaling.shift".into(), shape, shift.iter().copied());
        let mut centred = self.node("Sub", "centred".into(), &["x", &first], &[]);
        if shift.iter().zip(scale).any(|(&shift, &scale)| is_far(shift, scale)) {
            let rest = shift.iter().map(|&shift| shift - f64::from(shift as f32));
            let rest = self.constant("scaling.shift.rest".into(), shape, rest);
            centred = self.node("Sub", "centred further".into(), &[&centred, &rest], &[]);
        }
        let scale = self.constant("scaling.scale".into(), shape, scale.iter().copied());
        (self.node("Mul", "scaled".into(), &[&centred, &scale], &[]), FLOAT)
    }

    /// Numbers in the targets' units, and their elements: double precision where one of them lies far from zero.
    fn original(&mut self, scaling: &TargetScaling, input: &str) -> (String, i64) {
        let TargetScaling { shift, scale } = scaling;
        let dims = [shift.len() as i64];
        let factors: Vec<f64> = scale.iter().map(|scale| scale.recip()).collect();
        let far = shift.iter().zip(scale).any(|(&shift, &scale)| is_far(shift, scale));
        let (input, factor, offset) = if far {
            let input = self.cast("in double precision", input, DOUBLE);
            (input, self.double("targets.factor", &dims, &factors), self.double("targets.offset", &dims, shift))
        } else {
            let factor = self.constant("targets.factor".into(), &dims, factors);
            (input.to_owned(), factor, self.constant("targets.offset".into(), &dims, shift.iter().copied()))
        };
        let wide = self.node("Mul", "in the targets' units".into(), &[&input, &factor], &[]);
        (self.node("Add", "shifted".into(), &[&wide, &offset], &[]), if far { DOUBLE } else { FLOAT })
    }

    /// The same numbers of each sample in another shape.
    fn reshape(&mut self, name: String, input: &str, shape: &[usize]) -> String {
        let sizes: Vec<u8> =
            [-1].into_iter().chain(shape.iter().map(|&n| n as i64)).flat_map(i64::to_le_bytes).collect();
        let constant = format!("{name}.shape");
        self.constants.push(tensor(&constant, INT64, &[shape.len() as i64 + 1], &sizes));
        self.node("Reshape", name, &[input, &constant], &[])
    }

    /// A node of one output, called as the node.
    fn node(&mut self, op: &str, name: String, inputs: &[&str], attributes: &[Bytes]) -> String {
        self.nodes.push(node(op, &name, inputs, &[&name], attributes));
        name
    }
}

/// The bytes of an ONNX file (operator set 20) that takes `x: [batch, N]`, or with convolutions `[batch, …]` with the axes of the data,
/// inputs as they stand there, and gives `y: [batch, C]`: what
/// `predict` gives, the mean over the replicas, of numbers in the targets' units, of classes before the softmax. Both are 32-bit floats;
/// where a column lies so far from zero that `f32` would lose its digits, `x` is double, and so is `y` where a target does. Metadata: `features`,
/// `groups` (which of them are one category), `axes`, `targets` and `task` as JSON.
///
/// # Errors
/// [`Error::Usage`] for a model that came from ONNX itself.
pub fn export(model: &Model) -> Result<Vec<u8>> {
    let d = &model.description;
    if !d.origin.is_trained() {
        return Err(Error::Usage("the network came from an ONNX file; export writes what this program trained".into()));
    }
    let mut graph = Graph::default();
    let m = d.targets.len() as i64;
    let convolves = model.network.nodes.iter().any(|node| matches!(node.layer, Layer::Convolution(_)));
    let shape: Vec<i64> = match convolves {
        true => d.axes.iter().map(|axis| axis.len as i64).collect(),
        false => vec![d.features.len() as i64],
    };
    let (scaled, taken) = graph.scaled(&d.scaling, &shape);
    let input = &model.network.nodes[0].shape;
    // A picture without channels has one in the network.
    let scaled = if convolves && input.len() != shape.len() {
        graph.reshape("in channels".into(), &scaled, input)
    } else {
        scaled
    };
    let layout = Layout::new(&model.network);
    let outputs: Vec<String> = model
        .parameters
        .iter()
        .enumerate()
        .map(|(r, parameters)| replica(&mut graph, model, &layout, parameters, r, &scaled))
        .collect();
    let mut last = outputs[0].clone();
    if outputs.len() > 1 {
        let names: Vec<&str> = outputs.iter().map(String::as_str).collect();
        last = graph.node("Mean", "mean of the replicas".into(), &names, &[]);
    }
    let mut given = FLOAT;
    if d.task != Task::Classify {
        (last, given) = graph.original(&d.target_scaling, &last);
    }
    graph.nodes.push(node("Identity", "output", &[&last], &["y"], &[]));
    let bytes = graph.nodes.into_iter().fold(Bytes::default(), |all, node| all.message(1, node)).bytes(2, "eigenlens");
    let bytes = graph.constants.into_iter().fold(bytes, |all, constant| all.message(5, constant));
    let bytes = bytes.message(11, value("x", taken, &[&[-1], &shape[..]].concat()));
    let bytes = bytes.message(12, value("y", given, &[-1, m]));
    let json = |value: serde_json::Value| value.to_string();
    let features: Vec<&str> = d.features.iter().map(|feature| feature.name.as_str()).collect();
    let groups: Vec<Option<u32>> = d.features.iter().map(|feature| feature.group).collect();
    let metadata = [
        ("features", json(serde_json::json!(features))),
        ("groups", json(serde_json::json!(groups))),
        ("axes", json(serde_json::json!(d.axes))),
        ("targets", json(serde_json::json!(d.targets))),
        ("task", json(serde_json::json!(d.task))),
    ];
    let metadata: Vec<(&str, &str)> = metadata.iter().map(|(key, value)| (*key, value.as_str())).collect();
    Ok(whole(concat!("eigenlens ", env!("CARGO_PKG_VERSION")), OPSET, bytes, &metadata).0)
}

/// Writes one replica's nodes; the name of its output.
fn replica(
    graph: &mut Graph,
    model: &Model,
    layout: &Layout,
    parameters: &Parameters,
    r: usize,
    scaled: &str,
) -> String {
    let suffix = if model.parameters.len() > 1 { format!(" of replica {r}") } else { String::new() };
    let mut names = vec![scaled.to_owned()];
    for (id, node) in model.network.nodes.iter().enumerate().skip(1) {
        let inputs: Vec<&str> = node.inputs.iter().map(|&input| names[input].as_str()).collect();
        let name = format!("{}{suffix}", node.name);
        let get = |tensor: &str| layout.find(id, tensor).map(|tensor| parameters.get(tensor));
        let parameter = |tensor: &str| get(tensor).expect("invariant: a layer has its tensors");
        let shape_of = |id: usize| model.network.nodes[id].shape.as_slice();
        let made = match &node.layer {
            Layer::Dense(dense) => {
                let mut weight = parameter(dense.matrix());
                let (units, width) = (dense.units, weight.len() / dense.units);
                if let (Some(lambda_in), Some(lambda_out)) = (get("lambda_in"), get("lambda_out")) {
                    for (j, row) in weight.chunks_exact_mut(width).enumerate() {
                        row.iter_mut().zip(&lambda_in).for_each(|(w, lambda)| *w *= lambda - lambda_out[j]);
                    }
                }
                let dims = [units as i64, width as i64];
                let weight = graph.constant(format!("{name}.weight"), &dims, weight);
                let bias = graph.constant(format!("{name}.bias"), &dims[..1], parameter("bias"));
                graph.node("Gemm", name, &[inputs[0], &weight, &bias], &[attribute_int("transB", 1)])
            }
            Layer::Activation(layer) => activation(graph, layer.activation, name, inputs[0]),
            Layer::BatchNorm(layer) => {
                let (gamma, beta, running) = (parameter("gamma"), parameter("beta"), parameter("running"));
                let count = gamma.len();
                let parts = [gamma, beta, running[..count].to_vec(), running[count..].to_vec()];
                let parts = ["scale", "shift", "mean", "variance"].iter().zip(parts);
                let parts: Vec<String> =
                    parts.map(|(part, x)| graph.constant(format!("{name}.{part}"), &[count as i64], x)).collect();
                let inputs = [inputs[0], &parts[0], &parts[1], &parts[2], &parts[3]];
                graph.node("BatchNormalization", name, &inputs, &[attribute_float("epsilon", layer.epsilon)])
            }
            Layer::Convolution(layer) => {
                let parameters = [parameter(layer.weight.matrix()), parameter("bias")];
                let eigenvalues = get("lambda_in").zip(get("lambda_out"));
                convolution(graph, layer, shape_of(node.inputs[0]), name, inputs[0], parameters, eigenvalues)
            }
            Layer::MaxPool(layer) => {
                let attributes = window(&layer.sliding, &shape_of(node.inputs[0])[1..]);
                graph.node("MaxPool", name, &inputs, &attributes)
            }
            Layer::Permute(layer) => {
                let axes: Vec<i64> = [0].into_iter().chain(layer.axes.iter().map(|&axis| axis as i64 + 1)).collect();
                graph.node("Transpose", name, &inputs, &[attribute_ints("perm", &axes)])
            }
            Layer::Reshape(_) => graph.reshape(name, inputs[0], &node.shape),
            Layer::Add(_) => graph.node("Add", name, &inputs, &[]),
            // In use it changes nothing.
            Layer::Dropout(_) => inputs[0].to_owned(),
            other => unreachable!("invariant: a training builds no {other:?}"),
        };
        names.push(made);
    }
    names.pop().expect("invariant: a network has an output")
}

/// A window's sizes as attributes; what its padding is on these axes is written out.
fn window(sliding: &Sliding, spatial: &[usize]) -> Vec<Bytes> {
    let window = sliding.window(spatial).expect("invariant: shapes were checked when the node was added");
    let first = window.kernel.len() - spatial.len();
    let sizes = |all: [usize; 3]| all[first..].iter().map(|&n| n as i64).collect::<Vec<i64>>();
    let after = |axis: usize| {
        let Window { input, output, kernel, stride, dilation, before } = window;
        let seen = (output[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1;
        seen.saturating_sub(before[axis] + input[axis])
    };
    let pads = [sizes(window.before), sizes([0, 1, 2].map(after))].concat();
    vec![
        attribute_ints("kernel_shape", &sizes(window.kernel)),
        attribute_ints("strides", &sizes(window.stride)),
        attribute_ints("dilations", &sizes(window.dilation)),
        attribute_ints("pads", &pads),
    ]
}

/// A convolution of samples of the shape `input`, with the weight that ψ and the eigenvalues make.
fn convolution(
    graph: &mut Graph,
    layer: &Convolution,
    input: &[usize],
    name: String,
    x: &str,
    [mut weight, bias]: [Vec<f64>; 2],
    eigenvalues: Option<(Vec<f64>, Vec<f64>)>,
) -> String {
    let taps: usize = layer.sliding.kernel.iter().product();
    if let (Weight::Spectral(_), Some((lambda_in, lambda_out))) = (layer.weight, eigenvalues) {
        for (row, out) in weight.chunks_exact_mut(lambda_in.len() * taps).zip(lambda_out) {
            for (slice, lambda) in row.chunks_exact_mut(taps).zip(&lambda_in) {
                slice.iter_mut().for_each(|w| *w *= lambda - out);
            }
        }
    }
    let sizes = [layer.filters, input[0] / layer.groups].into_iter().chain(layer.sliding.kernel.iter().copied());
    let dims: Vec<i64> = sizes.map(|n| n as i64).collect();
    let weight = graph.constant(format!("{name}.weight"), &dims, weight);
    let bias = graph.constant(format!("{name}.bias"), &dims[..1], bias);
    let mut attributes = window(&layer.sliding, &input[1..]);
    attributes.push(attribute_int("group", layer.groups as i64));
    graph.node("Conv", name, &[x, &weight, &bias], &attributes)
}

fn activation(graph: &mut Graph, activation: Activation, name: String, input: &str) -> String {
    match activation {
        Activation::Identity => input.to_owned(),
        Activation::Relu => graph.node("Relu", name, &[input], &[]),
        Activation::LeakyRelu => graph.node("LeakyRelu", name, &[input], &[attribute_float("alpha", 0.01)]),
        Activation::Tanh => graph.node("Tanh", name, &[input], &[]),
        Activation::Sigmoid => graph.node("Sigmoid", name, &[input], &[]),
        Activation::Elu => graph.node("Elu", name, &[input], &[]),
        Activation::Gelu => graph.node("Gelu", name, &[input], &[]),
        Activation::Silu => {
            let gate = graph.node("Sigmoid", format!("{name} gate"), &[input], &[]);
            graph.node("Mul", name, &[input, &gate], &[])
        }
    }
}
