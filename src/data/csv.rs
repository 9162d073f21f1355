//! Tables with a header line: comma, semicolon or tab between the cells.
//!
//! The file is gone through twice: [`survey`] finds out what each column holds and refuses bad cells, [`fill`] writes
//! the numbers. No cell is kept as text but the distinct values of categorical columns.

mod cell;
mod survey;
mod target;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use ::csv::{ByteRecord, Reader, ReaderBuilder};

use self::cell::{is_missing, listed, number, shortened};
use self::survey::{Survey, survey};
use super::origin::kept;
use super::{Axis, Dataset, Feature, Missing, Request, Targets, Values};
use crate::error::counted;
use crate::host::refuse_beyond_memory;
use crate::{Error, Result};

/// Distinct values that a categorical column may have.
const MOST_VALUES: usize = 64;

/// A text column of more rows than this with no value twice is an identifier: a category would come back.
const MOST_DISTINCT: usize = 20;

/// Reads a table.
pub(super) fn read(path: &Path, request: &Request) -> Result<Dataset> {
    let data = bytes(path)?;
    let table = Table::open(path, &data)?;
    let target_at = table.find_target(request)?;
    let weights_at = table.find_weights(request, target_at)?;
    let mut plan = match &request.expect {
        Some(features) => Plan::expected(&table, features, target_at)?,
        None => Plan::new(&table, [target_at, weights_at], &request.drop)?,
    };
    plan.weights = weights_at;
    let (rows, surveys, target, weights) = survey(&table, &plan, request.missing)?;
    if request.expect.is_none() {
        plan.choose_kinds(&table, &surveys)?;
    } else {
        plan.check_numbers(&table, &surveys)?;
    }
    let mut notes = Vec::new();
    let y = match target {
        Some(target) => target.finish(&table, request.task, &mut notes)?,
        None => Targets::None,
    };
    let cells = (rows as u64).saturating_mul(plan.features.len() as u64);
    // A category of few letters becomes up to 64 columns.
    refuse_beyond_memory(
        &format!("reading {}", path.display()),
        cells.saturating_mul(4),
        "give fewer rows or columns",
    )?;
    let origins = plan.origins(&surveys, request);
    let mut filled = fill(&table, &plan, &origins, request.missing)?;
    if request.expect.is_none() {
        filled.notes.extend(plan.identifiers(&table, &surveys));
        filled.notes.extend(notes);
    }
    let columns = plan.features.len();
    Ok(Dataset {
        source: path.display().to_string(),
        rows: filled.rows,
        columns,
        x: Values::F32(filled.x),
        origins: kept(origins),
        y,
        features: plan.features,
        axes: vec![Axis::new("feature", columns)],
        weights,
        test_from: None,
        notes: filled.notes,
        filled: filled.empty,
        row_names: Vec::new(),
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    let refused = |e| Error::io("open", path, e, "check that the file is there and readable");
    let length = std::fs::metadata(path).map_err(refused)?.len();
    refuse_beyond_memory(&format!("reading {}", path.display()), length, "give fewer rows or columns")?;
    std::fs::read(path).map_err(refused)
}

/// The cells of one column as they are written, in the order of the rows.
pub(super) fn column(path: &Path, name: &str) -> Result<Vec<String>> {
    let data = bytes(path)?;
    let table = Table::open(path, &data)?;
    let Some(at) = table.names.iter().position(|other| other == name.trim()) else {
        let problem = format!("there is no column {name:?}");
        return Err(Error::input(path, "header", problem, format!("name one that is there: {}", listed(&table.names))));
    };
    let mut cells = Vec::new();
    table.each_row(|record| {
        cells.push(text_of(&record[at]).to_owned());
        Ok(())
    })?;
    Ok(cells)
}

/// The text of the file and its header.
struct Table<'a> {
    path: &'a Path,
    /// Valid UTF-8, without the byte order mark.
    text: &'a str,
    delimiter: u8,
    names: Vec<String>,
}

impl<'a> Table<'a> {
    fn open(path: &'a Path, data: &'a [u8]) -> Result<Self> {
        let data = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
        let text = std::str::from_utf8(data).map_err(|e| {
            let place = format!("line {}", line_at(data, e.valid_up_to()));
            Error::input(path, place, "the text is not UTF-8", "save the table as UTF-8")
        })?;
        let mut table = Table { path, text, delimiter: sniff_delimiter(text), names: Vec::new() };
        let mut header = ByteRecord::new();
        if text.trim().is_empty() || !table.next(&mut table.reader(), &mut header)? {
            return Err(Error::input(path, "line 1", "the file is empty", "give a table with a header line and rows"));
        }
        table.names = header.iter().map(|name| text_of(name).to_owned()).collect();
        table.check_names()?;
        Ok(table)
    }

    fn check_names(&self) -> Result<()> {
        let refuse = |problem: String, remedy: &str| Err(Error::input(self.path, "header", problem, remedy));
        let mut seen = HashSet::new();
        for (c, name) in self.names.iter().enumerate() {
            if name.is_empty() {
                return refuse(format!("column {} has no name", c + 1), "name the column or remove it");
            }
            if !seen.insert(name) {
                return refuse(format!("two columns are named {name:?}"), "give every column a name of its own");
            }
        }
        let all_numbers = self.names.iter().all(|name| number(name).is_some());
        if all_numbers && self.names.iter().any(|name| name.contains('.')) {
            return refuse("it holds only numbers".into(), "put a line with the columns' names before the rows");
        }
        Ok(())
    }

    /// The target's column; `None` where none is needed and none is there.
    fn find_target(&self, request: &Request) -> Result<Option<usize>> {
        let at = request.target.as_ref().and_then(|target| self.names.iter().position(|name| name == target.trim()));
        if at.is_some() || !request.need_target {
            return Ok(at);
        }
        let names = listed(&self.names);
        let path = self.path.display();
        Err(match &request.target {
            Some(target) => Error::input(
                self.path,
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
        let at = self.names.iter().position(|n| n == name.trim());
        if at.is_none() && request.expect.is_none() {
            let remedy = format!("name one with --weights NAME: {}", listed(&self.names));
            return Err(Error::input(self.path, "header", format!("there is no column {name:?}"), remedy));
        }
        if at.is_some() && at == target {
            return Err(Error::Usage(format!(
                "--weights names {name}, which is the target; name the column that says how much each row counts"
            )));
        }
        Ok(at)
    }

    /// From the header on.
    fn reader(&self) -> Reader<&'a [u8]> {
        ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .from_reader(self.text.as_bytes())
    }

    /// The next row; false at the end.
    fn next(&self, reader: &mut Reader<&[u8]>, record: &mut ByteRecord) -> Result<bool> {
        reader.read_byte_record(record).map_err(|e| {
            Error::input(self.path, "table", format!("it can't be read ({e})"), "check that it is a table of text")
        })
    }

    /// Goes through the rows after the header; refuses those with too few or too many cells.
    fn each_row(&self, mut row: impl FnMut(&ByteRecord) -> Result<()>) -> Result<()> {
        let (mut reader, mut record) = (self.reader(), ByteRecord::new());
        self.next(&mut reader, &mut record)?;
        while self.next(&mut reader, &mut record)? {
            if record.len() != self.names.len() {
                return Err(Error::input(
                    self.path,
                    format!("line {}", self.line(start(&record))),
                    format!("{} fields where the header has {}", record.len(), self.names.len()),
                    "correct the row (a missing delimiter, an unclosed quote?)",
                ));
            }
            row(&record)?;
        }
        Ok(())
    }

    /// Line number of the row that starts at this byte.
    fn line(&self, byte: usize) -> usize {
        let bytes = self.text.as_bytes();
        let blank = bytes[byte..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        line_at(bytes, byte + blank)
    }

    fn place(&self, byte: usize, column: usize) -> String {
        format!("line {}, column {:?}", self.line(byte), self.names[column])
    }

    fn missing_cell(&self, byte: usize, column: usize, remedy: &str) -> Error {
        Error::input(self.path, self.place(byte, column), "the cell is missing", remedy)
    }

    fn bad_cell(&self, bad: &Bad, column: usize, remedy: &str) -> Error {
        let problem = if number(&bad.text).is_some() || bad.text.parse::<f64>().is_ok() {
            format!("{:?} is not a finite 32-bit number", bad.text)
        } else {
            format!("{:?} is not a number, as most cells of the column are", bad.text)
        };
        Error::input(self.path, self.place(bad.byte, column), problem, remedy)
    }
}

/// A cell that is no finite number.
struct Bad {
    /// Where its row starts.
    byte: usize,
    text: String,
}

impl Bad {
    fn new(record: &ByteRecord, text: &str) -> Self {
        Bad { byte: start(record), text: shortened(text) }
    }
}

fn start(record: &ByteRecord) -> usize {
    record.position().map_or(0, |p| p.byte() as usize)
}

/// A trimmed cell.
fn text_of(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).expect("the whole text is UTF-8 and is cut at ASCII characters").trim()
}

/// Line number, from 1, of a byte; lines end with LF, CR LF or CR.
fn line_at(bytes: &[u8], at: usize) -> usize {
    let ends = |&i: &usize| bytes[i] == b'\n' || (bytes[i] == b'\r' && bytes.get(i + 1) != Some(&b'\n'));
    1 + (0..at).filter(ends).count()
}

/// The likeliest delimiter of the header line.
pub(crate) fn sniff_delimiter(text: &str) -> u8 {
    let line = text.trim_start_matches(['\r', '\n']).split(['\r', '\n']).next().unwrap_or_default();
    let mut counts = [0usize; 3];
    let mut quoted = false;
    for b in line.bytes() {
        match b {
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b',' => counts[0] += 1,
            b';' => counts[1] += 1,
            b'\t' => counts[2] += 1,
            _ => {}
        }
    }
    let most = counts.iter().copied().max().unwrap_or_default();
    counts.iter().position(|&n| n == most).map_or(b',', |i| b",;\t"[i])
}

/// How a column of the file becomes columns of the data set.
enum Kind {
    Number {
        to: usize,
    },
    /// Where the 1 goes for each value.
    OneHot {
        to: HashMap<String, usize>,
    },
}

/// Which columns are read and where their numbers go.
struct Plan {
    target: Option<usize>,
    weights: Option<usize>,
    /// Columns of the file that hold features.
    inputs: Vec<usize>,
    /// One for each of `inputs`.
    kinds: Vec<Kind>,
    features: Vec<Feature>,
}

impl Plan {
    /// Every column but the target, the weights and those to drop; the kinds are chosen later.
    fn new(table: &Table, [target, weights]: [Option<usize>; 2], drop: &[String]) -> Result<Self> {
        let mut dropped = HashSet::new();
        for name in drop {
            let Some(c) = table.names.iter().position(|n| n == name.trim()) else {
                let problem = format!("there is no column {name:?}");
                let remedy = format!("name columns that are there with --drop: {}", listed(&table.names));
                return Err(Error::input(table.path, "header", problem, remedy));
            };
            if Some(c) == target {
                return Err(Error::Usage(format!("--drop names {name}, which is the target; drop other columns only")));
            }
            dropped.insert(c);
        }
        let inputs: Vec<usize> =
            (0..table.names.len()).filter(|c| ![target, weights].contains(&Some(*c)) && !dropped.contains(c)).collect();
        if inputs.is_empty() && !dropped.is_empty() {
            let problem = "--drop leaves no column but the target";
            return Err(Error::input(table.path, "header", problem, "keep a column to predict it from"));
        }
        if inputs.is_empty() {
            let remedy = "add columns to predict it from (is the delimiter a comma, semicolon or tab?)";
            return Err(Error::input(table.path, "header", "there is no column but the target", remedy));
        }
        Ok(Plan { target, weights, inputs, kinds: Vec::new(), features: Vec::new() })
    }

    /// The columns that a model expects.
    fn expected(table: &Table, features: &[Feature], target: Option<usize>) -> Result<Self> {
        let at: HashMap<&str, usize> = table.names.iter().enumerate().map(|(c, n)| (n.as_str(), c)).collect();
        // A column's name ends at one of a feature's `=`, and only where some name is as long.
        let lengths: HashSet<usize> = table.names.iter().map(String::len).collect();
        let (inputs, kinds) = (Vec::new(), Vec::new());
        let mut plan = Plan { target, weights: None, inputs, kinds, features: features.to_vec() };
        let mut groups: HashMap<usize, usize> = HashMap::new();
        for (to, feature) in features.iter().enumerate() {
            let missing = |name: &str| {
                let problem = format!("there is no column {name:?}, which the model expects");
                let remedy =
                    format!("add it or give a table like the one trained on (this one has {})", listed(&table.names));
                Error::input(table.path, "header", problem, remedy)
            };
            if feature.group.is_none() {
                plan.inputs.push(*at.get(feature.name.as_str()).ok_or_else(|| missing(&feature.name))?);
                plan.kinds.push(Kind::Number { to });
                continue;
            }
            let cuts = feature.name.match_indices('=').filter(|(i, _)| lengths.contains(i));
            let (column, value) = cuts
                .map(|(i, _)| (&feature.name[..i], &feature.name[i + 1..]))
                .find_map(|(name, value)| Some((*at.get(name)?, value)))
                .ok_or_else(|| missing(feature.name.split_once('=').map_or(feature.name.as_str(), |(name, _)| name)))?;
            let slot = *groups.entry(column).or_insert_with(|| {
                plan.inputs.push(column);
                plan.kinds.push(Kind::OneHot { to: HashMap::new() });
                plan.inputs.len() - 1
            });
            if let Kind::OneHot { to: places } = &mut plan.kinds[slot] {
                places.insert(value.to_owned(), to);
            }
        }
        Ok(plan)
    }

    /// Numbers or categories, by what the columns hold.
    fn choose_kinds(&mut self, table: &Table, surveys: &[Survey]) -> Result<()> {
        let mut group = 0;
        for (&c, survey) in self.inputs.iter().zip(surveys) {
            let name = &table.names[c];
            let next = self.features.len();
            if survey.is_number(table, c)? {
                self.features.push(Feature { name: name.clone(), group: None });
                self.kinds.push(Kind::Number { to: next });
            } else {
                let values = survey.values.iter();
                self.features.extend(values.map(|v| Feature { name: format!("{name}={v}"), group: Some(group) }));
                let to = survey.values.iter().cloned().zip(next..).collect();
                self.kinds.push(Kind::OneHot { to });
                group += 1;
            }
        }
        Ok(())
    }

    /// What each column of the data set is counted from: as its model has it, or as its cells suggest.
    fn origins(&self, surveys: &[Survey], request: &Request) -> Vec<f64> {
        let mut origins = request.origins.clone();
        origins.resize(self.features.len(), 0.0);
        if request.expect.is_none() {
            for (kind, survey) in self.kinds.iter().zip(surveys) {
                if let Kind::Number { to } = kind {
                    origins[*to] = survey.extent.origin();
                }
            }
        }
        origins
    }

    /// Points out the numeric columns that look like identifiers, which tell nothing about new rows.
    fn identifiers(&self, table: &Table, surveys: &[Survey]) -> Option<String> {
        let columns = self.inputs.iter().zip(&self.kinds).zip(surveys);
        let looks = |((&c, kind), survey): ((&usize, &Kind), &Survey)| {
            let is = matches!(kind, Kind::Number { .. }) && survey.numbers_rows();
            is.then(|| table.names[c].clone())
        };
        let names: Vec<String> = columns.filter_map(looks).collect();
        match names.as_slice() {
            [] => None,
            [name] => Some(format!(
                "column {name:?} looks like an identifier (another whole number in every row): leave it out with --drop {name:?} \
                 unless it means something"
            )),
            names => Some(format!(
                "columns that look like identifiers (another whole number in every row): {}; leave them out with --drop unless \
                 they mean something",
                listed(names)
            )),
        }
    }

    /// Refuses what isn't a number in the columns that must hold numbers.
    fn check_numbers(&self, table: &Table, surveys: &[Survey]) -> Result<()> {
        for ((&c, kind), survey) in self.inputs.iter().zip(&self.kinds).zip(surveys) {
            if let (Kind::Number { .. }, Some(bad)) = (kind, &survey.bad) {
                return Err(table.bad_cell(bad, c, "correct the cell: the model was trained on numbers here"));
            }
        }
        Ok(())
    }
}

fn lacks_a_cell(record: &ByteRecord, plan: &Plan) -> bool {
    plan.target.iter().chain(&plan.weights).chain(&plan.inputs).any(|&c| is_missing(text_of(&record[c])))
}

struct Filled {
    rows: usize,
    x: Vec<f32>,
    notes: Vec<String>,
    /// The columns of missing categories, as [`Dataset::filled`] has them.
    empty: Vec<usize>,
}

/// The second way through the file: the numbers.
fn fill(table: &Table, plan: &Plan, origins: &[f64], missing: Missing) -> Result<Filled> {
    let columns = plan.features.len();
    let mut x: Vec<f32> = Vec::new();
    let (mut rows, mut dropped, mut absent) = (0usize, 0usize, 0usize);
    let mut unknown: HashMap<usize, (usize, String)> = HashMap::new();
    let mut empty: Vec<usize> = Vec::new();
    table.each_row(|record| {
        if missing == Missing::Drop && lacks_a_cell(record, plan) {
            dropped += 1;
            return Ok(());
        }
        let row = x.len();
        x.resize(row + columns, 0.0);
        rows += 1;
        for (&c, kind) in plan.inputs.iter().zip(&plan.kinds) {
            let text = text_of(&record[c]);
            let known = !is_missing(text);
            absent += usize::from(!known);
            match kind {
                Kind::Number { to } => {
                    x[row + to] = number(text).filter(|_| known).map_or(f32::NAN, |v| (v - origins[*to]) as f32);
                }
                Kind::OneHot { to } => match to.get(text) {
                    Some(to) => x[row + to] = 1.0,
                    None if !known => empty.extend(to.values().map(|to| row + to)),
                    None => unknown.entry(c).or_insert_with(|| (0, shortened(text))).0 += 1,
                },
            }
        }
        Ok(())
    })?;
    let mut notes = Vec::new();
    if dropped > 0 {
        notes.push(format!("{dropped} of {} dropped for a missing cell", counted(rows + dropped, "row")));
    }
    if absent > 0 {
        let cells =
            if absent == 1 { "1 missing cell: a number is" } else { &format!("{absent} missing cells: numbers are") };
        notes.push(format!("{cells} filled with the training rows' mean, a category is all zero"));
    }
    let mut unknown: Vec<_> = unknown.into_iter().collect();
    unknown.sort();
    notes.extend(unknown.into_iter().map(|(c, (count, text))| {
        let name = &table.names[c];
        let cells = match count {
            1 => format!("1 cell with a value the model doesn't know, {text:?}, counts"),
            _ => format!("{count} cells with values the model doesn't know, such as {text:?}, count"),
        };
        format!("column {name:?}: {cells} as none")
    }));
    empty.sort_unstable();
    Ok(Filled { rows, x, notes, empty })
}
