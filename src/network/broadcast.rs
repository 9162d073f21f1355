//! Samples spread over larger ones.

use serde::{Deserialize, Serialize};

use super::Layer;
use super::fixed::Fixed;
use super::places::{coordinates, elements, flat};
use super::sparse_matrix::SparseMatrix;

/// Repeats a sample along the axes where it has the size 1, to the shape `shape`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broadcast {
    pub shape: Vec<usize>,
}

impl From<Broadcast> for Layer {
    fn from(layer: Broadcast) -> Layer {
        Layer::Broadcast(layer)
    }
}

impl Fixed for Broadcast {
    fn kind(&self) -> &'static str {
        "broadcast"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        elements(&self.shape)?;
        let fits = |(&from, &to): (&usize, &usize)| from == to || from == 1;
        if input.len() != self.shape.len() || !input.iter().zip(&self.shape).all(fits) {
            return Err(format!("samples of the shape {input:?} can't be spread over {:?}", self.shape));
        }
        Ok(self.shape.clone())
    }

    fn matrix(&self, input: &[usize]) -> SparseMatrix {
        let source = |j: usize| {
            let at = coordinates(&self.shape, j);
            let own: Vec<usize> = at.iter().zip(input).map(|(&at, &size)| if size == 1 { 0 } else { at }).collect();
            Some(flat(input, &own))
        };
        SparseMatrix::moves(input.iter().product(), (0..self.shape.iter().product()).map(source))
    }
}
