//! The progress bar.

use std::cell::Cell;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::interrupt::{catch_interrupt, heard, is_interrupted};
use crate::selection::{Stage, StageWork};
use crate::train::{Flow, Progress};

/// A bar on stderr with loss, metric, steps a second and the time left; nothing where stderr is no terminal.
pub struct Bar {
    bar: ProgressBar,
    metric: &'static str,
    started: Instant,
}

impl Bar {
    /// `metric`: [`Metric::short_name`](crate::relevance::Metric::short_name).
    pub fn new(metric: &'static str) -> Self {
        catch_interrupt();
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
        if is_interrupted() {
            // Whoever trains writes what is trained.
            heard();
            return Flow::Stop;
        }
        Flow::Continue
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A bar that counts rows.
pub struct RowBar {
    bar: ProgressBar,
    rows: usize,
}

impl RowBar {
    pub fn new(rows: usize) -> Self {
        catch_interrupt();
        let bar = ProgressBar::with_draw_target(Some(rows as u64 * PARTS), ProgressDrawTarget::stderr_with_hz(8));
        let style =
            ProgressStyle::with_template("{bar:28} {msg}  {eta} left").expect("invariant: the template is valid");
        bar.set_style(style.progress_chars("━╸ "));
        RowBar { bar, rows }
    }

    /// Shows how many rows are done, the one under way by its share, and says whether it goes on.
    pub fn show(&self, done: f64) -> Flow {
        self.bar.set_position((done * PARTS as f64) as u64);
        self.bar.set_message(format!("row {} of {}", (done as usize + 1).min(self.rows), self.rows));
        if is_interrupted() { Flow::Stop } else { Flow::Continue }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A bar for a selection's stages, one after the other, with the time left for all of them.
pub struct StageBar {
    bar: ProgressBar,
    started: Instant,
    /// The stages, with the work of each.
    work: Vec<StageWork>,
    /// Which stage is under way, how many of its trainings are done, and the last step seen.
    place: Cell<(usize, usize, u64)>,
}

impl StageBar {
    pub fn new(work: Vec<StageWork>) -> Self {
        catch_interrupt();
        let bar = ProgressBar::with_draw_target(Some(PARTS), ProgressDrawTarget::stderr_with_hz(8));
        let style =
            ProgressStyle::with_template("{bar:28} {percent:>3} %  {msg}").expect("invariant: the template is valid");
        bar.set_style(style.progress_chars("━╸ "));
        StageBar { bar, started: Instant::now(), work, place: Cell::new((0, 0, 0)) }
    }

    /// Shows which stage is how far, and says whether it goes on.
    pub fn show(&self, stage: Stage, progress: &Progress<'_>) -> Flow {
        let done = self.done(stage, progress);
        let elapsed = self.started.elapsed().as_secs_f64();
        let left = if done > SURE_FROM {
            format!("about {} left", duration(elapsed * (1.0 - done) / done))
        } else {
            String::new()
        };
        let name = match stage {
            Stage::Dense => "networks on all inputs",
            Stage::Grid => "range of penalties",
            Stage::Path => "path of penalties",
            Stage::Refit => "refit on what was kept",
            Stage::Stability => "halves of the rows",
            Stage::Sizes => "k best against k random",
            Stage::Compact => "compact model",
        };
        self.bar.set_position((done * PARTS as f64) as u64);
        self.bar.set_message(format!("{name}, loss {:.4}  {left}", progress.loss));
        if is_interrupted() { Flow::Stop } else { Flow::Continue }
    }

    /// The share of all the work that is done.
    fn done(&self, stage: Stage, progress: &Progress<'_>) -> f64 {
        let (mut at, mut trainings, last) = self.place.get();
        let now = self.work.iter().position(|work| work.stage == stage).unwrap_or(at);
        if now != at {
            (at, trainings) = (now, 0);
        } else if progress.step < last {
            trainings += 1;
        }
        self.place.set((at, trainings, progress.step));
        let StageWork { work, trainings: expected, .. } = self.work[at];
        let step = progress.step as f64 / progress.steps.max(1) as f64;
        let inside = ((trainings as f64 + step) / expected.max(1) as f64).min(1.0);
        let all: f64 = self.work.iter().map(|of| of.work).sum();
        let before: f64 = self.work[..at].iter().map(|of| of.work).sum();
        (before + inside * work) / all
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Steps of a bar (of a row), and the share of the work from which on the time left is more than a guess.
const PARTS: u64 = 1000;
const SURE_FROM: f64 = 0.03;

/// `8 s`, `3 min`, `2.5 h`.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_done_grows_from_stage_to_stage() {
        let of = |stage, work, trainings| StageWork { stage, work, trainings };
        let bar = StageBar::new(vec![of(Stage::Dense, 1.0, 1), of(Stage::Sizes, 2.0, 2), of(Stage::Compact, 1.0, 1)]);
        let at = |step| Progress { epoch: 0, epochs: 1, step, steps: 10, loss: 0.0, metric: 0.0, record: None };
        let mut shown = Vec::new();
        for (stage, step) in
            [(Stage::Dense, 5), (Stage::Dense, 10), (Stage::Sizes, 5), (Stage::Sizes, 10), (Stage::Sizes, 5)]
        {
            shown.push(bar.done(stage, &at(step)));
        }
        // More trainings than were expected don't go beyond the stage.
        shown.extend([10, 5, 10].map(|step| bar.done(Stage::Sizes, &at(step))));
        shown.push(bar.done(Stage::Compact, &at(10)));
        assert_eq!(shown, [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.75, 0.75, 1.0]);
        assert_eq!([8.4, 100.0, 9000.0].map(duration), ["8 s", "2 min", "2.5 h"]);
    }
}
