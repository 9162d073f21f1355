//! A graph on its way into a network: what is known of its names, and what its operators are made with.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::fold::{self, Budget, Dim, Input, Value};
use super::tensor::{Data, Tensor};
use super::wire::{Graph, Length, Node, ValueKind, shown};
use crate::network::{Layer, Network, NodeId, Reshape};

/// Elements of the input: each has a name of its own.
const MOST_INPUTS: usize = 1 << 22;
/// Elements along an axis, or size of a window, at most: far above what makes sense, and products of sizes from a hostile file don't overflow.
pub(super) const LONGEST: i64 = 1 << 24;

/// Elements that all constants of a graph may have together, weights and what is folded from them.
const MOST_ELEMENTS: usize = 1 << 31;

/// What a name of the graph stands for.
#[derive(Clone)]
pub(super) enum Known {
    /// What doesn't depend on the network's input.
    Value(Value),
    Node(NodeId),
    /// A node whose batch isn't the first axis.
    Moved(Moved),
    /// What every sample has, which follows from its number alone.
    Rows(Rows),
    /// What couldn't be evaluated, and why: an error once something reads it.
    Failed(String),
}

/// A tensor of the file whose batch isn't its first axis: `dims[axis]` is `before·batch·after`, and the samples of `id` have the other
/// axes, and in the place of that one `before` and `after` where they aren't 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moved {
    pub id: NodeId,
    pub dims: Vec<Dim>,
    pub axis: usize,
    pub before: usize,
}

/// Where the batch is among the axes of what an operator reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum BatchAxis {
    First,
    At(usize),
    /// Of a file for one sample: all its axes are the sample's.
    Outside,
}

/// A tensor whose first axis is the batch and whose row b is `offset + b·step`: `[1, …]`, the offset.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rows {
    pub offset: Tensor,
    pub step: i64,
}

impl Rows {
    /// The shape with the batch.
    pub fn dims(&self) -> Vec<Dim> {
        let rest = self.offset.dims[1..].iter().map(|&n| Dim::Known(n as i64));
        [Dim::Batch { times: 1 }].into_iter().chain(rest).collect()
    }
}

/// The values of a tensor, as precisely as the file has them or as they were computed.
pub(super) enum Numbers {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

impl Numbers {
    /// The first that is none, or infinite in single precision.
    pub fn not_finite(&self) -> Option<f32> {
        match self {
            Numbers::Single(values) => values.iter().copied().find(|x| !x.is_finite()),
            Numbers::Double(values) => values.iter().map(|&x| x as f32).find(|x| !x.is_finite()),
        }
    }

    /// Each times a factor.
    pub fn times(self, factor: f64) -> Numbers {
        match self {
            unchanged if factor == 1.0 => unchanged,
            Numbers::Single(values) => values.into_iter().map(|x| f64::from(x) * factor).collect::<Vec<_>>().into(),
            Numbers::Double(values) => values.into_iter().map(|x| x * factor).collect::<Vec<_>>().into(),
        }
    }
}

impl From<Vec<f64>> for Numbers {
    fn from(values: Vec<f64>) -> Self {
        Numbers::Double(values)
    }
}

/// A graph on its way into a network.
pub(super) struct Lowering<'a> {
    pub path: &'a Path,
    pub opset: i64,
    /// The batch size that the file's input has, if it has one.
    pub batch: Option<i64>,
    /// The value that the network makes.
    pub end: &'a str,
    /// Where the batch is in what the operator reads that is lowered now.
    pub batch_axis: BatchAxis,
    pub network: Network,
    /// Nodes whose samples are single numbers, without an axis: `[batch]` in the file, `[1]` in the network.
    pub single: HashSet<NodeId>,
    /// Values of nodes' tensors.
    pub tensors: Vec<(NodeId, &'static str, Numbers)>,
    pub known: HashMap<&'a str, Known>,
    /// How many nodes and outputs read a name.
    pub readers: HashMap<&'a str, usize>,
    pub names: HashSet<String>,
    pub elements: usize,
    /// How often a name will still be read.
    pub unread: HashMap<&'a str, usize>,
    pub budget: Budget,
}

impl<'a> Lowering<'a> {
    /// Takes the graph's one input that something reads.
    pub fn input(&mut self, graph: &Graph<'a>) -> Result<(), String> {
        let open = |name: &str| self.readers.contains_key(name) && !self.known.contains_key(name);
        let inputs: Vec<_> = graph.inputs.iter().filter(|input| open(input.name)).collect();
        let [input] = inputs[..] else {
            let names: Vec<String> = inputs.iter().map(|input| shown(input.name)).collect();
            return Err(format!("it has {} inputs ({}); one is supported", names.len(), names.join(", ")));
        };
        let shape = match &input.kind {
            ValueKind::Tensor { shape: Some(shape), .. } => shape,
            ValueKind::Other(kind) => return Err(format!("its input {} is {kind}", shown(input.name))),
            _ => return Err(format!("the shape of its input {} isn't told", shown(input.name))),
        };
        let [batch, sample @ ..] = &shape[..] else {
            return Err(format!("its input {} is a single number", shown(input.name)));
        };
        if let Length::Number(n @ 1..) = batch {
            self.batch = Some(*n);
        }
        let size = |length: &Length| match length {
            Length::Number(n @ 1..=LONGEST) => Ok(*n as usize),
            Length::Number(n @ 1..) => Err(format!(
                "an axis of its input {} has {n} elements, which is too large; {LONGEST} are supported",
                shown(input.name)
            )),
            _ => Err(format!("the size of an axis of its input {} isn't told", shown(input.name))),
        };
        let shape: Vec<usize> = sample.iter().map(size).collect::<Result<_, String>>()?;
        let width = shape.iter().try_fold(1usize, |all, &n| all.checked_mul(n)).filter(|&n| n <= MOST_INPUTS);
        let name = shown(input.name);
        if shape.is_empty() {
            return Err(format!("a sample of its input {name} has the shape []: there is no axis besides the batch"));
        }
        if width.is_none() {
            return Err(format!(
                "a sample of its input {name} has the shape {shape:?}; {MOST_INPUTS} elements are supported"
            ));
        }
        self.network = Network::new(&shape);
        self.known.insert(input.name, Known::Node(0));
        Ok(())
    }

    /// Whether the file is for one sample alone.
    pub fn is_of_one(&self) -> bool {
        self.batch == Some(1)
    }

    /// Adds to the elements that constants have.
    pub fn count(&mut self, elements: usize) -> Result<(), String> {
        self.elements = self.elements.saturating_add(elements);
        if self.elements > MOST_ELEMENTS { Err("its constants have more than 2³¹ elements".into()) } else { Ok(()) }
    }

    /// Counts elements that the file holds.
    pub fn hold(&mut self, elements: usize) -> Result<(), String> {
        self.budget.hold(elements);
        self.count(elements)
    }

    /// Notes that a name was read once; what nobody reads any more is freed.
    pub fn was_read(&mut self, name: &'a str) {
        if let Some(unread) = self.unread.get_mut(name) {
            *unread = unread.saturating_sub(1);
        }
        self.free_unread(name);
    }

    /// Forgets a name that nobody reads any more.
    pub fn free_unread(&mut self, name: &'a str) {
        if self.unread.get(name).is_none_or(|&unread| unread == 0) {
            self.known.remove(name);
        }
    }

    /// The values of a node's outputs, where they don't depend on the network's input.
    pub fn fold(&self, node: &Node<'a>) -> Result<Option<Vec<Value>>, String> {
        // A constant may lie in a file of its own.
        if let ("Constant", Some(stored)) = (node.op_type, node.tensor("value").ok().flatten())
            && stored.external.is_some()
        {
            let tensor = Tensor::read(self.path, stored).map_err(|error| error.to_string())?;
            return Ok(Some(vec![Value::Constant(tensor)]));
        }
        let shape = |name: &&str| match self.known.get(name) {
            Some(Known::Node(id)) => self.dims(*id),
            Some(Known::Moved(moved)) => moved.dims.clone(),
            Some(Known::Rows(rows)) => rows.dims(),
            _ => vec![],
        };
        let shapes: Vec<Vec<Dim>> = node.inputs.iter().map(shape).collect();
        let input = |(name, shape)| match self.known.get(name) {
            Some(Known::Value(value)) => Some(value.input()),
            Some(Known::Node(_) | Known::Moved(_) | Known::Rows(_)) => Some(Input::Activation(shape)),
            _ => None,
        };
        let inputs: Vec<Option<Input<'_>>> =
            node.inputs.iter().copied().zip(shapes.iter().map(Vec::as_slice)).map(input).collect();
        fold::fold(node, self.opset, &inputs, &self.budget)
    }

    /// The shape of a node's output with the batch axis.
    pub fn dims(&self, id: NodeId) -> Vec<Dim> {
        let batch = Dim::Batch { times: 1 };
        [batch].into_iter().chain(self.shape(id).iter().map(|&n| Dim::Known(n as i64))).collect()
    }

    /// The shape of a sample of a node's output, as the file has it.
    pub fn shape(&self, id: NodeId) -> &[usize] {
        if self.single.contains(&id) { &[] } else { &self.network.nodes[id].shape }
    }

    /// What input `i` of a node is; `None`: left out.
    pub fn get(&self, node: &Node<'a>, i: usize) -> Option<&Known> {
        node.inputs.get(i).and_then(|name| self.known.get(name))
    }

    /// The network's node behind an input.
    pub fn activation(&self, node: &Node<'a>, i: usize) -> Result<NodeId, String> {
        match self.get(node, i) {
            Some(Known::Node(id)) => Ok(*id),
            Some(Known::Moved(_)) => Err(format!("the batch isn't the first axis of its input {i}")),
            Some(_) => Err(format!("its input {i} is a constant")),
            None => Err(format!("its input {i} is missing")),
        }
    }

    /// The constant behind an input.
    pub fn constant(&self, node: &Node<'a>, i: usize) -> Result<&Tensor, String> {
        self.optional(node, i)?.ok_or_else(|| format!("its input {i} is missing"))
    }

    /// The numbers of the constant behind an input: where nothing else reads it they are taken and not copied.
    pub fn numbers(&mut self, node: &Node<'a>, i: usize) -> Result<Numbers, String> {
        let name = node.inputs.get(i).copied().unwrap_or_default();
        let alone = self.readers.get(name) == Some(&1);
        // Of every sample the same: a matrix beside theirs, but no weight that has the batch's size.
        let spread = matches!(self.known.get(name), Some(Known::Rows(_)));
        if spread && node.op_type != "MatMul" {
            return Err(format!("its input {i} has the batch as an axis; a constant is supported there"));
        }
        match &self.constant(node, i)?.data {
            Data::Float(values) if spread => return Ok(Numbers::Single(values.clone())),
            Data::Float(_) => {}
            Data::Double(values) => return Ok(Numbers::Double(values.clone())),
            _ => return self.constant(node, i)?.to_f32().map(Numbers::Single),
        }
        match self.known.get_mut(name) {
            Some(Known::Value(Value::Constant(Tensor { data: Data::Float(values), .. }))) => {
                Ok(Numbers::Single(if alone { std::mem::take(values) } else { values.clone() }))
            }
            _ => unreachable!("invariant: it was found to be a constant of 32-bit numbers"),
        }
    }

    /// The same; `None`: left out.
    pub fn optional(&self, node: &Node<'a>, i: usize) -> Result<Option<&Tensor>, String> {
        match self.get(node, i) {
            None => Ok(None),
            Some(Known::Value(Value::Constant(tensor))) => Ok(Some(tensor)),
            // Of every sample the same.
            Some(Known::Rows(Rows { offset, step: 0 })) => Ok(Some(offset)),
            Some(_) => Err(format!("its input {i} depends on the network's input; a constant is supported there")),
        }
    }

    /// Whether anything reads an output of a node other than its first.
    pub fn reads_further_outputs(&self, node: &Node<'a>) -> bool {
        node.outputs.iter().skip(1).any(|name| self.readers.contains_key(name))
    }

    /// Whether an input of a node is there and depends on no sample.
    pub fn is_constant(&self, node: &Node<'a>, i: usize) -> bool {
        matches!(self.get(node, i), Some(Known::Value(_) | Known::Rows(_)))
    }

    /// An axis of a tensor as an axis of its samples, which have so many; `None`: it is the batch.
    pub fn place_of(&self, axis: i64, rank: usize) -> Result<Option<usize>, String> {
        let (batch, rank) = match self.batch_axis {
            BatchAxis::First => (0, rank + 1),
            BatchAxis::At(batch) => (batch, rank + 1),
            BatchAxis::Outside => (rank, rank),
        };
        let place = if axis < 0 { axis + rank as i64 } else { axis };
        match usize::try_from(place) {
            Ok(place) if place >= rank => Err(format!("its input has no axis {axis}")),
            Ok(place) => Ok((place != batch).then(|| place - usize::from(place > batch))),
            Err(_) => Err(format!("its input has no axis {axis}")),
        }
    }

    /// The same where it must not be the batch.
    pub fn axis_of(&self, axis: i64, rank: usize) -> Result<usize, String> {
        self.place_of(axis, rank)?.ok_or_else(|| "its axis is the batch".into())
    }

    /// Whether an input of a node is read by that node alone.
    pub fn is_only_reader(&self, node: &Node<'a>, i: usize) -> bool {
        self.readers.get(node.inputs[i]) == Some(&1)
    }

    /// A target of Reshape as a sample's shape: the first axis stays the batch.
    pub fn sample_of(&self, dims: &[Dim], from: NodeId) -> Result<Vec<usize>, String> {
        let input = self.shape(from);
        let width: usize = input.iter().product();
        let told = || dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let keeps_batch = |first: &Dim| match first {
            Dim::Batch { times } => *times == 1,
            Dim::Known(n) => matches!(n, 0 | -1) || Some(*n) == self.batch,
        };
        let Some((first, rest)) = dims.split_first().filter(|(first, _)| keeps_batch(first)) else {
            return Err(format!("it reshapes to [{}], which doesn't keep the batch as its first axis", told()));
        };
        let mut shape = Vec::new();
        let mut open = None;
        for (axis, dim) in rest.iter().enumerate() {
            let n = match dim {
                Dim::Known(0) => *input.get(axis).ok_or("it copies the size of an axis that its input doesn't have")?,
                Dim::Known(-1) if open.is_none() => {
                    open = Some(axis);
                    1
                }
                Dim::Known(n @ 1..) => *n as usize,
                _ => return Err(format!("it reshapes to [{}], which isn't understood", told())),
            };
            shape.push(n);
        }
        let product = shape.iter().try_fold(1usize, |all, &n| all.checked_mul(n)).unwrap_or(0);
        if let Some(axis) = open.filter(|_| product > 0 && *first != Dim::Known(-1)) {
            shape[axis] = width / product;
        }
        if shape.iter().product::<usize>() != width {
            return Err(format!("it reshapes samples of {width} elements to [{}]", told()));
        }
        Ok(shape)
    }

    /// Adds a node that is called as the graph calls it.
    pub fn push(&mut self, node: &Node<'a>, layer: impl Into<Layer>, inputs: &[NodeId]) -> Result<NodeId, String> {
        self.push_part(node, "", layer, inputs)
    }

    /// Adds a part of what a node of the graph is made of here, called `name/part`.
    pub fn push_part(
        &mut self,
        node: &Node<'a>,
        part: &str,
        layer: impl Into<Layer>,
        inputs: &[NodeId],
    ) -> Result<NodeId, String> {
        let first = node.outputs.first().copied().unwrap_or(node.op_type);
        let mut called = if node.name.is_empty() { first.to_owned() } else { node.name.to_owned() };
        if !part.is_empty() {
            called = format!("{called}/{part}");
        }
        let mut name = called.clone();
        for number in 2.. {
            if self.names.insert(name.clone()) {
                break;
            }
            name = format!("{called} ({number})");
        }
        self.add(&name, layer.into(), inputs)
    }

    /// Adds a layer; one that keeps its inputs' shape keeps single numbers, and a Reshape to no axes makes them.
    fn add(&mut self, name: &str, mut layer: Layer, inputs: &[NodeId]) -> Result<NodeId, String> {
        let single = match &mut layer {
            Layer::Reshape(Reshape { shape: Some(shape) }) if shape.is_empty() => {
                shape.push(1);
                true
            }
            Layer::Activation(_) | Layer::Function(_) | Layer::Scale(_) | Layer::Add(_) | Layer::Product(_) => {
                inputs.iter().all(|input| self.single.contains(input))
            }
            _ => false,
        };
        let id = self.network.push_named(name, layer, inputs).map_err(|error| error.to_string())?;
        if single {
            self.single.insert(id);
        }
        Ok(id)
    }

    /// Makes an earlier node the last one.
    pub fn alias_output(&mut self, id: NodeId) -> Result<(), String> {
        let shape = self.shape(id).to_vec();
        self.add("output", Reshape { shape: Some(shape) }.into(), &[id]).map(|_| ())
    }
}
