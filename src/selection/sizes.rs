//! What k features can do: networks trained anew on the best and on random ones, and the compact model.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::ensemble::{Ensemble, Member, Trained};
use super::prepared::{Prepared, rows_se};
use super::{Order, Score, SelectSettings, Stage};
use crate::data::Dataset;
use crate::engine::Device;
use crate::model::{Fit, Model};
use crate::network::Parameters;
use crate::random::Random;
use crate::train::Metric;
use crate::train::{Flow, Job, Progress, Resident, Settings};
use crate::{Error, Result};

/// Steps of a network that is trained anew, about.
const STEPS: usize = 900;
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
    /// Whether they score better than the constant answer by more than two standard errors.
    pub tells_anything: bool,
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

/// Trains networks on some units alone.
pub(super) struct Retrainer<'a> {
    pub prepared: &'a Prepared,
    pub settings: &'a SelectSettings,
    pub device: &'a Device,
}

impl Retrainer<'_> {
    fn train(
        &self,
        units: &[usize],
        networks: usize,
        seed: u64,
        observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow,
    ) -> Result<Vec<Trained>> {
        let Retrainer { prepared, settings, device } = *self;
        let training = retraining(prepared, settings, networks, seed);
        let dataset = prepared.dataset.select_columns(&prepared.columns_of(units));
        let data = data_of(prepared, &dataset)?;
        let network = settings.plan(&dataset, false).architecture.build(dataset.columns, data.outputs)?;
        let ensemble = Ensemble { network: &network, data: &data, lists: &prepared.lists, settings: &training, device };
        // The folds in turn, and with one network its seed's.
        let first = seed.wrapping_sub(self.settings.seed) as usize;
        let member = |(i, &settings)| Member { settings, start: None, columns: None, list: first.wrapping_add(i) };
        let members: Vec<Member> = training.replicas.iter().enumerate().map(member).collect();
        ensemble.train(&members, &mut |progress| observe(Stage::Sizes, progress))
    }

    /// The first k of an order; `None` where `observe` stops it.
    fn first(
        &self,
        order: &[usize],
        k: usize,
        observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow,
    ) -> Result<Option<Tried>> {
        let trained = match self.train(&order[..k], self.settings.seeds, self.settings.seed, observe) {
            Err(Error::Stopped(_)) => return Ok(None),
            trained => trained?,
        };
        let score = |of: fn(&Trained) -> f64| Score::of(&trained.iter().map(of).collect::<Vec<f64>>());
        Ok(Some(Tried {
            k,
            validation: score(|t| t.validation.metric),
            rows_se: rows_se(self.prepared, &trained),
            test: score(|t| t.test.metric),
        }))
    }

    /// Chooses order and size by the validation rows; `ks` are the sizes that are shown, `suggested` the most that may be chosen
    /// where none is given. A stop leaves what was tried until then.
    ///
    /// # Errors
    /// [`Error::Stopped`] when nothing was; training's own.
    pub fn choose(
        &self,
        orders: [(Order, Vec<usize>); 2],
        ks: &[usize],
        suggested: usize,
        observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow,
    ) -> Result<Chosen> {
        let Retrainer { prepared, settings, .. } = *self;
        // With a size that is given the orders are compared there alone.
        let compared = settings.features.map_or(ks.to_vec(), |k| vec![k]);
        let mut tried: Vec<Vec<Tried>> = vec![Vec::new(); orders.len()];
        let mut stopped = false;
        let first_of = |order: usize, k: usize| {
            let mut units = orders[order].1[..k].to_vec();
            units.sort_unstable();
            units
        };
        for order in 0..orders.len() {
            for &k in &compared {
                if stopped {
                    break;
                }
                // Where the orders have the same units in front, they are the same networks.
                let known = (0..order).find(|&other| first_of(other, k) == first_of(order, k));
                let one = match known.and_then(|other| tried[other].iter().find(|t| t.k == k)) {
                    Some(known) => Some(*known),
                    None => self.first(&orders[order].1, k, observe)?,
                };
                stopped |= one.is_none();
                tried[order].extend(one);
            }
        }
        let choice = choose(&tried, settings.features, suggested, prepared.metric);
        let (order, ranking) = &orders[choice.order];
        let mut tried = tried.swap_remove(choice.order);
        let Some(on_validation) = tried.iter().find(|t| t.k == choice.k).copied() else {
            return Err(Error::Stopped("stopped before any number of features was tried; nothing was written".into()));
        };
        for &k in ks.iter().filter(|k| !compared.contains(k)) {
            if stopped {
                break;
            }
            let one = self.first(ranking, k, observe)?;
            stopped |= one.is_none();
            tried.extend(one);
        }
        tried.sort_by_key(|t| t.k);
        let mut sizes = Vec::new();
        for of in &tried {
            let validation = Score { se: of.validation.se.hypot(of.rows_se), ..of.validation };
            let random = if stopped { None } else { self.random(of.k, &mut stopped, observe)? };
            sizes.push(SizePoint { k: of.k, best: of.test, validation, random });
        }
        let gained = on_validation.validation.mean - prepared.constant_on_validation();
        let gained = if prepared.metric.is_share() { gained } else { -gained };
        // Two: the best of several orders, sizes and penalties is better than a constant by one now and then by luck.
        let tells_anything = gained > 2.0 * on_validation.validation.se.hypot(on_validation.rows_se);
        Ok(Chosen { order: *order, ranking: ranking.clone(), k: choice.k, sizes, tells_anything, stopped })
    }

    /// As many random units, on the test rows: over the settings' draws; `None` without any, or where it is stopped.
    fn random(
        &self,
        k: usize,
        stopped: &mut bool,
        observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow,
    ) -> Result<Option<Score>> {
        let mut scores = Vec::new();
        for draw in 0..self.settings.controls as u64 {
            let mut units: Vec<usize> = (0..self.prepared.units.len()).collect();
            Random::new(self.settings.seed, 0xd0 + draw).shuffle(&mut units);
            match self.train(&units[..k], 1, self.settings.seed.wrapping_add(draw), observe) {
                Err(Error::Stopped(_)) => {
                    *stopped = true;
                    return Ok(None);
                }
                trained => scores.extend(trained?.iter().map(|t| t.test.metric)),
            }
        }
        Ok((!scores.is_empty()).then(|| Score::of(&scores)))
    }
}

/// How a network is trained anew: without penalties, the parameters of the best validation loss kept.
fn retraining(prepared: &Prepared, settings: &SelectSettings, networks: usize, seed: u64) -> Settings {
    let base = &prepared.plan.settings;
    let epochs = settings.epochs(prepared.training_rows(), base.batch, STEPS, 1.0);
    Settings {
        epochs,
        early_stop: Some(epochs),
        replicas: Settings::ensemble(networks, seed, 0.0, 0.0),
        ..base.clone()
    }
}

fn data_of(prepared: &Prepared, dataset: &Dataset) -> Result<Resident> {
    let kind = prepared.plan.scale.unwrap_or_else(|| crate::data::ScaleKind::default_for(dataset));
    let fitted = prepared.fitted();
    let scaling = crate::data::Scaling::fit(kind, dataset, &fitted)?;
    let target = crate::data::TargetScaling::fit(dataset, &fitted);
    Ok(Resident::of(dataset, &scaling, &target, &prepared.split))
}

/// Trains networks on some columns alone; the model is the one with the best validation loss, the score is over all.
pub(super) fn compact(
    prepared: &Prepared,
    columns: &[usize],
    settings: &SelectSettings,
    device: &Device,
    observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow,
) -> Result<(Fit, Score)> {
    let mut dataset = prepared.dataset.select_columns(columns);
    let mut plan = settings.plan(&dataset, false);
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
    fit.model.description.chosen_from = Some(prepared.columns.len() + prepared.constant.len());
    Ok((fit, score))
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
            scores.iter().map(|&(k, v)| Tried { k, validation: score(v), rows_se: 0.04, test: score(0.0) }).collect()
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
