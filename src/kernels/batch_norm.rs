//! Batch normalisation over the batch axis, as Keras computes it (biased variance everywhere).

use bytemuck::{Pod, Zeroable};

use crate::program::{Buffers, View};

use super::activation::Slope;
use crate::program::dispatch::{Caps, Dispatch, GpuView, Memory, word};
use crate::program::shader::{Shader, shader};

/// Training: `mean`, `var` over the batch's rows; `inv_std = 1/√(var + ε)`; `y = (x − mean)·inv_std·γ + β`;
/// `running ← momentum·running + (1 − momentum)·batch`.
///
/// Here and below C may be less than the columns of x: then each of C channels is as many columns in a row, which share its statistics,
/// and the sums run over these too.
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

pub const SHADER: Shader = shader!("batch_norm");
/// The same by channel.
pub const BY_CHANNEL: Shader = shader!("channel_norm");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub x: GpuView,
    pub dy: GpuView,
    pub y: GpuView,
    pub gamma: GpuView,
    pub beta: GpuView,
    pub saved: GpuView,
    pub running: GpuView,
    pub below: GpuView,
    pub momentum: f32,
    pub epsilon: f32,
    /// Elements of a channel; not used where each element has statistics of its own.
    pub places: u32,
    pub pad: u32,
}

/// Elements that share statistics, those of a channel: 1 where every column has its own.
fn places(x: View, gamma: View) -> usize {
    x.cols / gamma.cols
}

fn shader(x: View, gamma: View) -> Shader {
    if places(x, gamma) == 1 { SHADER } else { BY_CHANNEL }
}

/// One workgroup for each four columns, or for each channel.
fn columns(dispatch: Dispatch, caps: &Caps, x: View, gamma: View, work: f64) -> Dispatch {
    let groups = if places(x, gamma) == 1 { x.ld / 4 } else { gamma.cols };
    dispatch.constant("WORKGROUP", caps.reduction()).groups(groups, work * (x.rows * x.ld) as f64)
}

impl BatchNormForward {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let view = |view| GpuView::new(buffers, view);
        let params = Params {
            x: view(self.x),
            y: view(self.y),
            gamma: view(self.gamma),
            beta: view(self.beta),
            saved: view(self.saved),
            running: view(self.running),
            momentum: self.momentum,
            epsilon: self.epsilon,
            places: word(places(self.x, self.gamma)),
            ..Params::default()
        };
        let dispatch = Dispatch::new(shader(self.x, self.gamma), "forward", &params)
            .read(2, self.x.buffer)
            .read(3, self.gamma.buffer)
            .write(4, self.y.buffer)
            .write(5, self.saved.buffer)
            .write(6, self.running.buffer);
        vec![columns(dispatch, caps, self.x, self.gamma, 12.0)]
    }
}

impl BatchNormInference {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let view = |view| GpuView::new(buffers, view);
        let params = Params {
            x: view(self.x),
            y: view(self.y),
            gamma: view(self.gamma),
            beta: view(self.beta),
            running: view(self.running),
            epsilon: self.epsilon,
            places: word(places(self.x, self.gamma)),
            ..Params::default()
        };
        let dispatch = Dispatch::new(shader(self.x, self.gamma), "inference", &params)
            .read(2, self.x.buffer)
            .read(3, self.gamma.buffer)
            .write(4, self.y.buffer)
            .read(7, self.running.buffer);
        match places(self.x, self.gamma) {
            1 => vec![dispatch.plane(caps, self.y, 60.0)],
            _ => vec![columns(dispatch, caps, self.x, self.gamma, 8.0)],
        }
    }
}

impl BatchNormBackward {
    /// `running` of the parameters holds where d_gamma goes, `beta` where d_beta goes.
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let view = |view| GpuView::new(buffers, view);
        let params = Params {
            x: view(self.x),
            dy: view(self.dy),
            y: view(self.dx),
            gamma: view(self.gamma),
            beta: view(self.d_beta),
            saved: view(self.saved),
            running: view(self.d_gamma),
            below: GpuView::of(buffers, self.slope.map(|slope| slope.saved)),
            places: word(places(self.x, self.gamma)),
            ..Params::default()
        };
        let below = self.slope.map_or(Memory::Nothing, |s| Memory::Buffer { buffer: s.saved.buffer, part: 0 });
        let dispatch = Dispatch::new(shader(self.x, self.gamma), "backward", &params)
            .constant("SLOPE", self.slope.map_or(0, |slope| slope.rule.code()))
            .constant("SEEDS", self.slope.map_or(1, |slope| word(slope.seeds)))
            .read(2, self.x.buffer)
            .read(3, self.gamma.buffer)
            .write(4, self.dx.buffer)
            .read(7, self.saved.buffer)
            .read(8, self.dy.buffer)
            .bind(9, below, false)
            .write(10, self.d_gamma.buffer);
        vec![columns(dispatch, caps, self.x, self.gamma, 16.0)]
    }
}
