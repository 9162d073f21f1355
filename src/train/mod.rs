//! Training: losses, the loop, its history.

use serde::{Deserialize, Serialize};

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
