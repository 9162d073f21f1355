//! The GPU engine: the only place that names wgpu.
//!
//! [`Adapters`] finds and picks an adapter, [`Gpu`] is an open device with its compiled pipelines, and [`GpuSession`] a
//! program loaded onto it: buffers, bind groups and pipelines exist before the first step, a run only encodes dispatches.

mod adapter;
mod device;
mod memory;
mod session;

pub use adapter::{AdapterInfo, AdapterKind, Adapters, Request};
pub use device::Gpu;
pub use session::GpuSession;
