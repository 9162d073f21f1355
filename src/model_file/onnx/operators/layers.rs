//! Layers with weights, and pooling.

use super::{numbers, sizes, vector};
use crate::model_file::onnx::lowering::{Lowering, Numbers};
use crate::model_file::onnx::wire::Node;
use crate::network::{
    AveragePool, By, Convolution, Dense, Layer, MaxPoolNode, NodeId, Padding, Permute, Reshape, Scale, Sliding, Weight,
};

/// How a convolution or a pooling slides over so many spatial axes.
fn sliding(node: &Node<'_>, kernel: Option<Vec<usize>>, axes: usize) -> Result<Sliding, String> {
    let given = sizes(node, "kernel_shape", axes)?;
    let kernel = match (kernel, given) {
        (Some(kernel), Some(given)) if kernel != given => {
            return Err(format!("its kernel_shape {given:?} isn't its weight's, {kernel:?}"));
        }
        (Some(kernel), _) | (None, Some(kernel)) => kernel,
        (None, None) => return Err("it has no kernel_shape".into()),
    };
    let plain = Sliding::new(&kernel);
    let padding = match node.text("auto_pad")? {
        None | Some("NOTSET" | "") => match sizes(node, "pads", 2 * axes)? {
            Some(mut before) => {
                let after = before.split_off(axes);
                Padding::Explicit { before, after }
            }
            None => Padding::Valid,
        },
        Some("SAME_UPPER") => Padding::SameUpper,
        Some("SAME_LOWER") => Padding::SameLower,
        Some("VALID") => Padding::Valid,
        Some(other) => return Err(format!("its auto_pad {other:?} isn't one of ONNX's")),
    };
    Ok(Sliding {
        stride: sizes(node, "strides", axes)?.unwrap_or_else(|| plain.stride.clone()),
        dilation: sizes(node, "dilations", axes)?.unwrap_or_else(|| plain.dilation.clone()),
        padding,
        ceil: node.int("ceil_mode")?.unwrap_or(0) != 0,
        ..plain
    })
}

pub(super) fn convolution<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let axes = to.shape(input).len().saturating_sub(1);
    let weight = to.constant(node, 1)?;
    let [filters, of_group, kernel @ ..] = &weight.dims[..] else {
        return Err(format!("its weight has the shape {:?}", weight.dims));
    };
    let (filters, of_group) = (*filters, *of_group);
    if kernel.len() != axes {
        return Err(format!("its weight has {} spatial axes and its input {axes}", kernel.len()));
    }
    let groups = usize::try_from(node.int("group")?.unwrap_or(1)).map_err(|_| "its group is negative")?;
    if of_group.checked_mul(groups) != to.shape(input).first().copied() {
        return Err(format!("its weight is for {groups} × {of_group} channels, its input has {:?}", to.shape(input)));
    }
    let sliding = sliding(node, Some(kernel.to_vec()), axes)?;
    let bias = to.optional(node, 2)?.map(|b| vector(b, filters, "bias")).transpose()?;
    let weight = to.numbers(node, 1)?;
    let layer = Convolution { filters, sliding, groups, weight: Weight::Direct, train_bias: true };
    let id = to.push(node, layer, &[input])?;
    to.tensors.push((id, "weight", weight));
    to.tensors.extend(bias.map(|bias| (id, "bias", bias.into())));
    Ok(id)
}

/// `W: [M, N]` from a matrix `[N, M]`.
fn transposed(numbers: Numbers, rows: usize, cols: usize) -> Numbers {
    fn turn<T: Copy>(values: &[T], rows: usize, cols: usize) -> Vec<T> {
        (0..cols).flat_map(|c| (0..rows).map(move |r| values[r * cols + c])).collect()
    }
    match numbers {
        Numbers::Single(values) => Numbers::Single(turn(&values, rows, cols)),
        Numbers::Double(values) => Numbers::Double(turn(&values, rows, cols)),
    }
}

fn dense<'a>(
    to: &mut Lowering<'a>,
    node: &Node<'a>,
    input: NodeId,
    (units, weight): (usize, Numbers),
    bias: Option<Vec<f64>>,
) -> Result<NodeId, String> {
    let id = to.push(node, Dense { units, weight: Weight::Direct, train_bias: true }, &[input])?;
    to.tensors.push((id, "weight", weight));
    to.tensors.extend(bias.map(|bias| (id, "bias", bias.into())));
    Ok(id)
}

pub(super) fn gemm<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let &[width] = to.shape(input) else {
        return Err(format!("its input has the shape {:?} without the batch; one axis is supported", to.shape(input)));
    };
    // One old exporter writes an empty text for 0.
    let flag = |name: &str| node.int(name).unwrap_or(Some(0)).unwrap_or(0) != 0;
    if flag("transA") {
        return Err("its transA puts the batch last, which isn't supported".into());
    }
    let (alpha, beta) = (node.float("alpha")?.unwrap_or(1.0), node.float("beta")?.unwrap_or(1.0));
    let b = to.constant(node, 1)?;
    let &[rows, cols] = &b.dims[..] else { return Err(format!("its weight has the shape {:?}", b.dims)) };
    let (n, m) = if flag("transB") { (cols, rows) } else { (rows, cols) };
    if n != width {
        return Err(format!("its weight is for {n} inputs, and {width} come"));
    }
    let bias = match to.optional(node, 2)? {
        None => None,
        Some(c) if c.data.len() == 1 => Some(vec![f64::from(beta) * numbers(c)?[0]; m]),
        Some(c) => Some(vector(c, m, "bias")?.into_iter().map(|c| f64::from(beta) * c).collect()),
    };
    let mut weight = to.numbers(node, 1)?;
    if !flag("transB") {
        weight = transposed(weight, rows, cols);
    }
    dense(to, node, input, (m, weight.times(f64::from(alpha))), bias)
}

/// A product with a constant matrix, along the last axis.
pub(super) fn mat_mul<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let b = to.constant(node, 1).map_err(|_| "a product of two activations isn't supported".to_owned())?;
    let &[rows, cols] = &b.dims[..] else {
        return Err(format!("its second input has the shape {:?}; a matrix is supported", b.dims));
    };
    let shape = to.shape(input).to_vec();
    let width = *shape.last().ok_or("its input has no axes")?;
    if rows != width {
        return Err(format!("its weight is for {rows} inputs, and {width} come"));
    }
    let weight = transposed(to.numbers(node, 1)?, rows, cols);
    if shape.len() == 1 {
        return dense(to, node, input, (cols, weight), None);
    }
    // The same product at every place: a convolution that sees one place, whose channels are the last axis.
    let places: usize = shape[..shape.len() - 1].iter().product();
    let turn = || Permute { axes: vec![1, 0] };
    let flat = to.push_part(node, "places", Reshape { shape: Some(vec![places, width]) }, &[input])?;
    let channels = to.push_part(node, "channels", turn(), &[flat])?;
    let sliding = Sliding::new(&[1]);
    let layer = Convolution { filters: cols, sliding, groups: 1, weight: Weight::Direct, train_bias: true };
    let id = to.push_part(node, "product", layer, &[channels])?;
    to.tensors.push((id, "weight", weight));
    let turned = to.push_part(node, "turned", turn(), &[id])?;
    let mut made = shape;
    made.pop();
    made.push(cols);
    to.push(node, Reshape { shape: Some(made) }, &[turned])
}

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

pub(super) fn scaled<'a>(
    to: &mut Lowering<'a>,
    node: &Node<'a>,
    part: &str,
    input: NodeId,
    by: By,
    scale: Vec<f64>,
    shift: Vec<f64>,
) -> Result<NodeId, String> {
    let id = to.push_part(node, part, Scale { by }, &[input])?;
    to.tensors.push((id, "scale", scale.into()));
    to.tensors.push((id, "shift", shift.into()));
    Ok(id)
}

pub(super) fn max_pool<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    if node.outputs.len() > 1 && !node.outputs[1].is_empty() {
        return Err("its second output, the indices, isn't supported".into());
    }
    let input = to.activation(node, 0)?;
    let axes = to.shape(input).len().saturating_sub(1);
    let sliding = sliding(node, None, axes)?;
    to.push(node, MaxPoolNode { sliding }, &[input])
}

pub(super) fn average_pool<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let axes = to.shape(input).len().saturating_sub(1);
    let sliding = sliding(node, None, axes)?;
    let count_padding = node.int("count_include_pad")?.unwrap_or(0) != 0;
    to.push(node, AveragePool { sliding, count_padding }, &[input])
}

/// Over all spatial axes, which stay with size 1.
pub(super) fn global<'a>(to: &mut Lowering<'a>, node: &Node<'a>, part: &str, average: bool) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let spatial = to.shape(input).get(1..).unwrap_or_default().to_vec();
    let sliding = Sliding::new(&spatial);
    let layer: Layer =
        if average { AveragePool { sliding, count_padding: false }.into() } else { MaxPoolNode { sliding }.into() };
    to.push_part(node, part, layer, &[input])
}
