//! A page as one HTML file: no network, styles, pictures and a small script inside; for reading, printing and slides. Whatever the
//! page says stands there without the script too.

use sha2::{Digest, Sha256};

use super::page::{Block, Cell, Column, Definitions, Figure, Link, Page, Row, Table, Text, Tiles, Tone};
use super::picture::base64;
use super::text::{count, escape, shorten};

/// Sorts and filters tables, picks rows, shows what marks stand for.
const SCRIPT: &str = include_str!("page.js");

/// What a page may load: nothing but its own styles, the pictures inside it, and this very script. Should a name from the data ever
/// get past the escaping, it would still run nothing.
fn policy() -> String {
    let script = base64(&Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'"
    )
}

/// The whole file.
pub fn render(page: &Page) -> String {
    let title = escape(&shorten(&page.title, 200));
    let leads: String = page.lead.iter().map(|text| format!("<p class=\"lead\">{}</p>", escape(text))).collect();
    let numbers: String = page
        .numbers
        .iter()
        .map(|n| format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(&n.label), escape(&n.value)))
        .collect();
    let sections: String = page
        .sections
        .iter()
        .map(|s| format!("<section><h2>{}</h2>{}</section>\n", escape(&s.title), blocks(&s.blocks)))
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"generator\" content=\"eigenlens {version}\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title} · eigenlens</title><style>{style}</style></head>\n<body><main><header><p class=\"kind\">{kind}</p>\
         {nav}<h1>{title}</h1><div class=\"leads\">{leads}</div><dl class=\"numbers\">{numbers}</dl></header>\n{sections}</main>\n\
         <footer><p>{method}</p><p>eigenlens {version}</p></footer>\n<script>{SCRIPT}</script></body></html>\n",
        policy = policy(),
        version = env!("CARGO_PKG_VERSION"),
        style = include_str!("style.css"),
        kind = escape(page.kind),
        nav = nav(&page.links),
        method = {
            let [authors, title, place] = page.method.source();
            format!("The method: {authors}, <cite>{title}</cite>, {place}.")
        },
    )
}

/// What stands around the links, so that a later page can put its own among them.
const NAV: [&str; 2] = ["<nav aria-label=\"Pages of this run\">", "</nav>"];

fn nav(links: &[Link]) -> String {
    let [begin, end] = NAV;
    let link = |link: &Link| format!("<a href=\"{}\">{}</a>", escape(&link.file), escape(&link.name));
    let all: String = links.iter().map(link).collect();
    format!("{begin}{all}{end}")
}

/// A page's text with these links instead of its own; `None` for a text that isn't such a page's.
pub(super) fn with_links(text: &str, links: &[Link]) -> Option<String> {
    let [begin, end] = NAV;
    let from = text.find(begin)?;
    let to = from + text[from..].find(end)? + end.len();
    Some(format!("{}{}{}", &text[..from], nav(links), &text[to..]))
}

fn blocks(blocks: &[Block]) -> String {
    blocks.iter().map(block).collect()
}

fn block(block: &Block) -> String {
    match block {
        Block::Paragraph(t) => format!("<p class=\"prose\">{}</p>", text(t)),
        Block::Note(t) if t.is_empty() => String::new(),
        Block::Note(t) => format!("<p class=\"small\">{}</p>", text(t)),
        Block::Formula(t) => format!("<p class=\"formula\">{}</p>", text(t)),
        Block::List(items) => {
            let items: String = items.iter().map(|item| format!("<li>{}</li>", escape(item))).collect();
            format!("<ul class=\"prose\">{items}</ul>")
        }
        Block::Heading(title) => format!("<h3>{}</h3>", escape(title)),
        Block::Figure(figure) => self::figure(figure),
        Block::Tiles(tiles) => self::tiles(tiles),
        Block::Table(table) => self::table(table),
        Block::Definitions(definitions) => self::definitions(definitions),
        Block::Columns(columns) => {
            let class = if columns.len() == 3 { "trio" } else { "pair" };
            let columns: String =
                columns.iter().filter(|c| !c.is_empty()).map(|c| format!("<div>{}</div>", self::blocks(c))).collect();
            format!("<div class=\"{class}\">{columns}</div>")
        }
        Block::Details { summary, blocks } => {
            format!("<details><summary>{}</summary>{}</details>", escape(summary), self::blocks(blocks))
        }
        Block::Article { title, blocks } => {
            format!("<article><h3>{}</h3>{}</article>", escape(title), self::blocks(blocks))
        }
    }
}

fn text(text: &Text) -> String {
    let mut out = String::new();
    for span in &text.0 {
        let mut piece = span.text.split('\n').map(escape).collect::<Vec<_>>().join("<br>");
        for (on, tag) in [(span.sub, "sub"), (span.strong, "b")] {
            if on {
                piece = format!("<{tag}>{piece}</{tag}>");
            }
        }
        if span.wrong {
            piece = format!("<span class=\"wrong\">{piece}</span>");
        }
        out.push_str(&piece);
    }
    out
}

fn heading(title: &str) -> String {
    if title.is_empty() { String::new() } else { format!("<h3>{}</h3>", escape(title)) }
}

fn figure(figure: &Figure) -> String {
    let class = if figure.wide { " class=\"wide\"" } else { "" };
    let pictures: String = figure.pictures.iter().map(|picture| picture.svg.as_str()).collect();
    let caption = match figure.caption.is_empty() {
        true => String::new(),
        false => format!("<figcaption>{}</figcaption>", text(&figure.caption)),
    };
    format!("<figure{class}>{}{pictures}{caption}</figure>", heading(&figure.title))
}

fn tiles(tiles: &Tiles) -> String {
    let figures: String = tiles.tiles.iter().map(figure).collect();
    match tiles.per_row {
        Some(row) => format!("<div class=\"examples\" style=\"--row:{row}\">{figures}</div>"),
        None => format!("<div class=\"maps\">{figures}</div>"),
    }
}

fn definitions(definitions: &Definitions) -> String {
    let pairs: String = definitions
        .pairs
        .iter()
        .map(|(key, value)| format!("<dt>{}</dt><dd>{}</dd>", escape(key), escape(value)))
        .collect();
    format!("<div>{}<dl class=\"pairs\">{pairs}</dl></div>", heading(&definitions.title))
}

fn table(table: &Table) -> String {
    let open = table.open.unwrap_or(table.rows.len()).min(table.rows.len());
    let (open, rest) = table.rows.split_at(open);
    let mut out = heading(&table.title) + &rows(table, open);
    if !rest.is_empty() {
        let ranks = format!("Ranks {} to {}", open.len() + 1, count(table.rows.len()));
        out.push_str(&format!("<details><summary>{ranks}</summary>{}</details>", rows(table, rest)));
    }
    if !table.caption.is_empty() {
        out.push_str(&format!("<p class=\"small\">{}</p>", text(&table.caption)));
    }
    format!("<div class=\"table\">{out}</div>")
}

/// Some rows, in two tables side by side where that halves a long list.
fn rows(table: &Table, rows: &[Row]) -> String {
    let halved = table.halves && rows.len() > 10;
    let parts: Vec<&[Row]> = if halved { rows.chunks(rows.len().div_ceil(2)).collect() } else { vec![rows] };
    let heads: String = table
        .columns
        .iter()
        .map(|c| format!("<th{}>{}</th>", if c.numeric { " class=\"n\"" } else { "" }, text(&c.name)))
        .collect();
    let class = match (is_many(table), table.narrow) {
        (true, _) => " class=\"many\"",
        (false, true) => " class=\"narrow\"",
        (false, false) => "",
    };
    let tables: String = parts
        .into_iter()
        .map(|rows| {
            let rows: String = rows.iter().map(|r| row(table, r)).collect();
            format!("<table{class}><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>")
        })
        .collect();
    format!("<div class=\"{}\">{tables}</div>", if table.halves { "pair halves" } else { "scroll" })
}

/// Whether a table has more columns than a narrow screen: there its rows are stacked, each value under its column's name.
fn is_many(table: &Table) -> bool {
    table.columns.len() > 4
}

fn row(table: &Table, row: &Row) -> String {
    let class = match row.tone {
        Tone::Plain => "",
        Tone::Faint => " class=\"off\"",
        Tone::Rest => " class=\"off rest\"",
        Tone::Total => " class=\"sum\"",
    };
    let many = is_many(table);
    let cell = |(cell, column): (&Cell, &Column)| {
        let class = if column.numeric { " class=\"n\"" } else { "" };
        let name = if many { format!(" data-name=\"{}\"", escape(&column.name.plain())) } else { String::new() };
        let tip = cell.tip.as_ref().map_or_else(String::new, |tip| format!(" title=\"{}\"", escape(tip)));
        format!("<td{class}{name}{tip}>{}</td>", text(&cell.text))
    };
    let cells: String = row.cells.iter().zip(&table.columns).map(cell).collect();
    format!("<tr{class}>{cells}</tr>")
}
