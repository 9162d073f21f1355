//! Operators that are only applied, and Krylov spaces of `R Rᵀ`.

use nalgebra::DMatrix;

use crate::Result;
use crate::host::{Operand, add_product, product, symmetric_eigen};

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

/// An orthonormal basis Q that grows by blocks, and what is known of `A = R Rᵀ` on it: `A Q = Q T + F C`. T is the small projected matrix
/// `Qᵀ A Q`; F holds what the last block's images leave beyond the basis, and C how much of it the image of each column has. So what a Ritz
/// vector's image differs by is known without any vector of length m (block Lanczos: Golub & Underwood 1977).
pub(super) struct Space {
    /// Q, in a matrix that is allocated once.
    basis: DMatrix<f64>,
    pub(super) used: usize,
    /// T.
    projected: DMatrix<f64>,
    /// F.
    open: DMatrix<f64>,
    /// Norms of F's columns before what lies in the basis was taken off.
    sizes: Vec<f64>,
    /// C.
    links: DMatrix<f64>,
}

/// Ritz pairs of a space: eigenvalues θ of T, largest first, and its eigenvectors w, of which the Ritz vectors are `Q w`.
pub(super) struct Ritz {
    pub(super) values: Vec<f64>,
    /// `‖A Q w − θ Q w‖`.
    pub(super) residuals: Vec<f64>,
    rotation: DMatrix<f64>,
}

impl Space {
    /// An empty one with room for `capacity` columns, that grows by `start: [m, block]` first.
    pub(super) fn new(start: DMatrix<f64>, capacity: usize) -> Self {
        let (basis, projected) = (DMatrix::zeros(start.nrows(), capacity), DMatrix::zeros(capacity, capacity));
        let mut space =
            Space { basis, used: 0, projected, open: DMatrix::zeros(0, 0), sizes: vec![], links: DMatrix::zeros(0, 0) };
        space.turn_to(start);
        space
    }

    /// Grows by other directions than the last images: for a space that is invariant, for what may lie outside of it.
    pub(super) fn turn_to(&mut self, mut directions: DMatrix<f64>) {
        self.links = DMatrix::zeros(directions.ncols(), self.basis.ncols());
        self.sizes = directions.column_iter().map(|c| c.norm()).collect();
        self.take_off_basis(&mut directions);
        self.open = directions;
    }

    /// Whether there is no room for a whole block: without a part of F the images of the basis were not known.
    pub(super) fn is_full(&self, block: usize) -> bool {
        let (m, capacity) = self.basis.shape();
        self.used + block > capacity && capacity < m
    }

    pub(super) fn is_whole(&self) -> bool {
        self.used == self.basis.nrows()
    }

    /// Adds to the basis what the last images have beyond it, and applies the operator to that; `false` where there was nothing.
    pub(super) fn grow(&mut self, operator: &mut dyn Apply, block: usize) -> Result<bool> {
        let fresh = self.independent();
        let (old, new) = (self.used, fresh.ncols());
        if new == 0 {
            return Ok(false);
        }
        let mut image = gram_product(operator, &fresh, block)?;
        let below = fresh.tr_mul(&self.open) * self.links.columns(0, old);
        self.projected.view_mut((old, 0), (new, old)).copy_from(&below);
        self.basis.columns_mut(old, new).copy_from(&fresh);
        self.used += new;
        self.sizes = image.column_iter().map(|c| c.norm()).collect();
        let along = self.take_off_basis(&mut image);
        self.projected.view_mut((0, old), (self.used, new)).copy_from(&along);
        self.open = image;
        self.links = DMatrix::zeros(new, self.basis.ncols());
        self.links.view_mut((0, old), (new, new)).fill_with_identity();
        Ok(true)
    }

    /// Orthonormal columns that span F, from which the basis has been taken off once; twice is enough.
    fn independent(&self) -> DMatrix<f64> {
        let mut block = self.open.clone();
        // What cancellation has left of a dependent column is rounding.
        let least: Vec<f64> = self.sizes.iter().map(|size| 1e-12 * size).collect();
        orthonormalise(&mut block, &least);
        self.take_off_basis(&mut block);
        orthonormalise(&mut block, &vec![0.5; least.len()]);
        let room = self.basis.ncols() - self.used;
        let kept: Vec<_> = block.column_iter().filter(|c| c.norm() > 0.5).take(room).map(|c| c.clone_owned()).collect();
        if kept.is_empty() { DMatrix::zeros(block.nrows(), 0) } else { DMatrix::from_columns(&kept) }
    }

    /// `X − Q (Qᵀ X)` in place, with the matrix product: vectors may have hundreds of thousands of elements. Returns `Qᵀ X`.
    fn take_off_basis(&self, block: &mut DMatrix<f64>) -> DMatrix<f64> {
        let (m, columns) = block.shape();
        // Row-major [columns, used].
        let mut along = DMatrix::zeros(self.used, columns);
        if self.used == 0 {
            return along;
        }
        let basis = &self.basis.as_slice()[..m * self.used];
        let by_rows = Operand { values: block.as_slice(), row: m, column: 1 };
        let by_columns = Operand { values: basis, row: 1, column: m };
        product(along.as_mut_slice(), self.used, (columns, self.used, m), by_rows, by_columns);
        along.neg_mut();
        let back = Operand { values: along.as_slice(), row: self.used, column: 1 };
        let by_rows = Operand { values: basis, row: m, column: 1 };
        add_product(block.as_mut_slice(), m, (columns, m, self.used), back, by_rows);
        along.neg_mut();
        along
    }

    pub(super) fn ritz(&self) -> Ritz {
        let used = self.used;
        let projected = self.projected.view((0, 0), (used, used)).clone_owned();
        // The same transposed, but for the rounding of the operator's products.
        let symmetric = (&projected + projected.transpose()) * 0.5;
        let (mut values, vectors) = symmetric_eigen(symmetric.as_slice().to_vec(), used);
        let rotation = DMatrix::from_vec(used, used, vectors.concat());
        // Q (T w − θ w) + F C w, whose two parts are orthogonal.
        let mut inside = projected * &rotation;
        for (j, &value) in values.iter().enumerate() {
            inside.column_mut(j).axpy(-value, &rotation.column(j), 1.0);
        }
        // F's triangular factor is as long as F, and nothing cancels in it as it would in `FᵀF`.
        let beyond = self.open.clone().qr().unpack_r() * self.links.columns(0, used) * &rotation;
        let residual = |j: usize| inside.column(j).norm().hypot(beyond.column(j).norm());
        let residuals = (0..used).map(residual).collect();
        values.iter_mut().for_each(|value| *value = value.max(0.0));
        Ritz { values, residuals, rotation }
    }

    /// Ritz vectors, one after the other: those that are asked for.
    pub(super) fn vectors(&self, ritz: &Ritz, which: &[usize]) -> Vec<f64> {
        let (m, used) = (self.basis.nrows(), self.used);
        let rotation = ritz.rotation.select_columns(which);
        let mut vectors = vec![0.0; m * which.len()];
        let by = Operand { values: rotation.as_slice(), row: used, column: 1 };
        let basis = Operand { values: self.basis.as_slice(), row: m, column: 1 };
        product(&mut vectors, m, (which.len(), m, used), by, basis);
        vectors
    }

    /// Replaces the basis by its `keep` best Ritz vectors (thick restart: Wu & Simon 2000).
    pub(super) fn restart(&mut self, ritz: &Ritz, keep: usize) {
        let keep = keep.min(self.used);
        let vectors = self.vectors(ritz, &(0..keep).collect::<Vec<_>>());
        self.basis.as_mut_slice()[..vectors.len()].copy_from_slice(&vectors);
        let rotation = ritz.rotation.columns(0, keep);
        let rotated = rotation.tr_mul(&(self.projected.view((0, 0), (self.used, self.used)) * rotation));
        self.projected.view_mut((0, 0), (keep, keep)).copy_from(&rotated);
        let links = self.links.columns(0, self.used) * rotation;
        self.links.columns_mut(0, keep).copy_from(&links);
        self.used = keep;
    }
}

/// Orthonormal columns by the modified Gram-Schmidt method; zero are those of which no more than `least` is left.
fn orthonormalise(block: &mut DMatrix<f64>, least: &[f64]) {
    for (j, &least) in least.iter().enumerate() {
        for i in 0..j {
            let (left, mut right) = block.columns_range_pair_mut(i..=i, j..=j);
            let along = left.column(0).dot(&right.column(0));
            right.column_mut(0).axpy(-along, &left.column(0), 1.0);
        }
        let norm = block.column(j).norm();
        block.column_mut(j).scale_mut(if norm > least { 1.0 / norm } else { 0.0 });
    }
}

/// `R Rᵀ` of up to a block of columns.
pub(super) fn gram_product(operator: &mut dyn Apply, u: &DMatrix<f64>, block: usize) -> Result<DMatrix<f64>> {
    let (m, _) = operator.shape();
    // Column-major [m, block] is row-major [block, m].
    let mut padded = u.as_slice().to_vec();
    padded.resize(block * m, 0.0);
    let v = operator.apply_transpose(&padded)?;
    let image = operator.apply(&v)?;
    Ok(DMatrix::from_column_slice(m, u.ncols(), &image[..m * u.ncols()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// A matrix whose products are made in double precision, in blocks.
    struct Dense {
        matrix: DMatrix<f64>,
        block: usize,
    }

    impl Apply for Dense {
        fn shape(&self) -> (usize, usize) {
            self.matrix.shape()
        }

        fn apply(&mut self, v: &[f64]) -> Result<Vec<f64>> {
            let v = DMatrix::from_column_slice(self.matrix.ncols(), self.block, v);
            Ok((&self.matrix * v).as_slice().to_vec())
        }

        fn apply_transpose(&mut self, u: &[f64]) -> Result<Vec<f64>> {
            let u = DMatrix::from_column_slice(self.matrix.nrows(), self.block, u);
            Ok(self.matrix.tr_mul(&u).as_slice().to_vec())
        }

        fn block(&self) -> usize {
            self.block
        }
    }

    /// `[37, 53]`, of so many directions whose σ fall slowly from `largest`.
    fn dense(rank: usize, largest: f64, block: usize) -> Dense {
        let mut random = Random::new(7, rank as u64);
        let mut normal = |rows, columns| DMatrix::from_fn(rows, columns, |_, _| random.normal());
        let (left, right) = (normal(37, rank).qr().q(), normal(53, rank).qr().q());
        let sigma = DMatrix::from_fn(rank, rank, |i, j| if i == j { largest * 0.9f64.powi(i as i32) } else { 0.0 });
        Dense { matrix: left * sigma * right.transpose(), block }
    }

    /// The largest difference from what the operator itself says, relative to θ₀, of basis and of residuals.
    fn off(space: &Space, of: &Dense) -> (f64, f64) {
        let basis = space.basis.columns(0, space.used);
        let skew = (basis.tr_mul(&basis) - DMatrix::identity(space.used, space.used)).amax();
        let ritz = space.ritz();
        let vectors = space.vectors(&ritz, &(0..space.used).collect::<Vec<_>>());
        let vectors = DMatrix::from_vec(37, space.used, vectors);
        let images = &of.matrix * of.matrix.tr_mul(&vectors);
        let residual = |j: usize| (images.column(j) - vectors.column(j) * ritz.values[j]).norm();
        let off = (0..space.used).map(|j| (residual(j) - ritz.residuals[j]).abs()).fold(0.0, f64::max);
        (skew, off / ritz.values[0])
    }

    /// Through growth, restarts, capacities that are no multiple of the block, spaces that become invariant, and sizes far from 1.
    #[test]
    fn residuals_are_known_from_the_small_matrix() {
        for (rank, largest, block, capacity, keep) in [
            (37, 1.0, 2, 16, 6),
            (37, 1.0, 3, 20, 7),
            (37, 1e7, 2, 15, 5),
            (37, 1e-7, 1, 12, 4),
            (5, 1.0, 2, 14, 4),
            (37, 1.0, 8, 37, 9),
        ] {
            let mut operator = dense(rank, largest, block);
            let mut random = Random::new(1, 1);
            let mut start = || DMatrix::from_fn(37, block, |_, _| random.normal());
            let (mut space, mut restarts) = (Space::new(start(), capacity), 0);
            for step in 0..40 {
                let case = format!("rank {rank}, block {block}, step {step}");
                if !space.grow(&mut operator, block).unwrap() {
                    if space.is_whole() {
                        break;
                    }
                    space.turn_to(start());
                    assert!(space.grow(&mut operator, block).unwrap(), "{case}: a random direction is a new one");
                }
                let (skew, off) = off(&space, &operator);
                // Rounding of sums of 53 terms, over 40 steps; directions of 1e-12 of an image are none.
                assert!(skew < 1e-13 && off < 2e-12, "{case}: {skew} {off}");
                if space.is_full(block) {
                    let before = space.ritz();
                    space.restart(&before, keep);
                    restarts += 1;
                    let after = space.ritz();
                    assert_eq!(space.used, keep);
                    for j in 0..keep {
                        assert!((after.values[j] - before.values[j]).abs() < 1e-13 * before.values[0], "{case}");
                    }
                }
            }
            assert_eq!(restarts > 2, capacity < 37);
            let found = space.ritz().values[0].sqrt() / largest;
            assert!((found - 1.0).abs() < 1e-13, "rank {rank}, block {block}: {found}");
        }
    }
}
