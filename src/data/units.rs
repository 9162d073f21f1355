//! What lives and dies, and is explained, together: a column on its own, or a group of columns.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::{Axis, CHANNEL, Dataset, Feature, Part, sniff_delimiter};
use crate::network::Input;
use crate::{Error, Result};

/// One feature to a person, and one unit of selection: a column, or the columns of a categorical variable or of a group that the user named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub name: String,
    /// Columns of the data set, ascending.
    pub columns: Vec<usize>,
}

/// Bytes that a name may have: of a column, a class, a channel.
pub(crate) const MOST_NAME: usize = 1 << 16;

/// What is wrong with names that tell things apart: two are the same, or one is longer than [`MOST_NAME`].
pub(crate) fn bad_name<'a>(names: impl IntoIterator<Item = &'a String>) -> Option<String> {
    let mut seen = HashSet::new();
    names.into_iter().find_map(|name| match name.len() {
        length if length > MOST_NAME => {
            let start: String = name.chars().take(40).collect();
            Some(format!("the name {start:?}… is {length} bytes long, and {MOST_NAME} are supported"))
        }
        _ => (!seen.insert(name)).then(|| format!("two are called {name:?}")),
    })
}

/// What is wrong with the axes of a row of so many columns.
pub(crate) fn bad_axes(axes: &[Axis], columns: usize) -> Option<String> {
    // Lengths from a file may overflow.
    let all = axes.iter().try_fold(1usize, |all, axis| all.checked_mul(axis.len));
    if all != Some(columns) {
        let lengths: Vec<usize> = axes.iter().map(|axis| axis.len).collect();
        return Some(format!("their lengths {lengths:?} don't make {columns} columns"));
    }
    let labelled = axes.iter().filter(|axis| !axis.labels.is_empty());
    axes.iter().find_map(|axis| bad_name([&axis.name])).or_else(|| {
        labelled.into_iter().find_map(|axis| match axis.labels.len() == axis.len {
            true => bad_name(&axis.labels),
            false => Some(format!("there are {} labels for a length of {}", axis.labels.len(), axis.len)),
        })
    })
}

/// The units of a data set in the order of their first columns.
///
/// Columns with the same group number are one unit (a categorical variable's one-hot columns, `colour=red`, are called
/// `colour`); `named` groups, from [`read_groups`], go before these.
pub fn units(features: &[Feature], named: &[Unit]) -> Vec<Unit> {
    let mut owner: Vec<Option<usize>> = vec![None; features.len()];
    for (g, unit) in named.iter().enumerate() {
        unit.columns.iter().for_each(|&c| owner[c] = Some(g));
    }
    let mut units: Vec<Unit> = named.to_vec();
    let mut of_category: BTreeMap<u32, usize> = BTreeMap::new();
    for (c, feature) in features.iter().enumerate() {
        if owner[c].is_some() {
            continue;
        }
        match feature.group {
            Some(group) => {
                let next = units.len();
                let unit = *of_category.entry(group).or_insert(next);
                if unit == next {
                    units.push(Unit { name: source_name(feature).to_owned(), columns: Vec::new() });
                }
                units[unit].columns.push(c);
            }
            None => units.push(Unit { name: feature.name.clone(), columns: vec![c] }),
        }
    }
    units.sort_by_key(|unit| unit.columns.first().copied());
    units
}

/// The channels of a row of data with these axes, by name or as `channel 3`: what a convolution has an eigenvalue for. One of all columns
/// where no axis counts channels.
pub fn channels(axes: &[Axis]) -> Vec<Unit> {
    let columns: usize = axes.iter().map(|axis| axis.len).product();
    let Some(at) = axes.iter().position(|axis| axis.name == CHANNEL) else {
        return vec![Unit { name: format!("{CHANNEL} 0"), columns: (0..columns).collect() }];
    };
    let (axis, inner) = (&axes[at], axes[at + 1..].iter().map(|axis| axis.len).product::<usize>());
    let of = |channel: usize| (0..columns).filter(|column| column / inner % axis.len == channel).collect();
    let name = |channel: usize| axis.labels.get(channel).cloned().unwrap_or_else(|| format!("{CHANNEL} {channel}"));
    (0..axis.len).map(|channel| Unit { name: name(channel), columns: of(channel) }).collect()
}

/// What a network's first layer has an eigenvalue for: each column by itself, or each channel (`by_channel`), which a convolution reads.
pub fn sources(features: &[Feature], axes: &[Axis], by_channel: bool) -> Vec<Unit> {
    if by_channel {
        return channels(axes);
    }
    features.iter().enumerate().map(|(c, feature)| Unit { name: feature.name.clone(), columns: vec![c] }).collect()
}

/// The axes of a row that has these columns of rows with those axes: whole channels in their order stay channels, by their names; anything else
/// is a plain table.
pub(super) fn axes_of(axes: &[Axis], keep: &[usize]) -> Vec<Axis> {
    let plain = || vec![Axis::new("feature", keep.len())];
    let Some(at) = axes.iter().position(|axis| axis.name == CHANNEL) else { return plain() };
    let all = channels(axes);
    let mut kept = vec![false; all.len()];
    let inner: usize = axes[at + 1..].iter().map(|axis| axis.len).product();
    keep.iter().for_each(|&c| kept[c / inner % all.len()] = true);
    let mut whole: Vec<usize> = (0..all.len()).filter(|&i| kept[i]).flat_map(|i| all[i].columns.clone()).collect();
    whole.sort_unstable();
    if whole != keep {
        return plain();
    }
    let mut axes = axes.to_vec();
    if kept.contains(&false) {
        let labels: Vec<String> =
            all.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(unit, _)| unit.name).collect();
        axes[at] = Axis { len: labels.len(), labels, ..axes[at].clone() };
    }
    axes
}

/// What a network reads of a row of data with these axes.
pub fn input_of(axes: &[Axis]) -> Input {
    Input {
        sizes: axes.iter().map(|axis| axis.len).collect(),
        channels: axes.iter().position(|axis| axis.name == CHANNEL),
    }
}

/// The column that a feature came from: `colour` of the one-hot column `colour=red`.
pub(crate) fn source_name(feature: &Feature) -> &str {
    let cut = match (feature.group, feature.part) {
        (None, _) | (_, Some(Part::Number)) => None,
        // A value may hold anything, what is made of a column not.
        (_, None) => feature.name.split_once('='),
        (_, Some(_)) => feature.name.rsplit_once('='),
    };
    cut.map_or(&feature.name, |(name, _)| name)
}

/// Reads groups of columns from a table with the header `feature,group` (or with semicolons or tabs): a column's name (or a categorical variable's) and
/// the name of its group. Columns that it doesn't name stand alone.
///
/// # Errors
/// [`Error::Input`] with the line for a name that the data don't have, a column in two groups, a group that is called like
/// something outside it, or a table that is none.
pub fn read_groups(path: &Path, dataset: &Dataset) -> Result<Vec<Unit>> {
    let remedy = "give two columns, feature and group, and one line for each column";
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::io("read", path, source, "check the path given to --groups"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut reader = csv::ReaderBuilder::new().delimiter(sniff_delimiter(text.as_bytes())).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| Error::input(path, "line 1", e.to_string(), remedy))?.clone();
    let place = |name: &str| header.iter().position(|h| h.trim() == name);
    let (Some(feature_at), Some(group_at)) = (place("feature"), place("group")) else {
        return Err(Error::input(path, "line 1", "the header is not feature,group", remedy));
    };
    let mut groups: Vec<Unit> = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    let mut taken = vec![false; dataset.columns];
    for record in reader.records() {
        let record = record.map_err(|e| Error::input(path, "table", e.to_string(), remedy))?;
        let line = format!("line {}", record.position().map_or(0, csv::Position::line));
        let cell = |at: usize| record.get(at).unwrap_or_default().trim().to_owned();
        let (name, group) = (cell(feature_at), cell(group_at));
        let one_hot = format!("{name}=");
        let is_meant = |f: &Feature| f.name == name || (f.group.is_some() && f.name.starts_with(&one_hot));
        let columns: Vec<usize> = (0..dataset.columns).filter(|&c| is_meant(&dataset.features[c])).collect();
        if columns.is_empty() {
            let problem = format!("{} has no column {name:?}", dataset.source);
            return Err(Error::input(path, line, problem, "use the names of the data's header"));
        }
        if group.is_empty() {
            return Err(Error::input(path, line, format!("{name:?} has no group"), remedy));
        }
        if columns.iter().any(|&c| taken[c]) {
            return Err(Error::input(path, line, format!("{name:?} is in two groups"), "name every column once"));
        }
        columns.iter().for_each(|&c| taken[c] = true);
        match groups.iter_mut().find(|unit| unit.name == group) {
            Some(unit) => unit.columns.extend(columns),
            None => {
                groups.push(Unit { name: group, columns });
                lines.push(line);
            }
        }
    }
    let all = units(&dataset.features, &groups);
    for (group, line) in groups.iter().zip(lines) {
        if all.iter().filter(|unit| unit.name == group.name).count() > 1 {
            let problem = format!("the group {:?} is called like a column that isn't in it", group.name);
            return Err(Error::input(path, line, problem, "give it another name"));
        }
    }
    groups.iter_mut().for_each(|unit| unit.columns.sort_unstable());
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(name: &str, group: Option<u32>) -> Feature {
        Feature::new(name, group)
    }

    #[test]
    fn categories_and_named_groups_are_units() {
        let features = [
            feature("age", None),
            feature("colour=red", Some(0)),
            feature("colour=blue", Some(0)),
            feature("width", None),
            feature("height", None),
        ];
        let all = units(&features, &[]);
        let names: Vec<&str> = all.iter().map(|u| u.name.as_str()).collect();
        assert_eq!(names, ["age", "colour", "width", "height"]);
        assert_eq!(all[1].columns, [1, 2]);
        let size = Unit { name: "size".into(), columns: vec![3, 4] };
        let all = units(&features, &[size]);
        assert_eq!(all.last().unwrap().columns, [3, 4]);
        assert_eq!(all.len(), 3);
    }
}
