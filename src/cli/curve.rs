//! `eigenlens curve`.

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use super::args::{DataArgs, RunArgs, say_notes};
use super::args::{MOST_DRAWS, at_most};
use super::output::{Results, metric_of, publish, refuse_other_model};
use super::resume::{KeepArgs, Kept, digest, digest_of_model};
use super::say;
use super::{print, print_json};
use crate::assess::{RowScores, mean_outputs};
use crate::engine::Device;
use crate::error::counted;
use crate::model::Model;
use crate::relevance::{CurveOptions, MaskFill, curve};
use crate::report::curve_page::CurvePage;
use crate::report::tables;
use crate::run::Folder;
use crate::train::Resident;
use crate::{Error, Result};

#[derive(ValueEnum, Debug, Clone, Copy)]
enum Fill {
    Zero,
    Mean,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    Test,
    Validation,
    Train,
}

#[derive(clap::Args, Debug)]
pub struct Args {
    /// model.safetensors of a training
    model: PathBuf,
    /// The data it was trained on, or others with the same columns; row weights of the training weigh the scores too, where
    /// the data have them
    data: String,
    /// Where curve.csv and the report go; made if it isn't there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Largest number of inputs kept
    #[arg(long, default_value_t = 100, value_name = "K")]
    max_k: usize,
    /// Random orderings to compare with
    #[arg(value_parser = at_most::<{ MOST_DRAWS }>, long, default_value_t = 5, value_name = "N")]
    controls: usize,
    /// What replaces an input that is not kept: zero (after scaling) or the training mean
    #[arg(long, default_value = "zero")]
    mask: Fill,
    /// Which rows [default: test, else validation]
    #[arg(long)]
    rows: Option<Rows>,
    /// Also train networks anew on the best inputs alone, at some k
    #[arg(long)]
    retrain: bool,
    #[command(flatten)]
    read: DataArgs,
    #[command(flatten)]
    keep: KeepArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut model = Model::load_trained(&args.model)?;
    let device = args.run.device.open()?;
    refuse_other_model(&args.out, &args.model)?;
    let kept = Kept::open("curve", &args.out, &args.keep)?;
    let d = &model.description;
    let mut request = args.read.request(&args.data, d.split_seed);
    super::predict::fill_in(&mut request, &model);
    request.weights.clone_from(&d.weight_column);
    let mut dataset = super::predict::read(&request, &model)?;
    say_notes(&dataset);
    let keep = kept.with(digest_of_model(&model) + &digest(&dataset))?;
    let (parts, known) = model.split(&dataset)?;
    if !known {
        say(&format!("{} is not what the model was trained on: every row counts as a test row", args.data));
    }
    if let (Some(name), None) = (&d.weight_column, &dataset.weights) {
        say(&format!("{} has no row weights {name:?}, as the training had: every row counts the same", args.data));
    }
    let resident = model.prepare(&mut dataset, &parts)?;
    let all = [
        (Rows::Test, "test", resident.test.clone()),
        (Rows::Validation, "validation", resident.validation.clone()),
        (Rows::Train, "train", resident.train.clone()),
    ];
    let chosen = match args.rows {
        Some(rows) => all.into_iter().find(|(r, ..)| *r == rows),
        None => all.into_iter().find(|(r, _, range)| *r != Rows::Train && !range.is_empty()),
    };
    let (_, name, range) = chosen
        .ok_or_else(|| Error::Usage("the data have neither test nor validation rows; add --rows train".into()))?;
    model.description.settings.keep = keep;
    kept.ended(args.draw(&model, &resident, (name, range), &device, &kept.folder))?;
    kept.finished()?;
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// Draws the curve on some rows, writes everything and prints it.
    fn draw(
        &self,
        model: &Model,
        resident: &Resident,
        (name, range): (&str, Range<usize>),
        device: &Device,
        folder: &Folder,
    ) -> Result<()> {
        let args = self;
        let options = CurveOptions {
            max_k: args.max_k,
            controls: args.controls,
            fill: match args.mask {
                Fill::Zero => MaskFill::Zero,
                Fill::Mean => MaskFill::Mean,
            },
            seed: model.description.split_seed,
            retrain: args.retrain,
        };
        let count = range.len();
        let curve = curve(model, resident, (name, range.clone()), &options, device)?;
        let path = args.out.join("curve.csv");
        Results::Curve.replace(folder);
        tables::write_curve(folder.file("curve.csv"), &curve)?;
        let ranking = model.ranking();
        let page = CurvePage {
            source: &args.data,
            curve: &curve,
            rows: count,
            se: standard_error(model, resident, range, device)?,
            names: ranking.iter().map(|feature| feature.name.as_str()).collect(),
            replicas: model.parameters.len(),
            settings: vec![
                ("model".into(), args.model.display().to_string()),
                ("data".into(), args.data.clone()),
                ("rows".into(), format!("{name}, {count}")),
                ("largest number of inputs".into(), args.max_k.min(ranking.len()).to_string()),
                ("random orderings".into(), args.controls.to_string()),
                ("masked inputs".into(), curve.mask.clone()),
                ("trained anew".into(), if args.retrain { "yes".into() } else { "no".into() }),
                ("engine".into(), device.to_string()),
            ],
            caution: model.description.caution(),
        };
        let report = args.run.save(&page.page(), folder, "curve")?;
        publish(folder)?;
        if args.run.json {
            return print_json(&serde_json::json!(curve));
        }
        let metric = curve.metric.short_name();
        let caution = model.description.caution().map_or_else(String::new, |caution| format!("{caution}\n\n"));
        let mut text = format!(
            "{caution}{metric} on {}; all inputs: {:.4}\n     k  ranked  random\n",
            counted(count, &format!("{name} row")),
            curve.full
        );
        for point in curve.points.iter().filter(|p| [1, 2, 5, 10, 14, 20, 30, 50, 100].contains(&p.k)) {
            text.push_str(&format!(
                "{:6}  {:.4}  {:.4} ± {:.4}",
                point.k, point.ranked, point.random_mean, point.random_std
            ));
            if let Some(retrained) = point.retrained {
                text.push_str(&format!("  retrained {retrained:.4}"));
            }
            text.push('\n');
        }
        text.push_str(&format!("Curve: {}\n{report}", path.display()));
        print(&text)
    }
}

/// Of the score with every input, over the rows.
fn standard_error(model: &Model, data: &Resident, range: Range<usize>, device: &Device) -> Result<f64> {
    let rows = &data.list[range.clone()];
    // The best constant answer is asked for nothing here: without training rows that to the rows themselves will do.
    let training = if data.train.is_empty() { rows } else { &data.list[data.train.clone()] };
    let outputs = mean_outputs(&mut model.job(data, None, device)?, range)?;
    let judged = RowScores::new(data, metric_of(model), training, rows, &outputs).judge();
    Ok(judged.map_or(f64::INFINITY, |judged| judged.score.se))
}
