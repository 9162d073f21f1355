//! Long decompositions, watched.

use super::krylov::Apply;
use super::matrix_free::MatrixFree;
use crate::train::Flow;
use crate::{Error, Result};

/// Watches a long decomposition: is told the share that is done, and may stop it.
pub type Watch<'a> = dyn FnMut(f64) -> Flow + 'a;

/// An operator whose products are counted for whoever watches.
pub(super) struct Watched<'a, 'w> {
    pub(super) operator: &'a mut MatrixFree,
    pub(super) watch: &'a mut Watch<'w>,
    pub(super) done: usize,
    pub(super) expected: usize,
}

impl Watched<'_, '_> {
    fn tell(&mut self) -> Result<()> {
        self.done += 1;
        match (self.watch)((self.done as f64 / self.expected.max(1) as f64).min(1.0)) {
            Flow::Continue => Ok(()),
            Flow::Stop => Err(Error::Stopped("stopped before the last row; nothing was written".into())),
        }
    }
}

impl Apply for Watched<'_, '_> {
    fn shape(&self) -> (usize, usize) {
        self.operator.shape()
    }

    fn apply(&mut self, v: &[f64]) -> Result<Vec<f64>> {
        self.tell()?;
        self.operator.apply(v)
    }

    fn apply_transpose(&mut self, u: &[f64]) -> Result<Vec<f64>> {
        self.tell()?;
        self.operator.apply_transpose(u)
    }

    fn block(&self) -> usize {
        self.operator.block()
    }
}
