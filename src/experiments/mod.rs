//! Experiments of the papers, whole: data, training, analysis.

pub mod lick;
mod rotated_squares;
pub mod stellar;

pub use rotated_squares::{
    BiasStart, DataSpectrum, NetworkOutcome, OperatorPicture, RotatedSquares, SquaresSettings, rotated_squares,
};
