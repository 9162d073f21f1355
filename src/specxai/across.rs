//! What explanations of many inputs have in common: similarity of singular vectors, spectra over the layers, agreement with
//! the eigenvalues' ranking.

use super::decomposition::dot;
use super::explanation::Explanation;

/// `|φ·φ'|` of unit vectors, `[vectors, vectors]` row-major (SpecXAI, figure 5).
pub fn similarity(vectors: &[&[f64]]) -> Vec<f64> {
    let n = vectors.len();
    let mut matrix = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let cosine = dot(vectors[i], vectors[j]).abs().min(1.0);
            matrix[i * n + j] = cosine;
            matrix[j * n + i] = cosine;
        }
    }
    matrix
}

/// The right singular vector that carries most of an explanation, if its map was kept.
pub fn top_vector(explanation: &Explanation) -> Option<&[f64]> {
    let best = explanation.by_size().into_iter().find(|&k| explanation.right.get(k).is_some_and(|v| !v.is_empty()))?;
    Some(&explanation.right[best])
}

/// Means over inputs at one split, by k.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spectrum {
    pub split: String,
    /// Inputs that it is a mean over.
    pub rows: usize,
    /// σ_k / σ₀.
    pub sigma: Vec<f64>,
    /// |α| in decreasing order, as a share of Σ|α|.
    pub alpha: Vec<f64>,
    /// |α̂| after the reduction, in the same way: the reduced spectrum.
    pub reduced: Vec<f64>,
    pub rank: f64,
}

impl Spectrum {
    pub fn new(split: &str) -> Self {
        Spectrum { split: split.to_owned(), ..Spectrum::default() }
    }

    /// Adds one input's; the means move on.
    pub fn add(&mut self, explanation: &Explanation) {
        let c = &explanation.contributions;
        let largest = c.first().map_or(1.0, |c| c.sigma);
        let sorted = |mut values: Vec<f64>| {
            values.sort_by(|a, b| b.total_cmp(a));
            let sum: f64 = values.iter().sum();
            values.iter().map(|v| if sum > 0.0 { v / sum } else { 0.0 }).collect::<Vec<_>>()
        };
        let n = self.rows as f64;
        mean_in(&mut self.sigma, &c.iter().map(|c| c.sigma / largest).collect::<Vec<_>>(), n);
        mean_in(&mut self.alpha, &sorted(c.iter().map(|c| c.alpha.abs()).collect()), n);
        mean_in(&mut self.reduced, &sorted(c.iter().map(|c| c.alpha_reduced.abs()).collect()), n);
        self.rank = (self.rank * n + explanation.rank as f64) / (n + 1.0);
        self.rows += 1;
    }
}

/// `mean ← (mean·n + value)/(n + 1)`, the shorter one filled up with zeros.
fn mean_in(mean: &mut Vec<f64>, value: &[f64], n: f64) {
    mean.resize(mean.len().max(value.len()), 0.0);
    for (i, m) in mean.iter_mut().enumerate() {
        *m = (*m * n + value.get(i).copied().unwrap_or(0.0)) / (n + 1.0);
    }
}

/// Spearman's rank correlation, ties by their mean rank; `None` when one side is constant.
pub fn rank_correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b) = (ranks(a), ranks(b));
    let n = a.len().max(1) as f64;
    let mean = (n - 1.0) / 2.0;
    let moment = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>() / n;
    let (sa, sb) = (moment(&a, &a).sqrt(), moment(&b, &b).sqrt());
    (sa > 0.0 && sb > 0.0).then(|| moment(&a, &b) / (sa * sb))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut i = 0;
    while i < order.len() {
        let same = order[i..].iter().take_while(|&&j| values[j] == values[order[i]]).count();
        let rank = i as f64 + (same as f64 - 1.0) / 2.0;
        order[i..i + same].iter().for_each(|&j| ranks[j] = rank);
        i += same;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_of_ranks() {
        assert_eq!(rank_correlation(&[1.0, 2.0, 3.0], &[10.0, 20.0, 1000.0]), Some(1.0));
        assert_eq!(rank_correlation(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some(-1.0));
        assert_eq!(rank_correlation(&[1.0, 1.0], &[3.0, 2.0]), None);
        assert_eq!(rank_correlation(&[], &[]), None);
        // By hand: ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3.
        let r = rank_correlation(&[1.0, 2.0, 2.0, 5.0], &[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert!((r - 4.5 / (4.5f64 * 5.0).sqrt()).abs() < 1e-12, "{r}");
    }

    #[test]
    fn similarity_is_symmetric_with_ones() {
        let (a, b) = ([1.0, 0.0], [-0.6, 0.8]);
        let s = similarity(&[&a, &b]);
        assert_eq!(s, [1.0, 0.6, 0.6, 1.0]);
    }
}
