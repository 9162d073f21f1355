//! How relevant noise would be: every input beside a shuffled copy of itself, in the same networks.

use serde::{Deserialize, Serialize};

use super::folds::folds;
use crate::Result;
use crate::data::Feature;
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
    /// Of each column: the mean relevance of its input (a category's columns together), relative to the largest.
    pub relative: Vec<f64>,
    /// Inputs, a category's columns being one, and how many of them are above.
    pub inputs: usize,
    pub inputs_above: usize,
    /// Of each column: whether its input is more relevant than every copy, and than `threshold` of the largest.
    pub above: Vec<bool>,
}

impl Control {
    /// How many times as relevant as the strongest copy a column's input is in the networks that see both; `None`: no copy had any.
    pub fn times_noise(&self, column: usize) -> Option<f64> {
        (self.noise > 0.0).then(|| self.relative[column] / self.noise)
    }
}

/// Columns of every input: those of a category together.
fn inputs(features: &[Feature]) -> Vec<Vec<usize>> {
    let mut inputs: Vec<(Option<u32>, Vec<usize>)> = Vec::new();
    for (c, feature) in features.iter().enumerate() {
        match inputs.iter_mut().find(|(group, _)| group.is_some() && *group == feature.group) {
            Some((_, columns)) => columns.push(c),
            None => inputs.push((feature.group, vec![c])),
        }
    }
    inputs.into_iter().map(|(_, columns)| columns).collect()
}

/// `build` makes the network for a number of columns; `settings` are those of the model, whose first replica's penalties are used.
/// `None`: stopped by `observe`.
pub(crate) fn control(
    data: &Resident,
    features: &[Feature],
    build: &dyn Fn(usize) -> Result<Network>,
    settings: &Settings,
    device: &Device,
    observe: &mut dyn FnMut(&Progress<'_>) -> Flow,
) -> Result<Option<Control>> {
    let inputs = inputs(features);
    let network = build(2 * data.columns)?;
    let layout = Layout::new(&network);
    let seed = settings.replicas[0].seed;
    let train = &data.list[data.train.clone()];
    let parts = folds(train, &|_| 0, FOLDS, seed.wrapping_add(1));
    let mut relevance = vec![0.0; inputs.len()];
    let mut copies = Vec::new();
    let draws = COPIES.div_ceil(inputs.len().max(1)).min(MOST_DRAWS) as u64;
    for draw in 0..draws {
        let held = parts[0].1.len();
        let (doubled, copied) = beside_copies(data, &inputs, train, Random::new(seed, 0x5f0 + draw));
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
        let mut job = Job::new(&network, &doubled, &settings, None, device)?;
        job.train(observe)?;
        if job.stopped() {
            return Ok(None);
        }
        let mut of_copies = vec![0.0; inputs.len()];
        for replica in 0..job.replicas() {
            let columns = input_relevance(&network, &layout, &job.parameters(replica)?);
            let share = 1.0 / job.replicas() as f64;
            let norm = |of: &[usize]| of.iter().map(|&c| columns[c].relevance.powi(2)).sum::<f64>().sqrt() * share;
            for (i, (of, copy)) in inputs.iter().zip(&copied).enumerate() {
                relevance[i] += norm(of) / draws as f64;
                of_copies[i] += norm(copy);
            }
        }
        copies.extend(of_copies);
    }
    let largest = relevance.iter().copied().fold(0.0, f64::max);
    let share = |x: f64| if largest > 0.0 { x / largest } else { 0.0 };
    let noise = share(copies.iter().copied().fold(0.0, f64::max));
    let (mut relative, mut above) = (vec![0.0; data.columns], vec![false; data.columns]);
    for (of, &relevance) in inputs.iter().zip(&relevance) {
        for &c in of {
            relative[c] = share(relevance);
            above[c] = relative[c] > noise.max(settings.threshold);
        }
    }
    let inputs_above = inputs.iter().filter(|of| above[of[0]]).count();
    Ok(Some(Control { copies: copies.len(), noise, relative, inputs: inputs.len(), inputs_above, above }))
}

/// The data with copies of some inputs behind, in which the values of `rows` have changed places (an input's columns together),
/// and the copies' columns. A copy has the distribution of its input and knows nothing of the target.
pub(crate) fn beside_copies(
    data: &Resident,
    inputs: &[Vec<usize>],
    rows: &[u32],
    mut random: Random,
) -> (Resident, Vec<Vec<usize>>) {
    let (n, all) = (data.columns, data.words.len() / data.stride);
    let mut columns = n;
    let copies: Vec<Vec<usize>> = inputs
        .iter()
        .map(|input| {
            columns += input.len();
            (columns - input.len()..columns).collect()
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
        let of_copies = inputs.iter().flatten().map(|&c| values[c]);
        let mut out: Vec<f64> = values[..n].iter().copied().chain(of_copies).collect();
        out.resize(pad4(columns), 0.0);
        out
    };
    let scaling = [longer(shift), longer(scale)].concat();
    (Resident { storage: Storage::F32, stride: columns, words, columns, scaling, ..data.clone() }, copies)
}
