//! A GPU that is lost on the way: an error that says how to go on, and nothing half-written. (`EIGENLENS_LOSE_AFTER` destroys the device
//! after so many submissions; the adapter is any, in the CI a software one.)

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::program::{Place, eigenlens, refused, stderr, table};
use eigenlens::Model;

/// Runs with a device that is lost after so many submissions.
fn lossy(after: usize, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eigenlens"));
    command.args(arguments).env("EIGENLENS_LOSE_AFTER", after.to_string()).output().expect("the program starts")
}

/// One sentence that names the loss, exit code 1.
#[track_caller]
fn lost(output: &Output, parts: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(!text.contains("panicked") && !text.contains("report this"), "{text}");
    for part in parts.iter().chain(&["the GPU was lost (destroyed)", "--device cpu"]) {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn relevance(folder: &Path) -> Vec<f64> {
    Model::load(folder.join("model.safetensors")).unwrap().relevance().concat()
}

/// Resumed on the same engine it ends with the same bits, on another with the same numbers up to its rounding.
#[test]
fn a_training_goes_on_after_a_loss() {
    let place = Place::new();
    let data = place.write("table.csv", table());
    let train = |out: &str| {
        ["train", &data, "--out", out, "--target", "class", "--device", "gpu"]
            .into_iter()
            .chain(["--epochs", "60", "--hidden", "8", "--folds", "0", "--checkpoint", "0.0001"])
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (whole, cut) = (train(&place.text("whole")), train(&place.text("cut")));
    let words =
        |line: &[String]| line.iter().map(|word| Box::leak(word.clone().into_boxed_str()) as &str).collect::<Vec<_>>();
    let done = eigenlens(&words(&whole));
    assert!(done.status.success(), "{}", stderr(&done));
    lost(&lossy(60, &words(&cut)), &["train --resume", "goes on, on any --device"]);
    assert_eq!(files(&place.path("cut")), ["unfinished"]);
    copy(&place.path("cut"), &place.path("other"));
    for (folder, device) in [("cut", "gpu"), ("other", "cpu")] {
        let done = eigenlens(&["train", "--resume", &place.text(folder), "--device", device]);
        assert!(done.status.success() && stderr(&done).contains("going on"), "{}", stderr(&done));
        assert!(!place.path(folder).join("unfinished").exists());
    }
    let [whole, same, other] = ["whole", "cut", "other"].map(|folder| relevance(&place.path(folder)));
    assert!(whole == same, "{whole:?} {same:?}");
    let largest = whole.iter().fold(0.0f64, |a, &b| a.max(b));
    for (a, b) in whole.iter().zip(&other) {
        // Single precision rounds by 6e-8 in each of some hundred steps, and Adam divides small gradients by themselves.
        assert!((a - b).abs() < 1e-3 * largest, "{whole:?} {other:?}");
    }
    assert!(whole != other, "two engines round alike: is this the other one?");
}

/// Whenever it comes, in every command.
#[test]
fn a_loss_is_a_sentence() {
    let place = Place::new();
    let data = place.write("table.csv", table());
    let (run, model) = (place.text("run"), place.text("run/model.safetensors"));
    let quick = ["--target", "class", "--epochs", "5", "--hidden", "8", "--folds", "0"];
    assert!(eigenlens(&[&["train", &data, "--out", &run, "--device", "cpu"], &quick[..]].concat()).status.success());
    let before = files(&place.path("run"));
    let commands: [&[&str]; 6] = [
        &["train", &data, "--target", "class", "--epochs", "5", "--hidden", "8", "--folds", "0"],
        &[
            "select",
            &data,
            "--target",
            "class",
            "--epochs",
            "5",
            "--hidden",
            "8",
            "--seeds",
            "1",
            "--penalties",
            "2",
            "--pairs",
            "1",
        ],
        &["explain", &model, &data, "--rows", "0..4", "--split", "all"],
        &["similarity", &model, &data, "--rows", "0..4"],
        &["curve", &model, &data, "--controls", "1"],
        &["predict", &model, &data],
    ];
    for command in commands {
        for after in [1, 5] {
            let out = place.text(if command[0] == "predict" { "p.csv" } else { "out" });
            let output = lossy(after, &[command, &["--out", &out, "--device", "gpu"]].concat());
            lost(&output, &[]);
            let told = stderr(&output).contains("goes on, on any --device");
            let left = files(&place.path("out"));
            assert_eq!(left, if told { vec!["unfinished"] } else { vec![] }, "{} after {after}", command[0]);
            let _ = fs::remove_dir_all(place.path("out"));
            assert_eq!(files(&place.path("")), ["run", "table.csv"], "{} after {after}", command[0]);
            if after == 5 && command[0] == "explain" {
                let beside = lossy(after, &[command, &["--out", &run, "--device", "gpu"]].concat());
                lost(&beside, &[]);
                assert_eq!(files(&place.path("run")), before);
            }
        }
    }
    // What comes before is said in its own words.
    refused(&lossy(1, &["predict", &model, "no.csv", "--out", &place.text("p.csv")]), 1, &["no.csv"]);
}
