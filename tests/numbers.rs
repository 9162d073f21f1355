//! Numbers and their digits: columns and targets far from zero, outputs as they are written, R² that isn't defined, and which numbers are
//! classes.

use std::fs;

use eigenlens::Model;
use eigenlens::data::{Dataset, Request, ScaleKind, Scaling, Split, TargetScaling, Targets, Task, load};
use eigenlens::random::Random;
use eigenlens::train::Resident;

use crate::common::program::{Place, eigenlens, refused, stderr, stdout, train};

const ROWS: usize = 400;

/// Offset and scale, and what `f64` itself can tell apart there, in scales.
const PLACES: [(f64, f64); 9] = [
    (0.0, 1.0),
    (1e7, 1.0),
    (-1e12, 1.0),
    (1e12, 1e12),
    (1.7e9, 86_400.0),
    (0.0, 1e-12),
    (1e-3, 1e-12),
    (0.0, 1e12),
    (20.0, 1.0),
];

fn normals(seed: u64, columns: usize) -> Vec<f64> {
    let mut random = Random::new(seed, 1);
    (0..ROWS * columns).map(|_| random.normal()).collect()
}

fn array(values: &[f64], columns: usize, fortran: bool) -> Vec<u8> {
    let rows = values.len() / columns;
    let order = if fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': '<f8', 'fortran_order': {order}, 'shape': ({rows}, {columns}), }}");
    header.push_str(&" ".repeat((64 - (header.len() + 11) % 64) % 64));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    let at = |i: usize| if fortran { values[i % rows * columns + i / rows] } else { values[i] };
    bytes.extend((0..values.len()).flat_map(|i| at(i).to_le_bytes()));
    bytes
}

/// What enters the network is (x − mean)/std as `f64` has it, to single precision, whatever file the numbers came in.
#[test]
fn inputs_are_centred_in_double_precision() {
    let columns = PLACES.len();
    let base = normals(3, columns);
    let placed = |(i, z): (usize, &f64)| PLACES[i % columns].0 + PLACES[i % columns].1 * z;
    let values: Vec<f64> = base.iter().enumerate().map(placed).collect();
    let place = Place::new();
    let mut text = (0..columns).map(|c| format!("x{c},")).collect::<String>() + "y\n";
    for (r, row) in values.chunks_exact(columns).enumerate() {
        row.iter().for_each(|x| text.push_str(&format!("{x:?},")));
        text.push_str(&format!("{}\n", 1e12 + r as f64 / 8.0));
    }
    let sources = [
        place.write("t.csv", text),
        place.write("c.npy", array(&values, columns, false)),
        place.write("f.npy", array(&values, columns, true)),
    ];
    let all: Vec<u32> = (0..ROWS as u32).collect();
    for source in &sources {
        let request = Request {
            target: Some("y".into()),
            task: Some(Task::Regress),
            need_target: source.ends_with("csv"),
            ..Request::new(source)
        };
        let dataset = load(&request).unwrap();
        let scaling = Scaling::fit(ScaleKind::Standard, &dataset, &all).unwrap();
        let target = TargetScaling::fit(&dataset, &all).unwrap();
        let parts = Split { train: all.clone(), ..Split::default() };
        let resident = Resident::of(&dataset, &scaling, &target, &parts);
        let inputs = resident.inputs(&all);
        for (c, (offset, scale)) in PLACES.into_iter().enumerate() {
            let column: Vec<f64> = values.iter().skip(c).step_by(columns).map(|x| x - offset).collect();
            let mean = column.iter().sum::<f64>() / ROWS as f64;
            let std = (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / ROWS as f64).sqrt();
            // Single precision of numbers up to 4, and of where the column was counted from; the mean's last digit in double precision.
            let near = 16.0 * f64::from(f32::EPSILON) + 2.0 * offset.abs() * f64::EPSILON / scale;
            // A column that lies no more than sixteen widths from zero is held as it is.
            let near = near + if scaling.origins[c] == 0.0 { 24.0 * f64::from(f32::EPSILON) } else { 0.0 };
            for (r, x) in column.iter().enumerate() {
                let (found, expected) = (inputs[r * columns + c], (x - mean) / std);
                assert!((found - expected).abs() <= near, "{source}: row {r}, column {c}: {found}, not {expected}");
                let seen = dataset.seen(r, c);
                let same = (seen - values[r * columns + c]).abs() <= near * scale;
                assert!(same, "{source}: row {r}, column {c} is seen as {seen}, not {}", values[r * columns + c]);
            }
        }
        assert_eq!(dataset.fingerprint(), load(&request).unwrap().fingerprint());
        if request.need_target {
            // An eighth in 1e12 is all there is of it, and exact.
            let known =
                f64::from(f32::from_bits(resident.targets[100])) - f64::from(f32::from_bits(resident.targets[92]));
            assert!((known - target.scale[0]).abs() < 1e-6 * target.scale[0], "eight rows are one unit: {known}");
        }
    }
}

/// A missing cell of a column far from zero is its mean.
#[test]
fn cells_are_filled_from_where_the_column_is_counted() {
    let place = Place::new();
    let source = place.write("t.csv", "a,y\n1000000000.25,1\n,2\n1000000002.75,3.5\n");
    let request = Request {
        target: Some("y".into()),
        task: Some(Task::Regress),
        missing: eigenlens::data::Missing::Mean,
        ..Request::new(source)
    };
    let mut dataset: Dataset = load(&request).unwrap();
    Scaling::fit(ScaleKind::Standard, &dataset, &[0, 1, 2]).unwrap().fill_missing(&mut dataset);
    assert_eq!(
        (0..3).map(|r| dataset.value(r, 0)).collect::<Vec<_>>(),
        [1_000_000_000.25, 1_000_000_001.5, 1_000_000_002.75]
    );
    assert!(dataset.seen(1, 0).is_nan());
    assert_eq!(dataset.seen(0, 0), 1_000_000_000.25);
}

/// 400 rows of eight columns; y = x0 − 2·x3.
fn table(offset: f64, scale: f64, [shift, factor]: [f64; 2]) -> (String, Vec<f64>) {
    let mut text = (0..8).map(|c| format!("x{c},")).collect::<String>() + "y\n";
    let mut targets = Vec::new();
    for row in normals(7, 8).chunks_exact(8) {
        row.iter().for_each(|x| text.push_str(&format!("{:?},", offset + scale * x)));
        targets.push(shift + factor * (row[0] - 2.0 * row[3]));
        text.push_str(&format!("{:?}\n", targets[targets.len() - 1]));
    }
    (text, targets)
}

fn rows_of(path: &str) -> Vec<f64> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect()
}

/// Whatever stands in front of the digits: the same network learns the same, and every command reads the same numbers.
#[test]
fn offsets_change_nothing() {
    let place = Place::new();
    let mut errors = Vec::new();
    for (i, (offset, scale, target)) in [
        (0.0, 1.0, [0.0, 1.0]),
        (1e7, 1.0, [0.0, 1.0]),
        (1e12, 1e3, [1e12, 1e3]),
        (-1e-3, 1e-12, [1e12, 1e12]),
        (1.7e9, 86_400.0, [1.7e9, 86_400.0]),
        (0.0, 1e12, [0.0, 1e-12]),
    ]
    .into_iter()
    .enumerate()
    {
        let (text, targets) = table(offset, scale, target);
        let (data, out) = (place.write(&format!("t{i}.csv"), &text), place.text(&format!("out{i}")));
        let done = train(&data, &out, &["--target", "y", "--epochs", "150"]);
        assert!(done.status.success(), "{}", stderr(&done));
        let (model, file) = (format!("{out}/model.safetensors"), place.text(&format!("p{i}.csv")));
        let done = eigenlens(&["predict", &model, &data, "--out", &file, "--device", "cpu"]);
        assert!(done.status.success(), "{}", stderr(&done));
        let predicted = rows_of(&file);
        let error = |found: &[f64]| {
            found.iter().zip(&targets).map(|(a, b)| (a - b).abs()).sum::<f64>() / found.len() as f64 / target[1]
        };
        errors.push(error(&predicted));
        // A row alone is read as it was among others.
        let alone: Vec<&str> = text.lines().take(2).collect();
        let alone = place.write("alone.csv", alone.join("\n") + "\n");
        let done = eigenlens(&["predict", &model, &alone, "--out", &file, "--device", "cpu"]);
        assert!(done.status.success(), "{}", stderr(&done));
        assert!((rows_of(&file)[0] - predicted[0]).abs() < 1e-5 * target[1] + 1e-15 * target[0].abs());
        let loaded = Model::load(&model).unwrap();
        assert_eq!(loaded.description.scaling.origins.is_empty(), offset == 0.0);
        let whole = load(&Request {
            target: Some("y".into()),
            expect: Some(loaded.description.features.clone()),
            origins: loaded.description.scaling.origins.clone(),
            task: Some(Task::Regress),
            ..Request::new(&data)
        });
        assert!(loaded.split(&whole.unwrap()).unwrap().1, "the same data are known again");
    }
    // Rounding alone differs; without the digits the second table's error is a hundred times the first's.
    for (i, error) in errors.iter().enumerate() {
        assert!((error / errors[0] - 1.0).abs() < 0.1, "table {i}: {errors:?}");
    }
}

/// `select`, its compact model, `curve`, `explain` and `export` of columns far from zero.
#[test]
fn every_command_keeps_the_digits() {
    let place = Place::new();
    let (text, targets) = table(1.7e9, 86_400.0, [1.7e9, 86_400.0]);
    let data = place.write("t.csv", &text);
    let done = |arguments: &[&str]| {
        let output = eigenlens(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    };
    let out = place.text("selected");
    done(&[
        "select", &data, "--target", "y", "--out", &out, "--device", "cpu", "--hidden", "16", "--seeds", "2",
        "--folds", "0", "--epochs", "60",
    ]);
    let model = format!("{out}/model.safetensors");
    let file = place.text("p.csv");
    done(&["predict", &model, &data, "--out", &file, "--device", "cpu"]);
    let error = rows_of(&file).iter().zip(&targets).map(|(a, b)| (a - b).abs()).sum::<f64>() / ROWS as f64 / 86_400.0;
    assert!(error < 0.1, "the compact model is off by {error} standard deviations");
    let explained = place.text("explained");
    done(&["explain", &model, &data, "--rows", "0..3", "--out", &explained, "--device", "cpu"]);
    let json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(format!("{explained}/explanations.json")).unwrap()).unwrap();
    let entry = json.as_array().or_else(|| json["explanations"].as_array()).expect("a list")[0].clone();
    let names = Model::load(&model).unwrap().description.features;
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let first: Vec<f64> = text.lines().nth(1).unwrap().split(',').map(|x| x.parse().unwrap()).collect();
    for (feature, seen) in names.iter().zip(entry["values"].as_array().unwrap()) {
        let column = header.iter().position(|name| *name == feature.name).unwrap();
        assert!((seen.as_f64().unwrap() - first[column]).abs() < 0.02, "{seen} of {}", first[column]);
    }
    assert!((entry["prediction"].as_f64().unwrap() - targets[0]).abs() < 0.5 * 86_400.0);
    let curve = place.text("curve");
    done(&["curve", &model, &data, "--out", &curve, "--device", "cpu"]);
    // What is exported takes and gives double precision.
    let net = place.text("net.onnx");
    done(&["export", &model, "--out", &net]);
    let bytes = fs::read(&net).unwrap();
    let holds = |value: f64| bytes.windows(8).any(|window| window == value.to_le_bytes());
    let description = Model::load(&model).unwrap().description;
    assert!(description.scaling.shift.iter().chain(&description.target_scaling.shift).all(|&shift| holds(shift)));
}

/// What is written is finite, or the command fails; also where only single precision isn't.
#[test]
fn no_output_is_written_as_infinite() {
    let place = Place::new();
    let (text, _) = table(0.0, 1.0, [0.0, 1.0]);
    let (data, out) = (place.write("t.csv", text), place.text("out"));
    let done = train(&data, &out, &["--target", "y", "--hidden", "4", "--epochs", "5"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let model = format!("{out}/model.safetensors");
    let file = place.text("p.csv");
    let large =
        place.write("large.csv", "x0,x1,x2,x3,x4,x5,x6,x7\n1,2,3,4,5,6,7,8\n3e38,3e38,3e38,3e38,3e38,3e38,3e38,3e38\n");
    let predict = |model: &str, data: &str, device: &str| {
        eigenlens(&["predict", model, data, "--out", &file, "--device", device])
    };
    let done = predict(&model, &large, "cpu64");
    assert!(done.status.success(), "{}", stderr(&done));
    let found = rows_of(&file);
    assert!(found[1].is_finite() && found[1].abs() > 1e35, "double precision holds it: {found:?}");
    // An output of about 1 in a unit of 1e44.
    let mut tiny = Model::load(&model).unwrap();
    tiny.description.target_scaling.scale = vec![1e-44];
    let tiny_model = place.text("tiny.safetensors");
    tiny.save(&tiny_model).unwrap();
    refused(&predict(&tiny_model, &data, "cpu"), 1, &["row 0", "not finite"]);
    assert!(predict(&tiny_model, &data, "cpu64").status.success());
    assert!(rows_of(&file).iter().all(|y| y.is_finite()) && rows_of(&file)[0].abs() > 1e40);
    // Digits: of single precision, and of double.
    assert!(predict(&model, &data, "cpu").status.success());
    let single = rows_of(&file);
    assert!(single.iter().all(|&y| f64::from(y as f32) == y || (y as f32).to_string() == y.to_string()));
    assert!(predict(&model, &data, "cpu64").status.success());
    let double = rows_of(&file);
    assert!(double.iter().any(|&y| (y as f32).to_string() != y.to_string()));
    assert!(single.iter().zip(&double).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs())));
}

/// Of test rows whose target is the same in all there is no variance to explain, whatever rounding makes of their mean.
#[test]
fn r2_without_variance_is_undefined() {
    let place = Place::new();
    // The array's own test rows: three times 0.1, whose mean in binary isn't 0.1.
    let mut text = String::from("a,w,y\n");
    (0..40).for_each(|i| text.push_str(&format!("{i},{},{}\n", 0.1 + 0.01 * f64::from(i % 7), 0.1)));
    text.push_str("40,0.3,0.7\n41,0.2,-0.9\n");
    let (data, out) = (place.write("t.csv", text), place.text("out"));
    let mut found = 0;
    for seed in ["0", "1", "2"] {
        let done = train(
            &data,
            &out,
            &["--target", "y", "--weights", "w", "--epochs", "5", "--validation", "0.2", "--seed", seed],
        );
        if !done.status.success() {
            assert!(stderr(&done).contains("every training row has 0.1"), "{}", stderr(&done));
            continue;
        }
        let metrics: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(format!("{out}/metrics.json")).unwrap()).unwrap();
        let parts = ["train", "validation", "test"];
        for r2 in parts.iter().filter_map(|part| metrics.get(part)).map(|part| &part["r2"]) {
            assert!(r2.is_null() || r2.as_f64().unwrap() > -1e6, "{metrics}");
            found += usize::from(r2.is_null());
        }
        let said = stdout(&done);
        assert!(!said.contains("inf") && !said.contains("NaN"), "{said}");
        assert_eq!(
            said.contains("R² undefined (the same target in every row)"),
            metrics.to_string().contains("\"r2\":null")
        );
    }
    assert!(found > 0, "some part has no variance");
    let constant = place.write("c.csv", "a,y\n1,3\n2,3\n3,3\n4,3\n");
    for (command, more) in [("train", &[][..]), ("select", &[]), ("train", &["--task", "regress"])] {
        let done =
            eigenlens(&[&[command, &constant, "--target", "y", "--out", &out, "--device", "cpu"], more].concat());
        refused(&done, 1, &["target", "every row has 3"]);
    }
}

/// Counts and measurements are numbers, labels are classes, and what could be either is said with the option that decides.
#[test]
fn whole_numbers_are_classes_where_they_occur_as_labels_do() {
    let place = Place::new();
    let loss = [42, 37, 37, 28, 18, 18, 19, 20, 15, 14, 14, 13, 11, 12, 8, 7, 8, 8, 9, 15, 15];
    let rows: String = loss.iter().enumerate().map(|(i, y)| format!("{i}.5,{y}\n")).collect();
    let source = place.write("stackloss.csv", format!("flow,loss\n{rows}"));
    let read =
        |source: &str, task| load(&Request { target: Some("loss".into()), task, ..Request::new(source) }).unwrap();
    let dataset = read(&source, None);
    assert!(matches!(dataset.y, Targets::Numbers { .. }));
    let note = dataset.notes.join("\n");
    assert!(
        note.contains("14 different whole numbers in 21 rows, taken for a number") && note.contains("--task classify"),
        "{note}"
    );
    assert!(matches!(read(&source, Some(Task::Classify)).y, Targets::Classes { .. }));
    let rows: String = (0..120).map(|i| format!("{i}.5,{}\n", i % 10)).collect();
    let source = place.write("digits.csv", format!("flow,loss\n{rows}"));
    let dataset = read(&source, None);
    assert!(matches!(dataset.y, Targets::Classes { .. }));
    assert!(dataset.notes.join("\n").contains("taken for classes; --task regress"), "{:?}", dataset.notes);
}

/// What is infinite is no category beside numbers, however few they are.
#[test]
fn infinite_is_no_category() {
    let place = Place::new();
    for (column, target) in [
        ("1\ninf", "1.5\n2.5"),
        ("-Infinity\n2", "1.5\n2.5"),
        ("1\n2", "3.5\ninf"),
        ("red\n+nan\n3\nblue", "1\n2\n3\n4"),
    ] {
        let rows: String = column.lines().zip(target.lines()).map(|(x, y)| format!("{x},{y}\n")).collect();
        let source = place.write("t.csv", format!("x,y\n{rows}"));
        let error = load(&Request { target: Some("y".into()), ..Request::new(&source) }).unwrap_err().to_string();
        assert!(error.contains("is not a finite 32-bit number"), "{column:?} {target:?}: {error}");
    }
    let source = place.write("t.csv", "x,y\nred,1.5\ninf,2.5\nblue,3.25\n");
    let words = load(&Request { target: Some("y".into()), ..Request::new(&source) }).unwrap();
    assert_eq!(words.columns, 3, "a word among words");
}

/// The same seed gives the same bytes, but for what tells a time.
#[test]
fn files_are_the_same_every_time() {
    let place = Place::new();
    let (text, _) = table(0.0, 1.0, [0.0, 1.0]);
    let data = place.write("t.csv", text);
    let (model, maps) = ("model.safetensors", "maps.npz");
    let [first, second] = ["a", "b"].map(|name| {
        let out = place.text(name);
        let done = train(&data, &out, &["--target", "y", "--hidden", "4", "--epochs", "5"]);
        assert!(done.status.success(), "{}", stderr(&done));
        let file = format!("{out}/{model}");
        let done = eigenlens(&["explain", &file, &data, "--rows", "0..3", "--out", &out, "--device", "cpu"]);
        assert!(done.status.success(), "{}", stderr(&done));
        let modified = |archive: &[u8]| archive[10..14].to_vec();
        let bytes = [model, maps].map(|name| fs::read(format!("{out}/{name}")).unwrap());
        // The time that a zip entry carries is in units of two seconds: the first of them.
        assert_eq!(modified(&bytes[1]), [0, 0, 0x21, 0], "1 January 1980");
        bytes
    });
    assert!(first[0] == second[0], "{model} differs");
    assert!(first[1] == second[1], "{maps} differs");
}
