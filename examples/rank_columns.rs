//! Which columns of a table matter? `cargo run --release --example rank_columns [TABLE.csv TARGET]`
//!
//! Without arguments it takes the made-up flats of `examples/data/flats`, where the answer is known: the area, the district,
//! the year, the energy and the garage make the price; floor, lift, tram and the month of the listing don't.

use eigenlens::data::{self, Request, Targets};
use eigenlens::kernels::LossKind;
use eigenlens::relevance::{CurveOptions, curve};
use eigenlens::train::Settings;
use eigenlens::{Device, Plan};

fn main() -> eigenlens::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (path, target) = match (arguments.next(), arguments.next()) {
        (Some(path), Some(target)) => (path, target),
        _ => ("examples/data/flats/flats.csv".to_owned(), "price_k".to_owned()),
    };
    let mut table = data::load(&Request { target: Some(target), ..Request::new(&path) })?;
    let mut plan = Plan::default();
    if matches!(table.y, Targets::Numbers { .. }) {
        plan.settings.loss = LossKind::Mse;
    }
    plan.settings.batch = 32;
    // Five seeds at once: how far they agree says how far to trust the ranking. A small table needs stronger penalties
    // than the default 1e-2 and 1e-4: with those the network learns the training rows by heart, from every column.
    let (reg_lambda, reg_psi) = Settings::table_penalties(table.rows);
    plan.settings.replicas = Settings::ensemble(5, 0, reg_lambda, reg_psi);
    let device = Device::Cpu { threads: 0 };
    let fit = plan.fit(&mut table, &device)?;

    let ranking = fit.model.ranking();
    let largest = ranking[0].relevance;
    println!("relative relevance, mean of {} networks", fit.model.parameters.len());
    for feature in &ranking {
        let share = feature.relevance / largest;
        let bar = "#".repeat((30.0 * share).round() as usize);
        println!(
            "{:3} {:<20} {:6.3} ± {:.3} {bar}",
            feature.rank,
            feature.name,
            share,
            feature.relevance_std / largest
        );
    }
    for (part, score) in &fit.scores {
        let metric = match (score.accuracy, score.mae, score.r2) {
            (Some(accuracy), ..) => format!("accuracy {accuracy:.3}"),
            (_, Some(mae), Some(r2)) => format!("mean absolute error {mae:.3}, R² {r2:.4}"),
            _ => String::new(),
        };
        println!("{part:<10} {:4} rows: {metric}", score.rows);
    }

    // How many columns are enough? The same networks on the test rows, all other inputs set to zero (their mean).
    let resident = fit.model.prepare(&mut table, &fit.split)?;
    let curve = curve(&fit.model, &resident, ("test", resident.test.clone()), &CurveOptions::default(), &device)?;
    for point in &curve.points {
        println!("best {:2} columns: {:8.3}   random ones: {:8.3}", point.k, point.ranked, point.random_mean);
    }
    Ok(())
}
