//! Sums the per-sample statistics of a batch.

use crate::engine::{Buffer, View};

/// `results[index·RESULT_LEN + q] = Σ_r row_stats[r, q]` for q < 4 and r < rows, in a fixed order.
#[derive(Debug, Clone)]
pub struct Reduce {
    pub row_stats: View,
    pub results: Buffer,
}
