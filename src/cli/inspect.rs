//! `eigenlens inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::{print, print_json};
use crate::Result;
use crate::model::{Model, Origin};
use crate::network::{Layer, Layout, Sliding, Weight};
use crate::report::text::serde_name;
use crate::specxai::is_cut;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// model.safetensors of a training, or a network as an .onnx file
    model: PathBuf,
    /// Print the graph as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let model = Model::load(&args.model)?;
    let network = &model.network;
    let layout = Layout::new(network);
    let parameters = |id: usize| layout.tensors.iter().filter(|t| t.node == id).map(|t| t.rows * t.cols).sum::<usize>();
    let name = |id: &usize| network.nodes[*id].name.as_str();
    let rows: Vec<_> = network
        .nodes
        .iter()
        .enumerate()
        .map(|(id, node)| {
            let inputs: Vec<&str> = node.inputs.iter().map(name).collect();
            (
                node.name.as_str(),
                describe(&node.layer),
                inputs,
                &node.shape,
                parameters(id),
                id > 0 && is_cut(network, id),
            )
        })
        .collect();
    if args.json {
        let nodes: Vec<_> = rows
            .iter()
            .map(|(name, kind, inputs, shape, parameters, cut)| {
                json!({ "name": name, "type": kind, "inputs": inputs, "shape": shape, "parameters": parameters, "cut": cut })
            })
            .collect();
        print_json(&json!({ "nodes": nodes, "replicas": model.parameters.len() }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = vec![["node", "type", "reads", "shape", "parameters", "split"].map(str::to_owned)];
    for (name, kind, inputs, shape, parameters, cut) in rows {
        let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
        let split = match (name, cut) {
            ("input", _) => "",
            (_, true) => "cut",
            (_, false) => "with a bypass",
        };
        let parameters = parameters.to_string();
        lines.push([name.to_owned(), kind, inputs.join(", "), shape.join("×"), parameters, split.to_owned()]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(width);
    let mut text = String::new();
    for [name, kind, inputs, shape, parameters, split] in &lines {
        let line = format!("{name:<a$}  {kind:<b$}  {inputs:<c$}  {shape:>d$}  {parameters:>e$}  {split}");
        text.push_str(&format!("{}\n", line.trim_end()));
    }
    let replicas = model.parameters.len();
    text.push_str(&format!(
        "\n{} parameters{}. Every node but the input can be named in --split; `--split all` takes the cuts.\n",
        layout.tensors.iter().map(|t| t.rows * t.cols).sum::<usize>(),
        if replicas > 1 { format!(" in each of {replicas} replicas") } else { String::new() },
    ));
    if let Origin::Onnx { removed: Some(removed) } = &model.description.origin {
        text.push_str(&format!("A final {removed} was taken off: what goes into it is predicted and explained.\n"));
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn describe(layer: &Layer) -> String {
    match layer {
        Layer::Input { .. } => "input".into(),
        Layer::Dense(dense) => format!("dense{}", kind(dense.weight)),
        Layer::Activation(layer) => format!("activation, {}", serde_name(&layer.activation)),
        Layer::BatchNorm(_) => "batch norm".into(),
        Layer::Dropout(layer) => format!("dropout {}", layer.probability),
        Layer::Add(_) => "add".into(),
        Layer::Concat(_) => "concat".into(),
        Layer::Reshape(layer) => if layer.shape.is_some() { "reshape" } else { "flatten" }.into(),
        Layer::Convolution(layer) => {
            let groups = if layer.groups > 1 { format!(", {} groups", layer.groups) } else { String::new() };
            format!("convolution {}{groups}{}", window(&layer.sliding), kind(layer.weight))
        }
        Layer::MaxPool(layer) => format!("max-pool {}", window(&layer.sliding)),
        Layer::AveragePool(layer) => format!("average pool {}", window(&layer.sliding)),
        Layer::Scale(_) => "scale and shift".into(),
        Layer::Function(layer) => format!("function, {}", serde_name(&layer.function)),
        Layer::Product(_) => "product".into(),
        Layer::Permute(_) => "transpose".into(),
        Layer::Slice(_) => "slice".into(),
        Layer::Broadcast(_) => "broadcast".into(),
        Layer::Pad(_) => "pad".into(),
        Layer::Reduce(layer) => if layer.mean { "mean" } else { "sum" }.into(),
    }
}

/// What a weight is besides an ordinary one: one whose eigenvalues stay as they are is only penalised.
fn kind(weight: Weight) -> &'static str {
    match weight {
        Weight::Direct => "",
        Weight::Spectral(train) if train.lambda_in || train.lambda_out => ", spectral weight",
        Weight::Spectral(_) => ", penalised weight",
    }
}

/// A window's size, and its stride where it isn't 1: `3 × 3 / 2`.
fn window(sliding: &Sliding) -> String {
    let sizes = |sizes: &[usize]| sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ");
    let stride = &sliding.stride;
    match stride.iter().all(|s| s == &stride[0]) {
        true if stride.first().is_none_or(|&s| s == 1) => sizes(&sliding.kernel),
        true => format!("{} / {}", sizes(&sliding.kernel), stride[0]),
        false => format!("{} / {}", sizes(&sliding.kernel), sizes(stride)),
    }
}
