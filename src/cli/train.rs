//! `eigenlens train`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::{DataArgs, LearnArgs, NetworkArgs, RunArgs, TrainingArgs, announce};
use super::interrupt::farewell;
use super::names::CsvArgs;
use super::output::{self, Outcome};
use super::progress::Bar;
use super::resume::{KeepArgs, Kept, digest};
use super::{print, print_json, say};
use crate::Result;
use crate::data::{self, Dataset, Request, Targets, Task};
use crate::engine::Device;
use crate::model::Plan;
use crate::relevance::{CurveOptions, curve};
use crate::report::assessment;
use crate::report::tables::{self, CsvNames};
use crate::report::text::many;
use crate::run::Folder;
use crate::train::Metric;

#[derive(clap::Args, Debug)]
#[command(args_override_self = true)]
pub struct Args {
    /// table.csv (.tsv, .txt, also .gz; - for standard input), .parquet, .fits, .h5ad, arrays.npz (X, y, optional X_test, y_test), array.npy with
    /// --target-file, a folder of pictures (subfolders are classes), idx:DIRECTORY,
    /// gaussian, correlated, channels or rotated-squares
    data: String,
    /// Where model, tables and report go; made if it isn't there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    keep: KeepArgs,
    #[command(flatten)]
    read: DataArgs,
    #[command(flatten)]
    learn: LearnArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    csv: CsvArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    args.network.sequential()?;
    let device = args.run.device.open()?;
    let convolves = !args.network.convolutions.conv.is_empty();
    let request = Request { convolves, ..args.learn.request(&args.read, &args.data, args.training.seed) };
    // Refused now rather than after an hour of training.
    let kept = Kept::open("train", &args.out, &args.keep)?;
    let dataset = data::load(&request)?;
    announce(&dataset, &request);
    let mut plan = args.training.plan(&args.network, &args.read, &args.learn, &dataset)?;
    plan.settings.keep = kept.with(digest(&dataset))?;
    let title = title(&request, &dataset);
    let stopped = kept.ended(train(title, dataset, &plan, &device, &kept.folder, &args.run, args.csv.names()))?;
    if stopped {
        say(&farewell());
        return Ok(ExitCode::FAILURE);
    }
    kept.finished()?;
    Ok(ExitCode::SUCCESS)
}

/// What a person would call the data.
fn title(request: &Request, dataset: &Dataset) -> String {
    let path = request.source.strip_prefix("idx:").unwrap_or(&request.source);
    let name = Path::new(path).file_stem().map_or_else(|| path.to_owned(), |s| s.to_string_lossy().into_owned());
    match (&dataset.y, &request.target) {
        (Targets::Classes { names, .. }, _) if request.classes.is_some() => format!("{name}: {}", names.join(" v ")),
        (_, Some(target)) => format!("{name}: {target}"),
        _ => name,
    }
}

/// Trains, ranks, draws the curve, writes everything and prints the table; whether it was stopped early.
pub fn train(
    title: String,
    mut dataset: Dataset,
    plan: &Plan,
    device: &Device,
    folder: &Folder,
    run: &RunArgs,
    names: CsvNames,
) -> Result<bool> {
    let task = if matches!(dataset.y, Targets::Classes { .. }) { Task::Classify } else { Task::Regress };
    let bar = Bar::new(Metric::of(task, plan.balanced_classes).short_name());
    let fit = plan.fit_with(&mut dataset, device, &mut |progress| bar.show(progress));
    bar.finish();
    let fit = fit?;
    let model = &fit.model;
    output::Results::Model.replace(folder);
    model.save(folder.file("model.safetensors"))?;
    let ranking = model.ranking();
    let resident = model.prepare(&mut dataset, &fit.split)?;
    let rows = [("test", &resident.test), ("validation", &resident.validation), ("train", &resident.train)];
    let (name, range) = rows.into_iter().find(|(_, r)| !r.is_empty()).expect("there are training rows");
    let curve = curve(model, &resident, (name, range.clone()), &CurveOptions::default(), device)?;
    let examples = output::examples(model, &dataset, &fit.split, &resident, device)?;
    let outcome = Outcome { title, fit: &fit, ranking: &ranking, curve: &curve, examples: &examples, device };
    outcome.write(folder, names)?;
    let report = run.save(&outcome.page(), folder, "report")?;
    output::publish(folder)?;
    if run.json {
        print_json(&outcome.metrics())?;
    } else {
        print(&text(&outcome, &report))?;
    }
    Ok(fit.stopped)
}

/// The ranking's head, the scores and where to look further.
fn text(outcome: &Outcome<'_>, report: &str) -> String {
    let assessed = &outcome.fit.assessment;
    // Before the ranking: whether there is anything in it.
    let mut text: String = assessment::lead(assessed).into_iter().map(|line| line + "\n").collect();
    text.push('\n');
    text.push_str(&tables::ranking_text(outcome.ranking, assessed.control.as_ref(), 20));
    text.push('\n');
    text.push_str(&assessment::lines(assessed));
    text.push('\n');
    for line in outcome.summary() {
        text.push_str(&format!("{line}\n"));
    }
    let fit = outcome.fit;
    text.push_str(&format!(
        "{} {} in {:.1} s on {}.\n{report}",
        if fit.stopped { "Stopped early:" } else { "Trained" },
        many(fit.model.description.steps as usize, "step"),
        fit.seconds,
        outcome.device,
    ));
    text
}
