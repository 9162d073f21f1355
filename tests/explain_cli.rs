//! `explain`, `similarity`, `inspect` and `reproduce` as scripts see them.

use std::fs;

use eigenlens::Model;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::program::{eigenlens, stderr};

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
        let rows = ["--rows", "3,10..14", "--split", split, "--output", output, "--components", "3"];
        let arguments = ["explain", &model, &data, "--out", &out, "--device", "cpu"];
        let done = eigenlens(&[arguments.as_slice(), &rows].concat());
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
            // By feature it is the same output: slopes times inputs, and the intercepts as the base.
            let by_feature = number(&e["base"]) + e["parts"].as_array().unwrap().iter().map(number).sum::<f64>();
            assert!((by_feature - y).abs() < 1e-5 * y.abs().max(1.0), "{by_feature} is not {y}");
            let lengths = ["features", "values", "parts"].map(|key| e[key].as_array().unwrap().len());
            assert!(lengths[0] > 0 && lengths.iter().all(|&n| n == lengths[0]));
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
        assert!(fs::read_to_string(format!("{out}/explain.html")).unwrap().contains("Row 10"));
    }
    check_maps(&out);
}

/// An array of maps.npz: its shape and its values.
fn array(out: &str, name: &str) -> (Vec<usize>, Vec<f32>) {
    crate::common::npz::read(format!("{out}/maps.npz"), name)
}

/// The maps add up to the contributions, array by array.
fn check_maps(out: &str) {
    let list = explanations(out);
    let read = |name: &str| array(out, name);
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
    let cases: [(&[&str], &str, i32); 20] = [
        (&["--split", "input"], "identity; there are dense1", 2),
        (&["--rows", "4294967295"], "200 rows", 2),
        (&["--rows", "0..99999999999999999999"], "200 rows", 2),
        (&["--rows", "test:99999999999999999999"], "how many", 2),
        (&["--components", "18446744073709551615"], "GiB", 2),
        (&["--components", "9223372036854775808"], "GiB", 2),
        (&["--split", "dense9"], "dense1, activation1, dense2", 2),
        (&["--rows", "5000"], "200 rows", 2),
        (&["--rows", "5..5"], "5..5", 2),
        (&["--rows", "many"], "many", 2),
        (&["--output", "2"], "0 to 1", 2),
        (&["--output", "1-1"], "always zero", 2),
        (&["--output", "maybe"], "no, yes", 2),
        (&["--reduce", "half"], "pro-rata", 2),
        (&["--axis", "channel"], "feature", 2),
        (&["--components", "0"], "1 at least", 2),
        (&["--replica", "3"], "0 to 0", 2),
        (&["--memory", "0"], "MiB, 1 or more", 2),
        (&["--budget=-1"], "minutes, more than 0", 2),
        (&["--budget", "nan"], "minutes, more than 0", 2),
    ];
    for (extra, expected, code) in cases {
        let mut arguments = vec!["explain", &model, &data, "--out", &out, "--device", "cpu"];
        arguments.extend(extra);
        let done = eigenlens(&arguments);
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(code), "{extra:?}: {said}");
        assert!(said.contains(expected), "{extra:?}: {said}");
        assert!(!said.contains("panicked"), "{extra:?}: {said}");
        // What can't be parsed at all gets two lines on usage more.
        assert!(said.starts_with("error:") || said.trim_end().lines().count() == 1, "{extra:?}: {said}");
        assert!(!fs::exists(&out).unwrap(), "{extra:?}: nothing is made for a request that is refused");
    }
    let alike: [(&[&str], &str); 6] = [
        (&["--components", "0"], "12000 vectors"),
        (&["--components", "9223372036854775808"], "12000 vectors"),
        (&["--components", "18446744073709551615"], "12000 vectors"),
        (&["--split", "all"], "name one"),
        (&["--split", "dense9"], "dense1, activation1, dense2"),
        (&["--rows", "200"], "200 rows"),
    ];
    for (extra, expected) in alike {
        let done = eigenlens(&[&["similarity", &model, &data, "--out", &out, "--device", "cpu"], extra].concat());
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{extra:?}: {said}");
        assert!(said.contains(expected) && !said.contains("panicked"), "{extra:?}: {said}");
        assert!(!fs::exists(&out).unwrap(), "{extra:?}: nothing is made for a request that is refused");
    }
    // As much memory as one likes: the same as what is formed anyhow.
    let done = eigenlens(&[
        "explain",
        &model,
        &data,
        "--out",
        &out,
        "--rows",
        "0..2",
        "--memory",
        "17592186044416",
        "--device",
        "cpu",
    ]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(explanations(&out).iter().all(|e| e.get("bounds").is_none()), "R was formed");
    fs::remove_dir_all(&out).unwrap();
    let narrow = place.path().join("narrow.csv").to_str().unwrap().to_owned();
    fs::write(&narrow, "a,b,y\n1,2,yes\n3,4,no\n").unwrap();
    let done = eigenlens(&["explain", &model, &narrow, "--out", &out, "--device", "cpu"]);
    assert_eq!(done.status.code(), Some(1), "{}", stderr(&done));
    let done = eigenlens(&["predict", &model, &narrow, "--out", &out, "--device", "cpu"]);
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
    let archive = format!("{out}/similarity.npz");
    let (shape, matrix) = crate::common::npz::read::<f32>(&archive, "similarity");
    assert_eq!(shape, [2, 20, 2, 20]);
    let regions = crate::common::npz::read::<i64>(&archive, "region").1;
    let k = crate::common::npz::read::<i64>(&archive, "k").1;
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
        // Two epochs of 80 pictures teach little, but the pictures' mean is learnt, and more so on what was seen.
        let (train, test) = (number(&network["train_r2"]), number(&network["test_r2"]));
        assert!(train.is_finite() && test < 1.0 && (train - test).abs() < 1.0, "{network}");
        let live = number(&network["live_code_units"]);
        assert!((1.0..=8.0).contains(&live), "{network}");
        let list = |key: &str| network[key].as_array().unwrap().iter().map(number).collect::<Vec<f64>>();
        let (decay, energy) = (list("decay"), list("energy"));
        assert_eq!((decay.len(), energy.len(), list("c").len()), (8, 8, 8));
        // The code has 8 units, so the operator has a rank of 8 at most, and 8 components have all of its energy.
        assert!((1.0..=8.0).contains(&number(&network["rank"])), "{network}");
        assert!((decay[0] - 1.0).abs() < 1e-12 && decay.windows(2).all(|w| w[0] >= w[1]), "{network}");
        assert!((energy[7] - 1.0).abs() < 1e-9 && energy.windows(2).all(|w| w[0] <= w[1] + 1e-12), "{network}");
        let first = decay[0] / decay.iter().map(|d| d * d).sum::<f64>();
        // Means over rows of shares: near what the mean spectrum has.
        assert!((energy[0] - first).abs() < 0.2, "{network}");
        assert!(list("c").iter().all(|&c| c >= 0.0) && number(&network["operator_norm"]) > 0.0, "{network}");
    }
    for part in ["uncentred", "centred"] {
        let list = |key: &str| numbers[part][key].as_array().unwrap().iter().map(number).collect::<Vec<f64>>();
        let (decay, energy) = (list("decay"), list("energy"));
        assert!(decay[0] == 1.0 && decay.windows(2).all(|w| w[0] >= w[1]) && decay[7] > 0.0, "{part}");
        // 80 pictures are far more than 8 directions.
        assert!(energy.windows(2).all(|w| w[0] < w[1]) && energy[7] < 1.0, "{part}");
    }
    // The mean picture is most of an uncentred one: it falls faster.
    assert!(number(&numbers["uncentred"]["decay"][1]) < number(&numbers["centred"]["decay"][1]));
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

/// A copy of a model with its first layer's ψ multiplied.
fn scaled(model: &str, factor: f64) -> String {
    let mut changed = Model::load(model).unwrap();
    let layout = eigenlens::network::Layout::new(&changed.network);
    let psi = layout.find(1, "psi").unwrap();
    let values: Vec<f64> = changed.parameters[0].get(psi).iter().map(|x| x * factor).collect();
    changed.parameters[0].set(psi, &values);
    let path = model.replace("model.", "scaled.");
    changed.save(&path).unwrap();
    path
}

/// A copy of a model whose units have 10⁷ more, which the outputs take off again.
fn cancelling(model: &str) -> String {
    let mut changed = Model::load(model).unwrap();
    let layout = eigenlens::network::Layout::new(&changed.network);
    let last = |name: &str| layout.tensors.iter().rfind(|tensor| tensor.name == name).unwrap();
    let first = layout.find(1, "bias").unwrap();
    let parameters = &mut changed.parameters[0];
    let units: Vec<f64> = parameters.get(first).iter().map(|bias| bias + 1e7).collect();
    parameters.set(first, &units);
    let weight = parameters.get(last("weight"));
    let outputs = parameters.get(last("bias")).into_iter().zip(weight.chunks(units.len()));
    let outputs: Vec<f64> = outputs.map(|(bias, row)| bias - 1e7 * row.iter().sum::<f64>()).collect();
    parameters.set(last("bias"), &outputs);
    let path = model.replace("model.", "cancelling.");
    changed.save(&path).unwrap();
    path
}

#[test]
fn what_does_not_add_up_is_refused_everywhere() {
    let (place, data, model) = trained(&["--hidden", "6", "--scale", "none"]);
    let (out, large) = (place.path().join("out").to_str().unwrap().to_owned(), scaled(&model, 1e25));
    let huge = place.path().join("huge.csv").to_str().unwrap().to_owned();
    let text = fs::read_to_string(&data).unwrap();
    let rows = text.lines().skip(1).map(|row| {
        let cells: Vec<&str> = row.split(',').collect();
        format!("{}e30,{}e30,{}e30,{}e30,{}\n", cells[0], cells[1], cells[2], cells[3], cells[4])
    });
    fs::write(&huge, format!("a,b,c,d,y\n{}", rows.collect::<String>())).unwrap();
    for command in ["explain", "similarity"] {
        let done = eigenlens(&[command, &large, &huge, "--out", &out, "--rows", "3..9", "--device", "cpu"]);
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(1), "{command}: {said}");
        assert!(said.contains("row 3: the network's output is no finite number there"), "{command}: {said}");
        assert!(said.contains("try --device cpu64"), "{command}: {said}");
    }
    // In f64 it adds up, to numbers that maps.npz can't hold.
    let done = eigenlens(&["explain", &large, &huge, "--out", &out, "--rows", "3..9", "--device", "cpu64"]);
    assert_eq!(done.status.code(), Some(1), "{}", stderr(&done));
    assert!(stderr(&done).contains("beyond f32"), "{}", stderr(&done));
    assert!(!fs::exists(format!("{out}/maps.npz")).unwrap());
    // Intercepts that cancel to ten millionths of themselves: more than single precision has.
    let cancelling = cancelling(&model);
    for command in ["explain", "similarity"] {
        let explain =
            |device| eigenlens(&[command, &cancelling, &data, "--out", &out, "--rows", "3..9", "--device", device]);
        let done = explain("cpu");
        assert_eq!(done.status.code(), Some(1), "{command}: {}", stderr(&done));
        let said = stderr(&done);
        assert!(said.contains("row 3 split at activation1") && said.contains("doesn't add up"), "{command}: {said}");
        assert!(explain("cpu64").status.success(), "{command}");
    }
}

#[test]
fn vectors_that_are_not_there_are_like_nothing() {
    let (place, data, model) = trained(&["--hidden", "6"]);
    let out = place.path().join("alike").to_str().unwrap().to_owned();
    let mut dead = Model::load(&model).unwrap();
    let layout = eigenlens::network::Layout::new(&dead.network);
    dead.parameters[0].set(layout.find(1, "bias").unwrap(), &[-1e3; 6]);
    let path = place.path().join("dead.safetensors").to_str().unwrap().to_owned();
    dead.save(&path).unwrap();
    let means = |model: &str, components: &str| {
        let done = eigenlens(&[
            "similarity",
            model,
            &data,
            "--out",
            &out,
            "--rows",
            "0..9",
            "--components",
            components,
            "--device",
            "cpu",
            "--json",
        ]);
        assert!(done.status.success(), "{}", stderr(&done));
        let said: Value = serde_json::from_slice(&done.stdout).unwrap();
        said["mean_similarity"].as_array().unwrap().clone()
    };
    assert_eq!(means(&path, "2"), [Value::Null, Value::Null]);
    // Four inputs have four vectors at most.
    let six = means(&model, "6");
    assert!(six[0].is_f64() && six[4].is_null() && six[5].is_null(), "{six:?}");
    let matrix = crate::common::npz::read::<f32>(format!("{out}/similarity.npz"), "similarity").1;
    assert!(matrix[0] > 0.999 && matrix.last().unwrap().is_nan());
    assert!(!fs::read_to_string(format!("{out}/similarity.html")).unwrap().contains(">NaN"));
}

#[test]
fn the_page_tells_what_was_done() {
    let (place, data, model) = trained(&["--hidden", "8,8", "--residual"]);
    let out = place.path().join("why").to_str().unwrap().to_owned();
    let cases: [(&[&str], &str, &[&str]); 6] = [
        (&[], "added pairwise", &["bypass", "remainder"]),
        (&["--reduce", "pro-rata"], "pro rata", &["pairwise"]),
        (&["--reduce", "top:2"], "only the 2 of largest magnitude", &["pairwise"]),
        (&["--reduce", "quantile:0.5"], "quantile 0.5", &["pairwise"]),
        (
            &["--reduce", "none", "--split", "activation2"],
            "J<sub>by</sub>",
            &["pairwise", "remainder", "is left after"],
        ),
        (&["--form", "top", "--components", "2"], "Large singular values need not be", &["bypass"]),
    ];
    for (extra, told, untold) in cases {
        let arguments = ["explain", &model, &data, "--out", &out, "--rows", "0..3", "--device", "cpu"];
        let done = eigenlens(&[&arguments, extra].concat());
        assert!(done.status.success(), "{extra:?}: {}", stderr(&done));
        let page = fs::read_to_string(format!("{out}/explain.html")).unwrap();
        assert!(page.contains(told) && page.contains("(a cluster)"), "{extra:?}");
        for word in untold {
            // Not even where nothing was left over or went around.
            assert!(!page.contains(word), "{extra:?}: {word}");
        }
        for setting in ["reduce", "components", "memory"] {
            assert!(page.contains(&format!("<dt>{setting}</dt>")), "{extra:?}: {setting}");
        }
        assert_eq!(page.matches("Ranking and explanations").count(), 1, "one heading");
        assert!(
            !page.contains("−0.0\u{202f}%") && !String::from_utf8_lossy(&done.stdout).contains("-0.0 %"),
            "{extra:?}"
        );
    }
    let arguments = ["similarity", &model, &data, "--split", "activation1", "--out", &out, "--rows", "0..3"];
    assert!(eigenlens(&[&arguments[..], &["--device", "cpu"]].concat()).status.success());
    let page = fs::read_to_string(format!("{out}/similarity.html")).unwrap();
    assert!(page.contains("How to read this") && !page.contains("pairwise") && !page.contains("shares"));
}

#[test]
fn a_prediction_is_told_in_its_units() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (data, run, why) = (path("prices.csv"), path("run"), path("why"));
    let rows = (0..200u32).map(|i| format!("{},{},{}\n", i * 37 % 100, i * 7919 % 100, 1000 + 25 * (i * 37 % 100)));
    fs::write(&data, format!("x,noise,price\n{}", rows.collect::<String>())).unwrap();
    let done = eigenlens(&[
        "train", &data, "--target", "price", "--out", &run, "--hidden", "8", "--epochs", "20", "--device", "cpu",
    ]);
    assert!(done.status.success(), "{}", stderr(&done));
    let (model, table) = (format!("{run}/model.safetensors"), path("p.csv"));
    assert!(eigenlens(&["predict", &model, &data, "--out", &table, "--device", "cpu"]).status.success());
    let done = eigenlens(&["explain", &model, &data, "--out", &why, "--rows", "0..4", "--device", "cpu"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let predicted = fs::read_to_string(&table).unwrap();
    for (e, line) in explanations(&why).iter().zip(predicted.lines().skip(1)) {
        let predicted: f64 = line.split(',').nth(1).unwrap().parse().unwrap();
        // y itself is some standard deviations; the price has six digits in f32.
        assert!((number(&e["prediction"]) - predicted).abs() < 1e-2 && number(&e["y"]).abs() < 5.0, "{e} {line}");
    }
    assert!(String::from_utf8_lossy(&done.stdout).contains("in the target's units"));
    let page = fs::read_to_string(format!("{why}/explain.html")).unwrap();
    assert!(page.contains("in the target&#39;s units") && page.contains("standard deviations"));
}

/// A table whose answer is a sum that we know: every feature's part is what it adds, a category's columns together, in the answer's
/// units; few rows are spread from the smallest answer to the largest.
#[test]
fn features_add_what_they_add() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (data, run, why) = (path("prices.csv"), path("run"), path("why"));
    let colours = [("red", 0), ("blue", 300), ("green", 900)];
    let row = |i: u32| {
        let (size, noise, (colour, extra)) = (i * 37 % 100, i * 7919 % 101, colours[(i * 31 % 7 % 3) as usize]);
        format!("{size}.1,{noise},{colour},{}\n", 1000 + 25 * size + extra)
    };
    fs::write(&data, format!("size,noise,colour,price\n{}", (0..300).map(row).collect::<String>())).unwrap();
    let done = eigenlens(&[
        "train",
        &data,
        "--target",
        "price",
        "--out",
        &run,
        "--hidden",
        "8",
        "--activation",
        "identity",
        "--epochs",
        "400",
        "--reg-lambda",
        "0",
        "--reg-psi",
        "0",
        "--device",
        "cpu",
    ]);
    assert!(done.status.success(), "{}", stderr(&done));
    let model = format!("{run}/model.safetensors");
    let explain = |more: &[&str]| {
        let arguments = ["explain", &model, &data, "--out", &why, "--device", "cpu"];
        eigenlens(&[arguments.as_slice(), more].concat())
    };
    let done = explain(&["--rows", "all", "--top", "2", "--output", "price"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let list = explanations(&why);
    let texts = |value: &Value| value.as_array().unwrap().iter().map(Value::to_string).collect::<Vec<_>>();
    let part = |e: &Value, at: usize| number(&e["parts"][at]);
    for e in &list {
        assert_eq!(texts(&e["features"]), ["\"size\"", "\"noise\"", "\"colour\""]);
        let prediction = number(&e["prediction"]);
        let sum = number(&e["base"]) + (0..3).map(|at| part(e, at)).sum::<f64>();
        // Prices of some thousands in f32, each sum of five terms.
        assert!((sum - prediction).abs() < 0.01, "{sum} is not {prediction}");
        let size = e["row"].as_u64().unwrap() * 37 % 100;
        assert_eq!(e["values"][0].to_string(), format!("{size}.1"), "as it stands in the file");
        let first = &list[0];
        // The training ends where the price is right to about ten; between two rows a feature's part differs by what it adds.
        let sizes = number(&e["values"][0]) - number(&first["values"][0]);
        assert!((part(e, 0) - part(first, 0) - 25.0 * sizes).abs() < 40.0, "{e}");
        let extra = |e: &Value| f64::from(colours.iter().find(|c| e["values"][2] == c.0).expect("a colour by name").1);
        assert!((part(e, 2) - part(first, 2) - (extra(e) - extra(first))).abs() < 40.0, "{e}");
        assert!((part(e, 1) - part(first, 1)).abs() < 40.0, "{e}");
    }
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains("size = ") && said.contains("colour = green") && said.contains("1 more feature "), "{said}");
    assert!(said.contains("more in explanations.json"), "{said}");
    let page = fs::read_to_string(format!("{why}/explain.html")).unwrap();
    assert!(page.contains("the first 12 of 300") && page.contains("What each feature adds"));
    let (shape, parts) = array(&why, "parts");
    assert_eq!((shape, array(&why, "base").0), (vec![300, 3], vec![300]));
    // Parts of some thousands in f32.
    assert!((f64::from(parts[0]) - part(&list[0], 0)).abs() < 1e-3);

    assert!(explain(&["--rows", "all:3"]).status.success());
    let answers: Vec<f64> = explanations(&why).iter().map(|e| e["label"].as_str().unwrap().parse().unwrap()).collect();
    let (low, high) = answers.iter().fold((f64::MAX, 0.0f64), |(low, high), &a| (low.min(a), high.max(a)));
    assert!(answers.len() == 3 && low < 2100.0 && high > 3000.0, "{answers:?}");
    let done = explain(&["--output", "cost"]);
    assert!(done.status.code() == Some(2) && stderr(&done).contains("price"), "{}", stderr(&done));
}

#[test]
fn an_autoencoder_knows_its_own_digits() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (run, why) = (path("run"), path("why"));
    let mnist = concat!("idx:", env!("CARGO_MANIFEST_DIR"), "/examples/data/mnist");
    let what = ["--task", "autoencode", "--classes", "0,1", "--hidden", "4", "--epochs", "1"];
    let done = eigenlens(&[["train", mnist, "--out", &run, "--device", "cpu"].as_slice(), &what].concat());
    assert!(done.status.success(), "{}", stderr(&done));
    let model = format!("{run}/model.safetensors");
    let done = eigenlens(&["explain", &model, mnist, "--out", &why, "--rows", "test:3", "--device", "cpu"]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(!stderr(&done).contains("not what the model was trained on"), "{}", stderr(&done));
    // 12,665 training digits are a 0 or a 1; the test files follow.
    assert!(explanations(&why).iter().all(|e| e["row"].as_u64().unwrap() >= 12_665));
    // Files from before the classes were stored are read as ever.
    let mut old = Model::load(&model).unwrap();
    assert_eq!(old.description.classes.take(), Some(vec!["0".to_owned(), "1".to_owned()]));
    let mut json = serde_json::to_value(&old.description).unwrap();
    json.as_object_mut().unwrap().remove("classes");
    assert_eq!(serde_json::from_value::<eigenlens::model::Description>(json).unwrap(), old.description);
}
