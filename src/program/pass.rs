//! Lists of operations over declared buffers: what an engine loads and runs.

use super::buffers::{Buffer, Buffers, View};

/// The environment's variable for [`Program::poison`].
const POISON: &str = "EIGENLENS_POISON";

/// A list of operations, run in order for every replica: a training step, an evaluation, a product with a Jacobian.
#[derive(Debug, Clone)]
pub struct Pass<Op> {
    pub name: String,
    pub ops: Vec<Op>,
    /// Temporary matrices that are written from outside before each run.
    pub given: Vec<Buffer>,
    /// Temporary matrices that are read from outside after a run, before anything else is written or run.
    pub results: Vec<Buffer>,
    /// What nobody needs any more: before which operation, and the buffer.
    pub freed: Vec<(usize, Buffer)>,
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
    /// Engines write NaN into temporary matrices as soon as nobody needs them, so that what reads them all the same is found out
    /// (`EIGENLENS_POISON=1` asks for it in every program).
    pub poison: bool,
}

impl<Op> Program<Op> {
    pub fn new(replicas: usize) -> Self {
        let poison = std::env::var(POISON).is_ok_and(|value| value == "1");
        Program { buffers: Buffers { replicas, specs: Vec::new() }, passes: Vec::new(), poison }
    }

    pub fn pass(&mut self, name: impl Into<String>, ops: Vec<Op>) -> PassId {
        self.exchanging(name, ops, &[], &[])
    }

    /// A pass before which temporary matrices are written from outside, and after which others are read.
    pub fn exchanging(&mut self, name: impl Into<String>, ops: Vec<Op>, given: &[View], results: &[View]) -> PassId {
        let buffers = |views: &[View]| views.iter().map(|view| view.buffer).collect();
        let (given, results) = (buffers(given), buffers(results));
        self.passes.push(Pass { name: name.into(), ops, given, results, freed: Vec::new() });
        PassId(self.passes.len() - 1)
    }
}
