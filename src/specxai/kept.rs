//! Long decompositions go on where they were stopped.

use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::settings::ExplainSettings;
use crate::Result;
use crate::host::Real;
use crate::network::{Network, Parameters};
use crate::run::{Journal, Keep, Key, State};

/// Of what is found, for [`Kept::found`]: no stage of its making.
const FOUND: u64 = 1 << 32;
/// Numbers of a part at most: it is copied as it is written.
const PART: usize = 1 << 23;

/// What one decomposition, or those of a batch, keep: rows of the stages of its making, in the order in which they are made, and what is
/// found.
pub(super) struct Kept {
    /// The journal, and a digest of all that decides what is found.
    to: Option<(Arc<Journal>, Key)>,
    /// Which decomposition of the work.
    place: usize,
    began: Instant,
    /// The tick of the last write.
    wrote: u64,
    /// The stage under way, and its rows that are in files.
    stage: u64,
    saved: usize,
    /// Parts that are in files.
    parts: Vec<Key>,
}

impl Kept {
    /// `work`: the digest of all that decides what is found, asked for only where something is kept.
    pub(super) fn new(keep: &Keep, work: impl FnOnce() -> Key, place: usize) -> Self {
        let to = keep.0.clone().map(|journal| (journal, work()));
        let wrote = to.as_ref().map_or(0, |(journal, _)| journal.ticks());
        Kept { to, place, began: Instant::now(), wrote, stage: 0, saved: 0, parts: Vec::new() }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.to.is_some()
    }

    /// Begins a stage whose rows have `width` numbers: those, `most` at most, that were kept of it.
    pub(super) fn begin<T: Real>(&mut self, stage: u64, width: usize, most: usize) -> Vec<T> {
        (self.stage, self.saved) = (stage, 0);
        let mut rows = Vec::new();
        while let Some((part, key)) = self.load(stage, self.saved) {
            let [numbers] = &part.numbers[..] else { break };
            let count = numbers.len() / width.max(1);
            if count == 0 || count * width != numbers.len() || count > most - self.saved {
                break;
            }
            self.parts.push(key);
            self.saved += count;
            rows.extend(numbers.iter().map(|&x| T::of(x)));
        }
        rows
    }

    /// Keeps the rows of the stage under way that have been made so far (all of them, of `width`) if it is time, or `now`.
    pub(super) fn keep<T: Real>(&mut self, rows: &[T], width: usize, now: bool) -> Result<()> {
        let Some((journal, work)) = &self.to else { return Ok(()) };
        let tick = journal.ticks();
        if !now && tick == self.wrote {
            return Ok(());
        }
        self.wrote = tick;
        for part in rows[self.saved * width..].chunks((PART / width).max(1) * width) {
            let key = key(work, self.place, self.stage, self.saved);
            let numbers = vec![part.iter().map(|x| x.to_f64()).collect()];
            journal.save(&key, &State { text: String::new(), numbers }, self.began.elapsed())?;
            self.parts.push(key);
            self.saved += part.len() / width;
        }
        Ok(())
    }

    /// What was found, a row for each decomposition.
    pub(super) fn found(&self) -> Option<Vec<Vec<f64>>> {
        self.load(FOUND, 0).map(|(state, _)| state.numbers)
    }

    /// Keeps what is found, in the place of all that it was made from.
    pub(super) fn keep_found(&mut self, numbers: Vec<Vec<f64>>) -> Result<()> {
        let Some((journal, work)) = &self.to else { return Ok(()) };
        let (key, state) = (key(work, self.place, FOUND, 0), State { text: String::new(), numbers });
        if self.parts.is_empty() {
            return journal.done(&key, &state, self.began.elapsed());
        }
        journal.save(&key, &state, self.began.elapsed())?;
        self.parts.drain(..).try_for_each(|part| journal.forget(&part))
    }

    fn load(&self, stage: u64, first: usize) -> Option<(State, Key)> {
        let (journal, work) = self.to.as_ref()?;
        let key = key(work, self.place, stage, first);
        journal.load(&key).map(|state| (state, key))
    }
}

fn key(work: &Key, place: usize, stage: u64, first: usize) -> Key {
    let numbers = [place as u64, stage, first as u64].map(u64::to_le_bytes);
    Sha256::new().chain_update(work).chain_update(numbers.concat()).finalize().into()
}

/// A text that something was decided by, kept with what it was decided on: whoever goes on decides the same.
pub(super) fn decided(
    keep: &Keep,
    work: impl FnOnce() -> Key,
    make: impl FnOnce() -> Result<String>,
) -> Result<String> {
    let Some(journal) = &keep.0 else { return make() };
    let work = work();
    if let Some(state) = journal.load(&work) {
        return Ok(state.text);
    }
    let began = Instant::now();
    let text = make()?;
    journal.done(&work, &State { text: text.clone(), numbers: Vec::new() }, began.elapsed())?;
    Ok(text)
}

/// Of everything that decides what decompositions find, but for rounding: engines of the same precision go on for each other. `how`: what
/// else does, with that precision.
pub(super) fn digest(
    network: &Network,
    parameters: &Parameters,
    inputs: &[f64],
    settings: &ExplainSettings,
    how: &str,
) -> Key {
    let ExplainSettings { splits, output, components, leading, slopes, form, memory, budget, .. } = settings;
    let told = format!(
        "{} {splits:?} {output:?} {components} {leading} {slopes:?} {form:?} {memory} {budget} {how}",
        env!("CARGO_PKG_VERSION"),
    );
    let graph = serde_json::to_vec(network).expect("invariant: a network can be written as JSON");
    let mut hasher = Sha256::new();
    for part in [told.as_bytes(), &graph, bytemuck::cast_slice(inputs), bytemuck::cast_slice(&parameters.statistics)] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    parameters.pieces().for_each(|values| hasher.update(bytemuck::cast_slice::<f64, u8>(&values)));
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn kept(keep: &Keep, work: u8, place: usize) -> Kept {
        Kept::new(keep, || [work; 32], place)
    }

    #[test]
    fn rows_come_back_to_the_same_work_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("kept");
        let keep = Keep(Some(Arc::new(Journal::new(&at, Duration::from_millis(1)))));
        let rows: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let mut ours = kept(&keep, 1, 3);
        assert!(ours.begin::<f32>(0, 4, 9).is_empty() && !at.exists());
        ours.keep(&rows[..8], 4, true).unwrap();
        ours.keep(&rows, 4, true).unwrap();
        assert_eq!(kept(&keep, 1, 3).begin::<f32>(0, 4, 9), rows);
        // Not more than asked for; another work, place, stage or width finds nothing.
        assert_eq!(kept(&keep, 1, 3).begin::<f32>(0, 4, 2), rows[..8]);
        assert!(
            kept(&keep, 2, 3).begin::<f32>(0, 4, 9).is_empty() && kept(&keep, 1, 2).begin::<f32>(0, 4, 9).is_empty()
        );
        assert!(
            kept(&keep, 1, 3).begin::<f32>(1, 4, 9).is_empty() && kept(&keep, 1, 3).begin::<f32>(0, 3, 9).is_empty()
        );
        // What was found stands in the place of the rows.
        ours.keep_found(vec![vec![1.0, 2.0], vec![]]).unwrap();
        assert!(kept(&keep, 1, 3).begin::<f32>(0, 4, 9).is_empty());
        assert_eq!(kept(&keep, 1, 3).found(), Some(vec![vec![1.0, 2.0], vec![]]));
        assert_eq!(std::fs::read_dir(&at).unwrap().count(), 1);
        // Nothing is kept where nobody asked for it.
        let mut nowhere = kept(&Keep::default(), 1, 3);
        nowhere.begin::<f32>(0, 4, 9);
        nowhere.keep(&rows, 4, true).unwrap();
        nowhere.keep_found(vec![]).unwrap();
        assert!(nowhere.found().is_none() && !nowhere.is_kept());
    }

    #[test]
    fn what_is_decided_once_stays_so() {
        let folder = tempfile::tempdir().unwrap();
        let keep = Keep(Some(Arc::new(Journal::new(folder.path().join("kept"), Duration::from_secs(60)))));
        let decide = |text: &str| decided(&keep, || [1; 32], || Ok(text.into())).unwrap();
        assert_eq!((decide("a"), decide("b")), ("a".into(), "a".into()));
        assert_eq!(decided(&Keep::default(), || [1; 32], || Ok("c".into())).unwrap(), "c");
    }
}
