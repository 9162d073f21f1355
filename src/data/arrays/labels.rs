//! Labels as text.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use super::npy::Texts;
use super::targets::MOST_CLASSES;
use crate::data::{Missing, Targets, Task};
use crate::{Error, Result};

/// A text for each row.
pub(super) struct Labels {
    pub name: String,
    /// Each row's place among the names.
    places: Vec<u32>,
    names: Vec<String>,
}

impl Labels {
    /// The rest of a stream behind its header.
    pub fn read(path: &Path, name: &str, texts: Texts, shape: &[usize], stream: &mut dyn Read) -> Result<Self> {
        let &[rows] = shape else {
            let problem = format!("its texts have the shape {shape:?}");
            return Err(Error::input(path, name, problem, "give one label a row, as [rows]"));
        };
        let mut labels = Labels { name: name.to_owned(), places: Vec::new(), names: Vec::new() };
        let mut place_of: HashMap<String, u32> = HashMap::new();
        texts.each(path, name, stream, rows, |text| {
            let place = match place_of.get(&text) {
                Some(&place) => place,
                None if place_of.len() == MOST_CLASSES + 1 => return Err(labels.too_many(path)),
                None => {
                    let place = place_of.len() as u32;
                    place_of.insert(text.clone(), place);
                    labels.names.push(text);
                    place
                }
            };
            labels.places.push(place);
            Ok(())
        })?;
        Ok(labels)
    }

    fn too_many(&self, path: &Path) -> Error {
        let problem = format!("the target has more than {MOST_CLASSES} classes");
        Error::input(path, self.name.as_str(), problem, "save numbers, or merge classes")
    }

    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// The labels of the test rows behind its own.
    pub fn join(&mut self, test: Labels) {
        for place in test.places {
            let name = &test.names[place as usize];
            let own = self.names.iter().position(|own| own == name).unwrap_or_else(|| {
                self.names.push(name.clone());
                self.names.len() - 1
            });
            self.places.push(own as u32);
        }
    }

    /// Marks the rows whose label is empty where they are dropped, and refuses them elsewhere.
    pub fn check(&self, path: &Path, treatment: Missing, missing: &mut [bool]) -> Result<()> {
        let Some(empty) = self.names.iter().position(|name| name.trim().is_empty()) else { return Ok(()) };
        for (row, _) in self.places.iter().enumerate().filter(|(_, place)| **place as usize == empty) {
            if treatment != Missing::Drop {
                let place = format!("{}, row {row} (counted from 0)", self.name);
                let remedy = "fill in the target, or leave such rows out with --missing drop";
                return Err(Error::input(path, place, "the label is empty", remedy));
            }
            missing[row] = true;
        }
        Ok(())
    }

    /// Classes, by name: those that the kept rows have.
    pub fn targets(self, path: &Path, task: Option<Task>, left_out: impl Fn(usize) -> bool) -> Result<Targets> {
        if task == Some(Task::Regress) {
            let remedy = "save numbers, or give --task classify";
            return Err(Error::input(path, self.name, "its labels are text, which is no number", remedy));
        }
        let places: Vec<u32> =
            self.places.iter().enumerate().filter(|(row, _)| !left_out(*row)).map(|(_, &place)| place).collect();
        let mut occurs = vec![false; self.names.len()];
        places.iter().for_each(|&place| occurs[place as usize] = true);
        let mut order: Vec<usize> = (0..self.names.len()).filter(|&place| occurs[place]).collect();
        if order.len() > MOST_CLASSES {
            return Err(self.too_many(path));
        }
        order.sort_by(|&a, &b| self.names[a].cmp(&self.names[b]));
        let mut rank = vec![0; self.names.len()];
        order.iter().zip(0..).for_each(|(&place, new)| rank[place] = new);
        Ok(Targets::Classes {
            labels: places.into_iter().map(|place| rank[place as usize]).collect(),
            names: order.into_iter().map(|place| self.names[place].clone()).collect(),
        })
    }
}
