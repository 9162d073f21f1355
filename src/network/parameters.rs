//! The numbers of a network.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::layout::{Layout, Role, Tensor};
use crate::Result;
use crate::engine::Session;
use crate::program::Buffer;

/// One replica's parameters and statistics, in the layout's padded order.
///
/// What networks are made of are `f32` numbers, and some networks have so many that there is no room for them twice. So they are
/// held as `f32`, which an engine that computes with those takes as they lie here ([`Session::hold`]); where that rounds, as in a
/// training in double precision, the exact numbers are held besides.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    rounded: Arc<Vec<f32>>,
    /// Exact numbers by where they begin; they don't overlap.
    exact: BTreeMap<usize, Vec<f64>>,
    pub statistics: Vec<f64>,
}

/// Numbers that are converted at once.
const PIECE: usize = 1 << 23;

impl Parameters {
    pub fn zeros(layout: &Layout) -> Self {
        let rounded = Arc::new(vec![0.0; layout.parameters]);
        Parameters { rounded, exact: BTreeMap::new(), statistics: vec![0.0; layout.statistics] }
    }

    pub fn new(values: Vec<f64>, statistics: Vec<f64>) -> Self {
        let rounded: Vec<f32> = values.iter().map(|&x| x as f32).collect();
        let mut exact = BTreeMap::new();
        if rounds(&values, &rounded) {
            exact.insert(0, values);
        }
        Parameters { rounded: Arc::new(rounded), exact, statistics }
    }

    pub fn len(&self) -> usize {
        self.rounded.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rounded.is_empty()
    }

    /// All parameters, without the statistics.
    pub fn values(&self) -> Vec<f64> {
        self.read(0..self.len())
    }

    fn read(&self, range: Range<usize>) -> Vec<f64> {
        let mut values: Vec<f64> = self.rounded[range.clone()].iter().map(|&x| f64::from(x)).collect();
        for (&start, exact) in self.exact.range(..range.end) {
            let (first, last) = (start.max(range.start), (start + exact.len()).min(range.end));
            if first < last {
                values[first - range.start..last - range.start].copy_from_slice(&exact[first - start..last - start]);
            }
        }
        values
    }

    /// A tensor without its padding, row-major `[rows, cols]`.
    pub fn get(&self, tensor: &Tensor) -> Vec<f64> {
        let range = tensor.offset..tensor.offset + tensor.rows * tensor.ld;
        let padded = if tensor.role == Role::Statistic { self.statistics[range].to_vec() } else { self.read(range) };
        padded.chunks_exact(tensor.ld).flat_map(|row| &row[..tensor.cols]).copied().collect()
    }

    /// Sets a tensor from unpadded values `[rows, cols]`.
    pub fn set(&mut self, tensor: &Tensor, values: &[f64]) {
        if tensor.role == Role::Statistic {
            return fill(&mut self.statistics[tensor.offset..], tensor, values, |x| x);
        }
        fill(&mut Arc::make_mut(&mut self.rounded)[tensor.offset..], tensor, values, |x| x as f32);
        let (start, len) = (tensor.offset, tensor.rows * tensor.ld);
        let around = self.exact.range_mut(..=start).next_back();
        if let Some((&first, exact)) = around.filter(|(first, exact)| **first + exact.len() >= start + len) {
            return fill(&mut exact[start - first..], tensor, values, |x| x);
        }
        if values.iter().any(|&x| differs(x, x as f32)) {
            let mut exact = vec![0.0; len];
            fill(&mut exact, tensor, values, |x| x);
            self.exact.insert(start, exact);
        }
    }

    /// The same from `f32` numbers.
    pub fn set_single(&mut self, tensor: &Tensor, values: &[f32]) {
        let holds_exact = self.exact.range(..tensor.offset + tensor.rows * tensor.ld).next_back().is_some();
        if tensor.role == Role::Statistic || holds_exact {
            let values: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
            return self.set(tensor, &values);
        }
        fill(&mut Arc::make_mut(&mut self.rounded)[tensor.offset..], tensor, values, |x| x);
    }

    pub fn is_finite(&self) -> bool {
        let mut pieces = (0..self.len()).step_by(PIECE).map(|start| self.read(start..self.len().min(start + PIECE)));
        pieces.all(|piece| piece.iter().all(|x| x.is_finite())) && self.statistics.iter().all(|x| x.is_finite())
    }

    /// Writes the parameters into a session's buffer.
    ///
    /// # Errors
    /// The engine's own.
    pub fn write(&self, session: &mut dyn Session, buffer: Buffer, replica: Option<usize>) -> Result<()> {
        for start in (0..self.len()).step_by(PIECE) {
            session.write(buffer, replica, start, &self.read(start..self.len().min(start + PIECE)))?;
        }
        Ok(())
    }

    /// Lends the parameters to a session none of whose kernels writes their buffer.
    ///
    /// # Errors
    /// The engine's own.
    pub fn lend(&self, session: &mut dyn Session, buffer: Buffer) -> Result<()> {
        if session.hold(buffer, &self.rounded)? { Ok(()) } else { self.write(session, buffer, None) }
    }
}

fn differs(x: f64, rounded: f32) -> bool {
    f64::from(rounded) != x && !(x.is_nan() && rounded.is_nan())
}

fn rounds(values: &[f64], rounded: &[f32]) -> bool {
    values.iter().zip(rounded).any(|(&x, &rounded)| differs(x, rounded))
}

/// Writes unpadded values to where a tensor begins.
fn fill<T, U: Copy>(buffer: &mut [T], tensor: &Tensor, values: &[U], of: impl Fn(U) -> T) {
    assert_eq!(values.len(), tensor.rows * tensor.cols, "invariant: {} has its shape", tensor.path);
    let rows = buffer[..tensor.rows * tensor.ld].chunks_exact_mut(tensor.ld);
    for (row, values) in rows.zip(values.chunks_exact(tensor.cols.max(1))) {
        row.iter_mut().zip(values).for_each(|(to, &x)| *to = of(x));
    }
}
