//! Data sets: readers, synthetic generators, splits and scaling.

mod arrays;
mod class_names;
mod classes;
mod format;
mod idx;
mod origin;
mod pictures;
mod request;
mod scale;
mod split;
mod stream;
mod summary;
pub mod synthetic;
mod table;
mod units;
mod weights;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub(crate) use arrays::{arrays, described};
pub use class_names::class_names;
pub(crate) use origin::{is_far, single};
pub(crate) use pictures::is_pictures;
pub use pictures::{Channels, Preprocess, Preprocessing, Preset, Resize, Size};
pub use request::{Layout, Missing, Request, Task};
pub use scale::{ScaleKind, Scaling, TargetScaling};
pub use split::{Split, split};
pub(crate) use table::{sniff_delimiter, written_day};
pub use units::{Unit, channels, input_of, read_groups, sources, units};
pub(crate) use units::{bad_axes, bad_name, source_name};

use self::format::Format;
use self::origin::Extent;
use crate::{Error, Result};

/// Inputs as they came: bytes stay bytes, everything else is `f32`, counted from its column's origin ([`Dataset::origins`]). Row-major
/// `[rows, columns]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    U8(Vec<u8>),
    F32(Vec<f32>),
}

/// What is to be predicted.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// `labels[row] < names.len()`.
    Classes { labels: Vec<u32>, names: Vec<String> },
    /// Row-major `[rows, names.len()]`, in original units.
    Numbers { values: Vec<f64>, names: Vec<String> },
    /// The inputs themselves, as they enter the network (an autoencoder).
    Inputs,
    /// Nothing known (data to predict on).
    None,
}

/// One input column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    pub name: String,
    /// Columns of one categorical (one-hot) variable share a group number, and so do all that are made of one column; `None` stands
    /// alone.
    pub group: Option<u32>,
    /// What a column of a group holds, if not whether its variable has one of the values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

impl Feature {
    /// A number, or one of a variable's values.
    pub fn new(name: impl Into<String>, group: Option<u32>) -> Feature {
        Feature { name: name.into(), group, part: None }
    }

    /// Whether it says that a categorical variable has a value.
    pub fn is_level(&self) -> bool {
        self.group.is_some() && self.part.is_none()
    }
}

/// What is made of a column that becomes several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The number itself.
    Number,
    /// 1 where the cell is missing, else 0.
    Missing,
    /// Days since the first day of the training table, which is so many days after 1970 began.
    Days { first: i64 },
    /// 1 to 366.
    DayOfYear,
    /// 1, a Monday, to 7.
    Weekday,
}

/// One axis of an input row, outermost first: `rows × columns` of an image, or a single `feature` axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axis {
    pub name: String,
    pub len: usize,
    /// Names of the places along it, where the data have any (channels that are sensors or bands).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

impl Axis {
    /// An axis whose places have numbers alone.
    pub fn new(name: impl Into<String>, len: usize) -> Axis {
        Axis { name: name.into(), len, labels: Vec::new() }
    }
}

/// What the axis of channels is called.
pub(crate) const CHANNEL: &str = "channel";

/// A table of inputs with its targets.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What the user named, for messages and the report.
    pub source: String,
    pub rows: usize,
    pub columns: usize,
    pub x: Values,
    /// What the numbers of each column in `x` are counted from: 0, but for a column far from zero, for whose differences `f32` would
    /// have few digits left, a number near it. Empty: all from 0.
    pub origins: Vec<f64>,
    pub y: Targets,
    pub features: Vec<Feature>,
    /// The shape of one row; the product of the lengths is `columns`.
    pub axes: Vec<Axis>,
    /// How much each row counts in losses, scores and scaling, as a row of weight 2 stands for two; `None`: all the same.
    pub weights: Option<Vec<f32>>,
    /// Rows from here on came as a test set of their own (`t10k` files, `X_test`).
    pub test_from: Option<usize>,
    /// What the reader did that a person should know (rows dropped, cells to be filled).
    pub notes: Vec<String>,
    /// Cells that were missing and hold something else by now, `row · columns + column`, ascending: numbers once they are filled
    /// ([`Scaling::fill_missing`]), the columns of a category from the start, which are all zero then.
    pub filled: Vec<usize>,
    /// What each row is called where it has a name: a picture's file. Else empty.
    pub row_names: Vec<String>,
}

/// Why something is no data.
fn unknown(source: &str) -> Error {
    let path = Path::new(source);
    let why = match path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase().as_str() {
        "onnx" | "safetensors" => "a network stands where data should; data come behind the network, and are",
        "parquet" | "pq" | "feather" | "arrow" | "ipc" | "h5ad" => {
            "this program was built without the reader of such files (cargo features parquet, arrow, hdf5); give"
        }
        _ if path.exists() => "unknown kind of data; give",
        _ => "there is no such file or folder, and no data set of that name; give",
    };
    Error::Usage(format!(
        "{source}: {why} a .csv, .parquet, .fits, .h5ad, .npz or .npy file, JPEG or PNG pictures or a folder of them, - for a table on \
         standard input, idx:DIRECTORY, gaussian, correlated, redundant, channels or rotated-squares"
    ))
}

/// A synthetic set.
fn made(request: &Request) -> Result<Dataset> {
    Ok(match request.source.as_str() {
        "gaussian" => synthetic::gaussian(request.seed, synthetic::GAUSSIAN_ROWS).dataset,
        "correlated" => synthetic::correlated(request.seed, synthetic::CORRELATED_ROWS),
        "redundant" => synthetic::redundant(request.seed, synthetic::REDUNDANT_ROWS),
        "channels" => synthetic::channels(request.seed, synthetic::CHANNELS_ROWS).dataset,
        "rotated-squares" => synthetic::rotated_squares(request.seed, synthetic::SQUARES_ROWS),
        _ => return Err(unknown(&request.source)),
    })
}

/// Refuses options that aren't for the kind of source, and what is no source.
fn check_options(request: &Request) -> Result<Option<Format>> {
    let source = request.source.as_str();
    let format = Format::of(source);
    if !request.drop.is_empty() && !is_table(source) {
        return Err(Error::Usage(format!("--drop leaves out columns of a table, and {source} is none; leave it out")));
    }
    if request.target_file.is_some() && format != Some(Format::Arrays) {
        return Err(Error::Usage(format!(
            "--target-file gives targets to the inputs of an .npy or .npz, and {source} is neither; leave it out"
        )));
    }
    if request.dates && !is_table(source) {
        return Err(Error::Usage(format!("--dates reads columns of a table, and {source} is none; leave it out")));
    }
    if request.missing == Missing::Indicator && request.expect.is_none() && !is_table(source) {
        return Err(Error::Usage(format!(
            "--missing indicator adds columns to a table, and {source} is none; use --missing mean"
        )));
    }
    // A trained model's weights need not be there.
    if request.weights.is_some() && request.expect.is_none() && !is_table(source) && !is_npz(source) {
        return Err(Error::Usage(format!(
            "--weights names a column of a table or an array of an .npz, and {source} is neither; leave it out"
        )));
    }
    // Before options for pictures are held against it: a .gif is none, and that is what is wrong.
    if format.is_none() && !is_pictures(source) {
        return Err(unknown(source));
    }
    if !is_pictures(source) {
        if !request.more.is_empty() {
            return Err(Error::Usage(format!(
                "{source} is no picture, and only pictures can be several; give one set of data"
            )));
        }
        let scaled = Preprocess {
            range: request.pictures.range,
            mean: request.pictures.mean.clone(),
            std: request.pictures.std.clone(),
            ..Preprocess::default()
        };
        // The pictures of idx files have their size.
        let allowed = if source.starts_with("idx:") { scaled } else { Preprocess::default() };
        if request.pictures != allowed {
            return Err(Error::Usage(format!(
                "--preprocess, --resize, --crop, --channels, --range, --mean and --std are for JPEG and PNG files (the last three for idx: \
                 too), and {source} is none; leave them out"
            )));
        }
    }
    Ok(format)
}

/// Reads the inputs that a trained model expects, without targets, in pieces of so many rows, of which none is held when the next
/// one is read: tables and arrays may be larger than the memory. Other data come as one piece, and so do those of some classes alone.
///
/// # Errors
/// As [`load`] has them, and those of `take`.
pub fn pieces(request: &Request, rows: usize, take: &mut dyn FnMut(Dataset) -> Result<()>) -> Result<()> {
    let path = Path::new(&request.source);
    let mut chosen = |dataset: Dataset| match places(&dataset.features, request) {
        Some(places) => take(dataset.select_columns(&places)),
        None => take(dataset),
    };
    match (check_options(request)?, &request.expect) {
        (Some(Format::Arrays), Some(_)) if request.classes.is_none() => {
            arrays::pieces(path, request, rows, &mut chosen)
        }
        (Some(table), Some(features)) if table.is_table() && request.classes.is_none() => {
            table::pieces(path, table, (request, features), rows, &mut chosen)
        }
        _ => take(load(request)?),
    }
}

/// Reads a data set.
///
/// # Errors
/// One sentence with the file, the place in it and the remedy.
pub fn load(request: &Request) -> Result<Dataset> {
    if request.task == Some(Task::Autoencode) {
        // A target column is no input; classes may still choose the rows.
        let need_target = request.classes.is_some();
        let mut dataset = load(&Request { task: None, need_target, ..request.clone() })?;
        dataset.y = Targets::Inputs;
        return Ok(dataset);
    }
    let format = check_options(request)?;
    let source = request.source.as_str();
    let path = Path::new(source);
    let dataset = match format {
        Some(Format::Made) => made(request)?,
        Some(Format::Idx) => idx::read(Path::new(source.trim_start_matches("idx:")))?,
        Some(Format::Arrays) => arrays::read(path, request)?,
        Some(table) => table::read(path, table, request)?,
        None => pictures::read(request)?,
    };
    let dataset = match &request.classes {
        Some(names) => dataset.keep_classes(names)?,
        None => dataset,
    };
    dataset.check(request)?;
    // A model of chosen columns takes them out of the whole arrays or pictures; a table was read so already.
    Ok(match places(&dataset.features, request) {
        Some(places) => dataset.select_columns(&places),
        None => dataset,
    })
}

/// The cells of a table's column as they are written, a row each: names of the rows, which no model reads.
///
/// # Errors
/// [`Error::Usage`] for a source that is no table; [`Error::Input`] where there is no such column.
pub fn column(source: &str, name: &str) -> Result<Vec<String>> {
    match Format::of(source).filter(|format| format.is_table()) {
        Some(format) => table::column(Path::new(source), format, name),
        None => Err(Error::Usage(format!("--id names a column of a table, and {source} is none; leave it out"))),
    }
}

/// Where fewer expected features stand among these, by name; `None` unless all do. Arrays name their columns by number, so x0, x1
/// and x2 of a wider array are only meant if they were chosen from one of that width: otherwise the model was made of
/// narrower arrays.
fn places(features: &[Feature], request: &Request) -> Option<Vec<usize>> {
    let expected = request.expect.as_deref()?;
    if expected.len() >= features.len() {
        return None;
    }
    let place: std::collections::HashMap<&str, usize> =
        features.iter().enumerate().map(|(c, feature)| (feature.name.as_str(), c)).collect();
    let places: Vec<usize> = expected.iter().map(|f| place.get(f.name.as_str()).copied()).collect::<Option<_>>()?;
    let first_ones = places.iter().enumerate().all(|(i, &c)| i == c);
    (!first_ones || request.chosen_from == Some(features.len())).then_some(places)
}

/// Whether a source is read as a table.
pub(crate) fn is_table(source: &str) -> bool {
    Format::of(source).is_some_and(Format::is_table)
}

/// Whether it is a table in kind: a file of rows and columns that have no order of their own.
pub(crate) fn is_tabular(dataset: &Dataset) -> bool {
    is_table(&dataset.source) || is_npz(&dataset.source) && dataset.axes.len() == 1
}

fn is_npz(source: &str) -> bool {
    Path::new(source).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"))
}

impl Dataset {
    /// Only the rows of those classes that a model knows; all rows where none of its classes is here. Unlike the classes
    /// that a person names, a model's need not all occur.
    pub fn keep_known_classes(self, known: &[String]) -> Result<Self> {
        let Targets::Classes { names, .. } = &self.y else { return Ok(self) };
        let here: Vec<String> = known.iter().filter(|name| names.contains(name)).cloned().collect();
        if here.is_empty() { Ok(self) } else { self.keep_classes(&here) }
    }

    /// Only the rows of the named classes, relabelled in the order given.
    pub fn keep_classes(self, names: &[String]) -> Result<Self> {
        let Targets::Classes { labels, names: all } = &self.y else {
            return Err(Error::Usage(
                "--classes needs a classification target; leave it out or add --task classify".into(),
            ));
        };
        let mut new_label = vec![None; all.len()];
        for (new, name) in names.iter().enumerate() {
            let Some(old) = all.iter().position(|n| n == name) else {
                return Err(Error::Usage(format!(
                    "--classes names {name}, which {} doesn't have; it has {}",
                    self.source,
                    all.join(", ")
                )));
            };
            if new_label[old].replace(new as u32).is_some() {
                return Err(Error::Usage(format!("--classes names {name} twice; name every class once")));
            }
        }
        let keep: Vec<usize> = (0..self.rows).filter(|&r| new_label[labels[r] as usize].is_some()).collect();
        let labels = keep.iter().filter_map(|&r| new_label[labels[r] as usize]).collect();
        let y = Targets::Classes { labels, names: names.to_vec() };
        Ok(Dataset { y, ..self.select_rows(&keep) })
    }

    /// The given rows, in order (ascending, so that a test set of its own stays at the end). Class labels keep their numbers.
    pub fn select_rows(&self, keep: &[usize]) -> Self {
        let c = self.columns;
        let x = match &self.x {
            Values::U8(v) => Values::U8(keep.iter().flat_map(|&r| &v[r * c..(r + 1) * c]).copied().collect()),
            Values::F32(v) => Values::F32(keep.iter().flat_map(|&r| &v[r * c..(r + 1) * c]).copied().collect()),
        };
        let y = match &self.y {
            Targets::Classes { labels, names } => {
                Targets::Classes { labels: keep.iter().map(|&r| labels[r]).collect(), names: names.clone() }
            }
            Targets::Numbers { values, names } => {
                let m = names.len();
                let values = keep.iter().flat_map(|&r| &values[r * m..(r + 1) * m]).copied().collect();
                Targets::Numbers { values, names: names.clone() }
            }
            Targets::Inputs => Targets::Inputs,
            Targets::None => Targets::None,
        };
        let weights = self.weights.as_ref().map(|weights| keep.iter().map(|&r| weights[r]).collect());
        let test_from = self.test_from.map(|from| keep.iter().filter(|&&r| r < from).count());
        let filled_in = |(new, &r): (usize, &usize)| {
            let [from, to] = [r, r + 1].map(|r| self.filled.partition_point(|&cell| cell < r * c));
            self.filled[from..to].iter().map(move |cell| cell - r * c + new * c).collect::<Vec<_>>()
        };
        let filled = keep.iter().enumerate().flat_map(filled_in).collect();
        let row_names = if self.row_names.is_empty() {
            Vec::new()
        } else {
            keep.iter().map(|&r| self.row_names[r].clone()).collect()
        };
        Dataset { rows: keep.len(), x, y, weights, test_from, filled, row_names, ..self.clone_without_values() }
    }

    /// The given columns, in order: still channels where they are whole ones in the data's order, else a plain table.
    pub fn select_columns(&self, keep: &[usize]) -> Self {
        fn cut<T: Copy>(values: &[T], columns: usize, keep: &[usize]) -> Vec<T> {
            values.chunks_exact(columns).flat_map(|row| keep.iter().map(|&c| row[c])).collect()
        }
        let x = match &self.x {
            Values::U8(v) => Values::U8(cut(v, self.columns, keep)),
            Values::F32(v) => Values::F32(cut(v, self.columns, keep)),
        };
        Dataset {
            rows: self.rows,
            columns: keep.len(),
            x,
            origins: origin::kept(keep.iter().map(|&c| self.origin(c)).collect()),
            y: self.y.clone(),
            features: keep.iter().map(|&c| self.features[c].clone()).collect(),
            axes: units::axes_of(&self.axes, keep),
            weights: self.weights.clone(),
            test_from: self.test_from,
            row_names: self.row_names.clone(),
            ..self.clone_without_values()
        }
    }

    /// Everything but the numbers.
    fn clone_without_values(&self) -> Self {
        Dataset {
            source: self.source.clone(),
            rows: 0,
            columns: self.columns,
            x: Values::F32(Vec::new()),
            origins: self.origins.clone(),
            y: Targets::None,
            features: self.features.clone(),
            axes: self.axes.clone(),
            weights: None,
            test_from: None,
            filled: Vec::new(),
            row_names: Vec::new(),
            notes: self.notes.clone(),
        }
    }

    /// What every reader promises besides its own checks.
    fn check(&self, request: &Request) -> Result<()> {
        if self.rows == 0 || self.columns == 0 {
            return Err(Error::input(
                &self.source,
                "data",
                "no rows or no columns are left",
                "give at least one of each",
            ));
        }
        if !request.need_target {
            return Ok(());
        }
        // A category's columns are called by column and value, which may come to the same for another column.
        if let Some(problem) = bad_name(self.features.iter().map(|feature| &feature.name)) {
            return Err(Error::input(&self.source, "names of the inputs", problem, "rename a column or a value"));
        }
        if let Targets::Classes { names, .. } | Targets::Numbers { names, .. } = &self.y
            && let Some(problem) = bad_name(names)
        {
            return Err(Error::input(&self.source, "names of the targets", problem, "rename them"));
        }
        if self.rows == 1 {
            return Err(Error::input(
                &self.source,
                "rows",
                "there is only one",
                "give at least two, and far more to learn from",
            ));
        }
        match &self.y {
            Targets::None => {
                Err(Error::input(&self.source, "target", "there is none", "add one (y, or --target NAME for a table)"))
            }
            Targets::Classes { labels, names } => {
                let mut occurs = vec![false; names.len()];
                labels.iter().for_each(|&l| occurs[l as usize] = true);
                if occurs.iter().filter(|&&o| o).count() < 2 {
                    let only = occurs.iter().position(|&o| o).map_or("", |class| names[class].as_str());
                    return Err(Error::input(
                        &self.source,
                        "target",
                        format!("every row has the class {only:?}"),
                        "give data with two classes or more, or --task regress for a number",
                    ));
                }
                Ok(())
            }
            Targets::Numbers { values, names } => {
                let width = names.len().max(1);
                let same = |j: &usize| values.chunks_exact(width).all(|row| row[*j] == values[*j]);
                match (0..width.min(values.len())).find(same) {
                    Some(j) => Err(Error::input(
                        &self.source,
                        "target",
                        format!("every row has {} in {}", values[j], names[j]),
                        "give a target that varies, or leave it out",
                    )),
                    None => Ok(()),
                }
            }
            Targets::Inputs => Ok(()),
        }
    }

    /// A stable 64-bit fingerprint (FNV-1a) of shape, inputs, targets with their classes' names, and where test rows begin:
    /// the same data give the same split. Weights have no part in it: they change no split.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let mut eat = |word: u64| {
            hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        };
        eat(self.rows as u64);
        eat(self.columns as u64);
        eat(self.test_from.map_or(u64::MAX, |from| from as u64));
        match &self.x {
            Values::U8(v) => v.iter().for_each(|&x| eat(u64::from(x))),
            Values::F32(v) => v.iter().for_each(|&x| eat(u64::from(x.to_bits()))),
        }
        for (c, origin) in self.origins.iter().enumerate().filter(|(_, origin)| **origin != 0.0) {
            eat(c as u64);
            eat(origin.to_bits());
        }
        match &self.y {
            Targets::Classes { labels, names } => {
                labels.iter().for_each(|&l| eat(u64::from(l)));
                for name in names {
                    eat(name.len() as u64);
                    name.bytes().for_each(|b| eat(u64::from(b)));
                }
            }
            Targets::Numbers { values, names } => {
                values.iter().for_each(|&y| eat(u64::from((y as f32).to_bits())));
                // Far from zero that doesn't tell them apart.
                for c in 0..names.len() {
                    let column = || values.iter().skip(c).step_by(names.len());
                    let mut extent = Extent::default();
                    column().for_each(|&y| extent.see(y));
                    if extent.is_far() {
                        column().for_each(|y| eat(y.to_bits()));
                    }
                }
            }
            Targets::Inputs | Targets::None => {}
        }
        hash
    }

    /// Rows that stand in the data more than once, with all inputs and targets, where a column is continuous: of columns with few
    /// values alike rows are to be expected. A split may put one of them among the rows that a model learns, and another among those
    /// that it is judged by. 0 for pictures and large tables (20 million cells), where looking would take the memory.
    pub fn repeated_rows(&self) -> usize {
        const MOST_CELLS: usize = 20_000_000;
        if self.axes.len() > 1 || self.rows.saturating_mul(self.columns) > MOST_CELLS {
            return 0;
        }
        let target = |row: usize| match &self.y {
            Targets::Classes { labels, .. } => vec![labels[row]],
            Targets::Numbers { values, names } => {
                let bits = |y: &f64| [(y.to_bits() >> 32) as u32, y.to_bits() as u32];
                values[row * names.len()..][..names.len()].iter().flat_map(bits).collect()
            }
            Targets::Inputs | Targets::None => Vec::new(),
        };
        let words = |row: usize| (0..self.columns).map(move |c| self.held(row, c).to_bits()).chain(target(row));
        let mut counts: std::collections::HashMap<Vec<u32>, usize> = std::collections::HashMap::new();
        (0..self.rows).for_each(|row| *counts.entry(words(row).collect()).or_default() += 1);
        let distinct = |c: usize| counts.keys().map(|row| row[c]).collect::<std::collections::HashSet<u32>>().len();
        let repeated = counts.values().filter(|&&count| count > 1).sum();
        if repeated > 0 && (0..self.columns).any(|c| 2 * distinct(c) > counts.len().max(20)) { repeated } else { 0 }
    }
}
