//! `eigenlens rank`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::{output, print, print_json};
use crate::model::Model;
use crate::report::tables;
use crate::report::text::many;
use crate::{Error, Result};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// model.safetensors of a training
    model: PathBuf,
    /// How many inputs to show [default: 20; all with --json]
    #[arg(long, value_name = "K")]
    top: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    if args.top == Some(0) {
        return Err(Error::Usage("--top is 0; give 1 or more".into()));
    }
    let model = Model::load_trained(&args.model)?;
    let ranking = model.ranking();
    let noun = if model.ranks_channels() { "channel" } else { "input" };
    if args.json {
        let top = args.top.unwrap_or(ranking.len()).min(ranking.len());
        print_json(&json!({
            "features": ranking.len(),
            "kept_features": output::kept(&model, &ranking),
            "threshold": model.description.settings.threshold,
            "replicas": model.parameters.len(),
            "verdict": model.description.verdict,
            "ranking": ranking[..top],
            // By feature, as in the data: what counts where λ_out is trained too.
            "weight_norm": model.weight_norms(),
        }))?;
    } else {
        let kept = output::kept(&model, &ranking);
        let text = tables::ranking_text(&ranking, model.description.control.as_ref(), args.top.unwrap_or(20));
        let threshold = model.description.settings.threshold * 100.0;
        let caution = model.description.caution().map_or_else(String::new, |caution| format!("{caution}\n\n"));
        let kept = match &model.description.control {
            Some(control) => format!(
                "{} of {} {} more relevant than each of {} shuffled copies",
                control.inputs_above,
                many(control.inputs, noun),
                if control.inputs_above == 1 { "is" } else { "are" },
                control.copies
            ),
            None if ranking.len() == 1 => format!("there is one {noun}, so there is no ranking"),
            None => {
                format!("{kept} of {} carry a relevance above {threshold} % of the largest", many(ranking.len(), noun))
            }
        };
        print(&format!("{caution}{text}{kept}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}
