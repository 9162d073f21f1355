//! What always giving the same answer is worth: the least that a selection has to beat.

use crate::kernels::LossKind;
use crate::train::{Metric, Resident};

/// The training rows' loss of the constant answer that fits them best: their classes' shares, or their mean (0, since
/// targets are standardised); all of them weighted, as the loss is.
pub(crate) fn constant_loss(data: &Resident, kind: LossKind) -> f64 {
    let train = || data.list[data.train.clone()].iter().map(|&r| (r as usize, data.weight(r)));
    let total = data.total_weight(data.train.clone());
    if kind == LossKind::Ce {
        let mut of_class = vec![0.0; data.outputs];
        train().for_each(|(r, weight)| of_class[data.targets[r] as usize] += weight);
        return of_class.iter().filter(|&&weight| weight > 0.0).map(|w| -w * (w / total).ln()).sum::<f64>() / total;
    }
    let m = data.outputs;
    let loss = |&bits: &u32| match (kind, f64::from(f32::from_bits(bits))) {
        (LossKind::Mse, t) => t * t,
        (LossKind::Huber, t) if t.abs() <= 1.0 => t * t / 2.0,
        (LossKind::Huber, t) => t.abs() - 0.5,
        (LossKind::Mae | LossKind::Ce, t) => t.abs(),
    };
    let of_row = |r: usize| data.targets[r * m..(r + 1) * m].iter().map(loss).sum::<f64>();
    train().map(|(r, weight)| weight * of_row(r)).sum::<f64>() / (total * m as f64)
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
