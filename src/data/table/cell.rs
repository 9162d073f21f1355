//! What one cell says.

use std::borrow::Cow;

use super::dates::{date, is_date, written_day};

/// A cell.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    Missing,
    /// Of a column of numbers; perhaps infinite, never NaN.
    Number(f64),
    /// Of a column of dates: days since 1970 began.
    Day(f64),
    /// Trimmed, and not empty: perhaps a number.
    Text(&'a str),
}

impl<'a> Cell<'a> {
    /// The finite number that it is.
    pub fn number(self) -> Option<f64> {
        match self {
            Cell::Number(value) => Some(value).filter(|v| v.is_finite()),
            Cell::Text(text) => number(text),
            Cell::Missing | Cell::Day(_) => None,
        }
    }

    /// The day that it is.
    pub fn day(self) -> Option<f64> {
        match self {
            Cell::Day(day) => Some(day),
            Cell::Text(text) => date(text),
            Cell::Missing | Cell::Number(_) => None,
        }
    }

    /// Whether it looks like a date.
    pub fn is_date(self) -> bool {
        match self {
            Cell::Text(text) => is_date(text),
            Cell::Day(_) => true,
            Cell::Missing | Cell::Number(_) => false,
        }
    }

    /// Whether it is a number without being one: `inf`, `-Infinity`, `+nan`.
    pub fn is_infinite(self) -> bool {
        match self {
            Cell::Text(text) => text.parse().is_ok_and(|v: f64| !v.is_finite()),
            Cell::Number(value) => !value.is_finite(),
            Cell::Missing | Cell::Day(_) => false,
        }
    }

    /// As it is written, or would be.
    pub fn text(self) -> Cow<'a, str> {
        match self {
            Cell::Missing => "".into(),
            Cell::Number(value) => value.to_string().into(),
            Cell::Day(day) => written_day(day).into(),
            Cell::Text(text) => text.into(),
        }
    }
}

/// A cell without a value. `none` is one: no garage is not an unknown garage.
pub(super) fn is_missing(text: &str) -> bool {
    const WORDS: [&str; 5] = ["na", "n/a", "nan", "null", "?"];
    // Nearly every cell is told by its first letter.
    match text.as_bytes() {
        [] => true,
        [b'n' | b'N' | b'?', ..] if text.len() <= 4 => WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)),
        _ => false,
    }
}

/// A finite number.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|v: &f64| v.is_finite())
}

/// Whether a column is called as identifiers are: `id`, `customer_id`, `customerId`, `ID`, `index`, `row number`.
pub(super) fn is_identifier(name: &str) -> bool {
    const NAMES: [&str; 8] = ["id", "identifier", "index", "key", "row", "number", "nr", "no"];
    // customerId, CustomerID
    if ["Id", "ID"].iter().any(|end| name.strip_suffix(end).is_some_and(|rest| rest.ends_with(char::is_lowercase))) {
        return true;
    }
    let words: Vec<String> =
        name.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect();
    let has = |word: &str| words.iter().any(|w| w == word);
    has("id")
        || has("identifier")
        || (words.len() == 1 && NAMES.contains(&words[0].as_str()))
        || (has("row") && words.len() == 2)
}

/// `-1,5`
pub(super) fn has_decimal_comma(text: &str) -> bool {
    text.matches(',').count() == 1 && number(&text.replace(',', ".")).is_some()
}

/// At most 40 characters of a cell, for messages.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// At most 20 names, for messages.
pub(super) fn listed(names: &[String]) -> String {
    let first: Vec<String> = names.iter().take(20).map(|name| shortened(name)).collect();
    let more = if names.len() > 20 { format!(", … ({} in all)", names.len()) } else { String::new() };
    first.join(", ") + &more
}
