//! The page of explanations.

use super::dependence_figures::dependence;
use super::explain_figures::{self as figures, Compared};
use super::explain_reading::Reading;
use super::facts::{CHANNEL_AXIS, Shape, shape_of};
use super::feature_figures::{self, OneRow};
use super::page::{Block, Definitions, Figure, KeyFigure, Method, Page, Tiles};
use super::photo_figures::{BestClass, Photo};
use super::text::{self, count, many, number, percent, short, shorten};
use crate::data::{Axis, Channels, Task};
use crate::model::Description;
use crate::specxai::{Explanation, Form, Output, Reduction, Spectrum, averaged, contract, rank_correlation};

/// One explanation with its input.
#[derive(Debug, Clone)]
pub struct Shown<'a> {
    pub explanation: &'a Explanation,
    /// As it came, before scaling.
    pub input: &'a [f64],
    pub label: Option<&'a str>,
    /// A picture's file.
    pub name: Option<&'a str>,
    /// The classes with the largest outputs, of a picture.
    pub best: Vec<BestClass>,
    /// The same row at every split, this one included.
    pub at_splits: &'a [Explanation],
}

/// Share of the remainder up to which the components are an explanation by themselves.
const MOSTLY_RESOLVED: f64 = 0.05;

/// What the page of `explain` shows.
#[derive(Debug, Clone)]
pub struct ExplainPage<'a> {
    pub description: &'a Description,
    /// Rows explained in all.
    pub rows: usize,
    /// Of which part of the model's split they are, where that is known.
    pub part: Option<&'a str>,
    pub settings: Vec<(String, String)>,
    /// The rows are pictures whose pixels go from 0 to 255, in this order of channels.
    pub pictures: Option<Channels>,
    /// An axis of the input that maps were summed over.
    pub along: Option<usize>,
    /// What the reduced contributions and the shares are of.
    pub reduction: Reduction,
    pub shown: Vec<Shown<'a>>,
    /// Every row explained, by feature; those shown are its first.
    pub by_feature: Vec<OneRow<'a>>,
    /// What has to be said before anything else.
    pub caution: Option<String>,
    /// Features that stand in a row's figures, the others as their sum.
    pub top: usize,
    pub spectra: &'a [Spectrum],
    /// Rows whose main singular vectors `similarity` compares, by their place among the rows.
    pub order: Vec<usize>,
    pub labels: Option<&'a [String]>,
    pub similarity: Vec<f64>,
    pub relevance: &'a [f64],
    /// Σ_k |A_k|, mean over the rows.
    pub size: &'a [f64],
    pub beta: Vec<(String, f64)>,
    /// Distinct linear regions.
    pub regions: Option<usize>,
    pub worst: f64,
    pub worst_map: f64,
}

/// What an output is called: its class or target.
pub fn output_name(output: Output, targets: &[String]) -> String {
    let name = |j: usize| targets.get(j).cloned().unwrap_or_else(|| j.to_string());
    match output {
        Output::Index(j) => name(j),
        Output::Difference(a, b) => format!("{} − {}", name(a), name(b)),
        Output::Predicted => "predicted".into(),
    }
}

/// How a number that a network predicts, in the scale that it was trained in, becomes one in the target's units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Units {
    factor: f64,
    shift: f64,
}

impl Units {
    /// `None` for classes, and for differences of outputs, whose units may differ.
    pub fn of(output: Output, description: &Description) -> Option<Self> {
        let Output::Index(j) = output else { return None };
        if description.task == Task::Classify {
            return None;
        }
        let scaling = &description.target_scaling;
        Some(Units { factor: 1.0 / (*scaling.scale.get(j)?), shift: (*scaling.shift.get(j)?) })
    }

    /// Target's units for one of the output.
    pub fn factor(self) -> f64 {
        self.factor
    }

    pub fn convert(self, y: f64) -> f64 {
        y * self.factor + self.shift
    }

    /// Whether outputs are in the target's units as they are.
    fn trivial(self) -> bool {
        self.factor == 1.0 && self.shift == 0.0
    }

    /// An output's value in the target's units, with how it came from the network's own; as it is for classes, and for numbers that
    /// were not scaled.
    pub fn text(output: Output, y: f64, description: &Description) -> String {
        match Self::of(output, description) {
            Some(units) if !units.trivial() => {
                let (sign, shift) = if units.shift < 0.0 { ('−', -units.shift) } else { ('+', units.shift) };
                format!(
                    "{} (in the target's units: {} × {} {sign} {})",
                    number(units.convert(y)),
                    number(y),
                    number(units.factor),
                    number(shift),
                )
            }
            None if description.task != Task::Classify => format!("{} (scaled as in training)", number(y)),
            _ => number(y),
        }
    }
}

impl ExplainPage<'_> {
    /// The whole page.
    pub fn page(&self) -> Page {
        let shape = shape_of(&self.description.axes, self.description.features.len());
        let correlation =
            rank_correlation(self.relevance, self.size).filter(|_| self.relevance.len() == self.size.len());
        let mut page = Page {
            kind: "Explanation report",
            title: format!("Why these outputs? {}", text::source_name(&self.description.source)),
            lead: self.caution.clone().into_iter().chain([self.lead(shape, correlation)]).collect(),
            numbers: self.key_figures(),
            sections: Vec::new(),
            method: Method::SpecXai,
            links: Vec::new(),
        };
        if shape == Shape::Table {
            let mut across = feature_figures::over_rows(&self.by_feature, &self.scale_of_parts());
            across.extend(self.dependence());
            page.section("Over the rows, by feature", across);
        }
        let rows =
            self.shown.iter().zip(&self.by_feature).map(|(shown, by_feature)| self.row(shown, by_feature, shape));
        page.section(self.rows_title(), rows.collect());
        page.section("Over the layers, means over the rows", figures::spectra(self.spectra).into_iter().collect());
        let across = [self.similarity_figure(), figures::intercepts(&self.beta)];
        let across = across.map(|figure| figure.into_iter().map(Block::from).collect());
        page.section("Across the rows", vec![Block::Columns(across.to_vec())]);
        let names: Vec<&str> = self.description.features.iter().map(|f| f.name.as_str()).collect();
        let agreement = figures::agreement(self.relevance, self.size, &names, shape, correlation);
        page.section("Ranking and explanations side by side", agreement);
        page.section("How to read this", self.reading(shape == Shape::Table));
        page.section("How it was made", vec![Definitions::new("Settings", self.settings.iter().cloned()).into()]);
        page
    }

    fn reading(&self, by_feature: bool) -> Vec<Block> {
        let all = || self.shown.iter().flat_map(|shown| shown.at_splits);
        let left_over = |e: &Explanation| !e.bounds.is_empty() || figures::has_remainder(e);
        let d = self.description;
        Reading {
            remainder: all().any(left_over),
            forms: self.forms(),
            bypass: all().any(|e| !e.is_cut),
            shown: Some(self.reduction),
            by_feature,
            scaled: (0..d.targets.len()).any(|j| Units::of(Output::Index(j), d).is_some_and(|units| !units.trivial())),
        }
        .blocks()
    }

    /// In which forms the rows shown were decomposed, each once.
    fn forms(&self) -> Vec<Form> {
        let mut forms = Vec::new();
        for e in self.shown.iter().flat_map(|shown| shown.at_splits) {
            if !forms.contains(&e.form) {
                forms.push(e.form);
            }
        }
        forms
    }

    fn lead(&self, shape: Shape, correlation: Option<f64>) -> String {
        let split = self.spectra.first().map_or("", |s| s.split.as_str());
        let part = self.part.map_or_else(String::new, |part| format!("{part} "));
        let mut lead = format!("The outputs for {}, each as an exact sum", many(self.rows, &format!("{part}row")));
        let most = feature_figures::in_words(&self.by_feature);
        if shape == Shape::Table && !most.is_empty() {
            lead.push_str(&format!(
                " of what its features add. On average {most} add or take away most. The sums are also split at {split} into \
                 spectral components."
            ));
        } else {
            lead.push_str(&format!(" of spectral contributions split at {split}."));
        }
        let rest = self.unresolved();
        if rest > MOSTLY_RESOLVED {
            let top = self.shown.first().is_some_and(|shown| shown.explanation.form == Form::Top);
            lead.push_str(&format!(
                " The components are {}, not all there are: {} of what passes the split (in size, mean over the \
                 rows) lies outside of them, in the remainder, so they don't explain the outputs alone.",
                if top {
                    "those of the largest singular values"
                } else {
                    "singular vectors near what the output reads"
                },
                percent(rest)
            ));
        }
        if let Some(s) = self.spectra.first().filter(|s| !s.reduced.is_empty() && rest <= MOSTLY_RESOLVED) {
            let half = s
                .reduced
                .iter()
                .scan(0.0, |sum, share| {
                    *sum += share;
                    Some(*sum)
                })
                .position(|sum| sum > 0.9);
            lead.push_str(&format!(
                " Of {:.0} components a row on average, {} {} 90 % of {}.",
                s.rank,
                half.map_or(s.reduced.len(), |k| k + 1),
                if half == Some(0) { "carries" } else { "carry" },
                if self.reduction == Reduction::None { "Σ|α|" } else { "what is left after the reduction" }
            ));
        }
        if let Some(r) = correlation {
            lead.push_str(&format!(
                " The inputs' relevance λ̃ and their mean part in the outputs have a rank correlation of {}.",
                short(r)
            ));
        }
        lead
    }

    /// How much of what passes the split lies outside of the components, mean over the rows shown.
    fn unresolved(&self) -> f64 {
        let share = |shown: &Shown<'_>| shown.explanation.remainder_share();
        self.shown.iter().map(share).sum::<f64>() / self.shown.len().max(1) as f64
    }

    fn key_figures(&self) -> Vec<KeyFigure> {
        let mut numbers = vec![
            KeyFigure::new(count(self.rows), if self.rows == 1 { "row explained" } else { "rows explained" }),
            KeyFigure::new(figures::scientific(self.worst), "largest residual of a sum, relative"),
            KeyFigure::new(figures::scientific(self.worst_map), "largest residual of the maps, relative"),
        ];
        numbers.extend(self.regions.map(|n| KeyFigure::new(count(n), "linear regions among them")));
        numbers
    }

    /// An explanation and its input summed (the input: averaged) over an axis.
    fn contracted(&self, shown: &Shown<'_>, along: usize) -> (Explanation, Vec<f64>) {
        let axes = &self.description.axes;
        let e = shown.explanation;
        let maps =
            e.maps.iter().map(|map| if map.is_empty() { Vec::new() } else { contract(map, axes, along) }).collect();
        let input = averaged(shown.input, axes, along);
        (Explanation { maps, attribution: contract(&e.attribution, axes, along), ..e.clone() }, input)
    }

    /// The axis that maps are drawn without. A picture's pixels show the sum over their channels anyway.
    fn contracted_axis(&self, shape: Shape) -> Option<usize> {
        let axes = &self.description.axes;
        let drawn = |along: &usize| matches!(shape, Shape::Image(_)) && axes[*along].name == CHANNEL_AXIS;
        self.along.filter(|along| axes.len() > 1 && !drawn(along))
    }

    /// The maps of a row, contracted where an axis was named.
    fn maps(&self, shown: &Shown<'_>, shape: Shape) -> Vec<Block> {
        let axes = &self.description.axes;
        let photo = match (self.pictures, shape) {
            (Some(channels), Shape::Image(grid)) => Some(Photo::new(shown.input, grid, channels)),
            _ => None,
        };
        let Some(along) = self.contracted_axis(shape) else {
            let names: Vec<String> = self.description.features.iter().map(|f| f.name.clone()).collect();
            return match photo {
                Some(photo) => photo.maps(shown.explanation, &shown.best),
                None => figures::maps(shown.explanation, shown.input, shape, &names),
            };
        };
        let left: Vec<Axis> = axes.iter().enumerate().filter(|(i, _)| *i != along).map(|(_, a)| a.clone()).collect();
        let places: usize = left.iter().map(|axis| axis.len).product();
        let names: Vec<String> = (0..places).map(|place| place_name(&left, place)).collect();
        let (e, input) = self.contracted(shown, along);
        let seen = photo.map(|photo| Tiles { tiles: photo.seen(&shown.best), per_row: Some(4) }.into());
        let mut maps: Vec<Block> = seen.into_iter().collect();
        maps.extend(figures::maps(&e, &input, shape_of(&left, places), &names));
        maps.push(Block::Note(format!("Maps summed over the axis {}.", axes[along].name).into()));
        maps
    }

    /// Parts against values, of the output that most rows are explained for: what raises one class lowers another.
    fn dependence(&self) -> Vec<Block> {
        let rows = &self.by_feature;
        let of = |output: Output| rows.iter().filter(move |row| row.output == output);
        let mut outputs: Vec<Output> = Vec::new();
        for row in rows {
            if !outputs.contains(&row.output) {
                outputs.push(row.output);
            }
        }
        // Of several with as many rows the first.
        let Some(most) = outputs.into_iter().rev().max_by_key(|&output| of(output).count()) else { return Vec::new() };
        let alike: Vec<OneRow<'_>> = of(most).copied().collect();
        let name = output_name(most, &self.description.targets);
        let mut blocks = vec![Block::Heading("What a feature adds, by its value".into())];
        let Some(plots) = dependence(&alike, &name) else { return Vec::new() };
        blocks.push(plots);
        if alike.len() < rows.len() {
            let (some, all) = (count(alike.len()), count(rows.len()));
            blocks
                .push(Block::Note(format!("The {some} of {all} rows whose output is {}.", shorten(&name, 60)).into()));
        }
        blocks
    }

    /// What the parts of all rows are of.
    fn scale_of_parts(&self) -> String {
        let first = self.by_feature.first().map(|row| row.output);
        let same = self.by_feature.iter().all(|row| Some(row.output) == first);
        match first {
            Some(output) if same => output_name(output, &self.description.targets),
            _ => "each row's predicted output".into(),
        }
    }

    fn rows_title(&self) -> String {
        match (self.shown.len(), self.rows) {
            (shown, rows) if shown < rows => format!("Row by row (the first {} of {})", count(shown), count(rows)),
            _ => "Row by row".into(),
        }
    }

    fn row(&self, shown: &Shown<'_>, by_feature: &OneRow<'_>, shape: Shape) -> Block {
        let e = shown.explanation;
        let output = output_name(e.output, &self.description.targets);
        let label = shown.label.map_or_else(String::new, |label| format!(", label {}", text::signed(label)));
        let row = shown.name.map_or_else(|| format!("Row {}", e.row), |name| shorten(name, 60));
        let title = format!(
            "{row}{}: {} = {}",
            shorten(&label, 60),
            shorten(&output, 60),
            Units::text(e.output, e.y, self.description)
        );
        let mut blocks = match shape {
            Shape::Table if self.along.is_none() => {
                let mut left = by_feature.waterfall(self.top, &output);
                left.pictures.splice(0..0, by_feature.force());
                vec![Block::pair(left, by_feature.table(self.top, e))]
            }
            _ => self.maps(shown, shape),
        };
        blocks.push(Block::pair(figures::waterfall(e, &output), figures::components(e)));
        if shown.at_splits.len() > 1 {
            blocks.extend(figures::over_layers(shown.at_splits, shape));
        }
        Block::Article { title, blocks }
    }

    /// The rows grouped by label, so that what is alike stands together.
    fn similarity_figure(&self) -> Option<Figure> {
        let row = |&i: &usize| {
            let label = self.labels.map(|labels| labels[i].as_str());
            Compared::new(self.by_feature[i].row, label, self.shown.get(i).and_then(|shown| shown.name))
        };
        let rows: Vec<Compared<'_>> = self.order.iter().map(row).collect();
        figures::grouped("Similarity of the rows' main singular vectors", &self.similarity, &rows)
    }
}

/// A place in an input by its axes: `row 3, column 7`.
fn place_name(axes: &[Axis], place: usize) -> String {
    let mut inner: usize = axes.iter().map(|axis| axis.len).product();
    let parts = axes.iter().map(|axis| {
        inner /= axis.len;
        format!("{} {}", axis.name, place / inner % axis.len)
    });
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_names() {
        let axes = [("row", 4), ("channel", 3)].map(|(name, len)| Axis::new(name, len));
        assert_eq!(place_name(&axes, 7), "row 2, channel 1");
        assert_eq!(place_name(&axes[..1], 3), "row 3");
    }
}
