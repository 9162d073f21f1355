//! Which inputs count: the ranking by λ̃ and the curves that prove it.

mod curve;
mod ranking;

use serde::{Deserialize, Serialize};

pub use curve::{CurveOptions, MaskFill, curve, steps_of_k};
pub use ranking::order;

use crate::train::Metric;

/// One input in the ranking (`method.md` section 1, *Relevance*): a column, or a channel where the first layer is a
/// convolution. Over R replicas: means and a standard deviation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedFeature {
    /// 1 is the most relevant.
    pub rank: usize,
    /// Column of the data set, or channel, from 0.
    pub feature: usize,
    pub name: String,
    /// Mean over replicas of λ_in.
    pub lambda: f64,
    /// Mean over replicas of `‖ψ[:,i]‖₂`.
    pub psi_norm: f64,
    /// Mean over replicas of `|λ̃_i| = |λ_in[i]|·‖ψ[:,i]‖₂`; 0 for an input that is constant on the training rows.
    pub relevance: f64,
    /// Standard deviation over replicas (0 for a single one).
    pub relevance_std: f64,
    /// `relevance` times the standard deviation of the input as it enters the network, over the training rows: comparable
    /// between inputs of different spread. With standardised inputs it is `relevance` itself (0 for a constant one).
    pub relevance_times_std: f64,
}

/// The metric when only the k best-ranked inputs are kept, beside k random ones (`method.md` section 2, *Curves*).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    pub metric: Metric,
    /// Which rows were used: `test`, `validation` or `train`.
    pub rows: String,
    /// `zero` or `mean`: what replaces a masked input.
    pub mask: String,
    pub points: Vec<CurvePoint>,
    /// The metric with every input.
    pub full: f64,
}

impl Curve {
    /// The fewest inputs from which on the ranked curve stays within `se`, one standard error, of all inputs; `None` where it
    /// ends before.
    pub fn enough(&self, se: f64) -> Option<&CurvePoint> {
        let worse = |p: &CurvePoint| if self.metric.is_share() { self.full - p.ranked } else { p.ranked - self.full };
        let from = self.points.iter().rposition(|p| p.k > 0 && worse(p) > se).map_or(0, |last| last + 1);
        self.points[from..].iter().find(|p| p.k > 0)
    }
}

/// One k of a [`Curve`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    pub k: usize,
    pub ranked: f64,
    pub random_mean: f64,
    pub random_std: f64,
    /// A network of the same build, trained anew on the k best inputs alone.
    pub retrained: Option<f64>,
}
