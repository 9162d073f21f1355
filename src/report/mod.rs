//! What a person gets to look at: CSV, JSON, pictures, one self-contained HTML page.
//!
//! - [`tables`]: `relevance.csv`, `history.csv`, `curve.csv` and the ranking as text for the terminal;
//! - [`page`]: `report.html` of a training ([`TrainPage`]), put together from `figures` and `examples`;
//! - [`selection_page`]: of a selection; [`explain_page`]: of explanations and of similarities;
//! - [`npz`]: arrays for NumPy;
//! - [`svg`] and [`picture`]: the plots and pixel pictures that every page is made of;
//! - [`text`]: escaping and number formats, the same in every table, plot and sentence.

pub(crate) mod examples;
pub(crate) mod explain_figures;
pub mod explain_page;
pub(crate) mod figures;
pub mod npz;
pub mod page;
pub mod picture;
pub mod selection_page;
pub mod svg;
pub mod tables;
pub mod text;

pub use page::{Example, TrainPage};
