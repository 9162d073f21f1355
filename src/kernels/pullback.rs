//! From the gradient of W to those of ψ and the eigenvalues.

use bytemuck::{Pod, Zeroable};

use crate::program::dispatch::{Caps, Dispatch, GpuView, word};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffers, View};

/// `dψ[j,i] = (λ_in[i] − λ_out[j])·G[j,i]`, `dλ_in[i] = Σ_j ψ[j,i]·G[j,i]`, `dλ_out[j] = −Σ_i ψ[j,i]·G[j,i]`
/// (`method.md` section 1); in a convolution, of channel c, column i stands for `(c, κ)`, λ_in for that of c, and the sum is over κ too. What is frozen has no view and is not computed.
#[derive(Debug, Clone)]
pub struct Pullback {
    /// G: `[M, N]`.
    pub g: View,
    /// In the parameters.
    pub psi: View,
    pub lambda_in: View,
    pub lambda_out: View,
    /// In the gradients.
    pub d_psi: Option<View>,
    pub d_lambda_in: Option<View>,
    pub d_lambda_out: Option<View>,
    /// Neighbouring columns that share an eigenvalue: the taps of a convolution's channel, else 1.
    pub taps: usize,
}

pub const SHADER: Shader = shader!("pullback");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub g: GpuView,
    pub psi: GpuView,
    pub lambda_in: GpuView,
    pub lambda_out: GpuView,
    pub d_psi: GpuView,
    pub d_lambda_in: GpuView,
    pub d_lambda_out: GpuView,
    pub rows: u32,
    pub taps: u32,
    pub pad: [u32; 2],
}

impl Pullback {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let view = |view| GpuView::new(buffers, view);
        let params = Params {
            g: view(self.g),
            psi: view(self.psi),
            lambda_in: view(self.lambda_in),
            lambda_out: view(self.lambda_out),
            d_psi: GpuView::of(buffers, self.d_psi),
            d_lambda_in: GpuView::of(buffers, self.d_lambda_in),
            d_lambda_out: GpuView::of(buffers, self.d_lambda_out),
            rows: word(self.g.rows),
            taps: word(self.taps),
            ..Params::default()
        };
        let work = 8.0 * (self.g.rows * self.g.ld) as f64;
        let mut dispatches = Vec::new();
        let above = self.d_psi.or(self.d_lambda_in);
        if let Some(target) = above.filter(|_| self.taps > 1) {
            dispatches.push(
                Dispatch::new(SHADER, "channels", &params)
                    .constant("WORKGROUP", if caps.software { 8 } else { 64 })
                    .constant("PSI", self.d_psi.is_some().into())
                    .constant("LAMBDA_IN", self.d_lambda_in.is_some().into())
                    .read(2, self.g.buffer)
                    .read(3, self.psi.buffer)
                    .write(5, target.buffer)
                    .groups(self.g.cols / self.taps, work),
            );
        } else if let Some(target) = above {
            // Barriers cost on a software adapter, and a few subgroups fill it.
            let (lanes, slices) = if caps.software { (8, 1) } else { (16, 16) };
            dispatches.push(
                Dispatch::new(SHADER, "columns", &params)
                    .constant("LANES", lanes)
                    .constant("SLICES", slices)
                    .constant("PSI", self.d_psi.is_some().into())
                    .constant("LAMBDA_IN", self.d_lambda_in.is_some().into())
                    .read(2, self.g.buffer)
                    .read(3, self.psi.buffer)
                    .write(4, target.buffer)
                    .groups((self.g.ld / 4).div_ceil(lanes as usize), work),
            );
        }
        if let Some(target) = self.d_lambda_out {
            dispatches.push(
                Dispatch::new(SHADER, "rows", &params)
                    .constant("WORKGROUP", if caps.software { 8 } else { 64 })
                    .read(2, self.g.buffer)
                    .read(3, self.psi.buffer)
                    .write(5, target.buffer)
                    .groups(self.g.rows, work),
            );
        }
        dispatches
    }
}
