//! A page as data: what every report is made of, whatever it becomes ([`html`](super::html), [`markdown`](super::markdown), or
//! JSON by serde). Who builds a page says what it holds; escaping, layout and style are the renderers'.

use serde::{Serialize, Serializer};

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// What kind of report it is: "Feature selection report".
    pub kind: &'static str,
    pub title: String,
    /// What came out, in plain paragraphs.
    pub lead: Vec<String>,
    pub numbers: Vec<KeyFigure>,
    pub sections: Vec<Section>,
    /// The paper that the page cites at its end.
    pub method: Method,
    /// Other pages of the same folder, by name; whoever saves the page knows them.
    pub links: Vec<Link>,
}

/// Another page, as in `explain.html` of name "explain".
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Link {
    pub name: String,
    pub file: String,
}

/// A figure to remember, and what it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeyFigure {
    pub value: String,
    pub label: String,
}

/// Which of the two methods a page is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    Spectral,
    SpecXai,
}

impl Method {
    /// The paper: authors, title, where it is.
    pub fn source(self) -> [&'static str; 3] {
        match self {
            Method::Spectral => [
                "L. Chicchi et al.",
                "Automatic Input Feature Relevance via Spectral Neural Networks",
                "arXiv 2406.01183",
            ],
            Method::SpecXai => {
                ["S. Druc et al.", "SpecXAI – Spectral interpretability of deep learning models", "arXiv 2302.09949"]
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section {
    pub title: String,
    pub blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    Paragraph(Text),
    /// Smaller: what belongs to the block before it.
    Note(Text),
    Formula(Text),
    List(Vec<String>),
    Heading(String),
    Figure(Figure),
    Tiles(Tiles),
    Table(Table),
    Definitions(Definitions),
    /// Side by side where there is room.
    Columns(Vec<Vec<Block>>),
    /// Closed until it is asked for.
    Details {
        summary: String,
        blocks: Vec<Block>,
    },
    /// One of several alike, such as a row's explanation.
    Article {
        title: String,
        blocks: Vec<Block>,
    },
}

/// An SVG element with what a screen reader says in its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Picture {
    pub alternative: String,
    #[serde(skip)]
    pub svg: String,
}

/// Pictures, one above the other, with their title above and a caption below.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    pub title: String,
    pub pictures: Vec<Picture>,
    pub caption: Text,
    /// Drawn for the whole width of the page.
    #[serde(skip)]
    pub wide: bool,
}

/// Small pictures in a grid.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tiles {
    pub tiles: Vec<Figure>,
    /// `None`: as many as fit.
    #[serde(skip)]
    pub per_row: Option<usize>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Table {
    pub title: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    pub caption: Text,
    /// Rows (ranks, then) from here on are closed until they are asked for.
    #[serde(skip)]
    pub open: Option<usize>,
    /// In two halves side by side where there is room.
    #[serde(skip)]
    pub halves: bool,
    /// No wider than its content.
    #[serde(skip)]
    pub narrow: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    pub name: Text,
    #[serde(skip)]
    pub numeric: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub cells: Vec<Cell>,
    #[serde(skip)]
    pub tone: Tone,
}

/// How a row of a table stands out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    /// Of little account.
    Faint,
    /// What is not listed, in one: stays where it is when the rows are sorted.
    Rest,
    /// A sum, or what the rows above come to.
    Total,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    pub text: Text,
    /// Its content in full, where the text is shortened: shows when the pointer rests on it, and is what programs get.
    pub tip: Option<String>,
}

/// Pairs of a name and its value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Definitions {
    pub title: String,
    pub pairs: Vec<(String, String)>,
}

/// A line of text with emphasis, subscripts and line breaks (`\n`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Text(pub Vec<Span>);

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Span {
    pub text: String,
    pub strong: bool,
    pub sub: bool,
    /// Something that isn't as it should be.
    pub wrong: bool,
}

impl Text {
    /// A text of our own with `**strong**` and `_{subscript}` in it. Names that come from data go through [`Text::from`], which
    /// takes every character as it is.
    pub fn marked(markup: impl AsRef<str>) -> Text {
        let mut spans = Vec::new();
        for (i, part) in markup.as_ref().split("**").enumerate() {
            let strong = i % 2 == 1;
            let mut push = |text: &str, sub: bool| {
                if !text.is_empty() {
                    spans.push(Span { text: text.to_owned(), strong, sub, wrong: false });
                }
            };
            let mut pieces = part.split("_{");
            push(pieces.next().unwrap_or_default(), false);
            for piece in pieces {
                let (sub, rest) = piece.split_once('}').unwrap_or((piece, ""));
                push(sub, true);
                push(rest, false);
            }
        }
        Text(spans)
    }

    pub fn strong(text: impl Into<String>) -> Text {
        Text(vec![Span { text: text.into(), strong: true, ..Span::default() }])
    }

    /// Both, one after the other.
    pub fn then(mut self, more: impl Into<Text>) -> Text {
        self.0.extend(more.into().0);
        self
    }

    /// Marked as not as it should be, where `wrong`.
    pub fn wrong_if(mut self, wrong: bool) -> Text {
        self.0.iter_mut().for_each(|span| span.wrong = wrong);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|span| span.text.is_empty())
    }

    /// Its characters alone.
    pub fn plain(&self) -> String {
        self.0.iter().map(|span| span.text.as_str()).collect()
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.plain())
    }
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Text {
        Text(vec![Span { text: text.into(), ..Span::default() }])
    }
}

impl<T: Into<Text>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell { text: text.into(), tip: None }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.tip {
            Some(full) => serializer.serialize_str(full),
            None => self.text.serialize(serializer),
        }
    }
}

impl Cell {
    /// With its whole content for the pointer that rests on it.
    pub fn tip(mut self, tip: impl Into<String>) -> Cell {
        self.tip = Some(tip.into());
        self
    }
}

impl Column {
    pub fn text(name: impl Into<Text>) -> Column {
        Column { name: name.into(), numeric: false }
    }

    pub fn number(name: impl Into<Text>) -> Column {
        Column { name: name.into(), numeric: true }
    }
}

impl<C: Into<Cell>> FromIterator<C> for Row {
    fn from_iter<I: IntoIterator<Item = C>>(cells: I) -> Row {
        Row { cells: cells.into_iter().map(Into::into).collect(), tone: Tone::Plain }
    }
}

impl Row {
    pub fn tone(mut self, tone: Tone) -> Row {
        self.tone = tone;
        self
    }
}

impl Table {
    pub fn new(columns: Vec<Column>, rows: Vec<Row>) -> Table {
        Table { columns, rows, ..Table::default() }
    }

    pub fn title(mut self, title: impl Into<String>) -> Table {
        self.title = title.into();
        self
    }

    pub fn caption(mut self, caption: impl Into<Text>) -> Table {
        self.caption = caption.into();
        self
    }
}

impl Figure {
    pub fn new(title: impl Into<String>, picture: Picture, caption: impl Into<Text>) -> Figure {
        Figure { title: title.into(), pictures: vec![picture], caption: caption.into(), wide: false }
    }

    pub fn wide(mut self) -> Figure {
        self.wide = true;
        self
    }
}

impl Tiles {
    /// As many in a row as fit.
    pub fn new(tiles: Vec<Figure>) -> Tiles {
        Tiles { tiles, per_row: None }
    }
}

impl Definitions {
    pub fn new<K: Into<String>>(title: &str, pairs: impl IntoIterator<Item = (K, String)>) -> Definitions {
        Definitions {
            title: title.to_owned(),
            pairs: pairs.into_iter().map(|(key, value)| (key.into(), value)).collect(),
        }
    }
}

impl KeyFigure {
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> KeyFigure {
        KeyFigure { value: value.into(), label: label.into() }
    }
}

impl Page {
    /// Adds a section; none without content.
    pub fn section(&mut self, title: impl Into<String>, blocks: Vec<Block>) {
        if blocks.iter().any(Block::has_content) {
            self.sections.push(Section { title: title.into(), blocks });
        }
    }
}

impl Block {
    /// Two things side by side.
    pub fn pair(left: impl Into<Block>, right: impl Into<Block>) -> Block {
        Block::Columns(vec![vec![left.into()], vec![right.into()]])
    }

    /// Two by two.
    pub fn pairs(figures: Vec<Figure>) -> Vec<Block> {
        let row = |row: &[Figure]| row.iter().cloned().map(|figure| vec![figure.into()]).collect();
        figures.chunks(2).map(|figures| Block::Columns(row(figures))).collect()
    }

    fn has_content(&self) -> bool {
        match self {
            Block::Paragraph(text) | Block::Note(text) | Block::Formula(text) => !text.is_empty(),
            Block::List(items) => !items.is_empty(),
            Block::Tiles(tiles) => !tiles.tiles.is_empty(),
            Block::Definitions(definitions) => !definitions.pairs.is_empty(),
            Block::Columns(columns) => columns.iter().flatten().any(Block::has_content),
            _ => true,
        }
    }
}

macro_rules! blocks {
    ($($kind:ident),*) => {
        $(impl From<$kind> for Block { fn from(block: $kind) -> Block { Block::$kind(block) } })*
    };
}
blocks!(Figure, Tiles, Table, Definitions);
