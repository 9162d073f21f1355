//! Rows of some data as a model takes them, for the subcommands that look at single inputs.

use std::num::IntErrorKind;

use super::args::{GivenArgs, say_notes};
use super::pictures;
use super::predict::{fill_in, keep_every_row, read as read_data};
use super::say;
use crate::data::{Dataset, Preprocessing, Split, Targets};
use crate::error::counted;
use crate::model::Model;
use crate::network::NodeId;
use crate::specxai::{cuts, last_spatial_cut, split_node};
use crate::{Error, Result};

/// The chosen rows.
pub struct Rows {
    /// Row numbers in the data as they were read.
    pub numbers: Vec<u32>,
    /// As they enter the network, `[rows, N]`.
    pub inputs: Vec<f64>,
    /// As they came, before scaling, `[rows, N]`.
    pub raw: Vec<f64>,
    /// What they are called, where they have names: pictures' files.
    pub names: Option<Vec<String>>,
    /// How pictures became rows.
    pub pictures: Option<Preprocessing>,
    /// The known answers.
    pub labels: Option<Vec<String>>,
    /// `test`, `training` …: which part of the model's own split the rows are, where that is one and known.
    pub part: Option<&'static str>,
}

/// Reads the data and picks rows: numbers and ranges as in `0,5,10..20` (without 20), `all`, or `test`, `validation`,
/// `train` with at most so many, spread over the classes or the answers, as in `test:100`.
pub fn load(model: &mut Model, sources: &[String], given: &GivenArgs, wanted: &str) -> Result<Rows> {
    let GivenArgs { names, read } = given;
    let mut request = read.request_all(sources, model.description.split_seed);
    let source = sources[0].as_str();
    let pictures = pictures::complete(model, &request, names)?;
    // Only tables may lack their target; for the others the classes decide which rows there are.
    request.need_target = source.starts_with("idx:") || matches!(source, "gaussian" | "correlated" | "redundant");
    fill_in(&mut request, model);
    keep_every_row(&mut request, read.missing)?;
    let mut dataset = read_data(&request, model)?;
    say_notes(&dataset);
    pictures::announce(model, pictures.as_ref());
    let (parts, known) = model.split(&dataset)?;
    if !known && model.description.origin.is_trained() && wanted.starts_with("test") {
        say(&format!("{source} is not what the model was trained on: every row counts as a test row"));
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
    let raw = raw.map(|(r, c)| dataset.seen(r, c)).collect();
    let names = (!dataset.row_names.is_empty())
        .then(|| numbers.iter().map(|&row| dataset.row_names[row as usize].clone()).collect());
    Ok(Rows { numbers, inputs, raw, names, pictures, labels, part })
}

fn choose(dataset: &Dataset, parts: Option<&Split>, wanted: &str) -> Result<(Vec<u32>, Option<&'static str>)> {
    let everything: Vec<u32> = (0..dataset.rows as u32).collect();
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
        "all" => return Ok((spread(dataset, &everything, count), None)),
        "test" => parts.map(|p| ("test", &p.test)),
        "validation" => parts.map(|p| ("validation", &p.validation)),
        "train" => parts.map(|p| ("training", &p.train)),
        _ => return Ok((numbers(dataset, wanted)?, None)),
    };
    match named {
        Some((part, list)) if !list.is_empty() => Ok((spread(dataset, list, count), Some(part))),
        // Other data than the model was trained on: every row is new to it.
        None if name == "test" => Ok((spread(dataset, &everything, count), None)),
        _ => Err(Error::Usage(format!("--rows {wanted}: {} has no such rows; name them by number", dataset.source))),
    }
}

/// So many of the rows, ascending: the next of each class in turn; of a single number evenly from the smallest answer to the largest;
/// else evenly from the first row to the last.
fn spread(dataset: &Dataset, rows: &[u32], count: usize) -> Vec<u32> {
    if count >= rows.len() {
        return rows.to_vec();
    }
    let evenly =
        |rows: &[u32]| -> Vec<u32> { (0..count).map(|i| rows[(2 * i + 1) * rows.len() / (2 * count)]).collect() };
    let mut chosen = match &dataset.y {
        Targets::Classes { labels, names } => {
            // Each row's turn: how many of its class come before it.
            let mut seen = vec![0usize; names.len()];
            let mut order: Vec<(usize, u32)> = Vec::new();
            for &row in rows {
                let turn = &mut seen[labels[row as usize] as usize];
                order.push((*turn, row));
                *turn += 1;
            }
            order.sort_by_key(|&(turn, _)| turn);
            order.into_iter().take(count).map(|(_, row)| row).collect()
        }
        Targets::Numbers { values, names } if names.len() == 1 => {
            let mut order = rows.to_vec();
            order.sort_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize]));
            evenly(&order)
        }
        _ => evenly(rows),
    };
    chosen.sort_unstable();
    chosen
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
                "--rows names {part}, but {} has {}, numbered from 0",
                dataset.source,
                counted(dataset.rows, "row")
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

/// The nodes that `--split` names: one, or `all` cuts. Without a name the last cut with spatial axes; where there is
/// none, the first activation's output.
pub fn splits(model: &Model, name: Option<&str>) -> Result<Vec<NodeId>> {
    let network = &model.network;
    if name.is_none_or(|name| name == "all") && cuts(network).is_empty() {
        return Err(Error::Usage("the network hands its input on unchanged: there is no node to split it at".into()));
    }
    match name {
        Some("all") => Ok(cuts(network)),
        Some(name) => Ok(vec![split_node(network, name)?]),
        None => {
            if let Some(last) = last_spatial_cut(network) {
                return Ok(vec![last]);
            }
            let all = cuts(network);
            let first = all.iter().find(|&&id| matches!(network.nodes[id].layer, crate::network::Layer::Activation(_)));
            Ok(vec![*first.or(all.last()).expect("invariant: the output is a cut")])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic;

    #[test]
    fn few_rows_are_spread() {
        let mut dataset = synthetic::gaussian(1, 10).dataset;
        let rows: Vec<u32> = (1..10).collect();
        let names = || vec!["a".to_owned(), "b".to_owned()];
        // The only row of class b is the last.
        dataset.y = Targets::Classes { labels: vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 1], names: names() };
        assert_eq!(spread(&dataset, &rows, 3), [1, 2, 9]);
        let values = vec![0.0, 9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0];
        dataset.y = Targets::Numbers { values, names: vec!["y".into()] };
        // In order of their answers: 2, 4, 6, 8, 9, 7, 5, 3, 1; the middles of three thirds.
        assert_eq!(spread(&dataset, &rows, 3), [3, 4, 9]);
        dataset.y = Targets::None;
        assert_eq!(spread(&dataset, &rows, 3), [2, 5, 8]);
        assert_eq!(spread(&dataset, &rows, 100), rows);
    }
}
