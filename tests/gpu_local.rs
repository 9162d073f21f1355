//! The WGSL kernels of local operators against their f64 twins.

use crate::common::case::{Case, gpu};
use eigenlens::kernels::*;

/// (replicas, batch, rows of the step, columns): 1, around the workgroup of 64, a prime, partial batches.
const SHAPES: [(usize, usize, usize, usize); 7] =
    [(1, 1, 1, 1), (2, 3, 2, 5), (1, 16, 16, 16), (3, 13, 11, 19), (1, 63, 63, 4), (1, 64, 64, 3), (2, 67, 65, 101)];

#[test]
fn columns_side_by_side() {
    for (replicas, batch, rows, cols) in SHAPES {
        for other in [1, 4, 7] {
            let seeds = 1 + rows % 3;
            let mut case = Case::new(replicas, rows);
            let a = case.input(batch * seeds, cols, rows * seeds);
            let b = case.input(batch * seeds, other, rows * seeds);
            let out = case.output(batch * seeds, cols + other);
            case.expect(out, rows * seeds, 1.0);
            case.check(gpu(), vec![Concat { a, b, out, seeds }.into()], &format!("concat {cols} {other}"));

            let mut case = Case::new(replicas, rows);
            let x = case.input(batch * seeds, cols + other, rows * seeds);
            // Begins anywhere, ends with the last column.
            let out = case.output(batch * seeds, other);
            case.expect(out, rows * seeds, 1.0);
            case.check(gpu(), vec![Slice { x, first: cols, out, seeds }.into()], &format!("slice {cols} {other}"));
        }
    }
}

#[test]
fn expand_is_the_first_product_of_a_jacobian() {
    for (replicas, batch, rows, cols) in SHAPES {
        let seeds = [1, 3, 6, 17][rows % 4];
        for parts in 0..12usize {
            let (with_left, with_right, weight) = (parts & 1 == 1, parts & 2 == 2, parts / 4);
            let cols = if weight == 0 { seeds } else { cols };
            let mut case = Case::new(replicas, rows);
            let left = with_left.then(|| case.input(batch, seeds, rows));
            let right = with_right.then(|| case.input(batch, cols, rows));
            let (_, views) = case.parameters(&[(seeds, cols), (1, cols), (1, seeds)]);
            let out = case.output(batch * seeds, cols);
            case.expect(out, rows * seeds, 1.0);
            let eigenvalues = Eigenvalues { lambda_in: views[1], lambda_out: views[2] };
            let op = Expand {
                left,
                weight: (weight > 0).then_some(views[0]),
                eigenvalues: (weight == 2).then_some(eigenvalues),
                right,
                out,
                seeds,
            };
            case.check(gpu(), vec![op.into()], &format!("expand {replicas} {rows}x{cols} parts {parts} seeds {seeds}"));
        }
    }
}

#[test]
fn slopes_and_intercepts_of_activations() {
    for activation in Activation::ALL {
        for secant in [false, true] {
            for (replicas, batch, rows, cols) in SHAPES {
                let mut case = Case::new(replicas, rows);
                let z = case.program.buffers.matrix("z", batch, cols);
                // On both sides of the secant's limit 1e-3, and far out; never so close to the limit that f32 and f64 differ.
                case.fill(z, rows, |random| match random.word() % 4 {
                    0 => 5e-4 * random.unit(),
                    1 => 0.0,
                    2 => random.unit().signum() * (0.01 + random.unit().abs()),
                    _ => 6.0 * random.unit().signum() * (0.1 + random.unit().abs()),
                });
                let y = case.output(batch, cols);
                let slope = case.output(batch, cols);
                let intercept = case.output(batch, cols);
                // A secant divides the error of σ(z) by |z| ≥ 0.01.
                case.expect(slope, rows, if secant { 100.0 } else { 1.0 });
                case.expect(intercept, rows, 8.0);
                let ops = vec![
                    Activate { x: z, y, activation }.into(),
                    Linearise { activation, secant, z, y, slope, intercept }.into(),
                ];
                case.check(gpu(), ops, &format!("{activation:?} secant {secant} {rows}x{cols}"));
            }
        }
    }
}

#[test]
fn slopes_and_intercepts_of_batch_norm() {
    for (replicas, batch, rows, cols) in SHAPES {
        let mut case = Case::new(replicas, rows);
        let (_, views) = case.parameters(&[(1, cols), (1, cols)]);
        let running = case.program.buffers.matrix("running", 2, cols);
        case.fill(running, 2, |random| 0.2 + random.unit().abs());
        let (slope, intercept) = (case.output(batch, cols), case.output(batch, cols));
        case.expect(slope, rows, 4.0);
        case.expect(intercept, rows, 8.0);
        let op = BatchNormLinearise { gamma: views[0], beta: views[1], running, epsilon: 1e-3, slope, intercept };
        case.check(gpu(), vec![op.into()], "batch norm");

        // Channels of five elements: vec4s that lie in two of them, or in one.
        let mut case = Case::new(replicas, rows);
        let (_, views) = case.parameters(&[(1, cols), (1, cols)]);
        let running = case.program.buffers.matrix("running", 2, cols);
        case.fill(running, 2, |random| 0.2 + random.unit().abs());
        let (slope, intercept) = (case.output(batch, 5 * cols), case.output(batch, 5 * cols));
        case.expect(slope, rows, 4.0);
        case.expect(intercept, rows, 8.0);
        let op = BatchNormLinearise { gamma: views[0], beta: views[1], running, epsilon: 1e-3, slope, intercept };
        case.check(gpu(), vec![op.into()], "batch norm by channel");
    }
}

#[test]
fn a_given_slope_multiplies() {
    for (replicas, batch, rows, cols) in SHAPES {
        let seeds = 1 + rows % 5;
        let mut case = Case::new(replicas, rows);
        let dy = case.input(batch * seeds, cols, rows * seeds);
        let saved = case.input(batch, cols, rows);
        let dx = case.output(batch * seeds, cols);
        case.expect(dx, rows * seeds, 1.0);
        let slope = Slope { rule: SlopeRule::Given, saved, seeds };
        case.check(gpu(), vec![ActivateBackward { dy, dx, slope }.into()], "given slope");

        for gpu in crate::common::case::gemm_variants() {
            let mut case = Case::new(replicas, rows);
            let a = case.input(batch * seeds, 9, rows * seeds);
            let saved = case.input(batch, cols, rows);
            let (_, views) = case.parameters(&[(9, cols)]);
            let out = case.output(batch * seeds, cols);
            case.expect(out, rows * seeds, 3.0);
            let slope = Some(Slope { rule: SlopeRule::Given, saved, seeds });
            let gemm = Gemm { slope, seeds, ..Gemm::plain(Form::Nn, a, views[0], out) };
            case.check(&gpu, vec![gemm.into()], &format!("{:?} with a given slope", gpu.caps().gemm));
        }
    }
}
