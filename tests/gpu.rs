//! Every WGSL kernel but the matrix products (see `gpu_gemm.rs`) against its f64 twin.

use crate::common::case::{Case, Random, gpu};
use eigenlens::engine::Session;
use eigenlens::engine::gpu::{Adapters, Gpu, Request};
use eigenlens::kernels::*;
use eigenlens::program::RESULT_LEN;
use eigenlens::program::dispatch::Caps;
use eigenlens::program::{Element, Scope, View};

/// (replicas, batch, rows of the step, columns): 1, around the workgroup of 64, a prime, partial batches.
const SHAPES: [(usize, usize, usize, usize); 7] =
    [(1, 1, 1, 1), (2, 3, 2, 5), (1, 16, 16, 16), (3, 13, 11, 19), (1, 63, 63, 4), (1, 64, 64, 3), (2, 67, 65, 101)];

fn slope(case: &mut Case, activation: Activation, rows: usize, cols: usize, defined: usize, seeds: usize) -> Slope {
    let saved = case.input(rows, cols, defined);
    Slope { rule: SlopeRule::Of(activation), saved, seeds }
}

#[test]
fn select_permutes_alike() {
    for (len, batch, rows) in [(1, 1, 1), (70, 68, 65), (4097, 513, 511)] {
        for shuffle in [false, true] {
            let mut case = Case::new(2, rows);
            case.step.begin = (len - rows) as u32;
            let list = case.words(len + 3, Scope::Shared, |random, _| random.word() % 1000);
            let settings = case.settings();
            let out = case.program.buffers.buffer("rows", batch, Scope::Replica, Element::Word);
            case.expect_words(out, rows);
            let op = Select { out, list, offset: 3, len, shuffle, settings };
            case.check(gpu(), vec![op.into()], &format!("select {len} {shuffle}"));
        }
    }
}

fn gather(gpu: &Gpu, (replicas, batch, rows, cols): (usize, usize, usize, usize), storage: Storage, samples: usize) {
    let mut case = Case::new(replicas, rows);
    let picked = case.words(batch, Scope::Replica, |random, _| random.word() % samples as u32);
    let stride = if storage == Storage::U8 { cols.div_ceil(4) } else { cols };
    let data = case.words(samples * stride, Scope::Shared, |random, _| match storage {
        Storage::U8 => random.word(),
        Storage::F32 => (random.unit() as f32).to_bits(),
    });
    let out = case.output(batch, cols);
    let scaling = case.program.buffers.buffer("scaling", 2 * out.ld, Scope::Shared, Element::Float);
    let scales = (0..2 * out.ld).map(|i| if i % out.ld < cols { case.random.unit() } else { 0.0 }).collect();
    case.floats(scaling, 0, 0, scales);
    // Bytes go up to 255.
    case.expect(out, rows, 100.0);
    let op = Gather { rows: picked, data, storage, stride, scaling, out };
    case.check(gpu, vec![op.into()], &format!("gather {storage:?} {replicas} {rows}x{cols}"));
}

#[test]
fn gather_loads_and_scales() {
    for shape in SHAPES {
        for storage in [Storage::U8, Storage::F32] {
            gather(gpu(), shape, storage, 17);
        }
    }
}

#[test]
fn buffers_beyond_a_binding_are_cut() {
    // Bindings of 8 KiB: parts of a data set, tiles of replicas.
    let small = gpu().with_caps(Caps { max_binding: 8 << 10, ..gpu().caps().clone() }).unwrap();
    for storage in [Storage::U8, Storage::F32] {
        gather(&small, (5, 13, 11, 101), storage, 211);
    }
    let mut case = Case::new(5, 30);
    let (a, b) = (case.input(30, 29, 30), case.input(30, 29, 30));
    let out = case.output(30, 29);
    case.expect(out, 30, 1.0);
    case.check(&small, vec![Add { a, b, out, seeds: 1 }.into()], "tiles");
    let mut case = Case::new(1, 100);
    let x = case.input(100, 100, 100);
    let y = case.output(100, 100);
    let pass = case.program.pass("large", vec![Activate { x, y, activation: Activation::Relu }.into()]);
    assert_eq!(pass.0, 0);
    let error = eigenlens::engine::gpu::GpuSession::new(&small, case.program).err().expect("too large").to_string();
    assert!(error.contains("binds at most"), "{error}");
}

#[test]
fn more_than_the_memory_is_refused() {
    // 100 MB for each of a million replicas.
    let mut case = Case::new(1_000_000, 1);
    case.program.buffers.matrix("x", 25_000, 1000);
    let refused = eigenlens::engine::gpu::GpuSession::new(gpu(), case.program).err().expect("too much").to_string();
    assert!(refused.contains("memory"), "{refused}");
}

#[test]
fn mask_keeps_the_best() {
    for (replicas, batch, rows, cols) in SHAPES {
        let mut case = Case::new(replicas, rows);
        let x = case.input(batch, cols, rows);
        let position = case.words(3 * x.ld, Scope::Replica, |random, _| random.word() % 6);
        let fill = case.program.buffers.buffer("fill", x.ld, Scope::Shared, Element::Float);
        let fills = (0..x.ld).map(|c| if c < cols { case.random.unit() } else { 0.0 }).collect();
        case.floats(fill, 0, 0, fills);
        case.expect(x, rows, 1.0);
        case.check(gpu(), vec![Mask { x, position, fill }.into()], "mask");
    }
}

#[test]
fn proximal_steps() {
    for (replicas, _, rows, cols) in SHAPES {
        let mut case = Case::new(replicas, rows);
        let settings = case.settings();
        let [weight, gradient, velocity] = [(); 3].map(|()| case.input(rows, cols, rows));
        // Units of one, two and three columns.
        let columns: Vec<u32> = (0..cols as u32).rev().collect();
        let mut units: Vec<Vec<u32>> = columns.chunks(3).map(<[_]>::to_vec).collect();
        let first = units.remove(0);
        units.extend(first.iter().map(|&c| vec![c]));
        let words = Tie::words(&units);
        let members = case.words(words.len(), Scope::Shared, |_, i| words.get(i).copied().unwrap_or(0));
        for view in [weight, velocity] {
            // A unit near the threshold amplifies the rounding of its norm.
            case.expect(view, rows, 8.0);
        }
        let op =
            Proximal { weight, gradient, velocity, members, units: units.len(), settings, rate: 60.0, momentum: 0.9 };
        case.check(gpu(), vec![op.into()], "proximal");
    }
}

#[test]
fn groups_share_their_mean() {
    for (replicas, _, rows, cols) in SHAPES {
        let mut case = Case::new(replicas, rows);
        let x = case.input(1, cols, 1);
        // Groups of one, two and three columns, from both ends; a column in the middle may stay alone.
        let columns: Vec<u32> = (0..cols as u32).collect();
        let groups: Vec<Vec<u32>> = columns.chunks(3).map(|g| g.iter().rev().copied().collect()).collect();
        let words = Tie::words(&groups);
        let members = case.words(words.len(), Scope::Shared, |_, i| words.get(i).copied().unwrap_or(0));
        case.expect(x, 1, 1.0);
        case.check(gpu(), vec![Tie { x, members, groups: groups.len() }.into()], "tie");
    }
}

#[test]
fn activations_and_their_slopes() {
    for activation in Activation::ALL {
        for (replicas, batch, rows, cols) in SHAPES {
            let mut case = Case::new(replicas, rows);
            let x = case.program.buffers.matrix("x", batch, cols);
            case.fill(x, rows, |random| 4.0 * random.unit());
            let y = case.output(batch, cols);
            case.expect(y, rows, 1.0);
            case.check(gpu(), vec![Activate { x, y, activation }.into()], &format!("{activation:?}"));

            let seeds = 1 + rows % 3;
            let mut case = Case::new(replicas, rows);
            let dy = case.input(batch * seeds, cols, rows * seeds);
            let slope = slope(&mut case, activation, batch, cols, rows, seeds);
            let dx = case.output(batch * seeds, cols);
            case.expect(dx, rows * seeds, 1.0);
            let op = ActivateBackward { dy, dx, slope };
            case.check(gpu(), vec![op.into()], &format!("{activation:?} backward"));
        }
    }
}

#[test]
fn large_arguments_do_not_overflow() {
    for activation in Activation::ALL {
        let mut case = Case::new(1, 1);
        let x = case.program.buffers.matrix("x", 1, 8);
        case.floats(x.buffer, 0, 0, vec![-1e4, -100.0, -20.0, -1e-3, 0.0, 1e-3, 100.0, 1e4]);
        let y = case.output(1, 8);
        case.expect(y, 1, 1.0);
        case.check(gpu(), vec![Activate { x, y, activation }.into()], &format!("{activation:?}"));
    }
}

#[test]
fn add_and_dropout() {
    for (replicas, batch, rows, cols) in SHAPES {
        let seeds = 1 + rows % 2;
        let mut case = Case::new(replicas, rows);
        let a = case.input(batch * seeds, cols, rows * seeds);
        let b = case.input(batch * seeds, cols, rows * seeds);
        let out = case.output(batch * seeds, cols);
        case.expect(out, rows * seeds, 1.0);
        case.check(gpu(), vec![Add { a, b, out, seeds }.into()], "add");

        let mut case = Case::new(replicas, rows);
        let x = case.input(batch, cols, rows);
        let settings = case.settings();
        let y = case.output(batch, cols);
        case.expect(y, rows, 1.0);
        case.check(gpu(), vec![Dropout { x, y, probability: 0.3, node: 4, settings }.into()], "dropout");
    }
}

#[test]
fn more_than_65535_workgroups() {
    let rows = 1_050_000;
    let mut case = Case::new(1, rows);
    let (a, b) = (case.program.buffers.matrix("a", rows, 16), case.program.buffers.matrix("b", rows, 16));
    let out = case.output(rows, 16);
    assert!(rows / 8 > 65_535);
    let places = [0, 16 * 65_535 * 16, 16 * (rows - 1)];
    for place in places {
        case.floats(a.buffer, 0, place, (0..16).map(f64::from).collect());
        case.floats(b.buffer, 0, place, vec![0.5; 16]);
    }
    let mut session = case.run_gpu(gpu(), vec![Add { a, b, out, seeds: 1 }.into()]);
    for place in places {
        let found = session.read(out.buffer, 0, place, 16).unwrap();
        assert_eq!(found, (0..16).map(|i| f64::from(i) + 0.5).collect::<Vec<_>>());
    }
}

#[test]
fn folded_grids() {
    // At most 5 workgroups in a dimension: everything folds into two.
    let folding = gpu().with_caps(Caps { max_groups: 5, ..gpu().caps().clone() }).unwrap();
    let mut case = Case::new(2, 65);
    let (a, b) = (case.input(67, 13, 65), case.input(67, 13, 65));
    let out = case.output(67, 13);
    case.expect(out, 65, 1.0);
    case.check(&folding, vec![Add { a, b, out, seeds: 1 }.into()], "folded");
    let mut case = Case::new(2, 65);
    let op = batch_norm_forward(&mut case, 67, (21, 1), 65);
    case.check(&folding, vec![op.into()], "folded batch norm");
}

/// `places` columns share their statistics.
fn batch_norm_forward(
    case: &mut Case,
    batch: usize,
    (channels, places): (usize, usize),
    rows: usize,
) -> BatchNormForward {
    let x = case.input(batch, channels * places, rows);
    let y = case.output(batch, channels * places);
    let (_, views) = case.parameters(&[(1, channels), (1, channels)]);
    let saved = case.output(2, channels);
    let running = case.input(2, channels, 2);
    // inv_std reaches 1/√ε = 31 where all rows agree.
    let scale = 40.0;
    case.expect(y, rows, scale);
    case.expect(saved, 2, scale);
    case.expect(running, 2, scale);
    BatchNormForward { x, y, gamma: views[0], beta: views[1], saved, running, momentum: 0.9, epsilon: 1e-3 }
}

#[test]
fn batch_norm() {
    // Every column by itself, then channels of one, a few and more elements than a workgroup has invocations.
    let shapes = SHAPES.into_iter().map(|(replicas, batch, rows, cols)| (replicas, batch, rows, (cols, 1)));
    let by_channel = [(1, 1, 1, (1, 2)), (2, 7, 5, (3, 5)), (2, 33, 31, (5, 13)), (1, 4, 3, (2, 257))];
    for (replicas, batch, rows, (channels, places)) in shapes.chain(by_channel) {
        let cols = channels * places;
        let mut case = Case::new(replicas, rows);
        let op = batch_norm_forward(&mut case, batch, (channels, places), rows);
        case.check(gpu(), vec![op.into()], "batch norm forward");

        let mut case = Case::new(replicas, rows);
        let x = case.input(batch, cols, rows);
        let y = case.output(batch, cols);
        let (_, views) = case.parameters(&[(1, channels), (1, channels)]);
        let running = case.program.buffers.matrix("running", 2, channels);
        case.fill(running, 2, |random| random.unit().abs() + 0.1);
        case.expect(y, rows, 10.0);
        let (gamma, beta) = (views[0], views[1]);
        let op = BatchNormInference { x, y, gamma, beta, running, epsilon: 1e-3 };
        case.check(gpu(), vec![op.into()], "batch norm inference");

        for activation in [None, Some(Activation::Relu), Some(Activation::Tanh), Some(Activation::Gelu)] {
            let mut case = Case::new(replicas, rows);
            let (dy, x) = (case.input(batch, cols, rows), case.input(batch, cols, rows));
            let (_, views) = case.parameters(&[(1, channels)]);
            let saved = case.program.buffers.matrix("saved", 2, channels);
            case.fill(saved, 2, |random| random.unit().abs() + 0.1);
            let (_, gradients) = case.parameters(&[(1, channels), (1, 2), (1, channels)]);
            let dx = case.output(batch, cols);
            let slope = activation.map(|activation| slope(&mut case, activation, batch, cols, rows, 1));
            let scale = 4.0 * (1.0 + ((rows * places) as f64).sqrt());
            case.expect(dx, rows, scale);
            gradients.iter().for_each(|&view| case.expect(view, 1, scale));
            let (d_gamma, d_beta) = (gradients[0], gradients[2]);
            let op = BatchNormBackward { dy, x, saved, gamma: views[0], dx, d_gamma, d_beta, slope };
            case.check(gpu(), vec![op.into()], &format!("batch norm backward {activation:?}"));
        }
    }
}

#[test]
fn losses_and_their_sums() {
    for kind in [LossKind::Ce, LossKind::Mae, LossKind::Mse, LossKind::Huber] {
        for (replicas, batch, rows, cols) in SHAPES {
            for (with_gradient, weighted) in [(true, false), (false, false), (true, true), (false, true)] {
                let mut case = Case::new(replicas, rows);
                let output = case.program.buffers.matrix("output", batch, cols);
                case.fill(output, rows, |random| 3.0 * random.unit());
                let picked = case.words(batch, Scope::Replica, |random, _| random.word() % 9);
                let targets = if kind == LossKind::Ce {
                    case.words(9, Scope::Shared, |random, _| random.word() % cols as u32)
                } else {
                    case.words(9 * cols, Scope::Shared, |random, _| (random.unit() as f32).to_bits())
                };
                let gradient = with_gradient.then(|| case.output(batch, cols));
                let row_stats = case.output(batch, 4);
                let results = case.program.buffers.buffer("results", 2 * RESULT_LEN, Scope::Replica, Element::Float);
                let scale = 4.0 * (1.0 + (cols as f64).sqrt());
                case.expect(row_stats, rows, scale);
                gradient.iter().for_each(|&view| case.expect(view, rows, scale));
                let slot = View { buffer: results, offset: RESULT_LEN, rows: 1, cols: 8, ld: 8 };
                case.expect(slot, 1, scale * (1.0 + (rows as f64).sqrt()));
                let weights = weighted.then(|| {
                    let weights = case.program.buffers.buffer("weights", 9, Scope::Shared, Element::Float);
                    case.floats(weights, 0, 0, vec![1.5, 0.0, 1.0, 0.25, 2.0, 0.5, 1.0, 0.0, 1.75]);
                    weights
                });
                let loss = Loss { kind, output, rows: picked, targets, weights, gradient, row_stats };
                let ops = vec![loss.into(), Reduce { row_stats, results }.into()];
                case.check(gpu(), ops, &format!("{kind:?} {rows}x{cols} weighted {weighted}"));
            }
        }
    }
}

#[test]
fn pullback() {
    for (replicas, m, _, n) in SHAPES {
        for wanted in 1..8 {
            let mut case = Case::new(replicas, 1);
            let g = case.input(m, n, m);
            let shapes = [(m, n), (1, n), (1, m), (1, 3)];
            let ((_, p), (_, d)) = (case.parameters(&shapes), case.parameters(&shapes));
            d.iter().for_each(|&view| case.expect(view, view.rows, 1.0 + (m.max(n) as f64).sqrt()));
            let keep = |bit: usize| (wanted >> bit & 1 == 1).then_some(d[bit]);
            let op = Pullback {
                g,
                psi: p[0],
                lambda_in: p[1],
                lambda_out: p[2],
                d_psi: keep(0),
                d_lambda_in: keep(1),
                d_lambda_out: keep(2),
                taps: 1,
            };
            case.check(gpu(), vec![op.into()], &format!("pullback {m}x{n} {wanted:03b}"));
        }
    }
}

#[test]
fn pullback_by_channels() {
    for (replicas, m, channels, taps) in [(1, 1, 1, 2), (2, 5, 3, 9), (1, 67, 4, 25), (2, 3, 129, 2)] {
        for wanted in 1..8 {
            let mut case = Case::new(replicas, 1);
            let n = channels * taps;
            let g = case.input(m, n, m);
            let shapes = [(m, n), (1, channels), (1, m), (1, 3)];
            let ((_, p), (_, d)) = (case.parameters(&shapes), case.parameters(&shapes));
            d.iter().for_each(|&view| case.expect(view, view.rows, 1.0 + ((m * taps).max(n) as f64).sqrt()));
            let keep = |bit: usize| (wanted >> bit & 1 == 1).then_some(d[bit]);
            let (psi, lambda_in, lambda_out) = (p[0], p[1], p[2]);
            let (d_psi, d_lambda_in, d_lambda_out) = (keep(0), keep(1), keep(2));
            let op = Pullback { g, psi, lambda_in, lambda_out, d_psi, d_lambda_in, d_lambda_out, taps };
            case.check(gpu(), vec![op.into()], &format!("pullback {m}x{channels}x{taps} {wanted:03b}"));
        }
    }
}

#[test]
fn penalty_and_adam() {
    for (replicas, quads) in [(1, 3), (2, 64), (3, 67), (1, 20_011)] {
        let len = 4 * quads;
        // Where there is room, some are neither ψ nor λ, and something else steps four of them.
        let plain = if quads > 64 { 12 } else { 0 };
        let trainable = len - 4;
        let (psi, lambda) = (0..4 * (quads / 2), 4 * (quads / 2)..trainable - plain);
        let skip = trainable - 2 * plain / 3..trainable - plain / 3;
        let row = |buffer| View { buffer, offset: 0, rows: 1, cols: len, ld: len };
        let mut case = Case::new(replicas, 1);
        let settings = case.settings();
        let parameters = case.input(1, len, 1).buffer;
        let results = case.program.buffers.buffer("results", 2 * RESULT_LEN, Scope::Replica, Element::Float);
        let slot = View { buffer: results, offset: RESULT_LEN, rows: 1, cols: 8, ld: 8 };
        case.expect(slot, 1, 1.0 + (len as f64).sqrt());
        let penalty = Penalty { parameters, psi: psi.clone(), lambda: lambda.clone(), len, settings, results };

        let gradient = case.input(1, len, 1).buffer;
        let m = case.input(1, len, 1);
        let v = case.program.buffers.matrix("v", 1, len);
        case.fill(v, 1, |random| random.unit().abs() + 0.01);
        // What is tiny becomes 0.
        case.floats(m.buffer, 0, 0, vec![1e-31, -1e-33]);
        case.floats(parameters, 0, 0, vec![0.0, 0.0]);
        case.floats(gradient, 0, 0, vec![0.0, 0.0]);
        case.floats(v.buffer, 0, 0, vec![1e-32, 1e-31]);
        for buffer in [parameters, m.buffer, v.buffer] {
            case.expect(row(buffer), 1, 2.0);
        }
        let (m, v) = (m.buffer, v.buffer);
        let adam = Adam {
            parameters,
            gradient,
            m,
            v,
            psi,
            lambda,
            trainable,
            skip,
            settings,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-7,
        };
        case.check(gpu(), vec![penalty.into(), adam.into()], &format!("penalty, adam {len}"));
    }
}

#[test]
fn poison_reaches_the_results() {
    for poison in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut case = Case::new(1, 3);
        let settings = case.settings();
        let p = case.input(1, 64, 1);
        case.floats(p.buffer, 0, 17, vec![poison]);
        let results = case.program.buffers.buffer("results", 2 * RESULT_LEN, Scope::Replica, Element::Float);
        let (psi, lambda) = (0..16, 16..32);
        let op = Penalty { parameters: p.buffer, psi, lambda, len: 64, settings, results };
        let mut session = case.run_gpu(gpu(), vec![op.into()]);
        assert!(session.read(results, 0, RESULT_LEN + 6, 1).unwrap()[0].is_nan(), "{poison} in a parameter");

        for activation in Activation::ALL {
            let mut case = Case::new(1, 1);
            let x = case.program.buffers.matrix("x", 1, 4);
            case.floats(x.buffer, 0, 0, vec![f64::NAN, 1.0, 1.0, f64::NAN]);
            let y = case.output(1, 4);
            let mut session = case.run_gpu(gpu(), vec![Activate { x, y, activation }.into()]);
            let y = session.read(y.buffer, 0, 0, 4).unwrap();
            assert!(y[0].is_nan() && !y[1].is_nan() && y[3].is_nan(), "{activation:?} {y:?}");
        }
        for kind in [LossKind::Ce, LossKind::Mae, LossKind::Mse, LossKind::Huber] {
            let mut case = Case::new(1, 3);
            let output = case.input(3, 2, 3);
            case.floats(output.buffer, 0, 5, vec![poison]);
            let rows = case.words(3, Scope::Replica, |_, i| i as u32);
            let targets = case.words(6, Scope::Shared, |_, _| 0);
            let row_stats = case.output(3, 4);
            let results = case.program.buffers.buffer("results", 2 * RESULT_LEN, Scope::Replica, Element::Float);
            let loss = Loss { kind, output, rows, targets, weights: None, gradient: None, row_stats };
            let mut session = case.run_gpu(gpu(), vec![loss.into(), Reduce { row_stats, results }.into()]);
            let sum = session.read(results, 0, RESULT_LEN, 1).unwrap()[0];
            // A logit of −∞ is a class ruled out.
            let harmless = kind == LossKind::Ce && poison == f64::NEG_INFINITY;
            assert!(harmless || !sum.is_finite(), "{kind:?} of {poison}: {sum}");
        }
    }
}

#[test]
fn a_missing_adapter_is_explained() {
    let error = Gpu::open(&Request::Named("no such adapter".into())).expect_err("none").to_string();
    assert!(error.contains("adapters seen: ") && error.contains("--device cpu"), "{error}");
    let seen = Adapters::list();
    assert!(!seen.is_empty() && serde_json::to_string(&seen).is_ok());
    let name = seen[0].name.to_uppercase();
    assert!(Gpu::open(&Request::Named(name)).is_ok());
    assert_eq!(Random(1).word(), Random(1).word());
}
