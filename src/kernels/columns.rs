//! Matrices side by side, and a part of a matrix's columns: concatenation and its transpose.

use bytemuck::{Pod, Zeroable};

use crate::program::dispatch::{Caps, Dispatch, GpuView, word};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffers, View};

/// `out[r, :] = a[r, :] ‖ b[r, :]` for the batch's rows times the seeds. Three different buffers.
#[derive(Debug, Clone)]
pub struct Concat {
    pub a: View,
    pub b: View,
    pub out: View,
    pub seeds: usize,
}

/// `out[r, c] = x[r, first + c]` for the batch's rows times the seeds. Different buffers.
#[derive(Debug, Clone)]
pub struct Slice {
    pub x: View,
    pub first: usize,
    pub out: View,
    pub seeds: usize,
}

pub const SHADER: Shader = shader!("columns");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub a: GpuView,
    pub b: GpuView,
    pub out: GpuView,
    pub first: u32,
    pub pad: [u32; 3],
}

impl Concat {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let view = |view| GpuView::new(buffers, view);
        let params = Params { a: view(self.a), b: view(self.b), out: view(self.out), ..Params::default() };
        vec![
            Dispatch::new(SHADER, "concat", &params)
                .constant("SEEDS", word(self.seeds))
                .read(2, self.a.buffer)
                .read(3, self.b.buffer)
                .write(4, self.out.buffer)
                .plane(caps, self.out, 30.0),
        ]
    }
}

impl Slice {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let view = |view| GpuView::new(buffers, view);
        let params = Params { a: view(self.x), out: view(self.out), first: word(self.first), ..Params::default() };
        vec![
            Dispatch::new(SHADER, "slice", &params)
                .constant("SEEDS", word(self.seeds))
                .read(2, self.x.buffer)
                .write(4, self.out.buffer)
                .plane(caps, self.out, 30.0),
        ]
    }
}
