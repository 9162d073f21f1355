//! What `train` leaves in its directory.

use std::path::Path;

use serde_json::json;

use super::say;
use crate::assess::Verdict;
use crate::data::{Dataset, Split, Targets, Task};
use crate::engine::Device;
use crate::host::argmax;
use crate::model::{Fit, Model};
use crate::relevance::{Curve, RankedFeature};
use crate::report::page::Page;
use crate::report::tables::CsvNames;
use crate::report::text::serde_name;
use crate::report::{Example, TrainPage, tables, text};
use crate::run::{Folder, settle};
use crate::train::{Metric, Resident};
use crate::{Error, Result, write};

/// What a command leaves in its folder. A later run of it replaces all of that, so that nothing there is of an earlier one.
pub enum Results {
    /// Of `train` or `select`, whose model all the other results in a folder are about.
    Model,
    /// Of `explain`, with names that begin with `explain` or, of an ONNX network, `report`.
    Explain(&'static str),
    Curve,
    Similarity,
}

const TABLES: [&str; 10] = [
    "model.safetensors",
    "relevance.csv",
    "metrics.json",
    "history.csv",
    "curve.csv",
    "selection.json",
    "columns.txt",
    "path.csv",
    "path_relevance.csv",
    "similarity.npz",
];

impl Results {
    /// The file that is always among them: where it is not, no other is ours.
    fn mark(&self) -> &'static str {
        match self {
            Results::Model => "model.safetensors",
            Results::Explain(_) => "explanations.json",
            Results::Curve => "curve.csv",
            Results::Similarity => "similarity.npz",
        }
    }

    fn holds(&self, name: &str) -> bool {
        let page = |stem: &str| {
            let kind = name.strip_prefix(stem);
            kind.is_some_and(|kind| [".html", ".md", ".json"].contains(&kind))
        };
        let of_outputs = |stem: &str, kinds: &[&str]| {
            let rest = name.strip_prefix(stem).filter(|rest| rest.starts_with('-'));
            rest.is_some_and(|rest| kinds.iter().any(|kind| rest.ends_with(kind)))
        };
        match self {
            Results::Model => {
                let pages = ["report", "select"].into_iter().any(page);
                let others = [Results::Explain("explain"), Results::Curve, Results::Similarity];
                pages || TABLES.contains(&name) || others.iter().any(|other| other.holds(name))
            }
            Results::Explain(stem) => {
                let pages = page(stem) || of_outputs(stem, &[".html", ".md", ".json"]);
                pages || ["explanations.json", "maps.npz"].contains(&name) || of_outputs("maps", &[".npz"])
            }
            Results::Curve => name == "curve.csv" || page("curve"),
            Results::Similarity => name == "similarity.npz" || page("similarity"),
        }
    }

    /// Marks those of an earlier run: they go when the new ones come.
    pub fn replace(&self, folder: &Folder) {
        let names = folder.names();
        if names.iter().any(|name| name == self.mark()) {
            names.into_iter().filter(|name| self.holds(name)).for_each(|name| folder.replace(name));
        }
    }
}

/// Puts the new results in the places of the old ones, and says which of these went without one.
pub fn publish(folder: &Folder) -> Result<()> {
    let removed = folder.publish()?;
    if !removed.is_empty() {
        let (place, removed) = (folder.path().display(), removed.join(", "));
        say(&format!("{place}: removed {removed}, which were results of an earlier run"));
    }
    Ok(())
}

/// Refuses a folder in which another model stands: what is about one model and what is about another would look like one run.
///
/// # Errors
/// [`Error::Usage`] that names the folder.
pub fn refuse_other_model(directory: &Path, model: &Path) -> Result<()> {
    settle(directory)?;
    let there = directory.join("model.safetensors");
    let same = || {
        let path = |path: &Path| std::fs::canonicalize(path).ok();
        path(&there) == path(model) || std::fs::read(&there).ok() == std::fs::read(model).ok()
    };
    if !there.exists() || same() {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "--out {}: another model than {} stands there; give a folder of its own, or that of the model",
        directory.display(),
        model.display()
    )))
}

/// Everything about one training that files and pages are made from.
pub struct Outcome<'a> {
    pub title: String,
    pub fit: &'a Fit,
    pub ranking: &'a [RankedFeature],
    pub curve: &'a Curve,
    pub examples: &'a [Example],
    pub device: &'a Device,
}

pub fn metric_of(model: &Model) -> Metric {
    Metric::of(model.description.task, model.description.balanced_classes)
}

/// Features above the threshold, relative to the largest.
pub fn kept(model: &Model, ranking: &[RankedFeature]) -> usize {
    let largest = ranking.first().map_or(0.0, |f| f.relevance);
    ranking.iter().filter(|f| f.relevance > model.description.settings.threshold * largest).count()
}

impl Outcome<'_> {
    /// Writes tables and metrics.
    pub fn write(&self, folder: &Folder, names: CsvNames) -> Result<()> {
        tables::write_relevance(folder.file("relevance.csv"), self.ranking, names)?;
        tables::write_history(folder.file("history.csv"), &self.fit.history)?;
        tables::write_curve(folder.file("curve.csv"), self.curve)?;
        let metrics = format!("{:#}\n", self.metrics());
        write::atomic(folder.file("metrics.json"), |out| out.write_all(metrics.as_bytes()))
    }

    /// The content of `metrics.json`.
    pub fn metrics(&self) -> serde_json::Value {
        let d = &self.fit.model.description;
        let mut value = json!({
            "task": d.task,
            "source": d.source,
            "engine": engine(self.device),
            "adapter": d.engine,
            "seconds": self.fit.seconds,
            "steps": d.steps,
            "replicas": d.settings.replicas.len(),
            // Those of the ranking: channels, where the first layer is a convolution.
            "features": self.ranking.len(),
            "kept_features": kept(&self.fit.model, self.ranking),
            "stopped": self.fit.stopped,
            "verdict": self.fit.assessment.verdict,
            "assessment": self.fit.assessment,
        });
        if let Some(name) = &d.weight_column {
            value["weights"] = json!(name);
        }
        for (name, score) in &self.fit.scores {
            value[*name] = json!(score);
        }
        value
    }

    /// The report.
    pub fn page(&self) -> Page {
        let model = &self.fit.model;
        TrainPage {
            title: &self.title,
            summary: self.summary(),
            ranking: self.ranking,
            columns: self.ranking.len(),
            axes: &model.description.axes,
            by_channel: model.ranks_channels(),
            threshold: model.description.settings.threshold,
            history: &self.fit.history,
            curve: Some(self.curve),
            metric: metric_of(model),
            examples: self.examples,
            scores: &[],
            assessment: Some(&self.fit.assessment),
            settings: &settings(model),
            machine: &machine(self.device, self.fit),
        }
        .page()
    }

    /// A few plain sentences.
    pub fn summary(&self) -> Vec<String> {
        let model = &self.fit.model;
        let d = &model.description;
        let (n, kept) = (self.ranking.len(), kept(model, self.ranking));
        let inputs = model.inputs();
        let constant = inputs.iter().filter(|input| d.scaling.std[input.columns[0]] == 0.0).count();
        let one = if model.ranks_channels() { "channel" } else { "input" };
        let several = (d.task == Task::Regress && d.targets.len() > 1).then(|| {
            format!(
                "Scores are means over the {} targets, errors in standard deviations of each.",
                text::count(d.targets.len())
            )
        });
        let mut lines: Vec<String> = several.into_iter().collect();
        if self.fit.assessment.verdict == Verdict::Unsupported {
            return lines;
        }
        let all = text::count(n);
        let of = match constant {
            0 => format!("Of {}", text::many(n, one)),
            _ => format!("Of {} ({constant} of them constant)", text::many(n, one)),
        };
        // A category is one input here: its columns are judged, and shuffled, together.
        let inputs = self.fit.assessment.control.as_ref().map_or(n, |control| control.inputs);
        let noun = if inputs == n { one } else { "column" };
        lines.push(match &self.fit.assessment.control {
            Some(control) => format!(
                "{}, {} {} more relevant than each of {} shuffled copies, which reach {} of the largest relevance in networks that see both. Of {}s \
                 that say nothing, about 1 in {} would be by chance.",
                if inputs == n { of } else { format!("Of {inputs} inputs (in {all} columns)") },
                control.inputs_above,
                if control.inputs_above == 1 { "is" } else { "are" },
                control.copies,
                text::percent(control.noise),
                one,
                control.copies + 1
            ),
            // One alone has nothing to be ranked among.
            None if n == 1 => format!("There is one {one}, so there is no ranking."),
            None => {
                let hint = if d.axes.len() < 2 || model.ranks_channels() && n > 1 { "; --folds 5 compares them with noise" } else { "" };
                format!("{of}, {kept} carry a relevance above {} % of the largest{hint}.", d.settings.threshold * 100.0)
            }
        });
        if n == 1 {
            return lines;
        }
        let judged = self.fit.assessment.part(&self.curve.rows);
        let enough = judged.and_then(|judged| self.curve.enough(judged.score.se));
        // Of pictures with little uncertainty hundreds may be needed: what the papers' twenty do says more.
        let shown = enough.or_else(|| self.curve.points.iter().find(|p| p.k == 20.min(n)));
        if shown.is_some_and(|p| p.k == n) {
            lines.push(format!(
                "No fewer than all {all} come within one standard error of the {} {} of {}.",
                self.curve.rows,
                text::metric_name(self.curve.metric),
                text::metric(self.curve.metric, self.curve.full)
            ));
            return lines;
        }
        if let Some(point) = shown {
            let k = point.k;
            let show = |x: f64| text::metric(self.curve.metric, x);
            let name = text::metric_name(self.curve.metric);
            let share = self.curve.metric.is_share();
            if (point.ranked <= point.random_mean) == share {
                lines.push(format!(
                    "Masking doesn't bear the ranking out: with the {k} best {noun}{} alone the {} {name} is {}, no better than the {} of {k} random {}.",
                    if k == 1 { "" } else { "s" },
                    self.curve.rows,
                    show(point.ranked),
                    show(point.random_mean),
                    if k == 1 { "one" } else { "ones" },
                ));
                return lines;
            }
            lines.push(format!(
                "With the {k} best {noun}{} alone (the others masked), the same network reaches a {} {name} of {}{}: {}; with {k} random {} {}.",
                if k == 1 { "" } else { "s" },
                self.curve.rows,
                show(point.ranked),
                if enough == Some(point) { format!(", within one standard error of all {all}") } else { format!(", with all {all}") },
                show(self.curve.full),
                if k == 1 { "one" } else { "ones" },
                show(point.random_mean),
            ));
        }
        lines
    }
}

fn engine(device: &Device) -> &'static str {
    match device {
        Device::Gpu(_) => "gpu",
        Device::Cpu { .. } => "cpu",
        Device::CpuF64 { .. } => "cpu64",
    }
}

fn settings(model: &Model) -> Vec<(String, String)> {
    let d = &model.description;
    let (a, s) = (&d.architecture, &d.settings);
    let axes: Vec<String> = d.axes.iter().map(|axis| format!("{} {}s", axis.len, axis.name)).collect();
    let inputs = if a.convolutions.is_empty() { d.features.len().to_string() } else { axes.join(" × ") };
    let outputs = d.targets.len();
    let dense = a.hidden.iter().chain([&outputs]).map(usize::to_string);
    let widths: Vec<String> = [inputs].into_iter().chain(a.convolutions.iter().map(text::block)).chain(dense).collect();
    let activations: Vec<String> = a.activations.iter().map(serde_name).collect();
    let replica = &s.replicas[0];
    [
        ("data", d.source.clone()),
        ("targets", d.targets.join(", ")),
        ("row weights", d.row_weights()),
        ("network", widths.join(" – ")),
        ("activation", activations.join(", ")),
        ("spectral layers", serde_name(&a.spectral)),
        ("batch norm", serde_name(&a.batch_norm)),
        ("dropout", a.dropout.to_string()),
        ("loss", serde_name(&s.loss)),
        ("penalty on eigenvalues, on eigenvectors", format!("{}, {}", replica.reg_lambda, replica.reg_psi)),
        ("penalty on the other layers' weights", if a.ridge { replica.reg_psi.to_string() } else { "none".into() }),
        ("both as one group lasso's strength", text::short(2.0 * (replica.reg_lambda * replica.reg_psi).sqrt())),
        ("start", format!("{}{}", serde_name(&s.initialisation), if s.balanced { ", balanced" } else { "" })),
        ("optimiser", format!("Adam, learning rate {}, {}", s.rate, serde_name(&s.schedule))),
        ("epochs, batch", format!("{}, {}", s.epochs, s.batch)),
        ("scaling", serde_name(&d.scaling.kind)),
        ("replicas, seed", format!("{}, {}", s.replicas.len(), replica.seed)),
        ("validation, test share", format!("{}, {}", d.validation, d.test)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn machine(device: &Device, fit: &Fit) -> Vec<(String, String)> {
    let cores = std::thread::available_parallelism().map_or(0, |n| n.get());
    [
        ("engine", device.to_string()),
        ("cores", cores.to_string()),
        ("system", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("training time", format!("{:.1} s, {} steps", fit.seconds, fit.model.description.steps)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// A few rows with what the network says about them: the first of each class in turn.
pub fn examples(
    model: &Model,
    dataset: &Dataset,
    parts: &Split,
    data: &Resident,
    device: &Device,
) -> Result<Vec<Example>> {
    const MOST: usize = 8;
    let (rows, start) =
        if parts.test.is_empty() { (&parts.train, data.train.start) } else { (&parts.test, data.test.start) };
    let mut chosen: Vec<usize> = Vec::new();
    match &dataset.y {
        Targets::Classes { labels, names } => {
            let per_class = MOST.div_ceil(names.len().max(1));
            for round in 0..per_class {
                for class in 0..names.len() as u32 {
                    chosen.extend((0..rows.len()).filter(|&i| labels[rows[i] as usize] == class).nth(round));
                }
            }
        }
        _ => chosen.extend(0..rows.len().min(MOST)),
    }
    chosen.truncate(MOST);
    let d = &model.description;
    let mut job = model.job(data, None, device)?;
    let outputs = d.targets.len();
    let first_targets = match &dataset.y {
        Targets::Numbers { values, .. } => values.chunks(outputs.max(1)).map(|row| row[0]).collect(),
        _ => Vec::new(),
    };
    let show = text::data_like(first_targets);
    let mut examples = Vec::new();
    for i in chosen {
        let row = rows[i] as usize;
        let output = job.predict(0, start + i..start + i + 1)?;
        let (label, predicted) = match &dataset.y {
            Targets::Classes { labels, names } => (names[labels[row] as usize].clone(), names[argmax(&output)].clone()),
            Targets::Numbers { values, .. } => {
                (show(values[row * outputs]), show(d.target_scaling.original_of_single(0, output[0])))
            }
            Targets::Inputs | Targets::None => continue,
        };
        let values = (0..dataset.columns).map(|c| dataset.seen(row, c)).collect();
        examples.push(Example { values, label, predicted });
    }
    Ok(examples)
}
