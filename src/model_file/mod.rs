//! Model files: `model.safetensors` and ONNX (see `docs/formats.md`).

mod description;
pub mod onnx;

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Deserialize;
use serde_json::Value;

use crate::data::{Axis, CHANNEL};
use crate::host::refuse_beyond_memory;
use crate::model::{Description, Model};
use crate::network::{Layout, Network, Node, Parameters, Tensor};
use crate::run::settle;
use crate::{Error, Result, write};

/// Written into every file, checked on loading.
const FORMAT: &str = "eigenlens-model-1";

/// Nodes that a network in a file may have: far more than any training here makes.
const MOST_NODES: usize = 10_000;

/// What stands for a model on the command line.
const MODELS: &str = "give a model.safetensors that `eigenlens train` wrote, whole and unchanged, or an .onnx file";

impl Model {
    /// Writes the model, through a temporary file that is renamed when it is whole.
    ///
    /// # Errors
    /// [`Error::Io`] when the file can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let layout = Layout::new(&self.network);
        let stacked: Vec<(String, Vec<usize>, Vec<u8>)> = layout
            .tensors
            .iter()
            .map(|tensor| {
                let values = self.parameters.iter().flat_map(|p| p.get(tensor)).map(|x| x as f32);
                let bytes = values.flat_map(f32::to_le_bytes).collect();
                (tensor.path.clone(), vec![self.parameters.len(), tensor.rows, tensor.cols], bytes)
            })
            .collect();
        let views = stacked.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("invariant: bytes fit the shape");
            (name.as_str(), view)
        });
        let json = |value: serde_json::Result<String>| value.expect("invariant: plain data serialises");
        let metadata = HashMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("eigenlens".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("description".to_owned(), json(serde_json::to_string(&self.description))),
            ("network".to_owned(), json(serde_json::to_string(&self.network))),
        ]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| {
            Error::io("write", path, std::io::Error::other(e.to_string()), "please report this as a bug")
        })?;
        let bytes = sorted(&bytes);
        write::atomic(path, |out| out.write_all(&bytes))
    }

    /// Reads a model that this program trained.
    ///
    /// # Errors
    /// Those of [`Model::load`], and [`Error::Input`] for an ONNX file.
    pub fn load_trained(path: impl AsRef<Path>) -> Result<Model> {
        let model = Model::load(&path)?;
        if model.description.origin.is_trained() {
            return Ok(model);
        }
        let problem = "a network that wasn't trained here has no eigenvalues, which the ranking is by";
        Err(Error::input(path, "network", problem, "use explain, similarity or predict with it"))
    }

    /// Reads a model that this program trained, or an ONNX file (by its ending, `.onnx`).
    ///
    /// # Errors
    /// [`Error::Input`] for a file that is broken or not a model of this program, [`Error::Io`] for one that can't be read.
    pub fn load(path: impl AsRef<Path>) -> Result<Model> {
        let path = path.as_ref();
        if onnx::is_named(path) {
            return onnx::load_model(path);
        }
        if path.is_dir() {
            let inside = path.join("model.safetensors");
            let remedy = match inside.is_file() {
                true => format!("give {}", inside.display()),
                false => MODELS.to_owned(),
            };
            return Err(Error::input(path, "model", "it is a folder", remedy));
        }
        path.parent().map_or(Ok(()), settle)?;
        let unreadable = |e| Error::io("read", path, e, MODELS);
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        // The bytes, their numbers in double precision, and the parameters.
        refuse_beyond_memory(&format!("reading {}", path.display()), length.saturating_mul(4), "close other programs")?;
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let broken = |place: &str, problem: String| {
            Error::input(
                path,
                place,
                problem,
                "give a model.safetensors that `eigenlens train` wrote, whole and unchanged",
            )
        };
        let (_, header) = SafeTensors::read_metadata(&bytes)
            .map_err(|e| Error::input(path, "header", format!("it is not a model file, or damaged ({e})"), MODELS))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        if metadata.get("format").map(String::as_str) != Some(FORMAT) {
            let found = metadata.get("format").map_or("none", String::as_str);
            return Err(broken("header", format!("its format is {found:.40}, not {FORMAT}")));
        }
        let text = |key: &str| metadata.get(key).ok_or_else(|| broken("header", format!("it has no {key}")));
        let parse = |key: &str, e: serde_json::Error| broken("header", format!("its {key} can't be read ({e})"));
        let description: Description =
            serde_json::from_str(text("description")?).map_err(|e| parse("description", e))?;
        let graph = serde_json::from_str(text("network")?).map_err(|e| parse("network", e))?;
        let claimed = claimed(&graph).map_err(|problem| broken("network", problem))?;
        let network = rebuild(&claimed).map_err(|problem| broken("network", problem))?;
        description::check(&description, &network).map_err(|problem| broken("description", problem))?;
        let first = network.first_layer();
        if first.is_some_and(|first| first.channels && !fits(&description.axes, first.sources)) {
            return Err(broken("network", "its channels don't fit the axes of its description".into()));
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| broken("tensors", e.to_string()))?;
        let replicas = description.settings.replicas.len();
        let layout = Layout::new(&network);
        // Every tensor is checked before room is made for the whole: a false size can't take the memory.
        let mut values = Vec::new();
        for tensor in &layout.tensors {
            values.push(read_tensor(&tensors, tensor, replicas).map_err(|problem| broken(&tensor.path, problem))?);
        }
        let mut parameters: Vec<Parameters> = (0..replicas).map(|_| Parameters::zeros(&layout)).collect();
        for (tensor, values) in layout.tensors.iter().zip(&values) {
            for (replica, values) in parameters.iter_mut().zip(values.chunks_exact(tensor.rows * tensor.cols)) {
                replica.set(tensor, values);
            }
        }
        Ok(Model { description, network, parameters })
    }
}

/// A safetensors file with the keys of its header in order, which the crate writes in that of a hash table: the same model is the same bytes.
fn sorted(bytes: &[u8]) -> Vec<u8> {
    let valid = "invariant: the crate writes a length, JSON of it, and the tensors";
    let (length, rest) = bytes.split_first_chunk::<8>().expect(valid);
    let (header, tensors) = rest.split_at(u64::from_le_bytes(*length) as usize);
    // Maps of serde_json have their keys in order.
    let header: Value = serde_json::from_slice(header).expect(valid);
    let mut header = header.to_string().into_bytes();
    // Tensors begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, tensors].concat()
}

/// Whether rows with these axes have so many channels.
fn fits(axes: &[Axis], channels: usize) -> bool {
    axes.iter().find(|axis| axis.name == CHANNEL).map_or(1, |axis| axis.len) == channels
}

/// The network as the file has it, node by node, so that one that can't be read is named.
fn claimed(graph: &Value) -> Result<Network, String> {
    let nodes = graph["nodes"].as_array().ok_or("it has no nodes")?;
    let node = |(id, node): (usize, &Value)| {
        Node::deserialize(node).map_err(|e| {
            let name = node["name"].as_str().map_or_else(|| id.to_string(), str::to_owned);
            let kind = node["layer"]["type"].as_str().unwrap_or("unknown");
            format!("node {name:.40} of type {kind:.40} can't be read ({e})")
        })
    };
    Ok(Network { nodes: nodes.iter().enumerate().map(node).collect::<Result<_, _>>()? })
}

/// Builds the network anew, so that its shapes are inferred and checked and not believed.
fn rebuild(claimed: &Network) -> Result<Network, String> {
    let input = claimed.nodes.first().ok_or("it has no nodes")?;
    if claimed.nodes.len() > MOST_NODES {
        return Err(format!("it has {} nodes; {MOST_NODES} are supported", claimed.nodes.len()));
    }
    if input.shape.contains(&0) {
        return Err(format!("its input has the impossible shape {:?}", input.shape));
    }
    // What is rebuilt has the shapes claimed, or is refused.
    claimed.check_trainable().map_err(|e| e.to_string())?;
    let mut network = Network::new(&input.shape);
    for node in &claimed.nodes[1..] {
        let id = network.push(node.layer.clone(), &node.inputs).map_err(|e| e.to_string())?;
        if network.nodes[id] != *node {
            return Err(format!("node {:.40} is not what its layer makes of its inputs", node.name));
        }
    }
    Ok(network)
}

fn read_tensor(tensors: &SafeTensors<'_>, tensor: &Tensor, replicas: usize) -> Result<Vec<f64>, String> {
    let view = tensors.tensor(&tensor.path).map_err(|_| "the tensor is missing".to_owned())?;
    let shape = [replicas, tensor.rows, tensor.cols];
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(format!("it is {:?} {:?} instead of F32 {shape:?}", view.dtype(), view.shape()));
    }
    let values: Vec<f64> =
        view.data().chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("four bytes")))).collect();
    match values.iter().position(|x| !x.is_finite()) {
        Some(i) => Err(format!("element {i} is not finite")),
        None => Ok(values),
    }
}
