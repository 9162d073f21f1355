//! `eigenlens similarity`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::args::{GivenArgs, RunArgs};
use super::output::{Results, publish, refuse_other_model};
use super::progress::RowBar;
use super::resume::{KeepArgs, Kept, digest_of_rows};
use super::rows::{self, Rows};
use super::{print, print_json};
use crate::engine::Device;
use crate::error::counted;
use crate::model::Model;
use crate::network::NodeId;
use crate::report::npz::Npz;
use crate::report::similarity_page::SimilarityPage;
use crate::run::{Folder, Keep};
use crate::specxai::{ExplainSettings, Output, explain_each, is_cut, similarity, tolerance};
use crate::train::Flow;
use crate::{Error, Result};

#[derive(clap::Args, Debug)]
#[command(args_override_self = true)]
pub struct Args {
    /// model.safetensors of a training, or a network as an .onnx file
    model: PathBuf,
    /// The data whose rows are compared; JPEG and PNG pictures may be several, or a folder
    #[arg(required = true, value_name = "DATA")]
    data: Vec<String>,
    /// The node to split at; `eigenlens inspect` lists them [default: the first activation; with spatial axes the last node that has them]
    #[arg(long, value_name = "NODE")]
    split: Option<String>,
    /// Where similarity.npz and the report go; made if it isn't there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Rows, as in `explain`
    #[arg(long, default_value = "test:60", value_name = "ROWS")]
    rows: String,
    /// Singular vectors of each row, those with the largest |α| of the predicted output
    #[arg(long, default_value_t = 3, value_name = "K")]
    components: usize,
    #[command(flatten)]
    keep: KeepArgs,
    #[command(flatten)]
    given: GivenArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// Vectors above which the matrix is refused: it would take more than 1 GiB.
const MOST: usize = 12_000;

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut model = Model::load(&args.model)?;
    let splits = rows::splits(&model, args.split.as_deref())?;
    let [split] = splits[..] else {
        return Err(Error::Usage("--split all: similarity compares one node at a time; name one".into()));
    };
    let device = args.run.device.open()?;
    let rows = rows::load(&mut model, &args.data, &args.given, &args.rows)?;
    let count = rows.numbers.len();
    if args.components == 0 || count.checked_mul(args.components).is_none_or(|all| all > MOST) {
        return Err(Error::Usage(format!(
            "{count} rows with {} vectors each: give 1 to {MOST} vectors in all (--rows, --components)",
            args.components
        )));
    }
    refuse_other_model(&args.out, &args.model)?;
    let kept = Kept::open("similarity", &args.out, &args.keep)?;
    let keep = kept.with(digest_of_rows(&model, &rows))?;
    kept.ended(args.compare(&model, split, &rows, (keep, &kept.folder), &device))?;
    kept.finished()?;
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// Compares the rows, writes everything and prints the means.
    fn compare(
        &self,
        model: &Model,
        split: NodeId,
        rows: &Rows,
        (keep, folder): (Keep, &Folder),
        device: &Device,
    ) -> Result<()> {
        let (args, count) = (self, rows.numbers.len());
        Results::Similarity.replace(folder);
        let settings = ExplainSettings {
            output: Output::Predicted,
            components: model.network.nodes[split].width(),
            keep,
            ..ExplainSettings::at(&[split])
        };
        let n = model.network.input_width();
        // Row by row the vectors with the largest |α|; zeros where an operator has fewer.
        let mut vectors = vec![0.0; count * args.components * n];
        let mut places = vec![-1i64; count * args.components];
        let (mut done, bar) = (0, RowBar::new(count));
        let (tolerance, mut problem) = (tolerance(device), None);
        let regions =
            explain_each(&model.network, &model.parameters[0], &rows.inputs, &settings, device, &mut |mut e| {
                e.row = rows.numbers[done] as usize;
                if let Err(error) = e.check(tolerance) {
                    problem = Some(error);
                    return Flow::Stop;
                }
                let kept = e
                    .by_size()
                    .into_iter()
                    .filter(|&k| e.right.get(k).is_some_and(|v| !v.is_empty()))
                    .take(args.components);
                for (place, k) in kept.enumerate() {
                    let at = done * args.components + place;
                    places[at] = k as i64;
                    vectors[at * n..][..n].copy_from_slice(&e.right[k]);
                }
                done += 1;
                bar.show(done as f64)
            })?;
        bar.finish();
        if let Some(error) = problem {
            return Err(error);
        }
        if done < count {
            return Err(Error::Stopped("stopped before the last row".into()));
        }
        // Component by component, as in the paper's figure 5: all rows' largest, then all rows' second.
        let order: Vec<usize> =
            (0..args.components).flat_map(|k| (0..count).map(move |row| row * args.components + k)).collect();
        let slices: Vec<&[f64]> = order.iter().map(|&i| &vectors[i * n..][..n]).collect();
        let mut matrix = similarity(&slices);
        // What isn't there is like nothing and unlike nothing.
        let missing: Vec<bool> = order.iter().map(|&i| places[i] < 0).collect();
        for (i, cosine) in matrix.iter_mut().enumerate() {
            if missing[i / order.len()] || missing[i % order.len()] {
                *cosine = f64::NAN;
            }
        }
        let mut npz = Npz::default();
        npz.ints("rows", &[count], rows.numbers.iter().map(|&r| i64::from(r)).collect());
        npz.ints("k", &[args.components, count], order.iter().map(|&i| places[i]).collect());
        let shape = [args.components, count, args.components, count];
        npz.floats("similarity", &shape, matrix.iter().map(|&x| x as f32).collect());
        if let Some(regions) = &regions {
            npz.ints("region", &[count], regions.iter().map(|&r| r as i64).collect());
        }
        npz.save(&folder.file("similarity.npz"))?;
        let means: Vec<Option<f64>> =
            (0..args.components).map(|k| mean_off_diagonal(&matrix, count * args.components, k, count)).collect();
        let distinct = regions.as_ref().map(|r| r.iter().max().map_or(0, |m| m + 1));
        let name = model.network.nodes[split].name.clone();
        let page = SimilarityPage {
            source: &model.description.source,
            split: &name,
            is_cut: is_cut(&model.network, split),
            matrix: &matrix,
            rows: count,
            components: args.components,
            numbers: &rows.numbers,
            labels: rows.labels.as_deref(),
            names: rows.names.as_deref(),
            means: &means,
            regions: distinct,
        };
        let report = args.run.save(&page.page(), folder, "similarity")?;
        publish(folder)?;
        if args.run.json {
            return print_json(&json!({ "split": name, "rows": count, "mean_similarity": means, "regions": distinct }));
        }
        let mut text = format!("{} split at {name}: mean |cosine| between different rows\n", counted(count, "row"));
        for (k, mean) in means.iter().enumerate() {
            let mean = mean.map_or_else(|| "none, fewer than two rows have one".into(), |mean| format!("{mean:.3}"));
            text.push_str(&format!("  {} largest contribution's vector: {mean}\n", ordinal(k)));
        }
        if let Some(distinct) = distinct {
            text.push_str(&format!("{distinct} linear regions\n"));
        }
        text.push_str(&report);
        print(&text)
    }
}

/// Over the pairs of different rows that both have such a vector; `None` without a pair.
fn mean_off_diagonal(matrix: &[f64], width: usize, component: usize, rows: usize) -> Option<f64> {
    let start = component * rows;
    let pairs = (0..rows).flat_map(|i| (0..i).map(move |j| (start + i, start + j)));
    let known = pairs.map(|(i, j)| matrix[i * width + j]).filter(|cosine| !cosine.is_nan());
    let (sum, count) = known.fold((0.0, 0usize), |(sum, count), cosine| (sum + cosine, count + 1));
    (count > 0).then(|| sum / count as f64)
}

fn ordinal(k: usize) -> String {
    match k {
        0 => "1st".into(),
        1 => "2nd".into(),
        2 => "3rd".into(),
        k => format!("{}th", k + 1),
    }
}
