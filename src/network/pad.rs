//! Padding of samples.

use serde::{Deserialize, Serialize};

use super::Layer;
use super::fixed::Fixed;
use super::places::{coordinates, elements, flat};
use super::sparse_matrix::SparseMatrix;

/// What stands beyond a sample's edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Beyond {
    Zero,
    /// The sample's mirror image, without its edge.
    Reflect,
    /// Its edge.
    Edge,
}

/// A sample with so many elements more before and after, along every axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pad {
    pub before: Vec<usize>,
    pub after: Vec<usize>,
    pub beyond: Beyond,
}

impl From<Pad> for Layer {
    fn from(layer: Pad) -> Layer {
        Layer::Pad(layer)
    }
}

/// Keeps sums of sizes from a hostile file from overflowing.
const MOST: usize = 1 << 24;

impl Pad {
    fn padded(&self, input: &[usize]) -> Vec<usize> {
        (0..input.len()).map(|axis| self.before[axis] + input[axis] + self.after[axis]).collect()
    }

    /// The place along an axis that an output's shows.
    fn source(&self, axis: usize, at: usize, size: usize) -> Option<usize> {
        let (before, last) = (self.before[axis], size - 1);
        let inside = (before..before + size).contains(&at);
        match self.beyond {
            _ if inside => Some(at - before),
            Beyond::Zero => None,
            Beyond::Edge => Some(if at < before { 0 } else { last }),
            Beyond::Reflect => Some(if at < before { before - at } else { last - (at - before - last) }),
        }
    }
}

impl Fixed for Pad {
    fn kind(&self) -> &'static str {
        "pad"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let sizes = || self.before.iter().chain(&self.after);
        if self.before.len() != input.len() || self.after.len() != input.len() || sizes().any(|&n| n > MOST) {
            return Err(format!("{:?} before and {:?} after don't fit samples of {input:?}", self.before, self.after));
        }
        let most = |axis: usize| self.before[axis].max(self.after[axis]);
        if self.beyond == Beyond::Reflect && (0..input.len()).any(|axis| most(axis) >= input[axis].max(1)) {
            return Err(format!("samples of {input:?} are too small for their mirror image"));
        }
        let output = self.padded(input);
        elements(&output)?;
        Ok(output)
    }

    fn matrix(&self, input: &[usize]) -> SparseMatrix {
        let output = self.padded(input);
        let source = |j: usize| {
            let at = coordinates(&output, j);
            let own: Option<Vec<usize>> =
                at.iter().enumerate().map(|(axis, &at)| self.source(axis, at, input[axis])).collect();
            own.map(|own| flat(input, &own))
        };
        SparseMatrix::moves(input.iter().product(), (0..output.iter().product()).map(source))
    }
}
