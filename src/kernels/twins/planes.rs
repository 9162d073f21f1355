//! Convolutions without writing out what windows see, in `f32`: where a window finds its taps in planes with zeros around them.
//!
//! Along an axis output element o sees at tap k the input element `o·stride + k·dilation − before`, which is the element `o + q` of those
//! whose place leaves the remainder φ when divided by the stride. A channel is therefore kept as one *phase plane* for each remainder, with
//! zeros around it, and every place of a plane sees its taps at the same distances: neighbouring output elements are neighbours in registers.
//! Backwards it is the outputs whose remainders differ: each of these *parts* sees its own taps of one plane of cotangents.
//!
//! Between two lines of places lie as many as the window reaches over; what is computed there is left out in the end.

use std::ops::Range;

use crate::kernels::Window;
use crate::kernels::window::AXES;

/// Where sums find their taps, and where they go.
pub(super) struct Planes {
    /// Sizes of what is summed over, and the distance between neighbours of a phase plane in it.
    input: [usize; AXES],
    stride: [usize; AXES],
    /// Remainders of the phase planes along each axis.
    phases: [Vec<usize>; AXES],
    /// Zeros before a phase plane's first element; elements left out where it is negative.
    before: [isize; AXES],
    /// Places of a plane along each axis.
    size: [usize; AXES],
    /// Elements of a phase plane.
    plane: usize,
    /// Elements of a channel: its phase planes, and what the last place may see behind them.
    pub len: usize,
    /// Sizes of what is made, and the distance between a part's neighbours in it.
    output: [usize; AXES],
    step: [usize; AXES],
    pub parts: Vec<Part>,
}

/// The outputs that see the same taps.
pub(super) struct Part {
    /// The first one's place along each axis, and how many there are.
    first: [usize; AXES],
    count: [usize; AXES],
    /// Distance of each tap from an output's place, and its number.
    pub taps: Vec<(usize, usize)>,
}

impl Part {
    /// Lines of outputs along the last axis.
    pub fn lines(&self) -> usize {
        if self.count[2] == 0 { 0 } else { self.count[0] * self.count[1] }
    }
}

/// An axis of a window.
struct Axis {
    /// Remainders of the phase planes.
    phases: Vec<usize>,
    /// Places that the taps lie before and behind an output's own.
    low: isize,
    high: isize,
    parts: Vec<AxisPart>,
}

/// Outputs along an axis that see the same taps: the first one and how many there are.
struct AxisPart {
    first: usize,
    count: usize,
    taps: Vec<AxisTap>,
}

/// Tap `k` sees of a phase plane the element that lies `q` places behind an output's own.
#[derive(Clone, Copy)]
struct AxisTap {
    k: usize,
    phase: usize,
    q: isize,
}

impl Axis {
    fn new(phases: Vec<usize>, parts: Vec<AxisPart>) -> Axis {
        let reach = || parts.iter().flat_map(|part| &part.taps).map(|tap| tap.q);
        let (low, high) = (reach().min().unwrap_or(0), reach().max().unwrap_or(0));
        Axis { phases, low, high, parts }
    }

    fn forward(window: &Window, axis: usize) -> Axis {
        let stride = window.stride[axis] as isize;
        let at = |k: usize| (k * window.dilation[axis]) as isize - window.before[axis] as isize;
        let remainder = |k: usize| at(k).rem_euclid(stride) as usize;
        let mut phases: Vec<usize> = (0..window.kernel[axis]).map(remainder).collect();
        phases.sort_unstable();
        phases.dedup();
        let phase = |k: usize| phases.binary_search(&remainder(k)).expect("invariant: every tap's is among them");
        let taps =
            (0..window.kernel[axis]).map(|k| AxisTap { k, phase: phase(k), q: at(k).div_euclid(stride) }).collect();
        let parts = vec![AxisPart { first: 0, count: window.output[axis], taps }];
        Axis::new(phases, parts)
    }

    fn backward(window: &Window, axis: usize) -> Axis {
        let stride = window.stride[axis];
        let part = |first: usize| {
            let taps = (0..window.kernel[axis]).filter_map(|k| {
                let at = (first + window.before[axis]) as isize - (k * window.dilation[axis]) as isize;
                let q = at.div_euclid(stride as isize);
                (at.rem_euclid(stride as isize) == 0).then_some(AxisTap { k, phase: 0, q })
            });
            AxisPart { first, count: (window.input[axis] - first).div_ceil(stride), taps: taps.collect() }
        };
        Axis::new(vec![0], (0..stride.min(window.input[axis])).map(part).collect())
    }

    fn size(&self) -> usize {
        self.parts.iter().map(|part| part.count).max().unwrap_or(0) + (self.high - self.low) as usize
    }
}

impl Planes {
    /// For sums over the inputs that an output sees.
    pub fn of(window: &Window) -> Planes {
        let axes = [0, 1, 2].map(|axis| Axis::forward(window, axis));
        Planes::new(axes, (window.input, window.stride), (window.output, [1; AXES]), window.kernel)
    }

    /// For sums over the outputs that see an input.
    pub fn of_transposed(window: &Window) -> Planes {
        let axes = [0, 1, 2].map(|axis| Axis::backward(window, axis));
        Planes::new(axes, (window.output, [1; AXES]), (window.input, window.stride), window.kernel)
    }

    fn new(
        [a, b, c]: [Axis; AXES],
        (input, stride): ([usize; AXES], [usize; AXES]),
        (output, step): ([usize; AXES], [usize; AXES]),
        kernel: [usize; AXES],
    ) -> Planes {
        let before = [-a.low, -b.low, -c.low];
        let mut size = [a.size(), b.size(), c.size()];
        // Zeros behind a line are those before the next one, as far as there are as many.
        let behind = c.phases.iter().map(|&phase| size[2] as isize - before[2] - elements(input[2], phase, stride[2]));
        let shared = behind.min().unwrap_or(0).min(before[2]).min(c.high - c.low).max(0) as usize;
        size[2] -= shared;
        let plane = size.iter().product::<usize>() + shared;
        // From an output's place to what a tap sees: (phase plane, places along each axis).
        let distance = |phase: usize, q: [isize; AXES]| {
            let at = [0, 1, 2].map(|axis| (q[axis] + before[axis]) as usize);
            phase * plane + Window::flat(size, at)
        };
        let mut parts = Vec::new();
        for of_a in &a.parts {
            for of_b in &b.parts {
                for of_c in &c.parts {
                    let mut taps = Vec::new();
                    for i in &of_a.taps {
                        for j in &of_b.taps {
                            for k in &of_c.taps {
                                let phase = (i.phase * b.phases.len() + j.phase) * c.phases.len() + k.phase;
                                taps.push((distance(phase, [i.q, j.q, k.q]), Window::flat(kernel, [i.k, j.k, k.k])));
                            }
                        }
                    }
                    let (first, count) = ([of_a.first, of_b.first, of_c.first], [of_a.count, of_b.count, of_c.count]);
                    parts.push(Part { first, count, taps });
                }
            }
        }
        let len = plane * a.phases.len() * b.phases.len() * c.phases.len();
        Planes { input, stride, phases: [a.phases, b.phases, c.phases], before, size, plane, len, output, step, parts }
    }

    /// Writes a channel's phase planes.
    pub fn pad(&self, x: &[f32], planes: &mut [f32]) {
        let Planes { input, stride, before, size, .. } = self;
        planes.fill(0.0);
        // The element of the input at a place of a phase plane.
        let source = |axis: usize, phase: usize, place: usize| {
            let element = usize::try_from(place as isize - before[axis]).ok()? * stride[axis] + phase;
            (element < input[axis]).then_some(element)
        };
        let mut planes = planes.chunks_exact_mut(self.plane);
        for &phase_a in &self.phases[0] {
            for &phase_b in &self.phases[1] {
                for &phase_c in &self.phases[2] {
                    let plane = planes.next().expect("invariant: a channel has all of its phase planes");
                    // Of a line: the first place that holds an element, and that element among those of the phase.
                    let (to, from) = (before[2].max(0) as usize, (-before[2]).max(0) as usize);
                    let all = elements(input[2], phase_c, stride[2]) as usize;
                    let count = all.saturating_sub(from).min(size[2].saturating_sub(to));
                    let from = from * stride[2] + phase_c;
                    for (line, plane) in plane.chunks_exact_mut(size[2]).enumerate().take(size[0] * size[1]) {
                        let at = source(0, phase_a, line / size[1]).zip(source(1, phase_b, line % size[1]));
                        let Some((i, j)) = at.filter(|_| count > 0) else { continue };
                        let x = &x[(i * input[1] + j) * input[2] + from..];
                        let plane = &mut plane[to..to + count];
                        match stride[2] {
                            1 => plane.copy_from_slice(&x[..count]),
                            // A constant lets the compiler use vectors.
                            2 => plane.iter_mut().zip(x.chunks(2)).for_each(|(y, x)| *y = x[0]),
                            stride => plane.iter_mut().zip(x.iter().step_by(stride)).for_each(|(y, &x)| *y = x),
                        }
                    }
                }
            }
        }
    }

    /// Elements of a channel that are summed over.
    pub fn inputs(&self) -> usize {
        self.input.iter().product()
    }

    /// The place of a part's first output in a line.
    fn place(&self, part: &Part, line: usize) -> usize {
        (line / part.count[1] * self.size[1] + line % part.count[1]) * self.size[2]
    }

    /// From the first output's place in a range of lines to behind the last one's.
    pub fn span(&self, part: &Part, lines: &Range<usize>) -> Range<usize> {
        if lines.is_empty() {
            return 0..0;
        }
        self.place(part, lines.start)..self.place(part, lines.end - 1) + part.count[2]
    }

    /// Lines of a part at most.
    pub fn lines(&self) -> usize {
        self.parts.iter().map(Part::lines).max().unwrap_or(0)
    }

    /// Places from a line to the next.
    pub fn pitch(&self) -> usize {
        self.size[2]
    }

    /// Places of the longest span of so many lines.
    pub fn room(&self, lines: usize) -> usize {
        let spans = self.parts.iter().flat_map(|part| {
            let all = part.lines();
            (0..all).step_by(lines.max(1)).map(move |first| self.span(part, &(first..all.min(first + lines))).len())
        });
        spans.max().unwrap_or(0)
    }

    /// Outputs that a range of lines makes: their own where there is one part, else all.
    pub fn made(&self, lines: &Range<usize>) -> Range<usize> {
        match &*self.parts {
            [part] => lines.start * part.count[2]..lines.end * part.count[2],
            _ => 0..self.output.iter().product(),
        }
    }

    /// The outputs of some lines out of what stands at their span, into what [`Planes::made`] says.
    pub fn gather(&self, part: &Part, lines: &Range<usize>, places: &[f32], out: &mut [f32]) {
        let (width, begin) = (part.count[2], self.place(part, lines.start));
        if self.parts.len() == 1 && width * part.count[1] == self.size[1] * self.size[2] {
            return out.copy_from_slice(&places[..out.len()]);
        }
        for line in lines.clone() {
            let places = &places[self.place(part, line) - begin..][..width];
            if self.parts.len() == 1 {
                out[(line - lines.start) * width..][..width].copy_from_slice(places);
            } else {
                let [i, j, k] = [line / part.count[1], line % part.count[1], 0];
                let at = [0, 1, 2].map(|axis| part.first[axis] + self.step[axis] * [i, j, k][axis]);
                let out = out[Window::flat(self.output, at)..].iter_mut().step_by(self.step[2]);
                out.zip(places).for_each(|(out, &sum)| *out = sum);
            }
        }
    }

    /// Outputs at their places, zeros between them; of a single part.
    pub fn scatter(&self, outputs: &[f32], places: &mut [f32]) {
        let part = &self.parts[0];
        places.fill(0.0);
        for (line, outputs) in outputs.chunks_exact(part.count[2]).enumerate() {
            places[self.place(part, line)..][..outputs.len()].copy_from_slice(outputs);
        }
    }
}

/// Elements whose places leave a remainder.
fn elements(all: usize, phase: usize, stride: usize) -> isize {
    all.saturating_sub(phase).div_ceil(stride) as isize
}
