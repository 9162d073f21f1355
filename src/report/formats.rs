//! Pages as files.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::page::{Link, Page};
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

/// Writes the page into a directory in every format asked for; the files, each once. The HTML pages of the folder lead to each other.
///
/// # Errors
/// [`crate::Error::Io`] when a file can't be written.
pub fn save(page: &Page, directory: &Path, name: &str, formats: &[Format]) -> crate::Result<Vec<PathBuf>> {
    let mut names = pages_in(directory);
    if formats.contains(&Format::Html) && !names.iter().any(|other| other == name) {
        names.push(name.to_owned());
        names.sort_by_key(|name| order(name));
    }
    let linked = Page { links: links(&names, name), ..page.clone() };
    let mut files = Vec::new();
    for format in formats {
        let file = format.file(directory, name);
        if !files.contains(&file) {
            write::atomic(&file, |out| out.write_all(format.text(&linked).as_bytes()))?;
            files.push(file);
        }
    }
    if formats.contains(&Format::Html) {
        for other in names.iter().filter(|other| *other != name) {
            relink(&Format::Html.file(directory, other), &links(&names, other))?;
        }
    }
    Ok(files)
}

/// The commands' pages, in the order of the work; those of several outputs are called `explain-OUTPUT`.
const PAGES: [&str; 5] = ["report", "select", "curve", "explain", "similarity"];

fn order(name: &str) -> (Option<usize>, String) {
    let place =
        PAGES.iter().position(|page| name == *page || name.strip_prefix(page).is_some_and(|n| n.starts_with('-')));
    (place, name.to_owned())
}

/// Names of the HTML pages that a folder has.
fn pages_in(directory: &Path) -> Vec<String> {
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = files.filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".html")?.to_owned()));
    let mut names: Vec<String> = names.filter(|name| order(name).0.is_some()).collect();
    names.sort_by_key(|name| order(name));
    names
}

/// To all of these pages but one's own.
fn links(names: &[String], own: &str) -> Vec<Link> {
    let others = names.iter().filter(|name| *name != own);
    others.map(|name| Link { name: name.clone(), file: format!("{name}.html") }).collect()
}

/// Gives a page that stands in the folder already its links anew. A page that isn't ours is left as it is.
fn relink(file: &Path, links: &[Link]) -> crate::Result<()> {
    let Ok(text) = std::fs::read_to_string(file) else { return Ok(()) };
    match html::with_links(&text, links) {
        Some(text) => write::atomic(file, |out| out.write_all(text.as_bytes())),
        None => Ok(()),
    }
}
