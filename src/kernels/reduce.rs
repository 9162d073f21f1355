//! Sums the per-sample statistics of a batch.

use bytemuck::{Pod, Zeroable};

use crate::program::dispatch::{Caps, Dispatch, GpuView, stride};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffer, Buffers, View};

/// `results[index·RESULT_LEN + q] = Σ_r row_stats[r, q]` for q < 4 and r < rows, in a fixed order.
#[derive(Debug, Clone)]
pub struct Reduce {
    pub row_stats: View,
    pub results: Buffer,
}

pub const SHADER: Shader = shader!("reduce");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub stats: GpuView,
    pub results_stride: u32,
    pub pad: [u32; 3],
}

impl Reduce {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let params = Params {
            stats: GpuView::new(buffers, self.row_stats),
            results_stride: stride(buffers, self.results),
            ..Params::default()
        };
        vec![
            Dispatch::new(SHADER, "main", &params)
                .constant("WORKGROUP", caps.reduction())
                .read(2, self.row_stats.buffer)
                .write(3, self.results)
                .groups(1, 4.0 * self.row_stats.rows as f64),
        ]
    }
}
