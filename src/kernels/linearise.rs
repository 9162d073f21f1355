//! Slopes and intercepts of the elementwise nodes at a batch of inputs: `out = S·in + q` (method.md section 3).

use bytemuck::{Pod, Zeroable};

use super::Activation;
use crate::program::dispatch::{Caps, Dispatch, GpuView, word};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffers, View};

/// An activation's slope `S[r, c]` and intercept `q = σ(z) − S·z`, from z and σ(z).
///
/// Tangent: S = σ'(z). Secant (SpecXAI, eq. 14): S = (σ(z) − σ(0))/z, or σ'(0) where |z| < [`SECANT_LIMIT`]; for
/// activations of straight pieces it is the tangent.
#[derive(Debug, Clone)]
pub struct Linearise {
    pub activation: Activation,
    pub secant: bool,
    pub z: View,
    pub y: View,
    pub slope: View,
    pub intercept: View,
}

/// Batch norm in evaluation: `S = γ/√(var + ε)`, `q = β − mean·S`, the same for every sample, and for all elements of a channel where
/// there are fewer C than columns of S.
#[derive(Debug, Clone)]
pub struct BatchNormLinearise {
    /// `[1, C]` in the parameters.
    pub gamma: View,
    pub beta: View,
    /// `[2, C]`: running mean and variance.
    pub running: View,
    pub epsilon: f32,
    pub slope: View,
    pub intercept: View,
}

/// |z| below which a secant is the slope at zero.
pub const SECANT_LIMIT: f64 = 1e-3;

pub const SHADER: Shader = shader!("linearise");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub x: GpuView,
    pub y: GpuView,
    pub slope: GpuView,
    pub intercept: GpuView,
    pub gamma: GpuView,
    pub beta: GpuView,
    pub running: GpuView,
    pub epsilon: f32,
    /// Elements of a channel, which share batch norm's statistics.
    pub places: u32,
    pub pad: [u32; 2],
}

impl Linearise {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let view = |view| GpuView::new(buffers, view);
        let params = Params {
            x: view(self.z),
            y: view(self.y),
            slope: view(self.slope),
            intercept: view(self.intercept),
            ..Params::default()
        };
        vec![
            Dispatch::new(SHADER, "activation", &params)
                .constant("SLOPE", self.activation as u32)
                .constant("SECANT", (self.secant && !self.activation.piecewise_linear()).into())
                .read(2, self.z.buffer)
                .read(3, self.y.buffer)
                .write(4, self.slope.buffer)
                .write(5, self.intercept.buffer)
                .plane(caps, self.slope, 80.0),
        ]
    }
}

impl BatchNormLinearise {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let view = |view| GpuView::new(buffers, view);
        let params = Params {
            slope: view(self.slope),
            intercept: view(self.intercept),
            gamma: view(self.gamma),
            beta: view(self.beta),
            running: view(self.running),
            epsilon: self.epsilon,
            places: word(self.slope.cols / self.gamma.cols),
            ..Params::default()
        };
        vec![
            Dispatch::new(SHADER, "batch_norm", &params)
                .read(2, self.gamma.buffer)
                .read(3, self.running.buffer)
                .write(4, self.slope.buffer)
                .write(5, self.intercept.buffer)
                .plane(caps, self.slope, 40.0),
        ]
    }
}
