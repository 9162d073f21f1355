//! What training promises: identities of the method, pinned losses, divergence told, early stopping, no denormals.

use eigenlens::data::{Dataset, ScaleKind, Targets, Values, synthetic};
use eigenlens::kernels::{Activation, LossKind};
use eigenlens::network::{Place, Role, Sequential};
use eigenlens::train::{EpochRecord, Flow, Job, Progress, Resident, Schedule, Settings};
use eigenlens::{Error, Plan};

use crate::common::training::{CPU, ORACLE, architecture, dataset, gpu, network, resident, settings, train};

/// ‖W[:,i]‖ as the network itself computes it: differences of outputs at unit vectors.
#[test]
fn relevance_is_the_norm_of_the_weights_columns() {
    // Differences of two f32 outputs of order 1, relative to the largest norm: a few times 2⁻²⁴ = 6e-8.
    const NORM_TOLERANCE: f64 = 1e-6;
    let mut dataset = synthetic::gaussian(2, 2_000).dataset;
    let n = dataset.columns;
    let architecture = architecture(&[], &[Activation::Relu], Place::None);
    let plan = Plan { architecture, settings: settings(30, 100, 1e-2, 1e-4), ..Plan::default() };
    let model = plan.fit(&mut dataset, &CPU).unwrap().model;
    let x = (0..(n + 1) * n).map(|i| if i / n == i % n { 1.0 } else { 0.0 }).collect();
    let units = Dataset { rows: n + 1, x: Values::F32(x), y: Targets::None, ..dataset };
    let rows: Vec<u32> = (0..=n as u32).collect();
    let (zeros, ones) = (vec![0.0; n], vec![1.0; n]);
    let units = Resident::new(&units, (&zeros, &ones), (&[], &[]), [&[], &[], &rows]);
    let outputs = model.job(&units, None, &CPU).unwrap().predict(0, 0..n + 1).unwrap();
    let (columns, bias) = outputs.split_at(2 * n);
    let norm = |y: &[f64]| y.iter().zip(bias).map(|(y, b)| (y - b).powi(2)).sum::<f64>().sqrt();
    let norms: Vec<f64> = columns.chunks_exact(2).map(norm).collect();
    let largest = norms.iter().copied().fold(0.0, f64::max);
    for (i, (norm, relevance)) in norms.iter().zip(&model.relevance()[0]).enumerate() {
        let error = (norm - relevance).abs() / largest;
        assert!(error <= NORM_TOLERANCE, "column {i}: |λ̃| is {relevance} and ‖W[:,i]‖ {norm}");
    }
}

/// Full-batch gradient descent with momentum, made of Adam: β₂ = 0 and ε = 1 leave `rate·m/(|g| + 1)`.
fn descent(epochs: usize, rate: f64, beta1: f64, base: &Settings) -> Settings {
    Settings { epochs, rate, beta1, beta2: 0.0, epsilon: 1.0, schedule: Schedule::Constant, ..base.clone() }
}

/// `r_λ λ_i² = r_ψ ‖ψ_i‖²` for every column in use, in every spectral layer (method.md, section 1).
#[test]
fn the_penalties_are_balanced_at_a_stationary_point() {
    // What is left of a condition that holds exactly where the gradient vanishes.
    const BALANCE: f64 = 0.01;
    const GRADIENT: f64 = 1e-6;
    for (loss, reg_lambda, reg_psi) in [(LossKind::Ce, 1e-2, 1e-3), (LossKind::Mse, 2e-3, 4e-3)] {
        let data = resident(&dataset(100, 7, loss != LossKind::Ce), 0);
        let network = network(7, &[5], Activation::Tanh, Place::None, data.outputs);
        let base = Settings { loss, balanced: false, ..settings(300, 100, reg_lambda, reg_psi) };
        let (_, mut job) = train(&network, &data, &base, None, &ORACLE).unwrap();
        let start = job.parameters(0).unwrap();
        let (_, mut job) = train(&network, &data, &descent(12_000, 2.0, 0.9, &base), Some(&start), &ORACLE).unwrap();
        let end = job.parameters(0).unwrap();
        // One step of rate 1 without momentum moves the parameters by the gradient.
        let (_, mut moved) = train(&network, &data, &descent(1, 1.0, 0.0, &base), Some(&end), &ORACLE).unwrap();
        let moved = moved.parameters(0).unwrap();
        let gradient = end.values().iter().zip(&moved.values()).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        assert!(gradient < GRADIENT, "{loss:?}: the gradient's norm is {gradient:.1e}");
        let (mut active, mut worst) = (0, 0.0f64);
        for psi in job.layout.tensors.iter().filter(|t| t.role == Role::Psi) {
            let lambda = end.get(job.layout.find(psi.node, "lambda_in").unwrap());
            let values = end.get(psi);
            let square = |i: usize| values.iter().skip(i).step_by(psi.cols).map(|x| x * x).sum::<f64>();
            let relevance: Vec<f64> = (0..psi.cols).map(|i| lambda[i].abs() * square(i).sqrt()).collect();
            let largest = relevance.iter().copied().fold(0.0, f64::max);
            for i in (0..psi.cols).filter(|&i| relevance[i] > 0.01 * largest) {
                let ratio = reg_lambda * lambda[i].powi(2) / (reg_psi * square(i));
                active += 1;
                worst = worst.max((ratio - 1.0).abs());
                assert!((ratio - 1.0).abs() < BALANCE, "{loss:?}, {}, column {i}: the ratio is {ratio}", psi.path);
            }
        }
        println!("{loss:?}: gradient {gradient:.1e}, {active} columns of 12 in use, ratio 1 ± {worst:.1e}");
        assert!((4..12).contains(&active), "{loss:?}: {active} columns in use; some should be, and some dropped");
    }
}

/// With a shared eigenvalue the condition holds for the group: `|g| r_λ λ² = r_ψ ‖ψ_g‖²`, and the copies stay one number.
#[test]
fn a_group_shares_one_eigenvalue() {
    let data = resident(&dataset(100, 7, false), 0);
    let network = network(7, &[5], Activation::Tanh, Place::None, data.outputs);
    let groups = vec![vec![4, 0], vec![6, 1, 2]];
    for device in [&ORACLE, &CPU] {
        let base = Settings { groups: groups.clone(), ..settings(300, 100, 1e-2, 1e-3) };
        let (_, mut job) = train(&network, &data, &base, None, device).unwrap();
        let start = job.parameters(0).unwrap();
        let (_, mut job) = train(&network, &data, &descent(12_000, 2.0, 0.9, &base), Some(&start), device).unwrap();
        let end = job.parameters(0).unwrap();
        let tensor = |name| job.layout.find(1, name).unwrap();
        let (psi, lambda) = (end.get(tensor("psi")), end.get(tensor("lambda_in")));
        let square = |i: usize| psi.iter().skip(i).step_by(7).map(|x| x * x).sum::<f64>();
        for group in &groups {
            let first = lambda[group[0] as usize];
            assert!(group.iter().all(|&c| lambda[c as usize].to_bits() == first.to_bits()), "{lambda:?}");
            let squares: f64 = group.iter().map(|&c| square(c as usize)).sum();
            // As above: what is left of a condition that holds exactly where the gradient vanishes.
            let ratio = 1e-2 * group.len() as f64 * first * first / (1e-3 * squares);
            assert!(first != 0.0 && (ratio - 1.0).abs() < 0.01, "group {group:?}: λ {first}, the ratio is {ratio}");
        }
        assert_ne!(lambda[3].to_bits(), lambda[5].to_bits(), "columns on their own have their own");
    }
    let twice = Settings { groups: vec![vec![1, 2], vec![2]], ..settings(1, 100, 1e-2, 1e-3) };
    assert!(matches!(train(&network, &data, &twice, None, &ORACLE), Err(Error::Usage(_))));
    let beyond = Settings { groups: vec![vec![1, 7]], ..settings(1, 100, 1e-2, 1e-3) };
    assert!(matches!(train(&network, &data, &beyond, None, &ORACLE), Err(Error::Shape(_))));
}

/// One step from known parameters against gradients and Adam by hand: ψ and λ_in trained, λ_out and the bias frozen.
#[test]
fn one_step_by_hand() {
    // β₁ and β₂ are f32 in the kernel, 1 − β₂ is then 1.3e-5 off; a step is at most the rate.
    const STEP_TOLERANCE: f64 = 1e-5;
    let (n, m, rows) = (3, 1, 5);
    let set = dataset(rows, n, true);
    let (Values::F32(x), Targets::Numbers { values: y, .. }) = (&set.x, &set.y) else { unreachable!() };
    let linear = architecture(&[], &[Activation::Relu], Place::None);
    let network = Sequential { train_bias: false, ..linear }.build(n, m).unwrap();
    let settings = Settings { loss: LossKind::Mse, balanced: false, ..settings(1, rows, 0.3, 0.7) };
    let data = resident(&set, 0);
    let mut job = Job::new(&network, &data, &settings, None, &ORACLE).unwrap();
    let find = |job: &Job, name: &str| job.layout.find(1, name).unwrap().clone();
    let (psi_at, lambda_at) = (find(&job, "psi"), find(&job, "lambda_in"));
    let mut start = job.parameters(0).unwrap();
    let (psi, lambda, lambda_out, bias) = ([0.5, -1.0, 0.25], [1.0, 0.5, -2.0], 0.125, 0.75);
    start.set(&psi_at, &psi);
    start.set(&lambda_at, &lambda);
    start.set(&find(&job, "lambda_out"), &[lambda_out]);
    start.set(&find(&job, "bias"), &[bias]);
    job.set_parameters(0, &start).unwrap();
    let history = job.train(&mut |_| Flow::Continue).unwrap();
    let end = job.parameters(0).unwrap();

    let (mut g, mut loss) = ([0.0; 3], 0.0);
    for (x, &y) in x.chunks_exact(n).zip(y) {
        let w = |i: usize| (lambda[i] - lambda_out) * psi[i];
        let e = (0..n).map(|i| w(i) * f64::from(x[i])).sum::<f64>() + bias - y;
        loss += e * e / rows as f64;
        (0..n).for_each(|i| g[i] += 2.0 * e * f64::from(x[i]) / rows as f64);
    }
    // Sums of a few f64; penalties through an f32 coefficient (2⁻²⁴).
    assert!((history[0].train_loss - loss).abs() < 1e-12, "{} is not {loss}", history[0].train_loss);
    let squares = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>();
    let penalty = 0.3 * squares(&lambda) + 0.7 * squares(&psi);
    assert!((history[0].penalty - penalty).abs() < 1e-7 * penalty, "{} is not {penalty}", history[0].penalty);
    // The first step of Adam: m̂ = g, √v̂ = |g|, up to Keras's place of ε.
    let adam = |p: f64, g: f64| {
        let (m, v) = (0.1 * g, 0.001 * g * g);
        p - settings.rate * (0.001f64.sqrt() / 0.1) * m / (v.sqrt() + settings.epsilon)
    };
    for i in 0..n {
        let wanted = adam(psi[i], (lambda[i] - lambda_out) * g[i] + 2.0 * 0.7 * psi[i]);
        assert!((end.get(&psi_at)[i] - wanted).abs() < STEP_TOLERANCE * settings.rate, "ψ {i}");
        let wanted = adam(lambda[i], psi[i] * g[i] + 2.0 * 0.3 * lambda[i]);
        assert!((end.get(&lambda_at)[i] - wanted).abs() < STEP_TOLERANCE * settings.rate, "λ {i}");
    }
    assert_eq!(end.get(&find(&job, "lambda_out")), [lambda_out]);
    assert_eq!(end.get(&find(&job, "bias")), [bias]);
}

/// Ten epochs of a tiny seeded run. Whoever changes the arithmetic, the initialisation, the shuffle or dropout on purpose
/// replaces these numbers.
#[test]
fn ten_losses_are_pinned() {
    // Platforms' exp, ln and tanh differ in the last place of f64 (1e-16), and ten steps make little of it.
    const PINNED_TOLERANCE: f64 = 1e-9;
    const LOSSES: [f64; 10] = [
        1.005071049513,
        0.890046017357,
        0.845052692623,
        0.733843110967,
        0.769914945167,
        0.640877396218,
        0.689645640025,
        0.635787115874,
        0.560553101645,
        0.644608854089,
    ];
    let data = resident(&dataset(48, 6, false), 0);
    let plain = architecture(&[8, 5], &[Activation::Tanh, Activation::Relu], Place::First);
    let network = Sequential { dropout: 0.2, ..plain }.build(6, 2).unwrap();
    let (history, _) = train(&network, &data, &settings(10, 20, 1e-2, 1e-4), None, &ORACLE).unwrap();
    let losses: Vec<f64> = history.iter().map(|h| h.train_loss + h.penalty).collect();
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= PINNED_TOLERANCE * b.abs();
    assert!(losses.iter().zip(&LOSSES).all(near), "the losses are {losses:.12?}");
}

/// A net with room to learn 40 rows by heart: its validation loss rises again.
#[test]
fn early_stopping_stops_and_restores_the_best() {
    let data = resident(&dataset(80, 12, false), 40);
    let network = network(12, &[40], Activation::Tanh, Place::None, 2);
    for replicas in [1, 3] {
        let replicas = Settings::ensemble(replicas, 3, 0.0, 0.0);
        let settings = Settings { early_stop: Some(6), replicas, ..settings(500, 10, 0.0, 0.0) };
        let (history, mut job) = train(&network, &data, &settings, None, &ORACLE).unwrap();
        assert!(history.len() < 100, "{} epochs", history.len());
        let scores = job.evaluate(data.validation.clone()).unwrap();
        let restored = scores.iter().map(|s| s.loss).sum::<f64>() / scores.len() as f64;
        let losses: Vec<f64> = history.iter().filter_map(|h| h.validation_loss).collect();
        let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
        if scores.len() == 1 {
            assert_eq!(restored, best, "the best epoch's parameters are back");
            let place = losses.iter().position(|&l| l == best).unwrap();
            assert_eq!(history.len(), place + 1 + 6, "six epochs of patience");
        } else {
            // The mean of every replica's best is no worse than the best mean.
            assert!(restored <= best, "{restored} against {best}");
        }
        assert!(losses.last().unwrap() > &best);
    }
}

#[test]
fn an_observer_stops_training_cleanly() {
    let data = resident(&dataset(320, 6, false), 20);
    let network = network(6, &[5], Activation::Relu, Place::None, 2);
    for device in [CPU, gpu()] {
        // In the middle of an epoch of 30 steps.
        let mut job = Job::new(&network, &data, &settings(50, 10, 1e-3, 1e-3), None, &device).unwrap();
        let mut seen = Vec::new();
        let history = job.train(&mut |progress| {
            seen.push((progress.step, progress.record.is_some()));
            if progress.epoch == 2 { Flow::Stop } else { Flow::Continue }
        });
        assert_eq!(history.unwrap().len(), 2, "{device}");
        let (step, whole) = *seen.last().unwrap();
        assert!(step == job.steps() && step > 60 && !whole, "{device}: {step} steps");
        assert_eq!(seen.iter().filter(|(_, whole)| *whole).count(), 2);
        // What is trained stays, and the job is fit for use.
        assert!(job.evaluate(data.validation.clone()).unwrap()[0].loss.is_finite());
        // At the end of an epoch.
        let mut job = Job::new(&network, &data, &settings(50, 10, 1e-3, 1e-3), None, &device).unwrap();
        let stop = |record: Option<&EpochRecord>| record.is_some_and(|r| r.epoch == 4);
        let history = job.train(&mut |p| if stop(p.record) { Flow::Stop } else { Flow::Continue }).unwrap();
        assert_eq!((history.len(), job.steps()), (4, 120), "{device}");
    }
}

/// λ̃ is per unit of what enters the network; times that input's standard deviation it is comparable between inputs.
#[test]
fn relevance_times_std_is_by_the_training_rows() {
    let mut stretched = dataset(400, 6, false);
    let Values::F32(x) = &mut stretched.x else { unreachable!() };
    x.chunks_exact_mut(6).for_each(|row| (row[1], row[2]) = (0.1 * row[1], 7.0));
    for scale in [ScaleKind::None, ScaleKind::MinMax, ScaleKind::Standard] {
        let mut data = stretched.clone();
        let architecture = architecture(&[6], &[Activation::Relu], Place::None);
        let plan = Plan { architecture, settings: settings(3, 50, 1e-3, 1e-4), scale: Some(scale), ..Plan::default() };
        let fit = plan.fit(&mut data, &CPU).unwrap();
        let scaling = &fit.model.description.scaling;
        for f in fit.model.ranking() {
            let entering =
                |&r: &u32| (data.value(r as usize, f.feature) - scaling.shift[f.feature]) * scaling.scale[f.feature];
            let x: Vec<f64> = fit.split.train.iter().map(entering).collect();
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            let std = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64).sqrt();
            // An f32 standard deviation of f32 inputs.
            let error = (f.relevance_times_std - f.relevance * std).abs();
            assert!(error <= 1e-5 * f.relevance, "{scale:?}: {f:?}, std {std}");
            if scale == ScaleKind::Standard {
                assert_eq!(f.relevance_times_std, if f.feature == 2 { 0.0 } else { f.relevance });
            }
        }
    }
}

/// The plain call and the one with an observer are the same training; an observer's stop is told in the result.
#[test]
fn fit_and_fit_with_agree() {
    let data = synthetic::gaussian(2, 600).dataset;
    let architecture = architecture(&[6], &[Activation::Relu], Place::None);
    let plan = Plan { architecture, settings: settings(6, 50, 1e-2, 1e-4), ..Plan::default() };
    let plain = plan.fit(&mut data.clone(), &CPU).unwrap();
    let mut epochs = 0;
    let count = &mut |p: &Progress<'_>| {
        epochs += usize::from(p.record.is_some());
        Flow::Continue
    };
    let watched = plan.fit_with(&mut data.clone(), &CPU, count).unwrap();
    assert_eq!((epochs, watched.stopped, plain.stopped), (6, false, false));
    assert!(plain.model == watched.model && plain.history == watched.history);
    let stopped = plan.fit_with(&mut data.clone(), &CPU, &mut |_| Flow::Stop).unwrap();
    assert!(stopped.stopped && stopped.history.is_empty());
}

/// A second call would run the schedule past its end and repeat the shuffles; it is refused and changes nothing.
#[test]
fn a_job_trains_once() {
    let data = resident(&dataset(64, 6, false), 0);
    let network = network(6, &[5], Activation::Relu, Place::None, 2);
    let (_, mut job) = train(&network, &data, &settings(3, 16, 1e-3, 1e-3), None, &CPU).unwrap();
    let trained = job.parameters(0).unwrap();
    match job.train(&mut |_| Flow::Continue) {
        Err(Error::Usage(text)) => assert!(text.contains("12 steps") && text.contains("Job::new"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!((job.parameters(0).unwrap(), job.steps()), (trained.clone(), 12));
    // The remedy that the error names.
    train(&network, &data, &settings(3, 16, 1e-3, 1e-3), Some(&trained), &CPU).unwrap();
}

#[test]
fn a_batch_larger_than_the_data_is_one_batch() {
    let data = resident(&dataset(30, 6, false), 0);
    let network = network(6, &[5], Activation::Relu, Place::First, 2);
    for device in [CPU, gpu()] {
        let (large, mut a) = train(&network, &data, &settings(5, 500, 1e-3, 1e-3), None, &device).unwrap();
        let (exact, mut b) = train(&network, &data, &settings(5, 30, 1e-3, 1e-3), None, &device).unwrap();
        assert_eq!(large, exact, "{device}");
        assert_eq!(a.parameters(0).unwrap(), b.parameters(0).unwrap(), "{device}");
        assert_eq!(large.last().map(|h| h.step), Some(5), "{device}: one step an epoch");
    }
}

/// Batch norm of one row: its variance is 0, its output β, and nothing divides by 0.
#[test]
fn a_last_batch_of_one_row_trains() {
    // As in `engines.rs`: differently rounded gradients of 15 steps.
    const LOSS_TOLERANCE: f64 = 1e-4;
    let data = resident(&dataset(65, 6, false), 0);
    let network = network(6, &[5], Activation::Tanh, Place::All, 2);
    let settings = settings(5, 32, 1e-3, 1e-3);
    let (wanted, _) = train(&network, &data, &settings, None, &ORACLE).unwrap();
    for device in [CPU, gpu()] {
        let (history, mut job) = train(&network, &data, &settings, None, &device).unwrap();
        for (found, wanted) in history.iter().zip(&wanted) {
            let error = (found.train_loss - wanted.train_loss).abs() / wanted.train_loss;
            assert!(error < LOSS_TOLERANCE, "{device}: epoch {}: {}", found.epoch, found.train_loss);
        }
        assert_eq!(job.steps(), 15);
        assert!(job.parameters(0).unwrap().values().iter().all(|x| x.is_finite()));
    }
}
