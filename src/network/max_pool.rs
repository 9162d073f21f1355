//! Max-pooling.

use serde::{Deserialize, Serialize};

use super::local::{Cotangent, Sweep};
use super::record::{Mode, Recorder};
use super::sliding::{Sliding, channels_and_space, shape_behind};
use super::{Layer, Node, NodeId, NodeType};
use crate::kernels::MaxPool;
use crate::kernels::max_pool::Direction;
use crate::program::View;

/// `y[c, p] = max_κ x[c, seen(p, κ)]`; the slope is 1 at the first of equal maxima, and 0 elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxPoolNode {
    pub sliding: Sliding,
}

impl From<MaxPoolNode> for Layer {
    fn from(layer: MaxPoolNode) -> Layer {
        Layer::MaxPool(layer)
    }
}

/// Elements that all windows of a sample look at.
const MOST_LOOKS: usize = 1 << 34;

const WINNER: &str = "winner";

impl MaxPoolNode {
    fn pool(
        &self,
        input: &[usize],
        direction: Direction,
        x: View,
        out: View,
        winner: Option<View>,
        seeds: usize,
    ) -> MaxPool {
        let window = self.sliding.window(&input[1..]).expect("invariant: shapes were checked when the node was added");
        MaxPool { direction, x, out, winner, window, seeds }
    }
}

impl NodeType for MaxPoolNode {
    fn kind(&self) -> &'static str {
        "max_pool"
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        let (channels, spatial) = channels_and_space(inputs)?;
        let window = self.sliding.window(spatial)?;
        for axis in 0..window.output.len() {
            // Every window sees an element: it is no more than padding otherwise.
            let first = (0..window.kernel[axis]).any(|k| window.source(axis, 0, k).is_some());
            let last = (0..window.kernel[axis]).any(|k| window.source(axis, window.output[axis] - 1, k).is_some());
            if !(first && last) {
                return Err("a window of it sees nothing but padding".into());
            }
        }
        let looks = channels.saturating_mul(window.outputs()).saturating_mul(window.taps());
        if looks > MOST_LOOKS {
            return Err(format!("its windows would look at {looks} elements; {MOST_LOOKS} are supported"));
        }
        Ok(shape_behind(channels, &window, spatial.len()))
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let (x, out) = (record.output(node.inputs[0]), record.allocate(id));
        // Nothing asks for it after an evaluation.
        let winner = (record.mode() != Mode::Evaluate).then(|| record.batched(id, WINNER, out.cols));
        record.op(self.pool(record.shape(node.inputs[0]), Direction::Forward, x, out, winner, 1));
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(dy) = record.gradient(id) else { return };
        let winner = record.batched(id, WINNER, dy.cols);
        let shape = record.shape(node.inputs[0]);
        record.deliver(id, node.inputs[0], |dx, _| self.pool(shape, Direction::Pull, dy, dx, Some(winner), 1).into());
    }

    fn vjp(&self, id: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        let (x, seeds) = (sweep.matrix(id, cotangent), sweep.seeds);
        let input = node.inputs[0];
        let winner = sweep.single(id, WINNER);
        let out = sweep.seeded(input, &format!("cotangent from {}", node.name));
        sweep.op(self.pool(sweep.shape(input), Direction::Pull, x, out, Some(winner), seeds));
        sweep.deliver(input, Cotangent::Matrix(out));
    }

    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View {
        let (out, seeds) = (sweep.seeded(id, "tangent"), sweep.seeds);
        let winner = sweep.single(id, WINNER);
        sweep.op(self.pool(sweep.shape(sweep.input(id)), Direction::Push, tangents[0], out, Some(winner), seeds));
        out
    }
}
