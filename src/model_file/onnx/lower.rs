//! From ONNX operators to nodes: a table of operators, and how each becomes what the network has.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::fold::{self, Dim, Input, Value};
use super::operators::{self, OPERATORS};
use super::tensor::Tensor;
use super::wire::{Graph, Length, Model, Node, ValueKind, shown};
use crate::network::{Layer, Layout, Network, NodeId, Parameters};
use crate::{Error, Result};

/// A network read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    pub network: Network,
    pub parameters: Parameters,
    /// What was taken off the end: the operator, as in `Softmax`.
    pub removed: Option<String>,
}

/// Elements that all constants of a graph may have together, weights and what is folded from them.
const MOST_ELEMENTS: usize = 1 << 31;

/// What a name of the graph stands for.
pub(super) enum Known {
    /// What doesn't depend on the network's input.
    Value(Value),
    Node(NodeId),
    /// What couldn't be evaluated, and why: an error once something reads it.
    Failed(String),
}

/// A graph on its way into a network.
pub(super) struct Lowering<'a> {
    path: &'a Path,
    pub opset: i64,
    /// The batch size that the file's input has, if it has one.
    batch: Option<i64>,
    pub network: Network,
    /// Values of nodes' tensors.
    pub tensors: Vec<(NodeId, &'static str, Vec<f64>)>,
    known: HashMap<&'a str, Known>,
    /// How many nodes and outputs read a name.
    readers: HashMap<&'a str, usize>,
    names: HashSet<String>,
    elements: usize,
}

/// Turns a file's graph into a network that ends before a final softmax or sigmoid.
///
/// # Errors
/// [`Error::Input`] that names the node and its operator, and what is supported.
pub(super) fn lower<'a>(path: &'a Path, model: &Model<'a>) -> Result<Imported> {
    let graph = &model.graph;
    let whole = |problem: String, remedy: &str| Error::input(path, "graph", problem, remedy);
    let opset = model.opset("").ok_or_else(|| {
        whole("it names no version of ONNX's operator set".into(), "export it again with a current exporter")
    })?;
    let producers = producers(graph).map_err(|problem| whole(problem, "export it again"))?;
    let (output, removed) = output(graph, &producers)
        .map_err(|problem| whole(problem, "give a network with one tensor of numbers as its output"))?;
    let needed = needed(graph, &producers, output);
    let mut lowering = Lowering {
        path,
        opset,
        batch: None,
        network: Network::new(&[1]),
        tensors: Vec::new(),
        known: HashMap::new(),
        readers: HashMap::new(),
        names: HashSet::from(["input".to_owned()]),
        elements: 0,
    };
    *lowering.readers.entry(output).or_default() += 1;
    for &i in &needed {
        graph.nodes[i].inputs.iter().for_each(|name| *lowering.readers.entry(name).or_default() += 1);
    }
    for stored in &graph.initializers {
        if !lowering.readers.contains_key(stored.name) {
            continue;
        }
        let tensor = Tensor::read(path, stored)?;
        lowering.count(tensor.data.len()).map_err(|problem| whole(problem, "give a smaller network"))?;
        lowering.known.insert(stored.name, Known::Value(Value::Constant(tensor)));
    }
    lowering.input(graph).map_err(|problem| {
        whole(problem, "export it with one input whose sizes are fixed but for the first axis, the batch")
    })?;
    for &i in &needed {
        let node = &graph.nodes[i];
        let place = if node.name.is_empty() { node.place(i) } else { format!("node {}", shown(node.name)) };
        lowering.node(node).map_err(|problem| {
            let remedy = format!("supported are {}", OPERATORS.join(", "));
            Error::input(path, format!("{place}, {}", shown(node.op_type)), problem, remedy)
        })?;
    }
    match lowering.known.get(output) {
        Some(Known::Node(id)) if *id + 1 == lowering.network.nodes.len() && *id > 0 => {}
        Some(Known::Node(id)) if *id > 0 => {
            // A node behind it that nothing reads can't be: only ancestors were lowered. It is an alias of an earlier one.
            lowering.alias_output(*id).map_err(|problem| whole(problem, "export it again"))?;
        }
        _ => {
            return Err(whole(
                format!("its output {} doesn't depend on its input", shown(output)),
                "give a network that computes something",
            ));
        }
    }
    let Lowering { network, tensors, .. } = lowering;
    let layout = Layout::new(&network);
    let mut parameters = layout.initial(crate::network::Initialisation::Glorot, 0);
    for (node, name, values) in tensors {
        let tensor = layout.find(node, name).expect("invariant: lowering names tensors that the node has");
        parameters.set(tensor, &values);
    }
    Ok(Imported { network, parameters, removed })
}

/// Which node makes a value.
fn producers<'a>(graph: &Graph<'a>) -> Result<HashMap<&'a str, usize>, String> {
    let mut producers = HashMap::new();
    for (i, node) in graph.nodes.iter().enumerate() {
        for &output in node.outputs.iter().filter(|name| !name.is_empty()) {
            if producers.insert(output, i).is_some() {
                return Err(format!("two nodes make the value {}", shown(output)));
            }
        }
    }
    Ok(producers)
}

/// The value to be explained, and what was taken off behind it.
fn output<'a>(graph: &Graph<'a>, producers: &HashMap<&'a str, usize>) -> Result<(&'a str, Option<String>), String> {
    let is_float = |kind: &ValueKind| match kind {
        ValueKind::Tensor { elem_type, .. } => matches!(elem_type, 0 | 1 | 10 | 11 | 16),
        _ => true,
    };
    let Some(first) = graph.outputs.iter().find(|output| is_float(&output.kind)).or(graph.outputs.first()) else {
        return Err("it has no output".into());
    };
    let mut name = first.name;
    let mut removed = None;
    while let Some(node) = producers.get(name).map(|&i| &graph.nodes[i]) {
        let Some(&input) = node.inputs.first() else { break };
        match node.op_type {
            // scikit-learn's classifiers give a map from class to probability.
            "ZipMap" | "Identity" => name = input,
            "Softmax" | "LogSoftmax" | "Sigmoid" if removed.is_none() => {
                removed = Some(node.op_type.to_owned());
                name = input;
            }
            _ => break,
        }
    }
    Ok((name, removed))
}

/// The nodes that a value depends on, in the order of the file.
fn needed<'a>(graph: &Graph<'a>, producers: &HashMap<&'a str, usize>, output: &'a str) -> Vec<usize> {
    let mut needed = vec![false; graph.nodes.len()];
    let mut open = vec![output];
    while let Some(name) = open.pop() {
        if let Some(&i) = producers.get(name)
            && !std::mem::replace(&mut needed[i], true)
        {
            open.extend(&graph.nodes[i].inputs);
        }
    }
    (0..needed.len()).filter(|&i| needed[i]).collect()
}

impl<'a> Lowering<'a> {
    /// Takes the graph's one input that something reads.
    fn input(&mut self, graph: &Graph<'a>) -> Result<(), String> {
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
            Length::Number(n @ 1..=0x100_0000) => Ok(*n as usize),
            _ => Err(format!("the size of an axis of its input {} isn't told", shown(input.name))),
        };
        let shape: Vec<usize> = sample.iter().map(size).collect::<Result<_, String>>()?;
        let width = shape.iter().try_fold(1usize, |all, &n| all.checked_mul(n)).filter(|&n| n <= 1 << 28);
        if shape.is_empty() || width.is_none() {
            return Err(format!("a sample of its input {} has the shape {shape:?}", shown(input.name)));
        }
        self.network = Network::new(&shape);
        self.known.insert(input.name, Known::Node(0));
        Ok(())
    }

    /// Adds to the elements that constants have.
    fn count(&mut self, elements: usize) -> Result<(), String> {
        self.elements = self.elements.saturating_add(elements);
        if self.elements > MOST_ELEMENTS { Err("its constants have more than 2³¹ elements".into()) } else { Ok(()) }
    }

    /// Evaluates a node, or adds it to the network.
    fn node(&mut self, node: &Node<'a>) -> Result<(), String> {
        if node.has_subgraph() {
            return Err("it has a graph of its own, which isn't supported".into());
        }
        for name in node.inputs.iter().filter(|name| !name.is_empty()) {
            match self.known.get(name) {
                None => return Err(format!("it reads {}, which nothing before it makes", shown(name))),
                Some(Known::Failed(problem)) => return Err(format!("it reads {}, and there {problem}", shown(name))),
                Some(_) => {}
            }
        }
        let values = match self.fold(node) {
            Ok(None) => None,
            Ok(Some(values)) => Some(values.into_iter().map(Known::Value).collect()),
            Err(problem) => Some(node.outputs.iter().map(|_| Known::Failed(problem.clone())).collect::<Vec<_>>()),
        };
        if let Some(values) = values {
            for (&name, known) in node.outputs.iter().zip(values) {
                if let Known::Value(value) = &known {
                    self.count(value.len())?;
                }
                self.known.insert(name, known);
            }
            return Ok(());
        }
        let made = operators::lower(self, node)?;
        for (&name, id) in node.outputs.iter().zip(made) {
            self.known.insert(name, Known::Node(id));
        }
        Ok(())
    }

    /// The values of a node's outputs, where they don't depend on the network's input.
    fn fold(&self, node: &Node<'a>) -> Result<Option<Vec<Value>>, String> {
        // A constant may lie in a file of its own.
        if let ("Constant", Some(stored)) = (node.op_type, node.tensor("value").ok().flatten())
            && stored.external.is_some()
        {
            let tensor = Tensor::read(self.path, stored).map_err(|error| error.to_string())?;
            return Ok(Some(vec![Value::Constant(tensor)]));
        }
        let shape =
            |name: &&str| if let Some(Known::Node(id)) = self.known.get(name) { self.dims(*id) } else { vec![] };
        let shapes: Vec<Vec<Dim>> = node.inputs.iter().map(shape).collect();
        let input = |(name, shape)| match self.known.get(name) {
            Some(Known::Value(value)) => Some(value.input()),
            Some(Known::Node(_)) => Some(Input::Activation(shape)),
            _ => None,
        };
        let inputs: Vec<Option<Input<'_>>> =
            node.inputs.iter().copied().zip(shapes.iter().map(Vec::as_slice)).map(input).collect();
        fold::fold(node, self.opset, &inputs)
    }

    /// The shape of a node's output with the batch axis.
    fn dims(&self, id: NodeId) -> Vec<Dim> {
        let batch = Dim::Batch { times: 1 };
        [batch].into_iter().chain(self.shape(id).iter().map(|&n| Dim::Known(n as i64))).collect()
    }

    /// The shape of a sample of a node's output.
    pub fn shape(&self, id: NodeId) -> &[usize] {
        &self.network.nodes[id].shape
    }

    /// What input `i` of a node is; `None`: left out.
    pub fn get(&self, node: &Node<'a>, i: usize) -> Option<&Known> {
        node.inputs.get(i).and_then(|name| self.known.get(name))
    }

    /// The network's node behind an input.
    pub fn activation(&self, node: &Node<'a>, i: usize) -> Result<NodeId, String> {
        match self.get(node, i) {
            Some(Known::Node(id)) => Ok(*id),
            Some(_) => Err(format!("its input {i} is a constant")),
            None => Err(format!("its input {i} is missing")),
        }
    }

    /// The constant behind an input.
    pub fn constant(&self, node: &Node<'a>, i: usize) -> Result<&Tensor, String> {
        self.optional(node, i)?.ok_or_else(|| format!("its input {i} is missing"))
    }

    /// The same; `None`: left out.
    pub fn optional(&self, node: &Node<'a>, i: usize) -> Result<Option<&Tensor>, String> {
        match self.get(node, i) {
            None => Ok(None),
            Some(Known::Value(Value::Constant(tensor))) => Ok(Some(tensor)),
            Some(_) => Err(format!("its input {i} depends on the network's input; a constant is supported there")),
        }
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
        let called =
            if node.name.is_empty() { node.outputs.first().copied().unwrap_or(node.op_type) } else { node.name };
        let mut name = called.to_owned();
        for number in 2.. {
            if self.names.insert(name.clone()) {
                break;
            }
            name = format!("{called} ({number})");
        }
        self.network.push_named(&name, layer.into(), inputs).map_err(|error| error.to_string())
    }

    /// Makes an earlier node the last one.
    fn alias_output(&mut self, id: NodeId) -> Result<(), String> {
        let shape = self.shape(id).to_vec();
        let layer = crate::network::Reshape { shape: Some(shape) };
        self.network.push_named("output", layer.into(), &[id]).map(|_| ()).map_err(|error| error.to_string())
    }
}
