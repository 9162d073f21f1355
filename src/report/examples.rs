//! Single inputs as the network sees them: the whole one, and what is left of it with only the best features kept.

use crate::relevance::RankedFeature;
use crate::report::figures::{Along, HALF, LINE_POINTS};
use crate::report::page::{Example, Facts, Shape, figure};
use crate::report::picture::{self, Palette};
use crate::report::svg::{Plot, Scale, Ticks, thin};
use crate::report::text::{escape, short, shorten};

/// Shown at most, by the kind of input.
const IMAGES: usize = 16;
const LINES: usize = 4;
const COLUMNS: usize = 6;
/// Features of a table's examples.
const ROWS: usize = 12;

/// The section's body; empty without examples that fit the input.
pub(crate) fn examples(facts: &Facts) -> String {
    let fitting: Vec<&Example> = facts.page.examples.iter().filter(|e| e.values.len() == facts.page.columns).collect();
    if fitting.is_empty() || facts.page.columns == 0 {
        return String::new();
    }
    match facts.shape {
        Shape::Image { rows, columns } => images(facts, &fitting, rows, columns),
        Shape::Spectrum => lines(facts, &fitting),
        Shape::Table => table(facts, &fitting),
    }
}

/// Label and prediction; wrong only where there is a right and a wrong.
fn verdict(facts: &Facts, example: &Example) -> String {
    let (label, predicted) = (escape(&shorten(&example.label, 40)), escape(&shorten(&example.predicted, 40)));
    let wrong = facts.page.metric.is_share() && example.label != example.predicted;
    let class = if wrong { " class=\"wrong\"" } else { "" };
    let kind = kind(facts);
    format!("{kind} <b>{label}</b><br><span{class}>predicted <b>{predicted}</b></span>")
}

/// What the true answer is called.
fn kind(facts: &Facts) -> &'static str {
    if facts.page.metric.is_share() { "label" } else { "true value" }
}

/// Tiles in a row: what fills the last row best, so that none stands alone.
fn tiles_per_row(tiles: usize, side: usize) -> usize {
    let left_over = |width: &usize| tiles.div_ceil(*width) * width - tiles;
    // Pixels of a large image need a larger tile to be seen.
    let widths = if side > 48 { [4, 5, 3, 6] } else { [7, 6, 8, 5] };
    widths.into_iter().min_by_key(left_over).unwrap_or(6)
}

fn images(facts: &Facts, examples: &[&Example], rows: usize, columns: usize) -> String {
    let all = || examples.iter().flat_map(|e| &e.values).copied().filter(|v| v.is_finite());
    let (low, high) = (all().fold(f32::INFINITY, f32::min), all().fold(f32::NEG_INFINITY, f32::max));
    let width = f64::from(high - low);
    let share = |v: f32| if width > 0.0 { f64::from(v - low) / width } else { 0.0 };
    let outline = picture::outline(columns, &facts.marked);
    let shown = &examples[..examples.len().min(IMAGES)];
    let mut out = format!("<div class=\"examples\" style=\"--row:{}\">", tiles_per_row(shown.len(), rows.max(columns)));
    for example in shown {
        let shares: Vec<f64> = example.values.iter().map(|&v| share(v)).collect();
        let whole = format!(
            "<image class=\"pixels\" width=\"{columns}\" height=\"{rows}\" href=\"{}\"/><path class=\"outline\" d=\"{outline}\"/>",
            picture::data_uri(rows, columns, &shares, Palette::Grey)
        );
        let mut left = String::new();
        for &pixel in &facts.marked {
            let [grey, ..] = Palette::Grey.color(shares[pixel]);
            let class = if shares[pixel] > 0.25 { "active" } else { "idle" };
            left.push_str(&format!(
                "<rect class=\"{class}\" x=\"{}.08\" y=\"{}.08\" width=\".84\" height=\".84\" fill=\"rgb({grey} {grey} {grey})\"/>",
                pixel % columns,
                pixel / columns
            ));
        }
        let label = escape(&shorten(&example.label, 40));
        out.push_str(&format!(
            "<figure>{}{}<figcaption>{}</figcaption></figure>",
            tile(rows, columns, &format!("Example: {label}"), &whole),
            tile(rows, columns, &format!("Example: {label}, best pixels only"), &left),
            verdict(facts, example)
        ));
    }
    out.push_str("</div>");
    out
}

fn tile(rows: usize, columns: usize, title: &str, body: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {columns} {rows}\" role=\"img\" aria-label=\"{title}\">\
         <rect class=\"dark\" width=\"{columns}\" height=\"{rows}\"/>{body}</svg>"
    )
}

fn lines(facts: &Facts, examples: &[&Example]) -> String {
    let along = Along::new(facts);
    let mut out = String::from("<div class=\"pair\">");
    for example in examples.iter().take(LINES) {
        let points: Vec<(f64, f64)> =
            along.places.iter().copied().zip(example.values.iter().map(|&v| f64::from(v))).collect();
        let y = Scale::round(points.iter().map(|point| point.1));
        let mut plot = Plot::new(HALF, 210.0, [48.0, 12.0, 12.0, 46.0], along.scale(), y);
        plot.y_axis("", Ticks::Plain);
        for &feature in &facts.marked {
            plot.upright(along.places[feature], "best");
        }
        plot.line(&thin(&points, LINE_POINTS), "s0 thin");
        plot.x_axis(&along.name, Ticks::Plain);
        let title = format!("Example: {}", shorten(&example.label, 40));
        out.push_str(&format!(
            "<figure>{}<figcaption>{}</figcaption></figure>",
            plot.finish(&title),
            verdict(facts, example)
        ));
    }
    out.push_str("</div>");
    out
}

fn table(facts: &Facts, examples: &[&Example]) -> String {
    let shown = &examples[..examples.len().min(COLUMNS)];
    let features: Vec<&RankedFeature> =
        facts.ranked.iter().filter(|f| f.feature < facts.page.columns).take(ROWS).copied().collect();
    let mut out = String::from("<div class=\"scroll\"><table class=\"cases\"><thead><tr><th>input</th>");
    for (i, _) in shown.iter().enumerate() {
        out.push_str(&format!("<th class=\"n\">example {}</th>", i + 1));
    }
    out.push_str("</tr></thead><tbody>");
    for f in features {
        let name = escape(&shorten(&f.name, 40));
        out.push_str(&format!("<tr><td title=\"{}\">{name}</td>", escape(&shorten(&f.name, 200))));
        for example in shown {
            out.push_str(&format!("<td class=\"n\">{}</td>", short(f64::from(example.values[f.feature]))));
        }
        out.push_str("</tr>");
    }
    for (head, value) in [(kind(facts), (|e| &e.label) as fn(&Example) -> &String), ("predicted", |e| &e.predicted)] {
        out.push_str(&format!("<tr class=\"sum\"><td>{head}</td>"));
        for example in shown {
            let wrong = facts.page.metric.is_share() && head == "predicted" && example.label != example.predicted;
            let class = if wrong { "n wrong" } else { "n" };
            out.push_str(&format!("<td class=\"{class}\">{}</td>", escape(&shorten(value(example), 24))));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    figure("", &out, "", "wide")
}
