//! Why this output? Exact spectral explanations of a trained network (SpecXAI, Druc et al.; method.md section 3).
//!
//! At one input a network is an affine map, `y = J x̃ + Σβ`. Split J at a node, `J = L R` (plus a bypass where paths go
//! around it), take the singular value decomposition of R, and the output is a sum of contributions α_k, each with a map A_k
//! over the inputs that adds up to it. Every [`Explanation`] carries the residual of that sum.
//!
//! ```
//! use eigenlens::{Device, Plan, data::synthetic, specxai::{ExplainSettings, explain, split_node}};
//!
//! let mut gaussian = synthetic::gaussian(1, 2_000);
//! let mut plan = Plan::default();
//! plan.settings.epochs = 3;
//! let device = Device::Cpu { threads: 0 };
//! let model = plan.fit(&mut gaussian.dataset, &device)?.model;
//! let split = split_node(&model.network, "activation1")?;
//! let inputs = [0.5; 20];
//! let explained = explain(&model.network, &model.parameters[0], &inputs, &ExplainSettings::at(&[split]), &device)?;
//! let why = &explained.explanations[0];
//! let sum = why.alpha_sum() + why.remainder + why.bypass + why.beta_sum();
//! assert!((why.y - sum).abs() < 1e-4 * why.y.abs().max(1.0));
//! # Ok::<(), eigenlens::Error>(())
//! ```

mod across;
mod complete;
mod contraction;
mod contributions;
mod cuts;
mod decomposition;
mod explain;
mod explanation;
mod features;
mod form;
mod found;
mod kept;
mod krylov;
mod matrix_free;
mod middle;
mod operator;
mod output;
mod receipt;
mod regions;
mod settings;
mod surgery;
mod topk;
mod watch;

pub use across::{Spectrum, rank_correlation, similarity, top_vector};
pub use contraction::{averaged, axis, contract, symbolic};
pub use cuts::{are_cuts, cuts, is_cut, last_spatial_cut, passing_cuts, split_node};
pub use decomposition::{CLUSTER_GAP, Contribution, Triplets, clusters, decompose, rank_threshold};
pub use explain::{Explained, explain, explain_each, explain_planned};
pub use explanation::{Explanation, InterceptTerm};
pub use features::{FeatureParts, by_feature, leading};
pub use form::{Estimate, SplitPlan, plan};
pub use krylov::Apply;
pub use matrix_free::MatrixFree;
pub use operator::{Blocks, LocalOperator, Product};
pub use output::Output;
pub use receipt::tolerance;
pub use settings::{ExplainSettings, Form};
pub use surgery::{Reduction, reduce, reduce_clusters, shares};
pub use topk::top_triplets;
pub use watch::{Watch, Work};
