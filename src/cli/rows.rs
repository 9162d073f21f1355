//! Rows of some data as a model takes them, for the subcommands that look at single inputs.

use std::num::IntErrorKind;

use super::args::{DataArgs, say_notes};
use super::predict::{fill_in, keep_every_row, read as read_data};
use crate::data::{Dataset, Split, Targets};
use crate::model::Model;
use crate::network::NodeId;
use crate::specxai::{cuts, split_node};
use crate::{Error, Result};

/// The chosen rows.
pub struct Rows {
    /// Row numbers in the data as they were read.
    pub numbers: Vec<u32>,
    /// As they enter the network, `[rows, N]`.
    pub inputs: Vec<f64>,
    /// As they came, before scaling, `[rows, N]`.
    pub raw: Vec<f32>,
    /// The known answers.
    pub labels: Option<Vec<String>>,
    /// `test`, `training` …: which part of the model's own split the rows are, where that is one and known.
    pub part: Option<&'static str>,
}

/// Reads the data and picks rows: numbers and ranges as in `0,5,10..20` (without 20), `all`, or `test`, `validation`,
/// `train` with at most so many as in `test:100`.
pub fn load(model: &Model, source: &str, read: &DataArgs, wanted: &str) -> Result<Rows> {
    let mut request = read.request(source, model.description.split_seed);
    // Only tables may lack their target; for the others the classes decide which rows there are.
    request.need_target = source.starts_with("idx:") || matches!(source, "gaussian" | "correlated" | "redundant");
    fill_in(&mut request, model);
    keep_every_row(&mut request, read.missing)?;
    let mut dataset = read_data(&request, model)?;
    say_notes(&dataset);
    let (parts, known) = model.split(&dataset)?;
    if !known && wanted.starts_with("test") {
        eprintln!("eigenlens: {source} is not what the model was trained on: every row counts as a test row");
    }
    let (numbers, part) = choose(&dataset, known.then_some(&parts), wanted)?;
    let labels = labels(&dataset, &numbers);
    dataset.y = Targets::None;
    let everything = Split { test: (0..dataset.rows as u32).collect(), ..Split::default() };
    let resident = model.prepare(&mut dataset, &everything)?;
    let inputs = resident.inputs(&numbers);
    if let Some(bad) = inputs.iter().position(|x| !x.is_finite()) {
        let (row, column) = (numbers[bad / dataset.columns], bad % dataset.columns);
        return Err(Error::input(
            source,
            format!("row {row}, column {}", dataset.features[column].name),
            "the value is not a finite number",
            "fill such cells (--missing mean) or choose other rows",
        ));
    }
    let raw = numbers.iter().flat_map(|&r| (0..dataset.columns).map(move |c| (r as usize, c)));
    let raw = raw.map(|(r, c)| dataset.value(r, c)).collect();
    Ok(Rows { numbers, inputs, raw, labels, part })
}

fn choose(dataset: &Dataset, parts: Option<&Split>, wanted: &str) -> Result<(Vec<u32>, Option<&'static str>)> {
    let rows = dataset.rows;
    let (name, count) = match wanted.split_once(':') {
        Some((name, count)) => (
            name,
            count.parse::<usize>().ok().filter(|&n| n > 0).ok_or_else(|| {
                Error::Usage(format!("--rows {wanted}: after the colon stands how many, as in test:100"))
            })?,
        ),
        None => (wanted, usize::MAX),
    };
    let named = match name {
        "all" => return Ok(((0..rows as u32).take(count).collect(), None)),
        "test" => parts.map(|p| ("test", &p.test)),
        "validation" => parts.map(|p| ("validation", &p.validation)),
        "train" => parts.map(|p| ("training", &p.train)),
        _ => return Ok((numbers(dataset, wanted)?, None)),
    };
    match named {
        Some((part, list)) if !list.is_empty() => Ok((list.iter().copied().take(count).collect(), Some(part))),
        // Other data than the model was trained on: every row is new to it.
        None if name == "test" => Ok(((0..rows as u32).take(count).collect(), None)),
        _ => Err(Error::Usage(format!("--rows {wanted}: {} has no such rows; name them by number", dataset.source))),
    }
}

fn numbers(dataset: &Dataset, wanted: &str) -> Result<Vec<u32>> {
    let wrong = |part: &str| {
        Error::Usage(format!(
            "--rows names {part}; give numbers and ranges as in 0,5,10..20, or all, test, validation, train (test:100)"
        ))
    };
    let mut out = Vec::new();
    for part in wanted.split(',') {
        let number = |text: &str| match text.trim().parse::<usize>() {
            Ok(number) => Ok(number),
            // However large, it is a number.
            Err(e) if *e.kind() == IntErrorKind::PosOverflow => Ok(usize::MAX),
            Err(_) => Err(wrong(part)),
        };
        let range = match part.split_once("..") {
            Some((from, to)) => number(from)?..number(to)?,
            None => number(part)?..number(part)?.saturating_add(1),
        };
        if range.end > dataset.rows {
            return Err(Error::Usage(format!(
                "--rows names {part}, but {} has {} rows, numbered from 0",
                dataset.source, dataset.rows
            )));
        }
        if range.is_empty() {
            return Err(wrong(part));
        }
        // Data sets number their rows in u32.
        out.extend(range.map(|row| row as u32));
    }
    Ok(out)
}

fn labels(dataset: &Dataset, rows: &[u32]) -> Option<Vec<String>> {
    let label = |&row: &u32| match &dataset.y {
        Targets::Classes { labels, names } => Some(names[labels[row as usize] as usize].clone()),
        Targets::Numbers { values, names } if names.len() == 1 => Some(values[row as usize].to_string()),
        _ => None,
    };
    rows.iter().map(label).collect()
}

/// The nodes that `--split` names: one, or `all` cuts; without a name the first activation's output.
pub fn splits(model: &Model, name: Option<&str>) -> Result<Vec<NodeId>> {
    let network = &model.network;
    match name {
        Some("all") => Ok(cuts(network)),
        Some(name) => Ok(vec![split_node(network, name)?]),
        None => {
            let all = cuts(network);
            let first = all.iter().find(|&&id| matches!(network.nodes[id].layer, crate::network::Layer::Activation(_)));
            Ok(vec![*first.or(all.last()).expect("invariant: the output is a cut")])
        }
    }
}
