//! Twins of batch normalisation by channel: a channel's statistics are over its places in all rows.

use super::Context;
use super::activation::multiply_slope;
use crate::host::{Disjoint, Real, for_rows, for_tasks, vectorised};
use crate::kernels::{BatchNormBackward, BatchNormForward, BatchNormInference};
use crate::program::View;

/// Interleaved sums, so that additions need not wait for each other.
const LANES: usize = 16;

/// Σ f(a, b) over two equally long slices, in a fixed order that vectorises.
#[inline(always)]
fn sum<T: Real>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    let mut lanes = [T::ZERO; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a.remainder().iter().zip(b.remainder()).fold(T::ZERO, |sum, (&a, &b)| sum + f(a, b));
    for (a, b) in a.zip(b) {
        for i in 0..LANES {
            lanes[i] += f(a[i], b[i]);
        }
    }
    lanes.into_iter().fold(rest, |sum, lane| sum + lane)
}

/// A channel's elements in a row.
fn of(view: View, row: usize, channel: usize, places: usize) -> std::ops::Range<usize> {
    let begin = row * view.ld + channel * places;
    begin..begin + places
}

impl BatchNormForward {
    pub(super) fn by_channel<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, channels) = (cx.rows(1), self.gamma.cols);
        let places = self.x.cols / channels;
        let n = T::of((rows * places) as f64);
        let mut scratch = std::mem::take(cx.scratch);
        let mut y = cx.take(self.y.buffer);
        // Mean, variance and 1/√(variance + ε) of each channel.
        let mut statistics = vec![T::ZERO; 3 * channels];
        {
            let (x, gamma, beta) = (cx.view(self.x), cx.view(self.gamma), cx.view(self.beta));
            let epsilon = T::of(f64::from(self.epsilon));
            let (all, y) = (Disjoint::new(&mut statistics), Disjoint::new(&mut y));
            for_tasks(cx.team, 3 * rows * self.x.cols, channels, (&mut scratch, 0), |c, _| {
                let part = |row: usize| &x[of(self.x, row, c, places)];
                let over_rows = |f: &dyn Fn(&[T]) -> T| (0..rows).fold(T::ZERO, |all, row| all + f(part(row))) / n;
                let mean = over_rows(&|x| vectorised(|| sum(x, x, |x, _| x)));
                let variance = over_rows(&|x| vectorised(|| sum(x, x, |x, _| (x - mean) * (x - mean))));
                let inv_std = T::ONE / (variance + epsilon).sqrt();
                // SAFETY: a task writes its own channel's statistics and elements.
                unsafe { all.part(3 * c, 3) }.copy_from_slice(&[mean, variance, inv_std]);
                for row in 0..rows {
                    let y = unsafe { y.part(self.y.offset + of(self.y, row, c, places).start, places) };
                    let normal = |x: T| (x - mean) * inv_std * gamma[c] + beta[c];
                    vectorised(|| y.iter_mut().zip(part(row)).for_each(|(y, &x)| *y = normal(x)));
                }
            });
        }
        *cx.scratch = scratch;
        cx.put(self.y.buffer, y);
        let momentum = T::of(f64::from(self.momentum));
        let (mut saved, mut running) = (cx.take(self.saved.buffer), cx.take(self.running.buffer));
        for (c, statistics) in statistics.chunks_exact(3).enumerate() {
            for (row, (kept, fresh)) in
                [(statistics[0], statistics[0]), (statistics[2], statistics[1])].into_iter().enumerate()
            {
                saved[self.saved.offset + row * self.saved.ld + c] = kept;
                let running = &mut running[self.running.offset + row * self.running.ld + c];
                *running = momentum * *running + (T::ONE - momentum) * fresh;
            }
        }
        cx.put(self.saved.buffer, saved);
        cx.put(self.running.buffer, running);
    }
}

impl BatchNormInference {
    pub(super) fn by_channel<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, channels) = (cx.rows(1), self.gamma.cols);
        let places = self.x.cols / channels;
        let mut y = cx.take(self.y.buffer);
        let (x, gamma, beta) = (cx.view(self.x), cx.view(self.gamma), cx.view(self.beta));
        let (mean, var) = cx.view(self.running).split_at(self.running.ld);
        let epsilon = T::of(f64::from(self.epsilon));
        let gain: Vec<T> = (0..channels).map(|c| gamma[c] / (var[c] + epsilon).sqrt()).collect();
        let ld = self.y.ld;
        for_rows(cx.team, rows * ld, &mut y[self.y.offset..][..rows * ld], ld, |first, chunk| {
            for (r, row) in chunk.chunks_exact_mut(ld).enumerate() {
                for (c, y) in row[..self.x.cols].chunks_exact_mut(places).enumerate() {
                    let x = &x[of(self.x, first + r, c, places)];
                    vectorised(|| y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - mean[c]) * gain[c] + beta[c]));
                }
            }
        });
        cx.put(self.y.buffer, y);
    }
}

impl BatchNormBackward {
    pub(super) fn by_channel<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, channels) = (cx.rows(1), self.gamma.cols);
        let places = self.x.cols / channels;
        let n = T::of((rows * places) as f64);
        let mut scratch = std::mem::take(cx.scratch);
        let mut dx = cx.take(self.dx.buffer);
        let mut sums = vec![T::ZERO; 2 * channels];
        {
            let (dy, x, gamma) = (cx.view(self.dy), cx.view(self.x), cx.view(self.gamma));
            let (mean, inv_std) = cx.view(self.saved).split_at(self.saved.ld);
            let saved = self.slope.map(|slope| (slope, cx.view(slope.saved)));
            let (sums, dx) = (Disjoint::new(&mut sums), Disjoint::new(&mut dx));
            for_tasks(cx.team, 4 * rows * self.x.cols, channels, (&mut scratch, 0), |c, _| {
                let parts = |row: usize| (&dy[of(self.dy, row, c, places)], &x[of(self.x, row, c, places)]);
                let over_rows =
                    |f: &dyn Fn(&[T], &[T]) -> T| (0..rows).map(parts).fold(T::ZERO, |all, (dy, x)| all + f(dy, x));
                let (mean, inv_std) = (mean[c], inv_std[c]);
                let d_beta = over_rows(&|dy, x| vectorised(|| sum(dy, x, |dy, _| dy)));
                let d_gamma = over_rows(&|dy, x| vectorised(|| sum(dy, x, |dy, x| dy * ((x - mean) * inv_std))));
                // SAFETY: a task writes its own channel's sums and elements.
                unsafe { sums.part(2 * c, 2) }.copy_from_slice(&[d_gamma, d_beta]);
                let (gain, offset, pull) = (gamma[c] * inv_std, d_beta / n, inv_std * (d_gamma / n));
                for row in 0..rows {
                    let (dy, x) = parts(row);
                    let dx = unsafe { dx.part(self.dx.offset + of(self.dx, row, c, places).start, places) };
                    vectorised(|| {
                        let numbers = dx.iter_mut().zip(dy.iter().zip(x));
                        numbers.for_each(|(dx, (&dy, &x))| *dx = gain * (dy - offset - (x - mean) * pull));
                    });
                    if let Some((slope, saved)) = saved {
                        multiply_slope(slope.rule, &saved[of(slope.saved, row / slope.seeds, c, places)], dx);
                    }
                }
            });
        }
        *cx.scratch = scratch;
        cx.put(self.dx.buffer, dx);
        let mut gradients = cx.take(self.d_gamma.buffer);
        for (c, sums) in sums.chunks_exact(2).enumerate() {
            gradients[self.d_gamma.offset + c] = sums[0];
            gradients[self.d_beta.offset + c] = sums[1];
        }
        cx.put(self.d_gamma.buffer, gradients);
    }
}
