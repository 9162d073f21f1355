//! `eigenlens inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use self::memory::Memory;
use super::args::{DataArgs, DeviceArgs};
use super::pictures::NameArgs;
use super::{print, print_json, rows};
use crate::Result;
use crate::model::{Model, Origin};
use crate::network::{Interpolation, Layer, Layout, Sliding, Weight};
use crate::report::text::{count, serde_name};
use crate::specxai::is_cut;

mod cuts;
mod memory;

#[derive(clap::Args, Debug)]
#[command(args_override_self = true)]
pub struct Args {
    /// model.safetensors of a training, or a network as an .onnx file
    model: PathBuf,
    /// Data to look at the first of --rows of: every cut is listed then with its rows that are on there, and with how long
    /// an explanation would take
    #[arg(value_name = "DATA")]
    data: Vec<String>,
    /// Rows, as in `explain`; the first one is taken
    #[arg(long, default_value = "0", value_name = "ROWS")]
    rows: String,
    #[command(flatten)]
    names: NameArgs,
    #[command(flatten)]
    read: DataArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print the graph as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut model = Model::load(&args.model)?;
    let plans = if args.data.is_empty() {
        Vec::new()
    } else {
        let device = args.device.open()?;
        let rows = rows::load(&mut model, &args.data, &args.read, &args.names, &args.rows)?;
        cuts::plans(&model, &rows.inputs[..model.network.input_width()], BUDGET, MEMORY, &device)?
    };
    let network = &model.network;
    let layout = Layout::new(network);
    let memory = Memory::of(network);
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
                network.multiply_adds(id),
                id > 0 && is_cut(network, id),
            )
        })
        .collect();
    if args.json {
        let nodes: Vec<_> = rows
            .iter()
            .map(|(name, kind, inputs, shape, parameters, multiply_adds, cut)| {
                json!({
                    "name": name, "type": kind, "inputs": inputs, "shape": shape, "parameters": parameters,
                    "multiply_adds": multiply_adds, "cut": cut
                })
            })
            .collect();
        let cuts: Vec<_> =
            plans.iter().map(|plan| json!({ "name": network.nodes[plan.split].name, "plan": plan })).collect();
        let memory = memory.map(|memory| memory.json());
        let replicas = model.parameters.len();
        print_json(&json!({ "nodes": nodes, "replicas": replicas, "cuts": cuts, "memory": memory }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = vec![["node", "type", "reads", "shape", "parameters", "multiply-adds", "split"].map(str::to_owned)];
    for (name, kind, inputs, shape, parameters, multiply_adds, cut) in rows {
        let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
        let split = match (name, cut) {
            ("input", _) => "",
            (_, true) => "cut",
            (_, false) => "with a bypass",
        };
        let parameters = parameters.to_string();
        let multiply_adds = if multiply_adds > 0 { count(multiply_adds) } else { String::new() };
        lines.push([
            name.to_owned(),
            kind,
            inputs.join(", "),
            shape.join("×"),
            parameters,
            multiply_adds,
            split.to_owned(),
        ]);
    }
    let mut text = aligned(&lines, [false, false, false, true, true, true, false]);
    let replicas = model.parameters.len();
    text.push_str(&format!(
        "\n{} parameters{}, {} multiply-adds for a sample. Every node but the input can be named in --split; `--split all` takes the cuts.\n",
        layout.tensors.iter().map(|t| t.rows * t.cols).sum::<usize>(),
        if replicas > 1 { format!(" in each of {replicas} replicas") } else { String::new() },
        count((0..network.nodes.len()).map(|id| network.multiply_adds(id)).sum()),
    ));
    text.extend(memory.map(|memory| memory.sentence()));
    if let Origin::Onnx { removed: Some(removed) } = &model.description.origin {
        text.push_str(&format!("A final {removed} was taken off: what goes into it is predicted and explained.\n"));
    }
    if !plans.is_empty() {
        text.push_str(&format!(
            "\nExplaining this input at each cut ({} minutes and {} MiB at most, --budget and --memory of `explain`):\n{}",
            BUDGET / 60.0,
            MEMORY >> 20,
            aligned(&cuts::table(&model, &plans), [false, true, true, true, true, true, false])
        ));
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What `explain` allows by itself.
const BUDGET: f64 = 180.0;
const MEMORY: usize = 1 << 30;

/// Columns as wide as their content; numbers stand to the right.
fn aligned<const N: usize>(lines: &[[String; N]], right: [bool; N]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(widths).zip(right).map(|((cell, width), right)| match right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
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
        Layer::TransposedConvolution(layer) => {
            let groups = if layer.groups > 1 { format!(", {} groups", layer.groups) } else { String::new() };
            format!("transposed convolution {}{groups}", window(&layer.sliding))
        }
        Layer::Normalise(layer) => serde_name(&layer.kind).replace("standard", "mean 0, variance 1"),
        Layer::MatMul(_) => "matrix product".into(),
        Layer::Resize(layer) => match layer.interpolation {
            Interpolation::Nearest(_) => "resize, nearest".into(),
            Interpolation::Linear => "resize, linear".into(),
            Interpolation::Cubic { .. } => "resize, cubic".into(),
        },
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
