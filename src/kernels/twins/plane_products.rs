//! Sums over the planes of [`super::planes`], made in registers: of some filters at some places, and a weight's gradient.

use std::ops::Range;

use pulp::{MemMask, Simd, WithSimd};

use super::planes::{Part, Planes};
use crate::host::{Team, widest};
use crate::kernels::{Convolve, Form};

/// Filters of a panel at most, and where there are few registers.
pub(super) const FILTERS: usize = 8;
const FEW_FILTERS: usize = 6;

/// Places whose sums for a panel stay in the first cache.
const PLACES: usize = 1008;
/// Terms that are added to all places before the next ones are: the pages and lines they lie in stay in the first caches.
const TERMS: usize = 64;
/// Pieces of work for each thread at least.
const PIECES: usize = 4;

/// A term of a sum: the distance of an input from an output's place, and the weight's from the filter's first.
pub(super) type Term = (u32, u32);

/// Filters that are made together: as few panels as there can be, all about as large.
pub(super) fn panels(all: usize) -> Vec<Range<usize>> {
    let count = all.div_ceil(if widest(ManyRegisters) { FILTERS } else { FEW_FILTERS });
    (0..count).map(|i| i * all / count..(i + 1) * all / count).collect()
}

/// Whether a tile's sums can be kept in more than 16 registers.
struct ManyRegisters;

impl WithSimd for ManyRegisters {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        S::REGISTER_COUNT >= 32
    }
}

/// A convolution's sums: of `to` filters over the taps of `from` channels.
pub(super) struct PlaneSums<'a> {
    planes: &'a Planes,
    /// The channels are planes as they are.
    direct: bool,
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    pub from: usize,
    pub to: usize,
    /// Outputs of a filter.
    pub made: usize,
    /// Weights of a group, and from one filter to the next.
    group: usize,
    apart: usize,
    /// For each part, and what is farthest of them.
    terms: Vec<(Vec<Term>, Term)>,
    pub panels: Vec<Range<usize>>,
    /// Lines that are made together, of how many.
    lines: usize,
    all_lines: usize,
    /// From one filter's sums to the next one's.
    distance: usize,
}

impl<'a> PlaneSums<'a> {
    /// Whether distances in the planes of a row and in the weight are words.
    pub fn fits(of: &Convolve, planes: &Planes) -> bool {
        let weight = of.product.b;
        let most = u32::MAX as usize;
        of.filters().max(of.channels()).saturating_mul(planes.len) <= most && weight.rows * weight.ld <= most
    }

    /// `Nt` or `Nn`; `weight` as the convolution's view says.
    pub fn new(
        of: &Convolve,
        planes: &'a Planes,
        weight: &'a [f32],
        bias: Option<&'a [f32]>,
        team: Option<&Team>,
    ) -> Self {
        let (ld, taps, filters, channels) = (of.product.b.ld, of.window.taps(), of.filters(), of.channels());
        let (from, to, made, apart, next) = match of.product.form {
            Form::Nn => (filters, channels, of.window.inputs(), taps, ld),
            _ => (channels, filters, of.window.outputs(), ld, taps),
        };
        let word = |at: usize| u32::try_from(at).expect("invariant: `fits` was asked");
        let terms = |part: &Part| {
            let of_channel =
                |c| part.taps.iter().map(move |&(at, tap)| (word(c * planes.len + at), word(c * next + tap)));
            let terms: Vec<Term> = (0..from).flat_map(of_channel).collect();
            let farthest = terms.iter().fold((0, 0), |far, term| (far.0.max(term.0), far.1.max(term.1)));
            (terms, farthest)
        };
        let panels = panels(to);
        // As many lines as have sums that stay in the first caches, or fewer to have work for all threads, and all blocks about as large.
        let all_lines = planes.lines();
        let pieces = if planes.parts.len() > 1 { 1 } else { (all_lines * planes.pitch()).div_ceil(PLACES) };
        let busy = team.map_or(1, |team| (PIECES * team.threads()).div_ceil(panels.len().max(1)));
        let lines = match planes.parts.len() {
            1 => all_lines.div_ceil(pieces.max(busy)).max(1),
            _ => all_lines,
        };
        PlaneSums {
            planes,
            direct: of.window.is_pointwise(),
            weight,
            bias,
            from,
            to,
            made,
            group: filters * ld,
            apart,
            terms: planes.parts.iter().map(terms).collect(),
            panels,
            lines,
            all_lines,
            distance: planes.room(lines),
        }
    }

    /// Terms of a sum, roughly.
    pub fn depth(&self) -> usize {
        self.terms.iter().map(|(terms, _)| terms.len()).max().unwrap_or(0)
    }

    /// Elements of the planes of a row and a group.
    pub fn padded(&self) -> usize {
        if self.direct { 0 } else { self.from * self.planes.len }
    }

    /// The planes of some channels of a row and a group.
    pub fn pad<'p>(&self, x: &'p [f32], channels: Range<usize>, planes: &'p mut [f32]) -> &'p [f32] {
        if self.direct {
            return x;
        }
        let inputs = self.planes.inputs();
        for (channel, plane) in channels.zip(planes.chunks_exact_mut(self.planes.len)) {
            self.planes.pad(&x[channel * inputs..][..inputs], plane);
        }
        planes
    }

    pub fn blocks(&self) -> usize {
        self.all_lines.div_ceil(self.lines.max(1))
    }

    /// Lines of a block.
    pub fn block(&self, block: usize) -> Range<usize> {
        block * self.lines..self.all_lines.min((block + 1) * self.lines)
    }

    /// Elements that [`PlaneSums::run`] takes.
    pub fn room(&self) -> usize {
        FILTERS * self.distance
    }

    /// A panel's sums over some lines: calls `done(filter, part, its sums at the lines' places)`.
    pub fn run(
        &self,
        x: &[f32],
        group: usize,
        (lines, panel): (&Range<usize>, usize),
        room: &mut [f32],
        done: impl Fn(usize, &Part, &Range<usize>, &[f32]),
    ) {
        let filters = &self.panels[panel];
        let mut begin = [0.0; FILTERS];
        if let Some(bias) = self.bias {
            begin[..filters.len()].copy_from_slice(&bias[group * self.to..][filters.clone()]);
        }
        for (part, (terms, farthest)) in self.planes.parts.iter().zip(&self.terms) {
            let farthest = *farthest;
            let lines = if self.terms.len() == 1 { lines.clone() } else { 0..part.lines() };
            let sums = Sums {
                terms,
                farthest,
                x,
                weight: &self.weight[group * self.group + filters.start * self.apart..],
                apart: self.apart,
                begin,
                filters: filters.len(),
                span: self.planes.span(part, &lines),
                sums: room,
                distance: self.distance,
            };
            widest(sums);
            for (filter, places) in filters.clone().zip(room.chunks_exact(self.distance)) {
                done(filter, part, &lines, places);
            }
        }
    }
}

/// Sums of some filters, a panel's, at the places of a span.
pub(super) struct Sums<'a> {
    pub terms: &'a [Term],
    /// The largest input and the largest weight of all terms.
    pub farthest: Term,
    pub x: &'a [f32],
    /// From the panel's first filter on, and from one filter to the next.
    pub weight: &'a [f32],
    pub apart: usize,
    /// What each filter's sums begin with.
    pub begin: [f32; FILTERS],
    pub filters: usize,
    pub span: Range<usize>,
    /// `[filter][places of the span]`, so far apart.
    pub sums: &'a mut [f32],
    pub distance: usize,
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Sums and what they see must lie inside their slices: what the registers' loads rely on.
        if !self.terms.is_empty() {
            let (input, weight) = self.farthest;
            assert!(input as usize + self.span.end <= self.x.len(), "invariant: the planes hold what is seen");
            let weights = weight as usize + (self.filters - 1) * self.apart;
            assert!(weights < self.weight.len(), "invariant: the weight holds all filters");
        }
        // About 24 sums where there are 32 registers, else 12 or fewer: with what they see and a weight they must not need all 16, or a
        // compiler moves them to and fro.
        let all = self.terms;
        let count = all.len().div_ceil(TERMS).max(1);
        for i in 0..count {
            self.terms = &all[i * all.len() / count..(i + 1) * all.len() / count];
            let begun = i > 0;
            match (self.filters, S::REGISTER_COUNT >= 32) {
                (1, _) => self.tiles::<S, 1, 8, 4, 2>(simd, begun),
                (2, true) => self.tiles::<S, 2, 8, 4, 2>(simd, begun),
                (3, true) => self.tiles::<S, 3, 7, 4, 2>(simd, begun),
                (4, true) => self.tiles::<S, 4, 6, 4, 2>(simd, begun),
                (5, true) => self.tiles::<S, 5, 5, 3, 2>(simd, begun),
                (6, true) => self.tiles::<S, 6, 4, 3, 2>(simd, begun),
                (7, true) => self.tiles::<S, 7, 3, 2, 1>(simd, begun),
                (8, true) => self.tiles::<S, 8, 3, 2, 1>(simd, begun),
                (2, false) => self.tiles::<S, 2, 4, 3, 2>(simd, begun),
                (3, false) => self.tiles::<S, 3, 3, 2, 1>(simd, begun),
                (4, false) => self.tiles::<S, 4, 2, 2, 1>(simd, begun),
                (5, false) => self.tiles::<S, 5, 2, 2, 1>(simd, begun),
                (6, false) => self.tiles::<S, 6, 2, 2, 1>(simd, begun),
                (filters, _) => unreachable!("a panel of {filters} filters"),
            }
        }
    }
}

impl Sums<'_> {
    /// All places, in tiles of `WIDE` registers and at the end of fewer, for `COUNT` filters; `begun`: sums are added to.
    #[inline(always)]
    fn tiles<S: Simd, const COUNT: usize, const WIDE: usize, const MIDDLE: usize, const NARROW: usize>(
        &mut self,
        simd: S,
        begun: bool,
    ) {
        let mut place = self.span.start;
        while place < self.span.end {
            let left = self.span.end - place;
            // Whether a tile has no register without a place.
            let fills = |width: usize| left > (width - 1) * S::F32_LANES;
            let width = if fills(WIDE + 1) && left <= (WIDE + NARROW) * S::F32_LANES {
                // Two of middling width are made sooner than a wide one and a narrow one.
                self.tile::<S, COUNT, MIDDLE, true>(simd, place, begun);
                MIDDLE
            } else if left >= WIDE * S::F32_LANES {
                self.tile::<S, COUNT, WIDE, true>(simd, place, begun);
                WIDE
            } else if fills(WIDE) {
                self.tile::<S, COUNT, WIDE, false>(simd, place, begun);
                WIDE
            } else if fills(MIDDLE) {
                self.tile::<S, COUNT, MIDDLE, false>(simd, place, begun);
                MIDDLE
            } else {
                self.tile::<S, COUNT, NARROW, false>(simd, place, begun);
                NARROW
            };
            place += left.min(width * S::F32_LANES);
        }
    }

    /// The sums at the places from `place` on; those behind the span are not looked at unless all are inside.
    #[inline(always)]
    fn tile<S: Simd, const COUNT: usize, const WIDE: usize, const INSIDE: bool>(
        &mut self,
        simd: S,
        place: usize,
        begun: bool,
    ) {
        let lanes = S::F32_LANES;
        let left = |i: usize| (self.span.end - place).saturating_sub(i * lanes).min(lanes);
        // Masks of their own, since a library's shorter loads and stores jump.
        let masks: [MemMask<S::m32s>; WIDE] =
            std::array::from_fn(|i| MemMask::new(simd.mask_between_m32s(0, left(i) as u32).mask()));
        let mut sums: [[S::f32s; WIDE]; COUNT] = std::array::from_fn(|f| [simd.splat_f32s(self.begin[f]); WIDE]);
        if begun {
            for (f, sums) in sums.iter_mut().enumerate() {
                let held = &self.sums[f * self.distance + place - self.span.start..];
                for i in 0..WIDE {
                    sums[i] = if INSIDE {
                        S::as_simd_f32s(&held[i * lanes..][..lanes]).0[0]
                    } else {
                        let held = &held[(i * lanes).min(held.len())..];
                        assert!(left(i) <= held.len());
                        // SAFETY: the mask has as many elements as are left of the span, which `held` holds.
                        unsafe { simd.mask_load_ptr_f32s(masks[i], held.as_ptr()) }
                    };
                }
            }
        }
        // SAFETY: `with_simd` asserts that a term's input lies inside `x` for all places of the span, and its weight inside `weight` for
        // all filters; a mask leaves out what is behind the span.
        unsafe {
            let x = self.x.as_ptr().add(place);
            let weight = self.weight.as_ptr();
            for &(input, at) in self.terms {
                let (x, weight) = (x.add(input as usize), weight.add(at as usize));
                let seen: [S::f32s; WIDE] = std::array::from_fn(|i| {
                    let x = x.wrapping_add(i * lanes);
                    if INSIDE { x.cast::<S::f32s>().read_unaligned() } else { simd.mask_load_ptr_f32s(masks[i], x) }
                });
                for (f, sums) in sums.iter_mut().enumerate() {
                    let w = simd.splat_f32s(*weight.add(f * self.apart));
                    for i in 0..WIDE {
                        sums[i] = simd.mul_add_e_f32s(w, seen[i], sums[i]);
                    }
                }
            }
        }
        for (f, sums) in sums.iter().enumerate() {
            let out = &mut self.sums[f * self.distance + place - self.span.start..];
            for i in 0..WIDE {
                if INSIDE {
                    S::as_mut_simd_f32s(&mut out[i * lanes..][..lanes]).0[0] = sums[i];
                } else {
                    let begin = (i * lanes).min(out.len());
                    let out = &mut out[begin..];
                    assert!(left(i) <= out.len());
                    // SAFETY: the mask has as many elements as are left of the span, which `out` holds.
                    unsafe { simd.mask_store_ptr_f32s(masks[i], out.as_mut_ptr(), sums[i]) };
                }
            }
        }
    }
}
/// Elements of the planes and cotangents that are read again and again: they stay in the second cache.
const RESIDENT: usize = 1 << 16;
/// Elements behind the last place that registers may see: as many as the widest register has.
const SLACK: usize = 16;

/// A weight's gradient from some rows.
pub(super) struct WeightGradient<'a> {
    pub planes: &'a Planes,
    pub channels: usize,
    pub filters: usize,
}

impl WeightGradient<'_> {
    /// Places of all outputs.
    fn span(&self) -> usize {
        let part = &self.planes.parts[0];
        self.planes.span(part, &(0..part.lines())).end
    }

    /// From one filter's cotangents to the next one's.
    fn distance(&self) -> usize {
        self.span().next_multiple_of(SLACK)
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
        self.rows() * self.row() + SLACK
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
        let (x_row, dy_row) = (self.channels * planes.len, self.filters * distance);
        let (x_room, dy_room) = room.split_at_mut(most * x_row + SLACK);
        let outputs = planes.made(&(0..planes.parts[0].lines())).len();
        let mut held = 0;
        let mut rows = rows.peekable();
        while let Some((dy, x)) = rows.next() {
            let channels = x_room[held * x_row..][..x_row].chunks_exact_mut(planes.len);
            x.chunks_exact(planes.inputs()).zip(channels).for_each(|(x, channel)| planes.pad(x, channel));
            let places = dy_room[held * dy_row..][..dy_row].chunks_exact_mut(distance);
            dy.chunks_exact(outputs).zip(places).for_each(|(dy, places)| planes.scatter(dy, places));
            held += 1;
            if held == most || rows.peek().is_none() {
                // Behind the last place registers see this, times zero.
                x_room[held * x_row..][..SLACK].fill(0.0);
                let (x, dy) = (&x_room[..held * x_row + SLACK], &dy_room[..held * dy_row]);
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
        // With what they see and the cotangents they must not need all registers.
        if S::REGISTER_COUNT >= 32 { self.add::<S, 4, 5>(simd) } else { self.add::<S, 3, 3>(simd) }
    }
}

impl Products<'_, '_> {
    /// With the gradients of `FILTERS` filters and `TAPS` taps made at once.
    #[inline(always)]
    fn add<S: Simd, const FILTERS: usize, const TAPS: usize>(self, simd: S) {
        let Products { of, x, dy, sum, bias } = self;
        let (distance, taps) = (of.distance(), of.planes.parts[0].taps.as_slice());
        let depth = of.channels * taps.len();
        for first in (0..of.filters).step_by(FILTERS) {
            let count = FILTERS.min(of.filters - first);
            for begin in (0..depth).step_by(TAPS) {
                let seen = TAPS.min(depth - begin);
                // Of those that are beyond the last one the last one's is made again and left out.
                let (mut columns, mut rows) = ([0; TAPS], [0; FILTERS]);
                for (i, column) in columns.iter_mut().enumerate() {
                    let i = begin + i.min(seen - 1);
                    *column = i / taps.len() * of.planes.len + taps[i % taps.len()].0;
                }
                for (f, row) in rows.iter_mut().enumerate() {
                    *row = (first + f.min(count - 1)) * distance;
                }
                let products = products::<S, FILTERS, TAPS>(simd, of, (dy, rows), (x, columns));
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
fn products<S: Simd, const FILTERS: usize, const TAPS: usize>(
    simd: S,
    of: &WeightGradient<'_>,
    (dy, rows): (&[f32], [usize; FILTERS]),
    (x, columns): (&[f32], [usize; TAPS]),
) -> [[S::f32s; TAPS]; FILTERS] {
    let mut sums = [[simd.splat_f32s(0.0); TAPS]; FILTERS];
    let registers = of.span().div_ceil(S::F32_LANES);
    let length = registers * S::F32_LANES;
    let (x_row, dy_row) = (of.channels * of.planes.len, of.filters * of.distance());
    for (row, dy) in dy.chunks_exact(dy_row).enumerate() {
        let x = &x[row * x_row..];
        let mut seen: [&[S::f32s]; TAPS] = [&[]; TAPS];
        for i in 0..TAPS {
            seen[i] = &S::as_simd_f32s(&x[columns[i]..][..length]).0[..registers];
        }
        let mut cotangents: [&[S::f32s]; FILTERS] = [&[]; FILTERS];
        for f in 0..FILTERS {
            cotangents[f] = &S::as_simd_f32s(&dy[rows[f]..][..length]).0[..registers];
        }
        for place in 0..registers {
            for f in 0..FILTERS {
                let dy = cotangents[f][place];
                for i in 0..TAPS {
                    sums[f][i] = simd.mul_add_e_f32s(dy, seen[i][place], sums[f][i]);
                }
            }
        }
    }
    sums
}
