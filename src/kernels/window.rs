//! A window that slides over up to three spatial axes: which input elements an output element sees.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::program::dispatch::word;

/// Spatial axes at most.
pub const AXES: usize = 3;

/// Sizes along each axis, slowest first; axes that a network doesn't have come first and have size 1.
///
/// Output element `o` sees at tap `k` the input element `o·stride + k·dilation − before`, or padding where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub input: [usize; AXES],
    pub output: [usize; AXES],
    pub kernel: [usize; AXES],
    pub stride: [usize; AXES],
    pub dilation: [usize; AXES],
    /// Padding before the first element.
    pub before: [usize; AXES],
}

impl Window {
    /// Input elements of a channel.
    pub fn inputs(&self) -> usize {
        self.input.iter().product()
    }

    /// Output elements of a channel.
    pub fn outputs(&self) -> usize {
        self.output.iter().product()
    }

    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Whether every output element sees just the input element at its own place.
    pub fn is_pointwise(&self) -> bool {
        self.taps() == 1 && self.stride == [1; AXES] && self.before == [0; AXES] && self.input == self.output
    }

    /// The input coordinate that output coordinate `o` sees at tap `k` of an axis.
    pub fn source(&self, axis: usize, o: usize, k: usize) -> Option<usize> {
        let at = (o * self.stride[axis] + k * self.dilation[axis]).checked_sub(self.before[axis])?;
        (at < self.input[axis]).then_some(at)
    }

    /// The output coordinate that sees input coordinate `i` at tap `k` of an axis.
    pub fn target(&self, axis: usize, i: usize, k: usize) -> Option<usize> {
        let from = (i + self.before[axis]).checked_sub(k * self.dilation[axis])?;
        let o = from / self.stride[axis];
        (from % self.stride[axis] == 0 && o < self.output[axis]).then_some(o)
    }

    /// The coordinates of a flat index.
    pub fn place(sizes: [usize; AXES], flat: usize) -> [usize; AXES] {
        let [_, b, c] = sizes;
        [flat / (b * c), flat / c % b, flat % c]
    }

    /// The flat index of coordinates.
    pub fn flat(sizes: [usize; AXES], at: [usize; AXES]) -> usize {
        (at[0] * sizes[1] + at[1]) * sizes[2] + at[2]
    }

    /// The flat input index that output element `o` sees at a tap, both flat.
    pub fn seen(&self, o: usize, tap: usize) -> Option<usize> {
        let (o, k) = (Self::place(self.output, o), Self::place(self.kernel, tap));
        let mut at = [0; AXES];
        for axis in 0..AXES {
            at[axis] = self.source(axis, o[axis], k[axis])?;
        }
        Some(Self::flat(self.input, at))
    }

    /// The flat output index that sees input element `i` at a tap, both flat.
    pub fn seeing(&self, i: usize, tap: usize) -> Option<usize> {
        let (i, k) = (Self::place(self.input, i), Self::place(self.kernel, tap));
        let mut at = [0; AXES];
        for axis in 0..AXES {
            at[axis] = self.target(axis, i[axis], k[axis])?;
        }
        Some(Self::flat(self.output, at))
    }
}

/// Neighbouring output elements along the last axis: their place on the other axes, their range on the last, and where they begin
/// among those asked for.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    place: [usize; AXES - 1],
    last: Range<usize>,
    pub at: usize,
}

impl Run {
    pub fn len(&self) -> usize {
        self.last.len()
    }
}

impl Window {
    /// The runs of the output elements `first .. first + count`.
    pub(crate) fn runs(&self, first: usize, count: usize) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut at = 0;
        while at < count {
            let [a, b, c] = Self::place(self.output, first + at);
            let len = (self.output[2] - c).min(count - at);
            runs.push(Run { place: [a, b], last: c..c + len, at });
            at += len;
        }
        runs
    }

    /// What a run sees at a tap: the first input element (the next ones are a stride apart), and which part of the run sees any; `None`:
    /// padding alone.
    pub(crate) fn seen_by(&self, run: &Run, tap: [usize; AXES]) -> Option<(usize, Range<usize>)> {
        let i = self.source(0, run.place[0], tap[0])?;
        let j = self.source(1, run.place[1], tap[1])?;
        let (stride, before) = (self.stride[2], self.before[2]);
        let shift = tap[2] * self.dilation[2];
        // o·stride + shift − before is at least 0, and below the input's size.
        let low = before.saturating_sub(shift).div_ceil(stride).max(run.last.start);
        let end = (self.input[2] + before).saturating_sub(shift).div_ceil(stride).min(run.last.end);
        if low >= end {
            return None;
        }
        let k = low * stride + shift - before;
        Some(((i * self.input[1] + j) * self.input[2] + k, low - run.last.start..end - run.last.start))
    }
}

/// `struct Window` of the shaders.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
pub struct GpuWindow {
    /// The last element is not used, here and below.
    pub input: [u32; 4],
    pub output: [u32; 4],
    pub kernel: [u32; 4],
    pub stride: [u32; 4],
    pub dilation: [u32; 4],
    pub before: [u32; 4],
}

impl From<&Window> for GpuWindow {
    fn from(window: &Window) -> Self {
        let words = |sizes: [usize; AXES]| [word(sizes[0]), word(sizes[1]), word(sizes[2]), 1];
        GpuWindow {
            input: words(window.input),
            output: words(window.output),
            kernel: words(window.kernel),
            stride: words(window.stride),
            dilation: words(window.dilation),
            before: words(window.before),
        }
    }
}
