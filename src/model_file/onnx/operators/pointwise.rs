//! Activations and arithmetic.

use super::spread::{MASKED, alike, each, over, room, scaled, spread, spread_values};
use super::{numbers, truth_or_numbers};
use crate::kernels::{Activation, Function};
use crate::model_file::onnx::lowering::Lowering;
use crate::model_file::onnx::tensor::Data;
use crate::model_file::onnx::wire::Node;
use crate::network::{ActivationNode, AddNode, Broadcast, By, FunctionNode, Layer, NodeId, ProductNode};

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
        "Log" => of(Function::Log, 0.0, 0.0).into(),
        "Sin" => of(Function::Sin, 0.0, 0.0).into(),
        "Cos" => of(Function::Cos, 0.0, 0.0).into(),
        "Gelu" => of(Function::GeluTanh, 0.0, 0.0).into(),
        "Celu" => match alpha(1.0)? {
            a if a > 0.0 => of(Function::Celu, a, 0.0).into(),
            a => return Err(format!("its alpha is {a}; it must be above 0")),
        },
        "Swish" => of(Function::Swish, alpha(1.0)?, 0.0).into(),
        "ThresholdedRelu" => of(Function::ThresholdedRelu, alpha(1.0)?, 0.0).into(),
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

/// `(x − offset)·scale`, scikit-learn's, by one number or one for each column.
pub(super) fn scaler<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let &[columns] = to.shape(input) else {
        return Err(format!("its samples have the shape {:?}; one axis is supported", to.shape(input)));
    };
    let numbers = |name: &str, default: f64| match node.floats(name)? {
        None => Ok(vec![default; room(&[columns])?]),
        Some(&[one]) => Ok(vec![f64::from(one); room(&[columns])?]),
        Some(all) if all.len() == columns => Ok(all.iter().map(|&one| f64::from(one)).collect()),
        Some(all) => Err(format!("its {name} has {} numbers, for {columns} columns", all.len())),
    };
    let (offset, scale) = (numbers("offset", 0.0)?, numbers("scale", 1.0)?);
    let shift = offset.iter().zip(&scale).map(|(offset, scale)| -offset * scale).collect();
    scaled(to, node, "", input, By::Element, scale, shift)
}

/// x to a constant power.
pub(super) fn power<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let a = number(to, node, 1, "exponent")?.ok_or("it has no exponent")?;
    let function = |function, a| FunctionNode { function, a, b: 0.0 };
    // A power of what may be negative is a product.
    match a {
        1.0 => to.push(node, function(Function::Affine, 1.0), &[input]),
        0.5 => to.push(node, function(Function::Sqrt, 0.0), &[input]),
        -1.0 => to.push(node, function(Function::Reciprocal, 0.0), &[input]),
        _ if a.fract() == 0.0 && (2.0..=64.0).contains(&a) => whole_power(to, node, input, a as u32),
        _ => to.push(node, function(Function::Power, a), &[input]),
    }
}

/// By squares, the exponent's binary digits from the first on.
fn whole_power<'a>(to: &mut Lowering<'a>, node: &Node<'a>, x: NodeId, exponent: u32) -> Result<NodeId, String> {
    let mut power = x;
    for bit in (0..exponent.ilog2()).rev() {
        let multiplies = exponent >> bit & 1 == 1;
        let last = bit == 0;
        power = to.push_part(node, if last && !multiplies { "" } else { "square" }, ProductNode {}, &[power, power])?;
        if multiplies {
            power = to.push_part(node, if last { "" } else { "multiple" }, ProductNode {}, &[power, x])?;
        }
    }
    Ok(power)
}

/// `relu(x) − slope·relu(−x)`.
pub(super) fn prelu<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let dims = to.constant(node, 1)?.dims.clone();
    let input = to.activation(node, 0)?;
    let input = over(to, node, input, &dims)?;
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

/// Sums, means, differences, products and quotients: of activations, or of one and a constant.
pub(super) fn arithmetic<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    if (0..node.inputs.len()).any(|i| to.is_constant(node, i)) {
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

/// Infinity, as masks have it, as a number with which sums of slopes and intercepts stay numbers.
fn finite(value: f64) -> f64 {
    if value.is_infinite() { MASKED.abs().copysign(value) } else { value }
}

/// Elements of two values by a constant condition: each is taken times 1 where it is the one, and times 0 elsewhere.
pub(super) fn choose<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let condition = to
        .constant(node, 0)
        .map_err(|_| "what it takes depends on the network's input; a constant condition is supported")?;
    let Data::Bool(_) = condition.data else { return Err("its condition is no truth values".into()) };
    let (dims, truth) = (condition.dims.clone(), truth_or_numbers(condition)?);
    let shapes = [1, 2].map(|i| if to.is_constant(node, i) { None } else { to.activation(node, i).ok() });
    let rank = shapes.iter().flatten().map(|&id| to.shape(id).len()).max().ok_or("it has no input to take")?;
    // A constant's axes, as those of a sample.
    let own = |dims: &[usize]| -> Vec<usize> {
        let dims = if dims.len() == rank + 1 { &dims[1..] } else { dims };
        [vec![1; rank.saturating_sub(dims.len())], dims.to_vec()].concat()
    };
    let mut shape = own(&dims);
    for (i, id) in [1, 2].into_iter().zip(shapes) {
        let sizes = match id {
            Some(id) => to.shape(id).to_vec(),
            None => own(&to.constant(node, i)?.dims),
        };
        if sizes.len() != rank || shape.len() != rank {
            return Err(format!("it joins samples of the shapes {shape:?} and {sizes:?}; as many axes are supported"));
        }
        shape.iter_mut().zip(sizes).for_each(|(all, n)| *all = if *all == 1 { n } else { *all });
    }
    let truth = each(spread_values(&dims, truth, &shape)?, &shape);
    // Where the first is taken, and where the second.
    let parts = [truth.clone(), truth.iter().map(|taken| 1.0 - taken).collect::<Vec<f64>>()];
    let mut shift = vec![0.0; truth.len()];
    for (i, part) in [1, 2].into_iter().zip(&parts).filter(|(i, _)| shapes[i - 1].is_none()) {
        let constant = to.constant(node, i)?;
        let values = each(spread_values(&constant.dims, truth_or_numbers(constant)?, &shape)?, &shape);
        let taken = shift.iter_mut().zip(values).zip(part).filter(|(_, taken)| **taken != 0.0);
        taken.for_each(|((shift, value), _)| *shift = finite(value));
    }
    let [first, second] = parts;
    let mut wide = Vec::new();
    for (id, scale) in shapes.into_iter().zip([first, second]).filter_map(|(id, scale)| Some((id?, scale))) {
        let whole = to.shape(id) == shape;
        wide.push((
            if whole { id } else { to.push_part(node, "spread", Broadcast { shape: shape.clone() }, &[id])? },
            scale,
        ));
    }
    match (wide.pop(), wide.pop()) {
        (Some((only, scale)), None) => scaled(to, node, "", only, By::Element, scale, shift),
        (Some((b, of_b)), Some((a, of_a))) => {
            let a = scaled(to, node, "first", a, By::Element, of_a, shift.clone())?;
            let b = scaled(to, node, "second", b, By::Element, of_b, shift)?;
            to.push(node, AddNode {}, &[a, b])
        }
        _ => Err("it has no input to take".into()),
    }
}

/// The layer of a sum, a difference, a product or a quotient with one number; `None`: no line.
fn of_number(operator: &str, first: bool, c: f64) -> Result<Option<FunctionNode>, String> {
    let (a, b) = match (operator, first) {
        ("Add" | "Sum", _) => (1.0, c),
        ("Sub", false) => (1.0, -c),
        ("Sub", true) => (-1.0, c),
        ("Mean", _) => (0.5, 0.5 * c),
        ("Mul", _) => (c, 0.0),
        ("Div", false) if c == 0.0 => return Err("it divides by 0".into()),
        ("Div", false) => (1.0 / c, 0.0),
        _ => return Ok(None),
    };
    Ok(Some(FunctionNode { function: Function::Affine, a: a as f32, b: b as f32 }))
}

/// `x + c`, `x − c`, `c − x`, `x·c` and `x / c`.
fn with_constant<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    if node.inputs.len() != 2 {
        return Err("it has a constant among more than two inputs, which isn't supported".into());
    }
    let first = to.is_constant(node, 0);
    let (x, c) = if first { (1, 0) } else { (0, 1) };
    let dims = to.constant(node, c)?.dims.clone();
    let input = to.activation(node, x)?;
    let input = over(to, node, input, &dims)?;
    let constant = to.constant(node, c)?;
    let one = match numbers(constant)?[..] {
        [value] if constant.dims.len() <= to.shape(input).len() + 1 => Some(value),
        _ => None,
    };
    // What a MatMul adds is its bias.
    let bare = |id: NodeId| {
        matches!(to.network.nodes[id].layer, Layer::Dense(_))
            && !to.tensors.iter().any(|(node, name, _)| *node == id && *name == "bias")
    };
    let is_bias = matches!(node.op_type, "Add" | "Sum") && bare(input) && to.is_only_reader(node, x);
    if let Some(layer) = one.filter(|_| !is_bias).map(|c| of_number(node.op_type, first, c)).transpose()?.flatten() {
        return to.push(node, layer, &[input]);
    }
    let (by, mut values) = spread(constant, to.shape(input))?;
    if matches!(node.op_type, "Add" | "Sum" | "Mean" | "Sub") {
        values.iter_mut().for_each(|value| *value = finite(*value));
    }
    if is_bias {
        to.tensors.push((input, "bias", values.into()));
        return Ok(input);
    }
    let n = values.len();
    let (scale, shift) = match (node.op_type, first) {
        ("Add" | "Sum", _) => (vec![1.0; n], values),
        ("Sub", false) => (vec![1.0; n], values.iter().map(|c| -c).collect()),
        ("Sub", true) => (vec![-1.0; n], values),
        ("Mean", _) => (vec![0.5; n], values.iter().map(|c| 0.5 * c).collect()),
        ("Mul", _) => (values, vec![0.0; n]),
        ("Div", false) if values.iter().all(|&c| c != 0.0) => (values.iter().map(|c| 1.0 / c).collect(), vec![0.0; n]),
        ("Div", false) => return Err("it divides by 0".into()),
        ("Div", true) => {
            let inverse = FunctionNode { function: Function::Reciprocal, a: 0.0, b: 0.0 };
            let inverse = to.push_part(node, "inverse", inverse, &[input])?;
            return scaled(to, node, "", inverse, by, values, vec![0.0; n]);
        }
        _ => return Err("it joins a constant in a way that isn't supported".into()),
    };
    scaled(to, node, "", input, by, scale, shift)
}
