//! Twins that pick and load rows.

use super::{Context, Permutation};
use crate::host::{Real, for_rows, vectorised};
use crate::kernels::{Gather, Mask, SETTING_SEED, Select, Storage, Tie};

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
