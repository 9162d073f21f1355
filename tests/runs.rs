//! A run is never lost: folders hold results of one run, one process writes at a time.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eigenlens::Model;

use crate::common::program::{Place, eigenlens, refused, stderr, table};

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

/// The numbers of a model: what stands behind the header of its file.
fn tensors(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..].to_vec()
}

/// A training of some seconds with all that it carries from step to step: dropout, batch norm's statistics, early stopping's best.
fn some_seconds<'a>(data: &'a str, out: &'a str, epochs: &'a str) -> Vec<&'a str> {
    let network = ["--hidden", "8", "--dropout", "0.2", "--batch-norm", "first", "--replicas", "2"];
    let training =
        ["--target", "class", "--epochs", epochs, "--early-stop", "100000", "--device", "cpu", "--threads", "1"];
    [&["train", data, "--out", out], &network[..], &training].concat()
}

/// Killed, and resumed from another folder, a training ends with the bits of one that was never stopped; other data are refused.
#[test]
fn a_killed_training_goes_on_to_the_same_bits() {
    let place = Place::new();
    let data = place.write("table.csv", table());
    let (whole, cut) = (place.text("whole"), place.text("cut"));
    assert!(eigenlens(&some_seconds(&data, &whole, "20000")).status.success());
    let program = |arguments: &[&str], at: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eigenlens"));
        command.args(arguments).current_dir(at).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let often = ["--checkpoint", "0.001"];
    let mut command = [some_seconds("table.csv", "cut", "20000"), often.to_vec()].concat();
    command.extend(["--report", "html"]);
    let first = program(&command, place.0.path());
    wait_for(&place.path("cut/unfinished/train/run.json"));
    std::thread::sleep(Duration::from_millis(150));
    kill(first);
    assert!(!place.path("cut/model.safetensors").exists(), "killed before its end");
    // Once more, on the way.
    fs::create_dir(place.path("elsewhere")).unwrap();
    let second = program(&["train", "--resume", "../cut", "--checkpoint", "0.001"], &place.path("elsewhere"));
    std::thread::sleep(Duration::from_millis(120));
    kill(second);
    let row = table().replacen("0.", "0.5", 1);
    place.write("table.csv", row);
    refused(&eigenlens(&["train", "--resume", &cut]), 2, &["the data are others", "start anew"]);
    place.write("table.csv", table());
    let other = eigenlens(&["train", "--resume", &cut, "--epochs", "3"]);
    assert!(other.status.code() == Some(2) && stderr(&other).contains("--epochs"), "{}", stderr(&other));
    let done = eigenlens(&["train", "--resume", &cut]);
    assert!(done.status.success() && stderr(&done).contains("going on"), "{}", stderr(&done));
    for name in ["history.csv", "relevance.csv", "curve.csv"] {
        let text = |of: &str| fs::read_to_string(place.path(of).join(name)).unwrap();
        assert!(text("whole") == text("cut"), "{name}");
    }
    assert!(tensors(&place.path("whole/model.safetensors")) == tensors(&place.path("cut/model.safetensors")));
    assert!(!place.path("cut/unfinished").exists());
    let again = eigenlens(&["train", "--resume", &cut]);
    assert!(again.status.success() && stderr(&again).contains("finished"), "{}", stderr(&again));
    refused(&eigenlens(&["train", "--resume", &place.text("no")]), 2, &["nothing of a train is kept there"]);
}

/// Stopped by a signal within a second, a selection says how to go on, and does to the same bits.
#[test]
fn a_stopped_selection_goes_on_to_the_same_bits() {
    let place = Place::new();
    let data = place.write("table.csv", table());
    let settings = ["--target", "class", "--seeds", "2", "--penalties", "4", "--pairs", "2", "--controls", "1"];
    let more = ["--epochs", "1500", "--hidden", "8", "--device", "cpu", "--threads", "2"];
    let select = |out: &'static str| {
        let out = place.text(out);
        [&["select", &data, "--out", &out], &settings[..], &more]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let program = |arguments: Vec<String>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eigenlens"));
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    assert!(program(select("whole")).wait().unwrap().success());
    let mut stops = 0;
    for wait in [150, 400, 800] {
        let child = program(select("cut"));
        std::thread::sleep(Duration::from_millis(wait));
        if !Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success() {
            break;
        }
        let clock = Instant::now();
        let output = child.wait_with_output().unwrap();
        assert!(clock.elapsed() < Duration::from_millis(1500), "{:?}", clock.elapsed());
        if output.status.code() == Some(1) && stderr(&output).contains("select --resume") {
            stops += 1;
        }
    }
    assert!(stops > 0, "none was stopped on its way");
    let done = eigenlens(&["select", "--resume", &place.text("cut")]);
    assert!(done.status.success(), "{}", stderr(&done));
    for name in ["path.csv", "path_relevance.csv", "relevance.csv", "columns.txt"] {
        let text = |of: &str| fs::read_to_string(place.path(of).join(name)).unwrap();
        assert!(text("whole") == text("cut"), "{name}");
    }
    assert!(tensors(&place.path("whole/model.safetensors")) == tensors(&place.path("cut/model.safetensors")));
}

/// Whatever is under way: here decompositions of hundreds of rows at every split.
#[test]
fn a_signal_ends_an_explanation_within_a_second() {
    let place = Place::new();
    let (model, out) = (place.text("run/model.safetensors"), place.text("why"));
    let train = ["train", "gaussian", "--out", &place.text("run"), "--epochs", "1", "--device", "cpu"];
    assert!(eigenlens(&train).status.success());
    let all =
        ["explain", &model, "gaussian", "--rows", "all:20000", "--split", "all", "--out", &out, "--device", "cpu"];
    let child = start(&all);
    wait_for(&place.path("why/unfinished/.new"));
    std::thread::sleep(Duration::from_millis(300));
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let clock = Instant::now();
    assert_eq!({ child }.wait().unwrap().code(), Some(1));
    assert!(clock.elapsed() < Duration::from_millis(1500), "{:?}", clock.elapsed());
    assert!(!place.path("why/explanations.json").exists());
}

/// Killed on its way, each of the commands that look at a model goes on to the same bytes; with another model it refuses to.
#[test]
fn killed_explanations_and_curves_go_on_to_the_same_bytes() {
    let place = Place::new();
    let (run, model) = (place.text("run"), place.text("run/model.safetensors"));
    let train = |seed: &str| {
        let quick = ["--epochs", "1", "--hidden", "30,20", "--device", "cpu", "--seed", seed];
        assert!(eigenlens(&[&["train", "gaussian", "--out", &run], &quick[..]].concat()).status.success());
    };
    train("0");
    let commands: [(&[&str], &[&str]); 3] = [
        (&["explain", "--rows", "all:1500", "--split", "all", "--components", "2"], &["explanations.json", "maps.npz"]),
        (&["similarity", "--rows", "all:1000"], &["similarity.npz"]),
        (&["curve", "--controls", "60", "--retrain"], &["curve.csv"]),
    ];
    for (command, results) in commands {
        let (name, options) = command.split_first().unwrap();
        let line = |out: &str| {
            let engine = ["--device", "cpu", "--threads", "2", "--checkpoint", "0.0001", "--out"].map(str::to_owned);
            let given = [&[*name, &model, "gaussian"], options].concat();
            given.into_iter().map(str::to_owned).chain(engine).chain([place.text(out)]).collect::<Vec<String>>()
        };
        let words = |line: &[String]| start(&line.iter().map(String::as_str).collect::<Vec<_>>());
        let (whole, cut) = (format!("{name}-whole"), format!("{name}-cut"));
        assert!(words(&line(&whole)).wait().unwrap().success());
        let child = words(&line(&cut));
        let kept = place.path(&cut).join("unfinished").join(name);
        let state = || {
            fs::read_dir(&kept)
                .into_iter()
                .flatten()
                .flatten()
                .any(|file| file.path().extension().is_some_and(|ending| ending == "state"))
        };
        wait_for(&kept.join("run.json"));
        let clock = Instant::now();
        while !state() && clock.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(1));
        }
        kill(child);
        assert_eq!(fs::read_dir(place.path(&cut)).unwrap().count(), 1, "{name} was killed before its end");
        if *name == "curve" {
            train("1");
            let other = eigenlens(&[name, "--resume", &place.text(&cut)]);
            refused(&other, 2, &["the model or the data are others"]);
            train("0");
        }
        let done = eigenlens(&[name, "--resume", &place.text(&cut)]);
        assert!(done.status.success() && stderr(&done).contains("going on"), "{}", stderr(&done));
        for result in results {
            let bytes = |of: &str| fs::read(place.path(of).join(result)).unwrap();
            assert!(bytes(&whole) == bytes(&cut), "{name}: {result}");
        }
        assert!(!place.path(&cut).join("unfinished").exists());
        let again = eigenlens(&[name, "--resume", &place.text(&cut)]);
        assert!(again.status.success() && stderr(&again).contains("finished"), "{}", stderr(&again));
    }
}

/// Digits that have changed are not gone on with.
#[test]
fn a_resumed_experiment_refuses_other_data() {
    let place = Place::new();
    let (data, out) = (place.text("digits"), place.text("out"));
    fs::create_dir(place.path("digits")).unwrap();
    let write = |shift: u8| {
        for (part, rows) in [("train", 40u8), ("t10k", 10)] {
            let images: Vec<u8> = (0..u32::from(rows) * 784).map(|i| (i * 7 % 251) as u8 ^ shift).collect();
            let labels: Vec<u8> = (0..rows).map(|row| row % 2).collect();
            let head = |kind: u8, sizes: &[u8]| {
                let sizes = sizes.iter().flat_map(|&size| [0, 0, 0, size]);
                [0, 0, 8, kind].into_iter().chain(sizes).collect::<Vec<u8>>()
            };
            place.write(&format!("digits/{part}-images-idx3-ubyte"), [head(3, &[rows, 28, 28]), images].concat());
            place.write(&format!("digits/{part}-labels-idx1-ubyte"), [head(1, &[rows]), labels].concat());
        }
    };
    write(0);
    let source = format!("idx:{data}");
    let long = ["--epochs", "100000", "--replicas", "1", "--device", "cpu", "--checkpoint", "0.001"];
    let child = start(&[&["reproduce", "mnist-01", "--data", &source, "--out", &out], &long[..]].concat());
    wait_for(&place.path("out/unfinished/reproduce/run.json"));
    kill(child);
    write(1);
    refused(&eigenlens(&["reproduce", "--resume", &out]), 2, &["the model or the data are others", "without --resume"]);
}
