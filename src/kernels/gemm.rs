//! Matrix products that build the spectral weight as they load it.

use crate::engine::View;

use super::activation::{Activation, Slope};

/// Which product. B: batch rows (step.rows × seeds), N: inputs, M: outputs; W is `[M, N]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Forward: `out[B, M] = a[B, N] · Wᵀ`, with `b` = W.
    Nt,
    /// Backward to the input: `out[B, N] = a[B, M] · W`, with `b` = W.
    Nn,
    /// Gradient of the weight: `out[M, N] = a[B, M]ᵀ · b[B, N]`; `b`'s row is the sample `r / seeds`.
    Tn,
}

/// The eigenvalues that turn a ψ into a weight: `W[j,i] = (lambda_in[i] − lambda_out[j]) · ψ[j,i]`.
/// Both are row vectors (`rows = 1`) in ψ's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Eigenvalues {
    pub lambda_in: View,
    pub lambda_out: View,
}

/// `out = epilogue(a · b)`; the epilogue's parts apply in the order of the fields.
#[derive(Debug, Clone)]
pub struct Gemm {
    pub form: Form,
    pub a: View,
    pub b: View,
    /// `Nt` and `Nn`: `b` is ψ and W is built while loading. `None`: `b` is W itself.
    pub eigenvalues: Option<Eigenvalues>,
    pub out: View,
    /// `Nt`: row vector added to every row; in `b`'s buffer.
    pub bias: Option<View>,
    /// `Nt`: where z = a·Wᵀ + bias is kept besides σ(z), for activations whose slope needs it.
    pub pre: Option<View>,
    /// `Nt`: σ.
    pub activation: Activation,
    /// `Nn`: multiplied into the result.
    pub slope: Option<Slope>,
    /// `Tn`: row vector that receives `Σ_rows a[r, :]`; in `out`'s buffer or another.
    pub bias_gradient: Option<View>,
    /// Samples → batch rows.
    pub seeds: usize,
}
