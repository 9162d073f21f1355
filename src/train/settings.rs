//! Everything that decides how a network is trained.

use serde::{Deserialize, Serialize};

use crate::kernels::LossKind;
use crate::network::{FirstLayer, Initialisation};
use crate::run::Keep;
use crate::{Error, Result};

/// More than any training needs, and few enough that numbers of steps, rows and networks fit wherever they are counted.
pub(crate) const MOST_EPOCHS: usize = 1_000_000_000;
pub(crate) const MOST_BATCH: usize = 1 << 30;
pub(crate) const MOST_REPLICAS: usize = 1 << 16;

/// Learning rate over the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    Constant,
    /// Half a cosine from the rate to a hundredth of it.
    Cosine,
    /// A tenth of the rate after half of the steps, a hundredth after three quarters.
    Step,
}

impl Schedule {
    /// The factor on the learning rate at `step` of `steps` (from 0).
    pub fn factor(self, step: u64, steps: u64) -> f64 {
        let done = step as f64 / steps.max(1) as f64;
        match self {
            Schedule::Constant => 1.0,
            Schedule::Cosine => 0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
            Schedule::Step if done < 0.5 => 1.0,
            Schedule::Step if done < 0.75 => 0.1,
            Schedule::Step => 0.01,
        }
    }
}

/// What makes one replica of an ensemble differ from the others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReplicaSettings {
    /// Of initialisation, shuffles and dropout.
    pub seed: u64,
    pub reg_lambda: f64,
    pub reg_psi: f64,
    /// Factor on the learning rate.
    pub rate_factor: f64,
}

/// How to train; penalties are Keras's: coefficient × sum of squares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub loss: LossKind,
    pub epochs: usize,
    pub batch: usize,
    /// Adam's learning rate at the start.
    pub rate: f64,
    pub schedule: Schedule,
    pub beta1: f64,
    pub beta2: f64,
    /// Adam's ε, placed as Keras does (method.md section 1).
    pub epsilon: f64,
    pub initialisation: Initialisation,
    /// Start λ and ψ so that the penalties are smallest for the initial W.
    pub balanced: bool,
    /// Stop when no replica's validation loss has improved for this many epochs; each keeps its best parameters.
    pub early_stop: Option<usize>,
    /// Relative to the largest λ̃: a feature below is called dropped.
    pub threshold: f64,
    pub replicas: Vec<ReplicaSettings>,
    /// Columns that share one eigenvalue of a spectral first layer, and so live and die together; no column twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Vec<u32>>,
    /// Steps the first layer's weight, which has to be a direct one, towards exact zeros; Adam steps the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasso: Option<Lasso>,
    /// Where trainings are kept, to be gone on with.
    #[serde(skip)]
    pub keep: Keep,
}

/// The group lasso of strength `2√(r_λ r_ψ)·√|g|` on the columns of the first layer's weight (on a convolution's channels, with as many
/// columns as a kernel has elements), by momentum SGD with the proximal
/// operator ([`crate::kernels::Proximal`]; method.md section 5).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lasso {
    /// SGD's rate relative to Adam's: it follows the same schedule.
    pub rate: f64,
    pub momentum: f64,
}

impl Default for Settings {
    /// The defaults of the command line: the paper's penalties, cosine schedule, balanced start.
    fn default() -> Self {
        Settings {
            loss: LossKind::Ce,
            epochs: 200,
            batch: 500,
            rate: 3e-3,
            schedule: Schedule::Cosine,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-7,
            initialisation: Initialisation::Glorot,
            balanced: true,
            early_stop: None,
            threshold: 0.01,
            replicas: Settings::ensemble(1, 0, 1e-2, 1e-4),
            groups: Vec::new(),
            lasso: None,
            keep: Keep::default(),
        }
    }
}

/// What a table's penalties are times the general ones.
fn table_factor(rows: usize) -> f64 {
    (3000.0 / (rows.max(1) as f64).sqrt()).clamp(1.0, 300.0)
}

/// Two digits: numbers for people to read, and to repeat on the command line.
fn two_digits(x: f64) -> f64 {
    format!("{x:.1e}").parse().expect("invariant: a float that was just written")
}

impl Settings {
    /// `replicas` networks with the same penalties and consecutive seeds.
    pub fn ensemble(replicas: usize, seed: u64, reg_lambda: f64, reg_psi: f64) -> Vec<ReplicaSettings> {
        (0..replicas as u64)
            .map(|r| ReplicaSettings { seed: seed.wrapping_add(r), reg_lambda, reg_psi, rate_factor: 1.0 })
            .collect()
    }

    /// The command line's r_λ and r_ψ for a table of so many rows: 30/√rows and 0.3/√rows to two digits, but not above 3 and
    /// 0.03 nor below the general defaults, 1e-2 and 1e-4.
    ///
    /// The group lasso's strength 2√(r_λ r_ψ) has to stand above the noise of the gradient, which falls with √rows: at the
    /// general defaults a network learns a few hundred rows by heart, from every column (docs/penalties.md has figures).
    pub fn table_penalties(rows: usize) -> (f64, f64) {
        let factor = table_factor(rows);
        (two_digits(1e-2 * factor), two_digits(1e-4 * factor))
    }

    /// The command line's for the channels of so many rows that the first of so many convolutions reads, with `taps` elements: those of
    /// a table with r_λ times the taps and r_ψ times the convolutions. A channel's slice of the weight has as many times the entries
    /// of a column, and so √taps its noise; the group lasso's strength follows, as √|g| does in general. What a convolution behind the
    /// first one multiplies grows with the noise too, until its own weights cost more (docs/penalties.md has figures).
    pub fn channel_penalties(rows: usize, taps: usize, convolutions: usize) -> (f64, f64) {
        let factor = table_factor(rows);
        (two_digits(1e-2 * factor * taps as f64), two_digits(1e-4 * factor * convolutions.max(1) as f64))
    }

    /// # Errors
    /// [`Error::Usage`] that names the option, its value and what it may be.
    pub fn check(&self) -> Result<()> {
        let positive = |name: &str, value: f64| {
            if value > 0.0 && value.is_finite() {
                Ok(())
            } else {
                Err(Error::Usage(format!("{name} is {value}; it must be a number above 0")))
            }
        };
        let counted = |name: &str, count: usize, most: usize| {
            if (1..=most).contains(&count) {
                Ok(())
            } else {
                Err(Error::Usage(format!("{name} is {count}; it must be a number above 0, {most} at most")))
            }
        };
        counted("--epochs", self.epochs, MOST_EPOCHS)?;
        counted("--batch", self.batch, MOST_BATCH)?;
        counted("--replicas", self.replicas.len(), MOST_REPLICAS)?;
        counted("--early-stop", self.early_stop.unwrap_or(1), MOST_EPOCHS)?;
        positive("--lr", self.rate)?;
        positive("Adam's epsilon", self.epsilon)?;
        for (name, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            // At 1 Adam's correction of the bias divides by 0.
            if !(0.0..1.0).contains(&beta) {
                return Err(Error::Usage(format!("Adam's {name} is {beta}; it must be at least 0 and below 1")));
            }
        }
        for replica in &self.replicas {
            for (name, value) in [("--reg-lambda", replica.reg_lambda), ("--reg-psi", replica.reg_psi)] {
                if !(value >= 0.0 && value.is_finite()) {
                    return Err(Error::Usage(format!("{name} is {value}; it must be a number that is 0 or more")));
                }
            }
            positive("a replica's rate_factor", replica.rate_factor)?;
        }
        if let Some(lasso) = self.lasso {
            positive("the lasso's rate", lasso.rate)?;
            if !(0.0..1.0).contains(&lasso.momentum) {
                return Err(Error::Usage(format!(
                    "the lasso's momentum is {}; it must be at least 0 and below 1",
                    lasso.momentum
                )));
            }
        }
        if !(0.0..=1.0).contains(&self.threshold) {
            return Err(Error::Usage(format!(
                "--threshold is {}; it is relative to the largest relevance, so it lies in 0..1",
                self.threshold
            )));
        }
        let mut columns: Vec<u32> = self.groups.concat();
        let all = columns.len();
        columns.sort_unstable();
        columns.dedup();
        if columns.len() < all || self.groups.iter().any(Vec::is_empty) {
            return Err(Error::Usage("a group of columns is empty, or a column is in two groups".into()));
        }
        Ok(())
    }

    /// The columns of the first layer's weight that the optimiser treats as one: the groups, and for the lasso every other column by itself;
    /// of a convolution, which has no groups, those of each channel.
    pub(crate) fn units(&self, first: Option<FirstLayer>) -> Vec<Vec<u32>> {
        let mut units = self.groups.clone();
        if let (Some(first), true) = (first, self.lasso.is_some()) {
            let taps = first.taps as u32;
            let mut alone = vec![true; first.sources];
            self.groups.iter().flatten().for_each(|&c| alone[c as usize] = false);
            let sources = (0..first.sources as u32).filter(|&i| alone[i as usize]);
            units.extend(sources.map(|i| (i * taps..(i + 1) * taps).collect::<Vec<u32>>()));
        }
        units
    }

    /// The step size that the Adam kernel gets for training step `count` (from 0) of `steps`.
    pub fn step_rate(&self, count: u64, steps: u64) -> f32 {
        let t = (count + 1) as f64;
        let correction = (1.0 - self.beta2.powf(t)).sqrt() / (1.0 - self.beta1.powf(t));
        (self.rate * self.schedule.factor(count, steps) * correction) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn penalties_of_tables_fall_with_the_root_of_the_rows() {
        let cases = [
            (1, 3.0, 3e-2),
            (100, 3.0, 3e-2),
            (320, 1.7, 1.7e-2),
            (1080, 0.91, 9.1e-3),
            (30_000, 0.17, 1.7e-3),
            (10_000_000, 1e-2, 1e-4),
        ];
        for (rows, reg_lambda, reg_psi) in cases {
            assert_eq!(Settings::table_penalties(rows), (reg_lambda, reg_psi), "{rows} rows");
        }
        for (convolutions, reg_psi) in [(0, 4.7e-3), (1, 4.7e-3), (2, 9.5e-3), (3, 1.4e-2)] {
            assert_eq!(
                Settings::channel_penalties(4000, 5, convolutions),
                (2.4, reg_psi),
                "{convolutions} convolutions"
            );
        }
    }

    #[test]
    fn every_number_of_the_optimiser_is_checked() {
        type Set = fn(&mut Settings, f64);
        let wrong: [(&str, Set, &[f64]); 4] = [
            ("beta1", |s, x| s.beta1 = x, &[-0.1, 1.0, f64::NAN]),
            ("beta2", |s, x| s.beta2 = x, &[-1e-9, 1.0, 2.0, f64::INFINITY]),
            ("epsilon", |s, x| s.epsilon = x, &[0.0, -1.0, f64::NAN, f64::INFINITY]),
            ("rate_factor", |s, x| s.replicas[0].rate_factor = x, &[0.0, -1.0, f64::NAN, f64::INFINITY]),
        ];
        for (name, set, values) in wrong {
            for &value in values {
                let mut settings = Settings::default();
                set(&mut settings, value);
                let text = settings.check().unwrap_err().to_string();
                assert!(text.contains(name) && text.contains(&value.to_string()), "{text}");
            }
        }
        let edges = Settings { beta1: 0.0, beta2: 0.0, epsilon: 1.0, ..Settings::default() };
        edges.check().unwrap();
    }
}
