//! The page of SpecXAI's photographs.

use super::experiment_page::{numbers, reproduction};
use super::imagenet::{AtSplit, Claim, ImageNet, Map, SHOWN};
use crate::data::{Axis, Channels};
use crate::report::facts::{Shape, shape_of};
use crate::report::page::{Block, Definitions, Figure, KeyFigure, Method, Page, Row, Text, Tiles};
use crate::report::photo_figures::Photo;
use crate::report::text::{count, number, percent, serde_name, short, shorten};

/// Pictures drawn.
const DRAWN: usize = 10;

/// The whole page. `inputs`: every picture as it came, `[pictures, N]` of 0 to 255.
pub fn page(
    outcome: &ImageNet,
    inputs: &[f64],
    axes: &[Axis],
    channels: Channels,
    settings: Vec<(String, String)>,
) -> Page {
    let title = "Photographs: what the last convolution looks at, and the layer before the outputs";
    let mut page = reproduction(title, lead(outcome), key_figures(outcome), Method::SpecXai);
    page.section("What the paper claims, and what came out", vec![claims(outcome).into(), note()]);
    let spectra = crate::report::explain_figures::spectra(&outcome.splits.each_ref().map(|s| s.spectrum.clone()));
    page.section("Spectra, means over the pictures", spectra.into_iter().collect());
    let n: usize = axes.iter().map(|axis| axis.len).product();
    if let Shape::Image(grid) = shape_of(axes, n) {
        let rows = outcome.names.iter().zip(inputs.chunks_exact(n)).take(DRAWN).enumerate();
        let pictures = rows.map(|(i, (name, input))| {
            let title = format!("{}: {}", shorten(name, 60), shorten(&outcome.outputs[i], 60));
            Block::Article { title, blocks: vec![tiles(outcome, i, &Photo::new(input, grid, channels)).into()] }
        });
        let title = match outcome.names.len() {
            all if all > DRAWN => format!("The pictures (the first {DRAWN} of {})", count(all)),
            _ => "The pictures".to_owned(),
        };
        page.section(title, pictures.collect());
    }
    page.section("Every picture", outcome.splits.iter().map(|at| table(at, &outcome.names)).collect());
    page.section("How it was made", vec![Definitions::new("Settings", settings).into()]);
    page
}

fn lead(outcome: &ImageNet) -> String {
    let [before, last] = &outcome.splits;
    let [inside, _, sparser] = &outcome.claims[..] else { return String::new() };
    let said = |claim: &Claim| if claim.holds { "yes" } else { "not beyond chance" };
    format!(
        "{} pictures, split at {} and at {}. Are the maps at the last convolution more localised? Here {}: {} of them lie in the best quarter \
         of the area, against {} ({} of {} pictures). Is the reduced spectrum sparser there? Here {}: {} components carry it, against {}.",
        count(outcome.names.len()),
        before.split,
        last.split,
        said(inside),
        percent(inside.values[1]),
        percent(inside.values[0]),
        inside.pictures[0],
        inside.pictures[1],
        said(sparser),
        short(sparser.values[1]),
        short(sparser.values[0]),
    )
}

fn key_figures(outcome: &ImageNet) -> Vec<KeyFigure> {
    let worst = outcome.splits.iter().flat_map(|at| &at.pictures).map(|p| p.residual).fold(0.0, f64::max);
    let holds = outcome.claims.iter().filter(|claim| claim.holds).count();
    vec![
        KeyFigure::new(count(outcome.names.len()), "pictures"),
        KeyFigure::new(format!("{holds} of {}", outcome.claims.len()), "claims hold beyond two standard errors"),
        KeyFigure::new(
            short(outcome.splits[0].agreeing.mean),
            format!(
                "of the {SHOWN} largest σ are among the {SHOWN} largest contributions ({})",
                outcome.splits[0].split
            ),
        ),
        KeyFigure::new(number(worst), "largest residual of a sum, relative"),
    ]
}

fn claims(outcome: &ImageNet) -> crate::report::page::Table {
    let row = |claim: &Claim| {
        let verdict = Text::from(if claim.holds { "holds" } else { "doesn’t hold" }).wrong_if(!claim.holds);
        [
            claim.what.as_str().into(),
            number(claim.values[0]).into(),
            number(claim.values[1]).into(),
            format!("{} ± {}", number(claim.difference), short(claim.se)).into(),
            format!("{} of {}", claim.pictures[0], claim.pictures[1]).into(),
            verdict,
        ]
        .into_iter()
        .collect::<Row>()
    };
    let [before, last] = &outcome.splits;
    let heads = ["claimed", before.split.as_str(), last.split.as_str(), "difference", "pictures", ""];
    numbers(&heads, outcome.claims.iter().map(row).collect(), true)
}

fn note() -> Block {
    Block::Note(
        format!(
            "Maps: of the {SHOWN} largest contributions after cancelling, summed over the channels. Inside: the share of |map| in the window of \
             half the height and half the width that holds most of it; an even map has a quarter. Entropy: of |map| over the pixels, 1 for an \
             even one. Participation ratio: (Σ|α̂|)²/Σα̂². A claim holds where the mean of the pictures' differences is beyond two standard \
             errors. What the remainder holds is in none of them."
        )
        .into(),
    )
}

/// Figure 1's maps, figure 2's, and figure 3's, the latter two with figure 11's variant.
fn tiles(outcome: &ImageNet, i: usize, photo: &Photo) -> Tiles {
    let [before, last] = outcome.splits.each_ref().map(|at| &at.pictures[i]);
    let row = |maps: &[Map], what: &str| -> Vec<Figure> {
        let end = maps.iter().map(|map| photo.end(&map.values)).fold(0.0, f64::max);
        let one = |map: &Map| {
            let share = map.share.map_or_else(String::new, |share| format!(", {}", percent(share)));
            let caption = Text::marked(format!("**α_{{{}}} = {}**\n{what}{share}", map.k, short(map.alpha)));
            let title = format!("Map of component {} over the picture, {what}", map.k);
            Figure::new("", photo.over(&map.values, end, &title), caption)
        };
        // Rows stay rows where there are fewer.
        let none = || Figure::new("", photo.plain("No further component"), "no further component");
        maps.iter().map(one).chain(std::iter::repeat_with(none)).take(SHOWN).collect()
    };
    let averaged = |values: &[f64], what: &str| {
        let title = format!("Averaged singular vector over the picture, {what}");
        let caption = Text::marked(format!("**V averaged**\n{what}"));
        match values {
            [] => Figure::new("", photo.plain("No component"), "no component"),
            values => Figure::new("", photo.over(values, photo.end(values), &title), caption),
        }
    };
    let (outputs, convolution) = ("before the outputs", "last convolution");
    let plain = photo.plain("The picture as the network saw it");
    let mut tiles = vec![Figure::new("", plain, Text::strong("as the network saw it"))];
    tiles.extend(row(&before.by_sigma, "largest σ before the outputs"));
    for (seen, what) in [(before, outputs), (last, convolution)] {
        tiles.push(averaged(&seen.averaged, what));
        tiles.extend(row(&seen.by_share, what));
    }
    Tiles { tiles, per_row: Some(4) }
}

fn table(at: &AtSplit, names: &[String]) -> Block {
    let row = |(name, p): (&String, &super::imagenet::Seen)| {
        [
            shorten(name, 40),
            serde_name(&p.form),
            count(p.components),
            percent(p.remainder),
            percent(p.inside),
            short(p.entropy),
            short(p.participation),
            number(p.residual),
        ]
        .into_iter()
        .map(Text::from)
        .collect::<Row>()
    };
    let heads = ["picture", "form", "components", "remainder", "inside", "entropy", "participation", "residual"];
    let mut table = numbers(&heads, names.iter().zip(&at.pictures).map(row).collect(), true);
    table.title = at.split.clone();
    table.into()
}
