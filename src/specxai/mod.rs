//! Why this output? Exact spectral explanations of a trained network (SpecXAI, Druc et al.; method.md section 3).
mod decomposition;
mod explain;
mod operator;
mod surgery;
mod topk;

pub use decomposition::{CLUSTER_GAP, Contribution, Triplets, clusters, decompose, rank_threshold};
pub use explain::{ExplainSettings, Explained, Explanation, InterceptTerm, MatrixFree, Output, explain};
pub use operator::{Blocks, LocalOperator, Product, cuts, is_cut, split_node};
pub use surgery::{Reduction, reduce, reduce_clusters, shares};
pub use topk::{Apply, top_triplets};
