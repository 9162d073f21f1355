//! An explanation as the terminal shows it.

use super::super::pictures::best_classes;
use super::BEST;
use super::collected::Collected;
use crate::report::explain_page::Units;
use crate::report::feature_figures::{OneRow, component_name, feature_value, with_sign};
use crate::report::text::{many, number, percent, shorten, signed};
use crate::specxai::{Contribution, Explanation};

/// Characters of the longest number, as in −1.234×10⁻¹¹: a number isn't cut.
const NUMBER: usize = 12;

/// One explanation as text: what each feature adds, for pictures the largest components; then what completes the sum.
pub(super) fn table(collected: &Collected<'_>, e: &Explanation, top: usize) -> String {
    let description = &collected.model.description;
    let index = collected.rows.numbers.iter().position(|&row| row as usize == e.row);
    let index = index.expect("invariant: a row asked for");
    let label =
        collected.rows.labels.as_ref().map_or_else(String::new, |labels| format!(", label {}", signed(&labels[index])));
    let value = Units::text(e.output, e.y, description);
    let name = collected.name(e.output);
    let row = collected.file(index).map_or_else(|| format!("row {}", e.row), |file| shorten(file, 60));
    let mut text = format!("{row}{label}: {name} = {value}, split at {}\n", e.split);
    if collected.rows.pictures.is_some() {
        let best = best_classes(description, &e.outputs, BEST);
        let named = best.iter().map(|class| format!("{} {}", shorten(&class.name, 30), percent(class.probability)));
        text.push_str(&format!("  best: {}\n", named.collect::<Vec<_>>().join(", ")));
    }
    if description.axes.len() < 2 && e.split == collected.splits[0] {
        text.push_str(&features(&collected.by_feature(index), top));
    }
    let scale = if Units::of(e.output, description).is_some() { ", in the scale of the training" } else { "" };
    text.push_str(&format!(
        "  as components{scale}: what each adds, what the reduction leaves of it, its share of the split\n"
    ));
    text.push_str(&components(collected, e));
    let mut line = |name: &str, value: f64, share: &str| {
        let line = format!("  {name:<28} {:>10} {:>10} {share:>10}", with_sign(value), "");
        text.push_str(&format!("{}\n", line.trim_end()));
    };
    line("intercepts Σβ", e.beta_sum(), "");
    if e.remainder.abs() > 1e-6 {
        line("remainder", e.remainder, &percent(e.remainder_share()));
    }
    if !e.is_cut {
        line("bypass", e.bypass, "");
    }
    text.push_str(&format!("  residual {:.1e}\n\n", e.residual));
    text
}

/// The features with the largest parts, from the base to the sum.
fn features(row: &OneRow<'_>, top: usize) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("  {:<35} {value:>10}\n", shorten(name, 35)));
    line("base", number(row.parts.base));
    let order = row.parts.by_size();
    let (shown, rest) = order.split_at(top.min(order.len()));
    for &i in shown {
        let unit = &row.units[i];
        let value = feature_value(unit, row.features, row.input);
        line(&format!("{} = {}", shorten(&unit.name, 20), shorten(&value, NUMBER)), with_sign(row.parts.parts[i]));
    }
    if !rest.is_empty() {
        line(&many(rest.len(), "more feature"), with_sign(rest.iter().map(|&i| row.parts.parts[i]).sum()));
    }
    line("= output", number(row.parts.total()));
    text
}

/// The components that the reduction leaves most of. Their shares, that of the others and the remainder's add up to 100 %.
fn components(collected: &Collected<'_>, e: &Explanation) -> String {
    const LARGEST: usize = 5;
    let share = |share: Option<f64>, cancelled: bool| match share {
        _ if cancelled => "cancelled".into(),
        Some(share) => percent(share),
        None => "–".into(),
    };
    let order = e.by_share();
    // What is less than a tenth of a percent counts among the others.
    let visible = |k: &&usize| e.contributions[**k].share.is_none_or(|share| share.abs() >= 5e-4);
    let visible = order.iter().take(LARGEST).take_while(visible).count();
    let (shown, rest) = order.split_at(visible);
    let mut text = String::new();
    for &k in shown {
        let c = &e.contributions[k];
        let made_of = component_name(e, k, &collected.units).filter(|_| collected.model.description.axes.len() < 2);
        let made_of = made_of.map_or_else(String::new, |made_of| format!("  {made_of}"));
        let share = share(e.share_of_split(k), c.alpha_reduced == 0.0 && c.alpha != 0.0);
        let left = if c.alpha_reduced == 0.0 { String::new() } else { with_sign(c.alpha_reduced) };
        text.push_str(&format!(
            "  {:<28} {:>10} {left:>10} {share:>10}{made_of}\n",
            format!("component {k}"),
            with_sign(c.alpha)
        ));
    }
    if !rest.is_empty() {
        let sum = |part: fn(&Contribution) -> f64| rest.iter().map(|&k| part(&e.contributions[k])).sum::<f64>();
        let cancelled = rest.iter().all(|&k| e.contributions[k].alpha_reduced == 0.0);
        let known = rest.iter().map(|&k| e.share_of_split(k)).sum::<Option<f64>>();
        let name = many(rest.len(), "more component");
        let left = if cancelled { String::new() } else { with_sign(sum(|c| c.alpha_reduced)) };
        text.push_str(&format!(
            "  {name:<28} {:>10} {left:>10} {:>10}\n",
            with_sign(sum(|c| c.alpha)),
            share(known, cancelled)
        ));
    }
    text
}
