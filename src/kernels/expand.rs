//! The first product of a Jacobian: a diagonal matrix for each sample times a weight that all samples share.

use bytemuck::{Pod, Zeroable};

use super::Eigenvalues;
use crate::program::dispatch::{Caps, Dispatch, GpuView, Memory, word};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffers, View};

/// `out[b·M + j, i] = left[b, j] · W[j, i] · right[b, i]` for the batch's samples b and the M rows of W.
///
/// A Jacobian's rows start as the identity at the node that is differentiated. Written out, and multiplied by the weight
/// below it, the identity would cost M times the work of this.
#[derive(Debug, Clone)]
pub struct Expand {
    /// `[batch, M]`; `None` is all ones.
    pub left: Option<View>,
    /// `[M, N]`; `None` is the identity (M = N).
    pub weight: Option<View>,
    /// The weight is ψ and W is built while loading.
    pub eigenvalues: Option<Eigenvalues>,
    /// `[batch, N]`; `None` is all ones.
    pub right: Option<View>,
    /// `[batch·M, N]`.
    pub out: View,
    /// M.
    pub seeds: usize,
}

pub const SHADER: Shader = shader!("expand");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub left: GpuView,
    pub weight: GpuView,
    pub lambda_in: GpuView,
    pub lambda_out: GpuView,
    pub right: GpuView,
    pub out: GpuView,
}

impl Expand {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let of = |view| GpuView::of(buffers, view);
        let params = Params {
            left: of(self.left),
            weight: of(self.weight),
            lambda_in: of(self.eigenvalues.map(|e| e.lambda_in)),
            lambda_out: of(self.eigenvalues.map(|e| e.lambda_out)),
            right: of(self.right),
            out: GpuView::new(buffers, self.out),
        };
        let memory =
            |view: Option<View>| view.map_or(Memory::Nothing, |v| Memory::Buffer { buffer: v.buffer, part: 0 });
        vec![
            Dispatch::new(SHADER, "main", &params)
                .constant("SEEDS", word(self.seeds))
                .constant("LEFT", self.left.is_some().into())
                .constant("WEIGHT", self.weight.is_some().into())
                .constant("SPECTRAL", self.eigenvalues.is_some().into())
                .constant("RIGHT", self.right.is_some().into())
                .bind(2, memory(self.left), false)
                .bind(3, memory(self.weight), false)
                .write(4, self.out.buffer)
                .bind(5, memory(self.right), false)
                .plane(caps, self.out, 30.0),
        ]
    }
}
