//! Operators that compute element by element. Floating-point numbers are computed in double precision and rounded once,
//! which is exact for the sums, products, quotients and roots of shorter ones.

use super::super::tensor::{Data, ElemType, Tensor};
use super::dim::floored_rem;
use super::walk::{Walk, broadcast};
use super::{Call, Dim, Operand, Symbolic, Value};

impl Data {
    /// An element as a number.
    pub(super) fn real(&self, i: usize) -> f64 {
        match self {
            Data::Float(values) => values[i].into(),
            Data::Double(values) => values[i],
            Data::Int(values) => values[i] as f64,
            Data::Bool(values) => values[i].into(),
            Data::Text(_) => f64::NAN,
        }
    }
}

/// Numbers rounded to a floating-point type.
pub(super) fn reals(elem: ElemType, values: impl Iterator<Item = f64>) -> Data {
    match elem {
        ElemType::F64 => Data::Double(values.collect()),
        _ => Data::Float(values.map(|value| elem.round(value as f32)).collect()),
    }
}

fn mixed(a: ElemType, b: ElemType) -> String {
    format!("it can't be applied to tensors of {} and {}", a.name(), b.name())
}

fn unfit(elem: ElemType) -> String {
    format!("it can't be applied to a tensor of {}", elem.name())
}

fn whole(value: Option<i64>, elem: ElemType) -> Result<i64, String> {
    elem.wrap(value.ok_or("an integer overflows, or is divided by 0")?)
}

/// Cast and CastLike: towards 0 from numbers with a fraction to integers.
pub(super) fn cast(call: &Call) -> Result<Value, String> {
    let elem = match call.node.op_type {
        "CastLike" => call.operand(1)?.elem(),
        _ => ElemType::from_code(call.node.int("to")?.ok_or("it doesn't say to what type")?)?,
    };
    let tensor = match call.operand(0)? {
        Operand::Constant(tensor) => tensor,
        Operand::Shape(shape) if elem.range().is_some() => return Ok(Value::Shape(Symbolic { elem, ..shape.clone() })),
        Operand::Shape(_) => return Err(format!("the batch size can't be followed as a {}", elem.name())),
    };
    call.room(&tensor.dims)?;
    let all = 0..tensor.data.len();
    let data = match (&tensor.data, elem) {
        (Data::Text(_), _) | (_, ElemType::Text) => return Err(mixed(tensor.elem, elem)),
        (data, ElemType::Bool) => Data::Bool(all.map(|i| data.real(i) != 0.0).collect()),
        (data, _) if elem.is_float() => reals(elem, all.map(|i| data.real(i))),
        (Data::Int(values), _) => Data::Int(values.iter().map(|&v| elem.wrap(v)).collect::<Result<_, _>>()?),
        (data, _) => Data::Int(all.map(|i| elem.wrap(data.real(i) as i64)).collect::<Result<_, _>>()?),
    };
    Ok(Value::Constant(Tensor { dims: tensor.dims.clone(), elem, data }))
}

/// An operation on two numbers: on reals, on integers (none if it overflows), on what depends on the batch size.
#[derive(Clone, Copy)]
struct Binary {
    real: fn(f64, f64) -> f64,
    whole: fn(i64, i64) -> Option<i64>,
    dim: fn(Dim, Dim) -> Result<Dim, String>,
}

fn operation(call: &Call) -> Result<Binary, String> {
    let not_of_batch = |_, _| Err("it can't be applied to the batch size".into());
    Ok(match call.node.op_type {
        "Add" | "Sum" => Binary { real: |a, b| a + b, whole: i64::checked_add, dim: Dim::plus },
        "Sub" => Binary { real: |a, b| a - b, whole: i64::checked_sub, dim: Dim::minus },
        "Mul" => Binary { real: |a, b| a * b, whole: i64::checked_mul, dim: Dim::by },
        "Div" => Binary { real: |a, b| a / b, whole: i64::checked_div, dim: Dim::over },
        "Mod" if call.flag("fmod")? => Binary { real: |a, b| a % b, whole: i64::checked_rem, dim: not_of_batch },
        "Mod" => Binary { real: floored_real_rem, whole: floored_rem, dim: Dim::modulo },
        "Pow" => Binary { real: f64::powf, whole: power, dim: not_of_batch },
        // A NaN stays one.
        "Min" => Binary {
            real: |a, b| if a < b || a.is_nan() { a } else { b },
            whole: |a, b| Some(a.min(b)),
            dim: Dim::least,
        },
        _ => Binary {
            real: |a, b| if a > b || a.is_nan() { a } else { b },
            whole: |a, b| Some(a.max(b)),
            dim: Dim::greatest,
        },
    })
}

fn floored_real_rem(a: f64, b: f64) -> f64 {
    let rem = a % b;
    if rem != 0.0 && (rem < 0.0) != (b < 0.0) { rem + b } else { rem }
}

/// An integer power, towards 0 where the exponent is negative.
fn power(base: i64, exponent: i64) -> Option<i64> {
    match u32::try_from(exponent) {
        Ok(exponent) => base.checked_pow(exponent),
        // Only of -1, 0 and 1 something is left, and only they don't overflow.
        Err(_) if base == -1 => Some(if exponent % 2 == 0 { 1 } else { -1 }),
        Err(_) if base == 1 || (base == 0 && exponent > 0) => Some(base),
        Err(_) if base != 0 && exponent < 0 => Some(0),
        Err(_) => None,
    }
}

/// Add, Sub, Mul, Div, Mod, Pow.
pub(super) fn binary(call: &Call) -> Result<Value, String> {
    let (a, b) = (call.operand(0)?, call.operand(1)?);
    let operation = operation(call)?;
    // Before operator set 7 the second operand was aligned at an axis instead of at the end.
    if call.opset < 7 && call.flag("broadcast")? && call.node.int("axis")?.is_some() {
        let mut dims = b.dims().to_vec();
        let behind = call.axis(0, a.dims().len())? + dims.len();
        dims.extend(vec![1; a.dims().len().saturating_sub(behind)]);
        return apply(call, operation, a, b.reshaped(dims).operand());
    }
    apply(call, operation, a, b)
}

/// Min, Max, Sum of any number of tensors.
pub(super) fn variadic(call: &Call) -> Result<Value, String> {
    let operands = call.all()?;
    let (first, others) = operands.split_first().ok_or("it has no input")?;
    call.room(first.dims())?;
    let start = first.reshaped(first.dims().to_vec());
    others.iter().try_fold(start, |all, &next| apply(call, operation(call)?, all.operand(), next))
}

/// The places of the elements of `a` and `b` that meet, and the shape of the result.
fn pairs(call: &Call, a: Operand, b: Operand) -> Result<(Vec<usize>, Walk, Walk), String> {
    let dims = broadcast(a.dims(), b.dims())?;
    call.room(&dims)?;
    let (of_a, of_b) = (Walk::broadcast(a.dims(), &dims), Walk::broadcast(b.dims(), &dims));
    Ok((dims, of_a, of_b))
}

fn apply(call: &Call, operation: Binary, a: Operand, b: Operand) -> Result<Value, String> {
    let (dims, of_a, of_b) = pairs(call, a, b)?;
    let places = of_a.indices().zip(of_b.indices());
    let elem = a.elem();
    if elem != b.elem() && call.node.op_type != "Pow" {
        return Err(mixed(elem, b.elem()));
    }
    let (Operand::Constant(a), Operand::Constant(b)) = (a, b) else {
        let (a, b) = (a.symbols()?, b.symbols()?);
        let elements = places.map(|(i, j)| (operation.dim)(a[i], b[j])).collect::<Result<_, _>>()?;
        return Ok(Symbolic { dims, elem, elements }.settled());
    };
    let real = |(i, j)| (operation.real)(a.data.real(i), b.data.real(j));
    let data = match (&a.data, &b.data) {
        (Data::Int(a), Data::Int(b)) => {
            let each = places.map(|(i, j)| whole((operation.whole)(a[i], b[j]), elem));
            Data::Int(each.collect::<Result<_, _>>()?)
        }
        (Data::Float(_) | Data::Double(_), Data::Float(_) | Data::Double(_) | Data::Int(_)) => {
            reals(elem, places.map(real))
        }
        // A power of an integer to a number with a fraction.
        (Data::Int(_), Data::Float(_) | Data::Double(_)) => {
            Data::Int(places.map(|at| elem.wrap(real(at) as i64)).collect::<Result<_, _>>()?)
        }
        _ => return Err(mixed(elem, b.elem)),
    };
    Ok(Value::Constant(Tensor { dims, elem, data }))
}

/// Functions of one number; Round is to even.
pub(super) fn unary(call: &Call) -> Result<Value, String> {
    type Unary = (fn(f64) -> f64, Option<fn(i64) -> Option<i64>>);
    let (real, integer): Unary = match call.node.op_type {
        "Neg" => (|x| -x, Some(i64::checked_neg)),
        "Abs" => (f64::abs, Some(i64::checked_abs)),
        "Sqrt" => (f64::sqrt, None),
        "Reciprocal" => (f64::recip, None),
        "Exp" => (f64::exp, None),
        "Log" => (f64::ln, None),
        "Sin" => (f64::sin, None),
        "Cos" => (f64::cos, None),
        "Tanh" => (f64::tanh, None),
        "Sigmoid" => (|x| 1.0 / (1.0 + (-x).exp()), None),
        "Softplus" => (|x| x.max(0.0) + (-x.abs()).exp().ln_1p(), None),
        // NaN stays.
        "Relu" => (|x| if x < 0.0 { 0.0 } else { x }, Some(|x| Some(x.max(0)))),
        "Sign" => (|x| if x == 0.0 { x } else { x.signum() }, Some(|x| Some(x.signum()))),
        "Floor" => (f64::floor, None),
        "Ceil" => (f64::ceil, None),
        _ => (f64::round_ties_even, None),
    };
    let operand = call.operand(0)?;
    call.room(operand.dims())?;
    let tensor = match operand {
        Operand::Constant(tensor) => tensor,
        Operand::Shape(shape) => {
            let each = shape.elements.iter().map(|&dim| match call.node.op_type {
                "Neg" => dim.negative(),
                "Abs" => dim.greatest(dim.negative()?),
                _ => Err("it can't be applied to the batch size".into()),
            });
            return Ok(Value::Shape(Symbolic { elements: each.collect::<Result<_, _>>()?, ..shape.clone() }));
        }
    };
    let (dims, elem) = (tensor.dims.clone(), tensor.elem);
    let data = match (&tensor.data, integer) {
        (Data::Int(values), Some(integer)) => {
            Data::Int(values.iter().map(|&v| whole(integer(v), elem)).collect::<Result<_, _>>()?)
        }
        (Data::Float(_) | Data::Double(_), _) => reals(elem, (0..tensor.data.len()).map(|i| real(tensor.data.real(i)))),
        _ => return Err(unfit(elem)),
    };
    Ok(Value::Constant(Tensor { dims, elem, data }))
}

/// Between two numbers, each an attribute or an input, or absent.
pub(super) fn clip(call: &Call) -> Result<Value, String> {
    let tensor = call.constant(0)?;
    let bound = |i: usize, name: &str| match (call.node.float(name)?, call.optional_constant(i)?) {
        (Some(bound), _) => Ok(Some(f64::from(bound))),
        (None, Some(bound)) if bound.data.len() == 1 => Ok(Some(bound.data.real(0))),
        (None, Some(_)) => Err(format!("its {name} isn't one number")),
        (None, None) => Ok(None),
    };
    let (least, greatest) = (bound(1, "min")?, bound(2, "max")?);
    call.room(&tensor.dims)?;
    let within = |x: f64| {
        let x = least.filter(|&least| x < least).unwrap_or(x);
        greatest.filter(|&greatest| x > greatest).unwrap_or(x)
    };
    let data = match &tensor.data {
        Data::Int(values) => Data::Int(values.iter().map(|&value| within(value as f64) as i64).collect()),
        Data::Float(_) | Data::Double(_) => {
            reals(tensor.elem, (0..tensor.data.len()).map(|i| within(tensor.data.real(i))))
        }
        _ => return Err(unfit(tensor.elem)),
    };
    Ok(Value::Constant(Tensor { dims: tensor.dims.clone(), elem: tensor.elem, data }))
}

fn truths(dims: Vec<usize>, values: Vec<bool>) -> Value {
    Value::Constant(Tensor { dims, elem: ElemType::Bool, data: Data::Bool(values) })
}

/// Equal, Greater, Less, GreaterOrEqual, LessOrEqual: what depends on the batch size is compared where that holds for
/// every one.
pub(super) fn compare(call: &Call) -> Result<Value, String> {
    type Comparison = (fn(&f64, &f64) -> bool, fn(&i64, &i64) -> bool, fn(Dim, Dim) -> Result<bool, String>);
    let (real, integer, dim): Comparison = match call.node.op_type {
        "Equal" => (f64::eq, i64::eq, Dim::is_equal),
        "Greater" => (f64::gt, i64::gt, |a, b| b.is_less(a)),
        "Less" => (f64::lt, i64::lt, Dim::is_less),
        "GreaterOrEqual" => (f64::ge, i64::ge, |a, b| a.is_less(b).map(|less| !less)),
        _ => (f64::le, i64::le, |a, b| b.is_less(a).map(|less| !less)),
    };
    let (a, b) = (call.operand(0)?, call.operand(1)?);
    let (dims, of_a, of_b) = pairs(call, a, b)?;
    let places = of_a.indices().zip(of_b.indices());
    if a.elem() != b.elem() {
        return Err(mixed(a.elem(), b.elem()));
    }
    let values = match (a, b) {
        (Operand::Constant(a), Operand::Constant(b)) => match (&a.data, &b.data) {
            (Data::Int(a), Data::Int(b)) => places.map(|(i, j)| integer(&a[i], &b[j])).collect(),
            (Data::Text(_), _) => return Err(unfit(a.elem)),
            (x, y) => places.map(|(i, j)| real(&x.real(i), &y.real(j))).collect(),
        },
        _ => {
            let (a, b) = (a.symbols()?, b.symbols()?);
            places.map(|(i, j)| dim(a[i], b[j])).collect::<Result<_, _>>()?
        }
    };
    Ok(truths(dims, values))
}

/// Not, And, Or, Xor.
pub(super) fn logic(call: &Call) -> Result<Value, String> {
    let operator: fn(bool, bool) -> bool = match call.node.op_type {
        "And" => |a, b| a && b,
        "Or" => |a, b| a || b,
        "Xor" => |a, b| a != b,
        _ => {
            let only = call.constant(0)?;
            call.room(&only.dims)?;
            let Data::Bool(values) = &only.data else { return Err(unfit(only.elem)) };
            return Ok(truths(only.dims.clone(), values.iter().map(|value| !value).collect()));
        }
    };
    let (a, b) = (call.constant(0)?, call.constant(1)?);
    let (Data::Bool(x), Data::Bool(y)) = (&a.data, &b.data) else { return Err(mixed(a.elem, b.elem)) };
    let (dims, of_a, of_b) = pairs(call, Operand::Constant(a), Operand::Constant(b))?;
    Ok(truths(dims, of_a.indices().zip(of_b.indices()).map(|(i, j)| operator(x[i], y[j])).collect()))
}
