//! Which inputs a neural network uses, and how: spectral training and exact explanations on wgpu compute shaders or on the CPU.
//!
//! A dense layer's weight is `W[j,i] = (λ_in[i] − λ_out[j])·ψ[j,i]` (Chicchi et al., arXiv:2406.01183). With penalties on
//! λ and ψ the eigenvalues of useless inputs go to zero during training, and `|λ̃_i| = |λ_in[i]|·‖ψ[:,i]‖₂` ranks the rest.
//!
//! ```
//! use eigenlens::{Device, Plan, data::synthetic};
//!
//! let mut gaussian = synthetic::gaussian(1, 4_000);
//! let mut plan = Plan::default();
//! plan.settings.epochs = 30;
//! let fit = plan.fit(&mut gaussian.dataset, &Device::Cpu { threads: 0 })?;
//! let best = &fit.model.ranking()[0];
//! assert!(gaussian.distance[best.feature] > 0.0, "the best feature is one that tells the classes apart");
//! # Ok::<(), eigenlens::Error>(())
//! ```
//!
//! # The house
//!
//! A tower: each room uses those above it in this table and no other (`tests/rooms.rs` reads the code and holds it to that).
//!
//! | room | what is in it |
//! |---|---|
//! | [`error`], [`random`], [`write`](mod@write) | one error type, and what of a text from outside is shown; counter-based random numbers; files that are whole or absent |
//! | [`run`] | a run is never lost: folders whose results are those of one run, locks, what a long command has done |
//! | [`host`] | computing on the processor: numbers, threads, vectors, the matrix product; how much memory there is for it |
//! | [`program`] | work as data: buffers and views, dispatches, passes; `plan`: which matrices share memory |
//! | [`kernels`] | one file for each kernel family (`activation` and `loss` list the activations and the losses): the operation, its dispatches of `shaders/*.wgsl` (made with `shaders/common`), and in `twins` the same arithmetic in Rust |
//! | [`engine`] | `cpu` and `gpu` execute programs (wgpu is named in `engine/gpu` alone) |
//! | [`network`] | the static DAG; a node type is one file with shape, parameters, forward and backward; `record` turns a graph into operations |
//! | [`data`] | `table`: one source of row blocks for each format, and what is made of any; `arrays`, pictures, idx; chosen by `format`; synthetic sets, splits, scaling, row weights |
//! | [`train`] | `settings` (with the learning rate's course), the resident data set, `job`: the loop, which fills in every step |
//! | [`assess`] | how good a model is and how sure that is: the constant answer, standard errors, the verdict, cross-validation |
//! | [`model`], [`model_file`] | a trained model with everything needed to use it again; its file; `onnx`: other programs' networks |
//! | [`specxai`] | why this output: local operators, their decomposition, `explain`: the sums; `receipt`: whether they add up |
//! | [`relevance`] | the ranking and the curves that prove it |
//! | [`selection`] | the few inputs that matter: penalties times seeds as one ensemble, substitutes, the compact model |
//! | [`report`] | tables, plots, and pages (`*_page.rs`): each is data, rendered as HTML, Markdown or JSON |
//! | `reproduce` | the papers' experiments, whole, with their pages |
//! | [`cli`] | one file for each subcommand; nothing else prints |
//!
//! A training goes like this: [`data::load`] → [`Plan::fit`] (or [`Plan::fit_with`] an observer) splits and scales, builds the
//! [`network::Network`], and makes a [`train::Job`]. Each node type records itself through [`network::record::Recorder`] as a list
//! of [`kernels::Op`]; the job's lists (train, evaluate, and for curves masked evaluation) become the passes ([`program::Pass`]) of
//! one [`kernels::Program`], which [`Device::load`] turns into an [`engine::Session`]. From then on a step is one
//! [`engine::Session::run`] over buffers that exist already, with nothing but a small [`program::Step`] that changes; results
//! stay on the engine for many steps.
//!
//! An explanation goes like this: [`specxai::explain`] → a [`specxai::LocalOperator`] records the forward pass in
//! [`network::record::Mode::Explain`], the slopes and intercepts of every node, and the products it was asked for
//! ([`network::local`]: cotangents down the graph, tangents up); the small decompositions are made on the host, and every sum is
//! checked against the network's own output.
//!
//! A batch has the shape `[replica, sample, seed, …]`: replicas are independent networks with seeds and penalties of their own. The
//! CPU engine gives each thread whole replicas, or shares a kernel's rows where there are too few (`select` gives each core a training
//! of one network, from which the columns leave that its penalty has dropped); the GPU has the replica as
//! a grid dimension. Padding columns are zero and rows beyond the batch are never read ([`program::View`], [`program::Step`]).
//!
//! Matrices that nobody needs at the same time share memory ([`program::Program::plan`]): those that a pass writes before it reads
//! them are declared as temporary ([`program::Buffers::temporary`]), and who reads or writes one from outside says so
//! ([`program::Program::exchanging`]). Parameters lie in memory once, as `f32`: the CPU engine reads a model's own.
//!
//! Seeds are the rows of a Jacobian (1 in training); what a forward pass saved broadcasts over them.
//!
//! How to add a node, a kernel, an activation, a loss, a page, a reader: CONTRIBUTING.md.

pub mod assess;
pub mod cli;
pub mod data;
pub mod engine;
pub mod error;
pub mod host;
pub mod kernels;
pub mod model;
pub mod model_file;
pub mod network;
pub mod program;
pub mod random;
pub mod relevance;
pub mod report;
mod reproduce;
pub mod run;
pub mod selection;
pub mod specxai;
pub mod train;
pub mod write;

pub use engine::Device;
pub use error::{Error, Result};
pub use model::{Fit, Model, Plan};
pub use model_file::onnx;
