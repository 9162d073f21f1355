//! Measures the engines without a screen: matrix products, training steps, ensembles, Jacobians, explanations.
//!
//! Every figure is a median over samples after a warm-up, with the distance between the quartiles as spread.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Parser;
use serde_json::{Value, json};

use eigenlens::data::{Axis, Dataset, Feature, Targets, Values};
use eigenlens::engine::Device;
use eigenlens::kernels::Program;
use eigenlens::kernels::{Activation, Form, Gemm, Op};
use eigenlens::model::Forward;
use eigenlens::model_file::onnx;
use eigenlens::network::local::SlopeForm;
use eigenlens::network::{Block, Initialisation, Input, Layout, Network, Node, Parameters, Place, Pool, Sequential};
use eigenlens::program::{PassId, Step};
use eigenlens::random::Random;
use eigenlens::specxai::{
    Apply, ExplainSettings, Form as Decomposition, LocalOperator, MatrixFree, Product, explain, explain_each,
    split_node,
};
use eigenlens::train::{Flow, Job, Resident, Settings};

#[derive(Parser)]
#[command(name = "eigenlens-bench", version, about = "Measures eigenlens' engines")]
struct Args {
    /// gemm, train, ensemble, jacobian, svd, denormals, convolution, cnn: any of them
    #[arg(long, default_value = "gemm,train,ensemble,jacobian,svd", value_delimiter = ',')]
    suite: Vec<String>,
    /// auto, cpu, gpu, or part of an adapter's name
    #[arg(long, default_value = "auto")]
    device: String,
    /// Threads of the CPU engine; 0 takes every core
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Measure a software adapter too
    #[arg(long)]
    allow_software: bool,
    /// Samples of each case
    #[arg(long, default_value_t = 12)]
    samples: usize,
    /// Replicas of the ensemble suite
    #[arg(long, default_value = "10", value_delimiter = ',')]
    replicas: Vec<usize>,
    /// The convolution suite's network
    #[arg(long, value_name = "FILE.onnx")]
    network: Option<PathBuf>,
    /// The node that it is split at [default: the last with spatial axes]
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// The network's input: its numbers in single precision, one after the other, as NumPy's tofile writes them [default: random]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Also the complete decomposition at that node, once: it takes minutes
    #[arg(long)]
    complete: bool,
    /// MiB that a decomposition may take
    #[arg(long, default_value_t = 2048, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    memory: u64,
    /// Where the results go as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("eigenlens-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let device = match Device::open(&args.device)? {
        Device::Cpu { .. } => Device::Cpu { threads: args.threads },
        device => device,
    };
    if device.is_software_adapter() && !args.allow_software {
        bail!(
            "{device} computes on the CPU, so its figures say nothing about GPUs; add --allow-software to measure it"
        );
    }
    let mut bench = Bench { device, samples: args.samples.max(3), results: Vec::new(), peak: None };
    println!("{}", bench.device);
    for suite in &args.suite {
        match suite.as_str() {
            "gemm" => bench.gemm()?,
            "train" => bench.train(&[1])?,
            "ensemble" => bench.train(&args.replicas)?,
            "denormals" => bench.denormals()?,
            "jacobian" => bench.jacobian()?,
            "svd" => bench.svd()?,
            "convolution" => bench.convolution(args)?,
            "cnn" => bench.cnn()?,
            other => {
                bail!(
                    "there is no suite {other}; there are gemm, train, ensemble, jacobian, svd, denormals, convolution and cnn"
                )
            }
        }
    }
    if let Some(path) = &args.json {
        let adapter = match &bench.device {
            Device::Gpu(gpu) => json!(gpu.info()),
            _ => json!({ "name": "CPU engine" }),
        };
        let cores = std::thread::available_parallelism().map_or(0, |n| n.get());
        let machine = json!({ "os": std::env::consts::OS, "arch": std::env::consts::ARCH, "cores": cores });
        let all = json!({ "machine": machine, "adapter": adapter, "results": bench.results });
        std::fs::write(path, format!("{all:#}\n")).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Different rows that are decomposed whole.
const MOST_ROWS: usize = 8000;

/// So many numbers in single precision.
fn numbers(path: &std::path::Path, count: usize) -> anyhow::Result<Vec<f64>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if numbers.len() != count || !rest.is_empty() {
        bail!("{} has {} bytes; the network reads {count} numbers of 4", path.display(), bytes.len());
    }
    Ok(numbers.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes))).collect())
}

/// Median, and the distance between the quartiles.
fn spread(mut samples: Vec<f64>) -> (f64, f64) {
    samples.sort_by(f64::total_cmp);
    let at = |q: f64| samples[((samples.len() - 1) as f64 * q).round() as usize];
    (at(0.5), at(0.75) - at(0.25))
}

struct Bench {
    device: Device,
    samples: usize,
    results: Vec<Value>,
    /// GFLOP/s of the largest product on this device.
    peak: Option<f64>,
}

impl Bench {
    /// Times `body`, which does `repeats` units of work, and returns the spread in milliseconds a unit.
    fn time(&self, repeats: usize, mut body: impl FnMut() -> eigenlens::Result<()>) -> anyhow::Result<(f64, f64)> {
        for _ in 0..3 {
            body()?;
        }
        let mut samples = Vec::new();
        for _ in 0..self.samples {
            let clock = Instant::now();
            body()?;
            samples.push(clock.elapsed().as_secs_f64() * 1e3 / repeats as f64);
        }
        Ok(spread(samples))
    }

    fn gemm(&mut self) -> anyhow::Result<()> {
        let mut cases = vec![
            (Form::Nt, 500, 784, 100),
            (Form::Nt, 500, 100, 100),
            (Form::Tn, 100, 500, 784),
            (Form::Nn, 512, 512, 512),
            (Form::Nn, 1024, 1024, 1024),
        ];
        if !matches!(self.device, Device::Cpu { .. }) && !self.device.is_software_adapter() {
            cases.push((Form::Nn, 4096, 4096, 4096));
        }
        for (form, m, k, n) in cases {
            let (mut session, plan, batch) = product(&self.device, form, m, k, n)?;
            let flops = 2.0 * (m * k * n) as f64;
            let repeats = (2e9 / flops).clamp(1.0, 200.0) as usize;
            let steps = vec![Step { rows: batch as u32, ..blank() }; repeats];
            let (median, iqr) = self.time(repeats, || {
                session.run(plan, &steps)?;
                session.wait()
            })?;
            let rate = flops / median / 1e6;
            self.peak = Some(self.peak.unwrap_or(0.0).max(rate));
            let case = format!("{form:?} {m}x{k}x{n}").to_uppercase().replace('X', "x");
            println!("gemm      {case:<24} {median:9.3} ms ± {iqr:.3}  {rate:8.1} GFLOP/s");
            self.results.push(json!({
                "suite": "gemm", "case": case, "median_ms": median, "iqr_ms": iqr, "n": self.samples, "gflops": rate,
            }));
        }
        Ok(())
    }

    fn train(&mut self, replicas: &[usize]) -> anyhow::Result<()> {
        for net in [Net::Small, Net::Digits] {
            for batch_norm in [Place::None, Place::First] {
                for &replicas in replicas {
                    self.step(net, batch_norm, replicas)?;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, net: Net, batch_norm: Place, replicas: usize) -> anyhow::Result<()> {
        let mut job = net.job(batch_norm, replicas, 1e-2, &self.device)?;
        let steps = if self.device.is_software_adapter() { 8 } else { 120usize.div_ceil(replicas) };
        let (median, iqr) = self.time(steps, || job.run_steps(steps))?;
        let variant = if batch_norm == Place::None { "bn=none" } else { "bn=first" };
        let suite = if replicas == 1 { "train" } else { "ensemble" };
        let rate = net.flops() * replicas as f64 / median / 1e6;
        let share = self.peak.map(|peak| rate / peak);
        let of_peak = share.map_or(String::new(), |s| format!(" ({:.0} % of the best product)", 100.0 * s));
        let case = net.name();
        // Time on the GPU's own clock, without encoding, submitting and waiting.
        let kernels = job.step_timings()?;
        let gpu_ms = kernels.as_ref().map(|kernels| 1e3 * kernels.iter().map(|(_, seconds)| seconds).sum::<f64>());
        let on_gpu = gpu_ms.map_or(String::new(), |ms| format!(", {ms:.3} ms by timestamps"));
        println!(
            "{suite:<9} {case:<24} {variant:<8} R={replicas:<4} {median:9.3} ms ± {iqr:.3}  \
             {rate:8.1} GFLOP/s{of_peak}{on_gpu}"
        );
        self.results.push(json!({
            "suite": suite, "case": case, "variant": variant, "replicas": replicas, "batch": BATCH,
            "median_ms": median, "iqr_ms": iqr, "n": self.samples, "gflops": rate, "share_of_peak": share, "gpu_ms": gpu_ms,
            "kernels_s": kernels,
        }));
        Ok(())
    }

    /// Jacobians of all outputs of the digits' network at many inputs, the forward pass included; they stay on the engine.
    fn jacobian(&mut self) -> anyhow::Result<()> {
        let (network, parameters, inputs) = explained_network()?;
        let last = network.nodes.len() - 1;
        let products = [Product::Jacobian(last)];
        let mut operator =
            LocalOperator::new(&network, &parameters, &products, SlopeForm::Tangent, EXPLAINED, &self.device)?;
        if operator.batch() < EXPLAINED {
            bail!("{EXPLAINED} inputs don't fit one batch on {}", self.device);
        }
        // The inputs lie on the engine, as the peer's do.
        operator.load(&inputs)?;
        let (median, iqr) = self.time(1, || {
            operator.run_forward()?;
            operator.run_jacobian(last)?;
            operator.wait()
        })?;
        // The chain of products from the outputs down, without the first, which is a diagonal.
        let flops = 2.0 * (EXPLAINED * 10) as f64 * (50.0 * 100.0 + 100.0 * 100.0 + 100.0 * 784.0);
        let rate = flops / median / 1e6;
        let case = "784-100-100-50-10";
        println!("jacobian  {case:<24} 10 outputs x {EXPLAINED} inputs {median:9.3} ms ± {iqr:.3}  {rate:8.1} GFLOP/s");
        self.results.push(json!({
            "suite": "jacobian", "case": case, "batch": EXPLAINED, "median_ms": median, "iqr_ms": iqr, "n": self.samples,
            "gflops": rate,
        }));
        Ok(())
    }

    /// Whole explanations of the predicted outputs, split at the first activation: one decomposition an input, with maps.
    fn svd(&mut self) -> anyhow::Result<()> {
        let (network, parameters, inputs) = explained_network()?;
        let settings = ExplainSettings::at(&[split_node(&network, "activation1")?]);
        let device = self.device.clone();
        let (median, iqr) = self.time(1, || {
            explain_each(&network, &parameters, &inputs, &settings, &device, &mut |_| Flow::Continue).map(drop)
        })?;
        let case = "784-100-100-50-10";
        println!("svd       {case:<24} {EXPLAINED} explanations  {median:9.3} ms ± {iqr:.3}");
        self.results.push(json!({
            "suite": "svd", "case": case, "batch": EXPLAINED, "median_ms": median, "iqr_ms": iqr, "n": self.samples,
        }));
        Ok(())
    }

    /// An ONNX network at one input: the forward pass; the products of eight cotangents and eight tangents with the Jacobian of a node,
    /// forward not included, vectors copied in and out; and whole explanations there.
    fn convolution(&mut self, args: &Args) -> anyhow::Result<()> {
        let path = args.network.as_ref().context("the convolution suite needs --network FILE.onnx")?;
        let onnx::Imported { network, parameters, .. } = onnx::load(path)?;
        let node = match &args.split {
            Some(name) => split_node(&network, name)?,
            None => network
                .nodes
                .iter()
                .rposition(Node::is_spatial)
                .context("no node of the network has spatial axes; name one with --split")?,
        };
        let seeds = 8;
        let (m, n) = (network.nodes[node].width(), network.input_width());
        let mut random = Random::new(0, 0);
        let mut normal = |count: usize| (0..count).map(|_| random.normal()).collect::<Vec<f64>>();
        let (u, v) = (normal(seeds * m), normal(seeds * n));
        let x = match &args.input {
            Some(path) => numbers(path, n)?,
            None => normal(n),
        };
        let mut forward = Forward::new(&network, &parameters, 1, &self.device)?;
        let run = self.time(1, || forward.run(&x).map(drop))?;
        drop(forward);
        let products = [Product::Pull { node, seeds }, Product::Push { node, seeds }];
        let mut operator = LocalOperator::new(&network, &parameters, &products, SlopeForm::Tangent, 1, &self.device)?;
        operator.load(&x)?;
        let pull = self.time(1, || operator.pull(node, seeds, &u).map(drop))?;
        let push = self.time(1, || operator.push(node, seeds, &v).map(drop))?;
        let case = format!("{}, {}", path.file_stem().unwrap_or_default().to_string_lossy(), network.nodes[node].name);
        for (variant, (median, iqr)) in [("forward", run), ("vjp of 8", pull), ("jvp of 8", push)] {
            println!("convolution {case} ({m} x {n}) {variant:<9} {median:9.3} ms ± {iqr:.3}");
            self.results.push(json!({
                "suite": "convolution", "case": case, "variant": variant, "median_ms": median, "iqr_ms": iqr, "n": self.samples,
            }));
        }
        drop(operator);
        self.decompositions(&network, &parameters, node, &x, args, &case)
    }

    /// Explanations of one input at a node, as a program calls them that has network and input: the forward pass, the decomposition and its
    /// maps, without reading and writing files.
    fn decompositions(
        &mut self,
        network: &Network,
        parameters: &Parameters,
        node: usize,
        x: &[f64],
        args: &Args,
        case: &str,
    ) -> anyhow::Result<()> {
        let mut operator = MatrixFree::new(network, parameters, node, SlopeForm::Tangent, &self.device)?;
        operator.load(x)?;
        let (on, (rows, n)) = (operator.on().len(), operator.shape());
        drop(operator);
        let settings = |form| ExplainSettings {
            form,
            components: 8,
            memory: usize::try_from(args.memory).unwrap_or(usize::MAX).saturating_mul(1 << 20),
            ..ExplainSettings::at(&[node])
        };
        let run = |form| explain(network, parameters, x, &settings(form), &self.device).map(drop);
        let (median, iqr) = self.time(1, || run(Decomposition::Top))?;
        let mut measured = vec![("top 8", median, Some(iqr), self.samples)];
        if args.complete && rows > MOST_ROWS {
            println!(
                "convolution {case}: no complete decomposition of {rows} rows; {MOST_ROWS} are decomposed at most"
            );
        } else if args.complete {
            let clock = Instant::now();
            run(Decomposition::Complete)?;
            measured.push(("complete", clock.elapsed().as_secs_f64() * 1e3, None, 1));
        }
        for (variant, median, iqr, samples) in measured {
            let spread = iqr.map_or(String::new(), |iqr| format!(" ± {iqr:.3}"));
            println!("convolution {case} ({on} rows on, {rows} different, x {n}) {variant:<9} {median:9.3} ms{spread}");
            self.results.push(json!({
                "suite": "convolution", "case": case, "variant": variant, "on": on, "rows": rows, "median_ms": median, "iqr_ms": iqr,
                "n": samples,
            }));
        }
        Ok(())
    }

    /// Training steps of small convolutional networks on digits.
    fn cnn(&mut self) -> anyhow::Result<()> {
        for (case, second) in [("16:5,32:3", 3), ("16:5,32:5", 5)] {
            let block = |filters, kernel| Block {
                filters,
                kernel: vec![kernel],
                stride: 1,
                pool: Some(Pool { kernel: 2, stride: 2 }),
            };
            let convolutions = vec![block(16, 5), block(32, second)];
            let architecture = Sequential { convolutions, hidden: vec![100], ridge: true, ..Sequential::default() };
            let network = architecture.build(Input { sizes: vec![28, 28], channels: None }, 10)?;
            let mut job = Net::Digits.job_of(&network, 1, 1e-2, &self.device)?;
            let steps = if self.device.is_software_adapter() { 1 } else { 10 };
            let (median, iqr) = self.time(steps, || job.run_steps(steps))?;
            println!("cnn       {case:<24} {median:9.3} ms ± {iqr:.3}");
            let kernels = job.step_timings()?;
            self.results.push(json!({
                "suite": "cnn", "case": case, "batch": BATCH, "median_ms": median, "iqr_ms": iqr, "n": self.samples,
                "kernels_s": kernels,
            }));
        }
        Ok(())
    }

    /// Step time before and after penalties have driven most columns to nothing.
    fn denormals(&mut self) -> anyhow::Result<()> {
        for net in [Net::Small, Net::Digits] {
            let mut job = net.job(Place::None, 1, 10.0, &self.device)?;
            let steps = 120;
            let (fresh, iqr) = self.time(steps, || job.run_steps(steps))?;
            // Long enough for Adam's moments of a column without gradient to decay below the normal numbers.
            job.run_steps(6000)?;
            let (dead, dead_iqr) = self.time(steps, || job.run_steps(steps))?;
            let case = net.name();
            println!("denormals {case:<24} fresh {fresh:.3} ms ± {iqr:.3}, dead columns {dead:.3} ms ± {dead_iqr:.3}");
            for (variant, median, iqr) in [("fresh", fresh, iqr), ("dead columns", dead, dead_iqr)] {
                self.results.push(json!({
                    "suite": "denormals", "case": case, "variant": variant, "replicas": 1, "batch": BATCH,
                    "median_ms": median, "iqr_ms": iqr, "n": self.samples,
                }));
            }
        }
        Ok(())
    }
}

fn blank() -> Step {
    Step { index: 0, rows: 0, begin: 0, epoch: 0, count: 0, rate: 0.0, ordering: 0, kept: 0 }
}

type Loaded = (Box<dyn eigenlens::engine::Session>, PassId, usize);

/// One product `[m, k]·[k, n]` in the given form; the last number is the batch dimension.
fn product(device: &Device, form: Form, m: usize, k: usize, n: usize) -> eigenlens::Result<Loaded> {
    let mut program = Program::new(1);
    let (a, b, out, batch) = match form {
        Form::Nt => (
            program.buffers.matrix("a", m, k),
            program.buffers.matrix("b", n, k),
            program.buffers.matrix("out", m, n),
            m,
        ),
        Form::Nn => (
            program.buffers.matrix("a", m, k),
            program.buffers.matrix("b", k, n),
            program.buffers.matrix("out", m, n),
            m,
        ),
        Form::Tn => (
            program.buffers.matrix("a", k, m),
            program.buffers.matrix("b", k, n),
            program.buffers.matrix("out", m, n),
            k,
        ),
    };
    let plan = program.pass("product", vec![Op::from(Gemm::plain(form, a, b, out))]);
    let mut session = device.load(program)?;
    let mut random = Random::new(1, 0);
    for view in [a, b] {
        for row in 0..view.rows {
            let values: Vec<f64> = (0..view.cols).map(|_| random.uniform() - 0.5).collect();
            session.write(view.buffer, None, row * view.ld, &values)?;
        }
    }
    Ok((session, plan, batch))
}

/// Inputs of the jacobian and svd suites.
const EXPLAINED: usize = 1024;

/// The digits' network with random weights, and inputs that are mostly dark as digits are.
fn explained_network() -> eigenlens::Result<(Network, Parameters, Vec<f64>)> {
    let network = Sequential { spectral: Place::None, ..Sequential::default() }.build(784, 10)?;
    let parameters = Layout::new(&network).initial(Initialisation::Glorot, 0);
    let mut random = Random::new(7, 2);
    let inputs = (0..EXPLAINED * 784).map(|_| if random.uniform() < 0.19 { random.uniform() } else { 0.0 }).collect();
    Ok((network, parameters, inputs))
}

const BATCH: usize = 500;
const ROWS: usize = 60_000;

/// The two networks that the papers' experiments use.
#[derive(Clone, Copy)]
enum Net {
    Small,
    Digits,
}

impl Net {
    fn name(self) -> &'static str {
        match self {
            Net::Small => "20-100-100-50-2",
            Net::Digits => "784-100-100-50-10",
        }
    }

    /// Multiply-adds of a step, twice: forward, both halves of backward, without the first layer's input gradient.
    fn flops(self) -> f64 {
        let widths: &[f64] = match self {
            Net::Small => &[20.0, 100.0, 100.0, 50.0, 2.0],
            Net::Digits => &[784.0, 100.0, 100.0, 50.0, 10.0],
        };
        let layers: Vec<f64> = widths.windows(2).map(|w| w[0] * w[1]).collect();
        2.0 * BATCH as f64 * (3.0 * layers.iter().sum::<f64>() - layers[0])
    }

    fn dataset(self) -> Dataset {
        let mut random = Random::new(7, 1);
        let (columns, classes, x) = match self {
            Net::Small => (20, 2, Values::F32((0..ROWS * 20).map(|_| random.normal() as f32).collect())),
            Net::Digits => (784, 10, Values::U8((0..ROWS * 784).map(|_| random.next_u64() as u8).collect())),
        };
        Dataset {
            source: self.name().into(),
            rows: ROWS,
            columns,
            x,
            y: Targets::Classes {
                labels: (0..ROWS as u32).map(|r| r % classes).collect(),
                names: (0..classes).map(|c| c.to_string()).collect(),
            },
            features: (0..columns).map(|c| Feature::new(format!("x{c}"), None)).collect(),
            axes: vec![Axis::new("feature", columns)],
            weights: None,
            test_from: None,
            notes: Vec::new(),
            filled: Vec::new(),
            row_names: Vec::new(),
            origins: Vec::new(),
        }
    }

    fn job(self, batch_norm: Place, replicas: usize, reg_lambda: f64, device: &Device) -> eigenlens::Result<Job> {
        let activations = match self {
            Net::Small => vec![Activation::Tanh, Activation::Relu, Activation::Relu],
            Net::Digits => vec![Activation::Relu],
        };
        let architecture = Sequential { activations, batch_norm, spectral: Place::All, ..Sequential::default() };
        let dataset = self.dataset();
        let Targets::Classes { names, .. } = &dataset.y else { unreachable!("a fixture of classes") };
        self.job_of(&architecture.build(dataset.columns, names.len())?, replicas, reg_lambda, device)
    }

    fn job_of(self, network: &Network, replicas: usize, reg_lambda: f64, device: &Device) -> eigenlens::Result<Job> {
        let dataset = self.dataset();
        let scale = if matches!(self, Net::Digits) { 1.0 / 255.0 } else { 1.0 };
        let (shift, scale) = (vec![0.0; dataset.columns], vec![scale; dataset.columns]);
        let rows: Vec<u32> = (0..ROWS as u32).collect();
        let data = Resident::new(&dataset, (&shift, &scale), (&[], &[]), [&rows, &[], &[]]);
        let settings = Settings {
            batch: BATCH,
            epochs: 1000,
            balanced: false,
            replicas: Settings::ensemble(replicas, 0, reg_lambda, 1e-4),
            ..Settings::default()
        };
        Job::new(network, &data, &settings, None, device)
    }
}
