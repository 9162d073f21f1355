//! What the experiments hold their numbers against.

use serde::Serialize;

/// One figure of the paper as a number, held against a bound.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    pub what: String,
    pub value: f64,
    pub bound: f64,
    /// Whether the value has to be at least the bound, or at most.
    pub at_least: bool,
    pub holds: bool,
}

impl Check {
    pub fn at_least(what: impl Into<String>, value: f64, bound: f64) -> Self {
        Check { what: what.into(), value, bound, at_least: true, holds: value >= bound }
    }

    pub fn at_most(what: impl Into<String>, value: f64, bound: f64) -> Self {
        Check { what: what.into(), value, bound, at_least: false, holds: value <= bound }
    }
}

/// Mean and standard deviation (of the population) over replicas or data sets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub mean: f64,
    pub std: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// Zeros for no values.
    pub fn of(values: &[f64]) -> Self {
        let n = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        let least = values.iter().copied().reduce(f64::min).unwrap_or(0.0);
        let most = values.iter().copied().reduce(f64::max).unwrap_or(0.0);
        Spread { mean, std: variance.sqrt(), least, most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_and_refuse_what_is_no_number() {
        assert!(Check::at_most("a", 0.03, 0.03).holds && Check::at_least("a", 0.9, 0.9).holds);
        assert!(!Check::at_most("a", f64::NAN, 0.03).holds && !Check::at_least("a", f64::NAN, 0.9).holds);
    }
}
