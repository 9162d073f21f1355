//! The page of a curve: how few inputs are enough.

use super::assessment;
use super::figures::inputs_kept;
use super::page::{Block, Cell, Column, Definitions, KeyFigure, Method, Page, Row, Table, Text, Tone};
use super::text::{self, count, many, shorten};
use crate::assess::Estimate;
use crate::relevance::{Curve, CurvePoint};

/// What the page of `curve` shows.
#[derive(Debug, Clone)]
pub struct CurvePage<'a> {
    /// The data.
    pub source: &'a str,
    pub curve: &'a Curve,
    /// Rows that the scores are of.
    pub rows: usize,
    /// Standard error over these rows of the score with every input.
    pub se: f64,
    /// Every input, best first.
    pub names: Vec<&'a str>,
    /// Networks whose rankings are followed, each its own.
    pub replicas: usize,
    pub settings: Vec<(String, String)>,
    /// What has to be said of the model first.
    pub caution: Option<&'a str>,
}

impl CurvePage<'_> {
    /// The whole page.
    pub fn page(&self) -> Page {
        let mut page = Page {
            kind: "Curve report",
            title: format!("How few inputs are enough? {}", text::source_name(self.source)),
            lead: self.caution.map(str::to_owned).into_iter().chain([self.lead()]).collect(),
            numbers: self.key_figures(),
            sections: Vec::new(),
            method: Method::Spectral,
            links: Vec::new(),
        };
        let figure = inputs_kept(self.curve, self.names.len(), self.enough());
        let mut figure: Vec<Block> = figure.into_iter().map(Block::from).collect();
        if let [Block::Figure(figure)] = figure.as_mut_slice() {
            // The section's heading is its title.
            figure.title.clear();
        }
        page.section("With the best inputs alone", vec![Block::Columns(vec![figure, vec![self.table().into()]])]);
        page.section("How to read this", self.reading());
        page.section("How it was made", vec![Definitions::new("Settings", self.settings.iter().cloned()).into()]);
        page
    }

    /// The fewest inputs that do as well as all, but for one standard error.
    fn enough(&self) -> Option<&CurvePoint> {
        self.curve.enough(self.se).filter(|point| point.k < self.names.len())
    }

    fn score(&self, value: f64) -> String {
        text::metric(self.curve.metric, value)
    }

    /// With every input, `94.4 ± 5.4 %`.
    fn all(&self) -> String {
        assessment::estimate(self.curve.metric, Estimate { value: self.curve.full, se: self.se })
    }

    fn lead(&self) -> String {
        let n = count(self.names.len());
        let name = text::metric_name(self.curve.metric);
        let on = format!("On {} {} rows", count(self.rows), shorten(&self.curve.rows, 40));
        let Some(point) = self.enough() else {
            let last = self.curve.points.iter().map(|point| point.k).max().unwrap_or(0);
            return match last < self.names.len() {
                false if self.names.len() == 1 => {
                    format!("{on}, with the one input that there is, the {name} is {}.", self.all())
                }
                true => format!(
                    "{on} not even the {} best of {n} inputs come within one standard error of all, whose {name} is {}.",
                    count(last),
                    self.all()
                ),
                false => format!(
                    "{on} no fewer than all {n} inputs come within one standard error of their {name}, {}.",
                    self.all()
                ),
            };
        };
        let (best, random) = match point.k {
            1 => ("the best input alone comes".to_owned(), "a random one reaches".to_owned()),
            k => (format!("the {} best inputs alone come", count(k)), format!("{} random ones reach", count(k))),
        };
        let anew = point.retrained.map_or_else(String::new, |value| {
            let these = if point.k == 1 { "it" } else { "these" };
            format!(" A network trained anew on {these} alone reaches {}.", self.score(value))
        });
        format!(
            "{on} {best} within one standard error of all {n}: {name} {} against {}; {random} {}.{anew}",
            self.score(point.ranked),
            self.all(),
            self.score(point.random_mean)
        )
    }

    fn key_figures(&self) -> Vec<KeyFigure> {
        let name = text::metric_name(self.curve.metric);
        let all = KeyFigure::new(self.score(self.curve.full), format!("{name} with all {}", count(self.names.len())));
        let Some(point) = self.enough() else { return vec![all] };
        let of = format!("of {} within one standard error of all", many(self.names.len(), "input"));
        let random = if point.k == 1 { "one random input" } else { "as many random ones" };
        vec![
            KeyFigure::new(count(point.k), of),
            KeyFigure::new(
                self.score(point.ranked),
                format!("{name} with {}", if point.k == 1 { "it" } else { "these" }),
            ),
            all,
            KeyFigure::new(self.score(point.random_mean), format!("{name} with {random}")),
        ]
    }

    /// One row a k, with the input that joins there.
    fn table(&self) -> Table {
        let retrained = self.curve.points.iter().any(|point| point.retrained.is_some());
        let mut columns = vec![Column::number("inputs"), Column::text(if self.replicas == 1 { "joining" } else { "" })];
        columns.extend(["k best", "k random"].map(Column::number));
        columns.extend(retrained.then(|| Column::number("retrained")));
        let mut before = 0;
        let enough = self.enough().map(|point| point.k);
        let row = |point: &CurvePoint| {
            let joining = self.joining(before, point.k);
            before = point.k;
            // Draws of all inputs are one and the same.
            let random = match point.random_std {
                0.0 => self.score(point.random_mean),
                se => assessment::estimate(self.curve.metric, Estimate { value: point.random_mean, se }),
            };
            let best = self.score(point.ranked);
            let mut cells = vec![
                count(point.k).into(),
                joining,
                Cell::from(if enough == Some(point.k) { Text::strong(best) } else { best.into() }),
                random.into(),
            ];
            cells.extend(retrained.then(|| point.retrained.map_or_else(String::new, |v| self.score(v)).into()));
            cells.into_iter().collect::<Row>()
        };
        let mut rows: Vec<Row> = self.curve.points.iter().filter(|point| point.k > 0).map(row).collect();
        if before < self.names.len() {
            let full = [count(self.names.len()), "all inputs".into(), self.score(self.curve.full), String::new()];
            let full = full.into_iter().chain(retrained.then(String::new));
            rows.push(full.collect::<Row>().tone(Tone::Total));
        }
        Table::new(columns, rows).caption("k random: mean ± standard deviation over the draws.")
    }

    /// What comes from one row to the next. Each of several networks has an order of its own.
    fn joining(&self, before: usize, k: usize) -> Cell {
        match self.names.get(before..k) {
            Some([name]) if self.replicas == 1 => Cell::from(shorten(name, 22)).tip(shorten(name, 200)),
            Some(names) if self.replicas == 1 => many(names.len(), "input").into(),
            _ => "".into(),
        }
    }

    fn reading(&self) -> Vec<Block> {
        let order = match self.replicas {
            1 => "by their relevance λ̃".to_owned(),
            n => format!("by their relevance λ̃ in each of the {n} networks, whose scores are averaged"),
        };
        let mut said = vec![format!(
            "The trained network answers with only the k best inputs, {order}; the others are masked. Where that is nearly as good as              with all of them, the ranking has found what the network uses. Random inputs are the control: a ranking that says nothing              does no better than they do."
        )];
        said.push(
            "One standard error is what the score with all inputs would differ by on other rows of the same kind. Of few rows it is large,              and few inputs are soon as good."
                .into(),
        );
        if self.curve.points.iter().any(|point| point.retrained.is_some()) {
            said.push(
                "A masked network was never trained to do without the others; one that is trained anew on the k best alone says what                  these can do."
                    .into(),
            );
        }
        said.into_iter().map(|text| Block::Paragraph(text.into())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Metric;

    fn page(ranked: &[f64], se: f64) -> Page {
        let point = |(i, &ranked): (usize, &f64)| CurvePoint {
            k: i + 1,
            ranked,
            random_mean: 0.5,
            random_std: 0.05,
            retrained: (i == 1).then_some(0.93),
        };
        let points = ranked.iter().enumerate().map(point).collect();
        let curve = Curve { metric: Metric::Accuracy, rows: "test".into(), mask: "zero".into(), points, full: 0.95 };
        let names = vec!["a", "b < c", "c", "d"];
        let settings = vec![("mask".to_owned(), "zero".to_owned())];
        CurvePage { source: "x.csv", curve: &curve, rows: 40, se, names, replicas: 1, settings, caution: None }.page()
    }

    #[test]
    fn the_lead_says_how_many_are_enough() {
        let found = page(&[0.6, 0.93, 0.94, 0.95], 0.03);
        assert_eq!(
            found.lead[0],
            "On 40 test rows the 2 best inputs alone come within one standard error of all 4: accuracy 93.0\u{202f}% against \
             95.0 ± 3.0\u{202f}%; 2 random ones reach 50.0\u{202f}%. A network trained anew on these alone reaches 93.0\u{202f}%."
        );
        assert_eq!((found.numbers[0].value.as_str(), found.numbers.len()), ("2", 4));
        // Later it falls again: two were not enough.
        let late = page(&[0.6, 0.93, 0.9, 0.95], 0.03);
        assert!(late.lead[0].contains("no fewer than all 4 inputs"), "{}", late.lead[0]);
        let cut = page(&[0.6, 0.7], 0.03);
        assert!(cut.lead[0].contains("not even the 2 best of 4 inputs"), "{}", cut.lead[0]);
        assert!(page(&[0.94, 0.95, 0.95, 0.95], 0.03).lead[0].contains("the best input alone comes within"));
    }

    #[test]
    fn the_table_names_what_joins() {
        let page = page(&[0.6, 0.93, 0.94], 0.03);
        let Block::Columns(columns) = &page.sections[0].blocks[0] else { panic!("two columns") };
        let Block::Table(table) = &columns[1][0] else { panic!("a table") };
        let joining: Vec<String> = table.rows.iter().map(|row| row.cells[1].text.plain()).collect();
        assert_eq!(joining, ["a", "b < c", "c", "all inputs"]);
        let best: Vec<bool> = table.rows.iter().map(|row| row.cells[2].text.0.iter().any(|span| span.strong)).collect();
        assert_eq!(best, [false, true, false, false], "the row that is enough stands out");
        assert_eq!(table.rows.iter().filter(|row| row.tone == Tone::Total).count(), 1);
        assert!(crate::report::html::render(&page).contains("b &lt; c"));
    }
}
