//! Whether a program fits into the machine's memory.

use crate::kernels::Program;
use crate::{Error, Result};

/// Refuses a program whose buffers, `bytes` an element, the machine has no memory for. (Allocating would end the process.)
/// `reads_lent`: what is lent takes none.
///
/// # Errors
/// [`Error::Device`] that says how much is needed and how much there is.
pub(super) fn refuse_beyond_host_memory(program: &Program, bytes: u64, reads_lent: bool) -> Result<()> {
    let buffers = &program.buffers;
    let taken = buffers.elements(|buffer| !(reads_lent && buffers.spec(buffer).lent)).held;
    let total = bytes.saturating_mul(taken as u64);
    match available_memory() {
        Some(available) if total > available => Err(Error::Device(format!(
            "the run needs {} MiB, but only {} MiB of memory are free; use fewer replicas, a smaller network or a smaller \
             batch",
            total >> 20,
            available >> 20,
        ))),
        _ => Ok(()),
    }
}

/// Free memory in bytes, where the system tells it.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}
