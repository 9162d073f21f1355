//! Transpositions of a sample's axes.

use serde::{Deserialize, Serialize};

use super::Layer;
use super::fixed::Fixed;
use super::places::{coordinates, flat};
use super::sparse_matrix::SparseMatrix;

/// Axis `i` of the output is axis `axes[i]` of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permute {
    pub axes: Vec<usize>,
}

impl From<Permute> for Layer {
    fn from(layer: Permute) -> Layer {
        Layer::Permute(layer)
    }
}

impl Fixed for Permute {
    fn kind(&self) -> &'static str {
        "permute"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let mut sorted = self.axes.clone();
        sorted.sort_unstable();
        if sorted != (0..input.len()).collect::<Vec<_>>() {
            return Err(format!("{:?} is no order of the {} axes of its input", self.axes, input.len()));
        }
        Ok(self.axes.iter().map(|&axis| input[axis]).collect())
    }

    fn matrix(&self, input: &[usize]) -> SparseMatrix {
        let output: Vec<usize> = self.axes.iter().map(|&axis| input[axis]).collect();
        let count = input.iter().product();
        let source = |j: usize| {
            let mut at = vec![0; input.len()];
            self.axes.iter().zip(coordinates(&output, j)).for_each(|(&axis, place)| at[axis] = place);
            Some(flat(input, &at))
        };
        SparseMatrix::moves(count, (0..count).map(source))
    }
}
