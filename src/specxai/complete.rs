//! Every singular triplet of an operator that is applied: its rows by products with unit vectors, or its Gram matrix by two of them.

use super::decomposition::{Triplets, decompose, symmetric_eigen};
use super::form::forms_rows;
use super::krylov::Apply;
use crate::Result;

/// Decomposes R (made in an arithmetic of precision `epsilon`) completely.
///
/// Where its rows fit into `memory` (bytes) they are formed and decomposed as any R is. Else the columns of `G = R Rᵀ` come from
/// products, `G e_i = R (Rᵀ e_i)`, R itself never being stored. How far G is from symmetric says how exact it is: the triplets' bounds
/// are of that, and σ² below it are noise and left out.
///
/// # Errors
/// Those of the operator's products.
pub(super) fn complete(operator: &mut dyn Apply, memory: usize, epsilon: f64) -> Result<Triplets> {
    let ((m, n), block) = (operator.shape(), operator.block());
    if m == 0 {
        return Ok(Triplets { sigma: vec![], left: vec![], bound: vec![], complete: true });
    }
    let formed = forms_rows(m, n, memory);
    let mut values = Vec::with_capacity(if formed { m * n } else { m * m });
    for first in (0..m).step_by(block) {
        let count = block.min(m - first);
        let mut units = vec![0.0; block * m];
        (0..count).for_each(|i| units[i * m + first + i] = 1.0);
        let rows = operator.apply_transpose(&units)?;
        if formed {
            values.extend_from_slice(&rows[..count * n]);
        } else {
            values.extend_from_slice(&operator.apply(&rows)?[..count * m]);
        }
    }
    if formed {
        let rows: Vec<&[f64]> = values.chunks_exact(n).collect();
        return Ok(decompose(&rows, n, epsilon));
    }
    let mut asymmetry = 0.0;
    for i in 0..m {
        for j in 0..i {
            let (a, b) = (values[i * m + j], values[j * m + i]);
            asymmetry += (a - b).powi(2);
            let mean = 0.5 * (a + b);
            (values[i * m + j], values[j * m + i]) = (mean, mean);
        }
    }
    // The symmetric part of the error is about as large as the other one: that of `½ (G + Gᵀ)` in the Frobenius norm.
    let error = (0.5 * asymmetry).sqrt();
    let (squares, left) = symmetric_eigen(&values, m);
    let kept = squares.iter().take_while(|&&square| square > error).count();
    let sigma: Vec<f64> = squares[..kept].iter().map(|square| square.sqrt()).collect();
    let bound = sigma.iter().map(|s| error / s).collect();
    Ok(Triplets { sigma, left: left.into_iter().take(kept).collect(), bound, complete: true })
}
