//! `eigenlens select`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::args::{ConvolutionArgs, DataArgs, LearnArgs, RunArgs, announce, by_name, width};
use super::args::{MOST_DRAWS, MOST_NETWORKS, MOST_ROWS, at_most};
use super::names::CsvArgs;
use super::progress::StageBar;
use super::resume::{KeepArgs, Kept, digest};
use super::{output, print, print_json};
use crate::data::{self, CHANNEL, Dataset, Request, ScaleKind, Task, Unit, channels, read_groups, units};
use crate::engine::Device;
use crate::kernels::{Activation, LossKind};
use crate::report::selection_page;
use crate::report::tables::{self, CsvNames};
use crate::run::{Folder, Keep};
use crate::selection::{Score, SelectSettings, Selection, select};
use crate::train::{MOST_BATCH, MOST_EPOCHS};
use crate::{Error, Result, write};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// table.csv (.tsv, .txt, also .gz; - for standard input), .parquet, .fits, .h5ad, arrays.npz (X, y, optional X_test, y_test), array.npy with
    /// --target-file, a folder of pictures (subfolders are classes), idx:DIRECTORY, or a
    /// synthetic set: gaussian, correlated, redundant, channels
    data: String,
    /// Where selection.json, the tables, the compact model and the report go; made if it isn't there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    keep: KeepArgs,
    #[command(flatten)]
    read: DataArgs,
    #[command(flatten)]
    learn: LearnArgs,
    /// Columns that live and die together: a table with the header feature,group (a categorical column is a group anyway)
    #[arg(long, value_name = "FILE.csv", help_heading = "Data")]
    groups: Option<PathBuf>,
    /// The columns of a channel live and die together: channels of recordings, pictures and volumes are chosen (by dense networks, unless
    /// --conv says otherwise)
    #[arg(long, conflicts_with = "groups", help_heading = "Data")]
    by_channel: bool,
    /// standard, none, unit or minmax, fitted on the training rows [default: unit for bytes, none for the synthetic sets,
    /// else standard]
    #[arg(hide_short_help = true, long, value_parser = by_name::<ScaleKind>, help_heading = "Data")]
    scale: Option<ScaleKind>,
    /// Everything is chosen by rows that are held out: by K folds, network s of every penalty without fold s, or with 0 by
    /// --validation [default: 5 where --validation would have fewer than 400 rows and isn't given, else 0]
    #[arg(value_parser = at_most::<{ MOST_ROWS }>, long, value_name = "K", conflicts_with = "validation", help_heading = "Data")]
    folds: Option<usize>,
    /// Share of the rows for validation, the same for all networks [default: 0.1]
    #[arg(hide_short_help = true, long, value_name = "SHARE", help_heading = "Data")]
    validation: Option<f64>,
    /// Share of the rows for the test, where the data have no test rows of their own
    #[arg(long, default_value_t = SelectSettings::default().test, value_name = "SHARE", help_heading = "Data")]
    test: f64,
    /// Choose K features (a group counts once) instead of the fewest whose score is within one standard error of the best
    #[arg(long, value_name = "K", help_heading = "Selection")]
    features: Option<usize>,
    /// Networks at each penalty
    #[arg(value_parser = at_most::<{ MOST_NETWORKS }>, long, default_value_t = SelectSettings::default().seeds, value_name = "S", help_heading = "Selection")]
    seeds: usize,
    /// Penalties on the path, from where everything is kept to where nothing is
    #[arg(value_parser = at_most::<{ MOST_DRAWS }>, hide_short_help = true, long, default_value_t = SelectSettings::default().penalties, value_name = "P", help_heading = "Selection")]
    penalties: usize,
    /// Exact zeros: the first layer follows the group lasso by momentum SGD with its proximal operator, and a feature is kept when
    /// its weight isn't 0
    #[arg(hide_short_help = true, long, help_heading = "Selection")]
    exact: bool,
    /// Walk the path penalty by penalty, each network from where the weaker penalty left it and with a third of the steps, instead
    /// of training all penalties side by side from the dense networks
    #[arg(hide_short_help = true, long, help_heading = "Selection")]
    warm: bool,
    /// Otherwise a feature is kept when its relevance is above this share of the network's largest
    #[arg(hide_short_help = true, long, default_value_t = SelectSettings::default().threshold, value_name = "X", help_heading = "Selection")]
    threshold: f64,
    /// Draws of random features for comparison at each size
    #[arg(value_parser = at_most::<{ MOST_DRAWS }>, hide_short_help = true, long, default_value_t = SelectSettings::default().controls, value_name = "N", help_heading = "Selection")]
    controls: usize,
    /// Complementary pairs of half samples that say how stable the choice is: a network on each half
    #[arg(long, default_value_t = SelectSettings::default().pairs, value_name = "N", help_heading = "Selection")]
    pairs: usize,
    #[command(flatten)]
    convolutions: ConvolutionArgs,
    /// Units of the hidden layers [default: 100; fewer above 1,000 inputs or numbers that the convolutions leave, 16 at least]
    #[arg(long, value_delimiter = ',', value_parser = width, value_name = "N,N,…", help_heading = "Network")]
    hidden: Option<Vec<usize>>,
    /// relu, leaky-relu, tanh, sigmoid, gelu, silu, elu or identity
    #[arg(hide_short_help = true, long, default_value = "relu", value_parser = by_name::<Activation>, help_heading = "Network")]
    activation: Activation,
    /// ce for classes; mae, mse or huber for numbers [default: ce or mse]
    #[arg(hide_short_help = true, long, value_parser = by_name::<LossKind>, help_heading = "Training")]
    loss: Option<LossKind>,
    /// Passes over the training rows on the path [default: about 900 steps]
    #[arg(value_parser = at_most::<{ MOST_EPOCHS }>, hide_short_help = true, long, value_name = "N", help_heading = "Training")]
    epochs: Option<usize>,
    /// Rows a step [default: a twentieth of the rows, from 32 to 500]
    #[arg(value_parser = at_most::<{ MOST_BATCH }>, hide_short_help = true, long, value_name = "N", help_heading = "Training")]
    batch: Option<usize>,
    /// Adam's learning rate at the start; it falls to a hundredth along a cosine
    #[arg(hide_short_help = true, long, default_value_t = SelectSettings::default().rate, value_name = "X", help_heading = "Training")]
    lr: f64,
    /// Of the split and of the first network
    #[arg(long, default_value_t = 0, value_name = "S", help_heading = "Training")]
    seed: u64,
    #[command(flatten)]
    csv: CsvArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let settings = args.settings()?;
    settings.check()?;
    let device = args.run.device.open()?;
    let by_channel = args.by_channel || settings.chooses_channels();
    let request = Request { convolves: by_channel, ..args.learn.request(&args.read, &args.data, args.seed) };
    let dataset = data::load(&request)?;
    settings.check_target(&dataset)?;
    let groups = match &args.groups {
        Some(path) => read_groups(path, &dataset)?,
        None if by_channel => args.channels(&dataset)?,
        None => Vec::new(),
    };
    announce(&dataset, &request);
    // Refused now rather than after the work.
    let kept = Kept::open("select", &args.out, &args.keep)?;
    let settings = SelectSettings { keep: kept.with(digest(&dataset))?, ..settings };
    kept.ended(args.select(dataset, &groups, &settings, &device, &kept.folder))?;
    kept.finished()?;
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn settings(&self) -> Result<SelectSettings> {
        let convolutions = self.convolutions.blocks()?;
        if let (Some(path), false) = (&self.groups, convolutions.is_empty()) {
            return Err(Error::Usage(format!(
                "--groups {} says which columns live and die together, and with --conv those of a channel do; leave one of them out",
                path.display()
            )));
        }
        Ok(SelectSettings {
            convolutions,
            features: self.features,
            seeds: self.seeds,
            penalties: self.penalties,
            hidden: self.hidden.clone(),
            activation: self.activation,
            loss: self.loss,
            scale: self.scale,
            epochs: self.epochs,
            batch: self.batch,
            rate: self.lr,
            exact: self.exact,
            warm: self.warm,
            threshold: self.threshold,
            controls: self.controls,
            pairs: self.pairs,
            validation: self.validation.unwrap_or(SelectSettings::default().validation),
            folds: if self.validation.is_some() { Some(0) } else { self.folds },
            test: self.test,
            seed: self.seed,
            target_column: self.read.target.clone(),
            weight_column: self.learn.weights.clone(),
            balanced_classes: self.learn.balanced_classes,
            classes: self.read.classes.clone().map(|names| names.0),
            missing: self.read.missing,
            drop: self.learn.dropped(),
            keep: Keep::default(),
            groups_file: self.groups.as_ref().map(|path| path.display().to_string()),
        })
    }

    /// What is chosen from with --by-channel or --conv.
    fn channels(&self, dataset: &Dataset) -> Result<Vec<Unit>> {
        let option = if self.convolutions.conv.is_empty() { "--by-channel" } else { "--conv" };
        if dataset.axes.iter().any(|axis| axis.name == CHANNEL) {
            return Ok(channels(&dataset.axes));
        }
        Err(Error::Usage(format!(
            "{option} chooses channels, and a row of {} has none; leave it out, or give --layout for arrays",
            dataset.source
        )))
    }

    fn select(
        &self,
        mut dataset: Dataset,
        groups: &[Unit],
        settings: &SelectSettings,
        device: &Device,
        folder: &Folder,
    ) -> Result<()> {
        let bar = StageBar::new(settings.work(units(&dataset.features, groups).len()));
        let selection =
            select(&mut dataset, groups, settings, device, &mut |stage, progress| bar.show(stage, progress));
        bar.finish();
        let selection = selection?;
        if selection.stopped {
            return Err(Error::Stopped("stopped before every number of features was tried".into()));
        }
        let json = json(&selection, &dataset, device);
        save(&selection, &json, &dataset, self.csv.names(), folder)?;
        let page = selection_page::page(&selection, &dataset, &device.to_string());
        let report = self.run.save(&page, folder, "select")?;
        output::publish(folder)?;
        if self.run.json {
            return print_json(&json);
        }
        let summary = selection_page::summary(&selection, &dataset);
        let table = table(&selection);
        // That there is nothing to believe comes first.
        let text = if selection.tells_anything() && !selection_page::has_repeats(&selection) {
            format!("{table}\n{summary}")
        } else {
            format!("{summary}\n{table}")
        };
        print(&format!("{text}{:.1} s on {device}.\n{report}", selection.seconds))
    }
}

fn save(selection: &Selection, json: &Value, dataset: &Dataset, names: CsvNames, folder: &Folder) -> Result<()> {
    output::Results::Model.replace(folder);
    selection.compact.model.save(folder.file("model.safetensors"))?;
    tables::write_selection(folder.file("relevance.csv"), selection, &dataset.features, names)?;
    tables::write_path(folder.file("path.csv"), selection)?;
    tables::write_path_relevance(folder.file("path_relevance.csv"), selection, names)?;
    // One a line: a name with a line break stands there escaped, and as it is in selection.json.
    let columns: String = selection
        .source_columns(dataset)
        .iter()
        .map(|name| format!("{}\n", name.replace('\r', r"\r").replace('\n', r"\n")))
        .collect();
    write::atomic(folder.file("columns.txt"), |file| file.write_all(columns.as_bytes()))?;
    let text = format!("{json:#}\n");
    write::atomic(folder.file("selection.json"), |file| file.write_all(text.as_bytes()))
}

/// The content of `selection.json`.
fn json(selection: &Selection, dataset: &Dataset, device: &Device) -> Value {
    let name = |u: usize| selection.units[u].name.clone();
    let chosen = &selection.ranking[..selection.chosen];
    let stability: Map<String, Value> =
        selection.ranking.iter().map(|&u| (name(u), json!(selection.stability.share[u]))).collect();
    let kept_by: Map<String, Value> =
        selection.ranking.iter().map(|&u| (name(u), json!(selection.kept_by[u]))).collect();
    let s = &selection.stability;
    let resampling = json!({ "pairs": s.pairs, "limit": s.limit, "chosen": s.chosen, "threshold": s.threshold,
        "copies": s.copies, "false_ones": s.false_ones,
        "stable": selection.ranking.iter().filter(|&&u| s.is_stable(u)).map(|&u| name(u)).collect::<Vec<_>>() });
    let substitutes: Map<String, Value> =
        chosen.iter().zip(&selection.substitutes).map(|(&u, s)| (name(u), json!(s))).collect();
    let path: Vec<Value> = selection
        .path
        .points
        .iter()
        .map(|p| {
            json!({ "penalty": p.penalty, "kept": p.kept, "score": p.score.mean, "score_se": p.score.se, "rows_se": p.rows_se,
                    "test_score": p.test.mean, "test_score_se": p.test.se })
        })
        .collect();
    let scored = |score: Score| json!({ "mean": score.mean, "se": score.se });
    let sizes: Vec<Value> = selection
        .sizes
        .iter()
        .map(|s| {
            json!({ "k": s.k, "best": scored(s.best), "validation": scored(s.validation), "random": s.random.map(scored) })
        })
        .collect();
    json!({
        "source": dataset.source,
        "metric": selection.metric,
        "target": target(selection),
        "rows": selection.rows,
        "chosen": chosen.iter().map(|&u| name(u)).collect::<Vec<_>>(),
        "columns": selection.chosen_columns(),
        "source_columns": selection.source_columns(dataset),
        "score": selection.score.mean,
        "score_se": selection.score.se,
        "score_rows_se": selection.score_rows_se,
        "all_features_score": selection.all_features.mean,
        "constant_answer_score": selection.constant_answer,
        "tells_anything": selection.tells_anything(),
        "doubt": selection.doubt,
        "repeated_rows": selection.repeated,
        "stopped": selection.stopped,
        "all_features_score_se": selection.all_features.se,
        "all_features_rows_se": selection.all_features_rows_se,
        "order": selection.order,
        "penalty": selection.path.points[selection.penalty].penalty,
        "path": path,
        "sizes": sizes,
        "stability": stability,
        "resampling": resampling,
        "kept_by": kept_by,
        "substitutes": substitutes,
        "constant": selection.constant,
        "full_model": selection.full,
        "compact_model": selection.reduced,
        "settings": settings(selection),
        "engine": device.to_string(),
        "seconds": selection.seconds,
    })
}

/// All that decided the result.
fn settings(selection: &Selection) -> Value {
    let s = &selection.settings;
    json!({
        "features": s.features,
        "seeds": s.seeds,
        "penalties": s.penalties,
        "exact": s.exact,
        "warm": s.warm,
        // With exact zeros what isn't 0 is kept.
        "threshold": (!s.exact).then_some(s.threshold),
        "controls": s.controls,
        "pairs": s.pairs,
        "by_channel": selection.by_channel,
        "convolutions": s.convolutions,
        "hidden": s.hidden,
        "activation": s.activation,
        "architecture": selection.compact.model.description.architecture,
        "loss": s.loss,
        "epochs": s.epochs,
        "batch": s.batch,
        "rate": s.rate,
        "scale": s.scale,
        "missing": s.missing,
        "drop": s.drop,
        "classes": s.classes,
        "groups": s.groups_file,
        "weights": s.weight_column,
        "balanced_classes": s.balanced_classes,
        "folds": s.folds,
        // Fixed validation rows have a share.
        "validation": (s.folds == Some(0)).then_some(s.validation),
        "test": s.test,
        "seed": s.seed,
    })
}

/// The target's name: its column, or what an array's outputs are called.
fn target(selection: &Selection) -> String {
    let d = &selection.compact.model.description;
    match (&d.target_column, d.task) {
        _ if selection.reconstructs => "the inputs themselves".into(),
        (Some(name), _) => name.clone(),
        (None, Task::Regress) => d.targets.join(", "),
        (None, _) => "y".into(),
    }
}

/// The chosen features, best first.
fn table(selection: &Selection) -> String {
    let width = selection.ranking[..selection.chosen].iter().map(|&u| selection.units[u].name.chars().count()).max();
    let width = width.unwrap_or(0).clamp(7, 40);
    let mut text = format!("{:>4}  {:<width$}  stability  substitutes\n", "rank", selection.noun());
    const SHOWN: usize = 40;
    for (i, &u) in selection.ranking[..selection.chosen].iter().enumerate().take(SHOWN) {
        let others: Vec<String> = selection.substitutes[i]
            .iter()
            .take(3)
            .map(|s| format!("{} (r {})", s.name, selection_page::correlation(s.correlation)))
            .collect();
        let line = format!(
            "{:>4}  {:<width$}  {:>8.0} %  {}",
            i + 1,
            selection.units[u].name,
            100.0 * selection.stability.share[u],
            others.join(", ")
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if selection.chosen > SHOWN {
        text.push_str(&format!("   …  and {} more in relevance.csv\n", selection.chosen - SHOWN));
    }
    text
}
