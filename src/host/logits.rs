//! What the outputs of a network for classes say.

/// The first of the largest, as the metric counts an answer.
pub fn argmax(outputs: &[f64]) -> usize {
    (0..outputs.len()).fold(0, |best, c| if outputs[c] > outputs[best] { c } else { best })
}

/// ln of the probability of a class: its logit beyond ln Σ exp of all.
pub fn log_probability(logits: &[f64], class: usize) -> f64 {
    let (largest, sum) = exponentials(logits);
    logits[class] - largest - sum.ln()
}

/// The same of every class.
pub fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let (largest, sum) = exponentials(logits);
    logits.iter().map(|o| o - largest - sum.ln()).collect()
}

/// The probability of every class.
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let (largest, sum) = exponentials(logits);
    logits.iter().map(|o| (o - largest).exp() / sum).collect()
}

/// The largest, and the sum of all exponentials as shares of its own.
fn exponentials(logits: &[f64]) -> (f64, f64) {
    let largest = logits[argmax(logits)];
    (largest, logits.iter().map(|o| (o - largest).exp()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_shares_of_exponentials() {
        let logits = [1000.0, 1001.0, 1001.0];
        assert_eq!(argmax(&logits), 1, "the first of equals");
        let e = std::f64::consts::E;
        for (found, wanted) in softmax(&logits).into_iter().zip([1.0, e, e].map(|x| x / (1.0 + 2.0 * e))) {
            assert!((found - wanted).abs() < 1e-12, "{found}, not {wanted}");
        }
    }
}
