//! eigenlens.

pub mod data;
pub mod error;
pub mod relevance;
pub mod report;
pub mod train;

pub use error::{Error, Result};
