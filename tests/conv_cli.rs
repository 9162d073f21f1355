//! `--conv` on the command line: a training, what it leaves, and what is refused.

use std::process::{Command, Output};

use eigenlens::Model;

fn eigenlens(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eigenlens")).args(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn a_model_of_channels_goes_through_every_command() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let output = eigenlens(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let out = path("run");
    let train = ["train", "channels", "--conv", "6:5,4:3:2", "--pool", "2,0", "--batch-norm", "all", "--device", "cpu"];
    let told = run(&[&train[..], &["--epochs", "20", "--out", &out]].concat());
    assert!(told.contains("Of 16 channels") && told.contains("channel 1"), "{told}");
    let model = path("run/model.safetensors");
    let loaded = Model::load(&model).unwrap();
    assert!(loaded.ranks_channels() && loaded.description.architecture.ridge);
    let ranked: serde_json::Value = serde_json::from_str(&run(&["rank", &model, "--json"])).unwrap();
    assert_eq!((ranked["features"].as_u64(), ranked["weight_norm"].as_array().unwrap().len()), (Some(16), 16));
    let curve = run(&["curve", &model, "channels", "--out", &out, "--device", "cpu"]);
    assert!(curve.contains("all inputs"), "{curve}");
    assert!(run(&["inspect", &model]).contains("convolution 5, spectral weight"));
    run(&["predict", &model, "channels", "--logits", "--out", &path("own.csv"), "--device", "cpu"]);
    let onnx = path("model.onnx");
    assert!(run(&["export", &model, "--out", &onnx]).contains("16 channel, 32 position"));
    run(&["predict", &onnx, "channels", "--out", &path("back.csv"), "--device", "cpu"]);
    let numbers = |name: &str| -> Vec<f64> {
        let table = std::fs::read_to_string(path(name)).unwrap();
        table.lines().skip(1).flat_map(|line| line.split(',').skip(1)).map(|x| x.parse().unwrap()).collect()
    };
    let (own, back) = (numbers("own.csv"), numbers("back.csv"));
    let largest = own.iter().fold(0.0f64, |most, y| most.max(y.abs()));
    // The weights and batch norm are folded: another order of rounding.
    assert!(own.len() == 8000 && own.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-5 * largest));
    run(&["explain", &model, "channels", "--rows", "0,1", "--out", &out, "--device", "cpu"]);
}

#[test]
fn bad_convolutions_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("run").to_str().unwrap().to_owned();
    for (arguments, parts) in [
        (&["channels", "--conv", "16"][..], &["channels:kernel", "16:5"][..]),
        (&["channels", "--conv", "0:5"], &["no convolution"]),
        (&["channels", "--conv", "16:5:99999999999999999999"], &["no convolution"]),
        (&["channels", "--conv", "16:5", "--pool", "2,2"], &["--pool names 2 for 1 convolutions"]),
        (&["channels", "--conv", "16:5", "--pool", "x"], &["no pooling"]),
        (&["channels", "--pool", "2"], &["--conv"]),
        (&["channels", "--conv", "16:5", "--activation", "relu,relu,relu"], &["1 convolutions and 1 hidden layers"]),
        (&["gaussian", "--conv", "16:5"], &["spatial axes", "leave --conv out"]),
        (&["channels", "--conv", "4:3x3"], &["2 sizes", "1 spatial axes"]),
        (&["channels", "--conv", "4:3,4:3", "--pool", "20"], &["max_pool2", "--pool 0"]),
    ] {
        let output = eigenlens(&[&["train"], arguments, &["--out", &out, "--device", "cpu", "--epochs", "1"]].concat());
        let said = text(&output.stderr);
        assert!(!output.status.success() && !said.contains("panicked"), "{arguments:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in: {said}");
        }
    }
}
