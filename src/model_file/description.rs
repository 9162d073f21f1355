//! Whether what a file tells of a model is what it can be, before anything relies on it.

use crate::data::{Task, bad_axes, bad_name};
use crate::model::{Description, Origin};
use crate::network::{Network, Weight};
use crate::train::check_loss;

/// Checks a whole description against the network of the same file.
///
/// # Errors
/// The field, what is wrong with it, and what it has to be.
pub(super) fn check(d: &Description, network: &Network) -> Result<(), String> {
    let (columns, outputs) = (network.input_width(), network.output().width());
    names("features", d.features.iter().map(|feature| &feature.name), columns)?;
    names("targets", d.targets.iter(), outputs)?;
    let others = [("target_column", &d.target_column), ("weight_column", &d.weight_column)];
    for (field, name) in others.into_iter().filter_map(|(field, name)| Some((field, name.as_ref()?))) {
        short(field, name)?;
    }
    short("source", &d.source)?;
    short("engine", &d.engine)?;
    d.classes.iter().flatten().try_for_each(|name| short("classes", name))?;
    if let Some(name) = d.unsupported_targets.iter().find(|name| !d.targets.contains(name)) {
        return Err(format!("unsupported_targets: {name:?} is none of the targets"));
    }
    if d.chosen_from.is_some_and(|all| all < columns) {
        return Err(format!("chosen_from: {columns} columns can't be chosen from {}", d.chosen_from.unwrap_or(0)));
    }
    for (field, share) in [("validation", d.validation), ("test", d.test)] {
        if !(0.0..1.0).contains(&share) {
            return Err(format!("{field}: {share} is no share of the rows, at least 0 and below 1"));
        }
    }
    bad_axes(&d.axes, columns).map_or(Ok(()), |problem| Err(format!("axes: {problem}")))?;
    let scaling = &d.scaling;
    // Older models have none: every column counts from 0.
    let counted = if scaling.origins.is_empty() { 0 } else { columns };
    numbers("scaling.origins", &scaling.origins, counted, |_| true)?;
    numbers("scaling.shift", &scaling.shift, columns, |_| true)?;
    numbers("scaling.scale", &scaling.scale, columns, |x| x > 0.0)?;
    numbers("scaling.fill", &scaling.fill, columns, |_| true)?;
    numbers("scaling.mean", &scaling.mean, columns, |_| true)?;
    numbers("scaling.std", &scaling.std, columns, |x| x >= 0.0)?;
    let scaled = if d.task == Task::Classify { 0 } else { outputs };
    numbers("target_scaling.shift", &d.target_scaling.shift, scaled, |_| true)?;
    numbers("target_scaling.scale", &d.target_scaling.scale, scaled, |x| x > 0.0)?;
    if d.task == Task::Autoencode && outputs != columns {
        return Err(format!("task: an autoencoder of {columns} columns has as many outputs, not {outputs}"));
    }
    let layers = d.architecture.convolutions.len() + d.architecture.hidden.len();
    if ![1, layers].contains(&d.architecture.activations.len()) {
        let found = d.architecture.activations.len();
        return Err(format!("architecture.activations: there are {found} for {layers} layers"));
    }
    training(d, network)
}

/// What only a training here leaves: settings, and a first layer that ranks.
fn training(d: &Description, network: &Network) -> Result<(), String> {
    d.settings.check().map_err(|error| format!("settings: {error}"))?;
    if d.origin != Origin::Trained {
        return Ok(());
    }
    check_loss(d.settings.loss, d.task).map_err(|error| format!("task and settings.loss: {error}"))?;
    let Some(first) = network.first_layer() else {
        return Err("origin: a trained network has one first layer, dense or a convolution, that alone reads the \
                    input; this one has not"
            .into());
    };
    let groups = &d.settings.groups;
    if groups.iter().flatten().any(|&column| column as usize >= first.sources) || first.channels && !groups.is_empty() {
        return Err("settings.groups: they name columns that the first layer doesn't have".into());
    }
    if d.settings.lasso.is_some() && first.weight != Weight::Direct {
        return Err("settings.lasso: it steps a direct weight, and the first layer has another".into());
    }
    let Some(control) = &d.control else { return Ok(()) };
    numbers("control.relative", &control.relative, first.sources, |x| x >= 0.0)?;
    numbers("control.noise", &[control.noise], 1, |x| x >= 0.0)?;
    if control.above.len() != first.sources || control.inputs > first.sources || control.inputs_above > control.inputs {
        return Err(format!("control: it is not about the {} inputs of the first layer", first.sources));
    }
    Ok(())
}

/// Names that are as many as needed, each once.
fn names<'a>(field: &str, names: impl ExactSizeIterator<Item = &'a String>, count: usize) -> Result<(), String> {
    if names.len() != count {
        return Err(format!("{field}: there are {} where the network has {count}", names.len()));
    }
    bad_name(names).map_or(Ok(()), |problem| Err(format!("{field}: {problem}")))
}

/// A name that need not differ from others.
fn short(field: &str, name: &String) -> Result<(), String> {
    names(field, [name].into_iter(), 1)
}

/// Finite numbers, as many as needed, that are `right`.
fn numbers<T: Copy + Into<f64>>(
    field: &str,
    values: &[T],
    count: usize,
    right: impl Fn(f64) -> bool,
) -> Result<(), String> {
    if values.len() != count {
        return Err(format!("{field}: there are {} numbers where {count} are needed", values.len()));
    }
    match values.iter().map(|&x| x.into()).position(|x: f64| !x.is_finite() || !right(x)) {
        Some(i) => Err(format!("{field}: number {i}, {}, can't be", values[i].into())),
        None => Ok(()),
    }
}
