//! Adam with the penalties' gradients in it.

use std::ops::Range;

use crate::program::{Buffer, Buffers};
use bytemuck::{Pod, Zeroable};

use crate::program::dispatch::{Caps, Dispatch, stride, word};
use crate::program::shader::{Shader, shader};

/// `g = gradient + 2·r·p` (r is r_ψ in `psi`, r_λ in `lambda`, else 0), `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`,
/// `p ← p − rate·factor·m/(√v + ε)` with the step's rate (bias corrections included) and the replica's factor.
///
/// Only `0..trainable` without `skip` moves; the parameters are laid out as `psi | lambda | other trained | frozen`, ranges multiples of 4.
/// |p|, |m|, v below 1e-30 are written as 0, so that dropped columns never reach denormal numbers.
#[derive(Debug, Clone)]
pub struct Adam {
    pub parameters: Buffer,
    pub gradient: Buffer,
    pub m: Buffer,
    pub v: Buffer,
    pub psi: Range<usize>,
    pub lambda: Range<usize>,
    pub trainable: usize,
    /// Among the other trained ones, and stepped by something else; may be empty.
    pub skip: Range<usize>,
    pub settings: Buffer,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
}

/// Magnitudes below this are written as 0.
pub const TINY: f32 = 1e-30;

pub const SHADER: Shader = shader!("adam");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub psi_begin: u32,
    pub psi_end: u32,
    pub lambda_begin: u32,
    pub lambda_end: u32,
    pub trainable: u32,
    pub settings_stride: u32,
    pub parameters_stride: u32,
    pub gradient_stride: u32,
    pub m_stride: u32,
    pub v_stride: u32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    pub skip_begin: u32,
    pub skip_end: u32,
    pub pad: u32,
}

impl Adam {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let params = Params {
            psi_begin: word(self.psi.start),
            psi_end: word(self.psi.end),
            lambda_begin: word(self.lambda.start),
            lambda_end: word(self.lambda.end),
            trainable: word(self.trainable),
            settings_stride: stride(buffers, self.settings),
            parameters_stride: stride(buffers, self.parameters),
            gradient_stride: stride(buffers, self.gradient),
            m_stride: stride(buffers, self.m),
            v_stride: stride(buffers, self.v),
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            skip_begin: word(self.skip.start),
            skip_end: word(self.skip.end),
            ..Params::default()
        };
        vec![
            Dispatch::new(SHADER, "main", &params)
                .read(2, self.gradient)
                .read(3, self.settings)
                .write(4, self.parameters)
                .write(5, self.m)
                .write(6, self.v)
                .invocations(self.trainable.div_ceil(4), caps.workgroup(), 60.0),
        ]
    }
}
