//! Normalisation inside samples: softmax, its logarithm, layer, instance and group normalisation.

use serde::{Deserialize, Serialize};

use super::local::{Affine, Cotangent, SlopeForm, Sweep};
use super::record::Recorder;
use super::{Layer, Node, NodeId, NodeType};
use crate::kernels::{Normalisation, Normalise, Way};
use crate::program::View;

/// Normalises the elements along the axes `first` to `last` (without that one) of a sample together. Its slopes are the tangents.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NormaliseNode {
    pub kind: Normalisation,
    pub first: usize,
    pub last: usize,
    /// Of `Standard`.
    pub epsilon: f32,
}

impl From<NormaliseNode> for Layer {
    fn from(layer: NormaliseNode) -> Layer {
        Layer::Normalise(layer)
    }
}

const SCALE: &str = "inverse deviation";

impl NormaliseNode {
    /// Elements of a group, and how far apart they lie.
    fn group(&self, shape: &[usize]) -> (usize, usize) {
        (shape[self.first..self.last].iter().product(), shape[self.last..].iter().product())
    }

    fn op(
        &self,
        shape: &[usize],
        way: Way,
        x: View,
        (y, scale): (View, Option<View>),
        out: View,
        seeds: usize,
    ) -> Normalise {
        let (len, inner) = self.group(shape);
        Normalise { kind: self.kind, way, x, y, scale, out, len, inner, epsilon: self.epsilon, seeds }
    }

    /// Of every group.
    fn groups(&self, shape: &[usize]) -> Option<usize> {
        let all: usize = shape.iter().product();
        (self.kind == Normalisation::Standard).then(|| all / self.group(shape).0)
    }

    /// What the forward pass made.
    fn made(&self, id: NodeId, record: &mut Recorder<'_>) -> (View, Option<View>) {
        let scale = self.groups(record.shape(id)).map(|groups| record.batched(id, SCALE, groups));
        (record.output(id), scale)
    }

    /// The same, for products.
    fn kept(&self, id: NodeId, sweep: &mut Sweep<'_>) -> (View, Option<View>) {
        let scale = self.groups(sweep.shape(id)).map(|groups| sweep.single_width(id, SCALE, groups));
        (sweep.single(id, "output"), scale)
    }
}

impl NodeType for NormaliseNode {
    fn kind(&self) -> &'static str {
        match self.kind {
            Normalisation::Softmax => "softmax",
            Normalisation::LogSoftmax => "log_softmax",
            Normalisation::Standard => "normalise",
        }
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        let [input] = inputs else { return Err(format!("it reads one node, not {}", inputs.len())) };
        if self.first >= self.last || self.last > input.len() || input.contains(&0) {
            let NormaliseNode { first, last, .. } = self;
            return Err(format!("it normalises the axes {first} to {last} of samples of the shape {input:?}"));
        }
        Ok(input.to_vec())
    }

    fn forward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let (x, out) = (record.output(node.inputs[0]), record.allocate(id));
        let made = self.made(id, record);
        record.op(self.op(&node.shape, Way::Forward, x, made, out, 1));
    }

    fn backward(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>) {
        let Some(dy) = record.gradient(id) else { return };
        let made = self.made(id, record);
        record.deliver(id, node.inputs[0], |dx, _| self.op(&node.shape, Way::Pull, dy, made, dx, 1).into());
    }

    fn linearise(&self, id: NodeId, node: &Node, record: &mut Recorder<'_>, _: SlopeForm) -> Affine {
        let (x, made) = (record.output(node.inputs[0]), self.made(id, record));
        let product = record.batched(id, "slope times input", node.width());
        record.op(self.op(&node.shape, Way::Push, x, made, product, 1));
        Affine { intercept: Some(record.rest(id, product)), ..Affine::default() }
    }

    fn vjp(&self, id: NodeId, node: &Node, cotangent: Cotangent, sweep: &mut Sweep<'_>) {
        let (x, seeds, kept) = (sweep.matrix(id, cotangent), sweep.seeds, self.kept(id, sweep));
        let out = sweep.seeded(node.inputs[0], &format!("cotangent from {}", node.name));
        sweep.op(self.op(&node.shape, Way::Pull, x, kept, out, seeds));
        sweep.deliver(node.inputs[0], Cotangent::Matrix(out));
    }

    fn jvp(&self, id: NodeId, tangents: &[View], sweep: &mut Sweep<'_>) -> View {
        let (out, seeds, kept) = (sweep.seeded(id, "tangent"), sweep.seeds, self.kept(id, sweep));
        sweep.op(self.op(sweep.shape(id), Way::Push, tangents[0], kept, out, seeds));
        out
    }
}
