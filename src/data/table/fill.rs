//! The second way through a table: the numbers.

use std::collections::BTreeMap;

use super::cell::{Cell, shortened};
use super::dates::of_calendar;
use super::plan::{Kind, Place, Plan};
use super::{Row, Table, scan};
use crate::Result;
use crate::data::Missing;
use crate::error::counted;

#[derive(Default)]
pub(super) struct Filled {
    pub rows: usize,
    pub x: Vec<f32>,
    /// The columns of missing categories, as [`crate::data::Dataset::filled`] has them.
    pub empty: Vec<usize>,
    dropped: usize,
    /// Missing cells, and those of them that a column of their own tells of.
    absent: usize,
    indicated: usize,
    /// Cells with values that the model doesn't know, by column, and the first of them.
    unknown: BTreeMap<usize, (usize, String)>,
}

impl Filled {
    pub fn see(&mut self, plan: &Plan, origins: &[f64], missing: Missing, row: Row) {
        if missing == Missing::Drop && plan.columns.lacks_a_cell(row) {
            self.dropped += 1;
            return;
        }
        let start = self.x.len();
        self.x.resize(start + plan.features.len(), 0.0);
        self.rows += 1;
        for (&c, kind) in plan.columns.inputs.iter().zip(&plan.kinds) {
            let cell = row.cell(c);
            if let Cell::Missing = cell {
                self.miss(kind, start);
                continue;
            }
            let x = &mut self.x[start..];
            match &kind.to {
                Place::Number(to) => x[*to] = cell.number().map_or(f32::NAN, |v| (v - origins[*to]) as f32),
                Place::OneHot(to) => match to.get(&*cell.text()) {
                    Some(to) => x[*to] = 1.0,
                    None => self.unknown.entry(c).or_insert_with(|| (0, shortened(&cell.text()))).0 += 1,
                },
                Place::Date { days, of_year, of_week } => {
                    let day = cell.day().unwrap_or(f64::NAN);
                    let [year, week] = of_calendar(day);
                    days.iter().for_each(|&(to, first)| x[to] = (day - first as f64) as f32);
                    of_year.iter().for_each(|&to| x[to] = year as f32);
                    of_week.iter().for_each(|&to| x[to] = week as f32);
                }
            }
        }
    }

    /// A missing cell of the row whose numbers begin at a place.
    fn miss(&mut self, kind: &Kind, start: usize) {
        self.absent += 1;
        self.indicated += usize::from(kind.missing.is_some());
        match &kind.to {
            Place::OneHot(to) if kind.missing.is_none() => self.empty.extend(to.values().map(|to| start + to)),
            Place::OneHot(_) => {}
            Place::Number(_) | Place::Date { .. } => {
                let all = kind.columns();
                all.into_iter().filter(|&to| Some(to) != kind.missing).for_each(|to| self.x[start + to] = f32::NAN);
            }
        }
        kind.missing.iter().for_each(|to| self.x[start + to] = 1.0);
    }

    pub fn join(&mut self, behind: Filled) {
        let cells = self.x.len();
        self.rows += behind.rows;
        self.x.extend(behind.x);
        self.empty.extend(behind.empty.into_iter().map(|cell| cells + cell));
        self.dropped += behind.dropped;
        self.absent += behind.absent;
        self.indicated += behind.indicated;
        for (column, (count, text)) in behind.unknown {
            self.unknown.entry(column).or_insert((0, text)).0 += count;
        }
    }

    /// Hands over so many of the first numbers at most, and the places of missing categories among them; what was counted stays.
    pub fn take(&mut self, cells: usize) -> (Vec<f32>, Vec<usize>) {
        let cells = cells.min(self.x.len());
        let rest = self.x.split_off(cells);
        self.empty.sort_unstable();
        let behind = self.empty.split_off(self.empty.partition_point(|&cell| cell < cells));
        let empty = std::mem::replace(&mut self.empty, behind.into_iter().map(|cell| cell - cells).collect());
        (std::mem::replace(&mut self.x, rest), empty)
    }

    /// What was done that a person should know.
    pub fn notes(&self, table: &Table) -> Vec<String> {
        let mut notes = Vec::new();
        if self.dropped > 0 {
            let all = counted(self.rows + self.dropped, "row");
            notes.push(format!("{} of {all} dropped for a missing cell", self.dropped));
        }
        let filled = self.absent - self.indicated;
        if self.indicated > 0 {
            let cells = counted(self.indicated, "missing cell");
            notes.push(format!("{cells} told of by a column: numbers are filled with the training rows' mean"));
        }
        if filled > 0 {
            let cells = match filled {
                1 => "1 missing cell: a number is".to_owned(),
                _ => format!("{filled} missing cells: numbers are"),
            };
            notes.push(format!("{cells} filled with the training rows' mean, a category is all zero"));
        }
        notes.extend(self.unknown.iter().map(|(&c, (count, text))| {
            let name = &table.names()[c];
            let cells = match count {
                1 => format!("1 cell with a value the model doesn't know, {text:?}, counts"),
                _ => format!("{count} cells with values the model doesn't know, such as {text:?}, count"),
            };
            format!("column {name:?}: {cells} as none")
        }));
        notes
    }
}

/// The second way through the file, of which so many rows are kept.
pub(super) fn fill(table: &Table, plan: &Plan, origins: &[f64], missing: Missing, rows: usize) -> Result<Filled> {
    let mut filled = Filled { x: Vec::with_capacity(rows * plan.features.len()), ..Filled::default() };
    let of_block = |block: &_| {
        let mut part = Filled::default();
        table.each_row(block, |row| {
            part.see(plan, origins, missing, row);
            Ok(())
        })?;
        Ok(part)
    };
    scan(table.source, of_block, |part| {
        filled.join(part);
        Ok(())
    })?;
    filled.empty.sort_unstable();
    Ok(filled)
}
