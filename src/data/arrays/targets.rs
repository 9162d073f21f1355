//! Targets of arrays: classes or numbers.

use std::path::Path;

use super::super::classes::{Distinct, GUESSED_CLASSES};
use super::super::{Missing, Targets, Task};
use super::npy::Array;
use crate::{Error, Result};

/// Classes that a target may have.
pub(super) const MOST_CLASSES: usize = 1000;

fn outputs(y: &Array) -> usize {
    y.header.shape.get(1).copied().unwrap_or(1)
}

/// Values of `y` and `y_test`. Marks the rows with NaN where they are dropped, and refuses what isn't finite elsewhere.
pub(super) fn target_values(
    path: &Path,
    y: &Array,
    test: Option<&Array>,
    treatment: Missing,
    missing: &mut [bool],
) -> Result<Vec<f64>> {
    let m = outputs(y);
    let mut values = Vec::new();
    for array in [Some(y), test].into_iter().flatten() {
        if outputs(array) != m {
            let problem = format!("its rows have {} outputs and those of {} have {m}", outputs(array), y.header.name);
            return Err(Error::input(path, array.header.name.as_str(), problem, "save arrays of one set"));
        }
        let part = array.to_f64();
        for (i, v) in part.iter().enumerate().filter(|(_, v)| !(**v as f32).is_finite()) {
            if v.is_nan() && treatment == Missing::Drop {
                missing[values.len() / m + i / m] = true;
                continue;
            }
            let place = format!("{}, row {} (counted from 0)", array.header.name, i / m);
            let problem = format!("the value is {v}, not a finite 32-bit number");
            let remedy = if v.is_nan() {
                "fill in the target, or leave such rows out with --missing drop"
            } else {
                "correct the target or remove the row"
            };
            return Err(Error::input(path, place, problem, remedy));
        }
        values.extend(part);
    }
    Ok(values)
}

/// Classes or numbers, as asked for or as the values suggest.
pub(super) fn targets(
    path: &Path,
    y: &Array,
    test: Option<&Array>,
    values: Vec<f64>,
    task: Option<Task>,
    notes: &mut Vec<String>,
) -> Result<Targets> {
    let m = outputs(y);
    let integer = y.header.kind.is_integer() && test.is_none_or(|t| t.header.kind.is_integer());
    if m > 1 {
        if task == Some(Task::Classify) {
            let problem = format!("{m} outputs a row can't be a class");
            return Err(Error::input(
                path,
                y.header.name.as_str(),
                problem,
                "save one label a row (numpy.argmax) or give --task regress",
            ));
        }
        return Ok(Targets::Numbers { values, names: (0..m).map(|i| format!("y{i}")).collect() });
    }
    let found = Distinct::of(&values);
    let classes = found.are_classes(if integer { MOST_CLASSES } else { GUESSED_CLASSES });
    if task.is_none() {
        notes.extend(found.either_way(&y.header.name, values.len(), classes));
    }
    if task == Some(Task::Regress) || (task.is_none() && !classes) {
        return Ok(Targets::Numbers { values, names: vec!["y".into()] });
    }
    let Distinct { values: distinct, whole, .. } = found;
    if distinct.len() > MOST_CLASSES {
        let problem = format!("the target has more than {MOST_CLASSES} classes");
        return Err(Error::input(path, y.header.name.as_str(), problem, "give --task regress for a number"));
    }
    if !whole && distinct.len() > GUESSED_CLASSES {
        let problem = format!("{} distinct numbers that aren't whole are no classes", distinct.len());
        let remedy = "give --task regress, or number the classes";
        return Err(Error::input(path, y.header.name.as_str(), problem, remedy));
    }
    if distinct.iter().any(|v| v.abs() >= 9_007_199_254_740_992.0) {
        let remedy = "number the classes from 0 (numpy.unique with return_inverse=True)";
        return Err(Error::input(path, y.header.name.as_str(), "its labels are beyond 2^53", remedy));
    }
    let labels = values.iter().map(|v| distinct.partition_point(|d| d < v) as u32).collect();
    // Adding 0 turns -0 into 0.
    Ok(Targets::Classes { labels, names: distinct.iter().map(|v| (v + 0.0).to_string()).collect() })
}
