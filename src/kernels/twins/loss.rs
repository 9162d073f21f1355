//! Twins of the losses and of the sums over a batch.

use super::Context;
use crate::host::{Disjoint, Real, split_rows, vectorised};
use crate::kernels::{Loss, LossKind, Reduce};
use crate::program::RESULT_LEN;

/// Loss, right or not, and the gradient of one row of logits (written over `gradient`, not yet divided by the batch).
#[inline(always)]
fn cross_entropy<T: Real>(logits: &[T], label: usize, gradient: &mut [T]) -> [T; 4] {
    let mut best = 0;
    for (c, &o) in logits.iter().enumerate() {
        if o > logits[best] {
            best = c;
        }
    }
    let max = logits[best];
    let mut sum = T::ZERO;
    for (g, &o) in gradient.iter_mut().zip(logits) {
        *g = (o - max).exp();
        sum += *g;
    }
    let loss = sum.ln() - (logits[label] - max);
    let share = T::ONE / sum;
    for g in gradient.iter_mut() {
        *g *= share;
    }
    gradient[label] -= T::ONE;
    let right = if best == label { T::ONE } else { T::ZERO };
    [loss, right, T::ZERO, T::ZERO]
}

/// Mean loss, |e| and e² over one row's outputs, and the gradient (divided by the outputs, not by the batch).
#[inline(always)]
fn regression<T: Real>(kind: LossKind, output: &[T], target: &[u32], gradient: &mut [T]) -> [T; 4] {
    let share = T::ONE / T::of(output.len() as f64);
    let (half, two) = (T::of(0.5), T::of(2.0));
    let (mut loss, mut absolute, mut square) = (T::ZERO, T::ZERO, T::ZERO);
    for ((g, &o), &t) in gradient.iter_mut().zip(output).zip(target) {
        let e = o - T::of_bits(t);
        let sign = if e > T::ZERO {
            T::ONE
        } else if e < T::ZERO {
            -T::ONE
        } else {
            T::ZERO
        };
        let (l, d) = match kind {
            LossKind::Mse => (e * e, two * e),
            LossKind::Huber if e.abs() <= T::ONE => (half * e * e, e),
            LossKind::Huber => (e.abs() - half, sign),
            LossKind::Mae | LossKind::Ce => (e.abs(), sign),
        };
        loss += l;
        absolute += e.abs();
        square += e * e;
        *g = d * share;
    }
    [loss * share, absolute * share, square * share, T::ZERO]
}

impl Loss {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, cols) = (cx.rows(1), self.output.cols);
        let mut stats = cx.take(self.row_stats.buffer);
        let mut gradient = self.gradient.map(|view| (view, cx.take(view.buffer)));
        let (output, picked, targets) = (cx.view(self.output), cx.words(self.rows), cx.words(self.targets));
        let weights = self.weights.map(|buffer| cx.floats(buffer));
        let share = T::ONE / T::of(rows as f64);
        let stats_rows = Disjoint::new(&mut stats[self.row_stats.range()]);
        let gradient_rows = gradient.as_mut().map(|(view, values)| (*view, Disjoint::new(&mut values[view.range()])));
        // An exponential counts for some ten loads.
        split_rows(cx.team, 10 * rows * cols, rows, |first, count| {
            let mut discarded = vec![T::ZERO; cols];
            vectorised(
                #[inline(always)]
                || {
                    for r in first..first + count {
                        let row = picked[r] as usize;
                        let output = &output[r * self.output.ld..][..cols];
                        let slot = match &gradient_rows {
                            // SAFETY: every row belongs to one range.
                            Some((view, rows)) => unsafe { rows.part(r * view.ld, cols) },
                            None => &mut discarded[..],
                        };
                        let mut row_stats = match self.kind {
                            LossKind::Ce => cross_entropy(output, targets[row] as usize, slot),
                            kind => regression(kind, output, &targets[row * cols..][..cols], slot),
                        };
                        let mut scale = share;
                        if let Some(weights) = weights {
                            scale *= weights[row];
                            row_stats.iter_mut().for_each(|s| *s *= weights[row]);
                        }
                        slot.iter_mut().for_each(|g| *g *= scale);
                        // SAFETY: as above.
                        unsafe { stats_rows.part(4 * r, 4) }.copy_from_slice(&row_stats);
                    }
                },
            );
        });
        cx.put(self.row_stats.buffer, stats);
        if let Some((view, values)) = gradient {
            cx.put(view.buffer, values);
        }
    }
}

impl Reduce {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let mut results = cx.take(self.results);
        let rows = cx.rows(1);
        let stats = cx.view(self.row_stats);
        let slot = &mut results[cx.step.index as usize * RESULT_LEN..][..4];
        slot.fill(T::ZERO);
        for row in stats.chunks_exact(4).take(rows) {
            slot.iter_mut().zip(row).for_each(|(s, &x)| *s += x);
        }
        cx.put(self.results, results);
    }
}
