//! Which engine a job runs on.

use super::cpu::CpuSession;
use super::gpu::{Gpu, GpuSession};
use super::{Program, Session};
use crate::Result;

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
            Device::Gpu(gpu) => write!(f, "{} ({})", gpu.info().name, gpu.info().backend),
        }
    }
}
