//! `reproduce` of the spectral paper's experiments as scripts see it: files, table, refusals.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::common::program::{eigenlens, stderr, stdout};

const MNIST: &str = concat!("idx:", env!("CARGO_MANIFEST_DIR"), "/examples/data/mnist");

fn reproduce(arguments: &[&str]) -> Output {
    eigenlens(&[&["reproduce"], arguments, &["--device", "cpu"]].concat())
}

/// The experiment's JSON and page.
#[track_caller]
fn done(arguments: &[&str], name: &str) -> (Value, String, String) {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("new/directory");
    let output = reproduce(&[arguments, &["--out", out.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let json = fs::read_to_string(out.join(format!("{name}.json"))).expect("the numbers are written");
    let page = fs::read_to_string(out.join("report.html")).expect("the page is written");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 2, "nothing else is left behind");
    (serde_json::from_str(&json).unwrap(), page, stdout(&output))
}

#[test]
fn a_synthetic_set_from_data_to_page() {
    let small = ["--rows", "2000", "--data-sets", "1", "--replicas", "2", "--epochs", "2"];
    let (json, page, table) = done(&[&["gaussian"], &small[..]].concat(), "gaussian");
    assert_eq!(json["settings"]["variant"], "paper");
    assert_eq!(json["training"]["replicas"][0]["reg_lambda"], 1e-2);
    assert_eq!(json["runs"][0]["features"].as_array().unwrap().len(), 20);
    assert!(page.contains("figure 3") && page.contains("<svg"), "the page has the figure");
    assert!(table.contains("Spearman") && table.contains("≤ 0.03"), "{table}");
    let both = [&["correlated", "--variant", "notebook", "--json"], &small[..]].concat();
    let (json, page, printed) = done(&both, "correlated");
    assert_eq!(json["settings"]["variant"], "notebook");
    assert_eq!(json["runs"][0]["pairs"].as_array().unwrap().len(), 4);
    assert!(page.contains("figure 4") && page.contains("notebook") && page.contains("<svg") && !page.contains("NaN"));
    assert_eq!(serde_json::from_str::<Value>(&printed).expect("--json prints JSON"), json);
}

#[test]
fn synthetic_sets_come_out_whole() {
    for (set, features, checks) in [("gaussian", 20, 2), ("correlated", 10, 3)] {
        let small = ["--variant", "notebook", "--rows", "4000", "--data-sets", "2", "--replicas", "2", "--epochs", "2"];
        let (json, page, _) = done(&[&[set], &small[..]].concat(), set);
        assert_eq!((&json["settings"]["variant"], &json["settings"]["set"]), (&"notebook".into(), &set.into()));
        assert_eq!(json["training"]["replicas"][0]["reg_lambda"], 1e-6);
        assert_eq!(json["network"]["batch_norm"], "first");
        assert_eq!(json["checks"].as_array().unwrap().len(), checks);
        assert!(json["differences"].as_array().unwrap().iter().any(|d| d.as_str().unwrap().contains("half a cosine")));
        assert_eq!(json["runs"].as_array().unwrap().len(), 2);
        for run in json["runs"].as_array().unwrap() {
            let all = run["features"].as_array().unwrap();
            assert_eq!(all.len(), features);
            let number = |value: &Value| value.as_f64().unwrap();
            assert_eq!(all.iter().map(|f| number(&f["relative"])).fold(0.0, f64::max), 1.0);
            for f in all {
                let replicas: Vec<f64> = f["replicas"].as_array().unwrap().iter().map(number).collect();
                let mean = (replicas[0] + replicas[1]) / 2.0;
                assert!((number(&f["relevance"]) - mean).abs() <= 1e-12 * mean);
                assert_eq!(f["relevant"].as_bool().unwrap(), number(&f["strength"]) > 0.0);
            }
        }
        // Both classes' histograms hold nearly every row; the data sets' seeds differ.
        for d in json["distributions"].as_array().unwrap() {
            for class in d["classes"].as_array().unwrap() {
                let sum: f64 = class.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).sum();
                assert!((sum - 1.0).abs() < 0.01, "{sum}");
            }
        }
        assert_ne!(json["runs"][0]["features"], json["runs"][1]["features"]);
        assert!(page.contains("<svg") && !page.contains("NaN") && page.contains("notebook"));
    }
}

#[test]
fn digits_from_files_to_page() {
    let small = ["--replicas", "2", "--epochs", "1", "--controls", "1", "--data", MNIST];
    let (json, page, table) = done(&[&["mnist-59"], &small[..]].concat(), "mnist-59");
    assert_eq!(json["classes"], serde_json::json!(["5", "9"]));
    assert_eq!(json["relevance"].as_array().unwrap().len(), 784);
    assert_eq!(json["histogram"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>(), 784);
    assert_eq!(json["best"].as_array().unwrap().len(), 14);
    assert_eq!(json["curve"]["points"].as_array().unwrap().last().unwrap()["k"], 784);
    let single = json["single"].as_array().unwrap();
    let fourteen = single.iter().find(|s| s["k"] == 14).expect("the paper's k is told");
    let points = json["curve"]["points"].as_array().unwrap();
    let of_curve = points.iter().find(|p| p["k"] == 14).unwrap()["ranked"].as_f64().unwrap();
    let mean = fourteen["spread"]["mean"].as_f64().unwrap();
    assert!((of_curve - mean).abs() < 1e-12, "the curve is the mean of the networks: {of_curve} and {mean}");
    assert_eq!(json["samples"].as_array().unwrap().len(), 8);
    assert!(page.contains("figure 8b") && page.contains("class=\"outline\""), "the page has the figures");
    assert!(table.contains("pixels kept"), "{table}");
}

#[test]
fn bad_usage_gets_one_sentence() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().to_str().unwrap();
    for (arguments, code, part) in [
        (&["gaussian", "--replicas", "0"][..], 2, "--replicas is 0"),
        (&["gaussian", "--rows", "99"], 2, "--rows is 99"),
        (&["gaussian", "--data-sets", "0"], 2, "--data-sets is 0"),
        (&["gaussian", "--epochs", "0"], 2, "--epochs is 0"),
        (&["correlated", "--rows", "5"], 2, "--rows is 5"),
        (&["mnist", "--data", "table.csv"], 2, "idx:DIRECTORY"),
        (&["mnist-01", "--epochs", "0", "--data", MNIST], 2, "--epochs is 0"),
        (&["mnist-01", "--data", "idx:/no/such/place"], 1, "/no/such/place"),
    ] {
        let output = reproduce(&[arguments, &["--out", out]].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(part) && said.trim().lines().count() == 1, "{said}");
        assert_eq!(fs::read_dir(out).unwrap().count(), 0, "nothing is written");
    }
    // What clap refuses, it refuses with its own words and the same code.
    assert_eq!(reproduce(&["gaussian", "--variant", "book", "--out", out]).status.code(), Some(2));
    assert_eq!(reproduce(&["planets", "--out", out]).status.code(), Some(2));
}
