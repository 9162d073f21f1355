//! The .npz itself: a zip archive of .npy files, opened with mistrust.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;

use crate::host::refuse_beyond_memory;
use crate::{Error, Result};

/// What the files of arrays end in.
const ENDING: &str = ".npy";

pub(super) struct Archive<'a> {
    path: &'a Path,
    zip: ZipArchive<BufReader<File>>,
    remedy: &'a str,
    /// Of the arrays, in order.
    pub names: Vec<String>,
}

impl<'a> Archive<'a> {
    /// `remedy`: where a whole archive comes from.
    pub fn new(path: &'a Path, file: File, remedy: &'a str) -> Result<Self> {
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|e| broken(path, "file", &e, remedy))?;
        let mut names: Vec<String> = zip
            .file_names()
            // A name that is no text can't be asked for.
            .filter_map(|name| Some(name.ok()?.strip_suffix(ENDING)?.to_owned()))
            .collect();
        names.sort();
        Ok(Archive { path, zip, remedy, names })
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|there| there == name)
    }

    /// Refuses arrays that, unpacked, the process can't have the memory for: a few packed bytes may claim any number. Those that
    /// aren't there need none.
    ///
    /// # Errors
    /// [`Error::Device`] with both sizes.
    pub fn refuse_beyond_memory(&mut self, names: &[String]) -> Result<()> {
        let mut bytes = 0u64;
        for name in names {
            if self.has(name) {
                bytes = bytes.saturating_add(self.member(name)?.1);
            }
        }
        // Beside what is unpacked stands what it is converted to.
        let what = format!("unpacking {}", self.path.display());
        refuse_beyond_memory(&what, bytes.saturating_mul(2), "give fewer rows or columns, or numbers of fewer bits")
    }

    /// The bytes of an array, and how many the archive declares: no more is read.
    pub fn member(&mut self, name: &str) -> Result<(impl Read, u64)> {
        let file = self.zip.by_name(&format!("{name}{ENDING}"));
        let file = file.map_err(|e| broken(self.path, name, &e, self.remedy))?;
        let size = file.size();
        Ok((file, size))
    }
}

fn broken(path: &Path, place: &str, e: &zip::result::ZipError, remedy: &str) -> Error {
    Error::input(path, place, format!("the archive is cut off or damaged ({e})"), remedy)
}
