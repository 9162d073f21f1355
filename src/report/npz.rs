//! NumPy archives (.npz) of results.

use std::io::Cursor;
use std::path::Path;

use npyz::WriterBuilder;
use npyz::npz::NpzWriter;
use zip::write::FileOptions;
use zip::{CompressionMethod, DateTime};

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
        let mut archive = NpzWriter::new(Cursor::new(Vec::new()));
        for (name, shape, values) in &self.arrays {
            // Numbers hardly compress, and stored arrays can be mapped. Without the time of day the same numbers are the same bytes.
            let options = FileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .large_file(true)
                .last_modified_time(DateTime::default());
            match values {
                Values::Floats(values) => {
                    let mut array = archive.array(name, options)?.default_dtype().shape(shape).begin_nd()?;
                    array.extend(values.iter().copied())?;
                    array.finish()?;
                }
                Values::Ints(values) => {
                    let mut array = archive.array(name, options)?.default_dtype().shape(shape).begin_nd()?;
                    array.extend(values.iter().copied())?;
                    array.finish()?;
                }
            }
        }
        Ok(archive.zip_writer().finish()?.into_inner())
    }
}

fn widen(shape: &[usize]) -> Vec<u64> {
    shape.iter().map(|&n| n as u64).collect()
}
