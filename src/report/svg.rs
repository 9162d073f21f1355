//! Plots as inline SVG: scales with round ticks, lines, bands, bars, and labels that look for a free place themselves.
//!
//! Coordinates come in data units; colours and fonts come from the page's style sheet through classes, so one plot serves the
//! light, the dark and the printed page.

use super::page::Picture;
pub use super::scale::{Scale, Ticks};
use super::text::{self, escape};

/// Width of a character of a label, in the plot's units: 12 px semi-bold in the widest of the fonts that may turn up.
const CHAR: f64 = 7.3;
/// Height of a line of text.
const LINE: f64 = 14.0;

/// What it costs a label to lie over another one, and from what cost on it is better off aside.
const MEETS: f64 = 200.0;
const CROWDED: f64 = 8.0;

/// Which side of its position a text stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A rectangle in the plot's own units.
#[derive(Debug, Clone, Copy)]
struct Area {
    x0: f64,
    y0: f64,
    x1: f64,
    y1: f64,
}

impl Area {
    fn around(x: f64, baseline: f64, text: &str, anchor: Anchor) -> Area {
        let width = text.chars().count() as f64 * CHAR;
        let x0 = match anchor {
            Anchor::Start => x,
            Anchor::Middle => x - width / 2.0,
            Anchor::End => x - width,
        };
        Area { x0, y0: baseline - LINE + 3.0, x1: x0 + width, y1: baseline + 3.0 }
    }

    fn holds(&self, (x, y): (f64, f64)) -> bool {
        x > self.x0 - 2.0 && x < self.x1 + 2.0 && y > self.y0 - 1.0 && y < self.y1 + 1.0
    }

    fn meets(&self, other: &Area) -> bool {
        self.x0 < other.x1 + 4.0 && other.x0 < self.x1 + 4.0 && self.y0 < other.y1 && other.y0 < self.y1
    }
}

/// Where a line runs, in the plot's own units: what a label needs in order to stand beside it.
#[derive(Debug, Clone)]
pub struct Trace {
    line: usize,
    points: Vec<(f64, f64)>,
}

impl Trace {
    /// Nothing was drawn.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

/// One picture with two scales. Draw from back to front, label last, then [`Plot::finish`].
#[derive(Debug, Clone)]
pub struct Plot {
    width: f64,
    height: f64,
    /// Left, right, top, bottom.
    margin: [f64; 4],
    x: Scale,
    y: Scale,
    body: String,
    /// Points that lines run through and labels keep clear of, with the line's number.
    busy: Vec<(f64, f64, usize)>,
    lines: usize,
    labels: Vec<Area>,
}

impl Plot {
    /// A plot of the given outer size; `margin` is left, right, top, bottom.
    pub fn new(width: f64, height: f64, margin: [f64; 4], x: Scale, y: Scale) -> Plot {
        Plot { width, height, margin, x, y, body: String::new(), busy: Vec::new(), lines: 0, labels: Vec::new() }
    }

    /// The horizontal position of a value.
    pub fn px(&self, x: f64) -> f64 {
        self.margin[0] + self.x.share(x) * (self.width - self.margin[0] - self.margin[1])
    }

    /// The vertical position of a value.
    pub fn py(&self, y: f64) -> f64 {
        self.height - self.margin[3] - self.y.share(y) * (self.height - self.margin[2] - self.margin[3])
    }

    fn inner(&self) -> Area {
        let [left, right, top, bottom] = self.margin;
        Area { x0: left, y0: top, x1: self.width - right, y1: self.height - bottom }
    }

    /// Raw SVG in the plot's own units.
    pub fn raw(&mut self, svg: &str) {
        self.body.push_str(svg);
    }

    /// A thin vertical line in pixels, such as leads from a name to its place.
    pub fn stem(&mut self, x: f64, from: f64, to: f64) {
        self.raw(&format!("<path class=\"grid\" d=\"M{x:.1} {from:.1}V{to:.1}\"/>"));
    }

    /// The horizontal axis: ticks below, its name under them.
    pub fn x_axis(&mut self, name: &str, kind: Ticks) {
        let area = self.inner();
        let width = area.x1 - area.x0;
        let limit = (width / 46.0).min(12.0) as usize;
        let ticks = self.x.ticks(limit, kind);
        // Long labels (2×10⁻¹³) need more room than that.
        let longest = ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0) as f64 * 6.5 + 8.0;
        let fewer = (width / longest.max(1.0)) as usize;
        let ticks = if fewer < limit { self.x.ticks(fewer.max(1), kind) } else { ticks };
        self.body.push_str(&format!("<path class=\"axis\" d=\"M{:.1} {:.1}H{:.1}\"/>", area.x0, area.y1, area.x1));
        for (value, label) in ticks {
            let x = self.px(value);
            self.body.push_str(&format!("<path class=\"axis\" d=\"M{x:.1} {:.1}v4\"/>", area.y1));
            self.text(x, area.y1 + 17.0, Anchor::Middle, "tick", &label);
        }
        self.text((area.x0 + area.x1) / 2.0, area.y1 + 35.0, Anchor::Middle, "name", name);
    }

    /// The horizontal axis of categories at 0, 1, 2 …: their names, as much of each as there is room for, and the axis' own.
    pub fn categories(&mut self, name: &str, categories: &[String]) {
        let area = self.inner();
        let room = (area.x1 - area.x0) / categories.len().max(1) as f64 / CHAR;
        self.body.push_str(&format!("<path class=\"axis\" d=\"M{:.1} {:.1}H{:.1}\"/>", area.x0, area.y1, area.x1));
        for (i, category) in categories.iter().enumerate() {
            let label = text::shorten(category, (room as usize).max(3));
            self.text(self.px(i as f64), area.y1 + 17.0, Anchor::Middle, "tick", &label);
        }
        self.text((area.x0 + area.x1) / 2.0, area.y1 + 35.0, Anchor::Middle, "name", name);
    }

    /// The vertical axis: grid lines with labels to the left, its name above them (read without turning the head).
    pub fn y_axis(&mut self, name: &str, kind: Ticks) {
        let area = self.inner();
        let limit = ((area.y1 - area.y0) / 28.0) as usize;
        for (value, label) in self.y.ticks(limit, kind) {
            let y = self.py(value);
            self.body.push_str(&format!("<path class=\"grid\" d=\"M{:.1} {y:.1}H{:.1}\"/>", area.x0, area.x1));
            self.text(area.x0 - 7.0, y + 4.0, Anchor::End, "tick", &label);
        }
        self.text(0.0, area.y0 - 12.0, Anchor::Start, "name", name);
    }

    /// A line through the points; a single point becomes a dot.
    pub fn line(&mut self, points: &[(f64, f64)], class: &str) -> Trace {
        let places: Vec<(f64, f64)> = points.iter().map(|&(x, y)| (self.px(x), self.py(y))).collect();
        match places[..] {
            [] => {}
            [(x, y)] => {
                self.body.push_str(&format!("<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>"))
            }
            _ => self.body.push_str(&format!("<path class=\"line {class}\" d=\"{}\"/>", path(&places))),
        }
        self.occupy(&places)
    }

    /// Dots on the points, for series with few of them.
    pub fn dots(&mut self, points: &[(f64, f64)], class: &str) {
        for &(x, y) in points {
            let (x, y) = (self.px(x), self.py(y));
            self.body.push_str(&format!("<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>"));
        }
    }

    /// A dot that later labels keep clear of; `tip` shows when the pointer rests on it.
    pub fn dot(&mut self, point: (f64, f64), class: &str, tip: &str) {
        let (x, y) = (self.px(point.0), self.py(point.1));
        self.body.push_str(&format!(
            "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"><title>{}</title></circle>",
            escape(tip)
        ));
        self.occupy(&[(x, y)]);
    }

    /// The area between a lower and an upper value: `(x, low, high)`.
    pub fn band(&mut self, points: &[(f64, f64, f64)], class: &str) {
        if points.len() < 2 {
            return;
        }
        let up = points.iter().map(|&(x, _, high)| (self.px(x), self.py(high)));
        let down = points.iter().rev().map(|&(x, low, _)| (self.px(x), self.py(low)));
        let places: Vec<(f64, f64)> = up.chain(down).collect();
        self.body.push_str(&format!("<path class=\"band {class}\" d=\"{}Z\"/>", path(&places)));
    }

    /// A filled rectangle between two corners in data units; `tip` shows when the pointer rests on it.
    pub fn bar(&mut self, from: (f64, f64), to: (f64, f64), class: &str, tip: &str) {
        let (x0, x1) = (self.px(from.0.min(to.0)), self.px(from.0.max(to.0)));
        let (ya, yb) = (self.py(from.1), self.py(to.1));
        self.body.push_str(&format!(
            "<rect class=\"bar {class}\" x=\"{x0:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
            ya.min(yb),
            x1 - x0,
            (ya - yb).abs(),
            escape(tip)
        ));
    }

    /// A horizontal error bar at height `y`.
    pub fn whisker(&mut self, from: f64, to: f64, y: f64) {
        let (x0, x1, y) = (self.px(from), self.px(to), self.py(y));
        self.body.push_str(&format!("<path class=\"whisker\" d=\"M{x0:.1} {:.1}v6m0 -3H{x1:.1}m0 -3v6\"/>", y - 3.0));
    }

    /// A vertical error bar at `x`.
    pub fn upright_whisker(&mut self, x: f64, from: f64, to: f64) {
        let (x, y0, y1) = (self.px(x), self.py(from), self.py(to));
        self.body.push_str(&format!("<path class=\"whisker\" d=\"M{:.1} {y0:.1}h6m-3 0V{y1:.1}m-3 0h6\"/>", x - 3.0));
    }

    /// A horizontal line across the whole plot.
    pub fn across(&mut self, y: f64, class: &str) -> Trace {
        let area = self.inner();
        let places = [(area.x0, self.py(y)), (area.x1, self.py(y))];
        self.body.push_str(&format!("<path class=\"line {class}\" d=\"{}\"/>", path(&places)));
        self.occupy(&places)
    }

    /// A vertical line over the whole height.
    pub fn upright(&mut self, x: f64, class: &str) {
        let area = self.inner();
        let places = [(self.px(x), area.y0), (self.px(x), area.y1)];
        self.body.push_str(&format!("<path class=\"line {class}\" d=\"{}\"/>", path(&places)));
        self.occupy(&places);
    }

    fn occupy(&mut self, places: &[(f64, f64)]) -> Trace {
        let trace = Trace { line: self.lines, points: sampled(places) };
        self.busy.extend(trace.points.iter().map(|&(x, y)| (x, y, trace.line)));
        self.lines += 1;
        trace
    }

    /// Text at a position in the plot's own units.
    pub fn text(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " middle",
            Anchor::End => " end",
        };
        self.body
            .push_str(&format!("<text class=\"{class}{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(text)));
    }

    /// Text at a position in the plot's own units that later labels keep clear of.
    pub fn note(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        self.labels.push(Area::around(x, y, text, anchor));
        self.text(x, y, anchor, class, text);
    }

    /// Names a line directly, at the place along it where the name covers least; where every such place is taken, in free
    /// space with a leader to the line.
    pub fn label(&mut self, trace: &Trace, class: &str, text: &str) {
        let stride = (trace.points.len() / 40).max(1);
        let mut best: Option<(f64, f64, f64, Anchor)> = None;
        for (i, &(x, y)) in trace.points.iter().enumerate().step_by(stride) {
            // Among places that are equally free, the middle of the line says best which one is meant.
            let off_centre = (i as f64 / trace.points.len() as f64 - 0.5).abs();
            for (dx, dy, anchor) in [
                (0.0, -7.0, Anchor::Middle),
                (0.0, 16.0, Anchor::Middle),
                (-4.0, -7.0, Anchor::End),
                (4.0, 16.0, Anchor::Start),
                (4.0, -7.0, Anchor::Start),
                (-4.0, 16.0, Anchor::End),
            ] {
                let x = x + dx;
                let area = Area::around(x, y + dy, text, anchor);
                let cost = self.cost(&area) + 0.2 * self.neighbours(&area, trace.line) + off_centre;
                if best.is_none_or(|(lowest, ..)| cost < lowest) {
                    best = Some((cost, x, y + dy, anchor));
                }
            }
        }
        let Some((cost, x, y, anchor)) = best else { return };
        let class = format!("label {class}");
        match self.aside(trace, text).filter(|_| cost >= CROWDED) {
            Some(((x, y), (to_x, to_y))) => {
                let middle = y - LINE / 2.0 + 3.0;
                self.body.push_str(&format!("<path class=\"leader\" d=\"M{x:.1} {middle:.1}L{to_x:.1} {to_y:.1}\"/>"));
                self.note(x, y, Anchor::Start, &class, text);
            }
            None => self.note(x, y, anchor, &class, text),
        }
    }

    /// The free place nearest to a line, and the line's point nearest to it.
    fn aside(&self, trace: &Trace, text: &str) -> Option<((f64, f64), (f64, f64))> {
        let inner = self.inner();
        let steps = |from: f64, to: f64| (0..((to - from) / 8.0).max(0.0) as usize).map(move |i| from + 8.0 * i as f64);
        let nearest = |x: f64, y: f64| {
            let distance = |p: &(f64, f64)| (p.0 - x).hypot(p.1 - y);
            trace.points.iter().copied().map(|p| (distance(&p), p)).min_by(|a, b| a.0.total_cmp(&b.0))
        };
        let places =
            steps(inner.x0 + 6.0, inner.x1).flat_map(|x| steps(inner.y0 + LINE, inner.y1).map(move |y| (x, y)));
        let free = places.filter(|&(x, y)| self.cost(&Area::around(x, y, text, Anchor::Start)) < 1.0);
        let found = free.filter_map(|(x, y)| nearest(x, y - 4.0).map(|(distance, to)| (distance, (x, y), to)));
        found.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, at, to)| (at, to))
    }

    /// Names a peak above or beside its tip, where that is free; false where it is not.
    pub fn peak(&mut self, point: (f64, f64), text: &str) -> bool {
        let (x, y) = (self.px(point.0), self.py(point.1));
        let sides = [(0.0, -6.0, Anchor::Middle), (6.0, 6.0, Anchor::Start), (-6.0, 6.0, Anchor::End)];
        self.beside((x, y), &sides, text)
    }

    /// Names a dot on whichever side of it is free; false where none is.
    pub fn name(&mut self, point: (f64, f64), text: &str) -> bool {
        let sides = [
            (7.0, 4.0, Anchor::Start),
            (-7.0, 4.0, Anchor::End),
            (0.0, -7.0, Anchor::Middle),
            (0.0, 16.0, Anchor::Middle),
        ];
        self.beside((self.px(point.0), self.py(point.1)), &sides, text)
    }

    fn beside(&mut self, (x, y): (f64, f64), sides: &[(f64, f64, Anchor)], text: &str) -> bool {
        for &(dx, dy, anchor) in sides {
            if self.cost(&Area::around(x + dx, y + dy, text, anchor)) < 1.0 {
                self.note(x + dx, y + dy, anchor, "label", text);
                return true;
            }
        }
        false
    }

    /// Marks a point and writes beside it, with a thin leader where the text had to go further away.
    pub fn callout(&mut self, point: (f64, f64), class: &str, text: &str) {
        let (x, y) = (self.px(point.0), self.py(point.1));
        let mut best: Option<(f64, f64, f64, Anchor)> = None;
        for distance in [12.0, 24.0, 40.0, 60.0, 90.0] {
            for (dx, dy, anchor) in [
                (0.7, 0.7, Anchor::Start),
                (0.7, -0.7, Anchor::Start),
                (1.0, 0.0, Anchor::Start),
                (0.0, 1.0, Anchor::Middle),
                (0.0, -1.0, Anchor::Middle),
                (-0.7, 0.7, Anchor::End),
                (-0.7, -0.7, Anchor::End),
                (-1.0, 0.0, Anchor::End),
            ] {
                let (tx, ty) = (x + dx * distance, y + dy * distance + 4.0);
                let cost = self.cost(&Area::around(tx, ty, text, anchor)) + distance / 20.0;
                if best.is_none_or(|(lowest, ..)| cost < lowest) {
                    best = Some((cost, tx, ty, anchor));
                }
            }
        }
        if let Some((_, tx, ty, anchor)) = best {
            if (tx - x).hypot(ty - 4.0 - y) > 18.0 {
                let end = if ty - 4.0 > y + 8.0 { ty - LINE + 2.0 } else { ty - 4.0 };
                self.body.push_str(&format!("<path class=\"leader\" d=\"M{x:.1} {y:.1}L{tx:.1} {end:.1}\"/>"));
            }
            self.note(tx, ty, anchor, &format!("label {class}"), text);
        }
        self.body.push_str(&format!("<circle class=\"mark {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>"));
    }

    /// What a label would cover: lines, other labels, the world outside the frame.
    fn cost(&self, area: &Area) -> f64 {
        let inner = self.inner();
        let outside = area.x0 < inner.x0 + 2.0
            || area.x1 > self.width - 2.0
            || area.y0 < inner.y0 - 8.0
            || area.y1 > inner.y1 - 1.0;
        let covered = self.busy.iter().filter(|&&(x, y, _)| area.holds((x, y))).count();
        let met = self.labels.iter().filter(|other| area.meets(other)).count();
        covered as f64 + MEETS * met as f64 + if outside { 1000.0 } else { 0.0 }
    }

    /// How much of other lines runs so close by that the label could be taken for theirs.
    fn neighbours(&self, area: &Area, line: usize) -> f64 {
        let near = Area { y0: area.y0 - 12.0, y1: area.y1 + 12.0, ..*area };
        self.busy.iter().filter(|&&(x, y, other)| other != line && near.holds((x, y))).count() as f64
    }

    /// The whole element. The title is what a screen reader says and what shows when the pointer rests on the plot.
    pub fn finish(self, title: &str) -> Picture {
        let said = escape(title);
        let svg = format!(
            "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{said}\"><title>{said}</title>{}</svg>",
            self.width, self.height, self.body
        );
        Picture { alternative: title.to_owned(), svg }
    }
}

fn path(places: &[(f64, f64)]) -> String {
    let mut out = String::with_capacity(places.len() * 12);
    for (i, (x, y)) in places.iter().enumerate() {
        out.push(if i == 0 { 'M' } else { 'L' });
        out.push_str(&format!("{x:.1} {y:.1}"));
    }
    out
}

/// Points along the polyline, at most 4 units apart.
fn sampled(places: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut out: Vec<(f64, f64)> = places.first().copied().into_iter().collect();
    for pair in places.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let pieces = ((x1 - x0).hypot(y1 - y0) / 4.0).ceil().clamp(1.0, 1000.0) as usize;
        out.extend((1..=pieces).map(|i| {
            let part = i as f64 / pieces as f64;
            (x0 + (x1 - x0) * part, y0 + (y1 - y0) * part)
        }));
    }
    out
}

/// At most about `limit` of the points, such that the drawn line looks the same: of each stretch its lowest and highest.
pub fn thin(points: &[(f64, f64)], limit: usize) -> Vec<(f64, f64)> {
    if points.len() <= limit.max(4) {
        return points.to_vec();
    }
    let stretch = (points.len() * 2).div_ceil(limit.max(4));
    let mut out = Vec::with_capacity(limit + 2);
    out.push(points[0]);
    for part in points.chunks(stretch) {
        let by = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let (Some(&low), Some(&high)) = (part.iter().min_by(by), part.iter().max_by(by)) else { continue };
        out.extend(if low.0 < high.0 { [low, high] } else { [high, low] });
    }
    out.push(points[points.len() - 1]);
    out.dedup();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_ends_and_peaks() {
        let mut points: Vec<(f64, f64)> = (0..10_000).map(|i| (i as f64, 0.0)).collect();
        points[4321].1 = 9.0;
        let thinned = thin(&points, 500);
        assert!(thinned.len() <= 510, "{}", thinned.len());
        assert!(thinned.contains(&(4321.0, 9.0)));
        assert_eq!((thinned[0].0, thinned[thinned.len() - 1].0), (0.0, 9999.0));
        assert!(thinned.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn labels_keep_clear_of_lines_and_each_other() {
        let mut plot =
            Plot::new(500.0, 300.0, [50.0, 10.0, 30.0, 40.0], Scale::Linear(0.0, 10.0), Scale::Linear(0.0, 1.0));
        let a = plot.line(&[(0.0, 0.9), (10.0, 0.95)], "s1");
        let b = plot.line(&[(0.0, 0.85), (10.0, 0.2)], "s2");
        plot.label(&a, "s1", "first line");
        plot.label(&b, "s2", "second <line>");
        plot.callout((0.0, 0.85), "s2", "a point");
        // No place along a short line is free: its name stands aside.
        let c = plot.line(&[(0.0, 0.85), (0.1, 0.86)], "s3");
        plot.label(&c, "s3", "a third line with a long name");
        for (i, area) in plot.labels.iter().enumerate() {
            assert_eq!(plot.busy.iter().filter(|&&(x, y, _)| area.holds((x, y))).count(), 0);
            assert!(plot.labels.iter().skip(i + 1).all(|other| !area.meets(other)));
        }
        let svg = plot.finish("t\"<").svg;
        assert!(svg.contains("second &lt;line&gt;") && svg.contains("aria-label=\"t&quot;&lt;\""));
    }
}
