//! Why is this a 0? Trains on MNIST 0 v 1 and explains one test digit, printing its main component as a picture of
//! characters: `cargo run --release --example explain_digit`, in the repository's folder.

use eigenlens::data::{self, Request};
use eigenlens::specxai::{ExplainSettings, explain, split_node};
use eigenlens::{Device, Plan};

fn main() -> eigenlens::Result<()> {
    let device = Device::open("auto")?;
    let classes = Some(vec!["0".to_owned(), "1".to_owned()]);
    let mut digits = data::load(&Request { classes, ..Request::new("idx:examples/data/mnist") })?;
    let mut plan = Plan::default();
    plan.settings.epochs = 60;
    let fit = plan.fit(&mut digits, &device)?;
    let model = &fit.model;

    // The first test digit, as it enters the network.
    let row = fit.split.test[0];
    let inputs = model.prepare(&mut digits, &fit.split)?.inputs(&[row]);
    let split = split_node(&model.network, "activation1")?;
    let explained = explain(&model.network, &model.parameters[0], &inputs, &ExplainSettings::at(&[split]), &device)?;
    let why = &explained.explanations[0];

    println!("output {} = {:.3}", why.output, why.y);
    let order = why.by_size();
    for &k in order.iter().take(5) {
        let c = &why.contributions[k];
        println!(
            "  component {k:<3} {:>8.3}  {}",
            c.alpha,
            c.share.map_or(String::new(), |s| format!("{:.1} %", 100.0 * s))
        );
    }
    let others: f64 = order.iter().skip(5).map(|&k| why.contributions[k].alpha).sum();
    println!(
        "  others        {others:>8.3}\n  intercepts    {:>8.3}\n  residual {:.1e}\n",
        why.beta_sum(),
        why.residual
    );

    // Where the largest component speaks for (+) and against (-) the output.
    let map = &why.maps[order[0]];
    let largest = map.iter().fold(0.0f64, |a, b| a.max(b.abs()));
    for line in map.chunks(28) {
        let text: String = line
            .iter()
            .map(|a| match a / largest {
                x if x > 0.2 => " +",
                x if x < -0.2 => " -",
                x if x.abs() > 0.02 => " ·",
                _ => "  ",
            })
            .collect();
        println!("{}", text.trim_end());
    }
    Ok(())
}
