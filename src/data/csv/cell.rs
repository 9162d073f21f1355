//! What one cell says.

/// A cell without a value. `none` is one: no garage is not an unknown garage.
pub(super) fn is_missing(text: &str) -> bool {
    const WORDS: [&str; 5] = ["na", "n/a", "nan", "null", "?"];
    text.is_empty() || (text.len() <= 4 && WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)))
}

/// A finite number.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|v: &f64| v.is_finite())
}

/// What reads as a number without being one: `inf`, `-Infinity`, `+nan`.
pub(super) fn is_infinite(text: &str) -> bool {
    text.parse().is_ok_and(|v: f64| !v.is_finite())
}

/// `yyyy-mm-dd`, `dd.mm.yyyy` or `mm/dd/yyyy`, perhaps with a time.
pub(super) fn is_date(text: &str) -> bool {
    let day = text.split([' ', 'T']).next().unwrap_or_default();
    ['-', '.', '/'].iter().any(|&separator| {
        let mut parts = day.split(separator);
        let lengths = [(); 3].map(|()| {
            parts.next().filter(|part| part.bytes().all(|b| b.is_ascii_digit())).map_or(0, |part| part.len())
        });
        parts.next().is_none() && matches!(lengths, [4, 1..=2, 1..=2] | [1..=2, 1..=2, 4])
    })
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
