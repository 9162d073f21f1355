//! Attention as one operator, as the products and the softmax that it stands for.

use super::spread::{MASKED, each, scaled, spread_values};
use super::truth_or_numbers;
use crate::kernels::{Activation, Function, Normalisation};
use crate::model_file::onnx::lowering::Lowering;
use crate::model_file::onnx::tensor::Data;
use crate::model_file::onnx::wire::Node;
use crate::network::{
    ActivationNode, Broadcast, By, FunctionNode, Layer, MatMulNode, NodeId, NormaliseNode, Permute, Reshape,
};

fn times(factor: f32) -> FunctionNode {
    FunctionNode { function: Function::Affine, a: factor, b: 0.0 }
}

/// `softmax(scale·Q·Kᵀ + mask)·V` of every head.
pub(super) fn attention<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    if (4..node.inputs.len()).any(|i| to.get(node, i).is_some()) {
        return Err("it reads keys and values of earlier calls, which isn't supported".into());
    }
    if to.reads_further_outputs(node) {
        return Err("something reads an output of it besides the first, which isn't supported".into());
    }
    if node.int("left_window_size")?.unwrap_or(-1) != -1 || node.int("right_window_size")?.unwrap_or(-1) != -1 {
        return Err("it looks through a window, which isn't supported".into());
    }
    let flat = to.shape(to.activation(node, 0)?).len() == 2;
    let query = heads(to, node, 0, "q_num_heads")?;
    let key = heads(to, node, 1, "kv_num_heads")?;
    let value = heads(to, node, 2, "kv_num_heads")?;
    let [count, places, size] = axes(to, query)?;
    let key = shared(to, node, "key", key, count)?;
    let value = shared(to, node, "value", value, count)?;
    let ([_, others, _], [_, _, width]) = (axes(to, key)?, axes(to, value)?);
    let scale = node.float("scale")?.unwrap_or(1.0 / (size as f32).sqrt());
    let query = to.push_part(node, "scaled", times(scale), &[query])?;
    let turned = to.push_part(node, "key turned", Permute { axes: vec![0, 2, 1] }, &[key])?;
    let mut scores = to.push_part(node, "scores", MatMulNode {}, &[query, turned])?;
    if let Some(cap) = node.float("softcap")?.filter(|&cap| cap > 0.0) {
        let tanh = ActivationNode { activation: Activation::Tanh };
        for layer in [Layer::from(times(1.0 / cap)), tanh.into(), times(cap).into()] {
            scores = to.push_part(node, "softcap", layer, &[scores])?;
        }
    }
    if let Some((by, mask)) = mask(to, node, &[count, places, others])? {
        scores = scaled(to, node, "mask", scores, by, vec![1.0; mask.len()], mask)?;
    }
    let softmax = NormaliseNode { kind: Normalisation::Softmax, first: 2, last: 3, epsilon: 0.0 };
    let weights = to.push_part(node, "softmax", softmax, &[scores])?;
    if !flat {
        return to.push(node, MatMulNode {}, &[weights, value]);
    }
    let made = to.push_part(node, "of each head", MatMulNode {}, &[weights, value])?;
    let turned = to.push_part(node, "turned", Permute { axes: vec![1, 0, 2] }, &[made])?;
    to.push(node, Reshape { shape: Some(vec![places, count * width]) }, &[turned])
}

fn axes(to: &Lowering<'_>, id: NodeId) -> Result<[usize; 3], String> {
    <[usize; 3]>::try_from(to.shape(id)).map_err(|_| format!("its samples have the shape {:?}", to.shape(id)))
}

/// An input as `[heads, places, size]`; where all heads stand in one axis, an attribute says how many there are.
fn heads<'a>(to: &mut Lowering<'a>, node: &Node<'a>, i: usize, count: &str) -> Result<NodeId, String> {
    let input = to.activation(node, i)?;
    let &[places, width] = to.shape(input) else { return axes(to, input).map(|_| input) };
    let n = node.int(count)?.and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0 && width % n == 0);
    let n = n.ok_or_else(|| format!("its {count} doesn't cut {width} elements into heads"))?;
    let what = ["query", "key", "value"][i];
    let cut = Reshape { shape: Some(vec![places, n, width / n]) };
    let cut = to.push_part(node, &format!("{what} cut"), cut, &[input])?;
    to.push_part(node, &format!("{what} of each head"), Permute { axes: vec![1, 0, 2] }, &[cut])
}

/// Keys or values for so many heads: several heads in a row may share them.
fn shared<'a>(to: &mut Lowering<'a>, node: &Node<'a>, what: &str, id: NodeId, heads: usize) -> Result<NodeId, String> {
    let [own, places, size] = axes(to, id)?;
    if own == heads {
        return Ok(id);
    }
    if own == 0 || !heads.is_multiple_of(own) {
        return Err(format!("{heads} heads can't share {own} of its {what}s"));
    }
    let part = |step: &str| format!("{what} {step}");
    let one = to.push_part(node, &part("one"), Reshape { shape: Some(vec![own, 1, places, size]) }, &[id])?;
    let several = Broadcast { shape: vec![own, heads / own, places, size] };
    let several = to.push_part(node, &part("several"), several, &[one])?;
    to.push_part(node, &part("shared"), Reshape { shape: Some(vec![heads, places, size]) }, &[several])
}

/// What is added to the scores `[heads, places, others]`.
fn mask<'a>(to: &Lowering<'a>, node: &Node<'a>, shape: &[usize; 3]) -> Result<Option<(By, Vec<f64>)>, String> {
    let causal = node.int("is_causal")?.unwrap_or(0) != 0;
    let given = to.optional(node, 3)?;
    if given.is_none() && !causal {
        return Ok(None);
    }
    let mut added = match given {
        None => each(spread_values(&[], vec![0.0], shape)?, shape),
        Some(tensor) => {
            let mut values = truth_or_numbers(tensor)?;
            if let Data::Bool(_) = tensor.data {
                values.iter_mut().for_each(|lets| *lets = if *lets == 0.0 { MASKED } else { 0.0 });
            }
            each(spread_values(&tensor.dims, values, shape)?, shape)
        }
    };
    let [_, places, others] = *shape;
    for (i, x) in added.iter_mut().enumerate() {
        let (place, other) = (i / others % places, i % others);
        *x = if causal && other > place { MASKED } else { x.max(MASKED) };
    }
    if added.chunks_exact(others).any(|row| row.iter().all(|&x| x <= MASKED)) {
        return Err("its mask leaves a place nothing to look at, which isn't supported".into());
    }
    Ok(Some((By::Element, added)))
}
