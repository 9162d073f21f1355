//! The page of a training.

use super::facts::{Facts, Shape, TrainPage};
use super::page::{Block, Cell, Column, Definitions, KeyFigure, Method, Page, Row, Table, Text, Tone};
use super::tables::above_noise;
use super::text::{self, count, number, percent, shorten};
use super::{assessment, examples, figures};
use crate::relevance::RankedFeature;

/// Pixels or features that get outlined: the paper's figures show the 20 best.
const MARKED: usize = 20;
/// Rows of the table that are open, and rows that the page holds at most.
const OPEN_ROWS: usize = 50;
const TABLE_ROWS: usize = 400;

impl TrainPage<'_> {
    /// The whole page.
    pub fn page(&self) -> Page {
        let facts = Facts::new(self, MARKED);
        let mut page = Page {
            kind: "Input relevance report",
            title: self.title.to_owned(),
            lead: self.lead(),
            numbers: key_figures(&facts),
            sections: Vec::new(),
            method: Method::Spectral,
            links: Vec::new(),
        };
        let supported = if facts.supported() { "" } else { " (not supported: see above)" };
        page.section(format!("Which {}s count{supported}", facts.noun()), figures::ranking(&facts));
        page.section(examples_title(&facts), examples::examples(&facts));
        page.section("Training", training(&facts));
        page.section("Ranking", vec![ranking_table(&facts).into()]);
        page.section("How to read this", explanation(&facts));
        let lists = [("Settings", self.settings), ("Machine", self.machine)];
        let lists = lists.map(|(title, pairs)| vec![Definitions::new(title, pairs.iter().cloned()).into()]);
        page.section("How it was made", vec![Block::Columns(lists.to_vec())]);
        page
    }

    /// The verdict first, then the rest.
    fn lead(&self) -> Vec<String> {
        let first = self.assessment.map(assessment::lead).unwrap_or_default();
        first.into_iter().chain([self.summary.join(" ")]).collect()
    }
}

/// The course of the training, and what came of it.
pub(crate) fn training(facts: &Facts) -> Vec<Block> {
    // One epoch makes no curve.
    let course = (facts.page.history.len() > 1).then(|| figures::training(facts));
    let scores = match facts.page.assessment {
        Some(assessment) => assessment::blocks(assessment),
        None => scores(facts.page.scores).map(Block::from).into_iter().collect(),
    };
    course.into_iter().chain(scores).collect()
}

/// Three or four figures with what they are.
fn key_figures(facts: &Facts) -> Vec<KeyFigure> {
    let page = facts.page;
    let mut out = Vec::new();
    let mut add = |value: String, label: String| out.push(KeyFigure::new(shorten(&value, 16), label));
    if let Some(held) = page.assessment.and_then(|a| a.held_out.as_ref()) {
        let (value, name) = match held.r2 {
            Some(r2) => (text::with_spread(r2.value, r2.se), "R²"),
            None => (assessment::estimate(held.metric, held.score), text::metric_name(held.metric)),
        };
        let (value, spread) = value.split_once(" ± ").unwrap_or((&value, "?"));
        // A share has its unit once in a line of text, behind the error.
        let unit = if spread.ends_with('%') { format!("{}%", text::NARROW) } else { String::new() };
        add(format!("{value}{unit}"), format!("± {spread} {name} on rows it hadn't seen, all inputs"));
        if !facts.supported() {
            add("nothing".into(), "that a constant answer doesn't know".into());
        }
    } else if let Some((set, scores)) = page.scores.last()
        && let Some((name, value)) = scores.first()
    {
        let figure = if is_share(name) { percent(*value) } else { text::short(*value) };
        add(figure, format!("{name} on the {set} rows, all inputs"));
    }
    let share = |n: usize| percent(n as f64 / page.columns.max(1) as f64);
    match page.assessment.and_then(|a| a.control.as_ref()) {
        Some(control) => {
            let share = percent(control.inputs_above as f64 / control.inputs.max(1) as f64);
            let of = text::many(control.inputs, facts.noun());
            add(count(control.inputs_above), format!("of {of} are more relevant than noise ({share})"));
        }
        None if facts.supported() => {
            add(
                count(facts.kept),
                format!("of {} kept ({})", text::many(page.columns, facts.noun()), share(facts.kept)),
            );
        }
        None => {}
    }
    if !facts.supported() {
        return out;
    }
    if let (Some(curve), Some(point)) = (page.curve, facts.highlight()) {
        let name = text::metric_name(curve.metric);
        let (best, random) = match point.k {
            1 => (format!("the best {}", facts.noun()), format!("one random {}", facts.noun())),
            k => (format!("the {} best {}s", count(k), facts.noun()), format!("{} random {}s", count(k), facts.noun())),
        };
        add(text::metric(curve.metric, point.ranked), format!("{name} with {best} alone"));
        add(text::metric(curve.metric, point.random_mean), format!("{name} with {random}"));
    } else if let Some(best) = facts.ranked.first().filter(|best| !facts.dropped(best)) {
        add(best.name.clone(), format!("is the most relevant {}", facts.noun()));
    }
    if out.len() < 4
        && let Some(last) = page.history.last()
    {
        let label = if last.epoch == 1 { "epoch of training" } else { "epochs of training" };
        out.push(KeyFigure::new(count(last.epoch), label));
    }
    out
}

/// Accuracies are shares, every other score is a number.
fn is_share(name: &str) -> bool {
    name.to_lowercase().contains("accuracy")
}

fn scores(scores: &[(String, Vec<(String, f64)>)]) -> Option<Table> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in scores.iter().flat_map(|(_, values)| values) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let columns = [Column::text("rows")].into_iter().chain(names.iter().map(|&name| Column::number(name))).collect();
    let score = |name: &str, value: f64| if is_share(name) { percent(value) } else { number(value) };
    let rows = scores.iter().map(|(set, values)| {
        let value = |name: &&str| values.iter().find(|(other, _)| other == name);
        let cells = names.iter().map(|name| value(name).map_or_else(|| "–".to_owned(), |(name, v)| score(name, *v)));
        [set.clone()].into_iter().chain(cells).collect()
    });
    (!names.is_empty()).then(|| Table { narrow: true, ..Table::new(columns, rows.collect()) })
}

fn examples_title(facts: &Facts) -> String {
    let marked = match facts.shape {
        Shape::Image(grid) => grid.pixels_of(&facts.marked).len(),
        _ => facts.marked.len(),
    };
    match (facts.shape, marked) {
        (Shape::Table, _) | (_, 0) => "Examples".to_owned(),
        (Shape::Image(_), 1) => "Examples, whole and with the best pixel alone".to_owned(),
        (Shape::Image(_), n) => format!("Examples, whole and with the {n} best pixels alone"),
        (Shape::Spectrum, n) => format!("Examples, with the {n} best inputs marked"),
    }
}

fn ranking_table(facts: &Facts) -> Table {
    let spread = facts.ranked.iter().any(|f| f.relevance_std > 0.0);
    let mut columns = vec![Column::number("rank"), Column::text(facts.noun())];
    columns.extend(["λ", "‖ψ‖₂", "λ̃"].map(Column::number));
    columns.extend(spread.then(|| Column::number("± std")));
    let control = facts.page.assessment.and_then(|a| a.control.as_ref());
    columns.extend(control.map(|_| Column::text("above noise")));
    let row = |f: &&RankedFeature| {
        let cells = [
            f.rank.to_string().into(),
            Cell::from(shorten(&f.name, 22)).tip(shorten(&f.name, 200)),
            number(f.lambda).into(),
            number(f.psi_norm).into(),
            Text::strong(number(f.relevance)).into(),
        ];
        let std = spread.then(|| Cell::from(number(f.relevance_std)));
        let above = control.map(|control| Cell::from(above_noise(control, f.feature)));
        let tone = if facts.faint(f) { Tone::Faint } else { Tone::Plain };
        cells.into_iter().chain(std).chain(above).collect::<Row>().tone(tone)
    };
    let table = Table::new(columns, facts.ranked.iter().take(TABLE_ROWS).map(row).collect());
    let mut caption = String::new();
    if facts.page.columns > OPEN_ROWS.min(facts.ranked.len()) {
        caption = format!(
            "relevance.csv holds all {} {}s. Grey rows are below the threshold. ",
            count(facts.page.columns),
            facts.noun()
        );
    }
    if let Some(control) = control {
        caption.push_str(&format!(
            "Above noise: more relevant than each of {} shuffled copies of the inputs in networks that see both, and than the threshold; \
             with how many times the strongest copy's relevance (which is {} of the largest) the input has there. The relevance \
             λ̃ is the model's own, which hasn't seen copies: the two may order inputs differently.",
            count(control.copies),
            percent(control.noise)
        ));
    }
    // Seven columns need the whole width.
    let halves = table.columns.len() < 7;
    Table { open: Some(OPEN_ROWS), halves, ..table.caption(caption) }
}

fn explanation(facts: &Facts) -> Vec<Block> {
    let replicas = match facts.ranked.iter().any(|f| f.relevance_std > 0.0) {
        true => " Several networks were trained from different random starts; the figures show their mean and spread.",
        false => "",
    };
    vec![
        Block::Paragraph(Text::marked(match facts.page.by_channel {
            false => {
                "The network's first layer multiplies each input i by an eigenvalue λ_{i} and a column ψ_{i} of eigenvector entries. \
                 Its relevance is the size of both together:"
            }
            true => {
                "The network's first convolution multiplies each channel i, wherever its window stands, by an eigenvalue λ_{i} and a slice \
                 ψ_{i} of eigenvector entries, one for each filter and each element of the window. Its relevance is the size of both \
                 together:"
            }
        })),
        Block::Formula(Text::marked("λ̃_{i} = |λ_{i}| · ‖ψ_{i}‖_{2}")),
        Block::Paragraph(
            format!(
                "A penalty during training pulls the eigenvalues of {}s that the task can do without to zero, so what stays is \
                 what the network uses. Compare values within this page only: relevance is relative to the largest one, and it \
                 shrinks as the {}s' own scale grows.{replicas}",
                facts.noun(),
                facts.noun()
            )
            .into(),
        ),
    ]
}
