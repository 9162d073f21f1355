//! Convolutions of stride one without writing out what windows see, in `f32`.
//!
//! With zeros around it a channel is a plane in which each output element sees its taps at the same distances, so neighbouring output
//! elements are neighbours in registers: the sums of some filters at some places are made there, straight from the plane. Between two
//! lines of outputs lie as many places as the window reaches over; what is computed there is left out in the end.

use pulp::{Simd, WithSimd};

use crate::host::widest;
use crate::kernels::Window;
use crate::kernels::window::AXES;

/// Elements behind a plane that registers may read: as many as the widest tile has.
const SLACK: usize = 128;
/// Filters of a panel, by how many are left.
const PANELS: [usize; 3] = [8, 4, 1];

/// Where a window of stride one finds its taps in channels with zeros around them.
pub(super) struct Planes {
    input: [usize; AXES],
    before: [usize; AXES],
    output: [usize; AXES],
    size: [usize; AXES],
    /// Distance of each tap from an output element's place.
    offsets: Vec<usize>,
    /// Elements of a plane with its slack.
    pub len: usize,
    /// From the first output element's place to behind the last one's.
    pub span: usize,
}

impl Planes {
    /// `None` for another stride, and for a single tap, which is a plain product.
    pub fn of(window: &Window) -> Option<Planes> {
        if window.stride != [1; AXES] || window.taps() == 1 || window.outputs() == 0 {
            return None;
        }
        let reach = |axis: usize| (window.kernel[axis] - 1) * window.dilation[axis];
        let size = [0, 1, 2].map(|axis| window.output[axis] + reach(axis));
        let place = |at: [usize; AXES]| (at[0] * size[1] + at[1]) * size[2] + at[2];
        let tap = |tap: usize| {
            let k = Window::place(window.kernel, tap);
            place([0, 1, 2].map(|axis| k[axis] * window.dilation[axis]))
        };
        Some(Planes {
            input: window.input,
            before: window.before,
            output: window.output,
            size,
            offsets: (0..window.taps()).map(tap).collect(),
            len: size.iter().product::<usize>() + SLACK,
            span: place(window.output.map(|n| n - 1)) + 1,
        })
    }

    /// The planes of the window with which a cotangent of the outputs comes back to the inputs, its taps in reverse order; `None` where the
    /// padding is wider than the window reaches.
    pub fn of_transposed(window: &Window) -> Option<Planes> {
        let mut back = Window { input: window.output, output: window.input, ..*window };
        for axis in 0..AXES {
            let reach = (window.kernel[axis] - 1) * window.dilation[axis];
            back.before[axis] = reach.checked_sub(window.before[axis])?;
        }
        Planes::of(&back)
    }

    /// Writes channels `[channel, inputs]` with their zeros.
    pub fn pad(&self, x: &[f32], planes: &mut [f32]) {
        let [a, b, c] = self.input;
        let [before_a, before_b, before_c] = self.before;
        for (x, plane) in x.chunks_exact(a * b * c).zip(planes.chunks_exact_mut(self.len)) {
            plane.fill(0.0);
            // Where the input is longer than what the windows see, its end is in no line.
            let width = c.min(self.size[2] - before_c);
            for (line, x) in x.chunks_exact(c).enumerate() {
                let (i, j) = (line / b + before_a, line % b + before_b);
                if i < self.size[0] && j < self.size[1] {
                    let at = (i * self.size[1] + j) * self.size[2] + before_c;
                    plane[at..at + width].copy_from_slice(&x[..width]);
                }
            }
        }
    }

    /// The lines of outputs: their places, and where they begin among the outputs.
    fn lines(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let [a, b, c] = self.output;
        (0..a * b).map(move |line| ((line / b * self.size[1] + line % b) * self.size[2], line * c))
    }

    /// The outputs out of what stands at all places.
    pub fn gather(&self, places: &[f32], out: &mut [f32]) {
        let width = self.output[2];
        self.lines().for_each(|(from, to)| out[to..to + width].copy_from_slice(&places[from..from + width]));
    }

    /// Outputs at their places, zeros between them.
    fn scatter(&self, outputs: &[f32], places: &mut [f32]) {
        let width = self.output[2];
        places.fill(0.0);
        self.lines().for_each(|(to, from)| places[to..to + width].copy_from_slice(&outputs[from..from + width]));
    }
}

/// A weight in panels of some filters: `[panel][channel, tap][filter]`.
pub(super) struct Panels {
    /// First filter, how many of them are meant, the panel's width, where it begins.
    pub list: Vec<(usize, usize, usize, usize)>,
    values: Vec<f32>,
    depth: usize,
}

impl Panels {
    /// `weight(filter, channel and tap)`.
    pub fn new(filters: usize, depth: usize, weight: impl Fn(usize, usize) -> f32) -> Panels {
        let (mut list, mut values, mut first) = (Vec::new(), Vec::new(), 0);
        while first < filters {
            let left = filters - first;
            // The narrowest that holds the rest, or the widest.
            let width = PANELS.into_iter().rev().find(|&width| width >= left).unwrap_or(PANELS[0]);
            let count = width.min(left);
            list.push((first, count, width, values.len()));
            for i in 0..depth {
                values.extend((0..width).map(|f| if f < count { weight(first + f, i) } else { 0.0 }));
            }
            first += count;
        }
        Panels { list, values, depth }
    }

    /// A panel's sums at all places, `[filter][room(planes)]`.
    pub fn sums(&self, panel: usize, planes: &Planes, x: &[f32], sums: &mut [f32]) {
        let (_, _, width, begin) = self.list[panel];
        let weight = &self.values[begin..begin + width * self.depth];
        widest(Sums { planes, x, weight, width, sums });
    }

    /// Elements that a panel's sums take.
    pub fn room(planes: &Planes) -> usize {
        PANELS[0] * Self::distance(planes)
    }

    /// From one filter's sums to the next one's.
    pub fn distance(planes: &Planes) -> usize {
        planes.span + SLACK
    }
}

struct Sums<'a> {
    planes: &'a Planes,
    x: &'a [f32],
    weight: &'a [f32],
    width: usize,
    sums: &'a mut [f32],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (self.width, S::REGISTER_COUNT >= 32) {
            (8, true) => self.tiles::<S, 8, 2>(simd),
            (8, false) => self.tiles::<S, 8, 1>(simd),
            (4, true) => self.tiles::<S, 4, 4>(simd),
            (4, false) => self.tiles::<S, 4, 2>(simd),
            _ => self.tiles::<S, 1, 8>(simd),
        }
    }
}

impl Sums<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const FILTERS: usize, const WIDE: usize>(self, simd: S) {
        let Sums { planes, x, weight, sums, .. } = self;
        let (width, distance) = (WIDE * S::F32_LANES, Panels::distance(planes));
        assert!(width <= SLACK, "invariant: a tile reads and writes no further than the slack");
        let (weight, _) = weight.as_chunks::<FILTERS>();
        for place in (0..planes.span).step_by(width) {
            let tile = tile::<S, FILTERS, WIDE>(simd, planes, x, weight, place);
            for f in 0..FILTERS {
                let (out, _) = S::as_mut_simd_f32s(&mut sums[f * distance + place..][..width]);
                #[allow(clippy::manual_memcpy, reason = "a copy would take the registers through memory")]
                for i in 0..WIDE {
                    out[i] = tile[f][i];
                }
            }
        }
    }
}

/// The sums of a panel's filters at the places from `place` on.
#[inline(always)]
fn tile<S: Simd, const FILTERS: usize, const WIDE: usize>(
    simd: S,
    planes: &Planes,
    x: &[f32],
    weight: &[[f32; FILTERS]],
    place: usize,
) -> [[S::f32s; WIDE]; FILTERS] {
    let mut sums = [[simd.splat_f32s(0.0); WIDE]; FILTERS];
    for (plane, weight) in x.chunks_exact(planes.len).zip(weight.chunks_exact(planes.offsets.len())) {
        let plane = &plane[place..];
        for (&offset, weight) in planes.offsets.iter().zip(weight) {
            let (seen, _) = S::as_simd_f32s(&plane[offset..][..WIDE * S::F32_LANES]);
            let seen: &[S::f32s; WIDE] = seen.try_into().expect("invariant: as many registers as were cut out");
            for f in 0..FILTERS {
                let w = simd.splat_f32s(weight[f]);
                for i in 0..WIDE {
                    sums[f][i] = simd.mul_add_e_f32s(w, seen[i], sums[f][i]);
                }
            }
        }
    }
    sums
}

/// Filters and taps whose gradients are made at once.
const GRADIENT_FILTERS: usize = 4;
const GRADIENT_TAPS: usize = 5;
/// Elements of the planes and cotangents that are read again and again: they stay in the second cache.
const RESIDENT: usize = 1 << 16;

/// A weight's gradient from some rows.
pub(super) struct WeightGradient<'a> {
    pub planes: &'a Planes,
    pub channels: usize,
    pub filters: usize,
}

impl WeightGradient<'_> {
    fn distance(&self) -> usize {
        self.planes.span.next_multiple_of(SLACK)
    }

    /// Rows that are looked at together.
    fn rows(&self) -> usize {
        (RESIDENT / self.row()).max(1)
    }

    fn row(&self) -> usize {
        self.channels * self.planes.len + self.filters * self.distance()
    }

    /// Elements that [`WeightGradient::add`] takes.
    pub fn room(&self) -> usize {
        self.rows() * self.row()
    }

    /// Adds Σ over the rows of cotangent times what it sees to `sum: [filters, (channel, tap)]`, and of the cotangents alone to `bias`.
    /// A row: its outputs' cotangents `[filter, outputs]`, its inputs `[channel, inputs]`.
    pub fn add<'r>(
        &self,
        rows: impl Iterator<Item = (&'r [f32], &'r [f32])>,
        room: &mut [f32],
        sum: &mut [f32],
        bias: &mut [f32],
    ) {
        let (planes, distance, most) = (self.planes, self.distance(), self.rows());
        let (x_room, dy_room) = room.split_at_mut(most * self.channels * planes.len);
        let (x_row, dy_row) = (self.channels * planes.len, self.filters * distance);
        let outputs: usize = planes.output.iter().product();
        let mut held = 0;
        let mut rows = rows.peekable();
        while let Some((dy, x)) = rows.next() {
            planes.pad(x, &mut x_room[held * x_row..][..x_row]);
            let places = dy_room[held * dy_row..][..dy_row].chunks_exact_mut(distance);
            dy.chunks_exact(outputs).zip(places).for_each(|(dy, places)| planes.scatter(dy, places));
            held += 1;
            if held == most || rows.peek().is_none() {
                let (x, dy) = (&x_room[..held * x_row], &dy_room[..held * dy_row]);
                widest(Products { of: self, x, dy, sum, bias });
                held = 0;
            }
        }
    }
}

struct Products<'a, 'p> {
    of: &'a WeightGradient<'p>,
    x: &'a [f32],
    dy: &'a [f32],
    sum: &'a mut [f32],
    bias: &'a mut [f32],
}

impl WithSimd for Products<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Products { of, x, dy, sum, bias } = self;
        let (distance, taps) = (of.distance(), of.planes.offsets.len());
        let depth = of.channels * taps;
        for first in (0..of.filters).step_by(GRADIENT_FILTERS) {
            let count = GRADIENT_FILTERS.min(of.filters - first);
            for begin in (0..depth).step_by(GRADIENT_TAPS) {
                let seen = GRADIENT_TAPS.min(depth - begin);
                // Of those that are beyond the last one the last one's is made again and left out.
                let (mut columns, mut rows) = ([0; GRADIENT_TAPS], [0; GRADIENT_FILTERS]);
                for (i, column) in columns.iter_mut().enumerate() {
                    let i = begin + i.min(seen - 1);
                    *column = i / taps * of.planes.len + of.planes.offsets[i % taps];
                }
                for (f, row) in rows.iter_mut().enumerate() {
                    *row = (first + f.min(count - 1)) * distance;
                }
                let products = products::<S>(simd, of, (dy, rows), (x, columns));
                for f in 0..count {
                    for i in 0..seen {
                        sum[(first + f) * depth + begin + i] += simd.reduce_sum_f32s(products[f][i]);
                    }
                }
            }
        }
        for dy in dy.chunks_exact(of.filters * distance) {
            for (bias, dy) in bias.iter_mut().zip(dy.chunks_exact(distance)) {
                let mut all = simd.splat_f32s(0.0);
                for &dy in S::as_simd_f32s(dy).0 {
                    all = simd.add_f32s(all, dy);
                }
                *bias += simd.reduce_sum_f32s(all);
            }
        }
    }
}

/// Σ over rows and places of some filters' cotangents times what some taps see, register by register: `dy` and `x` with where each
/// filter's and each tap's begin in a row.
#[inline(always)]
fn products<S: Simd>(
    simd: S,
    of: &WeightGradient<'_>,
    (dy, rows): (&[f32], [usize; GRADIENT_FILTERS]),
    (x, columns): (&[f32], [usize; GRADIENT_TAPS]),
) -> [[S::f32s; GRADIENT_TAPS]; GRADIENT_FILTERS] {
    let mut sums = [[simd.splat_f32s(0.0); GRADIENT_TAPS]; GRADIENT_FILTERS];
    let registers = of.planes.span.div_ceil(S::F32_LANES);
    let length = registers * S::F32_LANES;
    let (x_row, dy_row) = (of.channels * of.planes.len, of.filters * of.distance());
    for (x, dy) in x.chunks_exact(x_row).zip(dy.chunks_exact(dy_row)) {
        let mut seen: [&[S::f32s]; GRADIENT_TAPS] = [&[]; GRADIENT_TAPS];
        for i in 0..GRADIENT_TAPS {
            seen[i] = &S::as_simd_f32s(&x[columns[i]..][..length]).0[..registers];
        }
        let mut cotangents: [&[S::f32s]; GRADIENT_FILTERS] = [&[]; GRADIENT_FILTERS];
        for f in 0..GRADIENT_FILTERS {
            cotangents[f] = &S::as_simd_f32s(&dy[rows[f]..][..length]).0[..registers];
        }
        for place in 0..registers {
            for f in 0..GRADIENT_FILTERS {
                let dy = cotangents[f][place];
                for i in 0..GRADIENT_TAPS {
                    sums[f][i] = simd.mul_add_e_f32s(dy, seen[i][place], sums[f][i]);
                }
            }
        }
    }
    sums
}
