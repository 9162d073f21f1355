//! Work as data: buffers, views into them, and plans (lists of kernel invocations) that an engine executes.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::kernels::Op;
use crate::{Error, Result};

/// A buffer of a [`Program`], by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Buffer(pub u32);

/// Whether every replica has a copy of its own or all share one (shared buffers are read-only for kernels).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Replica,
    Shared,
}

/// What a buffer holds: the engine's real numbers, or 32-bit words (row numbers, packed bytes, `f32` bit patterns).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    Float,
    Word,
}

/// One buffer: `len` elements (for each replica, where the scope says so).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BufferSpec {
    pub label: String,
    pub len: usize,
    pub scope: Scope,
    pub element: Element,
}

/// A row-major matrix `[rows, cols]` inside a buffer; consecutive rows are `ld` elements apart.
///
/// `offset` and `ld` are multiples of 4, and the columns from `cols` to `ld` hold zero at all times: every kernel that
/// writes a view keeps them so, and may therefore load whole `vec4`s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    pub buffer: Buffer,
    pub offset: usize,
    pub rows: usize,
    pub cols: usize,
    pub ld: usize,
}

impl View {
    /// The elements it spans.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.rows * self.ld
    }
}

/// `n` rounded up to a multiple of 4.
pub fn pad4(n: usize) -> usize {
    n.div_ceil(4) * 4
}

/// What differs between two runs of one plan; the kernels see it as a uniform.
///
/// Every kernel with a batch dimension works on the first `rows` samples only (times the seeds of its operation): what
/// lies beyond them in a view is undefined and never read.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct Step {
    /// Slot of the results buffer that this run writes.
    pub index: u32,
    /// Samples in this batch; at most the batch size that the plan was built for.
    pub rows: u32,
    /// Position of the batch's first sample in the (shuffled) row list.
    pub begin: u32,
    /// Epoch from 0: a key of the shuffle.
    pub epoch: u32,
    /// Training steps done before this one: a key of dropout.
    pub count: u32,
    /// Adam's step size with the bias corrections in it: `lr_t·√(1−β₂ᵗ)/(1−β₁ᵗ)`.
    pub rate: f32,
    /// Masked evaluation: which ordering of the inputs.
    pub ordering: u32,
    /// Masked evaluation: how many inputs of that ordering are kept.
    pub kept: u32,
}

/// Results a step leaves behind, `RESULT_LEN` floats a slot: sums over the batch's samples, then the penalties.
pub const RESULT_LEN: usize = 8;
/// Σ over samples of the loss.
pub const RESULT_LOSS: usize = 0;
/// Classification: right answers. Regression: Σ over samples of the mean absolute error over outputs.
pub const RESULT_METRIC: usize = 1;
/// Regression: Σ over samples of the mean squared error over outputs (0 for classification).
pub const RESULT_SQUARE: usize = 2;
/// r_λ Σλ² over the trained eigenvalues.
pub const RESULT_PENALTY_LAMBDA: usize = 4;
/// r_ψ Σψ² over the trained eigenvectors.
pub const RESULT_PENALTY_PSI: usize = 5;
/// 0, or NaN when a parameter is not finite.
pub const RESULT_FINITE: usize = 6;

/// A list of kernel invocations, run in order for every replica.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub name: String,
    pub ops: Vec<Op>,
}

/// Names one plan of a [`Program`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanId(pub usize);

/// Everything an engine needs to know before the first step: the buffers and the plans over them.
#[derive(Debug, Clone, Default)]
pub struct Program {
    pub replicas: usize,
    pub buffers: Vec<BufferSpec>,
    pub plans: Vec<Plan>,
}

impl Program {
    pub fn new(replicas: usize) -> Self {
        Program { replicas, ..Program::default() }
    }

    /// Declares a buffer; its length is rounded up to a multiple of 4 and its content starts as zeros.
    pub fn buffer(&mut self, label: impl Into<String>, len: usize, scope: Scope, element: Element) -> Buffer {
        let id = Buffer(u32::try_from(self.buffers.len()).expect("fewer than 2³² buffers"));
        self.buffers.push(BufferSpec { label: label.into(), len: pad4(len.max(1)), scope, element });
        id
    }

    /// Declares a buffer that holds one padded matrix of floats for each replica.
    pub fn matrix(&mut self, label: impl Into<String>, rows: usize, cols: usize) -> View {
        let ld = pad4(cols);
        let buffer = self.buffer(label, rows * ld, Scope::Replica, Element::Float);
        View { buffer, offset: 0, rows, cols, ld }
    }

    pub fn plan(&mut self, name: impl Into<String>, ops: Vec<Op>) -> PlanId {
        self.plans.push(Plan { name: name.into(), ops });
        PlanId(self.plans.len() - 1)
    }

    pub fn spec(&self, buffer: Buffer) -> &BufferSpec {
        &self.buffers[buffer.0 as usize]
    }
}

/// Refuses a program whose buffers, `bytes` an element, the machine has no memory for. (Allocating would end the process.)
///
/// # Errors
/// [`Error::Device`] that says how much is needed and how much there is.
pub(super) fn refuse_beyond_host_memory(program: &Program, bytes: u64) -> Result<()> {
    let copies = |spec: &BufferSpec| if spec.scope == Scope::Replica { program.replicas as u64 } else { 1 };
    let each = program.buffers.iter().map(|spec| bytes.saturating_mul(spec.len as u64).saturating_mul(copies(spec)));
    let total = each.fold(0u64, u64::saturating_add);
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
