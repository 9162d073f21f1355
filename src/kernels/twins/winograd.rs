//! Convolutions by windows of 3 × 3 with less than half the products, in `f32` (Winograd 1980; Lavin & Gray 2016, F(2 × 2, 3 × 3)).
//!
//! A *tile* of 2 × 2 outputs sees 4 × 4 inputs d through nine weights g: `Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A`, 16 products for 36. Summed over the
//! channels, each of the 16 elements is a matrix product of its own: filters by channels by tiles. The transforms are sums of few terms
//! with weights of 1 and ½, so that the result is about as exact as the sum of products itself.
//!
//! A channel is kept as two planes, of even and odd lines, and tiles are numbered along a line and its end, so that neighbouring tiles are
//! neighbours in registers; which of a register's tiles lies where is left to the processor's shuffles, and undone in the end.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::plane_products::{FILTERS, Sums, Term, panels};
use crate::host::{Disjoint, Team, for_tasks_in, vectorised, widest};
use crate::kernels::{Convolve, Form, Window};

/// Elements of a transformed tile.
const ELEMENTS: usize = 16;
/// Elements of the widest register.
const REGISTER: usize = 16;
/// Registers of tiles whose sums for a panel are made together, at most.
const SOME: usize = 3;
/// Sums of a panel for all elements of so many tiles: they stay in the first cache.
const SUMS: usize = ELEMENTS * FILTERS * SOME * REGISTER;
/// Transformed inputs that a task works on: they stay in the second cache.
const RESIDENT: usize = 1 << 17;
/// Tiles of a task at least, for each transformed weight is read once for them.
const LEAST: usize = 192;
/// Pictures for each thread that need no sharing.
const BUSY: usize = 4;
/// What takes as long as so many products: a tile's transform of a channel or a filter, and a weight's.
const TILE: usize = 200;
const WEIGHT: usize = 1200;

/// A convolution whose windows are made tile by tile.
pub(super) struct Tiles {
    pub from: usize,
    pub to: usize,
    groups: usize,
    /// Lines and columns of what is summed over and of what is made.
    input: [usize; 2],
    output: [usize; 2],
    /// Zeros before the first line and column.
    before: [usize; 2],
    /// Pictures of a channel: sizes of the axis that windows have no width along.
    slices: usize,
    /// From the products' transpose: taps in reverse order.
    transposed: bool,
    /// Tiles below one another, and places of a line of tiles: as many as it has, and one.
    lines: usize,
    pitch: usize,
    /// Lines of tiles that a task makes, and their places in whole registers.
    some: usize,
    places: usize,
    /// The places that are summed together, and for one to three registers of them where a channel lies in what is summed.
    blocks: Vec<Range<usize>>,
    terms: [Vec<Term>; SOME],
    panels: Vec<Range<usize>>,
}

impl Tiles {
    /// `Nt` or `Nn`; `None` where windows are others, or sums over their taps are as quick. That is decided for a whole batch, so that what
    /// a row gives doesn't depend on how many others are in its own.
    pub fn of(of: &Convolve, team: Option<&Team>) -> Option<Tiles> {
        let Window { input, output, kernel, stride, dilation, before } = of.window;
        let flat = before[0] == 0 && input[0] == output[0];
        if of.product.form == Form::Tn
            || !flat
            || kernel != [1, 3, 3]
            || stride != [1; 3]
            || dilation[1..] != [1; 2]
            || before.iter().any(|&b| b > 2)
        {
            return None;
        }
        let plane = |sizes: [usize; 3]| [sizes[1], sizes[2]];
        let (filters, channels, rows) = (of.filters(), of.channels(), of.product.out.rows);
        let transposed = of.product.form == Form::Nn;
        let (from, to, input, output, before) = if transposed {
            (filters, channels, plane(output), plane(input), [2 - before[1], 2 - before[2]])
        } else {
            (channels, filters, plane(input), plane(output), [before[1], before[2]])
        };
        let (slices, lines, pitch) = (of.window.input[0], output[0].div_ceil(2), output[1].div_ceil(2) + 1);
        let by_tiles = slices * lines * pitch * (ELEMENTS * from * to + TILE * (from + to));
        let by_taps = slices * output[0] * (output[1] + 1) * from * to * 9;
        if rows * by_tiles + WEIGHT * from * to > rows * by_taps {
            return None;
        }
        // As many lines as stay in the cache, but no fewer than pay for the weights, and for every thread some.
        let most = (RESIDENT / (ELEMENTS * from)).max(LEAST).div_ceil(pitch).min(lines);
        let (pictures, threads) = (rows * of.groups * slices, team.map_or(1, Team::threads));
        let pieces = lines.div_ceil(most);
        let pieces = if pictures < threads * BUSY { pieces.next_multiple_of(threads) } else { pieces };
        let some = lines.div_ceil(pieces);
        let places = (some * pitch).next_multiple_of(REGISTER);
        let registers = places / REGISTER;
        let count = registers.div_ceil(SOME);
        let blocks = (0..count).map(|i| i * registers / count * REGISTER..(i + 1) * registers / count * REGISTER);
        let word = |at: usize| u32::try_from(at).ok();
        let terms = |width: usize| (0..from).map(|c| Some((word(c * width)?, word(c)?))).collect::<Option<_>>();
        let terms = [terms(REGISTER)?, terms(2 * REGISTER)?, terms(3 * REGISTER)?];
        let (groups, blocks, panels) = (of.groups, blocks.collect(), panels(to));
        Some(Tiles {
            from,
            to,
            groups,
            input,
            output,
            before,
            slices,
            transposed,
            lines,
            pitch,
            some,
            places,
            blocks,
            terms,
            panels,
        })
    }

    /// Tasks of a row and a group.
    pub fn tasks(&self) -> usize {
        self.slices * self.lines.div_ceil(self.some)
    }

    /// What a task of a row and a group makes of each filter's outputs.
    pub fn made(&self, task: usize) -> Range<usize> {
        let ([height, width], (slice, lines)) = (self.output, self.part(task));
        let at = |line: usize| (slice * height + (2 * line).min(height)) * width;
        at(lines.start)..at(lines.end)
    }

    /// The slice and the lines of tiles of a task.
    fn part(&self, task: usize) -> (usize, Range<usize>) {
        let pieces = self.lines.div_ceil(self.some);
        let first = task % pieces * self.some;
        (task / pieces, first..self.lines.min(first + self.some))
    }

    /// Outputs of a filter.
    pub fn outputs(&self) -> usize {
        self.slices * self.output[0] * self.output[1]
    }

    /// Inputs of a channel.
    pub fn inputs(&self) -> usize {
        self.slices * self.input[0] * self.input[1]
    }

    /// Products of an output.
    pub fn depth(&self) -> usize {
        // A tile has four outputs.
        self.from * ELEMENTS / 4
    }

    /// Elements of one of a channel's two planes, and what registers see behind them.
    fn plane(&self) -> usize {
        2 * (self.places + self.pitch + REGISTER)
    }

    /// From one element of all transformed inputs to the next: not by a power of two, since caches keep few lines so far apart.
    fn element(&self) -> usize {
        self.from * self.places + REGISTER
    }

    /// Elements that [`Tiles::run`] takes.
    pub fn room(&self) -> usize {
        2 * self.plane() + ELEMENTS * self.element() + SUMS + FILTERS * 4 * self.places
    }

    /// Elements that [`Tiles::weights`] makes.
    pub fn transformed(&self) -> usize {
        ELEMENTS * self.groups * self.to * self.from
    }

    /// `G g Gᵀ` of a weight whose filters lie `ld` apart: `[element, group, to, from]`.
    pub fn weights(&self, weight: &[f32], ld: usize, out: &mut [f32], team: Option<&Team>) {
        let (from, to, all) = (self.from, self.to, self.groups * self.to);
        let out = Disjoint::new(out);
        for_tasks_in::<f32>(team, ELEMENTS * all * from, all, (&mut [], 0), |made, _| {
            let (group, to) = (made / to, made % to);
            // From one weight to the next, and the first.
            let (first, next) = if self.transposed { (group * self.from * ld + to * 9, ld) } else { (made * ld, 9) };
            vectorised(|| {
                for begin in (0..from).step_by(REGISTER) {
                    let count = REGISTER.min(from - begin);
                    let mut g = [[0.0f32; REGISTER]; 9];
                    for i in 0..count {
                        let taps = &weight[first + (begin + i) * next..][..9];
                        (0..9).for_each(|k| g[k][i] = taps[if self.transposed { 8 - k } else { k }]);
                    }
                    for (element, u) in transformed(&g).iter().enumerate() {
                        // SAFETY: a task has rows of its own.
                        let row = unsafe { out.part((element * all + made) * from + begin, count) };
                        row.copy_from_slice(&u[..count]);
                    }
                }
            });
        });
    }

    /// A task's sums: calls `done(filter, make)` for every filter of a group, where `make(out)` writes its outputs. `x`: the row's
    /// inputs of the group; `weights`: transformed.
    pub fn run(
        &self,
        (x, group, task): (&[f32], usize, usize),
        (weights, bias): (&[f32], Option<&[f32]>),
        room: &mut [f32],
        done: impl Fn(usize, &dyn Fn(&mut [f32])),
    ) {
        let (planes, room) = room.split_at_mut(2 * self.plane());
        let (inputs, room) = room.split_at_mut(ELEMENTS * self.element());
        let (sums, room) = room.split_at_mut(SUMS);
        let tiles = &mut room[..FILTERS * 4 * self.places];
        let (slice, lines) = self.part(task);
        widest(Inputs { of: self, x, slice, lines: lines.clone(), planes, out: inputs });
        let width = self.output[1];
        for panel in &self.panels {
            widest(Panel { of: self, inputs, weights, bias, group, panel, sums: &mut *sums, tiles: &mut *tiles });
            for (filter, tiles) in panel.clone().zip(tiles.chunks_exact(4 * self.places)) {
                done(filter, &|out| {
                    for (i, out) in out.chunks_exact_mut(width).enumerate() {
                        out.copy_from_slice(&tiles[2 * (i % 2 * self.places + i / 2 * self.pitch)..][..width]);
                    }
                });
            }
        }
    }
}

/// `G g Gᵀ` of many at once.
#[inline(always)]
fn transformed(g: &[[f32; REGISTER]; 9]) -> [[f32; REGISTER]; ELEMENTS] {
    let mut down = [[0.0; REGISTER]; 12];
    let mut out = [[0.0; REGISTER]; ELEMENTS];
    for column in 0..3 {
        let made = combined([&g[column], &g[3 + column], &g[6 + column]]);
        (0..4).for_each(|row| down[row * 3 + column] = made[row]);
    }
    for row in 0..4 {
        let made = combined([&down[row * 3], &down[row * 3 + 1], &down[row * 3 + 2]]);
        out[row * 4..][..4].copy_from_slice(&made);
    }
    out
}

/// G's products with three weights.
#[inline(always)]
fn combined([a, b, c]: [&[f32; REGISTER]; 3]) -> [[f32; REGISTER]; 4] {
    let (mut plus, mut minus) = ([0.0; REGISTER], [0.0; REGISTER]);
    for i in 0..REGISTER {
        plus[i] = 0.5 * (a[i] + b[i] + c[i]);
        minus[i] = 0.5 * (a[i] - b[i] + c[i]);
    }
    [*a, plus, minus, *c]
}

/// `Bᵀ d B` of all tiles of some lines: `[element, block, channel, places of the block]`.
struct Inputs<'a> {
    of: &'a Tiles,
    x: &'a [f32],
    slice: usize,
    lines: Range<usize>,
    planes: &'a mut [f32],
    out: &'a mut [f32],
}

impl Inputs<'_> {
    /// A channel's two planes, with zeros around it.
    #[inline(always)]
    fn split(&mut self, channel: usize) {
        let Inputs { of, x, slice, lines, planes, .. } = self;
        let ([height, width], [above, left], pitch) = (of.input, of.before, 2 * of.pitch);
        let x = &x[channel * of.inputs() + *slice * height * width..][..height * width];
        let held = width.min(pitch - left);
        for r in 0..2 * (lines.len() + 1) {
            let line = &mut planes[r % 2 * of.plane() + r / 2 * pitch..][..pitch];
            match (2 * lines.start + r).checked_sub(above).filter(|&at| at < height) {
                Some(at) => {
                    line[..left].fill(0.0);
                    line[left..left + held].copy_from_slice(&x[at * width..][..held]);
                    line[left + held..].fill(0.0);
                }
                None => line.fill(0.0),
            }
        }
    }
}

impl WithSimd for Inputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (of, lanes) = (self.of, S::F32_LANES);
        for channel in 0..of.from {
            self.split(channel);
            let mut lines = [&self.planes[..]; 4];
            for (i, line) in lines.iter_mut().enumerate() {
                *line = &self.planes[i % 2 * of.plane() + i / 2 * 2 * of.pitch..];
            }
            for block in &of.blocks {
                let out = &mut self.out[block.start * of.from + channel * block.len()..];
                for place in block.clone().step_by(lanes) {
                    let mut down = [[simd.splat_f32s(0.0); 4]; 4];
                    // Columns 0 and 1 of all tiles, then 2 and 3. Loops, since a compiler leaves closures without vectors.
                    for column in [0, 2] {
                        let mut seen = [[simd.splat_f32s(0.0); 4]; 2];
                        for (i, line) in lines.iter().enumerate() {
                            let line = &line[2 * place + column..][..2 * lanes];
                            let (left, right) = line.split_at(lanes);
                            let two = [S::as_simd_f32s(left).0[0], S::as_simd_f32s(right).0[0]];
                            [seen[0][i], seen[1][i]] = simd.deinterleave_shfl_f32s(two);
                        }
                        for (j, seen) in seen.into_iter().enumerate() {
                            let made = differences(simd, seen);
                            for (row, made) in down.iter_mut().zip(made) {
                                row[column + j] = made;
                            }
                        }
                    }
                    for (i, row) in down.into_iter().enumerate() {
                        for (j, made) in differences(simd, row).into_iter().enumerate() {
                            let at = (i * 4 + j) * of.element() + place - block.start;
                            S::as_mut_simd_f32s(&mut out[at..][..lanes]).0[0] = made;
                        }
                    }
                }
            }
        }
    }
}

/// Bᵀ's products with four inputs.
#[inline(always)]
fn differences<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
    [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
}

/// Aᵀ's products with four sums.
#[inline(always)]
fn outputs<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
    [simd.add_f32s(simd.add_f32s(a, b), c), simd.sub_f32s(simd.sub_f32s(b, c), d)]
}

/// What a panel's filters make of all places: `[filter, line of a tile, places' two columns]`.
struct Panel<'a> {
    of: &'a Tiles,
    inputs: &'a [f32],
    weights: &'a [f32],
    bias: Option<&'a [f32]>,
    group: usize,
    panel: &'a Range<usize>,
    sums: &'a mut [f32],
    tiles: &'a mut [f32],
}

impl WithSimd for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Panel { of, inputs, weights, bias, group, panel, sums, tiles } = self;
        let (lanes, first) = (S::F32_LANES, group * of.to + panel.start);
        for block in &of.blocks {
            let width = block.len();
            let terms = &of.terms[width / REGISTER - 1];
            let farthest = terms[of.from - 1];
            for element in 0..ELEMENTS {
                Sums {
                    terms,
                    farthest,
                    x: &inputs[element * of.element() + block.start * of.from..][..of.from * width],
                    weight: &weights[(element * of.groups * of.to + first) * of.from..],
                    apart: of.from,
                    begin: [0.0; FILTERS],
                    filters: panel.len(),
                    span: 0..width,
                    sums: &mut sums[element * FILTERS * width..][..FILTERS * width],
                    distance: width,
                }
                .with_simd(simd);
            }
            for (filter, tiles) in tiles.chunks_exact_mut(4 * of.places).enumerate().take(panel.len()) {
                let bias = simd.splat_f32s(bias.map_or(0.0, |bias| bias[first + filter]));
                for place in (0..width).step_by(lanes) {
                    let [mut upper, mut lower] = [[simd.splat_f32s(0.0); 4]; 2];
                    for (j, (upper, lower)) in upper.iter_mut().zip(&mut lower).enumerate() {
                        let mut column = [simd.splat_f32s(0.0); 4];
                        for (i, sum) in column.iter_mut().enumerate() {
                            let at = ((i * 4 + j) * FILTERS + filter) * width + place;
                            *sum = S::as_simd_f32s(&sums[at..][..lanes]).0[0];
                        }
                        [*upper, *lower] = outputs(simd, column);
                    }
                    for (i, row) in [upper, lower].into_iter().enumerate() {
                        let [even, odd] = outputs(simd, row);
                        let two = simd.interleave_shfl_f32s([simd.add_f32s(even, bias), simd.add_f32s(odd, bias)]);
                        let out = &mut tiles[2 * (i * of.places + block.start + place)..][..2 * lanes];
                        let (left, right) = out.split_at_mut(lanes);
                        S::as_mut_simd_f32s(left).0[0] = two[0];
                        S::as_mut_simd_f32s(right).0[0] = two[1];
                    }
                }
            }
        }
    }
}
