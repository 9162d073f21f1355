//! Readers: what they accept, and what they say about what they don't.

use std::fs;
use std::path::Path;

use eigenlens::data::{self, Dataset, Missing, Request, ScaleKind, Scaling, Targets, Task, Values, split};
use npyz::WriterBuilder;
use tempfile::TempDir;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().expect("a temporary directory"))
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, content).expect("the fixture is written");
        path.to_str().expect("a UTF-8 path").to_owned()
    }
}

fn table(content: impl AsRef<[u8]>, change: impl FnOnce(&mut Request)) -> eigenlens::Result<Dataset> {
    let place = Place::new();
    let mut request = Request { target: Some("y".into()), ..Request::new(place.write("t.csv", content)) };
    change(&mut request);
    data::load(&request)
}

/// The error's sentence holds all the parts.
#[track_caller]
fn refused(result: eigenlens::Result<Dataset>, parts: &[&str]) {
    let text = result.expect_err("this can't be read").to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert!(!text.contains('\n'), "one sentence: {text}");
}

fn floats(dataset: &Dataset) -> &[f32] {
    match &dataset.x {
        Values::F32(values) => values,
        Values::U8(_) => panic!("the inputs are numbers"),
    }
}

#[test]
fn tables_become_columns_and_groups() {
    for (text, separator) in
        [("a,kind,y\n1,red,0\n2,blue,1\n3,red,1\n", ","), ("a;kind;y\n1;red;0\n2;blue;1\n3;red;1\n", ";")]
    {
        let dataset = table(format!("\u{feff}{text}"), |_| {}).unwrap();
        let names: Vec<&str> = dataset.features.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["a", "kind=blue", "kind=red"], "separator {separator}");
        assert_eq!(dataset.features[1].group, dataset.features[2].group);
        assert!(dataset.features[0].group.is_none() && dataset.features[1].group.is_some());
        assert_eq!(floats(&dataset), [1.0, 0.0, 1.0, 2.0, 1.0, 0.0, 3.0, 0.0, 1.0]);
        assert_eq!(dataset.y, Targets::Classes { labels: vec![0, 1, 1], names: vec!["0".into(), "1".into()] });
    }
}

#[test]
fn targets_are_classes_or_numbers() {
    let rows = |f: &dyn Fn(u32) -> String| (0..30).fold("a,y\n".to_owned(), |t, i| format!("{t}{i},{}\n", f(i)));
    let dataset = table(rows(&|i| (10 - i % 11).to_string()), |_| {}).unwrap();
    let Targets::Classes { labels, names } = &dataset.y else { panic!("whole numbers of few values are classes") };
    assert_eq!((names[0].as_str(), names[10].as_str(), labels[0]), ("0", "10", 10), "in the order of the numbers");
    let dataset = table(rows(&|i| format!("{}.5", i)), |_| {}).unwrap();
    assert!(matches!(&dataset.y, Targets::Numbers { values, .. } if values[1] == 1.5));
    let dataset = table(rows(&|i| (i % 3).to_string()), |r| r.task = Some(Task::Regress)).unwrap();
    assert!(matches!(dataset.y, Targets::Numbers { .. }));
    let classes = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
    let dataset = table(rows(&|i| (i % 3).to_string()), |r| r.classes = classes(&["2", "0"])).unwrap();
    assert_eq!(dataset.rows, 20);
    assert!(matches!(&dataset.y, Targets::Classes { labels, .. } if labels[..2] == [1, 0]), "2 is now class 0");
}

#[test]
fn broken_tables_are_refused() {
    let as_is = |_: &mut Request| {};
    refused(table("a,y\n1,0\n2\n3,1\n", as_is), &["t.csv", "line 3", "1 fields", "mend"]);
    refused(table("a,y\n1,0\n2,1\nx7,1\n4,0\n", as_is), &["line 4", "column a", "x7", "not a number"]);
    refused(table("a,y\n1,0\nnan,1\n", as_is), &["line 3", "column a", "missing", "--missing mean"]);
    refused(table("a,y\n1,0\ninf,1\n2,1\n", as_is), &["line 3", "column a", "infinite"]);
    refused(table("a,y\n1,0\n1e300,1\n2,1\n", as_is), &["line 3", "32 bits"]);
    refused(table("a,y\n1,0\n2,\n", as_is), &["line 3", "column y", "missing"]);
    refused(table("a,y\n1,0\n2,\n", |r| r.missing = Missing::Mean), &["line 3", "the target is missing", "drop"]);
    refused(table("a,b\n1,0\n2,1\n", as_is), &["header", "\"y\"", "a, b", "--target"]);
    refused(table("a,b\n1,0\n2,1\n", |r| r.target = None), &["header", "a, b", "--target NAME"]);
    refused(table("a,y\n1,0\n2,0\n", as_is), &["t.csv", "every row has the class", "two classes"]);
    refused(table("", as_is), &["t.csv", "empty"]);
    refused(table("a,y\n", as_is), &["t.csv", "no rows"]);
    refused(table("a,a,y\n1,2,0\n3,4,1\n", as_is), &["header", "\"a\"", "name of its own"]);
    refused(table("y\n0\n1\n", as_is), &["no column besides the target"]);
    refused(table(b"a,y\n1,0\n\xff\xfe,1\n", as_is), &["line 3", "UTF-8"]);
    refused(table("d,y\n2020-01-02,0\n2020-01-03,1\n", as_is), &["column d", "dates", "days"]);
    let texts = (0..70).fold("t,y\n".to_owned(), |t, i| format!("{t}name{i},{}\n", i % 2));
    refused(table(texts, as_is), &["column t", "70 different texts", "remove"]);
    refused(
        data::load(&Request { target: Some("y".into()), ..Request::new("nowhere.csv") }),
        &["cannot read nowhere.csv"],
    );
}

#[test]
fn missing_cells_are_filled_or_dropped_when_asked() {
    let text = "a,kind,y\n1,red,0\n,red,1\n3,?,1\n5,blue,1\n";
    let dropped = table(text, |r| r.missing = Missing::Drop).unwrap();
    assert_eq!((dropped.rows, dropped.notes.len()), (2, 1));
    let mut filled = table(text, |r| r.missing = Missing::Mean).unwrap();
    assert!(floats(&filled)[3].is_nan());
    assert_eq!(&floats(&filled)[6..9], [3.0, 0.0, 0.0], "an unknown category is no category");
    // Fitted on rows 0 and 2 only: the mean is 2.
    let scaling = Scaling::fit(ScaleKind::Standard, &filled, &[0, 2]);
    scaling.fill_missing(&mut filled);
    assert_eq!(floats(&filled)[3], 2.0);
    refused(table("a,y\n,0\n,1\n", |r| r.missing = Missing::Drop), &["every row has a missing cell", "mean"]);
}

/// Writes arrays of `f64`, `i64` or bytes, in C or Fortran order.
struct Npz(npyz::npz::NpzWriter<std::io::BufWriter<fs::File>>);

impl Npz {
    fn create(path: &str) -> Self {
        Npz(npyz::npz::NpzWriter::create(path).unwrap())
    }

    fn add<T: npyz::AutoSerialize + Copy>(
        mut self,
        name: &str,
        shape: &[u64],
        order: npyz::Order,
        values: &[T],
    ) -> Self {
        let options = Default::default();
        let mut writer =
            self.0.array(name, options).unwrap().default_dtype().shape(shape).order(order).begin_nd().unwrap();
        writer.extend(values.iter().copied()).unwrap();
        writer.finish().unwrap();
        self
    }
}

use npyz::Order::{C, Fortran};

fn arrays(build: impl FnOnce(Npz) -> Npz, change: impl FnOnce(&mut Request)) -> eigenlens::Result<Dataset> {
    let place = Place::new();
    let path = place.0.path().join("a.npz").to_str().unwrap().to_owned();
    drop(build(Npz::create(&path)));
    let mut request = Request::new(path);
    change(&mut request);
    data::load(&request)
}

#[test]
fn arrays_of_both_orders_are_read() {
    let c = arrays(|n| n.add("X", &[2, 3], C, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).add("y", &[2], C, &[0i64, 1]), |_| {})
        .unwrap();
    let f = arrays(
        |n| n.add("X", &[2, 3], Fortran, &[1.0f32, 4.0, 2.0, 5.0, 3.0, 6.0]).add("y", &[2, 1], C, &[0i32, 1]),
        |_| {},
    )
    .unwrap();
    assert_eq!(floats(&c), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(floats(&c), floats(&f));
    assert_eq!(c.y, f.y);
    let bytes: Vec<u8> = (0..24).collect();
    let pictures = arrays(
        |n| {
            n.add("X", &[2, 3, 4], C, &bytes)
                .add("y", &[2], C, &[5i64, 7])
                .add("X_test", &[1, 3, 4], C, &bytes[..12])
                .add("y_test", &[1], C, &[7i64])
        },
        |_| {},
    )
    .unwrap();
    assert!(matches!(&pictures.x, Values::U8(v) if v.len() == 36));
    assert_eq!((pictures.test_from, pictures.axes[1].len), (Some(2), 4));
    assert_eq!(pictures.features[5].name, "r1c1");
    assert_eq!(pictures.y, Targets::Classes { labels: vec![0, 1, 1], names: vec!["5".into(), "7".into()] });
    let numbers =
        arrays(|n| n.add("X", &[2, 1], C, &[1.0, 2.0]).add("y", &[2, 2], C, &[0.5, 1.5, 2.5, 3.5]), |_| {}).unwrap();
    assert!(matches!(&numbers.y, Targets::Numbers { values, names } if values[3] == 3.5 && names.len() == 2));
}

#[test]
fn broken_arrays_are_refused() {
    let as_is = |_: &mut Request| {};
    let x = |n: Npz| n.add("X", &[2, 2], C, &[1.0, 2.0, 3.0, 4.0]);
    refused(arrays(|n| x(n).add("y", &[3], C, &[0i64, 1, 1]), as_is), &["a.npz", "X and y", "2 and 3 rows"]);
    refused(arrays(x, as_is), &["a.npz", "y", "missing", "np.savez"]);
    refused(arrays(|n| n.add("data", &[1], C, &[1.0]), as_is), &["X", "data"]);
    refused(arrays(|n| x(n).add("y", &[2], C, &[1i64, 1]), as_is), &["every row has the class"]);
    refused(
        arrays(|n| n.add("X", &[2, 2], C, &[true, false, true, true]).add("y", &[2], C, &[0i64, 1]), as_is),
        &["X", "dtype", "astype"],
    );
    refused(arrays(|n| n.add("X", &[2, 1], C, &[1u16, 2]).add("y", &[2], C, &[0i64, 1]), as_is), &["X", "dtype", "u2"]);
    refused(arrays(|n| n.add("X", &[4], C, &[1.0; 4]).add("y", &[4], C, &[0i64, 1, 0, 1]), as_is), &["X", "shape [4]"]);
    let with =
        |bad: f64| arrays(move |n| n.add("X", &[2, 2], C, &[1.0, 2.0, 3.0, bad]).add("y", &[2], C, &[0i64, 1]), as_is);
    refused(with(f64::NAN), &["X[1, 1]", "not a number", "--missing mean"]);
    refused(with(f64::INFINITY), &["X[1, 1]", "32 bits"]);
    refused(with(1e300), &["X[1, 1]", "32 bits"]);
    refused(arrays(|n| x(n).add("y", &[2], C, &[0.5, f64::NAN]), as_is), &["y row 1", "remove"]);
    let place = Place::new();
    let path = place.write("cut.npz", b"PK\x03\x04 and no more");
    refused(data::load(&Request::new(path)), &["cut.npz", "can't be unpacked"]);
    // A header that claims far more than the file holds, and one that claims the impossible.
    for (shape, part) in [("(1000000, 1000)", "breaks off"), ("(4294967296, 4294967296, 4)", "impossible shape")] {
        let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
        header.push_str(&" ".repeat(117 - header.len()));
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend([0u8; 64]);
        let path = place.write("x.npy", bytes);
        refused(data::load(&Request { need_target: false, ..Request::new(path) }), &["x.npy", part]);
    }
}

fn idx(axes: u8, shape: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, axes];
    shape.iter().for_each(|n| file.extend(n.to_be_bytes()));
    file.extend(bytes);
    file
}

#[test]
fn idx_files_are_read_and_checked() {
    let place = Place::new();
    let images = idx(3, &[3, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    let labels = idx(1, &[3], &[1, 0, 1]);
    let load = || data::load(&Request::new(format!("idx:{}", place.0.path().display())));
    refused(load(), &["train-images-idx3-ubyte", "missing"]);
    place.write("train-images-idx3-ubyte", &images);
    place.write("train-labels-idx1-ubyte", &labels);
    let dataset = load().unwrap();
    assert_eq!((dataset.rows, dataset.columns, dataset.test_from), (3, 4, None));
    assert_eq!(dataset.value(2, 3), 11.0);
    place.write("train-images-idx3-ubyte", &images[..20]);
    refused(load(), &["train-images-idx3-ubyte", "ends after 4 of 12"]);
    place.write("train-images-idx3-ubyte", idx(3, &[u32::MAX, u32::MAX, 9], &[]));
    refused(load(), &["impossible shape"]);
    place.write("train-images-idx3-ubyte", idx(3, &[1000, 1000, 1000], &[1, 2]));
    refused(load(), &["ends after 2 of 1000000000"]);
    place.write("train-images-idx3-ubyte", b"\x89PNG\r\n\x1a\n and more that is long enough");
    refused(load(), &["header", "unsigned bytes"]);
    place.write("train-images-idx3-ubyte", &images);
    place.write("train-labels-idx1-ubyte", idx(1, &[2], &[1, 0]));
    refused(load(), &["train-labels-idx1-ubyte", "2 labels for 3 pictures"]);
    refused(data::load(&Request::new("idx:no/such/directory")), &["no/such/directory", "no such directory"]);
    assert!(Path::new(place.0.path()).exists());
}

#[test]
fn splits_are_stratified_seeded_and_keep_the_files_test_rows() {
    let dataset = data::synthetic::gaussian(3, 1000).dataset;
    let parts = split(&dataset, 0.1, 0.2, 7).unwrap();
    assert_eq!((parts.train.len(), parts.validation.len(), parts.test.len()), (700, 100, 200));
    let Targets::Classes { labels, .. } = &dataset.y else { panic!("the set has classes") };
    assert_eq!(parts.test.iter().filter(|&&r| labels[r as usize] == 1).count(), 100, "as many of each class");
    assert_eq!(parts, split(&dataset, 0.1, 0.2, 7).unwrap());
    assert_ne!(parts, split(&dataset, 0.1, 0.2, 8).unwrap());
    let mut all = [parts.train, parts.validation, parts.test].concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..1000), "every row once");
    let own = Dataset { test_from: Some(900), ..dataset };
    let parts = split(&own, 0.1, 0.2, 7).unwrap();
    assert!(parts.test.into_iter().eq(900..1000));
    assert_eq!(parts.train.len(), 810);
}

#[test]
fn scaling_is_fitted_on_the_training_rows() {
    let dataset = table("a,b,c,y\n1,5,7,0\n3,9,7,1\n100,1,7,0\n", |_| {}).unwrap();
    let scaling = Scaling::fit(ScaleKind::Standard, &dataset, &[0, 1]);
    assert_eq!((scaling.shift[0], scaling.scale[0]), (2.0, 1.0));
    assert_eq!(scaling.constant(), [false, false, true]);
    assert_eq!((scaling.shift[2], scaling.scale[2]), (7.0, 1.0), "a constant column goes to zero");
    let minmax = Scaling::fit(ScaleKind::MinMax, &dataset, &[0, 1]);
    assert_eq!((minmax.shift[1], minmax.scale[1]), (5.0, 0.25));
    let unit = Scaling::fit(ScaleKind::Unit, &dataset, &[0, 1]);
    assert_eq!(unit.scale[0], 1.0 / 9.0);
}
