//! Row weights and balanced classes: what they mean, and the command line's use of them.

use std::fs;

use eigenlens::data::{Dataset, ScaleKind, Targets, Values};
use eigenlens::kernels::{Activation, LossKind};
use eigenlens::network::{self, Sequential};
use eigenlens::random::Random;
use eigenlens::train::Settings;
use eigenlens::{Error, Model, Plan};

use crate::common::program::{Place, eigenlens, refused, stderr, stdout, table, train};
use crate::common::training::{CPU, ORACLE, labelled};

/// Two overlapping classes (or, as numbers, their labels with noise) on independent normal features.
fn dataset(rows: usize, columns: usize, numbers: bool) -> Dataset {
    let mut random = Random::new(17, columns as u64);
    let x = (0..rows * columns).map(|i| ((i / columns % 2) as f64 + random.normal()) as f32).collect();
    labelled(x, rows, columns, numbers, random)
}

fn architecture(activation: Activation, batch_norm: network::Place) -> Sequential {
    Sequential { hidden: vec![8], activations: vec![activation], batch_norm, ..Sequential::default() }
}

fn settings(loss: LossKind, epochs: usize, batch: usize) -> Settings {
    let replicas = Settings::ensemble(1, 3, 1e-3, 1e-4);
    Settings { loss, epochs, batch, rate: 1e-2, replicas, ..Settings::default() }
}

/// Row r of `dataset` once for each of `copies[r]`.
fn repeated(dataset: &Dataset, copies: &[usize]) -> Dataset {
    let rows: Vec<usize> = copies.iter().enumerate().flat_map(|(r, &n)| std::iter::repeat_n(r, n)).collect();
    dataset.select_rows(&rows)
}

/// Full batches: a row of weight 2 is two rows, a row of weight 0 is none, in scaling, loss, gradient and scores.
#[test]
fn a_weight_is_so_many_copies_of_a_row() {
    // Sums of the same terms in another order, in f64; the inputs and weights enter as f32 (2⁻²⁴ = 6e-8).
    const TOLERANCE: f64 = 1e-5;
    for numbers in [false, true] {
        let plain = dataset(60, 5, numbers);
        let copies: Vec<usize> = (0..60).map(|r| [1, 2, 0, 3, 1][r % 5]).collect();
        let weighted = Dataset { weights: Some(copies.iter().map(|&n| 7.0 * n as f32).collect()), ..plain.clone() };
        let losses = if numbers { vec![LossKind::Mse, LossKind::Mae, LossKind::Huber] } else { vec![LossKind::Ce] };
        for loss in losses {
            let fits = [weighted.clone(), repeated(&plain, &copies)].map(|mut data| {
                let architecture = architecture(Activation::Tanh, network::Place::None);
                let settings = settings(loss, 40, 1000);
                let scale = Some(ScaleKind::Standard);
                let plan = Plan { architecture, settings, scale, validation: 0.0, test: 0.0, ..Plan::default() };
                plan.fit(&mut data, &ORACLE).unwrap()
            });
            let [a, b] = &fits;
            let close = |what: &str, a: f64, b: f64| {
                assert!((a - b).abs() <= TOLERANCE * (1.0 + b.abs()), "{loss:?}: {what}: {a}, not {b}");
            };
            for (a, b) in a.history.iter().zip(&b.history) {
                close("loss of an epoch", a.train_loss, b.train_loss);
                close("metric of an epoch", a.train_metric, b.train_metric);
            }
            let (a_score, b_score) = (a.scores[0].1, b.scores[0].1);
            close("loss", a_score.loss, b_score.loss);
            for (of, a, b) in [
                ("accuracy", a_score.accuracy, b_score.accuracy),
                ("MAE", a_score.mae, b_score.mae),
                ("R²", a_score.r2, b_score.r2),
            ] {
                assert_eq!(a.is_some(), b.is_some());
                close(of, a.unwrap_or_default(), b.unwrap_or_default());
            }
            let (a, b) = (&a.model.parameters[0].values(), &b.model.parameters[0].values());
            a.iter().zip(b).for_each(|(&a, &b)| close("a parameter", a, b));
        }
    }
}

/// Weights that are all the same change nothing, to the last bit.
#[test]
fn equal_weights_are_none() {
    let plain = dataset(80, 5, false);
    let equal = Dataset { weights: Some(vec![0.125; 80]), ..plain.clone() };
    let fits = [plain, equal].map(|mut data| {
        let architecture = architecture(Activation::Relu, network::Place::First);
        let plan = Plan { architecture, settings: settings(LossKind::Ce, 5, 16), ..Plan::default() };
        plan.fit(&mut data, &CPU).unwrap()
    });
    assert_eq!(fits[0].history, fits[1].history);
    assert_eq!(fits[0].scores, fits[1].scores);
    assert_eq!(fits[0].model.parameters, fits[1].model.parameters);
}

#[test]
fn a_part_without_weight_is_refused() {
    let mut data = dataset(60, 5, false);
    let weights = (0..60).map(|r| f32::from(r < 2u8)).collect();
    data.weights = Some(weights);
    let architecture = architecture(Activation::Relu, network::Place::None);
    let error = Plan { architecture, settings: settings(LossKind::Ce, 5, 16), ..Plan::default() }.fit(&mut data, &CPU);
    let text = error.unwrap_err().to_string();
    assert!(text.contains("row weights") && text.contains("all 0") && text.contains("test rows"), "{text}");
}

/// The accuracy of a part is then the mean over its classes of the share of right answers, counted by hand.
#[test]
fn balanced_accuracy_is_the_mean_over_the_classes() {
    // One class has few rows, of which many are hard: the two accuracies differ by a lot.
    let (rows, columns) = (300, 4);
    let few = |r: usize| r.is_multiple_of(7);
    let mut data = dataset(rows, columns, false);
    let Values::F32(x) = &mut data.x else { unreachable!() };
    x.chunks_exact_mut(columns).enumerate().for_each(|(r, row)| row[0] = f32::from(few(r)) + row[1]);
    let labels: Vec<u32> = (0..rows).map(|r| u32::from(few(r))).collect();
    data.y = Targets::Classes { labels: labels.clone(), names: vec!["many".into(), "few".into()] };
    let weights: Vec<f32> = (0..rows).map(|r| [1.0, 0.0, 2.5][r % 3]).collect();
    for weights in [None, Some(weights)] {
        let mut data = Dataset { weights: weights.clone(), ..data.clone() };
        let architecture = architecture(Activation::Tanh, network::Place::None);
        let settings = settings(LossKind::Ce, 10, 32);
        let plan = Plan { architecture, settings, balanced_classes: true, ..Plan::default() };
        let fit = plan.fit(&mut data, &CPU).unwrap();
        let resident = fit.model.prepare(&mut data, &fit.split).unwrap();
        let mut job = fit.model.job(&resident, None, &CPU).unwrap();
        let parts = [(&fit.split.train, &resident.train), (&fit.split.validation, &resident.validation)];
        let parts = parts.into_iter().chain([(&fit.split.test, &resident.test)]);
        let mut differs = false;
        for ((name, score), (part, range)) in fit.scores.iter().zip(parts) {
            let outputs = job.predict(0, range.clone()).unwrap();
            let (mut right, mut all) = ([0.0; 2], [0.0; 2]);
            for (&row, output) in part.iter().zip(outputs.chunks_exact(2)) {
                let (row, predicted) = (row as usize, usize::from(output[1] > output[0]));
                let class = labels[row] as usize;
                let weight = weights.as_ref().map_or(1.0, |w| f64::from(w[row]));
                all[class] += weight;
                right[class] += if predicted == class { weight } else { 0.0 };
            }
            let by_hand = (right[0] / all[0] + right[1] / all[1]) / 2.0;
            let found = score.balanced_accuracy.unwrap();
            // Weights are f32.
            assert!((found - by_hand).abs() < 1e-6, "{name}: {found}, by hand {by_hand}");
            assert!(score.accuracy.is_none());
            differs |= (found - (right[0] + right[1]) / (all[0] + all[1])).abs() > 0.01;
        }
        assert!(differs, "the plain accuracy is another number");
        // scikit-learn's "balanced" on the training rows: rows / (classes · rows of the class).
        if weights.is_none() {
            let of_few = fit.split.train.iter().filter(|&&r| few(r as usize)).count() as f64;
            let (n, row) = (fit.split.train.len() as f64, fit.split.train.iter().find(|&&r| few(r as usize)).unwrap());
            assert!((data.weight(*row as usize) - n / (2.0 * of_few)).abs() < 1e-6);
        }
    }
    let mut numbers = dataset(60, 5, true);
    let plan = Plan { settings: settings(LossKind::Mse, 2, 16), balanced_classes: true, ..Plan::default() };
    assert!(matches!(plan.fit(&mut numbers, &CPU), Err(Error::Usage(text)) if text.contains("--balanced-classes")));
}

/// [`table`] with a column of weights, by row.
fn weighted(weight: impl Fn(usize) -> String) -> String {
    let rows = table();
    let mut lines = rows.lines();
    let mut text = format!("{},w\n", lines.next().unwrap());
    lines.enumerate().for_each(|(r, line)| text.push_str(&format!("{line},{}\n", weight(r))));
    text
}

/// Weights are no input, are scaled, weigh the scores of `train` and of `curve`, and may be absent afterwards.
#[test]
fn row_weights_go_all_the_way() {
    let place = Place::new();
    let (data, out) = (place.write("table.csv", weighted(|r| (r % 4).to_string())), place.text("run"));
    let trained = train(&data, &out, &["--target", "class", "--weights", "w", "--json"]);
    assert!(trained.status.success(), "{}", stderr(&trained));
    let metrics: serde_json::Value = serde_json::from_str(&stdout(&trained)).unwrap();
    assert_eq!((&metrics["weights"], &metrics["features"]), (&"w".into(), &6.into()));
    let model = place.text("run/model.safetensors");
    assert_eq!(Model::load(place.path("run/model.safetensors")).unwrap().description.weight_column.unwrap(), "w");
    let curve = |data: &str| {
        let done = eigenlens(&["curve", &model, data, "--out", &place.text("c"), "--json", "--device", "cpu"]);
        assert!(done.status.success(), "{}", stderr(&done));
        let curve: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
        (curve["full"].as_f64().unwrap(), stderr(&done))
    };
    let (full, said) = curve(&data);
    assert_eq!((Some(full), said.as_str()), (metrics["test"]["accuracy"].as_f64(), ""));
    let (_, said) = curve(&place.write("plain.csv", table()));
    assert!(said.contains("no row weights \"w\"") && said.contains("plain.csv"), "{said}");
    // Weights that are no numbers don't matter to who predicts.
    let odd = place.write("odd.csv", weighted(|_| "-".into()));
    let done = eigenlens(&["predict", &model, &odd, "--out", &place.text("p.csv"), "--device", "cpu"]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(eigenlens(&["rank", &model]).status.success());
}

#[test]
fn bad_row_weights_are_refused_in_one_sentence() {
    let place = Place::new();
    let good = place.write("good.csv", weighted(|_| "1".into()));
    let zero = place.write("zero.csv", weighted(|_| "0".into()));
    let negative = place.write("negative.csv", weighted(|r| if r == 7 { "-1" } else { "1" }.into()));
    let cases: [(&str, &str, i32, &[&str]); 5] = [
        (&negative, "w", 1, &["negative.csv", "line 9", "\"w\"", "below 0"]),
        (&zero, "w", 1, &["zero.csv", "row weights", "training rows are all 0"]),
        (&good, "v", 1, &["good.csv", "no column \"v\"", "--weights NAME"]),
        (&good, "class", 2, &["--weights names class", "target"]),
        ("gaussian", "w", 2, &["--weights", "gaussian"]),
    ];
    for (data, name, code, parts) in cases {
        for command in ["train", "select"] {
            let target = ["--target", "class", "--weights", name, "--device", "cpu", "--out", &place.text("run")];
            refused(&eigenlens(&[&[command, data], &target[..]].concat()), code, parts);
        }
    }
}

#[test]
fn balanced_classes_are_said_everywhere() {
    let place = Place::new();
    // Three quarters of one class's rows are gone.
    let rows = table();
    let kept = rows.lines().enumerate().filter(|(i, line)| i % 4 == 0 || !line.ends_with("yes"));
    let data = place.write("table.csv", kept.map(|(_, line)| format!("{line}\n")).collect::<String>());
    let out = place.text("run");
    let trained = train(&data, &out, &["--target", "class", "--balanced-classes"]);
    assert!(
        trained.status.success() && stdout(&trained).contains("hadn't seen: balanced accuracy "),
        "{}",
        stderr(&trained)
    );
    let read = |name: &str| fs::read_to_string(place.path(name)).unwrap();
    let metrics: serde_json::Value = serde_json::from_str(&read("run/metrics.json")).unwrap();
    let score = &metrics["test"];
    assert!(score["balanced_accuracy"].as_f64().unwrap() > 0.7 && score["accuracy"].is_null(), "{metrics}");
    assert!(read("run/report.html").contains("balanced accuracy on rows it hadn&#39;t seen"));
    let model = place.text("run/model.safetensors");
    let curve = eigenlens(&["curve", &model, &data, "--out", &out, "--json", "--device", "cpu"]);
    let curve: serde_json::Value = serde_json::from_str(&stdout(&curve)).unwrap();
    assert_eq!((&curve["metric"], &curve["full"]), (&"balanced_accuracy".into(), &score["balanced_accuracy"]));

    let select = |data: &str, target: &str, out: &str| {
        let quick = ["--balanced-classes", "--seeds", "2", "--penalties", "4", "--device", "cpu", "--out", out];
        eigenlens(&[&["select", data, "--target", target], &quick[..]].concat())
    };
    let selected = select(&data, "class", &out);
    assert!(selected.status.success() && stdout(&selected).contains("balanced accuracy"), "{}", stderr(&selected));
    let json: serde_json::Value = serde_json::from_str(&read("run/selection.json")).unwrap();
    assert_eq!((&json["metric"], &json["settings"]["balanced_classes"]), (&"balanced_accuracy".into(), &true.into()));
    assert!(read("run/select.html").contains("every class counts the same"));

    // A class of one row is in training alone. All classes weigh the same there, and with so many rows rounding puts that one
    // first: answering it would be right in no other row, so the constant answer to beat is one of the two that occur.
    let wave = |i: usize, pace: f64| (i as f64 * pace).sin();
    let noise = |t: String, i: usize| format!("{t}{},{},{}\n", wave(i, 12.9), wave(i, 78.2), ["no", "yes"][i % 7 % 2]);
    let rare = place.write("rare.csv", (0..90).fold("a,b,class\n".to_owned(), noise) + "0.5,0.5,rare\n");
    let selected = select(&rare, "class", &out);
    assert!(selected.status.success(), "{}", stderr(&selected));
    let json: serde_json::Value = serde_json::from_str(&read("run/selection.json")).unwrap();
    assert!(json["constant_answer_score"].as_f64().unwrap() >= 0.3, "{}", json["constant_answer_score"]);
    assert_eq!(json["tells_anything"], false);

    let number = ["--target", "a", "--task", "regress", "--balanced-classes"];
    refused(&train(&data, &out, &number), 2, &["--balanced-classes", "table.csv", "leave it out"]);
    refused(&select(&data, "a", &out), 2, &["--balanced-classes", "table.csv", "leave it out"]);
}
