//! A node half-way between the input and a split, at which the rows of R are held while their Gram matrix is made.

use super::cuts::cuts_to;
use super::krylov::Apply;
use crate::Result;
use crate::network::{Network, NodeId};

/// An operator `R = H R₁` with a middle between: `G = R Rᵀ = H (R₁ R₁ᵀ) Hᵀ`. H has the rows of R and is narrower, and its rows take only the
/// upper part of the network; `R₁ R₁ᵀ` takes the lower part, there and back. With the input as the middle, H is R.
pub(super) trait Middle: Apply {
    /// Columns of H; `None` without a middle.
    fn width(&self) -> Option<usize>;
    /// Whether the middle is the input, where `R₁ R₁ᵀ` is the identity.
    fn is_input(&self) -> bool;
    /// `Hᵀu` of a block.
    fn descend(&mut self, u: &[f64]) -> Result<Vec<f64>>;
    /// `R₁ R₁ᵀ h` of a block.
    fn there_and_back(&mut self, h: &[f64]) -> Result<Vec<f64>>;
}

/// Where H is held, and what the Gram matrix of a row takes there, in multiply-adds of products.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Held {
    pub(super) node: NodeId,
    /// Of those above the middle, once, and of those below it, twice; of the input none.
    pub(super) above: usize,
    pub(super) below: usize,
    pub(super) width: usize,
}

/// Multiply-adds of a matrix product that take as long as one of the network's.
const QUICKER: usize = 2;

/// The place where `rows` rows of H, with numbers of so many `bytes`, fit into the memory beside their Gram matrix and take the least work;
/// `None` where the columns of the Gram matrix had better come from products with R and Rᵀ, or must.
pub(super) fn middle(network: &Network, split: NodeId, rows: usize, bytes: usize, memory: usize) -> Option<Held> {
    let whole: Vec<usize> = (0..=split).map(|id| network.multiply_adds(id)).collect();
    let all: usize = whole.iter().sum();
    let mut best = None;
    let mut least = 2usize.saturating_mul(all);
    let cuts = cuts_to(network, split);
    let mut below = 0;
    for node in 0..split {
        below += whole[node];
        if !cuts[node] {
            continue;
        }
        let (above, width) = (all - below, network.nodes[node].width());
        let work = (above + 2 * below).saturating_add(rows.saturating_mul(width) / 2 / QUICKER);
        if work < least && held_bytes(rows, width, bytes) <= memory {
            (best, least) = (Some(Held { node, above, below, width }), work);
        }
    }
    best
}

/// Rows whose images under `R₁ R₁ᵀ` are multiplied with H at once.
pub(super) const PANEL: usize = 256;

/// Bytes of H, of a panel's images and of the Gram matrix.
pub(super) fn held_bytes(rows: usize, width: usize, bytes: usize) -> usize {
    rows.saturating_add(rows.min(PANEL))
        .saturating_mul(width)
        .saturating_mul(bytes)
        .saturating_add(rows.saturating_mul(rows) * 8)
}
