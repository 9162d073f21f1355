//! Options that several subcommands share, and how they become library settings.

use std::path::Path;

use clap::{Args, ValueEnum};

use super::names::Names;
pub use super::names::by_name;
use super::pictures::{NameArgs, PictureArgs};
use super::say;
use crate::assess::Tuning;
use crate::data::{
    CHANNEL, Dataset, Layout, Missing, Request, ScaleKind, Targets, Task, channels, input_of, is_tabular,
};
use crate::engine::Device;
use crate::kernels::{Activation, LossKind};
use crate::model::Plan;
use crate::network::dense::MOST_UNITS;
use crate::network::{Block, Initialisation, Place, Pool, Sequential, Spectral};
use crate::report::formats::{self, Format};
use crate::report::page::Page;
use crate::run::Folder;
use crate::train::{MOST_BATCH, MOST_EPOCHS, MOST_REPLICAS, Schedule, Settings};
use crate::{Error, Result};

/// How many units a layer has.
pub fn width(text: &str) -> Result<usize, String> {
    let units = text.trim().parse().ok().filter(|units| (1..=MOST_UNITS).contains(units));
    units.ok_or_else(|| format!("a layer has 1 to {MOST_UNITS} units"))
}

/// A number of things that are made or held one by one: many more than make sense would end in an allocation that ends the program.
pub fn at_most<const MOST: usize>(text: &str) -> Result<usize, String> {
    match text.trim().parse::<usize>() {
        Ok(count) if count <= MOST => Ok(count),
        Ok(_) => Err(format!("it can be {MOST} at most")),
        Err(_) => Err(format!("give a whole number, {MOST} at most")),
    }
}

/// The most of what is trained, drawn, or made: see [`at_most`].
pub const MOST_NETWORKS: usize = MOST_REPLICAS;
pub const MOST_DRAWS: usize = 10_000;
pub const MOST_ROWS: usize = 10_000_000;

/// A time that may be spent.
pub fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.trim().parse().ok().filter(|&minutes: &f64| minutes > 0.0 && minutes.is_finite());
    minutes.ok_or_else(|| "give minutes, more than 0".into())
}

/// Memory that may be taken.
pub fn mebibytes(text: &str) -> Result<usize, String> {
    text.trim().parse().ok().filter(|&mebibytes| mebibytes > 0).ok_or_else(|| "give MiB, 1 or more".into())
}

/// A size of a window: far above what makes sense, far below what overflows.
fn size(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|size| (1..=1 << 16).contains(size))
}

/// A convolution as `channels:kernel[:stride]`; a kernel is one size or one for each spatial axis, as in 3x5.
pub fn block(text: &str) -> Result<Block, String> {
    let wrong = || {
        format!(
            "{text:?} is no convolution; give channels:kernel or channels:kernel:stride, as in 16:5 or 32:3:2 (a kernel may be 3x5)"
        )
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (filters, kernel, stride) = match parts[..] {
        [filters, kernel] => (filters, kernel, "1"),
        [filters, kernel, stride] => (filters, kernel, stride),
        _ => return Err(wrong()),
    };
    let kernel: Option<Vec<usize>> = kernel.split(['x', '×']).map(size).collect();
    match (size(filters), kernel, size(stride)) {
        (Some(filters), Some(kernel), Some(stride)) => Ok(Block { filters, kernel, stride, pool: None }),
        _ => Err(wrong()),
    }
}

/// A pooling as `size[:stride]`, the stride being the size unless given; 0: none.
pub fn pool(text: &str) -> Result<Pooling, String> {
    if text.trim() == "0" {
        return Ok(Pooling(None));
    }
    let (kernel, stride) = text.split_once(':').unwrap_or((text, text));
    match (size(kernel), size(stride)) {
        (Some(kernel), Some(stride)) => Ok(Pooling(Some(Pool { kernel, stride }))),
        _ => Err(format!("{text:?} is no pooling; give a size or size:stride, as in 2 or 3:2, or 0 for none")),
    }
}

/// Whether and how a convolution's output is pooled.
#[derive(Debug, Clone, Copy)]
pub struct Pooling(Option<Pool>);

/// What to compute on.
#[derive(Args, Debug, Clone)]
pub struct DeviceArgs {
    /// auto (a real GPU, else the CPU engine), cpu, cpu64 (in double precision, slower), gpu (a software adapter at worst),
    /// or part of an adapter's name
    #[arg(long, default_value = "auto", value_name = "NAME", help_heading = "Engine")]
    pub device: String,
    /// Threads of the CPU engine; 0 takes every core
    #[arg(hide_short_help = true, long, default_value_t = 0, value_name = "N", help_heading = "Engine")]
    pub threads: usize,
}

impl DeviceArgs {
    /// Opens the device; a software adapter is announced on stderr.
    pub fn open(&self) -> Result<Device> {
        const MOST_THREADS: usize = 1024;
        if self.threads > MOST_THREADS {
            return Err(Error::Usage(format!(
                "--threads is {}; it can be {MOST_THREADS} at most, and 0 takes every core",
                self.threads
            )));
        }
        let device = match Device::open(&self.device)? {
            Device::Cpu { .. } => Device::Cpu { threads: self.threads },
            Device::CpuF64 { .. } => Device::CpuF64 { threads: self.threads },
            device => device,
        };
        if device.is_software_adapter() {
            say(&format!("{device} computes on the CPU; --device cpu is faster"));
        }
        Ok(device)
    }
}

/// What a command that leaves a report computes on, and what it says.
#[derive(Args, Debug, Clone)]
pub struct RunArgs {
    #[command(flatten)]
    pub device: DeviceArgs,
    /// The report's formats: html (one file to read, print and show), md (for a terminal or a pull request), json (for programs)
    #[arg(long, value_name = "html,md,json", value_delimiter = ',', default_value = "html", help_heading = "Output")]
    report: Vec<Format>,
    /// Print the numbers as JSON instead of the table
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

impl RunArgs {
    /// Writes the page in the formats asked for, as NAME.html and so on; a line that says where it is.
    pub fn save(&self, page: &Page, folder: &Folder, name: &str) -> Result<String> {
        let files = formats::save(page, folder, name, &self.report)?;
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        Ok(format!("Report: {}\n", files.join(", ")))
    }
}

/// How the data are read.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// The target column of a table
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// The targets of an .npy, or of an .npz without y: an .npy with one for each row
    #[arg(long, value_name = "FILE.npy")]
    pub target_file: Option<String>,
    /// classify or regress, guessed from the target unless given (numbers are classes where they are whole and occur as labels do: two of
    /// them, or up to 20, each in 10 rows on average and 5 at least); autoencode to give back the inputs
    #[arg(long, value_parser = by_name::<Task>)]
    pub task: Option<Task>,
    /// Only these classes, in this order, as in 0,1 (one with a comma in double quotes)
    #[arg(long, value_name = "A,B,…")]
    pub classes: Option<Names>,
    /// Missing cells: refuse, mean (of the training rows), indicator (the mean, and a column 0 or 1 that says so, in one group with it; for a
    /// category one more value), or drop (the row)
    #[arg(long, default_value = "refuse", value_parser = by_name::<Missing>)]
    pub missing: Missing,
    /// Where the channels of an array stand: channels-first (nchw), channels-last (nhwc) or no-channels [default: of four axes first where a row's
    /// first axis has 1 or 3 and its last has not, or with --conv where it is the shortest; of three none, but with --conv first
    /// unless a row is square]
    #[arg(hide_short_help = true, long, value_parser = by_name::<Layout>)]
    pub layout: Option<Layout>,
    #[command(flatten)]
    pictures: PictureArgs,
}

impl DataArgs {
    /// Of one source, or of several pictures.
    pub fn request_all(&self, sources: &[String], seed: u64) -> Request {
        let (first, more) = sources.split_first().expect("invariant: DATA is required");
        Request { more: more.to_vec(), ..self.request(first, seed) }
    }

    pub fn request(&self, source: &str, seed: u64) -> Request {
        Request {
            pictures: self.pictures.preprocess(),
            target: self.target.clone(),
            target_file: self.target_file.clone(),
            task: self.task,
            classes: self.classes.clone().map(|names| names.0),
            missing: self.missing,
            layout: self.layout,
            seed,
            ..Request::new(source)
        }
    }
}

/// What a model is given: data, with what an ONNX network's file doesn't say of them.
#[derive(Args, Debug, Clone)]
pub struct GivenArgs {
    #[command(flatten)]
    pub names: NameArgs,
    #[command(flatten)]
    pub read: DataArgs,
}

/// What is learnt from the data, and how much of it.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Data")]
pub struct LearnArgs {
    /// Columns of a table that are no inputs, such as a row's number; the model then doesn't need them either. A name
    /// with a comma stands in double quotes, as in '"height, cm",id'
    #[arg(long, value_name = "NAME,…")]
    pub drop: Vec<Names>,
    /// Reads columns of dates (2024-01-31, 31.01.2024, 1/31/2024, perhaps with a time), which are refused else: days since the first, day of
    /// the year and weekday (1, a Monday, to 7), as one group
    #[arg(long)]
    pub dates: bool,
    /// How much each row counts, in loss, scores and scaling: a column of a table, which is then no input, or an array of an
    /// .npz (with NAME_test beside X_test). 0 or more; scaled to mean 1
    #[arg(hide_short_help = true, long, value_name = "NAME")]
    pub weights: Option<String>,
    /// Makes every class count the same, whatever its rows: a row weighs rows/(classes × rows of its class), times its weight.
    /// The accuracy is then the balanced accuracy, the mean over the classes
    #[arg(long)]
    pub balanced_classes: bool,
}

impl LearnArgs {
    /// Names of the columns that are no inputs.
    pub fn dropped(&self) -> Vec<String> {
        self.drop.iter().flat_map(|names| names.0.clone()).collect()
    }

    pub fn request(&self, read: &DataArgs, source: &str, seed: u64) -> Request {
        Request { drop: self.dropped(), weights: self.weights.clone(), dates: self.dates, ..read.request(source, seed) }
    }
}

/// Says on stderr what a file's columns or axes were taken for, which is guessed, and what the reader did.
pub fn announce(dataset: &Dataset, request: &Request) {
    if Path::new(&request.source).extension().is_some() || request.source == "-" {
        let name = Path::new(&request.source).file_name().unwrap_or_default().to_string_lossy();
        let summary = dataset.summary(request.target.as_deref(), request.weights.as_deref());
        say(&format!("{name}: {summary}"));
    }
    say_notes(dataset);
}

/// Says on stderr what the reader did: rows left out, cells filled, values that a model doesn't know.
pub fn say_notes(dataset: &Dataset) {
    for note in &dataset.notes {
        say(note);
    }
}

/// Where something stands.
#[derive(ValueEnum, Debug, Clone, Copy)]
pub enum Layers {
    None,
    First,
    All,
}

impl From<Layers> for Place {
    fn from(layers: Layers) -> Place {
        match layers {
            Layers::None => Place::None,
            Layers::First => Place::First,
            Layers::All => Place::All,
        }
    }
}

/// The convolutions.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Network")]
pub struct ConvolutionArgs {
    /// Convolutions before the hidden layers, as channels:kernel[:stride], padded with zeros so that a stride of 1 keeps the size: the
    /// first has an eigenvalue for each channel of the data, so channels are ranked
    #[arg(long, value_delimiter = ',', value_parser = block, value_name = "C:K[:S],…")]
    pub conv: Vec<Block>,
    /// Max-pooling after each convolution, as size[:stride] [the stride is the size], without padding: one for all, or one for
    /// each, where 0 is none
    #[arg(long, value_delimiter = ',', value_parser = pool, value_name = "K[:S],…", requires = "conv")]
    pub pool: Vec<Pooling>,
}

impl ConvolutionArgs {
    /// The convolutions, each with its pooling.
    pub fn blocks(&self) -> Result<Vec<Block>> {
        if self.pool.len() > 1 && self.pool.len() != self.conv.len() {
            return Err(Error::Usage(format!(
                "--pool names {} for {} convolutions; give one for all or one for each (0: none)",
                self.pool.len(),
                self.conv.len()
            )));
        }
        let pool = |i: usize| self.pool.get(i).or(self.pool.first()).and_then(|pooling| pooling.0);
        Ok(self.conv.iter().enumerate().map(|(i, block)| Block { pool: pool(i), ..block.clone() }).collect())
    }
}

/// The network.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    #[command(flatten)]
    pub convolutions: ConvolutionArgs,
    /// Units of the hidden layers [default: 100,100,50; 100 behind --conv, and for a table whose penalties are chosen by
    /// cross-validation]
    #[arg(long, value_delimiter = ',', value_parser = width, value_name = "N,N,…")]
    pub hidden: Option<Vec<usize>>,
    /// relu, leaky-relu, tanh, sigmoid, gelu, silu, elu or identity: one for all convolutions and hidden layers, or one for each
    #[arg(hide_short_help = true, long, default_value = "relu", value_delimiter = ',', value_parser = by_name::<Activation>, value_name = "A,A,…")]
    pub activation: Vec<Activation>,
    /// Batch normalisation, after the activation and before dropout (behind a convolution by channel)
    #[arg(hide_short_help = true, long, default_value = "none")]
    pub batch_norm: Layers,
    /// Probability to drop a unit, after the layers named: 0.2@first or 0.2@all (the same as 0.2)
    #[arg(hide_short_help = true, long, default_value = "0", value_name = "P[@first|all]")]
    pub dropout: String,
    /// Which layers have a spectral weight; the others are ordinary ones
    #[arg(hide_short_help = true, long, default_value = "first")]
    pub spectral: Layers,
    /// Adds a hidden layer's input to its output wherever both are equally wide (residual blocks)
    #[arg(hide_short_help = true, long)]
    pub residual: bool,
    /// What is trained: any of psi, lambda_in, lambda_out, bias
    #[arg(
        hide_short_help = true,
        long,
        default_value = "psi,lambda_in,bias",
        value_delimiter = ',',
        value_name = "PART,…"
    )]
    pub train: Vec<String>,
}

impl NetworkArgs {
    pub fn sequential(&self) -> Result<Sequential> {
        let wrong = |text: String| Err(Error::Usage(text));
        const PARTS: [&str; 4] = ["psi", "lambda_in", "lambda_out", "bias"];
        if let Some(part) = self.train.iter().find(|part| !PARTS.contains(&part.as_str())) {
            return wrong(format!("--train names {part}; the parts are {}", PARTS.join(", ")));
        }
        let trains = |part: &str| self.train.iter().any(|p| p == part);
        let convolutions = self.convolutions.blocks()?;
        let before = convolutions.len();
        let default = || if before > 0 { vec![100] } else { Sequential::default().hidden };
        let hidden = self.hidden.clone().unwrap_or_else(default);
        if self.activation.len() != 1 && self.activation.len() != before + hidden.len() {
            return wrong(format!(
                "--activation names {} for {}{} hidden layers; give one for all or one for each",
                self.activation.len(),
                if before > 0 { format!("{before} convolutions and ") } else { String::new() },
                hidden.len()
            ));
        }
        let (probability, place) = self.dropout.split_once('@').unwrap_or((&self.dropout, "all"));
        let dropout_place = match place {
            "first" => Place::First,
            "all" => Place::All,
            other => return wrong(format!("--dropout ends in @{other}; it can be @first or @all")),
        };
        let dropout = match probability.parse::<f32>() {
            Ok(p) if (0.0..1.0).contains(&p) => p,
            _ => return wrong(format!("--dropout is {probability}; it is a probability, at least 0 and below 1")),
        };
        Ok(Sequential {
            convolutions,
            hidden,
            activations: self.activation.clone(),
            batch_norm: self.batch_norm.into(),
            dropout,
            dropout_place,
            spectral: self.spectral.into(),
            train: Spectral { psi: trains("psi"), lambda_in: trains("lambda_in"), lambda_out: trains("lambda_out") },
            train_bias: trains("bias"),
            residual: self.residual,
            // Without a penalty on what follows it a convolution shrinks at no cost and the others grow instead: the first one's
            // penalty then chooses nothing (docs/penalties.md).
            ridge: before > 0,
        })
    }
}

/// The training.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Training")]
pub struct TrainingArgs {
    /// ce for classes; mae, mse or huber for numbers [default: ce or mse]
    #[arg(hide_short_help = true, long, value_parser = by_name::<LossKind>)]
    pub loss: Option<LossKind>,
    /// standard, none, unit or minmax, fitted on the training rows [default: unit for bytes, none for the synthetic
    /// sets, else standard]
    #[arg(hide_short_help = true, long, value_parser = by_name::<ScaleKind>)]
    pub scale: Option<ScaleKind>,
    /// glorot or he
    #[arg(hide_short_help = true, long, default_value = "glorot", value_parser = by_name::<Initialisation>)]
    pub init: Initialisation,
    /// Start λ and ψ so that the penalties are smallest for the initial weight
    #[arg(hide_short_help = true, long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true",
          require_equals = true)]
    pub balanced: bool,
    /// Penalty on the eigenvalues: X·Σλ² is part of the loss [default: by --folds; else 0.01, and for a .csv, .tsv or .txt
    /// table, unless --reg-psi is given, 30/√rows, from 0.01 to 3; for several channels with --conv that times the
    /// elements of a kernel]
    #[arg(hide_short_help = true, long, value_name = "X")]
    pub reg_lambda: Option<f64>,
    /// Penalty on the eigenvectors: X·Σψ² is part of the loss [default: by --folds; else 0.0001, and for such a table, unless
    /// --reg-lambda is given, 0.3/√rows, from 0.0001 to 0.03]
    #[arg(hide_short_help = true, long, value_name = "X")]
    pub reg_psi: Option<f64>,
    /// A feature counts as dropped when its relevance is below this share of the largest
    #[arg(hide_short_help = true, long, default_value_t = 0.01, value_name = "X")]
    pub threshold: f64,
    /// Passes over the training rows
    #[arg(value_parser = at_most::<{ MOST_EPOCHS }>, long, default_value_t = 200, value_name = "N")]
    pub epochs: usize,
    /// Rows a step; more than there are means one batch [default: 500, or a twentieth of the rows where that is less, but
    /// 32 at least]
    #[arg(value_parser = at_most::<{ MOST_BATCH }>, hide_short_help = true, long, value_name = "N")]
    pub batch: Option<usize>,
    /// Adam's learning rate at the start
    #[arg(hide_short_help = true, long, default_value_t = 3e-3, value_name = "X")]
    pub lr: f64,
    /// constant, cosine (to a hundredth) or step (a tenth at half, a hundredth at three quarters)
    #[arg(hide_short_help = true, long, default_value = "cosine", value_parser = by_name::<Schedule>)]
    pub schedule: Schedule,
    /// Stop after N epochs without a better validation loss, and keep the best parameters
    #[arg(value_parser = at_most::<{ MOST_EPOCHS }>, hide_short_help = true, long, value_name = "N")]
    pub early_stop: Option<usize>,
    /// Choose the penalties by K-fold cross-validation over the training rows; 0: don't [default: 5 for a table, or
    /// for channels of --conv, that isn't too large, unless --reg-lambda, --reg-psi, --validation or --early-stop says how]
    #[arg(value_parser = at_most::<{ MOST_ROWS }>, long, value_name = "K")]
    pub folds: Option<usize>,
    /// Share of the rows for validation [default: 0.1; none with --folds, where every training row is held out in turn]
    #[arg(hide_short_help = true, long, value_name = "SHARE")]
    pub validation: Option<f64>,
    /// Share of the rows for the test, where the data have no test rows of their own
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    pub test: f64,
    /// Independent networks, trained at once; they share data and split, and differ in seed
    #[arg(value_parser = at_most::<{ MOST_NETWORKS }>, long, default_value_t = 1, value_name = "R")]
    pub replicas: usize,
    /// Of the split, the initial weights, the shuffles and dropout
    #[arg(long, default_value_t = 0, value_name = "S")]
    pub seed: u64,
}

impl TrainingArgs {
    /// The plan for a data set, with the defaults that depend on it.
    ///
    /// # Errors
    /// [`Error::Usage`] for --folds beside an option that chooses otherwise, or for a number of folds that makes no sense.
    pub fn plan(&self, network: &NetworkArgs, data: &DataArgs, learn: &LearnArgs, dataset: &Dataset) -> Result<Plan> {
        let mut architecture = network.sequential()?;
        let mut tuned = architecture.clone();
        if network.hidden.is_none()
            && network.activation.len() == 1
            && !network.residual
            && network.convolutions.conv.is_empty()
        {
            // Where its penalty is tuned one layer is as good as three, and doesn't learn the rows by heart (docs/defaults.md).
            tuned.hidden = vec![100];
        }
        let tuning = self.tuning(&tuned, dataset)?;
        if tuning.is_some() {
            architecture = tuned;
        }
        let default_loss = if matches!(dataset.y, Targets::Classes { .. }) { LossKind::Ce } else { LossKind::Mse };
        // The eigenvalues need a thousand steps or so to settle, which a small table doesn't have in batches of 500.
        let default_batch = (dataset.rows / 20).clamp(32, 500);
        let (reg_lambda, reg_psi) = self.penalties(&architecture, dataset);
        Ok(Plan {
            architecture,
            tuning,
            settings: Settings {
                loss: self.loss.unwrap_or(default_loss),
                epochs: self.epochs,
                batch: self.batch.unwrap_or(default_batch),
                rate: self.lr,
                schedule: self.schedule,
                initialisation: self.init,
                balanced: self.balanced,
                early_stop: self.early_stop,
                threshold: self.threshold,
                replicas: Settings::ensemble(self.replicas, self.seed, reg_lambda, reg_psi),
                ..Settings::default()
            },
            scale: self.scale,
            target_scaling: None,
            validation: self.validation.unwrap_or(Plan::default().validation),
            test: self.test,
            split_seed: self.seed,
            target_column: data.target.clone(),
            weight_column: learn.weights.clone(),
            balanced_classes: learn.balanced_classes,
            classes: data.classes.clone().map(|names| names.0),
            missing: data.missing,
        })
    }

    /// Whether and how the penalties are chosen by cross-validation.
    fn tuning(&self, architecture: &Sequential, dataset: &Dataset) -> Result<Option<Tuning>> {
        // Some ten seconds on two cores; convolutions, without which nothing may be learnt at all, get some thirty.
        const MOST_OPERATIONS: f64 = 4e11;
        const MOST_CONVOLVED: f64 = 1e12;
        let other = [
            ("--reg-lambda", self.reg_lambda.is_some()),
            ("--reg-psi", self.reg_psi.is_some()),
            ("--validation", self.validation.is_some()),
            ("--early-stop", self.early_stop.is_some()),
        ];
        let other = other.iter().find(|(_, given)| *given).map(|(name, _)| *name);
        let rows = dataset.test_from.unwrap_or(((1.0 - self.test) * dataset.rows as f64) as usize);
        let (folds, asked) = match (self.folds, other) {
            (Some(0), _) | (None, Some(_)) => return Ok(None),
            (Some(folds), Some(name)) if folds > 0 => {
                return Err(Error::Usage(format!(
                    "--folds {folds} chooses the penalties by rows held out in turn, and {name} says how otherwise; give one of them"
                )));
            }
            (Some(folds), _) if folds == 1 || folds > rows => {
                return Err(Error::Usage(format!(
                    "--folds is {folds} for {rows} training rows; it can be 2 to {rows}, or 0 for none"
                )));
            }
            (Some(folds), _) => (folds, true),
            (None, None) => (Tuning::default().folds, false),
        };
        let tuning = Tuning { folds, ..Tuning::default() };
        let outputs = match &dataset.y {
            Targets::Classes { names, .. } | Targets::Numbers { names, .. } => names.len(),
            Targets::Inputs | Targets::None => return Ok(asked.then_some(tuning)),
        };
        let (weights, most) = if architecture.convolutions.is_empty() {
            let widths: Vec<usize> =
                [dataset.columns].iter().chain(&architecture.hidden).chain([&outputs]).copied().collect();
            (widths.windows(2).map(|pair| pair[0] * pair[1]).sum(), MOST_OPERATIONS)
        } else {
            let network = architecture.build(input_of(&dataset.axes), outputs)?;
            ((0..network.nodes.len()).map(|id| network.multiply_adds(id)).sum(), MOST_CONVOLVED)
        };
        let ranks_channels = !architecture.convolutions.is_empty() && channels(&dataset.axes).len() > 1;
        let small = (is_tabular(dataset) || ranks_channels)
            && rows >= 2 * folds
            && tuning.operations(weights, rows, self.epochs) <= most;
        Ok((asked || small).then_some(tuning))
    }

    /// r_λ and r_ψ. The rules for tables and for channels set their product, so they hold only where the user chose neither.
    fn penalties(&self, architecture: &Sequential, dataset: &Dataset) -> (f64, f64) {
        let ranked = architecture.convolutions.first().filter(|_| channels(&dataset.axes).len() > 1);
        match (self.reg_lambda, self.reg_psi, ranked) {
            (None, None, Some(first)) => {
                let axes = dataset.axes.iter().filter(|axis| axis.name != CHANNEL).count();
                let taps = first.kernel.iter().cycle().take(axes.max(first.kernel.len())).product();
                Settings::channel_penalties(dataset.rows, taps, architecture.convolutions.len())
            }
            (None, None, None) if is_tabular(dataset) => Settings::table_penalties(dataset.rows),
            (reg_lambda, reg_psi, _) => (reg_lambda.unwrap_or(1e-2), reg_psi.unwrap_or(1e-4)),
        }
    }
}
