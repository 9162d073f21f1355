//! Batch normalisation over the batch axis, as Keras computes it (biased variance everywhere).

use crate::engine::View;

use super::activation::Slope;

/// Training: `mean`, `var` over the batch's rows; `inv_std = 1/√(var + ε)`; `y = (x − mean)·inv_std·γ + β`;
/// `running ← momentum·running + (1 − momentum)·batch`.
#[derive(Debug, Clone)]
pub struct BatchNormForward {
    pub x: View,
    pub y: View,
    /// `[1, C]` in the parameters.
    pub gamma: View,
    pub beta: View,
    /// `[2, C]`: mean and inv_std, saved for backward.
    pub saved: View,
    /// `[2, C]`: running mean and variance.
    pub running: View,
    pub momentum: f32,
    pub epsilon: f32,
}

/// Evaluation: `y = (x − running mean)/√(running var + ε)·γ + β`.
#[derive(Debug, Clone)]
pub struct BatchNormInference {
    pub x: View,
    pub y: View,
    pub gamma: View,
    pub beta: View,
    pub running: View,
    pub epsilon: f32,
}

/// With x̂ = (x − mean)·inv_std and n rows: `dγ = Σ dy·x̂`, `dβ = Σ dy`, `dx = γ·inv_std·(dy − dβ/n − x̂·dγ/n)`,
/// then the slope of the activation below, if it is fused. `dx` and `dy` are different buffers.
#[derive(Debug, Clone)]
pub struct BatchNormBackward {
    pub dy: View,
    pub x: View,
    pub saved: View,
    pub gamma: View,
    pub dx: View,
    /// `[1, C]` in the gradients.
    pub d_gamma: View,
    pub d_beta: View,
    pub slope: Option<Slope>,
}
