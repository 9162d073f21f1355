//! What a decomposition has found at one input, as an explanation is made of it and as it is kept.

use super::decomposition::{Triplets, dot};

/// Products with one sample's R.
pub(super) struct Images {
    /// `Rᵀ P_k`, each `[N]`, empty for components whose maps are not kept.
    pub(super) components: Vec<Vec<f64>>,
    /// `Rᵀ Σ_k ψ_k P_k` over all components.
    pub(super) explained: Vec<f64>,
    /// `Rᵀ (L − Σ_k ψ_k P_k)`.
    pub(super) remainder: Vec<f64>,
}

/// All that is needed of the triplets: not their thousands of vectors, but the products with them.
pub(super) struct Found {
    pub(super) sigma: Vec<f64>,
    pub(super) bound: Vec<f64>,
    /// `(L P)_k`.
    pub(super) psi: Vec<f64>,
    /// `P_k·(R x̃)`, of whatever sign.
    pub(super) c: Vec<f64>,
    pub(super) images: Images,
}

impl Found {
    pub(super) fn new(triplets: Triplets, psi: Vec<f64>, rx: &[f64], images: Images) -> Self {
        let c = triplets.left.iter().map(|p| dot(p, rx)).collect();
        Found { sigma: triplets.sigma, bound: triplets.bound, psi, c, images }
    }

    /// As numbers in a row: how many components, how many in the list of images and how many there with one; four numbers of each; explained and remainder; of
    /// those with images place and image.
    pub(super) fn row(&self) -> Vec<f64> {
        let Images { components, explained, remainder } = &self.images;
        let mapped = || components.iter().enumerate().filter(|(_, image)| !image.is_empty());
        let mut row = vec![self.sigma.len() as f64, components.len() as f64, mapped().count() as f64];
        [&self.sigma, &self.bound, &self.psi, &self.c, explained, remainder].iter().for_each(|part| row.extend(*part));
        mapped().for_each(|(k, image)| {
            row.push(k as f64);
            row.extend(image);
        });
        row
    }

    /// What [`Found::row`] wrote, of `n` inputs; `None` where the row is of another length than it says.
    pub(super) fn read(row: &[f64], n: usize) -> Option<Self> {
        let (sizes, mut rest) = row.split_first_chunk::<3>()?;
        let [count, listed, mapped] = sizes.map(|size| size as usize);
        let length = count.checked_mul(4)?.checked_add(mapped.checked_mul(n.checked_add(1)?)?)?.checked_add(2 * n)?;
        if rest.len() != length {
            return None;
        }
        let mut next = |len: usize| {
            let (part, after) = rest.split_at(len);
            rest = after;
            part.to_vec()
        };
        let [sigma, bound, psi, c] = std::array::from_fn(|_| next(count));
        let [explained, remainder] = std::array::from_fn(|_| next(n));
        let mut components = vec![Vec::new(); listed.min(count)];
        for _ in 0..mapped {
            let k = next(1)[0] as usize;
            *components.get_mut(k)? = next(n);
        }
        Some(Found { sigma, bound, psi, c, images: Images { components, explained, remainder } })
    }
}
