//! What a training has between two steps, and how it is kept.

use std::ops::Range;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::masking::{Masked, Masking};
use super::resident::Resident;
use super::settings::Settings;
use super::{EpochRecord, Scores};
use crate::Result;
use crate::engine::Session;
use crate::network::{Network, Parameters};
use crate::program::{Buffer, RESULT_LEN};
use crate::run::{Keep, Key, State, digest_of_words};

/// Where a training stands, besides what lies on the engine.
#[derive(Debug, Clone)]
pub(crate) struct Course {
    pub step: u64,
    pub epoch: usize,
    /// The epoch's next batch.
    pub first: usize,
    /// Of the epoch so far, by replica.
    pub sums: Vec<[f64; RESULT_LEN]>,
    pub history: Vec<EpochRecord>,
    /// By replica: the best validation loss, and the parameters that had it.
    pub best: Vec<Option<(f64, Parameters)>>,
    pub best_epoch: usize,
    /// The training is over.
    pub over: bool,
}

/// What one replica's training has between two epochs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Midway {
    pub parameters: Parameters,
    /// Adam's moments m and v, and the lasso's momentum where there is one, as they lie on the engine.
    pub optimiser: Vec<Vec<f64>>,
    /// Epochs and steps that are done.
    pub epoch: usize,
    pub step: u64,
}

/// What of that is told in words.
#[derive(Serialize, Deserialize)]
struct Told {
    step: u64,
    epoch: usize,
    first: usize,
    history: Vec<EpochRecord>,
    has_best: Vec<bool>,
    best_epoch: usize,
    over: bool,
}

impl Course {
    pub fn new(replicas: usize) -> Self {
        Course {
            step: 0,
            epoch: 0,
            first: 0,
            sums: vec![[0.0; RESULT_LEN]; replicas],
            history: Vec::new(),
            best: vec![None; replicas],
            best_epoch: 0,
            over: false,
        }
    }

    /// With what lies on the engine.
    fn state(&self, held: Vec<Vec<f64>>) -> State {
        let told = Told {
            step: self.step,
            epoch: self.epoch,
            first: self.first,
            history: self.history.clone(),
            has_best: self.best.iter().map(Option::is_some).collect(),
            best_epoch: self.best_epoch,
            over: self.over,
        };
        let mut numbers = vec![self.sums.concat()];
        for (loss, parameters) in self.best.iter().flatten() {
            numbers.extend([vec![*loss], parameters.values(), parameters.statistics.clone()]);
        }
        numbers.extend(held);
        State { text: serde_json::to_string(&told).expect("invariant: a course can be written as JSON"), numbers }
    }

    /// What [`Course::state`] wrote, with what lay on the engine; `None` where it is of another shape.
    fn read(state: State, replicas: usize) -> Option<(Course, Vec<Vec<f64>>)> {
        let told: Told = serde_json::from_str(&state.text).ok()?;
        let mut numbers = state.numbers.into_iter();
        let sums: Vec<[f64; RESULT_LEN]> =
            numbers.next()?.chunks_exact(RESULT_LEN).map(|sums| sums.try_into().ok()).collect::<Option<_>>()?;
        if sums.len() != replicas || told.has_best.len() != replicas {
            return None;
        }
        let mut best = Vec::new();
        for has_best in told.has_best {
            best.push(if has_best {
                let loss = *numbers.next()?.first()?;
                Some((loss, Parameters::new(numbers.next()?, numbers.next()?)))
            } else {
                None
            });
        }
        let Told { step, epoch, first, history, best_epoch, over, .. } = told;
        Some((Course { step, epoch, first, sums, history, best, best_epoch, over }, numbers.collect()))
    }
}

/// Keeps one training.
pub(crate) struct Keeping {
    keep: Keep,
    key: Key,
    /// The network's numbers and the optimiser's, each replica's own.
    buffers: Vec<(Buffer, usize)>,
    replicas: usize,
    /// Nothing comes after it.
    last: bool,
    began: Instant,
    /// The tick of its last write.
    wrote: u64,
}

impl Keeping {
    /// `data`: what [`digest_of`] says of what it trains on; `start`: the numbers it starts from, and after which epoch it ends. `buffers`: parameters and statistics,
    /// then what the optimiser has.
    pub fn new(
        (network, settings): (&Network, &Settings),
        data: &[u64],
        (start, until): (&[Midway], usize),
        buffers: Vec<(Buffer, usize)>,
        recorded: bool,
    ) -> Self {
        let mut key = Key::default();
        if settings.keep.0.is_some() {
            let mut hasher = Sha256::new();
            let json = "invariant: plain data can be written as JSON";
            let told = [serde_json::to_vec(network).expect(json), serde_json::to_vec(settings).expect(json)];
            for part in [env!("CARGO_PKG_VERSION").as_bytes(), &[u8::from(recorded)], &told[0], &told[1]] {
                hasher.update((part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
            data.iter().for_each(|word| hasher.update(word.to_le_bytes()));
            for Midway { parameters, optimiser, epoch, step } in start {
                hasher.update([*epoch as u64, *step, until as u64].map(u64::to_le_bytes).concat());
                let begun = if *step > 0 { &optimiser[..] } else { &[] };
                let numbers = parameters.values();
                let lists = [&numbers, &parameters.statistics].into_iter().chain(begun);
                lists.flatten().for_each(|x| hasher.update(x.to_le_bytes()));
            }
            key = hasher.finalize().into();
        }
        let (keep, replicas) = (settings.keep.clone(), settings.replicas.len());
        let wrote = keep.0.as_ref().map_or(0, |journal| journal.ticks());
        let last = until == settings.epochs;
        Keeping { keep, key, buffers, replicas, last, began: Instant::now(), wrote }
    }

    /// Goes on where the same training was stopped, if it was kept.
    pub fn resume(&self, session: &mut dyn Session) -> Result<Option<Course>> {
        let Some(state) = self.keep.0.as_ref().and_then(|journal| journal.load(&self.key)) else { return Ok(None) };
        let Some((course, held)) = Course::read(state, self.replicas) else { return Ok(None) };
        let places: Vec<(usize, (Buffer, usize))> =
            (0..self.replicas).flat_map(|r| self.held(course.over).iter().map(move |&of| (r, of))).collect();
        if held.len() != places.len() || held.iter().zip(&places).any(|(held, (_, (_, len)))| held.len() != *len) {
            return Ok(None);
        }
        for ((replica, (buffer, _)), values) in places.into_iter().zip(&held) {
            session.write(buffer, Some(replica), 0, values)?;
        }
        Ok(Some(course))
    }

    /// Of a training that is over nobody needs what the optimiser had.
    fn held(&self, over: bool) -> &[(Buffer, usize)] {
        if over { &self.buffers[..2] } else { &self.buffers }
    }

    /// Saves the course if it is time, or `now`.
    pub fn save(&mut self, course: &Course, session: &mut dyn Session, now: bool) -> Result<()> {
        let Some(journal) = self.keep.0.clone() else { return Ok(()) };
        let tick = journal.ticks();
        if !now && tick == self.wrote {
            return Ok(());
        }
        self.wrote = tick;
        journal.save(&self.key, &course.state(self.numbers(false, session)?), self.began.elapsed())
    }

    /// Keeps a training that is over; of one that goes on elsewhere what was saved last is enough.
    pub fn done(&self, course: &Course, session: &mut dyn Session) -> Result<()> {
        let Some(journal) = self.keep.0.as_ref().filter(|_| self.last) else { return Ok(()) };
        journal.done(&self.key, &course.state(self.numbers(true, session)?), self.began.elapsed())
    }

    fn numbers(&self, over: bool, session: &mut dyn Session) -> Result<Vec<Vec<f64>>> {
        let places = (0..self.replicas).flat_map(|r| self.held(over).iter().map(move |&of| (r, of)));
        places.map(|(replica, (buffer, len))| session.read(buffer, replica, 0, len)).collect()
    }
}

/// Keeps what a model scores at many masks.
pub(super) struct Scoring {
    keep: Keep,
    key: Key,
    replicas: usize,
    began: Instant,
    wrote: u64,
}

impl Keeping {
    /// What keeps the scores of the model as it is now, at these masks.
    pub(super) fn scoring(self, range: &Range<usize>, masks: &[Masked]) -> Scoring {
        let Keeping { keep, mut key, replicas, began, wrote, .. } = self;
        if keep.0.is_some() {
            let masks = masks.iter().flat_map(|mask| [mask.ordering, mask.kept]);
            let words: Vec<u32> = [range.start as u32, range.end as u32].into_iter().chain(masks).collect();
            key =
                Sha256::new().chain_update(key).chain_update(bytemuck::cast_slice::<u32, u8>(&words)).finalize().into();
        }
        Scoring { keep, key, replicas, began, wrote }
    }
}

impl Scoring {
    /// Masks that are scored before it may be saved.
    pub fn at_once(&self) -> usize {
        const SOME: usize = 64;
        if self.keep.0.is_some() { SOME } else { usize::MAX }
    }

    /// By mask, then by replica: what was scored before, `most` at most.
    pub fn resume(&self, most: usize) -> Vec<Vec<Scores>> {
        let kept = self.keep.0.as_ref().and_then(|journal| journal.load(&self.key));
        let numbers = kept.map_or_else(Vec::new, |state| state.numbers);
        let fits = numbers.len() <= most && numbers.iter().all(|of| of.len() == 3 * self.replicas);
        let score = |of: &[f64]| Scores { loss: of[0], metric: of[1], square: of[2] };
        let scores = numbers.iter().map(|of| of.chunks_exact(3).map(score).collect());
        if fits { scores.collect() } else { Vec::new() }
    }

    /// Saves the scores if it is time, or because these are all.
    pub fn save(&mut self, scores: &[Vec<Scores>], all: bool) -> Result<()> {
        let Some(journal) = &self.keep.0 else { return Ok(()) };
        let tick = journal.ticks();
        if !all && tick == self.wrote {
            return Ok(());
        }
        self.wrote = tick;
        let numbers = |of: &Vec<Scores>| of.iter().flat_map(|s| [s.loss, s.metric, s.square]).collect();
        let state = State { text: String::new(), numbers: scores.iter().map(numbers).collect() };
        if all {
            journal.done(&self.key, &state, self.began.elapsed())
        } else {
            journal.save(&self.key, &state, self.began.elapsed())
        }
    }
}

/// Of what a training is about; nothing where it isn't kept.
pub(super) fn digest_of(data: &Resident, masking: Option<&Masking>, settings: &Settings) -> Vec<u64> {
    if settings.keep.0.is_none() {
        return Vec::new();
    }
    let bits = |values: &[f64]| values.iter().flat_map(|x| [x.to_bits() as u32, (x.to_bits() >> 32) as u32]).collect();
    let sizes = [data.stride, data.columns, data.outputs, data.train.len(), data.validation.len(), data.test.len()];
    let mut parts: Vec<Vec<u32>> = vec![sizes.iter().map(|&size| size as u32).collect(), bits(&data.scaling)];
    parts.push(bits(&[data.unit]));
    parts.push(data.weights.iter().map(|x| x.to_bits()).collect());
    parts.extend(data.lists.iter().cloned());
    if let Some(masking) = masking {
        parts.push(bits(&masking.fill));
        parts.push(vec![u32::from(masking.train)]);
        parts.extend(masking.positions.iter().flatten().cloned());
    }
    let large = [&data.words[..], &data.targets, &data.list].map(digest_of_words);
    large.into_iter().chain(parts.iter().map(|words| digest_of_words(words))).collect()
}
