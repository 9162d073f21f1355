//! The progress bar, and Ctrl-C.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::selection::Stage;
use crate::train::{Flow, Progress};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// What shells report for a program that Ctrl-C ended.
const INTERRUPTED_CODE: i32 = 130;

/// What becomes of a training that is stopped.
const SAVED: &str = "what is trained is saved";

/// From now on the first Ctrl-C (or SIGTERM) asks for a clean stop, the second ends the program at once. `outcome`: what
/// becomes of the work; the first caller's is said.
fn catch_interrupt(outcome: &'static str) {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let handler = move || {
            if INTERRUPTED.swap(true, Ordering::SeqCst) {
                std::process::exit(INTERRUPTED_CODE);
            }
            eprintln!("\neigenlens: stopping after the steps under way; {outcome} (Ctrl-C again to quit at once)");
        };
        // Without a handler Ctrl-C ends the program at once: a loss of comfort, not of correctness.
        let _ = ctrlc::set_handler(handler);
    });
}

/// A bar on stderr with loss, metric, steps a second and the time left; nothing where stderr is no terminal.
pub struct Bar {
    bar: ProgressBar,
    metric: &'static str,
    started: Instant,
}

impl Bar {
    /// `metric`: [`Metric::short_name`](crate::relevance::Metric::short_name).
    pub fn new(metric: &'static str) -> Self {
        catch_interrupt(SAVED);
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
        let style = ProgressStyle::with_template("{prefix}{bar:28} epoch {msg}  {elapsed} of about {duration}")
            .expect("invariant: the template is valid");
        bar.set_style(style.progress_chars("━╸ "));
        Bar { bar, metric, started: Instant::now() }
    }

    /// A bar with the name of what is trained before it, for several trainings in turn.
    pub fn titled(what: &str, metric: &'static str) -> Self {
        let bar = Bar::new(metric);
        bar.bar.set_prefix(format!("{what} "));
        bar
    }

    /// Shows how far training is, and says whether it goes on.
    pub fn show(&self, progress: &Progress<'_>) -> Flow {
        self.bar.set_length(progress.steps);
        self.bar.set_position(progress.step);
        let rate = progress.step as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        self.bar.set_message(format!(
            "{}/{}  loss {:.4}  {} {:.4}  {rate:.0} steps/s",
            progress.epoch + 1,
            progress.epochs,
            progress.loss,
            self.metric,
            progress.metric,
        ));
        if INTERRUPTED.load(Ordering::SeqCst) { Flow::Stop } else { Flow::Continue }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A bar that counts rows.
pub struct RowBar {
    bar: ProgressBar,
}

impl RowBar {
    pub fn new(rows: usize) -> Self {
        catch_interrupt(SAVED);
        let bar = ProgressBar::with_draw_target(Some(rows as u64), ProgressDrawTarget::stderr_with_hz(8));
        let style = ProgressStyle::with_template("{bar:28} row {pos} of {len}  {per_sec}  {eta} left")
            .expect("invariant: the template is valid");
        bar.set_style(style.progress_chars("━╸ "));
        RowBar { bar }
    }

    /// Shows how many rows are done, and says whether it goes on.
    pub fn show(&self, rows: usize) -> Flow {
        self.bar.set_position(rows as u64);
        if INTERRUPTED.load(Ordering::SeqCst) { Flow::Stop } else { Flow::Continue }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A bar for a selection's stages, one after the other.
pub struct StageBar {
    bar: ProgressBar,
}

impl StageBar {
    pub fn new() -> Self {
        catch_interrupt("a selection that isn't finished is not saved");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
        let style =
            ProgressStyle::with_template("{bar:28} {msg}  {elapsed}").expect("invariant: the template is valid");
        bar.set_style(style.progress_chars("━╸ "));
        StageBar { bar }
    }

    /// Shows which stage is how far, and says whether it goes on.
    pub fn show(&self, stage: Stage, progress: &Progress<'_>) -> Flow {
        let name = match stage {
            Stage::Dense => "networks on all inputs",
            Stage::Grid => "range of penalties",
            Stage::Path => "path of penalties",
            Stage::Refit => "refit on what was kept",
            Stage::Stability => "halves of the rows",
            Stage::Sizes => "k best against k random",
            Stage::Compact => "compact model",
        };
        self.bar.set_length(progress.steps);
        self.bar.set_position(progress.step);
        self.bar.set_message(format!(
            "{name}: epoch {}/{}  loss {:.4}",
            progress.epoch + 1,
            progress.epochs,
            progress.loss
        ));
        if INTERRUPTED.load(Ordering::SeqCst) { Flow::Stop } else { Flow::Continue }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
