//! Long decompositions go on where they were stopped.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytemuck::Pod;
use sha2::{Digest, Sha256};

use crate::{Error, Result, write};

/// Where decompositions keep what they have finished, for the same work to go on from there. Only the same work finds it: the same
/// network, inputs, settings and engine.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    directory: PathBuf,
    every: Duration,
}

/// Says whose work it is: a digest of everything that decides it, asked for when it is needed.
pub(super) type Key<'a> = dyn Fn() -> [u8; DIGEST] + 'a;

/// Files' extension, and the first eight bytes of each.
const EXTENSION: &str = "rows";
const MAGIC: u64 = u64::from_le_bytes(*b"EIGROWS1");
const DIGEST: usize = 32;

impl Checkpoint {
    /// Written between two writes at the soonest: what is lost at worst. Whatever takes less is never kept.
    pub const EVERY: Duration = Duration::from_secs(20);

    /// Keeps files in a directory of its own (made when the first is written), a new one `every` so long.
    pub fn new(directory: impl Into<PathBuf>, every: Duration) -> Self {
        Checkpoint { directory: directory.into(), every }
    }

    /// Whether anything is kept, of whatever work.
    pub fn holds_any(&self) -> bool {
        let mut files = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        files.any(|entry| entry.path().extension().is_some_and(|extension| extension == EXTENSION))
    }

    /// Removes what is kept: once the results are written.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that can't be removed.
    pub fn remove(&self) -> Result<()> {
        self.remove_where(|_| true)?;
        write::remove_empty_dirs(std::slice::from_ref(&self.directory));
        Ok(())
    }

    /// Files of ours, and those that a write left behind which was ended.
    fn remove_where(&self, unwanted: impl Fn(&str) -> bool) -> Result<()> {
        for path in fs::read_dir(&self.directory).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let half = name.starts_with(".eigenlens-") && name.ends_with(".part");
            let ours = path.extension().is_some_and(|extension| extension == EXTENSION) && unwanted(&name);
            if half || ours {
                let remedy = "remove it, or make its directory writable";
                fs::remove_file(&path).map_err(|error| Error::io("remove", &path, error, remedy))?;
            }
        }
        Ok(())
    }
}

/// What one decomposition keeps: the rows of its stages, in the order in which they are made.
pub(super) struct Kept<'a> {
    to: Option<(&'a Checkpoint, &'a Key<'a>)>,
    /// Which decomposition of the work.
    place: usize,
    began: Instant,
    wrote: Instant,
    /// The stage under way, and its rows that are in files.
    stage: u64,
    saved: usize,
    /// Whether others' files have been removed.
    alone: bool,
}

impl<'a> Kept<'a> {
    pub(super) fn new(to: Option<(&'a Checkpoint, &'a Key<'a>)>, place: usize) -> Self {
        let now = Instant::now();
        Kept { to, place, began: now, wrote: now, stage: 0, saved: 0, alone: false }
    }

    /// Begins a stage whose rows have `width` numbers: those, `most` at most, that were kept of it.
    pub(super) fn begin<T: Pod>(&mut self, stage: u64, width: usize, most: usize) -> Vec<T> {
        (self.stage, self.saved) = (stage, 0);
        let mut rows = Vec::new();
        while let Some((count, part)) =
            self.part::<T>(stage, self.saved, |count, found| found == width && count <= most - self.saved)
        {
            self.saved += count;
            rows.extend(part);
        }
        rows
    }

    /// Keeps the rows of the stage under way that have been made so far (all of them, of `width`), if it is time; `now`: whether or not
    /// the last write was long ago.
    pub(super) fn keep<T: Pod>(&mut self, rows: &[T], width: usize, now: bool) -> Result<()> {
        let Some((checkpoint, _)) = self.to else { return Ok(()) };
        let since = if now { self.began } else { self.wrote };
        if since.elapsed() < checkpoint.every || rows.len() <= self.saved * width {
            return Ok(());
        }
        self.write(self.stage, self.saved, &rows[self.saved * width..], width)?;
        self.saved = rows.len() / width;
        Ok(())
    }

    /// The one row of the last stage: what a decomposition has found.
    pub(super) fn found(&self) -> Option<Vec<f64>> {
        self.part(FOUND, 0, |count, _| count == 1).map(|(_, row)| row)
    }

    /// Keeps what a decomposition has found in the place of all that it was made from, if it has taken long.
    pub(super) fn keep_found(&mut self, row: &[f64]) -> Result<()> {
        let Some((checkpoint, _)) = self.to.filter(|(checkpoint, _)| self.began.elapsed() >= checkpoint.every) else {
            return Ok(());
        };
        self.write(FOUND, 0, row, row.len())?;
        let (of, kept) = (self.prefix(), self.name(FOUND, 0));
        checkpoint.remove_where(|name| name.starts_with(&of) && name != kept)
    }

    fn prefix(&self) -> String {
        format!("{}{}-", self.work(), self.place)
    }

    /// What the names of all files of this work begin with.
    fn work(&self) -> String {
        let digest = self.to.map_or([0; DIGEST], |(_, key)| key());
        digest[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "-"
    }

    fn name(&self, stage: u64, first: usize) -> String {
        format!("{}{stage}-{first}.{EXTENSION}", self.prefix())
    }

    /// What a file begins with; then `count` rows follow, and the digest of everything before it.
    fn header(&self, stage: u64, first: usize, count: usize, width: usize, bytes: usize) -> Vec<u8> {
        let key = self.to.map_or([0; DIGEST], |(_, key)| key());
        let numbers = [MAGIC, self.place as u64, stage, first as u64, bytes as u64, count as u64, width as u64];
        [bytemuck::cast_slice(&numbers), &key[..]].concat()
    }

    fn write<T: Pod>(&mut self, stage: u64, first: usize, rows: &[T], width: usize) -> Result<()> {
        let Some((checkpoint, _)) = self.to else { return Ok(()) };
        write::create_dir(&checkpoint.directory)?;
        if !std::mem::replace(&mut self.alone, true) {
            let ours = self.work();
            checkpoint.remove_where(|name| !name.starts_with(&ours))?;
        }
        let head = self.header(stage, first, rows.len() / width, width, size_of::<T>());
        let body: &[u8] = bytemuck::cast_slice(rows);
        let digest = Sha256::new().chain_update(&head).chain_update(body).finalize();
        write::atomic(checkpoint.directory.join(self.name(stage, first)), |out| {
            [&head, body, &digest[..]].into_iter().try_for_each(|part| out.write_all(part))
        })?;
        self.wrote = Instant::now();
        Ok(())
    }

    /// A file's rows; none where it is not there, not of this work, of another shape or damaged. Read only if its length is right.
    fn part<T: Pod>(&self, stage: u64, first: usize, fits: impl Fn(usize, usize) -> bool) -> Option<(usize, Vec<T>)> {
        let (checkpoint, _) = self.to?;
        if !checkpoint.directory.is_dir() {
            return None;
        }
        let path = checkpoint.directory.join(self.name(stage, first));
        let (mut file, length) = open(&path)?;
        let mut head = self.header(stage, first, 0, 0, size_of::<T>());
        let expected = head.clone();
        file.read_exact(&mut head).ok()?;
        let sizes = COUNT..COUNT + 16;
        let [count, width] = [0, 8].map(|at| u64::from_ne_bytes(std::array::from_fn(|i| head[COUNT + at + i])));
        let (count, width) = (usize::try_from(count).ok()?, usize::try_from(width).ok()?);
        let same = head[..sizes.start] == expected[..sizes.start] && head[sizes.end..] == expected[sizes.end..];
        let numbers = count.checked_mul(width)?;
        let whole = numbers.checked_mul(size_of::<T>())?.checked_add(head.len() + DIGEST)?;
        if !same || count == 0 || !fits(count, width) || length != whole as u64 {
            return None;
        }
        let mut rows = vec![T::zeroed(); numbers];
        let mut digest = [0; DIGEST];
        file.read_exact(bytemuck::cast_slice_mut(&mut rows)).ok()?;
        file.read_exact(&mut digest).ok()?;
        let truth = Sha256::new().chain_update(&head).chain_update(bytemuck::cast_slice::<T, u8>(&rows)).finalize();
        (truth[..] == digest).then_some((count, rows))
    }
}

/// Where the number of rows and their width stand in a header.
const COUNT: usize = 5 * 8;
/// The stage of what was found.
const FOUND: u64 = 1 << 32;

fn open(path: &Path) -> Option<(File, u64)> {
    let file = File::open(path).ok()?;
    let about = file.metadata().ok().filter(fs::Metadata::is_file)?;
    Some((file, about.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> impl Fn() -> [u8; DIGEST] {
        move || [byte; DIGEST]
    }

    fn only(directory: &Path) -> PathBuf {
        let all: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].clone()
    }

    #[test]
    fn rows_come_back_to_the_same_work_alone() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::new(folder.path().join("kept"), Duration::ZERO);
        let (ours, theirs) = (key(1), key(2));
        let rows: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let mut kept = Kept::new(Some((&checkpoint, &ours)), 3);
        assert!(kept.begin::<f32>(0, 4, 9).is_empty() && !folder.path().join("kept").exists());
        kept.keep(&rows[..8], 4, false).unwrap();
        kept.keep(&rows, 4, false).unwrap();
        fn again<'a>(checkpoint: &'a Checkpoint, key: &'a Key<'a>, place: usize) -> Kept<'a> {
            Kept::new(Some((checkpoint, key)), place)
        }
        let again = |key, place| again(&checkpoint, key, place);
        assert_eq!(again(&ours, 3).begin::<f32>(0, 4, 9), rows);
        // Not more than asked for; another work, place, stage, width or kind of number finds nothing.
        assert_eq!(again(&ours, 3).begin::<f32>(0, 4, 2), rows[..8]);
        assert!(again(&theirs, 3).begin::<f32>(0, 4, 9).is_empty());
        assert!(again(&ours, 2).begin::<f32>(0, 4, 9).is_empty() && again(&ours, 3).begin::<f32>(1, 4, 9).is_empty());
        assert!(again(&ours, 3).begin::<f32>(0, 2, 9).is_empty() && again(&ours, 3).begin::<f64>(0, 4, 9).is_empty());
        // What was found stands in the place of the rows; another work's first file in the place of everything.
        kept.keep_found(&[1.0, 2.0]).unwrap();
        assert!(again(&ours, 3).begin::<f32>(0, 4, 9).is_empty());
        assert_eq!(again(&ours, 3).found(), Some(vec![1.0, 2.0]));
        again(&theirs, 0).keep_found(&[3.0]).unwrap();
        only(&folder.path().join("kept"));
        checkpoint.remove().unwrap();
        assert!(!folder.path().join("kept").exists());
    }

    #[test]
    fn damaged_files_are_no_rows() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::new(folder.path(), Duration::ZERO);
        let ours = key(7);
        let mut kept = Kept::new(Some((&checkpoint, &ours)), 0);
        kept.begin::<f64>(0, 2, 4);
        kept.keep(&[1.0, 2.0, 3.0, 4.0], 2, false).unwrap();
        let path = only(folder.path());
        let good = fs::read(&path).unwrap();
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            Kept::new(Some((&checkpoint, &ours)), 0).begin::<f64>(0, 2, 4)
        };
        assert_eq!(read(&good), [1.0, 2.0, 3.0, 4.0]);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(read(&bad).is_empty(), "byte {at}");
            assert!(read(&good[..at]).is_empty(), "cut at {at}");
        }
        assert!(read(&[&good[..], &[0]].concat()).is_empty());
        // A size that is only claimed is not allocated: the file is not so long.
        let mut huge = good.clone();
        huge[COUNT..COUNT + 8].copy_from_slice(&(u64::MAX / 16).to_ne_bytes());
        assert!(read(&huge).is_empty());
    }

    #[test]
    fn what_takes_little_time_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::new(folder.path(), Checkpoint::EVERY);
        let ours = key(7);
        let mut kept = Kept::new(Some((&checkpoint, &ours)), 0);
        kept.begin::<f64>(0, 2, 4);
        kept.keep(&[1.0, 2.0], 2, true).unwrap();
        kept.keep_found(&[1.0]).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
