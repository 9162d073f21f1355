//! The numbers the twins compute with.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};
use std::sync::Arc;

/// `f32` or `f64`.
///
/// The `f32` transcendentals are branch-free polynomials that the compiler turns into vector code (relative error about
/// 2e-7); the `f64` ones are the standard library's, for they are the oracle.
pub trait Real:
    Copy
    + Debug
    + Send
    + Sync
    + PartialOrd
    + PartialEq
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + 'static
{
    const ZERO: Self;
    const ONE: Self;
    fn of(x: f64) -> Self;
    fn to_f64(self) -> f64;
    fn sqrt(self) -> Self;
    fn abs(self) -> Self;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn tanh(self) -> Self;
    fn erf(self) -> Self;
    /// The slice itself, where the numbers are `f32`.
    fn as_f32(_: &[Self]) -> Option<&[f32]> {
        None
    }
    /// The slice itself to write, where the numbers are `f32`.
    fn as_f32_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }
    /// The numbers themselves, where they are `f32`.
    fn held(_: &Arc<Vec<f32>>) -> Option<Arc<Vec<Self>>> {
        None
    }
    /// The number whose `f32` bit pattern is `bits`.
    #[inline(always)]
    fn of_bits(bits: u32) -> Self {
        Self::of(f64::from(f32::from_bits(bits)))
    }
    #[inline(always)]
    fn of_u8(x: u8) -> Self {
        Self::of(f64::from(x))
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        Self::ONE / (Self::ONE + (-self).exp())
    }
}

impl Real for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;
    #[inline(always)]
    fn of(x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn sqrt(self) -> f64 {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> f64 {
        f64::abs(self)
    }
    fn exp(self) -> f64 {
        f64::exp(self)
    }
    fn ln(self) -> f64 {
        f64::ln(self)
    }
    fn tanh(self) -> f64 {
        f64::tanh(self)
    }
    fn erf(self) -> f64 {
        libm::erf(self)
    }
}

impl Real for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;
    fn as_f32(slice: &[f32]) -> Option<&[f32]> {
        Some(slice)
    }
    fn as_f32_mut(slice: &mut [f32]) -> Option<&mut [f32]> {
        Some(slice)
    }
    fn held(values: &Arc<Vec<f32>>) -> Option<Arc<Vec<f32>>> {
        Some(Arc::clone(values))
    }
    #[inline(always)]
    fn of(x: f64) -> f32 {
        x as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn of_bits(bits: u32) -> f32 {
        f32::from_bits(bits)
    }
    #[inline(always)]
    fn of_u8(x: u8) -> f32 {
        f32::from(x)
    }
    #[inline(always)]
    fn sqrt(self) -> f32 {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> f32 {
        f32::abs(self)
    }
    /// eˣ = 2ⁿ·eʳ, |r| ≤ ln 2 / 2, with the minimax polynomial of Cephes' `expf`. NaN stays NaN.
    #[inline(always)]
    fn exp(self) -> f32 {
        // `clamp` lets NaN through.
        let x = self.clamp(-87.3, 88.3);
        let n = (x * std::f32::consts::LOG2_E + 0.5).floor();
        let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
        let mut p = 1.987_569_1e-4f32;
        for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
            p = p * r + c;
        }
        let p = p * r * r + r + 1.0;
        // n is in −126..=127 (or NaN, whose p is NaN already), so the bit pattern is a normal power of two.
        let power = f32::from_bits((((n as i32).clamp(-126, 127) + 127) as u32) << 23);
        p * power
    }
    fn ln(self) -> f32 {
        f32::ln(self)
    }
    /// Cephes' `tanhf`: an odd polynomial below 0.625, `1 − 2/(e²ˣ + 1)` above.
    #[inline(always)]
    fn tanh(self) -> f32 {
        let a = f32::abs(self);
        let z = self * self;
        let mut p = -5.704_988_7e-3f32;
        for c in [2.063_909e-2, -5.373_971_5e-2, 1.333_144_2e-1, -3.333_328e-1] {
            p = p * z + c;
        }
        let small = p * z * self + self;
        let large = (1.0 - 2.0 / (Real::exp(2.0 * a) + 1.0)).copysign(self);
        if a < 0.625 { small } else { large }
    }
    fn erf(self) -> f32 {
        libm::erff(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Real;

    #[test]
    fn polynomials_match_the_standard_library() {
        // 4e-7: two to three units in the last place of an f32, what the polynomials promise.
        for i in -20_000..20_000 {
            let x = i as f32 * 0.004;
            let (e, t) = (f64::from(x).exp(), f64::from(x).tanh());
            assert!((f64::from(Real::exp(x)) - e).abs() <= 4e-7 * e, "exp({x})");
            assert!((f64::from(Real::tanh(x)) - t).abs() <= 4e-7 * t.abs(), "tanh({x})");
        }
        assert!(Real::exp(f32::NAN).is_nan() && Real::tanh(f32::NAN).is_nan());
    }
}
