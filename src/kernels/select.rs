//! Which rows of the data set make up the batch.

use crate::program::Buffer;
use bytemuck::{Pod, Zeroable};

use crate::program::Buffers;
use crate::program::dispatch::{Caps, Dispatch, stride, word};
use crate::program::shader::{Shader, shader};

/// `out[r] = list[offset + π(begin + r)]` for r < rows, where π is the identity or, with `shuffle`, a pseudo-random
/// permutation of `0..len` keyed by the replica's seed and the epoch (the same on every engine).
///
/// π is a four-round Feistel network on `2h` bits (`h` the smallest with `4^h ≥ len`), walked until the value falls below
/// `len`; the round function is [`crate::kernels::twins::mix`].
#[derive(Debug, Clone)]
pub struct Select {
    /// Words, one for each sample of the batch.
    pub out: Buffer,
    /// Words, shared or each replica's own: row numbers of the data set.
    pub list: Buffer,
    pub offset: usize,
    pub len: usize,
    pub shuffle: bool,
    pub settings: Buffer,
}

pub const SHADER: Shader = shader!("select");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub out_stride: u32,
    pub offset: u32,
    pub len: u32,
    pub settings_stride: u32,
    pub list_stride: u32,
    pub pad: [u32; 3],
}

impl Select {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let params = Params {
            out_stride: stride(buffers, self.out),
            offset: word(self.offset),
            len: word(self.len),
            settings_stride: stride(buffers, self.settings),
            list_stride: stride(buffers, self.list),
            ..Params::default()
        };
        let rows = buffers.spec(self.out).len;
        vec![
            Dispatch::new(SHADER, "main", &params)
                .constant("SHUFFLE", self.shuffle.into())
                .read(2, self.list)
                .read(3, self.settings)
                .write(4, self.out)
                .invocations(rows, caps.workgroup(), 100.0),
        ]
    }
}
