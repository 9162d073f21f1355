//! The idx files of MNIST and its relatives, gzipped or not.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{Axis, Dataset, Feature, Targets, Values};
use crate::host::refuse_beyond_memory;
use crate::{Error, Result};

/// Values that one idx file may hold: far above any picture set, far below what would exhaust the memory.
const MOST_VALUES: u64 = 1 << 31;

/// Reads `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and, where present, the `t10k-…` files as test rows.
pub(super) fn read(directory: &Path) -> Result<Dataset> {
    if !directory.is_dir() {
        return Err(Error::input(
            directory,
            "directory",
            "there is no such directory",
            "give idx:DIRECTORY with the four MNIST files in it",
        ));
    }
    let (mut shape, mut bytes, mut labels) = read_pair(directory, "train")?;
    let train_rows = shape[0];
    let mut test_from = None;
    if find(directory, "t10k-images-idx3-ubyte").is_some() {
        let (test_shape, test_bytes, test_labels) = read_pair(directory, "t10k")?;
        if test_shape[1..] != shape[1..] {
            return Err(Error::input(
                directory,
                "t10k-images-idx3-ubyte",
                format!("its pictures are {:?} and those for training {:?}", &test_shape[1..], &shape[1..]),
                "use files of one set",
            ));
        }
        test_from = Some(train_rows);
        shape[0] += test_shape[0];
        bytes.extend(test_bytes);
        labels.extend(test_labels);
    }
    let (rows, height, width) = (shape[0], shape[1], shape[2]);
    let (labels, names) = classes(&labels);
    let digits = (height.max(width).max(2) - 1).to_string().len();
    let features = (0..height * width)
        .map(|i| Feature::new(format!("r{:0digits$}c{:0digits$}", i / width, i % width), None))
        .collect();
    Ok(Dataset {
        source: format!("idx:{}", directory.display()),
        rows,
        columns: height * width,
        x: Values::U8(bytes),
        y: Targets::Classes { labels, names },
        features,
        axes: vec![Axis::new("row", height), Axis::new("column", width)],
        weights: None,
        test_from,
        notes: Vec::new(),
        filled: Vec::new(),
        row_names: Vec::new(),
        origins: Vec::new(),
    })
}

/// The labels that occur are the classes, in order of their value: one that no row has would be an output without data.
fn classes(labels: &[u8]) -> (Vec<u32>, Vec<String>) {
    let mut occurs = [false; 256];
    labels.iter().for_each(|&label| occurs[usize::from(label)] = true);
    let mut new = [0u32; 256];
    let mut names = Vec::new();
    for label in (0..256).filter(|&label| occurs[label]) {
        new[label] = names.len() as u32;
        names.push(label.to_string());
    }
    (labels.iter().map(|&label| new[usize::from(label)]).collect(), names)
}

fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    [format!("{name}.gz"), name.to_owned()].into_iter().map(|n| directory.join(n)).find(|path| path.is_file())
}

fn read_pair(directory: &Path, part: &str) -> Result<(Vec<usize>, Vec<u8>, Vec<u8>)> {
    let open = |name: String, axes: u8| {
        let path = find(directory, &name).ok_or_else(|| {
            Error::input(
                directory,
                name.clone(),
                "the file is missing (with and without .gz)",
                "put the set's files into this directory",
            )
        })?;
        read_file(&path, axes).map(|(shape, bytes)| (path, shape, bytes))
    };
    let (_, shape, bytes) = open(format!("{part}-images-idx3-ubyte"), 3)?;
    let (path, label_shape, labels) = open(format!("{part}-labels-idx1-ubyte"), 1)?;
    if label_shape[0] != shape[0] {
        return Err(Error::input(
            path,
            "header",
            format!("{} labels for {} pictures", label_shape[0], shape[0]),
            "use the labels that belong to the pictures",
        ));
    }
    Ok((shape, bytes, labels))
}

/// One file: `00 00 08 axes`, the lengths as big-endian words, the bytes.
fn read_file(path: &Path, axes: u8) -> Result<(Vec<usize>, Vec<u8>)> {
    let remedy = "check that the file is there and readable";
    let file = File::open(path).map_err(|e| Error::io("open", path, e, remedy))?;
    let mut file = BufReader::new(file);
    // By its magic number: some browsers unpack a download and leave it the name with .gz.
    let packed = file.fill_buf().map_err(|e| Error::io("read", path, e, remedy))?.starts_with(&[0x1f, 0x8b]);
    let mut reader: Box<dyn Read> =
        if packed { Box::new(flate2::bufread::GzDecoder::new(file)) } else { Box::new(file) };
    let broken = |place: &str, problem: String| Error::input(path, place, problem, "fetch the file again");
    let mut header = vec![0u8; 4 + 4 * usize::from(axes)];
    reader.read_exact(&mut header).map_err(|e| broken("header", format!("the file ends or breaks off ({e})")))?;
    if header[..4] != [0, 0, 8, axes] {
        let problem = format!("it starts with {:02x?} instead of [00, 00, 08, {axes:02x}]", &header[..4]);
        return Err(Error::input(path, "header", problem, "give an idx file of unsigned bytes"));
    }
    let shape: Vec<usize> =
        header[4..].chunks_exact(4).map(|b| u32::from_be_bytes(b.try_into().expect("four bytes")) as usize).collect();
    let len = shape.iter().try_fold(1u64, |a, &n| a.checked_mul(n as u64)).filter(|&len| len <= MOST_VALUES);
    let Some(len) = len else {
        return Err(broken("header", format!("it claims the impossible shape {shape:?}")));
    };
    let what = format!("reading {}", path.display());
    refuse_beyond_memory(&what, len, "close other programs, or give fewer pictures")?;
    // Grows with what is really there: a false length can't make it take the memory.
    let mut bytes = Vec::new();
    (&mut reader)
        .take(len)
        .read_to_end(&mut bytes)
        .map_err(|e| broken("data", format!("it can't be unpacked ({e})")))?;
    if bytes.len() as u64 != len {
        let problem = format!("it ends after {} of {len} values", bytes.len());
        return Err(broken("data", problem));
    }
    // Reading on to the end also makes gzip check its sum.
    let more = reader.read(&mut [0]).map_err(|e| broken("end", format!("it can't be unpacked ({e})")))?;
    if more > 0 {
        return Err(broken("data", format!("it goes on after its {len} values")));
    }
    Ok((shape, bytes))
}
