//! `select`: the path, the choice, substitutes, groups, the compact model, and what it refuses.

use std::path::Path;

use eigenlens::data::{Unit, synthetic};
use eigenlens::selection::{SelectSettings, Stage, select};
use eigenlens::train::Flow;
use eigenlens::{Device, Error};
use serde_json::Value;

use crate::common::program;

fn quick() -> SelectSettings {
    SelectSettings { seeds: 3, penalties: 8, ..SelectSettings::default() }
}

fn eigenlens(arguments: &[&str]) -> (i32, String, String) {
    let output = program::eigenlens(arguments);
    (output.status.code().unwrap_or(-1), program::stdout(&output), program::stderr(&output))
}

/// Exact zeros, and the path that is walked penalty by penalty, find the same three sources.
#[test]
fn the_other_ways_along_the_path() {
    let base = SelectSettings { seeds: 2, penalties: 8, ..SelectSettings::default() };
    let ways = [
        ("exact", SelectSettings { exact: true, ..base.clone() }),
        ("warm", SelectSettings { warm: true, ..base.clone() }),
        ("exact and warm", SelectSettings { exact: true, warm: true, ..base }),
    ];
    for (way, settings) in ways {
        let mut dataset = synthetic::redundant(1, 3_000);
        let device = Device::Cpu { threads: 0 };
        let selection = select(&mut dataset, &[], &settings, &device, &mut |_, _| Flow::Continue).unwrap();
        let name = |u: usize| selection.units[u].name.as_str();
        let chosen: Vec<&str> = selection.ranking[..selection.chosen].iter().map(|&u| name(u)).collect();
        for family in ["s0", "s1", "s2"] {
            assert!(chosen.iter().any(|name| name.starts_with(family)), "{way}: {family} is missing from {chosen:?}");
        }
        assert!(selection.score.mean > 0.85, "{way}: {:?}", selection.score);
        for (point, kept) in selection.path.points.iter().zip(&selection.path.kept) {
            for u in 0..selection.units.len() {
                let (relevance, nobody) = (point.relevance[u], kept.iter().all(|kept| !kept[u]));
                // What the proximal operator drops is 0; otherwise something is left below the threshold.
                assert!(!settings.exact || point.kept == 0.0 || nobody == (relevance == 0.0), "{way}: {relevance}");
            }
        }
    }
}

/// However many cores take the networks: the same bits.
#[test]
fn threads_change_nothing() {
    let settings = SelectSettings { seeds: 3, penalties: 3, pairs: 4, controls: 1, ..SelectSettings::default() };
    let of = |threads| {
        let mut dataset = synthetic::redundant(1, 400);
        let device = Device::Cpu { threads };
        let selection = select(&mut dataset, &[], &settings, &device, &mut |_, _| Flow::Continue).unwrap();
        (selection.path, selection.stability, selection.sizes, selection.ranking)
    };
    let (path, stability, sizes, ranking) = of(1);
    for threads in [2, 3] {
        let other = of(threads);
        assert!(path.points == other.0.points && path.kept == other.0.kept, "{threads} threads");
        assert!((&stability, &sizes, &ranking) == (&other.1, &other.2, &other.3), "{threads} threads");
    }
}

/// Three sources with copies among noise: the answer is known.
#[test]
fn redundant_copies_are_found_and_named() {
    let mut dataset = synthetic::redundant(1, 3_000);
    let mut stages = Vec::new();
    let selection = select(&mut dataset, &[], &quick(), &Device::Cpu { threads: 0 }, &mut |stage, _| {
        if stages.last() != Some(&stage) {
            stages.push(stage);
        }
        Flow::Continue
    })
    .unwrap();
    for stage in [Stage::Dense, Stage::Grid, Stage::Path, Stage::Refit, Stage::Stability, Stage::Sizes, Stage::Compact]
    {
        assert!(stages.contains(&stage), "{stage:?} was never shown");
    }
    let chosen: Vec<&str> =
        selection.ranking[..selection.chosen].iter().map(|&u| selection.units[u].name.as_str()).collect();
    for family in ["s0", "s1", "s2"] {
        assert!(chosen.iter().any(|name| name.starts_with(family)), "{family} is missing from {chosen:?}");
    }
    // One of each is enough, and two are tried as well as three.
    assert!(chosen.len() <= 4 && chosen.iter().all(|name| name.starts_with('s')), "{chosen:?}");
    assert!(selection.tells_anything() && selection.constant_answer < 0.6, "{}", selection.constant_answer);
    // Shuffled copies are inputs of the halves' networks too: by lot a half would choose `limit` of the units.
    let stability = &selection.stability;
    assert_eq!((stability.copies.len(), stability.threshold), (stability.share.len().min(30), 0.9));
    let mean = stability.copies.iter().sum::<f64>() / stability.copies.len() as f64;
    assert!(mean < 0.5 * stability.limit as f64 / stability.share.len() as f64, "{:?}", stability.copies);
    for (&u, substitutes) in selection.ranking[..chosen.len()].iter().zip(&selection.substitutes) {
        let family = &selection.units[u].name[..2];
        assert_eq!(substitutes.len(), 3, "each has three relatives");
        assert!(substitutes.iter().all(|s| s.name.starts_with(family) && s.correlation.abs() > 0.9));
    }
    // The path goes from nearly everything to nothing, and its counts fall.
    let kept: Vec<f64> = selection.path.points.iter().map(|p| p.kept).collect();
    assert!(kept[0] > 0.8 * 20.0 && kept[kept.len() - 1] < 6.0, "{kept:?}");
    // 95 % of the labels follow the rule; networks of 900 steps come near.
    assert!(selection.score.mean > 0.85, "{:?}", selection.score);
    let random = &selection.sizes.iter().find(|s| s.k == 2).unwrap();
    assert!(random.best.mean > random.random.unwrap().mean, "two chosen beat two random ones");
    let first = selection.compact.model.network.input_width();
    assert_eq!(first, selection.chosen, "the compact model has the chosen columns alone");
    assert!(selection.reduced.parameters < selection.full.parameters);
}

#[test]
fn groups_are_kept_or_dropped_whole() {
    let mut dataset = synthetic::redundant(2, 1_500);
    let column = |name: &str| dataset.features.iter().position(|f| f.name == name).unwrap();
    let groups = [
        Unit { name: "first".into(), columns: vec![column("s0"), column("s0_copy"), column("noise0")] },
        Unit { name: "dull".into(), columns: vec![column("noise1"), column("noise2")] },
    ];
    let selection =
        select(&mut dataset, &groups, &quick(), &Device::Cpu { threads: 0 }, &mut |_, _| Flow::Continue).unwrap();
    assert_eq!(selection.units.len(), 20 - 3);
    let columns = selection.chosen_columns();
    for group in &groups {
        let inside = group.columns.iter().filter(|c| columns.contains(c)).count();
        assert!(inside == 0 || inside == group.columns.len(), "{} was torn apart: {columns:?}", group.name);
    }
}

/// Three slots go to three sources, not to copies of one; and labels that follow nothing are told.
#[test]
fn so_many_features_and_no_answer_at_all() {
    let device = Device::Cpu { threads: 0 };
    let settings =
        SelectSettings { features: Some(3), seeds: 2, penalties: 6, controls: 1, ..SelectSettings::default() };
    let mut dataset = synthetic::redundant(1, 2_000);
    let selection = select(&mut dataset, &[], &settings, &device, &mut |_, _| Flow::Continue).unwrap();
    let mut families: Vec<&str> = selection.ranking[..3].iter().map(|&u| &selection.units[u].name[..2]).collect();
    families.sort_unstable();
    assert_eq!(families, ["s0", "s1", "s2"]);
    assert!(selection.tells_anything());

    let mut dataset = synthetic::redundant(1, 600);
    let eigenlens::data::Targets::Classes { labels, .. } = &mut dataset.y else { unreachable!() };
    let mut random = eigenlens::random::Random::new(1, 1);
    labels.iter_mut().for_each(|label| *label = random.below(2) as u32);
    let selection = select(&mut dataset, &[], &settings, &device, &mut |_, _| Flow::Continue).unwrap();
    assert!(!selection.tells_anything(), "{:?} against {}", selection.score, selection.constant_answer);
    assert!((0.4..0.6).contains(&selection.constant_answer));
    let summary = eigenlens::report::selection_page::summary(&selection, &dataset);
    assert!(summary.contains("take the choice as chance") && !summary.contains("certain"), "{summary}");
}

#[test]
fn constant_columns_are_left_out_and_named() {
    let mut dataset = synthetic::redundant(3, 800);
    let eigenlens::data::Values::F32(x) = &mut dataset.x else { unreachable!() };
    x.chunks_exact_mut(20).for_each(|row| row[5] = 2.5);
    let selection =
        select(&mut dataset, &[], &quick(), &Device::Cpu { threads: 0 }, &mut |_, _| Flow::Continue).unwrap();
    assert_eq!(selection.constant, ["s1_copy"]);
    assert!(!selection.chosen_columns().contains(&5));
    // Column numbers stay those of the data as they were read.
    let noisy = selection.units.iter().find(|u| u.name == "s1_noisy").unwrap();
    assert_eq!(noisy.columns, [7]);
}

/// Of so few rows some features always fit the labels, on all folds: they were chosen with the rows of every fold. One draw of
/// five may pass by chance (the rule is two standard errors on the validation rows, and a stable feature or the test rows).
#[test]
fn labels_without_meaning_on_few_rows_are_doubted() {
    let mut doubts = Vec::new();
    for draw in 0..5 {
        let mut dataset = synthetic::redundant(draw, 20);
        let eigenlens::data::Targets::Classes { labels, .. } = &mut dataset.y else { unreachable!() };
        let mut random = eigenlens::random::Random::new(draw, 1);
        labels.iter_mut().enumerate().for_each(|(i, label)| *label = i as u32 % 2);
        random.shuffle(labels);
        let device = Device::Cpu { threads: 0 };
        let selection = select(&mut dataset, &[], &quick(), &device, &mut |_, _| Flow::Continue).unwrap();
        let summary = eigenlens::report::selection_page::summary(&selection, &dataset);
        assert_eq!(summary.contains("Not supported: "), selection.doubt.is_some(), "{summary}");
        doubts.push(selection.doubt);
    }
    assert!(doubts.iter().filter(|doubt| doubt.is_none()).count() <= 1, "{doubts:?}");
}

/// Brownlee's stack loss (1965), 21 rows: its folds have means of their own, and a network that uses nothing is known by the constant answer to
/// its own rows.
#[test]
fn folds_of_few_rows_have_constants_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let table = directory.path().join("stackloss.csv");
    let rows = [
        "80,27,89,42",
        "80,27,88,37",
        "75,25,90,37",
        "62,24,87,28",
        "62,22,87,18",
        "62,23,87,18",
        "62,24,93,19",
        "62,24,93,20",
        "58,23,87,15",
        "58,18,80,14",
        "58,18,89,14",
        "58,17,88,13",
        "58,18,82,11",
        "58,19,93,12",
        "50,18,89,8",
        "50,18,86,7",
        "50,19,72,8",
        "50,19,79,8",
        "50,20,80,9",
        "56,20,82,15",
        "70,20,91,15",
    ];
    std::fs::write(&table, format!("air,water,acid,loss\n{}\n", rows.join("\n"))).unwrap();
    for seed in ["0", "5"] {
        let out = directory.path().join(seed);
        let paths = [table.to_str().unwrap(), "--out", out.to_str().unwrap()];
        let options = ["--target", "loss", "--task", "regress", "--seed", seed, "--pairs", "5", "--device", "cpu"];
        let (code, _, error) = eigenlens(&[&["select"], &paths[..], &options[..]].concat());
        assert_eq!(code, 0, "{error}");
        let json = read(&out.join("selection.json"));
        let weakest = &json["path"][0];
        // The constant answer's error is 9.
        let error = weakest["score"].as_f64().unwrap();
        assert!(weakest["kept"].as_f64().unwrap() >= 2.0 && error < 5.0, "{weakest}");
        assert!(json["score"].as_f64().unwrap() < 6.0, "{}", json["score"]);
    }
}

#[test]
fn pairs_of_halves_have_a_limit() {
    let mut dataset = synthetic::redundant(1, 100);
    let settings = SelectSettings { pairs: 1_001, ..quick() };
    let refused = select(&mut dataset, &[], &settings, &Device::Cpu { threads: 0 }, &mut |_, _| Flow::Continue);
    assert!(matches!(refused, Err(Error::Usage(text)) if text.contains("--pairs is 1001; it can be 1000 at most")));
}

#[test]
fn whoever_watches_may_stop_it() {
    let mut dataset = synthetic::redundant(1, 500);
    let stopped = select(&mut dataset, &[], &quick(), &Device::Cpu { threads: 0 }, &mut |stage, _| {
        if stage == Stage::Path { Flow::Stop } else { Flow::Continue }
    });
    assert!(matches!(stopped, Err(Error::Stopped(_))));
    // Once a number of features was tried, what was tried is kept: the same numbers as in a run that nobody stops.
    let device = Device::Cpu { threads: 2 };
    let whole = select(&mut dataset, &[], &quick(), &device, &mut |_, _| Flow::Continue).unwrap();
    let mut trainings = 0;
    let selection = select(&mut dataset, &[], &quick(), &device, &mut |stage, progress| {
        trainings = if stage == Stage::Sizes { progress.epoch } else { trainings };
        if trainings >= 3 { Flow::Stop } else { Flow::Continue }
    })
    .unwrap();
    // Trainings are of both orders, and those under way may end before they hear of it.
    assert!((3..=5).contains(&trainings), "{trainings}");
    assert!(selection.stopped && !whole.stopped && selection.sizes.len() < whole.sizes.len());
    assert!(!selection.sizes.is_empty());
    assert_eq!(selection.order, whole.order);
    // Numbers are tried side by side: a later one may have ended before an earlier one.
    for size in &selection.sizes {
        let same = whole.sizes.iter().find(|s| s.k == size.k).unwrap();
        assert_eq!(size.validation, same.validation, "{} features", size.k);
    }
    assert!(selection.sizes.iter().all(|size| size.random.is_none()));
    assert!(selection.sizes.iter().any(|size| size.k == selection.chosen));
    let summary = eigenlens::report::selection_page::summary(&selection, &dataset);
    assert!(summary.starts_with("Stopped before every number of features was tried."), "{summary}");
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A table of 300 rows with a category that tells the class, a number that helps, a constant and noise.
fn table(directory: &Path) -> String {
    let mut text = String::from("colour,size,constant,noise,class\n");
    let mut random = eigenlens::random::Random::new(5, 0);
    for row in 0..300 {
        let class = row % 2;
        let colour = if random.uniform() < 0.85 { ["red", "blue"][class] } else { "green" };
        let size = class as f64 + random.normal();
        text.push_str(&format!("{colour},{size:.3},7,{:.3},{class}\n", random.normal()));
    }
    let path = directory.join("table.csv");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_command_writes_what_it_promises() {
    let directory = tempfile::tempdir().unwrap();
    let table = table(directory.path());
    let run = |name: &str| {
        let out = directory.path().join(name);
        let (code, text, error) = eigenlens(&[
            "select",
            &table,
            "--target",
            "class",
            "--features",
            "2",
            "--seeds",
            "2",
            "--penalties",
            "4",
            "--device",
            "cpu",
            "--out",
            out.to_str().unwrap(),
        ]);
        assert_eq!(code, 0, "{error}");
        assert!(text.contains("colour") && text.contains("select.html"), "{text}");
        out
    };
    let out = run("a");
    let json = read(&out.join("selection.json"));
    assert_eq!(json["chosen"], serde_json::json!(["colour", "size"]), "{json:#}");
    assert_eq!(json["constant"], serde_json::json!(["constant"]));
    assert!(json["score"].as_f64().unwrap() > 0.8);
    for key in ["score_se", "all_features_score", "stability", "substitutes", "path", "sizes", "columns"] {
        assert!(!json[key].is_null(), "{key} is missing");
    }
    assert_eq!(json["source_columns"], serde_json::json!(["colour", "size"]));
    assert_eq!(json["columns"].as_array().unwrap().len(), 4, "three colours and size");
    assert_eq!(std::fs::read_to_string(out.join("columns.txt")).unwrap(), "colour\nsize\n");
    let settings = &json["settings"];
    let expected = serde_json::json!({ "exact": false, "warm": false, "loss": "ce", "scale": "standard", "batch": 32,
        "activation": "relu", "hidden": [100], "features": 2, "controls": 3, "missing": "refuse", "drop": [],
        "threshold": 0.01, "groups": null, "classes": null });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&settings[key], value, "{key}");
    }
    assert!(settings["epochs"].as_u64().unwrap() > 100, "about 900 steps");
    let point = &json["path"][0];
    assert!(["penalty", "kept", "score", "score_se", "rows_se"].iter().all(|key| point[key].is_number()));
    let relevance = std::fs::read_to_string(out.join("relevance.csv")).unwrap();
    assert!(relevance.starts_with("rank,feature,name,unit,chosen,stability,relevance,relative_relevance,kept_by\n"));
    assert_eq!(relevance.lines().count(), 1 + 3 + 2, "three colours, size and noise");
    let path = std::fs::read_to_string(out.join("path.csv")).unwrap();
    assert!(path.starts_with("penalty,kept,score,score_se,rows_se,test_score,test_score_se,chosen\n"));
    assert_eq!(path.lines().count(), 5);
    let header = std::fs::read_to_string(out.join("path_relevance.csv")).unwrap();
    assert_eq!(header.lines().next().unwrap().split(',').count(), 2 + 4, "a column for each penalty");
    let page = std::fs::read_to_string(out.join("select.html")).unwrap();
    assert!(
        page.contains("substitutes") && page.contains("random one") && page.contains("constant on the training rows")
    );
    assert_eq!(page.matches("<p class=\"lead\">").count(), 5, "five sentences");
    // The compact model reads the whole table and takes its own columns by name.
    let model = out.join("model.safetensors");
    let predictions = directory.path().join("p.csv");
    let (code, _, error) = eigenlens(&[
        "predict",
        model.to_str().unwrap(),
        &table,
        "--device",
        "cpu",
        "--out",
        predictions.to_str().unwrap(),
    ]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(std::fs::read_to_string(predictions).unwrap().lines().count(), 301);
    let again = run("b");
    for file in ["relevance.csv", "path.csv", "columns.txt"] {
        let bytes = |out: &Path| std::fs::read(out.join(file)).unwrap();
        assert!(bytes(&out) == bytes(&again), "{file} differs between two runs");
    }
}

/// Without random draws nothing is said about any; a single feature is spoken of as one; with exact zeros there is no threshold.
#[test]
fn one_feature_and_no_controls() {
    let directory = tempfile::tempdir().unwrap();
    let table = table(directory.path());
    let out = directory.path().join("out");
    let paths = ["select", &table, "--out", out.to_str().unwrap(), "--target", "class", "--device", "cpu"];
    let options =
        ["--features", "1", "--seeds", "2", "--penalties", "3", "--controls", "0", "--epochs", "5", "--exact"];
    let (code, text, error) = eigenlens(&[&paths[..], &options[..], &["--drop", "noise"]].concat());
    assert_eq!(code, 0, "{error}");
    let json = read(&out.join("selection.json"));
    assert!(json["sizes"].as_array().unwrap().iter().all(|size| size["random"].is_null()), "{json:#}");
    let settings = &json["settings"];
    assert!(settings["threshold"].is_null() && settings["exact"] == true && settings["epochs"] == 5, "{settings}");
    assert_eq!((&settings["drop"], &settings["controls"]), (&serde_json::json!(["noise"]), &0.into()));
    let page = std::fs::read_to_string(out.join("select.html")).unwrap();
    assert!(text.contains("1 was chosen") && page.contains("exactly 0"), "{text}");
    assert!(!text.contains("random") && !page.contains("k random") && !page.contains("random feature"), "{text}");
}

/// The chosen pixels are outlined on the picture.
#[test]
fn pixels_are_outlined() {
    let mut dataset = synthetic::redundant(1, 600);
    let axis = |name: &str, len: usize| eigenlens::data::Axis::new(name, len);
    dataset.axes = vec![axis("row", 4), axis("column", 5)];
    let settings = SelectSettings { epochs: Some(5), features: Some(3), controls: 0, ..quick() };
    let selection =
        select(&mut dataset, &[], &settings, &Device::Cpu { threads: 0 }, &mut |_, _| Flow::Continue).unwrap();
    let page = eigenlens::report::selection_page::page(&selection, &dataset, "CPU");
    let page = eigenlens::report::html::render(&page);
    assert!(page.contains("<path class=\"outline\" d=\"M"));
}

/// The compact model takes its own pixels out of whole pictures.
#[test]
fn a_compact_model_reads_whole_pictures() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("few");
    let digits = concat!("idx:", env!("CARGO_MANIFEST_DIR"), "/examples/data/mnist");
    let options = "--classes 0,1 --epochs 1 --seeds 1 --penalties 3 --features 5 --controls 0 --device cpu --json";
    let options: Vec<&str> = options.split(' ').collect();
    let (code, text, error) = eigenlens(&[&["select", digits, "--out", out.to_str().unwrap()], &options[..]].concat());
    assert_eq!(code, 0, "{error}");
    let json: Value = serde_json::from_str(&text).unwrap();
    let model = out.join("model.safetensors");
    let table = directory.path().join("p.csv");
    let paths = ["predict", model.to_str().unwrap(), digits, "--out", table.to_str().unwrap(), "--device", "cpu"];
    let (code, text, error) = eigenlens(&paths);
    assert_eq!(code, 0, "{text}{error}");
    assert!(std::fs::read_to_string(&table).unwrap().lines().count() > 10_000);
    assert!(json["score"].as_f64().unwrap() > 0.9, "five pixels tell 0 from 1: {}", json["score"]);
}

/// Also where the chosen columns of an array are its first ones; an array of another width isn't what they were chosen from.
#[test]
fn a_compact_model_reads_whole_arrays() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let mut random = eigenlens::random::Random::new(8, 0);
    let x: Vec<f32> = (0..600).map(|_| random.normal() as f32).collect();
    let save = |name: &str, columns: usize| {
        let rows = 600 / columns;
        let mut npz = eigenlens::report::npz::Npz::default();
        npz.floats("X", &[rows, columns], x.clone());
        npz.ints("y", &[rows], x.chunks(columns).map(|row| i64::from(row[0] > 0.0)).collect());
        npz.save(path(name).as_ref()).unwrap();
    };
    save("three.npz", 3);
    save("four.npz", 4);
    let (data, out, table) = (path("three.npz"), path("few"), path("p.csv"));
    let options = "--features 1 --epochs 20 --seeds 1 --penalties 3 --controls 0 --device cpu --json";
    let options: Vec<&str> = options.split(' ').collect();
    let (code, text, error) = eigenlens(&[&["select", &data, "--out", &out], &options[..]].concat());
    assert_eq!(code, 0, "{error}");
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["columns"], serde_json::json!([0]));
    let model = path("few/model.safetensors");
    let predict = |data: &str| eigenlens(&["predict", &model, data, "--out", &table, "--device", "cpu"]);
    let (code, text, error) = predict(&data);
    assert_eq!(code, 0, "{text}{error}");
    assert_eq!(std::fs::read_to_string(&table).unwrap().lines().count(), 201);
    let (code, _, error) = predict(&path("four.npz"));
    assert!(code == 1 && error.contains("4 columns"), "{error}");
}

/// Targets are standardised for the training, and errors are told in the target's own units, by its name.
#[test]
fn errors_of_a_number_are_in_its_own_units() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = eigenlens::random::Random::new(6, 0);
    let mut text = String::from("size,noise,price\n");
    for _ in 0..300 {
        let size = random.normal();
        // Around 40,000 with a spread of 3,000, of which 300 can't be known: a mean error of 300·√(2/π) = 239.
        let price = 4e4 + 3e3 * size + 300.0 * random.normal();
        text.push_str(&format!("{size:.4},{:.4},{price:.2}\n", random.normal()));
    }
    let table = directory.path().join("houses.csv");
    std::fs::write(&table, text).unwrap();
    let out = directory.path().join("out");
    let options = ["--target", "price", "--seeds", "2", "--penalties", "4", "--device", "cpu"];
    let paths = [table.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let (code, text, error) = eigenlens(&[&["select"], &paths[..], &options[..]].concat());
    assert_eq!(code, 0, "{error}");
    assert!(error.contains("houses.csv: 2 numbers; target: price (a number)"), "{error}");
    assert!(text.contains("mean absolute error in price of"), "{text}");
    let json = read(&out.join("selection.json"));
    assert_eq!((&json["metric"], &json["target"]), (&"mae".into(), &"price".into()));
    let scores =
        [&json["score"], &json["all_features_score"], &json["path"][0]["score"], &json["sizes"][0]["best"]["mean"]];
    for score in scores {
        assert!((200.0..400.0).contains(&score.as_f64().unwrap()), "{json:#}");
    }
    let page = std::fs::read_to_string(out.join("select.html")).unwrap();
    assert!(page.contains("mean absolute error in price on the test rows"));
    assert!(page.contains("<dt>columns</dt><dd>2 numbers; target: price (a number)</dd>"));
}

#[test]
fn what_makes_no_sense_gets_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let table = table(directory.path());
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let unknown = write("unknown.csv", "feature,group\nsize,a\nweight,a\n");
    let twice = write("twice.csv", "feature,group\nsize,a\nsize,b\n");
    let semicolons = write("semicolons.csv", "\u{feff}group;feature\na;size\nb;size\n");
    let header = write("header.csv", "column,cluster\nsize,a\n");
    let double = write("double.csv", "x,x,class\n1,2,0\n2,3,1\n");
    let lonely = write("lonely.csv", "x,class\n1,a\n2,b\n3,c\n");
    let flat = write(
        "flat.csv",
        "x,z,class\n1,2,0\n1,2,1\n1,2,0\n1,2,1\n1,2,0\n1,2,1\n1,2,0\n1,2,1\n1,2,0\n1,2,1\n1,2,0\n1,2,1\n",
    );
    let out = directory.path().join("out");
    let out = out.to_str().unwrap();
    let single = write("single.csv", &(0..30).fold("x,class\n".to_owned(), |t, i| format!("{t}{},c{i}\n", i % 7)));
    let numbers = write("numbers.csv", &(0..300).fold("x,class\n".to_owned(), |t, i| format!("{t}{},{i}\n", i % 7)));
    let wide = write(
        "wide.csv",
        &(0..40).fold("x,z,class\n".to_owned(), |t, i| format!("{t}{}e37,{},{}\n", i % 5, i % 7, i % 2)),
    );
    let named = write("named.csv", "feature,group\nsize,noise\n");
    let category = write("category.csv", "feature,group\nsize,colour\nnoise,colour\n");
    let cases: [(&str, &[&str], i32, &[&str]); 19] = [
        (&wide, &[], 1, &["wide.csv", "\"x\"", "too much for 32-bit", "divide"]),
        (&table, &["--loss", "mse"], 2, &["--loss mse", "class target", "use ce"]),
        (&table, &["--loss", "ce", "--task", "regress"], 2, &["--loss ce", "numeric target"]),
        (&table, &["--epochs", "0"], 2, &["--epochs is 0"]),
        (&table, &["--groups", &named], 1, &["named.csv", "line 2", "noise", "another name"]),
        (&table, &["--groups", &category], 1, &["category.csv", "line 2", "colour", "another name"]),
        (&single, &[], 1, &["single.csv", "each of the 30 classes has one row", "group the classes"]),
        (&numbers, &["--task", "classify"], 1, &["numbers.csv", "300 classes", "--task regress"]),
        (&table, &["--features", "9"], 2, &["--features is 9", "only 3"]),
        (&table, &["--features", "0"], 2, &["--features is 0"]),
        (&table, &["--seeds", "0"], 2, &["--seeds is 0"]),
        (&table, &["--penalties", "1"], 2, &["--penalties is 1"]),
        (&table, &["--validation", "0"], 2, &["--validation"]),
        (&table, &["--groups", &unknown], 1, &["unknown.csv", "line 3", "weight"]),
        (&table, &["--groups", &twice], 1, &["twice.csv", "line 3", "two groups"]),
        (&table, &["--groups", &semicolons], 1, &["semicolons.csv", "line 3", "two groups"]),
        (&table, &["--groups", &header], 1, &["header.csv", "line 1"]),
        (&double, &[], 1, &["double.csv", "x"]),
        (&flat, &[], 1, &["flat.csv", "constant"]),
    ];
    for (data, options, exit, parts) in cases {
        let mut arguments = vec!["select", data, "--target", "class", "--device", "cpu", "--out", out];
        arguments.extend(options);
        let (code, text, error) = eigenlens(&arguments);
        assert_eq!(code, exit, "{arguments:?}: {text}{error}");
        for part in parts {
            assert!(error.contains(part), "{arguments:?}: {part} is missing from {error}");
        }
        // Beside what the table's columns were taken for.
        let sentences = error.trim_end().lines().filter(|line| !line.contains("; target: ")).count();
        assert_eq!(sentences, 1, "{arguments:?}: {error}");
        assert!(!Path::new(out).exists(), "{arguments:?}: left a directory");
    }
    // Said before the data are read.
    for option in [["--seeds", "0"], ["--penalties", "1"], ["--features", "0"], ["--epochs", "0"]] {
        let missing = ["select", "no-such.csv", "--target", "class", "--device", "cpu", "--out", out];
        let (code, _, error) = eigenlens(&[&missing[..], &option[..]].concat());
        assert!(code == 2 && error.contains(option[0]), "{error}");
    }
    let (code, _, error) = eigenlens(&["select", &lonely, "--target", "class", "--device", "cpu", "--out", out]);
    assert!(code == 1 && error.contains("each of the 3 classes has one row"), "{code}: {error}");
    if cfg!(target_os = "linux") {
        let (code, _, error) = eigenlens(&["select", &table, "--target", "class", "--device", "cpu", "--out", "/proc"]);
        assert!(code == 1 && error.contains("cannot write to /proc"), "{code}: {error}");
    }
}

/// Four noisy copies of each of three sources, a constant and a category that one of them decides: one copy of each says what all the
/// others say, and the compact model gives all of them back from these in their own units.
#[test]
fn few_inputs_that_say_what_the_others_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut random = crate::samples::Random(99);
    let mut normal =
        || (0..12).map(|_| f64::from(random.below(1 << 20) as u32) / f64::from(1 << 20)).sum::<f64>() - 6.0;
    let mut table = String::from("a0,b0,c0,a1,b1,c1,same,a2,b2,c2,a3,b3,c3,kind\n");
    for _ in 0..500 {
        let sources = [normal(), normal(), normal()];
        let mut cells: Vec<String> =
            (0..12).map(|i| (1000.0 + 50.0 * (sources[i % 3] + 0.1 * normal())).to_string()).collect();
        cells.insert(6, "5".into());
        cells.push(if sources[0] > 0.0 { "up" } else { "down" }.into());
        table.push_str(&(cells.join(",") + "\n"));
    }
    std::fs::write(path("table.csv"), table).unwrap();
    let out = path("out");
    let few = ["--features", "3", "--seeds", "3", "--penalties", "8", "--pairs", "5", "--device", "cpu", "--out", &out];
    let (code, text, err) = eigenlens(&[&["select", &path("table.csv"), "--task", "autoencode"][..], &few].concat());
    assert_eq!(code, 0, "{err}");
    let json: Value = serde_json::from_slice(&std::fs::read(format!("{out}/selection.json")).unwrap()).unwrap();
    let mut families: Vec<char> =
        json["chosen"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().chars().next().unwrap()).collect();
    families.sort_unstable();
    assert_eq!(families, ['a', 'b', 'c'], "{text}");
    assert_eq!(json["target"], "the inputs themselves");
    // A copy says another up to √(2/101) of its deviation, whose mean size is √(2/π) of that; the category costs a little more.
    let score = json["score"].as_f64().unwrap();
    assert!(score < 0.25 && json["constant_answer_score"].as_f64().unwrap() > 0.7, "{score}\n{text}");
    let model = format!("{out}/model.safetensors");
    let (code, _, err) =
        eigenlens(&["predict", &model, &path("table.csv"), "--device", "cpu", "--out", &path("p.csv")]);
    assert_eq!(code, 0, "{err}");
    let given = std::fs::read_to_string(path("p.csv")).unwrap();
    let (header, first) = (given.lines().next().unwrap(), given.lines().nth(1).unwrap());
    assert!(!header.contains("same") && header.contains("a3"), "{header}");
    let numbers: Vec<f64> = first.split(',').filter_map(|cell| cell.parse().ok()).collect();
    assert!(numbers.iter().filter(|x| (700.0..1300.0).contains(*x)).count() >= 12, "not in the inputs' units: {first}");
}
