//! Networks trained anew on some units alone, many small trainings side by side.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use super::SelectSettings;
use super::ensemble::{Ensemble, Member, Trained};
use super::prepared::Prepared;
use crate::data::{TargetScaling, input_of};
use crate::engine::Device;
use crate::train::{Flow, Progress, Resident, Settings};
use crate::{Error, Result};

/// Steps of a network that is trained anew, about.
const STEPS: usize = 900;
/// Bytes of data that trainings side by side may hold together, and what a value takes in one: it is there in f64, scaled, and
/// in the engine's memory.
const MEMORY: usize = 1 << 29;
const BYTES: usize = 24;

/// Networks to be trained on some units alone.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub units: Vec<usize>,
    pub networks: usize,
    /// Of the first; the others' follow.
    pub seed: u64,
}

impl Request {
    pub fn same_units(&self, other: &Request) -> bool {
        let sorted = |of: &Request| {
            let mut units = of.units.clone();
            units.sort_unstable();
            units
        };
        self.units.len() == other.units.len() && sorted(self) == sorted(other)
    }
}

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

/// Trains networks on some units alone.
#[derive(Clone, Copy)]
pub(super) struct Retrainer<'a> {
    pub prepared: &'a Prepared,
    pub settings: &'a SelectSettings,
    pub device: &'a Device,
}

impl Retrainer<'_> {
    fn train(
        &self,
        request: &Request,
        device: &Device,
        observe: &mut dyn FnMut(&Progress<'_>) -> Flow,
    ) -> Result<Vec<Trained>> {
        let Retrainer { prepared, settings, .. } = *self;
        let Request { units, networks, seed } = request;
        let training = retraining(prepared, settings, *networks, *seed);
        let dataset = prepared.dataset.select_columns(&prepared.columns_of(units));
        let plan = settings.plan(&dataset, false)?;
        let fitted = prepared.fitted();
        let target = TargetScaling::fit(&dataset, &fitted)?;
        let data = Resident::of(&dataset, &plan.scaling(&dataset, &fitted)?, &target, &prepared.split);
        let network = plan.architecture.build(input_of(&dataset.axes), data.outputs)?;
        let ensemble = Ensemble { network: &network, data: &data, lists: &prepared.lists, settings: &training, device };
        // The folds in turn, and with one network its seed's.
        let first = seed.wrapping_sub(settings.seed) as usize;
        let member = |(i, &settings)| Member { settings, start: None, columns: None, list: first.wrapping_add(i) };
        let members: Vec<Member> = training.replicas.iter().enumerate().map(member).collect();
        ensemble.train(&members, observe)
    }

    /// Each request's networks; `None` for those that a stop came before. They are independent and small, so on the CPU each
    /// core trains one alone, without waiting for another inside a step; on a GPU, or where the data are large, they are
    /// trained one after the other with all there is.
    ///
    /// # Errors
    /// Training's own, that of the first request which has one.
    pub fn side_by_side(
        &self,
        requests: &[Request],
        observe: &mut dyn FnMut(Ticks) -> Flow,
    ) -> Result<Vec<Option<Vec<Trained>>>> {
        let rows = self.prepared.dataset.rows;
        let widest = requests.iter().map(|r| self.prepared.columns_of(&r.units).len()).max().unwrap_or(0);
        let fit = MEMORY / rows.saturating_mul(widest).saturating_mul(BYTES).max(1);
        let workers = self.device.cores().min(requests.len()).min(fit).max(1);
        let device = if workers > 1 { self.device.on_one_core() } else { self.device.clone() };
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (heard, hears) = mpsc::channel::<(usize, f64, f64, f64)>();
        let work = |heard: mpsc::Sender<_>| {
            let mut done = Vec::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(i).filter(|_| !stop.load(Ordering::Relaxed)) else { return done };
                let trained = self.train(request, &device, &mut |progress| {
                    let share = progress.step as f64 / progress.steps.max(1) as f64;
                    // Nobody hears it after a panic elsewhere alone.
                    let _ = heard.send((i, share, progress.loss, progress.metric));
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
            let mut shares = vec![0.0; requests.len()];
            for (i, share, loss, metric) in hears {
                shares[i] = share;
                let ticks = Ticks {
                    finished: shares.iter().filter(|&&share| share >= 1.0).count(),
                    networks: shares.iter().zip(requests).map(|(share, r)| share * r.networks as f64).sum(),
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
            workers.into_iter().flat_map(join).collect::<Vec<(usize, Result<Vec<Trained>>)>>()
        });
        let mut trained: Vec<Option<Vec<Trained>>> = requests.iter().map(|_| None).collect();
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
}

/// How a network is trained anew: without penalties, the parameters of the best validation loss kept.
pub(super) fn retraining(prepared: &Prepared, settings: &SelectSettings, networks: usize, seed: u64) -> Settings {
    let base = &prepared.plan.settings;
    let epochs = settings.epochs(prepared.training_rows(), base.batch, STEPS, 1.0);
    Settings {
        epochs,
        early_stop: Some(epochs),
        replicas: Settings::ensemble(networks, seed, 0.0, 0.0),
        ..base.clone()
    }
}
