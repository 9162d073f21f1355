//! Data sets: readers, synthetic generators, splits and scaling.

use serde::{Deserialize, Serialize};

/// Inputs as they came: bytes stay bytes, everything else is `f32`. Row-major `[rows, columns]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    U8(Vec<u8>),
    F32(Vec<f32>),
}

/// What is to be predicted.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// `labels[row] < names.len()`.
    Classes { labels: Vec<u32>, names: Vec<String> },
    /// Row-major `[rows, names.len()]`, in original units.
    Numbers { values: Vec<f32>, names: Vec<String> },
    /// Nothing known (data to predict on).
    None,
}

/// One input column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    pub name: String,
    /// Columns of one categorical (one-hot) variable share a group number; `None` stands alone.
    pub group: Option<u32>,
}

/// One axis of an input row, outermost first: `rows × columns` of an image, or a single `feature` axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axis {
    pub name: String,
    pub len: usize,
}

/// A table of inputs with its targets.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What the user named, for messages and the report.
    pub source: String,
    pub rows: usize,
    pub columns: usize,
    pub x: Values,
    pub y: Targets,
    pub features: Vec<Feature>,
    /// The shape of one row; the product of the lengths is `columns`.
    pub axes: Vec<Axis>,
    /// Rows from here on came as a test set of their own (`t10k` files, `X_test`).
    pub test_from: Option<usize>,
}
