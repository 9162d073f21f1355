//! The pages of explanations and of similarities.

use super::dependence_figures::dependence;
use super::explain_figures as figures;
use super::facts::{Shape, shape_of};
use super::feature_figures::{self, OneRow};
use super::page::{Block, Definitions, Figure, KeyFigure, Method, Page, Text};
use super::text::{self, count, many, number, percent, short, shorten};
use crate::data::{Axis, Task};
use crate::model::Description;
use crate::specxai::{Explanation, Output, Reduction, Spectrum, averaged, contract, rank_correlation};

/// One explanation with its input.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    pub explanation: &'a Explanation,
    /// As it came, before scaling.
    pub input: &'a [f32],
    pub label: Option<&'a str>,
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
        Some(Units { factor: 1.0 / f64::from(*scaling.scale.get(j)?), shift: f64::from(*scaling.shift.get(j)?) })
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
            bypass: all().any(|e| !e.is_cut),
            shown: Some(self.reduction),
            by_feature,
            scaled: (0..d.targets.len()).any(|j| Units::of(Output::Index(j), d).is_some_and(|units| !units.trivial())),
        }
        .blocks()
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
            lead.push_str(&format!(
                " The components are those of the largest singular values, of which there are too many to compute: {} of what the split \
                 carries (in size, mean over the rows) lies outside of them, in the remainder, so they don't explain the outputs alone.",
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

    /// How much of what the split carries lies outside of the components: |remainder| over that and |Σα|, mean over the rows shown.
    fn unresolved(&self) -> f64 {
        let share = |shown: &Shown<'_>| {
            let (rest, sum) = (shown.explanation.remainder.abs(), shown.explanation.alpha_sum().abs());
            if rest + sum > 0.0 { rest / (rest + sum) } else { 0.0 }
        };
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
    fn contracted(&self, shown: &Shown<'_>, along: usize) -> (Explanation, Vec<f32>) {
        let axes = &self.description.axes;
        let e = shown.explanation;
        let maps = e.maps.iter().map(|map| contract(map, axes, along)).collect();
        let input: Vec<f64> = shown.input.iter().map(|&x| f64::from(x)).collect();
        let input = averaged(&input, axes, along).into_iter().map(|x| x as f32).collect();
        (Explanation { maps, attribution: contract(&e.attribution, axes, along), ..e.clone() }, input)
    }

    /// The maps of a row, contracted where an axis was named.
    fn maps(&self, shown: &Shown<'_>, shape: Shape) -> Vec<Block> {
        let axes = &self.description.axes;
        let Some(along) = self.along.filter(|_| axes.len() > 1) else {
            let names: Vec<String> = self.description.features.iter().map(|f| f.name.clone()).collect();
            return figures::maps(shown.explanation, shown.input, shape, &names);
        };
        let left: Vec<Axis> = axes.iter().enumerate().filter(|(i, _)| *i != along).map(|(_, a)| a.clone()).collect();
        let places: usize = left.iter().map(|axis| axis.len).product();
        let names: Vec<String> = (0..places).map(|place| place_name(&left, place)).collect();
        let (e, input) = self.contracted(shown, along);
        let mut maps = figures::maps(&e, &input, shape_of(&left, places), &names);
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
        let title = format!(
            "Row {}{}: {} = {}",
            e.row,
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
        let label = |&i: &usize| self.labels.map_or("", |labels| labels[self.order[i]].as_str());
        let mut places: Vec<usize> = (0..self.order.len()).collect();
        places.sort_by(|a, b| label(a).cmp(label(b)));
        grouped(
            "Similarity of the rows' main singular vectors",
            &self.similarity,
            &places,
            &places.iter().map(label).collect::<Vec<_>>(),
        )
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

/// A similarity matrix in another order, with neighbours of one label as a group.
fn grouped(title: &str, matrix: &[f64], places: &[usize], labels: &[&str]) -> Option<Figure> {
    let n = places.len();
    let sorted: Vec<f64> = places.iter().flat_map(|&i| places.iter().map(move |&j| matrix[i * n + j])).collect();
    let mut groups: Vec<(String, usize)> = Vec::new();
    for label in labels {
        match groups.last_mut() {
            Some((name, size)) if name == label => *size += 1,
            _ => groups.push(((*label).to_owned(), 1)),
        }
    }
    // Numbers as labels make a group of every row: then the names say nothing.
    let number = |(name, _): &(String, usize)| name.parse().is_ok_and(|value: f64| value.fract() != 0.0);
    if groups.len() > 12 || groups.iter().any(number) {
        groups.clear();
    }
    figures::similarity(
        title,
        &sorted,
        n,
        &groups,
        "|cosine| of the right singular vectors with the largest |α|, row against row.",
    )
}

/// What a page tells about how its sums come about.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Some operators were too large to be decomposed whole.
    remainder: bool,
    /// Some split is no cut of the graph.
    bypass: bool,
    /// Maps and shares are on the page, after this reduction.
    shown: Option<Reduction>,
    /// What each feature adds is on the page.
    by_feature: bool,
    /// Outputs are not in the targets' units.
    scaled: bool,
}

impl Reading {
    fn blocks(self) -> Vec<Block> {
        let when = |condition: bool, text: &'static str| if condition { text } else { "" };
        let mut out = vec![
            Text::marked(format!(
                "At each input the network is an affine map, y = J x̃ + Σβ. Split at a node, J = L R{}; the singular value \
                 decomposition R = P Σ Vᵀ turns the output into a sum,",
                when(self.bypass, " + J_{by}, where paths go around it"),
            )),
            Text::marked(format!(
                "y = Σ_{{k}} α_{{k}}{}{} + Σ_{{n}} β_{{n}}, \u{2002} α_{{k}} = (L P)_{{k}} · σ_{{k}} (V_{{k}}·x̃)",
                when(self.remainder, " + remainder"),
                when(self.bypass, " + bypass"),
            )),
        ];
        if self.bypass {
            out.push(Text::marked(
                "Where a split is no cut of the graph, the bypass J_{by} x̃ is what reaches the output around it.",
            ));
        }
        if self.remainder {
            out.push(
                "Where R was too large to be formed, only its largest components were found; the remainder is what all others add, \
                 computed by itself."
                    .into(),
            );
        }
        if let Some(reduction) = self.shown {
            out.push(
                "Each contribution α has a map over the inputs that adds up to it, and the intercepts β are what biases, batch norm \
                 and curved activations add. Nothing is estimated: the residual says how far the sum is from the network's own \
                 output."
                    .into(),
            );
            out.push(
                format!(
                    "{} Components of equal σ (a cluster) are defined only together, each with a sign of its own: add up their α and \
                     shares before reading them.",
                    reduced(reduction)
                )
                .into(),
            );
        }
        if self.by_feature {
            out.push(
                "By feature, an output is a base and what each feature adds, slope times scaled input (a categorical variable's columns \
                 together). The base is Σβ: what the affine map of this row gives where every input is zero after scaling, which with \
                 standardised inputs is their training mean. Parts of correlated features are shares of one effect: change one \
                 alone, and the others would not stay as they are."
                    .into(),
            );
        }
        if self.scaled {
            out.push(
                "The network was trained on scaled targets: α, β and the maps are in that scale (standard deviations, with \
                 standardised targets). Multiplied by the factor beside an output they are in the target's units, as the features' \
                 parts are; shares are the same in both."
                    .into(),
            );
        }
        out.push(
            "Singular vectors have no sign of their own; it is chosen so that the input lies on their positive side."
                .into(),
        );
        let block = |(i, text)| if i == 1 { Block::Formula(text) } else { Block::Paragraph(text) };
        out.into_iter().enumerate().map(block).collect()
    }
}

/// What a reduction has done.
fn reduced(reduction: Reduction) -> String {
    match reduction {
        Reduction::None => {
            "Contributions are not reduced; shares are of their sum, so that those against it are negative.".into()
        }
        Reduction::Cancel => {
            "Contributions that work against each other are added pairwise, largest with largest, until one \
                              sign is left; shares are of what remains."
                .into()
        }
        Reduction::ProRata => {
            "Contributions with the sign of their sum are scaled down to that sum, pro rata, and the others \
                               are set to zero; shares are of the sum."
                .into()
        }
        Reduction::TopN(n) => {
            format!(
                "Of the contributions only the {n} of largest magnitude are kept, as they are; shares are of their sum."
            )
        }
        Reduction::Quantile(q) => format!(
            "Only contributions whose magnitude is at least the quantile {q} of all are kept, as they are; shares are of their \
             sum."
        ),
    }
}

/// What the page of `similarity` shows.
#[derive(Debug, Clone, Copy)]
pub struct SimilarityPage<'a> {
    pub source: &'a str,
    pub split: &'a str,
    pub is_cut: bool,
    /// `[components·rows, components·rows]`.
    pub matrix: &'a [f64],
    pub rows: usize,
    pub components: usize,
    pub labels: Option<&'a [String]>,
    /// Of each component, mean |cosine| between different rows; `None` where fewer than two rows have it.
    pub means: &'a [Option<f64>],
    pub regions: Option<usize>,
}

impl SimilarityPage<'_> {
    /// The whole page.
    pub fn page(&self) -> Page {
        let mut lead = format!(
            "Right singular vectors of the local operators of {} rows, split at {}, compared with each other.",
            count(self.rows),
            self.split
        );
        if let Some(regions) = self.regions {
            lead.push_str(&format!(
                " The rows lie in {} linear regions; rows of one region share one operator.",
                count(regions)
            ));
        }
        let number = |(k, mean): (usize, &Option<f64>)| {
            let label = format!("mean |cosine| of the vectors ranked {}", k + 1);
            KeyFigure::new(mean.map_or_else(|| "–".into(), short), label)
        };
        let mut page = Page {
            kind: "Similarity report",
            title: format!("How alike are the explanations? {}", text::source_name(self.source)),
            lead: vec![lead],
            numbers: self.means.iter().enumerate().take(4).map(number).collect(),
            sections: Vec::new(),
            method: Method::SpecXai,
            links: Vec::new(),
        };
        page.section("Row against row", Block::pairs(self.figures()));
        let reading = Reading { remainder: false, bypass: !self.is_cut, shown: None, by_feature: false, scaled: false };
        page.section("How to read this", reading.blocks());
        page
    }

    /// Row against row for the first ranks, and all against all.
    fn figures(&self) -> Vec<Figure> {
        let width = self.rows * self.components;
        let mut places: Vec<usize> = (0..self.rows).collect();
        let label = |&i: &usize| self.labels.map_or("", |labels| labels[i].as_str());
        places.sort_by(|a, b| label(a).cmp(label(b)));
        let labels: Vec<&str> = places.iter().map(label).collect();
        let one = |k: usize| {
            let block: Vec<f64> = (0..self.rows)
                .flat_map(|i| (0..self.rows).map(move |j| (k * self.rows + i) * width + k * self.rows + j))
                .map(|at| self.matrix[at])
                .collect();
            grouped(&format!("Vectors ranked {} by |α|", k + 1), &block, &places, &labels)
        };
        let mut out: Vec<Figure> = (0..self.components.min(6)).filter_map(one).collect();
        if self.components > 1 {
            out.extend(figures::similarity(
                "All vectors",
                self.matrix,
                width,
                &(0..self.components).map(|k| (format!("ranked {}", k + 1), self.rows)).collect::<Vec<_>>(),
                "All vectors of all rows, the largest contributions first (SpecXAI, figure 5).",
            ));
        }
        out
    }
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
