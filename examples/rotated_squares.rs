//! An autoencoder of rotated squares, with and without bias: what its operator is made of (SpecXAI, sections 2.3 and 3.1).
//! `cargo run --release --example rotated_squares`; the whole experiment is `eigenlens reproduce rotated-squares`.

use eigenlens::Device;
use eigenlens::reproduce::{SquaresSettings, rotated_squares};
use eigenlens::train::Flow;

fn main() -> eigenlens::Result<()> {
    let device = Device::open("auto")?;
    // One network of each kind and fewer pictures: about a quarter of a minute on two cores.
    let settings = SquaresSettings { rows: 500, seeds: 1, epochs: 40, analysed: 10, ..SquaresSettings::default() };
    let outcome = rotated_squares(&settings, &device, &mut |_, _| Flow::Continue)?;
    let list = |values: &[f64]| values.iter().map(|v| format!("{v:6.3}")).collect::<String>();
    println!("σ_k/σ₀, k < 8\n  {:<20}{}", "data", list(&outcome.uncentred.decay));
    println!("  {:<20}{}", "data, centred", list(&outcome.centred.decay));
    for network in &outcome.networks {
        println!("  {:<20}{}", network.bias.name(), list(&network.decay));
    }
    for network in &outcome.networks {
        println!(
            "{:<20}  test R² {:.3}, {} live code units, ‖J x̃‖/‖y‖ {:.3}, ‖Σβ‖/‖y‖ {:.3}, residual {:.1e}",
            network.bias.name(),
            network.test_r2,
            network.live_code_units,
            network.operator_norm,
            network.bias_norm,
            network.residual
        );
    }
    println!("{:.0} s on {device}", outcome.seconds);
    Ok(())
}
