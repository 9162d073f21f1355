//! Scaling of inputs and targets, fitted on the training rows and stored in the model.

use serde::{Deserialize, Serialize};

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

/// `x' = (x − shift)·scale` for every column; a missing (NaN) cell becomes `fill` first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    pub kind: ScaleKind,
    pub shift: Vec<f32>,
    pub scale: Vec<f32>,
    /// Mean of the known training cells (weighted, as everything here, by the rows' weights).
    pub fill: Vec<f32>,
    /// Mean and standard deviation of the scaled training inputs.
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
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
                let x = f64::from(dataset.value(r as usize, c));
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
        let mut scaling =
            Scaling { kind, shift: Vec::new(), scale: Vec::new(), fill: Vec::new(), mean: Vec::new(), std: Vec::new() };
        for column in columns {
            let std = if column.count > 0.0 { (column.squares / column.count).sqrt() } else { 0.0 };
            let (shift, scale) = match kind {
                ScaleKind::None => (0.0, 1.0),
                ScaleKind::Unit => (0.0, inverse(whole)),
                ScaleKind::Standard => (column.mean, inverse(std)),
                ScaleKind::MinMax if column.count == 0.0 => (0.0, 1.0),
                ScaleKind::MinMax => (column.min, inverse(column.max - column.min)),
            };
            scaling.shift.push(shift as f32);
            scaling.scale.push(scale as f32);
            scaling.fill.push(column.mean as f32);
            scaling.mean.push(((column.mean - shift) * scale) as f32);
            let scaled = (std * scale) as f32;
            scaling.std.push(if scaled < f32::MIN_POSITIVE { 0.0 } else { scaled });
        }
        Ok(scaling)
    }

    /// Columns that are the same in every training row.
    pub fn constant(&self) -> Vec<bool> {
        self.std.iter().map(|&s| s == 0.0).collect()
    }

    /// Replaces missing cells.
    pub fn fill_missing(&self, dataset: &mut Dataset) {
        if let Values::F32(values) = &mut dataset.x {
            for (row, values) in values.chunks_exact_mut(dataset.columns).enumerate() {
                for (c, (x, &fill)) in values.iter_mut().zip(&self.fill).enumerate().filter(|(_, (x, _))| x.is_nan()) {
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
    pub shift: Vec<f32>,
    pub scale: Vec<f32>,
}

impl TargetScaling {
    pub fn fit(dataset: &Dataset, rows: &[u32]) -> Self {
        let Targets::Numbers { values, names } = &dataset.y else { return TargetScaling::default() };
        let weight = |r: u32| dataset.weight(r as usize);
        let total: f64 = rows.iter().map(|&r| weight(r)).sum();
        let (m, n) = (names.len(), if total > 0.0 { total } else { 1.0 });
        let mut scaling = TargetScaling::default();
        for c in 0..m {
            let column = || rows.iter().map(|&r| (weight(r), f64::from(values[r as usize * m + c])));
            let mean = column().map(|(w, y)| w * y).sum::<f64>() / n;
            let std = (column().map(|(w, y)| w * (y - mean).powi(2)).sum::<f64>() / n).sqrt();
            scaling.shift.push(mean as f32);
            scaling.scale.push(inverse(std) as f32);
        }
        scaling
    }
}
