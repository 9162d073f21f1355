//! What a model's answer is worth on each row.

use std::ops::Range;

use super::constant::ConstantAnswer;
use super::{Estimate, Judgement};
use crate::Result;
use crate::host::{argmax, log_probability};
use crate::train::{Job, Metric, Resident};

/// Rows whose outputs are read at once.
const CHUNK: usize = 4096;

/// Of every row: what it counts, the model's score and loss, and the constant answer's.
#[derive(Debug, Clone)]
struct RowScore {
    weight: f64,
    metric: f64,
    constant_metric: f64,
    loss: f64,
    constant_loss: f64,
}

/// Scores of a model's outputs row by row, beside the best constant answer's to the training rows.
#[derive(Debug, Clone)]
pub struct RowScores {
    metric: Metric,
    rows: Vec<RowScore>,
    /// Standardised targets `[rows, outputs]` of numbers.
    targets: Vec<f64>,
    /// Squared errors of each, `[rows, outputs]`.
    errors: Vec<f64>,
    /// Whether each number differs anywhere in these rows.
    varying: Vec<bool>,
}

/// Outputs on some places of the row list, `[rows, outputs]`: the mean over the replicas, as `predict` gives it.
pub fn mean_outputs(job: &mut Job, range: Range<usize>) -> Result<Vec<f64>> {
    let mut all = Vec::new();
    for begin in range.clone().step_by(CHUNK) {
        let part = begin..range.end.min(begin + CHUNK);
        let mut mean = job.predict(0, part.clone())?;
        for replica in 1..job.replicas() {
            mean.iter_mut().zip(job.predict(replica, part.clone())?).for_each(|(sum, x)| *sum += x);
        }
        let share = 1.0 / job.replicas() as f64;
        all.extend(mean.into_iter().map(|x| x * share));
    }
    Ok(all)
}

impl RowScores {
    /// `outputs: [rows, outputs]` of the network for `rows` of the data; `train`: the rows that the constant answer is for.
    pub fn new(data: &Resident, metric: Metric, train: &[u32], rows: &[u32], outputs: &[f64]) -> Self {
        let m = data.outputs;
        let constant = ConstantAnswer::new(data, metric, train, rows);
        let target = |row: u32, c: usize| f64::from(f32::from_bits(data.targets[row as usize * m + c]));
        let score = |(&row, outputs): (&u32, &[f64])| {
            let weight = data.weight(row);
            if metric.is_share() {
                let label = data.targets[row as usize] as usize;
                let best = argmax(outputs);
                let right = |answer: usize| f64::from(u8::from(answer == label));
                return RowScore {
                    weight,
                    metric: right(best),
                    constant_metric: right(constant.class),
                    loss: -(log_probability(outputs, label)),
                    constant_loss: -constant.shares[label].ln(),
                };
            }
            let mean = |f: &dyn Fn(usize) -> f64| (0..m).map(f).sum::<f64>() / m as f64;
            RowScore {
                weight,
                metric: mean(&|c| (outputs[c] - target(row, c)).abs()) * data.unit,
                constant_metric: mean(&|c| (constant.medians[c] - target(row, c)).abs()) * data.unit,
                loss: mean(&|c| (outputs[c] - target(row, c)).powi(2)),
                constant_loss: mean(&|c| (constant.means[c] - target(row, c)).powi(2)),
            }
        };
        let scores = rows.iter().zip(outputs.chunks_exact(m)).map(score).collect();
        let places = || rows.iter().enumerate().flat_map(|(i, &row)| (0..m).map(move |c| (i * m + c, row, c)));
        let (targets, errors) = match metric.is_share() {
            true => (Vec::new(), Vec::new()),
            false => places().map(|(at, row, c)| (target(row, c), (outputs[at] - target(row, c)).powi(2))).unzip(),
        };
        let varying = if metric.is_share() { Vec::new() } else { (0..m).map(|c| data.varies(rows, c)).collect() };
        RowScores { metric, rows: scores, targets, errors, varying }
    }

    /// `None` without rows.
    pub fn judge(&self) -> Option<Judgement> {
        if self.rows.is_empty() {
            return None;
        }
        let share = self.metric.is_share();
        let better = |a: f64, b: f64| if share { a - b } else { b - a };
        let of = |f: &dyn Fn(&RowScore) -> f64| self.mean(f);
        let (score, constant, gain) =
            (of(&|r| r.metric), of(&|r| r.constant_metric), of(&|r| better(r.metric, r.constant_metric)));
        Some(Judgement {
            rows: self.rows.len(),
            metric: self.metric,
            score: if share { self.share(score.value) } else { score },
            constant: match self.metric {
                // One class is always right and the others never, whatever the rows.
                Metric::BalancedAccuracy => Estimate { value: constant.value, se: 0.0 },
                _ if share => self.share(constant.value),
                _ => constant,
            },
            gain: match self.metric {
                Metric::BalancedAccuracy => Estimate { value: gain.value, se: self.share(score.value).se },
                _ if share => self.difference_of_shares(gain.value),
                _ => gain,
            },
            loss_gain: of(&|r| r.constant_loss - r.loss),
            loss: of(&|r| r.loss),
            r2: if share { None } else { self.r2(None) },
        })
    }

    /// Rows of equal weight that would tell as much (Kish).
    fn effective(&self) -> f64 {
        let (sum, squares) = self.rows.iter().fold((0.0, 0.0), |(s, q), r| (s + r.weight, q + r.weight * r.weight));
        if squares > 0.0 { sum * sum / squares } else { 0.0 }
    }

    /// A weighted mean and its standard error.
    fn mean(&self, f: &dyn Fn(&RowScore) -> f64) -> Estimate {
        let total: f64 = self.rows.iter().map(|r| r.weight).sum();
        let value = self.rows.iter().map(|r| r.weight * f(r)).sum::<f64>() / total;
        let squares: f64 = self.rows.iter().map(|r| (r.weight * (f(r) - value)).powi(2)).sum();
        let n = self.effective();
        // One row says nothing about its own spread: as far off as it may be.
        let se = if n > 1.0 { (squares * n / (n - 1.0)).sqrt() / total } else { f64::INFINITY };
        Estimate { value, se }
    }

    /// The standard error of a share is never 0: two rows right and two wrong are added (A. Agresti, B. A. Coull, "Approximate
    /// is better than 'exact' for interval estimation of binomial proportions", The American Statistician 52, 1998).
    fn share(&self, value: f64) -> Estimate {
        let n = self.effective();
        let p = (value * n + 2.0) / (n + 4.0);
        Estimate { value, se: (p * (1.0 - p) / (n + 4.0)).sqrt() }
    }

    /// The same for a difference of two shares of the same rows: one row that only the model answers right and one that only the
    /// constant does are added (D. G. Bonett, R. M. Price, "Adjusted Wald confidence interval for a difference of binomial
    /// proportions based on paired data", Journal of Educational and Behavioral Statistics 37, 2012).
    fn difference_of_shares(&self, value: f64) -> Estimate {
        let n = self.effective();
        let total: f64 = self.rows.iter().map(|r| r.weight).sum();
        let differ = self.rows.iter().map(|r| r.weight * (r.metric - r.constant_metric).abs()).sum::<f64>() / total;
        let (mean, square) = (value * n / (n + 2.0), (differ * n + 2.0) / (n + 2.0));
        Estimate { value, se: ((square - mean * mean) / (n + 2.0)).sqrt() }
    }

    /// R² of each output, of numbers.
    pub(super) fn r2_by_output(&self) -> Vec<Option<Estimate>> {
        (0..self.targets.len() / self.rows.len().max(1)).map(|c| self.r2(Some(c))).collect()
    }

    /// 1 − Σw e²/Σw (y − ȳ)², means over the outputs, or of one; the standard error is that of the ratio's linearisation. `None` of rows
    /// that are all alike: rounding would leave a variance of the mean's last digit.
    fn r2(&self, output: Option<usize>) -> Option<Estimate> {
        let m = self.targets.len() / self.rows.len();
        let outputs = output.map_or(0..m, |c| c..c + 1);
        if !self.varying[outputs.clone()].contains(&true) {
            return None;
        }
        let n = outputs.len() as f64;
        let total: f64 = self.rows.iter().map(|r| r.weight).sum();
        let column = |c: usize| self.targets.iter().skip(c).step_by(m);
        let means: Vec<f64> =
            (0..m).map(|c| column(c).zip(&self.rows).map(|(y, r)| r.weight * y).sum::<f64>() / total).collect();
        let of_row =
            |row: &[f64], f: &dyn Fn(usize, f64) -> f64| outputs.clone().map(|c| f(c, row[c])).sum::<f64>() / n;
        let spread: Vec<f64> =
            self.targets.chunks_exact(m).map(|row| of_row(row, &|c, y| (y - means[c]).powi(2))).collect();
        let error: Vec<f64> = self.errors.chunks_exact(m).map(|row| of_row(row, &|_, e| e)).collect();
        let sum = |f: &dyn Fn(usize) -> f64| (0..self.rows.len()).map(f).sum::<f64>();
        let variance = sum(&|i| self.rows[i].weight * spread[i]) / total;
        let ratio = sum(&|i| self.rows[i].weight * error[i]) / total / variance;
        let squares = sum(&|i| (self.rows[i].weight * (error[i] - ratio * spread[i])).powi(2));
        Some(Estimate { value: 1.0 - ratio, se: squares.sqrt() / (total * variance) })
    }

    /// How much larger the loss is than another model's on the same rows, in the same order.
    pub(super) fn loss_beyond(&self, other: &RowScores) -> Estimate {
        let rows = self.rows.iter().zip(&other.rows).map(|(a, b)| RowScore { loss: a.loss - b.loss, ..a.clone() });
        let (metric, rows) = (self.metric, rows.collect());
        RowScores { metric, rows, targets: Vec::new(), errors: Vec::new(), varying: Vec::new() }.mean(&|r| r.loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Storage;

    /// Rows without inputs: only targets and weights are read.
    fn data(targets: Vec<u32>, weights: Vec<f32>, outputs: usize, unit: f64) -> Resident {
        let rows = targets.len() as u32;
        Resident {
            storage: Storage::F32,
            stride: 0,
            words: Vec::new().into(),
            columns: 0,
            scaling: Vec::new(),
            targets,
            weights,
            outputs,
            list: (0..rows).collect(),
            lists: Vec::new(),
            train: 0..rows as usize,
            validation: 0..0,
            test: 0..0,
            unit,
        }
    }

    fn close(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-12, "{found}, not {wanted}");
    }

    #[test]
    fn numbers_by_hand() {
        let y = [1.0f32, 2.0, 3.0, 6.0];
        let data = data(y.iter().map(|y| y.to_bits()).collect(), Vec::new(), 1, 2.0);
        let all: Vec<u32> = (0..4).collect();
        let j = RowScores::new(&data, Metric::Mae, &all, &all, &[1.0, 2.5, 3.0, 5.0]).judge().unwrap();
        // |e| 0, 1/2, 0, 1 in a unit of 2; the training rows' median is 2 (the first that half the weight reaches).
        close(j.score.value, 0.75);
        close(j.constant.value, 3.0);
        close(j.gain.value, 2.25);
        let errors = [0.0, 1.0, 0.0, 2.0];
        let variance = errors.iter().map(|e| (e - 0.75f64).powi(2)).sum::<f64>() / 3.0;
        close(j.score.se, (variance / 4.0).sqrt());
        // Squares: 0, 1/4, 0, 1 against (y − 3)²: 4, 1, 0, 9.
        close(j.loss.value, 1.25 / 4.0);
        close(j.loss_gain.value, (14.0 - 1.25) / 4.0);
        let r2 = j.r2.unwrap();
        close(r2.value, 1.0 - 1.25 / 14.0);
        let linear = [0.0 - 4.0 * 1.25 / 14.0, 0.25 - 1.25 / 14.0, 0.0, 1.0 - 9.0 * 1.25 / 14.0];
        close(r2.se, linear.iter().map(|x: &f64| x * x).sum::<f64>().sqrt() / 14.0);
        // A row of weight 2 is two rows, but for its standard error.
        let twice = super::tests::data([y[0], y[1]].iter().map(|y| y.to_bits()).collect(), vec![2.0, 1.0], 1, 1.0);
        let j = RowScores::new(&twice, Metric::Mae, &[0, 1], &[0, 1], &[1.5, 2.0]).judge().unwrap();
        close(j.score.value, 1.0 / 3.0);
        assert!(RowScores::new(&twice, Metric::Mae, &[0, 1], &[], &[]).judge().is_none());
        // One row: nothing is known about the spread, and there is no variance to explain.
        let j = RowScores::new(&twice, Metric::Mae, &[0, 1], &[1], &[2.5]).judge().unwrap();
        assert!(j.score.value == 0.5 && j.score.se.is_infinite() && j.r2.is_none() && !j.gain.is_gain());
    }

    #[test]
    fn shares_by_hand() {
        let data = data(vec![0, 0, 0, 1, 1], Vec::new(), 2, 1.0);
        let all: Vec<u32> = (0..5).collect();
        // Logits (0, x): class 1 where x > 0. Four of five right; always class 0 has three.
        let outputs = [0.0, -1.0, 0.0, -2.0, 0.0, 1.0, 0.0, 3.0, 0.0, 0.5];
        let j = RowScores::new(&data, Metric::Accuracy, &all, &all, &outputs).judge().unwrap();
        close(j.score.value, 0.8);
        close(j.constant.value, 0.6);
        let p = 6.0 / 9.0f64;
        close(j.score.se, (p * (1.0 - p) / 9.0).sqrt());
        // Two rows only the model has right, one only the constant.
        close(j.gain.value, 0.2);
        let (mean, square) = (1.0 / 7.0, 5.0 / 7.0f64);
        close(j.gain.se, ((square - mean * mean) / 7.0).sqrt());
        let p = |x: f64| 1.0 / (1.0 + (-x).exp());
        let loss = -(p(1.0).ln() + p(2.0).ln() + p(-1.0).ln() + p(3.0).ln() + p(0.5).ln()) / 5.0;
        close(j.loss.value, loss);
        close(j.loss_gain.value, -(0.6 * 0.6f64.ln() + 0.4 * 0.4f64.ln()) - loss);
        // All right: still not certain.
        let right = RowScores::new(&data, Metric::Accuracy, &all, &all[..3], &outputs[..4].repeat(2)[..6]);
        let right = right.judge().unwrap();
        assert!(right.score.value == 1.0 && right.score.se > 0.1 && !right.gain.is_gain());
    }
}
