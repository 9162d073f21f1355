//! One step of a group lasso on a direct weight: momentum SGD, then the proximal operator.

use bytemuck::{Pod, Zeroable};

use crate::program::dispatch::{Caps, Dispatch, GpuView, stride, word};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffer, Buffers, View};

/// With η = rate·(step's rate)·(replica's factor), κ = 2√(r_λ r_ψ) and the columns g of a unit, in place:
///
/// `v ← μ v + (1 − μ) gradient`, `w ← w − η v`, then `w[:,g] ← w[:,g]·max(0, 1 − η κ √|g| / ‖w[:,g]‖_F)`
///
/// (method.md section 5): a unit whose weight can't outgrow the threshold becomes exactly 0, and comes back when its gradient
/// does. The momentum is damped by 1 − μ, so that where nothing moves any more the gradient's norm is κ√|g|; without it,
/// the penalty would count 1/(1 − μ) times less than the data.
/// |w|, |v| below 1e-30 are written as 0.
#[derive(Debug, Clone)]
pub struct Proximal {
    /// W, `[M, N]`.
    pub weight: View,
    /// ∂L/∂W, `[M, N]`.
    pub gradient: View,
    /// v, `[M, N]`, 0 at the start.
    pub velocity: View,
    /// Words, shared: every column in one unit, as [`super::Tie::words`] has them.
    pub members: Buffer,
    pub units: usize,
    pub settings: Buffer,
    /// η relative to the step's rate.
    pub rate: f32,
    pub momentum: f32,
}

pub const SHADER: Shader = shader!("proximal");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub weight: GpuView,
    pub gradient: GpuView,
    pub velocity: GpuView,
    pub rows: u32,
    pub units: u32,
    pub settings_stride: u32,
    pub rate: f32,
    pub momentum: f32,
    pub pad: [u32; 3],
}

impl Proximal {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let params = Params {
            weight: GpuView::new(buffers, self.weight),
            gradient: GpuView::new(buffers, self.gradient),
            velocity: GpuView::new(buffers, self.velocity),
            rows: word(self.weight.rows),
            units: word(self.units),
            settings_stride: stride(buffers, self.settings),
            rate: self.rate,
            momentum: self.momentum,
            ..Params::default()
        };
        vec![
            Dispatch::new(SHADER, "main", &params)
                .read(2, self.members)
                .read(3, self.settings)
                .read(4, self.gradient.buffer)
                .write(5, self.weight.buffer)
                .write(6, self.velocity.buffer)
                .invocations(self.units, caps.workgroup(), 14.0 * self.weight.rows as f64),
        ]
    }
}
