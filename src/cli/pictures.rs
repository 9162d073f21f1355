//! Options of pictures as data, and what a model makes of them.

use std::path::PathBuf;

use super::names::by_name;
use super::say;
use crate::data::{Channels, Preprocess, Preprocessing, Preset, Request, Resize, Size, Task, is_pictures};
use crate::host::softmax;
use crate::model::{Description, Model, Origin};
use crate::report::photo_figures::BestClass;
use crate::{Error, Result};

/// How JPEG and PNG files become what a network reads.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Pictures")]
pub struct PictureArgs {
    /// none (squeezed to the network's size, RGB, 0 to 1), imagenet (torchvision's: shorter side 256/224 of it, the middle, their mean
    /// and deviation) or caffe (squeezed, BGR, 0 to 255 less 104, 117, 123); the options below change a part of it
    #[arg(long, value_name = "PRESET", default_value = "none", value_parser = by_name::<Preset>)]
    preprocess: Preset,
    /// The shorter side, as in 256, or width and height, as in 320x240
    #[arg(hide_short_help = true, long, value_name = "S|WxH")]
    resize: Option<Resize>,
    /// The middle of what resizing leaves: a square, as in 224, or width and height
    #[arg(hide_short_help = true, long, value_name = "S|WxH")]
    crop: Option<Size>,
    /// rgb or bgr
    #[arg(hide_short_help = true, long, value_parser = by_name::<Channels>)]
    channels: Option<Channels>,
    /// What a full pixel is for an ONNX network: 1 or 255
    #[arg(hide_short_help = true, long, value_name = "1|255", value_parser = range)]
    range: Option<f64>,
    /// Taken off each channel, in units of --range and the order of --channels: three numbers, or one for all
    #[arg(hide_short_help = true, long, value_name = "A,B,C", value_delimiter = ',', allow_hyphen_values = true, value_parser = finite)]
    mean: Option<Vec<f64>>,
    /// What each channel is divided by after that
    #[arg(hide_short_help = true, long, value_name = "A,B,C", value_delimiter = ',', value_parser = above_zero)]
    std: Option<Vec<f64>>,
}

/// Names of an ONNX network's outputs, which its file doesn't hold.
#[derive(clap::Args, Debug, Clone)]
pub struct NameArgs {
    /// Names of the outputs, one a line in their order; a WordNet number before each is left out
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub class_names: Option<PathBuf>,
}

fn range(text: &str) -> Result<f64, String> {
    match text.trim() {
        "1" => Ok(1.0),
        "255" => Ok(255.0),
        _ => Err("a full pixel is 1 or 255".into()),
    }
}

fn finite(text: &str) -> Result<f64, String> {
    text.trim().parse().ok().filter(|x: &f64| x.is_finite()).ok_or_else(|| "give a number".into())
}

fn above_zero(text: &str) -> Result<f64, String> {
    finite(text).ok().filter(|&x| x > 1e-30).ok_or_else(|| "give a number above 0".into())
}

impl PictureArgs {
    pub fn preprocess(&self) -> Preprocess {
        Preprocess {
            preset: self.preprocess,
            resize: self.resize,
            crop: self.crop,
            channels: self.channels,
            range: self.range,
            mean: self.mean.clone(),
            std: self.std.clone(),
        }
    }
}

/// Gives an ONNX network what its file doesn't say: its outputs' names, and how pixels become numbers. Returns the latter, where the
/// data are pictures.
///
/// # Errors
/// [`Error::Usage`] for a scale beside a trained model, which has its own; [`Error::Input`] for names that don't fit the outputs.
pub fn complete(model: &mut Model, request: &Request, names: &NameArgs) -> Result<Option<Preprocessing>> {
    if let Some(path) = &names.class_names {
        if model.description.origin.is_trained() {
            return Err(Error::Usage("--class-names is for ONNX networks; a trained model has its names".into()));
        }
        model.description.targets = crate::data::class_names(path, model.network.output().width())?;
    }
    let pictures = is_pictures(&request.source);
    let scaled_idx = request.source.starts_with("idx:") && request.pictures.scales();
    if !(pictures || scaled_idx) {
        return Ok(None);
    }
    let axes = &model.description.axes;
    let length = |name: &str| axes.iter().find(|axis| axis.name == name).map(|axis| axis.len);
    let size = length("row").zip(length("column")).map(|(height, width)| Size { width, height });
    let steps = request.pictures.resolve(size);
    match model.description.origin {
        // A sentence that says more comes from the reader, where it reads no pictures at all.
        Origin::Onnx { .. } if size.is_some() => {
            model.description.scaling = steps.scaling(axes)?;
        }
        Origin::Trained if request.pictures.scales() => {
            return Err(Error::Usage(
                "--preprocess, --range, --mean and --std are for ONNX networks; a trained model has its own scale"
                    .into(),
            ));
        }
        _ => {}
    }
    Ok(pictures.then_some(steps))
}

/// Says on stderr what a pixel becomes, which only the person knows to be right.
pub fn announce(model: &Model, steps: Option<&Preprocessing>) {
    if let Some(steps) = steps.filter(|_| !model.description.origin.is_trained()) {
        let scale = steps.scale_said();
        say(&format!("a pixel is {scale} for the network (--preprocess, --range, --mean, --std)"));
    }
}

/// The classes with the largest outputs, most likely first; none where there are fewer than two.
pub fn best_classes(description: &Description, outputs: &[f64], most: usize) -> Vec<BestClass> {
    if description.task != Task::Classify || outputs.len() < 2 {
        return Vec::new();
    }
    let probabilities = match &description.origin {
        Origin::Onnx { removed: Some(removed) } => removed.probabilities(outputs),
        _ => softmax(outputs),
    };
    let mut order: Vec<usize> = (0..outputs.len()).collect();
    order.sort_by(|&a, &b| outputs[b].total_cmp(&outputs[a]));
    let class = |&j: &usize| BestClass {
        name: description.targets.get(j).cloned().unwrap_or_else(|| j.to_string()),
        y: outputs[j],
        probability: probabilities[j],
    };
    order.iter().take(most).map(class).collect()
}
