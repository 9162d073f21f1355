//! A data set as it lies on the engine during training.

use std::ops::Range;
use std::sync::Arc;

use crate::Result;
use crate::data::{Dataset, Scaling, Split, TargetScaling, Targets, Values};
use crate::host::refuse_beyond_memory;
use crate::kernels::Storage;
use crate::program::pad4;

/// Inputs packed into words (bytes as they came; numbers scaled already, in double precision), the scaling that is left to the engine,
/// targets, and the list of rows in use.
#[derive(Debug, Clone)]
pub struct Resident {
    pub storage: Storage,
    /// Words a row.
    pub stride: usize,
    pub words: Arc<Vec<u32>>,
    pub columns: usize,
    /// `[2, pad4(columns)]`: shift, then scale, of bytes; 0 and 1 of numbers.
    pub scaling: Vec<f64>,
    /// Labels `[rows]`, or `f32` bits `[rows, outputs]` of standardised numbers.
    pub targets: Vec<u32>,
    /// How much each row of the data counts, `[rows]`; empty: all the same.
    pub weights: Vec<f32>,
    /// Outputs of a network for these targets.
    pub outputs: usize,
    /// Rows in use: training, then validation, then test.
    pub list: Vec<u32>,
    /// Each replica's own list instead, in the same three parts, as for the folds of a cross-validation; empty: all use `list`.
    pub lists: Vec<Vec<u32>>,
    pub train: Range<usize>,
    pub validation: Range<usize>,
    pub test: Range<usize>,
    /// Regression: what a standardised error is multiplied by for the target's units (1 with several outputs).
    pub unit: f64,
}

impl Resident {
    /// Refuses a data set whose copy in this form the process can't have the memory for.
    ///
    /// # Errors
    /// [`crate::Error::Device`] with what is needed and what there is.
    pub(crate) fn check_memory(dataset: &Dataset) -> Result<()> {
        let (rows, columns) = (dataset.rows as u64, dataset.columns as u64);
        let bytes = match (&dataset.x, &dataset.y) {
            // The inputs as targets: as numbers in double precision, then as words.
            (_, Targets::Inputs) => 16,
            (Values::U8(_), _) => 1,
            (Values::F32(_), _) => 4,
        };
        let what = format!("a copy of {} for the engine", dataset.source);
        refuse_beyond_memory(&what, rows.saturating_mul(columns).saturating_mul(bytes), "give fewer rows or columns")
    }

    /// The data as they were scaled and split.
    pub fn of(dataset: &Dataset, inputs: &Scaling, target: &TargetScaling, parts: &Split) -> Self {
        let parts = [&parts.train[..], &parts.validation, &parts.test];
        Self::new(dataset, (&inputs.shift, &inputs.scale), (&target.shift, &target.scale), parts)
    }

    /// `shift`, `scale`: of the inputs, `[columns]`; `target_shift`, `target_scale`: `[outputs]` for regression, where
    /// `standardised = (value − shift)·scale`. `parts`: row numbers for training, validation and test.
    pub fn new(
        dataset: &Dataset,
        (shift, scale): (&[f64], &[f64]),
        (target_shift, target_scale): (&[f64], &[f64]),
        parts: [&[u32]; 3],
    ) -> Self {
        let columns = dataset.columns;
        let ld = pad4(columns);
        let mut scaling = vec![0.0; 2 * ld];
        let (storage, stride, words) = match &dataset.x {
            Values::U8(bytes) => {
                let stride = columns.div_ceil(4);
                let mut words = vec![0u32; dataset.rows * stride];
                let packed: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
                for (row, bytes) in packed.chunks_exact_mut(4 * stride).zip(bytes.chunks_exact(columns)) {
                    row[..columns].copy_from_slice(bytes);
                }
                // Word arithmetic on the GPU takes the lowest byte first.
                words.iter_mut().for_each(|w| *w = u32::from_le(*w));
                scaling[..columns].copy_from_slice(shift);
                scaling[ld..][..columns].copy_from_slice(scale);
                (Storage::U8, stride, words)
            }
            Values::F32(values) => {
                scaling[ld..][..columns].fill(1.0);
                let by_column: Vec<(f64, f64)> = shift
                    .iter()
                    .zip(scale)
                    .enumerate()
                    .map(|(c, (shift, &scale))| (dataset.origin(c) - shift, scale))
                    .collect();
                let scaled =
                    |(&x, &(offset, scale)): (&f32, &(f64, f64))| (((f64::from(x) + offset) * scale) as f32).to_bits();
                // Its size is known, as flat_map's isn't: a vector that grows takes up to twice the memory.
                let mut words = Vec::with_capacity(values.len());
                values
                    .chunks_exact(columns.max(1))
                    .for_each(|row| words.extend(row.iter().zip(&by_column).map(scaled)));
                (Storage::F32, columns, words)
            }
        };
        let (targets, outputs) = match &dataset.y {
            Targets::Classes { labels, names } => (labels.clone(), names.len()),
            Targets::Numbers { values, names } => {
                let outputs = names.len();
                let standardise = |(i, &y): (usize, &f64)| {
                    let c = i % outputs;
                    ((y - target_shift[c]) * target_scale[c]) as f32
                };
                (values.iter().enumerate().map(standardise).map(f32::to_bits).collect(), outputs)
            }
            Targets::Inputs => (Vec::new(), columns),
            Targets::None => (vec![0; dataset.rows], 0),
        };
        let [train, validation, test] = parts.map(<[u32]>::len);
        let mut resident = Resident {
            storage,
            stride,
            words: Arc::new(words),
            columns,
            scaling,
            targets,
            weights: dataset.weights.clone().unwrap_or_default(),
            outputs,
            list: parts.concat(),
            lists: Vec::new(),
            train: 0..train,
            validation: train..train + validation,
            test: train + validation..train + validation + test,
            unit: match target_scale {
                [scale] => 1.0 / scale,
                _ => 1.0,
            },
        };
        if let Targets::Inputs = dataset.y {
            let all: Vec<u32> = (0..dataset.rows as u32).collect();
            resident.targets = resident.inputs(&all).into_iter().map(|x| (x as f32).to_bits()).collect();
        }
        resident
    }

    /// The inputs of some rows as they enter the network, `[rows, columns]`, bytes scaled in `f32` as the engines do.
    pub fn inputs(&self, rows: &[u32]) -> Vec<f64> {
        let (shift, scale) = self.scaling.split_at(self.scaling.len() / 2);
        let scaled = |value: f32, c: usize| f64::from((value - shift[c] as f32) * scale[c] as f32);
        let mut inputs = Vec::with_capacity(rows.len() * self.columns);
        for &row in rows {
            inputs.extend((0..self.columns).map(|c| scaled(self.raw(row as usize, c), c)));
        }
        inputs
    }

    /// The same rows with some columns alone.
    pub(crate) fn with_columns(&self, columns: &[usize]) -> Resident {
        let rows = self.words.chunks_exact(self.stride.max(1));
        let (stride, words) = match self.storage {
            Storage::U8 => {
                let stride = columns.len().div_ceil(4);
                let mut words = vec![0u32; rows.len() * stride];
                for (to, row) in words.chunks_exact_mut(stride.max(1)).zip(rows) {
                    for (i, &c) in columns.iter().enumerate() {
                        to[i / 4] |= (row[c / 4] >> (8 * (c % 4)) & 0xff) << (8 * (i % 4));
                    }
                }
                (stride, words)
            }
            Storage::F32 => {
                let mut words = Vec::with_capacity(rows.len() * columns.len());
                rows.for_each(|row| words.extend(columns.iter().map(|&c| row[c])));
                (columns.len(), words)
            }
        };
        let mut scaling = vec![0.0; 2 * pad4(columns.len())];
        for (to, from) in
            scaling.chunks_exact_mut(pad4(columns.len())).zip(self.scaling.chunks_exact(pad4(self.columns)))
        {
            to.iter_mut().zip(columns).for_each(|(to, &c)| *to = from[c]);
        }
        Resident {
            storage: self.storage,
            stride,
            words: Arc::new(words),
            columns: columns.len(),
            scaling,
            targets: self.targets.clone(),
            weights: self.weights.clone(),
            list: self.list.clone(),
            lists: self.lists.clone(),
            train: self.train.clone(),
            validation: self.validation.clone(),
            test: self.test.clone(),
            ..*self
        }
    }

    /// A value as it is packed.
    pub fn raw(&self, row: usize, column: usize) -> f32 {
        let words = &self.words[row * self.stride..][..self.stride];
        match self.storage {
            Storage::U8 => f32::from(words[column / 4].to_le_bytes()[column % 4]),
            Storage::F32 => f32::from_bits(words[column]),
        }
    }

    /// Whether a number that is to be learnt differs anywhere in these rows, but for those of weight 0.
    pub fn varies(&self, rows: &[u32], output: usize) -> bool {
        let counted = rows.iter().filter(|&&row| self.weight(row) > 0.0);
        let mut known = counted.map(|&row| self.targets[row as usize * self.outputs + output]);
        let first = known.next();
        known.any(|bits| Some(bits) != first)
    }

    /// What a row of the data counts.
    pub fn weight(&self, row: u32) -> f64 {
        self.weights.get(row as usize).map_or(1.0, |&weight| f64::from(weight))
    }

    /// Σ of the weights over a range of [`Resident::list`]: its rows, where all count the same.
    pub fn total_weight(&self, range: Range<usize>) -> f64 {
        self.list[range].iter().map(|&row| self.weight(row)).sum()
    }

    /// Rows of equal weight that would tell as much as these: (Σw)²/Σw², Kish's effective sample size.
    pub fn effective_rows(&self, range: Range<usize>) -> f64 {
        let squares: f64 = self.list[range.clone()].iter().map(|&row| self.weight(row).powi(2)).sum();
        if squares > 0.0 { self.total_weight(range).powi(2) / squares } else { 0.0 }
    }

    /// The rows that a replica uses.
    pub fn list_of(&self, replica: usize) -> &[u32] {
        self.lists.get(replica).unwrap_or(&self.list)
    }

    /// Bytes that it takes on the engine.
    pub fn bytes(&self) -> usize {
        4 * (self.words.len() + self.targets.len() + self.list.len() * self.lists.len().max(1) + self.weights.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Scaling, synthetic};

    #[test]
    fn some_columns_are_what_they_were() {
        let mut dataset = synthetic::gaussian(1, 30).dataset;
        let parts = Split { train: (0..20).collect(), validation: (20..25).collect(), test: (25..30).collect() };
        for bytes in [false, true] {
            if bytes {
                dataset.x = Values::U8((0..30 * 20).map(|i| (i * 37 % 256) as u8).collect());
            }
            let scaling = Scaling::fit(crate::data::ScaleKind::Standard, &dataset, &parts.train).unwrap();
            let all = Resident::of(&dataset, &scaling, &TargetScaling::default(), &parts);
            for columns in [vec![4], vec![0, 1, 2, 3, 19], vec![5, 7, 8, 10, 11, 13, 18]] {
                let some = all.with_columns(&columns);
                let rows = [0, 29, 7];
                let expected: Vec<f64> =
                    all.inputs(&rows).chunks(20).flat_map(|row| columns.iter().map(|&c| row[c])).collect();
                assert_eq!(some.inputs(&rows), expected, "bytes {bytes}: {columns:?}");
                assert_eq!((some.columns, &some.targets, &some.list), (columns.len(), &all.targets, &all.list));
            }
        }
    }
}
