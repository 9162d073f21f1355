//! How each operator becomes nodes. [`fold`](super::fold) has evaluated what doesn't depend on the network's input.

mod attention;
mod layers;
pub(super) mod normalise;
mod pointwise;
mod products;
mod reduce;
mod resize;
mod shape;
mod spread;

use super::lowering::{LONGEST, Lowering};
use super::tensor::{Data, Tensor};
use super::wire::{Node, shown};
use crate::kernels::Activation;
use crate::network::NodeId;

/// What [`lower`] knows, besides constants and shape arithmetic.
pub(super) const OPERATORS: [&str; 83] = [
    "Abs",
    "Add",
    "Attention",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "CastLike",
    "Celu",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Cos",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Gather",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "If",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "RMSNormalization",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "Scaler",
    "Selu",
    "Sigmoid",
    "Sin",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "Upsample",
    "Where",
];

/// Operators of networks whose activations are quantised, not their weights alone.
pub(super) const ROUNDING: [&str; 6] =
    ["QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"];

/// Adds a node's layers to the network; the nodes of its outputs.
pub(super) fn lower<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<Vec<NodeId>, String> {
    if (node.domain, node.op_type) == ("ai.onnx.ml", "Scaler") {
        return pointwise::scaler(to, node).map(|id| vec![id]);
    }
    if (node.domain, node.op_type) == ("ai.onnx.ml", "ArrayFeatureExtractor") {
        return shape::columns(to, node).map(|id| vec![id]);
    }
    if !node.domain.is_empty() && node.domain != "ai.onnx" {
        return Err(format!("this operator of the operator set {} isn't supported", shown(node.domain)));
    }
    let one = match node.op_type {
        "Identity" | "CastLike" => to.activation(node, 0),
        "Cast" => match node.int("to")? {
            // f32, f16, f64, bf16.
            Some(1 | 10 | 11 | 16) => to.activation(node, 0),
            _ => Err("it rounds its input to integers, which isn't supported".into()),
        },
        "Dropout" => dropout(to, node),
        "Conv" => layers::convolution(to, node),
        "ConvTranspose" => layers::transposed_convolution(to, node),
        "Resize" | "Upsample" => resize::resize(to, node),
        "Gemm" => products::gemm(to, node),
        "MatMul" => products::mat_mul(to, node),
        "BatchNormalization" => normalise::batch_norm(to, node),
        "MaxPool" => layers::max_pool(to, node),
        "AveragePool" => layers::average_pool(to, node),
        "GlobalAveragePool" => layers::global(to, node, "", true),
        "GlobalMaxPool" => layers::global(to, node, "", false),
        "Relu" => pointwise::activation(to, node, Activation::Relu),
        "Tanh" => pointwise::activation(to, node, Activation::Tanh),
        "Sigmoid" => pointwise::activation(to, node, Activation::Sigmoid),
        "Gelu" => match node.text("approximate")? {
            None | Some("none") => pointwise::activation(to, node, Activation::Gelu),
            Some("tanh") => pointwise::parametrised(to, node),
            Some(other) => Err(format!("its approximation {other} isn't one of ONNX's")),
        },
        "LeakyRelu" | "Elu" | "Selu" | "HardSigmoid" | "HardSwish" | "Softplus" | "Softsign" | "Mish" | "Abs"
        | "Erf" | "Exp" | "Sqrt" | "Reciprocal" | "Neg" | "Log" | "Sin" | "Cos" | "Celu" | "Swish"
        | "ThresholdedRelu" => pointwise::parametrised(to, node),
        "Clip" => pointwise::clip(to, node),
        "Pow" => pointwise::power(to, node),
        "PRelu" => pointwise::prelu(to, node),
        "Add" | "Sum" | "Mean" | "Sub" | "Mul" | "Div" => pointwise::arithmetic(to, node),
        "Attention" => attention::attention(to, node),
        "Where" => pointwise::choose(to, node),
        "LayerNormalization" => normalise::layer_norm(to, node),
        "Flatten" => shape::flatten(to, node),
        "Reshape" => shape::reshape(to, node),
        "Squeeze" | "Unsqueeze" => shape::squeeze(to, node),
        "Concat" => shape::concat(to, node),
        "Transpose" => shape::transpose(to, node),
        "Slice" => shape::slice(to, node),
        "Split" => return shape::split(to, node),
        "Gather" => shape::gather(to, node),
        "Pad" => shape::pad(to, node),
        "Expand" => shape::expand(to, node),
        "Tile" => shape::tile(to, node),
        "DepthToSpace" | "SpaceToDepth" => shape::blocks(to, node),
        "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare" => {
            reduce::reduce(to, node)
        }
        "Max" | "Min" => reduce::extreme(to, node),
        "RMSNormalization" => normalise::rms_norm(to, node),
        "InstanceNormalization" => normalise::instance_norm(to, node),
        "GroupNormalization" => normalise::group_norm(to, node),
        "LRN" => normalise::local_response(to, node),
        "Softmax" | "LogSoftmax" => normalise::softmax(to, node),
        rounding if ROUNDING.contains(&rounding) => {
            Err("it rounds what depends on the input: steps, whose slope is 0 nearly everywhere, explain nothing"
                .into())
        }
        _ => Err("this operator isn't supported".into()),
    };
    one.map(|id| vec![id])
}

/// In use dropout changes nothing.
fn dropout<'a>(to: &Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let trains = to.optional(node, 2)?.is_some_and(|mode| mode.data == Data::Bool(vec![true]));
    let ratio = to.optional(node, 1)?.map(numbers).transpose()?;
    if trains && ratio.is_none_or(|ratio| ratio != [0.0]) {
        return Err("it is in training mode; export the network for use (in PyTorch: model.eval())".into());
    }
    if to.reads_further_outputs(node) {
        return Err("its mask, the second output, isn't supported".into());
    }
    to.activation(node, 0)
}

/// A tensor's numbers in double precision.
fn numbers(tensor: &Tensor) -> Result<Vec<f64>, String> {
    match &tensor.data {
        Data::Double(values) => Ok(values.clone()),
        _ => Ok(tensor.to_f32()?.into_iter().map(f64::from).collect()),
    }
}

/// The same, where true is 1 and false 0.
fn truth_or_numbers(tensor: &Tensor) -> Result<Vec<f64>, String> {
    match &tensor.data {
        Data::Bool(truth) => Ok(truth.iter().map(|&truth| f64::from(u8::from(truth))).collect()),
        _ => numbers(tensor),
    }
}

/// The same, of a vector of so many.
fn vector(tensor: &Tensor, len: usize, what: &str) -> Result<Vec<f64>, String> {
    let values = numbers(tensor)?;
    if values.len() == len { Ok(values) } else { Err(format!("its {what} has {} numbers, not {len}", values.len())) }
}

/// Sizes that an attribute lists, for so many axes; `None`: it isn't there.
fn sizes(node: &Node<'_>, name: &str, axes: usize) -> Result<Option<Vec<usize>>, String> {
    let Some(ints) = node.ints(name)? else { return Ok(None) };
    if let Some(size) = ints.iter().find(|&&n| n > LONGEST) {
        return Err(format!("its {name} is {ints:?}; {size} is too large, {LONGEST} is supported"));
    }
    if ints.len() != axes || ints.iter().any(|&n| n < 0) {
        return Err(format!("its {name} is {ints:?}; its spatial axes take {axes} sizes of 0 or more"));
    }
    Ok(Some(ints.iter().map(|&n| n as usize).collect()))
}

/// Axes counted from the first, which is the batch, of a tensor with so many.
fn axes_of<'a>(to: &Lowering<'a>, node: &Node<'a>, rank: usize) -> Result<Option<Vec<usize>>, String> {
    let listed: Vec<i64> = match (node.ints("axes")?, to.optional(node, 1)?) {
        (Some(axes), _) => axes.to_vec(),
        (None, Some(tensor)) => tensor.as_ints()?.to_vec(),
        (None, None) => return Ok(None),
    };
    let place = |&axis: &i64| {
        let place = if axis < 0 { axis + rank as i64 } else { axis };
        if (0..rank as i64).contains(&place) { Ok(place as usize) } else { Err(format!("it has no axis {axis}")) }
    };
    listed.iter().map(place).collect::<Result<Vec<_>, _>>().map(Some)
}

pub(super) use shape::{as_gather, cuts_of, listed, target_of_reshape};
