//! From ONNX operators to nodes: a table of operators, and how each becomes what the network has.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::batch;
use super::fold::Value;
use super::lowering::{Known, Lowering, Numbers};
use super::operators::{self, OPERATORS};
use super::tensor::Tensor;
use super::wire::{Graph, Model, Node, ValueKind, shown};
use crate::network::{Layout, Network, Parameters};
use crate::{Error, Result};

/// A network read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    pub network: Network,
    pub parameters: Parameters,
    /// What was taken off the end: the operator, as in `Softmax`.
    pub removed: Option<String>,
    /// What the file says of itself, by its keys.
    pub metadata: Vec<(String, String)>,
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
        batch_axis: None,
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
        lower_node(&mut lowering, node).map_err(|problem| {
            let remedy = format!("supported are {}", OPERATORS.join(", "));
            Error::input(path, format!("{place}, {}", shown(node.op_type)), problem, remedy)
        })?;
    }
    match lowering.known.get(output) {
        Some(Known::Node(id)) if *id + 1 == lowering.network.nodes.len() && *id > 0 => {}
        Some(Known::Node(id)) => {
            // The output is an alias of an earlier node, or of one of a node's several outputs.
            lowering.alias_output(*id).map_err(|problem| whole(problem, "export it again"))?;
        }
        Some(Known::Moved(_)) => {
            let problem = format!("the batch isn't the first axis of its output {}", shown(output));
            return Err(whole(problem, "export a network whose output keeps the batch as its first axis"));
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
    // What the file doesn't give is a bias, which is 0.
    let mut parameters = Parameters::zeros(&layout);
    for (node, name, numbers) in tensors {
        let tensor = layout.find(node, name).expect("invariant: lowering names tensors that the node has");
        match numbers {
            Numbers::Single(values) => parameters.set_single(tensor, &values),
            Numbers::Double(values) => parameters.set(tensor, &values),
        }
    }
    let metadata = model.metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Ok(Imported { network, parameters, removed, metadata })
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
    // As many steps as there are nodes: in a damaged file an end may lead to itself.
    for _ in 0..graph.nodes.len() {
        let Some(node) = producers.get(name).map(|&i| &graph.nodes[i]) else { break };
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

/// Evaluates a node, or adds it to the network.
fn lower_node<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<(), String> {
    if node.has_subgraph() {
        return Err("it has a graph of its own, which isn't supported".into());
    }
    for name in node.inputs.iter().filter(|name| !name.is_empty()) {
        match to.known.get(name) {
            None => return Err(format!("it reads {}, which nothing before it makes", shown(name))),
            Some(Known::Failed(problem)) => return Err(format!("it reads {}, and there {problem}", shown(name))),
            Some(_) => {}
        }
    }
    if let Some(rows) = batch::rows(to, node) {
        to.count(rows.offset.data.len())?;
        to.known.extend(node.outputs.first().map(|&name| (name, Known::Rows(rows))));
        return Ok(());
    }
    let values = match to.fold(node) {
        Ok(None) => None,
        Ok(Some(values)) => Some(values.into_iter().map(Known::Value).collect()),
        Err(problem) => Some(node.outputs.iter().map(|_| Known::Failed(problem.clone())).collect::<Vec<_>>()),
    };
    if let Some(values) = values {
        for (&name, known) in node.outputs.iter().zip(values) {
            if let Known::Value(value) = &known {
                to.count(value.len())?;
            }
            to.known.insert(name, known);
        }
        return Ok(());
    }
    let made = match batch::lower(to, node)? {
        Some(made) => made,
        None => operators::lower(to, node)?.into_iter().map(Known::Node).collect(),
    };
    to.known.extend(node.outputs.iter().copied().zip(made));
    Ok(())
}
