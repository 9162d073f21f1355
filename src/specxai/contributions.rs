//! Singular triplets that matter for one output, found where that output looks.

use nalgebra::DMatrix;

use super::decomposition::Triplets;
use super::form::directions;
use super::krylov::{Apply, Space, gram_product};
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
    let mut space = Space::new(m, directions(k).min(m));
    let mut random = Random::new(0, 0xc0);
    let mut pending = DMatrix::from_fn(m, block, |i, j| match j {
        0 => left[i],
        1 => rx[i],
        _ => random.normal(),
    });
    while space.used < space.capacity() {
        let fresh = space.independent(pending);
        if fresh.ncols() == 0 {
            break;
        }
        let image = gram_product(operator, &fresh, block)?;
        space.extend(&fresh, &image);
        pending = image;
    }
    let values = space.restart(space.used);
    for (j, &value) in values.iter().enumerate() {
        let off = space.residual(j, value).norm();
        if value > 0.0 && off <= RESOLVED * value {
            triplets.sigma.push(value.sqrt());
            triplets.left.push(space.basis.column(j).iter().copied().collect());
            triplets.bound.push(off / value.sqrt());
        }
    }
    Ok(triplets)
}
