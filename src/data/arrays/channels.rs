//! Names of channels against those that a model was trained on.

use std::path::Path;

use super::super::{Axis, CHANNEL, places};
use super::CHANNELS;
use crate::data::{Dataset, Request, units};
use crate::{Error, Result};

/// Refuses channels that are called otherwise than the model's, or stand in another order: a column of another name would be refused too.
/// Only names that both have are compared.
pub(super) fn check(path: &Path, dataset: &Dataset, request: &Request) -> Result<()> {
    let Some(model) = request.axes.as_deref().and_then(channel_axis).filter(|axis| !axis.labels.is_empty()) else {
        return Ok(());
    };
    // Of whole arrays those that the model chose.
    let chosen = places(&dataset.features, request).map(|places| units::axes_of(&dataset.axes, &places));
    let given = chosen.as_deref().unwrap_or(&dataset.axes);
    let Some(given) = channel_axis(given).filter(|axis| axis.labels.len() == model.labels.len()) else { return Ok(()) };
    let differs = |(_, (given, model)): &(usize, (&String, &String))| {
        // Channels without names are counted.
        let counted = |name: &str| name.strip_prefix(CHANNEL).is_some_and(|rest| rest.trim().parse::<usize>().is_ok());
        given != model && !counted(given) && !counted(model)
    };
    match given.labels.iter().zip(&model.labels).enumerate().find(differs) {
        None => Ok(()),
        Some((place, (given, model))) => Err(Error::input(
            path,
            CHANNELS,
            format!("channel {place} is called {given:?} where the model has {model:?}"),
            "give the channels that the model was trained on, in its order",
        )),
    }
}

fn channel_axis(axes: &[Axis]) -> Option<&Axis> {
    axes.iter().find(|axis| axis.name == CHANNEL)
}
