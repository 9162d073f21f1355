//! Which pixels tell a 5 from a 9? Trains on MNIST and prints the 14 best pixels as a picture of characters:
//! `cargo run --release --example rank_pixels`, in the repository's folder.

use eigenlens::data::{self, Request};
use eigenlens::relevance::{CurveOptions, curve};
use eigenlens::{Device, Plan};

fn main() -> eigenlens::Result<()> {
    let device = Device::open("auto")?;
    let classes = Some(vec!["5".to_owned(), "9".to_owned()]);
    let mut digits = data::load(&Request { classes, ..Request::new("idx:examples/data/mnist") })?;
    let mut plan = Plan::default();
    plan.settings.epochs = 100;
    let fit = plan.fit(&mut digits, &device)?;
    let model = &fit.model;
    let ranking = model.ranking();

    let best: Vec<usize> = ranking.iter().take(14).map(|f| f.feature).collect();
    for row in 0..28 {
        let line: String = (0..28).map(|c| if best.contains(&(row * 28 + c)) { " #" } else { " ·" }).collect();
        println!("{line}");
    }

    // The proof: the same network with only those pixels, on the test files.
    let resident = model.prepare(&mut digits, &fit.split)?;
    let options = CurveOptions { max_k: 14, ..CurveOptions::default() };
    let curve = curve(model, &resident, ("test", resident.test.clone()), &options, &device)?;
    let point = &curve.points[13];
    println!(
        "accuracy with all pixels {:.3}, with these 14 {:.3}, with 14 random ones {:.3} ({:.1} s on {device})",
        curve.full, point.ranked, point.random_mean, fit.seconds
    );
    Ok(())
}
