//! Twins of the penalties and of Adam.

use super::Context;
use crate::host::{Disjoint, Real, split_rows, vectorised};
use crate::kernels::adam::TINY;
use crate::kernels::{Adam, Penalty, Proximal, SETTING_RATE, SETTING_REG_LAMBDA, SETTING_REG_PSI};
use crate::program::{RESULT_FINITE, RESULT_LEN, RESULT_PENALTY_LAMBDA, RESULT_PENALTY_PSI};

/// Σ f(x) in 64 interleaved sums: a fixed order that vectorises.
#[inline(always)]
fn sum<T: Real>(values: &[T], f: impl Fn(T) -> T) -> T {
    let mut lanes = [T::ZERO; 64];
    let (chunks, rest) = values.as_chunks::<64>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += f(x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += f(x);
    }
    lanes.into_iter().fold(T::ZERO, |sum, lane| sum + lane)
}

impl Penalty {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let mut results = cx.take(self.results);
        let settings = cx.words(self.settings);
        let p = &cx.floats(self.parameters)[..self.len];
        let slot = &mut results[cx.step.index as usize * RESULT_LEN..][..RESULT_LEN];
        let square = |x| x * x;
        slot[RESULT_PENALTY_LAMBDA] =
            T::of_bits(settings[SETTING_REG_LAMBDA]) * vectorised(|| sum(&p[self.lambda.clone()], square));
        slot[RESULT_PENALTY_PSI] =
            T::of_bits(settings[SETTING_REG_PSI]) * vectorised(|| sum(&p[self.psi.clone()], square));
        slot[RESULT_FINITE] = vectorised(|| sum(p, |x| x * T::ZERO));
        cx.put(self.results, results);
    }
}

/// The numbers of one Adam step that all parameters share.
#[derive(Clone, Copy)]
struct Update<T> {
    rate: T,
    beta1: T,
    beta2: T,
    epsilon: T,
}

impl<T: Real> Update<T> {
    /// One chunk with the penalty 'twice the regularisation' on it.
    fn apply(self, penalty: T, p: &mut [T], g: &[T], m: &mut [T], v: &mut [T]) {
        let tiny = T::of(f64::from(TINY));
        let (keep1, keep2) = (T::ONE - self.beta1, T::ONE - self.beta2);
        let Update { rate, beta1, beta2, epsilon } = self;
        let n = p.len();
        let (g, m, v) = (&g[..n], &mut m[..n], &mut v[..n]);
        vectorised(
            #[inline(always)]
            || {
                let flush = |x: T| if x.abs() < tiny { T::ZERO } else { x };
                for i in 0..n {
                    let g = g[i] + penalty * p[i];
                    m[i] = flush(beta1 * m[i] + keep1 * g);
                    v[i] = flush(beta2 * v[i] + keep2 * g * g);
                    p[i] = flush(p[i] - rate * m[i] / (v[i].sqrt() + epsilon));
                }
            },
        );
    }
}

impl Adam {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let mut p = cx.take(self.parameters);
        let mut m = cx.take(self.m);
        let mut v = cx.take(self.v);
        let g = cx.floats(self.gradient);
        let setting = |i: usize| T::of_bits(cx.words(self.settings)[i]);
        let update = Update {
            rate: T::of(f64::from(cx.step.rate)) * setting(SETTING_RATE),
            beta1: T::of(f64::from(self.beta1)),
            beta2: T::of(f64::from(self.beta2)),
            epsilon: T::of(f64::from(self.epsilon)),
        };
        let two = T::of(2.0);
        let regions = [
            (self.psi.clone(), two * setting(SETTING_REG_PSI)),
            (self.lambda.clone(), two * setting(SETTING_REG_LAMBDA)),
            (self.lambda.end..self.skip.start, T::ZERO),
            (self.skip.end..self.trainable, T::ZERO),
        ];
        for (region, penalty) in regions {
            let (p, g) = (&mut p[region.clone()], &g[region.clone()]);
            let (m, v) = (&mut m[region.clone()], &mut v[region]);
            let n = p.len();
            let (p, m, v) = (Disjoint::new(p), Disjoint::new(m), Disjoint::new(v));
            split_rows(cx.team, n, n, |first, len| {
                // SAFETY: the ranges are disjoint.
                let (p, m, v) = unsafe { (p.part(first, len), m.part(first, len), v.part(first, len)) };
                update.apply(penalty, p, &g[first..first + len], m, v);
            });
        }
        cx.put(self.parameters, p);
        cx.put(self.m, m);
        cx.put(self.v, v);
    }
}

impl Proximal {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let mut weight = cx.take(self.weight.buffer);
        let mut velocity = cx.take(self.velocity.buffer);
        let gradient = cx.view(self.gradient);
        let setting = |i: usize| T::of_bits(cx.words(self.settings)[i]);
        let kappa = T::of(2.0) * (setting(SETTING_REG_LAMBDA) * setting(SETTING_REG_PSI)).sqrt();
        let eta = T::of(f64::from(self.rate)) * T::of(f64::from(cx.step.rate)) * setting(SETTING_RATE);
        let keep = T::of(f64::from(self.momentum));
        let take = T::ONE - keep;
        let tiny = T::of(f64::from(TINY));
        let (n, ld) = (self.weight.cols, self.weight.ld);
        let w = &mut weight[self.weight.range()];
        // Row by row, so that everything runs in vectors; the columns' squares are summed in the order of the rows.
        let mut squares = vec![T::ZERO; n];
        for ((w, v), g) in w
            .chunks_mut(ld)
            .zip(velocity[self.velocity.range()].chunks_mut(self.velocity.ld))
            .zip(gradient.chunks(self.gradient.ld))
        {
            let (w, v, g) = (&mut w[..n], &mut v[..n], &g[..n]);
            let squares = &mut squares[..n];
            vectorised(
                #[inline(always)]
                || {
                    for c in 0..n {
                        let moved = keep * v[c] + take * g[c];
                        v[c] = if moved.abs() < tiny { T::ZERO } else { moved };
                        w[c] -= eta * v[c];
                        squares[c] += w[c] * w[c];
                    }
                },
            );
        }
        let (begins, columns) = cx.words(self.members).split_at(self.units + 1);
        let mut factors = squares;
        for unit in begins.windows(2) {
            let unit = &columns[unit[0] as usize..unit[1] as usize];
            let norm = unit.iter().fold(T::ZERO, |sum, &c| sum + factors[c as usize]).sqrt();
            let threshold = eta * kappa * T::of(unit.len() as f64).sqrt();
            // Not max(0, …): a NaN stays one.
            let factor = if norm <= threshold { T::ZERO } else { T::ONE - threshold / norm };
            unit.iter().for_each(|&c| factors[c as usize] = factor);
        }
        for w in w.chunks_mut(ld) {
            let (w, factors) = (&mut w[..n], &factors[..n]);
            vectorised(
                #[inline(always)]
                || {
                    for c in 0..n {
                        let shrunk = w[c] * factors[c];
                        w[c] = if shrunk.abs() < tiny { T::ZERO } else { shrunk };
                    }
                },
            );
        }
        cx.put(self.weight.buffer, weight);
        cx.put(self.velocity.buffer, velocity);
    }
}
