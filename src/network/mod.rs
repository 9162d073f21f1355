//! A network is a static DAG of nodes in topological order; shapes are inferred and checked when it is built.
//!
//! Each node type says once, in a file of its own, what it computes: output shape, parameters, forward, and the products
//! with its Jacobian (the trait `NodeType`). Training and evaluation are recorded from those definitions by [`record`].

mod activation;
mod add;
mod average_pool;
mod batch_norm;
mod broadcast;
mod concat;
mod convolution;
pub(crate) mod dense;
mod dropout;
mod fixed;
mod function;
mod layout;
pub mod local;
mod max_pool;
mod node;
mod pad;
mod parameters;
mod permute;
mod places;
mod product;
pub mod record;
mod reduce;
mod reshape;
mod scale;
mod slice;
mod sliding;
mod sparse_matrix;
pub(crate) mod weight;

use serde::{Deserialize, Serialize};

pub use activation::ActivationNode;
pub use add::AddNode;
pub use average_pool::AveragePool;
pub use batch_norm::BatchNorm;
pub use broadcast::Broadcast;
pub use concat::ConcatNode;
pub use convolution::Convolution;
pub use dense::Dense;
pub use dropout::DropoutNode;
pub use function::FunctionNode;
pub use layout::{Initialisation, Layout, Role, Tensor};
pub use max_pool::MaxPoolNode;
pub(crate) use node::NodeType;
pub use pad::{Beyond, Pad};
pub use parameters::Parameters;
pub use permute::Permute;
pub use product::ProductNode;
pub use reduce::ReduceNode;
pub use reshape::Reshape;
pub use scale::{By, Scale};
pub use slice::SliceNode;
pub use sliding::{Padding, Sliding};
pub use weight::{Spectral, Weight};

use crate::kernels::Activation;
use crate::{Error, Result};

/// Elements that a sample of a node may have.
const MOST_ELEMENTS: usize = 1 << 27;

/// Names a node of a [`Network`]; 0 is the input.
pub type NodeId = usize;

/// A node's type with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Layer {
    Input { shape: Vec<usize> },
    Dense(Dense),
    Activation(ActivationNode),
    BatchNorm(BatchNorm),
    Dropout(DropoutNode),
    Add(AddNode),
    Concat(ConcatNode),
    Reshape(Reshape),
    Convolution(Convolution),
    MaxPool(MaxPoolNode),
    AveragePool(AveragePool),
    Scale(Scale),
    Function(FunctionNode),
    Product(ProductNode),
    Permute(Permute),
    Slice(SliceNode),
    Broadcast(Broadcast),
    Pad(Pad),
    Reduce(ReduceNode),
}

impl Layer {
    /// The definition behind the variant; `None` for the input, which computes nothing.
    pub(crate) fn node_type(&self) -> Option<&dyn NodeType> {
        match self {
            Layer::Input { .. } => None,
            Layer::Dense(layer) => Some(layer),
            Layer::Activation(layer) => Some(layer),
            Layer::BatchNorm(layer) => Some(layer),
            Layer::Dropout(layer) => Some(layer),
            Layer::Add(layer) => Some(layer),
            Layer::Concat(layer) => Some(layer),
            Layer::Reshape(layer) => Some(layer),
            Layer::Convolution(layer) => Some(layer),
            Layer::MaxPool(layer) => Some(layer),
            Layer::AveragePool(layer) => Some(layer),
            Layer::Scale(layer) => Some(layer),
            Layer::Function(layer) => Some(layer),
            Layer::Product(layer) => Some(layer),
            Layer::Permute(layer) => Some(layer),
            Layer::Slice(layer) => Some(layer),
            Layer::Broadcast(layer) => Some(layer),
            Layer::Pad(layer) => Some(layer),
            Layer::Reduce(layer) => Some(layer),
        }
    }
}

/// One node: its layer, the nodes it reads, and the shape of one sample of its output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    pub layer: Layer,
    pub inputs: Vec<NodeId>,
    pub shape: Vec<usize>,
}

impl Node {
    /// Elements of one sample.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A static DAG; the last node is the output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    pub nodes: Vec<Node>,
}

impl Network {
    /// Multiply-adds of a node's products with weights, for one sample's output.
    pub fn multiply_adds(&self, id: NodeId) -> usize {
        let node = &self.nodes[id];
        let Some(definition) = node.layer.node_type() else { return 0 };
        let shapes: Vec<&[usize]> = node.inputs.iter().map(|&input| self.nodes[input].shape.as_slice()).collect();
        definition.multiply_adds(&shapes, &node.shape)
    }
}

impl Network {
    /// A graph that consists of its input alone.
    pub fn new(shape: &[usize]) -> Self {
        let layer = Layer::Input { shape: shape.to_vec() };
        Network { nodes: vec![Node { name: "input".into(), layer, inputs: vec![], shape: shape.to_vec() }] }
    }

    /// Adds a node that reads `inputs`, and returns its id.
    ///
    /// # Errors
    /// [`Error::Shape`] when the shapes don't fit; the sentence names the node.
    pub fn push(&mut self, layer: Layer, inputs: &[NodeId]) -> Result<NodeId> {
        let node_type = layer.node_type().ok_or_else(|| {
            Error::Shape("a network has one input, its first node; use Network::new for another network".into())
        })?;
        let kind = node_type.kind();
        let number = 1 + self.nodes.iter().filter(|n| n.layer.node_type().is_some_and(|t| t.kind() == kind)).count();
        self.push_named(&format!("{kind}{number}"), layer, inputs)
    }

    /// [`Network::push`] with a name of its own, which no other node may have.
    ///
    /// # Errors
    /// The same.
    pub fn push_named(&mut self, name: &str, layer: Layer, inputs: &[NodeId]) -> Result<NodeId> {
        let (id, name) = (self.nodes.len(), name.to_owned());
        let Some(node_type) = layer.node_type() else {
            return Err(Error::Shape(format!("{name} is an input; a network has one, its first node")));
        };
        let mut shapes = Vec::new();
        for &input in inputs {
            let node = self.nodes.get(input).ok_or_else(|| {
                Error::Shape(format!("{name} reads node {input}, which is not before it; the last one is {}", id - 1))
            })?;
            shapes.push(node.shape.as_slice());
        }
        let shape =
            node_type.output_shape(&shapes).map_err(|problem| Error::Shape(format!("layer {name}: {problem}")))?;
        // Sizes in a hostile file may overflow, or claim what no machine holds.
        let width = shape.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
        if width.is_none_or(|width| width > MOST_ELEMENTS) {
            return Err(Error::Shape(format!(
                "layer {name}: a sample of it would have the shape {shape:?}; {MOST_ELEMENTS} elements are supported"
            )));
        }
        self.nodes.push(Node { name, layer, inputs: inputs.to_vec(), shape });
        Ok(id)
    }

    /// Adds a node that reads the last one.
    pub fn then(&mut self, layer: impl Into<Layer>) -> Result<NodeId> {
        self.push(layer.into(), &[self.nodes.len() - 1])
    }

    pub fn input_width(&self) -> usize {
        self.nodes[0].width()
    }

    pub fn output(&self) -> &Node {
        self.nodes.last().expect("a network has its input at least")
    }

    /// The dense layer whose columns are the input features, if the input feeds exactly one.
    pub fn first_dense(&self) -> Option<(NodeId, &Dense)> {
        let mut consumers = self.nodes.iter().enumerate().filter(|(_, n)| n.inputs.contains(&0));
        match (consumers.next(), consumers.next()) {
            (Some((id, Node { layer: Layer::Dense(dense), .. })), None) => Some((id, dense)),
            _ => None,
        }
    }

    /// How many times each node's output is read.
    pub(crate) fn consumers(&self) -> Vec<usize> {
        let mut counts = vec![0; self.nodes.len()];
        self.nodes.iter().flat_map(|n| &n.inputs).for_each(|&i| counts[i] += 1);
        counts
    }
}

/// A feed-forward network in the usual order: dense, activation, batch norm, dropout; the output layer is bare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sequential {
    pub hidden: Vec<usize>,
    /// One for each hidden layer, or one for all.
    pub activations: Vec<Activation>,
    pub batch_norm: Place,
    pub dropout: f32,
    pub dropout_place: Place,
    /// Which layers are spectral (`None`: all are direct).
    pub spectral: Place,
    /// What is trained in a spectral layer.
    pub train: Spectral,
    pub train_bias: bool,
    /// Adds a hidden layer's input to its output (after activation, batch norm and dropout) where both are equally wide.
    pub residual: bool,
    /// The weights of the layers that are not spectral are penalised with r_ψ too (a spectral weight whose λ stays 1).
    pub ridge: bool,
}

/// After which layers something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    None,
    First,
    All,
}

impl Place {
    fn covers(self, layer: usize) -> bool {
        self == Place::All || (self == Place::First && layer == 0)
    }
}

impl Default for Sequential {
    /// The papers' 100-100-50 with ReLU, without batch norm and dropout, the first layer spectral: penalties on later
    /// layers cost accuracy and say nothing about the inputs.
    fn default() -> Self {
        Sequential {
            hidden: vec![100, 100, 50],
            activations: vec![Activation::Relu],
            batch_norm: Place::None,
            dropout: 0.0,
            dropout_place: Place::All,
            spectral: Place::First,
            train: Spectral::default(),
            train_bias: true,
            residual: false,
            ridge: false,
        }
    }
}

impl Sequential {
    /// The network for `inputs` features and `outputs` outputs.
    ///
    /// # Errors
    /// [`Error::Shape`] for a width of 0 or a wrong number of activations.
    pub fn build(&self, inputs: usize, outputs: usize) -> Result<Network> {
        if self.activations.len() != 1 && self.activations.len() != self.hidden.len() {
            return Err(Error::Shape(format!(
                "{} activations for {} hidden layers; give one for all or one for each",
                self.activations.len(),
                self.hidden.len()
            )));
        }
        // Not around the first layer: the ranking needs it to be the only one that reads the input.
        let is_block = |layer: usize| self.residual && layer > 0 && self.hidden[layer - 1] == self.hidden[layer];
        if self.residual && !(0..self.hidden.len()).any(is_block) {
            return Err(Error::Shape(
                "--residual needs a hidden layer that is as wide as the one before it, as in --hidden 64,64".into(),
            ));
        }
        let mut network = Network::new(&[inputs]);
        let dense = |layer: usize, units: usize| Dense {
            units,
            weight: if self.spectral.covers(layer) {
                Weight::Spectral(self.train)
            } else if self.ridge && layer > 0 {
                Weight::Spectral(Spectral { psi: true, lambda_in: false, lambda_out: false })
            } else {
                Weight::Direct
            },
            train_bias: self.train_bias,
        };
        for (i, &units) in self.hidden.iter().enumerate() {
            let before = network.nodes.len() - 1;
            network.then(dense(i, units))?;
            let activation = self.activations[if self.activations.len() == 1 { 0 } else { i }];
            network.then(ActivationNode { activation })?;
            if self.batch_norm.covers(i) {
                network.then(BatchNorm::default())?;
            }
            if self.dropout > 0.0 && self.dropout_place.covers(i) {
                network.then(DropoutNode { probability: self.dropout })?;
            }
            if is_block(i) {
                network.push(AddNode {}.into(), &[before, network.nodes.len() - 1])?;
            }
        }
        network.then(dense(self.hidden.len(), outputs))?;
        Ok(network)
    }
}
