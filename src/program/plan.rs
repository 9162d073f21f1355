//! Which matrices can have the same memory.
//!
//! A temporary matrix is needed in a pass from the first operation that touches it to the last, or from the beginning where it
//! is written from outside, or to the end where it is read there. If some pass reads it before writing it, its content comes
//! from another pass, like a slope that the forward pass saves for the products: then it is needed from where that pass writes
//! it to its end, and in every pass that doesn't write it anew, so that passes may run in any order and again. What is read and
//! written nowhere is zeros, and kept. A binding that a kernel writes counts as written whole: what is updated in place is no
//! temporary matrix.
//!
//! Matrices that are never needed at the same time may have the same memory. Two that one operation touches are needed at the
//! same time, so that neither the CPU's kernels nor a GPU's bindings see one memory twice. Columns of padding stay zero because
//! only matrices without any share memory with each other, and those with padding with others of the same columns.
//!
//! The largest matrix is placed first; each goes to the smallest memory that is free whenever it is needed.

use std::cmp::Reverse;

use super::buffers::{Buffer, Buffers, Rows};
use super::pass::{Pass, Program};

/// That an operation reads or writes a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touch {
    pub buffer: Buffer,
    pub write: bool,
}

/// A stretch of a pass, both ends included: 0 is before its first operation, `i + 1` operation `i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    pass: usize,
    first: usize,
    last: usize,
}

/// What one pass does with a buffer.
#[derive(Debug, Clone, Copy)]
struct Use {
    stretch: Stretch,
    /// Read before it is written.
    reads: bool,
}

/// Memory that buffers share.
struct Home {
    buffer: Buffer,
    rows: Option<Rows>,
    /// By pass.
    taken: Vec<Vec<(usize, usize)>>,
}

impl Home {
    fn is_free(&self, needed: &[Stretch]) -> bool {
        needed.iter().all(|n| self.taken[n.pass].iter().all(|&(first, last)| last < n.first || n.last < first))
    }

    fn take(&mut self, needed: &[Stretch]) {
        needed.iter().for_each(|n| self.taken[n.pass].push((n.first, n.last)));
    }
}

impl<Op> Program<Op> {
    /// Gives temporary matrices that are never needed at the same time the same memory. `touches`: of every operation of every
    /// pass, in the order of its reads and writes.
    pub fn plan(&mut self, touches: &[Vec<Vec<Touch>>]) {
        let needed = needed(&self.buffers, &self.passes, touches);
        let mut order: Vec<usize> = (0..needed.len()).filter(|&b| needed[b].is_some()).collect();
        order.sort_by_key(|&b| Reverse(self.buffers.specs[b].len));
        let mut homes: Vec<Home> = Vec::new();
        let mut places = vec![0; needed.len()];
        for &b in &order {
            let needed = needed[b].as_deref().expect("those with a need are in order");
            let rows = shared_by(self.buffers.specs[b].temporary);
            // The last made is the smallest, and no smaller than this one.
            let place = homes.iter().rposition(|home| home.rows == rows && home.is_free(needed)).unwrap_or_else(|| {
                let taken = vec![Vec::new(); self.passes.len()];
                homes.push(Home { buffer: Buffer(b as u32), rows, taken });
                homes.len() - 1
            });
            homes[place].take(needed);
            self.buffers.specs[b].home = homes[place].buffer;
            places[b] = place;
        }
        let freed = |(p, pass): (usize, &Pass<Op>)| {
            let mut freed = Vec::new();
            for &b in &order {
                let buffer = Buffer(b as u32);
                let stretch = needed[b].iter().flatten().find(|stretch| stretch.pass == p);
                if let Some(last) = stretch.map(|stretch| stretch.last).filter(|&last| last < pass.ops.len()) {
                    freed.push((last, buffer));
                }
                // Whatever other passes left there.
                if homes[places[b]].taken[p].iter().all(|&(first, _)| first > 0) {
                    freed.push((0, buffer));
                }
            }
            freed.sort_by_key(|&(op, _)| op);
            freed
        };
        let freed: Vec<_> = self.passes.iter().enumerate().map(freed).collect();
        self.passes.iter_mut().zip(freed).for_each(|(pass, freed)| pass.freed = freed);
    }
}

/// What those matrices have in common that may share memory.
fn shared_by(rows: Option<Rows>) -> Option<Rows> {
    rows.filter(|rows| rows.cols != rows.ld)
}

/// When each buffer is needed; `None`: at all times.
fn needed<Op>(buffers: &Buffers, passes: &[Pass<Op>], touches: &[Vec<Vec<Touch>>]) -> Vec<Option<Vec<Stretch>>> {
    let mut uses: Vec<Vec<Use>> = vec![Vec::new(); buffers.specs.len()];
    for (p, (pass, ops)) in passes.iter().zip(touches).enumerate() {
        let end = pass.ops.len() + 1;
        let mut touch = |buffer: Buffer, at: usize, write: bool| {
            let uses = &mut uses[buffer.0 as usize];
            match uses.last_mut().filter(|found| found.stretch.pass == p) {
                Some(found) => found.stretch.last = at,
                None => uses.push(Use { stretch: Stretch { pass: p, first: at, last: at }, reads: !write }),
            }
        };
        pass.given.iter().for_each(|&buffer| touch(buffer, 0, true));
        for (i, touches) in ops.iter().enumerate() {
            touches.iter().for_each(|t| touch(t.buffer, i + 1, t.write));
        }
        pass.results.iter().for_each(|&buffer| touch(buffer, end, false));
    }
    let ends: Vec<usize> = passes.iter().map(|pass| pass.ops.len() + 1).collect();
    let of = |(uses, spec): (&Vec<Use>, _)| {
        let spec: &super::BufferSpec = spec;
        spec.temporary?;
        let stretches = || uses.iter().map(|found| found.stretch);
        if uses.iter().all(|found| !found.reads) {
            return Some(stretches().collect());
        }
        if uses.iter().all(|found| found.reads) {
            return None;
        }
        let carried = ends.iter().enumerate().map(|(pass, &last)| {
            let written = uses.iter().find(|found| found.stretch.pass == pass && !found.reads);
            Stretch { pass, first: written.map_or(0, |found| found.stretch.first), last }
        });
        Some(carried.collect())
    };
    uses.iter().zip(&buffers.specs).map(of).collect()
}
