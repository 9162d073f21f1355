//! Experiments of the papers, whole: data, training, analysis.

mod rotated_squares;

pub use rotated_squares::{
    BiasStart, DataSpectrum, NetworkOutcome, OperatorPicture, RotatedSquares, SquaresSettings, rotated_squares,
};
