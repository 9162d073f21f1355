//! Sums, means and extremes over axes, and over several tensors.

use super::shape::listed;
use super::spread::{alike, over, scaled, spread};
use crate::kernels::{Activation, Function};
use crate::model_file::onnx::lowering::{BatchAxis, Lowering};
use crate::model_file::onnx::wire::Node;
use crate::network::{
    ActivationNode, ConcatNode, FunctionNode, MaxPoolNode, NodeId, Permute, ProductNode, ReduceNode, Reshape, Sliding,
};

fn function(function: Function, a: f32, b: f32) -> FunctionNode {
    FunctionNode { function, a, b }
}

/// Over any axes of a sample.
pub(super) fn reduce<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let shape = to.shape(input).to_vec();
    let listed = listed(to, node, 1, "axes")?.filter(|axes| !axes.is_empty());
    let mut axes = Vec::new();
    match listed {
        Some(listed) => {
            for axis in listed {
                axes.push(to.place_of(axis, shape.len())?.ok_or("it reduces the batch")?);
            }
        }
        None if node.int("noop_with_empty_axes")?.unwrap_or(0) != 0 => {
            return match node.op_type {
                "ReduceL1" | "ReduceL2" | "ReduceSumSquare" => {
                    Err("it has no axes and noop_with_empty_axes, of which versions of ONNX say different things"
                        .into())
                }
                _ => Ok(input),
            };
        }
        None if to.batch_axis == BatchAxis::Outside => axes.extend(0..shape.len()),
        None => return Err("it has no axes, so it would mix the samples of a batch".into()),
    }
    axes.sort_unstable();
    axes.dedup();
    let keep = node.int("keepdims")?.unwrap_or(1) != 0;
    let reduced = reduced(to, node, input, &axes)?;
    let mut made: Vec<usize> = shape.clone();
    axes.iter().for_each(|&axis| made[axis] = 1);
    if !keep {
        made = (0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect();
    }
    // The last node has the name.
    to.push(node, Reshape { shape: Some(made) }, &[reduced])
}

/// The reduction itself; its axes have the size 1, or are gone.
fn reduced<'a>(to: &mut Lowering<'a>, node: &Node<'a>, input: NodeId, axes: &[usize]) -> Result<NodeId, String> {
    let sum = |mean| ReduceNode { axes: axes.to_vec(), mean };
    match node.op_type {
        "ReduceMean" => to.push_part(node, "reduced", sum(true), &[input]),
        "ReduceMax" => largest(to, node, input, axes),
        "ReduceMin" => {
            let turned = to.push_part(node, "negative", function(Function::Affine, -1.0, 0.0), &[input])?;
            let most = largest(to, node, turned, axes)?;
            to.push_part(node, "least", function(Function::Affine, -1.0, 0.0), &[most])
        }
        "ReduceL1" => {
            let sizes = to.push_part(node, "absolute", function(Function::Abs, 0.0, 0.0), &[input])?;
            to.push_part(node, "reduced", sum(false), &[sizes])
        }
        "ReduceL2" | "ReduceSumSquare" => {
            let squares = to.push_part(node, "square", ProductNode {}, &[input, input])?;
            let all = to.push_part(node, "reduced", sum(false), &[squares])?;
            if node.op_type == "ReduceSumSquare" {
                return Ok(all);
            }
            to.push_part(node, "root", function(Function::Sqrt, 0.0, 0.0), &[all])
        }
        _ => to.push_part(node, "reduced", sum(false), &[input]),
    }
}

/// The largest along some axes: these go behind the others, and a window looks at all of them.
fn largest<'a>(to: &mut Lowering<'a>, node: &Node<'a>, input: NodeId, axes: &[usize]) -> Result<NodeId, String> {
    let shape = to.shape(input).to_vec();
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
    let count: usize = axes.iter().map(|&axis| shape[axis]).product();
    let order = [&kept[..], axes].concat();
    let all: usize = shape.iter().product();
    let turned = match order.is_sorted() {
        true => input,
        false => to.push_part(node, "turned", Permute { axes: order }, &[input])?,
    };
    let rows = Reshape { shape: Some(vec![all / count.max(1), count]) };
    let rows = to.push_part(node, "rows", rows, &[turned])?;
    to.push_part(node, "largest", MaxPoolNode { sliding: Sliding::new(&[count]) }, &[rows])
}

/// The largest or the least of several, element by element; of equal ones the first.
pub(super) fn extreme<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let least = node.op_type == "Min";
    let count = node.inputs.len();
    let mut found: Option<NodeId> = None;
    for i in (0..count).filter(|&i| !to.is_constant(node, i)).collect::<Vec<_>>() {
        let next = to.activation(node, i)?;
        found = Some(match found {
            None => next,
            Some(first) => {
                let pair = alike(to, node, [first, next])?;
                of_pair(to, node, pair, least)?
            }
        });
    }
    let mut found = found.ok_or("it has no inputs")?;
    for i in (0..count).filter(|&i| to.is_constant(node, i)).collect::<Vec<_>>() {
        // max(x, c) = c + relu(x − c), min(x, c) = c − relu(c − x).
        let dims = to.constant(node, i)?.dims.clone();
        found = over(to, node, found, &dims)?;
        let (by, c) = spread(to.constant(node, i)?, to.shape(found))?;
        let (n, sign) = (c.len(), if least { -1.0 } else { 1.0 });
        let less = scaled(to, node, "less", found, by, vec![sign; n], c.iter().map(|c| -sign * c).collect())?;
        let over = to.push_part(node, "over", ActivationNode { activation: Activation::Relu }, &[less])?;
        found = scaled(to, node, "", over, by, vec![sign; n], c)?;
    }
    Ok(found)
}

/// Side by side, and the largest of each two.
fn of_pair<'a>(to: &mut Lowering<'a>, node: &Node<'a>, pair: [NodeId; 2], least: bool) -> Result<NodeId, String> {
    let shape = to.shape(pair[0]).to_vec();
    let all: usize = shape.iter().product();
    let minus = || function(Function::Affine, -1.0, 0.0);
    let mut flat = Vec::new();
    for id in pair {
        let id = if least { to.push_part(node, "negative", minus(), &[id])? } else { id };
        flat.push(to.push_part(node, "flat", Reshape { shape: Some(vec![1, all]) }, &[id])?);
    }
    let both = to.push_part(node, "both", ConcatNode {}, &flat)?;
    let pairs = to.push_part(node, "pairs", Permute { axes: vec![1, 0] }, &[both])?;
    let most = to.push_part(node, "largest", MaxPoolNode { sliding: Sliding::new(&[2]) }, &[pairs])?;
    let most = if least { to.push_part(node, "least", minus(), &[most])? } else { most };
    to.push(node, Reshape { shape: Some(shape) }, &[most])
}
