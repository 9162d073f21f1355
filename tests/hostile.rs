//! Files and terminals that mean no good: nothing panics, nothing takes the memory, and a sentence says what is wrong.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};

use eigenlens::data::{Request, load, synthetic};
use eigenlens::{Device, Model, Plan};
use safetensors::tensor::{SafeTensors, serialize};
use serde_json::{Value, json};

use crate::common::npz::NpzWriter;
use crate::common::program::{Place, eigenlens, refused, stderr, table, train};
use npyz::WriterBuilder;

/// A small trained model's file.
fn model(place: &Place) -> String {
    let mut data = synthetic::gaussian(1, 200).dataset;
    let mut plan = Plan::default();
    plan.settings.epochs = 1;
    plan.architecture.hidden = vec![4];
    let fit = plan.fit(&mut data, &Device::Cpu { threads: 1 }).unwrap();
    let path = place.text("model.safetensors");
    fit.model.save(&path).unwrap();
    path
}

/// The same file with its description changed.
fn changed(path: &str, change: impl FnOnce(&mut Value, &mut Value)) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut metadata: HashMap<String, String> = header.metadata().clone().unwrap();
    let read = |key: &str| serde_json::from_str::<Value>(&metadata[key]).unwrap();
    let (mut description, mut network) = (read("description"), read("network"));
    change(&mut description, &mut network);
    metadata.insert("description".into(), description.to_string());
    metadata.insert("network".into(), network.to_string());
    serialize(SafeTensors::deserialize(&bytes).unwrap().iter(), Some(metadata)).unwrap()
}

#[test]
fn what_a_model_file_tells_is_checked_whole_at_loading() {
    let place = Place::new();
    let path = model(&place);
    Model::load(&path).unwrap();
    let names = |value: &str| json!(vec![value; 2]);
    type Change = Box<dyn Fn(&mut Value)>;
    let set = |pointer: &'static str, value: Value| -> Change {
        Box::new(move |d: &mut Value| *d.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value.clone())
    };
    let cases: Vec<(&str, Change)> = vec![
        ("task and settings.loss", set("/settings/loss", json!("mse"))),
        ("target_scaling.shift", set("/task", json!("regress"))),
        ("target_scaling.scale", set("/target_scaling/scale", json!([1.0]))),
        ("targets", set("/targets", names("a"))),
        ("targets", set("/targets", json!(["a"]))),
        ("features", set("/features/1/name", json!("x0"))),
        ("features", set("/features/0/name", json!("=".repeat(400_000)))),
        ("source", set("/source", json!("s".repeat(70_000)))),
        ("scaling.shift", set("/scaling/shift", json!([0.0]))),
        ("scaling.scale", set("/scaling/scale/3", json!(0.0))),
        ("scaling.std", set("/scaling/std/3", json!(-1.0))),
        ("scaling.fill", set("/scaling/fill", json!([]))),
        ("axes", set("/axes/0/len", json!(u64::MAX))),
        ("validation", set("/validation", json!(1.5))),
        ("chosen_from", Box::new(|d: &mut Value| d["chosen_from"] = json!(1))),
        ("unsupported_targets", Box::new(|d: &mut Value| d["unsupported_targets"] = json!(["nobody"]))),
        (
            "control",
            Box::new(|d: &mut Value| {
                d["control"] = json!({ "copies": 1, "noise": 0.1, "relative": [1.0], "inputs": 1, "inputs_above": 1, "above": [true] });
            }),
        ),
        ("settings", set("/settings/epochs", json!(1u64 << 63))),
        ("settings", set("/settings/batch", json!(0))),
        ("settings", set("/settings/replicas", json!([]))),
        ("settings.groups", Box::new(|d: &mut Value| d["settings"]["groups"] = json!([[1000]]))),
        ("architecture.activations", set("/architecture/activations", json!([]))),
    ];
    for (field, change) in cases {
        let broken = place.write("broken.safetensors", changed(&path, |d, _| change(d)));
        let text = Model::load(&broken).unwrap_err().to_string();
        assert!(text.contains(&format!("description: {field}")) && text.len() < 1000, "{field}: {text}");
        refused(&eigenlens(&["rank", &broken]), 1, &[field, "eigenlens train"]);
    }
}

#[test]
fn nodes_that_double_their_input_are_refused_before_they_take_memory() {
    let place = Place::new();
    let path = model(&place);
    let broken = changed(&path, |_, network| {
        let nodes = network["nodes"].as_array_mut().unwrap();
        let last = nodes.pop().unwrap();
        let mut width = nodes.last().unwrap()["shape"][0].as_u64().unwrap();
        for i in 1..=24 {
            let at = nodes.len() as u64 - 1;
            width *= 2;
            nodes.push(json!({ "name": format!("concat{i}"), "layer": { "type": "concat" }, "inputs": [at, at], "shape": [width] }));
        }
        nodes.push(last);
    });
    let broken = place.write("doubling.safetensors", broken);
    refused(&eigenlens(&["rank", &broken]), 1, &["doubling.safetensors", "layer concat", "numbers that are supported"]);
}

/// The program with no more address space than so many MiB.
fn limited(mebibytes: usize, arguments: &[&str]) -> std::process::Output {
    let quoted: Vec<String> = arguments.iter().map(|a| format!("'{a}'")).collect();
    let command =
        format!("ulimit -v {}; exec '{}' {}", mebibytes << 10, env!("CARGO_BIN_EXE_eigenlens"), quoted.join(" "));
    Command::new("sh").args(["-c", &command]).output().expect("there is a shell")
}

#[cfg(target_os = "linux")]
#[test]
fn an_archive_that_unpacks_to_more_than_the_limit_is_refused() {
    let place = Place::new();
    let path = place.text("bomb.npz");
    let mut archive = NpzWriter::create(&path);
    let zip = archive.zip_writer();
    // 256 MiB of zeros, written by the mebibyte: deflated they are 256 KiB.
    zip.start_file("X.npy", zip::write::SimpleFileOptions::default()).unwrap();
    let header = format!("{:<117}\n", "{'descr': '|u1', 'fortran_order': False, 'shape': (1024, 262144), }");
    let start = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
    zip.write_all(&start).unwrap();
    (0..256).for_each(|_| zip.write_all(&vec![0; 1 << 20]).unwrap());
    let mut array = archive.array::<u8>("y").default_dtype().shape(&[1024]).begin_nd().unwrap();
    array.extend((0..1024).map(|i| (i % 2) as u8)).unwrap();
    array.finish().unwrap();
    drop(archive);
    assert!(std::fs::metadata(&path).unwrap().len() < 1 << 20);
    let out = place.text("out");
    let output = limited(400, &["train", &path, "--out", &out, "--device", "cpu"]);
    refused(&output, 1, &["bomb.npz needs 256 MiB", "of memory are free"]);
}

#[test]
fn a_broken_stderr_fails_no_run() {
    let place = Place::new();
    let data = place.write("data.csv", table());
    let run = |out: &str, stderr: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eigenlens"));
        command.args([
            "train", &data, "--target", "class", "--epochs", "2", "--folds", "0", "--hidden", "4", "--device", "cpu",
            "--out",
        ]);
        command.arg(place.path(out)).stdout(Stdio::null()).stderr(stderr).status().unwrap()
    };
    if let Ok(full) = File::options().write(true).open("/dev/full") {
        assert!(run("full", full.into()).success() && place.path("full/model.safetensors").exists());
    }
    // A pipe that nobody reads any more.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert!(run("pipe", writer.into()).success() && place.path("pipe/model.safetensors").exists());
}

#[test]
fn names_do_nothing_to_a_terminal() {
    let place = Place::new();
    let hostile = "\u{1b}[31mx\u{202e}y";
    let data = place.write("data.csv", table().replacen("a,b,c", &format!("{hostile},b,c"), 1));
    let out = place.text("out");
    let shown = |output: &std::process::Output| {
        let text = String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap();
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        text
    };
    let trained = train(&data, &out, &["--target", "class", "--epochs", "2", "--folds", "0"]);
    assert!(trained.status.success(), "{}", stderr(&trained));
    shown(&trained);
    let page = std::fs::read_to_string(place.path("out/report.html")).unwrap();
    assert!(!page.contains(['\u{1b}', '\u{202e}']), "the report");
    assert!(shown(&eigenlens(&["rank", &format!("{out}/model.safetensors")])).contains('x'));
    let refused = shown(&train(&data, &out, &["--target", &format!("no{hostile}")]));
    assert!(refused.contains(r"\u{1b}[31mx\u{202e}y"), "{refused}");
    let file = place.write(&format!("{hostile}.csv"), "");
    assert!(shown(&train(&file, &out, &["--target", "a"])).contains(r"\u{1b}[31m"));
}

#[test]
fn absurd_numbers_are_refused_with_what_they_can_be() {
    let place = Place::new();
    let data = place.write("data.csv", table());
    let out = place.text("out");
    let much = "1000000000000";
    let absurd = |output: &std::process::Output, option: &str| {
        let text = stderr(output);
        assert!(output.status.code() == Some(2) && text.contains(option) && text.contains("at most"), "{text}");
    };
    for (command, option) in [
        ("train", "--replicas"),
        ("train", "--epochs"),
        ("train", "--batch"),
        ("train", "--early-stop"),
        ("select", "--seeds"),
        ("select", "--penalties"),
        ("select", "--controls"),
        ("select", "--epochs"),
    ] {
        let output = eigenlens(&[command, &data, "--target", "class", "--out", &out, option, much]);
        absurd(&output, option);
    }
    for option in ["--replicas", "--rows", "--data-sets", "--epochs"] {
        absurd(&eigenlens(&["reproduce", "gaussian", "--out", &out, option, much]), option);
    }
}

#[test]
fn predictions_go_to_stdout_as_json_and_without_formulas() {
    let place = Place::new();
    let data = place.write("data.csv", table().replace(",yes\n", ",=1+1\n"));
    let out = place.text("out");
    let trained = train(&data, &out, &["--target", "class", "--epochs", "2", "--folds", "0"]);
    assert!(trained.status.success(), "{}", stderr(&trained));
    let model = format!("{out}/model.safetensors");
    let predict = |more: &[&str]| {
        let done = eigenlens(&[&["predict", &model, &data, "--out", "-", "--device", "cpu"], more].concat());
        assert!(done.status.success(), "{}", stderr(&done));
        String::from_utf8(done.stdout).unwrap()
    };
    let plain = predict(&[]);
    assert!(plain.starts_with("row,predicted,") && plain.lines().next().unwrap().contains(",=1+1"));
    let safe = predict(&["--csv-safe"]);
    assert!(safe.lines().next().unwrap().contains(",'=1+1") && !safe.contains(",=1+1"));
    let json: Value = serde_json::from_str(&predict(&["--json"])).unwrap();
    assert_eq!((json["rows"].as_u64(), json["table"].as_str()), (Some(240), Some(&plain[..])));
}

/// Of every command whose tables hold names.
#[test]
fn tables_hold_no_formulas_where_none_are_wanted() {
    let place = Place::new();
    let data = place.write("data.csv", table().replace("a,b,c,", "=a,+b,-1,"));
    let quick = ["--target", "class", "--epochs", "5", "--hidden", "4", "--device", "cpu"];
    let train: &[&str] = &["train", &data, "--folds", "0"];
    let select: &[&str] = &["select", &data, "--seeds", "1", "--penalties", "2", "--pairs", "1", "--controls", "1"];
    for (command, tables) in [(train, &["relevance.csv"][..]), (select, &["relevance.csv", "path_relevance.csv"])] {
        for safe in [false, true] {
            let out = place.text(if safe { "safe" } else { "plain" });
            let more: &[&str] = if safe { &["--csv-safe"] } else { &[] };
            let done = eigenlens(&[command, &["--out", &out], &quick, more].concat());
            assert!(done.status.success(), "{}", stderr(&done));
            for name in tables {
                let text = std::fs::read_to_string(format!("{out}/{name}")).unwrap();
                let cells: Vec<&str> = text.lines().skip(1).flat_map(|line| line.split(',')).collect();
                let has = |cell: &str| cells.contains(&cell);
                assert_eq!(
                    [has("=a"), has("+b"), has("'=a"), has("'+b")],
                    [!safe, !safe, safe, safe],
                    "{name}: {text}"
                );
                // A number is none.
                assert!(has("-1") && !has("'-1"), "{name}: {text}");
            }
        }
    }
}

#[test]
fn channels_of_another_name_are_refused() {
    let place = Place::new();
    let write = |name: &str, channels: [&str; 3]| {
        let path = place.text(name);
        let mut archive = NpzWriter::create(&path);
        let mut x = archive.array::<f32>("X").default_dtype().shape(&[60, 3, 8]).begin_nd().unwrap();
        x.extend((0..60 * 24).map(|i| ((i * 7919 % 997) as f32 / 500.0 - 1.0) + (i / 24 % 2) as f32)).unwrap();
        x.finish().unwrap();
        let mut y = archive.array::<i64>("y").default_dtype().shape(&[60]).begin_nd().unwrap();
        y.extend((0..60).map(|i| i % 2)).unwrap();
        y.finish().unwrap();
        // NumPy's text: four bytes a character.
        let header = "{'descr': '<U4', 'fortran_order': False, 'shape': (3,), }\n";
        let text: Vec<u8> = channels
            .iter()
            .flat_map(|name| name.chars().map(u32::from).chain(std::iter::repeat(0)).take(4))
            .flat_map(u32::to_le_bytes)
            .collect();
        let zip = archive.zip_writer();
        zip.start_file("channels.npy", zip::write::SimpleFileOptions::default()).unwrap();
        let length = (header.len() as u16).to_le_bytes();
        zip.write_all(&[b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &text].concat()).unwrap();
        drop(archive);
        path
    };
    let data = write("data.npz", ["Fp1", "Fp2", "Cz"]);
    let out = place.text("out");
    let args = [
        "train",
        &data,
        "--layout",
        "channels-first",
        "--epochs",
        "2",
        "--hidden",
        "4",
        "--device",
        "cpu",
        "--out",
        &out,
    ];
    let trained = eigenlens(&args);
    assert!(trained.status.success(), "{}", stderr(&trained));
    let model = format!("{out}/model.safetensors");
    let predict = |data: &str| eigenlens(&["predict", &model, data, "--out", "-", "--device", "cpu"]);
    assert!(predict(&data).status.success());
    let other = write("other.npz", ["Fp2", "Fp1", "Cz"]);
    refused(&predict(&other), 1, &["other.npz", "channel 0 is called \"Fp2\" where the model has \"Fp1\""]);
}

#[test]
fn half_precision_is_read_and_other_pictures_are_named() {
    let place = Place::new();
    let header = "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }\n";
    let halves = [0x3c00u16, 0xc000, 0x0001, 0x7bff, 0x3555, 0x8000];
    let length = (header.len() as u16).to_le_bytes();
    let bytes: Vec<u8> = halves.iter().flat_map(|h| h.to_le_bytes()).collect();
    let path = place.write("half.npy", [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &bytes].concat());
    let data = load(&Request { need_target: false, ..Request::new(&path) }).unwrap();
    let eigenlens::data::Values::F32(values) = data.x else { panic!("floats") };
    assert_eq!(values, [1.0, -2.0, 2f32.powi(-24), 65504.0, 0.333_251_95, -0.0]);
    let gif = place.write("a.gif", "GIF89a");
    let request = Request {
        pictures: eigenlens::data::Preprocess { mean: Some(vec![0.5]), ..Default::default() },
        ..Request::new(&gif)
    };
    let text = load(&request).unwrap_err().to_string();
    assert!(text.contains("a.gif") && text.contains("JPEG or PNG"), "{text}");
}
