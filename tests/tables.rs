//! Tables of other formats than text, against files that the formats' own libraries wrote (`scripts/make_tables.py`).

use std::path::Path;

use eigenlens::data::{Dataset, Missing, Part, Request, load};

use crate::common::files::{Fixture, classes, floats, names, numbers, refused};

const ROWS: usize = 50;

fn request(name: &str, target: &str) -> Request {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    Request { target: Some(target.into()), ..Request::new(path.to_str().unwrap()) }
}

fn column(data: &Dataset, name: &str) -> Vec<f64> {
    let at = names(data).iter().position(|own| *own == name).unwrap_or_else(|| panic!("{name} in {:?}", names(data)));
    (0..data.rows).map(|row| data.value(row, at)).collect()
}

fn each(of: impl Fn(usize) -> f64) -> Vec<f64> {
    (0..ROWS).map(of).collect()
}

/// The answers of every file.
fn check_answers(data: &Dataset) {
    assert_eq!(data.rows, ROWS);
    let wanted: Vec<u32> = (0..ROWS as u32).map(|i| i / 5 % 2).collect();
    assert_eq!(classes(data), (&wanted[..], vec!["no", "yes"]));
}

/// The columns that the tables of all formats share: far from zero, and whole.
fn check_shared(data: &Dataset) {
    let a = column(data, "a");
    for (i, a) in a.iter().enumerate().filter(|(_, a)| !a.is_nan()) {
        assert!((a - (1e9 + i as f64 / 7.0)).abs() < 1e-6, "row {i}: {a}");
    }
    for (i, n) in column(data, "n").iter().enumerate().filter(|(_, n)| !n.is_nan()) {
        assert_eq!(*n, (i * i) as f64 - 100.0);
    }
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_and_arrow_are_read_however_they_are_packed() {
    let arrow: &[&str] = if cfg!(feature = "arrow") { &["lz4.feather"] } else { &[] };
    for name in ["none.parquet", "snappy.parquet", "gzip.parquet", "lz4.parquet"].iter().chain(arrow).copied() {
        let read = |missing| load(&Request { dates: true, missing, ..request(name, "y") });
        let data = read(Missing::Mean).unwrap();
        check_answers(&data);
        check_shared(&data);
        let missing: Vec<usize> = (0..ROWS).filter(|&i| column(&data, "a")[i].is_nan()).collect();
        assert_eq!(missing, [3, 13, 23, 33, 43], "{name}");
        assert_eq!(column(&data, "u")[0], 9_223_372_036_854_775_808.0);
        assert_eq!(column(&data, "half"), each(|i| i as f64 / 4.0));
        assert_eq!(column(&data, "flag"), each(|i| f64::from(u8::from(i % 4 == 0))));
        assert_eq!(column(&data, "price"), each(|i| i as f64 + 0.25));
        for (at, kind) in ["oak", "ash", "elm"].iter().enumerate() {
            assert_eq!(column(&data, &format!("kind={kind}")), each(|i| f64::from(u8::from(i % 3 == at))));
        }
        assert_eq!(column(&data, "day=days"), each(|i| (i / 2) as f64));
        assert_eq!(column(&data, "when=days"), each(|i| i as f64 / 2.0));
        // 2024-02-28 was the 59th day of the year, a Wednesday; the 29th there was.
        assert_eq!(column(&data, "when=day of year")[..6], [59.0, 59.0, 60.0, 60.0, 61.0, 61.0]);
        assert_eq!(column(&data, "when=weekday")[..6], [3.0, 3.0, 4.0, 4.0, 5.0, 5.0]);
        let first = data.features.iter().find(|feature| feature.name == "when=days").unwrap();
        assert_eq!(first.part, Some(Part::Days { first: 19_781 }));
        assert!(data.notes.iter().any(|note| note.contains("left out: list")), "{:?}", data.notes);
        refused(read(Missing::Refuse), &[name, "row 3 (counted from 0), column \"a\"", "--missing mean"]);
    }
    let no_dates = Request { missing: Missing::Mean, ..request("none.parquet", "y") };
    refused(load(&no_dates), &["row 0", "column \"day\"", "\"2024-02-28\" is a date", "--dates"]);
    refused(load(&request("zstd.parquet", "y")), &["column \"n\"", "ZSTD", "snappy"]);
    let data = load(&request("pandas.parquet", "y")).unwrap();
    assert_eq!(names(&data), ["n"]);
    assert!(data.notes.iter().any(|note| note.contains("__index_level_0__")), "{:?}", data.notes);
}

#[cfg(feature = "parquet")]
#[test]
fn a_damaged_parquet_file_is_refused() {
    let whole = std::fs::read(request("snappy.parquet", "y").source).unwrap();
    for len in (0..whole.len()).step_by(97) {
        let cut = Fixture::new("cut.parquet", &whole[..len]);
        refused(load(&Request { target: Some("y".into()), ..cut.request() }), &["cut.parquet"]);
    }
}

#[test]
fn fits_tables_of_bytes_and_of_text() {
    let data = load(&Request { missing: Missing::Mean, ..request("binary.fits", "y") }).unwrap();
    check_answers(&data);
    check_shared(&data);
    assert_eq!(names(&data), ["a", "n", "u", "flux[0]", "flux[1]", "flux[2]", "flag"]);
    assert_eq!(column(&data, "u"), each(|i| i as f64 + 40_000.0));
    assert_eq!(column(&data, "flux[2]"), each(|i| i as f64 + 0.5));
    assert!(column(&data, "flux[1]")[7].is_nan() && column(&data, "flux[1]")[8] == 8.25);
    // TNULL: −99 stands for nothing, and n is −99 in row 1.
    assert_eq!((0..ROWS).filter(|&i| column(&data, "n")[i].is_nan()).collect::<Vec<_>>(), [1]);
    assert_eq!(column(&data, "flag"), each(|i| f64::from(u8::from(i % 4 == 0))));
    assert!(data.notes.iter().any(|note| note.contains("left out: list")), "{:?}", data.notes);
    let data = load(&request("text.fits", "y")).unwrap();
    check_answers(&data);
    check_shared(&data);
    let target = load(&request("binary.fits", "n"));
    refused(target, &["row 1 (counted from 0), column \"n\"", "missing"]);
}

#[test]
fn a_damaged_fits_file_is_refused() {
    let whole = std::fs::read(request("binary.fits", "y").source).unwrap();
    // What follows the rows is filling.
    for len in (0..whole.len() - 3000).step_by(97) {
        let cut = Fixture::new("cut.fits", &whole[..len]);
        let result = load(&Request { target: Some("y".into()), missing: Missing::Mean, ..cut.request() });
        refused(result, &["cut.fits"]);
    }
    let changed = |from: &str, to: &str| {
        let text: Vec<u8> = whole.clone();
        let at = text.windows(from.len()).position(|part| part == from.as_bytes()).expect(from);
        let file = Fixture::new("changed.fits", [&text[..at], to.as_bytes(), &text[at + from.len()..]].concat());
        load(&Request { target: Some("y".into()), missing: Missing::Mean, ..file.request() })
    };
    refused(changed("TFORM1  = 'D  ", "TFORM1  = '9D "), &["ends behind its row"]);
    refused(changed("TFORM1  = 'D", "TFORM1  = 'Z"), &["column \"a\" has the format \"Z\""]);
    refused(changed("NAXIS1  =                   ", "NAXIS1  = 99999999999999999"), &["header"]);
}

#[cfg(feature = "hdf5")]
#[test]
fn cells_of_anndata() {
    for name in ["dense.h5ad", "rows.h5ad"] {
        let data = load(&request(name, "type")).unwrap();
        assert_eq!(names(&data), ["CD3", "CD8", "MS4A1", "NKG7"]);
        for row in 0..ROWS {
            let cell = |c: usize| if (row + c).is_multiple_of(3) { row as f32 * 0.5 + c as f32 } else { 0.0 };
            assert_eq!(floats(&data)[4 * row..][..4], [cell(0), cell(1), cell(2), cell(3)], "{name}, row {row}");
        }
        let wanted: Vec<u32> = (0..ROWS as u32).map(|i| [2, 0, 1][i as usize % 3]).collect();
        assert_eq!(classes(&data), (&wanted[..], vec!["ash", "elm", "oak"]));
        let ids = eigenlens::data::column(&request(name, "type").source, "obs_names").unwrap();
        assert_eq!((ids.len(), ids[49].as_str()), (ROWS, "cell49"));
        refused(load(&request(name, "nothing")), &["no column \"nothing\"", "--target NAME", "type"]);
    }
    check_answers(&load(&request("dense.h5ad", "batch")).unwrap());
    assert_eq!(numbers(&load(&request("dense.h5ad", "depth")).unwrap()).0, each(|i| i as f64));
    refused(load(&request("columns.h5ad", "type")), &["columns.h5ad", "X", "csc_matrix", "tocsr"]);
    let file = Fixture::new("none.h5ad", "nothing of the kind");
    refused(load(&Request { target: Some("y".into()), ..file.request() }), &["none.h5ad", "write_h5ad"]);
}

/// Runs the program with a table on standard input; what it printed, and said.
fn piped(table: &str, arguments: &[&str]) -> (String, String) {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut command = Command::new(env!("CARGO_BIN_EXE_eigenlens"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(table.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    (String::from_utf8(output.stdout).unwrap(), said)
}

/// A model made of dates and cells that may be missing reads new data alike, from standard input, which is gone through more than once.
#[test]
fn a_piped_table_is_learnt_and_predicted() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let (out, model) = (out.to_str().unwrap(), out.join("model.safetensors"));
    let line = |i: usize| {
        let a = if i.is_multiple_of(5) { String::new() } else { (i % 7).to_string() };
        format!(
            "2024-01-{:02},{a},{},{}\n",
            i % 28 + 1,
            ["u", "v", "NA"][i % 3],
            ["no", "yes"][usize::from(i % 28 > 13)]
        )
    };
    let table: String = ["when,a,c,y\n".to_owned()].into_iter().chain((0..120).map(line)).collect();
    let quick = ["--epochs", "3", "--folds", "0", "--device", "cpu", "--dates", "--missing", "indicator"];
    let (_, said) = piped(&table, &[&["train", "-", "--target", "y", "--out", out][..], &quick].concat());
    assert!(said.contains("64 missing cells told of by a column"), "{said}");
    let model = model.to_str().unwrap();
    let new = "name,c,a,when\nfirst,w,,2023-12-31\nsecond,,3,2024-06-30 12:00\n";
    let (table, said) = piped(new, &["predict", model, "-", "--out", "-", "--id", "name", "--device", "cpu"]);
    assert!(table.starts_with("name,predicted,no,yes\nfirst,") && table.contains("\nsecond,"), "{table}");
    assert!(said.contains("doesn't know, \"w\""), "{said}");
    let whole = folder.path().join("new.csv");
    std::fs::write(&whole, new).unwrap();
    let (same, _) =
        piped("", &["predict", model, whole.to_str().unwrap(), "--out", "-", "--id", "name", "--device", "cpu"]);
    assert_eq!(table, same);
}
