//! Readers, splits and scaling: good files, and what a person is told about bad ones.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use eigenlens::data::{Dataset, Missing, Request, ScaleKind, Scaling, Targets, Task, Values, load};
use npyz::{AutoSerialize, Order, WriterBuilder, npz::NpzWriter};
use tempfile::TempDir;

/// A directory with one file in it.
struct Fixture {
    _directory: TempDir,
    path: PathBuf,
}

impl Fixture {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        Fixture { _directory: directory, path }
    }

    fn request(&self) -> Request {
        Request::new(self.path.to_str().unwrap())
    }
}

fn csv(content: impl AsRef<[u8]>) -> Fixture {
    Fixture::new("table.csv", content)
}

/// Loads with the target column `y`.
fn table(content: impl AsRef<[u8]>, change: impl Fn(&mut Request)) -> eigenlens::Result<Dataset> {
    let file = csv(content);
    let mut request = file.request();
    request.target = Some("y".into());
    change(&mut request);
    load(&request)
}

#[track_caller]
fn refused(result: eigenlens::Result<Dataset>, parts: &[&str]) {
    let message = result.expect_err("must be refused").to_string();
    assert!(!message.contains('\n'), "{message}");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[track_caller]
fn bad_table(content: impl AsRef<[u8]>, parts: &[&str]) {
    refused(table(content, |_| {}), &[&["table.csv"], parts].concat());
}

fn floats(dataset: &Dataset) -> &[f32] {
    let Values::F32(x) = &dataset.x else { panic!("bytes") };
    x
}

fn classes(dataset: &Dataset) -> (&[u32], Vec<&str>) {
    let Targets::Classes { labels, names } = &dataset.y else { panic!("{:?}", dataset.y) };
    (labels, names.iter().map(String::as_str).collect())
}

fn numbers(dataset: &Dataset) -> (&[f32], Vec<&str>) {
    let Targets::Numbers { values, names } = &dataset.y else { panic!("{:?}", dataset.y) };
    (values, names.iter().map(String::as_str).collect())
}

fn names(dataset: &Dataset) -> Vec<&str> {
    dataset.features.iter().map(|f| f.name.as_str()).collect()
}

#[test]
fn table_plain() {
    let data = table("a,y,b\n1,yes,2.5\n\n-3e1,no,4\n 5 , yes ,6\n", |_| {}).unwrap();
    assert_eq!((data.rows, data.columns, data.test_from), (3, 2, None));
    assert_eq!(names(&data), ["a", "b"]);
    assert_eq!(floats(&data), [1.0, 2.5, -30.0, 4.0, 5.0, 6.0]);
    assert_eq!(classes(&data), (&[1, 0, 1][..], vec!["no", "yes"]));
    assert_eq!((data.axes.len(), data.axes[0].name.as_str(), data.axes[0].len), (1, "feature", 2));
    assert!(data.source.ends_with("table.csv") && data.notes.is_empty());
}

#[test]
fn table_delimiters_and_mark() {
    for content in [
        "\u{feff}a;y;\"b,c\"\r\n1;0;2\r\n3;1;4\r\n",
        "a\ty\t\"b,c\"\n1\t0\t2\n3\t1\t4",
        "\u{feff}\"a\",y,\"b,c\"\r1,0,2\r3,1,4",
    ] {
        let data = table(content, |_| {}).unwrap();
        assert_eq!(names(&data), ["a", "b,c"]);
        assert_eq!(floats(&data), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(classes(&data), (&[0, 1][..], vec!["0", "1"]));
    }
}

#[test]
fn table_one_hot() {
    let data = table("c,a,d,y\nred,1,u,0\nblue,2,v,1\nred,3,v,1\n", |_| {}).unwrap();
    assert_eq!(names(&data), ["c=blue", "c=red", "a", "d=u", "d=v"]);
    let groups: Vec<_> = data.features.iter().map(|f| f.group).collect();
    assert_eq!(groups, [Some(0), Some(0), None, Some(1), Some(1)]);
    assert_eq!(floats(&data), [0., 1., 1., 1., 0., 1., 0., 2., 0., 1., 0., 1., 3., 0., 1.]);
}

#[test]
fn table_missing() {
    let content = "a,c,y\n1,u,0\nNA,v,1\n3,?,1\n4,v,1\n";
    refused(table(content, |_| {}), &["line 3", "\"a\"", "--missing mean", "--missing drop"]);
    let mean = table(content, |r| r.missing = Missing::Mean).unwrap();
    let x = floats(&mean);
    assert_eq!(mean.rows, 4);
    assert!(x[3].is_nan());
    assert_eq!(&x[6..9], [3.0, 0.0, 0.0]);
    assert!(mean.notes[0].contains("2 missing cells"), "{:?}", mean.notes);
    let drop = table(content, |r| r.missing = Missing::Drop).unwrap();
    assert_eq!(floats(&drop), [1., 1., 0., 4., 0., 1.]);
    assert_eq!(classes(&drop), (&[0, 1][..], vec!["0", "1"]));
}

#[test]
fn table_missing_words() {
    for word in ["", "NA", "n/a", "NaN", "null", "?", "  "] {
        let content = format!("a,b,y\n1,2,0\n{word},2,1\n");
        bad_table(content, &["line 3", "column \"a\"", "missing", "--missing"]);
    }
    let data = table("garage,y\nnone,none\nbuilt in,some\nNone,none\n", |_| {}).unwrap();
    assert_eq!(names(&data), ["garage=None", "garage=built in", "garage=none"]);
    assert_eq!(classes(&data), (&[0, 1, 0][..], vec!["none", "some"]));
    bad_table("a,y\n1,0\nnone,1\n3,1\n", &["line 3", "\"none\" is not a number", "leave it empty if it is unknown"]);
    let content = "a,y\n1,0\n2,\n3,1\n";
    for missing in [Missing::Refuse, Missing::Mean] {
        refused(table(content, |r| r.missing = missing), &["line 3", "\"y\"", "--missing drop"]);
    }
    let data = table(content, |r| r.missing = Missing::Drop).unwrap();
    assert_eq!(data.rows, 2);
    assert!(data.notes[0].contains("1 of 3 rows"), "{:?}", data.notes);
    refused(table("a,y\n,0\n,1\n", |r| r.missing = Missing::Drop), &["each", "--missing mean"]);
    refused(table("a,b,y\n,1,0\n,2,1\n", |r| r.missing = Missing::Mean), &["\"a\"", "every cell", "--drop \"a\""]);
}

#[test]
fn table_bad_cells() {
    bad_table("a,y\n1,0\nx1,1\n3,1\n", &["line 3", "column \"a\"", "\"x1\"", "not a number", "correct"]);
    bad_table("a,y\r\n\r\n1,0\r\n\r\nx1,1\r\n3,1\r\n", &["line 5", "\"x1\""]);
    bad_table("a,y\n1,0\ninf,1\n3,1\n", &["line 3", "\"a\"", "\"inf\"", "finite", "correct"]);
    bad_table("a,y\n1,0\n1e39,1\n3,1\n", &["line 3", "\"a\"", "\"1e39\"", "finite"]);
    bad_table("a,y\n1,0\n1e999,1\n3,1\n", &["line 3", "\"1e999\"", "finite"]);
    let long = "z".repeat(500);
    let message = table(format!("a,y\n1,0\n{long},1\n3,1\n"), |_| {}).unwrap_err().to_string();
    assert!(message.contains('…') && message.len() < 300, "{message}");
    let many: String = (0..65).map(|i| format!("v{i},{}\n", i % 2)).collect();
    bad_table(format!("a,y\n{many}"), &["\"a\"", "64", "--drop \"a\" or convert"]);
    for date in ["2024-01-31", "31.01.2024", "1/31/2024", "2024-01-31T10:00"] {
        let text = format!("b,a,y\n0,,0\n1,{date},0\n2,{date},1\n");
        let parts = ["line 3, column \"a\"", &format!("{date:?} is a date"), "--drop \"a\"", "days since the first"];
        refused(table(text, |r| r.missing = Missing::Mean), &parts);
    }
    bad_table("a;y\n1,5;0\n2,5;1\n", &["\"a\"", "decimal comma", "decimal point"]);
}

#[test]
fn table_bad_shape() {
    bad_table("a,b,y\n1,2,0\n1,2\n", &["line 3", "2 fields", "header has 3", "correct the row"]);
    bad_table("a,b,y\n1,2,0\n1,2,3,4\n", &["line 3", "4 fields", "header has 3"]);
    bad_table("a,b,y\n1,\"2,0\n1,2,3\n", &["line 2", "unclosed quote"]);
    bad_table("", &["line 1", "empty", "header line"]);
    bad_table("\u{feff}\n\n", &["empty"]);
    bad_table("a,y\n", &["none after the header", "add rows"]);
    bad_table("a,y\n1,0\n", &["rows", "only one", "at least two"]);
    bad_table("a,y\n1,0.5\n", &["rows", "only one", "at least two"]);
    refused(table("a,y\n1,2.5\n,1\n", |r| r.missing = Missing::Drop), &["rows", "only one"]);
    assert_eq!(table("a,y\n1,0.5\n", |r| r.need_target = false).unwrap().rows, 1, "enough to predict");
    bad_table("a,b,a,y\n1,2,3,0\n", &["header", "\"a\"", "name of its own"]);
    bad_table("a,,y\n1,2,0\n", &["header", "column 2", "no name"]);
    bad_table("1.5,2.5\n1,2\n", &["header", "only numbers", "names"]);
    bad_table("y\n1\n0\n", &["header", "no column but the target", "delimiter"]);
    bad_table(b"a,y\n1,0\n\xff,1\n", &["line 3", "UTF-8"]);
    refused(load(&Request::new("/nowhere/table.csv")), &["/nowhere/table.csv", "readable"]);
}

#[test]
fn table_target() {
    refused(load(&csv("a,b\n1,2\n").request()), &["header", "--target NAME", "a, b"]);
    bad_table("a,b\n1,2\n", &["\"y\"", "--target NAME", "a, b"]);
    let content = "a,y\n1,10\n2,9\n3,10\n";
    assert_eq!(classes(&table(content, |_| {}).unwrap()), (&[1, 0, 1][..], vec!["9", "10"]));
    let regress = table(content, |r| r.task = Some(Task::Regress)).unwrap();
    assert_eq!(numbers(&regress), (&[10.0, 9.0, 10.0][..], vec!["y"]));
    assert_eq!(numbers(&table("a,y\n1,0.5\n2,1\n", |_| {}).unwrap()).0, [0.5, 1.0]);
    let many: String = (0..21).map(|i| format!("1,{i}\n")).collect();
    assert_eq!(numbers(&table(format!("a,y\n{many}"), |_| {}).unwrap()).0.len(), 21);
    let mixed = table("a,y\n1,10\n2,9\n3,x\n", |r| r.task = Some(Task::Classify)).unwrap();
    assert_eq!(classes(&mixed), (&[1, 0, 2][..], vec!["9", "10", "x"]));
    bad_table("a,y\n1,10\n2,9\n3,x\n", &["line 4", "\"y\"", "\"x\"", "--task classify"]);
    let text = table("a,y\n1,up\n2,down\n", |r| r.task = Some(Task::Regress));
    refused(text, &["line 2", "\"y\"", "\"up\"", "--task classify"]);
    let continuous = |n: usize| {
        let rows: String = (0..n).map(|i| format!("1,{i}.5\n")).collect();
        table(format!("a,y\n{rows}"), |r| r.task = Some(Task::Classify))
    };
    refused(continuous(21), &["\"y\"", "21 distinct numbers", "--task regress"]);
    assert_eq!(classes(&continuous(20).unwrap()).1.len(), 20, "a few are taken as asked");
    let many: String = (0..1001).map(|i| format!("1,{i}.5\n")).collect();
    let too_many = table(format!("a,y\n{many}"), |r| r.task = Some(Task::Classify));
    refused(too_many, &["\"y\"", "1000 classes", "--task regress"]);
    let many: String = (0..1001).map(|i| format!("1,t{i}\n")).collect();
    bad_table(format!("a,y\n{many}"), &["\"y\"", "1000 classes", "--target"]);
}

#[test]
fn table_as_a_model_expects() {
    let trained = table("c,a,b,y\nred,1,2,0\nblue,3,4,1\n", |_| {}).unwrap();
    let predict = |content: &str| {
        let file = csv(content);
        let mut request = file.request();
        request.need_target = false;
        request.expect = Some(trained.features.clone());
        load(&request)
    };
    let data = predict("b,extra,a,c\n5,2020-01-01,6,blue\n7,,8,green\n").unwrap();
    assert_eq!(data.features, trained.features);
    assert_eq!(floats(&data), [1., 0., 6., 5., 0., 0., 8., 7.]);
    assert!(data.y == Targets::None);
    assert!(data.notes[0].contains("\"c\"") && data.notes[0].contains("green"), "{:?}", data.notes);
    refused(predict("b,c\n1,red\n"), &["header", "\"a\"", "model expects", "b, c"]);
    refused(predict("a,b\n1,2\n"), &["header", "\"c\"", "model expects"]);
    refused(predict("a,b,c\n1,x,red\n"), &["line 2", "\"b\"", "\"x\"", "correct"]);
    let everything = csv("a,b\n1,2\n");
    let mut request = everything.request();
    request.need_target = false;
    assert_eq!(names(&load(&request).unwrap()), ["a", "b"]);
}

#[test]
fn table_identifiers() {
    let rows = |n: usize, last: &str| {
        let mut text: String = (1..n).map(|i| format!("p{i},{i},{}\n", i % 2)).collect();
        text.push_str(&format!("{last},0,1\n"));
        format!("full name,a,y\n{text}")
    };
    bad_table(rows(21, "p0"), &["\"full name\"", "another text", "leave it out with --drop \"full name\""]);
    assert_eq!(table(rows(21, "p0"), |r| r.drop = vec!["full name".into()]).unwrap().columns, 1);
    assert_eq!(table(rows(20, "p0"), |_| {}).unwrap().columns, 21, "few rows may all differ");
    assert_eq!(table(rows(40, "p1"), |_| {}).unwrap().columns, 40, "a value that comes back makes it a category");
}

/// Numbers that tell the rows apart are pointed out, and kept.
#[test]
fn table_numbers_that_look_like_identifiers() {
    let notes = |name: &str, value: &dyn Fn(usize) -> String| {
        let rows: String = (0..30).map(|i| format!("{},{},{}\n", value(i), i % 7, i % 2)).collect();
        let data = table(format!("{name},a,y\n{rows}"), |_| {}).unwrap();
        assert_eq!(data.columns, 2);
        data.notes
    };
    let scattered = |i: usize| (i * 7919 % 1000).to_string();
    for name in ["id", "customer_id", "CustomerID", "patientId", "Index", "row number"] {
        let notes = notes(name, &scattered);
        assert!(notes.len() == 1 && notes[0].contains(&format!("--drop {name:?}")), "{name}: {notes:?}");
    }
    assert_eq!(notes("anything", &|i| (i + 1).to_string()).len(), 1, "it counts the rows");
    assert_eq!(notes("anything", &|i| i.to_string()).len(), 1, "it counts the rows");
    for (name, value) in [
        ("humidity", &scattered as &dyn Fn(usize) -> String),
        ("paid", &scattered),
        ("year", &|i| (1990 + i).to_string()),
        ("id", &|i| (i / 2).to_string()),
        ("id", &|i| format!("{i}.5")),
    ] {
        assert!(notes(name, value).is_empty(), "{name}");
    }
    let rows: String = (0..30).map(|i| format!("{i},{},{}\n", i + 1, i % 2)).collect();
    let several = table(format!("id,row,y\n{rows}"), |_| {}).unwrap().notes;
    assert!(several.len() == 1 && several[0].contains("id, row; leave them out"), "{several:?}");
}

#[test]
fn table_weights() {
    let with = |content: &str, missing| {
        table(content, |r| {
            r.weights = Some(" w".into());
            r.missing = missing;
        })
    };
    let data = with("a,w,y\n1,2,0\n2,0,1\n3,0.5,1\n", Missing::Refuse).unwrap();
    assert_eq!((names(&data), data.weights.as_deref()), (vec!["a"], Some(&[2.0, 0.0, 0.5][..])), "it is no input");
    assert_eq!(data.select_rows(&[0, 2]).weights.unwrap(), [2.0, 0.5]);
    assert_eq!(data.select_columns(&[0]).weights, data.weights);
    let gap = "a,w,y\n1,2,0\n2,,1\n3,0.5,1\n";
    assert_eq!(with(gap, Missing::Drop).unwrap().weights.unwrap(), [2.0, 0.5]);
    for missing in [Missing::Refuse, Missing::Mean] {
        refused(with(gap, missing), &["table.csv", "line 3", "\"w\"", "missing", "--missing drop"]);
    }
    for (cell, problem) in [("-1", "below 0"), ("inf", "finite"), ("1e39", "finite"), ("much", "not a number")] {
        let text = format!("a,w,y\n1,2,0\n2,{cell},1\n");
        refused(with(&text, Missing::Drop), &["table.csv", "line 3", "\"w\"", cell, problem, "0 or more"]);
    }
    refused(with("a,y\n1,0\n2,1\n", Missing::Refuse), &["table.csv", "\" w\"", "--weights NAME: a, y"]);
    refused(table("a,y\n1,0\n2,1\n", |r| r.weights = Some("y".into())), &["--weights names y", "target"]);
    let mut request = Request::new("gaussian");
    request.weights = Some("w".into());
    refused(load(&request), &["--weights", "gaussian", ".npz"]);

    // What a trained model reads may have them or not.
    let file = csv("a,w\n1,2\n");
    let mut request = Request { need_target: false, expect: Some(data.features.clone()), ..file.request() };
    assert_eq!(load(&request).unwrap().weights, None);
    request.weights = Some("w".into());
    assert_eq!(load(&request).unwrap().weights.unwrap(), [2.0]);
    request.weights = Some("other".into());
    assert_eq!(load(&request).unwrap().weights, None);
}

#[test]
fn table_dropped_columns() {
    let content = "id,a,when,y\nx1,1,2024-01-01,0\nx2,2,,1\nx3,3,2024-01-03,1\n";
    let dropped = |names: &[&str]| table(content, |r| r.drop = names.iter().map(|n| n.to_string()).collect());
    let data = dropped(&["when", "id"]).unwrap();
    assert_eq!((names(&data), floats(&data)), (vec!["a"], &[1.0, 2.0, 3.0][..]));
    refused(dropped(&["ident"]), &["table.csv", "header", "\"ident\"", "--drop", "id, a, when, y"]);
    refused(dropped(&["a", "y"]), &["--drop names y", "target"]);
    refused(dropped(&["a", "id", "when"]), &["header", "no column but the target", "--drop"]);
    let mut request = Request::new("gaussian");
    request.drop = vec!["x0".into()];
    refused(load(&request), &["--drop", "gaussian", "table"]);
}

type Archive = NpzWriter<std::io::BufWriter<fs::File>>;

fn add<T: AutoSerialize + Copy>(npz: &mut Archive, name: &str, shape: &[u64], values: &[T]) {
    add_in(Order::C, npz, name, shape, values);
}

fn add_in<T: AutoSerialize + Copy>(order: Order, npz: &mut Archive, name: &str, shape: &[u64], values: &[T]) {
    let options = npz.array::<T>(name, Default::default()).unwrap();
    let mut writer = options.default_dtype().order(order).shape(shape).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
}

fn npz(write: impl Fn(&mut Archive)) -> Fixture {
    let file = Fixture::new("arrays.npz", "");
    let mut archive = NpzWriter::create(&file.path).unwrap();
    write(&mut archive);
    drop(archive);
    file
}

#[track_caller]
fn bad_npz(write: impl Fn(&mut Archive), parts: &[&str]) {
    refused(load(&npz(write).request()), &[&["arrays.npz"], parts].concat());
}

/// An .npy with any header.
fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let len = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), data].concat()
}

fn raw(npz: &mut Archive, name: &str, content: &[u8]) {
    npz.zip_writer().start_file(name, Default::default()).unwrap();
    npz.zip_writer().write_all(content).unwrap();
}

fn load_npy(content: &[u8]) -> eigenlens::Result<Dataset> {
    let file = Fixture::new("array.npy", content);
    let mut request = file.request();
    request.need_target = false;
    load(&request)
}

#[test]
fn npz_fortran_and_test_rows() {
    let file = npz(|npz| {
        add_in(Order::Fortran, npz, "X", &[2, 3], &[1.0f64, 4.0, 2.0, 5.0, 3.0, 6.0]);
        add(npz, "y", &[2, 1], &[7i64, -1]);
        add(npz, "X_test", &[1, 3], &[7.0f32, 8.0, 9.0]);
        add(npz, "y_test", &[1], &[7.0f32]);
    });
    let data = load(&file.request()).unwrap();
    assert_eq!((data.rows, data.columns, data.test_from), (3, 3, Some(2)));
    assert_eq!(floats(&data), [1., 2., 3., 4., 5., 6., 7., 8., 9.]);
    assert_eq!(classes(&data), (&[1, 0, 1][..], vec!["-1", "7"]));
    assert_eq!(names(&data), ["x0", "x1", "x2"]);
}

#[test]
fn npz_weights() {
    let with = |w: &[f64], test: Option<[f32; 1]>, missing| {
        let file = npz(|npz| {
            add(npz, "X", &[3, 1], &[1.0f32, 2.0, 3.0]);
            add(npz, "y", &[3], &[0u8, 0, 1]);
            add(npz, "X_test", &[1, 1], &[4.0f32]);
            add(npz, "y_test", &[1], &[1u8]);
            add(npz, "w", &[w.len() as u64], w);
            if let Some(test) = test {
                add(npz, "w_test", &[1], &test);
            }
        });
        load(&Request { weights: Some("w".into()), missing, ..file.request() })
    };
    let data = with(&[1.0, 0.0, 2.5], Some([3.0]), Missing::Refuse).unwrap();
    assert_eq!(data.weights.unwrap(), [1.0, 0.0, 2.5, 3.0]);
    let data = with(&[1.0, f64::NAN, 2.5], Some([3.0]), Missing::Drop).unwrap();
    assert_eq!((data.weights.unwrap(), data.rows), (vec![1.0, 2.5, 3.0], 3));
    refused(with(&[1.0, f64::NAN, 2.5], Some([3.0]), Missing::Mean), &["w, row 1 (counted from 0)", "NaN", "finite"]);
    refused(with(&[1.0, -2.0, 2.5], Some([3.0]), Missing::Refuse), &["w, row 1 (counted from 0)", "-2", "below 0"]);
    refused(with(&[1.0, 1.0, 2.5], Some([f32::INFINITY]), Missing::Refuse), &["w_test, row 0", "finite"]);
    refused(with(&[1.0, 2.5], Some([3.0]), Missing::Refuse), &["w", "[2]", "3 rows"]);
    refused(with(&[1.0, 2.5, 1.0], None, Missing::Refuse), &["w_test", "missing", "X_test"]);
    let plain = npz(|npz| {
        add(npz, "X", &[2, 1], &[1.0f32, 2.0]);
        add(npz, "y", &[2], &[0u8, 1]);
    });
    let named = |name: &str| load(&Request { weights: Some(name.into()), ..plain.request() });
    refused(named("w"), &["arrays.npz", "w", "--weights", "X, y"]);
    refused(named("y"), &["--weights names y"]);
}

#[test]
fn npz_pictures() {
    let pixels: Vec<u8> = (0..24).collect();
    let file = npz(|npz| {
        add(npz, "x", &[2, 3, 4], &pixels);
        add(npz, "y", &[2], &[0u8, 1]);
    });
    let data = load(&file.request()).unwrap();
    assert_eq!(data.x, Values::U8(pixels.clone()));
    assert_eq!(data.axes.iter().map(|a| (a.name.as_str(), a.len)).collect::<Vec<_>>(), [("row", 3), ("column", 4)]);
    assert_eq!(names(&data)[5], "r1c1");
    let file = npz(|npz| {
        add_in(Order::Fortran, npz, "X", &[2, 1, 11, 1], &pixels[..22]);
        add(npz, "y", &[2], &[0i32, 1]);
    });
    let data = load(&file.request()).unwrap();
    assert_eq!((data.axes.len(), names(&data)[10]), (3, "r00c10ch0"));
    assert_eq!((data.value(0, 1), data.value(1, 10)), (2.0, 21.0));
}

#[test]
fn npz_targets() {
    let with = |y: &dyn Fn(&mut Archive), task| {
        let file = npz(|npz| {
            add(npz, "X", &[2, 1], &[1i32, 2]);
            y(npz);
        });
        let mut request = file.request();
        request.task = task;
        load(&request)
    };
    let whole = |npz: &mut Archive| add(npz, "y", &[2], &[3.0f64, 1.0]);
    assert_eq!(classes(&with(&whole, None).unwrap()), (&[1, 0][..], vec!["1", "3"]));
    assert_eq!(numbers(&with(&whole, Some(Task::Regress)).unwrap()), (&[3.0, 1.0][..], vec!["y"]));
    let many = |npz: &mut Archive| add(npz, "y", &[2, 2], &[0.5f32, 1.0, 2.0, 3.0]);
    assert_eq!(numbers(&with(&many, None).unwrap()), (&[0.5, 1.0, 2.0, 3.0][..], vec!["y0", "y1"]));
    refused(with(&many, Some(Task::Classify)), &["y", "2 outputs", "argmax"]);
    let file = npz(|npz| {
        add(npz, "X", &[21, 1], &[1.0f32; 21]);
        add(npz, "y", &[21], &(0..21).map(|i| f64::from(i) / 4.0).collect::<Vec<_>>());
    });
    let mut request = file.request();
    request.task = Some(Task::Classify);
    refused(load(&request), &["arrays.npz", "y", "21 distinct numbers", "--task regress"]);
    let nan = |npz: &mut Archive| add(npz, "y", &[2], &[0.5f32, f32::NAN]);
    refused(with(&nan, None), &["y, row 1", "counted from 0", "NaN", "--missing drop"]);
    let cube = |npz: &mut Archive| add(npz, "y", &[2, 1, 1], &[0u8, 1]);
    refused(with(&cube, None), &["y", "[2, 1, 1]", "[rows]"]);
    let huge = |npz: &mut Archive| add(npz, "y", &[2], &[1i64 << 60, 1]);
    refused(with(&huge, None), &["y", "2^53", "numpy.unique"]);
}

#[test]
fn npz_bad_arrays() {
    bad_npz(|npz| add(npz, "a", &[1], &[1u8]), &["X", "the file has a", "save it"]);
    bad_npz(|npz| add(npz, "X", &[1, 1], &[1u8]), &["y", "missing", "the file has X"]);
    bad_npz(|npz| add(npz, "X", &[0, 4], &[0u8; 0]), &["X", "empty", "[0, 4]"]);
    bad_npz(|npz| (add(npz, "X", &[2], &[1u8, 2]), add(npz, "y", &[2], &[1u8, 2])).0, &["X", "[2]", "[rows, columns]"]);
    let both = |npz: &mut Archive| {
        add(npz, "X", &[2, 1], &[1u8, 2]);
        add(npz, "y", &[3], &[1u8, 2, 3]);
    };
    bad_npz(both, &["X and y", "X has 2 rows and y has 3"]);
    let good = |npz: &mut Archive| {
        add(npz, "X", &[2, 1], &[1u8, 2]);
        add(npz, "y", &[2], &[0u8, 1]);
    };
    let test = |x: &dyn Fn(&mut Archive), parts: &[&str]| {
        bad_npz(|npz| (good(npz), x(npz), add(npz, "y_test", &[1], &[0u8])).0, parts);
    };
    test(&|npz| add(npz, "X_test", &[1, 1], &[1.0f32]), &["X and X_test", "uint8 and float32", ".astype"]);
    test(&|npz| add(npz, "X_test", &[1, 2], &[1u8, 2]), &["X and X_test", "[1] and [2]"]);
    test(&|_| (), &["X_test", "while there is y_test"]);
    bad_npz(|npz| (good(npz), add(npz, "X_test", &[1, 1], &[1u8])).0, &["y_test", "while there is X_test"]);
    refused(load(&Request::new("/nowhere/a.npz")), &["/nowhere/a.npz", "readable"]);
    let file = npz(good);
    let mut request = file.request();
    request.expect = Some(vec![load(&request).unwrap().features[0].clone(); 3]);
    refused(load(&request), &["X", "1 columns", "[2, 1]", "model expects 3"]);
}

#[test]
fn npz_integers_of_any_width() {
    fn both<T: AutoSerialize + Copy>(x: [T; 2], y: [T; 2]) -> (Vec<f32>, Vec<String>) {
        let file = npz(|npz| {
            add(npz, "X", &[2, 1], &x);
            add(npz, "y", &[2], &y);
        });
        let data = load(&file.request()).unwrap();
        (floats(&data).to_vec(), classes(&data).1.into_iter().map(str::to_owned).collect())
    }
    let named = |x: [f32; 2], names: [&str; 2]| (x.to_vec(), names.map(str::to_owned).to_vec());
    assert_eq!(both([-1i8, 127], [-128, 127]), named([-1.0, 127.0], ["-128", "127"]));
    assert_eq!(both([-300i16, 300], [5, -5]), named([-300.0, 300.0], ["-5", "5"]));
    assert_eq!(both([300u16, 65_535], [1, 65_535]), named([300.0, 65_535.0], ["1", "65535"]));
    // A label is exact where an input is rounded to 32 bits.
    assert_eq!(
        both([u32::MAX, 16_777_217], [16_777_216, 16_777_217]),
        named([4_294_967_296.0, 16_777_216.0], ["16777216", "16777217"])
    );
    assert_eq!(both([1u64 << 40, 3], [1 << 52, 7]), named([1_099_511_627_776.0, 3.0], ["7", "4503599627370496"]));
    let huge = |npz: &mut Archive| (add(npz, "X", &[2, 1], &[1u8, 2]), add(npz, "y", &[2], &[u64::MAX, 1])).0;
    bad_npz(huge, &["y", "2^53", "numpy.unique"]);
}

#[test]
fn npz_missing() {
    let with = |bad: f32, missing| {
        let file = npz(|npz| {
            add(npz, "X", &[3, 2], &[1.0, 2.0, 3.0, bad, 5.0, 6.0]);
            add(npz, "y", &[3], &[0u8, 0, 1]);
        });
        let mut request = file.request();
        request.missing = missing;
        load(&request)
    };
    refused(with(f32::NAN, Missing::Refuse), &["X, row 1, column 1", "counted from 0", "NaN", "--missing mean"]);
    for missing in [Missing::Refuse, Missing::Mean, Missing::Drop] {
        refused(with(f32::INFINITY, missing), &["X, row 1, column 1", "finite"]);
    }
    let mut mean = with(f32::NAN, Missing::Mean).unwrap();
    assert!(floats(&mean)[3].is_nan() && mean.notes[0].contains("1 missing values"), "{:?}", mean.notes);
    Scaling::fit(ScaleKind::Standard, &mean, &[0, 1, 2]).unwrap().fill_missing(&mut mean);
    assert_eq!(floats(&mean)[3], 4.0);
    let drop = with(f32::NAN, Missing::Drop).unwrap();
    assert_eq!(floats(&drop), [1., 2., 5., 6.]);
    assert!(drop.notes[0].contains("1 of 3 rows"), "{:?}", drop.notes);
}

#[test]
fn npz_missing_targets() {
    let with = |y: [f64; 4], missing| {
        let file = npz(|npz| {
            add(npz, "X", &[3, 1], &[1u8, 2, 3]);
            add(npz, "y", &[3], &y[..3]);
            add(npz, "X_test", &[1, 1], &[4u8]);
            add(npz, "y_test", &[1], &y[3..]);
        });
        let mut request = file.request();
        request.missing = missing;
        load(&request)
    };
    let nan = f64::NAN;
    let data = with([2.0, nan, 5.0, 2.0], Missing::Drop).unwrap();
    assert_eq!((data.rows, data.test_from, &data.x), (3, Some(2), &Values::U8(vec![1, 3, 4])));
    assert_eq!(classes(&data), (&[0, 1, 0][..], vec!["2", "5"]));
    assert!(data.notes[0].contains("1 of 4 rows"), "{:?}", data.notes);
    let data = with([0.5, 1.0, 2.0, nan], Missing::Drop).unwrap();
    assert_eq!((data.rows, data.test_from, numbers(&data).0), (3, Some(3), &[0.5, 1.0, 2.0][..]));
    refused(with([nan; 4], Missing::Drop), &["no rows"]);
    refused(with([0.5, 1.0, 2.0, nan], Missing::Mean), &["y_test, row 0", "NaN", "--missing drop"]);
    refused(with([0.5, f64::INFINITY, 2.0, 1.0], Missing::Drop), &["y, row 1", "inf", "correct"]);
    let file = npz(|npz| {
        add(npz, "X", &[3, 1], &[1.0, f32::NAN, 3.0]);
        add(npz, "y", &[3], &[0u8, 4, 1]);
    });
    let mut request = file.request();
    request.missing = Missing::Drop;
    assert_eq!(classes(&load(&request).unwrap()).1, ["0", "1"], "the class of a dropped row alone is none");
}

#[test]
fn npy_hostile() {
    let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }\n";
    assert_eq!(floats(&load_npy(&npy(good, &[0; 8])).unwrap()), [0.0, 0.0]);
    let big = good.replace('<', ">");
    assert_eq!(floats(&load_npy(&npy(&big, &[0x40, 0, 0, 0, 0, 0, 0, 0])).unwrap()), [2.0, 0.0]);
    let file = Fixture::new("array.npy", npy(good, &[0; 8]));
    refused(load(&file.request()), &["array.npy", "without a target", ".npz"]);
    refused(load_npy(&npy(good, &[0; 7])), &["X", "7 of the 8 bytes", "numpy.save"]);
    refused(load_npy(&npy(good, &[0; 9])), &["X", "more bytes"]);
    let shaped = |shape: &str| npy(&good.replace("(1, 2)", shape), &[0; 8]);
    refused(load_npy(&shaped("(2000000000, 1)")), &["8 of the 8000000000 bytes"]);
    refused(load_npy(&shaped("(4294967296, 4294967296)")), &["impossible shape"]);
    refused(load_npy(&shaped("(4294967296, 0)")), &["empty"]);
    for shape in ["(-1, 2)", "(99999999999999999999999, 2)", "(1.5, 2)", "((((((", "()}{", "(1, 2"] {
        refused(load_npy(&shaped(shape)), &["X", "not one that NumPy writes"]);
    }
    refused(load_npy(&npy(&"(".repeat(60_000), &[])), &["not one that NumPy writes"]);
    for descr in ["'|O'", "'<U5'", "'<f2'", "[('a', '<f4')]", "'é'"] {
        let header = good.replace("'<f4'", descr);
        refused(load_npy(&npy(&header, &[0; 8])), &["X", "dtype", ".astype"]);
    }
    refused(load_npy(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"), &["4294967295", "65536"]);
    refused(load_npy(b"\x93NUMPY\x01\x00\xff\xff{"), &["header breaks off"]);
    refused(load_npy(b"\x93NUMPY\x09\x00"), &["version 9"]);
    refused(load_npy(b"PK\x03\x04....."), &["no NumPy array"]);
    refused(load_npy(b""), &["header breaks off"]);
}

#[test]
fn npz_damaged() {
    let file = npz(|npz| {
        add(npz, "X", &[2, 2], &[1.0f64, 2.0, 3.0, 4.0]);
        add(npz, "y", &[2], &[0u8, 1]);
    });
    let whole = fs::read(&file.path).unwrap();
    for len in 0..whole.len() {
        refused(load(&Fixture::new("arrays.npz", &whole[..len]).request()), &["arrays.npz", "numpy.savez"]);
    }
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        // Whatever it says, it must say it without a panic.
        let _ = load(&Fixture::new("arrays.npz", &bytes).request());
    }
    bad_npz(|npz| raw(npz, "X.npy", b"nothing"), &["X", "header breaks off"]);
}
