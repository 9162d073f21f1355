//! Some rows of a table, as their format has them.

use csv::{ReaderBuilder, StringRecord};

use super::cell::{Cell, is_missing};
use crate::Result;

/// Some whole rows.
pub(in crate::data) enum Block {
    /// Lines of text.
    Lines {
        text: Vec<u8>,
        delimiter: u8,
        /// Where they begin in the file.
        at: u64,
    },
    /// Columns of the same length.
    Columns {
        columns: Vec<Column>,
        rows: usize,
        /// The number of the first row.
        at: u64,
    },
}

/// The cells of a column that knows what it holds. Which there are depends on the formats that are built in.
#[cfg_attr(not(all(feature = "parquet", feature = "hdf5")), allow(dead_code))]
#[derive(Debug, Clone)]
pub(in crate::data) enum Column {
    /// NaN where a cell is missing.
    Numbers(Vec<f64>),
    /// Days since 1970, NaN where a cell is missing.
    Days(Vec<f64>),
    Texts(Vec<Option<String>>),
    /// For each cell the place of its text among these; a place beyond them is a missing cell.
    Levels {
        places: Vec<u32>,
        texts: std::sync::Arc<Vec<String>>,
    },
}

/// Rows of a block of so many columns.
pub(in crate::data) fn rows_at_once(columns: usize) -> usize {
    const CELLS: usize = 1 << 18;
    (CELLS / columns.max(1)).clamp(1, 1 << 14)
}

impl Column {
    #[cfg_attr(not(any(feature = "parquet", feature = "hdf5", feature = "arrow")), allow(dead_code))]
    pub fn len(&self) -> usize {
        match self {
            Column::Numbers(cells) => cells.len(),
            Column::Days(cells) => cells.len(),
            Column::Texts(cells) => cells.len(),
            Column::Levels { places, .. } => places.len(),
        }
    }

    fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            Column::Numbers(cells) if cells[row].is_nan() => Cell::Missing,
            Column::Numbers(cells) => Cell::Number(cells[row]),
            Column::Days(cells) if cells[row].is_nan() => Cell::Missing,
            Column::Days(cells) => Cell::Day(cells[row]),
            Column::Texts(cells) => cells[row].as_deref().map_or(Cell::Missing, text_cell),
            Column::Levels { places, texts } => {
                texts.get(places[row] as usize).map_or(Cell::Missing, |level| text_cell(level))
            }
        }
    }
}

fn text_cell(text: &str) -> Cell<'_> {
    match text.trim() {
        text if is_missing(text) => Cell::Missing,
        text => Cell::Text(text),
    }
}

/// One row.
#[derive(Clone, Copy)]
pub(super) enum Row<'a> {
    Line(&'a StringRecord, u64),
    Columns(&'a [Column], usize, u64),
}

/// What stops the reading of a line.
pub(super) enum Broken {
    /// So many fields.
    Fields(usize),
    NotUtf8,
    Other(String),
}

impl<'a> Row<'a> {
    pub fn cell(self, column: usize) -> Cell<'a> {
        match self {
            Row::Line(record, _) => text_cell(&record[column]),
            Row::Columns(columns, row, _) => columns[column].cell(row),
        }
    }

    /// A cell as it is written, be it one of the words for a missing one.
    pub fn written(self, column: usize) -> String {
        match self {
            Row::Line(record, _) => record[column].trim().to_owned(),
            Row::Columns(..) => self.cell(column).text().into_owned(),
        }
    }

    /// What its source can say the place of.
    pub fn at(self) -> u64 {
        match self {
            Row::Line(_, at) | Row::Columns(_, _, at) => at,
        }
    }
}

impl Block {
    /// Goes through the rows, each of so many columns; `broken` makes an error of what stops it, and of its place.
    pub(super) fn each_row(
        &self,
        width: usize,
        broken: impl Fn(u64, Broken) -> crate::Error,
        mut row: impl FnMut(Row<'_>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Block::Columns { columns, rows, at } => {
                (0..*rows).try_for_each(|r| row(Row::Columns(columns, r, at + r as u64)))
            }
            Block::Lines { text, delimiter, at } => {
                let mut reader =
                    ReaderBuilder::new().has_headers(false).flexible(true).delimiter(*delimiter).from_reader(&text[..]);
                let mut record = StringRecord::new();
                loop {
                    let place = |record: &StringRecord| at + record.position().map_or(0, |p| p.byte());
                    match reader.read_record(&mut record) {
                        Ok(false) => return Ok(()),
                        Ok(true) if record.len() != width => {
                            return Err(broken(place(&record), Broken::Fields(record.len())));
                        }
                        Ok(true) => row(Row::Line(&record, place(&record)))?,
                        Err(e) => {
                            let at = at + e.position().map_or(0, |p| p.byte());
                            return Err(match e.kind() {
                                csv::ErrorKind::Utf8 { .. } => broken(at, Broken::NotUtf8),
                                _ => broken(at, Broken::Other(e.to_string())),
                            });
                        }
                    }
                }
            }
        }
    }
}
