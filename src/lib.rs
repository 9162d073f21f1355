//! eigenlens.

pub mod data;
pub mod engine;
pub mod error;
pub mod kernels;
pub mod network;
pub mod random;
pub mod relevance;
pub mod report;
pub mod train;

pub use error::{Error, Result};
