//! What was found out about a model as a whole, in words and tables.

use super::page::{Block, Cell, Column, Row, Table, Text, Tone};
use super::text::{self, NARROW, count, many, number, percent, shorten};
use crate::assess::{Assessment, Estimate, FEWEST_ROWS, Judgement, Verdict};
use crate::train::Metric;

/// A class that is recognised less often than this deserves a word.
const RARELY: f64 = 0.75;
/// More classes than this make no readable square of confusions.
const MOST_CONFUSED: usize = 20;

/// `93.3 ± 2.1 %`, or `0.512 ± 0.031`.
pub fn estimate(kind: Metric, e: Estimate) -> String {
    if !kind.is_share() {
        return text::with_spread(e.value, e.se);
    }
    if !e.se.is_finite() || e.se == 0.0 {
        return percent(e.value);
    }
    let value = percent(e.value);
    // An error that isn't 0 is not shown as if it were.
    let spread = if e.se < 0.0005 { format!("{}{NARROW}%", text::short(100.0 * e.se)) } else { percent(e.se) };
    format!("{} ± {spread}", value.trim_end_matches(|c: char| !c.is_ascii_digit()))
}

/// What a verdict is said by: accuracy, or R² and the absolute error.
fn scores(j: &Judgement) -> String {
    let name = text::metric_name(j.metric);
    match j.r2 {
        None if j.metric.is_share() => format!("{name} {}", estimate(j.metric, j.score)),
        None => format!("R² undefined (the same target in every row), {name} {}", estimate(j.metric, j.score)),
        Some(_) => format!("R² {}, {name} {}", r2_of(j.r2), estimate(j.metric, j.score)),
    }
}

fn r2_of(r2: Option<Estimate>) -> String {
    r2.map_or_else(|| "undefined".into(), |r2| text::with_spread(r2.value, r2.se))
}

fn constant_answer(j: &Judgement) -> String {
    let kind = if j.metric.is_share() { "most frequent class" } else { "median" };
    format!("always answering the {kind} has {}", estimate(j.metric, j.constant))
}

/// The first thing to say: whether the model knows anything about rows that it hasn't seen, and what to do where not.
pub fn verdict(a: &Assessment) -> String {
    let Some(held) = &a.held_out else {
        return "No rows were held out, so nothing says whether this holds for other rows: give --test or --validation a share."
            .to_owned();
    };
    let rows = format!("On {} that it hadn't seen", many(held.rows, "row"));
    match a.verdict {
        Verdict::Unsupported => unsupported(a, held, &rows),
        Verdict::Overfitted => format!(
            "The network has learnt its training rows by heart: {} there, but {} on {} rows that it hadn't seen ({}). Take the \
             ranking with care; {} help.",
            a.part("train").map(scores).unwrap_or_default(),
            scores(held),
            count(held.rows),
            constant_answer(held),
            // Whose penalties were chosen by cross-validation already has had that advice.
            if a.cross_validation.is_some() {
                "more rows"
            } else {
                "stronger penalties (--folds 5 chooses them) or more rows"
            },
        ),
        Verdict::Supported | Verdict::Unknown => {
            format!("{rows}: {}; {}.", scores(held), constant_answer(held))
        }
    }
}

/// What a reader has to know first: rows that stand in the data more than once, the verdict, and of several targets that of each.
pub fn lead(a: &Assessment) -> Vec<String> {
    let repeats = a.held_out.filter(|held| a.repeated as f64 > REPEATED * held.rows as f64).map(|_| {
        format!(
            "{} stand in the data more than once, inputs and target alike, so a network may have seen the rows that it is asked: the \
             scores are too good, and so is the ranking's support. Remove the repeats, or count them with --weights.",
            many(a.repeated, "row")
        )
    });
    let each = a.by_target.iter().map(|target| {
        let told = if target.is_explained() { "" } else { " (not supported)" };
        format!("{} {}{told}", shorten(&target.name, 30), r2_of(target.r2))
    });
    let each: Vec<String> = each.collect();
    let by_target = (!each.is_empty()).then(|| format!("R² by target: {}.", each.join(", ")));
    repeats.into_iter().chain([verdict(a)]).chain(by_target).chain(rare_classes(a)).collect()
}

/// Share of the judged rows from which on repeated rows are worth a warning.
pub(crate) const REPEATED: f64 = 0.05;

/// Why a model is not supported, and what to do.
fn unsupported(a: &Assessment, held: &Judgement, rows: &str) -> String {
    let (scores_held, constant) = (scores(held), constant_answer(held));
    if held.rows < FEWEST_ROWS {
        return format!(
            "{rows}: {scores_held}; {constant}. So few rows say nothing about others, and the ranking is not supported. Give more rows."
        );
    }
    // Better by more than one standard error, but not by two.
    let hint = [Some(held.gain), Some(held.loss_gain), held.r2].iter().flatten().any(|gain| gain.value > gain.se);
    let found = if hint {
        format!(
            "{rows} the network is not clearly better than a constant answer: {scores_held}; {constant}. Whether what it uses holds \
             for other rows isn't shown, and its ranking is not supported."
        )
    } else {
        format!(
            "{rows} the network is no better than a constant answer: {scores_held}; {constant}. What it uses says nothing about the \
             target that would hold for other rows, and its ranking is not supported."
        )
    };
    let advice = match a.part("train") {
        Some(train) if a.cross_validation.is_none() && held.has_lost(train) && train.gain.is_gain() => format!(
            "It has learnt its training rows by heart ({}): stronger penalties (--folds 5 chooses them) or more rows may help.",
            scores(train)
        ),
        _ if a.long_tail => {
            "The target has a long tail, which a few rows decide: its logarithm may be learnt better.".to_owned()
        }
        _ => "Check the target and the columns, or give more rows.".to_owned(),
    };
    format!("{found} {advice}")
}

/// Of classes of very different sizes, where the accuracy says little: what to look at, and which option counts them the same.
pub fn rare_classes(a: &Assessment) -> Option<String> {
    let classes = a.classes.as_ref()?;
    if a.held_out.is_some_and(|j| j.metric == Metric::BalancedAccuracy) {
        return None;
    }
    let rows: usize = classes.classes.iter().map(|c| c.rows).sum();
    let largest = classes.classes.iter().map(|c| c.rows).max()?;
    let even = rows as f64 / classes.classes.len() as f64;
    let worst = classes
        .classes
        .iter()
        .filter(|c| c.recall.is_some())
        .min_by(|a, b| a.recall.partial_cmp(&b.recall).expect("recalls are numbers"))?;
    (largest as f64 > 1.5 * even && worst.recall? < RARELY).then(|| {
        format!(
            "The classes are of very different sizes: of {:?} {} are recognised, and the balanced accuracy is {}. \
             --balanced-classes makes every class count the same.",
            worst.name,
            percent(worst.recall.unwrap_or_default()),
            percent(classes.balanced_accuracy)
        )
    })
}

/// `train`, `cross-validation` …: a line each for the terminal.
pub fn lines(a: &Assessment) -> String {
    let width = a.parts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, j): &(String, Judgement)| {
        format!(
            "{name:<width$}  {}, constant {} ({})\n",
            scores(j),
            estimate(j.metric, j.constant),
            many(j.rows, "row")
        )
    };
    a.parts.iter().map(line).collect()
}

/// The scores of all parts, the penalties that were tried, and the classes one by one.
pub(crate) fn blocks(a: &Assessment) -> Vec<Block> {
    let mut blocks = vec![scores_table(a).into()];
    blocks.extend(penalties(a).map(Block::from));
    blocks.extend(classes(a));
    blocks
}

fn scores_table(a: &Assessment) -> Table {
    let share = a.parts.first().is_some_and(|(_, j)| j.metric.is_share());
    let name = a.parts.first().map_or("score", |(_, j)| text::metric_name(j.metric));
    let mut columns = vec![Column::text("rows"), Column::number("number"), Column::number(name)];
    columns.push(Column::number("constant answer"));
    columns.push(Column::number("better by"));
    columns.push(Column::number(if share { "log loss" } else { "R²" }));
    let row = |(part, j): &(String, Judgement)| -> Row {
        [
            part.clone(),
            count(j.rows),
            estimate(j.metric, j.score),
            estimate(j.metric, j.constant),
            estimate(j.metric, j.gain),
            if share { text::with_spread(j.loss.value, j.loss.se) } else { r2_of(j.r2) },
        ]
        .into_iter()
        .collect()
    };
    let caption = "± one standard error over the rows. The constant answer is the training rows' ";
    let caption = format!("{caption}{}.", if share { "most frequent class" } else { "median" });
    let validated = match &a.cross_validation {
        Some(v) => format!(
            " Cross-validation: every training row answered by the one of {} networks that didn't see it; since these rows \
             chose the penalties, its score is a little too good.",
            v.folds
        ),
        None => String::new(),
    };
    Table::new(columns, a.parts.iter().map(row).collect()).caption(format!("{caption}{validated}"))
}

fn penalties(a: &Assessment) -> Option<Table> {
    let v = a.cross_validation.as_ref()?;
    let metric = a.parts.first().map(|(_, j)| j.metric)?;
    let loss = if metric.is_share() { "log loss" } else { "squared error (standardised)" };
    let columns = ["r_{λ}", "r_{ψ}"].map(|name| Column::number(Text::marked(name)));
    let columns =
        columns.into_iter().chain([Column::number(loss), Column::number(text::metric_name(metric))]).collect();
    let row = |(i, c): (usize, &crate::assess::Candidate)| {
        let cells = [
            number(c.reg_lambda),
            number(c.reg_psi),
            text::with_spread(c.loss.value, c.loss.se),
            estimate(metric, c.score),
        ];
        let chosen = i == v.chosen;
        let cell = |text: String| Cell::from(if chosen { Text::strong(text) } else { text.into() });
        cells.into_iter().map(cell).collect::<Row>()
    };
    let table = Table { narrow: true, ..Table::new(columns, v.candidates.iter().enumerate().map(row).collect()) };
    Some(
        table
            .title("Penalties tried")
            .caption(format!("Each on rows held out in turn, {} folds. Taken: the strongest that is no worse than the best by more than one standard error of \
         their difference.", v.folds)),
    )
}

fn classes(a: &Assessment) -> Vec<Block> {
    let Some(scores) = &a.classes else { return Vec::new() };
    let show = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), percent);
    let area = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), text::short);
    let mut rows: Vec<Row> = scores
        .classes
        .iter()
        .map(|c| {
            let name = Cell::from(shorten(&c.name, 22)).tip(c.name.clone());
            let cells = [count(c.rows), show(c.recall), show(c.precision), area(c.auc)].map(Cell::from);
            [name].into_iter().chain(cells).collect()
        })
        .collect();
    let all: usize = scores.classes.iter().map(|c| c.rows).sum();
    let total: Row =
        ["mean".to_owned(), count(all), percent(scores.balanced_accuracy), String::new(), area(scores.auc)]
            .into_iter()
            .collect();
    rows.push(total.tone(Tone::Total));
    let columns = ["rows", "recognised", "right when answered", "AUC"].map(Column::number);
    let columns = [Column::text("class")].into_iter().chain(columns).collect();
    let table = Table::new(columns, rows).title("Class by class").caption(
        "On the rows that the network hadn't seen. Recognised: the recall, whose mean is the balanced accuracy; right when \
         answered: the precision; AUC: the chance that a row of the class gets more of its probability than another row.",
    );
    let mut blocks = vec![Table { narrow: true, ..table }.into()];
    let m = scores.classes.len();
    if m <= MOST_CONFUSED {
        let columns = [Column::text("class")].into_iter();
        let columns = columns.chain(scores.classes.iter().map(|c| Column::number(shorten(&c.name, 12)))).collect();
        let row = |(i, of): (usize, &Vec<usize>)| -> Row {
            let name = Cell::from(shorten(&scores.classes[i].name, 22)).tip(scores.classes[i].name.clone());
            let cell = |(j, &n): (usize, &usize)| match (i == j, n) {
                (_, 0) => Cell::from("0"),
                (true, n) => Text::strong(count(n)).into(),
                (false, n) => Cell::from(count(n)),
            };
            [name].into_iter().chain(of.iter().enumerate().map(cell)).collect()
        };
        let table = Table::new(columns, scores.confusion.iter().enumerate().map(row).collect());
        let table = Table { narrow: true, ..table };
        blocks.push(table.title("Confusions").caption("Rows: the class; columns: the answer.").into());
    }
    blocks
}
