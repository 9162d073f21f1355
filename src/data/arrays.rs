//! NumPy arrays.

mod archive;
mod axes;
mod channels;
mod labels;
mod meaning;
mod named;
mod npy;
mod opened;
mod rows;
mod stored;
mod targets;

use std::path::Path;

pub(crate) use self::axes::described;
use self::meaning::Meaning;
pub(crate) use self::named::arrays;
use self::npy::Kind;
use self::opened::{Arrays, Target};
use self::rows::{check_finite, kept, row_weights, treat_missing};
use self::stored::Stored;
use self::targets::{target_values, targets};
use super::origin::{Extent, kept as kept_origins};
use super::{Dataset, Missing, Request, Targets, Values};
use crate::Result;
use crate::host::refuse_beyond_memory;

/// The array with the channels' names.
const CHANNELS: &str = "channels";

/// Reads `X`, `y` (and `X_test`, `y_test`) of an .npz, or one .npy.
pub(super) fn read(path: &Path, request: &Request) -> Result<Dataset> {
    let Arrays { x, y, x_test, y_test, weights, weights_test, channels } = Arrays::open(path, request)?;
    let rows = x.rows();
    let all_rows = rows + x_test.as_ref().map_or(0, Stored::rows);
    let meaning = Meaning::of(path, &x.header, channels, request)?;
    let columns = meaning.features.len();
    let mut missing = vec![false; all_rows];
    let answers = Answers::read(path, y, y_test, request.missing, &mut missing)?;
    let weights = match weights {
        Some(weights) => {
            let own = (&weights, rows);
            let test = weights_test.as_ref().map(|weights| (weights, all_rows - rows));
            Some(row_weights(path, &[Some(own), test], request.missing, &mut missing)?)
        }
        None => None,
    };
    // What the engine takes is all that is held of the inputs, but where they are turned round.
    let cells = (all_rows as u64).saturating_mul(columns as u64);
    let bytes = if x.header.kind == Kind::U8 { 1 } else { 4 };
    let copies = if meaning.order.is_some() { 2 } else { 1 };
    refuse_beyond_memory(
        &format!("reading {}", path.display()),
        cells.saturating_mul(bytes * copies),
        "give fewer rows or columns",
    )?;
    let parts = [Some(&x), x_test.as_ref()];
    let origins = origins(&parts, &meaning, request)?;
    let mut values = if x.header.kind == Kind::U8 { Values::U8(Vec::new()) } else { Values::F32(Vec::new()) };
    let mut first_row = 0;
    for array in parts.into_iter().flatten() {
        array.add_to(&mut values, &origins)?;
        if let Values::F32(values) = &values {
            let own = (0, &values[first_row * columns..]);
            check_finite(path, &array.header.name, own, columns, request.missing, &mut missing[first_row..])?;
        }
        first_row += array.rows();
    }
    let dataset =
        Dataset { weights, test_from: x_test.as_ref().map(|_| rows), ..inputs(path, values, origins, &meaning) };
    let mut dataset = treat_missing(dataset, request.missing, &missing);
    if let Some(answers) = answers {
        let mut notes = Vec::new();
        let left_out = |row: usize| request.missing == Missing::Drop && missing[row];
        dataset.y = answers.targets(path, request, left_out, &missing, &mut notes)?;
        if request.expect.is_none() {
            dataset.notes.extend(notes);
        }
    }
    channels::check(path, &dataset, request)?;
    Ok(in_order(path, dataset, meaning.order, request))
}

/// Reads the inputs that a model expects, so many rows at a time.
pub(super) fn pieces(
    path: &Path,
    request: &Request,
    rows: usize,
    take: &mut dyn FnMut(Dataset) -> Result<()>,
) -> Result<()> {
    let Arrays { x, x_test, channels, .. } = Arrays::open(path, request)?;
    let meaning = Meaning::of(path, &x.header, channels, request)?;
    let columns = meaning.features.len();
    let parts = [Some(&x), x_test.as_ref()];
    let origins = origins(&parts, &meaning, request)?;
    for array in parts.into_iter().flatten() {
        array.pieces(rows, &origins, |first_row, values| {
            if let Values::F32(values) = &values {
                let mut missing = vec![false; values.len() / columns];
                let part = (first_row, &values[..]);
                check_finite(path, &array.header.name, part, columns, request.missing, &mut missing)?;
            }
            let dataset = inputs(path, values, origins.clone(), &meaning);
            channels::check(path, &dataset, request)?;
            take(in_order(path, dataset, meaning.order.clone(), request))
        })?;
    }
    Ok(())
}

/// What each column is counted from: as its model has it, or as its numbers suggest.
fn origins(parts: &[Option<&Stored>; 2], meaning: &Meaning, request: &Request) -> Result<Vec<f64>> {
    let bytes = parts.iter().flatten().all(|array| array.header.kind == Kind::U8);
    if bytes {
        return Ok(Vec::new());
    }
    if request.expect.is_some() {
        return Ok(kept_origins(meaning.origins(request)));
    }
    let mut extents = vec![Extent::default(); meaning.features.len()];
    parts.iter().flatten().try_for_each(|array| array.survey(&mut extents))?;
    Ok(kept_origins(extents.into_iter().map(Extent::origin).collect()))
}

/// Inputs alone.
fn inputs(path: &Path, x: Values, origins: Vec<f64>, meaning: &Meaning) -> Dataset {
    let columns = meaning.features.len();
    let values = match &x {
        Values::U8(bytes) => bytes.len(),
        Values::F32(numbers) => numbers.len(),
    };
    Dataset {
        source: path.display().to_string(),
        rows: values / columns,
        columns,
        x,
        origins,
        y: Targets::None,
        features: meaning.features.clone(),
        axes: meaning.axes.clone(),
        weights: None,
        test_from: None,
        notes: Vec::new(),
        filled: Vec::new(),
        row_names: Vec::new(),
    }
}

/// Columns that stand elsewhere than in a model are put into its order, under its names.
fn in_order(path: &Path, dataset: Dataset, order: Option<Vec<usize>>, request: &Request) -> Dataset {
    let Some(places) = order else { return dataset };
    let mut ordered = dataset.select_columns(&places);
    ordered
        .notes
        .push(format!("{} has its channels elsewhere than the model; they are put in its order", path.display()));
    if let Some(expected) = &request.expect {
        ordered.features.clone_from(expected);
    }
    ordered.axes = request.axes.clone().unwrap_or(ordered.axes);
    ordered
}

/// The targets of all rows, before it is known which are left out.
enum Answers {
    Numbers { values: Vec<f64>, y: npy::Array, test: Option<npy::Array> },
    Texts(labels::Labels),
}

impl Answers {
    /// Marks the rows without a target where they are dropped, and refuses them elsewhere.
    fn read(
        path: &Path,
        y: Option<Target>,
        test: Option<Target>,
        treatment: Missing,
        missing: &mut [bool],
    ) -> Result<Option<Self>> {
        Ok(match (y, test) {
            (None, _) => None,
            (Some(Target::Texts(mut labels)), test) => {
                if let Some(Target::Texts(test)) = test {
                    labels.join(test);
                }
                labels.check(path, treatment, missing)?;
                Some(Answers::Texts(labels))
            }
            (Some(Target::Numbers(y)), test) => {
                let test = test.and_then(|test| if let Target::Numbers(test) = test { Some(test) } else { None });
                let values = target_values(path, &y, test.as_ref(), treatment, missing)?;
                Some(Answers::Numbers { values, y, test })
            }
        })
    }

    /// Only now, of the rows that are left: a class whose rows are all dropped is none.
    fn targets(
        self,
        path: &Path,
        request: &Request,
        left_out: impl Fn(usize) -> bool,
        missing: &[bool],
        notes: &mut Vec<String>,
    ) -> Result<Targets> {
        match self {
            Answers::Texts(labels) => labels.targets(path, request.task, left_out),
            Answers::Numbers { values, y, test } => {
                let values = if request.missing == Missing::Drop { kept(&values, missing) } else { values };
                targets(path, &y, test.as_ref(), values, request.task, notes)
            }
        }
    }
}
