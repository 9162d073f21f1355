//! Pages with made-up but realistic results. They are written to `target/tmp/report-*.html`, to be looked at.

use std::path::Path;

use eigenlens::data::Axis;
use eigenlens::relevance::{Curve, CurvePoint, RankedFeature};
use eigenlens::report::formats::Format;
use eigenlens::report::page::{Block, Column, Method, Page, Row, Table, Text};
use eigenlens::report::{Example, TrainPage};
use eigenlens::train::EpochRecord;
use eigenlens::train::Metric;
use eigenlens::write;
use sha2::{Digest, Sha256};

/// Even numbers from 0 to 1 that are the same on every machine.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn rank(relevance: Vec<f64>, std: f64, name: impl Fn(usize) -> String) -> Vec<RankedFeature> {
    let mut order: Vec<usize> = (0..relevance.len()).collect();
    order.sort_by(|&a, &b| relevance[b].total_cmp(&relevance[a]));
    let feature = |(i, feature): (usize, usize)| {
        let value = relevance[feature];
        let lambda = (value / 1.7).sqrt();
        let psi_norm = if lambda > 0.0 { value / lambda } else { 0.3 };
        let relevance_std = value * std;
        RankedFeature {
            rank: i + 1,
            feature,
            name: name(feature),
            lambda,
            psi_norm,
            relevance: value,
            relevance_std,
            relevance_times_std: value,
        }
    };
    order.into_iter().enumerate().map(feature).collect()
}

fn history(epochs: usize, features: f64, metric: Metric) -> Vec<EpochRecord> {
    let mut noise = Noise(7);
    let record = |epoch: usize| {
        let t = epoch as f64 / epochs as f64;
        let train_loss = 0.6 * (-t * 14.0).exp() + 0.004 * (1.0 + 0.4 * noise.next());
        let validation_loss = train_loss * 1.05 + 0.004 * (1.0 + noise.next() * 0.5) + 0.002 * t;
        let value = |loss: f64| if metric == Metric::Accuracy { 1.0 - loss * 0.75 } else { 0.05 + loss * 0.8 };
        EpochRecord {
            epoch,
            step: epoch as u64 * 23,
            rate: 1e-4,
            train_loss,
            penalty: 7.8 * (-t * 9.0).exp() + 0.02,
            train_metric: value(train_loss),
            validation_loss: Some(validation_loss),
            validation_metric: Some(value(validation_loss)),
            kept_features: (features * (0.1 + 0.9 / (1.0 + (18.0 * (t - 0.4)).exp()))).round(),
        }
    };
    (1..=epochs).map(record).collect()
}

fn curve(columns: usize, metric: Metric, retrained: bool) -> Curve {
    let mut ks: Vec<usize> = (0..=60).map(|i| (columns as f64).powf(f64::from(i) / 60.0).round() as usize).collect();
    ks.dedup();
    let points = ks.into_iter().map(|k| {
        let (full, floor) = if metric == Metric::Accuracy { (0.998, 0.53) } else { (0.12, 0.61) };
        let grow = |half: f64| 1.0 - (-(k as f64) / half).exp();
        let ranked = floor + (full - floor) * grow(6.0 * columns as f64 / 784.0 + 1.0);
        let random = floor + (full - floor) * grow(columns as f64 / 4.0);
        CurvePoint {
            k,
            ranked,
            random_mean: random,
            random_std: 0.22 * (full - random).abs() + 0.002,
            retrained: (retrained && k % 3 != 1).then(|| floor + (full - floor) * grow(2.5)),
        }
    });
    let full = if metric == Metric::Accuracy { 0.998 } else { 0.12 };
    Curve { metric, rows: "test".into(), mask: "zero".into(), points: points.collect(), full }
}

/// A blurred digit: a ring for 0, a stroke for 1.
fn digit(one: bool, tilt: f64, size: f64) -> Vec<f64> {
    let pixel = |i: usize| {
        let (x, y) = ((i % 28) as f64 - 13.5, (i / 28) as f64 - 13.5);
        let x = x + tilt * y;
        let distance =
            if one { x.hypot((y.abs() - 8.5 * size).max(0.0)) } else { ((x / 0.8).hypot(y) - 7.6 * size).abs() * 0.9 };
        (1.6 - distance * 0.75).clamp(0.0, 1.0)
    };
    (0..784).map(pixel).collect()
}

/// Relevance as a training on 0 v 1 leaves it: the stroke in the middle and the ring around it, zero elsewhere.
fn digits_relevance() -> Vec<f64> {
    let (ring, stroke) = (digit(false, 0.15, 1.0), digit(true, 0.2, 0.6));
    let mut noise = Noise(3);
    (0..784)
        .map(|i| {
            let base = 0.45 * ring[i].powi(3) + 1.1 * stroke[i].powi(2);
            let value = base * noise.next().powi(2);
            if value < 0.04 { value * 0.02 } else { value }
        })
        .collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn settings() -> Vec<(String, String)> {
    pairs(&[
        ("network", "784-100-100-50-2, ReLU, batch normalisation after the first layer"),
        ("optimiser", "Adam, learning rate 0.0001, batch 500"),
        ("penalties", "r_λ 0.01, r_ψ 0.0001"),
        ("epochs", "500"),
        ("seed", "42"),
    ])
}

fn machine() -> Vec<(String, String)> {
    pairs(&[("device", "NVIDIA H200 (Vulkan)"), ("driver", "570.86"), ("training took", "12.4 s")])
}

fn scores(name: &str, value: f64) -> Vec<(String, Vec<(String, f64)>)> {
    let set = |set: &str, value: f64| (set.to_owned(), vec![(name.to_owned(), value), ("loss".to_owned(), 0.0123)]);
    vec![set("train", value * 1.001), set("validation", value * 0.999), set("test", value)]
}

fn axis(name: &str, len: usize) -> Axis {
    Axis::new(name, len)
}

const SCRIPT: &str = include_str!("../src/report/page.js");

/// What a page says that it may load, with the script by its hash.
fn policy() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digest: Vec<u8> = Sha256::digest(SCRIPT).into_iter().chain([0]).collect();
    let sextets = digest.chunks(3).flat_map(|c| [c[0] >> 2, c[0] << 4 | c[1] >> 4, c[1] << 2 | c[2] >> 6, c[2]]);
    let hash: String = sextets.map(|sextet| ALPHABET[usize::from(sextet & 63)] as char).take(43).collect();
    format!(
        "Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
         script-src 'sha256-{hash}='; base-uri 'none'; form-action 'none'\""
    )
}

/// Writes a page where it can be looked at, and checks what must hold for every page.
fn show(name: &str, page: &TrainPage) -> String {
    let html = Format::Html.text(&page.page());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{name}.html"));
    write::atomic(path, |out| out.write_all(html.as_bytes())).unwrap();
    assert!(html.len() < 1_000_000, "{name}: {} bytes", html.len());
    assert!(html.contains(&policy()), "{name} allows its own script and nothing else");
    // The script stands at the end, once.
    let (body, script) = html.split_once("<script>").unwrap_or_default();
    assert!(script.starts_with(SCRIPT) && script[SCRIPT.len()..].starts_with("</script></body></html>"), "{name}");
    for forbidden in ["http://", "https://", "<script", "NaN", "inf\"", "@import"] {
        assert!(!body.contains(forbidden) && !script.contains("http"), "{name} contains {forbidden}");
    }
    for tag in ["figure", "svg", "table", "section", "div", "dl", "details", "text"] {
        let opened = html.matches(&format!("<{tag} ")).count() + html.matches(&format!("<{tag}>")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{name}: <{tag}>");
    }
    assert_eq!(html.matches("<svg").count(), html.matches("role=\"img\"").count());
    assert!(html.contains("2406.01183") && html.contains(env!("CARGO_PKG_VERSION")));
    html
}

fn summary(text: &[&str]) -> Vec<String> {
    text.iter().map(|&sentence| sentence.to_owned()).collect()
}

#[test]
fn image() {
    let ranking = rank(digits_relevance(), 0.0, |i| format!("pixel ({}, {})", i / 28, i % 28));
    let (history, curve) = (history(500, 784.0, Metric::Accuracy), curve(784, Metric::Accuracy, true));
    let mut examples: Vec<Example> = (0..7)
        .map(|i| {
            let label = (i % 2).to_string();
            let values = digit(i % 2 == 1, 0.1 * i as f64 - 0.1, 0.85 + 0.05 * i as f64);
            Example { values, predicted: label.clone(), label }
        })
        .collect();
    examples[5].predicted = "0".into();
    let page = TrainPage {
        title: "MNIST 0 v 1",
        summary: summary(&[
            "Of 784 pixels, 117 keep a relevance above 1 % of the largest.",
            "With the 20 best pixels alone the network reaches 98.0 % on the test rows, against 99.8 % with all.",
            "Twenty random pixels give 57.5 %.",
        ]),
        ranking: &ranking,
        columns: 784,
        axes: &[axis("row", 28), axis("column", 28)],
        by_channel: false,
        threshold: 0.01,
        history: &history,
        curve: Some(&curve),
        metric: Metric::Accuracy,
        examples: &examples,
        scores: &scores("accuracy", 0.998),
        assessment: None,
        settings: &settings(),
        machine: &machine(),
    };
    let html = show("image", &page);
    assert_eq!(html, Format::Html.text(&page.page()), "the page is deterministic");
    assert!(html.contains("The 20 best are outlined"));
    assert!(html.contains("<span class=\"wrong\">predicted </span><span class=\"wrong\"><b>0</b></span>"));
}

#[test]
fn table_with_replicas() {
    let names = ["alcohol", "volatile acidity", "sulphates", "total sulfur dioxide (free and bound, mg per litre)"];
    let mut noise = Noise(11);
    let values = (0..20).map(|i| if i % 9 > 4 { 1e-5 * noise.next() } else { 0.3 + 1.4 * noise.next() }).collect();
    let ranking = rank(values, 0.12, |i| names.get(i).map_or_else(|| format!("x{i}"), |name| (*name).to_owned()));
    let (history, curve) = (history(120, 20.0, Metric::Accuracy), curve(20, Metric::Accuracy, false));
    let example = |i: usize| Example {
        values: (0..20).map(|j| ((i * 7 + j * 3) % 11) as f64 * 0.31 - 1.2).collect(),
        label: if i == 3 { "ill".into() } else { "healthy".into() },
        predicted: "healthy".into(),
    };
    let examples: Vec<Example> = (0..5).map(example).collect();
    let page = TrainPage {
        title: "Two Gaussian classes",
        summary: summary(&["11 of 20 inputs keep an eigenvalue.", "Ten networks agree on the order."]),
        ranking: &ranking,
        columns: 20,
        axes: &[axis("feature", 20)],
        by_channel: false,
        threshold: 0.001,
        history: &history,
        curve: Some(&curve),
        metric: Metric::Accuracy,
        examples: &examples,
        scores: &scores("accuracy", 0.957),
        assessment: None,
        settings: &settings(),
        machine: &machine(),
    };
    let html = show("table", &page);
    assert!(html.contains("one standard deviation") && html.contains("± std"));
}

#[test]
fn spectrum() {
    let wavelength = |i: usize| 3540.5 + 0.9 * i as f64;
    let lines =
        [(3934.0, 0.9), (3968.0, 0.7), (4384.0, 0.6), (4861.0, 0.35), (5015.0, 0.5), (5175.0, 1.0), (5270.0, 0.4)];
    let mut noise = Noise(5);
    let values: Vec<f64> = (0..4300)
        .map(|i| {
            let near = |&(at, height): &(f64, f64)| height * (-((wavelength(i) - at) / 4.0).powi(2)).exp();
            let value = lines.iter().map(near).sum::<f64>() * (0.3 + 0.7 * noise.next());
            if value < 1e-3 { 1e-4 * noise.next() } else { value }
        })
        .collect();
    let ranking = rank(values, 0.2, |i| format!("{:.1} Å", wavelength(i)));
    let (history, curve) = (history(1000, 4300.0, Metric::Mae), curve(4300, Metric::Mae, false));
    let example = |seed: u64| {
        let mut noise = Noise(seed);
        let flux = |i: usize| {
            let dip = |&(at, depth): &(f64, f64)| 0.5 * depth * (-((wavelength(i) - at) / 8.0).powi(2)).exp();
            let slope = 1.2 - (wavelength(i) - 5500.0).abs() / 6000.0;
            slope - lines.iter().map(dip).sum::<f64>() + 0.03 * noise.next()
        };
        Example { values: (0..4300).map(flux).collect(), label: "−0.42".into(), predicted: "−0.38".into() }
    };
    let examples = [example(1), example(2)];
    let page = TrainPage {
        title: "Stellar metallicity from MILES spectra",
        summary: summary(&["Thirty of 4,300 wavelengths are enough for the smallest error."]),
        ranking: &ranking,
        columns: 4300,
        axes: &[axis("wavelength", 4300)],
        by_channel: false,
        threshold: 0.01,
        history: &history,
        curve: Some(&curve),
        metric: Metric::Mae,
        examples: &examples,
        scores: &scores("MAE", 0.119),
        assessment: None,
        settings: &settings(),
        machine: &machine(),
    };
    let html = show("spectrum", &page);
    assert!(html.contains("wavelength (Å)") && html.contains("5175.8 Å"));
}

fn bare<'a>(ranking: &'a [RankedFeature], axes: &'a [Axis]) -> TrainPage<'a> {
    TrainPage {
        title: "bare",
        summary: Vec::new(),
        ranking,
        columns: ranking.len(),
        axes,
        by_channel: false,
        threshold: 0.01,
        history: &[],
        curve: None,
        metric: Metric::Accuracy,
        examples: &[],
        scores: &[],
        assessment: None,
        settings: &[],
        machine: &[],
    }
}

#[test]
fn hostile_text_stays_text() {
    let evil = "<script>alert('x')</script>\"&";
    let ranking = rank(vec![1.0, 0.5], 0.1, |i| if i == 0 { evil.into() } else { "x".repeat(5000) });
    let list = [(evil.to_owned(), evil.to_owned())];
    let scores = [(evil.to_owned(), vec![(evil.to_owned(), 1.0)])];
    let examples = [Example { values: vec![1.0, 2.0], label: evil.into(), predicted: evil.into() }];
    let axes = [axis(evil, 2)];
    let mut curve = curve(2, Metric::Mae, true);
    (curve.rows, curve.mask) = (evil.into(), evil.into());
    let page = TrainPage {
        title: evil,
        summary: vec![evil.into()],
        settings: &list,
        machine: &list,
        scores: &scores,
        assessment: None,
        examples: &examples,
        curve: Some(&curve),
        ..bare(&ranking, &axes)
    };
    let html = show("hostile", &page);
    assert!(html.contains("&lt;script&gt;") && !html.contains(&"x".repeat(300)));
}

#[test]
fn extremes() {
    let one = rank(vec![0.7], 0.0, |_| "only".into());
    show("one", &bare(&one, &[axis("feature", 1)]));
    let zero = rank(vec![0.0; 784], 0.0, |i| format!("p{i}"));
    let html = show("zero", &bare(&zero, &[axis("row", 28), axis("column", 28)]));
    assert!(html.contains("Every relevance is zero"));
    let mut noise = Noise(1);
    let many =
        rank((0..10_000).map(|_| noise.next().powi(9)).collect(), 0.3, |i| format!("a rather long gene name {i}"));
    let (history, curve) = (history(5000, 1e4, Metric::Mae), curve(10_000, Metric::Mae, true));
    let examples: Vec<Example> = (0..50)
        .map(|i| Example { values: vec![f64::from(i); 10_000], label: "a".into(), predicted: "b".into() })
        .collect();
    let axes = [axis("gene", 10_000)];
    let page = TrainPage { history: &history, curve: Some(&curve), examples: &examples, ..bare(&many, &axes) };
    show("many", &page);
    let axes = [axis("row", 100), axis("column", 100)];
    show("large-image", &TrainPage { examples: &examples, ..bare(&many, &axes) });
    show("nothing", &bare(&[], &[]));
    // One epoch, one point of the curve, and the same value everywhere.
    let (first, single) = (&history[..1], Curve { points: curve.points[..1].to_vec(), ..curve.clone() });
    let axes = [axis("feature", 1)];
    show("short", &TrainPage { history: first, curve: Some(&single), ..bare(&one, &axes) });
}

/// A line says that its points have an order, which the columns of a table don't have; a distribution is of many.
#[test]
fn figures_say_no_more_than_there_is() {
    let ranking = rank((0..300).map(|i| 1.0 / f64::from(i + 1)).collect(), 0.0, |i| format!("gene {i}"));
    let along = |name: &str| show(name, &bare(&ranking, &[axis(name, 300)])).contains("Relevance along the input");
    assert!(along("wavelength") && !along("feature"));
    let distribution = |columns: usize| {
        let html = show("few", &bare(&ranking[..columns], &[axis("feature", columns)]));
        html.contains("Distribution of relevance")
    };
    assert!(distribution(20) && !distribution(19));
}

/// The same page for programs and as text: every number of the HTML page's tables is in both, and names are text there too.
#[test]
fn the_other_formats_say_the_same() {
    let evil = "a|b <c> `d` [e](f)";
    let ranking = rank(vec![1.0, 0.5, 0.25], 0.1, |i| if i == 0 { evil.into() } else { format!("x{i}") });
    let scores = scores("accuracy", 0.957);
    let curve = curve(3, Metric::Accuracy, true);
    let page = TrainPage { scores: &scores, curve: Some(&curve), ..bare(&ranking, &[axis("feature", 3)]) }.page();
    let [html, markdown, json] = [Format::Html, Format::Markdown, Format::Json].map(|format| format.text(&page));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let tables = json["sections"].as_array().unwrap().iter().flat_map(|s| s["blocks"].as_array().unwrap());
    let rows = tables.filter_map(|block| block["table"]["rows"].as_array()).flatten();
    let cells: Vec<&str> =
        rows.flat_map(|row| row["cells"].as_array().unwrap()).map(|cell| cell.as_str().unwrap()).collect();
    assert!(cells.len() >= 3 * 6 + 3 * 3, "{cells:?}");
    for cell in cells.iter().filter(|cell| **cell != evil) {
        assert!(html.contains(&format!(">{cell}<")) && markdown.contains(cell), "{cell}");
    }
    assert!(cells.contains(&evil), "JSON holds names as they are");
    assert!(markdown.contains("| 1 | a\\|b \\<c\\> \\`d\\` \\[e\\](f) |"), "{markdown}");
    assert_eq!(json["title"], "bare");
    assert_eq!(markdown.matches("\n## ").count(), json["sections"].as_array().unwrap().len());
}

/// What a page holds is data: HTML stands in the renderer alone, SVG in the files that draw.
#[test]
fn pages_hold_no_html() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut pages = 0;
    for folder in ["report", "reproduce"] {
        for entry in std::fs::read_dir(source.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !name.ends_with(".rs") || (folder == "report" && !name.ends_with("_page.rs") && name != "page.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            pages += usize::from(name.ends_with("_page.rs"));
            for tag in [
                "<div", "<p>", "<p ", "<path", "<td", "<tr", "<table", "<figure", "<h", "<b>", "<sub", "<section",
                "<span", "<svg", "<br", "<dl", "<ul", "<li", "<text", "<rect", "<circle", "<g>", "<g ",
            ] {
                assert!(!text.contains(tag), "{folder}/{name} has {tag}");
            }
        }
    }
    assert!(pages >= 7, "{pages} pages are read");
}

fn page_of(blocks: Vec<Block>) -> Page {
    let mut page = Page {
        kind: "Report",
        title: "# T".into(),
        lead: vec!["Lead.".into()],
        numbers: vec![],
        sections: vec![],
        method: Method::Spectral,
        links: vec![],
    };
    page.section("nothing", vec![Block::Columns(vec![vec![], vec![Block::List(vec![])]])]);
    page.section("S", blocks);
    page
}

#[test]
fn markup_is_read_and_data_is_not() {
    let text = Text::marked("a **b_{k} = 1** c");
    let spans: Vec<(&str, bool, bool)> = text.0.iter().map(|s| (s.text.as_str(), s.strong, s.sub)).collect();
    let wanted =
        [("a ", false, false), ("b", true, false), ("k", true, true), (" = 1", true, false), (" c", false, false)];
    assert_eq!(spans, wanted);
    assert_eq!(Text::from("x_{1} ** 2").0.len(), 1);
    let page = page_of(vec![Block::Note(text), Block::Note("x_{1} ** <b>".into())]);
    let html = Format::Html.text(&page);
    assert!(html.contains("a <b>b</b><b><sub>k</sub></b><b> = 1</b> c") && html.contains("x_{1} ** &lt;b&gt;"));
    assert!(Format::Json.text(&page).contains("\"a bk = 1 c\""));
}

#[test]
fn a_page_reads_as_text() {
    let rows = vec![["1", "a|b", "price_k _x_"].into_iter().collect::<Row>()];
    let columns = vec![Column::number("rank"), Column::text("name"), Column::text("")];
    let table = Table::new(columns, rows).caption("Two columns.");
    let page = page_of(vec![table.into(), Block::Note(Text::marked("**α_{k} = 3** holds A_{10}"))]);
    assert_eq!(page.sections.len(), 1, "sections without content are left out");
    let text = Format::Markdown.text(&page);
    let wanted = "| rank | name |  |\n| --: | :-- | :-- |\n| 1 | a\\|b | price_k \\_x\\_ |\n\nTwo columns.";
    assert!(text.contains(wanted), "{text}");
    assert!(text.contains("**α**_k **= 3** holds A₁₀") && text.starts_with("# \\# T\n\nLead.\n"), "{text}");
}
