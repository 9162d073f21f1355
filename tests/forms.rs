//! The forms of a decomposition: they agree where they are of the same operator, and each says what it left out.

use eigenlens::kernels::Activation;
use eigenlens::network::local::SlopeForm;
use eigenlens::network::{
    ActivationNode, Convolution, Initialisation, Layout, MaxPoolNode, Network, NodeId, Padding, Parameters, ReduceNode,
    Sliding, Weight,
};
use eigenlens::random::Random;
use eigenlens::run::{Journal, Keep};
use eigenlens::specxai::{
    ExplainSettings, Explanation, Form, LocalOperator, MatrixFree, Output, Product, SplitPlan, Work, decompose,
    explain_planned, plan,
};
use eigenlens::train::Flow;
use eigenlens::{Device, Error};

const F64: Device = Device::CpuF64 { threads: 2 };
const F32: Device = Device::Cpu { threads: 2 };

/// 2 × 8 × 8, convolution to 5, ReLU, max-pool to 4 × 4, convolution to 3 class maps, ReLU, their means.
fn network() -> (Network, Parameters, NodeId) {
    let mut network = Network::new(&[2, 8, 8]);
    let convolution = |filters, size: usize| Convolution {
        filters,
        groups: 1,
        weight: Weight::Direct,
        train_bias: true,
        sliding: Sliding { padding: Padding::SameUpper, ..Sliding::new(&[size, size]) },
    };
    let relu = ActivationNode { activation: Activation::Relu };
    network.then(convolution(5, 3)).unwrap();
    network.then(relu).unwrap();
    network.then(MaxPoolNode { sliding: Sliding { stride: vec![2, 2], ..Sliding::new(&[2, 2]) } }).unwrap();
    network.then(convolution(3, 1)).unwrap();
    let split = network.then(relu).unwrap();
    network.then(ReduceNode { axes: vec![1, 2], mean: true }).unwrap();
    let layout = Layout::new(&network);
    let mut parameters = layout.initial(Initialisation::Glorot, 3);
    // Biases that leave about half of the units on.
    let mut random = Random::new(4, 4);
    for tensor in layout.tensors.iter().filter(|tensor| tensor.name == "bias") {
        let values: Vec<f64> = (0..tensor.rows * tensor.cols).map(|_| 0.2 * random.normal()).collect();
        parameters.set(tensor, &values);
    }
    (network, parameters, split)
}

fn input(network: &Network) -> Vec<f64> {
    let mut random = Random::new(9, 9);
    (0..network.input_width()).map(|_| f64::from(random.normal() as f32)).collect()
}

fn explained(form: Form, at_once: bool, memory: usize, device: &Device) -> Explanation {
    let (network, parameters, split) = network();
    let settings = ExplainSettings { output: Output::Index(1), components: 6, memory, ..ExplainSettings::at(&[split]) };
    let plans = [SplitPlan { split, form, at_once, rows: 48, on: None, estimates: vec![], middle: None }];
    let (mut found, x) = (Vec::new(), input(&network));
    let each = &mut |explanation| {
        found.push(explanation);
        Flow::Continue
    };
    explain_planned(&network, &parameters, &x, &settings, &plans, device, each, &mut |_| Flow::Continue).unwrap();
    found.remove(0)
}

fn sum_of_maps(e: &Explanation) -> Vec<f64> {
    let mut sum = e.rest_map();
    e.maps.iter().for_each(|map| sum.iter_mut().zip(map).for_each(|(s, a)| *s += a));
    sum
}

/// Rows of R at the split, and which are not zero.
fn rows(network: &Network, parameters: &Parameters, split: NodeId) -> (Vec<Vec<f64>>, Vec<usize>) {
    let mut operator =
        LocalOperator::new(network, parameters, &[Product::Jacobian(split)], SlopeForm::Tangent, 1, &F64).unwrap();
    operator.load(&input(network)).unwrap();
    let r = operator.jacobian(split).unwrap();
    let rows: Vec<Vec<f64>> = (0..r.rows).map(|row| r.row(0, row).to_vec()).collect();
    let on = (0..rows.len()).filter(|&row| rows[row].iter().any(|&x| x != 0.0)).collect();
    (rows, on)
}

#[test]
fn only_rows_that_are_on_are_seen() {
    let (network, parameters, split) = network();
    let (rows, on) = rows(&network, &parameters, split);
    assert!(on.len() > 8 && on.len() < rows.len() - 8, "about half of them: {}", on.len());
    for device in [F64, F32] {
        let mut operator = MatrixFree::new(&network, &parameters, split, SlopeForm::Tangent, &device).unwrap();
        operator.load(&input(&network)).unwrap();
        assert_eq!(operator.on(), on);
    }
}

#[test]
fn complete_is_complete_however_it_is_made() {
    let truth = explained(Form::Complete, true, usize::MAX, &F64);
    assert!(truth.rank > 8, "{}", truth.rank);
    // Formed row by row, and never formed: with a Gram matrix of products, whose rounding is squared in σ.
    for (memory, device, tolerance) in
        [(usize::MAX, F64, 1e-12), (0, F64, 1e-9), (usize::MAX, F32, 1e-4), (0, F32, 1e-3)]
    {
        let e = explained(Form::Complete, false, memory, &device);
        assert_eq!(e.form, Form::Complete);
        let largest = truth.contributions[0].sigma;
        for (found, truth) in e.contributions.iter().zip(&truth.contributions) {
            assert!((found.sigma - truth.sigma).abs() < tolerance * largest, "{} is not {}", found.sigma, truth.sigma);
            // Components with σ far above the rounding have α of their own.
            if truth.sigma > 0.1 * largest && tolerance < 1e-6 {
                assert!((found.alpha - truth.alpha).abs() < 1e3 * tolerance, "{found:?} is not {truth:?}");
            }
        }
        assert!(e.contributions.len() + 2 >= truth.contributions.len());
        // What the rank's threshold leaves out is the remainder.
        assert!((e.alpha_sum() + e.remainder - truth.alpha_sum()).abs() < 1e-5 * truth.alpha_sum().abs().max(1.0));
        assert!(e.remainder.abs() < 1e-2 * truth.alpha_sum().abs(), "{}", e.remainder);
        assert!(e.residual < 1e-5, "{}", e.residual);
        // The maps kept are those of the largest contributions, and each adds up to its own.
        assert_eq!(e.mapped().len(), 6);
        let mut by_size: Vec<usize> = e.by_size().into_iter().take(6).collect();
        by_size.sort_unstable();
        assert_eq!(e.mapped(), by_size);
        for k in e.mapped() {
            let sum: f64 = e.maps[k].iter().sum();
            assert!((sum - e.contributions[k].alpha).abs() < 1e-5, "{sum} is not {}", e.contributions[k].alpha);
        }
        let off = sum_of_maps(&e).iter().zip(&truth.attribution).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 1e-5, "{off}");
    }
}

#[test]
fn class_rows_are_those_that_the_output_reads() {
    let (network, parameters, split) = network();
    let (rows, on) = rows(&network, &parameters, split);
    // Class 1 reads its own map: the second sixteen.
    let read: Vec<&[f64]> = on.iter().filter(|&&row| (16..32).contains(&row)).map(|&row| &rows[row][..]).collect();
    assert!(!read.is_empty() && read.len() < on.len());
    let truth = decompose(&read, network.input_width(), f64::EPSILON);
    let whole = explained(Form::Complete, true, usize::MAX, &F64);
    let e = explained(Form::ClassRows, false, usize::MAX, &F64);
    assert_eq!((e.form, e.contributions.len()), (Form::ClassRows, truth.sigma.len()));
    for (found, sigma) in e.contributions.iter().zip(&truth.sigma) {
        assert!((found.sigma - sigma).abs() < 1e-12 * truth.sigma[0]);
    }
    // Another decomposition of the same sum.
    assert!((e.alpha_sum() - whole.alpha_sum()).abs() < 1e-12 && e.remainder.abs() < 1e-12);
    assert!((e.contributions[0].sigma - whole.contributions[0].sigma).abs() > 1e-6);
    assert!(e.residual < 1e-12, "{}", e.residual);
}

#[test]
fn contributions_leave_nothing_unsaid() {
    let whole = explained(Form::Complete, true, usize::MAX, &F64);
    // The space has room for all directions: everything is resolved.
    let e = explained(Form::Contributions, false, usize::MAX, &F64);
    assert_eq!(e.form, Form::Contributions);
    assert!((e.alpha_sum() + e.remainder - whole.alpha_sum()).abs() < 1e-12);
    assert!(e.residual < 1e-12);
    let near = |sigma: f64| whole.contributions.iter().find(|c| (c.sigma - sigma).abs() < 1e-6 * c.sigma);
    assert!(e.contributions.len() > 4, "{}", e.contributions.len());
    for c in &e.contributions {
        let truth = near(c.sigma).unwrap_or_else(|| panic!("{} is no singular value", c.sigma));
        // Residuals of 1e-3 of σ² are 1e-3 of the gaps at best.
        assert!((c.alpha - truth.alpha).abs() < 1e-2 * whole.alpha_sum().abs(), "{c:?} is not {truth:?}");
    }
    let top = explained(Form::Top, false, usize::MAX, &F64);
    assert_eq!((top.form, top.contributions.len()), (Form::Top, 6));
    assert!((top.alpha_sum() + top.remainder - whole.alpha_sum()).abs() < 1e-12 && top.remainder != 0.0);
    // What is told of a component counts what lies outside of all that were found.
    for e in [&whole, &top] {
        let shares: f64 = (0..e.contributions.len()).filter_map(|k| e.share_of_split(k)).sum();
        let (rest, sum) = (e.remainder.abs(), e.alpha_sum().abs());
        assert!((e.remainder_share() - rest / (rest + sum)).abs() < 1e-15);
        assert!((shares + e.remainder_share() - 1.0).abs() < 1e-12, "{shares} and {}", e.remainder_share());
    }
    assert!(top.remainder_share() > 0.001 && whole.remainder_share() < 1e-12);
}

#[test]
fn the_plan_says_what_each_form_takes() {
    let (network, parameters, split) = network();
    let x = input(&network);
    let settings = |form, budget, memory| ExplainSettings {
        output: Output::Index(1),
        form,
        budget,
        memory,
        ..ExplainSettings::at(&[split])
    };
    let planned = |settings: &ExplainSettings| plan(&network, &parameters, &x, settings, &F32).map(|mut p| p.remove(0));
    let small = planned(&settings(Form::Auto, 1.0, 1 << 30)).unwrap();
    assert!(small.at_once && small.form == Form::Complete && small.estimates.is_empty());
    // Too little memory for one product with all rows.
    let by_rows = planned(&settings(Form::Auto, 60.0, 60_000)).unwrap();
    assert!(!by_rows.at_once && by_rows.form == Form::Complete, "{by_rows:?}");
    let (_, on) = rows(&network, &parameters, split);
    assert_eq!((by_rows.rows, by_rows.on), (48, Some(on.len())));
    // No time at all: the quickest.
    assert_eq!(planned(&settings(Form::Auto, 0.0, 60_000)).unwrap().form, Form::Contributions);
    let asked = planned(&settings(Form::ClassRows, 0.0, 1 << 30)).unwrap();
    assert_eq!(asked.form, Form::ClassRows);
    let read = on.iter().filter(|&&row| (16..32).contains(&row)).count();
    assert_eq!(asked.estimate().map(|estimate| estimate.rows), Some(read));
    // A given form that takes little memory is not weighed, at one split; at several, whoever chooses among them reads the estimates.
    for form in [Form::Top, Form::Contributions] {
        let settled = planned(&settings(form, 0.0, 1 << 30)).unwrap();
        let (rows, estimates) = (48, vec![]);
        assert_eq!(settled, SplitPlan { split, form, at_once: false, rows, on: None, estimates, middle: None });
        let both = ExplainSettings { splits: vec![split - 1, split], ..settings(form, 0.0, 1 << 30) };
        let plans = plan(&network, &parameters, &x, &both, &F32).unwrap();
        assert!(plans.iter().all(|plan| plan.form == form && plan.estimate().is_some() && plan.on.is_some()));
        assert!(plans.iter().all(|plan| plan.middle.is_none()), "only complete forms hold rows");
    }
    let error = planned(&settings(Form::Complete, 60.0, 100)).unwrap_err().to_string();
    assert!(error.contains("rows on would take 1 MiB; allow it with --memory 1"), "{error}");
}

#[test]
fn a_long_decomposition_can_be_stopped() {
    let (network, parameters, split) = network();
    let settings = ExplainSettings { memory: 0, ..ExplainSettings::at(&[split]) };
    let plans = [SplitPlan {
        split,
        form: Form::Complete,
        at_once: false,
        rows: 48,
        on: None,
        estimates: vec![],
        middle: None,
    }];
    let mut shares = Vec::new();
    let each = &mut |_| panic!("nothing was finished");
    let watch = &mut |work: Work| {
        shares.push(work.share);
        if shares.len() == 3 { Flow::Stop } else { Flow::Continue }
    };
    let error =
        explain_planned(&network, &parameters, &input(&network), &settings, &plans, &F32, each, watch).unwrap_err();
    assert!(matches!(error, Error::Stopped(_)), "{error}");
    assert!(shares.len() == 3 && shares[0] > 0.0 && shares[2] > shares[0] && shares[2] < 1.0, "{shares:?}");
}

/// As [`network`], with a last max-pooling whose windows overlap: several of its rows are the same.
fn overlapping() -> (Network, Parameters, NodeId) {
    let convolution = |filters, size| Convolution {
        filters,
        groups: 1,
        weight: Weight::Direct,
        train_bias: true,
        sliding: Sliding { padding: Padding::SameUpper, ..Sliding::new(&[size, size]) },
    };
    let pool = || MaxPoolNode { sliding: Sliding { stride: vec![2, 2], ..Sliding::new(&[3, 3]) } };
    let mut network = Network::new(&[2, 15, 15]);
    network.then(convolution(4, 5)).unwrap();
    network.then(ActivationNode { activation: Activation::Relu }).unwrap();
    network.then(pool()).unwrap();
    network.then(convolution(6, 3)).unwrap();
    network.then(ActivationNode { activation: Activation::Relu }).unwrap();
    let split = network.then(pool()).unwrap();
    network.then(ReduceNode { axes: vec![1, 2], mean: true }).unwrap();
    let parameters = Layout::new(&network).initial(Initialisation::Glorot, 5);
    (network, parameters, split)
}

/// Every way of a complete decomposition, made row by row, against the singular values of the whole R.
#[test]
fn rows_held_half_way_have_the_same_decomposition() {
    let (network, parameters, split) = overlapping();
    let x = input(&network);
    let mut operator =
        LocalOperator::new(&network, &parameters, &[Product::Jacobian(split)], SlopeForm::Tangent, 1, &F64).unwrap();
    operator.load(&x).unwrap();
    let r = operator.jacobian(split).unwrap();
    let rows: Vec<&[f64]> = (0..r.rows).map(|row| r.row(0, row)).collect();
    let truth = decompose(&rows, network.input_width(), f64::EPSILON);
    let on: Vec<&&[f64]> = rows.iter().filter(|row| row.iter().any(|&x| x != 0.0)).collect();
    let different = (0..on.len()).filter(|&i| !on[..i].contains(&on[i])).count();
    assert!(different < on.len() && different > 12, "{different} of {}", on.len());
    let mut whole = MatrixFree::new(&network, &parameters, split, SlopeForm::Tangent, &F64).unwrap();
    whole.load(&x).unwrap();
    assert_eq!((whole.on().len(), eigenlens::specxai::Apply::shape(&whole).0), (on.len(), different));
    // At the input, at the first pooling, nowhere. σ² of a Gram matrix has the rounding of σ₀²: of σ > σ₀/10 ten times that is left.
    for (middle, device, tolerance) in
        [(Some(0), F32, 1e-5), (Some(3), F32, 1e-5), (Some(3), F64, 1e-11), (None, F32, 1e-5), (None, F64, 1e-11)]
    {
        let memory = middle.map_or(0, |_| held_memory(different, &network, middle, &device));
        assert!(memory < 16 * different * network.input_width(), "R's rows fit twice in double precision");
        let settings =
            ExplainSettings { output: Output::Index(1), components: 6, memory, ..ExplainSettings::at(&[split]) };
        let plan = SplitPlan {
            split,
            form: Form::Complete,
            at_once: false,
            rows: r.rows,
            on: None,
            estimates: vec![],
            middle,
        };
        let mut found = Vec::new();
        let each = &mut |explanation: Explanation| {
            found.push(explanation);
            Flow::Continue
        };
        let go_on = &mut |_: Work| Flow::Continue;
        explain_planned(&network, &parameters, &x, &settings, &[plan], &device, each, go_on).unwrap();
        let e = found.remove(0);
        let first = truth.sigma[0];
        for (k, sigma) in truth.sigma.iter().enumerate().filter(|(_, sigma)| **sigma > 0.1 * first) {
            let off = (e.contributions[k].sigma - sigma).abs() / first;
            assert!(off < tolerance, "{middle:?} {device:?}: sigma {k} is off by {off}");
        }
        let receipt = if device_is_double(&device) { 1e-12 } else { 1e-5 };
        assert!(e.residual < receipt && e.map_residual < receipt, "{} {}", e.residual, e.map_residual);
    }
}

fn device_is_double(device: &Device) -> bool {
    matches!(device, Device::CpuF64 { .. })
}

/// Bytes that rows held at a middle take beside their Gram matrix, and no more: less than R's rows twice in double precision.
fn held_memory(rows: usize, network: &Network, middle: Option<NodeId>, device: &Device) -> usize {
    let width = network.nodes[middle.unwrap_or(0)].width();
    2 * rows * width * if device_is_double(device) { 8 } else { 4 } + rows * rows * 8
}

/// Stops after so many products, or never; keeps what is done in `folder` at once.
fn stopped_after(products: usize, folder: &std::path::Path, x: &[f64]) -> (Option<Explanation>, bool, usize) {
    let (network, parameters, split) = network();
    let keep = Keep(Some(std::sync::Arc::new(Journal::new(folder, std::time::Duration::ZERO))));
    let settings = ExplainSettings { memory: 0, keep, ..ExplainSettings::at(&[split]) };
    let (form, estimates) = (Form::Complete, vec![]);
    let plans = [SplitPlan { split, form, at_once: false, rows: 48, on: None, estimates, middle: None }];
    let (mut found, mut resumed, mut made) = (None, false, 0);
    let each = &mut |explanation| {
        found = Some(explanation);
        Flow::Continue
    };
    let watch = &mut |work: Work| {
        (resumed, made) = (resumed || work.resumed, made + 1);
        if made > products { Flow::Stop } else { Flow::Continue }
    };
    let done = explain_planned(&network, &parameters, x, &settings, &plans, &F32, each, watch);
    assert!(found.is_some() || matches!(done, Err(Error::Stopped(_))), "{done:?}");
    (found, resumed, made)
}

#[test]
fn a_stopped_decomposition_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (network, ..) = network();
    let x = input(&network);
    let (whole, resumed, all) = stopped_after(usize::MAX, &at("whole"), &x);
    assert!(whole.is_some() && !resumed && all >= 4, "two blocks, there and back: {all}");
    // In the middle of a block, too: it is made once more.
    for products in [2, 3] {
        let kept = at(&products.to_string());
        assert!(stopped_after(products, &kept, &x).0.is_none());
        let (e, resumed, made) = stopped_after(usize::MAX, &kept, &x);
        assert_eq!((e.as_ref(), resumed, made), (whole.as_ref(), true, all - 2));
        // And what is found is found once more, with no product at all.
        assert_eq!(stopped_after(0, &kept, &x), (whole.clone(), true, 1));
    }
    // Another input finds nothing, nor does anybody in a damaged file.
    let other: Vec<f64> = x.iter().map(|x| x + 0.5).collect();
    let kept = at("2");
    assert_eq!((stopped_after(2, &kept, &other).1, stopped_after(usize::MAX, &kept, &x).1), (false, true));
    let kept = at("damaged");
    assert!(stopped_after(2, &kept, &x).0.is_none());
    for file in std::fs::read_dir(&kept).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    let (e, resumed, made) = stopped_after(usize::MAX, &kept, &x);
    assert_eq!((e, resumed, made), (whole, false, all));
}
