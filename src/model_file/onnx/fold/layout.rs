//! Operators that move elements without changing them.

use super::super::tensor::{Data, Tensor};
use super::arithmetic::reals;
use super::create::{lengths, zero};
use super::walk::{Walk, broadcast, join, strides};
use super::{Call, MOST_FOLDED, Operand, Value, place, within};

/// Identity.
pub(super) fn identity(call: &Call) -> Result<Value, String> {
    let data = call.operand(0)?;
    call.room(data.dims())?;
    Ok(data.reshaped(data.dims().to_vec()))
}

/// Reshape: 0 keeps an axis (unless `allowzero`), -1 takes what is left.
pub(super) fn reshape(call: &Call) -> Result<Value, String> {
    let data = call.operand(0)?;
    let target = call.list("shape", 1)?.ok_or("its shape is missing")?;
    let zero_is_zero = call.flag("allowzero")?;
    let mut dims = Vec::new();
    for (axis, &n) in target.iter().enumerate() {
        dims.push(match n {
            -1 => 1,
            0 if !zero_is_zero => {
                *data.dims().get(axis).ok_or_else(|| format!("it keeps axis {axis}, which isn't there"))?
            }
            _ => usize::try_from(n).map_err(|_| format!("an axis would have the length {n}"))?,
        });
    }
    let mut open = (0..target.len()).filter(|&axis| target[axis] == -1);
    within(&dims, MOST_FOLDED)?;
    let others = dims.iter().product::<usize>();
    if let Some(axis) = open.next() {
        if open.next().is_some() || others == 0 {
            return Err(format!("the shape {target:?} leaves more open than one length"));
        }
        dims[axis] = data.len() / others;
    }
    if dims.iter().product::<usize>() != data.len() {
        return Err(format!("{} elements don't fit into the shape {target:?}", data.len()));
    }
    call.room(&dims)?;
    Ok(data.reshaped(dims))
}

/// Flatten: a matrix of the axes before `axis` and those from there on.
pub(super) fn flatten(call: &Call) -> Result<Value, String> {
    let data = call.operand(0)?;
    let dims = data.dims();
    // One place more than there are axes: behind the last.
    let axis = match call.node.int("axis")?.unwrap_or(1) {
        at if at < 0 => place(at, dims.len())?,
        at => place(at, dims.len() + 1)?,
    };
    call.room(dims)?;
    Ok(data.reshaped(vec![dims[..axis].iter().product(), dims[axis..].iter().product()]))
}

/// Squeeze: without the named axes of length 1, or without all of them.
pub(super) fn squeeze(call: &Call) -> Result<Value, String> {
    let data = call.operand(0)?;
    let dims = data.dims();
    let gone = match call.list("axes", 1)? {
        Some(axes) => flags(&axes, dims.len())?,
        None => dims.iter().map(|&n| n == 1).collect(),
    };
    if let Some(axis) = (0..dims.len()).find(|&axis| gone[axis] && dims[axis] != 1) {
        return Err(format!("axis {axis} has the length {} and can't be left out", dims[axis]));
    }
    call.room(dims)?;
    Ok(data.reshaped((0..dims.len()).filter(|&axis| !gone[axis]).map(|axis| dims[axis]).collect()))
}

/// Unsqueeze: with new axes of length 1 where they are named in the result.
pub(super) fn unsqueeze(call: &Call) -> Result<Value, String> {
    let data = call.operand(0)?;
    let axes = call.list("axes", 1)?.ok_or("its axes are missing")?;
    let new = flags(&axes, data.dims().len() + axes.len())?;
    if new.iter().filter(|&&new| new).count() != axes.len() {
        return Err(format!("its axes {axes:?} name one twice"));
    }
    let mut old = data.dims().iter();
    let dims: Vec<usize> = new.iter().map(|&new| if new { 1 } else { *old.next().unwrap_or(&1) }).collect();
    call.room(&dims)?;
    Ok(data.reshaped(dims))
}

/// Which of `rank` axes are named.
pub(super) fn flags(axes: &[i64], rank: usize) -> Result<Vec<bool>, String> {
    let mut flags = vec![false; rank];
    for &axis in axes {
        flags[place(axis, rank)?] = true;
    }
    Ok(flags)
}

/// Transpose: the axes in the order `perm`, or backwards.
pub(super) fn transpose(call: &Call) -> Result<Value, String> {
    let data = call.operand(0)?;
    let (dims, strides) = (data.dims(), strides(data.dims()));
    let order = match call.node.ints("perm")? {
        Some(perm) => perm.iter().map(|&axis| place(axis, dims.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..dims.len()).rev().collect(),
    };
    if (0..dims.len()).any(|axis| !order.contains(&axis)) || order.len() != dims.len() {
        return Err(format!("its perm {order:?} doesn't name every axis of {dims:?} once"));
    }
    call.room(dims)?;
    let tables = order.iter().map(|&axis| (0..dims[axis]).map(|i| i * strides[axis]).collect()).collect();
    let dims = order.iter().map(|&axis| dims[axis]).collect();
    Ok(data.pick(dims, Walk { tables }.indices()))
}

/// Expand: broadcast to a shape, or to what that broadcasts to.
pub(super) fn expand(call: &Call) -> Result<Value, String> {
    let data = call.operand(0)?;
    let dims = broadcast(data.dims(), &lengths(call.constant(1)?.as_ints()?)?)?;
    call.room(&dims)?;
    let walk = Walk::broadcast(data.dims(), &dims);
    Ok(data.pick(dims, walk.indices()))
}

/// Tile: repeated so many times along each axis.
pub(super) fn tile(call: &Call) -> Result<Value, String> {
    let (data, repeats) = (call.operand(0)?, lengths(call.constant(1)?.as_ints()?)?);
    let from = data.dims();
    if call.opset < 6 || repeats.len() != from.len() {
        return Err(format!("its repeats {repeats:?} don't name every axis of {from:?}"));
    }
    let dims: Vec<usize> = from.iter().zip(&repeats).map(|(&n, &times)| n.saturating_mul(times)).collect();
    call.room(&dims)?;
    let strides = strides(from);
    let table = |axis: usize| (0..dims[axis]).map(|i| i % from[axis] * strides[axis]).collect();
    let walk = Walk { tables: (0..dims.len()).map(table).collect() };
    Ok(data.pick(dims.clone(), walk.indices()))
}

/// Gather: along one axis the places that a tensor of indices says.
pub(super) fn gather(call: &Call) -> Result<Value, String> {
    let (data, indices) = (call.operand(0)?, call.constant(1)?);
    let from = data.dims();
    let axis = call.axis(0, from.len())?;
    let (before, after) = (&from[..axis], &from[axis + 1..]);
    let dims = [before, &indices.dims, after].concat();
    call.room(&dims)?;
    let (outer, inner): (usize, usize) = (before.iter().product(), after.iter().product());
    let places = indices.as_ints()?.iter().map(|&i| Ok(place(i, from[axis])? * inner));
    let tables = vec![
        (0..outer).map(|i| i * from[axis] * inner).collect(),
        places.collect::<Result<_, String>>()?,
        (0..inner).collect(),
    ];
    Ok(data.pick(dims, Walk { tables }.indices()))
}

/// GatherElements: for each place of a tensor of indices the element there, but along one axis where the index says.
pub(super) fn gather_elements(call: &Call) -> Result<Value, String> {
    let (data, indices) = (call.operand(0)?, call.constant(1)?);
    let (from, dims) = (data.dims(), &indices.dims);
    let axis = call.axis(0, from.len())?;
    let inside = from.len() == dims.len() && (0..from.len()).all(|a| a == axis || dims[a] <= from[a]);
    if !inside {
        return Err(format!("indices of the shape {dims:?} don't fit data of the shape {from:?}"));
    }
    call.room(dims)?;
    let strides = strides(from);
    let step = |a: usize| if a == axis { 0 } else { strides[a] };
    let walk = Walk { tables: (0..dims.len()).map(|a| (0..dims[a]).map(|i| i * step(a)).collect()).collect() };
    let places = walk.indices().zip(indices.as_ints()?);
    let places = places.map(|(base, &i)| Ok(base + place(i, from[axis])? * strides[axis]));
    let places = places.collect::<Result<Vec<_>, String>>()?;
    Ok(data.pick(dims.clone(), places.into_iter()))
}

/// Slice: from `starts` to before `ends` along `axes`, every `steps`-th.
pub(super) fn slice(call: &Call) -> Result<Value, String> {
    let data = call.operand(0)?;
    let starts = call.list("starts", 1)?.ok_or("its starts are missing")?;
    let ends = call.list("ends", 2)?.ok_or("its ends are missing")?;
    let axes = call.list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.list("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) {
        return Err("its starts, ends, axes and steps are not equally many".into());
    }
    within(data.dims(), MOST_FOLDED)?;
    // Every axis is listed.
    call.budget.make(data.dims().iter().sum())?;
    let strides = strides(data.dims());
    let mut places: Vec<Vec<usize>> = data.dims().iter().map(|&n| (0..n).collect()).collect();
    for (i, &axis) in axes.iter().enumerate() {
        let axis = place(axis, places.len())?;
        places[axis] = sliced(data.dims()[axis], starts[i], ends[i], steps[i])?;
    }
    let dims: Vec<usize> = places.iter().map(Vec::len).collect();
    call.room(&dims)?;
    for (places, stride) in places.iter_mut().zip(strides) {
        places.iter_mut().for_each(|place| *place *= stride);
    }
    Ok(data.pick(dims, Walk { tables: places }.indices()))
}

/// The places that Python's `[start:end:step]` takes of `n`.
fn sliced(n: usize, start: i64, end: i64, step: i64) -> Result<Vec<usize>, String> {
    // No axis is longer than an integer is large.
    let n = n as i64;
    let (least, greatest) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let bound = |at: i64| if at < 0 { at.saturating_add(n) } else { at }.clamp(least, greatest);
    let (start, end) = (bound(start), bound(end));
    let before = |at: &i64| if step > 0 { *at < end } else { *at > end };
    match step {
        0 => Err("its step is 0".into()),
        _ => Ok(std::iter::successors(Some(start), |at| at.checked_add(step))
            .take_while(before)
            .map(|at| at as usize)
            .collect()),
    }
}

/// Concat: one after the other along an axis.
pub(super) fn concat(call: &Call) -> Result<Value, String> {
    let operands = call.all()?;
    let first = operands.first().ok_or("it has no input")?.dims();
    let axis = call.axis(1, first.len())?;
    let mut dims = first.to_vec();
    for operand in &operands[1..] {
        let other = operand.dims();
        if other.len() != first.len() || (0..first.len()).any(|a| a != axis && other[a] != first[a]) {
            return Err(format!("the shapes {first:?} and {other:?} differ beside axis {axis}"));
        }
        dims[axis] = dims[axis].saturating_add(other[axis]);
    }
    call.room_for_most(&dims, MOST_FOLDED)?;
    let outer: usize = dims[..axis].iter().product();
    let (mut blocks, mut start) = (Vec::new(), 0);
    for operand in &operands {
        blocks.push((start, operand.dims()[axis..].iter().product::<usize>()));
        start += operand.len();
    }
    let joined = join(&operands)?;
    let row = |row: usize| blocks.iter().flat_map(move |&(start, n)| start + row * n..start + (row + 1) * n);
    Ok(joined.operand().pick(dims, (0..outer).flat_map(row)))
}

/// Split: the parts along an axis, equal ones (the last may be shorter) unless their lengths are given.
pub(super) fn split(call: &Call) -> Result<Vec<Value>, String> {
    let data = call.operand(0)?;
    let dims = data.dims();
    let axis = call.axis(0, dims.len())?;
    call.room(dims)?;
    let (n, parts) = (dims[axis], call.node.outputs.len());
    let parts_said = call.node.int("num_outputs")?.unwrap_or(parts as i64);
    let sizes = match call.list("split", 1)? {
        Some(sizes) => lengths(&sizes)?,
        None => {
            let part = n.div_ceil(parts.max(1));
            (0..parts).map(|i| part.min(n.saturating_sub(i.saturating_mul(part)))).collect()
        }
    };
    let whole = sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
    if sizes.len() != parts || whole != Some(n) || parts_said != parts as i64 {
        return Err(format!("a length of {n} can't be split into {parts} parts of {sizes:?}"));
    }
    let (outer, inner): (usize, usize) = (dims[..axis].iter().product(), dims[axis + 1..].iter().product());
    let mut start = 0;
    let part = |size: usize| {
        let mut dims = dims.to_vec();
        dims[axis] = size;
        let first = start * inner;
        start += size;
        let row = move |row: usize| first + row * n * inner..first + row * n * inner + size * inner;
        data.pick(dims, (0..outer).flat_map(row))
    };
    Ok(sizes.into_iter().map(part).collect())
}

/// Pad by a constant: with so many elements before and behind along each axis, or without so many where that is
/// negative.
pub(super) fn pad(call: &Call) -> Result<Value, String> {
    if let Some(mode) = call.node.text("mode")?.filter(|mode| *mode != "constant") {
        return Err(format!("padding a constant in the mode {mode:.40} is not supported"));
    }
    let data = call.operand(0)?;
    let from = data.dims();
    let pads = call.list(if call.opset < 2 { "paddings" } else { "pads" }, 1)?.ok_or("its pads are missing")?;
    let axes = call.list("axes", 3)?.unwrap_or_else(|| (0..from.len() as i64).collect());
    if pads.len() != 2 * axes.len() {
        return Err(format!("{} pads don't fit {} axes", pads.len(), axes.len()));
    }
    let (mut before, mut dims) = (vec![0; from.len()], from.to_vec());
    for (i, &axis) in axes.iter().enumerate() {
        let axis = place(axis, from.len())?;
        let (front, back) = (pads[i], pads[axes.len() + i]);
        let length = i128::from(front) + i128::from(back) + from[axis] as i128;
        (before[axis], dims[axis]) = (front, usize::try_from(length).map_err(|_| "less than nothing would be left")?);
    }
    // All of the data is copied, also where less of it is left.
    call.room(from)?;
    call.room(&dims)?;
    let fill = match (call.optional_constant(2)?, call.node.float("value")?) {
        (Some(fill), _) => fill.clone(),
        (None, Some(value)) if data.elem().is_float() => {
            let data_like = reals(data.elem(), [f64::from(value)].into_iter());
            Tensor { dims: vec![], elem: data.elem(), data: data_like }
        }
        (None, _) => zero(data.elem())?,
    };
    if fill.data.len() != 1 {
        return Err(format!("its constant has {} elements instead of one", fill.data.len()));
    }
    // The constant stands behind the data, and what lies outside along any axis is taken from there.
    let (strides, outside) = (strides(from), data.len());
    let table = |axis: usize| {
        let source = |i: usize| (i as i64).checked_sub(before[axis]).and_then(|i| usize::try_from(i).ok());
        let source = |i| source(i).filter(|&i| i < from[axis]);
        (0..dims[axis]).map(|i| source(i).map_or(outside, |i| i * strides[axis])).collect()
    };
    let walk = Walk { tables: (0..dims.len()).map(table).collect() };
    let joined = join(&[data, Operand::Constant(&fill)])?;
    Ok(joined.operand().pick(dims, walk.indices().map(|i| i.min(outside))))
}

/// Where: of two tensors the elements that a condition says.
pub(super) fn choose(call: &Call) -> Result<Value, String> {
    let condition = call.constant(0)?;
    let Data::Bool(chosen) = &condition.data else { return Err("its condition is not of truth values".into()) };
    let (yes, no) = (call.operand(1)?, call.operand(2)?);
    let dims = broadcast(&broadcast(yes.dims(), no.dims())?, &condition.dims)?;
    call.room(&dims)?;
    let [of, yes_at, no_at] = [&condition.dims, yes.dims(), no.dims()].map(|from| Walk::broadcast(from, &dims));
    let joined = join(&[yes, no])?;
    let places = of.indices().zip(yes_at.indices()).zip(no_at.indices());
    let places = places.map(|((i, of_yes), of_no)| if chosen[i] { of_yes } else { yes.len() + of_no });
    Ok(joined.operand().pick(dims.clone(), places))
}

/// Trilu: 0 below the k-th diagonal of each matrix, or above it.
pub(super) fn triangle(call: &Call) -> Result<Value, String> {
    let matrix = call.constant(0)?;
    let [.., rows, cols] = matrix.dims[..] else {
        return Err(format!("its input has the shape {:?}, which is no matrix", matrix.dims));
    };
    let k = match call.optional_constant(1)? {
        Some(k) => *k.as_ints()?.first().ok_or("its k has no element")?,
        None => 0,
    };
    let upper = call.node.int("upper")?.unwrap_or(1) != 0;
    call.room(&matrix.dims)?;
    let zero = zero(matrix.elem)?;
    let joined = join(&[Operand::Constant(matrix), Operand::Constant(&zero)])?;
    let n = matrix.data.len();
    let place = |i: usize| {
        let along = (i % cols) as i64 - (i / cols % rows) as i64;
        if if upper { along >= k } else { along <= k } { i } else { n }
    };
    Ok(joined.operand().pick(matrix.dims.clone(), (0..n).map(place)))
}
