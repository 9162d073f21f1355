//! What a network takes in memory.

use serde_json::{Value, json};

use crate::model::Forward;
use crate::network::{Layout, Network};
use crate::program::{Elements, pad4};
use crate::report::text::count;
use crate::specxai::{LocalOperator, Product};

/// Vectors that explanations multiply with at once.
const SEEDS: usize = 8;

/// Elements of a sample's outputs beyond which nothing is recorded to find out.
const MOST_ELEMENTS: usize = 1 << 26;

/// And nodes: matrices are placed in time that grows with their square, half a second for these.
const MOST_NODES: usize = 1 << 13;

/// What a sample takes on the engine, in numbers of 4 bytes.
pub(super) struct Memory {
    parameters: usize,
    forward: Elements,
    /// With the products of [`SEEDS`] cotangents and as many tangents.
    products: Elements,
}

impl Memory {
    /// `None` for a network that is too large to be recorded only to be looked at.
    pub fn of(network: &Network) -> Option<Self> {
        let elements = network.nodes.iter().try_fold(0usize, |all, node| all.checked_add(pad4(node.width())));
        elements.filter(|&elements| elements <= MOST_ELEMENTS && network.nodes.len() <= MOST_NODES)?;
        let node = network.nodes.len() - 1;
        let products = [Product::Pull { node, seeds: SEEDS }, Product::Push { node, seeds: SEEDS }];
        let layout = Layout::new(network);
        Some(Memory {
            parameters: layout.parameters + layout.statistics,
            forward: Forward::elements(network),
            products: LocalOperator::elements(network, &products),
        })
    }

    pub fn json(&self) -> Value {
        let bytes =
            |elements: Elements| json!({ "bytes": 4 * elements.held, "without_sharing": 4 * elements.unshared });
        json!({
            "parameters": { "bytes": 4 * self.parameters },
            "forward": bytes(self.forward),
            "products": { "seeds": SEEDS, "memory": bytes(self.products) }
        })
    }

    pub fn sentence(&self) -> String {
        let both = |e: Elements| format!("{} ({} if matrices didn't share memory)", size(e.held), size(e.unshared));
        format!(
            "The parameters take {}; a forward pass of one sample {}; with products of {SEEDS} cotangents and of {SEEDS} tangents at the \
             output {}.\n",
            size(self.parameters),
            both(self.forward),
            both(self.products)
        )
    }
}

/// Numbers of 4 bytes, in MiB, or in KiB where those are few.
fn size(elements: usize) -> String {
    let kib = elements.div_ceil(256);
    if kib < 10_240 { format!("{} KiB", count(kib)) } else { format!("{} MiB", count(kib.div_ceil(1024))) }
}
