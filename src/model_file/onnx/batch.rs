//! Where the batch is: attention as PyTorch writes it turns it to another axis and joins it with others.
//!
//! A node of the network is a sample's; here the axes of the file's tensors are kept beside it.
//!
//! A file for one sample alone has it as one of the ones among its sizes, and it can be any: the elements are the same wherever it is
//! taken to be. So where its tensors don't meet as they are, their batch is moved to the first axis, or into it; and where an operator
//! works along that one too, every axis of the file is taken for the sample's.

use super::fold::{Dim, Value};
use super::lowering::{BatchAxis, Known, Lowering, Moved, Rows};
use super::operators;
use super::tensor::Tensor;
use super::wire::Node;
use crate::network::{NodeId, Permute, Reshape, SliceNode};

/// What a node makes that moves the batch or reads what has it elsewhere; `None`: an ordinary node.
pub(super) fn lower<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<Option<Vec<Known>>, String> {
    let moved = |i: usize| match to.get(node, i) {
        Some(Known::Moved(moved)) => Some(moved.clone()),
        _ => None,
    };
    let any = (0..node.inputs.len()).find_map(moved);
    let first = match to.get(node, 0) {
        Some(Known::Moved(moved)) => Some(moved.clone()),
        Some(Known::Node(id)) => Some(Moved::plain(to, *id)),
        _ => None,
    };
    let rows = match (to.get(node, 1), to.batch) {
        (Some(Known::Rows(rows)), _) => Some(rows.clone()),
        // Counted over the whole batch: along its axis, and there is no other.
        (Some(Known::Value(Value::Constant(places))), Some(batch)) => match &any {
            Some(moved) if moved.dims.len() == 1 => Rows::of_constant(places, batch),
            _ => None,
        },
        _ => None,
    };
    if let (Some(first), Some(rows), "Gather") = (&first, rows, node.op_type) {
        return gather(to, node, first, &rows).map(|known| Some(vec![known]));
    }
    let plain = |i: usize| match to.get(node, i) {
        Some(Known::Node(id)) => Some(Moved::plain(to, *id)),
        _ => moved(i),
    };
    if to.is_of_one()
        && let Some(from) = (0..node.inputs.len()).find_map(plain)
        && works_along(to, node, &from)?
    {
        return outside(to, node).map(Some);
    }
    let shape = match node.op_type {
        "Transpose" => {
            let turns = node.ints("perm")?.is_none_or(|order| order.first() != Some(&0));
            return match first.filter(|_| turns || any.is_some()) {
                Some(first) => transpose(to, node, &first).map(|known| Some(vec![known])),
                None => Ok(None),
            };
        }
        "Reshape" => operators::target_of_reshape(to, node).ok(),
        "Flatten" => first.as_ref().and_then(|first| flattened(node, first)),
        "Squeeze" | "Unsqueeze" => first.as_ref().and_then(|first| squeezed(to, node, first)),
        _ => None,
    };
    if let (Some(dims), Some(first)) = (shape, first) {
        // Where the batch stays first, the operator's own way also says what doesn't fit.
        let plain = any.is_none() && (node.op_type != "Reshape" || to.sample_of(&dims, first.id).is_ok());
        let copies = node.int("allowzero")?.unwrap_or(0) == 0;
        let goes = dims.first() != Some(&Dim::Batch { times: 1 });
        let before = match node.op_type {
            "Unsqueeze" | "Flatten" => goes,
            "Squeeze" => to.is_of_one(),
            _ => goes && to.is_of_one(),
        };
        if any.is_some() || !plain || before {
            if dims.is_empty() {
                let id = to.push(node, Reshape { shape: Some(vec![]) }, &[first.id])?;
                return single_number(to, node, id).map(|known| Some(vec![known]));
            }
            let made = first.resolved(to, &dims, copies).and_then(|dims| first.reshaped(to, dims));
            return match made {
                Ok(made) => made.known(to, node, "").map(|known| Some(vec![known])),
                Err(_) if any.is_none() => Ok(None),
                Err(problem) => Err(problem),
            };
        }
        return Ok(None);
    }
    let Some(any) = any else {
        let single = single_rows(to, node);
        if single.is_empty() {
            return Ok(None);
        }
        let replaced = single.into_iter().map(|(name, row)| {
            let row = Known::Value(Value::Constant(row));
            (name, to.known.insert(name, row))
        });
        let replaced = replaced.collect();
        let made = lower_with(to, node, BatchAxis::First, replaced)?;
        return Ok(Some(made.into_iter().map(Known::Node).collect()));
    };
    elsewhere(to, node, any)
}

/// Constants that have a row for every sample of a file's fixed batch, all alike, with one of these rows.
fn single_rows<'a>(to: &Lowering<'a>, node: &Node<'a>) -> Vec<(&'a str, Tensor)> {
    let joins =
        ARITHMETIC.contains(&node.op_type) || ["Concat", "Where", "Max", "Min", "MatMul"].contains(&node.op_type);
    let ranks = (0..node.inputs.len()).filter_map(|i| to.activation(node, i).ok()).map(|id| to.shape(id).len() + 1);
    let (Some(batch @ 2..), Some(rank)) = (to.batch.filter(|_| joins), ranks.max()) else { return Vec::new() };
    let rows = |&name: &&'a str| match to.known.get(name) {
        Some(Known::Value(Value::Constant(tensor))) if tensor.dims.len() == rank => {
            (tensor.dims[0] as i64 == batch).then(|| tensor.repeated_row()).flatten().map(|row| (name, row))
        }
        _ => None,
    };
    // Matrices that are aligned with the batch have more axes than a matrix.
    let aligned = node.op_type != "MatMul" || rank > 2;
    node.inputs.iter().filter(|_| aligned).filter_map(rows).collect()
}

/// The two axes that Flatten makes.
fn flattened(node: &Node<'_>, from: &Moved) -> Option<Vec<Dim>> {
    let rank = from.dims.len() as i64;
    let axis = node.int("axis").ok()?.unwrap_or(1);
    let axis =
        usize::try_from(if axis < 0 { axis + rank } else { axis }).ok().filter(|&axis| axis <= from.dims.len())?;
    let product = |dims: &[Dim]| dims.iter().try_fold(Dim::Known(1), |all, dim| all.by(*dim)).ok();
    Some(vec![product(&from.dims[..axis])?, product(&from.dims[axis..])?])
}

/// The axes that Squeeze and Unsqueeze make; `None`: what they say makes no sense, or is left to others.
fn squeezed<'a>(to: &Lowering<'a>, node: &Node<'a>, from: &Moved) -> Option<Vec<Dim>> {
    let rank = from.dims.len();
    let axes: Option<Vec<i64>> = match node.ints("axes").ok()? {
        Some(axes) => Some(axes.to_vec()),
        None => to.optional(node, 1).ok()?.map(|tensor| tensor.as_ints().map(<[i64]>::to_vec)).transpose().ok()?,
    };
    let made = if node.op_type == "Unsqueeze" { rank + axes.as_ref()?.len() } else { rank };
    let place =
        |&axis: &i64| usize::try_from(if axis < 0 { axis + made as i64 } else { axis }).ok().filter(|&i| i < made);
    if node.op_type == "Unsqueeze" {
        let axes: Vec<usize> = axes?.iter().map(place).collect::<Option<_>>()?;
        let mut old = from.dims.iter().copied();
        return (0..made).map(|i| if axes.contains(&i) { Some(Dim::Known(1)) } else { old.next() }).collect();
    }
    let axes: Vec<usize> = match axes {
        Some(axes) => axes.iter().map(place).collect::<Option<_>>()?,
        None => {
            let is_one = |dim: Dim| dim == Dim::Known(1) || (to.is_of_one() && dim == Dim::Batch { times: 1 });
            (0..rank).filter(|&i| is_one(from.dims[i])).collect()
        }
    };
    let kept: Vec<usize> = (0..rank).filter(|i| !axes.contains(i)).collect();
    let moves = axes.contains(&from.axis) && to.is_of_one();
    if moves && kept.is_empty() && from.sample().iter().all(|&n| n == 1) {
        return Some(Vec::new());
    }
    let dims = if moves { from.onto(*kept.first()?).dims } else { from.dims.clone() };
    if axes.iter().any(|&i| dims[i] != Dim::Known(1)) {
        return None;
    }
    Some(kept.into_iter().map(|i| dims[i]).collect())
}

fn transpose<'a>(to: &mut Lowering<'a>, node: &Node<'a>, from: &Moved) -> Result<Known, String> {
    let rank = from.dims.len();
    let order: Vec<i64> = node.ints("perm")?.map_or_else(|| (0..rank as i64).rev().collect(), <[i64]>::to_vec);
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted != (0..rank as i64).collect::<Vec<_>>() {
        return Err(format!("its order of axes is {order:?}, of {rank} axes"));
    }
    let order: Vec<usize> = order.into_iter().map(|axis| axis as usize).collect();
    let first_of = |i: usize| (0..i).map(|j| from.axes(j).len()).sum::<usize>();
    let axes: Vec<usize> = order.iter().flat_map(|&i| first_of(i)..first_of(i) + from.axes(i).len()).collect();
    let dims: Vec<Dim> = order.iter().map(|&i| from.dims[i]).collect();
    let axis = order.iter().position(|&i| i == from.axis).ok_or("its order of axes has no batch")?;
    let in_order = axes.iter().enumerate().all(|(i, &axis)| i == axis);
    let id = if in_order { from.id } else { to.push(node, Permute { axes }, &[from.id])? };
    Moved { id, dims, axis, before: from.before }.known(to, node, "")
}

/// From the whole batch in one axis, at places that are as far apart as its samples are wide: of every sample the same.
fn gather<'a>(to: &mut Lowering<'a>, node: &Node<'a>, from: &Moved, rows: &Rows) -> Result<Known, String> {
    let width: usize = to.shape(from.id).iter().product();
    let flat = from.dims.len() == 1 && from.before == 1 && node.int("axis")?.unwrap_or(0) == 0;
    let offsets = rows.offset.as_ints()?;
    let places: Option<Vec<usize>> =
        offsets.iter().map(|&at| usize::try_from(at).ok().filter(|&at| at < width)).collect();
    let Some(places) = places.filter(|_| flat && rows.step == width as i64) else {
        return Err("it takes elements from other samples of the batch".into());
    };
    let flat = to.push_part(node, "flat", Reshape { shape: None }, &[from.id])?;
    let taken = to.push_part(node, "places", SliceNode { axis: 0, places }, &[flat])?;
    let shape = rows.offset.dims[1..].to_vec();
    to.push(node, Reshape { shape: Some(shape) }, &[taken]).map(Known::Node)
}

/// Operators that take a sample as it is, wherever the batch is.
const ELEMENTWISE: [&str; 22] = [
    "Identity",
    "Cast",
    "Dropout",
    "Relu",
    "Tanh",
    "Sigmoid",
    "Gelu",
    "LeakyRelu",
    "Elu",
    "Selu",
    "HardSigmoid",
    "HardSwish",
    "Softplus",
    "Softsign",
    "Mish",
    "Abs",
    "Erf",
    "Exp",
    "Sqrt",
    "Reciprocal",
    "Neg",
    "Clip",
];
/// Those that join tensors of one shape, or one and a constant.
const ARITHMETIC: [&str; 6] = ["Add", "Sum", "Mean", "Sub", "Mul", "Div"];
/// Those along the last axis.
const PRODUCTS: [&str; 2] = ["MatMul", "Gemm"];
/// Those along axes that they name.
const ALONG: [&str; 7] = ["Softmax", "LogSoftmax", "LayerNormalization", "Gather", "Slice", "Split", "Concat"];

/// Why an operator can't take its inputs with the batch where it is; `None`: it can.
fn refusal<'a>(to: &Lowering<'a>, node: &Node<'a>, from: &Moved) -> Result<Option<String>, String> {
    let kind = node.op_type;
    let whole = from.times() == 1;
    let last = from.dims.len() - 1;
    let known = ELEMENTWISE.contains(&kind)
        || ARITHMETIC.contains(&kind)
        || (PRODUCTS.contains(&kind) && !contracts(to, node, from))
        || (whole && (ALONG.contains(&kind) || kind.starts_with("Reduce")) && !is_flat(to, node, from)?)
        || (kind == "Softmax" && from.axis < last && node.int("axis")?.unwrap_or(-1) == -1 && to.opset >= 13);
    if !known {
        let told = from.dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Ok(Some(format!("its input has the axes [{told}]; the batch must be the first")));
    }
    let apart = (0..node.inputs.len()).any(|i| match to.get(node, i) {
        Some(Known::Moved(other)) => !meet(kind, from, other),
        other => matches!(other, Some(Known::Node(_) | Known::Rows(_))),
    });
    Ok(apart.then(|| "the batch is at another place in its inputs".into()))
}

/// Whether a product of matrices sums over the batch, or has it among the rows or columns that it puts elsewhere.
fn contracts<'a>(to: &Lowering<'a>, node: &Node<'a>, from: &Moved) -> bool {
    // The rows of a left operand beside a constant are each by itself.
    let rows_alone = !to.is_constant(node, 0) && (node.op_type == "Gemm" || to.is_constant(node, 1));
    from.axis + if rows_alone { 1 } else { 2 } >= from.dims.len()
}

/// Whether it is a softmax of an older operator set, over an axis and all behind it, with the batch among them.
fn is_flat<'a>(to: &Lowering<'a>, node: &Node<'a>, from: &Moved) -> Result<bool, String> {
    if to.opset >= 13 || !matches!(node.op_type, "Softmax" | "LogSoftmax") {
        return Ok(false);
    }
    let axis = node.int("axis")?.unwrap_or(1);
    let axis = if axis < 0 { axis + from.dims.len() as i64 } else { axis };
    Ok(axis <= from.axis as i64)
}

/// Of a file for one sample: moves the batch of what a node reads to the first axis, for this node and all others.
fn bring_to_front<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<(), String> {
    for (i, &name) in node.inputs.iter().enumerate() {
        if let Some(Known::Moved(moved)) = to.get(node, i) {
            let front = moved.onto(0);
            let front = front.known(to, node, "sample")?;
            to.known.insert(name, front);
        }
    }
    Ok(())
}

/// An operator that doesn't move the batch; `None`: an ordinary node after all.
fn elsewhere<'a>(to: &mut Lowering<'a>, node: &Node<'a>, from: Moved) -> Result<Option<Vec<Known>>, String> {
    let mut from = from;
    if let Some(problem) = refusal(to, node, &from)? {
        if !to.is_of_one() {
            return Err(problem);
        }
        bring_to_front(to, node)?;
        let moved = (0..node.inputs.len()).find_map(|i| match to.get(node, i) {
            Some(Known::Moved(moved)) => Some(moved.clone()),
            _ => None,
        });
        let Some(moved) = moved else { return Ok(None) };
        from = moved;
        if let Some(problem) = refusal(to, node, &from)? {
            return if stays_itself(node.op_type) { outside(to, node).map(Some) } else { Err(problem) };
        }
    }
    let misfits = |i: usize| match to.get(node, i) {
        Some(Known::Value(Value::Constant(tensor))) if ARITHMETIC.contains(&node.op_type) => {
            without_batch(to, tensor, &from).is_err()
        }
        _ => false,
    };
    // What it makes would have more axes than what it reads.
    let deepens = |i: usize| match to.get(node, i) {
        Some(Known::Value(Value::Constant(tensor))) => tensor.dims.len() > from.dims.len(),
        Some(Known::Rows(rows)) => rows.offset.dims.len() > from.dims.len(),
        _ => false,
    };
    let spreads = ARITHMETIC.contains(&node.op_type) || node.op_type == "MatMul";
    let deepened = spreads && (0..node.inputs.len()).any(deepens);
    if to.is_of_one() && (deepened || (0..node.inputs.len()).any(misfits)) {
        return outside(to, node).map(Some);
    }
    if deepened {
        return Err("its constant has more axes than its input, whose batch isn't the first".into());
    }
    // The operator sees samples, and constants without the batch's axis.
    let mut replaced = Vec::new();
    for (i, &name) in node.inputs.iter().enumerate() {
        let instead = match to.get(node, i) {
            Some(Known::Moved(other)) => Known::Node(other.id),
            Some(Known::Value(Value::Constant(tensor))) if ARITHMETIC.contains(&node.op_type) => {
                Known::Value(Value::Constant(without_batch(to, tensor, &from)?))
            }
            _ => continue,
        };
        replaced.push((name, to.known.insert(name, instead)));
    }
    let made = lower_with(to, node, BatchAxis::At(from.axis), replaced)?;
    made.into_iter().map(|id| around(to, node, &from, id)).collect::<Result<_, _>>().map(Some)
}

/// Lowers an operator for which some names stand for something else; what they stood for comes back.
fn lower_with<'a>(
    to: &mut Lowering<'a>,
    node: &Node<'a>,
    batch_axis: BatchAxis,
    replaced: Vec<(&'a str, Option<Known>)>,
) -> Result<Vec<NodeId>, String> {
    let outer = std::mem::replace(&mut to.batch_axis, batch_axis);
    let made = operators::lower(to, node);
    to.batch_axis = outer;
    for (name, known) in replaced.into_iter().rev() {
        to.known.extend(known.map(|known| (name, known)));
    }
    made
}

/// Operators that mean the same of samples with all axes of the file.
fn stays_itself(kind: &str) -> bool {
    [&ELEMENTWISE[..], &ARITHMETIC, &PRODUCTS, &ALONG].concat().contains(&kind) || kind.starts_with("Reduce")
}

/// Whether an operator works along the batch of what it reads, or over it.
fn works_along<'a>(to: &Lowering<'a>, node: &Node<'a>, from: &Moved) -> Result<bool, String> {
    let is_batch = |axis: i64| axis == from.axis as i64 || axis + from.dims.len() as i64 == from.axis as i64;
    let axis = |default: i64| Ok(is_batch(node.int("axis")?.unwrap_or(default)));
    match node.op_type {
        "Gather" | "Split" | "Concat" => axis(0),
        "Softmax" | "LogSoftmax" if to.opset >= 13 => axis(-1),
        "Softmax" | "LogSoftmax" => is_flat(to, node, from),
        "Slice" => Ok(operators::cuts_of(to, node)?.iter().any(|cut| is_batch(cut.axis) && !cut.is_whole())),
        kind if kind.starts_with("Reduce") => {
            match operators::listed(to, node, 1, "axes")?.filter(|axes| !axes.is_empty()) {
                Some(axes) => Ok(axes.into_iter().any(is_batch)),
                None => Ok(node.int("noop_with_empty_axes")?.unwrap_or(0) == 0),
            }
        }
        _ => Ok(false),
    }
}

/// Of a file for one sample: an operator on samples that have all axes of the file, whatever stands for the batch among them.
fn outside<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<Vec<Known>, String> {
    let mut names: Vec<&'a str> = Vec::new();
    for &name in &node.inputs {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    // Where tensors are spread over each other they are aligned at their last axes.
    let rank_of = |known: &Known| match known {
        Known::Node(id) => to.shape(*id).len() + 1,
        Known::Moved(moved) => moved.dims.len(),
        Known::Value(Value::Constant(tensor)) => tensor.dims.len(),
        Known::Rows(rows) => rows.offset.dims.len(),
        _ => 0,
    };
    let ranks = || names.iter().filter_map(|name| to.known.get(name)).map(rank_of);
    // (A vector in a product is none of its axes.)
    let aligned = match node.op_type {
        "MatMul" => ranks().all(|rank| rank > 1),
        kind => ARITHMETIC.contains(&kind),
    };
    let rank = ranks().max().filter(|_| aligned).unwrap_or(0);
    let mut replaced = Vec::new();
    for name in names {
        let from = match to.known.get(name) {
            Some(Known::Node(id)) => Moved::plain(to, *id),
            Some(Known::Moved(moved)) => moved.clone(),
            _ => continue,
        };
        let size = |dim: &Dim| match dim {
            Dim::Known(n) | Dim::Batch { times: n } => usize::try_from(*n).unwrap_or(1),
        };
        let own = from.dims.iter().map(size);
        let shape: Vec<usize> = std::iter::repeat_n(1, rank.saturating_sub(from.dims.len())).chain(own).collect();
        let id = to.push_part(node, "all axes", Reshape { shape: Some(shape) }, &[from.id])?;
        replaced.push((name, to.known.insert(name, Known::Node(id))));
    }
    let made = lower_with(to, node, BatchAxis::Outside, replaced)?;
    let mut known = Vec::new();
    for id in made {
        let mut dims: Vec<Dim> = to.shape(id).iter().map(|&n| Dim::Known(n as i64)).collect();
        Moved::find_batch_of_one(&mut dims);
        known.push(match dims.iter().position(|dim| matches!(dim, Dim::Batch { .. })) {
            Some(axis) => Moved { id, dims, axis, before: 1 }.known(to, node, "")?,
            None => single_number(to, node, id)?,
        });
    }
    Ok(known)
}

/// What a file for one sample makes as a number without axes: its output, or nothing that can be gone on with, for the batch is no axis
/// of it.
fn single_number<'a>(to: &Lowering<'a>, node: &Node<'a>, id: NodeId) -> Result<Known, String> {
    match node.outputs[..] == [to.end] {
        true => Ok(Known::Node(id)),
        false => Err("it makes a single number without axes, which is supported at the end alone".into()),
    }
}

/// Whether two tensors can be an operator's inputs as samples: all their axes are alike, or those that a product of matrices leaves
/// as they are, with the batch among them.
fn meet(kind: &str, a: &Moved, b: &Moved) -> bool {
    let kept = if kind == "MatMul" { a.dims.len().saturating_sub(2) } else { a.dims.len() };
    // (What a product may have of its batch among its last axes, `contracts` says.)
    let alike = (a.dims.len(), a.axis, a.before) == (b.dims.len(), b.axis, b.before);
    // The one tensor beside a constant one has its batch wherever it is.
    a == b || (alike && a.axis < kept && a.dims[..kept] == b.dims[..kept])
}

/// A constant that meets a tensor aligned at the last axes, for its samples.
fn without_batch(to: &Lowering<'_>, tensor: &Tensor, from: &Moved) -> Result<Tensor, String> {
    let misfit = || format!("its constant of the shape {:?} meets the batch", tensor.dims);
    let behind = from.dims.len() - 1 - from.axis;
    let Some(place) = tensor.dims.len().checked_sub(behind + 1) else { return Ok(tensor.clone()) };
    if tensor.data.len() == 1 {
        return Ok(Tensor { dims: vec![], ..tensor.clone() });
    }
    if tensor.dims.len() > from.dims.len() {
        return Err(misfit());
    }
    // A batch that is the outer part of an axis leaves that axis to the samples.
    let one_axis = from.axes(from.axis).len() == 1;
    if one_axis && (tensor.dims[place] == 1 || (to.is_of_one() && tensor.dims[place] == from.times())) {
        return Ok(tensor.clone());
    }
    if tensor.dims[place] != 1 || from.times() != 1 {
        return Err(misfit());
    }
    let mut dims = tensor.dims.clone();
    dims.remove(place);
    Ok(Tensor { dims, ..tensor.clone() })
}

/// A result with its axes in the file.
fn around<'a>(to: &mut Lowering<'a>, node: &Node<'a>, from: &Moved, id: NodeId) -> Result<Known, String> {
    let (own, made) = (from.sample(), to.shape(id).to_vec());
    let (mut dims, mut axis) = (from.dims.clone(), from.axis);
    // A single place drops its axis, and a reduction may drop all of its own.
    let dropped = match node.op_type {
        "Gather" => vec![node.int("axis")?.unwrap_or(0)],
        kind if kind.starts_with("Reduce") => operators::listed(to, node, 1, "axes")?.unwrap_or_default(),
        _ => Vec::new(),
    };
    let place = |&at: &i64| usize::try_from(if at < 0 { at + dims.len() as i64 } else { at }).unwrap_or(usize::MAX);
    let mut dropped: Vec<usize> = dropped.iter().map(place).collect();
    dropped.sort_unstable();
    dropped.dedup();
    if !dropped.is_empty() && made.len() + dropped.len() == own.len() {
        for at in dropped.into_iter().rev().filter(|&at| at < from.dims.len()) {
            dims.remove(at);
            axis -= usize::from(at < axis);
        }
    } else if made.len() != own.len() {
        return Err(format!("it makes samples of {made:?} of {own:?}, with the batch elsewhere; that isn't supported"));
    }
    if from.times() == 1 {
        let mut sizes = made.iter();
        for (i, dim) in dims.iter_mut().enumerate().filter(|(i, _)| *i != axis) {
            *dim = Dim::Known(*sizes.next().ok_or_else(|| format!("it has no axis {i}"))? as i64);
        }
    } else if let (Some(dim), Some(&size)) = (dims.last_mut().filter(|dim| matches!(dim, Dim::Known(_))), made.last()) {
        *dim = Dim::Known(size as i64);
    }
    Moved { id, dims, axis, before: from.before }.known(to, node, "")
}
