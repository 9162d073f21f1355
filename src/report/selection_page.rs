//! The page of a selection, and its summary in plain sentences.

use super::assessment;
use super::facts::{Shape, shape_of};
use super::figures::HALF;
use super::page::{Block, Cell, Column, Definitions, Figure, KeyFigure, Method, Page, Row, Table};
use super::picture::{Palette, pixels};
use super::svg::{Anchor, Plot, Scale, Ticks};
use super::text::{self, count, number, percent, serde_name, short, shorten};
use crate::assess::Estimate;
use crate::data::{Dataset, Split};
use crate::selection::{Doubt, Footprint, Score, Selection, SizePoint, Stability};
use crate::train::Metric;

/// Colours of the path picture's lines that get a name.
const NAMED: [&str; 6] = ["c1", "c2", "c3", "c4", "c5", "c6"];
/// Distance of such lines, in the picture's units, at which nobody takes one for the other.
const FAR: f64 = 16.0;
/// Lines of the path picture in all: the best of the ranking.
const LINES: usize = 120;
/// Bars of the stability picture, and rows of the table that are open.
const BARS: usize = 30;
const OPEN_ROWS: usize = 50;
const TABLE_ROWS: usize = 400;

/// Five lines in plain language.
pub fn summary(selection: &Selection, dataset: &Dataset) -> String {
    sentences(selection, dataset).iter().map(|line| format!("{line}\n")).collect()
}

fn sentences(selection: &Selection, dataset: &Dataset) -> [String; 5] {
    let metric = metric_name(selection);
    let article = if selection.metric == Metric::Accuracy { "an" } else { "a" };
    let value = |score: Score| text::metric(selection.metric, score.mean);
    let sure = |score: Score, rows_se| assessment::estimate(selection.metric, uncertain(score, rows_se));
    let (k, n) = (selection.chosen, selection.units.len());
    let head: Vec<String> =
        selection.ranking[..k].iter().take(5).map(|&u| shorten(&selection.units[u].name, 40)).collect();
    let more = if k > head.len() { format!(" and {} more", count(k - head.len())) } else { String::new() };
    let constant = match selection.constant.len() {
        0 => String::new(),
        1 => format!("; {} is constant on the training rows and was left out", shorten(&selection.constant[0], 40)),
        c => format!("; {} columns are constant on the training rows and were left out", count(c)),
    };
    let random = selection.sizes.iter().find(|s| s.k == k).and_then(|s| s.random).map_or_else(String::new, |score| {
        let (who, reach) = if k == 1 { ("random one", "reaches") } else { ("random ones", "reach") };
        format!("; {} {who} {reach} {}", count(k), value(score))
    });
    let (full, reduced) = (selection.full, selection.reduced);
    let mut sentences = [
        format!(
            "Of {} in {}, {} chosen: {}{more}{constant}.",
            units(selection, n),
            name(dataset),
            was(k),
            head.join(", ")
        ),
        format!(
            "Networks trained anew on {} alone reach {article} {metric} of {} on the {} rows; with all {}, without penalties, it is {}{random}; always giving {} {}.",
            if k == 1 { "it" } else { "these" },
            sure(selection.score, selection.score_rows_se),
            selection.rows,
            units(selection, n),
            sure(selection.all_features, selection.all_features_rows_se),
            constant_answer(selection),
            text::metric(selection.metric, selection.constant_answer)
        ),
        certainty(selection),
        correlated(selection),
        footprint(full, reduced),
    ];
    // What a reader has to know before the rest.
    if !selection.tells_anything() {
        sentences[..3].rotate_right(1);
    }
    if has_repeats(selection) {
        sentences[0] = format!(
            "{} stand in the data more than once, inputs and target alike, so networks may have seen the rows that they are asked: the \
             scores below are too good. Remove the repeats. {}",
            text::many(selection.repeated, "row"),
            sentences[0]
        );
    }
    if selection.stopped {
        sentences[0] = format!("Stopped before every number of {}s was tried. {}", selection.noun(), sentences[0]);
    }
    sentences
}

/// Whether so many rows stand in the data more than once that the scores can't be believed.
pub fn has_repeats(selection: &Selection) -> bool {
    let Split { train, validation, test } = &selection.compact.split;
    selection.repeated as f64 > assessment::REPEATED * (train.len() + validation.len() + test.len()) as f64
}

/// A score with its standard error over networks and rows together.
fn uncertain(score: Score, rows_se: f64) -> Estimate {
    Estimate { value: score.mean, se: score.se.hypot(rows_se) }
}

fn constant_answer(selection: &Selection) -> &'static str {
    if selection.metric == Metric::Mae { "the median gives" } else { "the most frequent class gives" }
}

fn units(selection: &Selection, n: usize) -> String {
    text::many(n, selection.noun())
}

fn was(n: usize) -> String {
    format!("{} {}", count(n), verb(n))
}

/// How far networks on halves of the rows agree.
fn certainty(selection: &Selection) -> String {
    let noun = selection.noun();
    match selection.doubt {
        None => {}
        Some(Doubt::Validation) => {
            return format!(
                "Not supported: on the validation rows the chosen {noun}s are not clearly better than the constant answer (by \
                    two standard errors), which are fewer than all rows that `train` judges by. That they tell the target isn't shown here: take \
                    the choice as chance, or give more rows."
            );
        }
        Some(Doubt::Unstable) => {
            return format!(
                "Not supported: none of the chosen {noun}s was chosen by at least {:.0} % of {} networks on halves of the rows, and {}. \
                 Take the choice as chance, or give more rows.",
                100.0 * selection.stability.threshold,
                2 * selection.stability.pairs,
                if selection.rows == "test" {
                    "on the test rows they are not clearly better than the constant answer (by two standard errors)"
                } else {
                    "there are no test rows to say that they tell the target nevertheless"
                }
            );
        }
    }
    let stability = &selection.stability;
    let (halves, k) = (2 * stability.pairs, selection.chosen);
    let stable: Vec<usize> = selection.ranking.iter().copied().filter(|&u| stability.is_stable(u)).collect();
    let chosen = &selection.ranking[..k];
    let certain = stable.iter().filter(|u| chosen.contains(u)).count();
    let by = format!(
        "by at least {:.0} % of {halves} networks on halves of the rows (each its {} most relevant at most)",
        100.0 * stability.threshold,
        count(stability.limit)
    );
    let head = match (certain, k) {
        (0, 1) => format!("Not chosen {by}: another sample of rows may well choose another {noun}"),
        (0, _) => format!("None of them was chosen {by}: another sample of rows may well choose others"),
        (1, 1) => format!("It was chosen {by}"),
        (2, 2) => format!("Both were chosen {by}"),
        (c, k) if c == k => format!("All {} were chosen {by}", count(k)),
        (c, k) => {
            let others = if k - c == 1 { "other is" } else { "others are" };
            format!("{} of the {} {} chosen {by}; the {others} less certain", count(c), count(k), verb(c))
        }
    };
    let more = match stable.len() - certain {
        0 => String::new(),
        1 => " (and so was 1 that isn't needed beside them)".to_owned(),
        m => format!(" (and so were {} that aren't needed beside them)", count(m)),
    };
    let by_chance = if stable.is_empty() {
        String::new()
    } else {
        format!(
            " Of {noun}s that stable, {} at most are expected by chance; {}.",
            short(stability.false_ones),
            copies(stability)
        )
    };
    format!("{head}{more}.{by_chance}")
}

/// How often noise was chosen.
fn copies(stability: &Stability) -> String {
    let often = match stability.of_noise() {
        0.0 => "ever chosen".to_owned(),
        noise => format!("chosen by more than {:.0} %", 100.0 * noise),
    };
    match stability.copies.len() {
        1 => format!("a shuffled copy, which knows nothing of the target, wasn't {often}"),
        n => format!("of {n} shuffled copies, which know nothing of the target, none was {often}"),
    }
}

fn verb(n: usize) -> &'static str {
    if n == 1 { "was" } else { "were" }
}

/// What is strongly correlated with the chosen, and whether networks kept that instead.
fn correlated(selection: &Selection) -> String {
    let chosen = || selection.ranking[..selection.chosen].iter().zip(&selection.substitutes);
    // Those that were kept instead come first.
    let others = || chosen().filter_map(|(&u, s)| Some((selection.units[u].name.as_str(), s.first()?)));
    let list = |pairs: Vec<String>| {
        let more = if pairs.len() > 3 { format!(" and {} more", count(pairs.len() - 3)) } else { String::new() };
        format!("{}{more}", pairs[..pairs.len().min(3)].join(", "))
    };
    let pair = |word: &str, a: &str, b: &str| format!("{} {word} {}", shorten(a, 30), shorten(b, 30));
    let pairs: Vec<String> = others().map(|(name, s)| pair("with", name, &s.name)).collect();
    let instead = others().filter(|(_, s)| s.kept_instead > 0.0);
    let instead: Vec<String> = instead.map(|(name, s)| pair("for", &s.name, name)).collect();
    let are = if pairs.len() == 1 { "is" } else { "are" };
    let noun = selection.noun();
    match (pairs.len(), instead.len()) {
        (0, _) => format!("No chosen {noun} is strongly correlated with another."),
        (all, 0) => format!(
            "{} of the chosen {are} strongly correlated with other {noun}s ({}); no network at the chosen penalty kept only the other of \
             such a pair.",
            count(all),
            list(pairs)
        ),
        (all, n) => format!(
            "{} of the chosen {are} strongly correlated with other {noun}s, and for {} of them some networks kept such a \
             substitute instead: {}.",
            count(all),
            count(n),
            list(instead)
        ),
    }
}

/// Pearson's r.
pub fn correlation(r: f64) -> String {
    format!("{r:.2}").replace('-', "\u{2212}")
}

/// The metric; of a number with the number's name, in whose units it is.
fn metric_name(selection: &Selection) -> String {
    let name = text::metric_name(selection.metric);
    match selection.compact.model.description.targets.as_slice() {
        _ if selection.metric != Metric::Mae => name.to_owned(),
        _ if selection.reconstructs => format!("{name} of the scaled inputs"),
        [target] => format!("{name} in {}", shorten(target, 30)),
        _ => format!("{name} in standard deviations"),
    }
}

fn name(dataset: &Dataset) -> String {
    text::source_name(&dataset.source)
}

/// What the compact model saves; its time only where that is more than two timings of one model differ by.
fn footprint(full: Footprint, reduced: Footprint) -> String {
    const TOLD_FROM: f64 = 1.5;
    let [before, after] = [full, reduced].map(|f| f.milliseconds_per_1000_rows);
    let time = if before > TOLD_FROM * after {
        format!(" and takes {} ms instead of {} for 1,000 rows", short(after), short(before))
    } else {
        String::new()
    };
    format!(
        "The compact model has {} parameters instead of {}{time}.",
        count(reduced.parameters),
        count(full.parameters)
    )
}

/// The whole page.
pub fn page(selection: &Selection, dataset: &Dataset, device: &str) -> Page {
    let mut page = Page {
        kind: "Feature selection report",
        title: match selection.reconstructs {
            true => format!("The inputs that say what all of {} says", name(dataset)),
            false => format!("The inputs that {} needs", name(dataset)),
        },
        lead: sentences(selection, dataset).to_vec(),
        numbers: key_figures(selection),
        sections: Vec::new(),
        method: Method::Spectral,
        links: Vec::new(),
    };
    page.section("From everything to nothing", vec![Block::pair(path(selection), sizes(selection))]);
    page.section(
        "How sure the choice is",
        vec![Block::Columns(vec![vec![stability(selection, dataset).into()], vec![]])],
    );
    page.section(format!("Chosen {}s", selection.noun()), chosen(selection));
    page.section(
        "How to read this",
        EXPLANATION.map(|text| Block::Paragraph(text.replace("feature", selection.noun()).into())).to_vec(),
    );
    page.section("How it was made", vec![Definitions::new("Settings", settings(selection, dataset, device)).into()]);
    page
}

/// All that decided the result, and what came out of it.
fn settings(selection: &Selection, dataset: &Dataset, device: &str) -> Vec<(String, String)> {
    let s = &selection.settings;
    let d = &selection.compact.model.description;
    let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let hidden: Vec<String> = s.hidden.iter().flatten().map(ToString::to_string).collect();
    let number_or = |value: Option<usize>| value.map_or_else(|| "–".to_owned(), count);
    let way = match (s.exact, s.warm) {
        (false, false) => "all penalties side by side",
        (false, true) => "penalty by penalty (warm)",
        (true, false) => "exact zeros, all penalties side by side",
        (true, true) => "exact zeros, penalty by penalty (warm)",
    };
    [
        ("data", dataset.source.clone()),
        ("columns", dataset.summary(d.target_column.as_deref(), None)),
        ("columns left out (--drop)", list(&s.drop)),
        ("missing cells", serde_name(&s.missing)),
        ("classes", s.classes.as_deref().map_or_else(|| "all".to_owned(), |classes| classes.join(", "))),
        (
            "groups",
            s.groups_file
                .clone()
                .unwrap_or_else(|| if selection.by_channel { "channels" } else { "categories alone" }.to_owned()),
        ),
        ("rows", format!("{} in all; scores on the {} rows", count(dataset.rows), selection.rows)),
        match s.folds {
            Some(folds @ 1..) => ("folds, share for test", format!("{folds}, {}", s.test)),
            _ => ("share for validation, test", format!("{}, {}", s.validation, s.test)),
        },
        ("row weights", d.row_weights()),
        ("inputs scaled", s.scale.map(|scale| serde_name(&scale)).unwrap_or_default()),
        ("features", s.features.map_or_else(|| "fewest within one standard error of the best".to_owned(), count)),
        ("penalties × seeds", format!("{} × {}", s.penalties, s.seeds)),
        ("path", way.to_owned()),
        ("chosen strength of the penalty", number(selection.path.points[selection.penalty].penalty)),
        (
            "kept above",
            if s.exact { "exactly 0".to_owned() } else { format!("{} of the largest relevance", percent(s.threshold)) },
        ),
        ("random draws at each size", count(s.controls)),
        ("pairs of halves", count(s.pairs)),
        ("convolutions", list(&s.convolutions.iter().map(text::block).collect::<Vec<_>>())),
        ("hidden layers", format!("{}, {}", list(&hidden), serde_name(&s.activation))),
        ("loss", s.loss.map(|loss| serde_name(&loss)).unwrap_or_default()),
        ("epochs on the path", number_or(s.epochs)),
        ("batch, learning rate", format!("{}, {}", number_or(s.batch), s.rate)),
        ("seed of split and first network", s.seed.to_string()),
        ("engine", device.to_owned()),
        ("time", format!("{:.1} s", selection.seconds)),
    ]
    .map(|(k, v)| (k.to_owned(), v))
    .to_vec()
}

fn key_figures(selection: &Selection) -> Vec<KeyFigure> {
    let value = |score: Score| text::metric(selection.metric, score.mean);
    let metric = metric_name(selection);
    let se = |score, rows_se| text::metric(selection.metric, uncertain(score, rows_se).se);
    let noun = selection.noun();
    let (alone, as_many) = match selection.chosen {
        1 => ("it", format!("one random {noun}")),
        _ => ("these", format!("as many random {noun}s")),
    };
    let mut numbers = vec![
        KeyFigure::new(count(selection.chosen), format!("of {} chosen", units(selection, selection.units.len()))),
        KeyFigure::new(
            value(selection.score),
            format!("± {} {metric} with {alone} alone, trained anew", se(selection.score, selection.score_rows_se)),
        ),
        KeyFigure::new(
            value(selection.all_features),
            format!(
                "± {} {metric} with all {noun}s, without penalties",
                se(selection.all_features, selection.all_features_rows_se)
            ),
        ),
    ];
    let random = selection.sizes.iter().find(|s| s.k == selection.chosen).and_then(|s| s.random);
    numbers.extend(random.map(|score| KeyFigure::new(value(score), format!("{metric} with {as_many}"))));
    numbers
}

/// λ̃ of each feature against the penalty.
fn path(selection: &Selection) -> Figure {
    let points = &selection.path.points;
    let (first, last) = (points[0].penalty, points[points.len() - 1].penalty);
    let shown: Vec<usize> = selection.ranking.iter().copied().take(LINES).collect();
    let largest = shown.iter().flat_map(|&u| points.iter().map(move |p| p.relevance[u])).fold(0.0f64, f64::max);
    let mut plot =
        Plot::new(HALF, 340.0, [50.0, 16.0, 34.0, 46.0], Scale::Log(first, last), Scale::round([0.0, largest * 1.05]));
    plot.y_axis("relevance λ̃, mean over seeds", Ticks::Plain);
    plot.x_axis("strength of the penalty (log scale)", Ticks::Plain);
    plot.upright(points[selection.penalty].penalty, "limit");
    let line = |u: usize| points.iter().map(|p| (p.penalty, p.relevance[u])).collect::<Vec<_>>();
    for &u in shown.iter().skip(selection.chosen).rev() {
        plot.line(&line(u), "s3 thin");
    }
    let chosen = &shown[..selection.chosen.min(shown.len())];
    let (named, others) = chosen.split_at(chosen.len().min(NAMED.len()));
    for &u in others.iter().rev() {
        plot.line(&line(u), "light");
    }
    // The best last, on top of the others.
    for (&u, class) in named.iter().zip(NAMED).rev() {
        plot.line(&line(u), class);
    }
    for (&u, class) in named.iter().zip(NAMED) {
        // Where it is furthest from the other named ones, its highest such point where several are far enough.
        let apart = |i: usize| {
            let at = |v: usize| plot.py(points[i].relevance[v]);
            let nearest = named.iter().filter(|&&v| v != u).map(|&v| (at(u) - at(v)).abs()).fold(FAR, f64::min);
            (nearest, points[i].relevance[u])
        };
        let order = |&a: &usize, &b: &usize| apart(a).0.total_cmp(&apart(b).0).then(apart(a).1.total_cmp(&apart(b).1));
        let i = (0..points.len()).max_by(order).unwrap_or(0);
        let name = shorten(&selection.units[u].name, 18);
        plot.callout((points[i].penalty, points[i].relevance[u]), class, &name);
    }
    let rest = selection.units.len().saturating_sub(LINES);
    let rest =
        if rest > 0 { format!(" The {} last of the ranking are not drawn.", count(rest)) } else { String::new() };
    let noun = selection.noun();
    let colours = if others.is_empty() {
        format!("In colour: the chosen {noun}s; grey: the others.")
    } else {
        format!(
            "In colour: the best of the chosen {noun}s, and in light blue the other chosen ones; grey: those not chosen."
        )
    };
    Figure::new(
        "Relevance along the path",
        plot.finish(&format!("Relevance of each {noun} against the penalty")),
        format!("{colours} Dashed: the chosen penalty.{rest}"),
    )
}

/// Score against the number of features.
fn sizes(selection: &Selection) -> Figure {
    let (points, noun) = (&selection.path.points, selection.noun());
    let last = selection.sizes.iter().map(|s| s.k as f64).chain(points.iter().map(|p| p.kept)).fold(2.0, f64::max);
    let scores = selection.sizes.iter().flat_map(|s| [Some(s.best), s.random]).flatten();
    let scores = scores.chain([selection.all_features]);
    let kept: Vec<_> = points.iter().filter(|p| p.kept >= 1.0).collect();
    let scores = scores.chain(kept.iter().map(|p| p.test));
    let y = Scale::round(scores.flat_map(|s| [s.mean - s.se, s.mean + s.se]));
    let mut plot = Plot::new(HALF, 340.0, [56.0, 16.0, 34.0, 46.0], Scale::Log(1.0, last.max(2.0)), y);
    let ticks = if selection.metric.is_share() { Ticks::Percent } else { Ticks::Plain };
    plot.y_axis(&format!("{} on the {} rows", metric_name(selection), selection.rows), ticks);
    plot.x_axis(&format!("number of {noun}s (log scale)"), Ticks::Whole);
    type Pick = fn(&SizePoint) -> Option<Score>;
    let points_of = |f: Pick| selection.sizes.iter().filter_map(move |s| Some((s.k as f64, f(s)?)));
    let band = |f: Pick| points_of(f).map(|(k, s)| (k, s.mean - s.se, s.mean + s.se)).collect::<Vec<_>>();
    let series = |f: Pick| points_of(f).map(|(k, s)| (k, s.mean)).collect::<Vec<_>>();
    plot.band(&band(|s| s.random), "s3");
    plot.band(&band(|s| Some(s.best)), "s1");
    let full = plot.across(selection.all_features.mean, "full");
    let controls = series(|s| s.random);
    let random = plot.line(&controls, "s3");
    plot.dots(&controls, "s3");
    let path: Vec<(f64, f64)> = kept.iter().map(|p| (p.kept, p.test.mean)).collect();
    let on_path = plot.line(&path, "s2");
    plot.dots(&path, "s2");
    let best = plot.line(&series(|s| Some(s.best)), "s1 bold");
    plot.dots(&series(|s| Some(s.best)), "s1");
    plot.callout((selection.chosen as f64, selection.score.mean), "s1", &format!("{} chosen", count(selection.chosen)));
    plot.label(&full, "", &format!("all {}", count(selection.units.len())));
    plot.label(&best, "s1", "k best");
    if !random.is_empty() {
        plot.label(&random, "s3", "k random");
    }
    plot.label(&on_path, "s2", "each network its own");
    let grey = if controls.is_empty() { "" } else { " and on k random ones (grey)" };
    let caption = format!(
        "Networks trained anew on the k best {noun}s (blue){grey}, mean ± one standard error. Orange: the path's networks, \
         each refitted on what it kept itself."
    );
    Figure::new(format!("What k {noun}s can do"), plot.finish(&format!("Score against the number of {noun}s")), caption)
}

/// The features as an image, or bars of the share of the halves that choose each.
fn stability(selection: &Selection, dataset: &Dataset) -> Figure {
    let resampled = &selection.stability;
    let halves = 2 * resampled.pairs;
    let noun = selection.noun();
    // A channel is no place on the picture.
    if let (Shape::Image(grid), false) = (shape_of(&dataset.axes, dataset.columns), selection.by_channel) {
        let mut share = vec![0.0; dataset.columns];
        for (u, unit) in selection.units.iter().enumerate() {
            unit.columns.iter().for_each(|&c| share[c] = resampled.share[u]);
        }
        let chosen = selection.chosen_columns();
        let title = "Share of the halves that choose each pixel";
        let share = grid.by_pixel(&share, f64::max);
        let picture = pixels(grid.rows, grid.columns, &share, Palette::Grey, &grid.pixels_of(&chosen), title);
        let caption = format!(
            "White: all {halves} networks on halves of the rows choose the pixel (each its {} most relevant at most); black: none. \
             Outlined: chosen.",
            count(resampled.limit)
        );
        return Figure::new("Stability", picture, caption);
    }
    let shown: Vec<usize> = selection.ranking.iter().copied().take(BARS).collect();
    let height = 60.0 + 19.0 * shown.len() as f64;
    let y = Scale::Linear(shown.len() as f64, 0.0);
    let names: Vec<String> = shown.iter().map(|&u| shorten(&selection.units[u].name, 22)).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let left = (longest as f64 * 7.2 + 12.0).clamp(50.0, 172.0);
    let mut plot = Plot::new(HALF, height, [left, 16.0, 8.0, 46.0], Scale::Linear(0.0, 1.0), y);
    plot.x_axis("share of the halves that choose it", Ticks::Percent);
    plot.upright(resampled.of_noise(), "grid");
    plot.upright(resampled.threshold, "limit");
    for (i, &u) in shown.iter().enumerate() {
        let class = if i < selection.chosen { "s1" } else { "faint" };
        let share = resampled.share[u];
        plot.bar((0.0, i as f64 + 0.18), (share, i as f64 + 0.82), class, &selection.units[u].name);
        let middle = plot.py(i as f64 + 0.5) + 4.0;
        plot.text(left - 8.0, middle, Anchor::End, "row", &names[i]);
        let label = match selection.substitutes.get(i).and_then(|s| s.first()) {
            Some(s) => format!("{} ({}: r {})", percent(share), shorten(&s.name, 16), correlation(s.correlation)),
            None => percent(share),
        };
        // Inside a long bar, and before the upright line.
        let end = plot.px(share.min(resampled.threshold)) - 6.0;
        let (at, anchor, class) = match (share > 0.5, i < selection.chosen) {
            (true, true) => (end, Anchor::End, "inside"),
            (true, false) => (end, Anchor::End, "tick"),
            (false, _) => (plot.px(share) + 6.0, Anchor::Start, "tick"),
        };
        plot.text(at, middle, anchor, class, &label);
    }
    let caption = format!(
        "Networks on {halves} halves of the rows ({} complementary pairs), each of which chooses its {} most relevant {noun}s at most; \
         a half chose {} in the mean. Shown are the {} best of the ranking; blue: chosen in the end. From {} on (the upright line) \
         a {noun} is called stable: {} such at most are expected by chance (Shah and Samworth's bound). The faint line: what the most \
         often chosen of {} shuffled copies reaches, which know nothing of the target.",
        count(resampled.pairs),
        count(resampled.limit),
        short(resampled.chosen),
        count(shown.len()),
        format_args!("{:.0} %", 100.0 * resampled.threshold),
        short(resampled.false_ones),
        resampled.copies.len(),
    );
    Figure::new("", plot.finish(&format!("Stability of the best {noun}s")), caption)
}

/// The chosen features in a table, and what was left out.
fn chosen(selection: &Selection) -> Vec<Block> {
    let row = |i: usize| {
        let u = selection.ranking[i];
        let unit = &selection.units[u];
        let relevance = selection.path.points[selection.penalty].relevance[u];
        let substitutes: Vec<String> = selection.substitutes[i]
            .iter()
            .take(4)
            .map(|s| {
                format!(
                    "{} ({}; {:.0}\u{202f}% / {:.0}\u{202f}%)",
                    shorten(&s.name, 30),
                    correlation(s.correlation),
                    100.0 * s.kept_instead,
                    100.0 * s.kept_both
                )
            })
            .collect();
        let columns = if unit.columns.len() > 1 { format!(" ({} columns)", unit.columns.len()) } else { String::new() };
        let cells = [
            (i + 1).to_string().into(),
            Cell::from(shorten(&unit.name, 40) + &columns).tip(shorten(&unit.name, 200) + &columns),
            percent(selection.stability.share[u]).into(),
            number(relevance).into(),
            substitutes.join("; ").into(),
        ];
        cells.into_iter().collect::<Row>()
    };
    let columns = vec![
        Column::number("rank"),
        Column::text(selection.noun()),
        Column::number("stability"),
        Column::number("λ̃"),
        Column::text("substitutes (r; kept instead / kept both)"),
    ];
    let shown = selection.chosen.min(TABLE_ROWS);
    let table = Table::new(columns, (0..shown).map(row).collect());
    let mut out = vec![Block::Table(Table { open: Some(OPEN_ROWS), ..table })];
    let rest = selection.chosen - shown;
    if rest > 0 {
        let are = if rest == 1 { "is" } else { "are" };
        let note = format!("{} more of the chosen {are} left out here; relevance.csv has all.", count(rest));
        out.push(Block::Note(note.into()));
    }
    if !selection.constant.is_empty() {
        let names: Vec<String> = selection.constant.iter().take(20).map(|n| shorten(n, 40)).collect();
        let more = if selection.constant.len() > 20 { ", …" } else { "." };
        let note = format!("Left out because constant on the training rows: {}{more}", names.join(", "));
        out.push(Block::Note(note.into()));
    }
    out
}

const EXPLANATION: [&str; 3] = [
    "Networks were trained under a row of growing penalties, several at each. The penalty pulls an input's eigenvalue λ and its \
     eigenvector entries ψ to zero together, unless the input earns its place; it is a group lasso over the inputs. What survives \
     longest counts most.",
    "Stability says how much of the choice is chance: networks are trained at the chosen penalty on halves of the rows, two halves \
     without a row in common at a time, and the share of the halves that choose a feature is counted. Networks that see the same rows and \
     differ by their seed would agree on what fits these rows by chance. Substitutes are features that are strongly \
     correlated with a chosen one (r is Pearson's, over the training rows); “kept instead” is the share of the networks at the \
     chosen penalty that kept the substitute and not the feature, “kept both” the share that kept both. What is always kept \
     together is correlated, but nothing says that it could stand in.",
    "Scores on the test rows took no part in any choice. The penalty, the number of features and every stopping point were chosen \
     by the validation rows.",
];
