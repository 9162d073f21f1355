//! Which output an explanation is of.

use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::host::argmax;
use crate::{Error, Result};

/// Which output is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Index(usize),
    /// The largest, of each sample.
    Predicted,
    /// One output minus another: what tells two classes apart.
    Difference(usize, usize),
}

impl FromStr for Output {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = |text: &str| text.trim().parse::<usize>().ok();
        let parsed = match text.split_once('-') {
            _ if text == "predicted" => Some(Output::Predicted),
            Some((a, b)) => number(a).zip(number(b)).map(|(a, b)| Output::Difference(a, b)),
            None => number(text).map(Output::Index),
        };
        parsed.ok_or_else(|| {
            Error::Usage(format!(
                "--output {text} is not an output; give its number from 0, predicted, or A-B for a difference"
            ))
        })
    }
}

impl Output {
    /// The output of one sample: itself, with a prediction looked up.
    pub(super) fn of(self, y: &[f64]) -> Output {
        match self {
            Output::Predicted => Output::Index(argmax(y)),
            fixed => fixed,
        }
    }

    pub(super) fn cotangent(self, outputs: usize) -> Vec<f64> {
        let mut u = vec![0.0; outputs];
        match self {
            Output::Index(j) => u[j] = 1.0,
            Output::Difference(a, b) => {
                u[a] += 1.0;
                u[b] -= 1.0;
            }
            Output::Predicted => unreachable!("looked up for each sample"),
        }
        u
    }

    /// Whether a network of so many outputs has it.
    ///
    /// # Errors
    /// [`Error::Usage`] that says which there are.
    pub fn check(self, outputs: usize) -> Result<()> {
        let largest = match self {
            Output::Index(j) => j,
            Output::Difference(a, b) if a == b => {
                return Err(Error::Usage(format!("--output {a}-{b} is always zero; give two different outputs")));
            }
            Output::Difference(a, b) => a.max(b),
            Output::Predicted => 0,
        };
        if largest < outputs {
            return Ok(());
        }
        Err(Error::Usage(format!("--output {self}: the network's outputs are numbered 0 to {}", outputs - 1)))
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Output::Index(j) => write!(f, "{j}"),
            Output::Predicted => write!(f, "predicted"),
            Output::Difference(a, b) => write!(f, "{a}-{b}"),
        }
    }
}

impl Serialize for Output {
    /// A number, or `"A-B"`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Output::Index(j) => serializer.serialize_u64(*j as u64),
            other => serializer.serialize_str(&other.to_string()),
        }
    }
}
