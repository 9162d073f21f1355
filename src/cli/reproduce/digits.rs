//! `eigenlens reproduce mnist-01`, `mnist-59` and `mnist`.

use std::path::Path;
use std::process::ExitCode;

use super::super::args::{MOST_DRAWS, MOST_NETWORKS, at_most};
use super::super::progress::Bar;
use super::super::resume::digest;
use super::{OutputArgs, VariantArg, check_lines, finish};
use crate::reproduce::digits_page;
use crate::reproduce::{Digits, DigitsOutcome, DigitsSettings, digits};
use crate::train::MOST_EPOCHS;
use crate::{Error, Result};

const MNIST: &str = "idx:examples/data/mnist";

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Which of the authors' settings
    #[arg(long, value_enum, default_value = "paper")]
    variant: VariantArg,
    /// The four MNIST files
    #[arg(long, default_value = MNIST, value_name = "idx:DIR")]
    data: String,
    /// Networks, all in one job [default: 5; all ten digits 3]
    #[arg(value_parser = at_most::<{ MOST_NETWORKS }>, long, value_name = "R")]
    replicas: Option<usize>,
    /// Passes over the training digits [default: 200; all ten digits 60]
    #[arg(value_parser = at_most::<{ MOST_EPOCHS }>, long, value_name = "N")]
    epochs: Option<usize>,
    /// Random orderings of the pixels to compare with [default: 5; all ten digits 3]
    #[arg(value_parser = at_most::<{ MOST_DRAWS }>, long, value_name = "N")]
    controls: Option<usize>,
    /// Of split, first network and random orderings
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
    #[command(flatten)]
    output: OutputArgs,
}

pub fn run(args: &Args, which: Digits) -> Result<ExitCode> {
    if let Some(directory) = args.data.strip_prefix("idx:")
        && args.data == MNIST
        && !Path::new(directory).is_dir()
    {
        return Err(Error::input(
            directory,
            "directory",
            "the MNIST files are not here",
            "run it in the repository's folder, or give --data idx:DIR",
        ));
    }
    let defaults = DigitsSettings::new(which, args.variant.into(), args.data.as_str());
    let settings = DigitsSettings {
        replicas: args.replicas.unwrap_or(defaults.replicas),
        epochs: args.epochs.unwrap_or(defaults.epochs),
        controls: args.controls.unwrap_or(defaults.controls),
        seed: args.seed,
        ..defaults
    };
    settings.check()?;
    let device = args.output.run.device.open()?;
    let kept = args.output.open()?;
    let dataset = settings.load()?;
    let settings = DigitsSettings { keep: kept.with(digest(&dataset))?, ..settings };
    let bar = Bar::new("accuracy");
    let outcome = digits(&settings, dataset, &device, &mut |progress| bar.show(progress));
    bar.finish();
    let outcome = kept.ended(outcome)?;
    let page = digits_page::page(&outcome, &device.to_string());
    let table = format!("{}\n{}{:.0} s on {device}.\n", table(&outcome), check_lines(&outcome.checks), outcome.seconds);
    finish(&args.output, &kept, which.name(), &outcome, &page, &table)
}

/// The accuracy against the number of pixels, with the spread over single networks.
fn table(outcome: &DigitsOutcome) -> String {
    let mut text = String::from("pixels kept  accuracy  ± std    least    most  random\n");
    for single in &outcome.single {
        let point = outcome.curve.points.iter().find(|p| p.k == single.k);
        let random = point.map_or("–".to_owned(), |p| format!("{:.4}", p.random_mean));
        let s = single.spread;
        text.push_str(&format!(
            "{:>11}  {:>8.4}  {:>5.4}  {:>6.4}  {:>6.4}  {random:>6}\n",
            single.k, s.mean, s.std, s.least, s.most
        ));
    }
    text
}
