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
pub(crate) use control::{Beside, control};
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
    /// Numbers: 1 − squared error/variance on these rows; its standard error by the delta method. Undefined where the target is the same
    /// in all of them.
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
    /// the absolute one does. Or where R² is above 0 by as much: of a target with a long tail both errors are as uncertain as the
    /// tail's few rows, but not their share of the target's own spread.
    pub fn of(held_out: Option<&Judgement>, train: &Judgement) -> Verdict {
        let Some(held) = held_out else { return Verdict::Unknown };
        let gains = [Some(held.gain), Some(held.loss_gain), held.r2];
        if held.rows < FEWEST_ROWS || !gains.iter().flatten().any(Estimate::is_gain) {
            return Verdict::Unsupported;
        }
        if held.has_lost(train) { Verdict::Overfitted } else { Verdict::Supported }
    }
}

/// How much of one of several numbers a model explains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetScore {
    pub name: String,
    /// Undefined where it is the same in all rows.
    pub r2: Option<Estimate>,
}

impl TargetScore {
    /// Whether the model explains any of it, beyond chance.
    pub fn is_explained(&self) -> bool {
        self.r2.is_some_and(|r2| r2.is_gain())
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
    /// R² of each target on those rows, of several numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_target: Vec<TargetScore>,
    /// Rows of the data that stand there more than once, with all inputs and targets: a network may have seen what it is asked.
    #[serde(default)]
    pub repeated: usize,
    /// Whether the training rows' targets have a long tail: a skewness beyond 2, which an exponential distribution has.
    #[serde(default)]
    pub long_tail: bool,
    /// How relevant noise would be: measured where the penalties were cross-validated and the model is better than none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
}

impl Assessment {
    /// Those of several targets that aren't explained beyond chance.
    pub(crate) fn unsupported_targets(&self) -> Vec<String> {
        self.by_target.iter().filter(|target| !target.is_explained()).map(|target| target.name.clone()).collect()
    }

    /// The judgement on a part.
    pub fn part(&self, name: &str) -> Option<&Judgement> {
        self.parts.iter().find(|(part, _)| part == name).map(|(_, judgement)| judgement)
    }
}

/// Targets that are judged one by one at most: an autoencoder has hundreds.
const MOST_TARGETS: usize = 50;
/// That of an exponential distribution is 2.
const LONG_TAIL: f64 = 2.0;

/// Skewness of the training rows' targets.
fn skewness(data: &Resident) -> f64 {
    let values = || data.list[data.train.clone()].iter().map(|&r| f64::from(f32::from_bits(data.targets[r as usize])));
    let n = values().count() as f64;
    let mean = values().sum::<f64>() / n;
    let moment = |k: i32| values().map(|y| (y - mean).powi(k)).sum::<f64>() / n;
    moment(3) / moment(2).powf(1.5)
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
    let scores = held.as_ref().map(|(rows, outputs)| RowScores::new(data, metric, training, rows, outputs));
    let held_out = scores.as_ref().and_then(RowScores::judge);
    let several = !metric.is_share() && (2..=MOST_TARGETS).contains(&targets.len());
    let by_target = scores.filter(|_| several).map_or_else(Vec::new, |scores| scores.r2_by_output());
    let by_target = targets.iter().zip(by_target).map(|(name, r2)| TargetScore { name: name.clone(), r2 }).collect();
    let classes =
        held.filter(|_| metric.is_share()).map(|(rows, outputs)| ClassScores::new(data, targets, &rows, &outputs));
    let train = train.expect("invariant: there are training rows");
    Ok(Assessment {
        verdict: Verdict::of(held_out.as_ref(), &train),
        parts,
        held_out,
        classes,
        cross_validation,
        by_target,
        repeated: 0,
        long_tail: !metric.is_share() && targets.len() == 1 && skewness(data) > LONG_TAIL,
        control: None,
    })
}
