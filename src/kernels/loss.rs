//! Losses with their gradients, one row at a time.

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use crate::program::dispatch::{Caps, Dispatch, GpuView, Memory, stride};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffer, Buffers, View};

/// A loss, averaged over the batch (and, for regression, over the outputs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum LossKind {
    /// Softmax cross-entropy with integer labels.
    Ce = 0,
    /// Mean absolute error; gradient 0 where the error is 0.
    Mae = 1,
    /// Mean squared error.
    Mse = 2,
    /// Huber with δ = 1: `e²/2` for |e| ≤ 1, else `|e| − 1/2`.
    Huber = 3,
}

impl LossKind {
    /// As it is written on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            LossKind::Ce => "ce",
            LossKind::Mae => "mae",
            LossKind::Mse => "mse",
            LossKind::Huber => "huber",
        }
    }
}

/// Per sample r, with o = `output[r]` of C columns and the target of data set row `rows[r]`, whose weight is w:
/// `row_stats[r] = w·[loss, metric, square, 0]` (see `RESULT_*`: not divided by the batch; averaged over the C outputs for
/// regression), and `gradient = w·∂(mean loss over the batch)/∂output`, i.e. divided by `step.rows` (and C for regression).
/// Cross-entropy's metric is 1 where the first largest output is the label.
#[derive(Debug, Clone)]
pub struct Loss {
    pub kind: LossKind,
    pub output: View,
    pub rows: Buffer,
    /// Words, shared: labels `[row]`, or `f32` bits `[row, C]` (unpadded).
    pub targets: Buffer,
    /// Floats, shared: `[row]`; `None`: every row counts 1.
    pub weights: Option<Buffer>,
    /// `None` for evaluation.
    pub gradient: Option<View>,
    /// `[B, 4]`.
    pub row_stats: View,
}

pub const SHADER: Shader = shader!("loss");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub output: GpuView,
    pub gradient: GpuView,
    pub stats: GpuView,
    pub rows_stride: u32,
    pub pad: [u32; 3],
}

impl Loss {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let params = Params {
            output: GpuView::new(buffers, self.output),
            gradient: GpuView::of(buffers, self.gradient),
            stats: GpuView::new(buffers, self.row_stats),
            rows_stride: stride(buffers, self.rows),
            ..Params::default()
        };
        let memory =
            |buffer: Option<Buffer>| buffer.map_or(Memory::Nothing, |buffer| Memory::Buffer { buffer, part: 0 });
        vec![
            Dispatch::new(SHADER, "main", &params)
                .constant("KIND", self.kind as u32)
                .constant("GRADIENT", self.gradient.is_some().into())
                .constant("WEIGHTED", self.weights.is_some().into())
                .read(2, self.output.buffer)
                .read(3, self.rows)
                .read(4, self.targets)
                .write(5, self.row_stats.buffer)
                .bind(6, memory(self.gradient.map(|g| g.buffer)), true)
                .bind(7, memory(self.weights), false)
                .invocations(self.output.rows, caps.workgroup(), 60.0 * self.output.cols as f64),
        ]
    }
}
