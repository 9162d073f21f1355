//! `select --conv`: channels are chosen by networks whose first layer is a spectral convolution.

use eigenlens::data::{Axis, Dataset, Split, Values, channels, synthetic};
use eigenlens::network::{Block, Pool};
use eigenlens::report::{html, npz::Npz, selection_page};
use eigenlens::selection::{SelectSettings, Selection, select};
use eigenlens::train::Flow;
use eigenlens::{Device, Error, Model};

use crate::common::program;

const CPU: Device = Device::Cpu { threads: 2 };

/// `--conv 6:5 --pool 2 --hidden 16`, with few of everything.
fn quick() -> SelectSettings {
    let pool = Some(Pool { kernel: 2, stride: 2 });
    SelectSettings {
        convolutions: vec![Block { filters: 6, kernel: vec![5], stride: 1, pool }],
        hidden: Some(vec![16]),
        seeds: 2,
        penalties: 6,
        pairs: 2,
        controls: 1,
        ..SelectSettings::default()
    }
}

fn chosen(dataset: &mut Dataset, settings: &SelectSettings) -> Selection {
    select(dataset, &[], settings, &CPU, &mut |_, _| Flow::Continue).unwrap()
}

fn names(selection: &Selection) -> Vec<&str> {
    let mut chosen: Vec<usize> = selection.ranking[..selection.chosen].to_vec();
    chosen.sort_unstable();
    chosen.iter().map(|&u| selection.units[u].name.as_str()).collect()
}

#[test]
fn the_channels_that_tell_the_classes_apart_are_chosen() {
    let relevant = synthetic::channels(3, 1).relevant;
    let told: Vec<String> = (0..16).filter(|&c| relevant[c].is_some()).map(|c| format!("channel {c}")).collect();
    for (exact, rows) in [(false, 1_000), (true, 700)] {
        let mut dataset = synthetic::channels(3, rows).dataset;
        // Of so few rows fewer than five may be within a standard error of the best.
        let settings = SelectSettings { exact, features: Some(5), ..quick() };
        let selection = chosen(&mut dataset, &settings);
        assert_eq!(names(&selection), told, "exact: {exact}; {:?}", selection.sizes);
        assert!(selection.by_channel && selection.units == channels(&dataset.axes) && selection.constant.is_empty());
        assert!(selection.tells_anything() && selection.score.mean > 0.8, "{:?}", selection.score);
        // The path reaches from all to nothing: the penalty's natural range is that of a column, a kernel's elements counted.
        let kept: Vec<f64> = selection.path.points.iter().map(|p| p.kept).collect();
        assert!(kept[0] > 14.0 && kept[kept.len() - 1] < 3.0, "{kept:?}");
        for (point, kept) in selection.path.points.iter().zip(&selection.path.kept) {
            for u in 0..16 {
                let nobody = kept.iter().all(|kept| !kept[u]);
                // What the proximal operator drops is 0.
                assert!(!exact || point.kept == 0.0 || nobody == (point.relevance[u] == 0.0));
            }
        }
        // A half starts from a dense network of its own, so that a penalty near the strongest doesn't drop all before it has learnt.
        let s = &selection.stability;
        assert_eq!((s.copies.len(), s.share.len()), (16, 16));
        let often = |u: usize| s.share[u] > s.of_noise();
        assert!((0..16).filter(|&u| often(u)).all(|u| relevant[u].is_some()), "{s:?}");
        assert!(s.chosen >= 0.75 * s.limit as f64, "{s:?}");
        let five = selection.sizes.iter().find(|size| size.k == 5).unwrap();
        assert!(five.best.mean > five.random.unwrap().mean + 0.05, "{five:?}");
        assert_eq!((selection.full.inputs, selection.reduced.inputs), (16 * 32, 5 * 32));
        assert!(selection.reduced.parameters < selection.full.parameters);
        assert_eq!(selection.settings.hidden, Some(vec![16]));
        let model = &selection.compact.model;
        assert!(model.ranks_channels() && model.description.architecture.convolutions == settings.convolutions);
        assert_eq!(model.inputs().iter().map(|unit| &unit.name).collect::<Vec<_>>(), told.iter().collect::<Vec<_>>());
        let page = html::render(&selection_page::page(&selection, &dataset, "CPU"));
        assert!(page.contains("Of 16 channels in channels, 5 were chosen") && page.contains("convolution 6:5/1"));
        let own = page.replace("Feature selection report", "");
        assert!(!own.contains(" feature"), "channels are spoken of, not features");
    }
}

/// Recordings with channels last, in which one channel tells the classes apart and has a constant column, two are constant, and one is a copy
/// of the first: their numbers.
fn edited() -> (Dataset, usize, [usize; 3]) {
    let synthetic::Channels { dataset, relevant } = synthetic::channels(5, 500);
    let useless: Vec<usize> = (0..16).filter(|&c| relevant[c].is_none()).collect();
    let told = relevant.iter().position(Option::is_some).unwrap();
    let (flat, stepped, copy) = (useless[0], useless[1], useless[2]);
    let order: Vec<usize> = (0..512).map(|i| i % 16 * 32 + i / 16).collect();
    let axes = vec![dataset.axes[1].clone(), dataset.axes[0].clone()];
    let mut dataset = Dataset { axes, ..dataset.select_columns(&order) };
    let Values::F32(x) = &mut dataset.x else { panic!("floats") };
    for row in x.chunks_exact_mut(512) {
        for place in 0..32 {
            row[place * 16 + flat] = 1.5;
            // Not the same at all places, and yet the same in every row.
            row[place * 16 + stepped] = place as f32;
            row[place * 16 + copy] = row[place * 16 + told];
        }
        // One constant column of a channel that varies.
        row[3 * 16 + told] = 0.25;
    }
    (dataset, told, [flat, stepped, copy])
}

/// Channels may stand last; a channel is left out when each of its columns is constant, one with one such column stays whole; of
/// two copies one is chosen, and named as the other's substitute.
#[test]
fn constant_channels_and_copies() {
    let (mut dataset, told, [flat, stepped, copy]) = edited();
    let settings = SelectSettings { features: Some(5), penalties: 5, pairs: 1, controls: 0, folds: Some(0), ..quick() };
    let selection = chosen(&mut dataset, &settings);
    assert_eq!(selection.constant, [format!("channel {flat}"), format!("channel {stepped}")]);
    assert_eq!(
        (selection.units.len(), selection.stability.share.len(), selection.stability.copies.len()),
        (14, 14, 14)
    );
    let unit = selection.units.iter().find(|unit| unit.name == format!("channel {told}")).unwrap();
    assert_eq!(unit.columns, (0..32).map(|place| place * 16 + told).collect::<Vec<_>>());
    let found = names(&selection);
    let both = [told, copy].map(|c| format!("channel {c}"));
    assert_eq!(found.iter().filter(|name| both.iter().any(|b| b == *name)).count(), 1, "{found:?}");
    let place = selection.ranking[..5].iter().position(|&u| both.contains(&selection.units[u].name)).unwrap();
    let substitute = &selection.substitutes[place][0];
    assert!(both.contains(&substitute.name) && substitute.correlation > 0.999, "{substitute:?}");
    let d = &selection.compact.model.description;
    assert_eq!(d.axes[0], Axis::new("position", 32));
    assert_eq!(
        (d.axes[1].name.as_str(), &d.axes[1].labels[..], d.chosen_from),
        ("channel", &found.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()[..], Some(512))
    );
    // A channel has one scale, as in `train`.
    assert!(d.scaling.shift.iter().zip(&d.scaling.shift[5..]).all(|(a, b)| a == b));
}

/// In memory, from the whole array's file, and from an array of the chosen channels alone.
#[test]
fn a_compact_model_finds_its_channels() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let output = program::eigenlens(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", program::stderr(&output));
        program::stdout(&output)
    };
    let mut dataset = synthetic::channels(7, 400).dataset;
    let save = |name: &str, dataset: &Dataset, channels: usize| {
        let (Values::F32(x), eigenlens::data::Targets::Classes { labels, .. }) = (&dataset.x, &dataset.y) else {
            panic!("numbers and classes")
        };
        let mut npz = Npz::default();
        npz.floats("X", &[dataset.rows, channels, 32], x.clone());
        npz.ints("y", &[dataset.rows], labels.iter().map(|&label| i64::from(label)).collect());
        npz.save(path(name).as_ref()).unwrap();
    };
    save("whole.npz", &dataset, 16);
    let (whole, out) = (path("whole.npz"), path("few"));
    let options =
        "--conv 4:5 --pool 2 --by-channel --hidden 12 --seeds 1 --penalties 4 --pairs 1 --controls 0 --features 3";
    let options: Vec<&str> = options.split(' ').chain(["--device", "cpu", "--json", "--out", &out]).collect();
    let json: serde_json::Value = serde_json::from_str(&run(&[&["select", &whole], &options[..]].concat())).unwrap();
    let settings = &json["settings"];
    let blocks =
        serde_json::json!([{ "filters": 4, "kernel": [5], "stride": 1, "pool": { "kernel": 2, "stride": 2 } }]);
    assert_eq!((&settings["convolutions"], &settings["by_channel"]), (&blocks, &true.into()));
    assert_eq!((&settings["hidden"], &settings["groups"]), (&serde_json::json!([12]), &serde_json::Value::Null));
    assert_eq!((json["chosen"].as_array().unwrap().len(), json["columns"].as_array().unwrap().len()), (3, 96));
    // In the order of the data.
    let mut in_order: Vec<&str> = json["chosen"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    in_order.sort_by_key(|name| name.strip_prefix("channel ").unwrap().parse::<usize>().unwrap());
    assert_eq!(json["source_columns"], serde_json::json!(in_order));
    assert_eq!(std::fs::read_to_string(path("few/columns.txt")).unwrap(), in_order.join("\n") + "\n");
    let file = path("few/model.safetensors");
    let model = Model::load(&file).unwrap();
    let ranked: serde_json::Value = serde_json::from_str(&run(&["rank", &file, "--json"])).unwrap();
    let name_of = |entry: &serde_json::Value| entry["name"].as_str().unwrap().to_owned();
    let mut ranked: Vec<String> = ranked["ranking"].as_array().unwrap().iter().map(name_of).collect();
    let mut chosen: Vec<String> =
        json["chosen"].as_array().unwrap().iter().map(|n| n.as_str().unwrap().into()).collect();
    ranked.sort();
    chosen.sort();
    assert_eq!(ranked, chosen);
    // In memory: the channels by their numbers.
    let kept: Vec<usize> = (0..512).filter(|c| chosen.contains(&format!("channel {}", c / 32))).collect();
    let mut few = dataset.select_columns(&kept);
    assert_eq!((few.axes[0].len, few.axes[1].len, few.axes == model.description.axes), (3, 32, true));
    save("few.npz", &few, 3);
    let all = Split { test: (0..400).collect(), ..Split::default() };
    let resident = model.prepare(&mut few, &all).unwrap();
    let expected = model.outputs(&resident.inputs(&all.test), &CPU).unwrap();
    for data in [whole.clone(), path("few.npz")] {
        let table = path("p.csv");
        run(&["predict", &file, &data, "--logits", "--out", &table, "--device", "cpu"]);
        let text = std::fs::read_to_string(&table).unwrap();
        let read: Vec<f64> =
            text.lines().skip(1).flat_map(|l| l.split(',').skip(1)).map(|x| x.parse().unwrap()).collect();
        // Written as f32.
        assert!(
            read.len() == 800 && read.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs().max(1.0)),
            "{data}"
        );
    }
    assert!(run(&["curve", &file, &whole, "--out", &out, "--device", "cpu"]).contains("all inputs"));
    assert!(run(&["export", &file, "--out", &path("m.onnx")]).contains("3 channel, 32 position"));
    run(&["explain", &file, &whole, "--rows", "0", "--axis", "position", "--out", &out, "--device", "cpu"]);
    // Another array's channels aren't what these were chosen from.
    dataset = dataset.select_columns(&(0..15 * 32).collect::<Vec<_>>());
    save("less.npz", &dataset, 15);
    let output = program::eigenlens(&["predict", &file, &path("less.npz"), "--out", &path("p.csv"), "--device", "cpu"]);
    assert_eq!(output.status.code(), Some(1), "{}", program::stderr(&output));
}

#[test]
fn what_does_not_fit_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("run").to_str().unwrap().to_owned();
    let groups = place.path().join("groups.csv");
    std::fs::write(&groups, "feature,group\np00ch00,a\n").unwrap();
    for (arguments, parts) in [
        (&["channels", "--conv", "16"][..], &["channels:kernel", "16:5"][..]),
        (&["channels", "--conv", "4:3,4:3", "--pool", "2,2,2"], &["--pool names 3 for 2 convolutions"]),
        (&["channels", "--pool", "2"], &["--conv"]),
        (&["channels", "--conv", "4:3x3"], &["2 sizes", "1 spatial axes"]),
        (&["channels", "--conv", "4:3,4:3", "--pool", "20"], &["max_pool2", "--pool 0"]),
        (&["gaussian", "--conv", "16:5"], &["--conv chooses channels", "a row of gaussian has none"]),
        (&["gaussian", "--by-channel"], &["--by-channel chooses channels"]),
        (
            &["channels", "--conv", "16:5", "--groups", groups.to_str().unwrap()],
            &["--groups", "with --conv", "leave one"],
        ),
        (&["channels", "--conv", "16:5", "--features", "17"], &["--features is 17", "only 16"]),
    ] {
        let output = program::eigenlens(&[&["select"], arguments, &["--out", &out, "--device", "cpu"]].concat());
        let said = program::stderr(&output);
        assert!(matches!(output.status.code(), Some(1 | 2)) && !said.contains("panicked"), "{arguments:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{arguments:?}: {part:?} is not in: {said}");
        }
        assert!(!std::path::Path::new(&out).exists(), "{arguments:?}: left a directory");
    }
    let mut dataset = synthetic::gaussian(1, 300).dataset;
    let refused = select(&mut dataset, &[], &quick(), &CPU, &mut |_, _| Flow::Continue);
    assert!(matches!(refused, Err(Error::Shape(text)) if text.contains("spatial axes")));
}
