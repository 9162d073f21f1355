//! What moves, drops or sums elements.

use super::spread::{room, scaled};
use super::{axes_of, numbers};
use crate::model_file::onnx::fold::{Dim, Value};
use crate::model_file::onnx::lowering::{BatchAxis, Known, LONGEST, Lowering};
use crate::model_file::onnx::tensor::Tensor;
use crate::model_file::onnx::wire::Node;
use crate::network::{AddNode, Beyond, Broadcast, By, ConcatNode, NodeId, Pad, Permute, Reshape, SliceNode};

pub(super) fn flatten<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let rank = to.shape(input).len() as i64 + 1;
    let axis = node.int("axis")?.unwrap_or(1);
    if axis != 1 && axis + rank != 1 {
        return Err(format!("its axis is {axis}; 1 is supported, which keeps the batch"));
    }
    to.push(node, Reshape { shape: None }, &[input])
}

/// What a Reshape makes, as the node says it.
pub(in crate::model_file::onnx) fn target_of_reshape<'a>(
    to: &Lowering<'a>,
    node: &Node<'a>,
) -> Result<Vec<Dim>, String> {
    let known = |n: &[i64]| n.iter().map(|&n| Dim::Known(n)).collect();
    match (to.get(node, 1), node.ints("shape")?) {
        (Some(Known::Value(Value::Constant(tensor))), _) => Ok(known(tensor.as_ints()?)),
        (Some(Known::Value(Value::Shape(symbolic))), _) => Ok(symbolic.elements.clone()),
        (None, Some(shape)) => Ok(known(shape)),
        _ => Err("the shape that it makes isn't a constant".into()),
    }
}

pub(super) fn reshape<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let dims = target_of_reshape(to, node)?;
    if node.int("allowzero")?.unwrap_or(0) != 0 && dims.contains(&Dim::Known(0)) {
        return Err("it makes an axis of size 0".into());
    }
    let shape = to.sample_of(&dims, input)?;
    to.push(node, Reshape { shape: Some(shape) }, &[input])
}

pub(super) fn squeeze<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let shape = to.shape(input).to_vec();
    let mut new = Vec::new();
    if node.op_type == "Squeeze" {
        let axes = axes_of(to, node, shape.len() + 1)?;
        for (i, &n) in shape.iter().enumerate() {
            let listed = axes.as_ref().map_or(n == 1, |axes| axes.contains(&(i + 1)));
            if listed && n != 1 {
                return Err(format!("it takes off axis {}, which has the size {n}", i + 1));
            }
            if !listed {
                new.push(n);
            }
        }
        if axes.is_some_and(|axes| axes.contains(&0)) {
            return Err("it takes off the batch".into());
        }
    } else {
        let count = node.ints("axes")?.map(<[i64]>::len).or(to.optional(node, 1)?.map(|t| t.data.len())).unwrap_or(0);
        let axes = axes_of(to, node, shape.len() + 1 + count)?.ok_or("it has no axes")?;
        if axes.contains(&0) {
            return Err("it puts an axis before the batch".into());
        }
        let mut old = shape.iter().copied();
        let rank = shape.len() + count;
        new.extend((1..=rank).filter_map(|i| if axes.contains(&i) { Some(1) } else { old.next() }));
    }
    to.push(node, Reshape { shape: Some(new) }, &[input])
}

/// Along any axis of a sample: the axis goes to the front, and back. Constants of every sample are added where zeros were put.
pub(super) fn concat<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let (mut inputs, mut constants) = (Vec::new(), Vec::new());
    for i in 0..node.inputs.len() {
        if to.is_constant(node, i) {
            constants.push(i);
        } else {
            inputs.push(to.activation(node, i)?);
        }
    }
    let shape = to.shape(*inputs.first().ok_or("it has no inputs")?).to_vec();
    let rank = shape.len();
    let axis = to.axis_of(node.int("axis")?.ok_or("it has no axis")?, rank)?;
    let rest = |shape: &[usize]| -> Vec<usize> { (0..shape.len()).filter(|&i| i != axis).map(|i| shape[i]).collect() };
    let first = rest(&shape);
    if inputs.iter().any(|&id| to.shape(id).len() != rank || rest(to.shape(id)) != first) {
        let shapes: Vec<&[usize]> = inputs.iter().map(|&id| to.shape(id)).collect();
        return Err(format!("it joins samples of the shapes {shapes:?} along axis {axis}"));
    }
    if !constants.is_empty() {
        return concat_constants(to, node, axis);
    }
    if let [one] = inputs[..] {
        return Ok(one);
    }
    if axis == 0 {
        return to.push(node, ConcatNode {}, &inputs);
    }
    let mut axes: Vec<usize> = (0..rank).filter(|&i| i != axis).collect();
    axes.insert(0, axis);
    let mut turned = Vec::new();
    for &input in &inputs {
        turned.push(to.push_part(node, "turned", Permute { axes: axes.clone() }, &[input])?);
    }
    let joined = to.push_part(node, "joined", ConcatNode {}, &turned)?;
    let back = (0..rank).map(|i| axes.iter().position(|&a| a == i).unwrap_or(0)).collect();
    to.push(node, Permute { axes: back }, &[joined])
}

/// Every activation among zeros, and their sum; what the constants are is added at last.
fn concat_constants<'a>(to: &mut Lowering<'a>, node: &Node<'a>, axis: usize) -> Result<NodeId, String> {
    // The batch's axis, of one row.
    let (batch, ones) = (usize::from(to.batch_axis != BatchAxis::Outside), [1]);
    let mut sizes = Vec::new();
    for i in 0..node.inputs.len() {
        let fits =
            |dims: &[usize]| (dims.len() > batch + axis && dims[..batch] == ones[..batch]).then(|| dims[batch + axis]);
        sizes.push(match to.get(node, i) {
            Some(Known::Node(id)) => to.shape(*id)[axis],
            _ => fits(&to.constant(node, i)?.dims).ok_or("it joins a constant that isn't one of every sample")?,
        });
    }
    let all = sizes.iter().try_fold(0usize, |all, &n| all.checked_add(n)).filter(|&n| n < 1 << 27);
    let all = all.ok_or("it makes too long an axis")?;
    let (mut begin, mut sum, mut shift) = (0, None, Vec::new());
    for (i, &size) in sizes.iter().enumerate() {
        match to.get(node, i) {
            Some(Known::Node(id)) => {
                let (id, rank) = (*id, to.shape(*id).len());
                let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
                (before[axis], after[axis]) = (begin, all - begin - size);
                let placed = to.push_part(node, "placed", Pad { before, after, beyond: Beyond::Zero }, &[id])?;
                sum = Some(match sum {
                    Some(sum) => to.push_part(node, "sum", AddNode {}, &[sum, placed])?,
                    None => placed,
                });
            }
            _ => {
                let tensor = to.constant(node, i)?;
                shift.push((begin, tensor.dims[batch..].to_vec(), numbers(tensor)?));
            }
        }
        begin += size;
    }
    let sum = sum.ok_or("it has no inputs")?;
    let shape = to.shape(sum).to_vec();
    let inner: usize = shape[axis + 1..].iter().product();
    let mut shifts = vec![0.0; room(&shape)?];
    for (begin, dims, values) in shift {
        let mut filled = shape.clone();
        filled[axis] = dims[axis];
        if dims != filled {
            return Err(format!("it joins a constant of {dims:?} into samples of {shape:?}"));
        }
        let run = dims[axis] * inner;
        for (outer, run_values) in values.chunks_exact(run.max(1)).enumerate() {
            shifts[outer * shape[axis] * inner + begin * inner..][..run].copy_from_slice(run_values);
        }
    }
    let ones = vec![1.0; shifts.len()];
    scaled(to, node, "", sum, By::Element, ones, shifts)
}

pub(super) fn transpose<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let rank = to.shape(input).len() + 1;
    let order: Vec<i64> = node.ints("perm")?.map_or_else(|| (0..rank as i64).rev().collect(), <[i64]>::to_vec);
    match order.split_first() {
        Some((0, rest)) if rest.iter().all(|&axis| axis > 0) => {
            if rest.is_empty() && rank == 1 {
                return Ok(input);
            }
            let axes = rest.iter().map(|&axis| axis as usize - 1).collect();
            to.push(node, Permute { axes }, &[input])
        }
        _ => Err(format!("its order of axes is {order:?}; the batch, axis 0, must stay first")),
    }
}

/// An integer constant behind an input, or of an attribute of older operator sets.
pub(in crate::model_file::onnx) fn listed<'a>(
    to: &Lowering<'a>,
    node: &Node<'a>,
    i: usize,
    name: &str,
) -> Result<Option<Vec<i64>>, String> {
    if let Some(ints) = node.ints(name)? {
        return Ok(Some(ints.to_vec()));
    }
    to.optional(node, i)?.map(|tensor| tensor.as_ints().map(<[i64]>::to_vec)).transpose()
}

/// What a Slice takes along an axis.
pub(in crate::model_file::onnx) struct Cut {
    pub axis: i64,
    start: i64,
    end: i64,
    step: i64,
}

impl Cut {
    /// Whether it takes all of an axis of any size.
    pub fn is_whole(&self) -> bool {
        self.start == 0 && self.step == 1 && self.end >= i64::from(i32::MAX)
    }
}

pub(in crate::model_file::onnx) fn cuts_of<'a>(to: &Lowering<'a>, node: &Node<'a>) -> Result<Vec<Cut>, String> {
    let starts = listed(to, node, 1, "starts")?.ok_or("it has no starts")?;
    let ends = listed(to, node, 2, "ends")?.ok_or("it has no ends")?;
    let axes = listed(to, node, 3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = listed(to, node, 4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err("its starts, ends, axes and steps are not as many".into());
    }
    let each = starts.into_iter().zip(ends).zip(axes).zip(steps);
    Ok(each.map(|(((start, end), axis), step)| Cut { axis, start, end, step }).collect())
}

pub(super) fn slice<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let mut id = to.activation(node, 0)?;
    let rank = to.shape(id).len();
    let cuts = cuts_of(to, node)?;
    let count = cuts.len();
    for (i, cut) in cuts.into_iter().enumerate() {
        // All of the batch is all that can be taken of it.
        let Some(axis) = to.place_of(cut.axis, rank)? else {
            if !cut.is_whole() {
                return Err("it takes a part of the batch".into());
            }
            continue;
        };
        let Cut { start, end, step, .. } = cut;
        let size = to.shape(id)[axis] as i64;
        let place = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        let places: Vec<usize> = match step {
            1.. => {
                let (from, until) = (place(start).clamp(0, size), place(end).clamp(0, size));
                (from..until).step_by(step as usize).map(|at| at as usize).collect()
            }
            ..=-1 => {
                let (from, until) = (place(start).clamp(-1, size - 1), place(end).clamp(-1, size - 1));
                let back = step.unsigned_abs() as usize;
                (until + 1..=from).rev().step_by(back).map(|at| at as usize).collect()
            }
            0 => return Err("its step is 0".into()),
        };
        let part = if i + 1 == count { String::new() } else { format!("axis {axis}") };
        id = to.push_part(node, &part, SliceNode { axis, places }, &[id])?;
    }
    Ok(id)
}

/// One node for each part.
pub(super) fn split<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<Vec<NodeId>, String> {
    let input = to.activation(node, 0)?;
    let axis = to.axis_of(node.int("axis")?.unwrap_or(0), to.shape(input).len())?;
    let (size, count) = (to.shape(input)[axis], node.outputs.len());
    let sizes = match listed(to, node, 1, "split")? {
        Some(sizes) => {
            let part = |&n: &i64| usize::try_from(n).map_err(|_| format!("it cuts {size} elements into {sizes:?}"));
            sizes.iter().map(part).collect::<Result<_, _>>()?
        }
        None => {
            let each = size.div_ceil(count.max(1));
            (0..count).map(|i| each.min(size.saturating_sub(i * each))).collect::<Vec<_>>()
        }
    };
    if sizes.len() != count || sizes.iter().try_fold(0usize, |all, &n| all.checked_add(n)) != Some(size) {
        return Err(format!("it cuts {size} elements into {sizes:?}, for {count} outputs"));
    }
    let mut begin = 0;
    let mut made = Vec::new();
    for (i, n) in sizes.into_iter().enumerate() {
        let places = (begin..begin + n).collect();
        made.push(to.push_part(node, &i.to_string(), SliceNode { axis, places }, &[input])?);
        begin += n;
    }
    Ok(made)
}

/// A GatherND of constant places along the first axis of an activation, as PyTorch's newer exporter writes `x[:, [1, 3]]`, is a Gather.
pub(in crate::model_file::onnx) fn as_gather<'a>(
    to: &Lowering<'a>,
    node: &Node<'a>,
) -> Result<Option<(Node<'a>, Tensor)>, String> {
    if node.op_type != "GatherND" || to.is_constant(node, 0) || !matches!(node.domain, "" | "ai.onnx") {
        return Ok(None);
    }
    let places = to.constant(node, 1)?;
    let Some((1, dims)) = places.dims.split_last().filter(|_| node.int("batch_dims").unwrap_or(None).unwrap_or(0) == 0)
    else {
        return Err(
            "it takes elements by several axes, or by others in each sample; places along one axis are supported"
                .into(),
        );
    };
    let (inputs, outputs) = (node.inputs.clone(), node.outputs.clone());
    let gather = Node { op_type: "Gather", attributes: Vec::new(), inputs, outputs, ..*node };
    Ok(Some((gather, Tensor { dims: dims.to_vec(), ..places.clone() })))
}

/// With constant indices, whose axes stand in the place of the one that they are taken from.
pub(super) fn gather<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let shape = to.shape(input).to_vec();
    let axis = to.axis_of(node.int("axis")?.unwrap_or(0), shape.len())?;
    let indices = to.constant(node, 1)?;
    let size = shape[axis] as i64;
    let place = |&i: &i64| usize::try_from(if i < 0 { i.saturating_add(size) } else { i }).unwrap_or(usize::MAX);
    let places: Vec<usize> = indices.as_ints()?.iter().map(place).collect();
    let own = indices.dims.clone();
    if own.len() == 1 {
        return to.push(node, SliceNode { axis, places }, &[input]);
    }
    let taken = to.push_part(node, "places", SliceNode { axis, places }, &[input])?;
    let mut made = shape;
    made.splice(axis..=axis, own);
    to.push(node, Reshape { shape: Some(made) }, &[taken])
}

/// Columns by their numbers, scikit-learn's.
pub(super) fn columns<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let &[all] = to.shape(input) else {
        return Err(format!("its samples have the shape {:?}; one axis is supported", to.shape(input)));
    };
    let numbers = to.constant(node, 1)?.as_ints()?;
    let places: Option<Vec<usize>> =
        numbers.iter().map(|&i| usize::try_from(i).ok().filter(|&place| place < all)).collect();
    let places = places.ok_or_else(|| format!("it takes the columns {numbers:?} of {all}"))?;
    to.push(node, SliceNode { axis: 0, places }, &[input])
}

pub(super) fn pad<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let rank = to.shape(input).len();
    let pads = listed(to, node, 1, "pads")?.ok_or("it has no pads")?;
    let axes: Vec<usize> = match to.optional(node, 3)? {
        Some(tensor) => {
            let place = |&axis: &i64| {
                let place = if axis < 0 { axis + rank as i64 + 1 } else { axis };
                usize::try_from(place)
                    .ok()
                    .filter(|&place| place <= rank)
                    .ok_or_else(|| format!("it has no axis {axis}"))
            };
            tensor.as_ints()?.iter().map(place).collect::<Result<_, _>>()?
        }
        None => (0..=rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(format!("its pads are {pads:?}, for {} axes", axes.len()));
    }
    let (mut before, mut after) = (vec![0; rank + 1], vec![0; rank + 1]);
    for (i, &axis) in axes.iter().enumerate() {
        let size = |n: i64| usize::try_from(n).map_err(|_| format!("its pads {pads:?} cut elements off"));
        (before[axis], after[axis]) = (size(pads[i])?, size(pads[i + axes.len()])?);
    }
    if before[0] + after[0] > 0 {
        return Err("it pads the batch".into());
    }
    let beyond = match node.text("mode")? {
        None | Some("constant") => Beyond::Zero,
        Some("reflect") => Beyond::Reflect,
        Some("edge") => Beyond::Edge,
        Some(other) => return Err(format!("its mode is {other}; constant, reflect and edge are supported")),
    };
    let value = match (node.float("value")?, to.optional(node, 2)?) {
        (Some(value), _) => f64::from(value),
        (None, Some(tensor)) => numbers(tensor)?.first().copied().unwrap_or(0.0),
        (None, None) => 0.0,
    };
    let (before, after) = (before.split_off(1), after.split_off(1));
    if beyond != Beyond::Zero || value == 0.0 {
        return to.push(node, Pad { before, after, beyond }, &[input]);
    }
    // Zeros, and the value added to them.
    let own = to.shape(input).to_vec();
    let padded = to.push_part(node, "zeros", Pad { before: before.clone(), after, beyond }, &[input])?;
    let shape = to.shape(padded).to_vec();
    let shift = |mut flat: usize| {
        let mut inside = true;
        for (axis, &size) in shape.iter().enumerate().rev() {
            inside &= (before[axis]..before[axis] + own[axis]).contains(&(flat % size));
            flat /= size;
        }
        if inside { 0.0 } else { value }
    };
    let shift: Vec<f64> = (0..room(&shape)?).map(shift).collect();
    scaled(to, node, "", padded, By::Element, vec![1.0; shift.len()], shift)
}

/// A sample spread over the axes where it has the size 1.
pub(super) fn expand<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let own = to.shape(input).to_vec();
    let target: Vec<Dim> = match to.get(node, 1) {
        Some(Known::Value(Value::Constant(tensor))) => tensor.as_ints()?.iter().map(|&n| Dim::Known(n)).collect(),
        Some(Known::Value(Value::Shape(symbolic))) => symbolic.elements.clone(),
        _ => return Err("the shape that it makes isn't a constant".into()),
    };
    let batch = to.batch;
    let keeps_batch = |first: &Dim| match first {
        Dim::Batch { times } => *times == 1,
        Dim::Known(n) => *n == 1 || Some(*n) == batch,
    };
    let rank = own.len() + 1;
    // Aligned at the last axes.
    let Some(missing) = rank.checked_sub(target.len()) else {
        return Err(format!("it spreads {rank} axes over {}, which puts an axis before the batch", target.len()));
    };
    if missing == 0 && !target.first().is_some_and(keeps_batch) {
        return Err("it repeats the samples of a batch".into());
    }
    let mut shape = own.clone();
    for (i, dim) in target.iter().enumerate().filter(|(i, _)| i + missing > 0) {
        let size = &mut shape[i + missing - 1];
        match dim {
            Dim::Known(n @ 1..=LONGEST) if *size == 1 => *size = *n as usize,
            Dim::Known(n) if *n == 1 || *n == *size as i64 => {}
            Dim::Known(n) if *size == 1 && *n > LONGEST => {
                return Err(format!(
                    "it spreads samples over {n} elements, which is too large; {LONGEST} are supported"
                ));
            }
            _ => return Err(format!("it spreads samples of {own:?} over an axis of {dim}")),
        }
    }
    if shape == own {
        return Ok(input);
    }
    to.push(node, Broadcast { shape }, &[input])
}

/// Repeated along its axes.
pub(super) fn tile<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let mut id = to.activation(node, 0)?;
    let rank = to.shape(id).len();
    let times = to.constant(node, 1)?.as_ints()?.to_vec();
    let Some((1, times)) = times.split_first().filter(|_| times.len() == rank + 1) else {
        return Err(format!("it repeats {times:?} times; the batch, the first of {} axes, must stay", rank + 1));
    };
    for (axis, &times) in times.iter().enumerate().filter(|(_, times)| **times != 1) {
        let shape = to.shape(id).to_vec();
        let (before, [size, behind @ ..]) = shape.split_at(axis) else { return Err("it has no such axis".into()) };
        let count = match times {
            1..=LONGEST => times as usize,
            _ if times > LONGEST => {
                return Err(format!("it repeats {times} times, which is too large; {LONGEST} is supported"));
            }
            _ => return Err(format!("it repeats {times} times along axis {}", axis + 1)),
        };
        let all = count.checked_mul(*size).ok_or("it makes too long an axis")?;
        let axes = |first: usize| [before, &[first, *size], behind].concat();
        let one = to.push_part(node, "one", Reshape { shape: Some(axes(1)) }, &[id])?;
        let several = Broadcast { shape: axes(count) };
        let several = to.push_part(node, "several", several, &[one])?;
        id = to.push_part(node, "", Reshape { shape: Some([before, &[all], behind].concat()) }, &[several])?;
    }
    Ok(id)
}

/// Of a picture's blocks along a side.
const MOST_BLOCK: i64 = 1 << 12;

/// Between channels and blocks of a picture.
pub(super) fn blocks<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let shape = to.shape(input).to_vec();
    let &[c, h, w] = &shape[..] else {
        return Err(format!("its samples have the shape {shape:?}; three axes are supported"));
    };
    // Its square is a number of channels.
    let b = match node.int("blocksize")?.ok_or("it has no blocksize")? {
        n @ 1..=MOST_BLOCK => n as usize,
        n if n > MOST_BLOCK => {
            return Err(format!("its blocksize is {n}, which is too large; {MOST_BLOCK} is supported"));
        }
        n => return Err(format!("its blocksize is {n}; it must be 1 at least")),
    };
    let (cut, axes, made) = if node.op_type == "DepthToSpace" {
        let rest = c / (b * b);
        let axes = match node.text("mode")? {
            None | Some("DCR") => ([b, b, rest, h, w], vec![2, 3, 0, 4, 1]),
            Some("CRD") => ([rest, b, b, h, w], vec![0, 3, 1, 4, 2]),
            Some(other) => return Err(format!("its mode {other:?} isn't one of ONNX's")),
        };
        (axes.0, axes.1, vec![rest, h * b, w * b])
    } else {
        let axes = match node.text("mode")? {
            None | Some("DCR") => vec![2, 4, 0, 1, 3],
            Some("CRD") => vec![0, 2, 4, 1, 3],
            Some(other) => return Err(format!("its mode {other:?} isn't one of ONNX's")),
        };
        ([c, h / b, b, w / b, b], axes, vec![c * b * b, h / b, w / b])
    };
    if cut.iter().product::<usize>() != c * h * w {
        return Err(format!("samples of {shape:?} don't come in blocks of {b}"));
    }
    let cut = to.push_part(node, "blocks", Reshape { shape: Some(cut.to_vec()) }, &[input])?;
    let turned = to.push_part(node, "turned", Permute { axes }, &[cut])?;
    to.push(node, Reshape { shape: Some(made) }, &[turned])
}
