//! The page of the digits: figures 5 to 9 and 12 of the spectral paper.

use super::experiment_page::{checks, held, numbers, reproduction, settings};
use super::{Digits, DigitsOutcome, Sample, Shorter, SingleAccuracy, Spread};
use crate::report::facts::{Example, Facts, TrainPage};
use crate::report::page::{Block, KeyFigure, Method, Page, Row, Table};
use crate::report::text::{count, percent, short};
use crate::report::{examples, figures, training_page};
use crate::train::Metric;

/// The whole page.
pub fn page(outcome: &DigitsOutcome, device: &str) -> Page {
    let digits = outcome.settings.digits;
    let title = match digits {
        Digits::ZeroOne => "MNIST 0 v 1: the few pixels that tell them apart",
        Digits::FiveNine => "MNIST 5 v 9: the few pixels that tell them apart",
        Digits::All => "MNIST, all ten digits: which pixels count",
    };
    let [distribution, curve, shown] = match digits {
        Digits::ZeroOne => [" (figure 5)", " (figure 6)", " (figure 7)"],
        Digits::FiveNine => [" (figure 8a)", " (figure 8b)", " (figures 8c and 8d)"],
        Digits::All => [" (figure 9, left)", " (figure 9, right)", ""],
    };
    let k = outcome.best.len();
    let shown_digits: Vec<Example> = outcome.samples.iter().map(example).collect();
    // The figures are those of a training's page, drawn from the same facts.
    let training = TrainPage {
        title,
        summary: Vec::new(),
        ranking: &outcome.pictures.ranking,
        columns: outcome.relevance.len(),
        axes: &outcome.pictures.axes,
        by_channel: false,
        threshold: outcome.training.threshold,
        history: &outcome.pictures.history,
        curve: Some(&outcome.curve),
        metric: Metric::Accuracy,
        examples: &shown_digits,
        scores: &scores(outcome),
        assessment: None,
        settings: &[],
        machine: &[],
    };
    let facts = Facts::new(&training, k);
    let mut page = reproduction(title, lead(outcome), key_figures(outcome), Method::Spectral);
    page.section(
        format!("Which pixels count{distribution}"),
        vec![Block::pair(figures::histogram(&facts), figures::relevance(&facts))],
    );
    let enough = figures::curve(&facts).map(Block::from).into_iter().collect();
    page.section(
        format!("How few are enough{curve}"),
        vec![Block::Columns(vec![enough, vec![single(outcome).into()]])],
    );
    page.section(format!("Digits, whole and with the {k} best pixels alone{shown}"), examples::examples(&facts));
    if let Some(shorter) = &outcome.shorter {
        let shown = TrainPage {
            ranking: &shorter.ranking,
            history: &[],
            curve: None,
            examples: &[],
            scores: &[],
            ..training.clone()
        };
        page.section(
            "Trained shorter, with smaller penalties (figure 12)",
            trained_shorter(shorter, &Facts::new(&shown, k)),
        );
    }
    page.section("Held against what is asked for", checks(&outcome.checks));
    page.section("Training", training_page::training(&facts));
    page.section("What differs from the authors’ setting", vec![Block::List(outcome.differences.clone())]);
    let s = &outcome.settings;
    let widths = [&[outcome.relevance.len()], outcome.network.hidden.as_slice(), &[outcome.classes.len()]].concat();
    let more = [
        ("data", s.data.clone()),
        ("classes", outcome.classes.join(", ")),
        ("random orderings", s.controls.to_string()),
        ("seed", s.seed.to_string()),
        ("engine", device.to_owned()),
        ("time", format!("{:.0} s, of which training {:.0} s", outcome.seconds, outcome.training_seconds)),
    ];
    page.section("How it was made", settings(s.variant, &widths, &outcome.network, &outcome.training, &more));
    page
}

fn example(sample: &Sample) -> Example {
    Example { values: sample.values.clone(), label: sample.label.clone(), predicted: sample.predicted.clone() }
}

fn lead(outcome: &DigitsOutcome) -> String {
    let k = outcome.best.len();
    let n = outcome.relevance.len();
    let point = outcome.curve.points.iter().find(|p| p.k == k);
    let (ranked, random) = point.map_or((f64::NAN, f64::NAN), |p| (p.ranked, p.random_mean));
    let dropped = Spread::of(&outcome.dropped);
    let paper = match outcome.settings.digits {
        Digits::ZeroOne => " The paper: above 99 % with every pixel, and with 20 close to that.",
        Digits::FiveNine => " The paper: about 90 % with 14.",
        Digits::All => "",
    };
    format!(
        "{} networks learned to tell the digits {} apart. Of the pixels that vary at all, {} have a relevance under 1 % of \
         the largest. With the {k} best of {n} pixels alone, the others set to zero, the same networks are right in {} of the test \
         digits; with {k} random ones in {}, with every pixel in {}.{paper}",
        outcome.settings.replicas,
        outcome.classes.join(", "),
        percent(dropped.mean),
        percent(ranked),
        percent(random),
        percent(outcome.full_accuracy()),
    )
}

fn key_figures(outcome: &DigitsOutcome) -> Vec<KeyFigure> {
    let k = outcome.best.len();
    let all = KeyFigure::new(percent(outcome.full_accuracy()), "accuracy on test digits with every pixel");
    let few = outcome.single_at(k).map(|single| {
        let few = single.spread;
        let label = format!("with the {k} best alone ({} to {})", percent(few.least), percent(few.most));
        KeyFigure::new(percent(few.mean), label)
    });
    let dropped = KeyFigure::new(percent(Spread::of(&outcome.dropped).mean), "of the varying pixels dropped");
    [Some(all), few, Some(dropped), Some(held(&outcome.checks))].into_iter().flatten().collect()
}

/// Figure 12: how many pixels count, and where they lie.
fn trained_shorter(shorter: &Shorter, facts: &Facts) -> Vec<Block> {
    let text = format!(
        "{} passes over the digits, r_λ {:e}, r_ψ {:e}: {} of the test digits are right, and {} of the varying pixels are under 1 % of \
         the largest.",
        shorter.epochs,
        shorter.reg_lambda,
        shorter.reg_psi,
        percent(shorter.test_accuracy),
        percent(Spread::of(&shorter.dropped).mean),
    );
    let figures = Block::pair(figures::histogram(facts), figures::relevance(facts));
    vec![Block::Paragraph(text.into()), figures]
}

fn scores(outcome: &DigitsOutcome) -> Vec<(String, Vec<(String, f64)>)> {
    let named = |name: &str, value: f64| (name.to_owned(), value);
    let of = |score: &crate::model::PartScore| {
        score.accuracy.map(|a| named("accuracy", a)).into_iter().chain([named("loss", score.loss)]).collect()
    };
    let parts = ["train", "validation", "test"];
    parts.iter().filter_map(|part| Some(((*part).to_owned(), of(outcome.scores.get(part)?)))).collect()
}

/// The spread over single networks, each with its own ranking.
fn single(outcome: &DigitsOutcome) -> Table {
    let row = |s: &SingleAccuracy| {
        let random =
            outcome.curve.points.iter().find(|p| p.k == s.k).map_or("–".to_owned(), |p| percent(p.random_mean));
        let cells = [
            count(s.k),
            percent(s.spread.mean),
            short(100.0 * s.spread.std),
            percent(s.spread.least),
            percent(s.spread.most),
            random,
        ];
        cells.into_iter().collect::<Row>()
    };
    let heads = ["k", "accuracy", "± std (points)", "least", "most", "random"];
    let caption = format!(
        "Accuracy on test digits of {} networks, each with the k best pixels of its own ranking.",
        outcome.settings.replicas
    );
    numbers(&heads, outcome.single.iter().map(row).collect(), false).title("Single networks").caption(caption)
}
