//! What a column's numbers are counted from. Far from zero `f32` has few digits left for what they differ by, so such a column is held
//! as differences from a number of its own.

use super::{Dataset, Targets, Values};

/// A column lies far from zero where its largest magnitude is more than so many times its width: nearer, `f32` loses four of its 24 bits
/// at most.
const FAR: f64 = 16.0;

/// Whether `f32` would lose the digits of numbers that are `(x − shift)·scale`, or of those that an engine's become.
pub fn is_far(shift: f64, scale: f64) -> bool {
    (shift * scale).abs() > FAR
}

/// What is known of a column before its numbers are held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    min: f64,
    max: f64,
    /// Every number so far is an `f32`.
    exact: bool,
}

impl Default for Extent {
    fn default() -> Self {
        Extent { min: f64::INFINITY, max: f64::NEG_INFINITY, exact: true }
    }
}

impl Extent {
    /// Takes in one number; NaN is a missing one.
    pub(super) fn see(&mut self, x: f64) {
        if !x.is_nan() {
            self.min = self.min.min(x);
            self.max = self.max.max(x);
            self.exact &= f64::from(x as f32) == x;
        }
    }

    /// Takes in what another has seen.
    pub(super) fn join(&mut self, other: Extent) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.exact &= other.exact;
    }

    /// Whether `f32` would lose what the numbers differ by.
    pub(super) fn is_far(self) -> bool {
        let (width, largest) = (self.max - self.min, self.min.abs().max(self.max.abs()));
        let held = largest <= f64::from(f32::MAX) && width >= f64::from(f32::MIN_POSITIVE);
        !self.exact && held && largest > FAR * width
    }

    /// What to count the column from: 0, but for a column far from zero the middle, rounded to a power of two of its width. No digit
    /// of an `f64` is lost by the difference then.
    pub(super) fn origin(self) -> f64 {
        if !self.is_far() {
            return 0.0;
        }
        let width = self.max - self.min;
        // The exponent alone.
        let step = f64::from_bits(width.to_bits() >> 52 << 52);
        ((self.min + width / 2.0) / step).round() * step
    }
}

/// Nothing where every column is counted from 0.
pub(super) fn kept(origins: Vec<f64>) -> Vec<f64> {
    if origins.iter().all(|&origin| origin == 0.0) { Vec::new() } else { origins }
}

/// The number with the fewest decimal digits that is this near.
pub fn shortest(x: f64, tolerance: f64) -> f64 {
    let near = |digits: usize| format!("{x:.digits$e}").parse().ok().filter(|y: &f64| (y - x).abs() <= tolerance);
    (0..17).find_map(near).unwrap_or(x)
}

/// A number in single precision as a person would write it: 0.1, not 0.10000000149.
pub fn single(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

impl Dataset {
    /// What the numbers of a column in `x` are counted from.
    pub fn origin(&self, column: usize) -> f64 {
        self.origins.get(column).copied().unwrap_or(0.0)
    }

    /// One input as it is held, from its column's origin.
    pub(super) fn held(&self, row: usize, column: usize) -> f32 {
        match &self.x {
            Values::U8(v) => f32::from(v[row * self.columns + column]),
            Values::F32(v) => v[row * self.columns + column],
        }
    }

    /// One input.
    pub fn value(&self, row: usize, column: usize) -> f64 {
        self.origin(column) + f64::from(self.held(row, column))
    }

    /// Makes the inputs, as they are by now and in their own units, the targets, those of the given columns: they stay that whichever
    /// inputs are left out afterwards.
    pub fn reconstruct(&mut self, columns: &[usize]) {
        let values = (0..self.rows).flat_map(|row| columns.iter().map(move |&c| (row, c)));
        let values = values.map(|(row, c)| self.value(row, c)).collect();
        self.y = Targets::Numbers { values, names: columns.iter().map(|&c| self.features[c].name.clone()).collect() };
    }

    /// One input as a person should see it: the shortest number that is held like that, as it stood in the file, and NaN for a cell that was missing, whatever it holds by now.
    pub fn seen(&self, row: usize, column: usize) -> f64 {
        let held = self.held(row, column);
        match self.filled.binary_search(&(row * self.columns + column)) {
            Ok(_) => f64::NAN,
            Err(_) if self.origin(column) == 0.0 => single(held),
            Err(_) => shortest(self.value(row, column), f64::from(held.abs()) * f64::from(f32::EPSILON) / 4.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(values: &[f64]) -> Extent {
        let mut extent = Extent::default();
        values.iter().for_each(|&x| extent.see(x));
        extent
    }

    #[test]
    fn only_columns_that_would_lose_digits_are_counted_from_elsewhere() {
        // Near zero, or exact as they are, or without anything to tell apart.
        for near in [
            &[0.1, -3.7, 12.3][..],
            &[1990.0, 2003.0, 2020.0],
            &[1.7e9, 1.7e9 + 128.0],
            &[1e9 + 0.3, 1e9 + 0.3],
            &[f64::NAN],
            &[1.6, 0.1],
            &[],
        ] {
            assert_eq!(extent(near).origin(), 0.0, "{near:?}");
        }
        for (offset, width) in [(1e12, 1.0), (-1e7, 1e-3), (1.7e9, 86_400.0), (1e-5, 1e-12), (3e38, 1e35)] {
            let values: Vec<f64> = (0..1000).map(|i| offset + width * f64::from(i) / 999.0).collect();
            let origin = extent(&values).origin();
            assert!((origin - offset).abs() <= width * 1.5, "{origin} for {offset}");
            for &x in &values {
                let back = origin + f64::from((x - origin) as f32);
                assert!((back - x).abs() <= width * f64::from(f32::EPSILON) / 2.0, "{x} became {back}");
            }
        }
    }

    #[test]
    fn few_digits_are_found() {
        assert_eq!(shortest(0.1 + 0.2, 1e-9), 0.3);
        assert_eq!(shortest(1_700_043_210.000_04, 1e-3), 1_700_043_210.0);
        assert_eq!(shortest(10_000_000.123_000_02, 1e-7), 10_000_000.123);
        assert_eq!(shortest(0.0, 0.0), 0.0);
        assert!(shortest(f64::NAN, 0.1).is_nan());
    }
}
