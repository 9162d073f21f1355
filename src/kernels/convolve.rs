//! Convolutions: the products of [`Gemm`], whose batch operand is seen through a sliding window.

use bytemuck::{Pod, Zeroable};

use super::gemm::{Form, Gemm};
use super::window::{GpuWindow, Window};
use crate::program::dispatch::{Caps, Dispatch, GpuView, word};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffers, View};

/// A convolution's forward pass, the product with its transpose, or its weight's gradient: [`Gemm`]'s three forms.
///
/// A matrix's row is `[channel, spatial…]`. The weight is `[M, C·K]`: M filters, the C channels of a group, K taps; with
/// eigenvalues `W[o, c, κ] = (lambda_in[c] − lambda_out[o])·ψ[o, c, κ]`, where `lambda_in` counts the channels of all groups.
///
/// - `Nt`: `out[r, o, p] = Σ_{c, κ} W[o, c, κ]·a[r, c, seen(p, κ)] + bias[o]`
/// - `Nn`: `out[r, c, i] = Σ_{o, κ} W[o, c, κ]·a[r, o, p]` over the p that see i at κ, times the slope
/// - `Tn`: `out[o, (c, κ)] = Σ_{r, p} a[r, o, p]·b[r, c, seen(p, κ)]`, `bias_gradient[o] = Σ_{r, p} a[r, o, p]`
#[derive(Debug, Clone)]
pub struct Convolve {
    pub product: Gemm,
    pub window: Window,
    /// Channels and filters are cut into so many groups, which don't see each other.
    pub groups: usize,
}

pub const SHADER: Shader = shader!("convolve");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub window: GpuWindow,
    pub a: GpuView,
    pub b: GpuView,
    pub out: GpuView,
    pub extra: GpuView,
    pub lambda_in: GpuView,
    pub lambda_out: GpuView,
    pub bias: GpuView,
    pub groups: u32,
    /// Of a group.
    pub channels: u32,
    pub filters: u32,
    /// Tiles along the rows and the columns of a group's product.
    pub row_tiles: u32,
    pub tiles: u32,
    pub pad: [u32; 3],
}

/// Rows and columns that a workgroup makes.
const TILE: usize = 32;

impl Convolve {
    /// The weight, or its gradient.
    pub(crate) fn weight(&self) -> View {
        if self.product.form == Form::Tn { self.product.out } else { self.product.b }
    }

    /// Filters of a group.
    pub(crate) fn filters(&self) -> usize {
        self.weight().rows / self.groups
    }

    /// Channels of a group.
    pub(crate) fn channels(&self) -> usize {
        self.weight().cols / self.window.taps()
    }

    pub(crate) fn dispatches(&self, _: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let Gemm { form, a, b, out, .. } = self.product;
        let (filters, channels, taps) = (self.filters(), self.channels(), self.window.taps());
        // What one product of a group is: how many of them, its rows, its columns, the terms of a sum.
        let (samples, rows, cols, depth) = match form {
            Form::Nt => (out.rows, filters, self.window.outputs(), channels * taps),
            Form::Nn => (out.rows, channels, self.window.inputs(), filters * taps),
            Form::Tn => (1, filters, channels * taps, a.rows * self.window.outputs()),
        };
        let (row_tiles, tiles) = (rows.div_ceil(TILE), cols.div_ceil(TILE));
        let view = |view| GpuView::new(buffers, view);
        let eigenvalues = self.product.eigenvalues;
        let params = Params {
            window: GpuWindow::from(&self.window),
            a: view(a),
            b: view(b),
            out: view(out),
            extra: GpuView::of(buffers, self.product.extra()),
            lambda_in: GpuView::of(buffers, eigenvalues.map(|e| e.lambda_in)),
            lambda_out: GpuView::of(buffers, eigenvalues.map(|e| e.lambda_out)),
            bias: GpuView::of(buffers, self.product.bias),
            groups: word(self.groups),
            channels: word(channels),
            filters: word(filters),
            row_tiles: word(row_tiles),
            tiles: word(tiles),
            pad: [0; 3],
        };
        let products = samples * self.groups;
        let dispatch = Dispatch::new(SHADER, "main", &params)
            .read(2, a.buffer)
            .read(3, b.buffer)
            .write(4, out.buffer)
            .groups(products * row_tiles * tiles, 2.0 * (products * rows * cols) as f64 * depth as f64);
        vec![self.product.epilogue(dispatch)]
    }
}
