//! Which matrices share memory, on programs made by hand; that sharing changes no result; that what is no longer needed can be
//! overwritten, on both engines.

use crate::common::case::{Random, gpu};
use eigenlens::Device;
use eigenlens::kernels::{Activation, Add, Program};
use eigenlens::network::local::{Cotangent, Pull, SlopeForm, linearise, pull, push};
use eigenlens::network::record::{Mode, Recorder, Workspace};
use eigenlens::network::{
    ActivationNode, AddNode, By, ConcatNode, Convolution, Dense, Initialisation, Layout, MaxPoolNode, Network, Padding,
    Reshape, Scale, Sliding, Weight,
};
use eigenlens::program::{PassId, Step, View};

const ROWS: usize = 3;

fn step(rows: usize) -> Step {
    Step { index: 0, rows: rows as u32, begin: 0, epoch: 0, count: 0, rate: 0.0, ordering: 0, kept: u32::MAX }
}

/// `out = a + b` as an operation.
fn add(a: View, b: View, out: View) -> eigenlens::kernels::Op {
    Add { a, b, out, seeds: 1 }.into()
}

/// The first rows of a matrix with its padding, by column.
fn filled(view: View, rows: usize, mut value: impl FnMut(usize) -> f64) -> Vec<f64> {
    (0..rows * view.ld).map(|i| i % view.ld).map(|c| if c < view.cols { value(c) } else { 0.0 }).collect()
}

/// Whether two matrices have the same memory.
fn share(program: &Program, a: View, b: View) -> bool {
    program.buffers.home(a.buffer) == program.buffers.home(b.buffer)
}

fn temporaries<const N: usize>(program: &mut Program, cols: [usize; N]) -> [View; N] {
    cols.map(|cols| program.buffers.temporary("t", ROWS, cols))
}

/// x → a → b → c → y, each twice the one before: a and c are never needed together.
fn chain(cols: usize) -> (Program, PassId, View, [View; 3], View) {
    let mut program = Program::new(1);
    let x = program.buffers.matrix("x", ROWS, cols);
    let [a, b, c] = temporaries(&mut program, [cols; 3]);
    let y = program.buffers.matrix("y", ROWS, cols);
    let ops = vec![add(x, x, a), add(a, a, b), add(b, b, c), add(c, c, y)];
    let pass = program.pass("chain", ops);
    (program, pass, x, [a, b, c], y)
}

#[test]
fn what_is_needed_at_different_times_shares() {
    let (mut program, _, x, [a, b, c], y) = chain(8);
    program.share();
    assert!(share(&program, a, c));
    // An operation touches both.
    assert!(!share(&program, a, b) && !share(&program, b, c));
    assert!(!share(&program, x, c) && !share(&program, a, y), "only temporary matrices share");
    let matrix = ROWS * 8;
    let elements = program.buffers.elements(|_| true);
    assert_eq!((elements.held, elements.unshared), (4 * matrix, 5 * matrix));
}

#[test]
fn one_operation_never_sees_one_memory_twice() {
    let mut program = Program::new(1);
    let views: Vec<View> = (0..12).map(|i| program.buffers.temporary("t", ROWS, 4 * (1 + i % 5))).collect();
    let mut random = Random(7);
    let mut at = || views[random.word() as usize % views.len()];
    let mut triples = Vec::new();
    for pass in 0..3 {
        // Written first, then read in many ways.
        let mut ops = Vec::new();
        for _ in 0..20 {
            let (a, b, out) = (at(), at(), at());
            if out.buffer != a.buffer && out.buffer != b.buffer {
                triples.push((a, b, out));
                ops.push(add(a, b, out));
            }
        }
        program.pass(format!("{pass}"), ops);
    }
    program.share();
    for (a, b, out) in triples {
        assert!(!share(&program, a, out) && !share(&program, b, out));
        assert!(a.buffer == b.buffer || !share(&program, a, b));
    }
}

/// What a forward pass saves and a product reads stays through all products, whatever they make.
#[test]
fn what_another_pass_reads_is_kept() {
    let mut program = Program::new(1);
    let x = program.buffers.matrix("x", ROWS, 8);
    let [early, saved, one, two] = temporaries(&mut program, [8; 4]);
    let y = program.buffers.matrix("y", ROWS, 8);
    program.pass("forward", vec![add(x, x, early), add(early, early, saved), add(saved, saved, y)]);
    program.pass("first product", vec![add(x, x, one), add(one, saved, y)]);
    program.pass("second product", vec![add(x, x, two), add(two, two, y)]);
    program.share();
    assert!([early, one, two].iter().all(|&t| !share(&program, saved, t)));
    // Products' own values, and what forward needed for itself.
    assert!(share(&program, one, two) && share(&program, early, one));
}

/// Forward may use the memory of what it saves until it saves it.
#[test]
fn memory_is_free_before_it_is_written() {
    let mut program = Program::new(1);
    let x = program.buffers.matrix("x", ROWS, 8);
    let [early, next, saved] = temporaries(&mut program, [8; 3]);
    let y = program.buffers.matrix("y", ROWS, 8);
    program.pass("forward", vec![add(x, x, early), add(early, early, next), add(next, next, saved)]);
    program.pass("product", vec![add(x, saved, y)]);
    program.share();
    assert!(share(&program, early, saved) && !share(&program, next, saved));
}

#[test]
fn what_the_host_reads_and_writes_is_kept() {
    let mut program = Program::new(1);
    let [source, a, b, result, later] = temporaries(&mut program, [8; 5]);
    let ops = vec![add(source, source, a), add(a, source, b), add(b, b, result), add(b, b, later)];
    program.exchanging("pass", ops, &[source], &[result]);
    program.share();
    assert!(!share(&program, source, a) && !share(&program, source, b));
    assert!(!share(&program, result, later), "read after the last operation");
    // The result is in a's place, and what comes last in the source's, which is read no more.
    assert!(share(&program, a, result) && share(&program, source, later));
    // Read without being written by anybody: zeros, which nothing may overwrite.
    let mut program = Program::new(1);
    let [zero, a, b] = temporaries(&mut program, [8; 3]);
    let y = program.buffers.matrix("y", ROWS, 8);
    program.pass("pass", vec![add(zero, zero, a), add(a, a, b), add(b, b, y)]);
    program.share();
    assert!(!share(&program, zero, b) && !share(&program, zero, a));
}

/// Rows of 5 columns and of 6 are padded at different places; 8 are not padded.
#[test]
fn padding_is_shared_with_padding() {
    let mut program = Program::new(1);
    let x = program.buffers.matrix("x", ROWS, 8);
    let [five, six, eight, large, last] = temporaries(&mut program, [5, 6, 8, 12, 5]);
    let y = program.buffers.matrix("y", ROWS, 8);
    let ops = [five, six, eight, large, last].map(|t| vec![add(View { cols: t.cols, ..x }, x, t), add(t, t, y)]);
    program.pass("pass", ops.concat());
    program.share();
    assert!(share(&program, five, last) && share(&program, eight, large));
    assert!(!share(&program, five, six) && !share(&program, six, eight) && !share(&program, five, eight));
    // The memory is that of the larger.
    let held = ROWS * (8 + 8 + 8 + 12 + 8);
    assert_eq!(program.buffers.elements(|_| true).held, held);
}

/// The first smallest memory that is free, largest matrices first.
#[test]
fn the_smallest_memory_that_fits_is_taken() {
    let mut program = Program::new(1);
    let x = program.buffers.matrix("x", ROWS, 4);
    let [large, middle, small] = temporaries(&mut program, [40, 20, 12]);
    let of = |t: View| View { cols: 4, ..t };
    let y = program.buffers.matrix("y", ROWS, 4);
    let ops = vec![
        add(x, x, of(large)),
        add(of(large), of(large), of(middle)),
        add(of(middle), x, y),
        add(x, x, of(small)),
        add(of(small), x, y),
    ];
    program.pass("pass", ops);
    program.share();
    assert!(share(&program, small, middle) && !share(&program, large, middle));
}

/// On every engine: results with and without sharing are the same to the bit, also with NaN over what is free, and in a second
/// run with fewer rows.
#[test]
fn sharing_changes_nothing() {
    for device in [Device::Cpu { threads: 1 }, Device::CpuF64 { threads: 1 }, Device::Gpu(gpu().clone())] {
        for cols in [5, 8] {
            let run = |shared: bool, poison: bool| {
                let (mut program, pass, x, _, y) = chain(cols);
                program.poison = poison;
                if shared {
                    program.share();
                }
                let mut session = device.load(program).unwrap();
                let mut found = Vec::new();
                for rows in [ROWS, 2] {
                    session.write(x.buffer, Some(0), 0, &filled(x, rows, |c| 1.5 + c as f64)).unwrap();
                    session.run(pass, &[step(rows)]).unwrap();
                    found.push(session.read(y.buffer, 0, 0, rows * y.ld).unwrap());
                }
                found
            };
            let plain = run(false, false);
            assert_eq!(plain[0][0], 16.0 * 1.5);
            assert_eq!((&run(true, false), &run(true, true)), (&plain, &plain), "{device}, {cols} columns");
        }
    }
}

/// A read of what isn't needed any more shows: with a matrix that a pass reads though it never said so.
#[test]
fn poison_shows_a_use_after_the_end() {
    for device in [Device::Cpu { threads: 1 }, Device::CpuF64 { threads: 1 }, Device::Gpu(gpu().clone())] {
        for poison in [false, true] {
            let (mut program, pass, x, [a, ..], y) = chain(5);
            program.poison = poison;
            program.share();
            let mut session = device.load(program).unwrap();
            session.write(x.buffer, Some(0), 0, &filled(x, ROWS, |_| 1.0)).unwrap();
            session.run(pass, &[step(ROWS)]).unwrap();
            let left = session.read(a.buffer, 0, 0, ROWS * a.ld).unwrap();
            // c has a's memory, and is read by the last operation: it is free at the next pass only.
            assert_eq!(left[0], 8.0, "c in the place of a");
            session.run(pass, &[step(1)]).unwrap();
            // One row was computed; the others were overwritten at the start, but for their padding.
            let left = session.read(a.buffer, 0, 0, ROWS * a.ld).unwrap();
            assert_eq!(left[a.ld].is_nan(), poison, "{device}");
            assert!(left.chunks_exact(a.ld).all(|row| row[5..].iter().all(|&z| z == 0.0)), "{device}: padding");
            assert_eq!(session.read(y.buffer, 0, 0, 1).unwrap(), [16.0]);
        }
    }
}

/// Programs of additions put together at random: a forward pass, and products that read what it saved, in any order and again.
#[test]
fn random_programs_give_the_same() {
    const COLS: [usize; 3] = [5, 8, 12];
    for device in [Device::Cpu { threads: 1 }, Device::Gpu(gpu().clone())] {
        for seed in 0..20 {
            let run = |shared: bool| {
                let mut random = Random(seed);
                let mut program = Program::new(2);
                let x = COLS.map(|cols| program.buffers.matrix("x", ROWS, cols));
                let y = COLS.map(|cols| program.buffers.matrix("y", ROWS, cols));
                let mut of_forward: Vec<View> = Vec::new();
                let pool: Vec<View> = (0..24).map(|i| program.buffers.temporary("t", ROWS, COLS[i % 3])).collect();
                let mut passes = Vec::new();
                for pass in 0..4 {
                    let mut known: Vec<View> = x.iter().copied().chain(of_forward.clone()).collect();
                    let mut ops = Vec::new();
                    for _ in 0..12 {
                        // Forward writes the first half, the products the second.
                        let out = pool[random.word() as usize % 12 + if pass == 0 { 0 } else { 12 }];
                        let fitting: Vec<View> =
                            known.iter().copied().filter(|v| v.cols == out.cols && v.buffer != out.buffer).collect();
                        let mut one = || fitting[random.word() as usize % fitting.len()];
                        ops.push(add(one(), one(), out));
                        known.push(out);
                    }
                    for y in y {
                        let a = *known.iter().rfind(|v| v.cols == y.cols).expect("x at least");
                        ops.push(add(a, a, y));
                    }
                    if pass == 0 {
                        of_forward = known[x.len()..].to_vec();
                    }
                    passes.push(program.pass(format!("{pass}"), ops));
                }
                if shared {
                    program.poison = true;
                    program.share();
                    let elements = program.buffers.elements(|_| true);
                    assert!(elements.held < elements.unshared);
                }
                let mut session = device.load(program).unwrap();
                let mut found = Vec::new();
                for (run, order) in [[0, 1, 2, 3], [3, 1, 2, 1], [0, 3, 3, 2]].iter().enumerate() {
                    for x in x {
                        let values = filled(x, ROWS, |c| 1.0 + (c + run) as f64);
                        session.write(x.buffer, None, 0, &values).unwrap();
                    }
                    for &pass in order {
                        session.run(passes[pass], &[step(ROWS - run % 2)]).unwrap();
                        for y in y {
                            found.push(session.read(y.buffer, 1, 0, (ROWS - run % 2) * y.ld).unwrap());
                        }
                    }
                }
                found
            };
            assert_eq!(run(true), run(false), "{device}, seed {seed}");
        }
    }
}

/// Convolutions, a residual, pooling, a dense layer.
fn network() -> Network {
    let mut network = Network::new(&[2, 6, 6]);
    let sliding = |size: usize| Sliding { padding: Padding::SameUpper, ..Sliding::new(&[size, size]) };
    let convolution =
        |filters| Convolution { filters, sliding: sliding(3), groups: 1, weight: Weight::Direct, train_bias: true };
    let relu = || ActivationNode { activation: Activation::Relu };
    let tanh = || ActivationNode { activation: Activation::Tanh };
    network.then(convolution(4)).unwrap();
    network.then(Scale { by: By::Channel }).unwrap();
    let first = network.then(relu()).unwrap();
    network.then(convolution(4)).unwrap();
    let second = network.then(tanh()).unwrap();
    let sum = network.push(AddNode {}.into(), &[first, second]).unwrap();
    network.push(ConcatNode {}.into(), &[sum, first]).unwrap();
    network.then(MaxPoolNode { sliding: Sliding { stride: vec![2, 2], ..sliding(2) } }).unwrap();
    network.then(Reshape::default()).unwrap();
    network.then(Dense { units: 7, weight: Weight::Direct, train_bias: true }).unwrap();
    network.then(relu()).unwrap();
    network.then(Dense { units: 3, weight: Weight::Direct, train_bias: true }).unwrap();
    network
}

/// Forward, two pulls and a push of a whole network: the same to the bit with and without sharing, on the CPU, with NaN over what
/// is free; on the GPU too.
#[test]
fn a_network_gives_the_same() {
    let network = network();
    let (batch, seeds, last) = (3, 2, network.nodes.len() - 1);
    let parameters = Layout::new(&network).initial(Initialisation::He, 4);
    let run = |device: &Device, shared: bool| {
        let mut workspace = Workspace::frozen(&network, 1, batch, seeds);
        let x = workspace.program.buffers.matrix("x", batch, network.input_width());
        let mut recorder = Recorder::new(&network, &mut workspace, Mode::Explain, x, false);
        let y = recorder.forward();
        let affine = linearise(&network, &mut recorder, SlopeForm::Tangent);
        let ops = recorder.finish();
        let mut passes = vec![(workspace.program.pass("forward", ops), None, y)];
        workspace.program.buffers.keep(y);
        for from in [last, 6] {
            let width = network.nodes[from].width();
            let u = workspace.program.buffers.temporary("u", batch * seeds, width);
            let how = Pull { seeds, ..Pull::default() };
            let pulled = pull(&network, &mut workspace, &affine, from, Cotangent::Matrix(u), how);
            let result = pulled.input().unwrap();
            let pass = workspace.program.exchanging("pull", pulled.ops, &[u], &[result]);
            passes.push((pass, Some(u), result));
        }
        let v = workspace.program.buffers.temporary("v", batch * seeds, network.input_width());
        let (ops, result) = push(&network, &mut workspace, &affine, (0, last), v, seeds);
        let result = result.unwrap();
        passes.push((workspace.program.exchanging("push", ops, &[v], &[result]), Some(v), result));
        if shared {
            workspace.program.poison = true;
            workspace.program.share();
            let elements = workspace.elements();
            assert!(2 * elements.held < elements.unshared, "{elements:?}");
        }
        let (buffer, mut random) = (workspace.parameters, Random(3));
        let mut session = device.load(workspace.program).unwrap();
        parameters.lend(session.as_mut(), buffer).unwrap();
        let mut found = Vec::new();
        for rows in [batch, 2] {
            session.write(x.buffer, Some(0), 0, &filled(x, rows, |_| random.unit())).unwrap();
            for pass in [0, 1, 2, 3, 2, 1, 3] {
                let (pass, source, result) = passes[pass];
                if let Some(source) = source {
                    let values = filled(source, rows * seeds, |_| random.unit());
                    session.write(source.buffer, Some(0), 0, &values).unwrap();
                }
                session.run(pass, &[step(rows)]).unwrap();
                let of_sample = result.rows / batch;
                found.push(session.read(result.buffer, 0, result.offset, rows * of_sample * result.ld).unwrap());
            }
        }
        assert!(found.iter().flatten().all(|x| x.is_finite()) && found.iter().flatten().any(|&x| x != 0.0));
        found
    };
    for device in [
        Device::Cpu { threads: 1 },
        Device::Cpu { threads: 2 },
        Device::CpuF64 { threads: 1 },
        Device::Gpu(gpu().clone()),
    ] {
        assert_eq!(run(&device, true), run(&device, false), "{device}");
    }
}

/// Convolutions that a concatenation alone reads write their part of it in evaluation: the same outputs as where they are copied, without
/// an operation for it; where a part has no whole vec4s, or somebody else reads it, they are copied.
#[test]
fn parts_of_a_concatenation_are_written_in_place() {
    for (side, both_read, copies) in [(6, false, 0), (5, false, 2), (6, true, 2)] {
        let mut network = Network::new(&[2, side, side]);
        let convolution = |size: usize, filters: usize| Convolution {
            filters,
            sliding: Sliding { padding: Padding::SameUpper, ..Sliding::new(&[size, size]) },
            groups: 1,
            weight: Weight::Direct,
            train_bias: true,
        };
        let squeezed = network.then(convolution(1, 3)).unwrap();
        network.push(convolution(1, 4).into(), &[squeezed]).unwrap();
        let first = network.then(ActivationNode { activation: Activation::Relu }).unwrap();
        let second = network.push(convolution(3, 9).into(), &[squeezed]).unwrap();
        network.push(convolution(3, 2).into(), &[squeezed]).unwrap();
        let third = network.then(ActivationNode { activation: Activation::Gelu }).unwrap();
        let all = network.push(ConcatNode {}.into(), &[first, second, third]).unwrap();
        if both_read {
            let twice = network.push(AddNode {}.into(), &[second, second]).unwrap();
            network.push(ConcatNode {}.into(), &[all, twice]).unwrap();
        }
        network.then(MaxPoolNode { sliding: Sliding { stride: vec![2, 2], ..Sliding::new(&[2, 2]) } }).unwrap();
        let parameters = Layout::new(&network).initial(Initialisation::He, 4);
        let run = |device: &Device, mode: Mode| {
            let mut workspace = Workspace::frozen(&network, 1, ROWS, 1);
            let x = workspace.program.buffers.matrix("x", ROWS, network.input_width());
            let mut recorder = Recorder::new(&network, &mut workspace, mode, x, false);
            let y = recorder.forward();
            let ops = recorder.finish();
            let concats = ops.iter().filter(|op| matches!(op, eigenlens::kernels::Op::Concat(_))).count();
            let pass = workspace.program.exchanging("forward", ops, &[x], &[y]);
            workspace.program.poison = true;
            workspace.program.share();
            let (buffer, mut random) = (workspace.parameters, Random(5));
            let mut session = device.load(workspace.program).unwrap();
            parameters.lend(session.as_mut(), buffer).unwrap();
            session.write(x.buffer, Some(0), 0, &filled(x, ROWS, |_| random.unit())).unwrap();
            session.run(pass, &[step(ROWS)]).unwrap();
            let found = session.read(y.buffer, 0, y.offset, ROWS * y.ld).unwrap();
            assert!(found.iter().all(|x| x.is_finite()) && found.iter().any(|&x| x != 0.0));
            (found, concats)
        };
        for device in [Device::Cpu { threads: 2 }, Device::CpuF64 { threads: 1 }, Device::Gpu(gpu().clone())] {
            let (placed, evaluated) = run(&device, Mode::Evaluate);
            let (copied, explained) = run(&device, Mode::Explain);
            let others = if both_read { 1 } else { 0 };
            assert_eq!((evaluated, explained), (copies + others, 2 + others), "{device}, side {side}");
            assert_eq!(placed, copied, "{device}, side {side}");
        }
    }
}
