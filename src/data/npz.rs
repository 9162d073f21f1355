//! NumPy arrays.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use npyz::{DType, NpyFile, Order, TypeChar};

use super::{Axis, Dataset, Feature, Missing, Request, Targets, Task, Values, class_names};
use crate::{Error, Result};

/// Elements that one array may hold.
const MOST_VALUES: u64 = 1 << 31;
/// More distinct whole numbers than this are taken for a quantity, not for classes.
const MOST_GUESSED_CLASSES: usize = 20;

/// One array, row-major.
struct Array {
    name: String,
    shape: Vec<usize>,
    numbers: Numbers,
}

enum Numbers {
    U8(Vec<u8>),
    /// Integers are exact in `f64` up to 2⁵³, far above any class number.
    Integer(Vec<f64>),
    Real(Vec<f64>),
}

impl Numbers {
    fn f64s(&self) -> Vec<f64> {
        match self {
            Numbers::U8(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Numbers::Integer(v) | Numbers::Real(v) => v.clone(),
        }
    }
}

/// Reads `X`, `y` (and `X_test`, `y_test`) of an .npz, or one .npy that is X.
pub(super) fn read(path: &Path, request: &Request) -> Result<Dataset> {
    let arrays = Arrays::open(path)?;
    let x = arrays.x()?;
    let (x_test, y, y_test) =
        (arrays.find(&["X_test", "x_test"]), arrays.find(&["y", "Y"]), arrays.find(&["y_test", "Y_test"]));
    if y.is_none() && request.need_target {
        let remedy = "save it beside X: np.savez(file, X=X, y=y)";
        return Err(Error::input(path, "y", "the target array is missing", remedy));
    }
    if let Some(test) = x_test.filter(|test| test.shape[1..] != x.shape[1..]) {
        let problem = format!("its rows are {:?} and those of X {:?}", &test.shape[1..], &x.shape[1..]);
        return Err(Error::input(path, "X_test", problem, "use arrays of one kind"));
    }
    for (x, y, names) in [(Some(x), y, "X and y"), (x_test, y_test, "X_test and y_test")] {
        if let (Some(x), Some(y)) = (x, y)
            && x.shape[0] != y.shape[0]
        {
            let problem = format!("they have {} and {} rows", x.shape[0], y.shape[0]);
            return Err(Error::input(path, names, problem, "save arrays of equal length"));
        }
    }
    if request.need_target && x_test.is_some() != y_test.is_some() {
        let problem = "one of the two is missing";
        return Err(Error::input(path, "X_test and y_test", problem, "save both or neither"));
    }
    let columns: usize = x.shape[1..].iter().product();
    let (features, axes) = describe(&x.shape[1..]);
    let keep_nan = request.missing != Missing::Refuse;
    let (mut values, rows) = (values(path, x, columns, keep_nan)?, x.shape[0]);
    let mut all = rows;
    if let Some(test) = x_test {
        append(path, &mut values, self::values(path, test, columns, keep_nan)?)?;
        all += test.shape[0];
    }
    let y = match (y, y_test) {
        (Some(y), test) => targets(path, y, test, request.task)?,
        (None, _) => Targets::None,
    };
    let dataset = Dataset {
        source: path.display().to_string(),
        rows: all,
        columns,
        x: values,
        y,
        features,
        axes,
        test_from: x_test.map(|_| rows),
        notes: Vec::new(),
    };
    if let Some(expect) = request.expect.as_ref().filter(|expect| expect.len() != columns) {
        let problem = format!("it has {columns} columns and the model takes {}", expect.len());
        return Err(Error::input(path, &x.name, problem, "give data with the model's columns"));
    }
    Ok(if request.missing == Missing::Drop { dataset.without_incomplete_rows() } else { dataset })
}

/// The arrays of a file that have names of ours.
struct Arrays<'a> {
    path: &'a Path,
    arrays: Vec<Array>,
    others: Vec<String>,
}

impl<'a> Arrays<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let remedy = "check that the file is there and readable";
        let file = File::open(path).map_err(|e| Error::io("open", path, e, remedy))?;
        let mut found = Arrays { path, arrays: Vec::new(), others: Vec::new() };
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy")) {
            found.arrays.push(read_array(path, "X", NpyFile::new(BufReader::new(file)))?);
            return Ok(found);
        }
        let broken = |e: std::io::Error| {
            Error::input(path, "file", format!("it can't be unpacked ({e})"), "give a whole .npz file of np.savez")
        };
        let mut archive = npyz::npz::NpzArchive::new(BufReader::new(file)).map_err(broken)?;
        let names: Vec<String> = archive.array_names().map(str::to_owned).collect();
        for name in names {
            let ours = ["X", "y", "X_test", "y_test", "x", "Y", "x_test", "Y_test"].contains(&name.as_str());
            if ours {
                let array = archive.by_name(&name).and_then(|a| a.ok_or_else(|| std::io::Error::other("it is gone")));
                found.arrays.push(read_array(path, &name, array)?);
            } else {
                found.others.push(name);
            }
        }
        Ok(found)
    }

    fn find(&self, names: &[&str]) -> Option<&Array> {
        self.arrays.iter().find(|a| names.contains(&a.name.as_str()))
    }

    fn x(&self) -> Result<&Array> {
        let x = self.find(&["X", "x"]).ok_or_else(|| {
            let seen = if self.others.is_empty() { "no others".into() } else { self.others.join(", ") };
            let problem = format!("there is no such array (there are {seen})");
            Error::input(self.path, "X", problem, "save the inputs as X: np.savez(file, X=X, y=y)")
        })?;
        if !(2..=4).contains(&x.shape.len()) {
            let problem = format!("it has the shape {:?}", x.shape);
            return Err(Error::input(
                self.path,
                &x.name,
                problem,
                "give [rows, columns], or pictures [rows, height, width]",
            ));
        }
        Ok(x)
    }
}

fn read_array<R: Read>(path: &Path, name: &str, file: std::io::Result<NpyFile<R>>) -> Result<Array> {
    let broken = |problem: String| Error::input(path, name, problem, "save the array again with NumPy");
    let file = file.map_err(|e| broken(format!("it can't be read ({e})")))?;
    let shape: Vec<usize> = file.shape().iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect();
    let len = file.shape().iter().try_fold(1u64, |a, &n| a.checked_mul(n)).filter(|&len| len <= MOST_VALUES);
    let Some(len) = len else {
        return Err(broken(format!("its header claims the impossible shape {shape:?}")));
    };
    let order = file.order();
    let dtype = file.dtype();
    let (kind, size) = match &dtype {
        DType::Plain(ty) => (Some(ty.type_char()), ty.size_field()),
        _ => (None, 0),
    };
    let cut = |e: std::io::Error| broken(format!("it breaks off before its {len} values are complete ({e})"));
    // Collecting grows with what is there: a false shape can't make it take the memory.
    macro_rules! collect {
        ($t:ty) => {{
            let reader = file.data::<$t>().map_err(|e| broken(format!("it can't be read ({e})")))?;
            reader.collect::<std::io::Result<Vec<$t>>>().map_err(cut)?
        }};
    }
    let numbers = match (kind, size) {
        (Some(TypeChar::Uint), 1) => Numbers::U8(collect!(u8)),
        (Some(TypeChar::Int), 4) => Numbers::Integer(collect!(i32).into_iter().map(f64::from).collect()),
        (Some(TypeChar::Int), 8) => Numbers::Integer(collect!(i64).into_iter().map(|x| x as f64).collect()),
        (Some(TypeChar::Float), 4) => Numbers::Real(collect!(f32).into_iter().map(f64::from).collect()),
        (Some(TypeChar::Float), 8) => Numbers::Real(collect!(f64)),
        _ => {
            let problem = format!("its dtype is {}", dtype.descr());
            let remedy = "convert it, as in X.astype('float32'); f32, f64, u8, i32 and i64 can be read";
            return Err(Error::input(path, name, problem, remedy));
        }
    };
    let numbers = match (order, numbers) {
        (Order::C, numbers) => numbers,
        (Order::Fortran, Numbers::U8(v)) => Numbers::U8(transpose(&v, &shape)),
        (Order::Fortran, Numbers::Integer(v)) => Numbers::Integer(transpose(&v, &shape)),
        (Order::Fortran, Numbers::Real(v)) => Numbers::Real(transpose(&v, &shape)),
    };
    Ok(Array { name: name.to_owned(), shape, numbers })
}

/// From first-axis-fastest to last-axis-fastest order.
fn transpose<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut index = vec![0usize; shape.len()];
    let mut strides = vec![1usize; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        out.push(values[index.iter().zip(&strides).map(|(i, s)| i * s).sum::<usize>()]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

/// Names of the columns and axes of one row.
fn describe(shape: &[usize]) -> (Vec<Feature>, Vec<Axis>) {
    let names: &[&str] = match shape.len() {
        1 => &["feature"],
        2 => &["row", "column"],
        _ => &["row", "column", "channel"],
    };
    let axes = names.iter().zip(shape).map(|(name, &len)| Axis { name: (*name).into(), len }).collect();
    let digits = (shape.iter().take(2).copied().max().unwrap_or(1).max(2) - 1).to_string().len();
    let name = |i: usize| match *shape {
        [_, w] => format!("r{:0digits$}c{:0digits$}", i / w, i % w),
        [_, w, c] => format!("r{:0digits$}c{:0digits$}ch{}", i / c / w, i / c % w, i % c),
        _ => format!("x{i}"),
    };
    let features = (0..shape.iter().product()).map(|i| Feature { name: name(i), group: None }).collect();
    (features, axes)
}

/// The inputs as they are kept: bytes as bytes, all else as `f32` without infinities.
fn values(path: &Path, array: &Array, columns: usize, keep_nan: bool) -> Result<Values> {
    let reals = match &array.numbers {
        Numbers::U8(bytes) => return Ok(Values::U8(bytes.clone())),
        Numbers::Integer(v) | Numbers::Real(v) => v,
    };
    let mut values = Vec::with_capacity(reals.len());
    for (i, &x) in reals.iter().enumerate() {
        let y = x as f32;
        if !(y.is_finite() || (y.is_nan() && keep_nan)) {
            let place = format!("{}[{}, {}] (counted from 0)", array.name, i / columns, i % columns);
            let (problem, remedy) = if y.is_nan() {
                ("it is not a number".to_owned(), "fill it, or add --missing mean or --missing drop")
            } else {
                (format!("{x} doesn't fit into 32 bits"), "remove or rescale the value")
            };
            return Err(Error::input(path, place, problem, remedy));
        }
        values.push(y);
    }
    Ok(Values::F32(values))
}

fn append(path: &Path, values: &mut Values, more: Values) -> Result<()> {
    match (values, more) {
        (Values::U8(a), Values::U8(b)) => a.extend(b),
        (Values::F32(a), Values::F32(b)) => a.extend(b),
        _ => {
            let problem = "its dtype is not X's (bytes beside numbers)";
            return Err(Error::input(path, "X_test", problem, "save both with one dtype"));
        }
    }
    Ok(())
}

/// Classes for whole numbers of few values (or as asked), else numbers.
fn targets(path: &Path, y: &Array, test: Option<&Array>, task: Option<Task>) -> Result<Targets> {
    let outputs: usize = y.shape[1..].iter().product();
    if y.shape.len() > 2 || test.is_some_and(|t| t.shape[1..] != y.shape[1..]) {
        let problem = format!("it has the shape {:?}", y.shape);
        return Err(Error::input(path, &y.name, problem, "give [rows] or [rows, outputs], alike in y and y_test"));
    }
    let mut numbers = y.numbers.f64s();
    numbers.extend(test.map(|t| t.numbers.f64s()).unwrap_or_default());
    if let Some(i) = numbers.iter().position(|y| !(*y as f32).is_finite()) {
        let place = format!("{} row {} (counted from 0)", y.name, i / outputs);
        return Err(Error::input(path, place, format!("{} is no target", numbers[i]), "remove the row"));
    }
    let whole = numbers.iter().all(|y| y.fract() == 0.0);
    let integer = !matches!(y.numbers, Numbers::Real(_));
    let mut distinct = numbers.clone();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    let guess =
        if outputs == 1 && whole && (distinct.len() <= MOST_GUESSED_CLASSES || (integer && distinct.len() <= 1000)) {
            Task::Classify
        } else {
            Task::Regress
        };
    match task.unwrap_or(guess) {
        Task::Classify if outputs != 1 || !whole => {
            let problem = "its values are no class numbers";
            Err(Error::input(path, &y.name, problem, "give one whole number a row, or --task regress"))
        }
        Task::Classify => {
            let text: Vec<String> = numbers.iter().map(|y| format!("{y}")).collect();
            let names = class_names(text.iter().map(String::as_str));
            let label = |y: &f64| distinct.iter().position(|d| d == y).expect("every value is among the distinct ones");
            Ok(Targets::Classes { labels: numbers.iter().map(|y| label(y) as u32).collect(), names })
        }
        Task::Regress => {
            let names = if outputs == 1 { vec!["y".into()] } else { (0..outputs).map(|c| format!("y{c}")).collect() };
            Ok(Targets::Numbers { values: numbers.iter().map(|&y| y as f32).collect(), names })
        }
    }
}
