//! Activations, arithmetic and normalisation.

use super::layers::scaled;
use super::numbers;
use crate::kernels::{Activation, Function};
use crate::model_file::onnx::lowering::{Known, Lowering};
use crate::model_file::onnx::tensor::Tensor;
use crate::model_file::onnx::wire::Node;
use crate::network::{ActivationNode, AddNode, Broadcast, By, FunctionNode, Layer, NodeId, ProductNode, ReduceNode};

/// The activation that a node without parameters is.
pub(super) fn activation<'a>(to: &mut Lowering<'a>, node: &Node<'a>, activation: Activation) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    to.push(node, ActivationNode { activation }, &[input])
}

/// Activations with a parameter, those of the network's own where that is what they are.
pub(super) fn parametrised<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let alpha = |default: f32| node.float("alpha").map(|alpha| alpha.unwrap_or(default));
    let of = |function, a, b| FunctionNode { function, a, b };
    let near = |a: f32, b: f32| (a - b).abs() <= 1e-7;
    let layer: Layer = match node.op_type {
        "LeakyRelu" if near(alpha(0.01)?, 0.01) => ActivationNode { activation: Activation::LeakyRelu }.into(),
        "LeakyRelu" => of(Function::LeakyRelu, alpha(0.01)?, 0.0).into(),
        "Elu" if near(alpha(1.0)?, 1.0) => ActivationNode { activation: Activation::Elu }.into(),
        "Elu" => of(Function::Elu, alpha(1.0)?, 0.0).into(),
        "Selu" => of(Function::Selu, alpha(1.673_263_2)?, node.float("gamma")?.unwrap_or(1.050_701)).into(),
        "HardSigmoid" => of(Function::HardSigmoid, alpha(0.2)?, node.float("beta")?.unwrap_or(0.5)).into(),
        "HardSwish" => of(Function::HardSwish, 1.0 / 6.0, 0.5).into(),
        "Softplus" => of(Function::Softplus, 0.0, 0.0).into(),
        "Softsign" => of(Function::Softsign, 0.0, 0.0).into(),
        "Mish" => of(Function::Mish, 0.0, 0.0).into(),
        "Abs" => of(Function::Abs, 0.0, 0.0).into(),
        "Erf" => of(Function::Erf, 0.0, 0.0).into(),
        "Exp" => of(Function::Exp, 0.0, 0.0).into(),
        "Sqrt" => of(Function::Sqrt, 0.0, 0.0).into(),
        "Reciprocal" => of(Function::Reciprocal, 0.0, 0.0).into(),
        _ => of(Function::Affine, -1.0, 0.0).into(),
    };
    let input = to.activation(node, 0)?;
    to.push(node, layer, &[input])
}

/// One number that a constant input or an attribute says.
fn number<'a>(to: &Lowering<'a>, node: &Node<'a>, i: usize, name: &str) -> Result<Option<f32>, String> {
    if let Some(value) = node.float(name)? {
        return Ok(Some(value));
    }
    let Some(tensor) = to.optional(node, i)? else { return Ok(None) };
    match numbers(tensor)?[..] {
        [value] => Ok(Some(value as f32)),
        _ => Err(format!("its {name} has {} numbers; one is supported", tensor.data.len())),
    }
}

pub(super) fn clip<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let a = number(to, node, 1, "min")?.unwrap_or(f32::MIN);
    let b = number(to, node, 2, "max")?.unwrap_or(f32::MAX);
    if a > b {
        return Err(format!("its min {a} is above its max {b}"));
    }
    to.push(node, FunctionNode { function: Function::Clip, a, b }, &[input])
}

/// x to a constant power.
pub(super) fn power<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let a = number(to, node, 1, "exponent")?.ok_or("it has no exponent")?;
    if a == 2.0 {
        return to.push(node, ProductNode {}, &[input, input]);
    }
    to.push(node, FunctionNode { function: Function::Power, a, b: 0.0 }, &[input])
}

/// `relu(x) − slope·relu(−x)`.
pub(super) fn prelu<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let (by, slope) = spread(to.constant(node, 1)?, to.shape(input))?;
    if slope.iter().all(|&s| s == slope[0]) {
        let a = slope[0] as f32;
        return to.push(node, FunctionNode { function: Function::LeakyRelu, a, b: 0.0 }, &[input]);
    }
    let relu = || ActivationNode { activation: Activation::Relu };
    let positive = to.push_part(node, "positive", relu(), &[input])?;
    let turned =
        to.push_part(node, "turned", FunctionNode { function: Function::Affine, a: -1.0, b: 0.0 }, &[input])?;
    let negative = to.push_part(node, "negative", relu(), &[turned])?;
    let shift = vec![0.0; slope.len()];
    let sloped = scaled(to, node, "slope", negative, by, slope.iter().map(|s| -s).collect(), shift)?;
    to.push(node, AddNode {}, &[positive, sloped])
}

/// Two nodes of one shape, spread over each other's axes of size 1.
fn alike<'a>(to: &mut Lowering<'a>, node: &Node<'a>, [a, b]: [NodeId; 2]) -> Result<[NodeId; 2], String> {
    let (x, y) = (to.shape(a).to_vec(), to.shape(b).to_vec());
    if x == y {
        return Ok([a, b]);
    }
    let rank = x.len().max(y.len());
    // The batch stands first in both, so an axis that is missing would be the batch.
    if x.len() != y.len() {
        return Err(format!("it joins samples of the shapes {x:?} and {y:?}; as many axes are supported"));
    }
    let size = |axis: usize| if x[axis] == 1 { y[axis] } else { x[axis] };
    let shape: Vec<usize> = (0..rank).map(size).collect();
    let mut spread = [a, b];
    for (id, own) in spread.iter_mut().zip([x, y]) {
        if own != shape {
            *id = to.push_part(node, "spread", Broadcast { shape: shape.clone() }, &[*id])?;
        }
    }
    Ok(spread)
}

/// Sums, means, differences, products and quotients: of activations, or of one and a constant.
pub(super) fn arithmetic<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    if (0..node.inputs.len()).any(|i| matches!(to.get(node, i), Some(Known::Value(_)))) {
        return with_constant(to, node);
    }
    let mut left = to.activation(node, 0)?;
    let count = node.inputs.len();
    for i in 1..count {
        let right = to.activation(node, i)?;
        let right = match node.op_type {
            "Sub" => {
                let negative = FunctionNode { function: Function::Affine, a: -1.0, b: 0.0 };
                to.push_part(node, "negative", negative, &[right])?
            }
            "Div" => {
                let inverse = FunctionNode { function: Function::Reciprocal, a: 0.0, b: 0.0 };
                to.push_part(node, "inverse", inverse, &[right])?
            }
            _ => right,
        };
        let pair = alike(to, node, [left, right])?;
        let layer: Layer =
            if matches!(node.op_type, "Mul" | "Div") { ProductNode {}.into() } else { AddNode {}.into() };
        let part = if i + 1 == count && node.op_type != "Mean" { String::new() } else { i.to_string() };
        left = to.push_part(node, &part, layer, &pair)?;
    }
    if node.op_type == "Mean" {
        let share = FunctionNode { function: Function::Affine, a: 1.0 / count as f32, b: 0.0 };
        return to.push(node, share, &[left]);
    }
    Ok(left)
}

/// A constant spread over a sample: by channel where it can be.
fn spread(constant: &Tensor, shape: &[usize]) -> Result<(By, Vec<f64>), String> {
    let values = numbers(constant)?;
    let (dims, rank) = (&constant.dims, shape.len());
    // Aligned at the last axis; one axis more than the sample's is the batch.
    let batch = dims.len() == rank + 1;
    if dims.len() > rank + 1 || (batch && dims[0] != 1) {
        return Err(format!("its constant has the shape {dims:?}, which doesn't fit samples of {shape:?}"));
    }
    let own = &dims[usize::from(batch)..];
    let mut sizes = vec![1; rank - own.len()];
    sizes.extend(own);
    if sizes.iter().zip(shape).any(|(&n, &all)| n != 1 && n != all) {
        return Err(format!("its constant has the shape {dims:?}, which doesn't fit samples of {shape:?}"));
    }
    if sizes[1..].iter().all(|&n| n == 1) {
        let by_channel = if sizes[0] == 1 { vec![values[0]; shape[0]] } else { values };
        return Ok((By::Channel, by_channel));
    }
    let element = |mut flat: usize| {
        let (mut at, mut step) = (0, 1);
        for (&n, &all) in sizes.iter().zip(shape).rev() {
            at += if n == 1 { 0 } else { flat % all * step };
            step *= n;
            flat /= all;
        }
        values[at]
    };
    Ok((By::Element, (0..shape.iter().product()).map(element).collect()))
}

/// `x + c`, `x − c`, `c − x`, `x·c` and `x / c`.
fn with_constant<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    if node.inputs.len() != 2 {
        return Err("it has a constant among more than two inputs, which isn't supported".into());
    }
    let first = matches!(to.get(node, 0), Some(Known::Value(_)));
    let (x, c) = if first { (1, 0) } else { (0, 1) };
    let input = to.activation(node, x)?;
    let constant = to
        .optional(node, c)
        .map_err(|_| format!("{} of two values that depend on the network's input isn't supported", node.op_type))?;
    let constant = constant.ok_or_else(|| format!("its input {c} is missing"))?;
    let (by, values) = spread(constant, to.shape(input))?;
    if node.op_type == "Add" || node.op_type == "Sum" {
        // What a MatMul adds is its bias.
        let bare = |id: NodeId| {
            matches!(to.network.nodes[id].layer, Layer::Dense(_))
                && !to.tensors.iter().any(|(node, name, _)| *node == id && *name == "bias")
        };
        if bare(input) && to.is_only_reader(node, x) {
            to.tensors.push((input, "bias", values.into()));
            return Ok(input);
        }
    }
    let n = values.len();
    let (scale, shift) = match (node.op_type, first) {
        ("Add" | "Sum", _) => (vec![1.0; n], values),
        ("Sub", false) => (vec![1.0; n], values.iter().map(|c| -c).collect()),
        ("Sub", true) => (vec![-1.0; n], values),
        ("Mul", _) => (values, vec![0.0; n]),
        ("Div", false) if values.iter().all(|&c| c != 0.0) => (values.iter().map(|c| 1.0 / c).collect(), vec![0.0; n]),
        ("Div", false) => return Err("it divides by 0".into()),
        _ => {
            let inverse = FunctionNode { function: Function::Reciprocal, a: 0.0, b: 0.0 };
            let inverse = to.push_part(node, "inverse", inverse, &[input])?;
            return scaled(to, node, "", inverse, by, values, vec![0.0; n]);
        }
    };
    scaled(to, node, "", input, by, scale, shift)
}

/// Layer normalisation over the last axes: exact as the tangents of its mean, its products and its root.
pub(super) fn layer_norm<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let shape = to.shape(input).to_vec();
    let first = super::axis_of(node.int("axis")?.unwrap_or(-1), shape.len())?;
    let epsilon = node.float("epsilon")?.unwrap_or(1e-5);
    let (by, gamma) = spread(to.constant(node, 1)?, &shape)?;
    let shift = to.optional(node, 2)?.map(|beta| spread(beta, &shape)).transpose()?;
    let function = |function, a, b| FunctionNode { function, a, b };
    let mean = || ReduceNode { axes: (first..shape.len()).collect(), mean: true };
    let over = || Broadcast { shape: shape.clone() };
    let average = to.push_part(node, "mean", mean(), &[input])?;
    let average = to.push_part(node, "mean spread", over(), &[average])?;
    let negative = to.push_part(node, "negative", function(Function::Affine, -1.0, 0.0), &[average])?;
    let centred = to.push_part(node, "centred", AddNode {}, &[input, negative])?;
    let square = to.push_part(node, "square", ProductNode {}, &[centred, centred])?;
    let variance = to.push_part(node, "variance", mean(), &[square])?;
    let padded = to.push_part(node, "variance + epsilon", function(Function::Affine, 1.0, epsilon), &[variance])?;
    let inverse = to.push_part(node, "inverse deviation", function(Function::Power, -0.5, 0.0), &[padded])?;
    let inverse = to.push_part(node, "inverse deviation spread", over(), &[inverse])?;
    let normal = to.push_part(node, "normal", ProductNode {}, &[centred, inverse])?;
    let count = gamma.len();
    match shift {
        Some((same, beta)) if same == by => scaled(to, node, "", normal, by, gamma, beta),
        Some((other, beta)) => {
            let sloped = scaled(to, node, "slope", normal, by, gamma, vec![0.0; count])?;
            let ones = vec![1.0; beta.len()];
            scaled(to, node, "", sloped, other, ones, beta)
        }
        None => scaled(to, node, "", normal, by, gamma, vec![0.0; count]),
    }
}
