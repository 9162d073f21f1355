//! Networks trained anew on some units alone, many small trainings side by side.

use super::SelectSettings;
use super::ensemble::{Ensemble, Member, Trained};
use super::prepared::Prepared;
use super::side_by_side::{Tell, Ticks, side_by_side};
use crate::Result;
use crate::data::input_of;
use crate::engine::Device;
use crate::train::{Flow, Resident, Settings};

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

/// Trains networks on some units alone.
#[derive(Clone, Copy)]
pub(super) struct Retrainer<'a> {
    pub prepared: &'a Prepared,
    pub settings: &'a SelectSettings,
    pub device: &'a Device,
}

impl Retrainer<'_> {
    fn train(&self, request: &Request, device: &Device, tell: Tell<'_>) -> Result<Vec<Trained>> {
        let Retrainer { prepared, settings, .. } = *self;
        let Request { units, networks, seed } = request;
        let training = retraining(prepared, settings, *networks, *seed);
        let dataset = prepared.dataset.select_columns(&prepared.columns_of(units));
        let plan = prepared.retraining(settings, &dataset)?;
        let fitted = prepared.fitted();
        let scaling = plan.scaling(&dataset, &fitted)?;
        let target = plan.target_scaling(&dataset, &scaling, &fitted)?;
        let data = Resident::of(&dataset, &scaling, &target, &prepared.split);
        let network = plan.architecture.build(input_of(&dataset.axes), data.outputs)?;
        let ensemble = Ensemble {
            network: &network,
            data: &data,
            lists: &prepared.lists,
            units: &[],
            settings: &training,
            device,
        };
        // The folds in turn, and with one network its seed's.
        let first = seed.wrapping_sub(settings.seed) as usize;
        let member = |(i, &settings)| Member { settings, start: None, columns: None, list: first.wrapping_add(i) };
        let members: Vec<Member> = training.replicas.iter().enumerate().map(member).collect();
        ensemble.train(&members, tell)
    }

    /// Each request's networks; `None` for those that a stop came before. They are independent and small: [`side_by_side`], as many as
    /// the memory allows.
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
        let each = widest + self.prepared.data.outputs;
        let fit = MEMORY / rows.saturating_mul(each).saturating_mul(BYTES).max(1);
        let networks: Vec<usize> = requests.iter().map(|request| request.networks).collect();
        let train = |i: usize, device: &Device, tell: Tell<'_>| self.train(&requests[i], device, tell);
        side_by_side(self.device, &networks, fit, train, observe)
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
