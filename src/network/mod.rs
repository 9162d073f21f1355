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
mod ending;
mod first_layer;
mod fixed;
mod function;
mod layout;
pub mod local;
mod mat_mul;
mod max_pool;
mod node;
mod normalise;
mod pad;
mod parameters;
mod permute;
mod places;
mod product;
pub mod record;
mod reduce;
mod reshape;
mod resize;
mod scale;
mod sequential;
mod slice;
mod sliding;
mod sparse_matrix;
mod transposed_convolution;
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
pub use ending::Ending;
pub use first_layer::FirstLayer;
pub use function::FunctionNode;
pub use layout::{Initialisation, Layout, Role, Tensor};
pub use mat_mul::MatMulNode;
pub use max_pool::MaxPoolNode;
pub(crate) use node::NodeType;
pub use normalise::NormaliseNode;
pub use pad::{Beyond, Pad};
pub use parameters::Parameters;
pub use permute::Permute;
pub use product::ProductNode;
pub use reduce::ReduceNode;
pub use reshape::Reshape;
pub use resize::{Coordinates, Interpolation, Resize, Rounding};
pub use scale::{By, Scale};
pub use sequential::{Block, Input, Place, Pool, Sequential};
pub use slice::SliceNode;
pub use sliding::{Padding, Sliding};
pub use transposed_convolution::TransposedConvolution;
pub use weight::{Spectral, Weight};

use crate::{Error, Result};

/// Elements that a sample of a node may have; all nodes together of a network that is trained.
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
    Resize(Resize),
    Normalise(NormaliseNode),
    MatMul(MatMulNode),
    TransposedConvolution(TransposedConvolution),
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
            Layer::Resize(layer) => Some(layer),
            Layer::Normalise(layer) => Some(layer),
            Layer::MatMul(layer) => Some(layer),
            Layer::TransposedConvolution(layer) => Some(layer),
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

    /// Whether a sample's channels are more than single numbers.
    pub fn is_spatial(&self) -> bool {
        self.shape.get(1..).is_some_and(|spatial| spatial.iter().any(|&length| length > 1))
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

    /// Refuses a network whose training would hold more of one sample than any that makes sense: a few nodes that double their input
    /// come to gigabytes.
    ///
    /// # Errors
    /// [`Error::Shape`] that names the first node beyond the limit.
    pub(crate) fn check_trainable(&self) -> Result<()> {
        let mut left = MOST_ELEMENTS;
        for node in &self.nodes {
            let width = node.shape.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
            left = width.and_then(|width| left.checked_sub(width)).ok_or_else(|| {
                Error::Shape(format!(
                    "layer {}: up to there a sample takes more than the {MOST_ELEMENTS} numbers that are supported; use fewer or narrower \
                     layers",
                    node.name
                ))
            })?;
        }
        Ok(())
    }

    pub fn input_width(&self) -> usize {
        self.nodes[0].width()
    }

    pub fn output(&self) -> &Node {
        self.nodes.last().expect("a network has its input at least")
    }

    /// Who reads each node's output, as often as it does.
    pub(crate) fn consumers(&self) -> Vec<Vec<NodeId>> {
        let mut consumers = vec![Vec::new(); self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&input| consumers[input].push(id));
        }
        consumers
    }
}
