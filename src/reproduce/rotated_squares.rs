//! The rotated squares (SpecXAI, sections 2.3 and 3.1): what an autoencoder's operator looks like beside the data's own
//! singular value decomposition, and what its biases carry.

use nalgebra::DMatrix;
use serde::Serialize;

use crate::data::synthetic::{self, PICTURE};
use crate::data::{Dataset, ScaleKind, Scaling, Split, TargetScaling, split};
use crate::engine::Device;
use crate::host::symmetric_eigen;
use crate::kernels::{Activation, LossKind};
use crate::network::local::SlopeForm;
use crate::network::{Layout, Network, Parameters, Place, Sequential};
use crate::random::Random;
use crate::run::Keep;
use crate::specxai::{LocalOperator, Product, decompose, split_node};
use crate::train::{Flow, Job, Progress, Resident, Settings};
use crate::{Error, Result};

/// Units of the code: the largest rank that the operator can have.
pub const CODE: usize = 8;
/// A code unit is live when its standard deviation over the test rows is above this share of the largest.
const LIVE: f64 = 0.01;

/// How the biases start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BiasStart {
    /// There are none.
    None,
    Zero,
    /// Uniform within ±1/√fan-in, as common libraries start them.
    Uniform,
}

impl BiasStart {
    pub const ALL: [BiasStart; 3] = [BiasStart::None, BiasStart::Zero, BiasStart::Uniform];

    pub fn name(self) -> &'static str {
        match self {
            BiasStart::None => "without bias",
            BiasStart::Zero => "bias from zero",
            BiasStart::Uniform => "bias from uniform",
        }
    }
}

/// Size of the experiment.
#[derive(Debug, Clone, Serialize)]
pub struct SquaresSettings {
    pub rows: usize,
    pub seeds: usize,
    pub epochs: usize,
    pub batch: usize,
    pub rate: f64,
    /// Width of the layers beside the code.
    pub hidden: usize,
    /// Test rows whose operators are decomposed.
    pub analysed: usize,
    pub seed: u64,
    /// Where trainings are kept, to be gone on with.
    #[serde(skip)]
    pub keep: Keep,
}

impl Default for SquaresSettings {
    fn default() -> Self {
        SquaresSettings {
            rows: synthetic::SQUARES_ROWS,
            seeds: 5,
            epochs: 100,
            batch: 32,
            rate: 1e-3,
            hidden: 128,
            analysed: 50,
            keep: Keep::default(),
            seed: 0,
        }
    }
}

/// The singular value decomposition of the training pictures.
#[derive(Debug, Clone, Serialize)]
pub struct DataSpectrum {
    /// σ_k/σ₀ for k < 8.
    pub decay: Vec<f64>,
    /// Share of Σσ² up to and with k, of all.
    pub energy: Vec<f64>,
    /// First four right singular vectors, as pictures.
    #[serde(skip)]
    pub vectors: Vec<Vec<f64>>,
}

/// One trained network.
#[derive(Debug, Clone, Serialize)]
pub struct NetworkOutcome {
    pub bias: BiasStart,
    pub seed: u64,
    pub train_r2: f64,
    pub test_r2: f64,
    pub live_code_units: usize,
    /// Of the whole operator J, means over the analysed rows: σ_k/σ₀ for k < 8.
    pub decay: Vec<f64>,
    pub rank: f64,
    /// Share of Σσ² up to and with k.
    pub energy: Vec<f64>,
    /// |c_k| of the whole operator, means over the analysed rows.
    pub c: Vec<f64>,
    /// ‖J x̃‖/‖y‖ and ‖Σβ‖/‖y‖.
    pub operator_norm: f64,
    pub bias_norm: f64,
    /// Largest |y − J x̃ − Σβ| relative to the largest |y|.
    pub residual: f64,
    #[serde(skip)]
    pub picture: OperatorPicture,
}

/// Pictures of one test row of one network, 64 × 64 each.
#[derive(Debug, Clone, Default)]
pub struct OperatorPicture {
    pub input: Vec<f64>,
    pub output: Vec<f64>,
    /// J x̃ and Σβ.
    pub linear: Vec<f64>,
    pub intercept: Vec<f64>,
    /// First four right and left singular vectors of J, and the contractions V ⊙ x̃.
    pub right: Vec<Vec<f64>>,
    pub left: Vec<Vec<f64>>,
    pub contracted: Vec<Vec<f64>>,
    pub sigma: Vec<f64>,
    pub c: Vec<f64>,
    /// What each dense layer's bias makes of the output.
    pub layers: Vec<(String, Vec<f64>)>,
}

/// Everything that came out.
#[derive(Debug, Clone, Serialize)]
pub struct RotatedSquares {
    pub settings: SquaresSettings,
    pub uncentred: DataSpectrum,
    pub centred: DataSpectrum,
    pub networks: Vec<NetworkOutcome>,
    pub seconds: f64,
}

/// Trains the autoencoders (4096-128-8-128-4096, ReLU, a linear code) without bias, with bias from zero, and with bias from
/// uniform numbers, each with so many seeds, and decomposes their operators on test rows.
///
/// # Errors
/// [`Error::Usage`] for sizes that make no sense, [`Error::Diverged`], the engine's own.
pub fn rotated_squares(
    settings: &SquaresSettings,
    device: &Device,
    observe: &mut dyn FnMut(&str, &Progress<'_>) -> Flow,
) -> Result<RotatedSquares> {
    let usable = settings.rows >= 20 && settings.seeds > 0 && settings.analysed > 0 && settings.hidden > 0;
    if !usable {
        return Err(Error::Usage(
            "the rotated squares need 20 rows, one seed, one hidden unit and one analysed row at least".into(),
        ));
    }
    let clock = settings.keep.clock();
    let dataset = synthetic::rotated_squares(settings.seed, settings.rows);
    let parts = split(&dataset, 0.0, 0.2, settings.seed)?;
    let scaling = Scaling::fit(ScaleKind::Unit, &dataset, &parts.train)?;
    let target = TargetScaling { shift: scaling.shift.clone(), scale: scaling.scale.clone() };
    let data = Resident::of(&dataset, &scaling, &target, &parts);
    let train = data.inputs(&parts.train);
    let (uncentred, centred) = (data_spectrum(train.clone(), false), data_spectrum(train, true));
    let mut networks = Vec::new();
    for starts in [&[BiasStart::None][..], &[BiasStart::Zero, BiasStart::Uniform]] {
        let name = if starts.len() == 1 { "without bias" } else { "with bias" };
        networks
            .extend(train_and_analyse(starts, &dataset, &data, &parts, settings, device, &mut |p| observe(name, p))?);
    }
    Ok(RotatedSquares { settings: settings.clone(), uncentred, centred, networks, seconds: clock.seconds() })
}

/// All seeds of some bias starts as replicas of one job.
fn train_and_analyse(
    starts: &[BiasStart],
    dataset: &Dataset,
    data: &Resident,
    parts: &Split,
    settings: &SquaresSettings,
    device: &Device,
    observe: &mut dyn FnMut(&Progress<'_>) -> Flow,
) -> Result<Vec<NetworkOutcome>> {
    let architecture = Sequential {
        hidden: vec![settings.hidden, CODE, settings.hidden],
        activations: vec![Activation::Relu, Activation::Identity, Activation::Relu],
        spectral: Place::None,
        train_bias: starts != [BiasStart::None],
        ..Sequential::default()
    };
    let network = architecture.build(dataset.columns, dataset.columns)?;
    let seeds = || (0..settings.seeds as u64).map(|s| settings.seed.wrapping_add(s));
    let runs: Vec<(BiasStart, u64)> = starts.iter().flat_map(|&start| seeds().map(move |seed| (start, seed))).collect();
    let mut replicas = Settings::ensemble(runs.len(), 0, 0.0, 0.0);
    replicas.iter_mut().zip(&runs).for_each(|(replica, (_, seed))| replica.seed = *seed);
    let training = Settings {
        loss: LossKind::Mse,
        epochs: settings.epochs,
        batch: settings.batch,
        rate: settings.rate,
        balanced: false,
        replicas,
        keep: settings.keep.clone(),
        ..Settings::default()
    };
    let mut job = Job::new(&network, data, &training, None, device)?;
    for (r, (start, seed)) in runs.iter().enumerate() {
        if *start == BiasStart::Uniform {
            let parameters = uniform_biases(job.parameters(r)?, &job.layout, *seed);
            job.set_parameters(r, &parameters)?;
        }
    }
    job.train(observe)?;
    if job.stopped() {
        return Err(Error::Stopped("stopped before the training was done; nothing was written".into()));
    }
    let r2 = |job: &mut Job, range: std::ops::Range<usize>, rows: &[u32]| -> Result<Vec<f64>> {
        let variance = variance(&data.inputs(rows), dataset.columns);
        Ok(job.evaluate(range)?.iter().map(|s| 1.0 - s.square / variance).collect())
    };
    let train_r2 = r2(&mut job, data.train.clone(), &parts.train)?;
    let test_r2 = r2(&mut job, data.test.clone(), &parts.test)?;
    let test = data.inputs(&parts.test);
    let mut outcomes = Vec::new();
    for (r, &(bias, seed)) in runs.iter().enumerate() {
        let parameters = job.parameters(r)?;
        let outcome =
            NetworkOutcome { train_r2: train_r2[r], test_r2: test_r2[r], bias, seed, ..NetworkOutcome::default() };
        outcomes.push(analyse(outcome, &network, &parameters, &test, settings.analysed, device)?);
    }
    Ok(outcomes)
}

impl Default for NetworkOutcome {
    fn default() -> Self {
        NetworkOutcome {
            bias: BiasStart::None,
            seed: 0,
            train_r2: f64::NAN,
            test_r2: f64::NAN,
            live_code_units: 0,
            decay: vec![0.0; CODE],
            rank: 0.0,
            energy: vec![0.0; CODE],
            c: vec![0.0; CODE],
            operator_norm: 0.0,
            bias_norm: 0.0,
            residual: 0.0,
            picture: OperatorPicture::default(),
        }
    }
}

fn uniform_biases(mut parameters: Parameters, layout: &Layout, seed: u64) -> Parameters {
    for (i, tensor) in layout.tensors.iter().enumerate().filter(|(_, t)| t.name == "bias") {
        let weight = layout.tensors.iter().find(|t| t.node == tensor.node && t.name == "weight");
        let limit = 1.0 / (weight.expect("invariant: a direct layer has its weight").cols as f64).sqrt();
        let mut random = Random::new(seed, 0xb1a5 + i as u64);
        let values: Vec<f64> = (0..tensor.cols).map(|_| limit * (2.0 * random.uniform() - 1.0)).collect();
        parameters.set(tensor, &values);
    }
    parameters
}

/// Mean over the columns of the variance over the rows.
fn variance(values: &[f64], columns: usize) -> f64 {
    let rows = (values.len() / columns) as f64;
    let (mut sum, mut square) = (vec![0.0; columns], vec![0.0; columns]);
    for row in values.chunks_exact(columns) {
        for (c, x) in row.iter().enumerate() {
            sum[c] += x;
            square[c] += x * x;
        }
    }
    (0..columns).map(|c| square[c] / rows - (sum[c] / rows).powi(2)).sum::<f64>() / columns as f64
}

/// Through the Gram matrix of the rows.
fn data_spectrum(mut values: Vec<f64>, centre: bool) -> DataSpectrum {
    let columns = PICTURE * PICTURE;
    let rows = values.len() / columns;
    if centre {
        let mut mean = vec![0.0; columns];
        values.chunks_exact(columns).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, x)| *m += x / rows as f64));
        values.chunks_exact_mut(columns).for_each(|row| row.iter_mut().zip(&mean).for_each(|(x, m)| *x -= m));
    }
    // Columns of the transpose are the pictures.
    let pictures = DMatrix::from_vec(columns, rows, values);
    let (squares, vectors) = eigen(pictures.tr_mul(&pictures));
    let images = &pictures * vectors.columns(0, 4.min(rows));
    let pictures = images.column_iter().map(|v| (v / v.norm()).iter().copied().collect()).collect();
    let total: f64 = squares.iter().sum();
    DataSpectrum { decay: decay(&squares), energy: energy(&squares, total), vectors: pictures }
}

/// Eigenvalues (not below 0), largest first, with their vectors as columns.
fn eigen(matrix: DMatrix<f64>) -> (Vec<f64>, DMatrix<f64>) {
    let order = matrix.nrows();
    let (values, vectors) = symmetric_eigen(matrix.as_slice().to_vec(), order);
    (values.iter().map(|value| value.max(0.0)).collect(), DMatrix::from_vec(order, order, vectors.concat()))
}

fn decay(squares: &[f64]) -> Vec<f64> {
    let largest = squares.first().copied().filter(|&s| s > 0.0).unwrap_or(1.0);
    (0..CODE).map(|k| (squares.get(k).copied().unwrap_or(0.0) / largest).sqrt()).collect()
}

fn energy(squares: &[f64], total: f64) -> Vec<f64> {
    let mut sum = 0.0;
    (0..CODE)
        .map(|k| {
            sum += squares.get(k).copied().unwrap_or(0.0);
            if total > 0.0 { sum / total } else { 0.0 }
        })
        .collect()
}

/// The singular value decomposition of the whole operator J = L R at one row, through the code: `R = P Σ Vᵀ`, and that of
/// `J V = L P Σ`, which is at most 8 columns wide.
struct Whole {
    sigma: Vec<f64>,
    /// `[N]` each.
    right: Vec<Vec<f64>>,
    left: Vec<Vec<f64>>,
}

/// `v`: right singular vectors of R, `[r][N]`; `images`: J v, `[r][N]`.
fn whole(v: &[Vec<f64>], images: &[&[f64]]) -> Whole {
    if v.is_empty() {
        return Whole { sigma: vec![], right: vec![], left: vec![] };
    }
    let n = v[0].len();
    let images = DMatrix::from_iterator(n, v.len(), images.iter().flat_map(|c| c.iter().copied()));
    let basis = DMatrix::from_iterator(n, v.len(), v.iter().flatten().copied());
    let (squares, rotation) = eigen(images.tr_mul(&images));
    let (right, left) = (basis * &rotation, images * &rotation);
    let sigma: Vec<f64> = squares.iter().map(|s| s.sqrt()).collect();
    let columns = |m: &DMatrix<f64>, unit: bool| -> Vec<Vec<f64>> {
        m.column_iter()
            .zip(&sigma)
            .map(|(c, &s)| c.iter().map(|x| if unit || s == 0.0 { *x } else { x / s }).collect())
            .collect()
    };
    Whole { right: columns(&right, true), left: columns(&left, false), sigma }
}

/// Fills in what the operators say.
fn analyse(
    mut outcome: NetworkOutcome,
    network: &Network,
    parameters: &Parameters,
    test: &[f64],
    analysed: usize,
    device: &Device,
) -> Result<NetworkOutcome> {
    let n = network.input_width();
    let last = network.nodes.len() - 1;
    let code = split_node(network, "dense2")?;
    let layers: Vec<usize> = (1..=4).map(|i| split_node(network, &format!("dense{i}"))).collect::<Result<_>>()?;
    let mut products = vec![
        Product::Jacobian(code),
        Product::Push { node: last, seeds: CODE },
        Product::Push { node: last, seeds: 1 },
        Product::Outputs,
        Product::Intercepts,
    ];
    products.extend(layers.iter().map(|&id| Product::Carry(id)));
    let rows = test.len() / n;
    let mut operator = LocalOperator::new(network, parameters, &products, SlopeForm::Tangent, rows, device)?;
    outcome.live_code_units = live_units(&mut operator, code, test)?;
    let analysed = analysed.min(rows);
    let epsilon = f64::from(f32::EPSILON);
    let mut done = 0;
    for inputs in test[..analysed * n].chunks(operator.batch() * n) {
        let count = inputs.len() / n;
        operator.load(inputs)?;
        let y = operator.output()?;
        let r = operator.jacobian(code)?;
        let decomposed: Vec<Vec<Vec<f64>>> = (0..count)
            .map(|i| {
                let rows: Vec<&[f64]> = (0..r.rows).map(|j| r.row(i, j)).collect();
                let triplets = decompose(&rows, n, epsilon);
                let right = |(p, sigma): (&Vec<f64>, &f64)| {
                    let mut v = vec![0.0; n];
                    for (row, p) in rows.iter().zip(p) {
                        v.iter_mut().zip(*row).for_each(|(v, r)| *v += p * r / sigma);
                    }
                    v
                };
                triplets.left.iter().zip(&triplets.sigma).map(right).collect()
            })
            .collect();
        let mut block = vec![0.0; count * CODE * n];
        for (i, vectors) in decomposed.iter().enumerate() {
            for (k, v) in vectors.iter().enumerate() {
                block[(i * CODE + k) * n..][..n].copy_from_slice(v);
            }
        }
        let images = operator.push(last, CODE, &block)?;
        let linear = operator.push(last, 1, inputs)?;
        let mut by_layer = Vec::new();
        for &id in &layers {
            let bias = operator.intercept(id)?.expect("invariant: a dense layer has a bias");
            let tangent: Vec<f64> = (0..count).flat_map(|_| bias.row(0, 0).iter().copied()).collect();
            by_layer.push((network.nodes[id].name.clone(), operator.carry(id, &tangent)?));
        }
        for (i, vectors) in decomposed.iter().enumerate() {
            let at: Vec<&[f64]> = (0..vectors.len()).map(|k| images.row(i, k)).collect();
            let mut whole = whole(vectors, &at);
            let x = &inputs[i * n..][..n];
            let layers = by_layer.iter().map(|(name, blocks)| (name.clone(), blocks.row(i, 0).to_vec())).collect();
            let picture = picture(&mut whole, x, y.row(i, 0), linear.row(i, 0), layers);
            add(&mut outcome, &whole, &picture, done);
            if done == 0 {
                outcome.picture = picture;
            }
            done += 1;
        }
    }
    Ok(outcome)
}

fn live_units(operator: &mut LocalOperator, code: usize, test: &[f64]) -> Result<usize> {
    let n = operator.network().input_width();
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); CODE];
    for inputs in test.chunks(operator.batch() * n) {
        operator.load(inputs)?;
        let out = operator.node_output(code)?;
        for i in 0..out.samples() {
            out.row(i, 0).iter().zip(&mut values).for_each(|(x, v)| v.push(*x));
        }
    }
    let std = values.iter().map(|v| variance(v, 1).max(0.0).sqrt()).collect::<Vec<_>>();
    let largest = std.iter().fold(0.0f64, |a, &b| a.max(b));
    Ok(std.iter().filter(|&&s| s > LIVE * largest && s > 0.0).count())
}

/// Signs such that c_k ≥ 0, and everything as pictures.
fn picture(
    whole: &mut Whole,
    x: &[f64],
    y: &[f64],
    linear: &[f64],
    layers: Vec<(String, Vec<f64>)>,
) -> OperatorPicture {
    let mut c = Vec::new();
    for k in 0..whole.sigma.len() {
        let along: f64 = whole.right[k].iter().zip(x).map(|(v, x)| v * x).sum::<f64>() * whole.sigma[k];
        if along < 0.0 {
            whole.right[k].iter_mut().chain(&mut whole.left[k]).for_each(|v| *v = -*v);
        }
        c.push(along.abs());
    }
    let mut intercept = vec![0.0; y.len()];
    layers.iter().for_each(|(_, part)| intercept.iter_mut().zip(part).for_each(|(b, p)| *b += p));
    let four = |v: &[Vec<f64>]| v.iter().take(4).cloned().collect::<Vec<_>>();
    OperatorPicture {
        input: x.to_vec(),
        output: y.to_vec(),
        linear: linear.to_vec(),
        intercept,
        contracted: whole.right.iter().take(4).map(|v| v.iter().zip(x).map(|(v, x)| v * x).collect()).collect(),
        right: four(&whole.right),
        left: four(&whole.left),
        sigma: whole.sigma.clone(),
        c,
        layers,
    }
}

/// Moves the means on by one row.
fn add(outcome: &mut NetworkOutcome, whole: &Whole, picture: &OperatorPicture, done: usize) {
    let n = done as f64;
    let mean = |mean: &mut f64, value: f64| *mean = (*mean * n + value) / (n + 1.0);
    let squares: Vec<f64> = whole.sigma.iter().map(|s| s * s).collect();
    let total: f64 = squares.iter().sum();
    outcome.decay.iter_mut().zip(decay(&squares)).for_each(|(m, v)| mean(m, v));
    outcome.energy.iter_mut().zip(energy(&squares, total)).for_each(|(m, v)| mean(m, v));
    let c = |k: usize| picture.c.get(k).copied().unwrap_or(0.0);
    outcome.c.iter_mut().enumerate().for_each(|(k, m)| mean(m, c(k)));
    let least = whole.sigma.first().copied().unwrap_or(0.0) * picture.input.len() as f64 * f64::from(f32::EPSILON);
    mean(&mut outcome.rank, whole.sigma.iter().filter(|&&s| s > least).count() as f64);
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let size = norm(&picture.output).max(f64::MIN_POSITIVE);
    mean(&mut outcome.operator_norm, norm(&picture.linear) / size);
    mean(&mut outcome.bias_norm, norm(&picture.intercept) / size);
    let largest = picture.output.iter().fold(0.0f64, |a, b| a.max(b.abs())).max(f64::MIN_POSITIVE);
    let off = picture.output.iter().zip(&picture.linear).zip(&picture.intercept).map(|((y, j), b)| (y - j - b).abs());
    outcome.residual = outcome.residual.max(off.fold(0.0, f64::max) / largest);
}
