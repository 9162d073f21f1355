//! Whole training steps on the GPU engine, against the f64 oracle.

use crate::common::case::Random;
use eigenlens::engine::Device;
use eigenlens::kernels::{Activation, Storage};
use eigenlens::network::{Place, Sequential, Spectral};
use eigenlens::train::{Job, Resident, Settings};

fn network(activation: Activation, batch_norm: Place, dropout: f32) -> Sequential {
    Sequential {
        convolutions: Vec::new(),
        hidden: vec![100, 100, 50],
        activations: vec![activation],
        batch_norm,
        dropout,
        dropout_place: Place::First,
        spectral: Place::All,
        train: Spectral::default(),
        train_bias: true,
        residual: false,
        ridge: false,
    }
}

/// Random bytes with random labels.
fn data(columns: usize, outputs: usize, rows: usize) -> Resident {
    let mut random = Random(7);
    let stride = columns.div_ceil(4);
    let ld = columns.div_ceil(4) * 4;
    let mut scaling = vec![0.0; 2 * ld];
    scaling[ld..ld + columns].fill(1.0 / 255.0);
    Resident {
        storage: Storage::U8,
        stride,
        words: (0..rows * stride).map(|_| random.word()).collect::<Vec<u32>>().into(),
        columns,
        scaling,
        targets: (0..rows).map(|_| random.word() % outputs as u32).collect(),
        weights: Vec::new(),
        outputs,
        list: (0..rows as u32).collect(),
        lists: Vec::new(),
        train: 0..rows,
        validation: rows..rows,
        test: rows..rows,
        unit: 1.0,
    }
}

#[test]
fn training_follows_the_oracle() {
    for (activation, batch_norm, dropout) in [
        (Activation::Relu, Place::First, 0.2),
        (Activation::Tanh, Place::None, 0.0),
        (Activation::Gelu, Place::None, 0.0),
    ] {
        let network = network(activation, batch_norm, dropout).build(20, 3).unwrap();
        let settings = Settings { replicas: Settings::ensemble(2, 3, 1e-2, 1e-3), batch: 30, ..Settings::default() };
        let data = data(20, 3, 100);
        let mut losses = Vec::new();
        for device in [Device::Gpu(crate::common::case::gpu().clone()), Device::CpuF64 { threads: 1 }] {
            let mut job = Job::new(&network, &data, &settings, None, &device).unwrap();
            job.run_steps(10).unwrap();
            let scores = job.evaluate(0..100).unwrap();
            losses.push(scores.iter().map(|scores| scores.loss).collect::<Vec<_>>());
        }
        for (gpu, oracle) in losses[0].iter().zip(&losses[1]) {
            // Ten steps amplify rounding (a ReLU may change sides); losses are near 1.
            assert!((gpu - oracle).abs() < 2e-4, "{activation:?}: {losses:?}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let network = network(Activation::Tanh, Place::First, 0.2).build(20, 3).unwrap();
    let settings = Settings { replicas: Settings::ensemble(3, 3, 1e-2, 1e-3), batch: 30, ..Settings::default() };
    let run = || {
        let device = Device::Gpu(crate::common::case::gpu().clone());
        let mut job = Job::new(&network, &data(20, 3, 100), &settings, None, &device).unwrap();
        job.run_steps(20).unwrap();
        (0..3).map(|replica| job.parameters(replica).unwrap()).collect::<Vec<_>>()
    };
    assert!(run() == run());
}
