//! `eigenlens reproduce gaussian` and `correlated`.

use std::process::ExitCode;

use super::super::args::Layers;
use super::super::args::{MOST_DRAWS, MOST_NETWORKS, MOST_ROWS, at_most};
use super::super::progress::Bar;
use super::{OutputArgs, VariantArg, check_lines, finish};
use crate::Result;
use crate::reproduce::feature_sets_page;
use crate::reproduce::{FeatureSet, FeatureSetOutcome, FeatureSetSettings, feature_set};
use crate::train::MOST_EPOCHS;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Which of the authors' settings
    #[arg(long, value_enum, default_value = "paper")]
    variant: VariantArg,
    /// Which layers are spectral, and so penalised [default: all (paper) or first (notebook)]
    #[arg(long, value_enum, value_name = "LAYERS")]
    spectral: Option<Layers>,
    /// Networks in each job
    #[arg(value_parser = at_most::<{ MOST_NETWORKS }>, long, default_value_t = 10, value_name = "R")]
    replicas: usize,
    /// Data sets of consecutive seeds, each one job
    #[arg(value_parser = at_most::<{ MOST_DRAWS }>, long, default_value_t = 3, value_name = "N")]
    data_sets: usize,
    /// Passes over the training rows
    #[arg(value_parser = at_most::<{ MOST_EPOCHS }>, long, default_value_t = 30, value_name = "N")]
    epochs: usize,
    /// Rows of a data set, of which a tenth validates and a fifth tests [default: the paper's, 60000 (gaussian) or 100000]
    #[arg(value_parser = at_most::<{ MOST_ROWS }>, long, value_name = "N")]
    rows: Option<usize>,
    /// Of the first data set, its split and its first network
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    #[command(flatten)]
    output: OutputArgs,
}

pub fn run(args: &Args, set: FeatureSet) -> Result<ExitCode> {
    let defaults = FeatureSetSettings::new(set, args.variant.into());
    let settings = FeatureSetSettings {
        spectral: args.spectral.map_or(defaults.spectral, Into::into),
        rows: args.rows.unwrap_or(defaults.rows),
        data_sets: args.data_sets,
        replicas: args.replicas,
        epochs: args.epochs,
        seed: args.seed,
        ..defaults
    };
    settings.check()?;
    let device = args.output.run.device.open()?;
    let kept = args.output.open()?;
    let settings = FeatureSetSettings { keep: kept.with(String::new())?, ..settings };
    let mut bar = (String::new(), Bar::new("accuracy"));
    let outcome = feature_set(&settings, &device, &mut |name, progress| {
        if bar.0 != name {
            // Each job has a bar of its own: its count starts anew.
            bar.1.finish();
            bar = (name.to_owned(), Bar::new("accuracy"));
        }
        bar.1.show(progress)
    });
    bar.1.finish();
    let outcome = kept.ended(outcome)?;
    let page = feature_sets_page::page(&outcome, &device.to_string());
    let table = format!("{}\n{}{:.0} s on {device}.\n", table(&outcome), check_lines(&outcome.checks), outcome.seconds);
    finish(&args.output, &kept, set.name(), &outcome, &page, &table)
}

/// λ̃ of every feature of the first data set, strongest first, and a line for each data set.
fn table(outcome: &FeatureSetOutcome) -> String {
    let (strength, last) = match outcome.settings.set {
        FeatureSet::Gaussian => ("distance", "Spearman"),
        FeatureSet::Correlated => ("p", "largest difference in a pair"),
    };
    let mut text = format!("feature  {strength:>8}  λ̃/max      λ̃        ± std\n");
    let mut features: Vec<_> = outcome.runs.first().map(|run| run.features.iter().collect()).unwrap_or_default();
    features.sort_by(|a, b| b.strength.total_cmp(&a.strength));
    for f in features {
        let strength = if f.relevant { format!("{:.3}", f.strength) } else { "–".into() };
        text.push_str(&format!(
            "x{:<7} {strength:>8}  {:>6.4}  {:>9.3e}  {:>8.1e}\n",
            f.feature, f.relative, f.relevance, f.relevance_std
        ));
    }
    text.push_str(&format!("\ndata set  test accuracy  largest irrelevant  {last}\n"));
    for run in &outcome.runs {
        let difference = run.pairs.iter().map(|pair| pair.difference).fold(0.0, f64::max);
        text.push_str(&format!(
            "seed {:<4}  {:>13.4}  {:>18.4}  {:.4}\n",
            run.seed,
            run.test_accuracy,
            run.largest_irrelevant,
            run.spearman.unwrap_or(difference)
        ));
    }
    text
}
