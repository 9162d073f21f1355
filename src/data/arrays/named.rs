//! Arrays of an .npz by name, for experiments whose files have names of their own.

use std::fs::File;
use std::path::Path;

use super::archive::Archive;
use super::npy::{Array, Found, begin};
use crate::{Error, Result};

/// An array's numbers, last axis fastest.
pub(crate) struct Numbers {
    /// No length is 0.
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

/// Reads the named arrays; the others of the archive are left alone.
///
/// # Errors
/// [`Error::Io`] for a file that can't be opened, [`Error::Input`] for one that is no .npz, lacks an array (`remedy` says where
/// a right one comes from), or has one that isn't numbers.
pub(crate) fn arrays<const N: usize>(path: &Path, names: [&str; N], remedy: &str) -> Result<[Numbers; N]> {
    let file = File::open(path).map_err(|e| Error::io("open", path, e, remedy))?;
    let mut archive = Archive::new(path, file, remedy)?;
    archive.refuse_beyond_memory(&names.map(str::to_owned))?;
    let mut read = Vec::new();
    for name in names {
        if !archive.has(name) {
            let has = if archive.names.is_empty() { "no arrays".into() } else { archive.names.join(", ") };
            return Err(Error::input(path, name, format!("the array is missing; the file has {has}"), remedy));
        }
        let (mut stream, size) = archive.member(name)?;
        let Found::Numbers(header) = begin(path, name, &mut stream)? else {
            return Err(Error::input(path, name, "its dtype is text", remedy));
        };
        let array = Array::read(path, header, &mut stream, size)?;
        read.push(Numbers { values: array.to_f64(), shape: array.header.shape });
    }
    Ok(read.try_into().unwrap_or_else(|_| unreachable!("as many arrays as names")))
}
