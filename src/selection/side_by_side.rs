//! Trainings that have nothing to do with each other, each on a core of its own.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::engine::Device;
use crate::train::{Flow, Progress};
use crate::{Error, Result};

/// Between two words from a training: hearing them costs its core some microseconds, as much as a step of a small network.
const PAUSE: Duration = Duration::from_millis(20);

/// How far several trainings have come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ticks {
    pub finished: usize,
    /// Networks that are done, with the share of those under way.
    pub networks: f64,
    /// Of the training that was heard of last.
    pub loss: f64,
    pub metric: f64,
}

impl Ticks {
    /// The same as one training, of which an epoch is one of theirs, `networks` being all of them.
    pub fn progress(self, trainings: usize, networks: usize) -> Progress<'static> {
        // Steps of the bar for each network.
        const PARTS: f64 = 1000.0;
        Progress {
            epoch: self.finished,
            epochs: trainings,
            step: (PARTS * self.networks) as u64,
            steps: (PARTS * networks as f64) as u64,
            loss: self.loss,
            metric: self.metric,
            record: None,
        }
    }
}

/// What a training tells of itself while it runs.
pub(super) type Tell<'a> = &'a mut dyn FnMut(&Progress<'_>) -> Flow;

/// Runs a training for each entry of `networks`, which says how many networks it is of; `None` for those that a stop came before. On the
/// CPU each core takes the next one and trains it alone: nothing waits for another core inside a step, a network's numbers stay in
/// that core's cache, and the bits are the same however many cores there are. At most `most` run at a time; where that is one, as on
/// a GPU, it has all there is.
///
/// # Errors
/// The trainings' own, that of the first which has one.
pub(super) fn side_by_side<T: Send>(
    device: &Device,
    networks: &[usize],
    most: usize,
    run: impl Fn(usize, &Device, Tell<'_>) -> Result<T> + Sync,
    observe: &mut dyn FnMut(Ticks) -> Flow,
) -> Result<Vec<Option<T>>> {
    let workers = device.cores().min(networks.len()).min(most).max(1);
    let device = if workers > 1 { device.on_one_core() } else { device.clone() };
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (heard, hears) = mpsc::channel::<(usize, f64, f64, f64)>();
    let work = |heard: mpsc::Sender<_>| {
        let (mut done, mut told) = (Vec::new(), None::<Instant>);
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= networks.len() || stop.load(Ordering::Relaxed) {
                return done;
            }
            let trained = run(i, &device, &mut |progress| {
                let share = progress.step as f64 / progress.steps.max(1) as f64;
                if share >= 1.0 || told.is_none_or(|told| told.elapsed() >= PAUSE) {
                    told = Some(Instant::now());
                    // Nobody hears it after a panic elsewhere alone.
                    let _ = heard.send((i, share, progress.loss, progress.metric));
                }
                if stop.load(Ordering::Relaxed) { Flow::Stop } else { Flow::Continue }
            });
            if trained.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            done.push((i, trained));
        }
    };
    let done = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers)
            .map(|_| {
                let heard = heard.clone();
                scope.spawn(|| work(heard))
            })
            .collect();
        drop(heard);
        let mut shares = vec![0.0; networks.len()];
        for (i, share, loss, metric) in hears {
            shares[i] = share;
            let ticks = Ticks {
                finished: shares.iter().filter(|&&share| share >= 1.0).count(),
                networks: shares.iter().zip(networks).map(|(share, &networks)| share * networks as f64).sum(),
                loss,
                metric,
            };
            if observe(ticks) == Flow::Stop {
                stop.store(true, Ordering::Relaxed);
            }
        }
        let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<_>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(join).collect::<Vec<(usize, Result<T>)>>()
    });
    let mut trained: Vec<Option<T>> = networks.iter().map(|_| None).collect();
    let mut failed: Option<(usize, Error)> = None;
    for (i, result) in done {
        match result {
            Ok(networks) => trained[i] = Some(networks),
            Err(Error::Stopped(_)) => {}
            Err(error) if failed.as_ref().is_none_or(|(first, _)| i < *first) => failed = Some((i, error)),
            Err(_) => {}
        }
    }
    failed.map_or(Ok(trained), |(_, error)| Err(error))
}
