//! The stellar spectra of the spectral paper (section 3.4, figures 10 and 11): which wavelengths tell a star's metallicity.
//!
//! The stars are those of the MILES library: Sánchez-Blázquez et al. 2006 (MNRAS 371, 703), Falcón-Barroso et al. 2011 (A&A
//! 532, A95), their [Fe/H] from Cenarro et al. 2007 (MNRAS 374, 664). They aren't shipped; `scripts/fetch_miles.sh` makes the
//! file.

use std::path::Path;

use serde::Serialize;

use super::lick::{BANDS, Band, H_ALPHA, ShiftTest, bands_at, covered, peaks, shift_test};
use crate::data::{
    self, Axis, Dataset, Feature, Missing, ScaleKind, Scaling, Split, TargetScaling, Targets, Task, Values, split,
};
use crate::engine::Device;
use crate::kernels::{Activation, LossKind};
use crate::model::{Description, Model, resident};
use crate::network::{Place, Sequential, Spectral};
use crate::random::Random;
use crate::relevance::{Curve, CurveOptions, MaskFill, curve, order};
use crate::train::{Flow, Job, Progress, Resident, Schedule, Settings};
use crate::{Error, Result};

/// How many of the best wavelengths the paper finds enough.
pub const BEST: usize = 30;
/// Where networks are trained anew: on so many of the best wavelengths.
const RETRAINED: [usize; 8] = [1, 2, 5, 10, 20, BEST, 50, 100];
/// Peaks closer than this are one, in Å: about four times the library's resolution of 2.5 Å.
const APART: f64 = 10.0;
/// Relative to the largest λ̃: a wavelength below counts as dropped.
const THRESHOLD: f64 = 0.01;
const REMEDY: &str = "scripts/fetch_miles.sh OUT.npz makes a right one";

/// Spectra with their metallicities.
#[derive(Debug, Clone)]
pub struct Spectra {
    /// The file, as the user named it.
    pub source: String,
    /// In Å, increasing, `[wavelengths]`.
    pub wavelength: Vec<f64>,
    /// Each star's flux divided by its largest, `[stars, wavelengths]`.
    pub flux: Vec<f32>,
    /// [Fe/H] in dex, `[stars]`.
    pub feh: Vec<f32>,
    /// The row of each star in the file, from 0.
    pub row: Vec<usize>,
    /// Stars of the file whose [Fe/H] is NaN.
    pub without_feh: usize,
}

impl Spectra {
    /// Reads an .npz with `flux` [stars, wavelengths], `wavelength` [wavelengths] in Å and `feh` [stars] in dex, NaN where a
    /// star's metallicity isn't known; other arrays are left alone.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that can't be opened; [`Error::Input`] for a missing array, shapes that don't fit each other, a
    /// wavelength or flux that can't be used (naming row and column), and fewer than ten stars with a metallicity.
    pub fn read(path: impl AsRef<Path>) -> Result<Spectra> {
        let path = path.as_ref();
        let wrong = |place: &str, problem: String| Err(Error::input(path, place, problem, REMEDY));
        let names = ["flux", "wavelength", "feh"];
        let [flux, wavelength, feh] =
            data::arrays(path, names, "give the MILES spectra; scripts/fetch_miles.sh OUT.npz makes the file")?;
        let [stars, n] = flux.shape[..] else {
            return wrong("flux", format!("its shape is {:?}, not [stars, wavelengths]", flux.shape));
        };
        for (name, array, expected) in [("wavelength", &wavelength, n), ("feh", &feh, stars)] {
            if array.shape != [expected] {
                let problem =
                    format!("its shape is {:?} where flux, {:?}, needs [{expected}]", array.shape, flux.shape);
                return wrong(name, problem);
            }
        }
        if n < BEST {
            return wrong("flux", format!("it has {n} wavelengths, and the experiment keeps the best {BEST}"));
        }
        if let Some(i) = wavelength.values.windows(2).position(|w| !(w[0] > 0.0 && w[0] < w[1] && w[1].is_finite())) {
            let (a, b) = (wavelength.values[i], wavelength.values[i + 1]);
            return wrong(
                &format!("wavelength, elements {i} and {} (counted from 0)", i + 1),
                format!("{a} and {b} are not increasing positive numbers of Å"),
            );
        }
        let mut spectra = Spectra {
            source: path.display().to_string(),
            wavelength: wavelength.values,
            flux: Vec::new(),
            feh: Vec::new(),
            row: Vec::new(),
            without_feh: 0,
        };
        for (row, (flux, &feh)) in flux.values.chunks_exact(n).zip(&feh.values).enumerate() {
            if feh.is_nan() {
                spectra.without_feh += 1;
                continue;
            }
            if !feh.is_finite() {
                return wrong(&format!("feh, row {row} (counted from 0)"), format!("the value is {feh}"));
            }
            if let Some(column) = flux.iter().position(|x| !x.is_finite()) {
                let place = format!("flux, row {row}, column {column} (counted from 0)");
                return wrong(&place, format!("the value is {}", flux[column]));
            }
            let largest = flux.iter().fold(f64::NEG_INFINITY, |a, &x| a.max(x));
            if largest <= 0.0 {
                return wrong(&format!("flux, row {row} (counted from 0)"), "no flux of this star is positive".into());
            }
            spectra.flux.extend(flux.iter().map(|x| (x / largest) as f32));
            spectra.feh.push(feh as f32);
            spectra.row.push(row);
        }
        let left = spectra.feh.len();
        if left < 10 {
            return wrong("feh", format!("{left} of {stars} stars have a metallicity, and the experiment needs 10"));
        }
        if spectra.feh.iter().all(|&y| y == 0.0) {
            return wrong("feh", "every metallicity is 0".into());
        }
        Ok(spectra)
    }

    /// Stars in use.
    pub fn stars(&self) -> usize {
        self.feh.len()
    }

    fn dataset(&self) -> Dataset {
        let n = self.wavelength.len();
        Dataset {
            source: self.source.clone(),
            rows: self.stars(),
            columns: n,
            x: Values::F32(self.flux.clone()),
            y: Targets::Numbers { values: self.feh.clone(), names: vec!["[Fe/H]".into()] },
            features: self.wavelength.iter().map(|w| Feature { name: format!("{w:.1} Å"), group: None }).collect(),
            axes: vec![Axis { name: "wavelength".into(), len: n }],
            test_from: None,
            notes: Vec::new(),
        }
    }
}

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
    pub batch: usize,
    pub rate: f64,
    pub reg_lambda: f64,
    pub reg_psi: f64,
    /// Starts λ and ψ where the penalties are smallest for the initial weight; else λ = 1.
    pub balanced: bool,
    /// Share of the stars.
    pub test: f64,
    pub seed: u64,
}

impl Default for StellarSettings {
    fn default() -> Self {
        StellarSettings {
            splits: 3,
            replicas: 1,
            epochs: 1000,
            retrain_epochs: 100,
            retrain_replicas: 4,
            controls: 5,
            schedules: vec![Schedule::Cosine],
            hidden: [200, 50, 50],
            batch: 10,
            rate: 1e-3,
            reg_lambda: 1e-2,
            reg_psi: 1e-4,
            balanced: true,
            test: 0.2,
            seed: 0,
        }
    }
}

impl StellarSettings {
    fn check(&self) -> Result<()> {
        let counts = [
            ("--splits", self.splits),
            ("--epochs", self.epochs),
            ("--replicas", self.replicas),
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

/// One wavelength of a ranking.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopWavelength {
    /// From 1.
    pub rank: usize,
    /// Å.
    pub wavelength: f64,
    /// λ̃ relative to the largest.
    pub relevance: f64,
    /// The bands that hold it.
    pub bands: Vec<&'static str>,
}

/// How the wavelengths of a ranking lie to one band.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BandOutcome {
    #[serde(flatten)]
    pub band: Band,
    /// The [`BEST`] wavelengths against this band alone.
    #[serde(flatten)]
    pub test: ShiftTest,
    /// Rank of the band's best wavelength, from 1; nothing for a band beyond the spectra.
    pub best_rank: Option<usize>,
}

/// A ranking of the wavelengths beside the bands.
#[derive(Debug, Clone, Serialize)]
pub struct Ranking {
    /// λ̃ relative to the largest, `[wavelengths]`; the mean over networks.
    pub relevance: Vec<f64>,
    /// The best [`BEST`].
    pub top: Vec<TopWavelength>,
    /// Those against the six metal bands.
    pub top_in_metal_bands: ShiftTest,
    /// Those against all bands.
    pub top_in_all_bands: ShiftTest,
    /// The same with the [`BEST`] highest peaks that are 10 Å apart in place of the wavelengths, which cluster.
    pub peaks: Vec<TopWavelength>,
    pub peaks_in_metal_bands: ShiftTest,
    pub peaks_in_all_bands: ShiftTest,
    pub bands: Vec<BandOutcome>,
    /// Rank of the best wavelength of Hα, from 1.
    pub h_alpha_rank: Option<usize>,
}

impl Ranking {
    /// Ranks `relevance`, one value for each wavelength (Å), and tests it against the bands.
    pub fn new(relevance: Vec<f64>, wavelength: &[f64]) -> Ranking {
        let largest = relevance.iter().fold(0.0f64, |a, &b| a.max(b)).max(f64::MIN_POSITIVE);
        let relevance: Vec<f64> = relevance.iter().map(|r| r / largest).collect();
        let order = order(&relevance);
        let mut rank = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &i)| rank[i] = place + 1);
        let best_rank = |band: &Band| {
            let inside = wavelength.iter().zip(&rank).filter(|(w, _)| band.holds(**w));
            inside.map(|(_, &rank)| rank).min()
        };
        let list = |places: &[usize]| -> Vec<TopWavelength> {
            let entry = |(k, &i): (usize, &usize)| TopWavelength {
                rank: k + 1,
                wavelength: wavelength[i],
                relevance: relevance[i],
                bands: bands_at(wavelength[i]),
            };
            places.iter().enumerate().map(entry).collect()
        };
        let (metal, all) = (covered(wavelength, |b| b.metal), covered(wavelength, |_| true));
        let top = &order[..BEST.min(order.len())];
        let step = (wavelength[wavelength.len() - 1] - wavelength[0]) / (wavelength.len() - 1).max(1) as f64;
        let peaks = peaks(&relevance, (APART / step) as usize, BEST);
        let bands = BANDS
            .iter()
            .map(|&band| BandOutcome {
                band,
                test: shift_test(top, &covered(wavelength, |b| b.name == band.name)),
                best_rank: best_rank(&band),
            })
            .collect();
        Ranking {
            top: list(top),
            top_in_metal_bands: shift_test(top, &metal),
            top_in_all_bands: shift_test(top, &all),
            peaks: list(&peaks),
            peaks_in_metal_bands: shift_test(&peaks, &metal),
            peaks_in_all_bands: shift_test(&peaks, &all),
            bands,
            h_alpha_rank: best_rank(&H_ALPHA),
            relevance,
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
    pub retrained: Vec<Retrained>,
    pub ranking: Ranking,
    pub predictions: Vec<Predicted>,
    /// Of the training with all wavelengths.
    pub seconds: f64,
}

/// All splits under one schedule.
#[derive(Debug, Clone, Serialize)]
pub struct StellarRun {
    pub schedule: Schedule,
    pub splits: Vec<SplitOutcome>,
    /// λ̃ of the splits, each relative to its largest, averaged.
    pub ranking: Ranking,
    pub checks: Vec<Check>,
}

/// One line of the acceptance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    pub what: String,
    pub value: f64,
    /// `value` is to be at most (or, where `at_least`, at least) this.
    pub bound: f64,
    pub at_least: bool,
    pub holds: bool,
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
    pub examples: Vec<(f64, Vec<f32>)>,
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
    let clock = std::time::Instant::now();
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
        seconds: clock.elapsed().as_secs_f64(),
    })
}

/// `constant` or `cosine`.
pub fn schedule_name(schedule: Schedule) -> String {
    crate::model::serde_name(&schedule)
}

/// Four spectra from the poorest in metals to the richest.
fn examples(spectra: &Spectra) -> Vec<(f64, Vec<f32>)> {
    let n = spectra.wavelength.len();
    let mut by_feh: Vec<usize> = (0..spectra.stars()).collect();
    by_feh.sort_by(|&a, &b| spectra.feh[a].total_cmp(&spectra.feh[b]));
    // Quantiles rather than the ends, which are outliers.
    let places = [0.02, 0.2, 0.5, 0.9].map(|q| by_feh[(q * (by_feh.len() - 1) as f64) as usize]);
    places.iter().map(|&r| (f64::from(spectra.feh[r]), spectra.flux[r * n..][..n].to_vec())).collect()
}

/// One split under one schedule.
struct Trial<'a> {
    spectra: &'a Spectra,
    dataset: &'a Dataset,
    settings: &'a StellarSettings,
    schedule: Schedule,
    seed: u64,
    device: &'a Device,
}

impl Trial<'_> {
    fn run(&self, observe: &mut Observe<'_>) -> Result<SplitOutcome> {
        let (dataset, settings) = (self.dataset, self.settings);
        let clock = std::time::Instant::now();
        let parts = split(dataset, 0.0, settings.test, self.seed)?;
        if parts.test.is_empty() {
            return Err(Error::Usage("no stars are left for testing; give more stars".into()));
        }
        let scaling = Scaling::fit(ScaleKind::None, dataset, &parts.train)?;
        let target = self.target(&parts);
        let data = resident(dataset, &scaling, &target, &parts);
        let mut model = self.untrained(scaling, target)?;
        let mut job = Job::new(&model.network, &data, &model.description.settings, None, self.device)?;
        train(&mut job, &mut |p| observe("all wavelengths", p))?;
        let seconds = clock.elapsed().as_secs_f64();
        model.parameters = (0..job.replicas()).map(|r| job.parameters(r)).collect::<Result<_>>()?;
        let mean = |scores: &[crate::train::Scores], f: fn(&crate::train::Scores) -> f64| {
            scores.iter().map(f).sum::<f64>() / scores.len() as f64
        };
        let train_mae = mean(&job.evaluate(data.train.clone())?, |s| s.metric);
        let test_scores = job.evaluate(data.test.clone())?;
        let known =
            |rows: &[u32]| -> Vec<f64> { rows.iter().map(|&r| f64::from(self.spectra.feh[r as usize])).collect() };
        let (train_known, test_known) = (known(&parts.train), known(&parts.test));
        let test_r2 = 1.0 - mean(&test_scores, |s| s.square) * data.unit * data.unit / variance(&test_known);
        let predictions = self.predictions(&mut job, &data, &parts)?;
        drop(job);

        let relevance = model.relevance();
        let kept = relevance.iter().map(|r| above(r) as f64).sum::<f64>() / relevance.len() as f64;
        let ranking = Ranking::new(mean_relevance(&relevance), &self.spectra.wavelength);
        let options = CurveOptions {
            max_k: dataset.columns,
            controls: settings.controls,
            fill: MaskFill::Zero,
            seed: self.seed,
            retrain: false,
        };
        let curve = curve(&model, &data, ("test", data.test.clone()), &options, self.device)?;
        let best = curve.points.iter().min_by(|a, b| a.ranked.total_cmp(&b.ranked));
        let (best_k, best_k_mae) = best.map_or((dataset.columns, curve.full), |p| (p.k, p.ranked));
        let retrained = self.retrained(&order(&ranking.relevance), &parts, observe)?;
        let middle = median(train_known);
        Ok(SplitOutcome {
            seed: self.seed,
            train_rows: parts.train.len(),
            test_rows: parts.test.len(),
            train_mae,
            test_mae: mean(&test_scores, |s| s.metric),
            test_r2,
            median_mae: test_known.iter().map(|y| (y - middle).abs()).sum::<f64>() / test_known.len() as f64,
            kept,
            curve,
            best_k,
            best_k_mae,
            retrained,
            ranking,
            predictions,
            seconds,
        })
    }

    /// [Fe/H] divided by its largest magnitude in the training rows.
    fn target(&self, parts: &Split) -> TargetScaling {
        let magnitude = |&r: &u32| self.spectra.feh[r as usize].abs();
        let largest = parts.train.iter().map(magnitude).fold(f32::MIN_POSITIVE, f32::max);
        TargetScaling { shift: vec![0.0], scale: vec![1.0 / largest] }
    }

    fn architecture(&self, spectral: Place) -> Sequential {
        Sequential {
            hidden: self.settings.hidden.to_vec(),
            activations: vec![Activation::Relu, Activation::Tanh, Activation::Tanh],
            batch_norm: Place::First,
            spectral,
            train: Spectral { psi: true, lambda_in: true, lambda_out: false },
            ..Sequential::default()
        }
    }

    fn training(&self) -> Settings {
        let s = self.settings;
        // Far apart, so that two splits share no network's seed.
        let seed = self.seed.wrapping_mul(1000);
        Settings {
            loss: LossKind::Mae,
            epochs: s.epochs,
            batch: s.batch,
            rate: s.rate,
            schedule: self.schedule,
            balanced: s.balanced,
            threshold: THRESHOLD,
            replicas: Settings::ensemble(s.replicas, seed, s.reg_lambda, s.reg_psi),
            ..Settings::default()
        }
    }

    fn untrained(&self, scaling: Scaling, target_scaling: TargetScaling) -> Result<Model> {
        let dataset = self.dataset;
        let architecture = self.architecture(Place::First);
        let description = Description {
            task: Task::Regress,
            targets: vec!["[Fe/H]".into()],
            target_column: None,
            features: dataset.features.clone(),
            axes: dataset.axes.clone(),
            scaling,
            target_scaling,
            missing: Missing::Refuse,
            source: dataset.source.clone(),
            fingerprint: dataset.fingerprint(),
            split_seed: self.seed,
            validation: 0.0,
            test: self.settings.test,
            settings: self.training(),
            steps: 0,
            engine: self.device.to_string(),
            architecture,
        };
        let network = description.architecture.build(dataset.columns, 1)?;
        Ok(Model { description, network, parameters: Vec::new() })
    }

    fn predictions(&self, job: &mut Job, data: &Resident, parts: &Split) -> Result<Vec<Predicted>> {
        let mut sums = vec![0.0; parts.test.len()];
        for r in 0..job.replicas() {
            let outputs = job.predict(r, data.test.clone())?;
            sums.iter_mut().zip(outputs).for_each(|(sum, y)| *sum += y * data.unit / job.replicas() as f64);
        }
        let star = |(&r, predicted): (&u32, f64)| {
            let r = r as usize;
            Predicted { row: self.spectra.row[r], known: f64::from(self.spectra.feh[r]), predicted }
        };
        Ok(parts.test.iter().zip(sums).map(star).collect())
    }

    /// Fresh networks on the k best wavelengths and on k random ones, for several k.
    fn retrained(&self, order: &[usize], parts: &Split, observe: &mut Observe<'_>) -> Result<Vec<Retrained>> {
        let n = self.dataset.columns;
        let mut out = Vec::new();
        for k in RETRAINED.into_iter().filter(|&k| k <= n) {
            let best = self.fresh(&order[..k], self.settings.retrain_replicas, parts, &mut |p| {
                observe(&format!("anew on the {k} best"), p)
            })?;
            let mut random = Vec::new();
            for draw in 0..self.settings.controls as u64 {
                let mut all: Vec<usize> = (0..n).collect();
                Random::new(self.seed, 0xc0 + draw).shuffle(&mut all);
                let what = format!("anew on {k} random ones, draw {} of {}", draw + 1, self.settings.controls);
                random.extend(self.fresh(&all[..k], 1, parts, &mut |p| observe(&what, p))?);
            }
            let ((mae, std), (random_mae, random_std)) = (mean_std(&best), mean_std(&random));
            out.push(Retrained { k, mae, std, random_mae, random_std });
        }
        Ok(out)
    }

    /// Test errors (dex) of networks of the same build, without spectral weights and penalties (the selection is made), trained
    /// on some wavelengths alone.
    fn fresh(
        &self,
        columns: &[usize],
        replicas: usize,
        parts: &Split,
        observe: &mut dyn FnMut(&Progress<'_>) -> Flow,
    ) -> Result<Vec<f64>> {
        let mut columns = columns.to_vec();
        columns.sort_unstable();
        let dataset = chosen(self.dataset, &columns);
        let scaling = Scaling::fit(ScaleKind::None, &dataset, &parts.train)?;
        let data = resident(&dataset, &scaling, &self.target(parts), parts);
        let network = self.architecture(Place::None).build(columns.len(), 1)?;
        let settings = Settings {
            epochs: self.settings.retrain_epochs,
            schedule: Schedule::Cosine,
            balanced: false,
            replicas: Settings::ensemble(replicas, self.seed.wrapping_mul(1000), 0.0, 0.0),
            ..self.training()
        };
        let mut job = Job::new(&network, &data, &settings, None, self.device)?;
        train(&mut job, observe)?;
        Ok(job.evaluate(data.test.clone())?.iter().map(|s| s.metric).collect())
    }
}

/// Trains to the end, or gives up the whole experiment where the observer says so.
fn train(job: &mut Job, observe: &mut dyn FnMut(&Progress<'_>) -> Flow) -> Result<()> {
    let mut stopped = false;
    job.train(&mut |progress| {
        let flow = observe(progress);
        stopped |= flow == Flow::Stop;
        flow
    })?;
    if stopped {
        return Err(Error::Stopped("stopped before the training was done; nothing was written".into()));
    }
    Ok(())
}

/// The data set with some of its columns.
fn chosen(dataset: &Dataset, columns: &[usize]) -> Dataset {
    let value = |r: usize| columns.iter().map(move |&c| dataset.value(r, c));
    Dataset {
        source: dataset.source.clone(),
        rows: dataset.rows,
        columns: columns.len(),
        x: Values::F32((0..dataset.rows).flat_map(value).collect()),
        y: dataset.y.clone(),
        features: columns.iter().map(|&c| dataset.features[c].clone()).collect(),
        axes: vec![Axis { name: "wavelength".into(), len: columns.len() }],
        test_from: None,
        notes: Vec::new(),
    }
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

fn above(relevance: &[f64]) -> usize {
    let largest = relevance.iter().fold(0.0f64, |a, &b| a.max(b));
    relevance.iter().filter(|&&r| r > THRESHOLD * largest).count()
}

fn mean_std(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
}

fn variance(values: &[f64]) -> f64 {
    mean_std(values).1.powi(2)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
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
    let all: Vec<Vec<f64>> = splits.iter().map(|s| s.ranking.relevance.clone()).collect();
    let ranking = Ranking::new(mean_relevance(&all), &spectra.wavelength);
    let mut run = StellarRun { schedule, splits, ranking, checks: Vec::new() };
    let check = |what: &str, value: f64, bound: f64, at_least: bool| Check {
        what: what.to_owned(),
        value,
        bound,
        at_least,
        holds: if at_least { value >= bound } else { value <= bound },
    };
    run.checks.push(check("test MAE with all wavelengths (dex)", run.mean(|s| s.test_mae), 0.20, false));
    if let Some(mae) = run.retrained(BEST) {
        run.checks.push(check("test MAE retrained on the best 30 wavelengths (dex)", mae, 0.22, false));
    }
    let test = run.ranking.top_in_metal_bands;
    let what = "share of circular shifts with as many of the top 30 in the six metal bands (p)";
    run.checks.push(Check { holds: test.p < 0.01, ..check(what, test.p, 0.01, false) });
    if let Some(rank) = run.ranking.h_alpha_rank {
        run.checks.push(check("rank of the best wavelength of Hα", rank as f64, (BEST + 1) as f64, true));
    }
    run
}
