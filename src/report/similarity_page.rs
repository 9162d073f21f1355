//! The page of similarities.

use super::explain_figures::{self as figures, Compared};
use super::explain_reading::Reading;
use super::page::{Block, Figure, KeyFigure, Method, Page};
use super::text::{self, count, short};

/// What the page of `similarity` shows.
#[derive(Debug, Clone, Copy)]
pub struct SimilarityPage<'a> {
    /// What the model was trained on, or its own file.
    pub source: &'a str,
    pub split: &'a str,
    pub is_cut: bool,
    /// `[components·rows, components·rows]`.
    pub matrix: &'a [f64],
    pub rows: usize,
    pub components: usize,
    /// Of each row its number, its label and its file where it has them.
    pub numbers: &'a [u32],
    pub labels: Option<&'a [String]>,
    pub names: Option<&'a [String]>,
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
        let reading = Reading {
            remainder: false,
            forms: Vec::new(),
            bypass: !self.is_cut,
            shown: None,
            by_feature: false,
            scaled: false,
        };
        page.section("How to read this", reading.blocks());
        page
    }

    /// Row against row for the first ranks, and all against all.
    fn figures(&self) -> Vec<Figure> {
        let width = self.rows * self.components;
        let row = |i: usize| {
            let label = self.labels.map(|labels| labels[i].as_str());
            Compared::new(self.numbers[i] as usize, label, self.names.map(|names| names[i].as_str()))
        };
        let rows: Vec<Compared<'_>> = (0..self.rows).map(row).collect();
        let one = |k: usize| {
            let block: Vec<f64> = (0..self.rows)
                .flat_map(|i| (0..self.rows).map(move |j| (k * self.rows + i) * width + k * self.rows + j))
                .map(|at| self.matrix[at])
                .collect();
            figures::grouped(&format!("Vectors ranked {} by |α|", k + 1), &block, &rows)
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
