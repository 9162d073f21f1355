//! Whole training steps on the GPU engine: against the f64 oracle, and (ignored) how long they take.

mod common;

use std::time::Instant;

use common::Random;
use eigenlens::engine::Device;
use eigenlens::engine::gpu::{Gpu, Request};
use eigenlens::kernels::{Activation, Storage};
use eigenlens::network::{Place, Sequential, Spectral};
use eigenlens::train::{Job, Resident, Settings};

fn network(activation: Activation, batch_norm: Place, dropout: f32) -> Sequential {
    Sequential {
        hidden: vec![100, 100, 50],
        activations: vec![activation],
        batch_norm,
        dropout,
        dropout_place: Place::First,
        spectral: Place::All,
        train: Spectral::default(),
        train_bias: true,
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
        words: (0..rows * stride).map(|_| random.word()).collect(),
        columns,
        scaling,
        targets: (0..rows).map(|_| random.word() % outputs as u32).collect(),
        outputs,
        list: (0..rows as u32).collect(),
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
        for device in [Device::Gpu(common::gpu().clone()), Device::CpuF64 { threads: 1 }] {
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
        let device = Device::Gpu(common::gpu().clone());
        let mut job = Job::new(&network, &data(20, 3, 100), &settings, None, &device).unwrap();
        job.run_steps(20).unwrap();
        (0..3).map(|replica| job.parameters(replica).unwrap()).collect::<Vec<_>>()
    };
    assert!(run() == run());
}

/// `cargo test --release --test gpu_training -- --ignored --nocapture`: milliseconds a step, and its costliest kernels.
#[test]
#[ignore = "measures"]
fn step_times() {
    let gpu = Gpu::open(&Request::Gpu).unwrap();
    println!("{} {:?}", gpu.info().name, gpu.caps());
    for (columns, outputs) in [(784, 10), (20, 2)] {
        for replicas in [1, 16usize] {
            let network = network(Activation::Relu, Place::None, 0.0).build(columns, outputs).unwrap();
            let settings = Settings { replicas: Settings::ensemble(replicas, 3, 1e-2, 1e-4), ..Settings::default() };
            let start = Instant::now();
            let mut job =
                Job::new(&network, &data(columns, outputs, 2000), &settings, None, &Device::Gpu(gpu.clone())).unwrap();
            job.run_steps(5).unwrap();
            println!("loaded, compiled and run for 5 steps in {:.2} s", start.elapsed().as_secs_f64());
            let mut best = f64::INFINITY;
            let steps = if gpu.caps().software { 32 / replicas } else { 200 };
            for _ in 0..5 {
                let start = Instant::now();
                job.run_steps(steps).unwrap();
                best = best.min(start.elapsed().as_secs_f64() / steps as f64);
            }
            println!("{columns} inputs, R = {replicas}: {:.3} ms a step and replica", best * 1e3 / replicas as f64);
            if let Some(times) = job.step_timings().unwrap() {
                for (name, seconds) in times.iter().filter(|(_, s)| *s > 0.02 * best) {
                    println!("    {name:20} {:8.3} ms", seconds * 1e3);
                }
            }
        }
    }
}
