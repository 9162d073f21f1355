//! A tensor of the file whose batch isn't its first axis: its axes, and those that it gets.

use std::ops::Range;

use super::fold::Dim;
use super::lowering::{Known, Lowering, Moved};
use super::wire::Node;
use crate::network::{NodeId, Reshape};

impl Moved {
    /// A tensor whose first axis is the batch.
    pub fn plain(to: &Lowering<'_>, id: NodeId) -> Self {
        Moved { id, dims: to.dims(id), axis: 0, before: 1 }
    }

    pub fn times(&self) -> usize {
        match self.dims[self.axis] {
            Dim::Batch { times } => usize::try_from(times).unwrap_or(1),
            Dim::Known(_) => 1,
        }
    }

    fn after(&self) -> usize {
        self.times() / self.before
    }

    /// The axes of a sample: those of file axis `i`.
    pub fn axes(&self, i: usize) -> Vec<usize> {
        match self.dims[i] {
            Dim::Known(n) => vec![usize::try_from(n).unwrap_or(1)],
            Dim::Batch { .. } => [self.before, self.after()].into_iter().filter(|&n| n != 1).collect(),
        }
    }

    pub fn sample(&self) -> Vec<usize> {
        (0..self.dims.len()).flat_map(|i| self.axes(i)).collect()
    }

    /// Elements of a sample that lie before the batch.
    fn outer(&self) -> usize {
        (0..self.axis).flat_map(|i| self.axes(i)).product::<usize>() * self.before
    }

    /// As the lowering knows it, with samples of its shape.
    pub fn known<'a>(self, to: &mut Lowering<'a>, node: &Node<'a>, part: &str) -> Result<Known, String> {
        let shape = self.sample();
        let id = match to.shape(self.id) == shape {
            true => self.id,
            false => to.push_part(node, part, Reshape { shape: Some(shape) }, &[self.id])?,
        };
        match self.axis == 0 && self.times() == 1 {
            true => Ok(Known::Node(id)),
            false => Ok(Known::Moved(Moved { id, ..self })),
        }
    }

    /// With the batch moved to an axis, or into it as its outer part: of a file for one sample the same elements.
    pub fn onto(&self, axis: usize) -> Moved {
        let mut dims = self.dims.clone();
        dims[self.axis] = Dim::Known(self.times() as i64);
        if let Dim::Known(n) = dims[axis] {
            dims[axis] = Dim::Batch { times: n };
        }
        Moved { id: self.id, dims, axis, before: 1 }
    }

    /// The axes of a sample that a softmax along axes of the file is over.
    pub fn softmax_axes(&self, to: &Lowering<'_>, node: &Node<'_>) -> Result<Range<usize>, String> {
        let (rank, old) = (self.dims.len(), to.opset < 13);
        let axis = node.int("axis")?.unwrap_or(if old { 1 } else { -1 });
        let first = usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).unwrap_or(rank);
        if first >= rank {
            return Err(format!("its input has no axis {axis}"));
        }
        let last = if old { rank } else { first + 1 };
        if (first..last).contains(&self.axis) && !to.is_of_one() {
            return Err("its axis is the batch".into());
        }
        let begin = |axis: usize| (0..axis).map(|i| self.axes(i).len()).sum::<usize>();
        Ok(begin(first)..begin(last))
    }

    /// The same elements with other axes.
    pub fn reshaped(&self, to: &Lowering<'_>, dims: Vec<Dim>) -> Result<Moved, String> {
        let told = || dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let splits = || format!("it reshapes to [{}], which cuts the batch", told());
        let axis = dims.iter().position(|dim| matches!(dim, Dim::Batch { .. })).ok_or_else(splits)?;
        let size = |dim: &Dim| match dim {
            Dim::Known(n @ 1..) => usize::try_from(*n).ok(),
            Dim::Batch { times: n @ 1.. } => usize::try_from(*n).ok(),
            _ => None,
        };
        let whole = dims.iter().map(size).try_fold(1usize, |all, n| all.checked_mul(n?));
        if whole != Some(self.sample().iter().product()) {
            return Err(format!("it reshapes samples of {:?} to [{}]", self.sample(), told()));
        }
        if to.is_of_one() {
            return Ok(Moved { id: self.id, dims, axis, before: 1 });
        }
        let outer: usize = dims[..axis].iter().filter_map(size).product();
        let before = self.outer() / outer;
        let times = size(&dims[axis]).unwrap_or(1);
        if !self.outer().is_multiple_of(outer) || !times.is_multiple_of(before) {
            return Err(splits());
        }
        Ok(Moved { id: self.id, dims, axis, before })
    }

    /// A target of Reshape with what it leaves open.
    pub fn resolved(&self, to: &Lowering<'_>, target: &[Dim], copies: bool) -> Result<Vec<Dim>, String> {
        let all: i64 = self.sample().iter().product::<usize>() as i64;
        let mut dims = Vec::new();
        for (i, dim) in target.iter().enumerate() {
            dims.push(match dim {
                Dim::Known(0) if copies => *self.dims.get(i).ok_or("it copies an axis that its input doesn't have")?,
                dim => *dim,
            });
        }
        let open: Vec<usize> = (0..dims.len()).filter(|&i| dims[i] == Dim::Known(-1)).collect();
        let counted = |dim: &Dim| match dim {
            Dim::Known(-1) => Some(1),
            Dim::Known(n @ 1..) | Dim::Batch { times: n @ 1.. } => Some(*n),
            _ => None,
        };
        let rest = dims.iter().map(counted).try_fold(1i64, |all, n| all.checked_mul(n?));
        let has_batch = dims.iter().any(|dim| matches!(dim, Dim::Batch { .. }));
        match (&open[..], rest) {
            (&[i], Some(rest)) if has_batch && all % rest == 0 => dims[i] = Dim::Known(all / rest),
            (&[i], Some(rest)) if !has_batch => match to.batch.filter(|&n| n > 0) {
                // Its size is among the numbers, or in what is left open.
                Some(batch) if all.saturating_mul(batch) % rest == 0 => {
                    dims[i] = Dim::Known(all.saturating_mul(batch) / rest);
                    self.find_batch(to, &mut dims);
                }
                None if all % rest == 0 => dims[i] = Dim::Batch { times: all / rest },
                _ => {}
            },
            ([], Some(_)) if !has_batch => self.find_batch(to, &mut dims),
            _ => {}
        }
        Ok(dims)
    }

    /// Of one sample: the first axis of size 1, or all of the first.
    pub fn find_batch_of_one(dims: &mut [Dim]) {
        let alone = dims.iter().position(|&dim| dim == Dim::Known(1)).unwrap_or(0);
        if let Some(Dim::Known(n @ 1..)) = dims.get(alone).copied() {
            dims[alone] = Dim::Batch { times: n };
        }
    }

    /// In a file with a fixed batch its size stands as a number among the others: of the axes where it can be, the one that is the batch
    /// alone.
    fn find_batch(&self, to: &Lowering<'_>, dims: &mut [Dim]) {
        let Some(batch) = to.batch.filter(|&n| n > 0) else { return };
        if to.is_of_one() {
            return Self::find_batch_of_one(dims);
        }
        let mut outer = 1usize;
        let mut best = None;
        for (i, dim) in dims.iter().enumerate() {
            let Dim::Known(n @ 1..) = *dim else { return };
            let fits = |times: usize| self.outer().is_multiple_of(outer) && times.is_multiple_of(self.outer() / outer);
            if n % batch == 0 && fits((n / batch) as usize) {
                let alone = n == batch;
                if alone || best.is_none() {
                    best = Some((i, n / batch));
                }
                if alone {
                    break;
                }
            }
            outer = outer.saturating_mul(n as usize);
        }
        if let Some((i, times)) = best {
            dims[i] = Dim::Batch { times };
        }
    }
}
