//! Pages as files.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::page::Page;
use super::{html, markdown};
use crate::write;

/// What a page is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `report.html`: one file without network or scripts.
    Html,
    /// `report.md`, for a terminal or a pull request.
    Markdown,
    /// `report.json`, for programs.
    Json,
}

impl Format {
    /// The page in a directory.
    pub fn file(self, directory: &Path) -> PathBuf {
        directory.join(match self {
            Format::Html => "report.html",
            Format::Markdown => "report.md",
            Format::Json => "report.json",
        })
    }

    /// The page as text.
    pub fn text(self, page: &Page) -> String {
        match self {
            Format::Html => html::render(page),
            Format::Markdown => markdown::render(page),
            Format::Json => format!("{:#}\n", serde_json::json!(page)),
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "html" => Ok(Format::Html),
            "md" => Ok(Format::Markdown),
            "json" => Ok(Format::Json),
            other => Err(format!("there is no format {other:?}; there are html, md and json")),
        }
    }
}

/// Writes the page into a directory in every format asked for.
///
/// # Errors
/// [`crate::Error::Io`] when a file can't be written.
pub fn save(page: &Page, directory: &Path, formats: &[Format]) -> crate::Result<()> {
    let again = |i: usize| formats[..i].contains(&formats[i]);
    (0..formats.len()).filter(|&i| !again(i)).map(|i| formats[i]).try_for_each(|format| {
        let text = format.text(page);
        write::atomic(format.file(directory), |out| out.write_all(text.as_bytes()))
    })
}
