//! Which adapters there are, and which one to take.

use std::path::Path;
use std::sync::Once;

use serde::{Deserialize, Serialize};

use crate::program::dispatch::{Caps, GemmVariant};
use crate::{Error, Result};

/// What an adapter runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    Discrete,
    Integrated,
    Virtual,
    /// A driver that computes on the CPU.
    Software,
    Other,
}

/// One adapter, as far as a user may want to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterInfo {
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    pub kind: AdapterKind,
    pub driver: String,
    pub driver_info: String,
    /// wgpu's names of what the kernels may use.
    pub features: Vec<String>,
    pub subgroup_size: [u32; 2],
    pub max_binding_bytes: u64,
    pub max_buffer_bytes: u64,
    pub max_workgroup_invocations: u32,
    pub max_workgroup_bytes: u32,
    /// What the kernels ask, and which variants they will take.
    pub caps: Caps,
}

/// How a user names a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A real GPU, or an error.
    Auto,
    /// The best adapter, a software one at worst (see [`AdapterInfo::kind`]).
    Gpu,
    /// The best adapter whose name contains this, in either case.
    Named(String),
}

impl Request {
    /// `auto`, `gpu`, or part of a name.
    pub fn parse(text: &str) -> Self {
        match text {
            "auto" => Request::Auto,
            "gpu" => Request::Gpu,
            name => Request::Named(name.to_owned()),
        }
    }
}

/// The adapters of this machine, best first.
pub struct Adapters {
    found: Vec<(wgpu::Adapter, AdapterInfo)>,
}

impl Adapters {
    /// Looks for adapters.
    pub fn find() -> Self {
        quieten_wayland();
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::PRIMARY,
            flags: wgpu::InstanceFlags::empty(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let mut found: Vec<_> = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY))
            .into_iter()
            .map(|adapter| {
                let info = describe(&adapter);
                (adapter, info)
            })
            .collect();
        found.sort_by_key(|(_, info)| rank(info.kind));
        Adapters { found }
    }

    /// What there is, best first.
    pub fn list() -> Vec<AdapterInfo> {
        Adapters::find().infos().cloned().collect()
    }

    pub fn infos(&self) -> impl Iterator<Item = &AdapterInfo> {
        self.found.iter().map(|(_, info)| info)
    }

    /// The adapter that fits the request; the error lists those there are, and the remedy.
    pub(super) fn pick(mut self, request: &Request) -> Result<(wgpu::Adapter, AdapterInfo)> {
        match self.found.iter().position(|(_, info)| suits(info, request)) {
            Some(i) => Ok(self.found.swap_remove(i)),
            None => Err(missing(&self.infos().collect::<Vec<_>>(), request)),
        }
    }
}

fn suits(info: &AdapterInfo, request: &Request) -> bool {
    match request {
        Request::Auto => info.kind != AdapterKind::Software,
        Request::Gpu => true,
        Request::Named(name) => info.name.to_lowercase().contains(&name.to_lowercase()),
    }
}

/// Mesa's Vulkan drivers look for a Wayland display, whose library complains on stderr when there is no run-time
/// directory. Any directory silences it.
fn quieten_wayland() {
    static ONCE: Once = Once::new();
    const VARIABLE: &str = "XDG_RUNTIME_DIR";
    ONCE.call_once(|| {
        let valid = std::env::var_os(VARIABLE).is_some_and(|dir| Path::new(&dir).is_dir());
        if cfg!(target_os = "linux") && !valid {
            // SAFETY: Rust's own readers are locked out by the standard library, and the C code of this process that
            // reads the environment is the drivers', which start below and in this thread.
            unsafe { std::env::set_var(VARIABLE, std::env::temp_dir()) };
        }
    });
}

/// One sentence with what was looked for, what was seen and what to do.
fn missing(seen: &[&AdapterInfo], request: &Request) -> Error {
    let wanted = match request {
        Request::Auto => "no GPU found".to_owned(),
        Request::Gpu => "no GPU and no software adapter found".to_owned(),
        Request::Named(name) => format!("no adapter has `{name}` in its name"),
    };
    let list = if seen.is_empty() {
        "none".to_owned()
    } else {
        let one = |info: &&AdapterInfo| format!("{} ({}, {:?})", info.name, info.backend, info.kind).to_lowercase();
        seen.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let remedy = if cfg!(target_os = "linux") {
        "install your GPU's Vulkan driver (a software one, on Debian and Ubuntu: `apt install mesa-vulkan-drivers`), \
         or use --device cpu"
    } else if cfg!(target_os = "windows") {
        "update the graphics driver, or use --device cpu"
    } else {
        "use --device cpu"
    };
    Error::Device(format!("{wanted}; adapters seen: {list}; {remedy}"))
}

fn rank(kind: AdapterKind) -> u8 {
    match kind {
        AdapterKind::Discrete => 0,
        AdapterKind::Integrated => 1,
        AdapterKind::Virtual => 2,
        AdapterKind::Other => 3,
        AdapterKind::Software => 4,
    }
}

/// Features that the kernels use where they exist.
pub(super) fn wanted_features() -> wgpu::Features {
    wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES
}

fn describe(adapter: &wgpu::Adapter) -> AdapterInfo {
    let info = adapter.get_info();
    let limits = adapter.limits();
    let features = adapter.features() & wanted_features();
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
        wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
        wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
        wgpu::DeviceType::Cpu => AdapterKind::Software,
        wgpu::DeviceType::Other => AdapterKind::Other,
    };
    let subgroup_size = [info.subgroup_min_size, info.subgroup_max_size];
    let eight = features.contains(wgpu::Features::SUBGROUP) && subgroup_size == [8, 8];
    let software = kind == AdapterKind::Software;
    let caps = Caps {
        // Byte offsets stay far from 2³² in every backend's addressing.
        max_binding: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(2 << 30),
        max_groups: limits.max_compute_workgroups_per_dimension,
        software,
        gemm: gemm_variant(eight, software),
    };
    AdapterInfo {
        name: info.name,
        backend: format!("{:?}", info.backend).to_lowercase(),
        kind,
        driver: info.driver,
        driver_info: info.driver_info,
        features: features.iter_names().map(|(name, _)| name.to_owned()).collect(),
        subgroup_size,
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        max_workgroup_invocations: limits.max_compute_invocations_per_workgroup,
        max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
        caps,
    }
}

/// What suits the adapter, unless `EIGENLENS_GEMM` (`broadcast8`, `tile64`, `tile32`) says otherwise. `broadcast8` runs
/// only where subgroups have exactly 8 invocations; what can't run, and any other word, is passed over.
fn gemm_variant(eight: bool, software: bool) -> GemmVariant {
    let chosen = std::env::var("EIGENLENS_GEMM").unwrap_or_default();
    match chosen.as_str() {
        "broadcast8" if eight => GemmVariant::Broadcast8,
        "tile64" => GemmVariant::Tile64,
        "tile32" => GemmVariant::Tile32,
        _ if eight && software => GemmVariant::Broadcast8,
        _ => GemmVariant::Tile,
    }
}
