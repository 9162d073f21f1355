//! The largest singular triplets of an operator that is only applied: block Lanczos on the small side, thickly restarted.

use nalgebra::DMatrix;

use super::decomposition::{Triplets, dot};
use super::krylov::{Apply, Space};
use crate::Result;
use crate::random::Random;

/// Blocks that are tried before the bounds stay as they are.
const ROUNDS: usize = 400;

/// Half the directions beyond the first k before a restart, at least and, where vectors are short, at most: the later it comes, the fewer
/// products there are, and the more memory it takes.
const DIRECTIONS: [usize; 2] = [8, 40];
/// Bounds this much larger than the tolerance are not what the iteration took them for; the rounding of a product in single precision that
/// measures them is less.
const BELIEVED: f64 = 10.0;
/// Elements of all these directions that may be held for it.
const HELD: usize = 1 << 22;

/// The `k` largest triplets, of which P, σ and `RᵀP` are kept; `tolerance`: relative to σ₀, at which a triplet's bound counts as
/// met; `floor`: σ below `floor·σ₀` are beyond the rank and left out.
///
/// Block Lanczos iteration with `R Rᵀ` on vectors of length m with full reorthogonalisation, restarted with its best Ritz vectors. Only a
/// basis of length-m vectors and one block of length-N vectors are held. At the end `v = Rᵀu/σ`, so that `Rᵀu = σv` to rounding, and the
/// bound `‖R v − σu‖` is measured.
///
/// # Errors
/// Those of the operator's products.
pub fn top_triplets(operator: &mut dyn Apply, k: usize, tolerance: f64, floor: f64) -> Result<Triplets> {
    let (m, n) = operator.shape();
    let (k, block) = (k.min(m).min(n), operator.block().min(m));
    if k == 0 {
        return Ok(Triplets { sigma: vec![], left: vec![], bound: vec![], images: vec![], complete: true });
    }
    let directions = (HELD / m).clamp(DIRECTIONS[0], DIRECTIONS[1]);
    let mut random = Random::new(0, 0x5eed);
    let mut start = || DMatrix::from_fn(m, block, |_, _| random.normal());
    let mut space = Space::new(start(), (2 * k + 2 * block.max(directions)).min(m));
    let (mut round, mut doubted) = (0, false);
    loop {
        round += 1;
        let mut exhausted = !space.grow(operator, block)?;
        if exhausted && !space.is_whole() {
            // The space is invariant: a random direction finds what may lie outside of it.
            space.turn_to(start());
            exhausted = !space.grow(operator, block)?;
        }
        let last = exhausted || space.is_whole() || round == ROUNDS;
        if space.used < 2 * k && !last {
            continue;
        }
        let ritz = space.ritz();
        let largest = ritz.values.first().map_or(0.0, |value| value.sqrt());
        let mut pairs = ritz.values.iter().zip(&ritz.residuals).take(k);
        let met = pairs.all(|(value, residual)| *residual <= tolerance * value.sqrt() * largest);
        if met || last {
            let vectors = space.vectors(&ritz, &(0..k.min(space.used)).collect::<Vec<_>>());
            let triplets = measure(operator, &vectors, block)?;
            let believed = triplets.bound.iter().all(|bound| *bound <= BELIEVED * tolerance * largest);
            if believed || doubted || last {
                return Ok(above(triplets, floor, k));
            }
            doubted = true;
        }
        if space.is_full(block) {
            space.restart(&ritz, k + block);
        }
    }
}

/// Those with σ above `floor·σ₀`.
fn above(mut triplets: Triplets, floor: f64, k: usize) -> Triplets {
    let least = floor * triplets.sigma.first().copied().unwrap_or(0.0);
    let kept = triplets.sigma.iter().take_while(|&&s| s > least).count();
    triplets.complete = kept < k;
    triplets.sigma.truncate(kept);
    triplets.left.truncate(kept);
    triplets.bound.truncate(kept);
    triplets.images.truncate(kept);
    triplets
}

/// σ, images and bounds of unit vectors, a block at a time.
fn measure(operator: &mut dyn Apply, vectors: &[f64], block: usize) -> Result<Triplets> {
    let (m, n) = operator.shape();
    let mut all: Vec<(f64, Vec<f64>, f64, Vec<f64>)> = Vec::new();
    for some in vectors.chunks(block * m) {
        let count = some.len() / m;
        let mut padded = some.to_vec();
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
