//! ONNX files: `wire` reads the bytes, `tensor` the tensors in and beside them, `fold` evaluates what doesn't depend on the network's
//! input, `lower` makes a [`Network`] of the rest: `lowering` is the graph on its
//! way, `operators` the table of what each becomes, `batch` what has the batch elsewhere than in front (`moved` its axes), `rows`
//! what follows from a sample's number. `export` writes a trained model.

mod batch;
mod encode;
mod export;
mod fold;
mod lower;
mod lowering;
mod moved;
mod operators;
mod rows;
#[cfg(test)]
mod samples;
mod tensor;
mod wire;

use std::path::Path;

pub use export::export;
pub use lower::Imported;

use self::tensor::SMALLER;
use crate::data::{
    Axis, Feature, Layout, Missing, ScaleKind, Scaling, TargetScaling, Task, bad_axes, bad_name, described,
};
use crate::host::refuse_beyond_memory;
use crate::model::{Description, Model, Origin};
use crate::network::{Ending, Network, Sequential};
use crate::train::Settings;
use crate::{Error, Result};

/// Whether a file is taken for an ONNX model: by its ending.
pub fn is_named(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"))
}

/// Reads an ONNX model (operator sets 7 and later) as a network with its parameters; a final softmax, log-softmax or sigmoid is taken
/// off.
///
/// # Errors
/// [`Error::Input`] for a file that is damaged or holds what isn't supported, with the node and its operator; [`Error::Io`] for
/// one that can't be read.
pub fn load(path: impl AsRef<Path>) -> Result<Imported> {
    let path = path.as_ref();
    let length = std::fs::metadata(path).map_or(0, |about| about.len());
    refuse_beyond_memory(&format!("reading {}", path.display()), length, SMALLER)?;
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e, "give an ONNX file"))?;
    parse(path, &bytes)
}

/// The same of bytes at hand. `path` is what errors name, and beside it weights in files of their own are looked for.
///
/// # Errors
/// The same.
pub fn parse(path: impl AsRef<Path>, bytes: &[u8]) -> Result<Imported> {
    let path = path.as_ref();
    let model = wire::read_model(path, bytes)?;
    lower::lower(path, &model)
}

/// The same as a model that the commands take: inputs as they come, outputs by their numbers.
pub(super) fn load_model(path: &Path) -> Result<Model> {
    let Imported { network, parameters, removed, metadata } = load(path)?;
    // As `export` writes them; other programs' keys mean other things.
    let task = metadata.iter().find(|(name, _)| name == "task");
    let task = task.and_then(|(_, text)| serde_json::from_str::<Task>(text).ok());
    let task = match task {
        None | Some(Task::Classify) if network.output().width() > 1 => Task::Classify,
        _ => Task::Regress,
    };
    let mut description = describe(path, &network, task, removed);
    let names = |key: &str, count: usize| {
        let text = metadata.iter().find(|(name, _)| name == key).map(|(_, text)| text.as_str())?;
        serde_json::from_str::<Vec<String>>(text).ok().filter(|names| names.len() == count && bad_name(names).is_none())
    };
    if let Some(names) = names("features", description.features.len()) {
        description.features.iter_mut().zip(names).for_each(|(feature, name)| feature.name = name);
        let groups = metadata.iter().find(|(name, _)| name == "groups");
        let groups = groups.and_then(|(_, text)| serde_json::from_str::<Vec<Option<u32>>>(text).ok());
        description.features.iter_mut().zip(groups.into_iter().flatten()).for_each(|(feature, g)| feature.group = g);
    }
    let axes = metadata.iter().find(|(name, _)| name == "axes");
    let axes = axes.and_then(|(_, text)| serde_json::from_str::<Vec<Axis>>(text).ok());
    if let Some(axes) = axes.filter(|axes| bad_axes(axes, description.features.len()).is_none()) {
        description.axes = axes;
    }
    if let Some(names) = names("targets", description.targets.len()) {
        description.targets = names;
    }
    Ok(Model { description, network, parameters: vec![parameters] })
}

fn describe(path: &Path, network: &Network, task: Task, removed: Option<Ending>) -> Description {
    let shape = &network.nodes[0].shape;
    // Keras writes pictures with their channels last.
    let last = matches!(shape[..], [first, _, 1 | 3] if first > 4);
    let layout = if last { Layout::ChannelsLast } else { Layout::ChannelsFirst };
    let (axes, features): (Vec<Axis>, Vec<Feature>) = described(shape, layout);
    let (n, outputs) = (features.len(), network.output().width());
    let scaling = Scaling {
        kind: ScaleKind::None,
        origins: Vec::new(),
        shift: vec![0.0; n],
        scale: vec![1.0; n],
        fill: vec![0.0; n],
        mean: vec![0.0; n],
        std: vec![1.0; n],
    };
    let target_scaling = match task {
        Task::Regress => TargetScaling { shift: vec![0.0; outputs], scale: vec![1.0; outputs] },
        _ => TargetScaling::default(),
    };
    Description {
        task,
        targets: (0..outputs).map(|j| j.to_string()).collect(),
        target_column: None,
        weight_column: None,
        balanced_classes: false,
        classes: None,
        features,
        chosen_from: None,
        verdict: None,
        unsupported_targets: Vec::new(),
        control: None,
        axes,
        scaling,
        target_scaling,
        missing: Missing::Refuse,
        source: path.display().to_string(),
        fingerprint: 0,
        split_seed: 0,
        validation: 0.0,
        test: 0.0,
        architecture: Sequential::default(),
        settings: Settings::default(),
        steps: 0,
        engine: String::new(),
        origin: Origin::Onnx { removed },
    }
}
