//! Tables with a header line.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::{Axis, Dataset, Feature, Missing, Request, Targets, Task, Values, class_names};
use crate::{Error, Result};

/// More distinct texts than this make a column an identifier, not a category.
const MOST_CATEGORIES: usize = 64;
/// More distinct whole numbers than this are taken for a quantity, not for classes.
const MOST_GUESSED_CLASSES: usize = 20;

/// A table as text: one vector of cells for each column.
struct Table<'a> {
    path: &'a Path,
    header: Vec<String>,
    columns: Vec<Vec<String>>,
    /// Line of the file that each row started on.
    lines: Vec<u64>,
}

/// What a column turns out to hold.
enum Column {
    Numbers(Vec<f32>),
    /// Sorted categories, and each row's (`None`: missing).
    Categories(Vec<String>, Vec<Option<usize>>),
}

/// Reads a table.
pub(super) fn read(path: &Path, request: &Request) -> Result<Dataset> {
    let mut table = Table::read(path)?;
    let target = table.target(request)?;
    let mut notes = Vec::new();
    table.settle_missing(target, request, &mut notes)?;
    let y = match target {
        Some(column) => table.targets(column, request.task)?,
        None => Targets::None,
    };
    let wanted: Vec<usize> = (0..table.header.len()).filter(|&c| Some(c) != target).collect();
    let (features, values) = match &request.expect {
        Some(expect) => table.expected(expect, &mut notes)?,
        None => table.features(&wanted)?,
    };
    let (rows, columns) = (table.lines.len(), features.len());
    // From columns to rows.
    let mut x = vec![0.0; rows * columns];
    for (c, column) in values.iter().enumerate() {
        column.iter().enumerate().for_each(|(r, &v)| x[r * columns + c] = v);
    }
    Ok(Dataset {
        source: path.display().to_string(),
        rows,
        columns,
        x: Values::F32(x),
        y,
        features,
        axes: vec![Axis { name: "feature".into(), len: columns }],
        test_from: None,
        notes,
    })
}

fn is_missing(cell: &str) -> bool {
    matches!(cell.to_ascii_lowercase().as_str(), "" | "na" | "n/a" | "nan" | "null" | "none" | "?")
}

/// A cell short enough for a message.
fn short(cell: &str) -> String {
    if cell.chars().count() > 30 { cell.chars().take(29).chain(['…']).collect() } else { cell.to_owned() }
}

fn looks_like_date(cell: &str) -> bool {
    let date = cell.split([' ', 'T']).next().unwrap_or_default();
    let parts: Vec<&str> = date.split(['-', '.', '/']).collect();
    parts.len() == 3
        && parts.iter().all(|p| (1..=4).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()))
        && (parts[0].len() == 4 || parts[2].len() >= 2)
}

impl<'a> Table<'a> {
    fn read(path: &'a Path) -> Result<Self> {
        let remedy = "check that the file is there and readable";
        let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e, remedy))?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::input(path, "file", "it is empty", "give a table with a header line"));
        }
        let first = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
        let count = |d: u8| first.iter().filter(|&&b| b == d).count();
        // The commonest of the three; a tie goes to the comma.
        let delimiter = [b'\t', b';', b','].into_iter().max_by_key(|&d| count(d)).unwrap_or(b',');
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(bytes);
        let not_text =
            |line: u64| Error::input(path, format!("line {line}"), "it is not UTF-8 text", "save the table as UTF-8");
        let header: Vec<String> =
            reader.headers().map_err(|_| not_text(1))?.iter().map(|h| h.trim().to_owned()).collect();
        let mut seen = BTreeSet::new();
        if let Some(twice) = header.iter().find(|name| !seen.insert(name.as_str())) {
            let problem = format!("two columns are named {:?}", short(twice));
            return Err(Error::input(path, "header", problem, "give every column a name of its own"));
        }
        let mut table = Table { path, columns: vec![Vec::new(); header.len()], header, lines: Vec::new() };
        let mut record = csv::StringRecord::new();
        loop {
            let line = reader.position().line();
            match reader.read_record(&mut record) {
                Ok(false) => break,
                Err(_) => return Err(not_text(line)),
                Ok(true) => {}
            }
            let line = record.position().map_or(line, csv::Position::line);
            if record.len() != table.header.len() {
                let problem = format!("it has {} fields and the header {}", record.len(), table.header.len());
                return Err(Error::input(path, format!("line {line}"), problem, "mend or remove the line"));
            }
            table.lines.push(line);
            for (column, cell) in table.columns.iter_mut().zip(&record) {
                column.push(cell.trim().to_owned());
            }
        }
        if table.lines.is_empty() {
            return Err(Error::input(path, "file", "there are no rows below the header", "give a table with rows"));
        }
        Ok(table)
    }

    fn cell_error(&self, row: usize, column: usize, problem: String, remedy: &str) -> Error {
        let place = format!("line {}, column {}", self.lines[row], short(&self.header[column]));
        Error::input(self.path, place, problem, remedy)
    }

    /// The target's column; `None` where none is needed.
    fn target(&self, request: &Request) -> Result<Option<usize>> {
        let names = || self.header.iter().map(|n| short(n)).collect::<Vec<_>>().join(", ");
        match &request.target {
            Some(name) => {
                let found = self.header.iter().position(|n| n == name);
                if found.is_none() && request.need_target {
                    let problem = format!("there is no column {:?}; there are {}", short(name), names());
                    return Err(Error::input(self.path, "header", problem, "give one of them with --target"));
                }
                Ok(found)
            }
            None if request.need_target => {
                let problem = format!("which column is the target? There are {}", names());
                Err(Error::input(self.path, "header", problem, "add --target NAME"))
            }
            None => Ok(None),
        }
    }

    /// Refuses or drops rows with missing cells, or notes that they will be filled. A target is never filled.
    fn settle_missing(&mut self, target: Option<usize>, request: &Request, notes: &mut Vec<String>) -> Result<()> {
        // Columns that a model doesn't read may have holes.
        let read = |c: usize| match &request.expect {
            Some(expect) => expect.iter().any(|f| self.base_name(&f.name) == Some(c)),
            None => true,
        };
        let read: Vec<bool> = (0..self.header.len()).map(|c| read(c) || Some(c) == target).collect();
        let (mut drop, mut holes) = (vec![false; self.lines.len()], 0usize);
        for (c, column) in self.columns.iter().enumerate().filter(|(c, _)| read[*c]) {
            for (r, _) in column.iter().enumerate().filter(|(_, cell)| is_missing(cell)) {
                match request.missing {
                    Missing::Refuse => {
                        let remedy = "fill it in, or add --missing mean or --missing drop";
                        return Err(self.cell_error(r, c, "the cell is missing".into(), remedy));
                    }
                    Missing::Mean if Some(c) == target => {
                        let problem = "the target is missing".to_owned();
                        return Err(self.cell_error(r, c, problem, "fill it in, or add --missing drop"));
                    }
                    Missing::Mean => holes += 1,
                    Missing::Drop => drop[r] = true,
                }
            }
        }
        let dropped = drop.iter().filter(|&&d| d).count();
        if dropped > 0 {
            for column in &mut self.columns {
                let mut row = 0;
                column.retain(|_| (!drop[row], row += 1).0);
            }
            let mut row = 0;
            self.lines.retain(|_| (!drop[row], row += 1).0);
            notes.push(format!("{dropped} rows with missing cells are left out"));
            if self.lines.is_empty() {
                let problem = "every row has a missing cell";
                return Err(Error::input(self.path, "file", problem, "use --missing mean"));
            }
        }
        if holes > 0 {
            notes.push(format!("{holes} missing cells are filled with the training rows' means"));
        }
        Ok(())
    }

    /// The column behind a feature's name: itself, or what stands before `=value`.
    fn base_name(&self, feature: &str) -> Option<usize> {
        let find = |name: &str| self.header.iter().position(|n| n == name);
        find(feature).or_else(|| feature.match_indices('=').find_map(|(i, _)| find(&feature[..i])))
    }

    /// Numbers where more than half of the known cells are, else categories.
    fn interpret(&self, c: usize) -> Result<Column> {
        let cells = &self.columns[c];
        let known = || cells.iter().filter(|cell| !is_missing(cell));
        let numeric = known().filter(|cell| cell.parse::<f64>().is_ok()).count();
        let total = known().count();
        if total == 0 || 2 * numeric > total {
            return Ok(Column::Numbers(self.numbers(c)?));
        }
        if 2 * known().filter(|cell| looks_like_date(cell)).count() > total {
            let problem = format!("it holds dates, like {:?}", known().next().map_or("", String::as_str));
            let remedy = "turn them into numbers (days since some day, or year, month and day), or remove the column";
            return Err(Error::input(self.path, format!("column {}", short(&self.header[c])), problem, remedy));
        }
        let categories: BTreeSet<&String> = known().collect();
        if categories.len() > MOST_CATEGORIES {
            let problem = format!("it holds {} different texts", categories.len());
            let remedy = format!("remove the column or merge its values; at most {MOST_CATEGORIES} make a category");
            return Err(Error::input(self.path, format!("column {}", short(&self.header[c])), problem, remedy));
        }
        let index: HashMap<&str, usize> = categories.iter().enumerate().map(|(i, c)| (c.as_str(), i)).collect();
        let rows = cells.iter().map(|cell| index.get(cell.as_str()).copied()).collect();
        Ok(Column::Categories(categories.into_iter().cloned().collect(), rows))
    }

    /// A column's numbers, NaN where missing.
    fn numbers(&self, c: usize) -> Result<Vec<f32>> {
        let number = |(r, cell): (usize, &String)| {
            if is_missing(cell) {
                return Ok(f32::NAN);
            }
            match cell.parse::<f64>() {
                Ok(x) if (x as f32).is_finite() => Ok(x as f32),
                Ok(_) => {
                    let problem = format!("{:?} is infinite or doesn't fit into 32 bits", short(cell));
                    Err(self.cell_error(r, c, problem, "remove or rescale the value"))
                }
                Err(_) => {
                    let problem = format!("{:?} is not a number, as most cells of the column are", short(cell));
                    Err(self.cell_error(r, c, problem, "mend the cell"))
                }
            }
        };
        self.columns[c].iter().enumerate().map(number).collect()
    }

    /// Features and their columns of numbers; a category becomes a group of one-hot columns.
    fn features(&self, wanted: &[usize]) -> Result<(Vec<Feature>, Vec<Vec<f32>>)> {
        let (mut features, mut values, mut groups) = (Vec::new(), Vec::new(), 0);
        for &c in wanted {
            match self.interpret(c)? {
                Column::Numbers(column) => {
                    features.push(Feature { name: self.header[c].clone(), group: None });
                    values.push(column);
                }
                Column::Categories(categories, rows) => {
                    for (i, category) in categories.iter().enumerate() {
                        let name = format!("{}={category}", self.header[c]);
                        features.push(Feature { name, group: Some(groups) });
                        values.push(rows.iter().map(|&row| f32::from(u8::from(row == Some(i)))).collect());
                    }
                    groups += 1;
                }
            }
        }
        if features.is_empty() {
            let problem = "there is no column besides the target";
            return Err(Error::input(self.path, "header", problem, "give a table with inputs"));
        }
        Ok((features, values))
    }

    /// The columns that a model expects, in its order.
    fn expected(&self, expect: &[Feature], notes: &mut Vec<String>) -> Result<(Vec<Feature>, Vec<Vec<f32>>)> {
        let mut values = Vec::new();
        for feature in expect {
            let Some(c) = self.base_name(&feature.name) else {
                let name = if feature.group.is_some() { feature.name.split('=').next() } else { None };
                let problem = format!("the column {:?} is missing", short(name.unwrap_or(&feature.name)));
                return Err(Error::input(self.path, "header", problem, "give data with the model's columns"));
            };
            if feature.group.is_none() {
                values.push(self.numbers(c)?);
                continue;
            }
            let category = &feature.name[self.header[c].len() + 1..];
            values.push(self.columns[c].iter().map(|cell| f32::from(u8::from(cell == category))).collect());
        }
        let categorical: BTreeSet<usize> =
            expect.iter().filter(|f| f.group.is_some()).filter_map(|f| self.base_name(&f.name)).collect();
        for c in categorical {
            let known = |cell: &str| expect.iter().any(|f| f.name == format!("{}={cell}", self.header[c]));
            let new = self.columns[c].iter().filter(|cell| !is_missing(cell) && !known(cell)).count();
            if new > 0 {
                notes.push(format!("column {}: {new} cells have a value that the model doesn't know", self.header[c]));
            }
        }
        Ok((expect.to_vec(), values))
    }

    /// Classes for texts and for whole numbers of few values, else numbers.
    fn targets(&self, c: usize, task: Option<Task>) -> Result<Targets> {
        let cells = &self.columns[c];
        let numeric = cells.iter().filter(|cell| cell.parse::<f64>().is_ok()).count();
        let distinct: BTreeSet<&str> = cells.iter().map(String::as_str).collect();
        let whole = cells.iter().all(|cell| cell.parse::<f64>().is_ok_and(|y| y.fract() == 0.0));
        let guess = if 2 * numeric <= cells.len() || (whole && distinct.len() <= MOST_GUESSED_CLASSES) {
            Task::Classify
        } else {
            Task::Regress
        };
        match task.unwrap_or(guess) {
            Task::Classify => {
                if distinct.len() > 1000 {
                    let problem = format!("it has {} different values", distinct.len());
                    let place = format!("column {}", short(&self.header[c]));
                    return Err(Error::input(self.path, place, problem, "add --task regress"));
                }
                let names = class_names(distinct.iter().copied());
                let index: HashMap<&str, u32> = names.iter().zip(0..).map(|(n, i)| (n.as_str(), i)).collect();
                let labels = cells.iter().map(|cell| index[cell.as_str()]).collect();
                Ok(Targets::Classes { labels, names })
            }
            Task::Regress => Ok(Targets::Numbers { values: self.numbers(c)?, names: vec![self.header[c].clone()] }),
        }
    }
}
