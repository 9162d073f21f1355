//! Pages as files.

use std::path::PathBuf;
use std::str::FromStr;

use super::page::{Link, Page};
use super::{html, markdown};
use crate::run::Folder;
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
    /// What the file of a page of this name is called.
    pub fn file(self, name: &str) -> String {
        let extension = match self {
            Format::Html => "html",
            Format::Markdown => "md",
            Format::Json => "json",
        };
        format!("{name}.{extension}")
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

/// Writes the page into a folder in every format asked for; where they will be, each once. The HTML pages of the folder lead to each
/// other.
///
/// # Errors
/// [`crate::Error::Io`] when a file can't be written.
pub fn save(page: &Page, folder: &Folder, name: &str, formats: &[Format]) -> crate::Result<Vec<PathBuf>> {
    let mut names = pages_in(folder);
    if formats.contains(&Format::Html) && !names.iter().any(|other| other == name) {
        names.push(name.to_owned());
        names.sort_by_key(|name| order(name));
    }
    let linked = Page { links: links(&names, name), ..page.clone() };
    let mut files = Vec::new();
    for format in formats {
        let file = format.file(name);
        let there = folder.path().join(&file);
        if !files.contains(&there) {
            write::atomic(folder.file(&file), |out| out.write_all(format.text(&linked).as_bytes()))?;
            files.push(there);
        }
    }
    if formats.contains(&Format::Html) {
        for other in names.iter().filter(|other| *other != name) {
            relink(folder, &Format::Html.file(other), &links(&names, other))?;
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

/// Names of the HTML pages that a folder will have.
fn pages_in(folder: &Folder) -> Vec<String> {
    let files = folder.names();
    let names = files.iter().filter_map(|file| Some(file.strip_suffix(".html")?.to_owned()));
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
fn relink(folder: &Folder, file: &str, links: &[Link]) -> crate::Result<()> {
    let Some(text) = folder.text(file) else { return Ok(()) };
    match html::with_links(&text, links) {
        Some(text) => write::atomic(folder.file(file), |out| out.write_all(text.as_bytes())),
        None => Ok(()),
    }
}
