//! What a long command has done, kept for the same command to go on from.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::state::{Key, Span, State};
use crate::{Error, Result, write};

/// The file that says what was started, and the ending of those that say what was done.
const STARTED: &str = "run.json";
const ENDING: &str = "state";

/// States of computations, by what decides them. A computation that is under way is saved at every tick of the interval; one that is done
/// once it and others have taken some seconds, so that a short command writes nothing.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    every: Duration,
    began: Instant,
    /// What was started, for the file that is written with the first state.
    started: OnceLock<Vec<u8>>,
    waiting: Mutex<Waiting>,
    /// Of what earlier processes did and was loaded: when.
    earlier: Mutex<HashMap<Key, Vec<Span>>>,
}

/// What is done and not written yet.
#[derive(Debug, Default)]
struct Waiting {
    states: HashMap<Key, Vec<u8>>,
    /// What it took.
    work: Duration,
}

impl Journal {
    /// Seconds of work that are written when they are done.
    const WORTH: Duration = Duration::from_secs(5);

    /// Keeps files in a directory of its own (made when the first is written).
    pub fn new(directory: impl Into<PathBuf>, every: Duration) -> Self {
        let (began, directory) = (Instant::now(), directory.into());
        let (waiting, earlier) = (Mutex::default(), Mutex::default());
        Journal { directory, every, began, started: OnceLock::new(), waiting, earlier }
    }

    /// What was started, as [`Journal::start`] wrote it once.
    pub fn started(&self) -> Option<Vec<u8>> {
        fs::read(self.directory.join(STARTED)).ok()
    }

    /// Says what is started; it stands beside the first state.
    pub fn start(&self, what: Vec<u8>) {
        let _ = self.started.set(what);
    }

    /// The state of a computation, if it was kept.
    pub fn load(&self, key: &Key) -> Option<State> {
        let kept = self.waiting().states.get(key).cloned();
        let (state, spans) = State::read(&kept.or_else(|| fs::read(self.file(key)).ok())?, key)?;
        let ours = seconds_now() - self.began.elapsed().as_secs_f64();
        let earlier = spans.into_iter().filter(|span| span[1] <= ours).collect();
        lock(&self.earlier).insert(*key, earlier);
        Some(state)
    }

    /// How many intervals have passed: with each, what is under way is to be saved.
    pub fn ticks(&self) -> u64 {
        (self.began.elapsed().as_secs_f64() / self.every.as_secs_f64().max(1e-3)) as u64
    }

    /// Saves the state of a computation that is under way in this process for so long, and what was done before it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, key: &Key, state: &State, took: Duration) -> Result<()> {
        self.flush()?;
        self.write(key, &state.bytes(key, &self.spans(key, took)))
    }

    /// Keeps the state of a computation that is done and took so long in this process.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn done(&self, key: &Key, state: &State, took: Duration) -> Result<()> {
        let bytes = state.bytes(key, &self.spans(key, took));
        let mut waiting = self.waiting();
        waiting.states.insert(*key, bytes);
        waiting.work += took;
        if waiting.work < Journal::WORTH.min(self.every) {
            return Ok(());
        }
        drop(waiting);
        self.flush()
    }

    /// Writes what is done.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn flush(&self) -> Result<()> {
        // Taken while it is written: another thread doesn't write it too.
        let mut waiting = self.waiting();
        for (key, bytes) in &waiting.states {
            self.write(key, bytes)?;
        }
        *waiting = Waiting::default();
        Ok(())
    }

    /// Removes a state that nobody needs any more.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that can't be removed.
    pub fn forget(&self, key: &Key) -> Result<()> {
        self.waiting().states.remove(key);
        remove(&self.file(key))
    }

    /// Whether anything is kept in files.
    pub fn holds_any(&self) -> bool {
        self.files().any(|path| path.extension().is_some_and(|ending| ending == ENDING))
    }

    /// Removes what is kept: once the results are written, or when something else is started.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that can't be removed.
    pub fn clear(&self) -> Result<()> {
        *self.waiting() = Waiting::default();
        write::sweep(&self.directory);
        // What was started goes last: states without it would be nobody's.
        let ours = self.files().filter(|path| path.extension().is_some_and(|ending| ending == ENDING));
        ours.chain([self.directory.join(STARTED)]).try_for_each(|path| remove(&path))?;
        write::remove_empty_dirs(std::slice::from_ref(&self.directory));
        Ok(())
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        fs::read_dir(&self.directory).into_iter().flatten().flatten().map(|entry| entry.path())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }

    /// When a computation was worked on, with the last so long until now.
    fn spans(&self, key: &Key, took: Duration) -> Vec<Span> {
        let mut spans = lock(&self.earlier).get(key).cloned().unwrap_or_default();
        let now = seconds_now();
        spans.push([now - took.as_secs_f64(), now]);
        spans
    }

    /// Seconds of earlier processes in what was loaded; what went on side by side counts once.
    fn earlier(&self) -> f64 {
        let mut spans: Vec<Span> = lock(&self.earlier).values().flatten().copied().collect();
        spans.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let (mut sum, mut until) = (0.0, f64::NEG_INFINITY);
        for [from, to] in spans {
            sum += (to - from.max(until)).max(0.0);
            until = until.max(to);
        }
        sum
    }

    fn file(&self, key: &Key) -> PathBuf {
        let name: String = key[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(name).with_extension(ENDING)
    }

    fn write(&self, key: &Key, bytes: &[u8]) -> Result<()> {
        write::create_dir(&self.directory)?;
        let put = |path: &Path, bytes: &[u8]| write::atomic(path, |out| out.write_all(bytes));
        let what = self.directory.join(STARTED);
        if let (Some(started), false) = (self.started.get(), what.exists()) {
            put(&what, started)?;
        }
        put(&self.file(key), bytes)
    }
}

/// Where computations are kept, if anywhere. It decides nothing about what comes out, so any two are equal.
#[derive(Debug, Clone, Default)]
pub struct Keep(pub Option<Arc<Journal>>);

impl Keep {
    /// Starts to measure what something takes, in all processes that did it.
    pub fn clock(&self) -> Clock {
        Clock { keep: self.clone(), began: Instant::now(), before: self.earlier() }
    }

    fn earlier(&self) -> f64 {
        self.0.as_ref().map_or(0.0, |journal| journal.earlier())
    }
}

/// Measures what takes time in this process and took it in earlier ones, as far as what they did is made use of here.
#[derive(Debug)]
pub struct Clock {
    keep: Keep,
    began: Instant,
    before: f64,
}

impl Clock {
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64() + self.keep.earlier() - self.before
    }
}

impl PartialEq for Keep {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

fn seconds_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", path, error, "remove it, or make its directory writable"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_work_is_not_written_until_it_is_worth_it() {
        let place = tempfile::tempdir().unwrap();
        let at = place.path().join("train");
        let journal = Journal::new(&at, Duration::from_secs(120));
        journal.start(b"what".to_vec());
        let state = |text: &str| State { text: text.into(), numbers: vec![vec![1.0]] };
        journal.done(&[1; 32], &state("a"), Duration::from_secs(3)).unwrap();
        assert!(!at.exists() && journal.load(&[1; 32]) == Some(state("a")) && journal.ticks() == 0);
        journal.done(&[2; 32], &state("b"), Duration::from_secs(3)).unwrap();
        assert!(journal.holds_any() && journal.started() == Some(b"what".to_vec()));
        // What is under way is written over; another process finds all of it.
        ["c", "d"].iter().for_each(|text| journal.save(&[3; 32], &state(text), Duration::ZERO).unwrap());
        let other = Journal::new(&at, Duration::from_millis(1));
        for (key, text) in [(1, "a"), (2, "b"), (3, "d")] {
            assert_eq!(other.load(&[key; 32]), Some(state(text)));
        }
        assert_eq!(other.load(&[4; 32]), None);
        other.clear().unwrap();
        assert!(!at.exists() && other.started().is_none());
    }
    #[test]
    fn seconds_count_all_processes_once() {
        let place = tempfile::tempdir().unwrap();
        let journal = || Arc::new(Journal::new(place.path().join("train"), Duration::from_millis(1)));
        let first = journal();
        // Two side by side, and one before them; of the one under way ten seconds.
        let at = |from: f64, to: f64| vec![[from, to]];
        let state = State::default();
        for (key, spans) in [(1, at(10.0, 40.0)), (2, at(20.0, 50.0)), (3, at(0.0, 5.0)), (4, at(60.0, 70.0))] {
            first.write(&[key; 32], &state.bytes(&[key; 32], &spans)).unwrap();
        }
        let second = journal();
        let keep = Keep(Some(Arc::clone(&second)));
        let clock = keep.clock();
        [1, 2, 3, 1].iter().for_each(|&key| drop(second.load(&[key; 32])));
        assert!((clock.seconds() - 45.0).abs() < 1.0, "{}", clock.seconds());
        let inner = keep.clock();
        second.load(&[4; 32]).unwrap();
        assert!((inner.seconds() - 10.0).abs() < 1.0 && (clock.seconds() - 55.0).abs() < 1.0);
        // It goes on: the third process knows of both before it. What a process itself has done it doesn't count twice.
        second.save(&[4; 32], &state, Duration::from_millis(1)).unwrap();
        second.load(&[4; 32]).unwrap();
        assert!((inner.seconds() - 10.0).abs() < 1.0);
        std::thread::sleep(Duration::from_millis(5));
        let third = journal();
        let clock = Keep(Some(Arc::clone(&third))).clock();
        third.load(&[4; 32]).unwrap();
        assert_eq!(lock(&third.earlier)[&[4; 32]].len(), 2);
        assert!(clock.seconds() > 10.0);
    }
}
