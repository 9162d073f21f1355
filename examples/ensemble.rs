//! Chooses an adapter and trains an ensemble of eight networks on it: `cargo run --release --example ensemble [DEVICE]`

use eigenlens::data::synthetic;
use eigenlens::engine::gpu::Adapters;
use eigenlens::train::Settings;
use eigenlens::{Device, Plan};

fn main() -> eigenlens::Result<()> {
    // A name, or part of one, chooses an adapter; `auto` takes a real GPU, or else the CPU engine.
    for adapter in Adapters::list() {
        println!("found {} ({}, {:?})", adapter.name, adapter.backend, adapter.kind);
    }
    let wanted = std::env::args().nth(1).unwrap_or_else(|| "auto".to_owned());
    let device = Device::open(&wanted)?;
    println!("training on {device}");

    let mut gaussian = synthetic::gaussian(1, 20_000);
    let mut plan = Plan::default();
    plan.settings.epochs = 40;
    // Seeds 0 to 7 with the same penalties, ten times the defaults for fewer rows; each replica can have its own
    // (`ReplicaSettings`).
    plan.settings.replicas = Settings::ensemble(8, 0, 1e-1, 1e-3);
    let fit = plan.fit(&mut gaussian.dataset, &device)?;
    println!("{} steps of 8 networks in {:.1} s", fit.model.description.steps, fit.seconds);
    println!("feature  relevance          distance of the class means");
    for feature in fit.model.ranking() {
        let distance = gaussian.distance[feature.feature];
        println!("{:<7}  {:.4} ± {:.4}    {distance:.3}", feature.name, feature.relevance, feature.relevance_std);
    }
    Ok(())
}
