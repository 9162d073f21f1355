//! Loads the batch's inputs from the resident data set and scales them.

use bytemuck::{Pod, Zeroable};

use crate::program::dispatch::{Caps, Dispatch, GpuView, Memory, stride, word};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffer, Buffers, View};

/// How the resident data set holds its numbers, packed into words row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// Four values a word, lowest byte first; `stride` words a row.
    U8,
    /// One `f32` bit pattern a word.
    F32,
}

/// `out[r, c] = (data[rows[r], c] − shift[c]) · scale[c]` for r < rows; the padding columns become 0.
#[derive(Debug, Clone)]
pub struct Gather {
    pub rows: Buffer,
    /// Words, shared; row `i` starts at word `i·stride`.
    pub data: Buffer,
    pub storage: Storage,
    pub stride: usize,
    /// Floats, shared: `[2, ld]` with shift in row 0 and scale in row 1, `ld` as in `out`.
    pub scaling: Buffer,
    pub out: View,
}

pub const SHADER: Shader = shader!("gather");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub out: GpuView,
    pub rows_stride: u32,
    pub row_words: u32,
    pub first: u32,
    pub last: u32,
}

impl Gather {
    /// One dispatch for each part of the data set that a binding can span.
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let part_rows = caps.part_len(self.stride) / self.stride.max(1);
        let rows = buffers.spec(self.data).len.div_ceil(self.stride.max(1));
        let bytes = u32::from(self.storage == Storage::U8);
        (0..rows.div_ceil(part_rows))
            .map(|part| {
                let first = part * part_rows;
                let params = Params {
                    out: GpuView::new(buffers, self.out),
                    rows_stride: stride(buffers, self.rows),
                    row_words: word(self.stride),
                    first: word(first),
                    last: word((first + part_rows).min(rows)),
                };
                Dispatch::new(SHADER, "main", &params)
                    .constant("BYTES", bytes)
                    .read(2, self.rows)
                    .bind(3, Memory::Buffer { buffer: self.data, part: word(part) }, false)
                    .read(4, self.scaling)
                    .write(5, self.out.buffer)
                    .plane(caps, self.out, 30.0)
            })
            .collect()
    }
}
