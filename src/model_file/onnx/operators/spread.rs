//! Shapes that meet: constants and samples spread over each other.

use super::numbers;
use crate::model_file::onnx::lowering::Lowering;
use crate::model_file::onnx::tensor::Tensor;
use crate::model_file::onnx::wire::Node;
use crate::network::{Broadcast, By, NodeId, Scale};

/// Two nodes of one shape, spread over each other's axes of size 1.
pub(super) fn alike<'a>(to: &mut Lowering<'a>, node: &Node<'a>, [a, b]: [NodeId; 2]) -> Result<[NodeId; 2], String> {
    let (x, y) = (to.shape(a).to_vec(), to.shape(b).to_vec());
    if x == y {
        return Ok([a, b]);
    }
    let rank = x.len().max(y.len());
    // The batch stands first in both, so an axis that is missing would be the batch.
    if x.len() != y.len() {
        return Err(format!("it joins samples of the shapes {x:?} and {y:?}; as many axes are supported"));
    }
    let size = |axis: usize| if x[axis] == 1 { y[axis] } else { x[axis] };
    let shape: Vec<usize> = (0..rank).map(size).collect();
    let mut spread = [a, b];
    for (id, own) in spread.iter_mut().zip([x, y]) {
        if own != shape {
            *id = to.push_part(node, "spread", Broadcast { shape: shape.clone() }, &[*id])?;
        }
    }
    Ok(spread)
}

/// A node whose axes of size 1 are spread over those of a constant with the axes `dims`.
pub(super) fn over<'a>(
    to: &mut Lowering<'a>,
    node: &Node<'a>,
    input: NodeId,
    dims: &[usize],
) -> Result<NodeId, String> {
    let mut shape = to.shape(input).to_vec();
    // What doesn't fit is told where the constant is spread over the sample.
    for (all, &n) in shape.iter_mut().rev().zip(dims.iter().rev()).filter(|(all, _)| **all == 1) {
        *all = n;
    }
    if shape == to.shape(input) {
        return Ok(input);
    }
    room(&shape)?;
    to.push_part(node, "spread", Broadcast { shape }, &[input])
}

/// Elements that a constant spread over a sample may have: a file can claim large samples with a few bytes.
const MOST_SPREAD: usize = 1 << 24;

/// The elements of a sample that a constant is spread over.
pub(super) fn room(shape: &[usize]) -> Result<usize, String> {
    let count = shape.iter().try_fold(1usize, |all, &n| all.checked_mul(n)).filter(|&n| n <= MOST_SPREAD);
    count.ok_or_else(|| format!("its constant would be spread over {shape:?}; {MOST_SPREAD} elements are supported"))
}

/// What stands for −∞: it is as nothing behind a softmax, and sums of slopes and intercepts stay numbers.
pub(super) const MASKED: f64 = -1e30;

/// A constant spread over a sample: by channel where it can be.
pub(super) fn spread(constant: &Tensor, shape: &[usize]) -> Result<(By, Vec<f64>), String> {
    spread_values(&constant.dims, numbers(constant)?, shape)
}

/// A value for each element of a sample.
pub(super) fn each((by, values): (By, Vec<f64>), shape: &[usize]) -> Vec<f64> {
    match by {
        By::Element => values,
        By::Channel => {
            let inner = shape[1..].iter().product();
            values.into_iter().flat_map(|value| std::iter::repeat_n(value, inner)).collect()
        }
    }
}

/// The same of values with the axes `dims`.
pub(super) fn spread_values(dims: &[usize], values: Vec<f64>, shape: &[usize]) -> Result<(By, Vec<f64>), String> {
    let rank = shape.len();
    // Aligned at the last axis; one axis more than the sample's is the batch.
    let batch = dims.len() == rank + 1;
    if dims.len() > rank + 1 || (batch && dims[0] != 1) {
        return Err(format!("its constant has the shape {dims:?}, which doesn't fit samples of {shape:?}"));
    }
    let own = &dims[usize::from(batch)..];
    let mut sizes = vec![1; rank - own.len()];
    sizes.extend(own);
    if sizes.iter().zip(shape).any(|(&n, &all)| n != 1 && n != all) {
        return Err(format!("its constant has the shape {dims:?}, which doesn't fit samples of {shape:?}"));
    }
    room(shape)?;
    if sizes.is_empty() {
        return Ok((By::Element, values));
    }
    if sizes[1..].iter().all(|&n| n == 1) {
        let by_channel = if sizes[0] == 1 { vec![values[0]; shape[0]] } else { values };
        return Ok((By::Channel, by_channel));
    }
    let element = |mut flat: usize| {
        let (mut at, mut step) = (0, 1);
        for (&n, &all) in sizes.iter().zip(shape).rev() {
            at += if n == 1 { 0 } else { flat % all * step };
            step *= n;
            flat /= all;
        }
        values[at]
    };
    Ok((By::Element, (0..shape.iter().product()).map(element).collect()))
}

/// A slope and a shift of every channel or element.
pub(super) fn scaled<'a>(
    to: &mut Lowering<'a>,
    node: &Node<'a>,
    part: &str,
    input: NodeId,
    by: By,
    scale: Vec<f64>,
    shift: Vec<f64>,
) -> Result<NodeId, String> {
    to.count(scale.len() + shift.len())?;
    let id = to.push_part(node, part, Scale { by }, &[input])?;
    to.tensors.push((id, "scale", scale.into()));
    to.tensors.push((id, "shift", shift.into()));
    Ok(id)
}
