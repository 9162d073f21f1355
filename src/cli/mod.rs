//! The command line: one file for each subcommand. Results go to stdout, progress to stderr.

mod adapters;
mod args;
mod curve;
mod demo;
mod explain;
mod export;
mod inspect;
mod interrupt;
mod names;
mod output;
mod pictures;
mod predict;
mod progress;
mod rank;
mod reproduce;
mod resume;
mod rows;
mod select;
mod similarity;
mod train;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::Result;
use crate::error::printable;

/// Shows which inputs a neural network uses.
///
/// Trains spectral networks, whose eigenvalues rank the inputs as a by-product, on any GPU or on the CPU.
#[derive(Parser)]
#[command(name = "eigenlens", version, max_term_width = 110, disable_help_flag = true)]
#[command(after_help = "eigenlens COMMAND --help for the options that most people need, --help-all for every one")]
struct Cli {
    /// Print help; --help-all prints every option
    #[arg(short, long, global = true, action = ArgAction::HelpShort, help_heading = "Help", display_order = 1000)]
    help: Option<bool>,
    /// Print help with every option
    #[arg(long, global = true, action = ArgAction::HelpLong, hide_short_help = true, help_heading = "Help", display_order = 1001)]
    help_all: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// MNIST, 0 against 1: train, rank the pixels, draw the curve, write the report
    Demo(demo::Args),
    /// The engines and adapters of this machine, and which one `auto` takes
    Adapters(adapters::Args),
    /// Train a spectral network and rank its inputs
    Train(Box<train::Args>),
    /// The few inputs that matter, with uncertainty and an honest score at each size
    Select(Box<select::Args>),
    /// The ranking of a trained model's inputs
    Rank(rank::Args),
    /// Accuracy (or error) against the number of inputs kept
    Curve(curve::Args),
    /// A model's outputs for every row of some data
    Predict(predict::Args),
    /// Why these outputs: exact sums of spectral contributions, with maps over the inputs
    Explain(Box<explain::Args>),
    /// How alike the singular vectors of different rows are
    Similarity(Box<similarity::Args>),
    /// An experiment of the papers, whole, with its pictures and numbers
    Reproduce(reproduce::Args),
    /// A model's graph: nodes, names to split at, shapes, parameters
    Inspect(inspect::Args),
    /// A trained model as an ONNX file, for other programs
    Export(export::Args),
}

/// The command line as clap reads it, with -1 as a value: what is wrong with it is that the option doesn't take it.
fn parse(line: Vec<OsString>) -> Cli {
    let commands: Vec<String> = Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
    let allow = |cli: clap::Command, name| cli.mut_subcommand(name, |command| command.allow_negative_numbers(true));
    // What is given beside --resume counts, and not what was given then.
    let cli = Cli::command().args_override_self(resume::is_resumed());
    let matches = commands.into_iter().fold(cli, allow).get_matches_from(line);
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Runs the command line: exit code 0, 1 (failed) or 2 (wrong usage); a second Ctrl-C while training ends the program with 130.
pub fn main() -> ExitCode {
    let cli = match resume::arguments() {
        Ok(line) => parse(line),
        Err(code) => return code,
    };
    let done = match &cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Adapters(args) => adapters::run(args),
        Command::Train(args) => train::run(args),
        Command::Select(args) => select::run(args),
        Command::Rank(args) => rank::run(args),
        Command::Curve(args) => curve::run(args),
        Command::Predict(args) => predict::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Similarity(args) => similarity::run(args),
        Command::Reproduce(args) => reproduce::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Export(args) => export::run(args),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            say(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}

/// Says a line on stderr. Where nobody can read it, a full disk or a closed pipe, the work goes on.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "eigenlens: {}", printable(text));
}

/// Prints a text for people to stdout, with its lines, but without what does anything to a terminal.
fn print(text: &str) -> Result<()> {
    write_out(&text.split('\n').map(printable).collect::<Vec<_>>().join("\n"))
}

/// Prints to stdout; a reader that has gone away (`| head`) is no failure.
fn write_out(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(crate::Error::io("write to", "standard output", e, "check where it is redirected to"))
        }
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
fn print_json(value: &serde_json::Value) -> Result<()> {
    write_out(&format!("{value:#}\n"))
}
