//! The one error type of the library: every variant reads as one sentence that names the place and the remedy.

use std::path::{Path, PathBuf};

/// What can go wrong. The command line prints it as it is and exits with [`Error::exit_code`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option or argument that makes no sense (exit code 2).
    #[error("{0}")]
    Usage(String),
    /// A file whose content can't be used; `place` is a line, column, array or tensor name.
    #[error("{}: {place}: {problem}; {remedy}", path.display())]
    Input { path: PathBuf, place: String, problem: String, remedy: String },
    /// The operating system refused a read or a write.
    #[error("cannot {action} {}: {source}; {remedy}", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error, remedy: String },
    /// Shapes that don't fit each other, with both shapes and the remedy in the text.
    #[error("{0}")]
    Shape(String),
    /// No usable adapter, a lost device, a limit that is too small.
    #[error("{0}")]
    Device(String),
    /// An explanation that doesn't add up to the network's output.
    #[error("{0}")]
    Receipt(String),
    /// Stopped by whoever watched, before there was anything whole to keep.
    #[error("{0}")]
    Stopped(String),
    /// The loss or a parameter left the finite numbers.
    #[error(
        "training diverged at step {step} in replica {replica}: {what} is not finite; lower --lr (now {rate}), \
         scale the inputs (--scale standard) or check the data for extreme values"
    )]
    Diverged { step: u64, replica: usize, what: &'static str, rate: f64 },
}

/// The library's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A file whose content can't be used.
    pub fn input(
        path: impl AsRef<Path>,
        place: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Error::Input {
            path: path.as_ref().to_owned(),
            place: place.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// A refused read or write.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error, remedy: impl Into<String>) -> Self {
        Error::Io { action, path: path.as_ref().to_owned(), source, remedy: remedy.into() }
    }

    /// 2 for wrong usage, 1 for everything that failed.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Error::Usage(_)) { 2 } else { 1 }
    }
}
