//! What computing on the processor takes: numbers, threads, vectors, and the matrix product. The kernels' twins are made of it,
//! and whatever else computes on the host.

mod denormals;
mod eigen;
mod half;
mod logits;
mod memory;
mod product;
mod quiet;
mod real;
mod rows;
mod team;

pub use denormals::FlushToZero;
pub(crate) use eigen::symmetric_eigen;
pub use half::f16;
pub use logits::{argmax, log_probability, log_softmax, softmax};
pub(crate) use memory::refuse_beyond_memory;
pub use product::{Operand, add_product, product};
pub(crate) use quiet::quietly;
pub use real::Real;
pub use rows::{column_sums, for_rows, for_tasks, for_tasks_in, split_rows, vectorised, widest};
pub use team::{Disjoint, Team, threads};
