//! What in a photo speaks for the class that an ImageNet network sees? Reads an ONNX file and a picture, and writes the largest
//! component's map as a PNG: `cargo run --release --example explain_photo net.onnx photo.jpg map.png`.

use eigenlens::data::{self, Preprocess, Preset, Request, Size, Split};
use eigenlens::report::picture::Palette;
use eigenlens::specxai::{ExplainSettings, contract, explain, last_spatial_cut};
use eigenlens::{Device, Error, Model};

fn main() -> eigenlens::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [net, photo, out] = &arguments[..] else {
        return Err(Error::Usage("usage: explain_photo net.onnx photo.jpg map.png".into()));
    };
    let mut model = Model::load(net)?;
    let axes = model.description.axes.clone();
    let [_, rows, columns] = &axes[..] else {
        return Err(Error::Usage(format!("{net} reads no colour pictures")));
    };

    // Pixels become what networks of torchvision were trained on.
    let pictures = Preprocess { preset: Preset::Imagenet, ..Preprocess::default() };
    let size = Size { width: columns.len, height: rows.len };
    model.description.scaling = pictures.resolve(Some(size)).scaling(&axes)?;
    let request = Request { pictures, axes: Some(axes.clone()), need_target: false, ..Request::new(photo.as_str()) };
    let mut photo = data::load(&request)?;
    let everything = Split { test: vec![0], ..Split::default() };
    let inputs = model.prepare(&mut photo, &everything)?.inputs(&[0]);

    // At the last node that everything passes and that still has spatial axes.
    let network = &model.network;
    let split = last_spatial_cut(network).unwrap_or(network.nodes.len() - 1);
    let device = Device::open("auto")?;
    let explained = explain(network, &model.parameters[0], &inputs, &ExplainSettings::at(&[split]), &device)?;
    let why = &explained.explanations[0];
    println!("output {} = {:.3}, {:?} at {}", why.output, why.y, why.form, why.split);
    for k in why.by_share().into_iter().take(5) {
        let c = &why.contributions[k];
        println!("  component {k:<4} {:>9.4}  {:>5.1} %", c.alpha, 100.0 * c.share.unwrap_or(0.0));
    }
    println!("  intercepts     {:>9.4}", why.beta_sum());
    println!("  remainder      {:>9.4}\n  residual {:.1e}", why.remainder, why.residual);

    // Its map over the pixels, summed over the channels: blue speaks for the class, orange against it.
    let kept = why.mapped();
    let Some(k) = why.by_share().into_iter().find(|k| kept.contains(k)) else { return Ok(()) };
    let channel = axes.iter().position(|axis| axis.name == "channel").unwrap_or(0);
    let map = contract(&why.maps[k], &axes, channel);
    let largest = map.iter().fold(0.0f64, |a, b| a.max(b.abs())).max(f64::MIN_POSITIVE);
    let colours: Vec<u8> = map.iter().flat_map(|a| Palette::Diverging.color(0.5 + 0.5 * a / largest)).collect();
    let image = image::RgbImage::from_raw(size.width as u32, size.height as u32, colours);
    let image = image.expect("invariant: three bytes a pixel");
    image.save(out).map_err(|e| Error::Usage(format!("{out} can't be written ({e}); give a .png or .jpg")))
}
