//! Which columns of a table are read, and as what.

use std::collections::HashSet;

use super::cell::{Cell, listed};
use super::{Row, Table};
use crate::{Error, Result};

/// Columns of the file.
pub(super) struct Columns {
    pub target: Option<usize>,
    pub weights: Option<usize>,
    /// Those that hold features.
    pub inputs: Vec<usize>,
}

impl Columns {
    /// Every column but the target, the weights and those to drop.
    pub fn new(table: &Table, [target, weights]: [Option<usize>; 2], drop: &[String]) -> Result<Self> {
        let mut dropped = HashSet::new();
        for name in drop {
            let Some(c) = table.names().iter().position(|n| n == name.trim()) else {
                let problem = format!("there is no column {name:?}");
                let remedy = format!("name columns that are there with --drop: {}", listed(table.names()));
                return Err(Error::input(table.path(), "header", problem, remedy));
            };
            if Some(c) == target {
                return Err(Error::Usage(format!("--drop names {name}, which is the target; drop other columns only")));
            }
            dropped.insert(c);
        }
        let inputs: Vec<usize> = (0..table.source.inputs())
            .filter(|c| ![target, weights].contains(&Some(*c)) && !dropped.contains(c))
            .collect();
        if inputs.is_empty() && !dropped.is_empty() {
            let problem = "--drop leaves no column but the target";
            return Err(Error::input(table.path(), "header", problem, "keep a column to predict it from"));
        }
        if inputs.is_empty() {
            let remedy = "add columns to predict it from (is the delimiter a comma, semicolon or tab?)";
            return Err(Error::input(table.path(), "header", "there is no column but the target", remedy));
        }
        Ok(Columns { target, weights, inputs })
    }

    pub fn lacks_a_cell(&self, row: Row) -> bool {
        self.target.iter().chain(&self.weights).chain(&self.inputs).any(|&c| matches!(row.cell(c), Cell::Missing))
    }
}
