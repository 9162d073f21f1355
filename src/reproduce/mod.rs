//! Experiments of the papers, whole: data, training, analysis, page. Private to `eigenlens reproduce`.

mod digits;
pub mod digits_page;
mod experiment_page;
mod feature_sets;
pub mod feature_sets_page;
pub mod imagenet;
pub mod imagenet_page;
pub mod lick;
mod measures;
mod rotated_squares;
pub mod squares_page;
pub mod stellar;
pub mod stellar_page;

pub use digits::{Digits, DigitsOutcome, DigitsSettings, Sample, Shorter, SingleAccuracy, digits};
pub use feature_sets::{
    Distribution, FeatureOutcome, FeatureSet, FeatureSetOutcome, FeatureSetRun, FeatureSetSettings, SCATTER_FEATURES,
    Variant, feature_set,
};
pub use measures::{Check, Spread};
pub use rotated_squares::{
    BiasStart, NetworkOutcome, OperatorPicture, RotatedSquares, SquaresSettings, rotated_squares,
};
