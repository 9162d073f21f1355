//! Names of a network's outputs, from a text.

use std::path::Path;

use super::bad_name;
use crate::{Error, Result};

/// A name for each output, each once: a file of text with one a line, which may begin with an ImageNet number.
///
/// # Errors
/// [`Error::Io`] for a file that can't be read, [`Error::Input`] with the line for another number of names, and for one that is empty.
pub fn class_names(path: &Path, outputs: usize) -> Result<Vec<String>> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e, "give a text file with a name a line"))?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let lines = &lines[..lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1)];
    if lines.len() != outputs {
        let problem = format!("{} names, and the network has {outputs} outputs", lines.len());
        return Err(Error::input(path, "lines", problem, "give one name a line for each output, in their order"));
    }
    if let Some(line) = lines.iter().position(|line| line.is_empty()) {
        return Err(Error::input(path, format!("line {}", line + 1), "it is empty", "give a name"));
    }
    fn without_number(line: &str) -> Option<&str> {
        let (number, name) = line.split_once(char::is_whitespace)?;
        let digits = number.strip_prefix('n').filter(|d| d.len() == 8 && d.bytes().all(|b| b.is_ascii_digit()));
        digits.map(|_| name.trim()).filter(|name| !name.is_empty())
    }
    let bare: Option<Vec<&str>> = lines.iter().map(|line| without_number(line)).collect();
    let names = bare.unwrap_or_else(|| lines.to_vec());
    let mut count = std::collections::HashMap::new();
    names.iter().for_each(|name| *count.entry(*name).or_insert(0) += 1);
    // ImageNet has two cranes.
    let named = |(j, name): (usize, &&str)| if count[*name] > 1 { format!("{name} ({j})") } else { (*name).to_owned() };
    let names: Vec<String> = names.iter().enumerate().map(named).collect();
    match bad_name(&names) {
        Some(problem) => Err(Error::input(path, "lines", problem, "give every output a name of its own")),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_without_numbers_and_each_once() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"n02012849 crane\nn01855672 goose\nn03126707 crane\n\n").unwrap();
        assert_eq!(class_names(file.path(), 3).unwrap(), ["crane (0)", "goose", "crane (2)"]);
        let error = class_names(file.path(), 4).unwrap_err().to_string();
        assert!(error.contains("3 names, and the network has 4 outputs"), "{error}");
        std::fs::write(file.path(), "n02012849 crane\ngoose one\n").unwrap();
        assert_eq!(class_names(file.path(), 2).unwrap(), ["n02012849 crane", "goose one"]);
        std::fs::write(file.path(), "crane\ncrane\ncrane (0)\n").unwrap();
        assert!(class_names(file.path(), 3).unwrap_err().to_string().contains("two are called \"crane (0)\""));
        std::fs::write(file.path(), "a\n\nb").unwrap();
        assert!(class_names(file.path(), 3).unwrap_err().to_string().contains("line 2: it is empty"));
    }
}
