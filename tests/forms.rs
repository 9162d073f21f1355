//! The forms of a decomposition: they agree where they are of the same operator, and each says what it left out.

use eigenlens::kernels::Activation;
use eigenlens::network::local::SlopeForm;
use eigenlens::network::{
    ActivationNode, Convolution, Initialisation, Layout, MaxPoolNode, Network, NodeId, Padding, Parameters, ReduceNode,
    Sliding, Weight,
};
use eigenlens::random::Random;
use eigenlens::specxai::{
    Checkpoint, ExplainSettings, Explanation, Form, LocalOperator, MatrixFree, Output, Product, SplitPlan, Work,
    decompose, explain_planned, plan,
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
