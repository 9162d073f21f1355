//! `eigenlens reproduce imagenet`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::args::{GivenArgs, mebibytes, minutes};
use super::super::progress::RowBar;
use super::super::resume::digest_of_rows;
use super::super::rows;
use super::{OutputArgs, finish};
use crate::model::Model;
use crate::network::{Network, NodeId};
use crate::report::explain_page::output_name;
use crate::report::text::percent;
use crate::reproduce::imagenet::{AtSplit, ImageNet, SHOWN, claims};
use crate::reproduce::imagenet_page;
use crate::specxai::{ExplainSettings, Work, cuts, explain_planned, last_spatial_cut, plan, split_node, tolerance};
use crate::train::Flow;
use crate::{Error, Result};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A network of photographs, as an .onnx file
    #[arg(long, value_name = "FILE.onnx")]
    model: PathBuf,
    /// A folder with JPEG or PNG photographs, or files
    #[arg(long, required = true, num_args = 1.., value_name = "DIR")]
    images: Vec<String>,
    /// The layer before the outputs, and the last convolution [default: the last cut without spatial axes before the output, or, where
    /// there is none, what the last convolution reads; the last cut with spatial axes]
    #[arg(long, value_delimiter = ',', num_args = 2, value_name = "NODE,NODE")]
    splits: Option<Vec<String>>,
    /// Minutes that all decompositions may take, by estimate
    #[arg(long, default_value_t = 30.0, value_name = "MINUTES", value_parser = minutes)]
    budget: f64,
    /// MiB that one decomposition may take
    #[arg(long, default_value_t = 1024, value_name = "MIB", value_parser = mebibytes)]
    memory: usize,
    #[command(flatten)]
    given: GivenArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The layer before the outputs, and the last convolution, as the paper has them.
fn default_splits(network: &Network) -> Option<[NodeId; 2]> {
    let cuts = cuts(network);
    let is_spatial = |id: &NodeId| network.nodes[*id].is_spatial();
    let last = last_spatial_cut(network)?;
    let outputs = network.output().width();
    let dense = |id: &NodeId| *id > last && !is_spatial(id) && network.nodes[*id].width() != outputs;
    let channels = network.nodes[last].shape[0];
    let feeds = |id: &NodeId| *id < last && is_spatial(id) && network.nodes[*id].shape[0] != channels;
    let pooled_width = network.nodes[last].shape[0];
    // What is only pooled from the last convolution is no layer of its own.
    let before = cuts.iter().copied().rfind(|id| dense(id) && network.nodes[*id].width() != pooled_width);
    Some([before.or_else(|| cuts.iter().copied().rfind(feeds))?, last])
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut model = Model::load(&args.model)?;
    let splits = match &args.splits {
        Some(names) => [split_node(&model.network, &names[0])?, split_node(&model.network, &names[1])?],
        None => default_splits(&model.network).ok_or_else(|| {
            Error::Usage("the network has no two layers as the paper compares; name them with --splits".into())
        })?,
    };
    let device = args.output.run.device.open()?;
    let rows = rows::load(&mut model, &args.images, &args.given, "all")?;
    let Some(steps) = &rows.pictures else {
        return Err(Error::Usage("--images: give photographs, as JPEG or PNG files or a folder of them".into()));
    };
    let kept = args.output.open()?;
    let keep = kept.with(digest_of_rows(&model, &rows))?;
    let clock = keep.clock();
    let count = rows.numbers.len();
    let settings = ExplainSettings {
        components: 8,
        leading: SHOWN,
        memory: args.memory.saturating_mul(1 << 20),
        budget: 60.0 * args.budget / (2 * count) as f64,
        keep,
        ..ExplainSettings::at(&splits)
    };
    let network = &model.network;
    let first = &rows.inputs[..network.input_width()];
    let plans = kept.ended(plan(network, &model.parameters[0], first, &settings, &device))?;
    super::super::explain::announce(network, &plans, count);
    let mut at = splits.map(|split| AtSplit::new(&network.nodes[split].name));
    let (mut outputs, mut problem, mut done) = (Vec::new(), None, 0usize);
    let bar = RowBar::new(count);
    let place = std::cell::Cell::new(0.0);
    let tolerance = tolerance(&device);
    let mut each = |e: crate::specxai::Explanation| {
        if done % 2 == 0 {
            outputs.push(output_name(e.output, &model.description.targets));
        }
        if let Err(error) = e.check(tolerance).and_then(|()| at[done % 2].add(&e, &model.description.axes)) {
            problem = Some(error);
            return Flow::Stop;
        }
        done += 1;
        place.set(done as f64 / 2.0);
        bar.show(place.get())
    };
    let mut watch = |work: Work| bar.show(place.get() + work.share / 2.0);
    let parameters = &model.parameters[0];
    let made = explain_planned(network, parameters, &rows.inputs, &settings, &plans, &device, &mut each, &mut watch);
    bar.finish();
    kept.ended(made)?;
    if let Some(error) = problem {
        return Err(error);
    }
    if done < 2 * count {
        return kept.ended(Err(Error::Stopped("stopped before the last picture".into())));
    }
    let claims = claims(&at[0], &at[1]);
    let names = rows.names.clone().unwrap_or_default();
    let outcome = ImageNet { names, outputs, splits: at, claims, seconds: clock.seconds() };
    let told = vec![
        ("model".to_owned(), args.model.display().to_string()),
        ("pictures".into(), format!("{}; a pixel is {}", steps.said(), steps.scale_said())),
        ("budget".into(), format!("{} min, {} MiB", args.budget, args.memory)),
        ("engine".into(), device.to_string()),
        ("time".into(), format!("{:.0} s", outcome.seconds)),
    ];
    let page = imagenet_page::page(&outcome, &rows.raw, &model.description.axes, steps.channels, told);
    let table = format!("{}{:.0} s on {device}.\n", table(&outcome), outcome.seconds);
    finish(&args.output, &kept, "imagenet", &outcome, &page, &table)
}

fn table(outcome: &ImageNet) -> String {
    let mut text = String::new();
    for at in &outcome.splits {
        text.push_str(&format!(
            "{:<24} inside the best quarter {} ± {}, entropy {:.3}, participation {:.1} ± {:.1}\n",
            at.split,
            percent(at.inside.mean),
            percent(at.inside.std),
            at.entropy.mean,
            at.participation.mean,
            at.participation.std
        ));
    }
    for claim in &outcome.claims {
        text.push_str(&format!(
            "{}  {:<74} {:>9.3} ± {:.3}, {} of {} pictures\n",
            if claim.holds { "holds" } else { "FAILS" },
            claim.what,
            claim.difference,
            claim.se,
            claim.pictures[0],
            claim.pictures[1]
        ));
    }
    text
}
