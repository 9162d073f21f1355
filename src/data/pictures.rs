//! Picture files: JPEG and PNG, one, several, or a folder of them whose subfolders are the labels.

mod decode;
mod files;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

use self::decode::{Picture, decode};
use self::files::{Found, find};
use super::{Axis, CHANNEL, Dataset, Layout, Request, ScaleKind, Scaling, Targets, Values, described};
use crate::host::{refuse_beyond_memory, threads};
use crate::{Error, Result};

/// Values that all pictures together may hold.
const MOST_VALUES: usize = 1 << 31;

/// Whether these are picture files, or a folder.
pub(crate) fn is_pictures(source: &str) -> bool {
    let path = Path::new(source);
    files::is_picture(path) || path.is_dir()
}

/// A width and a height, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

/// Largest side that pictures are brought to.
const MOST_PIXELS: usize = 16_384;

impl FromStr for Size {
    type Err = String;

    /// `224`, a square, or `320x240`, the width first.
    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| text.trim().parse().ok().filter(|side| (1..=MOST_PIXELS).contains(side));
        let (width, height) = text.split_once(['x', '×']).unwrap_or((text, text));
        match (side(width), side(height)) {
            (Some(width), Some(height)) => Ok(Size { width, height }),
            _ => Err(format!("give a side as in 224, or width and height as in 320x240, each 1 to {MOST_PIXELS}")),
        }
    }
}

/// How pictures are brought to a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// The shorter side gets so many pixels, the other one what keeps the proportions.
    Shorter(usize),
    /// Squeezed to just this size.
    Exactly(Size),
}

impl FromStr for Resize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size: Size = text.parse()?;
        Ok(if text.contains(['x', '×']) { Resize::Exactly(size) } else { Resize::Shorter(size.width) })
    }
}

/// The order of a colour picture's channels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    #[default]
    Rgb,
    /// As Caffe and OpenCV have them.
    Bgr,
}

/// What networks in general were trained on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Squeezed to the network's size, RGB, 0 to 1.
    #[default]
    None,
    /// As torchvision's networks: the shorter side 256/224 of the network's, the middle of it; RGB, 0 to 1, less the mean (0.485, 0.456,
    /// 0.406), divided by (0.229, 0.224, 0.225).
    Imagenet,
    /// As Caffe's networks: squeezed to the network's size, BGR, 0 to 255, less (104, 117, 123).
    Caffe,
}

/// How pictures become the rows of a data set, as far as that is said; the preset says the rest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Preprocess {
    pub preset: Preset,
    pub resize: Option<Resize>,
    /// The middle of what resizing leaves.
    pub crop: Option<Size>,
    pub channels: Option<Channels>,
    /// What a full pixel is: 1 or 255.
    pub range: Option<f64>,
    /// Of each channel, in the order of `channels` and in units of `range`.
    pub mean: Option<Vec<f64>>,
    pub std: Option<Vec<f64>>,
}

/// The same with everything decided, as results record it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Preprocessing {
    pub resize: Option<Resize>,
    pub crop: Option<Size>,
    pub channels: Channels,
    pub range: f64,
    pub mean: Vec<f64>,
    pub std: Vec<f64>,
}

impl Preprocess {
    /// Decides what was left open, for a network that reads pictures of this size, or for any.
    pub fn resolve(&self, wanted: Option<Size>) -> Preprocessing {
        let squeezed = wanted.map(Resize::Exactly);
        let (resize, crop, channels, range, mean, std) = match self.preset {
            Preset::None => (squeezed, None, Channels::Rgb, 1.0, vec![0.0], vec![1.0]),
            Preset::Imagenet => {
                let size = wanted.unwrap_or(Size { width: 224, height: 224 });
                let shorter = (size.width.min(size.height) * 256 + 112) / 224;
                let (mean, std) = (vec![0.485, 0.456, 0.406], vec![0.229, 0.224, 0.225]);
                (Some(Resize::Shorter(shorter)), Some(size), Channels::Rgb, 1.0, mean, std)
            }
            Preset::Caffe => (squeezed, None, Channels::Bgr, 255.0, vec![104.0, 117.0, 123.0], vec![1.0]),
        };
        Preprocessing {
            // Whoever names a size or a part gets just that, and the middle of it where the network reads less.
            resize: self.resize.or(if self.crop.is_some() { None } else { resize }),
            crop: self.crop.or(if self.resize.is_some() { wanted } else { crop }),
            channels: self.channels.unwrap_or(channels),
            range: self.range.unwrap_or(range),
            mean: self.mean.clone().unwrap_or(mean),
            std: self.std.clone().unwrap_or(std),
        }
    }

    /// Whether anything is said of how pixels become numbers, beyond their order.
    pub fn scales(&self) -> bool {
        self.range.is_some() || self.mean.is_some() || self.std.is_some() || self.preset != Preset::None
    }
}

impl Preprocessing {
    /// What brings pixels of 0 to 255 to the network's scale, `x' = (x·range/255 − mean)/std`, for rows of these axes.
    ///
    /// # Errors
    /// [`Error::Usage`] where there are neither as many means (or deviations) as channels nor one.
    pub fn scaling(&self, axes: &[Axis]) -> Result<Scaling> {
        let channels = axes.iter().find(|axis| axis.name == "channel").map_or(1, |axis| axis.len);
        let of_channel = |name: &str, values: &[f64]| match values.len() {
            1 => Ok(vec![values[0]; channels]),
            n if n == channels => Ok(values.to_vec()),
            n => Err(Error::Usage(format!(
                "--{name} has {n} values and the network reads pictures with {channels} channel{}; give one for each, or one for all",
                if channels == 1 { "" } else { "s" }
            ))),
        };
        let (mean, std) = (of_channel("mean", &self.mean)?, of_channel("std", &self.std)?);
        let columns: usize = axes.iter().map(|axis| axis.len).product();
        let inner = |place: usize| axes[place + 1..].iter().map(|axis| axis.len).product::<usize>();
        let inner = axes.iter().position(|axis| axis.name == "channel").map_or(columns, inner);
        let by_column = |value: &dyn Fn(usize) -> f64| -> Vec<f64> {
            (0..columns).map(|i| value(i / inner.max(1) % channels)).collect()
        };
        let full = 255.0 / self.range;
        Ok(Scaling {
            kind: ScaleKind::None,
            origins: Vec::new(),
            shift: by_column(&|c| mean[c] * full),
            scale: by_column(&|c| 1.0 / (full * std[c])),
            fill: by_column(&|c| mean[c] * full),
            mean: vec![0.0; columns],
            std: vec![1.0; columns],
        })
    }

    /// In words, without the scale: `shorter side 256, the middle 224 × 224, BGR`.
    pub fn said(&self) -> String {
        let mut parts = Vec::new();
        match self.resize {
            Some(Resize::Shorter(side)) => parts.push(format!("shorter side {side}")),
            Some(Resize::Exactly(Size { width, height })) => parts.push(format!("squeezed to {width} × {height}")),
            None => {}
        }
        if let Some(Size { width, height }) = self.crop {
            parts.push(format!("the middle {width} × {height}"));
        }
        parts.push(if self.channels == Channels::Bgr { "BGR" } else { "RGB" }.into());
        parts.join(", ")
    }

    /// What becomes of a pixel, in words: `0 to 1, less 0.485, 0.456, 0.406, divided by 0.229, 0.224, 0.225`.
    pub fn scale_said(&self) -> String {
        let list = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
        let mut text = format!("0 to {}", self.range);
        if self.mean.iter().any(|&m| m != 0.0) {
            text.push_str(&format!(", less {}", list(&self.mean)));
        }
        if self.std.iter().any(|&s| s != 1.0) {
            text.push_str(&format!(", divided by {}", list(&self.std)));
        }
        text
    }
}

/// Where a network's pictures have their axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    size: Size,
    /// 1 or 3.
    channels: usize,
    layout: Layout,
}

impl Frame {
    /// Of a trained model's axes, or of the whole pictures that its channels were chosen from.
    fn of(axes: &[Axis], chosen_from: Option<usize>, source: &str) -> Result<Frame> {
        let names: Vec<&str> = axes.iter().map(|axis| axis.name.as_str()).collect();
        let lengths: Vec<usize> = axes.iter().map(|axis| axis.len).collect();
        let (layout, channels, height, width) = match (&names[..], &lengths[..]) {
            (["row", "column"], &[h, w]) => (Layout::ChannelsFirst, 1, h, w),
            (["channel", "row", "column"], &[c, h, w]) => (Layout::ChannelsFirst, c, h, w),
            (["row", "column", "channel"], &[h, w, c]) => (Layout::ChannelsLast, c, h, w),
            _ => {
                let shape = lengths.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ");
                let problem = format!("the model reads rows of {shape} numbers, which are no pictures");
                return Err(Error::input(
                    source,
                    "data",
                    problem,
                    "give what it was trained on, as an .npz or a table",
                ));
            }
        };
        let pixels = height.saturating_mul(width);
        let whole = chosen_from.filter(|_| axes.len() > 2).and_then(|columns| columns.checked_div(pixels));
        let channels = whole.unwrap_or(channels);
        if channels != 1 && channels != 3 {
            let problem = format!("the model reads pictures of {channels} channels, and a picture file has 1 or 3");
            return Err(Error::input(source, "channels", problem, "give an .npz with all channels"));
        }
        Ok(Frame { size: Size { width, height }, channels, layout })
    }
}

/// Reads the pictures that a request names.
pub(super) fn read(request: &Request) -> Result<Dataset> {
    let sources: Vec<&str> =
        [request.source.as_str()].into_iter().chain(request.more.iter().map(String::as_str)).collect();
    let Found { files, labels, test_from, mut notes } = find(&sources)?;
    let frame = request.axes.as_deref();
    let frame = frame.map(|axes| Frame::of(axes, request.chosen_from, sources[0])).transpose()?;
    let steps = request.pictures.resolve(frame.map(|frame| frame.size));
    let paths: Vec<&PathBuf> = files.iter().map(|file| &file.path).collect();
    let most = frame.map_or(MOST_VALUES, |frame| MOST_VALUES / (frame.size.width * frame.size.height * frame.channels));
    let too_many = |count: usize| {
        let problem = format!("{count} pictures of that size take more than {} GiB", MOST_VALUES >> 30);
        Error::input(sources[0], "pictures", problem, "give fewer at a time, or a smaller --resize")
    };
    if paths.len() > most {
        return Err(too_many(paths.len()));
    }
    let first = decode(paths[0], &steps)?;
    let frame = frame.unwrap_or(Frame {
        size: first.size(),
        channels: if first.grey || request.layout == Some(Layout::NoChannels) { 1 } else { 3 },
        layout: request.layout.unwrap_or(Layout::ChannelsFirst),
    });
    if paths.len().saturating_mul(frame.size.width * frame.size.height * frame.channels) > MOST_VALUES {
        return Err(too_many(paths.len()));
    }
    let cells = (paths.len() * frame.size.width * frame.size.height * frame.channels) as u64;
    // Row by row, and then together.
    refuse_beyond_memory(
        &format!("reading {} pictures", paths.len()),
        cells.saturating_mul(2),
        "give fewer at a time, or a smaller --resize",
    )?;
    let colours = AtomicBool::new(false);
    let rows = in_parallel(&paths, |path| {
        let picture = decode(path, &steps)?;
        if !picture.grey {
            colours.store(true, Ordering::Relaxed);
        }
        let size = picture.size();
        if size != frame.size {
            let asked = request.axes.is_some();
            let others = if asked { "the model reads" } else { "the first picture has" };
            let problem = format!(
                "it has {} × {} pixels, and {others} {} × {}",
                size.width, size.height, frame.size.width, frame.size.height
            );
            let Size { width, height } = frame.size;
            let remedy = format!("bring all to one size with --resize {width}x{height}, or --resize and --crop");
            return Err(Error::input(path, "size", problem, remedy));
        }
        Ok(row(&picture, &frame, steps.channels))
    })?;
    let columns = frame.size.width * frame.size.height * frame.channels;
    let x = if rows.iter().all(|row| matches!(row, Values::U8(_))) {
        Values::U8(rows.iter().flat_map(|row| if let Values::U8(v) = row { &v[..] } else { &[] }).copied().collect())
    } else {
        let single = |row: &Values| match row {
            Values::U8(v) => v.iter().map(|&x| f32::from(x)).collect::<Vec<f32>>(),
            Values::F32(v) => v.clone(),
        };
        Values::F32(rows.iter().flat_map(single).collect())
    };
    let (h, w, c) = (frame.size.height, frame.size.width, frame.channels);
    let shape = match frame.layout {
        _ if c == 1 => vec![h, w],
        Layout::NoChannels | Layout::ChannelsFirst => vec![c, h, w],
        Layout::ChannelsLast => vec![h, w, c],
    };
    let (mut axes, features) = described(&shape, if c == 1 { Layout::NoChannels } else { frame.layout });
    if let Some(axis) = axes.iter_mut().find(|axis| axis.name == CHANNEL) {
        let mut colours = ["red", "green", "blue"].map(str::to_owned).to_vec();
        if steps.channels == Channels::Bgr {
            colours.reverse();
        }
        axis.labels = colours;
    }
    let count = paths.len();
    if c == 1 && colours.load(Ordering::Relaxed) {
        notes
            .push("colour pictures are turned grey (0.299 red + 0.587 green + 0.114 blue): one channel is read".into());
    }
    notes.push(format!("{count} picture{}: {}", if count == 1 { "" } else { "s" }, steps.said()));
    Ok(Dataset {
        source: match request.more.len() {
            0 => request.source.clone(),
            more => format!("{} and {more} more", request.source),
        },
        rows: count,
        columns,
        x,
        y: labels.map_or(Targets::None, |(labels, names)| Targets::Classes { labels, names }),
        features: request.expect.clone().filter(|expected| expected.len() == columns).unwrap_or(features),
        axes: request.axes.clone().filter(|_| request.chosen_from.is_none()).unwrap_or(axes),
        weights: None,
        test_from,
        notes,
        filled: Vec::new(),
        row_names: files.into_iter().map(|file| file.name).collect(),
        origins: Vec::new(),
    })
}

/// One row of a data set: bytes, or numbers of 0 to 255 where the file has more than 8 bits.
fn row(picture: &Picture, frame: &Frame, order: Channels) -> Values {
    let pixels = frame.size.width * frame.size.height;
    // Where each value of the row comes from: a pixel and its channel, red first.
    let place = |i: usize| match frame.layout {
        Layout::NoChannels | Layout::ChannelsFirst => (i % pixels, i / pixels),
        Layout::ChannelsLast => (i / frame.channels, i % frame.channels),
    };
    let channel = |c: usize| if order == Channels::Bgr { frame.channels - 1 - c } else { c };
    let at = |i: usize| {
        let (pixel, c) = place(i);
        if frame.channels == 1 { picture.grey(pixel) } else { picture.value(pixel, channel(c)) }
    };
    let n = pixels * frame.channels;
    if picture.deep {
        Values::F32((0..n).map(at).collect())
    } else {
        Values::U8((0..n).map(|i| at(i).round() as u8).collect())
    }
}

/// `f` of each, in order, on every core; of several errors the first.
fn in_parallel<T: Sync, U: Send>(items: &[T], f: impl Fn(&T) -> Result<U> + Sync) -> Result<Vec<U>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= items.len() {
                return done;
            }
            done.push((i, f(&items[i])));
        }
    };
    let mut done: Vec<(usize, Result<U>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..threads(0).min(items.len())).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for thread in threads {
            done.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}
