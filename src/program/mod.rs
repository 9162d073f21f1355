//! Work as data, before anybody executes it: buffers and views into them, the dispatches of a kernel on a GPU, and passes, the
//! lists of operations that an engine runs.

mod buffers;
pub mod dispatch;
mod pass;
mod plan;
pub mod shader;
mod step;

pub use buffers::{Buffer, BufferSpec, Buffers, Content, Element, Elements, Rows, Scope, View, pad4};
pub use pass::{Pass, PassId, Program};
pub use plan::Touch;
pub use step::{
    RESULT_FINITE, RESULT_LEN, RESULT_LOSS, RESULT_METRIC, RESULT_PENALTY_LAMBDA, RESULT_PENALTY_PSI, RESULT_SQUARE,
    Step,
};
