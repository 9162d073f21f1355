//! The results as CSV, for other programs, and the ranking as text, for the terminal.

use std::io::{self, Write};
use std::path::Path;

use crate::Result;
use crate::assess::Control;
use crate::data::Feature;
use crate::relevance::{Curve, RankedFeature};
use crate::report::text;
use crate::selection::Selection;
use crate::train::EpochRecord;
use crate::write;

/// How names from data stand in a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CsvNames {
    #[default]
    AsTheyAre,
    /// With a ' before those that a spreadsheet would take for a formula.
    Safe,
}

impl CsvNames {
    /// What stands in the cell of a name; numbers are no formulas.
    pub fn cell(self, name: &str) -> String {
        let formula = name.starts_with(['=', '+', '-', '@', '\t', '\r']) && name.parse::<f64>().is_err();
        if formula && self == CsvNames::Safe { format!("'{name}") } else { name.to_owned() }
    }
}

/// `relevance.csv`: one row a feature, best first.
pub fn write_relevance(path: impl AsRef<Path>, ranking: &[RankedFeature], names: CsvNames) -> Result<()> {
    let header = ["rank", "feature", "name", "lambda", "psi_norm", "relevance", "relevance_std", "relevance_times_std"];
    let rows = by_rank(ranking).into_iter().map(|f| {
        let numbers = [f.lambda, f.psi_norm, f.relevance, f.relevance_std, f.relevance_times_std].map(float);
        let mut row = vec![f.rank.to_string(), f.feature.to_string(), names.cell(&f.name)];
        row.extend(numbers);
        row
    });
    write::atomic(path, |out| csv_rows(out, &header, rows))
}

/// `relevance.csv` of a selection: one row a column of the data, in the order of its unit's rank. `relevance` is the unit's
/// at the chosen penalty, mean over the seeds; `relative_relevance` is relative to each network's largest, root mean square over
/// the penalties that score within one standard error of the best.
pub fn write_selection(
    path: impl AsRef<Path>,
    selection: &Selection,
    features: &[Feature],
    names: CsvNames,
) -> Result<()> {
    let header =
        ["rank", "feature", "name", "unit", "chosen", "stability", "relevance", "relative_relevance", "kept_by"];
    let point = &selection.path.points[selection.penalty];
    let rows = selection.ranking.iter().enumerate().flat_map(|(i, &u)| {
        let unit = &selection.units[u];
        unit.columns.iter().map(move |&c| {
            let mut row =
                vec![(i + 1).to_string(), c.to_string(), names.cell(&features[c].name), names.cell(&unit.name)];
            row.push(u8::from(i < selection.chosen).to_string());
            let stability = selection.stability.share[u];
            row.extend([stability, point.relevance[u], selection.relative[u], selection.kept_by[u]].map(float));
            row
        })
    });
    write::atomic(path, |out| csv_rows(out, &header, rows))
}

/// `path.csv`: one row a penalty, weakest first. Scores on the validation rows chose; those on the test rows are for reporting.
pub fn write_path(path: impl AsRef<Path>, selection: &Selection) -> Result<()> {
    let header = ["penalty", "kept", "score", "score_se", "rows_se", "test_score", "test_score_se", "chosen"];
    let rows = selection.path.points.iter().enumerate().map(|(i, p)| {
        let mut row: Vec<String> =
            [p.penalty, p.kept, p.score.mean, p.score.se, p.rows_se, p.test.mean, p.test.se].map(float).to_vec();
        row.push(u8::from(i == selection.penalty).to_string());
        row
    });
    write::atomic(path, |out| csv_rows(out, &header, rows))
}

/// `path_relevance.csv`: one row a unit, best first, with its relevance at each penalty of the path (a column each, weakest first),
/// relative to the largest of each network, root mean square over the seeds.
pub fn write_path_relevance(path: impl AsRef<Path>, selection: &Selection, names: CsvNames) -> Result<()> {
    let points = &selection.path.points;
    let penalties: Vec<String> = points.iter().map(|p| float(p.penalty)).collect();
    let header: Vec<&str> = ["rank", "unit"].into_iter().chain(penalties.iter().map(String::as_str)).collect();
    let rows = selection.ranking.iter().enumerate().map(|(i, &u)| {
        let mut row = vec![(i + 1).to_string(), names.cell(&selection.units[u].name)];
        row.extend(points.iter().map(|p| float(p.relative[u])));
        row
    });
    write::atomic(path, |out| csv_rows(out, &header, rows))
}

/// `history.csv`: one row an epoch; what was not measured is empty.
pub fn write_history(path: impl AsRef<Path>, history: &[EpochRecord]) -> Result<()> {
    let header = [
        "epoch",
        "step",
        "rate",
        "train_loss",
        "penalty",
        "train_metric",
        "validation_loss",
        "validation_metric",
        "kept_features",
    ];
    let rows = history.iter().map(|e| {
        vec![
            e.epoch.to_string(),
            e.step.to_string(),
            float(e.rate),
            float(e.train_loss),
            float(e.penalty),
            float(e.train_metric),
            optional(e.validation_loss),
            optional(e.validation_metric),
            float(e.kept_features),
        ]
    });
    write::atomic(path, |out| csv_rows(out, &header, rows))
}

/// `curve.csv`: one row a k; `retrained` is empty where no network was trained anew.
pub fn write_curve(path: impl AsRef<Path>, curve: &Curve) -> Result<()> {
    let header = ["k", "ranked", "random_mean", "random_std", "retrained"];
    let rows = curve.points.iter().map(|p| {
        let numbers = [p.ranked, p.random_mean, p.random_std].map(float);
        let mut row = vec![p.k.to_string()];
        row.extend(numbers);
        row.push(optional(p.retrained));
        row
    });
    write::atomic(path, |out| csv_rows(out, &header, rows))
}

/// Whether a column's input is above noise, with how many times the strongest copy's relevance it has: `yes, 3.2×`.
pub(crate) fn above_noise(control: &Control, column: usize) -> String {
    let above = if control.above[column] { "yes" } else { "no" };
    match control.times_noise(column) {
        Some(times) if times < 0.01 => format!("{above}, <0.01×"),
        Some(times) => format!("{above}, {}×", text::short(times)),
        None => above.to_owned(),
    }
}

/// The best `top` features as an aligned table, ending with a newline. The ± column appears only with several replicas, "above noise"
/// with a control.
pub fn ranking_text(ranking: &[RankedFeature], control: Option<&Control>, top: usize) -> String {
    let features: Vec<_> = by_rank(ranking).into_iter().take(top).collect();
    let spread = features.iter().any(|f| f.relevance_std > 0.0);
    let mut rows = vec![["rank", "feature", "relevance", "± std", "lambda", "|psi|", "above noise"].map(str::to_owned)];
    for f in features {
        // A control character in a name could move the cursor or colour the terminal.
        let name: String = f.name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let numbers = [f.relevance, f.relevance_std, f.lambda, f.psi_norm].map(text::number);
        let [relevance, std, lambda, psi] = numbers;
        let above = control.map_or_else(String::new, |control| above_noise(control, f.feature));
        rows.push([f.rank.to_string(), text::shorten(&name, 40), relevance, std, lambda, psi, above]);
    }
    let shown = |column: usize| (spread || column != 3) && (control.is_some() || column != 6);
    let columns: Vec<usize> = (0..7).filter(|&column| shown(column)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let cells: Vec<String> = columns
            .iter()
            .map(|&column| match column {
                1 => format!("{:<1$}", row[column], widths[column]),
                _ => format!("{:>1$}", row[column], widths[column]),
            })
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    if ranking.len() > top {
        out.push_str(&format!("   …  and {} more\n", text::count(ranking.len() - top)));
    }
    out
}

/// The ranking best first, however it was stored.
pub(crate) fn by_rank(ranking: &[RankedFeature]) -> Vec<&RankedFeature> {
    let mut features: Vec<_> = ranking.iter().collect();
    features.sort_by_key(|f| f.rank);
    features
}

fn csv_rows(out: &mut dyn Write, header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(header)?;
    for row in rows {
        writer.write_record(row)?;
    }
    writer.flush()
}

/// The shortest decimal that reads back as the same f64, with an exponent where that is shorter than zeros.
fn float(value: f64) -> String {
    format!("{value:?}")
}

fn optional(value: Option<f64>) -> String {
    value.map(float).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relevance::CurvePoint;
    use crate::train::Metric;

    fn feature(rank: usize, name: &str, relevance: f64, std: f64) -> RankedFeature {
        let name = name.to_owned();
        RankedFeature {
            rank,
            feature: 10 - rank,
            name,
            lambda: -0.5,
            psi_norm: 2.0,
            relevance,
            relevance_std: std,
            relevance_times_std: 0.5 * relevance,
        }
    }

    #[test]
    fn csv_is_sorted_quoted_and_exact() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("relevance.csv");
        write_relevance(&path, &[feature(2, "b", 1e-9, 0.0), feature(1, "a, \"q\"", 0.1 + 0.2, 0.25)], CsvNames::Safe)
            .unwrap();
        let expected = "rank,feature,name,lambda,psi_norm,relevance,relevance_std,relevance_times_std\n\
                        1,9,\"a, \"\"q\"\"\",-0.5,2.0,0.30000000000000004,0.25,0.15000000000000002\n\
                        2,8,b,-0.5,2.0,1e-9,0.0,5e-10\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        let points = [Some(0.5), None].map(|retrained| CurvePoint {
            k: 1,
            ranked: 0.75,
            random_mean: 0.5,
            random_std: 0.125,
            retrained,
        });
        let curve = Curve {
            metric: Metric::Accuracy,
            rows: "test".into(),
            mask: "zero".into(),
            points: points.into(),
            full: 1.0,
        };
        let path = directory.path().join("curve.csv");
        write_curve(&path, &curve).unwrap();
        let expected = "k,ranked,random_mean,random_std,retrained\n1,0.75,0.5,0.125,0.5\n1,0.75,0.5,0.125,\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn history_leaves_the_unmeasured_empty() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history.csv");
        let record = EpochRecord {
            epoch: 1,
            step: 23,
            rate: 1e-4,
            train_loss: 0.5,
            penalty: 2.0,
            train_metric: 0.75,
            validation_loss: None,
            validation_metric: Some(0.5),
            kept_features: 784.0,
        };
        write_history(&path, &[record]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().nth(1), Some("1,23,0.0001,0.5,2.0,0.75,,0.5,784.0"));
    }

    #[test]
    fn text_table_is_aligned() {
        let ranking = [feature(2, "b\x1b[31m", 0.5, 0.0), feature(1, "long name", 12.0, 0.0)];
        let text = ranking_text(&ranking, None, 9);
        let expected = "rank  feature    relevance   lambda  |psi|\n   \
                        1  long name      12.00  −0.5000  2.000\n   \
                        2  b [31m        0.5000  −0.5000  2.000\n";
        assert_eq!(text, expected);
        assert_eq!(
            ranking_text(&[feature(1, "a", 1.0, 0.5)], None, 1).lines().next().unwrap().matches("± std").count(),
            1
        );
        assert!(ranking_text(&ranking, None, 1).ends_with("2.000\n   …  and 1 more\n"));
        assert_eq!(ranking_text(&[], None, 5).lines().count(), 1);
    }

    /// The flag and how far it is from the strongest copy come from the same networks.
    #[test]
    fn above_noise_says_by_how_much() {
        let relative = vec![1.0, 0.2, 0.0001];
        let above = vec![true, false, false];
        let control = Control { copies: 30, noise: 0.25, relative, inputs: 3, inputs_above: 1, above };
        let cells: Vec<String> = (0..3).map(|column| above_noise(&control, column)).collect();
        assert_eq!(cells, ["yes, 4.00×", "no, 0.800×", "no, <0.01×"]);
        assert_eq!(above_noise(&Control { noise: 0.0, ..control }, 0), "yes", "no copy had any relevance");
    }
}
