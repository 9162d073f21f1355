//! How relevant noise would be: every input beside a shuffled copy of itself, in the same networks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::folds::folds;
use crate::Result;
use crate::data::{Axis, CHANNEL, Unit, channels, input_of};
use crate::engine::Device;
use crate::kernels::Storage;
use crate::network::{Layout, Sequential};
use crate::program::pad4;
use crate::random::Random;
use crate::train::{Flow, Job, Progress, ReplicaSettings, Resident, Settings, unit_relevance};

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

/// `inputs`, which are all columns, stand on these axes; `settings` are those of the model with this architecture and so many outputs, whose
/// first replica's penalties are used. `None`: stopped by `observe`.
pub(crate) fn control(
    data: &Resident,
    (inputs, axes): (&[Unit], &[Axis]),
    (architecture, outputs): (&Sequential, usize),
    settings: &Settings,
    device: &Device,
    observe: &mut dyn FnMut(&Progress<'_>) -> Flow,
) -> Result<Option<Control>> {
    let by_channel = !architecture.convolutions.is_empty();
    let seed = settings.replicas[0].seed;
    let train = &data.list[data.train.clone()];
    let parts = folds(train, &|_| 0, FOLDS, seed.wrapping_add(1));
    let mut relevance = vec![0.0; inputs.len()];
    let mut copies = Vec::new();
    let all: Vec<usize> = (0..inputs.len()).collect();
    let beside = Beside::new(axes, inputs, &all, by_channel);
    let network = architecture.build(input_of(&beside.axes), outputs)?;
    let layout = Layout::new(&network);
    let draws = COPIES.div_ceil(inputs.len().max(1)).min(MOST_DRAWS) as u64;
    for draw in 0..draws {
        let held = parts[0].1.len();
        let doubled = Resident {
            list: [&parts[0].0[..], &parts[0].1].concat(),
            lists: parts.iter().map(|(train, held)| [&train[..], held].concat()).collect(),
            train: 0..train.len() - held,
            validation: 0..0,
            test: 0..0,
            ..beside.fill(data, train, Random::new(seed, 0x5f0 + draw))
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
        let share = 1.0 / job.replicas() as f64;
        for replica in 0..job.replicas() {
            let of = unit_relevance(&network, &layout, &job.parameters(replica)?, &beside.units);
            let (own, copied) = of.split_at(inputs.len());
            relevance.iter_mut().zip(own).for_each(|(sum, x)| *sum += x * share / draws as f64);
            of_copies.iter_mut().zip(copied).for_each(|(sum, x)| *sum += x * share);
        }
        copies.extend(of_copies);
    }
    // Of the ranking, which is by column or by channel.
    let count = if by_channel { inputs.len() } else { data.columns };
    let sources = |i: usize| if by_channel { vec![i] } else { inputs[i].columns.clone() };
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

/// Where inputs and shuffled copies of some of them stand in a longer row. A copy has the distribution of its input and knows nothing of
/// the target.
pub(crate) struct Beside {
    /// Of the longer row.
    pub axes: Vec<Axis>,
    /// The inputs, then the copies, by their columns in it.
    pub units: Vec<Unit>,
    /// Where each of those columns comes from.
    from: Vec<Vec<usize>>,
    inputs: usize,
}

impl Beside {
    /// Copies of `copied`, numbers of `inputs`, which are all columns of a row with these axes. They stand behind all columns, in the order
    /// of these; `by_channel`: the inputs are the channels, and the copies more of them.
    pub fn new(axes: &[Axis], inputs: &[Unit], copied: &[usize], by_channel: bool) -> Beside {
        let own = || inputs.iter().map(|unit| unit.columns.clone());
        let of_copies: Vec<Vec<usize>> = copied.iter().map(|&i| inputs[i].columns.clone()).collect();
        let (axes, units) = if by_channel {
            let mut axes = axes.to_vec();
            let channel = |before: usize| Axis::new(CHANNEL, before + copied.len());
            match axes.iter_mut().find(|axis| axis.name == CHANNEL) {
                Some(axis) => *axis = channel(axis.len),
                None => axes.insert(0, channel(1)),
            }
            let units = channels(&axes);
            (axes, units)
        } else {
            let columns: usize = own().map(|columns| columns.len()).sum();
            let mut behind = of_copies.concat();
            behind.sort_unstable();
            let place = |c: &usize| columns + behind.partition_point(|x| x < c);
            let placed = of_copies.iter().map(|from| from.iter().map(place).collect());
            let unit = |columns| Unit { name: String::new(), columns };
            (vec![Axis::new("feature", columns + behind.len())], own().chain(placed).map(unit).collect())
        };
        Beside { axes, units, from: own().chain(of_copies).collect(), inputs: inputs.len() }
    }

    /// The data of the inputs with the copies, in which the values of `rows` have changed places (an input's columns together).
    pub fn fill(&self, data: &Resident, rows: &[u32], mut random: Random) -> Resident {
        let columns: usize = self.axes.iter().map(|axis| axis.len).product();
        let mut words = vec![0u32; data.words.len() / data.stride * columns];
        let (shift, scale) = data.scaling.split_at(data.scaling.len() / 2);
        let mut scaling = vec![0.0; 2 * pad4(columns)];
        let pairs = |i: usize| self.units[i].columns.iter().copied().zip(self.from[i].iter().copied());
        let own: Vec<(usize, usize)> = (0..self.inputs).flat_map(pairs).collect();
        for (row, words) in words.chunks_exact_mut(columns).enumerate() {
            own.iter().for_each(|&(to, from)| words[to] = data.raw(row, from).to_bits());
        }
        for copy in self.inputs..self.units.len() {
            let mut source = rows.to_vec();
            random.shuffle(&mut source);
            for (&row, &source) in rows.iter().zip(&source) {
                pairs(copy).for_each(|(to, from)| {
                    words[row as usize * columns + to] = data.raw(source as usize, from).to_bits();
                });
            }
        }
        for (to, from) in (0..self.units.len()).flat_map(pairs) {
            (scaling[to], scaling[pad4(columns) + to]) = (shift[from], scale[from]);
        }
        Resident { storage: Storage::F32, stride: columns, words: Arc::new(words), columns, scaling, ..data.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Feature, Values, synthetic, units};

    /// What a copy holds in some rows is what its input holds in the same rows, in another order and all columns together; in
    /// other rows it is 0. Whatever the layout.
    #[test]
    fn copies_are_shuffled_inputs() {
        let (rows, shuffled) = (40u32, 10..40u32);
        for axes in [
            [("channel", 3), ("position", 4)],
            [("position", 4), ("channel", 3)],
            [("row", 3), ("column", 4)],
            [("feature", 12), ("", 1)],
        ] {
            let table = axes[0].0 == "feature";
            let mut axes: Vec<Axis> = axes.map(|(name, len)| Axis::new(name, len)).to_vec();
            axes.truncate(if table { 1 } else { 2 });
            let mut dataset =
                synthetic::gaussian(1, rows as usize).dataset.select_columns(&(0..12).collect::<Vec<_>>());
            dataset.axes = axes;
            // Bytes, whose scaling is left to the engine; none is 0.
            dataset.x = Values::U8((0..rows * 12).map(|i| (1 + i * 7 % 251) as u8).collect());
            let feature = |c: usize| Feature::new(format!("x{c}"), (c % 5 == 1).then_some(0));
            dataset.features = (0..12).map(feature).collect();
            let inputs = if table { units(&dataset.features, &[]) } else { channels(&dataset.axes) };
            let scale: Vec<f64> = (1..=12).map(f64::from).collect();
            let list: Vec<u32> = (0..rows).collect();
            let data = Resident::new(&dataset, (&scale, &scale), (&[], &[]), [&list, &[], &[]]);
            let copied: Vec<usize> = (0..inputs.len()).skip(1).collect();
            let beside = Beside::new(&dataset.axes, &inputs, &copied, !table);
            let some: Vec<u32> = shuffled.clone().collect();
            let longer = beside.fill(&data, &some, Random::new(3, 3));
            assert_eq!(beside.units.len(), inputs.len() + copied.len());
            assert_eq!(longer.columns, beside.axes.iter().map(|axis| axis.len).product::<usize>());
            let mut places = beside.units.iter().flat_map(|unit| unit.columns.clone()).collect::<Vec<_>>();
            places.sort_unstable();
            assert_eq!(places, (0..longer.columns).collect::<Vec<_>>(), "every place is somebody's");
            let sources = (0..inputs.len()).chain(copied);
            for (i, source) in sources.enumerate() {
                let held = |data: &Resident, row: u32, unit: &Unit| -> Vec<u32> {
                    unit.columns.iter().map(|&c| data.raw(row as usize, c).to_bits()).collect()
                };
                let (to, from) = (&beside.units[i], &inputs[source]);
                let rows_of = |data: &Resident, unit| some.iter().map(|&row| held(data, row, unit)).collect::<Vec<_>>();
                let (mut found, mut expected) = (rows_of(&longer, to), rows_of(&data, from));
                assert_eq!(found == expected, i < inputs.len(), "a copy has other rows' values");
                found.sort();
                expected.sort();
                assert_eq!(found, expected);
                for row in 0..shuffled.start {
                    let own = held(&data, row, from);
                    assert_eq!(held(&longer, row, to), if i < inputs.len() { own } else { vec![0; own.len()] });
                }
                let half = longer.scaling.len() / 2;
                for (&c, &source) in to.columns.iter().zip(&from.columns) {
                    let scale = scale[source];
                    assert_eq!((longer.scaling[c], longer.scaling[half + c]), (scale, scale));
                }
            }
        }
    }
}
