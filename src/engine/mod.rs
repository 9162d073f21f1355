//! Executes programs: on the GPU through WGSL kernels, or on the CPU through their twins.

pub mod cpu;
mod device;
pub mod gpu;
mod memory;
mod session;

pub use device::Device;
pub use session::Session;
