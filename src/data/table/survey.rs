//! The first way through a table: what its columns hold.

use std::collections::{BTreeSet, HashSet};

use super::cell::{Cell, has_decimal_comma, is_identifier, shortened};
use super::columns::Columns;
use super::target::Target;
use super::{Bad, MOST_DISTINCT, MOST_VALUES, Row, Table, scan};
use crate::data::Missing;
use crate::data::origin::Extent;
use crate::data::weights::{WEIGHT_REMEDY, bad_weight};
use crate::{Error, Result};

/// What a column is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Numbers,
    Dates,
    Categories,
}

/// What a column holds.
#[derive(Default)]
pub(super) struct Survey {
    known: usize,
    pub(super) missing: usize,
    numbers: usize,
    dates: usize,
    /// The first of them.
    first_date: Option<Bad>,
    /// The first cell that is none, of whatever kind.
    pub(super) no_date: Option<Bad>,
    decimal_commas: usize,
    pub(super) bad: Option<Bad>,
    /// The first cell that reads as a number without being one, as `inf`.
    infinite: Option<Bad>,
    /// Every known cell so far is one more than the one before.
    counts: bool,
    first: f64,
    last: f64,
    pub(super) extent: Extent,
    /// The earliest day.
    pub(super) earliest: Option<i64>,
    /// The whole numbers of a column whose name is an identifier's; `None` for others, and once one came back.
    whole: Option<HashSet<u64>>,
    /// Distinct values, at most one more than allowed.
    pub(super) values: BTreeSet<String>,
}

impl Survey {
    fn new(name: &str) -> Self {
        Survey { counts: true, whole: is_identifier(name).then(HashSet::new), ..Survey::default() }
    }

    fn see(&mut self, at: u64, cell: Cell) {
        let value = cell.number();
        if value.is_some() {
            self.numbers += 1;
            self.no_date.get_or_insert_with(|| Bad::new(at, cell));
        } else {
            self.see_no_number(at, cell);
        }
        if self.bad.is_none() && !value.is_some_and(|v| (v as f32).is_finite()) {
            self.bad = Some(Bad::new(at, cell));
        }
        let value = value.unwrap_or(f64::NAN);
        self.extent.see(value);
        self.counts &= self.known == 0 || value == self.last + 1.0;
        self.first = if self.known == 0 { value } else { self.first };
        self.last = value;
        self.known += 1;
        if self.whole.as_mut().is_some_and(|seen| value.fract() != 0.0 || !seen.insert(value.to_bits())) {
            self.whole = None;
        }
        if let Cell::Text(text) = cell
            && self.values.len() <= MOST_VALUES
            && !self.values.contains(text)
        {
            self.values.insert(text.to_owned());
        }
    }

    fn see_no_number(&mut self, at: u64, cell: Cell) {
        if cell.is_date() {
            self.dates += 1;
            self.first_date.get_or_insert_with(|| Bad::new(at, cell));
        }
        match cell.day() {
            Some(day) => {
                let day = day.floor() as i64;
                self.earliest = Some(self.earliest.map_or(day, |earliest| earliest.min(day)));
            }
            None if self.no_date.is_none() => self.no_date = Some(Bad::new(at, cell)),
            None => {}
        }
        if cell.is_infinite() {
            // Of a column of numbers it is one all the same.
            self.numbers += usize::from(matches!(cell, Cell::Number(_)));
            self.infinite.get_or_insert_with(|| Bad::new(at, cell));
        }
        self.decimal_commas += usize::from(matches!(cell, Cell::Text(text) if has_decimal_comma(text)));
    }

    /// Takes in what was seen of the rows behind its own.
    fn join(&mut self, behind: Survey) {
        if behind.known > 0 {
            self.counts &= behind.counts && (self.known == 0 || behind.first == self.last + 1.0);
            self.first = if self.known == 0 { behind.first } else { self.first };
            self.last = behind.last;
        }
        self.known += behind.known;
        self.missing += behind.missing;
        self.numbers += behind.numbers;
        self.dates += behind.dates;
        self.first_date = self.first_date.take().or(behind.first_date);
        self.no_date = self.no_date.take().or(behind.no_date);
        self.decimal_commas += behind.decimal_commas;
        self.bad = self.bad.take().or(behind.bad);
        self.infinite = self.infinite.take().or(behind.infinite);
        self.extent.join(behind.extent);
        self.earliest = [self.earliest, behind.earliest].into_iter().flatten().min();
        self.whole = match (self.whole.take(), behind.whole) {
            (Some(mut seen), Some(more)) => more.into_iter().all(|value| seen.insert(value)).then_some(seen),
            _ => None,
        };
        for value in behind.values {
            if self.values.len() > MOST_VALUES {
                break;
            }
            self.values.insert(value);
        }
    }

    /// Whether it numbers the rows: it counts them from 0 or 1, or has an identifier's name and no whole number twice.
    pub(super) fn numbers_rows(&self) -> bool {
        let counts = self.counts && (self.first == 0.0 || self.first == 1.0);
        self.known > MOST_DISTINCT && (counts || self.whole.is_some())
    }

    /// What it is taken for; refuses what is nothing of it, and dates unless they are asked for.
    pub(super) fn holds(&self, table: &Table, column: usize, dates: bool) -> Result<Holds> {
        let name = &table.names()[column];
        let refuse = |problem: String, remedy: &str| {
            Err(Error::input(table.path(), format!("column {name:?}"), problem, remedy))
        };
        let drop = format!("leave it out with --drop {name:?}");
        if self.known == 0 {
            return refuse("every cell is missing".into(), &drop);
        }
        if let Some(date) = self.first_date.as_ref().filter(|_| 2 * self.dates > self.known) {
            if !dates {
                let problem = format!("{:?} is a date, as most cells of the column are", date.text);
                let remedy = format!(
                    "{drop}, or give --dates to read days since the first, day of the year and weekday from it"
                );
                return Err(Error::input(table.path(), table.place(date.at, column), problem, remedy));
            }
            return match &self.no_date {
                Some(other) => Err(table.no_date(other, column)),
                None => Ok(Holds::Dates),
            };
        }
        // Beside numbers it is no category's name, however few they are.
        if let Some(infinite) = self.infinite.as_ref().filter(|_| self.numbers > 0) {
            return Err(table.bad_cell(infinite, column, "correct the cell, or leave it empty if it is unknown"));
        }
        if 2 * self.decimal_commas > self.known {
            return refuse("it holds numbers with a decimal comma".into(), "write them with a decimal point");
        }
        if 2 * self.numbers > self.known {
            return match &self.bad {
                Some(bad) => Err(table.bad_cell(bad, column, "correct the cell, or leave it empty if it is unknown")),
                None => Ok(Holds::Numbers),
            };
        }
        if self.values.len() > MOST_VALUES {
            let problem = format!("it holds text with more than {MOST_VALUES} distinct values");
            return refuse(problem, &format!("{drop} or convert it to numbers"));
        }
        if self.known > MOST_DISTINCT && self.values.len() == self.known {
            return refuse("every cell holds another text, as a name or number of the row would".into(), &drop);
        }
        Ok(Holds::Categories)
    }
}

/// What is known after the first way through the file.
pub(super) struct Surveyed {
    /// How many are kept.
    pub rows: usize,
    /// Of the input columns.
    pub columns: Vec<Survey>,
    pub target: Option<Target>,
    pub weights: Option<Vec<f32>>,
    /// With those that are left out.
    all: usize,
}

impl Surveyed {
    pub fn none(table: &Table, columns: &Columns) -> Self {
        Surveyed {
            rows: 0,
            columns: columns.inputs.iter().map(|&c| Survey::new(&table.names()[c])).collect(),
            target: columns.target.map(Target::new),
            weights: columns.weights.map(|_| Vec::new()),
            all: 0,
        }
    }

    pub fn see(&mut self, table: &Table, columns: &Columns, missing: Missing, row: Row) -> Result<()> {
        self.all += 1;
        if missing == Missing::Drop && columns.lacks_a_cell(row) {
            return Ok(());
        }
        self.rows += 1;
        if let Some(target) = &mut self.target {
            let cell = row.cell(target.column);
            if let Cell::Missing = cell {
                let remedy = "fill in the target, or leave such rows out with --missing drop";
                return Err(table.missing_cell(row.at(), target.column, remedy));
            }
            target.see(row.at(), cell);
        }
        if let (Some(weights), Some(c)) = (&mut self.weights, columns.weights) {
            weights.push(weight_of(table, row, c)?);
        }
        for (&c, survey) in columns.inputs.iter().zip(&mut self.columns) {
            match row.cell(c) {
                Cell::Missing if missing == Missing::Refuse => {
                    let remedy = "fill it in or give --missing mean, --missing indicator or --missing drop";
                    return Err(table.missing_cell(row.at(), c, remedy));
                }
                Cell::Missing => survey.missing += 1,
                cell => survey.see(row.at(), cell),
            }
        }
        Ok(())
    }

    fn join(&mut self, behind: Surveyed) {
        self.rows += behind.rows;
        self.all += behind.all;
        self.columns.iter_mut().zip(behind.columns).for_each(|(column, behind)| column.join(behind));
        if let (Some(target), Some(behind)) = (&mut self.target, behind.target) {
            target.join(behind);
        }
        if let (Some(weights), Some(behind)) = (&mut self.weights, behind.weights) {
            weights.extend(behind);
        }
    }
}

/// The first way through the file.
pub(super) fn survey(table: &Table, columns: &Columns, missing: Missing) -> Result<Surveyed> {
    let mut surveyed = Surveyed::none(table, columns);
    let of_block = |block: &_| {
        let mut part = Surveyed::none(table, columns);
        table.each_row(block, |row| part.see(table, columns, missing, row))?;
        Ok(part)
    };
    scan(table.source, of_block, |part| {
        surveyed.join(part);
        Ok(())
    })?;
    if surveyed.all == 0 {
        return Err(table.no_rows());
    }
    if surveyed.rows == 0 {
        let remedy = "fill cells in, remove the emptiest columns or give --missing mean";
        return Err(Error::input(table.path(), "rows", "each of them has a missing cell and is dropped", remedy));
    }
    Ok(surveyed)
}

/// The weight that a cell holds.
fn weight_of(table: &Table, row: Row, column: usize) -> Result<f32> {
    let cell = row.cell(column);
    let refuse = |problem: &str| {
        let problem = format!("the weight {:?} {problem}", shortened(&cell.text()));
        Err(Error::input(table.path(), table.place(row.at(), column), problem, WEIGHT_REMEDY))
    };
    let weight = match cell {
        Cell::Missing => {
            let remedy = "fill in the weight, or leave such rows out with --missing drop";
            return Err(table.missing_cell(row.at(), column, remedy));
        }
        Cell::Number(value) => Some(value),
        Cell::Text(text) => text.parse::<f64>().ok(),
        Cell::Day(_) => None,
    };
    match weight {
        Some(weight) => bad_weight(weight).map_or(Ok(weight as f32), refuse),
        None => refuse("is not a number"),
    }
}
