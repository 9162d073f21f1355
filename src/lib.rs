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
//! | room | what is in it |
//! |---|---|
//! | [`error`], [`random`], [`write`](mod@write) | one error type; counter-based random numbers; files that are whole or absent |
//! | [`engine`] | `plan`: buffers, views and lists of operations as data; `cpu` and `gpu` execute them (wgpu is named in `engine/gpu` alone) |
//! | [`kernels`] | one file for each kernel family: the operation, its dispatches of `shaders/*.wgsl`, and in `twins` the same arithmetic in Rust |
//! | [`network`] | the static DAG; a node type is one file with shape, parameters, forward and backward; `record` turns a graph into operations |
//! | [`data`] | readers, synthetic sets, splits, scaling, row weights |
//! | [`train`] | settings, the resident data set, the training job |
//! | [`model`], [`model_file`] | a trained model with everything needed to use it again; its file |
//! | [`specxai`] | why this output: local operators, their decomposition, surgery, receipts |
//! | [`reproduce`] | experiments of the papers, whole |
//! | [`relevance`] | the ranking and the curves that prove it |
//! | [`selection`] | the few inputs that matter: penalties times seeds as one ensemble, substitutes, the compact model |
//! | [`report`] | tables, plots, the page |
//! | [`cli`] | one file for each subcommand |
//!
//! Each room uses those above it, with one pair that knows each other: an [`engine`] plan is a list of [`kernels::Op`], and a
//! kernel records its dispatches against an [`engine::Program`]. [`data`] knows no network, and nothing but [`cli`] prints.
//!
//! A training goes like this: [`data::load`] → [`Plan::fit`] (or [`Plan::fit_with`] an observer) splits and scales, builds the [`network::Network`], and makes a
//! [`train::Job`]. Each node type records itself through [`network::record::Recorder`] as a list of [`kernels::Op`]; the job's
//! lists (train, evaluate, and for curves masked evaluation) become the plans ([`engine::Plan`]) of one [`engine::Program`],
//! which [`Device::load`] turns into an [`engine::Session`]. From then on a step is one [`engine::Session::run`] over buffers
//! that exist already, with nothing but a small [`engine::Step`] that changes; results stay on the engine for many steps.
//! (The crate's [`Plan`] is the user's: what to train. [`engine::Plan`] is the machine's: which kernels to run.)
//!
//! An explanation goes like this: [`specxai::explain`] → a [`specxai::LocalOperator`] records the forward pass in
//! [`network::record::Mode::Explain`], the slopes and intercepts of every node, and the products it was asked for
//! ([`network::local`]: cotangents down the graph, tangents up); the small decompositions are made on the host, and every sum is
//! checked against the network's own output.
//!
//! A batch has the shape `[replica, sample, seed, …]`: replicas are independent networks with seeds and penalties of their own. The
//! CPU engine gives each thread whole replicas, or shares a kernel's rows where there are too few; the GPU has the replica as
//! a grid dimension. Padding columns are zero and rows beyond the batch are never read ([`engine::View`], [`engine::Step`]).
//!
//! Seeds are the rows of a Jacobian (1 in training); what a forward pass saved broadcasts over them.
//!
//! *A new node type* is one file in `network` (implement `NodeType`), a variant of [`network::Layer`] with its line in
//! `Layer::node_type`, and its gradient check in `tests/gradients.rs`. *A new kernel* is a struct in `kernels` (add it to
//! `ops!`), a twin, a shader of the same name (add it to `SHADERS` in `engine/dispatch.rs`), and its comparison in `tests/gpu.rs`.

pub mod cli;
pub mod data;
pub mod engine;
pub mod error;

pub mod kernels;
pub mod model;
pub mod model_file;
pub mod network;
pub mod random;
pub mod relevance;
pub mod report;
pub mod reproduce;
pub mod selection;
pub mod specxai;
pub mod train;
pub mod write;

pub use engine::Device;
pub use error::{Error, Result};
pub use model::{Fit, Model, Plan};
