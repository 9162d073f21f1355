//! Pixel pictures: a matrix as an indexed PNG inside the page, and outlines around chosen pixels.

use std::collections::HashSet;

use super::facts::Grid;
use super::page::Picture;
use super::text::escape;

/// Ten evenly spaced colours of matplotlib's viridis (public domain): even in lightness, so safe for colour-blind readers and in grey print.
const VIRIDIS: [[u8; 3]; 10] = [
    [0x44, 0x01, 0x54],
    [0x48, 0x28, 0x78],
    [0x3e, 0x49, 0x89],
    [0x31, 0x68, 0x8e],
    [0x26, 0x82, 0x8e],
    [0x1f, 0x9e, 0x89],
    [0x35, 0xb7, 0x79],
    [0x6e, 0xce, 0x58],
    [0xb5, 0xde, 0x2b],
    [0xfd, 0xe7, 0x25],
];

/// Longest side of an embedded picture; a larger matrix is pooled, which keeps a page small.
const MAX_SIDE: usize = 256;

/// How a value 0..1 becomes a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    /// Black to white.
    Grey,
    /// Dark violet through green to yellow.
    Viridis,
    /// Orange through white to blue; zero is at 0.5.
    Diverging,
}

/// Ends and middle of the diverging palette: the page's orange and blue.
pub(crate) const NEGATIVE: [u8; 3] = [0xc4, 0x51, 0x0a];
const ZERO: [u8; 3] = [0xf7, 0xf7, 0xf5];
pub(crate) const POSITIVE: [u8; 3] = [0x17, 0x63, 0xa6];

impl Palette {
    /// The colour of `share`, which is clamped to 0..1.
    pub fn color(self, share: f64) -> [u8; 3] {
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        match self {
            Palette::Grey => [(share * 255.0).round() as u8; 3],
            Palette::Diverging => {
                let end = if share < 0.5 { NEGATIVE } else { POSITIVE };
                let part = (2.0 * share - 1.0).abs();
                std::array::from_fn(|i| {
                    (f64::from(ZERO[i]) + (f64::from(end[i]) - f64::from(ZERO[i])) * part).round() as u8
                })
            }
            Palette::Viridis => {
                let place = share * (VIRIDIS.len() - 1) as f64;
                let low = (place as usize).min(VIRIDIS.len() - 2);
                let part = place - low as f64;
                std::array::from_fn(|i| {
                    let (a, b) = (f64::from(VIRIDIS[low][i]), f64::from(VIRIDIS[low + 1][i]));
                    (a + (b - a) * part).round() as u8
                })
            }
        }
    }
}

/// A row-major matrix of shares 0..1 as a `data:` URI of a PNG.
///
/// A matrix above 256 a side is pooled by blocks that keep their *largest* value (diverging: the one furthest from zero), so
/// that single bright pixels stay visible.
pub fn data_uri(rows: usize, columns: usize, shares: &[f64], palette: Palette) -> String {
    assert_eq!(shares.len(), rows * columns, "a picture needs one value a pixel");
    let block = rows.max(columns).div_ceil(MAX_SIDE).max(1);
    let (height, width) = (rows.div_ceil(block), columns.div_ceil(block));
    let zero = if palette == Palette::Diverging { 128u8 } else { 0 };
    let mut pixels = vec![zero; height * width];
    for (i, share) in shares.iter().enumerate() {
        let pixel = &mut pixels[i / columns / block * width + i % columns / block];
        // Zero is the 128th of 256 colours.
        let value = (share.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        if value.abs_diff(zero) > pixel.abs_diff(zero) {
            *pixel = value;
        }
    }
    let colors: Vec<u8> = (0..=255u8).flat_map(|i| palette.color(f64::from(i) / 255.0)).collect();
    let png = encode(width as u32, height as u32, &pixels, colors).expect("writing a PNG to memory can't fail");
    format!("data:image/png;base64,{}", base64(&png))
}

/// A row-major picture `[rows, columns]` of red, green and blue, 0..1 each, as a `data:` URI of a PNG. Above 256 a side every so many
/// pixels are drawn as their mean.
pub fn colour_uri(rows: usize, columns: usize, shares: &[[f64; 3]]) -> String {
    assert_eq!(shares.len(), rows * columns, "a picture needs one value a pixel");
    let (height, width, bytes) = reduced(rows, columns, shares, MAX_SIDE);
    let png = encode_colour(width as u32, height as u32, &bytes).expect("writing a PNG to memory can't fail");
    format!("data:image/png;base64,{}", base64(&png))
}

/// Height, width and bytes of a picture whose longer side has `most` pixels at most: means of blocks.
fn reduced(rows: usize, columns: usize, shares: &[[f64; 3]], most: usize) -> (usize, usize, Vec<u8>) {
    let block = rows.max(columns).div_ceil(most).max(1);
    let (height, width) = (rows.div_ceil(block), columns.div_ceil(block));
    let mut sums = vec![([0.0; 3], 0.0); height * width];
    for (i, share) in shares.iter().enumerate() {
        let (sum, count) = &mut sums[i / columns / block * width + i % columns / block];
        sum.iter_mut().zip(share).for_each(|(sum, x)| *sum += x.clamp(0.0, 1.0));
        *count += 1.0;
    }
    let byte = |x: f64, count: f64| (x / f64::max(count, 1.0) * 255.0 + 0.5) as u8;
    (height, width, sums.iter().flat_map(|&(sum, count)| sum.map(|x| byte(x, count))).collect())
}

/// A photograph, or what is drawn over one, `[rows, columns]` of red, green and blue, 0..1 each, as a `data:` URI of a JPEG, which takes a
/// fifth of a PNG's bytes for such pictures. Above 512 a side every so many pixels are drawn as their mean.
fn photo_uri(rows: usize, columns: usize, shares: &[[f64; 3]]) -> String {
    assert_eq!(shares.len(), rows * columns, "a picture needs one value a pixel");
    let (height, width, bytes) = reduced(rows, columns, shares, 512);
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 88)
        .encode(&bytes, width as u32, height as u32, image::ExtendedColorType::Rgb8)
        .expect("writing a JPEG of at most 512 a side to memory can't fail");
    format!("data:image/jpeg;base64,{}", base64(&jpeg))
}

fn encode_colour(width: u32, height: u32, bytes: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(bytes)?;
    writer.finish()?;
    Ok(out)
}

/// An input as people see it, its values (0..1) in colour where it has three channels, else their mean in grey.
pub(crate) fn seen_uri(grid: Grid, shares: &[f64]) -> String {
    if grid.channels == 3 {
        let colour = |pixel| std::array::from_fn(|channel| shares[grid.input(pixel, channel)]);
        return colour_uri(grid.rows, grid.columns, &(0..grid.pixels()).map(colour).collect::<Vec<_>>());
    }
    let mean: Vec<f64> = grid.by_pixel(shares, |a, b| a + b).iter().map(|x| x / grid.channels as f64).collect();
    data_uri(grid.rows, grid.columns, &mean, Palette::Grey)
}

fn encode(width: u32, height: u32, pixels: &[u8], colors: Vec<u8>) -> Result<Vec<u8>, png::EncodingError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(colors);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(out)
}

/// RFC 4648, with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { digit as char } else { '=' });
        }
    }
    out
}

/// The SVG path (in pixel units) around the chosen pixels: one line around each cluster instead of a box around every pixel.
pub fn outline(columns: usize, chosen: &[usize]) -> String {
    let set: HashSet<usize> = chosen.iter().copied().collect();
    let mut ordered: Vec<usize> = set.iter().copied().collect();
    ordered.sort_unstable();
    let mut path = String::new();
    for pixel in ordered {
        let (x, y) = (pixel % columns, pixel / columns);
        let absent = |neighbour: Option<usize>| neighbour.is_none_or(|n| !set.contains(&n));
        if absent(pixel.checked_sub(columns)) {
            path.push_str(&format!("M{x} {y}h1"));
        }
        if absent(pixel.checked_add(columns)) {
            path.push_str(&format!("M{x} {}h1", y + 1));
        }
        if absent((x > 0).then(|| pixel - 1)) {
            path.push_str(&format!("M{x} {y}v1"));
        }
        if absent((x + 1 < columns).then(|| pixel + 1)) {
            path.push_str(&format!("M{} {y}v1", x + 1));
        }
    }
    path
}

/// An input as people see it, its values 0..1.
pub(crate) fn seen(grid: Grid, shares: &[f64], title: &str) -> Picture {
    framed(grid.rows, grid.columns, &seen_uri(grid, shares), "", title)
}

/// A pixel picture, `[rows, columns]` shares 0..1, with pixels outlined where `marked` says so.
pub(crate) fn pixels(
    rows: usize,
    columns: usize,
    shares: &[f64],
    palette: Palette,
    marked: &[usize],
    title: &str,
) -> Picture {
    let outlined = match marked {
        [] => String::new(),
        marked => format!("<path class=\"outline\" d=\"{}\"/>", outline(columns, marked)),
    };
    framed(rows, columns, &data_uri(rows, columns, shares, palette), &outlined, title)
}

fn framed(rows: usize, columns: usize, uri: &str, above: &str, title: &str) -> Picture {
    pictured(columns, rows, "pixels", uri, above, title)
}

/// An embedded picture of a class of the style sheet, with something above it.
fn pictured(width: usize, height: usize, class: &str, uri: &str, above: &str, title: &str) -> Picture {
    let svg = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title><image class=\"{class}\" \
         width=\"{width}\" height=\"{height}\" href=\"{uri}\"/>{above}</svg>",
        escape(title),
    );
    Picture { alternative: title.to_owned(), svg }
}

/// A photograph of so many pixels, `[rows, columns]` of red, green and blue.
pub(crate) fn photo(rows: usize, columns: usize, shares: &[[f64; 3]], title: &str) -> Picture {
    pictured(columns, rows, "photo", &photo_uri(rows, columns, shares), "", title)
}

/// Signed values as shares of the diverging scale: 0.5 is zero, `largest` the end.
pub(crate) fn diverging(values: &[f64], largest: f64) -> Vec<f64> {
    values.iter().map(|v| if largest > 0.0 { 0.5 + 0.5 * v / largest } else { 0.5 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_matches_rfc_4648() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn png_reads_back() {
        let png =
            encode(2, 1, &[0, 255], (0..=255u8).flat_map(|i| Palette::Grey.color(f64::from(i) / 255.0)).collect());
        let mut reader = png::Decoder::new(std::io::Cursor::new(png.unwrap())).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!((reader.info().width, reader.info().height, &pixels[..2]), (2, 1, &[0u8, 255][..]));
    }

    #[test]
    fn large_pictures_are_pooled_and_keep_their_peak() {
        let mut shares = vec![0.0; 1000 * 600];
        shares[777 * 600 + 333] = 1.0;
        let uri = data_uri(1000, 600, &shares, Palette::Viridis);
        assert!(uri.len() < 5000, "{}", uri.len());
        assert_ne!(uri, data_uri(1000, 600, &vec![0.0; 600_000], Palette::Viridis));
        assert_eq!(Palette::Viridis.color(f64::NAN), VIRIDIS[0]);
        assert_eq!(Palette::Viridis.color(2.0), VIRIDIS[9]);
    }

    #[test]
    fn outlines_go_around_clusters() {
        assert_eq!(outline(3, &[4]).matches('M').count(), 4);
        assert_eq!(outline(3, &[4, 5]).matches('M').count(), 6);
        // End of one row and start of the next are no neighbours.
        assert_eq!(outline(3, &[2, 3]).matches('M').count(), 8);
    }
}
