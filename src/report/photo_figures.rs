//! Figures of explained photographs: maps over the picture, and the classes that come into question.

use serde::Serialize;

use super::explain_figures::{caption_of, components_of, note_of_shares};
use super::facts::Grid;
use super::page::{Block, Figure, Picture, Text, Tiles};
use super::picture::{self, NEGATIVE, POSITIVE};
use super::svg::{Anchor, Plot, Scale};
use super::text::{percent, short, shorten};
use crate::data::Channels;
use crate::specxai::Explanation;

/// One of the classes with the largest outputs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BestClass {
    pub name: String,
    pub y: f64,
    pub probability: f64,
}

/// Share of the pixels whose colours are below full strength: a few are far above all others.
const FULL: f64 = 0.995;

/// A photograph that maps are drawn over.
pub(crate) struct Photo {
    grid: Grid,
    colours: Vec<[f64; 3]>,
}

impl Photo {
    /// From a row that holds 0 to 255.
    pub(crate) fn new(input: &[f64], grid: Grid, channels: Channels) -> Photo {
        Photo { grid, colours: colours(input, grid, channels) }
    }

    /// The picture and its best classes.
    pub(crate) fn seen(&self, best: &[BestClass]) -> Vec<Figure> {
        let plain = self.plain("The picture as the network saw it");
        let plain = Figure::new("", plain, Text::strong("as the network saw it"));
        [plain].into_iter().chain(classes(best)).collect()
    }

    /// The picture, its best classes, and the largest components' maps over it.
    pub(crate) fn maps(&self, e: &Explanation, best: &[BestClass]) -> Vec<Block> {
        let drawn = components_of(e);
        let by_pixel = |values: &[f64]| self.grid.by_pixel(values, |a, b| a + b);
        let all = by_pixel(&e.attribution);
        let maps: Vec<Vec<f64>> = drawn.iter().map(|&k| by_pixel(&e.maps[k])).collect();
        // Components have one scale among themselves, their sum has its own: it is far larger where there are many of them.
        let end = maps.iter().map(|map| self.end(map)).fold(0.0, f64::max);
        let end_of_all = self.end(&all);
        let mut tiles = self.seen(best);
        let sum = format!("**all together {}**\nslope × input, ± {}", short(all.iter().sum()), short(end_of_all));
        tiles.push(Figure::new(
            "",
            self.over(&all, end_of_all, "Slope times input over the picture"),
            Text::marked(sum),
        ));
        for (&k, map) in drawn.iter().zip(&maps) {
            let title = format!("Map of component {k} over the picture");
            tiles.push(Figure::new("", self.over(map, end, &title), caption_of(e, k)));
        }
        let note = format!(
            "Blue speaks for the output, orange against it; the picture shows through in grey. A pixel shows the sum over its channels. The \
             components share one scale, ± {}; colours are full there and beyond, which is one pixel in {:.0}.{}",
            short(end),
            1.0 / (1.0 - FULL),
            note_of_shares(e)
        );
        vec![Tiles { tiles, per_row: Some(4) }.into(), Block::Note(note.into())]
    }

    /// Itself.
    pub(crate) fn plain(&self, title: &str) -> Picture {
        picture::photo(self.grid.rows, self.grid.columns, &self.colours, title)
    }

    /// A map `[rows, columns]` over it, in full colour from ± `end` on.
    pub(crate) fn over(&self, map: &[f64], end: f64, title: &str) -> Picture {
        picture::photo(self.grid.rows, self.grid.columns, &covered(&self.colours, map, end), title)
    }

    /// Where a map's colours are full.
    pub(crate) fn end(&self, map: &[f64]) -> f64 {
        quantile(map)
    }
}

/// Red, green and blue of each pixel, 0 to 1.
fn colours(input: &[f64], grid: Grid, channels: Channels) -> Vec<[f64; 3]> {
    let value = |pixel: usize, channel: usize| {
        let channel = match channels {
            _ if grid.channels == 1 => 0,
            Channels::Rgb => channel,
            Channels::Bgr => 2 - channel,
        };
        input[grid.input(pixel, channel)] / 255.0
    };
    (0..grid.pixels()).map(|pixel| std::array::from_fn(|channel| value(pixel, channel))).collect()
}

/// The magnitude that all but a few values stay below.
fn quantile(values: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = values.iter().map(|v| v.abs()).collect();
    if sizes.is_empty() {
        return 0.0;
    }
    let place = ((sizes.len() - 1) as f64 * FULL) as usize;
    *sizes.select_nth_unstable_by(place, f64::total_cmp).1
}

/// A pale grey picture with a map's colours on it.
fn covered(photo: &[[f64; 3]], map: &[f64], end: f64) -> Vec<[f64; 3]> {
    let mix = |(&[r, g, b], &v): (&[f64; 3], &f64)| {
        let grey = 0.5 + 0.48 * (0.299 * r + 0.587 * g + 0.114 * b);
        let strength = if end > 0.0 { (v.abs() / end).min(1.0).sqrt() } else { 0.0 };
        let colour = if v < 0.0 { NEGATIVE } else { POSITIVE };
        colour.map(|c| grey + (f64::from(c) / 255.0 - grey) * strength)
    };
    photo.iter().zip(map).map(mix).collect()
}

/// The classes with the largest outputs, as bars of their probabilities.
fn classes(best: &[BestClass]) -> Option<Figure> {
    if best.is_empty() {
        return None;
    }
    let rows = best.len() as f64;
    let scale = Scale::Linear(0.0, 1.0);
    let mut plot = Plot::new(260.0, rows * 46.0 + 30.0, [6.0, 52.0, 8.0, 8.0], scale, Scale::Linear(rows, 0.0));
    for (place, class) in best.iter().enumerate() {
        let at = place as f64;
        let tip = format!("{}: output {}, {}", class.name, short(class.y), percent(class.probability));
        plot.text(
            6.0,
            plot.py(at + 0.36),
            Anchor::Start,
            if place == 0 { "label" } else { "row" },
            &shorten(&class.name, 32),
        );
        plot.bar(
            (0.0, at + 0.5),
            (class.probability.max(0.002), at + 0.72),
            if place == 0 { "s1" } else { "faint" },
            &tip,
        );
        plot.text(
            plot.px(class.probability) + 6.0,
            plot.py(at + 0.61) + 4.0,
            Anchor::Start,
            "tick",
            &percent(class.probability),
        );
    }
    Some(Figure::new("", plot.finish("The classes with the largest outputs"), Text::strong("the best classes")))
}
