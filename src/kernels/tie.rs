//! One eigenvalue for a group of columns.

use bytemuck::{Pod, Zeroable};

use crate::program::dispatch::{Caps, Dispatch, GpuView, word};
use crate::program::shader::{Shader, shader};
use crate::program::{Buffer, Buffers, View};

/// `x[0, c] = mean over c's group of x` in place, for a row vector: the gradient of an eigenvalue that the columns of a group
/// share, each of which holds a copy of it.
///
/// The mean, not the sum: with its own penalty `r_λ λ²` on each of the |g| copies the loss has `|g| r_λ λ²`, so the shared
/// value's gradient is |g| times `mean + 2 r_λ λ`, and Adam doesn't see a factor. The group lasso's strength becomes
/// `2√(|g| r_λ r_ψ)`, the usual √|g| (method.md section 5).
#[derive(Debug, Clone)]
pub struct Tie {
    /// `[1, N]`.
    pub x: View,
    /// Words, shared: where each group begins (`groups + 1` numbers, counted from the first column), then the groups' columns.
    pub members: Buffer,
    pub groups: usize,
}

pub const SHADER: Shader = shader!("tie");

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Params {
    pub x: GpuView,
    pub groups: u32,
    pub pad: [u32; 3],
}

impl Tie {
    /// The content of `members`.
    pub fn words(groups: &[Vec<u32>]) -> Vec<u32> {
        let mut begin = 0;
        let mut words = vec![0];
        for group in groups {
            begin += group.len() as u32;
            words.push(begin);
        }
        words.extend(groups.iter().flatten());
        words
    }

    pub(crate) fn dispatches(&self, caps: &Caps, buffers: &Buffers) -> Vec<Dispatch> {
        let params = Params { x: GpuView::new(buffers, self.x), groups: word(self.groups), ..Params::default() };
        vec![Dispatch::new(SHADER, "main", &params).read(2, self.members).write(3, self.x.buffer).invocations(
            self.groups,
            caps.workgroup(),
            40.0,
        )]
    }
}
