//! Which form each split is decomposed in, and what is said of it before it starts.

use super::super::say;
use crate::network::Network;
use crate::report::text::{count, many, serde_name};
use crate::specxai::{Form, SplitPlan};

use super::super::progress::duration;

/// Says on stderr what the splits take that are not decomposed at once. `rows`: of the data.
pub fn announce(network: &Network, plans: &[SplitPlan], rows: usize) {
    for plan in plans {
        let (Some(on), Some(chosen)) = (plan.on, plan.estimate()) else { continue };
        let mut text = format!(
            "{}: {} of {} rows are on in the first input; {}{}: about {} for {}",
            network.nodes[plan.split].name,
            count(on),
            count(plan.rows),
            serde_name(&plan.form),
            match plan.form {
                Form::ClassRows => format!(" ({} of them)", count(chosen.rows)),
                _ if chosen.rows < on => format!(" ({} different ones)", count(chosen.rows)),
                _ => String::new(),
            },
            duration(chosen.seconds * rows as f64),
            if rows == 1 { "it".to_owned() } else { many(rows, "input") },
        );
        if let Some(complete) = plan.estimates.iter().find(|e| e.form == Form::Complete && e.form != plan.form) {
            text.push_str(&format!(
                " (--form complete: about {} and {} MiB)",
                duration(complete.seconds * rows as f64),
                count(complete.bytes.div_ceil(1 << 20))
            ));
        }
        say(&text);
    }
}

/// Of all cuts those that fit into the seconds there are, quickest first; in the order of the graph, with the names of the others.
pub(super) fn within(
    network: &Network,
    plans: Vec<SplitPlan>,
    rows: usize,
    budget: f64,
) -> (Vec<SplitPlan>, Vec<String>) {
    let seconds = |plan: &SplitPlan| plan.estimate().map_or(0.0, |estimate| estimate.seconds * rows as f64);
    let mut order: Vec<usize> = (0..plans.len()).collect();
    order.sort_by(|&a, &b| seconds(&plans[a]).total_cmp(&seconds(&plans[b])));
    let (mut left, mut kept) = (budget, vec![false; plans.len()]);
    for i in order {
        left -= seconds(&plans[i]);
        // One is made whatever it takes.
        kept[i] = left >= 0.0 || !kept.contains(&true);
    }
    let names =
        plans.iter().zip(&kept).filter(|(_, kept)| !**kept).map(|(plan, _)| network.nodes[plan.split].name.clone());
    let names = names.collect();
    (plans.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(plan, _)| plan).collect(), names)
}
