//! Local operators and their decompositions: receipts, closed forms, adjoints, independent references.

use crate::common::case::gpu;
use eigenlens::Device;
use eigenlens::kernels::{Activation, Function};
use eigenlens::network::local::SlopeForm;
use eigenlens::network::record::{Mode, Recorder, Workspace};
use eigenlens::network::{
    ActivationNode, AddNode, AveragePool, BatchNorm, Beyond, Broadcast, By, ConcatNode, Convolution, Dense,
    DropoutNode, FunctionNode, Layout, MaxPoolNode, Network, Pad, Padding, Parameters, Permute, ProductNode,
    ReduceNode, Reshape, Role, Scale, SliceNode, Sliding, Spectral, Weight,
};
use eigenlens::program::Step;
use eigenlens::random::Random;
use eigenlens::specxai::{
    ExplainSettings, Explained, Explanation, LocalOperator, Output, Product, decompose, explain, is_cut, split_node,
    tolerance,
};

const F64: Device = Device::CpuF64 { threads: 2 };
const F32: Device = Device::Cpu { threads: 2 };

fn dense(network: &mut Network, from: usize, units: usize) -> usize {
    let layer = Dense { units, weight: Weight::Direct, train_bias: true };
    network.push(layer.into(), &[from]).unwrap()
}

fn activate(network: &mut Network, from: usize, activation: Activation) -> usize {
    network.push(ActivationNode { activation }.into(), &[from]).unwrap()
}

/// Dense, activation, (batch norm,) … with a spectral first layer.
fn plain(inputs: usize, widths: &[usize], activation: Activation, batch_norm: bool) -> Network {
    let mut network = Network::new(&[inputs]);
    for (i, &units) in widths.iter().enumerate() {
        let weight = if i == 0 { Weight::Spectral(Spectral::default()) } else { Weight::Direct };
        network.then(Dense { units, weight, train_bias: true }).unwrap();
        if i + 1 < widths.len() {
            network.then(ActivationNode { activation }).unwrap();
            if batch_norm {
                network.then(BatchNorm::default()).unwrap();
            }
            network.then(DropoutNode { probability: 0.2 }).unwrap();
        }
    }
    network
}

/// Every node type: a residual block, a concatenation of two arms, flatten, batch norm in the middle.
fn branched(inputs: [usize; 2], activation: Activation) -> Network {
    let mut network = Network::new(&inputs);
    let flat = network.then(Reshape::default()).unwrap();
    let a = dense(&mut network, flat, 10);
    let a = activate(&mut network, a, activation);
    let b = network.push(BatchNorm::default().into(), &[a]).unwrap();
    let c = dense(&mut network, b, 10);
    let c = activate(&mut network, c, activation);
    let sum = network.push(AddNode {}.into(), &[a, c]).unwrap();
    let d = dense(&mut network, sum, 5);
    let e = dense(&mut network, sum, 6);
    let e = activate(&mut network, e, activation);
    let joined = network.push(ConcatNode {}.into(), &[d, e, b]).unwrap();
    let f = activate(&mut network, joined, activation);
    dense(&mut network, f, 3);
    network
}

/// Convolutions: spectral, strided, depthwise, pointwise, in a residual block; a concatenation of channels; both kinds of pooling.
fn convolutional(activation: Activation) -> Network {
    let padded = Sliding { padding: Padding::SameUpper, ..Sliding::new(&[3, 3]) };
    let direct = |filters, sliding: Sliding, groups| Convolution {
        filters,
        sliding,
        groups,
        weight: Weight::Direct,
        train_bias: true,
    };
    let mut network = Network::new(&[2, 6, 5]);
    let weight = Weight::Spectral(Spectral::default());
    let first = network.then(Convolution { weight, ..direct(4, padded.clone(), 1) }).unwrap();
    let a = activate(&mut network, first, activation);
    let pooled = MaxPoolNode { sliding: Sliding { stride: vec![2, 1], ..Sliding::new(&[2, 2]) } };
    let a = network.push(pooled.into(), &[a]).unwrap();
    let b = network.push(direct(4, padded.clone(), 4).into(), &[a]).unwrap();
    let b = network.push(Scale { by: By::Channel }.into(), &[b]).unwrap();
    let b = activate(&mut network, b, activation);
    let sum = network.push(AddNode {}.into(), &[a, b]).unwrap();
    let c = network.push(direct(3, Sliding::new(&[1, 1]), 1).into(), &[sum]).unwrap();
    let c = activate(&mut network, c, activation);
    let halved = Sliding { stride: vec![2, 2], ..padded };
    let d = network.push(direct(2, halved.clone(), 1).into(), &[c]).unwrap();
    let e = network.push(AveragePool { sliding: halved, count_padding: false }.into(), &[c]).unwrap();
    let joined = network.push(ConcatNode {}.into(), &[d, e]).unwrap();
    let f = activate(&mut network, joined, activation);
    dense(&mut network, f, 3);
    network
}

/// Squeeze and excitation, x·sigmoid(x), layer normalisation by hand, and elements that are moved.
fn gated() -> Network {
    let function = |function, a, b| FunctionNode { function, a, b };
    let mut network = Network::new(&[2, 4, 3]);
    let sliding = Sliding { padding: Padding::SameUpper, ..Sliding::new(&[3, 3]) };
    let weight = Weight::Direct;
    let x = network.then(Convolution { filters: 4, sliding, groups: 1, weight, train_bias: true }).unwrap();
    let gate = activate(&mut network, x, Activation::Sigmoid);
    let silu = network.push(ProductNode {}.into(), &[x, gate]).unwrap();
    network.then(ReduceNode { axes: vec![1, 2], mean: true }).unwrap();
    network.then(function(Function::HardSigmoid, 0.3, 0.5)).unwrap();
    let spread = network.then(Broadcast { shape: vec![4, 4, 3] }).unwrap();
    let excited = network.push(ProductNode {}.into(), &[silu, spread]).unwrap();
    network.then(Pad { before: vec![0, 1, 1], after: vec![0, 0, 1], beyond: Beyond::Reflect }).unwrap();
    network.then(Permute { axes: vec![1, 2, 0] }).unwrap();
    let cut = network.then(SliceNode { axis: 0, places: vec![4, 1, 2] }).unwrap();
    let mean = network.push(ReduceNode { axes: vec![2], mean: true }.into(), &[cut]).unwrap();
    let mean = network.push(Broadcast { shape: vec![3, 5, 4] }.into(), &[mean]).unwrap();
    let negative = network.push(function(Function::Affine, -1.0, 0.0).into(), &[mean]).unwrap();
    let centred = network.push(AddNode {}.into(), &[cut, negative]).unwrap();
    network.push(ProductNode {}.into(), &[centred, centred]).unwrap();
    network.then(ReduceNode { axes: vec![2], mean: true }).unwrap();
    network.then(function(Function::Affine, 1.0, 0.1)).unwrap();
    network.then(function(Function::Power, -0.5, 0.0)).unwrap();
    let inverse = network.then(Broadcast { shape: vec![3, 5, 4] }).unwrap();
    let normal = network.push(ProductNode {}.into(), &[centred, inverse]).unwrap();
    let a = dense(&mut network, normal, 3);
    let b = dense(&mut network, excited, 3);
    network.push(AddNode {}.into(), &[a, b]).unwrap();
    network
}

/// Random parameters and plausible statistics; biases are not small.
fn parameters(network: &Network, seed: u64) -> Parameters {
    let layout = Layout::new(network);
    let mut random = Random::new(seed, 1);
    let mut all = Parameters::zeros(&layout);
    for tensor in &layout.tensors {
        let scale = if tensor.rows > 1 { 1.0 / (tensor.cols as f64).sqrt() } else { 0.3 };
        let values = (0..tensor.rows * tensor.cols).map(|i| {
            let x = if tensor.role == Role::Statistic && i >= tensor.cols {
                0.5 + random.uniform()
            } else if matches!(tensor.name, "gamma" | "lambda_in" | "scale") {
                1.0 + 0.2 * random.normal()
            } else {
                scale * random.normal()
            };
            f64::from(x as f32)
        });
        all.set(tensor, &values.collect::<Vec<_>>());
    }
    all
}

fn inputs(network: &Network, rows: usize, seed: u64) -> Vec<f64> {
    let mut random = Random::new(seed, 2);
    (0..rows * network.input_width()).map(|_| f64::from(random.normal() as f32)).collect()
}

fn every_node(network: &Network) -> Vec<usize> {
    (1..network.nodes.len()).collect()
}

fn explained(network: &Network, x: &[f64], settings: &ExplainSettings, device: &Device) -> Explained {
    explain(network, &parameters(network, 3), x, settings, device).unwrap()
}

fn networks() -> Vec<(&'static str, Network)> {
    vec![
        ("relu", plain(12, &[20, 15, 4], Activation::Relu, false)),
        ("batch norm", plain(12, &[9, 15, 4], Activation::Relu, true)),
        ("tanh", plain(12, &[20, 15, 4], Activation::Tanh, false)),
        ("gelu", plain(7, &[8, 6, 2], Activation::Gelu, false)),
        ("branches", branched([3, 4], Activation::Relu)),
        ("smooth branches", branched([3, 4], Activation::Silu)),
        ("convolutions", convolutional(Activation::Relu)),
        ("smooth convolutions", convolutional(Activation::Gelu)),
        ("gates", gated()),
    ]
}

/// The identities of method.md section 3 at every node.
fn check_receipts(device: &Device, tolerance: f64) {
    for (name, network) in networks() {
        for form in [SlopeForm::Tangent, SlopeForm::Secant] {
            for output in [Output::Predicted, Output::Index(1), Output::Difference(0, 1)] {
                let settings = ExplainSettings {
                    output,
                    slopes: form,
                    components: 100,
                    ..ExplainSettings::at(&every_node(&network))
                };
                let x = inputs(&network, 9, 5);
                let found = explained(&network, &x, &settings, device);
                assert_eq!(found.explanations.len(), 9 * settings.splits.len());
                for e in &found.explanations {
                    let place = format!("{name} {form:?} {output} row {} split {}", e.row, e.split);
                    assert!(e.residual <= tolerance, "{place}: residual {}", e.residual);
                    assert!(e.map_residual <= tolerance, "{place}: map residual {}", e.map_residual);
                    assert_eq!(e.is_cut, is_cut(&network, split_node(&network, &e.split).unwrap()));
                    if e.is_cut {
                        assert_eq!(e.bypass, 0.0, "{place}");
                    }
                    let size = e.attribution.iter().fold(0.0f64, |a, b| a.max(b.abs()));
                    let whole: f64 = e.contributions.iter().map(|c| c.alpha.abs()).sum::<f64>().max(1.0);
                    for (c, map) in e.contributions.iter().zip(&e.maps) {
                        assert!(c.c >= 0.0, "{place}: the sign convention");
                        assert!((map.iter().sum::<f64>() - c.alpha).abs() <= tolerance * whole, "{place}: map {}", c.k);
                    }
                    // The maps summed over k, with what is left over and what goes around, are slope times input.
                    let rest = e.rest_map();
                    let off = rest.iter().zip(&e.bypass_map).map(|(r, b)| (r - b).abs()).fold(0.0, f64::max);
                    assert!(off <= 10.0 * tolerance * size, "{place}: {off} of {size}");
                }
                // Every cut gives the same sum.
                for row in 0..9 {
                    let sums: Vec<f64> = found
                        .explanations
                        .iter()
                        .filter(|e| e.row == row && e.is_cut)
                        .map(|e| e.alpha_sum() + e.remainder)
                        .collect();
                    assert!(sums.len() >= 2);
                    let size = found
                        .explanations
                        .iter()
                        .find(|e| e.row == row)
                        .unwrap()
                        .attribution
                        .iter()
                        .map(|a| a.abs())
                        .sum::<f64>();
                    assert!(sums.iter().all(|s| (s - sums[0]).abs() <= tolerance * size.max(1.0)), "{name}: {sums:?}");
                }
            }
        }
    }
}

#[test]
fn receipts_in_f64() {
    // Rounding of sums of some 20 products of order 1 to 10.
    check_receipts(&F64, 1e-12);
}

#[test]
fn receipts_in_f32() {
    check_receipts(&F32, 1e-5);
}

#[test]
fn receipts_on_the_gpu() {
    check_receipts(&Device::Gpu(gpu().clone()), 1e-5);
}

/// `J` by finite differences of the network's own output, away from kinks.
#[test]
fn jacobians_are_derivatives() {
    for (name, network) in networks() {
        let p = parameters(&network, 3);
        let (c, n) = (network.output().width(), network.input_width());
        let last = network.nodes.len() - 1;
        let x = inputs(&network, 1, 8);
        let products: Vec<Product> = every_node(&network).iter().map(|&s| Product::Jacobian(s)).collect();
        let mut operator = LocalOperator::new(&network, &p, &products, SlopeForm::Tangent, 1, &F64).unwrap();
        operator.load(&x).unwrap();
        for node in every_node(&network) {
            let j = operator.jacobian(node).unwrap();
            let width = network.nodes[node].width();
            assert_eq!((j.rows, j.cols), (width, n));
            for i in 0..n {
                let h = 1e-5;
                let at = |shift: f64| {
                    let mut moved = x.clone();
                    moved[i] += shift;
                    let mut other =
                        LocalOperator::new(&network, &p, &[Product::Outputs], SlopeForm::Tangent, 1, &F64).unwrap();
                    other.load(&moved).unwrap();
                    other.node_output(node).unwrap().row(0, 0).to_vec()
                };
                let (up, down) = (at(h), at(-h));
                for r in 0..width {
                    let slope = (up[r] - down[r]) / (2.0 * h);
                    // Truncation h²·f'''/6 is about 1e-10 here; rounding 1e-16/h, 1e-11.
                    assert!((j.row(0, r)[i] - slope).abs() < 1e-8, "{name} node {node} [{r}, {i}]");
                }
            }
            if node == last {
                assert_eq!(j.rows, c);
            }
        }
    }
}

/// `J` is what the trainer's backward pass computes, row by row.
#[test]
fn jacobians_are_the_trainers() {
    for activation in Activation::ALL {
        let mut network = Network::new(&[6]);
        let a = dense(&mut network, 0, 9);
        let a = activate(&mut network, a, activation);
        let b = dense(&mut network, a, 9);
        let sum = network.push(AddNode {}.into(), &[a, b]).unwrap();
        let last = dense(&mut network, sum, 3);
        let p = parameters(&network, 4);
        let x = inputs(&network, 1, 9);
        let mut operator =
            LocalOperator::new(&network, &p, &[Product::Jacobian(last)], SlopeForm::Tangent, 1, &F64).unwrap();
        operator.load(&x).unwrap();
        let j = operator.jacobian(last).unwrap();

        let mut workspace = Workspace::new(&network, 1, 1);
        let input = workspace.program.buffers.matrix("x", 1, 6);
        let dy = workspace.program.buffers.matrix("dy", 1, 3);
        let mut recorder = Recorder::new(&network, &mut workspace, Mode::Train, input, true);
        recorder.forward();
        recorder.backward(dy);
        let dx = recorder.gradient(0).unwrap();
        let ops = recorder.finish();
        let plan = workspace.program.pass("backward", ops);
        let buffer = workspace.parameters;
        let mut session = F64.load(workspace.program).unwrap();
        session.write(buffer, None, 0, &p.values()).unwrap();
        session.write(input.buffer, None, 0, &x).unwrap();
        for r in 0..3 {
            let mut seed = [0.0; 4];
            seed[r] = 1.0;
            session.write(dy.buffer, None, 0, &seed).unwrap();
            let step = Step { index: 0, rows: 1, begin: 0, epoch: 0, count: 0, rate: 0.0, ordering: 0, kept: 0 };
            session.run(plan, &[step]).unwrap();
            let gradient = session.read(dx.buffer, 0, 0, 6).unwrap();
            for (g, j) in gradient.iter().zip(j.row(0, r)) {
                // The same products in another order.
                assert!((g - j).abs() < 1e-14 * (1.0 + g.abs()) * 100.0, "{activation:?} {g} {j}");
            }
        }
    }
}

#[test]
fn decompositions_are_svds() {
    let mut random = Random::new(1, 0);
    for (m, n) in [(1, 1), (3, 8), (8, 3), (20, 50), (50, 20)] {
        for epsilon in [f64::EPSILON, f64::from(f32::EPSILON)] {
            let r: Vec<f64> = (0..m * n).map(|_| random.normal()).collect();
            let rows: Vec<&[f64]> = r.chunks_exact(n).collect();
            let t = decompose(&rows, n, epsilon);
            assert_eq!(t.sigma.len(), m.min(n));
            for (k, p) in t.left.iter().enumerate() {
                let image: Vec<f64> = (0..n).map(|c| (0..m).map(|j| rows[j][c] * p[j]).sum()).collect();
                let norm = image.iter().map(|x| x * x).sum::<f64>().sqrt();
                assert!((norm - t.sigma[k]).abs() < 1e-9 * t.sigma[0], "{m}x{n}: σ{k}");
                for q in &t.left[..k] {
                    assert!(p.iter().zip(q).map(|(a, b)| a * b).sum::<f64>().abs() < 1e-6, "orthogonal");
                }
            }
        }
    }
}

#[test]
fn wrong_requests_are_told() {
    let network = plain(12, &[9, 4], Activation::Relu, false);
    let p = parameters(&network, 3);
    let said = |e: eigenlens::Error| e.to_string();
    let unknown = said(split_node(&network, "dense7").unwrap_err());
    assert!(unknown.contains("dense7") && unknown.contains("dense1, activation1"), "{unknown}");
    let input = said(split_node(&network, "input").unwrap_err());
    assert!(input.contains("can't be split at its input") && input.contains("dense1, activation1"), "{input}");
    let x = inputs(&network, 1, 5);
    for (output, expected) in
        [(Output::Index(4), "0 to 3"), (Output::Difference(1, 9), "0 to 3"), (Output::Difference(2, 2), "always zero")]
    {
        let settings = ExplainSettings { output, ..ExplainSettings::at(&[1]) };
        let error = said(explain(&network, &p, &x, &settings, &F32).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
    let mut broken = inputs(&network, 3, 5);
    broken[12 + 7] = f64::NAN;
    let error = said(explain(&network, &p, &broken, &ExplainSettings::at(&[1]), &F32).unwrap_err());
    assert!(error.contains("input 7 of row 1"), "{error}");
    let mut operator = LocalOperator::new(&network, &p, &[], SlopeForm::Tangent, 2, &F32).unwrap();
    for numbers in [0, 11, 13, 36] {
        let error = said(operator.load(&vec![0.0; numbers]).unwrap_err());
        assert!(error.contains("12 inputs"), "{error}");
    }
}

#[test]
fn a_dead_network_has_intercepts_alone() {
    let network = plain(12, &[9, 4], Activation::Relu, false);
    let mut p = parameters(&network, 3);
    let layout = Layout::new(&network);
    p.set(layout.find(1, "bias").unwrap(), &[-1e3; 9]);
    let x = inputs(&network, 4, 5);
    for device in [F64, F32, Device::Gpu(gpu().clone())] {
        let settings = ExplainSettings::at(&every_node(&network));
        for e in explain(&network, &p, &x, &settings, &device).unwrap().explanations {
            assert_eq!(e.alpha_sum(), 0.0);
            assert!(e.attribution.iter().all(|a| *a == 0.0) && e.residual < 1e-6, "{e:?}");
            assert!(e.contributions.iter().all(|c| c.share.is_none()), "there is nothing to have a share of");
            // Above the dead activation R is zero; below it is the weight.
            assert_eq!(e.rank == 0, e.split != "dense1", "{}", e.split);
        }
    }
}

#[test]
fn equal_singular_values_are_one_cluster() {
    // An orthogonal weight: all singular values are 2.
    let mut network = Network::new(&[4]);
    let a = dense(&mut network, 0, 4);
    dense(&mut network, a, 1);
    let layout = Layout::new(&network);
    let mut p = parameters(&network, 3);
    let h = [[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, 1.0]];
    p.set(layout.find(1, "weight").unwrap(), &h.concat());
    let found = explain(&network, &p, &[0.3, -1.0, 2.0, 0.7], &ExplainSettings::at(&[a]), &F32).unwrap();
    let e = &found.explanations[0];
    assert_eq!(e.rank, 4);
    for c in &e.contributions {
        assert!((c.sigma - 2.0).abs() < 1e-6);
        assert_eq!(c.cluster, 0);
        // One cluster can't work against itself: nothing is cancelled.
        assert!((c.alpha_reduced - c.alpha).abs() < 1e-6 * e.alpha_sum().abs().max(1.0), "{c:?}");
    }
    assert_eq!(found.regions, Some(vec![0]), "a linear network has one region");
}

/// What f32 leaves of a small singular value's vector is not certain; f64 has no trouble with it.
#[test]
fn components_in_the_noise_are_unresolved() {
    let mut network = Network::new(&[4]);
    let a = dense(&mut network, 0, 4);
    dense(&mut network, a, 1);
    let layout = Layout::new(&network);
    let mut p = parameters(&network, 3);
    let h = [[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, 1.0]];
    // Singular values 2, 0.2, 2e-3 and 2e-4; the noise is √4·ε = 2.4e-7 of the largest, so the limit lies at 4.8e-4.
    let scaled: Vec<f64> =
        h.iter().zip([1.0, 0.1, 1e-3, 1e-4]).flat_map(|(row, s)| row.map(|x: f64| f64::from((x * s) as f32))).collect();
    p.set(layout.find(1, "weight").unwrap(), &scaled);
    for (device, unresolved) in [(F32, [false, false, false, true]), (F64, [false; 4])] {
        let found = explain(&network, &p, &[0.3, -1.0, 2.0, 0.7], &ExplainSettings::at(&[a]), &device).unwrap();
        let flags: Vec<bool> = found.explanations[0].contributions.iter().map(|c| c.unresolved).collect();
        assert_eq!(flags, unresolved);
    }
}

#[test]
fn residuals_above_tolerance_are_errors() {
    let network = plain(12, &[9, 4], Activation::Relu, false);
    let fine = explained(&network, &inputs(&network, 1, 5), &ExplainSettings::at(&[2]), &F32).explanations.remove(0);
    let allowed = tolerance(&F32);
    assert!(fine.check(allowed).is_ok() && allowed <= 1e-4 && tolerance(&F64) < 1e-6);
    for wrong in [2e-4, f64::NAN, f64::INFINITY] {
        for broken in
            [Explanation { residual: wrong, ..fine.clone() }, Explanation { map_residual: wrong, ..fine.clone() }]
        {
            let said = broken.check(allowed).unwrap_err().to_string();
            assert!(said.contains("row 0 split at activation1") && said.contains("cpu64"), "{said}");
        }
    }
}

#[test]
fn rows_of_one_region_share_their_operator() {
    let network = plain(5, &[6, 3], Activation::Relu, false);
    let x = inputs(&network, 1, 5);
    // A tiny step stays in the region; the mirror image doesn't.
    let moved: Vec<f64> = x.iter().map(|v| v * (1.0 + 1e-9)).collect();
    let mirrored: Vec<f64> = x.iter().map(|v| -v).collect();
    let all = [x, moved, mirrored].concat();
    let found = explained(&network, &all, &ExplainSettings::at(&[2]), &F64);
    let regions = found.regions.unwrap();
    assert_eq!(regions[0], regions[1]);
    assert_ne!(regions[0], regions[2]);
    let sigma = |row: usize| found.explanations[row].contributions.iter().map(|c| c.sigma).collect::<Vec<_>>();
    assert_eq!(sigma(0), sigma(1));
    let smooth = plain(5, &[6, 3], Activation::Tanh, false);
    assert!(explained(&smooth, &inputs(&smooth, 2, 5), &ExplainSettings::at(&[2]), &F64).regions.is_none());
}
