//! Max-pooling: the largest element that a window sees, which one it was, and the products with that choice.

use bytemuck::{Pod, Zeroable};

use super::window::{GpuWindow, Window};
use crate::program::dispatch::{Caps, Dispatch, GpuView, word};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffers, View};

/// What is computed. A matrix's row is `[channel, spatial…]`; `winner` holds the tap of the largest element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `out[r, c, o] = max_k x[r, c, seen(o, k)]`, and the first such k; a NaN wins.
    Forward,
    /// `out[r, c, o] = x[r, c, seen(o, winner[r / seeds, c, o])]`.
    Push,
    /// `out[r, c, i] = Σ x[r, c, o]` over the o whose winner sees i.
    Pull,
}

/// For the batch's rows times the seeds. Three different buffers.
#[derive(Debug, Clone)]
pub struct MaxPool {
    pub direction: Direction,
    pub x: View,
    pub out: View,
    /// `[batch, channels·outputs]`; written by `Forward`, which may do without.
    pub winner: Option<View>,
    pub window: Window,
    pub seeds: usize,
}

pub const SHADER: Shader = shader!("max_pool");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub window: GpuWindow,
    pub x: GpuView,
    pub out: GpuView,
    pub winner: GpuView,
}

impl MaxPool {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let view = |view| GpuView::new(buffers, view);
        let params = Params {
            window: GpuWindow::from(&self.window),
            x: view(self.x),
            out: view(self.out),
            winner: GpuView::of(buffers, self.winner),
        };
        let work = 20.0 * self.window.taps() as f64;
        let dispatch = |entry| Dispatch::new(SHADER, entry, &params).constant("SEEDS", word(self.seeds));
        let dispatch = match (self.direction, self.winner) {
            (Direction::Forward, None) => dispatch("largest"),
            (Direction::Forward, Some(winner)) => dispatch("forward").write(4, winner.buffer),
            (Direction::Push, _) => dispatch("push").read(3, self.chosen().buffer),
            (Direction::Pull, _) => dispatch("pull").read(3, self.chosen().buffer),
        };
        vec![dispatch.read(2, self.x.buffer).write(5, self.out.buffer).plane(caps, self.out, work)]
    }

    /// The winner that a product reads.
    pub(crate) fn chosen(&self) -> View {
        self.winner.expect("invariant: products know the winners")
    }
}
