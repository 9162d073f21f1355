//! Explanations by feature: what each adds to one output, and to the outputs of many rows.

use super::explain_figures::components_of;
use super::figures::HALF;
use super::page::{Block, Cell, Column, Figure, Row, Table, Text, Tone};
use super::svg::{Anchor, Plot, Scale, Ticks};
use super::text::{count, datum, many, number, short, shorten};
use crate::data::{Feature, Part, Unit, written_day};
use crate::specxai::{Explanation, FeatureParts, Output, by_feature, leading};

/// Features drawn over many rows, rows drawn, and components beside the features.
const FEATURES: usize = 15;
const ROWS: usize = 400;
const COMPONENTS: usize = 2;

/// What a row holds of a feature: its number, its date, or the name of its category.
pub fn feature_value(unit: &Unit, features: &[Feature], row: &[f64]) -> String {
    match category(unit, features, row) {
        Some(name) => name.to_owned(),
        None => date(unit, features, row).unwrap_or_else(|| datum(row[unit.columns[0]])),
    }
}

/// The date that a row has, of a column of dates.
pub fn date(unit: &Unit, features: &[Feature], row: &[f64]) -> Option<String> {
    let column = unit.columns[0];
    match features[column].part {
        Some(Part::Days { first }) if !row[column].is_nan() => Some(written_day(first as f64 + row[column])),
        _ => None,
    }
}

/// The category that a row has, of a categorical variable; `unknown` where it is none that the model knows, `missing` where the cell was.
pub fn category<'a>(unit: &Unit, features: &'a [Feature], row: &[f64]) -> Option<&'a str> {
    if !features[unit.columns[0]].is_level() {
        return None;
    }
    if row[unit.columns[0]].is_nan() {
        return Some("missing");
    }
    let column = unit.columns.iter().find(|&&c| row[c] > 0.5);
    let name = column.and_then(|&c| features[c].name.split_once('='));
    Some(name.map_or("unknown", |(_, category)| category))
}

/// A component by the features that it is made of: `bmi, s5 against s3`.
pub fn component_name(e: &Explanation, k: usize, units: &[Unit]) -> Option<String> {
    let [with, against] = leading(e.maps.get(k).filter(|map| !map.is_empty())?, e.contributions[k].alpha, units);
    let names = |list: &[usize]| list.iter().map(|&i| shorten(&units[i].name, 24)).collect::<Vec<_>>().join(", ");
    match (with.is_empty(), against.is_empty()) {
        (true, true) => None,
        (false, true) => Some(names(&with)),
        (true, false) => Some(format!("against {}", names(&against))),
        (false, false) => Some(format!("{} against {}", names(&with), names(&against))),
    }
}

/// One row of many: its input as it came, and what its features add.
#[derive(Debug, Clone, Copy)]
pub struct OneRow<'a> {
    /// Its number in the data.
    pub row: usize,
    /// What is explained.
    pub output: Output,
    pub features: &'a [Feature],
    pub units: &'a [Unit],
    pub input: &'a [f64],
    pub parts: &'a FeatureParts,
    /// From the output's own scale, that of the maps, to that of the parts.
    pub factor: f64,
}

impl OneRow<'_> {
    pub(crate) fn named(&self, i: usize) -> String {
        let unit = &self.units[i];
        format!("{} = {}", shorten(&unit.name, 16), shorten(&feature_value(unit, self.features, self.input), 12))
    }

    /// From the base over the `top` largest parts to the output.
    pub(crate) fn waterfall(&self, top: usize, output: &str) -> Figure {
        let order = self.parts.by_size();
        let (shown, rest) = order.split_at(top.min(order.len()));
        let mut steps: Vec<(String, f64)> = shown.iter().map(|&i| (self.named(i), self.parts.parts[i])).collect();
        if !rest.is_empty() {
            steps.push((format!("{} more", count(rest.len())), rest.iter().map(|&i| self.parts.parts[i]).sum()));
        }
        let (base, total) = (self.parts.base, self.parts.total());
        let ends = steps.iter().scan(base, |sum, (_, part)| {
            *sum += part;
            Some(*sum)
        });
        // The base may be far from zero: a scale from zero would leave nothing to see of the parts.
        let scale = Scale::round(ends.chain([base, total]));
        let rows = steps.len() as f64 + 2.0;
        let left = room(steps.iter().map(|(name, _)| name.as_str()));
        let mut plot = Plot::new(HALF, rows * 24.0 + 52.0, [left, 62.0, 4.0, 48.0], scale, Scale::Linear(rows, 0.0));
        plot.x_axis(&shorten(output, 40), Ticks::Plain);
        let line = |plot: &mut Plot, row: f64, name: &str, class: &str, end: f64, value: String| {
            let y = plot.py(row + 0.5) + 4.0;
            plot.text(left - 8.0, y, Anchor::End, class, name);
            plot.text(plot.px(end) + 6.0, y, Anchor::Start, if class == "label" { class } else { "tick" }, &value);
        };
        plot.upright(base, "s3 thin");
        line(&mut plot, 0.0, "base", "label", base, number(base));
        let mut begin = base;
        for (i, (name, part)) in steps.iter().enumerate() {
            let (row, end) = (i as f64 + 1.0, begin + part);
            let class = if *part < 0.0 { "s2" } else { "s1" };
            plot.bar((begin, row + 0.16), (end, row + 0.84), class, &format!("{name}: {}", with_sign(*part)));
            line(&mut plot, row, name, "row", begin.max(end), with_sign(*part));
            begin = end;
        }
        plot.dots(&[(base, 0.5), (total, rows - 0.5)], "s3");
        line(&mut plot, rows - 1.0, "output", "label", total, number(total));
        let caption = "Blue raises the output, orange lowers it.";
        Figure::new("What each feature adds", plot.finish("From the base over the features to the output"), caption)
    }

    /// The same as a table, with what the largest components have of each feature.
    pub(crate) fn table(&self, top: usize, e: &Explanation) -> Table {
        let order = self.parts.by_size();
        let (shown, rest) = order.split_at(top.min(order.len()));
        let drawn: Vec<usize> = components_of(e).into_iter().take(COMPONENTS).collect();
        let maps: Vec<Vec<f64>> = drawn.iter().map(|&k| by_feature(&e.maps[k], self.units)).collect();
        let mut columns = vec![Column::text("feature"), Column::number("value"), Column::number("adds")];
        columns.extend(drawn.iter().map(|k| Column::number(Text::marked(format!("component {k}")))));
        let row = |&i: &usize| {
            let unit = &self.units[i];
            let value = feature_value(unit, self.features, self.input);
            let cells = [
                Cell::from(shorten(&unit.name, 30)).tip(shorten(&unit.name, 200)),
                Cell::from(shorten(&value, 16)).tip(shorten(&value, 200)),
                Text::strong(with_sign(self.parts.parts[i])).into(),
            ];
            cells.into_iter().chain(maps.iter().map(|map| with_sign(self.factor * map[i]).into())).collect::<Row>()
        };
        let sum = |name: String, parts: f64, of: &dyn Fn(&[f64]) -> f64| {
            let cells = [name, String::new(), with_sign(parts)].map(Cell::from);
            cells.into_iter().chain(maps.iter().map(|map| with_sign(self.factor * of(map)).into())).collect::<Row>()
        };
        let mut rows: Vec<Row> = shown.iter().map(row).collect();
        if !rest.is_empty() {
            let of = |values: &[f64]| rest.iter().map(|&i| values[i]).sum();
            rows.push(sum(format!("{} more", count(rest.len())), of(&self.parts.parts), &of).tone(Tone::Rest));
        }
        let of = |values: &[f64]| values.iter().sum();
        rows.push(sum("all features".into(), of(&self.parts.parts), &of).tone(Tone::Total));
        let described =
            drawn.iter().filter_map(|&k| Some(format!("Component {k}: {}.", component_name(e, k, self.units)?)));
        Table::new(columns, rows).caption(described.collect::<Vec<_>>().join(" "))
    }
}

/// Room that a list of names takes to the left of a plot.
fn room<'a>(names: impl Iterator<Item = &'a str>) -> f64 {
    let longest = names.map(|name| name.chars().count()).max().unwrap_or(0) as f64;
    (longest * 6.8 + 16.0).clamp(64.0, 196.0)
}

/// With `+` or `−` before it.
pub fn with_sign(value: f64) -> String {
    if value > 0.0 { format!("+{}", short(value)) } else { short(value) }
}

/// Rows' values of one feature as shares of their order, 0 the lowest; equal values have one share.
pub(crate) fn in_order(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut out = vec![0.5; values.len()];
    let last = values.len().saturating_sub(1).max(1) as f64;
    let mut begin = 0;
    while begin < order.len() {
        let same = order[begin..].iter().take_while(|&&i| values[i].total_cmp(&values[order[begin]]).is_eq()).count();
        let share = (begin as f64 + (same - 1) as f64 / 2.0) / last;
        order[begin..begin + same].iter().for_each(|&i| out[i] = share);
        begin += same;
    }
    out
}

/// Which third of the values a share of their order is in.
pub(crate) fn third(share: f64) -> usize {
    match share {
        s if s < 1.0 / 3.0 => 0,
        s if s > 2.0 / 3.0 => 2,
        _ => 1,
    }
}

/// Of many rows some, evenly: as many as can be drawn.
pub(crate) fn drawn<'a, 'b>(rows: &'a [OneRow<'b>]) -> Vec<&'a OneRow<'b>> {
    match rows.len() {
        n if n > ROWS => (0..ROWS).map(|r| &rows[r * n / ROWS]).collect(),
        _ => rows.iter().collect(),
    }
}

/// Over the rows: the mean size of each feature's part with its spread, and every row's part as a dot.
pub(crate) fn over_rows(rows: &[OneRow<'_>], output: &str) -> Vec<Block> {
    if rows.len() < 3 {
        return Vec::new();
    }
    let (means, order) = mean_sizes(rows);
    let shown = &order[..order.len().min(FEATURES)];
    let mut bars = mean_parts(rows, shown, &means, output);
    if shown.len() < order.len() {
        bars.caption = bars.caption.then(format!(" Smaller: {}.", many(order.len() - shown.len(), "more feature")));
    }
    vec![Block::pair(bars, beeswarm(rows, shown, output))]
}

/// The magnitude of each feature's part, mean over the rows, and the features by it, largest first.
pub(crate) fn mean_sizes(rows: &[OneRow<'_>]) -> (Vec<f64>, Vec<usize>) {
    let units = rows.first().map_or(0, |row| row.units.len());
    let mean = |i: usize| rows.iter().map(|row| row.parts.parts[i].abs()).sum::<f64>() / rows.len() as f64;
    let means: Vec<f64> = (0..units).map(mean).collect();
    let mut order: Vec<usize> = (0..units).collect();
    order.sort_by(|&a, &b| means[b].total_cmp(&means[a]));
    (means, order)
}

/// The features that add or take away most over the rows, with how much: `bmi (18.0), s5 (17.5)`.
pub(crate) fn in_words(rows: &[OneRow<'_>]) -> String {
    const NAMED: usize = 3;
    let (means, order) = mean_sizes(rows);
    let name = |&i: &usize| format!("{} ({})", shorten(&rows[0].units[i].name, 30), short(means[i]));
    order.iter().filter(|&&i| means[i] > 0.0).take(NAMED).map(name).collect::<Vec<_>>().join(", ")
}

/// Height of a feature's line.
const PITCH: f64 = 28.0;

/// A feature's name beside its line.
fn line_name(row: &OneRow<'_>, i: usize) -> String {
    shorten(&row.units[i].name, 17)
}

fn mean_parts(rows: &[OneRow<'_>], shown: &[usize], means: &[f64], output: &str) -> Figure {
    let spread = |i: usize| {
        let mut sizes: Vec<f64> = rows.iter().map(|row| row.parts.parts[i].abs()).collect();
        sizes.sort_by(f64::total_cmp);
        [0.1, 0.9].map(|share| sizes[(share * (sizes.len() - 1) as f64).round() as usize])
    };
    let spreads: Vec<[f64; 2]> = shown.iter().map(|&i| spread(i)).collect();
    let scale = Scale::round(spreads.iter().map(|s| s[1]).chain(shown.iter().map(|&i| means[i])).chain([0.0]));
    let height = shown.len() as f64;
    let names: Vec<String> = shown.iter().map(|&i| line_name(&rows[0], i)).collect();
    let left = room(names.iter().map(String::as_str));
    let mut plot = Plot::new(HALF, height * PITCH + 52.0, [left, 62.0, 4.0, 48.0], scale, Scale::Linear(height, 0.0));
    plot.x_axis(&format!("size of the part in {}", shorten(output, 30)), Ticks::Plain);
    for (row, (&i, [low, high])) in shown.iter().zip(spreads).enumerate() {
        let row = row as f64;
        let name = &rows[0].units[i].name;
        plot.bar(
            (0.0, row + 0.16),
            (means[i], row + 0.84),
            "s1",
            &format!("{}: {}", shorten(name, 120), number(means[i])),
        );
        if high > low {
            plot.whisker(low, high, row + 0.5);
        }
        let y = plot.py(row + 0.5) + 4.0;
        plot.text(left - 8.0, y, Anchor::End, "row", &names[row as usize]);
        plot.text(plot.px(high.max(means[i])) + 6.0, y, Anchor::Start, "tick", &short(means[i]));
    }
    let caption = "Mean magnitude over the rows; whiskers: from the tenth to the ninetieth of a hundred rows.";
    Figure::new("How much each feature adds", plot.finish("Mean size of each feature's part"), caption)
}

/// Every row's parts as dots, those that would lie on one another side by side.
fn beeswarm(rows: &[OneRow<'_>], shown: &[usize], output: &str) -> Figure {
    let drawn = drawn(rows);
    let all = drawn.iter().flat_map(|row| shown.iter().map(|&i| row.parts.parts[i]));
    let scale = Scale::round(all.chain([0.0]));
    let height = shown.len() as f64;
    let names: Vec<String> = shown.iter().map(|&i| line_name(&rows[0], i)).collect();
    let left = room(names.iter().map(String::as_str));
    let mut plot = Plot::new(HALF, height * PITCH + 52.0, [left, 16.0, 4.0, 48.0], scale, Scale::Linear(height, 0.0));
    plot.x_axis(&format!("part in {}", shorten(output, 40)), Ticks::Plain);
    plot.upright(0.0, "s3 thin");
    let (mut categorical, mut missing) = (false, false);
    for (line, &i) in shown.iter().enumerate() {
        let unit = &rows[0].units[i];
        let middle = line as f64 + 0.5;
        plot.text(left - 8.0, plot.py(middle) + 4.0, Anchor::End, "row", &names[line]);
        let is_category = rows[0].features[unit.columns[0]].is_level();
        categorical |= is_category;
        let values: Vec<f64> = drawn.iter().map(|row| row.input[unit.columns[0]]).collect();
        missing |= values.iter().any(|value| value.is_nan());
        let shares = if is_category { vec![0.5; values.len()] } else { in_order(&values) };
        let mut taken = std::collections::HashMap::<i64, usize>::new();
        for ((row, share), value) in drawn.iter().zip(shares).zip(&values) {
            let part = row.parts.parts[i];
            let place = taken.entry((plot.px(part) / 4.0).round() as i64).or_default();
            // 0, 1, −1, 2, −2 … dots from the middle, no further than the line's own height.
            let step = place.div_ceil(2) as f64 * if *place % 2 == 1 { 1.0 } else { -1.0 };
            *place += 1;
            let class = if value.is_nan() { "s3" } else { ["s1", "s3", "s2"][third(share)] };
            let tip = format!("row {}: {} adds {}", row.row, row.named(i), with_sign(part));
            plot.dot((part, middle + (step * 3.6 / PITCH).clamp(-0.42, 0.42)), class, &tip);
        }
    }
    let mut caption =
        "Every dot is a row. Blue: the lowest third of the feature's values; orange: the highest third.".to_owned();
    caption.push_str(match (categorical, missing) {
        (true, true) => " Categories and missing values are grey.",
        (true, false) => " Categories are grey.",
        (false, true) => " Missing values are grey.",
        (false, false) => "",
    });
    if drawn.len() < rows.len() {
        caption.push_str(&format!(" {} of {} rows are drawn.", count(drawn.len()), count(rows.len())));
    }
    Figure::new("Row by row", plot.finish("Every row's part of each feature"), caption)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_ordered_by_value() {
        assert_eq!(in_order(&[3.0, 1.0, 2.0]), [1.0, 0.0, 0.5]);
        assert_eq!(in_order(&[1.0, 1.0, 5.0]), [0.25, 0.25, 1.0]);
    }

    #[test]
    fn categories_are_called_by_name() {
        let feature = |name: &str, group| Feature::new(name, group);
        let features = [feature("age", None), feature("colour=dark=red", Some(0)), feature("colour=blue", Some(0))];
        let unit = Unit { name: "colour".into(), columns: vec![1, 2] };
        assert_eq!(feature_value(&unit, &features, &[1.0, 1.0, 0.0]), "dark=red");
        assert_eq!(feature_value(&unit, &features, &[1.0, 0.0, 0.0]), "unknown");
        let age = Unit { name: "age".into(), columns: vec![0] };
        assert_eq!(feature_value(&age, &features, &[41.5, 0.0, 0.0]), "41.50");
        assert_eq!(feature_value(&age, &features, &[1200.0, 0.0, 0.0]), "1200");
    }
}
