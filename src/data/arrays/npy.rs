//! One NumPy array, read with mistrust.
//!
//! Nothing that the header claims is believed: memory grows only with the bytes that are there.

use std::io::Read;
use std::path::Path;

use crate::host::f16;
use crate::{Error, Result};

/// Longest header; NumPy's own limit is 10 000.
const MOST_HEADER: usize = 1 << 16;
/// Values that one array may hold.
const MOST_VALUES: usize = 1 << 31;
/// Bytes that are read at once; whole numbers of every kind.
const AT_ONCE: usize = 1 << 18;

/// Element types that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
}

impl Kind {
    fn of(descr: &str) -> Option<Self> {
        Some(match descr.trim_start_matches(['<', '>', '|', '=']) {
            "b1" => Kind::Bool,
            "u1" => Kind::U8,
            "u2" => Kind::U16,
            "u4" => Kind::U32,
            "u8" => Kind::U64,
            "i1" => Kind::I8,
            "i2" => Kind::I16,
            "i4" => Kind::I32,
            "i8" => Kind::I64,
            "f2" => Kind::F16,
            "f4" => Kind::F32,
            "f8" => Kind::F64,
            _ => return None,
        })
    }

    pub(super) fn size(self) -> usize {
        match self {
            Kind::Bool | Kind::U8 | Kind::I8 => 1,
            Kind::U16 | Kind::I16 | Kind::F16 => 2,
            Kind::U32 | Kind::I32 | Kind::F32 => 4,
            Kind::U64 | Kind::I64 | Kind::F64 => 8,
        }
    }

    /// NumPy's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Bool => "bool",
            Kind::U8 => "uint8",
            Kind::U16 => "uint16",
            Kind::U32 => "uint32",
            Kind::U64 => "uint64",
            Kind::I8 => "int8",
            Kind::I16 => "int16",
            Kind::I32 => "int32",
            Kind::I64 => "int64",
            Kind::F16 => "float16",
            Kind::F32 => "float32",
            Kind::F64 => "float64",
        }
    }

    pub(super) fn is_integer(self) -> bool {
        !matches!(self, Kind::F16 | Kind::F32 | Kind::F64)
    }
}

/// What is known of an array before its numbers are read.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub name: String,
    pub kind: Kind,
    /// No length is 0.
    pub shape: Vec<usize>,
    pub fortran: bool,
    pub big_endian: bool,
}

/// The kind of an array of text, of so many bytes an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Texts {
    /// Bytes of a character: 4 of Unicode, 1 of bytes.
    wide: usize,
    /// Characters of an element.
    length: usize,
    big_endian: bool,
}

/// What an .npy stream holds.
pub(super) enum Found {
    Numbers(Header),
    /// And how many.
    Texts(Texts, Vec<usize>),
}

/// A remedy for nearly everything.
const WRITE_AGAIN: &str = "write the file again with numpy.savez or numpy.save";

/// What stands at the beginning of an .npy stream.
pub(super) fn begin(path: &Path, name: &str, reader: &mut dyn Read) -> Result<Found> {
    let broken = |problem: String| Error::input(path, name, problem, WRITE_AGAIN);
    let text = read_header(reader).map_err(&broken)?;
    let header = Fields::parse(&text).ok_or_else(|| broken("its header is not one that NumPy writes".into()))?;
    let texts = Texts::of(header.descr);
    let kind = Kind::of(header.descr);
    if kind.is_none() && texts.is_none() {
        let remedy = match header.descr.contains('O') {
            true => "objects may be anything, and are not unpacked: save numbers, or labels as text (y.astype(str))",
            false => {
                "convert it with .astype to float32, float64, bool or an integer type, or labels to text (y.astype(str))"
            }
        };
        return Err(Error::input(path, name, format!("its dtype {} can't be used", header.descr), remedy));
    }
    if header.shape.is_empty() {
        return Err(broken("it is a single number, not rows of numbers".into()));
    }
    if header.shape.contains(&0) {
        return Err(broken(format!("it is empty, its shape is {:?}", header.shape)));
    }
    let values = header.shape.iter().try_fold(1usize, |a, &n| a.checked_mul(usize::try_from(n).ok()?));
    if values.is_none_or(|values| values > MOST_VALUES) {
        return Err(broken(format!("it claims the impossible shape {:?}", header.shape)));
    }
    let shape = header.shape.iter().map(|&n| n as usize).collect();
    let (name, big_endian) = (name.to_owned(), header.descr.starts_with('>'));
    Ok(match (kind, texts) {
        (Some(kind), _) => Found::Numbers(Header { name, kind, shape, fortran: header.fortran, big_endian }),
        (None, Some(texts)) => Found::Texts(texts, shape),
        (None, None) => unreachable!("refused above"),
    })
}

impl Header {
    pub fn values(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn bytes(&self) -> usize {
        self.values() * self.kind.size()
    }

    /// Numbers of a row.
    pub fn columns(&self) -> usize {
        self.shape[1..].iter().product()
    }

    /// Goes through the bytes of a stream behind its header, some whole numbers at a time with the place of the first, to its end; no more
    /// than `declared` bytes are read.
    pub fn each(
        &self,
        path: &Path,
        reader: &mut dyn Read,
        declared: u64,
        mut see: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let broken = |problem: String| Error::input(path, self.name.as_str(), problem, WRITE_AGAIN);
        let cut = |e: std::io::Error| broken(format!("its data can't be unpacked ({e})"));
        let (len, size) = (self.bytes(), self.kind.size());
        let (mut chunk, mut seen) = (Vec::new(), 0usize);
        let end = (len as u64).min(declared) as usize;
        while seen < end {
            chunk.clear();
            let wanted = AT_ONCE.min(end - seen);
            reader.take(wanted as u64).read_to_end(&mut chunk).map_err(cut)?;
            see(seen / size, &chunk[..chunk.len() / size * size])?;
            seen += chunk.len();
            if chunk.len() < wanted {
                break;
            }
        }
        if seen != len {
            return Err(broken(format!(
                "it ends after {seen} of the {len} bytes that its shape {:?} needs",
                self.shape
            )));
        }
        // At the end of a zip member its checksum is compared.
        if reader.read(&mut [0u8; 1]).map_err(cut)? != 0 {
            return Err(broken(format!("it holds more bytes than its shape {:?} needs", self.shape)));
        }
        Ok(())
    }

    /// Hands over each of some numbers of the file, the first of which has a place there.
    pub fn numbers(&self, first: usize, bytes: &[u8], mut to: impl FnMut(usize, f64)) {
        macro_rules! words {
            ($type:ty) => {
                words!($type, |x| x as f64)
            };
            ($type:ty, $number:expr) => {{
                let number: fn($type) -> f64 = $number;
                for (i, b) in bytes.chunks_exact(size_of::<$type>()).enumerate() {
                    let b = b.try_into().expect("chunks of this size");
                    let word = if self.big_endian { <$type>::from_be_bytes(b) } else { <$type>::from_le_bytes(b) };
                    to(first + i, number(word));
                }
            }};
        }
        match self.kind {
            Kind::Bool => bytes.iter().enumerate().for_each(|(i, &b)| to(first + i, f64::from(u8::from(b != 0)))),
            Kind::U8 => words!(u8),
            Kind::U16 => words!(u16),
            Kind::U32 => words!(u32),
            Kind::U64 => words!(u64),
            Kind::I8 => words!(i8),
            Kind::I16 => words!(i16),
            Kind::I32 => words!(i32),
            Kind::I64 => words!(i64),
            Kind::F16 => words!(u16, |bits| f64::from(f16(bits))),
            Kind::F32 => words!(f32),
            Kind::F64 => words!(f64),
        }
    }

    /// Where a number of the file stands, last axis fastest.
    pub fn place(&self, in_file: usize) -> usize {
        if !self.fortran {
            return in_file;
        }
        let (mut rest, mut place, mut stride) = (in_file, 0, self.values());
        for &len in &self.shape {
            stride /= len;
            place += rest % len * stride;
            rest /= len;
        }
        place
    }
}

/// A small array, held as it lies in the file.
pub(super) struct Array {
    pub(super) header: Header,
    bytes: Vec<u8>,
}

impl Array {
    /// The rest of a stream behind its header.
    pub(super) fn read(path: &Path, header: Header, reader: &mut dyn Read, declared: u64) -> Result<Self> {
        let mut bytes = Vec::new();
        header.each(path, reader, declared, |_, chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })?;
        Ok(Array { header, bytes })
    }

    /// All values, last axis fastest.
    pub(super) fn to_f64(&self) -> Vec<f64> {
        let mut values = vec![0.0; self.header.values()];
        self.header.numbers(0, &self.bytes, |i, v| values[self.header.place(i)] = v);
        values
    }
}

/// Characters of one text.
const MOST_CHARACTERS: usize = 4096;

impl Texts {
    fn of(descr: &str) -> Option<Self> {
        let kind = descr.trim_start_matches(['<', '>', '|', '=']);
        let (wide, length) = match (kind.strip_prefix('U'), kind.strip_prefix('S')) {
            (Some(length), _) => (4, length),
            (_, Some(length)) => (1, length),
            _ => return None,
        };
        let length = length.parse().ok().filter(|length| (1..=MOST_CHARACTERS).contains(length))?;
        Some(Texts { wide, length, big_endian: descr.starts_with('>') })
    }

    /// Goes through so many texts, the rest of a stream behind its header.
    pub(super) fn each(
        self,
        path: &Path,
        name: &str,
        reader: &mut dyn Read,
        count: usize,
        mut see: impl FnMut(String) -> Result<()>,
    ) -> Result<()> {
        let broken = |problem: String| Error::input(path, name, problem, WRITE_AGAIN);
        let code = |b: &[u8]| match b {
            [b] => u32::from(*b),
            b if self.big_endian => b.iter().fold(0, |word, &b| word << 8 | u32::from(b)),
            b => b.iter().rev().fold(0, |word, &b| word << 8 | u32::from(b)),
        };
        // NumPy fills up with zeros.
        let of = |text: &[u8]| -> Option<String> {
            text.chunks_exact(self.wide).map(code).take_while(|&code| code != 0).map(char::from_u32).collect()
        };
        let mut bytes = vec![0u8; self.wide * self.length];
        for i in 0..count {
            reader.read_exact(&mut bytes).map_err(|e| match e.kind() {
                std::io::ErrorKind::UnexpectedEof => broken(format!("it ends after {i} of {count} texts")),
                _ => broken(format!("its data can't be unpacked ({e})")),
            })?;
            see(of(&bytes).ok_or_else(|| broken("it holds what is no text".into()))?)?;
        }
        if reader.read(&mut [0u8; 1]).map_err(|e| broken(format!("its data can't be unpacked ({e})")))? != 0 {
            return Err(broken(format!("it holds more bytes than its {count} texts need")));
        }
        Ok(())
    }
}

/// Magic, version, length, and the text of that length; or what is wrong.
fn read_header(reader: &mut dyn Read) -> Result<String, String> {
    let mut bytes = |len: usize| {
        let mut bytes = vec![0u8; len];
        reader.read_exact(&mut bytes).map_err(|e| format!("its header breaks off ({e})")).map(|()| bytes)
    };
    let start = bytes(8)?;
    if start[..6] != *b"\x93NUMPY" {
        return Err("it is no NumPy array".into());
    }
    let len = match start[6] {
        1 => bytes(2)?,
        2 | 3 => bytes(4)?,
        version => return Err(format!("its format version {version} is not known")),
    };
    let len = len.iter().rev().fold(0usize, |a, &b| (a << 8) | usize::from(b));
    if len > MOST_HEADER {
        return Err(format!("its header claims {len} bytes, more than the {MOST_HEADER} allowed"));
    }
    String::from_utf8(bytes(len)?).map_err(|_| "its header is not text".into())
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`
struct Fields<'a> {
    /// The source text of a dtype that isn't plain.
    descr: &'a str,
    fortran: bool,
    shape: Vec<u64>,
}

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, after) = quoted(rest)?;
            let value = after.trim_start().strip_prefix(':')?.trim_start();
            let after = match key {
                "descr" if value.starts_with('[') => {
                    // A record: never usable, so that its end needs no care.
                    let (list, after) = value.split_at(value.rfind(']')? + 1);
                    descr = Some(list);
                    after
                }
                "descr" => {
                    let (name, after) = quoted(value)?;
                    descr = Some(name);
                    after
                }
                "fortran_order" => {
                    let yes = value.starts_with("True");
                    fortran = Some(yes);
                    value.strip_prefix(if yes { "True" } else { "False" })?
                }
                "shape" => {
                    let (inner, after) = value.strip_prefix('(')?.split_once(')')?;
                    let lengths = inner.split(',').map(str::trim).filter(|n| !n.is_empty());
                    shape = Some(lengths.map(|n| n.parse().ok()).collect::<Option<Vec<u64>>>()?);
                    after
                }
                _ => return None,
            };
            rest = after.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        Some(Fields { descr: descr?, fortran: fortran?, shape: shape? })
    }
}

/// A quoted word and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}
