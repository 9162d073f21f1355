//! Where a network's tensors lie in the parameter buffer, and how they start.

use serde::{Deserialize, Serialize};

use super::{Network, NodeId};
use crate::program::pad4;

/// What a tensor is to the optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Eigenvectors: penalised with r_ψ while trained.
    Psi,
    /// Eigenvalues: penalised with r_λ while trained.
    Lambda,
    /// Trained without penalty.
    Plain,
    /// Not trained by gradient (running statistics); written by kernels, so in a buffer of its own.
    Statistic,
}

/// Values before training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// By the network's [`Initialisation`].
    Random,
    Zeros,
    Ones,
    /// First row zeros, second row ones.
    ZerosThenOnes,
}

/// Distribution of weights before training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Initialisation {
    /// Uniform within ±√(6/(N+M)); of a convolution N counts a filter's elements, and M filters times taps.
    Glorot,
    /// Normal with standard deviation √(2/N).
    He,
}

/// A tensor that a node type asks for.
pub(crate) struct TensorSpec {
    name: &'static str,
    rows: usize,
    cols: usize,
    role: Role,
    trained: bool,
    start: Start,
    taps: usize,
}

impl TensorSpec {
    pub fn new(name: &'static str, rows: usize, cols: usize, role: Role, trained: bool, start: Start) -> Self {
        TensorSpec { name, rows, cols, role, trained, start, taps: 1 }
    }

    /// The weight of a convolution: each of its rows reaches as many output elements of a window.
    pub fn taps(self, taps: usize) -> Self {
        TensorSpec { taps, ..self }
    }
}

/// One placed tensor: `[rows, cols]`, rows `ld` apart from `offset` on.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub node: NodeId,
    /// Name within the node, like `psi`.
    pub name: &'static str,
    /// Name within the network, like `dense1.psi`.
    pub path: String,
    pub rows: usize,
    pub cols: usize,
    pub ld: usize,
    pub offset: usize,
    pub role: Role,
    pub trained: bool,
    pub(super) start: Start,
    /// Output elements that an input element reaches through each row: 1, or the taps of a convolution.
    pub(super) taps: usize,
}

/// Every tensor of a network, placed in two buffers of each replica: the parameters, laid out as
/// `trained ψ | trained λ | other trained | frozen`, and the statistics.
#[derive(Debug, Clone)]
pub struct Layout {
    /// In the order of the nodes.
    pub tensors: Vec<Tensor>,
    pub psi_end: usize,
    pub lambda_end: usize,
    pub trained_end: usize,
    pub parameters: usize,
    pub statistics: usize,
}

impl Layout {
    pub fn new(network: &Network) -> Self {
        let mut tensors = Vec::new();
        for (id, node) in network.nodes.iter().enumerate() {
            let Some(node_type) = node.layer.node_type() else { continue };
            let inputs: Vec<&[usize]> = node.inputs.iter().map(|&i| network.nodes[i].shape.as_slice()).collect();
            for spec in node_type.tensors(&inputs) {
                tensors.push(Tensor {
                    node: id,
                    name: spec.name,
                    path: format!("{}.{}", node.name, spec.name),
                    rows: spec.rows,
                    cols: spec.cols,
                    ld: pad4(spec.cols),
                    offset: 0,
                    role: spec.role,
                    trained: spec.trained,
                    start: spec.start,
                    taps: spec.taps,
                });
            }
        }
        let mut place = |end: usize, keep: &dyn Fn(&Tensor) -> bool| {
            let mut offset = end;
            for tensor in tensors.iter_mut().filter(|t| keep(t)) {
                tensor.offset = offset;
                offset += tensor.rows * tensor.ld;
            }
            offset
        };
        let psi_end = place(0, &|t| t.trained && t.role == Role::Psi);
        let lambda_end = place(psi_end, &|t| t.trained && t.role == Role::Lambda);
        let trained_end = place(lambda_end, &|t| t.trained && t.role == Role::Plain);
        let parameters = place(trained_end, &|t| !t.trained && t.role != Role::Statistic);
        let statistics = place(0, &|t| t.role == Role::Statistic);
        Layout { tensors, psi_end, lambda_end, trained_end, parameters, statistics }
    }

    /// A node's tensors.
    pub fn of(&self, node: NodeId) -> &[Tensor] {
        let first = self.tensors.partition_point(|t| t.node < node);
        let len = self.tensors[first..].partition_point(|t| t.node == node);
        &self.tensors[first..first + len]
    }

    pub fn find(&self, node: NodeId, name: &str) -> Option<&Tensor> {
        self.of(node).iter().find(|t| t.name == name)
    }
}
