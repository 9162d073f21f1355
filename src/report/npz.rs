//! NumPy archives (.npz) of results.

use std::io::{Cursor, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::{Result, write};

/// Arrays by name, in the order they were added.
#[derive(Debug, Clone, Default)]
pub struct Npz {
    arrays: Vec<(String, Vec<u64>, Values)>,
}

#[derive(Debug, Clone)]
enum Values {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
}

impl Npz {
    /// Adds an array of `f32`, row-major.
    ///
    /// # Panics
    /// If the shape doesn't hold as many values; as for [`Npz::ints`].
    pub fn floats(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name} has its shape");
        self.arrays.push((name.to_owned(), widen(shape), Values::Floats(values)));
    }

    /// Adds an array of `i64`, row-major.
    pub fn ints(&mut self, name: &str, shape: &[usize], values: Vec<i64>) {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name} has its shape");
        self.arrays.push((name.to_owned(), widen(shape), Values::Ints(values)));
    }

    /// Writes the archive, whole or not at all.
    ///
    /// # Errors
    /// [`crate::Error::Io`] when the file can't be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        write::atomic(path, |out| out.write_all(&self.bytes()?))
    }

    fn bytes(&self) -> std::io::Result<Vec<u8>> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, shape, values) in &self.arrays {
            // Numbers hardly compress, and stored arrays can be mapped.
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
            // No time: the same numbers are the same bytes.
            let options = options.last_modified_time(zip::DateTime::default());
            archive.start_file(format!("{name}.npy"), options)?;
            match values {
                Values::Floats(values) => {
                    archive.write_all(&header("<f4", shape))?;
                    values.iter().try_for_each(|x| archive.write_all(&x.to_le_bytes()))?;
                }
                Values::Ints(values) => {
                    archive.write_all(&header("<i8", shape))?;
                    values.iter().try_for_each(|x| archive.write_all(&x.to_le_bytes()))?;
                }
            }
        }
        Ok(archive.finish()?.into_inner())
    }
}

/// What stands before an array's numbers (NumPy's format, version 1): its length is a multiple of 64.
fn header(descr: &str, shape: &[u64]) -> Vec<u8> {
    let shape: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", shape.trim_end());
    let before = 10;
    let length = (before + text.len() + 1).next_multiple_of(64) - before;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(format!("{text:<0$}\n", length - 1).into_bytes());
    bytes
}

fn widen(shape: &[usize]) -> Vec<u64> {
    shape.iter().map(|&n| n as u64).collect()
}
