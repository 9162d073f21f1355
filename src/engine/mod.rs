//! Executes programs: on the GPU through WGSL kernels, or on the CPU through their twins.

pub mod cpu;
mod device;
pub mod gpu;
mod memory;
mod session;

pub use device::Device;
pub use session::Session;

use crate::Result;
use crate::program::{Buffer, Content};

/// Writes a program's constants into the memory of a session that was just made.
fn write_constants(session: &mut dyn Session, constants: Vec<(Buffer, Content)>) -> Result<()> {
    constants.into_iter().try_for_each(|(buffer, content)| match content {
        Content::Zeros => Ok(()),
        Content::Words(words) => session.write_words(buffer, None, 0, &words),
        Content::Floats(values) => session.write(buffer, None, 0, &values),
    })
}
