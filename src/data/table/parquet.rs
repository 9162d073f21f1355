//! Parquet: columns of known kinds, read a group of rows at a time by the `parquet` crate.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::basic::{Compression, ConvertedType, LogicalType, TimeUnit, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{AsBytes, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::block::{Block, Column, rows_at_once};
use super::cell::listed;
use super::source::{Blocks, Source};
use crate::host::quietly;
use crate::{Error, Result};

/// What is made of a column's values.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Signed ones as they are, others as they are meant.
    Number {
        unsigned: bool,
    },
    /// Divided by so much they are days.
    Days(f64),
    /// Whole numbers, as they are or in the bytes of one, times ten to the minus so many.
    Decimal(i32),
    Text,
    Half,
}

pub(super) struct Parquet {
    path: PathBuf,
    names: Vec<String>,
    /// Where each of them is in the file, and what it holds.
    columns: Vec<(usize, Kind)>,
    left_out: Vec<String>,
}

fn broken(path: &Path, e: &ParquetError) -> Error {
    let problem = format!("it can't be read as Parquet ({e})");
    Error::input(path, "file", problem, "write the file again, as pandas.DataFrame.to_parquet does")
}

/// The crate panics at some damaged files; that is an error of the file, too.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    quietly(read).unwrap_or_else(|_| {
        let problem = "it is damaged: its pages are not what they say";
        Err(Error::input(path, "file", problem, "fetch the file or write it again"))
    })
}

fn reader(path: &Path) -> Result<SerializedFileReader<File>> {
    let file = File::open(path).map_err(|e| Error::io("open", path, e, "check that the file is there and readable"))?;
    SerializedFileReader::new(file).map_err(|e| broken(path, &e))
}

impl Parquet {
    pub fn open(path: &Path) -> Result<Self> {
        guarded(path, || Parquet::of_metadata(path))
    }

    fn of_metadata(path: &Path) -> Result<Self> {
        let reader = reader(path)?;
        let metadata = reader.metadata();
        let schema = metadata.file_metadata().schema_descr();
        let mut table = Parquet { path: path.to_owned(), names: Vec::new(), columns: Vec::new(), left_out: Vec::new() };
        for (at, column) in schema.columns().iter().enumerate() {
            let name = column.path().string();
            // Where pandas keeps what is no column.
            let index = name.starts_with("__index_level_");
            match kind(column).filter(|_| !index && column.path().parts().len() == 1) {
                Some(kind) => {
                    table.names.push(name);
                    table.columns.push((at, kind));
                }
                None => table.left_out.push(name),
            }
        }
        let packed = metadata.row_groups().iter().flat_map(|group| group.columns()).find_map(|column| {
            let known = matches!(
                column.compression(),
                Compression::UNCOMPRESSED
                    | Compression::SNAPPY
                    | Compression::GZIP(_)
                    | Compression::LZ4
                    | Compression::LZ4_RAW
            );
            (!known).then(|| (column.column_path().string(), column.compression()))
        });
        if let Some((name, packed)) = packed {
            let place = format!("column {name:?}");
            let remedy = "write it with snappy, gzip or lz4 (pandas: compression=\"snappy\")";
            return Err(Error::input(path, place, format!("it is packed with {packed}"), remedy));
        }
        Ok(table)
    }
}

/// What is made of a column; nothing of lists and bytes.
fn kind(column: &ColumnDescriptor) -> Option<Kind> {
    const DAY: f64 = 86_400.0;
    if column.max_rep_level() > 0 {
        return None;
    }
    let decimal = || Some(Kind::Decimal(column.type_scale()));
    let timestamp = |unit: &TimeUnit| match unit {
        TimeUnit::MILLIS => Kind::Days(DAY * 1e3),
        TimeUnit::MICROS => Kind::Days(DAY * 1e6),
        TimeUnit::NANOS => Kind::Days(DAY * 1e9),
    };
    match (column.logical_type_ref(), column.converted_type(), column.physical_type()) {
        (Some(LogicalType::Date), ..) | (_, ConvertedType::DATE, Type::INT32) => Some(Kind::Days(1.0)),
        (Some(LogicalType::Timestamp(kind)), _, Type::INT64) => Some(timestamp(&kind.unit)),
        (_, ConvertedType::TIMESTAMP_MILLIS, Type::INT64) => Some(Kind::Days(DAY * 1e3)),
        (_, ConvertedType::TIMESTAMP_MICROS, Type::INT64) => Some(Kind::Days(DAY * 1e6)),
        (_, ConvertedType::DECIMAL, Type::INT32 | Type::INT64) => decimal(),
        (_, ConvertedType::DECIMAL, Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY) => decimal(),
        (Some(LogicalType::Float16), _, Type::FIXED_LEN_BYTE_ARRAY) if column.type_length() == 2 => Some(Kind::Half),
        (_, converted, Type::INT32 | Type::INT64) => {
            use ConvertedType::{UINT_8, UINT_16, UINT_32, UINT_64};
            Some(Kind::Number { unsigned: matches!(converted, UINT_8 | UINT_16 | UINT_32 | UINT_64) })
        }
        (_, _, Type::BOOLEAN | Type::FLOAT | Type::DOUBLE) => Some(Kind::Number { unsigned: false }),
        // What Impala and older Spark write of a time.
        (_, _, Type::INT96) => Some(Kind::Days(DAY * 1e6)),
        (Some(LogicalType::String | LogicalType::Enum), _, Type::BYTE_ARRAY)
        | (_, ConvertedType::UTF8 | ConvertedType::ENUM, Type::BYTE_ARRAY) => Some(Kind::Text),
        _ => None,
    }
}

impl Source for Parquet {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn blocks(&self) -> Result<Blocks<'_>> {
        Ok(Box::new(Groups { table: self, file: reader(&self.path)?, group: 0, columns: Vec::new(), left: 0, at: 0 }))
    }

    fn place(&self, at: u64) -> String {
        format!("row {at} (counted from 0)")
    }

    fn notes(&self) -> Vec<String> {
        let left_out = (!self.left_out.is_empty()).then(|| {
            format!(
                "{}: columns that hold lists, records or bytes, and pandas' index, are left out: {}",
                self.path.display(),
                listed(&self.left_out)
            )
        });
        left_out.into_iter().collect()
    }
}

/// Goes through the groups of rows.
struct Groups<'a> {
    table: &'a Parquet,
    file: SerializedFileReader<File>,
    /// The next one.
    group: usize,
    /// Of the current one.
    columns: Vec<ColumnReader>,
    /// Rows of it that are still to come.
    left: usize,
    at: u64,
}

impl Groups<'_> {
    fn next_block(&mut self) -> Result<Option<Block>> {
        let table = self.table;
        let wrong = |e: ParquetError| broken(&table.path, &e);
        while self.left == 0 {
            if self.group == self.file.num_row_groups() {
                return Ok(None);
            }
            let group = self.file.get_row_group(self.group).map_err(wrong)?;
            self.left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            let readers = table.columns.iter().map(|&(at, _)| group.get_column_reader(at));
            self.columns = readers.collect::<Result<_, _>>().map_err(wrong)?;
            self.group += 1;
        }
        let rows = rows_at_once(table.columns.len()).min(self.left);
        let mut columns = Vec::new();
        for (reader, ((_, kind), name)) in self.columns.iter_mut().zip(table.columns.iter().zip(&table.names)) {
            let column = read(reader, rows, *kind).map_err(wrong)?;
            let refuse = |problem: String| {
                let place = format!("column {name:?}");
                Err(Error::input(&table.path, place, problem, "write the file again, as pandas does"))
            };
            match column {
                Some(column) if column.len() == rows => columns.push(column),
                Some(column) => return refuse(format!("it ends after {} of {rows} rows of a group", column.len())),
                None => return refuse("its text is not UTF-8".into()),
            }
        }
        let at = self.at;
        self.left -= rows;
        self.at += rows as u64;
        Ok(Some(Block::Columns { columns, rows, at }))
    }
}

impl Iterator for Groups<'_> {
    type Item = Result<Block>;

    fn next(&mut self) -> Option<Self::Item> {
        let path = &self.table.path;
        let next = guarded(path, || self.next_block()).transpose();
        if let Some(Err(_)) = next {
            (self.left, self.group) = (0, self.file.num_row_groups());
        }
        next
    }
}

/// The next values of a column, `None` where text isn't any.
fn read(reader: &mut ColumnReader, rows: usize, kind: Kind) -> Result<Option<Column>, ParquetError> {
    let whole = |x: i64, unsigned: f64| match kind {
        Kind::Decimal(scale) => x as f64 / 10f64.powi(scale),
        Kind::Days(unit) => x as f64 / unit,
        // What is negative stands for a number beyond the signed ones.
        Kind::Number { unsigned: true } if x < 0 => x as f64 + unsigned,
        _ => x as f64,
    };
    let numbers = match reader {
        ColumnReader::BoolColumnReader(r) => values(r, rows, |x| Some(f64::from(u8::from(*x))))?,
        ColumnReader::Int32ColumnReader(r) => values(r, rows, |x| Some(whole(i64::from(*x), 4_294_967_296.0)))?,
        ColumnReader::Int64ColumnReader(r) => values(r, rows, |x| Some(whole(*x, 18_446_744_073_709_551_616.0)))?,
        ColumnReader::Int96ColumnReader(r) => values(r, rows, |x| Some(whole(x.to_micros(), 0.0)))?,
        ColumnReader::FloatColumnReader(r) => values(r, rows, |x| Some(f64::from(*x)))?,
        ColumnReader::DoubleColumnReader(r) => values(r, rows, |x| Some(*x))?,
        ColumnReader::ByteArrayColumnReader(r) => match kind {
            Kind::Text => {
                let text = |x: &parquet::data_type::ByteArray| std::str::from_utf8(x.data()).ok().map(str::to_owned);
                return Ok(values(r, rows, text)?.map(Column::Texts));
            }
            _ => values(r, rows, |x| Some(of_bytes(x.data(), kind)))?,
        },
        ColumnReader::FixedLenByteArrayColumnReader(r) => values(r, rows, |x| Some(of_bytes(x.as_bytes(), kind)))?,
    };
    Ok(numbers.map(|numbers| {
        let cells = numbers.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect();
        if let Kind::Days(_) = kind { Column::Days(cells) } else { Column::Numbers(cells) }
    }))
}

/// The number that some bytes are: a whole one of any length, its first byte the highest, or one of half precision.
fn of_bytes(bytes: &[u8], kind: Kind) -> f64 {
    match (kind, bytes) {
        (Kind::Half, &[low, high]) => f64::from(crate::host::f16(u16::from_le_bytes([low, high]))),
        (Kind::Decimal(scale), [first, rest @ ..]) => {
            let whole = rest.iter().fold(f64::from(*first as i8), |x, &b| x * 256.0 + f64::from(b));
            whole / 10f64.powi(scale)
        }
        _ => f64::NAN,
    }
}

/// What is made of the next values, `None` where a cell is missing; nothing where one can't be made.
fn values<T: DataType, V>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    make: impl Fn(&T::T) -> Option<V>,
) -> Result<Option<Vec<Option<V>>>, ParquetError> {
    let (mut levels, mut found) = (Vec::new(), Vec::new());
    let (records, ..) = reader.read_records(rows, Some(&mut levels), None, &mut found)?;
    let Some(made) = found.iter().map(make).collect::<Option<Vec<V>>>() else { return Ok(None) };
    // Columns that may lack no cell have no levels.
    if levels.is_empty() {
        return Ok(Some(made.into_iter().map(Some).take(records).collect()));
    }
    let most = levels.iter().copied().max().unwrap_or(0).max(1);
    let mut made = made.into_iter();
    Ok(Some(levels.into_iter().map(|level| if level == most { made.next() } else { None }).collect()))
}
