//! One picture file as pixels.

use std::io::Cursor;
use std::path::Path;

use image::imageops::FilterType;
use image::{
    DynamicImage, GenericImageView, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Pixel,
    Rgb, imageops,
};

use super::{Preprocessing, Resize, Size};
use crate::{Error, Result};

/// Largest side of a file's picture.
const MOST_SIDE: u32 = 30_000;
/// Bytes that decoding one may take.
const MOST_BYTES: u64 = 1 << 30;
/// Pixels that a byte of a file can stand for, generously: deflate packs 1,032 bytes into one, and JPEG's shortest code for a block of 64
/// pixels is a bit long.
const PIXELS_A_BYTE: u64 = 2048;

/// A picture in red, green and blue, turned upright, of the size asked for.
pub(super) struct Picture {
    colours: Colours,
    /// The file has no colours.
    pub grey: bool,
    /// The file has 16 bits a channel.
    pub deep: bool,
}

enum Colours {
    Eight(ImageBuffer<Rgb<u8>, Vec<u8>>),
    Sixteen(ImageBuffer<Rgb<u16>, Vec<u16>>),
}

impl Picture {
    pub fn size(&self) -> Size {
        let (width, height) = match &self.colours {
            Colours::Eight(image) => image.dimensions(),
            Colours::Sixteen(image) => image.dimensions(),
        };
        Size { width: width as usize, height: height as usize }
    }

    /// A channel of a pixel (row by row), 0 to 255.
    pub fn value(&self, pixel: usize, channel: usize) -> f32 {
        match &self.colours {
            Colours::Eight(image) => f32::from(image.as_raw()[3 * pixel + channel]),
            Colours::Sixteen(image) => f32::from(image.as_raw()[3 * pixel + channel]) / 257.0,
        }
    }

    /// A pixel's luma as ITU-R 601 has it, and PIL and OpenCV with it.
    pub fn grey(&self, pixel: usize) -> f32 {
        let [r, g, b] = [0, 1, 2].map(|c| self.value(pixel, c));
        if self.grey { r } else { 0.299 * r + 0.587 * g + 0.114 * b }
    }
}

pub(super) fn decode(path: &Path, steps: &Preprocessing) -> Result<Picture> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e, "check that the file is there"))?;
    let image = open(path, &bytes)?;
    let grey = !image.color().has_color();
    let deep = image.color().bytes_per_pixel() / image.color().channel_count() > 1;
    let clear = image.color().has_alpha();
    let colours = if deep {
        let image = if clear { over_white(&image.into_rgba16(), u16::MAX) } else { image.into_rgb16() };
        Colours::Sixteen(sized(path, image, steps)?)
    } else {
        let image = if clear { over_white(&image.into_rgba8(), u8::MAX) } else { image.into_rgb8() };
        Colours::Eight(sized(path, image, steps)?)
    };
    Ok(Picture { colours, grey, deep })
}

/// The whole picture, upright.
fn open(path: &Path, bytes: &[u8]) -> Result<DynamicImage> {
    let wrong = |problem: String, remedy: &str| Error::input(path, "picture", problem, remedy);
    let broken = |e: ImageError| match e {
        ImageError::Limits(_) => wrong("it is too large to be decoded".into(), "make it smaller"),
        e => wrong(format!("it can't be decoded ({e})"), "save it anew as JPEG or PNG"),
    };
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| broken(e.into()))?;
    let format = reader.format().filter(|format| matches!(format, ImageFormat::Jpeg | ImageFormat::Png));
    let Some(format) = format else {
        return Err(wrong("it is neither JPEG nor PNG inside".into(), "save it as one of them"));
    };
    if format == ImageFormat::Jpeg {
        match jpeg_components(bytes) {
            Some(4) => return Err(wrong("its colours are CMYK, for print".into(), "convert it to RGB")),
            Some(_) => {}
            None => return Err(wrong("it breaks off before its end".into(), "fetch or save it anew")),
        }
    }
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if width == 0 || height == 0 || pixels > PIXELS_A_BYTE * bytes.len() as u64 {
        let problem = format!("it claims {width} × {height} pixels in {} bytes", bytes.len());
        return Err(wrong(problem, "save it anew"));
    }
    let mut limits = Limits::no_limits();
    (limits.max_image_width, limits.max_image_height) = (Some(MOST_SIDE), Some(MOST_SIDE));
    limits.max_alloc = Some(MOST_BYTES);
    if decoder.total_bytes() > MOST_BYTES {
        return Err(broken(ImageError::Limits(image::error::LimitError::from_kind(
            image::error::LimitErrorKind::InsufficientMemory,
        ))));
    }
    decoder.set_limits(limits).map_err(broken)?;
    // What says nothing readable of its orientation stands upright.
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// How many components a JPEG's frame has; `None` where the file ends before its picture does (decoders fill up with grey).
fn jpeg_components(bytes: &[u8]) -> Option<u8> {
    let mut at = 2;
    let mut components = None;
    loop {
        let [0xff, marker] = *bytes.get(at..at + 2)? else {
            at += 1;
            continue;
        };
        match marker {
            // Filling, and markers without content.
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            // The picture itself: its end must follow.
            0xda => return bytes[at..].windows(2).any(|pair| pair == [0xff, 0xd9]).then_some(components.unwrap_or(3)),
            0xd9 => return None,
            _ => {
                let length = usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
                // Frames, but not the tables that share their range.
                if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
                    components = Some(*bytes.get(at + 9)?);
                }
                at += 2 + length;
            }
        }
    }
}

/// What is transparent shows white.
fn over_white<T>(image: &ImageBuffer<image::Rgba<T>, Vec<T>>, white: T) -> ImageBuffer<Rgb<T>, Vec<T>>
where
    T: image::Primitive,
    image::Rgba<T>: Pixel<Subpixel = T>,
    Rgb<T>: Pixel<Subpixel = T>,
{
    let white = white.to_f64().expect("invariant: a whole number");
    let number = |x: T| x.to_f64().expect("invariant: a whole number");
    ImageBuffer::from_fn(image.width(), image.height(), |x, y| {
        let image::Rgba([r, g, b, a]) = *image.get_pixel(x, y);
        let alpha = number(a) / white;
        Rgb([r, g, b].map(|c| {
            let mixed = (number(c) * alpha + white * (1.0 - alpha)).round();
            if alpha < 1.0 { T::from(mixed).expect("invariant: between two colours") } else { c }
        }))
    })
}

/// Resized (a triangle as wide as what becomes one pixel, as PIL's bilinear), then its middle.
fn sized<T>(
    path: &Path,
    image: ImageBuffer<Rgb<T>, Vec<T>>,
    steps: &Preprocessing,
) -> Result<ImageBuffer<Rgb<T>, Vec<T>>>
where
    T: image::Primitive + 'static,
    Rgb<T>: Pixel<Subpixel = T> + 'static,
{
    let (width, height) = image.dimensions();
    let to = match steps.resize {
        None => (width, height),
        Some(Resize::Exactly(size)) => (size.width as u32, size.height as u32),
        Some(Resize::Shorter(side)) => {
            // As torchvision: the longer side rounded down.
            let longer = |of: u32, to: u32| (side as u64 * u64::from(of) / u64::from(to)).max(1) as u32;
            if width <= height { (side as u32, longer(height, width)) } else { (longer(width, height), side as u32) }
        }
    };
    if u64::from(to.0) * u64::from(to.1) > MOST_BYTES / 12 {
        let problem = format!("it would become {} × {} pixels", to.0, to.1);
        return Err(Error::input(path, "size", problem, "give a smaller --resize, or width and height as in 320x240"));
    }
    let resized =
        if to == (width, height) { image } else { imageops::resize(&image, to.0, to.1, FilterType::Triangle) };
    let Some(Size { width, height }) = steps.crop else { return Ok(resized) };
    let (width, height) = (width as u32, height as u32);
    if width > to.0 || height > to.1 {
        let problem = format!("the middle {width} × {height} of {} × {} pixels is asked for", to.0, to.1);
        return Err(Error::input(path, "size", problem, "give a larger --resize, or a smaller --crop"));
    }
    // As torchvision rounds the corner.
    let corner = |all: u32, part: u32| (f64::from(all - part) / 2.0).round_ties_even() as u32;
    Ok(resized.view(corner(to.0, width), corner(to.1, height), width, height).to_image())
}
