//! What every sample has, which follows from its number alone: places and constants that an exporter counts or spreads over the batch.

use super::fold::{self, Dim, Input, Value};
use super::lowering::{Known, Lowering, Rows};
use super::tensor::{Data, Tensor};
use super::wire::Node;

impl Rows {
    fn row(&self, b: i64) -> Option<Tensor> {
        if b == 0 || self.step == 0 {
            return Some(self.offset.clone());
        }
        let Data::Int(values) = &self.offset.data else { return None };
        let moved: Option<Vec<i64>> = values.iter().map(|v| v.checked_add(self.step.checked_mul(b)?)).collect();
        moved.map(|values| Tensor { data: Data::Int(values), ..self.offset.clone() })
    }

    /// Of a constant with a row for each sample of a fixed batch.
    pub fn of_constant(tensor: &Tensor, batch: i64) -> Option<Self> {
        let values = tensor.as_ints().ok()?;
        let count = usize::try_from(batch).ok().filter(|&n| n > 1 && tensor.dims.first() == Some(&n))?;
        let width = values.len() / count;
        let step = values.get(width)?.checked_sub(values[0])?;
        let even = values.iter().zip(&values[width..]).all(|(a, b)| b.checked_sub(*a) == Some(step));
        let dims = [&[1], &tensor.dims[1..]].concat();
        even.then(|| Rows { offset: Tensor::ints(dims, values[..width].to_vec()), step })
    }

    /// From rows 0 and 1.
    fn of(first: Value, second: Value) -> Option<Self> {
        let (Value::Constant(offset), Value::Constant(next)) = (first, second) else { return None };
        if offset.dims.first() != Some(&1) || offset.dims != next.dims {
            return None;
        }
        if offset == next {
            return Some(Rows { offset, step: 0 });
        }
        let (Data::Int(a), Data::Int(b)) = (&offset.data, &next.data) else { return None };
        let step = b.first()?.checked_sub(*a.first()?)?;
        let even = a.iter().zip(b).all(|(a, b)| b.checked_sub(*a) == Some(step));
        even.then_some(Rows { offset, step })
    }
}

fn list(values: Vec<i64>) -> Tensor {
    Tensor::ints(vec![values.len()], values)
}

/// What a node makes whose results are such rows, one for each output; `None`: it doesn't.
pub(super) fn rows<'a>(to: &Lowering<'a>, node: &Node<'a>) -> Option<Vec<Rows>> {
    let known = |i: usize| to.get(node, i);
    let symbolic = |i: usize| match known(i) {
        Some(Known::Value(Value::Shape(shape))) => Some(&shape.elements[..]),
        _ => None,
    };
    let evaluated = |inputs: &[Option<Input<'_>>]| fold::fold(node, to.opset, inputs, &to.budget).ok().flatten();
    // With one sample, where the result is the same for each.
    let of_one = |shape: &[Dim], data: Option<&Tensor>| {
        let [Dim::Batch { times: 1 }, rest @ ..] = shape else { return None };
        let sizes: Option<Vec<i64>> =
            rest.iter().map(|dim| if let Dim::Known(n) = dim { Some(*n) } else { None }).collect();
        let target = list([&[1], &sizes?[..]].concat());
        let value = match data {
            Some(data) => evaluated(&[Some(Input::Constant(data)), Some(Input::Constant(&target))])?.pop()?,
            None => evaluated(&[Some(Input::Constant(&target))])?.pop()?,
        };
        Rows::of(value.clone(), value).map(|rows| vec![rows])
    };
    match node.op_type {
        "Range" => match (to.constant(node, 0), symbolic(1)?, to.constant(node, 2)) {
            (Ok(start), [Dim::Batch { times: 1 }], Ok(step)) => {
                let (start, step) = (start.as_ints().ok()?, step.as_ints().ok()?);
                let ([start], [step]) = (start, step) else { return None };
                Some(vec![Rows { offset: list(vec![*start]), step: *step }])
            }
            _ => None,
        },
        "Expand" => of_one(symbolic(1)?, Some(to.constant(node, 0).ok()?)),
        "ConstantOfShape" => of_one(symbolic(0)?, None),
        "Add" | "Sub" | "Mul" | "Unsqueeze" | "Squeeze" | "Cast" | "Identity" | "Reshape" | "MatMul" | "Gemm"
        | "Relu" | "Tanh" | "Sigmoid" => {
            let place = (0..node.inputs.len()).find(|&i| matches!(known(i), Some(Known::Rows(_))))?;
            let Some(Known::Rows(rows)) = known(place) else { return None };
            // Rows of a matrix on the left alone.
            if matches!(node.op_type, "MatMul" | "Gemm") && (place > 0 || node.int("transA").ok()? == Some(1)) {
                return None;
            }
            let at = |b: i64| {
                let row = rows.row(b)?;
                let inputs: Option<Vec<Option<Input<'_>>>> = (0..node.inputs.len())
                    .map(|i| match known(i) {
                        _ if i == place => Some(Some(Input::Constant(&row))),
                        Some(Known::Value(value)) => Some(Some(value.input())),
                        None => Some(None),
                        _ => None,
                    })
                    .collect();
                evaluated(&inputs?)
            };
            at(0)?.into_iter().zip(at(1)?).map(|(first, second)| Rows::of(first, second)).collect()
        }
        _ => None,
    }
}
