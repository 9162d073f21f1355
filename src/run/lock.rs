//! One writer at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::write::is_at;
use crate::{Error, Result};

/// A file that one process holds, with its number inside. The system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

/// What became of an attempt.
pub(super) enum Taken {
    /// `None` on a file system that has no locks.
    Ours(Option<Lock>),
    /// Held by the process of this number, if it is known.
    Theirs(Option<u32>),
}

impl Lock {
    /// Takes the lock if nobody holds it; the directory is made, the file is removed when the lock is dropped.
    pub(super) fn take(path: &Path) -> Result<Taken> {
        const REMEDY: &str = "make its directory writable, or choose another --out";
        let failed = |error| Error::io("lock", path, error, REMEDY);
        loop {
            let directory = path.parent().expect("invariant: a lock stands in a directory");
            fs::create_dir_all(directory).map_err(failed)?;
            let mut file = match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path) {
                Ok(file) => file,
                // Whoever finished removed the directory in between.
                Err(_) if !directory.exists() => continue,
                Err(error) => return Err(failed(error)),
            };
            match file.try_lock() {
                // Removed by its last holder after it was opened here: another may stand there by now.
                Ok(()) if !is_at(&file, path) => continue,
                Ok(()) => {
                    let number = std::process::id().to_string();
                    file.set_len(0).and_then(|()| file.write_all(number.as_bytes())).map_err(failed)?;
                    return Ok(Taken::Ours(Some(Lock { file, path: path.to_owned() })));
                }
                Err(TryLockError::WouldBlock) => {
                    let mut number = String::new();
                    let _ = file.read_to_string(&mut number);
                    return Ok(Taken::Theirs(number.trim().parse().ok()));
                }
                Err(TryLockError::Error(_)) => return Ok(Taken::Ours(None)),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before it is let go of: whoever takes it next finds that its file is gone, and makes a new one.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}
