//! What a person gets to look at: CSV, JSON, pictures, pages.
//!
//! - [`tables`]: `relevance.csv`, `history.csv`, `curve.csv` and the ranking as text for the terminal;
//! - [`page`]: a page as data; [`html`] and [`markdown`] render it, [`formats`] writes it;
//! - `training_page` (of [`TrainPage`], with its `facts`, `figures` and `examples`), [`curve_page`], [`explain_page`] (with `explain_figures`, `explain_reading` and
//!   [`photo_figures`]), [`similarity_page`], [`selection_page`]: what
//!   each page holds;
//! - [`feature_figures`] (with `force_figure` and `dependence_figures`): explanations by feature;
//! - [`npz`]: arrays for NumPy;
//! - [`svg`] (with [`scale`]) and [`picture`]: the plots and pixel pictures that every page is made of;
//! - [`text`]: escaping and number formats, the same in every table, plot and sentence.

pub mod assessment;
pub mod curve_page;
mod dependence_figures;
pub(crate) mod examples;
pub(crate) mod explain_figures;
pub mod explain_page;
mod explain_reading;
pub(crate) mod facts;
pub mod feature_figures;
pub(crate) mod figures;
mod force_figure;
pub mod formats;
pub mod html;
pub mod markdown;
pub mod npz;
pub mod page;
pub mod photo_figures;
pub mod picture;
pub mod scale;
pub mod selection_page;
pub mod similarity_page;
pub mod svg;
pub mod tables;
pub mod text;
pub(crate) mod training_page;

pub use facts::{Example, TrainPage};
