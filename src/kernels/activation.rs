//! Elementwise activations and their slopes.

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use crate::program::dispatch::{Caps, Dispatch, GpuView, word};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffers, View};

/// An activation σ. LeakyReLU's negative slope is 0.01, ELU's α is 1, GELU is the exact `z·Φ(z)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u32)]
pub enum Activation {
    Identity = 0,
    Relu = 1,
    LeakyRelu = 2,
    Tanh = 3,
    Sigmoid = 4,
    Elu = 5,
    Gelu = 6,
    Silu = 7,
}

/// Negative slope of [`Activation::LeakyRelu`].
pub const LEAKY_SLOPE: f64 = 0.01;

impl Activation {
    pub const ALL: [Activation; 8] = [
        Activation::Identity,
        Activation::Relu,
        Activation::LeakyRelu,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Elu,
        Activation::Gelu,
        Activation::Silu,
    ];

    /// Whether it is made of straight pieces, so that its tangent is its secant and a network of such is piecewise affine.
    pub fn piecewise_linear(self) -> bool {
        matches!(self, Activation::Identity | Activation::Relu | Activation::LeakyRelu)
    }

    /// Whether the slope is computed from the input z (GELU, SiLU) rather than from the output σ(z) (all others).
    pub fn slope_needs_input(self) -> bool {
        matches!(self, Activation::Gelu | Activation::Silu)
    }
}

/// How a slope is read from what a forward pass saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlopeRule {
    /// σ'(z), from the input z where [`Activation::slope_needs_input`], else from σ(z).
    Of(Activation),
    /// What was saved is the slope itself.
    Given,
}

impl SlopeRule {
    /// The shaders' `SLOPE`.
    pub fn code(self) -> u32 {
        match self {
            SlopeRule::Of(activation) => activation as u32,
            // Far from the activations', so that a new one takes the next.
            SlopeRule::Given => 255,
        }
    }
}

/// Multiplies by a slope. With `seeds` s, row `r` of the multiplied matrix belongs to row `r / s` of `saved`.
#[derive(Debug, Clone, Copy)]
pub struct Slope {
    pub rule: SlopeRule,
    pub saved: View,
    pub seeds: usize,
}

/// `y = σ(x)` for the batch's rows.
#[derive(Debug, Clone)]
pub struct Activate {
    pub x: View,
    pub y: View,
    pub activation: Activation,
}

/// `dx = dy · σ'`, for the batch's rows times the seeds. `dx` and `dy` are different buffers.
#[derive(Debug, Clone)]
pub struct ActivateBackward {
    pub dy: View,
    pub dx: View,
    pub slope: Slope,
}

pub const SHADER: Shader = shader!("activation");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub x: GpuView,
    pub saved: GpuView,
    pub y: GpuView,
}

impl Activate {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let params = Params { x: GpuView::new(buffers, self.x), y: GpuView::new(buffers, self.y), ..Params::default() };
        vec![
            Dispatch::new(SHADER, "activate", &params)
                .constant("ACTIVATION", self.activation as u32)
                .read(2, self.x.buffer)
                .write(4, self.y.buffer)
                .plane(caps, self.y, 60.0),
        ]
    }
}

impl ActivateBackward {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let params = Params {
            x: GpuView::new(buffers, self.dy),
            saved: GpuView::new(buffers, self.slope.saved),
            y: GpuView::new(buffers, self.dx),
        };
        vec![
            Dispatch::new(SHADER, "activate_backward", &params)
                .constant("SLOPE", self.slope.rule.code())
                .constant("SEEDS", word(self.slope.seeds))
                .read(2, self.dy.buffer)
                .read(3, self.slope.saved.buffer)
                .write(4, self.dx.buffer)
                .plane(caps, self.dx, 60.0),
        ]
    }
}
