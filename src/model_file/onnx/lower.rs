//! From ONNX operators to nodes: a table of operators, and how each becomes what the network has.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::fold::{Budget, Value};
use super::lowering::{BatchAxis, Known, Lowering, Moved, Numbers};
use super::operators::{self, OPERATORS, ROUNDING};
use super::tensor::{Data, SMALLER, Tensor};
use super::wire::{Graph, Model, Node, StoredTensor, ValueInfo, ValueKind, shown};
use super::{batch, rows};
use crate::host::refuse_beyond_memory;
use crate::network::{Ending, Layer, Layout, Network, NodeId, Parameters};
use crate::{Error, Result};

/// A network read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    pub network: Network,
    pub parameters: Parameters,
    /// What was taken off the end.
    pub removed: Option<Ending>,
    /// What the file says of itself, by its keys.
    pub metadata: Vec<(String, String)>,
}

/// The operator sets that are read; later ones may mean other things by the same names.
const OLDEST: i64 = 7;
const NEWEST: i64 = 28;

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
    // Before it, sizes were broadcast by attributes that have another meaning since.
    if opset < OLDEST {
        let problem =
            format!("its operators are those of ONNX's operator set {opset}; {OLDEST} and later are supported");
        return Err(whole(problem, "export it again with a current exporter"));
    }
    if opset > NEWEST {
        let problem =
            format!("its operators are those of ONNX's operator set {opset}; those up to {NEWEST} are supported");
        return Err(whole(problem, "export it again with an older operator set (in PyTorch: opset_version)"));
    }
    let producers = producers(graph).map_err(|problem| whole(problem, "export it again"))?;
    let (output, removed) = output(graph, &producers)
        .map_err(|problem| whole(problem, "give a network with one tensor of numbers as its output"))?;
    let needed = needed(graph, &producers, [output]);
    let mut lowering = Lowering {
        path,
        opset,
        batch: None,
        batch_axis: BatchAxis::First,
        end: output,
        network: Network::new(&[1]),
        single: HashSet::new(),
        tensors: Vec::new(),
        known: HashMap::new(),
        readers: HashMap::new(),
        names: HashSet::from(["input".to_owned()]),
        elements: 0,
        unread: HashMap::new(),
        budget: Budget::default(),
    };
    let mut read = |name| *lowering.readers.entry(name).or_default() += 1;
    read(output);
    needed.iter().for_each(|&i| each_read(&graph.nodes[i], &mut read));
    lowering.unread = lowering.readers.clone();
    // As numbers and as parameters, before any is made: a small file can say that a large one beside it holds every tensor.
    let wanted = graph.initializers.iter().filter(|stored| lowering.readers.contains_key(stored.name));
    let claimed = wanted.map(Tensor::claimed).fold(0u64, u64::saturating_add).saturating_mul(2);
    refuse_beyond_memory(&format!("{}: the network", path.display()), claimed, SMALLER)?;
    for stored in &graph.initializers {
        initialise(&mut lowering, stored)?.map_err(|problem| whole(problem, "give a smaller network"))?;
    }
    lowering.input(graph).map_err(|problem| {
        whole(problem, "export it with one input whose sizes are fixed but for the first axis, the batch")
    })?;
    for &i in &needed {
        let node = &graph.nodes[i];
        lower_node(&mut lowering, node).map_err(|problem| {
            let remedy = remedy(node);
            Error::input(path, place(node, i), problem, remedy)
        })?;
        each_read(node, &mut |name| lowering.was_read(name));
        node.outputs.iter().for_each(|name| lowering.free_unread(name));
    }
    let last = lowering.known.get(output).cloned();
    match &last {
        Some(Known::Node(id)) if *id + 1 == lowering.network.nodes.len() && *id > 0 => {}
        Some(Known::Node(id)) => {
            // The output is an alias of an earlier node, or of one of a node's several outputs.
            lowering.alias_output(*id).map_err(|problem| whole(problem, "export it again"))?;
        }
        // Every sample's numbers stand together: as scikit-learn's regressions of several targets end, `[2·batch, 1]`.
        Some(Known::Moved(Moved { id, axis: 0, before: 1, .. })) => {
            lowering.alias_output(*id).map_err(|problem| whole(problem, "export it again"))?;
        }
        Some(Known::Moved(Moved { id, .. })) if lowering.is_of_one() => {
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
    let removed = removed.map(|i| {
        ending(&lowering, &graph.nodes[i], last.as_ref())
            .map_err(|problem| Error::input(path, place(&graph.nodes[i], i), problem, "export it again"))
    });
    let removed = removed.transpose()?;
    let Lowering { mut network, tensors, .. } = lowering;
    // What the file doesn't give is a bias, which is 0 and stays so.
    let given: HashSet<NodeId> = tensors.iter().filter(|(_, name, _)| *name == "bias").map(|(id, ..)| *id).collect();
    for (id, node) in network.nodes.iter_mut().enumerate() {
        let trained = match &mut node.layer {
            Layer::Dense(layer) => &mut layer.train_bias,
            Layer::Convolution(layer) => &mut layer.train_bias,
            Layer::TransposedConvolution(layer) => &mut layer.train_bias,
            _ => continue,
        };
        *trained = given.contains(&id);
    }
    let layout = Layout::new(&network);
    let mut parameters = Parameters::zeros(&layout);
    for (node, name, numbers) in tensors {
        if let Some(number) = numbers.not_finite() {
            let place = format!("node {}", shown(&network.nodes[node].name));
            let number = if number.is_nan() { "a NaN" } else { "an infinite number" };
            let problem = format!("its {name} has {number}, and so would what is behind it");
            return Err(Error::input(path, place, problem, "save the network from before its training diverged"));
        }
        let tensor = layout.find(node, name).expect("invariant: lowering names tensors that the node has");
        match numbers {
            Numbers::Single(values) => parameters.set_single(tensor, &values),
            Numbers::Double(values) => parameters.set(tensor, &values),
        }
    }
    let metadata = model.metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Ok(Imported { network, parameters, removed, metadata })
}

/// What helps where a node can't be read.
fn remedy(node: &Node<'_>) -> String {
    let known = OPERATORS.contains(&node.op_type) || !matches!(node.domain, "" | "ai.onnx");
    match node.domain {
        "" | "ai.onnx" if ROUNDING.contains(&node.op_type) => {
            "give the network that it was quantised from, in floating point, or one with its weights alone quantised"
                .into()
        }
        // As it leaves files that it has optimised.
        domain if domain.starts_with("com.microsoft") => "give the file from before ONNX Runtime optimised it".into(),
        _ if known => {
            "write that part of the network otherwise (docs/onnx.md lists what is read of each operator)".into()
        }
        _ => format!("supported are {}", OPERATORS.join(", ")),
    }
}

/// Node number `i` of its graph, with its operator, for a message.
fn place(node: &Node<'_>, i: usize) -> String {
    let called = if node.name.is_empty() { node.place(i) } else { format!("node {}", shown(node.name)) };
    format!("{called}, {}", shown(node.op_type))
}

/// Takes a tensor of the file, if anything reads it.
fn initialise<'a>(to: &mut Lowering<'a>, stored: &StoredTensor<'a>) -> Result<Result<(), String>> {
    if !to.readers.contains_key(stored.name) {
        return Ok(Ok(()));
    }
    let tensor = Tensor::read(to.path, stored)?;
    let counted = to.hold(tensor.data.len());
    to.known.insert(stored.name, Known::Value(Value::Constant(tensor)));
    Ok(counted)
}

/// Every name that a node reads, and that its graphs read.
fn each_read<'a>(node: &Node<'a>, read: &mut impl FnMut(&'a str)) {
    node.inputs.iter().for_each(|name| read(name));
    for graph in node.subgraphs() {
        graph.outputs.iter().for_each(|output| read(output.name));
        graph.nodes.iter().for_each(|node| each_read(node, read));
    }
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

/// What a node that was taken off makes of the network's outputs.
fn ending(lowering: &Lowering<'_>, node: &Node<'_>, of: Option<&Known>) -> Result<Ending, String> {
    let shape = lowering.shape(lowering.network.nodes.len() - 1);
    let axes = match (node.op_type, of) {
        ("Sigmoid", _) => 0..0,
        (_, Some(Known::Moved(moved))) => moved.softmax_axes(lowering, node)?,
        _ => operators::normalise::softmax_axes(lowering, node, shape.len())?,
    };
    Ok(Ending::new(node.op_type, shape, axes))
}

/// The value to be explained, and the node that was taken off behind it.
fn output<'a>(graph: &Graph<'a>, producers: &HashMap<&'a str, usize>) -> Result<(&'a str, Option<usize>), String> {
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
        let Some(&i) = producers.get(name) else { break };
        let node = &graph.nodes[i];
        let Some(&input) = node.inputs.first() else { break };
        match node.op_type {
            // scikit-learn's classifiers give a map from class to probability.
            "ZipMap" | "Identity" => name = input,
            "Softmax" | "LogSoftmax" | "Sigmoid" if removed.is_none() => {
                removed = Some(i);
                name = input;
            }
            _ => break,
        }
    }
    Ok((name, removed))
}

/// The nodes that values depend on, in the order of the file.
fn needed<'a>(
    graph: &Graph<'a>,
    producers: &HashMap<&'a str, usize>,
    outputs: impl IntoIterator<Item = &'a str>,
) -> Vec<usize> {
    let mut needed = vec![false; graph.nodes.len()];
    let mut open: Vec<&str> = outputs.into_iter().collect();
    while let Some(name) = open.pop() {
        if let Some(&i) = producers.get(name)
            && !std::mem::replace(&mut needed[i], true)
        {
            each_read(&graph.nodes[i], &mut |name| open.push(name));
        }
    }
    (0..needed.len()).filter(|&i| needed[i]).collect()
}

/// Evaluates a node, or adds it to the network.
fn lower_node<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<(), String> {
    for name in node.inputs.iter().filter(|name| !name.is_empty()) {
        match to.known.get(name) {
            None => return Err(format!("it reads {}, which nothing before it makes", shown(name))),
            Some(Known::Failed(problem)) => return Err(format!("it reads {}, and there {problem}", shown(name))),
            Some(_) => {}
        }
    }
    if node.op_type == "If" && node.domain.is_empty() {
        return lower_branch(to, node);
    }
    if node.subgraphs().next().is_some() {
        return Err("it has a graph of its own, which is read of If alone".into());
    }
    if let Some((gather, places)) = operators::as_gather(to, node)? {
        let (name, places) = (node.inputs[1], Known::Value(Value::Constant(places)));
        let own = to.known.insert(name, places);
        let lowered = lower_node(to, &gather);
        to.known.extend(own.map(|own| (name, own)));
        return lowered;
    }
    if let Some(rows) = rows::rows(to, node) {
        for (&name, rows) in node.outputs.iter().zip(rows) {
            to.count(rows.offset.data.len())?;
            to.known.insert(name, Known::Rows(rows));
        }
        return Ok(());
    }
    let values = match to.fold(node) {
        Ok(None) => None,
        Ok(Some(values)) => Some(values.into_iter().map(Known::Value).collect()),
        Err(problem) if to.budget.is_spent() => return Err(problem),
        Err(problem) => Some(node.outputs.iter().map(|_| Known::Failed(problem.clone())).collect::<Vec<_>>()),
    };
    if let Some(values) = values {
        for (&name, known) in node.outputs.iter().zip(values) {
            if let Known::Value(value) = &known {
                // What stands in the node itself is the file's.
                if node.op_type == "Constant" { to.hold(value.len())? } else { to.count(value.len())? }
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

/// Lowers the graph that an If takes: it sees the names around it, and its own end with it.
fn lower_branch<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<(), String> {
    let branch =
        match to.get(node, 0) {
            Some(Known::Value(Value::Constant(Tensor { data: Data::Bool(truth), .. }))) if truth.len() == 1 => {
                if truth[0] { "then_branch" } else { "else_branch" }
            }
            Some(Known::Value(Value::Constant(_))) => return Err("its condition is no single truth value".into()),
            Some(_) => return Err("its condition depends on the network's input; a constant one is supported".into()),
            None => return Err("its condition is missing".into()),
        };
    let graph = node.graph(branch)?.ok_or_else(|| format!("its {branch} is missing"))?;
    let inside = |problem: String| format!("in its {branch} {problem}");
    if graph.outputs.len() != node.outputs.len() {
        let (given, wanted) = (graph.outputs.len(), node.outputs.len());
        return Err(inside(format!("{given} values are given, and it has {wanted} outputs")));
    }
    let producers = producers(graph).map_err(inside)?;
    let needed = needed(graph, &producers, graph.outputs.iter().map(|output| output.name));
    let own: HashSet<&str> = producers.keys().copied().chain(graph.initializers.iter().map(|t| t.name)).collect();
    let around: Vec<(&str, Option<Known>)> = own.into_iter().map(|name| (name, to.known.remove(name))).collect();
    for stored in &graph.initializers {
        initialise(to, stored).map_err(|error| error.to_string()).and_then(|counted| counted).map_err(inside)?;
    }
    for i in needed {
        let node = &graph.nodes[i];
        lower_node(to, node).map_err(|problem| inside(format!("{}: {problem}", place(node, i))))?;
    }
    let result = |output: &ValueInfo<'a>| {
        let nothing = || inside(format!("nothing makes its output {}", shown(output.name)));
        to.known.get(output.name).cloned().ok_or_else(nothing)
    };
    let results = graph.outputs.iter().map(result).collect::<Result<Vec<Known>, String>>()?;
    for (name, known) in around {
        match known {
            Some(known) => to.known.insert(name, known),
            None => to.known.remove(name),
        };
    }
    for (&name, known) in node.outputs.iter().zip(results) {
        if let Known::Value(value) = &known {
            to.budget.make(value.len())?;
            to.count(value.len())?;
        }
        to.known.insert(name, known);
    }
    Ok(())
}
