//! Twins of the activations, dropout and addition.

use super::{Context, dropout_draw, dropout_key, dropout_threshold};
use crate::host::{Real, for_rows, vectorised};
use crate::kernels::activation::LEAKY_SLOPE;
use crate::kernels::{Activate, ActivateBackward, Activation, Add, Dropout, SETTING_SEED, SlopeRule};

/// Φ(z), the normal distribution function.
fn normal_cdf<T: Real>(z: T) -> T {
    T::of(0.5) * (T::ONE + (z * T::of(std::f64::consts::FRAC_1_SQRT_2)).erf())
}

/// `y ← σ(y)`.
pub(super) fn activate<T: Real>(activation: Activation, y: &mut [T]) {
    let each = |f: fn(T) -> T, y: &mut [T]| y.iter_mut().for_each(|y| *y = f(*y));
    match activation {
        Activation::Identity => {}
        // A comparison that is false for NaN keeps the NaN: it must reach the loss.
        Activation::Relu => vectorised(|| y.iter_mut().for_each(|y| *y = if *y < T::ZERO { T::ZERO } else { *y })),
        Activation::LeakyRelu => {
            let slope = T::of(LEAKY_SLOPE);
            vectorised(|| y.iter_mut().for_each(|y| *y = if *y < T::ZERO { slope * *y } else { *y }));
        }
        Activation::Tanh => vectorised(|| y.iter_mut().for_each(|y| *y = y.tanh())),
        Activation::Sigmoid => vectorised(|| y.iter_mut().for_each(|y| *y = y.sigmoid())),
        Activation::Elu => {
            vectorised(|| y.iter_mut().for_each(|y| *y = if *y < T::ZERO { y.exp() - T::ONE } else { *y }))
        }
        Activation::Gelu => each(|z| z * normal_cdf(z), y),
        Activation::Silu => vectorised(|| y.iter_mut().for_each(|y| *y *= y.sigmoid())),
    }
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

impl Activate {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, ld, cols) = (cx.rows(1), self.y.ld, self.y.cols);
        let mut y = cx.take(self.y.buffer);
        let x = cx.view(self.x);
        for_rows(cx.team, rows * ld, &mut y[self.y.offset..][..rows * ld], ld, |first, chunk| {
            for (r, row) in chunk.chunks_exact_mut(ld).enumerate() {
                row[..cols].copy_from_slice(&x[(first + r) * self.x.ld..][..cols]);
                activate(self.activation, &mut row[..cols]);
            }
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

impl Dropout {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, ld, cols) = (cx.rows(1), self.y.ld, self.y.cols);
        let key = dropout_key(cx.words(self.settings)[SETTING_SEED], cx.step.count, self.node);
        let threshold = dropout_threshold(self.probability);
        let scale = T::ONE / (T::ONE - T::of(f64::from(self.probability)));
        let mut y = cx.take(self.y.buffer);
        let x = cx.view(self.x);
        for_rows(cx.team, rows * ld, &mut y[self.y.offset..][..rows * ld], ld, |first, chunk| {
            for (r, row) in chunk.chunks_exact_mut(ld).enumerate() {
                let x = &x[(first + r) * self.x.ld..][..cols];
                let start = ((first + r) * cols) as u32;
                vectorised(|| {
                    for c in 0..cols {
                        let word = dropout_draw(key, start.wrapping_add(c as u32));
                        row[c] = if word >= threshold { x[c] * scale } else { T::ZERO };
                    }
                });
            }
        });
        cx.put(self.y.buffer, y);
    }
}

impl Add {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, ld, cols) = (cx.rows(self.seeds), self.out.ld, self.out.cols);
        let mut out = cx.take(self.out.buffer);
        let (a, b) = (cx.view(self.a), cx.view(self.b));
        for_rows(cx.team, rows * ld, &mut out[self.out.offset..][..rows * ld], ld, |first, chunk| {
            for (r, row) in chunk.chunks_exact_mut(ld).enumerate() {
                let (a, b) = (&a[(first + r) * self.a.ld..][..cols], &b[(first + r) * self.b.ld..][..cols]);
                vectorised(|| {
                    for c in 0..cols {
                        row[c] = a[c] + b[c];
                    }
                });
            }
        });
        cx.put(self.out.buffer, out);
    }
}
