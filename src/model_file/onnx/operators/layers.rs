//! Layers with weights, and pooling.

use super::{numbers, sizes, vector};
use crate::model_file::onnx::lowering::Lowering;
use crate::model_file::onnx::wire::Node;
use crate::network::{
    AveragePool, By, Convolution, Dense, Layer, MaxPoolNode, NodeId, Padding, Permute, Reshape, Scale, Sliding,
    TransposedConvolution, Weight,
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
    let (weight, bias) = (numbers(weight)?, to.optional(node, 2)?.map(|b| vector(b, filters, "bias")).transpose()?);
    let layer = Convolution { filters, sliding, groups, weight: Weight::Direct, train_bias: true };
    let id = to.push(node, layer, &[input])?;
    to.tensors.push((id, "weight", weight));
    to.tensors.extend(bias.map(|bias| (id, "bias", bias)));
    Ok(id)
}

/// `W: [M, N]` from a matrix `[N, M]`.
fn transposed(values: &[f64], rows: usize, cols: usize) -> Vec<f64> {
    (0..cols).flat_map(|c| (0..rows).map(move |r| values[r * cols + c])).collect()
}

fn dense<'a>(
    to: &mut Lowering<'a>,
    node: &Node<'a>,
    input: NodeId,
    weight: Vec<f64>,
    bias: Option<Vec<f64>>,
) -> Result<NodeId, String> {
    let width: usize = to.shape(input).iter().product();
    let units = weight.len() / width.max(1);
    let id = to.push(node, Dense { units, weight: Weight::Direct, train_bias: true }, &[input])?;
    to.tensors.push((id, "weight", weight));
    to.tensors.extend(bias.map(|bias| (id, "bias", bias)));
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
    let values = numbers(b)?;
    let mut weight = if flag("transB") { values } else { transposed(&values, rows, cols) };
    weight.iter_mut().for_each(|w| *w *= f64::from(alpha));
    let bias = match to.optional(node, 2)? {
        None => None,
        Some(c) if c.data.len() == 1 => Some(vec![f64::from(beta) * numbers(c)?[0]; m]),
        Some(c) => Some(vector(c, m, "bias")?.into_iter().map(|c| f64::from(beta) * c).collect()),
    };
    dense(to, node, input, weight, bias)
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
    let weight = transposed(&numbers(b)?, rows, cols);
    if shape.len() == 1 {
        return dense(to, node, input, weight, None);
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
    to.tensors.push((id, "scale", scale));
    to.tensors.push((id, "shift", shift));
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

/// The output's size along every axis, and the padding before and behind it.
fn transposed_sizes(
    node: &Node<'_>,
    sliding: &Sliding,
    spatial: &[usize],
) -> Result<(Vec<usize>, Vec<usize>, Vec<usize>), String> {
    let axes = spatial.len();
    let more = sizes(node, "output_padding", axes)?.unwrap_or_else(|| vec![0; axes]);
    let auto = node.text("auto_pad")?.unwrap_or("NOTSET");
    let same = matches!(auto, "SAME_UPPER" | "SAME_LOWER");
    let wanted = match sizes(node, "output_shape", axes)? {
        None if same => Some((0..axes).map(|axis| spatial[axis].saturating_mul(sliding.stride[axis])).collect()),
        wanted => wanted,
    };
    let (mut output, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for axis in 0..axes {
        let reach = (sliding.kernel[axis].max(1) - 1) * sliding.dilation[axis] + 1;
        // Sizes are at most 2²⁴, so that no product overflows.
        let all = (spatial[axis].max(1) - 1) * sliding.stride[axis] + more[axis] + reach;
        let (first, last) = match (&wanted, &sliding.padding) {
            (Some(wanted), _) => {
                let total = all.saturating_sub(wanted[axis]);
                let half = total / 2;
                if auto == "SAME_UPPER" { (half, total - half) } else { (total - half, half) }
            }
            (None, Padding::Explicit { before, after }) => (before[axis], after[axis]),
            (None, _) => (0, 0),
        };
        let made = match &wanted {
            Some(wanted) => wanted[axis],
            None => all.checked_sub(first + last).filter(|&n| n > 0).ok_or("its pads leave nothing")?,
        };
        output.push(made);
        before.push(first);
        after.push(last);
    }
    Ok((output, before, after))
}

pub(super) fn transposed_convolution<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let spatial = to.shape(input).get(1..).unwrap_or_default().to_vec();
    let axes = spatial.len();
    let weight = to.constant(node, 1)?;
    let [from, of_group, kernel @ ..] = &weight.dims[..] else {
        return Err(format!("its weight has the shape {:?}", weight.dims));
    };
    let (from, of_group) = (*from, *of_group);
    if kernel.len() != axes {
        return Err(format!("its weight has {} spatial axes and its input {axes}", kernel.len()));
    }
    if to.shape(input).first() != Some(&from) {
        return Err(format!("its weight is for {from} channels, its input has {:?}", to.shape(input)));
    }
    let groups = usize::try_from(node.int("group")?.unwrap_or(1)).map_err(|_| "its group is negative")?;
    let channels = of_group.checked_mul(groups).ok_or("its group is too large")?;
    let mut sliding = sliding(node, Some(kernel.to_vec()), axes)?;
    let (output, before, after) = transposed_sizes(node, &sliding, &spatial)?;
    sliding.padding = Padding::Explicit { before, after };
    sliding.ceil = false;
    let weight = numbers(weight)?;
    let bias = to.optional(node, 2)?.map(|b| vector(b, channels, "bias")).transpose()?;
    let layer = TransposedConvolution { channels, output, sliding, groups, train_bias: true };
    let id = to.push(node, layer, &[input])?;
    to.tensors.push((id, "weight", weight));
    to.tensors.extend(bias.map(|bias| (id, "bias", bias)));
    Ok(id)
}
