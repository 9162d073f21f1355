//! The singular value decomposition of a local operator, and what it contributes to an output.

use nalgebra::DMatrix;
use serde::Serialize;

use crate::host::{Operand, product, symmetric_eigen};

/// Distance of two singular values, relative to the largest, under which they count as equal: their vectors are not
/// defined one by one.
pub const CLUSTER_GAP: f64 = 1e-4;

/// Singular triplets `R = P Σ Vᵀ`, largest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Triplets {
    pub sigma: Vec<f64>,
    /// Left singular vectors P, one of length m for each σ.
    pub left: Vec<Vec<f64>>,
    /// `max(‖R v − σu‖, ‖Rᵀu − σv‖)` for each triplet; 0 where the whole of R was decomposed.
    pub bound: Vec<f64>,
    /// `Rᵀ P_k` of every one, where that was made on the way; else empty.
    pub images: Vec<Vec<f64>>,
    /// Whether these are all singular values above the rank's threshold.
    pub complete: bool,
}

/// The rank's threshold relative to σ₀: `max(m, N)·ε` of the arithmetic that made R.
pub fn rank_threshold(m: usize, n: usize, epsilon: f64) -> f64 {
    m.max(n) as f64 * epsilon
}

/// Decomposes `R: [m, N]` (rows as slices, made in an arithmetic of precision `epsilon`), keeping σ above the rank's
/// threshold.
///
/// R from `f32` goes through the smaller Gram matrix, accumulated in `f64`: it resolves σ down to `√ε₆₄·σ₀`, far below what
/// R itself is good for. R from `f64` is decomposed directly. Rows of zeros (inactive units) are left out.
pub fn decompose(rows: &[&[f64]], n: usize, epsilon: f64) -> Triplets {
    let m = rows.len();
    let active: Vec<usize> = (0..m).filter(|&r| rows[r].iter().any(|&x| x != 0.0)).collect();
    if active.is_empty() {
        return Triplets { sigma: vec![], left: vec![], bound: vec![], images: vec![], complete: true };
    }
    // nalgebra's matrices are column-major: the rows of R are the columns of its transpose.
    let transposed = DMatrix::from_iterator(n, active.len(), active.iter().flat_map(|&r| rows[r].iter().copied()));
    let (sigma, left) = if epsilon < 1e-12 {
        direct(&transposed)
    } else if active.len() <= n {
        through_rows(&transposed)
    } else {
        through_columns(&transposed)
    };
    let least = sigma.first().copied().unwrap_or(0.0) * rank_threshold(m, n, epsilon);
    let rank = sigma.iter().take_while(|&&s| s > least).count();
    let left = left.into_iter().take(rank).map(|vector| {
        let mut whole = vec![0.0; m];
        active.iter().zip(vector).for_each(|(&r, x)| whole[r] = x);
        whole
    });
    Triplets {
        sigma: sigma[..rank].to_vec(),
        left: left.collect(),
        bound: vec![0.0; rank],
        images: vec![],
        complete: true,
    }
}

/// `AᵀA` of a column-major A.
pub fn gram(a: &DMatrix<f64>) -> DMatrix<f64> {
    let (n, m) = a.shape();
    let mut out = DMatrix::zeros(m, m);
    let rows = Operand { values: a.as_slice(), row: n, column: 1 };
    let columns = Operand { values: a.as_slice(), row: 1, column: n };
    product(out.as_mut_slice(), m, (m, m, n), rows, columns);
    out
}

/// Orders above which a threaded Gram matrix is quicker.
const LARGE: usize = 256;

/// [`gram`] on all cores, its lower triangle, row by row.
fn large_gram(a: &DMatrix<f64>) -> Vec<f64> {
    use faer::linalg::matmul::triangular::{BlockStructure, matmul};
    let (n, m) = a.shape();
    let columns = faer::MatRef::from_column_major_slice(a.as_slice(), n, m);
    let mut out = vec![0.0; m * m];
    matmul(
        faer::MatMut::from_row_major_slice_mut(&mut out, m, m),
        BlockStructure::TriangularLower,
        faer::Accum::Replace,
        columns.transpose(),
        BlockStructure::Rectangular,
        columns,
        BlockStructure::Rectangular,
        1.0,
        faer::get_global_parallelism(),
    );
    out
}

/// `AᵀA`, at least its lower triangle.
fn gram_of(a: &DMatrix<f64>) -> Vec<f64> {
    if a.ncols() > LARGE { large_gram(a) } else { gram(a).as_slice().to_vec() }
}

/// From `R Rᵀ = P Σ² Pᵀ`.
fn through_rows(transposed: &DMatrix<f64>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let (squares, vectors) = symmetric_eigen(gram_of(transposed), transposed.ncols());
    (squares.iter().map(|x| x.max(0.0).sqrt()).collect(), vectors)
}

/// From `RᵀR = V Σ² Vᵀ`, P = R V / σ; for N below m.
fn through_columns(transposed: &DMatrix<f64>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let (n, m) = transposed.shape();
    let (squares, vectors) = symmetric_eigen(gram_of(&transposed.transpose()), n);
    let sigma: Vec<f64> = squares.iter().map(|x| x.max(0.0).sqrt()).collect();
    // P = R V / σ, all columns in one product.
    let v = vectors.concat();
    let mut images = vec![0.0; n * m];
    let rows = Operand { values: &v, row: n, column: 1 };
    product(&mut images, m, (n, m, n), rows, Operand { values: transposed.as_slice(), row: 1, column: n });
    let left = images.chunks_exact(m).zip(&sigma);
    let left = left.map(|(p, &s)| p.iter().map(|x| if s > 0.0 { x / s } else { 0.0 }).collect()).collect();
    (sigma, left)
}

/// `Rᵀ = V Σ Pᵀ`. Libraries' decompositions of matrices far from full rank can be wrong without a word, so the squares of σ are held
/// against those of R's elements; should both fail, through the Gram matrix.
fn direct(transposed: &DMatrix<f64>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let (n, m) = transposed.shape();
    let energy = transposed.norm_squared();
    let holds = |sigma: &[f64]| (sigma.iter().map(|s| s * s).sum::<f64>() - energy).abs() <= 1e-10 * energy;
    let threaded = || {
        let whole = faer::MatRef::from_column_major_slice(transposed.as_slice(), n, m);
        let svd = whole.thin_svd().ok()?;
        let (sigma, p) = (svd.S().column_vector(), svd.V());
        // Not always in order.
        let mut order: Vec<usize> = (0..m.min(n)).collect();
        order.sort_by(|&a, &b| sigma[b].total_cmp(&sigma[a]));
        let found: (Vec<f64>, Vec<Vec<f64>>) =
            order.into_iter().map(|k| (sigma[k], p.col(k).iter().copied().collect())).unzip();
        holds(&found.0).then_some(found)
    };
    let plain = || {
        let svd = transposed.clone().try_svd(false, true, f64::EPSILON, 0)?;
        let (sigma, p) = (svd.singular_values, svd.v_t?);
        let mut order: Vec<usize> = (0..sigma.len()).collect();
        order.sort_by(|&a, &b| sigma[b].total_cmp(&sigma[a]));
        let found: (Vec<f64>, Vec<Vec<f64>>) =
            order.into_iter().map(|i| (sigma[i], p.row(i).iter().copied().collect())).unzip();
        holds(&found.0).then_some(found)
    };
    let found = if m.min(n) > LARGE { threaded().or_else(plain) } else { plain().or_else(threaded) };
    found.unwrap_or_else(|| if m <= n { through_rows(transposed) } else { through_columns(transposed) })
}

/// Which cluster of equal singular values each belongs to, numbered from 0.
pub fn clusters(sigma: &[f64]) -> Vec<usize> {
    let gap = CLUSTER_GAP * sigma.first().copied().unwrap_or(0.0);
    let mut cluster = 0;
    sigma
        .iter()
        .enumerate()
        .map(|(k, &s)| {
            if k > 0 && sigma[k - 1] - s >= gap {
                cluster += 1;
            }
            cluster
        })
        .collect()
}

/// One term of an explanation (method.md section 3, equations 18–20).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contribution {
    pub k: usize,
    pub sigma: f64,
    /// `σ_k (V_k·x̃)`, at least 0 by the choice of sign.
    pub c: f64,
    /// `(L P)_k`: how the output answers.
    pub psi: f64,
    /// `ψ_k c_k`.
    pub alpha: f64,
    /// After the reduction; 0 if cancelled.
    pub alpha_reduced: f64,
    /// `α̂_k / Σα̂`; `null` when there is no net contribution.
    pub share: Option<f64>,
    /// Components with one number have equal singular values: only the sum of their α is defined.
    pub cluster: usize,
    /// The triplet is not accurate enough to be read alone: its bound (matrix-free) or the rounding of R, `√max(m, N)·ε·σ₀`,
    /// is more than a thousandth of σ.
    pub unresolved: bool,
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Few independent rows among many, and columns that nothing reads: every σ above the rank is found, and no other, by rows and by
    /// columns, through a Gram matrix and whole.
    #[test]
    fn operators_far_from_full_rank_are_decomposed() {
        for (m, n) in [(512, 225), (225, 512), (300, 40), (40, 300), (LARGE + 9, LARGE + 7), (LARGE + 40, 2 * LARGE)] {
            for rank in [1, 2, 16, 33] {
                let mut random = Random::new((m * rank) as u64, 3);
                let mut normal = |count: usize| (0..count).map(|_| random.normal()).collect::<Vec<f64>>();
                let (left, right) = (normal(m * rank), normal(rank * rank));
                // The columns that are read lie apart.
                let mut values = vec![0.0; m * n];
                for r in 0..m {
                    for c in 0..rank {
                        let sum: f64 = (0..rank).map(|i| left[r * rank + i] * right[i * rank + c]).sum();
                        values[r * n + c * (n / rank)] = f64::from(sum as f32);
                    }
                }
                let rows: Vec<&[f64]> = values.chunks_exact(n).collect();
                let energy: f64 = values.iter().map(|x| x * x).sum();
                for epsilon in [f64::EPSILON, f64::from(f32::EPSILON)] {
                    let found = decompose(&rows, n, epsilon);
                    let sum: f64 = found.sigma.iter().map(|s| s * s).sum();
                    // Squares of σ that a Gram matrix of f32 numbers holds to 1e-16 of the largest, and what is below the rank's threshold.
                    assert!(
                        (sum / energy - 1.0).abs() < 1e-6,
                        "{m} × {n}, rank {rank}, {epsilon:e}: {sum} of {energy}"
                    );
                    assert!(found.sigma.len() <= rank, "{m} × {n}, rank {rank}: {}", found.sigma.len());
                }
            }
        }
    }

    /// Large ones go through other code than small ones: through the rows, through the columns, and whole.
    #[test]
    fn large_operators_are_decomposed_as_small_ones_are() {
        for (m, n) in [(LARGE + 20, LARGE + 60), (LARGE + 60, LARGE + 20)] {
            let mut random = Random::new(3, 3);
            let values: Vec<f64> = (0..m * n).map(|_| random.normal()).collect();
            let rows: Vec<&[f64]> = values.chunks_exact(n).collect();
            let whole = decompose(&rows, n, f64::EPSILON);
            // A precision of 1e-11 is that of a Gram matrix: squares of σ down to a hundredth of the largest, to 1e-16 of it.
            let squared = decompose(&rows, n, 1e-11);
            assert_eq!((whole.sigma.len(), squared.sigma.len()), (m.min(n), m.min(n)));
            let energy: f64 = values.iter().map(|x| x * x).sum();
            assert!((whole.sigma.iter().map(|s| s * s).sum::<f64>() / energy - 1.0).abs() < 1e-12);
            for (k, (a, b)) in whole.sigma.iter().zip(&squared.sigma).enumerate() {
                assert!((a - b).abs() < 1e-10 * whole.sigma[0], "σ_{k}: {a}, through a Gram matrix {b}");
            }
            for found in [&whole, &squared] {
                for k in [0, 1, m.min(n) / 2] {
                    // ‖Rᵀp‖ = σ and ‖p‖ = 1.
                    let p = &found.left[k];
                    let image: f64 = (0..n).map(|c| (0..m).map(|r| p[r] * rows[r][c]).sum::<f64>().powi(2)).sum();
                    assert!((dot(p, p) - 1.0).abs() < 1e-9 && (image.sqrt() / found.sigma[k] - 1.0).abs() < 1e-9);
                }
            }
        }
    }
}
