//! The layer that reads the inputs, whose weight ranks them.

use super::weight::Weight;
use super::{Layer, Network, NodeId};

/// A dense layer or a convolution that alone reads a network's input, as it is or with its axes in another order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstLayer {
    pub id: NodeId,
    pub weight: Weight,
    /// Rows of the weight: M.
    pub rows: usize,
    /// What has an eigenvalue of its own: the columns of a dense layer, the channels of a convolution.
    pub sources: usize,
    /// Columns of the weight that belong to one source.
    pub taps: usize,
    /// Whether the sources are channels.
    pub channels: bool,
}

impl Network {
    /// Whether what is ranked are the channels of the data.
    pub fn ranks_channels(&self) -> bool {
        self.first_layer().is_some_and(|first| first.channels)
    }

    /// The layer whose weight ranks the inputs: a dense layer their columns, a convolution their channels. `None` where the input
    /// feeds anything else, or a convolution in groups, whose weight has no slice for each channel.
    pub fn first_layer(&self) -> Option<FirstLayer> {
        let mut read = 0;
        loop {
            let mut consumers = self.nodes.iter().enumerate().filter(|(_, node)| node.inputs.contains(&read));
            let (Some((id, node)), None) = (consumers.next(), consumers.next()) else { return None };
            let shape = &self.nodes[read].shape;
            match &node.layer {
                Layer::Reshape(_) | Layer::Permute(_) => read = id,
                // A dense layer's columns are the inputs only in their own order.
                Layer::Dense(dense) if read == 0 => {
                    let sources = shape.iter().product();
                    let (weight, rows) = (dense.weight, dense.units);
                    return Some(FirstLayer { id, weight, rows, sources, taps: 1, channels: false });
                }
                Layer::Convolution(layer) if layer.groups == 1 => {
                    let taps = layer.sliding.kernel.iter().product();
                    let (weight, rows) = (layer.weight, layer.filters);
                    return Some(FirstLayer { id, weight, rows, sources: shape[0], taps, channels: true });
                }
                _ => return None,
            }
        }
    }
}
