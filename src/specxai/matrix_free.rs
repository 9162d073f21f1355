//! Operators that are too large to form.

use super::operator::{Blocks, LocalOperator, Product};
use super::topk::Apply;
use crate::Result;
use crate::engine::Device;
use crate::network::local::SlopeForm;
use crate::network::{Network, NodeId, Parameters};

/// One sample's R at one node, applied and never formed.
pub struct MatrixFree {
    operator: LocalOperator,
    node: NodeId,
    block: usize,
}

/// Vectors of a block: enough to use the engine's products well, few enough to be held in little memory.
const BLOCK: usize = 8;

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
        let width = network.nodes[node].width().min(network.input_width());
        let block = BLOCK.min(width);
        let products = [Product::Pull { node, seeds: block }, Product::Push { node, seeds: block }];
        let operator = LocalOperator::new(network, parameters, &products, form, 1, device)?;
        Ok(MatrixFree { operator, node, block })
    }

    /// Moves to another input.
    pub fn load(&mut self, x: &[f64]) -> Result<()> {
        self.operator.load(x)
    }

    pub(super) fn apply_one(&mut self, v: &[f64]) -> Result<Vec<f64>> {
        let (m, n) = self.shape();
        let mut block = v.to_vec();
        block.resize(self.block * n, 0.0);
        let mut out = self.apply(&block)?;
        out.truncate(m);
        Ok(out)
    }

    pub(super) fn transpose_one(&mut self, u: &[f64]) -> Result<Vec<f64>> {
        let (m, n) = self.shape();
        let mut block = u.to_vec();
        block.resize(self.block * m, 0.0);
        let mut out = self.apply_transpose(&block)?;
        out.truncate(n);
        Ok(out)
    }
}

impl Apply for MatrixFree {
    fn shape(&self) -> (usize, usize) {
        (self.operator.network().nodes[self.node].width(), self.operator.network().input_width())
    }

    fn apply(&mut self, v: &[f64]) -> Result<Vec<f64>> {
        self.operator.push(self.node, self.block, v).map(Blocks::into_packed)
    }

    fn apply_transpose(&mut self, u: &[f64]) -> Result<Vec<f64>> {
        self.operator.pull(self.node, self.block, u).map(Blocks::into_packed)
    }

    fn block(&self) -> usize {
        self.block
    }
}
