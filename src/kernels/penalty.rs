//! The value of the L2 penalties, and a check that the parameters are finite.

use std::ops::Range;

use crate::engine::Buffer;

/// `results[index·RESULT_LEN + …]`: `r_λ Σ_{lambda} p²`, `r_ψ Σ_{psi} p²`, and `0·Σ_{all} p` (NaN unless every parameter
/// is finite). The ranges are multiples of 4 and hold zero in their padding.
#[derive(Debug, Clone)]
pub struct Penalty {
    pub parameters: Buffer,
    pub psi: Range<usize>,
    pub lambda: Range<usize>,
    pub len: usize,
    pub settings: Buffer,
    pub results: Buffer,
}
