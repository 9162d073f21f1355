//! Many replicas of one network as one training job, and as few jobs as the memory allows.

use std::ops::Range;

use crate::assess::constant_loss;
use crate::engine::Device;
use crate::network::{Network, Parameters};
use crate::train::{Flow, Job, Masking, Progress, ReplicaSettings, Resident, Scores, Settings};
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
    /// Columns that it may use; `None`: all.
    pub columns: Option<Vec<usize>>,
    /// Which of the ensemble's row lists it trains on; they are counted round.
    pub list: usize,
}

/// What is trained.
pub(super) struct Ensemble<'a> {
    pub network: &'a Network,
    pub data: &'a Resident,
    /// Row lists of the folds; empty: all use that of `data`.
    pub lists: &'a [Vec<u32>],
    /// Its replicas are replaced by the members'.
    pub settings: &'a Settings,
    pub device: &'a Device,
}

impl Ensemble<'_> {
    /// Trains all members in one job, or in several of equal size where one doesn't fit the device.
    ///
    /// # Errors
    /// [`Error::Device`] when not even one member fits; [`Error::Stopped`] when `observe` stops it; training's own.
    pub fn train(&self, members: &[Member], observe: &mut dyn FnMut(&Progress<'_>) -> Flow) -> Result<Vec<Trained>> {
        let mut trained = Vec::with_capacity(members.len());
        let mut tile = members.len();
        while trained.len() < members.len() {
            let rest = &members[trained.len()..];
            let part = &rest[..tile.min(rest.len())];
            match self.job(part) {
                Ok(job) => trained.extend(self.run(job, part, observe)?),
                Err(Error::Device(_)) if tile > 1 => tile = tile.div_ceil(2),
                Err(error) => return Err(error),
            }
        }
        Ok(trained)
    }

    fn job(&self, members: &[Member]) -> Result<Job> {
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
        Ok(job)
    }

    fn run(
        &self,
        mut job: Job,
        members: &[Member],
        observe: &mut dyn FnMut(&Progress<'_>) -> Flow,
    ) -> Result<Vec<Trained>> {
        job.without_records();
        job.train(observe)?;
        if job.stopped() {
            return Err(Error::Stopped("stopped before a selection was made; nothing was written".into()));
        }
        let masked = members.iter().any(|m| m.columns.is_some());
        let mut scores = |range: Range<usize>| {
            if masked {
                let mask = crate::train::Masked { ordering: 0, kept: 1 };
                Ok::<_, Error>(job.evaluate_masked(range, &[mask])?.remove(0))
            } else {
                job.evaluate(range)
            }
        };
        let train = scores(self.data.train.clone())?;
        let validation = scores(self.data.validation.clone())?;
        let test = if self.data.test.is_empty() { validation.clone() } else { scores(self.data.test.clone())? };
        let lists = if self.lists.is_empty() { std::slice::from_ref(&self.data.list) } else { self.lists };
        let constant = |list: &Vec<u32>| constant_loss(self.data, &list[self.data.train.clone()], self.settings.loss);
        let constants: Vec<f64> = lists.iter().map(constant).collect();
        let trained = |r: usize| {
            let (train, validation, test) = (train[r], validation[r], test[r]);
            let constant_loss = constants[members[r].list % constants.len()];
            Ok(Trained { parameters: job.parameters(r)?, train, validation, test, constant_loss })
        };
        (0..members.len()).map(trained).collect()
    }
}
