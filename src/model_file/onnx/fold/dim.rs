//! Integers that may depend on the batch size.

use std::fmt;

/// An integer of shape arithmetic. The batch size isn't known, but it is positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dim {
    Known(i64),
    /// A multiple of the batch size; `times` isn't 0.
    Batch {
        times: i64,
    },
}

use Dim::{Batch, Known};

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Known(n) => write!(f, "{n}"),
            Batch { times: 1 } => write!(f, "batch"),
            Batch { times } => write!(f, "{times}·batch"),
        }
    }
}

/// A checked result, or its overflow in words.
fn known(value: Option<i64>) -> Result<Dim, String> {
    value.map(Known).ok_or_else(|| "an integer overflows, or is divided by 0".into())
}

/// The same for a number of batch sizes.
fn batches(times: Option<i64>) -> Result<Dim, String> {
    match known(times)? {
        Known(times) if times != 0 => Ok(Batch { times }),
        zero => Ok(zero),
    }
}

fn neither(text: impl fmt::Display) -> String {
    format!("{text} is neither a number nor a multiple of the batch size")
}

fn undecided(a: Dim, relation: &str, b: Dim) -> String {
    format!("whether {a} {relation} {b} depends on the batch size")
}

/// Arithmetic. Each fails with a sentence where the result overflows, or is neither a number nor a multiple of the
/// batch size; each comparison where it doesn't come out the same for every batch.
impl Dim {
    /// The sum.
    pub fn plus(self, other: Dim) -> Result<Dim, String> {
        match (self, other) {
            (Known(a), Known(b)) => known(a.checked_add(b)),
            (Batch { times: a }, Batch { times: b }) => batches(a.checked_add(b)),
            (batch, Known(0)) | (Known(0), batch) => Ok(batch),
            (a, b) => Err(neither(format_args!("{a} + {b}"))),
        }
    }

    /// The difference.
    pub fn minus(self, other: Dim) -> Result<Dim, String> {
        self.plus(other.negative()?)
    }

    /// The same below 0.
    pub fn negative(self) -> Result<Dim, String> {
        Known(-1).by(self)
    }

    /// The product.
    pub fn by(self, other: Dim) -> Result<Dim, String> {
        match (self, other) {
            (Known(a), Known(b)) => known(a.checked_mul(b)),
            (Known(a), Batch { times: b }) | (Batch { times: a }, Known(b)) => batches(a.checked_mul(b)),
            (a, b) => Err(neither(format_args!("{a} · {b}"))),
        }
    }

    /// Division of integers, towards 0.
    pub fn over(self, other: Dim) -> Result<Dim, String> {
        match (self, other) {
            // A multiple of the batch size by another: the batch size cancels out.
            (Known(a), Known(b)) | (Batch { times: a }, Batch { times: b }) => known(a.checked_div(b)),
            (Batch { times: a }, Known(b)) if a.checked_rem(b) == Some(0) => batches(a.checked_div(b)),
            (Known(a), Batch { times: b }) if a.unsigned_abs() < b.unsigned_abs() => Ok(Known(0)),
            (a, b) => Err(neither(format_args!("{a} / {b}"))),
        }
    }

    /// The remainder with the sign of the divisor.
    pub fn modulo(self, other: Dim) -> Result<Dim, String> {
        match (self, other) {
            (Known(a), Known(b)) => known(floored_rem(a, b)),
            (Batch { times: a }, Batch { times: b }) => batches(floored_rem(a, b)),
            (Batch { times: a }, Known(b)) if a.checked_rem(b) == Some(0) => Ok(Known(0)),
            (a, b) => Err(neither(format_args!("{a} modulo {b}"))),
        }
    }

    /// The smaller one.
    pub fn least(self, other: Dim) -> Result<Dim, String> {
        Ok(if other.is_less(self)? { other } else { self })
    }

    /// The larger one.
    pub fn greatest(self, other: Dim) -> Result<Dim, String> {
        Ok(if self.is_less(other)? { other } else { self })
    }

    /// Whether both are the same.
    pub fn is_equal(self, other: Dim) -> Result<bool, String> {
        match (self, other) {
            (Known(a), Known(b)) | (Batch { times: a }, Batch { times: b }) => Ok(a == b),
            (Batch { times }, Known(n)) | (Known(n), Batch { times }) => {
                if n.checked_rem(times) == Some(0) && n.checked_div(times) > Some(0) {
                    Err(undecided(self, "equals", other))
                } else {
                    Ok(false)
                }
            }
        }
    }

    /// Whether this one is the smaller.
    pub fn is_less(self, other: Dim) -> Result<bool, String> {
        match (self, other) {
            (Known(a), Known(b)) | (Batch { times: a }, Batch { times: b }) => Ok(a < b),
            // A multiple is at least (a negative one: at most) its factor, and grows from there without end.
            (Batch { times }, Known(n)) if times > 0 && times >= n => Ok(false),
            (Batch { times }, Known(n)) if times < 0 && times < n => Ok(true),
            (Known(n), Batch { times }) if times > 0 && n < times => Ok(true),
            (Known(n), Batch { times }) if times < 0 && n >= times => Ok(false),
            (a, b) => Err(undecided(a, "is less than", b)),
        }
    }
}

/// The remainder with the sign of the divisor, if there is one.
pub(super) fn floored_rem(a: i64, b: i64) -> Option<i64> {
    let rem = a.checked_rem(b)?;
    Some(if rem != 0 && (rem < 0) != (b < 0) { rem + b } else { rem })
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: Dim = Batch { times: 1 };

    fn batch(times: i64) -> Dim {
        Batch { times }
    }

    #[test]
    fn a_multiple_of_the_batch_size_stays_one() {
        assert_eq!(N.plus(N), Ok(batch(2)));
        assert_eq!(batch(3).minus(batch(3)), Ok(Known(0)));
        assert_eq!(N.plus(Known(0)), Ok(N));
        assert_eq!(batch(4).by(Known(3)), Ok(batch(12)));
        assert_eq!(N.by(Known(0)), Ok(Known(0)));
        assert_eq!(batch(12).over(Known(4)), Ok(batch(3)));
        assert_eq!(batch(7).over(batch(-2)), Ok(Known(-3)), "towards 0");
        assert_eq!(Known(2).over(batch(3)), Ok(Known(0)), "less than one whole");
        assert_eq!(batch(7).modulo(batch(4)), Ok(batch(3)));
        assert_eq!(batch(8).modulo(Known(4)), Ok(Known(0)));
        assert_eq!(N.greatest(Known(1)), Ok(N));
        assert_eq!(batch(2).least(N), Ok(N));
    }

    #[test]
    fn what_depends_on_the_batch_size_otherwise_is_refused() {
        assert_eq!(N.plus(Known(1)).unwrap_err(), "batch + 1 is neither a number nor a multiple of the batch size");
        assert!(N.by(N).is_err() && batch(3).over(Known(2)).is_err() && Known(8).over(N).is_err());
        assert!(N.modulo(Known(2)).is_err() && N.least(Known(8)).is_err());
        assert!(
            N.over(Known(0)).is_err() && Known(1).over(Known(0)).is_err() && Known(i64::MIN).over(Known(-1)).is_err()
        );
        assert!(batch(i64::MAX).plus(N).is_err() && batch(i64::MIN).negative().is_err());
    }

    #[test]
    fn comparisons_hold_for_every_batch_size_or_are_refused() {
        for times in [-5, -2, -1, 1, 2, 5] {
            for n in -12..12 {
                let (a, b) = (batch(times), Known(n));
                let check = |found: Result<bool, String>, holds: &dyn Fn(i64) -> bool| match found {
                    Ok(found) => assert!((1..40).all(|size| holds(size) == found), "{a} and {b}"),
                    Err(_) => assert!((1..40).any(holds) && !(1..40).all(holds), "{a} and {b} refused"),
                };
                check(a.is_less(b), &|size| times * size < n);
                check(b.is_less(a), &|size| n < times * size);
                // Where the batch size is 1 and nothing else, equality is decided by it all the same.
                check(a.is_equal(b), &|size| times * size == n);
            }
        }
    }
}
