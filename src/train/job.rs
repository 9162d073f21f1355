//! A training job: a network, its data and its passes in one engine's memory.

use std::ops::Range;
use std::time::Instant;

use super::kept::{Course, Keeping, digest_of};
use super::masking::{Masked, Masking};
use super::recording::{Passes, Recording, SLOTS};
use super::resident::Resident;
use super::settings::Settings;
use super::stretch::Stretch;
use super::{EpochRecord, Flow, Progress, Scores};
use crate::engine::{Device, Session};
use crate::error::counted;
use crate::kernels::LossKind;
use crate::network::record::Workspace;
use crate::network::{Layout, Network, Parameters, Weight};
use crate::program::{
    Buffer, PassId, RESULT_FINITE, RESULT_LEN, RESULT_LOSS, RESULT_METRIC, RESULT_PENALTY_LAMBDA, RESULT_PENALTY_PSI,
    RESULT_SQUARE, Step, View,
};
use crate::{Error, Result};

/// A network with its data on an engine, ready to train and to evaluate.
pub struct Job {
    pub network: Network,
    pub layout: Layout,
    settings: Settings,
    pub(super) session: Box<dyn Session>,
    pub(super) passes: Passes,
    parameters: Buffer,
    pub(super) gradient: Buffer,
    statistics: Buffer,
    results: Buffer,
    output: View,
    pub(super) train: Range<usize>,
    validation: Range<usize>,
    unit: f64,
    /// Σ of the weights before each place of the row list, or of each replica's; empty: every row counts 1.
    weights: Vec<Vec<f64>>,
    classify: bool,
    /// Whether every epoch leaves its record.
    recorded: bool,
    batch: usize,
    pub(super) step: u64,
    /// Epochs done.
    pub(super) reached: usize,
    stopped: bool,
    /// What the optimiser has on the engine, and the digest of the data: to keep the training by.
    pub(super) optimiser: Vec<(Buffer, usize)>,
    data: Vec<u64>,
    /// Most steps between two looks at their results.
    pub(super) longest_stretch: usize,
}

impl Job {
    /// Records the passes, loads them and the data, and sets the initial parameters.
    ///
    /// # Errors
    /// [`Error::Usage`] for settings that make no sense, [`Error::Shape`] for a network that doesn't fit the data,
    /// [`Error::Device`] when the engine can't hold the job.
    pub fn new(
        network: &Network,
        data: &Resident,
        settings: &Settings,
        masking: Option<&Masking>,
        device: &Device,
    ) -> Result<Self> {
        settings.check()?;
        if network.input_width() != data.columns {
            return Err(Error::Shape(format!(
                "the network takes {} and the data has {}; use data with the network's columns",
                counted(network.input_width(), "input"),
                counted(data.columns, "column")
            )));
        }
        if let Some(&column) = settings.groups.iter().flatten().find(|&&c| c as usize >= data.columns) {
            return Err(Error::Shape(format!(
                "a group names column {column} and the data has {}; name columns from 0",
                data.columns
            )));
        }
        let first = network.first_layer();
        if settings.lasso.is_some() && !first.is_some_and(|first| first.weight == Weight::Direct) {
            return Err(Error::Usage(
                "the lasso steps the direct weight of a first layer, and this network has none".into(),
            ));
        }
        if !settings.groups.is_empty() && first.is_some_and(|first| first.channels) {
            return Err(Error::Usage(
                "groups share an eigenvalue of a dense first layer; of a convolution each channel has one for all its \
                 columns, so leave the groups out"
                    .into(),
            ));
        }
        if data.outputs != 0 && network.output().width() != data.outputs {
            return Err(Error::Shape(format!(
                "the network has {} and the data needs {}; use data with the network's targets",
                counted(network.output().width(), "output"),
                data.outputs
            )));
        }
        if !data.lists.is_empty()
            && (data.lists.len() != settings.replicas.len() || data.lists.iter().any(|l| l.len() != data.list.len()))
        {
            return Err(Error::Shape(format!(
                "there are {} row lists for {} networks, and every one needs {} rows as the common list has",
                data.lists.len(),
                settings.replicas.len(),
                data.list.len()
            )));
        }
        let batch = settings.batch.min(data.train.len().max(data.list.len() - data.train.len()).max(1));
        let mut workspace = Workspace::new(network, settings.replicas.len(), batch);
        let recording = Recording::new(network, data, settings, masking, &mut workspace);
        let Recording { passes, buffers, output } = recording;
        let gradient = workspace.gradient.expect("a workspace for training");
        let Workspace { program, layout, parameters, statistics, settings: settings_buffer, .. } = workspace;
        let mut session = device.load(program)?;
        buffers.fill(session.as_mut(), data, masking)?;
        for (r, replica) in settings.replicas.iter().enumerate() {
            let seed = (replica.seed ^ (replica.seed >> 32)) as u32;
            let bits = [replica.reg_lambda, replica.reg_psi, replica.rate_factor].map(|x| (x as f32).to_bits());
            session.write_words(settings_buffer, Some(r), 0, &[seed, bits[0], bits[1], bits[2]])?;
        }
        let mut job = Job {
            network: network.clone(),
            layout,
            settings: settings.clone(),
            session,
            passes,
            parameters,
            gradient,
            statistics,
            results: buffers.results,
            output,
            train: data.train.clone(),
            validation: data.validation.clone(),
            unit: data.unit,
            weights: if data.weights.is_empty() { Vec::new() } else { running_sums(data) },
            classify: settings.loss == LossKind::Ce,
            recorded: true,
            batch,
            step: 0,
            reached: 0,
            stopped: false,
            optimiser: buffers.optimiser,
            data: digest_of(data, masking, settings),
            longest_stretch: SLOTS,
        };
        for r in 0..settings.replicas.len() {
            let start = super::start::initial(&job.network, &job.layout, settings, r);
            job.set_parameters(r, &start)?;
        }
        Ok(job)
    }

    pub fn replicas(&self) -> usize {
        self.settings.replicas.len()
    }

    pub(super) fn epochs(&self) -> usize {
        self.settings.epochs
    }

    /// Training steps done.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Keeps no record of the epochs: the networks are looked at after the last one alone, and otherwise only where early
    /// stopping asks for it. For many small networks that is a tenth of the time.
    pub(crate) fn without_records(&mut self) {
        self.recorded = false;
    }

    /// The observer of [`Job::train`] has ended it.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    pub fn set_parameters(&mut self, replica: usize, parameters: &Parameters) -> Result<()> {
        parameters.write(self.session.as_mut(), self.parameters, Some(replica))?;
        self.session.write(self.statistics, Some(replica), 0, &parameters.statistics)
    }

    pub fn parameters(&mut self, replica: usize) -> Result<Parameters> {
        let values = self.session.read(self.parameters, replica, 0, self.layout.parameters)?;
        Ok(Parameters::new(values, self.session.read(self.statistics, replica, 0, self.layout.statistics)?))
    }

    /// Trains for the settings' epochs. `observe` sees every stretch of steps (a fraction of a second, or one step where
    /// that takes longer) and every epoch's record, and may stop.
    ///
    /// Where the settings say that trainings are kept, one that was kept goes on from there and ends with the same bits.
    ///
    /// A job trains once, since the schedule, the shuffles and Adam's correction all run from its first step to its last. To
    /// train on, make a new job and give it these [`Job::parameters`].
    ///
    /// # Errors
    /// [`Error::Usage`] for a job with steps behind it; [`Error::Diverged`] when a loss or a parameter is not finite; the engine's own.
    pub fn train(&mut self, observe: &mut dyn FnMut(&Progress<'_>) -> Flow) -> Result<Vec<EpochRecord>> {
        if self.step > 0 {
            return Err(Error::Usage(format!(
                "this training job has done {} steps and trains only once; to train on, make a new job with Job::new and give \
                 it the parameters of this one with Job::set_parameters",
                self.step
            )));
        }
        self.train_to(self.settings.epochs, observe)
    }

    /// As [`Job::train`], but from where it is, and to the end of so many of the settings' epochs.
    pub(crate) fn train_to(
        &mut self,
        until: usize,
        observe: &mut dyn FnMut(&Progress<'_>) -> Flow,
    ) -> Result<Vec<EpochRecord>> {
        if self.settings.early_stop.is_some() && self.validation.is_empty() {
            return Err(Error::Usage("--early-stop needs validation rows; give --validation a share above 0".into()));
        }
        let per_epoch = self.train.len().div_ceil(self.batch);
        let total = (self.settings.epochs * per_epoch) as u64;
        let row_weight = self.mean_weight(&self.train) / self.train.len() as f64;
        let mut keeping = self.keeping(until)?;
        let kept = keeping.resume(self.session.as_mut())?;
        let begun = Course { step: self.step, epoch: self.reached, ..Course::new(self.replicas()) };
        let mut course = kept.unwrap_or(begun);
        self.step = course.step;
        self.reached = course.epoch;
        if course.over {
            return Ok(course.history);
        }
        let mut stretch = Stretch::new(self.longest_stretch);
        'epochs: while course.epoch < until {
            let epoch = course.epoch;
            while course.first < per_epoch {
                let first = course.first;
                let last = (first + stretch.steps()).min(per_epoch);
                let steps: Vec<Step> = (first..last).map(|b| self.training_step(b, b - first, epoch, total)).collect();
                let clock = Instant::now();
                self.session.run(self.passes.train, &steps)?;
                self.step += steps.len() as u64;
                self.read_training(&steps, &mut course.sums)?;
                stretch.measured(steps.len(), clock.elapsed());
                (course.step, course.first) = (self.step, last);
                let sums = over_replicas(&course.sums);
                let rows = (last * self.batch).min(self.train.len()) as f64;
                let samples = rows * row_weight * self.replicas() as f64;
                let (loss, metric) = (sums[RESULT_LOSS] / samples, self.metric(sums[RESULT_METRIC] / samples));
                self.stopped = observe(&self.progress(epoch, total, (loss, metric), None)) == Flow::Stop;
                keeping.save(&course, self.session.as_mut(), self.stopped)?;
                if self.stopped {
                    break 'epochs;
                }
            }
            let record = self.finish_epoch(epoch, per_epoch, total, &mut course)?;
            let (means, told) = ((record.train_loss, record.train_metric), self.recorded.then_some(&record));
            self.stopped = observe(&self.progress(epoch, total, means, told)) == Flow::Stop;
            if self.recorded {
                course.history.push(record);
            }
            (course.epoch, course.first) = (epoch + 1, 0);
            self.reached = epoch + 1;
            course.sums = vec![[0.0; RESULT_LEN]; self.replicas()];
            let patience = self.settings.early_stop.is_some_and(|patience| epoch - course.best_epoch >= patience);
            if patience {
                break;
            }
            if self.stopped {
                keeping.save(&course, self.session.as_mut(), true)?;
                break;
            }
        }
        for (r, best) in course.best.iter().enumerate() {
            if let Some((_, parameters)) = best {
                self.set_parameters(r, parameters)?;
            }
        }
        if !self.stopped {
            (course.over, course.best) = (true, vec![None; self.replicas()]);
            keeping.done(&course, self.session.as_mut())?;
        }
        Ok(course.history)
    }

    fn progress<'a>(
        &self,
        epoch: usize,
        steps: u64,
        (loss, metric): (f64, f64),
        record: Option<&'a EpochRecord>,
    ) -> Progress<'a> {
        Progress { epoch, epochs: self.settings.epochs, step: self.step, steps, loss, metric, record }
    }

    /// What keeps this training, of which the part that ends with this epoch has not begun yet.
    pub(super) fn keeping(&mut self, until: usize) -> Result<Keeping> {
        let start = if self.settings.keep.0.is_some() { self.midway()? } else { Vec::new() };
        let network = [(self.parameters, self.layout.parameters), (self.statistics, self.layout.statistics)];
        let buffers = network.into_iter().chain(self.optimiser.iter().copied()).collect();
        Ok(Keeping::new((&self.network, &self.settings), &self.data, (&start, until), buffers, self.recorded))
    }

    fn training_step(&self, b: usize, slot: usize, epoch: usize, total: u64) -> Step {
        let begin = b * self.batch;
        let count = self.step + slot as u64;
        Step {
            index: slot as u32,
            rows: self.batch.min(self.train.len() - begin) as u32,
            begin: begin as u32,
            epoch: epoch as u32,
            count: count as u32,
            rate: self.settings.step_rate(count, total),
            ordering: 0,
            kept: 1,
        }
    }

    /// Adds the steps' results to each replica's sums, step by step so that the sums don't depend on how long a stretch is;
    /// an error if anything is not finite.
    fn read_training(&mut self, steps: &[Step], sums: &mut [[f64; RESULT_LEN]]) -> Result<()> {
        for (replica, sums) in sums.iter_mut().enumerate() {
            let results = self.session.read(self.results, replica, 0, steps.len() * RESULT_LEN)?;
            for (result, step) in results.chunks_exact(RESULT_LEN).zip(steps) {
                let penalty = result[RESULT_PENALTY_LAMBDA] + result[RESULT_PENALTY_PSI];
                let problem = if !result[RESULT_LOSS].is_finite() {
                    Some("the loss")
                } else if !penalty.is_finite() || !result[RESULT_FINITE].is_finite() {
                    Some("a parameter")
                } else {
                    None
                };
                if let Some(what) = problem {
                    let step = u64::from(step.count) + 1;
                    return Err(Error::Diverged { step, replica, what, rate: self.settings.rate });
                }
                sums.iter_mut().zip(result).for_each(|(s, x)| *s += x);
            }
        }
        Ok(())
    }

    /// Evaluates on the validation rows, keeps the best parameters where early stopping asks for them.
    fn finish_epoch(&mut self, epoch: usize, per_epoch: usize, total: u64, course: &mut Course) -> Result<EpochRecord> {
        let sums = &over_replicas(&course.sums);
        let replicas = self.replicas() as f64;
        let (step, rate) = (self.step, self.settings.rate);
        let diverged = |replica, what| Error::Diverged { step, replica, what, rate };
        let mut kept = 0.0;
        let looked_at = self.recorded || epoch + 1 == self.settings.epochs;
        for r in (0..self.replicas()).filter(|_| looked_at) {
            let parameters = self.parameters(r)?;
            // The epoch's last update and the running statistics have reached no loss yet.
            if !parameters.is_finite() {
                return Err(diverged(r, "a parameter"));
            }
            let relevance = super::start::input_relevance(&self.network, &self.layout, &parameters);
            let largest = relevance.iter().fold(0.0f64, |a, e| a.max(e.relevance));
            kept += relevance.iter().filter(|e| e.relevance > self.settings.threshold * largest).count() as f64;
        }
        let validated = !self.validation.is_empty() && (looked_at || self.settings.early_stop.is_some());
        let validation = if validated { Some(self.evaluate(self.validation.clone())?) } else { None };
        if let Some(r) = validation.iter().flatten().position(|scores| !scores.loss.is_finite()) {
            return Err(diverged(r, "the validation loss"));
        }
        if let (Some(_), Some(scores)) = (self.settings.early_stop, &validation) {
            for (r, scores) in scores.iter().enumerate() {
                if course.best[r].as_ref().is_none_or(|(loss, _)| scores.loss < *loss) {
                    course.best[r] = Some((scores.loss, self.parameters(r)?));
                    course.best_epoch = epoch;
                }
            }
        }
        let mean = |f: fn(&Scores) -> f64| {
            validation.as_ref().map(|scores| scores.iter().map(f).sum::<f64>() / scores.len() as f64)
        };
        let samples = self.mean_weight(&self.train) * replicas;
        Ok(EpochRecord {
            epoch: epoch + 1,
            step: self.step,
            rate: self.settings.rate * self.settings.schedule.factor(self.step.saturating_sub(1), total),
            train_loss: sums[RESULT_LOSS] / samples,
            penalty: (sums[RESULT_PENALTY_LAMBDA] + sums[RESULT_PENALTY_PSI]) / (per_epoch as f64 * replicas),
            train_metric: self.metric(sums[RESULT_METRIC] / samples),
            validation_loss: mean(|s| s.loss),
            validation_metric: mean(|s| s.metric),
            kept_features: kept / replicas,
        })
    }

    /// Accuracy as it is; a mean absolute error in the target's units.
    fn metric(&self, mean: f64) -> f64 {
        if self.classify { mean } else { mean * self.unit }
    }

    /// What the rows of a range of a replica's row list count together.
    fn total_weight(&self, replica: usize, range: &Range<usize>) -> f64 {
        match self.weights.get(replica).or(self.weights.first()) {
            Some(sums) => sums[range.end] - sums[range.start],
            None => range.len() as f64,
        }
    }

    /// The mean of that over the replicas.
    fn mean_weight(&self, range: &Range<usize>) -> f64 {
        let lists = self.weights.len().max(1);
        (0..lists).map(|r| self.total_weight(r, range)).sum::<f64>() / lists as f64
    }

    /// Steps that pass over a range of the row list, a batch each.
    pub(super) fn evaluation_steps(&self, range: Range<usize>, masked: Masked) -> Vec<Step> {
        range
            .clone()
            .step_by(self.batch)
            .map(|begin| Step {
                index: 0,
                rows: self.batch.min(range.end - begin) as u32,
                begin: begin as u32,
                epoch: 0,
                count: 0,
                rate: 0.0,
                ordering: masked.ordering,
                kept: masked.kept,
            })
            .collect()
    }

    /// Loss and metric of every replica on a range of the row list (see [`Resident`]), batch norm and dropout as in use: means
    /// over the rows, weighted where they have weights.
    pub fn evaluate(&mut self, range: Range<usize>) -> Result<Vec<Scores>> {
        let steps = self.evaluation_steps(range.clone(), Masked { ordering: 0, kept: u32::MAX });
        let mut scores = self.run_evaluation(self.passes.evaluate, &[steps], &range)?;
        Ok(scores.pop().expect("one evaluation was asked for"))
    }

    /// The scores of every masked evaluation, `[mask][replica]`, all in one job.
    pub fn evaluate_masked(&mut self, range: Range<usize>, masks: &[Masked]) -> Result<Vec<Vec<Scores>>> {
        let pass = self.passes.masked.expect("invariant: the job was made with a masking");
        let mut scoring = self.keeping(self.epochs())?.scoring(&range, masks);
        let mut scores = scoring.resume(masks.len());
        while scores.len() < masks.len() {
            let some = masks[scores.len()..].iter().take(scoring.at_once());
            let steps: Vec<_> = some.map(|&mask| self.evaluation_steps(range.clone(), mask)).collect();
            scores.extend(self.run_evaluation(pass, &steps, &range)?);
            scoring.save(&scores, scores.len() == masks.len())?;
        }
        Ok(scores)
    }

    /// `range`: the places that every run passes over.
    fn run_evaluation(&mut self, pass: PassId, runs: &[Vec<Step>], range: &Range<usize>) -> Result<Vec<Vec<Scores>>> {
        // [replica][pass]
        let mut sums = vec![vec![[0.0; RESULT_LEN]; runs.len()]; self.replicas()];
        let flat: Vec<(usize, Step)> =
            runs.iter().enumerate().flat_map(|(r, steps)| steps.iter().map(move |&s| (r, s))).collect();
        for chunk in flat.chunks(SLOTS) {
            let steps: Vec<Step> =
                chunk.iter().enumerate().map(|(i, (_, step))| Step { index: i as u32, ..*step }).collect();
            self.session.run(pass, &steps)?;
            for (replica, sums) in sums.iter_mut().enumerate() {
                let results = self.session.read(self.results, replica, 0, steps.len() * RESULT_LEN)?;
                for ((run, _), result) in chunk.iter().zip(results.chunks_exact(RESULT_LEN)) {
                    sums[*run].iter_mut().zip(result).for_each(|(s, x)| *s += x);
                }
            }
        }
        let score = |(replica, runs): (usize, &Vec<[f64; RESULT_LEN]>), run: usize| {
            let (sums, total) = (&runs[run], self.total_weight(replica, range));
            let n = if total > 0.0 { total } else { 1.0 };
            Scores {
                loss: sums[RESULT_LOSS] / n,
                metric: self.metric(sums[RESULT_METRIC] / n),
                square: sums[RESULT_SQUARE] / n,
            }
        };
        Ok((0..runs.len()).map(|run| sums.iter().enumerate().map(|of| score(of, run)).collect()).collect())
    }

    /// Outputs of one replica for a range of the row list, row-major `[rows, outputs]`; standardised for regression.
    pub fn predict(&mut self, replica: usize, range: Range<usize>) -> Result<Vec<f64>> {
        let mut outputs = Vec::new();
        for step in self.evaluation_steps(range, Masked { ordering: 0, kept: u32::MAX }) {
            self.session.run(self.passes.evaluate, &[step])?;
            let View { buffer, offset, cols, ld, .. } = self.output;
            let values = self.session.read(buffer, replica, offset, step.rows as usize * ld)?;
            outputs.extend(values.chunks_exact(ld).flat_map(|row| &row[..cols]));
        }
        Ok(outputs)
    }

    /// Runs `steps` training steps without reading their results: for measuring.
    pub fn run_steps(&mut self, steps: usize) -> Result<()> {
        let per_epoch = self.train.len().div_ceil(self.batch);
        let steps: Vec<Step> = (0..steps)
            .map(|slot| {
                let count = self.step as usize + slot;
                Step { index: 0, ..self.training_step(count % per_epoch, slot, count / per_epoch, u64::MAX) }
            })
            .collect();
        self.session.run(self.passes.train, &steps)?;
        self.step += steps.len() as u64;
        self.session.wait()
    }
}

impl Job {
    /// Runs one training step and returns what each kernel took, in seconds, where the engine can tell: for measuring.
    pub fn step_timings(&mut self) -> Result<Option<Vec<(String, f64)>>> {
        let step = self.training_step(0, 0, 0, u64::MAX);
        self.step += 1;
        self.session.timings(self.passes.train, &step)
    }
}

fn running_sums(data: &Resident) -> Vec<Vec<f64>> {
    let of = |list: &Vec<u32>| {
        let sums = list.iter().scan(0.0, |sum, &row| {
            *sum += data.weight(row);
            Some(*sum)
        });
        std::iter::once(0.0).chain(sums).collect()
    };
    if data.lists.is_empty() { vec![of(&data.list)] } else { data.lists.iter().map(of).collect() }
}

fn over_replicas(sums: &[[f64; RESULT_LEN]]) -> [f64; RESULT_LEN] {
    let mut total = [0.0; RESULT_LEN];
    sums.iter().for_each(|sums| total.iter_mut().zip(sums).for_each(|(t, x)| *t += x));
    total
}
