//! The numbers of a network.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::layout::{Initialisation, Layout, Role, Start, Tensor};
use crate::Result;
use crate::engine::Session;
use crate::program::Buffer;
use crate::random::Random;

/// One replica's parameters and statistics, in the layout's padded order.
///
/// What networks are made of are `f32` numbers, and some networks have so many that there is no room for them twice. So they are
/// held as `f32`, which an engine that computes with those takes as they lie here ([`Session::hold`]); where that rounds, as in a
/// training in double precision, the exact numbers are held besides.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    rounded: Arc<Vec<f32>>,
    /// Exact numbers by where they begin; they don't overlap.
    exact: BTreeMap<usize, Vec<f64>>,
    pub statistics: Vec<f64>,
}

/// Numbers that are converted at once.
const PIECE: usize = 1 << 23;

impl Parameters {
    pub fn zeros(layout: &Layout) -> Self {
        let rounded = Arc::new(vec![0.0; layout.parameters]);
        Parameters { rounded, exact: BTreeMap::new(), statistics: vec![0.0; layout.statistics] }
    }

    pub fn new(values: Vec<f64>, statistics: Vec<f64>) -> Self {
        let rounded: Vec<f32> = values.iter().map(|&x| x as f32).collect();
        let mut exact = BTreeMap::new();
        if rounds(&values, &rounded) {
            exact.insert(0, values);
        }
        Parameters { rounded: Arc::new(rounded), exact, statistics }
    }

    pub fn len(&self) -> usize {
        self.rounded.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rounded.is_empty()
    }

    /// All parameters, without the statistics.
    pub fn values(&self) -> Vec<f64> {
        self.read(0..self.len())
    }

    fn read(&self, range: Range<usize>) -> Vec<f64> {
        let mut values: Vec<f64> = self.rounded[range.clone()].iter().map(|&x| f64::from(x)).collect();
        for (&start, exact) in self.exact.range(..range.end) {
            let (first, last) = (start.max(range.start), (start + exact.len()).min(range.end));
            if first < last {
                values[first - range.start..last - range.start].copy_from_slice(&exact[first - start..last - start]);
            }
        }
        values
    }

    /// A tensor without its padding, row-major `[rows, cols]`.
    pub fn get(&self, tensor: &Tensor) -> Vec<f64> {
        let range = tensor.offset..tensor.offset + tensor.rows * tensor.ld;
        let padded = if tensor.role == Role::Statistic { self.statistics[range].to_vec() } else { self.read(range) };
        padded.chunks_exact(tensor.ld).flat_map(|row| &row[..tensor.cols]).copied().collect()
    }

    /// Sets a tensor from unpadded values `[rows, cols]`.
    pub fn set(&mut self, tensor: &Tensor, values: &[f64]) {
        if tensor.role == Role::Statistic {
            return fill(&mut self.statistics[tensor.offset..], tensor, values, |x| x);
        }
        fill(&mut Arc::make_mut(&mut self.rounded)[tensor.offset..], tensor, values, |x| x as f32);
        let (start, len) = (tensor.offset, tensor.rows * tensor.ld);
        let around = self.exact.range_mut(..=start).next_back();
        if let Some((&first, exact)) = around.filter(|(first, exact)| **first + exact.len() >= start + len) {
            return fill(&mut exact[start - first..], tensor, values, |x| x);
        }
        if values.iter().any(|&x| differs(x, x as f32)) {
            let mut exact = vec![0.0; len];
            fill(&mut exact, tensor, values, |x| x);
            self.exact.insert(start, exact);
        }
    }

    /// The same from `f32` numbers.
    pub fn set_single(&mut self, tensor: &Tensor, values: &[f32]) {
        let holds_exact = self.exact.range(..tensor.offset + tensor.rows * tensor.ld).next_back().is_some();
        if tensor.role == Role::Statistic || holds_exact {
            let values: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
            return self.set(tensor, &values);
        }
        fill(&mut Arc::make_mut(&mut self.rounded)[tensor.offset..], tensor, values, |x| x);
    }

    pub fn is_finite(&self) -> bool {
        self.pieces().all(|piece| piece.iter().all(|x| x.is_finite())) && self.statistics.iter().all(|x| x.is_finite())
    }

    /// All parameters in turn, a part at a time.
    pub fn pieces(&self) -> impl Iterator<Item = Vec<f64>> {
        (0..self.len()).step_by(PIECE).map(|start| self.read(start..self.len().min(start + PIECE)))
    }

    /// Writes the parameters into a session's buffer.
    ///
    /// # Errors
    /// The engine's own.
    pub fn write(&self, session: &mut dyn Session, buffer: Buffer, replica: Option<usize>) -> Result<()> {
        for start in (0..self.len()).step_by(PIECE) {
            session.write(buffer, replica, start, &self.read(start..self.len().min(start + PIECE)))?;
        }
        Ok(())
    }

    /// Lends the parameters to a session none of whose kernels writes their buffer.
    ///
    /// # Errors
    /// The engine's own.
    pub fn lend(&self, session: &mut dyn Session, buffer: Buffer) -> Result<()> {
        if session.hold(buffer, &self.rounded)? { Ok(()) } else { self.write(session, buffer, None) }
    }
}

impl Layout {
    /// Initial parameters and statistics of one replica; the same numbers on every engine.
    pub fn initial(&self, initialisation: Initialisation, seed: u64) -> Parameters {
        let mut start = Parameters::zeros(self);
        for (stream, tensor) in self.tensors.iter().enumerate() {
            let mut random = Random::new(seed, stream as u64);
            let mut value = |r: usize| match tensor.start {
                Start::Random => {
                    let (n, m) = (tensor.cols as f64, (tensor.rows * tensor.taps) as f64);
                    let value = match initialisation {
                        Initialisation::Glorot => (6.0 / (n + m)).sqrt() * (2.0 * random.uniform() - 1.0),
                        Initialisation::He => (2.0 / n).sqrt() * random.normal(),
                    };
                    // Rounded to f32, so that both engines and the f64 oracle start from one number.
                    f64::from(value as f32)
                }
                Start::Zeros => 0.0,
                Start::Ones => 1.0,
                Start::ZerosThenOnes => r as f64,
            };
            let values: Vec<f64> = (0..tensor.rows * tensor.cols).map(|i| value(i / tensor.cols)).collect();
            start.set(tensor, &values);
        }
        start
    }
}

fn differs(x: f64, rounded: f32) -> bool {
    f64::from(rounded) != x && !(x.is_nan() && rounded.is_nan())
}

fn rounds(values: &[f64], rounded: &[f32]) -> bool {
    values.iter().zip(rounded).any(|(&x, &rounded)| differs(x, rounded))
}

/// Writes unpadded values to where a tensor begins.
fn fill<T, U: Copy>(buffer: &mut [T], tensor: &Tensor, values: &[U], of: impl Fn(U) -> T) {
    assert_eq!(values.len(), tensor.rows * tensor.cols, "invariant: {} has its shape", tensor.path);
    let rows = buffer[..tensor.rows * tensor.ld].chunks_exact_mut(tensor.ld);
    for (row, values) in rows.zip(values.chunks_exact(tensor.cols.max(1))) {
        row.iter_mut().zip(values).for_each(|(to, &x)| *to = of(x));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Device;
    use crate::kernels::Program;
    use crate::network::{Dense, Network, Weight};
    use crate::program::{Element, Scope};

    fn layout() -> Layout {
        let mut network = Network::new(&[3]);
        for units in [5, 2] {
            network.then(Dense { units, weight: Weight::Direct, train_bias: true }).unwrap();
        }
        Layout::new(&network)
    }

    #[test]
    fn numbers_come_back_as_they_were_set() {
        let layout = layout();
        let mut p = Parameters::zeros(&layout);
        let tensors: Vec<&Tensor> = layout.tensors.iter().collect();
        let of = |tensor: &Tensor, value: f64| vec![value; tensor.rows * tensor.cols];
        // 0.1 is no f32 number, 0.5 is; both over both.
        for values in [[0.5, 0.1, 0.5, 0.1], [0.1, 0.1, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1]] {
            tensors.iter().zip(values).for_each(|(tensor, value)| p.set(tensor, &of(tensor, value)));
            for (tensor, value) in tensors.iter().zip(values) {
                assert_eq!(p.get(tensor), of(tensor, value));
            }
            assert_eq!(Parameters::new(p.values(), p.statistics.clone()).values(), p.values());
        }
        p.set_single(tensors[2], &vec![0.25; tensors[2].rows * tensors[2].cols]);
        assert_eq!(p.get(tensors[2]), of(tensors[2], 0.25));
        assert_eq!((p.get(tensors[1]), p.get(tensors[3])), (of(tensors[1], 0.1), of(tensors[3], 0.1)));
        assert!(p.is_finite());
        // Beyond the f32 numbers, but a number.
        p.set(tensors[0], &of(tensors[0], 1e300));
        assert!(p.is_finite() && p.get(tensors[0]) == of(tensors[0], 1e300));
        p.set(tensors[3], &of(tensors[3], f64::NAN));
        assert!(!p.is_finite());
    }

    /// Single precision reads them where they lie, and a write to the session's buffer leaves them; double precision gets the exact ones.
    #[test]
    fn sessions_read_what_they_are_lent() {
        let layout = layout();
        let mut p = Parameters::zeros(&layout);
        p.set(&layout.tensors[1], &vec![0.1; layout.tensors[1].rows * layout.tensors[1].cols]);
        for device in [Device::Cpu { threads: 1 }, Device::CpuF64 { threads: 1 }] {
            let mut program = Program::new(2);
            let buffer = program.buffers.buffer("parameters", p.len(), Scope::Replica, Element::Float);
            let mut session = device.load(program).unwrap();
            p.lend(session.as_mut(), buffer).unwrap();
            let single = matches!(device, Device::Cpu { .. });
            let expected: Vec<f64> = p.values().iter().map(|&x| if single { f64::from(x as f32) } else { x }).collect();
            assert_eq!(Arc::strong_count(&p.rounded), if single { 3 } else { 1 });
            session.write(buffer, Some(1), 0, &[7.0]).unwrap();
            assert_eq!(session.read(buffer, 0, 0, p.len()).unwrap(), expected);
            assert_eq!(session.read(buffer, 1, 0, 2).unwrap(), [7.0, expected[1]]);
        }
        assert_eq!(p.values()[0], 0.0);
    }
}
