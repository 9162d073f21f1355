//! What always giving the same answer is worth: the least that a selection has to beat.

use crate::kernels::LossKind;
use crate::train::{Metric, Resident};

/// The loss on some rows of the constant answer that fits them best: their classes' shares, or a number for each output; all of them
/// weighted, as the loss is.
pub(crate) fn constant_loss(data: &Resident, rows: &[u32], kind: LossKind) -> f64 {
    let weighted: Vec<(usize, f64)> = rows.iter().map(|&r| (r as usize, data.weight(r))).collect();
    let total: f64 = weighted.iter().map(|(_, weight)| weight).sum();
    if kind == LossKind::Ce {
        let mut of_class = vec![0.0; data.outputs];
        weighted.iter().for_each(|&(r, weight)| of_class[data.targets[r] as usize] += weight);
        return of_class.iter().filter(|&&weight| weight > 0.0).map(|w| -w * (w / total).ln()).sum::<f64>() / total;
    }
    let m = data.outputs;
    let target = |r: usize, c: usize| f64::from(f32::from_bits(data.targets[r * m + c]));
    let output = |c: usize| {
        let values: Vec<(f64, f64)> = weighted.iter().map(|&(r, weight)| (target(r, c), weight)).collect();
        least_loss(&values, kind)
    };
    (0..m).map(output).sum::<f64>() / (total * m as f64)
}

/// The least of `Σ weight · loss(value − c)` over all numbers c. It is convex: its slope rises from the lowest value to the highest.
fn least_loss(values: &[(f64, f64)], kind: LossKind) -> f64 {
    // Halvings of the values' range that leave nothing of it in double precision.
    const HALVINGS: usize = 60;
    let slope = |d: f64| match kind {
        LossKind::Mse => 2.0 * d,
        LossKind::Huber => d.clamp(-1.0, 1.0),
        LossKind::Mae | LossKind::Ce => d.signum() * f64::from(d != 0.0),
    };
    let loss = |d: f64| match kind {
        LossKind::Mse => d * d,
        LossKind::Huber if d.abs() <= 1.0 => d * d / 2.0,
        LossKind::Huber => d.abs() - 0.5,
        LossKind::Mae | LossKind::Ce => d.abs(),
    };
    let mut low = values.iter().fold(f64::INFINITY, |low, v| low.min(v.0));
    let mut high = values.iter().fold(f64::NEG_INFINITY, |high, v| high.max(v.0));
    for _ in 0..HALVINGS {
        let c = low + (high - low) / 2.0;
        if values.iter().map(|&(value, weight)| weight * slope(value - c)).sum::<f64>() > 0.0 {
            low = c;
        } else {
            high = c;
        }
    }
    values.iter().map(|&(value, weight)| weight * loss(value - high)).sum()
}

/// The constant answers that fit some training rows best.
pub(super) struct ConstantAnswer {
    /// Classes: the most frequent (of equals, as all are with balanced classes, the one that does best on the rows asked about).
    pub class: usize,
    /// Each class's share of the training rows, none of them 0: a class that they lack has half a row.
    pub shares: Vec<f64>,
    /// Numbers, standardised: of each output.
    pub medians: Vec<f64>,
    pub means: Vec<f64>,
}

impl ConstantAnswer {
    /// `train`, `rows`: row numbers of the data.
    pub fn new(data: &Resident, metric: Metric, train: &[u32], rows: &[u32]) -> Self {
        let weighted =
            |rows: &[u32]| -> Vec<(usize, f64)> { rows.iter().map(|&r| (r as usize, data.weight(r))).collect() };
        let training = weighted(train);
        let total: f64 = training.iter().map(|(_, weight)| weight).sum();
        let m = data.outputs;
        if metric.is_share() {
            let by_class = |rows: &[(usize, f64)]| {
                let mut of_class = vec![0.0f64; m];
                rows.iter().for_each(|&(r, weight)| of_class[data.targets[r] as usize] += weight);
                of_class
            };
            let (there, here) = (by_class(&training), by_class(&weighted(rows)));
            // Weights are f32: sums that should be equal differ in their last digits.
            let bar = there.iter().copied().fold(0.0, f64::max) * (1.0 - 1e-5);
            let answers = (0..m).filter(|&c| there[c] >= bar);
            let class = answers.fold(None, |best, c| match best {
                Some(b) if here[b] >= here[c] => best,
                _ => Some(c),
            });
            let least = 0.5 * total / train.len().max(1) as f64;
            let shares = there.iter().map(|&weight| weight.max(least) / total).collect();
            return ConstantAnswer { class: class.unwrap_or(0), shares, medians: Vec::new(), means: Vec::new() };
        }
        let target = |r: usize, c: usize| f64::from(f32::from_bits(data.targets[r * m + c]));
        let median = |c: usize| {
            let mut values: Vec<(f64, f64)> = training.iter().map(|&(r, weight)| (target(r, c), weight)).collect();
            values.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut below = 0.0;
            let reaches = |&&(_, weight): &&(f64, f64)| {
                below += weight;
                below >= total / 2.0
            };
            values.iter().find(reaches).map_or(0.0, |&(value, _)| value)
        };
        let mean = |c: usize| training.iter().map(|&(r, weight)| weight * target(r, c)).sum::<f64>() / total;
        let (medians, means) = ((0..m).map(median).collect(), (0..m).map(mean).collect());
        ConstantAnswer { class: 0, shares: Vec::new(), medians, means }
    }
}

/// The score, on some rows, of the best constant answer to the training rows.
pub(crate) fn constant_score(data: &Resident, metric: Metric, train: &[u32], rows: &[u32]) -> f64 {
    let total: f64 = rows.iter().map(|&row| data.weight(row)).sum();
    let answer = ConstantAnswer::new(data, metric, train, rows);
    let weighted = || rows.iter().map(|&r| (r as usize, data.weight(r)));
    if metric.is_share() {
        let right = weighted().filter(|&(r, _)| data.targets[r] as usize == answer.class);
        // Not sum(): of nothing that is −0.
        return right.fold(0.0, |sum, (_, weight)| sum + weight) / total;
    }
    let m = data.outputs;
    let target = |r: usize, c: usize| f64::from(f32::from_bits(data.targets[r * m + c]));
    let error = |c: usize| weighted().map(|(r, w)| w * (target(r, c) - answer.medians[c]).abs()).sum::<f64>() / total;
    (0..m).map(error).sum::<f64>() / m as f64 * data.unit
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean, the weighted median, and for Huber's loss between the two where a value is far off (its pull ends at 1): no other number
    /// is better.
    #[test]
    fn the_best_constant_is_the_losss_own() {
        let values = [(0.0, 1.0), (0.25, 1.0), (0.5, 2.0), (9.0, 1.0)];
        let near = |found: f64, truth: f64| assert!((found - truth).abs() < 1e-12, "{found}, not {truth}");
        let mean = 10.25 / 5.0;
        let spread = |c: f64| values.iter().map(|(v, w)| w * (v - c) * (v - c)).sum::<f64>();
        near(least_loss(&values, LossKind::Mse), spread(mean));
        near(least_loss(&values, LossKind::Mae), 0.5 + 0.25 + 8.5);
        // 0.5625 balances: −0.5625 − 0.3125 − 2·0.0625 + 1 = 0.
        let c = 0.5625f64;
        near(
            least_loss(&values, LossKind::Huber),
            (c * c + 0.3125f64.powi(2) + 2.0 * 0.0625f64.powi(2)) / 2.0 + 9.0 - c - 0.5,
        );
        near(least_loss(&[(4.0, 2.0)], LossKind::Mse), 0.0);
    }
}
