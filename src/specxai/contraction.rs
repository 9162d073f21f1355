//! Maps over the axes of an input: contraction, the symbolic form, the averaged variant (SpecXAI, equations 23 to 26).

use super::explanation::Explanation;
use crate::data::Axis;
use crate::{Error, Result};

/// The place of a named axis.
///
/// # Errors
/// [`Error::Usage`] that lists the axes there are.
pub fn axis(axes: &[Axis], name: &str) -> Result<usize> {
    axes.iter().position(|axis| axis.name == name).ok_or_else(|| {
        let names: Vec<&str> = axes.iter().map(|axis| axis.name.as_str()).collect();
        Error::Usage(format!("the input has no axis {name}; it has {}", names.join(", ")))
    })
}

/// Sums a map over one axis: `map_k[h, w] = Σ_c A_k[h, w, c]`, which still sums to α_k.
pub fn contract(map: &[f64], axes: &[Axis], along: usize) -> Vec<f64> {
    let inner: usize = axes[along + 1..].iter().map(|axis| axis.len).product();
    let len = axes[along].len;
    let mut out = vec![0.0; map.len() / len.max(1)];
    for (i, value) in map.iter().enumerate() {
        let (outer, place) = (i / (inner * len), i % inner);
        out[outer * inner + place] += value;
    }
    out
}

/// The mean of a singular vector over one axis, without the input: for comparison with the contraction (figure 11).
pub fn averaged(vector: &[f64], axes: &[Axis], along: usize) -> Vec<f64> {
    let len = axes[along].len as f64;
    contract(vector, axes, along).into_iter().map(|x| x / len).collect()
}

/// The symbolic form: every place's part in the output, `y(h,w) = Σ_k map_k[h,w] + rest and bypass + β/(H W)`, contracted
/// along an axis or not. It sums to y (to within the explanation's residual). The even spread of β is for display only.
pub fn symbolic(explanation: &Explanation, axes: &[Axis], along: Option<usize>) -> Vec<f64> {
    let mut places = match along {
        Some(along) => contract(&explanation.attribution, axes, along),
        None => explanation.attribution.clone(),
    };
    let share = explanation.beta_sum() / places.len() as f64;
    places.iter_mut().for_each(|p| *p += share);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contraction_keeps_the_sum() {
        let axes = [("row", 2), ("column", 3), ("channel", 4)].map(|(name, len)| Axis::new(name, len));
        let map: Vec<f64> = (0..24).map(f64::from).collect();
        for (along, len) in [(0, 12), (1, 8), (2, 6)] {
            let contracted = contract(&map, &axes, along);
            assert_eq!(contracted.len(), len);
            assert_eq!(contracted.iter().sum::<f64>(), map.iter().sum::<f64>());
        }
        assert_eq!(contract(&map, &axes, 2)[1], 4.0 + 5.0 + 6.0 + 7.0);
        assert_eq!(contract(&map, &axes, 1)[5], 13.0 + 17.0 + 21.0);
        assert_eq!(averaged(&map, &axes, 2)[0], 1.5);
        assert!(axis(&axes, "depth").unwrap_err().to_string().contains("row, column, channel"));
    }
}
