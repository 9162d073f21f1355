//! Absorption bands of stellar spectra, and whether marked wavelengths lie in them more often than chance.
//!
//! The 21 Lick/IDS indices are those of Worthey et al. 1994 (ApJS 94, 687) in the revision of Trager et al. 1998 (ApJS 116,
//! 1); CaHK is an index of Serven, Worthey & Briley 2005 (ApJ 627, 754), as the MaNGA data analysis pipeline lists it beside
//! them. The windows are the central ones, in Å in air.

use serde::Serialize;

/// The central window of an index, from `from` to `to` inclusive, in Å in air.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Band {
    pub name: &'static str,
    pub from: f64,
    pub to: f64,
    /// One of the six that the acceptance of the experiment names: what tells metallicity.
    pub metal: bool,
}

const fn band(name: &'static str, from: f64, to: f64) -> Band {
    Band { name, from, to, metal: false }
}

const fn metal(name: &'static str, from: f64, to: f64) -> Band {
    Band { name, from, to, metal: true }
}

/// CaHK and the 21 Lick bands by wavelength. CN1 and CN2 share their central window and Mg2 holds Mgb.
pub const BANDS: [Band; 22] = [
    metal("CaHK", 3899.5, 4003.5),
    band("CN1", 4142.125, 4177.125),
    band("CN2", 4142.125, 4177.125),
    band("Ca4227", 4222.25, 4234.75),
    band("G4300", 4281.375, 4316.375),
    metal("Fe4383", 4369.125, 4420.375),
    band("Ca4455", 4452.125, 4474.625),
    band("Fe4531", 4514.25, 4559.25),
    band("Fe4668", 4634.0, 4720.25),
    band("Hβ", 4847.875, 4876.625),
    metal("Fe5015", 4977.75, 5054.0),
    band("Mg1", 5069.125, 5134.125),
    band("Mg2", 5154.125, 5196.625),
    metal("Mgb", 5160.125, 5192.625),
    metal("Fe5270", 5245.65, 5285.65),
    metal("Fe5335", 5312.125, 5352.125),
    band("Fe5406", 5387.5, 5415.0),
    band("Fe5709", 5696.625, 5720.375),
    band("Fe5782", 5776.625, 5796.625),
    band("NaD", 5876.875, 5909.375),
    band("TiO1", 5936.625, 5994.125),
    band("TiO2", 6189.625, 6272.125),
];

/// Hα with its wings, in Å: hydrogen, so of little use for metals. No Lick band.
pub const H_ALPHA: Band = band("Hα", 6553.0, 6573.0);

impl Band {
    pub fn holds(&self, wavelength: f64) -> bool {
        (self.from..=self.to).contains(&wavelength)
    }
}

/// The names of the bands that hold a wavelength, by wavelength.
pub fn bands_at(wavelength: f64) -> Vec<&'static str> {
    BANDS.iter().filter(|b| b.holds(wavelength)).map(|b| b.name).collect()
}

/// Which of the wavelengths lie in a band that `wanted` chooses.
pub fn covered(wavelengths: &[f64], wanted: impl Fn(&Band) -> bool) -> Vec<bool> {
    wavelengths.iter().map(|&w| BANDS.iter().any(|b| wanted(b) && b.holds(w))).collect()
}

/// Marked places beside covered ones, against chance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ShiftTest {
    /// Marked places.
    pub marked: usize,
    /// Those of them that are covered.
    pub hits: usize,
    /// The mean of the hits over all shifts: marked × share of the axis that is covered.
    pub expected: f64,
    /// Share of all shifts, the unshifted one among them, with at least as many hits.
    pub p: f64,
}

/// Shifts the marked places around the axis as a ring and counts how many are covered, for every shift.
///
/// Neighbouring wavelengths say nearly the same, so marks come in clusters: drawn one by one, as a binomial test assumes,
/// random marks would spread too evenly and every cluster would look significant. A shift keeps the clusters together. With n
/// places p is a multiple of 1/n, 1/n at least.
pub fn shift_test(marked: &[usize], covered: &[bool]) -> ShiftTest {
    let n = covered.len();
    // Twice around, so that no index has to wrap.
    let ring: Vec<usize> = covered.iter().chain(covered).map(|&c| usize::from(c)).collect();
    let hits: Vec<usize> = (0..n).map(|shift| marked.iter().map(|&m| ring[m + shift]).sum()).collect();
    let first = hits.first().copied().unwrap_or(0);
    ShiftTest {
        marked: marked.len(),
        hits: first,
        expected: hits.iter().sum::<usize>() as f64 / n.max(1) as f64,
        p: hits.iter().filter(|&&h| h >= first).count() as f64 / n.max(1) as f64,
    }
}

/// What share of a sum lies in covered places, against chance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ShareTest {
    /// Share of the values' sum in covered places.
    pub share: f64,
    /// Its mean over all shifts: the share of the axis that is covered.
    pub expected: f64,
    /// Share of all shifts, the unshifted one among them, with at least this share.
    pub p: f64,
}

/// [`shift_test`] with the values' own weight in place of a number of marks: no choice of how many count as high.
pub fn share_test(values: &[f64], covered: &[bool]) -> ShareTest {
    let n = covered.len();
    let places: Vec<usize> = (0..n).filter(|&i| covered[i]).collect();
    let ring: Vec<f64> = values.iter().chain(values).copied().collect();
    let total = values.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    // Values shifted up by s stand where the bands shifted down by s are.
    let shares: Vec<f64> =
        (0..n).map(|shift| places.iter().map(|&i| ring[i + n - shift]).sum::<f64>() / total).collect();
    let share = shares.first().copied().unwrap_or(0.0);
    // The sums of equal terms in another order differ in their last digits.
    let least = share * (1.0 - 1e-12);
    ShareTest {
        share,
        expected: places.len() as f64 / n.max(1) as f64,
        p: shares.iter().filter(|&&s| s >= least).count() as f64 / n.max(1) as f64,
    }
}

/// The highest `count` peaks: places that are higher than everything within `reach` places on both sides, highest first; ties
/// go to the first place.
pub fn peaks(values: &[f64], reach: usize, count: usize) -> Vec<usize> {
    let order = crate::relevance::order(values);
    let mut taken = vec![false; values.len()];
    let mut peaks = Vec::new();
    for i in order {
        let around = i.saturating_sub(reach)..(i + reach + 1).min(values.len());
        // Whatever is higher near by was seen before: it took this place, or was itself a shoulder of something higher.
        let shoulder = taken[around.clone()].contains(&true);
        taken[i] = true;
        if !shoulder && values[i] > 0.0 {
            peaks.push(i);
            if peaks.len() == count {
                break;
            }
        }
    }
    peaks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn the_bands_are_in_order_and_named_once() {
        assert!(BANDS.windows(2).all(|b| b[0].from <= b[1].from));
        assert!(BANDS.iter().all(|b| b.from < b.to && b.to - b.from < 110.0));
        let mut names: Vec<_> = BANDS.iter().map(|b| b.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 22);
        assert_eq!(BANDS.iter().filter(|b| b.metal).count(), 6);
        assert_eq!(bands_at(5170.0), ["Mg2", "Mgb"]);
        assert!(bands_at(6563.0).is_empty() && H_ALPHA.holds(6562.8));
    }

    #[test]
    fn the_shift_test_counts_what_a_brute_force_count_does() {
        for seed in 0..20 {
            let mut random = Random::new(seed, 1);
            let n = 3 + random.below(60);
            let covered: Vec<bool> = (0..n).map(|_| random.uniform() < 0.3).collect();
            let mut places: Vec<usize> = (0..n).collect();
            random.shuffle(&mut places);
            places.truncate(1 + random.below(n));
            let test = shift_test(&places, &covered);
            // Rotates the axis instead of the marks, and tests every place of it.
            let mut axis: Vec<bool> = (0..n).map(|i| places.contains(&i)).collect();
            let mut counts = Vec::new();
            for _ in 0..n {
                counts.push((0..n).filter(|&i| axis[i] && covered[i]).count());
                axis.rotate_right(1);
            }
            assert_eq!(test.hits, counts[0]);
            let at_least = counts.iter().filter(|&&c| c >= counts[0]).count();
            assert_eq!(test.p, at_least as f64 / n as f64);
            let share = covered.iter().filter(|&&c| c).count() as f64 / n as f64;
            assert!((test.expected - places.len() as f64 * share).abs() < 1e-9);
        }
    }

    #[test]
    fn the_share_test_counts_what_a_brute_force_count_does() {
        for seed in 0..20 {
            let mut random = Random::new(seed, 2);
            let n = 3 + random.below(60);
            let covered: Vec<bool> = (0..n).map(|i| i == 0 || random.uniform() < 0.3).collect();
            // Quarters, whose sums are exact.
            let values: Vec<f64> = (0..n).map(|_| random.below(9) as f64 / 4.0 + 0.25).collect();
            let test = share_test(&values, &covered);
            let mut axis = values.clone();
            let mut sums = Vec::new();
            for _ in 0..n {
                sums.push((0..n).filter(|&i| covered[i]).map(|i| axis[i]).sum::<f64>());
                axis.rotate_right(1);
            }
            assert_eq!(test.share, sums[0] / values.iter().sum::<f64>());
            assert_eq!(test.p, sums.iter().filter(|&&s| s >= sums[0]).count() as f64 / n as f64);
            let mean = sums.iter().sum::<f64>() / n as f64 / values.iter().sum::<f64>();
            assert!((test.expected - mean).abs() < 1e-12);
        }
    }

    #[test]
    fn a_cluster_counts_as_one() {
        let covered: Vec<bool> = (0..1000).map(|i| (100..200).contains(&i)).collect();
        // 30 marks in a tenth of the axis: to a binomial test 10⁻³⁰, yet every tenth shift or so does the same.
        let cluster: Vec<usize> = (130..160).collect();
        let test = shift_test(&cluster, &covered);
        assert_eq!((test.hits, test.p), (30, 0.071));
    }

    #[test]
    fn peaks_stand_apart() {
        let values = [0.0, 1.0, 3.0, 2.0, 0.0, 0.0, 2.0, 2.0, 0.0, 5.0];
        assert_eq!(peaks(&values, 1, 9), [9, 2, 6]);
        assert_eq!(peaks(&values, 3, 9), [9, 2]);
        assert_eq!(peaks(&values, 1, 2), [9, 2]);
        assert!(peaks(&[0.0; 4], 1, 2).is_empty());
    }
}
