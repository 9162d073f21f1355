//! Figures of the explanation pages: maps, waterfall, spectra, similarity.

use super::facts::{Grid, Shape};
use super::figures::{HALF, LINE_POINTS, WIDE};
use super::page::{Block, Cell, Column, Figure, Row, Table, Text, Tiles};
use super::picture::{self, Palette, diverging, pixels, seen};
use super::svg::{Anchor, Plot, Scale, Ticks, thin};
use super::text::{number, percent, short, shorten};
use crate::specxai::{Explanation, Spectrum};

/// Maps drawn for each row, and bars of a waterfall.
const MAPS: usize = 5;
const STEPS: usize = 7;
/// Components drawn in a spectrum.
const COMPONENTS: usize = 40;
/// Half of the width of a component's bar.
const HALF_BAR: f64 = 0.38;
/// Points that are named, where there is room.
const NAMED: usize = 8;
/// Groups of rows that have names in a matrix, and the width of a letter there.
const GROUPS: usize = 12;
const LETTER: f64 = 6.8;
/// Features of a table that are listed.
const FEATURES: usize = 12;

/// Values as shares of a grey scale, smallest black.
fn grey(values: &[f64]) -> Vec<f64> {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let width = high - low;
    values.iter().map(|&v| if width > 0.0 { (v - low) / width } else { 0.0 }).collect()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |a: f64, b| a.max(b.abs()))
}

/// Components whose maps were kept, as [`Explanation::by_share`] has them.
pub(crate) fn components_of(e: &Explanation) -> Vec<usize> {
    e.by_share().into_iter().filter(|&k| e.maps.get(k).is_some_and(|map| !map.is_empty())).take(MAPS).collect()
}

pub(crate) fn caption_of(e: &Explanation, k: usize) -> Text {
    let c = &e.contributions[k];
    let share = match e.share_of_split(k) {
        Some(0.0) => "cancelled".to_owned(),
        Some(share) => format!("{} of the split", percent(share)),
        None => "no share".to_owned(),
    };
    Text::marked(format!("**α_{{{k}}} = {}**\n{share}", short(c.alpha)))
}

/// What the percentages under maps are of.
pub(crate) fn note_of_shares(e: &Explanation) -> String {
    if components_of(e).is_empty() {
        return String::new();
    }
    let with = if has_remainder(e) {
        format!(" The remainder, which no map here shows, is {} of it.", percent(e.remainder_share()))
    } else {
        String::new()
    };
    format!(" Percentages are of what passes the split, as the reduction leaves it.{with}")
}

/// The input and its maps in the input's own shape.
pub(crate) fn maps(e: &Explanation, input: &[f64], shape: Shape, names: &[String]) -> Vec<Block> {
    match shape {
        Shape::Image(grid) => images(e, input, grid),
        Shape::Spectrum => vec![lines(e).into()],
        Shape::Table => vec![table(e, input, names).into()],
    }
}

fn images(e: &Explanation, input: &[f64], grid: Grid) -> Vec<Block> {
    let drawn = components_of(e);
    let by_pixel = |values: &[f64]| grid.by_pixel(values, |a, b| a + b);
    // One scale for all maps of a sample, so that their colours can be compared.
    let end = drawn.iter().map(|&k| largest(&by_pixel(&e.maps[k]))).fold(largest(&by_pixel(&e.attribution)), f64::max);
    let map = |values: &[f64], title: &str| {
        pixels(grid.rows, grid.columns, &diverging(&by_pixel(values), end), Palette::Diverging, &[], title)
    };
    let all = format!("**all together {}**\nJ ⊙ x̃", short(e.attribution.iter().sum()));
    let mut tiles = vec![
        Figure::new("", seen(grid, &grey(input), "The input"), Text::strong("the input")),
        Figure::new("", map(&e.attribution, "Slope times input"), Text::marked(all)),
    ];
    let component = |k: usize| Figure::new("", map(&e.maps[k], &format!("Map of component {k}")), caption_of(e, k));
    tiles.extend(drawn.into_iter().map(component));
    let channels = if grid.channels > 1 { " A pixel shows the sum over its channels." } else { "" };
    let note = format!(
        "Blue speaks for the output, orange against it; white is zero. All maps of this row share one scale, ± {}.{channels}{}",
        short(end),
        note_of_shares(e)
    );
    vec![Tiles::new(tiles).into(), Block::Note(note.into())]
}

fn lines(e: &Explanation) -> Figure {
    let n = e.attribution.len() as f64;
    let drawn = components_of(e);
    let values = drawn.first().map_or(&e.attribution, |&k| &e.maps[k]);
    let scale = Scale::round(e.attribution.iter().chain(values).copied());
    let mut plot = Plot::new(WIDE, 240.0, [64.0, 20.0, 30.0, 46.0], Scale::Linear(0.0, n - 1.0), scale);
    plot.x_axis("input", Ticks::Whole);
    plot.y_axis("part in the output", Ticks::Plain);
    let points =
        |values: &[f64]| thin(&values.iter().enumerate().map(|(i, &v)| (i as f64, v)).collect::<Vec<_>>(), LINE_POINTS);
    let all = plot.line(&points(&e.attribution), "s3 thin");
    if let Some(&k) = drawn.first() {
        let top = plot.line(&points(&e.maps[k]), "s1 thin");
        plot.label(&top, "s1", &format!("component {k}"));
    }
    plot.label(&all, "s3", "all together");
    Figure::new("", plot.finish("Parts of the inputs"), "").wide()
}

fn table(e: &Explanation, input: &[f64], names: &[String]) -> Table {
    let mut order: Vec<usize> = (0..e.attribution.len()).collect();
    order.sort_by(|&a, &b| e.attribution[b].abs().total_cmp(&e.attribution[a].abs()));
    let drawn: Vec<usize> = components_of(e).into_iter().take(3).collect();
    let mut columns = vec![Column::text("input"), Column::number("value"), Column::number("part in the output")];
    columns.extend(drawn.iter().map(|k| Column::number(Text::marked(format!("A_{{{k}}}")))));
    let row = |&i: &usize| {
        let name = Cell::from(shorten(&names[i], 40)).tip(shorten(&names[i], 200));
        let cells = [name, number(input[i]).into(), Text::strong(number(e.attribution[i])).into()];
        cells.into_iter().chain(drawn.iter().map(|&k| number(e.maps[k][i]).into())).collect::<Row>()
    };
    Table::new(columns, order.iter().take(FEATURES).map(row).collect())
}

/// The main map of one row at each split, from the first layer to the last.
pub(crate) fn over_layers(at_splits: &[Explanation], shape: Shape) -> Vec<Block> {
    let Shape::Image(grid) = shape else { return Vec::new() };
    let tile = |(e, k): (&Explanation, usize)| {
        let map = grid.by_pixel(&e.maps[k], |a, b| a + b);
        let title = format!("Main map split at {}", e.split);
        let shares = diverging(&map, largest(&map));
        let picture = pixels(grid.rows, grid.columns, &shares, Palette::Diverging, &[], &title);
        let alpha = Text::marked(format!("\nα_{{{k}}} = {}", short(e.contributions[k].alpha)));
        Figure::new("", picture, Text::strong(shorten(&e.split, 18)).then(alpha))
    };
    let with_map = at_splits.iter().filter_map(|e| components_of(e).first().map(|&k| (e, k)));
    let tiles = Tiles::new(with_map.map(tile).collect());
    vec![Block::Heading("The main component at every split".into()), tiles.into()]
}

/// Whether the components leave over more than rounding.
pub(crate) fn has_remainder(e: &Explanation) -> bool {
    e.remainder.abs() > 1e-6 * e.y.abs().max(1.0)
}

/// How the output comes about, from the intercepts over the largest contributions to y.
pub(crate) fn waterfall(e: &Explanation, output: &str) -> Figure {
    let order = e.by_share();
    let mut steps = vec![("intercepts Σβ".to_owned(), e.beta_sum())];
    steps.extend(order.iter().take(STEPS).map(|&k| (format!("component {k}"), e.contributions[k].alpha)));
    if order.len() > STEPS {
        let rest: f64 = order[STEPS..].iter().map(|&k| e.contributions[k].alpha).sum();
        steps.push((format!("{} more", order.len() - STEPS), rest));
    }
    if has_remainder(e) {
        steps.push(("remainder".into(), e.remainder));
    }
    if !e.is_cut {
        steps.push(("bypass".into(), e.bypass));
    }
    let ends: Vec<f64> = steps
        .iter()
        .scan(0.0, |sum, (_, value)| {
            *sum += value;
            Some(*sum)
        })
        .collect();
    let rows = steps.len() as f64 + 1.0;
    let scale = Scale::round(ends.iter().copied().chain([0.0, e.y]));
    let mut plot = Plot::new(HALF, rows * 24.0 + 52.0, [118.0, 62.0, 4.0, 48.0], scale, Scale::Linear(rows, 0.0));
    plot.x_axis(&format!("output {}", shorten(output, 30)), Ticks::Plain);
    plot.upright(0.0, "s3 thin");
    let mut begin = 0.0;
    for (row, (name, value)) in steps.iter().enumerate() {
        let (row, end) = (row as f64, begin + value);
        let class = if *value < 0.0 { "s2" } else { "s1" };
        plot.bar((begin, row + 0.16), (end, row + 0.84), class, &format!("{name}: {}", number(*value)));
        let y = plot.py(row + 0.5) + 4.0;
        plot.text(110.0, y, Anchor::End, "row", name);
        plot.text(plot.px(begin.max(end)) + 6.0, y, Anchor::Start, "tick", &short(*value));
        begin = end;
    }
    let row = rows - 1.0;
    plot.bar((0.0, row + 0.16), (e.y, row + 0.84), "sum", &format!("y = {}", number(e.y)));
    let y = plot.py(row + 0.5) + 4.0;
    plot.text(110.0, y, Anchor::End, "label", "output y");
    plot.text(plot.px(e.y.max(0.0)) + 6.0, y, Anchor::Start, "label", &short(e.y));
    let caption = format!("The sum differs from the network's output by {} (relative).", scientific(e.residual));
    Figure::new("How the output adds up", plot.finish("From the intercepts to the output"), caption)
}

pub(crate) fn scientific(value: f64) -> String {
    if value == 0.0 { "0".into() } else { short(value) }
}

/// α_k and what the reduction leaves of it, with σ_k above.
pub(crate) fn components(e: &Explanation) -> Figure {
    let shown = e.contributions.len().min(COMPONENTS);
    if shown == 0 {
        let caption = "The slope is zero here: no input changes this output.".into();
        return Figure { title: "Components".into(), pictures: Vec::new(), caption, wide: false };
    }
    let list = &e.contributions[..shown];
    // Bars stand on the components' numbers.
    let x = Scale::Linear(-0.5, shown as f64 - 0.5);
    let bar = |k: usize| (k as f64 - HALF_BAR, k as f64 + HALF_BAR);
    let mut sigma = Plot::new(HALF, 130.0, [52.0, 12.0, 26.0, 22.0], x, Scale::Linear(0.0, list[0].sigma));
    sigma.y_axis("singular value", Ticks::Plain);
    for (k, c) in list.iter().enumerate() {
        let (left, right) = bar(k);
        sigma.bar((left, 0.0), (right, c.sigma), "dropped", &format!("σ_{k} = {}", number(c.sigma)));
    }
    let scale = Scale::round(list.iter().flat_map(|c| [c.alpha, c.alpha_reduced]).chain([0.0]));
    let mut alpha = Plot::new(HALF, 190.0, [52.0, 12.0, 26.0, 44.0], x, scale);
    alpha.y_axis("contribution to the output", Ticks::Plain);
    alpha.x_axis("component", Ticks::Whole);
    for (k, c) in list.iter().enumerate() {
        let (left, right) = bar(k);
        let tip = format!("α_{k} = {}, reduced {}", number(c.alpha), number(c.alpha_reduced));
        alpha.bar((left, 0.0), (right, c.alpha), "faint", &tip);
        let class = if c.alpha_reduced < 0.0 { "s2" } else { "s1" };
        alpha.bar((left, 0.0), (right, c.alpha_reduced), class, &tip);
    }
    let more = e.contributions.len() - shown;
    let caption = format!(
        "Above the singular values σ; below, grey, every contribution α, in colour what the reduction leaves of it.{}",
        if more > 0 { format!(" {more} smaller components are not drawn.") } else { String::new() }
    );
    let pictures = vec![sigma.finish("Singular values"), alpha.finish("Contributions")];
    Figure { title: "Spectrum and reduced spectrum".into(), pictures, caption: caption.into(), wide: false }
}

/// Spectra over the layers: σ_k/σ₀, |α| in order, and |α̂| after the reduction, means over the rows.
pub(crate) fn spectra(spectra: &[Spectrum]) -> Option<Block> {
    let with_any: Vec<&Spectrum> = spectra.iter().filter(|s| !s.sigma.is_empty()).collect();
    if with_any.is_empty() {
        return None;
    }
    type Part = fn(&Spectrum) -> &Vec<f64>;
    let parts: [(&str, &str, &str, Part); 3] = [
        ("Singular values", "relative to the largest", "Each component's σ, over the largest of its layer.", |s| {
            &s.sigma
        }),
        (
            "Contributions by size",
            "share of their sum",
            "Sizes of the components' contributions α, over their sum.",
            |s| &s.alpha,
        ),
        ("After the reduction", "share of what is left", "The same of the reduced α.", |s| &s.reduced),
    ];
    let mut columns = Vec::new();
    for (title, axis, caption, part) in parts {
        // As far as any line is visibly above zero.
        let visible = |s: &&Spectrum| part(s).iter().rposition(|&v| v > 0.005).map_or(0, |last| last + 2);
        let longest = with_any.iter().map(visible).max().unwrap_or(0).clamp(6, COMPONENTS);
        let highest = with_any.iter().flat_map(|s| part(s)).fold(0.0f64, |a, &b| a.max(b));
        let x = Scale::Linear(0.0, longest as f64 - 1.0);
        let mut plot = Plot::new(322.0, 250.0, [46.0, 12.0, 30.0, 44.0], x, Scale::round([0.0, highest]));
        plot.y_axis(axis, Ticks::Plain);
        plot.x_axis("component, in order", Ticks::Whole);
        let classes = ["s1", "s2", "s0", "s3"];
        let mut traces = Vec::new();
        // The first, the last and two between: more lines can't be told apart.
        for (place, spectrum) in few(&with_any, classes.len()).into_iter().enumerate() {
            let points: Vec<(f64, f64)> =
                part(spectrum).iter().take(longest).enumerate().map(|(k, &v)| (k as f64, v)).collect();
            traces.push((plot.line(&points, classes[place]), classes[place], spectrum.split.clone()));
        }
        for (trace, class, name) in &traces {
            plot.label(trace, class, name);
        }
        columns.push(vec![Figure::new(title, plot.finish(title), Text::marked(caption)).into()]);
    }
    Some(Block::Columns(columns))
}

fn few<'a, T>(all: &[&'a T], most: usize) -> Vec<&'a T> {
    if all.len() <= most {
        return all.to_vec();
    }
    (0..most).map(|i| all[i * (all.len() - 1) / (most - 1)]).collect()
}

/// A row whose singular vectors are compared.
pub(crate) struct Compared<'a> {
    pub(crate) label: Option<&'a str>,
    /// Its file's, or with its number.
    pub(crate) name: String,
}

impl<'a> Compared<'a> {
    pub(crate) fn new(row: usize, label: Option<&'a str>, file: Option<&str>) -> Compared<'a> {
        Compared { label, name: file.map_or_else(|| format!("row {row}"), str::to_owned) }
    }
}

/// |cosine| of singular vectors as a picture; the rows in the order given, groups outlined by their names.
pub(crate) fn similarity(
    title: &str,
    matrix: &[f64],
    count: usize,
    groups: &[(String, usize)],
    caption: &str,
) -> Option<Figure> {
    if count < 2 {
        return None;
    }
    let longest = groups.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let fits = (longest as f64 * LETTER + 10.0).clamp(64.0, 150.0);
    let (left, top, side) = (fits, 22.0, HALF - 40.0 - fits);
    // As many letters as there is room for, over `width`.
    let fitted = |name: &str, width: f64| shorten(name, ((width / LETTER) as usize).max(3));
    let scale = Scale::Linear(0.0, count as f64);
    let mut plot = Plot::new(
        HALF,
        top + side + 12.0,
        [left, HALF - left - side, top, 12.0],
        scale,
        Scale::Linear(count as f64, 0.0),
    );
    plot.raw(&format!(
        "<image class=\"pixels\" x=\"{left}\" y=\"{top}\" width=\"{side}\" height=\"{side}\" preserveAspectRatio=\"none\" href=\"{}\"/>",
        picture::data_uri(count, count, matrix, Palette::Viridis)
    ));
    let mut begin = 0;
    for (name, size) in groups {
        let middle = begin as f64 + *size as f64 / 2.0;
        let room = side * *size as f64 / count as f64 - LETTER;
        plot.text(left - 8.0, plot.py(middle) + 4.0, Anchor::End, "tick", &fitted(name, left - 8.0));
        plot.text(plot.px(middle), top - 7.0, Anchor::Middle, "tick", &fitted(name, room));
        begin += size;
        if begin < count {
            let (x, y) = (plot.px(begin as f64), plot.py(begin as f64));
            plot.raw(&format!("<path d=\"M{left} {y:.1}h{side}M{x:.1} {top}v{side}\" stroke=\"#fff\" stroke-width=\"1.2\" fill=\"none\"/>"));
        }
    }
    let shares: Vec<f64> = (0..128).rev().map(|i| f64::from(i) / 127.0).collect();
    plot.raw(&format!(
        "<image x=\"{:.1}\" y=\"{top}\" width=\"10\" height=\"{side}\" preserveAspectRatio=\"none\" href=\"{}\"/>",
        left + side + 12.0,
        picture::data_uri(128, 1, &shares, Palette::Viridis)
    ));
    plot.text(left + side + 17.0, top - 7.0, Anchor::Middle, "tick", "1");
    plot.text(left + side + 17.0, top + side + 12.0, Anchor::Middle, "tick", "0");
    Some(Figure::new(title, plot.finish("Similarity of singular vectors"), caption))
}

/// A similarity matrix with its rows ordered by label, neighbours of one label as a group; where labels say nothing and rows are few,
/// each with its name.
pub(crate) fn grouped(title: &str, matrix: &[f64], rows: &[Compared<'_>]) -> Option<Figure> {
    let n = rows.len();
    let mut places: Vec<usize> = (0..n).collect();
    places.sort_by(|&a, &b| rows[a].label.cmp(&rows[b].label));
    let sorted: Vec<f64> = places.iter().flat_map(|&i| places.iter().map(move |&j| matrix[i * n + j])).collect();
    let mut groups: Vec<(String, usize)> = Vec::new();
    for label in places.iter().filter_map(|&i| rows[i].label) {
        match groups.last_mut() {
            Some((name, size)) if name == label => *size += 1,
            _ => groups.push((label.to_owned(), 1)),
        }
    }
    // Numbers as labels make a group of every row: then the names say nothing.
    let number = |(name, _): &(String, usize)| name.parse().is_ok_and(|value: f64| value.fract() != 0.0);
    if groups.is_empty() || groups.iter().any(number) {
        groups = places.iter().map(|&i| (rows[i].name.clone(), 1)).collect();
    }
    if groups.len() > GROUPS {
        groups.clear();
    }
    similarity(
        title,
        &sorted,
        n,
        &groups,
        "|cosine| of the right singular vectors with the largest |α|, row against row.",
    )
}

/// β of every node as bars.
pub(crate) fn intercepts(beta: &[(String, f64)]) -> Option<Figure> {
    if beta.is_empty() {
        return None;
    }
    let rows = beta.len() as f64;
    let scale = Scale::round(beta.iter().map(|(_, b)| *b).chain([0.0]));
    let mut plot = Plot::new(HALF, rows * 24.0 + 52.0, [118.0, 62.0, 4.0, 48.0], scale, Scale::Linear(rows, 0.0));
    plot.x_axis("part in the output, mean over the rows", Ticks::Plain);
    for (row, (name, value)) in beta.iter().enumerate() {
        let row = row as f64;
        let class = if *value < 0.0 { "s2" } else { "s1" };
        plot.bar((0.0, row + 0.16), (*value, row + 0.84), class, &format!("{name}: {}", number(*value)));
        let y = plot.py(row + 0.5) + 4.0;
        plot.text(110.0, y, Anchor::End, "row", &shorten(name, 16));
        plot.text(plot.px(value.max(0.0)) + 6.0, y, Anchor::Start, "tick", &short(*value));
    }
    let caption = "The intercepts β: biases, batch norm and curved activations, node by node.";
    Some(Figure::new("What the intercepts add", plot.finish("Intercepts by node"), caption))
}

/// λ̃ beside the mean |A|: as two pictures for an image, else as a scatter plot.
pub(crate) fn agreement(
    relevance: &[f64],
    size: &[f64],
    names: &[&str],
    shape: Shape,
    correlation: Option<f64>,
) -> Vec<Block> {
    let (most_relevance, most_size) = (largest(relevance), largest(size));
    if most_relevance == 0.0 || most_size == 0.0 || relevance.len() != size.len() {
        return Vec::new();
    }
    let said = correlation.map_or_else(String::new, |r| format!(" Rank correlation {}.", short(r)));
    let said = Text::marked(format!(
        "λ̃ of the training, and Σ_{{k}} |A_{{k}}| of the explanations, mean over the rows.{said}"
    ));
    if let Shape::Image(grid) = shape {
        let tile = |values: Vec<f64>, title: &str| {
            let most = largest(&values);
            let shares: Vec<f64> = values.iter().map(|v| v / most).collect();
            Figure::new(title, pixels(grid.rows, grid.columns, &shares, Palette::Viridis, &[], title), "")
        };
        let pictures = Block::pair(
            tile(grid.by_pixel(relevance, f64::hypot), "Relevance in the training"),
            tile(grid.by_pixel(size, |a, b| a + b), "Part in the explanations"),
        );
        return vec![pictures, Block::Note(said.then(" Both scaled to their largest value."))];
    }
    let scale = |most: f64| Scale::round([0.0, most]);
    let mut plot = Plot::new(HALF, 320.0, [58.0, 20.0, 30.0, 46.0], scale(most_relevance), scale(most_size));
    plot.x_axis("relevance in the training", Ticks::Plain);
    plot.y_axis("part in the explanations", Ticks::Plain);
    let points: Vec<(f64, f64)> = relevance.iter().copied().zip(size.iter().copied()).collect();
    for (&point, name) in points.iter().zip(names) {
        let tip = format!("{}: relevance {}, part {}", shorten(name, 60), number(point.0), number(point.1));
        plot.dot(point, "s1", &tip);
    }
    // The leading ones get their names as far as there is room.
    let lead = |&i: &usize| (points[i].0 / most_relevance).max(points[i].1 / most_size);
    let mut order: Vec<usize> = (0..points.len().min(names.len())).collect();
    order.sort_by(|a, b| lead(b).total_cmp(&lead(a)));
    for &i in order.iter().take(NAMED) {
        plot.name(points[i], &shorten(names[i], 18));
    }
    // In a pair even alone: half a page wide, as it is drawn. The section's heading is its title.
    let figure = Figure::new("", plot.finish("Relevance against mean attribution"), said);
    vec![Block::Columns(vec![vec![figure.into()], vec![]])]
}
