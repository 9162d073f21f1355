//! `eigenlens export`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::print;
use crate::model::Model;
use crate::model_file::onnx;
use crate::{Error, Result, write};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// model.safetensors of a training or a selection
    model: PathBuf,
    /// The ONNX file to write
    #[arg(long, value_name = "FILE.onnx")]
    out: PathBuf,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    if !onnx::is_named(&args.out) {
        let out = args.out.display();
        return Err(Error::Usage(format!(
            "--out {out}: an ONNX file is known by its ending; give a name that ends in .onnx"
        )));
    }
    let model = Model::load(&args.model)?;
    let bytes = onnx::export(&model)?;
    if let Some(folder) = args.out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        write::create_dir(folder)?;
    }
    write::sweep_beside(&args.out);
    write::atomic(&args.out, |out| out.write_all(&bytes))?;
    let d = &model.description;
    let takes = if model.ranks_channels() {
        let axes: Vec<String> = d.axes.iter().map(|axis| format!("{} {}", axis.len, axis.name)).collect();
        format!("arrays [batch, {}] as the data have them", axes.join(", "))
    } else {
        let features = d.features.len();
        format!("{features} columns as the data have them (a category is a column of 0 and 1 for each value)")
    };
    print(&format!("{}: takes x, {takes}; gives y: {}\n", args.out.display(), d.targets.join(", ")))?;
    Ok(ExitCode::SUCCESS)
}
