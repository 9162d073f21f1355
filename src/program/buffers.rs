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
        self.specs.push(BufferSpec { label, len, scope, element, content: Content::Zeros });
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

    pub fn spec(&self, buffer: Buffer) -> &BufferSpec {
        &self.specs[buffer.0 as usize]
    }

    /// Elements from one replica's copy of a buffer to the next; 0 for a shared buffer.
    pub fn stride(&self, buffer: Buffer) -> usize {
        let spec = self.spec(buffer);
        if spec.scope == Scope::Shared { 0 } else { spec.len }
    }
}
