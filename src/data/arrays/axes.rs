//! What the axes of an array and its columns are called.

use super::super::{Axis, CHANNEL, Feature, Layout};

/// Axes and feature names of one sample: `[channels, spatial…]`, `[height, width, channels]`, or `[features]`.
pub(crate) fn described(shape: &[usize], layout: Layout) -> (Vec<Axis>, Vec<Feature>) {
    match (shape, layout) {
        // As pictures without colours are read.
        ([1, spatial @ ..], Layout::ChannelsFirst) | ([spatial @ .., 1], Layout::ChannelsLast)
            if spatial.len() == 2 =>
        {
            describe(spatial, Layout::NoChannels)
        }
        _ => describe(shape, layout),
    }
}

/// Axes and feature names of one row.
pub(super) fn describe(shape: &[usize], layout: Layout) -> (Vec<Axis>, Vec<Feature>) {
    let columns: usize = shape.iter().product();
    const SPACE: [&str; 3] = ["depth", "row", "column"];
    let axes = shape.len() - usize::from(layout != Layout::NoChannels && shape.len() > 1);
    let mut names: Vec<String> = match (shape.len(), axes) {
        (1, _) => vec!["feature".into()],
        (_, 1) => vec!["position".into()],
        (_, 2 | 3) => SPACE[3 - axes..].iter().map(|&name| name.into()).collect(),
        _ => (1..=axes).map(|i| format!("axis{i}")).collect(),
    };
    match layout {
        _ if axes == shape.len() => {}
        Layout::ChannelsFirst => names.insert(0, CHANNEL.into()),
        _ => names.push(CHANNEL.into()),
    }
    let axes: Vec<Axis> = names.into_iter().zip(shape).map(|(name, &len)| Axis::new(name, len)).collect();
    let digits = |n: usize| (n.max(2) - 1).to_string().len();
    let name = |i: usize| {
        let [position, channel] = ["position", CHANNEL].map(|name| place_along(&axes, name, i));
        if let (Some((position, length)), Some((channel, of))) = (position, channel) {
            return format!("p{position:0$}ch{channel:01$}", digits(length), digits(of));
        }
        let [Some((row, height)), Some((column, width)), channel] =
            ["row", "column", "channel"].map(|name| place_along(&axes, name, i))
        else {
            return format!("x{i}");
        };
        // Two of three numbers would name the columns of every plane alike.
        if axes.len() > 3 || place_along(&axes, "depth", i).is_some() {
            return format!("x{i}");
        }
        let d = digits(height.max(width));
        let channel = channel.map_or_else(String::new, |(channel, of)| format!("ch{channel:0k$}", k = digits(of)));
        format!("r{row:0d$}c{column:0d$}{channel}")
    };
    let features = (0..columns).map(|i| Feature::new(name(i), None)).collect();
    (axes, features)
}

/// Where place `i` of a row stands along the axis of a name, and how long that is.
fn place_along(axes: &[Axis], name: &str, i: usize) -> Option<(usize, usize)> {
    let at = axes.iter().position(|axis| axis.name == name)?;
    let inner: usize = axes[at + 1..].iter().map(|axis| axis.len).product();
    Some((i / inner % axes[at].len, axes[at].len))
}
