//! Gradients of every node type and loss against central differences, all in f64.

use eigenlens::engine::Session;
use eigenlens::engine::cpu::CpuSession;
use eigenlens::kernels::Program;
use eigenlens::kernels::{Activation, Function, Loss, LossKind, Normalisation, Reduce};
use eigenlens::network::record::{Mode, Recorder, Workspace};
use eigenlens::network::{
    ActivationNode, AddNode, AveragePool, BatchNorm, Beyond, Broadcast, By, Convolution, Coordinates, Dense,
    DropoutNode, FunctionNode, Interpolation, Layer, Layout, MatMulNode, MaxPoolNode, Network, NormaliseNode, Pad,
    Padding, Permute, ProductNode, ReduceNode, Resize, Role, Scale, SliceNode, Sliding, Spectral,
    TransposedConvolution, Weight,
};
use eigenlens::program::{Buffer, Element, PassId, Scope, Step, View};
use eigenlens::program::{RESULT_LEN, RESULT_LOSS, RESULT_METRIC, RESULT_SQUARE};
use eigenlens::random::Random;

/// Distance between the points of a central difference of fourth order, `(8(f₁ − f₋₁) − (f₂ − f₋₂))/12H`.
const H: f64 = 2e-5;
const STENCIL: [(f64, f64); 4] =
    [(H, 8.0 / (12.0 * H)), (-H, -8.0 / (12.0 * H)), (2.0 * H, -1.0 / (12.0 * H)), (-2.0 * H, 1.0 / (12.0 * H))];
/// Of such a difference of sums of order 10 in f64, times 1 + |gradient|: rounding, 2⁻⁵³·10·1.5/H ≈ 1e-10 (measured: at
/// most 2.5e-10); the truncation is far below, even behind batch norm, whose higher derivatives grow as 1/ε². An error in a
/// formula is orders of magnitude larger.
const TOLERANCE: f64 = 2e-9;

const BATCH: usize = 7;
const ROWS: usize = 6;
const REPLICAS: usize = 2;
const INPUTS: usize = 5;

fn step(rows: usize) -> Step {
    Step { index: 0, rows: rows as u32, begin: 0, epoch: 0, count: 3, rate: 0.0, ordering: 0, kept: 1 }
}

fn dense(units: usize) -> Layer {
    Dense { units, weight: Weight::Direct, train_bias: true }.into()
}

fn spectral(units: usize, psi: bool, lambda_in: bool, lambda_out: bool, train_bias: bool) -> Layer {
    Dense { units, weight: Weight::Spectral(Spectral { psi, lambda_in, lambda_out }), train_bias }.into()
}

fn activation(activation: Activation) -> Layer {
    ActivationNode { activation }.into()
}

/// A chain of layers on [`INPUTS`] inputs.
fn chain(layers: Vec<Layer>) -> Network {
    let mut network = Network::new(&[INPUTS]);
    for layer in layers {
        network.then(layer).unwrap();
    }
    network
}

/// A forward and a backward pass with random parameters, inputs and cotangents in every replica.
struct Check {
    session: CpuSession<f64>,
    pass: PassId,
    layout: Layout,
    parameters: Buffer,
    gradient: Buffer,
    x: View,
    dx: View,
    output: View,
    cotangent: Vec<Vec<f64>>,
    rows: usize,
}

impl Check {
    fn new(network: &Network, rows: usize, seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let mut workspace = Workspace::new(network, REPLICAS, BATCH);
        let x = workspace.program.buffers.matrix("x", BATCH, network.input_width());
        let dy = workspace.program.buffers.matrix("dy", BATCH, network.output().width());
        let mut recorder = Recorder::new(network, &mut workspace, Mode::Train, x, true);
        let output = recorder.forward();
        recorder.backward(dy);
        let dx = recorder.gradient(0).expect("the input has a gradient");
        let ops = recorder.finish();
        let Workspace { mut program, layout, parameters, gradient, settings, .. } = workspace;
        let pass = program.pass("check", ops);
        let mut session = CpuSession::<f64>::new(program, 1).unwrap();
        let mut cotangent = Vec::new();
        for r in 0..REPLICAS {
            let mut values = vec![0.0; layout.parameters];
            for t in layout.tensors.iter().filter(|t| t.role != Role::Statistic) {
                for row in values[t.offset..][..t.rows * t.ld].chunks_exact_mut(t.ld) {
                    row[..t.cols].iter_mut().for_each(|p| *p = 0.5 * random.normal());
                }
            }
            session.write(parameters, Some(r), 0, &values).unwrap();
            session.write(x.buffer, Some(r), 0, &rows_of(x, rows, &mut random)).unwrap();
            let dy_values = rows_of(dy, rows, &mut random);
            session.write(dy.buffer, Some(r), 0, &dy_values).unwrap();
            cotangent.push(dy_values);
            session.write_words(settings, Some(r), 0, &[77 + r as u32, 0, 0, 1f32.to_bits()]).unwrap();
        }
        let gradient = gradient.expect("a workspace for training");
        Check { session, pass, layout, parameters, gradient, x, dx, output, cotangent, rows }
    }

    /// `⟨cotangent, output⟩` of every replica.
    fn value(&mut self) -> Vec<f64> {
        self.session.run(self.pass, &[step(self.rows)]).unwrap();
        let View { buffer, offset, ld, .. } = self.output;
        (0..REPLICAS)
            .map(|r| {
                let y = self.session.read(buffer, r, offset, self.rows * ld).unwrap();
                y.iter().zip(&self.cotangent[r]).map(|(y, c)| y * c).sum()
            })
            .collect()
    }

    /// The derivative of [`Check::value`] by one element of a buffer, in every replica.
    fn difference(&mut self, buffer: Buffer, index: usize) -> Vec<f64> {
        let at: Vec<f64> = (0..REPLICAS).map(|r| self.session.read(buffer, r, index, 1).unwrap()[0]).collect();
        let mut difference = vec![0.0; REPLICAS];
        for (h, weight) in STENCIL {
            for (r, &p) in at.iter().enumerate() {
                self.session.write(buffer, Some(r), index, &[p + h]).unwrap();
            }
            difference.iter_mut().zip(self.value()).for_each(|(d, value)| *d += weight * value);
        }
        for (r, &p) in at.iter().enumerate() {
            self.session.write(buffer, Some(r), index, &[p]).unwrap();
        }
        difference
    }

    fn compare(&mut self, buffer: Buffer, index: usize, found: &[Vec<f64>], place: usize, what: &str) -> f64 {
        let mut worst = 0.0f64;
        for (r, wanted) in self.difference(buffer, index).into_iter().enumerate() {
            let found = found[r][place];
            let error = (found - wanted).abs() / (1.0 + wanted.abs());
            assert!(error <= TOLERANCE, "{what}, replica {r}, element {place}: {found}, differences say {wanted}");
            worst = worst.max(error);
        }
        worst
    }

    /// Compares every element of every gradient; returns the largest error.
    fn run(mut self, what: &str) -> f64 {
        self.value();
        let read = |session: &mut CpuSession<f64>, buffer, offset, len| -> Vec<Vec<f64>> {
            (0..REPLICAS).map(|r| session.read(buffer, r, offset, len).unwrap()).collect()
        };
        let gradient = read(&mut self.session, self.gradient, 0, self.layout.trained_end);
        let dx = read(&mut self.session, self.dx.buffer, self.dx.offset, self.rows * self.dx.ld);
        let (x, mut worst) = (self.x, 0.0f64);
        for i in (0..self.rows).flat_map(|r| (0..x.cols).map(move |c| r * x.ld + c)) {
            worst = worst.max(self.compare(x.buffer, x.offset + i, &dx, i, &format!("{what}: input")));
        }
        for t in self.layout.tensors.clone().iter().filter(|t| t.trained) {
            for i in (0..t.rows).flat_map(|r| (0..t.cols).map(move |c| t.offset + r * t.ld + c)) {
                worst = worst.max(self.compare(self.parameters, i, &gradient, i, &format!("{what}: {}", t.path)));
            }
        }
        worst
    }
}

/// Random rows; NaN from row `rows` on, which no kernel may read.
fn rows_of(view: View, rows: usize, random: &mut Random) -> Vec<f64> {
    let mut values = vec![0.0; view.rows * view.ld];
    for (r, row) in values.chunks_exact_mut(view.ld).enumerate() {
        row[..view.cols].iter_mut().for_each(|x| *x = if r < rows { random.normal() } else { f64::NAN });
    }
    values
}

/// Whole and partial batches. The seeds are fixed, so no test point comes to lie on a kink one day.
fn check(network: &Network, what: &str) {
    let whole = Check::new(network, BATCH, 1).run(what);
    let partial = Check::new(network, ROWS, 2).run(&format!("{what}, partial batch"));
    println!("{what}: {:.1e}", whole.max(partial));
}

#[test]
fn dense_direct() {
    check(&chain(vec![dense(3)]), "dense");
    check(&chain(vec![dense(6), dense(1)]), "two dense");
    let frozen = Dense { units: 3, weight: Weight::Direct, train_bias: false };
    check(&chain(vec![dense(4), frozen.into()]), "dense without bias");
}

#[test]
fn dense_spectral_with_every_choice_of_what_is_trained() {
    for bits in 0..16u32 {
        let on = |bit: u32| bits & (1 << bit) != 0;
        let layer = |units| spectral(units, on(0), on(1), on(2), on(3));
        check(&chain(vec![layer(3), activation(Activation::Tanh), layer(6)]), &format!("spectral {bits:04b}"));
    }
}

#[test]
fn activations_fused_and_alone() {
    for sigma in Activation::ALL {
        let bare = |layers: Vec<Layer>, what: &str| check(&chain(layers), &format!("{sigma:?} {what}"));
        bare(vec![dense(6), activation(sigma), dense(3)], "between dense layers");
        bare(vec![spectral(6, true, true, true, true), activation(sigma)], "as output");
        bare(vec![activation(sigma), dense(3)], "on the input");
        bare(vec![activation(sigma)], "by itself");
        bare(vec![dense(6), BatchNorm::default().into(), activation(sigma), dense(3)], "behind batch norm");
        bare(vec![dense(6), activation(sigma), BatchNorm::default().into(), dense(2)], "before batch norm");
        bare(vec![dense(6), activation(sigma), activation(sigma), dense(2)], "twice");
        bare(vec![dense(6), activation(sigma), DropoutNode { probability: 0.4 }.into(), dense(2)], "before dropout");
        let mut network = chain(vec![dense(4)]);
        let a = network.push(activation(sigma), &[1]).unwrap();
        let b = network.push(activation(Activation::Sigmoid), &[1]).unwrap();
        network.push(AddNode {}.into(), &[a, b]).unwrap();
        check(&network, &format!("{sigma:?} reading a node with two readers"));
    }
}

#[test]
fn batch_norm() {
    check(&chain(vec![BatchNorm::default().into()]), "batch norm by itself");
    check(
        &chain(vec![dense(6), BatchNorm { epsilon: 0.1, momentum: 0.5, by_channel: false }.into(), dense(3)]),
        "batch norm",
    );
    let twice = vec![BatchNorm::default().into(), dense(3), BatchNorm::default().into(), dense(2)];
    check(&chain(twice), "two batch norms");
    let by_channel = || BatchNorm { epsilon: 0.1, by_channel: true, ..BatchNorm::default() }.into();
    let weight = Weight::Spectral(Spectral { psi: true, lambda_in: true, lambda_out: true });
    let sliding = Sliding { padding: Padding::SameUpper, ..Sliding::new(&[3, 2]) };
    let layer = Convolution { filters: 3, sliding, groups: 1, weight, train_bias: true }.into();
    let pool = MaxPoolNode { sliding: Sliding { stride: vec![2, 2], ..Sliding::new(&[2, 2]) } }.into();
    let block = vec![by_channel(), layer, activation(Activation::Gelu), by_channel(), pool, dense(2)];
    check(&spatial(&[2, 4, 3], block), "a spectral convolution between batch norms by channel");
}

#[test]
fn dropout() {
    check(&chain(vec![DropoutNode { probability: 0.5 }.into()]), "dropout by itself");
    let two =
        vec![DropoutNode { probability: 0.3 }.into(), dense(6), DropoutNode { probability: 0.5 }.into(), dense(3)];
    check(&chain(two), "two dropouts");
}

#[test]
fn residual_blocks() {
    for sigma in [Activation::Relu, Activation::Gelu] {
        // z = dense(x); y = z + dense(σ(dense(z))); σ(y) read twice; out = dense(σ(y)) + σ(y).
        let mut network = chain(vec![dense(5)]);
        network.push(spectral(3, true, true, true, true), &[1]).unwrap();
        network.then(activation(sigma)).unwrap();
        let branch = network.then(dense(5)).unwrap();
        let sum = network.push(AddNode {}.into(), &[1, branch]).unwrap();
        let shared = network.push(activation(sigma), &[sum]).unwrap();
        let last = network.push(dense(5), &[shared]).unwrap();
        network.push(AddNode {}.into(), &[last, shared]).unwrap();
        check(&network, &format!("residual {sigma:?}"));
    }
    // The input itself with three readers, a node added to itself, and a dead end.
    let mut network = Network::new(&[INPUTS]);
    let a = network.push(dense(INPUTS), &[0]).unwrap();
    let b = network.push(AddNode {}.into(), &[0, a]).unwrap();
    let c = network.push(AddNode {}.into(), &[b, b]).unwrap();
    network.push(dense(2), &[a]).unwrap();
    network.push(AddNode {}.into(), &[c, 0]).unwrap();
    check(&network, "fan-out of the input");
}

/// A chain of layers on samples of a shape.
fn spatial(shape: &[usize], layers: Vec<Layer>) -> Network {
    let mut network = Network::new(shape);
    for layer in layers {
        network.then(layer).unwrap();
    }
    network
}

fn convolution(filters: usize, sliding: Sliding, groups: usize) -> Layer {
    Convolution { filters, sliding, groups, weight: Weight::Direct, train_bias: true }.into()
}

#[test]
fn convolutions() {
    let same = |kernel: &[usize]| Sliding { padding: Padding::SameUpper, ..Sliding::new(kernel) };
    let strided = Sliding { stride: vec![2, 1], dilation: vec![1, 2], ..same(&[2, 2]) };
    let tanh = || activation(Activation::Tanh);
    check(&spatial(&[2, 5], vec![convolution(3, Sliding::new(&[2]), 1)]), "one axis");
    let two = vec![convolution(3, same(&[3, 3]), 1), tanh(), convolution(2, strided.clone(), 1), tanh(), dense(2)];
    check(&spatial(&[2, 4, 3], two), "two axes");
    let grouped =
        vec![convolution(4, strided, 2), activation(Activation::Gelu), convolution(4, same(&[1, 2]), 4), tanh()];
    check(&spatial(&[2, 4, 3], grouped), "groups");
    let three = vec![convolution(2, same(&[2, 1, 2]), 1), tanh(), convolution(2, Sliding::new(&[1, 1, 1]), 1)];
    check(&spatial(&[1, 2, 2, 3], three), "three axes");
}

#[test]
fn transposed_convolutions_and_resizes() {
    let transposed = |channels, output: &[usize], sliding, groups, train_bias| -> Layer {
        TransposedConvolution { channels, output: output.into(), sliding, groups, train_bias }.into()
    };
    let strided = |kernel: &[usize]| Sliding { stride: vec![2; kernel.len()], ..Sliding::new(kernel) };
    let tanh = || activation(Activation::Tanh);
    let one = vec![tanh(), transposed(3, &[8], strided(&[3]), 1, true), tanh(), dense(2)];
    check(&spatial(&[2, 3], one), "transposed, one axis");
    let grouped = vec![tanh(), transposed(2, &[4, 5], strided(&[2, 3]), 2, false), tanh()];
    check(&spatial(&[2, 2, 2], grouped), "transposed, two axes, groups, no bias");
    let padded = Sliding {
        padding: Padding::Explicit { before: vec![0, 1, 0], after: vec![0, 0, 0] },
        dilation: vec![1, 2, 1],
        ..Sliding::new(&[1, 2, 2])
    };
    check(&spatial(&[2, 1, 2, 2], vec![transposed(2, &[1, 3, 3], padded, 1, true)]), "transposed, three axes");
    for interpolation in [Interpolation::Linear, Interpolation::Cubic { a: -0.75 }] {
        let resize = Resize {
            shape: vec![2, 5, 2],
            scales: vec![1.0, 5.0 / 3.0, 0.5],
            coordinates: Coordinates::HalfPixel,
            interpolation,
            exclude_outside: true,
            antialias: true,
        };
        check(&spatial(&[2, 3, 4], vec![tanh(), resize.into(), tanh(), dense(2)]), "resize");
    }
}

#[test]
fn normalisation_inside_samples() {
    for kind in [Normalisation::Softmax, Normalisation::LogSoftmax, Normalisation::Standard] {
        for (first, last) in [(0, 1), (1, 2), (1, 3), (2, 3)] {
            let node = NormaliseNode { kind, first, last, epsilon: 0.01 };
            let layers =
                vec![convolution(3, Sliding::new(&[1, 1]), 1), node.into(), activation(Activation::Tanh), dense(2)];
            check(&spatial(&[2, 2, 3], layers), &format!("{kind:?} of the axes {first} to {last}"));
        }
    }
}

/// Attention, and a matrix times itself.
#[test]
fn products_as_matrices() {
    let mut network = spatial(&[2, 3, 4], vec![activation(Activation::Tanh)]);
    let turned = network.push(Permute { axes: vec![0, 2, 1] }.into(), &[1]).unwrap();
    let weights = network.push(MatMulNode {}.into(), &[1, turned]).unwrap();
    let softmax = NormaliseNode { kind: Normalisation::Softmax, first: 2, last: 3, epsilon: 0.0 };
    let weights = network.push(softmax.into(), &[weights]).unwrap();
    network.push(MatMulNode {}.into(), &[weights, 1]).unwrap();
    network.then(dense(2)).unwrap();
    check(&network, "attention");
    let mut square = spatial(&[3, 3], vec![activation(Activation::Tanh)]);
    square.push(MatMulNode {}.into(), &[1, 1]).unwrap();
    square.then(dense(2)).unwrap();
    check(&square, "a matrix times itself");
}

#[test]
fn spectral_convolutions_with_every_choice_of_what_is_trained() {
    for bits in 0..16u32 {
        let on = |bit: u32| bits & (1 << bit) != 0;
        let weight = Weight::Spectral(Spectral { psi: on(0), lambda_in: on(1), lambda_out: on(2) });
        let layer = |filters, kernel: &[usize]| -> Layer {
            Convolution { filters, sliding: Sliding::new(kernel), groups: 1, weight, train_bias: on(3) }.into()
        };
        let layers = vec![layer(3, &[2, 2]), activation(Activation::Tanh), layer(2, &[1, 1])];
        check(&spatial(&[2, 3, 4], layers), &format!("spectral convolution {bits:04b}"));
    }
}

#[test]
fn pooling_and_scales() {
    let strided = Sliding { stride: vec![2, 2], padding: Padding::SameLower, ..Sliding::new(&[3, 2]) };
    let layers = |layer: Layer| vec![convolution(3, Sliding::new(&[1, 1]), 1), layer, dense(2)];
    check(&spatial(&[2, 4, 3], layers(MaxPoolNode { sliding: strided.clone() }.into())), "max-pool");
    for count_padding in [false, true] {
        let pool = AveragePool { sliding: strided.clone(), count_padding };
        check(&spatial(&[2, 4, 3], layers(pool.into())), "average pool");
    }
    check(&spatial(&[2, 4, 3], layers(Scale { by: By::Channel }.into())), "scale by channel");
    check(&spatial(&[2, 4, 3], layers(Scale { by: By::Element }.into())), "scale by element");
}

#[test]
fn functions_of_one_number() {
    for function in Function::ALL {
        let (a, b) = match function {
            Function::Clip => (0.3, 0.9),
            Function::Power => (1.7, 0.0),
            _ => (0.4, 0.6),
        };
        let node = |function| -> Layer { FunctionNode { function, a, b }.into() };
        // Roots, powers and logarithms need what is positive.
        let positive = vec![dense(6), node(Function::Softplus), node(function), dense(2)];
        check(&chain(positive), &format!("{function:?} of what is positive"));
        if !matches!(function, Function::Sqrt | Function::Power | Function::Reciprocal | Function::Log) {
            check(&chain(vec![dense(6), node(function), dense(2)]), &format!("{function:?}"));
        }
    }
}

#[test]
fn gates_and_moved_elements() {
    // A gate by what a sample's channels are in the mean, spread over them again.
    let mut network = spatial(&[2, 3, 2], vec![convolution(3, Sliding::new(&[1, 1]), 1)]);
    let x = network.then(activation(Activation::Tanh)).unwrap();
    network.then(ReduceNode { axes: vec![1, 2], mean: true }).unwrap();
    network.then(activation(Activation::Sigmoid)).unwrap();
    let gate = network.then(Broadcast { shape: vec![3, 3, 2] }).unwrap();
    network.push(ProductNode {}.into(), &[x, gate]).unwrap();
    network.then(dense(2)).unwrap();
    check(&network, "a gate");
    let mut square = chain(vec![dense(3), activation(Activation::Tanh)]);
    square.push(ProductNode {}.into(), &[2, 2]).unwrap();
    square.then(dense(2)).unwrap();
    check(&square, "a square");
    for beyond in [Beyond::Zero, Beyond::Reflect, Beyond::Edge] {
        let pad = Pad { before: vec![0, 1, 0], after: vec![1, 0, 2], beyond };
        let pad = if beyond == Beyond::Reflect { Pad { after: vec![1, 0, 1], ..pad } } else { pad };
        let layers: Vec<Layer> = vec![
            convolution(2, Sliding::new(&[1, 1]), 1),
            pad.into(),
            Permute { axes: vec![2, 0, 1] }.into(),
            SliceNode { axis: 0, places: vec![2, 0] }.into(),
            ReduceNode { axes: vec![1], mean: false }.into(),
            activation(Activation::Tanh),
            dense(2),
        ];
        check(&spatial(&[2, 2, 2], layers), &format!("{beyond:?} padding, turned, cut and summed"));
    }
}

/// 0, 0.75, 1.5, 0, …
fn weight(row: usize) -> f64 {
    0.75 * (row % 3) as f64
}

/// Runs one loss on given outputs and returns `[results, gradient]`.
struct LossCheck {
    session: CpuSession<f64>,
    pass: PassId,
    results: Buffer,
    output: View,
    gradient: View,
    rows: usize,
}

impl LossCheck {
    /// `weighted`: the data set's row r counts `weight(r)`.
    fn new(kind: LossKind, cols: usize, rows: usize, weighted: bool) -> Self {
        let mut random = Random::new(kind as u64, cols as u64);
        let mut program = Program::new(1);
        let output = program.buffers.matrix("output", BATCH, cols);
        let gradient = program.buffers.matrix("gradient", BATCH, cols);
        let row_stats = program.buffers.matrix("row statistics", BATCH, 4);
        let picked = program.buffers.buffer("rows", BATCH, Scope::Replica, Element::Word);
        let targets = program.buffers.buffer("targets", BATCH * cols, Scope::Shared, Element::Word);
        let results = program.buffers.buffer("results", RESULT_LEN, Scope::Replica, Element::Float);
        let weights = weighted.then(|| program.buffers.buffer("weights", BATCH, Scope::Shared, Element::Float));
        let loss = Loss { kind, output, rows: picked, targets, weights, gradient: Some(gradient), row_stats };
        let pass = program.pass("loss", vec![loss.into(), Reduce { row_stats, results }.into()]);
        let mut session = CpuSession::<f64>::new(program, 1).unwrap();
        let words = (0..BATCH * cols).map(|_| match kind {
            LossKind::Ce => random.below(cols) as u32,
            // Errors of order 2: on both sides of Huber's δ = 1.
            _ => (2.0 * random.normal() as f32).to_bits(),
        });
        session.write_words(targets, None, 0, &words.collect::<Vec<_>>()).unwrap();
        let reversed: Vec<u32> = (0..BATCH as u32).rev().collect();
        session.write_words(picked, None, 0, &reversed).unwrap();
        session.write(output.buffer, None, 0, &rows_of(output, rows, &mut random)).unwrap();
        if let Some(weights) = weights {
            session.write(weights, None, 0, &(0..BATCH).map(weight).collect::<Vec<_>>()).unwrap();
        }
        LossCheck { session, pass, results, output, gradient, rows }
    }

    fn loss(&mut self) -> f64 {
        self.session.run(self.pass, &[step(self.rows)]).unwrap();
        self.session.read(self.results, 0, RESULT_LOSS, 1).unwrap()[0] / self.rows as f64
    }
}

#[test]
fn losses() {
    for kind in [LossKind::Ce, LossKind::Mae, LossKind::Mse, LossKind::Huber] {
        for (cols, rows, weighted) in
            [(3, BATCH, false), (3, ROWS, false), (1, ROWS, false), (5, 1, false), (3, ROWS, true), (1, BATCH, true)]
        {
            if kind == LossKind::Ce && cols == 1 {
                continue;
            }
            let mut check = LossCheck::new(kind, cols, rows, weighted);
            check.loss();
            let (output, view) = (check.output, check.gradient);
            let found = check.session.read(view.buffer, 0, view.offset, rows * view.ld).unwrap();
            for i in (0..rows).flat_map(|r| (0..cols).map(move |c| r * output.ld + c)) {
                let o = check.session.read(output.buffer, 0, i, 1).unwrap()[0];
                let mut side = |h: f64| {
                    check.session.write(output.buffer, None, i, &[o + h]).unwrap();
                    check.loss()
                };
                let wanted: f64 = STENCIL.iter().map(|(h, weight)| weight * side(*h)).sum();
                side(0.0);
                let place = format!("{kind:?} [{rows}, {cols}] weighted {weighted} element {i}");
                assert!((found[i] - wanted).abs() <= TOLERANCE, "{place}: {}, differences say {wanted}", found[i]);
            }
        }
    }
}

#[test]
fn losses_and_metrics_are_their_formulas() {
    let kinds = [LossKind::Ce, LossKind::Mae, LossKind::Mse, LossKind::Huber];
    for (kind, weighted) in kinds.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let cols = 3;
        let mut check = LossCheck::new(kind, cols, ROWS, weighted);
        check.loss();
        let results = check.session.read(check.results, 0, 0, RESULT_LEN).unwrap();
        let outputs = check.session.read(check.output.buffer, 0, 0, BATCH * check.output.ld).unwrap();
        let targets = check.session.read_words(Buffer(4), 0, 0, BATCH * cols).unwrap();
        let mut wanted = [0.0; 3];
        for r in 0..ROWS {
            let o = &outputs[r * check.output.ld..][..cols];
            let row = BATCH - 1 - r;
            let w = if weighted { weight(row) } else { 1.0 };
            if kind == LossKind::Ce {
                let label = targets[row] as usize;
                wanted[0] += w * (o.iter().map(|o| o.exp()).sum::<f64>().ln() - o[label]);
                wanted[1] += w * f64::from(o.iter().all(|&x| x <= o[label]));
                continue;
            }
            for (c, o) in o.iter().enumerate() {
                let e = (o - f64::from(f32::from_bits(targets[row * cols + c]))).abs();
                let loss = match kind {
                    LossKind::Mae => e,
                    LossKind::Mse => e * e,
                    _ if e <= 1.0 => e * e / 2.0,
                    _ => e - 0.5,
                };
                wanted.iter_mut().zip([loss, e, e * e]).for_each(|(sum, x)| *sum += w * x / cols as f64);
            }
        }
        for (slot, wanted) in [RESULT_LOSS, RESULT_METRIC, RESULT_SQUARE].into_iter().zip(wanted) {
            // Sums of a few f64 numbers of order 1.
            assert!((results[slot] - wanted).abs() < 1e-13, "{kind:?} result {slot}: {}, not {wanted}", results[slot]);
        }
    }
}
