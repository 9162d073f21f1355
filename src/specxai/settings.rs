//! What an explanation is asked for.

use serde::{Deserialize, Serialize};

use super::output::Output;
use super::surgery::Reduction;
use crate::network::NodeId;
use crate::network::local::SlopeForm;
use crate::run::Keep;

/// How R is decomposed where it is too large for one product with all its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The first of these that fits time and memory: complete, class-rows, contributions.
    #[default]
    Auto,
    /// Every singular triplet of the rows that are on (those of R that are not zero), from `R Rᵀ`.
    Complete,
    /// Every singular triplet of the rows that the explained output reads, which are few where a class has a map of its own: another
    /// decomposition than that of the whole R, with the same sum.
    ClassRows,
    /// Triplets found in a Krylov space that starts with the output's own direction `L_jᵀ` and with `R x̃`; what is not resolved is left to
    /// the remainder.
    Contributions,
    /// The largest singular values, whatever they contribute; the others are the remainder.
    Top,
}

/// How to explain.
#[derive(Debug, Clone)]
pub struct ExplainSettings {
    /// Nodes to split at.
    pub splits: Vec<NodeId>,
    pub output: Output,
    /// Maps kept of each split; also the triplets of a matrix-free decomposition.
    pub components: usize,
    /// Components of the largest σ whose maps are kept besides, of a decomposition that keeps those of the largest |α|.
    pub leading: usize,
    pub reduction: Reduction,
    pub slopes: SlopeForm,
    /// How a split is decomposed whose R is too large for one product.
    pub form: Form,
    /// Bytes that the decomposition of one sample's R may take.
    pub memory: usize,
    /// Seconds that the decomposition of one sample at one split may take, by estimate; [`Form::Auto`] chooses by it.
    pub budget: f64,
    /// Where what is found is kept, to be gone on with.
    pub keep: Keep,
}

impl ExplainSettings {
    /// The defaults at the given splits: the predicted output, 16 components, cancellation, tangents, up to 1 GiB and three minutes.
    pub fn at(splits: &[NodeId]) -> Self {
        ExplainSettings {
            splits: splits.to_vec(),
            output: Output::Predicted,
            components: 16,
            leading: 0,
            reduction: Reduction::Cancel,
            slopes: SlopeForm::Tangent,
            form: Form::Auto,
            memory: 1 << 30,
            budget: 180.0,
            keep: Keep::default(),
        }
    }
}
