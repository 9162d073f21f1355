//! Average pooling.

use serde::{Deserialize, Serialize};

use super::Layer;
use super::fixed::Fixed;
use super::sliding::{Padding, Sliding, channels_and_space, shape_behind};
use super::sparse_matrix::SparseMatrix;
use crate::kernels::Window;

/// `y[c, p]` is the mean of what a window sees of channel c.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AveragePool {
    pub sliding: Sliding,
    /// Whether padding counts as zeros; otherwise the mean is over elements alone.
    pub count_padding: bool,
}

/// Terms of all means together.
const MOST_TERMS: usize = 1 << 27;

impl From<AveragePool> for Layer {
    fn from(layer: AveragePool) -> Layer {
        Layer::AveragePool(layer)
    }
}

impl AveragePool {
    /// Taps of the window at output element `o` that lie on elements or padding: not those that `ceil` lets reach further.
    fn taps_inside(&self, o: [usize; 3], window: &Window, after: [usize; 3]) -> usize {
        let along = |axis: usize| {
            let end = window.before[axis] + window.input[axis] + after[axis];
            let inside = |&k: &usize| o[axis] * window.stride[axis] + k * window.dilation[axis] < end;
            (0..window.kernel[axis]).filter(inside).count()
        };
        (0..3).map(along).product()
    }

    /// Padding behind the last element of each of the three axes.
    fn after(&self, window: &Window) -> [usize; 3] {
        let mut after = [0; 3];
        match &self.sliding.padding {
            Padding::Valid => {}
            Padding::Explicit { after: given, .. } => {
                let first = after.len() - given.len();
                after[first..].copy_from_slice(given);
            }
            Padding::SameUpper | Padding::SameLower => {
                for (axis, after) in after.iter_mut().enumerate() {
                    let reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
                    let seen = (window.output[axis] - 1) * window.stride[axis] + reach;
                    *after = seen.saturating_sub(window.before[axis] + window.input[axis]);
                }
            }
        }
        after
    }
}

impl Fixed for AveragePool {
    fn kind(&self) -> &'static str {
        "average_pool"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let (channels, spatial) = channels_and_space(&[input])?;
        let window = self.sliding.window(spatial)?;
        let terms = channels.saturating_mul(window.outputs()).saturating_mul(window.taps());
        if terms > MOST_TERMS {
            return Err(format!("its means would have {terms} terms; {MOST_TERMS} are supported"));
        }
        Ok(shape_behind(channels, &window, spatial.len()))
    }

    fn matrix(&self, input: &[usize]) -> SparseMatrix {
        let window = self.sliding.window(&input[1..]).expect("invariant: shapes were checked when the node was added");
        let (inputs, outputs, after) = (window.inputs(), window.outputs(), self.after(&window));
        let row = |channel: usize, o: usize| {
            let seen: Vec<usize> = (0..window.taps()).filter_map(|tap| window.seen(o, tap)).collect();
            let place = Window::place(window.output, o);
            let count = if self.count_padding { self.taps_inside(place, &window, after) } else { seen.len() };
            seen.into_iter().map(|i| (channel * inputs + i, 1.0 / count as f64)).collect()
        };
        let rows = (0..input[0] * outputs).map(|j| row(j / outputs, j % outputs));
        SparseMatrix::weighted(input[0] * inputs, rows)
    }
}
