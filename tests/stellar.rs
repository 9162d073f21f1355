//! The stellar spectra, on a small synthetic library: MILES isn't shipped.

use std::fs;
use std::path::Path;
use std::process::Output;

use eigenlens::random::Random;
use eigenlens::report::npz::Npz;
use serde_json::Value;

use crate::common::program::eigenlens;

const STARS: usize = 150;
const N: usize = 120;
/// Wavelengths of the ranking that are listed, as many as in the paper's figure.
const BEST: usize = 30;

/// One wavelength each 30 Å, from the blue end of CaHK on.
fn wavelength(i: usize) -> f64 {
    3900.0 + 30.0 * i as f64
}

/// Every star a smooth curve with a line at Fe4383 as deep as its [Fe/H] says.
fn library() -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let mut random = Random::new(5, 0);
    let (mut flux, mut feh) = (Vec::new(), Vec::new());
    for star in 0..STARS {
        let metal = 0.5 - 2.5 * random.uniform();
        let slope = 0.3 * (random.uniform() - 0.5);
        let brightness = 1.0 + 9.0 * random.uniform();
        for i in 0..N {
            let w = wavelength(i);
            let line = if (4369.125..=4420.375).contains(&w) { 0.35 * (metal + 2.0) } else { 0.0 };
            let noise = 0.005 * random.normal();
            flux.push((brightness * (1.0 + slope * i as f64 / N as f64 - line + noise)) as f32);
        }
        feh.push(if star % 50 == 7 { f32::NAN } else { metal as f32 });
    }
    (flux, (0..N).map(|i| wavelength(i) as f32).collect(), feh)
}

fn save(path: &Path, flux: &[usize], arrays: (Vec<f32>, Vec<f32>, Vec<f32>)) {
    let mut npz = Npz::default();
    npz.floats("flux", flux, arrays.0);
    npz.floats("wavelength", &[arrays.1.len()], arrays.1);
    npz.floats("feh", &[arrays.2.len()], arrays.2);
    npz.ints("miles_id", &[1], vec![1]);
    npz.save(path).unwrap();
}

fn reproduce(data: &Path, out: &Path, more: &[&str]) -> Output {
    let (data, out) = (data.to_str().unwrap(), out.to_str().unwrap());
    let mut arguments = vec!["reproduce", "stellar", "--data", data, "--out", out, "--device", "cpu"];
    arguments.extend(more);
    eigenlens(&arguments)
}

#[test]
fn from_spectra_to_page() {
    let place = tempfile::tempdir().unwrap();
    let (data, out) = (place.path().join("stars.npz"), place.path().join("out"));
    save(&data, &[STARS, N], library());
    let done = reproduce(&data, &out, &["--epochs", "60", "--splits", "2", "--replicas", "2", "--schedule", "both"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.contains("cosine learning rate, 147 stars, 120 wavelengths"), "{text}");
    let json: Value = serde_json::from_str(&fs::read_to_string(out.join("stellar.json")).unwrap()).unwrap();
    assert_eq!(json["stars_without_feh"], 3);
    assert_eq!(json["paper"]["wavelengths_at_lowest_error"], 30);
    assert_eq!(json["runs"].as_array().unwrap().len(), 2);
    let number = |v: &Value| v.as_f64().unwrap_or_else(|| panic!("{v} is no number"));
    for run in json["runs"].as_array().unwrap() {
        let splits = run["splits"].as_array().unwrap();
        assert_eq!(splits.len(), 2);
        for split in splits {
            assert_eq!((&split["train_rows"], &split["test_rows"]), (&118.into(), &29.into()));
            // The line is there to be learned: far better than a constant answer. With a constant rate the error jitters, and
            // where so short a training stops is luck.
            let learned = number(&split["test_mae"]) < 0.5 * number(&split["median_mae"]);
            assert!(learned || run["schedule"] == "constant", "{}", split["test_mae"]);
            let curve = &split["curve"]["points"];
            let lowest = curve.as_array().unwrap().iter().map(|p| number(&p["ranked"])).fold(f64::INFINITY, f64::min);
            assert_eq!(number(&split["best_k_mae"]), lowest);
            // With all wavelengths kept the mask masks nothing.
            let full = number(&split["curve"]["full"]);
            assert!((full - number(&split["test_mae"])).abs() < 1e-5, "{full}");
            assert_eq!(split["predictions"].as_array().unwrap().len(), 29);
        }
        let top = run["ranking"]["top"].as_array().unwrap();
        assert_eq!(top.len(), BEST);
        // Two wavelengths, 4380 and 4410 Å, lie in the band that the line fills.
        let band = run["ranking"]["bands"].as_array().unwrap().iter().find(|b| b["name"] == "Fe4383").unwrap();
        if run["schedule"] == "cosine" {
            assert_eq!((&band["hits"], &band["best_rank"]), (&2.into(), &1.into()), "{top:?}");
            assert_eq!(top[0]["bands"][0], "Fe4383");
        }
        assert_eq!(run["checks"].as_array().unwrap().len(), 7);
    }
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    for part in ["Fe5335", "Predicted and known", "Held against the acceptance, constant", "Cenarro"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("NaN"));
}

#[test]
fn bad_libraries_are_refused_in_one_sentence() {
    let place = tempfile::tempdir().unwrap();
    let (data, out) = (place.path().join("stars.npz"), place.path().join("out"));
    let refused = |code: i32, parts: &[&str]| {
        let done = reproduce(&data, &out, &[]);
        let text = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(code), "{text}");
        assert_eq!(text.trim_end().lines().count(), 1, "{text}");
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in: {text}");
        }
        assert!(!out.exists(), "nothing is written");
    };
    refused(1, &["cannot open", "stars.npz", "fetch_miles.sh"]);
    fs::write(&data, "no archive").unwrap();
    refused(1, &["stars.npz", "cut off or damaged", "fetch_miles.sh"]);
    let mut npz = Npz::default();
    npz.floats("X", &[1], vec![1.0]);
    npz.save(&data).unwrap();
    refused(1, &["stars.npz", "flux", "missing", "the file has X", "fetch_miles.sh"]);
    let (flux, wavelength, feh) = library();
    save(&data, &[STARS * N], (flux.clone(), wavelength.clone(), feh.clone()));
    refused(1, &["flux", "[18000]", "[stars, wavelengths]"]);
    save(&data, &[STARS, N], (flux.clone(), wavelength[1..].to_vec(), feh.clone()));
    refused(1, &["wavelength", "[119]", "[150, 120]", "needs [120]"]);
    save(&data, &[STARS, N], (flux.clone(), wavelength.clone(), feh[1..].to_vec()));
    refused(1, &["feh", "[149]", "needs [150]"]);
    let with = |at: usize, value: f32| {
        let mut flux = flux.clone();
        flux[at] = value;
        flux
    };
    for (value, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        save(&data, &[STARS, N], (with(3 * N + 5, value), wavelength.clone(), feh.clone()));
        refused(1, &["flux, row 3, column 5", name, "fetch_miles.sh"]);
    }
    let dark = flux.iter().enumerate().map(|(i, &x)| if i / N == 4 { 0.0 } else { x }).collect();
    save(&data, &[STARS, N], (dark, wavelength.clone(), feh.clone()));
    refused(1, &["flux, row 4", "no flux of this star is positive"]);
    let mut backwards = wavelength.clone();
    backwards.swap(8, 9);
    save(&data, &[STARS, N], (flux.clone(), backwards, feh.clone()));
    refused(1, &["wavelength, elements 8 and 9", "increasing"]);
    save(&data, &[STARS, N], (flux.clone(), wavelength.clone(), vec![f32::NAN; STARS]));
    refused(1, &["feh", "0 of 150 stars have a metallicity"]);
    let mut endless = feh.clone();
    endless[2] = f32::NEG_INFINITY;
    save(&data, &[STARS, N], (flux, wavelength, endless));
    refused(1, &["feh, row 2", "-inf"]);
}

#[test]
fn wrong_options_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let (data, out) = (place.path().join("stars.npz"), place.path().join("out"));
    save(&data, &[STARS, N], library());
    for (option, part) in
        [("--splits", "--splits is 0"), ("--replicas", "--replicas is 0"), ("--epochs", "--epochs is 0")]
    {
        let done = reproduce(&data, &out, &[option, "0"]);
        let text = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{text}");
        assert!(text.contains(part), "{text}");
    }
    let out = out.to_str().unwrap();
    let done = eigenlens(&["reproduce", "stellar", "--out", out]);
    let text = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2));
    assert!(text.contains("--data <MILES.npz>"), "{text}");
}
