//! Parts that the pages of the spectral paper's experiments share.

use super::{Check, Variant};
use crate::network::Sequential;
use crate::report::page::{Block, Column, Definitions, KeyFigure, Method, Page, Row, Table, Text};
use crate::report::text::{number, serde_name};
use crate::train::Settings;

/// A page with its title, what came out in plain words, and up to four figures with what they are.
pub(super) fn reproduction(title: &str, lead: String, numbers: Vec<KeyFigure>, method: Method) -> Page {
    Page {
        kind: "Reproduction report",
        title: title.to_owned(),
        lead: vec![lead],
        numbers,
        sections: Vec::new(),
        method,
        links: Vec::new(),
    }
}

/// How many of the bounds hold.
pub(super) fn held(checks: &[Check]) -> KeyFigure {
    let held = checks.iter().filter(|check| check.holds).count();
    KeyFigure::new(format!("{held} of {}", checks.len()), "bounds hold")
}

/// What was asked for, with the value that came out.
pub(super) fn checks(checks: &[Check]) -> Vec<Block> {
    let row = |check: &Check| {
        let relation = if check.at_least { '≥' } else { '≤' };
        let verdict = Text::from(if check.holds { "holds" } else { "doesn’t hold" }).wrong_if(!check.holds);
        let bound = format!("{relation} {}", check.bound);
        [check.what.as_str().into(), Text::strong(number(check.value)), bound.into(), verdict]
            .into_iter()
            .collect::<Row>()
    };
    let columns = vec![Column::text("what"), Column::number("value"), Column::number("bound"), Column::text("")];
    vec![Table::new(columns, checks.iter().map(row).collect()).into()]
}

/// A table of numbers; with `named`, the first column is text.
pub(super) fn numbers(heads: &[&str], rows: Vec<Row>, named: bool) -> Table {
    let column = |(i, head): (usize, &&str)| if named && i == 0 { Column::text(*head) } else { Column::number(*head) };
    Table::new(heads.iter().enumerate().map(column).collect(), rows)
}

/// The setting, with what is particular to an experiment (`more`) at the end.
pub(super) fn settings(
    variant: Variant,
    widths: &[usize],
    network: &Sequential,
    training: &Settings,
    more: &[(&str, String)],
) -> Vec<Block> {
    let widths: Vec<String> = widths.iter().map(usize::to_string).collect();
    let activations: Vec<String> = network.activations.iter().map(serde_name).collect();
    let replica = training.replicas.first();
    let regular = replica.map_or(String::new(), |r| format!("{}, {}", r.reg_lambda, r.reg_psi));
    let mut pairs = vec![
        ("variant", serde_name(&variant)),
        ("network", format!("{}, {}", widths.join(" – "), activations.join(", "))),
        ("spectral layers", serde_name(&network.spectral)),
        ("batch norm", serde_name(&network.batch_norm)),
        ("dropout", network.dropout.to_string()),
        ("penalty on eigenvalues, on eigenvectors", regular),
        ("optimiser", format!("Adam, learning rate {}, {}", training.rate, serde_name(&training.schedule))),
        ("start", if training.balanced { "balanced".into() } else { "λ = 1".into() }),
        ("epochs, batch", format!("{}, {}", training.epochs, training.batch)),
        ("replicas", training.replicas.len().to_string()),
    ];
    pairs.extend(more.iter().map(|(name, value)| (*name, value.clone())));
    let rest = pairs.split_off(pairs.len().div_ceil(2));
    vec![Block::pair(Definitions::new("Settings", pairs), Definitions::new("\u{a0}", rest))]
}
