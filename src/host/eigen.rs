//! Eigenvalues of symmetric matrices, by a library.

/// Eigenvalues of a symmetric matrix `[m, m]` without eigenvalues far below 0, whose lower triangle is given, largest first, with their
/// vectors.
///
/// Libraries' iterations don't come to an end, or find infinite values, where most eigenvalues are rounding beside the largest: what is
/// small is looked for beside neighbours that are small too. So they get the matrix plus a multiple of the identity as large as its
/// diagonal, whose eigenvalues are all of one size; they are exact to `ε` of the largest one either way.
pub(crate) fn symmetric_eigen(mut matrix: Vec<f64>, m: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    let shift = (0..m).map(|i| matrix[i * m + i].abs()).fold(0.0, f64::max);
    (0..m).for_each(|i| matrix[i * m + i] += shift);
    let rows = faer::MatRef::from_row_major_slice(&matrix, m, m);
    let eigen = rows.self_adjoint_eigen(faer::Side::Lower).expect("invariant: a finite matrix converges");
    drop(matrix);
    let (values, vectors) = (eigen.S().column_vector(), eigen.U());
    (0..m).rev().map(|k| (values[k] - shift, vectors.col(k).iter().copied().collect::<Vec<f64>>())).unzip()
}
