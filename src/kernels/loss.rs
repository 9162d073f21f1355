//! Losses with their gradients, one row at a time.

use serde::{Deserialize, Serialize};

use crate::engine::{Buffer, View};

/// A loss, averaged over the batch (and, for regression, over the outputs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum LossKind {
    /// Softmax cross-entropy with integer labels.
    Ce = 0,
    /// Mean absolute error; gradient 0 where the error is 0.
    Mae = 1,
    /// Mean squared error.
    Mse = 2,
    /// Huber with δ = 1: `e²/2` for |e| ≤ 1, else `|e| − 1/2`.
    Huber = 3,
}

/// Per sample r, with o = `output[r]` of C columns and the target of data set row `rows[r]`:
/// `row_stats[r] = [loss, metric, square, 0]` (see `RESULT_*`: not divided by the batch; averaged over the C outputs for
/// regression), and `gradient = ∂(mean loss over the batch)/∂output`, i.e. divided by `step.rows` (and C for regression).
/// Cross-entropy's metric is 1 where the first largest output is the label.
#[derive(Debug, Clone)]
pub struct Loss {
    pub kind: LossKind,
    pub output: View,
    pub rows: Buffer,
    /// Words, shared: labels `[row]`, or `f32` bits `[row, C]` (unpadded).
    pub targets: Buffer,
    /// `None` for evaluation.
    pub gradient: Option<View>,
    /// `[B, 4]`.
    pub row_stats: View,
}
