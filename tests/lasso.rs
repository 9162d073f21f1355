//! The exact group lasso: the proximal step's formula, and the conditions that hold where training ends.

use eigenlens::data::{Axis, Dataset, Feature, Targets, Values, input_of};
use eigenlens::engine::Session;
use eigenlens::engine::cpu::CpuSession;
use eigenlens::kernels::Program;
use eigenlens::kernels::{Activation, LossKind, Proximal, SETTINGS_LEN, Tie};
use eigenlens::network::{Block, Layout, Place, Sequential};
use eigenlens::program::{Element, Scope, Step};
use eigenlens::random::Random;
use eigenlens::train::{Flow, Job, Lasso, ReplicaSettings, Resident, Settings};
use eigenlens::{Device, Error};

const ORACLE: Device = Device::CpuF64 { threads: 1 };
const CPU: Device = Device::Cpu { threads: 1 };

/// Two replicas with penalties of their own, several steps, against the formula in plain `f64`.
#[test]
fn the_proximal_step_follows_its_formula() {
    let (rows, cols, rate, momentum) = (3, 6, 12.0, 0.75);
    let units = vec![vec![4, 1], vec![0], vec![5], vec![2, 3]];
    let mut program = Program::new(2);
    let [weight, gradient, velocity] = ["w", "g", "v"].map(|label| program.buffers.matrix(label, rows, cols));
    let words = Tie::words(&units);
    let members = program.buffers.buffer("units", words.len(), Scope::Shared, Element::Word);
    let settings = program.buffers.buffer("settings", SETTINGS_LEN, Scope::Replica, Element::Word);
    let op = Proximal {
        weight,
        gradient,
        velocity,
        members,
        units: units.len(),
        settings,
        rate: rate as f32,
        momentum: momentum as f32,
    };
    let plan = program.pass("proximal", vec![op.into()]);
    let mut session = CpuSession::<f64>::new(program, 1).unwrap();
    session.write_words(members, None, 0, &words).unwrap();
    // Numbers that f32 holds exactly.
    let replicas = [(0.5f64, 0.125f64, 1.0f64), (0.25, 1.0, 0.5)];
    let mut random = Random::new(4, 4);
    let ld = weight.ld;
    let mut reference = Vec::new();
    for (r, (lambda, psi, factor)) in replicas.iter().enumerate() {
        let bits = [lambda, psi, factor].map(|&x| (x as f32).to_bits());
        session.write_words(settings, Some(r), 0, &[0, bits[0], bits[1], bits[2]]).unwrap();
        let w: Vec<f64> = (0..rows * ld).map(|i| if i % ld < cols { random.normal() } else { 0.0 }).collect();
        session.write(weight.buffer, Some(r), weight.offset, &w).unwrap();
        reference.push((w, vec![0.0; rows * ld]));
    }
    let mut dropped = 0;
    for t in 0..12 {
        let step = Step { index: 0, rows: 1, begin: 0, epoch: 0, count: t, rate: 0.0625, ordering: 0, kept: 1 };
        for (r, (w, v)) in reference.iter_mut().enumerate() {
            let g: Vec<f64> = (0..rows * ld).map(|i| if i % ld < cols { 0.5 * random.normal() } else { 0.0 }).collect();
            session.write(gradient.buffer, Some(r), gradient.offset, &g).unwrap();
            let (lambda, psi, factor) = replicas[r];
            let (eta, kappa) = (rate * 0.0625 * factor, 2.0 * (lambda * psi).sqrt());
            for i in 0..rows * ld {
                v[i] = momentum * v[i] + (1.0 - momentum) * g[i];
                w[i] -= eta * v[i];
            }
            for unit in &units {
                let places = || unit.iter().flat_map(|&c| (0..rows).map(move |j| j * ld + c as usize));
                let norm = places().map(|i| w[i] * w[i]).sum::<f64>().sqrt();
                let factor = (1.0 - eta * kappa * (unit.len() as f64).sqrt() / norm).max(0.0);
                places().for_each(|i| w[i] *= factor);
                dropped += usize::from(factor == 0.0);
            }
        }
        session.run(plan, &[step]).unwrap();
        for (r, (w, _)) in reference.iter().enumerate() {
            let found = session.read(weight.buffer, r, weight.offset, rows * ld).unwrap();
            for (i, (found, w)) in found.iter().zip(w).enumerate() {
                // Sums of a few f64; κ is the root of two f32 that are exact.
                assert!((found - w).abs() < 1e-12, "step {t}, replica {r}, weight {i}: {found}, not {w}");
                assert_eq!(*found == 0.0, *w == 0.0, "step {t}, replica {r}, weight {i}: what is dropped is exactly 0");
            }
        }
    }
    assert!((1..12 * 8).contains(&dropped), "{dropped} units of 96 were dropped; some should be, and some kept");
}

/// Inputs on these axes and the numbers `y` of so many names.
fn data_set(x: Vec<f32>, (y, names): (&[f32], &[&str]), axes: Vec<Axis>) -> Dataset {
    let columns = axes.iter().map(|axis| axis.len).product();
    Dataset {
        source: "problem".into(),
        rows: y.len() / names.len(),
        columns,
        x: Values::F32(x),
        y: Targets::Numbers {
            values: y.iter().copied().map(f64::from).collect(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        },
        features: (0..columns).map(|i| Feature::new(format!("x{i}"), None)).collect(),
        axes,
        weights: None,
        test_from: None,
        notes: Vec::new(),
        filled: Vec::new(),
        row_names: Vec::new(),
        origins: Vec::new(),
    }
}

/// A linear problem with two outputs, of which the columns 0, 1, 4 and 5 know something.
fn problem(rows: usize) -> (Vec<f64>, Vec<f64>, Resident) {
    const N: usize = 7;
    let mut random = Random::new(11, 0);
    let x: Vec<f32> = (0..rows * N).map(|_| random.normal() as f32).collect();
    let answers = |x: &[f32]| [2.0 * x[0] - x[1] + 0.05 * x[4], 0.5 * x[1] + x[5]];
    let y: Vec<f32> = x.chunks_exact(N).flat_map(answers).map(|y| y + 0.1 * random.normal() as f32).collect();
    let set = data_set(x.clone(), (&y, &["a", "b"]), vec![Axis::new("feature", N)]);
    let all: Vec<u32> = (0..rows as u32).collect();
    let data = Resident::new(&set, (&[0.0; N], &[1.0; N]), (&[0.0; 2], &[1.0; 2]), [&all, &[], &[]]);
    (x.iter().map(|&x| f64::from(x)).collect(), y.iter().map(|&y| f64::from(y)).collect(), data)
}

/// Where nothing moves any more, `∂L/∂W[:,g] = −κ√|g|·W[:,g]/‖W[:,g]‖` for a unit in use, and the gradient's norm is at most
/// κ√|g| for one that is 0 (the group lasso's optimality conditions): the momentum doesn't change the penalty's strength.
#[test]
fn training_ends_at_the_lassos_optimum() {
    let (rows, n, m) = (200, 7, 2);
    let (x, y, data) = problem(rows);
    let architecture = Sequential { hidden: vec![], spectral: Place::None, train_bias: false, ..Sequential::default() };
    let network = architecture.build(n, m).unwrap();
    let groups = vec![vec![0, 3], vec![2, 6]];
    // In f32 exactly. What is left of conditions that hold where the cosine's rate would be 0, and the rounding of f32.
    let (reg_lambda, reg_psi) = (2.0, 0.0078125);
    for (device, tolerance) in [(&ORACLE, 1e-7), (&CPU, 1e-4)] {
        let settings = Settings {
            loss: LossKind::Mse,
            epochs: 4_000,
            batch: rows,
            rate: 0.1,
            groups: groups.clone(),
            lasso: Some(Lasso { rate: 1.0, momentum: 0.9 }),
            replicas: vec![ReplicaSettings { seed: 3, reg_lambda, reg_psi, rate_factor: 1.0 }],
            ..Settings::default()
        };
        let mut job = Job::new(&network, &data, &settings, None, device).unwrap();
        job.train(&mut |_| Flow::Continue).unwrap();
        let layout = Layout::new(&network);
        let w = job.parameters(0).unwrap().get(layout.find(1, "weight").unwrap());
        let mut gradient = vec![0.0; m * n];
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact(m)) {
            for j in 0..m {
                let e = (0..n).map(|i| w[j * n + i] * x[i]).sum::<f64>() - y[j];
                (0..n).for_each(|i| gradient[j * n + i] += 2.0 * e * x[i] / (rows * m) as f64);
            }
        }
        let kappa = 2.0 * f64::sqrt(reg_lambda * reg_psi);
        let units = groups.iter().cloned().chain([1, 4, 5].map(|c| vec![c]));
        let mut kept = Vec::new();
        for unit in units {
            let places: Vec<usize> = unit.iter().flat_map(|&c| (0..m).map(move |j| j * n + c as usize)).collect();
            let norm = |of: &[f64]| places.iter().map(|&i| of[i] * of[i]).sum::<f64>().sqrt();
            let (strength, size) = (kappa * (unit.len() as f64).sqrt(), norm(&w));
            kept.push(size > 0.0);
            if size == 0.0 {
                assert!(norm(&gradient) <= strength * (1.0 + tolerance), "unit {unit:?} should be in use");
            }
            for &i in places.iter().filter(|_| size > 0.0) {
                let left = gradient[i] + strength * w[i] / size;
                assert!(left.abs() < tolerance * strength, "unit {unit:?}: {left} is left of {strength}");
            }
        }
        // Column 3 lives with column 0; column 4 says too little.
        assert_eq!(kept, [true, false, true, false, true]);
    }
    let spectral = Sequential { hidden: vec![], ..Sequential::default() }.build(n, m).unwrap();
    let settings =
        Settings { loss: LossKind::Mse, lasso: Some(Lasso { rate: 1.0, momentum: 0.9 }), ..Settings::default() };
    assert!(matches!(Job::new(&spectral, &data, &settings, None, &CPU), Err(Error::Usage(_))));
    let wrong = Settings { lasso: Some(Lasso { rate: 1.0, momentum: 1.0 }), ..settings };
    assert!(matches!(Job::new(&network, &data, &wrong, None, &CPU), Err(Error::Usage(_))));
}

/// The same conditions on a convolution's channels, of which each is one unit of all its taps: `κ√taps` is the penalty's strength. Behind it
/// stands a dense layer with penalised weights, so that there is an optimum.
#[test]
fn channels_of_a_convolution_are_its_units() {
    let (rows, channels, places, taps, filters) = (150, 4, 6, 3, 2);
    let n = channels * places;
    let mut random = Random::new(5, 0);
    let x: Vec<f32> = (0..rows * n).map(|_| random.normal() as f32).collect();
    // Channels 0 and 2 know something, at places of their own.
    let answer = |x: &[f32]| x[2] + 0.8 * x[3] - x[2 * places + 4];
    let y: Vec<f32> = x.chunks_exact(n).map(|x| answer(x) + 0.1 * random.normal() as f32).collect();
    let set = data_set(x.clone(), (&y, &["a"]), vec![Axis::new("channel", channels), Axis::new("position", places)]);
    let all: Vec<u32> = (0..rows as u32).collect();
    let data = Resident::new(&set, (&vec![0.0; n], &vec![1.0; n]), (&[0.0], &[1.0]), [&all, &[], &[]]);
    let architecture = Sequential {
        convolutions: vec![Block { filters, kernel: vec![taps], stride: 1, pool: None }],
        hidden: vec![],
        activations: vec![Activation::Identity],
        spectral: Place::None,
        ridge: true,
        train_bias: false,
        ..Sequential::default()
    };
    let network = architecture.build(input_of(&set.axes), 1).unwrap();
    let (reg_lambda, reg_psi) = (0.125, 0.0078125);
    let settings = Settings {
        loss: LossKind::Mse,
        epochs: 6_000,
        batch: rows,
        rate: 0.02,
        lasso: Some(Lasso { rate: 5.0, momentum: 0.9 }),
        replicas: vec![ReplicaSettings { seed: 2, reg_lambda, reg_psi, rate_factor: 1.0 }],
        ..Settings::default()
    };
    let mut job = Job::new(&network, &data, &settings, None, &ORACLE).unwrap();
    job.train(&mut |_| Flow::Continue).unwrap();
    let (layout, parameters) = (Layout::new(&network), job.parameters(0).unwrap());
    let tensor = |name: &str| {
        let found = (1..network.nodes.len()).find_map(|node| layout.find(node, name));
        parameters.get(found.unwrap())
    };
    let (w, dense) = (tensor("weight"), tensor("psi"));
    // `[filters, channels, taps]` by hand: the window's middle stands at its place.
    let mut gradient = vec![0.0; filters * channels * taps];
    let seen = |p: usize, k: usize| (p + k).checked_sub(1).filter(|&i| i < places);
    for (x, &y) in x.chunks_exact(n).zip(&y) {
        let terms = || {
            let of = |i: usize| (i / (channels * taps), i / taps % channels, i % taps);
            (0..filters * channels * taps).flat_map(move |i| (0..places).map(move |p| (i, p, of(i)))).filter_map(
                |(i, p, (f, c, k))| Some((i, dense[f * places + p] * f64::from(x[c * places + seen(p, k)?]))),
            )
        };
        let error = terms().map(|(i, d)| w[i] * d).sum::<f64>() - f64::from(y);
        terms().for_each(|(i, d)| gradient[i] += 2.0 * error * d / rows as f64);
    }
    let strength = 2.0 * f64::sqrt(reg_lambda * reg_psi) * f64::sqrt(taps as f64);
    let mut kept = Vec::new();
    for c in 0..channels {
        let at: Vec<usize> = (0..filters * taps).map(|i| i / taps * channels * taps + c * taps + i % taps).collect();
        let norm = |of: &[f64]| at.iter().map(|&i| of[i] * of[i]).sum::<f64>().sqrt();
        let size = norm(&w);
        kept.push(size > 0.0);
        if size == 0.0 {
            assert!(norm(&gradient) < strength, "channel {c} should be in use");
        }
        for &i in at.iter().filter(|_| size > 0.0) {
            let left = gradient[i] + strength * w[i] / size;
            // 6e-4 is left where the two layers' two optimisers end; a strength that counted no taps would leave 0.7.
            assert!(left.abs() < 2e-3 * strength, "channel {c}: {left} is left of {strength}");
        }
    }
    assert_eq!(kept, [true, false, true, false]);
}
