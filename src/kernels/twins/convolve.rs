//! Twins of convolutions: what windows see is written out as a matrix, a block of output elements at a time, and multiplied.

use std::ops::Range;

use super::Context;
use super::activation::{activate_rows, multiply_slope};
use super::plane_products::{PlaneSums, WeightGradient};
use super::planes::Planes;
use super::winograd::Tiles;
use crate::host::{Disjoint, Operand, Real, Team, add_product, for_tasks, for_tasks_in, product, vectorised};
use crate::kernels::window::Run;
use crate::kernels::{Convolve, Form, Gemm, Slope, Window};
use crate::program::View;

/// Elements of work that a multiply-add counts for when deciding about threads.
const FLOPS_PER_ELEMENT: usize = 32;
/// Elements of a matrix that is written out: half a megabyte stays in the second cache.
const WRITTEN_OUT: usize = 1 << 17;
/// Rows of such a matrix that one task of the transposed product makes.
const TRANSPOSED_ROWS: usize = 256;
/// Rows and groups, for each thread, below which the filters of one are shared among threads.
const FEW_TASKS: usize = 4;
/// Parts of a batch whose weight gradients are summed apart, whatever the number of threads.
const GRADIENT_PARTS: usize = 8;

impl Convolve {
    /// Whether the CPU engine makes it tile by tile, in single precision: with less than half the products of its definition.
    pub fn is_tiled(&self) -> bool {
        Tiles::of(self, None).is_some()
    }

    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        // In single precision nothing is written out.
        let single = T::as_f32(&[]).is_some();
        if let Some(tiles) = single.then(|| Tiles::of(self, cx.team)).flatten() {
            return self.over_tiles(cx, &tiles);
        }
        let planes = match self.product.form {
            _ if !single => None,
            Form::Tn if self.window.is_pointwise() => None,
            Form::Nt | Form::Tn => Some(Planes::of(&self.window)),
            Form::Nn => Some(Planes::of_transposed(&self.window)),
        };
        match (self.product.form, planes) {
            (Form::Nt | Form::Nn, Some(planes)) if PlaneSums::fits(self, &planes) => self.over_planes(cx, &planes),
            (Form::Nt, _) => self.forward(cx),
            (Form::Nn, _) => self.transposed(cx),
            (Form::Tn, planes) => self.weight_gradient(cx, planes.as_ref()),
        }
    }

    /// Output elements that are written out at a time, of `depth` rows each.
    fn block(&self, depth: usize) -> usize {
        let outputs = self.window.outputs();
        (WRITTEN_OUT / depth.max(1) / 16 * 16).clamp(64, 2048).min(outputs.max(1))
    }

    /// W with the view's distance of rows: built from ψ and the eigenvalues in `scratch` where it is spectral.
    fn build_weight<'a, T: Real>(&self, cx: &'a Context<'_, T>, scratch: &'a mut Vec<T>) -> &'a [T] {
        let view = self.product.b;
        let Some(eigenvalues) = self.product.eigenvalues else { return cx.view(view) };
        let psi = cx.view(view);
        let (lambda_in, lambda_out) = (cx.view(eigenvalues.lambda_in), cx.view(eigenvalues.lambda_out));
        let (channels, filters, taps) = (self.channels(), self.filters(), self.window.taps());
        scratch.clear();
        scratch.resize(view.rows * view.ld, T::ZERO);
        for (o, (w, psi)) in scratch.chunks_exact_mut(view.ld).zip(psi.chunks_exact(view.ld)).enumerate() {
            let lambda_in = &lambda_in[o / filters * channels..][..channels];
            let slices = w[..view.cols].chunks_exact_mut(taps).zip(psi.chunks_exact(taps));
            for ((w, psi), &lambda) in slices.zip(lambda_in) {
                let lambda = lambda - lambda_out[o];
                w.iter_mut().zip(psi).for_each(|(w, &psi)| *w = lambda * psi);
            }
        }
        scratch
    }

    /// Calls `body` with what the product writes, and the scratch.
    fn making<T: Real>(&self, cx: &mut Context<'_, T>, body: impl FnOnce(&Context<'_, T>, &Made<'_, T>, &mut Vec<T>)) {
        let p = &self.product;
        let mut scratch = std::mem::take(cx.scratch);
        let mut out = cx.take(p.out.buffer);
        let mut pre = p.pre.map(|pre| cx.take(pre.buffer));
        body(cx, &Made::new(p, &mut out, pre.as_mut(), cx), &mut scratch);
        cx.put(p.out.buffer, out);
        if let Some((view, values)) = p.pre.zip(pre) {
            cx.put(view.buffer, values);
        }
        *cx.scratch = scratch;
    }

    /// `Nt`, or `Nn`, which is the same with filters and channels in each other's place.
    fn over_planes<T: Real>(&self, cx: &mut Context<'_, T>, planes: &Planes) {
        let p = &self.product;
        let rows = cx.rows(p.seeds);
        self.making(cx, |cx, made_of, scratch| {
            let mut built = Vec::new();
            let bias = p.bias.map(|bias| single(cx.view(bias)));
            let sums = PlaneSums::new(self, planes, single(self.build_weight(cx, &mut built)), bias, cx.team);
            let (from, made, groups) = (sums.from, sums.made, self.groups);
            let x = |row: usize, group: usize| {
                let inputs = from * planes.inputs();
                &single(cx.view(p.a))[row * p.a.ld + group * inputs..][..inputs]
            };
            // Some lines of some filters of a row and a group.
            let make = |x: &[f32], (row, group): (usize, usize), (block, panel): (usize, usize), room: &mut [f32]| {
                let lines = sums.block(block);
                let range = planes.made(&lines);
                let at = |filter: usize| (group * sums.to + filter) * made + range.start;
                // SAFETY: only this task writes these lines of these filters.
                let z = |filter| unsafe { made_of.part(row, at(filter), range.len()) };
                sums.run(x, group, (&lines, panel), room, |filter, part, lines, places| {
                    planes.gather(part, lines, places, single_mut(z(filter)));
                });
                for filter in sums.panels[panel].clone() {
                    unsafe { made_of.finish(row, at(filter), range.len()) };
                }
            };
            let work = rows * p.out.cols * (sums.depth() / FLOPS_PER_ELEMENT + 1);
            let (padded, threads) = (sums.padded(), cx.team.map_or(1, Team::threads));
            let pieces = sums.blocks() * sums.panels.len();
            let piece = |i: usize| (i / sums.panels.len(), i % sums.panels.len());
            if (rows * groups).is_multiple_of(threads) || rows * groups >= FEW_TASKS * threads {
                // Every task makes the planes of a row and a group.
                let room = (scratch, padded + sums.room());
                for_tasks(cx.team, work, rows * groups, room, |task, room| {
                    let (planes, room) = single_mut(room).split_at_mut(padded);
                    let x = x(task / groups, task % groups);
                    let x = sums.pad(x, 0..from, planes);
                    (0..pieces).for_each(|i| make(x, (task / groups, task % groups), piece(i), room));
                });
            } else {
                // All of them make the planes, and then what they see.
                scratch.resize(scratch.len().max(padded + threads * sums.room()), T::ZERO);
                let (planes, rooms) = scratch.split_at_mut(padded);
                for (row, group) in (0..rows).flat_map(|row| (0..groups).map(move |group| (row, group))) {
                    let x = x(row, group);
                    let parts = Disjoint::new(single_mut(planes));
                    for_tasks_in(cx.team, padded, if padded > 0 { from } else { 0 }, (&mut *rooms, 0), |channel, _| {
                        let len = padded / from;
                        // SAFETY: every task has a channel of its own.
                        sums.pad(x, channel..channel + 1, unsafe { parts.part(channel * len, len) });
                    });
                    let x = if padded > 0 { single(planes) } else { x };
                    for_tasks_in(cx.team, work / rows / groups, pieces, (&mut *rooms, sums.room()), |i, room| {
                        make(x, (row, group), piece(i), single_mut(room));
                    });
                }
            }
        });
    }

    /// The same, tile by tile.
    fn over_tiles<T: Real>(&self, cx: &mut Context<'_, T>, tiles: &Tiles) {
        let p = &self.product;
        let rows = cx.rows(p.seeds);
        self.making(cx, |cx, made_of, scratch| {
            let mut built = Vec::new();
            let threads = cx.team.map_or(1, Team::threads);
            let all = tiles.transformed() + threads * tiles.room();
            scratch.resize(scratch.len().max(all), T::ZERO);
            let (weights, rooms) = scratch.split_at_mut(tiles.transformed());
            tiles.weights(single(self.build_weight(cx, &mut built)), p.b.ld, single_mut(weights), cx.team);
            let weights = single(weights);
            let bias = p.bias.map(|bias| single(cx.view(bias)));
            let x = cx.view(p.a);
            let work = rows * p.out.cols * (tiles.depth() / FLOPS_PER_ELEMENT + 1);
            let tasks = rows * self.groups * tiles.tasks();
            for_tasks_in(cx.team, work, tasks, (rooms, tiles.room()), |task, room| {
                let (of_row, task) = (task / tiles.tasks(), task % tiles.tasks());
                let (row, group) = (of_row / self.groups, of_row % self.groups);
                let (inputs, range) = (tiles.from * tiles.inputs(), tiles.made(task));
                let x = &single(x)[row * p.a.ld + group * inputs..][..inputs];
                let at = |filter: usize| (group * tiles.to + filter) * tiles.outputs() + range.start;
                tiles.run((x, group, task), (weights, bias), single_mut(room), |filter, make| {
                    // SAFETY: only this task writes these lines of a filter.
                    make(single_mut(unsafe { made_of.part(row, at(filter), range.len()) }));
                    unsafe { made_of.finish(row, at(filter), range.len()) };
                });
            });
        });
    }

    /// `Nt` with what windows see written out.
    fn forward<T: Real>(&self, cx: &mut Context<'_, T>) {
        let p = &self.product;
        let (inputs, outputs, taps) = (self.window.inputs(), self.window.outputs(), self.window.taps());
        let (filters, channels, groups) = (self.filters(), self.channels(), self.groups);
        let depth = channels * taps;
        let (rows, block) = (cx.rows(p.seeds), self.block(depth));
        let blocks = outputs.div_ceil(block);
        self.making(cx, |cx, made_of, scratch| {
            let mut built = Vec::new();
            let weight = self.build_weight(cx, &mut built);
            let x = cx.view(p.a);
            let bias = p.bias.map(|bias| cx.view(bias));
            let work = rows * p.out.cols * (depth / FLOPS_PER_ELEMENT + 1);
            let room = block * (depth + filters);
            for_tasks(cx.team, work, rows * groups * blocks, (scratch, room), |task, room| {
                let (row, group, first) = (task / blocks / groups, task / blocks % groups, task % blocks * block);
                let count = block.min(outputs - first);
                let x = &x[row * p.a.ld + group * channels * inputs..][..channels * inputs];
                let (seen, z) = room.split_at_mut(block * depth);
                let seen = if self.window.is_pointwise() {
                    Operand { values: &x[first..], row: inputs, column: 1 }
                } else {
                    write_out(&self.window, x, 0..channels, &self.window.runs(first, count), count, seen);
                    Operand { values: seen, row: count, column: 1 }
                };
                let w = &weight[group * filters * p.b.ld..];
                multiply(z, count, (filters, count, depth), Operand { values: w, row: p.b.ld, column: 1 }, seen);
                for (o, z) in z.chunks_exact_mut(count).take(filters).enumerate() {
                    let filter = group * filters + o;
                    if let Some(bias) = bias {
                        let bias = bias[filter];
                        vectorised(|| z.iter_mut().for_each(|z| *z += bias));
                    }
                    let at = filter * outputs + first;
                    // SAFETY: a task writes its own block of its own rows' filters.
                    unsafe { made_of.part(row, at, count) }.copy_from_slice(z);
                    unsafe { made_of.finish(row, at, count) };
                }
            });
        });
    }

    /// `Nn` with what windows see written out.
    fn transposed<T: Real>(&self, cx: &mut Context<'_, T>) {
        let p = &self.product;
        let (inputs, outputs, taps) = (self.window.inputs(), self.window.outputs(), self.window.taps());
        let (filters, channels, groups) = (self.filters(), self.channels(), self.groups);
        // Channels of one task.
        let parts = (channels * taps).div_ceil(TRANSPOSED_ROWS).clamp(2.min(channels), channels);
        let some = channels.div_ceil(parts);
        let parts = channels.div_ceil(some);
        let (rows, block) = (cx.rows(p.seeds), self.block(some * taps));
        self.making(cx, |cx, made_of, scratch| {
            let mut built = Vec::new();
            let weight = self.build_weight(cx, &mut built);
            let dy = cx.view(p.a);
            let work = rows * p.out.cols * (filters * taps / FLOPS_PER_ELEMENT + 1);
            for_tasks(cx.team, work, rows * groups * parts, (scratch, block * some * taps), |task, room| {
                let (row, group, begin) = (task / parts / groups, task / parts % groups, task % parts * some);
                let mine = begin..channels.min(begin + some);
                let at = (group * channels + begin) * inputs;
                // SAFETY: a task writes its own channels of its own row.
                let dx = unsafe { made_of.part(row, at, mine.len() * inputs) };
                let dy = &dy[row * p.a.ld + group * filters * outputs..][..filters * outputs];
                let w = &weight[group * filters * p.b.ld + begin * taps..];
                let w = Operand { values: w, row: 1, column: p.b.ld };
                let shape = |count| (mine.len() * taps, count, filters);
                if self.window.is_pointwise() {
                    product(dx, inputs, shape(inputs), w, Operand { values: dy, row: outputs, column: 1 });
                } else {
                    dx.fill(T::ZERO);
                    for first in (0..outputs).step_by(block) {
                        let count = block.min(outputs - first);
                        let cotangents = Operand { values: &dy[first..], row: outputs, column: 1 };
                        product(room, count, shape(count), w, cotangents);
                        add_back(&self.window, room, mine.len(), &self.window.runs(first, count), count, dx);
                    }
                }
                unsafe { made_of.finish(row, at, mine.len() * inputs) };
            });
        });
    }

    /// Samples in fixed parts, whose gradients are summed in order.
    fn weight_gradient<T: Real>(&self, cx: &mut Context<'_, T>, planes: Option<&Planes>) {
        let p = &self.product;
        assert_eq!(p.seeds, 1, "invariant: training has one seed a sample");
        let (inputs, outputs, taps) = (self.window.inputs(), self.window.outputs(), self.window.taps());
        let (filters, channels, groups) = (self.filters(), self.channels(), self.groups);
        let depth = channels * taps;
        // A filter's gradients, and that of its bias.
        let (rows, block, size) = (cx.rows(1), self.block(depth), filters * (depth + 1));
        let parts = GRADIENT_PARTS.min(rows);
        let mut scratch = std::mem::take(cx.scratch);
        let mut out = cx.take(p.out.buffer);
        let mut sums = vec![T::ZERO; parts * groups * size];
        let (dy, x) = (cx.view(p.a), cx.view(p.b));
        {
            let sums = Disjoint::new(&mut sums);
            let work = rows * outputs * groups * size / FLOPS_PER_ELEMENT;
            let by_planes = planes.map(|planes| WeightGradient { planes, channels, filters });
            let room = by_planes.as_ref().map_or(block * depth, WeightGradient::room);
            for_tasks(cx.team, work, parts * groups, (&mut scratch, room), |task, room| {
                let (part, group) = (task / groups, task % groups);
                // SAFETY: every task has a sum of its own.
                let (sum, bias) = unsafe { sums.part(task * size, size) }.split_at_mut(filters * depth);
                let rows = (part * rows / parts..(part + 1) * rows / parts).map(|row| {
                    let dy = &dy[row * p.a.ld + group * filters * outputs..][..filters * outputs];
                    (dy, &x[row * p.b.ld + group * channels * inputs..][..channels * inputs])
                });
                if let Some(by_planes) = &by_planes {
                    let rows = rows.map(|(dy, x)| (single(dy), single(x)));
                    return by_planes.add(rows, single_mut(room), single_mut(sum), single_mut(bias));
                }
                for (dy, x) in rows {
                    if self.window.is_pointwise() {
                        // What windows see is the channels themselves.
                        let lhs = Operand { values: dy, row: outputs, column: 1 };
                        let rhs = Operand { values: x, row: 1, column: outputs };
                        add_product(sum, depth, (filters, depth, outputs), lhs, rhs);
                    } else {
                        for first in (0..outputs).step_by(block) {
                            let count = block.min(outputs - first);
                            write_out(&self.window, x, 0..channels, &self.window.runs(first, count), count, room);
                            let lhs = Operand { values: &dy[first..], row: outputs, column: 1 };
                            let rhs = Operand { values: &room[..], row: 1, column: count };
                            add_product(sum, depth, (filters, depth, count), lhs, rhs);
                        }
                    }
                    let dy = dy.chunks_exact(outputs);
                    bias.iter_mut().zip(dy).for_each(|(bias, dy)| dy.iter().for_each(|&dy| *bias += dy));
                }
            });
        }
        let mut biases = vec![T::ZERO; groups * filters];
        for (o, all) in biases.iter_mut().enumerate() {
            let row = &mut out[p.out.offset + o * p.out.ld..][..depth];
            row.fill(T::ZERO);
            for part in sums.chunks_exact(groups * size) {
                let (part, o) = (&part[o / filters * size..][..size], o % filters);
                row.iter_mut().zip(&part[o * depth..]).for_each(|(d, &g)| *d += g);
                *all += part[filters * depth + o];
            }
        }
        cx.put(p.out.buffer, out);
        if let Some(view) = p.bias_gradient {
            let mut out = cx.take(view.buffer);
            out[view.offset..][..biases.len()].copy_from_slice(&biases);
            cx.put(view.buffer, out);
        }
        *cx.scratch = scratch;
    }
}

/// What a product writes, and what follows its sums.
struct Made<'a, T> {
    product: &'a Gemm,
    out: Disjoint<T>,
    pre: Option<(View, Disjoint<T>)>,
    slope: Option<(Slope, &'a [T])>,
}

impl<'a, T: Real> Made<'a, T> {
    fn new(product: &'a Gemm, out: &mut [T], pre: Option<&mut Vec<T>>, cx: &'a Context<'_, T>) -> Self {
        let pre = product.pre.zip(pre).map(|(view, values)| (view, Disjoint::new(values)));
        let slope = product.slope.map(|slope| (slope, cx.view(slope.saved)));
        Made { product, out: Disjoint::new(out), pre, slope }
    }

    /// Elements of a row.
    ///
    /// # Safety
    /// As of [`Disjoint::part`].
    #[allow(clippy::mut_from_ref, reason = "as of `Disjoint::part`")]
    unsafe fn part(&self, row: usize, at: usize, len: usize) -> &mut [T] {
        let view = self.product.out;
        // SAFETY: the caller's promise.
        unsafe { self.out.part(view.offset + row * view.ld + at, len) }
    }

    /// The activation, or the slope, of elements of a row.
    ///
    /// # Safety
    /// As of [`Disjoint::part`].
    unsafe fn finish(&self, row: usize, at: usize, len: usize) {
        // SAFETY: the caller's promise.
        let z = unsafe { self.part(row, at, len) };
        if let Some((view, values)) = &self.pre {
            unsafe { values.part(view.offset + row * view.ld + at, len) }.copy_from_slice(z);
        }
        activate_rows(self.product.activation, z, len, len);
        if let Some((slope, saved)) = self.slope {
            let saved = &saved[row / slope.seeds * slope.saved.ld + at..];
            multiply_slope(slope.rule, &saved[..len], z);
        }
    }
}

fn single<T: Real>(values: &[T]) -> &[f32] {
    T::as_f32(values).expect("invariant: planes are for single precision")
}

fn single_mut<T: Real>(values: &mut [T]) -> &mut [f32] {
    T::as_f32_mut(values).expect("invariant: planes are for single precision")
}

/// [`product`], also where a library's has more to prepare than to do: a depthwise convolution's few filters.
fn multiply<T: Real>(out: &mut [T], ld: usize, shape: (usize, usize, usize), lhs: Operand<T>, rhs: Operand<T>) {
    let (m, n, k) = shape;
    if m > 2 || rhs.column != 1 {
        return product(out, ld, shape, lhs, rhs);
    }
    vectorised(|| {
        for (r, out) in out.chunks_exact_mut(ld).take(m).enumerate() {
            out[..n].fill(T::ZERO);
            for i in 0..k {
                let w = lhs.values[r * lhs.row + i * lhs.column];
                let x = &rhs.values[i * rhs.row..][..n];
                out[..n].iter_mut().zip(x).for_each(|(y, &x)| *y += w * x);
            }
        }
    });
}

/// `out[(c, κ), o]`: what the block's elements see of these channels of `x: [channel, inputs]`, rows `count` apart.
fn write_out<T: Real>(window: &Window, x: &[T], channels: Range<usize>, runs: &[Run], count: usize, out: &mut [T]) {
    let (taps, inputs, stride) = (window.taps(), window.inputs(), window.stride[2]);
    for (n, row) in out.chunks_exact_mut(count).take(channels.len() * taps).enumerate() {
        let x = &x[(channels.start + n / taps) * inputs..][..inputs];
        let tap = Window::place(window.kernel, n % taps);
        for run in runs {
            let row = &mut row[run.at..][..run.len()];
            let Some((from, part)) = window.seen_by(run, tap) else {
                row.fill(T::ZERO);
                continue;
            };
            row[..part.start].fill(T::ZERO);
            row[part.end..].fill(T::ZERO);
            let row = &mut row[part];
            if stride == 1 {
                row.copy_from_slice(&x[from..][..row.len()]);
            } else {
                row.iter_mut().zip(x[from..].iter().step_by(stride)).for_each(|(out, &x)| *out = x);
            }
        }
    }
}

/// Adds `rows: [(c, κ), o]` of a block to the input elements that they see, `dx: [channel, inputs]`.
fn add_back<T: Real>(window: &Window, rows: &[T], channels: usize, runs: &[Run], count: usize, dx: &mut [T]) {
    let (taps, inputs, stride) = (window.taps(), window.inputs(), window.stride[2]);
    for (n, row) in rows.chunks_exact(count).take(channels * taps).enumerate() {
        let dx = &mut dx[n / taps * inputs..][..inputs];
        let tap = Window::place(window.kernel, n % taps);
        for run in runs {
            let Some((from, part)) = window.seen_by(run, tap) else { continue };
            let row = &row[run.at..][part];
            if stride == 1 {
                dx[from..][..row.len()].iter_mut().zip(row).for_each(|(d, &g)| *d += g);
            } else {
                dx[from..].iter_mut().step_by(stride).zip(row).for_each(|(d, &g)| *d += g);
            }
        }
    }
}
