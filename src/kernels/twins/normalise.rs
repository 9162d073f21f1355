//! Twins of batch normalisation.

use super::Context;
use super::activation::multiply_slope;
use crate::host::{Real, column_sums, vectorised};
use crate::kernels::{BatchNormBackward, BatchNormForward, BatchNormInference};

impl BatchNormForward {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        if self.gamma.cols != self.x.cols {
            return self.by_channel(cx);
        }
        let (rows, cols) = (cx.rows(1), self.x.cols);
        let n = T::of(rows as f64);
        let (mut saved, mut running, mut y) =
            (cx.take(self.saved.buffer), cx.take(self.running.buffer), cx.take(self.y.buffer));
        let x = cx.view(self.x);
        let (gamma, beta) = (cx.view(self.gamma), cx.view(self.beta));
        let (mean, inv_std) = saved[self.saved.range()].split_at_mut(self.saved.ld);
        let (mean, inv_std) = (&mut mean[..cols], &mut inv_std[..cols]);
        column_sums(x, self.x.ld, rows, mean);
        mean.iter_mut().for_each(|m| *m = *m / n);
        let var = inv_std;
        var.fill(T::ZERO);
        vectorised(|| {
            for row in x.chunks_exact(self.x.ld).take(rows) {
                for c in 0..cols {
                    let d = row[c] - mean[c];
                    var[c] += d * d;
                }
            }
        });
        let (momentum, epsilon) = (T::of(f64::from(self.momentum)), T::of(f64::from(self.epsilon)));
        let (running_mean, running_var) = running[self.running.range()].split_at_mut(self.running.ld);
        for c in 0..cols {
            let batch_var = var[c] / n;
            running_mean[c] = momentum * running_mean[c] + (T::ONE - momentum) * mean[c];
            running_var[c] = momentum * running_var[c] + (T::ONE - momentum) * batch_var;
            var[c] = T::ONE / (batch_var + epsilon).sqrt();
        }
        let inv_std = var;
        let rows_of_y = y[self.y.offset..].chunks_exact_mut(self.y.ld);
        vectorised(|| {
            for (y, x) in rows_of_y.zip(x.chunks_exact(self.x.ld)).take(rows) {
                for c in 0..cols {
                    y[c] = (x[c] - mean[c]) * inv_std[c] * gamma[c] + beta[c];
                }
            }
        });
        cx.put(self.y.buffer, y);
        cx.put(self.running.buffer, running);
        cx.put(self.saved.buffer, saved);
    }
}

impl BatchNormInference {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        if self.gamma.cols != self.x.cols {
            return self.by_channel(cx);
        }
        let (rows, cols) = (cx.rows(1), self.x.cols);
        let mut y = cx.take(self.y.buffer);
        let x = cx.view(self.x);
        let (gamma, beta) = (cx.view(self.gamma), cx.view(self.beta));
        let (mean, var) = cx.view(self.running).split_at(self.running.ld);
        let epsilon = T::of(f64::from(self.epsilon));
        let inv_std: Vec<T> = var[..cols].iter().map(|&v| T::ONE / (v + epsilon).sqrt()).collect();
        let rows_of_y = y[self.y.offset..].chunks_exact_mut(self.y.ld);
        vectorised(|| {
            for (y, x) in rows_of_y.zip(x.chunks_exact(self.x.ld)).take(rows) {
                for c in 0..cols {
                    y[c] = (x[c] - mean[c]) * inv_std[c] * gamma[c] + beta[c];
                }
            }
        });
        cx.put(self.y.buffer, y);
    }
}

impl BatchNormBackward {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        if self.gamma.cols != self.x.cols {
            return self.by_channel(cx);
        }
        let (rows, cols) = (cx.rows(1), self.x.cols);
        let n = T::of(rows as f64);
        let mut gradients = cx.take(self.d_gamma.buffer);
        let mut dx = cx.take(self.dx.buffer);
        let (dy, x, gamma) = (cx.view(self.dy), cx.view(self.x), cx.view(self.gamma));
        let (mean, inv_std) = cx.view(self.saved).split_at(self.saved.ld);
        let mut d_gamma = vec![T::ZERO; cols];
        let mut d_beta = vec![T::ZERO; cols];
        column_sums(dy, self.dy.ld, rows, &mut d_beta);
        let (mean, inv_std, gamma) = (&mean[..cols], &inv_std[..cols], &gamma[..cols]);
        vectorised(
            #[inline(always)]
            || {
                let d_gamma = &mut d_gamma[..cols];
                for (dy, x) in dy.chunks_exact(self.dy.ld).zip(x.chunks_exact(self.x.ld)).take(rows) {
                    let (dy, x) = (&dy[..cols], &x[..cols]);
                    for c in 0..cols {
                        d_gamma[c] += dy[c] * ((x[c] - mean[c]) * inv_std[c]);
                    }
                }
            },
        );
        // dx = slope·(dy − offset − (x − mean)·pull), with what is constant in a column computed once.
        let slope_of: Vec<T> = (0..cols).map(|c| gamma[c] * inv_std[c]).collect();
        let offset: Vec<T> = (0..cols).map(|c| d_beta[c] / n).collect();
        let pull: Vec<T> = (0..cols).map(|c| inv_std[c] * (d_gamma[c] / n)).collect();
        let saved = self.slope.map(|slope| (slope, cx.view(slope.saved)));
        let rows_of_dx = dx[self.dx.offset..].chunks_exact_mut(self.dx.ld);
        let inputs = dy.chunks_exact(self.dy.ld).zip(x.chunks_exact(self.x.ld));
        for (r, (dx, (dy, x))) in rows_of_dx.zip(inputs).take(rows).enumerate() {
            let (dx, dy, x) = (&mut dx[..cols], &dy[..cols], &x[..cols]);
            vectorised(
                #[inline(always)]
                || {
                    let (slope_of, offset, pull) = (&slope_of[..cols], &offset[..cols], &pull[..cols]);
                    for c in 0..cols {
                        dx[c] = slope_of[c] * (dy[c] - offset[c] - (x[c] - mean[c]) * pull[c]);
                    }
                },
            );
            if let Some((slope, saved)) = saved {
                let start = r / slope.seeds * slope.saved.ld;
                multiply_slope(slope.rule, &saved[start..start + cols], dx);
            }
        }
        gradients[self.d_gamma.offset..][..cols].copy_from_slice(&d_gamma);
        gradients[self.d_beta.offset..][..cols].copy_from_slice(&d_beta);
        cx.put(self.dx.buffer, dx);
        cx.put(self.d_gamma.buffer, gradients);
    }
}
