//! Normalisation, and what else scales.

use std::ops::Range;

use super::spread::{scaled, spread};
use super::vector;
use crate::kernels::{Function, Normalisation};
use crate::model_file::onnx::lowering::{BatchAxis, Lowering};
use crate::model_file::onnx::tensor::Tensor;
use crate::model_file::onnx::wire::Node;
use crate::network::{
    AveragePool, Broadcast, By, FunctionNode, NodeId, NormaliseNode, Padding, ProductNode, ReduceNode, Reshape, Sliding,
};

pub(super) fn batch_norm<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    if node.int("training_mode")?.unwrap_or(0) != 0 {
        return Err("it is in training mode; export the network for use (in PyTorch: model.eval())".into());
    }
    let input = to.activation(node, 0)?;
    let channels = *to.shape(input).first().ok_or("its input has no channels")?;
    let epsilon = f64::from(node.float("epsilon")?.unwrap_or(1e-5));
    let part = |i, what| vector(to.constant(node, i)?, channels, what);
    let (gamma, beta, mean, variance) = (part(1, "scale")?, part(2, "bias")?, part(3, "mean")?, part(4, "variance")?);
    let scale: Vec<f64> = gamma.iter().zip(&variance).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    let shift = (0..channels).map(|c| beta[c] - mean[c] * scale[c]).collect();
    scaled(to, node, "", input, By::Channel, scale, shift)
}

/// The slope and the shift behind a normalisation, spread over the sample.
fn affine<'a>(
    to: &mut Lowering<'a>,
    node: &Node<'a>,
    normal: NodeId,
    (by, gamma): (By, Vec<f64>),
    shift: Option<(By, Vec<f64>)>,
) -> Result<NodeId, String> {
    let count = gamma.len();
    match shift {
        Some((same, beta)) if same == by => scaled(to, node, "", normal, by, gamma, beta),
        Some((other, beta)) => {
            let sloped = scaled(to, node, "slope", normal, by, gamma, vec![0.0; count])?;
            let ones = vec![1.0; beta.len()];
            scaled(to, node, "", sloped, other, ones, beta)
        }
        None => scaled(to, node, "", normal, by, gamma, vec![0.0; count]),
    }
}

fn standard(node: &Node<'_>, first: usize, last: usize) -> Result<NormaliseNode, String> {
    let epsilon = node.float("epsilon")?.unwrap_or(1e-5);
    Ok(NormaliseNode { kind: Normalisation::Standard, first, last, epsilon })
}

/// Over the last axes.
pub(super) fn layer_norm<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    if to.reads_further_outputs(node) {
        return Err("its mean and its deviation, further outputs, aren't supported".into());
    }
    let input = to.activation(node, 0)?;
    let shape = to.shape(input).to_vec();
    let first = to.axis_of(node.int("axis")?.unwrap_or(-1), shape.len())?;
    if matches!(to.batch_axis, BatchAxis::At(batch) if batch > first) {
        return Err("it normalises over the batch".into());
    }
    let gamma = spread(to.constant(node, 1)?, &shape)?;
    let shift = to.optional(node, 2)?.map(|beta| spread(beta, &shape)).transpose()?;
    let normal = to.push_part(node, "normal", standard(node, first, shape.len())?, &[input])?;
    affine(to, node, normal, gamma, shift)
}

/// By their root mean square over the last axes: exact of its products, its mean and its power, each a node of its own.
pub(super) fn rms_norm<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let shape = to.shape(input).to_vec();
    let first = to.axis_of(node.int("axis")?.unwrap_or(-1), shape.len())?;
    let epsilon = node.float("epsilon")?.unwrap_or(1e-5);
    let gamma = spread(to.constant(node, 1)?, &shape)?;
    let square = to.push_part(node, "square", ProductNode {}, &[input, input])?;
    let axes = (first..shape.len()).collect();
    let mean = to.push_part(node, "mean square", ReduceNode { axes, mean: true }, &[square])?;
    let root = root_of(to, node, mean, (1.0, epsilon), -0.5)?;
    let root = to.push_part(node, "spread", Broadcast { shape }, &[root])?;
    let normal = to.push_part(node, "normal", ProductNode {}, &[input, root])?;
    affine(to, node, normal, gamma, None)
}

/// `(a·x + b)` to a power.
fn root_of<'a>(
    to: &mut Lowering<'a>,
    node: &Node<'a>,
    x: NodeId,
    (a, b): (f32, f32),
    power: f32,
) -> Result<NodeId, String> {
    let line = to.push_part(node, "line", FunctionNode { function: Function::Affine, a, b }, &[x])?;
    to.push_part(node, "power", FunctionNode { function: Function::Power, a: power, b: 0.0 }, &[line])
}

/// Every channel by itself.
pub(super) fn instance_norm<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let rank = to.shape(input).len();
    let channels = *to.shape(input).first().ok_or("its input has no channels")?;
    let part = |i, what| vector(to.constant(node, i)?, channels, what);
    let (gamma, beta) = (part(1, "scale")?, part(2, "bias")?);
    let normal = to.push_part(node, "normal", standard(node, 1, rank)?, &[input])?;
    scaled(to, node, "", normal, By::Channel, gamma, beta)
}

/// So many groups of channels, each by itself; older operator sets scale by group.
pub(super) fn group_norm<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let shape = to.shape(input).to_vec();
    let channels = *shape.first().ok_or("its input has no channels")?;
    let groups = node.int("num_groups")?.ok_or("it has no num_groups")?;
    let whole = usize::try_from(groups).ok().filter(|&groups| groups > 0 && channels % groups == 0);
    let groups = whole.ok_or_else(|| format!("{channels} channels don't come in {groups} groups"))?;
    let part = |i, what| -> Result<Vec<f64>, String> {
        let constant: &Tensor = to.constant(node, i)?;
        if constant.data.len() == channels {
            return vector(constant, channels, what);
        }
        let by_group = vector(constant, groups, what)?;
        Ok((0..channels).map(|c| by_group[c * groups / channels]).collect())
    };
    let (gamma, beta) = (part(1, "scale")?, part(2, "bias")?);
    let all: usize = shape.iter().product();
    let grouped = to.push_part(node, "groups", Reshape { shape: Some(vec![groups, all / groups]) }, &[input])?;
    let normal = to.push_part(node, "normal", standard(node, 1, 2)?, &[grouped])?;
    let back = to.push_part(node, "channels", Reshape { shape: Some(shape) }, &[normal])?;
    scaled(to, node, "", back, By::Channel, gamma, beta)
}

/// Channels that a local response is normalised over.
const MOST_NEIGHBOURS: i64 = 1 << 20;

/// `x_c·(k + α/n·Σ x_j²)^−β` over n neighbouring channels j: exact of its products, its mean and its power, each a node of its own.
pub(super) fn local_response<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let shape = to.shape(input).to_vec();
    let size = match node.int("size")?.ok_or("it has no size")? {
        n @ 1..=MOST_NEIGHBOURS => n as usize,
        n if n > MOST_NEIGHBOURS => {
            return Err(format!("its size is {n}, which is too large; {MOST_NEIGHBOURS} is supported"));
        }
        n => return Err(format!("its size is {n}; it must be 1 at least")),
    };
    let (alpha, beta) = (node.float("alpha")?.unwrap_or(1e-4), node.float("beta")?.unwrap_or(0.75));
    let bias = node.float("bias")?.unwrap_or(1.0);
    let square = to.push_part(node, "square", ProductNode {}, &[input, input])?;
    let all: usize = shape.iter().product();
    let channels = *shape.first().ok_or("its input has no channels")?;
    let plane = Reshape { shape: Some(vec![1, channels, all / channels.max(1)]) };
    let plane = to.push_part(node, "plane", plane, &[square])?;
    let (before, after) = (vec![(size - 1) / 2, 0], vec![size / 2, 0]);
    let sliding = Sliding { padding: Padding::Explicit { before, after }, ..Sliding::new(&[size, 1]) };
    let mean = to.push_part(node, "mean square", AveragePool { sliding, count_padding: true }, &[plane])?;
    let scale = root_of(to, node, mean, (alpha, bias), -beta)?;
    let scale = to.push_part(node, "scale", Reshape { shape: Some(shape) }, &[scale])?;
    to.push(node, ProductNode {}, &[input, scale])
}

/// Axes of a sample, of so many, that a softmax or log-softmax is over.
pub(in super::super) fn softmax_axes(to: &Lowering<'_>, node: &Node<'_>, rank: usize) -> Result<Range<usize>, String> {
    let old = to.opset < 13;
    let first = to.axis_of(node.int("axis")?.unwrap_or(if old { 1 } else { -1 }), rank)?;
    Ok(first..if old { rank } else { first + 1 })
}

/// Along an axis; before operator set 13 over that axis and all behind it.
pub(super) fn softmax<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let Range { start: first, end: last } = softmax_axes(to, node, to.shape(input).len())?;
    let log = node.op_type == "LogSoftmax";
    let kind = if log { Normalisation::LogSoftmax } else { Normalisation::Softmax };
    to.push(node, NormaliseNode { kind, first, last, epsilon: 0.0 }, &[input])
}
