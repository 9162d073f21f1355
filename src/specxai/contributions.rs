//! Singular triplets that matter for one output, found where that output looks.

use nalgebra::DMatrix;

use super::decomposition::Triplets;
use super::form::directions;
use super::krylov::{Apply, Space};
use crate::Result;
use crate::random::Random;

/// Residual of a Ritz vector, `‖R Rᵀu − θu‖ / θ`, up to which it is taken for a singular vector.
const RESOLVED: f64 = 1e-3;

/// The triplets that a Krylov space of `R Rᵀ` resolves whose first block holds `left` (`L_jᵀ`) and `rx` (`R x̃`): with those two in it
/// nothing of the output lies outside of the space, and what belongs to none of the resolved triplets is one remainder (method.md, "The
/// largest contributions"). An unresolved Ritz vector is no singular vector and is not listed.
///
/// # Errors
/// Those of the operator's products.
pub(super) fn contributions(operator: &mut dyn Apply, left: &[f64], rx: &[f64], k: usize) -> Result<Triplets> {
    let ((m, _), block) = (operator.shape(), operator.block().min(operator.shape().0));
    let mut triplets = Triplets { sigma: vec![], left: vec![], bound: vec![], images: vec![], complete: false };
    if m == 0 {
        return Ok(triplets);
    }
    let mut random = Random::new(0, 0xc0);
    let start = DMatrix::from_fn(m, block, |i, j| match j {
        0 => left[i],
        1 => rx[i],
        _ => random.normal(),
    });
    let mut space = Space::new(start, directions(k).next_multiple_of(block).min(m));
    while !space.is_full(block) && space.grow(operator, block)? {}
    let ritz = space.ritz();
    let resolved = |&j: &usize| ritz.values[j] > 0.0 && ritz.residuals[j] <= RESOLVED * ritz.values[j];
    let resolved: Vec<usize> = (0..space.used).filter(resolved).collect();
    triplets.left = space.vectors(&ritz, &resolved).chunks_exact(m).map(<[f64]>::to_vec).collect();
    triplets.sigma = resolved.iter().map(|&j| ritz.values[j].sqrt()).collect();
    triplets.bound = resolved.iter().map(|&j| ritz.residuals[j] / ritz.values[j].sqrt()).collect();
    Ok(triplets)
}
