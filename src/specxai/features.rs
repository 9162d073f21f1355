//! An output by what each feature adds to it: `y = Σβ + Σ_i J_i x̃_i`, with the columns of a categorical variable summed to it.

use serde::Serialize;

use super::explanation::Explanation;
use crate::data::Unit;

/// An output at one input as a sum over features: `base + Σ parts = y` (or the prediction, in the target's units), to within the
/// explanation's residual.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureParts {
    /// Σβ: what this input's affine map gives where every input is zero after scaling (with `standard`, at its training mean).
    pub base: f64,
    /// `Σ J_i x̃_i` over each unit's columns, in the order of the units.
    pub parts: Vec<f64>,
}

impl FeatureParts {
    /// In the output's own scale. Parts do not depend on the split.
    pub fn of(explanation: &Explanation, units: &[Unit]) -> Self {
        FeatureParts { base: explanation.beta_sum(), parts: by_feature(&explanation.attribution, units) }
    }

    /// The sum.
    pub fn total(&self) -> f64 {
        self.base + self.parts.iter().sum::<f64>()
    }

    /// Units by the magnitude of their parts, largest first; of equal ones the first.
    pub fn by_size(&self) -> Vec<usize> {
        largest_first(&self.parts)
    }
}

/// One value a column, such as a map A_k, summed over each unit's columns.
pub fn by_feature(values: &[f64], units: &[Unit]) -> Vec<f64> {
    units.iter().map(|unit| unit.columns.iter().map(|&c| values[c]).sum()).collect()
}

/// The units that a component is made of: as few as carry four fifths of its map's magnitude, three at most. First those that
/// speak for its contribution `alpha`, then those that speak against it, each with the largest first.
pub fn leading(map: &[f64], alpha: f64, units: &[Unit]) -> [Vec<usize>; 2] {
    const SHARE: f64 = 0.8;
    const MOST: usize = 3;
    let parts = by_feature(map, units);
    let all: f64 = parts.iter().map(|p| p.abs()).sum();
    let mut carried = 0.0;
    let mut chosen = Vec::new();
    for i in largest_first(&parts).into_iter().take(MOST) {
        if parts[i] == 0.0 || carried >= SHARE * all {
            break;
        }
        carried += parts[i].abs();
        chosen.push(i);
    }
    let (with, against) = chosen.into_iter().partition(|&i: &usize| parts[i] * alpha >= 0.0);
    [with, against]
}

fn largest_first(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_category_are_one_feature() {
        let unit = |name: &str, columns: &[usize]| Unit { name: name.into(), columns: columns.to_vec() };
        let units = [unit("age", &[0]), unit("colour", &[1, 2]), unit("width", &[3])];
        assert_eq!(by_feature(&[1.0, 2.0, -5.0, 0.5], &units), [1.0, -3.0, 0.5]);
        // age and colour carry 4 of 4.5, which is over four fifths; colour speaks for a negative contribution.
        assert_eq!(leading(&[1.0, 2.0, -5.0, 0.5], -2.0, &units), [vec![1], vec![0]]);
        assert_eq!(leading(&[0.0; 4], 0.0, &units).concat(), Vec::<usize>::new());
    }
}
