//! The engines train alike: GPU, CPU and the f64 twin, with any number of threads and replicas, run after run.

use eigenlens::Device;
use eigenlens::data::{Dataset, Targets, Values, synthetic};
use eigenlens::engine::Session;
use eigenlens::engine::cpu::CpuSession;
use eigenlens::kernels::Program;
use eigenlens::kernels::twins::Permutation;
use eigenlens::kernels::{Activation, LossKind, SETTINGS_LEN, Select};
use eigenlens::network::{Network, Parameters, Place, Sequential};
use eigenlens::program::{Element, Scope, Step};
use eigenlens::train::{EpochRecord, Flow, Job, ReplicaSettings, Resident, Settings};
use proptest::prelude::*;

use crate::common::training::{CPU, ORACLE, gpu};

/// Losses of the first ten steps, relative: sums of 64 losses in f32 (2⁻²⁴ = 6e-8 each), and the differences that ten
/// updates with differently rounded gradients have left in the parameters.
const FIRST_LOSSES: f64 = 1e-5;
/// Data loss plus penalties after 100 steps, relative: rounding grows along the way, because Adam divides small gradients
/// by their own size and ReLU switches units.
const FINAL_LOSS: f64 = 2e-3;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Floats,
    Bytes,
    Numbers,
}

fn data(kind: Kind, rows: usize) -> Resident {
    let mut dataset: Dataset = synthetic::gaussian(5, rows).dataset;
    let columns = dataset.columns;
    let Values::F32(x) = &dataset.x else { unreachable!("the generator makes f32") };
    let mut scale = vec![1.0; columns];
    if kind == Kind::Numbers {
        let value = |row: &[f32]| f64::from(row[0].sin() + row[1] * row[2]);
        let values = x.chunks_exact(columns).map(value).collect();
        dataset.y = Targets::Numbers { values, names: vec!["y".into()] };
    }
    if kind == Kind::Bytes {
        dataset.x = Values::U8(x.iter().map(|x| (x * 40.0 + 128.0).clamp(0.0, 255.0) as u8).collect());
        scale = vec![1.0 / 255.0; columns];
    }
    let list: Vec<u32> = (0..rows as u32).collect();
    Resident::new(&dataset, (&vec![0.0; columns], &scale), (&[0.0], &[1.0]), [&list, &[], &[]])
}

/// 20-32-16-8-outputs, all spectral, with everything that a network can have.
fn network(outputs: usize) -> Network {
    let architecture = Sequential {
        hidden: vec![32, 16, 8],
        activations: vec![Activation::Tanh, Activation::Relu, Activation::Relu],
        batch_norm: Place::First,
        dropout: 0.2,
        dropout_place: Place::First,
        ..Sequential::default()
    };
    architecture.build(20, outputs).unwrap()
}

fn settings(epochs: usize, replicas: usize) -> Settings {
    Settings { epochs, batch: 64, replicas: Settings::ensemble(replicas, 11, 1e-2, 1e-4), ..Settings::default() }
}

fn train(
    network: &Network,
    data: &Resident,
    settings: &Settings,
    device: &Device,
) -> (Vec<EpochRecord>, Vec<Parameters>) {
    let mut job = Job::new(network, data, settings, None, device).unwrap();
    let history = job.train(&mut |_| Flow::Continue).unwrap();
    let parameters = (0..job.replicas()).map(|r| job.parameters(r).unwrap()).collect();
    (history, parameters)
}

/// Trains 100 steps of whole batches, with a loss for each, on both; prints and checks the differences.
fn compare(kind: Kind, a: &Device, b: &Device) {
    let data = data(kind, 64);
    let network = network(data.outputs);
    let loss = if kind == Kind::Numbers { LossKind::Huber } else { LossKind::Ce };
    let settings = Settings { loss, ..settings(100, 2) };
    let (a_history, _) = train(&network, &data, &settings, a);
    let (b_history, _) = train(&network, &data, &settings, b);
    let relative = |a: f64, b: f64| (a - b).abs() / b.abs();
    let first = a_history.iter().zip(&b_history).take(10).map(|(a, b)| relative(a.train_loss, b.train_loss));
    let first = first.fold(0.0, f64::max);
    let total = |history: &[EpochRecord]| history.last().map_or(f64::NAN, |h| h.train_loss + h.penalty);
    let last = relative(total(&a_history), total(&b_history));
    println!("{kind:?}: {a} against {b}: first ten losses {first:.1e}, after 100 steps {last:.1e}");
    assert!(first <= FIRST_LOSSES, "{kind:?}, {a} against {b}: the first losses differ by {first:.1e}");
    assert!(last <= FINAL_LOSS, "{kind:?}, {a} against {b}: the last losses differ by {last:.1e}");
}

#[test]
fn gpu_trains_like_the_cpu() {
    let gpu = gpu();
    for kind in [Kind::Floats, Kind::Bytes, Kind::Numbers] {
        compare(kind, &gpu, &CPU);
    }
}

#[test]
fn cpu_trains_like_its_f64_twin() {
    for kind in [Kind::Floats, Kind::Bytes, Kind::Numbers] {
        compare(kind, &CPU, &ORACLE);
    }
}

fn bits(parameters: &Parameters) -> Vec<u64> {
    parameters.values().iter().chain(&parameters.statistics).map(|x| x.to_bits()).collect()
}

/// Several batches an epoch, the last one partial, so that the shuffle counts.
#[test]
fn one_engine_twice_gives_the_same_bits() {
    let data = data(Kind::Floats, 150);
    let network = network(2);
    for device in [gpu(), CPU, ORACLE] {
        let settings = settings(20, 3);
        let (first, a) = train(&network, &data, &settings, &device);
        let (second, b) = train(&network, &data, &settings, &device);
        assert_eq!(first, second, "{device}");
        assert!(a.iter().zip(&b).all(|(a, b)| bits(a) == bits(b)), "{device}: two runs differ");
        assert_ne!(bits(&a[0]), bits(&a[1]), "{device}: replicas have seeds of their own");
    }
}

/// Layers wide enough that every kernel of the CPU engine is split over threads.
fn wide(activations: Activation) -> Network {
    let architecture = Sequential {
        hidden: vec![300, 200],
        activations: vec![activations],
        batch_norm: Place::First,
        dropout: 0.2,
        ..Sequential::default()
    };
    architecture.build(20, 2).unwrap()
}

/// Rounding alone tells numbers of threads apart: the matrix product sums in another order at the edges of its tiles, and
/// two steps of Adam carry that on.
const THREADS: f64 = 1e-4;

#[test]
fn threads_change_no_more_than_the_rounding() {
    for (activation, batch) in [(Activation::Tanh, 500), (Activation::Gelu, 301)] {
        let data = data(Kind::Floats, 2 * batch + 7);
        let network = wide(activation);
        let settings = Settings { batch, ..settings(2, 1) };
        let (one, _) = train(&network, &data, &settings, &Device::Cpu { threads: 1 });
        for threads in [2, 3, 5] {
            let (other, a) = train(&network, &data, &settings, &Device::Cpu { threads });
            let (_, b) = train(&network, &data, &settings, &Device::Cpu { threads });
            assert_eq!(bits(&a[0]), bits(&b[0]), "{activation:?}: {threads} threads twice");
            for (one, other) in one.iter().zip(&other) {
                let difference = (one.train_loss - other.train_loss).abs() / one.train_loss;
                assert!(difference <= THREADS, "{activation:?}: {threads} threads: {difference:.1e}");
            }
        }
    }
}

/// Penalties and rate of their own too.
#[test]
fn a_replica_is_the_single_run_with_its_seed() {
    let replicas: Vec<ReplicaSettings> = [(3, 1e-2, 1e-4, 1.0), (4, 1e-6, 1e-2, 0.5), (1 << 40, 1e-3, 1e-3, 2.0)]
        .map(|(seed, reg_lambda, reg_psi, rate_factor)| ReplicaSettings { seed, reg_lambda, reg_psi, rate_factor })
        .to_vec();
    let data = data(Kind::Floats, 150);
    let small = network(2);
    let cases = [(&small, CPU, 64, 10), (&small, gpu(), 64, 10), (&wide(Activation::Relu), CPU, 500, 4)];
    for (network, device, batch, epochs) in cases {
        let base = Settings { batch, ..settings(epochs, 1) };
        let (_, together) = train(network, &data, &Settings { replicas: replicas.clone(), ..base.clone() }, &device);
        for (replica, together) in replicas.iter().zip(&together) {
            let (_, alone) = train(network, &data, &Settings { replicas: vec![*replica], ..base.clone() }, &device);
            assert_eq!(bits(&alone[0]), bits(together), "{device}: the replica of seed {}", replica.seed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_shuffle_is_a_permutation(len in 1u32..3000, seed: u32, epoch: u32) {
        let mut places: Vec<u32> = (0..len).map(|i| Permutation::new(len, seed, epoch).at(i)).collect();
        places.sort_unstable();
        prop_assert!(places.iter().copied().eq(0..len));
    }

    /// Batch by batch, as the training loop asks for them.
    #[test]
    fn an_epoch_selects_every_row_once(
        len in 1usize..700, batch in 1usize..300, before in 0usize..5, seed: u32, epoch: u32,
    ) {
        let mut program = Program::new(1);
        let out = program.buffers.buffer("rows", batch, Scope::Replica, Element::Word);
        let list = program.buffers.buffer("list", before + len, Scope::Shared, Element::Word);
        let settings = program.buffers.buffer("settings", SETTINGS_LEN, Scope::Replica, Element::Word);
        let select = Select { out, list, offset: before, len, shuffle: true, settings };
        let plan = program.pass("select", vec![select.into()]);
        let mut session = CpuSession::<f32>::new(program, 1).unwrap();
        // Row numbers with gaps, as a split leaves them.
        let numbers: Vec<u32> = (0..(before + len) as u32).map(|i| 3 * i + 1).collect();
        session.write_words(list, None, 0, &numbers).unwrap();
        session.write_words(settings, None, 0, &[seed, 0, 0, 0]).unwrap();
        let mut seen = Vec::new();
        for begin in (0..len).step_by(batch) {
            let rows = batch.min(len - begin);
            let (rows_word, begin) = (rows as u32, begin as u32);
            let step = Step { index: 0, rows: rows_word, begin, epoch, count: 0, rate: 0.0, ordering: 0, kept: 1 };
            session.run(plan, &[step]).unwrap();
            seen.extend(session.read_words(out, 0, 0, rows).unwrap());
        }
        seen.sort_unstable();
        prop_assert_eq!(&seen[..], &numbers[before..]);
    }
}
