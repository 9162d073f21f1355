//! The spectra, read with mistrust.

use std::path::Path;

use super::BEST;
use crate::data::{self, Axis, Dataset, Feature, Targets, Values};
use crate::{Error, Result};

const REMEDY: &str = "scripts/fetch_miles.sh OUT.npz makes a right one";

/// Spectra with their metallicities.
#[derive(Debug, Clone)]
pub struct Spectra {
    /// The file, as the user named it.
    pub source: String,
    /// In Å, increasing, `[wavelengths]`.
    pub wavelength: Vec<f64>,
    /// Each star's flux divided by its largest, `[stars, wavelengths]`.
    pub flux: Vec<f32>,
    /// [Fe/H] in dex, `[stars]`.
    pub feh: Vec<f32>,
    /// The row of each star in the file, from 0.
    pub row: Vec<usize>,
    /// Stars of the file whose [Fe/H] is NaN.
    pub without_feh: usize,
}

impl Spectra {
    /// Reads an .npz with `flux: [stars, wavelengths]`, `wavelength: [wavelengths]` in Å and `feh: [stars]` in dex, NaN where a
    /// star's metallicity isn't known; other arrays are left alone.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that can't be opened; [`Error::Input`] for a missing array, shapes that don't fit each other, a
    /// wavelength or flux that can't be used (naming row and column), and fewer than ten stars with a metallicity.
    pub fn read(path: impl AsRef<Path>) -> Result<Spectra> {
        let path = path.as_ref();
        let wrong = |place: &str, problem: String| Err(Error::input(path, place, problem, REMEDY));
        let names = ["flux", "wavelength", "feh"];
        let [flux, wavelength, feh] =
            data::arrays(path, names, "give the MILES spectra; scripts/fetch_miles.sh OUT.npz makes the file")?;
        let [stars, n] = flux.shape[..] else {
            return wrong("flux", format!("its shape is {:?}, not [stars, wavelengths]", flux.shape));
        };
        for (name, array, expected) in [("wavelength", &wavelength, n), ("feh", &feh, stars)] {
            if array.shape != [expected] {
                let problem =
                    format!("its shape is {:?} where flux, {:?}, needs [{expected}]", array.shape, flux.shape);
                return wrong(name, problem);
            }
        }
        if n < BEST {
            return wrong("flux", format!("it has {n} wavelengths, and the experiment keeps the best {BEST}"));
        }
        if let Some(i) = wavelength.values.windows(2).position(|w| !(w[0] > 0.0 && w[0] < w[1] && w[1].is_finite())) {
            let (a, b) = (wavelength.values[i], wavelength.values[i + 1]);
            return wrong(
                &format!("wavelength, elements {i} and {} (counted from 0)", i + 1),
                format!("{a} and {b} are not increasing positive numbers of Å"),
            );
        }
        let mut spectra = Spectra {
            source: path.display().to_string(),
            wavelength: wavelength.values,
            flux: Vec::new(),
            feh: Vec::new(),
            row: Vec::new(),
            without_feh: 0,
        };
        for (row, (flux, &feh)) in flux.values.chunks_exact(n).zip(&feh.values).enumerate() {
            if feh.is_nan() {
                spectra.without_feh += 1;
                continue;
            }
            if !feh.is_finite() {
                return wrong(&format!("feh, row {row} (counted from 0)"), format!("the value is {feh}"));
            }
            if let Some(column) = flux.iter().position(|x| !x.is_finite()) {
                let place = format!("flux, row {row}, column {column} (counted from 0)");
                return wrong(&place, format!("the value is {}", flux[column]));
            }
            let largest = flux.iter().fold(f64::NEG_INFINITY, |a, &x| a.max(x));
            if largest <= 0.0 {
                return wrong(&format!("flux, row {row} (counted from 0)"), "no flux of this star is positive".into());
            }
            spectra.flux.extend(flux.iter().map(|x| (x / largest) as f32));
            spectra.feh.push(feh as f32);
            spectra.row.push(row);
        }
        let left = spectra.feh.len();
        if left < 10 {
            return wrong("feh", format!("{left} of {stars} stars have a metallicity, and the experiment needs 10"));
        }
        if spectra.feh.iter().all(|&y| y == 0.0) {
            return wrong("feh", "every metallicity is 0".into());
        }
        Ok(spectra)
    }

    /// Stars in use.
    pub fn stars(&self) -> usize {
        self.feh.len()
    }

    pub(super) fn dataset(&self) -> Dataset {
        let n = self.wavelength.len();
        Dataset {
            source: self.source.clone(),
            rows: self.stars(),
            columns: n,
            x: Values::F32(self.flux.clone()),
            y: Targets::Numbers {
                values: self.feh.iter().copied().map(f64::from).collect(),
                names: vec!["[Fe/H]".into()],
            },
            features: self.wavelength.iter().map(|w| Feature::new(format!("{w:.1} Å"), None)).collect(),
            axes: vec![Axis::new("wavelength", n)],
            weights: None,
            test_from: None,
            notes: Vec::new(),
            filled: Vec::new(),
            row_names: Vec::new(),
            origins: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::npz::Npz;

    #[test]
    fn fluxes_are_relative_and_stars_keep_their_rows() {
        const STARS: usize = 30;
        const N: usize = 40;
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("stars.npz");
        let flux: Vec<f32> = (0..STARS * N).map(|i| (1 + i * 7919 % 1000) as f32).collect();
        let unknown = [7, 21];
        let feh: Vec<f32> =
            (0..STARS).map(|s| if unknown.contains(&s) { f32::NAN } else { 0.1 * s as f32 - 2.0 }).collect();
        let mut npz = Npz::default();
        npz.floats("flux", &[STARS, N], flux.clone());
        npz.floats("wavelength", &[N], (0..N).map(|i| 3900.0 + 30.0 * i as f32).collect());
        npz.floats("feh", &[STARS], feh.clone());
        npz.ints("miles_id", &[1], vec![1]);
        npz.save(&path).unwrap();
        let spectra = Spectra::read(&path).unwrap();
        assert_eq!((spectra.stars(), spectra.without_feh), (STARS - 2, 2));
        assert!(!spectra.row.contains(&7) && spectra.row.contains(&8));
        for (i, star) in spectra.flux.chunks_exact(N).enumerate() {
            assert_eq!(star.iter().fold(0.0f32, |a, &b| a.max(b)), 1.0);
            let raw = &flux[spectra.row[i] * N..][..N];
            let ratio = raw[0] / star[0];
            assert!(raw.iter().zip(star).all(|(a, b)| (a / b / ratio - 1.0).abs() < 1e-5));
            assert_eq!(spectra.feh[i], feh[spectra.row[i]]);
        }
    }
}
