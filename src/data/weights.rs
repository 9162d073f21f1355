//! How much each row counts.

use super::{Dataset, Split, Targets};
use crate::{Error, Result};

impl Dataset {
    /// Brings the weights to mean 1 over each part of the split: a loss is then of the same size as without weights, whatever
    /// unit they came in. Rows outside the split keep theirs. `balanced`: in each part every class counts the same as well,
    /// so that a share of right answers is the balanced accuracy of that part, the mean over its classes: without weights a row
    /// gets rows/(classes · rows of its class). Doing it again changes nothing but rounding.
    ///
    /// # Errors
    /// [`Error::Usage`] for `balanced` without classes; [`Error::Input`] for a part whose rows all have the weight 0: nothing
    /// could be learnt from it or measured on it.
    pub fn weigh(&mut self, parts: &Split, balanced: bool) -> Result<()> {
        let classes = match &self.y {
            _ if !balanced => None,
            Targets::Classes { labels, names } => Some((labels, names.len())),
            _ => {
                return Err(Error::Usage(format!(
                    "--balanced-classes makes every class count the same, and the target of {} has none; leave it out (or add \
                     --task classify)",
                    self.source
                )));
            }
        };
        if balanced && self.weights.is_none() {
            self.weights = Some(vec![1.0; self.rows]);
        }
        let Some(weights) = &mut self.weights else { return Ok(()) };
        for (part, rows) in [("training", &parts.train), ("validation", &parts.validation), ("test", &parts.test)] {
            let class = |row: u32| classes.map_or(0, |(labels, _)| labels[row as usize] as usize);
            let mut totals = vec![0.0; classes.map_or(1, |(_, count)| count)];
            rows.iter().for_each(|&r| totals[class(r)] += f64::from(weights[r as usize]));
            let shares = totals.iter().filter(|&&total| total > 0.0).count();
            if shares == 0 && !rows.is_empty() {
                return Err(Error::input(
                    &self.source,
                    "row weights",
                    format!("those of the {} {part} rows are all 0", rows.len()),
                    "give more rows a weight above 0, or that part a larger share",
                ));
            }
            for &r in rows {
                let (weight, total) = (&mut weights[r as usize], totals[class(r)]);
                if total > 0.0 {
                    *weight = (f64::from(*weight) * rows.len() as f64 / (shares as f64 * total)) as f32;
                }
            }
        }
        Ok(())
    }

    /// What a row counts: 1 without weights.
    pub fn weight(&self, row: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| f64::from(weights[row]))
    }
}

/// What no weight can be, as a problem for a message.
pub(super) fn bad_weight(value: f64) -> Option<&'static str> {
    if !(value as f32).is_finite() {
        Some("is not a finite 32-bit number")
    } else if value < 0.0 {
        Some("is below 0")
    } else {
        None
    }
}

/// The remedy for a bad weight.
pub(super) const WEIGHT_REMEDY: &str = "a row's weight is a finite number, 0 or more; correct it";
