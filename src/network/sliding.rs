//! How a convolution or a pooling slides over a sample's spatial axes.

use serde::{Deserialize, Serialize};

use crate::kernels::Window;
use crate::kernels::window::AXES;

/// Elements that a window may see beyond a sample's edges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// None.
    Valid,
    /// So many that the output has `⌈input/stride⌉` elements; an odd one goes to the end.
    SameUpper,
    /// The same; an odd one goes to the beginning.
    SameLower,
    /// So many before and after, along each axis.
    Explicit { before: Vec<usize>, after: Vec<usize> },
}

/// A window and how it moves; a number for each spatial axis (1 to 3), slowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sliding {
    pub kernel: Vec<usize>,
    pub stride: Vec<usize>,
    pub dilation: Vec<usize>,
    pub padding: Padding,
    /// Rounds the number of output elements up (pooling): the last window may reach beyond the padding.
    pub ceil: bool,
}

/// Elements of a channel, or of a kernel.
const MOST_ELEMENTS: usize = 1 << 27;

/// Larger than any size that makes sense; keeps products of sizes from a hostile file from overflowing.
const MOST: usize = 1 << 24;

impl Sliding {
    /// A window of this size that moves by one, without padding.
    pub fn new(kernel: &[usize]) -> Self {
        let ones = vec![1; kernel.len()];
        Sliding { kernel: kernel.to_vec(), stride: ones.clone(), dilation: ones, padding: Padding::Valid, ceil: false }
    }

    /// Where the window goes on spatial axes of these sizes.
    ///
    /// # Errors
    /// What doesn't fit, as part of a sentence.
    pub fn window(&self, spatial: &[usize]) -> Result<Window, String> {
        let axes = spatial.len();
        if axes == 0 || axes > AXES {
            return Err(format!("it slides over {axes} spatial axes; 1 to {AXES} are supported"));
        }
        let lists = [("kernel", &self.kernel), ("stride", &self.stride), ("dilation", &self.dilation)];
        for (name, sizes) in lists {
            if sizes.len() != axes {
                return Err(format!("its {name} has {} sizes for {axes} spatial axes", sizes.len()));
            }
            if sizes.iter().any(|&size| size == 0 || size > MOST) {
                return Err(format!("its {name} is {sizes:?}; each size must be 1 at least, and {MOST} at most"));
            }
        }
        let mut window = Window {
            input: [1; AXES],
            output: [1; AXES],
            kernel: [1; AXES],
            stride: [1; AXES],
            dilation: [1; AXES],
            before: [0; AXES],
        };
        for (axis, &input) in spatial.iter().enumerate() {
            let to = AXES - axes + axis;
            let (output, before) = self.along(axis, input)?;
            window.input[to] = input;
            window.output[to] = output;
            window.kernel[to] = self.kernel[axis];
            window.stride[to] = self.stride[axis];
            window.dilation[to] = self.dilation[axis];
            window.before[to] = before;
        }
        for (name, sizes) in [("output", window.output), ("kernel", window.kernel)] {
            let count = sizes.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
            if count.is_none_or(|count| count > MOST_ELEMENTS) {
                return Err(format!(
                    "its {name} would have the sizes {sizes:?}; {MOST_ELEMENTS} elements are supported"
                ));
            }
        }
        Ok(window)
    }

    /// Output elements along an axis, and padding before the first.
    fn along(&self, axis: usize, input: usize) -> Result<(usize, usize), String> {
        let (kernel, stride) = (self.kernel[axis], self.stride[axis]);
        let reach = (kernel - 1) * self.dilation[axis] + 1;
        let (before, after) = match &self.padding {
            Padding::Valid => (0, 0),
            Padding::SameUpper | Padding::SameLower => {
                let all = ((input.div_ceil(stride).max(1) - 1) * stride + reach).saturating_sub(input);
                let small = all / 2;
                if self.padding == Padding::SameUpper { (small, all - small) } else { (all - small, small) }
            }
            Padding::Explicit { before, after } => match (before.get(axis), after.get(axis)) {
                (Some(&before), Some(&after)) if before <= MOST && after <= MOST => (before, after),
                _ => return Err(format!("its padding {before:?} before and {after:?} after doesn't fit its axes")),
            },
        };
        let Some(room) = (input + before + after).checked_sub(reach).filter(|_| input > 0) else {
            return Err(format!(
                "its window reaches over {reach} elements, but its input has {input}, and {} with padding",
                input + before + after
            ));
        };
        let mut output = room / stride + 1;
        if self.ceil {
            output = room.div_ceil(stride) + 1;
            // A window that begins in the padding behind the last element isn't one (ONNX, PyTorch).
            if (output - 1) * stride >= input + before {
                output -= 1;
            }
        }
        Ok((output, before))
    }
}

/// A sample's shape as channels and spatial axes; the error says that it has none.
pub(crate) fn channels_and_space<'a>(inputs: &[&'a [usize]]) -> Result<(usize, &'a [usize]), String> {
    match inputs {
        [[channels, spatial @ ..]] if !spatial.is_empty() && *channels > 0 => Ok((*channels, spatial)),
        [shape] => Err(format!("its input has the shape {shape:?}; it needs channels and at least one spatial axis")),
        _ => Err(format!("it reads one node, not {}", inputs.len())),
    }
}

/// The shape of so many channels behind a window.
pub(crate) fn shape_behind(channels: usize, window: &Window, axes: usize) -> Vec<usize> {
    let mut shape = vec![channels];
    shape.extend(&window.output[AXES - axes..]);
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(kernel: usize, stride: usize, dilation: usize, padding: Padding, ceil: bool, input: usize) -> [usize; 2] {
        let sliding = Sliding { kernel: vec![kernel], stride: vec![stride], dilation: vec![dilation], padding, ceil };
        let window = sliding.window(&[input]).unwrap();
        [window.output[2], window.before[2]]
    }

    #[test]
    fn sizes_are_those_of_onnx() {
        assert_eq!(sizes(3, 1, 1, Padding::Valid, false, 8), [6, 0]);
        assert_eq!(sizes(3, 2, 2, Padding::Valid, false, 9), [3, 0]);
        assert_eq!(sizes(2, 2, 1, Padding::SameUpper, false, 5), [3, 0]);
        assert_eq!(sizes(2, 2, 1, Padding::SameLower, false, 5), [3, 1]);
        assert_eq!(sizes(3, 2, 1, Padding::SameUpper, false, 4), [2, 0]);
        let explicit = |before, after| Padding::Explicit { before: vec![before], after: vec![after] };
        assert_eq!(sizes(3, 2, 1, explicit(1, 0), false, 6), [3, 1]);
        assert_eq!(sizes(3, 2, 1, Padding::Valid, true, 6), [3, 0]);
        // The third window would begin in the padding.
        assert_eq!(sizes(2, 2, 1, explicit(0, 1), true, 4), [2, 0]);
        for (kernel, input) in [(4, 3), (1, 0)] {
            assert!(Sliding::new(&[kernel]).window(&[input]).is_err());
        }
        assert!(Sliding::new(&[1, 1, 1, 1]).window(&[1; 4]).is_err());
        assert!(Sliding { stride: vec![0], ..Sliding::new(&[1]) }.window(&[4]).is_err());
    }
}
