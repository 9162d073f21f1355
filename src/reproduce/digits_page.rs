//! `report.html` of the digits: figures 5 to 9 and 12 of the spectral paper.

use crate::report::page::{Example, Facts, TrainPage, document, section};
use crate::report::text::{count, percent, short};
use crate::report::{examples, figures, page};
use crate::reproduce::experiment_page::{checks, differences, header, settings};
use crate::reproduce::{Digits, DigitsOutcome, Sample, Shorter, Spread};
use crate::train::Metric;

/// The whole page.
pub fn html(outcome: &DigitsOutcome, device: &str) -> String {
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
        threshold: outcome.training.threshold,
        history: &outcome.pictures.history,
        curve: Some(&outcome.curve),
        metric: Metric::Accuracy,
        examples: &shown_digits,
        scores: &scores(outcome),
        settings: &[],
        machine: &[],
    };
    let facts = Facts::new(&training, k);
    let mut body = header(title, &lead(outcome), &tiles(outcome));
    body.push_str(&section(
        &format!("Which pixels count{distribution}"),
        &format!("<div class=\"pair\">{}{}</div>", figures::histogram(&facts), figures::relevance(&facts)),
    ));
    let enough = figures::curve(&facts).unwrap_or_default();
    body.push_str(&section(
        &format!("How few are enough{curve}"),
        &format!("<div class=\"pair\">{enough}<div>{}</div></div>", single(outcome)),
    ));
    body.push_str(&section(
        &format!("Digits, whole and with the {k} best pixels alone{shown}"),
        &examples::examples(&facts),
    ));
    if let Some(shorter) = &outcome.shorter {
        let shown = TrainPage {
            ranking: &shorter.ranking,
            history: &[],
            curve: None,
            examples: &[],
            scores: &[],
            ..training.clone()
        };
        body.push_str(&section(
            "Trained shorter, with smaller penalties (figure 12)",
            &trained_shorter(shorter, &Facts::new(&shown, k)),
        ));
    }
    body.push_str(&section("Held against what is asked for", &checks(&outcome.checks)));
    // One epoch makes no curve.
    let course = match training.history.len() {
        0 | 1 => String::new(),
        _ => format!("<div class=\"trio\">{}</div>", figures::training(&facts)),
    };
    body.push_str(&section("Training", &(course + &page::scores(training.scores))));
    body.push_str(&section("What differs from the authors’ setting", &differences(&outcome.differences)));
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
    let made = settings(s.variant, &widths, &outcome.network, &outcome.training, &more);
    body.push_str(&section("How it was made", &made));
    document(title, &body)
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

fn tiles(outcome: &DigitsOutcome) -> Vec<(String, String)> {
    let k = outcome.best.len();
    let few = outcome.single_at(k).map(|s| s.spread);
    let held = outcome.checks.iter().filter(|check| check.holds).count();
    let mut tiles = vec![(percent(outcome.full_accuracy()), "accuracy on test digits with every pixel".to_owned())];
    if let Some(few) = few {
        let label = format!("with the {k} best alone ({} to {})", percent(few.least), percent(few.most));
        tiles.push((percent(few.mean), label));
    }
    tiles.push((percent(Spread::of(&outcome.dropped).mean), "of the varying pixels dropped".to_owned()));
    tiles.push((format!("{held} of {}", outcome.checks.len()), "bounds hold".to_owned()));
    tiles
}

/// Figure 12: how many pixels count, and where they lie.
fn trained_shorter(shorter: &Shorter, facts: &Facts) -> String {
    let text = format!(
        "{} passes over the digits, r_λ {:e}, r_ψ {:e}: {} of the test digits are right, and {} of the varying pixels are under 1 % of \
         the largest.",
        shorter.epochs,
        shorter.reg_lambda,
        shorter.reg_psi,
        percent(shorter.test_accuracy),
        percent(Spread::of(&shorter.dropped).mean),
    );
    format!(
        "<p class=\"prose\">{text}</p><div class=\"pair\">{}{}</div>",
        figures::histogram(facts),
        figures::relevance(facts)
    )
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
fn single(outcome: &DigitsOutcome) -> String {
    let row = |s: &crate::reproduce::SingleAccuracy| {
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
        format!("<tr>{}</tr>", cells.map(|cell| format!("<td class=\"n\">{cell}</td>")).concat())
    };
    let heads = ["k", "accuracy", "± std (points)", "least", "most", "random"];
    format!(
        "<h3>Single networks</h3><div class=\"scroll\"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>\
         <p class=\"small\">Accuracy on test digits of {} networks, each with the k best pixels of its own ranking.</p>",
        heads.map(|head| format!("<th class=\"n\">{head}</th>")).concat(),
        outcome.single.iter().map(row).collect::<String>(),
        outcome.settings.replicas
    )
}
