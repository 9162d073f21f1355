//! What every engine can do with a program.

use std::sync::Arc;

use crate::Result;
use crate::program::{Buffer, PassId, Step};

/// A program loaded into an engine's memory.
///
/// Floats cross this border as `f64`, which both engines' numbers fit into. `replica: None` means every replica on a
/// write.
pub trait Session: Send {
    /// Writes `data` from `offset` on into a float buffer.
    fn write(&mut self, buffer: Buffer, replica: Option<usize>, offset: usize, data: &[f64]) -> Result<()>;

    /// Takes the whole content of a buffer of floats that no kernel writes, for every replica: as it lies there, where the engine's
    /// numbers are these. `false`: nothing was taken.
    fn hold(&mut self, buffer: Buffer, values: &Arc<Vec<f32>>) -> Result<bool> {
        let _ = (buffer, values);
        Ok(false)
    }

    /// Writes `data` from `offset` on into a buffer of words.
    fn write_words(&mut self, buffer: Buffer, replica: Option<usize>, offset: usize, data: &[u32]) -> Result<()>;

    /// The same of a buffer of words that all replicas share.
    fn hold_words(&mut self, buffer: Buffer, words: &Arc<Vec<u32>>) -> Result<bool> {
        let _ = (buffer, words);
        Ok(false)
    }

    /// Reads `len` floats from `offset` on, of one replica (0 for a shared buffer).
    fn read(&mut self, buffer: Buffer, replica: usize, offset: usize, len: usize) -> Result<Vec<f64>>;

    /// Reads words; for tests.
    fn read_words(&mut self, buffer: Buffer, replica: usize, offset: usize, len: usize) -> Result<Vec<u32>>;

    /// Runs a pass once for each step, in order. Returns when the work is submitted; a read waits for it.
    fn run(&mut self, pass: PassId, steps: &[Step]) -> Result<()>;

    /// Runs one step of a pass and returns what each kernel took, in seconds; `None` where the engine can't tell.
    fn timings(&mut self, pass: PassId, step: &Step) -> Result<Option<Vec<(String, f64)>>> {
        self.run(pass, std::slice::from_ref(step))?;
        Ok(None)
    }

    /// Waits until everything submitted is done.
    fn wait(&mut self) -> Result<()>;
}
