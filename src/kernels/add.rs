//! Elementwise sum: residual additions, and gradients that meet at a node with several consumers.

use bytemuck::{Pod, Zeroable};

use crate::program::dispatch::{Caps, Dispatch, GpuView, word};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffers, View};

/// `out[r, c] = a[r, c] + b[r, c]` for the batch's rows times the seeds. Three different buffers.
#[derive(Debug, Clone)]
pub struct Add {
    pub a: View,
    pub b: View,
    pub out: View,
    pub seeds: usize,
}

pub const SHADER: Shader = shader!("add");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub a: GpuView,
    pub b: GpuView,
    pub out: GpuView,
}

impl Add {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let view = |view| GpuView::new(buffers, view);
        let params = Params { a: view(self.a), b: view(self.b), out: view(self.out) };
        vec![
            Dispatch::new(SHADER, "main", &params)
                .constant("SEEDS", word(self.seeds))
                .read(2, self.a.buffer)
                .read(3, self.b.buffer)
                .write(4, self.out.buffer)
                .plane(caps, self.out, 20.0),
        ]
    }
}
