//! Figures of the explanation pages: maps, waterfall, spectra, similarity.

use crate::report::figures::{HALF, LINE_POINTS, WIDE};
use crate::report::page::{Shape, figure};
use crate::report::picture::{self, Palette};
use crate::report::svg::{Anchor, Plot, Scale, Ticks, thin};
use crate::report::text::{escape, number, percent, short, shorten};
use crate::specxai::{Explanation, Spectrum};

/// Maps drawn for each row, and bars of a waterfall.
const MAPS: usize = 5;
const STEPS: usize = 7;
/// Components drawn in a spectrum.
const COMPONENTS: usize = 40;
/// Features of a table that are listed.
const FEATURES: usize = 12;

/// A pixel picture as an SVG element; `shares` 0..1.
pub(crate) fn pixels(rows: usize, columns: usize, shares: &[f64], palette: Palette, title: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {columns} {rows}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title><image class=\"pixels\" \
         width=\"{columns}\" height=\"{rows}\" href=\"{1}\"/></svg>",
        escape(title),
        picture::data_uri(rows, columns, shares, palette)
    )
}

/// Values as shares of a grey scale, smallest black.
fn grey(values: &[f32]) -> Vec<f64> {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (low, high) = (finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max));
    let width = f64::from(high) - f64::from(low);
    values.iter().map(|&v| if width > 0.0 { (f64::from(v) - f64::from(low)) / width } else { 0.0 }).collect()
}

/// Signed values as shares of the diverging scale: 0.5 is zero, `largest` the end.
pub(crate) fn diverging(values: &[f64], largest: f64) -> Vec<f64> {
    values.iter().map(|v| if largest > 0.0 { 0.5 + 0.5 * v / largest } else { 0.5 }).collect()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |a: f64, b| a.max(b.abs()))
}

/// Components whose maps were kept, largest |α| first.
fn drawn(e: &Explanation) -> Vec<usize> {
    e.by_size().into_iter().filter(|&k| k < e.maps.len()).take(MAPS).collect()
}

fn caption_of(e: &Explanation, k: usize) -> String {
    let c = &e.contributions[k];
    let share = match c.share {
        Some(0.0) => "reduced to 0".to_owned(),
        Some(share) => percent(share),
        None => "no share".to_owned(),
    };
    format!("<b>α<sub>{k}</sub> = {}</b><br>{share}", short(c.alpha))
}

/// The input and its maps in the input's own shape; for tables the features with the largest parts.
pub(crate) fn maps(e: &Explanation, input: &[f32], shape: Shape, names: &[String]) -> String {
    match shape {
        Shape::Image { rows, columns } => images(e, input, rows, columns),
        Shape::Spectrum => lines(e),
        Shape::Table => table(e, input, names),
    }
}

fn images(e: &Explanation, input: &[f32], rows: usize, columns: usize) -> String {
    let tile =
        |picture: String, caption: String| format!("<figure>{picture}<figcaption>{caption}</figcaption></figure>");
    let mut out = String::from("<div class=\"maps\">");
    out.push_str(&tile(pixels(rows, columns, &grey(input), Palette::Grey, "The input"), "<b>the input</b>".into()));
    let drawn = drawn(e);
    // One scale for all maps of a sample, so that their colours can be compared.
    let end = drawn.iter().map(|&k| largest(&e.maps[k])).fold(largest(&e.attribution), f64::max);
    let all = pixels(rows, columns, &diverging(&e.attribution, end), Palette::Diverging, "Slope times input");
    out.push_str(&tile(all, format!("<b>all together {}</b><br>J ⊙ x̃", short(e.attribution.iter().sum()))));
    for k in drawn {
        let picture =
            pixels(rows, columns, &diverging(&e.maps[k], end), Palette::Diverging, &format!("Map of component {k}"));
        out.push_str(&tile(picture, caption_of(e, k)));
    }
    out.push_str("</div>");
    out + &format!(
        "<p class=\"small\">Blue speaks for the output, orange against it; white is zero. All maps of this row share one scale, \
         ± {}.</p>",
        short(end)
    )
}

fn lines(e: &Explanation) -> String {
    let n = e.attribution.len() as f64;
    let drawn = drawn(e);
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
    figure("", &plot.finish("Parts of the inputs"), "", "wide")
}

fn table(e: &Explanation, input: &[f32], names: &[String]) -> String {
    let mut order: Vec<usize> = (0..e.attribution.len()).collect();
    order.sort_by(|&a, &b| e.attribution[b].abs().total_cmp(&e.attribution[a].abs()));
    let drawn: Vec<usize> = drawn(e).into_iter().take(3).collect();
    let heads: String = drawn.iter().map(|k| format!("<th class=\"n\">A<sub>{k}</sub></th>")).collect();
    let mut rows = String::new();
    for &i in order.iter().take(FEATURES) {
        let parts: String = drawn.iter().map(|&k| format!("<td class=\"n\">{}</td>", number(e.maps[k][i]))).collect();
        rows.push_str(&format!(
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\"><b>{}</b></td>{parts}</tr>",
            escape(&shorten(&names[i], 40)),
            number(f64::from(input[i])),
            number(e.attribution[i])
        ));
    }
    format!(
        "<div class=\"scroll\"><table><thead><tr><th>input</th><th class=\"n\">value</th><th class=\"n\">part in the output</th>\
         {heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

/// The main map of one row at each split, from the first layer to the last.
pub(crate) fn over_layers(at_splits: &[Explanation], shape: Shape) -> String {
    let Shape::Image { rows, columns } = shape else { return String::new() };
    let with_map = at_splits.iter().filter_map(|e| drawn(e).first().map(|&k| (e, k)));
    let tiles: String = with_map
        .map(|(e, k)| {
            let map = &e.maps[k];
            let title = format!("Main map split at {}", e.split);
            format!(
                "<figure>{}<figcaption><b>{}</b><br>α<sub>{k}</sub> = {}</figcaption></figure>",
                pixels(rows, columns, &diverging(map, largest(map)), Palette::Diverging, &title),
                escape(&shorten(&e.split, 18)),
                short(e.contributions[k].alpha)
            )
        })
        .collect();
    format!("<h4>The main component at every split</h4><div class=\"maps\">{tiles}</div>")
}

/// Whether the components leave over more than rounding.
pub(crate) fn has_remainder(e: &Explanation) -> bool {
    e.remainder.abs() > 1e-6 * e.y.abs().max(1.0)
}

/// How the output comes about, from the intercepts over the largest contributions to y.
pub(crate) fn waterfall(e: &Explanation, output: &str) -> String {
    let order = e.by_size();
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
    figure("How the output adds up", &plot.finish("From the intercepts to the output"), &caption, "")
}

pub(crate) fn scientific(value: f64) -> String {
    if value == 0.0 { "0".into() } else { short(value) }
}

/// α_k and what the reduction leaves of it, with σ_k above.
pub(crate) fn components(e: &Explanation) -> String {
    let shown = e.contributions.len().min(COMPONENTS);
    if shown == 0 {
        return figure("Components", "", "The slope is zero here: no input changes this output.", "");
    }
    let list = &e.contributions[..shown];
    let x = Scale::Linear(0.0, shown as f64);
    let mut sigma = Plot::new(HALF, 130.0, [52.0, 12.0, 26.0, 22.0], x, Scale::Linear(0.0, list[0].sigma));
    sigma.y_axis("singular value σ", Ticks::Plain);
    for (k, c) in list.iter().enumerate() {
        let k = k as f64;
        sigma.bar((k + 0.12, 0.0), (k + 0.88, c.sigma), "dropped", &format!("σ_{k} = {}", number(c.sigma)));
    }
    let scale = Scale::round(list.iter().flat_map(|c| [c.alpha, c.alpha_reduced]).chain([0.0]));
    let mut alpha = Plot::new(HALF, 190.0, [52.0, 12.0, 26.0, 44.0], x, scale);
    alpha.y_axis("contribution α", Ticks::Plain);
    alpha.x_axis("component k", Ticks::Whole);
    for (k, c) in list.iter().enumerate() {
        let at = k as f64;
        let tip = format!("α_{k} = {}, reduced {}", number(c.alpha), number(c.alpha_reduced));
        alpha.bar((at + 0.12, 0.0), (at + 0.88, c.alpha), "faint", &tip);
        let class = if c.alpha_reduced < 0.0 { "s2" } else { "s1" };
        alpha.bar((at + 0.12, 0.0), (at + 0.88, c.alpha_reduced), class, &tip);
    }
    let more = e.contributions.len() - shown;
    let caption = format!(
        "Grey: every contribution; in colour what the reduction leaves of it.{}",
        if more > 0 { format!(" {more} smaller components are not drawn.") } else { String::new() }
    );
    let plots = sigma.finish("Singular values") + &alpha.finish("Contributions");
    figure("Spectrum and reduced spectrum", &plots, &caption, "")
}

/// Spectra over the layers: σ_k/σ₀, |α| in order, and |α̂| after the reduction, means over the rows.
pub(crate) fn spectra(spectra: &[Spectrum]) -> String {
    let with_any: Vec<&Spectrum> = spectra.iter().filter(|s| !s.sigma.is_empty()).collect();
    if with_any.is_empty() {
        return String::new();
    }
    type Part = fn(&Spectrum) -> &Vec<f64>;
    let parts: [(&str, &str, Part); 3] = [
        ("Singular values", "σ_k / σ₀", |s| &s.sigma),
        ("Contributions by size", "share of Σ|α|", |s| &s.alpha),
        ("After the reduction", "share of Σ|α̂|", |s| &s.reduced),
    ];
    let mut out = String::from("<div class=\"trio\">");
    for (title, axis, part) in parts {
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
        out.push_str(&figure(title, &plot.finish(title), "", ""));
    }
    out + "</div>"
}

fn few<'a, T>(all: &[&'a T], most: usize) -> Vec<&'a T> {
    if all.len() <= most {
        return all.to_vec();
    }
    (0..most).map(|i| all[i * (all.len() - 1) / (most - 1)]).collect()
}

/// |cosine| of singular vectors as a picture; the rows in the order given, groups outlined by their names.
pub(crate) fn similarity(
    title: &str,
    matrix: &[f64],
    count: usize,
    groups: &[(String, usize)],
    caption: &str,
) -> String {
    if count < 2 {
        return String::new();
    }
    let (left, top, side) = (64.0, 22.0, 396.0);
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
        plot.text(left - 8.0, plot.py(middle) + 4.0, Anchor::End, "tick", &shorten(name, 9));
        plot.text(plot.px(middle), top - 7.0, Anchor::Middle, "tick", &shorten(name, 9));
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
    figure(title, &plot.finish("Similarity of singular vectors"), caption, "")
}

/// β of every node as bars.
pub(crate) fn intercepts(beta: &[(String, f64)]) -> String {
    if beta.is_empty() {
        return String::new();
    }
    let rows = beta.len() as f64;
    let scale = Scale::round(beta.iter().map(|(_, b)| *b).chain([0.0]));
    let mut plot = Plot::new(HALF, rows * 24.0 + 52.0, [118.0, 62.0, 4.0, 48.0], scale, Scale::Linear(rows, 0.0));
    plot.x_axis("β, mean over the rows", Ticks::Plain);
    for (row, (name, value)) in beta.iter().enumerate() {
        let row = row as f64;
        let class = if *value < 0.0 { "s2" } else { "s1" };
        plot.bar((0.0, row + 0.16), (*value, row + 0.84), class, &format!("{name}: {}", number(*value)));
        let y = plot.py(row + 0.5) + 4.0;
        plot.text(110.0, y, Anchor::End, "row", &shorten(name, 16));
        plot.text(plot.px(value.max(0.0)) + 6.0, y, Anchor::Start, "tick", &short(*value));
    }
    figure(
        "What the intercepts add",
        &plot.finish("Intercepts by node"),
        "Biases, batch norm and curved activations, node by node.",
        "",
    )
}

/// λ̃ beside the mean |A|: as two pictures for an image, else as a scatter plot.
pub(crate) fn agreement(relevance: &[f64], size: &[f64], shape: Shape, correlation: Option<f64>) -> String {
    let (most_relevance, most_size) = (largest(relevance), largest(size));
    if most_relevance == 0.0 || most_size == 0.0 || relevance.len() != size.len() {
        return String::new();
    }
    let said = correlation.map_or_else(String::new, |r| format!("Rank correlation {}.", short(r)));
    if let Shape::Image { rows, columns } = shape {
        let tile = |values: &[f64], most: f64, title: &str| {
            let shares: Vec<f64> = values.iter().map(|v| v / most).collect();
            figure(title, &pixels(rows, columns, &shares, Palette::Viridis, title), "", "")
        };
        let pictures = tile(relevance, most_relevance, "Relevance λ̃ of the training")
            + &tile(size, most_size, "Mean |A| of the explanations");
        return format!(
            "<div class=\"pair\">{pictures}</div><p class=\"small\">{said} Both scaled to their largest value.</p>"
        );
    }
    let scale = |most: f64| Scale::round([0.0, most]);
    let mut plot = Plot::new(HALF, 320.0, [58.0, 20.0, 30.0, 46.0], scale(most_relevance), scale(most_size));
    plot.x_axis("relevance λ̃ of the training", Ticks::Plain);
    plot.y_axis("mean |A| of the explanations", Ticks::Plain);
    plot.dots(&relevance.iter().copied().zip(size.iter().copied()).collect::<Vec<_>>(), "s1");
    // In a pair even alone: half a page wide, as it is drawn. The section's heading is its title.
    format!("<div class=\"pair\">{}</div>", figure("", &plot.finish("Relevance against mean attribution"), &said, ""))
}
