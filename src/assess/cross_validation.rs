//! Penalties chosen by rows that are held out in turn: folds times penalties are the replicas of one training job.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::Estimate;
use super::folds::folds;
use super::rows::RowScores;
use crate::engine::Device;
use crate::network::Network;
use crate::train::{Flow, Job, Metric, Progress, ReplicaSettings, Resident, Settings};
use crate::{Error, Result};

/// What is tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    pub folds: usize,
    /// `(r_λ, r_ψ)`, weakest first.
    pub penalties: Vec<(f64, f64)>,
}

impl Default for Tuning {
    /// Five folds; r_λ from 0.01 to 10 in half decades, r_ψ a hundredth of it: from a network that is hardly held back to one
    /// that answers the same for all rows.
    fn default() -> Self {
        let strengths = [1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0];
        Tuning { folds: 5, penalties: strengths.map(|r| (r, r / 100.0)).to_vec() }
    }
}

impl Tuning {
    /// About how many floating-point operations it takes to tune a network of so many weights: 6 a weight and row, for every network.
    pub fn operations(&self, weights: usize, rows: usize, epochs: usize) -> f64 {
        6.0 * weights as f64 * rows as f64 * epochs as f64 * (self.folds * self.penalties.len()) as f64
    }
}

/// One pair of penalties.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub reg_lambda: f64,
    pub reg_psi: f64,
    /// On the rows held out: log loss, or squared error of the standardised target.
    pub loss: Estimate,
    /// On the rows held out, in the metric.
    pub score: Estimate,
}

/// What was tried and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrossValidation {
    pub folds: usize,
    /// In the order of [`Tuning::penalties`].
    pub candidates: Vec<Candidate>,
    /// The one with the smallest loss on the rows held out.
    pub best: usize,
    /// The strongest that is not worse than that by more than one standard error of the difference, row by row: of two that answer alike
    /// the one that uses less.
    pub chosen: usize,
}

/// A cross-validation with the chosen candidate's answers to the rows held out.
pub(crate) struct CrossValidated {
    pub report: CrossValidation,
    /// Every training row, each answered by the network that didn't see it, and those answers `[rows, outputs]`. (Where the rows
    /// don't divide by the folds, a few rows are held out twice; the first answer counts.)
    pub rows: Vec<u32>,
    pub outputs: Vec<f64>,
}

/// Trains a network for each fold and each pair of penalties, all at once, on the training rows of `data`, which has no validation
/// rows. `None`: stopped by `observe`.
pub(crate) fn cross_validate(
    network: &Network,
    data: &Resident,
    settings: &Settings,
    tuning: &Tuning,
    metric: Metric,
    device: &Device,
    observe: &mut dyn FnMut(&Progress<'_>) -> Flow,
) -> Result<Option<CrossValidated>> {
    if tuning.penalties.is_empty() || tuning.folds < 2 {
        return Err(Error::Usage(format!(
            "a cross-validation needs 2 folds and one penalty at least; there are {} and {}",
            tuning.folds,
            tuning.penalties.len()
        )));
    }
    let training = &data.list[data.train.clone()];
    if training.len() < 2 {
        return Err(Error::Usage(
            "a cross-validation needs 2 training rows at least; give more data, or --folds 0".into(),
        ));
    }
    let seed = settings.replicas[0].seed;
    let class = |row: u32| if metric.is_share() { data.targets[row as usize] } else { 0 };
    let parts = folds(training, &class, tuning.folds, seed);
    let held = parts[0].1.len();
    let of_fold = |(train, held): &(Vec<u32>, Vec<u32>)| [&train[..], held].concat();
    let lists: Vec<Vec<u32>> = tuning.penalties.iter().flat_map(|_| parts.iter().map(of_fold)).collect();
    let rows = training.len();
    let folded = Resident {
        list: lists[0].clone(),
        lists,
        train: 0..rows - held,
        validation: rows - held..rows,
        test: rows..rows,
        ..data.clone()
    };
    // The folds of one penalty start alike, and so do a fold's penalties: what differs is what is compared.
    let replica = |&(reg_lambda, reg_psi): &(f64, f64)| ReplicaSettings { reg_lambda, reg_psi, ..settings.replicas[0] };
    let replicas = tuning.penalties.iter().flat_map(|p| parts.iter().map(move |_| replica(p))).collect();
    let mut job = Job::new(network, &folded, &Settings { replicas, ..settings.clone() }, None, device)?;
    job.train(observe)?;
    if job.stopped() {
        return Ok(None);
    }
    let mut answers = Vec::new();
    for penalty in 0..tuning.penalties.len() {
        let (mut rows, mut outputs, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for (fold, (_, held)) in parts.iter().enumerate() {
            let found = job.predict(penalty * parts.len() + fold, folded.validation.clone())?;
            for (row, output) in held.iter().zip(found.chunks_exact(data.outputs)) {
                if seen.insert(*row) {
                    rows.push(*row);
                    outputs.extend(output);
                }
            }
        }
        answers.push((rows, outputs));
    }
    let scores: Vec<RowScores> =
        answers.iter().map(|(rows, outputs)| RowScores::new(data, metric, training, rows, outputs)).collect();
    let candidates: Vec<Candidate> = tuning
        .penalties
        .iter()
        .zip(&scores)
        .map(|(&(reg_lambda, reg_psi), scores)| {
            let judged = scores.judge().expect("invariant: there are rows");
            Candidate { reg_lambda, reg_psi, loss: judged.loss, score: judged.score }
        })
        .collect();
    let better = |best: usize, p: usize| if candidates[p].loss.value <= candidates[best].loss.value { p } else { best };
    let best = (0..candidates.len()).fold(0, better);
    let as_good = |&p: &usize| {
        let worse = scores[p].loss_beyond(&scores[best]);
        worse.value <= worse.se
    };
    let chosen = (best..candidates.len()).rev().find(as_good).unwrap_or(best);
    let (rows, outputs) = answers.swap_remove(chosen);
    let report = CrossValidation { folds: parts.len(), candidates, best, chosen };
    Ok(Some(CrossValidated { report, rows, outputs }))
}
