//! Every activation's value, slope and intercept, in WGSL and in Rust, on a grid of points with the kinks: both beside closed
//! forms in f64 that are written here anew.

use crate::common::case::gpu;
use eigenlens::engine::Session;
use eigenlens::engine::cpu::CpuSession;
use eigenlens::engine::gpu::GpuSession;
use eigenlens::kernels::linearise::SECANT_LIMIT;
use eigenlens::kernels::{Activate, ActivateBackward, Activation, Linearise, Program, Slope, SlopeRule};
use eigenlens::program::{Step, View};

/// Where a formula changes: 0, the secant's border, the series of tanh (0.2) and of e^x - 1 (0.1), the f32 twin's tanh
/// (0.625), and where exponentials saturate.
const POINTS: [f64; 19] = [
    0.0, 1e-30, 1e-7, 9.99e-4, 1.001e-3, 0.05, 0.0999, 0.1001, 0.1999, 0.2001, 0.5, 0.624, 0.626, 1.0, 2.0, 3.7, 6.0,
    12.0, 40.0,
];

/// Rounding of f32 (6e-8) over a handful of operations, the shaders' erf (1.5e-7) and a driver's exp (3 + 2|x| units in the last
/// place, by WGSL's rules), on values of order 1; relative to larger ones.
const TOLERANCE: f64 = 4e-6;
/// A secant divides the value's error by z, which is a thousandth at least.
const SECANT_TOLERANCE: f64 = TOLERANCE / SECANT_LIMIT;

/// Φ, by a series that needs no library: good to 1e-15 for |z| < 6, beyond which it is 0 or 1 to 1e-9.
fn normal_cdf(z: f64) -> f64 {
    if z.abs() > 6.0 {
        return if z > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        term *= z * z / (2.0 * n as f64 + 1.0);
        sum += term;
    }
    0.5 + sum * (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// Value and slope; on a kink the slope of the negative side.
fn closed_form(activation: Activation, z: f64) -> (f64, f64) {
    let sigmoid = 1.0 / (1.0 + (-z).exp());
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    match activation {
        Activation::Identity => (z, 1.0),
        Activation::Relu => (z.max(0.0), if z > 0.0 { 1.0 } else { 0.0 }),
        Activation::LeakyRelu => {
            if z > 0.0 {
                (z, 1.0)
            } else {
                (0.01 * z, 0.01)
            }
        }
        Activation::Tanh => (z.tanh(), 1.0 - z.tanh().powi(2)),
        Activation::Sigmoid => (sigmoid, sigmoid * (1.0 - sigmoid)),
        Activation::Elu => {
            if z > 0.0 {
                (z, 1.0)
            } else {
                (z.exp_m1(), z.exp())
            }
        }
        Activation::Gelu => (z * normal_cdf(z), normal_cdf(z) + z * density),
        Activation::Silu => (z * sigmoid, sigmoid * (1.0 + z * (1.0 - sigmoid))),
    }
}

/// What the kernels leave behind: value, slope by backward, slope and intercept of the tangent and of the secant.
fn computed(make: impl FnOnce(Program) -> Box<dyn Session>, activation: Activation, points: &[f64]) -> [Vec<f64>; 6] {
    let mut program = Program::new(1);
    let mut matrix = |label: &str| program.buffers.matrix(label, 1, points.len());
    let [z, y, ones, slope] = ["z", "y", "ones", "slope"].map(&mut matrix);
    let [s, q, secant, secant_q] = ["s", "q", "secant", "secant_q"].map(&mut matrix);
    let saved = if activation.slope_needs_input() { z } else { y };
    let rule = SlopeRule::Of(activation);
    let pass = program.pass(
        "activation",
        vec![
            Activate { x: z, y, activation }.into(),
            ActivateBackward { dy: ones, dx: slope, slope: Slope { rule, saved, seeds: 1 } }.into(),
            Linearise { activation, secant: false, z, y, slope: s, intercept: q }.into(),
            Linearise { activation, secant: true, z, y, slope: secant, intercept: secant_q }.into(),
        ],
    );
    let mut session = make(program);
    session.write(z.buffer, None, 0, points).unwrap();
    session.write(ones.buffer, None, 0, &vec![1.0; points.len()]).unwrap();
    let step = Step { index: 0, rows: 1, begin: 0, epoch: 0, count: 0, rate: 0.0, ordering: 0, kept: 0 };
    session.run(pass, &[step]).unwrap();
    [y, slope, s, q, secant, secant_q].map(|view: View| session.read(view.buffer, 0, 0, points.len()).unwrap())
}

#[test]
fn both_sides_say_every_activation_alike() {
    let points: Vec<f64> = POINTS.iter().flat_map(|&z| [f64::from(z as f32), -f64::from(z as f32)]).collect();
    for activation in Activation::ALL {
        let (at_zero, slope_at_zero) = closed_form(activation, 0.0);
        let wanted = points.iter().map(|&z| {
            let (value, slope) = closed_form(activation, z);
            let near = z.abs() < SECANT_LIMIT;
            let secant = match activation.piecewise_linear() {
                true => slope,
                false if near => slope_at_zero,
                false => (value - at_zero) / z,
            };
            [value, slope, slope, value - slope * z, secant, value - secant * z]
        });
        let wanted: Vec<[f64; 6]> = wanted.collect();
        let gpu = computed(|p| Box::new(GpuSession::new(gpu(), p).unwrap()), activation, &points);
        let f32_twin = computed(|p| Box::new(CpuSession::<f32>::new(p, 1).unwrap()), activation, &points);
        let f64_twin = computed(|p| Box::new(CpuSession::<f64>::new(p, 1).unwrap()), activation, &points);
        for (who, found, scale) in [("WGSL", gpu, 1.0), ("f32 twin", f32_twin, 1.0), ("f64 twin", f64_twin, 1e-8)] {
            for (i, what) in
                ["value", "slope", "tangent", "intercept", "secant", "secant's intercept"].iter().enumerate()
            {
                for ((&z, found), wanted) in points.iter().zip(&found[i]).zip(&wanted) {
                    // An intercept is a difference of numbers of z's size.
                    let size = wanted[i].abs().max(1.0).max(if i == 3 || i == 5 { z.abs() } else { 0.0 });
                    let loose = if i >= 4 && z.abs() < 0.1 && !activation.piecewise_linear() {
                        SECANT_TOLERANCE
                    } else {
                        TOLERANCE
                    };
                    let tolerance = loose * size * scale;
                    let error = (found - wanted[i]).abs();
                    assert!(
                        error <= tolerance,
                        "{who}, {activation:?}, {what} at {z}: {found}, not {} ± {tolerance:.1e}",
                        wanted[i]
                    );
                }
            }
        }
    }
}
