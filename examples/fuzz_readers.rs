//! Feeds damaged files to the readers: no input may make one panic, or take ten seconds.
//!
//! `cargo run --release --example fuzz_readers TARGET [COUNT [SEED]]`, where TARGET is table, npz, npy, parquet, fits, anndata, idx, safetensors, groups, names or
//! all.
//!
//! Every input is a file of `examples/fuzz/corpus/TARGET`, half of them with bytes changed, cut off, repeated or exchanged with another's. What
//! panics is written to `fuzz-NUMBER.TARGET`, and the exit code is 1. Files lie in memory where there is /dev/shm.

#[path = "fuzz/harness.rs"]
mod harness;

use std::path::{Path, PathBuf};

use eigenlens::data::{Missing, Request, class_names, load, read_groups};
use eigenlens::{Device, Model};
use harness::Random;

const TARGETS: [&str; 10] =
    ["table", "npz", "npy", "parquet", "fits", "anndata", "idx", "safetensors", "groups", "names"];

/// Where a target's inputs are written for its reader, and how it reads them.
struct Reader {
    target: &'static str,
    folder: PathBuf,
    file: PathBuf,
}

impl Reader {
    fn new(target: &'static str) -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = folder.join(format!("eigenlens-fuzz-{}-{target}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        let name = match target {
            "table" | "groups" => "file.csv",
            "npz" => "file.npz",
            "npy" => "file.npy",
            "parquet" => "file.parquet",
            "fits" => "file.fits",
            "anndata" => "file.h5ad",
            "idx" => "train-images-idx3-ubyte",
            "names" => "file.txt",
            _ => "file.safetensors",
        };
        // The pictures' labels stay whole.
        let labels = [&[0, 0, 8, 1, 0, 0, 0, 4][..], &[0, 1, 0, 1]].concat();
        std::fs::write(folder.join("train-labels-idx1-ubyte"), labels).expect("the folder is writable");
        std::fs::write(folder.join("data.csv"), "a,b,c=1,y\n1,2,3,0\n4,5,6,1\n").expect("the folder is writable");
        Reader { target, file: folder.join(name), folder }
    }

    /// Whether it is read; of a model's file, whether it ranks and answers, too.
    fn reads(&self, bytes: &[u8]) -> bool {
        std::fs::write(&self.file, bytes).expect("the folder is writable");
        let source = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let request = |source: String, target: Option<&str>| Request {
            target: target.map(str::to_owned),
            need_target: target.is_some(),
            ..Request::new(source)
        };
        match self.target {
            "table" | "parquet" | "fits" | "anndata" => {
                let target = if self.target == "anndata" { "type" } else { "y" };
                let request = request(source(&self.file), Some(target));
                load(&Request { dates: true, missing: Missing::Indicator, ..request }).is_ok()
            }
            "npz" => load(&Request::new(source(&self.file))).is_ok(),
            "npy" => load(&request(source(&self.file), None)).is_ok(),
            "idx" => load(&Request::new(format!("idx:{}", source(&self.folder)))).is_ok(),
            "groups" => {
                let data = load(&request(source(&self.folder.join("data.csv")), Some("y"))).expect("a good table");
                read_groups(&self.file, &data).is_ok()
            }
            "names" => class_names(&self.file, 3).is_ok(),
            _ => {
                let Ok(model) = Model::load(&self.file) else { return false };
                assert_eq!(model.ranking().len(), model.inputs().len());
                model.outputs(&vec![0.5; model.network.input_width()], &Device::CpuF64 { threads: 1 }).is_ok()
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The tests' own files, where other programs have to write them.
    let (folder, ending) = match target {
        "parquet" | "fits" => (root.join("tests/data"), target),
        "anndata" => (root.join("tests/data"), "h5ad"),
        _ => (root.join("examples/fuzz/corpus").join(target), ""),
    };
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("the corpus is there").map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.to_str().is_some_and(|path| path.ends_with(ending)));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("the file is readable")).collect()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let wanted = arguments.next().unwrap_or_else(|| "all".into());
    let count: usize = arguments.next().map_or(100_000, |n| n.parse().expect("COUNT is a number"));
    let seed: u64 = arguments.next().map_or(1, |n| n.parse().expect("SEED is a number"));
    let targets: Vec<&'static str> =
        TARGETS.into_iter().filter(|&target| wanted == "all" || wanted == target).collect();
    assert!(!targets.is_empty(), "TARGET is all or one of {}", TARGETS.join(", "));
    let mut code = 0;
    for target in targets {
        let (files, reader) = (corpus(target), Reader::new(target));
        let next = |random: &mut Random| files[random.below(files.len())].clone();
        code = code.max(harness::run(target, count, seed, next, |bytes| reader.reads(bytes)));
    }
    std::process::exit(code);
}
