//! Records products with a network's local operators (SpecXAI; method.md section 3).
//!
//! At a batch of inputs every node has an affine form `out = S·in + q`. Forward in [`Mode::Explain`](super::record::Mode)
//! keeps what the slopes need, [`linearise`] writes slopes S and intercepts q, [`pull`] takes cotangents down the graph
//! (Rᵀu, and Jacobians row by row) and [`push`] takes tangents up (R v).

use super::record::{Recorder, Workspace};
use super::sparse_matrix::SparseMatrix;
use super::{Network, Node, NodeId};
use crate::kernels::{ActivateBackward, Add, Eigenvalues, Expand, Form, Gemm, Op, Slope, SlopeRule};
use crate::program::{Buffer, View};

/// A node's affine form at the batch of the last forward pass, as far as it takes memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Affine {
    /// `[batch, width]`: the diagonal of S, of an elementwise node.
    pub slope: Option<View>,
    /// q: `[batch, width]`, or `[1, width]` where all samples share it. `None` is zero.
    pub intercept: Option<View>,
    /// `[batch, width]` each: the slopes by the two inputs of a product.
    pub factors: Option<[View; 2]>,
}

/// Which slope a smooth activation gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlopeForm {
    /// σ'(z): the slope product is the gradient.
    #[default]
    Tangent,
    /// (σ(z) − σ(0))/z (SpecXAI, eq. 14).
    Secant,
}

/// Records slopes and intercepts of every node, after `recorder.forward()`.
pub fn linearise(network: &Network, recorder: &mut Recorder<'_>, form: SlopeForm) -> Vec<Affine> {
    let nodes = network.nodes.iter().enumerate();
    nodes
        .map(|(id, node)| match node.layer.node_type() {
            Some(node_type) => node_type.linearise(id, node, recorder, form),
            None => Affine::default(),
        })
        .collect()
}

/// What arrives at a node's output, `[batch, seeds, width]`.
#[derive(Debug, Clone, Copy)]
pub enum Cotangent {
    /// The identity: as many seeds as the node is wide.
    Identity,
    /// A diagonal matrix, as `[batch, width]`.
    Diagonal(View),
    /// `[batch·seeds, width]`.
    Matrix(View),
}

/// A walk over the graph that records operations.
pub(crate) struct Sweep<'a> {
    network: &'a Network,
    workspace: &'a mut Workspace,
    affine: &'a [Affine],
    /// Rows for each sample of every matrix.
    pub seeds: usize,
    arrived: Vec<Vec<Cotangent>>,
    consumers: Vec<Vec<NodeId>>,
    stop: Option<NodeId>,
    keep: bool,
    ops: Vec<Op>,
}

/// How cotangents go down.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pull {
    /// Seeds a sample.
    pub seeds: usize,
    /// A node whose output is held: nothing goes through it (a *bypass*).
    pub stop: Option<NodeId>,
    /// Leaves the cotangent of every node's output in memory.
    pub keep: bool,
    /// The node at whose output the pull ends, through which everything goes; 0: the input.
    pub until: NodeId,
}

/// Operations of a pull, and what arrived at each node's output (the input's is last).
pub struct Pulled {
    pub ops: Vec<Op>,
    pub at: Vec<Option<Cotangent>>,
}

impl Pulled {
    /// `[batch·seeds, N]`: the product with the Jacobian; `None` when no path leads to the input.
    pub fn input(&self) -> Option<View> {
        self.matrix(0)
    }

    /// What arrived at a node as a matrix.
    pub fn matrix(&self, id: NodeId) -> Option<View> {
        match self.at[id] {
            Some(Cotangent::Matrix(view)) => Some(view),
            _ => None,
        }
    }
}

/// Records the products of the cotangents `cotangent` at node `from` with the Jacobian of that node.
pub fn pull(
    network: &Network,
    workspace: &mut Workspace,
    affine: &[Affine],
    from: NodeId,
    cotangent: Cotangent,
    how: Pull,
) -> Pulled {
    let mut arrived = vec![Vec::new(); network.nodes.len()];
    arrived[from].push(cotangent);
    let (stop, keep, seeds) = (how.stop, how.keep, how.seeds);
    let consumers = network.consumers();
    let mut sweep = Sweep { network, workspace, affine, seeds, arrived, consumers, stop, keep, ops: vec![] };
    let mut at = vec![None; network.nodes.len()];
    for id in (how.until..=from).rev() {
        if stop == Some(id) {
            continue;
        }
        let Some(sum) = sweep.settle(id) else { continue };
        at[id] = Some(sum);
        if id == how.until {
            at[id] = Some(Cotangent::Matrix(sweep.matrix(id, sum)));
            break;
        }
        let node = &network.nodes[id];
        if let Some(node_type) = node.layer.node_type() {
            node_type.vjp(id, node, sum, &mut sweep);
        }
    }
    Pulled { ops: sweep.ops, at }
}

/// Records the products of `∂to/∂from` with the tangents `x: [batch·seeds, width]` of node `from` (0: the input). `None` when
/// no path leads from one to the other.
pub fn push(
    network: &Network,
    workspace: &mut Workspace,
    affine: &[Affine],
    (from, to): (NodeId, NodeId),
    x: View,
    seeds: usize,
) -> (Vec<Op>, Option<View>) {
    let arrived = vec![Vec::new(); network.nodes.len()];
    let consumers = network.consumers();
    let mut sweep =
        Sweep { network, workspace, affine, seeds, arrived, consumers, stop: None, keep: false, ops: vec![] };
    let mut tangents = vec![None; network.nodes.len()];
    tangents[from] = Some(x);
    for (id, node) in network.nodes.iter().enumerate().take(to + 1).skip(from + 1) {
        if node.inputs.iter().all(|&i| tangents[i].is_none()) {
            continue;
        }
        // What doesn't depend on `from` has the tangent zero: a matrix that nothing writes.
        let inputs: Vec<View> =
            node.inputs.iter().map(|&i| tangents[i].unwrap_or_else(|| sweep.seeded(i, "tangent of zero"))).collect();
        let node_type = node.layer.node_type().expect("invariant: only the first node is an input");
        tangents[id] = Some(node_type.jvp(id, &inputs, &mut sweep));
    }
    (sweep.ops, tangents[to])
}

impl<'a> Sweep<'a> {
    pub fn op(&mut self, op: impl Into<Op>) {
        self.ops.push(op.into());
    }

    pub fn width(&self, id: NodeId) -> usize {
        self.network.nodes[id].width()
    }

    /// The shape of one sample of a node's output.
    pub fn shape(&self, id: NodeId) -> &'a [usize] {
        &self.network.nodes[id].shape
    }

    pub fn node(&self, id: NodeId) -> &'a Node {
        &self.network.nodes[id]
    }

    /// The first node that a node reads.
    pub fn input(&self, id: NodeId) -> NodeId {
        self.network.nodes[id].inputs[0]
    }

    /// See [`Workspace::sparse`].
    pub fn sparse(
        &mut self,
        id: NodeId,
        what: &'static str,
        matrix: impl FnOnce() -> SparseMatrix,
    ) -> (Buffer, Option<Buffer>) {
        self.workspace.sparse(&self.network.nodes[id].name, id, what, matrix)
    }

    /// The slopes by the two inputs of a product.
    pub fn factors(&self, id: NodeId) -> [View; 2] {
        self.affine[id].factors.expect("invariant: a product has its slopes")
    }

    /// A matrix that the forward pass wrote, `[batch, width]`.
    pub fn single(&mut self, id: NodeId, what: &str) -> View {
        self.single_width(id, what, self.width(id))
    }

    /// The same with a width of its own.
    pub fn single_width(&mut self, id: NodeId, what: &str, width: usize) -> View {
        self.workspace.batched(&self.network.nodes[id].name, id, what, width)
    }

    /// A matrix of a node's own with `seeds` rows a sample.
    pub fn seeded(&mut self, id: NodeId, what: &str) -> View {
        self.seeded_width(id, what, self.width(id))
    }

    /// The same with a width of its own.
    pub fn seeded_width(&mut self, id: NodeId, what: &str, width: usize) -> View {
        self.workspace.seeded(&self.network.nodes[id].name, id, what, width, self.seeds)
    }

    pub fn parameter(&self, id: NodeId, name: &str) -> View {
        self.workspace.parameter(id, name)
    }

    /// Sends a cotangent to a node's output.
    pub fn deliver(&mut self, to: NodeId, cotangent: Cotangent) {
        self.arrived[to].push(cotangent);
    }

    /// The sum of what arrived at a node.
    fn settle(&mut self, id: NodeId) -> Option<Cotangent> {
        let arrived = std::mem::take(&mut self.arrived[id]);
        if let [] | [_] = arrived[..] {
            return arrived.first().copied();
        }
        let mut parts = arrived.into_iter().map(|cotangent| self.matrix(id, cotangent)).collect::<Vec<_>>();
        let mut sum = parts.remove(0);
        for (i, b) in parts.into_iter().enumerate() {
            let out = self.seeded(id, &format!("cotangent sum {i}"));
            let seeds = self.seeds;
            self.op(Add { a: sum, b, out, seeds });
            sum = out;
        }
        Some(Cotangent::Matrix(sum))
    }

    /// A cotangent written out as a matrix.
    pub fn matrix(&mut self, id: NodeId, cotangent: Cotangent) -> View {
        let left = match cotangent {
            Cotangent::Matrix(view) => return view,
            Cotangent::Diagonal(view) => Some(view),
            Cotangent::Identity => None,
        };
        let what = format!("cotangent written out {}", self.ops.len());
        let (out, seeds) = (self.seeded(id, &what), self.seeds);
        self.op(Expand { left, weight: None, eigenvalues: None, right: None, out, seeds });
        out
    }

    /// Through an elementwise node: times its slopes.
    pub fn diagonal_vjp(&mut self, id: NodeId, input: NodeId, cotangent: Cotangent) {
        let saved = self.affine[id].slope.expect("invariant: an elementwise node has its slopes");
        let what = format!("cotangent from {}", self.network.nodes[id].name);
        let delivered = match cotangent {
            Cotangent::Identity => Cotangent::Diagonal(saved),
            Cotangent::Diagonal(dy) => {
                let node = &self.network.nodes[input];
                let dx = self.workspace.seeded(&node.name, input, &format!("diagonal {what}"), node.width(), 1);
                self.op(ActivateBackward { dy, dx, slope: Slope { rule: SlopeRule::Given, saved, seeds: 1 } });
                Cotangent::Diagonal(dx)
            }
            Cotangent::Matrix(dy) => {
                let (dx, seeds) = (self.seeded(input, &what), self.seeds);
                self.op(ActivateBackward { dy, dx, slope: Slope { rule: SlopeRule::Given, saved, seeds } });
                Cotangent::Matrix(dx)
            }
        };
        self.deliver(input, delivered);
    }

    /// Through an elementwise node, upwards.
    pub fn diagonal_jvp(&mut self, id: NodeId, tangent: View) -> View {
        let saved = self.affine[id].slope.expect("invariant: an elementwise node has its slopes");
        let (out, seeds) = (self.seeded(id, "tangent"), self.seeds);
        self.op(ActivateBackward { dy: tangent, dx: out, slope: Slope { rule: SlopeRule::Given, saved, seeds } });
        out
    }

    /// Where a product delivers the cotangent of its input: to the input, or on through an elementwise node there, whose slope it
    /// then multiplies by, where that saves a pass; and the matrix for it.
    pub fn below(&mut self, id: NodeId, input: NodeId) -> (NodeId, Option<Slope>, View) {
        let fused = (!self.keep && self.consumers[input].len() == 1 && self.stop != Some(input))
            .then(|| self.affine[input].slope)
            .flatten();
        let target = if fused.is_some() { self.network.nodes[input].inputs[0] } else { input };
        let slope = fused.map(|saved| Slope { rule: SlopeRule::Given, saved, seeds: self.seeds });
        (target, slope, self.seeded(target, &format!("cotangent from {}", self.network.nodes[id].name)))
    }

    /// Through a weight `[M, N]`, and on through the elementwise node below it where that saves a pass.
    pub fn product_vjp(
        &mut self,
        id: NodeId,
        input: NodeId,
        cotangent: Cotangent,
        weight: View,
        eigenvalues: Option<Eigenvalues>,
    ) {
        let (target, slope, out) = self.below(id, input);
        let seeds = self.seeds;
        match cotangent {
            Cotangent::Matrix(dy) => {
                self.op(Gemm { eigenvalues, slope, seeds, ..Gemm::plain(Form::Nn, dy, weight, out) });
            }
            Cotangent::Identity | Cotangent::Diagonal(_) => {
                let left = if let Cotangent::Diagonal(view) = cotangent { Some(view) } else { None };
                self.op(Expand { left, weight: Some(weight), eigenvalues, right: slope.map(|s| s.saved), out, seeds });
            }
        }
        self.deliver(target, Cotangent::Matrix(out));
    }

    /// Through a weight `[M, N]`, upwards.
    pub fn product_jvp(&mut self, id: NodeId, x: View, weight: View, eigenvalues: Option<Eigenvalues>) -> View {
        let (out, seeds) = (self.seeded(id, "tangent"), self.seeds);
        self.op(Gemm { eigenvalues, seeds, ..Gemm::plain(Form::Nt, x, weight, out) });
        out
    }
}
