//! Nodes that move and sum a sample's elements in a fixed way: each is a sparse matrix, whatever the sample.

use super::local::{Cotangent, Sweep};
use super::record::Recorder;
use super::sparse_matrix::SparseMatrix;
use super::{Node, NodeId, NodeType};
use crate::kernels::Sparse;
use crate::program::View;

/// A node type that is one sparse matrix. Its intercept is zero.
pub(crate) trait Fixed {
    fn kind(&self) -> &'static str;

    /// As [`NodeType::output_shape`], of its one input.
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, String>;

    /// `[output, input]`, flattened.
    fn matrix(&self, input: &[usize]) -> SparseMatrix;
}

const MATRIX: &str = "matrix";
const TRANSPOSE: &str = "transpose";

impl<F: Fixed> NodeType for F {
    fn kind(&self) -> &'static str {
        Fixed::kind(self)
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        match inputs {
            [input] => Fixed::output_shape(self, input),
            _ => Err(format!("it reads one node, not {}", inputs.len())),
        }
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let input = node.inputs[0];
        let (x, out) = (record.output(input), record.allocate(id));
        let shape = record.shape(input);
        let (index, weights) = record.sparse(id, MATRIX, || self.matrix(shape));
        record.op(Sparse { x, out, index, weights, seeds: 1 });
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(x) = record.gradient(id) else { return };
        let input = node.inputs[0];
        let shape = record.shape(input);
        let (index, weights) = record.sparse(id, TRANSPOSE, || self.matrix(shape).transpose());
        record.deliver(id, input, |out, _| Sparse { x, out, index, weights, seeds: 1 }.into());
    }

    fn vjp(&self, id: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        let (x, seeds, input) = (sweep.matrix(id, cotangent), sweep.seeds, node.inputs[0]);
        let shape = sweep.shape(input);
        let (index, weights) = sweep.sparse(id, TRANSPOSE, || self.matrix(shape).transpose());
        let out = sweep.seeded(input, &format!("cotangent from {}", node.name));
        sweep.op(Sparse { x, out, index, weights, seeds });
        sweep.deliver(input, Cotangent::Matrix(out));
    }

    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View {
        let (out, seeds) = (sweep.seeded(id, "tangent"), sweep.seeds);
        let shape = sweep.shape(sweep.input(id));
        let (index, weights) = sweep.sparse(id, MATRIX, || self.matrix(shape));
        sweep.op(Sparse { x: tangents[0], out, index, weights, seeds });
        out
    }
}
