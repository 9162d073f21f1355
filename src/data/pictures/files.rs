//! Which files are meant, and what their folders say.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Folders inside folders, after which a loop of links is suspected.
const DEEPEST: usize = 16;

pub(super) struct File {
    pub path: PathBuf,
    /// What a person calls it: its name, from the folder on that was given.
    pub name: String,
}

pub(super) struct Found {
    pub files: Vec<File>,
    /// Where every picture stands in a subfolder: its class.
    pub labels: Option<(Vec<u32>, Vec<String>)>,
    pub test_from: Option<usize>,
    pub notes: Vec<String>,
}

pub(super) fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    ["jpg", "jpeg", "png"].iter().any(|kind| extension.eq_ignore_ascii_case(kind))
}

pub(super) fn find(sources: &[&str]) -> Result<Found> {
    if let [folder] = sources
        && Path::new(folder).is_dir()
    {
        return in_folder(Path::new(folder));
    }
    let mut files = Vec::new();
    for source in sources {
        let path = Path::new(source);
        if path.is_dir() {
            files.extend(in_folder(path)?.files);
        } else if is_picture(path) {
            let name =
                path.file_name().map_or_else(|| (*source).to_owned(), |name| name.to_string_lossy().into_owned());
            files.push(File { path: path.to_owned(), name });
        } else {
            return Err(Error::Usage(format!(
                "{source} is no picture, and only pictures can be several; give JPEG or PNG files, or one set of data"
            )));
        }
    }
    Ok(Found { files, labels: None, test_from: None, notes: Vec::new() })
}

/// Pictures of a folder in the order of their names. Its subfolders are classes; `train` and `test` with classes in them are the parts
/// of a set.
fn in_folder(folder: &Path) -> Result<Found> {
    let (mut paths, mut others) = (Vec::new(), 0);
    walk(folder, 0, &mut paths, &mut others)?;
    paths.sort();
    let parts = |path: &Path| -> Vec<String> {
        let inside = path.strip_prefix(folder).unwrap_or(path);
        inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let mut files: Vec<(Vec<String>, PathBuf)> = paths.into_iter().map(|path| (parts(&path), path)).collect();
    let part_of = |file: &(Vec<String>, PathBuf)| file.0[0].clone();
    let is_set = files.iter().all(|file| file.0.len() > 2 && matches!(part_of(file).as_str(), "train" | "test"))
        && ["train", "test"].iter().all(|part| files.iter().any(|file| part_of(file) == *part));
    let mut test_from = None;
    if is_set {
        files.sort_by_key(|file| part_of(file) == "test");
        test_from = files.iter().position(|file| part_of(file) == "test");
    }
    let mut notes = Vec::new();
    if others > 0 {
        let files = if others == 1 { "file that is" } else { "files that are" };
        notes.push(format!("{}: {others} {files} neither JPEG nor PNG left out", folder.display()));
    }
    if files.is_empty() {
        let remedy = "give a folder with .jpg, .jpeg or .png files, or idx:DIRECTORY for MNIST's files";
        return Err(Error::input(folder, "folder", "there is no picture in it", remedy));
    }
    let class = usize::from(is_set);
    let labelled = files.iter().filter(|file| file.0.len() > class + 1).count();
    let labels = (labelled == files.len()).then(|| {
        let mut names: Vec<String> = files.iter().map(|file| file.0[class].clone()).collect();
        names.sort();
        names.dedup();
        let place = |name: &String| names.binary_search(name).expect("invariant: every class was listed") as u32;
        (files.iter().map(|file| place(&file.0[class])).collect(), names)
    });
    if labels.is_none() && labelled > 0 {
        let loose = files.len() - labelled;
        let stand = if loose == 1 { "one picture stands" } else { "some pictures stand" };
        notes.push(format!("{}: {stand} beside the subfolders, so these are not taken for labels", folder.display()));
    }
    let files = files.into_iter().map(|(parts, path)| File { path, name: parts.join("/") }).collect();
    Ok(Found { files, labels, test_from, notes })
}

fn walk(folder: &Path, depth: usize, pictures: &mut Vec<PathBuf>, others: &mut usize) -> Result<()> {
    let unreadable = |e| Error::io("read", folder, e, "check that the folder is there and readable");
    if depth > DEEPEST {
        let problem = format!("it lies {DEEPEST} folders deep, as in a loop of links");
        return Err(Error::input(folder, "folder", problem, "give a folder whose subfolders are the labels"));
    }
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        // What systems and editors leave behind is hidden.
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        if path.is_dir() {
            walk(&path, depth + 1, pictures, others)?;
        } else if is_picture(&path) {
            pictures.push(path);
        } else {
            *others += 1;
        }
    }
    Ok(())
}
