//! The reader of idx files: good ones, bad ones, and what is a class in them.

use std::fs;
use std::io::Write;

use eigenlens::data::{Request, load};
use tempfile::TempDir;

use crate::common::files::{classes, names, refused};

/// An idx directory of two 1×2 pictures.
fn idx(images: &[u8], labels: &[u8], gzip: bool) -> (TempDir, Request) {
    let name = if gzip { "train-images-idx3-ubyte.gz" } else { "train-images-idx3-ubyte" };
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(name), images).unwrap();
    fs::write(directory.path().join("train-labels-idx1-ubyte"), labels).unwrap();
    let request = Request::new(format!("idx:{}", directory.path().display()));
    (directory, request)
}

#[test]
fn idx_bad_files() {
    let header = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    let images = [&header[..], &[1, 2, 3, 4]].concat();
    let labels = [0u8, 0, 8, 1, 0, 0, 0, 2, 0, 1];
    let (_file, request) = idx(&images, &labels, false);
    let data = load(&request).unwrap();
    assert_eq!((data.rows, names(&data)), (2, vec!["r0c0", "r0c1"]));
    let bad = |images: &[u8], labels: &[u8], gzip, parts: &[&str]| {
        let (_file, request) = idx(images, labels, gzip);
        refused(load(&request), parts);
    };
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&images).unwrap();
    let packed = packed.finish().unwrap();
    let (_file, request) = idx(&packed, &labels, true);
    assert_eq!(load(&request).unwrap().x, data.x);
    // What counts is the content, not the name.
    for (content, gz) in [(&images, true), (&packed, false)] {
        let (_file, request) = idx(content, &labels, gz);
        assert_eq!(load(&request).unwrap().x, data.x);
    }
    for len in 0..packed.len() {
        bad(&packed[..len], &labels, true, &["train-images-idx3-ubyte.gz", "fetch the file again"]);
    }
    bad(&images[..19], &labels, false, &["data", "3 of 4 values", "fetch"]);
    bad(&images[..9], &labels, false, &["header", "fetch"]);
    bad(&[&[0, 0, 9, 3], &images[4..]].concat(), &labels, false, &["header", "09", "unsigned bytes"]);
    bad(&[&header[..4], &[255; 12]].concat(), &labels, false, &["header", "impossible shape"]);
    bad(&[&header[..4], &[0, 16, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9]].concat(), &labels, false, &["data", "0 of 9437184"]);
    let three = [0u8, 0, 8, 1, 0, 0, 0, 3, 0, 1, 1];
    bad(&images, &three, false, &["train-labels", "3 labels for 2 pictures"]);
    refused(load(&Request::new("idx:/nowhere")), &["/nowhere", "no such directory"]);
}

#[test]
fn idx_checksum() {
    let images = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4];
    let labels = [0u8, 0, 8, 1, 0, 0, 0, 2, 0, 1];
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&images).unwrap();
    let mut packed = packed.finish().unwrap();
    let crc = packed.len() - 8;
    packed[crc] ^= 1;
    let (_file, request) = idx(&packed, &labels, true);
    refused(load(&request), &["train-images-idx3-ubyte.gz", "fetch the file again"]);
}

#[test]
fn idx_names_only_labels_that_occur() {
    let images = [&[0u8, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1][..], &[1, 2, 3, 4]].concat();
    let labels = |values: [u8; 4]| [&[0u8, 0, 8, 1, 0, 0, 0, 4][..], &values].concat();
    let (directory, request) = idx(&images, &labels([9, 3, 3, 9]), false);
    assert_eq!(classes(&load(&request).unwrap()), (&[1, 0, 0, 1][..], vec!["3", "9"]));
    // A label of the test file alone has a name too; that it lacks training rows is for the split to say.
    fs::write(directory.path().join("t10k-images-idx3-ubyte"), &images).unwrap();
    fs::write(directory.path().join("t10k-labels-idx1-ubyte"), labels([3, 9, 5, 3])).unwrap();
    let data = load(&request).unwrap();
    assert_eq!(classes(&data), (&[2, 0, 0, 2, 0, 2, 1, 0][..], vec!["3", "5", "9"]));
    // A model of some classes meets data that lack some of those and have others.
    let known = data.keep_known_classes(&["9".into(), "7".into(), "5".into()]).unwrap();
    assert_eq!(classes(&known), (&[0, 0, 0, 1][..], vec!["9", "5"]));
    let (_file, request) = idx(&images, &labels([3; 4]), false);
    refused(load(&request), &["target", "every row has the class \"3\"", "two classes"]);
}
