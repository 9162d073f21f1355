//! Networks whose first layer is a spectral convolution: the ranking is of channels.

use eigenlens::data::{Dataset, ScaleKind, Scaling, Split, Targets, Values, channels, input_of, synthetic};
use eigenlens::engine::Session;
use eigenlens::engine::cpu::CpuSession;
use eigenlens::kernels::{
    Activation, Convolve, Form, Gemm, MaxPool, Program, Slope, SlopeRule, Window, max_pool::Direction,
};
use eigenlens::network::{Block, Input, Layout, Padding, Place, Pool, Sequential, Sliding};
use eigenlens::program::{Step, View};
use eigenlens::random::Random;
use eigenlens::relevance::{CurveOptions, curve};
use eigenlens::train::Settings;
use eigenlens::{Device, Fit, Model, Plan};

const CPU: Device = Device::Cpu { threads: 2 };

fn block(filters: usize, kernel: &[usize]) -> Block {
    Block { filters, kernel: kernel.to_vec(), stride: 1, pool: Some(Pool { kernel: 2, stride: 2 }) }
}

/// What the command line makes of `--conv 8:5 --pool 2` for so many rows.
fn plan(rows: usize, epochs: usize) -> Plan {
    let (reg_lambda, reg_psi) = Settings::channel_penalties(rows, 5, 1);
    Plan {
        architecture: Sequential {
            convolutions: vec![block(8, &[5])],
            hidden: vec![32],
            ridge: true,
            ..Sequential::default()
        },
        settings: Settings {
            epochs,
            batch: (rows / 20).clamp(32, 500),
            replicas: Settings::ensemble(1, 0, reg_lambda, reg_psi),
            ..Settings::default()
        },
        scale: Some(ScaleKind::None),
        ..Plan::default()
    }
}

fn fit(plan: &Plan, dataset: &Dataset, device: &Device) -> Fit {
    plan.fit(&mut dataset.clone(), device).unwrap()
}

#[test]
fn useless_channels_fall_and_the_others_stay() {
    let rows = 1500;
    let synthetic::Channels { dataset, relevant } = synthetic::channels(3, rows);
    let plan = plan(rows, 120);
    let first = fit(&plan, &dataset, &CPU);
    let ranking = first.model.ranking();
    assert_eq!((ranking.len(), relevant.iter().flatten().count()), (16, 5));
    let largest = ranking[0].relevance;
    for channel in &ranking {
        let share = channel.relevance / largest;
        // The issue asks for 3 %; five of the sixteen carry all there is to learn.
        assert_eq!(share >= 0.03, relevant[channel.feature].is_some(), "{}: {share}", channel.name);
        assert_eq!(channel.name, format!("channel {}", channel.feature));
    }
    // The norm of the weight's slice, by hand.
    let layout = Layout::new(&first.model.network);
    let get = |name: &str| first.model.parameters[0].get(layout.find(1, name).unwrap());
    let (psi, lambda) = (get("psi"), get("lambda_in"));
    for channel in &ranking {
        let c = channel.feature;
        let squares = (0..8 * 5).map(|i| (lambda[c] * psi[i / 5 * 80 + c * 5 + i % 5]).powi(2));
        assert!((squares.sum::<f64>().sqrt() - channel.relevance).abs() < 1e-12);
    }
    // The curve masks whole channels: five of them are all that there is.
    let mut dataset = dataset;
    let resident = first.model.prepare(&mut dataset, &first.split).unwrap();
    let range = resident.test.clone();
    let curve = curve(&first.model, &resident, ("test", range), &CurveOptions::default(), &CPU).unwrap();
    assert_eq!(curve.points.iter().map(|p| p.k).collect::<Vec<_>>(), (1..=16).collect::<Vec<_>>());
    assert!(curve.full > 0.85 && (curve.points[4].ranked - curve.full).abs() < 0.02, "{curve:?}");
    assert!(curve.points[4].random_mean < curve.full - 0.1);
    // The same seed is the same training, to the bit.
    let again = fit(&plan, &synthetic::channels(3, rows).dataset, &CPU);
    assert!(again.model.parameters == first.model.parameters && again.history == first.history);
}

/// At a stationary point of the whole loss `r_λ λ_c² = r_ψ ‖ψ_c‖²` for each channel that is kept (method.md section 1): what holds for
/// a dense layer's columns holds for a convolution's channels only if both gradients, and both penalties, are by channel.
#[test]
fn penalties_balance_in_every_channel() {
    let rows = 400;
    let dataset = synthetic::channels(5, rows).dataset;
    let mut plan = plan(rows, 3000);
    plan.architecture.convolutions[0].filters = 4;
    plan.architecture.hidden = vec![8];
    (plan.validation, plan.test) = (0.0, 0.0);
    plan.settings.batch = rows;
    // Unbalanced, so that the equality has to come about.
    plan.settings.balanced = false;
    plan.settings.rate = 1e-2;
    let model = fit(&plan, &dataset, &Device::CpuF64 { threads: 2 }).model;
    let replica = plan.settings.replicas[0];
    let (ranking, mut kept) = (model.ranking(), 0);
    for channel in ranking.iter().filter(|channel| channel.relevance > 0.1 * ranking[0].relevance) {
        kept += 1;
        let ratio = replica.reg_lambda * channel.lambda.powi(2) / (replica.reg_psi * channel.psi_norm.powi(2));
        // A decayed full-batch Adam is within a few per cent of the point; the parametrisation starts at a ratio of 100.
        assert!((ratio - 1.0).abs() < 0.05, "{}: {ratio}", channel.name);
    }
    assert!((3..=8).contains(&kept), "{kept} channels are kept");
}

/// The data with each row's channels last.
fn channels_last(dataset: &Dataset) -> Dataset {
    let (c, p) = (dataset.axes[0].len, dataset.axes[1].len);
    let order: Vec<usize> = (0..c * p).map(|i| i % c * p + i / c).collect();
    let axes = vec![dataset.axes[1].clone(), dataset.axes[0].clone()];
    Dataset { axes, ..dataset.select_columns(&order) }
}

#[test]
fn channels_may_stand_last() {
    let dataset = synthetic::channels(4, 300).dataset;
    let last = channels_last(&dataset);
    assert_eq!(channels(&last.axes)[3].columns[..2], [3, 19]);
    let mut plan = plan(300, 3);
    plan.architecture.batch_norm = Place::All;
    plan.architecture.convolutions.push(block(3, &[3]));
    plan.scale = Some(ScaleKind::Standard);
    let models = [&dataset, &last].map(|dataset| fit(&plan, dataset, &CPU).model);
    // The same numbers meet the same weights; the split goes by rows, the start by the layers.
    let relevance = models.each_ref().map(Model::relevance);
    for (a, b) in relevance[0][0].iter().zip(&relevance[1][0]) {
        // Scalings are pooled in another order: rounding, which some steps of Adam make larger.
        assert!((a - b).abs() < 1e-3 * a.abs(), "{a} and {b}");
    }
    let row = |dataset: &Dataset| (0..dataset.columns).map(|c| dataset.value(0, c)).collect::<Vec<_>>();
    let first = models[0].outputs(&row(&dataset), &CPU).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    models[1].save(&path).unwrap();
    let loaded = Model::load(&path).unwrap();
    assert_eq!(loaded.network, models[1].network);
    let second = loaded.outputs(&row(&last), &CPU).unwrap();
    assert!(first.iter().zip(&second).all(|(a, b)| (a - b).abs() < 1e-3), "{first:?} and {second:?}");
    assert_eq!(loaded.ranking(), models[1].ranking());
    assert!(loaded.ranks_channels() && loaded.inputs().len() == 16);
}

#[test]
fn a_channel_has_one_scale() {
    let mut dataset = synthetic::channels(1, 50).dataset;
    let Values::F32(values) = &mut dataset.x else { panic!("floats") };
    // A large offset, and places that differ: neither may cancel or be lost.
    for (i, x) in values.iter_mut().enumerate() {
        *x = *x * (1 + i / 32 % 16) as f32 + (i % 32) as f32 + 1000.0;
    }
    dataset.weights = Some((0..50).map(|row| [0.5, 1.5][row % 2]).collect());
    let rows: Vec<u32> = (0..40).collect();
    let units = channels(&dataset.axes);
    let scaling = Scaling::fit_together(ScaleKind::Standard, &dataset, &rows, &units).unwrap();
    for unit in &units {
        let cells = || {
            let of = |&row: &u32| unit.columns.iter().map(move |&c| (row as usize, c)).collect::<Vec<_>>();
            rows.iter().flat_map(of).map(|(row, c)| (dataset.weight(row), dataset.value(row, c)))
        };
        let total: f64 = cells().map(|(w, _)| w).sum();
        let mean = cells().map(|(w, x)| w * x).sum::<f64>() / total;
        let std = (cells().map(|(w, x)| w * (x - mean).powi(2)).sum::<f64>() / total).sqrt();
        for &c in &unit.columns {
            // Stored as f32.
            assert!((scaling.shift[c] / mean - 1.0).abs() < 1e-7);
            assert!((scaling.scale[c] * std - 1.0).abs() < 1e-7);
        }
    }
}

#[test]
fn copies_of_channels_are_the_control() {
    let rows = 800;
    let synthetic::Channels { dataset, relevant } = synthetic::channels(2, rows);
    for dataset in [channels_last(&dataset), dataset] {
        let mut plan = plan(rows, 60);
        plan.tuning = Some(eigenlens::assess::Tuning { folds: 2, ..Default::default() });
        let control = fit(&plan, &dataset, &CPU).assessment.control.expect("folds bring a control");
        assert_eq!((control.inputs, control.relative.len(), control.above.len()), (16, 16, 16));
        let right = control.above.iter().zip(&relevant).filter(|(above, place)| **above == place.is_some()).count();
        // One channel of noise in thirty may pass.
        assert!(right >= 15, "{:?} of {relevant:?}", control.above);
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let fails = |architecture: &Sequential, input: Input, words: &[&str]| {
        let text = architecture.build(input, 2).unwrap_err().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    let of = |blocks: &[Block]| Sequential { convolutions: blocks.to_vec(), ..Sequential::default() };
    let pictures = || Input { sizes: vec![6, 5, 3], channels: Some(2) };
    fails(&of(&[block(4, &[3])]), Input::from(20), &["spatial axes", "[rows, channels, …]"]);
    fails(&of(&[block(4, &[3, 3, 3])]), pictures(), &["3 sizes", "2 spatial axes", "16:3x3"]);
    let many = vec![block(4, &[3]); 3];
    fails(&of(&many), pictures(), &["max_pool3", "--pool 0"]);
    let wrong = Sequential { activations: vec![Activation::Relu; 2], ..of(&many[..1]) };
    fails(&wrong, pictures(), &["2 activations", "1 convolutions and 3 hidden layers"]);
    // Groups of columns have no eigenvalue of their own there.
    let mut grouped = plan(100, 1);
    grouped.settings.groups = vec![vec![0, 1]];
    let text = grouped.fit(&mut synthetic::channels(1, 100).dataset, &CPU).unwrap_err().to_string();
    assert!(text.contains("of a convolution each channel has one"), "{text}");
    // A model file whose axes don't fit its network.
    let mut model = fit(&plan(100, 1), &synthetic::channels(1, 100).dataset, &CPU).model;
    model.description.axes = vec![eigenlens::data::Axis::new("channel", 8), eigenlens::data::Axis::new("position", 64)];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    model.save(&path).unwrap();
    assert!(Model::load(&path).unwrap_err().to_string().contains("channels don't fit the axes"));
}

/// A file of before says nothing of convolutions or of labels.
#[test]
fn older_descriptions_are_read() {
    let old = serde_json::to_value(Sequential::default()).unwrap();
    assert!(old.get("convolutions").is_none());
    assert_eq!(serde_json::from_value::<Sequential>(old).unwrap(), Sequential::default());
    let axis: eigenlens::data::Axis = serde_json::from_str(r#"{"name":"row","len":4}"#).unwrap();
    assert_eq!(axis, eigenlens::data::Axis::new("row", 4));
}

/// One op in `f32`, as the CPU engine runs it, beside `f64`: what is left in a view.
fn both(
    program: &Program,
    pass: eigenlens::program::PassId,
    rows: usize,
    written: &[View],
    view: View,
) -> [Vec<f64>; 2] {
    fn run<T: eigenlens::host::Real>(
        program: &Program,
        pass: eigenlens::program::PassId,
        rows: usize,
        written: &[View],
        view: View,
    ) -> Vec<f64> {
        let mut session = CpuSession::<T>::new(program.clone(), 2).unwrap();
        let mut random = Random::new(9, 0);
        for view in written {
            for row in 0..view.rows {
                let values: Vec<f64> = (0..view.cols).map(|_| f64::from((random.uniform() - 0.5) as f32)).collect();
                session.write(view.buffer, None, view.offset + row * view.ld, &values).unwrap();
            }
        }
        session.run(pass, &[step(rows)]).unwrap();
        session.read(view.buffer, 0, view.offset, view.rows * view.ld).unwrap()
    }
    [run::<f32>(program, pass, rows, written, view), run::<f64>(program, pass, rows, written, view)]
}

fn step(rows: usize) -> Step {
    Step { index: 0, rows: rows as u32, begin: 0, epoch: 0, count: 0, rate: 0.0, ordering: 0, kept: u32::MAX }
}

/// The planes of single precision beside the written-out windows of double precision, at sizes around the tiles: filters 1 to 15,
/// one to three axes, strides, dilation, uneven padding, groups, few and many rows.
#[test]
fn planes_are_windows() {
    let case = |kernel: &[usize], dilation: usize, padding: Padding| Sliding {
        dilation: vec![dilation; kernel.len()],
        padding,
        ..Sliding::new(kernel)
    };
    let strided = |sliding: Sliding, stride: &[usize]| Sliding { stride: stride.to_vec(), ..sliding };
    let explicit =
        |before: &[usize], after: &[usize]| Padding::Explicit { before: before.to_vec(), after: after.to_vec() };
    let windows = [
        (vec![1, 1], case(&[3, 3], 1, Padding::SameUpper)),
        (vec![7], case(&[3], 1, Padding::Valid)),
        (vec![17, 16], case(&[5, 5], 1, Padding::SameUpper)),
        (vec![6, 31], case(&[3, 2], 2, explicit(&[2, 0], &[1, 3]))),
        (vec![3, 4, 5], case(&[2, 3, 1], 1, Padding::SameLower)),
        (vec![130], case(&[4], 1, explicit(&[5], &[0]))),
        (vec![23, 20], strided(case(&[7, 7], 1, Padding::Valid), &[2, 2])),
        (vec![12, 13], strided(case(&[3, 3], 1, Padding::SameUpper), &[2, 2])),
        (vec![19, 18], strided(case(&[2, 1], 2, explicit(&[1, 0], &[2, 2])), &[3, 4])),
        (vec![9, 8], strided(case(&[1, 1], 1, Padding::Valid), &[2, 2])),
        (vec![5, 6, 7], strided(case(&[3, 2, 2], 1, explicit(&[0, 1, 3], &[1, 1, 0])), &[1, 2, 3])),
        (vec![6, 53], case(&[1, 1], 1, Padding::Valid)),
    ];
    for (sizes, sliding) in windows {
        let window = sliding.window(&sizes).unwrap();
        for (channels, filters, groups, rows) in
            [(1, 1, 1, 1), (3, 5, 1, 2), (2, 9, 1, 33), (8, 8, 2, 17), (5, 15, 1, 9), (4, 4, 4, 3), (3, 11, 1, 3)]
        {
            for form in [Form::Nt, Form::Nn, Form::Tn] {
                single_is_double(form, &window, (channels, filters, groups, rows));
            }
        }
    }
}

/// Windows of 3 × 3 whose outputs are made tile by tile: odd and even sizes, every padding that there is, more lines than a task makes,
/// a third axis, groups, filters and channels around the panels and the registers, few and many rows.
#[test]
fn tiles_are_windows() {
    let explicit =
        |before: &[usize], after: &[usize]| Padding::Explicit { before: before.to_vec(), after: after.to_vec() };
    let windows = [
        (vec![23, 20], Padding::SameUpper),
        (vec![16, 17], Padding::Valid),
        (vec![54, 53], Padding::SameUpper),
        (vec![40, 9], explicit(&[2, 0], &[1, 3])),
        (vec![31, 32], explicit(&[0, 2], &[2, 0])),
        (vec![5, 12, 13], Padding::SameUpper),
    ];
    for (sizes, padding) in windows {
        let mut kernel = vec![1; sizes.len() - 2];
        kernel.extend([3, 3]);
        let window = Sliding { padding, ..Sliding::new(&kernel) }.window(&sizes).unwrap();
        for counts in [(32, 40, 1, 9), (33, 47, 1, 9), (64, 70, 2, 9), (37, 48, 1, 12), (130, 41, 1, 9)] {
            for form in [Form::Nt, Form::Nn] {
                let convolution = single_is_double(form, &window, counts);
                assert!(convolution.is_tiled(), "{form:?} {window:?} {counts:?}");
            }
        }
    }
}

/// A row gives the same bits in a full batch as alone in one, where alone it would be made by other sums.
#[test]
fn a_row_doesn_t_depend_on_its_batch() {
    let window = Sliding { padding: Padding::SameUpper, ..Sliding::new(&[3, 3]) }.window(&[13, 13]).unwrap();
    let convolution = |rows: usize| {
        let mut program = Program::new(1);
        let buffers = &mut program.buffers;
        let x = buffers.matrix("x", rows, 64 * 169);
        let y = buffers.matrix("y", rows, 256 * 169);
        let weight = buffers.matrix("weight", 256, 64 * 9);
        let convolution = Convolve { product: Gemm::plain(Form::Nt, x, weight, y), window, groups: 1 };
        let pass = program.pass("test", vec![convolution.clone().into()]);
        (convolution, program, pass, [x, weight, y])
    };
    assert!(convolution(9).0.is_tiled() && !convolution(1).0.is_tiled());
    let (_, program, pass, [x, weight, y]) = convolution(9);
    let mut session = CpuSession::<f32>::new(program, 2).unwrap();
    let mut random = Random::new(4, 0);
    for view in [x, weight] {
        let values: Vec<f64> = (0..view.rows * view.ld).map(|_| random.normal()).collect();
        session.write(view.buffer, None, view.offset, &values).unwrap();
    }
    let mut first = |rows: usize| {
        session.run(pass, &[step(rows)]).unwrap();
        session.read(y.buffer, 0, y.offset, y.cols).unwrap()
    };
    assert_eq!(first(9), first(1));
}

/// A convolution's product in single precision beside double precision: channels, filters, groups, rows.
fn single_is_double(
    form: Form,
    window: &Window,
    (channels, filters, groups, rows): (usize, usize, usize, usize),
) -> Convolve {
    let mut program = Program::new(1);
    let buffers = &mut program.buffers;
    let (inputs, outputs, depth) = (window.inputs(), window.outputs(), channels / groups * window.taps());
    let x = buffers.matrix("x", rows, channels * inputs);
    let y = buffers.matrix("y", rows, filters * outputs);
    let weight = buffers.matrix("weight", filters, depth);
    let bias = buffers.matrix("bias", 1, filters);
    let (product, written, found) = match form {
        Form::Nt => {
            let pre = buffers.matrix("pre", rows, filters * outputs);
            let product = Gemm {
                bias: Some(bias),
                pre: Some(pre),
                activation: Activation::Tanh,
                ..Gemm::plain(form, x, weight, y)
            };
            (product, vec![x, weight, bias], [y, pre])
        }
        Form::Nn => {
            let saved = buffers.matrix("saved", rows, channels * inputs);
            let slope = Some(Slope { rule: SlopeRule::Given, saved, seeds: 1 });
            (Gemm { slope, ..Gemm::plain(form, y, weight, x) }, vec![y, weight, saved], [x, x])
        }
        Form::Tn => (Gemm { bias_gradient: Some(bias), ..Gemm::plain(form, y, x, weight) }, vec![y, x], [weight, bias]),
    };
    let convolution = Convolve { product, window: *window, groups };
    let pass = program.pass("test", vec![convolution.clone().into()]);
    for view in found {
        let [single, double] = both(&program, pass, rows, &written, view);
        // Sums of products of numbers below a half, each rounded once: 2⁻²⁴·¼ a term, in the worst case all one way. Made by tiles the
        // sums are of a few more terms, and random ones don't all go one way.
        let terms = depth.max(filters * window.taps()).max(if form == Form::Tn { rows * outputs } else { 0 });
        let tolerance = 1e-7 * (1.0 + terms as f64 / 4.0);
        let far = single.iter().zip(&double).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(far <= tolerance, "{form:?} {window:?} {channels} {filters} {groups} {rows}: {far}");
    }
    convolution
}

/// Pooling without padding finds the same winners as with its windows looked up one by one, and pulls to the same elements.
#[test]
fn pooling_by_distances_is_pooling() {
    for (kernel, stride) in [(2, 2), (3, 2), (3, 3), (2, 1), (4, 2)] {
        let sliding = Sliding { stride: vec![stride; 2], ..Sliding::new(&[kernel, kernel]) };
        let (window, channels, rows) = (sliding.window(&[9, 7]).unwrap(), 3, 5);
        let mut program = Program::new(1);
        let x = program.buffers.matrix("x", rows, channels * window.inputs());
        let [out, winner] =
            ["out", "winner"].map(|name| program.buffers.matrix(name, rows, channels * window.outputs()));
        let back = program.buffers.matrix("back", rows, channels * window.inputs());
        let pool = |direction, x, out| MaxPool { direction, x, out, winner: Some(winner), window, seeds: 1 };
        let ops = vec![pool(Direction::Forward, x, out).into(), pool(Direction::Pull, out, back).into()];
        let pass = program.pass("test", ops);
        let [largest, winners, pulled] =
            [out, winner, back].map(|view| both(&program, pass, rows, &[x], view)[0].clone());
        // The same numbers again.
        let mut random = Random::new(9, 0);
        let values: Vec<f64> = (0..rows * x.cols).map(|_| f64::from((random.uniform() - 0.5) as f32)).collect();
        let mut expected = vec![0.0; rows * back.ld];
        for place in 0..rows * winner.cols {
            let (row, rest) = (place / winner.cols, place % winner.cols);
            let (channel, o) = (rest / window.outputs(), rest % window.outputs());
            let at = row * winner.ld + rest;
            let value = |tap: usize| window.seen(o, tap).map(|i| values[row * x.cols + channel * window.inputs() + i]);
            let best = (0..window.taps()).filter_map(|tap| Some((tap, value(tap)?)));
            // The first of equal ones.
            let (tap, most) = best.reduce(|a, b| if b.1 > a.1 { b } else { a }).unwrap();
            assert_eq!((winners[at], largest[at]), (tap as f64, most), "{kernel}/{stride} at {place}");
            let i = window.seen(o, tap).unwrap();
            expected[row * back.ld + channel * window.inputs() + i] += most;
        }
        // Of overlapping windows a few numbers are added, in one order.
        assert!(pulled.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{kernel}/{stride}");
    }
}

#[test]
fn the_input_of_pictures_without_channels_is_one_channel() {
    let axes = [eigenlens::data::Axis::new("row", 4), eigenlens::data::Axis::new("column", 6)];
    assert_eq!(input_of(&axes), Input { sizes: vec![4, 6], channels: None });
    let network = plan(100, 1).architecture.build(input_of(&axes), 2).unwrap();
    assert_eq!(network.nodes[0].shape, [1, 4, 6]);
    assert_eq!((network.first_layer().unwrap().sources, channels(&axes).len()), (1, 1));
    let parts = Split { train: (0..8).collect(), ..Split::default() };
    let dataset = Dataset { rows: 8, y: Targets::None, ..synthetic::rotated_squares(1, 8) };
    assert!(Scaling::fit(ScaleKind::Unit, &dataset, &parts.train).is_ok());
}

/// NaNs, −∞ and padding in vectors as one by one: the first NaN wins, the first of equals, and padding never.
#[test]
fn pooling_in_vectors_is_pooling() {
    for (sizes, kernel, stride, padding) in [
        (vec![7, 40], vec![3, 3], vec![2, 2], Padding::SameUpper),
        (vec![5, 35], vec![2, 4], vec![1, 3], Padding::SameLower),
        (vec![4, 3, 17], vec![2, 2, 3], vec![1, 2, 1], Padding::Valid),
        (vec![18], vec![5], vec![1], Padding::Explicit { before: vec![4], after: vec![4] }),
    ] {
        let sliding = Sliding { stride, padding, ..Sliding::new(&kernel) };
        let (window, channels, rows) = (sliding.window(&sizes).unwrap(), 3, 2);
        let mut program = Program::new(1);
        let x = program.buffers.matrix("x", rows, channels * window.inputs());
        let [out, winner, alone] =
            ["out", "winner", "alone"].map(|name| program.buffers.matrix(name, rows, channels * window.outputs()));
        let pool = MaxPool { direction: Direction::Forward, x, out, winner: Some(winner), window, seeds: 1 };
        let ops = vec![pool.clone().into(), MaxPool { out: alone, winner: None, ..pool }.into()];
        let pass = program.pass("test", ops);
        let mut random = Random::new(4, 0);
        let values: Vec<f64> = (0..x.rows * x.cols)
            .map(|_| match (8.0 * random.uniform()) as usize {
                0 => f64::NAN,
                1..4 => f64::NEG_INFINITY,
                n => n as f64,
            })
            .collect();
        fn run<T: eigenlens::host::Real>(
            program: &Program,
            pass: eigenlens::program::PassId,
            x: View,
            values: &[f64],
            found: [View; 3],
        ) -> [Vec<f64>; 3] {
            let mut session = CpuSession::<T>::new(program.clone(), 2).unwrap();
            for (row, values) in values.chunks(x.cols).enumerate() {
                session.write(x.buffer, None, x.offset + row * x.ld, values).unwrap();
            }
            session.run(pass, &[step(x.rows)]).unwrap();
            found.map(|view| session.read(view.buffer, 0, view.offset, view.rows * view.ld).unwrap())
        }
        let found = [out, winner, alone];
        let single = run::<f32>(&program, pass, x, &values, found);
        let double = run::<f64>(&program, pass, x, &values, found);
        let same = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()));
        for (i, (single, double)) in single.iter().zip(&double).enumerate() {
            assert!(same(single, double), "{sizes:?} {i}: {single:?} {double:?}");
        }
        assert!(same(&double[0], &double[2]), "{sizes:?}: the largest alone");
        // By the definition.
        for row in 0..rows {
            for place in 0..winner.cols {
                let (channel, o) = (place / window.outputs(), place % window.outputs());
                let seen = (0..window.taps()).filter_map(|tap| Some((tap, window.seen(o, tap)?)));
                let seen = seen.map(|(tap, i)| (tap, values[row * x.cols + channel * window.inputs() + i]));
                let first = seen.reduce(|a, b| if a.1.is_nan() || b.1 <= a.1 { a } else { b });
                let (tap, value) = first.map_or((0, f64::NEG_INFINITY), |(tap, value)| (tap, value));
                let at = row * winner.ld + place;
                assert!(same(&[double[0][at]], &[value]) && double[1][at] == tap as f64, "{sizes:?} at {place}");
            }
        }
    }
}
