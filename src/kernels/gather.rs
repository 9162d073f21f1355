//! Loads the batch's inputs from the resident data set and scales them.

use crate::engine::{Buffer, View};

/// How the resident data set holds its numbers, packed into words row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// Four values a word, lowest byte first; `stride` words a row.
    U8,
    /// One `f32` bit pattern a word.
    F32,
}

/// `out[r, c] = (data[rows[r], c] − shift[c]) · scale[c]` for r < rows; the padding columns become 0.
#[derive(Debug, Clone)]
pub struct Gather {
    pub rows: Buffer,
    /// Words, shared; row `i` starts at word `i·stride`.
    pub data: Buffer,
    pub storage: Storage,
    pub stride: usize,
    /// Floats, shared: `[2, ld]` with shift in row 0 and scale in row 1, `ld` as in `out`.
    pub scaling: Buffer,
    pub out: View,
}
