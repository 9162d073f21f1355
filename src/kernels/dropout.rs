//! Inverted dropout with counter-based random numbers.

use crate::engine::{Buffer, View};

/// `y[r, c] = x[r, c] / (1 − p)` where `random(seed, count, node, r·cols + c) ≥ p·2³²`, else 0. The same operation is its
/// own backward: the mask is drawn again, not stored. See [`crate::kernels::twins::dropout_word`] for the integers.
#[derive(Debug, Clone)]
pub struct Dropout {
    pub x: View,
    pub y: View,
    /// Probability to drop, 0 ≤ p < 1.
    pub probability: f32,
    /// Tells the dropout nodes of a network apart.
    pub node: u32,
    pub settings: Buffer,
}
