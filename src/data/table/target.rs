//! The target column of a table.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::cell::{Cell, number};
use super::{Bad, Table};
use crate::data::classes::{Distinct, GUESSED_CLASSES};
use crate::data::{Targets, Task};
use crate::{Error, Result};

/// Classes that a target may have.
const MOST_CLASSES: usize = 1000;

/// The cells of the target column as they are seen.
pub(super) struct Target {
    pub(super) column: usize,
    numbers: usize,
    /// Cells that are numbers without being any, as `inf`.
    infinite: usize,
    /// NaN where the cell isn't a number.
    values: Vec<f64>,
    /// Index into the distinct texts; incomplete once there are more than [`MOST_CLASSES`].
    labels: Vec<u32>,
    texts: HashMap<String, u32>,
    bad: Option<Bad>,
}

impl Target {
    pub(super) fn new(column: usize) -> Self {
        Target {
            column,
            numbers: 0,
            infinite: 0,
            values: Vec::new(),
            labels: Vec::new(),
            texts: HashMap::new(),
            bad: None,
        }
    }

    /// Takes in one known cell.
    pub(super) fn see(&mut self, at: u64, cell: Cell) {
        let value = cell.number();
        self.numbers += usize::from(value.is_some());
        self.infinite += usize::from(cell.is_infinite());
        if self.bad.is_none() && !value.is_some_and(|v| (v as f32).is_finite()) {
            self.bad = Some(Bad::new(at, cell));
        }
        self.values.push(value.unwrap_or(f64::NAN));
        if self.texts.len() <= MOST_CLASSES {
            self.label(&cell.text());
        }
    }

    fn label(&mut self, text: &str) {
        let next = self.texts.len() as u32;
        let label = match self.texts.get(text) {
            Some(&label) => label,
            None => *self.texts.entry(text.to_owned()).or_insert(next),
        };
        self.labels.push(label);
    }

    /// Takes in the cells of the rows behind its own.
    pub(super) fn join(&mut self, behind: Target) {
        self.numbers += behind.numbers;
        self.infinite += behind.infinite;
        self.bad = self.bad.take().or(behind.bad);
        self.values.extend(behind.values);
        let mut texts = vec![""; behind.texts.len()];
        behind.texts.iter().for_each(|(text, &label)| texts[label as usize] = text);
        for &label in &behind.labels {
            if self.texts.len() > MOST_CLASSES {
                break;
            }
            self.label(texts[label as usize]);
        }
    }

    /// Classes or numbers, as asked for or as the cells suggest.
    pub(super) fn finish(self, table: &Table, task: Option<Task>, notes: &mut Vec<String>) -> Result<Targets> {
        let column = self.column;
        // What is infinite is no class's name beside numbers.
        let mostly_numbers =
            self.numbers > 0 && (2 * (self.numbers + self.infinite) > self.values.len() || self.infinite > 0);
        if let Some(bad) = &self.bad {
            match task {
                Some(Task::Regress) => {
                    let remedy = "correct the cell, or give --task classify if the target is a class";
                    return Err(table.bad_cell(bad, column, remedy));
                }
                None if mostly_numbers => {
                    let remedy = "correct the cell, or give --task classify to take every value for a class";
                    return Err(table.bad_cell(bad, column, remedy));
                }
                _ => return self.text_classes(table),
            }
        }
        let found = Distinct::of(&self.values);
        let guess = if found.are_classes(GUESSED_CLASSES) { Task::Classify } else { Task::Regress };
        if task.is_none() {
            notes.extend(found.either_way(&table.names()[column], self.values.len(), guess == Task::Classify));
        }
        let task = task.unwrap_or(guess);
        if task == Task::Regress {
            return Ok(Targets::Numbers { values: self.values, names: vec![table.names()[column].clone()] });
        }
        let Distinct { values: distinct, whole, .. } = found;
        if distinct.len() > MOST_CLASSES {
            return Err(too_many(table, column, "give --task regress for a number"));
        }
        if !whole && distinct.len() > GUESSED_CLASSES {
            let place = format!("column {:?}", table.names()[column]);
            let problem = format!("{} distinct numbers that aren't whole are no classes", distinct.len());
            return Err(Error::input(
                table.path(),
                place,
                problem,
                "give --task regress, or write the classes as text",
            ));
        }
        let label = |v: &f64| distinct.partition_point(|d| d < v) as u32;
        let labels = self.values.iter().map(label).collect();
        // Adding 0 turns -0 into 0.
        Ok(Targets::Classes { labels, names: distinct.iter().map(|v| (v + 0.0).to_string()).collect() })
    }

    fn text_classes(self, table: &Table) -> Result<Targets> {
        if self.texts.len() > MOST_CLASSES {
            return Err(too_many(table, self.column, "choose another --target or merge classes"));
        }
        let mut order: Vec<(String, u32)> = self.texts.into_iter().collect();
        order.sort_unstable_by(|(a, _), (b, _)| compare(a, b));
        let mut rank = vec![0u32; order.len()];
        order.iter().zip(0..).for_each(|((_, old), new)| rank[*old as usize] = new);
        let labels = self.labels.iter().map(|&old| rank[old as usize]).collect();
        Ok(Targets::Classes { labels, names: order.into_iter().map(|(name, _)| name).collect() })
    }
}

fn too_many(table: &Table, column: usize, remedy: &str) -> Error {
    let place = format!("column {:?}", table.names()[column]);
    Error::input(table.path(), place, format!("the target has more than {MOST_CLASSES} classes"), remedy)
}

/// Numbers first, by value; then text.
fn compare(a: &str, b: &str) -> Ordering {
    match (number(a), number(b)) {
        (Some(x), Some(y)) => x.total_cmp(&y).then_with(|| a.cmp(b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}
