//! How each operator becomes a node. [`fold`](super::fold) has evaluated what doesn't depend on the network's input.

use super::fold::{Dim, Value};
use super::lower::{Known, Lowering};
use super::tensor::{Data, Tensor};
use super::wire::Node;
use crate::kernels::Activation;
use crate::network::{
    ActivationNode, AddNode, AveragePool, By, ConcatNode, Convolution, Dense, Layer, MaxPoolNode, NodeId, Padding,
    Reshape, Scale, Sliding, Weight,
};

/// What [`lower`] knows, besides constants and shape arithmetic.
pub(super) const OPERATORS: [&str; 29] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Concat",
    "Conv",
    "Div",
    "Dropout",
    "Elu",
    "Flatten",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Identity",
    "LeakyRelu",
    "MatMul",
    "MaxPool",
    "Mul",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Sigmoid",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "Unsqueeze",
    "Softmax (at the end)",
];

type Made = Result<Vec<NodeId>, String>;

/// Adds a node's layers to the network; the nodes of its outputs.
pub(super) fn lower<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Made {
    if !node.domain.is_empty() && node.domain != "ai.onnx" {
        return Err(format!("it is of the operator set {}, which isn't supported", super::wire::shown(node.domain)));
    }
    let one = match node.op_type {
        "Identity" | "Cast" => to.activation(node, 0),
        // In use it changes nothing; the mask, its second output, has no node.
        "Dropout" => to.activation(node, 0),
        "Conv" => convolution(to, node),
        "Gemm" => gemm(to, node),
        "MatMul" => mat_mul(to, node),
        "BatchNormalization" => batch_norm(to, node),
        "Relu" => activation(to, node, Activation::Relu),
        "Tanh" => activation(to, node, Activation::Tanh),
        "Sigmoid" => activation(to, node, Activation::Sigmoid),
        "Elu" => with_alpha(to, node, Activation::Elu, 1.0, 1.0),
        "LeakyRelu" => with_alpha(to, node, Activation::LeakyRelu, 0.01, 0.01),
        "Gelu" => match node.text("approximate")? {
            None | Some("none") => activation(to, node, Activation::Gelu),
            Some(other) => Err(format!("its approximation {other} isn't supported; the exact one is")),
        },
        "MaxPool" => max_pool(to, node),
        "AveragePool" => average_pool(to, node),
        "GlobalAveragePool" => global(to, node, true),
        "GlobalMaxPool" => global(to, node, false),
        "ReduceMean" => reduce_mean(to, node),
        "Flatten" => flatten(to, node),
        "Reshape" => reshape(to, node),
        "Squeeze" | "Unsqueeze" => squeeze(to, node),
        "Add" | "Sum" => add(to, node),
        "Sub" | "Mul" | "Div" => with_constant(to, node),
        "Concat" => concat(to, node),
        _ => Err("this operator isn't supported".into()),
    };
    one.map(|id| vec![id])
}

fn activation<'a>(to: &mut Lowering<'a>, node: &Node<'a>, activation: Activation) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    to.push(node, ActivationNode { activation }, &[input])
}

/// An activation whose parameter α has one supported value.
fn with_alpha<'a>(
    to: &mut Lowering<'a>,
    node: &Node<'a>,
    kind: Activation,
    default: f32,
    supported: f32,
) -> Result<NodeId, String> {
    let alpha = node.float("alpha")?.unwrap_or(default);
    if (alpha - supported).abs() > 1e-6 * supported {
        return Err(format!("its alpha is {alpha}; {supported} is supported"));
    }
    activation(to, node, kind)
}

/// A tensor's numbers in double precision.
fn numbers(tensor: &Tensor) -> Result<Vec<f64>, String> {
    match &tensor.data {
        Data::Double(values) => Ok(values.clone()),
        _ => Ok(tensor.to_f32()?.into_iter().map(f64::from).collect()),
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
    if ints.len() != axes || ints.iter().any(|&n| !(0..=0x100_0000).contains(&n)) {
        return Err(format!("its {name} is {ints:?}; its spatial axes take {axes} sizes of 0 or more"));
    }
    Ok(Some(ints.iter().map(|&n| n as usize).collect()))
}

/// How a convolution or a pooling slides over so many spatial axes.
fn sliding(node: &Node<'_>, kernel: Option<Vec<usize>>, axes: usize) -> Result<Sliding, String> {
    let given = sizes(node, "kernel_shape", axes)?;
    let kernel = match (kernel, given) {
        (Some(kernel), Some(given)) if kernel != given => {
            return Err(format!("its kernel_shape {given:?} isn't its weight's, {kernel:?}"));
        }
        (Some(kernel), _) | (None, Some(kernel)) => kernel,
        (None, None) => return Err("it has no kernel_shape".into()),
    };
    let plain = Sliding::new(&kernel);
    let padding = match node.text("auto_pad")? {
        None | Some("NOTSET" | "") => match sizes(node, "pads", 2 * axes)? {
            Some(mut before) => {
                let after = before.split_off(axes);
                Padding::Explicit { before, after }
            }
            None => Padding::Valid,
        },
        Some("SAME_UPPER") => Padding::SameUpper,
        Some("SAME_LOWER") => Padding::SameLower,
        Some("VALID") => Padding::Valid,
        Some(other) => return Err(format!("its auto_pad {other:?} isn't one of ONNX's")),
    };
    Ok(Sliding {
        stride: sizes(node, "strides", axes)?.unwrap_or_else(|| plain.stride.clone()),
        dilation: sizes(node, "dilations", axes)?.unwrap_or_else(|| plain.dilation.clone()),
        padding,
        ceil: node.int("ceil_mode")?.unwrap_or(0) != 0,
        ..plain
    })
}

fn convolution<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let axes = to.shape(input).len().saturating_sub(1);
    let weight = to.constant(node, 1)?;
    let [filters, of_group, kernel @ ..] = &weight.dims[..] else {
        return Err(format!("its weight has the shape {:?}", weight.dims));
    };
    let (filters, of_group) = (*filters, *of_group);
    if kernel.len() != axes {
        return Err(format!("its weight has {} spatial axes and its input {axes}", kernel.len()));
    }
    let groups = usize::try_from(node.int("group")?.unwrap_or(1)).map_err(|_| "its group is negative")?;
    if of_group.checked_mul(groups) != to.shape(input).first().copied() {
        return Err(format!("its weight is for {groups} × {of_group} channels, its input has {:?}", to.shape(input)));
    }
    let sliding = sliding(node, Some(kernel.to_vec()), axes)?;
    let (weight, bias) = (numbers(weight)?, to.optional(node, 2)?.map(|b| vector(b, filters, "bias")).transpose()?);
    let layer = Convolution { filters, sliding, groups, weight: Weight::Direct, train_bias: true };
    let id = to.push(node, layer, &[input])?;
    to.tensors.push((id, "weight", weight));
    to.tensors.extend(bias.map(|bias| (id, "bias", bias)));
    Ok(id)
}

/// `W: [M, N]` from a matrix `[N, M]`.
fn transposed(values: &[f64], rows: usize, cols: usize) -> Vec<f64> {
    (0..cols).flat_map(|c| (0..rows).map(move |r| values[r * cols + c])).collect()
}

fn dense<'a>(
    to: &mut Lowering<'a>,
    node: &Node<'a>,
    input: NodeId,
    weight: Vec<f64>,
    bias: Option<Vec<f64>>,
) -> Result<NodeId, String> {
    let width: usize = to.shape(input).iter().product();
    let units = weight.len() / width.max(1);
    let id = to.push(node, Dense { units, weight: Weight::Direct, train_bias: true }, &[input])?;
    to.tensors.push((id, "weight", weight));
    to.tensors.extend(bias.map(|bias| (id, "bias", bias)));
    Ok(id)
}

fn gemm<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let &[width] = to.shape(input) else {
        return Err(format!("its input has the shape {:?} without the batch; one axis is supported", to.shape(input)));
    };
    // One old exporter writes an empty text for 0.
    let flag = |name: &str| node.int(name).unwrap_or(Some(0)).unwrap_or(0) != 0;
    if flag("transA") {
        return Err("its transA puts the batch last, which isn't supported".into());
    }
    let (alpha, beta) = (node.float("alpha")?.unwrap_or(1.0), node.float("beta")?.unwrap_or(1.0));
    let b = to.constant(node, 1)?;
    let &[rows, cols] = &b.dims[..] else { return Err(format!("its weight has the shape {:?}", b.dims)) };
    let (n, m) = if flag("transB") { (cols, rows) } else { (rows, cols) };
    if n != width {
        return Err(format!("its weight is for {n} inputs, and {width} come"));
    }
    let values = numbers(b)?;
    let mut weight = if flag("transB") { values } else { transposed(&values, rows, cols) };
    weight.iter_mut().for_each(|w| *w *= f64::from(alpha));
    let bias = match to.optional(node, 2)? {
        None => None,
        Some(c) if c.data.len() == 1 => Some(vec![f64::from(beta) * numbers(c)?[0]; m]),
        Some(c) => Some(vector(c, m, "bias")?.into_iter().map(|c| f64::from(beta) * c).collect()),
    };
    dense(to, node, input, weight, bias)
}

fn mat_mul<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let &[width] = to.shape(input) else {
        return Err(format!("its input has the shape {:?} without the batch; one axis is supported", to.shape(input)));
    };
    let b = to.constant(node, 1)?;
    let &[rows, cols] = &b.dims[..] else {
        return Err(format!("its second input has the shape {:?}; a matrix is supported", b.dims));
    };
    if rows != width {
        return Err(format!("its weight is for {rows} inputs, and {width} come"));
    }
    let weight = transposed(&numbers(b)?, rows, cols);
    dense(to, node, input, weight, None)
}

fn batch_norm<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    if node.int("training_mode")?.unwrap_or(0) != 0 {
        return Err("it is in training mode; export the network for use (in PyTorch: model.eval())".into());
    }
    let input = to.activation(node, 0)?;
    let channels = *to.shape(input).first().ok_or("its input has no channels")?;
    let epsilon = f64::from(node.float("epsilon")?.unwrap_or(1e-5));
    let part = |i, what| vector(to.constant(node, i)?, channels, what);
    let (gamma, beta, mean, variance) = (part(1, "scale")?, part(2, "bias")?, part(3, "mean")?, part(4, "variance")?);
    let scale: Vec<f64> = gamma.iter().zip(&variance).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    let shift = (0..channels).map(|c| beta[c] - mean[c] * scale[c]).collect();
    scaled(to, node, input, By::Channel, scale, shift)
}

fn scaled<'a>(
    to: &mut Lowering<'a>,
    node: &Node<'a>,
    input: NodeId,
    by: By,
    scale: Vec<f64>,
    shift: Vec<f64>,
) -> Result<NodeId, String> {
    let id = to.push(node, Scale { by }, &[input])?;
    to.tensors.push((id, "scale", scale));
    to.tensors.push((id, "shift", shift));
    Ok(id)
}

fn max_pool<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    if node.outputs.len() > 1 && !node.outputs[1].is_empty() {
        return Err("its second output, the indices, isn't supported".into());
    }
    let input = to.activation(node, 0)?;
    let axes = to.shape(input).len().saturating_sub(1);
    let sliding = sliding(node, None, axes)?;
    to.push(node, MaxPoolNode { sliding }, &[input])
}

fn average_pool<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let axes = to.shape(input).len().saturating_sub(1);
    let sliding = sliding(node, None, axes)?;
    let count_padding = node.int("count_include_pad")?.unwrap_or(0) != 0;
    to.push(node, AveragePool { sliding, count_padding }, &[input])
}

/// Over all spatial axes, which stay with size 1.
fn global<'a>(to: &mut Lowering<'a>, node: &Node<'a>, average: bool) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let spatial = to.shape(input).get(1..).unwrap_or_default().to_vec();
    let sliding = Sliding::new(&spatial);
    let layer: Layer =
        if average { AveragePool { sliding, count_padding: false }.into() } else { MaxPoolNode { sliding }.into() };
    to.push(node, layer, &[input])
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

fn reduce_mean<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let shape = to.shape(input).to_vec();
    let mut axes =
        axes_of(to, node, shape.len() + 1)?.ok_or("it has no axes, so it would mix the samples of a batch")?;
    axes.sort_unstable();
    if axes != (2..=shape.len()).collect::<Vec<_>>() {
        return Err(format!("it is over the axes {axes:?}; over all spatial axes, from 2 on, it is supported"));
    }
    let pooled = global(to, node, true)?;
    if node.int("keepdims")?.unwrap_or(1) != 0 {
        return Ok(pooled);
    }
    to.push(node, Reshape { shape: Some(shape[..1].to_vec()) }, &[pooled])
}

fn flatten<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let rank = to.shape(input).len() as i64 + 1;
    let axis = node.int("axis")?.unwrap_or(1);
    if axis != 1 && axis + rank != 1 {
        return Err(format!("its axis is {axis}; 1 is supported, which keeps the batch"));
    }
    to.push(node, Reshape { shape: None }, &[input])
}

fn reshape<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let known = |n: &[i64]| n.iter().map(|&n| Dim::Known(n)).collect();
    let dims: Vec<Dim> = match (to.get(node, 1), node.ints("shape")?) {
        (Some(Known::Value(Value::Constant(tensor))), _) => known(tensor.as_ints()?),
        (Some(Known::Value(Value::Shape(symbolic))), _) => symbolic.elements.clone(),
        (None, Some(shape)) => known(shape),
        _ => return Err("the shape that it makes isn't a constant".into()),
    };
    if node.int("allowzero")?.unwrap_or(0) != 0 && dims.contains(&Dim::Known(0)) {
        return Err("it makes an axis of size 0".into());
    }
    let shape = to.sample_of(&dims, input)?;
    to.push(node, Reshape { shape: Some(shape) }, &[input])
}

fn squeeze<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let shape = to.shape(input).to_vec();
    let mut new = Vec::new();
    if node.op_type == "Squeeze" {
        let axes = axes_of(to, node, shape.len() + 1)?;
        for (i, &n) in shape.iter().enumerate() {
            let listed = axes.as_ref().map_or(n == 1, |axes| axes.contains(&(i + 1)));
            if listed && n != 1 {
                return Err(format!("it takes off axis {}, which has the size {n}", i + 1));
            }
            if !listed {
                new.push(n);
            }
        }
        if axes.is_some_and(|axes| axes.contains(&0)) {
            return Err("it takes off the batch".into());
        }
    } else {
        let count = node.ints("axes")?.map(<[i64]>::len).or(to.optional(node, 1)?.map(|t| t.data.len())).unwrap_or(0);
        let axes = axes_of(to, node, shape.len() + 1 + count)?.ok_or("it has no axes")?;
        if axes.contains(&0) {
            return Err("it puts an axis before the batch".into());
        }
        let mut old = shape.iter().copied();
        let rank = shape.len() + count;
        new.extend((1..=rank).filter_map(|i| if axes.contains(&i) { Some(1) } else { old.next() }));
    }
    if new.is_empty() {
        new.push(1);
    }
    to.push(node, Reshape { shape: Some(new) }, &[input])
}

/// Sums of activations, or of one and a constant.
fn add<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    if (0..node.inputs.len()).any(|i| matches!(to.get(node, i), Some(Known::Value(_)))) {
        return with_constant(to, node);
    }
    let mut sum = to.activation(node, 0)?;
    for i in 1..node.inputs.len() {
        let other = to.activation(node, i)?;
        if to.shape(sum) != to.shape(other) {
            let (a, b) = (to.shape(sum), to.shape(other));
            return Err(format!("it adds samples of the shapes {a:?} and {b:?}; equal ones are supported"));
        }
        sum = to.push(node, AddNode {}, &[sum, other])?;
    }
    Ok(sum)
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
            to.tensors.push((input, "bias", values));
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
        _ => return Err("it divides by what depends on the network's input, which isn't supported".into()),
    };
    scaled(to, node, input, by, scale, shift)
}

fn concat<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let inputs: Vec<NodeId> = (0..node.inputs.len()).map(|i| to.activation(node, i)).collect::<Result<_, _>>()?;
    let rank = to.shape(*inputs.first().ok_or("it has no inputs")?).len() as i64 + 1;
    let axis = node.int("axis")?.ok_or("it has no axis")?;
    if axis != 1 && axis + rank != 1 {
        return Err(format!("its axis is {axis}; 1, the channels, is supported"));
    }
    if let [one] = inputs[..] {
        return Ok(one);
    }
    to.push(node, ConcatNode {}, &inputs)
}
