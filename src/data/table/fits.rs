//! FITS: the first table of a file, of text or of bytes (`TABLE`, `BINTABLE`; NASA's and the IAU's standard 4.0). A column of several numbers,
//! such as a spectrum, is as many columns.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::super::stream;
use super::block::{Block, Column, rows_at_once};
use super::cell::listed;
use super::source::{Blocks, Source};
use crate::{Error, Result};

/// Files are made of blocks of so many bytes, headers of cards of so many.
const BLOCK: usize = 2880;
const CARD: usize = 80;

/// Cards of a header, columns of a table and bytes of a row, at most.
const MOST_CARDS: usize = 100_000;
const MOST_COLUMNS: usize = 1 << 20;
const MOST_ROW: usize = 1 << 28;

/// What a header says, as far as it is needed.
#[derive(Default)]
struct Header {
    cards: Vec<(String, String)>,
}

impl Header {
    fn get(&self, key: &str) -> Option<&str> {
        self.cards.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.get(key)?.replace(['D', 'd'], "E").parse().ok()
    }

    fn whole(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }

    /// Bytes of what follows, without its filling.
    fn data(&self) -> Option<u64> {
        let axes = self.whole("NAXIS")?;
        if axes == 0 {
            return Some(0);
        }
        let size = self.get("BITPIX")?.parse::<i64>().ok()?.unsigned_abs() / 8;
        let lengths = (1..=axes.min(1000)).map(|axis| self.whole(&format!("NAXIS{axis}")));
        let mut elements = 1u64;
        for (at, length) in lengths.enumerate() {
            // Random groups have a first axis of 0.
            let length = length?;
            elements = if at == 0 && length == 0 && axes > 1 { 1 } else { elements.checked_mul(length)? };
        }
        let (more, groups) = (self.whole("PCOUNT").unwrap_or(0), self.whole("GCOUNT").unwrap_or(1));
        elements.checked_add(more)?.checked_mul(groups)?.checked_mul(size)
    }
}

/// One column of the data set: a number, or a text, in a row's bytes.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    at: usize,
    bytes: usize,
    kind: Kind,
    /// `value = zero + scale · stored`.
    scale: f64,
    zero: f64,
    /// What stands for a missing cell.
    null: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Bool,
    U8,
    I16,
    I32,
    I64,
    F32,
    F64,
    Text,
    /// A number that is written.
    Written,
}

pub(super) struct Fits {
    path: PathBuf,
    names: Vec<String>,
    fields: Vec<Field>,
    left_out: Vec<String>,
    /// Where the rows begin, how many there are, and the bytes of each.
    begin: u64,
    rows: u64,
    row: usize,
}

impl Fits {
    pub fn open(path: &Path) -> Result<Self> {
        let mut reader = Counted { reader: stream::open(path)?, read: 0 };
        let wrong = |problem: &str| {
            let remedy = "give a FITS file with a table (TABLE or BINTABLE), as astropy.table.Table.write does";
            Error::input(path, "header", problem, remedy)
        };
        loop {
            let header = match read_header(&mut reader) {
                Ok(Some(header)) => header,
                Ok(None) => return Err(wrong("the file has no table")),
                Err(problem) => return Err(wrong(&problem)),
            };
            let size = header.data().ok_or_else(|| wrong("it says no lengths, or impossible ones"))?;
            let kind = header.get("XTENSION").unwrap_or_default();
            if matches!(kind, "BINTABLE" | "TABLE") && header.get("ZIMAGE").is_none() {
                let text = kind == "TABLE";
                return Fits::of_header(path, &header, text, reader.read).map_err(|problem| wrong(&problem));
            }
            let padded =
                size.checked_next_multiple_of(BLOCK as u64).ok_or_else(|| wrong("its lengths are impossible"))?;
            let passed = std::io::copy(&mut reader.by_ref().take(padded), &mut std::io::sink());
            passed.map_err(|e| Error::io("read", path, e, "check that the file is there, readable and whole"))?;
        }
    }

    fn of_header(path: &Path, header: &Header, text: bool, begin: u64) -> Result<Self, String> {
        let lengths = (header.whole("NAXIS1"), header.whole("NAXIS2"), header.whole("TFIELDS"));
        let (Some(row), Some(rows), Some(columns @ 1..=999)) = lengths else {
            return Err("its table says no lengths, or impossible ones".into());
        };
        if row == 0 || row > MOST_ROW as u64 {
            return Err(format!("its table has rows of {row} bytes"));
        }
        let mut table = Fits {
            path: path.to_owned(),
            names: Vec::new(),
            fields: Vec::new(),
            left_out: Vec::new(),
            begin,
            rows,
            row: row as usize,
        };
        let mut at = 0;
        for n in 1..=columns {
            let value = |key: &str| header.get(&format!("{key}{n}"));
            let name = value("TTYPE").map_or_else(|| format!("column {n}"), str::to_owned);
            let form = value("TFORM").ok_or_else(|| format!("column {name:?} has no format (TFORM{n})"))?;
            let number = |key: &str, usual: f64| header.number(&format!("{key}{n}")).unwrap_or(usual);
            let parsed = if text { written_form(form) } else { binary_form(form) };
            let (count, kind, bytes) = parsed.ok_or_else(|| format!("column {name:?} has the format {form:?}"))?;
            if text {
                let column = value("TBCOL").and_then(|at| at.parse::<usize>().ok()).filter(|&at| at > 0);
                at = column.ok_or_else(|| format!("column {name:?} has no place (TBCOL{n})"))? - 1;
            }
            let length =
                count.checked_mul(bytes).filter(|length| at.checked_add(*length).is_some_and(|end| end <= table.row));
            let length = length.ok_or_else(|| format!("column {name:?} ends behind its row"))?;
            let field = |i: usize, kind: Kind| Field {
                at: at + i * bytes,
                bytes,
                kind,
                scale: number("TSCAL", 1.0),
                zero: number("TZERO", 0.0),
                null: value("TNULL").map(str::to_owned),
            };
            match kind {
                Some(_) if table.names.len() + count > MOST_COLUMNS => {
                    return Err(format!("it has more than {MOST_COLUMNS} columns"));
                }
                Some(kind) if count == 1 => {
                    table.names.push(name);
                    table.fields.push(field(0, kind));
                }
                Some(kind) => {
                    table.names.extend((0..count).map(|i| format!("{name}[{i}]")));
                    table.fields.extend((0..count).map(|i| field(i, kind)));
                }
                None => table.left_out.push(name),
            }
            at += length;
        }
        Ok(table)
    }
}

/// Counts what is read.
struct Counted<R> {
    reader: R,
    read: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(to)?;
        self.read += read as u64;
        Ok(read)
    }
}

/// The next header; `None` at the end of the file.
fn read_header(reader: &mut impl Read) -> Result<Option<Header>, String> {
    let mut header = Header::default();
    let (mut first, mut cards) = (true, 0);
    loop {
        let mut block = Vec::new();
        let read = reader.take(BLOCK as u64).read_to_end(&mut block).map_err(|e| format!("it can't be read ({e})"))?;
        // What follows the last part is filling.
        let extension = block.starts_with(b"XTENSION") || block.starts_with(b"SIMPLE  ");
        if first && (read == 0 || !extension) {
            return if read == 0 { Ok(None) } else { Err("it doesn't begin as a FITS header does".into()) };
        }
        if read < BLOCK {
            return Err("the file breaks off in a header".into());
        }
        first = false;
        for card in block.chunks_exact(CARD) {
            cards += 1;
            let key = String::from_utf8_lossy(&card[..8]).trim().to_owned();
            if key == "END" {
                return Ok(Some(header));
            }
            if card[8..10] == *b"= " {
                header.cards.push((key, value_of(&card[10..])));
            }
        }
        if cards > MOST_CARDS {
            return Err(format!("it has more than {MOST_CARDS} lines"));
        }
    }
}

/// A card's value: a text between quotes without them, anything else up to its comment.
fn value_of(card: &[u8]) -> String {
    let text = String::from_utf8_lossy(card);
    let text = text.trim_start();
    let Some(quoted) = text.strip_prefix('\'') else {
        return text.split('/').next().unwrap_or_default().trim().to_owned();
    };
    // A quote in it is written twice.
    let mut value = String::new();
    let mut letters = quoted.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' if letters.peek() == Some(&'\'') => value.extend(letters.next()),
            '\'' => break,
            letter => value.push(letter),
        }
    }
    value.trim_end().to_owned()
}

/// How many of what, and the bytes of one, of a binary table's column as `rTa`; of what is left out no kind.
fn binary_form(form: &str) -> Option<(usize, Option<Kind>, usize)> {
    let digits = form.bytes().take_while(u8::is_ascii_digit).count();
    let count = if digits == 0 { 1 } else { form[..digits].parse().ok()? };
    let letter = form[digits..].chars().next()?;
    Some(match letter {
        'L' => (count, Some(Kind::Bool), 1),
        'B' => (count, Some(Kind::U8), 1),
        'I' => (count, Some(Kind::I16), 2),
        'J' => (count, Some(Kind::I32), 4),
        'K' => (count, Some(Kind::I64), 8),
        'E' => (count, Some(Kind::F32), 4),
        'D' => (count, Some(Kind::F64), 8),
        // A text of so many letters; of none there is nothing.
        'A' if count == 0 => (0, None, 1),
        'A' => (1, Some(Kind::Text), count),
        'X' => (count.div_ceil(8), None, 1),
        'C' | 'P' => (count, None, 8),
        'M' | 'Q' => (count, None, 16),
        _ => return None,
    })
}

/// The same of a table of text: `Aw`, `Iw`, `Fw.d`, `Ew.d`, `Dw.d`.
fn written_form(form: &str) -> Option<(usize, Option<Kind>, usize)> {
    let letter = form.chars().next()?;
    let width = form[letter.len_utf8()..].split('.').next()?.trim().parse().ok().filter(|&width| width > 0)?;
    match letter {
        'A' => Some((1, Some(Kind::Text), width)),
        'I' | 'F' | 'E' | 'D' => Some((1, Some(Kind::Written), width)),
        _ => None,
    }
}

impl Field {
    fn number(&self, row: &[u8]) -> f64 {
        let bytes = &row[self.at..self.at + self.bytes];
        macro_rules! word {
            ($type:ty) => {
                <$type>::from_be_bytes(bytes.try_into().expect("invariant: a field has its kind's bytes"))
            };
        }
        let null = |x: i64| self.null.as_ref().is_some_and(|null| null.parse() == Ok(x));
        let whole = |x: i64| if null(x) { f64::NAN } else { x as f64 };
        let stored = match self.kind {
            Kind::Bool => match bytes[0] {
                b'T' => 1.0,
                b'F' => 0.0,
                _ => f64::NAN,
            },
            Kind::U8 => whole(i64::from(bytes[0])),
            Kind::I16 => whole(i64::from(word!(i16))),
            Kind::I32 => whole(i64::from(word!(i32))),
            Kind::I64 => whole(word!(i64)),
            Kind::F32 => f64::from(word!(f32)),
            Kind::F64 => word!(f64),
            Kind::Text | Kind::Written => f64::NAN,
        };
        self.zero + self.scale * stored
    }

    fn text(&self, row: &[u8]) -> Option<String> {
        let bytes = &row[self.at..self.at + self.bytes];
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        let text = String::from_utf8_lossy(&bytes[..end]).trim().to_owned();
        let missing = text.is_empty() || self.null.as_ref().is_some_and(|null| *null == text);
        // FORTRAN writes 1.5D3.
        let text = if self.kind == Kind::Written { text.replace(['D', 'd'], "E") } else { text };
        (!missing).then_some(text)
    }

    fn column(&self, rows: &[u8], row: usize) -> Column {
        let rows = rows.chunks_exact(row);
        match self.kind {
            Kind::Text | Kind::Written => Column::Texts(rows.map(|row| self.text(row)).collect()),
            _ => Column::Numbers(rows.map(|row| self.number(row)).collect()),
        }
    }
}

impl Source for Fits {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn blocks(&self) -> Result<Blocks<'_>> {
        let unreadable = |e| Error::io("read", &self.path, e, "check that the file is there, readable and whole");
        let mut reader = stream::open(&self.path)?;
        std::io::copy(&mut reader.by_ref().take(self.begin), &mut std::io::sink()).map_err(unreadable)?;
        let mut at = 0;
        Ok(Box::new(std::iter::from_fn(move || {
            let rows = (rows_at_once(self.row / 8) as u64).min(self.rows - at) as usize;
            if rows == 0 {
                return None;
            }
            let mut bytes = Vec::new();
            let wanted = rows * self.row;
            let read = reader.by_ref().take(wanted as u64).read_to_end(&mut bytes);
            let block = match read.map_err(unreadable) {
                Ok(read) if read == wanted => {
                    let columns = self.fields.iter().map(|field| field.column(&bytes, self.row)).collect();
                    Ok(Block::Columns { columns, rows, at })
                }
                Ok(read) => {
                    let problem =
                        format!("the file breaks off after {} of {} rows", at + (read / self.row) as u64, self.rows);
                    Err(Error::input(&self.path, "table", problem, "fetch or write the file again"))
                }
                Err(e) => Err(e),
            };
            at = if block.is_ok() { at + rows as u64 } else { self.rows };
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
                "{path}: columns of complex numbers, bits or varying length are left out: {}",
                listed(&self.left_out)
            )
        });
        left_out.into_iter().collect()
    }
}
