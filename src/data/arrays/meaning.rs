//! What the columns of arrays mean, and where those stand that a model expects.

use std::path::Path;

use super::CHANNELS;
use super::axes::describe;
use super::npy::Header;
use crate::data::{Axis, CHANNEL, Feature, Layout, Request, places};
use crate::error::counted;
use crate::{Error, Result};

/// The columns of the arrays.
pub(super) struct Meaning {
    pub axes: Vec<Axis>,
    pub features: Vec<Feature>,
    /// Where each of the model's columns stands, if elsewhere than in the model.
    pub order: Option<Vec<usize>>,
    /// Where the fewer columns stand that the model chose.
    pub chosen: Option<Vec<usize>>,
}

impl Meaning {
    pub fn of(path: &Path, x: &Header, channels: Option<Vec<String>>, request: &Request) -> Result<Self> {
        let layout = layout(path, x, channels.as_deref(), request)?;
        let (mut axes, features) = describe(&x.shape[1..], layout);
        if let Some(names) = channels {
            label(path, &mut axes, names)?;
        }
        // More columns, those that the model chose among them, are cut down later.
        let chosen = places(&features, request);
        let mut meaning = Meaning { axes, features, order: None, chosen };
        if let Some(expected) = request.expect.as_ref().filter(|_| meaning.chosen.is_none()) {
            meaning.match_model(path, x, expected, request)?;
        }
        Ok(meaning)
    }

    /// Brings the columns together with those that a model expects.
    fn match_model(&mut self, path: &Path, x: &Header, expected: &[Feature], request: &Request) -> Result<()> {
        let (features, axes, shape) = (&self.features, &self.axes, &x.shape);
        if expected.len() != features.len() {
            return Err(Error::input(
                path,
                x.name.as_str(),
                format!(
                    "{} (shape {shape:?}) where the model expects {}",
                    counted(features.len(), "column"),
                    expected.len()
                ),
                "give arrays like those trained on, or with the columns that the model was made of",
            ));
        }
        let moved = match request.axes.as_deref().filter(|model| model.len() > 1 && axes.len() > 1) {
            Some(model) => moved(model, axes).ok_or_else(|| another_shape(path, &x.name, &shape[1..], model))?,
            None => None,
        };
        // The columns of a plain array have numbers instead of names.
        // Nor have chosen channels that are given alone: they are counted from 0 again.
        let own = request.axes.as_ref().filter(|_| request.chosen_from.is_some());
        let alone = own.is_some_and(|axes| is_of(axes, &shape[1..], None));
        match if axes.len() > 1 && !alone { by_name(expected, features) } else { ByName::Others } {
            ByName::Order(places) => self.order = Some(places),
            ByName::Same | ByName::Others if moved.is_some() => self.order = moved,
            ByName::Same => {}
            // Columns without names of their own are meant in the model's order.
            ByName::Others => self.features = expected.to_vec(),
            ByName::Some => {
                return Err(Error::input(
                    path,
                    x.name.as_str(),
                    format!(
                        "pictures of the shape {:?}, which isn't that of the model's ({} to {})",
                        &shape[1..],
                        expected[0].name,
                        expected[expected.len() - 1].name
                    ),
                    "give pictures like those trained on; --layout says where their channels stand",
                ));
            }
        }
        Ok(())
    }

    /// The origins that a model has, wherever its columns stand.
    pub fn origins(&self, request: &Request) -> Vec<f64> {
        let columns = self.features.len();
        let order = self.chosen.as_ref().or(self.order.as_ref()).cloned();
        let mut origins = vec![0.0; columns];
        let order = order.unwrap_or_else(|| (0..columns).collect());
        order.into_iter().zip(&request.origins).for_each(|(at, &origin)| origins[at] = origin);
        origins
    }
}

/// How the columns of an array stand to those that a model expects.
enum ByName {
    Same,
    /// The same ones: where each expected one is.
    Order(Vec<usize>),
    /// Some of them and others: another shape.
    Some,
    /// None of them: named otherwise.
    Others,
}

fn by_name(expected: &[Feature], found: &[Feature]) -> ByName {
    let place: std::collections::HashMap<&str, usize> =
        found.iter().enumerate().map(|(c, feature)| (feature.name.as_str(), c)).collect();
    let places: Vec<Option<usize>> = expected.iter().map(|feature| place.get(feature.name.as_str()).copied()).collect();
    match places.iter().copied().collect::<Option<Vec<usize>>>() {
        Some(places) if places.iter().enumerate().all(|(i, &c)| i == c) => ByName::Same,
        Some(places) => ByName::Order(places),
        None if places.iter().any(Option::is_some) => ByName::Some,
        None => ByName::Others,
    }
}

/// Where each of a model's columns stands in rows with other axes; `Some(None)` where they are the same, but for those of length 1, and `None`
/// where rows are of another shape.
fn moved(model: &[Axis], found: &[Axis]) -> Option<Option<Vec<usize>>> {
    let lengths = |axes: &[Axis]| axes.iter().map(|axis| axis.len).filter(|&len| len != 1).collect::<Vec<_>>();
    if lengths(model) == lengths(found) {
        return Some(None);
    }
    let stride = |at: usize| found[at + 1..].iter().map(|axis| axis.len).product::<usize>();
    let at = |axis: &Axis| found.iter().position(|other| other.name == axis.name && other.len == axis.len);
    if model.len() != found.len() {
        return None;
    }
    let strides: Vec<usize> = model.iter().map(|axis| at(axis).map(stride)).collect::<Option<_>>()?;
    let place = |column: usize| {
        let (mut rest, mut place) = (column, 0);
        for (axis, stride) in model.iter().zip(&strides).rev() {
            place += rest % axis.len * stride;
            rest /= axis.len;
        }
        place
    };
    Some(Some((0..model.iter().map(|axis| axis.len).product()).map(place).collect()))
}

fn another_shape(path: &Path, name: &str, shape: &[usize], model: &[Axis]) -> Error {
    let lengths: Vec<usize> = model.iter().map(|axis| axis.len).collect();
    let names: Vec<&str> = model.iter().map(|axis| axis.name.as_str()).collect();
    let problem = format!("rows of the shape {shape:?} where the model reads {lengths:?} ({})", names.join(", "));
    Error::input(path, name, problem, "transpose the array, or say with --layout where its channels stand")
}

/// Whether rows of a shape are those that a model with these axes reads, or what its channels were chosen from.
fn is_of(axes: &[Axis], shape: &[usize], chosen_from: Option<usize>) -> bool {
    let whole = chosen_from == Some(shape.iter().product());
    axes.len() == shape.len()
        && axes.iter().zip(shape).all(|(axis, &len)| axis.len == len || whole && axis.name == CHANNEL)
}

/// Where the channels of pictures stand, as asked for or as the lengths suggest.
fn layout(path: &Path, x: &Header, names: Option<&[String]>, request: &Request) -> Result<Layout> {
    let named = |axis: Option<&usize>| names.is_some_and(|names| axis == Some(&names.len()));
    let guess = match x.shape[1..] {
        // As many as the names.
        [_, .., _] if named(x.shape.get(1)) => Layout::ChannelsFirst,
        [_, .., _] if named(x.shape.last()) => Layout::ChannelsLast,
        // A model's own shape means what it means there, and so does that of which it has some channels.
        _ if request.axes.as_ref().is_some_and(|axes| is_of(axes, &x.shape[1..], request.chosen_from)) => {
            match request.axes.as_ref().and_then(|axes| axes.iter().position(|axis| axis.name == CHANNEL)) {
                Some(0) => Layout::ChannelsFirst,
                Some(_) => Layout::ChannelsLast,
                None => Layout::NoChannels,
            }
        }
        // So it does with the channels at the other end.
        _ => other_end(request, &x.shape[1..]).unwrap_or_else(|| by_lengths(&x.shape[1..], request.convolves)),
    };
    let problem = match request.layout {
        Some(_) if x.shape.len() < 3 => "a row has no axes for channels to stand on",
        Some(Layout::NoChannels) if x.shape.len() == 5 => "a row has four axes, and space has three",
        asked => return Ok(asked.unwrap_or(guess)),
    };
    Err(Error::Usage(format!(
        "--layout says where the channels of an array stand, and {} of {} has the shape {:?}: {problem}; leave it out",
        x.name,
        path.display(),
        x.shape
    )))
}

/// Where the channels of rows stand that have a model's axes, but the channels at the other end.
fn other_end(request: &Request, shape: &[usize]) -> Option<Layout> {
    let axes = request.axes.as_ref()?;
    let lengths: Vec<usize> = axes.iter().map(|axis| axis.len).collect();
    let channels = axes.iter().position(|axis| axis.name == CHANNEL)?;
    let mut turned = lengths.clone();
    match channels {
        0 => turned.rotate_left(1),
        at if at + 1 == lengths.len() => turned.rotate_right(1),
        _ => return None,
    }
    let layout = if channels == 0 { Layout::ChannelsLast } else { Layout::ChannelsFirst };
    (turned == shape).then_some(layout)
}

/// Where they stand as the lengths suggest.
fn by_lengths(shape: &[usize], convolves: bool) -> Layout {
    match *shape {
        [1 | 3, _, last] if last != 1 && last != 3 => Layout::ChannelsFirst,
        // Channels are fewer than pixels along a side, as a rule.
        [first, height, width] if convolves && first < height.min(width) => Layout::ChannelsFirst,
        [_, _, _] => Layout::ChannelsLast,
        // A square is a picture; a recording is longer than it has channels, or shorter.
        [first, last] if convolves && first != last => Layout::ChannelsFirst,
        [_, _] => Layout::NoChannels,
        _ => Layout::ChannelsFirst,
    }
}

/// Gives the channels their names.
fn label(path: &Path, axes: &mut [Axis], names: Vec<String>) -> Result<()> {
    let problem = match axes.iter_mut().find(|axis| axis.name == CHANNEL) {
        None => "there are names, and X has no channels".to_owned(),
        Some(axis) if axis.len != names.len() => format!("there are {} names for {} channels", names.len(), axis.len),
        Some(axis) => {
            let mut sorted: Vec<&String> = names.iter().collect();
            sorted.sort_unstable();
            match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                Some(pair) => format!("two channels are called {:?}", pair[0]),
                None if names.iter().any(|name| name.trim().is_empty()) => "a name is empty".to_owned(),
                None => {
                    axis.labels = names;
                    return Ok(());
                }
            }
        }
    };
    Err(Error::input(
        path,
        CHANNELS,
        problem,
        "give one name for each channel, each once (--layout says where channels stand)",
    ))
}
