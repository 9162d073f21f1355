//! The receipt: whether an explanation's sums add up to what the network says.

use super::explanation::Explanation;
use crate::engine::Device;
use crate::{Error, Result};

impl Explanation {
    /// Whether the sums add up to what the network says, to within `tolerance` (see [`tolerance`]).
    ///
    /// # Errors
    /// [`Error::Receipt`] with the row, the split and both residuals, or where the network has no output or no slope there.
    pub fn check(&self, tolerance: f64) -> Result<()> {
        // A residual that is no number must not pass.
        if [self.residual, self.map_residual].iter().all(|&r| r <= tolerance) {
            return Ok(());
        }
        if !self.y.is_finite() {
            return Err(Error::Receipt(format!(
                "row {}: the network's output is no finite number there (a logarithm of a negative number, a quotient by zero or an \
                 overflow on the way), which no sum explains; try --device cpu64, which reaches further, or leave that row out",
                self.row
            )));
        }
        if self.residual.is_nan() || self.map_residual.is_nan() {
            return Err(Error::Receipt(format!(
                "row {} split at {}: the network has no finite slope there (a root or a quotient at zero on the way), so no sum of slopes \
                 times inputs explains its output; try --device cpu64, or leave that row out",
                self.row, self.split
            )));
        }
        Err(Error::Receipt(format!(
            "row {} split at {}: the explanation doesn't add up (residual {:.2e}, of the maps {:.2e}, allowed \
             {tolerance:.0e}); try --device cpu64, or train with scaled inputs (--scale standard)",
            self.row, self.split, self.residual, self.map_residual
        )))
    }
}

/// The largest residual that an explanation may have.
///
/// In f32 every product is off by 6e-8 of itself, and a sum of some hundred terms of the output's size by 1e-6; 1e-5 is what
/// trained networks stay below. Ten times that leaves room for terms that are ten times larger than what they add up to. Above
/// it they cancel so far that α can't be trusted. In f64 the same would be 1e-13: 1e-8 is far below anything that is shown,
/// and leaves room for inputs of every scale.
pub fn tolerance(device: &Device) -> f64 {
    if matches!(device, Device::CpuF64 { .. }) { 1e-8 } else { 1e-4 }
}
