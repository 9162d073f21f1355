//! ONNX networks: whole graphs through the commands, and files that are refused. (Operators one by one: `onnx_operators.rs`.)

use std::fs;

use crate::common::onnx::{load, one, outputs, text, whole};
use crate::common::program::{Place, eigenlens, refused, stderr, stdout};
use crate::encode::{Bytes, attribute_int, floats, node};
use crate::samples::{attribute_ints, attribute_tensor, ints, small_model};
use eigenlens::Device;
use eigenlens::model_file::onnx::{self, Imported};
use eigenlens::specxai::{ExplainSettings, explain};
use npyz::WriterBuilder;

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

/// Sizes beyond what 32 bits hold are sizes: too large, not untold or absent.
#[test]
fn sizes_that_are_too_large_are_called_that() {
    const LARGE: i64 = (1 << 32) + 2;
    let refuse = |input: &[i64], op: &str, attributes: &[Bytes], constants: &[Bytes], part: &str| {
        let names = &["x", "a", "b", "c"][..=constants.len()];
        let constants: Vec<Bytes> =
            constants.iter().zip(&names[1..]).map(|(c, name)| c.clone().bytes(8, name)).collect();
        let error = load(&whole(input, &[node(op, "here", names, &["y"], attributes)], &constants)).unwrap_err();
        assert!(error.contains("too large") && error.contains(part), "{op}: {error}");
    };
    refuse(&[-1, LARGE], "Relu", &[], &[], "an axis of its input x has 4294967298 elements");
    for name in ["kernel_shape", "strides", "dilations", "pads"] {
        let listed = |of: &str| if name == of { LARGE } else { 1 };
        let attributes: Vec<Bytes> = ["kernel_shape", "strides", "dilations"]
            .map(|of| attribute_ints(of, &[listed(of)]))
            .into_iter()
            .chain([attribute_ints("pads", &[listed("pads"), 0])])
            .collect();
        refuse(&[-1, 1, 3], "MaxPool", &attributes, &[], &format!("its {name} is"));
    }
    refuse(&[-1, 3, 2, 2], "LRN", &[attribute_int("size", LARGE)], &[], "its size is 4294967298");
    refuse(&[-1, 4, 2, 2], "DepthToSpace", &[attribute_int("blocksize", LARGE)], &[], "its blocksize is 4294967298");
    let sizes = |of: &[i64]| ints("", &[of.len() as i64], of);
    let none = floats("", &[0], &[]);
    refuse(&[1, 1, 3], "Resize", &[], &[none.clone(), none, sizes(&[1, 1, LARGE])], "axis 2 to 4294967298");
    refuse(&[-1, 1], "Expand", &[], &[sizes(&[1, LARGE])], "4294967298 elements");
    refuse(&[-1, 1], "Tile", &[], &[sizes(&[1, LARGE])], "4294967298 times");
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
    // Activations that are quantised; weights that are get read.
    let scale = [floats("a", &[], &[0.5]), floats("b", &[], &[0.25])];
    let quantised = [
        node("QuantizeLinear", "here", &["x", "a"], &["q"], &[]),
        node("DequantizeLinear", "there", &["q", "b"], &["y"], &[]),
    ];
    refuse(&[-1, 3], &quantised, &scale, &["node here, QuantizeLinear", "slope is 0", "weights alone quantised"]);
    refuse(&[-1, 3], &alone("DynamicQuantizeLinear", &[]), &[], &["slope is 0", "in floating point"]);
    refuse(&[-1, 3], &alone("Gelu", &[text("approximate", "none at all")]), &[], &["approximation none at all"]);
    refuse(&[-1, 3], &alone("Flatten", &[attribute_int("axis", 0)]), &[], &["first axis of its output"]);
    refuse(&[-1, 3], &alone("Flatten", &[attribute_int("axis", 5)]), &[], &["axis is 5"]);
    refuse(&[-1, 3], &alone("MaxPool", &[attribute_ints("kernel_shape", &[2])]), &[], &["spatial axes take 0"]);
    refuse(&[-1, 1, 3], &alone("MaxPool", &[attribute_ints("kernel_shape", &[9])]), &[], &["reaches over 9"]);
    refuse(&[-1, 1, 3], &alone("MaxPool", &[attribute_ints("kernel_shape", &[-1])]), &[], &["kernel_shape"]);
    refuse(&[-1, -1], &alone("Relu", &[]), &[], &["isn't told"]);
    refuse(&[-1, 0], &alone("Relu", &[]), &[], &["isn't told"]);
    refuse(&[-1], &alone("Relu", &[]), &[], &["shape []"]);
    refuse(&[-1, 3], &[node("Relu", "r", &["z"], &["y"], &[])], &[], &["0 inputs"]);
    refuse(&[-1, 3], &[node("Add", "r", &["x", "z"], &["y"], &[])], &[], &["reads z"]);
    let circle = [
        node("Add", "r", &["x", "q"], &["p"], &[]),
        node("Add", "s", &["p", "x"], &["q"], &[]),
        node("Relu", "t", &["q"], &["y"], &[]),
    ];
    refuse(&[-1, 3], &circle, &[], &["reads q"]);
    let end = [node("Identity", "r", &["y", "x"], &["y"], &[])];
    refuse(&[-1, 3], &end, &[], &["reads y"]);
    // What would take all memory is refused before anything is allocated.
    refuse(&[-1, 1 << 24], &alone("Relu", &[]), &[], &["elements are supported"]);
    let huge = [attribute_ints("kernel_shape", &[1 << 12; 3]), attribute_ints("pads", &[4095; 6])];
    refuse(&[-1, 1, 2, 2, 2], &alone("AveragePool", &huge), &[], &["elements are supported"]);
    let wide = [attribute_ints("kernel_shape", &[8191, 8191]), text("auto_pad", "SAME_UPPER")];
    refuse(&[-1, 1, 1000, 1000], &alone("AveragePool", &wide), &[], &["terms"]);
    refuse(&[-1, 1, 1000, 1000], &alone("MaxPool", &wide), &[], &["look at"]);
    let constant = [node("Constant", "c", &[], &["y"], &[attribute_tensor("value", floats("", &[1], &[1.0]))])];
    refuse(&[-1, 3], &constant, &[], &["inputs"]);
    let kernel = [floats("a", &[1, 2, 3], &[0.0; 6])];
    refuse(&[-1, 3, 4], &[node("Conv", "c", &["x", "a"], &["y"], &[])], &kernel, &["1 × 2 channels"]);
    let kernel = [floats("a", &[2, 1, 3], &[0.0; 6])];
    refuse(&[-1, 3, 4], &[node("ConvTranspose", "c", &["x", "a"], &["y"], &[])], &kernel, &["for 2 channels"]);
    let twice = [floats("a", &[2], &[2.0, 2.0])];
    refuse(&[-1, 3], &[node("Upsample", "c", &["x", "a"], &["y"], &[])], &twice, &["resizes the batch"]);
    let huge = [floats("a", &[2], &[1.0, 1e38])];
    refuse(&[-1, 3], &[node("Upsample", "c", &["x", "a"], &["y"], &[])], &huge, &["can't have the shape"]);
    let target = [ints("a", &[2], &[3, -1])];
    refuse(&[-1, 6], &[node("Reshape", "c", &["x", "a"], &["y"], &[])], &target, &["keep the batch"]);
    let target = [ints("a", &[2], &[0, 5])];
    refuse(&[-1, 6], &[node("Reshape", "c", &["x", "a"], &["y"], &[])], &target, &["6 elements"]);
    let shape = [floats("a", &[2, 2, 2], &[0.0; 8])];
    refuse(&[-1, 3], &[node("Add", "c", &["x", "a"], &["y"], &[])], &shape, &["[2, 2, 2]"]);
}

#[test]
fn a_folder_or_data_in_the_place_of_a_model_is_told() {
    let place = Place::new();
    let [folder, absent, out] = [".", "absent", "out"].map(|name| place.text(name));
    refused(&eigenlens(&["rank", &folder]), 1, &["it is a folder", "or an .onnx file"]);
    place.write("model.safetensors", "no model");
    refused(&eigenlens(&["rank", &folder]), 1, &["it is a folder", "give", "model.safetensors"]);
    let table = place.write("some.csv", "a,b,y\n1,2,0\n2,3,1\n");
    refused(&eigenlens(&["predict", &table, "net.onnx", "--out", &out]), 1, &["it is not a model file", ".onnx file"]);
    let told = |data: &str, part: &str| refused(&eigenlens(&["train", data, "--out", &out]), 2, &[part]);
    told("net.onnx", "net.onnx: a network stands where data should");
    told(&absent, "there is no such file or folder");
    told(&place.write("notes.pdf", "x"), "unknown kind of data");
}

/// Counted is what the file holds: a layer without a bias has none, whatever adds it.
#[test]
fn inspect_counts_no_bias_that_is_not_there() {
    let place = Place::new();
    let weights = [
        floats("conv", &[2, 1, 1, 1], &[1.0; 2]),
        floats("matrix", &[8, 3], &[1.0; 24]),
        floats("added", &[3], &[0.0; 3]),
        floats("last", &[3, 2], &[1.0; 6]),
    ];
    let nodes = [
        node("Conv", "c", &["x", "conv"], &["c"], &[]),
        node("Flatten", "f", &["c"], &["f"], &[]),
        node("MatMul", "m", &["f", "matrix"], &["m"], &[]),
        node("Add", "a", &["m", "added"], &["a"], &[]),
        node("MatMul", "l", &["a", "last"], &["y"], &[]),
    ];
    fs::write(place.path("net.onnx"), whole(&[-1, 1, 2, 2], &nodes, &weights)).unwrap();
    let told = stdout(&eigenlens(&["inspect", &place.text("net.onnx")]));
    // Zeros that the file holds count.
    assert!(told.contains(&format!("\n{} parameters,", 2 + 24 + 3 + 6)), "{told}");
}

#[test]
fn rows_may_have_more_axes_than_space() {
    let place = Place::new();
    fs::write(place.path("net.onnx"), whole(&[-1, 2, 1, 1, 1, 1, 2], &[node("Relu", "r", &["x"], &["y"], &[])], &[]))
        .unwrap();
    let told = eigenlens(&["inspect", &place.text("net.onnx")]);
    assert!(stdout(&told).contains("2×1×1×1×1×2"), "{}", stderr(&told));
}

/// The whole reader holds on damaged bytes, of a model that has a bit of everything.
#[test]
fn damaged_files_are_refused_without_a_panic() {
    let (first, second) = (convolutional(), attention());
    load(&first).and(load(&second)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    let mut random = crate::samples::Random(88_172_645_463_325_252);
    for i in 0..6_000 {
        let bytes = if i % 3 == 0 { &second } else { &first };
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
    let mut random = crate::samples::Random(7);
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

/// Attention over the places of a picture, between a strided convolution and a transposed one: normalisation, softmax, products of
/// activations, resizing.
fn attention() -> Vec<u8> {
    let mut random = crate::samples::Random(11);
    let mut normal = |dims: &[i64], name: &str| {
        let count = dims.iter().product::<i64>() as usize;
        let values: Vec<f32> = (0..count).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect();
        floats(name, dims, &values)
    };
    let (two, turned) = (attribute_ints("strides", &[2, 2]), attribute_ints("perm", &[0, 2, 1]));
    let nodes = [
        node("Conv", "patches", &["x", "w1", "b1"], &["a"], std::slice::from_ref(&two)),
        node("InstanceNormalization", "norm", &["a", "g", "h"], &["b"], &[]),
        node("Reshape", "places", &["b", "flat"], &["c"], &[]),
        node("Transpose", "keys", &["c"], &["d"], std::slice::from_ref(&turned)),
        node("MatMul", "likeness", &["d", "c"], &["e"], &[]),
        node("Softmax", "weights", &["e"], &["f"], &[attribute_int("axis", 2)]),
        node("MatMul", "mix", &["f", "d"], &["m"], &[]),
        node("LayerNormalization", "layer norm", &["m", "g", "h"], &["n"], &[]),
        node("Transpose", "back", &["n"], &["o"], &[turned]),
        node("Reshape", "picture", &["o", "square"], &["p"], &[]),
        node("Add", "residual", &["p", "b"], &["q"], &[]),
        node("ConvTranspose", "up", &["q", "w2"], &["r"], &[two]),
        node("Resize", "resize", &["r", "", "half"], &["s"], &[text("mode", "linear")]),
        node("LRN", "response", &["s"], &["t"], &[attribute_int("size", 3)]),
        node("ReduceMax", "largest", &["t"], &["u"], &[attribute_ints("axes", &[1])]),
        node("Flatten", "all", &["u"], &["y"], &[]),
    ];
    let initializers = [
        normal(&[3, 2, 2, 2], "w1"),
        normal(&[3], "b1"),
        normal(&[3], "g"),
        normal(&[3], "h"),
        ints("flat", &[3], &[0, 3, 9]),
        ints("square", &[4], &[0, 3, 3, 3]),
        normal(&[3, 4, 2, 2], "w2"),
        floats("half", &[4], &[1.0, 1.0, 0.5, 0.5]),
    ];
    whole(&[-1, 2, 6, 6], &nodes, &initializers)
}

#[test]
fn an_explanation_adds_up_at_every_split() {
    for bytes in [convolutional(), attention()] {
        adds_up(&load(&bytes).unwrap());
    }
}

fn adds_up(found: &Imported) {
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
    let mut archive = crate::common::npz::NpzWriter::create(&data);
    let array = archive.array::<f32>("X");
    let mut writer = array.default_dtype().shape(&[5, 2, 6, 6]).begin_nd().unwrap();
    writer.extend(pixels.iter().copied()).unwrap();
    writer.finish().unwrap();
    drop(archive);
    let table = place.path("p.csv").display().to_string();
    let logits = |more: &[&str]| {
        let done = eigenlens(&[&["predict", &net, &data, "--out", &table, "--device", "cpu"], more].concat());
        let said = stderr(&done);
        assert!(done.status.success(), "{said}");
        // Once, and not where it is left on.
        let told = usize::from(more.is_empty());
        assert_eq!(said.matches("a final Softmax was taken off").count(), told, "{said}");
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
    assert!(["maps.npz", "report.html"].iter().all(|name| place.path("why").join(name).exists()));
    // Nothing is between its input and its output.
    let same = place.write("same.onnx", whole(&[-1, 2, 6, 6], &[node("Identity", "n", &["x"], &["y"], &[])], &[]));
    for more in [&[][..], &["--split", "all"]] {
        let arguments = ["explain", &same, &data, "--out", &out, "--device", "cpu"];
        refused(&eigenlens(&[&arguments, more].concat()), 2, &["no node to split it at"]);
    }
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
    let cases: [(&str, &[&str]); 4] = [
        // With a category among the inputs.
        ("price", &["--epochs", "20"]),
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

/// A few kilobytes that say of a file with holes that it holds thousands of tensors of 8 GiB; and a model that is itself all holes.
#[test]
fn what_a_file_claims_is_held_against_the_memory() {
    let place = Place::new();
    let holes = |name: &str, length: u64| fs::File::create(place.path(name)).unwrap().set_len(length).unwrap();
    holes("weights", 1 << 33);
    let names: Vec<String> = (0..4096).map(|i| format!("w{i}")).collect();
    let tensors: Vec<Bytes> = names
        .iter()
        .map(|name| {
            let entry = Bytes::default().bytes(1, "location").bytes(2, "weights");
            Bytes::default().int(1, 1 << 31).int(2, 1).bytes(8, name).message(13, entry).int(14, 1)
        })
        .collect();
    let inputs: Vec<&str> = ["x"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let path = place.path("net.onnx");
    fs::write(&path, whole(&[-1, 1], &[node("Sum", "s", &inputs, &["y"], &[])], &tensors)).unwrap();
    let error = onnx::load(&path).expect_err("64 TiB of parameters").to_string();
    assert!(error.contains("net.onnx: the network needs 67108864 MiB") && error.contains("are free"), "{error}");
    holes("large.onnx", 1 << 43);
    let error = onnx::load(place.path("large.onnx")).expect_err("8 TiB").to_string();
    assert!(error.contains("large.onnx needs 8388608 MiB"), "{error}");
}
