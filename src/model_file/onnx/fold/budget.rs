//! What may be made of one file's constants.

use std::cell::Cell;

/// Elements that may be made of any file's constants: what exporters write beside the weights, such as masks, is far below.
const MOST_MADE: usize = 1 << 26;
/// And for each that the file holds: a weight may be cast, transposed, scaled, and joined with others.
const MADE_OF_EACH: usize = 8;
/// Multiplications in products of constants: some seconds.
const MOST_WORK: u64 = 1 << 32;

/// What all nodes of a file together may still make, so that a small file can't ask for much memory or time: a result may be the
/// input of the next node, and twice as large.
#[derive(Debug)]
pub struct Budget {
    elements: Cell<usize>,
    work: Cell<u64>,
    spent: Cell<bool>,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { elements: Cell::new(MOST_MADE), work: Cell::new(MOST_WORK), spent: Cell::new(false) }
    }
}

impl Budget {
    /// Counts elements that the file itself holds.
    pub fn hold(&self, elements: usize) {
        self.elements.set(self.elements.get().saturating_add(elements.saturating_mul(MADE_OF_EACH)));
    }

    /// Takes elements that are about to be made, or read one by one.
    ///
    /// # Errors
    /// A sentence where that many aren't left.
    pub fn make(&self, elements: usize) -> Result<(), String> {
        let left = self.elements.get().checked_sub(elements).ok_or_else(|| {
            self.spent.set(true);
            format!(
                "with it, what is computed of the file's constants has more elements than {MOST_MADE} and \
                 {MADE_OF_EACH} for each that the file holds"
            )
        })?;
        self.elements.set(left);
        Ok(())
    }

    /// Takes the multiplications of a product, as many as the product of `sizes`.
    pub(super) fn multiply(&self, sizes: &[usize]) -> Result<(), String> {
        let work = sizes.iter().try_fold(1u64, |work, &n| work.checked_mul(n.max(1) as u64));
        let left = work.and_then(|work| self.work.get().checked_sub(work)).ok_or_else(|| {
            self.spent.set(true);
            format!("with it, the products of the file's constants take more than {MOST_WORK} multiplications")
        })?;
        self.work.set(left);
        Ok(())
    }

    /// Whether something was refused.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.spent.get()
    }
}
