//! The papers' experiments, small: what a faithful implementation must bring out. MNIST is read from `examples/data`.

use eigenlens::data::{self, Request, synthetic};
use eigenlens::kernels::Activation;
use eigenlens::network::{Place, Sequential};
use eigenlens::relevance::{Curve, CurveOptions, RankedFeature, curve};
use eigenlens::specxai::rank_correlation;
use eigenlens::train::Settings;
use eigenlens::{Device, Fit, Plan};

const CPU: Device = Device::Cpu { threads: 0 };

/// The paper's penalties and network for the synthetic sets: 20 epochs, 5 replicas, cosine schedule, all layers spectral.
fn paper(seed: u64) -> Plan {
    Plan {
        architecture: Sequential {
            activations: vec![Activation::Tanh, Activation::Relu, Activation::Relu],
            spectral: Place::All,
            ..Sequential::default()
        },
        settings: Settings {
            epochs: 20,
            rate: 1e-2,
            replicas: Settings::ensemble(5, seed, 1e-2, 1e-4),
            ..Settings::default()
        },
        ..Plan::default()
    }
}

/// Relevance by feature, relative to the largest.
fn relative(ranking: &[RankedFeature]) -> Vec<f64> {
    let mut relevance = vec![0.0; ranking.len()];
    ranking.iter().for_each(|f| relevance[f.feature] = f.relevance / ranking[0].relevance);
    relevance
}

#[test]
fn gaussian_relevance_follows_the_distance_of_the_means() {
    let mut correlations = Vec::new();
    for seed in 1..=3 {
        let synthetic::Gaussian { mut dataset, distance } = synthetic::gaussian(seed, synthetic::GAUSSIAN_ROWS);
        let fit = paper(seed).fit(&mut dataset, &CPU).unwrap();
        let relevance = relative(&fit.model.ranking());
        for (i, &d) in distance.iter().enumerate().filter(|(_, d)| **d == 0.0) {
            assert!(relevance[i] <= 0.03, "seed {seed}: irrelevant feature {i} (distance {d}) has {}", relevance[i]);
        }
        let relevant: Vec<usize> = (0..20).filter(|&i| distance[i] >= 0.1).collect();
        let pick = |v: &[f64]| relevant.iter().map(|&i| v[i]).collect::<Vec<_>>();
        let rho = rank_correlation(&pick(&relevance), &pick(&distance)).unwrap();
        println!("gaussian seed {seed}: Spearman {rho:.3} over {} features", relevant.len());
        correlations.push(rho);
    }
    let mean = correlations.iter().sum::<f64>() / 3.0;
    assert!(mean >= 0.9, "mean Spearman correlation {mean}");
}

#[test]
fn correlated_pairs_share_their_relevance_in_the_order_of_p() {
    let mut dataset = synthetic::correlated(1, synthetic::CORRELATED_ROWS);
    let fit = paper(1).fit(&mut dataset, &CPU).unwrap();
    let relevance = relative(&fit.model.ranking());
    println!("correlated: {relevance:.3?}");
    let pairs: Vec<f64> = relevance[..8].chunks(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
    for pair in relevance[..8].chunks(2) {
        assert!((pair[0] - pair[1]).abs() <= 0.12 * pair[0].max(pair[1]), "a pair's members differ: {pair:?}");
    }
    // p = 0.7, 0.8, 0.4, 0.6.
    assert!(pairs[1] > pairs[0] && pairs[0] > pairs[3] && pairs[3] > pairs[2], "order of the pairs: {pairs:?}");
    assert!(relevance[8] <= 0.03 && relevance[9] <= 0.03, "noise: {:?}", &relevance[8..]);
}

/// Trains on two digits and draws the curve on the test files.
fn digits(classes: [&str; 2], plan: &Plan) -> (Fit, Curve) {
    let root = concat!("idx:", env!("CARGO_MANIFEST_DIR"), "/examples/data/mnist");
    let classes = Some(classes.map(str::to_owned).to_vec());
    let mut dataset = data::load(&Request { classes, ..Request::new(root) }).unwrap();
    let fit = plan.fit(&mut dataset, &CPU).unwrap();
    let (parts, same) = fit.model.split(&dataset).unwrap();
    assert!(same && parts == fit.split, "the split is found again from the data");
    let resident = fit.model.prepare(&mut dataset, &parts).unwrap();
    let rows = ("test", resident.test.clone());
    let curve = curve(&fit.model, &resident, rows, &CurveOptions::default(), &CPU).unwrap();
    (fit, curve)
}

#[test]
fn zero_v_one_needs_few_pixels() {
    let (fit, curve) = digits(["0", "1"], &Plan::default());
    let accuracy = fit.scores.iter().find(|(part, _)| *part == "test").unwrap().1.accuracy.unwrap();
    let constant = fit.model.description.scaling.constant();
    let relevance = relative(&fit.model.ranking());
    let varying: Vec<f64> = (0..784).filter(|&i| !constant[i]).map(|i| relevance[i]).collect();
    let dropped = varying.iter().filter(|r| **r < 0.01).count() as f64 / varying.len() as f64;
    let at = |k| curve.points.iter().find(|p| p.k == k).unwrap();
    println!("0 v 1: {accuracy}, dropped {dropped}, 20 pixels {:?}", at(20));
    assert!(accuracy >= 0.995, "test accuracy {accuracy}");
    assert!(dropped >= 0.6, "share of varying pixels dropped: {dropped}");
    assert!(at(20).ranked >= 0.97 && at(20).random_mean < 0.75, "20 pixels: {:?}", at(20));
    assert!((curve.full - accuracy).abs() < 1e-9, "the curve's end is the network itself");
}

#[test]
fn five_v_nine_needs_fourteen_pixels() {
    let mut plan = Plan::default();
    plan.settings.replicas = Settings::ensemble(3, 0, 1e-2, 1e-4);
    plan.architecture.batch_norm = Place::First;
    let (_, curve) = digits(["5", "9"], &plan);
    let point = curve.points.iter().find(|p| p.k == 14).unwrap();
    println!("5 v 9: 14 pixels {point:?}, all {}", curve.full);
    assert!(point.ranked >= 0.86 && point.random_mean < 0.75, "14 pixels: {point:?}");
}
