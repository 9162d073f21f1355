//! From the gradient of W to those of ψ and the eigenvalues.

use crate::engine::View;

/// `dψ[j,i] = (λ_in[i] − λ_out[j])·G[j,i]`, `dλ_in[i] = Σ_j ψ[j,i]·G[j,i]`, `dλ_out[j] = −Σ_i ψ[j,i]·G[j,i]`
/// (`method.md` section 1). What is frozen has no view and is not computed.
#[derive(Debug, Clone)]
pub struct Pullback {
    /// G: `[M, N]`.
    pub g: View,
    /// In the parameters.
    pub psi: View,
    pub lambda_in: View,
    pub lambda_out: View,
    /// In the gradients.
    pub d_psi: Option<View>,
    pub d_lambda_in: Option<View>,
    pub d_lambda_out: Option<View>,
}
