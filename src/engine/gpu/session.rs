//! A program on a device: loading, running and reading it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::device::Gpu;
use super::memory::{DeviceBuffers, check};
use crate::engine::{Session, write_constants};
use crate::kernels::Program;
use crate::program::dispatch::{Dispatch, Groups, Memory};
use crate::program::{Buffer, Buffers, Element, PassId, Scope, Step};
use crate::{Error, Result};

/// Steps whose uniforms are uploaded at once.
const STEPS: usize = 128;
/// Estimated flops after which the work is submitted: well under a second, so that no watchdog ends it.
const SOFTWARE_WORK: f64 = 1e9;
const GPU_WORK: f64 = 1e11;
/// Submissions in flight.
const IN_FLIGHT: usize = 3;
/// Bytes uploaded at once, to bound the staging memory that wgpu holds.
const UPLOAD: usize = 16 << 20;
/// How long what is done may go untold, so many times.
const TELLING: Duration = Duration::from_millis(100);
const TELLINGS: usize = 300;

/// A dispatch, and which operation of its pass it is a part of.
struct Part {
    op: usize,
    label: String,
    dispatch: Dispatch,
}

/// A dispatch ready to be encoded.
struct Prepared {
    /// Memory that is overwritten before it, and with what; see [`Program::poison`](crate::program::Program::poison).
    poison: Vec<(wgpu::Buffer, wgpu::Buffer)>,
    label: String,
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    grid: [u32; 3],
    work: f64,
}

/// A program loaded onto a device.
pub struct GpuSession {
    gpu: Gpu,
    program: Program,
    buffers: DeviceBuffers,
    passes: Vec<Vec<Prepared>>,
    steps: wgpu::Buffer,
    /// Bytes from one step's uniform to the next.
    step_stride: u64,
    staging: Option<wgpu::Buffer>,
    in_flight: VecDeque<wgpu::SubmissionIndex>,
}

impl GpuSession {
    /// Creates every buffer, pipeline and bind group of a program.
    pub fn new(gpu: &Gpu, mut program: Program) -> Result<Self> {
        let constants = program.buffers.take_contents();
        gpu.check()?;
        check(gpu, &program)?;
        let mut session = gpu.scoped(|| {
            let parts: Vec<Vec<Part>> = program
                .passes
                .iter()
                .map(|pass| {
                    let parts = pass.ops.iter().enumerate().flat_map(|(i, op)| {
                        let dispatches = op.dispatches(gpu.caps(), &program.buffers).into_iter();
                        dispatches.map(move |dispatch| Part { op: i, label: op.name().to_owned(), dispatch })
                    });
                    parts.collect()
                })
                .collect();
            let scratch_len = parts
                .iter()
                .flatten()
                .flat_map(|part| &part.dispatch.bindings)
                .map(|binding| if let Memory::Scratch { len } = binding.memory { len } else { 0 })
                .max()
                .unwrap_or(0);
            let buffers = DeviceBuffers::new(gpu, &program, scratch_len);
            let alignment = u64::from(gpu.device().limits().min_uniform_buffer_offset_alignment).max(32);
            let step_stride = (size_of::<Step>() as u64).next_multiple_of(alignment);
            let steps = gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("steps"),
                size: step_stride * STEPS as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let passes = prepare(gpu, &program, &buffers, &steps, &parts, alignment);
            Ok(GpuSession {
                gpu: gpu.clone(),
                buffers,
                passes,
                steps,
                step_stride,
                staging: None,
                in_flight: VecDeque::new(),
                program,
            })
        })?;
        write_constants(&mut session, constants)?;
        Ok(session)
    }

    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Writes the uniforms of up to `STEPS` steps; ordered after everything submitted before.
    fn upload(&self, steps: &[Step]) {
        let mut bytes = vec![0; self.step_stride as usize * steps.len()];
        for (slot, step) in bytes.chunks_exact_mut(self.step_stride as usize).zip(steps) {
            slot[..size_of::<Step>()].copy_from_slice(bytemuck::bytes_of(step));
        }
        self.gpu.queue().write_buffer(&self.steps, 0, &bytes);
    }

    fn submit(&mut self, encoder: wgpu::CommandEncoder) -> Result<()> {
        self.in_flight.push_back(self.gpu.submit(Some(encoder.finish())));
        if self.in_flight.len() > IN_FLIGHT {
            let oldest = self.in_flight.pop_front();
            self.gpu.wait(oldest)?;
        }
        self.gpu.check()
    }

    /// Copies bytes back through a staging buffer that is kept.
    fn fetch(&mut self, buffer: &wgpu::Buffer, offset: u64, size: u64) -> Result<Vec<u8>> {
        if self.staging.as_ref().is_none_or(|staging| staging.size() < size) {
            self.staging = Some(self.gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("staging"),
                size: size.next_power_of_two().max(4096),
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }));
        }
        let staging = self.staging.as_ref().expect("created above");
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, offset, staging, 0, size);
        self.gpu.submit(Some(encoder.finish()));
        let (sender, receiver) = mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, 0..size, move |result| drop(sender.send(result)));
        self.gpu.wait(None)?;
        let failed =
            |problem: String| Error::Device(format!("reading from {} failed: {problem}", self.gpu.info().name));
        // What was waited for has been told by now, or another thread that waits for the same device is about to tell it. A lost device
        // may never tell.
        let mut told = receiver.recv_timeout(TELLING);
        for _ in 0..TELLINGS {
            if !matches!(told, Err(RecvTimeoutError::Timeout)) {
                break;
            }
            self.gpu.wait(None)?;
            told = receiver.recv_timeout(TELLING);
        }
        match told {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Err(failed(e.to_string())),
            Err(e) => return Err(failed(e.to_string())),
        }
        let bytes = staging.get_mapped_range(0..size).map_err(|e| failed(e.to_string()))?.to_vec();
        staging.unmap();
        Ok(bytes)
    }

    /// Uploads 32-bit elements to one replica.
    fn put(&mut self, buffer: Buffer, replica: usize, offset: usize, data: &[u32]) -> Result<()> {
        let (mut offset, mut data) = (offset, data);
        while !data.is_empty() {
            let place = self.buffers.place(&self.program.buffers, buffer, replica, offset);
            let count = data.len().min(place.room).min(UPLOAD / 4);
            let bytes = bytemuck::cast_slice(&data[..count]);
            self.gpu.queue().write_buffer(
                self.buffers.piece(&self.program.buffers, buffer, place.piece),
                place.byte,
                bytes,
            );
            if data.len() > count {
                self.gpu.submit(None);
                self.gpu.wait(None)?;
            }
            (offset, data) = (offset + count, &data[count..]);
        }
        self.gpu.check()
    }

    fn put_all(&mut self, buffer: Buffer, replica: Option<usize>, offset: usize, data: &[u32]) -> Result<()> {
        let spec = self.program.buffers.spec(buffer);
        assert!(offset + data.len() <= spec.len, "`{}` has {} elements", spec.label, spec.len);
        let replicas = match (spec.scope, replica) {
            (Scope::Shared, _) => 0..1,
            (_, Some(replica)) => replica..replica + 1,
            (_, None) => 0..self.program.buffers.replicas,
        };
        replicas.into_iter().try_for_each(|r| self.put(buffer, r, offset, data))
    }

    fn get(&mut self, buffer: Buffer, replica: usize, offset: usize, len: usize) -> Result<Vec<u32>> {
        let mut out = Vec::with_capacity(len);
        while out.len() < len {
            let place = self.buffers.place(&self.program.buffers, buffer, replica, offset + out.len());
            let count = (len - out.len()).min(place.room);
            let piece = self.buffers.piece(&self.program.buffers, buffer, place.piece).clone();
            let bytes = self.fetch(&piece, place.byte, 4 * count as u64)?;
            out.extend(bytemuck::pod_collect_to_vec::<u8, u32>(&bytes));
        }
        Ok(out)
    }
}

/// Compiles the pipelines and binds the buffers: for each pass, each dispatch once for each tile of replicas.
fn prepare(
    gpu: &Gpu,
    program: &Program,
    buffers: &DeviceBuffers,
    steps: &wgpu::Buffer,
    passes: &[Vec<Part>],
    alignment: u64,
) -> Vec<Vec<Prepared>> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut offsets = Vec::new();
    for part in passes.iter().flatten() {
        bytes.resize(bytes.len().next_multiple_of(alignment as usize), 0);
        offsets.push(bytes.len() as u64);
        bytes.extend(&part.dispatch.params);
    }
    let params = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("parameters"),
        size: (bytes.len() as u64).next_multiple_of(4).max(16),
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue().write_buffer(&params, 0, &bytes);
    let mut offsets = offsets.into_iter();
    let mut prepared = Vec::new();
    for (parts, pass) in passes.iter().zip(&program.passes) {
        let placed: Vec<_> = parts.iter().zip(offsets.by_ref()).collect();
        let mut of_pass = Vec::new();
        // Tile by tile, so that what one dispatch wrote is still in a cache for the next.
        for tile in 0..buffers.tiles() {
            let mut freed = pass.freed.iter().filter(|_| program.poison).peekable();
            for &(part, offset) in &placed {
                let uniforms = [(steps, 0, size_of::<Step>()), (&params, offset, part.dispatch.params.len())];
                let mut one = prepare_one(gpu, &program.buffers, buffers, uniforms, part, tile);
                while let Some(&(_, buffer)) = freed.next_if(|&&(before, _)| before <= part.op) {
                    one.poison.push(buffers.poison(gpu, &program.buffers, buffer, tile));
                }
                of_pass.push(one);
            }
        }
        prepared.push(of_pass);
    }
    prepared
}

fn prepare_one(
    gpu: &Gpu,
    declared: &Buffers,
    buffers: &DeviceBuffers,
    uniforms: [(&wgpu::Buffer, u64, usize); 2],
    part: &Part,
    tile: usize,
) -> Prepared {
    let Part { label, dispatch, .. } = part;
    let compiled = gpu.pipeline(dispatch);
    let mut entries: Vec<_> = (0..)
        .zip(uniforms)
        .map(|(binding, (buffer, offset, size))| wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset,
                size: wgpu::BufferSize::new(size as u64),
            }),
        })
        .collect();
    entries.extend(dispatch.bindings.iter().map(|binding| wgpu::BindGroupEntry {
        binding: binding.slot,
        resource: buffers.bound(declared, binding.memory, binding.write, tile).as_entire_binding(),
    }));
    let group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(label),
        layout: &compiled.layout,
        entries: &entries,
    });
    let replicas = buffers.in_tile(tile) as u32;
    let most = gpu.caps().max_groups;
    let (x, y) = match dispatch.groups {
        Groups::Flat(count) => (count.min(most), count.div_ceil(count.min(most))),
        Groups::Plane(columns, rows) => (columns, rows.min(most)),
    };
    Prepared {
        poison: Vec::new(),
        label: label.clone(),
        pipeline: compiled.pipeline,
        group,
        grid: [x, y, replicas],
        work: dispatch.work * f64::from(replicas),
    }
}

fn encode(pass: &mut wgpu::ComputePass<'_>, prepared: &Prepared, step_offset: u32) {
    pass.set_pipeline(&prepared.pipeline);
    pass.set_bind_group(0, &prepared.group, &[step_offset]);
    let [x, y, z] = prepared.grid;
    pass.dispatch_workgroups(x, y, z);
}

impl Session for GpuSession {
    fn write(&mut self, buffer: Buffer, replica: Option<usize>, offset: usize, data: &[f64]) -> Result<()> {
        debug_assert_eq!(self.program.buffers.spec(buffer).element, Element::Float);
        let words: Vec<u32> = data.iter().map(|&x| (x as f32).to_bits()).collect();
        self.put_all(buffer, replica, offset, &words)
    }

    fn hold(&mut self, buffer: Buffer, values: &Arc<Vec<f32>>) -> Result<bool> {
        self.put_all(buffer, None, 0, bytemuck::cast_slice(values))?;
        Ok(true)
    }

    fn write_words(&mut self, buffer: Buffer, replica: Option<usize>, offset: usize, data: &[u32]) -> Result<()> {
        debug_assert_eq!(self.program.buffers.spec(buffer).element, Element::Word);
        self.put_all(buffer, replica, offset, data)
    }

    fn read(&mut self, buffer: Buffer, replica: usize, offset: usize, len: usize) -> Result<Vec<f64>> {
        debug_assert_eq!(self.program.buffers.spec(buffer).element, Element::Float);
        Ok(self.get(buffer, replica, offset, len)?.into_iter().map(|w| f64::from(f32::from_bits(w))).collect())
    }

    fn read_words(&mut self, buffer: Buffer, replica: usize, offset: usize, len: usize) -> Result<Vec<u32>> {
        self.get(buffer, replica, offset, len)
    }

    fn run(&mut self, pass: PassId, steps: &[Step]) -> Result<()> {
        let most = if self.gpu.caps().software { SOFTWARE_WORK } else { GPU_WORK };
        for chunk in steps.chunks(STEPS) {
            self.upload(chunk);
            // Where each submit begins: (step, dispatch) pairs in order, cut by estimated work.
            let count = self.passes[pass.0].len();
            let mut next = 0;
            while next < chunk.len() * count {
                let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
                let mut work = 0.0;
                let prepared = |next: usize| &self.passes[pass.0][next % count];
                while next < chunk.len() * count && work < most {
                    // Copies stand between compute passes.
                    for (to, nan) in &prepared(next).poison {
                        encoder.copy_buffer_to_buffer(nan, 0, to, 0, nan.size());
                    }
                    let mut compute = encoder.begin_compute_pass(&Default::default());
                    loop {
                        encode(&mut compute, prepared(next), (next / count) as u32 * self.step_stride as u32);
                        work += prepared(next).work;
                        next += 1;
                        if next == chunk.len() * count || work >= most || !prepared(next).poison.is_empty() {
                            break;
                        }
                    }
                }
                self.submit(encoder)?;
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        self.in_flight.clear();
        self.gpu.wait(None)
    }

    /// `None` where the adapter has no timestamps inside a pass.
    fn timings(&mut self, pass: PassId, step: &Step) -> Result<Option<Vec<(String, f64)>>> {
        let device = self.gpu.device();
        if !device.features().contains(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES) {
            return Ok(None);
        }
        self.upload(std::slice::from_ref(step));
        let prepared = &self.passes[pass.0];
        let count = prepared.len() as u32 + 1;
        let queries =
            device.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count });
        let resolved = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: 8 * u64::from(count),
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let mut encoder = device.create_command_encoder(&Default::default());
        {
            let mut compute = encoder.begin_compute_pass(&Default::default());
            compute.write_timestamp(&queries, 0);
            for (i, prepared) in prepared.iter().enumerate() {
                encode(&mut compute, prepared, 0);
                compute.write_timestamp(&queries, i as u32 + 1);
            }
        }
        encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
        self.gpu.submit(Some(encoder.finish()));
        let bytes = self.fetch(&resolved, 0, 8 * u64::from(count))?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&bytes);
        let period = f64::from(self.gpu.queue().get_timestamp_period()) * 1e-9;
        let times = ticks.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]) as f64 * period);
        Ok(Some(self.passes[pass.0].iter().map(|p| p.label.clone()).zip(times).collect()))
    }
}
