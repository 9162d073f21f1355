//! Pictures as data: what is read of a file, how it is brought to size and scale, and what is refused.

use std::fs;
use std::io::Cursor;

use crate::common::program::{Place, eigenlens, refused, stderr, stdout};
use eigenlens::data::{Axis, Channels, Dataset, Preprocess, Preset, Request, Resize, Size, Targets, Values, load};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, Rgba};

use crate::encode::{Bytes, floats, node, value};
use crate::samples::{attribute_ints, model};

fn bytes_of(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.into().write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// 3 columns × 2 rows; red counts pixels from 0, green and blue are 100 and 200 more.
fn small() -> ImageBuffer<Rgb<u8>, Vec<u8>> {
    ImageBuffer::from_fn(3, 2, |x, y| Rgb([0, 20, 40].map(|c| c + (3 * y + x) as u8)))
}

fn read(request: Request) -> Dataset {
    load(&Request { need_target: false, ..request }).unwrap()
}

fn bytes(dataset: &Dataset) -> &[u8] {
    let Values::U8(bytes) = &dataset.x else { panic!("bytes: {:?}", dataset.x) };
    bytes
}

fn names(axes: &[Axis]) -> Vec<(&str, usize)> {
    axes.iter().map(|axis| (axis.name.as_str(), axis.len)).collect()
}

#[test]
fn pixels_stand_where_they_are_asked_for() {
    let place = Place::new();
    let path = place.write("a.png", bytes_of(small(), ImageFormat::Png));
    let first = read(Request::new(&path));
    assert_eq!(names(&first.axes), [("channel", 3), ("row", 2), ("column", 3)]);
    assert_eq!(bytes(&first), [0, 1, 2, 3, 4, 5, 20, 21, 22, 23, 24, 25, 40, 41, 42, 43, 44, 45]);
    assert_eq!(first.row_names, ["a.png"]);
    let last = read(Request { layout: Some(eigenlens::data::Layout::ChannelsLast), ..Request::new(&path) });
    assert_eq!(names(&last.axes), [("row", 2), ("column", 3), ("channel", 3)]);
    assert_eq!(bytes(&last)[..6], [0, 20, 40, 1, 21, 41]);
    let bgr = Preprocess { channels: Some(Channels::Bgr), ..Preprocess::default() };
    let bgr = read(Request { pictures: bgr, ..Request::new(&path) });
    assert_eq!(bytes(&bgr)[..8], [40, 41, 42, 43, 44, 45, 20, 21]);
    // A model of grey pictures gets their luma, 0.299 R + 0.587 G + 0.114 B.
    let axes = [("row", 2), ("column", 3)].map(|(name, len)| Axis::new(name, len));
    let grey = read(Request { axes: Some(axes.to_vec()), ..Request::new(&path) });
    assert_eq!(bytes(&grey)[..3], [16, 17, 18]);
}

#[test]
fn every_kind_of_png_is_read() {
    let place = Place::new();
    let grey = place.write("g.png", bytes_of(ImageBuffer::from_fn(2, 1, |x, _| Luma([7 + x as u8])), ImageFormat::Png));
    let grey = read(Request::new(&grey));
    assert_eq!((names(&grey.axes), bytes(&grey)), (vec![("row", 1), ("column", 2)], &[7u8, 8][..]));
    // Half transparent black over white; wholly transparent red is white.
    let clear = ImageBuffer::from_fn(2, 1, |x, _| if x == 0 { Rgba([0u8, 0, 0, 127]) } else { Rgba([255, 0, 0, 0]) });
    let clear = read(Request::new(place.write("c.png", bytes_of(clear, ImageFormat::Png))));
    assert_eq!(bytes(&clear), [128, 255, 128, 255, 128, 255]);
    // 16 bits keep their digits: 0 to 255 in steps of 1/257.
    let deep = ImageBuffer::from_fn(2, 1, |x, _| Luma([257 * 9 + 100 * x as u16]));
    let deep = read(Request::new(place.write("d.png", bytes_of(deep, ImageFormat::Png))));
    let Values::F32(values) = &deep.x else { panic!("numbers") };
    assert!((values[0] - 9.0).abs() < 1e-5 && (values[1] - 9.0 - 100.0 / 257.0).abs() < 1e-5, "{values:?}");
}

/// A JPEG with an EXIF segment that says how it was held.
fn held(orientation: u8) -> Vec<u8> {
    // Left half black, right half white, 32 × 16.
    let image = ImageBuffer::from_fn(32, 16, |x, _| Luma([if x < 16 { 0u8 } else { 255 }]));
    let jpeg = bytes_of(image, ImageFormat::Jpeg);
    let exif =
        [&b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01"[..], &[0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]]
            .concat();
    let segment = [&[0xff, 0xe1][..], &(exif.len() as u16 + 2).to_be_bytes(), &exif].concat();
    [&jpeg[..2], &segment, &jpeg[2..]].concat()
}

#[test]
fn photographs_stand_upright() {
    let place = Place::new();
    let shape = |orientation: u8| {
        let read = read(Request::new(place.write("p.jpg", held(orientation))));
        (names(&read.axes)[0].1, names(&read.axes)[1].1, bytes(&read).to_vec())
    };
    let (rows, columns, pixels) = shape(1);
    assert_eq!((rows, columns), (16, 32));
    assert!(pixels[0] < 20 && pixels[31] > 235);
    // Turned by a quarter: what was left is above.
    let (rows, columns, pixels) = shape(6);
    assert_eq!((rows, columns), (32, 16));
    assert!(pixels[0] < 20 && pixels[15] < 20 && pixels[31 * 16] > 235);
    let (.., pixels) = shape(3);
    assert!(pixels[0] > 235 && pixels[31] < 20);
}

#[test]
fn pictures_are_brought_to_size() {
    let place = Place::new();
    // A ramp, 80 × 40.
    let ramp = ImageBuffer::from_fn(80, 40, |x, y| Luma([(2 * x + y) as u8]));
    let path = place.write("r.png", bytes_of(ramp, ImageFormat::Png));
    let with = |pictures: Preprocess| {
        let read = read(Request { pictures, ..Request::new(&path) });
        let shape = names(&read.axes);
        (shape[0].1, shape[1].1, bytes(&read).to_vec())
    };
    let resized = |resize: &str| Preprocess { resize: Some(resize.parse().unwrap()), ..Preprocess::default() };
    let (rows, columns, pixels) = with(resized("20"));
    assert_eq!((rows, columns), (20, 40));
    // Means of 2 × 2 and their neighbours, by a triangle: of a ramp, the middle.
    assert!((i32::from(pixels[10 * 40 + 20]) - (2 * 40 + 1 + 20)).abs() <= 2, "{}", pixels[10 * 40 + 20]);
    assert_eq!(with(resized("20x30")).0, 30);
    let crop = Preprocess { crop: Some("10x20".parse().unwrap()), ..Preprocess::default() };
    let (rows, columns, pixels) = with(crop);
    assert_eq!((rows, columns), (20, 10));
    // The middle begins at column 35, row 10.
    assert_eq!(pixels[0], 2 * 35 + 10);
    let both = Preprocess { crop: Some("16".parse().unwrap()), ..resized("20") };
    assert_eq!(with(both).0, 16);
    // A network's size: squeezed, or by the preset.
    let size = Some(Size { width: 224, height: 224 });
    let squeezed = Preprocess::default().resolve(size);
    assert_eq!((squeezed.resize, squeezed.crop), (size.map(Resize::Exactly), None));
    let imagenet = Preprocess { preset: Preset::Imagenet, ..Preprocess::default() }.resolve(size);
    assert_eq!((imagenet.resize, imagenet.crop), (Some(Resize::Shorter(256)), size));
    assert_eq!("axb".parse::<Size>().unwrap_err().split(',').next(), Some("give a side as in 224"));
}

#[test]
fn scales_are_those_of_the_presets() {
    let axes = [("channel", 3), ("row", 1), ("column", 2)].map(|(name, len)| Axis::new(name, len));
    let size = Some(Size { width: 2, height: 1 });
    let scaled = |preset: Preset| {
        let scaling = Preprocess { preset, ..Preprocess::default() }.resolve(size).scaling(&axes).unwrap();
        move |pixel: f64, column: usize| (pixel - scaling.shift[column]) * scaling.scale[column]
    };
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-5 * (1.0 + b.abs()), "{a} is not {b}");
    near(scaled(Preset::None)(51.0, 5), 0.2);
    // (51/255 − 0.456)/0.224, of green.
    near(scaled(Preset::Imagenet)(51.0, 3), (0.2 - 0.456) / 0.224);
    // Caffe's red comes last.
    near(scaled(Preset::Caffe)(51.0, 4), 51.0 - 123.0);
    near(scaled(Preset::Caffe)(51.0, 0), 51.0 - 104.0);
    let last = [("row", 1), ("column", 2), ("channel", 3)].map(|(name, len)| Axis::new(name, len));
    let caffe = Preprocess { preset: Preset::Caffe, ..Preprocess::default() };
    assert_eq!(caffe.resolve(size).scaling(&last).unwrap().shift, [104.0, 117.0, 123.0, 104.0, 117.0, 123.0]);
    let two = Preprocess { mean: Some(vec![0.1, 0.2]), ..Preprocess::default() };
    let error = two.resolve(size).scaling(&axes).unwrap_err().to_string();
    assert!(error.contains("--mean has 2 values") && error.contains("3 channels"), "{error}");
}

#[test]
fn subfolders_are_labels() {
    let place = Place::new();
    let png = |value: u8| bytes_of(ImageBuffer::from_pixel(2, 2, Luma([value])), ImageFormat::Png);
    for (name, value) in [("b/2.png", 3u8), ("a/1.PNG", 1), ("b/1.png", 2)] {
        fs::create_dir_all(place.path(name).parent().unwrap()).unwrap();
        place.write(name, png(value));
    }
    place.write("a/notes.txt", "x");
    place.write("a/.hidden.png", "x");
    let folder = place.0.path().to_str().unwrap();
    let read = load(&Request::new(folder)).unwrap();
    assert_eq!(read.row_names, ["a/1.PNG", "b/1.png", "b/2.png"]);
    assert_eq!(read.y, Targets::Classes { labels: vec![0, 1, 1], names: vec!["a".into(), "b".into()] });
    assert!(
        read.notes.iter().any(|note| note.contains("1 file that is neither JPEG nor PNG left out")),
        "{:?}",
        read.notes
    );
    // train and test are parts.
    let set = Place::new();
    for (name, value) in [("test/b/1.png", 3u8), ("train/b/1.png", 2), ("train/a/1.png", 1), ("test/a/1.png", 4)] {
        fs::create_dir_all(set.path(name).parent().unwrap()).unwrap();
        set.write(name, png(value));
    }
    let read = load(&Request::new(set.0.path().to_str().unwrap())).unwrap();
    assert_eq!(
        (read.test_from, bytes(&read).chunks(4).map(|row| row[0]).collect::<Vec<_>>()),
        (Some(2), vec![1, 2, 4, 3])
    );
    let Targets::Classes { labels, .. } = &read.y else { panic!("classes") };
    assert_eq!(labels, &[0, 1, 0, 1]);
    // A loose picture: no labels.
    place.write("c.png", png(5));
    let error = load(&Request::new(folder)).unwrap_err().to_string();
    assert!(error.contains("target: there is none"), "{error}");
}

#[test]
fn bad_pictures_are_refused() {
    let place = Place::new();
    let said = |name: &str, content: &[u8], pictures: Preprocess| {
        let path = place.write(name, content);
        load(&Request { need_target: false, pictures, ..Request::new(&path) }).unwrap_err().to_string()
    };
    let none = Preprocess::default;
    let png = bytes_of(small(), ImageFormat::Png);
    let jpeg = held(1);
    assert!(said("a.png", b"no picture", none()).contains("it is neither JPEG nor PNG inside"));
    assert!(said("a.jpg", b"", none()).contains("it is neither JPEG nor PNG inside"));
    for end in [3, 20, png.len() - 14] {
        let error = said("a.png", &png[..end], none());
        assert!(error.contains("it can't be decoded") || error.contains("neither JPEG nor PNG"), "{error}");
    }
    for end in [10, 200, jpeg.len() / 2, jpeg.len() - 2] {
        let error = said("a.jpg", &jpeg[..end], none());
        assert!(error.contains("it breaks off before its end"), "{end}: {error}");
    }
    // Its frame says four components.
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let mut print = jpeg.clone();
    print[frame + 9] = 4;
    assert!(said("a.jpg", &print, none()).contains("its colours are CMYK, for print; convert it to RGB"));
    // 20,000 × 20,000 pixels in a hundred bytes.
    let mut claims = png.clone();
    for at in [16, 20] {
        claims[at..at + 4].copy_from_slice(&20_000u32.to_be_bytes());
    }
    let sum = crc(&claims[12..29]);
    claims[29..33].copy_from_slice(&sum.to_be_bytes());
    let error = said("a.png", &claims, none());
    assert!(error.contains("it claims 20000 × 20000 pixels in"), "{error}");
    let crop = Preprocess { crop: Some("10".parse().unwrap()), ..none() };
    assert!(said("a.png", &png, crop).contains("the middle 10 × 10 of 3 × 2 pixels is asked for"));
    // Sizes that differ, of a training.
    fs::create_dir(place.path("mixed")).unwrap();
    place.write("mixed/a.png", &png);
    place.write("mixed/b.png", bytes_of(ImageBuffer::from_pixel(4, 4, Luma([0u8])), ImageFormat::Png));
    let error = load(&Request { need_target: false, ..Request::new(place.text("mixed")) }).unwrap_err().to_string();
    assert!(error.contains("b.png: size: it has 4 × 4 pixels, and the first picture has 3 × 2; bring all"), "{error}");
    fs::create_dir(place.path("empty")).unwrap();
    let error = load(&Request::new(place.text("empty"))).unwrap_err().to_string();
    assert!(error.contains("there is no picture in it"), "{error}");
}

/// PNG's checksum (its annex D).
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 })
    })
}

/// Two classes: whether the left or the right half of a 4 × 4 colour picture is brighter, through a convolution with a map for each.
fn network() -> Vec<u8> {
    let weight: Vec<f32> = (0..2)
        .flat_map(|class| {
            (0..3).flat_map(move |_| (0..16).map(move |i| if (i % 4 < 2) == (class == 0) { 0.5 } else { -0.1 }))
        })
        .collect();
    let nodes = [
        node("Conv", "conv", &["x", "w"], &["c"], &[]),
        node("Relu", "relu", &["c"], &["r"], &[]),
        node("GlobalAveragePool", "pool", &["r"], &["p"], &[]),
        node("Reshape", "flat", &["p", "shape"], &["y"], &[]),
    ];
    let _ = attribute_ints;
    let graph = nodes.iter().fold(Bytes::default(), |graph, node| graph.message(1, node.clone())).bytes(2, "g");
    let graph =
        graph.message(5, floats("w", &[2, 3, 4, 4], &weight)).message(5, crate::samples::ints("shape", &[2], &[-1, 2]));
    model(
        graph
            .message(11, value("x", crate::encode::FLOAT, &[-1, 3, 4, 4]))
            .message(12, value("y", crate::encode::FLOAT, &[-1, 2])),
    )
    .0
}

#[test]
fn the_commands_take_pictures() {
    let place = Place::new();
    let net = place.write("net.onnx", network());
    let half = |left: bool| {
        let image = ImageBuffer::from_fn(8, 8, |x, _| Rgb([if (x < 4) == left { 240u8 } else { 16 }; 3]));
        bytes_of(image, ImageFormat::Png)
    };
    let (left, right) = (place.write("left.png", half(true)), place.write("right.png", half(false)));
    let class_names = place.write("names.txt", "bright left\nbright right\n");
    let table = place.text("p.csv");
    let run =
        eigenlens(&["predict", &net, &left, &right, "--class-names", &class_names, "--id", "file", "--out", &table]);
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(stdout(&run).contains("left.png: bright left ") && stdout(&run).contains("right.png: bright right "));
    assert!(stderr(&run).contains("a pixel is 0 to 1 for the network"), "{}", stderr(&run));
    let text = fs::read_to_string(&table).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["file", "bright left", "bright right"]);
    assert_eq!((rows[1][0], rows[2][0]), ("left.png", "right.png"));
    // Columns after halving by a triangle of weights 1, 3, 3, 1: 240, 212, 44, 16. Times 3 channels of 4 rows.
    let y: f64 = rows[1][1].parse().unwrap();
    let expected = 12.0 * (0.5 * (240.0 + 212.0) - 0.1 * (44.0 + 16.0)) / 255.0;
    assert!((y - expected).abs() < 1e-4 * expected, "{y} is not {expected}");
    let out = place.text("why");
    let run =
        eigenlens(&["explain", &net, &left, &right, "--class-names", &class_names, "--out", &out, "--device", "cpu"]);
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(stdout(&run).contains("left.png: bright left = ") && stdout(&run).contains("best: bright left"));
    let json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(place.path("why/explanations.json")).unwrap()).unwrap();
    assert_eq!(json[0]["file"], "left.png");
    assert_eq!(json[1]["best"][0]["name"], "bright right");
    assert_eq!(json[0]["preprocessing"]["resize"]["exactly"]["width"], 4);
    let page = fs::read_to_string(place.path("why/report.html")).unwrap();
    assert!(page.contains("data:image/jpeg;base64,") && page.contains("as the network saw it"));

    // Summed over the channels is what a picture's pixels show anyway; over its rows there are no pixels, but still the picture.
    let page_of = |name: &str, more: &[&str]| {
        let out = place.text(name);
        let given = ["explain", &net, &left, "--class-names", &class_names, "--out", &out, "--device", "cpu"];
        let run = eigenlens(&[&given, more].concat());
        assert!(run.status.success(), "{}", stderr(&run));
        fs::read_to_string(place.path(name).join("report.html")).unwrap()
    };
    let article = |page: &str| page.split_once("<h2>Row by row").unwrap().1.split_once("<h2>").unwrap().0.to_owned();
    let plain = article(&page_of("plain", &[]));
    assert!(plain.contains("the best classes") && plain.contains("Map of component 0 over the picture"));
    assert_eq!(article(&page_of("channels", &["--axis", "channel"])), plain);
    // Component 0's bar stands on the tick of that number.
    let bars = plain.split_once("contribution to the output").unwrap().1.split_once("</svg>").unwrap().0;
    let after =
        |text: &str, key: &str| -> f64 { text.split_once(key).unwrap().1.split_once('"').unwrap().0.parse().unwrap() };
    let bar = bars.split_once("<rect class=\"bar").unwrap().1;
    let (middle, axis) =
        (after(bar, " x=\"") + after(bar, "width=\"") / 2.0, bars.split("<text class=\"tick middle\""));
    let tick = axis.skip(1).find(|tick| tick.contains(">0</text>")).unwrap();
    // Places are rounded to tenths.
    assert!((middle - after(tick, " x=\"")).abs() < 0.11, "{middle}: {tick}");
    let rows = article(&page_of("rows", &["--axis", "row"]));
    for part in ["the best classes", "as the network saw it", "Maps summed over the axis row."] {
        assert!(rows.contains(part), "{part}");
    }
    let out = place.text("alike");
    let run = eigenlens(&["similarity", &net, &left, &right, "--out", &out, "--device", "cpu"]);
    assert!(run.status.success(), "{}", stderr(&run));
    let page = fs::read_to_string(place.path("alike/similarity.html")).unwrap();
    assert!(page.contains("How alike are the explanations? net"), "the network's name");
    // Beside and above each of the three ranks' matrices.
    assert_eq!((page.matches(">left.png<").count(), page.matches(">right.png<").count()), (6, 6));

    refused(
        &eigenlens(&["predict", &net, &left, &net, "--out", &table]),
        2,
        &["net.onnx is no picture, and only pictures"],
    );
    refused(
        &eigenlens(&["predict", &net, &place.text("none.png"), "--out", &table]),
        1,
        &["none.png", "check that the file is there"],
    );
    let few = place.write("few.txt", "a\n");
    refused(
        &eigenlens(&["predict", &net, &left, "--class-names", &few, "--out", &table]),
        1,
        &["1 names, and the network has 2 outputs"],
    );
    refused(
        &eigenlens(&["predict", &net, &left, "--resize", "9", "--crop", "7", "--out", &table]),
        1,
        &["left.png: size: it has 7 × 7 pixels, and the model reads 4 × 4"],
    );
}

/// A model of some of the channels takes them out of whole pictures.
#[test]
fn chosen_channels_are_taken_out_of_whole_pictures() {
    let place = Place::new();
    let path = place.write("a.png", bytes_of(small(), ImageFormat::Png));
    for layout in [eigenlens::data::Layout::ChannelsFirst, eigenlens::data::Layout::ChannelsLast] {
        let whole = read(Request { layout: Some(layout), ..Request::new(&path) });
        let red_and_blue: Vec<usize> = (0..18).filter(|&c| bytes(&whole)[c] / 20 != 1).collect();
        let model = whole.select_columns(&red_and_blue);
        let channel = model.axes.iter().find(|axis| axis.name == "channel").unwrap();
        assert_eq!(channel.labels, ["red", "blue"]);
        let expect = Some(model.features.clone());
        let request = Request { expect, axes: Some(model.axes.clone()), chosen_from: Some(18), ..Request::new(&path) };
        let found = read(request.clone());
        assert_eq!((bytes(&found), &found.axes, &found.features), (bytes(&model), &model.axes, &model.features));
        // Of four channels there is none in a picture.
        let error = load(&Request { need_target: false, chosen_from: Some(24), ..request }).unwrap_err().to_string();
        assert!(error.contains("4 channels"), "{error}");
    }
}
