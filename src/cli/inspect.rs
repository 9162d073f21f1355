//! `eigenlens inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use self::memory::Memory;
use super::args::{DeviceArgs, GivenArgs};
use super::{print, print_json, rows};
use crate::Result;
use crate::model::{Model, Origin};
use crate::network::{Interpolation, Layer, Layout, Node, NodeId, Sliding, Weight};
use crate::report::text::{count, serde_name};
use crate::specxai::{SplitPlan, are_cuts};

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
    given: GivenArgs,
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
        let rows = rows::load(&mut model, &args.data, &args.given, &args.rows)?;
        cuts::plans(&model, &rows.inputs[..model.network.input_width()], BUDGET, MEMORY, &device)?
    };
    let listed = Listed::of(&model, plans);
    if args.json {
        print_json(&listed.json())?
    } else {
        print(&listed.text())?
    }
    Ok(ExitCode::SUCCESS)
}

/// What is told of a network.
struct Listed<'a> {
    model: &'a Model,
    layout: Layout,
    memory: Option<Memory>,
    /// The nodes that every path passes through.
    cuts: Vec<bool>,
    /// Of every cut at one input, if that was given.
    plans: Vec<SplitPlan>,
}

impl<'a> Listed<'a> {
    fn of(model: &'a Model, plans: Vec<SplitPlan>) -> Self {
        let network = &model.network;
        Listed { model, layout: Layout::new(network), memory: Memory::of(network), cuts: are_cuts(network), plans }
    }

    fn name(&self, id: NodeId) -> &'a str {
        &self.model.network.nodes[id].name
    }

    /// Numbers that the model holds for a node. A bias that isn't trained is 0: there is none.
    fn parameters(&self, id: NodeId) -> usize {
        let tensors = self.layout.of(id);
        tensors.iter().filter(|t| t.trained || t.name != "bias").map(|t| t.rows * t.cols).sum()
    }

    fn is_cut(&self, id: NodeId) -> bool {
        id > 0 && self.cuts[id]
    }

    fn json(&self) -> Value {
        let network = &self.model.network;
        let node = |(id, node): (NodeId, &Node)| {
            let inputs: Vec<&str> = node.inputs.iter().map(|&input| self.name(input)).collect();
            json!({
                "name": node.name, "type": describe(&node.layer), "inputs": inputs, "shape": node.shape,
                "parameters": self.parameters(id), "multiply_adds": network.multiply_adds(id), "cut": self.is_cut(id)
            })
        };
        let nodes: Vec<_> = network.nodes.iter().enumerate().map(node).collect();
        // What an explanation would take is known of an input only.
        let cuts: Vec<_> = match self.plans.is_empty() {
            true => {
                let cuts = (0..network.nodes.len()).filter(|&id| self.is_cut(id));
                cuts.map(|id| json!({ "name": self.name(id) })).collect()
            }
            false => self.plans.iter().map(|plan| json!({ "name": self.name(plan.split), "plan": plan })).collect(),
        };
        let memory = self.memory.as_ref().map(Memory::json);
        json!({ "nodes": nodes, "replicas": self.model.parameters.len(), "cuts": cuts, "memory": memory })
    }

    fn text(&self) -> String {
        let network = &self.model.network;
        let header = ["node", "type", "reads", "shape", "parameters", "multiply-adds", "split"].map(str::to_owned);
        let line = |(id, node): (NodeId, &Node)| {
            let reads: Vec<&str> = node.inputs.iter().map(|&input| self.name(input)).collect();
            let shape: Vec<String> = node.shape.iter().map(usize::to_string).collect();
            let multiply_adds = Some(network.multiply_adds(id)).filter(|&n| n > 0).map(count);
            let split = match (id, self.is_cut(id)) {
                (0, _) => "",
                (_, true) => "cut",
                (_, false) => "with a bypass",
            };
            [
                node.name.clone(),
                describe(&node.layer),
                reads.join(", "),
                shape.join("×"),
                self.parameters(id).to_string(),
                multiply_adds.unwrap_or_default(),
                split.to_owned(),
            ]
        };
        let lines: Vec<_> = [header].into_iter().chain(network.nodes.iter().enumerate().map(line)).collect();
        let mut text = aligned(&lines, [false, false, false, true, true, true, false]);
        let replicas = self.model.parameters.len();
        text.push_str(&format!(
            "\n{} parameters{}, {} multiply-adds for a sample. Every node but the input can be named in --split; `--split all` takes the cuts.\n",
            (0..network.nodes.len()).map(|id| self.parameters(id)).sum::<usize>(),
            if replicas > 1 { format!(" in each of {replicas} replicas") } else { String::new() },
            count((0..network.nodes.len()).map(|id| network.multiply_adds(id)).sum()),
        ));
        text.extend(self.memory.as_ref().map(Memory::sentence));
        if let Origin::Onnx { removed: Some(removed) } = &self.model.description.origin {
            text.push_str(&format!("A final {removed} was taken off: what goes into it is predicted and explained.\n"));
        }
        if !self.plans.is_empty() {
            text.push_str(&format!(
                "\nExplaining this input at each cut ({} minutes and {} MiB at most, --budget and --memory of `explain`):\n{}",
                BUDGET / 60.0,
                MEMORY >> 20,
                aligned(&cuts::table(self.model, &self.plans), [false, true, true, true, true, true, false])
            ));
        }
        text
    }
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
