//! The page of the synthetic sets: figures 2, 3 and 4 of the spectral paper.

use super::experiment_page::{checks, held, numbers, reproduction, settings};
use super::{Distribution, FeatureOutcome, FeatureSet, FeatureSetOutcome, FeatureSetRun, SCATTER_FEATURES, Spread};
use crate::report::figures::HALF;
use crate::report::page::{Block, Figure, KeyFigure, Method, Page, Picture, Row, Table, Tiles};
use crate::report::svg::{Anchor, Plot, Scale, Ticks};
use crate::report::text::{count, number, percent, short, tick};

/// The whole page.
pub fn page(outcome: &FeatureSetOutcome, device: &str) -> Page {
    let set = outcome.settings.set;
    let title = match set {
        FeatureSet::Gaussian => "Independent Gaussian features: relevance against what is known",
        FeatureSet::Correlated => "Correlated Gaussian features: relevance that only pairs have",
    };
    let mut page = head(outcome, title);
    let Some(first) = outcome.runs.first() else { return page };
    let figures = vec![Block::pair(by_feature(outcome, first), by_strength(outcome, first))];
    match set {
        FeatureSet::Gaussian => {
            page.section("The data (figure 2)", every_distribution(outcome));
            page.section("Relevance of every feature (figure 3)", figures);
        }
        FeatureSet::Correlated => {
            let data = Block::pair(two_distributions(outcome), scatter(outcome));
            page.section("The data (figure 4, left)", vec![data]);
            page.section("Relevance of every feature (figure 4, right)", figures);
        }
    }
    page.section("Held against what is asked for", checks(&outcome.checks));
    page.section("Every data set", vec![runs(outcome).into()]);
    page.section("Every feature", vec![features(outcome, first).into()]);
    page.section("What differs from the authors’ setting", vec![Block::List(outcome.differences.clone())]);
    let s = &outcome.settings;
    let widths = [&[first.features.len()], outcome.network.hidden.as_slice(), &[2]].concat();
    let last = outcome.runs.len() as u64 - 1;
    let more = [
        (
            "data sets",
            format!("{} of {} rows, seeds {} to {}", s.data_sets, count(s.rows), s.seed, s.seed.wrapping_add(last)),
        ),
        ("rows for", "training 70 %, validation 10 %, test 20 %".to_owned()),
        ("engine", device.to_owned()),
        ("time", format!("{:.0} s", outcome.seconds)),
    ];
    page.section("How it was made", settings(s.variant, &widths, &outcome.network, &outcome.training, &more));
    page
}

fn head(outcome: &FeatureSetOutcome, title: &str) -> Page {
    let s = &outcome.settings;
    let over = |f: &dyn Fn(&FeatureSetRun) -> f64| Spread::of(&outcome.runs.iter().map(f).collect::<Vec<_>>());
    let irrelevant = over(&|run| run.largest_irrelevant).most;
    let accuracy = over(&|run| run.test_accuracy);
    let trained = format!(
        "{} networks were trained at once on each of {} data sets of {} rows.",
        s.replicas,
        s.data_sets,
        count(s.rows)
    );
    let (lead, tile) = match s.set {
        FeatureSet::Gaussian => {
            let rho = over(&|run| run.spearman.unwrap_or(f64::NAN));
            (
                format!(
                    "{trained} Of the features that say nothing about the class, none has a relevance above {} of the \
                     largest; the relevance of the others follows the distance of the classes’ means with a rank \
                     correlation of {} on average (features of distance 0.1 and more).",
                    percent(irrelevant),
                    short(rho.mean)
                ),
                KeyFigure::new(short(rho.mean), "Spearman correlation of relevance and distance, mean over data sets"),
            )
        }
        FeatureSet::Correlated => {
            let apart = over(&|run| run.pairs.iter().map(|p| p.difference).fold(0.0, f64::max)).most;
            (
                format!(
                    "{trained} No single feature says anything about the class; in each of four pairs the second is the first, \
                     and its sign flips with probability p in one class only. The two members of a pair have the same \
                     relevance up to {}, and noise has at most {} of the largest.",
                    percent(apart),
                    percent(irrelevant)
                ),
                KeyFigure::new(percent(apart), "largest difference between the members of a pair"),
            )
        }
    };
    let numbers = vec![
        tile,
        KeyFigure::new(percent(irrelevant), "largest relevance of an irrelevant feature, relative to the largest"),
        KeyFigure::new(percent(accuracy.mean), "accuracy on test rows"),
        held(&outcome.checks),
    ];
    reproduction(title, lead, numbers, Method::Spectral)
}

fn class(f: &FeatureOutcome) -> &'static str {
    if f.relevant { "s1" } else { "s3" }
}

fn relevance_plot(run: &FeatureSetRun, x: Scale) -> Plot {
    let tops = run.features.iter().map(|f| f.relevance + f.relevance_std);
    let (Scale::Linear(_, high) | Scale::Log(_, high)) = Scale::round(tops.chain([0.0]));
    // Zero gets a little room, so that the dots there are whole.
    let mut plot = Plot::new(HALF, 330.0, [56.0, 16.0, 34.0, 46.0], x, Scale::Linear(-0.03 * high, high));
    plot.y_axis("relevance λ̃", Ticks::Plain);
    plot
}

fn dot(plot: &mut Plot, x: f64, f: &FeatureOutcome) {
    // A whisker shorter than the dot says nothing.
    if (plot.py(f.relevance) - plot.py(f.relevance + f.relevance_std)).abs() > 3.0 {
        plot.upright_whisker(x, (f.relevance - f.relevance_std).max(0.0), f.relevance + f.relevance_std);
    }
    plot.dots(&[(x, f.relevance)], class(f));
}

/// Left of figure 3, top right of figure 4.
fn by_feature(outcome: &FeatureSetOutcome, run: &FeatureSetRun) -> Figure {
    let n = run.features.len() as f64;
    let mut plot = relevance_plot(run, Scale::Linear(-0.6, n - 0.4));
    for f in &run.features {
        dot(&mut plot, f.feature as f64, f);
    }
    plot.x_axis("feature", Ticks::Whole);
    let caption = format!(
        "Mean over {} networks of one job; bars are one standard deviation. Grey: features that say nothing about the class.",
        outcome.settings.replicas
    );
    Figure::new("Feature by feature", plot.finish("Relevance of every feature"), caption)
}

/// Right of figure 3, bottom right of figure 4.
fn by_strength(outcome: &FeatureSetOutcome, run: &FeatureSetRun) -> Figure {
    let (title, axis, end, what) = match outcome.settings.set {
        FeatureSet::Gaussian => {
            ("Against the distance of the means", "distance of the classes’ means", 1.45, "distance 0")
        }
        FeatureSet::Correlated => ("Against p", "p, the probability of a flipped sign in class 1", 0.9, "p = 0"),
    };
    let mut plot = relevance_plot(run, Scale::Linear(-0.03 * end, end));
    for f in &run.features {
        dot(&mut plot, f.strength, f);
    }
    plot.x_axis(axis, Ticks::Plain);
    let caption = format!("The same numbers. Grey, at {what}: the irrelevant features, one over the other.");
    Figure::new(title, plot.finish(title), caption)
}

/// Figure 2: values of every feature in either class.
fn every_distribution(outcome: &FeatureSetOutcome) -> Vec<Block> {
    let strength = |i: usize| outcome.runs[0].features.get(i).map_or(0.0, |f| f.strength);
    let tile = |(i, d): (usize, &Distribution)| {
        let name = if strength(i) > 0.0 { format!("x{i}, distance {:.2}", strength(i)) } else { format!("x{i}") };
        Figure::new("", distribution(d, &name, 190.0, 120.0), "")
    };
    let tiles = outcome.distributions.iter().enumerate().map(tile).collect();
    let caption = "Distribution of every feature in class 0 (blue) and class 1 (orange). Where no distance is given, both are the \
                   same.";
    vec![Tiles { tiles, per_row: Some(5) }.into(), Block::Note(caption.into())]
}

/// The left of figure 4: values of two features in either class.
fn two_distributions(outcome: &FeatureSetOutcome) -> Figure {
    let picture = |&i: &usize| Some(distribution(outcome.distributions.get(i)?, &format!("x{i}"), HALF, 170.0));
    let caption = "Distribution of two features of a pair in class 0 (blue) and class 1 (orange): the same.";
    Figure {
        title: "Each alone says nothing".into(),
        pictures: SCATTER_FEATURES.iter().filter_map(picture).collect(),
        caption: caption.into(),
        wide: false,
    }
}

fn distribution(distribution: &Distribution, name: &str, width: f64, height: f64) -> Picture {
    let most = distribution.classes.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut plot =
        Plot::new(width, height, [4.0, 4.0, 24.0, 22.0], Scale::Linear(-2.5, 2.5), Scale::Linear(0.0, most * 1.05));
    for (values, class) in distribution.classes.iter().zip(["s1", "s2"]) {
        let points: Vec<(f64, f64)> = Distribution::places().zip(values.iter().copied()).collect();
        plot.line(&points, class);
    }
    plot.across(0.0, "axis");
    for value in [-2.0, 0.0, 2.0] {
        plot.text(plot.px(value), height - 6.0, Anchor::Middle, "tick", &tick(value, 1.0));
    }
    plot.text(4.0, 14.0, Anchor::Start, "tick", name);
    plot.finish(&format!("Distribution of {name}"))
}

/// Bottom left of figure 4.
fn scatter(outcome: &FeatureSetOutcome) -> Figure {
    let scale = Scale::Linear(-1.7, 1.7);
    let mut plot = Plot::new(HALF, 390.0, [40.0, 16.0, 34.0, 46.0], scale, scale);
    let [a, b] = SCATTER_FEATURES;
    plot.y_axis(&format!("x{b}"), Ticks::Plain);
    for (class, colour) in [(1, "s2"), (0, "s1")] {
        let inside = |v: f64| v.abs() < 1.7;
        let points = outcome.scatter.iter().filter(|p| p.class == class && inside(p.x) && inside(p.y));
        plot.dots(&points.map(|p| (p.x, p.y)).collect::<Vec<_>>(), colour);
    }
    plot.x_axis(&format!("x{a}"), Ticks::Plain);
    let caption =
        "Some rows. In class 0 (blue) the two are equal; in class 1 (orange) the sign of one flips with probability p.";
    Figure::new("Together they do", plot.finish("Two features of a pair against each other"), caption)
}

/// A line for each data set, with the spread over replicas where there is one.
fn runs(outcome: &FeatureSetOutcome) -> Table {
    let gaussian = outcome.settings.set == FeatureSet::Gaussian;
    let mut heads = vec!["seed".to_owned(), "test accuracy".into(), "largest irrelevant".into()];
    if gaussian {
        heads.extend(["Spearman".into(), "of single networks: mean ± std".into(), "least".into(), "most".into()]);
    } else {
        let pairs = outcome.runs.first().map(|run| run.pairs.as_slice()).unwrap_or_default();
        heads.extend(pairs.iter().map(|pair| format!("p = {}", pair.p)));
        heads.push("difference in a pair".into());
    }
    let rows: Vec<Row> = (outcome.runs.iter())
        .map(|run| {
            let mut cells = vec![run.seed.to_string(), percent(run.test_accuracy), number(run.largest_irrelevant)];
            if gaussian {
                let single = Spread::of(&run.spearman_of_replicas);
                cells.push(run.spearman.map_or("–".into(), short));
                cells.push(format!("{:.3} ± {:.3}", single.mean, single.std));
                cells.extend([format!("{:.3}", single.least), format!("{:.3}", single.most)]);
            } else {
                cells.extend(run.pairs.iter().map(|pair| short(pair.relative)));
                cells.push(percent(run.pairs.iter().map(|pair| pair.difference).fold(0.0, f64::max)));
            }
            cells.into_iter().collect()
        })
        .collect();
    let caption = if gaussian {
        "Largest λ̃ of an irrelevant feature relative to the largest of all; Spearman correlation of the mean λ̃ with the distance, \
         and that of each network’s own."
    } else {
        "λ̃ relative to the largest: of the stronger noise feature, then the mean of each pair; the largest difference between the \
         members of a pair, relative to the larger."
    };
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    numbers(&heads, rows, false).caption(caption)
}

fn features(outcome: &FeatureSetOutcome, run: &FeatureSetRun) -> Table {
    let strength = match outcome.settings.set {
        FeatureSet::Gaussian => "distance of the means",
        FeatureSet::Correlated => "p of its pair",
    };
    let heads = ["feature", strength, "λ̃", "± std", "λ̃ / max"];
    let mut sorted: Vec<&FeatureOutcome> = run.features.iter().collect();
    sorted.sort_by(|a, b| b.strength.total_cmp(&a.strength));
    let rows: Vec<Row> = sorted
        .into_iter()
        .map(|f| {
            let strength = if f.relevant { short(f.strength) } else { "–".into() };
            let cells = [strength, number(f.relevance), number(f.relevance_std), number(f.relative)];
            [format!("x{}", f.feature)].into_iter().chain(cells).collect()
        })
        .collect();
    numbers(&heads, rows, false).caption("Of the first data set, strongest first.")
}
