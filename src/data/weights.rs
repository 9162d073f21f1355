//! How much each row counts.

use super::{Dataset, Split};
use crate::{Error, Result};

impl Dataset {
    /// Brings the weights to mean 1 over each part of the split: a loss is then of the same size as without weights, whatever
    /// unit they came in. Without weights nothing happens. Rows outside the split keep theirs.
    ///
    /// # Errors
    /// [`Error::Input`] for a part whose rows all have the weight 0: nothing could be learnt from it or measured on it.
    pub fn weigh(&mut self, parts: &Split) -> Result<()> {
        let Some(weights) = &mut self.weights else { return Ok(()) };
        for (part, rows) in [("training", &parts.train), ("validation", &parts.validation), ("test", &parts.test)] {
            let total: f64 = rows.iter().map(|&r| f64::from(weights[r as usize])).sum();
            if total <= 0.0 && !rows.is_empty() {
                return Err(Error::input(
                    &self.source,
                    "row weights",
                    format!("those of the {} {part} rows are all 0", rows.len()),
                    "give more rows a weight above 0, or that part a larger share",
                ));
            }
            let factor = rows.len() as f64 / total;
            rows.iter().for_each(|&r| weights[r as usize] = (f64::from(weights[r as usize]) * factor) as f32);
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
