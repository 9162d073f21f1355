//! A run is never lost: folders hold results of one run, one process writes at a time.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eigenlens::Model;

mod common;
use common::program::{Place, eigenlens, refused, stderr};

fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eigenlens"));
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
}

fn kill(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Waits until a file is there.
fn wait_for(path: &Path) {
    let clock = Instant::now();
    while !path.exists() {
        assert!(clock.elapsed() < Duration::from_secs(20), "{} never comes", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The seed that each result of a training tells of; `None` where it is not there.
fn seeds(out: &Path) -> Vec<Option<u64>> {
    let page = |name: &str| {
        let text = fs::read_to_string(out.join(name)).ok()?;
        let at = text.find("replicas, seed").expect("the page tells the seed");
        let digits: String = text[at..].chars().skip_while(|c| *c != '1').skip(1).collect();
        let digits: String = digits.chars().skip_while(|c| !c.is_ascii_digit()).collect();
        digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
    };
    let model = out.join("model.safetensors").exists().then(|| {
        let bytes = fs::read(out.join("model.safetensors")).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let at = text.find("\\\"replicas\\\":[{\\\"seed\\\":").expect("the model tells its seed");
        let digits = text[at..].chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit);
        digits.collect::<String>().parse().unwrap()
    });
    vec![model, page("report.html"), page("report.md")]
}

/// Killed at moments all over its end, a training leaves results of one seed, and all of them once the next command has looked.
#[test]
fn a_folder_is_whole_or_old() {
    let place = Place::new();
    let (out, text) = (place.path("run"), place.text("run"));
    let arguments = |seed: &'static str| {
        let quick = ["train", "gaussian", "--epochs", "1", "--hidden", "4", "--batch", "100000", "--device", "cpu"];
        [&quick[..], &["--report", "html,md", "--out", &text, "--seed", seed]].concat().into_iter().map(str::to_owned)
    };
    let run = |seed| arguments(seed).collect::<Vec<String>>();
    let clock = Instant::now();
    assert!(start(&run("1").iter().map(String::as_str).collect::<Vec<_>>()).wait().unwrap().success());
    let whole = clock.elapsed();
    for i in 0..20u32 {
        let seed = if i % 2 == 0 { "2" } else { "3" };
        let arguments = run(seed);
        let child = start(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        std::thread::sleep(whole.mul_f64(0.5 + 0.03 * f64::from(i)));
        kill(child);
        let mut found = seeds(&out);
        found.retain(Option::is_some);
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "kill {i}: a mixture, {found:?}");
        Model::load(out.join("model.safetensors")).unwrap();
        let found = seeds(&out);
        assert!(found[0].is_some() && found.iter().all(|seed| *seed == found[0]), "kill {i}: {found:?}");
    }
}

#[test]
fn one_process_writes_at_a_time() {
    let place = Place::new();
    let out = place.text("run");
    let long = ["train", "gaussian", "--out", &out, "--epochs", "100000", "--device", "cpu", "--hidden", "8"];
    let first = start(&long);
    wait_for(&place.path("run/unfinished/.lock"));
    std::thread::sleep(Duration::from_millis(100));
    let second = eigenlens(&["train", "gaussian", "--out", &out, "--epochs", "1", "--device", "cpu"]);
    refused(&second, 2, &["run: process ", &first.id().to_string(), "writes there", "another folder"]);
    kill(first);
    // Its lock went with it.
    let done = eigenlens(&["train", "gaussian", "--out", &out, "--epochs", "1", "--device", "cpu", "--hidden", "4"]);
    assert!(done.status.success(), "{}", stderr(&done));
}

/// A page of an earlier run in a format that isn't asked for now would be about another model.
#[test]
fn results_in_other_formats_go_with_their_run() {
    let place = Place::new();
    let out = place.text("run");
    let train = |report: &str| {
        let quick = ["--epochs", "1", "--hidden", "4", "--device", "cpu", "--report", report];
        let done = eigenlens(&[&["train", "gaussian", "--out", &out], &quick[..]].concat());
        assert!(done.status.success(), "{}", stderr(&done));
        stderr(&done)
    };
    train("html,json");
    place.write("run/mine.json", "{}");
    assert!(train("md").contains("removed report.html, report.json"));
    let there = |name: &str| place.path("run").join(name).exists();
    assert!(there("report.md") && there("mine.json") && !there("report.html") && !there("report.json"));
}

#[test]
fn links_to_nothing_are_followed_or_refused() {
    let place = Place::new();
    let out = place.text("run");
    std::os::unix::fs::symlink("nowhere", place.path("run")).unwrap();
    let train = ["train", "gaussian", "--out", &out, "--epochs", "1", "--hidden", "4", "--device", "cpu"];
    refused(&eigenlens(&train), 1, &["run", "a link to nowhere", "remove the link"]);
    fs::create_dir(place.path("nowhere")).unwrap();
    assert!(eigenlens(&train).status.success());
    std::os::unix::fs::symlink("table.csv", place.path("p.csv")).unwrap();
    let (model, table) = (place.text("run/model.safetensors"), place.text("p.csv"));
    // What a killed program left beside it goes.
    place.write(".eigenlens-Xy12ab.part", "half");
    let done = eigenlens(&["predict", &model, "gaussian", "--out", &table, "--device", "cpu"]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(fs::symlink_metadata(&table).unwrap().is_symlink() && place.path("table.csv").is_file());
    assert!(!place.path(".eigenlens-Xy12ab.part").exists());
}
