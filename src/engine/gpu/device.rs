//! An open device: its queue, its compiled pipelines, and what went wrong on it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::adapter::{AdapterInfo, Adapters, Request, wanted_features};
use crate::host::quietly;
use crate::program::Step;
use crate::program::dispatch::{Caps, Dispatch, GemmVariant};
use crate::program::shader::{Composed, Shader};
use crate::{Error, Result};

/// Name of the environment variable that turns the shaders' run-time checks on.
const CHECKED: &str = "EIGENLENS_CHECKED";
/// The one that has the device destroyed after so many submissions: tests see what a loss does.
const LOSE_AFTER: &str = "EIGENLENS_LOSE_AFTER";

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
    failures: Arc<Mutex<Failures>>,
    /// Submissions that are left until the device is destroyed; 0: it isn't.
    left: Arc<AtomicU64>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // wgpu ends a queue with a wait, which panics on what drivers say of a lost one.
        if lock(&self.failures).lost.is_some() {
            std::mem::forget((self.queue.clone(), self.device.clone()));
        }
    }
}

/// What went wrong on a device that no error scope caught: the first of each.
#[derive(Default)]
struct Failures {
    lost: Option<String>,
    refused: Option<String>,
}

impl Failures {
    /// What a lost device refuses is not what is wrong.
    fn first(&self) -> Option<&String> {
        self.lost.as_ref().or(self.refused.as_ref())
    }

    fn lose(&mut self, message: &str) {
        let what = if message.is_empty() { "destroyed" } else { message };
        self.lost.get_or_insert(format!(
            "the GPU was lost ({what}) by a driver reset or a too long computation; try again, with a smaller batch or fewer \
             replicas, or use --device cpu"
        ));
    }
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
        let failures = Arc::new(Mutex::new(Failures::default()));
        let record = Arc::clone(&failures);
        device.on_uncaptured_error(Arc::new(move |error| {
            lock(&record).refused.get_or_insert(explain(&error));
        }));
        let record = Arc::clone(&failures);
        device.set_device_lost_callback(move |_, message| lock(&record).lose(&message));
        let left = std::env::var(LOSE_AFTER).ok().and_then(|count| count.parse().ok()).unwrap_or(0);
        let inner = Inner {
            caps: info.caps.clone(),
            info,
            device,
            queue,
            checked,
            modules: Mutex::default(),
            pipelines: Mutex::default(),
            failures,
            left: Arc::new(AtomicU64::new(left)),
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
                failures: Arc::clone(&inner.failures),
                left: Arc::clone(&inner.left),
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

    /// Submits commands.
    pub(super) fn submit(&self, commands: Option<wgpu::CommandBuffer>) -> wgpu::SubmissionIndex {
        if self.inner.left.load(Ordering::Relaxed) > 0 && self.inner.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.inner.device.destroy();
        }
        self.inner.queue.submit(commands)
    }

    /// Waits for a submission, or for all of them.
    pub(super) fn wait(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let waited = self.poll(submission_index).or_else(|error| self.poll(None).and(Err(error)));
        self.check()?;
        waited.map_err(|e| Error::Device(format!("{}: waiting failed: {e}; try again", self.inner.info.name)))
    }

    /// Waits; what is done is told to whoever asked for it, and a loss to `failures`.
    fn poll(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<(), String> {
        let how = wgpu::PollType::Wait { submission_index, timeout: None };
        // wgpu panics where the driver says that the device is lost.
        match quietly(|| self.inner.device.poll(how)) {
            Ok(polled) => polled.map(drop).map_err(|error| error.to_string()),
            Err(message) => {
                lock(&self.inner.failures).lose(&message);
                Err(message)
            }
        }
    }

    /// What went wrong since the device was opened, if anything did.
    pub(super) fn check(&self) -> Result<()> {
        if lock(&self.inner.failures).first().is_none() {
            return Ok(());
        }
        // A device that was lost refuses everything, and tells that it is lost when it is asked.
        let _ = self.poll(None);
        let failures = lock(&self.inner.failures);
        let message = failures.first().map_or("", String::as_str);
        Err(Error::Device(format!("{}: {message}", self.inner.info.name)))
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
        let Some(error) = first else { return result };
        // A lost device refuses everything, and tells that it is lost when it is asked.
        let _ = self.poll(None);
        self.check()?;
        Err(Error::Device(format!("{}: {}", self.inner.info.name, self.located(&explain(&error)))))
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
