//! Which inputs count: the ranking by λ̃ and the curves that prove it.

mod curve;
mod ranking;

use serde::{Deserialize, Serialize};

use crate::data::Task;

pub use curve::{CurveOptions, MaskFill, curve, steps_of_k};
pub use ranking::order;

/// One input feature in the ranking (`method.md` section 1, *Relevance*). Over R replicas: means and a standard deviation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedFeature {
    /// 1 is the most relevant.
    pub rank: usize,
    /// Column of the data set, from 0.
    pub feature: usize,
    pub name: String,
    /// Mean over replicas of λ_in.
    pub lambda: f64,
    /// Mean over replicas of `‖ψ[:,i]‖₂`.
    pub psi_norm: f64,
    /// Mean over replicas of `|λ̃_i| = |λ_in[i]|·‖ψ[:,i]‖₂`.
    pub relevance: f64,
    /// Standard deviation over replicas (0 for a single one).
    pub relevance_std: f64,
    /// `relevance` times the standard deviation of the input as it enters the network, over the training rows: comparable
    /// between inputs of different spread. With standardised inputs it is `relevance` itself (0 for a constant one).
    pub relevance_times_std: f64,
}

/// The number that a curve or a history shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of right answers, 0..1: more is better.
    Accuracy,
    /// Mean over the classes of each one's share of right answers, 0..1: more is better.
    BalancedAccuracy,
    /// Mean absolute error in the target's units: less is better.
    Mae,
}

impl Metric {
    /// What a training for this task is judged by; `balanced`: its classes count the same.
    pub fn of(task: Task, balanced: bool) -> Metric {
        match task {
            Task::Classify if balanced => Metric::BalancedAccuracy,
            Task::Classify => Metric::Accuracy,
            Task::Regress | Task::Autoencode => Metric::Mae,
        }
    }

    /// A share of right answers, of which more is better; else an error, of which less is.
    pub fn is_share(self) -> bool {
        self != Metric::Mae
    }

    /// `accuracy`, `balanced accuracy` or `MAE`.
    pub fn short_name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::BalancedAccuracy => "balanced accuracy",
            Metric::Mae => "MAE",
        }
    }
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
