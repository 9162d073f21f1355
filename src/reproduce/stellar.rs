//! The stellar spectra of the spectral paper (section 3.4, figures 10 and 11): which wavelengths tell a star's metallicity.
//!
//! The stars are those of the MILES library: Sánchez-Blázquez et al. 2006 (MNRAS 371, 703), Falcón-Barroso et al. 2011 (A&A
//! 532, A95), their [Fe/H] from Cenarro et al. 2007 (MNRAS 374, 664). They aren't shipped; `scripts/fetch_miles.sh` makes the
//! file.

mod ranking;
mod spectra;
mod trial;

use serde::Serialize;

pub use ranking::{Ranking, TopWavelength};
pub use spectra::Spectra;

use self::trial::Trial;
use super::lick::{ShiftTest, covered, shift_test};
use super::measures::Check;
use crate::data::ScaleKind;
use crate::engine::Device;
use crate::relevance::{Curve, order};
use crate::run::Keep;
use crate::train::{Flow, Progress, Schedule};
use crate::{Error, Result};

/// How many of the best wavelengths the paper finds enough.
pub const BEST: usize = 30;
/// Relative to the largest λ̃: a wavelength below counts as dropped.
const THRESHOLD: f64 = 0.01;

/// Size of the experiment.
#[derive(Debug, Clone, Serialize)]
pub struct StellarSettings {
    /// Splits into training and test rows, each a training of its own with the seeds `seed`, `seed + 1` …
    pub splits: usize,
    /// Networks of each split; they differ in seed.
    pub replicas: usize,
    pub epochs: usize,
    /// Of the networks that are trained anew on a few wavelengths.
    pub retrain_epochs: usize,
    /// Networks for each number of wavelengths; the errors are their means.
    pub retrain_replicas: usize,
    /// Random choices of wavelengths to compare with.
    pub controls: usize,
    pub schedules: Vec<Schedule>,
    pub hidden: [usize; 3],
    /// Of each wavelength, fitted on the training rows, after a star's flux is divided by its largest.
    pub scale: ScaleKind,
    pub batch: usize,
    pub rate: f64,
    pub reg_lambda: f64,
    pub reg_psi: f64,
    /// Figure 13 of the paper: fewer epochs and a smaller r_λ, which leaves more wavelengths.
    pub diffuse_epochs: usize,
    pub diffuse_reg_lambda: f64,
    /// Starts λ and ψ where the penalties are smallest for the initial weight; else λ = 1.
    pub balanced: bool,
    /// Share of the stars.
    pub test: f64,
    pub seed: u64,
    /// Where trainings are kept, to be gone on with.
    #[serde(skip)]
    pub keep: Keep,
}

impl Default for StellarSettings {
    fn default() -> Self {
        StellarSettings {
            splits: 3,
            replicas: 3,
            epochs: 300,
            retrain_epochs: 100,
            retrain_replicas: 4,
            controls: 3,
            schedules: vec![Schedule::Cosine],
            hidden: [200, 50, 50],
            scale: ScaleKind::Standard,
            batch: 10,
            rate: 1e-3,
            reg_lambda: 1e-2,
            reg_psi: 1e-4,
            diffuse_epochs: 100,
            diffuse_reg_lambda: 5e-4,
            balanced: true,
            test: 0.2,
            keep: Keep::default(),
            seed: 0,
        }
    }
}

impl StellarSettings {
    /// Refuses sizes that make no sense, before anything is made.
    ///
    /// # Errors
    /// [`Error::Usage`] with the option's name.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("--splits", self.splits),
            ("--epochs", self.epochs),
            ("--replicas", self.replicas),
            ("diffuse_epochs", self.diffuse_epochs),
            ("retrain_epochs", self.retrain_epochs),
            ("retrain_replicas", self.retrain_replicas),
            ("controls", self.controls),
        ];
        match counts.iter().find(|(_, count)| *count == 0) {
            Some((name, _)) => Err(Error::Usage(format!("{name} is 0; it must be 1 at least"))),
            None => Ok(()),
        }
    }
}

/// Networks trained anew on k wavelengths alone; errors in dex on the test rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Retrained {
    pub k: usize,
    /// On the k best, mean and standard deviation over networks.
    pub mae: f64,
    pub std: f64,
    /// On k random ones, mean and standard deviation over draws.
    pub random_mae: f64,
    pub random_std: f64,
}

/// One test star.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Predicted {
    /// Row of the file, from 0.
    pub row: usize,
    /// [Fe/H], dex.
    pub known: f64,
    /// Mean over the split's networks, dex.
    pub predicted: f64,
}

/// One split into training and test rows.
#[derive(Debug, Clone, Serialize)]
pub struct SplitOutcome {
    pub seed: u64,
    pub train_rows: usize,
    pub test_rows: usize,
    /// dex, means over the split's networks.
    pub train_mae: f64,
    pub test_mae: f64,
    pub test_r2: f64,
    /// Of always answering the training rows' median, dex.
    pub median_mae: f64,
    /// Wavelengths whose λ̃ is above a hundredth of the largest, mean over networks.
    pub kept: f64,
    /// The masked curve on the test rows.
    pub curve: Curve,
    /// Where it is lowest.
    pub best_k: usize,
    pub best_k_mae: f64,
    /// The fewest with which the masked error is within 1 % of that with all wavelengths: beyond the wavelengths kept the curve
    /// is flat, and its lowest point may lie anywhere.
    pub enough_k: usize,
    pub retrained: Vec<Retrained>,
    pub ranking: Ranking,
    pub predictions: Vec<Predicted>,
    pub diffuse: Diffuse,
    /// Of the training with all wavelengths.
    pub seconds: f64,
}

/// The networks of figure 13.
#[derive(Debug, Clone, Serialize)]
pub struct Diffuse {
    /// dex, mean over the splits' networks (in a [`SplitOutcome`]: over the split's).
    pub test_mae: f64,
    /// Wavelengths whose λ̃ is above a hundredth of the largest, mean over networks.
    pub kept: f64,
    pub ranking: Ranking,
}

/// All splits under one schedule.
#[derive(Debug, Clone, Serialize)]
pub struct StellarRun {
    pub schedule: Schedule,
    pub splits: Vec<SplitOutcome>,
    /// λ̃ of the splits, each relative to its largest, averaged.
    pub ranking: Ranking,
    /// The best [`BEST`] of every split, each in its own ranking, against the six metal bands; every split is shifted alike.
    pub every_split_in_metal_bands: ShiftTest,
    pub diffuse: Diffuse,
    /// The same for the networks of figure 13.
    pub diffuse_every_split_in_metal_bands: ShiftTest,
    pub checks: Vec<Check>,
}

/// What the paper says, in its figure 11 and section 3.4.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Paper {
    pub wavelengths_at_lowest_error: usize,
    pub share_of_wavelengths: f64,
    pub stars: usize,
    pub bands_named: [&'static str; 6],
}

/// The paper's own figures.
pub const PAPER: Paper = Paper {
    wavelengths_at_lowest_error: 30,
    share_of_wavelengths: 0.007,
    stars: 985,
    bands_named: ["CaHK", "Mgb", "Fe4383", "Fe5015", "Fe5270", "Hβ"],
};

/// Everything that came out.
#[derive(Debug, Clone, Serialize)]
pub struct Stellar {
    pub settings: StellarSettings,
    pub paper: Paper,
    pub source: String,
    pub stars: usize,
    pub stars_without_feh: usize,
    /// Å.
    pub wavelength: Vec<f64>,
    pub runs: Vec<StellarRun>,
    /// Some normalised spectra with their [Fe/H], for the picture.
    #[serde(skip)]
    pub examples: Vec<(f64, Vec<f64>)>,
    pub seconds: f64,
}

/// Told how far each training is, with what is trained.
pub type Observe<'a> = dyn FnMut(&str, &Progress<'_>) -> Flow + 'a;

/// Trains N-200-50-50-1 (ReLU, tanh, tanh; batch normalisation after the first layer; MAE) on [Fe/H] for every split and
/// schedule, ranks the wavelengths, and measures how few of them are enough.
///
/// # Errors
/// [`Error::Usage`] for settings that make no sense, [`Error::Diverged`], [`Error::Stopped`], the engine's own.
pub fn stellar(
    spectra: &Spectra,
    settings: &StellarSettings,
    device: &Device,
    observe: &mut Observe<'_>,
) -> Result<Stellar> {
    settings.check()?;
    let clock = settings.keep.clock();
    let dataset = spectra.dataset();
    let mut runs = Vec::new();
    for &schedule in &settings.schedules {
        let mut splits = Vec::new();
        for s in 0..settings.splits as u64 {
            let seed = settings.seed.wrapping_add(s);
            let name = format!("{} rate, split {} of {}", schedule_name(schedule), s + 1, settings.splits);
            let mut watch = |what: &str, progress: &Progress<'_>| observe(&format!("{name}: {what}"), progress);
            splits.push(Trial { spectra, dataset: &dataset, settings, schedule, seed, device }.run(&mut watch)?);
        }
        runs.push(summary(schedule, splits, spectra));
    }
    Ok(Stellar {
        settings: settings.clone(),
        paper: PAPER,
        source: spectra.source.clone(),
        stars: spectra.stars(),
        stars_without_feh: spectra.without_feh,
        wavelength: spectra.wavelength.clone(),
        runs,
        examples: examples(spectra),
        seconds: clock.seconds(),
    })
}

/// `constant` or `cosine`.
pub fn schedule_name(schedule: Schedule) -> String {
    crate::report::text::serde_name(&schedule)
}

/// Four spectra from the poorest in metals to the richest.
fn examples(spectra: &Spectra) -> Vec<(f64, Vec<f64>)> {
    let n = spectra.wavelength.len();
    let mut by_feh: Vec<usize> = (0..spectra.stars()).collect();
    by_feh.sort_by(|&a, &b| spectra.feh[a].total_cmp(&spectra.feh[b]));
    // Quantiles rather than the ends, which are outliers.
    let places = [0.02, 0.2, 0.5, 0.9].map(|q| by_feh[(q * (by_feh.len() - 1) as f64) as usize]);
    let flux = |r: usize| spectra.flux[r * n..][..n].iter().copied().map(f64::from).collect();
    places.iter().map(|&r| (f64::from(spectra.feh[r]), flux(r))).collect()
}

/// Means over networks of λ̃ relative to each network's largest: batch normalisation leaves the scale of the first layer free.
fn mean_relevance(networks: &[Vec<f64>]) -> Vec<f64> {
    let mut mean = vec![0.0; networks.first().map_or(0, Vec::len)];
    for relevance in networks {
        let largest = relevance.iter().fold(0.0f64, |a, &b| a.max(b)).max(f64::MIN_POSITIVE);
        mean.iter_mut().zip(relevance).for_each(|(m, r)| *m += r / largest / networks.len() as f64);
    }
    mean
}

fn mean_std(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
}

impl StellarRun {
    /// Mean over the splits.
    pub fn mean(&self, f: impl Fn(&SplitOutcome) -> f64) -> f64 {
        self.splits.iter().map(f).sum::<f64>() / self.splits.len().max(1) as f64
    }

    /// Mean over the splits of the error of networks trained anew on the k best wavelengths, if that k was tried.
    pub fn retrained(&self, k: usize) -> Option<f64> {
        let at = |s: &SplitOutcome| s.retrained.iter().find(|r| r.k == k).map(|r| r.mae);
        let all: Option<Vec<f64>> = self.splits.iter().map(at).collect();
        all.filter(|all| !all.is_empty()).map(|all| mean_std(&all).0)
    }

    /// The masked curves averaged: `(k, ranked, random)`, and the k of the lowest error.
    pub fn mean_curve(&self) -> (Vec<(usize, f64, f64)>, usize) {
        let Some(first) = self.splits.first() else { return (Vec::new(), 0) };
        let points: Vec<(usize, f64, f64)> = (0..first.curve.points.len())
            .map(|i| {
                let k = first.curve.points[i].k;
                (k, self.mean(|s| s.curve.points[i].ranked), self.mean(|s| s.curve.points[i].random_mean))
            })
            .collect();
        let best = points.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |p| p.0);
        (points, best)
    }
}

/// Averages the splits and holds them against the acceptance.
fn summary(schedule: Schedule, splits: Vec<SplitOutcome>, spectra: &Spectra) -> StellarRun {
    let together = |of: fn(&SplitOutcome) -> &Ranking| {
        let all: Vec<Vec<f64>> = splits.iter().map(|s| of(s).relevance.clone()).collect();
        Ranking::new(mean_relevance(&all), &spectra.wavelength)
    };
    let mean = |of: fn(&SplitOutcome) -> f64| splits.iter().map(of).sum::<f64>() / splits.len() as f64;
    let diffuse = Diffuse {
        test_mae: mean(|s| s.diffuse.test_mae),
        kept: mean(|s| s.diffuse.kept),
        ranking: together(|s| &s.diffuse.ranking),
    };
    let ranking = together(|s| &s.ranking);
    let metal = covered(&spectra.wavelength, |b| b.metal);
    let pooled = |of: fn(&SplitOutcome) -> &Ranking| {
        let best = |s| order(&of(s).relevance).into_iter().take(BEST);
        shift_test(&splits.iter().flat_map(best).collect::<Vec<usize>>(), &metal)
    };
    let mut run = StellarRun {
        every_split_in_metal_bands: pooled(|s| &s.ranking),
        diffuse_every_split_in_metal_bands: pooled(|s| &s.diffuse.ranking),
        schedule,
        splits,
        ranking,
        diffuse,
        checks: Vec::new(),
    };
    run.checks.push(Check::at_most("test MAE with all wavelengths (dex)", run.mean(|s| s.test_mae), 0.20));
    if let Some(mae) = run.retrained(BEST) {
        run.checks.push(Check::at_most("test MAE retrained on the best 30 wavelengths (dex)", mae, 0.22));
    }
    let tests = [
        (
            "p of the best 30 in the six metal bands (circular shifts, λ̃ averaged over the splits)",
            run.ranking.top_in_metal_bands.p,
        ),
        ("p of the best 30 of every split in them", run.every_split_in_metal_bands.p),
        ("figure 13's smaller penalty: p of the best 30", run.diffuse.ranking.top_in_metal_bands.p),
        ("figure 13's smaller penalty: p of the best 30 of every split", run.diffuse_every_split_in_metal_bands.p),
    ];
    run.checks.extend(tests.map(|(what, p)| Check { holds: p < 0.01, ..Check::at_most(what, p, 0.01) }));
    if let Some(rank) = run.ranking.h_alpha_rank {
        run.checks.push(Check::at_least("rank of the best wavelength of Hα", rank as f64, (BEST + 1) as f64));
    }
    run
}
