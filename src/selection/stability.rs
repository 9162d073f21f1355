//! Stability selection: how often a feature is chosen from halves of the rows, and how many false ones that lets through.

use serde::{Deserialize, Serialize};

use super::Stage;
use super::ensemble::{Ensemble, Member, Trained};
use super::path::{DENSE_SHARE, Walker};
use super::prepared::tied;
use crate::Result;
use crate::assess::{Beside, folds};
use crate::data::{Targets, input_of};
use crate::network::{Layout, Parameters};
use crate::random::Random;
use crate::train::{Flow, Progress, ReplicaSettings, Resident, Settings, rebalance};

/// Share of the halves from which on a unit is called stable.
const OFTEN: f64 = 0.9;
/// Units that may be called so by chance, in expectation: the limit on a network's choice follows from it.
const FALSE_ONES: f64 = 1.0;
/// Units that get a shuffled copy, at most.
const COPIES: usize = 30;

/// Selection under resampling: one network on each half of complementary pairs of half samples (R. D. Shah, R. J. Samworth, "Variable
/// selection with error control: another look at stability selection", JRSS B 75, 2013; after N. Meinshausen, P. Bühlmann, JRSS B 72,
/// 2010). Networks that differ by their seed alone agree on what fits these rows by chance; halves of the rows don't.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// Pairs of halves; there are twice as many networks.
    pub pairs: usize,
    /// A half chooses its most relevant units, so many at most.
    pub limit: usize,
    /// Units that a half chose, mean.
    pub chosen: f64,
    /// Share of the halves that chose a unit, `[unit]`.
    pub share: Vec<f64>,
    /// The same of shuffled copies of some units, which were inputs of the halves' networks too and know nothing of the target.
    pub copies: Vec<f64>,
    /// Share from which on a unit is called stable: nine halves of ten, or more than any copy.
    pub threshold: f64,
    /// Bound on the expected number of units among the stable ones that a half chooses no more often than it would by lot.
    pub false_ones: f64,
}

impl Stability {
    pub fn is_stable(&self, unit: usize) -> bool {
        self.share[unit] >= self.threshold
    }

    /// The largest share of a copy: what noise reaches.
    pub fn of_noise(&self) -> f64 {
        largest(&self.copies)
    }

    /// What the halves chose, `[half][unit]`; the copies stand behind the units.
    fn of(chosen: &[Vec<bool>], units: usize, pairs: usize, limit: usize) -> Stability {
        let halves = chosen.len().max(1) as f64;
        let mut share: Vec<f64> = (0..chosen.first().map_or(0, Vec::len))
            .map(|u| chosen.iter().filter(|c| c[u]).count() as f64 / halves)
            .collect();
        let copies = share.split_off(units.min(share.len()));
        let mean = share.iter().sum();
        let noise = largest(&copies);
        // One half more than the copy.
        let threshold = if noise < OFTEN { OFTEN } else { noise + 1.0 / halves };
        let false_ones = expected_false(mean, units, pairs, threshold);
        Stability { pairs, limit, chosen: mean, share, copies, threshold, false_ones }
    }
}

fn largest(shares: &[f64]) -> f64 {
    shares.iter().copied().fold(0.0, f64::max)
}

/// Shah and Samworth's bound: of `units`, of which a half chooses `chosen` in the mean, the expected number of those chosen by a half with
/// a probability of `θ = chosen/units` at most that reach a share of `threshold` over `pairs` complementary pairs. The smaller of
/// theorem 1 (no assumption) and theorem 2 (the shares' distribution is unimodal; needs θ ≤ 1/√3).
fn expected_false(chosen: f64, units: usize, pairs: usize, threshold: f64) -> f64 {
    let theta = chosen / units.max(1) as f64;
    let half = 1.0 / (2.0 * pairs as f64);
    let any = 1.0 / (2.0 * threshold - 1.0);
    let least = (0.5 + theta * theta).min(0.5 + half + 0.75 * theta * theta);
    let unimodal = if theta > 1.0 / 3f64.sqrt() || threshold <= least {
        f64::INFINITY
    } else if threshold <= 0.75 {
        0.5 / (2.0 * threshold - 1.0 - half)
    } else {
        4.0 * (1.0 - threshold + half) / (1.0 + 2.0 * half)
    };
    (any.min(unimodal) * theta * chosen).min(chosen)
}

/// The most that a half may choose for the bound to stay within [`FALSE_ONES`]; 1 at least.
fn limit(units: usize, pairs: usize) -> usize {
    let within = |&q: &usize| expected_false(q as f64, units, pairs, OFTEN) <= FALSE_ONES;
    (2..=units).take_while(within).last().unwrap_or(1)
}

/// Trains a network on each half of `pairs` complementary pairs (dealt class by class) at penalty κ, and takes of each the units that it
/// kept, the most relevant `limit` at most. Some units have a shuffled copy in these networks, of which as much is taken as would
/// be among them.
pub(super) fn resample(
    walker: &Walker<'_>,
    kappa: f64,
    pairs: usize,
    observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow,
) -> Result<Stability> {
    let Walker { prepared, settings, device, .. } = *walker;
    let mut rows = [&prepared.split.train[..], &prepared.split.validation].concat();
    rows.sort_unstable();
    let class = |row: u32| match &prepared.dataset.y {
        Targets::Classes { labels, .. } => labels[row as usize],
        _ => 0,
    };
    let halves = |pair: usize| folds(&rows, &class, 2, settings.seed.wrapping_add(0x4a1f + pair as u64));
    let lists: Vec<Vec<u32>> = (0..pairs).flat_map(halves).map(|(train, held)| [&train[..], &held].concat()).collect();
    let half = rows.len() / 2;
    let (train, end) = (0..half, rows.len());
    let mut random = Random::new(settings.seed, 0x5f1);
    let copied = some_of(prepared.units.len(), &mut random);
    let architecture = &prepared.plan.architecture;
    let beside = Beside::new(&prepared.dataset.axes, &prepared.units, &copied, prepared.network.ranks_channels());
    // Shuffled once for all halves: by chance a column of noise fits the rows too, and then most halves of them.
    let data = beside.fill(&prepared.data, &rows, random);
    let data = Resident { list: lists[0].clone(), train, validation: half..end, test: end..end, ..data };
    let units = &beside.units;
    let network = architecture.build(input_of(&beside.axes), prepared.network.output().width())?;
    // From a start of its own: the dense networks have seen the other half.
    let training = Settings {
        balanced: true,
        epochs: walker.epochs_of(half, 1.0),
        early_stop: None,
        groups: tied(&network, units),
        ..walker.training.clone()
    };
    let strength = walker.strength.of(&network, units);
    let members: Vec<Member> = (0..lists.len()).map(|list| member(walker.replica(kappa, 0), list, None)).collect();
    let ensemble = Ensemble { network: &network, data: &data, lists: &lists, units, settings: &training, device };
    let mut watch = |progress: &Progress<'_>| observe(Stage::Stability, progress);
    let mut trained = ensemble.train(&members, &mut watch)?;
    let silent: Vec<usize> =
        (0..trained.len()).filter(|&list| !strength.kept(&trained[list]).contains(&true)).collect();
    if !silent.is_empty() {
        let again = from_dense(walker, &ensemble, half, kappa, &silent, &mut watch)?;
        silent.into_iter().zip(again).for_each(|(list, network)| trained[list] = network);
    }
    let (n, limit) = (prepared.units.len(), limit(prepared.units.len(), pairs));
    let chosen: Vec<Vec<bool>> =
        trained.iter().map(|t| choose(&strength.kept(t), &strength.relevance(t), n, limit)).collect();
    Ok(Stability::of(&chosen, n, pairs, limit))
}

fn member(settings: ReplicaSettings, list: usize, start: Option<Parameters>) -> Member {
    let settings = ReplicaSettings { seed: settings.seed.wrapping_add(list as u64), ..settings };
    Member { settings, start, columns: None, list }
}

/// The networks of some halves once more, as the path's are trained: from dense ones, of the same halves. A strong penalty, which
/// networks survive that have learnt what there is, leaves nothing of one that meets it with its first step.
fn from_dense(
    walker: &Walker<'_>,
    ensemble: &Ensemble<'_>,
    half: usize,
    kappa: f64,
    halves: &[usize],
    watch: &mut dyn FnMut(&Progress<'_>) -> Flow,
) -> Result<Vec<Trained>> {
    let base = &walker.prepared.plan.settings;
    let dense = Settings { epochs: walker.epochs_of(half, DENSE_SHARE), early_stop: None, ..base.clone() };
    let members: Vec<Member> = halves.iter().map(|&list| member(base.replicas[0], list, None)).collect();
    let from = Ensemble { settings: &dense, ..*ensemble }.train(&members, watch)?;
    let layout = Layout::new(ensemble.network);
    let penalised = |(&list, from): (&usize, &Trained)| {
        let replica = walker.replica(kappa, 0);
        let groups = &ensemble.settings.groups;
        member(replica, list, Some(rebalance(ensemble.network, &layout, &replica, groups, &from.parameters)))
    };
    let members: Vec<Member> = halves.iter().zip(&from).map(penalised).collect();
    ensemble.train(&members, watch)
}

/// [`COPIES`] of so many units that are drawn, or all where there are fewer.
fn some_of(units: usize, random: &mut Random) -> Vec<usize> {
    let mut drawn: Vec<usize> = (0..units).collect();
    random.shuffle(&mut drawn);
    drawn.truncate(COPIES);
    drawn.sort_unstable();
    drawn
}

/// Of the first `n` units those that are kept, the most relevant `limit` at most; of the others each that would be among them.
fn choose(kept: &[bool], relevance: &[f64], n: usize, limit: usize) -> Vec<bool> {
    let mut first: Vec<f64> = (0..n).filter(|&u| kept[u]).map(|u| relevance[u]).collect();
    first.sort_by(|a, b| b.total_cmp(a));
    let least = first.get(limit - 1).copied().unwrap_or(0.0);
    kept.iter().zip(relevance).map(|(&kept, &relevance)| kept && relevance >= least).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_that_of_the_paper() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} and {b}");
        // p = 1000, q = 50, B = 50: θ = 0.05. Theorem 1 at τ = 0.9: θq/(2τ − 1) = 2.5/0.8; theorem 2: 4(1 − τ + 1/2B)/(1 + 1/B)·θq.
        near(expected_false(50.0, 1000, 50, 0.9), 4.0 * 0.11 / 1.02 * 2.5);
        near(expected_false(50.0, 1000, 50, 0.6), 2.5 * 0.5 / (0.2 - 0.01));
        // Both forms meet at ¾.
        near(0.5 / (0.5 - 0.01), 4.0 * 0.26 / 1.02 * (0.5 / (0.5 - 0.01)) / (4.0 * 0.26 / 1.02));
        // θ above 1/√3: theorem 1 alone, and never more than are chosen.
        near(expected_false(7.0, 10, 50, 0.9), 4.9 / 0.8);
        near(expected_false(10.0, 10, 50, 0.6), 10.0);
    }

    #[test]
    fn a_half_chooses_no_more_than_the_bound_allows() {
        for (units, expected) in [(1, 1), (4, 2), (13, 5), (30, 8), (784, 41), (5_000, 104)] {
            let q = limit(units, 25);
            assert_eq!(q, expected, "{units} units");
            assert!(q == 1 || expected_false(q as f64, units, 25, OFTEN) <= FALSE_ONES);
            assert!(q == units || expected_false((q + 1) as f64, units, 25, OFTEN) > FALSE_ONES);
        }
    }

    #[test]
    fn shares_are_over_the_halves() {
        let chosen = [vec![true, false, true, false], vec![true, false, false, true]];
        let stability = Stability::of(&chosen, 3, 1, 2);
        assert_eq!((&stability.share[..], &stability.copies[..]), (&[1.0, 0.0, 0.5][..], &[0.5][..]));
        assert_eq!((stability.chosen, stability.threshold, stability.of_noise()), (1.5, 0.9, 0.5));
        assert!(stability.is_stable(0) && !stability.is_stable(2));
        // What a copy of noise reaches as well says nothing.
        let stability = Stability::of(&chosen, 0, 1, 2);
        assert_eq!((stability.threshold, stability.share.len()), (1.5, 0));
    }

    #[test]
    fn a_copy_is_chosen_where_it_would_be_among_the_most_relevant() {
        let (kept, relevance) = ([true, true, true, false, true, true, false], [3.0, 1.0, 2.0, 9.0, 1.5, 2.5, 9.0]);
        assert_eq!(choose(&kept, &relevance, 4, 2), [true, false, true, false, false, true, false]);
        assert_eq!(choose(&kept, &relevance, 4, 3), [true, true, true, false, true, true, false]);
    }
}
