//! The program as scripts run it, and a table for it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

pub fn eigenlens(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eigenlens")).args(arguments).output().expect("the program starts")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("stdout is text")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("stderr is text")
}

/// A directory for one test's files.
pub struct Place(pub TempDir);

impl Place {
    pub fn new() -> Self {
        Place(tempfile::tempdir().expect("a temporary directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a UTF-8 path").to_owned()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), content).expect("the fixture is written");
        self.text(name)
    }
}

/// 240 rows; the class depends on `a` and on `kind`, not on `b` and `c`.
pub fn table() -> String {
    let mut text = String::from("a,b,c,kind,class\n");
    for i in 0..240u32 {
        let noise = |k: u32| f64::from((i * 7919 + k * 104_729) % 1000) / 500.0 - 1.0;
        let kind = ["red", "green", "blue"][(i * 31 % 3) as usize];
        let a = noise(1);
        let class = if a + if kind == "red" { 0.8 } else { -0.4 } > 0.0 { "yes" } else { "no" };
        text.push_str(&format!("{a:.3},{:.3},{:.3},{kind},{class}\n", noise(2), noise(3)));
    }
    text
}

pub const QUICK: [&str; 6] = ["--hidden", "16", "--epochs", "60", "--device", "cpu"];

/// Options given twice count as given the second time.
pub fn train(data: &str, out: &str, more: &[&str]) -> Output {
    eigenlens(&[&["train", data, "--out", out], &QUICK[..], more].concat())
}

/// Fails with the given code, says one sentence that holds all the parts, and doesn't panic.
#[track_caller]
pub fn refused(output: &Output, code: i32, parts: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    // What a table's columns were taken for is said before what is wrong beyond them.
    assert_eq!(text.trim().lines().filter(|l| !l.contains("; target: ")).count(), 1, "one sentence: {text}");
}
