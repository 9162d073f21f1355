//! `eigenlens explain`.

use std::cell::Cell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod collected;
mod forms;
mod text;

pub use forms::announce;

use self::collected::{Collected, SplitMaps};
use super::args::{GivenArgs, RunArgs, by_name, mebibytes, minutes};
use super::names::Names;
use super::output::{Results, publish, refuse_other_model};
use super::pictures::best_classes;
use super::progress::RowBar;
use super::resume::{KeepArgs, Kept, digest_of_rows};
use super::rows::{self, Rows};
use super::say;
use super::{print, print_json};
use crate::data::{Task, units};
use crate::engine::Device;
use crate::model::Model;
use crate::model_file::onnx;
use crate::network::local::SlopeForm;
use crate::network::{NodeId, Parameters};
use crate::report::explain_page::{self, ExplainPage, Shown};
use crate::report::text::{many, serde_name};
use crate::run::{Folder, Keep};
use crate::specxai::{
    ExplainSettings, Form, Output, Reduction, Spectrum, Work, axis, explain_planned, passing_cuts, plan, similarity,
    tolerance,
};
use crate::train::Flow;
use crate::{Error, Result, write};

#[derive(clap::Args, Debug)]
#[command(args_override_self = true)]
pub struct Args {
    /// model.safetensors of a training, or a network as an .onnx file
    model: PathBuf,
    /// The data whose rows are explained: what the model was trained on, or others with the same columns; JPEG and PNG pictures
    /// may be several, or a folder
    #[arg(required = true, value_name = "DATA")]
    data: Vec<String>,
    /// Where explanations.json, maps.npz and the report go; made if it isn't there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Rows by number, as in 0,5,10..20 (without 20), or all, test, validation or train, with at most so many as in test:100
    #[arg(long, default_value = "test:8", value_name = "ROWS")]
    rows: String,
    /// The node to split at, or all for every cut of the graph; `eigenlens inspect` lists them [default: the first
    /// activation; of an ONNX network with spatial axes the last cut that has them]
    #[arg(long, value_name = "NODE|all")]
    split: Option<String>,
    /// The output explained: a class or target by name (or by number from 0), predicted (the largest of each row), or a
    /// difference A-B; several, by commas, or all, get a page each [default: all of several numbers, else predicted]
    #[arg(long, value_name = "NAME,…|predicted|A-B|all")]
    output: Option<String>,
    /// Maps written for each row and split: of the largest singular values, or, of thousands, of the largest contributions
    #[arg(hide_short_help = true, long, default_value_t = 16, value_name = "K")]
    components: usize,
    /// Features printed and drawn for each row, largest parts first; the others as their sum
    #[arg(long, default_value_t = 10, value_name = "N")]
    top: usize,
    /// How contributions that work against each other are reduced: cancel, pro-rata, top:N, quantile:Q or none
    #[arg(hide_short_help = true, long, default_value = "cancel", value_name = "HOW")]
    reduce: Reduction,
    /// Also write the maps summed over this axis of the input (as in row or column of an image)
    #[arg(hide_short_help = true, long, value_name = "NAME")]
    axis: Option<String>,
    /// Secants through zero instead of tangents as slopes of smooth activations
    #[arg(hide_short_help = true, long)]
    secant: bool,
    /// Which of the model's replicas is explained
    #[arg(long, default_value_t = 0, value_name = "R")]
    replica: usize,
    /// How an operator of thousands of rows is decomposed: complete (every component above rounding), class-rows (every component of the rows
    /// that the output reads), contributions (what is found where the output looks), top (the K largest singular values), or
    /// auto, the first of the first three that fits --budget and --memory
    #[arg(long, default_value = "auto", value_name = "FORM", value_parser = by_name::<Form>)]
    form: Form,
    /// Minutes that all decompositions may take, by an estimate that is printed before they start
    #[arg(hide_short_help = true, long, default_value_t = 3.0, value_name = "MINUTES", value_parser = minutes)]
    budget: f64,
    /// MiB that the decomposition of one row may take
    #[arg(hide_short_help = true, long, default_value_t = 1024, value_name = "MIB", value_parser = mebibytes)]
    memory: usize,
    #[command(flatten)]
    keep: KeepArgs,
    #[command(flatten)]
    given: GivenArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// Explanations drawn on the page and printed.
const SHOWN: usize = 12;
/// Rows whose singular vectors are compared on the page.
const COMPARED: usize = 120;
/// Classes named of each row.
const BEST: usize = 5;
/// Bytes of maps above which fewer rows must be asked for.
const MOST_MAPS: usize = 4 << 30;

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut model = Model::load(&args.model)?;
    let splits = rows::splits(&model, args.split.as_deref())?;
    let along = args.axis.as_deref().map(|name| axis(&model.description.axes, name)).transpose()?;
    if args.replica >= model.parameters.len() {
        let most = model.parameters.len() - 1;
        return Err(Error::Usage(format!("--replica {}: the model's replicas are numbered 0 to {most}", args.replica)));
    }
    if args.components == 0 {
        return Err(Error::Usage("--components is 0; give the number of maps, 1 at least".into()));
    }
    let device = args.run.device.open()?;
    if model.parameters.len() > 1 {
        let (one, all) = (args.replica, model.parameters.len());
        say(&format!("replica {one} of {all} is explained (--replica); predict answers with the mean of all"));
    }
    let rows = rows::load(&mut model, &args.data, &args.given, &args.rows)?;
    let outputs = outputs(&model, args.output.as_deref())?;
    let parameters = &model.parameters[args.replica];
    let n = model.network.input_width();
    let sizes = [n, args.components.saturating_add(1), splits.len(), rows.numbers.len(), outputs.len()];
    if sizes.iter().fold(4, |bytes: usize, &size| bytes.saturating_mul(size)) > MOST_MAPS {
        return Err(Error::Usage(format!(
            "{} maps of each of {} rows at {} splits would take more than {} GiB; ask for fewer --rows or --components",
            args.components,
            rows.numbers.len(),
            splits.len(),
            MOST_MAPS >> 30
        )));
    }
    // Once the request is known to make sense, and before the work is done.
    refuse_other_model(&args.out, &args.model)?;
    let kept = Kept::open("explain", &args.out, &args.keep)?;
    let keep = kept.with(digest_of_rows(&model, &rows))?;
    let asked = Asked {
        args,
        folder: &kept.folder,
        keep,
        model: &model,
        parameters,
        rows: &rows,
        splits: &splits,
        along,
        output: Output::Predicted,
        suffix: String::new(),
    };
    kept.ended(asked.all(&outputs, &device))?;
    kept.finished()?;
    Ok(ExitCode::SUCCESS)
}

/// What the page is called: beside a training's own report it has another name; a network that was read has no other.
fn page_name(model: &Path) -> &'static str {
    if onnx::is_named(model) { "report" } else { "explain" }
}

/// What the names of each output's files end with: nothing for a single one, else as much of its name as may stand in a file's; where that
/// is the same for two, their places among the outputs are added to all.
fn suffixes(outputs: &[String]) -> Vec<String> {
    if outputs.len() < 2 {
        return vec![String::new(); outputs.len()];
    }
    let kept = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let suffix = |name: &String| format!("-{}", name.chars().map(kept).take(40).collect::<String>());
    let plain: Vec<String> = outputs.iter().map(suffix).collect();
    // There are folders where a and A are one file.
    let different: HashSet<String> = plain.iter().map(|suffix| suffix.to_lowercase()).collect();
    if different.len() == plain.len() {
        return plain;
    }
    plain.iter().enumerate().map(|(place, suffix)| format!("{suffix}-{place}")).collect()
}

/// One output that is explained.
#[derive(Clone)]
struct Asked<'a> {
    args: &'a Args,
    folder: &'a Folder,
    keep: Keep,
    model: &'a Model,
    parameters: &'a Parameters,
    rows: &'a Rows,
    splits: &'a [NodeId],
    along: Option<usize>,
    output: Output,
    /// Of the names of its files.
    suffix: String,
}

impl Asked<'_> {
    /// Explains all these outputs, writes everything and prints it.
    fn all(&self, outputs: &[Output], device: &Device) -> Result<()> {
        let (args, folder) = (self.args, self.folder);
        Results::Explain(page_name(&args.model)).replace(folder);
        let mut done = Vec::new();
        let named = outputs.iter().map(|&output| explain_page::output_name(output, &self.model.description.targets));
        for (&output, suffix) in outputs.iter().zip(suffixes(&named.collect::<Vec<_>>())) {
            done.push(Asked { output, suffix, ..self.clone() }.explain(device)?);
        }
        let list = serde_json::Value::Array(done.iter_mut().flat_map(|(json, _)| std::mem::take(json)).collect());
        write::atomic(folder.file("explanations.json"), |out| {
            serde_json::to_writer(&mut *out, &list)?;
            out.write_all(b"\n")
        })?;
        publish(folder)?;
        if args.run.json {
            print_json(&list)
        } else {
            print(&done.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n"))
        }
    }

    /// Explains and writes all but explanations.json, whose entries it returns with the text to print.
    fn explain(&self, device: &Device) -> Result<(Vec<serde_json::Value>, String)> {
        let Asked { args, model, parameters, rows, along, .. } = *self;
        let settings = self.decomposition();
        let clock = self.keep.clock();
        let first = &rows.inputs[..model.network.input_width()];
        let mut plans = plan(&model.network, parameters, first, &settings, device)?;
        if args.split.as_deref() == Some("all") {
            let same = passing_cuts(&model.network);
            if !same.is_empty() {
                let names: Vec<&str> = same.iter().map(|&id| model.network.nodes[id].name.as_str()).collect();
                say(&format!(
                    "{} left out, where what arrives is only passed on: {}",
                    many(same.len(), "cut"),
                    names.join(", ")
                ));
            }
            let left_out;
            (plans, left_out) = forms::within(&model.network, plans, rows.numbers.len(), 60.0 * args.budget);
            if !left_out.is_empty() {
                say(&format!(
                    "{} left out, beyond the {} minutes of --budget: {}",
                    many(left_out.len(), "split"),
                    args.budget,
                    left_out.join(", ")
                ));
            }
        }
        forms::announce(&model.network, &plans, rows.numbers.len());
        let names: Vec<String> = plans.iter().map(|plan| model.network.nodes[plan.split].name.clone()).collect();
        let splits = names.len();
        let mut collected = Collected {
            model,
            rows,
            units: units(&model.description.features, &[]),
            components: args.components,
            along,
            json: Vec::new(),
            maps: names.iter().map(|_| SplitMaps::default()).collect(),
            shown: Vec::new(),
            parts: Vec::new(),
            spectra: names.iter().map(|name| Spectrum::new(name)).collect(),
            vectors: Vec::new(),
            tolerance: tolerance(device),
            size: vec![0.0; model.network.input_width()],
            beta: Vec::new(),
            worst: 0.0,
            worst_map: 0.0,
            splits: names,
        };
        let bar = RowBar::new(rows.numbers.len());
        let (mut done, mut problem) = (0, None);
        let at = Cell::new(0.0);
        let mut each = |explanation| {
            if let Err(error) = collected.add(done / splits, explanation) {
                problem = Some(error);
                return Flow::Stop;
            }
            done += 1;
            at.set(done as f64 / splits as f64);
            bar.show(at.get())
        };
        let mut watch = |work: Work| bar.show(at.get() + work.share / splits as f64);
        let network = &model.network;
        let made = explain_planned(network, parameters, &rows.inputs, &settings, &plans, device, &mut each, &mut watch);
        bar.finish();
        let regions = made?;
        if let Some(error) = problem {
            return Err(error);
        }
        if done < rows.numbers.len() * splits {
            return Err(Error::Stopped("stopped before the last row".into()));
        }
        let text = self.finish(&collected, regions.as_deref(), device, clock.seconds())?;
        Ok((collected.json, text))
    }

    /// How the splits are decomposed.
    fn decomposition(&self) -> ExplainSettings {
        let Asked { args, rows, splits, output, .. } = *self;
        ExplainSettings {
            splits: splits.to_vec(),
            output,
            components: args.components,
            leading: 0,
            reduction: args.reduce,
            slopes: if args.secant { SlopeForm::Secant } else { SlopeForm::Tangent },
            form: args.form,
            memory: args.memory.saturating_mul(1 << 20),
            budget: 60.0 * args.budget / (splits.len() * rows.numbers.len()) as f64,
            keep: self.keep.clone(),
        }
    }

    /// Writes maps and page; the text to print.
    fn finish(
        &self,
        collected: &Collected<'_>,
        regions: Option<&[usize]>,
        device: &Device,
        seconds: f64,
    ) -> Result<String> {
        let Asked { args, model, .. } = *self;
        let splits = collected.splits.len();
        collected.npz().save(&self.folder.file(&format!("maps{}.npz", self.suffix)))?;
        let vectors: Vec<&[f64]> = collected.vectors.iter().map(|(_, v)| v.as_slice()).collect();
        let shown: Vec<Shown<'_>> = collected
            .shown
            .chunks(splits)
            .enumerate()
            .map(|(i, at_splits)| Shown {
                explanation: &at_splits[0],
                input: collected.input(i),
                label: collected.rows.labels.as_ref().map(|labels| labels[i].as_str()),
                name: collected.file(i),
                best: match collected.rows.pictures {
                    Some(_) => best_classes(&model.description, &at_splits[0].outputs, BEST),
                    None => Vec::new(),
                },
                at_splits,
            })
            .collect();
        let relevance: Vec<f64> = model.relevance().get(args.replica).map_or_else(Vec::new, |r| r.clone());
        let distinct = regions.map(|regions| regions.iter().max().map_or(0, |m| m + 1));
        let page = ExplainPage {
            description: &model.description,
            rows: collected.rows.numbers.len(),
            part: collected.rows.part,
            settings: self.settings(collected, device, seconds),
            pictures: collected.rows.pictures.as_ref().map(|steps| steps.channels),
            along: collected.along,
            reduction: args.reduce,
            shown,
            by_feature: (0..collected.parts.len()).map(|i| collected.by_feature(i)).collect(),
            caution: model.description.caution_of(&collected.name(self.output)),
            top: args.top,
            spectra: &collected.spectra,
            order: collected.vectors.iter().map(|(row, _)| *row).collect(),
            labels: collected.rows.labels.as_deref(),
            similarity: similarity(&vectors),
            relevance: &relevance,
            size: &collected.size,
            beta: collected.beta.iter().map(|(n, b)| (n.clone(), b / collected.rows.numbers.len() as f64)).collect(),
            regions: distinct,
            worst: collected.worst,
            worst_map: collected.worst_map,
        };
        let name = page_name(&args.model);
        let report = args.run.save(&page.page(), self.folder, &format!("{name}{}", self.suffix))?;
        let mut text = page.caution.map_or_else(String::new, |caution| format!("{caution}\n\n"));
        for e in collected.shown.iter().take(SHOWN.max(splits)) {
            text.push_str(&text::table(collected, e, args.top));
        }
        if collected.json.len() > collected.shown.len() {
            text.push_str(&format!("… {} more in explanations.json\n\n", collected.json.len() - collected.shown.len()));
        }
        if let Some(distinct) = distinct {
            text.push_str(&format!(
                "{} among {}\n",
                many(distinct, "linear region"),
                many(collected.rows.numbers.len(), "row")
            ));
        }
        text.push_str(&format!(
        "Every sum adds up: largest residual {:.1e}, of the maps {:.1e} ({:.0e} allowed). {:.2} s on {device}.\n{report}",
        collected.worst,
        collected.worst_map,
        collected.tolerance,
        seconds
    ));
        Ok(text)
    }

    /// In which forms the splits were decomposed.
    fn forms(&self, collected: &Collected<'_>) -> String {
        let mut forms: Vec<String> = Vec::new();
        for e in &collected.shown {
            let form = format!("{} ({})", serde_name(&e.form), e.split);
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        forms.join(", ")
    }

    /// What the page tells about how it was made.
    fn settings(&self, collected: &Collected<'_>, device: &Device, seconds: f64) -> Vec<(String, String)> {
        let args = self.args;
        let mut settings = vec![
            ("model".into(), args.model.display().to_string()),
            ("data".into(), args.data.join(", ")),
            ("rows".into(), args.rows.clone()),
            ("split".into(), collected.splits.join(", ")),
            ("output".into(), collected.name(self.output)),
            ("reduce".into(), args.reduce.to_string()),
            ("components".into(), args.components.to_string()),
            ("form".into(), self.forms(collected)),
            ("budget".into(), format!("{} min", args.budget)),
            ("memory".into(), format!("{} MiB", args.memory)),
            ("slopes".into(), if args.secant { "secant".into() } else { "tangent".into() }),
            ("engine".into(), device.to_string()),
            ("time".into(), format!("{seconds:.2} s")),
        ];
        if let Some(steps) = &collected.rows.pictures {
            let scale =
                if self.model.description.origin.is_trained() { "the model's own".into() } else { steps.scale_said() };
            settings.insert(2, ("pictures".into(), steps.said()));
            settings.insert(3, ("a pixel is".into(), scale));
        }
        settings
    }
}

/// The outputs that are asked for, each once. An autoencoder's are called by numbers.
fn outputs(model: &Model, asked: Option<&str>) -> Result<Vec<Output>> {
    let width = model.network.output().width();
    let targets = &model.description.targets;
    let numbers: Vec<String>;
    let names = if targets.len() == width {
        targets
    } else {
        numbers = (0..width).map(|j| j.to_string()).collect();
        &numbers
    };
    let all = || (0..width).map(Output::Index).collect();
    let text = match asked {
        // The largest of several numbers means nothing.
        None if model.description.task == Task::Regress && width > 1 => return Ok(all()),
        None => return Ok(vec![Output::Predicted]),
        Some("all") if !names.iter().any(|name| name == "all") => return Ok(all()),
        Some(text) => text,
    };
    // A name may have a comma itself.
    let whole = Output::parse(text, names);
    if whole.is_ok() || !text.contains(',') {
        return whole.map(|output| vec![output]);
    }
    let mut outputs = Vec::new();
    let Names(listed) = text.parse().unwrap_or_default();
    for one in &listed {
        let output = Output::parse(one, names)?;
        if !outputs.contains(&output) {
            outputs.push(output);
        }
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::suffixes;

    #[test]
    fn files_of_outputs_have_names_of_their_own() {
        let of = |names: &[&str]| suffixes(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["a b"]), [""]);
        assert_eq!(of(&["predicted", "dalmatian, dog"]), ["-predicted", "-dalmatian__dog"]);
        assert_eq!(of(&["a b", "a/b", "c"]), ["-a_b-0", "-a_b-1", "-c-2"]);
        assert_eq!(of(&["a", "A"]), ["-a-0", "-A-1"]);
        // One that ends like another's place.
        assert_eq!(of(&["a b", "a_b", "a_b-0"]), ["-a_b-0", "-a_b-1", "-a_b-0-2"]);
        let long = "x".repeat(40);
        assert_eq!(of(&[&format!("{long}1"), &format!("{long}2")]), [format!("-{long}-0"), format!("-{long}-1")]);
    }
}
