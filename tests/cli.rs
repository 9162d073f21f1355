//! The command line as scripts see it: what it writes, what it says about bad input, and what a kill leaves behind.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use eigenlens::Model;
use eigenlens::assess::Tuning;

use crate::common::program::{Place, eigenlens, refused, stderr, stdout, table, train};

#[test]
fn a_table_goes_all_the_way() {
    let place = Place::new();
    let (data, out) = (place.write("table.csv", table()), place.text("run"));
    let trained = train(&data, &out, &["--target", "class", "--replicas", "3"]);
    assert!(trained.status.success(), "{}", stderr(&trained));
    assert!(stdout(&trained).contains("report.html"));
    let relevance = fs::read_to_string(place.path("run/relevance.csv")).unwrap();
    let mut lines = relevance.lines();
    assert_eq!(lines.next(), Some("rank,feature,name,lambda,psi_norm,relevance,relevance_std,relevance_times_std"));
    let names: Vec<&str> = lines.map(|l| l.split(',').nth(2).unwrap()).collect();
    assert_eq!(names.len(), 6, "three numbers and three categories: {names:?}");
    assert_eq!(names[0], "a");
    assert!(names[1].starts_with("kind="), "{names:?}");
    let metrics: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(place.path("run/metrics.json")).unwrap()).unwrap();
    for key in ["task", "engine", "adapter", "seconds", "steps", "replicas", "train", "test", "verdict", "assessment"] {
        assert!(!metrics[key].is_null(), "{key} is in {metrics}");
    }
    assert!(metrics["test"]["accuracy"].as_f64().unwrap() > 0.85, "{metrics}");
    assert_eq!(metrics["verdict"], "supported");
    let parts: Vec<_> = metrics["assessment"]["parts"].as_array().unwrap().iter().map(|p| p[0].clone()).collect();
    assert_eq!(parts, ["train", "cross-validation", "test"]);
    assert!(stdout(&trained).starts_with("On 240 rows that it hadn't seen: accuracy "), "{}", stdout(&trained));
    assert!(fs::read_to_string(place.path("run/history.csv")).unwrap().lines().count() == 61);
    assert!(fs::read_to_string(place.path("run/report.html")).unwrap().contains("</html>"));

    let model = place.text("run/model.safetensors");
    let rank = eigenlens(&["rank", &model, "--top", "2", "--json"]);
    let rank: serde_json::Value = serde_json::from_str(&stdout(&rank)).unwrap();
    assert_eq!(rank["ranking"][0]["name"], "a");
    assert_eq!(rank["ranking"][0]["relevance_times_std"], rank["ranking"][0]["relevance"], "inputs are standardised");
    assert_eq!(rank["ranking"].as_array().unwrap().len(), 2);

    let curve = eigenlens(&["curve", &model, &data, "--out", &out, "--retrain", "--device", "cpu"]);
    assert!(curve.status.success(), "{}", stderr(&curve));
    let curve = fs::read_to_string(place.path("run/curve.csv")).unwrap();
    assert_eq!(curve.lines().next(), Some("k,ranked,random_mean,random_std,retrained"));
    let last: Vec<&str> = curve.lines().last().unwrap().split(',').collect();
    assert!(last[0] == "6" && last[4].parse::<f64>().unwrap() > 0.8, "{curve}");

    // Without the target, and with the columns in another order.
    let mut shuffled = String::from("kind,c,extra,a,b\n");
    for line in table().lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        shuffled.push_str(&format!("{},{},9,{},{}\n", cells[3], cells[2], cells[0], cells[1]));
    }
    let (same, other) = (place.text("same.csv"), place.text("other.csv"));
    let shuffled = place.write("shuffled.csv", shuffled);
    for (data, out) in [(&data, &same), (&shuffled, &other)] {
        let predicted = eigenlens(&["predict", &model, data, "--out", out, "--device", "cpu"]);
        assert!(predicted.status.success(), "{}", stderr(&predicted));
    }
    let predictions = fs::read_to_string(&same).unwrap();
    assert_eq!(predictions.lines().next(), Some("row,predicted,no,yes"));
    let logits = eigenlens(&["predict", &model, &data, "--out", "-", "--logits", "--device", "cpu"]);
    let logits = stdout(&logits);
    assert_eq!(logits.lines().next(), Some("row,no,yes"));
    for (answer, logits) in predictions.lines().zip(logits.lines()).skip(1) {
        let (answer, logits): (Vec<&str>, Vec<&str>) = (answer.split(',').collect(), logits.split(',').collect());
        let number = |text: &str| text.parse::<f64>().unwrap();
        let difference = number(logits[2]) - number(logits[1]);
        // Probabilities are written as f32.
        assert!((number(answer[3]) - 1.0 / (1.0 + (-difference).exp())).abs() < 1e-6, "{answer:?} {logits:?}");
        assert!((number(answer[2]) + number(answer[3]) - 1.0).abs() < 1e-6);
        assert_eq!(answer[1], if difference > 0.0 { "yes" } else { "no" });
    }
    assert_eq!(predictions.lines().count(), 241);
    assert_eq!(predictions, fs::read_to_string(&other).unwrap(), "columns are found by name");

    // A category that the model never saw counts as none of its own, and that is said.
    let strange = place.write("strange.csv", "a,b,c,kind\n1,0,0,granite\n");
    let predicted = eigenlens(&["predict", &model, &strange, "--out", &other, "--device", "cpu"]);
    assert!(predicted.status.success() && stderr(&predicted).contains("granite"), "{}", stderr(&predicted));
}

#[test]
fn dropped_columns_are_not_asked_for_again() {
    let place = Place::new();
    let numbered: String = table()
        .lines()
        .enumerate()
        .map(|(i, line)| format!("{},{line}\n", if i == 0 { "id".into() } else { format!("n{i}") }))
        .collect();
    let (data, out) = (place.write("numbered.csv", numbered), place.text("run"));
    let trained = train(&data, &out, &["--target", "class", "--drop", "id,b"]);
    assert!(trained.status.success(), "{}", stderr(&trained));
    let model = place.text("run/model.safetensors");
    let names: Vec<String> =
        Model::load(&model).unwrap().description.features.into_iter().map(|feature| feature.name).collect();
    assert_eq!(names, ["a", "c", "kind=blue", "kind=green", "kind=red"]);
    let curve = eigenlens(&["curve", &model, &data, "--out", &out, "--device", "cpu"]);
    assert!(curve.status.success() && stderr(&curve).is_empty(), "known as the data trained on: {}", stderr(&curve));
    let plain = place.write("plain.csv", table());
    let predicted = eigenlens(&["predict", &model, &plain, "--out", &place.text("p.csv"), "--device", "cpu"]);
    assert!(predicted.status.success(), "{}", stderr(&predicted));
    let unknown = train(&data, &out, &["--target", "class", "--drop", "identifier"]);
    refused(&unknown, 1, &["numbered.csv", "\"identifier\"", "id, a, b, c, kind, class"]);
    refused(&train(&data, &out, &["--target", "class", "--drop", "class"]), 2, &["--drop", "class", "target"]);
}

#[test]
fn the_same_command_gives_the_same_bytes() {
    let place = Place::new();
    let data = place.write("table.csv", table());
    let runs = ["one", "two"].map(|name| {
        let out = place.text(name);
        assert!(train(&data, &out, &["--target", "class", "--dropout", "0.2", "--seed", "4"]).status.success());
        fs::read(Path::new(&out).join("relevance.csv")).unwrap()
    });
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn regression_is_reported_in_the_targets_units() {
    let place = Place::new();
    let mut text = String::from("x,noise,price\n");
    for i in 0..200u32 {
        let x = f64::from(i * 37 % 100) / 10.0;
        text.push_str(&format!("{x},{},{}\n", f64::from(i * 7919 % 100), 1000.0 + 250.0 * x));
    }
    let (data, out) = (place.write("prices.csv", text), place.text("run"));
    let trained = train(&data, &out, &["--target", "price", "--json", "--epochs", "300"]);
    assert!(trained.status.success(), "{}", stderr(&trained));
    let metrics: serde_json::Value = serde_json::from_str(&stdout(&trained)).unwrap();
    assert_eq!(metrics["task"], "regress");
    // The prices' standard deviation is 722: the error is in their units, and small.
    let mae = metrics["test"]["mae"].as_f64().unwrap();
    assert!(mae > 0.5 && mae < 150.0, "{metrics}");
    assert!(metrics["test"]["r2"].as_f64().unwrap() > 0.95, "{metrics}");
    let predictions = place.text("p.csv");
    let model = place.text("run/model.safetensors");
    assert!(eigenlens(&["predict", &model, &data, "--out", &predictions, "--device", "cpu"]).status.success());
    let first: f64 =
        fs::read_to_string(predictions).unwrap().lines().nth(1).unwrap().split(',').nth(1).unwrap().parse().unwrap();
    assert!((first - 1000.0).abs() < 400.0, "the first price is 1000, predicted {first}");
}

/// Tables get their penalties by cross-validation, or by their rows where that is too dear or not wanted, unless the user chooses one;
/// everything else keeps the paper's. The model tells.
#[test]
fn default_penalties_depend_on_a_tables_rows() {
    let place = Place::new();
    let (data, pictures) = (place.write("table.csv", table()), digits(&place, 100));
    let (table, out) = (["--target", "class", "--epochs", "1"], place.text("run"));
    type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str], (f64, f64));
    let cases: [Case; 5] = [
        (&data, &table, &["--folds", "0"], (1.9, 1.9e-2)),
        (&data, &table, &["--validation", "0.1"], (1.9, 1.9e-2)),
        (&data, &table, &["--reg-lambda", "0.5"], (0.5, 1e-4)),
        (&data, &table, &["--reg-psi", "0"], (1e-2, 0.0)),
        (&pictures, &["--epochs", "1"], &[], (1e-2, 1e-4)),
    ];
    for (data, base, chosen, penalties) in cases {
        let trained = train(data, &out, &[base, chosen].concat());
        assert!(trained.status.success(), "{}", stderr(&trained));
        let replica = Model::load(place.path("run/model.safetensors")).unwrap().description.settings.replicas[0];
        assert_eq!((replica.reg_lambda, replica.reg_psi), penalties, "{chosen:?}");
    }
    for chosen in [&[][..], &["--folds", "3"]] {
        let trained = train(&data, &out, &[&table, chosen].concat());
        assert!(trained.status.success(), "{}", stderr(&trained));
        let d = Model::load(place.path("run/model.safetensors")).unwrap().description;
        let used = (d.settings.replicas[0].reg_lambda, d.settings.replicas[0].reg_psi);
        assert!(Tuning::default().penalties.contains(&used), "{used:?}");
        assert_eq!((d.architecture.hidden, d.validation), (vec![16], 0.0));
    }
}

#[test]
fn wrong_options_are_refused() {
    let place = Place::new();
    let (data, out) = (place.write("table.csv", table()), place.text("run"));
    let with = |more: &[&str]| train(&data, &out, &[&["--target", "class"], more].concat());
    for units in ["0", "-1", "8,99999999999", "8,"] {
        let output = with(&["--hidden", units]);
        assert_eq!(output.status.code(), Some(2), "{units}");
        assert!(
            stderr(&output).contains("for '--hidden <N,N,…>': a layer has 1 to 16777216 units"),
            "{}",
            stderr(&output)
        );
    }
    refused(&with(&["--hidden", "1000000,1000000"]), 1, &["memory", "smaller network"]);
    refused(&with(&["--threads", "100000"]), 2, &["--threads", "1024"]);
    refused(&with(&["--early-stop", "0"]), 2, &["--early-stop", "above 0"]);
    refused(&with(&["--early-stop", "2", "--validation", "0"]), 2, &["--early-stop", "--validation"]);
    refused(&with(&["--loss", "mse"]), 2, &["--loss mse", "ce"]);
    refused(&with(&["--epochs", "0"]), 2, &["--epochs", "above 0"]);
    refused(&with(&["--lr=-1"]), 2, &["--lr", "above 0"]);
    refused(&with(&["--activation", "relu,tanh"]), 2, &["--activation", "1 hidden"]);
    refused(&with(&["--validation", "0.6", "--test", "0.5"]), 2, &["--validation", "below 1"]);
    refused(&with(&["--folds", "1"]), 2, &["--folds is 1", "2 to 192"]);
    refused(&with(&["--folds", "193"]), 2, &["--folds is 193", "2 to 192"]);
    refused(&with(&["--folds", "5", "--reg-psi", "0.1"]), 2, &["--folds 5", "--reg-psi", "one of them"]);
    refused(&with(&["--dropout", "1.5"]), 2, &["--dropout", "below 1"]);
    refused(&with(&["--train", "psi,phi"]), 2, &["--train", "phi", "lambda_in"]);
    refused(&with(&["--classes", "yes,maybe"]), 2, &["maybe", "no, yes"]);
    refused(&with(&["--classes", "no,no"]), 2, &["--classes", "no twice", "once"]);
    let unknown = eigenlens(&["train", &data, "--out", &out, "--target", "class", "--device", "no such adapter"]);
    refused(&unknown, 1, &["no such adapter", "adapters seen", "--device cpu"]);
    refused(&eigenlens(&["train", "table.xls", "--out", &out]), 2, &["table.xls", ".csv"]);
    let usage = eigenlens(&["train", &data]);
    assert_eq!(usage.status.code(), Some(2), "clap's own errors are usage too");
    assert!(!place.path("run/model.safetensors").exists(), "nothing was written");
}

#[test]
fn a_batch_larger_than_the_data_is_one_batch() {
    let place = Place::new();
    let (data, out) = (place.write("table.csv", table()), place.text("run"));
    let trained = train(&data, &out, &["--target", "class", "--batch", "100000", "--json"]);
    assert!(trained.status.success(), "{}", stderr(&trained));
    let metrics: serde_json::Value = serde_json::from_str(&stdout(&trained)).unwrap();
    assert_eq!(metrics["steps"], 60, "one step an epoch");
}

#[test]
fn an_unwritable_place_is_named_before_training() {
    let place = Place::new();
    let data = place.write("table.csv", table());
    let file = place.write("file", "not a directory");
    refused(&train(&data, &format!("{file}/run"), &["--target", "class"]), 1, &["file/run", "create the directory"]);
}

/// Trains a small model and returns its path.
fn model(place: &Place) -> String {
    let data = place.write("table.csv", table());
    let out = place.text("run");
    assert!(train(&data, &out, &["--target", "class"]).status.success());
    place.text("run/model.safetensors")
}

#[test]
fn a_model_and_data_that_do_not_fit_are_refused() {
    let place = Place::new();
    let model = model(&place);
    let narrow = place.write("narrow.csv", "a,b,class\n1,2,yes\n2,3,no\n");
    let out = place.text("out");
    refused(&eigenlens(&["curve", &model, &narrow, "--out", &out, "--device", "cpu"]), 1, &["narrow.csv", "\"c\""]);
    let digits = concat!("idx:", env!("CARGO_MANIFEST_DIR"), "/examples/data/mnist");
    let file = place.text("p.csv");
    refused(&eigenlens(&["predict", &model, digits, "--out", &file, "--device", "cpu"]), 1, &["784 columns", "6"]);
    assert!(!Path::new(&file).exists());
}

#[test]
fn broken_model_files_are_refused() {
    let place = Place::new();
    let whole = fs::read(model(&place)).unwrap();
    let header_len = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(whole[8..8 + header_len].to_vec()).unwrap();
    let with_header =
        |header: &str| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &whole[8 + header_len..]].concat();
    let mut cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("truncated in the header", whole[..100].to_vec()),
        ("truncated in the tensors", whole[..whole.len() - 10].to_vec()),
        ("a huge header", [&u64::MAX.to_le_bytes()[..], &whole[8..]].concat()),
        ("a header as long as the memory", [&(1u64 << 40).to_le_bytes()[..], &whole[8..]].concat()),
        ("no JSON", with_header("{\"dense1.psi\": nonsense")),
        ("another format", with_header(&header.replace("eigenlens-model-1", "eigenlens-model-9"))),
        ("a missing tensor", with_header(&header.replace("dense1.psi", "dense9.psi"))),
        ("a network of impossible width", with_header(&header.replace("\\\"units\\\":16", "\\\"units\\\":16000000"))),
        (
            "a width that overflows",
            with_header(&header.replace("\\\"units\\\":16", "\\\"units\\\":18446744073709551615")),
        ),
        ("features that don't fit", with_header(&header.replace("{\\\"name\\\":\\\"a\\\",\\\"group\\\":null},", ""))),
    ];
    // Every hundredth byte of the header flipped: whatever comes of it, no panic.
    let mut flipped = whole.clone();
    (8..8 + header_len).step_by(100).for_each(|i| flipped[i] ^= 0x15);
    cases.push(("flipped bytes", flipped));
    for (name, bytes) in cases {
        let path = place.write("broken.safetensors", bytes);
        let output = eigenlens(&["rank", &path]);
        assert!(!stderr(&output).contains("panicked"), "{name}: {}", stderr(&output));
        refused(&output, 1, &["broken.safetensors", "eigenlens train"]);
    }
    // A node type that this version doesn't have is named, and what there is.
    let path = place.write(
        "newer.safetensors",
        with_header(&header.replace("\\\"type\\\":\\\"activation\\\"", "\\\"type\\\":\\\"conv2d\\\"")),
    );
    refused(&eigenlens(&["rank", &path]), 1, &["node activation1 of type conv2d", "`dense`", "`batch-norm`"]);
    refused(&eigenlens(&["rank", &place.text("nowhere.safetensors")]), 1, &["nowhere.safetensors", "cannot read"]);
}

/// A training that would take minutes, started and left running.
fn long_training(place: &Place, out: &str) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_eigenlens"))
        .args(["train", "gaussian", "--out", out, "--epochs", "100000", "--device", "cpu", "--hidden", "8"])
        .stdout(Stdio::piped())
        .stderr(fs::File::create(place.path("stderr")).expect("a file for stderr"))
        .spawn()
        .expect("the program starts")
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_what_is_trained() {
    let place = Place::new();
    let out = place.text("run");
    let child = long_training(&place, &out);
    std::thread::sleep(Duration::from_millis(1500));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", fs::read_to_string(place.path("stderr")).unwrap());
    assert!(stdout(&output).contains("Stopped early"), "{}", stdout(&output));
    let model = Model::load(place.path("run/model.safetensors")).unwrap();
    assert!(model.description.steps > 0);
    assert!(fs::read_to_string(place.path("run/metrics.json")).unwrap().contains("\"stopped\": true"));
}

/// Steps of some ten seconds: the first signal waits for one, the second doesn't.
#[cfg(unix)]
#[test]
fn a_second_signal_ends_the_program_at_once() {
    let place = Place::new();
    for signals in [["-INT", "-INT"], ["-TERM", "-INT"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_eigenlens"))
            .args(["train", "gaussian", "--out", &place.text("run"), "--device", "cpu"])
            .args(["--hidden", "4000,4000", "--batch", "20000"])
            .stdout(Stdio::piped())
            .stderr(fs::File::create(place.path("stderr")).expect("a file for stderr"))
            .spawn()
            .expect("the program starts");
        let signal = |name: &str| {
            assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success())
        };
        std::thread::sleep(Duration::from_millis(2500));
        signal(signals[0]);
        std::thread::sleep(Duration::from_millis(300));
        assert!(fs::read_to_string(place.path("stderr")).unwrap().contains("again to quit at once"));
        signal(signals[1]);
        let clock = std::time::Instant::now();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(clock.elapsed() < Duration::from_secs(2), "{:?}", clock.elapsed());
        assert!(!place.path("run/model.safetensors").exists());
    }
}

/// The program is killed at many moments while it writes a model of some size; what stands there is always whole.
#[cfg(unix)]
#[test]
fn a_kill_leaves_the_old_file_or_the_new_one() {
    let place = Place::new();
    let out = place.text("run");
    let command = |epochs: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eigenlens"));
        command.args(["train", "gaussian", "--out", &out, "--epochs", epochs, "--device", "cpu"]);
        command
            .args(["--hidden", "4", "--batch", "100000", "--replicas", "2"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    let clock = std::time::Instant::now();
    assert!(command("1").status().unwrap().success());
    let whole = clock.elapsed();
    for i in 0..12 {
        let mut child = command("2").spawn().unwrap();
        // The writing is at the end of the run.
        std::thread::sleep(whole.mul_f64(0.6 + 0.05 * f64::from(i)));
        let _ = child.kill();
        let _ = child.wait();
        let model = Model::load(place.path("run/model.safetensors")).unwrap();
        assert_eq!(model.parameters.len(), 2);
    }
}

#[test]
fn adapters_are_listed_as_text_and_json() {
    let output = eigenlens(&["adapters", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(value["auto"].is_string() && value["cpu"]["threads"].as_u64().unwrap() > 0);
    assert!(stdout(&eigenlens(&["adapters"])).contains("--device auto takes"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    let model = model(&place);
    let mut child = Command::new(env!("CARGO_BIN_EXE_eigenlens"))
        .args(["rank", &model])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!stderr(&output).contains("panicked"));
    assert!(output.status.success());
}

#[test]
fn a_truncated_gz_is_named() {
    let place = Place::new();
    let directory = place.path("digits");
    fs::create_dir(&directory).unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&[0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 28, 0, 0, 0, 28]).unwrap();
    gz.write_all(&(0..9 * 784).map(|i| (i * 31 % 251) as u8).collect::<Vec<_>>()).unwrap();
    let bytes = gz.finish().unwrap();
    fs::write(directory.join("train-images-idx3-ubyte.gz"), &bytes[..bytes.len() / 2]).unwrap();
    let data = format!("idx:{}", directory.display());
    refused(&train(&data, &place.text("run"), &[]), 1, &["train-images-idx3-ubyte.gz", "data", "fetch the file again"]);
}

/// A pair of idx files as MNIST has them: 6×6 pictures of two classes that differ in one pixel.
fn digits(place: &Place, rows: u32) -> String {
    let directory = place.path("digits");
    fs::create_dir(&directory).unwrap();
    let mut images = [&[0u8, 0, 8, 3][..], &rows.to_be_bytes(), &6u32.to_be_bytes(), &6u32.to_be_bytes()].concat();
    let mut labels = [&[0u8, 0, 8, 1][..], &rows.to_be_bytes()].concat();
    for r in 0..rows {
        let class = (r * 7 / 3) % 2;
        labels.push(class as u8);
        images.extend(
            (0..36u32).map(|i| if i == 14 { 200 * class as u8 } else { (r * 31 + i * 17 * (r % 5)) as u8 % 90 }),
        );
    }
    fs::write(directory.join("train-images-idx3-ubyte"), images).unwrap();
    fs::write(directory.join("train-labels-idx1-ubyte"), labels).unwrap();
    format!("idx:{}", directory.display())
}

#[test]
fn pictures_go_all_the_way_and_json_is_all_of_stdout() {
    let place = Place::new();
    let (data, out) = (digits(&place, 200), place.text("run"));
    let trained = train(&data, &out, &["--json", "--batch", "20"]);
    assert!(trained.status.success(), "{}", stderr(&trained));
    let metrics: serde_json::Value = serde_json::from_str(&stdout(&trained)).unwrap();
    let file: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(place.path("run/metrics.json")).unwrap()).unwrap();
    assert_eq!(metrics, file, "stdout and metrics.json say the same");
    let model = place.text("run/model.safetensors");
    let rank: serde_json::Value = serde_json::from_str(&stdout(&eigenlens(&["rank", &model, "--json"]))).unwrap();
    assert_eq!(rank["ranking"][0]["name"], "r2c2", "the pixel that differs");
    let curve = eigenlens(&["curve", &model, &data, "--out", &out, "--max-k", "3", "--json", "--device", "cpu"]);
    let curve: serde_json::Value = serde_json::from_str(&stdout(&curve)).unwrap();
    assert_eq!((curve["points"].as_array().unwrap().len(), &curve["rows"]), (3, &"test".into()));
}

/// Pages have names of their own, and those about another model go when a new one comes.
#[test]
fn a_folder_is_about_one_model() {
    let place = Place::new();
    let (data, out) = (place.write("table.csv", table()), place.text("run"));
    let quick = ["--target", "class", "--epochs", "2", "--folds", "0"];
    assert!(train(&data, &out, &quick).status.success());
    let model = place.text("run/model.safetensors");
    let done = eigenlens(&["explain", &model, &data, "--out", &out, "--rows", "0..2", "--device", "cpu"]);
    assert!(done.status.success() && stdout(&done).contains("explain.html"), "{}", stderr(&done));
    assert!(["report.html", "explain.html", "maps.npz"].iter().all(|name| place.path("run").join(name).exists()));
    place.write("run/mine.txt", "not ours");
    let again = train(&data, &out, &quick);
    assert!(
        again.status.success() && stderr(&again).contains("removed explain.html, explanations.json, maps.npz"),
        "{}",
        stderr(&again)
    );
    let there = |name: &str| place.path("run").join(name).exists();
    assert!(there("report.html") && there("mine.txt") && !there("explain.html") && !there("maps.npz"));
}

/// What the command line says about each bad table; nothing goes to stdout.
#[test]
fn bad_tables_are_refused_in_one_sentence() {
    let place = Place::new();
    let cases: [(&str, &str, &[&str]); 7] = [
        ("empty.csv", "", &["empty", "header line"]),
        ("one.csv", "a,y\n1,x\n2,x\n3,x\n", &["target", "every row has the class", "two classes"]),
        ("ragged.csv", "a,b,y\n1,2,x\n3,z\n", &["line 3"]),
        ("infinite.csv", "a,y\n1,x\ninf,z\n3,x\n", &["line 3", "column \"a\""]),
        ("missing.csv", "a,y\n1,x\n,z\n3,x\n", &["line 3", "column \"a\"", "--missing"]),
        ("text.csv", "a,y\n1,x\n2,z\noops,x\n4,z\n", &["line 4", "column \"a\"", "oops"]),
        ("narrow.csv", "y\nx\nz\n", &["no column but the target"]),
    ];
    for (name, content, parts) in cases {
        let data = place.write(name, content);
        let output = train(&data, &place.text("run"), &["--target", "y"]);
        refused(&output, 1, &[&[name], parts].concat());
        assert!(output.stdout.is_empty(), "{name}");
    }
    let data = place.write("table.csv", table());
    let unknown = train(&data, &place.text("run"), &["--target", "price"]);
    refused(&unknown, 1, &["no column \"price\"", ": a, b, c", "--target"]);
    assert!(!place.path("run/model.safetensors").exists());
}

/// The first model of a directory: killed at any moment, there is none or a whole one.
#[cfg(unix)]
#[test]
fn a_kill_before_the_first_model_leaves_none_or_a_whole_one() {
    let place = Place::new();
    let data = place.write("table.csv", table());
    for i in 0..8u64 {
        let out = place.text(&format!("run{i}"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_eigenlens"))
            .args(["train", &data, "--target", "class", "--out", &out, "--epochs", "3", "--device", "cpu"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(15 * i));
        let _ = child.kill();
        let _ = child.wait();
        let path = Path::new(&out).join("model.safetensors");
        assert!(!path.exists() || Model::load(&path).is_ok(), "killed after {} ms", 15 * i);
    }
}

#[test]
fn rows_keep_their_numbers() {
    let place = Place::new();
    let (data, out) = (place.write("table.csv", table()), place.text("run"));
    let done = train(&data, &out, &["--target", "class"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let model = format!("{out}/model.safetensors");
    let gap = place.write("gap.csv", table().replacen("0.", "", 1).replacen(",red", ",", 1));
    for command in [vec!["predict", &model, &gap], vec!["explain", &model, &gap, "--device", "cpu"]] {
        let target = place.text(command[0]);
        let done = eigenlens(&[&command[..], &["--out", &target, "--missing", "drop"]].concat());
        refused(&done, 2, &["--missing drop", "--missing mean"]);
    }
}

#[test]
fn a_single_number_is_no_array() {
    let place = Place::new();
    let (data, out) = (place.write("table.csv", table()), place.text("run"));
    assert!(train(&data, &out, &["--target", "class"]).status.success());
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (), }";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let header = format!("{header:<117}\n");
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(3f32.to_le_bytes());
    let number = place.write("number.npy", bytes);
    let done = eigenlens(&["predict", &format!("{out}/model.safetensors"), &number, "--out", &place.text("p.csv")]);
    refused(&done, 1, &["number.npy", "single number"]);
}

/// Autoencoders and networks of several numbers: their losses read a target for every output, of which there are none here.
#[test]
fn several_outputs_are_predicted_without_targets() {
    let place = Place::new();
    let (data, out, table) = (digits(&place, 60), place.text("run"), place.text("p.csv"));
    let lines = |path: &str| fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let trained = train(&data, &out, &["--task", "autoencode", "--hidden", "8,4,8", "--epochs", "2"]);
    assert!(trained.status.success(), "{}", stderr(&trained));
    let model = place.text("run/model.safetensors");
    for device in ["cpu", "gpu"] {
        let done = eigenlens(&["predict", &model, &data, "--out", &table, "--device", device]);
        assert!(done.status.success(), "{device}: {}", stderr(&done));
        let lines = lines(&table);
        assert_eq!((lines.len(), lines[1].split(',').count()), (61, 37));
        // Back in the pixels' own units, which are bytes.
        let sum: f64 = lines[1].split(',').skip(1).map(|x| x.parse::<f64>().unwrap().abs()).sum();
        assert!(sum > 1.0, "{}", lines[1]);
    }
    let mut npz = eigenlens::report::npz::Npz::default();
    let x: Vec<f32> = (0..300u16).map(|i| f32::from(i * 37 % 101)).collect();
    let y: Vec<f32> = x.chunks(3).flat_map(|x| [x[0] + x[1], x[2] - x[0] + 0.5]).collect();
    npz.floats("X", &[100, 3], x);
    npz.floats("y", &[100, 2], y);
    npz.save(&place.path("two.npz")).unwrap();
    let two = place.text("two.npz");
    let trained = train(&two, &out, &["--task", "regress"]);
    assert!(trained.status.success(), "{}", stderr(&trained));
    let done = eigenlens(&["predict", &model, &two, "--out", &table, "--device", "cpu"]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!((lines(&table).len(), lines(&table)[1].split(',').count()), (101, 3));
}
