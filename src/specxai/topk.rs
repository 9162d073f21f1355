//! The largest singular triplets of an operator that is only applied: block Krylov iteration on the small side.

use nalgebra::{DMatrix, SymmetricEigen};

use super::decomposition::{Triplets, dot};
use crate::Result;
use crate::random::Random;

/// A linear operator `R: [m, N]` that is applied to blocks of vectors.
pub trait Apply {
    /// m, N.
    fn shape(&self) -> (usize, usize);
    /// `R v` for a block of [`Apply::block`] vectors `v: [block, N]`; `[block, m]`.
    fn apply(&mut self, v: &[f64]) -> Result<Vec<f64>>;
    /// `Rᵀu` for `u: [block, m]`; `[block, N]`.
    fn apply_transpose(&mut self, u: &[f64]) -> Result<Vec<f64>>;
    /// Vectors of a block.
    fn block(&self) -> usize;
}

/// Largest number of blocks before a restart: the basis takes `BLOCKS·block·m` numbers.
const BLOCKS: usize = 3;
const RESTARTS: usize = 40;

/// The `k` largest triplets, of which P and σ are kept; `tolerance`: relative to σ₀, at which a triplet's bound counts as
/// met; `floor`: σ below `floor·σ₀` are beyond the rank and left out.
///
/// Block Krylov iteration with `R Rᵀ` on vectors of length m, full reorthogonalisation, thick restarts (Golub, Luk &
/// Overton 1981; Halko, Martinsson & Tropp 2011 for the random start). The Ritz vectors are refined by one product with Rᵀ:
/// then `Rᵀu = σv` to rounding and the bound is `‖R v − σu‖`.
///
/// # Errors
/// Those of the operator's products.
pub fn top_triplets(operator: &mut dyn Apply, k: usize, tolerance: f64, floor: f64) -> Result<Triplets> {
    let (m, n) = operator.shape();
    let block = operator.block().min(m);
    let mut random = Random::new(0, 0x5eed);
    let mut start = DMatrix::from_fn(m, block, |_, _| random.normal());
    orthonormalise(&mut start, None);
    let mut best = None;
    for _ in 0..RESTARTS {
        let ritz = krylov(operator, start, block)?;
        let triplets = refine(operator, &ritz, block, n)?;
        let sigma0 = triplets.sigma.first().copied().unwrap_or(0.0);
        let wanted = k.min(triplets.sigma.len());
        let met = triplets.bound[..wanted].iter().all(|&b| b <= tolerance * sigma0);
        // A start spanned by the best Ritz vectors.
        start = DMatrix::from_iterator(m, triplets.left.len(), triplets.left.iter().flatten().copied());
        best = Some(triplets);
        if met || ritz.ncols() == m.min(n) {
            break;
        }
        let missing = block - start.ncols().min(block);
        if missing > 0 {
            let fill = DMatrix::from_fn(m, missing, |_, _| random.normal());
            start = DMatrix::from_columns(&start.column_iter().chain(fill.column_iter()).collect::<Vec<_>>());
        }
        orthonormalise(&mut start, None);
    }
    let mut triplets = best.expect("invariant: one round at least");
    let least = floor * triplets.sigma.first().copied().unwrap_or(0.0);
    let kept = triplets.sigma.iter().take(k).take_while(|&&s| s > least).count();
    triplets.complete = kept < k.min(triplets.sigma.len());
    triplets.sigma.truncate(kept);
    triplets.left.truncate(kept);
    triplets.bound.truncate(kept);
    Ok(triplets)
}

/// Orthonormal columns, first against `basis`; dependent ones become zero. Twice is enough.
fn orthonormalise(block: &mut DMatrix<f64>, basis: Option<&DMatrix<f64>>) {
    for _ in 0..2 {
        if let Some(basis) = basis {
            let along = basis.tr_mul(block);
            *block -= basis * along;
        }
        for j in 0..block.ncols() {
            let before = block.column(j).norm();
            for i in 0..j {
                let along = block.column(i).dot(&block.column(j));
                let other = block.column(i).clone_owned();
                block.column_mut(j).axpy(-along, &other, 1.0);
            }
            let norm = block.column(j).norm();
            // What cancellation has left of a dependent column is rounding.
            let scale = if norm > 1e-10 * before && norm > 0.0 { 1.0 / norm } else { 0.0 };
            block.column_mut(j).scale_mut(scale);
        }
    }
}

/// Ritz vectors of `R Rᵀ` from the Krylov space of `start`, as many as a block, largest first.
fn krylov(operator: &mut dyn Apply, start: DMatrix<f64>, block: usize) -> Result<DMatrix<f64>> {
    let m = start.nrows();
    let mut basis = start.clone();
    let mut images = DMatrix::zeros(m, 0);
    let mut last = start;
    for step in 0..BLOCKS {
        let image = gram_product(operator, &last, block)?;
        images = join(&images, &image);
        if step + 1 == BLOCKS || basis.ncols() >= m {
            break;
        }
        let mut next = image;
        orthonormalise(&mut next, Some(&basis));
        let independent: Vec<_> = next.column_iter().filter(|c| c.norm() > 0.5).map(|c| c.clone_owned()).collect();
        if independent.is_empty() {
            break;
        }
        next = DMatrix::from_columns(&independent);
        basis = join(&basis, &next);
        last = next;
    }
    let projected = basis.columns(0, images.ncols()).tr_mul(&images);
    let eigen = SymmetricEigen::new((&projected + projected.transpose()) * 0.5);
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let best: Vec<_> = order.iter().take(block).map(|&i| eigen.eigenvectors.column(i)).collect();
    Ok(basis.columns(0, images.ncols()) * DMatrix::from_columns(&best))
}

fn join(a: &DMatrix<f64>, b: &DMatrix<f64>) -> DMatrix<f64> {
    DMatrix::from_columns(&a.column_iter().chain(b.column_iter()).collect::<Vec<_>>())
}

/// `R Rᵀ` of up to a block of columns.
fn gram_product(operator: &mut dyn Apply, u: &DMatrix<f64>, block: usize) -> Result<DMatrix<f64>> {
    let (m, _) = operator.shape();
    // Column-major [m, block] is row-major [block, m].
    let mut padded = u.as_slice().to_vec();
    padded.resize(block * m, 0.0);
    let v = operator.apply_transpose(&padded)?;
    let image = operator.apply(&v)?;
    Ok(DMatrix::from_column_slice(m, u.ncols(), &image[..m * u.ncols()]))
}

/// Triplets from nearly invariant orthonormal vectors: the small SVD of `RᵀU`, and the bounds. Vectors of length N are held
/// once.
fn refine(operator: &mut dyn Apply, u: &DMatrix<f64>, block: usize, n: usize) -> Result<Triplets> {
    let (m, _) = operator.shape();
    let columns = u.ncols();
    let mut padded = u.as_slice().to_vec();
    padded.resize(block * m, 0.0);
    // Row j is Rᵀu_j.
    let mut images = operator.apply_transpose(&padded)?;
    // RᵀU = V Σ Qᵀ through its small Gram matrix; P = U Q.
    let row = |i: usize| &images[i * n..][..n];
    let eigen = SymmetricEigen::new(DMatrix::from_fn(columns, columns, |i, j| dot(row(i), row(j))));
    let mut order: Vec<usize> = (0..columns).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let sigma: Vec<f64> = order.iter().map(|&i| eigen.eigenvalues[i].max(0.0).sqrt()).collect();
    let rotation = DMatrix::from_columns(&order.iter().map(|&i| eigen.eigenvectors.column(i)).collect::<Vec<_>>());
    let left = u * &rotation;
    // V = RᵀU Q Σ⁻¹ in place, place by place.
    let mut place = vec![0.0; columns];
    for p in 0..n {
        (0..columns).for_each(|i| place[i] = images[i * n + p]);
        for j in 0..columns {
            let rotated = dot(&place, rotation.column(j).as_slice());
            images[j * n + p] = if sigma[j] > 0.0 { rotated / sigma[j] } else { 0.0 };
        }
    }
    images[columns * n..].fill(0.0);
    let back = operator.apply(&images)?;
    let bound = (0..columns).map(|j| {
        let column = left.column(j);
        let off = back[j * m..][..m].iter().zip(column.iter()).map(|(x, u)| (x - sigma[j] * u).powi(2));
        off.sum::<f64>().sqrt()
    });
    let bound = bound.collect();
    let left = left.column_iter().map(|c| c.iter().copied().collect()).collect();
    Ok(Triplets { sigma, left, bound, complete: false })
}
