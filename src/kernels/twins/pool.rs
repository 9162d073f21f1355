//! Twins of max-pooling, and of a fixed sparse matrix.

use super::Context;
use crate::host::{Disjoint, Real, for_tasks, vectorised};
use crate::kernels::max_pool::Direction;
use crate::kernels::window::Run;
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
            let runs = self.window.runs(0, outputs);
            let inside = Inside::of(&self.window);
            for_tasks(cx.team, work, rows * channels, (&mut scratch, 0), |task, _| {
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
                match inside.as_ref().map(|inside| (inside, inside.offsets.len())) {
                    Some((inside, 4)) => inside.largest_of::<T, 4>(x, largest, winners),
                    Some((inside, 9)) => inside.largest_of::<T, 9>(x, largest, winners),
                    _ => largest_of(&self.window, &runs, x, largest, winners),
                }
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

    /// As the function of that name, for windows of so many taps.
    fn largest_of<T: Real, const TAPS: usize>(&self, x: &[T], largest: &mut [T], winners: &mut [T]) {
        let offsets: [usize; TAPS] = std::array::from_fn(|tap| self.offsets[tap] as usize);
        let numbers: [T; TAPS] = std::array::from_fn(|tap| T::of(tap as f64));
        for ((&first, largest), winner) in self.first.iter().zip(largest).zip(winners) {
            let x = &x[first as usize..];
            let (mut most, mut tap) = (x[0], T::ZERO);
            for i in 1..TAPS {
                let value = x[offsets[i]];
                let better = value > most || (is_nan(value) && !is_nan(most));
                most = if better { value } else { most };
                tap = if better { numbers[i] } else { tap };
            }
            (*largest, *winner) = (most, tap);
        }
    }
}

#[inline(always)]
fn is_nan<T: Real>(x: T) -> bool {
    x.partial_cmp(&x).is_none()
}

/// The largest element that every output element sees, and the first tap that sees it: tap by tap, along runs of neighbours.
fn largest_of<T: Real>(window: &Window, runs: &[Run], x: &[T], largest: &mut [T], winners: &mut [T]) {
    let none = -T::ONE;
    largest.fill(T::of(f64::NEG_INFINITY));
    winners.fill(none);
    let stride = window.stride[2];
    for tap in 0..window.taps() {
        let (place, number) = (Window::place(window.kernel, tap), T::of(tap as f64));
        for run in runs {
            let Some((from, part)) = window.seen_by(run, place) else { continue };
            let largest = &mut largest[run.at..][..run.len()][part.clone()];
            let winners = &mut winners[run.at..][..run.len()][part];
            vectorised(|| {
                let seen = x[from..].iter().step_by(stride);
                for ((largest, winner), &value) in largest.iter_mut().zip(winners).zip(seen) {
                    // A NaN wins, and nothing takes its place.
                    let better = value > *largest || (is_nan(value) && !is_nan(*largest));
                    *largest = if better { value } else { *largest };
                    *winner = if better { number } else { *winner };
                }
            });
        }
    }
    // Elements that are −∞ all over aren't better than nothing: the first one wins.
    for (o, winner) in winners.iter_mut().enumerate().filter(|(_, winner)| **winner == none) {
        let first = (0..window.taps()).find(|&tap| window.seen(o, tap).is_some());
        *winner = T::of(first.unwrap_or(0) as f64);
    }
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
