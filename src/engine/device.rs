//! Which engine a job runs on.

use super::Session;
use super::cpu::CpuSession;
use super::gpu::{AdapterKind, Gpu, GpuSession, Request};
use crate::Result;
use crate::kernels::Program;

/// An engine to load programs into.
#[derive(Debug, Clone)]
pub enum Device {
    /// The kernels' twins in `f32`; 0 threads takes every core.
    Cpu { threads: usize },
    /// The twins in `f64`: the oracle of the tests.
    CpuF64 { threads: usize },
    /// The WGSL kernels on an open adapter.
    Gpu(Gpu),
}

impl Device {
    /// The engine that a name asks for: `cpu`, `gpu` (the best adapter, a software one at worst), `auto` (a real GPU, or
    /// else the CPU engine, which beats a software adapter), `cpu64` (in double precision), or part of an adapter's name.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when there is no such adapter; the sentence lists those there are, and the remedy.
    pub fn open(name: &str) -> Result<Self> {
        let cpu = Device::Cpu { threads: 0 };
        match name {
            "cpu" => Ok(cpu),
            "cpu64" => Ok(Device::CpuF64 { threads: 0 }),
            "auto" => Ok(Gpu::open(&Request::Auto).map_or(cpu, Device::Gpu)),
            name => Gpu::open(&Request::parse(name)).map(Device::Gpu),
        }
    }

    /// Whether kernels run on a driver that computes on the CPU.
    pub fn is_software_adapter(&self) -> bool {
        matches!(self, Device::Gpu(gpu) if gpu.info().kind == AdapterKind::Software)
    }

    /// Cores that programs run on: those of the CPU engine, and 1 for a GPU, which takes one program at a time.
    pub fn cores(&self) -> usize {
        match self {
            Device::Cpu { threads } | Device::CpuF64 { threads } => crate::host::threads(*threads),
            Device::Gpu(_) => 1,
        }
    }

    /// The same engine on one core, for programs that run side by side.
    pub fn on_one_core(&self) -> Self {
        match self {
            Device::Cpu { .. } => Device::Cpu { threads: 1 },
            Device::CpuF64 { .. } => Device::CpuF64 { threads: 1 },
            Device::Gpu(gpu) => Device::Gpu(gpu.clone()),
        }
    }

    /// Allocates a program's buffers on the engine.
    pub fn load(&self, program: Program) -> Result<Box<dyn Session>> {
        match self {
            Device::Cpu { threads } => Ok(Box::new(CpuSession::<f32>::new(program, *threads)?)),
            Device::CpuF64 { threads } => Ok(Box::new(CpuSession::<f64>::new(program, *threads)?)),
            Device::Gpu(gpu) => Ok(Box::new(GpuSession::new(gpu, program)?)),
        }
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Device::Cpu { .. } => write!(f, "CPU"),
            Device::CpuF64 { .. } => write!(f, "CPU (f64)"),
            Device::Gpu(gpu) => {
                let info = gpu.info();
                let software = if info.kind == AdapterKind::Software { ", software" } else { "" };
                write!(f, "GPU ({}, {}{software})", info.name, info.backend)
            }
        }
    }
}
