//! The page of the stellar spectra.

use super::experiment_page::{checks, numbers, reproduction};
use super::lick::{BANDS, Band, H_ALPHA, ShareTest, ShiftTest};
use super::stellar::{BEST, SplitOutcome, Stellar, StellarRun, TopWavelength, schedule_name};
use crate::data::ScaleKind;
use crate::report::figures::{HALF, LINE_POINTS, WIDE};
use crate::report::page::{Block, Definitions, Figure, KeyFigure, Method, Page, Row, Table, Text, Tone};
use crate::report::svg::{Anchor, Plot, Scale, Ticks, thin};
use crate::report::text::{count, number, percent, serde_name, short};

/// Names of bands stand in so many lines above a plot at most.
const TIERS: usize = 4;
const TIER: f64 = 15.0;

/// The whole page.
pub fn page(outcome: &Stellar, device: &str) -> Page {
    let mut page = head(outcome, "Stellar spectra: which wavelengths tell a star's metallicity");
    for run in &outcome.runs {
        let name = match outcome.runs.len() {
            1 => String::new(),
            _ => format!(", {} learning rate", schedule_name(run.schedule)),
        };
        page.section(format!("Which wavelengths count{name}"), relevance(outcome, run));
        let curve = curve(outcome, run).map(Block::from).into_iter().collect();
        let few = Block::Columns(vec![curve, vec![scatter(run).into()]]);
        page.section(format!("How few are enough{name}"), vec![few, splits(run).into()]);
        page.section(format!("In which bands the best {BEST} lie{name}"), vec![Block::pair(bands(run), best(run))]);
        page.section(format!("Held against the acceptance{name}"), checks(&run.checks));
    }
    page.section("The data", vec![spectra(outcome).into()]);
    page.section("How to read this", EXPLANATION.map(|text| Block::Paragraph(text.into())).to_vec());
    page.section("How it was made", made(outcome, device));
    page
}

fn head(outcome: &Stellar, title: &str) -> Page {
    let Some(run) = outcome.runs.first() else {
        return reproduction(title, String::new(), Vec::new(), Method::Spectral);
    };
    let retrained = run.retrained(BEST).unwrap_or(f64::NAN);
    let (_, lowest) = run.mean_curve();
    let test = run.ranking.top_in_metal_bands;
    let kept = run.mean(|s| s.kept);
    let lead = format!(
        "A spectral network learned the metallicity [Fe/H] of {} stars of the MILES library from {} fluxes. It uses {} of them: \
         its error on test stars is {} dex with all wavelengths, and {} dex for networks trained anew on the best {BEST} alone \
         (always answering the median errs by {} dex). With the other wavelengths set to {} the same network does best with \
         {lowest}; the paper says about {}. Of the best {BEST}, {} lie in the six bands known for metals, where chance puts {}.",
        count(outcome.stars),
        count(outcome.wavelength.len()),
        number_of(kept),
        short(run.mean(|s| s.test_mae)),
        short(retrained),
        short(run.mean(|s| s.median_mae)),
        masked_by(outcome.settings.scale),
        outcome.paper.wavelengths_at_lowest_error,
        test.hits,
        short(test.expected),
    );
    let numbers = vec![
        KeyFigure::new(short(run.mean(|s| s.test_mae)), "dex: test error with all wavelengths"),
        KeyFigure::new(short(retrained), format!("dex: test error on the best {BEST} alone, trained anew")),
        KeyFigure::new(lowest.to_string(), "wavelengths at the lowest masked error"),
        KeyFigure::new(short(test.p), format!("p that as many of the best {BEST} fall into metal bands by chance")),
    ];
    reproduction(title, lead, numbers, Method::Spectral)
}

/// A mean of counts.
fn number_of(mean: f64) -> String {
    if mean.fract() == 0.0 { count(mean as usize) } else { format!("about {}", count(mean.round() as usize)) }
}

/// A plot over the wavelengths with the bands shaded over its height and named above it.
fn over_wavelengths(wavelength: &[f64], height: f64, y: Scale, names: bool) -> Plot {
    let x = Scale::Linear(wavelength[0], wavelength[wavelength.len() - 1]);
    let top = 34.0 + if names { TIERS as f64 * TIER } else { 0.0 };
    let mut plot = Plot::new(WIDE, height + top, [56.0, 14.0, top, 46.0], x, y);
    let (Scale::Linear(low, high) | Scale::Log(low, high)) = y;
    let inside = |b: &&Band| b.from >= wavelength[0] && b.to <= wavelength[wavelength.len() - 1];
    let mut ends = [f64::NEG_INFINITY; TIERS];
    // Bands with the same window share a shade and a name; Hα is no Lick band, and there to be seen empty.
    let mut shown: Vec<(Band, String)> = Vec::new();
    for band in BANDS.iter().chain([&H_ALPHA]).filter(inside) {
        match shown.iter_mut().find(|(b, _)| (b.from, b.to) == (band.from, band.to)) {
            Some((_, name)) => name.push_str(&format!(", {}", band.name)),
            None => shown.push((*band, band.name.to_owned())),
        }
    }
    for (band, name) in &shown {
        let class = if band.metal { "s2" } else { "s3" };
        plot.band(&[(band.from, low, high), (band.to, low, high)], class);
        if !names {
            continue;
        }
        let (x, half) = (plot.px((band.from + band.to) / 2.0), name.chars().count() as f64 * 3.8);
        // The lowest line that is free, so that most names stand close to their bands.
        let free = (0..TIERS).find(|&tier| ends[tier] + 5.0 < x - half);
        let tier = free.unwrap_or(TIERS - 1);
        ends[tier] = x + half;
        let y = plot.py(high) - 6.0 - tier as f64 * TIER;
        if tier > 0 {
            plot.stem(x, y + 3.0, plot.py(high));
        }
        plot.text(x, y, Anchor::Middle, &format!("tick {class}"), name);
    }
    plot
}

fn relevance(outcome: &Stellar, run: &StellarRun) -> Vec<Block> {
    let w = &outcome.wavelength;
    let draw = |values: &[f64], top: &[TopWavelength], height: f64, names: bool, peaks: &[TopWavelength]| -> Plot {
        let mut plot = over_wavelengths(w, height, Scale::Linear(0.0, 1.08), names);
        plot.y_axis("λ̃ / max λ̃", Ticks::Plain);
        let points: Vec<(f64, f64)> = w.iter().copied().zip(values.iter().copied()).collect();
        plot.line(&thin(&points, 2 * LINE_POINTS), "s1 thin");
        let marks: Vec<(f64, f64)> = top.iter().map(|t| (t.wavelength, t.relevance)).collect();
        plot.dots(&marks, "s1");
        plot.x_axis("wavelength (Å)", Ticks::Plain);
        for peak in peaks {
            plot.peak((peak.wavelength, peak.relevance), &format!("{:.0}", peak.wavelength));
        }
        plot
    };
    let r = &run.ranking;
    let mean = draw(&r.relevance, &r.top, 330.0, true, &r.peaks).finish("Relevance of every wavelength");
    let caption = format!(
        "Mean over {} of {}, each relative to its largest. Dots: the best {BEST} wavelengths; numbers: peaks, in Å, where there \
         is room. Orange: the six bands known for metals; grey: the other Lick bands, and Hα.",
        counted(run.splits.len(), "split"),
        counted(outcome.settings.replicas, "network")
    );
    let mut out = vec![Figure::new("Relevance over wavelength", mean, caption).wide().into()];
    if run.splits.len() > 1 {
        let one = |split: &SplitOutcome| {
            let ranking = &split.ranking;
            let plot = draw(&ranking.relevance, &ranking.top, 110.0, false, &[]);
            let picture = plot.finish(&format!("Relevance in split {}", split.seed));
            Figure::new(format!("Split {}", split.seed), picture, "").wide().into()
        };
        out.push(Block::Details {
            summary: format!("The {} splits one by one", run.splits.len()),
            blocks: run.splits.iter().map(one).collect(),
        });
    }
    let d = &run.diffuse;
    let plot = draw(&d.ranking.relevance, &d.ranking.top, 200.0, false, &d.ranking.peaks);
    let caption = format!(
        "The same after {} epochs with r_λ {}, which leave about {} wavelengths above a hundredth of the largest and a test error of \
         {} dex.",
        outcome.settings.diffuse_epochs,
        outcome.settings.diffuse_reg_lambda,
        count(d.kept.round() as usize),
        short(d.test_mae)
    );
    let less = plot.finish("Relevance, smaller penalty");
    out.push(Figure::new("With a smaller penalty (figure 13)", less, caption).wide().into());
    out.push(Block::pair(histogram(run), shares(run)));
    out
}

/// How many wavelengths have which λ̃ (the paper's figure 11, upper left), all splits together.
fn histogram(run: &StellarRun) -> Figure {
    const BINS: usize = 40;
    let mut bins = [0usize; BINS];
    let all = run.splits.iter().flat_map(|s| &s.ranking.relevance);
    for r in all.clone() {
        bins[((r * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    let total = all.count().max(1) as f64;
    let low = 0.5 / total;
    let mut plot = Plot::new(HALF, 290.0, [56.0, 12.0, 34.0, 46.0], Scale::Linear(0.0, 1.0), Scale::Log(low, 1.5));
    plot.y_axis("share of the wavelengths (log scale)", Ticks::Plain);
    for (i, &height) in bins.iter().enumerate().filter(|&(_, &height)| height > 0) {
        let (from, to) = (i as f64 / BINS as f64, (i + 1) as f64 / BINS as f64);
        let tip = format!("{} wavelengths from {from:.3} to {to:.3}", count(height));
        plot.bar((from + 0.002, low), (to - 0.002, height as f64 / total), "s1", &tip);
    }
    plot.x_axis("λ̃ / max λ̃", Ticks::Plain);
    let dropped = 1.0 - run.mean(|s| s.kept) / run.ranking.relevance.len() as f64;
    let caption =
        format!("{} of the wavelengths are below a hundredth of the largest. All splits together.", percent(dropped));
    Figure::new("Distribution of relevance", plot.finish("Histogram of relevance"), caption)
}

/// Hits beside chance for wavelengths and peaks.
fn shares(run: &StellarRun) -> Table {
    let row = |what: &str, t: &ShiftTest| {
        [what.to_owned(), format!("{} of {}", t.hits, t.marked), short(t.expected), short(t.p)].into_iter().collect()
    };
    let share = |what: &str, t: &ShareTest| {
        [what.to_owned(), percent(t.share), percent(t.expected), short(t.p)].into_iter().collect()
    };
    let (r, d) = (&run.ranking, &run.diffuse.ranking);
    let mut rows: Vec<Row> = vec![
        row(&format!("best {BEST} wavelengths, six metal bands"), &r.top_in_metal_bands),
        row(&format!("best {BEST} wavelengths, all bands"), &r.top_in_all_bands),
        row("highest peaks 10 Å apart, six metal bands", &r.peaks_in_metal_bands),
        row("highest peaks 10 Å apart, all bands", &r.peaks_in_all_bands),
        row(&format!("best {BEST} of every split, six metal bands"), &run.every_split_in_metal_bands),
        share("share of Σλ̃, six metal bands", &r.share_in_metal_bands),
        row(&format!("smaller penalty: best {BEST}, six metal bands"), &d.top_in_metal_bands),
        row(&format!("smaller penalty: best {BEST} of every split"), &run.diffuse_every_split_in_metal_bands),
        row("smaller penalty: peaks, six metal bands", &d.peaks_in_metal_bands),
        share("smaller penalty: share of Σλ̃", &d.share_in_metal_bands),
    ];
    rows.extend(run.splits.iter().map(|split| {
        row(&format!("split {}: best {BEST}, six metal bands", split.seed), &split.ranking.top_in_metal_bands)
    }));
    let caption = "p is the share of all circular shifts of the wavelength axis with at least as many inside.";
    numbers(&["", "inside", "by chance", "p"], rows, true).title("Inside the bands, and by chance").caption(caption)
}

fn curve(outcome: &Stellar, run: &StellarRun) -> Option<Figure> {
    let (points, best) = run.mean_curve();
    if points.is_empty() {
        return None;
    }
    let full = run.mean(|s| s.curve.full);
    let masked: Vec<(f64, f64)> = points.iter().map(|&(k, mae, _)| (k as f64, mae)).collect();
    let ks: Vec<usize> = run.splits[0].retrained.iter().map(|r| r.k).collect();
    let retrained: Vec<(f64, f64)> = ks.iter().filter_map(|&k| Some((k as f64, run.retrained(k)?))).collect();
    let random: Vec<(f64, f64)> =
        (0..ks.len()).map(|i| (ks[i] as f64, run.mean(|s| s.retrained[i].random_mae))).collect();
    let spread = |i: usize| run.mean(|s| s.retrained[i].random_std);
    let values = masked.iter().chain(&retrained).chain(&random).map(|p| p.1);
    let last = outcome.wavelength.len() as f64;
    // Masked networks err wildly with a few inputs; what is worth seeing lies below four times the full error.
    let high = values.clone().fold(0.0, f64::max).min(6.0 * full);
    let low = values.fold(full, f64::min);
    let y = Scale::Log(low / 1.15, high * 1.1);
    let mut plot = Plot::new(HALF, 400.0, [56.0, 16.0, 34.0, 46.0], Scale::Log(1.0, last), y);
    plot.y_axis("test error, dex (log scale)", Ticks::Plain);
    let cut = |points: &[(f64, f64)]| points.iter().map(|&(k, e)| (k, e.min(high * 1.1))).collect::<Vec<_>>();
    let around: Vec<(f64, f64, f64)> = random
        .iter()
        .enumerate()
        .map(|(i, &(k, e))| (k, (e - spread(i)).max(low / 1.15), (e + spread(i)).min(high * 1.1)))
        .collect();
    plot.band(&around, "s3");
    plot.upright(outcome.paper.wavelengths_at_lowest_error as f64, "limit");
    let all = plot.across(full, "full");
    let control = plot.line(&random, "s3");
    plot.dots(&random, "s3");
    let anew = plot.line(&retrained, "s2 bold");
    plot.dots(&retrained, "s2");
    let same = plot.line(&cut(&masked), "s1");
    plot.x_axis("wavelengths kept, k (log scale)", Ticks::Whole);
    let lowest = masked.iter().find(|p| p.0 == best as f64).map_or(full, |p| p.1);
    plot.callout((best as f64, lowest), "s1", &format!("lowest: {best}, {}", short(lowest)));
    plot.label(&anew, "s2", "k best, trained anew");
    plot.label(&control, "s3", "k random, trained anew");
    plot.label(&same, "s1", "k best, masked");
    plot.label(&all, "", &format!("all: {}", short(full)));
    let clipped = masked.iter().any(|p| p.1 > high * 1.1);
    let beyond = if clipped { " Where the blue line runs along the top, the error is larger." } else { "" };
    let caption = format!(
        "Means over {}. Blue: the trained network with the other wavelengths set to {}. Orange: networks trained anew on \
         the k best alone. Grey: on k random ones, ± one standard deviation over draws. Dashed: where the paper's masked curve is \
         lowest, about {}.{beyond}",
        counted(run.splits.len(), "split"),
        masked_by(outcome.settings.scale),
        outcome.paper.wavelengths_at_lowest_error
    );
    let picture = plot.finish("Error against wavelengths kept");
    Some(Figure::new("Error against the number of wavelengths", picture, caption))
}

fn scatter(run: &StellarRun) -> Figure {
    let stars: Vec<(f64, f64)> =
        run.splits.iter().flat_map(|s| &s.predictions).map(|p| (p.known, p.predicted)).collect();
    let scale = Scale::round(stars.iter().flat_map(|&(a, b)| [a, b]));
    let mut plot = Plot::new(HALF, 400.0, [56.0, 16.0, 34.0, 46.0], scale, scale);
    plot.y_axis("predicted [Fe/H], dex", Ticks::Plain);
    let (Scale::Linear(low, high) | Scale::Log(low, high)) = scale;
    plot.line(&[(low, low), (high, high)], "full");
    plot.dots(&stars, "s1 cloud");
    plot.x_axis("[Fe/H] of the library, dex", Ticks::Plain);
    let caption = format!(
        "{} test stars of {}, all wavelengths. On the dotted line a prediction is right.",
        count(stars.len()),
        counted(run.splits.len(), "split")
    );
    Figure::new("Predicted and known metallicity", plot.finish("Predicted against known metallicity"), caption)
}

fn splits(run: &StellarRun) -> Table {
    let heads = [
        "split",
        "train error",
        "test error",
        "test R²",
        "kept",
        "lowest masked",
        "at k",
        "enough",
        "30 best, anew",
        "30 random, anew",
    ];
    let at = |s: &SplitOutcome, random: bool| {
        let found = s.retrained.iter().find(|r| r.k == BEST);
        found.map_or(f64::NAN, |r| if random { r.random_mae } else { r.mae })
    };
    let mut rows: Vec<Row> = run
        .splits
        .iter()
        .map(|s| {
            let cells = [
                s.seed.to_string(),
                number(s.train_mae),
                number(s.test_mae),
                number(s.test_r2),
                format!("{:.0}", s.kept),
                number(s.best_k_mae),
                s.best_k.to_string(),
                s.enough_k.to_string(),
                number(at(s, false)),
                number(at(s, true)),
            ];
            cells.into_iter().collect()
        })
        .collect();
    let lowest = run.mean_curve().1 as f64;
    let mean = [
        run.mean(|s| s.train_mae),
        run.mean(|s| s.test_mae),
        run.mean(|s| s.test_r2),
        run.mean(|s| s.kept),
        run.mean(|s| s.best_k_mae),
        lowest,
        run.mean(|s| s.enough_k as f64),
        run.mean(|s| at(s, false)),
        run.mean(|s| at(s, true)),
    ];
    rows.push(["mean".to_owned()].into_iter().chain(mean.map(short)).collect::<Row>().tone(Tone::Total));
    numbers(&heads, rows, true).caption(
        "Errors are mean absolute errors in dex. Kept: λ̃ above a hundredth of the largest. Enough: the fewest with which the \
         masked error is within 1\u{202f}% of that with all; beyond them the curve is flat. The mean's k is that of the mean curve.",
    )
}

fn bands(run: &StellarRun) -> Table {
    let rows = run
        .ranking
        .bands
        .iter()
        .filter(|b| b.best_rank.is_some())
        .map(|b| {
            let name = if b.band.metal { Text::strong(b.band.name) } else { b.band.name.into() };
            let cells = [
                format!("{:.0}–{:.0}", b.band.from, b.band.to),
                b.test.hits.to_string(),
                short(b.test.expected),
                short(b.test.p),
                b.best_rank.map_or_else(String::new, count),
            ];
            [name].into_iter().chain(cells.map(Text::from)).collect::<Row>()
        })
        .collect();
    let caption = match run.ranking.h_alpha_rank {
        Some(rank) => format!("Bold: the six known for metals. The best wavelength of Hα has rank {}.", count(rank)),
        None => "Bold: the six known for metals.".to_owned(),
    };
    let heads = ["band", "Å", "inside", "by chance", "p", "best rank"];
    numbers(&heads, rows, true).title(format!("The best {BEST}, band by band")).caption(caption)
}

fn best(run: &StellarRun) -> Table {
    let rows = run
        .ranking
        .top
        .iter()
        .map(|t| {
            let bands = if t.bands.is_empty() { "–".to_owned() } else { t.bands.join(", ") };
            let cells = [t.rank.to_string(), format!("{:.1}", t.wavelength), short(t.relevance), bands];
            cells.into_iter().collect::<Row>()
        })
        .collect();
    numbers(&["rank", "Å", "λ̃ / max", "bands"], rows, true).title(format!("The best {BEST} wavelengths"))
}

/// Some spectra (the paper's figure 10), one above the other.
fn spectra(outcome: &Stellar) -> Figure {
    let w = &outcome.wavelength;
    let many = outcome.examples.len() as f64;
    let mut plot = over_wavelengths(w, 340.0, Scale::Linear(0.0, many + 0.1), true);
    for (i, (feh, flux)) in outcome.examples.iter().enumerate() {
        // The richest at the bottom, where most lines are.
        let base = many - 1.0 - i as f64;
        let points: Vec<(f64, f64)> = w.iter().zip(flux).map(|(&w, &f)| (w, base + f.max(0.0))).collect();
        plot.line(&thin(&points, 2 * LINE_POINTS), "s0 thin");
        let at = (w[w.len() - 1], base + 0.2);
        let (x, y) = (plot.px(at.0) - 4.0, plot.py(at.1));
        plot.text(x, y, Anchor::End, "label", &format!("[Fe/H] {}", short(*feh)));
    }
    plot.x_axis("wavelength (Å)", Ticks::Plain);
    let caption = format!(
        "Four of the {} stars, from the poorest in metals (top) to the richest; each flux is divided by its largest. {} stars of the \
         file without [Fe/H] are left out.",
        count(outcome.stars),
        count(outcome.stars_without_feh)
    );
    Figure::new("Spectra", plot.finish("Four spectra"), caption).wide()
}

const EXPLANATION: [&str; 2] = [
    "[Fe/H] is the logarithm of a star's iron abundance relative to the Sun's, in dex: −1 is a tenth. Metals absorb light at their \
     own wavelengths, and astronomers measure them in bands, the Lick indices, which were defined by hand. The network knows \
     nothing of them.",
    "Whether its best wavelengths lie in such bands by chance is tested by shifting the whole axis around as a ring. Neighbouring \
     wavelengths say nearly the same, so the best ones come in clusters, and a shift keeps the clusters; a test that drew \
     wavelengths one by one would find everything significant.",
];

/// What a masked wavelength holds: 0 once it is scaled.
fn masked_by(scale: ScaleKind) -> &'static str {
    match scale {
        ScaleKind::Standard => "their mean",
        ScaleKind::MinMax => "their smallest",
        ScaleKind::None | ScaleKind::Unit => "zero",
    }
}

/// "1 network", "3 networks".
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn made(outcome: &Stellar, device: &str) -> Vec<Block> {
    let s = &outcome.settings;
    let n = outcome.wavelength.len();
    let settings = [
        (
            "network",
            format!(
                "{n} – {} – {} – {} – 1; ReLU, tanh, tanh; batch normalisation after the first layer; the first layer spectral",
                s.hidden[0], s.hidden[1], s.hidden[2]
            ),
        ),
        (
            "inputs",
            format!(
                "each star's flux divided by its largest, then {}",
                match s.scale {
                    ScaleKind::None => "as it is".to_owned(),
                    ScaleKind::Standard => "every wavelength standardised by the training stars".to_owned(),
                    other => format!("every wavelength scaled ({}) by the training stars", serde_name(&other)),
                }
            ),
        ),
        (
            "training",
            format!(
                "Adam, learning rate {}, {} epochs, batch {}, mean absolute error of [Fe/H] over its largest magnitude",
                s.rate,
                count(s.epochs),
                s.batch
            ),
        ),
        (
            "penalties",
            format!(
                "r_λ {}, r_ψ {}; {}",
                s.reg_lambda,
                s.reg_psi,
                if s.balanced { "λ and ψ start where these are smallest" } else { "λ starts at 1" }
            ),
        ),
        (
            "splits",
            format!(
                "{} with seeds from {}, {} for testing; {} each",
                s.splits,
                s.seed,
                percent(s.test),
                counted(s.replicas, "network")
            ),
        ),
        (
            "trained anew",
            format!(
                "the same build without spectral weight and penalties, {} epochs with a cosine, {} networks; {} random choices",
                s.retrain_epochs, s.retrain_replicas, s.controls
            ),
        ),
    ];
    let machine = [
        ("engine", device.to_owned()),
        ("time", format!("{:.0} s", outcome.seconds)),
        ("data", outcome.source.clone()),
    ];
    let sources = [
        ("spectra", "MILES: Sánchez-Blázquez et al. 2006, MNRAS 371, 703; Falcón-Barroso et al. 2011, A&A 532, A95"),
        ("[Fe/H]", "Cenarro et al. 2007, MNRAS 374, 664"),
        (
            "bands",
            "Worthey et al. 1994, ApJS 94, 687; Trager et al. 1998, ApJS 116, 1; CaHK: Serven et al. 2005, ApJ 627, 754",
        ),
    ];
    let sources = sources.map(|(name, source)| (name, source.to_owned()));
    let right = vec![Definitions::new("Machine", machine).into(), Definitions::new("Sources", sources).into()];
    vec![Block::Columns(vec![vec![Definitions::new("Settings", settings).into()], right])]
}
