//! The array reader: good archives, and what a person is told about bad ones.

use std::fs;
use std::io::Write;

use eigenlens::data::{Dataset, Layout, Missing, Request, ScaleKind, Scaling, Task, Values, load};
use npyz::{AutoSerialize, Order, WriterBuilder};

use crate::common::files::{Fixture, classes, floats, names, numbers, refused};
use crate::common::npz::NpzWriter as Archive;

fn add<T: AutoSerialize + Copy>(npz: &mut Archive, name: &str, shape: &[u64], values: &[T]) {
    add_in(Order::C, npz, name, shape, values);
}

fn add_in<T: AutoSerialize + Copy>(order: Order, npz: &mut Archive, name: &str, shape: &[u64], values: &[T]) {
    let options = npz.array::<T>(name);
    let mut writer = options.default_dtype().order(order).shape(shape).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
}

fn npz(write: impl Fn(&mut Archive)) -> Fixture {
    let file = Fixture::new("arrays.npz", "");
    let mut archive = Archive::create(&file.path);
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
    npz.zip_writer().start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
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
    refused(load(&request), &["X", "1 column (", "[2, 1]", "model expects 3"]);
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
    assert!(floats(&mean)[3].is_nan() && mean.notes[0].contains("1 missing value in 1 row"), "{:?}", mean.notes);
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
    for descr in ["'|O'", "'<U5'", "'<c8'", "[('a', '<f4')]", "'é'"] {
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

/// Channels first or last: guessed from the lengths, said, and to be chosen.
#[test]
fn pictures_with_channels() {
    use eigenlens::data::Layout;
    let with = |shape: [u64; 4], layout: Option<Layout>| {
        let values: Vec<f32> = (0..shape.iter().product::<u64>()).map(|i| i as f32).collect();
        let file = npz(|npz| {
            add(npz, "X", &shape, &values);
            add(npz, "y", &[shape[0]], &[0i64, 1]);
        });
        let mut request = file.request();
        request.layout = layout;
        load(&request).unwrap()
    };
    let axes = |d: &Dataset| d.axes.iter().map(|a| format!("{} {}", a.name, a.len)).collect::<Vec<_>>().join(", ");
    let first = with([2, 3, 4, 5], None);
    assert_eq!(axes(&first), "channel 3, row 4, column 5");
    // Value 3·4·5 − 1 is the last pixel of the last channel; 20 the first of channel 1.
    assert_eq!((first.features[59].name.as_str(), first.features[20].name.as_str()), ("r3c4ch2", "r0c0ch1"));
    assert!(first.summary(None, None).starts_with("pictures of 4 rows × 5 columns with 3 channels (first); target: y"));
    let last = with([2, 4, 5, 3], None);
    assert_eq!(axes(&last), "row 4, column 5, channel 3");
    assert_eq!((last.features[59].name.as_str(), last.features[20].name.as_str()), ("r3c4ch2", "r1c1ch2"));
    // 3 at both ends is taken as most files have it.
    assert_eq!(axes(&with([2, 3, 4, 3], None)), "row 3, column 4, channel 3");
    assert_eq!(axes(&with([2, 3, 4, 3], Some(Layout::ChannelsFirst))), "channel 3, row 4, column 3");
    let flat = npz(|npz| {
        add(npz, "X", &[2, 2], &[1.0f32, 2.0, 3.0, 4.0]);
        add(npz, "y", &[2], &[0i64, 1]);
    });
    let mut request = flat.request();
    request.layout = Some(Layout::ChannelsLast);
    refused(load(&request), &["--layout", "arrays.npz", "[2, 2]", "leave it out"]);
}

/// Whole numbers may be classes or a number: which was taken is said, unless somebody said it.
#[test]
fn doubtful_labels_are_pointed_out() {
    let labels = |rows: u64, task: Option<Task>| {
        let file = npz(|npz| {
            add(npz, "X", &[rows, 1], &(0..rows).map(|i| i as f32).collect::<Vec<_>>());
            add(npz, "y", &[rows], &(0..rows as i64).map(|i| i % 31).collect::<Vec<_>>());
        });
        let mut request = file.request();
        request.task = task;
        load(&request).unwrap().notes
    };
    assert_eq!(
        labels(310, None),
        ["y has 31 different whole numbers in 310 rows, taken for classes; --task regress takes them as a number"]
    );
    let number = "y has 31 different whole numbers in 62 rows, taken for a number (classes have 10 rows each on average and 5 at least); \
                  --task classify takes them as classes";
    assert_eq!(labels(62, None), [number]);
    assert!(labels(62, Some(Task::Classify)).is_empty() && labels(62, Some(Task::Regress)).is_empty());
    let table = Fixture::new("t.csv", (0..62).fold("a,y\n".to_owned(), |t, i| format!("{t}{i}.5,{}\n", i % 31)));
    let mut request = table.request();
    request.target = Some("y".into());
    assert_eq!(load(&request).unwrap().notes, [number]);
}

/// A model of pictures reads the same pictures in the other layout in its own order, and refuses other shapes.
#[test]
fn a_model_reads_pictures_in_its_own_layout() {
    let value = |c: u64, row: u64, column: u64| (100 * c + 10 * row + column) as f32;
    let (height, width) = (4, 5);
    let first: Vec<f32> =
        (0..3).flat_map(|c| (0..height).flat_map(move |r| (0..width).map(move |w| value(c, r, w)))).collect();
    let last: Vec<f32> =
        (0..height).flat_map(|r| (0..width).flat_map(move |w| (0..3).map(move |c| value(c, r, w)))).collect();
    let file = |shape: [u64; 4], values: &[f32]| npz(|npz| add(npz, "X", &shape, values));
    let (first, last) = (file([1, 3, height, width], &first), file([1, height, width, 3], &last));
    let with = |file: &Fixture, expect: Option<Vec<eigenlens::data::Feature>>| {
        let mut request = file.request();
        (request.need_target, request.expect) = (false, expect);
        load(&request)
    };
    let model = with(&first, None).unwrap();
    let read = with(&last, Some(model.features.clone())).unwrap();
    assert_eq!(names(&read), names(&model));
    for column in 0..60 {
        assert_eq!(read.value(0, column), model.value(0, column), "{}", model.features[column].name);
    }
    assert!(read.notes[0].contains("channels elsewhere"), "{:?}", read.notes);
    assert!(with(&first, Some(model.features.clone())).unwrap().notes.is_empty());
    // Also by names of its own, where its axes are known.
    let mut own = model.features.clone();
    own.iter_mut().enumerate().for_each(|(c, feature)| feature.name = format!("sensor {c}"));
    let mut request = last.request();
    (request.need_target, request.expect, request.axes) = (false, Some(own.clone()), Some(model.axes.clone()));
    let read = load(&request).unwrap();
    assert_eq!((&read.features, &read.axes), (&own, &model.axes));
    assert!((0..60).all(|column| read.value(0, column) == model.value(0, column)));
    // 60 numbers too, but of pictures that lie down.
    let turned = file([1, 3, width, height], &[0.0; 60]);
    refused(
        with(&turned, Some(model.features.clone())),
        &["arrays.npz", "[3, 5, 4]", "r0c0ch0 to r3c4ch2", "--layout"],
    );
    // A plain array is meant in the model's order, as ever.
    let plain = npz(|npz| add(npz, "X", &[1, 60], &[1.0f32; 60]));
    assert_eq!(names(&with(&plain, Some(model.features.clone())).unwrap()), names(&model));
}

/// Names of channels come as NumPy writes text; they also say where the channels stand.
#[test]
fn channels_have_names() {
    let names = |texts: [&str; 3]| -> Vec<u8> {
        let header = "{'descr': '<U5', 'fortran_order': False, 'shape': (3,), }";
        let of = |text: &str| text.chars().map(u32::from).chain([0; 5]).take(5).collect::<Vec<u32>>();
        npy(header, &texts.iter().flat_map(|text| of(text)).flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
    };
    let with = |shape: &'static [u64], content: Vec<u8>| {
        npz(move |npz| {
            add(npz, "X", shape, &vec![0.5f32; shape.iter().product::<u64>() as usize]);
            add(npz, "y", &[2], &[0i64, 1]);
            raw(npz, "channels.npy", &content);
        })
    };
    let good = names(["fz", "c3", "µV"]);
    for (shape, at, other) in [(&[2, 3, 7][..], 0, "position"), (&[2, 7, 3], 1, "position"), (&[2, 4, 4, 3], 2, "row")]
    {
        let data = load(&with(shape, good.clone()).request()).unwrap();
        assert_eq!(data.axes[at].name, "channel");
        assert_eq!(data.axes[at].labels, ["fz", "c3", "µV"]);
        assert_eq!(data.axes[if at == 0 { 1 } else { 0 }].name, other);
    }
    let bad = |content: Vec<u8>, parts: &[&str]| refused(load(&with(&[2, 3, 7], content).request()), parts);
    bad(names(["fz", "c3", "fz"]), &["channels", "two channels are called \"fz\""]);
    bad(names(["fz", "", "c3"]), &["channels", "a name is empty"]);
    bad(good[..good.len() - 3].to_vec(), &["channels", "it ends after"]);
    let huge = npy("{'descr': '<U4000', 'fortran_order': False, 'shape': (99999999,), }", &[0; 8]);
    bad(huge, &["channels", "can't be used"]);
    refused(load(&with(&[2, 5, 7, 4], good).request()), &["channels", "3 names for 4 channels"]);
    // Numbers under that name are something else.
    let numbers = npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }", &[1; 8]);
    assert_eq!(load(&with(&[2, 3, 7], numbers).request()).unwrap().axes[0].name, "row");
}

/// What the axes of an array are, as guessed for convolutions and as said.
#[test]
fn axes_are_guessed_or_said() {
    let axes = |shape: &[u64], convolves: bool, layout: Option<Layout>| {
        let file = npz(|npz| {
            add(npz, "X", shape, &vec![1.5f32; shape.iter().product::<u64>() as usize]);
            add(npz, "y", &[2], &[0i64, 1]);
        });
        // No two columns have the same name.
        let data = load(&Request { convolves, layout, ..file.request() }).unwrap();
        data.axes.iter().map(|axis| axis.name.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(axes(&[2, 4, 9], false, None), "row column");
    assert_eq!(axes(&[2, 4, 9], true, None), "channel position");
    assert_eq!(axes(&[2, 4, 9], true, Some(Layout::ChannelsLast)), "position channel");
    assert_eq!(axes(&[2, 4, 9], true, Some(Layout::NoChannels)), "row column");
    assert_eq!(axes(&[2, 9, 9], true, None), "row column");
    assert_eq!(axes(&[2, 5, 8, 9], true, None), "channel row column");
    assert_eq!(axes(&[2, 8, 9, 5], true, None), "row column channel");
    assert_eq!(axes(&[2, 5, 8, 9], false, None), "row column channel");
    assert_eq!(axes(&[2, 5, 8, 9], true, Some(Layout::NoChannels)), "depth row column");
    assert_eq!(axes(&[2, 2, 3, 4, 5], true, None), "channel depth row column");
    assert_eq!(axes(&[2, 2, 3, 4, 5], true, Some(Layout::ChannelsLast)), "depth row column channel");
}

/// NumPy's text: 4 bytes a character of `<U`, one of `|S`, filled up with zeros.
fn text_array(descr: &str, length: usize, texts: &[&str]) -> Vec<u8> {
    let wide = if descr.contains('U') { 4 } else { 1 };
    let mut data = Vec::new();
    for text in texts {
        let start = data.len();
        for c in text.chars() {
            match wide {
                4 if descr.starts_with('>') => data.extend(u32::from(c).to_be_bytes()),
                4 => data.extend(u32::from(c).to_le_bytes()),
                _ => data.push(c as u8),
            }
        }
        data.resize(start + wide * length, 0);
    }
    npy(&format!("{{'descr': '{descr}{length}', 'fortran_order': False, 'shape': ({},), }}\n", texts.len()), &data)
}

#[test]
fn npz_labels_are_text() {
    for descr in ["<U", ">U", "|S"] {
        let file = npz(|npz| {
            add(npz, "x_train", &[3, 1], &[1.0f32, 2.0, 3.0]);
            raw(npz, "y_train.npy", &text_array(descr, 4, &["oak", "ash", "oak"]));
            add(npz, "x_test", &[2, 1], &[4.0f32, 5.0]);
            raw(npz, "y_test.npy", &text_array(descr, 5, &["birch", "ash"]));
        });
        let data = load(&file.request()).unwrap();
        assert_eq!(classes(&data), (&[2, 0, 2, 1, 0][..], vec!["ash", "birch", "oak"]), "{descr}");
        assert_eq!((data.test_from, floats(&data)), (Some(3), &[1.0, 2.0, 3.0, 4.0, 5.0][..]));
        refused(
            load(&Request { task: Some(Task::Regress), ..file.request() }),
            &["y_train", "text", "--task classify"],
        );
    }
    let label = |text: &'static str| {
        move |npz: &mut Archive| {
            add(npz, "X", &[3, 1], &[1.0f32, f32::NAN, 3.0]);
            raw(npz, "y.npy", &text_array("<U", 3, &["oak", "ash", text]));
        }
    };
    bad_npz(label(""), &["y, row 2", "empty", "--missing drop"]);
    let drop = |file: &Fixture| load(&Request { missing: Missing::Drop, ..file.request() });
    refused(drop(&npz(label(""))), &["there is only one"]);
    // A class whose rows are all left out is none.
    assert_eq!(classes(&drop(&npz(label("elm"))).unwrap()), (&[1, 0][..], vec!["elm", "oak"]));
    let with = |header: &'static str, data: &'static [u8]| {
        move |npz: &mut Archive| {
            add(npz, "X", &[2, 1], &[1.0f32, 2.0]);
            raw(npz, "y.npy", &npy(header, data));
        }
    };
    bad_npz(with("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", b""), &["y", "|O", "objects", "as text"]);
    bad_npz(with("{'descr': '<U9', 'fortran_order': False, 'shape': (2,), }", b"abc"), &["ends after 0 of 2 texts"]);
    bad_npz(with("{'descr': '|S1', 'fortran_order': False, 'shape': (2,), }", b"abc"), &["y", "more bytes"]);
    bad_npz(
        with("{'descr': '<U1', 'fortran_order': False, 'shape': (2, 1), }", b"12345678"),
        &["y", "[2, 1]", "one label"],
    );
    bad_npz(with("{'descr': '<U1', 'fortran_order': False, 'shape': (2,), }", &[255; 8]), &["y", "no text"]);
    bad_npz(with("{'descr': '<U1', 'fortran_order': False, 'shape': (900000000000,), }", b""), &["impossible shape"]);
}

#[test]
fn npy_with_targets_of_its_own() {
    let x =
        Fixture::new("x.npy", npy("{'descr': '|u1', 'fortran_order': True, 'shape': (3, 2), }", &[1, 3, 5, 2, 4, 6]));
    let y = |content: Vec<u8>| {
        let file = Fixture::new("y.npy", content);
        let target_file = Some(file.path.to_str().unwrap().to_owned());
        (load(&Request { target_file, ..x.request() }), file)
    };
    let (data, _file) = y(npy("{'descr': '<i2', 'fortran_order': False, 'shape': (3,), }", &[7, 0, 8, 0, 7, 0]));
    let data = data.unwrap();
    assert_eq!(data.x, Values::U8(vec![1, 2, 3, 4, 5, 6]));
    assert_eq!(classes(&data), (&[0, 1, 0][..], vec!["7", "8"]));
    let (data, _file) = y(text_array("|S", 2, &["b", "a", "b"]));
    assert_eq!(classes(&data.unwrap()), (&[1, 0, 1][..], vec!["a", "b"]));
    refused(y(text_array("|S", 2, &["b", "a"])).0, &["X has 3 rows and y has 2"]);
    refused(load(&x.request()), &["--target-file y.npy"]);
    let request = |target_file: &str| Request { target_file: Some(target_file.into()), ..x.request() };
    refused(load(&request("y.csv")), &["--target-file names y.csv", "an .npy"]);
    refused(load(&request("gone.npy")), &["cannot open gone.npy"]);
    refused(load(&Request { target_file: Some("y.npy".into()), ..Request::new("gaussian") }), &["--target-file"]);
}
