//! Tables: rows of cells under named columns, whatever the file's format.
//!
//! A file is gone through twice, in blocks of rows: [`survey`] finds out what each column holds and refuses bad cells, [`fill`] writes
//! the numbers. No cell is kept as text but the distinct values of categorical columns.

#[cfg(feature = "hdf5")]
mod anndata;
#[cfg(feature = "arrow")]
mod arrow;
mod block;
mod cell;
mod columns;
mod dates;
mod fill;
mod fits;
mod lines;
#[cfg(feature = "parquet")]
mod parquet;
mod plan;
mod source;
mod survey;
mod target;

use std::collections::HashSet;
use std::path::Path;

pub(crate) use self::dates::written_day;
pub(crate) use self::lines::sniff_delimiter;

use self::block::{Block, Broken, Row};
use self::cell::{Cell, listed, number, shortened};
use self::columns::Columns;
use self::fill::{Filled, fill};
use self::lines::Lines;
use self::plan::Plan;
use self::source::{Source, scan};
use self::survey::{Surveyed, survey};
use super::format::Format;
use super::origin::kept;
use super::{Axis, Dataset, Feature, Request, Targets, Values};
use crate::host::refuse_beyond_memory;
use crate::{Error, Result};

/// Distinct values that a categorical column may have.
const MOST_VALUES: usize = 64;

/// A text column of more rows than this with no value twice is an identifier: a category would come back.
const MOST_DISTINCT: usize = 20;

/// Opens a table of any format.
fn open(path: &Path, format: Format) -> Result<Box<dyn Source>> {
    Ok(match format {
        #[cfg(feature = "parquet")]
        Format::Parquet => Box::new(parquet::Parquet::open(path)?),
        #[cfg(feature = "arrow")]
        Format::Arrow => Box::new(arrow::Arrow::open(path)?),
        Format::Fits => Box::new(fits::Fits::open(path)?),
        #[cfg(feature = "hdf5")]
        Format::AnnData => Box::new(anndata::AnnData::open(path)?),
        _ => Box::new(Lines::open(path)?),
    })
}

/// Reads a table.
pub(super) fn read(path: &Path, format: Format, request: &Request) -> Result<Dataset> {
    let source = open(path, format)?;
    let table = Table::new(&*source)?;
    let target = table.find_target(request)?;
    let others = [target, table.find_weights(request, target)?];
    let (plan, surveyed) = match &request.expect {
        Some(features) => {
            let plan = Plan::expected(&table, features, others)?;
            let surveyed = survey(&table, &plan.columns, request.missing)?;
            plan.check_kinds(&table, &surveyed.columns)?;
            (plan, surveyed)
        }
        None => {
            let columns = Columns::new(&table, others, &request.drop)?;
            let surveyed = survey(&table, &columns, request.missing)?;
            (Plan::of_surveys(&table, columns, &surveyed.columns, request)?, surveyed)
        }
    };
    let mut notes = Vec::new();
    let y = match surveyed.target {
        Some(target) => target.finish(&table, request.task, &mut notes)?,
        None => Targets::None,
    };
    let cells = (surveyed.rows as u64).saturating_mul(plan.features.len() as u64);
    // A category of few letters becomes up to 64 columns.
    refuse_beyond_memory(
        &format!("reading {}", path.display()),
        cells.saturating_mul(4),
        "give fewer rows or columns",
    )?;
    let origins = plan.origins(&surveyed.columns, request);
    let filled = fill(&table, &plan, &origins, request.missing, surveyed.rows)?;
    let mut told = filled.notes(&table);
    told.extend(table.source.notes());
    if request.expect.is_none() {
        told.extend(plan.identifiers(&table, &surveyed.columns));
        told.extend(notes);
    }
    let (x, empty) = (filled.x, filled.empty);
    Ok(Dataset { y, weights: surveyed.weights, notes: told, ..inputs(&table, x, empty, &plan, &origins) })
}

/// Inputs alone.
fn inputs(table: &Table, x: Vec<f32>, empty: Vec<usize>, plan: &Plan, origins: &[f64]) -> Dataset {
    let columns = plan.features.len();
    Dataset {
        source: table.path().display().to_string(),
        rows: x.len() / columns.max(1),
        columns,
        x: Values::F32(x),
        origins: kept(origins.to_vec()),
        y: Targets::None,
        features: plan.features.clone(),
        axes: vec![Axis::new("feature", columns)],
        weights: None,
        test_from: None,
        notes: Vec::new(),
        filled: empty,
        row_names: Vec::new(),
    }
}

/// Reads the inputs that a model expects, some rows at a time.
pub(super) fn pieces(
    path: &Path,
    format: Format,
    (request, features): (&Request, &[Feature]),
    rows: usize,
    take: &mut dyn FnMut(Dataset) -> Result<()>,
) -> Result<()> {
    let source = open(path, format)?;
    let table = Table::new(&*source)?;
    let plan = Plan::expected(&table, features, [None, None])?;
    let origins = plan.origins(&[], request);
    let of_block = |block: &_| {
        let (mut surveyed, mut part) = (Surveyed::none(&table, &plan.columns), Filled::default());
        table.each_row(block, |row| {
            surveyed.see(&table, &plan.columns, request.missing, row)?;
            part.see(&plan, &origins, request.missing, row);
            Ok(())
        })?;
        plan.check_kinds(&table, &surveyed.columns)?;
        Ok(part)
    };
    let mut filled = Filled::default();
    let cells = rows.saturating_mul(plan.features.len());
    let mut piece = |filled: &mut Filled, notes| {
        let (x, empty) = filled.take(cells);
        take(Dataset { notes, ..inputs(&table, x, empty, &plan, &origins) })
    };
    scan(table.source, of_block, |part| {
        filled.join(part);
        // The last rows are kept for the notes.
        while filled.x.len() > cells {
            piece(&mut filled, Vec::new())?;
        }
        Ok(())
    })?;
    if filled.rows == 0 {
        return Err(table.no_rows());
    }
    let notes = filled.notes(&table);
    piece(&mut filled, notes)
}

/// The cells of one column as they are written, in the order of the rows.
pub(super) fn column(path: &Path, format: Format, name: &str) -> Result<Vec<String>> {
    let source = open(path, format)?;
    let table = Table::new(&*source)?;
    let Some(at) = table.names().iter().position(|other| other == name.trim()) else {
        let problem = format!("there is no column {name:?}");
        return Err(Error::input(
            path,
            "header",
            problem,
            format!("name one that is there: {}", listed(table.names())),
        ));
    };
    let mut cells = Vec::new();
    let of_block = |block: &_| {
        let mut part = Vec::new();
        table.each_row(block, |row| {
            part.push(row.written(at));
            Ok(())
        })?;
        Ok(part)
    };
    scan(table.source, of_block, |part| {
        cells.extend(part);
        Ok(())
    })?;
    Ok(cells)
}

/// A file whose columns have names of their own, and what is said of its cells.
struct Table<'a> {
    source: &'a dyn Source,
}

impl<'a> Table<'a> {
    fn new(source: &'a dyn Source) -> Result<Self> {
        let table = Table { source };
        table.check_names()?;
        Ok(table)
    }

    fn path(&self) -> &Path {
        self.source.path()
    }

    fn names(&self) -> &[String] {
        self.source.names()
    }

    fn check_names(&self) -> Result<()> {
        let refuse = |problem: String, remedy: &str| Err(Error::input(self.path(), "header", problem, remedy));
        let mut seen = HashSet::new();
        for (c, name) in self.names().iter().enumerate() {
            if name.is_empty() {
                return refuse(format!("column {} has no name", c + 1), "name the column or remove it");
            }
            if !seen.insert(name) {
                return refuse(format!("two columns are named {name:?}"), "give every column a name of its own");
            }
        }
        let all_numbers = self.names().iter().all(|name| number(name).is_some());
        if all_numbers && self.names().iter().any(|name| name.contains('.')) {
            return refuse("it holds only numbers".into(), "put a line with the columns' names before the rows");
        }
        Ok(())
    }

    /// The target's column; `None` where none is needed and none is there.
    fn find_target(&self, request: &Request) -> Result<Option<usize>> {
        let at = request.target.as_ref().and_then(|target| self.names().iter().position(|name| name == target.trim()));
        if at.is_some() || !request.need_target {
            return Ok(at);
        }
        // Where inputs are no targets, the others are.
        let inputs = self.source.inputs();
        let names = listed(if inputs < self.names().len() { &self.names()[inputs..] } else { self.names() });
        let path = self.path().display();
        Err(match &request.target {
            Some(target) => Error::input(
                self.path(),
                "header",
                format!("there is no column {target:?}"),
                format!("name one with --target NAME: {names}"),
            ),
            None => {
                Error::Usage(format!("{path}: header: no target column is given; name one with --target NAME: {names}"))
            }
        })
    }

    /// The column of the row weights; `None` where none is named, or a trained model's isn't there.
    fn find_weights(&self, request: &Request, target: Option<usize>) -> Result<Option<usize>> {
        let Some(name) = &request.weights else { return Ok(None) };
        let at = self.names().iter().position(|n| n == name.trim());
        if at.is_none() && request.expect.is_none() {
            let remedy = format!("name one with --weights NAME: {}", listed(self.names()));
            return Err(Error::input(self.path(), "header", format!("there is no column {name:?}"), remedy));
        }
        if at.is_some() && at == target {
            return Err(Error::Usage(format!(
                "--weights names {name}, which is the target; name the column that says how much each row counts"
            )));
        }
        Ok(at)
    }

    /// Goes through the rows of a block; refuses those with too few or too many cells.
    fn each_row(&self, block: &Block, row: impl FnMut(Row<'_>) -> Result<()>) -> Result<()> {
        let broken = |at: u64, what: Broken| {
            let place = self.source.place(at);
            match what {
                Broken::Fields(count) => Error::input(
                    self.path(),
                    place,
                    format!("{count} fields where the header has {}", self.names().len()),
                    "correct the row (a missing delimiter, an unclosed quote?)",
                ),
                Broken::NotUtf8 => Error::input(self.path(), place, "the text is not UTF-8", "save the table as UTF-8"),
                Broken::Other(problem) => {
                    let problem = format!("it can't be read ({problem})");
                    Error::input(self.path(), place, problem, "check that it is a table of text")
                }
            }
        };
        block.each_row(self.names().len(), broken, row)
    }

    fn no_rows(&self) -> Error {
        Error::input(self.path(), "rows", "there are none after the header line", "add rows to the table")
    }

    fn place(&self, at: u64, column: usize) -> String {
        format!("{}, column {:?}", self.source.place(at), self.names()[column])
    }

    fn missing_cell(&self, at: u64, column: usize, remedy: &str) -> Error {
        Error::input(self.path(), self.place(at, column), "the cell is missing", remedy)
    }

    fn bad_cell(&self, bad: &Bad, column: usize, remedy: &str) -> Error {
        let problem = if number(&bad.text).is_some() || bad.text.parse::<f64>().is_ok() {
            format!("{:?} is not a finite 32-bit number", bad.text)
        } else {
            format!("{:?} is not a number, as most cells of the column are", bad.text)
        };
        Error::input(self.path(), self.place(bad.at, column), problem, remedy)
    }

    fn no_date(&self, bad: &Bad, column: usize) -> Error {
        let problem = format!("{:?} is no date, as the column's others are", bad.text);
        let remedy = "write dates as 2024-01-31, 31.01.2024 or 1/31/2024, perhaps with a time as in 2024-01-31 18:30";
        Error::input(self.path(), self.place(bad.at, column), problem, remedy)
    }
}

/// A cell that is not what it should be.
struct Bad {
    /// Where its row is.
    at: u64,
    text: String,
}

impl Bad {
    fn new(at: u64, cell: Cell) -> Self {
        Bad { at, text: shortened(&cell.text()) }
    }
}
