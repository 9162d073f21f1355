//! `eigenlens adapters`.

use std::process::ExitCode;

use serde_json::json;

use super::{print, print_json};
use crate::Result;
use crate::engine::gpu::{AdapterInfo, AdapterKind, Adapters};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let adapters = Adapters::list();
    let cores = crate::host::threads(0);
    let real = adapters.iter().find(|info| info.kind != AdapterKind::Software);
    let auto = real.map_or("cpu", |info| info.name.as_str());
    if args.json {
        print_json(&json!({ "auto": auto, "cpu": { "threads": cores }, "adapters": adapters }))?;
    } else {
        let mut text = format!("CPU engine: {cores} threads\n");
        adapters.iter().for_each(|info| text.push_str(&describe(info)));
        if adapters.is_empty() {
            text.push_str("no GPU adapter\n");
        }
        text.push_str(&format!("--device auto takes: {auto}\n"));
        print(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(info: &AdapterInfo) -> String {
    let kind = serde_json::to_value(info.kind).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    format!(
        "{} ({}, {kind})\n    driver {} {}\n    subgroups of {} to {}, bindings up to {} MiB, workgroups up to {} \
         invocations and {} KiB\n    features: {}\n",
        info.name,
        info.backend,
        info.driver,
        info.driver_info,
        info.subgroup_size[0],
        info.subgroup_size[1],
        info.max_binding_bytes >> 20,
        info.max_workgroup_invocations,
        info.max_workgroup_bytes >> 10,
        if info.features.is_empty() { "none of those the kernels can use".into() } else { info.features.join(", ") },
    )
}
