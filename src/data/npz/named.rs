//! Arrays of an .npz by name, for experiments whose files have names of their own.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use npyz::npz::NpzArchive;

use super::npy::Array;
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
    let broken =
        |place: &str, e: String| Error::input(path, place, format!("the archive is cut off or damaged ({e})"), remedy);
    let mut archive = NpzArchive::new(BufReader::new(file)).map_err(|e| broken("file", e.to_string()))?;
    let mut there: Vec<String> = archive.array_names().map(str::to_owned).collect();
    there.sort();
    let mut read = Vec::new();
    for name in names {
        if !there.iter().any(|t| t == name) {
            let has = if there.is_empty() { "no arrays".into() } else { there.join(", ") };
            return Err(Error::input(path, name, format!("the array is missing; the file has {has}"), remedy));
        }
        let member = npyz::npz::file_name_from_array_name(name);
        let stream = archive.zip_archive().by_name(&member).map_err(|e| broken(name, e.to_string()))?;
        let array = Array::read(path, name, stream)?;
        read.push(Numbers { values: array.to_f64(), shape: array.shape });
    }
    Ok(read.try_into().unwrap_or_else(|_| unreachable!("as many arrays as names")))
}
