//! The path of penalties times seeds.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::ensemble::{Ensemble, Member, Trained};
use super::units::{Unit, units};
use super::{Score, SelectSettings, Stage};
use crate::data::{Dataset, ScaleKind, Scaling, Split, TargetScaling, Targets, Task, split};
use crate::engine::Device;
use crate::kernels::LossKind;
use crate::model::Plan;
use crate::network::{Layout, Network, Parameters};
use crate::relevance::Metric;
use crate::train::{Flow, Lasso, Progress, ReplicaSettings, Resident, Scores, Settings, input_relevance, rebalance};
use crate::{Error, Result};

/// Steps on the path, about; the dense start takes a share of them, and so does the refit.
const STEPS: usize = 900;
const DENSE_SHARE: f64 = 0.8;
const REFIT_SHARE: f64 = 0.5;
/// Of a penalty that starts from where the weaker one ended.
const WARM_SHARE: f64 = 1.0 / 3.0;
/// r_ψ relative to √(r_λ r_ψ). The other layers are penalised with r_ψ as well: at 1 they die before the inputs do.
const RATIO: f64 = 1.0 / 30.0;
/// Of the SGD that the proximal operator follows.
const MOMENTUM: f64 = 0.9;
/// Penalties of the coarse path that finds the grid's ends, and their range for inputs of spread 1.
const PROBES: usize = 12;
const PROBE_RANGE: (f64, f64) = (1e-3, 10.0);
/// The same for inputs that need less: from so much lower, and how many (the last is the first of the others).
const LOWER: f64 = 0.1;
const LOWER_PROBES: usize = 4;
/// Share of the units above which everything counts as kept.
const ALL: f64 = 0.95;
/// A network whose loss on the training rows is not below this share of a constant answer's uses nothing, whatever its
/// weights say: relevance is relative, and something is always the largest.
const NOTHING: f64 = 0.99;

/// The data as they are trained on, without constant columns.
pub(super) struct Prepared {
    pub dataset: Dataset,
    pub data: Resident,
    pub split: Split,
    pub network: Network,
    pub plan: Plan,
    /// Of the columns that vary, numbered among themselves.
    pub units: Vec<Unit>,
    /// Columns that vary, as numbered in the data as they were read.
    pub columns: Vec<usize>,
    pub constant: Vec<String>,
    pub metric: Metric,
    pub rows: &'static str,
    scale: ScaleKind,
    /// Root mean square of the inputs' standard deviations.
    spread: f64,
}

impl Prepared {
    pub fn new(dataset: &mut Dataset, groups: &[Unit], settings: &SelectSettings) -> Result<Self> {
        let parts = split(dataset, settings.validation, settings.test, settings.seed)?;
        if parts.validation.is_empty() {
            return Err(nothing_to_choose_by(dataset, settings.validation));
        }
        dataset.weigh(&parts, settings.balanced_classes)?;
        let kind = settings.scale.unwrap_or_else(|| ScaleKind::default_for(dataset));
        let scaling = Scaling::fit(kind, dataset, &parts.train)?;
        scaling.fill_missing(dataset);
        let varies = |c: &usize| scaling.std[*c] > 0.0;
        let columns: Vec<usize> = (0..dataset.columns).filter(varies).collect();
        let constant = (0..dataset.columns).filter(|c| !varies(c)).map(|c| dataset.features[c].name.clone()).collect();
        if columns.is_empty() {
            return Err(Error::input(
                &dataset.source,
                "columns",
                "every one is constant on the training rows",
                "give at least one that varies",
            ));
        }
        let place = |c: usize| columns.binary_search(&c).ok();
        let groups: Vec<Unit> = groups
            .iter()
            .map(|g| Unit { name: g.name.clone(), columns: g.columns.iter().filter_map(|&c| place(c)).collect() })
            .filter(|g| !g.columns.is_empty())
            .collect();
        let dataset = dataset.select_columns(&columns);
        let scaling = Scaling::fit(kind, &dataset, &parts.train)?;
        let plan = settings.plan(&dataset, true);
        let (outputs, task) = match &dataset.y {
            Targets::Classes { names, .. } => (names.len(), Task::Classify),
            Targets::Numbers { names, .. } => (names.len(), Task::Regress),
            _ => return Err(Error::Usage(format!("{} has no target to select for", dataset.source))),
        };
        let metric = Metric::of(task, settings.balanced_classes);
        let network = plan.architecture.build(dataset.columns, outputs)?;
        let target = TargetScaling::fit(&dataset, &parts.train);
        let data = crate::model::resident(&dataset, &scaling, &target, &parts);
        let squares: f64 = scaling.std.iter().map(|&s| f64::from(s).powi(2)).sum();
        let spread = (squares / scaling.std.len() as f64).sqrt();
        let rows = if parts.test.is_empty() { "validation" } else { "test" };
        let units = units(&dataset.features, &groups);
        let scale = kind;
        Ok(Prepared {
            dataset,
            data,
            split: parts,
            network,
            plan,
            units,
            columns,
            constant,
            metric,
            rows,
            scale,
            spread,
        })
    }

    /// The settings with what was left to the data filled in.
    pub fn settings_used(&self, settings: &SelectSettings) -> SelectSettings {
        let batch = self.plan.settings.batch;
        SelectSettings {
            loss: Some(self.plan.settings.loss),
            scale: Some(self.scale),
            epochs: Some(settings.epochs(self.training_rows(), batch, STEPS, 1.0)),
            batch: Some(batch),
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

    /// Columns that share an eigenvalue.
    fn groups(&self) -> Vec<Vec<u32>> {
        let several = self.units.iter().filter(|unit| unit.columns.len() > 1);
        several.map(|unit| unit.columns.iter().map(|&c| c as u32).collect()).collect()
    }

    /// Training rows.
    pub fn training_rows(&self) -> usize {
        self.data.train.len()
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

/// One penalty of the path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PathPoint {
    /// κ = 2√(r_λ r_ψ).
    pub penalty: f64,
    /// Units kept, mean over the seeds.
    pub kept: f64,
    /// On the validation rows, refitted.
    pub score: Score,
    /// Standard error of that score because there are only so many validation rows.
    pub rows_se: f64,
    /// On the test rows, refitted: for reporting, not for choosing.
    pub test: Score,
    /// λ̃ of each unit (`‖W[:,g]‖_F` of a group), mean over the seeds.
    pub relevance: Vec<f64>,
    /// The same relative to each network's largest, root mean square over the seeds: the norm of the column of all their
    /// first layers on top of each other, so what one network relies on isn't averaged away by those that use its substitute.
    pub relative: Vec<f64>,
}

/// What every network of the path kept.
#[derive(Debug, Clone)]
pub struct Path {
    pub points: Vec<PathPoint>,
    /// `[penalty][seed][unit]`.
    pub kept: Vec<Vec<Vec<bool>>>,
}

impl Path {
    /// Of the networks at a penalty, `[seed][unit]`.
    pub fn kept_at(&self, penalty: usize) -> &[Vec<bool>] {
        &self.kept[penalty]
    }

    /// Share of the networks at a penalty that keep each unit.
    pub fn stability(&self, penalty: usize) -> Vec<f64> {
        let networks = &self.kept[penalty];
        let share = |u: usize| networks.iter().filter(|k| k[u]).count() as f64 / networks.len() as f64;
        (0..networks[0].len()).map(share).collect()
    }
}

/// A path with what it started from.
pub(super) struct Walked {
    pub path: Path,
    pub all_features: Score,
    pub dense: Parameters,
}

/// Trains dense networks, finds the grid, walks the path and refits.
pub(super) fn walk(
    prepared: &Prepared,
    settings: &SelectSettings,
    device: &Device,
    observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow,
) -> Result<Walked> {
    let Prepared { network, data, plan, .. } = prepared;
    let batch = plan.settings.batch;
    let epochs = |share: f64| settings.epochs(prepared.training_rows(), batch, STEPS, share);
    let seeds: Vec<ReplicaSettings> = plan.settings.replicas.clone();
    let ensemble = |training: &Settings,
                    members: &[Member],
                    stage: Stage,
                    observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow| {
        Ensemble { network, data, settings: training, device }.train(members, &mut |progress| observe(stage, progress))
    };

    let dense_epochs = epochs(DENSE_SHARE);
    let training = Settings { epochs: dense_epochs, early_stop: Some(dense_epochs), ..plan.settings.clone() };
    let member = |&settings: &ReplicaSettings| Member { settings, start: None, columns: None };
    let dense = ensemble(&training, &seeds.iter().map(member).collect::<Vec<_>>(), Stage::Dense, observe)?;
    let metrics = |trained: &[Trained], of: fn(&Trained) -> &Scores| -> Vec<f64> {
        trained.iter().map(|t| of(t).metric).collect()
    };
    let all_features = Score::of(&metrics(&dense, |t| &t.test));
    let layout = Layout::new(network);
    let constant_loss = constant_loss(data, plan.settings.loss);
    let threshold = if settings.exact { 0.0 } else { settings.threshold };
    let strength = Strength { prepared, layout: &layout, constant_loss, threshold };

    let training = Settings {
        epochs: epochs(1.0),
        groups: prepared.groups(),
        lasso: settings.exact.then(|| Lasso { rate: 1.0 / (largest_moment(data) * settings.rate), momentum: MOMENTUM }),
        ..plan.settings.clone()
    };
    let member = |kappa: f64, seed: usize, from: &Parameters| {
        // κ = 2√(r_λ r_ψ); a fixed ratio keeps λ's scale, and so what a step of Adam is to it, the same along the path.
        let (reg_lambda, reg_psi) = (kappa / 2.0 / RATIO, kappa / 2.0 * RATIO);
        let replica = ReplicaSettings { reg_lambda, reg_psi, ..seeds[seed] };
        let start = rebalance(network, &layout, &replica, &training.groups, from);
        Member { settings: replica, start: Some(start), columns: None }
    };
    let at = |kappa: f64, seed: usize| member(kappa, seed, &dense[seed].parameters);
    let mut probes = geometric((PROBE_RANGE.0 * prepared.spread, PROBE_RANGE.1 * prepared.spread), PROBES);
    let members: Vec<Member> = probes.iter().map(|&kappa| at(kappa, 0)).collect();
    let probed = ensemble(&training, &members, Stage::Grid, observe)?;
    let mut counts: Vec<usize> = probed.iter().map(|t| strength.kept(t).iter().filter(|&&k| k).count()).collect();
    // Inputs that hardly vary (pixels at the edge) fall under the threshold of even the weakest: once more, below it.
    if (counts[0] as f64) < ALL * prepared.units.len() as f64 {
        let lower = geometric((PROBE_RANGE.0 * LOWER * prepared.spread, PROBE_RANGE.0 * prepared.spread), LOWER_PROBES);
        let lower = &lower[..LOWER_PROBES - 1];
        let members: Vec<Member> = lower.iter().map(|&kappa| at(kappa, 0)).collect();
        let probed = ensemble(&training, &members, Stage::Grid, observe)?;
        counts.splice(0..0, probed.iter().map(|t| strength.kept(t).iter().filter(|&&k| k).count()));
        probes.splice(0..0, lower.iter().copied());
    }
    let ends = ends(&probes, &counts, prepared.units.len());
    let Some(ends) = ends else {
        return Err(Error::input(
            &prepared.dataset.source,
            "columns",
            "every penalty drops every one: none tells anything about the target",
            "check the target, or give more rows",
        ));
    };

    let grid = geometric(ends, settings.penalties);
    let members: Vec<Member> = grid
        .iter()
        .flat_map(|&kappa| (0..seeds.len()).map(move |s| (kappa, s)))
        .map(|(kappa, s)| at(kappa, s))
        .collect();
    let walked = if settings.warm {
        let mut walked: Vec<Trained> = Vec::new();
        for (p, &kappa) in grid.iter().enumerate() {
            let start = |s: usize| if p == 0 { &dense[s] } else { &walked[(p - 1) * seeds.len() + s] };
            let members: Vec<Member> = (0..seeds.len()).map(|s| member(kappa, s, &start(s).parameters)).collect();
            let share = if p == 0 { 1.0 } else { WARM_SHARE };
            let training = Settings { epochs: epochs(share), ..training.clone() };
            walked.extend(ensemble(&training, &members, Stage::Path, observe)?);
        }
        walked
    } else {
        ensemble(&training, &members, Stage::Path, observe)?
    };
    let kept: Vec<Vec<bool>> = walked.iter().map(|t| strength.kept(t)).collect();

    let refit = |(r, t): (usize, &Trained)| {
        let units: Vec<usize> = (0..prepared.units.len()).filter(|&u| kept[r][u]).collect();
        let settings = ReplicaSettings { reg_lambda: 0.0, ..members[r].settings };
        Member { settings, start: Some(t.parameters.clone()), columns: Some(prepared.columns_of(&units)) }
    };
    let refits: Vec<Member> = walked.iter().enumerate().map(refit).collect();
    let training = Settings { epochs: epochs(REFIT_SHARE), rate: plan.settings.rate * 0.3, ..plan.settings.clone() };
    let refitted = ensemble(&training, &refits, Stage::Refit, observe)?;

    let n = prepared.units.len();
    let mut points = Vec::new();
    for (p, &penalty) in grid.iter().enumerate() {
        let range = p * seeds.len()..(p + 1) * seeds.len();
        let (mut relevance, mut relative) = (vec![0.0; n], vec![0.0; n]);
        for t in &walked[range.clone()] {
            let of = strength.relevance(t);
            let largest = of.iter().fold(0.0f64, |a, &b| a.max(b));
            for u in 0..n {
                relevance[u] += of[u] / seeds.len() as f64;
                if largest > 0.0 {
                    relative[u] += (of[u] / largest).powi(2) / seeds.len() as f64;
                }
            }
        }
        let counts = kept[range.clone()].iter().map(|k| k.iter().filter(|&&k| k).count() as f64);
        points.push(PathPoint {
            penalty,
            kept: counts.sum::<f64>() / seeds.len() as f64,
            score: Score::of(&metrics(&refitted[range.clone()], |t| &t.validation)),
            rows_se: rows_se(prepared, &refitted[range.clone()]),
            test: Score::of(&metrics(&refitted[range], |t| &t.test)),
            relevance,
            relative: relative.into_iter().map(f64::sqrt).collect(),
        });
    }
    let kept = kept.chunks(seeds.len()).map(<[_]>::to_vec).collect();
    let best = dense.iter().min_by(|a, b| a.validation.loss.total_cmp(&b.validation.loss)).expect("there is a seed");
    let dense = best.parameters.clone();
    Ok(Walked { path: Path { points, kept }, all_features, dense })
}

/// Standard error over the validation rows of a mean score: of a share of right answers, or of a mean absolute error.
pub(super) fn rows_se(prepared: &Prepared, networks: &[Trained]) -> f64 {
    let n = networks.len().max(1) as f64;
    let mean = |f: &dyn Fn(&Scores) -> f64| networks.iter().map(|t| f(&t.validation)).sum::<f64>() / n;
    let metric = mean(&|s| s.metric);
    let variance = match prepared.metric {
        Metric::Accuracy | Metric::BalancedAccuracy => metric * (1.0 - metric),
        // With several targets the two are in standard deviations.
        Metric::Mae => (mean(&|s| s.square) * prepared.data.unit.powi(2) - metric * metric).max(0.0),
    };
    // A weighted mean is as uncertain as that of fewer rows of one weight.
    (variance / prepared.data.effective_rows(prepared.data.validation.clone()).max(1.0)).sqrt()
}

/// `count` values from the first to the last with even ratios.
fn geometric((first, last): (f64, f64), count: usize) -> Vec<f64> {
    (0..count).map(|i| first * (last / first).powf(i as f64 / (count - 1).max(1) as f64)).collect()
}

/// From the strongest penalty that keeps all to the weakest that keeps nothing, as far as the probes reach; `None` when
/// even the weakest keeps nothing.
fn ends(probes: &[f64], kept: &[usize], units: usize) -> Option<(f64, f64)> {
    let something = kept.iter().rposition(|&k| k > 0)?;
    let all = kept.iter().take(something + 1).rposition(|&k| k as f64 >= ALL * units as f64).unwrap_or(0);
    let none = (something + 1).min(probes.len() - 1);
    // With one probe between them the path would be a point.
    let all = if all == none { all.saturating_sub(1) } else { all };
    Some((probes[all], probes[none]))
}

/// Says what a network kept.
struct Strength<'a> {
    prepared: &'a Prepared,
    layout: &'a Layout,
    constant_loss: f64,
    threshold: f64,
}

impl Strength<'_> {
    /// ‖W[:,g]‖_F of every unit.
    fn relevance(&self, trained: &Trained) -> Vec<f64> {
        let columns = input_relevance(&self.prepared.network, self.layout, &trained.parameters);
        let norm = |unit: &Unit| unit.columns.iter().map(|&c| columns[c].relevance.powi(2)).sum::<f64>().sqrt();
        self.prepared.units.iter().map(norm).collect()
    }

    fn kept(&self, trained: &Trained) -> Vec<bool> {
        let relevance = self.relevance(trained);
        let largest = relevance.iter().fold(0.0f64, |a, &b| a.max(b));
        let answers = trained.train.loss < NOTHING * self.constant_loss;
        relevance.iter().map(|&x| answers && x > self.threshold * largest).collect()
    }
}

/// The largest eigenvalue of the inputs' second moments `E[x xᵀ]` on some training rows: the loss is about so steep in the
/// first layer's weight, and 1 over it a safe rate for gradient descent there.
fn largest_moment(data: &Resident) -> f64 {
    const NUMBERS: usize = 4_000_000;
    const ITERATIONS: usize = 30;
    let n = data.columns;
    let train = &data.list[data.train.clone()];
    let rows = &train[..train.len().min((NUMBERS / n.max(1)).max(100))];
    let x = data.inputs(rows);
    // A start that no column's sign cancels; the power method only ever grows towards the largest.
    let mut v: Vec<f64> = x.chunks_exact(n).fold(vec![0.0; n], |mut sum, row| {
        sum.iter_mut().zip(row).for_each(|(s, x)| *s += x * x);
        sum
    });
    let mut largest = 0.0;
    for _ in 0..ITERATIONS {
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm == 0.0 {
            break;
        }
        v.iter_mut().for_each(|x| *x /= norm);
        let mut next = vec![0.0; n];
        for row in x.chunks_exact(n) {
            let dot: f64 = row.iter().zip(&v).map(|(x, v)| x * v).sum();
            next.iter_mut().zip(row).for_each(|(s, x)| *s += dot * x / rows.len() as f64);
        }
        largest = next.iter().zip(&v).map(|(a, b)| a * b).sum();
        v = next;
    }
    if largest > 0.0 { largest } else { 1.0 }
}

/// The training rows' loss of the constant answer that fits them best: their classes' shares, or their mean (0, since
/// targets are standardised); all of them weighted, as the loss is.
fn constant_loss(data: &Resident, kind: LossKind) -> f64 {
    let train = || data.list[data.train.clone()].iter().map(|&r| (r as usize, data.weight(r)));
    let total = data.total_weight(data.train.clone());
    if kind == LossKind::Ce {
        let mut of_class = vec![0.0; data.outputs];
        train().for_each(|(r, weight)| of_class[data.targets[r] as usize] += weight);
        return of_class.iter().filter(|&&weight| weight > 0.0).map(|w| -w * (w / total).ln()).sum::<f64>() / total;
    }
    let m = data.outputs;
    let loss = |&bits: &u32| match (kind, f64::from(f32::from_bits(bits))) {
        (LossKind::Mse, t) => t * t,
        (LossKind::Huber, t) if t.abs() <= 1.0 => t * t / 2.0,
        (LossKind::Huber, t) => t.abs() - 0.5,
        (LossKind::Mae | LossKind::Ce, t) => t.abs(),
    };
    let of_row = |r: usize| data.targets[r * m..(r + 1) * m].iter().map(loss).sum::<f64>();
    train().map(|(r, weight)| weight * of_row(r)).sum::<f64>() / (total * m as f64)
}

/// The score, on some places of the row list, of the best constant answer to the training rows: their most frequent class, or
/// their median.
pub(super) fn constant_score(prepared: &Prepared, places: Range<usize>) -> f64 {
    let data = &prepared.data;
    let total = data.total_weight(places.clone());
    let rows = |places: Range<usize>| data.list[places].iter().map(|&r| (r as usize, data.weight(r)));
    if prepared.metric.is_share() {
        let mut of_class = vec![0.0; data.outputs];
        rows(data.train.clone()).for_each(|(r, weight)| of_class[data.targets[r] as usize] += weight);
        let most = of_class.iter().copied().fold(0.0, f64::max);
        let answer = of_class.iter().position(|&weight| weight == most).unwrap_or(0);
        return rows(places).filter(|&(r, _)| data.targets[r] as usize == answer).map(|(_, w)| w).sum::<f64>() / total;
    }
    let m = data.outputs;
    let target = |r: usize, c: usize| f64::from(f32::from_bits(data.targets[r * m + c]));
    let error = |c: usize| {
        let mut values: Vec<(f64, f64)> = rows(data.train.clone()).map(|(r, weight)| (target(r, c), weight)).collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let half = data.total_weight(data.train.clone()) / 2.0;
        let mut below = 0.0;
        let reaches = |&&(_, weight): &&(f64, f64)| {
            below += weight;
            below >= half
        };
        let median = values.iter().find(reaches).map_or(0.0, |&(value, _)| value);
        rows(places.clone()).map(|(r, weight)| weight * (target(r, c) - median).abs()).sum::<f64>() / total
    };
    (0..m).map(error).sum::<f64>() / m as f64 * data.unit
}

/// What the scores along the path say.
pub(super) struct Choice {
    pub penalty: usize,
    /// Units to choose.
    pub count: usize,
    /// Of each unit: relevance relative to the network's largest, root mean square over the penalties within one standard error of
    /// the best and over their networks. One penalty's score is too noisy to trust its order alone.
    pub relative: Vec<f64>,
}

impl Walked {
    /// The strongest penalty whose score is within one standard error of the best, among those that keep anything or as many
    /// units as are asked for.
    pub fn choose(&self, settings: &SelectSettings, metric: Metric) -> Result<Choice> {
        let points = &self.path.points;
        let gain = |score: f64| if metric.is_share() { score } else { -score };
        let eligible: Vec<usize> = match settings.features {
            // Before the first that keeps fewer; the weakest keeps most, if not enough.
            Some(k) => (0..points.iter().take_while(|p| p.kept >= k as f64).count().max(1)).collect(),
            None => (0..points.len()).filter(|&p| self.most(p) > 0).collect(),
        };
        let better = |&a: &usize, &b: &usize| gain(points[a].score.mean).total_cmp(&gain(points[b].score.mean));
        let Some(best) = eligible.iter().copied().max_by(better) else {
            return Err(Error::Usage(
                "no feature is kept by most networks at any penalty; use more --seeds or rows".into(),
            ));
        };
        // The seeds share their validation rows, so their spread alone would say too little.
        let bar = gain(points[best].score.mean) - points[best].score.se.hypot(points[best].rows_se);
        let good: Vec<usize> = eligible.into_iter().filter(|&p| gain(points[p].score.mean) >= bar).collect();
        let penalty = good.last().copied().unwrap_or(best);
        let mean_square =
            |u: usize| good.iter().map(|&p| points[p].relative[u].powi(2)).sum::<f64>() / good.len() as f64;
        let relative = (0..points[0].relative.len()).map(|u| mean_square(u).sqrt()).collect();
        Ok(Choice { penalty, count: settings.features.unwrap_or_else(|| self.most(penalty)), relative })
    }

    /// Units that at least half of a penalty's networks keep.
    fn most(&self, penalty: usize) -> usize {
        self.path.stability(penalty).iter().filter(|&&share| share >= 0.5).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_spans_what_is_between_all_and_nothing() {
        let probes = geometric((1e-3, 1.0), 4);
        assert!(probes.iter().zip([1e-3, 1e-2, 1e-1, 1.0]).all(|(a, b)| (a / b - 1.0).abs() < 1e-12));
        assert_eq!(ends(&probes, &[10, 10, 4, 0], 10), Some((probes[1], probes[3])));
        assert_eq!(ends(&probes, &[9, 5, 0, 0], 10), Some((probes[0], probes[2])));
        assert_eq!(ends(&probes, &[10, 10, 10, 10], 10), Some((probes[2], probes[3])));
        assert_eq!(ends(&probes, &[0, 0, 0, 0], 10), None);
    }
}
