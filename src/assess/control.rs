//! How relevant noise would be: every input beside a shuffled copy of itself, in the same networks.

use serde::{Deserialize, Serialize};

use super::folds::folds;
use crate::Result;
use crate::data::Unit;
use crate::engine::Device;
use crate::kernels::Storage;
use crate::network::{Layout, Network};
use crate::program::pad4;
use crate::random::Random;
use crate::train::{Flow, Job, Progress, ReplicaSettings, Resident, Settings, input_relevance};

/// Copies that are wanted: with so many, one input of noise in thirty passes.
const COPIES: usize = 30;
/// Shuffles at most, each with networks of its own.
const MOST_DRAWS: usize = 6;
/// Networks a shuffle, each on other rows.
const FOLDS: usize = 5;

/// The relevance of shuffled copies as a measure for that of the inputs (as in M. B. Kursa, W. R. Rudnicki, "Feature selection with the
/// Boruta package", Journal of Statistical Software 36, 2010).
///
/// For each of some shuffles of the rows, networks are trained on the columns beside their copies with the shuffled rows' values, which
/// have the same distribution and know nothing of the target. An input that is no more relevant than a copy is no more relevant
/// than noise would be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// Shuffled copies in all: one of each input (a category's columns are one) for each shuffle.
    pub copies: usize,
    /// The largest mean relevance of a copy, relative to the largest input's in the same networks.
    pub noise: f64,
    /// Of each input of the ranking (a column, or a channel): the mean relevance of its input (a category's columns together), relative
    /// to the largest.
    pub relative: Vec<f64>,
    /// Inputs, a category's columns being one, and how many of them are above.
    pub inputs: usize,
    pub inputs_above: usize,
    /// Of each of them: whether its input is more relevant than every copy, and than `threshold` of the largest.
    pub above: Vec<bool>,
}

impl Control {
    /// How many times as relevant as the strongest copy an input of the ranking is in the networks that see both; `None`: no copy had any.
    pub fn times_noise(&self, input: usize) -> Option<f64> {
        (self.noise > 0.0).then(|| self.relative[input] / self.noise)
    }
}

/// `network` reads the columns and behind them their copies, of `inputs`, which are all columns; `settings` are those of the model, whose
/// first replica's penalties are used. `None`: stopped by `observe`.
pub(crate) fn control(
    data: &Resident,
    inputs: &[Unit],
    network: &Network,
    settings: &Settings,
    device: &Device,
    observe: &mut dyn FnMut(&Progress<'_>) -> Flow,
) -> Result<Option<Control>> {
    let layout = Layout::new(network);
    // What the first layer has an eigenvalue for: columns, or channels and behind them their copies.
    let by_channel = network.first_layer().is_some_and(|first| first.channels);
    let count = if by_channel { inputs.len() } else { data.columns };
    let sources = |i: usize| if by_channel { vec![i] } else { inputs[i].columns.clone() };
    let inputs: Vec<Vec<usize>> = inputs.iter().map(|unit| unit.columns.clone()).collect();
    let seed = settings.replicas[0].seed;
    let train = &data.list[data.train.clone()];
    let parts = folds(train, &|_| 0, FOLDS, seed.wrapping_add(1));
    let mut relevance = vec![0.0; inputs.len()];
    let mut copies = Vec::new();
    let draws = COPIES.div_ceil(inputs.len().max(1)).min(MOST_DRAWS) as u64;
    for draw in 0..draws {
        let held = parts[0].1.len();
        let (doubled, _) = beside_copies(data, &inputs, train, Random::new(seed, 0x5f0 + draw), true);
        let doubled = Resident {
            list: [&parts[0].0[..], &parts[0].1].concat(),
            lists: parts.iter().map(|(train, held)| [&train[..], held].concat()).collect(),
            train: 0..train.len() - held,
            validation: 0..0,
            test: 0..0,
            ..doubled
        };
        let replica = |r: usize| ReplicaSettings { seed: seed.wrapping_add(r as u64), ..settings.replicas[0] };
        // Groups would have to be doubled too; the relevance of an input is that of its columns together anyway.
        let settings = Settings {
            replicas: (0..parts.len()).map(replica).collect(),
            groups: Vec::new(),
            early_stop: None,
            ..settings.clone()
        };
        let mut job = Job::new(network, &doubled, &settings, None, device)?;
        job.train(observe)?;
        if job.stopped() {
            return Ok(None);
        }
        let mut of_copies = vec![0.0; inputs.len()];
        for replica in 0..job.replicas() {
            let of = input_relevance(network, &layout, &job.parameters(replica)?);
            let share = 1.0 / job.replicas() as f64;
            let norm = |i: usize, behind: usize| {
                sources(i).iter().map(|&s| of[s + behind].relevance.powi(2)).sum::<f64>().sqrt() * share
            };
            for i in 0..inputs.len() {
                relevance[i] += norm(i, 0) / draws as f64;
                of_copies[i] += norm(i, count);
            }
        }
        copies.extend(of_copies);
    }
    let largest = relevance.iter().copied().fold(0.0, f64::max);
    let share = |x: f64| if largest > 0.0 { x / largest } else { 0.0 };
    let noise = share(copies.iter().copied().fold(0.0, f64::max));
    let (mut relative, mut above) = (vec![0.0; count], vec![false; count]);
    for (i, &relevance) in relevance.iter().enumerate() {
        for s in sources(i) {
            relative[s] = share(relevance);
            above[s] = relative[s] > noise.max(settings.threshold);
        }
    }
    let inputs_above = (0..inputs.len()).filter(|&i| above[sources(i)[0]]).count();
    Ok(Some(Control { copies: copies.len(), noise, relative, inputs: inputs.len(), inputs_above, above }))
}

/// The data with copies of some inputs behind, in which the values of `rows` have changed places (an input's columns together),
/// and the copies' columns. A copy has the distribution of its input and knows nothing of the target. `in_order`: of all columns, the
/// copies stand as these do, rather than input by input.
pub(crate) fn beside_copies(
    data: &Resident,
    inputs: &[Vec<usize>],
    rows: &[u32],
    mut random: Random,
    in_order: bool,
) -> (Resident, Vec<Vec<usize>>) {
    let (n, all) = (data.columns, data.words.len() / data.stride);
    let mut columns = n;
    let copies: Vec<Vec<usize>> = inputs
        .iter()
        .map(|input| {
            let before = columns;
            columns += input.len();
            if in_order { input.iter().map(|&c| n + c).collect() } else { (before..columns).collect() }
        })
        .collect();
    let mut words = vec![0u32; all * columns];
    for (row, words) in words.chunks_exact_mut(columns).enumerate() {
        (0..n).for_each(|c| words[c] = data.raw(row, c).to_bits());
    }
    for (input, copy) in inputs.iter().zip(&copies) {
        let mut from = rows.to_vec();
        random.shuffle(&mut from);
        for (&to, &from) in rows.iter().zip(&from) {
            for (&c, &copied) in input.iter().zip(copy) {
                words[to as usize * columns + copied] = data.raw(from as usize, c).to_bits();
            }
        }
    }
    let (shift, scale) = data.scaling.split_at(data.scaling.len() / 2);
    let longer = |values: &[f64]| {
        let mut out = values[..n].to_vec();
        out.resize(pad4(columns), 0.0);
        let pairs = inputs.iter().flatten().zip(copies.iter().flatten());
        pairs.for_each(|(&c, &copied)| out[copied] = values[c]);
        out
    };
    let scaling = [longer(shift), longer(scale)].concat();
    (Resident { storage: Storage::F32, stride: columns, words, columns, scaling, ..data.clone() }, copies)
}
