//! One split: training, curve, and training anew on a few wavelengths.

use super::spectra::Spectra;
use super::{
    BEST, Diffuse, Observe, Predicted, Ranking, Retrained, SplitOutcome, StellarSettings, THRESHOLD, mean_relevance,
    mean_std,
};
use crate::data::{Dataset, Missing, Scaling, Split, TargetScaling, Task, split};
use crate::engine::Device;
use crate::kernels::{Activation, LossKind};
use crate::model::{Description, Model, Origin};
use crate::network::{Place, Sequential, Spectral};
use crate::random::Random;
use crate::relevance::{CurveOptions, MaskFill, curve, order};
use crate::train::{Flow, Job, Progress, Resident, Schedule, Scores, Settings};
use crate::{Error, Result};

/// Where networks are trained anew: on so many of the best wavelengths.
const RETRAINED: [usize; 8] = [1, 2, 5, 10, 20, BEST, 50, 100];

/// One split under one schedule.
pub(super) struct Trial<'a> {
    pub spectra: &'a Spectra,
    pub dataset: &'a Dataset,
    pub settings: &'a StellarSettings,
    pub schedule: Schedule,
    pub seed: u64,
    pub device: &'a Device,
}

impl Trial<'_> {
    pub(super) fn run(&self, observe: &mut Observe<'_>) -> Result<SplitOutcome> {
        let (dataset, settings) = (self.dataset, self.settings);
        let clock = settings.keep.clock();
        let parts = split(dataset, 0.0, settings.test, self.seed)?;
        if parts.test.is_empty() {
            return Err(Error::Usage("no stars are left for testing; give more stars".into()));
        }
        let scaling = Scaling::fit(settings.scale, dataset, &parts.train)?;
        let target = self.target(&parts);
        let data = Resident::of(dataset, &scaling, &target, &parts);
        let (model, mut job) = self.trained((&scaling, &target), &data, self.training(), "all wavelengths", observe)?;
        let seconds = clock.seconds();
        let mean = |scores: &[Scores], f: fn(&Scores) -> f64| scores.iter().map(f).sum::<f64>() / scores.len() as f64;
        let train_mae = mean(&job.evaluate(data.train.clone())?, |s| s.metric);
        let test_scores = job.evaluate(data.test.clone())?;
        let known =
            |rows: &[u32]| -> Vec<f64> { rows.iter().map(|&r| f64::from(self.spectra.feh[r as usize])).collect() };
        let (train_known, test_known) = (known(&parts.train), known(&parts.test));
        let test_r2 = 1.0 - mean(&test_scores, |s| s.square) * data.unit * data.unit / variance(&test_known);
        let predictions = self.predictions(&mut job, &data, &parts)?;
        drop(job);

        let (kept, ranking) = self.ranked(&model);
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
        let enough = curve.points.iter().find(|p| p.ranked <= 1.01 * curve.full);
        let enough_k = enough.map_or(dataset.columns, |p| p.k);
        let retrained = self.retrained(&order(&ranking.relevance), &parts, observe)?;
        let diffuse = {
            let s = self.settings;
            let mut training = Settings { epochs: s.diffuse_epochs, ..self.training() };
            training.replicas.iter_mut().for_each(|r| r.reg_lambda = s.diffuse_reg_lambda);
            let (model, mut job) = self.trained((&scaling, &target), &data, training, "smaller penalty", observe)?;
            let (kept, ranking) = self.ranked(&model);
            Diffuse { test_mae: mean(&job.evaluate(data.test.clone())?, |s| s.metric), kept, ranking }
        };
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
            enough_k,
            retrained,
            ranking,
            predictions,
            diffuse,
            seconds,
        })
    }

    /// Networks on all wavelengths, with their job.
    fn trained(
        &self,
        (scaling, target): (&Scaling, &TargetScaling),
        data: &Resident,
        training: Settings,
        what: &str,
        observe: &mut Observe<'_>,
    ) -> Result<(Model, Job)> {
        let mut model = self.untrained(scaling.clone(), target.clone(), training)?;
        let mut job = Job::new(&model.network, data, &model.description.settings, None, self.device)?;
        train(&mut job, &mut |p| observe(what, p))?;
        model.parameters = (0..job.replicas()).map(|r| job.parameters(r)).collect::<Result<_>>()?;
        Ok((model, job))
    }

    /// How many wavelengths the networks keep, and the wavelengths in order.
    fn ranked(&self, model: &Model) -> (f64, Ranking) {
        let relevance = model.relevance();
        let kept = relevance.iter().map(|r| above(r) as f64).sum::<f64>() / relevance.len() as f64;
        (kept, Ranking::new(mean_relevance(&relevance), &self.spectra.wavelength))
    }

    /// [Fe/H] divided by its largest magnitude in the training rows.
    fn target(&self, parts: &Split) -> TargetScaling {
        let magnitude = |&r: &u32| self.spectra.feh[r as usize].abs();
        let largest = parts.train.iter().map(magnitude).fold(f32::MIN_POSITIVE, f32::max);
        TargetScaling { shift: vec![0.0], scale: vec![1.0 / f64::from(largest)] }
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
            keep: s.keep.clone(),
            ..Settings::default()
        }
    }

    fn untrained(&self, scaling: Scaling, target_scaling: TargetScaling, settings: Settings) -> Result<Model> {
        let dataset = self.dataset;
        let architecture = self.architecture(Place::First);
        let description = Description {
            task: Task::Regress,
            targets: vec!["[Fe/H]".into()],
            target_column: None,
            weight_column: None,
            balanced_classes: false,
            features: dataset.features.clone(),
            chosen_from: None,
            verdict: None,
            unsupported_targets: Vec::new(),
            control: None,
            axes: dataset.axes.clone(),
            scaling,
            target_scaling,
            missing: Missing::Refuse,
            classes: None,
            source: dataset.source.clone(),
            fingerprint: dataset.fingerprint(),
            split_seed: self.seed,
            validation: 0.0,
            test: self.settings.test,
            settings,
            steps: 0,
            engine: self.device.to_string(),
            origin: Origin::Trained,
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
        let dataset = self.dataset.select_columns(&columns);
        let scaling = Scaling::fit(self.settings.scale, &dataset, &parts.train)?;
        let data = Resident::of(&dataset, &scaling, &self.target(parts), parts);
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
    job.train(observe)?;
    if job.stopped() {
        return Err(Error::Stopped("stopped before the training was done; nothing was written".into()));
    }
    Ok(())
}

fn above(relevance: &[f64]) -> usize {
    let largest = relevance.iter().fold(0.0f64, |a, &b| a.max(b));
    relevance.iter().filter(|&&r| r > THRESHOLD * largest).count()
}

fn variance(values: &[f64]) -> f64 {
    mean_std(values).1.powi(2)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}
