//! Data sets as files, what is read of them, and what a refusal must say.

use std::fs;
use std::path::PathBuf;

use eigenlens::data::{Dataset, Request, Targets, Values};
use tempfile::TempDir;

/// A directory with one file in it.
pub struct Fixture {
    _directory: TempDir,
    pub path: PathBuf,
}

impl Fixture {
    pub fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        Fixture { _directory: directory, path }
    }

    pub fn request(&self) -> Request {
        Request::new(self.path.to_str().unwrap())
    }
}

#[track_caller]
pub fn refused(result: eigenlens::Result<Dataset>, parts: &[&str]) {
    let message = result.expect_err("must be refused").to_string();
    assert!(!message.contains('\n'), "{message}");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

pub fn floats(dataset: &Dataset) -> &[f32] {
    let Values::F32(x) = &dataset.x else { panic!("bytes") };
    x
}

pub fn classes(dataset: &Dataset) -> (&[u32], Vec<&str>) {
    let Targets::Classes { labels, names } = &dataset.y else { panic!("{:?}", dataset.y) };
    (labels, names.iter().map(String::as_str).collect())
}

pub fn numbers(dataset: &Dataset) -> (&[f64], Vec<&str>) {
    let Targets::Numbers { values, names } = &dataset.y else { panic!("{:?}", dataset.y) };
    (values, names.iter().map(String::as_str).collect())
}

pub fn names(dataset: &Dataset) -> Vec<&str> {
    dataset.features.iter().map(|f| f.name.as_str()).collect()
}
