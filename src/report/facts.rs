//! What a training's page shows, and what its figures derive from it.

use super::tables;
use crate::assess::{Assessment, Verdict};
use crate::data::Axis;
use crate::relevance::{Curve, CurvePoint, RankedFeature};
use crate::train::{EpochRecord, Metric};

/// More features than this on a single axis read better as a line.
const SPECTRUM_FROM: usize = 200;
/// What the axis of a picture's channels is called.
pub(crate) const CHANNEL_AXIS: &str = "channel";
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
    /// The ranking is of channels, not of the columns of a row with these axes.
    pub by_channel: bool,
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
    pub values: Vec<f64>,
    pub label: String,
    pub predicted: String,
}

/// How the input is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Image(Grid),
    Spectrum,
    Table,
}

/// A picture's pixels: how the columns of a row are laid out over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) channels: usize,
    /// Whether a row holds its channels one after the other instead of pixel by pixel.
    pub(crate) first: bool,
}

impl Grid {
    fn of(axes: &[Axis]) -> Option<Grid> {
        let names: Vec<&str> = axes.iter().map(|axis| axis.name.as_str()).collect();
        let (rows, columns, channels, first) = match names[..] {
            ["row", "column"] => (axes[0].len, axes[1].len, 1, false),
            ["row", "column", CHANNEL_AXIS] => (axes[0].len, axes[1].len, axes[2].len, false),
            [CHANNEL_AXIS, "row", "column"] => (axes[1].len, axes[2].len, axes[0].len, true),
            _ => return None,
        };
        Some(Grid { rows, columns, channels, first })
    }

    pub(crate) fn pixels(self) -> usize {
        self.rows * self.columns
    }

    /// The pixel that an input belongs to.
    pub(crate) fn pixel(self, input: usize) -> usize {
        if self.first { input % self.pixels() } else { input / self.channels }
    }

    /// The input that a channel of a pixel is.
    pub(crate) fn input(self, pixel: usize, channel: usize) -> usize {
        if self.first { channel * self.pixels() + pixel } else { pixel * self.channels + channel }
    }

    /// One value for each pixel: its channels' values, put together.
    pub(crate) fn by_pixel(self, values: &[f64], together: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let channels = |pixel| (0..self.channels).map(move |channel| values[self.input(pixel, channel)]);
        (0..self.pixels()).map(|pixel| channels(pixel).reduce(&together).unwrap_or(0.0)).collect()
    }

    /// The pixels of some inputs, each once, in the inputs' order.
    pub(crate) fn pixels_of(self, inputs: &[usize]) -> Vec<usize> {
        let mut pixels = Vec::new();
        for pixel in inputs.iter().map(|&input| self.pixel(input)) {
            if !pixels.contains(&pixel) {
                pixels.push(pixel);
            }
        }
        pixels
    }
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
        let shape = if page.by_channel { Shape::Table } else { shape_of(page.axes, page.columns) };
        let mut facts = Facts { page, ranked, max, kept: 0, marked: Vec::new(), mark, shape };
        let kept: Vec<usize> = facts.ranked.iter().filter(|f| !facts.dropped(f)).map(|f| f.feature).collect();
        facts.kept = kept.len().min(page.columns);
        facts.marked = kept.into_iter().filter(|&feature| feature < page.columns).take(mark).collect();
        facts
    }

    /// λ̃ relative to the largest, 0..1.
    pub(crate) fn share(&self, feature: &RankedFeature) -> f64 {
        if self.max > 0.0 { (feature.relevance / self.max).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// What the ranking is of.
    pub(crate) fn noun(&self) -> &'static str {
        if self.page.by_channel { "channel" } else { "input" }
    }

    /// Unless the model is no better than a constant answer.
    pub(crate) fn supported(&self) -> bool {
        self.page.assessment.is_none_or(|a| a.verdict != Verdict::Unsupported)
    }

    /// No more relevant than noise would be, or, where that isn't known, dropped. A category's columns are judged together, so one of
    /// them may be above noise though it would count as dropped by itself.
    pub(crate) fn faint(&self, feature: &RankedFeature) -> bool {
        let control = self.page.assessment.and_then(|a| a.control.as_ref());
        !self.supported() || control.map_or_else(|| self.dropped(feature), |control| !control.above[feature.feature])
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
    let fits = |grid: &Grid| inputs > 0 && grid.pixels().checked_mul(grid.channels) == Some(inputs);
    match (Grid::of(axes).filter(fits), axes) {
        (Some(grid), _) => Shape::Image(grid),
        // The columns of a table have no order that a line could show.
        (None, [axis]) if inputs > SPECTRUM_FROM && axis.name != TABLE_AXIS => Shape::Spectrum,
        _ => Shape::Table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_stand_first_or_last() {
        let axes = |names: [(&str, usize); 3]| names.map(|(name, len)| Axis::new(name, len));
        let last = shape_of(&axes([("row", 2), ("column", 4), ("channel", 3)]), 24);
        let first = shape_of(&axes([("channel", 3), ("row", 2), ("column", 4)]), 24);
        let (Shape::Image(last), Shape::Image(first)) = (last, first) else { panic!("pictures") };
        for pixel in 0..8 {
            for channel in 0..3 {
                assert_eq!(last.input(pixel, channel), 3 * pixel + channel);
                assert_eq!(first.input(pixel, channel), 8 * channel + pixel);
                assert_eq!(last.pixel(last.input(pixel, channel)), pixel);
                assert_eq!(first.pixel(first.input(pixel, channel)), pixel);
            }
        }
        let values: Vec<f64> = (0..24).map(f64::from).collect();
        assert_eq!(first.by_pixel(&values, |a, b| a + b)[5], 5.0 + 13.0 + 21.0);
        assert_eq!(last.by_pixel(&values, f64::max)[7], 23.0);
        assert_eq!(first.pixels_of(&[21, 5, 2, 13]), [5, 2]);
        assert_eq!(shape_of(&axes([("row", 2), ("column", 4), ("channel", 3)]), 23), Shape::Table);
    }
}
