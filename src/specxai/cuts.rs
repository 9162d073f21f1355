//! Nodes that a network can be split at.

use crate::network::{Layer, Network, NodeId};
use crate::{Error, Result};

/// Of every node, whether each path from the input to a node `to` passes through it.
pub(super) fn cuts_to(network: &Network, to: NodeId) -> Vec<bool> {
    let nodes = &network.nodes[..=to];
    let mut reached = vec![false; nodes.len()];
    reached[0] = true;
    for (id, node) in nodes.iter().enumerate().skip(1) {
        reached[id] = node.inputs.iter().any(|&input| reached[input]);
    }
    // The furthest node on a path to `to` that reads each node; `None` where there is no path.
    let mut furthest = vec![None; nodes.len()];
    furthest[to] = reached[to].then_some(to);
    for (id, node) in nodes.iter().enumerate().rev().filter(|(id, _)| reached[*id]) {
        if furthest[id].is_some() {
            node.inputs.iter().filter(|&&input| reached[input]).for_each(|&input| {
                furthest[input] = furthest[input].max(Some(id));
            });
        }
    }
    // In this order a path avoids a node only by an edge that leaps over it.
    let mut leapt = 0;
    let mut cuts: Vec<bool> = furthest
        .iter()
        .enumerate()
        .map(|(id, furthest)| {
            let cut = furthest.is_some() && leapt <= id || !reached[to];
            leapt = leapt.max(furthest.unwrap_or(0));
            cut
        })
        .collect();
    cuts.resize(network.nodes.len(), !reached[to]);
    cuts
}

/// Of every node, whether it is a cut ([`is_cut`]).
pub fn are_cuts(network: &Network) -> Vec<bool> {
    cuts_to(network, network.nodes.len() - 1)
}

/// Whether every path from the input to the output passes through a node (then J = L R there).
pub fn is_cut(network: &Network, node: NodeId) -> bool {
    are_cuts(network)[node]
}

/// The node of a name that can be split at.
///
/// # Errors
/// [`Error::Usage`] that lists the names there are.
pub fn split_node(network: &Network, name: &str) -> Result<NodeId> {
    let names = || network.nodes[1..].iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
    match network.nodes.iter().position(|node| node.name == name) {
        Some(0) => Err(Error::Usage(format!(
            "the network can't be split at its {name}, where R would be the identity; there are {}",
            names()
        ))),
        Some(id) => Ok(id),
        None => Err(Error::Usage(format!("there is no node {name} to split at; there are {}", names()))),
    }
}

/// The nodes that `--split all` means: the cuts, without those that only pass their input on.
pub fn cuts(network: &Network) -> Vec<NodeId> {
    splits(network, false)
}

/// The other ones: their R is that of the node before.
pub fn passing_cuts(network: &Network) -> Vec<NodeId> {
    splits(network, true)
}

fn splits(network: &Network, pass_on: bool) -> Vec<NodeId> {
    let cuts = are_cuts(network);
    (1..network.nodes.len()).filter(|&id| cuts[id] && passes_on(network, id) == pass_on).collect()
}

fn passes_on(network: &Network, id: NodeId) -> bool {
    matches!(network.nodes[id].layer, Layer::Dropout(_) | Layer::Reshape(_))
}

/// The last cut that has spatial axes: what a convolutional network pools or flattens in the end (SpecXAI's last convolution).
pub fn last_spatial_cut(network: &Network) -> Option<NodeId> {
    cuts(network).into_iter().rfind(|&id| network.nodes[id].is_spatial())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::AddNode;
    use crate::random::Random;

    /// Nothing but nodes that a node is on the way to reaches another one: the definition.
    fn holds(network: &Network, node: NodeId, to: NodeId) -> bool {
        let mut reached = vec![false; network.nodes.len()];
        reached[0] = node != 0;
        for (id, n) in network.nodes.iter().enumerate().skip(1) {
            reached[id] = id != node && n.inputs.iter().any(|&input| reached[input]);
        }
        !reached[to]
    }

    #[test]
    fn a_cut_is_what_leaves_no_path_when_it_is_taken_away() {
        let mut random = Random::new(3, 0);
        let mut cuts = 0;
        for graph in 0..300 {
            let mut network = Network::new(&[2]);
            for node in 1..2 + graph % 12 {
                // Most read the last nodes, so that there are cuts.
                let mut back = || node - 1 - random.below(node.min(3));
                let inputs = [back(), back()];
                network.push(AddNode {}.into(), &inputs).expect("two of one shape");
            }
            for to in 0..network.nodes.len() {
                let found = cuts_to(&network, to);
                let told: Vec<bool> = (0..found.len()).map(|node| holds(&network, node, to)).collect();
                assert_eq!(found[..=to], told[..=to], "to {to} of {network:?}");
                cuts += found.iter().filter(|&&cut| cut).count();
            }
        }
        assert!(cuts > 3000, "{cuts} are too few to test anything");
    }
}
