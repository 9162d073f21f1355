//! Archives of arrays as NumPy writes them, by a crate that the library doesn't use.
#![allow(dead_code)]

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use npyz::write_options::{WithWriter, WriteOptions};
use npyz::{AutoSerialize, Deserialize, NpyFile, WriterBuilder};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// Writes an .npz; it is whole once this is dropped.
pub struct NpzWriter {
    zip: ZipWriter<File>,
}

impl NpzWriter {
    pub fn create(path: impl AsRef<Path>) -> Self {
        NpzWriter { zip: ZipWriter::new(File::create(path).unwrap()) }
    }

    /// The next array, deflated, whose dtype, shape and numbers are still to come.
    pub fn array<T: AutoSerialize + ?Sized>(
        &mut self,
        name: &str,
    ) -> WithWriter<&mut ZipWriter<File>, WriteOptions<T>> {
        self.zip.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        WriteOptions::new().writer(&mut self.zip)
    }

    pub fn zip_writer(&mut self) -> &mut ZipWriter<File> {
        &mut self.zip
    }
}

/// Shape and numbers of an array.
pub fn read<T: Deserialize>(path: impl AsRef<Path>, name: &str) -> (Vec<usize>, Vec<T>) {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path).unwrap())).unwrap();
    let mut bytes = Vec::new();
    archive.by_name(&format!("{name}.npy")).unwrap_or_else(|_| panic!("no {name}")).read_to_end(&mut bytes).unwrap();
    let array = NpyFile::new(&bytes[..]).unwrap();
    let shape = array.shape().iter().map(|&n| n as usize).collect();
    (shape, array.into_vec().unwrap())
}
