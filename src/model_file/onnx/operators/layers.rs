//! Convolutions and pooling.

use super::{sizes, vector};
use crate::model_file::onnx::lowering::Lowering;
use crate::model_file::onnx::wire::Node;
use crate::network::{
    AveragePool, Convolution, Layer, MaxPoolNode, NodeId, Padding, Sliding, TransposedConvolution, Weight,
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

pub(super) fn max_pool<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    if to.reads_further_outputs(node) {
        return Err("its second output, the indices, isn't supported".into());
    }
    let input = to.activation(node, 0)?;
    let axes = to.shape(input).len().saturating_sub(1);
    let sliding = windows(node, axes)?;
    to.push(node, MaxPoolNode { sliding }, &[input])
}

pub(super) fn average_pool<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let axes = to.shape(input).len().saturating_sub(1);
    let sliding = windows(node, axes)?;
    let count_padding = node.int("count_include_pad")?.unwrap_or(0) != 0;
    to.push(node, AveragePool { sliding, count_padding }, &[input])
}

/// How a pooling slides: a window that lies in the padding alone has no elements.
fn windows(node: &Node<'_>, axes: usize) -> Result<Sliding, String> {
    let sliding = sliding(node, None, axes)?;
    if let Padding::Explicit { before, after } = &sliding.padding
        && [before, after].iter().any(|pads| pads.iter().zip(&sliding.kernel).any(|(pad, size)| pad >= size))
    {
        let (pads, kernel) = ([&before[..], &after[..]].concat(), &sliding.kernel);
        return Err(format!("its pads are {pads:?}; less than its kernel_shape {kernel:?} is supported"));
    }
    Ok(sliding)
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

/// The output's size along every axis, and what of the full product is cut off around it.
fn transposed_sizes(node: &Node<'_>, sliding: &Sliding, spatial: &[usize]) -> Result<(Vec<usize>, Padding), String> {
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
        if more[axis] > 0 && more[axis] >= sliding.stride[axis].max(sliding.dilation[axis]) {
            return Err(format!("its output_padding is {more:?}; less than its strides (or dilations) is supported"));
        }
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
    Ok((output, Padding::Explicit { before, after }))
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
    let (output, padding) = transposed_sizes(node, &sliding, &spatial)?;
    sliding = Sliding { padding, ceil: false, ..sliding };
    let weight = to.numbers(node, 1)?;
    let bias = to.optional(node, 2)?.map(|b| vector(b, channels, "bias")).transpose()?;
    let layer = TransposedConvolution { channels, output, sliding, groups, train_bias: true };
    let id = to.push(node, layer, &[input])?;
    to.tensors.push((id, "weight", weight));
    to.tensors.extend(bias.map(|bias| (id, "bias", bias.into())));
    Ok(id)
}
