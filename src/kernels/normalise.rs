//! Normalisation inside samples: softmax, its logarithm, or mean 0 and variance 1, of groups of a sample's elements.

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use crate::program::dispatch::{Caps, Dispatch, GpuView, Memory, word};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffers, View};

/// What becomes of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u32)]
pub enum Normalisation {
    /// `eˣ / Σ eˣ`.
    Softmax = 0,
    /// `x − ln Σ eˣ`.
    LogSoftmax = 1,
    /// `(x − mean)/√(variance + ε)`.
    Standard = 2,
}

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `out = y(x)`, for the batch's rows.
    Forward,
    /// `out = S·x`, S the slopes at the forward's input, for the batch's rows times the seeds.
    Push,
    /// `out = Sᵀ·x`.
    Pull,
}

/// Groups of `len` elements that lie `inner` apart. All buffers are different.
#[derive(Debug, Clone)]
pub struct Normalise {
    pub kind: Normalisation,
    pub way: Way,
    pub x: View,
    /// The forward's output, which the products read.
    pub y: View,
    /// `1/√(variance + ε)` of every group, `[batch, groups]`; of `Standard` alone: written by the forward, read by the products.
    pub scale: Option<View>,
    /// `Forward`: y itself.
    pub out: View,
    pub len: usize,
    pub inner: usize,
    pub epsilon: f32,
    pub seeds: usize,
}

pub const SHADER: Shader = shader!("normalise");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub x: GpuView,
    pub y: GpuView,
    pub scale: GpuView,
    pub out: GpuView,
    pub len: u32,
    pub inner: u32,
    pub groups: u32,
    pub epsilon: f32,
}

impl Normalise {
    /// Of a row.
    pub(crate) fn groups(&self) -> usize {
        self.out.cols / self.len
    }

    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let view = |view| GpuView::new(buffers, view);
        let params = Params {
            x: view(self.x),
            y: view(self.y),
            scale: GpuView::of(buffers, self.scale),
            out: view(self.out),
            len: word(self.len),
            inner: word(self.inner),
            groups: word(self.groups()),
            epsilon: self.epsilon,
        };
        let forward = self.way == Way::Forward;
        let dispatch = Dispatch::new(SHADER, if forward { "forward" } else { "product" }, &params)
            .constant("WORKGROUP", if caps.software { 8 } else { 64 })
            .constant("KIND", self.kind as u32)
            .constant("PULL", (self.way == Way::Pull).into())
            .constant("SEEDS", word(self.seeds))
            .read(2, self.x.buffer)
            .write(3, self.out.buffer);
        let memory = self.scale.map_or(Memory::Nothing, |scale| Memory::Buffer { buffer: scale.buffer, part: 0 });
        let dispatch = if forward {
            dispatch.bind(4, memory, true)
        } else {
            dispatch.read(5, self.y.buffer).bind(6, memory, false)
        };
        vec![dispatch.groups(self.out.rows * self.groups(), 20.0 * (self.out.rows * self.out.cols) as f64)]
    }
}
