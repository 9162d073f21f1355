//! The twin of products of two matrices that both depend on the sample.

use super::Context;
use crate::host::{Disjoint, Operand, Real, for_tasks, product};
use crate::kernels::BatchProduct;
use crate::kernels::batch_product::Factor;

impl BatchProduct {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let ([m, n, k], heads) = (self.shape, self.heads);
        let rows = cx.rows(self.seeds);
        let mut scratch = std::mem::take(cx.scratch);
        let mut out = cx.take(self.out.buffer);
        {
            let (a, b) = (cx.view(self.a.view), cx.view(self.b.view));
            let outs = Disjoint::new(&mut out);
            for_tasks(cx.team, rows * heads * m * n * (k / 16 + 1), rows * heads, (&mut scratch, 0), |task, _| {
                let (row, head) = (task / heads, task % heads);
                let operand = |factor: &Factor, values, shape: (usize, usize)| {
                    operand(factor, values, row / factor.share, head, shape)
                };
                // SAFETY: a task writes its own product.
                let out = unsafe { outs.part(self.out.offset + row * self.out.ld + head * m * n, m * n) };
                product(out, n, (m, n, k), operand(&self.a, a, (m, k)), operand(&self.b, b, (k, n)));
            });
        }
        cx.put(self.out.buffer, out);
        *cx.scratch = scratch;
    }
}

/// A factor's matrix of a row and a head.
fn operand<'a, T>(
    factor: &Factor,
    values: &'a [T],
    row: usize,
    head: usize,
    (rows, cols): (usize, usize),
) -> Operand<'a, T> {
    let (row_stride, column_stride) = factor.strides(rows, cols);
    let values = &values[row * factor.view.ld + head * rows * cols..][..rows * cols];
    Operand { values, row: row_stride, column: column_stride }
}
