//! A trained model with everything needed to use it again, and the one call that makes one.

use serde::{Deserialize, Serialize};

use crate::assess::{Assessment, Control, Tuning, Verdict, assess, control, cross_validate};
use crate::data::{
    Axis, Dataset, Feature, Missing, ScaleKind, Scaling, Split, TargetScaling, Targets, Task, Unit, channels, input_of,
    sources, split, units,
};
use crate::engine::{Device, Session};
use crate::error::counted;
use crate::network::record::{Mode, Recorder, Workspace};
use crate::network::{Ending, Network, Parameters, Sequential};
use crate::program::{Elements, PassId, Step, View, pad4};
use crate::train::{EpochRecord, Flow, Job, Masking, Metric, Progress, Resident, Scores, Settings, check_loss};
use crate::{Error, Result};

/// What is told about a model besides its numbers; stored with it as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    pub task: Task,
    /// Class names, or names of the predicted numbers.
    pub targets: Vec<String>,
    /// The target column of a table.
    pub target_column: Option<String>,
    /// The column of a table (or the array of an .npz) that says how much each row counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_column: Option<String>,
    /// Every class counted the same, whatever its rows.
    #[serde(default)]
    pub balanced_classes: bool,
    /// The classes whose rows alone were taken (`--classes`); older files don't tell.
    #[serde(default)]
    pub classes: Option<Vec<String>>,
    pub features: Vec<Feature>,
    /// How many columns the features were chosen from, of a compact model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_from: Option<usize>,
    /// Whether the model is better than a constant answer; older files don't tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Of several numbers, those that the model explains nothing of, beyond chance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsupported_targets: Vec<String>,
    /// How relevant noise would be, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
    pub axes: Vec<Axis>,
    pub scaling: Scaling,
    pub target_scaling: TargetScaling,
    pub missing: Missing,
    /// What was read, as the user named it.
    pub source: String,
    /// Fingerprint of the data, with which the split can be found again.
    pub fingerprint: u64,
    pub split_seed: u64,
    pub validation: f64,
    pub test: f64,
    pub architecture: Sequential,
    pub settings: Settings,
    /// Training steps done.
    pub steps: u64,
    /// Which engine trained it.
    pub engine: String,
    #[serde(default, skip_serializing_if = "Origin::is_trained")]
    pub origin: Origin,
}

/// Where a model came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// This program trained it; all that the description tells is about that training.
    #[default]
    Trained,
    /// An ONNX file, with what was taken off its end; of a training nothing is known.
    Onnx { removed: Option<Ending> },
}

impl Origin {
    pub fn is_trained(&self) -> bool {
        *self == Origin::Trained
    }
}

impl Description {
    /// What has to be said before anything that such a model shows.
    pub fn caution(&self) -> Option<&'static str> {
        (self.verdict == Some(Verdict::Unsupported)).then_some(
            "Not supported: on rows that it hadn't seen this model was not shown to be better than a constant answer. What it uses need \
             not hold for other rows.",
        )
    }

    /// The same of one output: a model may explain one of several numbers and nothing of another.
    pub fn caution_of(&self, output: &str) -> Option<String> {
        let alone = self.unsupported_targets.iter().any(|name| name == output).then(|| {
            format!(
                "Not supported: on rows that it hadn't seen this model explained nothing of {output} beyond chance, though it does of another \
                 target. What it uses for it need not hold for other rows."
            )
        });
        self.caution().map(str::to_owned).or(alone)
    }

    /// What the rows were weighted by, in words.
    pub fn row_weights(&self) -> String {
        let balanced = self.balanced_classes.then(|| "every class counts the same".to_owned());
        let parts: Vec<String> = self.weight_column.clone().into_iter().chain(balanced).collect();
        if parts.is_empty() { "none".into() } else { parts.join("; ") }
    }
}

/// A trained network: one set of parameters for each replica.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub description: Description,
    pub network: Network,
    pub parameters: Vec<Parameters>,
}

/// Elements of all nodes' outputs that a forward pass holds at once.
const FORWARD_ELEMENTS: usize = 1 << 24;

/// What to train on a data set.
#[derive(Debug, Clone)]
pub struct Plan {
    pub architecture: Sequential,
    pub settings: Settings,
    /// Chooses the penalties by cross-validation over the training rows, instead of those of `settings`; there are no validation rows
    /// then. The networks are trained on all training rows with what was chosen.
    pub tuning: Option<Tuning>,
    /// `None`: [`ScaleKind::default_for`].
    pub scale: Option<ScaleKind>,
    /// `None`: targets are standardised on the training rows, and inputs that are the targets are scaled as inputs.
    pub target_scaling: Option<TargetScaling>,
    /// Shares of the rows.
    pub validation: f64,
    pub test: f64,
    pub split_seed: u64,
    pub target_column: Option<String>,
    /// Where the data set's weights came from, for the record.
    pub weight_column: Option<String>,
    /// Makes every class count the same ([`Dataset::weigh`]).
    pub balanced_classes: bool,
    /// The classes whose rows the data set was cut down to.
    pub classes: Option<Vec<String>>,
    pub missing: Missing,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            architecture: Sequential::default(),
            settings: Settings::default(),
            tuning: None,
            scale: None,
            target_scaling: None,
            validation: 0.1,
            test: 0.2,
            split_seed: 0,
            target_column: None,
            weight_column: None,
            balanced_classes: false,
            classes: None,
            missing: Missing::Refuse,
        }
    }
}

/// A model with the story of its training.
#[derive(Debug, Clone)]
pub struct Fit {
    pub model: Model,
    /// Which rows were used for what.
    pub split: Split,
    pub history: Vec<EpochRecord>,
    /// Scores on the parts that have rows: `train`, `validation`, `test`; means over replicas.
    pub scores: Vec<(&'static str, PartScore)>,
    /// How sure they are, and whether the model is better than no model. Where there are several replicas, of their mean output,
    /// which is what a model predicts.
    pub assessment: Assessment,
    pub seconds: f64,
    /// Training was stopped before its last epoch by whoever watched it.
    pub stopped: bool,
}

/// Loss and metrics on one part of the data, means over replicas.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PartScore {
    pub rows: usize,
    pub loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Instead of the accuracy where classes were balanced: the mean over the classes of each one's share of right answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balanced_accuracy: Option<f64>,
    /// Mean absolute error in the target's units (in standard deviations with several targets).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mae: Option<f64>,
    /// Of numbers; undefined where the target is the same in all rows: there is no variance to explain.
    pub r2: Option<f64>,
}

impl Plan {
    /// How the targets are scaled that are trained on these rows.
    ///
    /// # Errors
    /// Those of [`TargetScaling::fit`].
    pub(crate) fn target_scaling(&self, dataset: &Dataset, inputs: &Scaling, rows: &[u32]) -> Result<TargetScaling> {
        match (&self.target_scaling, &dataset.y) {
            (Some(given), _) => Ok(given.clone()),
            // What enters the network is what it is to give back.
            (None, Targets::Inputs) => Ok(TargetScaling::as_inputs(inputs)),
            (None, _) => TargetScaling::fit(dataset, rows),
        }
    }

    /// Trains the plan's replicas on `dataset` (whose missing cells are filled, and whose weights are scaled to mean 1) and
    /// scores them.
    ///
    /// ```
    /// use eigenlens::{Device, Plan, data::synthetic};
    ///
    /// let mut gaussian = synthetic::gaussian(1, 4_000);
    /// let mut plan = Plan::default();
    /// plan.settings.epochs = 20;
    /// let fit = plan.fit(&mut gaussian.dataset, &Device::Cpu { threads: 0 })?;
    /// let ranking = fit.model.ranking();
    /// assert!(gaussian.distance[ranking[0].feature] > 0.0, "the best feature is a relevant one");
    /// assert!(fit.scores[0].1.accuracy.unwrap() > 0.9);
    /// # Ok::<(), eigenlens::Error>(())
    /// ```
    ///
    /// # Errors
    /// Settings that make no sense, a split that leaves nothing to train on, divergence, the engine's own.
    pub fn fit(&self, dataset: &mut Dataset, device: &Device) -> Result<Fit> {
        self.fit_with(dataset, device, &mut |_| Flow::Continue)
    }

    /// [`Plan::fit`] with somebody who watches, and who may stop it: `observe` is asked several times a second and at the end
    /// of every epoch.
    ///
    /// # Errors
    /// Those of [`Plan::fit`].
    pub fn fit_with(
        &self,
        dataset: &mut Dataset,
        device: &Device,
        observe: &mut dyn FnMut(&Progress<'_>) -> Flow,
    ) -> Result<Fit> {
        let validation = if self.tuning.is_some() { 0.0 } else { self.validation };
        let parts = split(dataset, validation, self.test, self.split_seed)?;
        let fingerprint = dataset.fingerprint();
        let repeated = dataset.repeated_rows();
        dataset.weigh(&parts, self.balanced_classes)?;
        let scaling = self.scaling(dataset, &parts.train)?;
        scaling.fill_missing(dataset);
        let target_scaling = self.target_scaling(dataset, &scaling, &parts.train)?;
        let (task, targets) = match &dataset.y {
            Targets::Classes { names, .. } => (Task::Classify, names.clone()),
            Targets::Numbers { names, .. } => (Task::Regress, names.clone()),
            Targets::Inputs => (Task::Autoencode, dataset.features.iter().map(|f| f.name.clone()).collect()),
            Targets::None => return Err(Error::Usage(format!("{} has no target to train on", dataset.source))),
        };
        check_loss(self.settings.loss, task)?;
        let network = self.architecture.build(input_of(&dataset.axes), targets.len())?;
        Resident::check_memory(dataset)?;
        let resident = Resident::of(dataset, &scaling, &target_scaling, &parts);
        let metric = Metric::of(task, self.balanced_classes);
        let clock = self.settings.keep.clock();
        let mut settings = self.settings.clone();
        let mut validated = None;
        if let Some(tuning) = &self.tuning {
            settings.check()?;
            validated = cross_validate(&network, &resident, &settings, tuning, metric, device, observe)?;
            let Some(validated) = &validated else {
                return Err(Error::Stopped("stopped while the penalties were chosen; nothing was written".into()));
            };
            let chosen = validated.report.candidates[validated.report.chosen];
            for replica in &mut settings.replicas {
                (replica.reg_lambda, replica.reg_psi) = (chosen.reg_lambda, chosen.reg_psi);
            }
        }
        let mut job = Job::new(&network, &resident, &settings, None, device)?;
        let history = job.train(observe)?;
        let stopped = job.stopped();
        let seconds = clock.seconds();
        let mut scores = Vec::new();
        for (name, range) in
            [("train", &resident.train), ("validation", &resident.validation), ("test", &resident.test)]
        {
            if !range.is_empty() {
                let replicas = job.evaluate(range.clone())?;
                scores.push((name, part_score(&resident, range.clone(), metric, &replicas)));
            }
        }
        let mut assessment = assess(&mut job, &resident, metric, &targets, validated)?;
        assessment.repeated = repeated;
        if assessment.cross_validation.is_some() && assessment.verdict != Verdict::Unsupported && !stopped {
            // A category's columns are one input, and so are a channel's.
            let inputs = self.units(dataset, &[]);
            let network = (&self.architecture, targets.len());
            // Whoever stops now has the model, without the control.
            assessment.control = control(&resident, (&inputs, &dataset.axes), network, &settings, device, observe)?;
        }
        let parameters = (0..job.replicas()).map(|r| job.parameters(r)).collect::<Result<Vec<_>>>()?;
        let description = Description {
            task,
            targets,
            target_column: self.target_column.clone(),
            weight_column: self.weight_column.clone(),
            balanced_classes: self.balanced_classes,
            classes: self.classes.clone(),
            features: dataset.features.clone(),
            chosen_from: None,
            verdict: Some(assessment.verdict),
            unsupported_targets: assessment.unsupported_targets(),
            control: assessment.control.clone(),
            axes: dataset.axes.clone(),
            scaling,
            target_scaling,
            missing: self.missing,
            source: dataset.source.clone(),
            fingerprint,
            split_seed: self.split_seed,
            validation,
            test: self.test,
            architecture: self.architecture.clone(),
            settings,
            steps: job.steps(),
            engine: device.to_string(),
            origin: Origin::Trained,
        };
        Ok(Fit {
            model: Model { description, network, parameters },
            split: parts,
            history,
            scores,
            assessment,
            seconds,
            stopped,
        })
    }
}

impl Plan {
    fn convolves(&self) -> bool {
        !self.architecture.convolutions.is_empty()
    }

    /// What the first layer has an eigenvalue for.
    pub(crate) fn sources(&self, dataset: &Dataset) -> Vec<Unit> {
        sources(&dataset.features, &dataset.axes, self.convolves())
    }

    /// What is one input to a person: a column, a category or a group of columns; behind convolutions a channel.
    pub(crate) fn units(&self, dataset: &Dataset, groups: &[Unit]) -> Vec<Unit> {
        if self.convolves() { channels(&dataset.axes) } else { units(&dataset.features, groups) }
    }

    /// Fitted on these rows, by column or by channel.
    pub(crate) fn scaling(&self, dataset: &Dataset, rows: &[u32]) -> Result<Scaling> {
        let kind = self.scale.unwrap_or_else(|| ScaleKind::default_for(dataset));
        Scaling::fit_together(kind, dataset, rows, &self.sources(dataset))
    }
}

fn part_score(data: &Resident, range: std::ops::Range<usize>, metric: Metric, replicas: &[Scores]) -> PartScore {
    let mean = |f: fn(&Scores) -> f64| replicas.iter().map(f).sum::<f64>() / replicas.len() as f64;
    let when = |kind: Metric| (metric == kind).then(|| mean(|s| s.metric));
    PartScore {
        rows: range.len(),
        loss: mean(|s| s.loss),
        accuracy: when(Metric::Accuracy),
        balanced_accuracy: when(Metric::BalancedAccuracy),
        mae: when(Metric::Mae),
        r2: match metric {
            Metric::Mae => target_variance(data, range).map(|variance| 1.0 - mean(|s| s.square) / variance),
            _ => None,
        },
    }
}

/// Variance of the standardised targets on some rows, weighted, mean over outputs; `None` where they are the same in all.
fn target_variance(data: &Resident, range: std::ops::Range<usize>) -> Option<f64> {
    let m = data.outputs;
    let rows = &data.list[range.clone()];
    if !(0..m).any(|c| data.varies(rows, c)) {
        return None;
    }
    let n = data.total_weight(range);
    let variance = |c: usize| {
        let target = |r: u32| f64::from(f32::from_bits(data.targets[r as usize * m + c]));
        let column = || rows.iter().map(|&r| (data.weight(r), target(r)));
        let mean = column().map(|(w, y)| w * y).sum::<f64>() / n;
        column().map(|(w, y)| w * (y - mean).powi(2)).sum::<f64>() / n
    };
    Some((0..m).map(variance).sum::<f64>() / m as f64)
}

/// Records a forward pass whose matrices share memory: also its input, its output, and its pass.
fn record_forward(network: &Network, batch: usize) -> (Workspace, View, View, PassId) {
    let mut workspace = Workspace::frozen(network, 1, batch, 1);
    let x = workspace.program.buffers.temporary("inputs", batch, network.input_width());
    let mut recorder = Recorder::new(network, &mut workspace, Mode::Evaluate, x, false);
    let y = recorder.forward();
    let ops = recorder.finish();
    let pass = workspace.program.exchanging("forward", ops, &[x], &[y]);
    workspace.program.share();
    (workspace, x, y, pass)
}

/// A network's forward pass on an engine, without what training and explaining keep.
pub struct Forward {
    session: Box<dyn Session>,
    pass: PassId,
    x: View,
    y: View,
    batch: usize,
}

impl Forward {
    /// For `samples` in all: so many of them, or fewer where that takes much memory, run at once.
    ///
    /// # Errors
    /// The engine's own.
    pub fn new(network: &Network, parameters: &Parameters, samples: usize, device: &Device) -> Result<Self> {
        let elements: usize = network.nodes.iter().map(|node| pad4(node.width())).sum();
        let batch = (FORWARD_ELEMENTS / elements.max(1)).clamp(1, samples.max(1));
        let (workspace, x, y, pass) = record_forward(network, batch);
        let (buffer, statistics) = (workspace.parameters, workspace.statistics);
        let mut session = device.load(workspace.program)?;
        parameters.lend(session.as_mut(), buffer)?;
        session.write(statistics, None, 0, &parameters.statistics)?;
        Ok(Forward { session, pass, x, y, batch })
    }

    /// Elements that a sample takes besides the network's own.
    pub fn elements(network: &Network) -> Elements {
        record_forward(network, 1).0.elements()
    }

    /// Outputs `[samples, C]` of whole samples `[samples, N]`, as they enter the network.
    ///
    /// # Errors
    /// [`Error::Shape`] for a part of a sample; the engine's own.
    pub fn run(&mut self, inputs: &[f64]) -> Result<Vec<f64>> {
        let Forward { session, pass, x, y, batch } = self;
        let n = x.cols;
        if !inputs.len().is_multiple_of(n) {
            return Err(Error::Shape(format!("{} numbers are no whole samples of {n} inputs", inputs.len())));
        }
        let mut outputs = Vec::new();
        for inputs in inputs.chunks(*batch * n) {
            let rows = inputs.len() / n;
            if rows == 1 || x.ld == n {
                session.write(x.buffer, Some(0), x.offset, inputs)?;
            } else {
                let mut padded = vec![0.0; rows * x.ld];
                let to = padded.chunks_exact_mut(x.ld);
                to.zip(inputs.chunks_exact(n)).for_each(|(to, from)| to[..n].copy_from_slice(from));
                session.write(x.buffer, Some(0), x.offset, &padded)?;
            }
            let rows = rows as u32;
            let step = Step { index: 0, rows, begin: 0, epoch: 0, count: 0, rate: 0.0, ordering: 0, kept: u32::MAX };
            session.run(*pass, &[step])?;
            let values = session.read(y.buffer, 0, y.offset, rows as usize * y.ld)?;
            outputs.extend(values.chunks_exact(y.ld).flat_map(|row| &row[..y.cols]));
        }
        Ok(outputs)
    }
}

impl Model {
    /// What the ranking is of: each column of the data, or each channel where the first layer is a convolution.
    pub fn inputs(&self) -> Vec<Unit> {
        sources(&self.description.features, &self.description.axes, self.ranks_channels())
    }

    /// Whether an input of the ranking is a channel.
    pub fn ranks_channels(&self) -> bool {
        self.network.ranks_channels()
    }

    /// Puts the model on an engine with data to evaluate; see [`Resident`] for how rows are addressed.
    ///
    /// # Errors
    /// [`Error::Shape`] when the data don't fit the model.
    pub fn job(&self, data: &Resident, masking: Option<&Masking>, device: &Device) -> Result<Job> {
        let mut job = Job::new(&self.network, data, &self.description.settings, masking, device)?;
        for (r, parameters) in self.parameters.iter().enumerate() {
            job.set_parameters(r, parameters)?;
        }
        Ok(job)
    }

    /// The first replica's outputs for whole samples as they enter the network, `[samples, N]` and `[samples, C]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for a part of a sample; the engine's own.
    pub fn outputs(&self, inputs: &[f64], device: &Device) -> Result<Vec<f64>> {
        let samples = inputs.len() / self.network.input_width().max(1);
        Forward::new(&self.network, &self.parameters[0], samples, device)?.run(inputs)
    }

    /// The split that the model was trained with (and `true`), if these are the same data as they were read; else every row
    /// is a test row. Right after a training, [`Fit::split`] has it.
    pub fn split(&self, dataset: &Dataset) -> Result<(Split, bool)> {
        let d = &self.description;
        if dataset.fingerprint() == d.fingerprint {
            return Ok((split(dataset, d.validation, d.test, d.split_seed)?, true));
        }
        Ok((Split { test: (0..dataset.rows as u32).collect(), ..Split::default() }, false))
    }

    /// The data as this model takes them: missing cells filled, scaled with the model's scaling; weights, if there are any, of
    /// mean 1 over each part.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of columns or classes that the model doesn't know; [`Error::Input`] for a part
    /// without weight.
    pub fn prepare(&self, dataset: &mut Dataset, parts: &Split) -> Result<Resident> {
        let d = &self.description;
        if dataset.columns != d.features.len() {
            return Err(Error::Shape(format!(
                "{} has {} and the model was trained on {} ({}); give data with the model's columns",
                dataset.source,
                counted(dataset.columns, "column"),
                d.features.len(),
                d.source
            )));
        }
        d.scaling.fill_missing(dataset);
        self.match_targets(dataset)?;
        dataset.weigh(parts, d.balanced_classes && matches!(dataset.y, Targets::Classes { .. }))?;
        Resident::check_memory(dataset)?;
        Ok(Resident::of(dataset, &d.scaling, &d.target_scaling, parts))
    }

    /// Brings class labels into the model's numbering.
    fn match_targets(&self, dataset: &mut Dataset) -> Result<()> {
        let d = &self.description;
        let mismatch = |found: &str| {
            Error::Shape(format!(
                "{} has {found} and the model predicts {}; give data with the model's targets",
                dataset.source,
                d.targets.join(", ")
            ))
        };
        match (&dataset.y, d.task) {
            (Targets::None, _) | (Targets::Inputs, Task::Autoencode) => Ok(()),
            (Targets::Classes { labels, names }, Task::Classify) => {
                if names == &d.targets {
                    return Ok(());
                }
                let map: Vec<Option<u32>> =
                    names.iter().map(|n| d.targets.iter().position(|t| t == n).map(|i| i as u32)).collect();
                let labels: Option<Vec<u32>> = labels.iter().map(|&l| map[l as usize]).collect();
                let labels = labels.ok_or_else(|| mismatch(&format!("the classes {}", names.join(", "))))?;
                dataset.y = Targets::Classes { labels, names: d.targets.clone() };
                Ok(())
            }
            (Targets::Numbers { names, .. }, Task::Regress) if names.len() == d.targets.len() => Ok(()),
            (Targets::Classes { .. }, _) => Err(mismatch("classes")),
            (Targets::Inputs, _) => Err(mismatch("the inputs themselves as targets")),
            (Targets::Numbers { names, .. }, _) => Err(mismatch(&format!("{} numbers", names.len()))),
        }
    }
}
