//! A program's buffers on the device, cut where a binding can't span them.

use std::collections::HashMap;

use super::device::Gpu;
use crate::engine::memory::refuse_beyond_host_memory;
use crate::kernels::{Op, Program};
use crate::program::dispatch::Memory;
use crate::program::{Buffer, BufferSpec, Buffers, Rows, Scope};
use crate::{Error, Result};

/// Where an element is: which of a buffer's allocations, and its byte offset there.
pub(super) struct Place {
    pub piece: usize,
    pub byte: u64,
    /// Elements from there to the end of the piece.
    pub room: usize,
}

/// Every buffer of a program.
///
/// Replicas come in tiles of equal size, each with an allocation of its own for every buffer, so that a binding never
/// exceeds the adapter's limit; a kernel is dispatched once for each tile. A shared data set is cut by rows instead.
pub(super) struct DeviceBuffers {
    pieces: Vec<Vec<wgpu::Buffer>>,
    /// Elements of a piece of a shared buffer.
    part_len: Vec<usize>,
    tile: usize,
    replicas: usize,
    /// One for each tile.
    scratch: Vec<wgpu::Buffer>,
    nothing: [wgpu::Buffer; 2],
}

impl DeviceBuffers {
    /// Allocates everything; `check` has passed.
    pub fn new(gpu: &Gpu, program: &Program, scratch_len: usize) -> Self {
        let rows = data_set_rows(program);
        let tile = tile(gpu, program, scratch_len);
        let tiles = program.buffers.replicas.div_ceil(tile);
        let part_len: Vec<usize> = (0..)
            .zip(&program.buffers.specs)
            .map(|(i, spec)| rows.get(&Buffer(i)).map_or(spec.len, |&row| gpu.caps().part_len(row)))
            .collect();
        let allocate = |label: &str, len: usize| {
            gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: 4 * len as u64,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let in_tile = |t: usize| tile.min(program.buffers.replicas - t * tile);
        let pieces = (0..)
            .map(Buffer)
            .zip(&program.buffers.specs)
            .zip(&part_len)
            .map(|((buffer, spec), &part)| match spec.scope {
                _ if !program.buffers.is_home(buffer) => Vec::new(),
                Scope::Replica => (0..tiles).map(|t| allocate(&spec.label, spec.len * in_tile(t))).collect(),
                Scope::Shared => {
                    (0..spec.len.div_ceil(part)).map(|p| allocate(&spec.label, part.min(spec.len - p * part))).collect()
                }
            })
            .collect();
        DeviceBuffers {
            pieces,
            part_len,
            tile,
            replicas: program.buffers.replicas,
            scratch: (0..tiles).map(|t| allocate("scratch", scratch_len.max(4) * in_tile(t))).collect(),
            nothing: [allocate("nothing", 4), allocate("nothing", 4)],
        }
    }

    pub fn tiles(&self) -> usize {
        self.scratch.len()
    }

    /// Replicas of a tile.
    pub fn in_tile(&self, tile: usize) -> usize {
        self.tile.min(self.replicas - tile * self.tile)
    }

    /// A piece of the memory that a buffer has.
    pub fn piece(&self, declared: &Buffers, buffer: Buffer, piece: usize) -> &wgpu::Buffer {
        &self.pieces[declared.home(buffer).0 as usize][piece]
    }

    /// What a binding of a dispatch for this tile shows.
    pub fn bound(&self, declared: &Buffers, memory: Memory, write: bool, tile: usize) -> &wgpu::Buffer {
        match memory {
            Memory::Buffer { buffer, part } => match declared.spec(buffer).scope {
                Scope::Replica => self.piece(declared, buffer, tile),
                Scope::Shared => self.piece(declared, buffer, part as usize),
            },
            Memory::Scratch { .. } => &self.scratch[tile],
            Memory::Nothing => &self.nothing[usize::from(write)],
        }
    }

    /// A temporary matrix's memory in a tile, and a buffer of NaN (zeros in the padding) to overwrite it with.
    pub fn poison(&self, gpu: &Gpu, declared: &Buffers, buffer: Buffer, tile: usize) -> (wgpu::Buffer, wgpu::Buffer) {
        let spec = declared.spec(buffer);
        let rows = spec.temporary.unwrap_or(Rows { cols: 1, ld: 1 });
        let count = spec.len * self.in_tile(tile);
        let nan = |i: usize| if i % rows.ld < rows.cols { f32::NAN } else { 0.0 };
        let values: Vec<f32> = (0..count).map(nan).collect();
        let pattern = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("poison"),
            size: 4 * count as u64,
            usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue().write_buffer(&pattern, 0, bytemuck::cast_slice(&values));
        (self.piece(declared, buffer, tile).clone(), pattern)
    }

    /// Where an element of one replica (any, for a shared buffer) is.
    pub fn place(&self, declared: &Buffers, buffer: Buffer, replica: usize, element: usize) -> Place {
        let spec = declared.spec(buffer);
        match spec.scope {
            Scope::Replica => {
                let start = replica % self.tile * spec.len + element;
                Place { piece: replica / self.tile, byte: 4 * start as u64, room: spec.len - element }
            }
            Scope::Shared => {
                let part = self.part_len[buffer.0 as usize];
                let start = element % part;
                Place { piece: element / part, byte: 4 * start as u64, room: part - start }
            }
        }
    }
}

fn bytes(spec: &BufferSpec) -> u64 {
    4 * spec.len as u64
}

/// Words a row of the shared data sets: what they may be cut by.
fn data_set_rows(program: &Program) -> HashMap<Buffer, usize> {
    let gathers = program.passes.iter().flat_map(|pass| &pass.ops).filter_map(|op| match op {
        Op::Gather(gather) => Some((gather.data, gather.stride)),
        _ => None,
    });
    gathers.collect()
}

/// Refuses a program that the adapter's bindings or the memory can't hold.
pub(super) fn check(gpu: &Gpu, program: &Program) -> Result<()> {
    let rows = data_set_rows(program);
    for (i, spec) in (0..).zip(&program.buffers.specs) {
        let cut = spec.scope == Scope::Shared && rows.contains_key(&Buffer(i));
        if bytes(spec) > gpu.caps().max_binding && !cut {
            return Err(too_large(gpu, spec));
        }
    }
    refuse_beyond_memory(gpu, program)
}

/// Replicas whose copies of the largest buffer fit into one binding.
fn tile(gpu: &Gpu, program: &Program, scratch_len: usize) -> usize {
    let of_replicas = program.buffers.specs.iter().filter(|spec| spec.scope == Scope::Replica).map(bytes);
    let largest = of_replicas.max().unwrap_or(0).max(4 * scratch_len as u64).max(16);
    let fit = usize::try_from(gpu.caps().max_binding / largest).unwrap_or(usize::MAX);
    program.buffers.replicas.min(gpu.caps().max_groups as usize).min(fit).max(1)
}

fn too_large(gpu: &Gpu, spec: &BufferSpec) -> Error {
    Error::Device(format!(
        "`{}` takes {} MiB, but {} binds at most {} MiB at once; use a smaller batch or --device cpu",
        spec.label,
        bytes(spec) >> 20,
        gpu.info().name,
        gpu.caps().max_binding >> 20,
    ))
}

/// A software adapter allocates without asking whether the machine has the memory, so ask first. (A GPU's driver
/// refuses by itself.)
fn refuse_beyond_memory(gpu: &Gpu, program: &Program) -> Result<()> {
    if gpu.caps().software { refuse_beyond_host_memory(program, 4, false) } else { Ok(()) }
}
