//! Kernel invocations as data: which shader with which constants, parameters and buffers. What the GPU engine runs.

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use super::buffers::{Buffer, Buffers, View};
use super::shader::Shader;

/// The variants of the matrix product; `EIGENLENS_GEMM` forces one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GemmVariant {
    /// One subgroup of 8 makes 32×32 without workgroup memory: software adapters.
    Broadcast8,
    /// 64×64 through workgroup memory, 256 invocations.
    Tile64,
    /// 32×32 through workgroup memory, 64 invocations.
    Tile32,
    /// The larger tile where it fills the device, else the smaller.
    Tile,
}

/// What an adapter can do, as far as kernels ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Caps {
    /// Bytes that one storage binding may span.
    pub max_binding: u64,
    /// Workgroups in one dimension of a dispatch.
    pub max_groups: u32,
    /// Runs on the CPU: subgroups of 8, where idle lanes and barriers cost and parallelism ends at a few threads.
    pub software: bool,
    pub gemm: GemmVariant,
}

impl Caps {
    /// Workgroup size of elementwise kernels.
    pub fn workgroup(&self) -> u32 {
        64
    }

    /// Workgroup size of reductions: one subgroup where a barrier costs.
    pub fn reduction(&self) -> u32 {
        if self.software { 8 } else { 256 }
    }

    /// How a shared buffer is cut into parts that a binding can span: elements of a part.
    pub fn part_len(&self, row: usize) -> usize {
        (self.max_binding as usize / 4 / row.max(1)).max(1) * row.max(1)
    }
}

/// Which memory a binding shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Memory {
    /// A buffer of the program: all of a tile of replicas, or one part of a shared buffer (0 unless it is a data set).
    Buffer { buffer: Buffer, part: u32 },
    /// So many floats for each replica, alive for the dispatches of one operation only.
    Scratch { len: usize },
    /// Something to fill a binding that this variant never touches.
    Nothing,
}

/// One storage binding.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    pub slot: u32,
    pub memory: Memory,
    pub write: bool,
}

/// Workgroups for one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Groups {
    /// So many; the engine folds them into two dimensions, the shader unfolds them.
    Flat(u32),
    /// Columns and rows; the shader strides over rows that the grid's limit cuts off.
    Plane(u32, u32),
}

/// One dispatch; the grid's z is the replica. Binding 0 is the [`super::Step`], binding 1 holds `params`.
#[derive(Debug, Clone)]
pub struct Dispatch {
    pub shader: Shader,
    pub entry: &'static str,
    pub constants: Vec<(&'static str, u32)>,
    pub params: Vec<u8>,
    pub bindings: Vec<Binding>,
    pub groups: Groups,
    /// Estimated cost in flops, to cap the work of a submit.
    pub work: f64,
}

impl Dispatch {
    pub fn new(shader: Shader, entry: &'static str, params: &impl Pod) -> Self {
        Dispatch {
            shader,
            entry,
            constants: Vec::new(),
            params: bytemuck::bytes_of(params).to_vec(),
            bindings: Vec::new(),
            groups: Groups::Flat(1),
            work: 0.0,
        }
    }

    pub fn constant(mut self, name: &'static str, value: u32) -> Self {
        self.constants.push((name, value));
        self
    }

    pub fn read(self, slot: u32, buffer: Buffer) -> Self {
        self.bind(slot, Memory::Buffer { buffer, part: 0 }, false)
    }

    pub fn write(self, slot: u32, buffer: Buffer) -> Self {
        self.bind(slot, Memory::Buffer { buffer, part: 0 }, true)
    }

    pub fn bind(mut self, slot: u32, memory: Memory, write: bool) -> Self {
        self.bindings.push(Binding { slot, memory, write });
        self
    }

    /// One workgroup for so many invocations of so much work each.
    pub fn invocations(self, count: usize, workgroup: u32, work: f64) -> Self {
        self.constant("WORKGROUP", workgroup).groups(count.div_ceil(workgroup as usize), work * count as f64)
    }

    pub fn groups(mut self, groups: usize, work: f64) -> Self {
        self.groups = Groups::Flat(u32::try_from(groups.max(1)).expect("fewer than 2³² workgroups a replica"));
        self.work = work;
        self
    }

    /// Workgroups of 8 vec4s by 8 rows over a matrix, of so much work a vec4.
    pub fn plane(mut self, caps: &Caps, out: View, work: f64) -> Self {
        // A workgroup costs more than a loop where there are few threads to run them.
        let rows = if caps.software { 64 } else { 8 };
        self.groups = Groups::Plane(word((out.ld / 4).div_ceil(8)), word(out.rows.div_ceil(rows)).max(1));
        self.work = work * (out.rows * out.ld / 4) as f64;
        self
    }
}

/// `struct View` of the shaders.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
pub struct GpuView {
    pub offset: u32,
    /// Elements from one replica to the next; 0 for a shared buffer.
    pub stride: u32,
    pub cols: u32,
    pub ld: u32,
}

impl GpuView {
    pub fn new(buffers: &Buffers, view: View) -> Self {
        GpuView {
            offset: word(view.offset),
            stride: stride(buffers, view.buffer),
            cols: word(view.cols),
            ld: word(view.ld),
        }
    }

    /// Zeros where there is no view.
    pub fn of(buffers: &Buffers, view: Option<View>) -> Self {
        view.map_or_else(GpuView::default, |view| GpuView::new(buffers, view))
    }
}

/// [`Buffers::stride`] as the shaders hold it.
pub fn stride(buffers: &Buffers, buffer: Buffer) -> u32 {
    word(buffers.stride(buffer))
}

/// A size as the shaders hold it.
pub fn word(n: usize) -> u32 {
    u32::try_from(n).expect("loading refuses buffers beyond 2³² elements")
}
