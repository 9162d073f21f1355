//! Arrow's files, which Feather's second version is, by the `arrow-ipc` crate.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::FileReader;
use arrow_schema::{ArrowError, DataType, TimeUnit};

use super::block::{Block, Column};
use super::cell::listed;
use super::source::{Blocks, Source};
use crate::{Error, Result};

pub(super) struct Arrow {
    path: PathBuf,
    names: Vec<String>,
    /// Where each of them is in the file.
    places: Vec<usize>,
    left_out: Vec<String>,
}

fn broken(path: &Path, e: &ArrowError) -> Error {
    let problem = format!("it can't be read as Arrow's file format ({e})");
    let remedy = "write it again, packed by lz4 or nothing, as pandas.DataFrame.to_feather does";
    Error::input(path, "file", problem, remedy)
}

fn reader(path: &Path) -> Result<FileReader<std::io::BufReader<File>>> {
    let file = File::open(path).map_err(|e| Error::io("open", path, e, "check that the file is there and readable"))?;
    FileReader::try_new_buffered(file, None).map_err(|e| broken(path, &e))
}

impl Arrow {
    pub fn open(path: &Path) -> Result<Self> {
        let schema = reader(path)?.schema();
        let mut table = Arrow { path: path.to_owned(), names: Vec::new(), places: Vec::new(), left_out: Vec::new() };
        for (place, field) in schema.fields().iter().enumerate() {
            if is_read(field.data_type()) && !field.name().starts_with("__index_level_") {
                table.names.push(field.name().clone());
                table.places.push(place);
            } else {
                table.left_out.push(field.name().clone());
            }
        }
        Ok(table)
    }

    fn block(&self, batch: &RecordBatch, at: u64) -> Result<Block> {
        let of = |(&place, name): (&usize, &String)| {
            let column = batch.columns().get(place).and_then(|array| column(array));
            column.filter(|column| column.len() == batch.num_rows()).ok_or_else(|| {
                let place = format!("column {name:?}");
                Error::input(&self.path, place, "it is not what the file says", "write the file again")
            })
        };
        let columns = self.places.iter().zip(&self.names).map(of).collect::<Result<_>>()?;
        Ok(Block::Columns { columns, rows: batch.num_rows(), at })
    }
}

/// Whether a column of this kind is read.
fn is_read(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(keys, values) => {
            keys.is_signed_integer() && matches!(**values, DataType::Utf8 | DataType::LargeUtf8)
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => true,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) | DataType::Decimal128(..) => true,
        kind => kind.is_integer() || kind.is_floating(),
    }
}

fn cells<T: ArrowPrimitiveType>(array: &dyn Array, number: impl Fn(T::Native) -> f64) -> Option<Vec<f64>> {
    let array = array.as_primitive_opt::<T>()?;
    Some(array.iter().map(|cell| cell.map_or(f64::NAN, &number)).collect())
}

fn column(array: &dyn Array) -> Option<Column> {
    const DAY: f64 = 86_400.0;
    let days = |cells: Option<Vec<f64>>| cells.map(Column::Days);
    let texts =
        |texts: Vec<Option<&str>>| Some(Column::Texts(texts.into_iter().map(|text| text.map(str::to_owned)).collect()));
    match array.data_type() {
        DataType::Utf8 => texts(array.as_string_opt::<i32>()?.iter().collect()),
        DataType::LargeUtf8 => texts(array.as_string_opt::<i64>()?.iter().collect()),
        DataType::Utf8View => texts(array.as_string_view_opt()?.iter().collect()),
        DataType::Dictionary(keys, _) => match **keys {
            DataType::Int8 => levels::<Int8Type>(array),
            DataType::Int16 => levels::<Int16Type>(array),
            DataType::Int32 => levels::<Int32Type>(array),
            _ => levels::<Int64Type>(array),
        },
        DataType::Boolean => {
            let flags = array.as_boolean_opt()?.iter();
            Some(Column::Numbers(flags.map(|flag| flag.map_or(f64::NAN, |b| f64::from(u8::from(b)))).collect()))
        }
        DataType::Date32 => days(cells::<Date32Type>(array, f64::from)),
        DataType::Date64 => days(cells::<Date64Type>(array, |x| x as f64 / (DAY * 1e3))),
        DataType::Timestamp(unit, _) => days(match unit {
            TimeUnit::Second => cells::<TimestampSecondType>(array, |x| x as f64 / DAY),
            TimeUnit::Millisecond => cells::<TimestampMillisecondType>(array, |x| x as f64 / (DAY * 1e3)),
            TimeUnit::Microsecond => cells::<TimestampMicrosecondType>(array, |x| x as f64 / (DAY * 1e6)),
            TimeUnit::Nanosecond => cells::<TimestampNanosecondType>(array, |x| x as f64 / (DAY * 1e9)),
        }),
        kind => numbers(array, kind).map(Column::Numbers),
    }
}

fn numbers(array: &dyn Array, kind: &DataType) -> Option<Vec<f64>> {
    match kind {
        DataType::Int8 => cells::<Int8Type>(array, f64::from),
        DataType::Int16 => cells::<Int16Type>(array, f64::from),
        DataType::Int32 => cells::<Int32Type>(array, f64::from),
        DataType::Int64 => cells::<Int64Type>(array, |x| x as f64),
        DataType::UInt8 => cells::<UInt8Type>(array, f64::from),
        DataType::UInt16 => cells::<UInt16Type>(array, f64::from),
        DataType::UInt32 => cells::<UInt32Type>(array, f64::from),
        DataType::UInt64 => cells::<UInt64Type>(array, |x| x as f64),
        DataType::Float16 => cells::<Float16Type>(array, f64::from),
        DataType::Float32 => cells::<Float32Type>(array, f64::from),
        DataType::Float64 => cells::<Float64Type>(array, |x| x),
        DataType::Decimal128(_, scale) => {
            let unit = 10f64.powi(i32::from(*scale));
            cells::<Decimal128Type>(array, |x| x as f64 / unit)
        }
        _ => None,
    }
}

/// A category: places among its values.
fn levels<K: arrow_array::types::ArrowDictionaryKeyType>(array: &dyn Array) -> Option<Column>
where
    u32: TryFrom<K::Native>,
{
    let array = array.as_dictionary_opt::<K>()?;
    let values: Vec<Option<&str>> = match array.values().data_type() {
        DataType::Utf8 => array.values().as_string_opt::<i32>()?.iter().collect(),
        _ => array.values().as_string_opt::<i64>()?.iter().collect(),
    };
    // A value that is missing is what no text is.
    let texts = values.into_iter().map(|text| text.unwrap_or_default().to_owned()).collect();
    let place = |key: Option<K::Native>| key.and_then(|key| u32::try_from(key).ok()).unwrap_or(u32::MAX);
    Some(Column::Levels { places: array.keys().iter().map(place).collect(), texts: Arc::new(texts) })
}

impl Source for Arrow {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn blocks(&self) -> Result<Blocks<'_>> {
        let (mut reader, mut at) = (reader(&self.path)?, 0);
        Ok(Box::new(std::iter::from_fn(move || {
            let batch = reader.next()?;
            let block = batch.map_err(|e| broken(&self.path, &e)).and_then(|batch| self.block(&batch, at));
            if let Ok(Block::Columns { rows, .. }) = &block {
                at += *rows as u64;
            }
            Some(block)
        })))
    }

    fn place(&self, at: u64) -> String {
        format!("row {at} (counted from 0)")
    }

    fn notes(&self) -> Vec<String> {
        let left_out = (!self.left_out.is_empty()).then(|| {
            let path = self.path.display();
            format!(
                "{path}: columns that hold lists, records or bytes, and pandas' index, are left out: {}",
                listed(&self.left_out)
            )
        });
        left_out.into_iter().collect()
    }
}
