//! Synthetic data sets: the two of Chicchi et al., sections 3.1 and 3.2, and others whose truth is known.

use super::{Axis, Dataset, Feature, Targets, Values};
use crate::random::Random;

/// Rows of the paper's independent Gaussian set.
pub const GAUSSIAN_ROWS: usize = 60_000;
/// Rows of the paper's correlated set.
pub const CORRELATED_ROWS: usize = 100_000;
/// Probability of a flipped sign in class 1, pair by pair.
pub const FLIP: [f64; 4] = [0.7, 0.8, 0.4, 0.6];
/// Standard deviation of every feature in both sets.
pub const SIGMA: f64 = 0.5;

const GAUSSIAN_FEATURES: usize = 20;
const GAUSSIAN_RELEVANT: usize = 11;
const CORRELATED_FEATURES: usize = 10;

/// The independent Gaussian set with the truth about it.
pub struct Gaussian {
    pub dataset: Dataset,
    /// Distance between the classes' means of each feature; 0 for the irrelevant ones.
    pub distance: Vec<f64>,
}

/// Side of a picture of the rotated squares, and of the square in it.
pub const PICTURE: usize = 64;
pub const SQUARE: usize = 32;
/// Pictures of [`rotated_squares`] unless told otherwise.
pub const SQUARES_ROWS: usize = 1_000;

/// White squares of 32 × 32 on 64 × 64 black pixels, rotated about the centre by a random angle (SpecXAI, section 2.3);
/// the edges are antialiased by 8 × 8 points a pixel. Without a target: for autoencoders.
pub fn rotated_squares(seed: u64, rows: usize) -> Dataset {
    const POINTS: usize = 8;
    let mut random = Random::new(seed, 0x50a8);
    let mut x = Vec::with_capacity(rows * PICTURE * PICTURE);
    let half = SQUARE as f64 / 2.0;
    let centre = PICTURE as f64 / 2.0;
    for _ in 0..rows {
        // A quarter turn brings the square back to itself.
        let (sin, cos) = (random.uniform() * std::f64::consts::FRAC_PI_2).sin_cos();
        for pixel in 0..PICTURE * PICTURE {
            let inside = (0..POINTS * POINTS).filter(|point| {
                let place = |pixel: usize, point: usize| (pixel as f64 + (point as f64 + 0.5) / POINTS as f64) - centre;
                let (u, v) = (place(pixel % PICTURE, point % POINTS), place(pixel / PICTURE, point / POINTS));
                (cos * u + sin * v).abs() < half && (cos * v - sin * u).abs() < half
            });
            x.push((inside.count() * 255).div_ceil(POINTS * POINTS).min(255) as u8);
        }
    }
    Dataset {
        source: "rotated-squares".into(),
        rows,
        columns: PICTURE * PICTURE,
        x: Values::U8(x),
        y: Targets::Inputs,
        features: (0..PICTURE * PICTURE)
            .map(|i| Feature::new(format!("r{}c{}", i / PICTURE, i % PICTURE), None))
            .collect(),
        axes: ["row", "column"].map(|name| Axis::new(name, PICTURE)).to_vec(),
        weights: None,
        test_from: None,
        notes: Vec::new(),
        filled: Vec::new(),
        row_names: Vec::new(),
        origins: Vec::new(),
    }
}

fn dataset(source: &str, rows: usize, columns: usize, x: Vec<f32>, labels: Vec<u32>) -> Dataset {
    Dataset {
        source: source.into(),
        rows,
        columns,
        x: Values::F32(x),
        y: Targets::Classes { labels, names: vec!["0".into(), "1".into()] },
        features: (0..columns).map(|c| Feature::new(format!("x{c}"), None)).collect(),
        axes: vec![Axis::new("feature", columns)],
        weights: None,
        test_from: None,
        notes: Vec::new(),
        filled: Vec::new(),
        row_names: Vec::new(),
        origins: Vec::new(),
    }
}

/// 20 independent normal features (σ 0.5) in two classes; the means of 11 at random positions differ by u ~ U(0, 1.4).
pub fn gaussian(seed: u64, rows: usize) -> Gaussian {
    let mut random = Random::new(seed, 0xa1);
    let mut order: Vec<usize> = (0..GAUSSIAN_FEATURES).collect();
    random.shuffle(&mut order);
    let mut distance = vec![0.0; GAUSSIAN_FEATURES];
    for &feature in &order[..GAUSSIAN_RELEVANT] {
        distance[feature] = 1.4 * random.uniform();
    }
    let labels: Vec<u32> = (0..rows as u32).map(|r| r % 2).collect();
    let mut x = Vec::with_capacity(rows * GAUSSIAN_FEATURES);
    for &label in &labels {
        for d in &distance {
            let mean = d * (f64::from(label) - 0.5);
            x.push((mean + SIGMA * random.normal()) as f32);
        }
    }
    Gaussian { dataset: dataset("gaussian", rows, GAUSSIAN_FEATURES, x, labels), distance }
}

/// Four pairs `x₂ₙ₊₁ = ±x₂ₙ`, whose sign flips with probability [`FLIP`]`[n]` in class 1 only, and two noise features.
pub fn correlated(seed: u64, rows: usize) -> Dataset {
    let mut random = Random::new(seed, 0xa2);
    let labels: Vec<u32> = (0..rows as u32).map(|r| r % 2).collect();
    let mut x = Vec::with_capacity(rows * CORRELATED_FEATURES);
    for &label in &labels {
        for flip in FLIP {
            let first = SIGMA * random.normal();
            let flipped = label == 1 && random.uniform() < flip;
            x.extend([first as f32, if flipped { -first as f32 } else { first as f32 }]);
        }
        x.extend([(SIGMA * random.normal()) as f32, (SIGMA * random.normal()) as f32]);
    }
    dataset("correlated", rows, CORRELATED_FEATURES, x, labels)
}

/// Channels, places of each, and channels that tell the classes apart, of [`channels`].
pub const CHANNELS: usize = 16;
pub const CHANNEL_PLACES: usize = 32;
pub const CHANNELS_RELEVANT: usize = 5;
/// Rows of [`channels`] unless told otherwise.
pub const CHANNELS_ROWS: usize = 4_000;

/// A recording of many channels with the truth about it.
pub struct Channels {
    pub dataset: Dataset,
    /// Where each channel's wave stands, if it tells the classes apart.
    pub relevant: Vec<Option<usize>>,
}

/// Recordings `[16 channels, 32 places]` in two classes: standard normal noise, and in every channel one wave, up or down. In five
/// channels at random positions the wave stands at a place of its own, and goes up in class 1 and down in class 0 in four of five
/// rows; in the other eleven it stands anywhere and its direction says nothing: each channel by itself looks the same.
pub fn channels(seed: u64, rows: usize) -> Channels {
    const WAVE: [f64; 5] = [0.75, 1.5, 2.0, 1.5, 0.75];
    const RIGHT: f64 = 0.8;
    let mut random = Random::new(seed, 0xa4);
    let mut order: Vec<usize> = (0..CHANNELS).collect();
    random.shuffle(&mut order);
    let mut relevant = vec![None; CHANNELS];
    let span = CHANNEL_PLACES - WAVE.len() + 1;
    for (i, &channel) in order[..CHANNELS_RELEVANT].iter().enumerate() {
        relevant[channel] = Some((2 * i + 1) * span / (2 * CHANNELS_RELEVANT));
    }
    let labels: Vec<u32> = (0..rows as u32).map(|r| r % 2).collect();
    let mut x = Vec::with_capacity(rows * CHANNELS * CHANNEL_PLACES);
    for &label in &labels {
        for place in &relevant {
            let begin = x.len();
            x.extend((0..CHANNEL_PLACES).map(|_| random.normal() as f32));
            let anywhere = ((random.uniform() * span as f64) as usize).min(span - 1);
            let (up, right) = (random.uniform() < 0.5, random.uniform() < RIGHT);
            let up = if place.is_some() { (label == 1) == right } else { up };
            let wave = &mut x[begin + place.unwrap_or(anywhere)..][..WAVE.len()];
            wave.iter_mut().zip(WAVE).for_each(|(x, height)| *x += if up { height } else { -height } as f32);
        }
    }
    let columns = CHANNELS * CHANNEL_PLACES;
    let name = |i: usize| format!("p{:02}ch{:02}", i % CHANNEL_PLACES, i / CHANNEL_PLACES);
    let dataset = Dataset {
        features: (0..columns).map(|i| Feature::new(name(i), None)).collect(),
        axes: vec![Axis::new(super::CHANNEL, CHANNELS), Axis::new("position", CHANNEL_PLACES)],
        ..dataset("channels", rows, columns, x, labels)
    };
    Channels { dataset, relevant }
}

/// Rows of [`redundant`] unless told otherwise.
pub const REDUNDANT_ROWS: usize = 4_000;
/// Columns of [`redundant`] that tell the classes apart on their own.
pub const REDUNDANT_SOURCES: usize = 3;
/// Columns that repeat each source: two exact copies (the second with the sign turned), and one with noise (r = 0.95).
pub const REDUNDANT_COPIES: [&str; 3] = ["copy", "negative", "noisy"];

/// Three sources, three copies of each, and eight columns of noise; the class is the sign of `s₀ + s₁·s₂` but for one row in
/// twenty. A selection needs one column of each family, and any will do: the answer to what stands in for what is known.
pub fn redundant(seed: u64, rows: usize) -> Dataset {
    const NOISE: usize = 8;
    const CORRELATION: f64 = 0.95;
    let mut random = Random::new(seed, 0xa3);
    let columns = REDUNDANT_SOURCES * (1 + REDUNDANT_COPIES.len()) + NOISE;
    let mut x = Vec::with_capacity(rows * columns);
    let mut labels = Vec::with_capacity(rows);
    for _ in 0..rows {
        let s: [f64; REDUNDANT_SOURCES] = std::array::from_fn(|_| random.normal());
        for s in s {
            let noisy = CORRELATION * s + (1.0 - CORRELATION * CORRELATION).sqrt() * random.normal();
            x.extend([s, s, -s, noisy].map(|v| v as f32));
        }
        x.extend((0..NOISE).map(|_| random.normal() as f32));
        let right = random.uniform() >= 0.05;
        labels.push(u32::from((s[0] + s[1] * s[2] > 0.0) == right));
    }
    let mut dataset = dataset("redundant", rows, columns, x, labels);
    let copies = |s: usize| {
        let of = REDUNDANT_COPIES.iter().map(move |kind| format!("s{s}_{kind}"));
        std::iter::once(format!("s{s}")).chain(of)
    };
    let names = (0..REDUNDANT_SOURCES).flat_map(copies).chain((0..NOISE).map(|i| format!("noise{i}")));
    dataset.features.iter_mut().zip(names).for_each(|(feature, name)| feature.name = name);
    dataset
}
