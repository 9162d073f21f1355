//! Which inputs an evaluation or a training sees.

/// Orderings of the inputs for masked evaluation or masked training: `[orderings][feature]` places from 0, one set for
/// each replica, and what replaces a masked input (`[columns]`, after scaling).
#[derive(Debug, Clone, Default)]
pub struct Masking {
    pub positions: Vec<Vec<Vec<u32>>>,
    pub fill: Vec<f64>,
    /// Masks the inputs in training too (keeping places below 1), to train on a subset of the features.
    pub train: bool,
}

/// One masked evaluation of a k-curve.
#[derive(Debug, Clone, Copy)]
pub struct Masked {
    pub ordering: u32,
    pub kept: u32,
}
