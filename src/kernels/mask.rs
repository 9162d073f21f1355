//! Masked evaluation: keeps the k best inputs of an ordering and replaces the others.

use crate::engine::{Buffer, View};

/// `x[r, c] = fill[c]` in place wherever `position[ordering, c] ≥ kept` (`ordering` and `kept` come with the step).
#[derive(Debug, Clone)]
pub struct Mask {
    pub x: View,
    /// Words, per replica: `[orderings, ld]`, the place of every input in each ordering, from 0.
    pub position: Buffer,
    /// Floats, shared: `[ld]`, zero in the padding.
    pub fill: Buffer,
}
