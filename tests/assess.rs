//! Whether a model is better than no model, on noise and on tables that say something, and what the cross-validation chooses.

use crate::common::training::CPU;
use eigenlens::assess::{FEWEST_ROWS, Tuning, Verdict};
use eigenlens::data::{Axis, Dataset, Feature, Targets, Values};
use eigenlens::kernels::LossKind;
use eigenlens::network::Sequential;
use eigenlens::random::Random;
use eigenlens::report::assessment::{lead, verdict};
use eigenlens::train::Settings;
use eigenlens::{Fit, Plan};

const COLUMNS: usize = 8;

/// Normal inputs; the target is `signal` times a sum of the first two and a bend of the third, with normal noise of 1. As classes: its sign.
fn table(rows: usize, signal: f64, classes: bool, seed: u64) -> Dataset {
    let mut random = Random::new(seed, 3);
    let x: Vec<f32> = (0..rows * COLUMNS).map(|_| random.normal() as f32).collect();
    let target = |row: &[f32]| f64::from(row[0] + row[1] + row[2] * row[2] - 1.0);
    let values: Vec<f64> = x.chunks_exact(COLUMNS).map(|row| signal * target(row) + random.normal()).collect();
    let y = if classes {
        let labels = values.iter().map(|&y| u32::from(y > 0.0)).collect();
        Targets::Classes { labels, names: vec!["low".into(), "high".into()] }
    } else {
        Targets::Numbers { values: values.iter().map(|&y| f64::from(y as f32)).collect(), names: vec!["y".into()] }
    };
    Dataset {
        source: "test".into(),
        rows,
        columns: COLUMNS,
        x: Values::F32(x),
        y,
        features: (0..COLUMNS).map(|c| Feature::new(format!("x{c}"), None)).collect(),
        axes: vec![Axis::new("feature", COLUMNS)],
        weights: None,
        test_from: None,
        notes: Vec::new(),
        filled: Vec::new(),
        row_names: Vec::new(),
        origins: Vec::new(),
    }
}

fn fit(mut dataset: Dataset, tuning: Option<Tuning>, seed: u64) -> Fit {
    let classes = matches!(dataset.y, Targets::Classes { .. });
    // Without a cross-validation nothing holds the network back.
    let penalty = if tuning.is_some() { 1.0 } else { 1e-6 };
    let settings = Settings {
        loss: if classes { LossKind::Ce } else { LossKind::Mse },
        epochs: if tuning.is_some() { 100 } else { 600 },
        batch: 32,
        replicas: Settings::ensemble(1, seed, penalty, penalty),
        ..Settings::default()
    };
    let architecture = Sequential { hidden: vec![40], ..Sequential::default() };
    Plan { architecture, settings, tuning, split_seed: seed, ..Plan::default() }.fit(&mut dataset, &CPU).unwrap()
}

/// Noise is called noise. At two standard errors by either of two measures one draw in twenty may pass, so of twenty (ten of either
/// kind) more than three would be a defect (chance 1.6 %).
#[test]
fn noise_is_not_supported() {
    let verdicts: Vec<Verdict> = (0..20)
        .map(|seed| fit(table(120, 0.0, seed % 2 == 1, seed), Some(Tuning::default()), seed).assessment.verdict)
        .collect();
    let passed = verdicts.iter().filter(|&&v| v != Verdict::Unsupported).count();
    assert!(passed <= 3, "{verdicts:?}");
}

#[test]
fn what_is_there_is_supported() {
    let mut false_ones = 0;
    for seed in 0..6 {
        let fit = fit(table(200, 3.0, seed % 2 == 1, seed), Some(Tuning::default()), seed);
        let a = &fit.assessment;
        assert_eq!(a.verdict, Verdict::Supported, "seed {seed}: {a:?}");
        // Every row was answered by a network that hadn't seen it: the training rows in folds, the test rows by the model.
        assert_eq!((a.held_out.unwrap().rows, a.part("cross-validation").unwrap().rows), (200, 160));
        assert!(a.part("validation").is_none() && fit.split.validation.is_empty() && fit.split.train.len() == 160);
        let v = a.cross_validation.as_ref().unwrap();
        let least = v.candidates.iter().map(|c| c.loss.value).fold(f64::INFINITY, f64::min);
        let chosen = v.candidates[v.chosen];
        assert!(v.candidates[v.best].loss.value == least && v.best <= v.chosen);
        assert!(chosen.loss.value <= least + chosen.loss.se);
        let used = fit.model.description.settings.replicas[0];
        assert_eq!((used.reg_lambda, used.reg_psi), (chosen.reg_lambda, chosen.reg_psi));
        // The strongest penalty answers the same for all rows.
        assert!(v.chosen + 2 < v.candidates.len(), "{v:?}");
        let best: Vec<usize> = fit.model.ranking()[..3].iter().map(|f| f.feature).collect();
        assert!((0..3).all(|c| best.contains(&c)), "seed {seed}: {best:?}");
        // Above the shuffled copies of all: the three at least.
        let control = a.control.as_ref().unwrap();
        assert!(control.copies >= 30 && (0..3).all(|c| control.above[c]), "seed {seed}: {control:?}");
        false_ones += (3..COLUMNS).filter(|&c| control.above[c]).count();
        if let Some(classes) = &a.classes {
            let right: usize = (0..2).map(|c| classes.confusion[c][c]).sum();
            assert!((right as f64 / 200.0 - a.held_out.unwrap().score.value).abs() < 1e-12);
            assert_eq!(classes.confusion.iter().flatten().sum::<usize>(), 200);
            // Two classes: one's AUC is the other's.
            assert!((classes.classes[0].auc.unwrap() - classes.classes[1].auc.unwrap()).abs() < 1e-12);
        }
    }
    // Of thirty inputs of noise one is above thirty copies now and then.
    assert!(false_ones <= 4, "{false_ones} inputs of noise are above noise");
}

/// A network without penalties that learns its rows by heart says so; the cross-validated one on the same rows doesn't.
#[test]
fn learning_by_heart_is_said() {
    let dataset = table(150, 0.5, false, 4);
    let fit_by_heart = fit(dataset.clone(), None, 4);
    let a = &fit_by_heart.assessment;
    let (train, held) = (a.part("train").unwrap().r2.unwrap().value, a.held_out.unwrap().r2.unwrap().value);
    assert!(train > 0.9 && held < 0.5 * train, "{train} {held}");
    assert!(matches!(a.verdict, Verdict::Overfitted | Verdict::Unsupported), "{a:?}");
    // The test rows alone, since the validation rows may have been used.
    assert_eq!(a.held_out.unwrap().rows, 30);
    let tuned = fit(dataset, Some(Tuning::default()), 4);
    assert!(tuned.assessment.part("test").unwrap().r2.unwrap().value > held);
}

#[test]
fn without_held_out_rows_nothing_is_known() {
    let mut dataset = table(60, 1.0, false, 1);
    let plan = Plan { validation: 0.0, test: 0.0, ..Plan::default() };
    let settings = Settings { loss: LossKind::Mse, epochs: 2, ..Settings::default() };
    let fit = Plan { settings, ..plan }.fit(&mut dataset, &CPU).unwrap();
    assert_eq!(fit.assessment.verdict, Verdict::Unknown);
    assert!(fit.assessment.held_out.is_none());
}

/// Two rows agree with anything: noise is told by too few rows, however well it happens to fit them.
#[test]
fn so_few_rows_say_nothing() {
    for seed in 0..6 {
        let fit = fit(table(12, 3.0 * (seed % 2) as f64, false, seed), None, seed);
        let held = fit.assessment.held_out.unwrap().rows;
        assert!((1..FEWEST_ROWS).contains(&held), "{held}");
        assert_eq!(fit.assessment.verdict, Verdict::Unsupported, "seed {seed}");
        assert!(
            verdict(&fit.assessment).contains("So few rows say nothing about others"),
            "{}",
            verdict(&fit.assessment)
        );
        // What reads the model later knows it too.
        assert!(fit.model.description.caution().is_some_and(|caution| caution.starts_with("Not supported")));
    }
}

#[test]
fn what_was_learnt_by_heart_is_told_with_its_remedy() {
    let fit = fit(table(120, 0.0, false, 1), None, 1);
    assert_eq!(fit.assessment.verdict, Verdict::Unsupported);
    let text = verdict(&fit.assessment);
    assert!(text.contains("learnt its training rows by heart") && text.contains("--folds 5"), "{text}");
}

/// A row that stands in the data twice may be learnt and asked: it is said before the score. Of tables without a continuous column
/// alike rows are to be expected.
#[test]
fn repeated_rows_are_told_first() {
    let once = table(60, 0.0, false, 3);
    let rows: Vec<usize> = (0..180).map(|row| row % 60).collect();
    let Values::F32(x) = &once.x else { panic!("numbers") };
    let Targets::Numbers { values, names } = &once.y else { panic!("numbers") };
    let columns = once.columns;
    let mut thrice = Dataset {
        rows: 180,
        x: Values::F32(rows.iter().flat_map(|&r| &x[r * columns..][..columns]).copied().collect()),
        y: Targets::Numbers { values: rows.iter().map(|&r| values[r]).collect(), names: names.clone() },
        ..once.clone()
    };
    assert_eq!((once.repeated_rows(), thrice.repeated_rows()), (0, 180));
    let told = lead(&fit(thrice.clone(), None, 1).assessment);
    assert!(told[0].starts_with("180 rows stand in the data more than once"), "{told:?}");
    if let Values::F32(x) = &mut thrice.x {
        x.iter_mut().for_each(|x| *x = x.signum());
    }
    assert_eq!(thrice.repeated_rows(), 0);
}

/// One of two targets may be noise: each has its own R², and a caution where it is explained.
#[test]
fn every_target_is_judged() {
    let one = table(300, 3.0, false, 5);
    let Targets::Numbers { values, .. } = &one.y else { panic!("numbers") };
    let mut random = Random::new(9, 9);
    let both = values.iter().flat_map(|&y| [y, random.normal()]).collect();
    let names = vec!["known".to_owned(), "noise".to_owned()];
    let fit = fit(Dataset { y: Targets::Numbers { values: both, names }, ..one }, Some(Tuning::default()), 2);
    let r2: Vec<bool> = fit.assessment.by_target.iter().map(|target| target.is_explained()).collect();
    assert_eq!(r2, [true, false], "{:?}", fit.assessment.by_target);
    let d = &fit.model.description;
    assert_eq!(d.unsupported_targets, ["noise"]);
    assert!(
        d.caution_of("known").is_none() && d.caution_of("noise").is_some_and(|text| text.contains("nothing of noise"))
    );
    assert!(lead(&fit.assessment).iter().any(|line| line.contains("(not supported)")));
}
