//! Samples resized along their axes: nearest neighbours, linear and cubic interpolation.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::Layer;
use super::fixed::Fixed;
use super::places::{coordinates, elements};
use super::sparse_matrix::SparseMatrix;

/// Which point of the input an output element shows, along an axis (ONNX's coordinate transformations).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coordinates {
    /// `(o + ½)/scale − ½`.
    HalfPixel,
    /// The same; −½ where the output has one element.
    PytorchHalfPixel,
    /// The same, with the middle of the input in the middle of the output where `scale` isn't the ratio of their sizes.
    HalfPixelSymmetric,
    /// `(o + ½)/scale`, for the nearest element.
    TfHalfPixelForNn,
    /// First on first and last on last.
    AlignCorners,
    /// `o/scale`.
    Asymmetric,
}

/// What stands between elements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    Nearest(Rounding),
    Linear,
    /// Keys' kernel with its parameter.
    Cubic {
        a: f64,
    },
}

/// Which element is the nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
}

/// A sample with the shape `shape`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resize {
    pub shape: Vec<usize>,
    /// Output elements for each input element, along every axis.
    pub scales: Vec<f64>,
    pub coordinates: Coordinates,
    pub interpolation: Interpolation,
    /// Elements beyond the edges have no weight; else they are the edge.
    pub exclude_outside: bool,
    /// Widens the interpolation's reach where the output is smaller.
    pub antialias: bool,
}

/// Terms of all sums together.
const MOST_TERMS: usize = 1 << 27;

/// What is sensible; keeps places from a hostile file from overflowing.
const SCALES: RangeInclusive<f64> = 1e-6..=1e6;

impl From<Resize> for Layer {
    fn from(layer: Resize) -> Layer {
        Layer::Resize(layer)
    }
}

impl Resize {
    /// The point of an axis of `size` elements that output element `o` of `made` shows. In single precision and in this order, as
    /// the frameworks compute it: which element is the nearest one depends on how it is rounded.
    fn point(&self, o: usize, size: usize, made: usize, scale: f64) -> f64 {
        let (place, input, scale) = (o as f32, size as f32, scale as f32);
        let half = (place + 0.5) / scale - 0.5;
        let whole = scale * input;
        f64::from(match self.coordinates {
            Coordinates::HalfPixel => half,
            Coordinates::PytorchHalfPixel if made == 1 => -0.5,
            Coordinates::PytorchHalfPixel => half,
            Coordinates::HalfPixelSymmetric => input / 2.0 * (1.0 - made as f32 / whole) + half,
            Coordinates::TfHalfPixelForNn => (place + 0.5) / scale,
            Coordinates::AlignCorners if whole == 1.0 || made == 1 => 0.0,
            Coordinates::AlignCorners => place * (input - 1.0) / (whole - 1.0),
            Coordinates::Asymmetric => place / scale,
        })
    }

    /// Whether an axis stays as it is.
    fn keeps(&self, axis: usize, size: usize) -> bool {
        self.scales[axis] == 1.0 && self.shape[axis] == size
    }

    /// Elements before a point that its interpolation reaches.
    fn reach(&self, scale: f64) -> i64 {
        let wide = if self.antialias { scale.min(1.0) } else { 1.0 };
        match self.interpolation {
            Interpolation::Nearest(_) => 1,
            Interpolation::Linear => (1.0 / wide).ceil() as i64,
            Interpolation::Cubic { .. } => (2.0 / wide).ceil() as i64,
        }
    }

    /// The elements of an axis, with their weights, that make its output element `o`.
    fn terms(&self, o: usize, size: usize, made: usize, scale: f64) -> Vec<(usize, f64)> {
        let point = self.point(o, size, made, scale).clamp(-1e15, 1e15);
        let low = point.floor();
        let edge = |at: i64| at.clamp(0, size as i64 - 1) as usize;
        let wide = if self.antialias { scale.min(1.0) } else { 1.0 };
        let rounded = match self.interpolation {
            Interpolation::Nearest(Rounding::PreferFloor) => Some((point - 0.5).ceil()),
            Interpolation::Nearest(Rounding::PreferCeil) => Some((point + 0.5).floor()),
            Interpolation::Nearest(Rounding::Floor) => Some(low),
            Interpolation::Nearest(Rounding::Ceil) => Some(point.ceil()),
            Interpolation::Linear | Interpolation::Cubic { .. } => None,
        };
        if let Some(rounded) = rounded {
            return vec![(edge(rounded as i64), 1.0)];
        }
        let kernel = |distance: f64| match self.interpolation {
            Interpolation::Cubic { a } => keys((distance * wide).abs(), a),
            _ => (1.0 - (distance * wide).abs()).max(0.0),
        };
        let reach = self.reach(scale);
        let near = (1 - reach..=reach).map(|step| low as i64 + step);
        let mut terms: Vec<(i64, f64)> = near.map(|at| (at, kernel(at as f64 - point))).collect();
        if self.exclude_outside {
            terms.retain(|(at, _)| (0..size as i64).contains(at));
        }
        let sum: f64 = terms.iter().map(|(_, weight)| weight).sum();
        let mut own: Vec<(usize, f64)> = Vec::new();
        for (at, weight) in terms.into_iter().filter(|(_, weight)| *weight != 0.0) {
            match own.iter_mut().find(|(place, _)| *place == edge(at)) {
                Some((_, all)) => *all += weight / sum,
                None => own.push((edge(at), weight / sum)),
            }
        }
        own
    }
}

/// Keys' cubic convolution kernel at a distance.
fn keys(x: f64, a: f64) -> f64 {
    match x {
        ..=1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        ..2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
        _ => 0.0,
    }
}

impl Fixed for Resize {
    fn kind(&self) -> &'static str {
        "resize"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let count = elements(&self.shape)?;
        elements(input)?;
        let fits = self.shape.len() == input.len() && self.scales.len() == input.len();
        if !fits || self.scales.iter().any(|scale| !SCALES.contains(scale)) {
            return Err(format!("samples of {input:?} can't be resized to {:?} by {:?}", self.shape, self.scales));
        }
        // An axis that keeps its size keeps its elements.
        let reach = |axis: usize| if self.keeps(axis, input[axis]) { 1 } else { 2 * self.reach(self.scales[axis]) };
        let terms = (0..input.len()).fold(count, |all, axis| all.saturating_mul(reach(axis).unsigned_abs() as usize));
        if terms > MOST_TERMS {
            return Err(format!("its sums would have {terms} terms; {MOST_TERMS} are supported"));
        }
        Ok(self.shape.clone())
    }

    fn matrix(&self, input: &[usize]) -> SparseMatrix {
        let along = |axis: usize| -> Vec<Vec<(usize, f64)>> {
            let (size, made, scale) = (input[axis], self.shape[axis], self.scales[axis]);
            let terms = |o| if self.keeps(axis, size) { vec![(o, 1.0)] } else { self.terms(o, size, made, scale) };
            (0..made).map(terms).collect()
        };
        let axes: Vec<_> = (0..input.len()).map(along).collect();
        let row = |j: usize| {
            let mut terms = vec![(0, 1.0)];
            for ((places, &o), &size) in axes.iter().zip(&coordinates(&self.shape, j)).zip(input) {
                let more = |&(at, weight): &(usize, f64)| {
                    places[o].iter().map(move |&(place, share)| (at * size + place, weight * share))
                };
                terms = terms.iter().flat_map(more).collect();
            }
            terms
        };
        SparseMatrix::weighted(input.iter().product(), (0..self.shape.iter().product()).map(row))
    }
}
