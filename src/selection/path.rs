//! The path of penalties times seeds.

use serde::{Deserialize, Serialize};

use super::ensemble::{Ensemble, Member, Trained};
use super::prepared::{Prepared, STEPS, reported_rows_se, rows_se, tied};
use super::{Score, SelectSettings, Stage};
use crate::data::Unit;
use crate::engine::Device;
use crate::network::{Layout, Network, Parameters};
use crate::train::Metric;
use crate::train::{Flow, Lasso, Progress, ReplicaSettings, Scores, Settings, rebalance, unit_relevance};
use crate::{Error, Result};

pub(super) const DENSE_SHARE: f64 = 0.8;
pub(super) const REFIT_SHARE: f64 = 0.5;
/// Of a penalty that starts from where the weaker one ended.
pub(super) const WARM_SHARE: f64 = 1.0 / 3.0;
/// r_ψ relative to √(r_λ r_ψ). The other layers are penalised with r_ψ as well: at 1 they die before the inputs do.
const RATIO: f64 = 1.0 / 30.0;
/// Of the SGD that the proximal operator follows.
const MOMENTUM: f64 = 0.9;
/// Penalties of the coarse path that finds the grid's ends, and their range for inputs of spread 1.
pub(super) const PROBES: usize = 12;
const PROBE_RANGE: (f64, f64) = (1e-3, 10.0);
/// The same for inputs that need less: from so much lower, and how many (the last is the first of the others).
const LOWER: f64 = 0.1;
const LOWER_PROBES: usize = 4;
/// And for those that need more.
const HIGHER: f64 = 10.0;
/// Share of the units above which everything counts as kept.
const ALL: f64 = 0.95;
/// Penalties that are probed at once, the strongest first.
pub(super) const AT_ONCE: usize = 4;
/// A network whose loss on the training rows is not below this share of a constant answer's uses nothing, whatever its
/// weights say: relevance is relative, and something is always the largest.
const NOTHING: f64 = 0.99;

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
    pub fn kept_by(&self, penalty: usize) -> Vec<f64> {
        let networks = &self.kept[penalty];
        let share = |u: usize| networks.iter().filter(|k| k[u]).count() as f64 / networks.len() as f64;
        (0..networks[0].len()).map(share).collect()
    }
}

/// A path with what it started from.
pub(super) struct Walked {
    pub path: Path,
    pub all_features: Score,
    pub all_features_rows_se: f64,
    pub dense: Parameters,
}

/// Trains dense networks, finds the grid, walks the path and refits.
pub(super) fn walk(walker: &Walker<'_>, observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow) -> Result<Walked> {
    let dense = walker.dense(observe)?;
    let grid = geometric(walker.ends(&dense[0].parameters, observe)?, walker.settings.penalties);
    let walked = walker.path(&grid, &dense, observe)?;
    let kept: Vec<Vec<bool>> = walked.iter().map(|t| walker.strength.kept(t)).collect();
    let refitted = walker.refit(&grid, &walked, &kept, observe)?;
    let points = walker.points(&grid, &walked, &kept, &refitted);
    let seeds = walker.seeds().len();
    let kept = kept.chunks(seeds).map(<[_]>::to_vec).collect();
    let tests: Vec<Scores> = dense.iter().map(|t| t.test).collect();
    let all_features = Score::of(&tests.iter().map(|t| t.metric).collect::<Vec<f64>>());
    let all_features_rows_se = reported_rows_se(walker.prepared, &tests);
    let best = dense.into_iter().min_by(|a, b| a.validation.loss.total_cmp(&b.validation.loss));
    let dense = best.expect("invariant: there is a seed").parameters;
    Ok(Walked { path: Path { points, kept }, all_features, all_features_rows_se, dense })
}

/// What the stages of a path share. Networks of several penalties are in the order `[penalty][seed]`.
pub(super) struct Walker<'a> {
    pub prepared: &'a Prepared,
    pub settings: &'a SelectSettings,
    pub device: &'a Device,
    pub strength: Strength<'a>,
    /// Of the stages with a penalty on the inputs.
    pub training: Settings,
    /// What r_λ is multiplied by: as many entries as a channel's slice of a convolution has for each of a column.
    taps: f64,
}

impl<'a> Walker<'a> {
    pub fn new(prepared: &'a Prepared, settings: &'a SelectSettings, device: &'a Device) -> Self {
        let base = &prepared.plan.settings;
        let lasso = || Lasso { rate: 1.0 / (steepness(prepared) * settings.rate), momentum: MOMENTUM };
        let taps = prepared.network.first_layer().map_or(1, |first| first.taps);
        let training = Settings {
            epochs: settings.epochs(prepared.training_rows(), base.batch, STEPS, 1.0),
            groups: tied(&prepared.network, &prepared.units),
            lasso: settings.exact.then(lasso),
            ..base.clone()
        };
        let strength = Strength {
            network: &prepared.network,
            layout: Layout::new(&prepared.network),
            units: &prepared.units,
            threshold: if settings.exact { 0.0 } else { settings.threshold },
        };
        // The proximal operator counts the entries itself.
        let taps = if settings.exact { 1.0 } else { taps as f64 };
        Walker { prepared, settings, device, strength, training, taps }
    }

    fn seeds(&self) -> &[ReplicaSettings] {
        &self.prepared.plan.settings.replicas
    }

    /// Passes that make this share of the path's steps.
    fn epochs(&self, share: f64) -> usize {
        self.epochs_of(self.prepared.training_rows(), share)
    }

    /// The same for so many training rows.
    pub fn epochs_of(&self, rows: usize, share: f64) -> usize {
        self.settings.epochs(rows, self.training.batch, STEPS, share)
    }

    fn train(
        &self,
        stage: Stage,
        training: &Settings,
        members: &[Member],
        observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow,
    ) -> Result<Vec<Trained>> {
        let Prepared { network, data, .. } = self.prepared;
        let lists = &self.prepared.lists;
        let units = &self.prepared.units;
        let ensemble = Ensemble { network, data, lists, units, settings: training, device: self.device };
        ensemble.train(members, &mut |progress| observe(stage, progress))
    }

    /// A seed's penalties. κ = 2√(r_λ r_ψ); a fixed ratio keeps λ's scale, and so what a step of Adam is to it, the same along
    /// the path. With r_λ times its entries the group lasso's strength on a channel is κ√taps, as it is κ√|g| on a group.
    pub fn replica(&self, kappa: f64, seed: usize) -> ReplicaSettings {
        ReplicaSettings {
            reg_lambda: kappa / 2.0 / RATIO * self.taps,
            reg_psi: kappa / 2.0 * RATIO,
            ..self.seeds()[seed]
        }
    }

    fn member(&self, kappa: f64, seed: usize, from: &Parameters) -> Member {
        let replica = self.replica(kappa, seed);
        let start = rebalance(&self.prepared.network, &self.strength.layout, &replica, &self.training.groups, from);
        Member { settings: replica, start: Some(start), columns: None, list: seed }
    }

    /// One network for each seed, without penalties.
    fn dense(&self, observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow) -> Result<Vec<Trained>> {
        let epochs = self.epochs(DENSE_SHARE);
        let training = Settings { epochs, early_stop: Some(epochs), ..self.prepared.plan.settings.clone() };
        let member = |(list, &settings)| Member { settings, start: None, columns: None, list };
        let members: Vec<Member> = self.seeds().iter().enumerate().map(member).collect();
        self.train(Stage::Dense, &training, &members, observe)
    }

    /// The weakest and the strongest penalty of the grid, found by a coarse path of one seed.
    fn ends(&self, from: &Parameters, observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow) -> Result<(f64, f64)> {
        let Prepared { spread, units, dataset, .. } = self.prepared;
        let all = ALL * units.len() as f64;
        let mut counts = |probes: &[f64]| -> Result<Vec<usize>> {
            let members: Vec<Member> = probes.iter().map(|&kappa| self.member(kappa, 0, from)).collect();
            let probed = self.train(Stage::Grid, &self.training, &members, observe)?;
            Ok(probed.iter().map(|t| self.strength.kept(t).iter().filter(|&&k| k).count()).collect())
        };
        let range = geometric((PROBE_RANGE.0 * spread, PROBE_RANGE.1 * spread), PROBES);
        let (mut probes, mut kept) = (Vec::new(), Vec::new());
        // What is weaker than a penalty that keeps all isn't asked for.
        for some in range.rchunks(AT_ONCE) {
            kept.splice(0..0, counts(some)?);
            probes.splice(0..0, some.iter().copied());
            if kept.iter().any(|&kept| kept as f64 >= all) {
                break;
            }
        }
        // Inputs that hardly vary (pixels at the edge) fall under the threshold of even the weakest: once more, below it.
        if kept.iter().all(|&kept| (kept as f64) < all) {
            let mut lower = geometric((PROBE_RANGE.0 * LOWER * spread, PROBE_RANGE.0 * spread), LOWER_PROBES);
            lower.pop();
            kept.splice(0..0, counts(&lower)?);
            probes.splice(0..0, lower);
        }
        // Inputs that the network reads at many places (a channel's) may outlive even the strongest.
        if kept.last().is_some_and(|&kept| kept > 0) {
            let higher = geometric((PROBE_RANGE.1 * spread, PROBE_RANGE.1 * HIGHER * spread), LOWER_PROBES);
            kept.extend(counts(&higher[1..])?);
            probes.extend(&higher[1..]);
        }
        ends(&probes, &kept, all).ok_or_else(|| {
            Error::input(
                &dataset.source,
                "columns",
                "every penalty drops every one: none tells anything about the target",
                "check the target, or give more rows",
            )
        })
    }

    /// All penalties side by side from the dense networks, or one from the other.
    fn path(
        &self,
        grid: &[f64],
        dense: &[Trained],
        observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow,
    ) -> Result<Vec<Trained>> {
        let from = |kappa: f64, start: &[Trained]| -> Vec<Member> {
            start.iter().enumerate().map(|(seed, t)| self.member(kappa, seed, &t.parameters)).collect()
        };
        if !self.settings.warm {
            let members: Vec<Member> = grid.iter().flat_map(|&kappa| from(kappa, dense)).collect();
            return self.train(Stage::Path, &self.training, &members, observe);
        }
        let mut walked: Vec<Trained> = Vec::new();
        for (p, &kappa) in grid.iter().enumerate() {
            let (start, share) =
                if p == 0 { (dense, 1.0) } else { (&walked[walked.len() - dense.len()..], WARM_SHARE) };
            let training = Settings { epochs: self.epochs(share), ..self.training.clone() };
            walked.extend(self.train(Stage::Path, &training, &from(kappa, start), observe)?);
        }
        Ok(walked)
    }

    /// Every network trained on with what it kept alone, and without a penalty on λ.
    fn refit(
        &self,
        grid: &[f64],
        walked: &[Trained],
        kept: &[Vec<bool>],
        observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow,
    ) -> Result<Vec<Trained>> {
        let seeds = self.seeds().len();
        let member = |(r, t): (usize, &Trained)| {
            let units: Vec<usize> = (0..kept[r].len()).filter(|&u| kept[r][u]).collect();
            let settings = ReplicaSettings { reg_lambda: 0.0, ..self.replica(grid[r / seeds], r % seeds) };
            let columns = Some(self.prepared.columns_of(&units));
            Member { settings, start: Some(t.parameters.clone()), columns, list: r % seeds }
        };
        let members: Vec<Member> = walked.iter().enumerate().map(member).collect();
        let base = &self.prepared.plan.settings;
        let training = Settings { epochs: self.epochs(REFIT_SHARE), rate: base.rate * 0.3, ..base.clone() };
        self.train(Stage::Refit, &training, &members, observe)
    }

    fn points(&self, grid: &[f64], walked: &[Trained], kept: &[Vec<bool>], refitted: &[Trained]) -> Vec<PathPoint> {
        let seeds = self.seeds().len();
        let point = |(p, &penalty): (usize, &f64)| {
            let of = p * seeds..(p + 1) * seeds;
            let (walked, kept, refitted) = (&walked[of.clone()], &kept[of.clone()], &refitted[of]);
            let n = self.prepared.units.len();
            let (mut relevance, mut relative) = (vec![0.0; n], vec![0.0; n]);
            for t in walked {
                let of = self.strength.relevance(t);
                let largest = of.iter().fold(0.0f64, |a, &b| a.max(b));
                for u in 0..n {
                    relevance[u] += of[u] / seeds as f64;
                    if largest > 0.0 {
                        relative[u] += (of[u] / largest).powi(2) / seeds as f64;
                    }
                }
            }
            let score = |of: fn(&Trained) -> f64| Score::of(&refitted.iter().map(of).collect::<Vec<f64>>());
            PathPoint {
                penalty,
                kept: kept.iter().flatten().filter(|&&k| k).count() as f64 / seeds as f64,
                score: score(|t| t.validation.metric),
                rows_se: rows_se(self.prepared, refitted),
                test: score(|t| t.test.metric),
                relevance,
                relative: relative.into_iter().map(f64::sqrt).collect(),
            }
        };
        grid.iter().enumerate().map(point).collect()
    }
}

/// `count` values from the first to the last with even ratios.
fn geometric((first, last): (f64, f64), count: usize) -> Vec<f64> {
    (0..count).map(|i| first * (last / first).powf(i as f64 / (count - 1).max(1) as f64)).collect()
}

/// From the strongest penalty that keeps `all` to the weakest that keeps nothing, as far as the probes reach; `None` when
/// even the weakest keeps nothing.
fn ends(probes: &[f64], kept: &[usize], all: f64) -> Option<(f64, f64)> {
    let something = kept.iter().rposition(|&k| k > 0)?;
    let all = kept.iter().take(something + 1).rposition(|&k| k as f64 >= all).unwrap_or(0);
    let none = (something + 1).min(probes.len() - 1);
    // With one probe between them the path would be a point.
    let all = if all == none { all.saturating_sub(1) } else { all };
    Some((probes[all], probes[none]))
}

/// Says what a network kept.
pub(super) struct Strength<'a> {
    network: &'a Network,
    layout: Layout,
    units: &'a [Unit],
    threshold: f64,
}

impl Strength<'_> {
    /// The same for a network of other units.
    pub fn of<'b>(&self, network: &'b Network, units: &'b [Unit]) -> Strength<'b> {
        Strength { network, layout: Layout::new(network), units, threshold: self.threshold }
    }

    /// ‖W[:,g]‖_F of every unit.
    pub fn relevance(&self, trained: &Trained) -> Vec<f64> {
        unit_relevance(self.network, &self.layout, &trained.parameters, self.units)
    }

    pub fn kept(&self, trained: &Trained) -> Vec<bool> {
        let relevance = self.relevance(trained);
        let largest = relevance.iter().fold(0.0f64, |a, &b| a.max(b));
        let answers = trained.train.loss < NOTHING * trained.constant_loss;
        relevance.iter().map(|&x| answers && x > self.threshold * largest).collect()
    }
}

/// About how steep the loss is in the first layer's weight: 1 over it is a safe rate for gradient descent there. The largest eigenvalue of the
/// inputs' second moments `E[x xᵀ]` on some training rows; a convolution's kernel reads a sum over all places of `[channels · taps]`
/// numbers, whose moments' largest eigenvalue is that of `E[Σ x xᵀ]`, x being the channels at a place, times the taps at most.
fn steepness(prepared: &Prepared) -> f64 {
    const NUMBERS: usize = 4_000_000;
    let Prepared { data, network, units, .. } = prepared;
    let train = &data.list[data.train.clone()];
    let rows = &train[..train.len().min((NUMBERS / data.columns.max(1)).max(100))];
    let x = data.inputs(rows);
    let Some(first) = network.first_layer().filter(|first| first.channels) else {
        return largest_moment(&x, data.columns, rows.len());
    };
    let places = || 0..units[0].columns.len();
    let of_row = |row: &[f64]| {
        places().flat_map(|p| units.iter().map(move |u| (p, u))).map(|(p, u)| row[u.columns[p]]).collect::<Vec<_>>()
    };
    let at_places: Vec<f64> = x.chunks_exact(data.columns).flat_map(of_row).collect();
    first.taps as f64 * largest_moment(&at_places, units.len(), rows.len())
}

/// The largest eigenvalue of `Σ x xᵀ / count` over vectors of n numbers, one behind the other.
fn largest_moment(x: &[f64], n: usize, count: usize) -> f64 {
    const ITERATIONS: usize = 30;
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
            next.iter_mut().zip(row).for_each(|(s, x)| *s += dot * x / count as f64);
        }
        largest = next.iter().zip(&v).map(|(a, b)| a * b).sum();
        v = next;
    }
    if largest > 0.0 { largest } else { 1.0 }
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
        self.path.kept_by(penalty).iter().filter(|&&share| share >= 0.5).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_spans_what_is_between_all_and_nothing() {
        let probes = geometric((1e-3, 1.0), 4);
        assert!(probes.iter().zip([1e-3, 1e-2, 1e-1, 1.0]).all(|(a, b)| (a / b - 1.0).abs() < 1e-12));
        assert_eq!(ends(&probes, &[10, 10, 4, 0], 9.5), Some((probes[1], probes[3])));
        assert_eq!(ends(&probes, &[9, 5, 0, 0], 9.5), Some((probes[0], probes[2])));
        assert_eq!(ends(&probes, &[10, 10, 10, 10], 9.5), Some((probes[2], probes[3])));
        assert_eq!(ends(&probes, &[0, 0, 0, 0], 9.5), None);
    }
}
