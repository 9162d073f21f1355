//! The wavelengths in order of λ̃, and how they lie to the bands.

use serde::Serialize;

use super::BEST;
use crate::relevance::order;
use crate::reproduce::lick::{
    BANDS, Band, H_ALPHA, ShareTest, ShiftTest, bands_at, covered, peaks, share_test, shift_test,
};

/// Peaks closer than this are one, in Å: about four times the library's resolution of 2.5 Å.
const APART: f64 = 10.0;

/// One wavelength of a ranking.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopWavelength {
    /// From 1.
    pub rank: usize,
    /// Å.
    pub wavelength: f64,
    /// λ̃ relative to the largest.
    pub relevance: f64,
    /// The bands that hold it.
    pub bands: Vec<&'static str>,
}

/// How the wavelengths of a ranking lie to one band.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BandOutcome {
    #[serde(flatten)]
    pub band: Band,
    /// The [`BEST`] wavelengths against this band alone.
    #[serde(flatten)]
    pub test: ShiftTest,
    /// Rank of the band's best wavelength, from 1; nothing for a band beyond the spectra.
    pub best_rank: Option<usize>,
}

/// A ranking of the wavelengths beside the bands.
#[derive(Debug, Clone, Serialize)]
pub struct Ranking {
    /// λ̃ relative to the largest, `[wavelengths]`; the mean over networks.
    pub relevance: Vec<f64>,
    /// The best [`BEST`].
    pub top: Vec<TopWavelength>,
    /// Those against the six metal bands.
    pub top_in_metal_bands: ShiftTest,
    /// Those against all bands.
    pub top_in_all_bands: ShiftTest,
    /// The same with the [`BEST`] highest peaks that are 10 Å apart in place of the wavelengths, which cluster.
    pub peaks: Vec<TopWavelength>,
    pub peaks_in_metal_bands: ShiftTest,
    pub peaks_in_all_bands: ShiftTest,
    /// How much of Σλ̃ lies in the six metal bands.
    pub share_in_metal_bands: ShareTest,
    pub bands: Vec<BandOutcome>,
    /// Rank of the best wavelength of Hα, from 1.
    pub h_alpha_rank: Option<usize>,
}

impl Ranking {
    /// Ranks `relevance`, one value for each wavelength (Å), and tests it against the bands.
    pub fn new(relevance: Vec<f64>, wavelength: &[f64]) -> Ranking {
        let largest = relevance.iter().fold(0.0f64, |a, &b| a.max(b)).max(f64::MIN_POSITIVE);
        let relevance: Vec<f64> = relevance.iter().map(|r| r / largest).collect();
        let order = order(&relevance);
        let mut rank = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &i)| rank[i] = place + 1);
        let best_rank = |band: &Band| {
            let inside = wavelength.iter().zip(&rank).filter(|(w, _)| band.holds(**w));
            inside.map(|(_, &rank)| rank).min()
        };
        let list = |places: &[usize]| -> Vec<TopWavelength> {
            let entry = |(k, &i): (usize, &usize)| TopWavelength {
                rank: k + 1,
                wavelength: wavelength[i],
                relevance: relevance[i],
                bands: bands_at(wavelength[i]),
            };
            places.iter().enumerate().map(entry).collect()
        };
        let (metal, all) = (covered(wavelength, |b| b.metal), covered(wavelength, |_| true));
        let top = &order[..BEST.min(order.len())];
        let step = (wavelength[wavelength.len() - 1] - wavelength[0]) / (wavelength.len() - 1).max(1) as f64;
        let peaks = peaks(&relevance, (APART / step) as usize, BEST);
        let bands = BANDS
            .iter()
            .map(|&band| BandOutcome {
                band,
                test: shift_test(top, &covered(wavelength, |b| b.name == band.name)),
                best_rank: best_rank(&band),
            })
            .collect();
        Ranking {
            top: list(top),
            top_in_metal_bands: shift_test(top, &metal),
            top_in_all_bands: shift_test(top, &all),
            peaks: list(&peaks),
            peaks_in_metal_bands: shift_test(&peaks, &metal),
            peaks_in_all_bands: shift_test(&peaks, &all),
            share_in_metal_bands: share_test(&relevance, &metal),
            bands,
            h_alpha_rank: best_rank(&H_ALPHA),
            relevance,
        }
    }
}
