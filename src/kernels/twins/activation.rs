//! Activations: value, slope, value at zero, each said here once; their twins in WGSL stand in `shaders/common/activations.wgsl`.

use super::Context;
use crate::host::{Real, for_rows, vectorised};
use crate::kernels::activation::LEAKY_SLOPE;
use crate::kernels::linearise::SECANT_LIMIT;
use crate::kernels::{Activate, ActivateBackward, Activation, Linearise, SlopeRule};

/// Φ(z), the normal distribution function.
fn normal_cdf<T: Real>(z: T) -> T {
    T::of(0.5) * (T::ONE + (z * T::of(std::f64::consts::FRAC_1_SQRT_2)).erf())
}

/// `y ← σ(y)`.
fn activate<T: Real>(activation: Activation, y: &mut [T]) {
    let each = |f: fn(T) -> T, y: &mut [T]| y.iter_mut().for_each(|y| *y = f(*y));
    // Where a branch keeps y the compiler writes through a mask, which is slower than all the rest on some processors. It can't
    // tell that y + 0 is y (of −0 it isn't), so it writes every value.
    let keep = |y: T| y + T::ZERO;
    match activation {
        Activation::Identity => {}
        // A comparison that is false for NaN keeps the NaN: it must reach the loss.
        Activation::Relu => {
            vectorised(|| y.iter_mut().for_each(|y| *y = if *y < T::ZERO { T::ZERO } else { keep(*y) }))
        }
        Activation::LeakyRelu => {
            let slope = T::of(LEAKY_SLOPE);
            vectorised(|| y.iter_mut().for_each(|y| *y = if *y < T::ZERO { slope * *y } else { keep(*y) }));
        }
        Activation::Tanh => vectorised(|| y.iter_mut().for_each(|y| *y = y.tanh())),
        Activation::Sigmoid => vectorised(|| y.iter_mut().for_each(|y| *y = y.sigmoid())),
        Activation::Elu => {
            vectorised(|| y.iter_mut().for_each(|y| *y = if *y < T::ZERO { y.exp() - T::ONE } else { keep(*y) }))
        }
        Activation::Gelu => each(|z| z * normal_cdf(z), y),
        Activation::Silu => vectorised(|| y.iter_mut().for_each(|y| *y *= y.sigmoid())),
    }
}

/// [`activate`] on the first `cols` of every row of `ld`: in one piece where rows follow each other without a gap.
pub(super) fn activate_rows<T: Real>(activation: Activation, rows: &mut [T], ld: usize, cols: usize) {
    if ld == cols {
        return activate(activation, rows);
    }
    rows.chunks_exact_mut(ld).for_each(|row| activate(activation, &mut row[..cols]));
}

/// `dx ← dx · slope`, read from what forward saved (see [`crate::kernels::Slope`]).
pub(super) fn multiply_slope<T: Real>(rule: SlopeRule, saved: &[T], dx: &mut [T]) {
    #[inline(always)]
    fn each<T: Real>(saved: &[T], dx: &mut [T], slope: impl Fn(T) -> T) {
        vectorised(|| dx.iter_mut().zip(saved).for_each(|(d, &s)| *d *= slope(s)));
    }
    let one = T::ONE;
    let SlopeRule::Of(activation) = rule else { return each(saved, dx, |s| s) };
    match activation {
        Activation::Identity => {}
        Activation::Relu => each(saved, dx, |y| if y > T::ZERO { T::ONE } else { T::ZERO }),
        Activation::LeakyRelu => {
            let negative = T::of(LEAKY_SLOPE);
            each(saved, dx, |y| if y > T::ZERO { T::ONE } else { negative });
        }
        Activation::Tanh => each(saved, dx, |y| one - y * y),
        Activation::Sigmoid => each(saved, dx, |y| y * (one - y)),
        Activation::Elu => each(saved, dx, |y| if y > T::ZERO { T::ONE } else { y + T::ONE }),
        Activation::Gelu => {
            let density = T::of(1.0 / (2.0 * std::f64::consts::PI).sqrt());
            for (d, &z) in dx.iter_mut().zip(saved) {
                *d *= normal_cdf(z) + z * density * (T::of(-0.5) * z * z).exp();
            }
        }
        Activation::Silu => each(saved, dx, |z| {
            let s = z.sigmoid();
            s * (one + z * (one - s))
        }),
    }
}

impl Activation {
    /// σ(0) and the slope there (of the side that the tangent takes).
    fn at_zero<T: Real>(self) -> (T, T) {
        let value = T::of(if self == Activation::Sigmoid { 0.5 } else { 0.0 });
        let mut slope = [T::ONE];
        multiply_slope(SlopeRule::Of(self), &[if self.slope_needs_input() { T::ZERO } else { value }], &mut slope);
        (value, slope[0])
    }
}

impl Activate {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, ld, cols) = (cx.rows(1), self.y.ld, self.y.cols);
        let mut y = cx.take(self.y.buffer);
        let x = cx.view(self.x);
        for_rows(cx.team, rows * ld, &mut y[self.y.offset..][..rows * ld], ld, |first, chunk| {
            for (r, row) in chunk.chunks_exact_mut(ld).enumerate() {
                row[..cols].copy_from_slice(&x[(first + r) * self.x.ld..][..cols]);
            }
            activate_rows(self.activation, chunk, ld, cols);
        });
        cx.put(self.y.buffer, y);
    }
}

impl ActivateBackward {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, ld, cols) = (cx.rows(self.slope.seeds), self.dx.ld, self.dx.cols);
        let mut dx = cx.take(self.dx.buffer);
        let (dy, saved) = (cx.view(self.dy), cx.view(self.slope.saved));
        for_rows(cx.team, rows * ld, &mut dx[self.dx.offset..][..rows * ld], ld, |first, chunk| {
            for (r, row) in chunk.chunks_exact_mut(ld).enumerate() {
                row[..cols].copy_from_slice(&dy[(first + r) * self.dy.ld..][..cols]);
                let start = (first + r) / self.slope.seeds * self.slope.saved.ld;
                multiply_slope(self.slope.rule, &saved[start..start + cols], &mut row[..cols]);
            }
        });
        cx.put(self.dx.buffer, dx);
    }
}

impl Linearise {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, ld, cols) = (cx.rows(1), self.slope.ld, self.slope.cols);
        let (mut slope, mut intercept) = (cx.take(self.slope.buffer), cx.take(self.intercept.buffer));
        let (z, y) = (cx.view(self.z), cx.view(self.y));
        let secant = self.secant && !self.activation.piecewise_linear();
        let saved = if self.activation.slope_needs_input() { z } else { y };
        let saved_ld = if self.activation.slope_needs_input() { self.z.ld } else { self.y.ld };
        let (at_zero, slope_at_zero) = self.activation.at_zero::<T>();
        for_rows(cx.team, rows * ld, &mut slope[self.slope.offset..][..rows * ld], ld, |first, chunk| {
            for (r, row) in chunk.chunks_exact_mut(ld).enumerate() {
                let row = &mut row[..cols];
                if secant {
                    let z = &z[(first + r) * self.z.ld..][..cols];
                    let y = &y[(first + r) * self.y.ld..][..cols];
                    for c in 0..cols {
                        let near = z[c].abs() < T::of(SECANT_LIMIT);
                        row[c] = if near { slope_at_zero } else { (y[c] - at_zero) / z[c] };
                    }
                } else {
                    row.fill(T::ONE);
                    multiply_slope(SlopeRule::Of(self.activation), &saved[(first + r) * saved_ld..][..cols], row);
                }
            }
        });
        for r in 0..rows {
            let s = &slope[self.slope.offset + r * ld..][..cols];
            let (z, y) = (&z[r * self.z.ld..][..cols], &y[r * self.y.ld..][..cols]);
            let q = &mut intercept[self.intercept.offset + r * self.intercept.ld..][..cols];
            vectorised(|| (0..cols).for_each(|c| q[c] = y[c] - s[c] * z[c]));
        }
        cx.put(self.slope.buffer, slope);
        cx.put(self.intercept.buffer, intercept);
    }
}
