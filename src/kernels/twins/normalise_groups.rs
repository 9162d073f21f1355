//! Twins of normalisation inside samples.

use super::Context;
use crate::host::{Disjoint, Real, for_tasks, vectorised};
use crate::kernels::{Normalisation, Normalise, Way};

/// Sums that run side by side: vectors, and less rounding.
const LANES: usize = 16;

/// `Σ f(a, b)`, in an order that depends on the length alone.
fn sum<T: Real>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    let mut lanes = [T::ZERO; LANES];
    vectorised(|| {
        for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
            lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(lane, (&a, &b))| *lane += f(a, b));
        }
    });
    lanes.into_iter().fold(T::ZERO, |sum, lane| sum + lane)
}

/// y of a group, from x; the inverse deviation.
fn forward<T: Real>(kind: Normalisation, epsilon: T, x: &[T], y: &mut [T]) -> T {
    let n = T::of(x.len() as f64);
    if kind == Normalisation::Standard {
        let mean = sum(x, x, |x, _| x) / n;
        let variance = sum(x, x, |x, _| (x - mean) * (x - mean)) / n;
        let scale = T::ONE / (variance + epsilon).sqrt();
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - mean) * scale);
        return scale;
    }
    let largest = x.iter().fold(x[0], |most, &x| if x > most { x } else { most });
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - largest).exp());
    let all = sum(y, y, |y, _| y);
    if kind == Normalisation::Softmax {
        y.iter_mut().for_each(|y| *y = *y / all);
    } else {
        let log = all.ln();
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = x - largest - log);
    }
    T::ONE
}

/// The slopes at a group's y times v, or their transpose.
fn product<T: Real>(kind: Normalisation, pull: bool, scale: T, (v, y): (&[T], &[T]), out: &mut [T]) {
    let n = T::of(v.len() as f64);
    let both = v.iter().zip(y);
    match kind {
        Normalisation::Softmax => {
            let mean = sum(v, y, |v, y| y * v);
            out.iter_mut().zip(both).for_each(|(out, (&v, &y))| *out = y * (v - mean));
        }
        Normalisation::LogSoftmax if pull => {
            let all = sum(v, v, |v, _| v);
            out.iter_mut().zip(both).for_each(|(out, (&v, &y))| *out = v - y.exp() * all);
        }
        Normalisation::LogSoftmax => {
            let mean = sum(v, y, |v, y| y.exp() * v);
            out.iter_mut().zip(v).for_each(|(out, &v)| *out = v - mean);
        }
        Normalisation::Standard => {
            let (mean, along) = (sum(v, v, |v, _| v) / n, sum(v, y, |v, y| y * v) / n);
            out.iter_mut().zip(both).for_each(|(out, (&v, &y))| *out = scale * (v - mean - y * along));
        }
    }
}

impl Normalise {
    /// Where the elements of a group begin.
    fn first(&self, group: usize) -> usize {
        group / self.inner * self.len * self.inner + group % self.inner
    }

    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, len, groups) = (cx.rows(self.seeds), self.len, self.groups());
        let forward_way = self.way == Way::Forward;
        let mut scratch = std::mem::take(cx.scratch);
        let mut out = cx.take(self.out.buffer);
        let mut made = self.scale.filter(|_| forward_way).map(|view| cx.take(view.buffer));
        {
            let x = cx.view(self.x);
            let y = (!forward_way).then(|| cx.view(self.y));
            let known = self.scale.filter(|_| !forward_way).map(|view| (view, cx.view(view)));
            let outs = Disjoint::new(&mut out);
            let scales = self.scale.zip(made.as_mut().map(|values| Disjoint::new(values)));
            // Every group lies in three stretches of the room while it is worked on.
            for_tasks(cx.team, 8 * rows * self.out.cols, rows * groups, (&mut scratch, 3 * len), |task, room| {
                let (row, group) = (task / groups, task % groups);
                let (own, rest) = room.split_at_mut(len);
                let (other, result) = rest.split_at_mut(len);
                let take = |row: &[T], to: &mut [T]| {
                    let from = row[self.first(group)..].iter().step_by(self.inner);
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
                };
                take(&x[row * self.x.ld..][..self.x.cols], own);
                match y {
                    None => {
                        let scale = forward(self.kind, T::of(f64::from(self.epsilon)), own, result);
                        if let Some((view, scales)) = &scales {
                            // SAFETY: a task writes the scale of its own group.
                            let to = unsafe { scales.part(view.offset + row * view.ld + group, 1) };
                            to[0] = scale;
                        }
                    }
                    Some(y) => {
                        let sample = row / self.seeds;
                        take(&y[sample * self.y.ld..][..self.y.cols], other);
                        let scale = known.map_or(T::ONE, |(view, scale)| scale[sample * view.ld + group]);
                        product(self.kind, self.way == Way::Pull, scale, (own, other), result);
                    }
                }
                let at = self.out.offset + row * self.out.ld + self.first(group);
                if self.inner == 1 {
                    // SAFETY: a task writes its own group alone.
                    unsafe { outs.part(at, len) }.copy_from_slice(result);
                    return;
                }
                for (i, &value) in result.iter().enumerate() {
                    // SAFETY: the same; groups lie between each other.
                    let to = unsafe { outs.part(at + i * self.inner, 1) };
                    to[0] = value;
                }
            });
        }
        cx.put(self.out.buffer, out);
        if let Some((view, values)) = self.scale.zip(made) {
            cx.put(view.buffer, values);
        }
        *cx.scratch = scratch;
    }
}
