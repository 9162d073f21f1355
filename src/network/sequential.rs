//! Feed-forward networks in the usual order, from a few settings.

use serde::{Deserialize, Serialize};

use super::weight::{Spectral, Weight};
use super::{
    ActivationNode, AddNode, BatchNorm, Convolution, Dense, DropoutNode, Layer, MaxPoolNode, Network, Padding, Permute,
    Reshape, Sliding,
};
use crate::kernels::Activation;
use crate::kernels::window::AXES;
use crate::{Error, Result};

/// A feed-forward network in the usual order: convolution, activation, batch norm, dropout, pooling; then dense, activation, batch
/// norm, dropout; the output layer is bare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sequential {
    /// Before the hidden layers; counted as layers too, by `activations` and every [`Place`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub convolutions: Vec<Block>,
    pub hidden: Vec<usize>,
    /// One for each convolution and hidden layer, or one for all.
    pub activations: Vec<Activation>,
    pub batch_norm: Place,
    pub dropout: f32,
    pub dropout_place: Place,
    /// Which layers are spectral (`None`: all are direct).
    pub spectral: Place,
    /// What is trained in a spectral layer.
    pub train: Spectral,
    pub train_bias: bool,
    /// Adds a hidden layer's input to its output (after activation, batch norm and dropout) where both are equally wide.
    pub residual: bool,
    /// The weights of the layers that are not spectral are penalised with r_ψ too (a spectral weight whose λ stays 1).
    pub ridge: bool,
}

/// A convolution, padded so that its output has `⌈size/stride⌉` elements along each axis, and the pooling behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    pub filters: usize,
    /// One size for every spatial axis, or one for each.
    pub kernel: Vec<usize>,
    pub stride: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
}

/// Max-pooling without padding: what doesn't fill a window at the end is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    pub kernel: usize,
    pub stride: usize,
}

/// After which layers something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    None,
    First,
    All,
}

impl Place {
    fn covers(self, layer: usize) -> bool {
        self == Place::All || (self == Place::First && layer == 0)
    }
}

/// What a network reads: a sample's sizes, in the order of the data, and which of them counts channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub sizes: Vec<usize>,
    /// `None`: one channel.
    pub channels: Option<usize>,
}

impl From<usize> for Input {
    fn from(columns: usize) -> Self {
        Input { sizes: vec![columns], channels: None }
    }
}

impl Input {
    fn columns(&self) -> usize {
        self.sizes.iter().product()
    }

    /// A network that has made `[channels, spatial…]` of it, and the number of spatial axes.
    fn channels_first(&self) -> Result<(Network, usize)> {
        let spatial: Vec<usize> =
            (0..self.sizes.len()).filter(|&axis| Some(axis) != self.channels).map(|axis| self.sizes[axis]).collect();
        // A single axis without channels is a row of plain columns, which have no order.
        let axes = if self.channels.is_none() && spatial.len() == 1 { 0 } else { spatial.len() };
        if axes == 0 || axes > AXES {
            return Err(Error::Shape(format!(
                "a convolution slides over 1 to {AXES} spatial axes, and a row of the data has {axes}; give pictures or an array \
                 [rows, channels, …], or leave --conv out"
            )));
        }
        let channels = self.channels.map_or(1, |axis| self.sizes[axis]);
        let shape: Vec<usize> = [channels].iter().chain(&spatial).copied().collect();
        let Some(axis) = self.channels.filter(|&axis| axis > 0) else {
            // In the order of the data already.
            return Ok((Network::new(&shape), spatial.len()));
        };
        let mut network = Network::new(&self.sizes);
        let others = (0..self.sizes.len()).filter(|&other| other != axis);
        network.then(Permute { axes: [axis].into_iter().chain(others).collect() })?;
        Ok((network, spatial.len()))
    }
}

impl Default for Sequential {
    /// The papers' 100-100-50 with ReLU, without batch norm and dropout, the first layer spectral: penalties on later
    /// layers cost accuracy and say nothing about the inputs.
    fn default() -> Self {
        Sequential {
            convolutions: Vec::new(),
            hidden: vec![100, 100, 50],
            activations: vec![Activation::Relu],
            batch_norm: Place::None,
            dropout: 0.0,
            dropout_place: Place::All,
            spectral: Place::First,
            train: Spectral::default(),
            train_bias: true,
            residual: false,
            ridge: false,
        }
    }
}

impl Sequential {
    /// The network for these inputs (a number of columns, or a shape for convolutions) and `outputs` outputs.
    ///
    /// # Errors
    /// [`Error::Shape`] for a width of 0, a wrong number of activations, or a convolution or pooling that doesn't fit.
    pub fn build(&self, input: impl Into<Input>, outputs: usize) -> Result<Network> {
        let input = input.into();
        let before = self.convolutions.len();
        if self.activations.len() != 1 && self.activations.len() != before + self.hidden.len() {
            return Err(Error::Shape(format!(
                "{} activations for {}{} hidden layers; give one for all or one for each",
                self.activations.len(),
                if before > 0 { format!("{before} convolutions and ") } else { String::new() },
                self.hidden.len()
            )));
        }
        // Not around the first layer: the ranking needs it to be the only one that reads the input.
        let is_block = |layer: usize| self.residual && layer > 0 && self.hidden[layer - 1] == self.hidden[layer];
        if self.residual && !(0..self.hidden.len()).any(is_block) {
            return Err(Error::Shape(
                "--residual needs a hidden layer that is as wide as the one before it, as in --hidden 64,64".into(),
            ));
        }
        let mut network = self.before(&input)?;
        let dense =
            |layer: usize, units: usize| Dense { units, weight: self.weight(layer), train_bias: self.train_bias };
        for (i, &units) in self.hidden.iter().enumerate() {
            let below = network.nodes.len() - 1;
            network.then(dense(before + i, units))?;
            self.finish(&mut network, before + i)?;
            if is_block(i) {
                network.push(AddNode {}.into(), &[below, network.nodes.len() - 1])?;
            }
        }
        network.then(dense(before + self.hidden.len(), outputs))?;
        network.check_trainable()?;
        Ok(network)
    }

    /// How many numbers the first hidden layer reads.
    ///
    /// # Errors
    /// [`Error::Shape`] for a convolution or pooling that doesn't fit.
    pub fn width(&self, input: impl Into<Input>) -> Result<usize> {
        Ok(self.before(&input.into())?.output().width())
    }

    /// What stands before the hidden layers.
    fn before(&self, input: &Input) -> Result<Network> {
        if self.convolutions.is_empty() { Ok(Network::new(&[input.columns()])) } else { self.convolve(input) }
    }

    /// The convolutions with what follows each, up to the flattening.
    fn convolve(&self, input: &Input) -> Result<Network> {
        let (mut network, axes) = input.channels_first()?;
        for (i, block) in self.convolutions.iter().enumerate() {
            let kernel = match block.kernel[..] {
                [size] => vec![size; axes],
                _ if block.kernel.len() == axes => block.kernel.clone(),
                _ => {
                    return Err(Error::Shape(format!(
                        "a kernel of --conv has {} sizes and the data have {axes} spatial axes; give one size for all or one for each, as \
                         in 16:{}",
                        block.kernel.len(),
                        vec!["3"; axes].join("x")
                    )));
                }
            };
            let stride = vec![block.stride; axes];
            let sliding = Sliding { stride, padding: Padding::SameUpper, ..Sliding::new(&kernel) };
            network.then(Convolution {
                filters: block.filters,
                sliding,
                groups: 1,
                weight: self.weight(i),
                train_bias: self.train_bias,
            })?;
            self.finish(&mut network, i)?;
            if let Some(pool) = block.pool {
                let sliding = Sliding { stride: vec![pool.stride; axes], ..Sliding::new(&vec![pool.kernel; axes]) };
                network.then(MaxPoolNode { sliding }).map_err(|error| match error {
                    Error::Shape(text) => {
                        Error::Shape(format!("{text}; pool less, in fewer places, or with --pool 0 after it"))
                    }
                    other => other,
                })?;
            }
        }
        network.then(Reshape::default())?;
        Ok(network)
    }

    fn weight(&self, layer: usize) -> Weight {
        if self.spectral.covers(layer) {
            Weight::Spectral(self.train)
        } else if self.ridge && layer > 0 {
            Weight::Spectral(Spectral { psi: true, lambda_in: false, lambda_out: false })
        } else {
            Weight::Direct
        }
    }

    /// What stands behind a layer's weight.
    fn finish(&self, network: &mut Network, layer: usize) -> Result<()> {
        let activation = self.activations[if self.activations.len() == 1 { 0 } else { layer }];
        network.then(ActivationNode { activation })?;
        if self.batch_norm.covers(layer) {
            let by_channel = layer < self.convolutions.len();
            network.then(Layer::BatchNorm(BatchNorm { by_channel, ..BatchNorm::default() }))?;
        }
        if self.dropout > 0.0 && self.dropout_place.covers(layer) {
            network.then(DropoutNode { probability: self.dropout })?;
        }
        Ok(())
    }
}
