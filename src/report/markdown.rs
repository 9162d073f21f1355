//! A page as Markdown, for a terminal or a pull request: its words, numbers and tables; of a figure what it shows.

use crate::error::misleads;

use super::page::{Block, Definitions, Figure, Page, Table, Text};

/// The whole text.
pub fn render(page: &Page) -> String {
    let mut out = format!("# {}\n\n", escape(&page.title));
    for lead in &page.lead {
        out.push_str(&format!("{}\n\n", escape(lead)));
    }
    for number in &page.numbers {
        out.push_str(&format!("- **{}** {}\n", escape(&number.value), escape(&number.label)));
    }
    for section in &page.sections {
        out.push_str(&format!("\n## {}\n\n", escape(&section.title)));
        let text: Vec<String> = section.blocks.iter().map(block).filter(|text| !text.is_empty()).collect();
        out.push_str(&format!("{}\n", text.join("\n\n")));
    }
    let [authors, title, place] = page.method.source();
    out.push_str(&format!(
        "\n{}, eigenlens {}. The method: {authors}, *{title}*, {place}.\n",
        page.kind,
        env!("CARGO_PKG_VERSION")
    ));
    out
}

fn blocks(blocks: &[Block]) -> String {
    blocks.iter().map(block).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
}

fn block(block: &Block) -> String {
    match block {
        Block::Paragraph(t) | Block::Note(t) => text(t),
        Block::Formula(t) => format!("> {}", text(t)),
        Block::List(items) => items.iter().map(|item| format!("- {}", escape(item))).collect::<Vec<_>>().join("\n"),
        Block::Heading(title) => format!("### {}", escape(title)),
        Block::Figure(figure) => self::figure(figure),
        Block::Tiles(tiles) => {
            let tiles = tiles.tiles.iter().filter(|tile| !tile.caption.is_empty());
            tiles.map(|tile| format!("- {}", text(&tile.caption))).collect::<Vec<_>>().join("\n")
        }
        Block::Table(table) => self::table(table),
        Block::Definitions(definitions) => self::definitions(definitions),
        Block::Columns(columns) => {
            let columns = columns.iter().map(|column| blocks(column)).filter(|text| !text.is_empty());
            columns.collect::<Vec<_>>().join("\n\n")
        }
        Block::Details { summary, blocks } => format!("*{}*\n\n{}", escape(summary), self::blocks(blocks)),
        Block::Article { title, blocks } => format!("### {}\n\n{}", escape(title), self::blocks(blocks)),
    }
}

fn figure(figure: &Figure) -> String {
    let titles: Vec<&str> = figure.pictures.iter().map(|picture| picture.alternative.as_str()).collect();
    let title = if figure.title.is_empty() { titles.join("; ") } else { figure.title.clone() };
    let line = format!("*Figure: {}.* {}", escape(title.trim_end_matches('.')), text(&figure.caption));
    line.trim_end().to_owned()
}

fn heading(title: &str) -> String {
    if title.trim().is_empty() { String::new() } else { format!("### {}\n\n", escape(title)) }
}

fn table(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut out = heading(&table.title);
    out.push_str(&line(table.columns.iter().map(|c| text(&c.name)).collect()));
    out.push_str(&line(table.columns.iter().map(|c| if c.numeric { "--:" } else { ":--" }.to_owned()).collect()));
    for row in &table.rows {
        out.push_str(&line(
            row.cells.iter().map(|cell| cell.tip.as_deref().map_or_else(|| text(&cell.text), escape)).collect(),
        ));
    }
    if !table.caption.is_empty() {
        out.push_str(&format!("\n{}", text(&table.caption)));
    }
    out.trim_end().to_owned()
}

fn definitions(definitions: &Definitions) -> String {
    let pair = |(key, value): &(String, String)| format!("- {}: {}", escape(key), escape(value));
    heading(&definitions.title) + &definitions.pairs.iter().map(pair).collect::<Vec<_>>().join("\n")
}

/// In one line: a break is a comma.
fn text(text: &Text) -> String {
    let mut out = String::new();
    for span in &text.0 {
        let piece = escape(&span.text.replace('\n', ", "));
        out.push_str(&match (span.sub, span.strong && !piece.trim().is_empty()) {
            (true, _) => subscript(&piece),
            // Emphasis must not begin or end with a space.
            (_, true) => {
                let core = piece.trim();
                piece.replacen(core, &format!("**{core}**"), 1)
            }
            _ => piece,
        });
    }
    // Neighbours in bold are one.
    out.replace("****", "").trim().to_owned()
}

/// Digits that stand below; letters behind a bar, which inside a word is a letter to Markdown.
fn subscript(text: &str) -> String {
    let digit = |c: char| c.to_digit(10).and_then(|digit| char::from_u32('₀' as u32 + digit));
    text.chars().map(digit).collect::<Option<String>>().unwrap_or_else(|| format!("_{text}"))
}

/// Text that Markdown takes as it is.
fn escape(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    for (i, &c) in chars.iter().enumerate() {
        let word = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_alphanumeric());
        match c {
            // Inside a word it is a letter.
            '_' if word(i.checked_sub(1)) && word(Some(i + 1)) => out.push('_'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '$' => out.extend(['\\', c]),
            '#' | '+' | '-' if i == 0 => out.extend(['\\', c]),
            // Would call somebody of that name.
            '@' => out.push_str("&#64;"),
            c if misleads(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
