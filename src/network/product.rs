//! Products of two nodes, elementwise: gates, as in squeeze-and-excitation or x·sigmoid(x).

use serde::{Deserialize, Serialize};

use super::local::{Affine, Cotangent, SlopeForm, Sweep};
use super::record::Recorder;
use super::{Layer, Node, NodeId, NodeType};
use crate::kernels::{ActivateBackward, Add, Apply, Function, Slope, SlopeRule};
use crate::program::View;

/// `y = a∘g`, of equal shapes. At the input x̃ its slopes are (g, a) and its intercept −a∘g.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductNode {}

impl From<ProductNode> for Layer {
    fn from(layer: ProductNode) -> Layer {
        Layer::Product(layer)
    }
}

/// `x∘saved`, a row of `saved` for so many of x.
fn times(x: View, saved: View, seeds: usize, out: View) -> ActivateBackward {
    ActivateBackward { dy: x, dx: out, slope: Slope { rule: SlopeRule::Given, saved, seeds } }
}

impl NodeType for ProductNode {
    fn kind(&self) -> &'static str {
        "product"
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        match inputs {
            [a, b] if a == b => Ok(a.to_vec()),
            [a, b] => Err(format!("it multiplies samples of the shapes {a:?} and {b:?}; they must be equal")),
            _ => Err(format!("it reads two nodes, not {}", inputs.len())),
        }
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let (a, b) = (record.output(node.inputs[0]), record.output(node.inputs[1]));
        let out = record.allocate(id);
        if a.buffer == b.buffer {
            // A square: no buffer may be read twice by one kernel.
            let copy = record.batched(id, "copy", a.cols);
            record.op(Apply {
                function: Function::Affine,
                a: 1.0,
                b: 0.0,
                x: a,
                y: copy,
                slope: None,
                intercept: None,
            });
            record.op(times(copy, b, 1, out));
            return;
        }
        record.op(times(a, b, 1, out));
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(dy) = record.gradient(id) else { return };
        for (place, &input) in node.inputs.iter().enumerate() {
            let other = record.output(node.inputs[1 - place]);
            let out = record.batched(id, &format!("gradient of input {place}"), dy.cols);
            record.op(times(dy, other, 1, out));
            record.deliver_unchanged(input, out);
        }
    }

    fn linearise(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>, _: SlopeForm) -> Affine {
        let (x, q) = (record.output(id), record.batched(id, "intercept", node.width()));
        record.op(Apply { function: Function::Affine, a: -1.0, b: 0.0, x, y: q, slope: None, intercept: None });
        let factors = Some([record.output(node.inputs[1]), record.output(node.inputs[0])]);
        Affine { intercept: Some(q), factors, ..Affine::default() }
    }

    fn vjp(&self, id: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        let (dy, seeds, factors) = (sweep.matrix(id, cotangent), sweep.seeds, sweep.factors(id));
        for (place, &input) in node.inputs.iter().enumerate() {
            let out = sweep.seeded(input, &format!("cotangent from {} {place}", node.name));
            sweep.op(times(dy, factors[place], seeds, out));
            sweep.deliver(input, Cotangent::Matrix(out));
        }
    }

    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View {
        let (seeds, factors) = (sweep.seeds, sweep.factors(id));
        let parts = [0, 1].map(|place| {
            let part = sweep.seeded(id, &format!("tangent by input {place}"));
            sweep.op(times(tangents[place], factors[place], seeds, part));
            part
        });
        let out = sweep.seeded(id, "tangent");
        sweep.op(Add { a: parts[0], b: parts[1], out, seeds });
        out
    }
}
