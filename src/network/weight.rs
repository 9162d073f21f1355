//! Weights, direct or spectral: a parametrisation that dense layers and convolutions share.

use serde::{Deserialize, Serialize};

use super::layout::{Role, Start, TensorSpec};
use crate::kernels::Eigenvalues;
use crate::program::View;

/// How a weight `W: [M, N]` is parametrised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// W itself is trained.
    Direct,
    /// `W[j,i] = (λ_in[i] − λ_out[j])·ψ[j,i]` (Chicchi et al., eq. 1 with both eigenvalues).
    Spectral(Spectral),
}

/// Which parts of a spectral weight are trained; the others keep their start (λ_in = 1, λ_out = 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spectral {
    pub psi: bool,
    pub lambda_in: bool,
    pub lambda_out: bool,
}

impl Default for Spectral {
    /// The papers' experiments: ψ and λ_in trained, λ_out = 0 frozen.
    fn default() -> Self {
        Spectral { psi: true, lambda_in: true, lambda_out: false }
    }
}

/// Names of a layer's tensors.
pub(crate) const WEIGHT: &str = "weight";
pub(crate) const PSI: &str = "psi";
pub(crate) const LAMBDA_IN: &str = "lambda_in";
pub(crate) const LAMBDA_OUT: &str = "lambda_out";
pub(crate) const BIAS: &str = "bias";

impl Weight {
    /// The name of the matrix that the products read.
    pub(crate) fn matrix(self) -> &'static str {
        if matches!(self, Weight::Spectral(_)) { PSI } else { WEIGHT }
    }

    /// The eigenvalues of a spectral weight.
    pub(super) fn eigenvalues(self, parameter: impl Fn(&str) -> View) -> Option<Eigenvalues> {
        matches!(self, Weight::Spectral(_))
            .then(|| Eigenvalues { lambda_in: parameter(LAMBDA_IN), lambda_out: parameter(LAMBDA_OUT) })
    }

    /// A matrix of `m` rows and `n` columns with its eigenvalues, one for each of `sources` (columns, or channels of `taps`
    /// columns), and the bias.
    pub(super) fn tensors(
        self,
        (m, n): (usize, usize),
        (sources, taps): (usize, usize),
        train_bias: bool,
    ) -> Vec<TensorSpec> {
        let mut tensors = match self {
            Weight::Direct => vec![TensorSpec::new(WEIGHT, m, n, Role::Plain, true, Start::Random).taps(taps)],
            Weight::Spectral(train) => vec![
                TensorSpec::new(PSI, m, n, Role::Psi, train.psi, Start::Random).taps(taps),
                TensorSpec::new(LAMBDA_IN, 1, sources, Role::Lambda, train.lambda_in, Start::Ones),
                TensorSpec::new(LAMBDA_OUT, 1, m, Role::Lambda, train.lambda_out, Start::Zeros),
            ],
        };
        tensors.push(TensorSpec::new(BIAS, 1, m, Role::Plain, train_bias, Start::Zeros));
        tensors
    }
}
