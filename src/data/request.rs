//! What is to be read, and how.

use serde::{Deserialize, Serialize};

use super::{Axis, Feature, Preprocess};

/// What kind of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    Classify,
    Regress,
    /// The inputs are the targets.
    Autoencode,
}

/// What to do about missing cells of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// Refuse the file, naming the first such cell.
    Refuse,
    /// Keep NaN; [`Scaling`](super::Scaling) fills it with the training rows' mean.
    Mean,
    /// The same, and a column of a table that has some becomes a group with one more: 1 where the cell was missing, for a category as
    /// another value.
    Indicator,
    /// Leave out the rows that have one.
    Drop,
}

/// Where the channels of a picture in an array stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// [rows, channels, height, width], as PyTorch has them.
    #[serde(alias = "nchw")]
    ChannelsFirst,
    /// [rows, height, width, channels], as Keras and most files have them.
    #[serde(alias = "nhwc")]
    ChannelsLast,
    /// [rows, height, width], or [rows, depth, height, width].
    NoChannels,
}

/// What to read and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// `table.csv`, `arrays.npz`, `array.npy`, a picture, a folder of pictures, `idx:DIRECTORY`, `gaussian`, `correlated`, `redundant`,
    /// `channels` or `rotated-squares`.
    pub source: String,
    /// More pictures, or folders of them.
    pub more: Vec<String>,
    /// How pictures become rows.
    pub pictures: Preprocess,
    /// The target column of a table.
    pub target: Option<String>,
    /// The targets of an .npy, or of an .npz without `y`: an .npy with one for each row.
    pub target_file: Option<String>,
    /// Columns of a table that are no inputs. A trained model needs no such list: its columns are in `expect`.
    pub drop: Vec<String>,
    /// The column of row weights of a table, which is no input, or such an array of an .npz (and NAME_test). Data that a
    /// trained model reads may lack it.
    pub weights: Option<String>,
    /// `None`: guessed from the target.
    pub task: Option<Task>,
    /// Only these classes, in this order.
    pub classes: Option<Vec<String>>,
    pub missing: Missing,
    /// Columns of a table that hold dates are read, as days since the first, day of the year and weekday, instead of refused.
    pub dates: bool,
    /// Of an array with three axes or more; `None`: guessed from the lengths.
    pub layout: Option<Layout>,
    /// The data are for convolutions: the axes of a row that aren't channels are space.
    pub convolves: bool,
    /// Of the synthetic generators.
    pub seed: u64,
    /// Whether the data must have a target (training, curves) or may lack it (prediction).
    pub need_target: bool,
    /// The columns a trained model expects, by name; a table's columns are put into this order.
    pub expect: Option<Vec<Feature>>,
    /// What it counts each of them from ([`Scaling::origins`](super::Scaling::origins)).
    pub origins: Vec<f64>,
    /// How many columns those were chosen from, where they are not all.
    pub chosen_from: Option<usize>,
    /// The shape of a row that a trained model expects: an array of that shape is read in its layout.
    pub axes: Option<Vec<Axis>>,
}

impl Request {
    pub fn new(source: impl Into<String>) -> Self {
        Request {
            source: source.into(),
            more: Vec::new(),
            pictures: Preprocess::default(),
            target: None,
            target_file: None,
            drop: Vec::new(),
            weights: None,
            task: None,
            classes: None,
            missing: Missing::Refuse,
            dates: false,
            layout: None,
            convolves: false,
            seed: 0,
            need_target: true,
            expect: None,
            origins: Vec::new(),
            axes: None,
            chosen_from: None,
        }
    }
}
