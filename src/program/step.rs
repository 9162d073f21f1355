//! What changes from run to run of a pass, and where its results stand.

use bytemuck::{Pod, Zeroable};

/// What differs between two runs of one pass; the kernels see it as a uniform.
///
/// Every kernel with a batch dimension works on the first `rows` samples only (times the seeds of its operation): what
/// lies beyond them in a view is undefined and never read.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct Step {
    /// Slot of the results buffer that this run writes.
    pub index: u32,
    /// Samples in this batch; at most the batch size that the pass was recorded for.
    pub rows: u32,
    /// Position of the batch's first sample in the (shuffled) row list.
    pub begin: u32,
    /// Epoch from 0: a key of the shuffle.
    pub epoch: u32,
    /// Training steps done before this one: a key of dropout.
    pub count: u32,
    /// Adam's step size with the bias corrections in it: `lr_t·√(1−β₂ᵗ)/(1−β₁ᵗ)`.
    pub rate: f32,
    /// Masked evaluation: which ordering of the inputs.
    pub ordering: u32,
    /// Masked evaluation: how many inputs of that ordering are kept.
    pub kept: u32,
}

/// Results a step leaves behind, `RESULT_LEN` floats a slot: sums over the batch's samples, then the penalties.
pub const RESULT_LEN: usize = 8;
/// Σ over samples of the loss.
pub const RESULT_LOSS: usize = 0;
/// Classification: right answers. Regression: Σ over samples of the mean absolute error over outputs.
pub const RESULT_METRIC: usize = 1;
/// Regression: Σ over samples of the mean squared error over outputs (0 for classification).
pub const RESULT_SQUARE: usize = 2;
/// r_λ Σλ² over the trained eigenvalues.
pub const RESULT_PENALTY_LAMBDA: usize = 4;
/// r_ψ Σψ² over the trained eigenvectors.
pub const RESULT_PENALTY_PSI: usize = 5;
/// 0, or NaN when a parameter is not finite.
pub const RESULT_FINITE: usize = 6;
