//! Operators that add over elements, and those between integers and the numbers that they stand for.

use super::super::tensor::{Data, ElemType, Tensor};
use super::arithmetic::reals;
use super::layout::flags;
use super::walk::{Walk, broadcast, strides};
use super::{Call, Dim, Operand, Symbolic, Value, place};

/// ReduceSum, ReduceProd, ReduceMin, ReduceMax, ReduceMean.
pub(super) fn reduce(call: &Call) -> Result<Value, String> {
    let data = call.operand(0)?;
    let from = data.dims();
    let axes = call.list("axes", 1)?.unwrap_or_default();
    call.room(from)?;
    if axes.is_empty() && call.flag("noop_with_empty_axes")? {
        return Ok(data.reshaped(from.to_vec()));
    }
    let gone = if axes.is_empty() { vec![true; from.len()] } else { flags(&axes, from.len())? };
    let kept: Vec<usize> = from.iter().zip(&gone).map(|(&n, &gone)| if gone { 1 } else { n }).collect();
    // Each element of the data goes to one of the result.
    let to = Walk::broadcast(&kept, from);
    let n = kept.iter().product();
    let dims = if call.node.int("keepdims")?.unwrap_or(1) != 0 {
        kept.clone()
    } else {
        from.iter().zip(&gone).filter(|(_, gone)| !**gone).map(|(&n, _)| n).collect()
    };
    let share = from.iter().zip(&gone).filter(|(_, gone)| **gone).map(|(&n, _)| n).product::<usize>();
    let elem = data.elem();
    let tensor = match data {
        Operand::Constant(tensor) => tensor,
        Operand::Shape(shape) => {
            let combine: fn(Dim, Dim) -> Result<Dim, String> = match call.node.op_type {
                "ReduceSum" => Dim::plus,
                "ReduceProd" => Dim::by,
                "ReduceMin" => Dim::least,
                "ReduceMax" => Dim::greatest,
                _ => return Err("the batch size can't be followed in a mean".into()),
            };
            let elements = gathered(n, to.indices().zip(shape.elements.iter().copied()), combine)?;
            let elements = elements.into_iter().collect::<Option<_>>().ok_or("it would reduce nothing")?;
            return Ok(Symbolic { dims, elem, elements }.settled());
        }
    };
    let data = match &tensor.data {
        Data::Int(_) if matches!(call.node.op_type, "ReduceL1" | "ReduceL2" | "ReduceSumSquare") => {
            return Err(format!("it can't be applied to a tensor of {}", elem.name()));
        }
        Data::Int(values) => Data::Int(reduced_ints(call, elem, n, to.indices().zip(values.iter().copied()), share)?),
        Data::Float(_) | Data::Double(_) => {
            let (start, combine): (f64, fn(f64, f64) -> f64) = match call.node.op_type {
                "ReduceProd" => (1.0, |a, b| a * b),
                "ReduceMin" => (f64::INFINITY, |a, b| if a < b || a.is_nan() { a } else { b }),
                "ReduceMax" => (f64::NEG_INFINITY, |a, b| if a > b || a.is_nan() { a } else { b }),
                _ => (0.0, |a, b| a + b),
            };
            let over = if call.node.op_type == "ReduceMean" { share as f64 } else { 1.0 };
            let own: fn(f64) -> f64 = match call.node.op_type {
                "ReduceL1" => f64::abs,
                "ReduceL2" | "ReduceSumSquare" => |x| x * x,
                _ => |x| x,
            };
            let made: fn(f64) -> f64 = if call.node.op_type == "ReduceL2" { f64::sqrt } else { |x| x };
            let pairs = to.indices().enumerate().map(|(i, at)| (at, own(tensor.data.real(i))));
            let each = gathered(n, pairs, |a, b| Ok(combine(a, b)))?;
            reals(elem, each.into_iter().map(|value| made(value.unwrap_or(start) / over)))
        }
        _ => return Err(format!("it can't be applied to a tensor of {}", elem.name())),
    };
    Ok(Value::Constant(Tensor { dims, elem, data }))
}

fn reduced_ints(
    call: &Call,
    elem: ElemType,
    n: usize,
    pairs: impl Iterator<Item = (usize, i64)>,
    share: usize,
) -> Result<Vec<i64>, String> {
    let (least, greatest) = elem.range().ok_or("they are no integers")?;
    type Combine = fn(i64, i64) -> Option<i64>;
    let (start, combine): (i64, Combine) = match call.node.op_type {
        "ReduceProd" => (1, i64::checked_mul),
        "ReduceMin" => (greatest, |a, b| Some(a.min(b))),
        "ReduceMax" => (least, |a, b| Some(a.max(b))),
        _ => (0, i64::checked_add),
    };
    let over = if call.node.op_type == "ReduceMean" { share as i64 } else { 1 };
    let combine = |a, b| combine(a, b).ok_or_else(|| "an integer overflows".to_owned());
    let each = gathered(n, pairs, combine)?.into_iter().map(|value| {
        let value = value.unwrap_or(start).checked_div(over).ok_or("there is no mean of nothing")?;
        elem.wrap(value)
    });
    each.collect()
}

/// Combines numbers that go to the same of `n` places, in order; none where nothing goes.
fn gathered<T: Copy>(
    n: usize,
    pairs: impl Iterator<Item = (usize, T)>,
    combine: impl Fn(T, T) -> Result<T, String>,
) -> Result<Vec<Option<T>>, String> {
    let mut all: Vec<Option<T>> = vec![None; n];
    for (at, value) in pairs {
        all[at] = Some(match all[at] {
            Some(before) => combine(before, value)?,
            None => value,
        });
    }
    Ok(all)
}

/// A matrix in double precision.
struct Matrix {
    rows: usize,
    cols: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// From the elements that a walk over rows and columns names, `offset` further on.
    fn new(tensor: &Tensor, [rows, cols]: [usize; 2], steps: [usize; 2], offset: usize) -> Matrix {
        let at = |i: usize| offset + i / cols * steps[0] + i % cols * steps[1];
        Matrix { rows, cols, values: (0..rows * cols).map(|i| tensor.data.real(at(i))).collect() }
    }

    /// The product, row after row.
    fn times(&self, other: &Matrix) -> Vec<f64> {
        let mut product = vec![0.0; self.rows * other.cols];
        for (row, sums) in (0..self.rows).zip(product.chunks_exact_mut(other.cols.max(1))) {
            let factors = &self.values[row * self.cols..(row + 1) * self.cols];
            for (factor, others) in factors.iter().zip(other.values.chunks_exact(other.cols.max(1))) {
                sums.iter_mut().zip(others).for_each(|(sum, value)| *sum += factor * value);
            }
        }
        product
    }
}

/// The type of two factors, which must be numbers with a fraction.
fn factors(a: &Tensor, b: &Tensor) -> Result<ElemType, String> {
    if a.elem == b.elem && a.elem.is_float() {
        return Ok(a.elem);
    }
    Err(format!("products of constants of {} and {} are not supported", a.elem.name(), b.elem.name()))
}

/// MatMul, by NumPy's rules: a vector is a row on the left and a column on the right, axes before the last two
/// broadcast.
pub(super) fn matmul(call: &Call) -> Result<Value, String> {
    let (a, b) = (call.constant(0)?, call.constant(1)?);
    let elem = factors(a, b)?;
    let (a_stack, a_rows, a_cols) = match *a.dims {
        [] => return Err("a scalar is no factor of it".into()),
        [n] => (&[][..], 1, n),
        [ref stack @ .., rows, cols] => (stack, rows, cols),
    };
    let (b_stack, b_rows, b_cols) = match *b.dims {
        [] => return Err("a scalar is no factor of it".into()),
        [n] => (&[][..], n, 1),
        [ref stack @ .., rows, cols] => (stack, rows, cols),
    };
    if a_cols != b_rows {
        return Err(format!("matrices of the shapes {:?} and {:?} have no product", a.dims, b.dims));
    }
    let stack = broadcast(a_stack, b_stack)?;
    let mut dims = stack.clone();
    dims.extend((a.dims.len() > 1).then_some(a_rows));
    dims.extend((b.dims.len() > 1).then_some(b_cols));
    call.room(&dims)?;
    call.budget.multiply(&[&dims[..], &[a_cols]].concat())?;
    let mut values = Vec::new();
    let (of_a, of_b) = (Walk::broadcast(a_stack, &stack), Walk::broadcast(b_stack, &stack));
    for (i, j) in of_a.indices().zip(of_b.indices()) {
        let left = Matrix::new(a, [a_rows, a_cols], [a_cols, 1], i * a_rows * a_cols);
        let right = Matrix::new(b, [b_rows, b_cols], [b_cols, 1], j * b_rows * b_cols);
        values.extend(left.times(&right));
    }
    Ok(Value::Constant(Tensor { dims, elem, data: reals(elem, values.into_iter()) }))
}

/// Gemm: `alpha·A·B + beta·C`, either factor transposed if asked for.
pub(super) fn gemm(call: &Call) -> Result<Value, String> {
    let (a, b) = (call.constant(0)?, call.constant(1)?);
    let elem = factors(a, b)?;
    let (&[m, n], &[p, q]) = (&a.dims[..], &b.dims[..]) else { return Err("its factors are no matrices".into()) };
    let (left, left_steps) = if call.flag("transA")? { ([n, m], [1, n]) } else { ([m, n], [n, 1]) };
    let (right, right_steps) = if call.flag("transB")? { ([q, p], [1, q]) } else { ([p, q], [q, 1]) };
    if left[1] != right[0] {
        return Err(format!("matrices of the shapes {left:?} and {right:?} have no product"));
    }
    let dims = vec![left[0], right[1]];
    call.room(&dims)?;
    call.budget.multiply(&[left[0], left[1], right[1]])?;
    let mut values = Matrix::new(a, left, left_steps, 0).times(&Matrix::new(b, right, right_steps, 0));
    let alpha = f64::from(call.node.float("alpha")?.unwrap_or(1.0));
    let beta = f64::from(call.node.float("beta")?.unwrap_or(1.0));
    values.iter_mut().for_each(|value| *value *= alpha);
    if let Some(c) = call.optional_constant(2)? {
        if broadcast(&c.dims, &dims)? != dims || c.elem != elem {
            return Err(format!("a tensor of {} and the shape {:?} can't be added", c.elem.name(), c.dims));
        }
        let walk = Walk::broadcast(&c.dims, &dims);
        values.iter_mut().zip(walk.indices()).for_each(|(value, i)| *value += beta * c.data.real(i));
    }
    Ok(Value::Constant(Tensor { dims, elem, data: reals(elem, values.into_iter()) }))
}

/// Which of the scales counts for each element of the data: one for all, one along an axis, or one for each block along
/// it.
fn scales(call: &Call, dims: &[usize], scale: &[usize]) -> Result<Walk, String> {
    let block =
        usize::try_from(call.node.int("block_size")?.unwrap_or(0)).map_err(|_| "its blocks are less than nothing")?;
    let one = scale.iter().product::<usize>() == 1 && scale.len() <= 1;
    let mut steps = vec![0; dims.len()];
    let (mut along, mut fits) = (None, one);
    if !one {
        let axis = place(call.node.int("axis")?.unwrap_or(1), dims.len())?;
        along = Some(axis);
        if block == 0 {
            steps[axis] = 1;
            fits = scale == [dims[axis]];
        } else {
            steps = strides(scale);
            let blocks = |a: usize| if a == axis { dims[a].div_ceil(block) } else { dims[a] };
            fits = scale.len() == dims.len() && (0..dims.len()).all(|a| scale[a] == blocks(a));
        }
    }
    if !fits {
        return Err(format!("scales of the shape {scale:?} don't fit data of the shape {dims:?}"));
    }
    call.room(dims)?;
    let number = |a: usize, i: usize| if along == Some(a) { i / block.max(1) } else { i };
    let table = |a: usize| (0..dims[a]).map(|i| number(a, i) * steps[a]).collect();
    Ok(Walk { tables: (0..dims.len()).map(table).collect() })
}

/// The zero points, as many as scales; none are zeros.
fn zero_points<'a>(call: &Call<'a>, scale: &Tensor) -> Result<Option<(ElemType, &'a [i64])>, String> {
    let Some(zero) = call.optional_constant(2)? else { return Ok(None) };
    if zero.data.len() != scale.data.len() {
        return Err(format!("it has {} scales and {} zero points", scale.data.len(), zero.data.len()));
    }
    Ok(Some((zero.elem, zero.as_ints()?)))
}

/// QuantizeLinear: `x / scale`, rounded (ties to even), plus the zero point, kept within the type.
pub(super) fn quantize(call: &Call) -> Result<Value, String> {
    let (x, scale) = (call.constant(0)?, call.constant(1)?);
    let walk = scales(call, &x.dims, &scale.dims)?;
    let zeros = zero_points(call, scale)?;
    let said = call.node.int("output_dtype")?.filter(|&code| code != 0).map(ElemType::from_code).transpose()?;
    let elem = zeros.map(|(elem, _)| elem).or(said).unwrap_or(ElemType::U8);
    let (least, greatest) = elem.range().ok_or_else(|| format!("it can't quantise to {}", elem.name()))?;
    if !x.elem.is_float() && x.elem != ElemType::I32 || !scale.elem.is_float() {
        return Err(format!("it can't quantise {} with scales of {}", x.elem.name(), scale.elem.name()));
    }
    let each = walk.indices().enumerate().map(|(i, s)| {
        // In single precision, as everybody divides: the rounding after it must be theirs.
        let level = (x.data.real(i) as f32 / scale.data.real(s) as f32).round_ties_even();
        let zero = zeros.map_or(0, |(_, zeros)| zeros[s]);
        (level as i64).saturating_add(zero).clamp(least, greatest)
    });
    Ok(Value::Constant(Tensor { dims: x.dims.clone(), elem, data: Data::Int(each.collect()) }))
}

/// DequantizeLinear: `(x - zero point)·scale`, of the scale's type.
pub(super) fn dequantize(call: &Call) -> Result<Value, String> {
    let (x, scale) = (call.constant(0)?, call.constant(1)?);
    let walk = scales(call, &x.dims, &scale.dims)?;
    let zeros = zero_points(call, scale)?;
    let (levels, elem) = (x.as_ints()?, scale.elem);
    if !elem.is_float() || zeros.is_some_and(|(zero, _)| zero != x.elem) {
        return Err("the types of its data, scales and zero points don't fit".into());
    }
    let each = walk.indices().zip(levels).map(|(s, &level)| {
        let zero = zeros.map_or(0, |(_, zeros)| zeros[s]);
        level.saturating_sub(zero) as f64 * scale.data.real(s)
    });
    Ok(Value::Constant(Tensor { dims: x.dims.clone(), elem, data: reals(elem, each) }))
}
