//! What the test files share.

pub mod case;
pub mod files;
pub mod npz;
pub mod onnx;
pub mod program;
pub mod training;
