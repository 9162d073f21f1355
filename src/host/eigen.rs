//! Eigenvalues of symmetric matrices, by libraries.

use nalgebra::{DMatrix, SymmetricEigen};

/// Orders up to which the one with little memory of its own is as quick.
const SMALL: usize = 256;

/// Eigenvalues of a symmetric matrix `[m, m]` without eigenvalues far below 0, whose lower triangle is given, largest first, with their
/// vectors.
///
/// Libraries' iterations don't come to an end, or find infinite values, where most eigenvalues are rounding beside the largest: what is
/// small is looked for beside neighbours that are small too. So they get the matrix plus a multiple of the identity as large as its
/// diagonal, whose eigenvalues are all of one size; they are exact to `ε` of the largest one either way. Their sum is held against the trace,
/// and where it isn't that the other library is asked.
pub(crate) fn symmetric_eigen(mut matrix: Vec<f64>, m: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    let shift = (0..m).map(|i| matrix[i * m + i].abs()).fold(0.0, f64::max);
    (0..m).for_each(|i| matrix[i * m + i] += shift);
    let trace: f64 = (0..m).map(|i| matrix[i * m + i]).sum();
    let holds = |values: &[f64]| (values.iter().sum::<f64>() - trace).abs() <= 1e-10 * trace;
    let plain = || {
        let eigen = SymmetricEigen::new(DMatrix::from_row_slice(m, m, &matrix));
        let mut order: Vec<usize> = (0..m).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let pair = |i: usize| (eigen.eigenvalues[i], eigen.eigenvectors.column(i).iter().copied().collect());
        order.into_iter().map(pair).unzip::<f64, Vec<f64>, Vec<_>, Vec<_>>()
    };
    let threaded = || {
        let rows = faer::MatRef::from_row_major_slice(&matrix, m, m);
        let eigen = rows.self_adjoint_eigen(faer::Side::Lower).ok()?;
        let (values, vectors) = (eigen.S().column_vector(), eigen.U());
        let mut order: Vec<usize> = (0..m).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let pair = |k: usize| (values[k], vectors.col(k).iter().copied().collect());
        Some(order.into_iter().map(pair).unzip::<f64, Vec<f64>, Vec<_>, Vec<_>>())
    };
    let first = if m <= SMALL { Some(plain()) } else { threaded() };
    let found = first.filter(|found| holds(&found.0));
    let (values, vectors) =
        found.unwrap_or_else(|| if m <= SMALL { threaded().unwrap_or_else(plain) } else { plain() });
    (values.into_iter().map(|value| value - shift).collect(), vectors)
}
