//! Moving elements: from where in a source each element of a result is taken.

use super::super::tensor::{Data, Tensor};
use super::{Operand, Symbolic, Value};

/// Element `[i, j, …]` of the result is number `tables[0][i] + tables[1][j] + …` of the source. Slices, transposes,
/// broadcasts, repetitions and gathers all are of this kind.
pub(super) struct Walk {
    pub tables: Vec<Vec<usize>>,
}

impl Walk {
    /// A tensor of the shape `from` broadcast to the shape `to`, which it must fit.
    pub fn broadcast(from: &[usize], to: &[usize]) -> Walk {
        let (missing, strides) = (to.len() - from.len(), strides(from));
        let table = |(axis, &n): (usize, &usize)| {
            let own = axis.checked_sub(missing).filter(|&own| from[own] != 1);
            (0..n).map(|i| own.map_or(0, |own| i * strides[own])).collect()
        };
        Walk { tables: to.iter().enumerate().map(table).collect() }
    }

    /// Where each element of the result is taken from, in row-major order.
    pub fn indices(&self) -> impl Iterator<Item = usize> {
        let (inner, outer) = self.tables.split_last().map_or((&[0][..], &[][..]), |(inner, outer)| (inner, outer));
        let rows = outer.iter().map(Vec::len).product();
        (0..rows).flat_map(move |mut row| {
            let mut base = 0;
            for table in outer.iter().rev() {
                base += table[row % table.len()];
                row /= table.len();
            }
            inner.iter().map(move |i| base + i)
        })
    }
}

/// By how many elements a step along each axis goes on, in row-major order.
pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    (0..dims.len()).map(|axis| dims[axis + 1..].iter().product()).collect()
}

/// The shape that two broadcast to, by NumPy's rule.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let length = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |own| dims[own]);
    let both = |axis| match (length(a, axis), length(b, axis)) {
        (1, n) | (n, 1) => Ok(n),
        (n, m) if n == m => Ok(n),
        _ => Err(format!("the shapes {a:?} and {b:?} don't broadcast")),
    };
    (0..rank).map(both).collect()
}

impl Operand<'_> {
    /// Makes a tensor of the shape `dims` of the elements with these numbers.
    pub fn pick(self, dims: Vec<usize>, indices: impl Iterator<Item = usize>) -> Value {
        fn of<T: Clone>(values: &[T], indices: impl Iterator<Item = usize>) -> Vec<T> {
            indices.map(|i| values[i].clone()).collect()
        }
        match self {
            Operand::Shape(shape) => {
                Symbolic { dims, elem: shape.elem, elements: of(&shape.elements, indices) }.settled()
            }
            Operand::Constant(tensor) => {
                let data = match &tensor.data {
                    Data::Float(values) => Data::Float(of(values, indices)),
                    Data::Double(values) => Data::Double(of(values, indices)),
                    Data::Int(values) => Data::Int(of(values, indices)),
                    Data::Bool(values) => Data::Bool(of(values, indices)),
                    Data::Text(values) => Data::Text(of(values, indices)),
                };
                Value::Constant(Tensor { dims, elem: tensor.elem, data })
            }
        }
    }

    /// The same elements in another shape of as many.
    pub fn reshaped(self, dims: Vec<usize>) -> Value {
        let n = self.len();
        self.pick(dims, 0..n)
    }
}

/// The elements of all operands, one after the other: a vector. Integers become symbolic beside symbolic ones.
pub(super) fn join(operands: &[Operand]) -> Result<Value, String> {
    let elem = operands.first().ok_or("it has no input")?.elem();
    if let Some(other) = operands.iter().find(|operand| operand.elem() != elem) {
        return Err(format!("its inputs are of the types {} and {}", elem.name(), other.elem().name()));
    }
    let n = operands.iter().map(|operand| operand.len()).sum();
    if operands.iter().any(|operand| matches!(operand, Operand::Shape(_))) {
        let mut elements = Vec::new();
        for operand in operands {
            elements.extend(operand.symbols()?);
        }
        return Ok(Value::Shape(Symbolic { dims: vec![n], elem, elements }));
    }
    let mut parts = operands.iter().filter_map(|operand| match operand {
        Operand::Constant(tensor) => Some(&tensor.data),
        Operand::Shape(_) => None,
    });
    let mut data = parts.next().expect("invariant: there is an operand, and none is symbolic").clone();
    for part in parts {
        match (&mut data, part) {
            (Data::Float(all), Data::Float(more)) => all.extend(more),
            (Data::Double(all), Data::Double(more)) => all.extend(more),
            (Data::Int(all), Data::Int(more)) => all.extend(more),
            (Data::Bool(all), Data::Bool(more)) => all.extend(more),
            (Data::Text(all), Data::Text(more)) => all.extend_from_slice(more),
            _ => return Err("its inputs are of different types".into()),
        }
    }
    Ok(Value::Constant(Tensor { dims: vec![n], elem, data }))
}
