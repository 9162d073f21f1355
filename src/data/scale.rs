//! Scaling of inputs and targets, fitted on the training rows and stored in the model.

use serde::{Deserialize, Serialize};

use super::origin::{is_far, shortest, single};
use super::{Dataset, Targets, Unit, Values};
use crate::{Error, Result};

/// How inputs are brought to a common scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScaleKind {
    /// (x − mean) / standard deviation, column by column.
    Standard,
    None,
    /// Bytes divided by 255; other numbers by the largest magnitude in the training rows.
    Unit,
    /// (x − min) / (max − min), column by column.
    MinMax,
}

impl ScaleKind {
    /// Bytes are divided by 255, the synthetic sets stay as they are, everything else is standardised.
    pub fn default_for(dataset: &Dataset) -> Self {
        match &dataset.x {
            Values::U8(_) => ScaleKind::Unit,
            Values::F32(_)
                if matches!(dataset.source.as_str(), "gaussian" | "correlated" | "redundant" | "channels") =>
            {
                ScaleKind::None
            }
            Values::F32(_) => ScaleKind::Standard,
        }
    }
}

/// `x' = (x − shift)·scale` for every column, in double precision; a missing (NaN) cell becomes `fill` first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    pub kind: ScaleKind,
    /// What the columns of the data are counted from, for the same numbers to be read alike again ([`Dataset::origins`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<f64>,
    pub shift: Vec<f64>,
    pub scale: Vec<f64>,
    /// Mean of the known training cells (weighted, as everything here, by the rows' weights).
    pub fill: Vec<f64>,
    /// Mean and standard deviation of the scaled training inputs.
    pub mean: Vec<f64>,
    pub std: Vec<f64>,
}

/// Sums over one column's known training cells.
#[derive(Clone, Copy)]
struct Column {
    /// Σ of the rows' weights: the rows themselves without.
    count: f64,
    mean: f64,
    /// Σ w (x − mean)², updated as Welford does: no cancellation for columns with a large offset.
    squares: f64,
    min: f64,
    max: f64,
}

impl Column {
    /// The sums over the same cells, each larger by so much.
    fn move_by(&mut self, origin: f64) {
        self.mean += origin;
        self.min += origin;
        self.max += origin;
    }

    /// Exactly 0 where all cells are alike: what rounding leaves of the squares then would be taken for a very narrow column.
    fn std(&self) -> f64 {
        if self.max > self.min { (self.squares / self.count).sqrt() } else { 0.0 }
    }

    /// The sums over the cells of both (Chan, Golub and LeVeque's update).
    fn with(self, other: Column) -> Column {
        let count = self.count + other.count;
        if count == 0.0 {
            return self;
        }
        let (share, apart) = (other.count / count, other.mean - self.mean);
        Column {
            count,
            mean: self.mean + apart * share,
            squares: self.squares + other.squares + apart * apart * self.count * share,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }
}

/// 1/width, or 1 where there is no width: below the least normal `f32` the inverse could be infinite, and GPUs may take
/// such numbers for 0.
fn inverse(width: f64) -> f64 {
    if width >= f64::from(f32::MIN_POSITIVE) { 1.0 / width } else { 1.0 }
}

/// A wider column's scale would be below the least normal `f32`, which engines take for 0: the column would be dropped unsaid.
const WIDEST: f64 = 1e37;

impl Scaling {
    /// Fits on the given rows, in f64; a row of weight 0 has no say. A constant column is shifted to 0 and keeps scale 1.
    ///
    /// # Errors
    /// A column with missing cells alone in these rows: there is no mean to fill in. A column that spans more than 1e37.
    pub fn fit(kind: ScaleKind, dataset: &Dataset, rows: &[u32]) -> Result<Self> {
        Scaling::fit_together(kind, dataset, rows, &[])
    }

    /// The same with one shift and one scale for all columns of a unit, fitted on the numbers of all: a channel's, which a convolution
    /// reads with one weight wherever they stand.
    ///
    /// # Errors
    /// The same.
    pub fn fit_together(kind: ScaleKind, dataset: &Dataset, rows: &[u32], units: &[Unit]) -> Result<Self> {
        let start = Column { count: 0.0, mean: 0.0, squares: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY };
        let mut columns = vec![start; dataset.columns];
        for &r in rows {
            let weight = dataset.weight(r as usize);
            if weight <= 0.0 {
                continue;
            }
            for (c, column) in columns.iter_mut().enumerate() {
                // From the column's origin.
                let x = f64::from(dataset.held(r as usize, c));
                if x.is_nan() {
                    continue;
                }
                column.count += weight;
                let d = x - column.mean;
                column.mean += d * weight / column.count;
                column.squares += weight * d * (x - column.mean);
                column.min = column.min.min(x);
                column.max = column.max.max(x);
            }
        }
        columns.iter_mut().enumerate().for_each(|(c, column)| column.move_by(dataset.origin(c)));
        if let Some(c) = columns.iter().position(|column| column.count == 0.0).filter(|_| !rows.is_empty()) {
            let place = format!("column {:?}", dataset.features[c].name);
            let problem = "no training row has a value in it, so there is no mean to fill in";
            let remedy = "leave the column out (--drop for a table) or fill in some cells";
            return Err(Error::input(&dataset.source, place, problem, remedy));
        }
        for unit in units {
            let all = unit.columns.iter().fold(start, |all, &c| all.with(columns[c]));
            unit.columns.iter().for_each(|&c| columns[c] = all);
        }
        if let Some(c) = columns.iter().position(|column| column.max - column.min > WIDEST) {
            let place = format!("column {:?}", dataset.features[c].name);
            let problem =
                format!("its values span {:.1e}, too much for 32-bit arithmetic", columns[c].max - columns[c].min);
            return Err(Error::input(&dataset.source, place, problem, "divide the column by a power of ten"));
        }
        let largest = columns.iter().fold(0.0f64, |a, c| a.max(c.max.abs()).max(c.min.abs()));
        let whole = match &dataset.x {
            Values::U8(_) => 255.0,
            Values::F32(_) if largest.is_finite() => largest,
            Values::F32(_) => 1.0,
        };
        let mut scaling = Scaling {
            kind,
            origins: dataset.origins.clone(),
            shift: Vec::new(),
            scale: Vec::new(),
            fill: Vec::new(),
            mean: Vec::new(),
            std: Vec::new(),
        };
        for column in columns {
            let std = column.std();
            let (shift, scale) = match kind {
                ScaleKind::None => (0.0, 1.0),
                ScaleKind::Unit => (0.0, inverse(whole)),
                ScaleKind::Standard => (column.mean, inverse(std)),
                ScaleKind::MinMax if column.count == 0.0 => (0.0, 1.0),
                ScaleKind::MinMax => (column.min, inverse(column.max - column.min)),
            };
            scaling.shift.push(shift);
            scaling.scale.push(scale);
            scaling.fill.push(column.mean);
            scaling.mean.push((column.mean - shift) * scale);
            let scaled = std * scale;
            scaling.std.push(if scaled < f64::from(f32::MIN_POSITIVE) { 0.0 } else { scaled });
        }
        Ok(scaling)
    }

    /// Columns that are the same in every training row.
    pub fn constant(&self) -> Vec<bool> {
        self.std.iter().map(|&s| s == 0.0).collect()
    }

    /// Replaces missing cells.
    pub fn fill_missing(&self, dataset: &mut Dataset) {
        let fills: Vec<f32> = (0..dataset.columns).map(|c| (self.fill[c] - dataset.origin(c)) as f32).collect();
        if let Values::F32(values) = &mut dataset.x {
            for (row, values) in values.chunks_exact_mut(dataset.columns).enumerate() {
                for (c, (x, &fill)) in values.iter_mut().zip(&fills).enumerate().filter(|(_, (x, _))| x.is_nan()) {
                    *x = fill;
                    dataset.filled.push(row * dataset.columns + c);
                }
            }
            dataset.filled.sort_unstable();
        }
    }
}

/// Targets of a regression: `y' = (y − shift)·scale`, standardised on the training rows with their weights. Empty for classes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetScaling {
    pub shift: Vec<f64>,
    pub scale: Vec<f64>,
}

impl TargetScaling {
    /// That of inputs that are the targets.
    pub fn as_inputs(inputs: &Scaling) -> Self {
        TargetScaling { shift: inputs.shift.clone(), scale: inputs.scale.clone() }
    }

    /// Fits on the given rows; a row of weight 0 has no say.
    ///
    /// # Errors
    /// A number that is the same in all of these rows: there is nothing to learn.
    pub fn fit(dataset: &Dataset, rows: &[u32]) -> Result<Self> {
        let Targets::Numbers { values, names } = &dataset.y else { return Ok(TargetScaling::default()) };
        let m = names.len();
        let mut scaling = TargetScaling::default();
        for (c, name) in names.iter().enumerate() {
            let column = || {
                let cell = |&r: &u32| (dataset.weight(r as usize), values[r as usize * m + c]);
                rows.iter().map(cell).filter(|(weight, _)| *weight > 0.0)
            };
            let Some((_, first)) = column().next() else {
                scaling.shift.push(0.0);
                scaling.scale.push(1.0);
                continue;
            };
            if column().all(|(_, y)| y == first) {
                let problem = format!("every training row has {first} in it");
                let remedy = "give a target that varies, or leave it out";
                return Err(Error::input(&dataset.source, format!("target {name:?}"), problem, remedy));
            }
            let total: f64 = column().map(|(w, _)| w).sum();
            // From the first value: far from zero the sum itself would have no digits left for what values differ by.
            let mean = first + column().map(|(w, y)| w * (y - first)).sum::<f64>() / total;
            let std = (column().map(|(w, y)| w * (y - mean).powi(2)).sum::<f64>() / total).sqrt();
            scaling.shift.push(mean);
            scaling.scale.push(inverse(std));
        }
        Ok(scaling)
    }

    /// A standardised number in the target's units.
    pub fn original(&self, output: usize, y: f64) -> f64 {
        y / self.scale[output] + self.shift[output]
    }

    /// The same of a number in single precision, with as many digits as that has: more than an `f32` holds where the target lies far
    /// from zero, for most of those are the shift's.
    pub fn original_of_single(&self, output: usize, y: f64) -> f64 {
        let (original, scale) = (self.original(output, y), self.scale[output]);
        if is_far(original, scale) {
            shortest(original, y.abs().max(1.0) / scale.abs() * f64::from(f32::EPSILON) / 4.0)
        } else {
            single(original as f32)
        }
    }
}
