//! Twins of max-pooling, and of a fixed sparse matrix.

use super::Context;
use crate::host::{Disjoint, Real, for_tasks, vectorised};
use crate::kernels::max_pool::Direction;
use crate::kernels::{MaxPool, Sparse, Window};

impl MaxPool {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        match self.direction {
            Direction::Forward => self.forward(cx),
            Direction::Push | Direction::Pull => self.products(cx),
        }
    }

    fn forward<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (inputs, outputs) = (self.window.inputs(), self.window.outputs());
        let (rows, channels) = (cx.rows(self.seeds), self.out.cols / outputs);
        let mut scratch = std::mem::take(cx.scratch);
        let (mut out, mut won) = (cx.take(self.out.buffer), cx.take(self.winner.buffer));
        {
            let x = cx.view(self.x);
            let (largest, winners) = (Disjoint::new(&mut out), Disjoint::new(&mut won));
            let work = rows * self.out.cols * self.window.taps();
            let lines = Lines::of(&self.window);
            for_tasks(cx.team, work, rows * channels, (&mut scratch, lines.room()), |task, room| {
                let (row, channel) = (task / channels, task % channels);
                let x = &x[row * self.x.ld + channel * inputs..][..inputs];
                let at = channel * outputs;
                // SAFETY: a task writes the part of its row and channel alone.
                let (largest, winners) = unsafe {
                    (
                        largest.part(self.out.offset + row * self.out.ld + at, outputs),
                        winners.part(self.winner.offset + row * self.winner.ld + at, outputs),
                    )
                };
                lines.largest_of(x, room, largest, winners);
            });
        }
        cx.put(self.out.buffer, out);
        cx.put(self.winner.buffer, won);
        *cx.scratch = scratch;
    }

    /// `Push` and `Pull`: what each output element saw is found once for all seeds of a sample.
    fn products<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (inputs, outputs) = (self.window.inputs(), self.window.outputs());
        let (samples, channels, seeds) = (cx.rows(1), self.winner.cols / outputs, self.seeds);
        let pull = self.direction == Direction::Pull;
        let (from, to) = if pull { (outputs, inputs) } else { (inputs, outputs) };
        let inside = Inside::of(&self.window);
        let mut scratch = std::mem::take(cx.scratch);
        let mut out = cx.take(self.out.buffer);
        {
            let (x, winner) = (cx.view(self.x), cx.view(self.winner));
            let parts = Disjoint::new(&mut out);
            let work = samples * seeds * self.out.cols;
            for_tasks(cx.team, work, samples * channels, (&mut scratch, 0), |task, _| {
                let (sample, channel) = (task / channels, task % channels);
                let winner = &winner[sample * self.winner.ld + channel * outputs..][..outputs];
                let tap = |o: usize| winner[o].to_f64() as usize;
                let seen: Vec<u32> = match &inside {
                    Some(inside) => (0..outputs).map(|o| inside.seen(o, tap(o))).collect(),
                    None => (0..outputs).map(|o| self.window.seen(o, tap(o)).map_or(u32::MAX, |i| i as u32)).collect(),
                };
                for row in sample * seeds..(sample + 1) * seeds {
                    let x = &x[row * self.x.ld + channel * from..][..from];
                    // SAFETY: a task writes the parts of its sample's rows and its channel alone.
                    let out = unsafe { parts.part(self.out.offset + row * self.out.ld + channel * to, to) };
                    if pull {
                        out.fill(T::ZERO);
                        let seeing = seen.iter().zip(x).filter(|(i, _)| **i != u32::MAX);
                        seeing.for_each(|(&i, &x)| out[i as usize] += x);
                    } else {
                        let value = |&i: &u32| if i == u32::MAX { T::ZERO } else { x[i as usize] };
                        out.iter_mut().zip(&seen).for_each(|(out, i)| *out = value(i));
                    }
                }
            });
        }
        cx.put(self.out.buffer, out);
        *cx.scratch = scratch;
    }
}

/// Where a window without padding finds its taps: at the same distances from where each output element's first one is.
struct Inside {
    first: Vec<u32>,
    offsets: Vec<u32>,
}

impl Inside {
    fn of(window: &Window) -> Option<Inside> {
        let fits = |axis: usize| {
            let last =
                (window.output[axis] - 1) * window.stride[axis] + (window.kernel[axis] - 1) * window.dilation[axis];
            window.before[axis] == 0 && last < window.input[axis]
        };
        let index = |o: usize, tap: usize| window.seen(o, tap).map(|i| i as u32);
        let all = (0..3).all(fits) && u32::try_from(window.inputs()).is_ok();
        all.then(|| {
            Some(Inside {
                first: (0..window.outputs()).map(|o| index(o, 0)).collect::<Option<_>>()?,
                offsets: (0..window.taps()).map(|tap| index(0, tap)).collect::<Option<_>>()?,
            })
        })?
    }

    fn seen(&self, o: usize, tap: usize) -> u32 {
        self.first[o] + self.offsets[tap]
    }
}

#[inline(always)]
fn is_nan<T: Real>(x: T) -> bool {
    x.partial_cmp(&x).is_none()
}

/// A window that finds its largest elements line by line: first, place by place, among the lines that a line of outputs sees, then among
/// the taps along a line. A line's places are kept by what is left of them when they are divided by the stride, so that neighbouring outputs
/// see neighbouring places.
struct Lines<'a> {
    window: &'a Window,
    /// Places of a line that are seen, padding included, of each remainder.
    places: usize,
}

impl Lines<'_> {
    fn of(window: &Window) -> Lines<'_> {
        let reach = (window.kernel[2] - 1) * window.dilation[2];
        Lines { window, places: (window.output[2] - 1) + reach / window.stride[2] + 1 }
    }

    /// Elements that [`Lines::largest_of`] takes: two lines as they lie, and two by remainders.
    fn room(&self) -> usize {
        4 * self.places * self.window.stride[2]
    }

    /// The largest element that every output element of a channel sees, and the first tap that sees it. A NaN is larger than all else.
    fn largest_of<T: Real>(&self, x: &[T], room: &mut [T], largest: &mut [T], winners: &mut [T]) {
        let Window { input, output, kernel, stride, dilation, before } = *self.window;
        let width = self.places * stride[2];
        let [(line, taps), (sorted, sorted_taps)] = {
            let (first, second) = room[..4 * width].split_at_mut(2 * width);
            [first.split_at_mut(width), second.split_at_mut(width)]
        };
        let (none, all) = (T::of(self.window.taps() as f64), kernel[0] * kernel[1]);
        // The part of a line that lies inside.
        let inside = before[2].min(width)..(before[2] + input[2]).min(width);
        let outputs = largest.chunks_exact_mut(output[2]).zip(winners.chunks_exact_mut(output[2]));
        for (o, (largest, winners)) in outputs.enumerate() {
            line.fill(T::of(f64::NEG_INFINITY));
            taps.fill(none);
            for tap in 0..all {
                let (i, j) = (tap / kernel[1], tap % kernel[1]);
                let seen = self.window.source(0, o / output[1], i).zip(self.window.source(1, o % output[1], j));
                let Some((i, j)) = seen else { continue };
                let x = &x[(i * input[1] + j) * input[2]..][..inside.len()];
                let (line, taps) = (&mut line[inside.clone()], &mut taps[inside.clone()]);
                larger(x, T::of((tap * kernel[2]) as f64), line, taps);
            }
            for (all, sorted) in [(&*line, &mut *sorted), (&*taps, &mut *sorted_taps)] {
                match stride[2] {
                    1 => sorted.copy_from_slice(all),
                    // A constant lets the compiler use vectors.
                    2 => sort::<T, 2>(all, sorted),
                    3 => sort::<T, 3>(all, sorted),
                    stride => all.iter().enumerate().for_each(|(i, &x)| sorted[i % stride * self.places + i / stride] = x),
                }
            }
            largest.fill(T::of(f64::NEG_INFINITY));
            winners.fill(none);
            for k in 0..kernel[2] {
                let shift = k * dilation[2];
                let from = shift % stride[2] * self.places + shift / stride[2];
                let (line, taps) = (&sorted[from..][..output[2]], &sorted_taps[from..][..output[2]]);
                first_of_larger(line, taps, T::of(k as f64), largest, winners);
            }
            // Where there is nothing but padding.
            vectorised(|| winners.iter_mut().for_each(|winner| *winner = if *winner < none { *winner } else { T::ZERO }));
        }
    }
}

/// Takes over what is larger, with its number.
fn larger<T: Real>(x: &[T], number: T, line: &mut [T], numbers: &mut [T]) {
    vectorised(|| {
        for ((&x, most), winner) in x.iter().zip(line).zip(numbers) {
            // Nothing is larger than −∞ that it isn't in the place of: the first one counts even so.
            let better = x > *most || (is_nan(x) && !is_nan(*most)) || (x == *most && number < *winner);
            *most = if better { x } else { *most };
            *winner = if better { number } else { *winner };
        }
    });
}

/// Takes over what is larger, or as large with a smaller number.
fn first_of_larger<T: Real>(line: &[T], numbers: &[T], add: T, largest: &mut [T], winners: &mut [T]) {
    vectorised(|| {
        for (((&x, &number), most), winner) in line.iter().zip(numbers).zip(largest).zip(winners) {
            let number = number + add;
            let same = x == *most || (is_nan(x) && is_nan(*most));
            let better = x > *most || (is_nan(x) && !is_nan(*most)) || (same && number < *winner);
            *most = if better { x } else { *most };
            *winner = if better { number } else { *winner };
        }
    });
}

/// Elements by their places' remainders: `[remainder][place]`.
fn sort<T: Real, const STRIDE: usize>(all: &[T], sorted: &mut [T]) {
    let places = all.len() / STRIDE;
    let (all, _) = all.as_chunks::<STRIDE>();
    vectorised(|| {
        for (remainder, sorted) in sorted.chunks_exact_mut(places).enumerate() {
            sorted.iter_mut().zip(all).for_each(|(sorted, all)| *sorted = all[remainder]);
        }
    });
}

/// Columns of a row that one thread makes.
const SPAN: usize = 4096;

impl Sparse {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, cols) = (cx.rows(self.seeds), self.out.cols);
        let mut scratch = std::mem::take(cx.scratch);
        let mut out = cx.take(self.out.buffer);
        {
            let (begin, column) = cx.words(self.index).split_at(cols + 1);
            let weights = self.weights.map(|weights| cx.floats(weights));
            // Rows may be no distance apart: then they are one row.
            let x = &cx.floats(self.x.buffer)[self.x.offset..];
            let spans = cols.div_ceil(SPAN);
            let parts = Disjoint::new(&mut out);
            let work = rows * (cols + begin[cols] as usize);
            for_tasks(cx.team, work, rows * spans, (&mut scratch, 0), |task, _| {
                let (row, first) = (task / spans, task % spans * SPAN);
                let x = &x[row * self.x.ld..][..self.x.cols];
                // SAFETY: a task writes its own span of its own row.
                let out = unsafe { parts.part(self.out.offset + row * self.out.ld + first, SPAN.min(cols - first)) };
                for (j, out) in (first..).zip(out) {
                    let terms = begin[j] as usize..begin[j + 1] as usize;
                    *out = match weights {
                        Some(weights) => terms.fold(T::ZERO, |sum, t| sum + weights[t] * x[column[t] as usize]),
                        None => terms.fold(T::ZERO, |sum, t| sum + x[column[t] as usize]),
                    };
                }
            });
        }
        cx.put(self.out.buffer, out);
        *cx.scratch = scratch;
    }
}
