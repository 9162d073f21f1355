//! Pages as files.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::page::Page;
use super::{html, markdown};
use crate::write;

/// What a page is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One file without network.
    Html,
    /// For a terminal or a pull request.
    Markdown,
    /// For programs.
    Json,
}

impl Format {
    /// The page of this name in a directory.
    pub fn file(self, directory: &Path, name: &str) -> PathBuf {
        let extension = match self {
            Format::Html => "html",
            Format::Markdown => "md",
            Format::Json => "json",
        };
        directory.join(format!("{name}.{extension}"))
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

/// Writes the page into a directory in every format asked for; the files, each once.
///
/// # Errors
/// [`crate::Error::Io`] when a file can't be written.
pub fn save(page: &Page, directory: &Path, name: &str, formats: &[Format]) -> crate::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for format in formats {
        let file = format.file(directory, name);
        if !files.contains(&file) {
            write::atomic(&file, |out| out.write_all(format.text(page).as_bytes()))?;
            files.push(file);
        }
    }
    Ok(files)
}
