//! Products of two matrices that both depend on the sample, as in attention.

use bytemuck::{Pod, Zeroable};

use crate::program::dispatch::{Caps, Dispatch, GpuView, word};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffers, View};

/// One of the two factors.
#[derive(Debug, Clone, Copy)]
pub struct Factor {
    pub view: View,
    /// It lies in memory transposed.
    pub transposed: bool,
    /// Rows of the result that share one of its rows: the seeds for what the forward pass made, else 1.
    pub share: usize,
}

/// `out[r, h, i, j] = Σ_k a[r / a.share, h, i, k]·b[r / b.share, h, k, j]`, for the batch's rows times the seeds. Three different
/// buffers.
#[derive(Debug, Clone)]
pub struct BatchProduct {
    pub a: Factor,
    pub b: Factor,
    pub out: View,
    /// Products side by side in a row.
    pub heads: usize,
    /// Rows and columns of a product, and terms of its sums.
    pub shape: [usize; 3],
    pub seeds: usize,
}

pub const SHADER: Shader = shader!("batch_product");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub a: GpuView,
    pub b: GpuView,
    pub out: GpuView,
    pub heads: u32,
    pub rows: u32,
    pub columns: u32,
    pub depth: u32,
    pub a_row: u32,
    pub a_column: u32,
    pub b_row: u32,
    pub b_column: u32,
    pub row_tiles: u32,
    pub tiles: u32,
    pub pad: [u32; 2],
}

/// Rows and columns that a workgroup makes.
const TILE: usize = 32;

impl Factor {
    /// The distances of neighbours along the rows and the columns of a matrix of so many.
    pub(crate) fn strides(&self, rows: usize, cols: usize) -> (usize, usize) {
        if self.transposed { (1, rows) } else { (cols, 1) }
    }
}

impl BatchProduct {
    pub(crate) fn dispatches(&self, _: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let [rows, columns, depth] = self.shape;
        let (row_tiles, tiles) = (rows.div_ceil(TILE), columns.div_ceil(TILE));
        let (a_strides, b_strides) = (self.a.strides(rows, depth), self.b.strides(depth, columns));
        let view = |view| GpuView::new(buffers, view);
        let params = Params {
            a: view(self.a.view),
            b: view(self.b.view),
            out: view(self.out),
            heads: word(self.heads),
            rows: word(rows),
            columns: word(columns),
            depth: word(depth),
            a_row: word(a_strides.0),
            a_column: word(a_strides.1),
            b_row: word(b_strides.0),
            b_column: word(b_strides.1),
            row_tiles: word(row_tiles),
            tiles: word(tiles),
            pad: [0; 2],
        };
        let products = self.out.rows * self.heads;
        let work = 2.0 * (products * rows * columns) as f64 * depth as f64;
        vec![
            Dispatch::new(SHADER, "main", &params)
                .constant("SEEDS", word(self.seeds))
                .constant("A_SHARE", word(self.a.share))
                .constant("B_SHARE", word(self.b.share))
                .read(2, self.a.view.buffer)
                .read(3, self.b.view.buffer)
                .write(4, self.out.buffer)
                .groups(products * row_tiles * tiles, work),
        ]
    }
}
