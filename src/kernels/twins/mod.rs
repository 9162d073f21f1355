//! The kernels' twins: the same arithmetic as the WGSL, generic over `f32` (the CPU engine) and `f64` (the tests' oracle).
//!
//! A twin works on one replica's memory. Like a GPU binding, a buffer that is written can't be read through another view
//! in the same invocation: the twin takes it out of the memory ([`Context::take`]) and puts it back.

mod activation;
mod batch_product;
mod channels;
mod convolve;
mod dense;
mod elementwise;
mod function;
mod local;
mod loss;
mod normalise;
mod normalise_groups;
mod optimise;
mod plane_products;
mod planes;
mod pool;
mod rows;
mod skipping;
mod winograd;

use std::sync::Arc;

use crate::host::{Real, Team};
use crate::program::{Buffer, BufferSpec, Buffers, Element, Scope, Step, View};

/// One buffer's memory.
#[derive(Debug, Clone, PartialEq)]
pub enum Slot<T> {
    Float(Vec<T>),
    Word(Vec<u32>),
    /// Floats that somebody else has too, and that nobody writes.
    Held(Arc<Vec<T>>),
    HeldWords(Arc<Vec<u32>>),
    /// Taken out while a twin writes it, or living in the other scope.
    Absent,
}

impl<T: Real> Slot<T> {
    /// Zeros for one buffer, or nothing when it lives in the other scope or in another's memory.
    pub fn zeros(spec: &BufferSpec, scope: Scope) -> Self {
        match (spec.scope == scope, spec.element) {
            (false, _) => Slot::Absent,
            (true, Element::Float) => Slot::Float(vec![T::ZERO; spec.len]),
            (true, Element::Word) => Slot::Word(vec![0; spec.len]),
        }
    }
}

/// What a twin sees: its replica's memory, what all replicas share, the step, and whether it may use other threads.
pub struct Context<'a, T> {
    pub replica: &'a mut [Slot<T>],
    pub shared: &'a [Slot<T>],
    /// Tells whose memory a buffer has.
    pub buffers: &'a Buffers,
    pub step: &'a Step,
    /// Room for a weight while it is used, kept between invocations.
    pub scratch: &'a mut Vec<T>,
    /// The threads that may share this invocation's rows; `None` when they work on other replicas.
    pub team: Option<&'a Team>,
}

impl<T: Real> Context<'_, T> {
    fn home(&self, buffer: Buffer) -> usize {
        self.buffers.home(buffer).0 as usize
    }

    fn slot(&self, buffer: Buffer) -> &Slot<T> {
        let home = self.home(buffer);
        match &self.replica[home] {
            Slot::Absent => &self.shared[home],
            slot => slot,
        }
    }

    /// A float buffer, to read.
    pub fn floats(&self, buffer: Buffer) -> &[T] {
        match self.slot(buffer) {
            Slot::Float(values) => values,
            Slot::Held(values) => values,
            _ => panic!("invariant: buffer {} holds floats and is not being written", buffer.0),
        }
    }

    /// A view's elements from its first on, to read.
    pub fn view(&self, view: View) -> &[T] {
        &self.floats(view.buffer)[view.range()]
    }

    /// A buffer of words, to read.
    pub fn words(&self, buffer: Buffer) -> &[u32] {
        match self.slot(buffer) {
            Slot::Word(values) => values,
            Slot::HeldWords(values) => values,
            _ => panic!("invariant: buffer {} holds words", buffer.0),
        }
    }

    /// Takes a float buffer of this replica out of the memory, to write.
    pub fn take(&mut self, buffer: Buffer) -> Vec<T> {
        let home = self.home(buffer);
        match std::mem::replace(&mut self.replica[home], Slot::Absent) {
            Slot::Float(values) => values,
            _ => panic!("invariant: replica buffer {} holds floats and is written once", buffer.0),
        }
    }

    /// Puts a taken buffer back.
    pub fn put(&mut self, buffer: Buffer, values: Vec<T>) {
        let home = self.home(buffer);
        self.replica[home] = Slot::Float(values);
    }

    /// A buffer of words of this replica, to write.
    pub fn words_mut(&mut self, buffer: Buffer) -> &mut [u32] {
        let home = self.home(buffer);
        match &mut self.replica[home] {
            Slot::Word(values) => values,
            _ => panic!("invariant: replica buffer {} holds words", buffer.0),
        }
    }

    /// The batch's rows in a matrix with `seeds` rows a sample.
    pub fn rows(&self, seeds: usize) -> usize {
        self.step.rows as usize * seeds
    }
}

/// A bijection of 32-bit words that mixes well ("lowbias32"); the root of all random numbers drawn inside kernels.
#[inline]
pub fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// The pseudo-random permutation of `0..len` that a seed and an epoch key; see [`super::Select`].
#[derive(Debug, Clone, Copy)]
pub struct Permutation {
    len: u32,
    half: u32,
    keys: [u32; 4],
}

impl Permutation {
    pub fn new(len: u32, seed: u32, epoch: u32) -> Self {
        let mut half = 1;
        while half < 16 && (1u32 << (2 * half)) < len {
            half += 1;
        }
        let key = mix(seed ^ mix(epoch.wrapping_add(0x9e37_79b9)));
        Permutation { len, half, keys: std::array::from_fn(|round| mix(key.wrapping_add(round as u32))) }
    }

    /// The network itself, a permutation of `0..4^half`.
    #[inline(always)]
    pub fn cipher(&self, value: u32) -> u32 {
        let mask = (1u32 << self.half) - 1;
        let (mut left, mut right) = (value >> self.half, value & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        (left << self.half) | right
    }

    /// Walks on from a value until it falls below `len`.
    #[inline(always)]
    pub fn walk(&self, mut value: u32) -> u32 {
        while value >= self.len {
            value = self.cipher(value);
        }
        value
    }

    /// Where position `i` goes.
    pub fn at(&self, i: u32) -> u32 {
        self.walk(self.cipher(i))
    }
}

/// The random word that decides whether dropout keeps an element: `element = r·cols + c`.
#[inline]
pub fn dropout_word(seed: u32, count: u32, node: u32, element: u32) -> u32 {
    dropout_draw(dropout_key(seed, count, node), element)
}

/// The part of [`dropout_word`] that all elements of one invocation share.
#[inline]
pub fn dropout_key(seed: u32, count: u32, node: u32) -> u32 {
    mix(count ^ mix(node ^ mix(seed.wrapping_add(0x9e37_79b9))))
}

#[inline]
pub(super) fn dropout_draw(key: u32, element: u32) -> u32 {
    mix(mix(element ^ key).wrapping_add(key.rotate_left(16)))
}

/// Dropout keeps an element when its word is at least this.
pub fn dropout_threshold(probability: f32) -> u32 {
    (f64::from(probability) * 4_294_967_296.0).min(4_294_967_295.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_permutation_is_one() {
        for len in [1u32, 2, 3, 5, 16, 17, 64, 65, 1000, 12665] {
            let mut seen = vec![false; len as usize];
            for i in 0..len {
                let p = Permutation::new(len, 7, 3).at(i) as usize;
                assert!(!seen[p], "{p} twice in a permutation of {len}");
                seen[p] = true;
            }
        }
        let a: Vec<_> = (0..100).map(|i| Permutation::new(100, 1, 0).at(i)).collect();
        let b: Vec<_> = (0..100).map(|i| Permutation::new(100, 1, 1).at(i)).collect();
        assert_ne!(a, b, "every epoch has a shuffle of its own");
    }

    #[test]
    fn dropout_keeps_the_right_share() {
        let n = 100_000;
        for p in [0.1f32, 0.5] {
            let kept = (0..n).filter(|&e| dropout_word(1, 2, 3, e) >= dropout_threshold(p)).count();
            // 5 standard deviations of a binomial share.
            let tolerance = 5.0 * (f64::from(p) * (1.0 - f64::from(p)) / f64::from(n)).sqrt();
            assert!((kept as f64 / f64::from(n) - 1.0 + f64::from(p)).abs() < tolerance);
        }
    }
}
