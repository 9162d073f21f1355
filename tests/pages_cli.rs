//! What pages of real commands show: pictures in colour, cells that were missing.

use std::fs;

use eigenlens::random::Random;
use npyz::WriterBuilder;

use crate::common::program::{Place, eigenlens, refused, stderr, stdout, table, train};

fn run(arguments: &[&str]) -> (String, String) {
    let output = eigenlens(&[arguments, &["--device", "cpu"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    (stdout(&output), stderr(&output))
}

/// Pictures `[rows, channels, height, width]` whose class is in the blue channel of one pixel.
fn pictures(path: &str) {
    let (rows, shape) = (120, [3, 6, 5]);
    let mut random = Random::new(3, 0);
    let mut npz = crate::common::npz::NpzWriter::create(path);
    let mut x: Vec<u8> = Vec::new();
    let labels: Vec<i64> = (0..rows).map(|r| r % 2).collect();
    for &label in &labels {
        let from = x.len();
        x.extend((0..shape.iter().product::<usize>()).map(|_| random.below(256) as u8));
        // Channel 2, row 4, column 1.
        x[from + 2 * 30 + 4 * 5 + 1] = if label == 1 { 230 } else { 20 };
    }
    let shape: Vec<u64> = [rows as u64].into_iter().chain(shape.map(|n| n as u64)).collect();
    let mut writer = npz.array::<u8>("X").default_dtype().shape(&shape).begin_nd().unwrap();
    writer.extend(x).unwrap();
    writer.finish().unwrap();
    let mut writer = npz.array::<i64>("y").default_dtype().shape(&[rows as u64]).begin_nd().unwrap();
    writer.extend(labels).unwrap();
    writer.finish().unwrap();
}

#[test]
fn pictures_are_seen_in_colour() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (data, out, why) = (path("arrays.npz"), path("run"), path("why"));
    pictures(&data);
    let (text, said) = run(&["train", &data, "--out", &out, "--epochs", "40", "--hidden", "20"]);
    assert!(said.contains("arrays.npz: pictures of 6 rows × 5 columns with 3 channels (first)"), "{said}");
    assert!(text.contains("r4c1ch2"), "{text}");
    let page = fs::read_to_string(format!("{out}/report.html")).unwrap();
    assert!(page.contains("viewBox=\"0 0 5 6\"") && page.contains("its 3 channels together"), "drawn by pixel");
    let model = format!("{out}/model.safetensors");
    run(&["explain", &model, &data, "--out", &why, "--rows", "0,1"]);
    let page = fs::read_to_string(format!("{why}/explain.html")).unwrap();
    assert!(page.contains("viewBox=\"0 0 5 6\"") && page.contains("A pixel shows the sum over its channels."));
    let first = fs::read_to_string(format!("{why}/explanations.json")).unwrap();
    assert!(first.contains("r4c1ch2"));
}

/// A missing cell is computed with as the training rows' mean, and never shown as if it had been there.
#[test]
fn missing_cells_are_called_so() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (data, out, why) = (path("table.csv"), path("run"), path("why"));
    let mut random = Random::new(1, 0);
    let mut text = String::from("a,b,kind,y\n");
    for i in 0..120 {
        let (a, b) = (random.normal(), random.normal());
        let kind = if i == 4 {
            ""
        } else if i % 2 == 0 {
            "x"
        } else {
            "z"
        };
        let y = 2.0 * a + b + if i % 2 == 0 { 1.0 } else { 0.0 };
        let a = if i % 3 == 0 { "NA".into() } else { format!("{a:.3}") };
        text.push_str(&format!("{a},{b:.3},{kind},{y:.3}\n"));
    }
    fs::write(&data, text).unwrap();
    run(&["train", &data, "--target", "y", "--missing", "mean", "--out", &out, "--folds", "0", "--epochs", "40"]);
    let page = fs::read_to_string(format!("{out}/report.html")).unwrap();
    assert!(page.contains("<td>missing</td>") || page.contains(">missing<"), "the examples' table says so");
    let model = format!("{out}/model.safetensors");
    let (text, _) = run(&["explain", &model, &data, "--out", &why, "--rows", "0..6", "--missing", "mean"]);
    assert!(text.contains("a = missing") && text.contains("kind = missing"), "{text}");
    let list: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(format!("{why}/explanations.json")).unwrap()).unwrap();
    for (i, e) in list.as_array().unwrap().iter().enumerate() {
        let at = e["features"].as_array().unwrap().iter().position(|f| f == "a").unwrap();
        assert_eq!(e["values"][at].is_null(), i % 3 == 0, "row {i}: {}", e["values"]);
        let at = e["features"].as_array().unwrap().iter().position(|f| f == "kind").unwrap();
        assert_eq!(e["values"][at].is_null(), i == 4, "row {i}: {}", e["values"]);
    }
    assert!(fs::read_to_string(format!("{why}/explain.html")).unwrap().contains("a = missing"));
}

/// Several numbers are explained one by one, each with a page of its own; the pages of a folder lead to each other; rows have names.
#[test]
fn two_targets_and_named_rows() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (data, out) = (path("arrays.npz"), path("run"));
    let mut random = Random::new(5, 0);
    let x: Vec<f32> = (0..300).map(|_| random.normal() as f32).collect();
    let y: Vec<f32> = x.chunks_exact(3).flat_map(|r| [2.0 * r[0], 10.0 - r[1]]).collect();
    let mut npz = crate::common::npz::NpzWriter::create(&data);
    for (name, values, columns) in [("X", &x, 3), ("y", &y, 2)] {
        let options = npz.array::<f32>(name);
        let mut writer = options.default_dtype().shape(&[100, columns]).begin_nd().unwrap();
        writer.extend(values.iter().copied()).unwrap();
        writer.finish().unwrap();
    }
    drop(npz);
    run(&["train", &data, "--out", &out, "--epochs", "60", "--hidden", "20"]);
    let model = format!("{out}/model.safetensors");
    run(&["curve", &model, &data, "--out", &out]);
    let (text, _) = run(&["explain", &model, &data, "--out", &out, "--rows", "0..4"]);
    assert!(text.contains(": y0 = ") && text.contains(": y1 = "), "{text}");
    let list: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(format!("{out}/explanations.json")).unwrap()).unwrap();
    let outputs: Vec<&str> = list.as_array().unwrap().iter().map(|e| e["output_name"].as_str().unwrap()).collect();
    assert_eq!(outputs, ["y0", "y0", "y0", "y0", "y1", "y1", "y1", "y1"]);
    for e in list.as_array().unwrap() {
        let parts: f64 = e["parts"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).sum();
        let (sum, prediction) = (e["base"].as_f64().unwrap() + parts, e["prediction"].as_f64().unwrap());
        // f32 sums of a few terms of order 10.
        assert!((sum - prediction).abs() < 1e-4, "{sum} is not {prediction}");
    }
    let links = |page: &str| {
        let page = fs::read_to_string(format!("{out}/{page}.html")).unwrap();
        let from = page.find("<nav").unwrap();
        page[from..page[from..].find("</nav>").unwrap() + from].matches("href=").count()
    };
    for page in ["report", "curve", "explain-y0", "explain-y1"] {
        assert_eq!(links(page), 3, "{page} leads to the others");
    }
    assert!(fs::exists(format!("{out}/maps-y0.npz")).unwrap() && !fs::exists(format!("{out}/explain.html")).unwrap());
    // One by name has the plain files' names, and a training anew takes those of the model before away.
    let (text, _) = run(&["explain", &model, &data, "--out", &path("one"), "--rows", "0", "--output", "y1"]);
    assert!(text.contains("y1 = ") && !text.contains("y0 = ") && fs::exists(path("one/explain.html")).unwrap());
    run(&["train", &data, "--out", &out, "--epochs", "5", "--hidden", "20"]);
    assert!(
        !fs::exists(format!("{out}/explain-y0.html")).unwrap() && !fs::exists(format!("{out}/maps-y1.npz")).unwrap()
    );

    let (table, out) = (path("table.csv"), path("named"));
    let rows =
        |from: usize| (from..from + 60).map(|i| format!("s{i},{}.5,{}\n", i % 7, 2 * (i % 7))).collect::<String>();
    fs::write(&table, format!("sample,a,y\n{}", rows(0))).unwrap();
    run(&[
        "train", &table, "--target", "y", "--task", "regress", "--drop", "sample", "--out", &out, "--folds", "0",
        "--epochs", "5",
    ]);
    fs::write(
        &table,
        format!(
            "sample,a\n{}",
            rows(100).lines().map(|l| format!("{}\n", l.rsplit_once(',').unwrap().0)).collect::<String>()
        ),
    )
    .unwrap();
    let model = format!("{out}/model.safetensors");
    let (text, _) = run(&["predict", &model, &table, "--out", "-", "--id", "sample"]);
    let first: Vec<&str> = text.lines().take(3).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(first, ["sample", "s100", "s101"]);
    let wrong = eigenlens(&["predict", &model, &table, "--out", "-", "--id", "name"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        stderr(&wrong).contains("there is no column \"name\"; name one that is there: sample, a"),
        "{}",
        stderr(&wrong)
    );
}

/// After one epoch a constant column still has its initial weight; it ranks last all the same, with relevance 0.
#[test]
fn a_constant_column_never_ranks() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (data, out) = (path("table.csv"), path("run"));
    let mut random = Random::new(2, 0);
    let rows: String = (0..80).map(|_| random.normal()).map(|a| format!("7,{a:.3},{:.3}\n", 2.0 * a)).collect();
    fs::write(&data, format!("flat,a,y\n{rows}")).unwrap();
    let (text, _) =
        run(&["train", &data, "--target", "y", "--out", &out, "--folds", "0", "--epochs", "1", "--scale", "none"]);
    assert!(text.contains("Of 2 inputs (1 of them constant), 1 carry") || text.contains("not supported"), "{text}");
    let table = fs::read_to_string(format!("{out}/relevance.csv")).unwrap();
    let last: Vec<&str> = table.lines().nth(2).unwrap().split(',').collect();
    assert_eq!((last[2], last[5]), ("flat", "0.0"), "{table}");
}

/// What is about one model and what is about another don't stand in one folder.
#[test]
fn a_folder_is_about_one_model() {
    let place = Place::new();
    let data = place.write("data.csv", table());
    let (one, other) = (place.text("one"), place.text("other"));
    for (out, seed) in [(&one, "0"), (&other, "1")] {
        assert!(train(&data, out, &["--target", "class", "--seed", seed]).status.success());
    }
    let model = format!("{one}/model.safetensors");
    for command in ["explain", "similarity", "curve"] {
        let output = eigenlens(&[command, &model, &data, "--out", &other, "--device", "cpu"]);
        refused(&output, 2, &["another model", "other"]);
        assert!(!place.path("other").join(format!("{command}.html")).exists());
        let output = eigenlens(&[command, &model, &data, "--out", &one, "--device", "cpu"]);
        assert!(output.status.success(), "{}", stderr(&output));
    }
}
