//! The first way through a table: what its columns hold.

use std::collections::{BTreeSet, HashSet};

use ::csv::ByteRecord;

use super::cell::{has_decimal_comma, is_date, is_identifier, is_infinite, is_missing, number, shortened};
use super::target::Target;
use super::{Bad, MOST_DISTINCT, MOST_VALUES, Plan, Table, lacks_a_cell, start, text_of};
use crate::data::Missing;
use crate::data::origin::Extent;
use crate::data::weights::{WEIGHT_REMEDY, bad_weight};
use crate::{Error, Result};

/// What a column holds.
#[derive(Default)]
pub(super) struct Survey {
    known: usize,
    numbers: usize,
    dates: usize,
    first_date: Option<Bad>,
    decimal_commas: usize,
    pub(super) bad: Option<Bad>,
    /// The first cell that reads as a number without being one, as `inf`.
    infinite: Option<Bad>,
    /// Every known cell so far is one more than the one before.
    counts: bool,
    last: f64,
    pub(super) extent: Extent,
    /// The whole numbers of a column whose name is an identifier's; `None` for others, and once one came back.
    whole: Option<HashSet<u64>>,
    /// Distinct values, at most one more than allowed.
    pub(super) values: BTreeSet<String>,
}

impl Survey {
    fn new(name: &str) -> Self {
        Survey { counts: true, whole: is_identifier(name).then(HashSet::new), ..Survey::default() }
    }

    fn see(&mut self, record: &ByteRecord, text: &str) {
        self.known += 1;
        let value = number(text);
        if value.is_some() {
            self.numbers += 1;
        } else {
            if is_date(text) {
                self.dates += 1;
                self.first_date.get_or_insert_with(|| Bad::new(record, text));
            }
            if self.infinite.is_none() && is_infinite(text) {
                self.infinite = Some(Bad::new(record, text));
            }
            self.decimal_commas += usize::from(has_decimal_comma(text));
        }
        if self.bad.is_none() && !value.is_some_and(|v| (v as f32).is_finite()) {
            self.bad = Some(Bad::new(record, text));
        }
        let value = value.unwrap_or(f64::NAN);
        self.extent.see(value);
        let begins = self.known == 1 && (value == 0.0 || value == 1.0);
        self.counts &= begins || value == self.last + 1.0;
        self.last = value;
        if self.whole.as_mut().is_some_and(|seen| value.fract() != 0.0 || !seen.insert(value.to_bits())) {
            self.whole = None;
        }
        if self.values.len() <= MOST_VALUES && !self.values.contains(text) {
            self.values.insert(text.to_owned());
        }
    }

    /// Whether it numbers the rows: it counts them from 0 or 1, or has an identifier's name and no whole number twice.
    pub(super) fn numbers_rows(&self) -> bool {
        self.known > MOST_DISTINCT && (self.counts || self.whole.is_some())
    }

    /// Numbers (true) or categories, and refuses what is neither.
    pub(super) fn is_number(&self, table: &Table, column: usize) -> Result<bool> {
        let name = &table.names[column];
        let refuse =
            |problem: String, remedy: &str| Err(Error::input(table.path, format!("column {name:?}"), problem, remedy));
        let drop = format!("leave it out with --drop {name:?}");
        if self.known == 0 {
            return refuse("every cell is missing".into(), &drop);
        }
        if let Some(date) = self.first_date.as_ref().filter(|_| 2 * self.dates > self.known) {
            let problem = format!("{:?} is a date, as most cells of the column are", date.text);
            let remedy = format!("{drop}, or turn it into numbers (days since the first, day of the year, weekday)");
            return Err(Error::input(table.path, table.place(date.byte, column), problem, remedy));
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
                None => Ok(true),
            };
        }
        if self.values.len() > MOST_VALUES {
            let problem = format!("it holds text with more than {MOST_VALUES} distinct values");
            return refuse(problem, &format!("{drop} or convert it to numbers"));
        }
        if self.known > MOST_DISTINCT && self.values.len() == self.known {
            return refuse("every cell holds another text, as a name or number of the row would".into(), &drop);
        }
        Ok(false)
    }
}

/// How many rows are kept, what the input columns hold, the target and the weights.
pub(super) type Surveyed = (usize, Vec<Survey>, Option<Target>, Option<Vec<f32>>);

/// The first way through the file.
pub(super) fn survey(table: &Table, plan: &Plan, missing: Missing) -> Result<Surveyed> {
    let mut surveys: Vec<Survey> = plan.inputs.iter().map(|&c| Survey::new(&table.names[c])).collect();
    let mut target = plan.target.map(Target::new);
    let mut weights = plan.weights.map(|_| Vec::new());
    let (mut rows, mut kept) = (0usize, 0usize);
    table.each_row(|record| {
        rows += 1;
        if missing == Missing::Drop && lacks_a_cell(record, plan) {
            return Ok(());
        }
        kept += 1;
        if let Some(target) = &mut target {
            let text = text_of(&record[target.column]);
            if is_missing(text) {
                let remedy = "fill in the target, or leave such rows out with --missing drop";
                return Err(table.missing_cell(start(record), target.column, remedy));
            }
            target.see(record, text);
        }
        if let (Some(weights), Some(c)) = (&mut weights, plan.weights) {
            weights.push(weight_of(table, record, c)?);
        }
        for (&c, survey) in plan.inputs.iter().zip(&mut surveys) {
            let text = text_of(&record[c]);
            if !is_missing(text) {
                survey.see(record, text);
            } else if missing == Missing::Refuse {
                return Err(table.missing_cell(
                    start(record),
                    c,
                    "fill it in or give --missing mean or --missing drop",
                ));
            }
        }
        Ok(())
    })?;
    if rows == 0 {
        return Err(Error::input(table.path, "rows", "there are none after the header line", "add rows to the table"));
    }
    if kept == 0 {
        let remedy = "fill cells in, remove the emptiest columns or give --missing mean";
        return Err(Error::input(table.path, "rows", "each of them has a missing cell and is dropped", remedy));
    }
    Ok((kept, surveys, target, weights))
}

/// The weight that a cell holds.
fn weight_of(table: &Table, record: &ByteRecord, column: usize) -> Result<f32> {
    let text = text_of(&record[column]);
    if is_missing(text) {
        let remedy = "fill in the weight, or leave such rows out with --missing drop";
        return Err(table.missing_cell(start(record), column, remedy));
    }
    let refuse = |problem: &str| {
        let problem = format!("the weight {:?} {problem}", shortened(text));
        Err(Error::input(table.path, table.place(start(record), column), problem, WEIGHT_REMEDY))
    };
    match text.parse::<f64>() {
        Ok(weight) => bad_weight(weight).map_or(Ok(weight as f32), refuse),
        Err(_) => refuse("is not a number"),
    }
}
