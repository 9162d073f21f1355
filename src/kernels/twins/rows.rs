//! Twins that pick and load rows, and the helper that spreads rows over threads.

use rayon::prelude::*;

use super::{Context, Real, permute};
use crate::kernels::{Gather, Mask, SETTING_SEED, Select, Storage};

/// Elements below which starting other threads costs more than it gains (a fork and join takes some 20 µs).
const PARALLEL_ELEMENTS: usize = 1 << 16;

/// Calls `body(first row, rows of out)` on disjoint chunks of whole rows, on several threads when there is work enough.
/// Every row is computed alike in whichever chunk it falls, so the result does not depend on the number of threads.
pub(super) fn for_rows<T: Real>(
    threads: usize,
    work: usize,
    out: &mut [T],
    ld: usize,
    body: impl Fn(usize, &mut [T]) + Sync + Send,
) {
    let rows = out.len() / ld.max(1);
    if threads < 2 || work < PARALLEL_ELEMENTS || rows < 2 {
        return body(0, out);
    }
    let chunk = rows.div_ceil(threads);
    out.par_chunks_mut(chunk * ld).enumerate().for_each(|(i, rows)| body(i * chunk, rows));
}

/// Runs a loop with the widest vectors that this processor has.
#[inline(always)]
pub(super) fn vectorised<R>(body: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(body)
}

impl Select {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, begin, epoch) = (cx.step.rows as usize, cx.step.begin, cx.step.epoch);
        let seed = cx.words(self.settings)[SETTING_SEED];
        let len = self.len as u32;
        let picked: Vec<u32> = {
            let list = &cx.words(self.list)[self.offset..self.offset + self.len];
            (0..rows as u32)
                .map(|r| begin + r)
                .map(|i| if self.shuffle { permute(i, len, seed, epoch) } else { i })
                .map(|i| list[i as usize])
                .collect()
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
        for_rows(cx.threads, rows * ld, &mut out[self.out.offset..][..rows * ld], ld, |first, chunk| {
            for (r, row) in chunk.chunks_exact_mut(ld).enumerate() {
                let start = picked[first + r] as usize * self.stride;
                let words = &data[start..start + self.stride];
                match self.storage {
                    Storage::U8 => {
                        let bytes: &[u8] = bytemuck::cast_slice(words);
                        vectorised(|| {
                            for c in 0..cols {
                                row[c] = (T::of(f64::from(bytes[c])) - shift[c]) * scale[c];
                            }
                        });
                    }
                    Storage::F32 => vectorised(|| {
                        for c in 0..cols {
                            row[c] = (T::of_bits(words[c]) - shift[c]) * scale[c];
                        }
                    }),
                }
            }
        });
        cx.put(self.out.buffer, out);
    }
}

impl Mask {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (cols, ld, rows, kept) = (self.x.cols, self.x.ld, cx.rows(1), cx.step.kept);
        let mut x = cx.take(self.x.buffer);
        let position = &cx.words(self.position)[cx.step.ordering as usize * ld..][..cols];
        let fill = &cx.floats(self.fill)[..cols];
        for_rows(cx.threads, rows * ld, &mut x[self.x.offset..][..rows * ld], ld, |_, chunk| {
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
