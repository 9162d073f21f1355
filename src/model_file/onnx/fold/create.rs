//! Operators that make tensors: constants, ranges, and the shapes of values.

use super::super::tensor::{Data, ElemType, Tensor};
use super::super::wire::{AttributeValue, Node};
use super::arithmetic::reals;
use super::{Call, Dim, Input, Symbolic, Value};

/// Constant: the tensor of whichever attribute is there.
pub(super) fn constant(call: &Call) -> Result<Value, String> {
    let float = |dims, values| Tensor { dims, elem: ElemType::F32, data: Data::Float(values) };
    let text = |bytes: &&[u8]| str::from_utf8(bytes).map(str::to_owned).map_err(|_| "its string is not UTF-8");
    for attribute in &call.node.attributes {
        return Ok(Value::Constant(match (attribute.name, &attribute.value) {
            ("value", AttributeValue::Tensor(stored)) => Tensor::inline(stored)?,
            ("value_float", AttributeValue::Float(value)) => float(vec![], vec![*value]),
            ("value_floats", AttributeValue::Floats(values)) => float(vec![values.len()], values.clone()),
            ("value_int", AttributeValue::Int(value)) => Tensor::ints(vec![], vec![*value]),
            ("value_ints", AttributeValue::Ints(values)) => Tensor::ints(vec![values.len()], values.clone()),
            ("value_string", AttributeValue::String(value)) => {
                Tensor { dims: vec![], elem: ElemType::Text, data: Data::Text(vec![text(value)?]) }
            }
            ("value_strings", AttributeValue::Strings(values)) => {
                let data = Data::Text(values.iter().map(text).collect::<Result<_, _>>()?);
                Tensor { dims: vec![values.len()], elem: ElemType::Text, data }
            }
            _ => continue,
        }));
    }
    Err("it has no value that is supported".into())
}

/// ConstantOfShape: one value (0 unless said otherwise) in a shape.
pub(super) fn constant_of_shape(call: &Call) -> Result<Value, String> {
    let dims = lengths(call.constant(0)?.as_ints()?)?;
    call.room(&dims)?;
    let value = match call.node.tensor("value")? {
        Some(stored) => Tensor::inline(stored)?,
        None => zero(ElemType::F32)?,
    };
    if value.data.len() != 1 {
        return Err(format!("its value has {} elements instead of one", value.data.len()));
    }
    let n = dims.iter().product();
    Ok(Value::Constant(value).operand().pick(dims, std::iter::repeat_n(0, n)))
}

/// A scalar 0, or false.
pub(super) fn zero(elem: ElemType) -> Result<Tensor, String> {
    let data = match elem {
        ElemType::F64 => Data::Double(vec![0.0]),
        ElemType::Bool => Data::Bool(vec![false]),
        ElemType::Text => return Err("strings have no 0".into()),
        _ if elem.is_float() => Data::Float(vec![0.0]),
        _ => Data::Int(vec![0]),
    };
    Ok(Tensor { dims: vec![], elem, data })
}

/// The lengths of axes from integers.
pub(super) fn lengths(values: &[i64]) -> Result<Vec<usize>, String> {
    values.iter().map(|&n| usize::try_from(n).map_err(|_| format!("an axis would have the length {n}"))).collect()
}

/// Range: `start`, `start + delta`, … before `limit`.
pub(super) fn range(call: &Call) -> Result<Value, String> {
    let [start, limit, delta] = [call.constant(0)?, call.constant(1)?, call.constant(2)?];
    let elem = start.elem;
    if [start, limit, delta].iter().any(|tensor| tensor.data.len() != 1 || tensor.elem != elem) {
        return Err("start, limit and delta are not three numbers of one type".into());
    }
    if let (Data::Int(start), Data::Int(limit), Data::Int(delta)) = (&start.data, &limit.data, &delta.data) {
        let [start, limit, delta] = [start[0], limit[0], delta[0]].map(i128::from);
        if delta == 0 {
            return Err("its step is 0".into());
        }
        let span = if delta > 0 { limit - start } else { start - limit };
        let n = usize::try_from((span.max(0) as u128).div_ceil(delta.unsigned_abs())).unwrap_or(usize::MAX);
        call.room(&[n])?;
        // Each lies between start and limit.
        let values = (0..n).map(|i| (start + i as i128 * delta) as i64).collect();
        return Ok(Value::Constant(Tensor { dims: vec![n], elem, data: Data::Int(values) }));
    }
    if !elem.is_float() {
        return Err(format!("a range of {} doesn't exist", elem.name()));
    }
    let [start, limit, delta] = [start, limit, delta].map(|tensor| tensor.data.real(0));
    let n = ((limit - start) / delta).ceil().max(0.0);
    if !n.is_finite() || delta == 0.0 {
        return Err("its range has no end".into());
    }
    // A number that is too large stays so.
    let n = n as usize;
    call.room(&[n])?;
    let data = reals(elem, (0..n).map(|i| start + i as f64 * delta));
    Ok(Value::Constant(Tensor { dims: vec![n], elem, data }))
}

fn known(dims: &[usize]) -> Vec<Dim> {
    dims.iter().map(|&n| Dim::Known(n as i64)).collect()
}

fn dims(input: Input) -> Vec<Dim> {
    match input {
        Input::Constant(tensor) => known(&tensor.dims),
        Input::Shape(shape) => known(&shape.dims),
        Input::Activation(dims) => dims.to_vec(),
    }
}

/// Shape: a vector of the lengths of all axes, or of those from `start` to `end`.
pub(super) fn shape(node: &Node, input: Input) -> Result<Value, String> {
    let dims = dims(input);
    let rank = dims.len() as i64;
    let bound = |name, default| -> Result<usize, String> {
        let at = node.int(name)?.unwrap_or(default);
        Ok(if at < 0 { at.saturating_add(rank) } else { at }.clamp(0, rank) as usize)
    };
    let (start, end) = (bound("start", 0)?, bound("end", rank)?);
    let elements = dims.get(start..end).unwrap_or_default().to_vec();
    Ok(Symbolic { dims: vec![elements.len()], elem: ElemType::I64, elements }.settled())
}

/// Size: the number of elements.
pub(super) fn size(input: Input) -> Result<Value, String> {
    let size = dims(input).into_iter().try_fold(Dim::Known(1), Dim::by)?;
    Ok(Symbolic { dims: vec![], elem: ElemType::I64, elements: vec![size] }.settled())
}
