//! The one error type of the library: every variant reads as one sentence that names the place and the remedy.

use std::path::{Path, PathBuf};

/// What can go wrong. The command line prints it as it is and exits with [`Error::exit_code`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option or argument that makes no sense (exit code 2).
    #[error("{}", printable(.0))]
    Usage(String),
    /// A file whose content can't be used; `place` is a line, column, array or tensor name.
    #[error("{}", printable(&format!("{}: {place}: {problem}; {remedy}", path.display())))]
    Input { path: PathBuf, place: String, problem: String, remedy: String },
    /// The operating system refused a read or a write.
    #[error("{}", printable(&format!("cannot {action} {}: {source}; {remedy}", path.display())))]
    Io { action: &'static str, path: PathBuf, source: std::io::Error, remedy: String },
    /// Shapes that don't fit each other, with both shapes and the remedy in the text.
    #[error("{}", printable(.0))]
    Shape(String),
    /// No usable adapter, a lost device, a limit that is too small.
    #[error("{}", printable(.0))]
    Device(String),
    /// An explanation that doesn't add up to the network's output.
    #[error("{}", printable(.0))]
    Receipt(String),
    /// Stopped by whoever watched, before there was anything whole to keep.
    #[error("{}", printable(.0))]
    Stopped(String),
    /// The loss or a parameter left the finite numbers.
    #[error(
        "training diverged at step {step} in replica {replica}: {what} is not finite; lower --lr (now {rate}), \
         scale the inputs (--scale standard) or check the data for extreme values"
    )]
    Diverged { step: u64, replica: usize, what: &'static str, rate: f64 },
}

/// Characters of a message; what is longer lost its middle.
const MOST_CHARACTERS: usize = 3000;

/// Whether a character does something to a terminal or to the order of the text around it instead of being seen: control characters,
/// line and paragraph separators, and overrides of the writing direction.
pub fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A text from outside as one line that a terminal shows as it is: what [`misleads`] stands there as `\u{1b}`, and of a long text the middle
/// is left out.
pub fn printable(text: &str) -> String {
    let escaped = |c: char| if misleads(c) { c.escape_default().to_string() } else { c.to_string() };
    let length = text.chars().count();
    if length <= MOST_CHARACTERS {
        return text.chars().map(escaped).collect();
    }
    let half = MOST_CHARACTERS / 2;
    let head: String = text.chars().take(half).map(escaped).collect();
    let tail: String = text.chars().skip(length - half).map(escaped).collect();
    format!("{head} … {tail}")
}

/// `1 row`, `2 rows`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_short_line_that_can_be_seen() {
        let hostile = "a\u{1b}[31mb\u{202e}c\nd\u{9b}e";
        assert_eq!(printable(hostile), r"a\u{1b}[31mb\u{202e}c\nd\u{9b}e");
        assert_eq!(printable("ψ ≤ 3 – „ok“ 10\u{202f}%"), "ψ ≤ 3 – „ok“ 10\u{202f}%");
        let long: Vec<usize> = vec![1; 20_000];
        for error in [
            Error::Usage(hostile.into()),
            Error::Shape(format!("{hostile} {long:?}")),
            Error::Device(hostile.into()),
            Error::input(hostile, hostile, format!("{long:?}"), hostile),
            Error::io("read", hostile, std::io::Error::other(hostile), hostile),
        ] {
            let text = error.to_string();
            assert!(!text.contains(misleads) && text.chars().count() < 4000, "{text}");
        }
    }
}
