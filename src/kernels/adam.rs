//! Adam with the penalties' gradients in it.

use std::ops::Range;

use crate::engine::Buffer;

/// `g = gradient + 2·r·p` (r is r_ψ in `psi`, r_λ in `lambda`, else 0), `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`,
/// `p ← p − rate·factor·m/(√v + ε)` with the step's rate (bias corrections included) and the replica's factor.
///
/// Only `0..trainable` moves; the parameters are laid out as `psi | lambda | other trained | frozen`, ranges multiples of 4.
/// |p|, |m|, v below 1e-30 are written as 0, so that dropped columns never reach denormal numbers.
#[derive(Debug, Clone)]
pub struct Adam {
    pub parameters: Buffer,
    pub gradient: Buffer,
    pub m: Buffer,
    pub v: Buffer,
    pub psi: Range<usize>,
    pub lambda: Range<usize>,
    pub trainable: usize,
    pub settings: Buffer,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
}

/// Magnitudes below this are written as 0.
pub const TINY: f32 = 1e-30;
