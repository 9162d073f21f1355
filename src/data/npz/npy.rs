//! One NumPy array, read with mistrust.
//!
//! Nothing that the header claims is believed: memory grows only with the bytes that are there.

use std::io::Read;
use std::path::Path;

use crate::data::origin::Extent;
use crate::host::f16;
use crate::{Error, Result};

/// Longest header; NumPy's own limit is 10 000.
const MOST_HEADER: usize = 1 << 16;
/// Values that one array may hold.
const MOST_VALUES: usize = 1 << 31;

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

    fn size(self) -> usize {
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

/// An array as it lies in the file.
pub(super) struct Array {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// No length is 0.
    pub(super) shape: Vec<usize>,
    fortran: bool,
    big_endian: bool,
    bytes: Vec<u8>,
}

impl Array {
    /// Reads an .npy stream to its end; no more than `declared` bytes of numbers.
    pub(super) fn read(path: &Path, name: &str, mut reader: impl Read, declared: u64) -> Result<Self> {
        let remedy = "write the file again with numpy.savez or numpy.save";
        let broken = |problem: String| Error::input(path, name, problem, remedy);
        let text = read_header(&mut reader).map_err(&broken)?;
        let header = Header::parse(&text).ok_or_else(|| broken("its header is not one that NumPy writes".into()))?;
        let Some(kind) = Kind::of(header.descr) else {
            return Err(Error::input(
                path,
                name,
                format!("its dtype {} can't be used", header.descr),
                "convert it with .astype to float32, float64, bool or an integer type (text classes to numbers \
                 with numpy.unique(…, return_inverse=True))",
            ));
        };
        if header.shape.is_empty() {
            return Err(broken("it is a single number, not rows of numbers".into()));
        }
        if header.shape.contains(&0) {
            return Err(broken(format!("it is empty, its shape is {:?}", header.shape)));
        }
        let values = header.shape.iter().try_fold(1usize, |a, &n| a.checked_mul(usize::try_from(n).ok()?));
        let Some(values) = values.filter(|&values| values <= MOST_VALUES) else {
            return Err(broken(format!("it claims the impossible shape {:?}", header.shape)));
        };
        let len = values * kind.size();
        let cut = |e: std::io::Error| broken(format!("its data can't be unpacked ({e})"));
        let mut bytes = Vec::new();
        reader.by_ref().take(declared.min(len as u64)).read_to_end(&mut bytes).map_err(cut)?;
        if bytes.len() != len {
            return Err(broken(format!(
                "it ends after {} of the {len} bytes that its shape {:?} needs",
                bytes.len(),
                header.shape
            )));
        }
        // At the end of a zip member its checksum is compared.
        if reader.read(&mut [0u8; 1]).map_err(cut)? != 0 {
            return Err(broken(format!("it holds more bytes than its shape {:?} needs", header.shape)));
        }
        let shape = header.shape.iter().map(|&n| n as usize).collect();
        let big_endian = header.descr.starts_with('>');
        Ok(Array { name: name.to_owned(), kind, shape, fortran: header.fortran, big_endian, bytes })
    }

    /// Values of an `uint8` array, last axis fastest.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        let Array { shape, fortran, bytes, .. } = self;
        if fortran { reordered(&shape, bytes) } else { bytes }
    }

    /// All values, last axis fastest.
    pub(super) fn to_f64(&self) -> Vec<f64> {
        self.convert(|_, v| v)
    }

    /// All values, last axis fastest, each column (place in a row) counted from its origin; what is beyond `f32` becomes infinite.
    pub(super) fn to_f32(&self, origins: &[f64]) -> Vec<f32> {
        if origins.is_empty() {
            return self.convert(|_, v| v as f32);
        }
        let (rows, columns) = (self.shape[0], origins.len());
        let mut of_file = vec![0.0; columns];
        self.columns_in_file().into_iter().zip(origins).for_each(|(at, &origin)| of_file[at] = origin);
        match self.fortran {
            true => self.convert(|i, v| (v - of_file[i / rows]) as f32),
            false => self.convert(|i, v| (v - of_file[i % columns]) as f32),
        }
    }

    /// Takes in what every column holds.
    pub(super) fn survey(&self, extents: &mut [Extent]) {
        // Nothing of these is lost in f32.
        if matches!(self.kind, Kind::F32 | Kind::Bool | Kind::U8 | Kind::I8 | Kind::U16 | Kind::I16) {
            return;
        }
        let (rows, columns) = (self.shape[0], extents.len());
        let mut of_file = vec![Extent::default(); columns];
        // A vector of nothing takes no memory.
        let _: Vec<()> = self.in_file(|i, v| of_file[if self.fortran { i / rows } else { i % columns }].see(v));
        self.columns_in_file().into_iter().zip(extents).for_each(|(at, extent)| extent.join(of_file[at]));
    }

    /// Where each column stands among those of the file, whose first axis may be the fastest.
    fn columns_in_file(&self) -> Vec<usize> {
        let row = &self.shape[1..];
        let places = (0..row.iter().product()).collect();
        if self.fortran { reordered(row, places) } else { places }
    }

    fn convert<T: Copy>(&self, to: impl FnMut(usize, f64) -> T) -> Vec<T> {
        let values = self.in_file(to);
        if self.fortran { reordered(&self.shape, values) } else { values }
    }

    /// What is made of each value, in the order of the file, and of its place there.
    fn in_file<T>(&self, mut to: impl FnMut(usize, f64) -> T) -> Vec<T> {
        macro_rules! words {
            ($type:ty) => {
                words!($type, |x| x as f64)
            };
            ($type:ty, $number:expr) => {
                self.bytes
                    .chunks_exact(size_of::<$type>())
                    .enumerate()
                    .map(|(i, b)| {
                        let b = b.try_into().expect("chunks of this size");
                        let number: fn($type) -> f64 = $number;
                        to(
                            i,
                            number(if self.big_endian { <$type>::from_be_bytes(b) } else { <$type>::from_le_bytes(b) }),
                        )
                    })
                    .collect()
            };
        }
        match self.kind {
            Kind::Bool => self.bytes.iter().enumerate().map(|(i, &b)| to(i, f64::from(u8::from(b != 0)))).collect(),
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
}

/// Characters of a name, and names, that an array of text may hold.
const MOST_CHARACTERS: usize = 4096;
const MOST_NAMES: u64 = 1 << 20;

/// Reads a list of names, an array of text with one axis; `None` for an array of anything else.
pub(super) fn read_names(path: &Path, name: &str, mut reader: impl Read) -> Result<Option<Vec<String>>> {
    let broken = |problem: String| Error::input(path, name, problem, "write the file again with numpy.savez");
    let text = read_header(&mut reader).map_err(broken)?;
    let header = Header::parse(&text).ok_or_else(|| broken("its header is not one that NumPy writes".into()))?;
    let kind = header.descr.trim_start_matches(['<', '>', '|', '=']);
    let (wide, length) = match (kind.strip_prefix('U'), kind.strip_prefix('S')) {
        (Some(length), _) => (4, length),
        (_, Some(length)) => (1, length),
        _ => return Ok(None),
    };
    let length = length.parse().ok().filter(|length| (1..=MOST_CHARACTERS).contains(length));
    let (Some(length), &[count @ 1..=MOST_NAMES]) = (length, header.shape.as_slice()) else {
        let problem = format!("names of the dtype {} in the shape {:?} can't be used", header.descr, header.shape);
        return Err(Error::input(path, name, problem, "give one list of names, a text of moderate length each"));
    };
    let (size, big_endian) = (wide * length, header.descr.starts_with('>'));
    let mut bytes = Vec::new();
    reader
        .take(count * size as u64)
        .read_to_end(&mut bytes)
        .map_err(|e| broken(format!("its data can't be unpacked ({e})")))?;
    if bytes.len() as u64 != count * size as u64 {
        return Err(broken(format!("it ends after {} bytes of {count} names", bytes.len())));
    }
    let code = |b: &[u8]| match b {
        [b] => u32::from(*b),
        b if big_endian => b.iter().fold(0, |word, &b| word << 8 | u32::from(b)),
        b => b.iter().rev().fold(0, |word, &b| word << 8 | u32::from(b)),
    };
    // NumPy fills up with zeros.
    let of = |name: &[u8]| -> Option<String> {
        name.chunks_exact(wide).map(code).take_while(|&code| code != 0).map(char::from_u32).collect()
    };
    let names: Option<Vec<String>> = bytes.chunks_exact(size).map(of).collect();
    names.map(Some).ok_or_else(|| broken("it holds what is no text".into()))
}

/// From the first axis fastest to the last axis fastest.
fn reordered<T: Copy>(shape: &[usize], values: Vec<T>) -> Vec<T> {
    let mut strides = vec![1usize; shape.len()];
    (1..shape.len()).for_each(|k| strides[k] = strides[k - 1] * shape[k - 1]);
    let mut index = vec![0usize; shape.len()];
    let mut from = 0;
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        out.push(values[from]);
        for k in (0..shape.len()).rev() {
            index[k] += 1;
            from += strides[k];
            if index[k] < shape[k] {
                break;
            }
            from -= strides[k] * shape[k];
            index[k] = 0;
        }
    }
    out
}

/// Magic, version, length, and the text of that length; or what is wrong.
fn read_header(reader: &mut impl Read) -> Result<String, String> {
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
struct Header<'a> {
    /// The source text of a dtype that isn't plain.
    descr: &'a str,
    fortran: bool,
    shape: Vec<u64>,
}

impl<'a> Header<'a> {
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
        Some(Header { descr: descr?, fortran: fortran?, shape: shape? })
    }
}

/// A quoted word and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}
