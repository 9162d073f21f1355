//! `eigenlens reproduce stellar`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use super::super::args::by_name;
use super::super::args::{MOST_DRAWS, MOST_NETWORKS, at_most};
use super::super::progress::Bar;
use super::super::resume::digest_of_lists;
use super::{OutputArgs, check_lines, finish};
use crate::Result;
use crate::data::ScaleKind;
use crate::reproduce::stellar::{BEST, Spectra, Stellar, StellarRun, StellarSettings, schedule_name, stellar};
use crate::reproduce::stellar_page;
use crate::train::MOST_EPOCHS;
use crate::train::Schedule;

#[derive(ValueEnum, Debug, Clone, Copy)]
enum Schedules {
    /// Half a cosine to a hundredth
    Cosine,
    /// The paper's
    Constant,
    /// One after the other
    Both,
}

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The spectra; scripts/fetch_miles.sh makes the file
    #[arg(long, value_name = "MILES.npz")]
    data: PathBuf,
    /// Splits into training and test stars, each with networks of its own
    #[arg(value_parser = at_most::<{ MOST_DRAWS }>, long, default_value_t = StellarSettings::default().splits, value_name = "N")]
    splits: usize,
    /// Networks of each split, trained as one; the wavelengths are ranked by their mean
    #[arg(value_parser = at_most::<{ MOST_NETWORKS }>, long, default_value_t = StellarSettings::default().replicas, value_name = "R")]
    replicas: usize,
    /// Scaling of each wavelength by the training stars, after a star's flux is divided by its largest: standard, minmax, unit, none
    #[arg(long, default_value = "standard", value_parser = by_name::<ScaleKind>)]
    scale: ScaleKind,
    /// Learning rate over the training
    #[arg(long, value_enum, default_value = "cosine")]
    schedule: Schedules,
    /// Passes over the training stars
    #[arg(value_parser = at_most::<{ MOST_EPOCHS }>, long, default_value_t = StellarSettings::default().epochs, value_name = "N")]
    epochs: usize,
    /// Of the first split and network
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
    #[command(flatten)]
    output: OutputArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let defaults = StellarSettings::default();
    let epochs = args.epochs;
    let settings = StellarSettings {
        splits: args.splits,
        replicas: args.replicas,
        scale: args.scale,
        epochs,
        // A short trial is short in all its parts.
        retrain_epochs: defaults.retrain_epochs.min(epochs),
        diffuse_epochs: defaults.diffuse_epochs.min(epochs),
        schedules: match args.schedule {
            Schedules::Cosine => vec![Schedule::Cosine],
            Schedules::Constant => vec![Schedule::Constant],
            Schedules::Both => vec![Schedule::Cosine, Schedule::Constant],
        },
        seed: args.seed,
        ..defaults
    };
    settings.check()?;
    let spectra = Spectra::read(&args.data)?;
    let device = args.output.run.device.open()?;
    let kept = args.output.open()?;
    let settings = StellarSettings { keep: kept.with(digest_of_lists(&[&spectra.flux, &spectra.feh]))?, ..settings };
    let mut bar = (String::new(), Bar::new("MAE"));
    let outcome = stellar(&spectra, &settings, &device, &mut |what, progress| {
        if bar.0 != what {
            // Every training has a bar of its own, so that the time left is that of its own kind of step.
            bar.1.finish();
            bar = (what.to_owned(), Bar::titled(what, "MAE"));
        }
        bar.1.show(progress)
    });
    bar.1.finish();
    let outcome = kept.ended(outcome)?;
    let page = stellar_page::page(&outcome, &device.to_string());
    let tables: String = outcome.runs.iter().map(|run| table(run, &outcome)).collect();
    let tables = format!("{tables}\n{:.0} s on {device}.\n", outcome.seconds);
    finish(&args.output, &kept, "stellar", &outcome, &page, &tables)
}

fn table(run: &StellarRun, outcome: &Stellar) -> String {
    let mut text = format!(
        "{} learning rate, {} stars, {} wavelengths\n\
         split  train MAE  test MAE  test R²  kept  lowest masked MAE at k  enough  retrained on {BEST}  random {BEST}\n",
        schedule_name(run.schedule),
        outcome.stars,
        outcome.wavelength.len(),
    );
    for split in &run.splits {
        let at = split.retrained.iter().find(|r| r.k == BEST);
        let (best, random) = at.map_or((f64::NAN, f64::NAN), |r| (r.mae, r.random_mae));
        text.push_str(&format!(
            "{:>5}  {:>9.4}  {:>8.4}  {:>7.3}  {:>4.0}  {:>17.4} {:>4}  {:>6}  {best:>15.4}  {random:>9.4}\n",
            split.seed,
            split.train_mae,
            split.test_mae,
            split.test_r2,
            split.kept,
            split.best_k_mae,
            split.best_k,
            split.enough_k,
        ));
    }
    let top: Vec<String> = run.ranking.top.iter().map(|t| format!("{:.0}", t.wavelength)).collect();
    text.push_str(&format!("best {BEST} of all splits together (Å): {}\n", top.join(" ")));
    text.push_str(&check_lines(&run.checks));
    text.push('\n');
    text
}
