//! Initial parameters, and what the first layer's parameters say about the inputs.

use super::settings::Settings;
use crate::data::Unit;
use crate::network::{Layer, Layout, Network, NodeId, Parameters, Spectral, Weight};

/// Parameters of a replica before its first step.
pub(crate) fn initial(network: &Network, layout: &Layout, settings: &Settings, replica: usize) -> Parameters {
    let replica = &settings.replicas[replica];
    let mut start = layout.initial(settings.initialisation, replica.seed);
    if settings.balanced && replica.reg_lambda > 0.0 && replica.reg_psi > 0.0 {
        let ratio = (replica.reg_psi / replica.reg_lambda).powf(0.25);
        for (id, node) in network.nodes.iter().enumerate() {
            let weight = match &node.layer {
                Layer::Dense(dense) => dense.weight,
                Layer::Convolution(convolution) => convolution.weight,
                _ => continue,
            };
            let first = network.first_layer().is_some_and(|first| first.id == id);
            balance(layout, id, weight, ratio, if first { &settings.groups } else { &[] }, &mut start);
        }
    }
    start
}

/// The same network with the first layer's λ and ψ balanced for a replica's penalties: the same W with the smallest penalty.
pub(crate) fn rebalance(
    network: &Network,
    layout: &Layout,
    replica: &super::ReplicaSettings,
    groups: &[Vec<u32>],
    parameters: &Parameters,
) -> Parameters {
    let mut start = parameters.clone();
    if let (Some(first), true) = (network.first_layer(), replica.reg_lambda > 0.0 && replica.reg_psi > 0.0) {
        let ratio = (replica.reg_psi / replica.reg_lambda).powf(0.25);
        balance(layout, first.id, first.weight, ratio, groups, &mut start);
    }
    start
}

/// `λ₀ = (r_ψ/r_λ)^¼ ‖w‖^½` and `ψ₀ = w/λ₀` for every column (a convolution: every channel): the same W with the smallest
/// penalty (method.md section 5). A group's columns share the λ₀ of their root mean square norm. Needs ψ and λ_in trained and λ_out = 0 frozen.
fn balance(layout: &Layout, id: NodeId, weight: Weight, ratio: f64, groups: &[Vec<u32>], start: &mut Parameters) {
    if weight != Weight::Spectral(Spectral { psi: true, lambda_in: true, lambda_out: false }) {
        return;
    }
    let tensor = |name| layout.find(id, name).expect("a spectral layer has its tensors");
    let (psi_tensor, lambda_tensor) = (tensor("psi"), tensor("lambda_in"));
    let (mut psi, mut lambda) = (start.get(psi_tensor), start.get(lambda_tensor));
    let (n, taps) = (lambda.len(), psi_tensor.cols / lambda.len());
    let squares = |i: usize| psi.chunks_exact(taps).skip(i).step_by(n).flatten().map(|x| x * x).sum::<f64>();
    let mut norms: Vec<f64> = (0..n).map(|i| lambda[i].abs() * squares(i).sqrt()).collect();
    for group in groups {
        let square = group.iter().map(|&c| norms[c as usize].powi(2)).sum::<f64>();
        let together = (square / group.len().max(1) as f64).sqrt();
        group.iter().for_each(|&c| norms[c as usize] = together);
    }
    for ((i, lambda), norm) in lambda.iter_mut().enumerate().zip(norms) {
        let before = *lambda;
        if norm > 0.0 {
            *lambda = f64::from((ratio * norm.sqrt()) as f32);
            let entries = psi.chunks_exact_mut(taps).skip(i).step_by(n).flatten();
            entries.for_each(|x| *x = f64::from((*x * before / *lambda) as f32));
        }
    }
    start.set(psi_tensor, &psi);
    start.set(lambda_tensor, &lambda);
}

/// One input's numbers in one replica: a column's, or a channel's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct InputRelevance {
    pub lambda: f64,
    pub psi_norm: f64,
    /// |λ̃_i| = |λ_in[i]|·‖ψ[:,i]‖₂ (a channel: ‖ψ[:,c,:]‖_F); for a direct weight ‖W[:,i]‖₂.
    pub relevance: f64,
    /// ‖W[:,i]‖₂; the same unless λ_out is trained.
    pub weight_norm: f64,
}

/// The relevance of every input (a column, or a channel where the first layer is a convolution), or nothing when the network doesn't
/// start with one layer that has a weight for each.
pub(crate) fn input_relevance(network: &Network, layout: &Layout, parameters: &Parameters) -> Vec<InputRelevance> {
    let Some(first) = network.first_layer() else { return Vec::new() };
    let get = |name: &str| layout.find(first.id, name).map(|tensor| parameters.get(tensor));
    let matrix = get(first.weight.matrix()).expect("such a layer has its matrix");
    let (n, taps) = (first.sources, first.taps);
    let lambda_in = get("lambda_in").unwrap_or_else(|| vec![1.0; n]);
    let lambda_out = get("lambda_out").unwrap_or_else(|| vec![0.0; first.rows]);
    let (mut squares, mut weights) = (vec![0.0; n], vec![0.0; n]);
    for (row, &out) in matrix.chunks_exact(n * taps).zip(&lambda_out) {
        for (i, slice) in row.chunks_exact(taps).enumerate() {
            for entry in slice {
                squares[i] += entry * entry;
                weights[i] += ((lambda_in[i] - out) * entry).powi(2);
            }
        }
    }
    (0..n)
        .map(|i| InputRelevance {
            lambda: lambda_in[i],
            psi_norm: squares[i].sqrt(),
            relevance: lambda_in[i].abs() * squares[i].sqrt(),
            weight_norm: weights[i].sqrt(),
        })
        .collect()
}

/// The relevance of units of inputs: ‖W[:,g]‖_F of the columns of each, or of its channel where the first layer has an eigenvalue for every
/// channel, which are then the units in their order.
pub(crate) fn unit_relevance(network: &Network, layout: &Layout, parameters: &Parameters, units: &[Unit]) -> Vec<f64> {
    let sources: Vec<f64> = input_relevance(network, layout, parameters).iter().map(|e| e.relevance).collect();
    if network.ranks_channels() {
        debug_assert_eq!(sources.len(), units.len());
        return sources;
    }
    units.iter().map(|unit| unit.columns.iter().map(|&c| sources[c].powi(2)).sum::<f64>().sqrt()).collect()
}
