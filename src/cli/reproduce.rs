//! `eigenlens reproduce`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::json;

use super::args::DeviceArgs;
use super::progress::Bar;
use super::{print, print_json};
use crate::experiments::{BiasStart, NetworkOutcome, RotatedSquares, SquaresSettings, rotated_squares};
use crate::report::squares_page;
use crate::{Result, write};

#[derive(ValueEnum, Debug, Clone, Copy)]
enum Experiment {
    /// Autoencoders of rotated squares: operator beside data, contributions beside biases (SpecXAI, sections 2.3 and 3.1)
    RotatedSquares,
    /// Which wavelengths tell a star's metallicity: MILES spectra (spectral paper, section 3.4)
    Stellar,
}

#[derive(clap::Args, Debug)]
pub struct Args {
    experiment: Experiment,
    /// Where the numbers (JSON) and report.html go; made if it isn't there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Networks of each kind
    #[arg(long, default_value_t = SquaresSettings::default().seeds, value_name = "N")]
    seeds: usize,
    /// Passes over the training rows [default: 100; stellar 300]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Pictures generated, of which a fifth is for testing
    #[arg(long, default_value_t = SquaresSettings::default().rows, value_name = "N")]
    rows: usize,
    /// Units of the layers beside the code
    #[arg(long, default_value_t = SquaresSettings::default().hidden, value_name = "N")]
    hidden: usize,
    /// Of data, split and first network
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
    #[command(flatten)]
    stellar: super::stellar::Args,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print the numbers as JSON instead of the table
    #[arg(long, help_heading = "Engine")]
    json: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    match args.experiment {
        Experiment::RotatedSquares => squares(args),
        Experiment::Stellar => {
            super::stellar::run(&args.stellar, &args.out, args.epochs, args.seed, &args.device, args.json)
        }
    }
}

fn squares(args: &Args) -> Result<ExitCode> {
    let device = args.device.open()?;
    write::create_dir(&args.out)?;
    let settings = SquaresSettings {
        rows: args.rows,
        seeds: args.seeds,
        epochs: args.epochs.unwrap_or(SquaresSettings::default().epochs),
        hidden: args.hidden,
        seed: args.seed,
        ..SquaresSettings::default()
    };
    let bar = Bar::new("MAE");
    let outcome = rotated_squares(&settings, &device, &mut |_, progress| bar.show(progress));
    bar.finish();
    let outcome = outcome?;
    let json = json!(outcome);
    let text = format!("{json:#}\n");
    write::atomic(args.out.join("rotated_squares.json"), |out| out.write_all(text.as_bytes()))?;
    let html = squares_page::html(&outcome, &device.to_string());
    write::atomic(args.out.join("report.html"), |out| out.write_all(html.as_bytes()))?;
    if args.json {
        print_json(&json)?;
    } else {
        let report = args.out.join("report.html");
        print(&format!("{}{:.0} s on {device}.\nReport: {}\n", table(&outcome), outcome.seconds, report.display()))?;
    }
    Ok(ExitCode::SUCCESS)
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
