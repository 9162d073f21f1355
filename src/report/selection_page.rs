//! `report.html` of a selection, and its summary in plain sentences.

use crate::data::Dataset;
use crate::relevance::Metric;
use crate::report::explain_figures::pixels;
use crate::report::page::{Shape, definitions, document, figure, section, shape_of};
use crate::report::picture::{Palette, outline};
use crate::report::svg::{Anchor, Plot, Scale, Ticks};
use crate::report::text::{self, count, escape, number, percent, shorten};
use crate::selection::{Footprint, Score, Selection};

/// Lines of the path picture that get a name.
const NAMED: usize = 8;
/// Lines of the path picture in all: the best of the ranking.
const LINES: usize = 120;
/// Bars of the stability picture, and rows of the table that are open.
const BARS: usize = 30;
const OPEN_ROWS: usize = 50;
const TABLE_ROWS: usize = 400;

/// Five lines in plain language.
pub fn summary(selection: &Selection, dataset: &Dataset) -> String {
    sentences(selection, dataset).iter().map(|line| format!("{line}\n")).collect()
}

fn sentences(selection: &Selection, dataset: &Dataset) -> [String; 5] {
    let metric = metric_name(selection);
    let article = if selection.metric == Metric::Accuracy { "an" } else { "a" };
    let value = |score: Score| text::metric(selection.metric, score.mean);
    let (k, n) = (selection.chosen, selection.units.len());
    let head: Vec<String> =
        selection.ranking[..k].iter().take(5).map(|&u| shorten(&selection.units[u].name, 40)).collect();
    let more = if k > head.len() { format!(" and {} more", count(k - head.len())) } else { String::new() };
    let constant = match selection.constant.len() {
        0 => String::new(),
        1 => format!("; {} never changes and was left out", shorten(&selection.constant[0], 40)),
        c => format!("; {} columns never change and were left out", count(c)),
    };
    let certain = selection.ranking[..k].iter().filter(|&&u| selection.stability[u] >= 0.999).count();
    let seeds = selection.path.kept_at(selection.penalty).len();
    let tied: Vec<String> = selection.ranking[..k]
        .iter()
        .zip(&selection.substitutes)
        .filter_map(|(&u, s)| Some((u, s.first()?)))
        .map(|(u, s)| format!("{} could stand in for {}", shorten(&s.name, 30), shorten(&selection.units[u].name, 30)))
        .collect();
    let random = selection
        .sizes
        .iter()
        .find(|s| s.k == k)
        .map_or_else(String::new, |s| format!("; {} random ones reach {}", count(k), value(s.random)));
    let (full, reduced) = (selection.full, selection.reduced);
    [
        format!(
            "Of {} features in {}, {} were chosen: {}{more}{constant}.",
            count(n),
            name(dataset),
            count(k),
            head.join(", ")
        ),
        format!(
            "Networks trained anew on these alone reach {article} {metric} of {} on the {} rows; with all {} features it is {}{random}.",
            value(selection.score),
            selection.rows,
            count(n),
            value(selection.all_features)
        ),
        if seeds > 1 {
            format!(
                "{} of the {} were kept by all {seeds} networks at the chosen penalty, so the choice is {}.",
                count(certain),
                count(k),
                if 2 * certain >= k { "mostly certain" } else { "partly a matter of chance" }
            )
        } else {
            "Only one network was trained at each penalty, so nothing is known about chance; use more --seeds."
                .to_owned()
        },
        match tied.len() {
            0 => "No feature has a close substitute among the others.".to_owned(),
            _ => format!(
                "{} of the chosen have substitutes: {}{}.",
                count(tied.len()),
                tied[..tied.len().min(3)].join("; "),
                if tied.len() > 3 { "; …" } else { "" }
            ),
        },
        format!(
            "The compact model has {} parameters instead of {} and takes {} instead of {} for 1,000 rows.",
            count(reduced.parameters),
            count(full.parameters),
            milliseconds(reduced),
            milliseconds(full)
        ),
    ]
}

/// The metric; of a number with the number's name, in whose units it is.
fn metric_name(selection: &Selection) -> String {
    let name = text::metric_name(selection.metric);
    match selection.compact.model.description.targets.as_slice() {
        _ if selection.metric != Metric::Mae => name.to_owned(),
        [target] => format!("{name} in {}", shorten(target, 30)),
        _ => format!("{name} in standard deviations"),
    }
}

/// What a person would call the data.
fn name(dataset: &Dataset) -> String {
    let path = dataset.source.strip_prefix("idx:").unwrap_or(&dataset.source);
    let stem = std::path::Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    shorten(&stem.unwrap_or_else(|| path.to_owned()), 60)
}

fn milliseconds(footprint: Footprint) -> String {
    format!("{} ms", number(footprint.milliseconds_per_1000_rows))
}

/// The whole page.
pub fn html(selection: &Selection, dataset: &Dataset, device: &str) -> String {
    let title = format!("The inputs that {} needs", name(dataset));
    let mut body = header(selection, dataset, &title);
    let two = format!("<div class=\"pair\">{}{}</div>", path(selection), sizes(selection));
    body.push_str(&section("From everything to nothing", &two));
    body.push_str(&section("How sure the choice is", &stability(selection, dataset)));
    body.push_str(&section("Chosen features", &table(selection)));
    body.push_str(&section("How to read this", EXPLANATION));
    let d = &selection.compact.model.description;
    let settings: Vec<(String, String)> = [
        ("data", dataset.source.clone()),
        ("columns", dataset.summary(d.target_column.as_deref(), None)),
        ("rows", format!("{} in all; scores on the {} rows", count(dataset.rows), selection.rows)),
        ("row weights", d.row_weights()),
        ("penalties × seeds", format!("{} × {}", selection.path.points.len(), selection.path.kept[0].len())),
        ("chosen penalty 2√(r_λ r_ψ)", number(selection.path.points[selection.penalty].penalty)),
        ("hidden layers", d.architecture.hidden.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        ("batch, learning rate", format!("{}, {}", d.settings.batch, d.settings.rate)),
        ("kept above", format!("{} of the largest relevance", percent(d.settings.threshold))),
        ("seed of split and first network", d.split_seed.to_string()),
        ("engine", device.to_owned()),
        ("time", format!("{:.1} s", selection.seconds)),
    ]
    .map(|(k, v)| (k.to_owned(), v))
    .to_vec();
    body.push_str(&section(
        "How it was made",
        &format!("<div class=\"lists\">{}</div>", definitions("Settings", &settings)),
    ));
    document(&title, &body)
}

fn header(selection: &Selection, dataset: &Dataset, title: &str) -> String {
    let value = |score: Score| text::metric(selection.metric, score.mean);
    let metric = metric_name(selection);
    let se = |score: Score| {
        if score.se > 0.0 { format!(" ± {}", text::metric(selection.metric, score.se)) } else { String::new() }
    };
    let mut tiles = vec![
        (count(selection.chosen), format!("of {} features chosen", count(selection.units.len()))),
        (value(selection.score), format!("{metric}{} with these alone, trained anew", se(selection.score))),
        (value(selection.all_features), format!("{metric}{} with all features", se(selection.all_features))),
    ];
    if let Some(s) = selection.sizes.iter().find(|s| s.k == selection.chosen) {
        tiles.push((value(s.random), format!("{metric} with as many random features")));
    }
    let tiles: String =
        tiles.iter().map(|(v, label)| format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(label), escape(v))).collect();
    let lead: Vec<String> = sentences(selection, dataset).iter().map(|s| escape(s)).collect();
    format!(
        "<header><p class=\"kind\">Feature selection report</p><h1>{}</h1><p class=\"lead\">{}</p><dl class=\"numbers\">{tiles}</dl></header>\n",
        escape(title),
        lead.join(" ")
    )
}

/// λ̃ of each feature against the penalty.
fn path(selection: &Selection) -> String {
    let points = &selection.path.points;
    let (first, last) = (points[0].penalty, points[points.len() - 1].penalty);
    let shown: Vec<usize> = selection.ranking.iter().copied().take(LINES).collect();
    let largest = shown.iter().flat_map(|&u| points.iter().map(move |p| p.relevance[u])).fold(0.0f64, f64::max);
    let mut plot =
        Plot::new(520.0, 340.0, [50.0, 16.0, 34.0, 46.0], Scale::Log(first, last), Scale::round([0.0, largest * 1.05]));
    plot.y_axis("relevance λ̃, mean over seeds", Ticks::Plain);
    plot.x_axis("penalty 2√(r_λ r_ψ) (log scale)", Ticks::Plain);
    plot.upright(points[selection.penalty].penalty, "limit");
    let line = |u: usize| points.iter().map(|p| (p.penalty, p.relevance[u])).collect::<Vec<_>>();
    for &u in shown.iter().skip(selection.chosen).rev() {
        plot.line(&line(u), "s3 thin");
    }
    let chosen = &shown[..selection.chosen.min(shown.len())];
    let traces: Vec<_> = chosen.iter().rev().map(|&u| (u, plot.line(&line(u), "s1"))).collect();
    for (u, trace) in traces.iter().rev().take(NAMED) {
        plot.label(trace, "s1", &shorten(&selection.units[*u].name, 18));
    }
    let rest = selection.units.len().saturating_sub(LINES);
    let rest =
        if rest > 0 { format!(" The {} last of the ranking are not drawn.", count(rest)) } else { String::new() };
    figure(
        "Relevance along the path",
        &plot.finish("Relevance of each feature against the penalty"),
        &format!("Blue: chosen features; grey: the others. Dashed: the chosen penalty.{rest}"),
        "",
    )
}

/// Score against the number of features.
fn sizes(selection: &Selection) -> String {
    let points = &selection.path.points;
    let last = selection.sizes.iter().map(|s| s.k as f64).chain(points.iter().map(|p| p.kept)).fold(2.0, f64::max);
    let scores = selection.sizes.iter().flat_map(|s| [s.best, s.random]).chain([selection.all_features]);
    let kept: Vec<_> = points.iter().filter(|p| p.kept >= 1.0).collect();
    let scores = scores.chain(kept.iter().map(|p| p.test));
    let y = Scale::round(scores.flat_map(|s| [s.mean - s.se, s.mean + s.se]));
    let mut plot = Plot::new(520.0, 340.0, [56.0, 16.0, 34.0, 46.0], Scale::Log(1.0, last.max(2.0)), y);
    let ticks = if selection.metric.is_share() { Ticks::Percent } else { Ticks::Plain };
    plot.y_axis(&format!("{} on the {} rows", metric_name(selection), selection.rows), ticks);
    plot.x_axis("number of features (log scale)", Ticks::Whole);
    let band = |f: fn(&crate::selection::SizePoint) -> Score| -> Vec<(f64, f64, f64)> {
        selection.sizes.iter().map(|s| (s.k as f64, f(s).mean - f(s).se, f(s).mean + f(s).se)).collect()
    };
    plot.band(&band(|s| s.random), "s3");
    plot.band(&band(|s| s.best), "s1");
    let full = plot.across(selection.all_features.mean, "full");
    let series = |f: fn(&crate::selection::SizePoint) -> Score| -> Vec<(f64, f64)> {
        selection.sizes.iter().map(|s| (s.k as f64, f(s).mean)).collect()
    };
    let random = plot.line(&series(|s| s.random), "s3");
    plot.dots(&series(|s| s.random), "s3");
    let path: Vec<(f64, f64)> = kept.iter().map(|p| (p.kept, p.test.mean)).collect();
    let on_path = plot.line(&path, "s2");
    plot.dots(&path, "s2");
    let best = plot.line(&series(|s| s.best), "s1 bold");
    plot.dots(&series(|s| s.best), "s1");
    plot.callout((selection.chosen as f64, selection.score.mean), "s1", &format!("{} chosen", count(selection.chosen)));
    plot.label(&full, "", &format!("all {}", count(selection.units.len())));
    plot.label(&best, "s1", "k best");
    plot.label(&random, "s3", "k random");
    plot.label(&on_path, "s2", "each network its own");
    figure(
        "What k features can do",
        &plot.finish("Score against the number of features"),
        "Networks trained anew on the k best features (blue) and on k random ones (grey), mean ± one standard error. Orange: the \
         path's networks, each refitted on what it kept itself.",
        "",
    )
}

/// The features as an image, or bars of the share of networks that keep each.
fn stability(selection: &Selection, dataset: &Dataset) -> String {
    if let Shape::Image { rows, columns } = shape_of(&dataset.axes, dataset.columns) {
        let mut share = vec![0.0; dataset.columns];
        for (u, unit) in selection.units.iter().enumerate() {
            unit.columns.iter().for_each(|&c| share[c] = selection.stability[u]);
        }
        let picture = pixels(rows, columns, &share, Palette::Grey, "Share of the networks that keep each pixel");
        let marked = picture.replacen("</svg>", &format!("{}</svg>", outline(columns, &selection.chosen_columns())), 1);
        let caption = "White: all networks at the chosen penalty keep the pixel; black: none. Outlined: chosen.";
        return format!("<div class=\"pair\">{}</div>", figure("Stability", &marked, caption, ""));
    }
    let shown: Vec<usize> = selection.ranking.iter().copied().take(BARS).collect();
    let height = 60.0 + 19.0 * shown.len() as f64;
    let y = Scale::Linear(shown.len() as f64, 0.0);
    let mut plot = Plot::new(1060.0, height, [190.0, 60.0, 8.0, 46.0], Scale::Linear(0.0, 1.0), y);
    plot.x_axis("share of the networks at the chosen penalty that keep the feature", Ticks::Percent);
    for (i, &u) in shown.iter().enumerate() {
        let class = if i < selection.chosen { "s1" } else { "faint" };
        let share = selection.stability[u];
        plot.bar((0.0, i as f64 + 0.18), (share, i as f64 + 0.82), class, &selection.units[u].name);
        let middle = plot.py(i as f64 + 0.5) + 4.0;
        plot.text(182.0, middle, Anchor::End, "tick", &shorten(&selection.units[u].name, 24));
        let label = match selection.substitutes.get(i).and_then(|s| s.first()) {
            Some(s) => format!("{} (or {}, r {:.2})", percent(share), shorten(&s.name, 20), s.correlation),
            None => percent(share),
        };
        let (at, anchor, class) = if share > 0.75 && i >= selection.chosen {
            (plot.px(share) - 6.0, Anchor::End, "tick")
        } else if share > 0.75 {
            (plot.px(share) - 6.0, Anchor::End, "inside")
        } else {
            (plot.px(share) + 6.0, Anchor::Start, "tick")
        };
        plot.text(at, middle, anchor, class, &label);
    }
    let caption = format!("The {} best of the ranking; blue: chosen.", count(shown.len()));
    figure("", &plot.finish("Stability of the best features"), &caption, "wide")
}

fn table(selection: &Selection) -> String {
    let row = |i: usize| {
        let u = selection.ranking[i];
        let unit = &selection.units[u];
        let relevance = selection.path.points[selection.penalty].relevance[u];
        let substitutes: Vec<String> = selection.substitutes[i]
            .iter()
            .take(4)
            .map(|s| {
                let instead = if s.kept_instead > 0.0 {
                    format!(", kept instead {}", percent(s.kept_instead))
                } else {
                    String::new()
                };
                format!("{} (r {:.2}{instead})", escape(&shorten(&s.name, 30)), s.correlation)
            })
            .collect();
        let columns = if unit.columns.len() > 1 { format!(" ({} columns)", unit.columns.len()) } else { String::new() };
        format!(
            "<tr><td class=\"n\">{}</td><td title=\"{}\">{}{columns}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            i + 1,
            escape(&shorten(&unit.name, 200)),
            escape(&shorten(&unit.name, 40)),
            percent(selection.stability[u]),
            number(relevance),
            substitutes.join("; ")
        )
    };
    let rows = |range: std::ops::Range<usize>| {
        format!(
            "<div class=\"scroll\"><table><thead><tr><th class=\"n\">rank</th><th>feature</th><th class=\"n\">kept by</th>\
             <th class=\"n\">λ̃</th><th>substitutes</th></tr></thead><tbody>{}</tbody></table></div>",
            range.map(row).collect::<String>()
        )
    };
    let open = selection.chosen.min(OPEN_ROWS);
    let mut out = rows(0..open);
    if selection.chosen > open {
        let last = selection.chosen.min(TABLE_ROWS);
        out.push_str(&format!(
            "<details><summary>Ranks {} to {last}</summary>{}</details>",
            open + 1,
            rows(open..last)
        ));
    }
    if !selection.constant.is_empty() {
        let names: Vec<String> = selection.constant.iter().take(20).map(|n| escape(&shorten(n, 40))).collect();
        let more = if selection.constant.len() > 20 { ", …" } else { "" };
        out.push_str(&format!(
            "<p class=\"small\">Left out because they never change: {}{more}.</p>",
            names.join(", ")
        ));
    }
    out
}

const EXPLANATION: &str = "<div class=\"prose\"><p>Networks were trained under a row of growing penalties, several at each. The \
     penalty pulls an input's eigenvalue λ and its eigenvector entries ψ to zero together, unless the input earns its place; it \
     is a group lasso over the inputs. What survives longest counts most.</p><p>The share of networks that keep a feature says \
     how much of the choice is chance: where two features say the same, one network keeps the one and the next the other, \
     and both appear as substitutes.</p><p>Scores on the test rows took no part in any choice. The penalty, the number of \
     features and every stopping point were chosen by the validation rows.</p></div>";
