//! Twins that pick and load rows, and the helper that spreads rows over threads.

use super::{Context, Permutation, Real};
use crate::engine::cpu::{Disjoint, Team};
use crate::kernels::{Gather, Mask, SETTING_SEED, Select, Storage, Tie};

/// Elements below which another thread's start (about a microsecond) costs more than it gains.
const PARALLEL_ELEMENTS: usize = 1 << 12;

/// Calls `body(first row, rows)` for ranges that cover all rows, on several threads when there is work enough (`work` in
/// loads, roughly). A range doesn't depend on the work, so that a thread finds in its cache what it wrote before.
pub(super) fn split_rows(team: Option<&Team>, work: usize, rows: usize, body: impl Fn(usize, usize) + Sync) {
    let Some(team) = team.filter(|team| team.threads() > 1 && work >= PARALLEL_ELEMENTS && rows > 1) else {
        return body(0, rows);
    };
    let chunk = rows.div_ceil(team.threads());
    team.run(rows.div_ceil(chunk), &|i| body(i * chunk, chunk.min(rows - i * chunk)));
}

/// [`split_rows`] for a matrix that is written: calls `body(first row, rows of out)`. The ranges depend on the
/// number of threads alone, so that two runs with as many threads give the same bits.
pub(super) fn for_rows<T: Real>(
    team: Option<&Team>,
    work: usize,
    out: &mut [T],
    ld: usize,
    body: impl Fn(usize, &mut [T]) + Sync,
) {
    let rows = out.len() / ld.max(1);
    let out = Disjoint::new(out);
    // SAFETY: the ranges of rows are disjoint.
    split_rows(team, work, rows, |first, rows| body(first, unsafe { out.part(first * ld, rows * ld) }));
}

/// Runs a loop with the widest vectors that this processor has.
#[inline(always)]
pub(super) fn vectorised<R>(body: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(body)
}

/// The same for work that is written in vectors.
pub(super) fn widest<W: pulp::WithSimd>(work: W) -> W::Output {
    pulp::Arch::new().dispatch(work)
}

impl Select {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, begin, epoch) = (cx.step.rows as usize, cx.step.begin, cx.step.epoch);
        let seed = cx.words(self.settings)[SETTING_SEED];
        let permutation = Permutation::new(self.len as u32, seed, epoch);
        let picked: Vec<u32> = {
            let list = &cx.words(self.list)[self.offset..self.offset + self.len];
            let mut at: Vec<u32> = (begin..begin + rows as u32).collect();
            if self.shuffle {
                // One pass in vectors, then the few that have to walk on.
                vectorised(
                    #[inline(always)]
                    || at.iter_mut().for_each(|i| *i = permutation.cipher(*i)),
                );
                at.iter_mut().for_each(|i| *i = permutation.walk(*i));
            }
            at.iter().map(|&i| list[i as usize]).collect()
        };
        cx.words_mut(self.out)[..rows].copy_from_slice(&picked);
    }
}

impl Gather {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (cols, ld, rows) = (self.out.cols, self.out.ld, cx.rows(1));
        let mut out = cx.take(self.out.buffer);
        let picked = cx.words(self.rows);
        let data = cx.words(self.data);
        let (shift, scale) = cx.floats(self.scaling).split_at(ld);
        for_rows(cx.team, rows * ld, &mut out[self.out.offset..][..rows * ld], ld, |first, chunk| {
            vectorised(
                #[inline(always)]
                || {
                    let (shift, scale) = (&shift[..cols], &scale[..cols]);
                    for (r, row) in chunk.chunks_exact_mut(ld).enumerate() {
                        let start = picked[first + r] as usize * self.stride;
                        let words = &data[start..start + self.stride];
                        let row = &mut row[..cols];
                        match self.storage {
                            Storage::U8 => {
                                let bytes = &bytemuck::cast_slice::<u32, u8>(words)[..cols];
                                for c in 0..cols {
                                    row[c] = (T::of_u8(bytes[c]) - shift[c]) * scale[c];
                                }
                            }
                            Storage::F32 => {
                                let words = &words[..cols];
                                for c in 0..cols {
                                    row[c] = (T::of_bits(words[c]) - shift[c]) * scale[c];
                                }
                            }
                        }
                    }
                },
            );
        });
        cx.put(self.out.buffer, out);
    }
}

impl Tie {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let mut x = cx.take(self.x.buffer);
        let row = &mut x[self.x.offset..][..self.x.cols];
        let (begins, columns) = cx.words(self.members).split_at(self.groups + 1);
        for group in begins.windows(2) {
            let group = &columns[group[0] as usize..group[1] as usize];
            let sum = group.iter().fold(T::ZERO, |sum, &c| sum + row[c as usize]);
            let mean = sum / T::of(group.len().max(1) as f64);
            group.iter().for_each(|&c| row[c as usize] = mean);
        }
        cx.put(self.x.buffer, x);
    }
}

impl Mask {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (cols, ld, rows, kept) = (self.x.cols, self.x.ld, cx.rows(1), cx.step.kept);
        let mut x = cx.take(self.x.buffer);
        let position = &cx.words(self.position)[cx.step.ordering as usize * ld..][..cols];
        let fill = &cx.floats(self.fill)[..cols];
        for_rows(cx.team, rows * ld, &mut x[self.x.offset..][..rows * ld], ld, |_, chunk| {
            vectorised(|| {
                for row in chunk.chunks_exact_mut(ld) {
                    for ((x, &p), &f) in row.iter_mut().zip(position).zip(fill) {
                        *x = if p < kept { *x } else { f };
                    }
                }
            });
        });
        cx.put(self.x.buffer, x);
    }
}
