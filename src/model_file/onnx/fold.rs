//! Evaluation of what doesn't depend on a model's input: weights under constant operators, and the arithmetic of
//! shapes, in which the batch size stays a symbol.

mod arithmetic;
mod budget;
mod create;
mod dim;
mod layout;
mod linear;
#[cfg(test)]
mod tests;
mod walk;

pub use self::budget::Budget;
pub use self::dim::Dim;
use super::tensor::{Data, ElemType, Tensor, count};
use super::wire::Node;

/// Elements that a result may have.
const MOST_FOLDED: usize = 1 << 28;
/// Elements that a result may have if no input has as many: what repeats a little many times comes to an end here.
const MOST_REPEATED: usize = 1 << 24;

/// What is known of a node's input.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    Constant(&'a Tensor),
    /// Integers that depend on the batch size.
    Shape(&'a Symbolic),
    /// The shape of what depends on the model's input.
    Activation(&'a [Dim]),
}

/// The result of a folded node.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Constant(Tensor),
    /// At least one element depends on the batch size.
    Shape(Symbolic),
}

/// A tensor of integers that may depend on the batch size, in row-major order: as many `elements` as the product of
/// `dims`, which is mostly `[]` or `[n]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Symbolic {
    pub dims: Vec<usize>,
    /// An integer type.
    pub elem: ElemType,
    pub elements: Vec<Dim>,
}

impl Value {
    /// The value as an input of another node.
    #[must_use]
    pub fn input(&self) -> Input<'_> {
        match self {
            Value::Constant(tensor) => Input::Constant(tensor),
            Value::Shape(shape) => Input::Shape(shape),
        }
    }

    /// How many elements it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operand().len()
    }

    fn operand(&self) -> Operand<'_> {
        match self {
            Value::Constant(tensor) => Operand::Constant(tensor),
            Value::Shape(shape) => Operand::Shape(shape),
        }
    }
}

impl Symbolic {
    /// A constant where nothing depends on the batch size.
    fn settled(self) -> Value {
        let known = self.elements.iter().map(|dim| if let Dim::Known(n) = dim { Some(*n) } else { None });
        match known.collect() {
            Some(values) => Value::Constant(Tensor { dims: self.dims, elem: self.elem, data: Data::Int(values) }),
            None => Value::Shape(self),
        }
    }
}

/// Evaluates a node of operator set `opset`, if that is possible: with one value for each output. `inputs` has one for
/// each input of the node, none for an optional one that is left out.
///
/// None for an operator that isn't evaluated here, for one that has an activation as an input (except `Shape` and
/// `Size`), and for `Expand` and `Tile` where the size of the result depends on the batch size.
///
/// # Errors
/// A sentence without the node's name: for inputs or attributes that don't fit the operator, for a result that depends
/// on the batch size otherwise than as a multiple of it, for one beyond 2^28 elements (2^24 if all inputs are
/// smaller), and for what is beyond the file's `budget`.
pub fn fold(node: &Node, opset: i64, inputs: &[Option<Input>], budget: &Budget) -> Result<Option<Vec<Value>>, String> {
    if !node.domain.is_empty() {
        return Ok(None);
    }
    match (node.op_type, inputs) {
        ("Shape", [Some(input)]) => return create::shape(node, *input).map(|value| Some(vec![value])),
        ("Size", [Some(input)]) => return create::size(*input).map(|value| Some(vec![value])),
        _ => {}
    }
    if inputs.iter().flatten().any(|input| matches!(input, Input::Activation(_))) {
        return Ok(None);
    }
    let operands: Vec<_> = inputs.iter().map(|input| input.and_then(Operand::new)).collect();
    // A short file can hold a long one, which would be copied many times.
    if operands.iter().flatten().any(|operand| operand.elem() == ElemType::Text) {
        return Err("it computes with strings, which isn't supported".into());
    }
    let call = &Call { node, opset, operands, budget };
    let value = match node.op_type {
        "ConstantOfShape" if matches!(call.operands.last(), Some(Some(Operand::Shape(_)))) => {
            return Err("it is a constant of a size that depends on the batch size, which isn't its first axis".into());
        }
        "Expand" | "Tile" if matches!(call.operands.last(), Some(Some(Operand::Shape(_)))) => {
            return Ok(None);
        }
        "Split" => return layout::split(call).map(Some),
        "Constant" => create::constant(call),
        "ConstantOfShape" => create::constant_of_shape(call),
        "Range" => create::range(call),
        "Identity" | "Dropout" => layout::identity(call),
        "Reshape" => layout::reshape(call),
        "Flatten" => layout::flatten(call),
        "Squeeze" => layout::squeeze(call),
        "Unsqueeze" => layout::unsqueeze(call),
        "Transpose" => layout::transpose(call),
        "Expand" => layout::expand(call),
        "Tile" => layout::tile(call),
        "Gather" => layout::gather(call),
        "GatherElements" => layout::gather_elements(call),
        "Slice" => layout::slice(call),
        "Concat" => layout::concat(call),
        "Pad" => layout::pad(call),
        "Where" => layout::choose(call),
        "Trilu" => layout::triangle(call),
        "Cast" | "CastLike" => arithmetic::cast(call),
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Pow" => arithmetic::binary(call),
        "Min" | "Max" | "Sum" => arithmetic::variadic(call),
        "Neg" | "Abs" | "Sqrt" | "Reciprocal" | "Exp" | "Log" | "Floor" | "Ceil" | "Round" | "Sin" | "Cos" | "Tanh"
        | "Sigmoid" | "Softplus" | "Relu" | "Sign" => arithmetic::unary(call),
        "Clip" => arithmetic::clip(call),
        "Equal" | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" => arithmetic::compare(call),
        "Not" | "And" | "Or" | "Xor" => arithmetic::logic(call),
        "ReduceProd" | "ReduceSum" | "ReduceMin" | "ReduceMax" | "ReduceMean" | "ReduceL1" | "ReduceL2"
        | "ReduceSumSquare" => linear::reduce(call),
        "MatMul" => linear::matmul(call),
        "Gemm" => linear::gemm(call),
        "QuantizeLinear" => linear::quantize(call),
        "DequantizeLinear" => linear::dequantize(call),
        _ => return Ok(None),
    };
    value.map(|value| Some(vec![value]))
}

/// An input that is no activation.
#[derive(Clone, Copy)]
enum Operand<'a> {
    Constant(&'a Tensor),
    Shape(&'a Symbolic),
}

impl<'a> Operand<'a> {
    fn new(input: Input<'a>) -> Option<Self> {
        match input {
            Input::Constant(tensor) => Some(Operand::Constant(tensor)),
            Input::Shape(shape) => Some(Operand::Shape(shape)),
            Input::Activation(_) => None,
        }
    }

    fn dims(self) -> &'a [usize] {
        match self {
            Operand::Constant(tensor) => &tensor.dims,
            Operand::Shape(shape) => &shape.dims,
        }
    }

    fn elem(self) -> ElemType {
        match self {
            Operand::Constant(tensor) => tensor.elem,
            Operand::Shape(shape) => shape.elem,
        }
    }

    fn len(self) -> usize {
        match self {
            Operand::Constant(tensor) => tensor.data.len(),
            Operand::Shape(shape) => shape.elements.len(),
        }
    }

    /// The elements as integers that may depend on the batch size.
    fn symbols(self) -> Result<Vec<Dim>, String> {
        match self {
            Operand::Constant(tensor) => Ok(tensor.as_ints()?.iter().map(|&n| Dim::Known(n)).collect()),
            Operand::Shape(shape) => Ok(shape.elements.clone()),
        }
    }
}

/// A node with what it is given.
struct Call<'a> {
    node: &'a Node<'a>,
    opset: i64,
    operands: Vec<Option<Operand<'a>>>,
    budget: &'a Budget,
}

impl<'a> Call<'a> {
    fn optional(&self, i: usize) -> Option<Operand<'a>> {
        self.operands.get(i).copied().flatten()
    }

    fn operand(&self, i: usize) -> Result<Operand<'a>, String> {
        self.optional(i).ok_or_else(|| format!("its input {i} (counted from 0) is missing"))
    }

    fn optional_constant(&self, i: usize) -> Result<Option<&'a Tensor>, String> {
        match self.optional(i) {
            Some(Operand::Constant(tensor)) => Ok(Some(tensor)),
            Some(Operand::Shape(_)) => Err(format!("its input {i} (counted from 0) depends on the batch size")),
            None => Ok(None),
        }
    }

    fn constant(&self, i: usize) -> Result<&'a Tensor, String> {
        self.optional_constant(i)?.ok_or_else(|| format!("its input {i} (counted from 0) is missing"))
    }

    /// All inputs, none of which may be left out.
    fn all(&self) -> Result<Vec<Operand<'a>>, String> {
        (0..self.operands.len()).map(|i| self.operand(i)).collect()
    }

    /// A list of integers: older operator sets have it as an attribute, newer ones as input `i`.
    fn list(&self, name: &str, i: usize) -> Result<Option<Vec<i64>>, String> {
        if let Some(list) = self.node.ints(name)? {
            return Ok(Some(list.to_vec()));
        }
        match self.optional_constant(i)? {
            Some(tensor) => tensor.as_ints().map(|list| Some(list.to_vec())),
            None => Ok(None),
        }
    }

    /// The attribute `axis` as a place among `axes` axes.
    fn axis(&self, default: i64, axes: usize) -> Result<usize, String> {
        place(self.node.int("axis")?.unwrap_or(default), axes)
    }

    /// Whether an attribute is there and not 0.
    fn flag(&self, name: &str) -> Result<bool, String> {
        Ok(self.node.int(name)?.is_some_and(|flag| flag != 0))
    }

    /// Refuses a result that is too large, and takes it from the budget. To be asked before anything of that size is made.
    fn room(&self, dims: &[usize]) -> Result<(), String> {
        let largest = self.operands.iter().flatten().map(|operand| operand.len()).max().unwrap_or(0);
        self.room_for_most(dims, largest.max(MOST_REPEATED))
    }

    /// The same for a result of `most` elements.
    fn room_for_most(&self, dims: &[usize], most: usize) -> Result<(), String> {
        self.budget.make(within(dims, most)?)
    }
}

/// Refuses a shape of more elements than `most`, or than any result may have; how many it has.
fn within(dims: &[usize], most: usize) -> Result<usize, String> {
    count(dims)?;
    let most = most.min(MOST_FOLDED);
    // An empty result has axes all the same, and they are walked along.
    let n = dims.iter().map(|&n| n.max(1)).product::<usize>();
    if n > most { Err(format!("its result, of the shape {dims:?}, has more than {most} elements")) } else { Ok(n) }
}

/// A place counted from the front, or from the back where it is negative.
fn place(at: i64, n: usize) -> Result<usize, String> {
    let counted = if at < 0 { at.checked_add_unsigned(n as u64) } else { Some(at) };
    let inside = counted.and_then(|at| usize::try_from(at).ok()).filter(|&at| at < n);
    inside.ok_or_else(|| format!("{at} is out of range: there are {n}"))
}
