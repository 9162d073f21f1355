//! Which arrays of a file are used, and for what.

use std::io::Read;
use std::path::Path;

use super::CHANNELS;
use super::archive::Archive;
use super::labels::Labels;
use super::npy::{Array, Found};
use super::stored::{SAVEZ, Stored, open, with};
use crate::data::Request;
use crate::error::counted;
use crate::{Error, Result};

/// What the inputs and the targets may be called; test rows have `_test` of it. Keras's sets have the second.
const X: [&str; 4] = ["X", "x", "X_train", "x_train"];
const Y: [&str; 4] = ["y", "Y", "y_train", "Y_train"];
const X_TEST: [&str; 2] = ["X_test", "x_test"];
const Y_TEST: [&str; 2] = ["y_test", "Y_test"];

/// Targets as they lie in a file.
pub(super) enum Target {
    Numbers(Array),
    Texts(Labels),
}

impl Target {
    fn read(path: &Path, name: &str, member: Option<&str>) -> Result<Self> {
        with(path, (name, member), |found, stream: &mut dyn Read, size| {
            Ok(match found {
                Found::Numbers(header) => Target::Numbers(Array::read(path, header, stream, size)?),
                Found::Texts(texts, shape) => Target::Texts(Labels::read(path, name, texts, &shape, stream)?),
            })
        })
    }

    pub fn name(&self) -> &str {
        match self {
            Target::Numbers(array) => &array.header.name,
            Target::Texts(labels) => &labels.name,
        }
    }

    fn shape(&self) -> Vec<usize> {
        match self {
            Target::Numbers(array) => array.header.shape.clone(),
            Target::Texts(labels) => vec![labels.rows()],
        }
    }
}

/// The arrays that are used.
pub(super) struct Arrays {
    pub x: Stored,
    pub y: Option<Target>,
    pub x_test: Option<Stored>,
    pub y_test: Option<Target>,
    pub weights: Option<Array>,
    pub weights_test: Option<Array>,
    /// Names of the channels.
    pub channels: Option<Vec<String>>,
}

impl Arrays {
    pub fn open(path: &Path, request: &Request) -> Result<Self> {
        let arrays = match path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy")) {
            true => Arrays::alone(path, request)?,
            false => Arrays::of_archive(path, request)?,
        };
        arrays.check(path)?;
        Ok(arrays)
    }

    /// Targets that have a file of their own.
    fn own_targets(request: &Request) -> Result<Option<Target>> {
        let Some(file) = &request.target_file else { return Ok(None) };
        let path = Path::new(file);
        if !path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy")) {
            return Err(Error::Usage(format!("--target-file names {file}; give an .npy with a target for each row")));
        }
        Target::read(path, "y", None).map(Some)
    }

    fn alone(path: &Path, request: &Request) -> Result<Self> {
        let y = Arrays::own_targets(request)?;
        if request.need_target && y.is_none() {
            let remedy = "name the targets' file with --target-file y.npy, or give an .npz with the arrays X and y (numpy.savez)";
            return Err(Error::input(path, "file", "an .npy holds inputs only, without a target", remedy));
        }
        let x = Stored::new(path, "X", None)?;
        Ok(Arrays { x, y, x_test: None, y_test: None, weights: None, weights_test: None, channels: None })
    }

    fn of_archive(path: &Path, request: &Request) -> Result<Self> {
        let mut archive = Archive::new(path, open(path)?, SAVEZ)?;
        let named = request.weights.iter().flat_map(|name| [name.clone(), format!("{name}_test")]);
        // The inputs are unpacked piece by piece.
        let usual = Y.into_iter().chain(Y_TEST).chain([CHANNELS]).map(str::to_owned);
        archive.refuse_beyond_memory(&usual.chain(named).collect::<Vec<_>>())?;
        let names = archive.names.clone();
        let has = |name: &str| names.iter().any(|there| there == name);
        let first = |choices: &[&'static str]| choices.iter().copied().find(|choice| has(choice));
        let lacks = |name: &str, why: &str| {
            let there = if names.is_empty() { "no arrays".into() } else { names.join(", ") };
            let problem = format!("the array is missing{why}; the file has {there}");
            Err(Error::input(path, name, problem, format!("save it under the name {name}")))
        };
        let (x, x_test) = (first(&X), first(&X_TEST));
        let Some(x) = x else { return lacks("X", "") };
        let stored = |name| Stored::new(path, name, Some(name));
        let inputs = stored(x)?;
        let (y, y_test) = (first(&Y), first(&Y_TEST));
        let own = Arrays::own_targets(request)?;
        if own.is_some() && (y.is_some() || x_test.is_some()) {
            let path = path.display();
            return Err(Error::Usage(format!(
                "--target-file gives targets to inputs that have none, and {path} has its own or test rows; leave it out"
            )));
        }
        if y.is_none() && own.is_none() && (request.need_target || y_test.is_some()) {
            return lacks("y", "");
        }
        if x_test.is_some() && y.is_some() && y_test.is_none() {
            return lacks("y_test", ", while there is X_test");
        }
        if y_test.is_some() && x_test.is_none() {
            return lacks("X_test", ", while there is y_test");
        }
        let (mut weights, mut weights_test) = (None, None);
        if let Some(name) = &request.weights {
            if [Some(x), y, x_test, y_test].contains(&Some(name.as_str())) {
                return Err(Error::Usage(format!(
                    "--weights names {name}, which is no array of weights; name another"
                )));
            }
            let test = format!("{name}_test");
            match has(name) {
                false if request.expect.is_none() => return lacks(name, ", though --weights names it"),
                true if x_test.is_some() && !has(&test) => {
                    return lacks(&test, &format!(", while there are X_test and {name}"));
                }
                _ => {}
            }
            weights = has(name).then(|| numbers(path, name)).transpose()?;
            weights_test = (has(&test) && x_test.is_some()).then(|| numbers(path, &test)).transpose()?;
        }
        let target = |name| Target::read(path, name, Some(name));
        Ok(Arrays {
            x: inputs,
            x_test: x_test.map(stored).transpose()?,
            y: if own.is_some() { own } else { y.map(target).transpose()? },
            y_test: y_test.map(target).transpose()?,
            weights,
            weights_test,
            channels: if has(CHANNELS) { channels(path)? } else { None },
        })
    }

    /// Whether their shapes and dtypes fit.
    fn check(&self, path: &Path) -> Result<()> {
        check_rows(path, &self.x, self.y.as_ref())?;
        if let Some(x_test) = &self.x_test {
            check_test(path, &self.x, x_test)?;
            check_rows(path, x_test, self.y_test.as_ref())?;
        }
        match (&self.y, &self.y_test) {
            (Some(Target::Texts(_)), Some(Target::Numbers(_))) | (Some(Target::Numbers(_)), Some(Target::Texts(_))) => {
                Err(Error::input(path, "y and y_test", "one is text and the other numbers", "save arrays of one set"))
            }
            _ => Ok(()),
        }
    }
}

/// An array of numbers that is held.
fn numbers(path: &Path, name: &str) -> Result<Array> {
    with(path, (name, Some(name)), |found, stream, size| match found {
        Found::Numbers(header) => Array::read(path, header, stream, size),
        Found::Texts(..) => Err(Error::input(path, name, "its dtype is text", "give numbers")),
    })
}

/// The channels' names; nothing where the array is of anything but text.
fn channels(path: &Path) -> Result<Option<Vec<String>>> {
    const MOST_NAMES: usize = 1 << 20;
    with(path, (CHANNELS, Some(CHANNELS)), |found, stream, _| {
        let Found::Texts(texts, shape) = found else { return Ok(None) };
        let &[count @ 1..=MOST_NAMES] = &shape[..] else {
            let problem = format!("names in the shape {shape:?} can't be used");
            return Err(Error::input(
                path,
                CHANNELS,
                problem,
                "give one list of names, a text of moderate length each",
            ));
        };
        let mut names = Vec::new();
        texts.each(path, CHANNELS, stream, count, |name| {
            names.push(name);
            Ok(())
        })?;
        Ok(Some(names))
    })
}

/// The shapes of inputs and targets.
fn check_rows(path: &Path, x: &Stored, y: Option<&Target>) -> Result<()> {
    if !(2..=5).contains(&x.header.shape.len()) {
        return Err(Error::input(
            path,
            x.header.name.as_str(),
            format!("its shape {:?} has {} axes", x.header.shape, x.header.shape.len()),
            "give it as [rows, columns] or as pictures [rows, height, width], [rows, height, width, channels] or [rows, channels, height, width], or as [rows, channels, depth, height, width]",
        ));
    }
    let Some(y) = y else { return Ok(()) };
    if !(1..=2).contains(&y.shape().len()) {
        let problem = format!("its shape is {:?}", y.shape());
        return Err(Error::input(path, y.name(), problem, "give it as [rows] or [rows, outputs]"));
    }
    if x.header.shape[0] != y.shape()[0] {
        return Err(Error::input(
            path,
            format!("{} and {}", x.header.name, y.name()),
            format!(
                "{} has {} and {} has {}",
                x.header.name,
                counted(x.header.shape[0], "row"),
                y.name(),
                y.shape()[0]
            ),
            "save the rows that belong together",
        ));
    }
    Ok(())
}

/// The test inputs must be like the others.
fn check_test(path: &Path, x: &Stored, test: &Stored) -> Result<()> {
    let place = || format!("{} and {}", x.header.name, test.header.name);
    if x.header.shape[1..] != test.header.shape[1..] {
        let problem =
            format!("their rows have the shapes {:?} and {:?}", &x.header.shape[1..], &test.header.shape[1..]);
        return Err(Error::input(path, place(), problem, "save arrays of one set"));
    }
    if (x.header.kind == super::npy::Kind::U8) != (test.header.kind == super::npy::Kind::U8) {
        let problem = format!("their dtypes are {} and {}", x.header.kind.name(), test.header.kind.name());
        return Err(Error::input(path, place(), problem, "convert one of them with .astype"));
    }
    Ok(())
}
