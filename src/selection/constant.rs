//! What always giving the same answer is worth: the least that a selection has to beat.

use std::ops::Range;

use crate::kernels::LossKind;
use crate::train::{Metric, Resident};

/// The training rows' loss of the constant answer that fits them best: their classes' shares, or their mean (0, since
/// targets are standardised); all of them weighted, as the loss is.
pub(super) fn constant_loss(data: &Resident, kind: LossKind) -> f64 {
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

/// The score, on some places of the row list, of the best constant answer to the training rows: their most frequent class (of
/// equals, as all are with balanced classes, the one that does best here), or their median.
pub(super) fn constant_score(data: &Resident, metric: Metric, places: Range<usize>) -> f64 {
    let total = data.total_weight(places.clone());
    let rows = |places: Range<usize>| data.list[places].iter().map(|&r| (r as usize, data.weight(r)));
    if metric.is_share() {
        let by_class = |places: Range<usize>| {
            let mut of_class = vec![0.0f64; data.outputs];
            rows(places).for_each(|(r, weight)| of_class[data.targets[r] as usize] += weight);
            of_class
        };
        let training = by_class(data.train.clone());
        // Weights are f32: sums that should be equal differ in their last digits.
        let bar = training.iter().copied().fold(0.0, f64::max) * (1.0 - 1e-5);
        let answers = by_class(places).into_iter().zip(training).filter(|&(_, weight)| weight >= bar);
        return answers.map(|(here, _)| here).fold(0.0, f64::max) / total;
    }
    let m = data.outputs;
    let target = |r: usize, c: usize| f64::from(f32::from_bits(data.targets[r * m + c]));
    let error = |c: usize| {
        let mut values: Vec<(f64, f64)> = rows(data.train.clone()).map(|(r, weight)| (target(r, c), weight)).collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let half = data.total_weight(data.train.clone()) / 2.0;
        let mut below = 0.0;
        let reaches = |&&(_, weight): &&(f64, f64)| {
            below += weight;
            below >= half
        };
        let median = values.iter().find(reaches).map_or(0.0, |&(value, _)| value);
        rows(places.clone()).map(|(r, weight)| weight * (target(r, c) - median).abs()).sum::<f64>() / total
    };
    (0..m).map(error).sum::<f64>() / m as f64 * data.unit
}
