//! What k features can do: networks trained anew on the best and on random ones, and the compact model.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::ensemble::Trained;
use super::prepared::{Prepared, reported_rows_se, rows_se};
use super::retrain::{Request, Retrainer, retraining};
use super::side_by_side::Ticks;
use super::{Order, Score, SelectSettings, Stage};
use crate::engine::Device;
use crate::model::{Fit, Model};
use crate::network::Parameters;
use crate::random::Random;
use crate::train::Metric;
use crate::train::{Flow, Job, Progress, Settings};
use crate::{Error, Result};

/// Sizes that are tried, besides the one that is asked for or that the path suggests.
const SIZES: [usize; 9] = [1, 2, 5, 10, 20, 50, 100, 200, 500];
/// More of them, where the size is to be found.
const BETWEEN: [usize; 5] = [3, 7, 15, 30, 40];
/// Times a model is timed.
const TIMINGS: usize = 5;

/// Scores of networks trained anew on k units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SizePoint {
    pub k: usize,
    /// On the k best.
    pub best: Score,
    /// The same on the validation rows, by which k is chosen; the standard error is that over the networks and over the rows.
    pub validation: Score,
    /// On k random ones: mean over the draws, and its standard error; `None` without draws.
    pub random: Option<Score>,
}

/// What a model costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Footprint {
    pub inputs: usize,
    pub parameters: usize,
    /// Time for 1,000 rows, best of several, without reading a file.
    pub milliseconds_per_1000_rows: f64,
}

/// Networks trained anew on the first k of an order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tried {
    pub k: usize,
    pub validation: Score,
    /// Standard error of that because there are only so many validation rows.
    pub rows_se: f64,
    pub test: Score,
    /// The same for the test rows.
    pub test_rows_se: f64,
}

/// How many of which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub order: usize,
    pub k: usize,
}

/// Which units are chosen, and what was measured to choose them.
pub(super) struct Chosen {
    pub order: Order,
    /// All units in that order; the first `k` are chosen.
    pub ranking: Vec<usize>,
    pub k: usize,
    pub sizes: Vec<SizePoint>,
    /// Whether they score better than the constant answer by more than two standard errors, on the validation rows.
    pub validated: bool,
    /// And on the test rows; without any they don't.
    pub tested: bool,
    /// Not every size was tried.
    pub stopped: bool,
}

/// With `features`, the order whose first so many score best on the validation rows. Without, the fewest, up to `most`, that score
/// within one standard error of the best of all, and the better order of those. `tried[order]` in the order of k, the same
/// sizes for each; the first order wins ties.
pub(super) fn choose(tried: &[Vec<Tried>], features: Option<usize>, most: usize, metric: Metric) -> Choice {
    let gain = |t: &Tried| if metric.is_share() { t.validation.mean } else { -t.validation.mean };
    let better = |best: Option<(usize, Tried)>, (o, t): (usize, Tried)| match best {
        Some((_, b)) if gain(&b) >= gain(&t) => best,
        _ => Some((o, t)),
    };
    let all = || tried.iter().enumerate().flat_map(|(o, sizes)| sizes.iter().map(move |&t| (o, t)));
    let of_size = |k: usize| all().filter(move |(_, t)| t.k == k);
    let k = features.unwrap_or_else(|| {
        let within = || all().filter(|(_, t)| t.k <= most);
        let bar = within()
            .fold(None, better)
            .map_or(f64::NEG_INFINITY, |(_, best)| gain(&best) - best.validation.se.hypot(best.rows_se));
        within().filter(|(_, t)| gain(t) >= bar).map(|(_, t)| t.k).min().unwrap_or(most)
    });
    Choice { order: of_size(k).fold(None, better).map_or(0, |(o, _)| o), k }
}

/// The sizes that are tried: up to twice the number that is asked for (`given`) or that the path suggests, 50 at least.
pub(super) fn sizes(suggested: usize, given: bool, units: usize) -> Vec<usize> {
    let most = (2 * suggested).max(50).min(units);
    let between = BETWEEN.into_iter().filter(|_| !given);
    let mut sizes: Vec<usize> = SIZES.into_iter().chain(between).filter(|&k| k <= most).chain([suggested]).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// What there is to try, and how the choice is made.
pub(super) struct Sizes<'a> {
    pub retrainer: Retrainer<'a>,
    pub orders: [(Order, Vec<usize>); 2],
    /// Ascending.
    pub ks: Vec<usize>,
    /// The most that may be chosen where no size is given.
    pub suggested: usize,
}

impl Sizes<'_> {
    /// The first k of an order, over the settings' seeds.
    fn best(&self, order: usize, k: usize) -> Request {
        let SelectSettings { seeds, seed, .. } = *self.retrainer.settings;
        Request { units: self.orders[order].1[..k].to_vec(), networks: seeds, seed }
    }

    /// As many random units, one network for each draw.
    fn random(&self, k: usize) -> impl Iterator<Item = Request> {
        let seed = self.retrainer.settings.seed;
        (0..self.retrainer.settings.controls as u64).map(move |draw| {
            let mut units: Vec<usize> = (0..self.orders[0].1.len()).collect();
            Random::new(seed, 0xd0 + draw).shuffle(&mut units);
            units.truncate(k);
            Request { units, networks: 1, seed: seed.wrapping_add(draw) }
        })
    }

    fn tried(&self, k: usize, trained: &[Trained]) -> Tried {
        let score = |of: fn(&Trained) -> f64| Score::of(&trained.iter().map(of).collect::<Vec<f64>>());
        let prepared = self.retrainer.prepared;
        Tried {
            k,
            validation: score(|t| t.validation.metric),
            rows_se: rows_se(prepared, trained),
            test: score(|t| t.test.metric),
            test_rows_se: reported_rows_se(prepared, &trained.iter().map(|t| t.test).collect::<Vec<_>>()),
        }
    }

    /// Chooses order and size by the validation rows. A stop leaves what was tried until then.
    ///
    /// # Errors
    /// [`Error::Stopped`] when nothing was; training's own.
    pub fn choose(&self, observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow) -> Result<Chosen> {
        let Retrainer { prepared, settings, .. } = self.retrainer;
        // The orders are compared at the sizes that can be chosen; the others are for the chosen order's curve.
        let (compared, shown): (Vec<usize>, Vec<usize>) =
            self.ks.iter().partition(|&&k| settings.features.map_or(k <= self.suggested, |features| k == features));
        let mut requests = Vec::new();
        // Which request tells of an order's size: where the orders have the same units in front, they are the same networks.
        let mut place = vec![Vec::new(); self.orders.len()];
        for (order, places) in place.iter_mut().enumerate() {
            for &k in &compared {
                let request = self.best(order, k);
                let known = requests.iter().position(|r: &Request| r.same_units(&request));
                places.push((k, known.unwrap_or(requests.len())));
                if known.is_none() {
                    requests.push(request);
                }
            }
        }
        let controls = self.ks.len() * settings.controls;
        let mut watch = Watch {
            trainings: requests.len() + shown.len() + controls,
            networks: settings.seeds * (requests.len() + shown.len()) + controls,
            before: Ticks::default(),
            observe,
        };
        let trained = self.retrainer.side_by_side(&requests, &mut |ticks| watch.show(ticks))?;
        let mut stopped = trained.iter().any(Option::is_none);
        let of = |&(k, place): &(usize, usize)| trained[place].as_ref().map(|t| self.tried(k, t));
        let mut tried: Vec<Vec<Tried>> = place.iter().map(|places| places.iter().filter_map(of).collect()).collect();
        let choice = choose(&tried, settings.features, self.suggested, prepared.metric);
        let (order, ranking) = &self.orders[choice.order];
        let mut tried = tried.swap_remove(choice.order);
        let Some(picked) = tried.iter().find(|t| t.k == choice.k).copied() else {
            return Err(Error::Stopped("stopped before any number of features was tried; nothing was written".into()));
        };
        let mut random = vec![None; self.ks.len()];
        if !stopped {
            watch.before =
                Ticks { finished: requests.len(), networks: (settings.seeds * requests.len()) as f64, ..watch.before };
            let mut requests: Vec<Request> = shown.iter().map(|&k| self.best(choice.order, k)).collect();
            requests.extend(self.ks.iter().flat_map(|&k| self.random(k)));
            let trained = self.retrainer.side_by_side(&requests, &mut |ticks| watch.show(ticks))?;
            stopped = trained.iter().any(Option::is_none);
            let (best, controls) = trained.split_at(shown.len());
            let of = |(&k, trained): (&usize, &Option<Vec<Trained>>)| Some(self.tried(k, trained.as_ref()?));
            tried.extend(shown.iter().zip(best).filter_map(of));
            tried.sort_by_key(|t| t.k);
            for (score, draws) in random.iter_mut().zip(controls.chunks_exact(settings.controls.max(1))) {
                let all: Option<Vec<f64>> = draws.iter().map(|t| Some(t.as_ref()?[0].test.metric)).collect();
                *score = all.map(|scores| Score::of(&scores));
            }
        }
        let size = |of: &Tried| {
            let validation = Score { se: of.validation.se.hypot(of.rows_se), ..of.validation };
            let random = self.ks.binary_search(&of.k).ok().and_then(|i| random[i]);
            SizePoint { k: of.k, best: of.test, validation, random }
        };
        let sizes = tried.iter().map(size).collect();
        // Two: the best of several orders, sizes and penalties is better than a constant by one now and then by luck.
        let better = |score: Score, rows_se: f64, constant: f64| {
            let gained = if prepared.metric.is_share() { score.mean - constant } else { constant - score.mean };
            gained > 2.0 * score.se.hypot(rows_se)
        };
        let validated = better(picked.validation, picked.rows_se, prepared.constant_on_validation());
        let tested =
            prepared.constant_on_test().is_some_and(|constant| better(picked.test, picked.test_rows_se, constant));
        Ok(Chosen { order: *order, ranking: ranking.clone(), k: choice.k, sizes, validated, tested, stopped })
    }
}

/// Shows the stage's trainings as one, of which an epoch is a training.
struct Watch<'a> {
    trainings: usize,
    networks: usize,
    before: Ticks,
    observe: &'a mut dyn FnMut(Stage, &Progress<'_>) -> Flow,
}

impl Watch<'_> {
    fn show(&mut self, ticks: Ticks) -> Flow {
        let all = Ticks {
            finished: self.before.finished + ticks.finished,
            networks: self.before.networks + ticks.networks,
            ..ticks
        };
        (self.observe)(Stage::Sizes, &all.progress(self.trainings, self.networks))
    }
}

/// Trains networks on some columns alone; the model is the one with the best validation loss, the score is over all, with its
/// standard error because there are only so many rows.
pub(super) fn compact(
    prepared: &Prepared,
    columns: &[usize],
    settings: &SelectSettings,
    device: &Device,
    observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow,
) -> Result<(Fit, Score, f64)> {
    let mut dataset = prepared.dataset.select_columns(columns);
    let mut plan = prepared.retraining(settings, &dataset)?;
    plan.settings = retraining(prepared, settings, settings.seeds, settings.seed);
    // A stop is for what takes long: without this model, which is soon trained, there would be no selection.
    let mut watch = |progress: &Progress<'_>| {
        observe(Stage::Compact, progress);
        Flow::Continue
    };
    let mut fit = plan.fit_with(&mut dataset, device, &mut watch)?;
    let data = fit.model.prepare(&mut dataset, &fit.split)?;
    let mut job = fit.model.job(&data, None, device)?;
    let validation = job.evaluate(data.validation.clone())?;
    let test = if data.test.is_empty() { validation.clone() } else { job.evaluate(data.test.clone())? };
    let score = Score::of(&test.iter().map(|s| s.metric).collect::<Vec<f64>>());
    let best = (0..validation.len()).min_by(|&a, &b| validation[a].loss.total_cmp(&validation[b].loss)).unwrap_or(0);
    fit.model.parameters = vec![fit.model.parameters.swap_remove(best)];
    let replica = fit.model.description.settings.replicas[best];
    fit.model.description.settings.replicas = vec![replica];
    fit.model.description.chosen_from = Some(prepared.all_columns);
    Ok((fit, score, reported_rows_se(prepared, &test)))
}

/// Size and speed of a dense network on all columns, and of the compact one.
pub(super) fn footprints(
    prepared: &Prepared,
    dense: &Parameters,
    compact: &Model,
    device: &Device,
) -> Result<(Footprint, Footprint)> {
    let one = Settings { replicas: Settings::ensemble(1, 0, 0.0, 0.0), ..prepared.plan.settings.clone() };
    let mut full = Job::new(&prepared.network, &prepared.data, &one, None, device)?;
    full.set_parameters(0, dense)?;
    let columns: Vec<usize> = compact
        .description
        .features
        .iter()
        .filter_map(|f| prepared.dataset.features.iter().position(|g| g.name == f.name))
        .collect();
    let mut dataset = prepared.dataset.select_columns(&columns);
    let data = compact.prepare(&mut dataset, &prepared.split)?;
    let mut reduced = compact.job(&data, None, device)?;
    Ok((footprint(&mut full, prepared.data.list.len())?, footprint(&mut reduced, prepared.data.list.len())?))
}

fn footprint(job: &mut Job, rows: usize) -> Result<Footprint> {
    let mut best = f64::INFINITY;
    for _ in 0..TIMINGS {
        let clock = Instant::now();
        job.evaluate(0..rows)?;
        best = best.min(clock.elapsed().as_secs_f64() * 1e6 / rows.max(1) as f64);
    }
    let parameters = job.layout.tensors.iter().map(|t| t.rows * t.cols).sum();
    Ok(Footprint { inputs: job.network.input_width(), parameters, milliseconds_per_1000_rows: best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_within_one_standard_error() {
        let tried = |scores: &[(usize, f64)]| -> Vec<Tried> {
            let score = |mean| Score { mean, se: 0.03 };
            scores
                .iter()
                .map(|&(k, v)| Tried { k, validation: score(v), rows_se: 0.04, test: score(0.0), test_rows_se: 0.04 })
                .collect()
        };
        let orders =
            [tried(&[(1, 0.5), (2, 0.7), (5, 0.84), (9, 0.9)]), tried(&[(1, 0.5), (2, 0.86), (5, 0.8), (9, 0.9)])];
        let accuracy = |features, most| choose(&orders, features, most, Metric::Accuracy);
        // The bar is 0.9 − 0.05.
        assert_eq!(accuracy(None, 9), Choice { order: 1, k: 2 });
        assert_eq!(accuracy(None, 1), Choice { order: 0, k: 1 }, "no more than the path suggests; the first wins ties");
        assert_eq!(accuracy(Some(5), 5), Choice { order: 0, k: 5 });
        assert_eq!(accuracy(Some(9), 9), Choice { order: 0, k: 9 });
        // Of an error the least is best.
        assert_eq!(choose(&orders, Some(5), 5, Metric::Mae), Choice { order: 1, k: 5 });
    }
}
