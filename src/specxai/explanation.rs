//! What is found of an output at an input, and its sums.

use serde::Serialize;

use super::decomposition::Contribution;
use super::output::Output;
use super::settings::Form;

/// What a node's intercept q adds to the output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InterceptTerm {
    pub node: String,
    /// `β_n = (∂y/∂out_n)·q_n`.
    pub beta: f64,
}

/// One output at one input, split at one node: `y = Σα_k + remainder + bypass + Σβ_n` to within the residual.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    pub row: usize,
    pub output: Output,
    pub y: f64,
    /// Every output of the network, `[C]`.
    #[serde(skip)]
    pub outputs: Vec<f64>,
    pub split: String,
    pub is_cut: bool,
    /// How R was decomposed; never [`Form::Auto`].
    pub form: Form,
    /// Numerical rank of R: σ above `σ₀·max(m, N)·ε`; matrix-free, what was found of it.
    pub rank: usize,
    pub contributions: Vec<Contribution>,
    pub intercepts: Vec<InterceptTerm>,
    /// `(L (I − P Pᵀ) R x̃)`: what the listed components leave over.
    pub remainder: f64,
    /// What reaches the output around the split; 0 at a cut.
    pub bypass: f64,
    /// `|y − (Σα + remainder + bypass + Σβ)| / max(1, |y|)`.
    pub residual: f64,
    /// Largest difference of `ΣA_k + remainder map + bypass map` from `J ⊙ x̃`, relative to the latter's largest entry.
    pub map_residual: f64,
    /// Matrix-free: `max(‖R v − σu‖, ‖Rᵀu − σv‖)` of each component; empty when R was decomposed whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bounds: Vec<f64>,
    /// The maps A_k, each `[N]` and summing to its α; empty of the components whose maps were not kept. Kept are the first ones, or, of
    /// the thousands of a matrix-free decomposition, those of the largest |α|.
    #[serde(skip)]
    pub maps: Vec<Vec<f64>>,
    /// `J ⊙ x̃`: slope times input.
    #[serde(skip)]
    pub attribution: Vec<f64>,
    #[serde(skip)]
    pub bypass_map: Vec<f64>,
    /// Right singular vectors, unit length, of the components whose maps were kept; else empty.
    #[serde(skip)]
    pub right: Vec<Vec<f64>>,
}

impl Explanation {
    pub fn alpha_sum(&self) -> f64 {
        self.contributions.iter().map(|c| c.alpha).sum()
    }

    pub fn beta_sum(&self) -> f64 {
        self.intercepts.iter().map(|i| i.beta).sum()
    }

    /// Part of the remainder in what passes the split: its size over its own and that of Σα.
    pub fn remainder_share(&self) -> f64 {
        let (rest, sum) = (self.remainder.abs(), self.alpha_sum().abs());
        if rest + sum > 0.0 { rest / (rest + sum) } else { 0.0 }
    }

    /// Part of a component in what passes the split, as the reduction leaves it: its share among the components, of what the remainder
    /// leaves to them. `None` without a net contribution.
    pub fn share_of_split(&self, k: usize) -> Option<f64> {
        self.contributions[k].share.map(|share| share * (1.0 - self.remainder_share()))
    }

    /// Components whose maps and vectors were kept, ascending.
    pub fn mapped(&self) -> Vec<usize> {
        (0..self.maps.len()).filter(|&k| !self.maps[k].is_empty()).collect()
    }

    /// `J ⊙ x̃` minus the kept maps.
    pub fn rest_map(&self) -> Vec<f64> {
        let mut rest = self.attribution.clone();
        for map in &self.maps {
            rest.iter_mut().zip(map).for_each(|(r, a)| *r -= a);
        }
        rest
    }

    /// Places of the components in `contributions`: what the reduction left most of first, then, of what it cancelled, the largest
    /// |α|.
    pub fn by_share(&self) -> Vec<usize> {
        let size = |k: usize| (self.contributions[k].alpha_reduced.abs(), self.contributions[k].alpha.abs());
        let mut order: Vec<usize> = (0..self.contributions.len()).collect();
        order.sort_by(|&a, &b| {
            let ((reduced_a, a), (reduced_b, b)) = (size(a), size(b));
            reduced_b.total_cmp(&reduced_a).then(b.total_cmp(&a))
        });
        order
    }

    /// Places of the components in `contributions`, largest |α| first.
    pub fn by_size(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.contributions.len()).collect();
        order.sort_by(|&a, &b| self.contributions[b].alpha.abs().total_cmp(&self.contributions[a].alpha.abs()));
        order
    }
}
