//! Linear regions: which inputs share one affine map.

use std::collections::HashMap;

use super::operator::LocalOperator;
use crate::Result;
use crate::network::{Layer, Network, NodeId};

/// Finds which inputs share a linear region.
pub(super) struct Patterns {
    nodes: Vec<NodeId>,
    known: HashMap<Vec<u64>, usize>,
    pub(super) regions: Option<Vec<usize>>,
}

impl Patterns {
    pub(super) fn new(network: &Network) -> Self {
        let activations = network.nodes.iter().enumerate().filter_map(|(id, node)| match &node.layer {
            Layer::Activation(layer) => Some((id, layer.activation)),
            _ => None,
        });
        let (nodes, kinds): (Vec<_>, Vec<_>) = activations.unzip();
        let piecewise = kinds.iter().all(|kind| kind.piecewise_linear());
        Patterns { nodes, known: HashMap::new(), regions: piecewise.then(Vec::new) }
    }

    pub(super) fn add(&mut self, operator: &mut LocalOperator, rows: usize) -> Result<()> {
        let Some(regions) = &mut self.regions else { return Ok(()) };
        let mut keys = vec![Vec::new(); rows];
        for &node in &self.nodes {
            let slopes = operator.slopes(node)?.expect("invariant: an activation has slopes");
            for (i, key) in keys.iter_mut().enumerate() {
                // A piece each: the slope is 1, or that of the negative side.
                for bits in slopes.row(i, 0).chunks(64) {
                    key.push(bits.iter().enumerate().fold(0u64, |a, (b, &s)| a | (u64::from(s == 1.0) << b)));
                }
            }
        }
        for key in keys {
            let fresh = self.known.len();
            regions.push(*self.known.entry(key).or_insert(fresh));
        }
        Ok(())
    }
}
