//! NumPy arrays.

mod archive;
mod axes;
mod channels;
mod named;
mod npy;
mod targets;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use self::archive::Archive;
use self::axes::describe;
pub(crate) use self::axes::described;
pub(crate) use self::named::arrays;
use self::npy::{Array, Kind, read_names};
use self::targets::{target_values, targets};
use super::origin::{Extent, kept as kept_origins};
use super::weights::{WEIGHT_REMEDY, bad_weight};
use super::{Axis, CHANNEL, Dataset, Feature, Layout, Missing, Request, Targets, Values};
use crate::error::counted;
use crate::host::refuse_beyond_memory;
use crate::{Error, Result};

/// The array with the channels' names.
const CHANNELS: &str = "channels";

/// Reads `X`, `y` (and `X_test`, `y_test`) of an .npz, or one .npy.
pub(super) fn read(path: &Path, request: &Request) -> Result<Dataset> {
    let Arrays { x, y, x_test, y_test, weights, weights_test, channels } = Arrays::open(path, request)?;
    let (shape, rows) = (x.shape.clone(), x.shape[0]);
    check_rows(path, &x, y.as_ref())?;
    if let Some(x_test) = &x_test {
        check_test(path, &x, x_test)?;
        check_rows(path, x_test, y_test.as_ref())?;
    }
    let test_from = x_test.as_ref().map(|_| rows);
    let all_rows = rows + x_test.as_ref().map_or(0, |x| x.shape[0]);
    let layout = layout(path, &x, channels.as_deref(), request)?;
    let (mut axes, mut features) = describe(&shape[1..], layout);
    if let Some(names) = channels {
        label(path, &mut axes, names)?;
    }
    let mut order = None;
    // More columns, those that the model chose among them, are cut down later.
    let chosen = super::places(&features, request);
    if let Some(expected) = request.expect.as_ref().filter(|_| chosen.is_none()) {
        if expected.len() != features.len() {
            return Err(Error::input(
                path,
                x.name,
                format!(
                    "{} (shape {shape:?}) where the model expects {}",
                    counted(features.len(), "column"),
                    expected.len()
                ),
                "give arrays like those trained on, or with the columns that the model was made of",
            ));
        }
        let moved = match request.axes.as_deref().filter(|model| model.len() > 1 && axes.len() > 1) {
            Some(model) => moved(model, &axes).ok_or_else(|| another_shape(path, &x.name, &shape[1..], model))?,
            None => None,
        };
        // The columns of a plain array have numbers instead of names.
        // Nor have chosen channels that are given alone: they are counted from 0 again.
        let own = request.axes.as_ref().filter(|_| request.chosen_from.is_some());
        let alone = own.is_some_and(|axes| is_of(axes, &shape[1..], None));
        match if axes.len() > 1 && !alone { by_name(expected, &features) } else { ByName::Others } {
            ByName::Order(places) => order = Some(places),
            ByName::Same | ByName::Others if moved.is_some() => order = moved,
            ByName::Same => {}
            // Columns without names of their own are meant in the model's order.
            ByName::Others => features.clone_from(expected),
            ByName::Some => {
                return Err(Error::input(
                    path,
                    x.name,
                    format!(
                        "pictures of the shape {:?}, which isn't that of the model's ({} to {})",
                        &shape[1..],
                        expected[0].name,
                        expected[expected.len() - 1].name
                    ),
                    "give pictures like those trained on; --layout says where their channels stand",
                ));
            }
        }
    }
    let columns = features.len();
    let mut missing = vec![false; all_rows];
    let target_values = match &y {
        Some(y) => target_values(path, y, y_test.as_ref(), request.missing, &mut missing)?,
        None => Vec::new(),
    };
    let weights = match weights {
        Some(weights) => {
            let own = (&weights, rows);
            let test = weights_test.as_ref().map(|weights| (weights, all_rows - rows));
            Some(row_weights(path, &[Some(own), test], request.missing, &mut missing)?)
        }
        None => None,
    };
    // The numbers of one array, beside all that go before it, turned round where need be.
    let cells = (all_rows as u64).saturating_mul(columns as u64);
    refuse_beyond_memory(
        &format!("reading {}", path.display()),
        cells.saturating_mul(if x.kind == Kind::U8 { 1 } else { 8 }),
        "give fewer rows or columns",
    )?;
    let origins = match &request.expect {
        // The model's own, wherever its columns stand.
        Some(_) => {
            let places = chosen.or_else(|| order.clone()).unwrap_or_else(|| (0..columns).collect());
            let mut origins = vec![0.0; columns];
            places.into_iter().zip(&request.origins).for_each(|(at, &origin)| origins[at] = origin);
            origins
        }
        None => {
            let mut extents = vec![Extent::default(); columns];
            [Some(&x), x_test.as_ref()].into_iter().flatten().for_each(|array| array.survey(&mut extents));
            extents.into_iter().map(Extent::origin).collect()
        }
    };
    let origins = if x.kind == Kind::U8 { Vec::new() } else { kept_origins(origins) };
    let x = match x.kind {
        Kind::U8 => {
            let mut bytes = x.into_bytes();
            bytes.extend(x_test.map(Array::into_bytes).unwrap_or_default());
            Values::U8(bytes)
        }
        _ => {
            let mut values = Vec::new();
            for array in [Some(x), x_test].into_iter().flatten() {
                let part = array.to_f32(&origins);
                let first_row = values.len() / columns;
                check_finite(path, &array.name, &part, columns, request.missing, &mut missing[first_row..])?;
                values.extend(part);
            }
            Values::F32(values)
        }
    };
    let source = path.display().to_string();
    let (notes, filled) = (Vec::new(), Vec::new());
    let y_later = Targets::None;
    let row_names = Vec::new();
    let dataset = Dataset {
        source,
        rows: all_rows,
        columns,
        x,
        origins,
        y: y_later,
        features,
        axes,
        weights,
        test_from,
        notes,
        filled,
        row_names,
    };
    let mut dataset = treat_missing(dataset, request.missing, &missing);
    if let Some(y) = y {
        // Only now: a class whose rows are all dropped is none.
        let kept = if request.missing == Missing::Drop { kept(&target_values, &missing) } else { target_values };
        let mut notes = Vec::new();
        dataset.y = targets(path, &y, y_test.as_ref(), kept, request.task, &mut notes)?;
        if request.expect.is_none() {
            dataset.notes.extend(notes);
        }
    }
    channels::check(path, &dataset, request)?;
    if let Some(places) = order {
        let mut ordered = dataset.select_columns(&places);
        let note = format!("{} has its channels elsewhere than the model; they are put in its order", path.display());
        ordered.notes.push(note);
        // They are the model's now, by its names.
        if let Some(expected) = &request.expect {
            ordered.features.clone_from(expected);
        }
        ordered.axes = request.axes.clone().unwrap_or(ordered.axes);
        dataset = ordered;
    }
    Ok(dataset)
}

/// The arrays that are used.
struct Arrays {
    x: Array,
    y: Option<Array>,
    x_test: Option<Array>,
    y_test: Option<Array>,
    weights: Option<Array>,
    weights_test: Option<Array>,
    /// Names of the channels.
    channels: Option<Vec<String>>,
}

impl Arrays {
    fn open(path: &Path, request: &Request) -> Result<Self> {
        let file =
            File::open(path).map_err(|e| Error::io("open", path, e, "check that the file is there and readable"))?;
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy")) {
            if request.need_target {
                let remedy = "give an .npz with the arrays X and y (numpy.savez)";
                return Err(Error::input(path, "file", "an .npy holds inputs only, without a target", remedy));
            }
            let size = file.metadata().map_or(u64::MAX, |found| found.len());
            let x = Array::read(path, "X", BufReader::new(file), size)?;
            return Ok(Arrays {
                x,
                y: None,
                x_test: None,
                y_test: None,
                weights: None,
                weights_test: None,
                channels: None,
            });
        }
        let mut archive = Archive::new(path, file, "write the file again with numpy.savez")?;
        let names = archive.names.clone();
        let named = request.weights.iter().flat_map(|name| [name.clone(), format!("{name}_test")]);
        let usual = ["X", "x", "y", "Y", "X_test", "x_test", "y_test", "Y_test", CHANNELS].map(str::to_owned);
        archive.refuse_beyond_memory(&usual.into_iter().chain(named).collect::<Vec<_>>())?;
        let mut read = |choices: [&str; 2]| -> Result<Option<Array>> {
            let Some(name) = choices.into_iter().find(|choice| names.iter().any(|name| name == choice)) else {
                return Ok(None);
            };
            let (stream, size) = archive.member(name)?;
            Array::read(path, name, stream, size).map(Some)
        };
        let (x, y) = (read(["X", "x"])?, read(["y", "Y"])?);
        let (x_test, y_test) = (read(["X_test", "x_test"])?, read(["y_test", "Y_test"])?);
        let (mut weights, mut weights_test) = (None, None);
        if let Some(name) = &request.weights {
            if [Some(&x), Some(&y), Some(&x_test), Some(&y_test)]
                .into_iter()
                .flatten()
                .flatten()
                .any(|a| a.name == *name)
            {
                return Err(Error::Usage(format!(
                    "--weights names {name}, which is no array of weights; name another"
                )));
            }
            let test = format!("{name}_test");
            weights = read([name, name])?;
            weights_test = if x_test.is_some() { read([&test, &test])? } else { None };
        }
        let lacks = |name: &str, why: &str| {
            let there = if names.is_empty() { "no arrays".into() } else { names.join(", ") };
            let problem = format!("the array is missing{why}; the file has {there}");
            Err(Error::input(path, name, problem, format!("save it under the name {name}")))
        };
        let Some(x) = x else { return lacks("X", "") };
        if y.is_none() && (request.need_target || y_test.is_some()) {
            return lacks("y", "");
        }
        if x_test.is_some() && y.is_some() && y_test.is_none() {
            return lacks("y_test", ", while there is X_test");
        }
        if y_test.is_some() && x_test.is_none() {
            return lacks("X_test", ", while there is y_test");
        }
        if let (Some(name), None, None) = (&request.weights, &weights, &request.expect) {
            return lacks(name, ", though --weights names it");
        }
        if let (Some(name), Some(_), Some(_), None) = (&request.weights, &weights, &x_test, &weights_test) {
            return lacks(&format!("{name}_test"), &format!(", while there are X_test and {name}"));
        }
        let mut channels = None;
        if names.iter().any(|name| name == CHANNELS) {
            let (stream, _) = archive.member(CHANNELS)?;
            channels = read_names(path, CHANNELS, stream)?;
        }
        Ok(Arrays { x, y, x_test, y_test, weights, weights_test, channels })
    }
}

/// The shapes of inputs and targets.
fn check_rows(path: &Path, x: &Array, y: Option<&Array>) -> Result<()> {
    if !(2..=5).contains(&x.shape.len()) {
        return Err(Error::input(
            path,
            x.name.as_str(),
            format!("its shape {:?} has {} axes", x.shape, x.shape.len()),
            "give it as [rows, columns] or as pictures [rows, height, width], [rows, height, width, channels] or [rows, channels, height, width], or as [rows, channels, depth, height, width]",
        ));
    }
    let Some(y) = y else { return Ok(()) };
    if !(1..=2).contains(&y.shape.len()) {
        let problem = format!("its shape is {:?}", y.shape);
        return Err(Error::input(path, y.name.as_str(), problem, "give it as [rows] or [rows, outputs]"));
    }
    if x.shape[0] != y.shape[0] {
        return Err(Error::input(
            path,
            format!("{} and {}", x.name, y.name),
            format!("{} has {} and {} has {}", x.name, counted(x.shape[0], "row"), y.name, y.shape[0]),
            "save the rows that belong together",
        ));
    }
    Ok(())
}

/// The test inputs must be like the others.
fn check_test(path: &Path, x: &Array, test: &Array) -> Result<()> {
    let place = || format!("{} and {}", x.name, test.name);
    if x.shape[1..] != test.shape[1..] {
        let problem = format!("their rows have the shapes {:?} and {:?}", &x.shape[1..], &test.shape[1..]);
        return Err(Error::input(path, place(), problem, "save arrays of one set"));
    }
    if (x.kind == Kind::U8) != (test.kind == Kind::U8) {
        let problem = format!("their dtypes are {} and {}", x.kind.name(), test.kind.name());
        return Err(Error::input(path, place(), problem, "convert one of them with .astype"));
    }
    Ok(())
}

/// How the columns of an array stand to those that a model expects.
enum ByName {
    Same,
    /// The same ones: where each expected one is.
    Order(Vec<usize>),
    /// Some of them and others: another shape.
    Some,
    /// None of them: named otherwise.
    Others,
}

fn by_name(expected: &[Feature], found: &[Feature]) -> ByName {
    let place: std::collections::HashMap<&str, usize> =
        found.iter().enumerate().map(|(c, feature)| (feature.name.as_str(), c)).collect();
    let places: Vec<Option<usize>> = expected.iter().map(|feature| place.get(feature.name.as_str()).copied()).collect();
    match places.iter().copied().collect::<Option<Vec<usize>>>() {
        Some(places) if places.iter().enumerate().all(|(i, &c)| i == c) => ByName::Same,
        Some(places) => ByName::Order(places),
        None if places.iter().any(Option::is_some) => ByName::Some,
        None => ByName::Others,
    }
}

/// Where each of a model's columns stands in rows with other axes; `Some(None)` where they are the same, but for those of length 1, and `None`
/// where rows are of another shape.
fn moved(model: &[Axis], found: &[Axis]) -> Option<Option<Vec<usize>>> {
    let lengths = |axes: &[Axis]| axes.iter().map(|axis| axis.len).filter(|&len| len != 1).collect::<Vec<_>>();
    if lengths(model) == lengths(found) {
        return Some(None);
    }
    let stride = |at: usize| found[at + 1..].iter().map(|axis| axis.len).product::<usize>();
    let at = |axis: &Axis| found.iter().position(|other| other.name == axis.name && other.len == axis.len);
    if model.len() != found.len() {
        return None;
    }
    let strides: Vec<usize> = model.iter().map(|axis| at(axis).map(stride)).collect::<Option<_>>()?;
    let place = |column: usize| {
        let (mut rest, mut place) = (column, 0);
        for (axis, stride) in model.iter().zip(&strides).rev() {
            place += rest % axis.len * stride;
            rest /= axis.len;
        }
        place
    };
    Some(Some((0..model.iter().map(|axis| axis.len).product()).map(place).collect()))
}

fn another_shape(path: &Path, name: &str, shape: &[usize], model: &[Axis]) -> Error {
    let lengths: Vec<usize> = model.iter().map(|axis| axis.len).collect();
    let names: Vec<&str> = model.iter().map(|axis| axis.name.as_str()).collect();
    let problem = format!("rows of the shape {shape:?} where the model reads {lengths:?} ({})", names.join(", "));
    Error::input(path, name, problem, "transpose the array, or say with --layout where its channels stand")
}

/// Whether rows of a shape are those that a model with these axes reads, or what its channels were chosen from.
fn is_of(axes: &[Axis], shape: &[usize], chosen_from: Option<usize>) -> bool {
    let whole = chosen_from == Some(shape.iter().product());
    axes.len() == shape.len()
        && axes.iter().zip(shape).all(|(axis, &len)| axis.len == len || whole && axis.name == CHANNEL)
}

/// Where the channels of pictures stand, as asked for or as the lengths suggest.
fn layout(path: &Path, x: &Array, names: Option<&[String]>, request: &Request) -> Result<Layout> {
    let named = |axis: Option<&usize>| names.is_some_and(|names| axis == Some(&names.len()));
    let guess = match x.shape[1..] {
        // As many as the names.
        [_, .., _] if named(x.shape.get(1)) => Layout::ChannelsFirst,
        [_, .., _] if named(x.shape.last()) => Layout::ChannelsLast,
        // A model's own shape means what it means there, and so does that of which it has some channels.
        _ if request.axes.as_ref().is_some_and(|axes| is_of(axes, &x.shape[1..], request.chosen_from)) => {
            match request.axes.as_ref().and_then(|axes| axes.iter().position(|axis| axis.name == CHANNEL)) {
                Some(0) => Layout::ChannelsFirst,
                Some(_) => Layout::ChannelsLast,
                None => Layout::NoChannels,
            }
        }
        // So it does with the channels at the other end.
        _ => other_end(request, &x.shape[1..]).unwrap_or_else(|| by_lengths(&x.shape[1..], request.convolves)),
    };
    let problem = match request.layout {
        Some(_) if x.shape.len() < 3 => "a row has no axes for channels to stand on",
        Some(Layout::NoChannels) if x.shape.len() == 5 => "a row has four axes, and space has three",
        asked => return Ok(asked.unwrap_or(guess)),
    };
    Err(Error::Usage(format!(
        "--layout says where the channels of an array stand, and {} of {} has the shape {:?}: {problem}; leave it out",
        x.name,
        path.display(),
        x.shape
    )))
}

/// Where the channels of rows stand that have a model's axes, but the channels at the other end.
fn other_end(request: &Request, shape: &[usize]) -> Option<Layout> {
    let axes = request.axes.as_ref()?;
    let lengths: Vec<usize> = axes.iter().map(|axis| axis.len).collect();
    let channels = axes.iter().position(|axis| axis.name == CHANNEL)?;
    let mut turned = lengths.clone();
    match channels {
        0 => turned.rotate_left(1),
        at if at + 1 == lengths.len() => turned.rotate_right(1),
        _ => return None,
    }
    let layout = if channels == 0 { Layout::ChannelsLast } else { Layout::ChannelsFirst };
    (turned == shape).then_some(layout)
}

/// Where they stand as the lengths suggest.
fn by_lengths(shape: &[usize], convolves: bool) -> Layout {
    match *shape {
        [1 | 3, _, last] if last != 1 && last != 3 => Layout::ChannelsFirst,
        // Channels are fewer than pixels along a side, as a rule.
        [first, height, width] if convolves && first < height.min(width) => Layout::ChannelsFirst,
        [_, _, _] => Layout::ChannelsLast,
        // A square is a picture; a recording is longer than it has channels, or shorter.
        [first, last] if convolves && first != last => Layout::ChannelsFirst,
        [_, _] => Layout::NoChannels,
        _ => Layout::ChannelsFirst,
    }
}

/// Gives the channels their names.
fn label(path: &Path, axes: &mut [Axis], names: Vec<String>) -> Result<()> {
    let problem = match axes.iter_mut().find(|axis| axis.name == CHANNEL) {
        None => "there are names, and X has no channels".to_owned(),
        Some(axis) if axis.len != names.len() => format!("there are {} names for {} channels", names.len(), axis.len),
        Some(axis) => {
            let mut sorted: Vec<&String> = names.iter().collect();
            sorted.sort_unstable();
            match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                Some(pair) => format!("two channels are called {:?}", pair[0]),
                None if names.iter().any(|name| name.trim().is_empty()) => "a name is empty".to_owned(),
                None => {
                    axis.labels = names;
                    return Ok(());
                }
            }
        }
    };
    Err(Error::input(
        path,
        CHANNELS,
        problem,
        "give one name for each channel, each once (--layout says where channels stand)",
    ))
}

/// Refuses what isn't finite; marks the rows with NaN where that is allowed.
fn check_finite(
    path: &Path,
    name: &str,
    values: &[f32],
    columns: usize,
    treatment: Missing,
    missing: &mut [bool],
) -> Result<()> {
    for (i, v) in values.iter().enumerate().filter(|(_, v)| !v.is_finite()) {
        let (row, column) = (i / columns, i % columns);
        let place = format!("{name}, row {row}, column {column} (counted from 0)");
        if !v.is_nan() {
            return Err(Error::input(
                path,
                place,
                "the value is not a finite 32-bit number",
                "correct or remove the row",
            ));
        }
        if treatment == Missing::Refuse {
            return Err(Error::input(
                path,
                place,
                "the value is NaN",
                "fill it in or give --missing mean or --missing drop",
            ));
        }
        missing[row] = true;
    }
    Ok(())
}

/// Drops the marked rows, or notes that they are filled later.
fn treat_missing(mut dataset: Dataset, treatment: Missing, missing: &[bool]) -> Dataset {
    let count = missing.iter().filter(|&&m| m).count();
    if count == 0 {
        return dataset;
    }
    if treatment == Missing::Drop {
        let keep: Vec<usize> = (0..dataset.rows).filter(|&r| !missing[r]).collect();
        let note = format!("{count} of {} dropped for a missing value", counted(dataset.rows, "row"));
        dataset = dataset.select_rows(&keep);
        dataset.notes.push(note);
    } else {
        let cells = match &dataset.x {
            Values::F32(v) => v.iter().filter(|v| v.is_nan()).count(),
            Values::U8(_) => 0,
        };
        dataset.notes.push(format!(
            "{} in {}: filled with the training rows' mean",
            counted(cells, "missing value"),
            counted(count, "row")
        ));
    }
    dataset
}

/// The values of the rows that aren't marked.
fn kept(values: &[f64], missing: &[bool]) -> Vec<f64> {
    let rows = values.chunks_exact(values.len() / missing.len()).zip(missing);
    rows.filter(|(_, missing)| !**missing).flat_map(|(row, _)| row).copied().collect()
}

/// The arrays of weights, one after the other. Marks the rows with NaN where they are dropped, and refuses what is no weight.
fn row_weights(
    path: &Path,
    arrays: &[Option<(&Array, usize)>],
    treatment: Missing,
    missing: &mut [bool],
) -> Result<Vec<f32>> {
    let mut weights = Vec::new();
    for &(array, rows) in arrays.iter().flatten() {
        if array.shape != [rows] {
            let problem = format!("its shape is {:?}, for {}", array.shape, counted(rows, "row"));
            return Err(Error::input(path, array.name.as_str(), problem, "save one weight a row, as [rows]"));
        }
        for (row, weight) in array.to_f64().into_iter().enumerate() {
            if weight.is_nan() && treatment == Missing::Drop {
                missing[weights.len()] = true;
            } else if let Some(problem) = bad_weight(weight) {
                let place = format!("{}, row {row} (counted from 0)", array.name);
                return Err(Error::input(path, place, format!("{weight} {problem}"), WEIGHT_REMEDY));
            }
            weights.push(weight as f32);
        }
    }
    Ok(weights)
}
