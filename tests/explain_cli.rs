//! `explain`, `similarity`, `inspect` and `reproduce` as scripts see them.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn eigenlens(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eigenlens")).args(arguments).output().expect("the program starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("stderr is text")
}

/// A trained model of a small table, with residual block and batch norm; its directory.
fn trained(extra: &[&str]) -> (TempDir, String, String) {
    let place = tempfile::tempdir().expect("a temporary directory");
    let data = place.path().join("table.csv").to_str().unwrap().to_owned();
    let mut text = String::from("a,b,c,d,y\n");
    for i in 0..200u32 {
        let x: Vec<f64> = (0..4u32).map(|k| f64::from((i * 7919 + k * 104_729) % 1000) / 500.0 - 1.0).collect();
        let class = if x[0] + x[1] * x[2] > 0.1 { "yes" } else { "no" };
        text.push_str(&format!("{},{},{},{},{class}\n", x[0], x[1], x[2], x[3]));
    }
    fs::write(&data, text).unwrap();
    let out = place.path().join("run").to_str().unwrap().to_owned();
    let mut arguments = vec!["train", &data, "--target", "y", "--out", &out, "--epochs", "30", "--device", "cpu"];
    arguments.extend(extra);
    let output = eigenlens(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let model = format!("{out}/model.safetensors");
    (place, data, model)
}

fn explanations(directory: &str) -> Vec<Value> {
    serde_json::from_str(&fs::read_to_string(format!("{directory}/explanations.json")).unwrap()).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}

fn sum(values: &Value, key: &str) -> f64 {
    values.as_array().unwrap().iter().map(|v| number(&v[key])).sum()
}

#[test]
fn explanations_add_up_in_the_files() {
    let (place, data, model) =
        trained(&["--hidden", "12,12", "--residual", "--batch-norm", "first", "--activation", "tanh,relu"]);
    let out = place.path().join("why").to_str().unwrap().to_owned();
    for (split, output, cut) in [("activation1", "predicted", true), ("activation2", "0-1", false), ("all", "1", true)]
    {
        let done = eigenlens(&[
            "explain",
            &model,
            &data,
            "--out",
            &out,
            "--rows",
            "3,10..14",
            "--split",
            split,
            "--output",
            output,
            "--components",
            "3",
            "--device",
            "cpu",
        ]);
        assert!(done.status.success(), "{}", stderr(&done));
        let list = explanations(&out);
        let splits = list.len() / 5;
        assert_eq!(list.len() % 5, 0);
        assert_eq!(splits > 1, split == "all");
        let rows: Vec<u64> = list.iter().step_by(splits).map(|e| e["row"].as_u64().unwrap()).collect();
        assert_eq!(rows, [3, 10, 11, 12, 13]);
        for e in &list {
            let total = sum(&e["contributions"], "alpha")
                + sum(&e["intercepts"], "beta")
                + number(&e["remainder"])
                + number(&e["bypass"]);
            let y = number(&e["y"]);
            // f32 sums of terms of order 1.
            assert!((total - y).abs() < 1e-5 * y.abs().max(1.0), "{total} is not {y}");
            assert!(number(&e["residual"]) < 1e-5);
            assert_eq!(e["is_cut"], Value::Bool(cut));
            let shares: Vec<f64> =
                e["contributions"].as_array().unwrap().iter().filter_map(|c| c["share"].as_f64()).collect();
            assert!(shares.is_empty() || (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
        if split != "all" {
            assert_eq!(list[0]["split"], split);
            // Inside a residual block something goes around.
            assert_eq!(list.iter().all(|e| number(&e["bypass"]) == 0.0), cut);
        }
        assert!(fs::read_to_string(format!("{out}/report.html")).unwrap().contains("Row 10"));
    }
    check_maps(&out);
}

/// The maps add up to the contributions, array by array.
fn check_maps(out: &str) {
    let list = explanations(out);
    let file = fs::File::open(format!("{out}/maps.npz")).unwrap();
    let mut archive = npyz::npz::NpzArchive::new(std::io::BufReader::new(file)).unwrap();
    let mut read = |name: &str| {
        let array = archive.by_name(name).unwrap().unwrap_or_else(|| panic!("no {name}"));
        let shape: Vec<usize> = array.shape().iter().map(|&n| n as usize).collect();
        (shape, array.into_vec::<f32>().unwrap())
    };
    for (index, e) in list.iter().enumerate() {
        let splits = list.len() / 5;
        let (shape, maps) = read(&format!("A_{}", e["split"].as_str().unwrap()));
        assert_eq!(shape, [5, 3, 4]);
        for (k, c) in e["contributions"].as_array().unwrap().iter().take(3).enumerate() {
            let map = &maps[(index / splits * 3 + k) * 4..][..4];
            let total: f32 = map.iter().sum();
            assert!((f64::from(total) - number(&c["alpha"])).abs() < 1e-5, "{map:?} {c}");
        }
        let (shape, rest) = read(&format!("A_rest_{}", e["split"].as_str().unwrap()));
        assert_eq!(shape, [5, 4]);
        // Everything but the intercepts is slope times input.
        let kept: f64 = maps[index / splits * 12..][..12].iter().map(|&x| f64::from(x)).sum();
        let whole = kept + rest[index / splits * 4..][..4].iter().map(|&x| f64::from(x)).sum::<f64>();
        assert!((whole + sum(&e["intercepts"], "beta") - number(&e["y"])).abs() < 1e-4, "{}", e["split"]);
    }
}

#[test]
fn the_same_on_every_engine() {
    let (place, data, model) = trained(&["--hidden", "10,6"]);
    let mut all = Vec::new();
    for device in ["cpu", "cpu64", "gpu"] {
        let out = place.path().join(device).to_str().unwrap().to_owned();
        let done = eigenlens(&[
            "explain", &model, &data, "--out", &out, "--rows", "0..6", "--split", "all", "--device", device,
        ]);
        assert!(done.status.success(), "{}", stderr(&done));
        all.push(explanations(&out));
    }
    for other in &all[1..] {
        for (a, b) in all[0].iter().zip(other) {
            assert_eq!(a["rank"], b["rank"], "{} {}", a["row"], a["split"]);
            assert!((number(&a["y"]) - number(&b["y"])).abs() < 1e-5);
            let size: f64 = a["contributions"].as_array().unwrap().iter().map(|c| number(&c["alpha"]).abs()).sum();
            for (x, y) in a["contributions"].as_array().unwrap().iter().zip(b["contributions"].as_array().unwrap()) {
                // Small singular values stand close together, so that their vectors are less certain.
                if number(&x["sigma"]) > 1e-2 * number(&a["contributions"][0]["sigma"]) {
                    assert!((number(&x["alpha"]) - number(&y["alpha"])).abs() <= 1e-3 * size, "{x} {y}");
                }
            }
        }
    }
}

#[test]
fn wrong_requests_get_one_sentence() {
    let (place, data, model) = trained(&["--hidden", "6"]);
    let out = place.path().join("why").to_str().unwrap().to_owned();
    let cases: [(&[&str], &str, i32); 11] = [
        (&["--split", "dense9"], "dense1, activation1, dense2", 2),
        (&["--rows", "5000"], "200 rows", 2),
        (&["--rows", "5..5"], "5..5", 2),
        (&["--rows", "many"], "many", 2),
        (&["--output", "2"], "0 to 1", 2),
        (&["--output", "1-1"], "always zero", 2),
        (&["--output", "yes"], "predicted", 2),
        (&["--reduce", "half"], "pro-rata", 2),
        (&["--axis", "channel"], "feature", 2),
        (&["--components", "0"], "1 at least", 2),
        (&["--replica", "3"], "0 to 0", 2),
    ];
    for (extra, expected, code) in cases {
        let mut arguments = vec!["explain", &model, &data, "--out", &out, "--device", "cpu"];
        arguments.extend(extra);
        let done = eigenlens(&arguments);
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(code), "{extra:?}: {said}");
        assert!(said.contains(expected), "{extra:?}: {said}");
        assert!(!said.contains("panicked"), "{extra:?}: {said}");
    }
    let narrow = place.path().join("narrow.csv").to_str().unwrap().to_owned();
    fs::write(&narrow, "a,b,y\n1,2,yes\n3,4,no\n").unwrap();
    let done = eigenlens(&["explain", &model, &narrow, "--out", &out, "--device", "cpu"]);
    assert_eq!(done.status.code(), Some(1), "{}", stderr(&done));
    assert!(!fs::exists(format!("{out}/explanations.json")).unwrap(), "nothing is half-written");
}

#[test]
fn inspect_names_the_cuts() {
    let (_place, _, model) = trained(&["--hidden", "8,8", "--residual"]);
    let done = eigenlens(&["inspect", &model, "--json"]);
    let graph: Value = serde_json::from_slice(&done.stdout).unwrap();
    let cut = |name: &str| {
        let nodes = graph["nodes"].as_array().unwrap();
        nodes.iter().find(|n| n["name"] == name).unwrap_or_else(|| panic!("no {name}"))["cut"] == true
    };
    assert!(cut("activation1") && cut("add1") && cut("dense3"));
    assert!(!cut("dense2") && !cut("activation2"));
}

#[test]
fn similar_rows_share_their_vectors() {
    let (place, data, model) = trained(&["--hidden", "8"]);
    let out = place.path().join("alike").to_str().unwrap().to_owned();
    let done = eigenlens(&[
        "similarity",
        &model,
        &data,
        "--split",
        "activation1",
        "--out",
        &out,
        "--rows",
        "0..20",
        "--components",
        "2",
        "--device",
        "cpu",
        "--json",
    ]);
    assert!(done.status.success(), "{}", stderr(&done));
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(said["rows"], 20);
    let file = fs::File::open(format!("{out}/similarity.npz")).unwrap();
    let mut archive = npyz::npz::NpzArchive::new(std::io::BufReader::new(file)).unwrap();
    let matrix = archive.by_name("similarity").unwrap().unwrap();
    assert_eq!(matrix.shape(), [2, 20, 2, 20]);
    let matrix: Vec<f32> = matrix.into_vec().unwrap();
    let regions: Vec<i64> = archive.by_name("region").unwrap().unwrap().into_vec().unwrap();
    let k: Vec<i64> = archive.by_name("k").unwrap().unwrap().into_vec().unwrap();
    for i in 0..20 {
        assert!((matrix[i * 40 + i] - 1.0).abs() < 1e-5, "a vector is like itself");
        for j in 0..20 {
            assert!((matrix[i * 40 + j] - matrix[j * 40 + i]).abs() < 1e-6);
            // One region is one operator.
            if regions[i] == regions[j] && k[i] == k[j] {
                assert!(matrix[i * 40 + j] > 0.9999, "rows {i} and {j}: {}", matrix[i * 40 + j]);
            }
        }
    }
}

#[test]
fn squares_from_data_to_page() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().to_str().unwrap();
    let done = eigenlens(&[
        "reproduce",
        "rotated-squares",
        "--out",
        out,
        "--rows",
        "100",
        "--seeds",
        "1",
        "--epochs",
        "2",
        "--hidden",
        "16",
        "--device",
        "cpu",
    ]);
    assert!(done.status.success(), "{}", stderr(&done));
    let numbers: Value =
        serde_json::from_str(&fs::read_to_string(format!("{out}/rotated_squares.json")).unwrap()).unwrap();
    let networks = numbers["networks"].as_array().unwrap();
    assert_eq!(networks.len(), 3);
    for network in networks {
        // y = J x̃ + Σβ, as pictures of f32 sums over 4096 pixels.
        assert!(number(&network["residual"]) < 1e-5, "{network}");
        assert_eq!(network["bias"] == "none", number(&network["bias_norm"]) == 0.0);
    }
    assert!(fs::read_to_string(format!("{out}/report.html")).unwrap().contains("figure 8"));
}

#[test]
fn the_test_rows_are_those_of_the_training() {
    let place = tempfile::tempdir().unwrap();
    let run = place.path().join("run").to_str().unwrap().to_owned();
    let mnist = concat!("idx:", env!("CARGO_MANIFEST_DIR"), "/examples/data/mnist");
    let done = eigenlens(&["train", mnist, "--classes", "0,1", "--epochs", "2", "--out", &run, "--device", "cpu"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let why = place.path().join("why").to_str().unwrap().to_owned();
    let model = format!("{run}/model.safetensors");
    let done = eigenlens(&["explain", &model, mnist, "--out", &why, "--rows", "test:5", "--device", "cpu"]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(!stderr(&done).contains("not what the model was trained on"), "{}", stderr(&done));
    for e in explanations(&why) {
        // 12,665 training digits are a 0 or a 1; the test files follow.
        assert!(e["row"].as_u64().unwrap() >= 12_665, "{e}");
        assert!(e["label"] == "0" || e["label"] == "1", "{e}");
    }
}
