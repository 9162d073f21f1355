//! Products of two nodes as matrices, as in attention.

use serde::{Deserialize, Serialize};

use super::local::{Affine, Cotangent, SlopeForm, Sweep};
use super::record::Recorder;
use super::{Layer, Node, NodeId, NodeType};
use crate::kernels::{Add, Apply, BatchProduct, Factor, Function};
use crate::program::View;

/// `y = A·B` along the last two axes of samples `[…, M, K]` and `[…, K, N]`. At the input x̃ its slopes are those of `Ȧ·B + A·Ḃ`, and
/// its intercept is −A·B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatMulNode {}

impl From<MatMulNode> for Layer {
    fn from(layer: MatMulNode) -> Layer {
        Layer::MatMul(layer)
    }
}

/// Multiply-adds of a sample.
const MOST_PRODUCTS: usize = 1 << 40;

/// Matrices side by side, and `[M, N, K]`; `None`: they don't fit.
fn sizes(a: &[usize], b: &[usize]) -> Option<(usize, [usize; 3])> {
    let ([heads @ .., m, k], [other @ .., depth, n]) = (a, b) else { return None };
    (heads == other && k == depth && a.iter().chain(b).all(|&size| size > 0))
        .then(|| (heads.iter().product(), [*m, *n, *k]))
}

fn factor(view: View, transposed: bool, share: usize) -> Factor {
    Factor { view, transposed, share }
}

/// The products that pull cotangents dY to the two inputs, `dY·Bᵀ` and `Aᵀ·dY`.
fn pulled(
    (heads, [m, n, k]): (usize, [usize; 3]),
    [a, b]: [View; 2],
    dy: View,
    outs: [View; 2],
    seeds: usize,
) -> [BatchProduct; 2] {
    [
        BatchProduct {
            a: factor(dy, false, 1),
            b: factor(b, true, seeds),
            out: outs[0],
            heads,
            shape: [m, k, n],
            seeds,
        },
        BatchProduct {
            a: factor(a, true, seeds),
            b: factor(dy, false, 1),
            out: outs[1],
            heads,
            shape: [k, n, m],
            seeds,
        },
    ]
}

impl MatMulNode {
    /// The two inputs; of one node that is both, a copy, since a kernel reads a buffer once.
    fn operands(self, id: NodeId, node: &Node, record: &mut Recorder<'_>) -> [View; 2] {
        let [a, b] = [record.output(node.inputs[0]), record.output(node.inputs[1])];
        let b = if a.buffer == b.buffer { record.batched(id, "copy", b.cols) } else { b };
        [a, b]
    }

    fn sizes(self, node: &Node, shape: impl Fn(NodeId) -> Vec<usize>) -> (usize, [usize; 3]) {
        sizes(&shape(node.inputs[0]), &shape(node.inputs[1]))
            .expect("invariant: shapes were checked when the node was added")
    }
}

impl NodeType for MatMulNode {
    fn kind(&self) -> &'static str {
        "mat_mul"
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        let [a, b] = inputs else { return Err(format!("it reads two nodes, not {}", inputs.len())) };
        let Some((heads, [m, n, k])) = sizes(a, b) else {
            return Err(format!("it multiplies samples of the shapes {a:?} and {b:?}, which don't fit as matrices"));
        };
        if [heads, m, n, k].into_iter().fold(1usize, usize::saturating_mul) > MOST_PRODUCTS {
            return Err(format!("its products of {a:?} and {b:?} have more than {MOST_PRODUCTS} terms"));
        }
        let mut shape = a.to_vec();
        shape.pop();
        shape.push(n);
        Ok(shape)
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let (heads, shape) = self.sizes(node, |input| record.shape(input).to_vec());
        let ([a, b], out) = (self.operands(id, node, record), record.allocate(id));
        let x = record.output(node.inputs[1]);
        if x.buffer != b.buffer {
            let (function, one) = (Function::Affine, 1.0);
            record.op(Apply { function, a: one, b: 0.0, x, y: b, slope: None, intercept: None });
        }
        let (a, b) = (factor(a, false, 1), factor(b, false, 1));
        record.op(BatchProduct { a, b, out, heads, shape, seeds: 1 });
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(dy) = record.gradient(id) else { return };
        let sizes = self.sizes(node, |input| record.shape(input).to_vec());
        let factors = self.operands(id, node, record);
        let outs = [0, 1].map(|place| record.batched(id, &format!("gradient of input {place}"), factors[place].cols));
        for (product, &input) in pulled(sizes, factors, dy, outs, 1).into_iter().zip(&node.inputs) {
            let out = product.out;
            record.op(product);
            record.deliver_unchanged(input, out);
        }
    }

    fn linearise(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>, _: SlopeForm) -> Affine {
        let (x, q) = (record.output(id), record.batched(id, "intercept", node.width()));
        record.op(Apply { function: Function::Affine, a: -1.0, b: 0.0, x, y: q, slope: None, intercept: None });
        Affine { intercept: Some(q), factors: Some(self.operands(id, node, record)), ..Affine::default() }
    }

    fn vjp(&self, id: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        let (dy, seeds, factors) = (sweep.matrix(id, cotangent), sweep.seeds, sweep.factors(id));
        let sizes = self.sizes(node, |input| sweep.shape(input).to_vec());
        let outs =
            [0, 1].map(|place| sweep.seeded(node.inputs[place], &format!("cotangent from {} {place}", node.name)));
        for (product, &input) in pulled(sizes, factors, dy, outs, seeds).into_iter().zip(&node.inputs) {
            let out = product.out;
            sweep.op(product);
            sweep.deliver(input, Cotangent::Matrix(out));
        }
    }

    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View {
        let (seeds, [a, b]) = (sweep.seeds, sweep.factors(id));
        let (heads, shape) = self.sizes(sweep.node(id), |input| sweep.shape(input).to_vec());
        let parts = [0, 1].map(|place| sweep.seeded(id, &format!("tangent by input {place}")));
        let moved = [tangents[0], tangents[1]].map(|tangent| factor(tangent, false, 1));
        let kept = [a, b].map(|kept| factor(kept, false, seeds));
        sweep.op(BatchProduct { a: moved[0], b: kept[1], out: parts[0], heads, shape, seeds });
        sweep.op(BatchProduct { a: kept[0], b: moved[1], out: parts[1], heads, shape, seeds });
        let out = sweep.seeded(id, "tangent");
        sweep.op(Add { a: parts[0], b: parts[1], out, seeds });
        out
    }
}
