//! Masked evaluation: keeps the k best inputs of an ordering and replaces the others.

use bytemuck::{Pod, Zeroable};

use crate::program::dispatch::{Caps, Dispatch, GpuView, stride};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffer, Buffers, View};

/// `x[r, c] = fill[c]` in place wherever `position[ordering, c] ≥ kept` (`ordering` and `kept` come with the step).
#[derive(Debug, Clone)]
pub struct Mask {
    pub x: View,
    /// Words, per replica: `[orderings, ld]`, the place of every input in each ordering, from 0.
    pub position: Buffer,
    /// Floats, shared: `[ld]`, zero in the padding.
    pub fill: Buffer,
}

pub const SHADER: Shader = shader!("mask");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub x: GpuView,
    pub position_stride: u32,
    pub pad: [u32; 3],
}

impl Mask {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let params = Params {
            x: GpuView::new(buffers, self.x),
            position_stride: stride(buffers, self.position),
            ..Params::default()
        };
        vec![
            Dispatch::new(SHADER, "main", &params)
                .read(2, self.position)
                .read(3, self.fill)
                .write(4, self.x.buffer)
                .plane(caps, self.x, 20.0),
        ]
    }
}
