//! The value of the L2 penalties, and a check that the parameters are finite.

use std::ops::Range;

use crate::program::{Buffer, Buffers};
use bytemuck::{Pod, Zeroable};

use crate::program::dispatch::{Caps, Dispatch, Memory, stride, word};
use crate::program::shader::{Shader, shader};

/// `results[index·RESULT_LEN + …]`: `r_λ Σ_{lambda} p²`, `r_ψ Σ_{psi} p²`, and `0·Σ_{all} p` (NaN unless every parameter
/// is finite). The ranges are multiples of 4 and hold zero in their padding.
#[derive(Debug, Clone)]
pub struct Penalty {
    pub parameters: Buffer,
    pub psi: Range<usize>,
    pub lambda: Range<usize>,
    pub len: usize,
    pub settings: Buffer,
    pub results: Buffer,
}

pub const SHADER: Shader = shader!("penalty");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub psi_begin: u32,
    pub psi_end: u32,
    pub lambda_begin: u32,
    pub lambda_end: u32,
    pub len: u32,
    pub stride: u32,
    pub settings_stride: u32,
    pub results_stride: u32,
    pub part: u32,
    pub parts: u32,
    pub pad: [u32; 2],
}

/// Parts of a replica's parameters that are summed on their own.
const MOST_PARTS: usize = 64;
/// vec4s in a part at least.
const LEAST_PART: usize = 256;

impl Penalty {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let quads = self.len / 4;
        let part = quads.div_ceil(MOST_PARTS).max(LEAST_PART);
        let parts = quads.div_ceil(part).max(1);
        let params = Params {
            psi_begin: word(self.psi.start),
            psi_end: word(self.psi.end),
            lambda_begin: word(self.lambda.start),
            lambda_end: word(self.lambda.end),
            len: word(self.len),
            stride: stride(buffers, self.parameters),
            settings_stride: stride(buffers, self.settings),
            results_stride: stride(buffers, self.results),
            part: word(part),
            parts: word(parts),
            ..Params::default()
        };
        let scratch = Memory::Scratch { len: 4 * parts };
        vec![
            Dispatch::new(SHADER, "sums", &params)
                .constant("WORKGROUP", caps.reduction())
                .read(2, self.parameters)
                .bind(3, scratch, true)
                .groups(parts, 6.0 * self.len as f64),
            Dispatch::new(SHADER, "finish", &params)
                .constant("WORKGROUP", caps.reduction())
                .bind(4, scratch, false)
                .read(5, self.settings)
                .write(6, self.results)
                .groups(1, 4.0 * parts as f64),
        ]
    }
}
