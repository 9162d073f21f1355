//! An open device: its queue, its compiled pipelines, and what went wrong on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::adapter::{AdapterInfo, Adapters, Request, wanted_features};
use crate::program::Step;
use crate::program::dispatch::{Caps, Dispatch, GemmVariant};
use crate::program::shader::{Composed, Shader};
use crate::{Error, Result};

/// Name of the environment variable that turns the shaders' run-time checks on.
const CHECKED: &str = "EIGENLENS_CHECKED";

/// What tells two pipelines apart: shader, entry point, constants, and which bindings are written.
type Key = (&'static str, &'static str, Vec<(&'static str, u32)>, Vec<(u32, bool)>);

/// A compiled kernel.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

struct Inner {
    info: AdapterInfo,
    caps: Caps,
    device: wgpu::Device,
    queue: wgpu::Queue,
    checked: bool,
    /// Compiled shaders by name, with their texts: an error in one names its line.
    modules: Mutex<HashMap<&'static str, (wgpu::ShaderModule, Composed)>>,
    pipelines: Mutex<HashMap<Key, Pipeline>>,
    /// The first error that no error scope caught.
    failure: Arc<Mutex<Option<String>>>,
}

/// An open device; clones share it and its compiled pipelines.
#[derive(Clone)]
pub struct Gpu {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpu").field("info", &self.inner.info).field("caps", &self.inner.caps).finish()
    }
}

impl Gpu {
    /// Opens the adapter that fits the request. `EIGENLENS_CHECKED=1` keeps bounds and loop checks in the shaders.
    pub fn open(request: &Request) -> Result<Self> {
        Gpu::open_with(request, std::env::var(CHECKED).is_ok_and(|v| v == "1"))
    }

    /// Opens an adapter with or without run-time checks in the shaders.
    pub fn open_with(request: &Request, checked: bool) -> Result<Self> {
        let (adapter, info) = Adapters::find().pick(request)?;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("eigenlens"),
            required_features: adapter.features() & wanted_features(),
            required_limits: adapter.limits(),
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).map_err(|e| {
            Error::Device(format!(
                "cannot open {} ({}): {e}; update its driver or use --device cpu",
                info.name, info.backend
            ))
        })?;
        let failure = Arc::new(Mutex::new(None));
        let record = Arc::clone(&failure);
        device.on_uncaptured_error(Arc::new(move |error| {
            lock(&record).get_or_insert(explain(&error));
        }));
        let record = Arc::clone(&failure);
        device.set_device_lost_callback(move |reason, message| {
            if !matches!(reason, wgpu::DeviceLostReason::Destroyed) {
                lock(&record).get_or_insert(format!(
                    "the GPU was lost ({message}); a driver reset or a too long computation: try again with a smaller \
                     batch or fewer replicas, or use --device cpu"
                ));
            }
        });
        let inner = Inner {
            caps: info.caps.clone(),
            info,
            device,
            queue,
            checked,
            modules: Mutex::default(),
            pipelines: Mutex::default(),
            failure,
        };
        Ok(Gpu { inner: Arc::new(inner) })
    }

    /// The same device with another variant of the matrix product.
    pub fn with_gemm(&self, gemm: GemmVariant) -> Result<Self> {
        if gemm == GemmVariant::Broadcast8 && self.inner.info.subgroup_size != [8, 8] {
            return Err(Error::Device(format!("{} has no subgroups of exactly 8", self.inner.info.name)));
        }
        self.with_caps(Caps { gemm, ..self.inner.caps.clone() })
    }

    /// The same adapter with other (smaller) limits or variants; for tests.
    pub fn with_caps(&self, caps: Caps) -> Result<Self> {
        let inner = &self.inner;
        // One lock after the other: `pipeline` takes the second map's while it holds the first's.
        let pipelines = lock(&inner.pipelines).clone();
        let modules = lock(&inner.modules).clone();
        Ok(Gpu {
            inner: Arc::new(Inner {
                info: inner.info.clone(),
                caps,
                device: inner.device.clone(),
                queue: inner.queue.clone(),
                checked: inner.checked,
                modules: Mutex::new(modules),
                pipelines: Mutex::new(pipelines),
                failure: Arc::clone(&inner.failure),
            }),
        })
    }

    pub fn info(&self) -> &AdapterInfo {
        &self.inner.info
    }

    pub fn caps(&self) -> &Caps {
        &self.inner.caps
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// What went wrong since the device was opened, if anything did.
    pub(super) fn check(&self) -> Result<()> {
        match lock(&self.inner.failure).as_ref() {
            None => Ok(()),
            Some(message) => Err(Error::Device(format!("{}: {message}", self.inner.info.name))),
        }
    }

    /// Runs `body` and returns the errors that it raised on the device.
    pub(super) fn scoped<R>(&self, body: impl FnOnce() -> Result<R>) -> Result<R> {
        let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory];
        let scopes = filters.map(|filter| self.inner.device.push_error_scope(filter));
        let result = body();
        let mut first = None;
        for scope in scopes.into_iter().rev() {
            first = first.or(pollster::block_on(scope.pop()));
        }
        match first {
            None => result,
            Some(error) => Err(Error::Device(format!("{}: {}", self.inner.info.name, self.located(&explain(&error))))),
        }
    }

    /// A message about a shader with the lines of its files.
    fn located(&self, message: &str) -> String {
        let modules = lock(&self.inner.modules);
        let named = modules.iter().find(|(name, _)| message.contains(&format!("'{name}'")));
        named.map_or_else(|| message.to_owned(), |(_, (_, composed))| composed.located(message))
    }

    /// The compiled kernel of a dispatch.
    pub(super) fn pipeline(&self, dispatch: &Dispatch) -> Pipeline {
        let bindings: Vec<_> = dispatch.bindings.iter().map(|b| (b.slot, b.write)).collect();
        let key = (dispatch.shader.name, dispatch.entry, dispatch.constants.clone(), bindings);
        lock(&self.inner.pipelines).entry(key).or_insert_with(|| self.compile(dispatch)).clone()
    }

    fn compile(&self, dispatch: &Dispatch) -> Pipeline {
        let device = &self.inner.device;
        let label = Some(dispatch.shader.name);
        let layout =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries(dispatch) });
        let constants: Vec<_> = dispatch.constants.iter().map(|&(name, value)| (name, f64::from(value))).collect();
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &self.module(dispatch.shader),
            entry_point: Some(dispatch.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                // Every kernel writes workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Pipeline { pipeline, layout }
    }

    fn module(&self, shader: Shader) -> wgpu::ShaderModule {
        let compile = || {
            let composed = shader.compose();
            let descriptor = wgpu::ShaderModuleDescriptor {
                label: Some(shader.name),
                source: wgpu::ShaderSource::Wgsl((&composed.text).into()),
            };
            let module = if self.inner.checked {
                self.inner.device.create_shader_module(descriptor)
            } else {
                let checks = wgpu::ShaderRuntimeChecks::unchecked();
                // SAFETY: the shaders are this crate's own, and their tests run with the checks on: every index stays inside
                // its binding and every loop ends.
                unsafe { self.inner.device.create_shader_module_trusted(descriptor, checks) }
            };
            (module, composed)
        };
        lock(&self.inner.modules).entry(shader.name).or_insert_with(compile).0.clone()
    }
}

/// Layout of a dispatch's only bind group: the step (at a dynamic offset), the parameters, then the buffers.
fn entries(dispatch: &Dispatch) -> Vec<wgpu::BindGroupLayoutEntry> {
    let entry = |binding, ty, has_dynamic_offset, size: usize| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset,
            min_binding_size: std::num::NonZeroU64::new(size as u64),
        },
        count: None,
    };
    let uniform = wgpu::BufferBindingType::Uniform;
    let mut entries = vec![entry(0, uniform, true, size_of::<Step>()), entry(1, uniform, false, dispatch.params.len())];
    entries.extend(
        dispatch.bindings.iter().map(|binding| {
            entry(binding.slot, wgpu::BufferBindingType::Storage { read_only: !binding.write }, false, 0)
        }),
    );
    entries
}

/// An error of wgpu as one sentence with the remedy.
fn explain(error: &wgpu::Error) -> String {
    match error {
        wgpu::Error::OutOfMemory { .. } => {
            "out of memory on the device; use fewer replicas, a smaller batch or --device cpu".to_owned()
        }
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            let lines: Vec<_> = description.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            format!(
                "the driver refused a command ({}); please report this, and use --device cpu meanwhile",
                lines.join(" ")
            )
        }
    }
}

/// A lock that a panicking thread can't take with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_a_shader_names_file_and_line() {
        let gpu = Gpu::open(&Request::Gpu).unwrap_or_else(|e| panic!("the tests need an adapter: {e}"));
        let broken = Shader { name: "broken", source: "// use: view, flat\n\nfn f() -> f32 { return nothing; }\n" };
        let error = gpu.scoped(|| Ok(gpu.module(broken))).expect_err("there is no `nothing`").to_string();
        assert!(error.contains("shaders/broken.wgsl:3:24"), "{error}");
    }
}
