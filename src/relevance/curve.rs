//! The metric against the number of inputs kept (method.md section 2, *Curves*).

use std::ops::Range;

use super::ranking::order;
use super::{Curve, CurvePoint, Metric};
use crate::data::Unit;
use crate::engine::Device;
use crate::model::Model;
use crate::random::Random;
use crate::train::{Flow, Job, Masked, Masking, Resident, Scores, Settings};
use crate::{Error, Result};

/// What replaces a masked input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskFill {
    /// Zero after scaling: the authors' protocol.
    Zero,
    /// The training mean (the same as zero for standardised inputs).
    Mean,
}

/// How a curve is made.
#[derive(Debug, Clone)]
pub struct CurveOptions {
    /// Largest k; the values are dense at first and thin out (see [`steps_of_k`]).
    pub max_k: usize,
    /// Draws of random orderings.
    pub controls: usize,
    pub fill: MaskFill,
    pub seed: u64,
    /// Also trains networks anew on the k best inputs, at some k.
    pub retrain: bool,
}

impl Default for CurveOptions {
    fn default() -> Self {
        CurveOptions { max_k: 100, controls: 5, fill: MaskFill::Zero, seed: 0, retrain: false }
    }
}

/// Every k up to 100, then some 20 more to each doubling, up to `max` (which is one of them).
pub fn steps_of_k(max: usize) -> Vec<usize> {
    let mut ks: Vec<usize> = (1..=max.min(100)).collect();
    let mut k = 100.0f64;
    while k < max as f64 {
        k *= 1.035;
        let next = (k.round() as usize).min(max);
        if ks.last() != Some(&next) {
            ks.push(next);
        }
    }
    ks
}

/// Some 8 values of k at which retraining is worth its time.
fn retrained_ks(max: usize) -> Vec<usize> {
    [1, 2, 5, 10, 14, 20, 30, 50, 100, 200, 500, 1000].into_iter().filter(|&k| k < max).chain([max]).collect()
}

/// The place of every column in an ordering of the inputs: that of its input.
fn places(inputs: &[Unit], order: &[usize]) -> Vec<u32> {
    let mut places = vec![0; inputs.iter().map(|input| input.columns.len()).sum()];
    for (place, &input) in order.iter().enumerate() {
        inputs[input].columns.iter().for_each(|&column| places[column] = place as u32);
    }
    places
}

/// The curve on the rows `range` of `data`, all values of k and all orderings in one job. Every replica uses its own
/// ranking; the points are means over replicas, the control's spread is over its draws.
///
/// # Errors
/// [`Error::Usage`] without rows or with max_k 0; the engine's own.
pub fn curve(
    model: &Model,
    data: &Resident,
    (rows, range): (&str, Range<usize>),
    options: &CurveOptions,
    device: &Device,
) -> Result<Curve> {
    if range.is_empty() {
        return Err(Error::Usage(format!("there are no {rows} rows for the curve; choose others with --rows")));
    }
    let inputs = model.inputs();
    let n = inputs.len();
    let max_k = options.max_k.min(n);
    if max_k == 0 || options.controls == 0 {
        return Err(Error::Usage("--max-k and --controls must be 1 at least".into()));
    }
    let controls: Vec<Vec<u32>> = (0..options.controls)
        .map(|draw| {
            let mut order: Vec<usize> = (0..n).collect();
            Random::new(options.seed, 0xc0 + draw as u64).shuffle(&mut order);
            places(&inputs, &order)
        })
        .collect();
    let rankings: Vec<Vec<usize>> = model.relevance().iter().map(|r| order(r)).collect();
    let masking = Masking {
        positions: rankings.iter().map(|r| [&[places(&inputs, r)], &controls[..]].concat()).collect(),
        fill: fill(model, options.fill),
        train: false,
    };
    let mut job = model.job(data, Some(&masking), device)?;
    let ks = steps_of_k(max_k);
    let orderings = controls.len() + 1;
    let masks: Vec<Masked> = ks
        .iter()
        .flat_map(|&k| (0..orderings).map(move |o| Masked { ordering: o as u32, kept: k as u32 }))
        .chain([Masked { ordering: 0, kept: n as u32 }])
        .collect();
    let scores = job.evaluate_masked(range.clone(), &masks)?;
    let mean = |scores: &Vec<Scores>| scores.iter().map(|s| s.metric).sum::<f64>() / scores.len() as f64;
    let metrics: Vec<f64> = scores.iter().map(mean).collect();
    let retrained = if options.retrain { retrain(model, data, range, &rankings[0], max_k, device)? } else { vec![] };
    let points = ks
        .iter()
        .zip(metrics.chunks_exact(orderings))
        .map(|(&k, metrics)| {
            let (ranked, random) = (metrics[0], &metrics[1..]);
            let random_mean = random.iter().sum::<f64>() / random.len() as f64;
            let variance = random.iter().map(|m| (m - random_mean).powi(2)).sum::<f64>() / random.len() as f64;
            let retrained = retrained.iter().find(|(at, _)| *at == k).map(|&(_, metric)| metric);
            CurvePoint { k, ranked, random_mean, random_std: variance.sqrt(), retrained }
        })
        .collect();
    let metric = Metric::of(model.description.task, model.description.balanced_classes);
    let mask = match options.fill {
        MaskFill::Zero => "zero",
        MaskFill::Mean => "mean",
    };
    let full = *metrics.last().expect("the full network is evaluated last");
    Ok(Curve { metric, rows: rows.to_owned(), mask: mask.to_owned(), points, full })
}

fn fill(model: &Model, fill: MaskFill) -> Vec<f64> {
    let scaling = &model.description.scaling;
    match fill {
        MaskFill::Zero => vec![0.0; scaling.mean.len()],
        MaskFill::Mean => scaling.mean.clone(),
    }
}

/// Trains a network of the same build on the k best inputs alone, for several k at once: replicas of one job, each with a
/// mask of its own, without penalties (the selection is made). Returns (k, metric on `range`).
fn retrain(
    model: &Model,
    data: &Resident,
    range: Range<usize>,
    ranking: &[usize],
    max_k: usize,
    device: &Device,
) -> Result<Vec<(usize, f64)>> {
    if data.train.is_empty() {
        return Err(Error::Usage(
            "--retrain needs the rows that the model was trained on; give the same data as to train".into(),
        ));
    }
    let ks = retrained_ks(max_k);
    let all = places(&model.inputs(), ranking);
    let place = |k: usize, p: u32| if (p as usize) < k { 0 } else { u32::MAX };
    let masking = Masking {
        positions: ks.iter().map(|&k| vec![all.iter().map(|&p| place(k, p)).collect()]).collect(),
        fill: vec![0.0; data.columns],
        train: true,
    };
    let seed = model.description.settings.replicas[0].seed;
    let mut replicas = Settings::ensemble(ks.len(), seed, 0.0, 0.0);
    replicas.iter_mut().for_each(|r| r.seed = seed);
    let settings = Settings { replicas, balanced: false, early_stop: None, ..model.description.settings.clone() };
    let mut job = Job::new(&model.network, data, &settings, Some(&masking), device)?;
    job.train(&mut |_| Flow::Continue)?;
    let masks = [Masked { ordering: 0, kept: 1 }];
    let scores = job.evaluate_masked(range, &masks)?;
    Ok(ks.into_iter().zip(scores[0].iter().map(|s| s.metric)).collect())
}
