//! `eigenlens demo`: the main job on real data, with nothing to set up.

use std::path::PathBuf;
use std::process::ExitCode;

use super::args::RunArgs;
use super::train::train;
use crate::data::{self, Request};
use crate::model::Plan;
use crate::report::tables::CsvNames;
use crate::run::Folder;
use crate::{Error, Result};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where model, tables and report go
    #[arg(long, value_name = "DIR", default_value = "out/demo")]
    out: PathBuf,
    /// The directory with the four MNIST files
    #[arg(long, value_name = "DIR", default_value = "examples/data/mnist")]
    mnist: PathBuf,
    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    if !args.mnist.is_dir() {
        return Err(Error::input(
            &args.mnist,
            "directory",
            "the demo's MNIST files are not here",
            "run it in the repository's folder, or give --mnist DIR",
        ));
    }
    let device = args.run.device.open()?;
    let folder = Folder::open(&args.out)?;
    let source = format!("idx:{}", args.mnist.display());
    let request = Request { classes: Some(vec!["0".into(), "1".into()]), ..Request::new(source) };
    let dataset = data::load(&request)?;
    // 784-100-100-50-2 with the paper's penalties, balanced start and a cosine schedule: all defaults.
    let stopped =
        train("MNIST 0 v 1".into(), dataset, &Plan::default(), &device, &folder, &args.run, CsvNames::AsTheyAre)?;
    Ok(if stopped { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
