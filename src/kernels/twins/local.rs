//! Twins of what only local operators need: batch norm's slopes and intercepts, the first product of a Jacobian, columns side by
//! side.

use super::Context;
use super::activation::multiply_slope;
use crate::host::{Real, for_rows, vectorised};
use crate::kernels::{BatchNormLinearise, Concat, Expand, Slice, SlopeRule};

impl BatchNormLinearise {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, cols) = (cx.rows(1), self.slope.cols);
        let (mut slope, mut intercept) = (cx.take(self.slope.buffer), cx.take(self.intercept.buffer));
        let (gamma, beta, running) = (cx.view(self.gamma), cx.view(self.beta), cx.view(self.running));
        let (mean, var) = running.split_at(self.running.ld);
        let epsilon = T::of(f64::from(self.epsilon));
        // Elements of a channel: 1 where every element has statistics of its own.
        let places = cols / self.gamma.cols;
        for r in 0..rows {
            let s = &mut slope[self.slope.offset + r * self.slope.ld..][..cols];
            let q = &mut intercept[self.intercept.offset + r * self.intercept.ld..][..cols];
            for c in 0..self.gamma.cols {
                let gain = gamma[c] / (var[c] + epsilon).sqrt();
                s[c * places..][..places].fill(gain);
                q[c * places..][..places].fill(beta[c] - mean[c] * gain);
            }
        }
        cx.put(self.slope.buffer, slope);
        cx.put(self.intercept.buffer, intercept);
    }
}

impl Expand {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, ld, cols, seeds) = (cx.rows(self.seeds), self.out.ld, self.out.cols, self.seeds);
        let mut out = cx.take(self.out.buffer);
        let left = self.left.map(|view| (cx.view(view), view.ld));
        let right = self.right.map(|view| (cx.view(view), view.ld));
        let weight = self.weight.map(|view| (cx.view(view), view.ld));
        let eigenvalues = self.eigenvalues.map(|e| (cx.view(e.lambda_in), cx.view(e.lambda_out)));
        for_rows(cx.team, rows * ld, &mut out[self.out.offset..][..rows * ld], ld, |first, chunk| {
            for (r, row) in chunk.chunks_exact_mut(ld).enumerate() {
                let (b, j) = ((first + r) / seeds, (first + r) % seeds);
                let row = &mut row[..cols];
                let scale = left.map_or(T::ONE, |(left, ld)| left[b * ld + j]);
                match weight {
                    None => {
                        row.fill(T::ZERO);
                        row[j] = scale;
                    }
                    // An inactive unit's row is zero.
                    Some(_) if scale == T::ZERO => row.fill(T::ZERO),
                    Some((weight, ld)) => {
                        let w = &weight[j * ld..][..cols];
                        match eigenvalues {
                            Some((lambda_in, lambda_out)) => {
                                let (lambda_in, out) = (&lambda_in[..cols], lambda_out[j]);
                                vectorised(|| (0..cols).for_each(|c| row[c] = scale * ((lambda_in[c] - out) * w[c])));
                            }
                            None => vectorised(|| (0..cols).for_each(|c| row[c] = scale * w[c])),
                        }
                    }
                }
                if let Some((right, ld)) = right {
                    multiply_slope(SlopeRule::Given, &right[b * ld..][..cols], row);
                }
            }
        });
        cx.put(self.out.buffer, out);
    }
}

impl Concat {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, ld) = (cx.rows(self.seeds), self.out.ld);
        let mut out = cx.take(self.out.buffer);
        let (a, b) = (cx.view(self.a), cx.view(self.b));
        for_rows(cx.team, rows * ld, &mut out[self.out.offset..][..rows * ld], ld, |first, chunk| {
            for (r, row) in chunk.chunks_exact_mut(ld).enumerate() {
                let (left, right) = row[..self.out.cols].split_at_mut(self.a.cols);
                left.copy_from_slice(&a[(first + r) * self.a.ld..][..self.a.cols]);
                right.copy_from_slice(&b[(first + r) * self.b.ld..][..self.b.cols]);
            }
        });
        cx.put(self.out.buffer, out);
    }
}

impl Slice {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, ld, cols) = (cx.rows(self.seeds), self.out.ld, self.out.cols);
        let mut out = cx.take(self.out.buffer);
        let x = cx.view(self.x);
        for_rows(cx.team, rows * ld, &mut out[self.out.offset..][..rows * ld], ld, |first, chunk| {
            for (r, row) in chunk.chunks_exact_mut(ld).enumerate() {
                row[..cols].copy_from_slice(&x[(first + r) * self.x.ld + self.first..][..cols]);
            }
        });
        cx.put(self.out.buffer, out);
    }
}
