//! Inverted dropout with counter-based random numbers.

use bytemuck::{Pod, Zeroable};

use crate::kernels::twins::dropout_threshold;
use crate::program::dispatch::{Caps, Dispatch, GpuView, stride};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffer, Buffers, View};

/// `y[r, c] = x[r, c] / (1 − p)` where `random(seed, count, node, r·cols + c) ≥ p·2³²`, else 0. The same operation is its
/// own backward: the mask is drawn again, not stored. See [`crate::kernels::twins::dropout_word`] for the integers.
#[derive(Debug, Clone)]
pub struct Dropout {
    pub x: View,
    pub y: View,
    /// Probability to drop, 0 ≤ p < 1.
    pub probability: f32,
    /// Tells the dropout nodes of a network apart.
    pub node: u32,
    pub settings: Buffer,
}

pub const SHADER: Shader = shader!("dropout");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub x: GpuView,
    pub y: GpuView,
    pub scale: f32,
    pub threshold: u32,
    pub node: u32,
    pub settings_stride: u32,
}

impl Dropout {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let params = Params {
            x: GpuView::new(buffers, self.x),
            y: GpuView::new(buffers, self.y),
            scale: 1.0 / (1.0 - self.probability),
            threshold: dropout_threshold(self.probability),
            node: self.node,
            settings_stride: stride(buffers, self.settings),
        };
        vec![
            Dispatch::new(SHADER, "main", &params)
                .read(2, self.x.buffer)
                .read(3, self.settings)
                .write(4, self.y.buffer)
                .plane(caps, self.y, 100.0),
        ]
    }
}
