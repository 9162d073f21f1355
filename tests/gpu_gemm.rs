//! The matrix products in WGSL against their f64 twin.

use crate::common::case::{Case, gemm_variants};
use eigenlens::kernels::{Activation, Eigenvalues, Form, Gemm, Op, Slope, SlopeRule};
use eigenlens::program::View;

/// Errors of a sum of K rounded products of order 1 grow as √K.
fn scale(depth: usize) -> f64 {
    1.0 + (depth as f64).sqrt()
}

#[derive(Clone, Copy)]
struct Shape {
    replicas: usize,
    /// The batch that the plan is for, and the rows of this step.
    batch: usize,
    rows: usize,
    inputs: usize,
    outputs: usize,
    seeds: usize,
}

/// ψ | λ_in | λ_out | bias, as the parameters of a network lie.
fn weights(case: &mut Case, shape: Shape) -> (View, Eigenvalues, View) {
    let (m, n) = (shape.outputs, shape.inputs);
    let (_, views) = case.parameters(&[(m, n), (1, n), (1, m), (1, m)]);
    (views[0], Eigenvalues { lambda_in: views[1], lambda_out: views[2] }, views[3])
}

fn plain(form: Form, a: View, b: View, out: View, seeds: usize) -> Gemm {
    Gemm {
        form,
        a,
        b,
        eigenvalues: None,
        out,
        bias: None,
        pre: None,
        activation: Activation::Identity,
        slope: None,
        bias_gradient: None,
        seeds,
    }
}

fn forward(gpu: &eigenlens::engine::gpu::Gpu, shape: Shape, spectral: bool, bias: bool, activation: Activation) {
    let mut case = Case::new(shape.replicas, shape.rows);
    let (batch, rows) = (shape.batch * shape.seeds, shape.rows * shape.seeds);
    let a = case.input(batch, shape.inputs, rows);
    let (psi, eigenvalues, b) = weights(&mut case, shape);
    let out = case.output(batch, shape.outputs);
    let mut gemm = plain(Form::Nt, a, psi, out, shape.seeds);
    gemm.eigenvalues = spectral.then_some(eigenvalues);
    gemm.bias = bias.then_some(b);
    gemm.activation = activation;
    if activation.slope_needs_input() {
        let pre = case.output(batch, shape.outputs);
        gemm.pre = Some(pre);
        case.expect(pre, rows, scale(shape.inputs));
    }
    case.expect(out, rows, scale(shape.inputs));
    let what = format!("{:?} Nt {} spectral {spectral} {activation:?}", gpu.caps().gemm, describe(shape));
    case.check(gpu, vec![Op::from(gemm)], &what);
}

fn backward(gpu: &eigenlens::engine::gpu::Gpu, shape: Shape, spectral: bool, slope: Option<Activation>) {
    let mut case = Case::new(shape.replicas, shape.rows);
    let (batch, rows) = (shape.batch * shape.seeds, shape.rows * shape.seeds);
    let a = case.input(batch, shape.outputs, rows);
    let (psi, eigenvalues, _) = weights(&mut case, shape);
    let out = case.output(batch, shape.inputs);
    let mut gemm = plain(Form::Nn, a, psi, out, shape.seeds);
    gemm.eigenvalues = spectral.then_some(eigenvalues);
    if let Some(activation) = slope {
        let saved = case.input(shape.batch, shape.inputs, shape.rows);
        gemm.slope = Some(Slope { rule: SlopeRule::Of(activation), saved, seeds: shape.seeds });
    }
    case.expect(out, rows, scale(shape.outputs));
    let what = format!("{:?} Nn {} spectral {spectral} {slope:?}", gpu.caps().gemm, describe(shape));
    case.check(gpu, vec![Op::from(gemm)], &what);
}

/// `bias`: 0 none, 1 in the result's buffer, 2 in another.
fn gradient(gpu: &eigenlens::engine::gpu::Gpu, shape: Shape, bias: usize) {
    // The twin knows no seeds here: training has one a sample.
    let shape = Shape { seeds: 1, ..shape };
    let mut case = Case::new(shape.replicas, shape.rows);
    let (batch, rows) = (shape.batch * shape.seeds, shape.rows * shape.seeds);
    let a = case.input(batch, shape.outputs, rows);
    let b = case.input(shape.batch, shape.inputs, shape.rows);
    let (_, views) = case.parameters(&[(shape.outputs, shape.inputs), (1, shape.outputs)]);
    let (_, others) = case.parameters(&[(1, 3), (1, shape.outputs)]);
    let mut gemm = plain(Form::Tn, a, b, views[0], shape.seeds);
    gemm.bias_gradient = [None, Some(views[1]), Some(others[1])][bias];
    for view in [Some(gemm.out), gemm.bias_gradient, Some(others[0])].into_iter().flatten() {
        case.expect(view, view.rows, scale(rows));
    }
    let what = format!("{:?} Tn {} bias {bias}", gpu.caps().gemm, describe(shape));
    case.check(gpu, vec![Op::from(gemm)], &what);
}

fn describe(s: Shape) -> String {
    format!("R {} batch {}/{} {} -> {} seeds {}", s.replicas, s.rows, s.batch, s.inputs, s.outputs, s.seeds)
}

/// 1, tile − 1, tile, tile + 1 (tiles of 32 and 64), primes, non-square; full and partial batches.
const SHAPES: [Shape; 9] = [
    Shape { replicas: 1, batch: 1, rows: 1, inputs: 1, outputs: 1, seeds: 1 },
    Shape { replicas: 2, batch: 31, rows: 31, inputs: 33, outputs: 32, seeds: 1 },
    Shape { replicas: 1, batch: 32, rows: 32, inputs: 31, outputs: 31, seeds: 1 },
    Shape { replicas: 3, batch: 33, rows: 29, inputs: 5, outputs: 33, seeds: 1 },
    Shape { replicas: 1, batch: 65, rows: 63, inputs: 64, outputs: 65, seeds: 1 },
    Shape { replicas: 1, batch: 64, rows: 64, inputs: 65, outputs: 64, seeds: 1 },
    Shape { replicas: 2, batch: 97, rows: 1, inputs: 127, outputs: 10, seeds: 1 },
    Shape { replicas: 1, batch: 130, rows: 127, inputs: 9, outputs: 131, seeds: 1 },
    Shape { replicas: 1, batch: 14, rows: 11, inputs: 37, outputs: 6, seeds: 5 },
];

#[test]
fn forward_products() {
    for gpu in gemm_variants() {
        for shape in SHAPES {
            forward(&gpu, shape, true, true, Activation::Identity);
            forward(&gpu, shape, false, false, Activation::Relu);
        }
        for activation in Activation::ALL {
            forward(&gpu, SHAPES[3], true, true, activation);
        }
    }
}

#[test]
fn backward_products() {
    for gpu in gemm_variants() {
        for shape in SHAPES {
            backward(&gpu, shape, true, None);
            backward(&gpu, shape, false, Some(Activation::Relu));
        }
        for activation in Activation::ALL {
            backward(&gpu, SHAPES[3], true, Some(activation));
            backward(&gpu, SHAPES[8], true, Some(activation));
        }
    }
}

#[test]
fn gradient_products() {
    for gpu in gemm_variants() {
        for shape in SHAPES {
            for bias in 0..3 {
                gradient(&gpu, shape, bias);
            }
        }
    }
}

#[test]
fn infinite_and_undefined_weights_stay_visible() {
    for gpu in gemm_variants() {
        for poison in [f64::NAN, f64::INFINITY] {
            for activation in Activation::ALL {
                let shape = Shape { replicas: 1, batch: 5, rows: 5, inputs: 6, outputs: 7, seeds: 1 };
                let mut case = Case::new(1, 5);
                let a = case.input(5, 6, 5);
                let (psi, _, _) = weights(&mut case, shape);
                case.floats(a.buffer, 0, 2, vec![poison, f64::NAN]);
                let out = case.output(5, 7);
                let pre = case.output(5, 7);
                let mut gemm = plain(Form::Nt, a, psi, out, 1);
                gemm.activation = activation;
                gemm.pre = Some(pre);
                let mut session = case.run_gpu(&gpu, vec![Op::from(gemm)]);
                let row = eigenlens::engine::Session::read(&mut session, out.buffer, 0, 0, 7).unwrap();
                assert!(row.iter().all(|x| x.is_nan()), "{:?} {activation:?}: {row:?}", gpu.caps().gemm);
            }
        }
    }
}
