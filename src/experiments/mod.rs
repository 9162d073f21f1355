//! Experiments of the papers, whole: data, training, analysis.

mod digits;
mod feature_sets;
pub mod lick;
mod measures;
mod rotated_squares;
pub mod stellar;

pub use digits::{Digits, DigitsOutcome, DigitsPictures, DigitsSettings, Sample, Shorter, SingleAccuracy, digits};
pub use feature_sets::{
    Distribution, FeatureOutcome, FeatureSet, FeatureSetOutcome, FeatureSetRun, FeatureSetSettings, PairOutcome,
    SCATTER_FEATURES, ScatterPoint, Variant, feature_set,
};
pub use measures::{Check, Spread, spearman};
pub use rotated_squares::{
    BiasStart, DataSpectrum, NetworkOutcome, OperatorPicture, RotatedSquares, SquaresSettings, rotated_squares,
};
