//! The page of the rotated squares.

use super::experiment_page::{numbers, reproduction};
use super::{BiasStart, NetworkOutcome, OperatorPicture, RotatedSquares};
use crate::data::synthetic::PICTURE;
use crate::report::figures::HALF;
use crate::report::page::{Block, Definitions, Figure, KeyFigure, Method, Page, Row, Table, Text, Tiles};
use crate::report::picture::{Palette, diverging, pixels};
use crate::report::svg::{Plot, Scale, Ticks};
use crate::report::text::{number, short};

const CLASSES: [&str; 3] = ["s1", "s2", "s3"];

/// The whole page.
pub fn page(outcome: &RotatedSquares, device: &str) -> Page {
    let title = "Rotated squares: what an autoencoder's operator is made of";
    let mut page = reproduction(title, lead(outcome), key_figures(outcome), Method::SpecXai);
    page.section("Singular values of the data and of the operator", vec![spectra(outcome)]);
    if let Some(first) = first(outcome, BiasStart::None) {
        page.section("Singular vectors (figure 8)", vectors(outcome, first));
    }
    let with_bias = [BiasStart::Zero, BiasStart::Uniform].into_iter().filter_map(|bias| first(outcome, bias));
    let title = "What the operator adds and what the biases carry (figure 9)";
    page.section(title, with_bias.map(bias_pictures).collect());
    page.section("All networks", vec![table(outcome).into()]);
    let s = &outcome.settings;
    let settings = [
        ("pictures", format!("{}, a fifth for testing", s.rows)),
        ("network", format!("4096 – {0} – 8 – {0} – 4096, ReLU, linear code and output", s.hidden)),
        (
            "training",
            format!("Adam, learning rate {} with a cosine, {} epochs, batch {}, MSE", s.rate, s.epochs, s.batch),
        ),
        ("analysed", format!("{} test pictures of each network", s.analysed)),
        ("engine", device.to_owned()),
        ("time", format!("{:.0} s", outcome.seconds)),
    ];
    page.section("How it was made", vec![Definitions::new("Settings", settings).into()]);
    page
}

fn of(outcome: &RotatedSquares, bias: BiasStart) -> Vec<&NetworkOutcome> {
    outcome.networks.iter().filter(|n| n.bias == bias).collect()
}

fn first(outcome: &RotatedSquares, bias: BiasStart) -> Option<&NetworkOutcome> {
    outcome.networks.iter().find(|n| n.bias == bias)
}

fn mean(networks: &[&NetworkOutcome], f: impl Fn(&NetworkOutcome) -> f64) -> f64 {
    networks.iter().map(|n| f(n)).sum::<f64>() / networks.len().max(1) as f64
}

/// Share of Σ|c| in the two largest.
fn top_two(network: &NetworkOutcome) -> f64 {
    let mut c = network.c.clone();
    c.sort_by(|a, b| b.total_cmp(a));
    let sum: f64 = c.iter().sum();
    if sum > 0.0 { (c[0] + c[1]) / sum } else { 0.0 }
}

fn lead(outcome: &RotatedSquares) -> String {
    let none = of(outcome, BiasStart::None);
    let decay = |values: &[f64]| values[1..].iter().sum::<f64>() / (values.len() - 1) as f64;
    let (data, centred) = (decay(&outcome.uncentred.decay), decay(&outcome.centred.decay));
    let operator = mean(&none, |n| decay(&n.decay));
    let faster = match (operator < data, operator < centred) {
        (true, true) => "faster than both the raw and the centred data's",
        (false, true) => {
            "faster than the centred data's, but slower than the raw data's, whose first vector is the mean disc"
        }
        (true, false) => "faster than the raw data's, but slower than the centred data's",
        (false, false) => "slower than the data's, raw or centred",
    };
    let share = mean(&none, top_two);
    let few =
        if share > 0.8 { "a few coefficients dominate" } else { "the coefficients are spread over several components" };
    let carried: Vec<String> = [BiasStart::Zero, BiasStart::Uniform]
        .iter()
        .map(|&bias| format!("{} ({})", short(mean(&of(outcome, bias), |n| n.bias_norm)), bias.name()))
        .collect();
    let bulk = mean(&of(outcome, BiasStart::Uniform), |n| n.bias_norm)
        > mean(&of(outcome, BiasStart::Uniform), |n| n.operator_norm);
    format!(
        "Without bias, the operator's singular values fall {faster} (those after the first in shares of it, mean of seven: {} against {} and {}). \
         The two largest |c| hold {:.0} % of their sum: {few}. The biases' part ‖Σβ‖/‖y‖ is {}: here they {} the bulk of the picture.",
        short(operator),
        short(data),
        short(centred),
        100.0 * share,
        carried.join(" and "),
        if bulk { "carry" } else { "don't carry" },
    )
}

fn key_figures(outcome: &RotatedSquares) -> Vec<KeyFigure> {
    let one = |&bias: &BiasStart| {
        let networks = of(outcome, bias);
        let live = networks.iter().map(|n| n.live_code_units).min().unwrap_or(0);
        let label = format!("test R², {}; {live} live code units at least", bias.name());
        KeyFigure::new(short(mean(&networks, |n| n.test_r2)), label)
    };
    BiasStart::ALL.iter().map(one).collect()
}

fn spectra(outcome: &RotatedSquares) -> Block {
    let plot = |title: &str, axis: &str, lines: Vec<(&str, &str, Vec<f64>)>| {
        let values = || lines.iter().flat_map(|(_, _, v)| v.iter().copied());
        let mut plot = Plot::new(
            HALF,
            300.0,
            [50.0, 16.0, 30.0, 46.0],
            Scale::Linear(0.0, 7.0),
            Scale::round(values().chain([0.0])),
        );
        plot.y_axis(axis, Ticks::Plain);
        plot.x_axis("component k", Ticks::Whole);
        let traces: Vec<_> = lines
            .iter()
            .map(|(name, class, values)| {
                let points: Vec<(f64, f64)> = values.iter().enumerate().map(|(k, &v)| (k as f64, v)).collect();
                plot.dots(&points, class);
                (plot.line(&points, class), *class, *name)
            })
            .collect();
        for (trace, class, name) in &traces {
            plot.label(trace, class, name);
        }
        Figure::new(title, plot.finish(title), "")
    };
    let mean_of = |bias: BiasStart, f: fn(&NetworkOutcome) -> &Vec<f64>| -> Vec<f64> {
        let networks = of(outcome, bias);
        (0..8).map(|k| mean(&networks, |n| f(n)[k])).collect()
    };
    let decay = plot(
        "How fast singular values fall",
        "singular value, share of the largest",
        vec![
            ("data", "s0", outcome.uncentred.decay.clone()),
            ("data, centred", "s3", outcome.centred.decay.clone()),
            ("without bias", "s1", mean_of(BiasStart::None, |n| &n.decay)),
            ("bias from uniform", "s2", mean_of(BiasStart::Uniform, |n| &n.decay)),
        ],
    );
    let c = plot(
        "How much of the input lies along each component",
        "size of the coefficient |c|",
        BiasStart::ALL.iter().zip(CLASSES).map(|(&b, class)| (b.name(), class, mean_of(b, |n| &n.c))).collect(),
    );
    Block::pair(decay, c)
}

fn signed(values: &[f64], caption: impl Into<Text>) -> Figure {
    let largest = values.iter().fold(0.0f64, |a, b| a.max(b.abs()));
    let shares = diverging(values, largest);
    Figure::new("", pixels(PICTURE, PICTURE, &shares, Palette::Diverging, &[], "Signed values"), caption)
}

/// On the scale of the pictures: black 0, white 1.
fn grey(values: &[f64], caption: &str) -> Figure {
    Figure::new("", pixels(PICTURE, PICTURE, values, Palette::Grey, &[], "Brightness"), caption)
}

fn row(title: &str, tiles: Vec<Figure>) -> [Block; 2] {
    [Block::Heading(title.to_owned()), Tiles::new(tiles).into()]
}

fn vectors(outcome: &RotatedSquares, network: &NetworkOutcome) -> Vec<Block> {
    let p = &network.picture;
    let numbered = |vectors: &[Vec<f64>], name: &str| -> Vec<Figure> {
        let tile = |(k, v): (usize, &Vec<f64>)| signed(v, Text::marked(format!("{name}_{{{k}}}")));
        vectors.iter().enumerate().map(tile).collect()
    };
    let of_network = |vectors: &[Vec<f64>], name: &str| -> Vec<Figure> {
        let caption = |k: usize| format!("{name}_{{{k}}}, σ {}, c {}", short(p.sigma[k]), short(p.c[k]));
        vectors.iter().enumerate().map(|(k, v)| signed(v, Text::marked(caption(k)))).collect()
    };
    let rows = [
        row("Data, uncentred: right singular vectors", numbered(&outcome.uncentred.vectors, "v")),
        row(
            "One test picture and what the network without bias gives back",
            vec![grey(&p.input, "input"), grey(&p.output, "output")],
        ),
        row("The network's operator at that picture: right singular vectors", of_network(&p.right, "v")),
        row("Contracted with the input, v ⊙ x̃", numbered(&p.contracted, "v ⊙ x̃ ")),
        row("Left singular vectors", of_network(&p.left, "u")),
    ];
    let note = "Each vector on its own scale: blue positive, orange negative, white zero.";
    rows.into_iter().flatten().chain([Block::Note(note.into())]).collect()
}

fn bias_pictures(network: &NetworkOutcome) -> Block {
    let p: &OperatorPicture = &network.picture;
    let vector = |(k, v): (usize, &Vec<f64>)| signed(v, Text::marked(format!("u_{{{k}}}, c {}", short(p.c[k]))));
    let layer = |(name, part): &(String, Vec<f64>)| signed(part, format!("bias of {name}"));
    let sums = vec![
        grey(&p.input, "input"),
        grey(&p.output, "output y"),
        signed(&p.linear, "J x̃: all components"),
        signed(&p.intercept, "Σβ: all biases"),
    ];
    let rows = [
        row("One test picture as a sum", sums),
        row("Left singular vectors of the operator", p.left.iter().enumerate().map(vector).collect()),
        row("What each layer's bias makes of the output", p.layers.iter().map(layer).collect()),
    ];
    let title = format!("{}, seed {}", network.bias.name(), network.seed);
    Block::Article { title, blocks: rows.into_iter().flatten().collect() }
}

fn table(outcome: &RotatedSquares) -> Table {
    let heads = [
        "network",
        "seed",
        "test R²",
        "train R²",
        "live",
        "rank",
        "σ₁/σ₀",
        "σ₂/σ₀",
        "σ₇/σ₀",
        "energy in 2",
        "‖J x̃‖/‖y‖",
        "‖Σβ‖/‖y‖",
        "residual",
    ];
    let rows = outcome
        .networks
        .iter()
        .map(|n| {
            let values = [
                n.bias.name().to_owned(),
                n.seed.to_string(),
                number(n.test_r2),
                number(n.train_r2),
                n.live_code_units.to_string(),
                short(n.rank),
                short(n.decay[1]),
                short(n.decay[2]),
                short(n.decay[7]),
                short(n.energy[1]),
                short(n.operator_norm),
                short(n.bias_norm),
                short(n.residual),
            ];
            values.into_iter().collect::<Row>()
        })
        .collect();
    numbers(&heads, rows, true)
}
