//! `report.html` of a training: one file without network access, fonts or scripts, for reading, printing and slides.

use crate::data::Axis;
use crate::relevance::{Curve, CurvePoint, RankedFeature};
use crate::report::text::{self, count, escape, number, percent, shorten};
use crate::report::{examples, figures, tables};
use crate::train::EpochRecord;
use crate::train::Metric;

/// Pixels or features that get outlined: the paper's figures show the 20 best.
const MARKED: usize = 20;
/// Rows of the table that are open, and rows that the page holds at most.
const OPEN_ROWS: usize = 50;
const TABLE_ROWS: usize = 400;
/// More features than this on a single axis read better as a line.
const SPECTRUM_FROM: usize = 200;

/// What a training's page shows.
#[derive(Debug, Clone)]
pub struct TrainPage<'a> {
    /// "MNIST 0 v 1".
    pub title: &'a str,
    /// Up to five plain sentences.
    pub summary: Vec<String>,
    pub ranking: &'a [RankedFeature],
    /// Features in all.
    pub columns: usize,
    /// Two axes named `row` and `column` are shown as an image; a single one of more than 200 features also as a line.
    pub axes: &'a [Axis],
    /// λ̃ below `threshold`·max counts as dropped.
    pub threshold: f64,
    pub history: &'a [EpochRecord],
    pub curve: Option<&'a Curve>,
    pub metric: Metric,
    pub examples: &'a [Example],
    /// `("test", [("accuracy", 0.998), ("loss", 0.01)])`; the last set is the one that the headline cites.
    pub scores: &'a [(String, Vec<(String, f64)>)],
    pub settings: &'a [(String, String)],
    pub machine: &'a [(String, String)],
}

/// One row of the data with what the network says about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// One value a feature.
    pub values: Vec<f32>,
    pub label: String,
    pub predicted: String,
}

/// How the input is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Image { rows: usize, columns: usize },
    Spectrum,
    Table,
}

/// A page's data with what every figure derives from it.
pub(crate) struct Facts<'a> {
    pub(crate) page: &'a TrainPage<'a>,
    pub(crate) ranked: Vec<&'a RankedFeature>,
    pub(crate) max: f64,
    /// Features at or above the threshold.
    pub(crate) kept: usize,
    /// Columns of the best features that are kept, at most `mark`.
    pub(crate) marked: Vec<usize>,
    /// How many of the best get outlined.
    mark: usize,
    pub(crate) shape: Shape,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(page: &'a TrainPage<'a>, mark: usize) -> Facts<'a> {
        let ranked = tables::by_rank(page.ranking);
        let max = ranked.iter().map(|f| f.relevance).fold(0.0, f64::max);
        let mut facts = Facts { page, ranked, max, kept: 0, marked: Vec::new(), mark, shape: shape(page) };
        let kept: Vec<usize> = facts.ranked.iter().filter(|f| !facts.dropped(f)).map(|f| f.feature).collect();
        facts.kept = kept.len().min(page.columns);
        facts.marked = kept.into_iter().filter(|&feature| feature < page.columns).take(mark).collect();
        facts
    }

    /// λ̃ relative to the largest, 0..1.
    pub(crate) fn share(&self, feature: &RankedFeature) -> f64 {
        if self.max > 0.0 { (feature.relevance / self.max).clamp(0.0, 1.0) } else { 0.0 }
    }

    pub(crate) fn dropped(&self, feature: &RankedFeature) -> bool {
        feature.relevance <= 0.0 || self.share(feature) < self.page.threshold
    }

    /// The point of the curve worth a sentence: as many as get outlined, of many features, else the fewest that are nearly as good as all.
    pub(crate) fn highlight(&self) -> Option<&CurvePoint> {
        let curve = self.page.curve?;
        let inside = curve.points.iter().filter(|p| p.k > 0 && p.k < self.page.columns);
        if self.page.columns > 2 * self.mark {
            let distance = |p: &&CurvePoint| (p.k as f64 / self.mark as f64).ln().abs();
            return inside.min_by(|a, b| distance(a).total_cmp(&distance(b)));
        }
        let enough = |p: &&CurvePoint| match curve.metric.is_share() {
            true => p.ranked >= curve.full - 0.01,
            false => p.ranked <= curve.full * 1.05,
        };
        inside.filter(enough).min_by_key(|p| p.k)
    }
}

fn shape(page: &TrainPage) -> Shape {
    shape_of(page.axes, page.columns)
}

/// How an input of these axes is drawn.
pub(crate) fn shape_of(axes: &[Axis], inputs: usize) -> Shape {
    match axes {
        [row, column]
            if row.name == "row"
                && column.name == "column"
                && row.len > 0
                && row.len.checked_mul(column.len) == Some(inputs)
                && inputs > 0 =>
        {
            Shape::Image { rows: row.len, columns: column.len }
        }
        [_] if inputs > SPECTRUM_FROM => Shape::Spectrum,
        _ => Shape::Table,
    }
}

/// A picture with its title above and its caption below; `content` is HTML, the title is plain text, the caption is HTML.
pub(crate) fn figure(title: &str, content: &str, caption: &str, class: &str) -> String {
    let title = if title.is_empty() { String::new() } else { format!("<h3>{}</h3>", escape(title)) };
    let caption = if caption.is_empty() { String::new() } else { format!("<figcaption>{caption}</figcaption>") };
    format!("<figure class=\"{class}\">{title}{content}{caption}</figure>")
}

impl TrainPage<'_> {
    /// The whole page.
    pub fn html(&self) -> String {
        let facts = Facts::new(self, MARKED);
        let mut body = header(&facts);
        body.push_str(&section("Which inputs count", &figures::ranking(&facts)));
        body.push_str(&section(&examples_title(&facts), &examples::examples(&facts)));
        let mut training = String::new();
        // One epoch makes no curve.
        if self.history.len() > 1 {
            training = format!("<div class=\"trio\">{}</div>", figures::training(&facts));
        }
        body.push_str(&section("Training", &(training + &scores(self.scores))));
        body.push_str(&section("Ranking", &ranking_table(&facts)));
        body.push_str(&section("How to read this", &explanation(&facts)));
        let lists = [definitions("Settings", self.settings), definitions("Machine", self.machine)].concat();
        if !lists.is_empty() {
            body.push_str(&section("How it was made", &format!("<div class=\"lists\">{lists}</div>")));
        }
        document(self.title, &body)
    }
}

/// The frame that every page shares: head with the style sheet, and the footer that cites paper and version.
pub fn document(title: &str, body: &str) -> String {
    document_citing(title, body, SPECTRAL)
}

/// Sources of the methods, for the footer.
const SPECTRAL: &str = "The method: L. Chicchi et al., <cite>Automatic Input Feature Relevance via Spectral Neural \
    Networks</cite>, arXiv 2406.01183.";
pub(crate) const SPECXAI: &str = "The method: S. Druc et al., <cite>SpecXAI – Spectral interpretability of deep \
    learning models</cite>, arXiv 2302.09949.";

/// [`document`] with another source in the footer.
pub(crate) fn document_citing(title: &str, body: &str, method: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"generator\" content=\"eigenlens {version}\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title} · eigenlens</title><style>{style}</style></head>\n<body><main>{body}</main>\n<footer>\
         <p>{method}</p><p>eigenlens {version}</p></footer></body></html>\n",
        version = env!("CARGO_PKG_VERSION"),
        title = escape(&shorten(title, 200)),
        style = include_str!("style.css"),
    )
}

/// A section with its heading; nothing without content.
pub(crate) fn section(title: &str, body: &str) -> String {
    if body.is_empty() { String::new() } else { format!("<section><h2>{title}</h2>{body}</section>\n") }
}

fn header(facts: &Facts) -> String {
    let page = facts.page;
    let sentences: Vec<String> = page.summary.iter().map(|sentence| escape(sentence)).collect();
    let tiles: String = big_numbers(facts)
        .into_iter()
        .map(|(figure, label)| {
            format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(&label), escape(&shorten(&figure, 16)))
        })
        .collect();
    format!(
        "<header><p class=\"kind\">Input relevance report</p><h1>{}</h1><p class=\"lead\">{}</p><dl class=\"numbers\">{tiles}</dl></header>\n",
        escape(&shorten(page.title, 200)),
        sentences.join(" ")
    )
}

/// Three or four figures with what they are.
fn big_numbers(facts: &Facts) -> Vec<(String, String)> {
    let page = facts.page;
    let mut out = Vec::new();
    if let Some((set, scores)) = page.scores.last()
        && let Some((name, value)) = scores.first()
    {
        let figure = if is_share(name) { percent(*value) } else { text::short(*value) };
        out.push((figure, format!("{name} on the {set} rows, all inputs")));
    }
    let share = percent(facts.kept as f64 / page.columns.max(1) as f64);
    out.push((count(facts.kept), format!("of {} kept ({share})", inputs(page.columns))));
    if let (Some(curve), Some(point)) = (page.curve, facts.highlight()) {
        let name = text::metric_name(curve.metric);
        let (best, random) = match point.k {
            1 => ("the best input".to_owned(), "one random input".to_owned()),
            k => (format!("the {} best inputs", count(k)), format!("{} random inputs", count(k))),
        };
        out.push((text::metric(curve.metric, point.ranked), format!("{name} with {best} alone")));
        out.push((text::metric(curve.metric, point.random_mean), format!("{name} with {random}")));
    } else if let Some(best) = facts.ranked.first().filter(|best| !facts.dropped(best)) {
        out.push((shorten(&best.name, 16), "is the most relevant input".to_owned()));
    }
    if out.len() < 4
        && let Some(last) = page.history.last()
    {
        out.push((
            count(last.epoch),
            if last.epoch == 1 { "epoch of training" } else { "epochs of training" }.to_owned(),
        ));
    }
    out
}

fn inputs(number: usize) -> String {
    if number == 1 { "1 input".to_owned() } else { format!("{} inputs", count(number)) }
}

/// Accuracies are shares, every other score is a number.
fn is_share(name: &str) -> bool {
    name.to_lowercase().contains("accuracy")
}

fn score(name: &str, value: f64) -> String {
    if is_share(name) { percent(value) } else { number(value) }
}

pub(crate) fn scores(scores: &[(String, Vec<(String, f64)>)]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in scores.iter().flat_map(|(_, values)| values) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return String::new();
    }
    let heads: String = names.iter().map(|name| format!("<th class=\"n\">{}</th>", escape(name))).collect();
    let mut rows = String::new();
    for (set, values) in scores {
        rows.push_str(&format!("<tr><td>{}</td>", escape(set)));
        for name in &names {
            let value = values.iter().find(|(other, _)| other == name);
            let text = value.map_or_else(|| "–".to_owned(), |(name, value)| score(name, *value));
            rows.push_str(&format!("<td class=\"n\">{text}</td>"));
        }
        rows.push_str("</tr>");
    }
    format!(
        "<div class=\"scroll\"><table class=\"scores\"><thead><tr><th>rows</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

fn examples_title(facts: &Facts) -> String {
    match (facts.shape, facts.marked.len()) {
        (Shape::Table, _) => "Examples".to_owned(),
        (_, 0) => "Examples".to_owned(),
        (Shape::Image { .. }, 1) => "Examples, whole and with the best pixel alone".to_owned(),
        (Shape::Image { .. }, n) => format!("Examples, whole and with the {n} best pixels alone"),
        (Shape::Spectrum, n) => format!("Examples, with the {n} best inputs marked"),
    }
}

fn ranking_table(facts: &Facts) -> String {
    let (open, rest) = facts.ranked.split_at(facts.ranked.len().min(OPEN_ROWS));
    let mut out = halves(facts, open);
    let rest = &rest[..rest.len().min(TABLE_ROWS - OPEN_ROWS)];
    if !rest.is_empty() {
        let last = open.len() + rest.len();
        out.push_str(&format!(
            "<details><summary>Ranks {} to {}</summary>{}</details>",
            open.len() + 1,
            count(last),
            halves(facts, rest)
        ));
    }
    if facts.page.columns > open.len() {
        out.push_str(&format!(
            "<p class=\"small\">relevance.csv holds all {} inputs. Grey rows are below the threshold.</p>",
            count(facts.page.columns)
        ));
    }
    out
}

/// Two tables side by side, which halves the length of a long list.
fn halves(facts: &Facts, features: &[&RankedFeature]) -> String {
    let middle = if features.len() > 10 { features.len().div_ceil(2) } else { features.len() };
    let (left, right) = features.split_at(middle);
    let right = if right.is_empty() { String::new() } else { rows(facts, right) };
    format!("<div class=\"pair tables\">{}{right}</div>", rows(facts, left))
}

fn rows(facts: &Facts, features: &[&RankedFeature]) -> String {
    let spread = facts.ranked.iter().any(|f| f.relevance_std > 0.0);
    let std_head = if spread { "<th class=\"n\">± std</th>" } else { "" };
    let mut out = format!(
        "<table><thead><tr><th class=\"n\">rank</th><th>input</th><th class=\"n\">λ</th><th class=\"n\">‖ψ‖₂</th>\
         <th class=\"n\">λ̃</th>{std_head}</tr></thead><tbody>"
    );
    for f in features {
        let class = if facts.dropped(f) { " class=\"off\"" } else { "" };
        let std = if spread { format!("<td class=\"n\">{}</td>", number(f.relevance_std)) } else { String::new() };
        out.push_str(&format!(
            "<tr{class}><td class=\"n\">{}</td><td title=\"{}\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\"><b>{}</b></td>{std}</tr>",
            f.rank,
            escape(&shorten(&f.name, 200)),
            escape(&shorten(&f.name, 22)),
            number(f.lambda),
            number(f.psi_norm),
            number(f.relevance)
        ));
    }
    out.push_str("</tbody></table>");
    out
}

fn explanation(facts: &Facts) -> String {
    let replicas = match facts.ranked.iter().any(|f| f.relevance_std > 0.0) {
        true => " Several networks were trained from different random starts; the figures show their mean and spread.",
        false => "",
    };
    format!(
        "<div class=\"prose\"><p>The network's first layer multiplies each input i by an eigenvalue λ<sub>i</sub> and a column \
         ψ<sub>i</sub> of eigenvector entries. Its relevance is the size of both together:</p>\
         <p class=\"formula\"><i>λ̃<sub>i</sub></i> = |<i>λ<sub>i</sub></i>| · ‖<i>ψ<sub>i</sub></i>‖<sub>2</sub></p>\
         <p>A penalty during training pulls the eigenvalues of inputs that the task can do without to zero, so what stays is \
         what the network uses. Compare values within this page only: relevance is relative to the largest one, and it shrinks \
         as the inputs' own scale grows.{replicas}</p></div>"
    )
}

pub(crate) fn definitions(title: &str, pairs: &[(String, String)]) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let rows: String =
        pairs.iter().map(|(key, value)| format!("<dt>{}</dt><dd>{}</dd>", escape(key), escape(value))).collect();
    format!("<div><h3>{title}</h3><dl class=\"pairs\">{rows}</dl></div>")
}
