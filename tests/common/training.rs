//! Small trainings, everything about them spelt out.

use eigenlens::data::{Axis, Dataset, Feature, Targets, Values};
use eigenlens::kernels::{Activation, LossKind};
use eigenlens::network::{Initialisation, Network, Parameters, Place, Sequential, Spectral};
use eigenlens::random::Random;
use eigenlens::run::Keep;
use eigenlens::train::{EpochRecord, Flow, Job, Resident, Schedule, Settings};
use eigenlens::{Device, Error};

pub const CPU: Device = Device::Cpu { threads: 2 };
pub const ORACLE: Device = Device::CpuF64 { threads: 1 };

/// The adapter under test; a machine without one fails here, with the error's own list of adapters and remedy.
pub fn gpu() -> Device {
    Device::open("gpu").unwrap_or_else(|e| panic!("these tests need an adapter (scripts/test.sh installs one): {e}"))
}

/// Two overlapping classes (or, as numbers, their labels with noise) on independent normal features, whose distances between
/// the classes fall from 1.5 to 0.
pub fn dataset(rows: usize, columns: usize, numbers: bool) -> Dataset {
    let mut random = Random::new(17, columns as u64);
    let mut x = Vec::new();
    for r in 0..rows {
        let sign = if r % 2 == 0 { 0.5 } else { -0.5 };
        let distance = |c: usize| 1.5 * (1.0 - c as f64 / (columns - 1) as f64);
        x.extend((0..columns).map(|c| (sign * distance(c) + random.normal()) as f32));
    }
    labelled(x, rows, columns, numbers, random)
}

/// Classes by turns (or, as numbers, their labels with noise) for `x: [rows, columns]`.
pub fn labelled(x: Vec<f32>, rows: usize, columns: usize, numbers: bool, mut random: Random) -> Dataset {
    let label = |r: usize| (r % 2) as u32;
    let y = if numbers {
        let values = (0..rows).map(|r| f64::from(label(r) as f32 + 0.3 * random.normal() as f32)).collect();
        Targets::Numbers { values, names: vec!["y".into()] }
    } else {
        Targets::Classes { labels: (0..rows).map(label).collect(), names: vec!["a".into(), "b".into()] }
    };
    Dataset {
        source: "test".into(),
        rows,
        columns,
        x: Values::F32(x),
        y,
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

/// Unscaled; the last `validation` rows are for validation.
pub fn resident(dataset: &Dataset, validation: usize) -> Resident {
    let rows: Vec<u32> = (0..dataset.rows as u32).collect();
    let (train, validation) = rows.split_at(dataset.rows - validation);
    let (zeros, ones) = (vec![0.0; dataset.columns], vec![1.0; dataset.columns]);
    Resident::new(dataset, (&zeros, &ones), (&[0.0], &[1.0]), [train, validation, &[]])
}

pub fn network(columns: usize, hidden: &[usize], activation: Activation, batch_norm: Place, outputs: usize) -> Network {
    architecture(hidden, &[activation], batch_norm).build(columns, outputs).unwrap()
}

/// Everything spelt out: the command line's defaults may change, these runs may not.
pub fn settings(epochs: usize, batch: usize, reg_lambda: f64, reg_psi: f64) -> Settings {
    Settings {
        loss: LossKind::Ce,
        epochs,
        batch,
        rate: 1e-2,
        schedule: Schedule::Cosine,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-7,
        initialisation: Initialisation::Glorot,
        balanced: true,
        early_stop: None,
        threshold: 0.01,
        replicas: Settings::ensemble(1, 3, reg_lambda, reg_psi),
        groups: Vec::new(),
        lasso: None,
        keep: Keep::default(),
    }
}

/// All layers spectral, λ_out = 0 frozen, no dropout.
pub fn architecture(hidden: &[usize], activations: &[Activation], batch_norm: Place) -> Sequential {
    Sequential {
        convolutions: Vec::new(),
        hidden: hidden.to_vec(),
        activations: activations.to_vec(),
        batch_norm,
        dropout: 0.0,
        dropout_place: Place::First,
        spectral: Place::All,
        train: Spectral { psi: true, lambda_in: true, lambda_out: false },
        train_bias: true,
        residual: false,
        ridge: false,
    }
}

pub type Outcome = Result<(Vec<EpochRecord>, Job), Error>;

/// Trains from `start` (or from the settings' own start).
pub fn train(
    network: &Network,
    data: &Resident,
    settings: &Settings,
    start: Option<&Parameters>,
    device: &Device,
) -> Outcome {
    let mut job = Job::new(network, data, settings, None, device)?;
    if let Some(start) = start {
        job.set_parameters(0, start)?;
    }
    let history = job.train(&mut |_| Flow::Continue)?;
    Ok((history, job))
}
