//! Rows with missing values, and what rows weigh.

use std::path::Path;

use super::npy::Array;
use crate::data::weights::{WEIGHT_REMEDY, bad_weight};
use crate::data::{Dataset, Missing, Values};
use crate::error::counted;
use crate::{Error, Result};

/// Refuses what isn't finite; marks the rows with NaN where that is allowed.
pub(super) fn check_finite(
    path: &Path,
    name: &str,
    (first_row, values): (usize, &[f32]),
    columns: usize,
    treatment: Missing,
    missing: &mut [bool],
) -> Result<()> {
    for (i, v) in values.iter().enumerate().filter(|(_, v)| !v.is_finite()) {
        let (row, column) = (i / columns, i % columns);
        let place = format!("{name}, row {}, column {column} (counted from 0)", first_row + row);
        if !v.is_nan() {
            return Err(Error::input(
                path,
                place,
                "the value is not a finite 32-bit number",
                "correct or remove the row",
            ));
        }
        if treatment == Missing::Refuse {
            return Err(Error::input(
                path,
                place,
                "the value is NaN",
                "fill it in or give --missing mean or --missing drop",
            ));
        }
        missing[row] = true;
    }
    Ok(())
}

/// Drops the marked rows, or notes that they are filled later.
pub(super) fn treat_missing(mut dataset: Dataset, treatment: Missing, missing: &[bool]) -> Dataset {
    let count = missing.iter().filter(|&&m| m).count();
    if count == 0 {
        return dataset;
    }
    if treatment == Missing::Drop {
        let keep: Vec<usize> = (0..dataset.rows).filter(|&r| !missing[r]).collect();
        let note = format!("{count} of {} dropped for a missing value", counted(dataset.rows, "row"));
        dataset = dataset.select_rows(&keep);
        dataset.notes.push(note);
    } else {
        let cells = match &dataset.x {
            Values::F32(v) => v.iter().filter(|v| v.is_nan()).count(),
            Values::U8(_) => 0,
        };
        dataset.notes.push(format!(
            "{} in {}: filled with the training rows' mean",
            counted(cells, "missing value"),
            counted(count, "row")
        ));
    }
    dataset
}

/// The values of the rows that aren't marked.
pub(super) fn kept(values: &[f64], missing: &[bool]) -> Vec<f64> {
    let rows = values.chunks_exact(values.len() / missing.len()).zip(missing);
    rows.filter(|(_, missing)| !**missing).flat_map(|(row, _)| row).copied().collect()
}

/// The arrays of weights, one after the other. Marks the rows with NaN where they are dropped, and refuses what is no weight.
pub(super) fn row_weights(
    path: &Path,
    arrays: &[Option<(&Array, usize)>],
    treatment: Missing,
    missing: &mut [bool],
) -> Result<Vec<f32>> {
    let mut weights = Vec::new();
    for &(array, rows) in arrays.iter().flatten() {
        if array.header.shape != [rows] {
            let problem = format!("its shape is {:?}, for {}", array.header.shape, counted(rows, "row"));
            return Err(Error::input(path, array.header.name.as_str(), problem, "save one weight a row, as [rows]"));
        }
        for (row, weight) in array.to_f64().into_iter().enumerate() {
            if weight.is_nan() && treatment == Missing::Drop {
                missing[weights.len()] = true;
            } else if let Some(problem) = bad_weight(weight) {
                let place = format!("{}, row {row} (counted from 0)", array.header.name);
                return Err(Error::input(path, place, format!("{weight} {problem}"), WEIGHT_REMEDY));
            }
            weights.push(weight as f32);
        }
    }
    Ok(weights)
}
