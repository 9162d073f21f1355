//! A fixed sparse matrix times every row: averages, permutations, padding, parts, whatever moves or sums a sample's elements in the
//! same way for every sample.

use bytemuck::{Pod, Zeroable};

use crate::program::dispatch::{Caps, Dispatch, GpuView, Memory, word};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffer, Buffers, View};

/// `out[r, j] = Σ_t weight[t] · x[r, column[t]]`, t from `begin[j]` to `begin[j + 1]`, for the batch's rows times the seeds.
/// Different buffers.
#[derive(Debug, Clone)]
pub struct Sparse {
    pub x: View,
    pub out: View,
    /// Words: `begin`, one more than `out` has columns, then `column`.
    pub index: Buffer,
    /// Of every term; `None`: 1.
    pub weights: Option<Buffer>,
    pub seeds: usize,
}

pub const SHADER: Shader = shader!("sparse");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub x: GpuView,
    pub out: GpuView,
}

impl Sparse {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let params = Params { x: GpuView::new(buffers, self.x), out: GpuView::new(buffers, self.out) };
        let memory = |buffer| Memory::Buffer { buffer, part: 0 };
        let terms = buffers.spec(self.index).len as f64 / self.out.cols.max(1) as f64;
        vec![
            Dispatch::new(SHADER, "main", &params)
                .constant("SEEDS", word(self.seeds))
                .constant("WEIGHTS", self.weights.is_some().into())
                .read(2, self.x.buffer)
                .read(3, self.index)
                .bind(4, self.weights.map_or(Memory::Nothing, memory), false)
                .write(5, self.out.buffer)
                .plane(caps, self.out, 20.0 * terms),
        ]
    }
}
