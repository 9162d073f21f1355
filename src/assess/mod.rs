//! How good a model is, how sure that is, and whether it is better than no model: scores on rows that it hasn't seen, each with
//! its standard error, beside the best constant answer's.

mod classes;
mod constant;
mod control;
mod cross_validation;
mod folds;
mod rows;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use classes::{ClassScore, ClassScores};
pub(crate) use constant::{constant_loss, constant_score};
pub use control::Control;
pub(crate) use control::{beside_copies, control};
pub use cross_validation::{Candidate, CrossValidation, Tuning};
pub(crate) use cross_validation::{CrossValidated, cross_validate};
pub use folds::folds;
pub use rows::{RowScores, mean_outputs};

use crate::Result;
use crate::train::{Job, Metric, Resident};

/// Standard errors by which something has to be better to be called so: one in forty would be by chance.
pub const SURE: f64 = 2.0;
/// Outputs of a part that are judged at most.
const MOST_NUMBERS: usize = 20_000_000;
/// Fewer rows than this say nothing: the standard error over them is itself a matter of luck.
pub const FEWEST_ROWS: usize = 8;
/// Below this share of what the training rows gain over the constant answer, a model has learnt them by heart.
const KEPT: f64 = 0.5;

/// A mean over rows with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub value: f64,
    /// Standard error over the rows; 0 only where that is exact.
    pub se: f64,
}

impl Estimate {
    /// Larger than 0 beyond chance.
    pub fn is_gain(&self) -> bool {
        self.value > SURE * self.se
    }
}

/// What a model is worth on some rows, beside the best constant answer to the training rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    pub rows: usize,
    pub metric: Metric,
    /// Accuracy (balanced where classes are), or mean absolute error in the target's units.
    pub score: Estimate,
    /// That of the training rows' most frequent class, or of their median.
    pub constant: Estimate,
    /// What the model is better by, in the metric, row by row: above 0 where it is better.
    pub gain: Estimate,
    /// The same in log loss (against the classes' shares), or in squared error of the standardised target (against the mean).
    pub loss_gain: Estimate,
    /// The model's log loss (nats), or squared error of the standardised target.
    pub loss: Estimate,
    /// Numbers: 1 − squared error/variance on these rows; its standard error by the delta method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r2: Option<Estimate>,
}

impl Judgement {
    /// Whether half or more of what the training rows gain is gone.
    pub fn has_lost(&self, train: &Judgement) -> bool {
        let lost = |held: Estimate, train: Estimate| held.value < KEPT * train.value;
        lost(self.gain, train.gain) && lost(self.loss_gain, train.loss_gain)
    }
}

/// What can be said about a model as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Better than the constant answer on rows it hasn't seen.
    Supported,
    /// The same, but it has lost half or more of what it gains on its training rows.
    Overfitted,
    /// Not better than the constant answer on rows it hasn't seen, beyond chance, or there are hardly any ([`FEWEST_ROWS`]).
    Unsupported,
    /// No rows were held out.
    Unknown,
}

impl Verdict {
    /// Of a model by its gains on rows that it hasn't seen, and on its training rows.
    ///
    /// It is supported where the metric or the loss is better than the constant answer's by more than [`SURE`] standard errors:
    /// with rare classes the accuracy can't tell what the log loss does, and with outliers the squared error can't tell what
    /// the absolute one does.
    pub fn of(held_out: Option<&Judgement>, train: &Judgement) -> Verdict {
        let Some(held) = held_out else { return Verdict::Unknown };
        if held.rows < FEWEST_ROWS || !held.gain.is_gain() && !held.loss_gain.is_gain() {
            return Verdict::Unsupported;
        }
        if held.has_lost(train) { Verdict::Overfitted } else { Verdict::Supported }
    }
}

/// Everything that was measured about a trained model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    pub verdict: Verdict,
    /// `train`, `validation` or `cross-validation` (every row by the network that didn't see it), `test`; those with rows.
    pub parts: Vec<(String, Judgement)>,
    /// All rows that a network didn't see when it answered: test rows and, cross-validated, the others. What the verdict is by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<Judgement>,
    /// Class by class, on the same rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassScores>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cross_validation: Option<CrossValidation>,
    /// How relevant noise would be: measured where the penalties were cross-validated and the model is better than none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
}

impl Assessment {
    /// The judgement on a part.
    pub fn part(&self, name: &str) -> Option<&Judgement> {
        self.parts.iter().find(|(part, _)| part == name).map(|(_, judgement)| judgement)
    }
}

/// Judges a trained job on every part, and on all rows that its networks (or those of the cross-validation) haven't seen.
pub(crate) fn assess(
    job: &mut Job,
    data: &Resident,
    metric: Metric,
    targets: &[String],
    validated: Option<CrossValidated>,
) -> Result<Assessment> {
    let training = &data.list[data.train.clone()];
    // Of an autoencoder of pictures every row has hundreds of outputs: so many rows say enough.
    let most = MOST_NUMBERS / data.outputs.max(1);
    let some = |range: &Range<usize>| range.start..range.end.min(range.start + most);
    let mut parts = Vec::new();
    let mut held: Option<(Vec<u32>, Vec<f64>)> = None;
    let cross_validation = validated.map(|v| {
        held = Some((v.rows, v.outputs));
        v.report
    });
    let mut judge = |name: &str, rows: &[u32], outputs: &[f64]| {
        let judgement = RowScores::new(data, metric, training, rows, outputs).judge();
        parts.extend(judgement.map(|j| (name.to_owned(), j)));
        judgement
    };
    let shown = some(&data.train);
    let train = judge("train", &data.list[shown.clone()], &mean_outputs(job, shown)?);
    if let Some((rows, outputs)) = &held {
        judge("cross-validation", rows, outputs);
    }
    for (name, range) in [("validation", some(&data.validation)), ("test", some(&data.test))] {
        let rows = &data.list[range.clone()];
        let outputs = mean_outputs(job, range)?;
        judge(name, rows, &outputs);
        // The validation rows may have chosen when to stop: they are asked only where there is nothing better.
        if name == "test" && !rows.is_empty() {
            let (all, answers) = held.get_or_insert_default();
            all.extend(rows);
            answers.extend(outputs);
        }
    }
    if held.is_none() && !data.validation.is_empty() {
        let range = some(&data.validation);
        held = Some((data.list[range.clone()].to_vec(), mean_outputs(job, range)?));
    }
    let held_out =
        held.as_ref().and_then(|(rows, outputs)| RowScores::new(data, metric, training, rows, outputs).judge());
    let classes =
        held.filter(|_| metric.is_share()).map(|(rows, outputs)| ClassScores::new(data, targets, &rows, &outputs));
    let train = train.expect("invariant: there are training rows");
    Ok(Assessment {
        verdict: Verdict::of(held_out.as_ref(), &train),
        parts,
        held_out,
        classes,
        cross_validation,
        control: None,
    })
}
