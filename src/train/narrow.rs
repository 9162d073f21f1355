//! A network on some of its inputs alone.

use super::kept::Midway;
use super::resident::Resident;
use crate::network::weight::{LAMBDA_IN, PSI, WEIGHT};
use crate::network::{FirstLayer, Layout, Network, Parameters, Tensor};
use crate::program::pad4;

/// A network that reads some columns alone, and where its numbers lie among those of the whole one.
pub(crate) struct Narrow {
    pub network: Network,
    pub columns: Vec<usize>,
    layout: Layout,
    whole: Layout,
    first: FirstLayer,
}

impl Narrow {
    /// `columns`, ascending, one at least; `None` where the first layer is not a dense one.
    pub fn new(network: &Network, columns: Vec<usize>) -> Option<Narrow> {
        let first = network.first_layer().filter(|first| !first.channels)?;
        let mut narrow = network.clone();
        narrow.nodes[0].shape = vec![columns.len()];
        let (layout, whole) = (Layout::new(&narrow), Layout::new(network));
        Some(Narrow { network: narrow, columns, layout, whole, first })
    }

    /// The same columns of data that the whole network reads.
    pub fn data(&self, data: &Resident) -> Resident {
        data.with_columns(&self.columns)
    }

    /// Groups of the whole network's columns, as the columns are numbered here.
    pub fn groups(&self, groups: &[Vec<u32>]) -> Vec<Vec<u32>> {
        let place = |&c: &u32| self.columns.binary_search(&(c as usize)).ok().map(|place| place as u32);
        let groups = groups.iter().map(|group| group.iter().filter_map(place).collect::<Vec<u32>>());
        groups.filter(|group| !group.is_empty()).collect()
    }

    pub fn take(&self, whole: &Parameters) -> Parameters {
        let mut narrow = Parameters::zeros(&self.layout);
        for (from, to) in self.tensors() {
            let values = whole.get(from);
            if self.reads_columns(from) {
                let rows = values.chunks_exact(from.cols);
                let values: Vec<f64> = rows.flat_map(|row| self.columns.iter().map(|&c| row[c])).collect();
                narrow.set(to, &values);
            } else {
                narrow.set(to, &values);
            }
        }
        narrow
    }

    /// The whole network's numbers: 0 for the columns that are left out.
    pub fn spread(&self, narrow: &Parameters) -> Parameters {
        let mut whole = Parameters::zeros(&self.whole);
        for (to, from) in self.tensors() {
            let values = narrow.get(from);
            if self.reads_columns(to) {
                let mut spread = vec![0.0; to.rows * to.cols];
                for (row, values) in spread.chunks_exact_mut(to.cols).zip(values.chunks_exact(from.cols)) {
                    self.columns.iter().zip(values).for_each(|(&c, &x)| row[c] = x);
                }
                whole.set(to, &spread);
            } else {
                whole.set(to, &values);
            }
        }
        whole
    }

    /// What a training has between two steps, of the whole network, for this one.
    pub fn take_midway(&self, whole: &Midway) -> Midway {
        self.midway(whole, &self.whole, &self.layout, &|numbers| self.take(numbers), &|row, to| {
            self.columns.iter().zip(to).for_each(|(&c, to)| *to = row[c]);
        })
    }

    /// And back again.
    pub fn spread_midway(&self, narrow: &Midway) -> Midway {
        self.midway(narrow, &self.layout, &self.whole, &|numbers| self.spread(numbers), &|row, to| {
            self.columns.iter().zip(row).for_each(|(&c, &x)| to[c] = x);
        })
    }

    /// Adam's moments lie as the trained parameters do, the lasso's momentum as the first weight.
    fn midway(
        &self,
        midway: &Midway,
        from: &Layout,
        to: &Layout,
        parameters: &dyn Fn(&Parameters) -> Parameters,
        row: &dyn Fn(&[f64], &mut [f64]),
    ) -> Midway {
        let moments = |numbers: &[f64]| {
            let mut padded = numbers.to_vec();
            padded.resize(from.parameters, 0.0);
            let mut moved = parameters(&Parameters::new(padded, vec![0.0; from.statistics])).values();
            moved.truncate(to.trained_end);
            moved
        };
        let width = |layout: &Layout| {
            let tensor = layout.of(self.first.id).iter().find(|tensor| self.reads_columns(tensor));
            pad4(tensor.expect("invariant: a first layer has a weight").cols)
        };
        let (ld_from, ld_to) = (width(from), width(to));
        let momentum = |numbers: &[f64]| {
            let mut moved = vec![0.0; numbers.len() / ld_from * ld_to];
            numbers.chunks_exact(ld_from).zip(moved.chunks_exact_mut(ld_to)).for_each(|(from, to)| row(from, to));
            moved
        };
        let optimiser = midway.optimiser.iter().enumerate();
        let optimiser = optimiser.map(|(i, numbers)| if i < 2 { moments(numbers) } else { momentum(numbers) });
        Midway { parameters: parameters(&midway.parameters), optimiser: optimiser.collect(), ..*midway }
    }

    /// Every tensor of the whole network with that of this one.
    fn tensors(&self) -> impl Iterator<Item = (&Tensor, &Tensor)> {
        self.whole.tensors.iter().zip(&self.layout.tensors)
    }

    /// Whether a tensor has a number, or a row's number, for each column of the inputs.
    fn reads_columns(&self, tensor: &Tensor) -> bool {
        tensor.node == self.first.id && [PSI, LAMBDA_IN, WEIGHT].contains(&tensor.name)
    }
}
