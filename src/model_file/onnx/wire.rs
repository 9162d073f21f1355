//! The messages of an ONNX file (ModelProto and what is inside it), as they stand there: nothing is copied but lists of
//! numbers.
//!
//! Strict: what isn't valid is refused with its place. Fields that aren't known or needed are passed over.

mod field;
mod kind;
#[cfg(test)]
mod tests;

use std::path::Path;

use self::field::{Fault, Field, Message};
pub use self::kind::{Length, ValueKind};
use crate::{Error, Result};

/// How deep graphs may stand inside nodes of others.
const MOST_NESTED: usize = 16;

/// A model file.
#[derive(Debug, Default)]
pub struct Model<'a> {
    pub ir_version: i64,
    /// The program that wrote it, as `pytorch`; empty if unsaid.
    pub producer: &'a str,
    pub opsets: Vec<Opset<'a>>,
    /// Keys and values, in the file's order.
    pub metadata: Vec<(&'a str, &'a str)>,
    pub graph: Graph<'a>,
}

/// The version of a set of operators; the domain of ONNX's own is empty.
#[derive(Debug, Default)]
pub struct Opset<'a> {
    pub domain: &'a str,
    pub version: i64,
}

/// The graph: at least one node, each with its operator's name.
#[derive(Debug, Default)]
pub struct Graph<'a> {
    pub name: &'a str,
    pub nodes: Vec<Node<'a>>,
    pub initializers: Vec<StoredTensor<'a>>,
    pub inputs: Vec<ValueInfo<'a>>,
    pub outputs: Vec<ValueInfo<'a>>,
    /// What is said of values in between.
    pub values: Vec<ValueInfo<'a>>,
}

/// One application of an operator.
#[derive(Debug, Default)]
pub struct Node<'a> {
    /// May be empty.
    pub name: &'a str,
    pub op_type: &'a str,
    /// Empty for ONNX's own operators.
    pub domain: &'a str,
    /// Names of values; an empty one is an optional input that is left out.
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    pub attributes: Vec<Attribute<'a>>,
}

/// A named setting of a node.
#[derive(Debug)]
pub struct Attribute<'a> {
    pub name: &'a str,
    pub value: AttributeValue<'a>,
}

/// What an attribute holds.
#[derive(Debug)]
pub enum AttributeValue<'a> {
    Float(f32),
    Int(i64),
    /// UTF-8 by ONNX's rules, which not every program keeps.
    String(&'a [u8]),
    Tensor(Box<StoredTensor<'a>>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Strings(Vec<&'a [u8]>),
    /// One graph or several, whose inside isn't read.
    Subgraph(Box<Graph<'a>>),
    /// Anything else, whose inside isn't read either: its kind in words.
    Other(&'static str),
}

/// A tensor as the file stores it: `tensor::Tensor::read` makes numbers of it.
#[derive(Debug, Default)]
pub struct StoredTensor<'a> {
    /// Empty for the tensor of an attribute.
    pub name: &'a str,
    pub dims: Vec<i64>,
    /// `TensorProto.DataType`.
    pub elem_type: i64,
    pub floats: Vec<f32>,
    /// `int32_data`, which holds most of the small types.
    pub int32s: Vec<i64>,
    pub int64s: Vec<i64>,
    pub doubles: Vec<f64>,
    pub uint64s: Vec<u64>,
    pub strings: Vec<&'a [u8]>,
    pub raw: Option<&'a [u8]>,
    /// Keys and values that say where the data lies, if that is another file.
    pub external: Option<Vec<(&'a str, &'a str)>>,
}

/// Name and type of an input, an output or a value in between.
#[derive(Debug, Default)]
pub struct ValueInfo<'a> {
    pub name: &'a str,
    pub kind: ValueKind<'a>,
}

/// Reads a model from the bytes of the file at `path`, which is named in errors.
///
/// # Errors
/// [`Error::Input`] for bytes that are damaged, cut off or no ONNX model, for a graph without nodes, and for what isn't
/// supported: sparse initialisers, segmented tensors, model-local functions that a node uses.
pub fn read_model<'a>(path: &Path, bytes: &'a [u8]) -> Result<Model<'a>> {
    Model::read(bytes).map_err(|fault| match foreign(bytes) {
        Some(found) => Error::input(path, "file", format!("{found}, not an ONNX model"), "give an .onnx file"),
        None => Error::input(
            path,
            fault.whole_place(),
            fault.problem,
            "check that it is an ONNX model, and export or copy it again",
        ),
    })
}

/// What bytes that are no model are instead, if that shows.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    let starts: [(usize, &[u8], &'static str); 9] = [
        (0, b"PK\x03\x04", "it is a zip archive (as PyTorch's .pt and NumPy's .npz are)"),
        (0, b"\x1f\x8b", "it is compressed with gzip"),
        (0, b"\x89HDF", "it is an HDF5 file (as Keras' .h5 is)"),
        (0, b"\x93NUMPY", "it is a NumPy array"),
        (0, b"\x80\x02", "it is a Python pickle"),
        (8, b"{\"", "it is a safetensors file"),
        (0, b"version https://git-lfs", "it is a Git LFS pointer (`git lfs pull` fetches the file)"),
        (4, b"TFL3", "it is a TensorFlow Lite model"),
        (4, b"ORTM", "it is in ONNX Runtime's own format"),
    ];
    if bytes.is_empty() {
        return Some("the file is empty");
    }
    let known = starts.into_iter().find(|(at, start, _)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(start)));
    if let Some((_, _, what)) = known {
        return Some(what);
    }
    // A text may be cut in the middle of a letter here.
    let start = &bytes[..bytes.len().min(256)];
    let text = match str::from_utf8(start) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() => str::from_utf8(&start[..e.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r')).then_some("it is a text file")
}

/// A name from the file, short and without control characters, for a message.
#[must_use]
pub fn shown(name: &str) -> String {
    name.chars().take(60).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// ONNX's own domain has two names.
fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

fn key_and_value(mut message: Message<'_>) -> Result<(&str, &str), Fault> {
    let (mut key, mut value) = ("", "");
    while let Some(field) = message.field()? {
        match field.number {
            1 => key = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((key, value))
}

impl<'a> Model<'a> {
    /// The version of the operators of a domain (empty for ONNX's own), if the model uses them.
    #[must_use]
    pub fn opset(&self, domain: &str) -> Option<i64> {
        self.opsets.iter().find(|opset| opset.domain == domain).map(|opset| opset.version)
    }

    fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut model = Model::default();
        let (mut graph, mut functions) = (None, Vec::new());
        let mut message = Message::new(bytes);
        while let Some(field) = message.field()? {
            match field.number {
                1 => model.ir_version = field.int()?,
                2 => model.producer = field.text()?,
                7 if graph.is_some() => return Err(Fault::refused("it has two graphs")),
                7 => graph = Some(Graph::read(field.message()?, 0)?),
                8 => model.opsets.push(Opset::read(field.message()?)?),
                14 => model.metadata.push(key_and_value(field.message()?)?),
                25 => functions.push(function(field.message()?)?),
                _ => {}
            }
        }
        model.graph =
            graph.ok_or_else(|| Fault::refused("it holds no graph: it is not an ONNX model, or is cut off"))?;
        if model.graph.nodes.is_empty() {
            return Err(Fault::refused("its graph has no nodes").inside("graph"));
        }
        if model.opsets.is_empty() {
            return Err(Fault::refused("it doesn't say of what version its operators are (opset_import)"));
        }
        functions.sort_unstable();
        model.graph.refuse_calls(&functions)?;
        Ok(model)
    }
}

/// Domain and name of a function.
fn function(mut message: Message<'_>) -> Result<(&str, &str), Fault> {
    let (mut of, mut name) = ("", "");
    while let Some(field) = message.field()? {
        match field.number {
            1 => name = field.text()?,
            10 => of = domain(field.text()?),
            _ => {}
        }
    }
    Ok((of, name))
}

impl<'a> Opset<'a> {
    fn read(mut message: Message<'a>) -> Result<Self, Fault> {
        let mut opset = Opset::default();
        while let Some(field) = message.field()? {
            match field.number {
                1 => opset.domain = domain(field.text()?),
                2 => opset.version = field.int()?,
                _ => {}
            }
        }
        Ok(opset)
    }
}

impl<'a> Graph<'a> {
    /// A graph inside `depth` others.
    fn read(mut message: Message<'a>, depth: usize) -> Result<Self, Fault> {
        let mut graph = Graph::default();
        while let Some(field) = message.field()? {
            match field.number {
                1 => {
                    let mut node = Node::default();
                    let read = node.fill(&field, depth);
                    read.map_err(|fault| fault.inside(node.place(graph.nodes.len())))?;
                    graph.nodes.push(node);
                }
                2 => graph.name = field.text()?,
                5 => {
                    let mut tensor = StoredTensor::default();
                    let read = tensor.fill(&field).and_then(|()| named(tensor.name));
                    read.map_err(|fault| fault.inside(place("initializer", graph.initializers.len(), tensor.name)))?;
                    graph.initializers.push(tensor);
                }
                11 => ValueInfo::read("input", &field, &mut graph.inputs)?,
                12 => ValueInfo::read("output", &field, &mut graph.outputs)?,
                13 => ValueInfo::read("value", &field, &mut graph.values)?,
                15 => return Err(Fault::refused("it has sparse initialisers, which are not supported").inside("graph")),
                _ => {}
            }
        }
        Ok(graph)
    }

    /// Refuses nodes, of graphs inside it too, that are calls of one of these functions, which are sorted.
    fn refuse_calls(&self, functions: &[(&str, &str)]) -> Result<(), Fault> {
        for (i, node) in self.nodes.iter().enumerate() {
            let called = functions.binary_search(&(node.domain, node.op_type)).is_ok();
            let problem =
                || format!("{} is a function of this file's own, which is not supported", shown(node.op_type));
            let own = if called { Err(Fault::refused(problem())) } else { Ok(()) };
            let all = own.and_then(|()| node.subgraphs().try_for_each(|graph| graph.refuse_calls(functions)));
            all.map_err(|fault| fault.inside(node.place(i)))?;
        }
        Ok(())
    }
}

/// `node 12 (conv1)`.
fn place(what: &str, i: usize, name: &str) -> String {
    if name.is_empty() { format!("{what} {i}") } else { format!("{what} {i} ({})", shown(name)) }
}

fn named(name: &str) -> Result<(), Fault> {
    if name.is_empty() { Err(Fault::refused("it has no name")) } else { Ok(()) }
}

impl<'a> Node<'a> {
    /// How errors name the node number `i` of a graph: `node 12 (conv1)`, or by its operator if it has no name.
    #[must_use]
    pub fn place(&self, i: usize) -> String {
        place("node", i, if self.name.is_empty() { self.op_type } else { self.name })
    }

    /// An attribute's value, if it is there.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&AttributeValue<'a>> {
        self.attributes.iter().find(|attribute| attribute.name == name).map(|attribute| &attribute.value)
    }

    /// The graphs among its attributes.
    pub fn subgraphs(&self) -> impl Iterator<Item = &Graph<'a>> {
        self.attributes.iter().filter_map(|attribute| match &attribute.value {
            AttributeValue::Subgraph(graph) => Some(&**graph),
            _ => None,
        })
    }

    /// A graph of its own, if it is there.
    ///
    /// # Errors
    /// A sentence where it is of another kind.
    pub fn graph(&self, name: &str) -> Result<Option<&Graph<'a>>, String> {
        self.get(
            name,
            "a graph",
            |value| if let AttributeValue::Subgraph(graph) = value { Some(&**graph) } else { None },
        )
    }

    /// An integer attribute, if it is there.
    ///
    /// # Errors
    /// A sentence where it is of another kind.
    pub fn int(&self, name: &str) -> Result<Option<i64>, String> {
        self.get(name, "an integer", |value| if let AttributeValue::Int(i) = value { Some(*i) } else { None })
    }

    /// A number, if it is there.
    ///
    /// # Errors
    /// A sentence where it is of another kind.
    pub fn float(&self, name: &str) -> Result<Option<f32>, String> {
        self.get(name, "a float", |value| if let AttributeValue::Float(f) = value { Some(*f) } else { None })
    }

    /// A text, if it is there.
    ///
    /// # Errors
    /// A sentence where it is of another kind or not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        self.get(name, "a text", |value| match value {
            AttributeValue::String(bytes) => str::from_utf8(bytes).ok(),
            _ => None,
        })
    }

    /// Several numbers, if they are there.
    ///
    /// # Errors
    /// A sentence where it is of another kind.
    pub fn floats(&self, name: &str) -> Result<Option<&[f32]>, String> {
        self.get(name, "floats", |value| if let AttributeValue::Floats(list) = value { Some(&list[..]) } else { None })
    }

    /// A list of integers, if it is there.
    ///
    /// # Errors
    /// A sentence where it is of another kind.
    pub fn ints(&self, name: &str) -> Result<Option<&[i64]>, String> {
        self.get(name, "a list of integers", |value| match value {
            AttributeValue::Ints(ints) => Some(ints.as_slice()),
            _ => None,
        })
    }

    /// A tensor, if it is there.
    ///
    /// # Errors
    /// A sentence where it is of another kind.
    pub fn tensor(&self, name: &str) -> Result<Option<&StoredTensor<'a>>, String> {
        self.get(name, "a tensor", |value| if let AttributeValue::Tensor(t) = value { Some(&**t) } else { None })
    }

    fn get<'s, T>(
        &'s self,
        name: &str,
        kind: &str,
        get: impl Fn(&'s AttributeValue<'a>) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.attribute(name) else { return Ok(None) };
        let other = |what: &str| format!("its attribute {name} is {what}, not {kind}");
        match (get(value), value) {
            (None, AttributeValue::Other(what)) => Err(other(what)),
            (None, _) => Err(format!("its attribute {name} is not {kind}")),
            (found, _) => Ok(found),
        }
    }

    fn fill(&mut self, field: &Field<'a>, depth: usize) -> Result<(), Fault> {
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            match field.number {
                1 => self.inputs.push(field.text()?),
                2 => self.outputs.push(field.text()?),
                3 => self.name = field.text()?,
                4 => self.op_type = field.text()?,
                5 => self.attributes.push(Attribute::read(&field, depth)?),
                7 => self.domain = domain(field.text()?),
                _ => {}
            }
        }
        if self.op_type.is_empty() { Err(Fault::refused("it doesn't say what operator it is")) } else { Ok(()) }
    }
}

impl<'a> Attribute<'a> {
    fn read(field: &Field<'a>, depth: usize) -> Result<Self, Fault> {
        let mut name = "";
        let read = AttributeValue::read(field, &mut name, depth).and_then(|value| named(name).map(|()| value));
        let value = read.map_err(|fault| fault.inside(format!("attribute {}", shown(name)).trim_end()))?;
        Ok(Attribute { name, value })
    }
}

impl<'a> AttributeValue<'a> {
    /// The field `type` says which of the others counts; files older than it are told by what is there.
    fn read(field: &Field<'a>, name: &mut &'a str, depth: usize) -> Result<Self, Fault> {
        let (mut kind, mut found) = (0, 0);
        let (mut float, mut int, mut string, mut tensor, mut graph) = (0.0, 0, &[][..], None, None);
        let (mut floats, mut ints, mut strings) = (Vec::new(), Vec::new(), Vec::new());
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            match field.number {
                1 => *name = field.text()?,
                2 => float = field.float()?,
                3 => int = field.int()?,
                4 => string = field.bytes()?,
                5 => {
                    let mut stored = Box::<StoredTensor>::default();
                    stored.fill(&field)?;
                    tensor = Some(stored);
                }
                6 if depth == MOST_NESTED => {
                    return Err(Fault::refused(format!("graphs stand inside each other more than {MOST_NESTED} deep")));
                }
                6 => graph = Some(Box::new(Graph::read(field.message()?, depth + 1)?)),
                7 => field.floats(&mut floats)?,
                8 => field.ints(&mut ints)?,
                9 => strings.push(field.bytes()?),
                20 => kind = field.int()?,
                _ => {}
            }
            // These fields stand in the order of the types.
            if let 2..=11 = field.number {
                found = field.number.cast_signed() - 1;
            }
        }
        Ok(match if kind == 0 { found } else { kind } {
            0 => AttributeValue::Other("of an unknown kind"),
            1 => AttributeValue::Float(float),
            2 => AttributeValue::Int(int),
            3 => AttributeValue::String(string),
            4 => AttributeValue::Tensor(tensor.ok_or_else(|| Fault::refused("its tensor is missing"))?),
            5 => AttributeValue::Subgraph(graph.ok_or_else(|| Fault::refused("its graph is missing"))?),
            6 => AttributeValue::Floats(floats),
            7 => AttributeValue::Ints(ints),
            8 => AttributeValue::Strings(strings),
            9 => AttributeValue::Other("a list of tensors"),
            10 => AttributeValue::Other("a list of graphs"),
            11 | 12 => AttributeValue::Other("a sparse tensor"),
            13 | 14 => AttributeValue::Other("a type"),
            kind => return Err(Fault::refused(format!("its type {kind} doesn't exist"))),
        })
    }
}

impl<'a> StoredTensor<'a> {
    fn fill(&mut self, field: &Field<'a>) -> Result<(), Fault> {
        let mut entries = Vec::new();
        let mut elsewhere = 0;
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            match field.number {
                1 => field.ints(&mut self.dims)?,
                2 => self.elem_type = field.int()?,
                3 => return Err(Fault::refused("it is stored in segments, which is not supported")),
                4 => field.floats(&mut self.floats)?,
                5 => field.ints(&mut self.int32s)?,
                6 => self.strings.push(field.bytes()?),
                7 => field.ints(&mut self.int64s)?,
                8 => self.name = field.text()?,
                9 => self.raw = Some(field.bytes()?),
                10 => field.doubles(&mut self.doubles)?,
                11 => field.unsigned(&mut self.uint64s)?,
                13 => entries.push(key_and_value(field.message()?)?),
                14 => elsewhere = field.int()?,
                _ => {}
            }
        }
        self.external = match elsewhere {
            0 => None,
            1 => Some(entries),
            other => return Err(Fault::refused(format!("its data location {other} doesn't exist"))),
        };
        Ok(())
    }
}

impl<'a> ValueInfo<'a> {
    fn read(what: &str, field: &Field<'a>, into: &mut Vec<Self>) -> Result<(), Fault> {
        let mut info = ValueInfo::default();
        let read = info.fill(field).and_then(|()| named(info.name));
        read.map_err(|fault| fault.inside(place(what, into.len(), info.name)))?;
        into.push(info);
        Ok(())
    }

    fn fill(&mut self, field: &Field<'a>) -> Result<(), Fault> {
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            match field.number {
                1 => self.name = field.text()?,
                2 => self.kind = ValueKind::read(field.message()?)?,
                _ => {}
            }
        }
        Ok(())
    }
}
