//! Twins of functions of one number: value and slope, each said here once; in WGSL they stand in `shaders/function.wgsl`.

use super::Context;
use crate::host::{Disjoint, Real, for_tasks};
use crate::kernels::{Apply, Function};

fn softplus<T: Real>(x: T) -> T {
    let zero = T::ZERO;
    let (larger, t) = (if x > zero { x } else { zero }, (-x.abs()).exp());
    // ln(1 + t) by its series where 1 + t would round t away.
    let series = t * (T::ONE - t * (T::of(0.5) - t * (T::of(1.0 / 3.0) - T::of(0.25) * t)));
    larger + if t < T::of(1e-4) { series } else { (T::ONE + t).ln() }
}

fn expm1<T: Real>(x: T) -> T {
    T::of(x.to_f64().exp_m1())
}

fn gelu_tanh<T: Real>(x: T) -> (T, T) {
    let (half, one, cubic) = (T::of(0.5), T::ONE, T::of(0.044715));
    let scale = T::of((2.0 / std::f64::consts::PI).sqrt());
    let t = (scale * (x + cubic * x * x * x)).tanh();
    let inner = scale * (one + T::of(3.0) * cubic * x * x);
    (half * x * (one + t), half * (one + t) + half * x * (one - t * t) * inner)
}

impl Function {
    /// f(x) and f'(x).
    pub(crate) fn at<T: Real>(self, x: T, a: T, b: T) -> (T, T) {
        let (zero, one) = (T::ZERO, T::ONE);
        let power = |x: T, a: T| T::of(x.to_f64().powf(a.to_f64()));
        // a·x + b clipped to 0…1, and its slope.
        let hard = || match a * x + b {
            z if z <= zero => (zero, zero),
            z if z >= one => (one, zero),
            z => (z, a),
        };
        match self {
            Function::Affine => (a * x + b, a),
            Function::LeakyRelu if x <= zero => (a * x, a),
            Function::Elu if x <= zero => (a * expm1(x), a * x.exp()),
            Function::Celu if x <= zero => (a * expm1(x / a), (x / a).exp()),
            Function::LeakyRelu | Function::Elu | Function::Celu => (x, one),
            Function::Selu if x <= zero => (b * a * expm1(x), b * a * x.exp()),
            Function::Selu => (b * x, b),
            Function::Clip if x <= a => (a, zero),
            Function::Clip if x >= b => (b, zero),
            Function::Clip => (x, one),
            Function::HardSigmoid => hard(),
            Function::HardSwish => {
                let (gate, slope) = hard();
                (x * gate, gate + x * slope)
            }
            Function::Softplus => (softplus(x), x.sigmoid()),
            Function::Softsign => {
                let d = one + x.abs();
                (x / d, one / (d * d))
            }
            Function::Abs if x > zero => (x, one),
            Function::Abs if x < zero => (-x, -one),
            // 0, and NaN.
            Function::Abs => (x.abs(), x),
            Function::Erf => (x.erf(), T::of(std::f64::consts::FRAC_2_SQRT_PI) * (-x * x).exp()),
            Function::Exp => (x.exp(), x.exp()),
            Function::Sqrt => (x.sqrt(), if x <= zero { zero } else { T::of(0.5) / x.sqrt() }),
            Function::Reciprocal => (one / x, -(one / (x * x))),
            Function::Power => (power(x, a), a * power(x, a - one)),
            Function::Mish => {
                let t = softplus(x).tanh();
                (x * t, t + x * (one - t * t) * x.sigmoid())
            }
            Function::Log => (x.ln(), one / x),
            Function::GeluTanh => gelu_tanh(x),
            Function::Swish => {
                let gate = (a * x).sigmoid();
                (x * gate, gate + a * x * gate * (one - gate))
            }
            Function::ThresholdedRelu if x <= a => (zero, zero),
            Function::ThresholdedRelu => (x, one),
            Function::Sin => (T::of(x.to_f64().sin()), T::of(x.to_f64().cos())),
            Function::Cos => (T::of(x.to_f64().cos()), T::of(-x.to_f64().sin())),
        }
    }
}

/// Columns of a row that one thread makes.
const SPAN: usize = 4096;

impl Apply {
    pub(crate) fn twin<T: Real>(&self, cx: &mut Context<'_, T>) {
        let (rows, cols) = (cx.rows(1), self.y.cols);
        let (a, b) = (T::of(f64::from(self.a)), T::of(f64::from(self.b)));
        let mut scratch = std::mem::take(cx.scratch);
        let mut y = cx.take(self.y.buffer);
        let mut slopes = self.slope.map(|view| cx.take(view.buffer));
        let mut intercepts = self.intercept.map(|view| cx.take(view.buffer));
        {
            let x = cx.view(self.x);
            let spans = cols.div_ceil(SPAN);
            let values = Disjoint::new(&mut y);
            let slopes = self.slope.zip(slopes.as_mut().map(|s| Disjoint::new(s)));
            let intercepts = self.intercept.zip(intercepts.as_mut().map(|q| Disjoint::new(q)));
            for_tasks(cx.team, 8 * rows * cols, rows * spans, (&mut scratch, 0), |task, _| {
                let (row, first) = (task / spans, task % spans * SPAN);
                let count = SPAN.min(cols - first);
                let x = &x[row * self.x.ld + first..][..count];
                let start = |view: crate::program::View| view.offset + row * view.ld + first;
                // SAFETY: a task writes its own span of its own row.
                let y = unsafe { values.part(start(self.y), count) };
                let s = slopes.as_ref().map(|(view, all)| unsafe { all.part(start(*view), count) });
                let q = intercepts.as_ref().map(|(view, all)| unsafe { all.part(start(*view), count) });
                match (s, q) {
                    (Some(s), q) => {
                        for i in 0..count {
                            (y[i], s[i]) = self.function.at(x[i], a, b);
                        }
                        if let Some(q) = q {
                            (0..count).for_each(|i| q[i] = y[i] - s[i] * x[i]);
                        }
                    }
                    _ => y.iter_mut().zip(x).for_each(|(y, &x)| *y = self.function.at(x, a, b).0),
                }
            });
        }
        cx.put(self.y.buffer, y);
        if let Some((view, values)) = self.slope.zip(slopes) {
            cx.put(view.buffer, values);
        }
        if let Some((view, values)) = self.intercept.zip(intercepts) {
            cx.put(view.buffer, values);
        }
        *cx.scratch = scratch;
    }
}
