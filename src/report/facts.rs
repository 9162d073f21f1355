//! What a training's page shows, and what its figures derive from it.

use super::tables;
use crate::assess::{Assessment, Verdict};
use crate::data::Axis;
use crate::relevance::{Curve, CurvePoint, RankedFeature};
use crate::train::{EpochRecord, Metric};

/// More features than this on a single axis read better as a line.
const SPECTRUM_FROM: usize = 200;
/// What the axis of a table is called.
const TABLE_AXIS: &str = "feature";

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
    /// Shown instead of the scores: how sure they are, and whether there is anything to believe.
    pub assessment: Option<&'a Assessment>,
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
        let mut facts =
            Facts { page, ranked, max, kept: 0, marked: Vec::new(), mark, shape: shape_of(page.axes, page.columns) };
        let kept: Vec<usize> = facts.ranked.iter().filter(|f| !facts.dropped(f)).map(|f| f.feature).collect();
        facts.kept = kept.len().min(page.columns);
        facts.marked = kept.into_iter().filter(|&feature| feature < page.columns).take(mark).collect();
        facts
    }

    /// λ̃ relative to the largest, 0..1.
    pub(crate) fn share(&self, feature: &RankedFeature) -> f64 {
        if self.max > 0.0 { (feature.relevance / self.max).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Unless the model is no better than a constant answer.
    pub(crate) fn supported(&self) -> bool {
        self.page.assessment.is_none_or(|a| a.verdict != Verdict::Unsupported)
    }

    /// Dropped, or no more relevant than noise would be.
    pub(crate) fn faint(&self, feature: &RankedFeature) -> bool {
        let control = self.page.assessment.and_then(|a| a.control.as_ref());
        self.dropped(feature) || !self.supported() || control.is_some_and(|control| !control.above[feature.feature])
    }

    pub(crate) fn dropped(&self, feature: &RankedFeature) -> bool {
        feature.relevance <= 0.0 || self.share(feature) < self.page.threshold
    }

    /// The point of the curve worth a sentence: the fewest inputs within one standard error of all, where that is known; else as many
    /// as get outlined, of many features, or the fewest that are nearly as good as all.
    pub(crate) fn highlight(&self) -> Option<&CurvePoint> {
        let curve = self.page.curve?;
        if let Some(judged) = self.page.assessment.and_then(|a| a.part(&curve.rows)) {
            let enough = curve.enough(judged.score.se).filter(|p| p.k < self.page.columns);
            if enough.is_some() {
                return enough;
            }
        }
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
        // The columns of a table have no order that a line could show.
        [axis] if inputs > SPECTRUM_FROM && axis.name != TABLE_AXIS => Shape::Spectrum,
        _ => Shape::Table,
    }
}
