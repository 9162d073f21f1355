//! Lists of operations over declared buffers: what an engine loads and runs.

use super::buffers::Buffers;

/// A list of operations, run in order for every replica: a training step, an evaluation, a product with a Jacobian.
#[derive(Debug, Clone)]
pub struct Pass<Op> {
    pub name: String,
    pub ops: Vec<Op>,
}

/// Names one pass of a [`Program`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassId(pub usize);

/// Everything an engine needs to know before the first step: the buffers and the passes over them. What an operation is, the
/// kernels say (`kernels::Op`).
#[derive(Debug, Clone)]
pub struct Program<Op> {
    pub buffers: Buffers,
    pub passes: Vec<Pass<Op>>,
}

impl<Op> Program<Op> {
    pub fn new(replicas: usize) -> Self {
        Program { buffers: Buffers { replicas, specs: Vec::new() }, passes: Vec::new() }
    }

    pub fn pass(&mut self, name: impl Into<String>, ops: Vec<Op>) -> PassId {
        self.passes.push(Pass { name: name.into(), ops });
        PassId(self.passes.len() - 1)
    }
}
