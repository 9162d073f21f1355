//! Twins of the matrix products and of the pull-back to the spectral parameters.

use super::Context;
use super::activation::{activate_rows, multiply_slope};
use super::skipping::Skipping;
use crate::host::{Operand, Real, column_sums, for_rows, product, vectorised};
use crate::kernels::{Activation, Form, Gemm, Pullback};
use crate::program::View;

/// Elements of work that a multiply-add counts for when deciding about threads.
const FLOPS_PER_ELEMENT: usize = 32;

impl Gemm {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        match self.form {
            Form::Nt | Form::Nn => self.batch_product(cx),
            Form::Tn => self.weight_gradient(cx),
        }
    }

    /// Builds W from ψ and the eigenvalues in `scratch`.
    fn build_weight<T: Real>(&self, cx: &Context<'_, T>, scratch: &mut Vec<T>) {
        let Some(eigenvalues) = self.eigenvalues else { return };
        let psi = cx.view(self.b);
        let (lambda_in, lambda_out) = (cx.view(eigenvalues.lambda_in), cx.view(eigenvalues.lambda_out));
        scratch.resize(self.b.rows * self.b.ld, T::ZERO);
        let ld = self.b.ld;
        vectorised(|| {
            for ((w, psi), &out) in scratch.chunks_exact_mut(ld).zip(psi.chunks_exact(ld)).zip(lambda_out) {
                for ((w, &psi), &lambda) in w.iter_mut().zip(psi).zip(lambda_in) {
                    *w = (lambda - out) * psi;
                }
            }
        });
    }

    /// `Nt` and `Nn`: one output row for each batch row.
    fn batch_product<T: Real>(&self, cx: &mut Context<'_, T>) {
        let mut scratch = std::mem::take(cx.scratch);
        self.build_weight(cx, &mut scratch);
        // GELU and SiLU need z in backward: then z is the product's output and σ(z) a second pass.
        let target = self.pre.unwrap_or(self.out);
        let mut out = cx.take(target.buffer);
        {
            let w = if self.eigenvalues.is_some() { &scratch[..] } else { cx.view(self.b) };
            let (m, n) = (self.b.rows, self.b.cols);
            let (inner, cols, row, column) = match self.form {
                Form::Nt => (n, m, 1, self.b.ld),
                _ => (m, n, self.b.ld, 1),
            };
            let weight = Operand { values: w, row, column };
            let a = cx.view(self.a);
            let bias = self.bias.map(|bias| cx.view(bias));
            let rows = cx.rows(self.seeds);
            let slope = self.slope.map(|slope| (slope, cx.view(slope.saved)));
            let ld = target.ld;
            let work = rows * cols * (inner / FLOPS_PER_ELEMENT + 1);
            for_rows(cx.team, work, &mut out[target.offset..][..rows * ld], ld, |first, chunk| {
                let batch = Operand { values: &a[first * self.a.ld..], row: self.a.ld, column: 1 };
                let shape = (chunk.len() / ld, cols, inner);
                let head = self.seeds - first % self.seeds;
                if shape.0 <= FEW_ROWS {
                    few_rows_product(chunk, ld, shape, batch, weight);
                } else if !self.skips() || !skipping_product(chunk, ld, shape, batch, weight, (head, self.seeds)) {
                    product(chunk, ld, shape, batch, weight);
                }
                if let Some(bias) = bias {
                    vectorised(|| {
                        for row in chunk.chunks_exact_mut(ld) {
                            row[..cols].iter_mut().zip(bias).for_each(|(y, &b)| *y += b);
                        }
                    });
                }
                if self.pre.is_none() {
                    activate_rows(self.activation, chunk, ld, cols);
                }
                if let Some((slope, saved)) = slope {
                    for (r, row) in chunk.chunks_exact_mut(ld).enumerate() {
                        let start = (first + r) / slope.seeds * slope.saved.ld;
                        multiply_slope(slope.rule, &saved[start..start + cols], &mut row[..cols]);
                    }
                }
            });
        }
        cx.put(target.buffer, out);
        *cx.scratch = scratch;
        if let Some(pre) = self.pre {
            self.activate_saved(cx, pre);
        }
    }

    /// Whether rows of cotangents come in groups that share their zeros, and enough of them to look for.
    fn skips(&self) -> bool {
        self.form == Form::Nn && self.seeds >= FEWEST_SEEDS
    }

    /// `out = σ(pre)`, where forward keeps z.
    fn activate_saved<T: Real>(&self, cx: &mut Context<'_, T>, pre: View) {
        let mut out = cx.take(self.out.buffer);
        let (z, rows, ld) = (cx.view(pre), cx.rows(self.seeds), self.out.ld);
        for_rows(cx.team, rows * ld, &mut out[self.out.offset..][..rows * ld], ld, |first, chunk| {
            let cols = self.out.cols;
            for (r, row) in chunk.chunks_exact_mut(ld).enumerate() {
                row[..cols].copy_from_slice(&z[(first + r) * pre.ld..][..cols]);
            }
            activate_rows(self.activation, chunk, ld, cols);
        });
        cx.put(self.out.buffer, out);
    }

    /// `Tn`: the sum over the batch of outer products. With several seeds a sample, the seeds' cotangents are summed first
    /// by counting the sample's row of `b` once for each.
    fn weight_gradient<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (m, n) = (self.out.rows, self.out.cols);
        assert_eq!(self.seeds, 1, "invariant: training has one seed a sample");
        let rows = cx.rows(1);
        let mut out = cx.take(self.out.buffer);
        {
            let (a, b) = (cx.view(self.a), cx.view(self.b));
            let ld = self.out.ld;
            let work = rows * m * n / FLOPS_PER_ELEMENT;
            for_rows(cx.team, work, &mut out[self.out.range()], ld, |first, chunk| {
                let lhs = Operand { values: &a[first..], row: 1, column: self.a.ld };
                let rhs = Operand { values: b, row: self.b.ld, column: 1 };
                product(chunk, ld, (chunk.len() / ld, n, rows), lhs, rhs);
            });
        }
        cx.put(self.out.buffer, out);
        if let Some(view) = self.bias_gradient {
            let mut out = cx.take(view.buffer);
            column_sums(cx.view(self.a), self.a.ld, rows, &mut out[view.offset..][..m]);
            cx.put(view.buffer, out);
        }
    }
}

/// Seeds from which on a weight's row that is read for a sample is used often enough.
const FEWEST_SEEDS: usize = 4;

/// [`product`] without the terms that are zero for a whole group of rows; `false` where there are few of them.
fn skipping_product<T: Real>(
    out: &mut [T],
    ld: usize,
    shape: (usize, usize, usize),
    lhs: Operand<T>,
    rhs: Operand<T>,
    (head, group): (usize, usize),
) -> bool {
    fn operand<T: Real>(o: Operand<T>) -> Option<Operand<f32>> {
        Some(Operand { values: T::as_f32(o.values)?, row: o.row, column: o.column })
    }
    match (T::as_f32_mut(out), operand(lhs), operand(rhs)) {
        (Some(out), Some(lhs), Some(rhs)) => Skipping { out, ld, shape, lhs, rhs, head, group }.run(),
        _ => false,
    }
}

/// Rows under which a product is made here: the library's own copy of a weight costs megabytes and gains nothing when so few
/// rows use it.
const FEW_ROWS: usize = 16;
/// Columns that a row's sums are kept for while the weight's rows pass by: they stay in the first cache.
const FEW_COLUMNS: usize = 512;

/// Σ aᵢbᵢ in 64 interleaved sums, so that additions need not wait for each other; halves are added until eight are left.
#[inline(always)]
fn long_dot<T: Real>(a: &[T], b: &[T]) -> T {
    const LANES: usize = 64;
    let (whole, rest) = a.split_at(a.len() / LANES * LANES);
    let rest = dot(rest, &b[whole.len()..]);
    if whole.is_empty() {
        return rest;
    }
    let mut lanes = [T::ZERO; LANES];
    for (a, b) in whole.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for i in 0..LANES {
            lanes[i] += a[i] * b[i];
        }
    }
    for half in [32, 16, 8] {
        let (low, high) = lanes.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(l, &mut h)| *l += h);
    }
    lanes[..8].iter().fold(rest, |sum, &lane| sum + lane)
}

/// [`product`] for few rows, `lhs` row-major, without memory of its own. Vector instructions are chosen once for the whole
/// product: a small table's rows are shorter than that choice.
fn few_rows_product<T: Real>(
    out: &mut [T],
    ld: usize,
    (m, n, k): (usize, usize, usize),
    lhs: Operand<T>,
    rhs: Operand<T>,
) {
    vectorised(|| {
        if rhs.row == 1 {
            // Each weight row is read once for all rows.
            for j in 0..n {
                let w = &rhs.values[j * rhs.column..][..k];
                for r in 0..m {
                    out[r * ld + j] = long_dot(&lhs.values[r * lhs.row..][..k], w);
                }
            }
            return;
        }
        let active = not_zero((m, k), lhs);
        for begin in (0..n).step_by(FEW_COLUMNS) {
            let width = FEW_COLUMNS.min(n - begin);
            for r in 0..m {
                out[r * ld + begin..][..width].fill(T::ZERO);
            }
            let w = |i: u32| &rhs.values[i as usize * rhs.row + begin..][..width];
            let fours = active.chunks_exact(4);
            let rest = fours.remainder();
            for four in fours {
                let (w0, w1, w2, w3) = (w(four[0]), w(four[1]), w(four[2]), w(four[3]));
                for r in 0..m {
                    let x = |i: u32| lhs.values[r * lhs.row + i as usize];
                    let (x0, x1, x2, x3) = (x(four[0]), x(four[1]), x(four[2]), x(four[3]));
                    let sums = &mut out[r * ld + begin..][..width];
                    // In the order of the terms, four for each time that a sum is read and written.
                    for j in 0..width {
                        let mut sum = sums[j];
                        sum += x0 * w0[j];
                        sum += x1 * w1[j];
                        sum += x2 * w2[j];
                        sum += x3 * w3[j];
                        sums[j] = sum;
                    }
                }
            }
            for &i in rest {
                for r in 0..m {
                    let (x, sums) = (lhs.values[r * lhs.row + i as usize], &mut out[r * ld + begin..][..width]);
                    sums.iter_mut().zip(w(i)).for_each(|(s, &w)| *s += x * w);
                }
            }
        }
    });
}

/// Inner positions at which one of the rows is not zero: a weight's rows at the others are not read. Behind a ReLU half of them are zero in
/// all cotangents of a sample, and all but a few in blocks of unit vectors.
#[inline(always)]
fn not_zero<T: Real>((m, k): (usize, usize), lhs: Operand<T>) -> Vec<u32> {
    let some = |&i: &u32| (0..m).any(|r| lhs.values[r * lhs.row + i as usize] != T::ZERO);
    (0..k as u32).filter(some).collect()
}

impl Pullback {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let views = [self.d_psi, self.d_lambda_in, self.d_lambda_out];
        let Some(gradients) = views.into_iter().flatten().map(|view| view.buffer).next() else { return };
        let mut out = cx.take(gradients);
        let (g, psi) = (cx.view(self.g), cx.view(self.psi));
        let (lambda_in, lambda_out) = (cx.view(self.lambda_in), cx.view(self.lambda_out));
        let n = self.psi.cols;
        if let Some(view) = self.d_lambda_in {
            out[view.range()].fill(T::ZERO);
        }
        vectorised(|| {
            for (j, &lambda_j) in lambda_out.iter().enumerate().take(self.psi.rows) {
                let g = &g[j * self.g.ld..][..n];
                let psi = &psi[j * self.psi.ld..][..n];
                if let Some(view) = self.d_psi {
                    let row = &mut out[view.offset + j * view.ld..][..n];
                    if self.taps == 1 {
                        for ((d, &lambda), &g) in row.iter_mut().zip(&lambda_in[..n]).zip(g) {
                            *d = (lambda - lambda_j) * g;
                        }
                    } else {
                        let channels = row.chunks_exact_mut(self.taps).zip(g.chunks_exact(self.taps));
                        for ((row, g), &lambda) in channels.zip(lambda_in) {
                            row.iter_mut().zip(g).for_each(|(d, &g)| *d = (lambda - lambda_j) * g);
                        }
                    }
                }
                if let Some(view) = self.d_lambda_in {
                    let row = &mut out[view.offset..][..n / self.taps];
                    if self.taps == 1 {
                        for ((d, &psi), &g) in row.iter_mut().zip(psi).zip(g) {
                            *d += psi * g;
                        }
                    } else {
                        let channels = psi.chunks_exact(self.taps).zip(g.chunks_exact(self.taps));
                        row.iter_mut().zip(channels).for_each(|(d, (psi, g))| *d += dot(psi, g));
                    }
                }
                if let Some(view) = self.d_lambda_out {
                    out[view.offset + j] = -dot(psi, g);
                }
            }
        });
        cx.put(gradients, out);
    }
}

/// Σ aᵢbᵢ in eight interleaved sums: a fixed order that vectorises.
#[inline(always)]
fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut lanes = [T::ZERO; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let (rest_a, rest_b) = (a.remainder(), b.remainder());
    for (a, b) in a.zip(b) {
        for i in 0..8 {
            lanes[i] += a[i] * b[i];
        }
    }
    for (lane, (&a, &b)) in lanes.iter_mut().zip(rest_a.iter().zip(rest_b)) {
        *lane += a * b;
    }
    lanes.into_iter().fold(T::ZERO, |sum, lane| sum + lane)
}

impl Gemm {
    /// A plain product of the given form with nothing fused; the starting point of every use.
    pub fn plain(form: Form, a: View, b: View, out: View) -> Self {
        Gemm {
            form,
            a,
            b,
            eigenvalues: None,
            out,
            bias: None,
            pre: None,
            activation: Activation::Identity,
            slope: None,
            bias_gradient: None,
            seeds: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Few rows by a weight's rows, around the sizes of a group of four and of the columns that are kept, with positions that are zero
    /// in one row and in all of them: the sums of the terms in their order, to the bit.
    #[test]
    fn few_rows_are_sums_in_order() {
        let mut random = Random::new(1, 2);
        for (m, k) in [(1, 1), (1, 3), (2, 4), (3, 5), (FEW_ROWS, 41)] {
            for n in [1, FEW_COLUMNS - 1, FEW_COLUMNS, FEW_COLUMNS + 1, 2 * FEW_COLUMNS + 3] {
                let mut some = |n: usize| (0..n).map(|_| random.normal() as f32).collect::<Vec<f32>>();
                let ld = n + 5;
                let (mut a, b) = (some(m * k), some(k * ld));
                a.iter_mut().enumerate().filter(|(i, _)| i % k % 3 == 1 || i % 7 == 2).for_each(|(_, x)| *x = 0.0);
                let mut out = vec![7.0; m * ld];
                let (lhs, rhs) =
                    (Operand { values: &a, row: k, column: 1 }, Operand { values: &b, row: ld, column: 1 });
                few_rows_product(&mut out, ld, (m, n, k), lhs, rhs);
                for (r, row) in out.chunks_exact(ld).enumerate() {
                    for (j, &sum) in row[..n].iter().enumerate() {
                        let truth = (0..k).fold(0.0, |sum, i| sum + a[r * k + i] * b[i * ld + j]);
                        assert_eq!(sum, truth, "{m} {n} {k}: ({r}, {j})");
                    }
                    assert!(
                        row[n..].iter().all(|&x| x == 7.0),
                        "{m} {n} {k}: what is behind the columns is left alone"
                    );
                }
            }
        }
    }
}
