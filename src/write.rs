//! Files that are either whole or absent: a reader, or a program that died half-way, never sees half a file.

use std::fs;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes `path` through a temporary file in the same directory, which is synced and then renamed over the target.
///
/// The closure's writer is buffered. On failure nothing is left behind and an older `path` stays as it was.
/// A symbolic link keeps pointing where it did: the file behind it is replaced, or made. What is no regular file
/// (`/dev/stdout`, a named pipe) can't be replaced, so it is written to directly.
pub fn atomic(path: impl AsRef<Path>, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let path = path.as_ref();
    write_file(path, content).map_err(|error| refused("write", path, error))
}

/// Refuses a file to be written that is one of those that are read.
///
/// # Errors
/// [`Error::Usage`] that names it.
pub fn refuse_to_replace(path: &Path, read: impl IntoIterator<Item = PathBuf>) -> Result<()> {
    let Ok(found) = fs::canonicalize(path) else { return Ok(()) };
    if found.is_file() && read.into_iter().any(|other| fs::canonicalize(other).is_ok_and(|other| other == found)) {
        let path = path.display();
        return Err(Error::Usage(format!("--out {path} would replace what is read; give another name")));
    }
    Ok(())
}

/// Creates a directory with its parents; one that exists already is fine where files can be made in it.
///
/// # Errors
/// [`Error::Io`], also for a symbolic link to a place where nothing is: whoever made it knows what belongs there.
pub fn create_dir(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    if let (Ok(to), false) = (fs::read_link(path), path.exists()) {
        let missing =
            io::Error::new(ErrorKind::NotFound, format!("it is a link to {}, where nothing is", to.display()));
        return Err(Error::io("write to", path, missing, "create that directory, or remove the link"));
    }
    fs::create_dir_all(path).map_err(|error| refused("create the directory", path, error))?;
    // Gone again as it is dropped.
    temporary(path).map(drop).map_err(|error| {
        let remedy = format!("make {} writable, or choose another directory", path.display());
        Error::io("write to", path, error, remedy)
    })
}

/// Removes the temporary files of a directory that nobody writes any more: those of programs that were killed.
pub fn sweep(directory: impl AsRef<Path>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        // Whoever writes one holds its lock. It is removed while the lock is held here, so nobody begins to write it meanwhile.
        if ours
            && let Ok(file) = fs::OpenOptions::new().write(true).open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// [`sweep`] of the directory that a file is in.
pub fn sweep_beside(path: impl AsRef<Path>) {
    sweep(parent(path.as_ref()));
}

/// Whether a path still names this file.
pub(crate) fn is_at(file: &fs::File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let identity = |about: fs::Metadata| (about.dev(), about.ino());
        file.metadata().ok().map(identity) == fs::metadata(path).ok().map(identity)
    }
    // Elsewhere an open file can't be removed.
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

/// The directories that [`create_dir`] would make, the innermost first.
pub fn missing_dirs(path: impl AsRef<Path>) -> Vec<PathBuf> {
    let parts = path.as_ref().ancestors().filter(|part| !part.as_os_str().is_empty());
    parts.take_while(|part| !part.exists()).map(Path::to_owned).collect()
}

/// Removes directories in the order given, as far as they are empty.
pub fn remove_empty_dirs(paths: &[PathBuf]) {
    let _ = paths.iter().try_for_each(fs::remove_dir);
}

fn write_file(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let target = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(io::Error::from(ErrorKind::IsADirectory)),
        Ok(found) if !found.is_file() => return write_direct(path, content),
        Ok(_) => fs::canonicalize(path)?,
        Err(_) => behind_links(path),
    };
    let directory = parent(&target);
    let mut file = temporary(&directory)?;
    let mut buffer = BufWriter::new(file.as_file_mut());
    content(&mut buffer)?;
    buffer.flush()?;
    drop(buffer);
    file.as_file().sync_all()?;
    // `persist` hands the temporary file back inside its error, and dropping that removes it.
    file.persist(&target).map_err(|error| error.error)?;
    sync_directory(&directory);
    Ok(())
}

/// Where a path leads that names nothing yet: through symbolic links to the place that they name.
fn behind_links(path: &Path) -> PathBuf {
    const MOST: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        let Ok(to) = fs::read_link(&path) else { break };
        path = parent(&path).join(to);
    }
    path
}

fn write_direct(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = BufWriter::new(fs::OpenOptions::new().write(true).open(path)?);
    content(&mut buffer)?;
    buffer.flush()
}

/// What the names of temporary files begin and end with.
const PREFIX: &str = ".eigenlens-";
const SUFFIX: &str = ".part";

/// A new file in a directory, locked for as long as it is open: [`sweep`] leaves it alone.
fn temporary(directory: &Path) -> io::Result<tempfile::NamedTempFile> {
    loop {
        let file = new_temporary(directory)?;
        let locked = match file.as_file().try_lock() {
            Ok(()) => is_at(file.as_file(), file.path()),
            // Somebody sweeps at this moment.
            Err(fs::TryLockError::WouldBlock) => false,
            // A file system without locks, where nothing is swept either.
            Err(fs::TryLockError::Error(_)) => true,
        };
        if locked {
            return Ok(file);
        }
    }
}

fn new_temporary(directory: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    // tempfile's own default is 0600, which would make a report unreadable to everyone else; the umask still applies.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(directory).map_err(|error| {
        // The message ends with the random name of the temporary file, which says nothing to the user.
        let text = error.to_string();
        let plain = text.split(" at path \"").next().unwrap_or_default();
        io::Error::new(error.kind(), plain.to_owned())
    })
}

/// The rename itself survives a power cut only once the directory is synced; a file system that can't do that is no error.
pub(crate) fn sync_directory(directory: &Path) {
    #[cfg(unix)]
    if let Ok(handle) = fs::File::open(directory) {
        let _ = handle.sync_all();
    }
    #[cfg(not(unix))]
    let _ = directory;
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn refused(action: &'static str, path: &Path, error: io::Error) -> Error {
    let directory = parent(path);
    let remedy = match error.kind() {
        ErrorKind::NotFound => format!("create the directory {} first", directory.display()),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "a part of this path is a file: choose another path".to_owned()
        }
        ErrorKind::IsADirectory => "this is a directory: name a file inside it".to_owned(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("free some space, or choose another place than {}", directory.display())
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            format!("make {} writable, or choose a directory that is", directory.display())
        }
        _ => format!("check that {} exists and is writable", directory.display()),
    };
    Error::io(action, path, error, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn writes_and_replaces() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.txt");
        for text in ["first", "second"] {
            atomic(&path, |w| w.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(directory.path()), ["a.txt"]);
    }

    #[test]
    fn a_failure_keeps_the_old_file_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.txt");
        fs::write(&path, "old").unwrap();
        let error = atomic(&path, |w| {
            w.write_all(b"half")?;
            Err(io::Error::from(ErrorKind::StorageFull))
        })
        .unwrap_err();
        assert!(error.to_string().contains("a.txt") && error.to_string().contains("free some space"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(directory.path()), ["a.txt"]);
    }

    #[test]
    fn errors_name_path_and_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("no/such/a.txt");
        let text = atomic(&missing, |_| Ok(())).unwrap_err().to_string();
        assert!(text.contains("no/such/a.txt") && text.contains("create the directory"), "{text}");
        assert!(!text.contains(".part"), "{text}");
        let text = atomic(directory.path(), |_| Ok(())).unwrap_err().to_string();
        assert!(text.contains("name a file inside it"), "{text}");
        fs::write(directory.path().join("file"), "").unwrap();
        let text = create_dir(directory.path().join("file/sub")).unwrap_err().to_string();
        assert!(text.contains("file/sub") && text.contains("choose another path"), "{text}");
        let nested = directory.path().join("x/y");
        let made = missing_dirs(&nested);
        assert_eq!(made, [nested.clone(), directory.path().join("x")]);
        create_dir(&nested).unwrap();
        create_dir(&nested).unwrap();
        assert!(names(&nested).is_empty() && missing_dirs(&nested).is_empty());
        fs::write(directory.path().join("x/kept"), "").unwrap();
        remove_empty_dirs(&made);
        assert_eq!(names(directory.path()), ["file", "x"]);
        assert_eq!(names(&directory.path().join("x")), ["kept"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_links_and_modes_are_ordinary() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        atomic(&link, |w| w.write_all(b"new")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        let plain = directory.path().join("plain");
        fs::write(&plain, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&real), mode(&plain));
        atomic("/dev/null", |w| w.write_all(b"gone")).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[cfg(unix)]
    #[test]
    fn links_to_nothing_are_followed_to_a_file_and_refused_as_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink("second", at("first")).unwrap();
        std::os::unix::fs::symlink("real", at("second")).unwrap();
        atomic(at("first"), |w| w.write_all(b"new")).unwrap();
        assert!([at("first"), at("second")].iter().all(|link| fs::symlink_metadata(link).unwrap().is_symlink()));
        assert_eq!(fs::read_to_string(at("real")).unwrap(), "new");
        std::os::unix::fs::symlink("no/where", at("lost")).unwrap();
        let text = atomic(at("lost"), |_| Ok(())).unwrap_err().to_string();
        assert!(text.contains("lost") && text.contains("cannot write"), "{text}");
        let text = create_dir(at("lost")).unwrap_err().to_string();
        assert!(text.contains("a link to no/where") && text.contains("remove the link"), "{text}");
    }

    #[test]
    fn what_a_killed_program_left_is_swept_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in [".eigenlens-Ab12.part", ".eigenlens-other", "mine.part"] {
            fs::write(at(name), "half").unwrap();
        }
        let written = temporary(directory.path()).unwrap();
        sweep(directory.path());
        let mut left: Vec<String> = [".eigenlens-other", "mine.part"].map(str::to_owned).to_vec();
        left.push(written.path().file_name().unwrap().to_string_lossy().into_owned());
        left.sort();
        assert_eq!(names(directory.path()), left);
        drop(written);
        assert_eq!(names(directory.path()).len(), 2);
    }
}
