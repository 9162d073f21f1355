//! Adam against its formula, in f64.

use eigenlens::engine::Session;
use eigenlens::engine::cpu::CpuSession;
use eigenlens::kernels::Program;
use eigenlens::kernels::{Adam, SETTINGS_LEN};
use eigenlens::program::{Element, Scope, Step};
use eigenlens::random::Random;
use eigenlens::train::{ReplicaSettings, Schedule, Settings};

const REPLICAS: usize = 2;

fn step(rows: usize) -> Step {
    Step { index: 0, rows: rows as u32, begin: 0, epoch: 0, count: 3, rate: 0.0, ordering: 0, kept: 1 }
}

/// Regions of the parameters in [`adam_follows_its_formula`]: ψ, λ, others, frozen.
const REGIONS: [usize; 4] = [8, 12, 20, 24];

#[test]
fn adam_follows_its_formula() {
    let mut random = Random::new(9, 9);
    let len = REGIONS[3];
    let mut program = Program::new(REPLICAS);
    let mut floats = |label: &str| program.buffers.buffer(label, len, Scope::Replica, Element::Float);
    let [parameters, gradient, m, v] = ["p", "g", "m", "v"].map(&mut floats);
    let settings_buffer = program.buffers.buffer("settings", SETTINGS_LEN, Scope::Replica, Element::Word);
    let settings = Settings { rate: 0.01, schedule: Schedule::Cosine, ..Settings::default() };
    let adam = Adam {
        parameters,
        gradient,
        m,
        v,
        psi: 0..REGIONS[0],
        lambda: REGIONS[0]..REGIONS[1],
        trainable: REGIONS[2],
        skip: REGIONS[2]..REGIONS[2],
        settings: settings_buffer,
        beta1: settings.beta1 as f32,
        beta2: settings.beta2 as f32,
        epsilon: settings.epsilon as f32,
    };
    let pass = program.pass("adam", vec![adam.into()]);
    let mut session = CpuSession::<f64>::new(program, 1).unwrap();
    // Numbers that f32 holds exactly; the replicas differ in all three.
    let replicas = [(0.5, 0.25, 1.0), (0.125, 2.0, 0.5)].map(|(reg_lambda, reg_psi, rate_factor)| ReplicaSettings {
        seed: 0,
        reg_lambda,
        reg_psi,
        rate_factor,
    });
    let mut reference = Vec::new();
    for (r, replica) in replicas.iter().enumerate() {
        let bits = [replica.reg_lambda, replica.reg_psi, replica.rate_factor].map(|x| (x as f32).to_bits());
        session.write_words(settings_buffer, Some(r), 0, &[0, bits[0], bits[1], bits[2]]).unwrap();
        let p: Vec<f64> = (0..len).map(|_| random.normal()).collect();
        session.write(parameters, Some(r), 0, &p).unwrap();
        reference.push((p, vec![0.0; len], vec![0.0; len]));
    }
    let steps = 8;
    for t in 1..=steps {
        let step = Step { rate: settings.step_rate(t - 1, steps), ..step(1) };
        for (r, (p, m, v)) in reference.iter_mut().enumerate() {
            let g: Vec<f64> = (0..len).map(|_| random.normal()).collect();
            session.write(gradient, Some(r), 0, &g).unwrap();
            let lr = settings.rate * settings.schedule.factor(t - 1, steps) * replicas[r].rate_factor;
            let correction = (1.0 - 0.999f64.powi(t as i32)).sqrt() / (1.0 - 0.9f64.powi(t as i32));
            for i in 0..REGIONS[2] {
                let penalty = match i {
                    _ if i < REGIONS[0] => replicas[r].reg_psi,
                    _ if i < REGIONS[1] => replicas[r].reg_lambda,
                    _ => 0.0,
                };
                let g = g[i] + 2.0 * penalty * p[i];
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.999 * v[i] + 0.001 * g * g;
                p[i] -= lr * correction * m[i] / (v[i].sqrt() + 1e-7);
            }
        }
        session.run(pass, &[step]).unwrap();
        for (r, (p, _, _)) in reference.iter().enumerate() {
            let found = session.read(parameters, r, 0, len).unwrap();
            for i in 0..len {
                // β₂ is handed over as f32, and 1 − β₂ is then 1.3e-5 off, √v 6.5e-6; steps are at most 0.01·3 and add up.
                let tolerance = if i < REGIONS[2] { 8e-6 * 0.03 * t as f64 } else { 0.0 };
                let error = (found[i] - p[i]).abs();
                assert!(error <= tolerance, "step {t}, replica {r}, parameter {i}: {}, not {}", found[i], p[i]);
            }
        }
    }
}

#[test]
fn adam_writes_zero_for_tiny_numbers() {
    let mut program = Program::new(1);
    let mut floats = |label: &str| program.buffers.buffer(label, 8, Scope::Replica, Element::Float);
    let [parameters, gradient, m, v] = ["p", "g", "m", "v"].map(&mut floats);
    let settings = program.buffers.buffer("settings", SETTINGS_LEN, Scope::Replica, Element::Word);
    let (beta1, beta2, epsilon) = (0.5, 0.5, 1e-7);
    let adam = Adam {
        parameters,
        gradient,
        m,
        v,
        psi: 0..4,
        lambda: 4..4,
        trainable: 4,
        skip: 4..4,
        settings,
        beta1,
        beta2,
        epsilon,
    };
    let pass = program.pass("adam", vec![adam.into()]);
    let mut session = CpuSession::<f64>::new(program, 1).unwrap();
    session.write_words(settings, None, 0, &[0, 0, 0, 1f32.to_bits()]).unwrap();
    // Halved, m and v come to lie below, below, above and above 1e-30; the last four parameters are frozen.
    session.write(parameters, None, 0, &[9e-31, -9e-31, 1.1e-30, 1.0, 9e-31, 0.0, 0.0, 0.0]).unwrap();
    session.write(m, None, 0, &[1.9e-30, -1.9e-30, 2.1e-30, -2.1e-30, 1e-31, 0.0, 0.0, 0.0]).unwrap();
    session.write(v, None, 0, &[1.9e-30, 1.9e-30, 2.1e-30, 2.1e-30, 1e-31, 0.0, 0.0, 0.0]).unwrap();
    session.run(pass, &[Step { rate: 0.0, ..step(1) }]).unwrap();
    let mut read = |buffer| session.read(buffer, 0, 0, 5).unwrap();
    assert_eq!(read(parameters), [0.0, 0.0, 1.1e-30, 1.0, 9e-31]);
    assert_eq!(read(m), [0.0, 0.0, 1.05e-30, -1.05e-30, 1e-31]);
    assert_eq!(read(v), [0.0, 0.0, 1.05e-30, 1.05e-30, 1e-31]);
}
