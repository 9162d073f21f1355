//! Operators that are too large to form.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::krylov::Apply;
use super::middle::Middle;
use super::operator::{Blocks, LocalOperator, Product};
use crate::Result;
use crate::engine::Device;
use crate::network::local::SlopeForm;
use crate::network::{Network, NodeId, Parameters};
use crate::random::Random;

/// One sample's R at one node, applied and never formed. Rows of R that are zero there (units whose activation is off) are left out: it
/// acts between inputs and the rows that are *on*. Rows that are equal (windows of a max-pooling with one winner) are one, `√count` times as
/// long: with Q the orthonormal matrix that spreads it over them, `R = Q R̂`, and R̂ is what is applied.
pub struct MatrixFree {
    operator: LocalOperator,
    node: NodeId,
    block: usize,
    on: Vec<usize>,
    /// Rows that are on, those that are equal together.
    groups: Vec<Vec<usize>>,
    middle: Option<NodeId>,
    /// Of the middle's elements those that are on.
    middle_on: Vec<usize>,
}

/// Vectors of a block: enough to use the engine's products well, few enough to be held in little memory.
pub(super) const BLOCK: usize = 8;

/// The same for complete forms, which take hundreds of blocks: weights that are larger than the caches are read once for each.
pub(super) const COMPLETE_BLOCK: usize = 16;

/// The same for a few singular triplets: the shorter a block, the fewer vectors it takes in all; two find a double σ at once.
pub(super) const TOP_BLOCK: usize = 2;

impl MatrixFree {
    /// # Errors
    /// The engine's own.
    pub fn new(
        network: &Network,
        parameters: &Parameters,
        node: NodeId,
        form: SlopeForm,
        device: &Device,
    ) -> Result<Self> {
        Self::through(network, parameters, (None, node), BLOCK, form, device)
    }

    /// With products from and to a node `middle` on the way too, through which every path from the input goes ([`Middle`]), and blocks of `most` vectors.
    ///
    /// # Errors
    /// The engine's own.
    pub(super) fn through(
        network: &Network,
        parameters: &Parameters,
        (middle, node): (Option<NodeId>, NodeId),
        most: usize,
        form: SlopeForm,
        device: &Device,
    ) -> Result<Self> {
        let width = network.nodes[node].width().min(network.input_width());
        let block = most.min(width);
        let mut products = vec![Product::Pull { node, seeds: block }, Product::Push { node, seeds: block }];
        if let Some(to) = middle.filter(|&middle| middle != 0) {
            let seeds = block;
            products.push(Product::Descend { node, to, seeds });
            products.extend([Product::Pull { node: to, seeds }, Product::Push { node: to, seeds }]);
        }
        let operator = LocalOperator::new(network, parameters, &products, form, 1, device)?;
        Ok(MatrixFree { operator, node, block, on: Vec::new(), groups: Vec::new(), middle, middle_on: Vec::new() })
    }

    /// Moves to another input, and finds which rows are on there: those where the images of random tangents are not all zero. A row that
    /// is off is zero exactly, by a slope of 0; one that is on would have to be orthogonal to all of them, as likely as a random point lies on
    /// a given plane: never, of numbers from any interval, so of uniform ones, which are made twenty times as fast as normal ones. Rows whose
    /// images are the same are equal, for the same reason.
    ///
    /// # Errors
    /// The engine's own.
    pub fn load(&mut self, x: &[f64]) -> Result<()> {
        self.operator.load(x)?;
        let (_, n) = self.whole_shape();
        let mut random = Random::new(0, 0x04);
        let v: Vec<f64> = (0..self.block * n).map(|_| 2.0 * random.uniform() - 1.0).collect();
        let on = |images: &Blocks| {
            let some = |&row: &usize| (0..images.rows).any(|seed| images.row(0, seed)[row] != 0.0);
            (0..images.cols).filter(some).collect()
        };
        let images = self.operator.push(self.node, self.block, &v)?;
        self.on = on(&images);
        self.groups = equal(&images, &self.on);
        if let Some(middle) = self.middle.filter(|&middle| middle != 0) {
            self.middle_on = on(&self.operator.push(middle, self.block, &v)?);
        }
        Ok(())
    }

    /// Leaves out rows that are on, too, until the next input: all but those of which `kept` is true.
    pub fn keep(&mut self, kept: impl Fn(usize) -> bool) {
        self.on.retain(|&row| kept(row));
        self.groups.iter_mut().for_each(|group| group.retain(|&row| kept(row)));
        self.groups.retain(|group| !group.is_empty());
    }

    /// How many different rows are on of which `kept` is true.
    pub(super) fn different(&self, kept: impl Fn(usize) -> bool) -> usize {
        self.groups.iter().filter(|group| group.iter().any(|&row| kept(row))).count()
    }

    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Rows that are on at the input loaded last, ascending.
    pub fn on(&self) -> &[usize] {
        &self.on
    }

    /// m with the rows that are off, and N.
    pub fn whole_shape(&self) -> (usize, usize) {
        (self.operator.network().nodes[self.node].width(), self.operator.network().input_width())
    }

    /// `Qᵀ` of a vector of length m.
    pub fn gather(&self, whole: &[f64]) -> Vec<f64> {
        let sum = |group: &Vec<usize>| group.iter().map(|&row| whole[row]).sum::<f64>() / (group.len() as f64).sqrt();
        self.groups.iter().map(sum).collect()
    }

    /// The first row of each that are equal, and by how much it is longer for all of them.
    fn lengthened(&self) -> impl Iterator<Item = (usize, f64)> {
        self.groups.iter().map(|group| (group[0], (group.len() as f64).sqrt()))
    }

    /// A block of R̂'s left vectors, each at the first of the rows that are equal.
    fn spread(&self, u: &[f64]) -> Vec<f64> {
        let (m, _) = self.whole_shape();
        let mut whole = vec![0.0; self.block * m];
        for (to, from) in whole.chunks_exact_mut(m).zip(u.chunks_exact(self.groups.len().max(1))) {
            self.lengthened().zip(from).for_each(|((row, length), &x)| to[row] = length * x);
        }
        whole
    }

    /// `R v`.
    pub(super) fn apply_one(&mut self, v: &[f64]) -> Result<Vec<f64>> {
        let mut block = v.to_vec();
        block.resize(self.block * v.len(), 0.0);
        let mut out = self.apply(&block)?;
        out.truncate(self.groups.len());
        Ok(out)
    }

    /// `Rᵀu` of each, a block at a time.
    pub(super) fn transpose_all(&mut self, vectors: &[&[f64]]) -> Result<Vec<Vec<f64>>> {
        let (m, n) = self.shape();
        let mut out = Vec::with_capacity(vectors.len());
        for some in vectors.chunks(self.block) {
            let mut block = some.concat();
            block.resize(self.block * m, 0.0);
            out.extend(self.apply_transpose(&block)?.chunks_exact(n).take(some.len()).map(<[f64]>::to_vec));
        }
        Ok(out)
    }
}

impl Apply for MatrixFree {
    /// Different rows that are on, and N.
    fn shape(&self) -> (usize, usize) {
        (self.groups.len(), self.operator.network().input_width())
    }

    fn apply(&mut self, v: &[f64]) -> Result<Vec<f64>> {
        let images = self.operator.push(self.node, self.block, v)?;
        let of = |seed| self.lengthened().map(move |(row, length)| (seed, row, length));
        Ok((0..self.block).flat_map(of).map(|(seed, row, length)| length * images.row(0, seed)[row]).collect())
    }

    fn apply_transpose(&mut self, u: &[f64]) -> Result<Vec<f64>> {
        let whole = self.spread(u);
        self.operator.pull(self.node, self.block, &whole).map(Blocks::into_packed)
    }

    fn block(&self) -> usize {
        self.block
    }
}

impl Middle for MatrixFree {
    fn width(&self) -> Option<usize> {
        self.middle.map(|middle| if middle == 0 { self.whole_shape().1 } else { self.middle_on.len() })
    }

    fn is_input(&self) -> bool {
        self.middle == Some(0)
    }

    fn descend(&mut self, u: &[f64]) -> Result<Vec<f64>> {
        let Some(middle) = self.middle.filter(|&middle| middle != 0) else { return self.apply_transpose(u) };
        let whole = self.spread(u);
        let arrived = self.operator.descend((self.node, middle), self.block, &whole)?;
        Ok(gather(&arrived, &self.middle_on))
    }

    fn there_and_back(&mut self, h: &[f64]) -> Result<Vec<f64>> {
        let Some(middle) = self.middle.filter(|&middle| middle != 0) else { return Ok(h.to_vec()) };
        let whole = scatter(h, &self.middle_on, self.operator.network().nodes[middle].width(), self.block);
        let v = self.operator.pull(middle, self.block, &whole)?.into_packed();
        let images = self.operator.push(middle, self.block, &v)?;
        Ok(gather(&images, &self.middle_on))
    }
}

/// The rows `on` whose images are equal, by their first.
fn equal(images: &Blocks, on: &[usize]) -> Vec<Vec<usize>> {
    let mut place: HashMap<Vec<u64>, usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &row in on {
        let image = (0..images.rows).map(|seed| images.row(0, seed)[row].to_bits()).collect();
        match place.entry(image) {
            Entry::Occupied(at) => groups[*at.get()].push(row),
            Entry::Vacant(at) => {
                at.insert(groups.len());
                groups.push(vec![row]);
            }
        }
    }
    groups
}

/// Vectors that are zero but at `places`, whole.
fn scatter(packed: &[f64], places: &[usize], width: usize, vectors: usize) -> Vec<f64> {
    let mut whole = vec![0.0; vectors * width];
    for (to, from) in whole.chunks_exact_mut(width).zip(packed.chunks_exact(places.len().max(1))) {
        places.iter().zip(from).for_each(|(&place, &x)| to[place] = x);
    }
    whole
}

/// The elements at `places` of every row.
fn gather(rows: &Blocks, places: &[usize]) -> Vec<f64> {
    (0..rows.rows).flat_map(|seed| places.iter().map(move |&place| rows.row(0, seed)[place])).collect()
}
