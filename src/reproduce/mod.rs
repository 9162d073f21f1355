//! Experiments of the papers, whole: data, training, analysis.

mod digits;
pub mod digits_page;
mod experiment_page;
mod feature_sets;
pub mod feature_sets_page;
pub mod lick;
mod measures;
mod rotated_squares;
pub mod squares_page;
pub mod stellar;
pub mod stellar_page;

pub use digits::{Digits, DigitsOutcome, DigitsPictures, DigitsSettings, Sample, Shorter, SingleAccuracy, digits};
pub use feature_sets::{
    Distribution, FeatureOutcome, FeatureSet, FeatureSetOutcome, FeatureSetRun, FeatureSetSettings, PairOutcome,
    SCATTER_FEATURES, ScatterPoint, Variant, feature_set,
};
pub use measures::{Check, Spread, spearman};
pub use rotated_squares::{
    BiasStart, DataSpectrum, NetworkOutcome, OperatorPicture, RotatedSquares, SquaresSettings, rotated_squares,
};
