//! One file per kernel family: the operation as data, its WGSL dispatches, and (in `twins`) the same arithmetic in Rust.

pub mod activation;
pub mod adam;
pub mod add;
pub mod batch_norm;
pub mod batch_product;
pub mod columns;
pub mod convolve;
pub mod dropout;
pub mod expand;
pub mod function;
pub mod gather;
pub mod gemm;
pub mod linearise;
pub mod loss;
pub mod mask;
pub mod max_pool;
pub mod normalise;
pub mod penalty;
pub mod proximal;
pub mod pullback;
pub mod reduce;
pub mod select;
pub mod sparse;
pub mod tie;
pub mod twins;
pub mod window;

pub use activation::{Activate, ActivateBackward, Activation, Slope, SlopeRule};
pub use adam::Adam;
pub use add::Add;
pub use batch_norm::{BatchNormBackward, BatchNormForward, BatchNormInference};
pub use batch_product::{BatchProduct, Factor};
pub use columns::{Concat, Slice};
pub use convolve::Convolve;
pub use dropout::Dropout;
pub use expand::Expand;
pub use function::{Apply, Function};
pub use gather::{Gather, Storage};
pub use gemm::{Eigenvalues, Form, Gemm};
pub use linearise::{BatchNormLinearise, Linearise};
pub use loss::{Loss, LossKind};
pub use mask::Mask;
pub use max_pool::MaxPool;
pub use normalise::{Normalisation, Normalise, Way};
pub use penalty::Penalty;
pub use proximal::Proximal;
pub use pullback::Pullback;
pub use reduce::Reduce;
pub use select::Select;
pub use sparse::Sparse;
pub use tie::Tie;
pub use window::Window;

use crate::host::Real;
use crate::program::dispatch::{Caps, Dispatch, GemmVariant, Memory};
use crate::program::shader::Shader;
use crate::program::{Buffers, Touch};

/// Layout of the per-replica settings buffer (words): the replica's seed, then `f32` bit patterns.
pub const SETTING_SEED: usize = 0;
/// r_λ, as `f32` bits.
pub const SETTING_REG_LAMBDA: usize = 1;
/// r_ψ, as `f32` bits.
pub const SETTING_REG_PSI: usize = 2;
/// Factor on the learning rate, as `f32` bits.
pub const SETTING_RATE: usize = 3;
/// Words in the settings buffer.
pub const SETTINGS_LEN: usize = 4;

/// Every shader of the crate.
pub const SHADERS: [Shader; 26] = [
    activation::SHADER,
    adam::SHADER,
    add::SHADER,
    batch_norm::SHADER,
    batch_norm::BY_CHANNEL,
    batch_product::SHADER,
    columns::SHADER,
    convolve::SHADER,
    dropout::SHADER,
    expand::SHADER,
    function::SHADER,
    gather::SHADER,
    gemm::BROADCAST,
    gemm::TILE,
    linearise::SHADER,
    loss::SHADER,
    mask::SHADER,
    max_pool::SHADER,
    normalise::SHADER,
    penalty::SHADER,
    proximal::SHADER,
    pullback::SHADER,
    reduce::SHADER,
    select::SHADER,
    sparse::SHADER,
    tie::SHADER,
];

macro_rules! ops {
    ($($name:ident),* $(,)?) => {
        /// One kernel invocation.
        #[derive(Debug, Clone)]
        pub enum Op { $($name($name)),* }
        $(impl From<$name> for Op { fn from(op: $name) -> Op { Op::$name(op) } })*
        impl Op {
            /// The kernel's name: the same for shader, file, twin and pipeline label.
            pub fn name(&self) -> &'static str {
                match self { $(Op::$name(_) => stringify!($name)),* }
            }
            /// What the GPU runs for it.
            pub fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
                match self { $(Op::$name(op) => op.dispatches(caps, buffers)),* }
            }
            /// Runs the twin on one replica's memory.
            pub(crate) fn twin<T: Real>(&self, cx: &mut twins::Context<'_, T>) {
                match self { $(Op::$name(op) => op.twin(cx)),* }
            }
        }
    };
}

ops!(
    Select,
    Gather,
    Mask,
    Gemm,
    Activate,
    ActivateBackward,
    BatchNormForward,
    BatchNormInference,
    BatchNormBackward,
    Dropout,
    Add,
    Concat,
    Slice,
    Sparse,
    Convolve,
    MaxPool,
    Normalise,
    BatchProduct,
    Apply,
    Linearise,
    BatchNormLinearise,
    Expand,
    Loss,
    Reduce,
    Pullback,
    Tie,
    Penalty,
    Adam,
    Proximal,
);

/// What an engine loads: buffers, and passes of these operations over them.
pub type Program = crate::program::Program<Op>;

impl Op {
    /// The buffers that it reads and writes: those that its dispatches bind, whichever engine runs it.
    fn touches(&self, buffers: &Buffers) -> Vec<Touch> {
        let caps = Caps { max_binding: u64::MAX, max_groups: u32::MAX, software: false, gemm: GemmVariant::Tile };
        let mut touches = Vec::new();
        for dispatch in self.dispatches(&caps, buffers) {
            for written in [false, true] {
                let bindings = dispatch.bindings.iter().filter(|binding| binding.write == written);
                touches.extend(bindings.filter_map(|binding| match binding.memory {
                    Memory::Buffer { buffer, .. } => Some(Touch { buffer, write: written }),
                    Memory::Scratch { .. } | Memory::Nothing => None,
                }));
            }
        }
        touches
    }
}

impl Program {
    /// Lets temporary matrices share memory, where they are never needed at the same time (`program/plan.rs`).
    pub fn share(&mut self) {
        // What no shader can address is left as it is: loading refuses it, or runs it where no shader is needed.
        if self.buffers.specs.iter().any(|spec| u32::try_from(spec.len).is_err()) {
            return;
        }
        let passes = self.passes.iter();
        let touches: Vec<Vec<_>> =
            passes.map(|pass| pass.ops.iter().map(|op| op.touches(&self.buffers)).collect()).collect();
        self.plan(&touches);
    }
}
