//! `eigenlens reproduce`: one subcommand for each experiment, since they have options of their own.

mod digits;
mod feature_sets;
mod imagenet;
mod stellar;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;

use super::args::RunArgs;
use super::args::{MOST_NETWORKS, MOST_ROWS, at_most, width};
use super::output::publish;
use super::progress::Bar;
use super::resume::{KeepArgs, Kept};
use super::{print, print_json};
use crate::report::page::Page;
use crate::reproduce::squares_page;
use crate::reproduce::{
    BiasStart, Check, Digits, FeatureSet, NetworkOutcome, RotatedSquares, SquaresSettings, Variant, rotated_squares,
};
use crate::train::MOST_EPOCHS;
use crate::{Result, write};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    experiment: Experiment,
}

#[derive(Subcommand, Debug)]
enum Experiment {
    /// 20 features of which 11 tell two classes apart (spectral paper, section 3.1; figures 2 and 3)
    Gaussian(feature_sets::Args),
    /// Pairs that tell two classes apart only together, and noise (spectral paper, section 3.2; figure 4)
    Correlated(feature_sets::Args),
    /// Digits 0 and 1: the few pixels that tell them apart (spectral paper, section 3.3; figures 5 to 7)
    #[command(name = "mnist-01")]
    Mnist01(digits::Args),
    /// Digits 5 and 9 (spectral paper, section 3.3; figure 8)
    #[command(name = "mnist-59")]
    Mnist59(digits::Args),
    /// All ten digits (spectral paper, section 3.3; figures 9 and 12)
    Mnist(digits::Args),
    /// Autoencoders of rotated squares: operator beside data, contributions beside biases (SpecXAI, sections 2.3 and 3.1)
    RotatedSquares(SquaresArgs),
    /// Photographs: what the last convolution of a network looks at, and the layer before its outputs (SpecXAI, section 2.1;
    /// figures 1, 2, 3 and 11)
    #[command(name = "imagenet")]
    ImageNet(Box<imagenet::Args>),
    /// Which wavelengths tell a star's metallicity: MILES spectra (spectral paper, section 3.4)
    Stellar(stellar::Args),
}

/// Options of every experiment of the spectral paper.
#[derive(clap::Args, Debug)]
struct OutputArgs {
    /// Where the numbers (JSON) and the report go; made if it isn't there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    keep: KeepArgs,
    #[command(flatten)]
    run: RunArgs,
}

impl OutputArgs {
    /// Opens the folder of results.
    fn open(&self) -> Result<Kept> {
        Kept::open("reproduce", &self.out, &self.keep)
    }
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum VariantArg {
    /// The setting of the paper's text: r_λ 1e-2, r_ψ 1e-4, no batch norm
    Paper,
    /// That of the authors' notebooks: batch norm after the first layer; on gaussian and correlated also dropout 0.2 there,
    /// r_λ 1e-6, and r_ψ 1e-2 (gaussian) or 1e-4 (correlated)
    Notebook,
}

impl From<VariantArg> for Variant {
    fn from(variant: VariantArg) -> Variant {
        match variant {
            VariantArg::Paper => Variant::Paper,
            VariantArg::Notebook => Variant::Notebook,
        }
    }
}

#[derive(clap::Args, Debug)]
struct SquaresArgs {
    /// Networks of each kind
    #[arg(value_parser = at_most::<{ MOST_NETWORKS }>, long, default_value_t = SquaresSettings::default().seeds, value_name = "N")]
    seeds: usize,
    /// Passes over the training rows
    #[arg(value_parser = at_most::<{ MOST_EPOCHS }>, long, default_value_t = SquaresSettings::default().epochs, value_name = "N")]
    epochs: usize,
    /// Pictures generated, of which a fifth is for testing
    #[arg(value_parser = at_most::<{ MOST_ROWS }>, long, default_value_t = SquaresSettings::default().rows, value_name = "N")]
    rows: usize,
    /// Units of the layers beside the code
    #[arg(value_parser = width, long, default_value_t = SquaresSettings::default().hidden, value_name = "N")]
    hidden: usize,
    /// Of data, split and first network
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
    #[command(flatten)]
    output: OutputArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.experiment {
        Experiment::Gaussian(args) => feature_sets::run(args, FeatureSet::Gaussian),
        Experiment::Correlated(args) => feature_sets::run(args, FeatureSet::Correlated),
        Experiment::Mnist01(args) => digits::run(args, Digits::ZeroOne),
        Experiment::Mnist59(args) => digits::run(args, Digits::FiveNine),
        Experiment::Mnist(args) => digits::run(args, Digits::All),
        Experiment::RotatedSquares(args) => squares(args),
        Experiment::ImageNet(args) => imagenet::run(args),
        Experiment::Stellar(args) => stellar::run(args),
    }
}

/// Writes `DIR/<name>.json` and the report, and prints the numbers as JSON, or the table with where the page is.
fn finish(
    output: &OutputArgs,
    kept: &Kept,
    name: &str,
    numbers: &impl Serialize,
    page: &Page,
    table: &str,
) -> Result<ExitCode> {
    let (json, folder) = (json!(numbers), &kept.folder);
    let text = format!("{json:#}\n");
    if folder.names().contains(&format!("{name}.json")) {
        // Of an earlier run, in formats that weren't asked for now.
        ["report.html", "report.md", "report.json"].into_iter().for_each(|page| folder.replace(page));
    }
    write::atomic(folder.file(&format!("{name}.json")), |out| out.write_all(text.as_bytes()))?;
    let report = output.run.save(page, folder, "report")?;
    publish(folder)?;
    kept.finished()?;
    if output.run.json {
        print_json(&json)?;
    } else {
        print(&format!("{table}{report}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The checks as lines of a table.
fn check_lines(checks: &[Check]) -> String {
    let line = |check: &Check| {
        let (verdict, relation) = (if check.holds { "holds" } else { "FAILS" }, if check.at_least { '≥' } else { '≤' });
        format!("{verdict}  {:<86} {:>7.4} {relation} {}\n", check.what, check.value, check.bound)
    };
    checks.iter().map(line).collect()
}

fn squares(args: &SquaresArgs) -> Result<ExitCode> {
    let device = args.output.run.device.open()?;
    let kept = args.output.open()?;
    let settings = SquaresSettings {
        rows: args.rows,
        seeds: args.seeds,
        epochs: args.epochs,
        hidden: args.hidden,
        seed: args.seed,
        keep: kept.with(String::new())?,
        ..SquaresSettings::default()
    };
    let bar = Bar::new("MAE");
    let outcome = rotated_squares(&settings, &device, &mut |_, progress| bar.show(progress));
    bar.finish();
    let outcome = kept.ended(outcome)?;
    let page = squares_page::page(&outcome, &device.to_string());
    let table = format!("{}{:.0} s on {device}.\n", table(&outcome), outcome.seconds);
    finish(&args.output, &kept, "rotated_squares", &outcome, &page, &table)
}

fn table(outcome: &RotatedSquares) -> String {
    let mut text = String::from(
        "                    test R²  live  rank  σ₁/σ₀  σ₂/σ₀  energy in 2  ‖J x̃‖/‖y‖  ‖Σβ‖/‖y‖  residual\n",
    );
    for (name, data) in [("data", &outcome.uncentred), ("data, centred", &outcome.centred)] {
        text.push_str(&format!(
            "{name:<18}       –     –     –  {:>6.3} {:>6.3}  {:>11.3}          –         –         –\n",
            data.decay[1], data.decay[2], data.energy[1]
        ));
    }
    for bias in BiasStart::ALL {
        let of: Vec<&NetworkOutcome> = outcome.networks.iter().filter(|n| n.bias == bias).collect();
        let mean = |f: fn(&NetworkOutcome) -> f64| of.iter().map(|n| f(n)).sum::<f64>() / of.len() as f64;
        text.push_str(&format!(
            "{:<18} {:>8.4} {:>5.1} {:>5.1}  {:>6.3} {:>6.3}  {:>11.3}  {:>9.3} {:>9.3}  {:>8.1e}\n",
            bias.name(),
            mean(|n| n.test_r2),
            mean(|n| n.live_code_units as f64),
            mean(|n| n.rank),
            mean(|n| n.decay[1]),
            mean(|n| n.decay[2]),
            mean(|n| n.energy[1]),
            mean(|n| n.operator_norm),
            mean(|n| n.bias_norm),
            of.iter().map(|n| n.residual).fold(0.0, f64::max),
        ));
    }
    text
}
