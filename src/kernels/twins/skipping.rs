//! The product of cotangents with a weight that leaves out what a sample's slopes have made zero.
//!
//! All cotangents of one sample pass the same slopes, so behind a ReLU the same columns of theirs are zero: half of the terms
//! of a Jacobian's products, and far more in a network with dead units. The sums that are left are made in registers from
//! the weight's rows in panels of two registers' width.

use pulp::{Simd, WithSimd};

use crate::host::{Operand, widest};

/// Rows of cotangents that stay in the second cache while the weight's panels pass by.
const BLOCK_ROWS: usize = 80;
/// Share of the terms from which on leaving out the others gains less than the dense product's larger tiles.
const DENSE_SHARE: f64 = 0.8;
/// Rows whose sums are held in registers at once.
const TILE_ROWS: usize = 5;

/// `out[m, n] = lhs[m, k]·rhs[k, n]`, both row-major, `out` with leading dimension `ld`, on one thread. The rows come in groups
/// (a sample's seeds), of which `head` rows belong to the first and `group` to each other one.
pub(super) struct Skipping<'a> {
    pub out: &'a mut [f32],
    pub ld: usize,
    pub shape: (usize, usize, usize),
    pub lhs: Operand<'a, f32>,
    pub rhs: Operand<'a, f32>,
    pub head: usize,
    pub group: usize,
}

/// Groups of rows with the inner positions where one of a group's rows is not zero.
struct Groups {
    /// `[group]`: first row, row behind the last, number of active positions.
    rows: Vec<(usize, usize, usize)>,
    /// `[group][k]`, of which the first so many hold a group's active positions.
    active: Vec<u32>,
}

impl Skipping<'_> {
    /// Makes the product, or returns `false` when there is too little to leave out.
    pub fn run(self) -> bool {
        widest(self)
    }

    #[inline(always)]
    fn groups(&self) -> Groups {
        let (m, _, k) = self.shape;
        let mut rows = Vec::with_capacity(m / self.group + 2);
        let (mut begin, mut end) = (0, self.head.min(m));
        while begin < m {
            rows.push((begin, end, 0));
            (begin, end) = (end, (end + self.group).min(m));
        }
        let mut active = vec![0; rows.len() * k];
        let mut used = vec![0u32; k];
        for ((begin, end, count), active) in rows.iter_mut().zip(active.chunks_exact_mut(k.max(1))) {
            used.fill(0);
            for r in *begin..*end {
                // Without the sign: −0 is zero too.
                let row = &self.lhs.values[r * self.lhs.row..][..k];
                used.iter_mut().zip(row).for_each(|(used, x)| *used |= x.to_bits() << 1);
            }
            // Written always and counted sometimes: nothing to guess for the processor.
            for (i, &used) in used.iter().enumerate() {
                active[*count] = i as u32;
                *count += usize::from(used != 0);
            }
        }
        Groups { rows, active }
    }
}

impl WithSimd for Skipping<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> bool {
        // As many sums as leave registers for the weight and a cotangent.
        if S::REGISTER_COUNT >= 32 { self.in_panels::<S, 4>(simd) } else { self.in_panels::<S, 2>(simd) }
    }
}

impl Skipping<'_> {
    /// The product in panels of `WIDE` registers.
    #[inline(always)]
    fn in_panels<S: Simd, const WIDE: usize>(self, simd: S) -> bool {
        let (m, n, k) = self.shape;
        assert!(self.lhs.column == 1 && self.rhs.column == 1, "invariant: both operands are row-major");
        assert!(self.group > 0 && self.head > 0, "invariant: groups have rows");
        let groups = self.groups();
        let terms: usize = groups.rows.iter().map(|(begin, end, active)| (end - begin) * active).sum();
        if terms as f64 > DENSE_SHARE * (m * k) as f64 {
            return false;
        }
        let width = WIDE * S::F32_LANES;
        let panels = pack::<S, WIDE>(simd, self.rhs, n, k);
        let Skipping { out, ld, lhs, .. } = self;
        let per_block = (BLOCK_ROWS / self.group).max(1);
        for (rows, active) in groups.rows.chunks(per_block).zip(groups.active.chunks((per_block * k).max(1))) {
            for (panel, begin) in panels.chunks_exact(k.max(1)).zip((0..n).step_by(width)) {
                let columns = begin..n.min(begin + width);
                for (&(begin, end, count), active) in rows.iter().zip(active.chunks_exact(k)) {
                    let mut row = begin;
                    while row < end {
                        let a = |r: usize| &lhs.values[(row + r) * lhs.row..][..k];
                        let mut store = |r: usize, sums: [S::f32s; WIDE]| {
                            let out = &mut out[(row + r) * ld..][columns.clone()];
                            for (c, &sums) in sums.iter().enumerate() {
                                let at = |c: usize| out.len().min(c * S::F32_LANES);
                                let (begin, end) = (at(c), at(c + 1));
                                simd.partial_store_f32s(&mut out[begin..end], sums);
                            }
                        };
                        macro_rules! tile {
                            ($rows:literal) => {{
                                let rows: [&[f32]; $rows] = std::array::from_fn(a);
                                let sums = tile::<S, WIDE, $rows>(simd, &panel[..k], &active[..count], rows);
                                sums.into_iter().enumerate().for_each(|(r, sums)| store(r, sums));
                                $rows
                            }};
                        }
                        row += match end - row {
                            TILE_ROWS.. => tile!(5),
                            4 => tile!(4),
                            3 => tile!(3),
                            2 => tile!(2),
                            _ => tile!(1),
                        };
                    }
                }
            }
        }
        true
    }
}

/// A weight's rows in panels: `[panel][k]`, zero beyond column n.
#[inline(always)]
fn pack<S: Simd, const WIDE: usize>(simd: S, rhs: Operand<f32>, n: usize, k: usize) -> Vec<[S::f32s; WIDE]> {
    let width = WIDE * S::F32_LANES;
    let mut panels = vec![[simd.splat_f32s(0.0); WIDE]; n.div_ceil(width) * k];
    for (panel, begin) in panels.chunks_exact_mut(k.max(1)).zip((0..n).step_by(width)) {
        for (i, registers) in panel.iter_mut().enumerate() {
            let row = &rhs.values[i * rhs.row..][begin..n.min(begin + width)];
            bytemuck::cast_slice_mut::<_, f32>(&mut registers[..])[..row.len()].copy_from_slice(row);
        }
    }
    panels
}

/// The sums of some rows in one panel over the active positions.
#[inline(always)]
fn tile<S: Simd, const WIDE: usize, const ROWS: usize>(
    simd: S,
    panel: &[[S::f32s; WIDE]],
    active: &[u32],
    a: [&[f32]; ROWS],
) -> [[S::f32s; WIDE]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); WIDE]; ROWS];
    for &i in active {
        let i = i as usize;
        let w = &panel[i];
        for r in 0..ROWS {
            let x = simd.splat_f32s(a[r][i]);
            for c in 0..WIDE {
                sums[r][c] = simd.mul_add_e_f32s(x, w[c], sums[r][c]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Sizes that leave tails in every direction; groups that begin in the middle, as a thread's rows may.
    #[test]
    fn it_is_the_product() {
        let mut random = Random::new(3, 0);
        for (m, n, k, head, group) in
            [(1, 1, 1, 1, 4), (10, 784, 100, 10, 10), (23, 33, 17, 3, 10), (40, 64, 50, 7, 7), (9, 5, 40, 2, 6)]
        {
            let (lda, ldb, ld) = (k + 3, n + 2, n + 1);
            let mut a: Vec<f32> = (0..m * lda).map(|_| random.uniform() as f32 - 0.5).collect();
            let b: Vec<f32> = (0..k * ldb).map(|_| random.uniform() as f32 - 0.5).collect();
            // Half of each group's columns are zero, some of them with a sign.
            for r in 0..m {
                let sample: usize = if r < head { 0 } else { 1 + (r - head) / group };
                for i in 0..k {
                    if (i + sample).is_multiple_of(2) {
                        a[r * lda + i] = if i.is_multiple_of(3) { -0.0 } else { 0.0 };
                    }
                }
            }
            let mut out = vec![7.0; m * ld];
            let made = Skipping {
                out: &mut out,
                ld,
                shape: (m, n, k),
                lhs: Operand { values: &a, row: lda, column: 1 },
                rhs: Operand { values: &b, row: ldb, column: 1 },
                head,
                group,
            }
            .run();
            assert!(made, "{m}x{n}x{k}");
            for r in 0..m {
                for c in 0..n {
                    let term = |i: usize| f64::from(a[r * lda + i]) * f64::from(b[i * ldb + c]);
                    let exact: f64 = (0..k).map(term).sum();
                    // k products of numbers below a quarter, each rounded once.
                    let tolerance = 0.25 * k as f64 * f64::from(f32::EPSILON);
                    assert!((f64::from(out[r * ld + c]) - exact).abs() <= tolerance, "{m}x{n}x{k} at {r}, {c}");
                }
                assert!(out[r * ld + n..(r + 1) * ld].iter().all(|&x| x == 7.0), "padding is left alone");
            }
        }
    }

    #[test]
    fn a_dense_product_is_left_to_the_library() {
        let (a, b) = ([1.0f32; 6], [1.0f32; 6]);
        let operand = |values| Operand { values, row: 3, column: 1 };
        let mut out = [7.0f32; 4];
        let product = Skipping {
            out: &mut out,
            ld: 2,
            shape: (2, 2, 3),
            lhs: operand(&a),
            rhs: Operand { row: 2, ..operand(&b) },
            head: 2,
            group: 2,
        };
        assert!(!product.run());
        assert_eq!(out, [7.0; 4], "untouched");
    }
}
