//! Parts that the pages of the spectral paper's experiments share.

use crate::network::Sequential;
use crate::report::page::definitions;
use crate::report::text::serde_name;
use crate::report::text::{escape, number};
use crate::reproduce::{Check, Variant};
use crate::train::Settings;

/// Title, what came out in plain words, and up to four figures with what they are.
pub(super) fn header(title: &str, lead: &str, tiles: &[(String, String)]) -> String {
    let tiles: String = tiles
        .iter()
        .map(|(value, label)| format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(label), escape(value)))
        .collect();
    format!(
        "<header><p class=\"kind\">Reproduction report</p><h1>{}</h1><p class=\"lead\">{}</p>\
         <dl class=\"numbers\">{tiles}</dl></header>\n",
        escape(title),
        escape(lead)
    )
}

/// What was asked for, with the value that came out.
pub(super) fn checks(checks: &[Check]) -> String {
    let row = |check: &Check| {
        let relation = if check.at_least { '≥' } else { '≤' };
        let verdict = if check.holds { "<td>holds</td>" } else { "<td class=\"wrong\">doesn’t hold</td>" };
        format!(
            "<tr><td>{}</td><td class=\"n\"><b>{}</b></td><td class=\"n\">{relation} {}</td>{verdict}</tr>",
            escape(&check.what),
            number(check.value),
            check.bound
        )
    };
    format!(
        "<div class=\"scroll\"><table><thead><tr><th>what</th><th class=\"n\">value</th><th class=\"n\">bound</th><th></th></tr>\
         </thead><tbody>{}</tbody></table></div>",
        checks.iter().map(row).collect::<String>()
    )
}

/// Where the experiment departs from the authors' setting.
pub(super) fn differences(differences: &[String]) -> String {
    let items: String = differences.iter().map(|d| format!("<li>{}</li>", escape(d))).collect();
    format!("<div class=\"prose\"><ul>{items}</ul></div>")
}

/// The setting, with what is particular to an experiment (`more`) at the end.
pub(super) fn settings(
    variant: Variant,
    widths: &[usize],
    network: &Sequential,
    training: &Settings,
    more: &[(&str, String)],
) -> String {
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
        ("r_λ, r_ψ", regular),
        ("optimiser", format!("Adam, learning rate {}, {}", training.rate, serde_name(&training.schedule))),
        ("start", if training.balanced { "balanced".into() } else { "λ = 1".into() }),
        ("epochs, batch", format!("{}, {}", training.epochs, training.batch)),
        ("replicas", training.replicas.len().to_string()),
    ];
    pairs.extend(more.iter().map(|(name, value)| (*name, value.clone())));
    let pairs: Vec<(String, String)> = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let (left, right) = pairs.split_at(pairs.len().div_ceil(2));
    format!("<div class=\"lists\">{}{}</div>", definitions("Settings", left), definitions("&#160;", right))
}
