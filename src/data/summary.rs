//! What the columns of a data set were taken for, in one line.

use super::{Dataset, Part, Targets};

/// Categories that are named, values of each and classes that are listed, and characters of a name.
const CATEGORIES: usize = 4;
const VALUES: usize = 4;
const CLASSES: usize = 5;
const CHARACTERS: usize = 24;

impl Dataset {
    /// `4 numbers, 1 category (soil: clay, sand); target: species (3 classes: …); row weights: w`, short however many columns
    /// there are. `target` and `weights` are the names of their columns.
    pub fn summary(&self, target: Option<&str>, weights: Option<&str>) -> String {
        let mut parts = vec![self.inputs(), format!("target: {}", self.target(target))];
        parts.extend(weights.map(|name| format!("row weights: {}", short(name))));
        parts.join("; ")
    }

    fn inputs(&self) -> String {
        let length = |name: &str| self.axes.iter().find(|axis| axis.name == name).map(|axis| axis.len);
        if let (Some(channels), Some(positions)) = (length("channel"), length("position")) {
            let first = if self.axes[0].name == "channel" { "first" } else { "last" };
            return format!(
                "recordings of {} ({first}) × {positions} positions",
                counted(channels, "channel", "channels")
            );
        }
        if let (Some(rows), Some(columns)) = (length("row"), length("column")) {
            let first = self.axes.first().is_some_and(|axis| axis.name == "channel");
            let channels = match length("channel") {
                None => String::new(),
                Some(n) => {
                    format!(" with {} ({})", counted(n, "channel", "channels"), if first { "first" } else { "last" })
                }
            };
            let picture = match length("depth") {
                None => "pictures of".to_owned(),
                Some(depth) => format!("volumes of {depth} planes ×"),
            };
            return format!("{picture} {rows} rows × {columns} columns{channels}");
        }
        let numbers = self.features.iter().filter(|f| f.group.is_none()).count();
        let with = |part: fn(&Part) -> bool| self.features.iter().filter(|f| f.part.as_ref().is_some_and(part)).count();
        let numbers = numbers + with(|part| matches!(part, Part::Number));
        let dates = with(|part| matches!(part, Part::Days { .. }));
        // [name, values], in the order of the columns; a category's columns stand together.
        let mut categories: Vec<(u32, &str, Vec<&str>)> = Vec::new();
        for feature in self.features.iter().filter(|feature| feature.is_level()) {
            let Some(group) = feature.group else { continue };
            let (name, value) = feature.name.split_once('=').unwrap_or((&feature.name, ""));
            match categories.last_mut() {
                Some((last, _, values)) if *last == group => values.push(value),
                _ => categories.push((group, name, vec![value])),
            }
        }
        let mut parts = Vec::new();
        if numbers > 0 || categories.is_empty() && dates == 0 {
            parts.push(counted(numbers, "number", "numbers"));
        }
        if dates > 0 {
            parts.push(counted(dates, "date", "dates"));
        }
        if !categories.is_empty() {
            let described = |(_, name, values): &(u32, &str, Vec<&str>)| {
                let values = listed(values, VALUES).unwrap_or_else(|| format!("{} values", values.len()));
                format!("{}: {values}", short(name))
            };
            let named: Vec<String> = categories.iter().take(CATEGORIES).map(described).collect();
            let more = categories.len() - named.len();
            let more = if more > 0 { format!("; … {more} more") } else { String::new() };
            let count = counted(categories.len(), "category", "categories");
            parts.push(format!("{count} ({}{more})", named.join("; ")));
        }
        parts.join(", ")
    }

    fn target(&self, name: Option<&str>) -> String {
        let name = |other: &str| name.map_or_else(|| short(other), short);
        match &self.y {
            Targets::Classes { names, .. } => {
                let all: Vec<&str> = names.iter().map(String::as_str).collect();
                let list = listed(&all, CLASSES).map_or_else(String::new, |list| format!(": {list}"));
                format!("{} ({}{list})", name("y"), counted(names.len(), "class", "classes"))
            }
            Targets::Numbers { names, .. } if names.len() == 1 => format!("{} (a number)", name(&names[0])),
            Targets::Numbers { names, .. } => format!("{} numbers", names.len()),
            Targets::Inputs => "the inputs themselves".into(),
            Targets::None => "none".into(),
        }
    }
}

fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// The values, or `None` where they are more than `most`.
fn listed(values: &[&str], most: usize) -> Option<String> {
    let shown = || values.iter().map(|value| short(value)).collect::<Vec<_>>().join(", ");
    (values.len() <= most).then(shown)
}

fn short(name: &str) -> String {
    // A control character in a name could move the cursor or colour the terminal.
    let mut text: String = name.chars().take(CHARACTERS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if name.chars().count() > CHARACTERS {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, Feature, Values};
    use super::*;

    fn dataset(features: Vec<Feature>, y: Targets) -> Dataset {
        let columns = features.len();
        Dataset {
            source: "t.csv".into(),
            rows: 0,
            columns,
            x: Values::F32(Vec::new()),
            y,
            features,
            axes: vec![Axis::new("feature", columns)],
            weights: None,
            test_from: None,
            notes: Vec::new(),
            filled: Vec::new(),
            row_names: Vec::new(),
            origins: Vec::new(),
        }
    }

    #[test]
    fn columns_are_told_in_a_line() {
        let feature = |name: String, group| Feature::new(name, group);
        let classes = |n: usize| Targets::Classes { labels: vec![], names: (0..n).map(|i| format!("c{i}")).collect() };
        let one =
            vec![feature("a".into(), None), feature("soil=clay".into(), Some(0)), feature("soil=sand".into(), Some(0))];
        assert_eq!(
            dataset(one.clone(), classes(2)).summary(Some("kind"), Some("w")),
            "1 number, 1 category (soil: clay, sand); target: kind (2 classes: c0, c1); row weights: w"
        );
        let price = Targets::Numbers { values: vec![], names: vec!["price".into()] };
        assert_eq!(
            dataset(one[1..].to_vec(), price).summary(None, None),
            "1 category (soil: clay, sand); target: price (a number)"
        );
        let mut many: Vec<Feature> = (0..500).map(|i| feature(format!("x{i}"), None)).collect();
        for g in 0..50 {
            let name = "a very long name of a column indeed".repeat(5);
            many.extend((0..9 + g).map(|v| feature(format!("{name}={v}"), Some(g))));
        }
        let text = dataset(many, classes(700)).summary(None, None);
        assert!(
            text.starts_with("500 numbers, 50 categories (") && text.ends_with("; … 46 more); target: y (700 classes)")
        );
        assert!(text.contains(": 9 values; ") && text.chars().count() < 250, "{text}");
    }
}
