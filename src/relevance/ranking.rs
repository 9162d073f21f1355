//! The ranking of the inputs by λ̃.

use super::RankedFeature;
use crate::model::Model;
use crate::train::input_relevance;

impl Model {
    /// |λ̃_i| of every input in every replica, `[replica][feature]`.
    pub fn relevance(&self) -> Vec<Vec<f64>> {
        let layout = crate::network::Layout::new(&self.network);
        let replica = |p| input_relevance(&self.network, &layout, p).iter().map(|e| e.relevance).collect();
        self.parameters.iter().map(replica).collect()
    }

    /// `‖W[:,i]‖₂` of every input, mean over replicas: the same as its relevance unless λ_out is trained.
    pub fn weight_norms(&self) -> Vec<f64> {
        let layout = crate::network::Layout::new(&self.network);
        let mut norms = vec![0.0; self.inputs().len()];
        for parameters in &self.parameters {
            let inputs = input_relevance(&self.network, &layout, parameters);
            norms.iter_mut().zip(inputs).for_each(|(sum, e)| *sum += e.weight_norm / self.parameters.len() as f64);
        }
        norms
    }

    /// Every input ([`Model::inputs`]), most relevant first; ties by index. Over replicas: means, and the standard deviation of |λ̃_i|. An input that is
    /// constant on the training rows has relevance 0 and comes last, whatever is left of its initial weight: nothing can use it.
    pub fn ranking(&self) -> Vec<RankedFeature> {
        let layout = crate::network::Layout::new(&self.network);
        let replicas: Vec<_> = self.parameters.iter().map(|p| input_relevance(&self.network, &layout, p)).collect();
        let n = replicas.len() as f64;
        let mut ranking: Vec<RankedFeature> = self
            .inputs()
            .into_iter()
            .enumerate()
            .map(|(i, input)| {
                // A channel's columns were scaled together, and have one standard deviation.
                let std = self.description.scaling.std[input.columns[0]];
                let mean =
                    |f: fn(&crate::train::InputRelevance) -> f64| replicas.iter().map(|r| f(&r[i])).sum::<f64>() / n;
                let varies = f64::from(u8::from(std > 0.0));
                let relevance = varies * mean(|e| e.relevance);
                let variance = replicas.iter().map(|r| (varies * r[i].relevance - relevance).powi(2)).sum::<f64>() / n;
                RankedFeature {
                    rank: 0,
                    feature: i,
                    name: input.name,
                    lambda: mean(|e| e.lambda),
                    psi_norm: mean(|e| e.psi_norm),
                    relevance,
                    relevance_std: variance.sqrt(),
                    relevance_times_std: relevance * std,
                }
            })
            .collect();
        // A stable sort keeps ties in the order of the columns.
        ranking.sort_by(|a, b| b.relevance.total_cmp(&a.relevance));
        ranking.iter_mut().enumerate().for_each(|(i, f)| f.rank = i + 1);
        ranking
    }
}

/// Numbers of the features, most relevant first; ties by index.
pub fn order(relevance: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..relevance.len()).collect();
    order.sort_by(|&a, &b| relevance[b].total_cmp(&relevance[a]));
    order
}
