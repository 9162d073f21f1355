//! Trainings that go wrong are stopped and named: divergence, poisoned data; and numbers that die leave no denormals.

use eigenlens::Error;
use eigenlens::data::{Dataset, Targets, Values};
use eigenlens::engine::Session;
use eigenlens::engine::cpu::CpuSession;
use eigenlens::kernels::Program;
use eigenlens::kernels::adam::TINY;
use eigenlens::kernels::{Activation, Adam, LossKind, SETTINGS_LEN};
use eigenlens::network::{Place, Role};
use eigenlens::program::{Element, Scope, Step};
use eigenlens::train::Settings;

use crate::common::training::{CPU, Outcome, dataset, gpu, network, resident, settings, train};

/// The step and replica of a divergence.
fn diverged(outcome: Outcome, what: &str) -> (u64, usize) {
    match outcome {
        Err(Error::Diverged { step, replica, .. }) => (step, replica),
        Err(e) => panic!("{what}: {e}"),
        Ok((history, _)) => panic!("{what}: trained to {:?}", history.last()),
    }
}

#[test]
fn absurd_settings_diverge_with_step_and_replica() {
    let data = resident(&dataset(64, 6, false), 0);
    let network = network(6, &[5], Activation::Relu, Place::None, 2);
    for device in [CPU, gpu()] {
        let mut absurd = settings(5, 16, 1e-3, 1e-3);
        absurd.replicas = Settings::ensemble(3, 0, 1e-3, 1e-3);
        absurd.replicas[1].rate_factor = 1e32;
        // The first step throws the parameters away, the second finds them.
        let found = diverged(train(&network, &data, &absurd, None, &device), "a factor of 1e32");
        assert_eq!(found, (2, 1), "{device}");
        // 1e39 is finite, until it becomes an f32.
        let (step, _) = diverged(train(&network, &data, &settings(5, 16, 1e39, 1e-3), None, &device), "r_λ of 1e39");
        assert_eq!(step, 1, "{device}");
        let rate = Settings { rate: 1e39, ..settings(1, 64, 1e-3, 1e-3) };
        let (step, _) = diverged(train(&network, &data, &rate, None, &device), "a rate of 1e39 in the only step");
        assert_eq!(step, 1, "{device}");
    }
    for wrong in [settings(5, 16, f64::INFINITY, 1e-3), settings(5, 16, 1e-3, f64::NAN), settings(5, 16, -1.0, 1e-3)] {
        assert!(matches!(train(&network, &data, &wrong, None, &CPU), Err(Error::Usage(_))));
    }
}

fn poison(set: &mut Dataset, row: usize, value: f32) {
    let Values::F32(x) = &mut set.x else { unreachable!() };
    x[row * set.columns + 1] = value;
}

#[test]
fn poisoned_inputs_reach_the_loss() {
    for device in [CPU, gpu()] {
        for activation in Activation::ALL {
            for (batch_norm, numbers) in [(Place::None, false), (Place::First, true)] {
                for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let saturates = matches!(activation, Activation::Tanh | Activation::Sigmoid);
                    if saturates && value.is_infinite() {
                        continue; // σ(±∞) is a number; see the next test
                    }
                    let mut set = dataset(30, 6, numbers);
                    poison(&mut set, 7, value);
                    let network = network(6, &[5], activation, batch_norm, 2 - usize::from(numbers));
                    let loss = if numbers { LossKind::Huber } else { LossKind::Ce };
                    let settings = Settings { loss, ..settings(1, 30, 1e-3, 1e-3) };
                    let what = format!("{device}: {value} before {activation:?}, batch norm {batch_norm:?}");
                    assert_eq!(diverged(train(&network, &resident(&set, 0), &settings, None, &device), &what), (1, 0));
                }
            }
        }
    }
}

/// Where the poison doesn't reach the loss: a saturating activation, the last update, the running variance, validation.
#[test]
fn poison_that_bypasses_the_loss_is_reported() {
    for device in [CPU, gpu()] {
        for value in [f32::INFINITY, f32::NEG_INFINITY] {
            for activation in [Activation::Tanh, Activation::Sigmoid] {
                let mut set = dataset(30, 6, false);
                poison(&mut set, 7, value);
                let network = network(6, &[5], activation, Place::None, 2);
                let what = format!("{device}: {value} before {activation:?}");
                let outcome = train(&network, &resident(&set, 0), &settings(2, 30, 1e-3, 1e-3), None, &device);
                assert!(diverged(outcome, &what).0 <= 2);
            }
        }
        // The variance overflows and 1/√∞ = 0 hides it.
        let mut set = dataset(30, 6, false);
        poison(&mut set, 7, 1e25);
        let first = network(6, &[5], Activation::Relu, Place::First, 2);
        let outcome = train(&first, &resident(&set, 0), &settings(1, 30, 1e-3, 1e-3), None, &device);
        assert_eq!(diverged(outcome, &format!("{device}: a variance that overflows")), (1, 0));
        let mut set = dataset(60, 6, false);
        poison(&mut set, 59, f32::NAN);
        for early_stop in [None, Some(3)] {
            let settings = Settings { early_stop, ..settings(2, 30, 1e-3, 1e-3) };
            diverged(
                train(&first, &resident(&set, 20), &settings, None, &device),
                &format!("{device}: NaN in validation"),
            );
        }
    }
}

#[test]
fn a_poisoned_target_is_reported() {
    for device in [CPU, gpu()] {
        for loss in [LossKind::Mse, LossKind::Mae, LossKind::Huber] {
            let mut set = dataset(30, 6, true);
            let Targets::Numbers { values, .. } = &mut set.y else { unreachable!() };
            values[3] = f64::NAN;
            let network = network(6, &[5], Activation::Relu, Place::None, 1);
            let settings = Settings { loss, ..settings(1, 30, 1e-3, 1e-3) };
            let what = format!("{device}: a target that is NaN, {loss:?}");
            assert_eq!(diverged(train(&network, &resident(&set, 0), &settings, None, &device), &what), (1, 0));
        }
    }
}

fn denormal(x: f64) -> bool {
    x != 0.0 && x.abs() < f64::from(f32::MIN_POSITIVE)
}

/// Penalties alone pull parameters to nothing, and Adam's state after them.
#[test]
fn adam_decays_without_denormals() {
    let mut program = Program::new(1);
    let mut floats = |label: &str| program.buffers.buffer(label, 8, Scope::Replica, Element::Float);
    let [parameters, gradient, m, v] = ["p", "g", "m", "v"].map(&mut floats);
    let settings = program.buffers.buffer("settings", SETTINGS_LEN, Scope::Replica, Element::Word);
    let (beta1, beta2, epsilon) = (0.9, 0.999, 1e-7);
    let adam = Adam {
        parameters,
        gradient,
        m,
        v,
        psi: 0..4,
        lambda: 4..8,
        trainable: 8,
        skip: 8..8,
        settings,
        beta1,
        beta2,
        epsilon,
    };
    let plan = program.pass("adam", vec![adam.into()]);
    let mut session = CpuSession::<f32>::new(program, 1).unwrap();
    session.write_words(settings, None, 0, &[0, 1f32.to_bits(), 0.1f32.to_bits(), 1f32.to_bits()]).unwrap();
    session.write(parameters, None, 0, &[1.0, -0.5, 0.1, 1e-3, 1.0, -2.0, 0.3, 1e-20]).unwrap();
    let step = Step { index: 0, rows: 1, begin: 0, epoch: 0, count: 0, rate: 1e-3, ordering: 0, kept: 1 };
    for hundred in 0..1500 {
        session.run(plan, &[step; 100]).unwrap();
        for buffer in [parameters, m, v] {
            let values = session.read(buffer, 0, 0, 8).unwrap();
            let fine = values.iter().all(|&x| x == 0.0 || x.abs() >= f64::from(TINY));
            assert!(fine, "after {} steps: {values:?}", 100 * hundred + 100);
        }
    }
    assert!(session.read(parameters, 0, 0, 8).unwrap().iter().all(|x| x.abs() < 1e-20), "the parameters are dead");
    assert_eq!(session.read(v, 0, 0, 8).unwrap(), [0.0; 8]);
}

#[test]
fn dying_columns_leave_no_denormals() {
    let data = resident(&dataset(40, 8, false), 0);
    let network = network(8, &[6], Activation::Relu, Place::First, 2);
    for (device, epochs) in [(CPU, 12_000), (gpu(), 1_500)] {
        let strong = settings(epochs, 40, 0.5, 0.5);
        let (history, mut job) = train(&network, &data, &strong, None, &device).unwrap();
        let parameters = job.parameters(0).unwrap();
        let penalised = job.layout.tensors.iter().filter(|t| t.trained && t.role != Role::Plain);
        let penalised: Vec<f64> = penalised.flat_map(|t| parameters.get(t)).collect();
        let dead = penalised.iter().filter(|x| x.abs() < 1e-6).count();
        let kept = history[epochs - 1].kept_features;
        println!(
            "{device}: {dead} of {} eigenvalues and eigenvectors below 1e-6, {kept} features kept",
            penalised.len()
        );
        assert!(2 * dead > penalised.len(), "{device}: the penalties kill most of them");
        for (name, values) in [("parameter", &parameters.values()), ("statistic", &parameters.statistics)] {
            let bad = values.iter().position(|&x| denormal(x));
            assert_eq!(bad, None, "{device}: a {name} is denormal: {:?}", bad.map(|i| values[i]));
        }
        let trained = &parameters.values()[..job.layout.trained_end];
        assert!(trained.iter().all(|&x| x == 0.0 || x.abs() >= f64::from(TINY)), "{device}: {trained:?}");
    }
}
