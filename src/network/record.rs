//! Records a network's forward and backward pass as operations.

use std::collections::HashMap;

use super::sparse_matrix::SparseMatrix;
use super::{Layer, Layout, Network, Node, NodeId, Role};
use crate::kernels::{Activation, Add, Apply, Function, Op, Program, SETTINGS_LEN, Slope, SlopeRule, Sparse};
use crate::program::{Buffer, Content, Element, Elements, Scope, View};

/// Whether batch norm and dropout behave as in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Train,
    Evaluate,
    /// As in evaluation; every node's output is kept.
    Explain,
}

/// The buffers that the passes over one network share: parameters, and what they keep in between.
pub struct Workspace {
    pub program: Program,
    pub layout: Layout,
    pub parameters: Buffer,
    /// Of the trained parameters; only where something trains.
    pub gradient: Option<Buffer>,
    pub statistics: Buffer,
    pub settings: Buffer,
    /// Largest batch.
    pub batch: usize,
    /// Largest number of cotangents or tangents a sample.
    pub seeds: usize,
    matrices: HashMap<(NodeId, String), View>,
    constants: HashMap<(NodeId, &'static str), (Buffer, Option<Buffer>)>,
}

impl Workspace {
    /// For training and evaluation.
    pub fn new(network: &Network, replicas: usize, batch: usize) -> Self {
        let mut workspace = Workspace::frozen(network, replicas, batch, 1);
        let len = workspace.layout.trained_end;
        workspace.program.buffers.specs[workspace.parameters.0 as usize].lent = false;
        workspace.gradient = Some(workspace.program.buffers.buffer("gradient", len, Scope::Replica, Element::Float));
        workspace
    }

    /// Without gradients of the parameters, which are lent ([`super::Parameters::lend`]), for up to `seeds` cotangents or tangents a sample.
    pub fn frozen(network: &Network, replicas: usize, batch: usize, seeds: usize) -> Self {
        let mut program = Program::new(replicas);
        let layout = Layout::new(network);
        let mut floats = |label: &str, len| program.buffers.buffer(label, len, Scope::Replica, Element::Float);
        let parameters = floats("parameters", layout.parameters);
        let statistics = floats("statistics", layout.statistics);
        program.buffers.specs[parameters.0 as usize].lent = true;
        let settings = program.buffers.buffer("settings", SETTINGS_LEN, Scope::Replica, Element::Word);
        let (gradient, matrices, constants) = (None, HashMap::new(), HashMap::new());
        Workspace { program, layout, parameters, gradient, statistics, settings, batch, seeds, matrices, constants }
    }

    /// Elements of all but what the network has: as matrices share memory, and if none did.
    pub fn elements(&self) -> Elements {
        let of_network = [self.parameters, self.statistics];
        self.program.buffers.elements(|buffer| !of_network.contains(&buffer))
    }

    /// The first `seeds` rows a sample of a matrix of a node, made on first use with room for the most seeds.
    pub(super) fn seeded(&mut self, node: &str, id: NodeId, what: &str, cols: usize, seeds: usize) -> View {
        let most = if seeds == 1 { 1 } else { self.seeds };
        let what = if seeds == 1 { format!("{what} (one)") } else { what.to_owned() };
        View { rows: self.batch * seeds, ..self.matrix(node, id, &what, self.batch * most, cols) }
    }

    /// The matrix that [`Recorder::batched`] makes.
    pub(super) fn batched(&mut self, node: &str, id: NodeId, what: &str, cols: usize) -> View {
        self.matrix(node, id, what, self.batch, cols)
    }

    pub(super) fn parameter(&self, id: NodeId, name: &str) -> View {
        let tensor = self.layout.find(id, name).expect("invariant: a node asks for tensors that it declared");
        let buffer = if tensor.role == Role::Statistic { self.statistics } else { self.parameters };
        View { buffer, offset: tensor.offset, rows: tensor.rows, cols: tensor.cols, ld: tensor.ld }
    }

    /// The indices and the weights of a fixed sparse matrix of a node, made on first use.
    pub(super) fn sparse(
        &mut self,
        node: &str,
        id: NodeId,
        what: &'static str,
        matrix: impl FnOnce() -> SparseMatrix,
    ) -> (Buffer, Option<Buffer>) {
        let Workspace { constants, program, .. } = self;
        *constants.entry((id, what)).or_insert_with(|| {
            let (index, weights) = matrix().into_parts();
            let index = program.buffers.constant(format!("{node} {what}"), Content::Words(index));
            let weights =
                weights.map(|w| program.buffers.constant(format!("{node} {what} weights"), Content::Floats(w)));
            (index, weights)
        })
    }

    /// A matrix that belongs to a node, made on first use; a temporary one ([`Buffers::temporary`](crate::program::Buffers::temporary)).
    fn matrix(&mut self, node: &str, id: NodeId, what: &str, rows: usize, cols: usize) -> View {
        let Workspace { matrices, program, .. } = self;
        *matrices
            .entry((id, what.to_owned()))
            .or_insert_with(|| program.buffers.temporary(format!("{node} {what}"), rows, cols))
    }
}

/// Builds the list of operations of one pass (or a forward and a backward pass) in one mode.
pub struct Recorder<'a> {
    network: &'a Network,
    workspace: &'a mut Workspace,
    mode: Mode,
    consumers: Vec<Vec<NodeId>>,
    outputs: Vec<Option<View>>,
    gradients: Vec<Vec<View>>,
    /// Nodes whose gradient something uses: a trained parameter there or below, or whoever asked for that of the input.
    wanted: Vec<bool>,
    ops: Vec<Op>,
}

impl<'a> Recorder<'a> {
    /// Starts with the network's input in `x: [batch, N]`. With `input_gradient` backward goes down to the input.
    pub fn new(network: &'a Network, workspace: &'a mut Workspace, mode: Mode, x: View, input_gradient: bool) -> Self {
        let mut outputs = vec![None; network.nodes.len()];
        outputs[0] = Some(x);
        let mut wanted = vec![input_gradient; network.nodes.len()];
        for (id, node) in network.nodes.iter().enumerate() {
            let trains = workspace.layout.of(id).iter().any(|tensor| tensor.trained);
            wanted[id] |= trains || node.inputs.iter().any(|&input| wanted[input]);
        }
        Recorder {
            consumers: network.consumers(),
            gradients: vec![Vec::new(); network.nodes.len()],
            network,
            workspace,
            mode,
            outputs,
            wanted,
            ops: Vec::new(),
        }
    }

    /// Records every node's forward pass and returns the network's output.
    pub fn forward(&mut self) -> View {
        let network = self.network;
        for (id, node) in network.nodes.iter().enumerate() {
            if let Some(node_type) = node.layer.node_type() {
                node_type.forward(id, node, self);
            }
        }
        self.output(network.nodes.len() - 1)
    }

    /// Records every node's backward pass, given the gradient of the network's output.
    pub fn backward(&mut self, gradient: View) {
        let network = self.network;
        self.gradients[network.nodes.len() - 1].push(gradient);
        for (id, node) in network.nodes.iter().enumerate().rev() {
            if let Some(node_type) = node.layer.node_type() {
                node_type.backward(id, node, self);
            }
        }
    }

    /// The gradient that arrived at a node (the input's, after `backward`), summed over its consumers.
    pub fn gradient(&mut self, id: NodeId) -> Option<View> {
        let views = std::mem::take(&mut self.gradients[id]);
        let (&first, rest) = views.split_first()?;
        let mut sum = first;
        for (i, &b) in rest.iter().enumerate() {
            let out = self.scratch(id, &format!("gradient sum {i}"), self.workspace.batch, first.cols);
            self.op(Add { a: sum, b, out, seeds: 1 });
            sum = out;
        }
        self.gradients[id] = vec![sum];
        Some(sum)
    }

    pub fn finish(self) -> Vec<Op> {
        self.ops
    }

    pub(crate) fn op(&mut self, op: impl Into<Op>) {
        self.ops.push(op.into());
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    pub(crate) fn settings(&self) -> Buffer {
        self.workspace.settings
    }

    pub(crate) fn has_output(&self, id: NodeId) -> bool {
        self.outputs[id].is_some()
    }

    pub(crate) fn output(&self, id: NodeId) -> View {
        self.outputs[id].expect("invariant: nodes are recorded in topological order")
    }

    /// The shape of one sample of a node's output.
    pub(crate) fn shape(&self, id: NodeId) -> &'a [usize] {
        &self.network.nodes[id].shape
    }

    /// Where a product's output goes, where z before an activation is kept, and that activation: one that alone reads this node
    /// runs in the product's epilogue.
    pub(crate) fn fused_output(&mut self, id: NodeId) -> (View, Option<View>, Activation) {
        let fused = self.sole_consumer(id).and_then(|(consumer, node)| match &node.layer {
            Layer::Activation(layer) => Some((consumer, layer.activation)),
            _ => None,
        });
        let explains = self.mode == Mode::Explain;
        let z_is_kept = explains || fused.is_none_or(|(_, activation)| activation.slope_needs_input());
        let z = z_is_kept.then(|| self.allocate(id));
        match fused {
            Some((consumer, activation)) => (self.allocate(consumer), z, activation),
            None => (z.expect("kept when nothing is fused"), None, Activation::Identity),
        }
    }

    /// See [`Workspace::sparse`].
    pub(crate) fn sparse(
        &mut self,
        id: NodeId,
        what: &'static str,
        matrix: impl FnOnce() -> SparseMatrix,
    ) -> (Buffer, Option<Buffer>) {
        self.workspace.sparse(&self.network.nodes[id].name, id, what, matrix)
    }

    /// Every element of a row of parameters `times` times in a row, the same for each sample: `[batch, times·cols]`.
    pub(crate) fn spread(&mut self, id: NodeId, what: &'static str, row: View, times: usize) -> View {
        let out = self.batched(id, what, row.cols * times);
        let (index, weights) =
            self.sparse(id, "spread", || SparseMatrix::moves(row.cols, (0..out.cols).map(|j| Some(j / times))));
        // Rows that are no distance apart are one row.
        self.op(Sparse { x: View { ld: 0, ..row }, out, index, weights, seeds: 1 });
        out
    }

    /// The intercept of a node whose slopes make `product` of its input: `out − S·in`.
    pub(crate) fn rest(&mut self, id: NodeId, product: View) -> View {
        let (a, out) = (self.output(id), self.batched(id, "intercept", product.cols));
        let b = self.batched(id, "slope times input, negative", product.cols);
        let (function, minus) = (Function::Affine, -1.0);
        self.op(Apply { function, a: minus, b: 0.0, x: product, y: b, slope: None, intercept: None });
        self.op(Add { a, b, out, seeds: 1 });
        out
    }

    /// Makes (or finds) the matrix of a node's output.
    pub(crate) fn allocate(&mut self, id: NodeId) -> View {
        let view = self.part_of_concatenation(id).unwrap_or_else(|| self.whole_output(id));
        self.outputs[id] = Some(view);
        view
    }

    fn whole_output(&mut self, id: NodeId) -> View {
        self.scratch(id, "output", self.workspace.batch, self.network.nodes[id].width())
    }

    /// Where a concatenation keeps the output of a node that it alone reads, so that nothing is copied: in evaluation, if all nodes that it
    /// reads can write there.
    fn part_of_concatenation(&mut self, id: NodeId) -> Option<View> {
        let (concat, node) = self.sole_consumer(id).filter(|_| self.mode == Mode::Evaluate)?;
        if !matches!(node.layer, Layer::Concat(_)) || !node.inputs.iter().all(|&input| self.writes_parts(input)) {
            return None;
        }
        let widths =
            node.inputs.iter().take_while(|&&input| input != id).map(|&input| self.network.nodes[input].width());
        let (first, joined) = (widths.sum::<usize>(), self.whole_output(concat));
        Some(View { offset: joined.offset + first, cols: self.network.nodes[id].width(), ..joined })
    }

    /// Whether a node's output may be some columns of a matrix: of convolutions, and of activations in their epilogues; in whole vec4s.
    fn writes_parts(&self, id: NodeId) -> bool {
        let convolves = |id: NodeId| matches!(self.network.nodes[id].layer, Layer::Convolution(_));
        let node = &self.network.nodes[id];
        let written = match node.layer {
            Layer::Activation(_) => convolves(node.inputs[0]) && self.consumers[node.inputs[0]].len() == 1,
            _ => convolves(id),
        };
        written && self.consumers[id].len() == 1 && node.width().is_multiple_of(4)
    }

    /// Declares that a node's output is another node's, unchanged.
    pub(crate) fn alias(&mut self, id: NodeId, view: View) {
        self.outputs[id] = Some(view);
    }

    /// A matrix of a node's own, the same one in every pass.
    pub(crate) fn scratch(&mut self, id: NodeId, what: &str, rows: usize, cols: usize) -> View {
        self.workspace.matrix(&self.network.nodes[id].name, id, what, rows, cols)
    }

    /// A matrix of a node's own with one row for each sample of the batch.
    pub(crate) fn batched(&mut self, id: NodeId, what: &str, cols: usize) -> View {
        self.scratch(id, what, self.workspace.batch, cols)
    }

    /// The node that alone reads this one's output.
    pub(crate) fn sole_consumer(&self, id: NodeId) -> Option<(NodeId, &'a Node)> {
        let &[consumer] = &self.consumers[id][..] else { return None };
        Some((consumer, &self.network.nodes[consumer]))
    }

    pub(crate) fn parameter(&self, id: NodeId, name: &str) -> View {
        self.workspace.parameter(id, name)
    }

    /// Where a trained parameter's gradient goes; `None` for a frozen one.
    pub(crate) fn parameter_gradient(&self, id: NodeId, name: &str) -> Option<View> {
        let trained = self.workspace.layout.find(id, name).is_some_and(|tensor| tensor.trained);
        let buffer = self.workspace.gradient.filter(|_| trained)?;
        Some(View { buffer, ..self.parameter(id, name) })
    }

    /// The slope of an activation node, read from what forward kept.
    pub(crate) fn slope(&self, id: NodeId, activation: Activation) -> Slope {
        let source = if activation.slope_needs_input() { self.network.nodes[id].inputs[0] } else { id };
        Slope { rule: SlopeRule::Of(activation), saved: self.output(source), seeds: 1 }
    }

    /// Records the operation that computes the gradient of `input`, into a matrix chosen here.
    ///
    /// Where `input` is an activation that only this node reads, and this node can multiply by a slope, the gradient
    /// goes straight through to the activation's own input.
    pub(crate) fn deliver(&mut self, from: NodeId, input: NodeId, op: impl FnOnce(View, Option<Slope>) -> Op) {
        let nodes = &self.network.nodes;
        let fuses = nodes[from].layer.node_type().is_some_and(|t| t.fuses_slope());
        let (target, slope) = match &nodes[input].layer {
            Layer::Activation(layer) if fuses && self.consumers[input].len() == 1 => {
                (nodes[input].inputs[0], Some(self.slope(input, layer.activation)))
            }
            _ => (input, None),
        };
        if !self.wanted[target] {
            return;
        }
        let what = format!("gradient from {}", nodes[from].name);
        let out = self.scratch(target, &what, self.workspace.batch, nodes[target].width());
        let op = op(out, slope);
        self.op(op);
        self.gradients[target].push(out);
    }

    /// Delivers a gradient that is equal to this node's own.
    pub(crate) fn deliver_unchanged(&mut self, input: NodeId, gradient: View) {
        if self.wanted[input] {
            self.gradients[input].push(gradient);
        }
    }
}
