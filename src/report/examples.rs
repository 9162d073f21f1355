//! Single inputs as the network sees them: the whole one, and what is left of it with only the best features kept.

use super::facts::{Example, Facts, Grid, Shape, shape_of};
use super::figures::{Along, HALF, LINE_POINTS};
use super::page::{Block, Cell, Column, Figure, Picture, Row, Table, Text, Tiles, Tone};
use super::picture::{self, Palette};
use super::svg::{Plot, Scale, Ticks, thin};
use super::text::{data_like, escape, shorten};
use crate::relevance::RankedFeature;

/// Shown at most, by the kind of input.
const IMAGES: usize = 16;
const LINES: usize = 4;
const COLUMNS: usize = 6;
/// Features of a table's examples.
const ROWS: usize = 12;

/// The section's body; empty without examples that fit the input.
pub(crate) fn examples(facts: &Facts) -> Vec<Block> {
    // Of a ranking of channels, examples are shown where they are pictures, whole.
    let columns = match facts.page.by_channel {
        true => facts.page.axes.iter().map(|axis| axis.len).product(),
        false => facts.page.columns,
    };
    let fitting: Vec<&Example> = facts.page.examples.iter().filter(|e| e.values.len() == columns).collect();
    if facts.page.by_channel {
        return match shape_of(facts.page.axes, columns) {
            Shape::Image(grid) if !fitting.is_empty() => vec![images(facts, &fitting, grid).into()],
            _ => Vec::new(),
        };
    }
    if fitting.is_empty() || facts.page.columns == 0 {
        return Vec::new();
    }
    match facts.shape {
        Shape::Image(grid) => vec![images(facts, &fitting, grid).into()],
        Shape::Spectrum => Block::pairs(lines(facts, &fitting)),
        Shape::Table => vec![table(facts, &fitting).into()],
    }
}

/// Whether an answer is wrong; only where there is a right and a wrong.
fn is_wrong(facts: &Facts, example: &Example) -> bool {
    facts.page.metric.is_share() && example.label != example.predicted
}

/// Label and prediction.
fn verdict(facts: &Facts, example: &Example) -> Text {
    let (label, predicted) = (shorten(&example.label, 40), shorten(&example.predicted, 40));
    let said = Text::from("predicted ").then(Text::strong(predicted)).wrong_if(is_wrong(facts, example));
    Text::from(format!("{} ", kind(facts))).then(Text::strong(label)).then("\n").then(said)
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

fn images(facts: &Facts, examples: &[&Example], grid: Grid) -> Tiles {
    let Grid { rows, columns, channels, .. } = grid;
    let marked = if facts.page.by_channel { Vec::new() } else { grid.pixels_of(&facts.marked) };
    let all = || examples.iter().flat_map(|e| &e.values).copied().filter(|v| v.is_finite());
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let width = high - low;
    let share = |v: f64| if width > 0.0 { (v - low) / width } else { 0.0 };
    let outline = picture::outline(columns, &marked);
    let shown = &examples[..examples.len().min(IMAGES)];
    let one = |example: &&Example| {
        let shares: Vec<f64> = example.values.iter().map(|&v| share(v)).collect();
        let whole = format!(
            "<image class=\"pixels\" width=\"{columns}\" height=\"{rows}\" href=\"{}\"/><path class=\"outline\" d=\"{outline}\"/>",
            picture::seen_uri(grid, &shares)
        );
        let mut left = String::new();
        for &pixel in &marked {
            let share = |channel: usize| shares[grid.input(pixel, channel)];
            let mean = (0..channels).map(share).sum::<f64>() / channels as f64;
            let class = if mean > 0.25 { "active" } else { "idle" };
            let of = |channel| if channels == 3 { share(channel) } else { mean };
            let [red, green, blue] = [0, 1, 2].map(|channel| Palette::Grey.color(of(channel))[0]);
            left.push_str(&format!(
                "<rect class=\"{class}\" x=\"{}.08\" y=\"{}.08\" width=\".84\" height=\".84\" fill=\"rgb({red} {green} {blue})\"/>",
                pixel % columns,
                pixel / columns
            ));
        }
        let label = format!("Example: {}", shorten(&example.label, 40));
        let mut pictures = vec![tile(rows, columns, &label, &whole)];
        if !facts.page.by_channel {
            pictures.push(tile(rows, columns, &format!("{label}, best pixels only"), &left));
        }
        Figure { title: String::new(), pictures, caption: verdict(facts, example), wide: false }
    };
    let per_row = Some(tiles_per_row(shown.len(), rows.max(columns)));
    Tiles { tiles: shown.iter().map(one).collect(), per_row }
}

fn tile(rows: usize, columns: usize, title: &str, body: &str) -> Picture {
    let svg = format!(
        "<svg viewBox=\"0 0 {columns} {rows}\" role=\"img\" aria-label=\"{}\">\
         <rect class=\"dark\" width=\"{columns}\" height=\"{rows}\"/>{body}</svg>",
        escape(title)
    );
    Picture { alternative: title.to_owned(), svg }
}

fn lines(facts: &Facts, examples: &[&Example]) -> Vec<Figure> {
    let along = Along::new(facts);
    let one = |example: &&Example| {
        let points: Vec<(f64, f64)> = along.places.iter().copied().zip(example.values.iter().copied()).collect();
        let y = Scale::round(points.iter().map(|point| point.1));
        let mut plot = Plot::new(HALF, 210.0, [48.0, 12.0, 12.0, 46.0], along.scale(), y);
        plot.y_axis("", Ticks::Plain);
        for &feature in &facts.marked {
            plot.upright(along.places[feature], "best");
        }
        plot.line(&thin(&points, LINE_POINTS), "s0 thin");
        plot.x_axis(&along.name, Ticks::Plain);
        let picture = plot.finish(&format!("Example: {}", shorten(&example.label, 40)));
        Figure::new("", picture, verdict(facts, example))
    };
    examples.iter().take(LINES).map(one).collect()
}

fn table(facts: &Facts, examples: &[&Example]) -> Table {
    let shown = &examples[..examples.len().min(COLUMNS)];
    let features: Vec<&RankedFeature> =
        facts.ranked.iter().filter(|f| f.feature < facts.page.columns).take(ROWS).copied().collect();
    let numbered = (1..=shown.len()).map(|i| Column::number(format!("example {i}")));
    let columns = [Column::text("input")].into_iter().chain(numbered).collect();
    let mut rows: Vec<Row> = features
        .iter()
        .map(|f| {
            let name = Cell::from(shorten(&f.name, 40)).tip(shorten(&f.name, 200));
            let show = data_like(shown.iter().map(|e| e.values[f.feature]));
            let values = shown.iter().map(|e| Cell::from(show(e.values[f.feature])));
            [name].into_iter().chain(values).collect()
        })
        .collect();
    let total = |head: &str, cell: &dyn Fn(&Example) -> Text| {
        let cells = shown.iter().map(|e| cell(e));
        [Text::from(head)].into_iter().chain(cells).collect::<Row>().tone(Tone::Total)
    };
    rows.push(total(kind(facts), &|e| shorten(&e.label, 24).into()));
    rows.push(total("predicted", &|e| Text::from(shorten(&e.predicted, 24)).wrong_if(is_wrong(facts, e))));
    Table::new(columns, rows)
}
