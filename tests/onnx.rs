//! ONNX networks: what each operator becomes, whole graphs through the commands, and files that are refused.

mod common;
#[path = "../src/model_file/onnx/encode.rs"]
#[allow(dead_code)]
mod encode;
#[path = "../src/model_file/onnx/samples.rs"]
#[allow(dead_code)]
mod samples;

use std::fs;

use common::program::{Place, eigenlens, refused, stderr, stdout};
use eigenlens::Device;
use eigenlens::model_file::onnx::{self, Imported};
use eigenlens::network::local::SlopeForm;
use eigenlens::specxai::{ExplainSettings, LocalOperator, explain};
use npyz::WriterBuilder;

use encode::{Bytes, attribute_float as float, attribute_int, floats, node, value};
use samples::{attribute_ints, attribute_tensor, ints, model, small_model};

fn text(name: &str, value: &str) -> Bytes {
    Bytes::default().bytes(1, name).bytes(4, value).int(20, 3)
}

/// A model with the input x and the output y.
fn whole(input: &[i64], nodes: &[Bytes], initializers: &[Bytes]) -> Vec<u8> {
    let graph = nodes.iter().fold(Bytes::default(), |graph, node| graph.message(1, node.clone())).bytes(2, "g");
    let graph = initializers.iter().fold(graph, |graph, tensor| graph.message(5, tensor.clone()));
    model(graph.message(11, value("x", input)).message(12, value("y", &[-1, 1]))).0
}

fn load(bytes: &[u8]) -> Result<Imported, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    fs::write(&path, bytes).unwrap();
    onnx::load(&path).map_err(|error| error.to_string())
}

fn outputs(found: &Imported, x: &[f64]) -> Vec<f64> {
    let device = Device::CpuF64 { threads: 1 };
    let rows = x.len() / found.network.input_width();
    let mut operator =
        LocalOperator::new(&found.network, &found.parameters, &[], SlopeForm::Tangent, rows, &device).unwrap();
    operator.load(x).unwrap();
    operator.output().unwrap().into_packed()
}

/// What a model makes of `x`; `expected` is by hand.
fn check(input: &[i64], nodes: &[Bytes], initializers: &[Bytes], x: &[f64], expected: &[f64]) {
    let found = load(&whole(input, nodes, initializers)).unwrap();
    let y = outputs(&found, x);
    assert_eq!(y.len(), expected.len(), "{:?}", found.network);
    // Weights are f32.
    assert!(y.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6 * (1.0 + b.abs())), "{y:?} is not {expected:?}");
}

/// One node that reads x and constants a, b, c, d.
fn one(input: &[i64], op: &str, attributes: &[Bytes], constants: &[Bytes], x: &[f64], expected: &[f64]) {
    let names = &["x", "a", "b", "c", "d"][..=constants.len()];
    let constants: Vec<Bytes> = constants.iter().zip(&names[1..]).map(|(c, name)| c.clone().bytes(8, name)).collect();
    check(input, &[node(op, "n", names, &["y"], attributes)], &constants, x, expected);
}

#[test]
fn operators_with_weights() {
    let matrix = floats("", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    one(&[-1, 2], "MatMul", &[], std::slice::from_ref(&matrix), &[1.0, 10.0], &[41.0, 52.0, 63.0]);
    let bias = floats("", &[1, 2], &[0.5, -0.5]);
    let scaled = [attribute_int("transB", 1), float("alpha", 2.0), float("beta", 10.0)];
    one(&[-1, 3], "Gemm", &scaled, &[matrix, bias], &[1.0, 0.0, 1.0], &[13.0, 15.0]);
    // Two channels, a kernel of 2 with padding before, stride 2.
    let kernel = floats("", &[1, 2, 2], &[1.0, 2.0, 10.0, 20.0]);
    let moves = [attribute_ints("pads", &[1, 0]), attribute_ints("strides", &[2])];
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    one(&[-1, 2, 3], "Conv", &moves, &[kernel, floats("", &[1], &[0.5])], &x, &[82.5, 178.5]);
    let depthwise = floats("", &[2, 1, 1], &[2.0, 3.0]);
    one(&[-1, 2, 3], "Conv", &[attribute_int("group", 2)], &[depthwise], &x, &[2.0, 4.0, 6.0, 12.0, 15.0, 18.0]);
    let two = |a: f32, b: f32| floats("", &[2], &[a, b]);
    let constants = [two(1.0, 2.0), two(0.0, 1.0), two(1.0, 4.0), two(4.0, 1.0)];
    one(&[-1, 2, 1], "BatchNormalization", &[float("epsilon", 0.0)], &constants, &[3.0, 5.0], &[1.0, 3.0]);
}

#[test]
fn operators_that_move_and_sum() {
    let x: Vec<f64> = (0..12).map(f64::from).collect();
    let kernel = [attribute_ints("kernel_shape", &[2, 2])];
    one(&[-1, 1, 3, 4], "MaxPool", &kernel, &[], &x, &[5.0, 6.0, 7.0, 9.0, 10.0, 11.0]);
    let same = [kernel[0].clone(), text("auto_pad", "SAME_UPPER"), attribute_ints("strides", &[2, 2])];
    one(&[-1, 1, 3, 4], "AveragePool", &same, &[], &x, &[2.5, 4.5, 8.5, 10.5]);
    one(&[-1, 2, 2, 3], "GlobalAveragePool", &[], &[], &x, &[2.5, 8.5]);
    one(&[-1, 2, 2, 3], "GlobalMaxPool", &[], &[], &x, &[5.0, 11.0]);
    let axes = [attribute_ints("axes", &[-2, -1]), attribute_int("keepdims", 0)];
    one(&[-1, 2, 2, 3], "ReduceMean", &axes, &[], &x, &[2.5, 8.5]);
    let target = ints("", &[3], &[0, -1, 4]);
    one(&[-1, 12], "Reshape", &[], &[target], &x, &x);
    one(&[-1, 12], "Unsqueeze", &[], &[ints("", &[1], &[2])], &x, &x);
    one(&[-1, 12, 1], "Squeeze", &[], &[], &x, &x);
    let chained = [
        node("Relu", "a", &["x"], &["p"], &[]),
        node("Concat", "b", &["p", "x"], &["q"], &[attribute_int("axis", 1)]),
        node("Add", "c", &["q", "q"], &["y"], &[]),
    ];
    check(&[-1, 2], &chained, &[], &[-1.0, 2.0], &[0.0, 4.0, -2.0, 4.0]);
}

#[test]
fn constants_are_spread() {
    let x = [1.0, 2.0, 3.0, 4.0];
    let by_channel = floats("", &[2, 1], &[10.0, 20.0]);
    one(&[-1, 2, 2], "Add", &[], std::slice::from_ref(&by_channel), &x, &[11.0, 12.0, 23.0, 24.0]);
    one(&[-1, 2, 2], "Mul", &[], &[by_channel], &x, &[10.0, 20.0, 60.0, 80.0]);
    one(&[-1, 2, 2], "Sub", &[], &[floats("", &[2], &[1.0, 2.0])], &x, &[0.0, 0.0, 2.0, 2.0]);
    one(&[-1, 2, 2], "Div", &[], &[floats("", &[], &[2.0])], &x, &[0.5, 1.0, 1.5, 2.0]);
    let turned = [node("Sub", "n", &["a", "x"], &["y"], &[])];
    check(&[-1, 4], &turned, &[floats("a", &[1], &[1.0])], &x, &[0.0, -1.0, -2.0, -3.0]);
    // What follows a product without a bias is its bias.
    let added = [node("MatMul", "m", &["x", "a"], &["p"], &[]), node("Add", "n", &["b", "p"], &["y"], &[])];
    let constants = [floats("a", &[4, 1], &[1.0; 4]), floats("b", &[1], &[0.5])];
    check(&[-1, 4], &added, &constants, &x, &[10.5]);
    assert_eq!(load(&whole(&[-1, 4], &added, &constants)).unwrap().network.nodes.len(), 2);
}

#[test]
fn activations() {
    let x = [-2.0, 0.0, 1.5];
    type Function = fn(f64) -> f64;
    let cases: [(&str, Function); 5] = [
        ("Relu", |x| x.max(0.0)),
        ("Tanh", f64::tanh),
        ("Elu", |x| if x > 0.0 { x } else { x.exp() - 1.0 }),
        ("LeakyRelu", |x| if x > 0.0 { x } else { 0.01 * x }),
        ("Gelu", |x| 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt()))),
    ];
    for (op, f) in cases {
        one(&[-1, 3], op, &[], &[], &x, &x.map(f));
    }
    // A sigmoid at the end is taken off; another isn't.
    let nodes = [node("Sigmoid", "s", &["x"], &["p"], &[]), node("Softmax", "t", &["p"], &["y"], &[])];
    let found = load(&whole(&[-1, 3], &nodes, &[])).unwrap();
    assert_eq!(found.removed.as_deref(), Some("Softmax"));
    assert_eq!(found.network.output().name, "s");
}

#[test]
fn a_fixed_batch_and_shape_arithmetic_keep_the_batch() {
    let found = load(&small_model()).unwrap();
    assert_eq!(outputs(&found, &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]), [4.5, 9.5, 2.5, 4.5]);
    assert_eq!(found.network.nodes[1].name, "flat");
    let target = ints("", &[2], &[1, 4]);
    one(
        &[1, 2, 2],
        "Reshape",
        &[],
        &[target],
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
    );
}

#[test]
fn what_isn_t_supported_is_told() {
    let refuse = |input: &[i64], nodes: &[Bytes], initializers: &[Bytes], parts: &[&str]| {
        let error = load(&whole(input, nodes, initializers)).unwrap_err();
        parts.iter().for_each(|part| assert!(error.contains(part), "{error} doesn't tell {part}"));
        assert!(!error.contains('\n'), "{error}");
    };
    let alone = |op: &str, attributes: &[Bytes]| [node(op, "here", &["x"], &["y"], attributes)];
    refuse(&[-1, 3], &alone("Einsum", &[]), &[], &["here", "Einsum", "supported are Abs"]);
    refuse(&[-1, 3], &alone("Gelu", &[text("approximate", "tanh")]), &[], &["approximation tanh"]);
    refuse(&[-1, 3], &alone("Flatten", &[attribute_int("axis", 0)]), &[], &["axis is 0"]);
    refuse(&[-1, 3], &alone("MaxPool", &[attribute_ints("kernel_shape", &[2])]), &[], &["spatial axes take 0"]);
    refuse(&[-1, 1, 3], &alone("MaxPool", &[attribute_ints("kernel_shape", &[9])]), &[], &["reaches over 9"]);
    refuse(&[-1, 1, 3], &alone("MaxPool", &[attribute_ints("kernel_shape", &[-1])]), &[], &["kernel_shape"]);
    refuse(&[-1, -1], &alone("Relu", &[]), &[], &["isn't told"]);
    refuse(&[-1], &alone("Relu", &[]), &[], &["shape []"]);
    refuse(&[-1, 3], &[node("Relu", "r", &["z"], &["y"], &[])], &[], &["0 inputs"]);
    refuse(&[-1, 3], &[node("Add", "r", &["x", "z"], &["y"], &[])], &[], &["reads z"]);
    let circle = [
        node("Add", "r", &["x", "q"], &["p"], &[]),
        node("Add", "s", &["p", "x"], &["q"], &[]),
        node("Relu", "t", &["q"], &["y"], &[]),
    ];
    refuse(&[-1, 3], &circle, &[], &["reads q"]);
    // What would take all memory is refused before anything is allocated.
    refuse(&[-1, 1 << 24], &alone("Relu", &[]), &[], &["elements are supported"]);
    let huge = [attribute_ints("kernel_shape", &[1, 1, 1]), attribute_ints("pads", &[1 << 23; 6])];
    refuse(&[-1, 1, 2, 2, 2], &alone("AveragePool", &huge), &[], &["elements are supported"]);
    let wide = [attribute_ints("kernel_shape", &[8191, 8191]), text("auto_pad", "SAME_UPPER")];
    refuse(&[-1, 1, 1000, 1000], &alone("AveragePool", &wide), &[], &["terms"]);
    refuse(&[-1, 1, 1000, 1000], &alone("MaxPool", &wide), &[], &["look at"]);
    let constant = [node("Constant", "c", &[], &["y"], &[attribute_tensor("value", floats("", &[1], &[1.0]))])];
    refuse(&[-1, 3], &constant, &[], &["inputs"]);
    let kernel = [floats("a", &[1, 2, 3], &[0.0; 6])];
    refuse(&[-1, 3, 4], &[node("Conv", "c", &["x", "a"], &["y"], &[])], &kernel, &["1 × 2 channels"]);
    let target = [ints("a", &[2], &[3, -1])];
    refuse(&[-1, 6], &[node("Reshape", "c", &["x", "a"], &["y"], &[])], &target, &["keep the batch"]);
    let target = [ints("a", &[2], &[0, 5])];
    refuse(&[-1, 6], &[node("Reshape", "c", &["x", "a"], &["y"], &[])], &target, &["6 elements"]);
    let shape = [floats("a", &[2, 2, 2], &[0.0; 8])];
    refuse(&[-1, 3], &[node("Add", "c", &["x", "a"], &["y"], &[])], &shape, &["[2, 2, 2]"]);
}

/// The whole reader holds on damaged bytes, of a model that has a bit of everything.
#[test]
fn damaged_files_are_refused_without_a_panic() {
    let bytes = convolutional();
    load(&bytes).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    let mut random = samples::Random(88_172_645_463_325_252);
    for i in 0..4_000 {
        let mut damaged = bytes.clone();
        if i % 4 == 0 {
            damaged.truncate(random.below(bytes.len()));
        }
        for _ in 0..1 + random.below(3) {
            if !damaged.is_empty() {
                let at = random.below(damaged.len());
                damaged[at] = random.below(256) as u8;
            }
        }
        fs::write(&path, &damaged).unwrap();
        match onnx::load(&path) {
            Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
            // What is read can be run, whatever it has become.
            Ok(found) if found.network.nodes.iter().map(|node| node.width()).sum::<usize>() < 100_000 => {
                outputs(&found, &vec![0.5; found.network.input_width()]);
            }
            Ok(_) => {}
        }
    }
}

/// A residual network of pictures `[2, 6, 6]` with three classes and a softmax.
fn convolutional() -> Vec<u8> {
    let mut random = samples::Random(7);
    let mut normal = |dims: &[i64], name: &str| {
        let count = dims.iter().product::<i64>() as usize;
        let values: Vec<f32> = (0..count).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect();
        floats(name, dims, &values)
    };
    let padded = [attribute_ints("pads", &[1, 1, 1, 1])];
    let nodes = [
        node("Conv", "first", &["x", "w1", "b1"], &["a"], &padded),
        node("Relu", "relu", &["a"], &["b"], &[]),
        node("Conv", "second", &["b", "w2"], &["c"], &padded),
        node("BatchNormalization", "norm", &["c", "g", "h", "m", "v"], &["d"], &[]),
        node("Add", "sum", &["b", "d"], &["e"], &[]),
        node("Relu", "relu 2", &["e"], &["f"], &[]),
        node(
            "MaxPool",
            "pool",
            &["f"],
            &["p"],
            &[attribute_ints("kernel_shape", &[2, 2]), attribute_ints("strides", &[2, 2])],
        ),
        node("Flatten", "flat", &["p"], &["q"], &[]),
        node("Gemm", "classes", &["q", "w3", "b3"], &["r"], &[]),
        node("Softmax", "softmax", &["r"], &["y"], &[]),
    ];
    let initializers = [
        normal(&[3, 2, 3, 3], "w1"),
        normal(&[3], "b1"),
        normal(&[3, 3, 3, 3], "w2"),
        normal(&[3], "g"),
        normal(&[3], "h"),
        normal(&[3], "m"),
        floats("v", &[3], &[1.0, 2.0, 0.5]),
        normal(&[27, 3], "w3"),
        normal(&[3], "b3"),
    ];
    whole(&[-1, 2, 6, 6], &nodes, &initializers)
}

#[test]
fn an_explanation_adds_up_at_every_split() {
    let found = load(&convolutional()).unwrap();
    let x: Vec<f64> = (0..2 * 72).map(|i| f64::from(i * 37 % 29) / 10.0 - 1.4).collect();
    let splits: Vec<usize> = (1..found.network.nodes.len()).collect();
    for (device, tolerance) in [(Device::CpuF64 { threads: 2 }, 1e-12), (Device::Cpu { threads: 2 }, 1e-5)] {
        let settings = ExplainSettings { components: 200, ..ExplainSettings::at(&splits) };
        let explained = explain(&found.network, &found.parameters, &x, &settings, &device).unwrap();
        for e in &explained.explanations {
            assert!(
                e.residual < tolerance && e.map_residual < tolerance,
                "{}: {}, {}",
                e.split,
                e.residual,
                e.map_residual
            );
        }
    }
}

#[test]
fn the_commands_take_it() {
    let place = Place::new();
    let net = place.write("net.onnx", convolutional());
    let data = place.path("x.npz").display().to_string();
    let pixels: Vec<f32> = (0..5 * 72).map(|i| (i * 37 % 29) as f32 / 10.0 - 1.4).collect();
    let mut archive = npyz::npz::NpzWriter::create(&data).unwrap();
    let array = archive.array::<f32>("X", Default::default()).unwrap();
    let mut writer = array.default_dtype().shape(&[5, 2, 6, 6]).begin_nd().unwrap();
    writer.extend(pixels.iter().copied()).unwrap();
    writer.finish().unwrap();
    drop(archive);
    let table = place.path("p.csv").display().to_string();
    let logits = |more: &[&str]| {
        let done = eigenlens(&[&["predict", &net, &data, "--out", &table, "--device", "cpu"], more].concat());
        assert!(done.status.success(), "{}", stderr(&done));
        let text = fs::read_to_string(&table).unwrap();
        assert_eq!(text.lines().next(), Some("row,0,1,2"));
        let rows = text.lines().skip(1).map(|line| line.split(',').skip(1).map(|y| y.parse().unwrap()).collect());
        rows.collect::<Vec<Vec<f64>>>()
    };
    let rows = logits(&[]);
    let found = load(&convolutional()).unwrap();
    let x: Vec<f64> = pixels.iter().map(|&x| f64::from(x)).collect();
    let expected = outputs(&found, &x);
    assert!(rows.concat().iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{rows:?}, {expected:?}");
    for (probabilities, row) in logits(&["--keep-softmax"]).iter().zip(&rows) {
        let sum: f64 = row.iter().map(|y| y.exp()).sum();
        assert!(probabilities.iter().zip(row).all(|(p, y)| (p - y.exp() / sum).abs() < 1e-6));
    }
    let inspected = eigenlens(&["inspect", &net]);
    assert!(inspected.status.success(), "{}", stderr(&inspected));
    let text = stdout(&inspected);
    assert!(
        ["convolution 3 × 3", "norm", "with a bypass", "3×6×6", "max-pool 2 × 2 / 2", "Softmax", "didn't share memory"]
            .iter()
            .all(|part| text.contains(part)),
        "{text}"
    );
    let out = place.path("why").display().to_string();
    let explained =
        eigenlens(&["explain", &net, &data, "--rows", "0,3", "--split", "all", "--out", &out, "--device", "cpu"]);
    assert!(explained.status.success(), "{}", stderr(&explained));
    assert!(stdout(&explained).contains("Every sum adds up"), "{}", stdout(&explained));
    let list: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(place.path("why/explanations.json")).unwrap()).unwrap();
    assert!(list.as_array().unwrap().len() >= 2 * 5);
    refused(&eigenlens(&["rank", &net]), 1, &["net.onnx", "explain"]);
    refused(&eigenlens(&["curve", &net, &data, "--out", &out]), 1, &["net.onnx", "explain"]);
    let broken = place.write("broken.onnx", &convolutional()[..200]);
    refused(&eigenlens(&["predict", &broken, &data, "--out", &table]), 1, &["broken.onnx"]);
}

/// What `export` writes answers as the model does, and knows its columns by name.
#[test]
fn an_exported_model_answers_alike() {
    let place = Place::new();
    let mut csv = String::from("a,b,c,price,kind\n");
    for i in 0..200u32 {
        let x = [i * 37 % 101, i * 53 % 89, i * 71 % 97].map(|n| f64::from(n) / 10.0);
        let kind = ["low", "middle", "high"][usize::from(x[0] > 3.0) + usize::from(x[0] > 7.0)];
        csv.push_str(&format!("{},{},{},{},{kind}\n", x[0], x[1], x[2], 1000.0 + 40.0 * x[0] - 9.0 * x[1]));
    }
    let data = place.write("data.csv", csv);
    let cases: [(&str, &[&str]); 3] = [
        ("price", &["--drop", "kind", "--replicas", "2", "--activation", "silu", "--epochs", "20"]),
        (
            "kind",
            &[
                "--drop",
                "price",
                "--hidden",
                "8,8",
                "--residual",
                "--batch-norm",
                "all",
                "--activation",
                "gelu",
                "--epochs",
                "20",
            ],
        ),
        (
            "price",
            &[
                "--drop",
                "kind",
                "--spectral",
                "all",
                "--train",
                "psi,lambda_in,lambda_out",
                "--activation",
                "leaky-relu",
                "--epochs",
                "20",
            ],
        ),
    ];
    for (i, (target, more)) in cases.into_iter().enumerate() {
        let out = place.text(&format!("run{i}"));
        let done = eigenlens(&[&["train", &data, "--target", target, "--out", &out, "--device", "cpu"], more].concat());
        assert!(done.status.success(), "{}", stderr(&done));
        let (model, net) = (format!("{out}/model.safetensors"), place.text(&format!("net{i}.onnx")));
        let done = eigenlens(&["export", &model, "--out", &net]);
        assert!(done.status.success(), "{}", stderr(&done));
        let tables = [(&model, "own.csv"), (&net, "onnx.csv")].map(|(file, name)| {
            let table = place.text(name);
            let done = eigenlens(&["predict", file, &data, "--logits", "--out", &table, "--device", "cpu"]);
            assert!(done.status.success(), "{}", stderr(&done));
            fs::read_to_string(table).unwrap()
        });
        assert_eq!(tables[0].lines().next(), tables[1].lines().next());
        let numbers = |text: &str| -> Vec<f64> {
            text.lines()
                .skip(1)
                .flat_map(|line| line.split(',').map(|y| y.parse().unwrap()).collect::<Vec<_>>())
                .collect()
        };
        let [own, onnx] = [numbers(&tables[0]), numbers(&tables[1])];
        // Prices of a thousand in f32.
        assert!(own.iter().zip(&onnx).all(|(a, b)| (a - b).abs() <= 2e-6 * (1.0 + a.abs())), "{target}");
    }
    refused(&eigenlens(&["export", &place.text("net0.onnx"), "--out", &place.text("again.onnx")]), 2, &["ONNX"]);
}
