//! Long commands go on where they were stopped.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::Parser;
use serde::{Deserialize, Serialize};

use super::args::minutes;
use super::interrupt::{catch_interrupt, farewell, set_farewell};
use super::rows::Rows;
use super::say;
use crate::data::{Dataset, Targets};
use crate::model::Model;
use crate::run::{Folder, Journal, Keep, digest_of_words};
use crate::{Error, Result};

/// How often what is done is kept, and from where to go on.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Output")]
pub struct KeepArgs {
    /// What is done is kept in DIR/unfinished every so often: what a kill or a crash costs at most
    #[arg(long, value_name = "MINUTES", default_value_t = 2.0, value_parser = minutes)]
    pub checkpoint: f64,
    /// Go on with what was stopped in this folder, to the same bits. Everything else is known from there, but for --device, --threads,
    /// --json and --checkpoint, which may be given anew
    // Seen before all others (`arguments`); it stands here for the help.
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
}

/// The options beside --resume.
#[derive(Parser)]
#[command(name = "eigenlens", disable_help_flag = true)]
struct Going {
    #[arg(long)]
    resume: PathBuf,
    #[arg(long)]
    device: Option<String>,
    #[arg(long)]
    threads: Option<String>,
    #[arg(long)]
    checkpoint: Option<String>,
    #[arg(long)]
    json: bool,
}

/// What was started: it stands in a file beside the first thing that is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Started {
    version: String,
    /// Where relative paths of the arguments begin.
    directory: PathBuf,
    arguments: Vec<String>,
    /// A digest of the data that were read, and of the model if one was.
    data: String,
}

/// What is gone on with, and what it was started as.
static RESUMED: OnceLock<Started> = OnceLock::new();
/// Commands that can go on, each with a result of theirs that tells that nothing is left to do.
const COMMANDS: [(&str, &str); 6] = [
    ("train", "model.safetensors"),
    ("select", "model.safetensors"),
    ("explain", "explanations.json"),
    ("similarity", "similarity.npz"),
    ("curve", "curve.csv"),
    // Any experiment's.
    ("reproduce", ".json"),
];

/// The command line: what was given, or with --resume what was given then. `Err`: there is nothing left to do, or that was no folder of ours.
pub fn arguments() -> Result<Vec<OsString>, ExitCode> {
    let given: Vec<OsString> = std::env::args_os().collect();
    let text = |at: usize| given.get(at).and_then(|word| word.to_str()).unwrap_or_default();
    let asked = (2..given.len()).any(|i| text(i) == "--resume" || text(i).starts_with("--resume="));
    let Some((command, result)) = COMMANDS.into_iter().find(|(command, _)| asked && *command == text(1)) else {
        return Ok(given);
    };
    let going = Going::parse_from(given[..1].iter().chain(&given[2..]));
    going
        .command_line(command, result, &given[0])
        .map_err(|error| {
            say(&error.to_string());
            ExitCode::from(error.exit_code())
        })?
        .ok_or_else(|| {
            say(&format!("{}: finished; there is nothing to go on with", going.resume.display()));
            ExitCode::SUCCESS
        })
}

impl Going {
    /// `None` where all is done.
    fn command_line(&self, command: &str, result: &str, program: &OsString) -> Result<Option<Vec<OsString>>> {
        let out = std::path::absolute(&self.resume).unwrap_or_else(|_| self.resume.clone());
        let file = out.join("unfinished").join(command).join("run.json");
        let Ok(text) = std::fs::read(&file) else {
            let names = std::fs::read_dir(&out).into_iter().flatten().flatten().map(|entry| entry.file_name());
            let done = names.filter_map(|name| name.into_string().ok()).any(|name| name.ends_with(result));
            return if done {
                Ok(None)
            } else {
                let folder = self.resume.display();
                Err(Error::Usage(format!(
                    "--resume {folder}: nothing of a {command} is kept there; give the --out folder of one that was stopped"
                )))
            };
        };
        let remedy = "start anew without --resume";
        let started: Started =
            serde_json::from_slice(&text).map_err(|error| Error::input(&file, "JSON", error.to_string(), remedy))?;
        if started.version != env!("CARGO_PKG_VERSION") {
            let problem = format!("it was started by version {} of eigenlens", started.version);
            return Err(Error::input(
                &file,
                "version",
                problem,
                "go on with that version, or start anew without --resume",
            ));
        }
        std::env::set_current_dir(&started.directory).map_err(|error| {
            let remedy = "it was started there, and what it reads is named from there: put that folder back";
            Error::io("go to", &started.directory, error, remedy)
        })?;
        let mut line = vec![program.clone()];
        line.extend(started.arguments.iter().map(OsString::from));
        line.extend(["--out".into(), out.into_os_string()]);
        for (name, value) in
            [("--device", &self.device), ("--threads", &self.threads), ("--checkpoint", &self.checkpoint)]
        {
            line.extend(value.iter().flat_map(|value| [OsString::from(name), OsString::from(value)]));
        }
        line.extend(self.json.then(|| OsString::from("--json")));
        let _ = RESUMED.set(started);
        Ok(Some(line))
    }
}

/// Whether a run goes on that was stopped.
pub fn is_resumed() -> bool {
    RESUMED.get().is_some()
}

/// A command that keeps what it does.
pub struct Kept {
    pub folder: Folder,
    journal: Arc<Journal>,
    command: &'static str,
}

impl Kept {
    /// Opens the folder of results.
    pub fn open(command: &'static str, out: &Path, keep: &KeepArgs) -> Result<Kept> {
        let folder = Folder::open(out)?;
        catch_interrupt();
        let every = Duration::from_secs_f64((60.0 * keep.checkpoint).min(1e9));
        let journal = Arc::new(Journal::new(folder.unfinished(command), every));
        let (of, out) = (journal.clone(), out.display().to_string());
        set_farewell(move || {
            // What can't be written is not there to go on with.
            let _ = of.flush();
            if of.holds_any() {
                format!("stopped; `eigenlens {command} --resume {out}` goes on")
            } else {
                "stopped; nothing that takes long was done, and nothing is kept".into()
            }
        });
        Ok(Kept { folder, journal, command })
    }

    /// Where to keep what is done with these data: what the same command has done with them is there already.
    ///
    /// # Errors
    /// [`Error::Usage`] for other data than those that a resumed command was started with.
    pub fn with(&self, data: String) -> Result<Keep> {
        let now = match RESUMED.get() {
            Some(started) => Started { data, ..started.clone() },
            None => Started {
                version: env!("CARGO_PKG_VERSION").into(),
                directory: std::env::current_dir().unwrap_or_default(),
                arguments: std::env::args().skip(1).collect(),
                data,
            },
        };
        match self.journal.started().and_then(|text| serde_json::from_slice::<Started>(&text).ok()) {
            Some(before) if before == now => {
                if self.journal.holds_any() {
                    say("going on where the same command was stopped");
                }
            }
            Some(_) if is_resumed() => {
                let what =
                    if ["train", "select"].contains(&self.command) { "the data" } else { "the model or the data" };
                return Err(Error::Usage(format!(
                    "--resume {}: {what} are others than those it was started with; put those back, or start anew without --resume",
                    self.folder.path().display()
                )));
            }
            before => {
                if before.is_some() && self.journal.holds_any() {
                    let (folder, command) = (self.folder.path().display(), self.command);
                    say(&format!("{folder}: what was kept there of another {command} is given up"));
                }
                self.journal.clear()?;
            }
        }
        self.journal.start(serde_json::to_vec_pretty(&now).expect("invariant: plain data can be written as JSON"));
        Ok(Keep(Some(Arc::clone(&self.journal))))
    }

    /// What came of it, with what becomes of what was done.
    pub fn ended<T>(&self, outcome: Result<T>) -> Result<T> {
        let goes_on = |error: &Error| {
            let _ = self.journal.flush();
            let (command, out) = (self.command, self.folder.path().display());
            let kept = format!(
                "{error}. What was done is kept: `eigenlens {command} --resume {out}` goes on, on any --device"
            );
            self.journal.holds_any().then_some(kept)
        };
        outcome.map_err(|error| match &error {
            Error::Stopped(_) => Error::Stopped(farewell()),
            Error::Device(_) => goes_on(&error).map_or(error, Error::Device),
            _ => error,
        })
    }

    /// The results are written: nothing is left to go on with.
    pub fn finished(&self) -> Result<()> {
        self.journal.clear()
    }
}

/// A digest of all that a training takes from a data set.
pub fn digest(dataset: &Dataset) -> String {
    let names: Vec<u32> = dataset.features.iter().flat_map(|feature| feature.name.bytes().map(u32::from)).collect();
    let weights: Vec<u32> = dataset.weights.iter().flatten().map(|weight| weight.to_bits()).collect();
    let kind = match &dataset.y {
        Targets::Classes { .. } => 0,
        Targets::Numbers { .. } => 1,
        Targets::Inputs | Targets::None => 2,
    };
    let axes: Vec<u32> = dataset.axes.iter().map(|axis| axis.len as u32).chain([kind]).collect();
    let parts = [&names, &weights, &axes].map(|words| digest_of_words(words));
    [dataset.fingerprint()].iter().chain(&parts).map(|part| format!("{part:016x}")).collect()
}

/// A digest of a model.
pub fn digest_of_model(model: &Model) -> String {
    let graph = serde_json::to_string(&model.network).expect("invariant: a network can be written as JSON");
    let parameters = model.parameters.iter();
    let parts = parameters.flat_map(|of| of.pieces().chain([of.statistics.clone()]).map(|part| bits(&part)));
    combined(&parts.chain([texts([&graph, &model.description.targets.join("\n")])]).collect::<Vec<u64>>())
}

/// A digest of a model and of the rows that it is asked about.
pub fn digest_of_rows(model: &Model, rows: &Rows) -> String {
    let names = [&rows.labels, &rows.names].map(|names| texts(names.iter().flatten()));
    let parts = [bits(&rows.inputs), bits(&rows.raw), digest_of_words(&rows.numbers), names[0], names[1]];
    digest_of_model(model) + &combined(&parts)
}

/// A digest of several lists of numbers.
pub fn digest_of_lists(lists: &[&[f32]]) -> String {
    combined(&lists.iter().map(|list| digest_of_words(bytemuck::cast_slice(list))).collect::<Vec<u64>>())
}

fn bits(values: &[f64]) -> u64 {
    digest_of_words(bytemuck::cast_slice(values))
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> u64 {
    let words: Vec<u32> = texts.into_iter().flat_map(|text| text.bytes().chain([0]).map(u32::from)).collect();
    digest_of_words(&words)
}

fn combined(parts: &[u64]) -> String {
    format!("{:016x}", digest_of_words(bytemuck::cast_slice(parts)))
}
