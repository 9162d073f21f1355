//! What the test files share; each uses some of it.
#![allow(dead_code)]

pub mod case;
pub mod files;
pub mod npz;
pub mod program;
pub mod training;
