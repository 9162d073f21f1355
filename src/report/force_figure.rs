//! One row's parts as two lanes: what raises the output, and what lowers it again.

use super::feature_figures::{OneRow, with_sign};
use super::figures::HALF;
use super::page::Picture;
use super::svg::{Anchor, Plot, Scale};
use super::text::{many, number, shorten};

/// Parts drawn for themselves in each lane.
const LEADING: usize = 4;
/// Width of a character inside a part, with the room at both of its ends.
const CHAR: f64 = 7.3;
const ENDS: f64 = 8.0;

impl OneRow<'_> {
    /// The whole row in one bar: from the base all that raises the output to the right, from there all that lowers it back to the
    /// left, largest parts first. `None` with fewer than three parts, which need no summary.
    pub(crate) fn force(&self) -> Option<Picture> {
        let order: Vec<usize> = self.parts.by_size().into_iter().filter(|&i| self.parts.parts[i] != 0.0).collect();
        if order.len() < 3 {
            return None;
        }
        let (base, output) = (self.parts.base, self.parts.total());
        let lane = |raises: bool| self.lane(&order, raises);
        let lanes = [("raise", "s1", lane(true)), ("lower", "s2", lane(false))];
        let sum = |lane: &[(String, f64)]| lane.iter().map(|(_, part)| part).sum::<f64>();
        let top = base + sum(&lanes[0].2);
        let scale = Scale::Linear(base.min(output), top);
        let mut plot = Plot::new(HALF, 92.0, [96.0, 24.0, 20.0, 20.0], scale, Scale::Linear(2.0, 0.0));
        for (at, (what, class, parts)) in lanes.iter().enumerate() {
            let row = at as f64;
            let y = plot.py(row + 0.5) + 4.0;
            plot.text(88.0, y, Anchor::End, "tick", &format!("{what} {}", with_sign(sum(parts))));
            let mut begin = if at == 0 { base } else { top };
            for (name, part) in parts {
                let end = begin + part;
                let tip = format!("{name}: {}", with_sign(*part));
                plot.bar((begin, row + 0.08), (end, row + 0.92), &format!("{class} part"), &tip);
                let room = ((plot.px(end) - plot.px(begin)).abs() - ENDS) / CHAR;
                let label = name.split(" = ").next().unwrap_or(name);
                // A name of which hardly anything is left says nothing.
                if room >= (label.chars().count() as f64).min(5.0) {
                    plot.text(
                        plot.px((begin + end) / 2.0),
                        y,
                        Anchor::Middle,
                        "inside",
                        &shorten(label, room as usize),
                    );
                }
                begin = end;
            }
        }
        // Each where its lane begins or ends, out of the way of the names.
        for (value, from, to) in [(base, -0.1, 1.0), (output, 1.0, 2.1)] {
            let (x, from, to) = (plot.px(value), plot.py(from), plot.py(to));
            plot.raw(&format!("<path class=\"axis\" d=\"M{x:.1} {from:.1}V{to:.1}\"/>"));
        }
        let mut mark = |value: f64, name: &str, y: f64, class: &str| {
            let text = format!("{name} {}", number(value));
            let half = text.chars().count() as f64 * CHAR / 2.0;
            let x = plot.px(value).clamp(half, HALF - half);
            plot.text(x, y, Anchor::Middle, class, &text);
        };
        mark(base, "base", 13.0, "tick");
        mark(output, "output", 87.0, "label");
        Some(plot.finish("What raises the output from the base, and what lowers it"))
    }

    /// The leading parts of one sign, the others as one.
    fn lane(&self, order: &[usize], raises: bool) -> Vec<(String, f64)> {
        let parts = &self.parts.parts;
        let of_sign: Vec<usize> = order.iter().copied().filter(|&i| (parts[i] > 0.0) == raises).collect();
        // One more takes no more room than "1 more".
        let shown = if of_sign.len() <= LEADING + 1 { of_sign.len() } else { LEADING };
        let (leading, rest) = of_sign.split_at(shown);
        let mut lane: Vec<(String, f64)> = leading.iter().map(|&i| (self.named(i), parts[i])).collect();
        if !rest.is_empty() {
            lane.push((many(rest.len(), "more feature"), rest.iter().map(|&i| parts[i]).sum()));
        }
        lane
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Feature, Unit};
    use crate::specxai::{FeatureParts, Output};

    #[test]
    fn lanes_lead_from_base_to_output() {
        let names = ["a", "b", "c <d>", "e", "f", "g", "h"];
        let features: Vec<Feature> = names.iter().map(|n| Feature::new(*n, None)).collect();
        let units: Vec<Unit> =
            names.iter().enumerate().map(|(i, n)| Unit { name: (*n).into(), columns: vec![i] }).collect();
        let parts = FeatureParts { base: 10.0, parts: vec![5.0, -3.0, 4.0, 1.0, 0.5, 0.25, 0.125] };
        let row = OneRow {
            row: 7,
            output: Output::Index(0),
            features: &features,
            units: &units,
            input: &[1.0; 7],
            parts: &parts,
            factor: 1.0,
        };
        let order = parts.by_size();
        let raise = row.lane(&order, true);
        assert_eq!(raise.len(), LEADING + 1);
        assert_eq!(raise[LEADING], ("2 more features".to_owned(), 0.375));
        assert_eq!(row.lane(&order, false), [("b = 1".to_owned(), -3.0)]);
        let svg = row.force().unwrap().svg;
        assert!(svg.contains("raise +10.9") && svg.contains("lower −3.00"), "{svg}");
        assert!(svg.contains("c &lt;d&gt; = 1: +4.00") && !svg.contains("<d>"), "{svg}");
        assert!(svg.contains("output 17.88"), "{svg}");
        let few = FeatureParts { base: 0.0, parts: vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0] };
        assert!(OneRow { parts: &few, ..row }.force().is_none());
    }
}
