//! What a training is judged by.

use serde::{Deserialize, Serialize};

use crate::data::Task;
use crate::kernels::LossKind;
use crate::{Error, Result};

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

/// Refuses a loss that doesn't fit the target.
pub(crate) fn check_loss(loss: LossKind, task: Task) -> Result<()> {
    if (task == Task::Classify) == (loss == LossKind::Ce) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "--loss {} doesn't fit a {} target; use ce for classes and mae, mse or huber for numbers",
        loss.name(),
        if task == Task::Classify { "class" } else { "numeric" },
    )))
}
