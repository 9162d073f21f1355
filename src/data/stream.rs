//! The bytes of a file, unpacked where they are packed with gzip; `-` is standard input.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::OnceLock;

use crate::{Error, Result};

/// What standard input is called.
pub(super) const STDIN: &str = "-";

const MISSING: &str = "check that the file is there and readable";

/// Opens a file at its beginning.
///
/// # Errors
/// [`Error::Io`] where it can't be opened; packed bytes that are damaged are errors of reading.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read + Send>> {
    let file = if path.as_os_str() == STDIN {
        standard_input(path)?
    } else {
        File::open(path).map_err(|e| Error::io("open", path, e, MISSING))?
    };
    let mut file = BufReader::with_capacity(1 << 16, file);
    // By its magic number: some browsers unpack a download and leave it the name with .gz.
    let packed = file.fill_buf().map_err(|e| Error::io("read", path, e, MISSING))?.starts_with(&[0x1f, 0x8b]);
    // Files may be packed in several parts, one after the other.
    Ok(if packed { Box::new(flate2::bufread::MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// What comes on standard input, all of it, in a file without a name: it is read more than once. Whoever reads it begins at its start, and
/// one at a time.
fn standard_input(path: &Path) -> Result<File> {
    static KEPT: OnceLock<std::io::Result<File>> = OnceLock::new();
    let keep = || {
        let mut file = tempfile::tempfile()?;
        std::io::copy(&mut std::io::stdin().lock(), &mut file)?;
        Ok(file)
    };
    let begun = match KEPT.get_or_init(keep) {
        Ok(file) => file.try_clone().and_then(|mut file| file.seek(SeekFrom::Start(0)).map(|_| file)),
        Err(e) => Err(std::io::Error::new(e.kind(), e.to_string())),
    };
    begun.map_err(|e| Error::io("read", path, e, "pipe a table into the command, or name a file"))
}
