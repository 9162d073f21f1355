//! Operators that are only applied, and Krylov spaces of `R Rᵀ`: an orthonormal basis and its images.

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

/// An orthonormal basis and its images under `R Rᵀ`, columns of matrices that are allocated once.
pub(super) struct Space {
    pub(super) basis: DMatrix<f64>,
    pub(super) images: DMatrix<f64>,
    pub(super) used: usize,
}

impl Space {
    pub(super) fn new(m: usize, capacity: usize) -> Self {
        Space { basis: DMatrix::zeros(m, capacity), images: DMatrix::zeros(m, capacity), used: 0 }
    }

    pub(super) fn capacity(&self) -> usize {
        self.basis.ncols()
    }

    /// Orthonormal columns that span what the block adds to the basis, as many as there is room for.
    pub(super) fn independent(&self, block: DMatrix<f64>) -> DMatrix<f64> {
        self.beyond(block, self.capacity() - self.used)
    }

    /// The same, `room` of them at most.
    pub(super) fn beyond(&self, mut block: DMatrix<f64>, room: usize) -> DMatrix<f64> {
        let before: Vec<f64> = block.column_iter().map(|c| c.norm()).collect();
        // Twice is enough.
        for _ in 0..2 {
            self.take_off_basis(&mut block);
            for (j, &before) in before.iter().enumerate() {
                for i in 0..j {
                    let (left, mut right) = block.columns_range_pair_mut(i..=i, j..=j);
                    let along = left.column(0).dot(&right.column(0));
                    right.column_mut(0).axpy(-along, &left.column(0), 1.0);
                }
                let norm = block.column(j).norm();
                // What cancellation has left of a dependent column is rounding.
                let scale = if norm > 1e-9 * before && norm > 0.0 { 1.0 / norm } else { 0.0 };
                block.column_mut(j).scale_mut(scale);
            }
        }
        let kept: Vec<_> = block.column_iter().filter(|c| c.norm() > 0.5).take(room).map(|c| c.clone_owned()).collect();
        if kept.is_empty() { DMatrix::zeros(block.nrows(), 0) } else { DMatrix::from_columns(&kept) }
    }

    /// `X − B (Bᵀ X)`, with the matrix product: vectors may have hundreds of thousands of elements.
    fn take_off_basis(&self, block: &mut DMatrix<f64>) {
        let (m, columns) = block.shape();
        if self.used == 0 {
            return;
        }
        let mut along = vec![0.0; columns * self.used];
        let basis = &self.basis.as_slice()[..m * self.used];
        let by_rows = Operand { values: block.as_slice(), row: m, column: 1 };
        product(&mut along, self.used, (columns, self.used, m), by_rows, Operand { values: basis, row: 1, column: m });
        along.iter_mut().for_each(|x| *x = -*x);
        let along = Operand { values: &along, row: self.used, column: 1 };
        add_product(
            block.as_mut_slice(),
            m,
            (columns, m, self.used),
            along,
            Operand { values: basis, row: m, column: 1 },
        );
    }

    pub(super) fn extend(&mut self, fresh: &DMatrix<f64>, image: &DMatrix<f64>) {
        self.basis.columns_mut(self.used, fresh.ncols()).copy_from(fresh);
        self.images.columns_mut(self.used, fresh.ncols()).copy_from(image);
        self.used += fresh.ncols();
    }

    /// The `keep` best Ritz vectors as combinations of the basis's columns, and their values (squares of σ), largest first.
    fn ritz(&self, keep: usize) -> (Vec<f64>, DMatrix<f64>) {
        if self.used == 0 {
            return (vec![], DMatrix::zeros(0, 0));
        }
        let m = self.basis.nrows();
        let (basis, images) = (&self.basis.as_slice()[..m * self.used], &self.images.as_slice()[..m * self.used]);
        let projected = tr_mul(basis, images, m, self.used);
        let symmetric = (&projected + projected.transpose()) * 0.5;
        let (mut values, mut vectors) = symmetric_eigen(symmetric.as_slice().to_vec(), self.used);
        values.truncate(keep);
        vectors.truncate(keep);
        values.iter_mut().for_each(|value| *value = value.max(0.0));
        (values, DMatrix::from_vec(self.used, vectors.len(), vectors.concat()))
    }

    /// Replaces the basis by its `keep` best Ritz vectors; returns their values.
    pub(super) fn restart(&mut self, keep: usize) -> Vec<f64> {
        let (values, rotation) = self.ritz(keep);
        for of in [&mut self.basis, &mut self.images] {
            let rotated = rotated(of, &rotation);
            of.as_mut_slice()[..rotated.len()].copy_from_slice(&rotated);
        }
        self.used = values.len();
        values
    }

    /// Values of the `keep` best Ritz vectors, and the norms of their residuals; the basis stays as it is.
    pub(super) fn residuals(&self, keep: usize) -> Vec<(f64, f64)> {
        let (values, rotation) = self.ritz(keep);
        let m = self.basis.nrows();
        let [vectors, images] = [&self.basis, &self.images].map(|of| rotated(of, &rotation));
        let pairs = vectors.chunks_exact(m).zip(images.chunks_exact(m)).zip(values);
        pairs.map(|((u, image), value)| (value, norm(image.iter().zip(u).map(|(y, u)| y - value * u)))).collect()
    }

    /// `R Rᵀu − θu` of a Ritz vector: σ times what `R v − σu` is.
    pub(super) fn residual(&self, j: usize, value: f64) -> nalgebra::DVector<f64> {
        self.images.column(j) - self.basis.column(j) * value
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

/// `AᵀB` of column-major matrices with so many rows and columns.
fn tr_mul(a: &[f64], b: &[f64], rows: usize, columns: usize) -> DMatrix<f64> {
    let mut out = DMatrix::zeros(columns, columns);
    let (a, b) = (Operand { values: a, row: rows, column: 1 }, Operand { values: b, row: 1, column: rows });
    // Row-major out: its transpose, which is the same but for rounding where A and B = R Rᵀ A.
    product(out.as_mut_slice(), columns, (columns, columns, rows), a, b);
    out
}

/// The products of the first columns with a rotation.
fn rotated(matrix: &DMatrix<f64>, rotation: &DMatrix<f64>) -> Vec<f64> {
    let (m, (from, to)) = (matrix.nrows(), rotation.shape());
    let mut rotated = vec![0.0; m * to];
    let by = Operand { values: rotation.as_slice(), row: from, column: 1 };
    product(&mut rotated, m, (to, m, from), by, Operand { values: matrix.as_slice(), row: m, column: 1 });
    rotated
}

fn norm(elements: impl Iterator<Item = f64>) -> f64 {
    elements.map(|x| x * x).sum::<f64>().sqrt()
}
