//! What an explanation at each cut would take, for one input.

use super::super::progress::duration;
use crate::Result;
use crate::engine::Device;
use crate::model::Model;
use crate::report::text::{count, serde_name};
use crate::specxai::{ExplainSettings, Form, SplitPlan, cuts, plan};

/// Plans every cut at the input `x: [N]`, for a budget of so many seconds and bytes.
pub(super) fn plans(model: &Model, x: &[f64], budget: f64, memory: usize, device: &Device) -> Result<Vec<SplitPlan>> {
    let settings = ExplainSettings { budget, memory, ..ExplainSettings::at(&cuts(&model.network)) };
    plan(&model.network, &model.parameters[0], x, &settings, device)
}

/// As a table for the terminal.
pub(super) fn table(model: &Model, plans: &[SplitPlan]) -> Vec<[String; 7]> {
    let mut lines =
        vec![["cut", "rows", "on", "read by the output", "complete", "class-rows", "taken"].map(str::to_owned)];
    for plan in plans {
        let name = model.network.nodes[plan.split].name.clone();
        let of = |form: Form| plan.estimates.iter().find(|estimate| estimate.form == form);
        let seconds = |form: Form| of(form).map_or_else(|| "at once".into(), |e| duration(e.seconds));
        lines.push([
            name,
            count(plan.rows),
            plan.on.map_or_else(String::new, count),
            of(Form::ClassRows).map_or_else(String::new, |e| count(e.rows)),
            seconds(Form::Complete),
            if plan.at_once { String::new() } else { seconds(Form::ClassRows) },
            serde_name(&plan.form),
        ]);
    }
    lines
}
