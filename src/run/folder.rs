//! Folders whose results are those of one run.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::lock::{Lock, Taken};
use crate::{Error, Result, write};

/// What stands in a folder of results until they are whole, and inside it: see the room's text.
const UNFINISHED: &str = "unfinished";
const LOCK: &str = ".lock";
const NEW: &str = ".new";
const SWAP: &str = ".swap";

/// A folder that this process alone writes results into.
///
/// New results are written to [`Folder::file`]s out of sight. [`Folder::publish`] puts them in the places of the old ones: whoever looks
/// sees results of one run, whatever happens meanwhile. (First the old ones go, then the new ones come. If the program is killed between
/// these, which is a thousandth of a second, some are missing until [`settle`] is called: by the next command that reads a model there, or writes.)
///
/// Other files are never touched, and a result that is a symbolic link stays one: the file behind it gets the new content.
#[derive(Debug)]
pub struct Folder {
    out: PathBuf,
    /// Directories that were made for it.
    made: Vec<PathBuf>,
    /// Results of earlier runs that are to go.
    old: RefCell<Vec<String>>,
    lock: Option<Lock>,
}

/// A swap that was begun.
#[derive(Debug, Serialize, Deserialize)]
struct Swap {
    /// Files that go.
    old: Vec<String>,
    /// Files that come, in the place of others or not.
    new: Vec<String>,
}

impl Folder {
    /// Makes the folder if it isn't there, and finishes what was begun there.
    ///
    /// # Errors
    /// [`Error::Usage`] while another process writes there; [`Error::Io`] for a place that can't be written to.
    pub fn open(out: impl AsRef<Path>) -> Result<Folder> {
        let out = out.as_ref().to_owned();
        let made = write::missing_dirs(&out);
        write::create_dir(&out)?;
        let lock = match Lock::take(&out.join(UNFINISHED).join(LOCK))? {
            Taken::Ours(lock) => lock,
            Taken::Theirs(number) => {
                let who = number.map_or_else(|| "another process".to_owned(), |number| format!("process {number}"));
                return Err(Error::Usage(format!(
                    "--out {}: {who} writes there at this moment; wait until it is done, or give another folder",
                    out.display()
                )));
            }
        };
        let folder = Folder { out, made, old: RefCell::default(), lock };
        finish(&folder.out)?;
        remove_all(&folder.out)?;
        [folder.out.clone(), folder.out.join(UNFINISHED)].iter().for_each(write::sweep);
        write::create_dir(staging(&folder.out))?;
        Ok(folder)
    }

    /// Where the results will be.
    pub fn path(&self) -> &Path {
        &self.out
    }

    /// Where to write the result of this name.
    pub fn file(&self, name: &str) -> PathBuf {
        staging(&self.out).join(name)
    }

    /// Where a command keeps what it has done.
    pub fn unfinished(&self, command: &str) -> PathBuf {
        self.out.join(UNFINISHED).join(command)
    }

    /// Marks an earlier result that goes when the new ones come, unless it is one of those.
    pub fn replace(&self, name: impl Into<String>) {
        self.old.borrow_mut().push(name.into());
    }

    /// Names of the files that will be there.
    pub fn names(&self) -> Vec<String> {
        let mut names = files(&self.out);
        names.retain(|name| !self.old.borrow().contains(name));
        names.extend(files(&staging(&self.out)));
        names.sort();
        names.dedup();
        names
    }

    /// The text of a file that will be there.
    pub fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.file(name)).or_else(|_| fs::read_to_string(self.out.join(name))).ok()
    }

    /// Puts the new results in the places of the old ones; the names of those that went without one. More may follow.
    ///
    /// # Errors
    /// [`Error::Io`]; before anything is changed where something else than a file stands in a place.
    pub fn publish(&self) -> Result<Vec<String>> {
        let new = files(&staging(&self.out));
        let there = |name: &String| fs::symlink_metadata(self.out.join(name)).is_ok();
        let mut old = self.old.take();
        old.retain(|name| there(name) && !new.contains(name));
        old.sort();
        old.dedup();
        if let Some(name) = new.iter().chain(&old).find(|name| self.out.join(name).is_dir()) {
            let wrong = std::io::Error::from(std::io::ErrorKind::IsADirectory);
            let remedy = "a result goes there: move that directory away, or choose another --out";
            return Err(Error::io("write", self.out.join(name), wrong, remedy));
        }
        let swap =
            serde_json::to_vec(&Swap { old: old.clone(), new }).expect("invariant: names can be written as JSON");
        write::atomic(swap_file(&self.out), |file| file.write_all(&swap))?;
        finish(&self.out)?;
        Ok(old)
    }
}

impl Drop for Folder {
    /// Leaves what was published, and what is to be gone on with.
    fn drop(&mut self) {
        let _ = remove_all(&self.out);
        // The lock last: until then nobody else writes here.
        let inner = self.out.join(UNFINISHED);
        drop(self.lock.take());
        write::remove_empty_dirs(&[inner]);
        write::remove_empty_dirs(&self.made);
    }
}

/// Finishes a swap that a program which was killed began in a folder. Whoever reads results calls it first.
///
/// # Errors
/// [`Error::Io`] where that isn't allowed here: what stands there is not whole.
pub fn settle(out: &Path) -> Result<()> {
    /// A swap takes thousandths of a second; longer than this takes a process that hangs.
    const PATIENCE: Duration = Duration::from_secs(5);
    let clock = Instant::now();
    while swap_file(out).exists() {
        match Lock::take(&out.join(UNFINISHED).join(LOCK))? {
            Taken::Ours(_lock) => {
                finish(out)?;
                remove_all(out)?;
            }
            Taken::Theirs(_) if clock.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(2)),
            Taken::Theirs(_) => break,
        }
        write::remove_empty_dirs(&[out.join(UNFINISHED)]);
    }
    Ok(())
}

fn staging(out: &Path) -> PathBuf {
    out.join(UNFINISHED).join(NEW)
}

fn swap_file(out: &Path) -> PathBuf {
    out.join(UNFINISHED).join(SWAP)
}

/// Names of the files of a directory.
fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let files = entries.filter(|entry| !entry.path().is_dir());
    files.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| !name.starts_with('.')).collect()
}

/// Removes results that were not published.
fn remove_all(out: &Path) -> Result<()> {
    let staging = staging(out);
    match fs::remove_dir_all(&staging) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", &staging, error, "remove it, or make its directory writable"))
        }
        _ => Ok(()),
    }
}

/// Does what is left to be done of a swap. Those new files that stand in their places already are no longer among the new ones, so it may
/// be stopped anywhere and begun again.
fn finish(out: &Path) -> Result<()> {
    let plan = swap_file(out);
    let Ok(text) = fs::read(&plan) else { return Ok(()) };
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| Error::io("replace", path, error, "make its folder writable: the results there are not whole")
    };
    let (new, old) = match serde_json::from_slice(&text) {
        Ok(Swap { old, new }) => (new, old),
        Err(error) => {
            return Err(Error::input(&plan, "JSON", error.to_string(), "remove it, and run the command anew"));
        }
    };
    let plain = |name: &String| Path::new(name).file_name().is_some_and(|own| own == name.as_str());
    let is_link = |path: &Path| fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink());
    let waiting: Vec<&String> = new.iter().filter(|name| plain(name) && staging(out).join(name).exists()).collect();
    for (name, goes) in old.iter().map(|name| (name, true)).chain(waiting.iter().map(|name| (*name, false))) {
        let path = out.join(name);
        if plain(name) && fs::symlink_metadata(&path).is_ok() && (goes || !is_link(&path)) {
            fs::remove_file(&path).map_err(failed(&path))?;
        }
    }
    for name in waiting {
        let (from, to) = (staging(out).join(name), out.join(name));
        if is_link(&to) {
            let bytes = fs::read(&from).map_err(failed(&to))?;
            write::atomic(&to, |file| file.write_all(&bytes))?;
            fs::remove_file(&from).map_err(failed(&from))?;
        } else {
            fs::rename(&from, &to).map_err(failed(&to))?;
        }
    }
    write::sync_directory(out);
    fs::remove_file(&plan).map_err(failed(&plan))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Folder, name: &str, text: &str) {
        write::atomic(folder.file(name), |file| file.write_all(text.as_bytes())).unwrap();
    }

    fn content(out: &Path) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> =
            files(out).into_iter().map(|name| (name.clone(), fs::read_to_string(out.join(name)).unwrap())).collect();
        found.sort();
        found
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect()
    }

    #[test]
    fn results_come_together_and_leave_other_files_alone() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("made/for/it");
        let folder = Folder::open(&out).unwrap();
        put(&folder, "a", "1");
        assert!(content(&out).is_empty() && folder.names() == ["a"] && folder.text("a").as_deref() == Some("1"));
        drop(folder);
        assert!(!place.path().join("made").exists(), "nothing was published");
        let folder = Folder::open(&out).unwrap();
        ["a", "b"].iter().for_each(|name| put(&folder, name, "1"));
        assert!(folder.publish().unwrap().is_empty());
        drop(folder);
        assert_eq!(content(&out), pairs(&[("a", "1"), ("b", "1")]));
        assert!(!out.join(UNFINISHED).exists());
        fs::write(out.join("mine"), "m").unwrap();
        let folder = Folder::open(&out).unwrap();
        put(&folder, "a", "2");
        ["a", "b", "never there"].iter().for_each(|name| folder.replace(*name));
        assert_eq!(folder.names(), ["a", "mine"]);
        assert_eq!(folder.publish().unwrap(), ["b"]);
        assert_eq!(content(&out), pairs(&[("a", "2"), ("mine", "m")]));
    }

    /// Stopped after any number of its moves, a swap leaves files of one run alone, and is finished by whoever comes next.
    #[test]
    fn a_swap_goes_on_where_it_was_stopped() {
        for moves in 0..=5 {
            let place = tempfile::tempdir().unwrap();
            let out = place.path();
            ["a", "b", "c"].iter().for_each(|name| fs::write(out.join(name), "1").unwrap());
            fs::create_dir_all(staging(out)).unwrap();
            ["a", "b"].iter().for_each(|name| fs::write(staging(out).join(name), "2").unwrap());
            fs::write(swap_file(out), r#"{"old":["c"],"new":["a","b"]}"#).unwrap();
            for name in ["c", "a", "b"].iter().take(moves) {
                fs::remove_file(out.join(name)).unwrap();
            }
            for name in ["a", "b"].iter().take(moves.saturating_sub(3)) {
                fs::rename(staging(out).join(name), out.join(name)).unwrap();
            }
            let texts: Vec<String> = content(out).into_iter().map(|(_, text)| text).collect();
            assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?} after {moves} moves");
            if moves % 2 == 0 {
                settle(out).unwrap()
            } else {
                drop(Folder::open(out).unwrap())
            }
            assert_eq!(content(out), pairs(&[("a", "2"), ("b", "2")]), "stopped after {moves} moves");
            assert!(!out.join(UNFINISHED).exists());
        }
    }

    #[test]
    fn a_second_writer_is_refused_until_the_first_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let first = Folder::open(place.path()).unwrap();
        let text = Folder::open(place.path()).unwrap_err().to_string();
        assert!(text.contains(&format!("process {}", std::process::id())) && text.contains("wait"), "{text}");
        // What the first has gathered is still there.
        put(&first, "a", "1");
        assert!(Folder::open(place.path()).is_err() && first.file("a").exists());
        drop(first);
        // A lock's file alone, whose process is gone, holds nobody up.
        fs::create_dir(place.path().join(UNFINISHED)).unwrap();
        fs::write(place.path().join(UNFINISHED).join(LOCK), "1").unwrap();
        fs::write(place.path().join(UNFINISHED).join(".eigenlens-Ab12.part"), "half of a swap's file").unwrap();
        drop(Folder::open(place.path()).unwrap());
        assert!(!place.path().join(UNFINISHED).exists());
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_links_and_directories_are_refused_before_anything_changes() {
        let (place, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let out = place.path();
        std::os::unix::fs::symlink(other.path().join("real"), out.join("a")).unwrap();
        let folder = Folder::open(out).unwrap();
        put(&folder, "a", "1");
        folder.publish().unwrap();
        assert!(fs::symlink_metadata(out.join("a")).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(other.path().join("real")).unwrap(), "1");
        fs::create_dir(out.join("b")).unwrap();
        ["a", "b"].iter().for_each(|name| put(&folder, name, "2"));
        let text = folder.publish().unwrap_err().to_string();
        assert!(text.contains("move that directory away"), "{text}");
        assert_eq!(fs::read_to_string(out.join("a")).unwrap(), "1");
    }
}
