//! Stability selection: how often a feature is chosen from halves of the rows, and how many false ones that lets through.

use serde::{Deserialize, Serialize};

use super::Stage;
use super::ensemble::{Ensemble, Member};
use super::path::Walker;
use crate::Result;
use crate::assess::folds;
use crate::data::Targets;
use crate::train::{Flow, Progress, Resident, Settings};

/// Share of the halves from which on a unit is called stable.
const OFTEN: f64 = 0.9;
/// Units that may be called so by chance, in expectation: the limit on a network's choice follows from it.
const FALSE_ONES: f64 = 1.0;

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
    /// Share from which on a unit is called stable.
    pub threshold: f64,
    /// Bound on the expected number of units among the stable ones that a half chooses no more often than it would by lot.
    pub false_ones: f64,
}

impl Stability {
    pub fn is_stable(&self, unit: usize) -> bool {
        self.share[unit] >= self.threshold
    }

    /// What the halves chose, `[half][unit]`.
    fn of(chosen: &[Vec<bool>], pairs: usize, limit: usize) -> Stability {
        let n = chosen.first().map_or(0, Vec::len);
        let halves = chosen.len().max(1) as f64;
        let share: Vec<f64> = (0..n).map(|u| chosen.iter().filter(|c| c[u]).count() as f64 / halves).collect();
        let mean = share.iter().sum();
        Stability {
            pairs,
            limit,
            chosen: mean,
            share,
            threshold: OFTEN,
            false_ones: expected_false(mean, n, pairs, OFTEN),
        }
    }
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
/// kept, the most relevant `limit` at most.
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
    let data =
        Resident { list: lists[0].clone(), train, validation: half..end, test: end..end, ..prepared.data.clone() };
    // From a start of its own: the dense networks have seen the other half.
    let training =
        Settings { balanced: true, epochs: walker.epochs_of(half, 1.0), early_stop: None, ..walker.training.clone() };
    let member = |list: usize| {
        let mut settings = walker.replica(kappa, 0);
        settings.seed = settings.seed.wrapping_add(list as u64);
        Member { settings, start: None, columns: None, list }
    };
    let members: Vec<Member> = (0..lists.len()).map(member).collect();
    let ensemble = Ensemble { network: &prepared.network, data: &data, lists: &lists, settings: &training, device };
    let trained = ensemble.train(&members, &mut |progress| observe(Stage::Stability, progress))?;
    let limit = limit(prepared.units.len(), pairs);
    let chosen: Vec<Vec<bool>> = trained
        .iter()
        .map(|t| {
            let (kept, relevance) = (walker.strength.kept(t), walker.strength.relevance(t));
            let mut order: Vec<usize> = (0..kept.len()).filter(|&u| kept[u]).collect();
            order.sort_by(|&a, &b| relevance[b].total_cmp(&relevance[a]));
            let mut chosen = vec![false; kept.len()];
            order.iter().take(limit).for_each(|&u| chosen[u] = true);
            chosen
        })
        .collect();
    Ok(Stability::of(&chosen, pairs, limit))
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
        let chosen = [vec![true, false, true], vec![true, false, false]];
        let stability = Stability::of(&chosen, 1, 2);
        assert_eq!(stability.share, [1.0, 0.0, 0.5]);
        assert_eq!(stability.chosen, 1.5);
        assert!(stability.is_stable(0) && !stability.is_stable(2));
    }
}
