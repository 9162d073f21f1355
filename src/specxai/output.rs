//! Which output an explanation is of.

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

impl Output {
    /// Reads `predicted`, an output, or a difference `A-B` of two. An output is one of `names` (classes or targets), or, where
    /// nothing is called like that, its number from 0.
    ///
    /// # Errors
    /// [`Error::Usage`] for anything else; [`Output::check`]'s.
    pub fn parse(text: &str, names: &[String]) -> Result<Self> {
        let one = |text: &str| {
            let text = text.trim();
            names.iter().position(|name| name == text).or_else(|| text.parse().ok())
        };
        // Names may have a hyphen themselves: each may be the one that stands for the difference.
        let difference = || text.match_indices('-').find_map(|(at, _)| one(&text[..at]).zip(one(&text[at + 1..])));
        let parsed = match one(text) {
            Some(j) => Some(Output::Index(j)),
            None if text == "predicted" => Some(Output::Predicted),
            None => difference().map(|(a, b)| Output::Difference(a, b)),
        };
        let output = parsed.ok_or_else(|| {
            const LISTED: usize = 10;
            let more = if names.len() > LISTED { ", …" } else { "" };
            Error::Usage(format!(
                "--output {text:?} is not an output; give its name ({}{more}), its number from 0, predicted, or A-B for a difference",
                names[..names.len().min(LISTED)].join(", ")
            ))
        })?;
        output.check(names.len())?;
        Ok(output)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_have_names_and_numbers() {
        let names = ["setosa", "half-wild", "wild", "1"].map(str::to_owned);
        let parse = |text: &str| Output::parse(text, &names).ok();
        assert_eq!(parse("predicted"), Some(Output::Predicted));
        assert_eq!(parse("setosa"), Some(Output::Index(0)));
        assert_eq!(parse("half-wild"), Some(Output::Index(1)));
        assert_eq!(parse("half-wild-wild"), Some(Output::Difference(1, 2)));
        assert_eq!(parse("2-setosa"), Some(Output::Difference(2, 0)));
        // A name goes before a number.
        assert_eq!((parse("1"), parse("0"), parse("3")), (Some(Output::Index(3)), Some(Output::Index(0)), parse("1")));
        assert!(["4", "rose", "wild-wild", "", "-", "-1"].iter().all(|text| parse(text).is_none()));
    }
}
