//! Which targets of numbers are classes, where nobody says.

/// Up to so many different whole numbers are taken for classes, of a table's.
pub(super) const GUESSED_CLASSES: usize = 20;

/// Rows of a class that labels have on average, and at least: measurements and counts have values that hardly occur.
const ROWS_ON_AVERAGE: usize = 10;
const FEWEST_ROWS: usize = 5;

/// The different values of a target of numbers, and whether they are taken for classes.
pub(super) struct Distinct {
    /// Ascending.
    pub values: Vec<f64>,
    pub whole: bool,
    /// Whether whole numbers occur as labels do: two of them, or each in several rows.
    labels: bool,
}

impl Distinct {
    pub(super) fn of(target: &[f64]) -> Self {
        let mut values = target.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        let fewest = values.chunk_by(|a, b| a == b).map(<[f64]>::len).min().unwrap_or(0);
        // Not by bits: −0 is 0.
        values.dedup();
        let often = target.len() >= ROWS_ON_AVERAGE * values.len() && fewest >= FEWEST_ROWS;
        Distinct {
            whole: values.iter().all(|v| v.fract() == 0.0),
            labels: values.len() == 2 || values.len() > 2 && often,
            values,
        }
    }

    /// At most so many whole numbers that occur as labels do.
    pub(super) fn are_classes(&self, most: usize) -> bool {
        self.whole && self.labels && self.values.len() <= most
    }

    /// What to say of whole numbers that could be meant either way, when nobody said.
    pub(super) fn either_way(&self, name: &str, rows: usize, classes: bool) -> Option<String> {
        /// Few are classes, and so many are a number.
        const DOUBTFUL: std::ops::RangeInclusive<usize> = 8..=200;
        let distinct = self.values.len();
        let told = self.whole && (DOUBTFUL.contains(&distinct) || (3..8).contains(&distinct) && !classes);
        let why = if classes || self.labels {
            String::new()
        } else {
            format!(" (classes have {ROWS_ON_AVERAGE} rows each on average and {FEWEST_ROWS} at least)")
        };
        let (taken, other) = match classes {
            true => ("classes", "--task regress takes them as a number"),
            false => ("a number", "--task classify takes them as classes"),
        };
        told.then(|| {
            format!("{name} has {distinct} different whole numbers in {rows} rows, taken for {taken}{why}; {other}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(counts: &[(f64, usize)]) -> bool {
        let target: Vec<f64> = counts.iter().flat_map(|&(v, n)| std::iter::repeat_n(v, n)).collect();
        Distinct::of(&target).are_classes(GUESSED_CLASSES)
    }

    #[test]
    fn labels_come_back_and_counts_have_rare_values() {
        // stackloss: 21 rows, 14 values; esoph's cases.
        let stackloss =
            [42., 37., 37., 28., 18., 18., 19., 20., 15., 14., 14., 13., 11., 12., 8., 7., 8., 8., 9., 15., 15.];
        assert!(!Distinct::of(&stackloss).are_classes(GUESSED_CLASSES));
        let esoph = [(0., 29), (1., 16), (2., 11), (3., 9), (4., 8), (5., 6), (6., 5), (8., 1), (9., 3)];
        assert!(!classes(&esoph));
        // Counts of many rows: ten on average, but the largest hardly occur.
        assert!(!classes(&[(0., 400), (1., 300), (2., 80), (3., 20), (4., 4)]));
        // Cylinders, digits, a rare event.
        assert!(classes(&[(4., 11), (6., 7), (8., 14)]));
        assert!(classes(&(0..10).map(|digit| (f64::from(digit), 178)).collect::<Vec<_>>()));
        assert!(classes(&[(0., 997), (1., 3)]) && classes(&[(0., 1), (1., 1)]));
        assert!(!classes(&[(0.5, 100), (1., 100)]));
        assert!(classes(&[(-0.0, 10), (0.0, 10), (1.0, 10), (2., 10)]));
    }
}
