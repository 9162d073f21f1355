//! What a file has behind the output that is explained.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::host::{log_softmax, softmax};

/// A final softmax, log-softmax or sigmoid, which was taken off: it is increasing in each output, or a softmax of some of them, so that what
/// goes into it is what there is to explain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// ONNX' name of the operator.
    operator: String,
    /// Outputs `(a, k, b)`, in that order, are normalised over k together: how many k there are, and how many b.
    size: usize,
    inner: usize,
}

impl Ending {
    /// `Softmax` or `LogSoftmax` over some axes of a sample's output, or `Sigmoid` over none.
    pub(crate) fn new(operator: &str, shape: &[usize], axes: Range<usize>) -> Self {
        let inner = shape[axes.end..].iter().product();
        Ending { operator: operator.to_owned(), size: shape[axes].iter().product(), inner }
    }

    pub fn operator(&self) -> &str {
        &self.operator
    }

    /// What it makes of the outputs of a sample.
    pub fn apply(&self, outputs: &[f64]) -> Vec<f64> {
        if self.operator == "Sigmoid" {
            return outputs.iter().map(|y| 1.0 / (1.0 + (-y).exp())).collect();
        }
        let normalise = if self.operator == "LogSoftmax" { log_softmax } else { softmax };
        let mut made = vec![0.0; outputs.len()];
        let whole = (self.size * self.inner).max(1);
        for (a, block) in outputs.chunks_exact(whole).enumerate() {
            for b in 0..self.inner {
                let places = || (b..whole).step_by(self.inner);
                let together: Vec<f64> = places().map(|at| block[at]).collect();
                for (at, y) in places().zip(normalise(&together)) {
                    made[a * whole + at] = y;
                }
            }
        }
        made
    }

    /// The probability of every output.
    pub fn probabilities(&self, outputs: &[f64]) -> Vec<f64> {
        let mut made = self.apply(outputs);
        if self.operator == "LogSoftmax" {
            made.iter_mut().for_each(|ln| *ln = ln.exp());
        }
        made
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.operator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over each axis and over the last two of `[2, 3, 2]`: what is normalised together adds up to 1 and keeps its ratios.
    #[test]
    fn softmax_is_over_its_axes() {
        let shape = [2, 3, 2];
        let y: Vec<f64> = (0..12).map(|i| f64::from(i * i % 7)).collect();
        for axes in [0..1, 1..2, 2..3, 1..3, 0..3] {
            let index = |i: usize| [i / 6, i / 2 % 3, i % 2];
            let together =
                |i: usize, j: usize| (0..3).all(|axis| axes.contains(&axis) || index(i)[axis] == index(j)[axis]);
            let found = Ending::new("Softmax", &shape, axes.clone()).apply(&y);
            let ln = Ending::new("LogSoftmax", &shape, axes.clone());
            for i in 0..12 {
                let sum: f64 = (0..12).filter(|&j| together(i, j)).map(|j| y[j].exp()).sum();
                let truth = y[i].exp() / sum;
                assert!((found[i] - truth).abs() < 1e-14, "{axes:?}: {} at {i}, not {truth}", found[i]);
                assert!((ln.apply(&y)[i] - truth.ln()).abs() < 1e-13);
                assert!((ln.probabilities(&y)[i] - truth).abs() < 1e-14);
            }
        }
        assert_eq!(Ending::new("Sigmoid", &shape, 0..0).apply(&[0.0, 0.0]), [0.5, 0.5]);
    }
}
