//! Twins of the losses and of the sums over a batch.

use super::Context;
use crate::host::{Disjoint, Real, split_rows, vectorised};
use crate::kernels::{Loss, LossKind, Reduce};
use crate::program::RESULT_LEN;

/// Rows whose exponentials are taken in one loop: over the few classes of one row it would not fill a vector.
const BLOCK: usize = 64;

/// The largest logit; `into` gets every logit less that, and the exponentials are taken for many rows at once.
#[inline(always)]
fn shifted<T: Real>(logits: &[T], into: &mut [T]) -> T {
    let max = logits.iter().fold(logits[0], |max, &o| if o > max { o } else { max });
    into.iter_mut().zip(logits).for_each(|(s, &o)| *s = o - max);
    max
}

/// Loss, right or not (the first of equal logits counts), and the gradient of one row (not yet divided by the batch), from what
/// [`shifted`] left and its exponentials.
#[inline(always)]
fn cross_entropy<T: Real>(logits: &[T], max: T, exponentials: &[T], label: usize, gradient: &mut [T]) -> [T; 4] {
    let sum = exponentials.iter().fold(T::ZERO, |sum, &e| sum + e);
    let loss = sum.ln() - (logits[label] - max);
    let share = T::ONE / sum;
    for (g, &e) in gradient.iter_mut().zip(exponentials) {
        *g = e * share;
    }
    gradient[label] -= T::ONE;
    let right = logits[label] == max && logits[..label].iter().all(|&o| o < max);
    [loss, if right { T::ONE } else { T::ZERO }, T::ZERO, T::ZERO]
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
            let mut exponentials = vec![T::ZERO; if self.kind == LossKind::Ce { BLOCK * cols } else { 0 }];
            let mut largest = [T::ZERO; BLOCK];
            vectorised(
                #[inline(always)]
                || {
                    for begin in (first..first + count).step_by(BLOCK) {
                        let block = begin..(begin + BLOCK).min(first + count);
                        let logits = |r: usize| &output[r * self.output.ld..][..cols];
                        if self.kind == LossKind::Ce {
                            let taken = &mut exponentials[..block.len() * cols];
                            for (r, row) in block.clone().zip(taken.chunks_exact_mut(cols)) {
                                largest[r - begin] = shifted(logits(r), row);
                            }
                            taken.iter_mut().for_each(|e| *e = e.exp());
                        }
                        for r in block {
                            let row = picked[r] as usize;
                            let slot = match &gradient_rows {
                                // SAFETY: every row belongs to one range.
                                Some((view, rows)) => unsafe { rows.part(r * view.ld, cols) },
                                None => &mut discarded[..],
                            };
                            let mut row_stats = match self.kind {
                                LossKind::Ce => {
                                    let exponentials = &exponentials[(r - begin) * cols..][..cols];
                                    let label = targets[row] as usize;
                                    cross_entropy(logits(r), largest[r - begin], exponentials, label, slot)
                                }
                                kind => regression(kind, logits(r), &targets[row * cols..][..cols], slot),
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
