//! Class by class: recall, confusions, and how well the outputs order the rows.

use serde::{Deserialize, Serialize};

use crate::host::{argmax, log_probability, softmax};
use crate::train::Resident;

/// Classes whose confusions are told.
const MOST_CONFUSED: usize = 100;

/// One class on some rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    pub name: String,
    pub rows: usize,
    /// Share of its rows that are answered right; `None` without rows.
    pub recall: Option<f64>,
    /// Share of the rows answered with it that are of it; `None` where none is.
    pub precision: Option<f64>,
    /// Area under the ROC curve of this class against the others, by the outputs' softmax; ties count half.
    pub auc: Option<f64>,
}

/// Classes on some rows, each row counted once whatever its weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    pub classes: Vec<ClassScore>,
    /// `[class][answer]`: how many rows of a class were given which answer; empty with more than 100 classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<usize>>,
    /// Mean of the recalls over the classes that have rows.
    pub balanced_accuracy: f64,
    /// Mean of the classes' areas under the ROC curve.
    pub auc: Option<f64>,
    /// Mean of −ln of the probability given to the right class.
    pub log_loss: f64,
}

impl ClassScores {
    /// `outputs: [rows, classes]` for `rows` of the data.
    pub(crate) fn new(data: &Resident, names: &[String], rows: &[u32], outputs: &[f64]) -> Self {
        let m = names.len();
        let labels: Vec<usize> = rows.iter().map(|&r| data.targets[r as usize] as usize).collect();
        let mut confusion = vec![vec![0usize; m]; m];
        let (mut probabilities, mut log_loss) = (Vec::with_capacity(outputs.len()), 0.0);
        for (&label, row) in labels.iter().zip(outputs.chunks_exact(m)) {
            confusion[label][argmax(row)] += 1;
            probabilities.extend(softmax(row));
            log_loss -= log_probability(row, label);
        }
        let share = |part: usize, all: usize| (all > 0).then(|| part as f64 / all as f64);
        let class = |c: usize| {
            let of_class: usize = confusion[c].iter().sum();
            let answered: usize = confusion.iter().map(|row| row[c]).sum();
            let scores: Vec<(f64, bool)> =
                labels.iter().zip(probabilities.chunks_exact(m)).map(|(&label, p)| (p[c], label == c)).collect();
            ClassScore {
                name: names[c].clone(),
                rows: of_class,
                recall: share(confusion[c][c], of_class),
                precision: share(confusion[c][c], answered),
                auc: area(scores),
            }
        };
        let classes: Vec<ClassScore> = (0..m).map(class).collect();
        let mean = |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        ClassScores {
            balanced_accuracy: mean(classes.iter().filter_map(|c| c.recall).collect()).unwrap_or(0.0),
            auc: mean(classes.iter().filter_map(|c| c.auc).collect()),
            log_loss: log_loss / rows.len().max(1) as f64,
            classes,
            confusion: if m <= MOST_CONFUSED { confusion } else { Vec::new() },
        }
    }
}

/// The share of pairs of one row of the class and one of the others that the score orders right (Mann and Whitney's U over the number
/// of pairs); `None` without such pairs.
fn area(mut scores: Vec<(f64, bool)>) -> Option<f64> {
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut pairs) = (0.0, 0.0);
    for equal in scores.chunk_by(|a, b| a.0 == b.0) {
        let inside = equal.iter().filter(|(_, of)| *of).count() as f64;
        let others = equal.len() as f64 - inside;
        pairs += inside * (below + others / 2.0);
        below += others;
    }
    let all = (scores.len() as f64 - below) * below;
    (all > 0.0).then(|| pairs / all)
}

#[cfg(test)]
mod tests {
    use super::area;

    #[test]
    fn the_area_counts_pairs() {
        let of = |scores: &[(f64, u8)]| area(scores.iter().map(|&(s, class)| (s, class == 1)).collect());
        assert_eq!(
            of(&[(0.1, 0), (0.4, 0), (0.35, 1), (0.8, 1)]),
            Some(0.75),
            "scikit-learn's example of roc_auc_score"
        );
        assert_eq!(of(&[(1.0, 0), (1.0, 1)]), Some(0.5));
        assert_eq!(of(&[(2.0, 0), (1.0, 1), (3.0, 0)]), Some(0.0));
        assert_eq!(of(&[(2.0, 0), (1.0, 0)]), None);
    }
}
