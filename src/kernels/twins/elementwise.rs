//! Twins of dropout and addition.

use super::{Context, dropout_draw, dropout_key, dropout_threshold};
use crate::host::{Real, for_rows, vectorised};
use crate::kernels::{Add, Dropout, SETTING_SEED};

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
