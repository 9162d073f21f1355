//! Every singular triplet of an operator that is applied: its rows by products with unit vectors, or its Gram matrix.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::decomposition::{Triplets, decompose, rank_threshold};
use super::form::{Way, way};
use super::kept::Kept;
use super::krylov::Apply;
use super::middle::{Middle, PANEL};
use super::watch::Watched;
use crate::host::{Disjoint, Operand, Real, product, symmetric_eigen, threads};
use crate::{Error, Result};

/// Stages of what is kept: rows of R or of H, columns of the Gram matrix.
const ROWS: u64 = 0;
const GRAM: u64 = 1;

/// Decomposes R (made in an arithmetic T of precision `epsilon`) completely.
///
/// Where its rows fit into `memory` (bytes) they are formed and decomposed as any R is. Else the Gram matrix `G = R Rᵀ` is made, of the rows
/// held at a [middle](Middle) where those fit, or its columns come from products, `G e_i = R (Rᵀ e_i)`. How far G is from symmetric says
/// how exact it is: the triplets' bounds are of that, and σ² below it are noise and left out.
///
/// # Errors
/// Those of the operator's products, of the watch and of the files that are kept.
pub(super) fn complete<T: Real>(
    operator: &mut Watched<'_, '_>,
    memory: usize,
    epsilon: f64,
    kept: &mut Kept,
) -> Result<Triplets> {
    let (m, n) = operator.shape();
    if m == 0 {
        return Ok(Triplets { sigma: vec![], left: vec![], bound: vec![], images: vec![], complete: true });
    }
    match way((m, n), operator.width(), size_of::<T>(), memory) {
        Way::Formed => {
            let rows = make::<T>(operator, kept, (ROWS, n), |operator, first, count| {
                operator.apply_transpose(&units(operator, first, count))
            })?;
            let rows: Vec<f64> = rows.into_iter().map(Real::to_f64).collect();
            Ok(decompose(&rows.chunks_exact(n).collect::<Vec<_>>(), n, epsilon))
        }
        Way::Held => {
            let width = operator.width().expect("invariant: where rows are held there is a middle");
            held::<T>(operator, width, epsilon, kept)
        }
        Way::Products => {
            let columns = make::<T>(operator, kept, (GRAM, m), |operator, first, count| {
                let rows = operator.apply_transpose(&units(operator, first, count))?;
                operator.apply(&rows)
            })?;
            let mut gram: Vec<f64> = columns.into_iter().map(Real::to_f64).collect();
            let mut asymmetry = 0.0;
            for i in 0..m {
                for j in 0..i {
                    let (a, b) = (gram[i * m + j], gram[j * m + i]);
                    asymmetry += (a - b).powi(2);
                    gram[i * m + j] = 0.5 * (a + b);
                }
            }
            Ok(from_gram(gram, m, asymmetry))
        }
    }
}

/// A block of unit vectors.
fn units(operator: &dyn Apply, first: usize, count: usize) -> Vec<f64> {
    let ((m, _), block) = (operator.shape(), operator.block());
    let mut units = vec![0.0; block * m];
    (0..count).for_each(|i| units[i * m + first + i] = 1.0);
    units
}

/// One vector for every row of R, blocks in order, each from `of(first row, rows)`; those that are kept are not made again.
fn make<T: Real>(
    operator: &mut Watched<'_, '_>,
    kept: &mut Kept,
    (stage, width): (u64, usize),
    of: impl Fn(&mut Watched<'_, '_>, usize, usize) -> Result<Vec<f64>>,
) -> Result<Vec<T>> {
    let (m, block) = (operator.shape().0, operator.block());
    let mut made: Vec<T> = kept.begin(stage, width, m);
    made.reserve_exact(m * width - made.len());
    let each = if stage == GRAM { 2 } else { 1 };
    operator.take_over(each * (made.len() / width).div_ceil(block));
    for first in (made.len() / width..m).step_by(block) {
        let count = block.min(m - first);
        match of(operator, first, count) {
            Ok(some) => made.extend(some[..count * width].iter().map(|&x| T::of(x))),
            Err(error) => {
                if matches!(error, Error::Stopped(_)) {
                    kept.keep(&made, width, true)?;
                }
                return Err(error);
            }
        }
        kept.keep(&made, width, false)?;
    }
    Ok(made)
}

/// Through the Gram matrix of the rows that are held at the middle, one triangle of it.
fn held<T: Real>(operator: &mut Watched<'_, '_>, width: usize, epsilon: f64, kept: &mut Kept) -> Result<Triplets> {
    let ((m, n), block) = (operator.shape(), operator.block());
    let rows = make::<T>(operator, kept, (ROWS, width), |operator, first, count| {
        operator.descend(&units(operator, first, count))
    })?;
    let mut gram = vec![0.0; m * m];
    let mut asymmetry = (0.0, 0usize);
    // Images of the rows under R₁ R₁ᵀ, made once more from the start by whoever goes on: the smaller part of the work.
    for first in (0..m).step_by(PANEL) {
        let count = PANEL.min(m - first);
        let own = &rows[first * width..][..count * width];
        let images: Vec<T>;
        let panel = if operator.is_input() {
            own
        } else {
            let mut made = Vec::with_capacity(count * width);
            for some in own.chunks(block * width) {
                let mut h: Vec<f64> = some.iter().map(|x| x.to_f64()).collect();
                h.resize(block * width, 0.0);
                made.extend(operator.there_and_back(&h)?[..some.len()].iter().map(|&x| T::of(x)));
            }
            images = made;
            &images[..]
        };
        let until = first + count;
        multiply(&mut gram[first * m..until * m], m, panel, &rows[..until * width], width);
        // The square on the diagonal has both triangles: what they differ by.
        for i in 0..count {
            for j in 0..i {
                let (a, b) = ((first + i) * m + first + j, (first + j) * m + first + i);
                asymmetry = (asymmetry.0 + (gram[a] - gram[b]).powi(2), asymmetry.1 + 1);
                gram[a] = 0.5 * (gram[a] + gram[b]);
            }
        }
    }
    drop(rows);
    let pairs = (m * (m - 1) / 2) as f64 / asymmetry.1.max(1) as f64;
    let mut triplets = from_gram(gram, m, asymmetry.0 * pairs);
    if operator.is_input() {
        // Symmetric whatever its rounding: as exact as R is.
        let least = triplets.sigma.first().map_or(0.0, |largest| largest * rank_threshold(m, n, epsilon));
        let rank = triplets.sigma.iter().take_while(|&&sigma| sigma > least).count();
        triplets.sigma.truncate(rank);
        triplets.left.truncate(rank);
        triplets.bound = vec![0.0; rank];
    }
    Ok(triplets)
}

/// Columns that are added up in T before the sum goes into an f64: a rounding of `√COLUMNS·ε/2` of a part that is itself a small one of the
/// whole sum.
const COLUMNS: usize = 1024;
/// Rows of H that a thread multiplies with a panel.
const TILE: usize = 256;

/// `gram[i, j] = panel_i · rows_j`, gram with m columns.
fn multiply<T: Real>(gram: &mut [f64], m: usize, panel: &[T], rows: &[T], width: usize) {
    let (count, all) = (panel.len() / width, rows.len() / width);
    let tiles = all.div_ceil(TILE);
    let next = AtomicUsize::new(0);
    let out = Disjoint::new(gram);
    let work = || {
        let mut sums = vec![T::ZERO; count * TILE];
        loop {
            let tile = next.fetch_add(1, Ordering::Relaxed);
            if tile >= tiles {
                return;
            }
            let (first, columns) = (tile * TILE, TILE.min(all - tile * TILE));
            for begin in (0..width).step_by(COLUMNS) {
                let depth = COLUMNS.min(width - begin);
                let lhs = Operand { values: &panel[begin..], row: width, column: 1 };
                let rhs = Operand { values: &rows[first * width + begin..], row: 1, column: width };
                product(&mut sums, TILE, (count, columns, depth), lhs, rhs);
                for (i, sums) in sums.chunks_exact(TILE).enumerate() {
                    // SAFETY: this part lies in the columns of this tile, which no other thread has.
                    let out = unsafe { out.part(i * m + first, columns) };
                    out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum.to_f64());
                }
            }
        }
    };
    std::thread::scope(|scope| {
        (1..threads(0).min(tiles)).for_each(|_| drop(scope.spawn(work)));
        work();
    });
}

/// The triplets that the lower triangle of a Gram matrix holds; `asymmetry`: the sum of the squared differences of the two triangles.
fn from_gram(gram: Vec<f64>, m: usize, asymmetry: f64) -> Triplets {
    // The symmetric part of the error is about as large as the other one: that of `½ (G + Gᵀ)` in the Frobenius norm.
    let error = (0.5 * asymmetry).sqrt();
    let (squares, mut left) = symmetric_eigen(gram, m);
    let kept = squares.iter().take_while(|&&square| square > error && square > 0.0).count();
    let sigma: Vec<f64> = squares[..kept].iter().map(|square| square.sqrt()).collect();
    let bound = sigma.iter().map(|s| error / s).collect();
    left.truncate(kept);
    Triplets { sigma, left, bound, images: vec![], complete: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// One panel and its rows around the sizes of tiles and of sums, against sums in double precision.
    #[test]
    fn panels_are_multiplied_with_rows() {
        let mut random = Random::new(1, 1);
        for (count, all) in [(1, 1), (5, TILE - 1), (7, TILE), (3, TILE + 1), (2, 523)] {
            for width in [1, COLUMNS - 1, COLUMNS, COLUMNS + 1, 2503] {
                let mut some = |n: usize| (0..n * width).map(|_| random.normal() as f32).collect::<Vec<f32>>();
                let (panel, rows) = (some(count), some(all));
                let m = all + 3;
                let mut gram = vec![0.0; count * m];
                multiply(&mut gram, m, &panel, &rows, width);
                for i in 0..count {
                    for (j, row) in rows.chunks_exact(width).enumerate() {
                        let terms = panel[i * width..][..width].iter().zip(row);
                        let truth: f64 = terms.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        // √COLUMNS roundings of at most √COLUMNS' worth of unit terms, and as many again.
                        let off = (gram[i * m + j] - truth).abs();
                        assert!(off < 2e-4, "{count} {all} {width}: ({i}, {j}) is off by {off}");
                    }
                    assert!(gram[i * m + all..][..3].iter().all(|&x| x == 0.0));
                }
            }
        }
    }
}
