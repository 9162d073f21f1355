//! Dependence plots: a feature's part against its value, row by row, in the colour of the feature that it works together with.

use super::feature_figures::{OneRow, category, drawn, feature_value, in_order, mean_sizes, third, with_sign};
use super::page::{Block, Figure, Text};
use super::svg::{Plot, Scale, Ticks};
use super::text::{many, percent, shorten};

/// Features drawn, largest first, and categories told apart: the most frequent.
const FEATURES: usize = 3;
const CATEGORIES: usize = 6;
/// Width of such a plot: three stand side by side.
const WIDTH: f64 = 322.0;
/// Rows from which on, and share of the spread from which on, another feature is said to explain something: the best of many
/// explains a part of anything by chance.
const ROWS_TO_EXPLAIN: usize = 20;
const EXPLAINED: f64 = 0.2;
/// Rows of a local fit, at least, and in how many stretches of similar values the rows are compared.
const LOCAL: usize = 10;
const STRETCHES: usize = 5;

/// What the rows hold of one feature.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    Numbers(Vec<f64>),
    /// Categories by their place among the names, the most frequent first; the last may stand for all others.
    Categories {
        names: Vec<String>,
        of: Vec<usize>,
    },
}

impl Values {
    fn of(rows: &[&OneRow<'_>], i: usize) -> Values {
        let Some(first) = rows.first() else { return Values::Numbers(Vec::new()) };
        let unit = &first.units[i];
        let named: Option<Vec<&str>> = rows.iter().map(|row| category(unit, row.features, row.input)).collect();
        match named {
            Some(named) => Values::categories(&named),
            None => Values::Numbers(rows.iter().map(|row| row.input[unit.columns[0]]).collect()),
        }
    }

    fn categories(named: &[&str]) -> Values {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for name in named {
            match counts.iter_mut().find(|(other, _)| other == name) {
                Some((_, count)) => *count += 1,
                None => counts.push((name, 1)),
            }
        }
        counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let place = |name: &&str| counts.iter().position(|(other, _)| other == name).unwrap_or(0).min(CATEGORIES - 1);
        let of = named.iter().map(place).collect();
        let mut names: Vec<String> = counts.iter().take(CATEGORIES).map(|(name, _)| (*name).to_owned()).collect();
        if counts.len() > CATEGORIES {
            names[CATEGORIES - 1] = "others".into();
        }
        Values::Categories { names, of }
    }

    /// Every row's group: its category, or which third of the values it is in.
    fn groups(&self) -> Vec<usize> {
        match self {
            Values::Numbers(values) => in_order(values).into_iter().map(third).collect(),
            Values::Categories { of, .. } => of.clone(),
        }
    }
}

/// The plots of the leading features; none of less than two rows.
pub(crate) fn dependence(rows: &[OneRow<'_>], output: &str) -> Option<Block> {
    if rows.len() < 2 {
        return None;
    }
    let (means, order) = mean_sizes(rows);
    let rows = drawn(rows);
    let known = |i: usize| rows.iter().filter(|row| !row.input[row.units[i].columns[0]].is_nan()).count() > 1;
    let leading = order.into_iter().filter(|&i| means[i] > 0.0 && known(i)).take(FEATURES);
    let columns: Vec<Vec<Block>> = leading.map(|i| vec![plot(&rows, i, output).into()]).collect();
    (!columns.is_empty()).then_some(Block::Columns(columns))
}

fn plot(rows: &[&OneRow<'_>], i: usize, output: &str) -> Figure {
    // A missing cell has no value to stand at, and a feature with one no value for every dot's colour.
    let there = |row: &OneRow<'_>, i: usize| !row.input[row.units[i].columns[0]].is_nan();
    let drawn = rows.len();
    let rows: &[&OneRow<'_>] = &rows.iter().copied().filter(|row| there(row, i)).collect::<Vec<_>>();
    let name = |i: usize, limit: usize| shorten(&rows[0].units[i].name, limit);
    let values = Values::of(rows, i);
    let parts: Vec<f64> = rows.iter().map(|row| row.parts.parts[i]).collect();
    let whole = |other: &usize| rows.iter().all(|row| there(row, *other));
    let others = (0..rows[0].units.len()).filter(|&other| other != i).filter(whole);
    let all: Vec<(usize, Values)> = others.map(|other| (other, Values::of(rows, other))).collect();
    let partner = partner(&values, &parts, &all);
    let x = match &values {
        Values::Numbers(values) => Scale::round(values.iter().copied()),
        Values::Categories { names, .. } => Scale::Linear(-0.5, names.len() as f64 - 0.5),
    };
    let y = Scale::round(parts.iter().copied());
    let mut plot = Plot::new(WIDTH, 270.0, [54.0, 14.0, 32.0, 46.0], x, y);
    plot.y_axis(&format!("part in {}", shorten(output, 30)), Ticks::Plain);
    if (0.0..1.0).contains(&y.share(0.0)) {
        plot.across(0.0, "s3 thin");
    }
    let places: Vec<f64> = match &values {
        Values::Numbers(values) => {
            plot.x_axis(&name(i, 40), Ticks::Plain);
            values.clone()
        }
        Values::Categories { names, of } => {
            plot.categories(&name(i, 40), names);
            // Side by side in an order that looks like none: multiples of the golden section.
            of.iter().enumerate().map(|(r, &c)| c as f64 + 0.5 * ((r as f64 * 0.618_034).fract() - 0.5)).collect()
        }
    };
    let groups = partner.map(|(place, _)| all[place].1.groups());
    let value = |row: &OneRow<'_>, i: usize| {
        format!("{} = {}", name(i, 24), shorten(&feature_value(&row.units[i], row.features, row.input), 16))
    };
    for (r, row) in rows.iter().enumerate() {
        let class = groups.as_ref().map_or("s1", |groups| class(&all[partner.map_or(0, |(p, _)| p)].1, groups[r]));
        let with = partner.map_or_else(String::new, |(place, _)| format!("; {}", value(row, all[place].0)));
        let tip = format!("row {}: {} adds {}{with}", row.row, value(row, i), with_sign(parts[r]));
        plot.dot((places[r], parts[r]), class, &tip);
    }
    let caption = match partner {
        Some((place, share)) => {
            let (other, values) = &all[place];
            Text::from("Colour: ").then(Text::strong(name(*other, 30))).then(format!(
                ", which explains most ({}) of how rows with similar {} differ. {}",
                percent(share),
                name(i, 30),
                legend(values)
            ))
        }
        None if rows.len() < ROWS_TO_EXPLAIN => Text::from("Every dot is a row."),
        None => format!(
            "Every dot is a row. No other feature explains {} of how rows with similar values differ.",
            percent(EXPLAINED)
        )
        .into(),
    };
    let caption = match drawn - rows.len() {
        0 => caption,
        missing => caption.then(format!(" Left out: {}, where the cell is missing.", many(missing, "row"))),
    };
    Figure::new(name(i, 40), plot.finish(&format!("The part of {} against its value", name(i, 40))), caption)
}

/// Blue, grey and orange as low, middle and high; of categories the two most frequent have a colour.
fn class(values: &Values, group: usize) -> &'static str {
    match (values, group) {
        (Values::Numbers(_), 0) | (Values::Categories { .. }, 0) => "s1",
        (Values::Numbers(_), 2) | (Values::Categories { .. }, 1) => "s2",
        _ => "s3",
    }
}

fn legend(values: &Values) -> String {
    let Values::Categories { names, .. } = values else {
        return "Blue: its lowest third; orange: its highest.".into();
    };
    let said = ["Blue", "orange", "grey"].iter().zip(names).map(|(colour, name)| match (*colour, names.len()) {
        ("grey", 4..) => "grey: others".into(),
        _ => format!("{colour}: {}", shorten(name, 16)),
    });
    said.collect::<Vec<String>>().join("; ") + "."
}

/// The feature that explains most of what is left of the parts once the feature's own value has explained what it can, by its place
/// among the `others`, with the share that it explains. Rows are compared within stretches of similar values, since what one feature
/// does to another's part changes with that value, in sign too.
fn partner(values: &Values, parts: &[f64], others: &[(usize, Values)]) -> Option<(usize, f64)> {
    if parts.len() < ROWS_TO_EXPLAIN {
        return None;
    }
    let left = remaining(values, parts);
    let spread = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>();
    // What rounding leaves is not to be explained.
    if spread(&left) <= 1e-10 * spread(parts) {
        return None;
    }
    let stretches = match values {
        Values::Numbers(values) => {
            let stretches = (values.len() / ROWS_TO_EXPLAIN).clamp(1, STRETCHES);
            let place = |share: f64| ((share * stretches as f64) as usize).min(stretches - 1);
            in_order(values).into_iter().map(place).collect()
        }
        Values::Categories { of, .. } => of.clone(),
    };
    let shares = others.iter().enumerate().map(|(place, (_, by))| (place, explained(&left, &stretches, by)));
    shares.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|&(_, share)| share >= EXPLAINED)
}

/// What a value's own effect leaves of the parts: of numbers a straight line through the nearest rows, of categories their mean.
fn remaining(values: &Values, parts: &[f64]) -> Vec<f64> {
    let n = parts.len();
    match values {
        Values::Categories { of, .. } => {
            let mean = |c: usize| mean((0..n).filter(|&r| of[r] == c).map(|r| parts[r]));
            let means: Vec<f64> = (0..CATEGORIES).map(mean).collect();
            parts.iter().zip(of).map(|(part, &c)| part - means[c]).collect()
        }
        Values::Numbers(values) => {
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
            let near = (n / STRETCHES).max(LOCAL).min(n);
            let mut left = vec![0.0; n];
            for (place, &row) in order.iter().enumerate() {
                let begin = place.saturating_sub(near / 2).min(n - near);
                let window = &order[begin..begin + near];
                let pairs: Vec<(f64, f64)> = window.iter().map(|&r| (values[r], parts[r])).collect();
                let [x, y, slope] = line(&pairs);
                left[row] = parts[row] - y - slope * (values[row] - x);
            }
            left
        }
    }
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count().max(1) as f64
}

/// The least-squares line: the means of both, and its slope.
fn line(pairs: &[(f64, f64)]) -> [f64; 3] {
    let (x, y) = (mean(pairs.iter().map(|p| p.0)), mean(pairs.iter().map(|p| p.1)));
    let square: f64 = pairs.iter().map(|p| (p.0 - x).powi(2)).sum();
    let product: f64 = pairs.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    [x, y, if square > 0.0 { product / square } else { 0.0 }]
}

/// R² of `left` by another feature within each stretch of rows, pooled and adjusted for what the fits would explain of noise: a line
/// for numbers, whose r² is the squared correlation, means for categories. 0 where there are too few rows.
fn explained(left: &[f64], stretches: &[usize], by: &Values) -> f64 {
    let (mut total, mut rest) = (0.0, 0.0);
    let (mut free, mut free_rest) = (0.0, 0.0);
    for stretch in 0..=stretches.iter().copied().max().unwrap_or(0) {
        let rows: Vec<usize> = (0..left.len()).filter(|&r| stretches[r] == stretch).collect();
        if rows.is_empty() {
            continue;
        }
        let middle = mean(rows.iter().map(|&r| left[r]));
        total += rows.iter().map(|&r| (left[r] - middle).powi(2)).sum::<f64>();
        free += rows.len() as f64 - 1.0;
        match by {
            Values::Numbers(values) => {
                let [x, y, slope] = line(&rows.iter().map(|&r| (values[r], left[r])).collect::<Vec<_>>());
                rest += rows.iter().map(|&r| (left[r] - y - slope * (values[r] - x)).powi(2)).sum::<f64>();
                free_rest += rows.len() as f64 - 2.0;
            }
            Values::Categories { of, .. } => {
                for category in 0..CATEGORIES {
                    let same = rows.iter().filter(|&&r| of[r] == category).map(|&r| left[r]);
                    let middle = mean(same.clone());
                    rest += same.clone().map(|x| (x - middle).powi(2)).sum::<f64>();
                    free_rest += (same.count() as f64 - 1.0).max(0.0);
                }
            }
        }
    }
    if free_rest < 1.0 || total <= 0.0 {
        return 0.0;
    }
    (1.0 - (rest / free_rest) / (total / free)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Even numbers from −1 to 1 that are the same on every machine.
    fn noise(n: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    fn numbers(values: &[f64]) -> Values {
        Values::Numbers(values.to_vec())
    }

    #[test]
    fn the_partner_is_what_the_part_depends_on() {
        let [x, z, other] = [1, 2, 3].map(|seed| noise(200, seed));
        let others = [(4, numbers(&other)), (7, numbers(&z))];
        // The product of two features about zero: over all rows, what is left doesn't correlate with the other factor at all.
        let parts: Vec<f64> = x.iter().zip(&z).map(|(x, z)| 2.0 * x + x * z).collect();
        let (place, share) = partner(&numbers(&x), &parts, &others).unwrap();
        assert!(place == 1 && share > 0.5, "{place} {share}");
        // Bent by its own value alone: nothing is left for the others.
        let bent: Vec<f64> = x.iter().map(|x| if *x > 0.0 { 3.0 * x } else { 0.5 * x }).collect();
        assert_eq!(partner(&numbers(&x), &bent, &others), None);
        let straight: Vec<f64> = x.iter().map(|x| 3.0 * x).collect();
        assert_eq!(partner(&numbers(&x), &straight, &others), None);
        // Of few rows one of many features would explain it by chance.
        assert_eq!(partner(&numbers(&x[..8]), &parts[..8], &[(7, numbers(&z[..8]))]), None);
    }

    #[test]
    fn categories_are_partners_too() {
        let [x, z] = [1, 2].map(|seed| noise(120, seed));
        let colours: Vec<&str> = (0..120).map(|r| ["red", "green", "blue"][r * 7 % 3]).collect();
        let colour = Values::categories(&colours);
        let slope = |r: usize| if colours[r] == "red" { 3.0 } else { 1.0 };
        let parts: Vec<f64> = (0..120).map(|r| slope(r) * (x[r] + 2.0)).collect();
        let (place, share) = partner(&numbers(&x), &parts, &[(0, numbers(&z)), (1, colour.clone())]).unwrap();
        assert!(place == 1 && share > 0.8, "{place} {share}");
        // The other way round: a category's part by a number.
        let parts: Vec<f64> = (0..120).map(|r| slope(r) * (z[r] + 2.0)).collect();
        let (place, _) = partner(&colour, &parts, &[(0, numbers(&x)), (1, numbers(&z))]).unwrap();
        assert_eq!(place, 1);
    }

    #[test]
    fn rare_categories_are_others() {
        let named = ["a", "b", "b", "c", "d", "e", "f", "g", "b", "g"];
        let Values::Categories { names, of } = Values::categories(&named) else { panic!("categories") };
        assert_eq!(names, ["b", "g", "a", "c", "d", "others"]);
        assert_eq!(of, [2, 0, 0, 3, 4, 5, 5, 1, 0, 1]);
        assert_eq!(legend(&Values::Categories { names, of }), "Blue: b; orange: g; grey: others.");
    }
}
