//! `eigenlens predict`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::args::{DeviceArgs, GivenArgs};
use super::names::CsvArgs;
use super::pictures::{self, best_classes};
use super::say;
use super::{print, print_json, write_out};
use crate::Device;
use crate::data::{self, Dataset, Missing, Request, Split, Targets, Task, single};
use crate::error::counted;
use crate::host::{argmax, softmax};
use crate::model::{Model, Origin};
use crate::report::photo_figures::BestClass;
use crate::report::text::{percent, shorten};
use crate::train::Resident;
use crate::{Error, Result, write};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// model.safetensors of a training, or a network as an .onnx file
    model: PathBuf,
    /// Data with the model's columns, of any format that train reads; a target is not needed. JPEG and PNG pictures may be several, or a folder
    #[arg(required = true, value_name = "DATA")]
    data: Vec<String>,
    /// The table: of classes the answer and the probability of each, of numbers their values; - for stdout
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
    /// What names the rows instead of their numbers: a column of the table, or `file` of pictures
    #[arg(long, value_name = "NAME")]
    id: Option<String>,
    /// The classes' logits instead of answers and probabilities (an ONNX network's outputs always are as they come)
    #[arg(long)]
    logits: bool,
    /// What an ONNX network's final softmax, log-softmax or sigmoid makes of its outputs, instead of what goes into it
    #[arg(long)]
    keep_softmax: bool,
    #[command(flatten)]
    given: GivenArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    csv: CsvArgs,
    /// Print what was written as JSON; with --out -, the table is in it
    #[arg(long)]
    json: bool,
}

/// Takes from the model what the command line leaves open.
pub fn fill_in(request: &mut Request, model: &Model) {
    let d = &model.description;
    request.expect = Some(d.features.clone());
    request.origins.clone_from(&d.scaling.origins);
    request.chosen_from = d.chosen_from;
    request.axes = Some(d.axes.clone());
    request.target = request.target.take().or_else(|| d.target_column.clone());
    request.task = request.task.or(Some(d.task));
    if request.missing == Missing::Refuse {
        request.missing = d.missing;
    }
}

/// Reads data as the model's own were: rows of classes that it wasn't trained on are left out, unless the command line
/// names classes, or none of the model's is there.
pub fn read(request: &Request, model: &Model) -> Result<Dataset> {
    let d = &model.description;
    let known = match &d.classes {
        _ if request.classes.is_some() => return data::load(request),
        Some(classes) => classes,
        None if request.target.is_none() && request.task != Some(Task::Autoencode) => &d.targets,
        None => return data::load(request),
    };
    if request.task != Some(Task::Autoencode) {
        return data::load(request)?.keep_known_classes(known);
    }
    // An autoencoder's targets are its inputs, so the classes have to be read first.
    let labelled = Request { task: None, need_target: false, ..request.clone() };
    let mut dataset = data::load(&labelled)?.keep_known_classes(known)?;
    dataset.y = Targets::Inputs;
    Ok(dataset)
}

/// Rows are known by their numbers here, so none may be left out.
///
/// # Errors
/// [`Error::Usage`] when the command line asks for that.
pub fn keep_every_row(request: &mut Request, asked: Missing) -> Result<()> {
    if asked == Missing::Drop {
        return Err(Error::Usage(
            "--missing drop would leave rows out and number the others anew; use --missing mean, or fill the cells"
                .into(),
        ));
    }
    if request.missing == Missing::Drop {
        request.missing = Missing::Refuse;
    }
    Ok(())
}

/// Outputs of all rows, mean over the replicas, `[rows, outputs]`.
fn mean_outputs(model: &Model, resident: &Resident, device: &Device) -> Result<Vec<f64>> {
    let mut job = model.job(resident, None, device)?;
    let mut mean = Vec::new();
    for replica in 0..job.replicas() {
        let outputs = job.predict(replica, resident.test.clone())?;
        mean.resize(outputs.len(), 0.0);
        mean.iter_mut().zip(outputs).for_each(|(sum, x)| *sum += x / model.parameters.len() as f64);
    }
    Ok(mean)
}

/// Pictures whose best classes are printed, and how many of each.
const SHOWN: usize = 20;
const BEST: usize = 3;

/// Numbers that are held in double precision at once.
const INPUTS: usize = 1 << 26;

/// Outputs of all rows of a network that wasn't trained here.
fn outputs(model: &Model, resident: &Resident, rows: usize, device: &Device) -> Result<Vec<f64>> {
    let numbers: Vec<u32> = (0..rows as u32).collect();
    let at_once = (INPUTS / model.network.input_width().max(1)).max(1);
    let mut all = Vec::with_capacity(rows * model.network.output().width());
    for rows in numbers.chunks(at_once) {
        all.extend(model.outputs(&resident.inputs(rows), device)?);
    }
    Ok(all)
}

/// Outputs as they are written: probabilities where `answers`, numbers in the targets' units, and all with the digits that the engine
/// computes with.
fn written(model: &Model, outputs: &[f64], answers: bool, device: &Device) -> Vec<f64> {
    let (d, double) = (&model.description, matches!(device, Device::CpuF64 { .. }));
    let precise = |y: f64| if double { y } else { single(y as f32) };
    let of_row = |row: &[f64]| -> Vec<f64> {
        match d.task {
            _ if answers => softmax(row).into_iter().map(precise).collect(),
            Task::Classify => row.iter().copied().map(precise).collect(),
            _ if double => row.iter().enumerate().map(|(c, &y)| d.target_scaling.original(c, y)).collect(),
            _ => row.iter().enumerate().map(|(c, &y)| d.target_scaling.original_of_single(c, y)).collect(),
        }
    };
    outputs.chunks_exact(d.targets.len()).flat_map(of_row).collect()
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut model = Model::load(&args.model)?;
    let given = [args.model.clone()].into_iter().chain(args.data.iter().map(PathBuf::from));
    write::refuse_to_replace(&args.out, given)?;
    let device = args.device.open()?;
    let mut request = args.given.read.request_all(&args.data, model.description.split_seed);
    request.need_target = false;
    let steps = pictures::complete(&mut model, &request, &args.given.names)?;
    fill_in(&mut request, &model);
    keep_every_row(&mut request, args.given.read.missing)?;
    let mut answers =
        Answers { args, model: &model, device: &device, ids: None, rows: 0, best: Vec::new(), said: Vec::new() };
    if let Some(name) = args.id.as_deref().filter(|name| *name != "file" || !data::is_pictures(&request.source)) {
        answers.ids = Some(data::column(&request.source, name)?);
    }
    let mut write = |out: &mut dyn Write| {
        let mut table = csv::Writer::from_writer(out);
        answers.header(&mut table)?;
        data::pieces(&request, answers.rows_at_once(), &mut |dataset| {
            if answers.rows == 0 {
                pictures::announce(&model, steps.as_ref());
            }
            answers.add(dataset, &mut table)
        })?;
        table.flush().map_err(|e| answers.refused(e))
    };
    if args.out.as_os_str() == "-" {
        let mut table = Vec::new();
        write(&mut table)?;
        let table = String::from_utf8_lossy(&table);
        match args.json {
            true => print_json(
                &serde_json::json!({ "rows": answers.rows, "outputs": model.description.targets, "table": table }),
            )?,
            false => write_out(&table)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    write::sweep_beside(&args.out);
    let mut failed = None;
    let written = write::atomic(&args.out, |out| {
        write(out).map_err(|error| {
            failed = Some(error);
            std::io::Error::other("there is nothing whole to write")
        })
    });
    failed.map_or(written, Err)?;
    answers.tell()?;
    Ok(ExitCode::SUCCESS)
}

/// Numbers of a piece of the data.
const PIECE: usize = 1 << 22;

/// The table that is written, piece by piece.
struct Answers<'a> {
    args: &'a Args,
    model: &'a Model,
    device: &'a Device,
    /// What names the rows instead of their numbers; else pictures' files may.
    ids: Option<Vec<String>>,
    /// Written so far.
    rows: usize,
    /// Of pictures, the first ones: their names and best classes.
    best: Vec<(String, Vec<BestClass>)>,
    said: Vec<String>,
}

impl Answers<'_> {
    /// Of a piece: whole batches, so that nothing depends on where it ends.
    fn rows_at_once(&self) -> usize {
        let batch = self.model.description.settings.batch.max(1);
        (PIECE / self.model.network.input_width().max(1)).div_ceil(batch).max(1) * batch
    }

    /// Whether answers stand beside the numbers.
    fn are_answers(&self) -> bool {
        let d = &self.model.description;
        d.task == Task::Classify && !self.args.logits && d.origin.is_trained()
    }

    fn text(&self, text: &str) -> String {
        self.args.csv.names().cell(text)
    }

    fn refused(&self, e: impl Into<std::io::Error>) -> Error {
        Error::io("write", &self.args.out, e.into(), "check the disk's space and the folder's rights")
    }

    fn header(&self, table: &mut csv::Writer<&mut dyn Write>) -> Result<()> {
        let first = self.args.id.as_deref().unwrap_or("row");
        let targets = self.model.description.targets.iter().map(String::as_str);
        let header = [first].into_iter().chain(self.are_answers().then_some("predicted")).chain(targets);
        table.write_record(header.map(|name| self.text(name))).map_err(|e| self.refused(e))
    }

    /// What the network makes of some rows.
    fn outputs(&self, dataset: &mut Dataset) -> Result<Vec<f64>> {
        // Outputs don't depend on targets, which may be absent or of other classes.
        dataset.y = Targets::None;
        let parts = Split { test: (0..dataset.rows as u32).collect(), ..Split::default() };
        let resident = self.model.prepare(dataset, &parts)?;
        let Origin::Onnx { removed } = &self.model.description.origin else {
            return mean_outputs(self.model, &resident, self.device);
        };
        let mut outputs = outputs(self.model, &resident, dataset.rows, self.device)?;
        match removed {
            Some(removed) if self.args.keep_softmax => {
                let m = self.model.description.targets.len();
                outputs.chunks_exact_mut(m).for_each(|row| row.copy_from_slice(&removed.apply(row)));
            }
            Some(removed) if self.rows == 0 => say(&format!(
                "a final {removed} was taken off: the outputs are what goes into it (--keep-softmax leaves it on)"
            )),
            _ => {}
        }
        Ok(outputs)
    }

    /// Adds some rows.
    fn add(&mut self, mut dataset: Dataset, table: &mut csv::Writer<&mut dyn Write>) -> Result<()> {
        for note in std::mem::take(&mut dataset.notes) {
            if !self.said.contains(&note) {
                say(&note);
                self.said.push(note);
            }
        }
        let (d, m) = (&self.model.description, self.model.description.targets.len());
        let mean = self.outputs(&mut dataset)?;
        if !self.args.keep_softmax {
            let pictures = dataset.row_names.iter().zip(mean.chunks_exact(m));
            self.best.extend(pictures.map(|(name, row)| (name.clone(), best_classes(d, row, BEST))));
        }
        let answers = self.are_answers();
        let written = written(self.model, &mean, answers, self.device);
        // What isn't finite may be infinite in single precision alone.
        if let Some(bad) = (0..mean.len()).find(|&i| !(mean[i].is_finite() && written[i].is_finite())) {
            return Err(Error::input(
                &dataset.source,
                format!("row {}", self.rows + bad / m),
                "the network's output is not finite",
                "check that row for extreme values",
            ));
        }
        for (r, (row, written)) in mean.chunks_exact(m).zip(written.chunks_exact(m)).enumerate() {
            let answer = answers.then(|| self.text(&d.targets[argmax(row)]));
            let values = written.iter().map(f64::to_string);
            let id = match (&self.ids, dataset.row_names.get(r)) {
                (Some(ids), _) => self.text(&ids[self.rows + r]),
                (None, Some(name)) if self.args.id.is_some() => self.text(name),
                _ => (self.rows + r).to_string(),
            };
            table.write_record([id].into_iter().chain(answer).chain(values)).map_err(|e| self.refused(e))?;
        }
        self.rows += dataset.rows;
        Ok(())
    }

    /// Says what was written.
    fn tell(&self) -> Result<()> {
        let d = &self.model.description;
        if self.args.json {
            return print_json(&serde_json::json!({ "rows": self.rows, "outputs": d.targets, "file": self.args.out }));
        }
        let mut text = String::new();
        for (name, outputs) in self.best.iter().take(SHOWN) {
            let named =
                outputs.iter().map(|class| format!("{} {}", shorten(&class.name, 30), percent(class.probability)));
            text.push_str(&format!("{}: {}\n", shorten(name, 60), named.collect::<Vec<_>>().join(", ")));
        }
        if self.best.len() > SHOWN {
            text.push_str(&format!("… {} more\n", self.best.len() - SHOWN));
        }
        let (rows, outputs) = (counted(self.rows, "row"), counted(d.targets.len(), "output"));
        print(&format!("{text}{rows}, {outputs}: {}\n", self.args.out.display()))
    }
}
