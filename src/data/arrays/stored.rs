//! The inputs' array, read from its file into what the engine takes, without being held in between.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::npy::{Found, Header, Kind, begin};
use crate::data::Values;
use crate::data::origin::Extent;
use crate::{Error, Result};

/// An array that stays in its file.
pub(super) struct Stored {
    pub header: Header,
    path: PathBuf,
    /// Its name in an archive; an .npy is it.
    member: Option<String>,
    /// How many bytes there are, as the archive or the file system says.
    declared: u64,
}

/// What an archive is written by.
pub(super) const SAVEZ: &str = "write the file again with numpy.savez";

pub(super) fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::io("open", path, e, "check that the file is there and readable"))
}

/// Hands the stream of an .npy over, or of an array of an archive, with what stands at its beginning and how many bytes it is declared to have.
pub(super) fn with<T>(
    path: &Path,
    (name, member): (&str, Option<&str>),
    take: impl FnOnce(Found, &mut dyn Read, u64) -> Result<T>,
) -> Result<T> {
    let file = open(path)?;
    let use_stream = |stream: &mut dyn Read, size| {
        let found = begin(path, name, stream)?;
        take(found, stream, size)
    };
    match member {
        None => {
            let size = file.metadata().map_or(u64::MAX, |found| found.len());
            use_stream(&mut BufReader::new(file), size)
        }
        Some(member) => {
            let mut archive = Archive::new(path, file, SAVEZ)?;
            let (mut stream, size) = archive.member(member)?;
            use_stream(&mut stream, size)
        }
    }
}

impl Stored {
    /// Finds out what it is.
    pub fn new(path: &Path, name: &str, member: Option<&str>) -> Result<Self> {
        let member = member.map(str::to_owned);
        with(path, (name, member.as_deref()), |found, _, declared| match found {
            Found::Numbers(header) => Ok(Stored { header, path: path.to_owned(), member: member.clone(), declared }),
            Found::Texts(..) => {
                let remedy = "convert it with .astype to numbers; only labels may be text";
                Err(Error::input(path, name, "its dtype is text, not numbers", remedy))
            }
        })
    }

    pub fn rows(&self) -> usize {
        self.header.shape[0]
    }

    fn each(&self, see: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<()> {
        let name = (self.header.name.as_str(), self.member.as_deref());
        with(&self.path, name, |_, stream, size| self.header.each(&self.path, stream, size, see))
    }

    /// Takes in what every column holds.
    pub fn survey(&self, extents: &mut [Extent]) -> Result<()> {
        use Kind::{Bool, F16, F32, I8, I16, U8, U16};
        // Nothing of these is lost in f32.
        if matches!(self.header.kind, F16 | F32 | Bool | U8 | I8 | U16 | I16) {
            return Ok(());
        }
        let columns = extents.len();
        self.each(|first, bytes| {
            self.header.numbers(first, bytes, |i, v| extents[self.header.place(i) % columns].see(v));
            Ok(())
        })
    }

    /// Adds its numbers to those of the arrays before it, last axis fastest: bytes as they are, others counted from the origins of their
    /// columns; what is beyond `f32` becomes infinite.
    pub fn add_to(&self, values: &mut Values, origins: &[f64]) -> Result<()> {
        let (header, all) = (&self.header, self.header.values());
        // Nothing is made for what isn't there: this says so.
        if self.declared < header.bytes() as u64 {
            return self.each(|_, _| Ok(()));
        }
        match values {
            Values::U8(bytes) => {
                let start = bytes.len();
                bytes.reserve_exact(all);
                self.each(|first, chunk| {
                    if !header.fortran {
                        bytes.extend_from_slice(chunk);
                        return Ok(());
                    }
                    bytes.resize(start + all, 0);
                    chunk.iter().enumerate().for_each(|(i, &b)| bytes[start + header.place(first + i)] = b);
                    Ok(())
                })
            }
            Values::F32(numbers) => {
                let start = numbers.len();
                numbers.reserve_exact(all);
                self.each(|first, chunk| {
                    if !header.fortran {
                        self.convert(first, chunk, origins, |x| numbers.push(x));
                        return Ok(());
                    }
                    numbers.resize(start + all, 0.0);
                    header.numbers(first, chunk, |i, v| {
                        let place = header.place(i);
                        numbers[start + place] = (v - origin(origins, place)) as f32;
                    });
                    Ok(())
                })
            }
        }
    }

    fn convert(&self, first: usize, bytes: &[u8], origins: &[f64], mut to: impl FnMut(f32)) {
        match origins.is_empty() {
            true => self.header.numbers(first, bytes, |_, v| to(v as f32)),
            false => self.header.numbers(first, bytes, |i, v| to((v - origin(origins, i)) as f32)),
        }
    }

    /// Hands over so many rows at a time, with the number of the first. One whose first axis is the fastest comes as a whole.
    pub fn pieces(
        &self,
        rows: usize,
        origins: &[f64],
        mut take: impl FnMut(usize, Values) -> Result<()>,
    ) -> Result<()> {
        let empty = || if self.header.kind == Kind::U8 { Values::U8(Vec::new()) } else { Values::F32(Vec::new()) };
        if self.header.fortran {
            let mut values = empty();
            self.add_to(&mut values, origins)?;
            return take(0, values);
        }
        let columns = self.header.columns();
        let most = rows.max(1).saturating_mul(columns);
        let (mut piece, mut row) = (empty(), 0);
        self.each(|first, bytes| {
            let (mut first, mut bytes, size) = (first, bytes, self.header.kind.size());
            while !bytes.is_empty() {
                let held = match &piece {
                    Values::U8(held) => held.len(),
                    Values::F32(held) => held.len(),
                };
                let (now, rest) = bytes.split_at(bytes.len().min((most - held).saturating_mul(size)));
                match &mut piece {
                    Values::U8(held) => held.extend_from_slice(now),
                    Values::F32(held) => self.convert(first, now, origins, |x| held.push(x)),
                }
                (first, bytes) = (first + now.len() / size, rest);
                if held + now.len() / size == most {
                    take(row, std::mem::replace(&mut piece, empty()))?;
                    row += rows.max(1);
                }
            }
            Ok(())
        })?;
        if row < self.rows() { take(row, piece) } else { Ok(()) }
    }
}

fn origin(origins: &[f64], place: usize) -> f64 {
    if origins.is_empty() { 0.0 } else { origins[place % origins.len()] }
}
