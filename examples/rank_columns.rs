//! Which columns of a table matter? `cargo run --release --example rank_columns [TABLE.csv TARGET]`
//!
//! Without arguments it makes a table whose answer is known: y depends on two of eight columns and on one category.

use std::io::Write;

use eigenlens::data::{self, Request};
use eigenlens::kernels::LossKind;
use eigenlens::random::Random;
use eigenlens::train::{Flow, Settings};
use eigenlens::{Device, Error, Plan};

fn main() -> eigenlens::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (path, target) = match (arguments.next(), arguments.next()) {
        (Some(path), Some(target)) => (path, target),
        _ => (made_up_table()?, "y".to_owned()),
    };
    let mut table = data::load(&Request { target: Some(target), ..Request::new(&path) })?;
    let mut plan = Plan::default();
    if matches!(table.y, data::Targets::Numbers { .. }) {
        plan.settings.loss = LossKind::Mse;
    }
    plan.settings.batch = 32;
    // Five seeds at once: how far they agree says how far to trust the ranking.
    plan.settings.replicas = Settings::ensemble(5, 0, 1e-2, 1e-4);
    let fit = plan.fit(&mut table, &Device::Cpu { threads: 0 }, &mut |_| Flow::Continue)?;
    for feature in fit.model.ranking().iter().take(10) {
        println!("{:2} {:<10} {:.4} ± {:.4}", feature.rank, feature.name, feature.relevance, feature.relevance_std);
    }
    for (part, score) in &fit.scores {
        println!("{part}: {score:?}");
    }
    Ok(())
}

/// `y = 2a − 3b² + 1.5 where kind is "late"`, with noise; six more columns are noise alone.
fn made_up_table() -> eigenlens::Result<String> {
    let path = std::env::temp_dir().join("eigenlens-rank-columns.csv");
    let mut random = Random::new(1, 1);
    eigenlens::write::atomic(&path, |out: &mut dyn Write| {
        writeln!(out, "a,b,kind,n1,n2,n3,n4,n5,n6,y")?;
        for _ in 0..600 {
            let (a, b, late) = (random.normal(), random.normal(), random.uniform() < 0.4);
            let noise: Vec<String> = (0..6).map(|_| format!("{:.4}", random.normal())).collect();
            let y = 2.0 * a - 3.0 * b * b + if late { 1.5 } else { 0.0 } + 0.1 * random.normal();
            writeln!(out, "{a:.4},{b:.4},{},{},{y:.4}", if late { "late" } else { "early" }, noise.join(","))?;
        }
        Ok(())
    })?;
    path.to_str().map(str::to_owned).ok_or_else(|| Error::Usage("the temporary directory's name is not UTF-8".into()))
}
