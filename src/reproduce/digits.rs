//! Handwritten digits (Chicchi et al., section 3.3; figures 5 to 9, and 12): the few pixels that tell digits apart.

use std::collections::BTreeMap;

use serde::Serialize;

use super::feature_sets::Variant;
use super::measures::{Check, Spread};
use crate::data::{self, Axis, Dataset, Request, Targets};
use crate::engine::Device;
use crate::host::argmax;
use crate::model::{Fit, PartScore, Plan};
use crate::network::{Place, Sequential};
use crate::relevance::{Curve, CurveOptions, RankedFeature, curve, order, steps_of_k};
use crate::run::Keep;
use crate::train::{EpochRecord, Flow, Job, Masked, Masking, Progress, Resident, Settings};
use crate::{Error, Result};

/// Bins of the distribution of λ̃ / max λ̃ over 0 … 1.
const BINS: usize = 40;
/// k at which the spread over single networks is told, beside the paper's own k and all.
const SINGLE_KS: [usize; 8] = [5, 10, 20, 30, 50, 100, 200, 400];
/// Digits shown: rounds through the classes, up to so many.
const SAMPLES: usize = 10;
/// Figure 12: passes over the training digits and r_λ, r_ψ. The paper says "smaller" and gives no numbers.
const SHORTER: (usize, f64, f64) = (5, 1e-3, 1e-5);
/// A pixel is lit from this share of white on.
const LIT: f64 = 0.25;

/// Which digits are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Digits {
    #[serde(rename = "mnist-01")]
    ZeroOne,
    #[serde(rename = "mnist-59")]
    FiveNine,
    #[serde(rename = "mnist")]
    All,
}

impl Digits {
    pub fn name(self) -> &'static str {
        match self {
            Digits::ZeroOne => "mnist-01",
            Digits::FiveNine => "mnist-59",
            Digits::All => "mnist",
        }
    }

    fn classes(self) -> Option<Vec<String>> {
        let named = |names: [&str; 2]| Some(names.map(str::to_owned).to_vec());
        match self {
            Digits::ZeroOne => named(["0", "1"]),
            Digits::FiveNine => named(["5", "9"]),
            Digits::All => None,
        }
    }

    /// The number of best pixels that the paper tells the accuracy of. For all ten digits it names none: with 20 the masked
    /// network is hardly better than chance, 100 show what the ranking is worth.
    pub fn best(self) -> usize {
        match self {
            Digits::ZeroOne => 20,
            Digits::FiveNine => 14,
            Digits::All => 100,
        }
    }
}

/// Size of the experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DigitsSettings {
    pub digits: Digits,
    pub variant: Variant,
    /// `idx:DIRECTORY` with the four MNIST files.
    pub data: String,
    /// Networks, all in one job.
    pub replicas: usize,
    pub epochs: usize,
    /// Random orderings of the pixels to compare with.
    pub controls: usize,
    /// Of split, first network and random orderings.
    pub seed: u64,
    /// Where trainings are kept, to be gone on with.
    #[serde(skip)]
    pub keep: Keep,
}

impl DigitsSettings {
    /// Sizes that take a minute or two on two cores.
    pub fn new(digits: Digits, variant: Variant, data: impl Into<String>) -> Self {
        let (replicas, epochs, controls) = if digits == Digits::All { (3, 60, 3) } else { (5, 200, 5) };
        DigitsSettings {
            digits,
            variant,
            data: data.into(),
            replicas,
            epochs,
            controls,
            seed: 0,
            keep: Keep::default(),
        }
    }

    /// Reads the digits.
    ///
    /// # Errors
    /// The reader's.
    pub fn load(&self) -> Result<Dataset> {
        data::load(&Request { classes: self.digits.classes(), ..Request::new(self.data.as_str()) })
    }

    pub fn plan(&self) -> Plan {
        let batch_norm = if self.variant == Variant::Notebook { Place::First } else { Place::None };
        Plan {
            architecture: Sequential { batch_norm, ..Sequential::default() },
            settings: Settings {
                epochs: self.epochs,
                replicas: Settings::ensemble(self.replicas, self.seed, 1e-2, 1e-4),
                keep: self.keep.clone(),
                ..Settings::default()
            },
            split_seed: self.seed,
            ..Plan::default()
        }
    }

    /// Refuses sizes that make no sense, before anything is made.
    ///
    /// # Errors
    /// [`Error::Usage`] with the option's name.
    pub fn check(&self) -> Result<()> {
        if self.controls == 0 {
            return Err(Error::Usage("--controls is 0; the experiment needs 1 at least".into()));
        }
        if !self.data.starts_with("idx:") {
            return Err(Error::Usage(format!(
                "--data is {}; it must be idx:DIRECTORY with the MNIST files",
                self.data
            )));
        }
        self.plan().settings.check()
    }
}

/// One test digit with what the first network says about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    /// Row of the data.
    pub row: usize,
    pub label: String,
    pub predicted: String,
    /// Those of the best pixels that the digit lights (a quarter of white at least).
    pub lit: Vec<usize>,
    /// `[columns]`, as they came.
    #[serde(skip)]
    pub values: Vec<f64>,
}

/// The accuracy of single networks, each with the k best pixels of its own ranking.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SingleAccuracy {
    pub k: usize,
    pub spread: Spread,
    pub replicas: Vec<f64>,
}

/// Networks trained shorter and with smaller penalties (figure 12), which use more of the pixels.
#[derive(Debug, Clone, Serialize)]
pub struct Shorter {
    pub epochs: usize,
    pub reg_lambda: f64,
    pub reg_psi: f64,
    /// On the test digits with every pixel, mean over replicas.
    pub test_accuracy: f64,
    /// As in [`DigitsOutcome`].
    pub relevance: Vec<f64>,
    pub histogram: Vec<usize>,
    pub dropped: Vec<f64>,
    #[serde(skip)]
    pub ranking: Vec<RankedFeature>,
}

/// What the page needs besides the numbers.
#[derive(Debug, Clone, Default)]
pub struct DigitsPictures {
    pub ranking: Vec<RankedFeature>,
    pub axes: Vec<Axis>,
    pub history: Vec<EpochRecord>,
}

/// Everything that came out.
#[derive(Debug, Clone, Serialize)]
pub struct DigitsOutcome {
    pub settings: DigitsSettings,
    pub network: Sequential,
    pub training: Settings,
    pub classes: Vec<String>,
    /// `train`, `validation`, `test`: means over replicas.
    pub scores: BTreeMap<&'static str, PartScore>,
    /// |λ̃| of every pixel: mean and standard deviation over replicas (figures 5b and 8: as a picture).
    pub relevance: Vec<f64>,
    pub relevance_std: Vec<f64>,
    /// How many pixels have a mean λ̃ / max λ̃ in each of 40 bins over 0 … 1 (figures 5a, 8a, 9 left).
    pub histogram: Vec<usize>,
    /// Pixels that don't vary over the training digits.
    pub constant: usize,
    /// Share of the varying pixels with λ̃ under 1 % of the network's largest, network by network.
    pub dropped: Vec<f64>,
    /// The best pixels, by mean λ̃ (figure 6, inset).
    pub best: Vec<usize>,
    /// Figures 6, 8b, 9 right: means over replicas, each masked by its own ranking.
    pub curve: Curve,
    pub single: Vec<SingleAccuracy>,
    /// Figures 7, 8c and 8d.
    pub samples: Vec<Sample>,
    /// With all ten digits.
    pub shorter: Option<Shorter>,
    pub checks: Vec<Check>,
    /// Where this departs from the authors' setting.
    pub differences: Vec<String>,
    pub training_seconds: f64,
    pub steps: u64,
    pub seconds: f64,
    #[serde(skip)]
    pub pictures: DigitsPictures,
}

/// Trains the replicas in one job, and draws the curve over every number of pixels on the test digits.
///
/// # Errors
/// [`Error::Usage`] for sizes that make no sense, [`Error::Input`] without the files, [`Error::Stopped`],
/// [`Error::Diverged`], the engine's own.
pub fn digits(
    settings: &DigitsSettings,
    mut dataset: Dataset,
    device: &Device,
    observe: &mut dyn FnMut(&Progress<'_>) -> Flow,
) -> Result<DigitsOutcome> {
    settings.check()?;
    let clock = settings.keep.clock();
    let plan = settings.plan();
    let fit = plan.fit_with(&mut dataset, device, observe)?;
    whole(&fit)?;
    let shorter = match settings.digits {
        Digits::All => Some(shorter(&plan, &mut dataset, device, observe)?),
        _ => None,
    };
    let resident = fit.model.prepare(&mut dataset, &fit.split)?;
    let options = CurveOptions {
        max_k: dataset.columns,
        controls: settings.controls,
        seed: settings.seed,
        ..CurveOptions::default()
    };
    let curve = curve(&fit.model, &resident, ("test", resident.test.clone()), &options, device)?;
    let ranking = fit.model.ranking();
    let best: Vec<usize> = ranking.iter().take(settings.digits.best()).map(|f| f.feature).collect();
    let mut job = ranked_job(&fit, &resident, device)?;
    let single = single_networks(&mut job, &resident, settings.digits.best())?;
    let samples = samples(&mut job, &dataset, &fit, &resident, &best)?;
    let constant = fit.model.description.scaling.constant();
    let mut outcome = DigitsOutcome {
        settings: settings.clone(),
        network: plan.architecture,
        training: plan.settings,
        classes: fit.model.description.targets.clone(),
        relevance: by_pixel(&ranking, |f| f.relevance),
        relevance_std: by_pixel(&ranking, |f| f.relevance_std),
        histogram: histogram(&ranking),
        constant: constant.iter().filter(|&&c| c).count(),
        dropped: fit.model.relevance().iter().map(|replica| dropped(replica, &constant)).collect(),
        best,
        curve,
        single,
        samples,
        shorter,
        checks: Vec::new(),
        differences: differences(settings),
        training_seconds: fit.seconds,
        steps: fit.model.description.steps,
        seconds: 0.0,
        pictures: DigitsPictures { ranking, axes: dataset.axes.clone(), history: fit.history },
        scores: fit.scores.into_iter().collect(),
    };
    outcome.checks = checks(&outcome);
    outcome.seconds = clock.seconds();
    Ok(outcome)
}

fn whole(fit: &Fit) -> Result<()> {
    if fit.stopped {
        return Err(Error::Stopped("stopped before the experiment was whole; nothing is written".into()));
    }
    Ok(())
}

/// Figure 12.
fn shorter(
    plan: &Plan,
    dataset: &mut Dataset,
    device: &Device,
    observe: &mut dyn FnMut(&Progress<'_>) -> Flow,
) -> Result<Shorter> {
    let (epochs, reg_lambda, reg_psi) = (SHORTER.0.min(plan.settings.epochs), SHORTER.1, SHORTER.2);
    let mut plan = plan.clone();
    plan.settings.epochs = epochs;
    plan.settings.replicas.iter_mut().for_each(|r| (r.reg_lambda, r.reg_psi) = (reg_lambda, reg_psi));
    let fit = plan.fit_with(dataset, device, observe)?;
    whole(&fit)?;
    let ranking = fit.model.ranking();
    let constant = fit.model.description.scaling.constant();
    let accuracy = fit.scores.iter().find(|(part, _)| *part == "test").and_then(|(_, score)| score.accuracy);
    Ok(Shorter {
        epochs,
        reg_lambda,
        reg_psi,
        test_accuracy: accuracy.unwrap_or(f64::NAN),
        relevance: by_pixel(&ranking, |f| f.relevance),
        histogram: histogram(&ranking),
        dropped: fit.model.relevance().iter().map(|replica| dropped(replica, &constant)).collect(),
        ranking,
    })
}

/// A number of each pixel, in the pixels' order.
fn by_pixel(ranking: &[RankedFeature], of: fn(&RankedFeature) -> f64) -> Vec<f64> {
    let mut ranked: Vec<&RankedFeature> = ranking.iter().collect();
    ranked.sort_by_key(|f| f.feature);
    ranked.into_iter().map(of).collect()
}

/// The trained networks on an engine, each with its own ranking as the ordering to mask by.
fn ranked_job(fit: &Fit, data: &Resident, device: &Device) -> Result<Job> {
    let places = |relevance: &Vec<f64>| {
        let mut places = vec![0; relevance.len()];
        order(relevance).into_iter().enumerate().for_each(|(place, pixel)| places[pixel] = place as u32);
        vec![places]
    };
    let positions = fit.model.relevance().iter().map(places).collect();
    let masking = Masking { positions, fill: vec![0.0; data.columns], train: false };
    fit.model.job(data, Some(&masking), device)
}

fn single_networks(job: &mut Job, data: &Resident, best: usize) -> Result<Vec<SingleAccuracy>> {
    // Only k that the curve has too.
    let steps = steps_of_k(data.columns);
    let near = |k: usize| steps.iter().copied().min_by_key(|step| step.abs_diff(k));
    let mut ks: Vec<usize> = SINGLE_KS.into_iter().chain([best, data.columns]).filter_map(near).collect();
    ks.sort_unstable();
    ks.dedup();
    let masks: Vec<Masked> = ks.iter().map(|&k| Masked { ordering: 0, kept: k as u32 }).collect();
    let scores = job.evaluate_masked(data.test.clone(), &masks)?;
    let single = |(k, scores): (usize, Vec<crate::train::Scores>)| {
        let replicas: Vec<f64> = scores.iter().map(|s| s.metric).collect();
        SingleAccuracy { k, spread: Spread::of(&replicas), replicas }
    };
    Ok(ks.into_iter().zip(scores).map(single).collect())
}

/// The first test digits of each class in turn.
fn samples(job: &mut Job, dataset: &Dataset, fit: &Fit, data: &Resident, best: &[usize]) -> Result<Vec<Sample>> {
    let Targets::Classes { labels, names } = &dataset.y else { return Ok(Vec::new()) };
    let rows = &fit.split.test;
    // No class more often than another.
    let rounds = (SAMPLES / names.len().max(1)).clamp(1, 4);
    let of_class = |class: usize| (0..rows.len()).filter(move |&i| labels[rows[i] as usize] as usize == class);
    let places: Vec<usize> =
        (0..rounds).flat_map(|round| (0..names.len()).filter_map(move |class| of_class(class).nth(round))).collect();
    let pixels = places.iter().flat_map(|&i| (0..dataset.columns).map(move |c| dataset.value(rows[i] as usize, c)));
    let white = pixels.fold(0.0f64, f64::max);
    let mut samples = Vec::new();
    for i in places {
        let row = rows[i] as usize;
        let output = job.predict(0, data.test.start + i..data.test.start + i + 1)?;
        let class = argmax(&output);
        let values: Vec<f64> = (0..dataset.columns).map(|c| dataset.value(row, c)).collect();
        samples.push(Sample {
            row,
            label: names[labels[row] as usize].clone(),
            predicted: names[class].clone(),
            lit: best.iter().copied().filter(|&pixel| values[pixel] >= LIT * white && white > 0.0).collect(),
            values,
        });
    }
    Ok(samples)
}

fn histogram(ranking: &[RankedFeature]) -> Vec<usize> {
    let largest = ranking.first().map_or(0.0, |f| f.relevance).max(f64::MIN_POSITIVE);
    let mut bins = vec![0; BINS];
    for f in ranking {
        bins[((f.relevance / largest * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    bins
}

/// Share of the varying inputs below 1 % of the largest.
fn dropped(relevance: &[f64], constant: &[bool]) -> f64 {
    let largest = relevance.iter().copied().fold(0.0, f64::max);
    let varying: Vec<f64> = relevance.iter().zip(constant).filter(|(_, c)| !**c).map(|(r, _)| *r).collect();
    varying.iter().filter(|&&r| r < 0.01 * largest).count() as f64 / varying.len().max(1) as f64
}

impl DigitsOutcome {
    /// Accuracy on the test digits with every pixel, mean over replicas.
    pub fn full_accuracy(&self) -> f64 {
        self.curve.full
    }

    /// Single networks at k.
    pub fn single_at(&self, k: usize) -> Option<&SingleAccuracy> {
        self.single.iter().find(|s| s.k == k)
    }
}

fn checks(outcome: &DigitsOutcome) -> Vec<Check> {
    let k = outcome.settings.digits.best();
    let point = outcome.curve.points.iter().find(|p| p.k == k);
    let (ranked, random) = point.map_or((f64::NAN, f64::NAN), |p| (p.ranked, p.random_mean));
    let dropped = Spread::of(&outcome.dropped).mean;
    let (at_zero, elsewhere) = outcome
        .histogram
        .split_first()
        .map_or((0, 0), |(first, rest)| (*first, rest.iter().copied().max().unwrap_or(0)));
    let peak = Check::at_least(
        "pixels in the lowest of 40 bins of λ̃ / those in the fullest other bin (a peak at zero)",
        at_zero as f64 / elsewhere.max(1) as f64,
        2.0,
    );
    let few = |bound| Check::at_least(format!("test accuracy with the {k} best pixels alone"), ranked, bound);
    let control = |bound| Check::at_most(format!("test accuracy with {k} random pixels"), random, bound);
    let full = |bound| Check::at_least("test accuracy with every pixel", outcome.full_accuracy(), bound);
    match outcome.settings.digits {
        Digits::ZeroOne => vec![
            full(0.99),
            Check::at_least("share of the varying pixels with λ̃ under 1 % of the largest", dropped, 0.6),
            peak,
            few(0.97),
            control(0.75),
        ],
        Digits::FiveNine => vec![peak, few(0.86), control(0.75)],
        Digits::All => vec![full(0.975), peak, few(0.75), control(0.3)],
    }
}

fn differences(settings: &DigitsSettings) -> Vec<String> {
    let mut differences = vec![
        format!("{} epochs instead of up to 5,000", settings.epochs),
        "learning rate 0.003, falling by half a cosine to a hundredth; theirs is 0.0001, constant".to_owned(),
        "the first layer starts balanced (λ₀ = (r_ψ/r_λ)^¼·‖w‖^½, the same weight), so that few steps are enough; theirs starts at λ = 1"
            .to_owned(),
        "only the first layer is spectral; theirs all are, with penalties on the first alone".to_owned(),
        "distribution, picture and marked pixels show the mean λ̃ of several networks; theirs that of one".to_owned(),
    ];
    if settings.digits == Digits::All {
        let (epochs, reg_lambda, reg_psi) = SHORTER;
        differences.push(format!(
            "figure 12: {} epochs, r_λ {reg_lambda:e}, r_ψ {reg_psi:e}; the paper says smaller and gives no numbers",
            epochs.min(settings.epochs)
        ));
        differences.push("the paper gives no figures for all ten digits; the bounds are ours".to_owned());
    }
    differences
}
