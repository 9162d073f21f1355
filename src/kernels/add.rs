//! Elementwise sum: residual additions, and gradients that meet at a node with several consumers.

use crate::engine::View;

/// `out[r, c] = a[r, c] + b[r, c]` for the batch's rows times the seeds. Three different buffers.
#[derive(Debug, Clone)]
pub struct Add {
    pub a: View,
    pub b: View,
    pub out: View,
    pub seeds: usize,
}
