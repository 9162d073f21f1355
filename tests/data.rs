//! The table reader, splits and scaling: good files, and what a person is told about bad ones.

use eigenlens::data::{Dataset, Missing, Request, Targets, Task, load};

use crate::common::files::{Fixture, classes, floats, names, numbers, refused};

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
fn bad_table(content: impl AsRef<[u8]>, parts: &[&str]) {
    refused(table(content, |_| {}), &[&["table.csv"], parts].concat());
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

/// Blocks are of a mebibyte: a table of several of them, with quoted cells that hold line ends, is read as one.
#[test]
fn table_of_several_blocks() {
    let note = format!("\"a\nlong \"\"note\"\" {}\"", "z".repeat(100));
    let line = |i: usize| match i % 1000 {
        7 => format!("{i}.5,{note},{}\r\n", i % 3),
        _ => format!("{i}.5,short,{}\n", i % 3),
    };
    let text: String = ["a,c,y\n".to_owned()].into_iter().chain((0..200_000).map(line)).collect();
    assert!(text.len() > 3 << 20);
    let data = table(&text, |_| {}).unwrap();
    assert_eq!(data.rows, 200_000);
    assert_eq!(names(&data), ["a", &format!("c=a\nlong \"note\" {}", "z".repeat(100)), "c=short"]);
    let (labels, classes) = classes(&data);
    assert_eq!(classes, ["0", "1", "2"]);
    let x = floats(&data);
    for i in 0..200_000 {
        let noted = f32::from(i % 1000 == 7);
        assert_eq!(x[3 * i..][..3], [i as f32 + 0.5, noted, 1.0 - noted], "row {i}");
        assert_eq!(labels[i] as usize, i % 3);
    }
    // The place of an error is that in the file: 150 rows before it have a line more.
    let (row, rest) = (150_000, text.replace("\n150000.5,short", "\nx,short"));
    bad_table(rest, &[&format!("line {}, column \"a\"", row + 2 + 150), "\"x\" is not a number"]);
    let short = text.replace("\n150000.5,short,0", "\n150000.5,0");
    bad_table(short, &[&format!("line {}", row + 2 + 150), "2 fields"]);
    let mut bytes = text.into_bytes();
    let at = bytes.len() - 4;
    bytes[at] = 0xff;
    bad_table(bytes, &["line 200201", "not UTF-8"]);
}

/// Whatever is left open at the end of a block is closed in a later one.
#[test]
fn table_with_a_cell_of_megabytes() {
    let cell = "one, two\n".repeat(300_000);
    let dropped = |r: &mut Request| r.drop = vec!["c".into()];
    let data = table(format!("a,c,y\n1,\"{cell}\",0\n2,b,1\n"), dropped).unwrap();
    assert_eq!(floats(&data), [1.0, 2.0]);
    refused(table(format!("a,c,y\n1,\"{cell},0\n2,b,1\n"), dropped), &["line 2", "2 fields", "unclosed quote"]);
}

#[test]
fn table_packed() {
    use std::io::Write;
    let mut packed = Vec::new();
    // Two parts, as `cat a.gz b.gz` makes them.
    for part in ["a\tb\ty\n1\t2\t0\n", "3\t4\t1\n"] {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(part.as_bytes()).unwrap();
        packed.extend(encoder.finish().unwrap());
    }
    for name in ["table.tsv.gz", "table.CSV.GZ", "table.csv"] {
        let file = Fixture::new(name, &packed);
        let data = load(&Request { target: Some("y".into()), ..file.request() }).unwrap();
        assert_eq!((floats(&data), classes(&data).0), (&[1.0, 2.0, 3.0, 4.0][..], &[0, 1][..]), "{name}");
    }
    let cut = Fixture::new("table.tsv.gz", &packed[..packed.len() - 10]);
    refused(load(&Request { target: Some("y".into()), ..cut.request() }), &["cannot read", "table.tsv.gz", "whole"]);
}

#[test]
fn table_dates() {
    use eigenlens::data::Part;
    let text = "when,a,y\n2024-03-01,1,0\n2024-02-29 12:00,2,1\n,3,1\n01.01.2025,4,0\n";
    let dates = |r: &mut Request| (r.dates, r.missing) = (true, Missing::Mean);
    let data = table(text, dates).unwrap();
    assert_eq!(names(&data), ["when=days", "when=day of year", "when=weekday", "a"]);
    // Python: (date(2024, 3, 1) - date(2024, 2, 29)).days, timetuple().tm_yday, isoweekday()
    let x = floats(&data);
    assert_eq!(x[..8], [1.0, 61.0, 5.0, 1.0, 0.5, 60.0, 4.0, 2.0]);
    assert!(x[8..11].iter().all(|x| x.is_nan()));
    assert_eq!(x[12..], [307.0, 1.0, 3.0, 4.0]);
    assert_eq!(data.features[0].part, Some(Part::Days { first: 19_782 }));
    assert!(data.features[..3].iter().all(|f| f.group == Some(0)) && data.features[3].group.is_none());
    assert_eq!(eigenlens::data::units(&data.features, &[])[0].name, "when");
    assert!(data.summary(Some("y"), None).starts_with("1 number, 1 date; target"), "{}", data.summary(None, None));
    // New data are counted from the first day of the training, without being told to read dates.
    let file = csv("a,when\n1,2024-02-28\n2,2/29/2024\n");
    let request = Request { expect: Some(data.features.clone()), need_target: false, ..file.request() };
    let new = load(&request).unwrap();
    assert_eq!(floats(&new), [-1.0, 59.0, 3.0, 1.0, 0.0, 60.0, 4.0, 2.0]);
    let file = csv("a,when\n1,2024-02-28\n2,soon\n");
    refused(
        load(&Request { source: file.request().source, ..request }),
        &["line 3", "\"soon\" is no date", "2024-01-31"],
    );
    // A day that isn't, and a number beside dates.
    for wrong in ["2023-02-29", "17"] {
        let text = format!("when,y\n2024-03-01,0\n{wrong},1\n2024-03-02,0\n");
        refused(table(text, |r| r.dates = true), &["line 3, column \"when\"", "is no date"]);
    }
}

#[test]
fn table_missing_is_told_of() {
    use eigenlens::data::Part;
    let text = "a,c,b,y\n1,u,5,0\n,v,6,1\n3,?,7,1\n4,v,8,1\n";
    let data = table(text, |r| r.missing = Missing::Indicator).unwrap();
    assert_eq!(names(&data), ["a", "a=(missing)", "c=u", "c=v", "c=(missing)", "b"]);
    let x = floats(&data);
    assert!(x[6].is_nan());
    assert_eq!(x[..6], [1.0, 0.0, 1.0, 0.0, 0.0, 5.0]);
    assert_eq!(x[7..12], [1.0, 0.0, 1.0, 0.0, 6.0]);
    assert_eq!(x[12..18], [3.0, 0.0, 0.0, 0.0, 1.0, 7.0]);
    let groups: Vec<_> = data.features.iter().map(|f| (f.group, f.part)).collect();
    let (number, missing) = (Some(Part::Number), Some(Part::Missing));
    let c = Some(1);
    assert_eq!(groups, [(Some(0), number), (Some(0), missing), (c, None), (c, None), (c, missing), (None, None)]);
    let units: Vec<String> = eigenlens::data::units(&data.features, &[]).into_iter().map(|unit| unit.name).collect();
    assert_eq!(units, ["a", "c", "b"]);
    assert!(data.notes[0].contains("2 missing cells told of by a column"), "{:?}", data.notes);
    // A model does the same with new data; a column that had no missing cell has no such column.
    let file = csv("b,a,c\n,1,\n5,,w\n");
    let expect = Some(data.features.clone());
    let request = Request { expect, need_target: false, missing: Missing::Indicator, ..file.request() };
    let new = load(&request).unwrap();
    let x = floats(&new);
    assert_eq!(x[..5], [1.0, 0.0, 0.0, 0.0, 1.0]);
    assert!(x[5].is_nan() && x[6].is_nan());
    assert_eq!(x[7..], [1.0, 0.0, 0.0, 0.0, 5.0]);
    assert!(new.notes.iter().any(|note| note.contains("1 missing cell: a number is filled")), "{:?}", new.notes);
}
