//! Buffers by name and size, and the matrices in them.

use std::ops::Range;

/// One of a program's [`Buffers`], by its index.
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

/// What a buffer holds from the start.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Zeros,
    Words(Vec<u32>),
    Floats(Vec<f64>),
}

/// One buffer: `len` elements (for each replica, where the scope says so).
#[derive(Debug, Clone, PartialEq)]
pub struct BufferSpec {
    pub label: String,
    pub len: usize,
    pub scope: Scope,
    pub element: Element,
    pub content: Content,
    /// Of a matrix whose content nobody asks for once the passes that write it are through with it: how its rows lie. `None`:
    /// what the buffer holds stays.
    pub temporary: Option<Rows>,
    /// Whether its content is a model's own, which an engine that computes with the same numbers reads where it lies.
    pub lent: bool,
    /// The buffer whose memory it has: itself, unless [`super::Program::plan`] found another that is never needed with it.
    pub home: Buffer,
}

/// Columns of a matrix, and elements from one row to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    pub cols: usize,
    pub ld: usize,
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

/// What buffers take: as they share memory, and if none did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Elements {
    pub held: usize,
    pub unshared: usize,
}

/// `n` rounded up to a multiple of 4.
pub fn pad4(n: usize) -> usize {
    n.div_ceil(4) * 4
}

/// The buffers that a program declares, and how many replicas have their copy of each.
#[derive(Debug, Clone, Default)]
pub struct Buffers {
    pub replicas: usize,
    pub specs: Vec<BufferSpec>,
}

impl Buffers {
    /// Declares a buffer; its length is rounded up to a multiple of 4 and its content starts as zeros.
    pub fn buffer(&mut self, label: impl Into<String>, len: usize, scope: Scope, element: Element) -> Buffer {
        let id = Buffer(u32::try_from(self.specs.len()).expect("fewer than 2³² buffers"));
        let (label, len) = (label.into(), pad4(len.max(1)));
        let (content, temporary, lent, home) = (Content::Zeros, None, false, id);
        self.specs.push(BufferSpec { label, len, scope, element, content, temporary, lent, home });
        id
    }

    /// Declares a buffer that all replicas share and that holds the same in every run: indices, weights of a mean.
    pub fn constant(&mut self, label: impl Into<String>, content: Content) -> Buffer {
        let (len, element) = match &content {
            Content::Zeros => (0, Element::Float),
            Content::Words(words) => (words.len(), Element::Word),
            Content::Floats(values) => (values.len(), Element::Float),
        };
        let buffer = self.buffer(label, len, Scope::Shared, element);
        self.specs[buffer.0 as usize].content = content;
        buffer
    }

    /// The constants' contents, which an engine writes once and needs no longer.
    pub fn take_contents(&mut self) -> Vec<(Buffer, Content)> {
        let buffers = (0..).map(Buffer).zip(&mut self.specs);
        buffers
            .filter(|(_, spec)| spec.content != Content::Zeros)
            .map(|(buffer, spec)| (buffer, std::mem::replace(&mut spec.content, Content::Zeros)))
            .collect()
    }

    /// Declares a buffer that holds one padded matrix of floats for each replica.
    pub fn matrix(&mut self, label: impl Into<String>, rows: usize, cols: usize) -> View {
        let ld = pad4(cols);
        let buffer = self.buffer(label, rows * ld, Scope::Replica, Element::Float);
        View { buffer, offset: 0, rows, cols, ld }
    }

    /// The same of a matrix that may have its memory with others: only what a pass writes there first, it may read. Padding is kept
    /// zero as elsewhere.
    pub fn temporary(&mut self, label: impl Into<String>, rows: usize, cols: usize) -> View {
        let view = self.matrix(label, rows, cols);
        self.specs[view.buffer.0 as usize].temporary = Some(Rows { cols, ld: view.ld });
        view
    }

    /// Takes back that a matrix is a temporary one: its content is asked for at any time.
    pub fn keep(&mut self, view: View) {
        self.specs[view.buffer.0 as usize].temporary = None;
    }

    /// The buffer whose memory a buffer has.
    pub fn home(&self, buffer: Buffer) -> Buffer {
        self.spec(buffer).home
    }

    /// Whether a buffer has memory of its own.
    pub fn is_home(&self, buffer: Buffer) -> bool {
        self.home(buffer) == buffer
    }

    /// Elements of all buffers that a filter lets through, for all replicas, and how many that would be if none shared memory.
    pub fn elements(&self, wanted: impl Fn(Buffer) -> bool) -> Elements {
        let mut all = Elements::default();
        for buffer in (0..).map(Buffer).take(self.specs.len()).filter(|&buffer| wanted(buffer)) {
            let spec = self.spec(buffer);
            let copies = if spec.scope == Scope::Replica { self.replicas } else { 1 };
            let count = spec.len.saturating_mul(copies);
            all.unshared = all.unshared.saturating_add(count);
            if self.is_home(buffer) {
                all.held = all.held.saturating_add(count);
            }
        }
        all
    }

    pub fn spec(&self, buffer: Buffer) -> &BufferSpec {
        &self.specs[buffer.0 as usize]
    }

    /// Elements from one replica's copy of a buffer to the next; 0 for a shared buffer.
    pub fn stride(&self, buffer: Buffer) -> usize {
        let spec = self.spec(buffer);
        if spec.scope == Scope::Shared { 0 } else { spec.len }
    }
}
