//! Parts of a sample.

use serde::{Deserialize, Serialize};

use super::Layer;
use super::fixed::Fixed;
use super::places::{coordinates, flat};
use super::sparse_matrix::SparseMatrix;

/// The elements whose place along `axis` is one of `places`, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceNode {
    pub axis: usize,
    pub places: Vec<usize>,
}

impl From<SliceNode> for Layer {
    fn from(layer: SliceNode) -> Layer {
        Layer::Slice(layer)
    }
}

impl Fixed for SliceNode {
    fn kind(&self) -> &'static str {
        "slice"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let size = *input.get(self.axis).ok_or_else(|| format!("its input has no axis {}", self.axis))?;
        if self.places.is_empty() || self.places.iter().any(|&place| place >= size) {
            return Err(format!("it takes {:?} of an axis of {size}", self.places));
        }
        let mut output = input.to_vec();
        output[self.axis] = self.places.len();
        Ok(output)
    }

    fn matrix(&self, input: &[usize]) -> SparseMatrix {
        let mut output = input.to_vec();
        output[self.axis] = self.places.len();
        let source = |j: usize| {
            let mut at = coordinates(&output, j);
            at[self.axis] = self.places[at[self.axis]];
            Some(flat(input, &at))
        };
        SparseMatrix::moves(input.iter().product(), (0..output.iter().product()).map(source))
    }
}
