//! Products with matrices.

use super::{numbers, vector};
use crate::model_file::onnx::lowering::{BatchAxis, Known, Lowering, Numbers};
use crate::model_file::onnx::wire::Node;
use crate::network::{Broadcast, Convolution, Dense, MatMulNode, NodeId, Permute, Reshape, Sliding, Weight};

/// `W: [M, N]` from a matrix `[N, M]`.
fn transposed(numbers: Numbers, rows: usize, cols: usize) -> Numbers {
    fn turn<T: Copy>(values: &[T], rows: usize, cols: usize) -> Vec<T> {
        (0..cols).flat_map(|c| (0..rows).map(move |r| values[r * cols + c])).collect()
    }
    match numbers {
        Numbers::Single(values) => Numbers::Single(turn(&values, rows, cols)),
        Numbers::Double(values) => Numbers::Double(turn(&values, rows, cols)),
    }
}

/// A constant matrix and what is added.
struct Matrix {
    /// `[M, N]`.
    weight: Numbers,
    units: usize,
    bias: Option<Vec<f64>>,
}

impl Matrix {
    fn dense<'a>(self, to: &mut Lowering<'a>, node: &Node<'a>, input: NodeId) -> Result<NodeId, String> {
        let layer = Dense { units: self.units, weight: Weight::Direct, train_bias: true };
        let id = to.push(node, layer, &[input])?;
        self.set(to, id);
        Ok(id)
    }

    fn set(self, to: &mut Lowering<'_>, id: NodeId) {
        to.tensors.push((id, "weight", self.weight));
        to.tensors.extend(self.bias.map(|bias| (id, "bias", bias.into())));
    }

    /// The same product at every place: a convolution that sees one place, whose channels are the last axis.
    fn at_places<'a>(self, to: &mut Lowering<'a>, node: &Node<'a>, input: NodeId) -> Result<NodeId, String> {
        let mut made = to.shape(input).to_vec();
        let width = made.pop().unwrap_or(1);
        let (places, units) = (made.iter().product(), self.units);
        let turn = || Permute { axes: vec![1, 0] };
        let flat = to.push_part(node, "places", Reshape { shape: Some(vec![places, width]) }, &[input])?;
        let channels = to.push_part(node, "channels", turn(), &[flat])?;
        let sliding = Sliding::new(&[1]);
        let layer = Convolution { filters: units, sliding, groups: 1, weight: Weight::Direct, train_bias: true };
        let id = to.push_part(node, "product", layer, &[channels])?;
        self.set(to, id);
        let turned = to.push_part(node, "turned", turn(), &[id])?;
        made.push(units);
        to.push(node, Reshape { shape: Some(made) }, &[turned])
    }
}

pub(super) fn gemm<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let input = to.activation(node, 0)?;
    let shape = to.shape(input).to_vec();
    // A batch that is joined with another axis stands for several rows of a sample.
    let rank = if to.batch_axis == BatchAxis::First { 1 } else { shape.len() };
    let Some(&width) = shape.last().filter(|_| shape.len() == rank) else {
        return Err(format!("its input has the shape {shape:?} without the batch; one axis is supported"));
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
    let bias = match to.optional(node, 2)? {
        None => None,
        Some(c) if c.data.len() == 1 => Some(vec![f64::from(beta) * numbers(c)?[0]; m]),
        // As many rows as the batch has, or one number a row, would be of one batch alone.
        Some(c) if c.dims.last() != Some(&m) || c.dims.len() > 2 => {
            return Err(format!("its bias has the shape {:?}, not one number for each of {m} columns", c.dims));
        }
        Some(c) => Some(vector(c, m, "bias")?.into_iter().map(|c| f64::from(beta) * c).collect()),
    };
    let mut weight = to.numbers(node, 1)?;
    if !flag("transB") {
        weight = transposed(weight, rows, cols);
    }
    let matrix = Matrix { weight: weight.times(f64::from(alpha)), units: m, bias };
    if rank == 1 { matrix.dense(to, node, input) } else { matrix.at_places(to, node, input) }
}

/// A product along the last axis with a constant matrix, of a constant matrix along the last but one, or of two activations.
pub(super) fn mat_mul<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    match (to.get(node, 0), to.get(node, 1)) {
        (Some(Known::Node(a)), Some(Known::Node(b))) => return of_two(to, node, [*a, *b]),
        (Some(Known::Value(_) | Known::Rows(_)), _) => return from_left(to, node),
        _ => {}
    }
    let input = to.activation(node, 0)?;
    let b = to.constant(node, 1)?;
    let shape = to.shape(input).to_vec();
    let (&width, rank) = (shape.last().ok_or("its input has no axes")?, shape.len() + 1);
    let (ones, matrix) = b.dims.split_at(b.dims.len().saturating_sub(2));
    let (rows, cols) = match *matrix {
        // A vector: the axis that it would make is dropped.
        [rows] => (rows, 1),
        [rows, cols] if ones.iter().all(|&n| n == 1) && b.dims.len() <= rank => (rows, cols),
        _ => return Err(format!("its second input has the shape {:?}; a matrix is supported", b.dims)),
    };
    if rows != width {
        return Err(format!("its weight is for {rows} inputs, and {width} come"));
    }
    let drops = b.dims.len() == 1;
    let weight = transposed(to.numbers(node, 1)?, rows, cols);
    let matrix = Matrix { weight, units: cols, bias: None };
    let made = if shape.len() == 1 { matrix.dense(to, node, input)? } else { matrix.at_places(to, node, input)? };
    if !drops {
        return Ok(made);
    }
    let mut shape = shape;
    shape.pop();
    to.push_part(node, "dropped", Reshape { shape: Some(shape) }, &[made])
}

/// `A·x` with a constant A: the places of x's last axis are those of the product.
fn from_left<'a>(to: &mut Lowering<'a>, node: &Node<'a>) -> Result<NodeId, String> {
    let a = to.constant(node, 0)?;
    let input = to.activation(node, 1)?;
    let shape = to.shape(input).to_vec();
    let (ones, matrix) = a.dims.split_at(a.dims.len().saturating_sub(2));
    let matrix = if ones.iter().all(|&n| n == 1) && a.dims.len() <= shape.len() + 1 { matrix } else { &a.dims[..] };
    let (&[rows, cols], &[.., depth, _]) = (matrix, &shape[..]) else {
        return Err(format!(
            "it multiplies a constant of {:?} and samples of {shape:?}; a matrix and two axes or more are supported",
            a.dims
        ));
    };
    if cols != depth {
        return Err(format!("its weight is for {cols} inputs, and {depth} come"));
    }
    let matrix = Matrix { weight: to.numbers(node, 0)?, units: rows, bias: None };
    let mut axes: Vec<usize> = (0..shape.len()).collect();
    axes.swap(shape.len() - 2, shape.len() - 1);
    let turned = to.push_part(node, "input turned", Permute { axes: axes.clone() }, &[input])?;
    let made = matrix.at_places(to, node, turned)?;
    to.push_part(node, "turned back", Permute { axes }, &[made])
}

/// Matrices that both depend on the sample, spread over each other's axes of size 1.
fn of_two<'a>(to: &mut Lowering<'a>, node: &Node<'a>, ids: [NodeId; 2]) -> Result<NodeId, String> {
    let shapes = ids.map(|id| to.shape(id).to_vec());
    let [a, b] = &shapes;
    let rank = a.len();
    if rank != b.len() || rank < 2 {
        return Err(format!(
            "it multiplies samples of the shapes {a:?} and {b:?}; as many axes are supported, and two at least"
        ));
    }
    let heads: Vec<usize> = (0..rank - 2).map(|axis| if a[axis] == 1 { b[axis] } else { a[axis] }).collect();
    let mut spread = ids;
    for (id, own) in spread.iter_mut().zip(&shapes) {
        let shape = [&heads[..], &own[rank - 2..]].concat();
        if *own != shape {
            *id = to.push_part(node, "spread", Broadcast { shape }, &[*id])?;
        }
    }
    to.push(node, MatMulNode {}, &spread)
}
