//! What a person gets to look at: CSV, JSON, pictures, one self-contained HTML page.
//!
//! - [`tables`]: `relevance.csv`, `history.csv`, `curve.csv` and the ranking as text for the terminal;
//! - [`page`]: `report.html` of a training ([`TrainPage`]), put together from `figures` and `examples`;
//! - [`explain_page`]: `report.html` of explanations and of similarities; [`squares_page`], [`stellar_page`]: of experiments;
//!   [`selection_page`]: of a selection; [`npz`]: arrays for NumPy;
//! - [`svg`] and [`picture`]: the plots and pixel pictures that every page is made of;
//! - [`text`]: escaping and number formats, the same in every table, plot and sentence.

mod examples;
mod explain_figures;
pub mod explain_page;
mod figures;
pub mod npz;
pub mod page;
pub mod picture;
pub mod selection_page;
pub mod squares_page;
pub mod stellar_page;
pub mod svg;
pub mod tables;
pub mod text;

pub use page::{Example, TrainPage};
