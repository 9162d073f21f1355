//! Functions of one number with one or two parameters, and what linearising them takes: other programs' activations.

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use crate::program::dispatch::{Caps, Dispatch, GpuView, Memory};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffers, View};

/// f(x) with the parameters a and b. At a kink the slope is that of the side where the function is flat, or of the lower side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u32)]
pub enum Function {
    /// a·x + b.
    Affine = 0,
    /// x for x > 0, else a·x.
    LeakyRelu = 1,
    /// x for x > 0, else a·(eˣ − 1).
    Elu = 2,
    /// b·(x for x > 0, else a·(eˣ − 1)).
    Selu = 3,
    /// The number of a…b that is nearest to x.
    Clip = 4,
    /// a·x + b, clipped to 0…1.
    HardSigmoid = 5,
    /// x times the hard sigmoid of a and b.
    HardSwish = 6,
    /// ln(1 + eˣ).
    Softplus = 7,
    /// x / (1 + |x|).
    Softsign = 8,
    Abs = 9,
    Erf = 10,
    Exp = 11,
    /// √x, with the slope 0 at 0.
    Sqrt = 12,
    /// 1/x.
    Reciprocal = 13,
    /// x to the power a, x > 0.
    Power = 14,
    /// x·tanh(ln(1 + eˣ)).
    Mish = 15,
    /// ln x.
    Log = 16,
    /// ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))).
    GeluTanh = 17,
    /// x for x > 0, else a·(e^(x/a) − 1).
    Celu = 18,
    /// x·sigmoid(a·x).
    Swish = 19,
    /// x for x > a, else 0.
    ThresholdedRelu = 20,
    Sin = 21,
    Cos = 22,
}

impl Function {
    pub const ALL: [Function; 23] = [
        Function::Affine,
        Function::LeakyRelu,
        Function::Elu,
        Function::Selu,
        Function::Clip,
        Function::HardSigmoid,
        Function::HardSwish,
        Function::Softplus,
        Function::Softsign,
        Function::Abs,
        Function::Erf,
        Function::Exp,
        Function::Sqrt,
        Function::Reciprocal,
        Function::Power,
        Function::Mish,
        Function::Log,
        Function::GeluTanh,
        Function::Celu,
        Function::Swish,
        Function::ThresholdedRelu,
        Function::Sin,
        Function::Cos,
    ];
}

/// `y = f(x)` for the batch's rows; with `slope` and `intercept` also S = f'(x) and q = f(x) − S·x.
#[derive(Debug, Clone)]
pub struct Apply {
    pub function: Function,
    pub a: f32,
    pub b: f32,
    pub x: View,
    pub y: View,
    pub slope: Option<View>,
    pub intercept: Option<View>,
}

pub const SHADER: Shader = shader!("function");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub x: GpuView,
    pub y: GpuView,
    pub slope: GpuView,
    pub intercept: GpuView,
    pub a: f32,
    pub b: f32,
    pub pad: [u32; 2],
}

impl Apply {
    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let params = Params {
            x: GpuView::new(buffers, self.x),
            y: GpuView::new(buffers, self.y),
            slope: GpuView::of(buffers, self.slope),
            intercept: GpuView::of(buffers, self.intercept),
            a: self.a,
            b: self.b,
            pad: [0; 2],
        };
        let dispatch = Dispatch::new(SHADER, "main", &params)
            .constant("FUNCTION", self.function as u32)
            .constant("SLOPES", self.slope.is_some().into())
            .constant("INTERCEPTS", self.intercept.is_some().into())
            .read(2, self.x.buffer)
            .write(3, self.y.buffer);
        let bind = |dispatch: Dispatch, slot, view: Option<View>| match view {
            Some(view) => dispatch.write(slot, view.buffer),
            None => dispatch.bind(slot, Memory::Nothing, true),
        };
        vec![bind(bind(dispatch, 4, self.slope), 5, self.intercept).plane(caps, self.y, 80.0)]
    }
}
