//! Matrix products that build the spectral weight as they load it.

use bytemuck::{Pod, Zeroable};

use crate::program::{Buffers, View};

use super::activation::{Activation, Slope};
use crate::program::dispatch::{Caps, Dispatch, GemmVariant, GpuView, Memory, word};
use crate::program::shader::{Shader, shader};

/// Which product. B: batch rows (step.rows × seeds), N: inputs, M: outputs; W is `[M, N]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Form {
    /// Forward: `out[B, M] = a[B, N] · Wᵀ`, with `b` = W.
    Nt = 0,
    /// Backward to the input: `out[B, N] = a[B, M] · W`, with `b` = W.
    Nn = 1,
    /// Gradient of the weight: `out[M, N] = a[B, M]ᵀ · b[B, N]`; `b`'s row is the sample `r / seeds`.
    Tn = 2,
}

/// The eigenvalues that turn a ψ into a weight: `W[j,i] = (lambda_in[i] − lambda_out[j]) · ψ[j,i]`.
/// Both are row vectors (`rows = 1`) in ψ's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Eigenvalues {
    pub lambda_in: View,
    pub lambda_out: View,
}

/// `out = epilogue(a · b)`; the epilogue's parts apply in the order of the fields.
#[derive(Debug, Clone)]
pub struct Gemm {
    pub form: Form,
    pub a: View,
    pub b: View,
    /// `Nt` and `Nn`: `b` is ψ and W is built while loading. `None`: `b` is W itself.
    pub eigenvalues: Option<Eigenvalues>,
    pub out: View,
    /// `Nt`: row vector added to every row; in `b`'s buffer.
    pub bias: Option<View>,
    /// `Nt`: where z = a·Wᵀ + bias is kept besides σ(z), for activations whose slope needs it.
    pub pre: Option<View>,
    /// `Nt`: σ.
    pub activation: Activation,
    /// `Nn`: multiplied into the result.
    pub slope: Option<Slope>,
    /// `Tn`: row vector that receives `Σ_rows a[r, :]`; in `out`'s buffer or another.
    pub bias_gradient: Option<View>,
    /// Samples → batch rows.
    pub seeds: usize,
}

pub const BROADCAST: Shader = shader!("gemm_broadcast");
pub const TILE: Shader = shader!("gemm_tile");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub a: GpuView,
    pub b: GpuView,
    pub out: GpuView,
    /// `Nt`: pre; `Nn`: what the slope is read from; `Tn`: bias_gradient.
    pub extra: GpuView,
    pub lambda_in: GpuView,
    pub lambda_out: GpuView,
    pub bias: GpuView,
    pub tiles: u32,
    pub rows: u32,
    pub depth: u32,
    pub b_last: u32,
}

/// Workgroups from which on the large tile fills a GPU.
const FULL_GRID: usize = 128;

impl Gemm {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let grid = |tile: usize| (self.out.rows.div_ceil(tile), self.out.ld.div_ceil(tile));
        let (shader, tile, threads) = match caps.gemm {
            GemmVariant::Broadcast8 => (BROADCAST, 32, None),
            GemmVariant::Tile64 => (TILE, 64, Some(256)),
            GemmVariant::Tile32 => (TILE, 32, Some(64)),
            GemmVariant::Tile => {
                let (rows, cols) = grid(64);
                if rows * cols * buffers.replicas >= FULL_GRID { (TILE, 64, Some(256)) } else { (TILE, 32, Some(64)) }
            }
        };
        let (row_tiles, tiles) = grid(tile);
        let work = 2.0 * (self.out.rows * self.out.cols) as f64 * self.depth() as f64;
        let mut dispatch = Dispatch::new(shader, "main", &self.params(buffers, tiles))
            .read(2, self.a.buffer)
            .read(3, self.b.buffer)
            .write(4, self.out.buffer)
            .groups(row_tiles * tiles, work);
        if let Some(threads) = threads {
            dispatch = dispatch.constant("TILE", word(tile)).constant("THREADS", threads);
        }
        vec![self.epilogue(dispatch)]
    }

    /// Terms of the sum, at most.
    fn depth(&self) -> usize {
        if self.form == Form::Tn { self.a.rows } else { self.a.cols }
    }

    /// What the epilogue reads or writes besides `out`.
    pub(super) fn extra(&self) -> Option<View> {
        match self.form {
            Form::Nt => self.pre,
            Form::Nn => self.slope.map(|slope| slope.saved),
            Form::Tn => self.bias_gradient,
        }
    }

    fn params(&self, buffers: &Buffers, tiles: usize) -> Params {
        Params {
            a: GpuView::new(buffers, self.a),
            b: GpuView::new(buffers, self.b),
            out: GpuView::new(buffers, self.out),
            extra: GpuView::of(buffers, self.extra()),
            lambda_in: GpuView::of(buffers, self.eigenvalues.map(|e| e.lambda_in)),
            lambda_out: GpuView::of(buffers, self.eigenvalues.map(|e| e.lambda_out)),
            bias: GpuView::of(buffers, self.bias),
            tiles: word(tiles),
            rows: word(self.out.rows),
            depth: word(self.a.cols.div_ceil(4) * 4),
            b_last: word(self.b.rows - 1),
        }
    }

    /// The constants that choose the parts of the product, and the bindings that only some have.
    pub(super) fn epilogue(&self, dispatch: Dispatch) -> Dispatch {
        let (mut written, mut read) = (Memory::Nothing, Memory::Nothing);
        let dispatch = dispatch
            .constant("FORM", self.form as u32)
            .constant("SEEDS", word(self.seeds))
            .constant("SPECTRAL", (self.form != Form::Tn && self.eigenvalues.is_some()).into());
        let dispatch = match self.form {
            Form::Nt => {
                if let Some(pre) = self.pre {
                    written = Memory::Buffer { buffer: pre.buffer, part: 0 };
                }
                dispatch
                    .constant("BIAS", self.bias.is_some().into())
                    .constant("PRE", self.pre.is_some().into())
                    .constant("ACTIVATION", self.activation as u32)
            }
            Form::Nn => {
                if let Some(slope) = self.slope {
                    read = Memory::Buffer { buffer: slope.saved.buffer, part: 0 };
                }
                dispatch.constant("SLOPE", self.slope.map_or(0, |slope| slope.rule.code()))
            }
            Form::Tn => {
                let place = match self.bias_gradient {
                    None => 0,
                    Some(view) if view.buffer == self.out.buffer => 1,
                    Some(view) => {
                        written = Memory::Buffer { buffer: view.buffer, part: 0 };
                        2
                    }
                };
                dispatch.constant("BIAS_GRADIENT", place)
            }
        };
        dispatch.bind(5, written, true).bind(6, read, false)
    }
}
