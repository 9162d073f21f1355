//! The figures of a training's page: relevance as image, bars, spectrum and distribution; the k-curve; the course of training.

use super::facts::{Facts, Grid, Shape};
use super::page::{Block, Figure, Picture};
use super::picture::{self, Palette};
use super::svg::{Anchor, Plot, Scale, Ticks, Trace, thin};
use super::text::{self, count, escape, number, percent, shorten};
use crate::relevance::{Curve, CurvePoint, RankedFeature};
use crate::train::Metric;

/// Width of a figure that shares its row, and of one that has it alone, and of one of three. At full page width text is a little
/// larger than it was drawn, and on a telephone, where each has 370 pixels or so, still more than 10 pixels high.
pub(crate) const HALF: f64 = 440.0;
pub(crate) const WIDE: f64 = 1032.0;
const THIRD: f64 = 322.0;
/// Bars shown.
const BARS: usize = 25;
/// Features from which on their relevances make a distribution.
const HISTOGRAM_FROM: usize = 20;
/// Peaks of a spectrum that are tried for a name.
const PEAKS: usize = 16;
/// Points of a drawn line: more can't be seen at these widths.
pub(crate) const LINE_POINTS: usize = 1200;

/// λ̃ over the input in the form that suits it.
pub(crate) fn relevance(facts: &Facts) -> Figure {
    match facts.shape {
        Shape::Image(grid) => relevance_map(facts, grid),
        Shape::Spectrum => spectrum(facts),
        Shape::Table => ranking_bars(facts),
    }
}

/// λ̃ of every pixel in its place.
pub(crate) fn relevance_map(facts: &Facts, grid: Grid) -> Figure {
    let Grid { rows, columns, channels, .. } = grid;
    let mut relevance = vec![0.0; facts.page.columns];
    for f in &facts.ranked {
        if let Some(relevance) = relevance.get_mut(f.feature) {
            *relevance = f.relevance;
        }
    }
    // A pixel's channels together are a group: the norm of all their columns.
    let relevance = grid.by_pixel(&relevance, f64::hypot);
    let most = relevance.iter().copied().fold(0.0, f64::max);
    let shares: Vec<f64> = relevance.iter().map(|x| if most > 0.0 { x / most } else { 0.0 }).collect();
    let marked = grid.pixels_of(&facts.marked);
    let (left, top) = (30.0, 24.0);
    let cell = ((HALF - 106.0) / columns as f64).min(400.0 / rows as f64);
    let (width, height) = (cell * columns as f64, cell * rows as f64);
    let whole = Scale::Linear(0.0, columns as f64);
    let mut plot = Plot::new(
        HALF,
        top + height + 44.0,
        [left, HALF - left - width, top, 44.0],
        whole,
        Scale::Linear(rows as f64, 0.0),
    );
    plot.raw(&format!(
        "<image class=\"pixels\" x=\"{left}\" y=\"{top}\" width=\"{width:.2}\" height=\"{height:.2}\" \
         preserveAspectRatio=\"none\" href=\"{}\"/>",
        picture::data_uri(rows, columns, &shares, Palette::Viridis)
    ));
    plot.raw(&format!(
        "<path class=\"outline\" transform=\"translate({left} {top}) scale({cell:.4})\" d=\"{}\"/>",
        picture::outline(columns, &marked)
    ));
    for f in facts.ranked.iter().take(facts.marked.len()).filter(|f| f.feature < facts.page.columns) {
        let pixel = grid.pixel(f.feature);
        let (x, y) = ((pixel % columns) as f64, (pixel / columns) as f64);
        plot.raw(&format!(
            "<rect class=\"tip\" x=\"{:.2}\" y=\"{:.2}\" width=\"{cell:.2}\" height=\"{cell:.2}\"><title>{}</title></rect>",
            left + x * cell,
            top + y * cell,
            escape(&format!("{}. {}: {}", f.rank, shorten(&f.name, 60), number(f.relevance)))
        ));
    }
    // Ticks count pixels from 0 and stand at pixel centres.
    for (value, label) in Scale::Linear(0.0, (columns - 1).max(1) as f64).ticks(7, Ticks::Whole) {
        if value < columns as f64 {
            plot.text(plot.px(value + 0.5), top + height + 16.0, Anchor::Middle, "tick", &label);
        }
    }
    for (value, label) in Scale::Linear(0.0, (rows - 1).max(1) as f64).ticks(7, Ticks::Whole) {
        if value < rows as f64 {
            plot.text(left - 6.0, plot.py(value + 0.5) + 4.0, Anchor::End, "tick", &label);
        }
    }
    plot.text(left + width / 2.0, top + height + 35.0, Anchor::Middle, "name", "column");
    plot.text(0.0, top - 10.0, Anchor::Start, "name", "row");
    color_bar(&mut plot, left + width + 16.0, top, height, most);
    let marked = marked.len();
    let mut caption = match marked {
        0 => "No pixel is above the threshold.".to_owned(),
        1 => "Every pixel in its place. The best one is outlined.".to_owned(),
        _ => {
            format!("Every pixel in its place. The {marked} best are outlined; rest the pointer on one for its value.")
        }
    };
    if channels > 1 {
        caption.push_str(&format!(" A pixel's relevance is that of its {channels} channels together."));
    }
    Figure::new("Relevance over the image", plot.finish("Relevance of every pixel, as an image"), caption)
}

fn color_bar(plot: &mut Plot, x: f64, top: f64, height: f64, max: f64) {
    let shares: Vec<f64> = (0..128).rev().map(|i| f64::from(i) / 127.0).collect();
    plot.raw(&format!(
        "<image x=\"{x:.1}\" y=\"{top}\" width=\"11\" height=\"{height:.1}\" preserveAspectRatio=\"none\" href=\"{}\"/>",
        picture::data_uri(128, 1, &shares, Palette::Viridis)
    ));
    if max > 0.0 {
        for (value, label) in Scale::Linear(0.0, max).ticks(5, Ticks::Plain) {
            let y = top + height * (1.0 - value / max);
            plot.raw(&format!("<path class=\"axis\" d=\"M{:.1} {y:.1}h4\"/>", x + 11.0));
            plot.text(x + 18.0, y + 4.0, Anchor::Start, "tick", &label);
        }
    }
    plot.text(x, top - 10.0, Anchor::Start, "name", "λ̃");
}

/// The best features as horizontal bars, named, with the spread over replicas.
pub(crate) fn ranking_bars(facts: &Facts) -> Figure {
    let shown: Vec<&RankedFeature> = facts.ranked.iter().take(BARS).copied().collect();
    let names: Vec<String> = shown.iter().map(|f| shorten(&f.name, 22)).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let left = (longest as f64 * 7.2 + 36.0).clamp(70.0, 196.0);
    let end = shown.iter().map(|f| f.relevance + f.relevance_std).fold(0.0, f64::max);
    let end = if end > 0.0 { end } else { 1.0 };
    let rows = shown.len() as f64;
    // Beside an image the bars match its height; else they fill the height of the two figures at their side.
    let pitch = match facts.shape {
        Shape::Image(_) => 18.0,
        _ => (640.0 / rows.max(1.0)).clamp(18.0, 28.0),
    };
    let mut plot = Plot::new(
        HALF,
        rows * pitch + 52.0,
        [left, 58.0, 4.0, 48.0],
        Scale::Linear(0.0, end),
        Scale::Linear(rows, 0.0),
    );
    plot.x_axis("relevance λ̃", Ticks::Plain);
    let spread = shown.iter().any(|f| f.relevance_std > 0.0);
    for (row, (f, name)) in shown.iter().zip(&names).enumerate() {
        let row = row as f64;
        let tip = format!("{} · λ = {}, ‖ψ‖ = {}", shorten(&f.name, 120), number(f.lambda), number(f.psi_norm));
        let class = if facts.faint(f) { "dropped" } else { "s1" };
        plot.bar((0.0, row + 0.14), (f.relevance, row + 0.86), class, &tip);
        // A whisker narrower than its own ends says nothing.
        if f.relevance_std > 0.004 * end {
            plot.whisker((f.relevance - f.relevance_std).max(0.0), f.relevance + f.relevance_std, row + 0.5);
        }
        let y = plot.py(row + 0.5) + 4.0;
        plot.text(22.0, y, Anchor::End, "tick", &f.rank.to_string());
        plot.text(left - 8.0, y, Anchor::End, "row", name);
        let reach = f.relevance + if spread { f.relevance_std } else { 0.0 };
        plot.text(plot.px(reach) + 6.0, y, Anchor::Start, "tick", &text::short(f.relevance));
    }
    let title = match facts.ranked.len() {
        n if n > BARS => format!("The {BARS} best {}s", facts.noun()),
        _ => format!("All {}s, best first", facts.noun()),
    };
    let mut caption = match (spread, facts.kept) {
        (_, 0) => "Every relevance is zero.".to_owned(),
        (true, _) => "Mean over the replicas; the whiskers are one standard deviation. ".to_owned(),
        (false, _) => String::new(),
    };
    if facts.page.assessment.is_some_and(|a| a.control.is_some()) && shown.iter().any(|f| facts.faint(f)) {
        caption.push_str("Grey: no more relevant than noise would be.");
    }
    Figure::new(title, plot.finish(&format!("The best {}s and their relevance", facts.noun())), caption)
}

/// λ̃ along one long axis (a spectrum, a time series), with its peaks named.
pub(crate) fn spectrum(facts: &Facts) -> Figure {
    let along = Along::new(facts);
    let mut values = vec![0.0; along.places.len()];
    for f in &facts.ranked {
        if let Some(value) = values.get_mut(f.feature) {
            *value = f.relevance;
        }
    }
    let points: Vec<(f64, f64)> = along.places.iter().copied().zip(values).collect();
    let top = if facts.max > 0.0 { facts.max * 1.06 } else { 1.0 };
    let mut plot = Plot::new(WIDE, 300.0, [56.0, 14.0, 34.0, 46.0], along.scale(), Scale::Linear(0.0, top));
    plot.y_axis("relevance λ̃", Ticks::Plain);
    let points = thin(&points, 2 * LINE_POINTS);
    plot.band(&points.iter().map(|&(x, y)| (x, 0.0, y)).collect::<Vec<_>>(), "s1");
    plot.line(&points, "s1 thin");
    plot.x_axis(&along.name, Ticks::Plain);
    let mut tried: Vec<f64> = Vec::new();
    for f in facts.ranked.iter().filter(|f| !facts.dropped(f)) {
        let Some(&place) = along.places.get(f.feature) else { continue };
        let x = plot.px(place);
        // What is close to a name that was tried is the shoulder of the same peak.
        if tried.len() < PEAKS && tried.iter().all(|other| (other - x).abs() > 7.0) {
            tried.push(x);
            plot.peak((place, f.relevance), &shorten(&f.name, 12));
        }
    }
    let caption =
        "The highest peaks are named where there is room. What lies on the baseline was dropped, or nearly so.";
    Figure::new("Relevance along the input", plot.finish("Relevance of every input along its axis"), caption).wide()
}

/// Where the features of a single long axis lie: at the numbers in their names, if those increase, else at their index.
pub(crate) struct Along {
    pub(crate) places: Vec<f64>,
    pub(crate) name: String,
}

impl Along {
    pub(crate) fn new(facts: &Facts) -> Along {
        let mut names = vec![""; facts.page.columns];
        for f in &facts.ranked {
            if let Some(name) = names.get_mut(f.feature) {
                *name = &f.name;
            }
        }
        let axis = facts.page.axes.first().map_or("feature", |axis| &axis.name);
        let other = |c: char| !(c.is_ascii_digit() || c == '.' || c == '-');
        let parsed: Option<Vec<f64>> = names.iter().map(|name| name.trim_matches(other).parse().ok()).collect();
        match parsed {
            Some(places) if places.windows(2).all(|pair| pair[0] < pair[1]) => {
                let unit = |name: &str| name.rsplit(|c| !other(c)).next().unwrap_or("").trim().to_owned();
                let first = unit(names[0]);
                let shared = !first.is_empty() && names.iter().all(|name| unit(name) == first);
                let name = shorten(axis, 60);
                let name = if shared { format!("{name} ({})", shorten(&first, 12)) } else { name };
                Along { places, name }
            }
            _ => {
                let places = (0..names.len()).map(|i| i as f64).collect();
                Along { places, name: format!("{} index", shorten(axis, 60)) }
            }
        }
    }

    pub(crate) fn scale(&self) -> Scale {
        let first = self.places.first().copied().unwrap_or(0.0);
        let last = self.places.last().copied().unwrap_or(1.0);
        Scale::Linear(first, if last > first { last } else { first + 1.0 })
    }
}

/// How many features have which relevance: the peak at zero is what the penalty is for.
pub(crate) fn histogram(facts: &Facts) -> Figure {
    const BINS: usize = 40;
    let mut bins = [0usize; BINS];
    for f in &facts.ranked {
        bins[((facts.share(f) * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    let most = bins.iter().copied().max().unwrap_or(1).max(2) as f64;
    let mut plot =
        Plot::new(HALF, 290.0, [48.0, 12.0, 34.0, 46.0], Scale::Linear(0.0, 1.0), Scale::Log(0.6, most * 1.5));
    plot.y_axis("inputs (log scale)", Ticks::Whole);
    for (i, &height) in bins.iter().enumerate().filter(|&(_, &height)| height > 0) {
        let (from, to) = (i as f64 / BINS as f64, (i + 1) as f64 / BINS as f64);
        let tip = format!("{} inputs from {from:.3} to {to:.3}", count(height));
        plot.bar((from + 0.002, 0.6), (to - 0.002, height as f64), "s1", &tip);
    }
    plot.x_axis("relevance relative to the largest", Ticks::Plain);
    let dropped = facts.page.columns - facts.kept;
    let threshold = facts.page.threshold.clamp(0.0, 1.0);
    plot.upright(threshold, "limit");
    let label = format!("{} of {} below {}", count(dropped), count(facts.page.columns), plain(threshold));
    let x = plot.px(threshold);
    // The first bin is narrow and tall: the label stands beside it, where the histogram is low.
    if threshold < 0.5 {
        plot.text((x + 6.0).max(plot.px(1.0 / BINS as f64) + 8.0), 46.0, Anchor::Start, "label strong", &label);
    } else {
        plot.text(x - 6.0, 46.0, Anchor::End, "label strong", &label);
    }
    let share = percent(dropped as f64 / facts.page.columns.max(1) as f64);
    let caption = format!("Left of the dashed line lies what counts as dropped: {share} of the inputs.");
    Figure::new("Distribution of relevance", plot.finish("Histogram of relative relevance"), caption)
}

/// A number as the user would type it.
fn plain(value: f64) -> String {
    if value != 0.0 && value < 1e-4 { number(value) } else { format!("{value}") }
}

/// The training's own curve.
pub(crate) fn curve(facts: &Facts) -> Option<Figure> {
    inputs_kept(facts.page.curve?, facts.page.columns, facts.highlight())
}

/// The metric with only the k best of `columns` inputs kept, beside random ones; `highlight` is the point to remember.
pub(crate) fn inputs_kept(curve: &Curve, columns: usize, highlight: Option<&CurvePoint>) -> Option<Figure> {
    let mut points: Vec<&CurvePoint> = curve.points.iter().filter(|p| p.k > 0).collect();
    points.sort_by_key(|p| p.k);
    let last = points.last()?.k.max(2) as f64;
    let log = last > 40.0;
    let first = points.first()?.k as f64;
    let x = if log { Scale::Log(first.min(last * 0.5), last) } else { Scale::Linear(0.0, last) };
    let accuracy = curve.metric.is_share();
    let low_high = |p: &&CurvePoint| [p.random_mean - p.random_std, p.random_mean + p.random_std];
    let mut values: Vec<f64> = points.iter().flat_map(|p| [Some(p.ranked), p.retrained]).flatten().collect();
    values.push(curve.full);
    values.extend(points.iter().map(|p| p.random_mean));
    // A band that reaches zero must not keep an error, which may span decades, from a log scale, nor stretch it.
    let least = if accuracy { 0.0 } else { values.iter().copied().fold(f64::INFINITY, f64::min) };
    values
        .extend(points.iter().flat_map(low_high).filter(|&v| v > least).map(|v| if accuracy { v.min(1.0) } else { v }));
    let y = if accuracy { Scale::round(values) } else { Scale::positive(values) };
    // Headroom for labels above lines that run along the top.
    let y = match y {
        Scale::Linear(low, high) => Scale::Linear(low, high + (high - low) * 0.06),
        log => log,
    };
    let mut plot = Plot::new(HALF, 330.0, [56.0, 16.0, 34.0, 46.0], x, y);
    plot.y_axis(text::metric_name(curve.metric), metric_ticks(curve.metric));
    let series = |value: fn(&CurvePoint) -> f64| points.iter().map(|p| (p.k as f64, value(p))).collect::<Vec<_>>();
    let (Scale::Log(floor, _) | Scale::Linear(floor, _)) = y;
    let ceiling = if accuracy { 1.0 } else { f64::INFINITY };
    let band: Vec<(f64, f64, f64)> = points
        .iter()
        .map(|p| {
            let high = (p.random_mean + p.random_std).min(ceiling).max(floor);
            (p.k as f64, (p.random_mean - p.random_std).max(floor), high)
        })
        .collect();
    plot.band(&band, "s3");
    let full = plot.across(curve.full, "full");
    let random = plot.line(&series(|p| p.random_mean), "s3");
    let retrained: Vec<(f64, f64)> = points.iter().filter_map(|p| Some((p.k as f64, p.retrained?))).collect();
    let anew = (!retrained.is_empty()).then(|| plot.line(&retrained, "s2"));
    plot.dots(&retrained, "s2");
    let ranked = plot.line(&series(|p| p.ranked), "s1 bold");
    plot.x_axis(if log { "inputs kept (log scale)" } else { "inputs kept" }, Ticks::Whole);
    let all = format!("all {}: {}", count(columns), text::metric(curve.metric, curve.full));
    if let Some(p) = highlight {
        let value = text::metric(curve.metric, p.ranked);
        plot.callout((p.k as f64, p.ranked), "s1", &format!("{} best: {value}", count(p.k)));
    }
    plot.label(&full, "", &all);
    plot.label(&ranked, "s1", "k best");
    plot.label(&random, "s3", "k random");
    if let Some(anew) = anew {
        plot.label(&anew, "s2", "retrained");
    }
    let with = match curve.mask.as_str() {
        "mean" => "replaced by their training mean".to_owned(),
        "zero" => "set to zero".to_owned(),
        other => format!("masked ({})", shorten(other, 40)),
    };
    let anew = if retrained.is_empty() { "" } else { " Orange: networks trained anew on the k best inputs." };
    let caption = format!(
        "The trained network on the {} rows, given k inputs and the others {with}. Grey: k random inputs, mean ± one \
         standard deviation over draws.{anew}",
        shorten(&curve.rows, 40)
    );
    Some(Figure::new("How few inputs are enough", plot.finish("Metric against the number of inputs kept"), caption))
}

/// Loss, metric and kept features over the epochs.
pub(crate) fn training(facts: &Facts) -> Block {
    let history = facts.page.history;
    let series = |value: &dyn Fn(usize) -> Option<f64>| -> Vec<(f64, f64)> {
        let all = (0..history.len()).filter_map(|i| Some((history[i].epoch as f64, value(i)?)));
        thin(&all.filter(|point| point.1.is_finite()).collect::<Vec<_>>(), LINE_POINTS / 2)
    };
    let penalty = series(&|i| Some(history[i].penalty));
    let mut loss = vec![
        ("training", "s1", series(&|i| Some(history[i].train_loss))),
        ("validation", "s2", series(&|i| history[i].validation_loss)),
    ];
    if penalty.iter().any(|point| point.1 > 0.0) {
        loss.push(("penalty", "s3", penalty));
    }
    let metric = vec![
        ("training", "s1", series(&|i| Some(history[i].train_metric))),
        ("validation", "s2", series(&|i| history[i].validation_metric)),
    ];
    let kept = vec![("", "s1", series(&|i| Some(history[i].kept_features)))];
    let name = text::metric_name(facts.page.metric);
    let capital = name[..1].to_uppercase() + &name[1..];
    let figures = [
        Figure::new("Loss", course(loss, "loss", Ticks::Plain), ""),
        Figure::new(capital, course(metric, name, metric_ticks(facts.page.metric)), ""),
        Figure::new("Inputs kept", course(kept, "inputs above the threshold", Ticks::Whole), ""),
    ];
    Block::Columns(figures.map(|figure| vec![figure.into()]).to_vec())
}

fn metric_ticks(metric: Metric) -> Ticks {
    if metric.is_share() { Ticks::Percent } else { Ticks::Plain }
}

/// Label, class and points of a line.
type Series<'a> = (&'a str, &'a str, Vec<(f64, f64)>);

fn course(series: Vec<Series>, name: &str, kind: Ticks) -> Picture {
    let values: Vec<f64> = series.iter().flat_map(|s| s.2.iter().map(|point| point.1)).collect();
    let epochs: Vec<f64> = series.iter().flat_map(|s| s.2.iter().map(|point| point.0)).collect();
    let first = epochs.iter().copied().fold(f64::INFINITY, f64::min).min(1.0);
    let last = epochs.iter().copied().fold(first + 1.0, f64::max);
    let y = match kind {
        // Counts start at zero, so that the height tells the share.
        Ticks::Whole => Scale::round(values.into_iter().chain([0.0])),
        Ticks::Percent => Scale::round(values),
        Ticks::Plain => Scale::positive(values),
    };
    let suffix = if matches!(y, Scale::Log(..)) { " (log scale)" } else { "" };
    let mut plot = Plot::new(THIRD, 230.0, [48.0, 12.0, 32.0, 44.0], Scale::Linear(first, last), y);
    plot.y_axis(&format!("{name}{suffix}"), kind);
    plot.x_axis("epoch", Ticks::Whole);
    let traces: Vec<(Trace, &str, &str)> =
        series.iter().rev().map(|(label, class, points)| (plot.line(points, class), *class, *label)).collect();
    let single = traces.iter().filter(|(trace, ..)| !trace.is_empty()).count() < 2;
    for (trace, class, label) in traces.iter().filter(|(trace, ..)| !single && !trace.is_empty()) {
        plot.label(trace, class, label);
    }
    plot.finish(&format!("{name} by epoch"))
}

/// The ranking's own figures in the order that suits the input: image and bars side by side, or a line above both.
pub(crate) fn ranking(facts: &Facts) -> Vec<Block> {
    // Of few features the bars say more.
    let histogram = (facts.page.columns >= HISTOGRAM_FROM).then(|| histogram(facts).into());
    let curve = curve(facts).map(Block::from);
    let bars: Block = ranking_bars(facts).into();
    let Shape::Image(grid) = facts.shape else {
        let line = (facts.shape == Shape::Spectrum).then(|| spectrum(facts).into());
        // Columns of about equal height: many bars need one for themselves.
        let columns = match (facts.ranked.len() > 14, curve) {
            (false, Some(curve)) => vec![[bars].into_iter().chain(histogram).collect(), vec![curve]],
            (_, curve) => vec![vec![bars], histogram.into_iter().chain(curve).collect()],
        };
        return line.into_iter().chain([Block::Columns(columns)]).collect();
    };
    let map = relevance_map(facts, grid).into();
    let below = histogram.into_iter().chain(curve).map(|figure| vec![figure]).collect();
    vec![Block::Columns(vec![vec![map], vec![bars]]), Block::Columns(below)]
}
