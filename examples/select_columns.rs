//! Which few columns of a table are enough? `cargo run --release --example select_columns [TABLE.csv TARGET]`
//!
//! Without arguments it takes the made-up flats of `examples/data/flats`, as `rank_columns` does.

use eigenlens::Device;
use eigenlens::data::{self, Request};
use eigenlens::selection::{SelectSettings, select};
use eigenlens::train::Flow;

fn main() -> eigenlens::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (path, target) = match (arguments.next(), arguments.next()) {
        (Some(path), Some(target)) => (path, target),
        _ => ("examples/data/flats/flats.csv".to_owned(), "price_k".to_owned()),
    };
    let mut table = data::load(&Request { target: Some(target), ..Request::new(&path) })?;
    // Twelve penalties times five seeds, side by side; `features: Some(k)` asks for so many instead of the fewest.
    let settings = SelectSettings::default();
    let selection = select(&mut table, &[], &settings, &Device::Cpu { threads: 0 }, &mut |_, _| Flow::Continue)?;

    println!("penalty    kept   validation score (mean ± standard error over the seeds)");
    for (p, point) in selection.path.points.iter().enumerate() {
        let mark = if p == selection.penalty { "← chosen" } else { "" };
        println!("{:<9.4} {:>5.1}   {:.4} ± {:.4} {mark}", point.penalty, point.kept, point.score.mean, point.score.se);
    }
    println!("\nthe chosen {} of {}", selection.chosen, selection.units.len());
    for (&u, substitutes) in selection.ranking[..selection.chosen].iter().zip(&selection.substitutes) {
        let others: Vec<&str> = substitutes.iter().map(|s| s.name.as_str()).collect();
        let instead = if others.is_empty() { String::new() } else { format!("   or {}", others.join(", ")) };
        println!(
            "{:<20} chosen by {:>3.0} % of the halves{instead}",
            selection.units[u].name,
            100.0 * selection.stability.share[u]
        );
    }
    println!(
        "\n{} rows: {:.4} ± {:.4} on the chosen columns, {:.4} on all; {} parameters instead of {}",
        selection.rows,
        selection.score.mean,
        selection.score.se,
        selection.all_features.mean,
        selection.reduced.parameters,
        selection.full.parameters
    );
    Ok(())
}
