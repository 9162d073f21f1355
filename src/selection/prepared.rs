//! The data as they are selected from: split or dealt into folds, scaled, without constant columns.

use std::ops::Range;

use super::SelectSettings;
use super::ensemble::Trained;
use crate::assess::constant_score;
use crate::data::{Dataset, ScaleKind, Scaling, Split, TargetScaling, Targets, Task, Unit, input_of, split};
use crate::model::Plan;
use crate::network::Network;
use crate::train::{Metric, Resident, Scores};
use crate::{Error, Result};

/// Steps on the path, about; the dense start takes a share of them, and so does the refit.
pub(super) const STEPS: usize = 900;

/// The data as they are trained on, without constant columns.
pub(super) struct Prepared {
    pub dataset: Dataset,
    pub data: Resident,
    /// Training, validation and test rows: those of the first fold, where there are folds.
    pub split: Split,
    /// Each fold's rows in the same three parts; empty: `split` for all.
    pub lists: Vec<Vec<u32>>,
    /// How many folds hold every row out once; 0: fixed validation rows.
    pub folds: usize,
    pub network: Network,
    pub plan: Plan,
    /// Of the columns that vary, numbered among themselves.
    pub units: Vec<Unit>,
    /// Columns that vary, as numbered in the data as they were read.
    pub columns: Vec<usize>,
    /// How many there are as they were read.
    pub all_columns: usize,
    pub constant: Vec<String>,
    pub metric: Metric,
    pub rows: &'static str,
    scale: ScaleKind,
    /// Root mean square of the inputs' standard deviations.
    pub spread: f64,
}

impl Prepared {
    pub fn new(dataset: &mut Dataset, groups: &[Unit], settings: &SelectSettings) -> Result<Self> {
        let parts = split(dataset, settings.validation, settings.test, settings.seed)?;
        if parts.validation.is_empty() {
            return Err(nothing_to_choose_by(dataset, settings.validation));
        }
        let (parts, lists) = settings.fold(dataset, parts);
        let fitted = fitted(&parts, !lists.is_empty());
        let all = Split { train: fitted.clone(), validation: Vec::new(), test: parts.test.clone() };
        dataset.weigh(if lists.is_empty() { &parts } else { &all }, settings.balanced_classes)?;
        // What of the plan decides this doesn't depend on the columns: they are the same for those that vary.
        let plan = settings.plan(dataset, true)?;
        let scaling = plan.scaling(dataset, &fitted)?;
        scaling.fill_missing(dataset);
        // Of channels it doesn't tell which columns are constant.
        let by_column =
            settings.chooses_channels().then(|| Scaling::fit(scaling.kind, dataset, &fitted)).transpose()?;
        let (columns, constant) = varying(dataset, &plan.sources(dataset), by_column.as_ref().unwrap_or(&scaling))?;
        let place = |c: usize| columns.binary_search(&c).ok();
        let groups: Vec<Unit> = groups
            .iter()
            .map(|g| Unit { name: g.name.clone(), columns: g.columns.iter().filter_map(|&c| place(c)).collect() })
            .filter(|g| !g.columns.is_empty())
            .collect();
        let all_columns = dataset.columns;
        let reconstructs = matches!(dataset.y, Targets::Inputs);
        if reconstructs {
            Resident::check_memory(dataset)?;
            dataset.reconstruct(&columns);
        }
        let dataset = dataset.select_columns(&columns);
        let mut plan = settings.plan(&dataset, true)?;
        let scaling = plan.scaling(&dataset, &fitted)?;
        let (outputs, task) = match &dataset.y {
            Targets::Classes { names, .. } => (names.len(), Task::Classify),
            Targets::Numbers { names, .. } => (names.len(), Task::Regress),
            _ => return Err(Error::Usage(format!("{} has no target to select for", dataset.source))),
        };
        let metric = Metric::of(task, settings.balanced_classes);
        let network = plan.architecture.build(input_of(&dataset.axes), outputs)?;
        if reconstructs {
            plan.target_scaling = Some(TargetScaling::as_inputs(&scaling));
        }
        let target = plan.target_scaling(&dataset, &scaling, &fitted)?;
        let data = Resident::of(&dataset, &scaling, &target, &parts);
        let squares: f64 = scaling.std.iter().map(|&s| s.powi(2)).sum();
        let spread = (squares / scaling.std.len() as f64).sqrt();
        let rows = if parts.test.is_empty() { "validation" } else { "test" };
        let units = plan.units(&dataset, &groups);
        Ok(Prepared {
            dataset,
            data,
            folds: if lists.is_empty() { 0 } else { fitted.len().div_ceil(parts.validation.len()) },
            split: parts,
            lists,
            network,
            plan,
            units,
            columns,
            all_columns,
            constant,
            metric,
            rows,
            scale: scaling.kind,
            spread,
        })
    }

    /// The plan of a network that is trained anew on some of the columns.
    pub fn retraining(&self, settings: &SelectSettings, dataset: &Dataset) -> Result<Plan> {
        let target_scaling = self.plan.target_scaling.clone();
        Ok(Plan { target_scaling, ..settings.plan(dataset, false)? })
    }

    /// The settings with what was left to the data filled in.
    pub fn settings_used(&self, settings: &SelectSettings) -> SelectSettings {
        let batch = self.plan.settings.batch;
        SelectSettings {
            hidden: Some(self.plan.architecture.hidden.clone()),
            loss: Some(self.plan.settings.loss),
            scale: Some(self.scale),
            epochs: Some(settings.epochs(self.training_rows(), batch, STEPS, 1.0)),
            batch: Some(batch),
            folds: Some(self.folds),
            ..settings.clone()
        }
    }

    /// Columns (among those that vary) of some units, ascending.
    pub fn columns_of(&self, chosen: &[usize]) -> Vec<usize> {
        let mut columns: Vec<usize> = chosen.iter().flat_map(|&u| self.units[u].columns.clone()).collect();
        columns.sort_unstable();
        columns
    }

    /// The units with the column numbers of the data as they were read.
    pub fn original_units(&self) -> Vec<Unit> {
        let columns = |unit: &Unit| unit.columns.iter().map(|&c| self.columns[c]).collect();
        self.units.iter().map(|unit| Unit { name: unit.name.clone(), columns: columns(unit) }).collect()
    }

    /// The rows that scalings are fitted on: training rows, of any fold.
    pub fn fitted(&self) -> Vec<u32> {
        fitted(&self.split, !self.lists.is_empty())
    }

    /// The constant answer's score on the validation rows, mean over the folds.
    pub fn constant_on_validation(&self) -> f64 {
        // To the rows of all folds: with balanced classes their weights are even over these alone.
        let fitted = self.fitted();
        let of =
            |list: &Vec<u32>| constant_score(&self.data, self.metric, &fitted, &list[self.data.validation.clone()]);
        let lists = if self.lists.is_empty() { std::slice::from_ref(&self.data.list) } else { &self.lists[..] };
        lists.iter().map(of).sum::<f64>() / lists.len() as f64
    }

    /// The same on the test rows; `None` without any.
    pub fn constant_on_test(&self) -> Option<f64> {
        let rows = &self.data.list[self.data.test.clone()];
        (!rows.is_empty()).then(|| constant_score(&self.data, self.metric, &self.fitted(), rows))
    }

    /// Where the rows are that scores are reported on: the test rows, or the validation rows where there are none.
    pub fn reported(&self) -> Range<usize> {
        if self.data.test.is_empty() { self.data.validation.clone() } else { self.data.test.clone() }
    }

    /// Training rows.
    pub fn training_rows(&self) -> usize {
        self.data.train.len()
    }
}

/// Columns of the inputs that vary, and the names of the others. A channel varies where any of its columns does.
fn varying(dataset: &Dataset, sources: &[Unit], scaling: &Scaling) -> Result<(Vec<usize>, Vec<String>)> {
    let constant = scaling.constant();
    let (constant, vary): (Vec<&Unit>, Vec<&Unit>) =
        sources.iter().partition(|unit| unit.columns.iter().all(|&c| constant[c]));
    if vary.is_empty() {
        return Err(Error::input(
            &dataset.source,
            "columns",
            "every one is constant on the training rows",
            "give at least one that varies",
        ));
    }
    let mut columns: Vec<usize> = vary.into_iter().flat_map(|unit| unit.columns.clone()).collect();
    columns.sort_unstable();
    Ok((columns, constant.into_iter().map(|unit| unit.name.clone()).collect()))
}

/// Training rows, and with folds those that the first one holds out.
fn fitted(parts: &Split, folds: bool) -> Vec<u32> {
    let mut rows = parts.train.clone();
    if folds {
        rows.extend(&parts.validation);
        rows.sort_unstable();
    }
    rows
}

impl SelectSettings {
    /// A split by the first fold of the rows that aren't for the test, and the row list of every seed's fold; none where the
    /// validation rows are fixed.
    fn fold(&self, dataset: &Dataset, parts: Split) -> (Split, Vec<Vec<u32>>) {
        /// Validation rows from which on a share of right answers around 0.95 is certain to a hundredth.
        const ENOUGH: usize = 400;
        let few = if parts.validation.len() < ENOUGH { 5 } else { 0 };
        let folds = self.folds.unwrap_or(few);
        let mut rows = [&parts.train[..], &parts.validation].concat();
        rows.sort_unstable();
        if folds < 2 || rows.len() < 2 * folds {
            return (parts, Vec::new());
        }
        let class = |row: u32| match &dataset.y {
            Targets::Classes { labels, .. } => labels[row as usize],
            _ => 0,
        };
        let round = |r: u64| crate::assess::folds(&rows, &class, folds, self.seed.wrapping_add(r));
        let folded: Vec<_> = (0..self.seeds.div_ceil(folds) as u64).flat_map(round).take(self.seeds).collect();
        let lists = folded.iter().map(|(train, held)| [&train[..], held, &parts.test].concat()).collect();
        let (train, validation) = folded[0].clone();
        (Split { train, validation, test: parts.test }, lists)
    }
}

/// Why there are no validation rows: classes that can't spare any, or too few rows.
fn nothing_to_choose_by(dataset: &Dataset, share: f64) -> Error {
    let own = dataset.test_from.unwrap_or(dataset.rows);
    if let Targets::Classes { names, .. } = &dataset.y {
        let single = names.len() == own;
        if single || (own as f64 * share).round() >= 1.0 {
            let problem = if single {
                format!("each of the {own} classes has one row")
            } else {
                format!("{own} rows of {} classes leave none for validation", names.len())
            };
            let number = names.iter().all(|name| name.trim().parse::<f64>().is_ok());
            let remedy = if number {
                "use --task regress if the target is a number, otherwise group the classes"
            } else {
                "group the classes into fewer, or give more rows of each"
            };
            return Error::input(&dataset.source, "target", problem, remedy);
        }
    }
    Error::Usage(format!(
        "{} has {own} rows, of which --validation {share} takes none; select needs some to choose by",
        dataset.source
    ))
}

/// Columns that share an eigenvalue: those of one unit. Behind a convolution a channel's do so anyway.
pub(super) fn tied(network: &Network, units: &[Unit]) -> Vec<Vec<u32>> {
    let several = units.iter().filter(|unit| unit.columns.len() > 1 && !network.ranks_channels());
    several.map(|unit| unit.columns.iter().map(|&c| c as u32).collect()).collect()
}

/// Standard error of a mean score because there are only so many validation rows.
pub(super) fn rows_se(prepared: &Prepared, networks: &[Trained]) -> f64 {
    let data = &prepared.data;
    // A weighted mean is as uncertain as that of fewer rows of one weight; each fold has rows of its own.
    let folds = prepared.lists.len().min(networks.len()).max(1) as f64;
    let held = data.effective_rows(data.validation.clone()).max(1.0);
    let all = (data.train.len() + data.validation.len()) as f64;
    let scores: Vec<Scores> = networks.iter().map(|t| t.validation).collect();
    mean_se(prepared, &scores, (folds * held).min(all))
}

/// The same for the rows that scores are reported on, which are all networks'.
pub(super) fn reported_rows_se(prepared: &Prepared, networks: &[Scores]) -> f64 {
    let rows = prepared.data.effective_rows(prepared.reported()).max(1.0);
    mean_se(prepared, networks, rows)
}

/// Standard error over so many rows of a mean score: of a share of right answers, or of a mean absolute error.
fn mean_se(prepared: &Prepared, networks: &[Scores], rows: f64) -> f64 {
    let n = networks.len().max(1) as f64;
    let mean = |f: &dyn Fn(&Scores) -> f64| networks.iter().map(f).sum::<f64>() / n;
    let metric = mean(&|s| s.metric);
    let variance = match prepared.metric {
        // Never 0, however few are all right: two rows right and two wrong are added (Agresti and Coull, as in `assess`).
        Metric::Accuracy | Metric::BalancedAccuracy => {
            let p = (metric * rows + 2.0) / (rows + 4.0);
            p * (1.0 - p)
        }
        // With several targets the two are in standard deviations.
        Metric::Mae => (mean(&|s| s.square) * prepared.data.unit.powi(2) - metric * metric).max(0.0),
    };
    (variance / rows).sqrt()
}
