//! Slopes and intercepts of every node type against closed forms; products up and down the graph against each other.

use crate::common::case::gpu;
use eigenlens::Device;
use eigenlens::kernels::{Activation, Normalisation};
use eigenlens::network::local::SlopeForm;
use eigenlens::network::{
    ActivationNode, AddNode, BatchNorm, ConcatNode, Coordinates, Dense, DropoutNode, Initialisation, Interpolation,
    Layout, MatMulNode, Network, NormaliseNode, Parameters, Permute, Reshape, Resize, Sliding, TransposedConvolution,
    Weight,
};
use eigenlens::random::Random;
use eigenlens::specxai::{LocalOperator, Product};

const F64: Device = Device::CpuF64 { threads: 1 };

fn alone(layer: impl Into<eigenlens::network::Layer>, inputs: usize) -> Network {
    let mut network = Network::new(&[inputs]);
    network.then(layer).unwrap();
    network
}

fn initial(network: &Network) -> Parameters {
    Layout::new(network).initial(Initialisation::Glorot, 5)
}

/// σ and σ', written from their definitions.
fn closed(activation: Activation, z: f64) -> (f64, f64) {
    let logistic = 1.0 / (1.0 + (-z).exp());
    match activation {
        Activation::Identity => (z, 1.0),
        Activation::Relu => {
            if z > 0.0 {
                (z, 1.0)
            } else {
                (0.0, 0.0)
            }
        }
        Activation::LeakyRelu => {
            if z > 0.0 {
                (z, 1.0)
            } else {
                (0.01 * z, 0.01)
            }
        }
        Activation::Tanh => (z.tanh(), 1.0 / z.cosh().powi(2)),
        Activation::Sigmoid => (logistic, logistic * (1.0 - logistic)),
        Activation::Elu => {
            if z > 0.0 {
                (z, 1.0)
            } else {
                (z.exp_m1(), z.exp())
            }
        }
        Activation::Gelu => {
            let phi = 0.5 * (1.0 + libm::erf(z / 2f64.sqrt()));
            (z * phi, phi + z * (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt())
        }
        Activation::Silu => (z * logistic, logistic * (1.0 + z * (1.0 - logistic))),
    }
}

/// What these tests read after the forward pass.
const KEPT: [Product; 2] = [Product::Slopes, Product::Intercepts];

#[test]
fn activations() {
    let points = [-30.0, -4.0, -1.0, -0.3, -2e-3, -5e-4, 0.0, 5e-4, 2e-3, 0.3, 1.0, 4.0, 30.0];
    for activation in Activation::ALL {
        let network = alone(ActivationNode { activation }, points.len());
        for form in [SlopeForm::Tangent, SlopeForm::Secant] {
            let mut operator = LocalOperator::new(&network, &initial(&network), &KEPT, form, 1, &F64).unwrap();
            operator.load(&points).unwrap();
            let slopes = operator.slopes(1).unwrap().unwrap();
            let intercepts = operator.intercept(1).unwrap().unwrap();
            for (i, &z) in points.iter().enumerate() {
                let (value, derivative) = closed(activation, z);
                let smooth = !activation.piecewise_linear();
                let slope = match form {
                    SlopeForm::Secant if smooth && z.abs() < 1e-3 => closed(activation, 0.0).1,
                    SlopeForm::Secant if smooth => (value - closed(activation, 0.0).0) / z,
                    _ => derivative,
                };
                let intercept = value - slope * z;
                // Both sides are f64 formulas of a few operations; 1 − y² loses digits where tanh is near 1.
                let off = (slopes.row(0, 0)[i] - slope).abs();
                assert!(off < 1e-13, "{activation:?} {form:?} at {z}: slope off by {off}");
                let off = (intercepts.row(0, 0)[i] - intercept).abs();
                assert!(off < 1e-12, "{activation:?} {form:?} at {z}: intercept off by {off}");
            }
        }
    }
}

#[test]
fn batch_norm_and_dense() {
    let network = alone(BatchNorm::default(), 3);
    let layout = Layout::new(&network);
    let mut p = initial(&network);
    let (gamma, beta, mean, var) = ([2.0, -1.0, 0.5], [0.1, 0.2, 0.3], [1.0, -2.0, 3.0], [4.0, 0.25, 1e-4]);
    p.set(layout.find(1, "gamma").unwrap(), &gamma);
    p.set(layout.find(1, "beta").unwrap(), &beta);
    p.set(layout.find(1, "running").unwrap(), &[mean, var].concat());
    let mut operator = LocalOperator::new(&network, &p, &KEPT, SlopeForm::Tangent, 2, &F64).unwrap();
    operator.load(&[0.0; 6]).unwrap();
    let (slopes, intercepts) = (operator.slopes(1).unwrap().unwrap(), operator.intercept(1).unwrap().unwrap());
    for i in 0..3 {
        let slope = gamma[i] / (var[i] + f64::from(1e-3f32)).sqrt();
        for sample in 0..2 {
            assert!((slopes.row(sample, 0)[i] - slope).abs() < 1e-12);
            assert!((intercepts.row(sample, 0)[i] - (beta[i] - mean[i] * slope)).abs() < 1e-12);
        }
    }
    let network = alone(Dense { units: 2, weight: Weight::Direct, train_bias: true }, 3);
    let layout = Layout::new(&network);
    let mut p = initial(&network);
    p.set(layout.find(1, "bias").unwrap(), &[0.5, -0.25]);
    let mut operator = LocalOperator::new(&network, &p, &KEPT, SlopeForm::Tangent, 1, &F64).unwrap();
    operator.load(&[0.0; 3]).unwrap();
    assert_eq!(operator.intercept(1).unwrap().unwrap().row(0, 0), [0.5, -0.25]);
    assert!(operator.slopes(1).unwrap().is_none());
}

#[test]
fn nodes_without_intercept() {
    let mut network = Network::new(&[2, 2]);
    let flat = network.then(Reshape::default()).unwrap();
    let dropped = network.then(DropoutNode { probability: 0.5 }).unwrap();
    let sum = network.push(AddNode {}.into(), &[flat, dropped]).unwrap();
    let last = network.push(ConcatNode {}.into(), &[sum, flat, dropped]).unwrap();
    let p = initial(&network);
    let products = [Product::Jacobian(last), Product::Trace, Product::Intercepts];
    let mut operator = LocalOperator::new(&network, &p, &products, SlopeForm::Tangent, 1, &F64).unwrap();
    operator.load(&[1.0, 2.0, 3.0, 4.0]).unwrap();
    assert!((1..=last).all(|id| operator.intercept(id).unwrap().is_none()));
    assert_eq!(operator.output().unwrap().row(0, 0), [2.0, 4.0, 6.0, 8.0, 1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
    let j = operator.jacobian(last).unwrap();
    for r in 0..12 {
        let expected: Vec<f64> = (0..4).map(|c| if r % 4 == c { [2.0, 1.0, 1.0][r / 4] } else { 0.0 }).collect();
        assert_eq!(j.row(0, r), expected);
    }
}

/// A residual block and an arm beside it.
fn network(inputs: usize, outputs: usize) -> Network {
    let dense = |units| Dense { units, weight: Weight::Direct, train_bias: true };
    let mut network = Network::new(&[inputs]);
    network.then(dense(9)).unwrap();
    let a = network.then(ActivationNode { activation: Activation::Silu }).unwrap();
    network.then(dense(9)).unwrap();
    let b = network.then(BatchNorm::default()).unwrap();
    let sum = network.push(AddNode {}.into(), &[a, b]).unwrap();
    let c = network.push(dense(4).into(), &[a]).unwrap();
    network.push(ConcatNode {}.into(), &[c, sum]).unwrap();
    network.then(ActivationNode { activation: Activation::Relu }).unwrap();
    network.then(dense(outputs)).unwrap();
    network
}

#[test]
fn up_and_down_give_one_jacobian() {
    for (inputs, outputs) in [(3, 8), (8, 3), (5, 5)] {
        let network = network(inputs, outputs);
        let last = network.nodes.len() - 1;
        let products = [
            Product::Jacobian(last),
            Product::Pull { node: last, seeds: outputs },
            Product::Push { node: last, seeds: inputs },
        ];
        let p = initial(&network);
        let mut operator = LocalOperator::new(&network, &p, &products, SlopeForm::Tangent, 4, &F64).unwrap();
        let mut random = Random::new(3, 3);
        let x: Vec<f64> = (0..4 * inputs).map(|_| random.normal()).collect();
        operator.load(&x).unwrap();
        let identity = |n: usize| (0..4 * n * n).map(|i| f64::from(u8::from(i % n == i / n % n))).collect::<Vec<_>>();
        let whole = operator.jacobian(last).unwrap();
        let down = operator.pull(last, outputs, &identity(outputs)).unwrap();
        let up = operator.push(last, inputs, &identity(inputs)).unwrap();
        for sample in 0..4 {
            for r in 0..outputs {
                for c in 0..inputs {
                    let expected = whole.row(sample, r)[c];
                    // The same sums of some 20 products in another order.
                    assert!((down.row(sample, r)[c] - expected).abs() < 1e-13);
                    assert!((up.row(sample, c)[r] - expected).abs() < 1e-13);
                }
            }
        }
    }
}

/// What a decoder and attention are made of, on samples [2, 3, 4].
fn decoder() -> Network {
    let mut network = Network::new(&[2, 3, 4]);
    let sliding = Sliding { stride: vec![2, 1], ..Sliding::new(&[2, 3]) };
    network
        .then(TransposedConvolution { channels: 4, output: vec![7, 6], sliding, groups: 2, train_bias: true })
        .unwrap();
    let resize = Resize {
        shape: vec![4, 3, 5],
        scales: vec![1.0, 3.0 / 7.0, 5.0 / 6.0],
        coordinates: Coordinates::AlignCorners,
        interpolation: Interpolation::Linear,
        exclude_outside: false,
        antialias: false,
    };
    network.then(resize).unwrap();
    let normalise = |kind, first, last| NormaliseNode { kind, first, last, epsilon: 0.01 };
    let query = network.then(normalise(Normalisation::Standard, 1, 3)).unwrap();
    let key = network.then(Permute { axes: vec![0, 2, 1] }).unwrap();
    network.push(MatMulNode {}.into(), &[query, key]).unwrap();
    let weights = network.then(normalise(Normalisation::Softmax, 1, 2)).unwrap();
    network.push(MatMulNode {}.into(), &[weights, query]).unwrap();
    network.then(normalise(Normalisation::LogSoftmax, 0, 1)).unwrap();
    network
}

#[test]
fn products_are_adjoint() {
    let engines = [(F64, 1e-13), (Device::Cpu { threads: 2 }, 1e-5), (Device::Gpu(gpu().clone()), 1e-5)];
    for (device, tolerance) in engines {
        for network in [network(7, 6), decoder()] {
            adjoint(&network, &device, tolerance);
        }
    }
}

fn adjoint(network: &Network, device: &Device, tolerance: f64) {
    let (seeds, n) = (5, network.input_width());
    for node in 1..network.nodes.len() {
        let m = network.nodes[node].width();
        let products = [Product::Pull { node, seeds }, Product::Push { node, seeds }];
        let p = initial(network);
        let mut operator = LocalOperator::new(network, &p, &products, SlopeForm::Secant, 3, device).unwrap();
        let mut random = Random::new(node as u64, 4);
        let mut vectors = |n: usize| (0..n).map(|_| f64::from(random.normal() as f32)).collect::<Vec<f64>>();
        operator.load(&vectors(3 * n)).unwrap();
        let (u, v) = (vectors(3 * seeds * m), vectors(3 * seeds * n));
        let down = operator.pull(node, seeds, &u).unwrap();
        let up = operator.push(node, seeds, &v).unwrap();
        for sample in 0..3 {
            for seed in 0..seeds {
                let at = sample * seeds + seed;
                let left: f64 = u[at * m..][..m].iter().zip(up.row(sample, seed)).map(|(a, b)| a * b).sum();
                let right: f64 = v[at * n..][..n].iter().zip(down.row(sample, seed)).map(|(a, b)| a * b).sum();
                // Rounding of sums of numbers of order 1 to 10.
                assert!((left - right).abs() < tolerance * (1.0 + left.abs()), "{device} node {node}: {left} {right}");
            }
        }
    }
}
