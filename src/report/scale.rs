//! Scales: from data to the unit interval, with round ticks.

use super::text;

/// How ticks are written, and which there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticks {
    Plain,
    /// Shares 0..1 as percentages.
    Percent,
    /// Counts: no ticks between whole numbers.
    Whole,
}

/// From data to the unit interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Even steps from the first to the second value; the first may be the larger one.
    Linear(f64, f64),
    /// Even ratios; both positive.
    Log(f64, f64),
}

impl Scale {
    /// A linear scale that covers the values and ends on round numbers.
    pub fn round(values: impl IntoIterator<Item = f64>) -> Scale {
        let (mut low, mut high) = range(values);
        if high - low <= 1e-9 * low.abs().max(high.abs()) {
            let half = if low == 0.0 { 0.5 } else { low.abs() * 0.1 };
            (low, high) = (low - half, high + half);
        }
        let step = round_step((high - low) / 5.0);
        Scale::Linear((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step)
    }

    /// A scale for quantities that are positive and may span orders of magnitude: logarithmic where they do, else linear.
    pub fn positive(values: impl IntoIterator<Item = f64> + Clone) -> Scale {
        let (low, high) = range(values.clone());
        if low > 0.0 && high / low > 20.0 {
            // Without room a line would run along the frame.
            Scale::Log(low / 1.15, high * 1.15)
        } else {
            Scale::round(values)
        }
    }

    /// Where a value lies: 0 at the scale's start, 1 at its end.
    pub fn share(&self, value: f64) -> f64 {
        match *self {
            Scale::Linear(low, high) => (value - low) / (high - low),
            Scale::Log(low, high) => (value.max(1e-300) / low).ln() / (high / low).ln(),
        }
    }

    /// At most about `limit` round values inside the scale, with their labels.
    pub fn ticks(&self, limit: usize, kind: Ticks) -> Vec<(f64, String)> {
        let label = |value: f64, step: f64| match kind {
            Ticks::Percent => format!("{}\u{202f}%", text::tick(value * 100.0, step * 100.0)),
            _ => text::tick(value, step),
        };
        match *self {
            Scale::Linear(a, b) => {
                let (low, high) = (a.min(b), a.max(b));
                let step = round_step((high - low) / limit.max(1) as f64);
                let step = if kind == Ticks::Whole { step.max(1.0) } else { step };
                let first = (low / step - 1e-6).ceil() as i64;
                let last = (high / step + 1e-6).floor() as i64;
                (first..=last).map(|i| i as f64 * step).map(|value| (value, label(value, step))).collect()
            }
            Scale::Log(low, high) => {
                let values = log_ticks(low, high, limit);
                if values.len() < 2 {
                    return Scale::Linear(low, high).ticks(limit, kind);
                }
                values.into_iter().map(|value| (value, label(value, value))).collect()
            }
        }
    }
}

fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// The smallest 1, 2 or 5 times a power of ten that is at least `width`.
fn round_step(width: f64) -> f64 {
    let power = 10f64.powf(width.max(1e-300).log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= width * 0.999_999);
    factor.unwrap_or(10.0) * power
}

/// 1-2-5 where that is few enough, else decades, else every second, third … decade.
fn log_ticks(low: f64, high: f64, limit: usize) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let inside = |values: Vec<f64>| -> Vec<f64> {
        values.into_iter().filter(|v| (low * 0.9999..=high * 1.0001).contains(v)).collect()
    };
    // Through text: 10f64.powi(-5) is not exactly 1e-5.
    let at = |digit: u8, exponent: i32| format!("{digit}e{exponent}").parse().unwrap_or(f64::NAN);
    let fine = inside((first..=last).flat_map(|e| [1, 2, 5].map(|digit| at(digit, e))).collect());
    if fine.len() <= limit {
        return fine;
    }
    (1..)
        .map(|stride| inside((first..=last).filter(|e| e % stride == 0).map(|e| at(1, e)).collect()))
        .find(|ticks| ticks.len() <= limit)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, limit: usize) -> Vec<String> {
        scale.ticks(limit, Ticks::Plain).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(labels(Scale::Linear(0.0, 1.0), 5), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(Scale::Linear(3525.0, 7500.0), 5), ["4,000", "5,000", "6,000", "7,000"]);
        assert_eq!(labels(Scale::Log(1.0, 784.0), 10), ["1", "2", "5", "10", "20", "50", "100", "200", "500"]);
        assert_eq!(labels(Scale::Log(0.5, 1500.0), 6), ["1", "10", "100", "1,000"]);
        assert_eq!(labels(Scale::Log(1e-9, 1.0), 5).len(), 5);
        assert_eq!(labels(Scale::Log(0.31, 0.34), 5)[0], "0.31");
        let percents: Vec<_> = Scale::Linear(0.5, 1.0).ticks(5, Ticks::Percent).into_iter().map(|(_, l)| l).collect();
        assert_eq!(percents[0], "50\u{202f}%");
        let whole: Vec<_> = Scale::Linear(1.0, 3.0).ticks(9, Ticks::Whole).into_iter().map(|(_, l)| l).collect();
        assert_eq!(whole, ["1", "2", "3"]);
    }

    #[test]
    fn scales_survive_constants_and_nothing() {
        for values in [vec![], vec![0.0], vec![7.0, 7.0], vec![1e-300], vec![-1e12, 1e12]] {
            let Scale::Linear(low, high) = Scale::round(values.clone()) else { panic!("linear") };
            assert!(low.is_finite() && high > low, "{values:?}: {low} {high}");
            assert!(!Scale::round(values).ticks(5, Ticks::Plain).is_empty());
        }
        assert!(matches!(Scale::positive([0.001, 1.0]), Scale::Log(..)));
        assert!(matches!(Scale::positive([0.0, 1.0]), Scale::Linear(..)));
        assert_eq!(Scale::Linear(10.0, 0.0).share(10.0), 0.0);
    }
}
