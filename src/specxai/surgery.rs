//! Reductions of a list of contributions to fewer of one sign (SpecXAI, equations 21 and 22; method.md section 3).

use std::str::FromStr;

use crate::Error;

/// How contributions that work against each other are reduced. Every reduction but `TopN` and `Quantile` keeps the sum.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Reduction {
    /// As they are.
    None,
    /// Positive and negative ones are added pairwise, largest with largest, until one sign is left.
    #[default]
    Cancel,
    /// The sign of the sum keeps its share, scaled to the sum; the other sign becomes 0. Free of order.
    ProRata,
    /// The n largest by magnitude.
    TopN(usize),
    /// Those whose magnitude is at least this quantile of the magnitudes.
    Quantile(f64),
}

impl std::fmt::Display for Reduction {
    /// As `--reduce` takes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reduction::None => write!(f, "none"),
            Reduction::Cancel => write!(f, "cancel"),
            Reduction::ProRata => write!(f, "pro-rata"),
            Reduction::TopN(n) => write!(f, "top:{n}"),
            Reduction::Quantile(q) => write!(f, "quantile:{q}"),
        }
    }
}

impl FromStr for Reduction {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::Usage(format!(
                "--reduce {text} is not a reduction; use cancel, pro-rata, top:N, quantile:Q (0 to 1) or none"
            ))
        };
        match text.split_once(':') {
            None if text == "none" => Ok(Reduction::None),
            None if text == "cancel" => Ok(Reduction::Cancel),
            None if text == "pro-rata" => Ok(Reduction::ProRata),
            Some(("top", n)) => n.parse().ok().filter(|&n| n > 0).map(Reduction::TopN).ok_or_else(wrong),
            Some(("quantile", q)) => {
                q.parse().ok().filter(|q| (0.0..=1.0).contains(q)).map(Reduction::Quantile).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

/// The reduced contributions α̂, in the places of the original ones; those that are gone are 0.
pub fn reduce(alpha: &[f64], reduction: Reduction) -> Vec<f64> {
    match reduction {
        Reduction::None => alpha.to_vec(),
        Reduction::Cancel => cancel(alpha),
        Reduction::ProRata => pro_rata(alpha),
        Reduction::TopN(n) => keep(alpha, n),
        Reduction::Quantile(q) => {
            let mut sizes: Vec<f64> = alpha.iter().map(|a| a.abs()).collect();
            sizes.sort_by(f64::total_cmp);
            let Some(last) = sizes.len().checked_sub(1) else { return vec![] };
            // The lower of the two magnitudes around the quantile.
            let least = sizes[(q * last as f64).floor() as usize];
            alpha.iter().map(|&a| if a.abs() >= least { a } else { 0.0 }).collect()
        }
    }
}

fn keep(alpha: &[f64], n: usize) -> Vec<f64> {
    let mut kept = vec![0.0; alpha.len()];
    by_size(alpha, |_| true).into_iter().take(n).for_each(|i| kept[i] = alpha[i]);
    kept
}

/// Places with non-zero values that `wanted` takes, largest magnitude first, ties by place.
fn by_size(values: &[f64], wanted: impl Fn(f64) -> bool) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).filter(|&i| values[i] != 0.0 && wanted(values[i])).collect();
    places.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
    places
}

/// Every round pairs the positive with the negative values by order and adds each pair; the sum takes the place of its
/// larger member. A round leaves at most max(p, n) of p + n values, so rounds end.
fn cancel(alpha: &[f64]) -> Vec<f64> {
    let mut values = alpha.to_vec();
    loop {
        let (positive, negative) = (by_size(&values, |a| a > 0.0), by_size(&values, |a| a < 0.0));
        if positive.is_empty() || negative.is_empty() {
            return values;
        }
        for (&p, &n) in positive.iter().zip(&negative) {
            let sum = values[p] + values[n];
            let (heir, other) = if values[p].abs() >= values[n].abs() { (p, n) } else { (n, p) };
            values[heir] = sum;
            values[other] = 0.0;
        }
    }
}

fn pro_rata(alpha: &[f64]) -> Vec<f64> {
    let sum: f64 = alpha.iter().sum();
    let same: f64 = alpha.iter().filter(|a| **a * sum > 0.0).map(|a| a.abs()).sum();
    alpha.iter().map(|&a| if a * sum > 0.0 { a * sum.abs() / same } else { 0.0 }).collect()
}

/// Proportions `α̃ = α̂/Σα̂`; `None` when the contributions cancel to less than rounding leaves.
pub fn shares(alpha: &[f64], reduced: &[f64], epsilon: f64) -> Option<Vec<f64>> {
    let sum: f64 = alpha.iter().sum();
    let size: f64 = alpha.iter().map(|a| a.abs()).sum();
    let total: f64 = reduced.iter().sum();
    let negligible = sum.abs() <= alpha.len() as f64 * epsilon * size || total == 0.0;
    // Plus zero: what is gone has the share 0, not −0.
    (!negligible).then(|| reduced.iter().map(|r| r / total + 0.0).collect())
}

/// Reduces cluster by cluster: the α of one cluster are not defined singly, so they go together, each with its part. Members
/// keep signs of their own: what has one sign after a cancellation is the clusters' sums.
pub fn reduce_clusters(alpha: &[f64], cluster: &[usize], reduction: Reduction) -> Vec<f64> {
    let count = cluster.last().map_or(0, |&last| last + 1);
    let mut sums = vec![0.0; count];
    cluster.iter().zip(alpha).for_each(|(&c, a)| sums[c] += a);
    let reduced = reduce(&sums, reduction);
    let factor = |c: usize| if sums[c] == 0.0 { 0.0 } else { reduced[c] / sums[c] };
    alpha.iter().zip(cluster).map(|(a, &c)| a * factor(c) + 0.0).collect()
}
