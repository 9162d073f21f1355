//! Which rows of the data set make up the batch.

use crate::engine::Buffer;

/// `out[r] = list[offset + π(begin + r)]` for r < rows, where π is the identity or, with `shuffle`, a pseudo-random
/// permutation of `0..len` keyed by the replica's seed and the epoch (the same on every engine).
///
/// π is a four-round Feistel network on `2h` bits (`h` the smallest with `4^h ≥ len`), walked until the value falls below
/// `len`; the round function is [`crate::kernels::twins::mix`].
#[derive(Debug, Clone)]
pub struct Select {
    /// Words, one for each sample of the batch.
    pub out: Buffer,
    /// Words, shared: row numbers of the data set.
    pub list: Buffer,
    pub offset: usize,
    pub len: usize,
    pub shuffle: bool,
    pub settings: Buffer,
}
