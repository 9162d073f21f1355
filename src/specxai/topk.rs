//! The largest singular triplets of an operator that is only applied: block Lanczos on the small side, thickly restarted.

use nalgebra::DMatrix;

use super::decomposition::{Triplets, dot};
use super::krylov::{Apply, Space, gram_product};
use crate::Result;
use crate::random::Random;

/// Blocks that are tried before the bounds stay as they are.
const ROUNDS: usize = 400;

/// Half the directions beyond the first k before a restart, at least and, where vectors are short, at most: the later it comes, the fewer
/// products there are, and the more memory it takes.
const DIRECTIONS: [usize; 2] = [8, 24];
/// Vectors between two looks at the residuals, each of which takes about as long as one of them.
const LOOK: usize = 8;
/// Elements of all these directions that may be held for it.
const HELD: usize = 1 << 22;

/// The `k` largest triplets, of which P, σ and `RᵀP` are kept; `tolerance`: relative to σ₀, at which a triplet's bound counts as
/// met; `floor`: σ below `floor·σ₀` are beyond the rank and left out.
///
/// Block Lanczos iteration with `R Rᵀ` on vectors of length m with full reorthogonalisation (Golub & Underwood 1977), whose
/// basis is restarted with its best Ritz vectors (Wu & Simon 2000). Only two bases of length-m vectors and one block of
/// length-N vectors are held. At the end `v = Rᵀu/σ`, so that `Rᵀu = σv` to rounding, and the bound `‖R v − σu‖` is measured.
///
/// # Errors
/// Those of the operator's products.
pub fn top_triplets(operator: &mut dyn Apply, k: usize, tolerance: f64, floor: f64) -> Result<Triplets> {
    let (m, n) = operator.shape();
    let (k, block) = (k.min(m).min(n), operator.block().min(m));
    let directions = (HELD / m.max(1)).clamp(DIRECTIONS[0], DIRECTIONS[1]);
    let mut space = Space::new(m, (2 * k + 2 * block.max(directions)).min(m));
    let mut random = Random::new(0, 0x5eed);
    let mut pending = DMatrix::from_fn(m, block, |_, _| random.normal());
    let met = |found: &[(f64, f64)]| {
        let largest = found.first().map_or(0.0, |found| found.0);
        found.iter().take(k).all(|(value, residual)| *residual <= tolerance * value.sqrt() * largest.sqrt())
    };
    let mut looked = 0;
    for _ in 0..ROUNDS {
        let mut fresh = space.independent(pending);
        if fresh.ncols() == 0 {
            // The space is invariant: a random direction finds what may lie outside of it.
            fresh = space.independent(DMatrix::from_fn(m, block, |_, _| random.normal()));
        }
        let exhausted = fresh.ncols() == 0;
        if !exhausted {
            let image = gram_product(operator, &fresh, block)?;
            space.extend(&fresh, &image);
            pending = image;
        } else {
            pending = DMatrix::zeros(m, 0);
        }
        if exhausted || space.used == space.capacity() {
            // The residuals of all Ritz vectors lie in what the last images add; those of converged ones are rounding, no direction.
            let next = space.beyond(pending, block);
            let values = space.restart((k + block).min(space.used));
            let found = values.iter().enumerate().map(|(j, &value)| (value, space.residual(j, value).norm()));
            looked = space.used;
            let met = met(&found.collect::<Vec<_>>());
            if met || exhausted || space.used == m {
                break;
            }
            pending = next;
        } else if space.used >= 2 * k && space.used >= looked + LOOK {
            looked = space.used;
            if met(&space.residuals(k)) {
                break;
            }
        }
    }
    space.restart(k.min(space.used));
    let mut triplets = measure(operator, &space, block, n)?;
    let least = floor * triplets.sigma.first().copied().unwrap_or(0.0);
    let kept = triplets.sigma.iter().take_while(|&&s| s > least).count();
    triplets.complete = kept < k;
    triplets.sigma.truncate(kept);
    triplets.left.truncate(kept);
    triplets.bound.truncate(kept);
    triplets.images.truncate(kept);
    Ok(triplets)
}

/// σ, images and bounds of the basis's vectors, a block at a time.
fn measure(operator: &mut dyn Apply, space: &Space, block: usize, n: usize) -> Result<Triplets> {
    let m = space.basis.nrows();
    let mut all: Vec<(f64, Vec<f64>, f64, Vec<f64>)> = Vec::new();
    for first in (0..space.used).step_by(block) {
        let count = block.min(space.used - first);
        let left = space.basis.columns(first, count);
        let mut padded: Vec<f64> = left.iter().copied().collect();
        padded.resize(block * m, 0.0);
        let mut v = operator.apply_transpose(&padded)?;
        let images: Vec<Vec<f64>> = v.chunks_exact(n).take(count).map(<[f64]>::to_vec).collect();
        let mut sigma = Vec::new();
        for row in v.chunks_exact_mut(n).take(count) {
            let size = dot(row, row).sqrt();
            row.iter_mut().for_each(|x| *x = if size > 0.0 { *x / size } else { 0.0 });
            sigma.push(size);
        }
        let back = operator.apply(&v)?;
        for (j, (s, image)) in sigma.into_iter().zip(images).enumerate() {
            let u = &padded[j * m..][..m];
            let off: f64 = back[j * m..][..m].iter().zip(u).map(|(x, u)| (x - s * u).powi(2)).sum();
            all.push((s, u.to_vec(), off.sqrt(), image));
        }
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut triplets = Triplets { sigma: vec![], left: vec![], bound: vec![], images: vec![], complete: false };
    for (sigma, left, bound, image) in all {
        triplets.sigma.push(sigma);
        triplets.left.push(left);
        triplets.bound.push(bound);
        triplets.images.push(image);
    }
    Ok(triplets)
}
