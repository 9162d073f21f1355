//! Training: losses, the loop, its history.

mod job;
mod kept;
mod masking;
mod metric;
mod midway;
mod narrow;
mod recording;
mod resident;
mod settings;
mod start;
mod stretch;

use serde::{Deserialize, Serialize};

pub use job::Job;
pub(crate) use kept::Midway;
pub use masking::{Masked, Masking};
pub use metric::Metric;
pub(crate) use metric::check_loss;
pub(crate) use narrow::Narrow;
pub use resident::Resident;
pub use settings::{Lasso, ReplicaSettings, Schedule, Settings};
pub(crate) use settings::{MOST_BATCH, MOST_EPOCHS, MOST_REPLICAS};
pub(crate) use start::{InputRelevance, input_relevance, rebalance, unit_relevance};

/// Whether training goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Continue,
    /// Stop after the steps done so far; what is trained stays.
    Stop,
}

/// How far training has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// From 0.
    pub epoch: usize,
    pub epochs: usize,
    pub step: u64,
    pub steps: u64,
    /// Data loss, mean over the epoch so far.
    pub loss: f64,
    /// Accuracy or MAE, mean over the epoch so far.
    pub metric: f64,
    /// Set when an epoch is complete.
    pub record: Option<&'a EpochRecord>,
}

/// Scores of one replica on some rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Data loss (of standardised targets for regression).
    pub loss: f64,
    /// Accuracy, or mean absolute error in the target's units.
    pub metric: f64,
    /// Regression: mean squared error of the standardised targets.
    pub square: f64,
}

/// One epoch of training, means over the replicas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// Steps done at the end of the epoch.
    pub step: u64,
    /// Learning rate of the epoch's last step.
    pub rate: f64,
    /// Data loss, mean over the epoch's batches.
    pub train_loss: f64,
    /// Penalties on λ and ψ, mean over the epoch's batches.
    pub penalty: f64,
    /// Accuracy or MAE, mean over the epoch's batches.
    pub train_metric: f64,
    pub validation_loss: Option<f64>,
    pub validation_metric: Option<f64>,
    /// Features whose λ̃ is above the threshold.
    pub kept_features: f64,
}
