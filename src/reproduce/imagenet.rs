//! SpecXAI's photographs (its section 2.1, figures 1, 2, 3 and 11): what the last convolution and the layer before the outputs look at.

use serde::Serialize;

use super::Spread;
use crate::data::Axis;
use crate::specxai::{Explanation, Form, Spectrum, averaged, axis, contract};
use crate::{Error, Result};

/// Components that the paper's figures show of each picture.
pub const SHOWN: usize = 3;

/// A map over the pixels, summed (or averaged) over the channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    pub k: usize,
    pub alpha: f64,
    pub share: Option<f64>,
    pub values: Vec<f64>,
}

/// One picture at one split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    pub form: Form,
    pub components: usize,
    /// |remainder| over that and |Σα|.
    pub remainder: f64,
    pub residual: f64,
    /// Share of |map| inside the best window of a quarter of the area, mean over the three largest contributions.
    pub inside: f64,
    /// Entropy of |map| over that of an even one, mean over the same.
    pub entropy: f64,
    /// `(Σ|α̂|)² / Σα̂²`: how many components carry the reduced spectrum.
    pub participation: f64,
    /// How many of the three largest singular values are among the three largest contributions.
    pub agreeing: usize,
    /// Of the largest singular values (figure 1).
    #[serde(skip)]
    pub by_sigma: Vec<Map>,
    /// Of the largest contributions (figures 2 and 3).
    #[serde(skip)]
    pub by_share: Vec<Map>,
    /// Right singular vector of the largest contribution, averaged over the channels (figure 11).
    #[serde(skip)]
    pub averaged: Vec<f64>,
}

/// Every picture at one split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AtSplit {
    pub split: String,
    pub inside: Spread,
    pub entropy: Spread,
    pub participation: Spread,
    pub agreeing: Spread,
    pub pictures: Vec<Seen>,
    #[serde(skip)]
    pub spectrum: Spectrum,
}

/// How much of |map| lies in the best window of half the height and half the width, and how spread out it is.
pub fn localised(map: &[f64], rows: usize, columns: usize) -> (f64, f64) {
    let total: f64 = map.iter().map(|v| v.abs()).sum();
    if total <= 0.0 {
        return (0.0, 1.0);
    }
    // Sums over all rectangles that begin at the corner.
    let width = columns + 1;
    let mut sums = vec![0.0; (rows + 1) * width];
    for r in 0..rows {
        for c in 0..columns {
            sums[(r + 1) * width + c + 1] =
                map[r * columns + c].abs() + sums[r * width + c + 1] + sums[(r + 1) * width + c] - sums[r * width + c];
        }
    }
    let (h, w) = (rows.div_ceil(2), columns.div_ceil(2));
    let window = |r: usize, c: usize| {
        sums[(r + h) * width + c + w] - sums[r * width + c + w] - sums[(r + h) * width + c] + sums[r * width + c]
    };
    let best = (0..=rows - h).flat_map(|r| (0..=columns - w).map(move |c| (r, c))).map(|(r, c)| window(r, c));
    let best = best.fold(0.0, f64::max);
    let entropy: f64 = map.iter().map(|v| v.abs() / total).filter(|&p| p > 0.0).map(|p| -p * p.ln()).sum::<f64>();
    (best / total, entropy / (map.len().max(2) as f64).ln())
}

/// How many values carry the sum of all, by their squares.
pub fn participation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let sum: f64 = values.clone().map(f64::abs).sum();
    let squares: f64 = values.map(|v| v * v).sum();
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}

impl AtSplit {
    pub fn new(split: &str) -> Self {
        let none = Spread::of(&[]);
        AtSplit {
            split: split.to_owned(),
            inside: none,
            entropy: none,
            participation: none,
            agreeing: none,
            pictures: Vec::new(),
            spectrum: Spectrum::new(split),
        }
    }

    /// Adds a picture with these axes.
    ///
    /// # Errors
    /// [`Error::Shape`] for inputs that are no pictures.
    pub fn add(&mut self, e: &Explanation, axes: &[Axis]) -> Result<()> {
        let length = |name: &str| axes.iter().find(|axis| axis.name == name).map(|axis| axis.len);
        let (Some(rows), Some(columns)) = (length("row"), length("column")) else {
            return Err(Error::Shape("the network reads no pictures; give one that does".into()));
        };
        // Grey pictures have no channels to sum over.
        let along = axis(axes, "channel").ok();
        let summed = |map: &[f64]| along.map_or_else(|| map.to_vec(), |along| contract(map, axes, along));
        let kept = e.mapped();
        let map = |&k: &usize| Map {
            k,
            alpha: e.contributions[k].alpha,
            share: e.share_of_split(k),
            values: summed(&e.maps[k]),
        };
        let by_share: Vec<usize> = e.by_share().into_iter().filter(|k| kept.contains(k)).take(SHOWN).collect();
        let by_sigma: Vec<usize> = kept.iter().copied().filter(|&k| k < SHOWN).collect();
        let averaged_over =
            |vector: &[f64]| along.map_or_else(|| vector.to_vec(), |along| averaged(vector, axes, along));
        let maps: Vec<Map> = by_share.iter().map(map).collect();
        let measured: Vec<(f64, f64)> = maps.iter().map(|map| localised(&map.values, rows, columns)).collect();
        let mean = |f: fn(&(f64, f64)) -> f64| measured.iter().map(f).sum::<f64>() / measured.len().max(1) as f64;
        self.pictures.push(Seen {
            form: e.form,
            components: e.contributions.len(),
            remainder: e.remainder_share(),
            residual: e.residual,
            inside: mean(|m| m.0),
            entropy: mean(|m| m.1),
            participation: participation(e.contributions.iter().map(|c| c.alpha_reduced)),
            agreeing: by_share.iter().filter(|&&k| k < SHOWN).count(),
            by_sigma: by_sigma.iter().map(map).collect(),
            averaged: by_share.first().map_or_else(Vec::new, |&k| averaged_over(&e.right[k])),
            by_share: maps,
        });
        self.spectrum.add(e);
        let of = |f: fn(&Seen) -> f64| Spread::of(&self.pictures.iter().map(f).collect::<Vec<_>>());
        (self.inside, self.entropy) = (of(|p| p.inside), of(|p| p.entropy));
        (self.participation, self.agreeing) = (of(|p| p.participation), of(|p| p.agreeing as f64));
        Ok(())
    }
}

/// What the paper claims, and what came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claim {
    pub what: String,
    /// Means over the pictures at the layer before the outputs and at the last convolution.
    pub values: [f64; 2],
    /// Mean of the pictures' differences, with its standard error.
    pub difference: f64,
    pub se: f64,
    /// Pictures that differ as claimed, of all.
    pub pictures: [usize; 2],
    /// The mean differs as claimed, by more than two standard errors.
    pub holds: bool,
}

/// A network's pictures at both splits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageNet {
    pub names: Vec<String>,
    pub outputs: Vec<String>,
    /// The layer before the outputs, and the last convolution.
    pub splits: [AtSplit; 2],
    pub claims: Vec<Claim>,
    pub seconds: f64,
}

/// The paper's claims about two splits of the same pictures (SpecXAI, section 2.1).
pub fn claims(before: &AtSplit, last: &AtSplit) -> Vec<Claim> {
    let one = |what: &str, larger: bool, f: fn(&Seen) -> f64| {
        let pairs: Vec<(f64, f64)> = before.pictures.iter().zip(&last.pictures).map(|(a, b)| (f(a), f(b))).collect();
        let n = pairs.len().max(1) as f64;
        let mean = |g: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(g).sum::<f64>() / n;
        let difference = mean(&|p| p.1 - p.0);
        let variance = pairs.iter().map(|p| (p.1 - p.0 - difference).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        let se = (variance / n).sqrt();
        let sign = if larger { 1.0 } else { -1.0 };
        Claim {
            what: what.to_owned(),
            values: [mean(&|p| p.0), mean(&|p| p.1)],
            difference,
            se,
            pictures: [pairs.iter().filter(|p| sign * (p.1 - p.0) > 0.0).count(), pairs.len()],
            holds: pairs.len() > 1 && sign * difference > 2.0 * se,
        }
    };
    vec![
        one("more of the maps inside the best quarter of the area at the last convolution", true, |p| p.inside),
        one("maps of lower entropy at the last convolution", false, |p| p.entropy),
        one("a sparser reduced spectrum (participation ratio) at the last convolution", false, |p| p.participation),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_localised_where_it_is() {
        // All of it in one corner of 4 × 6.
        let mut map = vec![0.0; 24];
        map[22] = -2.0;
        assert_eq!(localised(&map, 4, 6), (1.0, 0.0));
        // Even: a quarter of it in any quarter.
        let (inside, entropy) = localised(&[1.0; 24], 4, 6);
        assert!((inside - 0.25).abs() < 1e-12 && (entropy - 1.0).abs() < 1e-12);
        // By hand: 3 of 4 in the lower right window, the entropy of (¼, ¾) over ln 24.
        let mut map = vec![0.0; 24];
        (map[0], map[23]) = (1.0, 3.0);
        let (inside, entropy) = localised(&map, 4, 6);
        let by_hand = (0.25 * 4.0f64.ln() + 0.75 * (4.0f64 / 3.0).ln()) / 24.0f64.ln();
        assert!((inside - 0.75).abs() < 1e-12 && (entropy - by_hand).abs() < 1e-12);
        assert_eq!(localised(&[0.0; 4], 2, 2), (0.0, 1.0));
    }

    #[test]
    fn participation_counts_components() {
        assert_eq!(participation([2.0, -2.0, 2.0, 0.0].into_iter()), 3.0);
        assert_eq!(participation(std::iter::empty()), 0.0);
    }
}
