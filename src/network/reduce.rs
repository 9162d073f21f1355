//! Sums and means over axes.

use serde::{Deserialize, Serialize};

use super::Layer;
use super::fixed::Fixed;
use super::places::{coordinates, flat};
use super::sparse_matrix::SparseMatrix;

/// The sum, or the mean, over some axes of a sample, which stay with the size 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReduceNode {
    pub axes: Vec<usize>,
    pub mean: bool,
}

impl From<ReduceNode> for Layer {
    fn from(layer: ReduceNode) -> Layer {
        Layer::Reduce(layer)
    }
}

impl ReduceNode {
    /// The shape of what is summed, and that of the sums.
    fn shapes(&self, input: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let size = |summed: bool| {
            let of = move |(axis, &size)| if self.axes.contains(&axis) == summed { size } else { 1 };
            input.iter().enumerate().map(of).collect()
        };
        (size(true), size(false))
    }
}

impl Fixed for ReduceNode {
    fn kind(&self) -> &'static str {
        if self.mean { "mean" } else { "sum" }
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        if self.axes.is_empty() || self.axes.iter().any(|&axis| axis >= input.len()) || input.contains(&0) {
            return Err(format!("it reduces the axes {:?} of samples of the shape {input:?}", self.axes));
        }
        Ok(self.shapes(input).1)
    }

    fn matrix(&self, input: &[usize]) -> SparseMatrix {
        let (inner, outer) = self.shapes(input);
        let (each, count): (usize, usize) = (inner.iter().product(), outer.iter().product());
        let place = |a: Vec<usize>, b: Vec<usize>| {
            let at: Vec<usize> = a.iter().zip(b).map(|(a, b)| a + b).collect();
            flat(input, &at)
        };
        let weight = if self.mean { 1.0 / each as f64 } else { 1.0 };
        let row = |j| (0..each).map(|i| (place(coordinates(&outer, j), coordinates(&inner, i)), weight)).collect();
        SparseMatrix::weighted(input.iter().product(), (0..count).map(row))
    }
}
