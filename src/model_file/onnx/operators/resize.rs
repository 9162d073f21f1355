//! Resize and Upsample.

use super::numbers;
use crate::model_file::onnx::fold::{Dim, Value};
use crate::model_file::onnx::lowering::{Known, LONGEST, Lowering};
use crate::model_file::onnx::wire::Node;
use crate::network::{Coordinates, Interpolation, NodeId, Resize, Rounding};

/// How large the output is along the axes that a node names.
enum Target {
    Scales(Vec<f64>),
    Sizes(Vec<Dim>),
}

/// The target, from an attribute or an input; an empty tensor is none.
fn target<'a>(to: &Lowering<'a>, node: &Node<'a>) -> Result<Target, String> {
    if let Some(scales) = node.floats("scales")? {
        return Ok(Target::Scales(scales.iter().map(|&scale| f64::from(scale)).collect()));
    }
    let (scales, sizes) = if node.op_type == "Upsample" || to.opset < 11 { (1, None) } else { (2, Some(3)) };
    match sizes.and_then(|i| to.get(node, i)) {
        Some(Known::Value(Value::Shape(symbolic))) => return Ok(Target::Sizes(symbolic.elements.clone())),
        Some(Known::Value(Value::Constant(tensor))) if tensor.data.len() > 0 => {
            return Ok(Target::Sizes(tensor.as_ints()?.iter().map(|&n| Dim::Known(n)).collect()));
        }
        Some(Known::Node(_)) => return Err("its sizes depend on the network's input".into()),
        _ => {}
    }
    match to.optional(node, scales)? {
        Some(tensor) if tensor.data.len() > 0 => numbers(tensor).map(Target::Scales),
        _ => Err("it has neither scales nor sizes".into()),
    }
}

/// The axes of the tensor, batch included, that a node names.
fn named_axes(node: &Node<'_>, rank: usize) -> Result<Vec<usize>, String> {
    let Some(axes) = node.ints("axes")? else { return Ok((0..rank).collect()) };
    let place = |&axis: &i64| {
        let place = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(place).ok().filter(|&place| place < rank).ok_or_else(|| format!("it has no axis {axis}"))
    };
    axes.iter().map(place).collect()
}

/// A scale as a file would have it: in single precision.
fn ratio(made: i64, size: usize) -> f64 {
    f64::from(made as f32 / size as f32)
}

/// As many elements as a scale makes of an axis, computed in single precision, where 0.7 of 10 elements are 7 (the number that
/// is called 0.7 there is a little less).
fn scaled(size: usize, scale: f64) -> f32 {
    size as f32 * scale as f32
}

/// Sizes that keep the proportions of the axes, as a policy says, and the scale that they are rounded from.
fn proportional(input: &[usize], axes: &[usize], wanted: &mut [i64], policy: &str) -> Result<Option<f64>, String> {
    let ratios = axes.iter().zip(wanted.iter()).map(|(&axis, &size)| ratio(size, input[axis]));
    let scale = match policy {
        "stretch" => return Ok(None),
        "not_larger" => ratios.fold(f64::INFINITY, f64::min),
        "not_smaller" => ratios.fold(0.0, f64::max),
        other => return Err(format!("its keep_aspect_ratio_policy {other:?} isn't one of ONNX's")),
    };
    wanted.iter_mut().zip(axes).for_each(|(size, &axis)| *size = (scaled(input[axis], scale) + 0.5).floor() as i64);
    Ok(Some(scale))
}

pub(super) fn resize<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let shape = to.shape(input).to_vec();
    let axes = named_axes(node, shape.len() + 1)?;
    let counts =
        |n: usize| if n == axes.len() { Ok(()) } else { Err(format!("it has {n} sizes for {} axes", axes.len())) };
    let (mut made, mut scales) = (shape.clone(), vec![1.0; shape.len()]);
    match target(to, node)? {
        Target::Scales(given) => {
            counts(given.len())?;
            for (&axis, scale) in axes.iter().zip(given) {
                match axis.checked_sub(1) {
                    None if scale == 1.0 => {}
                    None => return Err("it resizes the batch".into()),
                    Some(axis) => {
                        scales[axis] = scale;
                        made[axis] = scaled(shape[axis], scale).floor() as usize;
                    }
                }
            }
        }
        Target::Sizes(sizes) => {
            counts(sizes.len())?;
            let (mut own, mut wanted) = (Vec::new(), Vec::new());
            for (&axis, size) in axes.iter().zip(sizes) {
                match (axis.checked_sub(1), size) {
                    (None, Dim::Batch { times: 1 }) => {}
                    (None, Dim::Known(n)) if to.batch == Some(n) => {}
                    (None, _) => return Err("it resizes the batch".into()),
                    (Some(axis), Dim::Known(size @ 1..=LONGEST)) => {
                        own.push(axis);
                        wanted.push(size);
                    }
                    (Some(axis), Dim::Known(size)) if size > LONGEST => {
                        let axis = axis + 1;
                        return Err(format!(
                            "it resizes axis {axis} to {size}, which is too large; {LONGEST} elements are supported"
                        ));
                    }
                    (Some(axis), size) => return Err(format!("it resizes axis {} to {size}", axis + 1)),
                }
            }
            let policy = node.text("keep_aspect_ratio_policy")?.unwrap_or("stretch");
            let scale = proportional(&shape, &own, &mut wanted, policy)?;
            for (axis, size) in own.into_iter().zip(wanted) {
                made[axis] = usize::try_from(size).unwrap_or(0);
                scales[axis] = scale.unwrap_or_else(|| ratio(size, shape[axis]));
            }
        }
    }
    // Samples that keep their size stay as they are, as with ONNX Runtime and PyTorch, also where the scale isn't quite 1.
    if made == shape {
        scales.fill(1.0);
    }
    let layer = Resize {
        shape: made,
        scales,
        coordinates: coordinates(to, node)?,
        interpolation: interpolation(to, node)?,
        exclude_outside: node.int("exclude_outside")?.unwrap_or(0) != 0,
        antialias: node.int("antialias")?.unwrap_or(0) != 0,
    };
    to.push(node, layer, &[input])
}

/// Before operator set 11 there was one way.
fn coordinates(to: &Lowering<'_>, node: &Node<'_>) -> Result<Coordinates, String> {
    let old = node.op_type == "Upsample" || to.opset < 11;
    match node.text("coordinate_transformation_mode")? {
        None if old => Ok(Coordinates::Asymmetric),
        None | Some("half_pixel") => Ok(Coordinates::HalfPixel),
        Some("pytorch_half_pixel") => Ok(Coordinates::PytorchHalfPixel),
        Some("half_pixel_symmetric") => Ok(Coordinates::HalfPixelSymmetric),
        Some("tf_half_pixel_for_nn") => Ok(Coordinates::TfHalfPixelForNn),
        Some("align_corners") => Ok(Coordinates::AlignCorners),
        Some("asymmetric") => Ok(Coordinates::Asymmetric),
        Some(other) => Err(format!("its coordinate_transformation_mode {other:?} isn't supported")),
    }
}

fn interpolation(to: &Lowering<'_>, node: &Node<'_>) -> Result<Interpolation, String> {
    let old = node.op_type == "Upsample" || to.opset < 11;
    match node.text("mode")? {
        None | Some("nearest") => {
            let rounding = match node.text("nearest_mode")? {
                None if old => Rounding::Floor,
                None | Some("round_prefer_floor") => Rounding::PreferFloor,
                Some("round_prefer_ceil") => Rounding::PreferCeil,
                Some("floor") => Rounding::Floor,
                Some("ceil") => Rounding::Ceil,
                Some(other) => return Err(format!("its nearest_mode {other:?} isn't one of ONNX's")),
            };
            Ok(Interpolation::Nearest(rounding))
        }
        Some("linear" | "bilinear") => Ok(Interpolation::Linear),
        Some("cubic") => {
            let a = f64::from(node.float("cubic_coeff_a")?.unwrap_or(-0.75));
            if (-100.0..=100.0).contains(&a) {
                Ok(Interpolation::Cubic { a })
            } else {
                Err(format!("its cubic_coeff_a is {a}, which makes no sense"))
            }
        }
        Some(other) => Err(format!("its mode {other:?} isn't supported; nearest, linear and cubic are")),
    }
}
