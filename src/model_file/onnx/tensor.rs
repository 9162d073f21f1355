//! Tensors of an ONNX file as numbers, from the file itself or from one that lies beside it.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

use super::wire::{StoredTensor, shown};
use crate::host::{f16, refuse_beyond_memory};
use crate::{Error, Result};

/// Elements that a tensor may have.
const MOST_ELEMENTS: usize = 1 << 31;
/// Axes that a tensor may have.
const MOST_AXES: usize = 32;
/// The remedy for numbers that the memory can't hold.
pub const SMALLER: &str = "close other programs, or give a smaller network";
/// The remedy for data that isn't found outside the model file.
const BESIDE: &str = "put the file with the model's data beside the model, as it was exported";

/// What the elements of a tensor are, with ONNX's code for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElemType {
    F32 = 1,
    U8 = 2,
    I8 = 3,
    U16 = 4,
    I16 = 5,
    I32 = 6,
    I64 = 7,
    Text = 8,
    Bool = 9,
    F16 = 10,
    F64 = 11,
    U32 = 12,
    U64 = 13,
    BF16 = 16,
    U4 = 21,
    I4 = 22,
    U2 = 25,
    I2 = 26,
}

/// ONNX's names, by code.
const NAMES: [&str; 29] = [
    "undefined",
    "float",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "int32",
    "int64",
    "string",
    "bool",
    "float16",
    "double",
    "uint32",
    "uint64",
    "complex64",
    "complex128",
    "bfloat16",
    "float8e4m3fn",
    "float8e4m3fnuz",
    "float8e5m2",
    "float8e5m2fnuz",
    "uint4",
    "int4",
    "float4e2m1",
    "float8e8m0",
    "uint2",
    "int2",
    "float6e2m3",
    "float6e3m2",
];

impl ElemType {
    /// The type of a code (`TensorProto.DataType`).
    ///
    /// # Errors
    /// A sentence for a code that doesn't exist, and for complex numbers and floats of eight bits and fewer.
    pub fn from_code(code: i64) -> Result<Self, String> {
        use ElemType::{BF16, Bool, F16, F32, F64, I2, I4, I8, I16, I32, I64, Text, U2, U4, U8, U16, U32, U64};
        const ALL: [ElemType; 18] =
            [F32, U8, I8, U16, I16, I32, I64, Text, Bool, F16, F64, U32, U64, BF16, U4, I4, U2, I2];
        ALL.into_iter().find(|&elem| elem as i64 == code).ok_or_else(|| {
            match usize::try_from(code).ok().and_then(|code| NAMES.get(code)) {
                Some(name) => format!("elements of the type {name} are not supported"),
                None => format!("the element type {code} doesn't exist"),
            }
        })
    }

    /// ONNX's name of the type.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// Whether it is a floating-point type.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, ElemType::F32 | ElemType::F64 | ElemType::F16 | ElemType::BF16)
    }

    /// The least and the greatest value of an integer type; unsigned integers of 64 bits are kept up to `i64::MAX`.
    #[must_use]
    pub fn range(self) -> Option<(i64, i64)> {
        Some(match self {
            ElemType::U2 => (0, 3),
            ElemType::I2 => (-2, 1),
            ElemType::U4 => (0, 15),
            ElemType::I4 => (-8, 7),
            ElemType::U8 => (0, u8::MAX.into()),
            ElemType::I8 => (i8::MIN.into(), i8::MAX.into()),
            ElemType::U16 => (0, u16::MAX.into()),
            ElemType::I16 => (i16::MIN.into(), i16::MAX.into()),
            ElemType::U32 => (0, u32::MAX.into()),
            ElemType::I32 => (i32::MIN.into(), i32::MAX.into()),
            ElemType::U64 => (0, i64::MAX),
            ElemType::I64 => (i64::MIN, i64::MAX),
            _ => return None,
        })
    }

    /// An integer as the type keeps it: what is beyond its range wraps around.
    ///
    /// # Errors
    /// A sentence for what no 64-bit signed integer can hold, and for a type that isn't one of integers.
    pub fn wrap(self, value: i64) -> Result<i64, String> {
        let (least, greatest) = self.range().ok_or_else(|| format!("{} is no type of integers", self.name()))?;
        let unused = 64 - self.bits();
        match self {
            ElemType::U64 if value < 0 => Err("an integer is beyond 63 bits".into()),
            _ if least == 0 => Ok(value & greatest),
            _ => Ok(value << unused >> unused),
        }
    }

    /// A number rounded to the nearest of a floating-point type that 32 bits hold.
    #[must_use]
    pub fn round(self, value: f32) -> f32 {
        match self {
            ElemType::F16 => round_f16(value),
            ElemType::BF16 => round_bits(value, 16),
            _ => value,
        }
    }

    fn bits(self) -> usize {
        match self {
            ElemType::U2 | ElemType::I2 => 2,
            ElemType::U4 | ElemType::I4 => 4,
            ElemType::U8 | ElemType::I8 | ElemType::Bool | ElemType::Text => 8,
            ElemType::U16 | ElemType::I16 | ElemType::F16 | ElemType::BF16 => 16,
            ElemType::U32 | ElemType::I32 | ElemType::F32 => 32,
            ElemType::U64 | ElemType::I64 | ElemType::F64 => 64,
        }
    }
}

/// The elements of a tensor, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Of the types float, float16 and bfloat16, exactly.
    Float(Vec<f32>),
    Double(Vec<f64>),
    /// Of every integer type.
    Int(Vec<i64>),
    Bool(Vec<bool>),
    /// Class labels, for example.
    Text(Vec<String>),
}

impl Data {
    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Data::Float(v) => v.len(),
            Data::Double(v) => v.len(),
            Data::Int(v) => v.len(),
            Data::Bool(v) => v.len(),
            Data::Text(v) => v.len(),
        }
    }
}

/// A tensor: as many elements as the product of `dims`, of the kind that `elem` is kept as.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub dims: Vec<usize>,
    pub elem: ElemType,
    pub data: Data,
}

impl Tensor {
    /// The first row of those along the first axis, where all are alike: `[1, …]`.
    #[must_use]
    pub fn repeated_row(&self) -> Option<Tensor> {
        fn first<T: Clone + PartialEq>(values: &[T], count: usize) -> Option<Vec<T>> {
            let mut rows = values.chunks_exact(values.len().checked_div(count).filter(|&n| n > 0)?);
            let first = rows.next()?;
            rows.all(|row| row == first).then(|| first.to_vec())
        }
        let count = *self.dims.first()?;
        let data = match &self.data {
            Data::Float(values) => Data::Float(first(values, count)?),
            Data::Double(values) => Data::Double(first(values, count)?),
            Data::Int(values) => Data::Int(first(values, count)?),
            Data::Bool(values) => Data::Bool(first(values, count)?),
            Data::Text(values) => Data::Text(first(values, count)?),
        };
        let dims = [&[1], &self.dims[1..]].concat();
        Some(Tensor { dims, elem: self.elem, data })
    }
}

/// The number of elements of a shape, 1 for a scalar.
///
/// # Errors
/// A sentence for a shape with too many axes or elements; axes of length 0 don't excuse the others.
pub fn count(dims: &[usize]) -> Result<usize, String> {
    let whole = dims.iter().try_fold(1usize, |product, &n| product.checked_mul(n.max(1)));
    if dims.len() > MOST_AXES {
        return Err(format!("it has {} axes, more than {MOST_AXES}", dims.len()));
    }
    match whole {
        Some(whole) if whole <= MOST_ELEMENTS => Ok(dims.iter().product()),
        _ => Err(format!("its shape {dims:?} has more than {MOST_ELEMENTS} elements")),
    }
}

impl Tensor {
    /// A tensor of integers of 64 bits.
    #[must_use]
    pub fn ints(dims: Vec<usize>, values: Vec<i64>) -> Tensor {
        Tensor { dims, elem: ElemType::I64, data: Data::Int(values) }
    }

    /// Bytes that the elements of a stored tensor take, by its shape and type alone; 0 where these make no sense, which reading it tells.
    pub fn claimed(stored: &StoredTensor) -> u64 {
        let Ok((dims, elem)) = shape(stored) else { return 0 };
        let each = match elem {
            _ if elem.is_float() && elem != ElemType::F64 => 4,
            ElemType::Bool => 1,
            ElemType::Text => 0,
            _ => 8,
        };
        count(&dims).map_or(0, |n| each * n as u64)
    }

    /// Reads a tensor of the model file at `path`, or of the file in its folder that the tensor names.
    ///
    /// # Errors
    /// [`Error::Input`] for an element type that isn't supported, data that doesn't fit the shape, and a place outside
    /// the model's folder; [`Error::Io`] where the file beside the model can't be read.
    pub fn read(path: &Path, stored: &StoredTensor) -> Result<Tensor> {
        let place = || format!("tensor {}", shown(stored.name)).trim_end().to_owned();
        let broken =
            |problem: String| Error::input(path, place(), problem, "export the model again, with 32-bit floats");
        let Some(entries) = &stored.external else { return Self::inline(stored).map_err(broken) };
        let (dims, elem) = shape(stored).map_err(broken)?;
        let n = count(&dims).map_err(broken)?;
        let what = format!("{}: {}", path.display(), place());
        refuse_beyond_memory(&what, Self::claimed(stored).saturating_add(bytes(elem, n)), SMALLER)?;
        let lost = |problem: String| Error::input(path, place(), problem, BESIDE);
        let raw = External::new(entries, bytes(elem, n)).map_err(lost)?.read(path, &lost)?;
        let data = from_raw(elem, n, &raw).map_err(broken)?;
        Ok(Tensor { dims, elem, data })
    }

    /// Reads a tensor whose data lies in the model file.
    ///
    /// # Errors
    /// A sentence for an element type that isn't supported, data that doesn't fit the shape, or data in another file.
    pub fn inline(stored: &StoredTensor) -> Result<Tensor, String> {
        let (dims, elem) = shape(stored)?;
        if stored.external.is_some() {
            return Err("its data lies in another file".into());
        }
        let n = count(&dims)?;
        let typed = stored.floats.len()
            + stored.int32s.len()
            + stored.int64s.len()
            + stored.doubles.len()
            + stored.uint64s.len()
            + stored.strings.len();
        let data = match stored.raw {
            Some(_) if typed > 0 => return Err("it has its data twice".into()),
            // An empty one says nothing.
            Some(raw) if !raw.is_empty() => from_raw(elem, n, raw)?,
            _ => from_typed(elem, n, stored)?,
        };
        if data.len() != n {
            return Err(format!("{} elements are there where the shape {dims:?} needs {n}", data.len()));
        }
        Ok(Tensor { dims, elem, data })
    }

    /// The elements as integers, of any integer type.
    ///
    /// # Errors
    /// A sentence for other types.
    pub fn as_ints(&self) -> Result<&[i64], String> {
        match &self.data {
            Data::Int(values) => Ok(values),
            _ => Err(format!("a tensor of {} stands where integers should", self.elem.name())),
        }
    }

    /// The elements as 32-bit numbers, of any floating-point type.
    ///
    /// # Errors
    /// A sentence for other types.
    pub fn to_f32(&self) -> Result<Vec<f32>, String> {
        match &self.data {
            Data::Float(values) => Ok(values.clone()),
            Data::Double(values) => Ok(values.iter().map(|&v| v as f32).collect()),
            _ => Err(format!("a tensor of {} stands where floating-point numbers should", self.elem.name())),
        }
    }
}

fn shape(stored: &StoredTensor) -> Result<(Vec<usize>, ElemType), String> {
    let dims = stored.dims.iter().map(|&n| usize::try_from(n).map_err(|_| format!("an axis has the length {n}")));
    Ok((dims.collect::<Result<_, _>>()?, ElemType::from_code(stored.elem_type)?))
}

/// The bytes that `n` elements take.
fn bytes(elem: ElemType, n: usize) -> u64 {
    (n as u64 * elem.bits() as u64).div_ceil(8)
}

/// Little-endian numbers.
fn from_raw(elem: ElemType, n: usize, raw: &[u8]) -> Result<Data, String> {
    fn each<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
        raw.as_chunks().0.iter().map(|&bytes| read(bytes)).collect()
    }
    if raw.len() as u64 != bytes(elem, n) {
        return Err(format!(
            "{} bytes are there where {n} elements of {} need {}",
            raw.len(),
            elem.name(),
            bytes(elem, n)
        ));
    }
    Ok(match elem {
        ElemType::F32 => Data::Float(each(raw, f32::from_le_bytes)),
        ElemType::F16 => Data::Float(each(raw, |b| f16(u16::from_le_bytes(b)))),
        ElemType::BF16 => Data::Float(each(raw, |b| bf16(u16::from_le_bytes(b)))),
        ElemType::F64 => Data::Double(each(raw, f64::from_le_bytes)),
        ElemType::Bool => Data::Bool(raw.iter().map(|&b| b != 0).collect()),
        ElemType::U8 => Data::Int(each(raw, |[b]| b.into())),
        ElemType::I8 => Data::Int(each(raw, |[b]| b.cast_signed().into())),
        ElemType::U16 => Data::Int(each(raw, |b| u16::from_le_bytes(b).into())),
        ElemType::I16 => Data::Int(each(raw, |b| i16::from_le_bytes(b).into())),
        ElemType::U32 => Data::Int(each(raw, |b| u32::from_le_bytes(b).into())),
        ElemType::I32 => Data::Int(each(raw, |b| i32::from_le_bytes(b).into())),
        ElemType::I64 => Data::Int(each(raw, i64::from_le_bytes)),
        ElemType::U64 => Data::Int(whole(&each(raw, u64::from_le_bytes))?),
        ElemType::U4 | ElemType::I4 | ElemType::U2 | ElemType::I2 => {
            // The first element stands in the lowest bits.
            let (bits, each) = (elem.bits(), 8 / elem.bits());
            let part = |i: usize| i64::from(raw[i / each] >> (i % each * bits)) & ((1 << bits) - 1);
            Data::Int((0..n).map(|i| elem.wrap(part(i))).collect::<Result<_, _>>()?)
        }
        ElemType::Text => return Err("strings can't be raw data".into()),
    })
}

/// Numbers from the field that ONNX has for the type.
fn from_typed(elem: ElemType, n: usize, stored: &StoredTensor) -> Result<Data, String> {
    Ok(match elem {
        ElemType::F32 => Data::Float(stored.floats.clone()),
        ElemType::F64 => Data::Double(stored.doubles.clone()),
        ElemType::I64 => Data::Int(stored.int64s.clone()),
        ElemType::U32 | ElemType::U64 => Data::Int(checked(whole(&stored.uint64s)?, elem.range())?),
        ElemType::Text => {
            let text = |bytes: &&[u8]| str::from_utf8(bytes).map(str::to_owned).map_err(|_| "a string is not UTF-8");
            Data::Text(stored.strings.iter().map(text).collect::<Result<_, _>>()?)
        }
        ElemType::Bool => Data::Bool(stored.int32s.iter().map(|&v| v != 0).collect()),
        ElemType::F16 | ElemType::BF16 => {
            let bits = checked(stored.int32s.clone(), ElemType::U16.range())?;
            let number = |&bits: &i64| if elem == ElemType::F16 { f16(bits as u16) } else { bf16(bits as u16) };
            Data::Float(bits.iter().map(number).collect())
        }
        ElemType::U4 | ElemType::I4 | ElemType::U2 | ElemType::I2 => {
            let bytes: Vec<u8> = stored.int32s.iter().map(|&v| v as u8).collect();
            from_raw(elem, n, &bytes)?
        }
        _ => Data::Int(checked(stored.int32s.clone(), elem.range())?),
    })
}

fn whole(values: &[u64]) -> Result<Vec<i64>, String> {
    values.iter().map(|&v| i64::try_from(v).map_err(|_| format!("the integer {v} is beyond 63 bits"))).collect()
}

fn checked(values: Vec<i64>, range: Option<(i64, i64)>) -> Result<Vec<i64>, String> {
    let outside = |v: &i64| range.is_some_and(|(least, greatest)| *v < least || *v > greatest);
    match values.iter().find(|v| outside(v)) {
        Some(v) => Err(format!("the integer {v} is beyond its type")),
        None => Ok(values),
    }
}

/// Where a tensor's data lies outside the model file.
struct External<'a> {
    location: &'a str,
    offset: u64,
    /// What the shape needs.
    length: u64,
}

impl<'a> External<'a> {
    fn new(entries: &[(&'a str, &'a str)], length: u64) -> Result<Self, String> {
        let entry = |key: &str| entries.iter().find(|(k, _)| *k == key).map(|&(_, value)| value);
        let number = |key: &str| match entry(key) {
            Some(value) => {
                value.parse::<u64>().map(Some).map_err(|_| format!("its {key} {:?} is no whole number", shown(value)))
            }
            None => Ok(None),
        };
        let location = entry("location").ok_or("its data lies in another file, which is not named")?;
        match number("length")? {
            Some(said) if said != length => {
                Err(format!("{said} bytes are said to be its data, and its shape needs {length}"))
            }
            _ => Ok(External { location, offset: number("offset")?.unwrap_or(0), length }),
        }
    }

    /// The bytes, from a file in the model's folder or below it.
    fn read(&self, path: &Path, lost: &impl Fn(String) -> Error) -> Result<Vec<u8>> {
        let name = shown(self.location);
        let outside = || lost(format!("its data lies in {name}, outside the model's folder, where nothing is read"));
        let inner = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(self.location).components().all(inner) {
            return Err(outside());
        }
        let folder = path.parent().filter(|parent| *parent != "").unwrap_or(Path::new("."));
        let file = folder.join(self.location);
        let refused = |e| Error::io("read", &file, e, BESIDE);
        // Links are followed before the folders are compared.
        let real = file.canonicalize().map_err(refused)?;
        if !real.starts_with(folder.canonicalize().map_err(refused)?) {
            return Err(outside());
        }
        // A pipe would never end.
        if !real.metadata().map_err(refused)?.is_file() {
            return Err(lost(format!("its data should lie in {name}, which is no file")));
        }
        let mut opened = File::open(&real).map_err(refused)?;
        let size = opened.metadata().map_err(refused)?.len();
        if self.offset.checked_add(self.length).is_none_or(|end| end > size) {
            let (length, offset) = (self.length, self.offset);
            let problem = format!("{length} bytes from byte {offset} on should be in {name}, which has {size}");
            return Err(lost(problem));
        }
        let mut bytes = Vec::new();
        let room = usize::try_from(self.length).is_ok_and(|length| bytes.try_reserve_exact(length).is_ok());
        if !room {
            return Err(lost(format!("its {} bytes don't fit into memory", self.length)));
        }
        opened.seek(SeekFrom::Start(self.offset)).map_err(refused)?;
        opened.take(self.length).read_to_end(&mut bytes).map_err(refused)?;
        Ok(bytes)
    }
}

/// The number that 16 bits are in the format that is the upper half of a 32-bit number.
fn bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

fn round_f16(value: f32) -> f32 {
    // Half precision's subnormal numbers are multiples of 2^-24; from 65,520 on it has none left.
    const STEPS: f32 = (1 << 24) as f32;
    match value.abs() {
        size if size < 1.0 / (1 << 14) as f32 => (value * STEPS).round_ties_even() / STEPS,
        size if size >= 65_520.0 => f32::INFINITY.copysign(value),
        _ => round_bits(value, 13),
    }
}

/// Rounds the lowest bits away, ties to even.
fn round_bits(value: f32, bits: u32) -> f32 {
    if !value.is_finite() {
        return value;
    }
    let whole = value.to_bits();
    let half = (1 << (bits - 1)) - 1 + (whole >> bits & 1);
    f32::from_bits((whole + half) >> bits << bits)
}
