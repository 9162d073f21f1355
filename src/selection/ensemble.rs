//! Many replicas of one network: on the CPU each a training of its own, on a GPU as few trainings as the memory allows.

use std::ops::Range;

use super::side_by_side::{Tell, Ticks, side_by_side};
use crate::assess::constant_loss;
use crate::data::Unit;
use crate::engine::Device;
use crate::network::{Network, Parameters};
use crate::train::{Job, Masked, Masking, Narrow, ReplicaSettings, Resident, Scores, Settings};
use crate::{Error, Result};

/// One trained replica.
#[derive(Debug, Clone)]
pub(super) struct Trained {
    pub parameters: Parameters,
    /// As the network is in use: without dropout, with batch norm's running statistics.
    pub train: Scores,
    pub validation: Scores,
    /// On the rows that nothing was chosen by; the validation rows' where there are none.
    pub test: Scores,
    /// The loss on its training rows of the constant answer that fits them best.
    pub constant_loss: f64,
}

/// A replica that is to be trained.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub settings: ReplicaSettings,
    /// `None`: by the settings' initialisation.
    pub start: Option<Parameters>,
    /// Columns that it may use, ascending; `None`: all.
    pub columns: Option<Vec<usize>>,
    /// Which of the ensemble's row lists it trains on; they are counted round.
    pub list: usize,
}

/// What is trained.
#[derive(Clone, Copy)]
pub(super) struct Ensemble<'a> {
    pub network: &'a Network,
    pub data: &'a Resident,
    /// Row lists of the folds; empty: all use that of `data`.
    pub lists: &'a [Vec<u32>],
    /// What a penalty drops together; empty where there is none.
    pub units: &'a [Unit],
    /// Its replicas are replaced by the members'.
    pub settings: &'a Settings,
    pub device: &'a Device,
}

impl Ensemble<'_> {
    /// Trains all members.
    ///
    /// # Errors
    /// [`Error::Device`] when not even one member fits; [`Error::Stopped`] when `observe` stops it; training's own.
    pub fn train(&self, members: &[Member], observe: Tell<'_>) -> Result<Vec<Trained>> {
        if matches!(self.device, Device::Gpu(_)) {
            return self.in_tiles(members, observe);
        }
        let one = vec![1; members.len()];
        let train = |i: usize, device: &Device, tell: Tell<'_>| {
            let trained = Ensemble { device, ..*self }.together(&members[i..=i], tell)?;
            trained.into_iter().next().ok_or_else(stopped)
        };
        let mut watch = |ticks: Ticks| observe(&ticks.progress(members.len(), members.len()));
        let trained = side_by_side(self.device, &one, usize::MAX, train, &mut watch)?;
        trained.into_iter().collect::<Option<_>>().ok_or_else(stopped)
    }

    /// One training, or several of equal size where one doesn't fit the device.
    fn in_tiles(&self, members: &[Member], observe: Tell<'_>) -> Result<Vec<Trained>> {
        let mut trained = Vec::with_capacity(members.len());
        let mut tile = members.len();
        while trained.len() < members.len() {
            let rest = &members[trained.len()..];
            let part = &rest[..tile.min(rest.len())];
            match self.together(part, observe) {
                Ok(part) => trained.extend(part),
                Err(Error::Device(_)) if tile > 1 => tile = tile.div_ceil(2),
                Err(error) => return Err(error),
            }
        }
        Ok(trained)
    }

    /// Members side by side in one training. What columns none of them may use are left out of it.
    fn together(&self, members: &[Member], observe: Tell<'_>) -> Result<Vec<Trained>> {
        let mut used = vec![false; self.data.columns];
        for member in members {
            match &member.columns {
                Some(columns) => columns.iter().for_each(|&c| used[c] = true),
                None => used.fill(true),
            }
        }
        // A network reads one column at least.
        let columns: Vec<usize> = (0..used.len()).filter(|&c| used[c] || c == 0 && !used.contains(&true)).collect();
        let narrow = (columns.len() < used.len()).then(|| Narrow::new(self.network, columns)).flatten();
        let Some(narrow) = narrow else { return self.whole(members, observe) };
        let data = narrow.data(self.data);
        let settings = Settings { groups: narrow.groups(&self.settings.groups), ..self.settings.clone() };
        let inside = Ensemble { network: &narrow.network, data: &data, units: &[], settings: &settings, ..*self };
        let place = |c: &usize| narrow.columns.binary_search(c).ok();
        let own = |columns: &Vec<usize>| columns.iter().filter_map(place).collect::<Vec<_>>();
        let member = |member: &Member| Member {
            start: member.start.as_ref().map(|start| narrow.take(start)),
            columns: member.columns.as_ref().map(own).filter(|own| own.len() < narrow.columns.len()),
            ..*member
        };
        let members: Vec<Member> = members.iter().map(member).collect();
        let mut trained = inside.whole(&members, observe)?;
        trained.iter_mut().for_each(|network| network.parameters = narrow.spread(&network.parameters));
        Ok(trained)
    }

    fn whole(&self, members: &[Member], observe: Tell<'_>) -> Result<Vec<Trained>> {
        if self.narrows(members) {
            return self.narrowing(members, observe);
        }
        let mut job = self.job(members)?;
        job.train(observe)?;
        self.trained(&mut job, members)
    }

    pub(super) fn job(&self, members: &[Member]) -> Result<Job> {
        let settings = Settings { replicas: members.iter().map(|m| m.settings).collect(), ..self.settings.clone() };
        let n = self.data.columns;
        let positions = |member: &Member| {
            let mut places = vec![if member.columns.is_some() { u32::MAX } else { 0 }; n];
            member.columns.iter().flatten().for_each(|&c| places[c] = 0);
            vec![places]
        };
        // A column that is left out is 0 as it enters the network: no weight is multiplied by it.
        let masking = members.iter().any(|m| m.columns.is_some()).then(|| Masking {
            positions: members.iter().map(positions).collect(),
            fill: vec![0.0; n],
            train: true,
        });
        let folded;
        let data = if self.lists.is_empty() {
            self.data
        } else {
            let lists = members.iter().map(|member| self.lists[member.list % self.lists.len()].clone()).collect();
            folded = Resident { lists, ..self.data.clone() };
            &folded
        };
        let mut job = Job::new(self.network, data, &settings, masking.as_ref(), self.device)?;
        for (r, member) in members.iter().enumerate() {
            if let Some(start) = &member.start {
                job.set_parameters(r, start)?;
            }
        }
        job.without_records();
        Ok(job)
    }

    /// What a job of these members has trained, with its scores.
    pub(super) fn trained(&self, job: &mut Job, members: &[Member]) -> Result<Vec<Trained>> {
        if job.stopped() {
            return Err(stopped());
        }
        let masked = members.iter().any(|m| m.columns.is_some());
        let mut scores = |range: Range<usize>| {
            if masked {
                let mask = Masked { ordering: 0, kept: 1 };
                Ok::<_, Error>(job.evaluate_masked(range, &[mask])?.remove(0))
            } else {
                job.evaluate(range)
            }
        };
        let train = scores(self.data.train.clone())?;
        let validation = scores(self.data.validation.clone())?;
        let test = if self.data.test.is_empty() { validation.clone() } else { scores(self.data.test.clone())? };
        let list = |member: &Member| match self.lists.len() {
            0 => &self.data.list,
            lists => &self.lists[member.list % lists],
        };
        let constant = |member| constant_loss(self.data, &list(member)[self.data.train.clone()], self.settings.loss);
        let trained = |r: usize| {
            let (train, validation, test) = (train[r], validation[r], test[r]);
            Ok(Trained {
                parameters: job.parameters(r)?,
                train,
                validation,
                test,
                constant_loss: constant(&members[r]),
            })
        };
        (0..members.len()).map(trained).collect()
    }
}

pub(super) fn stopped() -> Error {
    Error::Stopped("stopped before a selection was made; nothing was written".into())
}
