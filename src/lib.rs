//! eigenlens.

pub mod cli;
pub mod data;
pub mod engine;
pub mod error;
pub mod kernels;
pub mod model;
pub mod model_file;
pub mod network;
pub mod random;
pub mod relevance;
pub mod report;
pub mod train;
pub mod write;

pub use engine::Device;
pub use error::{Error, Result};
pub use model::{Fit, Model, Plan};
