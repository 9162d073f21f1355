//! The WGSL kernels with spatial axes against their f64 twins.

use crate::common::case::{Case, gpu};
use eigenlens::kernels::max_pool::Direction;
use eigenlens::kernels::*;
use eigenlens::network::{Padding, Sliding};
use eigenlens::program::{Content, View};

/// Channels of all groups, filters, groups, spatial sizes, and how the window slides: one to three axes, sizes around the tile of
/// 32, strides, dilation, uneven padding, depthwise, pointwise.
fn shapes() -> Vec<(usize, usize, usize, Vec<usize>, Sliding)> {
    let explicit = |before: &[usize], after: &[usize]| Padding::Explicit { before: before.into(), after: after.into() };
    let plain = Sliding::new;
    vec![
        (1, 1, 1, vec![1], plain(&[1])),
        (3, 33, 1, vec![31], plain(&[3])),
        (2, 5, 1, vec![13], Sliding { dilation: vec![3], padding: explicit(&[2], &[0]), ..plain(&[4]) }),
        (4, 6, 2, vec![7, 5], Sliding { padding: Padding::SameUpper, ..plain(&[3, 3]) }),
        (33, 31, 1, vec![6, 6], plain(&[1, 1])),
        (3, 8, 1, vec![11, 9], Sliding { stride: vec![2, 3], padding: explicit(&[1, 0], &[2, 1]), ..plain(&[3, 2]) }),
        (6, 6, 6, vec![8, 8], Sliding { stride: vec![2, 2], padding: Padding::SameLower, ..plain(&[3, 3]) }),
        // Rounded up, and windows that see nothing but padding.
        (3, 2, 1, vec![6, 6], Sliding { stride: vec![2, 2], ceil: true, ..plain(&[3, 3]) }),
        (2, 3, 1, vec![5, 4], Sliding { stride: vec![2, 1], padding: explicit(&[3, 0], &[1, 3]), ..plain(&[2, 2]) }),
        (2, 3, 1, vec![4, 5, 3], Sliding { padding: explicit(&[1, 1, 1], &[1, 1, 0]), ..plain(&[2, 3, 3]) }),
    ]
}

fn window(sliding: &Sliding, spatial: &[usize]) -> Window {
    sliding.window(spatial).expect("these windows fit")
}

/// Rounding of a sum of so many products of normal numbers, in units of one's.
fn scale(terms: usize) -> f64 {
    1.0 + (terms as f64).sqrt()
}

const BATCHES: [(usize, usize, usize, usize); 3] = [(1, 1, 1, 1), (2, 3, 2, 1), (1, 2, 2, 3)];

#[test]
fn forward() {
    for (channels, filters, groups, spatial, sliding) in shapes() {
        let window = window(&sliding, &spatial);
        let depth = channels / groups * window.taps();
        for (replicas, batch, rows, seeds) in BATCHES {
            for (spectral, activation) in [(false, Activation::Relu), (groups == 1, Activation::Gelu)] {
                let mut case = Case::new(replicas, rows);
                let a = case.input(batch * seeds, channels * window.inputs(), rows * seeds);
                let (_, views) = case.parameters(&[(filters, depth), (1, channels), (1, filters), (1, filters)]);
                let out = case.output(batch * seeds, filters * window.outputs());
                let pre = case.output(batch * seeds, filters * window.outputs());
                case.expect(out, rows * seeds, scale(depth));
                case.expect(pre, rows * seeds, scale(depth));
                let eigenvalues = spectral.then_some(Eigenvalues { lambda_in: views[1], lambda_out: views[2] });
                let (bias, pre) = (Some(views[3]), Some(pre));
                let plain = Gemm::plain(Form::Nt, a, views[0], out);
                let product = Gemm { eigenvalues, bias, pre, activation, seeds, ..plain };
                let op = Convolve { product, window, groups };
                case.check(gpu(), vec![op.into()], &format!("forward {channels} {filters} {spatial:?} {sliding:?}"));
            }
        }
    }
}

#[test]
fn transposed() {
    for (channels, filters, groups, spatial, sliding) in shapes() {
        let window = window(&sliding, &spatial);
        let depth = channels / groups * window.taps();
        for (replicas, batch, rows, seeds) in BATCHES {
            for spectral in [false, groups == 1] {
                let mut case = Case::new(replicas, rows);
                let a = case.input(batch * seeds, filters * window.outputs(), rows * seeds);
                let saved = case.input(batch, channels * window.inputs(), rows);
                let (_, views) = case.parameters(&[(filters, depth), (1, channels), (1, filters)]);
                let out = case.output(batch * seeds, channels * window.inputs());
                case.expect(out, rows * seeds, scale(filters / groups * window.taps()));
                let eigenvalues = spectral.then_some(Eigenvalues { lambda_in: views[1], lambda_out: views[2] });
                let slope = Some(Slope { rule: SlopeRule::Given, saved, seeds });
                let product = Gemm { eigenvalues, slope, seeds, ..Gemm::plain(Form::Nn, a, views[0], out) };
                let op = Convolve { product, window, groups };
                case.check(gpu(), vec![op.into()], &format!("transposed {channels} {filters} {spatial:?} {sliding:?}"));
            }
        }
    }
}

#[test]
fn weight_gradients() {
    for (channels, filters, groups, spatial, sliding) in shapes() {
        let window = window(&sliding, &spatial);
        let depth = channels / groups * window.taps();
        for (replicas, batch, rows) in [(1, 1, 1), (2, 3, 2), (1, 11, 10)] {
            let mut case = Case::new(replicas, rows);
            let a = case.input(batch, filters * window.outputs(), rows);
            let b = case.input(batch, channels * window.inputs(), rows);
            let (_, views) = case.parameters(&[(filters, depth), (1, filters)]);
            case.expect(views[0], filters, scale(rows * window.outputs()));
            case.expect(views[1], 1, scale(rows * window.outputs()));
            let product = Gemm { bias_gradient: Some(views[1]), ..Gemm::plain(Form::Tn, a, b, views[0]) };
            let op = Convolve { product, window, groups };
            case.check(gpu(), vec![op.into()], &format!("gradient {channels} {filters} {spatial:?} {sliding:?}"));
        }
    }
}

#[test]
fn max_pooling_and_its_products() {
    for (channels, _, _, spatial, sliding) in shapes() {
        let window = window(&sliding, &spatial);
        for (replicas, batch, rows, seeds) in BATCHES {
            let mut case = Case::new(replicas, rows);
            // Whole numbers from a few, so that maxima are shared.
            let x = case.program.buffers.matrix("x", batch, channels * window.inputs());
            case.fill(x, rows, |random| f64::from(random.word() % 5) - 2.0);
            let down = case.input(batch * seeds, channels * window.outputs(), rows * seeds);
            let up = case.input(batch * seeds, channels * window.inputs(), rows * seeds);
            let outputs = channels * window.outputs();
            let (out, winner) = (case.output(batch, outputs), case.output(batch, outputs));
            let (pulled, pushed) =
                (case.output(batch * seeds, channels * window.inputs()), case.output(batch * seeds, outputs));
            case.expect(out, rows, 0.0);
            case.expect(winner, rows, 0.0);
            let alone = case.output(batch, outputs);
            case.expect(alone, rows, 0.0);
            case.expect(pulled, rows * seeds, scale(window.taps()));
            case.expect(pushed, rows * seeds, 0.0);
            let pool = |direction, x: View, out: View, seeds| MaxPool {
                direction,
                x,
                out,
                winner: Some(winner),
                window,
                seeds,
            };
            let ops = vec![
                pool(Direction::Forward, x, out, 1).into(),
                MaxPool { winner: None, ..pool(Direction::Forward, x, alone, 1) }.into(),
                pool(Direction::Pull, down, pulled, seeds).into(),
                pool(Direction::Push, up, pushed, seeds).into(),
            ];
            case.check(gpu(), ops, &format!("max-pool {channels} {spatial:?} {sliding:?}"));
        }
    }
}

#[test]
fn a_window_with_a_nan_gives_nan() {
    let window = window(&Sliding::new(&[2]), &[4]);
    let mut case = Case::new(1, 1);
    let x = case.program.buffers.matrix("x", 1, 4);
    case.floats(x.buffer, 0, x.offset, vec![1.0, f64::NAN, 3.0, 2.0]);
    let (out, winner) = (case.output(1, 3), case.output(1, 3));
    let ops = vec![MaxPool { direction: Direction::Forward, x, out, winner: Some(winner), window, seeds: 1 }.into()];
    let mut session = case.run_gpu(gpu(), ops);
    let values = eigenlens::engine::Session::read(&mut session, out.buffer, 0, out.offset, 3).unwrap();
    assert!(values[0].is_nan() && values[1].is_nan(), "{values:?}");
    assert_eq!(values[2], 3.0);
}

#[test]
fn sparse_matrices() {
    for (rows, cols, terms) in [(1, 1, 1), (5, 3, 2), (64, 67, 3), (129, 31, 7)] {
        for (replicas, batch, samples, seeds) in BATCHES {
            for weighted in [false, true] {
                let mut case = Case::new(replicas, samples);
                let x = case.input(batch * seeds, cols, samples * seeds);
                let out = case.output(batch * seeds, rows);
                case.expect(out, samples * seeds, scale(terms));
                // Rows of 0 to so many terms.
                let counts: Vec<usize> = (0..rows).map(|r| (r * 5 + 1) % (terms + 1)).collect();
                let all: usize = counts.iter().sum();
                let begin = (0..=rows).map(|r| counts[..r].iter().sum::<usize>() as u32);
                let index: Vec<u32> = begin.chain((0..all).map(|t| (t * 11 % cols) as u32)).collect();
                let index = case.program.buffers.constant("index", Content::Words(index));
                let weights = (0..all).map(|t| 0.25 * (t % 9) as f64 - 1.0).collect();
                let weights = weighted.then(|| case.program.buffers.constant("weights", Content::Floats(weights)));
                case.check(gpu(), vec![Sparse { x, out, index, weights, seeds }.into()], "sparse");
            }
        }
    }
}

#[test]
fn functions_with_their_slopes_and_intercepts() {
    for function in Function::ALL {
        let (a, b) = match function {
            Function::Clip => (-0.5, 0.7),
            Function::Power => (-0.5, 0.0),
            Function::HardSwish => (1.0 / 6.0, 0.5),
            _ => (0.4, 0.6),
        };
        let positive = matches!(function, Function::Sqrt | Function::Power | Function::Reciprocal | Function::Log);
        for (replicas, batch, rows, cols) in [(1, 1, 1, 1), (2, 3, 2, 5), (1, 16, 16, 16), (3, 13, 11, 67)] {
            for slopes in 0..3 {
                let mut case = Case::new(replicas, rows);
                let x = case.program.buffers.matrix("x", batch, cols);
                case.fill(x, rows, |random| {
                    let value = [0.02, 1.0, 6.0][(random.word() % 3) as usize] * random.unit();
                    if positive { 0.2 + value.abs() } else { value }
                });
                let [y, slope, intercept] = [0; 3].map(|_| case.output(batch, cols));
                // Powers of 0.2 and e⁶ are not of order 1.
                let large = match function {
                    Function::Exp => 1e3,
                    Function::Reciprocal | Function::Power => 1e2,
                    _ => 20.0,
                };
                case.expect(y, rows, large);
                if slopes > 0 {
                    case.expect(slope, rows, large);
                }
                if slopes > 1 {
                    case.expect(intercept, rows, 10.0 * large);
                }
                let (slope, intercept) = ((slopes > 0).then_some(slope), (slopes > 1).then_some(intercept));
                let op = Apply { function, a, b, x, y, slope, intercept };
                case.check(gpu(), vec![op.into()], &format!("{function:?} {rows}x{cols} {slopes}"));
            }
        }
    }
}

#[test]
fn normalisation_inside_samples() {
    // Elements of a group around a workgroup's 8 and 64, how far apart they are, groups.
    for (len, inner, outer) in
        [(1, 1, 1), (7, 1, 3), (8, 5, 2), (9, 2, 1), (63, 1, 2), (64, 3, 1), (67, 1, 5), (131, 2, 2)]
    {
        for kind in [Normalisation::Softmax, Normalisation::LogSoftmax, Normalisation::Standard] {
            for (replicas, batch, rows, seeds) in BATCHES {
                let (cols, groups) = (len * inner * outer, inner * outer);
                let mut case = Case::new(replicas, rows);
                let x = case.program.buffers.matrix("x", batch, cols);
                case.fill(x, rows, |random| 3.0 * random.unit());
                let v = case.input(batch * seeds, cols, rows * seeds);
                let standard = kind == Normalisation::Standard;
                let deviation = standard.then(|| case.output(batch, groups));
                let [y, pushed, pulled] = [batch, batch * seeds, batch * seeds].map(|rows| case.output(rows, cols));
                // Two sums of so many terms; a deviation of 0.1 (of one element: √ε) divides.
                let large = if standard { 40.0 } else { 4.0 } * scale(len);
                case.expect(y, rows, large);
                case.expect(pushed, rows * seeds, large);
                case.expect(pulled, rows * seeds, large);
                if let Some(deviation) = deviation {
                    case.expect(deviation, rows, large);
                }
                let op = |way, x, out, seeds| {
                    Op::from(Normalise { kind, way, x, y, scale: deviation, out, len, inner, epsilon: 0.01, seeds })
                };
                let ops =
                    vec![op(Way::Forward, x, y, 1), op(Way::Push, v, pushed, seeds), op(Way::Pull, v, pulled, seeds)];
                case.check(gpu(), ops, &format!("{kind:?} {len} {inner} {outer}"));
            }
        }
    }
}

#[test]
fn products_of_every_sample_s_matrices() {
    for shape in [[1, 1, 1], [31, 33, 7], [32, 32, 8], [33, 31, 9], [5, 67, 17]] {
        let [rows, columns, depth] = shape;
        for (replicas, batch, samples, seeds) in BATCHES {
            // Both as they are; each transposed, and each shared by a sample's seeds.
            for (a, b) in
                [((false, false), (false, false)), ((false, true), (true, false)), ((true, false), (true, true))]
            {
                let heads = if depth == 17 { 1 } else { 3 };
                let mut case = Case::new(replicas, samples);
                let mut factor = |(transposed, shared): (bool, bool), cols: usize| {
                    let share = if shared { seeds } else { 1 };
                    let view = case.input(batch * seeds / share, heads * cols, samples * seeds / share);
                    Factor { view, transposed, share }
                };
                let (a, b) = (factor(a, rows * depth), factor(b, depth * columns));
                let out = case.output(batch * seeds, heads * rows * columns);
                case.expect(out, samples * seeds, scale(depth));
                case.check(gpu(), vec![BatchProduct { a, b, out, heads, shape, seeds }.into()], &format!("{shape:?}"));
            }
        }
    }
}
