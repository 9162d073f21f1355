//! Whether a program fits into the machine's memory.

use crate::Result;
use crate::host::refuse_beyond_memory;
use crate::kernels::Program;

/// Refuses a program whose buffers, `bytes` an element, the process can't have the memory for. (Allocating would end it.)
/// `reads_lent`: what is lent takes none.
///
/// # Errors
/// [`crate::Error::Device`] that says how much is needed and how much there is.
pub(super) fn refuse_beyond_host_memory(program: &Program, bytes: u64, reads_lent: bool) -> Result<()> {
    let buffers = &program.buffers;
    let taken = buffers.elements(|buffer| !(reads_lent && buffers.spec(buffer).lent)).held;
    let remedy = "use fewer replicas, a smaller network or a smaller batch";
    refuse_beyond_memory("the run", bytes.saturating_mul(taken as u64), remedy)
}
