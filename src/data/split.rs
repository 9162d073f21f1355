//! Training, validation and test rows.

use super::{Dataset, Targets};
use crate::random::Random;
use crate::{Error, Result};

/// Row numbers of the three parts; they don't overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    pub train: Vec<u32>,
    pub validation: Vec<u32>,
    pub test: Vec<u32>,
}

/// Splits a data set, seeded, class by class for classification.
///
/// Where the data came with a test set of their own, that is the test part and `test` is ignored. `validation` and `test`
/// are shares of the other rows, in every class to within one row; each class keeps at least one training row.
///
/// # Errors
/// [`Error::Usage`] for shares that leave nothing to train on, [`Error::Input`] for a class that only test rows have.
pub fn split(dataset: &Dataset, validation: f64, test: f64, seed: u64) -> Result<Split> {
    for (name, share) in [("--validation", validation), ("--test", test)] {
        if !(0.0..1.0).contains(&share) {
            return Err(Error::Usage(format!("{name} is {share}; it is a share of the rows, at least 0 and below 1")));
        }
    }
    // Ignored before it is checked: its default must not forbid a large --validation.
    let test = if dataset.test_from.is_some() { 0.0 } else { test };
    if validation + test >= 1.0 {
        return Err(Error::Usage(format!(
            "--validation {validation} and --test {test} leave no rows to train on; their sum must be below 1"
        )));
    }
    let own = dataset.test_from.unwrap_or(dataset.rows);
    let mut groups: Vec<Vec<u32>> = match &dataset.y {
        Targets::Classes { labels, names } => {
            let mut groups = vec![Vec::new(); names.len()];
            (0..own).for_each(|r| groups[labels[r] as usize].push(r as u32));
            if let Some(class) = groups.iter().position(Vec::is_empty) {
                let problem = format!("the class {:?} has none", names[class]);
                let remedy = "add rows of that class, or choose the others with --classes";
                return Err(Error::input(&dataset.source, "training rows", problem, remedy));
            }
            groups
        }
        _ => vec![(0..own as u32).collect()],
    };
    let (mut parts, mut seen) = (Split::default(), 0);
    for (stream, group) in groups.iter_mut().enumerate() {
        Random::new(seed, 0x5917 + stream as u64).shuffle(group);
        seen += group.len();
        // The running total is rounded, not each class: many small classes would all round to none. What a class can't
        // spare is left to the next ones, at most one row more than their own share.
        let due = |share: f64, taken: usize| {
            let most = (group.len() as f64 * share).floor() as usize + 1;
            ((seen as f64 * share).round() as usize).saturating_sub(taken).min(most)
        };
        let spare = group.len().saturating_sub(1);
        let test_rows = due(test, parts.test.len()).min(spare);
        let validation_rows = due(validation, parts.validation.len()).min(spare - test_rows);
        let (first, rest) = group.split_at(test_rows);
        let (second, rest) = rest.split_at(validation_rows);
        parts.test.extend(first);
        parts.validation.extend(second);
        parts.train.extend(rest);
    }
    parts.test.extend(own as u32..dataset.rows as u32);
    for part in [&mut parts.train, &mut parts.validation, &mut parts.test] {
        part.sort_unstable();
    }
    if parts.train.is_empty() {
        return Err(Error::Usage(format!("{} has no rows to train on; give more data", dataset.source)));
    }
    Ok(parts)
}
