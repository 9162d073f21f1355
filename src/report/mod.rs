//! What a person gets to look at: CSV, JSON, pictures, one self-contained HTML page.
//!
//! - [`tables`]: `relevance.csv`, `history.csv`, `curve.csv` and the ranking as text for the terminal;
//! - [`page`]: `report.html` of a training ([`TrainPage`]), put together from `figures` and `examples`;
//! - [`feature_sets_page`] and [`digits_page`]: `report.html` of the spectral paper's experiments, from the parts in `experiment_page`;
//! - [`explain_page`]: `report.html` of explanations and of similarities, [`squares_page`]: that of the rotated squares; [`npz`]: arrays for NumPy;
//! - [`svg`] and [`picture`]: the plots and pixel pictures that every page is made of;
//! - [`text`]: escaping and number formats, the same in every table, plot and sentence.

pub mod digits_page;
mod examples;
mod experiment_page;
mod explain_figures;
pub mod explain_page;
pub mod feature_sets_page;
mod figures;
pub mod npz;
pub mod page;
pub mod picture;
pub mod squares_page;
pub mod svg;
pub mod tables;
pub mod text;

pub use page::{Example, TrainPage};
