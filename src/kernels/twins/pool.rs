//! Twins of max-pooling, and of a fixed sparse matrix.

use std::ops::Range;

use pulp::{MemMask, Simd, WithSimd};

use super::Context;
use crate::host::{Disjoint, Real, for_tasks, widest};
use crate::kernels::max_pool::Direction;
use crate::kernels::{MaxPool, Sparse, Window};
use crate::program::View;

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
        let unseeing = unseeing(&self.window);
        let mut scratch = std::mem::take(cx.scratch);
        let mut out = cx.take(self.out.buffer);
        let mut won = self.winner.map(|winner| cx.take(winner.buffer));
        {
            let x = cx.view(self.x);
            let largest = Disjoint::new(&mut out);
            let winners = self.winner.zip(won.as_mut()).map(|(view, won)| (view, Disjoint::new(won)));
            let work = rows * self.out.cols * self.window.taps();
            let lines = Lines::of(&self.window);
            // Four taps along a short line are looked at sooner than registers are filled.
            let by_four = Some(&self.window).filter(|window| window.taps() == 4 && window.output[2] <= SHORT);
            let by_four = by_four.map(Taps::of).filter(|taps| !taps.padded);
            for_tasks(cx.team, work, rows * channels, (&mut scratch, lines.room()), |task, room| {
                let (row, channel) = (task / channels, task % channels);
                let x = &x[row * self.x.ld + channel * inputs..][..inputs];
                let at = |view: View| view.offset + row * view.ld + channel * outputs;
                // SAFETY: a task writes the part of its row and channel alone.
                let largest = unsafe { largest.part(at(self.out), outputs) };
                let winners = winners.as_ref().map(|(view, winners)| unsafe { winners.part(at(*view), outputs) });
                if let Some(taps) = &by_four {
                    return taps.largest_of::<T, 4>(x, largest, winners);
                }
                match T::as_f32(x) {
                    Some(x) => {
                        let (room, largest) = (single_mut(room), single_mut(&mut *largest));
                        widest(Pooling { lines: &lines, x, room, largest, winners: winners.map(single_mut) });
                    }
                    None => lines.run(x, room, (&mut *largest, winners), OneByOne),
                }
                unseeing.iter().for_each(|&o| largest[o] = T::ZERO);
            });
        }
        cx.put(self.out.buffer, out);
        if let Some((view, won)) = self.winner.zip(won) {
            cx.put(view.buffer, won);
        }
        *cx.scratch = scratch;
    }

    /// `Push` and `Pull`: what each output element saw is found once for all seeds of a sample.
    fn products<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (inputs, outputs) = (self.window.inputs(), self.window.outputs());
        let (samples, channels, seeds) = (cx.rows(1), self.chosen().cols / outputs, self.seeds);
        let pull = self.direction == Direction::Pull;
        let (from, to) = if pull { (outputs, inputs) } else { (inputs, outputs) };
        let taps = Taps::of(&self.window);
        let mut scratch = std::mem::take(cx.scratch);
        let mut out = cx.take(self.out.buffer);
        {
            let (x, winner) = (cx.view(self.x), cx.view(self.chosen()));
            let parts = Disjoint::new(&mut out);
            let work = samples * seeds * self.out.cols;
            for_tasks(cx.team, work, samples * channels, (&mut scratch, 0), |task, _| {
                let (sample, channel) = (task / channels, task % channels);
                let winner = &winner[sample * self.chosen().ld + channel * outputs..][..outputs];
                let at = |(first, tap): (&u32, &T)| first.wrapping_add(taps.offsets[tap.to_f64() as usize]);
                let seen: Vec<u32> = taps.first.iter().zip(winner).map(at).collect();
                for row in sample * seeds..(sample + 1) * seeds {
                    let x = &x[row * self.x.ld + channel * from..][..from];
                    // SAFETY: a task writes the parts of its sample's rows and its channel alone.
                    let out = unsafe { parts.part(self.out.offset + row * self.out.ld + channel * to, to) };
                    if pull {
                        out.fill(T::ZERO);
                        let seeing = seen.iter().zip(x).filter(|(i, _)| **i != NOTHING);
                        seeing.for_each(|(&i, &x)| out[i as usize] += x);
                    } else {
                        let value = |&i: &u32| if i == NOTHING { T::ZERO } else { x[i as usize] };
                        out.iter_mut().zip(&seen).for_each(|(out, i)| *out = value(i));
                    }
                }
            });
        }
        cx.put(self.out.buffer, out);
        *cx.scratch = scratch;
    }
}

/// Elements of a short line.
const SHORT: usize = 16;

/// Stands for an input element where a window sees nothing but padding; its tap is the first one.
const NOTHING: u32 = u32::MAX;

/// Whether an output coordinate sees anything but padding along an axis.
fn sees(window: &Window, axis: usize, o: usize) -> bool {
    (0..window.kernel[axis]).any(|k| window.source(axis, o, k).is_some())
}

/// Output elements that see nothing but padding; of what is usual none, which is found along the axes.
fn unseeing(window: &Window) -> Vec<usize> {
    let sees = |axis: usize, o: usize| sees(window, axis, o);
    if (0..3).all(|axis| (0..window.output[axis]).all(|o| sees(axis, o))) {
        return Vec::new();
    }
    let place = |o: usize| Window::place(window.output, o);
    (0..window.outputs()).filter(|&o| place(o).into_iter().enumerate().any(|(axis, o)| !sees(axis, o))).collect()
}

/// Where a window finds its taps: at the same distances from where each output element's first one is, or would be in the padding. Numbers
/// wrap around; at a tap that lies inside their sum is an input element.
struct Taps {
    first: Vec<u32>,
    offsets: Vec<u32>,
    /// Some taps lie in the padding.
    padded: bool,
}

impl Taps {
    fn of(window: &Window) -> Taps {
        let Window { input, output, kernel, stride, dilation, before } = *window;
        let flat = |[a, b, c]: [usize; 3]| {
            a.wrapping_mul(input[1]).wrapping_add(b).wrapping_mul(input[2]).wrapping_add(c) as u32
        };
        let along: [Vec<Option<usize>>; 3] = std::array::from_fn(|axis| {
            let at = |o: usize| (o * stride[axis]).wrapping_sub(before[axis]);
            (0..output[axis]).map(|o| sees(window, axis, o).then(|| at(o))).collect()
        });
        let mut first = Vec::with_capacity(window.outputs());
        for (a, b) in along[0].iter().flat_map(|&a| along[1].iter().map(move |&b| (a, b))) {
            let line = a.zip(b);
            first.extend(along[2].iter().map(|&c| line.zip(c).map_or(NOTHING, |((a, b), c)| flat([a, b, c]))));
        }
        let tap = |tap: usize| {
            let at = Window::place(kernel, tap);
            flat(std::array::from_fn(|axis| at[axis] * dilation[axis]))
        };
        let fits = |axis: usize| {
            let last = (output[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis];
            before[axis] == 0 && last < input[axis]
        };
        Taps { first, offsets: (0..window.taps()).map(tap).collect(), padded: !(0..3).all(fits) }
    }

    /// As the function of that name of [`Lines`], element by element, for windows of so many taps.
    fn largest_of<T: Real, const TAPS: usize>(&self, x: &[T], largest: &mut [T], winners: Option<&mut [T]>) {
        let offsets: [usize; TAPS] = std::array::from_fn(|tap| self.offsets[tap] as usize);
        let of = |&first: &u32| {
            let x = &x[first as usize..];
            let mut found = (x[0], 0);
            for tap in 1..TAPS {
                let value = x[offsets[tap]];
                let better = value > found.0 || (is_nan(value) && !is_nan(found.0));
                found = if better { (value, tap) } else { found };
            }
            found
        };
        match winners {
            Some(winners) => {
                let numbers: [T; TAPS] = std::array::from_fn(|tap| T::of(tap as f64));
                for ((first, largest), winner) in self.first.iter().zip(largest).zip(winners) {
                    let (most, tap) = of(first);
                    (*largest, *winner) = (most, numbers[tap]);
                }
            }
            None => self.first.iter().zip(largest).for_each(|(first, largest)| *largest = of(first).0),
        }
    }
}

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
        // A multiple of what registers hold: a compiler's loops over the rest are slow.
        Lines { window, places: (window.output[2] + reach / window.stride[2]).next_multiple_of(16) }
    }

    /// Elements that [`Lines::largest_of`] takes: two lines as they lie, and two by remainders.
    fn room(&self) -> usize {
        4 * self.places * self.window.stride[2]
    }

    #[inline(always)]
    fn run<T: Real>(
        &self,
        x: &[T],
        room: &mut [T],
        (largest, winners): (&mut [T], Option<&mut [T]>),
        compare: impl Compare<T>,
    ) {
        match winners {
            Some(winners) => self.largest_of::<T, true>(x, room, (largest, winners), compare),
            None => self.largest_of::<T, false>(x, room, (largest, &mut []), compare),
        }
    }

    /// The largest element that every output element of a channel sees, and if it is asked for the first tap that sees it. A NaN is larger
    /// than all else.
    #[inline(always)]
    fn largest_of<T: Real, const WON: bool>(
        &self,
        x: &[T],
        room: &mut [T],
        (largest, winners): (&mut [T], &mut [T]),
        compare: impl Compare<T>,
    ) {
        let Window { input, output, kernel, stride, dilation, before } = *self.window;
        let width = self.places * stride[2];
        let (line, room) = room[..4 * width].split_at_mut(width);
        let (taps, room) = room.split_at_mut(width);
        let (sorted, sorted_taps) = room.split_at_mut(width);
        let none = T::of(self.window.taps() as f64);
        // The part of a line that lies inside.
        let inside = before[2].min(width)..(before[2] + input[2]).min(width);
        line.fill(T::of(f64::NEG_INFINITY));
        taps.fill(none);
        let mut seen = Vec::with_capacity(kernel[0] * kernel[1]);
        for (o, largest) in largest.chunks_exact_mut(output[2]).enumerate() {
            let (a, b) = (o / output[1], o % output[1]);
            seen.clear();
            for i in 0..kernel[0] {
                let Some(from_a) = self.window.source(0, a, i) else { continue };
                for j in 0..kernel[1] {
                    let Some(from_b) = self.window.source(1, b, j) else { continue };
                    let x = &x[(from_a * input[1] + from_b) * input[2]..][..inside.len()];
                    seen.push(Seen { x, numbers: None, add: T::of(((i * kernel[1] + j) * kernel[2]) as f64) });
                }
            }
            let taps_inside = &mut taps[inside.clone()];
            compare.largest_of::<WON>(seen.iter().copied(), none, &mut line[inside.clone()], taps_inside);
            sort(line, stride[2], sorted);
            if WON {
                sort(taps, stride[2], sorted_taps);
            }
            let seen = (0..kernel[2]).map(|k| {
                let shift = k * dilation[2];
                let from = shift % stride[2] * self.places + shift / stride[2];
                let [x, numbers] = [&sorted, &sorted_taps].map(|of| &of[from..][..output[2]]);
                Seen { x, numbers: Some(numbers), add: T::of(k as f64) }
            });
            let winners = if WON { &mut winners[o * output[2]..][..output[2]] } else { &mut [] };
            compare.largest_of::<WON>(seen, none, largest, winners);
            // Where there is nothing but padding; the element becomes 0 too ([`unseeing`]).
            winners.iter_mut().for_each(|winner| *winner = if *winner < none { *winner } else { T::ZERO });
        }
    }
}

/// Elements and their numbers, which are the smaller the earlier they are looked at: one of its own, if any, and one for all.
#[derive(Clone, Copy)]
struct Seen<'a, T> {
    x: &'a [T],
    numbers: Option<&'a [T]>,
    add: T,
}

/// For every place the largest of what is seen and, with `WON`, its number, of equal ones the smallest; `none` where nothing is seen.
trait Compare<T: 'static> {
    fn largest_of<'a, const WON: bool>(
        &self,
        seen: impl Iterator<Item = Seen<'a, T>> + Clone,
        none: T,
        largest: &mut [T],
        winners: &mut [T],
    );
}

struct OneByOne;

impl<T: Real> Compare<T> for OneByOne {
    fn largest_of<'a, const WON: bool>(
        &self,
        seen: impl Iterator<Item = Seen<'a, T>> + Clone,
        none: T,
        largest: &mut [T],
        winners: &mut [T],
    ) {
        for (i, largest) in largest.iter_mut().enumerate() {
            let (mut most, mut winner) = (T::of(f64::NEG_INFINITY), none);
            for Seen { x, numbers, add } in seen.clone() {
                let (x, number) = (x[i], numbers.map_or(T::ZERO, |numbers| numbers[i]) + add);
                let same = x == most || (is_nan(x) && is_nan(most));
                if x > most || (is_nan(x) && !is_nan(most)) || (same && number < winner) {
                    (most, winner) = (x, number);
                }
            }
            *largest = most;
            if WON {
                winners[i] = winner;
            }
        }
    }
}

struct InVectors<S>(S);

impl<S: Simd> Compare<f32> for InVectors<S> {
    #[inline(always)]
    fn largest_of<'a, const WON: bool>(
        &self,
        seen: impl Iterator<Item = Seen<'a, f32>> + Clone,
        none: f32,
        largest: &mut [f32],
        winners: &mut [f32],
    ) {
        let lanes = S::F32_LANES;
        for first in (0..largest.len()).step_by(lanes) {
            if first + lanes <= largest.len() {
                self.register::<WON, true>(seen.clone(), none, (largest, winners), first..first + lanes);
            } else {
                let rest = first..largest.len();
                self.register::<WON, false>(seen.clone(), none, (largest, winners), rest);
            }
        }
    }
}

impl<S: Simd> InVectors<S> {
    /// Those of the places that a register holds, or with no `FULL` of fewer: a store that leaves some out takes many processors long.
    #[inline(always)]
    fn register<'a, const WON: bool, const FULL: bool>(
        &self,
        seen: impl Iterator<Item = Seen<'a, f32>>,
        none: f32,
        (largest, winners): (&mut [f32], &mut [f32]),
        places: Range<usize>,
    ) {
        let simd = self.0;
        // A mask of its own, since a library's shorter loads and stores jump.
        let mask = MemMask::new(simd.mask_between_m32s(0, places.len() as u32).mask());
        let load = |of: &[f32]| {
            let of = &of[places.clone()];
            // SAFETY: the mask has as many elements as the slice that the pointer is of.
            if FULL { S::as_simd_f32s(of).0[0] } else { unsafe { simd.mask_load_ptr_f32s(mask, of.as_ptr()) } }
        };
        let store = |values: S::f32s, to: &mut [f32]| {
            let to = &mut to[places.clone()];
            if FULL {
                S::as_mut_simd_f32s(to).0[0] = values;
            } else {
                // SAFETY: as above.
                unsafe { simd.mask_store_ptr_f32s(mask, to.as_mut_ptr(), values) };
            }
        };
        let (mut most, mut winner) = (simd.splat_f32s(f32::NEG_INFINITY), simd.splat_f32s(none));
        let mut numbers_only = simd.equal_f32s(most, most);
        for Seen { x, numbers, add } in seen {
            let x = load(x);
            let x_is_number = simd.equal_f32s(x, x);
            if WON {
                let most_is_number = simd.equal_f32s(most, most);
                let x_is_nan = simd.not_m32s(x_is_number);
                let larger = simd.or_m32s(simd.greater_than_f32s(x, most), simd.and_m32s(x_is_nan, most_is_number));
                let add = simd.splat_f32s(add);
                let number = numbers.map_or(add, |numbers| simd.add_f32s(load(numbers), add));
                let both_nan = simd.and_m32s(x_is_nan, simd.not_m32s(most_is_number));
                let same = simd.or_m32s(simd.equal_f32s(x, most), both_nan);
                let better = simd.or_m32s(larger, simd.and_m32s(same, simd.less_than_f32s(number, winner)));
                winner = simd.select_f32s(better, number, winner);
                most = simd.select_f32s(better, x, most);
            } else {
                // What this gives for a NaN differs among processors.
                most = simd.max_f32s(x, most);
                numbers_only = simd.and_m32s(numbers_only, x_is_number);
            }
        }
        if WON {
            store(winner, winners);
        } else {
            most = simd.select_f32s(numbers_only, most, simd.splat_f32s(f32::NAN));
        }
        store(most, largest);
    }
}

/// [`Lines::run`] in vectors.
struct Pooling<'a> {
    lines: &'a Lines<'a>,
    x: &'a [f32],
    room: &'a mut [f32],
    largest: &'a mut [f32],
    winners: Option<&'a mut [f32]>,
}

impl WithSimd for Pooling<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Pooling { lines, x, room, largest, winners } = self;
        lines.run(x, room, (largest, winners), InVectors(simd));
    }
}

fn single_mut<T: Real>(values: &mut [T]) -> &mut [f32] {
    T::as_f32_mut(values).expect("invariant: vectors are for single precision")
}

/// Elements by their places' remainders: `[remainder][place]`.
#[inline(always)]
fn sort<T: Real>(all: &[T], stride: usize, sorted: &mut [T]) {
    let places = all.len() / stride;
    if stride == 2 {
        // As pairs, which the compiler takes apart in vectors.
        let (even, odd) = sorted.split_at_mut(places);
        let (pairs, _) = all.as_chunks::<2>();
        pairs.iter().zip(even).zip(odd).for_each(|((pair, even), odd)| (*even, *odd) = (pair[0], pair[1]));
    } else {
        let sorted = sorted.chunks_exact_mut(places).enumerate();
        sorted
            .for_each(|(r, sorted)| sorted.iter_mut().zip(all[r..].iter().step_by(stride)).for_each(|(s, &x)| *s = x));
    }
}

/// A sum of so many terms, several at a time, since each addition waits for the one before it.
fn sum_of<T: Real>(terms: usize, term: impl Fn(usize) -> T) -> T {
    const APART: usize = 8;
    let mut sums = [T::ZERO; APART];
    let whole = terms / APART * APART;
    for first in (0..whole).step_by(APART) {
        sums.iter_mut().enumerate().for_each(|(i, sum)| *sum += term(first + i));
    }
    let rest = (whole..terms).fold(T::ZERO, |sum, t| sum + term(t));
    if whole == 0 { rest } else { sums.iter().fold(T::ZERO, |all, &sum| all + sum) + rest }
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
                    let columns = &column[terms.clone()];
                    *out = match weights {
                        Some(weights) => {
                            let weights = &weights[terms];
                            sum_of(columns.len(), |t| weights[t] * x[columns[t] as usize])
                        }
                        None => sum_of(columns.len(), |t| x[columns[t] as usize]),
                    };
                }
            });
        }
        cx.put(self.out.buffer, out);
        *cx.scratch = scratch;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every tap of every output element, by the window's own definition: padding on either side or both, dilation, strides that leave
    /// elements out, and windows that see nothing but padding.
    #[test]
    fn taps_lie_where_the_window_sees_them() {
        let mut nothing = 0;
        for (before, input, kernel, stride, dilation, output) in [
            ([0, 0, 0], [1, 4, 5], [1, 2, 2], [1, 2, 2], [1, 1, 1], [1, 2, 2]),
            ([0, 1, 1], [1, 4, 5], [1, 3, 2], [1, 2, 1], [1, 1, 2], [1, 3, 5]),
            ([1, 0, 3], [3, 4, 5], [2, 3, 2], [2, 1, 2], [1, 1, 1], [3, 4, 6]),
            ([2, 2, 0], [2, 1, 7], [2, 2, 3], [1, 1, 3], [2, 1, 2], [5, 5, 3]),
        ] {
            let window = Window { input, output, kernel, stride, dilation, before };
            let taps = Taps::of(&window);
            let all = || (0..window.outputs()).flat_map(|o| (0..window.taps()).map(move |tap| (o, tap)));
            for (o, tap) in all() {
                if let Some(i) = window.seen(o, tap) {
                    assert_eq!(taps.first[o].wrapping_add(taps.offsets[tap]) as usize, i, "{window:?}: {o} {tap}");
                }
            }
            for o in 0..window.outputs() {
                let sees = (0..window.taps()).any(|tap| window.seen(o, tap).is_some());
                assert_eq!(unseeing(&window).contains(&o), !sees, "{window:?}: {o}");
                assert!(sees || taps.first[o].wrapping_add(taps.offsets[0]) == NOTHING, "{window:?}: {o}");
                nothing += usize::from(!sees);
            }
            assert_eq!(taps.padded, all().any(|(o, tap)| window.seen(o, tap).is_none()), "{window:?}");
        }
        assert!(nothing > 20, "{nothing}");
    }
}
