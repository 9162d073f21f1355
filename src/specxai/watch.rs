//! Long decompositions, watched.

use super::krylov::Apply;
use super::matrix_free::MatrixFree;
use super::middle::Middle;
use crate::train::Flow;
use crate::{Error, Result};

/// How far a long decomposition is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// The share that is done.
    pub share: f64,
    /// Whether part of it was kept when the same work was stopped (see [`Keep`](crate::run::Keep)).
    pub resumed: bool,
}

/// Watches a long decomposition, and may stop it.
pub type Watch<'a> = dyn FnMut(Work) -> Flow + 'a;

/// An operator whose products are counted for whoever watches.
pub(super) struct Watched<'a, 'w> {
    pub(super) operator: &'a mut MatrixFree,
    pub(super) watch: &'a mut Watch<'w>,
    pub(super) done: usize,
    pub(super) expected: usize,
    pub(super) resumed: bool,
}

impl Watched<'_, '_> {
    fn tell(&mut self) -> Result<()> {
        self.done += 1;
        let share = (self.done as f64 / self.expected.max(1) as f64).min(1.0);
        match (self.watch)(Work { share, resumed: self.resumed }) {
            Flow::Continue => Ok(()),
            Flow::Stop => Err(Error::Stopped("stopped before the last row; nothing was written".into())),
        }
    }

    /// Counts products that needn't be made once more.
    pub(super) fn take_over(&mut self, products: usize) {
        self.resumed |= products > 0;
        self.done += products;
    }
}

impl Middle for Watched<'_, '_> {
    fn width(&self) -> Option<usize> {
        self.operator.width()
    }

    fn is_input(&self) -> bool {
        self.operator.is_input()
    }

    fn descend(&mut self, u: &[f64]) -> Result<Vec<f64>> {
        self.tell()?;
        self.operator.descend(u)
    }

    fn there_and_back(&mut self, h: &[f64]) -> Result<Vec<f64>> {
        self.tell()?;
        self.operator.there_and_back(h)
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
